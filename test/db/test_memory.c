/*
 * Resident memory stays within the budget: 1.1 × memory_budget + 16 MiB above what the process had
 * before, whatever is done. Each case runs in a child of its own, whose peak the kernel keeps.
 */
#include "base/rng.h"
#include "harness/test.h"

#include <varve/varve.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEY_SIZE = 16, VALUE_SIZE = 100 };

#define MIB ((uint64_t)1 << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A line of /proc/self/status, in bytes. */
static uint64_t status_of(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t bytes = 0;

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0)
            bytes = strtoull(line + strlen(name) + 1, NULL, 10) * 1024;
    }
    (void)fclose(file);
    CHECK(bytes > 0);
    return bytes;
}

static void peak_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    CHECK(file != NULL);
    CHECK(fputs("5", file) >= 0);
    CHECK(fclose(file) == 0);
}

static void expect_within(const char *what, uint64_t before, uint64_t budget, uint64_t extra)
{
    uint64_t peak = status_of("VmHWM");
    uint64_t used = peak > before ? peak - before : 0;
    uint64_t limit = budget + budget / 10 + 16 * MIB + extra;

    printf("%-24s budget %4" PRIu64 " MiB, peak %4" PRIu64 " MiB, limit %4" PRIu64 " MiB\n", what,
           budget / MIB, used / MIB, limit / MIB);
    if (used > limit)
        test_fail(__FILE__, __LINE__, "%s took %" PRIu64 " bytes, %" PRIu64 " are allowed", what,
                  used, limit);
}

static void key_fill(uint8_t *key, uint64_t number)
{
    uint64_t mixed = vv_mix(number);

    memcpy(key, &mixed, 8);
    memcpy(key + 8, &number, 8);
}

static void load(varve *db, uint64_t count)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    uint8_t key[KEY_SIZE];
    uint64_t value[VALUE_SIZE / 8 + 1];

    for (uint64_t i = 0; i < count; i++) {
        key_fill(key, i);
        for (size_t j = 0; j < sizeof value / 8; j++)
            value[j] = vv_rng_next(&rng);
        CHECK_OK(varve_put(db, varve_bytes(key, KEY_SIZE), varve_bytes(value, VALUE_SIZE)));
    }
}

static void read_at_random(varve *db, uint64_t count, uint64_t reads)
{
    struct vv_rng rng = vv_rng_of(test_seed() + 1);
    uint8_t key[KEY_SIZE];

    for (uint64_t i = 0; i < reads; i++) {
        varve_pinned pin;

        key_fill(key, vv_rng_below(&rng, count));
        CHECK_OK(varve_get(db, varve_bytes(key, KEY_SIZE), &pin));
        CHECK_EQ_U64(pin.size, VALUE_SIZE);
        varve_unpin(&pin);
    }
}

static uint64_t scan(varve *db)
{
    varve_iter *iter = NULL;
    uint64_t count = 0;
    int rc;

    CHECK_OK(varve_iter_open(db, NULL, &iter));
    while ((rc = varve_iter_next(iter)) == VARVE_OK)
        count++;
    CHECK_RC(rc, VARVE_END);
    varve_iter_close(iter);
    return count;
}

static void child_works(const char *path)
{
    uint64_t budget = 16 * MIB;
    uint64_t count = 10 * budget / (KEY_SIZE + VALUE_SIZE);
    uint64_t before = status_of("VmRSS");
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db = NULL;

    options.memory_budget = budget;
    options.background_threads = 2;
    CHECK_OK(varve_open(path, &options, &db));
    load(db, count);
    expect_within("loading", before, budget, 0);
    peak_reset();
    read_at_random(db, count, count / 4);
    expect_within("random reads", before, budget, 0);
    peak_reset();
    CHECK_EQ_U64(scan(db), count);
    expect_within("a scan", before, budget, 0);
    peak_reset();
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    expect_within("a compaction", before, budget, 0);
    CHECK_OK(varve_close(db));
    peak_reset();
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_EQ_U64(scan(db), count);
    expect_within("opening again", before, budget, 0);
    CHECK_OK(varve_close(db));
}

/* The value itself takes no memory here: it is the kernel's page of zeros, over and over. */
static void child_puts_a_large_value(const char *path)
{
    uint64_t budget = 16 * MIB;
    size_t size = 256 * MIB;
    void *zeros = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t before = status_of("VmRSS");
    varve_options options = VARVE_OPTIONS_INIT;
    varve_pinned pin;
    varve *db = NULL;

    CHECK(zeros != MAP_FAILED);
    options.memory_budget = budget;
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_put(db, VARVE_STR("large"), varve_bytes(zeros, size)));
    CHECK_OK(varve_flush(db));
    expect_within("a value of 256 MiB", before, budget, 0);
    peak_reset();
    CHECK_OK(varve_get(db, VARVE_STR("large"), &pin));
    CHECK_EQ_U64(pin.size, size);
    CHECK(memcmp(pin.data, zeros, size) == 0);
    expect_within("reading it", before, budget, size);
    varve_unpin(&pin);
    CHECK_OK(varve_close(db));
}

static void in_child(void (*run)(const char *path))
{
    char path[512];
    pid_t pid;
    int status;

    if (SANITIZED)
        test_skip("sanitizers take memory of their own");
    snprintf(path, sizeof path, "%s/store", test_tmpdir());
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        run(path);
        (void)fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        test_fail(__FILE__, __LINE__, "the child ended with status %x", (unsigned)status);
}

TEST(memory_stays_within_the_budget_at_work)
{
    in_child(child_works);
}

TEST(memory_stays_within_the_budget_for_a_large_value)
{
    in_child(child_puts_a_large_value);
}
