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
 * 4. A version that has expired is absent for every reader, whatever moment it reads at, and time
 *    does not turn back: it is taken for a tombstone.
 * 5. An operand hides nothing. The operands of a key in one stripe are a chain: no reader can see
 *    part of it. It is folded onto the version that ends it in its stripe; or onto nothing if that
 *    is a tombstone or hidden by a range tombstone, or if there is none and nothing below; the value takes the sequence of the
 *    newest. Else its operands become one operand, if the operator can do that.
 *    a. A version that is going to expire stays apart from its chain: the operands outlive it.
 *    b. So does one whose value stands in the value log: reading and writing large values again with
 *       each merge is what the value log is there to avoid.
 *    c. What the operator refuses stays as it is: readers will be told.
 */
#include "lsm/sift.h"

#include "base/error.h"
#include "kv/expiry.h"

/* A longer chain is folded or passed on before its end is seen. */
enum { CHAIN_BYTES_MAX = 1 << 20 };

void vv_sift_init(struct vv_sift *s, struct vv_iter *source_take,
                  const struct vv_sift_options *options)
{
    *s = (struct vv_sift){.options = *options, .source = source_take};
}

void vv_sift_deinit(struct vv_sift *s)
{
    vv_iter_close(s->source);
    vv_chain_deinit(&s->chain);
    vv_buf_deinit(&s->key);
    *s = (struct vv_sift){.has_key = false};
}

static size_t stripe_of(const struct vv_sift *s, vv_seq seq)
{
    size_t stripe = 0;
    while (stripe < s->options.snapshot_count && s->options.snapshots[stripe] < seq)
        stripe++;
    return stripe;
}

/* Whether nothing older than the stripe's versions can be anywhere. */
static bool is_bottom(const struct vv_sift *s, size_t stripe)
{
    return stripe == 0 && s->options.last && s->options.snapshot_count > 0;
}

/* Whether a range tombstone of its stripe hides the entry. */
static bool is_covered(const struct vv_sift *s, const struct vv_entry *entry, size_t stripe)
{
    const struct vv_sift_options *o = &s->options;
    return o->shadow != NULL && stripe < o->snapshot_count &&
           vv_shadow_hides(o->shadow, entry->key, entry->seq, stripe);
}

static bool same_key(const struct vv_sift *s, vv_slice key)
{
    return s->has_key && vv_slice_equal(vv_buf_slice(&s->key), key);
}

/* Rules 1 to 3: VV_OK to keep the entry, VV_NOTFOUND to drop it. */
static int judge(struct vv_sift *s, struct vv_entry *entry, size_t stripe, bool covered)
{
    bool hidden = same_key(s, entry->key) && s->newer_hides && stripe == s->newer_stripe &&
                  stripe < s->options.snapshot_count;
    if (!same_key(s, entry->key)) {
        int rc = vv_buf_assign(&s->key, entry->key);
        if (rc < 0)
            return rc;
        s->has_key = true;
    }
    s->newer_stripe = stripe;
    s->newer_hides = hidden || entry->kind != VV_KIND_MERGE;
    if (hidden)
        return VV_NOTFOUND;
    if (covered)
        return VV_NOTFOUND;
    if (!is_bottom(s, stripe) || entry->kind == VV_KIND_MERGE)
        return VV_OK;
    if (entry->kind == VV_KIND_DELETE)
        return VV_NOTFOUND;
    entry->seq = 0;
    return VV_OK;
}

/* ---- chains */

static int give(struct vv_sift *s, struct vv_entry *out)
{
    bool settles = s->chain.is_base && is_bottom(s, s->newer_stripe);
    if (!vv_chain_give(&s->chain, vv_buf_slice(&s->key), out)) {
        vv_chain_clear(&s->chain);
        return VV_NOTFOUND;
    }
    if (settles)
        out->seq = 0;
    return VV_OK;
}

/* Folds what there is, if it can be, and begins to give it out. */
static int close_chain(struct vv_sift *s, enum vv_fold how, const vv_slice *base,
                       struct vv_entry *out)
{
    int rc = VV_UNSUPPORTED;
    if (how == VV_FOLD_FULL)
        rc = vv_chain_fold(&s->chain, s->options.host, vv_buf_slice(&s->key), how, base);
    if (rc == VV_UNSUPPORTED && vv_chain_count(&s->chain) > 1)
        rc =
            vv_chain_fold(&s->chain, s->options.host, vv_buf_slice(&s->key), VV_FOLD_PARTIAL, NULL);
    if (rc < 0 && rc != VV_UNSUPPORTED)
        return rc;
    s->chain.closed = true;
    s->newer_hides = s->chain.is_base;
    return give(s, out);
}

/* The chain has grown long: one operand goes on growing, several must go. */
static int relieve(struct vv_sift *s, struct vv_entry *out)
{
    int rc =
        vv_chain_fold(&s->chain, s->options.host, vv_buf_slice(&s->key), VV_FOLD_PARTIAL, NULL);
    if (rc == VV_UNSUPPORTED || (rc == VV_OK && vv_chain_bytes(&s->chain) > CHAIN_BYTES_MAX)) {
        s->chain.closed = true;
        return give(s, out);
    }
    return rc < 0 ? rc : VV_NOTFOUND;
}

/* The chain ends in front of the entry, which may be what it is folded onto. */
static int end_chain(struct vv_sift *s, const struct vv_entry *entry, size_t stripe, bool covered,
                     struct vv_entry *out)
{
    bool in_reach = same_key(s, entry->key) && stripe == s->newer_stripe;
    bool is_gone = covered || entry->kind == VV_KIND_DELETE;
    /* In any case the entry is judged next: one that the chain was folded onto is hidden then. */
    s->held = true;
    if (in_reach && !is_gone && entry->kind == VV_KIND_PUT)
        return close_chain(s, VV_FOLD_FULL, &entry->value, out);
    if (in_reach ? is_gone : is_bottom(s, s->newer_stripe))
        return close_chain(s, VV_FOLD_FULL, NULL, out);
    return close_chain(s, VV_FOLD_PARTIAL, NULL, out);
}

/* ---- the stage */

/* One moment for the whole merge. */
static bool has_expired(struct vv_sift *s, const struct vv_entry *entry)
{
    const struct vv_host *host = s->options.host;
    if (!vv_kind_expires(entry->kind) || host == NULL || host->now_ms == NULL)
        return false;
    if (s->now_ms == 0)
        s->now_ms = host->now_ms(host->context);
    return vv_entry_expired(entry, s->now_ms);
}

/* The next entry of the source, an expired one as the tombstone it is (rule 4). */
static int read_source(struct vv_sift *s, struct vv_entry *entry)
{
    if (!s->held) {
        int rc = s->started ? vv_iter_next(s->source) : vv_iter_first(s->source);
        s->started = true;
        if (rc < 0)
            return rc;
        if (s->source->valid) {
            s->entries_in++;
            s->bytes_in += s->source->at.key.size + s->source->at.value.size;
        }
    }
    s->held = false;
    if (!s->source->valid) {
        s->held = true; /* at the end: there is no further to move */
        return VV_END;
    }
    *entry = s->source->at;
    if (has_expired(s, entry)) {
        entry->kind = VV_KIND_DELETE;
        entry->value = VV_SLICE_EMPTY;
    }
    return VV_OK;
}

static int add_operand(struct vv_sift *s, const struct vv_entry *entry, struct vv_entry *out)
{
    int rc = vv_chain_add(&s->chain, entry);
    if (rc == VV_OK && vv_chain_bytes(&s->chain) > CHAIN_BYTES_MAX)
        return relieve(s, out);
    return rc < 0 ? rc : VV_NOTFOUND;
}

int vv_sift_next(struct vv_sift *s, struct vv_entry *out)
{
    struct vv_entry entry;
    int rc;
    if (s->chain.closed && (rc = give(s, out)) != VV_NOTFOUND)
        return rc;
    bool chained = vv_chain_count(&s->chain) > 0;
    if ((rc = read_source(s, &entry)) == VV_END && chained)
        return close_chain(s, is_bottom(s, s->newer_stripe) ? VV_FOLD_FULL : VV_FOLD_PARTIAL, NULL,
                           out);
    if (rc != VV_OK)
        return rc;
    size_t stripe = stripe_of(s, entry.seq);
    bool covered = is_covered(s, &entry, stripe);
    bool links = entry.kind == VV_KIND_MERGE && !covered && stripe < s->options.snapshot_count;
    if (chained && !(links && same_key(s, entry.key) && stripe == s->newer_stripe))
        return end_chain(s, &entry, stripe, covered, out);
    if ((rc = judge(s, &entry, stripe, covered)) != VV_OK)
        return rc;
    if (links)
        return add_operand(s, &entry, out);
    *out = entry;
    return VV_OK;
}
