/*
 * Which background work goes first, and what becomes of work that cannot be done.
 */
#include "engine_world.h"

static const char *key_of(unsigned i, char into[16])
{
    (void)snprintf(into, 16, "key%05u", i);
    return into;
}

static void write_some(struct world *w, unsigned from, unsigned count, unsigned step, size_t size)
{
    char key[16];
    for (unsigned i = 0; i < count; i++)
        world_write(w, key_of(from + i * step, key), 1, size);
}

/* Tends until the compaction is done; gives the first failure. */
static int compact(struct world *w)
{
    enum { STEPS_MAX = 10000 };
    uint64_t ticket;
    enum vv_tended tended;
    CHECK_OK(w->engine->ops->compact_begin(w->engine, NULL, NULL, &ticket));
    for (int i = 0; i < STEPS_MAX && !w->engine->ops->compact_done(w->engine, ticket); i++) {
        int rc = w->engine->ops->tend(w->engine, &tended);
        if (rc < 0)
            return rc;
    }
    CHECK(w->engine->ops->compact_done(w->engine, ticket));
    return VV_OK;
}

TEST(a_compaction_that_damage_is_in_the_way_of_fails_each_time)
{
    struct world w;
    char path[64];
    world_create(&w);
    write_some(&w, 0, 100, 2, 300);
    world_flush(&w);
    write_some(&w, 1, 100, 2, 300);
    world_flush(&w);
    world_find(&w, ".sst", WORLD_FIRST, path);
    world_damage(&w, path, 500, 8);
    CHECK_RC(compact(&w), VV_CORRUPT);
    (void)world_try_tend(&w); /* nobody waits for that request any more: it is given up */
    CHECK_RC(compact(&w), VV_CORRUPT);
    world_tend(&w);
    world_free(&w);
}

TEST(a_compaction_ends_though_somebody_writes_on_and_on)
{
    enum { ROUNDS_MAX = 300, KEYS = 200 };
    struct world w;
    uint64_t ticket;
    unsigned rounds = 0;
    world_create(&w);
    write_some(&w, 0, KEYS, 1, 300);
    CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
    while (!w.engine->ops->compact_done(w.engine, ticket) && rounds++ < ROUNDS_MAX) {
        uint64_t flush;
        enum vv_tended tended;
        write_some(&w, 0, KEYS / 2, 2, 300);
        CHECK_OK(w.engine->ops->flush_begin(w.engine, &flush));
        for (int i = 0; i < 12 || !w.engine->ops->flush_done(w.engine, flush); i++)
            CHECK_OK(w.engine->ops->tend(w.engine, &tended));
    }
    CHECK(rounds < ROUNDS_MAX);
    world_free(&w);
}

TEST(garbage_of_values_is_collected_while_merges_have_no_end)
{
    enum { ROUNDS = 400, KEYS = 60, VALUE = 6000 };
    struct world w;
    struct vv_lsm_stats stats;
    char key[16];
    uint64_t ticket = 0;
    world_create(&w);
    write_some(&w, 1000, 2000, 1, 400);
    for (unsigned i = 0; i < ROUNDS; i++) {
        enum vv_tended tended;
        world_write(&w, key_of(i % KEYS, key), i, VALUE);
        world_write(&w, key_of(1000 + i * 37 % 2000, key), 2, 400);
        if (i % 10 == 0) /* before the one before is done */
            CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
        for (int step = 0; step < 2; step++)
            CHECK_OK(w.engine->ops->tend(w.engine, &tended));
        CHECK(!w.engine->ops->compact_done(w.engine, ticket));
    }
    vv_lsm_get_stats(w.engine, &stats);
    CHECK(stats.value_log_collections > 0);
    for (unsigned i = 0; i < KEYS; i++)
        world_check(&w, key_of(i, key), ROUNDS - 1 - (ROUNDS - 1 - i) % KEYS, VALUE);
    world_free(&w);
}
