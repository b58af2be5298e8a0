/*
 * The laws of iterators, on every small state: each assignment of histories to
 * three keys, read at each moment, under each pair of bounds, against a model
 * that looks at all keys each time.
 */
#include "db/walk.h"
#include "env/posix.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

#include <stdio.h>

enum { KEYS = 3, PLACES = 2 * KEYS + 1 };

static const char *const key_names[KEYS] = {"b", "d", "f"};
/* Between, before and behind the keys. */
static const char *const places[PLACES] = {"a", "b", "c", "d", "e", "f", "g"};

struct model {
    bool shows[KEYS];
    char values[KEYS][24];
    int lower, upper; /* indexes into places, or -1 */
    int at;           /* key index, or KEYS + direction */
};

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static int place_of_key(int key)
{
    return 2 * key + 1;
}

static bool visible(const struct model *m, int key)
{
    int place = place_of_key(key);
    return m->shows[key] && (m->lower < 0 || place >= m->lower) &&
           (m->upper < 0 || place < m->upper);
}

/* The first visible key at or behind a place, or -1. */
static int model_from(const struct model *m, int place)
{
    for (int key = 0; key < KEYS; key++)
        if (visible(m, key) && place_of_key(key) >= place)
            return key;
    return -1;
}

static int model_to(const struct model *m, int place)
{
    for (int key = KEYS - 1; key >= 0; key--)
        if (visible(m, key) && place_of_key(key) <= place)
            return key;
    return -1;
}

static void check_on(varve_iter *it, int rc, const struct model *m, int key)
{
    varve_slice value;
    CHECK_EQ_INT(rc, key < 0 ? VARVE_END : VARVE_OK);
    CHECK_EQ_INT(varve_iter_valid(it), key >= 0);
    if (key < 0) {
        CHECK_EQ_INT(varve_iter_key(it).size, 0);
        CHECK_RC(varve_iter_value(it, &value), VARVE_INVALID);
        return;
    }
    CHECK_BYTES(varve_iter_key(it).data, varve_iter_key(it).size, key_names[key], 1);
    CHECK_OK(varve_iter_value(it, &value));
    CHECK_BYTES(value.data, value.size, m->values[key], strlen(m->values[key]));
}

/* From each position that a seek can reach: all walks of three steps. */
static void check_steps(varve_iter *it, const struct model *m, int key)
{
    for (int path = 0; path < 8 && key >= 0; path++) {
        int at = key;
        CHECK_OK(varve_iter_seek(it, str(key_names[key])));
        for (int step = 0; step < 3; step++) {
            bool forward = path >> step & 1;
            int rc = forward ? varve_iter_next(it) : varve_iter_prev(it);
            at = forward ? model_from(m, place_of_key(at) + 1) : model_to(m, place_of_key(at) - 1);
            check_on(it, rc, m, at);
            if (at < 0) {
                CHECK_RC(varve_iter_next(it), VARVE_END);
                CHECK_RC(varve_iter_prev(it), VARVE_END);
                break;
            }
        }
    }
}

static void check_laws(varve_iter *it, const struct model *m)
{
    check_on(it, varve_iter_first(it), m, model_from(m, 0));
    check_on(it, varve_iter_last(it), m, model_to(m, PLACES));
    for (int place = 0; place < PLACES; place++) {
        int from = model_from(m, place), to = model_to(m, place);
        check_on(it, varve_iter_seek(it, str(places[place])), m, from);
        check_on(it, varve_iter_seek_for_prev(it, str(places[place])), m, to);
        check_steps(it, m, from);
        check_steps(it, m, to);
    }
}

static void check_bounds(varve *db, const varve_snapshot *snapshot, struct model *m)
{
    for (m->lower = -1; m->lower < PLACES; m->lower++) {
        for (m->upper = -1; m->upper < PLACES; m->upper++) {
            varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
            varve_iter *it;
            options.snapshot = snapshot;
            if (m->lower >= 0)
                options.lower = str(places[m->lower]);
            if (m->upper >= 0)
                options.upper = str(places[m->upper]);
            CHECK_OK(varve_iter_open(db, &options, &it));
            check_laws(it, m);
            varve_iter_close(it);
        }
    }
}

/* A history of a key is a number in base 3 of two digits: nothing, put, delete.
 */
static void play(varve *db, struct model *m, int round, int histories)
{
    for (int key = 0; key < KEYS; key++) {
        int digit = histories % 9 / (round == 0 ? 1 : 3) % 3;
        histories /= 9;
        if (digit == 1) {
            (void)snprintf(m->values[key], sizeof m->values[key], "%d.%d", key, round);
            CHECK_OK(varve_put(db, str(key_names[key]), str(m->values[key])));
            m->shows[key] = true;
        } else if (digit == 2) {
            CHECK_OK(varve_delete(db, str(key_names[key])));
            m->shows[key] = false;
        }
    }
}

TEST(iterators_obey_their_laws_on_every_small_state)
{
    int stride = test_soak() ? 1 : 7;
    for (int histories = 0; histories < 9 * 9 * 9; histories += stride) {
        struct fake_controls controls = {0};
        struct model then = {0}, now;
        varve_snapshot *snapshot;
        varve *db = fake_store_stepped(&controls, "");
        play(db, &then, 0, histories);
        CHECK_OK(varve_snapshot_new(db, &snapshot));
        now = then;
        play(db, &now, 1, histories);
        check_bounds(db, snapshot, &then);
        check_bounds(db, NULL, &now);
        varve_snapshot_release(snapshot);
        CHECK_OK(varve_close(db));
    }
}

static varve *store_of(struct fake_controls *controls, const char *const *keys, size_t count)
{
    varve *db = fake_store_stepped(controls, "");
    for (size_t i = 0; i < count; i++)
        CHECK_OK(varve_put(db, str(keys[i]), str(keys[i])));
    return db;
}

TEST(a_fresh_iterator_starts_at_either_end)
{
    static const char *const keys[] = {"a", "b", "c"};
    struct fake_controls controls = {0};
    varve *db = store_of(&controls, keys, 3);
    varve_iter *it;
    CHECK_OK(varve_iter_open(db, NULL, &it));
    CHECK_EQ_INT(varve_iter_valid(it), 0);
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "a");
    CHECK_OK(varve_iter_refresh(it));
    CHECK_EQ_INT(varve_iter_valid(it), 0);
    CHECK_OK(varve_iter_prev(it));
    CHECK_SLICE(varve_iter_key(it), "c");
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
}

TEST(many_versions_of_a_key_are_one_entry_in_both_directions)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "");
    varve_iter *it;
    char value[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(value, sizeof value, "%d", i);
        CHECK_OK(varve_put(db, str("a"), str(value)));
        CHECK_OK(varve_put(db, str("b"), str(value)));
        CHECK_OK(varve_put(db, str("c"), str(value)));
    }
    CHECK_OK(varve_delete(db, str("b")));
    CHECK_OK(varve_iter_open(db, NULL, &it));
    for (int round = 0; round < 2; round++) {
        varve_slice out;
        CHECK_OK(varve_iter_first(it));
        CHECK_OK(varve_iter_next(it));
        CHECK_SLICE(varve_iter_key(it), "c");
        CHECK_OK(varve_iter_value(it, &out));
        CHECK_SLICE(out, "99");
        CHECK_OK(varve_iter_prev(it));
        CHECK_SLICE(varve_iter_key(it), "a");
        CHECK_OK(varve_iter_value(it, &out));
        CHECK_SLICE(out, "99");
        CHECK_RC(varve_iter_prev(it), VARVE_END);
    }
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
}

/* What a walk of one step may cost the engine, however often a key was written. */
enum { MOVES_MAX = 30 };

static void expect_few_moves(struct fake_controls *controls)
{
    CHECK(atomic_exchange(&controls->seen.iter_moves, 0) <= MOVES_MAX);
}

TEST(a_key_that_was_written_often_since_does_not_hold_up_an_older_view)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "");
    varve_iter_options o = VARVE_ITER_OPTIONS_INIT;
    varve_snapshot *snapshot;
    varve_iter *it;
    CHECK_OK(varve_put(db, str("a"), str("0")));
    CHECK_OK(varve_put(db, str("b"), str("0")));
    CHECK_OK(varve_snapshot_new(db, &snapshot));
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(varve_put(db, str("aa"), str("1"))); /* not there yet */
        CHECK_OK(varve_put(db, str("b"), str("1")));
    }
    o.snapshot = snapshot;
    CHECK_OK(varve_iter_open(db, &o, &it));
    CHECK_OK(varve_iter_first(it));
    expect_few_moves(&controls);
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "b");
    expect_few_moves(&controls);
    CHECK_OK(varve_iter_prev(it));
    CHECK_SLICE(varve_iter_key(it), "a");
    expect_few_moves(&controls);
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "b");
    expect_few_moves(&controls);
    CHECK_RC(varve_iter_next(it), VARVE_END);
    varve_iter_close(it);

    o = (varve_iter_options)VARVE_ITER_OPTIONS_INIT;
    o.upper = str("b");
    CHECK_OK(varve_delete(db, str("aa")));
    CHECK_OK(varve_iter_open(db, &o, &it));
    CHECK_OK(varve_iter_last(it));
    CHECK_SLICE(varve_iter_key(it), "a");
    expect_few_moves(&controls);
    varve_iter_close(it);
    varve_snapshot_release(snapshot);
    CHECK_OK(varve_close(db));
}

TEST(a_prefix_shows_what_starts_with_it)
{
    static const char *const keys[] = {
        "a", "ab", "aba", "ac", "b", "\xff", "\xff\xff", "\xff\xff\x61",
    };
    static const struct {
        const char *prefix;
        int count;
    } cases[] = {{"", 8}, {"a", 4}, {"ab", 2}, {"abb", 0}, {"\xff", 3}, {"\xff\xff", 2}, {"c", 0}};
    struct fake_controls controls = {0};
    varve *db = store_of(&controls, keys, 8);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
        varve_iter *it;
        int forward = 0, backward = 0;
        options.prefix = str(cases[i].prefix);
        CHECK_OK(varve_iter_open(db, &options, &it));
        while (varve_iter_next(it) == VARVE_OK)
            forward++;
        CHECK_OK(varve_iter_refresh(it));
        while (varve_iter_prev(it) == VARVE_OK)
            backward++;
        CHECK_EQ_INT(forward, cases[i].count);
        CHECK_EQ_INT(backward, cases[i].count);
        varve_iter_close(it);
    }
    CHECK_OK(varve_close(db));
}

TEST(chunks_visit_everything_once_whatever_their_size)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "");
    static char large[300 << 10];
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%03d", i % 1000);
        CHECK_OK(varve_put(db, str(key), varve_bytes(large, sizeof large)));
    }
    for (size_t max = 1; max < 12; max++) {
        varve_slice keys[12], values[12];
        varve_iter *it;
        size_t count, seen = 0;
        int rc;
        CHECK_OK(varve_iter_open(db, NULL, &it));
        while ((rc = varve_iter_chunk(it, keys, values, max, &count)) == VARVE_OK) {
            CHECK(count > 0 && count <= max && count <= 4);
            for (size_t i = 0; i < count; i++, seen++) {
                CHECK_EQ_INT(((const char *)keys[i].data)[2], '0' + (int)seen);
                CHECK_EQ_INT(keys[i].size, 3);
                CHECK_BYTES(values[i].data, values[i].size, large, sizeof large);
            }
        }
        CHECK_RC(rc, VARVE_END);
        CHECK_EQ_INT(count, 0);
        CHECK_EQ_INT(seen, 10);
        varve_iter_close(it);
    }
    CHECK_EQ_INT(atomic_load(&controls.seen.pins_open), 0);
    CHECK_OK(varve_close(db));
}

TEST(a_chunk_goes_on_behind_the_present_entry)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct fake_controls controls = {0};
    varve *db = store_of(&controls, names, 4);
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_slice keys[4], value;
    varve_iter *it;
    size_t count;
    options.keys_only = 1;
    CHECK_OK(varve_iter_open(db, &options, &it));
    CHECK_OK(varve_iter_seek(it, str("b")));
    CHECK_OK(varve_iter_chunk(it, keys, NULL, 1, &count));
    CHECK_SLICE(keys[0], "c");
    CHECK_SLICE(varve_iter_key(it), "c");
    CHECK_RC(varve_iter_value(it, &value), VARVE_INVALID);
    CHECK_RC(varve_iter_chunk(it, keys, keys, 1, &count), VARVE_INVALID);
    CHECK_OK(varve_iter_chunk(it, keys, NULL, 4, &count));
    CHECK_EQ_INT(count, 1);
    CHECK_SLICE(keys[0], "d");
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
}

TEST(an_iterator_shows_one_moment_until_it_is_refreshed)
{
    static const char *const names[] = {"a"};
    struct fake_controls controls = {0};
    varve *db = store_of(&controls, names, 1);
    varve_iter *it;
    CHECK_OK(varve_iter_open(db, NULL, &it));
    CHECK_OK(varve_put(db, str("b"), str("1")));
    CHECK_OK(varve_delete(db, str("a")));
    CHECK_OK(varve_iter_first(it));
    CHECK_SLICE(varve_iter_key(it), "a");
    CHECK_RC(varve_iter_next(it), VARVE_END);
    CHECK_OK(varve_iter_refresh(it));
    CHECK_OK(varve_iter_first(it));
    CHECK_SLICE(varve_iter_key(it), "b");
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
}

static int backwards(void *context, varve_slice a, varve_slice b)
{
    (void)context;
    return vv_slice_cmp(vv_slice_of(b.data, b.size), vv_slice_of(a.data, a.size));
}

TEST(an_order_of_the_users_rules_iterators_and_refuses_prefixes)
{
    struct fake_controls controls = {0};
    struct vv_engine_maker maker = fake_maker(&controls);
    varve_comparator order = {"backwards", backwards, NULL};
    varve_options options = VARVE_OPTIONS_INIT;
    varve_iter_options iter_options = VARVE_ITER_OPTIONS_INIT;
    static uint8_t large[8192];
    varve_batch *batch;
    varve_iter *it;
    varve *db;
    options.comparator = &order;
    CHECK_OK(vv_db_open_over(&(struct vv_db_world){.env = vv_env_posix(), .stepped = true}, &maker,
                             &options, &db));
    memset(&order, 0, sizeof order); /* options are read during the call only */
    CHECK_OK(varve_put(db, str("a"), str("1")));
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("b"), str("2")));
    CHECK_OK(varve_batch_put(batch, str(""), str("3")));
    CHECK_OK(varve_batch_put(batch, str("c"), varve_bytes(large, sizeof large)));
    CHECK_OK(varve_batch_put(batch, str("d"), str("4")));
    CHECK_OK(varve_batch_delete(batch, str("d")));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_clear(batch);
    CHECK_OK(varve_batch_delete(batch, str("c")));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
    CHECK_OK(varve_iter_open(db, NULL, &it));
    CHECK_OK(varve_iter_last(it));
    CHECK_SLICE(varve_iter_key(it), "");
    varve_iter_close(it);
    iter_options.upper = str("a");
    CHECK_OK(varve_iter_open(db, &iter_options, &it));
    CHECK_OK(varve_iter_first(it));
    CHECK_SLICE(varve_iter_key(it), "b");
    CHECK_RC(varve_iter_next(it), VARVE_END);
    varve_iter_close(it);
    iter_options.prefix = str("a");
    CHECK_RC(varve_iter_open(db, &iter_options, &it), VARVE_INVALID);
    CHECK_OK(varve_close(db));
}
