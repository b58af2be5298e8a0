/*
 * Range tombstones: which keys were deleted by ranges, and when.
 *
 * A tombstone deletes the keys of [from, to) as of its sequence. Where many overlap, what a reader
 * asks is the newest at or below its moment that covers a key. A layer answers for one stretch of
 * time: ranges that do not overlap, ascending, each with the newest sequence that deletes it.
 *
 *      tombstones   [a ······ m)@4            as one layer   [a @4 f)[f ··· @9 ··· q)
 *                       [f ······ q)@9
 *
 * A set is a list of layers, newest first: of two layers, the newer has the newer sequences wherever
 * both cover a key. Layers of like size are joined into one that answers for both and keeps them for
 * moments in between, so that n tombstones make a list of about log n, whatever their shape, in
 * memory n log n. (One list of fragments with all their sequences would take n² for a log that is
 * trimmed from its start n times.)
 *
 * Everything is immutable once it can be reached, so readers need no lock; what a new tombstone
 * replaces stays for those who are still looking at it.
 */
#ifndef VV_KV_RANGES_H
#define VV_KV_RANGES_H

#include "base/arena.h"
#include "base/buf.h"
#include "kv/order.h"

/* The keys of [from, to) are deleted as of `seq`, which is never 0. Keys are borrowed throughout. */
struct vv_range {
    vv_slice from, to;
    vv_seq seq;
};

struct vv_ranges; /* NULL is the empty set */

/* The set of `set` and one more tombstone, which is newer than all of it. NULL when memory is out. */
VV_MUST const struct vv_ranges *vv_ranges_add(struct vv_arena *arena, const struct vv_order *order,
                                              const struct vv_ranges *set, struct vv_range range);

/* The set of layers that stand in `list` one after another, newest first. A range that begins before
 * the end of the one in front of it begins the next layer. VV_NOMEM; VV_CORRUPT for ranges that are
 * empty or have no sequence, and where an older layer covers a key with a newer sequence. */
VV_MUST int vv_ranges_load(struct vv_arena *arena, const struct vv_order *order,
                           const struct vv_range *list, size_t count, const struct vv_ranges **out);

/* The highest sequence in the newest layer; of a set that was made by adding, of all. 0 if empty. */
vv_seq vv_ranges_newest(const struct vv_ranges *set);

/* What holds around a key: the newest sequence that covers it, or 0, and a stretch of keys, the key
 * among them, for which that is the same. Data NULL: open. The slices are those of the ranges. */
struct vv_cover {
    vv_seq seq;
    vv_slice from, to;
};

/* The newest sequence at or below `at` that covers the key, or 0. `out` may be NULL. */
vv_seq vv_ranges_cover(const struct vv_order *order, const struct vv_ranges *set, vv_slice key,
                       vv_seq at, struct vv_cover *out);

/* Whether some key of [from, to) (data NULL: open) is covered by a sequence above `since`. Looks at
 * all ranges in between. */
bool vv_ranges_newer(const struct vv_order *order, const struct vv_ranges *set, vv_slice from,
                     vv_slice to, vv_seq since);

static inline bool vv_cover_holds(const struct vv_order *order, const struct vv_cover *cover,
                                  vv_slice key)
{
    return (cover->from.data == NULL || vv_order_cmp(order, cover->from, key) <= 0) &&
           (cover->to.data == NULL || vv_order_cmp(order, key, cover->to) < 0);
}

/* Narrows the stretch of `cover` to the part that `by` has, too. */
void vv_cover_narrow(const struct vv_order *order, struct vv_cover *cover,
                     const struct vv_cover *by);

/* Joins `count` ranges, in any order and however they overlap, into one layer, which replaces the
 * content of `out` (struct vv_range): the newest sequence wins. VV_NOMEM. */
VV_MUST int vv_ranges_join(const struct vv_order *order, const struct vv_range *ranges,
                           size_t count, struct vv_buf *out);

#endif
