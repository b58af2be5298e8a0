/*
 * Proves a table: walks every byte from the first block to the footer in the order in which the
 * writer laid them, and compares what is told twice.
 *
 * Nothing comes from the cache: what is checked is the file.
 */
#include "sst/table_internal.h"

#include "kv/expiry.h"
#include "kv/ref.h"

#include <stdlib.h>

struct check {
    struct vv_table *table;
    uint64_t at;            /* all bytes before were checked */
    struct vv_buf last_key; /* of the entry before */
    vv_seq last_seq;
    struct vv_table_facts seen;
    struct vv_buf refs;   /* file << 32 | offset of each reference */
    uint64_t value_bytes; /* of values, those in the value log at full size */
    struct vv_buf joined;
};

static int wrong(struct check *c, uint64_t offset, const char *what)
{
    return vv_table_blame(c->table, vv_fail(VV_CORRUPT, "the block at offset %llu: %s",
                                            (unsigned long long)offset, what));
}

/* The bytes between the last block and this one are zeros, and fewer than its alignment. */
static int check_gap(struct check *c, uint64_t offset, size_t align)
{
    uint8_t gap[VV_FILTER_ALIGN];
    if (offset < c->at || offset - c->at >= align || offset % align != 0)
        return wrong(c, offset, "it does not follow the block before it");
    size_t size = (size_t)(offset - c->at);
    int rc = vv_file_read_whole(c->table->file, c->at, gap, size);
    if (rc < 0)
        return vv_table_blame(c->table, rc);
    for (size_t i = 0; i < size; i++)
        if (gap[i] != 0)
            return wrong(c, offset, "the padding before it is not zero");
    return VV_OK;
}

static int read_next(struct check *c, struct vv_handle at, enum vv_role role, size_t align,
                     struct vv_block **out)
{
    int rc = check_gap(c, at.offset, align);
    if (rc < 0)
        return rc;
    if ((rc = vv_table_read_block(c->table, at, role, out)) < 0)
        return rc;
    c->at = at.offset + at.size;
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ entries */

static int check_ref(struct check *c, uint64_t offset, const struct vv_entry *entry)
{
    struct vv_ref ref;
    if (!vv_ref_decode(vv_expiry_strip(entry->kind, entry->value), &ref))
        return wrong(c, offset, "a value reference is malformed");
    c->value_bytes += ref.size_bytes;
    uint64_t place = (uint64_t)ref.file << 32 | ref.offset_units;
    return vv_buf_append(&c->refs, &place, sizeof place);
}

static int check_entry(struct check *c, uint64_t offset, const struct vv_entry *entry,
                       const struct vv_filter *filter)
{
    struct vv_table_facts *f = &c->seen;
    int rc;
    if (f->entries == 0)
        rc = vv_buf_assign(&f->smallest, entry->key);
    else if (vv_order_cmp_entry(c->table->order, vv_buf_slice(&c->last_key), c->last_seq,
                                entry->key, entry->seq) >= 0)
        rc = wrong(c, offset, "its entries are not in order");
    else
        rc = VV_OK;
    if (rc < 0)
        return rc;
    if (filter != NULL && !vv_filter_may_hold(filter, vv_hash(entry->key)))
        return wrong(c, offset, "the filter denies one of its keys");
    if (vv_kind_is_ref(entry->kind) && (rc = check_ref(c, offset, entry)) < 0)
        return rc;
    f->entries++;
    f->tombstones += entry->kind == VV_KIND_DELETE;
    f->raw_bytes += entry->key.size + (vv_kind_is_ref(entry->kind) ? 0 : entry->value.size);
    f->expiring += vv_kind_expires(entry->kind);
    f->min_seq = entry->seq < f->min_seq ? entry->seq : f->min_seq;
    f->max_seq = entry->seq > f->max_seq ? entry->seq : f->max_seq;
    c->last_seq = entry->seq;
    return vv_buf_assign(&c->last_key, entry->key);
}

static int check_entries(struct check *c, const struct vv_block_view *v, uint64_t offset,
                         const struct vv_filter *filter)
{
    vv_buf_clear(&c->joined);
    int rc = vv_buf_reserve(&c->joined, vv_block_key_room(v));
    if (rc < 0)
        return rc;
    memcpy(c->joined.data, v->prefix, v->prefix_size);
    for (uint32_t i = 0; i < v->count && rc == VV_OK; i++) {
        struct vv_entry entry;
        vv_block_entry(v, i, c->joined.data, &entry);
        rc = check_entry(c, offset, &entry, filter);
    }
    return rc;
}

/* What the index says of the block against what the block says. */
static int check_index_entry(struct check *c, const struct vv_index_entry *entry,
                             const struct vv_block_view *v)
{
    uint32_t tombstones = 0;
    bool is_all_put = true;
    for (uint32_t i = 0; i < v->count; i++) {
        enum vv_kind kind = vv_block_kind(v, i);
        tombstones += kind == VV_KIND_DELETE;
        is_all_put = is_all_put && kind == VV_KIND_PUT;
    }
    if (entry->entries != v->count || entry->tombstones != tombstones ||
        ((entry->flags & VV_INDEX_ALL_PUT) != 0) != is_all_put ||
        (entry->flags & ~(uint32_t)VV_INDEX_FLAGS_ALL) != 0)
        return wrong(c, entry->at.offset, "the index counts it otherwise");
    return VV_OK;
}

/* What all entries of a block must be behind: the separator of the block before. */
struct fence {
    const struct vv_buf *key; /* NULL: there is none before */
    uint64_t bound;
};

static int check_data(struct check *c, const struct vv_index_entry *entry,
                      const struct vv_filter *filter, const struct fence *fence)
{
    struct vv_block *block = NULL;
    struct vv_block_view v;
    int rc = read_next(c, entry->at, VV_ROLE_DATA, VV_BLOCK_ALIGN, &block);
    if (rc < 0)
        return rc;
    vv_table_decode_data(c->table, block->data, &v);
    bool is_raw = block->size_bytes + VV_TRAILER_SIZE == entry->at.size;
    if ((rc = vv_block_verify_order(&v, c->table->order)) < 0)
        rc = vv_table_blame(c->table, rc);
    else if ((entry->flags & VV_INDEX_RAW) != 0 && !is_raw)
        rc = wrong(c, entry->at.offset, "the index says it is stored raw");
    else if (fence->key != NULL &&
             vv_block_search(&v, c->table->order, vv_buf_slice(fence->key), fence->bound) != 0)
        rc = wrong(c, entry->at.offset, "it begins before the separator of the block before it");
    else if ((rc = check_index_entry(c, entry, &v)) == VV_OK)
        rc = check_entries(c, &v, entry->at.offset, filter);
    vv_block_unref(block);
    return rc;
}

/* ------------------------------------------------------------------------------------ partitions */

/* After the block: the separator is not before its last key. */
static int check_separator(struct check *c, const struct vv_block_view *index, uint32_t slot,
                           uint64_t offset, struct vv_buf *separator)
{
    int rc = vv_buf_assign(separator, (vv_slice){index->prefix, index->prefix_size});
    if (rc < 0)
        return rc;
    if ((rc = vv_buf_append_slice(separator, vv_block_suffix(index, slot))) < 0)
        return rc;
    vv_seq seq = vv_block_seq(index, slot);
    int order = vv_order_cmp(c->table->order, vv_buf_slice(&c->last_key), vv_buf_slice(separator));
    if (order > 0 || (seq != 0 && (order != 0 || seq != c->last_seq)))
        return wrong(c, offset, "its separator is before its last key");
    return VV_OK;
}

static int check_blocks(struct check *c, const struct vv_block_view *index,
                        const struct vv_filter *filter, struct vv_buf *separator)
{
    int rc = vv_block_verify_order(index, c->table->order);
    if (rc < 0)
        return vv_table_blame(c->table, rc);
    for (uint32_t slot = 0; slot < index->count; slot++) {
        struct vv_index_entry entry = vv_index_entry_of(index, slot);
        vv_seq seq = slot > 0 ? vv_block_seq(index, slot - 1) : 0;
        struct fence fence = {c->seen.entries == 0 ? NULL : separator,
                              seq == 0 ? VV_BOUND_PAST : seq};
        if ((rc = check_data(c, &entry, filter, &fence)) < 0)
            return rc;
        if ((rc = check_separator(c, index, slot, entry.at.offset, separator)) < 0)
            return rc;
    }
    return VV_OK;
}

/* The top index's key is the last separator of the partition. */
static int check_top_key(struct check *c, uint32_t partition, vv_slice separator)
{
    const struct vv_table *t = c->table;
    vv_slice prefix = {t->top.prefix, t->top.prefix_size};
    vv_slice suffix = vv_block_suffix(&t->top, partition);
    if (!vv_slice_starts(separator, prefix) ||
        !vv_slice_equal(vv_slice_skip(separator, prefix.size), suffix))
        return wrong(c, t->top_at.offset, "a partition ends with another key");
    return VV_OK;
}

static int check_partition(struct check *c, uint32_t partition, struct vv_buf *separator)
{
    struct vv_partition *p = &c->table->partitions[partition];
    struct vv_block *index_block = NULL;
    struct vv_block *filter_block = NULL;
    struct vv_block *again = NULL;
    struct vv_block_view index;
    struct vv_filter filter = {0};
    uint64_t entries_before = c->seen.entries;
    int rc = vv_table_read_block(c->table, p->index, VV_ROLE_INDEX, &index_block);
    if (rc < 0)
        goto out;
    vv_block_decode(index_block->data, &index);
    if (p->filter.size != 0) {
        rc = vv_table_read_block(c->table, p->filter, VV_ROLE_FILTER, &filter_block);
        if (rc < 0)
            goto out;
        vv_slice content = {filter_block->data, filter_block->size_bytes};
        if ((rc = vv_filter_decode(content, &filter)) < 0)
            goto out;
    }
    if (index.count != p->blocks) {
        rc = wrong(c, p->index.offset, "the top index counts its blocks otherwise");
        goto out;
    }
    rc = check_blocks(c, &index, p->filter.size != 0 ? &filter : NULL, separator);
    if (rc < 0)
        goto out;
    if (c->seen.entries - entries_before != p->entries) {
        rc = wrong(c, p->index.offset, "the top index counts its entries otherwise");
        goto out;
    }
    if ((rc = read_next(c, p->index, VV_ROLE_INDEX, VV_BLOCK_ALIGN, &again)) < 0)
        goto out;
    vv_block_unref(again);
    again = NULL;
    if (p->filter.size != 0 &&
        (rc = read_next(c, p->filter, VV_ROLE_FILTER, VV_FILTER_ALIGN, &again)) < 0)
        goto out;
    rc = check_top_key(c, partition, vv_buf_slice(separator));
out:
    vv_block_unref(again);
    vv_block_unref(filter_block);
    vv_block_unref(index_block);
    return rc;
}

/* ------------------------------------------------------------------------------------ the end */

static int cmp_places(const void *a, const void *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* The references found in the entries against those that the reference block lists. */
static int compare_refs(struct check *c, const struct vv_block *block)
{
    uint64_t *places = (uint64_t *)(void *)c->refs.data;
    size_t count = c->refs.size / sizeof *places;
    size_t at = 0;
    uint64_t file_before = 0;
    struct vv_ref_group group;
    int rc;
    if (count > 0)
        qsort(places, count, sizeof *places, cmp_places);
    struct vv_reader r = vv_reader_of((vv_slice){block->data, block->size_bytes});
    while ((rc = vv_ref_group_next(&r, &group)) == VV_OK) {
        uint64_t offset = 0;
        if (at > 0 && group.sum.file <= file_before)
            return wrong(c, block->offset, "its value files are not in order");
        file_before = group.sum.file;
        for (uint64_t i = 0; i < group.sum.count; i++) {
            offset += vv_read_varint(&group.offsets);
            if (at == count || places[at++] != (group.sum.file << 32 | offset))
                return wrong(c, block->offset, "it lists other references than there are");
        }
    }
    if (rc < 0)
        return vv_table_blame(c->table, rc);
    return at == count ? VV_OK
                       : wrong(c, block->offset, "it lists fewer references than there are");
}

static int check_refs(struct check *c)
{
    struct vv_handle at = c->table->references_at;
    struct vv_block *block = NULL;
    if (at.size == 0)
        return c->refs.size == 0
                   ? VV_OK
                   : wrong(c, at.offset, "there are references, and no block lists them");
    int rc = read_next(c, at, VV_ROLE_REFERENCES, VV_BLOCK_ALIGN, &block);
    if (rc == VV_OK)
        rc = compare_refs(c, block);
    vv_block_unref(block);
    return rc;
}

/* The block was read and verified when the table was opened; what is left is where it lies. */
static int check_ranges(struct check *c)
{
    struct vv_block *block = NULL;
    if (c->table->ranges_at.size == 0)
        return VV_OK;
    int rc = read_next(c, c->table->ranges_at, VV_ROLE_RANGES, VV_BLOCK_ALIGN, &block);
    vv_block_unref(block);
    return rc;
}

/* The bounds of the entries, and how the ranges widen them. */
struct bounds {
    vv_slice smallest, largest;
    bool open_end;
};

static void widen(struct check *c, struct bounds *bounds)
{
    const struct vv_order *order = c->table->order;
    size_t count;
    const struct vv_range *list = vv_table_range_list(c->table, &count);
    bool any = c->seen.entries > 0;
    for (size_t i = 0; i < count; i++) {
        if (!any || vv_order_cmp(order, list[i].from, bounds->smallest) < 0)
            bounds->smallest = list[i].from;
        if (!any || vv_order_cmp(order, list[i].to, bounds->largest) > 0) {
            bounds->largest = list[i].to;
            bounds->open_end = true;
        }
        any = true;
        c->seen.min_seq = list[i].seq < c->seen.min_seq ? list[i].seq : c->seen.min_seq;
        c->seen.max_seq = list[i].seq > c->seen.max_seq ? list[i].seq : c->seen.max_seq;
    }
}

static int check_facts(struct check *c)
{
    const struct vv_table_facts *said = &c->table->facts;
    const struct vv_table_facts *seen = &c->seen;
    uint64_t offset = c->table->properties_at.offset;
    struct bounds bounds = {vv_buf_slice(&seen->smallest), vv_buf_slice(&c->last_key), false};
    widen(c, &bounds);
    if (said->entries != seen->entries || said->tombstones != seen->tombstones)
        return wrong(c, offset, "the properties count other entries");
    if (said->expiring != seen->expiring)
        return wrong(c, offset, "the properties count other entries that expire");
    if (said->min_seq != seen->min_seq || said->max_seq != seen->max_seq)
        return wrong(c, offset, "the properties name other sequences");
    if (said->raw_bytes != seen->raw_bytes + c->value_bytes)
        return wrong(c, offset, "the properties count other bytes");
    if (!vv_slice_equal(vv_buf_slice(&said->smallest), bounds.smallest) ||
        !vv_slice_equal(vv_buf_slice(&said->largest), bounds.largest) ||
        said->open_end != bounds.open_end)
        return wrong(c, offset, "the properties name other keys");
    return VV_OK;
}

/* Properties, top index and the bytes up to the footer. */
static int check_end(struct check *c)
{
    struct vv_table *t = c->table;
    struct vv_block *block = NULL;
    int rc = check_refs(c);
    if (rc < 0)
        return rc;
    if ((rc = check_ranges(c)) < 0)
        return rc;
    if ((rc = read_next(c, t->properties_at, VV_ROLE_PROPERTIES, VV_BLOCK_ALIGN, &block)) < 0)
        return rc;
    vv_block_unref(block);
    block = NULL;
    if (t->top_at.size > 0 &&
        (rc = read_next(c, t->top_at, VV_ROLE_TOP, VV_BLOCK_ALIGN, &block)) < 0)
        return rc;
    vv_block_unref(block);
    if ((rc = check_gap(c, t->blocks_end, VV_BLOCK_ALIGN)) < 0)
        return rc;
    return check_facts(c);
}

int vv_table_check(struct vv_table *t)
{
    struct check c = {.table = t, .seen = {.min_seq = VV_SEQ_MAX}};
    struct vv_buf separator = VV_BUF_INIT;
    int rc = t->top_block != NULL ? vv_block_verify_order(&t->top, t->order) : VV_OK;
    if (rc < 0)
        rc = vv_table_blame(t, rc);
    for (uint32_t i = 0; i < t->partition_count && rc == VV_OK; i++)
        rc = check_partition(&c, i, &separator);
    if (rc == VV_OK)
        rc = check_end(&c);
    vv_buf_deinit(&separator);
    vv_buf_deinit(&c.last_key);
    vv_buf_deinit(&c.refs);
    vv_buf_deinit(&c.joined);
    vv_table_facts_deinit(&c.seen);
    return rc;
}
