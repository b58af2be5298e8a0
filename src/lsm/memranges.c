#include "lsm/memranges.h"

#include "base/error.h"

void vv_memranges_init(struct vv_memranges *r, struct vv_account *account)
{
    vv_arena_init(&r->arena, account, VV_OWNER_MEMTABLE);
}

void vv_memranges_deinit(struct vv_memranges *r)
{
    vv_arena_deinit(&r->arena);
}

static struct vv_range range_of(const struct vv_memrecord *record)
{
    struct vv_entry entry = vv_memrecord_entry(record);
    return (struct vv_range){entry.key, entry.value, entry.seq};
}

/* Takes into the set what it has not yet, the oldest first. */
static void extend_set(struct vv_memranges *r, const struct vv_order *order,
                       const struct vv_memrecord *newest)
{
    const struct vv_ranges *set = atomic_load_explicit(&r->set, memory_order_relaxed);
    const struct vv_memrecord *next;
    while ((next = vv_memrecord_above(newest, vv_ranges_newest(set))) != NULL) {
        const struct vv_ranges *more = vv_ranges_add(&r->arena, order, set, range_of(next));
        if (more == NULL)
            break; /* the next one tries again */
        set = more;
    }
    atomic_store_explicit(&r->set, set, memory_order_release);
}

void vv_memranges_add(struct vv_memranges *r, const struct vv_order *order,
                      const struct vv_memrecord *record)
{
    atomic_store_explicit(&r->newest, record, memory_order_release);
    extend_set(r, order, record);
}

/* What one tombstone says about the key. */
static struct vv_cover cover_of(const struct vv_order *order, const struct vv_range *range,
                                vv_slice key)
{
    if (vv_order_cmp(order, key, range->from) < 0)
        return (struct vv_cover){.to = range->from};
    if (vv_order_cmp(order, key, range->to) >= 0)
        return (struct vv_cover){.from = range->to};
    return (struct vv_cover){range->seq, range->from, range->to};
}

vv_seq vv_memranges_cover(const struct vv_memranges *r, const struct vv_order *order, vv_slice key,
                          vv_seq at, struct vv_cover *out)
{
    struct vv_cover cover = {0};
    const struct vv_memrecord *record = atomic_load_explicit(&r->newest, memory_order_acquire);
    const struct vv_ranges *set = atomic_load_explicit(&r->set, memory_order_acquire);
    vv_seq known = vv_ranges_newest(set);
    for (; record != NULL && vv_memrecord_seq(record) > known && cover.seq == 0;
         record = vv_memrecord_older(record)) {
        struct vv_range range = range_of(record);
        if (range.seq > at)
            continue;
        struct vv_cover here = cover_of(order, &range, key);
        cover.seq = here.seq;
        vv_cover_narrow(order, &cover, &here);
    }
    if (cover.seq == 0) {
        struct vv_cover here;
        cover.seq = vv_ranges_cover(order, set, key, at, &here);
        vv_cover_narrow(order, &cover, &here);
    }
    if (out != NULL)
        *out = cover;
    return cover.seq;
}

bool vv_memranges_newer(const struct vv_memranges *r, const struct vv_order *order, vv_slice from,
                        vv_slice to, vv_seq since)
{
    const struct vv_memrecord *record = atomic_load_explicit(&r->newest, memory_order_acquire);
    const struct vv_ranges *set = atomic_load_explicit(&r->set, memory_order_acquire);
    vv_seq known = vv_ranges_newest(set);
    for (; record != NULL && vv_memrecord_seq(record) > known;
         record = vv_memrecord_older(record)) {
        struct vv_range range = range_of(record);
        if (range.seq > since && (to.data == NULL || vv_order_cmp(order, range.from, to) < 0) &&
            (from.data == NULL || vv_order_cmp(order, from, range.to) < 0))
            return true;
    }
    return vv_ranges_newer(order, set, from, to, since);
}

int vv_memranges_list(const struct vv_memranges *r, struct vv_buf *out)
{
    const struct vv_memrecord *record = atomic_load_explicit(&r->newest, memory_order_acquire);
    for (; record != NULL; record = vv_memrecord_older(record)) {
        struct vv_range range = range_of(record);
        int rc = vv_buf_append(out, &range, sizeof range);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}
