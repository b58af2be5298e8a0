/*
 * Which versions a merge may drop. The rules, and why each is safe, stand in drop.c.
 */
#ifndef VV_LSM_DROP_H
#define VV_LSM_DROP_H

#include "base/buf.h"
#include "kv/entry.h"

/* Zeroed memory is a filter that keeps everything above sequence 0. */
struct vv_drop {
    const vv_seq *snapshots; /* ascending; the last is the sequence visible when the job began */
    size_t snapshot_count;
    bool last; /* nothing below the outputs can hold an older version of any key here */

    struct vv_buf key; /* the user key that the entries now belong to */
    bool has_key;
    size_t newer_stripe; /* of the version that was seen before, of the same key */
};

void vv_drop_deinit(struct vv_drop *drop);

enum vv_verdict {
    VV_KEEP,
    VV_KEEP_SETTLED, /* keep, and its sequence may become 0 */
    VV_DROP,
};

/* The verdict on the next entry, in internal order. Negative: VV_NOMEM. */
VV_MUST int vv_drop_judge(struct vv_drop *drop, const struct vv_entry *entry);

#endif
