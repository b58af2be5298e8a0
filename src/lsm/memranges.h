/*
 * The range tombstones of a memtable, beside its tree.
 *
 * Each is a record in the memtable's space, linked to the one before it, which cannot fail once its
 * room is reserved. Beside the chain there is a set (kv/ranges.h) of all, or nearly all, of them, in
 * which readers search; where memory for it was out, they walk the rest of the chain.
 */
#ifndef VV_LSM_MEMRANGES_H
#define VV_LSM_MEMRANGES_H

#include "kv/ranges.h"
#include "lsm/memrecord.h"

struct vv_memranges {
    struct vv_arena arena; /* the inserting thread's, as all that changes */
    /* Release and acquire: what they lead to is written. A reader takes the chain first; the set may
     * then have more than the chain, never less than when the chain was as it saw it. */
    _Atomic(const struct vv_memrecord *) newest;
    _Atomic(const struct vv_ranges *) set;
    uint64_t empty_count, empty_bytes; /* of those that delete nothing, which are not kept */
};

void vv_memranges_init(struct vv_memranges *r, struct vv_account *account);
void vv_memranges_deinit(struct vv_memranges *r);

/* Publishes a record that was linked to `newest`. */
void vv_memranges_add(struct vv_memranges *r, const struct vv_order *order,
                      const struct vv_memrecord *record);

static inline bool vv_memranges_any(const struct vv_memranges *r)
{
    return atomic_load_explicit(&r->newest, memory_order_acquire) != NULL;
}

/* As vv_ranges_cover. */
vv_seq vv_memranges_cover(const struct vv_memranges *r, const struct vv_order *order, vv_slice key,
                          vv_seq at, struct vv_cover *out);

/* As vv_ranges_newer. */
bool vv_memranges_newer(const struct vv_memranges *r, const struct vv_order *order, vv_slice from,
                        vv_slice to, vv_seq since);

/* Appends all (struct vv_range), newest first. */
VV_MUST int vv_memranges_list(const struct vv_memranges *r, struct vv_buf *out);

#endif
