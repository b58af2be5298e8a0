/*
 * The reading half of the model: every answer is compared with the oracle's at the same commit.
 */
#include "harness/model.h"

#include "base/hash.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <stdlib.h>

enum { MULTI_MAX = 24 };

static void expect_value(const struct oracle_version *expected, vv_slice key, vv_slice value)
{
    uint64_t serial;

    if (!expected)
        trail_fail(__FILE__, __LINE__, "%s was found, but the model has none", sample_text(key));
    if (expected->size != value.size || expected->hash != vv_hash(value))
        trail_fail(__FILE__, __LINE__,
                   "%s has a wrong value: %zu bytes, hash %" PRIx64
                   "; the model has %zu bytes, hash %" PRIx64 " of commit %" PRIu64 " (%s)",
                   sample_text(key), value.size, vv_hash(value), expected->size, expected->hash,
                   expected->commit,
                   sample_value_check(key, value, &serial) ? "a whole value" : "not a whole value");
}

static void expect_result(const struct oracle_version *expected, vv_slice key, int rc,
                          const varve_pinned *pin)
{
    if (rc == VARVE_OK) {
        expect_value(expected, key, vv_slice_of(pin->data, pin->size));
        return;
    }
    TRAIL_RC(rc, VARVE_NOTFOUND);
    if (expected)
        trail_fail(__FILE__, __LINE__, "%s was not found; the model has it of commit %" PRIu64,
                   sample_text(key), expected->commit);
    if (pin)
        TRAIL_CHECK(pin->data == NULL || pin->size == 0);
}

/* Now, or one of the open snapshots. */
static const varve_snapshot *moment_draw(struct model *m, uint64_t *commit)
{
    struct model_held_snapshot *held = &m->snapshots[vv_rng_below(&m->rng, MODEL_HELD_MAX)];

    *commit = rig_visible(&m->rig);
    if (!held->snapshot || vv_rng_one_in(&m->rng, 2))
        return NULL;
    *commit = held->commit;
    return held->snapshot;
}

/* One of the keyspaces, which all hold the same. */
static varve *view_draw(struct model *m)
{
    return m->rig.mirrors == 0 ? m->rig.db
                               : m->rig.views[vv_rng_below(&m->rng, m->rig.mirrors + 1)];
}

void model_get(struct model *m)
{
    uint64_t commit;
    const varve_snapshot *at = moment_draw(m, &commit);
    vv_slice key = sample_key_near(&m->keys, &m->rng, m->scratch);
    varve_pinned pin = {0};
    int rc;

    trail_note("get %s at %" PRIu64, sample_text(key), commit);
    if (at)
        rc = varve_get_at(view_draw(m), at, sample_public(key), &pin);
    else
        rc = varve_get(view_draw(m), sample_public(key), &pin);
    expect_result(oracle_get(&m->rig.oracle, commit, key), key, rc, &pin);
    varve_unpin(&pin);
    TRAIL_CHECK(pin.data == NULL);
}

void model_get_into(struct model *m)
{
    vv_slice key = sample_key_near(&m->keys, &m->rng, m->scratch);
    const struct oracle_version *expected = oracle_get(&m->rig.oracle, rig_visible(&m->rig), key);
    size_t capacity = expected && vv_rng_one_in(&m->rng, 2)
                          ? expected->size
                          : vv_rng_below(&m->rng, expected ? expected->size + 2 : 64);
    uint8_t *into = malloc(capacity + 1);
    size_t size = 12345;
    int rc;

    CHECK(into != NULL);
    trail_note("get_into %s, capacity %zu", sample_text(key), capacity);
    into[capacity] = 0xa5;
    rc = varve_get_into(view_draw(m), sample_public(key), into, capacity, &size);
    if (!expected) {
        TRAIL_RC(rc, VARVE_NOTFOUND);
    } else {
        TRAIL_OK(rc);
        TRAIL_CHECK(size == expected->size);
        if (capacity >= size)
            expect_value(expected, key, vv_slice_of(into, size));
    }
    TRAIL_CHECK(into[capacity] == 0xa5);
    free(into);
}

void model_multi_get(struct model *m)
{
    uint64_t commit;
    const varve_snapshot *at = moment_draw(m, &commit);
    size_t count = vv_rng_below(&m->rng, MULTI_MAX + 1);
    varve_slice keys[MULTI_MAX];
    varve_pinned pins[MULTI_MAX] = {{0}};
    int results[MULTI_MAX];
    int rc;

    trail_note("multi_get of %zu at %" PRIu64, count, commit);
    for (size_t i = 0; i < count; i++)
        keys[i] = sample_public(sample_key_pick(&m->keys, &m->rng));
    if (at)
        rc = varve_multi_get_at(view_draw(m), at, count, keys, pins, results);
    else
        rc = varve_multi_get(view_draw(m), count, keys, pins, results);
    TRAIL_OK(rc);
    for (size_t i = 0; i < count; i++) {
        vv_slice key = sample_private(keys[i]);
        expect_result(oracle_get(&m->rig.oracle, commit, key), key, results[i], &pins[i]);
        varve_unpin(&pins[i]);
    }
}

void model_exists(struct model *m)
{
    vv_slice key = sample_key_near(&m->keys, &m->rng, m->scratch);
    bool expected = oracle_get(&m->rig.oracle, rig_visible(&m->rig), key) != NULL;

    trail_note("exists %s", sample_text(key));
    TRAIL_RC(varve_exists(view_draw(m), sample_public(key)), expected ? VARVE_OK : VARVE_NOTFOUND);
}

/* ---- iterators */

static bool in_bounds(const struct model *m, const struct model_cursor *c, size_t index)
{
    vv_slice key = m->rig.oracle.keys[index].key;

    if (c->lower.data && vv_slice_cmp(key, c->lower) < 0)
        return false;
    if (c->upper.data && vv_slice_cmp(key, c->upper) >= 0)
        return false;
    return !c->prefix.data || vv_slice_starts(key, c->prefix);
}

static void cursor_up(const struct model *m, struct model_cursor *c, size_t from)
{
    const struct oracle *o = &m->rig.oracle;

    for (size_t i = from; i < o->count; i++) {
        if (oracle_at(o, c->at, i) && in_bounds(m, c, i)) {
            c->state = CURSOR_ON;
            c->index = i;
            c->key = o->keys[i].key;
            return;
        }
    }
    c->state = CURSOR_END;
}

static void cursor_down(const struct model *m, struct model_cursor *c, size_t end)
{
    const struct oracle *o = &m->rig.oracle;

    for (size_t i = end; i-- > 0;) {
        if (oracle_at(o, c->at, i) && in_bounds(m, c, i)) {
            c->state = CURSOR_ON;
            c->index = i;
            c->key = o->keys[i].key;
            return;
        }
    }
    c->state = CURSOR_END;
}

static void cursor_next(const struct model *m, struct model_cursor *c)
{
    if (c->state == CURSOR_FRESH)
        cursor_up(m, c, 0);
    else if (c->state == CURSOR_ON)
        cursor_up(m, c, c->index + 1);
}

static void cursor_prev(const struct model *m, struct model_cursor *c)
{
    if (c->state == CURSOR_FRESH)
        cursor_down(m, c, m->rig.oracle.count);
    else if (c->state == CURSOR_ON)
        cursor_down(m, c, c->index);
}

static void expect_cursor(const struct model *m, const struct model_cursor *c, varve_iter *iter,
                          int rc)
{
    const struct oracle *o = &m->rig.oracle;
    varve_slice value;

    if (c->state != CURSOR_ON) {
        if (rc == VARVE_OK)
            trail_fail(__FILE__, __LINE__, "the iterator stands on %s, not at the end",
                       sample_text(sample_private(varve_iter_key(iter))));
        TRAIL_RC(rc, VARVE_END);
        TRAIL_CHECK(!varve_iter_valid(iter));
        TRAIL_CHECK(varve_iter_key(iter).size == 0);
        TRAIL_RC(varve_iter_value(iter, &value), VARVE_INVALID);
        return;
    }
    if (rc == VARVE_END)
        trail_fail(__FILE__, __LINE__, "the iterator is at its end, not on %s",
                   sample_text(o->keys[c->index].key));
    TRAIL_OK(rc);
    TRAIL_CHECK(varve_iter_valid(iter));
    if (!vv_slice_equal(sample_private(varve_iter_key(iter)), o->keys[c->index].key))
        trail_fail(__FILE__, __LINE__, "the iterator stands on %s, not on %s",
                   sample_text(sample_private(varve_iter_key(iter))),
                   sample_text(o->keys[c->index].key));
    if (c->keys_only) {
        TRAIL_RC(varve_iter_value(iter, &value), VARVE_INVALID);
        return;
    }
    TRAIL_OK(varve_iter_value(iter, &value));
    expect_value(oracle_at(o, c->at, c->index), o->keys[c->index].key, sample_private(value));
}

static varve_slice column_entry(const varve_column *column, size_t i)
{
    uint64_t from = column->offsets[i];

    return varve_bytes((const uint8_t *)column->data + from, column->offsets[i + 1] - from);
}

/* As varve_iter_chunk, by way of columns. */
static int gather_columns(struct model *m, varve_iter *iter, varve_slice *keys, varve_slice *values,
                          size_t max, size_t *count)
{
    varve_column key_column, value_column;
    int rc = varve_iter_columns(iter, max, vv_rng_below(&m->rng, 4000), &key_column,
                                values ? &value_column : NULL, count);

    for (size_t i = 0; rc == VARVE_OK && i < *count; i++) {
        keys[i] = column_entry(&key_column, i);
        if (values)
            values[i] = column_entry(&value_column, i);
    }
    return rc;
}

static void expect_chunk(struct model *m, struct model_cursor *c, varve_iter *iter)
{
    varve_slice keys[MULTI_MAX];
    varve_slice values[MULTI_MAX];
    bool with_values = !c->keys_only && vv_rng_one_in(&m->rng, 2);
    size_t max = 1 + vv_rng_below(&m->rng, MULTI_MAX);
    size_t count = 777;
    int rc = (vv_rng_one_in(&m->rng, 2)
                  ? gather_columns(m, iter, keys, with_values ? values : NULL, max, &count)
                  : varve_iter_chunk(iter, keys, with_values ? values : NULL, max, &count));

    cursor_next(m, c);
    if (c->state != CURSOR_ON) {
        TRAIL_RC(rc, VARVE_END);
        TRAIL_CHECK(count == 0);
        return;
    }
    TRAIL_OK(rc);
    TRAIL_CHECK(count > 0 && count <= max);
    for (size_t i = 0; i < count; i++) {
        const struct oracle_key *key;

        if (i > 0)
            cursor_next(m, c);
        TRAIL_CHECK(c->state == CURSOR_ON);
        key = &m->rig.oracle.keys[c->index];
        if (!vv_slice_equal(sample_private(keys[i]), key->key))
            trail_fail(__FILE__, __LINE__, "entry %zu of the chunk is %s, not %s", i,
                       sample_text(sample_private(keys[i])), sample_text(key->key));
        if (with_values)
            expect_value(oracle_at(&m->rig.oracle, c->at, c->index), key->key,
                         sample_private(values[i]));
    }
}

/* One move in a drawn direction, compared. */
static void iter_move(struct model *m, struct model_cursor *c, varve_iter *iter)
{
    vv_slice key = sample_key_near(&m->keys, &m->rng, m->scratch);
    const struct oracle *o = &m->rig.oracle;
    size_t index = oracle_lower(o, key);
    uint64_t move = vv_rng_below(&m->rng, c->gathered ? 5 : 14);
    int rc;

    if (c->state == CURSOR_ON)
        c->index = oracle_lower(o, c->key);
    c->gathered = move == 4;
    switch (move) {
    case 0:
        cursor_up(m, c, 0);
        rc = varve_iter_first(iter);
        break;
    case 1:
        cursor_down(m, c, o->count);
        rc = varve_iter_last(iter);
        break;
    case 2:
        cursor_up(m, c, index);
        rc = varve_iter_seek(iter, sample_public(key));
        break;
    case 3:
        if (index < o->count && vv_slice_equal(o->keys[index].key, key))
            index++;
        cursor_down(m, c, index);
        rc = varve_iter_seek_for_prev(iter, sample_public(key));
        break;
    case 4: expect_chunk(m, c, iter); return;
    case 5:
    case 6:
    case 7:
    case 8:
        cursor_prev(m, c);
        rc = varve_iter_prev(iter);
        break;
    default:
        cursor_next(m, c);
        rc = varve_iter_next(iter);
        break;
    }
    expect_cursor(m, c, iter, rc);
}

static varve_iter *iter_draw(struct model *m, struct model_cursor *c)
{
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_iter *iter = NULL;

    *c = (struct model_cursor){.state = CURSOR_FRESH};
    options.snapshot = moment_draw(m, &c->at);
    if (vv_rng_one_in(&m->rng, 3))
        c->lower = sample_key_pick(&m->keys, &m->rng);
    if (vv_rng_one_in(&m->rng, 3))
        c->upper = sample_key_pick(&m->keys, &m->rng);
    if (vv_rng_one_in(&m->rng, 4)) {
        c->prefix = sample_key_pick(&m->keys, &m->rng);
        c->prefix.size = vv_rng_below(&m->rng, c->prefix.size + 1);
    }
    c->keys_only = vv_rng_one_in(&m->rng, 8);
    options.lower = sample_public(c->lower);
    options.upper = sample_public(c->upper);
    options.prefix = sample_public(c->prefix);
    options.keys_only = c->keys_only;
    trail_note("iterator at %" PRIu64 ", lower %s, upper %s, prefix %s", c->at,
               c->lower.data ? sample_text(c->lower) : "none",
               c->upper.data ? sample_text(c->upper) : "none",
               c->prefix.data ? sample_text(c->prefix) : "none");
    varve *view = c->prefix.data != NULL ? m->rig.db : view_draw(m);
    TRAIL_OK(varve_iter_open(view, &options, &iter));
    TRAIL_CHECK(!varve_iter_valid(iter));
    return iter;
}

void model_walk(struct model *m)
{
    struct model_cursor cursor;
    varve_iter *iter = iter_draw(m, &cursor);

    for (uint64_t i = vv_rng_below(&m->rng, 40); i > 0; i--)
        iter_move(m, &cursor, iter);
    varve_iter_close(iter);
}

void model_held_iter(struct model *m)
{
    struct model_held_iter *held = &m->iters[vv_rng_below(&m->rng, MODEL_HELD_MAX)];

    if (!held->iter) {
        held->iter = iter_draw(m, &held->cursor);
        /* The rule is that a snapshot outlives its iterators; held ones read of now. */
        if (held->cursor.at != rig_visible(&m->rig)) {
            varve_iter_close(held->iter);
            held->iter = NULL;
        }
        return;
    }
    if (vv_rng_one_in(&m->rng, 6)) {
        trail_note("close the held iterator");
        varve_iter_close(held->iter);
        held->iter = NULL;
        return;
    }
    trail_note("move the held iterator of commit %" PRIu64, held->cursor.at);
    for (uint64_t i = vv_rng_below(&m->rng, 10); i > 0; i--)
        iter_move(m, &held->cursor, held->iter);
}

/* ---- the rest */

void model_held_pin(struct model *m)
{
    struct model_held_pin *held = &m->pins[vv_rng_below(&m->rng, MODEL_HELD_MAX)];
    vv_slice key = sample_key_pick(&m->keys, &m->rng);

    if (held->pin.data) {
        trail_note("unpin");
        TRAIL_CHECK(vv_hash(vv_slice_of(held->pin.data, held->pin.size)) == held->hash);
        varve_unpin(&held->pin);
        return;
    }
    trail_note("pin %s", sample_text(key));
    expect_result(oracle_get(&m->rig.oracle, rig_visible(&m->rig), key), key,
                  varve_get(view_draw(m), sample_public(key), &held->pin), &held->pin);
    held->hash = vv_hash(vv_slice_of(held->pin.data, held->pin.size));
}

/* Of a range no exact number is promised; but a part is no larger than the whole. */
static void model_range_bytes(struct model *m)
{
    varve_slice from = sample_public(sample_key_pick(&m->keys, &m->rng));
    varve_slice to = sample_public(sample_key_pick(&m->keys, &m->rng));
    varve_slice none = varve_bytes(NULL, 0);
    uint64_t part = 0;
    uint64_t whole = 0;

    TRAIL_OK(varve_range_bytes(m->rig.db, from, to, &part));
    TRAIL_OK(varve_range_bytes(m->rig.db, none, none, &whole));
    if (m->rig.world.stepped)
        TRAIL_CHECK(part <= whole);
}

void model_stats(struct model *m)
{
    varve_stats stats = {.size = sizeof stats};
    uint64_t snapshots = 0;
    uint64_t iterators = 0;
    uint64_t table_bytes = 0;

    trail_note("stats");
    TRAIL_OK(varve_get_stats(m->rig.db, &stats));
    for (int i = 0; i < MODEL_HELD_MAX; i++) {
        snapshots += m->snapshots[i].snapshot != NULL;
        iterators += m->iters[i].iter != NULL;
    }
    for (int i = 0; i < VARVE_LEVELS; i++)
        table_bytes += stats.level_bytes[i];
    TRAIL_CHECK(stats.sequence == vv_db_seq(m->rig.db));
    TRAIL_CHECK(stats.snapshots == snapshots);
    TRAIL_CHECK(stats.iterators == iterators);
    TRAIL_CHECK(stats.disk_bytes >= stats.table_bytes + stats.value_log_bytes);
    if (m->rig.world.stepped)
        TRAIL_CHECK(stats.table_bytes >= table_bytes);
    TRAIL_CHECK(stats.memory_budget == m->rig.options.memory_budget);
    TRAIL_CHECK(stats.value_log_garbage_bytes <= stats.value_log_bytes);
    TRAIL_CHECK(stats.cache_bytes <= stats.memory_budget);
    model_range_bytes(m);
}

void model_release(struct model *m, enum model_handles handles)
{
    for (int i = 0; i < MODEL_HELD_MAX; i++) {
        struct model_held_iter *held = &m->iters[i];
        struct model_held_pin *pinned = &m->pins[i];

        if (held->iter && handles == MODEL_HANDLES_CLOSED) {
            TRAIL_RC(varve_iter_first(held->iter), VARVE_CLOSED);
            TRAIL_RC(varve_iter_next(held->iter), VARVE_CLOSED);
        }
        varve_iter_close(held->iter);
        held->iter = NULL;
        varve_snapshot_release(m->snapshots[i].snapshot);
        m->snapshots[i].snapshot = NULL;
        if (pinned->pin.data)
            TRAIL_CHECK(vv_hash(vv_slice_of(pinned->pin.data, pinned->pin.size)) == pinned->hash);
        varve_unpin(&pinned->pin);
    }
}
