/*
 * The range tombstones of a merge: what they hide of its entries, and which of them the outputs get.
 * The rules are those of the sift, whose stripes they share.
 */
#ifndef VV_LSM_SHADOW_H
#define VV_LSM_SHADOW_H

#include "kv/ranges.h"

/* Zeroed memory is one without tombstones. */
struct vv_shadow {
    const struct vv_order *order;
    const vv_seq *snapshots; /* as the sift has them */
    struct vv_buf all;       /* struct vv_range: of all inputs */
    struct vv_buf layers;    /* the same, layer by layer; of which the outputs get the first */
    size_t kept_count;       /* so many */
    struct vv_arena arena;
    const struct vv_ranges *set; /* of the layers */
    struct vv_cover cover;       /* the latest answer, which was about `stripe` */
    size_t stripe;
    bool asked;
};

void vv_shadow_init(struct vv_shadow *s, const struct vv_order *order, struct vv_account *account);
void vv_shadow_deinit(struct vv_shadow *s);

/* Adds tombstones of an input, whose keys live longer. */
VV_MUST int vv_shadow_add(struct vv_shadow *s, const struct vv_range *list, size_t count);

/* After the last input. `last`: nothing below the outputs can hold an older version of any key. */
VV_MUST int vv_shadow_seal(struct vv_shadow *s, const vv_seq *snapshots, size_t snapshot_count,
                           bool last);

/* Whether a tombstone of the same stripe, which is below the highest, deletes this version. Asked for
 * ascending keys it costs little. */
bool vv_shadow_hides(struct vv_shadow *s, vv_slice key, vv_seq seq, size_t stripe);

#endif
