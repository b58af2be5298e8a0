/*
 * The writing half of the model, and the life of its store: closed, crashed and opened again with
 * other options.
 */
#include "harness/model.h"

#include "env/mem.h"
#include "harness/test.h"
#include "harness/trail.h"
#include "sst/table.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DUMP_EVERY = 200, /* operations between whole comparisons */
    BATCH_MAX = 12,
    BATCH_BIG_MAX = 120,
    CRASH_BACK_MAX = 40, /* how many calls before now a crash may lie */
    KEEP_SOME = 8192,
    KEEP_ALL = 1 << 30,
};

static const uint32_t default_weights[MODEL_OP_COUNT] = {
    [MODEL_PUT] = 50,          [MODEL_DELETE] = 30,
    [MODEL_BATCH] = 16,        [MODEL_BATCH_BIG] = 1,
    [MODEL_DELETE_RANGE] = 4,  [MODEL_TXN] = 8,
    [MODEL_GET] = 20,          [MODEL_GET_INTO] = 4,
    [MODEL_MULTI_GET] = 6,     [MODEL_EXISTS] = 4,
    [MODEL_WALK] = 12,         [MODEL_HELD_ITER] = 10,
    [MODEL_HELD_PIN] = 4,      [MODEL_SNAPSHOT_NEW] = 6,
    [MODEL_SNAPSHOT_READ] = 3, [MODEL_SNAPSHOT_RELEASE] = 4,
    [MODEL_FLUSH] = 6,         [MODEL_TEND] = 30,
    [MODEL_SETTLE] = 2,        [MODEL_COMPACT] = 3,
    [MODEL_PAUSE] = 1,         [MODEL_SYNC] = 4,
    [MODEL_STATS] = 2,         [MODEL_VERIFY] = 1,
    [MODEL_READONLY] = 2,      [MODEL_CHECKPOINT] = 1,
    [MODEL_REOPEN] = 5,        [MODEL_CRASH] = 6,
    [MODEL_COLUMNS] = 6,       [MODEL_BULK] = 4,
    [MODEL_PASS] = 3,          [MODEL_CHANGES] = 6,
};

static const char *const level_names[] = {"default", "none", "os", "interval", "disk"};

/* ---- options */

static enum varve_compression compression_draw(struct vv_rng *rng)
{
    switch (vv_rng_below(rng, 4)) {
    case 0: return VARVE_COMPRESSION_NONE;
    case 1:
        return vv_codec_available(VV_CODEC_LZ4) ? VARVE_COMPRESSION_LZ4 : VARVE_COMPRESSION_NONE;
    case 2:
        return vv_codec_available(VV_CODEC_ZSTD) ? VARVE_COMPRESSION_ZSTD : VARVE_COMPRESSION_NONE;
    default: return VARVE_COMPRESSION_DEFAULT;
    }
}

static void options_draw(struct model *m)
{
    static const uint32_t value_log_mins[] = {256, 257, 1024, 4096, UINT32_MAX};
    varve_options *options = &m->rig.options;

    options->compression = compression_draw(&m->rng);
    options->value_log_min = value_log_mins[vv_rng_below(&m->rng, 5)];
    options->memory_budget = (uint64_t)4 << (20 + vv_rng_below(&m->rng, 3));
    options->durability = (enum varve_durability)vv_rng_below(&m->rng, 5);
    if (options->durability == VARVE_DURABILITY_NONE && !vv_rng_one_in(&m->rng, 3))
        options->durability = VARVE_DURABILITY_DISK;
    static const uint64_t keeps[] = {0, KEEP_SOME, KEEP_ALL, KEEP_ALL};
    options->changes_keep = keeps[vv_rng_below(&m->rng, 4)];
    if (options->durability == VARVE_DURABILITY_NONE)
        options->changes_keep = 0;
    m->may_miss = m->may_miss || options->changes_keep < KEEP_ALL;
    m->rig.world.tuning = rig_tuning_draw(&m->rng);
}

static void store_open(struct model *m)
{
    options_draw(m);
    trail_note("open: durability %s, value_log_min %" PRIu32 ", compression %d, memtable %" PRIu64
               ", block %" PRIu32,
               level_names[m->rig.options.durability], m->rig.options.value_log_min,
               (int)m->rig.options.compression, m->rig.world.tuning.memtable_bytes,
               m->rig.world.tuning.block_bytes);
    TRAIL_OK(rig_open(&m->rig));
    m->paused = 0;
}

/* ---- writing */

static enum varve_durability level_draw(struct model *m)
{
    return vv_rng_one_in(&m->rng, 4) ? (enum varve_durability)vv_rng_below(&m->rng, 5)
                                     : VARVE_DURABILITY_DEFAULT;
}

/* Mostly short ranges; now and then one that is empty, or has nearly all. */
static struct rig_change range_draw(struct model *m)
{
    vv_slice a = sample_key_pick(&m->keys, &m->rng);
    vv_slice b = sample_key_pick(&m->keys, &m->rng);
    bool back = vv_slice_cmp(a, b) > 0 && !vv_rng_one_in(&m->rng, 8);
    struct rig_change change = {.key = back ? b : a, .to = back ? a : b, .gone = true};
    size_t index = oracle_lower(&m->rig.oracle, change.key);
    size_t near = index + 1 + (size_t)vv_rng_below(&m->rng, 6);

    if (!vv_rng_one_in(&m->rng, 6) && near < m->rig.oracle.count &&
        vv_slice_cmp(m->rig.oracle.keys[near].key, change.to) < 0)
        change.to = m->rig.oracle.keys[near].key;
    if (change.to.data == NULL)
        change.to = vv_slice_of("", 0);
    if (change.key.data == NULL)
        change.key = vv_slice_of("", 0);
    return change;
}

static struct rig_change change_draw(struct model *m)
{
    if (vv_rng_one_in(&m->rng, 40))
        return range_draw(m);
    return (struct rig_change){
        .key = sample_key_pick(&m->keys, &m->rng),
        .size = sample_size_draw(&m->rng, m->rig.options.value_log_min,
                                 m->rig.world.tuning.block_bytes),
        .gone = vv_rng_one_in(&m->rng, 3),
    };
}

static void write_one(struct model *m, bool gone)
{
    struct rig_change change = change_draw(m);
    enum varve_durability level = level_draw(m);

    change.gone = gone;
    change.to = VV_SLICE_EMPTY;
    trail_note("commit %" PRIu64 ": %s %s, %zu bytes, level %s", m->rig.oracle.last + 1,
               gone ? "delete" : "put", sample_text(change.key), change.size, level_names[level]);
    TRAIL_OK(rig_write(&m->rig, &change, 1, level, RIG_PLAIN));
}

static void write_range(struct model *m)
{
    struct rig_change change = range_draw(m);
    enum varve_durability level = level_draw(m);

    trail_note("commit %" PRIu64 ": delete from %s", m->rig.oracle.last + 1,
               sample_text(change.key));
    trail_note("  up to %s, level %s", sample_text(change.to), level_names[level]);
    TRAIL_OK(rig_write(&m->rig, &change, 1, level, RIG_PLAIN));
}

static int change_cmp(const void *a, const void *b)
{
    const struct rig_change *x = a, *y = b;

    return vv_slice_cmp(x->key, y->key);
}

/* Ascending, each key once. */
static size_t changes_sort(struct rig_change *changes, size_t count)
{
    size_t kept = 0;

    qsort(changes, count, sizeof *changes, change_cmp);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || change_cmp(&changes[kept - 1], &changes[i]) != 0)
            changes[kept++] = changes[i];
    return kept;
}

static void write_many(struct model *m, size_t count, enum rig_manner manner)
{
    static const char *const names[] = {"plain",   "batch", "transaction", "exclusive transaction",
                                        "columns", "bulk"};
    struct rig_change changes[BATCH_BIG_MAX];
    enum varve_durability level = level_draw(m);

    for (size_t i = 0; i < count; i++) {
        changes[i] = change_draw(m);
        if (manner == RIG_COLUMNS || manner == RIG_BULK) {
            changes[i].gone = false;
            changes[i].to = VV_SLICE_EMPTY;
        }
    }
    if (manner == RIG_BULK)
        count = changes_sort(changes, count);
    trail_note("commit %" PRIu64 ": %s of %zu, level %s", m->rig.oracle.last + 1, names[manner],
               count, level_names[level]);
    TRAIL_OK(rig_write(&m->rig, changes, count, level, manner));
}

/* Now and then others write after the bulk was begun, and its keys too. */
static void write_bulk(struct model *m)
{
    m->may_miss = true; /* what is in no log cannot be kept there */
    if (vv_rng_one_in(&m->rng, 2)) {
        trail_note("begin a bulk");
        TRAIL_OK(rig_bulk_begin(&m->rig));
        for (uint64_t i = vv_rng_below(&m->rng, 4); i > 0; i--)
            write_one(m, vv_rng_one_in(&m->rng, 3));
        if (vv_rng_one_in(&m->rng, 4))
            TRAIL_OK(rig_flush(&m->rig));
    }
    write_many(m, 1 + vv_rng_below(&m->rng, vv_rng_one_in(&m->rng, 4) ? BATCH_BIG_MAX : BATCH_MAX),
               RIG_BULK);
}

/* The present entry of an iterator stays, though it has expired: those held would show more than the
 * oracle. */
static void pass(struct model *m)
{
    uint64_t ms = 1 + vv_rng_below(&m->rng, 1500);

    trail_note("%" PRIu64 " ms go by", ms);
    for (int i = 0; i < MODEL_HELD_MAX; i++) {
        varve_iter_close(m->iters[i].iter);
        m->iters[i].iter = NULL;
    }
    rig_pass(&m->rig, ms);
}

/* ---- snapshots */

static void snapshot_step(struct model *m, enum model_op op)
{
    struct model_held_snapshot *held = &m->snapshots[vv_rng_below(&m->rng, MODEL_HELD_MAX)];

    if (op == MODEL_SNAPSHOT_NEW && !held->snapshot) {
        held->commit = rig_visible(&m->rig);
        trail_note("snapshot of commit %" PRIu64, held->commit);
        TRAIL_OK(varve_snapshot_new(m->rig.db, &held->snapshot));
    } else if (op == MODEL_SNAPSHOT_READ && held->snapshot) {
        trail_note("read all of the snapshot of commit %" PRIu64, held->commit);
        rig_expect(&m->rig, held->snapshot, held->commit);
    } else if (op == MODEL_SNAPSHOT_RELEASE && held->snapshot) {
        trail_note("release the snapshot of commit %" PRIu64, held->commit);
        varve_snapshot_release(held->snapshot);
        held->snapshot = NULL;
    }
}

/* ---- care */

static void compact(struct model *m)
{
    vv_slice from = VV_SLICE_EMPTY;
    vv_slice to = VV_SLICE_EMPTY;

    if (m->paused > 0) {
        TRAIL_RC(varve_compact(m->rig.db, sample_public(from), sample_public(to)), VARVE_BUSY);
        return;
    }
    if (vv_rng_one_in(&m->rng, 2))
        from = sample_key_pick(&m->keys, &m->rng);
    if (vv_rng_one_in(&m->rng, 2))
        to = sample_key_pick(&m->keys, &m->rng);
    trail_note("compact from %s to %s", from.data ? sample_text(from) : "the first",
               to.data ? sample_text(to) : "the last");
    TRAIL_OK(varve_compact(m->rig.db, sample_public(from), sample_public(to)));
}

static void pause_or_resume(struct model *m)
{
    if (m->paused > 0 || vv_rng_one_in(&m->rng, 2)) {
        while (m->paused > 0) {
            trail_note("resume");
            TRAIL_OK(varve_resume(m->rig.db));
            m->paused--;
        }
        return;
    }
    trail_note("pause");
    TRAIL_OK(varve_pause(m->rig.db));
    m->paused++;
}

static void tend(struct model *m)
{
    enum vv_tended tended = VV_TENDED_WORKED;

    trail_note("tend");
    for (uint64_t i = 1 + vv_rng_below(&m->rng, 4); m->rig.world.stepped && i > 0; i--)
        TRAIL_OK(rig_tend(&m->rig, &tended));
}

static void collect_line(void *context, const char *line)
{
    (void)context;
    trail_note("  reported: %s", line);
}

static void look_beside(struct model *m)
{
    struct rig_range allowed = rig_allowed(&m->rig, rig_calls(&m->rig), VV_SIM_ALL);
    varve_options options = VARVE_OPTIONS_INIT;
    struct dump dump = {.count = 0};
    varve *reader = NULL;
    char text[512];

    trail_note("open read-only beside the writer");
    options.mode = VARVE_MODE_READONLY;
    options.memory_budget = m->rig.options.memory_budget;
    rig_options_complete(&options);
    TRAIL_OK(vv_db_open(&m->rig.world, m->rig.path, &options, &reader));
    TRAIL_OK(dump_read(reader, NULL, &dump));
    rig_check_mirrors(&m->rig, reader, &dump);
    if (dump_find(&dump, &m->rig.oracle, allowed.from, allowed.to) == UINT64_MAX) {
        dump_explain(&dump, &m->rig.oracle, allowed.to, text, sizeof text);
        trail_fail(__FILE__, __LINE__,
                   "the reader shows none of the commits %" PRIu64 " to %" PRIu64 ": %s",
                   allowed.from, allowed.to, text);
    }
    TRAIL_RC(varve_put(reader, VARVE_STR("k"), VARVE_STR("v")), VARVE_READONLY);
    TRAIL_OK(varve_close(reader));
    dump_deinit(&dump);
}

/* A copy of now, which must show it, go its own way, and leave nothing when it is gone. */
static void copy(struct model *m)
{
    char path[sizeof m->rig.path + 8];
    varve_options options = m->rig.options;
    struct dump dump = {.count = 0};
    varve *db = NULL;
    char text[512];

    snprintf(path, sizeof path, "%s-copy", m->rig.path);
    int rc = vv_db_destroy(&m->rig.world, path); /* what a crash meanwhile has left */
    TRAIL_CHECK(rc == VARVE_OK || rc == VARVE_MISSING);
    trail_note("checkpoint");
    TRAIL_OK(varve_checkpoint(m->rig.db, path));
    options.mode = VARVE_MODE_EXISTING;
    TRAIL_OK(vv_db_open(&m->rig.world, path, &options, &db));
    TRAIL_OK(dump_read(db, NULL, &dump));
    rig_check_mirrors(&m->rig, db, &dump);
    if (!dump_matches(&dump, &m->rig.oracle, rig_visible(&m->rig))) {
        dump_explain(&dump, &m->rig.oracle, rig_visible(&m->rig), text, sizeof text);
        trail_fail(__FILE__, __LINE__, "the copy does not show the present: %s", text);
    }
    TRAIL_OK(varve_put(db, VARVE_STR("a way of its own"), VARVE_STR("v")));
    TRAIL_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    TRAIL_OK(varve_verify(db, collect_line, NULL));
    TRAIL_OK(varve_close(db));
    TRAIL_OK(vv_db_destroy(&m->rig.world, path));
    dump_deinit(&dump);
}

/* ---- changes */

static int catch_up(struct model *m)
{
    int rc = VARVE_END;

    if (m->replica.feed == NULL)
        rc = replica_open(&m->replica, m->rig.db);
    return rc < 0 ? rc : replica_follow(&m->replica, &m->rig);
}

/* Of what was not kept a replica has to be told in another way. */
static void follow(struct model *m)
{
    bool logged = m->rig.options.durability != VARVE_DURABILITY_NONE;

    trail_note("a replica catches up from commit %" PRIu64 ", sequence %" PRIu64, m->replica.commit,
               m->replica.known);
    int rc = catch_up(m);
    if (rc == VARVE_END) {
        TRAIL_CHECK(replica_shows(&m->replica, &m->rig, rig_visible(&m->rig)));
        return;
    }
    trail_note("  %s", varve_last_error());
    TRAIL_RC(rc, logged ? VARVE_MISSING : VARVE_UNSUPPORTED);
    TRAIL_CHECK(m->may_miss);
    replica_begin(&m->replica, &m->rig, rig_visible(&m->rig), vv_db_seq(m->rig.db));
    m->may_miss = m->rig.options.changes_keep < KEEP_ALL;
}

/* ---- endings */

static void reopen(struct model *m)
{
    bool early = vv_rng_one_in(&m->rng, 2);

    if (early)
        model_release(m, MODEL_HANDLES_LIVE);
    if (early)
        replica_close(&m->replica);
    trail_note("close%s", early ? "" : " under open handles");
    TRAIL_OK(rig_close(&m->rig));
    if (!early)
        model_release(m, MODEL_HANDLES_CLOSED);
    replica_close(&m->replica);
    store_open(m);
    trail_note("compare after reopening");
    rig_expect(&m->rig, NULL, rig_visible(&m->rig));
}

static void crash(struct model *m)
{
    struct rig *r = &m->rig;
    uint64_t calls = rig_calls(r);
    uint64_t back = calls < CRASH_BACK_MAX ? calls : CRASH_BACK_MAX;
    uint64_t n = calls - (vv_rng_one_in(&m->rng, 2) ? 0 : vv_rng_below(&m->rng, back + 1));
    enum vv_sim_model model = (enum vv_sim_model)vv_rng_below(&m->rng, VV_SIM_MODEL_COUNT);
    struct rig_range allowed = rig_allowed(r, n, model);
    struct vv_env *image = NULL;
    struct dump dump = {.count = 0};
    char text[512];
    uint64_t commit;

    TRAIL_OK(vv_sim_image(r->world.env, n, model, vv_rng_next(&m->rng), &image));
    vv_sim_call_describe(r->world.env, n, text, sizeof text);
    trail_note("crash by model M%d after call %" PRIu64 " of %" PRIu64 " (%s); commits %" PRIu64
               " to %" PRIu64 " may be left",
               (int)model, n, calls, text, allowed.from, allowed.to);
    model_release(m, MODEL_HANDLES_LIVE);
    replica_close(&m->replica);
    (void)varve_close(r->db);
    r->db = NULL;
    /* What is allowed was worked out above: from here on the new world counts. */
    vv_env_sim_free(r->world.env);
    r->world.env = image;
    store_open(m);
    TRAIL_OK(dump_read(r->db, NULL, &dump));
    rig_check_mirrors(r, r->db, &dump);
    commit = rig_recovered(r, &dump, vv_db_seq(r->db), allowed);
    TRAIL_OK(varve_verify(r->db, collect_line, NULL));
    rig_restart(r, commit);
    dump_deinit(&dump);
    if (m->replica.commit > commit ||
        m->replica.known > vv_db_seq(r->db)) { /* it saw what is lost */
        replica_begin(&m->replica, r, commit, vv_db_seq(r->db));
        m->may_miss = r->options.changes_keep < KEEP_ALL;
    }
    m->images++;
}

/* ---- running */

static enum model_op op_draw(struct model *m)
{
    uint32_t total = 0;
    uint64_t drawn;
    int op = 0;

    for (int i = 0; i < MODEL_OP_COUNT; i++)
        total += m->weights[i];
    drawn = vv_rng_below(&m->rng, total);
    while (drawn >= m->weights[op])
        drawn -= m->weights[op++];
    return (enum model_op)op;
}

/* A switch over all operations is long by nature. */
static void op_do(struct model *m, enum model_op op)
{
    switch (op) {
    case MODEL_PUT: write_one(m, false); break;
    case MODEL_DELETE: write_one(m, true); break;
    case MODEL_DELETE_RANGE: write_range(m); break;
    case MODEL_BATCH: write_many(m, 1 + vv_rng_below(&m->rng, BATCH_MAX), RIG_BATCH); break;
    case MODEL_COLUMNS: write_many(m, 1 + vv_rng_below(&m->rng, BATCH_MAX), RIG_COLUMNS); break;
    case MODEL_BULK: write_bulk(m); break;
    case MODEL_BATCH_BIG: write_many(m, BATCH_BIG_MAX, RIG_BATCH); break;
    case MODEL_TXN:
        write_many(m, 1 + vv_rng_below(&m->rng, BATCH_MAX),
                   vv_rng_one_in(&m->rng, 3) ? RIG_EXCLUSIVE : RIG_TXN);
        break;
    case MODEL_PASS: pass(m); break;
    case MODEL_GET: model_get(m); break;
    case MODEL_GET_INTO: model_get_into(m); break;
    case MODEL_MULTI_GET: model_multi_get(m); break;
    case MODEL_EXISTS: model_exists(m); break;
    case MODEL_WALK: model_walk(m); break;
    case MODEL_HELD_ITER: model_held_iter(m); break;
    case MODEL_HELD_PIN: model_held_pin(m); break;
    case MODEL_SNAPSHOT_NEW:
    case MODEL_SNAPSHOT_READ:
    case MODEL_SNAPSHOT_RELEASE: snapshot_step(m, op); break;
    case MODEL_FLUSH:
        trail_note("flush");
        TRAIL_OK(rig_flush(&m->rig));
        break;
    case MODEL_TEND: tend(m); break;
    case MODEL_SETTLE:
        trail_note("settle");
        TRAIL_OK(rig_settle(&m->rig));
        break;
    case MODEL_COMPACT: compact(m); break;
    case MODEL_PAUSE: pause_or_resume(m); break;
    case MODEL_SYNC:
        trail_note("sync");
        TRAIL_OK(rig_sync(&m->rig));
        break;
    case MODEL_STATS: model_stats(m); break;
    case MODEL_VERIFY:
        trail_note("verify");
        TRAIL_OK(varve_verify(m->rig.db, collect_line, NULL));
        break;
    case MODEL_READONLY: look_beside(m); break;
    case MODEL_CHECKPOINT: copy(m); break;
    case MODEL_CHANGES: follow(m); break;
    case MODEL_REOPEN: reopen(m); break;
    case MODEL_CRASH: crash(m); break;
    case MODEL_OP_COUNT: break;
    }
}

void model_begin(struct model *m, uint64_t seed)
{
    m->seed = seed;
    m->rng = vv_rng_of(seed);
    m->scratch = malloc(VARVE_KEY_SIZE_MAX + 1);
    CHECK(m->scratch != NULL);
    sample_keys_draw(&m->keys, &m->rng, 8 + vv_rng_below(&m->rng, SAMPLE_KEYS_MAX - 7),
                     vv_rng_one_in(&m->rng, 4));
    for (int i = 0; i < MODEL_OP_COUNT; i++) {
        uint32_t quarter = default_weights[i]; /* ×0.25 to ×4 */
        m->weights[i] = (quarter << vv_rng_below(&m->rng, 5)) + 1;
    }
    if (!m->rig.sim)
        m->weights[MODEL_CRASH] = 0;
    m->rig.brief = vv_rng_one_in(&m->rng, 2);
    m->rig.mirrors = vv_rng_one_in(&m->rng, 2) ? 0 : 1 + vv_rng_below(&m->rng, 2);
    store_open(m);
}

void model_run(struct model *m, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++, m->step++) {
        enum model_op op = op_draw(m);

        op_do(m, op);
        m->counts[op]++;
        if (m->step % DUMP_EVERY == DUMP_EVERY - 1) {
            trail_note("step %" PRIu64 ": compare all", m->step);
            rig_expect(&m->rig, NULL, rig_visible(&m->rig));
        }
    }
    follow(m);
    trail_note("compare all at the end");
    rig_expect(&m->rig, NULL, rig_visible(&m->rig));
    TRAIL_OK(varve_verify(m->rig.db, collect_line, NULL));
}

void model_end(struct model *m)
{
    model_release(m, MODEL_HANDLES_LIVE);
    replica_deinit(&m->replica);
    TRAIL_OK(rig_close(&m->rig));
    rig_deinit(&m->rig);
    sample_keys_deinit(&m->keys);
    free(m->scratch);
    m->scratch = NULL;
}
