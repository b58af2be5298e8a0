/*
 * What merges drop: exhaustively over small histories and sets of snapshots, no reader can tell the
 * difference, and nothing is kept that nobody can see.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "harness/test.h"

#include "kv/expiry.h"
#include "lsm/sift.h"

#include <stdio.h>

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

/* A source over an array. */
struct array_iter {
    struct vv_iter base;
    const struct vv_entry *entries;
    size_t count, at;
};

static int array_show(struct array_iter *it, size_t at)
{
    it->at = at;
    it->base.valid = at < it->count;
    if (it->base.valid)
        it->base.at = it->entries[at];
    return VV_OK;
}

static int array_first(struct vv_iter *base)
{
    return array_show((struct array_iter *)base, 0);
}

static int array_next(struct vv_iter *base)
{
    struct array_iter *it = (struct array_iter *)base;
    return array_show(it, it->at + 1);
}

static void array_close(struct vv_iter *base)
{
    vv_free(base);
}

static const struct vv_iter_ops array_ops = {
    .first = array_first, .next = array_next, .close = array_close};

/* Sifts the entries, which are in internal order; what survives goes into `out`, its key and value
 * still where they were. */
static size_t sift(const struct vv_sift_options *options, const struct vv_entry *entries,
                   size_t count, struct vv_entry *out)
{
    struct array_iter *it = vv_alloc_zero(sizeof *it);
    struct vv_sift s;
    size_t kept = 0;
    int rc;
    CHECK(it != NULL);
    *it = (struct array_iter){.base.ops = &array_ops, .entries = entries, .count = count};
    vv_sift_init(&s, &it->base, options);
    while ((rc = vv_sift_next(&s, &out[kept])) != VV_END) {
        CHECK(rc == VV_OK || rc == VV_NOTFOUND);
        kept += rc == VV_OK ? 1 : 0;
    }
    CHECK_EQ_U64(s.entries_in, count);
    vv_sift_deinit(&s);
    return kept;
}

static struct kept merge(const struct history *h, const struct snapshots *s, bool last)
{
    static const uint8_t names[HISTORY_MAX + 1] = {0, 1, 2, 3, 4, 5};
    struct vv_sift_options options = {.snapshots = s->at, .snapshot_count = s->count, .last = last};
    struct vv_entry entries[HISTORY_MAX];
    struct kept kept = {.count = 0};
    size_t count = 0;
    for (vv_seq seq = h->count; seq > 0; seq--) {
        if (h->there[seq])
            entries[count++] = (struct vv_entry){.key = vv_slice_str("key"),
                                                 .value = vv_slice_of(&names[seq], 1),
                                                 .seq = seq,
                                                 .kind = h->kinds[seq]};
    }
    kept.count = sift(&options, entries, count, kept.entries);
    for (size_t i = 0; i < kept.count; i++)
        CHECK(last || kept.entries[i].seq > 0);
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
    static const struct vv_sift_options options = {
        .snapshots = &now, .snapshot_count = 1, .last = true};
    const struct vv_entry entries[] = {
        {.key = VV_SLICE_EMPTY, .seq = 9, .kind = VV_KIND_PUT},
        {.key = VV_SLICE_EMPTY, .seq = 8, .kind = VV_KIND_PUT},
        {.key = vv_slice_str("a"), .seq = 8, .kind = VV_KIND_PUT},
        {.key = vv_slice_str("ab"), .seq = 7, .kind = VV_KIND_PUT},
        {.key = vv_slice_str("b"), .seq = 7, .kind = VV_KIND_DELETE},
        {.key = vv_slice_str("b"), .seq = 0, .kind = VV_KIND_PUT},
    };
    struct vv_entry kept[sizeof entries / sizeof entries[0]];
    CHECK_EQ_U64(sift(&options, entries, sizeof entries / sizeof entries[0], kept), 3);
    CHECK(vv_slice_equal(kept[0].key, VV_SLICE_EMPTY));
    CHECK(vv_slice_equal(kept[1].key, vv_slice_str("a")));
    CHECK(vv_slice_equal(kept[2].key, vv_slice_str("ab")));
    for (size_t i = 0; i < 3; i++)
        CHECK_EQ_U64(kept[i].seq, 0);
}

TEST(without_snapshots_everything_stays)
{
    static const struct vv_sift_options options = {.last = true};
    const struct vv_entry entries[] = {
        {.key = vv_slice_str("k"), .seq = 3, .kind = VV_KIND_DELETE},
        {.key = vv_slice_str("k"), .seq = 2, .kind = VV_KIND_PUT},
    };
    struct vv_entry kept[sizeof entries / sizeof entries[0]];
    CHECK_EQ_U64(sift(&options, entries, sizeof entries / sizeof entries[0], kept), 2);
    CHECK_EQ_U64(kept[0].seq, 3);
    CHECK_EQ_U64(kept[1].seq, 2);
}

/* ---- expiry and operands */

enum { NOW_MS = 100, LATER_MS = 300 };

/* What a version of the second kind of history is. Values are the digit of the sequence. */
enum what { IS_ABSENT, IS_DELETE, IS_PUT, IS_EXPIRED, IS_EXPIRING, IS_MERGE, WHATS };

struct line {
    char text[64];
};

static bool partial_works;

static uint64_t fixed_now_ms(void *context)
{
    (void)context;
    return NOW_MS;
}

/* Values are texts; operands are appended to them. */
static int fold_texts(void *context, enum vv_fold how, vv_slice key, const vv_slice *base,
                      const vv_slice *operands, size_t count, struct vv_buf *out)
{
    (void)context;
    CHECK(vv_slice_equal(key, vv_slice_str("key")));
    CHECK(how == VV_FOLD_FULL || base == NULL);
    if (how == VV_FOLD_PARTIAL && !partial_works)
        return VV_UNSUPPORTED;
    if (base != NULL)
        CHECK_OK(vv_buf_append_slice(out, *base));
    for (size_t i = 0; i < count; i++)
        CHECK_OK(vv_buf_append_slice(out, operands[i]));
    return VV_OK;
}

static const struct vv_host texts = {.now_ms = fixed_now_ms, .fold = fold_texts};
static const struct vv_host texts_without_operator = {.now_ms = fixed_now_ms};

/* What a reader finds: "-" for nothing. `below` is a value in a deeper level, or NULL. */
static struct line see(const struct vv_entry *entries, size_t count, const char *below, vv_seq at,
                       uint64_t now_ms)
{
    char operands[32] = "";
    struct line seen = {"-"};
    vv_slice base = below != NULL ? vv_slice_str(below) : VV_SLICE_EMPTY;
    bool has_base = below != NULL;
    for (size_t i = 0; i < count; i++) {
        const struct vv_entry *e = &entries[i];
        char longer[32];
        if (e->seq > at)
            continue;
        if (e->kind != VV_KIND_MERGE) {
            has_base = e->kind != VV_KIND_DELETE && !vv_entry_expired(e, now_ms);
            base = vv_expiry_strip(e->kind, e->value);
            break;
        }
        (void)snprintf(longer, sizeof longer, "%.*s%s", (int)e->value.size,
                       (const char *)e->value.data, operands);
        memcpy(operands, longer, sizeof operands);
    }
    if (has_base || operands[0] != 0)
        (void)snprintf(seen.text, sizeof seen.text, "%.*s%s", has_base ? (int)base.size : 0,
                       (const char *)base.data, operands);
    return seen;
}

/* What survived, copied: the sift's own bytes do not last. */
struct survivors {
    struct vv_entry entries[2 * HISTORY_MAX];
    uint8_t bytes[2 * HISTORY_MAX][32];
    size_t count;
};

static void sift_history(const struct vv_sift_options *options, const struct vv_entry *entries,
                         size_t count, struct survivors *out)
{
    struct array_iter *it = vv_alloc_zero(sizeof *it);
    struct vv_sift s;
    struct vv_entry entry;
    int rc;
    CHECK(it != NULL);
    *it = (struct array_iter){.base.ops = &array_ops, .entries = entries, .count = count};
    vv_sift_init(&s, &it->base, options);
    out->count = 0;
    while ((rc = vv_sift_next(&s, &entry)) != VV_END) {
        CHECK(rc == VV_OK || rc == VV_NOTFOUND);
        if (rc != VV_OK)
            continue;
        CHECK(vv_slice_equal(entry.key, vv_slice_str("key")));
        if (entry.value.size > 0)
            memcpy(out->bytes[out->count], entry.value.data, entry.value.size);
        entry.value.data = out->bytes[out->count];
        out->entries[out->count++] = entry;
    }
    CHECK_EQ_U64(s.entries_in, count);
    vv_sift_deinit(&s);
}

static void check_texts(const struct vv_entry *entries, size_t count, const struct snapshots *s,
                        const struct vv_host *host, bool last)
{
    const struct vv_sift_options options = {
        .snapshots = s->at, .snapshot_count = s->count, .last = last, .host = host};
    const uint64_t times[] = {NOW_MS, LATER_MS};
    const char *below = last ? NULL : "b";
    struct survivors left;
    sift_history(&options, entries, count, &left);
    for (size_t i = 1; i < left.count; i++)
        CHECK(left.entries[i].seq < left.entries[i - 1].seq);
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i <= s->count + 1; i++) {
            vv_seq at = i < s->count ? s->at[i] : HISTORY_MAX + (vv_seq)i;
            struct line was = see(entries, count, below, at, times[t]);
            struct line is = see(left.entries, left.count, below, at, times[t]);
            CHECK_EQ_STR(is.text, was.text);
        }
    }
    /* With a working operator a stripe has its chain in one entry, and what expires apart from it. */
    if (host->fold != NULL && partial_works) {
        size_t in_stripe = 0;
        for (size_t i = 0; i < left.count && left.entries[i].seq <= s->at[0]; i++)
            in_stripe++;
        CHECK(s->count > 1 || in_stripe <= 2);
    }
    for (size_t i = 0; i < left.count; i++)
        CHECK(!vv_entry_expired(&left.entries[i], NOW_MS));
}

static size_t texts_of(unsigned way, unsigned count, struct vv_entry *entries)
{
    static uint8_t values[HISTORY_MAX + 1][VV_EXPIRY_SIZE + 1];
    size_t made = 0;
    for (unsigned seq = count; seq > 0; seq--, way /= WHATS) {
        enum what what = (enum what)(way % WHATS);
        struct vv_entry e = {.key = vv_slice_str("key"), .seq = seq, .kind = VV_KIND_PUT};
        bool expires = what == IS_EXPIRED || what == IS_EXPIRING;
        if (what == IS_ABSENT)
            continue;
        vv_put_u64(values[seq], what == IS_EXPIRED ? NOW_MS : NOW_MS + 1);
        values[seq][VV_EXPIRY_SIZE] = (uint8_t)('0' + seq);
        e.value =
            vv_slice_of(values[seq] + (expires ? 0 : VV_EXPIRY_SIZE), what == IS_DELETE ? 0
                                                                      : expires ? VV_EXPIRY_SIZE + 1
                                                                                : 1);
        if (what == IS_DELETE)
            e.kind = VV_KIND_DELETE;
        else if (what == IS_MERGE)
            e.kind = VV_KIND_MERGE;
        else if (expires)
            e.kind = VV_KIND_PUT_EXPIRES;
        entries[made++] = e;
    }
    return made;
}

TEST(no_reader_can_tell_what_was_folded_or_had_expired)
{
    enum { LONG = 4 };
    unsigned ways = WHATS * WHATS * WHATS * WHATS;
    for (unsigned way = 0; way < ways; way++) {
        struct vv_entry entries[HISTORY_MAX];
        size_t count = texts_of(way, LONG, entries);
        for (vv_seq visible = 0; visible <= LONG; visible++) {
            for (unsigned set = 0; set < 1U << visible; set++) {
                struct snapshots s = snapshots_of(set, visible);
                for (int last = 0; last < 2; last++) {
                    check_texts(entries, count, &s, &texts_without_operator, last != 0);
                    for (int partial = 0; partial < 2; partial++) {
                        partial_works = partial != 0;
                        check_texts(entries, count, &s, &texts, last != 0);
                    }
                }
            }
        }
    }
}

TEST(a_chain_at_the_bottom_becomes_one_settled_value)
{
    static const vv_seq now = 100;
    const struct vv_sift_options options = {
        .snapshots = &now, .snapshot_count = 1, .last = true, .host = &texts};
    struct vv_entry entries[4];
    struct survivors left;
    partial_works = false;
    for (size_t i = 0; i < 4; i++)
        entries[i] = (struct vv_entry){.key = vv_slice_str("key"),
                                       .value = vv_slice_str("x"),
                                       .seq = 9 - i,
                                       .kind = i < 3 ? VV_KIND_MERGE : VV_KIND_PUT};
    sift_history(&options, entries, 4, &left);
    CHECK_EQ_U64(left.count, 1);
    CHECK_EQ_INT(left.entries[0].kind, VV_KIND_PUT);
    CHECK_EQ_U64(left.entries[0].seq, 0);
    CHECK(vv_slice_equal(left.entries[0].value, vv_slice_str("xxxx")));
}

/* Operands as long as a chain may get in all: a long one is not held in memory. */
TEST(a_long_chain_passes_in_pieces)
{
    enum { MANY = 3000, LONG = 1000 };
    static const vv_seq now = MANY;
    static const struct vv_host no_operator = {.now_ms = fixed_now_ms};
    const struct vv_sift_options options = {
        .snapshots = &now, .snapshot_count = 1, .last = true, .host = &no_operator};
    static uint8_t operand[LONG];
    struct vv_entry *entries = vv_alloc(MANY * sizeof *entries);
    CHECK(entries != NULL);
    for (size_t i = 0; i < MANY; i++)
        entries[i] = (struct vv_entry){.key = vv_slice_str("key"),
                                       .value = vv_slice_of(operand, sizeof operand),
                                       .seq = MANY - i,
                                       .kind = VV_KIND_MERGE};
    struct array_iter *it = vv_alloc_zero(sizeof *it);
    struct vv_sift s;
    struct vv_entry entry;
    size_t seen = 0;
    int rc;
    CHECK(it != NULL);
    *it = (struct array_iter){.base.ops = &array_ops, .entries = entries, .count = MANY};
    vv_sift_init(&s, &it->base, &options);
    while ((rc = vv_sift_next(&s, &entry)) != VV_END) {
        CHECK(vv_chain_bytes(&s.chain) <= (2 << 20));
        if (rc != VV_OK)
            continue;
        CHECK_EQ_U64(entry.seq, MANY - seen);
        CHECK_EQ_U64(entry.value.size, LONG);
        seen++;
    }
    CHECK_EQ_U64(seen, MANY);
    vv_sift_deinit(&s);
    vv_free(entries);
}
