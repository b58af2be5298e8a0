/*
 * Walking over a memtable while it grows.
 *
 * A position is a slot of a leaf as of a version of that leaf, and a record in the slot's chain.
 * While the leaf's version stands, its slots stay where they are; only newer records and further
 * slots at its end may have come, and both are seen because each move reads slot and count anew.
 * When the version has moved on, the position is found again by its key, which is there for ever.
 *
 *      forward    older version in the chain, else newest of the next slot, else of the next leaf
 *      backward   newer version in the chain, else oldest of the slot before, else of the leaf before
 *
 * Records lie in the order of their insertion, so each step forward or backward is a cache miss
 * unless the record was asked for some steps ahead.
 */
#include "lsm/memparts.h"

#include "base/error.h"

enum { AHEAD = 12 /* slots */ };

struct iter {
    struct vv_iter base;
    struct vv_memtable *memtable;
    struct vv_memspot spot;            /* its record is not used */
    const struct vv_memrecord *record; /* the current version */
};

static struct iter *iter_of(struct vv_iter *base)
{
    return (struct iter *)(void *)base;
}

/* Another version in the slot where we are. */
static void set_record(struct iter *it, const struct vv_memrecord *record)
{
    it->record = record;
    it->base.at = vv_memrecord_entry(record);
    it->base.valid = true;
}

static void set(struct iter *it, struct vv_memspot spot, const struct vv_memrecord *record)
{
    it->spot = spot;
    set_record(it, record);
}

static void set_end(struct iter *it)
{
    it->base.valid = false;
}

static bool is_unchanged(const struct vv_memspot *spot)
{
    return vv_memnode_unchanged(spot->leaf, spot->version);
}

/* ---- asking for records ahead: these slots may be stale, but then nothing is lost */

static void slot_prefetch(const struct vv_memnode *leaf, uint32_t index)
{
    if (index < VV_MEMNODE_SLOTS) {
        const char *record = (const char *)vv_memnode_record(leaf, index);
        __builtin_prefetch(record);
        __builtin_prefetch(record + 64);
    }
}

static void prefetch_forward(const struct vv_memnode *leaf, uint32_t index)
{
    uint32_t count = vv_memnode_count(leaf);
    uint32_t ahead = index + AHEAD;
    const struct vv_memnode *next = ahead < count ? leaf : vv_memnode_next(leaf);
    if (next != NULL)
        slot_prefetch(next, ahead < count ? ahead : ahead - count);
}

static void prefetch_backward(const struct vv_memnode *leaf, uint32_t index)
{
    const struct vv_memnode *prev = index >= AHEAD ? leaf : vv_memnode_prev(leaf);
    if (prev != NULL)
        slot_prefetch(prev, (index >= AHEAD ? index : index + vv_memnode_count(prev)) - AHEAD);
}

static void leaf_prefetch(const struct vv_memnode *leaf)
{
    for (size_t line = 0; leaf != NULL && line < sizeof *leaf / 64; line++)
        __builtin_prefetch((const char *)leaf + line * 64);
}

/* ---- moves: one try each; false when the leaf changed meanwhile */

/* To the newest version in spot->index or, behind the last slot, in the next leaf. */
static bool try_forward(struct iter *it, struct vv_memspot spot)
{
    while (spot.index >= vv_memnode_count(spot.leaf)) {
        struct vv_memnode *next = vv_memnode_next(spot.leaf);
        if (!is_unchanged(&spot))
            return false;
        if (next == NULL) {
            set_end(it);
            return true;
        }
        spot = (struct vv_memspot){.leaf = next, .version = vv_memnode_stable(next)};
        leaf_prefetch(vv_memnode_next(next));
    }
    const struct vv_memrecord *record = vv_memnode_record(spot.leaf, spot.index);
    if (!is_unchanged(&spot))
        return false;
    prefetch_forward(spot.leaf, spot.index);
    set(it, spot, record);
    return true;
}

/* The leaf before `leaf`, as of the version put into the spot; index is behind its last slot. */
static struct vv_memspot leaf_before(struct vv_memnode *leaf)
{
    struct vv_memspot spot = {.leaf = vv_memnode_prev(leaf)};
    while (spot.leaf != NULL) {
        spot.version = vv_memnode_stable(spot.leaf);
        spot.index = vv_memnode_count(spot.leaf);
        struct vv_memnode *next = vv_memnode_next(spot.leaf);
        if (!is_unchanged(&spot))
            continue;
        if (next == leaf)
            break;
        spot.leaf = next; /* it was split since */
    }
    return spot;
}

/* To the oldest version in the slot before spot.index, or in the leaf before. */
static bool try_backward(struct iter *it, struct vv_memspot spot)
{
    if (spot.index == 0) {
        struct vv_memspot before = leaf_before(spot.leaf);
        if (!is_unchanged(&spot))
            return false;
        if (before.leaf == NULL) {
            set_end(it);
            return true;
        }
        spot = before;
        leaf_prefetch(vv_memnode_prev(spot.leaf));
    }
    spot.index--;
    const struct vv_memrecord *newest = vv_memnode_record(spot.leaf, spot.index);
    if (!is_unchanged(&spot))
        return false;
    prefetch_backward(spot.leaf, spot.index);
    set(it, spot, vv_memrecord_oldest(newest));
    return true;
}

/* Finds the current key again in a tree that has changed. */
static void find_again(struct iter *it)
{
    vv_memtree_find(&it->memtable->tree, it->base.at.key, &it->spot);
    vv_assert(it->spot.record != NULL);
}

/* ---- the treaty */

static int iter_first(struct vv_iter *base)
{
    struct iter *it = iter_of(base);
    struct vv_memspot spot = {.leaf = it->memtable->tree.first};
    do
        spot.version = vv_memnode_stable(spot.leaf);
    while (!try_forward(it, spot));
    return VV_OK;
}

static int iter_last(struct vv_iter *base)
{
    struct iter *it = iter_of(base);
    struct vv_memspot spot;
    do {
        spot.leaf = atomic_load_explicit(&it->memtable->tree.last, memory_order_acquire);
        struct vv_memnode *next = spot.leaf;
        do {
            spot.leaf = next;
            spot.version = vv_memnode_stable(spot.leaf);
            spot.index = vv_memnode_count(spot.leaf);
            next = vv_memnode_next(spot.leaf);
        } while (next != NULL);
    } while (!is_unchanged(&spot) || !try_backward(it, spot));
    return VV_OK;
}

/* The slot behind the last one may have been filled since the search, with a lower key. */
static bool is_below(const struct iter *it, vv_slice key)
{
    return it->base.valid && vv_order_cmp(it->memtable->tree.order, it->base.at.key, key) < 0;
}

static int iter_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct iter *it = iter_of(base);
    struct vv_memspot spot;
    do {
        vv_memtree_find(&it->memtable->tree, key, &spot);
        if (spot.record != NULL) {
            const struct vv_memrecord *record = vv_memrecord_at(spot.record, seq);
            if (record != NULL) {
                set(it, spot, record);
                return VV_OK;
            }
            spot.index++;
        }
    } while (!try_forward(it, spot) || is_below(it, key));
    return VV_OK;
}

static int iter_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct iter *it = iter_of(base);
    struct vv_memspot spot;
    do {
        vv_memtree_find(&it->memtable->tree, key, &spot);
        if (spot.record != NULL) {
            set(it, spot, vv_memrecord_oldest(spot.record));
            return VV_OK;
        }
    } while (!try_backward(it, spot));
    return VV_OK;
}

/* To the next slot of the same leaf: the usual case, and all that a long scan is made of. It does
 * not copy the spot, since a copy would have to wait for the store of its index. */
static bool step_forward(struct iter *it)
{
    const struct vv_memnode *leaf = it->spot.leaf;
    uint32_t index = it->spot.index + 1;
    if (index >= vv_memnode_count(leaf))
        return false;
    const struct vv_memrecord *record = vv_memnode_record(leaf, index);
    if (!is_unchanged(&it->spot))
        return false;
    prefetch_forward(leaf, index);
    it->spot.index = index;
    set_record(it, record);
    return true;
}

static bool step_backward(struct iter *it)
{
    const struct vv_memnode *leaf = it->spot.leaf;
    uint32_t index = it->spot.index;
    if (index == 0)
        return false;
    const struct vv_memrecord *newest = vv_memnode_record(leaf, index - 1);
    if (!is_unchanged(&it->spot))
        return false;
    prefetch_backward(leaf, index - 1);
    it->spot.index = index - 1;
    set_record(it, vv_memrecord_oldest(newest));
    return true;
}

static int iter_next(struct vv_iter *base)
{
    struct iter *it = iter_of(base);
    const struct vv_memrecord *older = vv_memrecord_older(it->record);
    if (older != NULL) {
        set_record(it, older);
        return VV_OK;
    }
    while (!step_forward(it)) {
        struct vv_memspot spot = it->spot;
        spot.index++;
        if (try_forward(it, spot))
            break;
        find_again(it);
    }
    return VV_OK;
}

static int iter_prev(struct vv_iter *base)
{
    struct iter *it = iter_of(base);
    for (;;) {
        const struct vv_memrecord *newest = vv_memnode_record(it->spot.leaf, it->spot.index);
        if (VV_LIKELY(is_unchanged(&it->spot))) {
            const struct vv_memrecord *newer =
                newest == it->record ? NULL
                                     : vv_memrecord_above(newest, vv_memrecord_seq(it->record));
            if (newer != NULL) {
                set_record(it, newer);
                return VV_OK;
            }
            if (step_backward(it) || try_backward(it, it->spot))
                return VV_OK;
        }
        find_again(it);
    }
}

static void iter_close(struct vv_iter *base)
{
    struct iter *it = iter_of(base);
    vv_memtable_unref(it->memtable);
    vv_free(it);
}

int vv_memtable_iter(struct vv_memtable *m, struct vv_iter **out)
{
    static const struct vv_iter_ops ops = {
        .first = iter_first,
        .last = iter_last,
        .seek = iter_seek,
        .seek_for_prev = iter_seek_for_prev,
        .next = iter_next,
        .prev = iter_prev,
        .close = iter_close,
    };
    struct iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    it->base.ops = &ops;
    it->memtable = m;
    vv_memtable_ref(m);
    *out = &it->base;
    return VV_OK;
}
