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
 *    and every newer one has a sequence above 0: its own may become 0. Range tombstones that are
 *    older than it are in the merge, too, and go (shadow.c), so that none takes it for older.
 */
#include "lsm/sift.h"

#include "base/error.h"

void vv_sift_init(struct vv_sift *s, struct vv_iter *source_take,
                  const struct vv_sift_options *options)
{
    *s = (struct vv_sift){.options = *options, .source = source_take};
}

void vv_sift_deinit(struct vv_sift *s)
{
    vv_iter_close(s->source);
    vv_buf_deinit(&s->key);
    *s = (struct vv_sift){0};
}

static size_t stripe_of(const struct vv_sift *s, vv_seq seq)
{
    size_t stripe = 0;
    while (stripe < s->options.snapshot_count && s->options.snapshots[stripe] < seq)
        stripe++;
    return stripe;
}

/* The rules: VV_OK to keep the entry, VV_NOTFOUND to drop it. */
static int judge(struct vv_sift *s, struct vv_entry *entry)
{
    const struct vv_sift_options *o = &s->options;
    size_t stripe = stripe_of(s, entry->seq);
    bool same = s->has_key && vv_slice_equal(vv_buf_slice(&s->key), entry->key);
    bool hidden = same && stripe == s->newer_stripe && stripe < o->snapshot_count;
    if (!same) {
        int rc = vv_buf_assign(&s->key, entry->key);
        if (rc < 0)
            return rc;
        s->has_key = true;
    }
    s->newer_stripe = stripe;
    if (hidden)
        return VV_NOTFOUND;
    if (o->shadow != NULL && stripe < o->snapshot_count &&
        vv_shadow_hides(o->shadow, entry->key, entry->seq, stripe))
        return VV_NOTFOUND;
    if (stripe > 0 || !o->last || o->snapshot_count == 0)
        return VV_OK;
    if (entry->kind == VV_KIND_DELETE)
        return VV_NOTFOUND;
    entry->seq = 0;
    return VV_OK;
}

int vv_sift_next(struct vv_sift *s, struct vv_entry *out)
{
    int rc = s->started ? vv_iter_next(s->source) : vv_iter_first(s->source);
    s->started = true;
    if (rc < 0)
        return rc;
    if (!s->source->valid)
        return VV_END;
    struct vv_entry entry = s->source->at;
    s->entries_in++;
    s->bytes_in += entry.key.size + entry.value.size;
    if ((rc = judge(s, &entry)) == VV_OK)
        *out = entry;
    return rc;
}
