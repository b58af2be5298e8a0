/*
 * Looking things up in a table: top index, index partition, data block, entry.
 */
#include "sst/table_internal.h"

/* ------------------------------------------------------------------------------------ partitions */

uint32_t vv_table_partition_of(const struct vv_table *t, vv_slice key, uint64_t bound)
{
    if (t->partition_count == 0)
        return 0;
    if (t->top_heads == NULL)
        return vv_block_search(&t->top, t->order, key, bound);
    uint64_t head = vv_slice_head(key);
    uint32_t low = 0;
    uint32_t high = t->partition_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->top_heads[middle] < head)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->partition_count || t->top_heads[low] != head)
        return low;
    return vv_block_search(&t->top, t->order, key, bound);
}

static int verify_index(const struct vv_table *t, const struct vv_partition *p, vv_slice content)
{
    int rc = vv_table_verify_content(t, content, VV_ROLE_INDEX);
    if (rc != VV_OK)
        return rc;
    if (vv_get_u16(content.data + VV_BLOCK_COUNT) != p->blocks) {
        (void)vv_table_damaged(t, p->index, "has another count than the top index says");
        return VV_CORRUPT;
    }
    return VV_OK;
}

/* The content of a partition's block in the mapping. Those are never compressed. */
static int map_content(const struct vv_table *t, struct vv_handle at, enum vv_role role,
                       vv_slice *out)
{
    struct vv_stored stored;
    int rc = vv_table_check_handle(t, at);
    if (rc != VV_OK)
        return rc;
    if ((rc = vv_stored_open(t, t->map + at.offset, at, role, &stored)) != VV_OK)
        return rc;
    if (stored.codec != VV_CODEC_NONE) {
        (void)vv_table_damaged(t, at, "is compressed");
        return VV_CORRUPT;
    }
    *out = stored.content;
    return VV_OK;
}

static bool claim(_Atomic(uint32_t) *state)
{
    uint32_t unknown = VV_PARTITION_UNKNOWN;
    return atomic_compare_exchange_strong_explicit(state, &unknown, VV_PARTITION_BUSY,
                                                   memory_order_relaxed, memory_order_relaxed);
}

static int map_index(struct vv_table *t, struct vv_partition *p, struct vv_block_view *copy,
                     const struct vv_block_view **view)
{
    vv_slice content;
    int rc = map_content(t, p->index, VV_ROLE_INDEX, &content);
    if (rc != VV_OK)
        return rc;
    if ((rc = verify_index(t, p, content)) < 0)
        return rc;
    vv_block_decode(content.data, copy);
    *view = copy;
    if (claim(&p->index_state)) {
        p->view = *copy;
        atomic_store_explicit(&p->index_state, VV_PARTITION_READY, memory_order_release);
    }
    return VV_OK;
}

/* A block through the cache. What the cache has was verified when it came in. */
static int cached(struct vv_table *t, struct vv_handle at, enum vv_role role,
                  enum vv_cache_class class, struct vv_block **out)
{
    if (t->cache != NULL && (*out = vv_cache_get(t->cache, t->number, at.offset)) != NULL)
        return VV_OK;
    int rc = vv_table_read_block(t, at, role, out);
    if (rc != VV_OK)
        return rc;
    if (t->cache != NULL)
        vv_cache_add(t->cache, *out, class);
    return VV_OK;
}

int vv_table_open_index(struct vv_table *t, uint32_t partition, struct vv_block **held,
                        struct vv_block_view *copy, const struct vv_block_view **view)
{
    struct vv_partition *p = &t->partitions[partition];
    *held = NULL;
    if (t->map != NULL) {
        /* Acquire: pairs with the release that published the view. */
        if (atomic_load_explicit(&p->index_state, memory_order_acquire) == VV_PARTITION_READY) {
            *view = &p->view;
            return VV_OK;
        }
        return map_index(t, p, copy, view);
    }
    struct vv_block *block = NULL;
    int rc = cached(t, p->index, VV_ROLE_INDEX, VV_CACHE_INDEX, &block);
    if (rc != VV_OK)
        return rc;
    if (vv_get_u16(block->data + VV_BLOCK_COUNT) != p->blocks) {
        vv_block_unref(block);
        (void)vv_table_damaged(t, p->index, "has another count than the top index says");
        return VV_CORRUPT;
    }
    vv_block_decode(block->data, copy);
    *view = copy;
    *held = block;
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ data blocks */

/* The first use of a block since the table was opened. VV_NOTFOUND when the index is wrong about its
 * being raw: as a block, it may still be right. */
static int verify_mapped(struct vv_table *t, uint32_t number, struct vv_handle at)
{
    struct vv_stored stored;
    int rc = vv_stored_open(t, t->map + at.offset, at, VV_ROLE_DATA, &stored);
    if (rc != VV_OK)
        return rc;
    if (stored.codec != VV_CODEC_NONE)
        return VV_NOTFOUND;
    if ((rc = vv_table_verify_content(t, stored.content, VV_ROLE_DATA)) < 0)
        return rc;
    /* Relaxed: the bytes were there before the table was opened; nothing else is published. */
    (void)atomic_fetch_or_explicit(&t->verified[number / 64], (uint64_t)1 << (number % 64),
                                   memory_order_relaxed);
    return VV_OK;
}

/* In a mapped table: the content of a data block that is stored raw, without moving it. */
static int map_data(struct vv_table *t, uint32_t number, struct vv_handle at,
                    const uint8_t **content)
{
    uint64_t bits = atomic_load_explicit(&t->verified[number / 64], memory_order_relaxed);
    if (VV_UNLIKELY((bits >> (number % 64) & 1) == 0)) {
        int rc = vv_table_check_handle(t, at);
        if (rc < 0)
            return rc;
        if ((rc = verify_mapped(t, number, at)) != VV_OK)
            return rc;
    }
    *content = t->map + at.offset;
    return VV_OK;
}

int vv_table_open_data(struct vv_table *t, uint32_t partition, const struct vv_block_view *index,
                       uint32_t slot, struct vv_open_block *out)
{
    struct vv_index_entry entry = vv_index_entry_of(index, slot);
    const uint8_t *content = NULL;
    struct vv_block *block = NULL;
    int rc = VV_NOTFOUND;
    if (t->map != NULL && (entry.flags & VV_INDEX_RAW) != 0) {
        uint32_t number = t->partitions[partition].blocks_before + slot;
        rc = map_data(t, number, entry.at, &content);
    }
    if (rc == VV_NOTFOUND) {
        rc = cached(t, entry.at, VV_ROLE_DATA, VV_CACHE_DATA, &block);
        if (rc == VV_OK)
            content = block->data;
    }
    if (rc != VV_OK)
        return rc;
    vv_table_decode_data(t, content, &out->view);
    out->held = block;
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ filters */

static int map_filter(struct vv_table *t, struct vv_partition *p, struct vv_filter *out)
{
    vv_slice content = VV_SLICE_EMPTY;
    int rc = map_content(t, p->filter, VV_ROLE_FILTER, &content);
    if (rc == VV_OK)
        rc = vv_filter_decode(content, out);
    if (claim(&p->filter_state)) {
        if (rc == VV_OK)
            p->filter_view = *out;
        atomic_store_explicit(&p->filter_state,
                              rc == VV_OK ? VV_PARTITION_READY : VV_PARTITION_BROKEN,
                              memory_order_release);
    }
    return rc < 0 ? VV_NOTFOUND : VV_OK;
}

int vv_table_open_filter(struct vv_table *t, uint32_t partition, struct vv_block **held,
                         struct vv_filter *out)
{
    struct vv_partition *p = &t->partitions[partition];
    *held = NULL;
    if (p->filter.size == 0)
        return VV_NOTFOUND;
    if (t->map != NULL) {
        uint32_t state = atomic_load_explicit(&p->filter_state, memory_order_acquire);
        if (state == VV_PARTITION_BROKEN)
            return VV_NOTFOUND;
        if (state != VV_PARTITION_READY)
            return map_filter(t, p, out);
        *out = p->filter_view;
        return VV_OK;
    }
    /* A filter that cannot be read costs a lookup, not an answer. */
    struct vv_block *block = NULL;
    if (cached(t, p->filter, VV_ROLE_FILTER, VV_CACHE_INDEX, &block) < 0)
        return VV_NOTFOUND;
    if (vv_filter_decode((vv_slice){block->data, block->size_bytes}, out) < 0) {
        vv_block_unref(block);
        return VV_NOTFOUND;
    }
    *held = block;
    return VV_OK;
}

bool vv_table_may_hold(struct vv_table *t, vv_slice key, uint64_t hash)
{
    uint32_t partition = vv_table_partition_of(t, key, VV_BOUND_FIRST);
    if (partition == t->partition_count)
        return false;
    struct vv_partition *p = &t->partitions[partition];
    if (t->map != NULL &&
        atomic_load_explicit(&p->filter_state, memory_order_acquire) == VV_PARTITION_READY)
        return vv_filter_may_hold(&p->filter_view, hash);
    struct vv_block *held;
    struct vv_filter filter;
    if (vv_table_open_filter(t, partition, &held, &filter) != VV_OK)
        return true;
    bool answer = vv_filter_may_hold(&filter, hash);
    vv_block_unref(held);
    return answer;
}

static void prefetch_partition(struct vv_table *t, uint32_t partition, uint64_t hash)
{
    if (t->map == NULL || partition >= t->partition_count)
        return;
    struct vv_partition *p = &t->partitions[partition];
    if (atomic_load_explicit(&p->filter_state, memory_order_acquire) == VV_PARTITION_READY)
        vv_filter_prefetch(&p->filter_view, hash);
}

void vv_table_prefetch(struct vv_table *t, uint64_t hash)
{
    /* Without the key it is only known where to look if there is only one place. */
    if (t->partition_count == 1)
        prefetch_partition(t, 0, hash);
}

void vv_table_prefetch_key(struct vv_table *t, vv_slice key, uint64_t hash)
{
    if (t->map != NULL)
        prefetch_partition(t, vv_table_partition_of(t, key, VV_BOUND_FIRST), hash);
}

/* ------------------------------------------------------------------------------------ get */

void vv_table_hit_release(struct vv_table_hit *hit)
{
    vv_block_unref(hit->block);
    vv_table_unref(hit->table);
    hit->block = NULL;
    hit->table = NULL;
}

/* Takes over the reference in `data`. */
static void fill_hit(struct vv_table *t, const struct vv_open_block *data, uint32_t slot,
                     struct vv_table_hit *out)
{
    out->value = vv_block_value(&data->view, slot);
    out->seq = vv_block_seq(&data->view, slot);
    out->kind = vv_block_kind(&data->view, slot);
    out->block = data->held;
    out->table = NULL;
    if (data->held == NULL) {
        vv_table_ref(t);
        out->table = t;
    }
}

int vv_table_get(struct vv_table *t, vv_slice key, uint64_t hash, vv_seq seq,
                 struct vv_table_hit *out)
{
    /* Sequences above the last mean "the newest". */
    uint64_t bound = seq < VV_SEQ_MAX ? seq + 1 : VV_SEQ_MAX + 1;
    uint32_t partition = vv_table_partition_of(t, key, bound);
    if (partition == t->partition_count)
        return VV_NOTFOUND;
    struct vv_block *index_held;
    struct vv_block_view copy;
    const struct vv_block_view *index;
    int rc = vv_table_open_index(t, partition, &index_held, &copy, &index);
    if (rc != VV_OK)
        return rc;
    uint32_t block_slot = vv_block_search(index, t->order, key, bound);
    struct vv_open_block data;
    rc = VV_NOTFOUND;
    if (block_slot < index->count)
        rc = vv_table_open_data(t, partition, index, block_slot, &data);
    vv_block_unref(index_held);
    if (rc != VV_OK)
        return rc;
    uint32_t slot = 0;
    rc = vv_block_find(&data.view, key, hash, bound - 1, &slot);
    if (rc == VV_OK)
        fill_hit(t, &data, slot, out);
    else
        vv_block_unref(data.held);
    return rc;
}

/* ------------------------------------------------------------------------------------ sizes */

/* How far into the data block in that slot the entries below `key` reach. */
static int offset_in_block(struct vv_table *t, uint32_t partition,
                           const struct vv_block_view *index, uint32_t slot, vv_slice key,
                           uint64_t *out)
{
    struct vv_open_block data;
    int rc = vv_table_open_data(t, partition, index, slot, &data);
    if (rc != VV_OK)
        return rc;
    uint64_t below = vv_block_search(&data.view, t->order, key, VV_BOUND_FIRST);
    *out = vv_index_entry_of(index, slot).at.size * below / data.view.count;
    vv_block_unref(data.held);
    return VV_OK;
}

/* Where the entries below `key` end. */
static int offset_of(struct vv_table *t, vv_slice key, uint64_t *out)
{
    uint32_t partition = vv_table_partition_of(t, key, VV_BOUND_FIRST);
    if (partition == t->partition_count) {
        *out = t->blocks_end;
        return VV_OK;
    }
    struct vv_block *held;
    struct vv_block_view copy;
    const struct vv_block_view *index;
    int rc = vv_table_open_index(t, partition, &held, &copy, &index);
    if (rc != VV_OK)
        return rc;
    uint32_t slot = vv_block_search(index, t->order, key, VV_BOUND_FIRST);
    uint64_t offset = t->partitions[partition].index.offset;
    uint64_t within = 0;
    if (slot < index->count) {
        offset = vv_index_entry_of(index, slot).at.offset;
        rc = offset_in_block(t, partition, index, slot, key, &within);
    }
    vv_block_unref(held);
    if (rc == VV_OK)
        *out = offset < t->blocks_end - within ? offset + within : t->blocks_end;
    return rc;
}

int vv_table_approximate_bytes(struct vv_table *t, vv_slice from, vv_slice to, uint64_t *out)
{
    uint64_t begin = 0;
    uint64_t end = 0;
    int rc = offset_of(t, from, &begin);
    if (rc != VV_OK)
        return rc;
    if ((rc = offset_of(t, to, &end)) < 0)
        return rc;
    *out = end > begin ? end - begin : 0;
    return VV_OK;
}
