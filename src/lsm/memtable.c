/*
 * A memtable is a tree that knows the order (memtree.h), chains of versions below its slots
 * (memrecord.h), a filter for keys that are not there (memfilter.h), range tombstones
 * (memranges.h), and the memory that holds all of it (memspace.h). This file puts them together; memiter.c walks over them.
 *
 * An insert finds the place, reserves all memory it will take, writes the record, sets the bits of
 * the filter, and publishes the record with one release store. Whatever fails does so before
 * anything has changed.
 */
#include "lsm/memtable.h"

#include "base/error.h"
#include "base/hash.h"
#include "lsm/memparts.h"

static bool is_filtered(const struct vv_memtable *m)
{
    return vv_order_bytewise(m->tree.order); /* another order may call different bytes equal */
}

int vv_memtable_new(const struct vv_order *order, struct vv_account *account,
                    struct vv_memtable **out)
{
    return vv_memtable_new_from(order, account, NULL, out);
}

int vv_memtable_new_from(const struct vv_order *order, struct vv_account *account,
                         struct vv_mempool *pool, struct vv_memtable **out)
{
    struct vv_memtable *m = vv_alloc_zero(sizeof *m);
    if (m == NULL)
        return VV_NOMEM;
    atomic_store_explicit(&m->refs, 1, memory_order_relaxed);
    vv_memspace_init(&m->space, account, pool);
    vv_memranges_init(&m->ranges, account);
    int rc = vv_memtree_init(&m->tree, order, &m->space);
    if (rc == VV_OK && is_filtered(m))
        rc = vv_memfilter_init(&m->filter, account);
    if (rc < 0) {
        vv_memtable_unref(m);
        return rc;
    }
    *out = m;
    return VV_OK;
}

void vv_memtable_ref(struct vv_memtable *m)
{
    /* Relaxed: who takes one more holds one already. */
    uint32_t before = atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    vv_assert(before > 0);
}

void vv_memtable_unref(struct vv_memtable *m)
{
    if (m == NULL)
        return;
    /* Release what this holder did to the one who frees; that one acquires it. */
    uint32_t before = atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before > 1)
        return;
    vv_memfilter_deinit(&m->filter);
    vv_memranges_deinit(&m->ranges);
    vv_memspace_deinit(&m->space);
    vv_free(m);
}

static size_t record_bytes(size_t key_size, size_t value_size, bool linked)
{
    size_t bytes = sizeof(struct vv_memrecord) + key_size + value_size;
    if (linked)
        bytes += sizeof(struct vv_memlink);
    return bytes + (-bytes & (VV_MEMRECORD_ALIGN - 1));
}

int vv_memtable_reserve(struct vv_memtable *m, size_t bytes, size_t count)
{
    enum {
        RECORD_EXTRA =
            sizeof(struct vv_memrecord) + sizeof(struct vv_memlink) + 2 * VV_MEMRECORD_ALIGN
    };
    if (bytes > SIZE_MAX / 4 || count > SIZE_MAX / 4 / (RECORD_EXTRA + 4096))
        return vv_fail(VV_NOMEM, "cannot reserve %zu bytes for %zu entries", bytes, count);
    size_t nodes = vv_memtree_growth(&m->tree, count);
    return vv_memspace_reserve(&m->space, bytes + count * RECORD_EXTRA + nodes);
}

static const struct vv_memrecord *record_new(struct vv_memtable *m, const struct vv_entry *entry,
                                             const struct vv_memrecord *older)
{
    size_t bytes = record_bytes(entry->key.size, entry->value.size, older != NULL);
    void *memory = vv_memspace_take(&m->space, bytes, VV_MEMRECORD_ALIGN);
    struct vv_memrecord *record = memory;
    uint64_t stamp = entry->seq << 8 | (uint64_t)entry->kind;
    if (older != NULL) {
        struct vv_memlink *link = memory;
        *link = vv_memlink_over(older);
        record = (struct vv_memrecord *)(link + 1);
        stamp |= VV_MEMRECORD_LINKED;
    }
    record->stamp = stamp;
    record->key_size = (uint32_t)entry->key.size;
    record->value_size = (uint32_t)entry->value.size;
    if (entry->key.size > 0)
        memcpy(record->bytes, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(record->bytes + entry->key.size, entry->value.data, entry->value.size);
    return record;
}

/* Relaxed and not read-modify-write: one thread writes, and the numbers guide and never prove. */
static void count_up(_Atomic(uint64_t) *counter, uint64_t more)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + more, memory_order_relaxed);
}

static void note_insert(struct vv_memtable *m, const struct vv_entry *entry)
{
    m->seq_last = entry->seq;
    count_up(&m->count, 1);
    count_up(&m->raw_bytes, entry->key.size + entry->value.size);
}

/* It deletes nothing, yet its sequence is in the log, and is flushed only with a memtable that is not
 * empty. */
static int note_empty(struct vv_memtable *m, const struct vv_entry *entry)
{
    m->ranges.empty_count++;
    m->ranges.empty_bytes += entry->key.size + entry->value.size;
    note_insert(m, entry);
    return VV_OK;
}

static int insert_range(struct vv_memtable *m, const struct vv_entry *entry)
{
    /* Only we write it. */
    const struct vv_memrecord *older =
        atomic_load_explicit(&m->ranges.newest, memory_order_relaxed);
    if (vv_order_cmp(m->tree.order, entry->key, entry->value) >= 0)
        return note_empty(m, entry);
    size_t more = record_bytes(entry->key.size, entry->value.size, true) + VV_MEMRECORD_ALIGN;
    int rc = vv_memspace_reserve(&m->space, more);
    if (rc < 0)
        return rc;
    vv_memranges_add(&m->ranges, m->tree.order, record_new(m, entry, older));
    note_insert(m, entry);
    return VV_OK;
}

int vv_memtable_insert(struct vv_memtable *m, const struct vv_entry *entry)
{
    vv_assert(entry->seq <= VV_SEQ_MAX);
    vv_assert(entry->seq > m->seq_last || vv_memtable_count(m) == 0);
    vv_assert(entry->key.size <= VV_KEY_SIZE_MAX);
    vv_assert(entry->value.size <= VV_VALUE_SIZE_MAX);
    vv_assert((unsigned)entry->kind < VV_MEMRECORD_LINKED);

    if (entry->kind == VV_KIND_DELETE_RANGE)
        return insert_range(m, entry);
    uint64_t hash = 0;
    if (is_filtered(m)) {
        hash = vv_hash(entry->key);
        vv_memfilter_prefetch(&m->filter, hash);
    }
    struct vv_memplace place;
    size_t more = record_bytes(entry->key.size, entry->value.size, true) + VV_MEMRECORD_ALIGN;
    int rc = vv_memtree_place(&m->tree, entry->key, more, &place);
    if (rc < 0)
        return rc;
    const struct vv_memrecord *record = record_new(m, entry, place.record);
    if (place.record == NULL && is_filtered(m))
        vv_memfilter_add(&m->filter, hash);
    vv_memtree_put(&m->tree, &place, record);
    note_insert(m, entry);
    return VV_OK;
}

bool vv_memtable_has_ranges(const struct vv_memtable *m)
{
    return vv_memranges_any(&m->ranges);
}

vv_seq vv_memtable_cover(const struct vv_memtable *m, vv_slice key, vv_seq at, struct vv_cover *out)
{
    return vv_memranges_cover(&m->ranges, m->tree.order, key, at, out);
}

bool vv_memtable_ranges_newer(const struct vv_memtable *m, vv_slice from, vv_slice to, vv_seq since)
{
    return vv_memranges_newer(&m->ranges, m->tree.order, from, to, since);
}

int vv_memtable_list_ranges(const struct vv_memtable *m, struct vv_buf *out)
{
    return vv_memranges_list(&m->ranges, out);
}

int vv_memtable_get(const struct vv_memtable *m, vv_slice key, uint64_t hash, vv_seq seq,
                    struct vv_entry *out)
{
    if (is_filtered(m) && !vv_memfilter_may_have(&m->filter, hash))
        return VV_NOTFOUND;
    struct vv_memspot spot;
    vv_memtree_find(&m->tree, key, &spot);
    if (spot.record == NULL)
        return VV_NOTFOUND;
    const struct vv_memrecord *record = vv_memrecord_at(spot.record, seq);
    if (record == NULL)
        return VV_NOTFOUND;
    *out = vv_memrecord_entry(record);
    return VV_OK;
}

size_t vv_memtable_bytes(const struct vv_memtable *m)
{
    return sizeof *m + vv_memspace_used(&m->space) + vv_memfilter_bytes(&m->filter) +
           vv_arena_used(&m->ranges.arena);
}

uint64_t vv_memtable_count(const struct vv_memtable *m)
{
    return atomic_load_explicit(&m->count, memory_order_relaxed);
}

uint64_t vv_memtable_raw_bytes(const struct vv_memtable *m)
{
    return atomic_load_explicit(&m->raw_bytes, memory_order_relaxed);
}

uint64_t vv_memtable_below(const struct vv_memtable *m, vv_slice key)
{
    return (uint64_t)((double)vv_memtable_raw_bytes(m) * vv_memtree_share(&m->tree, key));
}

static void chain_check(const struct vv_memtable *m, const struct vv_memrecord *newest,
                        uint64_t *count, uint64_t *raw_bytes)
{
    vv_slice key = vv_memrecord_key(newest);
    vv_assert(vv_memrecord_seq(newest) <= m->seq_last);
    if (is_filtered(m))
        vv_assert(vv_memfilter_may_have(&m->filter, vv_hash(key)));
    for (const struct vv_memrecord *r = newest; r != NULL; r = vv_memrecord_older(r)) {
        *count += 1;
        *raw_bytes += (uint64_t)r->key_size + r->value_size;
        vv_assert(vv_order_cmp(m->tree.order, vv_memrecord_key(r), key) == 0);
        if (!vv_memrecord_linked(r))
            break;
        const struct vv_memlink *link = vv_memrecord_link(r);
        struct vv_memlink right = vv_memlink_over(link->older);
        vv_assert(vv_memrecord_seq(link->older) < vv_memrecord_seq(r));
        vv_assert(link->jump == right.jump);
        vv_assert(link->depth == right.depth);
    }
}

void vv_memtable_check(const struct vv_memtable *m)
{
    uint64_t count = 0;
    uint64_t raw_bytes = 0;
    vv_assert(atomic_load_explicit(&m->refs, memory_order_relaxed) > 0);
    vv_memtree_check(&m->tree);
    for (const struct vv_memnode *leaf = m->tree.first; leaf != NULL; leaf = vv_memnode_next(leaf))
        for (uint32_t i = 0; i < vv_memnode_count(leaf); i++)
            chain_check(m, vv_memnode_record(leaf, i), &count, &raw_bytes);
    const struct vv_memrecord *range =
        atomic_load_explicit(&m->ranges.newest, memory_order_relaxed);
    count += m->ranges.empty_count;
    raw_bytes += m->ranges.empty_bytes;
    for (; range != NULL; range = vv_memrecord_older(range)) {
        count++;
        raw_bytes += (uint64_t)range->key_size + range->value_size;
    }
    vv_assert(count == vv_memtable_count(m));
    vv_assert(raw_bytes == vv_memtable_raw_bytes(m));
}
