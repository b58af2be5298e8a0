#include "harness/replica.h"

#include "base/alloc.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <stdlib.h>

struct gathering {
    struct oracle_change *items;
    size_t count, cap;
};

void replica_close(struct replica *p)
{
    varve_changes_close(p->feed);
    p->feed = NULL;
}

void replica_deinit(struct replica *p)
{
    replica_close(p);
    oracle_deinit(&p->state);
    *p = (struct replica){.known = 0};
}

int replica_open(struct replica *p, varve *db)
{
    replica_close(p);
    return varve_changes_open(db, p->known + 1, &p->feed);
}

void replica_begin(struct replica *p, const struct rig *r, uint64_t commit, uint64_t seq)
{
    replica_deinit(p);
    oracle_copy(&p->state, &r->oracle, commit);
    p->commit = commit;
    p->known = seq;
}

/* Copies, because a value may be gone after the visit. */
static vv_slice copied(varve_slice s)
{
    uint8_t *bytes = malloc(s.size + 1);

    CHECK(bytes != NULL);
    if (s.size > 0)
        memcpy(bytes, s.data, s.size);
    return vv_slice_of(bytes, s.size);
}

static int gather(void *context, const varve_change *change)
{
    struct gathering *g = context;

    if (change->keyspace != 0)
        return 0;
    if (g->count == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 16;
        g->items = realloc(g->items, g->cap * sizeof *g->items);
        CHECK(g->items != NULL);
    }
    bool range = change->kind == VARVE_CHANGE_DELETE_RANGE;
    TRAIL_CHECK(!range || change->value.data != NULL);
    g->items[g->count++] = (struct oracle_change){
        .key = copied(change->key),
        .value = copied(range ? varve_bytes(NULL, 0) : change->value),
        .gone = change->kind == VARVE_CHANGE_DELETE || range,
        .expires_ms = change->expires_ms,
        .to = range ? copied(change->value) : VV_SLICE_EMPTY,
    };
    return 0;
}

static void gathering_deinit(struct gathering *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free((void *)(uintptr_t)g->items[i].key.data);
        free((void *)(uintptr_t)g->items[i].value.data);
        free((void *)(uintptr_t)g->items[i].to.data);
    }
    free(g->items);
}

static bool same(const struct oracle *a, uint64_t at_a, const struct oracle *b, uint64_t at_b)
{
    size_t i = oracle_alive_up(a, at_a, 0), k = oracle_alive_up(b, at_b, 0);

    while (i < a->count && k < b->count) {
        const struct oracle_version *x = oracle_at(a, at_a, i), *y = oracle_at(b, at_b, k);
        if (!vv_slice_equal(a->keys[i].key, b->keys[k].key) || x->hash != y->hash ||
            x->size != y->size)
            return false;
        i = oracle_alive_up(a, at_a, i + 1);
        k = oracle_alive_up(b, at_b, k + 1);
    }
    return i == a->count && k == b->count;
}

static int apply(struct replica *p, const varve_commit *commit)
{
    struct gathering g = {.count = 0};

    TRAIL_CHECK(commit->first > p->known);
    TRAIL_CHECK(commit->count > 0);
    int rc = varve_changes_each(p->feed, gather, &g);
    if (rc == VARVE_OK) {
        (void)oracle_commit(&p->state, g.items, g.count);
        p->known = commit->first + commit->count - 1;
    }
    gathering_deinit(&g);
    return rc;
}

static void expire(struct replica *p, const struct rig *r)
{
    oracle_expire(&p->state, r->options.clock(r->options.clock_context));
}

/* The rig counts commits that change nothing; of those, a crash may have taken some that it believes
 * to be there. */
static bool reach(struct replica *p, const struct rig *r)
{
    expire(p, r);
    for (uint64_t at = p->commit + 1; at <= r->oracle.last; at++) {
        if (same(&p->state, p->state.last, &r->oracle, at)) {
            p->commit = at;
            return true;
        }
        if (!same(&r->oracle, at - 1, &r->oracle, at))
            break;
    }
    return false;
}

bool replica_shows(struct replica *p, const struct rig *r, uint64_t commit)
{
    expire(p, r);
    return same(&p->state, p->state.last, &r->oracle, commit);
}

int replica_follow(struct replica *p, const struct rig *r)
{
    varve_commit commit;
    int rc;

    while ((rc = varve_changes_next(p->feed, &commit)) == VARVE_OK) {
        if ((rc = apply(p, &commit)) < 0)
            return rc;
        if (!reach(p, r))
            trail_fail(__FILE__, __LINE__,
                       "the feed's commit from %" PRIu64 " to %" PRIu64
                       " does not lead from commit %" PRIu64 " of %" PRIu64 " to the next",
                       commit.first, p->known, p->commit, r->oracle.last);
    }
    return rc;
}
