/*
 * Power may fail after any call, and any call may fail: what was synced is there, what is there is a
 * prefix, and nothing innocent is ever taken for damage.
 */
#include "base/error.h"
#include "env/sim.h"
#include "unit/log/laying.h"

#include <stdio.h>

enum { APPENDS_MAX = 24, CHOICES = 6 };

#define SECOND_PATH "/b.log"

enum start { START_NEW, START_ZEROS, START_RECYCLED, START_COUNT };

/* What had been promised when, in numbers of calls. */
struct history {
    uint64_t named_at;                   /* the directory was synced */
    uint64_t laid_at[APPENDS_MAX + 1];   /* record i, from 1 */
    uint64_t synced_at[APPENDS_MAX + 1]; /* 0: never */
    uint64_t count;
    uint64_t failed_at; /* an append failed, which may have laid its record all the same; 0: none */
    uint64_t cut_at;    /* what it left was cut off; 0: never */
};

static struct vv_env *world_new(void)
{
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    return env;
}

static size_t body_size_of(struct vv_rng *rng)
{
    static const size_t body_sizes[] = {0, 1, 30, 480, 600, 3000, 4100, 9000};
    return body_sizes[vv_rng_below(rng, 8)];
}

static void prepare_spare(struct vv_env *env, enum start start)
{
    if (start == START_ZEROS)
        CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 20000));
    if (start != START_RECYCLED)
        return;
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
    struct vv_log *log;
    options.head.number = 3;
    CHECK_OK(vv_log_create(env, SPARE_PATH, &options, &log));
    for (uint64_t seq = 1; vv_log_size(log) < 20000; seq++)
        laying_append(log, seq, 700);
    CHECK_OK(vv_log_sync(log));
    vv_log_close(log);
    CHECK_OK(vv_env_sync_dir(env, "/"));
}

static int create(struct vv_env *env, enum start start, const char *path, uint64_t first_seq,
                  bool prev_synced, struct vv_log **out)
{
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, first_seq);
    options.spare = start == START_NEW ? NULL : SPARE_PATH;
    options.prev_synced = prev_synced;
    return vv_log_create(env, path, &options, out);
}

static void note_sync(struct history *h, uint64_t at)
{
    for (uint64_t i = 1; i <= h->count; i++) {
        if (h->synced_at[i] == 0)
            h->synced_at[i] = at;
    }
}

/* Lays records from 1001 on, with syncs between, and stops at the first failure. */
static int run(struct vv_env *env, struct vv_rng *rng, struct vv_log *log, struct history *h)
{
    int rc = vv_env_sync_dir(env, "/");
    h->named_at = rc == VV_OK ? vv_sim_call_count(env) : 0;
    uint64_t wanted = 1 + vv_rng_below(rng, APPENDS_MAX);
    while (rc == VV_OK && h->count < wanted) {
        if ((rc = laying_try_append(log, 1001 + h->count, body_size_of(rng))) < 0)
            break;
        h->laid_at[++h->count] = vv_sim_call_count(env);
        if (vv_rng_one_in(rng, 3) && (rc = vv_log_sync(log)) == VV_OK)
            note_sync(h, vv_sim_call_count(env));
    }
    return rc;
}

/* How many records had been promised to survive when call `n` was done. */
static uint64_t promised(const struct history *h, uint64_t n, enum vv_sim_model model)
{
    uint64_t count = 0;
    if (model != VV_SIM_ALL && (h->named_at == 0 || h->named_at > n))
        return 0;
    for (uint64_t i = 1; i <= h->count; i++) {
        uint64_t at = model == VV_SIM_ALL ? h->laid_at[i] : h->synced_at[i];
        if (at != 0 && at <= n)
            count = i;
    }
    return count;
}

static void fail_at_crash(const struct vv_env *env, uint64_t n, int model, uint64_t choice,
                          const char *what)
{
    char call[128];
    vv_sim_call_describe(env, n, call, sizeof call);
    test_fail(__FILE__, __LINE__, "%s: power cut after call %" PRIu64 " (%s), model %d, choice %d",
              what, n, call, model, (int)choice);
}

static void check_image(const struct vv_env *env, const struct history *h, uint64_t n, int model,
                        uint64_t choice)
{
    struct vv_env *image;
    CHECK_OK(vv_sim_image(env, n, (enum vv_sim_model)model, choice, &image));
    struct laying_result result = laying_read(image, LOG_PATH, false);
    bool absent = result.open_rc == VV_NOTFOUND || result.open_rc == VV_END;
    if (!absent && result.rc != VV_END)
        fail_at_crash(env, n, model, choice, "an innocent log is refused");
    if (result.count > 0 && result.last_seq != 1000 + result.count)
        fail_at_crash(env, n, model, choice, "the first records are not there");
    if (result.count < promised(h, n, (enum vv_sim_model)model))
        fail_at_crash(env, n, model, choice, "a synced record is gone");
    bool ragged = h->failed_at != 0 && n >= h->failed_at && (h->cut_at == 0 || n < h->cut_at);
    if (result.count > h->count + (ragged ? 1 : 0))
        fail_at_crash(env, n, model, choice, "a record is there that was never laid");
    vv_env_sim_free(image);
}

static void check_images(const struct vv_env *env, const struct history *h, uint64_t from)
{
    for (uint64_t n = from; n <= vv_sim_call_count(env); n++) {
        for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
            bool drawn = model != VV_SIM_SYNCED && model != VV_SIM_ALL;
            for (uint64_t choice = 0; choice < (drawn ? CHOICES : 1); choice++)
                check_image(env, h, n, model, choice);
        }
    }
}

TEST(a_power_cut_after_any_call_leaves_a_prefix_with_all_that_was_synced)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    int rounds = test_soak() ? 400 : 8;
    for (int round = 0; round < rounds; round++) {
        for (int start = 0; start < START_COUNT; start++) {
            struct vv_env *env = world_new();
            struct history h = {0};
            struct vv_log *log;
            prepare_spare(env, (enum start)start);
            uint64_t from = vv_sim_call_count(env);
            CHECK_OK(create(env, (enum start)start, LOG_PATH, 1001, false, &log));
            CHECK_OK(run(env, &rng, log, &h));
            vv_log_close(log);
            check_images(env, &h, from);
            vv_env_sim_free(env);
        }
    }
}

/* Whether the log's first record is there and says that all before it was synced. */
static bool vouches(struct vv_env *env, const char *path)
{
    struct vv_log_reader *r;
    struct vv_record record;
    if (vv_log_reader_open(env, path, &(struct vv_log_expect){0}, &r) != VV_OK)
        return false;
    int rc = vv_log_read(r, &record, NULL);
    vv_log_reader_close(r);
    return rc == VV_OK && (record.flags & VV_RECORD_PREV_SYNCED) != 0;
}

TEST(a_log_that_is_vouched_for_is_whole_after_any_power_cut)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int start = 0; start < START_COUNT; start++) {
        struct vv_env *env = world_new();
        struct history h = {0};
        struct vv_log *log;
        struct vv_log *second;
        unsigned vouched = 0;
        prepare_spare(env, (enum start)start);
        CHECK_OK(create(env, (enum start)start, LOG_PATH, 1001, false, &log));
        CHECK_OK(run(env, &rng, log, &h));
        CHECK_OK(vv_log_sync(log));
        CHECK_OK(create(env, START_NEW, SECOND_PATH, 1001 + h.count, true, &second));
        laying_append(second, 1001 + h.count, 600);
        laying_append(second, 1002 + h.count, 600);
        vv_log_close(log);
        vv_log_close(second);
        for (uint64_t n = 0; n <= vv_sim_call_count(env); n++) {
            for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
                struct vv_env *image;
                CHECK_OK(vv_sim_image(env, n, (enum vv_sim_model)model, n, &image));
                if (vouches(image, SECOND_PATH)) {
                    struct laying_result result = laying_read(image, LOG_PATH, true);
                    vouched++;
                    if (result.rc != VV_END || result.count != h.count)
                        fail_at_crash(env, n, model, n, "a log that was vouched for is not whole");
                }
                vv_env_sim_free(image);
            }
        }
        CHECK(vouched > 0);
        vv_env_sim_free(env);
    }
}

/* ---- failing calls */

/* After a failed append or sync: everything fails the same way, until a sync cuts the end off. */
static void check_sticky(struct vv_log *log, int rc, bool sync_failed)
{
    char story[600];
    (void)snprintf(story, sizeof story, "%s", vv_error_story());
    for (int i = 0; i < 3; i++) {
        (void)vv_fail(VV_INVALID, "something else");
        CHECK_RC(laying_try_append(log, 2000, 10), rc);
        CHECK_EQ_STR(vv_error_story(), story);
        if (sync_failed) {
            (void)vv_fail(VV_INVALID, "something else");
            CHECK_RC(vv_log_sync(log), rc);
            CHECK_EQ_STR(vv_error_story(), story);
        }
    }
}

/* Runs the workload with one failing call and gives whether it met it. */
static bool run_with_fault(uint64_t n, enum vv_sim_fault fault, enum start start, bool sticky)
{
    struct vv_rng rng = vv_rng_of(test_seed() + n);
    struct vv_env *env = world_new();
    struct history h = {0};
    struct vv_log *log;
    prepare_spare(env, start);
    CHECK_OK(create(env, start, LOG_PATH, 1001, false, &log));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    uint64_t before = vv_sim_call_count(env);
    vv_sim_fail_at(env, n, fault, sticky);
    int rc = run(env, &rng, log, &h);
    bool append_failed = rc < 0 && h.named_at != 0 && laying_try_append(log, 3000, 0) == rc;
    if (append_failed) {
        uint64_t size = vv_log_size(log);
        h.failed_at = vv_sim_call_count(env);
        vv_sim_fail_at(env, 0, fault, false);
        int sync_rc = vv_log_sync(log);
        check_sticky(log, rc, sync_rc < 0);
        if (sync_rc == VV_OK) {
            struct laying_result result = laying_read(env, LOG_PATH, true);
            note_sync(&h, vv_sim_call_count(env));
            h.cut_at = vv_sim_call_count(env);
            CHECK_RC(result.rc, VV_END);
            CHECK_EQ_U64(result.count, h.count);
            CHECK_EQ_U64(result.end, size);
            CHECK_EQ_INT(result.tail, VV_LOG_TAIL_CLEAN);
            CHECK_EQ_U64(vv_log_synced_size(log), size);
        }
    }
    vv_log_close(log);
    if (rc < 0 && append_failed)
        check_images(env, &h, before);
    vv_env_sim_free(env);
    return rc < 0;
}

TEST(a_failed_call_is_told_for_ever_and_loses_nothing_that_was_promised)
{
    static const enum vv_sim_fault faults[] = {VV_SIM_FAULT_IO, VV_SIM_FAULT_FULL,
                                               VV_SIM_FAULT_SHORT, VV_SIM_FAULT_SYNC_LOST};
    unsigned met = 0;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (int start = 0; start < START_COUNT; start++) {
            for (uint64_t n = 1; n < 24; n++)
                met += run_with_fault(n, faults[i], (enum start)start, false);
        }
    }
    CHECK(met > 50);
}

/* A log of one synced and one unsynced record, behind which a failed append left some bytes. */
static struct vv_log *ragged_log(struct vv_env *env)
{
    struct vv_log *log;
    uint64_t size_bytes;
    CHECK_OK(create(env, START_NEW, LOG_PATH, 1001, true, &log));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    laying_append(log, 1001, 100);
    CHECK_OK(vv_log_cut(log)); /* there is nothing to cut */
    CHECK_EQ_U64(vv_log_synced_size(log), 0);
    CHECK_OK(vv_log_sync(log));
    laying_append(log, 1002, 100);
    vv_sim_set_capacity(env, vv_log_size(log) + 150);
    CHECK_RC(laying_try_append(log, 1003, 1000), VV_FULL);
    CHECK_OK(vv_file_size(vv_log_file(log), &size_bytes));
    CHECK_EQ_U64(size_bytes, vv_log_size(log) + 150);
    return log;
}

TEST(what_a_failed_append_left_is_cut_off_for_good)
{
    struct vv_env *env = world_new();
    struct vv_env *image;
    struct vv_log *log = ragged_log(env);
    uint64_t size_bytes;
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, false);
    CHECK_RC(vv_log_cut(log), VV_IO);
    CHECK_OK(vv_log_cut(log)); /* a cut that failed was no sync that failed */
    uint64_t calls = vv_sim_call_count(env);
    CHECK_OK(vv_log_cut(log));
    CHECK_EQ_U64(vv_sim_call_count(env), calls);
    CHECK_OK(vv_file_size(vv_log_file(log), &size_bytes));
    CHECK_EQ_U64(size_bytes, vv_log_size(log));
    CHECK(vv_log_synced_size(log) < vv_log_size(log)); /* what it refers to may not be safe */
    CHECK_RC(laying_try_append(log, 1003, 10), VV_FULL);
    CHECK_OK(vv_sim_image(env, calls, VV_SIM_SYNCED, 0, &image));
    struct laying_result result = laying_read(image, LOG_PATH, true);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, 2);
    CHECK_EQ_U64(result.end, size_bytes);
    vv_env_sim_free(image);
    vv_log_close(log);
    vv_env_sim_free(env);
}

TEST(a_cut_whose_sync_fails_is_the_last_of_the_log)
{
    struct vv_env *env = world_new();
    struct vv_log *log = ragged_log(env);
    vv_sim_fail_at(env, 2, VV_SIM_FAULT_SYNC_LOST, false);
    CHECK_RC(vv_log_cut(log), VV_IO);
    CHECK_RC(vv_log_cut(log), VV_IO);
    CHECK_RC(vv_log_sync(log), VV_IO);
    CHECK_RC(laying_try_append(log, 1003, 10), VV_FULL);
    CHECK_EQ_U64(vv_log_synced_size(log), 0);
    vv_log_close(log);
    vv_env_sim_free(env);
}

TEST(creating_a_log_may_fail_anywhere_and_be_tried_again)
{
    for (int start = 0; start < START_COUNT; start++) {
        bool met = true;
        for (uint64_t n = 1; met; n++) {
            struct vv_env *env = world_new();
            struct vv_log *log = NULL;
            prepare_spare(env, (enum start)start);
            vv_sim_fail_at(env, n, VV_SIM_FAULT_IO, false);
            int rc = create(env, (enum start)start, LOG_PATH, 1001, false, &log);
            vv_sim_fail_at(env, 0, VV_SIM_FAULT_NONE, false);
            met = rc < 0;
            if (met) {
                CHECK_RC(rc, VV_IO);
                CHECK_OK(create(env, (enum start)start, SECOND_PATH, 1001, false, &log));
            }
            laying_append(log, 1001, 100);
            vv_log_close(log);
            CHECK_EQ_U64(laying_read(env, met ? SECOND_PATH : LOG_PATH, true).count, 1);
            vv_env_sim_free(env);
        }
    }
}

TEST(a_full_disk_is_told_and_what_was_laid_can_be_synced)
{
    struct vv_env *env = world_new();
    struct vv_log *log;
    uint64_t count = 0;
    int rc;
    CHECK_OK(create(env, START_NEW, LOG_PATH, 1001, false, &log));
    vv_sim_set_capacity(env, 20000);
    while ((rc = laying_try_append(log, 1001 + count, 700)) == VV_OK)
        count++;
    CHECK_RC(rc, VV_FULL);
    CHECK(count > 10);
    CHECK_EQ_U64(vv_log_synced_size(log), 0);
    CHECK_RC(laying_try_append(log, 1001 + count, 0), VV_FULL);
    CHECK_OK(vv_log_sync(log));
    CHECK_EQ_U64(vv_log_synced_size(log), vv_log_size(log));
    vv_sim_set_capacity(env, 0);
    CHECK_RC(laying_try_append(log, 1001 + count, 0), VV_FULL);
    vv_log_close(log);
    struct laying_result result = laying_read(env, LOG_PATH, true);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, count);
    vv_env_sim_free(env);
}

TEST(a_spare_that_cannot_be_finished_leaves_no_file)
{
    struct vv_env *env = world_new();
    struct vv_path_info info;
    vv_sim_set_capacity(env, 3 << 20);
    CHECK_RC(vv_log_make_spare(env, SPARE_PATH, 8 << 20), VV_FULL);
    CHECK_RC(vv_env_info(env, SPARE_PATH, &info), VV_NOTFOUND);
    CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 1 << 20));
    vv_env_sim_free(env);
}

TEST(an_append_into_a_spare_needs_no_space)
{
    struct vv_env *env = world_new();
    struct vv_log *log;
    CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 1 << 16));
    CHECK_OK(create(env, START_ZEROS, LOG_PATH, 1001, true, &log));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_FULL, true);
    laying_append(log, 1001, 60000);
    CHECK_OK(vv_log_sync(log));
    CHECK_RC(laying_try_append(log, 1002, 10000), VV_FULL);
    vv_log_close(log);
    vv_env_sim_free(env);
}

TEST(a_failed_read_is_a_failure_and_no_end)
{
    struct vv_env *env = world_new();
    struct vv_log *log;
    uint64_t count = 0;
    CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 3 << 20));
    CHECK_OK(create(env, START_ZEROS, LOG_PATH, 1001, true, &log));
    while (vv_log_size(log) < 1 << 20)
        laying_append(log, 1001 + count++, 50000);
    vv_log_close(log);
    bool met = true;
    for (uint64_t n = 1; met; n++) {
        vv_sim_fail_read_at(env, n, false);
        struct laying_result result = laying_read(env, LOG_PATH, false);
        met = result.rc != VV_END;
        if (met)
            CHECK_RC(result.rc, VV_IO);
        else
            CHECK_EQ_U64(result.count, count);
    }
    vv_sim_fail_read_at(env, 0, false);
    vv_env_sim_free(env);
}
