/*
 * Sequences are divided into stripes by the snapshots: a stripe is what lies above one snapshot and
 * at or below the next. Every reader reads at a snapshot, or at the sequence visible now, or later.
 *
 *      sequence   1 ── 2 ── 3 ─|─ 4 ── 5 ─|─ 6 ── 7 ── …
 *      stripe          0    snapshot 3   1   visible 5   2
 *
 * 1. Of two versions of a key in one stripe, no reader can ever tell the older: drop it. Entries
 *    above the visible sequence may not have been published in full, so each is kept.
 * 2. A tombstone in stripe 0 hides only older versions, all in stripe 0. If there is nothing below,
 *    these are in this merge and go by rule 1: the tombstone goes, too.
 * 3. A version in stripe 0 with nothing below is what every reader sees unless a newer one hides it,
 *    and every newer one has a sequence above 0: its own may become 0.
 */
#include "lsm/drop.h"

void vv_drop_deinit(struct vv_drop *drop)
{
    vv_buf_deinit(&drop->key);
    *drop = (struct vv_drop){0};
}

static size_t stripe_of(const struct vv_drop *drop, vv_seq seq)
{
    size_t stripe = 0;
    while (stripe < drop->snapshot_count && drop->snapshots[stripe] < seq)
        stripe++;
    return stripe;
}

int vv_drop_judge(struct vv_drop *drop, const struct vv_entry *entry)
{
    size_t stripe = stripe_of(drop, entry->seq);
    bool same = drop->has_key && vv_slice_equal(vv_buf_slice(&drop->key), entry->key);
    bool hidden = same && stripe == drop->newer_stripe && stripe < drop->snapshot_count;
    if (!same) {
        int rc = vv_buf_assign(&drop->key, entry->key);
        if (rc < 0)
            return rc;
        drop->has_key = true;
    }
    drop->newer_stripe = stripe;
    if (hidden)
        return VV_DROP;
    if (stripe > 0 || !drop->last || drop->snapshot_count == 0)
        return VV_KEEP;
    return entry->kind == VV_KIND_DELETE ? VV_DROP : VV_KEEP_SETTLED;
}
