/*
 * The turnstile in front of every store: it counts calls in, and by which door they left.
 *
 *      enter ──▶ open? forked? ──▶ work ──▶ leave by a door
 *
 * Whoever closes the store first shuts the turnstile and then waits until as many have left as have
 * entered; from then on nobody but him touches what lies behind. The doors double as statistics:
 * knowing how many left as "found" costs no second counter.
 *
 * Counters are striped over cache lines by thread, so that entering is one uncontended addition.
 *
 * The handle itself is counted too: by whoever opened it, and by each snapshot, iterator and pinned
 * value that outlives the close. Pins are many and hot, so while the store is open they are only
 * counted by the doors they pass; closing turns the difference into references.
 */
#ifndef VV_DB_GUARD_H
#define VV_DB_GUARD_H

#include "env/thread.h"

#include <stdalign.h>

enum vv_door {
    VV_DOOR_OTHER, /* anything that is counted elsewhere or nowhere */
    VV_DOOR_PUT,
    VV_DOOR_DELETE,
    VV_DOOR_BATCH,
    VV_DOOR_MISSED, /* a get without a hit */
    VV_DOOR_FOUND,  /* a get that copied, or found a value that needs no owner */
    VV_DOOR_PINNED, /* a get that left with a pin */
    VV_DOOR_UNPIN,
    VV_DOOR_COUNT
};

/* What one call may do several times; added before it leaves. */
enum vv_tally {
    VV_TALLY_PUTS,
    VV_TALLY_DELETES,
    VV_TALLY_GETS,
    VV_TALLY_FOUND,
    VV_TALLY_PINS,
    VV_TALLY_USER_BYTES,
    VV_TALLY_COUNT
};

struct vv_guard_stripe {
    alignas(64) _Atomic(uint64_t) entered;
    _Atomic(uint64_t) left[VV_DOOR_COUNT];
    _Atomic(uint64_t) tallies[VV_TALLY_COUNT];
};

enum { VV_GUARD_STRIPES = 16 };

enum vv_guard_state { VV_GUARD_OPEN, VV_GUARD_CLOSING, VV_GUARD_CLOSED };

struct vv_guard {
    uint64_t fork_generation; /* constant: of the process that opened the store */
    /* Sequentially consistent, like the counting of entries: either the caller sees that the store
     * is closing, or the closer sees that the caller has entered. */
    _Atomic(int) state;
    _Atomic(int64_t) refs;
    struct vv_guard_stripe stripes[VV_GUARD_STRIPES];
};

/* One call in flight. */
struct vv_call {
    struct vv_guard_stripe *stripe;
    bool sampled;      /* one call in 64 is to be timed */
    uint64_t start_us; /* of a sampled call; for who times it to fill in */
};

/* Requires zeroed memory aligned to 64 bytes. */
void vv_guard_init(struct vv_guard *g);

/* VV_OK and a call to leave with; VV_CLOSED or VV_FORKED and nothing to leave. */
VV_MUST int vv_guard_enter(struct vv_guard *g, struct vv_call *call);
void vv_guard_leave(const struct vv_call *call, enum vv_door door);
void vv_guard_tally(const struct vv_call *call, enum vv_tally tally, uint64_t count);

/* VV_OK while the store is open and ours; else VV_CLOSED or VV_FORKED with a story. */
VV_MUST int vv_guard_check(const struct vv_guard *g);
bool vv_guard_forked(const struct vv_guard *g);

static inline bool vv_guard_open(const struct vv_guard *g)
{
    return atomic_load(&g->state) == VV_GUARD_OPEN;
}

/* Shuts the turnstile: false when somebody else did before. */
bool vv_guard_shut(struct vv_guard *g);
/* Whether every call that entered has left. Final once the turnstile is shut. */
bool vv_guard_empty(const struct vv_guard *g);

/* Keeps the handle's memory; needs no call in flight if the caller has a reference already. */
void vv_guard_ref(struct vv_guard *g);
/* True when this was the last reference: the caller then tears down. */
VV_MUST bool vv_guard_unref(struct vv_guard *g);
/* Gives up a value's pin, whatever the state: true as vv_guard_unref. */
VV_MUST bool vv_guard_unpin(struct vv_guard *g);
/* Ends closing: pins that are still out become references, and the opener's reference goes. */
VV_MUST bool vv_guard_finish(struct vv_guard *g);

uint64_t vv_guard_left(const struct vv_guard *g, enum vv_door door);
uint64_t vv_guard_tallied(const struct vv_guard *g, enum vv_tally tally);

#endif
