#include "kv/ranges.h"

#include "base/error.h"

#include <stdalign.h>

/* A layer: as it was given, or joined from two. */
struct vv_ranges {
    const struct vv_ranges *next; /* the rest of the list, which is older */
    /* What was joined, as the list that it was: two layers, and behind them what is behind this one.
     * NULL in a layer that nothing was joined to. */
    const struct vv_ranges *parts;
    vv_seq min_seq, max_seq;
    uint32_t rank; /* how often what is here was joined */
    uint32_t count;
    struct vv_range list[]; /* ascending, without overlap */
};

/* ------------------------------------------------------------------------------------- joining */

/* Ranges being written one behind the other. */
struct drain {
    const struct vv_order *order;
    struct vv_range *list;
    size_t count;
    bool contradicts; /* an older range had the newer sequence */
};

static void put(struct drain *d, vv_slice from, vv_slice to, vv_seq seq)
{
    struct vv_range *last = d->count > 0 ? &d->list[d->count - 1] : NULL;
    if (last != NULL && last->seq == seq && vv_order_cmp(d->order, last->to, from) == 0)
        last->to = to;
    else
        d->list[d->count++] = (struct vv_range){from, to, seq};
}

/* Takes what two ranges that begin at the same key have in common, and leaves the rest. */
static void put_common(struct drain *d, struct vv_range *newer, struct vv_range *older)
{
    int order = vv_order_cmp(d->order, newer->to, older->to);
    vv_slice to = order < 0 ? newer->to : older->to;
    d->contradicts = d->contradicts || newer->seq < older->seq;
    put(d, newer->from, to, newer->seq > older->seq ? newer->seq : older->seq);
    newer->from = older->from = to;
}

/* Joins two lists. Each border of the result is one of the arguments', so that it has at most twice
 * as many ranges as they have together. */
static void join(struct drain *d, const struct vv_range *newer, size_t newer_count,
                 const struct vv_range *older, size_t older_count)
{
    size_t i = 0;
    size_t k = 0;
    struct vv_range a = newer_count > 0 ? newer[0] : (struct vv_range){0};
    struct vv_range b = older_count > 0 ? older[0] : (struct vv_range){0};
    while (i < newer_count || k < older_count) {
        bool only_a =
            k == older_count || (i < newer_count && vv_order_cmp(d->order, a.to, b.from) <= 0);
        bool only_b = !only_a && (i == newer_count || vv_order_cmp(d->order, b.to, a.from) <= 0);
        if (only_a) {
            put(d, a.from, a.to, a.seq);
            a.from = a.to;
        } else if (only_b) {
            put(d, b.from, b.to, b.seq);
            b.from = b.to;
        } else {
            int order = vv_order_cmp(d->order, a.from, b.from);
            if (order < 0) {
                put(d, a.from, b.from, a.seq);
                a.from = b.from;
            } else if (order > 0) {
                put(d, b.from, a.from, b.seq);
                b.from = a.from;
            }
            put_common(d, &a, &b);
        }
        if (i < newer_count && vv_order_cmp(d->order, a.from, a.to) >= 0 && ++i < newer_count)
            a = newer[i];
        if (k < older_count && vv_order_cmp(d->order, b.from, b.to) >= 0 && ++k < older_count)
            b = older[k];
    }
}

/* Lists that stand one after another in `list`; the ends of all. */
struct lists {
    struct vv_range *list;
    size_t *end;
    size_t count;
};

/* Joins every two neighbours of `from` into `to`. */
static void join_pairs(const struct vv_order *order, struct lists *from, struct vv_range *to)
{
    size_t written = 0;
    size_t made = 0;
    size_t begin = 0;
    for (size_t i = 0; i < from->count; i += 2) {
        size_t middle = from->end[i];
        size_t end = i + 1 < from->count ? from->end[i + 1] : middle;
        struct drain d = {.order = order, .list = to + written};
        join(&d, from->list + begin, middle - begin, from->list + middle, end - middle);
        begin = end;
        written += d.count;
        from->end[made++] = written;
    }
    from->list = to;
    from->count = made;
}

int vv_ranges_join(const struct vv_order *order, const struct vv_range *ranges, size_t count,
                   struct vv_buf *out)
{
    struct vv_buf other = VV_BUF_INIT;
    struct vv_buf ends = VV_BUF_INIT;
    int rc;
    vv_buf_clear(out);
    if (count > SIZE_MAX / 4 / sizeof ranges[0])
        return vv_fail(VV_NOMEM, "cannot join %zu ranges", count);
    if ((rc = vv_buf_reserve(out, 2 * count * sizeof ranges[0])) < 0 ||
        (rc = vv_buf_reserve(&other, 2 * count * sizeof ranges[0])) < 0 ||
        (rc = vv_buf_reserve(&ends, count * sizeof(size_t))) < 0)
        goto out;
    struct vv_range *here = (struct vv_range *)(void *)out->data;
    struct vv_range *there = (struct vv_range *)(void *)other.data;
    struct lists lists = {here, (size_t *)(void *)ends.data, 0};
    for (size_t i = 0; i < count; i++) {
        if (vv_order_cmp(order, ranges[i].from, ranges[i].to) >= 0)
            continue;
        here[lists.count++] = ranges[i];
        lists.end[lists.count - 1] = lists.count;
    }
    while (lists.count > 1)
        join_pairs(order, &lists, lists.list == here ? there : here);
    size_t size = lists.count > 0 ? lists.end[0] * sizeof here[0] : 0;
    if (lists.list != here && size > 0)
        memcpy(here, lists.list, size);
    out->size = size;
out:
    vv_buf_deinit(&other);
    vv_buf_deinit(&ends);
    return rc;
}

/* ---------------------------------------------------------------------------------------- sets */

static struct vv_ranges *set_new(struct vv_arena *arena, size_t room)
{
    if (room > UINT32_MAX)
        return NULL;
    struct vv_ranges *set =
        vv_arena_alloc(arena, sizeof *set + room * sizeof set->list[0], alignof(struct vv_ranges));
    if (set != NULL)
        *set = (struct vv_ranges){.min_seq = VV_SEQ_MAX};
    return set;
}

static void note_seq(struct vv_ranges *set, vv_seq seq)
{
    set->min_seq = seq < set->min_seq ? seq : set->min_seq;
    set->max_seq = seq > set->max_seq ? seq : set->max_seq;
}

/* `newer` has `older` as its rest. */
static int join_sets(struct vv_arena *arena, const struct vv_order *order,
                     const struct vv_ranges *newer, const struct vv_ranges **out)
{
    const struct vv_ranges *older = newer->next;
    size_t room = 2 * ((size_t)newer->count + older->count);
    struct vv_ranges *set = set_new(arena, room);
    if (set == NULL)
        return VV_NOMEM;
    struct drain d = {.order = order, .list = set->list};
    join(&d, newer->list, newer->count, older->list, older->count);
    vv_assert(d.count <= room);
    if (d.contradicts)
        return vv_fail(VV_CORRUPT, "range tombstones are not in the order of their age");
    set->count = (uint32_t)d.count;
    set->rank = (newer->rank > older->rank ? newer->rank : older->rank) + 1;
    set->parts = newer;
    set->next = older->next;
    set->min_seq = newer->min_seq < older->min_seq ? newer->min_seq : older->min_seq;
    set->max_seq = newer->max_seq > older->max_seq ? newer->max_seq : older->max_seq;
    *out = set;
    return VV_OK;
}

static int join_equals(struct vv_arena *arena, const struct vv_order *order,
                       const struct vv_ranges **set)
{
    int rc = VV_OK;
    while (rc == VV_OK && (*set)->next != NULL && (*set)->rank >= (*set)->next->rank)
        rc = join_sets(arena, order, *set, set);
    return rc;
}

const struct vv_ranges *vv_ranges_add(struct vv_arena *arena, const struct vv_order *order,
                                      const struct vv_ranges *set, struct vv_range range)
{
    vv_assert(range.seq > 0);
    vv_assert(vv_order_cmp(order, range.from, range.to) < 0);
    struct vv_ranges *fresh = set_new(arena, 1);
    if (fresh == NULL)
        return NULL;
    fresh->list[0] = range;
    fresh->count = 1;
    fresh->next = set;
    note_seq(fresh, range.seq);
    const struct vv_ranges *all = fresh;
    /* What is not joined is found all the same. */
    (void)join_equals(arena, order, &all);
    return all;
}

/* One layer of the list, which ends where the ranges stop ascending. */
static int load_layer(struct vv_arena *arena, const struct vv_order *order,
                      const struct vv_range *list, size_t count, struct vv_ranges **out)
{
    size_t size = 0;
    do {
        if (list[size].seq == 0 || list[size].seq > VV_SEQ_MAX ||
            vv_order_cmp(order, list[size].from, list[size].to) >= 0)
            return vv_fail(VV_CORRUPT, "a range tombstone deletes nothing");
        size++;
    } while (size < count && vv_order_cmp(order, list[size - 1].to, list[size].from) <= 0);
    struct vv_ranges *set = set_new(arena, size);
    if (set == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < size; i++) {
        set->list[i] = list[i];
        note_seq(set, list[i].seq);
    }
    set->count = (uint32_t)size;
    *out = set;
    return VV_OK;
}

int vv_ranges_load(struct vv_arena *arena, const struct vv_order *order,
                   const struct vv_range *list, size_t count, const struct vv_ranges **out)
{
    struct vv_buf layers = VV_BUF_INIT; /* struct vv_ranges *, newest first */
    const struct vv_ranges *set = NULL;
    struct vv_ranges *layer = NULL;
    int rc = VV_OK;
    for (size_t at = 0; rc == VV_OK && at < count; at += layer->count) {
        if ((rc = load_layer(arena, order, list + at, count - at, &layer)) < 0)
            break;
        rc = vv_buf_append(&layers, &layer, sizeof layer);
    }
    for (size_t i = layers.size / sizeof layer; rc == VV_OK && i-- > 0;) {
        memcpy(&layer, layers.data + i * sizeof layer, sizeof layer);
        layer->next = set;
        set = layer;
        rc = join_equals(arena, order, &set);
    }
    vv_buf_deinit(&layers);
    if (rc == VV_OK)
        *out = set;
    return rc;
}

/* -------------------------------------------------------------------------------------- asking */

vv_seq vv_ranges_newest(const struct vv_ranges *set)
{
    return set != NULL ? set->max_seq : 0;
}

void vv_cover_narrow(const struct vv_order *order, struct vv_cover *cover,
                     const struct vv_cover *by)
{
    if (by->from.data != NULL &&
        (cover->from.data == NULL || vv_order_cmp(order, cover->from, by->from) < 0))
        cover->from = by->from;
    if (by->to.data != NULL &&
        (cover->to.data == NULL || vv_order_cmp(order, by->to, cover->to) < 0))
        cover->to = by->to;
}

/* Index of the first range that ends behind the key. */
static size_t find_range(const struct vv_order *order, const struct vv_ranges *set, vv_slice key)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vv_order_cmp(order, set->list[middle].to, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What the layer says about the key: the range it is in, or the gap. */
static struct vv_cover look_up(const struct vv_order *order, const struct vv_ranges *set,
                               vv_slice key)
{
    struct vv_cover cover = {0};
    size_t low = find_range(order, set, key);
    if (low > 0)
        cover.from = set->list[low - 1].to;
    if (low == set->count)
        return cover;
    const struct vv_range *range = &set->list[low];
    if (vv_order_cmp(order, range->from, key) <= 0)
        return (struct vv_cover){range->seq, range->from, range->to};
    cover.to = range->from;
    return cover;
}

vv_seq vv_ranges_cover(const struct vv_order *order, const struct vv_ranges *set, vv_slice key,
                       vv_seq at, struct vv_cover *out)
{
    struct vv_cover cover = {0};
    while (set != NULL && cover.seq == 0) {
        if (set->min_seq > at) {
            set = set->next;
        } else if (set->max_seq > at && set->parts != NULL) {
            set = set->parts;
        } else {
            struct vv_cover here = look_up(order, set, key);
            cover.seq = here.seq <= at ? here.seq : 0;
            if (out != NULL)
                vv_cover_narrow(order, &cover, &here);
            set = set->next;
        }
    }
    if (out != NULL)
        *out = cover;
    return cover.seq;
}

bool vv_ranges_newer(const struct vv_order *order, const struct vv_ranges *set, vv_slice from,
                     vv_slice to, vv_seq since)
{
    for (; set != NULL; set = set->next) {
        if (set->max_seq <= since)
            continue;
        size_t i = from.data != NULL ? find_range(order, set, from) : 0;
        for (; i < set->count; i++) {
            if (to.data != NULL && vv_order_cmp(order, set->list[i].from, to) >= 0)
                break;
            if (set->list[i].seq > since)
                return true;
        }
    }
    return false;
}
