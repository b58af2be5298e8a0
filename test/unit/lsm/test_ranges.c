/*
 * Range tombstones through memtables, tables, merges, crashes and repair: at every moment that
 * somebody holds, each key reads as a list of what was done to it says, by lookups and by walks in
 * both directions.
 */
#include "engine_world.h"

#include "db/walk.h"
#include "lsm/tree.h"

enum { KEYS = 300, EVENTS_MAX = 4000, VALUE_MAX = 40 };

/* Version 0 is a deletion, of one key or of a range. */
struct event {
    vv_seq seq;
    unsigned from, to;
    unsigned version;
};

struct story {
    struct world w;
    struct vv_rng rng;
    struct event events[EVENTS_MAX];
    size_t count;
    unsigned version;
};

static const char *key_of(unsigned i)
{
    static char keys[KEYS + 1][8];
    if (keys[i][0] == 0)
        (void)snprintf(keys[i], sizeof keys[i], "k%05u", i);
    return keys[i];
}

static unsigned index_of(vv_slice key)
{
    unsigned i = 0;
    for (size_t n = 1; n < key.size; n++)
        i = i * 10 + (unsigned)(key.data[n] - '0');
    return i;
}

static size_t size_of(const struct story *s, unsigned version)
{
    (void)s;
    return version % 17 == 0 ? 1500 : version % 50 == 0 ? 5000 : 1 + version % VALUE_MAX;
}

/* ---- the oracle */

static unsigned expected(const struct story *s, unsigned key, vv_seq at)
{
    unsigned version = 0;
    for (size_t i = 0; i < s->count && s->events[i].seq <= at; i++) {
        if (s->events[i].from <= key && key < s->events[i].to)
            version = s->events[i].version;
    }
    return version;
}

static void note(struct story *s, unsigned from, unsigned to, unsigned version, vv_seq seq)
{
    CHECK(s->count < EVENTS_MAX);
    s->events[s->count++] = (struct event){seq, from, to, version};
}

static void check_value(const struct story *s, unsigned key, vv_slice value, unsigned version)
{
    uint8_t bytes[5000];
    world_value(key_of(key), version, size_of(s, version), bytes);
    CHECK_BYTES(value.data, value.size, bytes, size_of(s, version));
}

static void check_gets(struct story *s, vv_seq at)
{
    for (unsigned key = 0; key < KEYS; key++) {
        struct vv_pin pin;
        unsigned version = expected(s, key, at);
        CHECK_RC(world_get_at(&s->w, at, key_of(key), &pin), version > 0 ? VV_OK : VV_NOTFOUND);
        if (version > 0)
            check_value(s, key, pin.value, version);
        vv_pin_release(&pin);
    }
}

static void check_entry(struct story *s, struct vv_iter *it, const struct vv_walk *walk,
                        unsigned key, unsigned version)
{
    struct vv_pin pin = {0};
    CHECK_EQ_INT(index_of(walk->entry.key), key);
    if (walk->entry.kind == VV_KIND_REF) {
        CHECK_OK(s->w.engine->ops->resolve(it, walk->entry.value, walk->entry.key, &pin));
        check_value(s, key, pin.value, version);
        vv_pin_release(&pin);
    } else {
        check_value(s, key, walk->entry.value, version);
    }
}

static struct vv_iter *iter_at(struct story *s, vv_seq at, struct vv_walk *walk)
{
    struct vv_engine_iter_options options = {.at = at};
    struct vv_iter *it;
    vv_seq seq;
    CHECK_OK(s->w.engine->ops->iter(s->w.engine, &options, &seq, &it));
    *walk = (struct vv_walk){.order = &s->w.order};
    vv_walk_start(walk, it, seq);
    return it;
}

static void check_walks(struct story *s, vv_seq at)
{
    struct vv_walk walk;
    struct vv_iter *it = iter_at(s, at, &walk);
    for (unsigned key = 0; key < KEYS; key++) {
        unsigned version = expected(s, key, at);
        if (version == 0)
            continue;
        CHECK_OK(vv_walk_next(&walk));
        check_entry(s, it, &walk, key, version);
    }
    CHECK_RC(vv_walk_next(&walk), VV_END);
    CHECK(vv_walk_last(&walk) >= 0);
    for (unsigned key = KEYS; key-- > 0;) {
        unsigned version = expected(s, key, at);
        if (version == 0)
            continue;
        CHECK(vv_walk_valid(&walk));
        check_entry(s, it, &walk, key, version);
        (void)!vv_walk_prev(&walk);
    }
    CHECK(!vv_walk_valid(&walk));
    vv_walk_deinit(&walk);
    vv_iter_close(it);
}

/* Here and there, with turns. */
static void check_steps(struct story *s, vv_seq at)
{
    struct vv_walk walk;
    struct vv_iter *it = iter_at(s, at, &walk);
    for (int round = 0; round < 10; round++) {
        unsigned key = (unsigned)vv_rng_below(&s->rng, KEYS);
        int rc = vv_walk_seek(&walk, vv_slice_str(key_of(key)));
        for (int step = 0; step < 10 && rc == VV_OK; step++) {
            unsigned here = index_of(walk.entry.key);
            check_entry(s, it, &walk, here, expected(s, here, at));
            for (; key < here; key++)
                CHECK_EQ_INT(expected(s, key, at), 0);
            bool back = vv_rng_one_in(&s->rng, 2);
            key = here + (back ? 0 : 1);
            rc = back ? vv_walk_prev(&walk) : vv_walk_next(&walk);
            if (back && rc == VV_OK) {
                for (key = index_of(walk.entry.key) + 1; key < here; key++)
                    CHECK_EQ_INT(expected(s, key, at), 0);
                key = index_of(walk.entry.key);
            }
        }
    }
    vv_walk_deinit(&walk);
    vv_iter_close(it);
}

static void check_moment(struct story *s, vv_seq at)
{
    check_gets(s, at);
    check_walks(s, at);
    check_steps(s, at);
}

static void check_all(struct story *s)
{
    check_moment(s, atomic_load(&s->w.visible));
    for (size_t i = 0; i < s->w.snapshot_count; i++)
        check_moment(s, s->w.snapshots[i]);
}

/* ---- what happens */

static void put(struct story *s, unsigned key)
{
    unsigned version = ++s->version;
    world_write(&s->w, key_of(key), version, size_of(s, version));
    note(s, key, key + 1, version, s->w.given);
}

static void delete_range(struct story *s, unsigned from, unsigned to)
{
    struct world_write write = {0};
    CHECK_OK(
        vv_batch_delete_range(&write.batch, vv_slice_str(key_of(from)), vv_slice_str(key_of(to))));
    CHECK_OK(world_commit(&s->w, &write));
    note(s, from, to, 0, s->w.given);
}

/* A put, a deletion of it, and a put that stays, in one batch. */
static void put_around(struct story *s, unsigned key)
{
    struct world_write write = {0};
    uint8_t value[5000];
    unsigned version = ++s->version;
    world_value(key_of(key), version, size_of(s, version), value);
    vv_slice bytes = vv_slice_of(value, size_of(s, version));
    CHECK_OK(vv_batch_put(&write.batch, vv_slice_str(key_of(key)), VV_SLICE_EMPTY));
    CHECK_OK(vv_batch_delete_range(&write.batch, vv_slice_str(key_of(key)),
                                   vv_slice_str(key_of(key + 1))));
    CHECK_OK(vv_batch_put(&write.batch, vv_slice_str(key_of(key)), bytes));
    CHECK_OK(world_commit(&s->w, &write));
    note(s, key, key + 1, version, s->w.given - 2);
    note(s, key, key + 1, 0, s->w.given - 1);
    note(s, key, key + 1, version, s->w.given);
}

static void toggle_snapshot(struct story *s)
{
    struct world *w = &s->w;
    vv_seq visible = atomic_load(&w->visible);
    bool full = w->snapshot_count == 5;
    if (!full && visible > 0 &&
        (w->snapshot_count == 0 || w->snapshots[w->snapshot_count - 1] < visible) &&
        vv_rng_one_in(&s->rng, 2)) {
        w->snapshots[w->snapshot_count++] = visible;
    } else if (w->snapshot_count > 0) {
        size_t i = (size_t)vv_rng_below(&s->rng, w->snapshot_count);
        for (; i + 1 < w->snapshot_count; i++)
            w->snapshots[i] = w->snapshots[i + 1];
        w->snapshot_count--;
    }
}

static void compact(struct story *s)
{
    uint64_t ticket;
    CHECK_OK(s->w.engine->ops->compact_begin(s->w.engine, NULL, NULL, &ticket));
    while (!s->w.engine->ops->compact_done(s->w.engine, ticket)) {
        enum vv_tended tended;
        CHECK_OK(s->w.engine->ops->tend(s->w.engine, &tended));
    }
}

static void change(struct story *s)
{
    unsigned from = (unsigned)vv_rng_below(&s->rng, KEYS);
    unsigned most = vv_rng_one_in(&s->rng, 4) ? KEYS : 20;
    unsigned to = from + (unsigned)vv_rng_below(&s->rng, most);
    switch (vv_rng_below(&s->rng, 12)) {
    case 0: delete_range(s, from, to < KEYS ? to : KEYS); break;
    case 1:
        world_delete(&s->w, key_of(from));
        note(s, from, from + 1, 0, s->w.given);
        break;
    case 2: put_around(s, from); break;
    default: put(s, from); break;
    }
}

static void care(struct story *s)
{
    enum vv_tended tended;
    switch (vv_rng_below(&s->rng, 60)) {
    case 0: world_flush(&s->w); break;
    case 1: world_tend(&s->w); break;
    case 2:
        if (vv_rng_one_in(&s->rng, 4))
            compact(s);
        break;
    case 3:
        if (vv_rng_one_in(&s->rng, 3)) {
            s->w.snapshot_count = 0;
            world_reopen(&s->w);
        }
        break;
    case 4:
    case 5:
    case 6: toggle_snapshot(s); break;
    default: CHECK_OK(s->w.engine->ops->tend(s->w.engine, &tended)); break;
    }
}

static void shrink(struct world *w)
{
    w->options.tuning = (struct vv_lsm_tuning){.memtable_bytes = 6 << 10,
                                               .table_bytes = 2 << 10,
                                               .block_bytes = 256,
                                               .base_level_bytes = 6 << 10,
                                               .level_ratio = 3,
                                               .l0_runs = 2,
                                               .value_file_bytes = 16 << 10,
                                               .step_bytes = 1 << 10,
                                               .spare_bytes = 4 << 10,
                                               .manifest_bytes = 4 << 10};
}

static void begin(struct story *s, uint64_t seed)
{
    *s = (struct story){.rng = vv_rng_of(seed)};
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(seed, &env));
    CHECK_OK(vv_env_make_dir(env, WORLD_DIR));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    world_init(&s->w, env);
    shrink(&s->w);
    s->w.options.create = true;
    world_open(&s->w);
}

static struct story story;

TEST(every_moment_reads_as_it_was_whatever_happens_to_the_tables)
{
    struct story *s = &story;
    for (unsigned round = 0; round < 6; round++) {
        begin(s, test_seed() + round);
        for (unsigned step = 0; s->count + 10 < EVENTS_MAX && step < 2500; step++) {
            change(s);
            care(s);
            if (step % 250 == 249)
                check_all(s);
        }
        world_settle(&s->w);
        check_all(s);
        CHECK_OK(s->w.engine->ops->check(s->w.engine, NULL, NULL));
        compact(s);
        check_all(s);
        world_reopen(&s->w);
        check_moment(s, s->w.given);
        world_free(&s->w);
    }
}

static uint64_t table_count(struct world *w)
{
    struct vv_lsm_stats stats;
    uint64_t count = 0;
    vv_lsm_get_stats(w->engine, &stats);
    for (int level = 0; level < VV_LEVELS; level++)
        count += stats.level_files[level];
    return count;
}

static uint64_t merged_bytes(struct world *w)
{
    struct vv_lsm_stats stats;
    vv_lsm_get_stats(w->engine, &stats);
    return stats.compaction_bytes_read;
}

/* What a tombstone hides in its own memtable was held by the lookup, and is let go of once. */
TEST(asking_for_what_a_range_hides_lets_go_of_it_once)
{
    struct world w;
    struct vv_look look;
    struct world_write write = {0};
    world_create(&w);
    world_write(&w, "b", 1, 100);
    CHECK_OK(vv_batch_delete_range(&write.batch, vv_slice_str("a"), vv_slice_str("c")));
    CHECK_OK(world_commit(&w, &write));
    for (int i = 0; i < 5; i++)
        CHECK_RC(w.engine->ops->look(w.engine, VV_SEQ_NOW, vv_slice_str("b"), &look), VV_NOTFOUND);
    world_write(&w, "b", 2, 100);
    world_check(&w, "b", 2, 100);
    world_flush(&w);
    world_check(&w, "b", 2, 100);
    world_free(&w);
}

TEST(tables_that_a_range_covers_go_unread_once_no_snapshot_needs_them)
{
    struct story *s = &story;
    struct world *w = &s->w;
    begin(s, test_seed());
    for (unsigned key = 0; key < KEYS; key++)
        put(s, key);
    compact(s);
    uint64_t tables = table_count(w);
    CHECK(tables > 5);
    w->snapshots[w->snapshot_count++] = atomic_load(&w->visible);
    delete_range(s, 0, KEYS);
    world_flush(w);
    uint64_t read = merged_bytes(w);
    enum vv_tended tended;
    CHECK_OK(w->engine->ops->tend(w->engine, &tended));
    CHECK_EQ_U64(table_count(w), tables + 1);
    check_all(s);
    w->snapshot_count = 0;
    world_tend(w);
    CHECK(table_count(w) <= 1);
    CHECK_EQ_U64(merged_bytes(w), read);
    check_all(s);
    struct vv_lsm_stats stats;
    world_settle(w);
    vv_lsm_get_stats(w->engine, &stats);
    CHECK(stats.value_log_bytes - stats.value_log_garbage_bytes < 1000);
    CHECK_OK(w->engine->ops->check(w->engine, NULL, NULL));
    world_reopen(w);
    check_all(s);
    world_free(w);
}
