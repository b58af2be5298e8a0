/*
 * How much a range of keys takes up, without reading what lies between its ends.
 *
 *      table that the range covers     its size
 *      table that it cuts              the bytes between two places in it
 *      either                          and as much of its references into the value log
 *      memtable                        its bytes, by the share of its tree that lies in the range
 */
#include "lsm/tree.h"

/* Where in the table's file the keys below `key` end. */
static int bytes_below(struct vv_table *t, const struct vv_table_meta *meta, vv_slice key,
                       uint64_t *out)
{
    return vv_table_approximate_bytes(t, vv_table_smallest(meta), key, out);
}

static int cut_bytes(struct vv_table_meta *meta, vv_slice from, vv_slice to, uint64_t *out)
{
    struct vv_table *table;
    uint64_t begin = 0;
    uint64_t end = meta->facts.size_bytes;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    if (from.data != NULL)
        rc = bytes_below(table, meta, from, &begin);
    if (rc == VV_OK && to.data != NULL)
        rc = bytes_below(table, meta, to, &end);
    vv_table_unref(table);
    *out = end > begin ? end - begin : 0;
    return rc;
}

/* What the table refers to in the value log, as far as `part` of its `whole` bytes do. */
static uint64_t referred_bytes(const struct vv_table_facts *facts, uint64_t part, uint64_t whole)
{
    double bytes = 0;
    for (size_t i = 0; i < facts->ref_count; i++)
        bytes += (double)facts->refs[i].bytes;
    return whole > 0 ? (uint64_t)(bytes * (double)part / (double)whole) : 0;
}

static int table_bytes(const struct vv_order *order, struct vv_table_meta *meta, vv_slice from,
                       vv_slice to, uint64_t *sum)
{
    uint64_t whole = meta->facts.size_bytes;
    uint64_t part = whole;
    int rc = VV_OK;
    /* An end that lies outside the table cuts nothing. */
    if (from.data != NULL && vv_order_cmp(order, from, vv_table_smallest(meta)) <= 0)
        from = VV_SLICE_EMPTY;
    if (to.data != NULL && vv_order_cmp(order, to, vv_table_largest(meta)) > 0)
        to = VV_SLICE_EMPTY;
    if (from.data != NULL || to.data != NULL)
        rc = cut_bytes(meta, from, to, &part);
    *sum += part + referred_bytes(&meta->facts, part, whole);
    return rc;
}

static int version_bytes(const struct vv_order *order, const struct vv_version *version,
                         vv_slice from, vv_slice to, uint64_t *sum)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < version->levels[0].count; i++) {
        struct vv_table_meta *meta = version->levels[0].tables[i];
        bool apart = (from.data != NULL && vv_order_cmp(order, vv_table_largest(meta), from) < 0) ||
                     (to.data != NULL && vv_order_cmp(order, vv_table_smallest(meta), to) >= 0);
        if (!apart)
            rc = table_bytes(order, meta, from, to, sum);
    }
    for (int level = 1; rc == VV_OK && level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        struct vv_run_range range = vv_run_overlap(order, run, from, to);
        for (size_t i = 0; rc == VV_OK && i < range.count; i++)
            rc = table_bytes(order, run->tables[range.first + i], from, to, sum);
    }
    return rc;
}

static uint64_t memtable_bytes(const struct vv_memtable *m, vv_slice from, vv_slice to)
{
    uint64_t begin = from.data != NULL ? vv_memtable_below(m, from) : 0;
    uint64_t end = to.data != NULL ? vv_memtable_below(m, to) : vv_memtable_raw_bytes(m);
    return end > begin ? end - begin : 0;
}

int vv_lsm_range_bytes(struct vv_engine *e, vv_slice from, vv_slice to, uint64_t *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_view *view = vv_lsm_view(lsm);
    uint64_t sum = 0;
    int rc = VV_OK;
    if (from.data == NULL || to.data == NULL || vv_order_cmp(vv_lsm_order(lsm), from, to) < 0) {
        rc = version_bytes(vv_lsm_order(lsm), view->version, from, to, &sum);
        sum += memtable_bytes(view->active, from, to);
        for (size_t i = 0; i < view->frozen_count; i++)
            sum += memtable_bytes(view->frozen[i], from, to);
    }
    vv_view_unref(view);
    if (rc == VV_OK)
        *out = sum;
    return rc;
}
