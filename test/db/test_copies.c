/*
 * Checkpoints and backups while threads write: each copy shows a prefix of what was written, with all
 * that was acknowledged before the call, and batches whole.
 */
#include "db/open.h"
#include "env/posix.h"
#include "env/thread.h"
#include "harness/test.h"

#include <stdatomic.h>
#include <stdio.h>

enum { WRITERS = 3, COPIES = 6, VALUE_SIZE = 6000 };

struct writer {
    struct vv_thread *thread;
    varve *db;
    unsigned index;
    _Atomic(uint64_t) done; /* batches that were acknowledged */
    atomic_bool *over;
};

static void key_of(char into[32], unsigned writer, char half)
{
    (void)snprintf(into, 32, "w%u%c", writer, half);
}

/* Batch n writes n under two keys far from each other, and an entry that stays. Every few are large
 * enough for the value log. */
static void write_on(void *arg)
{
    struct writer *w = arg;
    static const char filler[VALUE_SIZE];
    varve_batch *batch;
    char left[32], right[32], own[64];
    CHECK_OK(varve_batch_new(&batch));
    for (uint64_t n = 1; !atomic_load(w->over); n++) {
        key_of(left, w->index, 'a');
        key_of(right, w->index, 'z');
        (void)snprintf(own, sizeof own, "m%u-%08llu", w->index, (unsigned long long)n);
        varve_batch_clear(batch);
        CHECK_OK(varve_batch_put(batch, VARVE_STR(left), varve_bytes(&n, sizeof n)));
        CHECK_OK(varve_batch_put(batch, VARVE_STR(own),
                                 varve_bytes(filler, n % 4 == 0 ? VALUE_SIZE : 200)));
        CHECK_OK(varve_batch_put(batch, VARVE_STR(right), varve_bytes(&n, sizeof n)));
        CHECK_OK(varve_write(w->db, batch, NULL));
        atomic_store(&w->done, n);
        if (n % 512 == 0)
            CHECK_OK(varve_sync(w->db));
    }
    varve_batch_free(batch);
}

static uint64_t number_at(varve *db, unsigned writer, char half)
{
    char key[32];
    uint64_t n = 0;
    size_t size = 0;
    key_of(key, writer, half);
    int rc = varve_get_into(db, VARVE_STR(key), &n, sizeof n, &size);
    CHECK(rc == VARVE_OK || rc == VARVE_NOTFOUND);
    return n;
}

/* Opens the copy and looks; at least `least` batches of each writer must be there. */
static void expect_prefix(const struct vv_db_world *world, const char *path, const uint64_t *least)
{
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db;
    options.mode = VARVE_MODE_EXISTING;
    options.memory_budget = 8 << 20;
    if (vv_db_open(world, path, &options, &db) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", path, varve_last_error());
    for (unsigned i = 0; i < WRITERS; i++) {
        char own[64];
        uint64_t n = number_at(db, i, 'a');
        CHECK_EQ_U64(number_at(db, i, 'z'), n);
        CHECK(n >= least[i]);
        for (uint64_t k = 1; k <= n; k++) {
            (void)snprintf(own, sizeof own, "m%u-%08llu", i, (unsigned long long)k);
            CHECK_OK(varve_exists(db, VARVE_STR(own)));
        }
        (void)snprintf(own, sizeof own, "m%u-%08llu", i, (unsigned long long)n + 1);
        CHECK_RC(varve_exists(db, VARVE_STR(own)), VARVE_NOTFOUND);
    }
    if (varve_verify(db, NULL, NULL) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", path, varve_last_error());
    CHECK_OK(varve_close(db));
}

TEST(copies_made_beside_writers_show_a_prefix_of_what_they_wrote)
{
    struct vv_db_world world = {.env = vv_env_posix(),
                                .tuning = {.memtable_bytes = 512 << 10,
                                           .table_bytes = 256 << 10,
                                           .base_level_bytes = 1 << 20,
                                           .value_file_bytes = 4 << 20}};
    struct writer writers[WRITERS];
    varve_options options = VARVE_OPTIONS_INIT;
    atomic_bool over = false;
    char store[600], path[600], backups[600];
    varve *db;
    (void)snprintf(store, sizeof store, "%s/store", test_tmpdir());
    (void)snprintf(backups, sizeof backups, "%s/backups", test_tmpdir());
    options.memory_budget = 8 << 20;
    options.background_threads = 2;
    CHECK_OK(vv_db_open(&world, store, &options, &db));
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.db = db, .index = i, .over = &over};
        CHECK_OK(vv_thread_start("writer", 0, write_on, &writers[i], &writers[i].thread));
    }
    for (unsigned c = 0; c < COPIES; c++) {
        uint64_t least[WRITERS];
        vv_env_sleep_us(world.env, 50 * 1000);
        for (unsigned i = 0; i < WRITERS; i++)
            least[i] = atomic_load(&writers[i].done);
        (void)snprintf(path, sizeof path, "%s/copy%u", test_tmpdir(), c);
        if (c % 2 == 0) {
            if (varve_checkpoint(db, path) < 0)
                test_fail(__FILE__, __LINE__, "checkpoint: %s", varve_last_error());
        } else {
            if (varve_backup_create(db, backups, NULL, NULL) < 0)
                test_fail(__FILE__, __LINE__, "backup: %s", varve_last_error());
            CHECK_OK(varve_backup_restore(backups, 0, path, NULL));
        }
        expect_prefix(&world, path, least);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < WRITERS; i++)
        vv_thread_join(writers[i].thread);
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_backup_verify(backups, 0, NULL, NULL, NULL));
}
