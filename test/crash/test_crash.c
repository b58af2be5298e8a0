/*
 * Power fails after every single call that changes a file, under every model of what survives, and
 * each time the store must come back as a prefix of its history that holds what was promised.
 *
 * A workload runs once; its world then gives the images. Named workloads walk through each kind of
 * background work; the bounded sequences try everything short.
 */
#include "harness/sweep.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <stdio.h>

static const enum varve_durability LEVEL_DEFAULT = VARVE_DURABILITY_DEFAULT;
static const enum varve_durability LEVEL_DISK = VARVE_DURABILITY_DISK;

/* ---- running a workload */

struct workload {
    const char *name;
    enum varve_durability durability;
    uint32_t value_log_min;
    void (*run)(struct rig *r);
};

static void sweep_workload(const struct workload *w)
{
    struct rig r;
    struct sweep s;

    trail_begin("workload %s; repeat with VARVE_SEED=%" PRIu64, w->name, test_seed());
    sweep_init(&s, test_seed());
    rig_init_sim(&r, test_seed());
    r.options.durability = w->durability;
    if (w->value_log_min)
        r.options.value_log_min = w->value_log_min;
    w->run(&r);
    if (r.db)
        TRAIL_OK(rig_close(&r));
    sweep_run(&s, &r, 0, rig_calls(&r));
    sweep_print(&s, w->name);
    CHECK(s.recoveries > 0);
    sweep_deinit(&s);
    rig_deinit(&r);
}

static void put_many(struct rig *r, unsigned from, unsigned to, size_t size,
                     enum varve_durability level)
{
    char key[32];

    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof key, "key%05u", i);
        TRAIL_OK(rig_put(r, key, size, i % 5 == 0 ? level : VARVE_DURABILITY_DEFAULT));
    }
}

static void delete_many(struct rig *r, unsigned from, unsigned to)
{
    char key[32];

    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof key, "key%05u", i);
        TRAIL_OK(rig_delete(r, key, VARVE_DURABILITY_DEFAULT));
    }
}

static void batch_many(struct rig *r, unsigned count, size_t size, enum varve_durability level)
{
    char keys[256][16];
    struct rig_change changes[256];

    CHECK(count <= 256);
    for (unsigned i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "batch%05u", i);
        changes[i] = (struct rig_change){.key = vv_slice_str(keys[i]), .size = size};
    }
    TRAIL_OK(rig_write(r, changes, count, level, RIG_BATCH));
}

static void compact_all(struct rig *r)
{
    TRAIL_OK(varve_compact(r->db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
}

static uint64_t stat_of(struct rig *r, uint64_t varve_stats_field)
{
    varve_stats stats = {.size = sizeof stats};
    uint64_t value;

    TRAIL_OK(varve_get_stats(r->db, &stats));
    memcpy(&value, (const char *)&stats + varve_stats_field, sizeof value);
    return value;
}

/* A field of the statistics, for proving that a workload did what its name says. */
#define STAT(r, field) stat_of((r), offsetof(varve_stats, field))

static uint64_t files_of(struct rig *r, const char *suffix)
{
    struct vv_buf names = VV_BUF_INIT;
    uint64_t highest = 0;

    TRAIL_OK(vv_env_list(r->world.env, r->path, &names));
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        if (strstr(name, suffix))
            highest++;
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    return highest;
}

/* ---- named workloads */

/* All that is written stands in three keyspaces, one of them with a comparator. */
static void run_keyspaces(struct rig *r)
{
    r->mirrors = 2;
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 8, 300, LEVEL_DISK);
    TRAIL_OK(rig_flush(r));
    batch_many(r, 5, 60, LEVEL_DISK);
    delete_many(r, 2, 5);
    TRAIL_OK(rig_flush(r));
    TRAIL_OK(rig_settle(r));
    put_many(r, 4, 9, 40, LEVEL_DEFAULT);
}

static void run_create(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    TRAIL_OK(rig_put(r, "a", 10, LEVEL_DISK));
    TRAIL_OK(rig_put(r, "b", 10, LEVEL_DEFAULT));
}

static void run_create_empty(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    TRAIL_OK(rig_close(r));
    TRAIL_OK(rig_open(r));
}

static void run_rotation(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 30, 100, LEVEL_DISK);
}

static void run_flush(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 10, 60, LEVEL_DEFAULT);
    TRAIL_OK(rig_flush(r));
    put_many(r, 5, 12, 60, LEVEL_DEFAULT);
    delete_many(r, 2, 4);
    TRAIL_OK(rig_flush(r));
    TRAIL_CHECK(STAT(r, flushes) >= 2);
}

static void run_merge(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    for (unsigned round = 0; round < 5; round++) {
        put_many(r, round * 3, round * 3 + 14, 80, LEVEL_DISK);
        delete_many(r, round * 2, round * 2 + 2);
        TRAIL_OK(rig_flush(r));
    }
    TRAIL_OK(rig_settle(r));
    TRAIL_CHECK(STAT(r, compactions) >= 1);
}

static void run_trivial_move(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    for (unsigned round = 0; round < 6; round++) {
        put_many(r, round * 100, round * 100 + 12, 80, LEVEL_DEFAULT);
        TRAIL_OK(rig_flush(r));
    }
    TRAIL_OK(rig_settle(r));
    TRAIL_CHECK(STAT(r, trivial_moves) >= 1);
}

/* Ranges in the log, in tables of their own, over tables below, and merged away. */
static void run_delete_range(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 12, 300, LEVEL_DEFAULT);
    TRAIL_OK(rig_flush(r));
    TRAIL_OK(rig_settle(r));
    TRAIL_OK(rig_delete_range(r, "key00003", "key00007", LEVEL_DISK));
    put_many(r, 5, 6, 300, LEVEL_DEFAULT);
    TRAIL_OK(rig_flush(r));
    TRAIL_OK(rig_delete_range(r, "key00000", "key00002", LEVEL_DEFAULT));
    TRAIL_OK(rig_flush(r));
    put_many(r, 20, 24, 300, LEVEL_DISK);
    TRAIL_OK(rig_delete_range(r, "a", "z", LEVEL_DISK));
    TRAIL_OK(rig_settle(r));
    put_many(r, 2, 4, 300, LEVEL_DEFAULT);
    compact_all(r);
    TRAIL_OK(rig_close(r));
}

static void run_manifest_rewrite(struct rig *r)
{
    r->world.tuning.manifest_bytes = 300;
    TRAIL_OK(rig_open(r));
    for (unsigned round = 0; round < 12; round++) {
        put_many(r, round, round + 3, 50, LEVEL_DEFAULT);
        TRAIL_OK(rig_flush(r));
    }
    TRAIL_OK(rig_settle(r));
}

static void run_value_log(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    for (unsigned round = 0; round < 5; round++) {
        put_many(r, 0, 8, 600 + round, round % 2 ? LEVEL_DISK : LEVEL_DEFAULT);
        TRAIL_OK(rig_flush(r));
        TRAIL_OK(rig_settle(r));
    }
    delete_many(r, 0, 6);
    TRAIL_OK(rig_flush(r));
    compact_all(r);
    TRAIL_OK(rig_settle(r));
    TRAIL_CHECK(STAT(r, value_log_bytes_written) > 0);
    TRAIL_CHECK(STAT(r, value_log_collections) > 0 || files_of(r, ".val") <= 2);
}

static void run_value_log_direct(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    for (unsigned i = 0; i < 6; i++) {
        put_many(r, i, i + 1, 5000, LEVEL_DEFAULT);
        put_many(r, i * 5, i * 5 + 1, 4200, LEVEL_DISK);
    }
    batch_many(r, 3, 4500, LEVEL_DISK);
    TRAIL_OK(rig_sync(r));
}

static void run_recycled_logs(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    TRAIL_OK(rig_settle(r));
    for (unsigned round = 0; round < 4; round++) {
        put_many(r, round, round + 14, 120, LEVEL_DISK);
        TRAIL_OK(rig_settle(r));
    }
}

/* All that ever happened is in the logs, some of them from earlier lives. */
static void run_kept_changes(struct rig *r)
{
    r->options.changes_keep = 1 << 30;
    for (unsigned round = 0; round < 3; round++) {
        TRAIL_OK(rig_open(r));
        put_many(r, round, round + 9, 150, LEVEL_DISK);
        put_many(r, round, round + 1, 5000, LEVEL_DEFAULT);
        TRAIL_OK(rig_delete_range(r, "key00002", "key00004", LEVEL_DEFAULT));
        if (round < 2)
            TRAIL_OK(rig_flush(r));
        put_many(r, 3, 6, 600, LEVEL_DEFAULT);
        TRAIL_OK(rig_settle(r));
        TRAIL_OK(rig_close(r));
    }
    TRAIL_CHECK(files_of(r, ".kept") > 1);
}

static void run_manual_compaction(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 40, 90, LEVEL_DEFAULT);
    delete_many(r, 10, 20);
    compact_all(r);
    put_many(r, 5, 15, 90, LEVEL_DEFAULT);
    TRAIL_OK(varve_compact(r->db, VARVE_STR("key00007"), VARVE_STR("key00012")));
}

static void run_close_and_open(struct rig *r)
{
    for (unsigned round = 0; round < 4; round++) {
        TRAIL_OK(rig_open(r));
        put_many(r, round * 4, round * 4 + 7, 100, LEVEL_DEFAULT);
        if (round % 2)
            TRAIL_OK(rig_settle(r));
        TRAIL_OK(rig_close(r));
    }
}

static void run_big_batch(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 5, 30, LEVEL_DEFAULT);
    batch_many(r, 60, 90, LEVEL_DISK);
    put_many(r, 5, 8, 30, LEVEL_DEFAULT);
    batch_many(r, 60, 80, LEVEL_DEFAULT);
    TRAIL_OK(rig_settle(r));
}

static void txn_many(struct rig *r, unsigned count, size_t size, enum varve_durability level,
                     enum rig_manner manner)
{
    char keys[64][16];
    struct rig_change changes[64];

    CHECK(count <= 64);
    for (unsigned i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "key%05u", i * 3);
        changes[i] =
            (struct rig_change){.key = vv_slice_str(keys[i]), .size = size, .gone = i % 4 == 3};
    }
    TRAIL_OK(rig_write(r, changes, count, level, manner));
}

static void run_transactions(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 5, 30, LEVEL_DEFAULT);
    txn_many(r, 7, 100, LEVEL_DISK, RIG_TXN);
    txn_many(r, 5, 600, LEVEL_DEFAULT, RIG_EXCLUSIVE);
    put_many(r, 5, 8, 30, LEVEL_DEFAULT);
    txn_many(r, 3, 4500, LEVEL_DEFAULT, RIG_TXN); /* values that are stowed */
    txn_many(r, 40, 90, LEVEL_DISK, RIG_EXCLUSIVE);
    TRAIL_OK(rig_settle(r));
    txn_many(r, 40, 80, LEVEL_DEFAULT, RIG_TXN);
}

/* Ascending keys, as one bulk; with `beside`, which writes to some of them, after it was begun. */
static void bulk_many(struct rig *r, unsigned from, unsigned to, size_t size, unsigned beside)
{
    struct rig_change changes[64];
    char keys[64][32];

    CHECK(to - from <= 64);
    TRAIL_OK(rig_bulk_begin(r));
    put_many(r, from, from + beside, 40, LEVEL_DEFAULT);
    for (unsigned i = from; i < to; i++) {
        snprintf(keys[i - from], sizeof keys[0], "key%05u", i);
        changes[i - from] = (struct rig_change){.key = vv_slice_str(keys[i - from]), .size = size};
    }
    TRAIL_OK(rig_write(r, changes, to - from, LEVEL_DEFAULT, RIG_BULK));
}

/* Into an empty store, over what is in memory and in tables, beside it, and merged away. */
static void run_bulk(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    bulk_many(r, 10, 40, 150, 0);
    TRAIL_CHECK(STAT(r, compactions) == 0 && STAT(r, log_bytes_written) == 0);
    put_many(r, 12, 15, 60, LEVEL_DEFAULT);
    bulk_many(r, 5, 20, 300, 4); /* values that go to a value file */
    put_many(r, 14, 17, 60, LEVEL_DISK);
    delete_many(r, 5, 8);
    bulk_many(r, 50, 58, 20, 2);
    TRAIL_OK(rig_bulk_begin(r)); /* and given up */
    TRAIL_OK(rig_close(r));
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 5, 200, LEVEL_DEFAULT);
    bulk_many(r, 0, 12, 500, 0);
    TRAIL_OK(rig_settle(r));
    bulk_many(r, 3, 6, 30, 1);
    compact_all(r);
}

static void run_no_log(struct rig *r)
{
    TRAIL_OK(rig_open(r));
    put_many(r, 0, 30, 100, LEVEL_DEFAULT);
    TRAIL_OK(rig_flush(r));
    put_many(r, 20, 40, 100, LEVEL_DEFAULT);
    TRAIL_OK(rig_put(r, "asks for more", 10, LEVEL_DISK));
    put_many(r, 0, 5, 100, LEVEL_DEFAULT);
    TRAIL_OK(rig_sync(r));
}

static void run_changed_durability(struct rig *r)
{
    for (unsigned round = 0; round < 5; round++) {
        r->options.durability = (enum varve_durability)(4 - round % 4);
        TRAIL_OK(rig_open(r));
        put_many(r, round * 3, round * 3 + 8, 150, LEVEL_DISK);
        TRAIL_OK(rig_close(r));
    }
}

#define CRASH_TEST(test_name, level, log_min, function)                                            \
    TEST(test_name)                                                                                \
    {                                                                                              \
        sweep_workload(                                                                            \
            &(struct workload){#test_name, VARVE_DURABILITY_##level, log_min, function});          \
    }

CRASH_TEST(creating_a_store_survives_power_cuts, INTERVAL, 0, run_create)
CRASH_TEST(creating_an_empty_store_survives_power_cuts, DISK, 0, run_create_empty)
CRASH_TEST(log_rotation_survives_power_cuts, OS, 0, run_rotation)
CRASH_TEST(flushes_survive_power_cuts, INTERVAL, 0, run_flush)
CRASH_TEST(merges_survive_power_cuts, INTERVAL, 0, run_merge)
CRASH_TEST(trivial_moves_survive_power_cuts, INTERVAL, 0, run_trivial_move)
CRASH_TEST(deleted_ranges_survive_power_cuts, INTERVAL, 0, run_delete_range)
CRASH_TEST(manifest_rewrites_survive_power_cuts, INTERVAL, 0, run_manifest_rewrite)
CRASH_TEST(the_value_log_survives_power_cuts, INTERVAL, 256, run_value_log)
CRASH_TEST(large_values_survive_power_cuts, INTERVAL, 256, run_value_log_direct)
CRASH_TEST(keyspaces_stay_together_through_power_cuts, INTERVAL, 256, run_keyspaces)
CRASH_TEST(recycled_logs_survive_power_cuts, DISK, 0, run_recycled_logs)
CRASH_TEST(kept_changes_have_no_gap_after_power_cuts, INTERVAL, 256, run_kept_changes)
CRASH_TEST(kept_changes_of_recycled_logs_have_no_gap_either, DISK, 256, run_kept_changes)
CRASH_TEST(manual_compaction_survives_power_cuts, INTERVAL, UINT32_MAX, run_manual_compaction)
CRASH_TEST(closing_and_opening_survives_power_cuts, OS, 0, run_close_and_open)
CRASH_TEST(batches_above_a_memtable_survive_power_cuts, INTERVAL, 0, run_big_batch)
CRASH_TEST(transactions_survive_power_cuts_whole_or_not_at_all, INTERVAL, 256, run_transactions)
CRASH_TEST(bulks_survive_power_cuts_whole_or_not_at_all, INTERVAL, 256, run_bulk)
CRASH_TEST(bulks_without_a_log_survive_power_cuts, NONE, 256, run_bulk)
CRASH_TEST(a_store_without_log_survives_power_cuts, NONE, 0, run_no_log)
CRASH_TEST(changing_durability_survives_power_cuts, INTERVAL, 0, run_changed_durability)

/* ---- many lives */

enum ending { ENDING_KILL, ENDING_CLOSE };

/* A store of default sizes, written to a little and ended, over and over. */
static void live_often(enum ending ending)
{
    struct rig r;

    trail_begin("many lives; repeat with VARVE_SEED=%" PRIu64, test_seed());
    rig_init_sim(&r, test_seed());
    r.world.tuning = (struct vv_lsm_tuning){0};
    r.options.durability = VARVE_DURABILITY_OS;
    for (int i = 0; i < 200; i++) {
        struct vv_env *image = NULL;

        trail_note("life %d", i);
        TRAIL_OK(rig_open(&r));
        rig_expect(&r, NULL, r.oracle.last);
        TRAIL_OK(rig_put(&r, i % 3 ? "a" : "b", i % 7 ? 50 : 5000, LEVEL_DEFAULT));
        if (ending == ENDING_CLOSE) {
            TRAIL_OK(rig_close(&r));
            continue;
        }
        TRAIL_OK(vv_sim_image(r.world.env, rig_calls(&r), VV_SIM_ALL, 0, &image));
        (void)varve_close(r.db);
        r.db = NULL;
        vv_env_sim_free(r.world.env);
        r.world.env = image;
        rig_restart(&r, r.oracle.last);
    }
    rig_deinit(&r);
}

TEST(a_store_killed_two_hundred_times_in_a_row_opens)
{
    live_often(ENDING_KILL);
}

TEST(a_store_closed_two_hundred_times_in_a_row_opens)
{
    live_often(ENDING_CLOSE);
}

/* ---- the interval level */

TEST(a_power_cut_costs_at_most_the_interval)
{
    struct rig r;
    struct sweep s;

    trail_begin("interval; repeat with VARVE_SEED=%" PRIu64, test_seed());
    sweep_init(&s, test_seed());
    rig_init_sim(&r, test_seed());
    r.options.durability = VARVE_DURABILITY_INTERVAL;
    r.options.sync_interval_ms = 1000;
    TRAIL_OK(rig_open(&r));
    for (unsigned round = 0; round < 4; round++) {
        put_many(&r, round * 2, round * 2 + 2, 40, LEVEL_DEFAULT);
        vv_sim_advance(r.world.env, 1100 * 1000);
        TRAIL_OK(rig_settle(&r));
        rig_promise_power(&r);
    }
    sweep_run(&s, &r, 0, rig_calls(&r));
    sweep_print(&s, "interval");
    sweep_deinit(&s);
    rig_deinit(&r);
}

/* ---- all short sequences */

enum {
    STEP_PUT_A,
    STEP_PUT_B_DISK,
    STEP_PUT_A_LARGE, /* goes to the value log */
    STEP_DELETE_A,
    STEP_BATCH,
    STEP_BATCH_BIG, /* more than a memtable */
    STEP_SYNC,
    STEP_FLUSH,
    STEP_TEND,
    STEP_SETTLE,
    STEP_COMPACT,
    STEP_REOPEN,
    STEP_COUNT
};

static const char *const step_names[STEP_COUNT] = {"put a",       "put b at level disk",
                                                   "put a large", "delete a",
                                                   "batch",       "big batch",
                                                   "sync",        "flush",
                                                   "tend",        "settle",
                                                   "compact",     "reopen"};

static void step_do(struct rig *r, unsigned step)
{
    enum vv_tended tended;

    trail_note("%s (commit %" PRIu64 ")", step_names[step], r->oracle.last + 1);
    switch (step) {
    case STEP_PUT_A: TRAIL_OK(rig_put(r, "a", 40, LEVEL_DEFAULT)); break;
    case STEP_PUT_B_DISK: TRAIL_OK(rig_put(r, "b", 50, LEVEL_DISK)); break;
    case STEP_PUT_A_LARGE: TRAIL_OK(rig_put(r, "a", 4500, LEVEL_DEFAULT)); break;
    case STEP_DELETE_A: TRAIL_OK(rig_delete(r, "a", LEVEL_DEFAULT)); break;
    case STEP_BATCH: batch_many(r, 4, 20, LEVEL_DEFAULT); break;
    case STEP_BATCH_BIG: batch_many(r, 30, 90, LEVEL_DEFAULT); break;
    case STEP_SYNC: TRAIL_OK(rig_sync(r)); break;
    case STEP_FLUSH: TRAIL_OK(rig_flush(r)); break;
    case STEP_TEND: TRAIL_OK(rig_tend(r, &tended)); break;
    case STEP_SETTLE: TRAIL_OK(rig_settle(r)); break;
    case STEP_COMPACT: compact_all(r); break;
    default:
        TRAIL_OK(rig_close(r));
        TRAIL_OK(rig_open(r));
        break;
    }
}

/* Runs a sequence and sweeps the calls of its last step; those before are other sequences' last. */
static void sequence_sweep(struct sweep *s, unsigned number, unsigned length)
{
    struct rig r;
    uint64_t from;

    trail_begin("sequence %u of length %u; repeat with VARVE_SEED=%" PRIu64, number, length,
                test_seed());
    rig_init_sim(&r, test_seed());
    r.options.durability = VARVE_DURABILITY_OS;
    TRAIL_OK(rig_open(&r));
    for (unsigned i = 0; i + 1 < length; i++, number /= STEP_COUNT)
        step_do(&r, number % STEP_COUNT);
    from = rig_calls(&r);
    step_do(&r, number % STEP_COUNT);
    sweep_run(s, &r, from, rig_calls(&r));
    sweep_deinit(s); /* what was seen belongs to one oracle */
    rig_deinit(&r);
}

TEST(every_sequence_of_up_to_three_steps_survives_power_cuts)
{
    static const unsigned powers[] = {1, STEP_COUNT, STEP_COUNT * STEP_COUNT,
                                      STEP_COUNT * STEP_COUNT * STEP_COUNT,
                                      STEP_COUNT * STEP_COUNT * STEP_COUNT * STEP_COUNT};
    unsigned length_max = test_soak() ? 4 : 3;
    struct sweep s;

    sweep_init(&s, test_seed());
    s.choices = test_soak() ? 4 : 2;
    for (unsigned length = 1; length <= length_max; length++) {
        for (unsigned number = 0; number < powers[length]; number++)
            sequence_sweep(&s, number, length);
    }
    sweep_print(&s, "sequences");
}
