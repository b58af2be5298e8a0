/*
 * What the engine says was written since a moment, against a list of what was: through flushes and
 * merges, in every place where a version may lie.
 */
#include "db/store.h"
#include "harness/rig.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 40, MOMENTS = 4, STEPS = 1500 };

struct world {
    struct rig rig;
    struct vv_rng rng;
    vv_seq last[KEYS]; /* sequence of the latest write to each key */
    struct vv_watched moments[MOMENTS];
    bool watched[MOMENTS];
};

static const char *name_of(unsigned i)
{
    static char names[KEYS + 1][8];
    snprintf(names[i], sizeof names[i], "k%02u", i);
    return names[i];
}

/* As the engine knows it: in the default keyspace. */
static vv_slice inner(const char *key)
{
    static char bytes[4][16];
    static unsigned next;
    char *at = bytes[next++ % 4];
    return vv_slice_of(at, (size_t)snprintf(at, sizeof bytes[0], "%c%s", 0, key));
}

static void check_moment(struct world *w, vv_seq since)
{
    struct vv_engine *e = w->rig.db->store->engine;
    bool changed = false;
    for (unsigned i = 0; i < KEYS; i++) {
        TRAIL_OK(e->ops->changed(e, since, inner(name_of(i)), &changed));
        TRAIL_CHECK(changed == (w->last[i] > since));
    }
    TRAIL_OK(e->ops->changed(e, since, inner("k05a"), &changed));
    TRAIL_CHECK(!changed);
    for (int n = 0; n < 10; n++) {
        unsigned from = (unsigned)vv_rng_below(&w->rng, KEYS + 1);
        unsigned to = from + (unsigned)vv_rng_below(&w->rng, KEYS + 1 - from);
        bool open = vv_rng_below(&w->rng, 5) == 0;
        bool expected = false;
        for (unsigned i = from; i < (open ? KEYS : to); i++)
            expected = expected || w->last[i] > since;
        TRAIL_OK(e->ops->range_changed(e, since,
                                       from == 0 && open ? VV_SLICE_EMPTY : inner(name_of(from)),
                                       open ? VV_SLICE_EMPTY : inner(name_of(to)), &changed));
        TRAIL_CHECK(changed == expected);
    }
}

static void toggle(struct world *w, unsigned m)
{
    struct vv_store *s = w->rig.db->store;
    if (w->watched[m])
        vv_watch_end(&s->commit.watch, &s->snapshots, &w->moments[m]);
    else
        vv_watch_begin(&s->commit.watch, &s->snapshots, &w->moments[m]);
    w->watched[m] = !w->watched[m];
}

static void step(struct world *w)
{
    enum vv_tended tended;
    unsigned key = (unsigned)vv_rng_below(&w->rng, KEYS);
    switch (vv_rng_below(&w->rng, 12)) {
    case 0: toggle(w, (unsigned)vv_rng_below(&w->rng, MOMENTS)); break;
    case 1: TRAIL_OK(rig_tend(&w->rig, &tended)); break;
    case 2:
        if (vv_rng_below(&w->rng, 8) == 0)
            TRAIL_OK(rig_flush(&w->rig));
        break;
    case 3:
        if (vv_rng_below(&w->rng, 20) == 0)
            TRAIL_OK(varve_compact(w->rig.db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
        break;
    case 4:
    case 5:
        TRAIL_OK(rig_delete(&w->rig, name_of(key), VARVE_DURABILITY_DEFAULT));
        w->last[key] = vv_db_seq(w->rig.db);
        break;
    default:
        TRAIL_OK(
            rig_put(&w->rig, name_of(key), vv_rng_below(&w->rng, 400), VARVE_DURABILITY_DEFAULT));
        w->last[key] = vv_db_seq(w->rig.db);
        break;
    }
}

TEST(what_was_written_since_a_moment_is_known_wherever_it_lies)
{
    for (uint64_t round = 0; round < 4; round++) {
        struct world *w = calloc(1, sizeof *w);
        CHECK(w != NULL);
        trail_begin("repeat with VARVE_SEED=%" PRIu64, test_seed() + round);
        rig_init_sim(&w->rig, test_seed() + round);
        w->rng = vv_rng_of(test_seed() + round);
        TRAIL_OK(rig_open(&w->rig));
        for (int i = 0; i < STEPS; i++) {
            step(w);
            for (unsigned m = 0; i % 7 == 0 && m < MOMENTS; m++)
                if (w->watched[m])
                    check_moment(w, w->moments[m].snapshot.seq);
        }
        for (unsigned m = 0; m < MOMENTS; m++)
            if (w->watched[m])
                toggle(w, m);
        rig_deinit(&w->rig);
        free(w);
    }
}
