/*
 * Gaps: stretches of keys in which nothing shows, remembered because finding that out was expensive.
 *
 *      deleted  d d d d d … a million … d d d   k   o   s       a queue, taken from at the front
 *               └──────── gap ────────────────┘
 *
 * A walk that has stepped over many deleted keys in a row leaves word here, and the next one jumps. It
 * is not known to the engine, needs nothing on disk, and is as good after flushes and merges as before:
 * a gap says only that no key in [from, to) shows at its moment or later, which stays so until
 * something is put there. The commit leader looks at each write before it becomes visible and cuts
 * gaps short; so whoever finds one reads at a moment at which it holds.
 *
 * What a walk knows is of its own moment, and puts may have come since. Those that did are kept in a
 * ring, with the keys they put: a gap with one of them in it, or as old as puts that the ring has
 * forgotten, is not taken.
 *
 * Keys are inner keys in bytewise order. Whatever brings keys into a store past the commit queue must
 * clear the gaps before they become visible.
 */
#ifndef VV_DB_GAPS_H
#define VV_DB_GAPS_H

#include "base/buf.h"
#include "env/thread.h"
#include "kv/entry.h"

enum { VV_GAPS_MAX = 32, VV_GAPS_RECENT = 1024, VV_GAPS_KEY_SIZE = 56 };

struct vv_gap {
    struct vv_buf from, to;
    vv_seq since;
};

struct vv_gap_put {
    vv_seq seq;
    uint8_t size;
    uint8_t key[VV_GAPS_KEY_SIZE];
};

struct vv_gaps {
    /* The leader stores what it has given out, then asks whether to note; who switches on stores that,
     * then asks what was given out: so one of them sees the other. Sequentially consistent. */
    _Atomic(vv_seq) given;
    _Atomic(bool) on;
    _Atomic(uint32_t) count; /* of gaps; a hint for readers */

    struct vv_mutex mu;              /* protects all below; rank 935 */
    struct vv_gap list[VV_GAPS_MAX]; /* ascending, apart from each other */
    struct vv_gap_put *recent;       /* a ring; NULL while off */
    uint64_t recent_count;           /* of all that ever were in it */
    vv_seq floor;                    /* the ring has all puts above this */
    uint32_t victim;                 /* which goes next when there is no room */
};

void vv_gaps_init(struct vv_gaps *g, vv_seq given);
void vv_gaps_deinit(struct vv_gaps *g);

/* The commit leader, for each group before it becomes visible: `given` is its last sequence. True when
 * its writes are to be noted. */
bool vv_gaps_look(struct vv_gaps *g, vv_seq given);
void vv_gaps_note(struct vv_gaps *g, vv_slice ops, vv_seq first);

/* Forgets all. */
void vv_gaps_clear(struct vv_gaps *g);

static inline bool vv_gaps_any(const struct vv_gaps *g)
{
    return atomic_load_explicit(&g->count, memory_order_relaxed) > 0;
}

/* Whether the key lies in a gap at moment `at`: VV_OK with its ends copied, VV_NOTFOUND, VV_NOMEM. */
VV_MUST int vv_gaps_find(struct vv_gaps *g, vv_slice key, vv_seq at, struct vv_buf *from,
                         struct vv_buf *to);

/* A walk has found nothing in [from, to) at `at`. What cannot be kept is not. The first call switches
 * on. */
void vv_gaps_learn(struct vv_gaps *g, vv_slice from, vv_slice to, vv_seq at);

#endif
