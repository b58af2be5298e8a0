/*
 * A settled store takes at most 1.25 × its live raw data, uncompressed, whatever was overwritten and
 * deleted before; and a store whose data was all deleted takes next to nothing.
 */
#include "base/rng.h"
#include "harness/test.h"

#include <varve/varve.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KEY_SIZE = 16, VALUE_SIZE_MAX = 4096 };

#define MIB ((uint64_t)1 << 20)

/* What the logs and the fixed parts of a store may take beside the data. */
#define SLACK (3 * MIB)

static uint64_t directory_bytes(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    uint64_t sum = 0;
    char file[512];

    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        struct stat stat;
        snprintf(file, sizeof file, "%s/%.200s", path, entry->d_name);
        CHECK(lstat(file, &stat) == 0);
        if (S_ISREG(stat.st_mode))
            sum += (uint64_t)stat.st_size;
    }
    (void)closedir(dir);
    return sum;
}

static void put(varve *db, struct vv_rng *rng, uint64_t number, size_t size)
{
    uint64_t key[KEY_SIZE / 8] = {vv_mix(number), number};
    uint64_t value[VALUE_SIZE_MAX / 8];

    for (size_t i = 0; i < size / 8 + 1 && i < VALUE_SIZE_MAX / 8; i++)
        value[i] = vv_rng_next(rng);
    CHECK_OK(varve_put(db, varve_bytes(key, KEY_SIZE), varve_bytes(value, size)));
}

static void expect_compact(varve *db, const char *path, uint64_t live)
{
    uint64_t disk;
    uint64_t allowed = live + live / 4 + SLACK;

    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_settle(db));
    disk = directory_bytes(path);
    printf("%" PRIu64 " KiB alive, %" PRIu64 " KiB on disk, %" PRIu64 " KiB allowed\n", live / 1024,
           disk / 1024, allowed / 1024);
    CHECK(disk <= allowed);
}

/* Overwrites and deletes at random, three times as much as is alive. */
static void churn(size_t value_size, uint64_t count)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db = NULL;
    char path[512];

    snprintf(path, sizeof path, "%s/store", test_tmpdir());
    options.memory_budget = 8 * MIB;
    options.background_threads = 2;
    options.compression = VARVE_COMPRESSION_NONE;
    CHECK_OK(varve_open(path, &options, &db));
    for (uint64_t i = 0; i < count; i++)
        put(db, &rng, i, value_size);
    for (uint64_t i = 0; i < 2 * count; i++)
        put(db, &rng, vv_rng_below(&rng, count), value_size);
    expect_compact(db, path, count * (KEY_SIZE + value_size));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key[KEY_SIZE / 8] = {vv_mix(i), i};
        if (i % 4 != 0)
            CHECK_OK(varve_delete(db, varve_bytes(key, KEY_SIZE)));
    }
    expect_compact(db, path, (count + 3) / 4 * (KEY_SIZE + value_size));
    for (uint64_t i = 0; i < count; i += 4) {
        uint64_t key[KEY_SIZE / 8] = {vv_mix(i), i};
        CHECK_OK(varve_delete(db, varve_bytes(key, KEY_SIZE)));
    }
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    expect_compact(db, path, 0);
    CHECK_OK(varve_close(db));
}

TEST(a_settled_store_of_small_values_wastes_at_most_a_quarter)
{
    churn(100, test_soak() ? 4000000 : 250000);
}

TEST(a_settled_store_of_large_values_wastes_at_most_a_quarter)
{
    churn(4000, test_soak() ? 200000 : 12000);
}
