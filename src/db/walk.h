/*
 * A walk over what a user may see: of the engine's versions, the newest of each key at one moment,
 * without deleted keys, within bounds.
 *
 *      engine     a@9 a@4 b@7(deleted) b@2 c@3        internal order: key up, sequence down
 *      at 8       a@4                      c@3
 *
 * What has expired counts as deleted, and operands are folded onto what they stand on (present.h).
 *
 * Going forward the engine's iterator stands on the entry shown. Going backward the newest visible
 * version is known only after all of its key have been passed, so the entry is copied, and the
 * engine's iterator stands in front of its key.
 */
#ifndef VV_DB_WALK_H
#define VV_DB_WALK_H

#include "base/buf.h"
#include "db/gaps.h"
#include "kv/iter.h"
#include "kv/order.h"

struct vv_present;

enum vv_walk_state {
    VV_WALK_FRESH,    /* not moved yet */
    VV_WALK_FORWARD,  /* on an entry, which `inner` stands on */
    VV_WALK_BACKWARD, /* on an entry, which is copied */
    VV_WALK_END,      /* nothing further in the direction of the last move */
    VV_WALK_FAILED,   /* a move failed */
};

/* Bounds with data NULL are open. */
struct vv_walk {
    struct vv_iter *inner; /* owned by the caller */
    const struct vv_order *order;
    vv_seq at;
    vv_slice lower, upper; /* borrowed; upper is exclusive */
    enum vv_walk_state state;
    struct vv_entry entry; /* a PUT or REF; valid on an entry, until the next move */
    struct vv_buf key;     /* the present key, or the one being passed */
    struct vv_buf value;   /* of the entry shown, when it is copied */
    bool is_folded;        /* forward: the entry was made of several, and is copied */
    /* What versions mean: time and operands. NULL: nothing expires, operands are shown. */
    struct vv_present *present;
    struct vv_iter *engine_side; /* the engine's own iterator, for values that stand elsewhere */

    /* For passing over what is deleted in one step. Set where what `inner` shows is the store's own,
     * in bytewise order; else NULL. */
    struct vv_gaps *gaps;
    uint32_t passed;          /* deleted keys in a row, in this move */
    bool jumped;              /* over a gap, in this move */
    struct vv_buf empty_from; /* nothing shows from here */
    struct vv_buf empty_to;   /* up to here, itself excluded: going backward */
    struct vv_buf gap_from, gap_to;
};

/* Starts before the first move. Keeps the buffers of an earlier walk; zeroed memory has none. */
void vv_walk_start(struct vv_walk *w, struct vv_iter *inner, vv_seq at);
void vv_walk_deinit(struct vv_walk *w);

static inline bool vv_walk_valid(const struct vv_walk *w)
{
    return w->state == VV_WALK_FORWARD || w->state == VV_WALK_BACKWARD;
}

/* VV_OK on an entry, VV_END, or a failure. */
VV_MUST int vv_walk_first(struct vv_walk *w);
VV_MUST int vv_walk_last(struct vv_walk *w);
VV_MUST int vv_walk_seek(struct vv_walk *w, vv_slice key);
VV_MUST int vv_walk_seek_for_prev(struct vv_walk *w, vv_slice key);
VV_MUST int vv_walk_next(struct vv_walk *w); /* first, when fresh */
VV_MUST int vv_walk_prev(struct vv_walk *w); /* last, when fresh */

#endif
