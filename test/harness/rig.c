/*
 * Promises are kept as ascending marks; the one in force at a moment is the last not after it.
 */
#include "harness/rig.h"

#include "base/hash.h"
#include "db/store.h"
#include "harness/test.h"
#include "harness/trail.h"
#include "harness/txn_write.h"

#include <stdio.h>
#include <stdlib.h>

/* The time, as stores under test are told. */
static _Atomic(uint64_t) clock_ms;

enum { SETTLE_STEPS_MAX = 200000, CHANGES_MAX = 512, BRIEF_MS = 1000 };

#define CLOCK_BEGIN_MS ((uint64_t)1 << 41)
#define FAR_MS         ((uint64_t)1 << 40)

struct vv_lsm_tuning rig_tuning_tiny(void)
{
    return (struct vv_lsm_tuning){
        .memtable_bytes = 2048,
        .memtable_count = 3,
        .block_bytes = 256,
        .table_bytes = 2048,
        .base_level_bytes = 4096,
        .level_ratio = 3,
        .l0_runs = 2,
        .value_file_bytes = 8192,
        .step_bytes = 1024,
        .spare_bytes = 4096,
        .manifest_bytes = 2048,
    };
}

struct vv_lsm_tuning rig_tuning_draw(struct vv_rng *rng)
{
    uint64_t table_bytes = (uint64_t)2048 << vv_rng_below(rng, 4);

    return (struct vv_lsm_tuning){
        .memtable_bytes = (uint64_t)1024 << vv_rng_below(rng, 5),
        .memtable_count = 2 + (uint32_t)vv_rng_below(rng, 3),
        .block_bytes = (uint32_t)64 << vv_rng_below(rng, 5),
        .table_bytes = table_bytes,
        .base_level_bytes = table_bytes * (1 + vv_rng_below(rng, 4)),
        .level_ratio = 2 + (uint32_t)vv_rng_below(rng, 4),
        .l0_runs = 1 + (uint32_t)vv_rng_below(rng, 4),
        .value_file_bytes = (uint64_t)4096 << vv_rng_below(rng, 4),
        .step_bytes = (uint64_t)512 << vv_rng_below(rng, 6),
        .spare_bytes = (uint64_t)2048 << vv_rng_below(rng, 4),
        .manifest_bytes = (uint64_t)512 << vv_rng_below(rng, 6),
    };
}

void rig_init_in(struct rig *r, struct vv_env *env, const char *path)
{
    *r = (struct rig){
        .world = {.env = env, .stepped = true, .tuning = rig_tuning_tiny()},
        .options = VARVE_OPTIONS_INIT,
    };
    snprintf(r->path, sizeof r->path, "%s", path);
    atomic_store(&clock_ms, CLOCK_BEGIN_MS);
    r->options.memory_budget = (uint64_t)4 << 20;
    r->options.value_log_min = 256;
    rig_options_complete(&r->options);
}

void rig_init_sim(struct rig *r, uint64_t seed)
{
    struct vv_env *env = NULL;

    TRAIL_OK(vv_env_sim_new(seed, &env));
    rig_init_in(r, env, "/store");
    r->env_owned = true;
    r->sim = true;
}

void rig_deinit(struct rig *r)
{
    if (r->db)
        (void)varve_close(r->db);
    oracle_deinit(&r->oracle);
    free(r->killed.items);
    free(r->power.items);
    free(r->commits);
    free(r->doubt_changes);
    if (r->env_owned)
        vv_env_sim_free(r->world.env);
    *r = (struct rig){.db = NULL};
}

/* ---- promises */

uint64_t rig_calls(const struct rig *r)
{
    return r->sim ? vv_sim_call_count(r->world.env) : r->tick;
}

static void promise(struct rig *r, struct rig_marks *marks, uint64_t commit)
{
    if (marks->count > 0 && marks->items[marks->count - 1].commit >= commit)
        return;
    if (marks->count == marks->cap) {
        marks->cap = marks->cap ? marks->cap * 2 : 64;
        marks->items = realloc(marks->items, marks->cap * sizeof *marks->items);
        CHECK(marks->items != NULL);
    }
    marks->items[marks->count++] = (struct rig_mark){rig_calls(r), commit};
}

void rig_promise_power(struct rig *r)
{
    promise(r, &r->killed, rig_visible(r));
    promise(r, &r->power, rig_visible(r));
}

static void promise_level(struct rig *r, uint64_t commit, enum varve_durability level)
{
    if (level < r->options.durability)
        level = r->options.durability;
    if (level == VARVE_DURABILITY_DEFAULT)
        level = VARVE_DURABILITY_INTERVAL;
    if (level >= VARVE_DURABILITY_OS)
        promise(r, &r->killed, commit);
    if (level == VARVE_DURABILITY_DISK)
        promise(r, &r->power, commit);
}

static uint64_t promised(const struct rig *r, const struct rig_marks *marks, uint64_t calls)
{
    uint64_t commit = r->base;

    for (size_t i = 0; i < marks->count && marks->items[i].calls <= calls; i++)
        commit = marks->items[i].commit;
    return commit;
}

struct rig_range rig_allowed(const struct rig *r, uint64_t calls, enum vv_sim_model model)
{
    struct rig_range range = {0, r->base};

    range.from = promised(r, &r->power, calls);
    if (model == VV_SIM_ALL) {
        uint64_t from = promised(r, &r->killed, calls);
        if (from > range.from)
            range.from = from;
    }
    for (size_t i = 0; i < r->commit_count && r->commits[i].calls < calls; i++)
        range.to = r->base + i + 1;
    if (range.to < range.from)
        range.to = range.from;
    return range;
}

vv_seq rig_seq_of(const struct rig *r, uint64_t commit)
{
    return commit > r->base ? r->commits[commit - r->base - 1].seq : 0;
}

uint64_t rig_recovered(const struct rig *r, const struct dump *dump, vv_seq seq,
                       struct rig_range allowed)
{
    uint64_t last = dump_find(dump, &r->oracle, allowed.from, allowed.to);
    uint64_t commit = last;
    char text[512];

    while (commit != UINT64_MAX && rig_seq_of(r, commit) > seq) {
        if (commit == allowed.from)
            trail_fail(__FILE__, __LINE__,
                       "recovered to commit %" PRIu64 ", yet at sequence %" PRIu64
                       ", where the commit had been given %" PRIu64,
                       last, seq, rig_seq_of(r, last));
        commit = dump_find(dump, &r->oracle, allowed.from, commit - 1);
    }
    if (commit != UINT64_MAX)
        return commit;
    commit = dump_find(dump, &r->oracle, 0, r->oracle.last);
    dump_explain(dump, &r->oracle, allowed.from, text, sizeof text);
    trail_fail(__FILE__, __LINE__,
               "recovered to %s (commit %" PRId64 "), not to one of %" PRIu64 " to %" PRIu64 ": %s",
               commit == UINT64_MAX ? "no commit at all" : "a wrong commit", (int64_t)commit,
               allowed.from, allowed.to, text);
}

/* ---- mirrors */

static int compare_bytes(void *context, varve_slice a, varve_slice b)
{
    (void)context;
    return vv_slice_cmp(sample_private(a), sample_private(b));
}

/* The order of bytes, of which the store does not know that it is. */
static const varve_comparator by_hand = {"bytes, by hand", compare_bytes, NULL};
static const char *const view_names[RIG_VIEWS_MAX] = {"default", "mirror", "mirror by hand"};

static uint64_t clock_now(void *context)
{
    (void)context;
    return atomic_load(&clock_ms);
}

void rig_pass(struct rig *r, uint64_t ms)
{
    oracle_expire(&r->oracle, atomic_fetch_add(&clock_ms, ms) + ms);
}

/* The latest operand is all that counts, so to the oracle a merge is a put; the order of operands,
 * and that none is lost, shows all the same. */
static int latest(void *context, varve_slice key, const varve_slice *base,
                  const varve_slice *operands, size_t count, varve_merge_result *result)
{
    (void)context;
    (void)key;
    (void)base;
    return varve_merge_append(result, operands[count - 1].data, operands[count - 1].size);
}

static int latest_operand(void *context, varve_slice key, const varve_slice *operands, size_t count,
                          varve_merge_result *result)
{
    return latest(context, key, NULL, operands, count, result);
}

static const varve_merge_operator merging = {"latest", latest, latest_operand, NULL};

void rig_options_complete(varve_options *options)
{
    options->merge = &merging;
    options->clock = clock_now;
    options->comparators = &by_hand;
    options->comparator_count = 1;
}

/* The mirrors are made before there is anything to be mirrored. */
static int views_open(struct rig *r)
{
    int rc = VARVE_OK;

    r->views[0] = r->db;
    for (size_t i = 1; rc == VARVE_OK && i <= r->mirrors; i++) {
        varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
        options.comparator = i == 2 ? &by_hand : NULL;
        rc = varve_keyspace_open(r->db, view_names[i], &r->views[i]);
        if (rc == VARVE_MISSING)
            rc = varve_keyspace_create(r->db, view_names[i], &options, &r->views[i]);
    }
    return rc;
}

void rig_check_mirrors(const struct rig *r, varve *db, const struct dump *dump)
{
    for (size_t i = 1; i <= r->mirrors; i++) {
        struct dump other = {.count = 0};
        varve *view = NULL;
        int rc = varve_keyspace_open(db, view_names[i], &view);

        TRAIL_CHECK(rc == VARVE_OK || (rc == VARVE_MISSING && dump->count == 0));
        if (rc == VARVE_OK)
            TRAIL_OK(dump_read(view, NULL, &other));
        TRAIL_CHECK(other.count == dump->count);
        for (size_t k = 0; k < other.count; k++) {
            const struct dump_entry *a = &other.entries[k], *b = &dump->entries[k];
            TRAIL_CHECK(vv_slice_equal(a->key, b->key) && a->hash == b->hash && a->size == b->size);
        }
        dump_deinit(&other);
    }
}

/* ---- life */

int rig_open(struct rig *r)
{
    int rc;

    CHECK(r->db == NULL);
    if ((rc = vv_db_open(&r->world, r->path, &r->options, &r->db)) < 0)
        r->db = NULL;
    else if ((rc = views_open(r)) < 0)
        (void)rig_close(r);
    return rc;
}

int rig_close(struct rig *r)
{
    varve *db = r->db;
    int rc;

    varve_bulk_end(r->bulk);
    r->bulk = NULL;
    r->db = NULL;
    if ((rc = varve_close(db)) < 0)
        return rc;
    rig_promise_power(r);
    return VARVE_OK;
}

void rig_restart(struct rig *r, uint64_t commit)
{
    r->doubt = false;
    oracle_cut(&r->oracle, commit);
    r->base = commit;
    r->killed.count = 0;
    r->power.count = 0;
    r->commit_count = 0;
}

/* ---- writing */

void rig_decide(struct rig *r, enum rig_verdict verdict)
{
    CHECK(r->doubt);
    r->doubt = false;
    if (verdict == RIG_HAPPENED)
        return;
    oracle_cut(&r->oracle, r->oracle.last - 1);
    r->commit_count--;
}

static uint64_t commit_issue(struct rig *r, const struct oracle_change *changes, size_t count)
{
    uint64_t commit = oracle_commit(&r->oracle, changes, count);

    if (r->commit_count == r->commit_cap) {
        r->commit_cap = r->commit_cap ? r->commit_cap * 2 : 64;
        r->commits = realloc(r->commits, r->commit_cap * sizeof *r->commits);
        CHECK(r->commits != NULL);
    }
    r->commits[r->commit_count++] = (struct rig_commit){.calls = rig_calls(r)};
    r->tick++;
    return commit;
}

static uint64_t ttl_of(const struct oracle_change *c)
{
    return c->expires_ms - atomic_load(&clock_ms);
}

static int batch_add(varve_batch *batch, const varve *view, const struct oracle_change *c)
{
    varve_slice key = sample_public(c->key);
    varve_slice value = sample_public(c->value);

    if (c->to.data != NULL)
        return varve_batch_delete_range_in(batch, view, key, sample_public(c->to));
    if (c->gone)
        return varve_batch_delete_in(batch, view, key);
    if (c->merged)
        return varve_batch_merge_in(batch, view, key, value);
    return c->expires_ms > 0 ? varve_batch_put_ttl_in(batch, view, key, value, ttl_of(c))
                             : varve_batch_put_in(batch, view, key, value);
}

static int batch_fill(varve_batch *batch, const struct rig *r, const struct oracle_change *changes,
                      size_t count)
{
    int rc = VARVE_OK;

    for (size_t i = 0; rc == VARVE_OK && i < count; i++)
        for (size_t v = 0; rc == VARVE_OK && v <= r->mirrors; v++)
            rc = batch_add(batch, v > 0 ? r->views[v] : NULL, &changes[i]);
    return rc;
}

/* In two halves, of which the second is appended to the first. */
static int batch_write(struct rig *r, const struct oracle_change *changes, size_t count,
                       enum varve_durability level)
{
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;
    varve_batch *batch = NULL, *more = NULL;
    size_t half = count - count / 2;
    int rc;

    options.durability = level;
    if ((rc = varve_batch_new(&batch)) == VARVE_OK && (rc = varve_batch_new(&more)) == VARVE_OK &&
        (rc = batch_fill(batch, r, changes, half)) == VARVE_OK &&
        (rc = batch_fill(more, r, changes + half, count - half)) == VARVE_OK &&
        (rc = varve_batch_append(batch, more)) == VARVE_OK)
        rc = varve_write(r->db, batch, &options);
    varve_batch_free(batch);
    varve_batch_free(more);
    return rc;
}

/* Puts alone, as columns whose offsets are of either width. */
static int columns_write(struct rig *r, const struct oracle_change *changes, size_t count,
                         enum varve_durability level)
{
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;
    uint64_t key_ends[CHANGES_MAX + 1] = {0};
    uint32_t value_ends[CHANGES_MAX + 1] = {0};
    struct vv_buf keys = VV_BUF_INIT, values = VV_BUF_INIT;
    int rc = VARVE_OK;

    options.durability = level;
    for (size_t i = 0; rc == VARVE_OK && i < count; i++) {
        if ((rc = vv_buf_append_slice(&keys, changes[i].key)) == VARVE_OK)
            rc = vv_buf_append_slice(&values, changes[i].value);
        key_ends[i + 1] = keys.size;
        value_ends[i + 1] = (uint32_t)values.size;
    }
    if (rc == VARVE_OK)
        rc = varve_write_columns(
            r->db, count, &(varve_column){.data = keys.data, .offsets = key_ends},
            &(varve_column){.data = values.data, .offsets32 = value_ends}, &options);
    vv_buf_deinit(&keys);
    vv_buf_deinit(&values);
    return rc;
}

int rig_bulk_begin(struct rig *r)
{
    if (r->bulk || r->mirrors > 0)
        return VARVE_OK; /* a bulk is for one keyspace */
    return varve_bulk_begin(r->db, NULL, &r->bulk);
}

static int bulk_write(struct rig *r, const struct oracle_change *changes, size_t count)
{
    int rc = rig_bulk_begin(r);

    for (size_t i = 0; rc == VARVE_OK && i < count; i++)
        rc =
            varve_bulk_put(r->bulk, sample_public(changes[i].key), sample_public(changes[i].value));
    if (rc == VARVE_OK)
        rc = varve_bulk_commit(r->bulk);
    varve_bulk_end(r->bulk);
    r->bulk = NULL;
    return rc;
}

static int changes_write(struct rig *r, const struct oracle_change *changes, size_t count,
                         enum varve_durability level, enum rig_manner manner)
{
    bool ranges = false;
    bool puts = true;

    for (size_t i = 0; i < count; i++) {
        ranges = ranges || changes[i].to.data != NULL;
        puts = puts && !changes[i].gone;
    }
    if (manner == RIG_COLUMNS && puts && !ranges && r->mirrors == 0)
        return columns_write(r, changes, count, level);
    if (manner == RIG_BULK && r->mirrors == 0)
        return bulk_write(r, changes, count);
    if ((manner == RIG_TXN || manner == RIG_EXCLUSIVE) && !ranges)
        return txn_write(r->views, r->mirrors + 1, &r->oracle, changes, count,
                         manner == RIG_TXN ? VARVE_TXN_OPTIMISTIC : VARVE_TXN_EXCLUSIVE, level);
    if (manner == RIG_BATCH || manner == RIG_COLUMNS || manner == RIG_BULK || count != 1 ||
        r->mirrors > 0 || level != VARVE_DURABILITY_DEFAULT)
        return batch_write(r, changes, count, level);
    if (ranges)
        return varve_delete_range(r->db, sample_public(changes[0].key),
                                  sample_public(changes[0].to));
    if (changes[0].gone)
        return varve_delete(r->db, sample_public(changes[0].key));
    varve_slice key = sample_public(changes[0].key);
    varve_slice value = sample_public(changes[0].value);
    if (changes[0].merged)
        return varve_merge(r->db, key, value);
    return changes[0].expires_ms > 0 ? varve_put_ttl(r->db, key, value, ttl_of(&changes[0]))
                                     : varve_put(r->db, key, value);
}

/* Alone and in batches, values are put in one of several ways, by their serial. */
static void ways_draw(const struct rig *r, struct oracle_change *changes, size_t count,
                      uint64_t serial, enum rig_manner manner)
{
    for (size_t i = 0; i < count; i++) {
        struct oracle_change *c = &changes[i];
        uint64_t way = vv_mix(++serial) % 8;

        if (c->gone || c->to.data != NULL || (manner != RIG_PLAIN && manner != RIG_BATCH))
            continue;
        c->merged = way == 0;
        if (way == 1)
            c->expires_ms = atomic_load(&clock_ms) + FAR_MS;
        if (way == 2 && r->brief)
            c->expires_ms = atomic_load(&clock_ms) + 1 + vv_mix(serial) / 8 % BRIEF_MS;
    }
}

/* Draws the values of the changes, beginning after `serial`. Free the memory given back. */
static uint8_t *changes_fill(const struct rig_change *changes, size_t count, uint64_t serial,
                             struct oracle_change *filled)
{
    size_t total = 1;
    uint8_t *values;
    uint8_t *at;

    CHECK(count <= CHANGES_MAX);
    for (size_t i = 0; i < count; i++)
        total += changes[i].size;
    values = at = malloc(total);
    CHECK(values != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct rig_change *c = &changes[i];
        size_t size = c->gone ? 0 : c->size;

        sample_value_fill(at, size, c->key, ++serial);
        filled[i] = (struct oracle_change){
            .key = c->key, .value = {at, size}, .gone = c->gone, .to = c->to};
        at += size;
    }
    return values;
}

static void doubt_set(struct rig *r, const struct rig_change *changes, size_t count,
                      uint64_t serial)
{
    struct rig_change *kept = malloc(count * sizeof *kept + 1);

    CHECK(kept != NULL);
    if (count > 0)
        memcpy(kept, changes, count * sizeof *kept);
    free(r->doubt_changes);
    r->doubt_changes = kept;
    r->doubt_count = count;
    r->doubt_serial = serial;
    r->doubt = true;
}

int rig_write(struct rig *r, const struct rig_change *changes, size_t count,
              enum varve_durability level, enum rig_manner manner)
{
    struct oracle_change filled[CHANGES_MAX];
    uint64_t serial = r->serial;
    uint8_t *values = changes_fill(changes, count, serial, filled);
    bool doubted = r->doubt;
    uint64_t commit;
    int rc;

    r->serial += count;
    if (doubted)
        rig_decide(r, RIG_DID_NOT_HAPPEN);
    ways_draw(r, filled, count, serial, manner);
    commit = commit_issue(r, filled, count);
    rc = changes_write(r, filled, count, level, manner);
    free(values);
    if (rc == VARVE_READONLY) {
        r->doubt = true;
        rig_decide(r, RIG_DID_NOT_HAPPEN);
        if (doubted) {
            values = changes_fill(r->doubt_changes, r->doubt_count, r->doubt_serial, filled);
            (void)commit_issue(r, filled, r->doubt_count);
            r->doubt = true;
            free(values);
        }
        return rc;
    }
    if (rc < 0) {
        doubt_set(r, changes, count, serial);
        if (!vv_poison_is_set(&r->db->store->poison))
            rig_decide(r, RIG_DID_NOT_HAPPEN);
        return rc;
    }
    TRAIL_OK(rc);
    r->commits[r->commit_count - 1].seq = vv_db_seq(r->db);
    promise_level(r, commit, level);
    if (manner == RIG_BULK && count > 0 && r->mirrors == 0)
        rig_promise_power(r);
    return VARVE_OK;
}

int rig_put(struct rig *r, const char *key, size_t size, enum varve_durability level)
{
    struct rig_change change = {.key = vv_slice_str(key), .size = size};

    return rig_write(r, &change, 1, level, RIG_PLAIN);
}

int rig_delete(struct rig *r, const char *key, enum varve_durability level)
{
    struct rig_change change = {.key = vv_slice_str(key), .gone = true};

    return rig_write(r, &change, 1, level, RIG_PLAIN);
}

int rig_delete_range(struct rig *r, const char *from, const char *to, enum varve_durability level)
{
    struct rig_change change = {.key = vv_slice_str(from), .gone = true, .to = vv_slice_str(to)};

    return rig_write(r, &change, 1, level, RIG_PLAIN);
}

/* ---- care */

int rig_sync(struct rig *r)
{
    int rc = varve_sync(r->db);

    if (rc < 0)
        return rc;
    TRAIL_OK(rc);
    rig_promise_power(r);
    return VARVE_OK;
}

int rig_flush(struct rig *r)
{
    int rc = varve_flush(r->db);

    if (rc < 0)
        return rc;
    TRAIL_OK(rc);
    rig_promise_power(r);
    return VARVE_OK;
}

int rig_tend(struct rig *r, enum vv_tended *out)
{
    return vv_db_tend(r->db, out);
}

int rig_settle(struct rig *r)
{
    enum vv_tended tended = VV_TENDED_WORKED;
    int rc;

    if (!r->world.stepped)
        return varve_settle(r->db);
    for (int i = 0; tended == VV_TENDED_WORKED; i++) {
        if (i == SETTLE_STEPS_MAX)
            trail_fail(__FILE__, __LINE__, "background work does not come to an end");
        if ((rc = vv_db_tend(r->db, &tended)) < 0)
            return rc;
    }
    return VARVE_OK;
}

uint64_t rig_visible(const struct rig *r)
{
    return r->oracle.last - (r->doubt ? 1 : 0);
}

void rig_expect(struct rig *r, const varve_snapshot *at, uint64_t commit)
{
    struct dump dump = {.count = 0};
    varve *view = r->views[r->serial / 3 % (r->mirrors + 1)];
    char text[512];

    switch (r->serial % 3) {
    case 0: TRAIL_OK(dump_read(view, at, &dump)); break;
    case 1: TRAIL_OK(dump_read_backward(view, at, &dump)); break;
    default: TRAIL_OK(dump_read_chunks(view, at, 1 + r->serial % 17, &dump)); break;
    }
    if (!dump_matches(&dump, &r->oracle, commit)) {
        dump_explain(&dump, &r->oracle, commit, text, sizeof text);
        trail_fail(__FILE__, __LINE__, "the store is not at commit %" PRIu64 ": %s", commit, text);
    }
    dump_deinit(&dump);
}
