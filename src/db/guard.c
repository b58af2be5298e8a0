#include "db/guard.h"

#include "base/error.h"

/* What the opener's reference counts. Pins that were counted by doors may be given up as references
 * before closing has turned them into such: the count must not pass zero meanwhile. */
#define OPENER_REFS ((int64_t)1 << 40)

enum { SAMPLE_MASK = 63 };

/* Threads are dealt out to stripes one after another. A property of threads, not of stores. */
static _Atomic(unsigned) threads_seen;
static _Thread_local unsigned own_stripe; /* one more than the index; 0: not dealt yet */

static struct vv_guard_stripe *stripe_of(struct vv_guard *g)
{
    if (VV_UNLIKELY(own_stripe == 0))
        own_stripe = 1 + atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed) %
                             VV_GUARD_STRIPES;
    return &g->stripes[own_stripe - 1];
}

void vv_guard_init(struct vv_guard *g)
{
    g->fork_generation = vv_fork_generation();
    atomic_init(&g->state, VV_GUARD_OPEN);
    atomic_init(&g->refs, OPENER_REFS);
}

bool vv_guard_forked(const struct vv_guard *g)
{
    return g->fork_generation != vv_fork_generation();
}

int vv_guard_check(const struct vv_guard *g)
{
    if (VV_UNLIKELY(vv_guard_forked(g)))
        return vv_fail(VV_FORKED, "this handle belongs to the parent process: open the store anew");
    if (VV_UNLIKELY(!vv_guard_open(g)))
        return vv_fail(VV_CLOSED, "the store was closed");
    return VV_OK;
}

int vv_guard_enter(struct vv_guard *g, struct vv_call *call)
{
    if (VV_UNLIKELY(vv_guard_forked(g)))
        return vv_guard_check(g);
    call->stripe = stripe_of(g);
    call->start_us = 0;
    call->sampled = (atomic_fetch_add(&call->stripe->entered, 1) & SAMPLE_MASK) == 0;
    if (VV_LIKELY(vv_guard_open(g)))
        return VV_OK;
    vv_guard_leave(call, VV_DOOR_OTHER);
    return vv_guard_check(g);
}

/* Released, so that the closer who counts us out sees all we did. */
void vv_guard_leave(const struct vv_call *call, enum vv_door door)
{
    (void)atomic_fetch_add_explicit(&call->stripe->left[door], 1, memory_order_release);
}

void vv_guard_tally(const struct vv_call *call, enum vv_tally tally, uint64_t count)
{
    (void)atomic_fetch_add_explicit(&call->stripe->tallies[tally], count, memory_order_relaxed);
}

bool vv_guard_shut(struct vv_guard *g)
{
    int open = VV_GUARD_OPEN;
    return atomic_compare_exchange_strong(&g->state, &open, VV_GUARD_CLOSING);
}

/* A stripe's calls enter and leave by it alone. Those who left are counted first: were they counted
 * last, one that came and went in between could make up for one that is still inside. */
static bool stripe_empty(const struct vv_guard_stripe *stripe)
{
    uint64_t left = 0;
    for (int door = 0; door < VV_DOOR_COUNT; door++)
        left += atomic_load(&stripe->left[door]);
    return atomic_load(&stripe->entered) == left;
}

bool vv_guard_empty(const struct vv_guard *g)
{
    for (int i = 0; i < VV_GUARD_STRIPES; i++)
        if (!stripe_empty(&g->stripes[i]))
            return false;
    return true;
}

void vv_guard_ref(struct vv_guard *g)
{
    int64_t before = atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    vv_assert(before > 0);
}

static bool drop_refs(struct vv_guard *g, int64_t count)
{
    int64_t before = atomic_fetch_sub_explicit(&g->refs, count, memory_order_acq_rel);
    vv_assert(before >= count);
    return before == count;
}

bool vv_guard_unref(struct vv_guard *g)
{
    return drop_refs(g, 1);
}

bool vv_guard_unpin(struct vv_guard *g)
{
    struct vv_call call = {stripe_of(g), false, 0};
    (void)atomic_fetch_add(&call.stripe->entered, 1);
    if (VV_LIKELY(vv_guard_open(g))) {
        vv_guard_leave(&call, VV_DOOR_UNPIN);
        return false;
    }
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return drop_refs(g, 1);
}

bool vv_guard_finish(struct vv_guard *g)
{
    uint64_t pins = vv_guard_left(g, VV_DOOR_PINNED) + vv_guard_tallied(g, VV_TALLY_PINS) -
                    vv_guard_left(g, VV_DOOR_UNPIN);
    atomic_store(&g->state, VV_GUARD_CLOSED);
    return drop_refs(g, OPENER_REFS - (int64_t)pins);
}

uint64_t vv_guard_left(const struct vv_guard *g, enum vv_door door)
{
    uint64_t sum = 0;
    for (int i = 0; i < VV_GUARD_STRIPES; i++)
        sum += atomic_load_explicit(&g->stripes[i].left[door], memory_order_relaxed);
    return sum;
}

uint64_t vv_guard_tallied(const struct vv_guard *g, enum vv_tally tally)
{
    uint64_t sum = 0;
    for (int i = 0; i < VV_GUARD_STRIPES; i++)
        sum += atomic_load_explicit(&g->stripes[i].tallies[tally], memory_order_relaxed);
    return sum;
}
