/*
 * What merges drop: exhaustively over small histories and sets of snapshots, no reader can tell the
 * difference, and nothing is kept that nobody can see.
 */
#include "harness/test.h"

#include "kv/entry.h"
#include "lsm/drop.h"

enum { HISTORY_MAX = 5, KINDS = 3, ABSENT = 3 };

/* Versions 1 to n of one key, of which some are in the merge; those below lie in a deeper level. */
struct history {
    enum vv_kind kinds[HISTORY_MAX + 1]; /* by sequence */
    bool there[HISTORY_MAX + 1];
    unsigned count;
};

struct snapshots {
    vv_seq at[HISTORY_MAX + 1]; /* ascending; the last is the visible sequence */
    size_t count;
};

struct kept {
    struct vv_entry entries[HISTORY_MAX];
    size_t count;
};

/* The sequence and kind that a reader at `at` finds; 0 for none. */
static vv_seq see_history(const struct history *h, vv_seq at)
{
    for (vv_seq seq = at < h->count ? at : h->count; seq > 0; seq--) {
        if (h->there[seq])
            return h->kinds[seq] == VV_KIND_DELETE ? 0 : seq;
    }
    return 0;
}

/* The value names the version it was, since the sequence may have been settled. */
static vv_seq see_kept(const struct kept *kept, vv_seq at)
{
    for (size_t i = 0; i < kept->count; i++) {
        const struct vv_entry *e = &kept->entries[i];
        if (e->seq <= at)
            return e->kind == VV_KIND_DELETE ? 0 : e->value.data[0];
    }
    return 0;
}

static struct kept merge(const struct history *h, const struct snapshots *s, bool last)
{
    static const uint8_t names[HISTORY_MAX + 1] = {0, 1, 2, 3, 4, 5};
    struct vv_drop drop = {.snapshots = s->at, .snapshot_count = s->count, .last = last};
    struct kept kept = {.count = 0};
    for (vv_seq seq = h->count; seq > 0; seq--) {
        if (!h->there[seq])
            continue;
        struct vv_entry entry = {.key = vv_slice_str("key"),
                                 .value = vv_slice_of(&names[seq], 1),
                                 .seq = seq,
                                 .kind = h->kinds[seq]};
        int rc = vv_drop_judge(&drop, &entry);
        CHECK(rc == VV_KEEP || rc == VV_KEEP_SETTLED || rc == VV_DROP);
        CHECK(last || rc != VV_KEEP_SETTLED);
        if (rc == VV_KEEP_SETTLED)
            entry.seq = 0;
        if (rc != VV_DROP)
            kept.entries[kept.count++] = entry;
    }
    vv_drop_deinit(&drop);
    return kept;
}

/* How few versions answer every reader: one a stripe below the visible sequence, all above. */
static size_t needed(const struct history *h, const struct snapshots *s)
{
    size_t count = 0;
    vv_seq below = 0;
    for (size_t i = 0; i < s->count; i++) {
        vv_seq newest = 0;
        for (vv_seq seq = below + 1; seq <= s->at[i] && seq <= h->count; seq++)
            newest = h->there[seq] ? seq : newest;
        bool lowest = i == 0;
        if (newest > 0 && !(lowest && h->kinds[newest] == VV_KIND_DELETE)) {
            count++;
        }
        below = s->at[i];
    }
    for (vv_seq seq = below + 1; seq <= h->count; seq++)
        count += h->there[seq] ? 1 : 0;
    return count;
}

static void check_one(const struct history *h, const struct snapshots *s)
{
    struct kept kept = merge(h, s, true);
    vv_seq visible = s->at[s->count - 1];
    for (size_t i = 0; i < s->count; i++)
        CHECK_EQ_U64(see_kept(&kept, s->at[i]), see_history(h, s->at[i]));
    /* Who reads later reads at the visible sequence or above. */
    for (vv_seq at = visible; at <= HISTORY_MAX; at++)
        CHECK_EQ_U64(see_kept(&kept, at), see_history(h, at));
    CHECK_EQ_U64(kept.count, needed(h, s));
    for (size_t i = 1; i < kept.count; i++)
        CHECK(kept.entries[i].seq < kept.entries[i - 1].seq);
}

/* With something below, tombstones must go on hiding it: an answer from below is worse than none. */
static void check_above(const struct history *h, const struct snapshots *s)
{
    struct kept kept = merge(h, s, false);
    for (vv_seq at = 0; at <= HISTORY_MAX; at++) {
        bool asked = at >= s->at[s->count - 1];
        for (size_t i = 0; i < s->count; i++)
            asked = asked || at == s->at[i];
        vv_seq first = 0;
        vv_seq kept_first = 0;
        for (vv_seq seq = at < h->count ? at : h->count; seq > 0 && first == 0; seq--)
            first = h->there[seq] ? seq : 0;
        for (size_t i = kept.count; i-- > 0;)
            kept_first = kept.entries[i].seq <= at ? kept.entries[i].seq : kept_first;
        if (asked)
            CHECK_EQ_U64(kept_first, first);
    }
}

/* Sets with bit 1 << (seq - 1) for each snapshot, ended by the visible sequence. */
static struct snapshots snapshots_of(unsigned set, vv_seq visible)
{
    struct snapshots s = {.count = 0};
    for (vv_seq seq = 0; seq < visible; seq++) {
        if ((set >> seq & 1) != 0)
            s.at[s.count++] = seq;
    }
    s.at[s.count++] = visible;
    return s;
}

static void check_history(const struct history *h)
{
    for (vv_seq visible = 0; visible <= h->count; visible++) {
        for (unsigned set = 0; set < 1U << visible; set++) {
            struct snapshots s = snapshots_of(set, visible);
            check_one(h, &s);
            check_above(h, &s);
        }
    }
}

TEST(no_reader_can_tell_what_a_merge_dropped_and_nothing_needless_stays)
{
    for (unsigned count = 0; count <= HISTORY_MAX; count++) {
        unsigned ways = 1;
        for (unsigned i = 0; i < count; i++)
            ways *= 4;
        for (unsigned way = 0; way < ways; way++) {
            struct history h = {.count = count};
            unsigned rest = way;
            for (unsigned seq = 1; seq <= count; seq++, rest /= 4) {
                h.there[seq] = rest % 4 != ABSENT;
                h.kinds[seq] = (enum vv_kind)(rest % 4 % KINDS);
            }
            check_history(&h);
        }
    }
}

TEST(versions_of_different_keys_do_not_hide_each_other)
{
    static const vv_seq now = 100;
    struct vv_drop drop = {.snapshots = &now, .snapshot_count = 1, .last = true};
    struct vv_entry e = {.key = VV_SLICE_EMPTY, .seq = 9, .kind = VV_KIND_PUT};
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_KEEP_SETTLED);
    e.seq = 8;
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_DROP);
    e.key = vv_slice_str("a");
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_KEEP_SETTLED);
    e.key = vv_slice_str("ab");
    e.seq = 7;
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_KEEP_SETTLED);
    e.kind = VV_KIND_DELETE;
    e.key = vv_slice_str("b");
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_DROP);
    e.kind = VV_KIND_PUT;
    e.seq = 0;
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_DROP);
    vv_drop_deinit(&drop);
}

TEST(without_snapshots_everything_stays)
{
    struct vv_drop drop = {.last = true};
    struct vv_entry e = {.key = vv_slice_str("k"), .seq = 3, .kind = VV_KIND_DELETE};
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_KEEP);
    e.seq = 2;
    CHECK_EQ_INT(vv_drop_judge(&drop, &e), VV_KEEP);
    vv_drop_deinit(&drop);
}
