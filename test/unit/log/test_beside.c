/*
 * One thread appends, others sync and read: each sync covers what was laid before it, and each
 * reader sees a prefix that only grows.
 */
#include "env/posix.h"
#include "env/thread.h"
#include "unit/log/laying.h"

#include <stdio.h>

enum { RECORDS = 3000, SYNCERS = 2, READERS = 2 };

struct scene {
    struct vv_env *env;
    char path[600];
    struct vv_log *log;
    _Atomic(uint64_t) laid_size; /* release after an append: what a sync must cover from then on */
    _Atomic(bool) done;          /* release after the last append */
};

static void sync_along(void *arg)
{
    struct scene *s = arg;
    while (!atomic_load_explicit(&s->done, memory_order_acquire)) {
        uint64_t laid_size = atomic_load_explicit(&s->laid_size, memory_order_acquire);
        vv_assert(vv_log_sync(s->log) == VV_OK);
        vv_assert(vv_log_synced_size(s->log) >= laid_size);
        /* In this order: the appender goes on between the two. */
        uint64_t synced_size = vv_log_synced_size(s->log);
        vv_assert(vv_log_size(s->log) >= synced_size);
    }
}

static void read_along(void *arg)
{
    struct scene *s = arg;
    struct vv_log_reader *r;
    struct vv_record record;
    uint64_t seen = 0;
    int rc = vv_log_reader_open(s->env, s->path, &(struct vv_log_expect){0}, &r);
    vv_assert(rc == VV_OK);
    while (seen < RECORDS) {
        rc = vv_log_read(r, &record, NULL);
        vv_assert(rc == VV_OK || rc == VV_END);
        if (rc == VV_END) {
            vv_env_sleep_us(s->env, 100);
            continue;
        }
        vv_assert(record.seq == ++seen);
        vv_assert(laying_is(record.body, record.seq));
    }
    vv_log_reader_close(r);
}

static void append_all(struct scene *s)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        laying_append(s->log, seq, vv_rng_below(&rng, vv_rng_one_in(&rng, 20) ? 30000 : 300));
        atomic_store_explicit(&s->laid_size, vv_log_size(s->log), memory_order_release);
    }
    atomic_store_explicit(&s->done, true, memory_order_release);
}

static void run(bool has_spare)
{
    struct scene s = {.env = vv_env_posix()};
    char spare[600];
    struct vv_thread *threads[SYNCERS + READERS];
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
    const char *dir = test_tmpdir();
    (void)snprintf(s.path, sizeof s.path, "%s/a.log", dir);
    (void)snprintf(spare, sizeof spare, "%s/a.spare", dir);
    if (has_spare)
        CHECK_OK(vv_log_make_spare(s.env, spare, 1 << 20));
    options.spare = has_spare ? spare : NULL;
    CHECK_OK(vv_log_create(s.env, s.path, &options, &s.log));
    for (size_t i = 0; i < SYNCERS + READERS; i++)
        CHECK_OK(
            vv_thread_start("beside", 0, i < SYNCERS ? sync_along : read_along, &s, &threads[i]));
    append_all(&s);
    for (size_t i = 0; i < SYNCERS + READERS; i++)
        vv_thread_join(threads[i]);
    CHECK_OK(vv_log_sync(s.log));
    CHECK_EQ_U64(vv_log_synced_size(s.log), vv_log_size(s.log));
    vv_log_close(s.log);
    struct laying_result result = laying_read(s.env, s.path, true);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, RECORDS);
}

TEST(syncers_and_readers_keep_up_with_a_growing_file)
{
    run(false);
}

TEST(syncers_and_readers_keep_up_in_a_file_of_zeros)
{
    run(true);
}
