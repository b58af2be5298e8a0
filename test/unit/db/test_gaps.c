/*
 * Gaps: walks that jump over what is deleted show what walks that do not would.
 */
#include "base/rng.h"
#include "db/gaps.h"
#include "db/store.h"
#include "harness/test.h"

#include <pthread.h>
#include <stdio.h>

enum { KEYS = 2000, STEPS = 1500, SNAPSHOTS = 3, THREAD_ROUNDS = 100 };

struct state {
    bool there[KEYS];
};

static const char *key_of(unsigned i, char into[16])
{
    (void)snprintf(into, 16, "k%05u", i);
    return into;
}

static unsigned index_of(varve_slice key)
{
    unsigned i = 0;
    for (size_t n = 1; n < key.size; n++)
        i = i * 10 + (unsigned)(((const uint8_t *)key.data)[n] - '0');
    return i;
}

static void check_walks(varve *db, const varve_snapshot *at, const struct state *s,
                        struct vv_rng *rng)
{
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_iter *iter;
    char key[16];
    options.snapshot = at;
    CHECK_OK(varve_iter_open(db, &options, &iter));
    for (int n = 0; n < 4; n++) {
        unsigned from = n == 0 ? 0 : (unsigned)vv_rng_below(rng, KEYS);
        unsigned up = from;
        while (up < KEYS && !s->there[up])
            up++;
        CHECK_RC(varve_iter_seek(iter, VARVE_STR(key_of(from, key))),
                 up < KEYS ? VARVE_OK : VARVE_END);
        if (up < KEYS)
            CHECK_EQ_INT(index_of(varve_iter_key(iter)), up);
        unsigned down = from + 1;
        while (down > 0 && !s->there[down - 1])
            down--;
        CHECK_RC(varve_iter_seek_for_prev(iter, VARVE_STR(key_of(from, key))),
                 down > 0 ? VARVE_OK : VARVE_END);
        if (down > 0)
            CHECK_EQ_INT(index_of(varve_iter_key(iter)), down - 1);
    }
    varve_iter_close(iter);
}

static void check_all(varve *db, const struct state *s)
{
    varve_iter *iter;
    CHECK_OK(varve_iter_open(db, NULL, &iter));
    for (unsigned i = 0; i < KEYS; i++) {
        if (!s->there[i])
            continue;
        CHECK_OK(varve_iter_next(iter));
        CHECK_EQ_INT(index_of(varve_iter_key(iter)), i);
    }
    CHECK_RC(varve_iter_next(iter), VARVE_END);
    int rc = varve_iter_last(iter);
    for (unsigned i = KEYS; i-- > 0;) {
        if (!s->there[i])
            continue;
        CHECK_OK(rc);
        CHECK_EQ_INT(index_of(varve_iter_key(iter)), i);
        rc = varve_iter_prev(iter);
    }
    CHECK_RC(rc, VARVE_END);
    varve_iter_close(iter);
}

static void change(varve *db, struct state *s, struct vv_rng *rng)
{
    char key[16];
    unsigned from = (unsigned)vv_rng_below(rng, KEYS);
    unsigned count = vv_rng_one_in(rng, 6) ? (unsigned)vv_rng_below(rng, 400) : 1;
    bool put = vv_rng_one_in(rng, 2);
    for (unsigned i = from; i < from + count && i < KEYS; i++) {
        CHECK_OK(put && count == 1 ? varve_put(db, VARVE_STR(key_of(i, key)), VARVE_STR("v"))
                                   : varve_delete(db, VARVE_STR(key_of(i, key))));
        s->there[i] = put && count == 1;
    }
}

TEST(walks_over_gaps_show_what_is_there_at_every_moment)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    static struct state now, then[SNAPSHOTS];
    varve_snapshot *snapshots[SNAPSHOTS] = {NULL};
    char key[16];
    varve *db;
    CHECK_OK(varve_open(":memory:", NULL, &db));
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK_OK(varve_put(db, VARVE_STR(key_of(i, key)), VARVE_STR("v")));
        now.there[i] = true;
    }
    for (int step = 0; step < STEPS; step++) {
        unsigned which = (unsigned)vv_rng_below(&rng, SNAPSHOTS);
        change(db, &now, &rng);
        if (vv_rng_one_in(&rng, 20)) {
            varve_snapshot_release(snapshots[which]);
            CHECK_OK(varve_snapshot_new(db, &snapshots[which]));
            then[which] = now;
        }
        check_walks(db, NULL, &now, &rng);
        if (snapshots[which] != NULL)
            check_walks(db, snapshots[which], &then[which], &rng);
        if (step % 500 == 0)
            check_all(db, &now);
        if (step % 300 == 200)
            CHECK_OK(varve_flush(db));
    }
    CHECK(vv_gaps_any(&db->store->commit.gaps));
    for (int i = 0; i < SNAPSHOTS; i++)
        varve_snapshot_release(snapshots[i]);
    CHECK_OK(varve_close(db));
}

/* ---- threads */

struct shared {
    varve *db;
    _Atomic(bool) done;
};

static void *look_always(void *context)
{
    struct shared *shared = context;
    while (!atomic_load(&shared->done)) {
        varve_iter *iter;
        if (varve_iter_open(shared->db, NULL, &iter) < 0)
            break;
        int rc = varve_iter_first(iter);
        if (rc == VARVE_OK)
            rc = varve_iter_last(iter);
        varve_iter_close(iter);
        if (rc < 0)
            break;
    }
    return NULL;
}

/* What was put is seen by whoever looks afterwards, though others learn gaps all the time. */
TEST(a_put_into_a_gap_shows_at_once)
{
    struct shared shared = {.db = NULL};
    struct vv_rng rng = vv_rng_of(test_seed());
    pthread_t threads[2];
    char key[16];
    CHECK_OK(varve_open(":memory:", NULL, &shared.db));
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK_OK(varve_put(shared.db, VARVE_STR(key_of(i, key)), VARVE_STR("v")));
        CHECK_OK(varve_delete(shared.db, VARVE_STR(key_of(i, key))));
    }
    for (int i = 0; i < 2; i++)
        CHECK_EQ_INT(pthread_create(&threads[i], NULL, look_always, &shared), 0);
    for (int round = 0; round < THREAD_ROUNDS; round++) {
        unsigned i = (unsigned)vv_rng_below(&rng, KEYS);
        varve_iter *iter;
        CHECK_OK(varve_put(shared.db, VARVE_STR(key_of(i, key)), VARVE_STR("v")));
        CHECK_OK(varve_iter_open(shared.db, NULL, &iter));
        CHECK_OK(varve_iter_first(iter));
        CHECK_EQ_INT(index_of(varve_iter_key(iter)), i);
        varve_iter_close(iter);
        CHECK_OK(varve_delete(shared.db, VARVE_STR(key_of(i, key))));
        CHECK_OK(varve_iter_open(shared.db, NULL, &iter));
        CHECK_RC(varve_iter_first(iter), VARVE_END);
        varve_iter_close(iter);
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i < 2; i++)
        CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    CHECK_OK(varve_close(shared.db));
}
