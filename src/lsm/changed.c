/*
 * What was written since a moment: the newest version of a key, or of any key of a range, tells.
 *
 * Sources are those of a lookup (read.c), newest first. A table whose highest sequence is not above
 * the moment need not be opened. Somebody has a snapshot at the moment, so that merges keep what is
 * above it, tombstones too, and with its sequence. A range tombstone counts as a write to all keys that
 * it covers.
 */
#include "lsm/tree.h"

#include "base/hash.h"
#include "lsm/veil.h"

static const vv_seq NEWEST = VV_SEQ_MAX;

/* ---- one key */

/* VV_OK with the sequence of the newest version in the run, VV_NOTFOUND when it has none above. */
static int newest_in_run(const struct vv_order *order, const struct vv_run *run, vv_slice key,
                         uint64_t hash, vv_seq since, vv_seq *out)
{
    struct vv_table *table;
    struct vv_table_hit hit = {.block = NULL};
    size_t index = run->count > 0 ? vv_run_find(order, run, key) : 0;
    if (index == run->count || run->tables[index]->facts.max_seq <= since ||
        vv_order_cmp(order, key, vv_table_smallest(run->tables[index])) < 0)
        return VV_NOTFOUND;
    int rc = vv_tables_open(run->tables[index], &table);
    if (rc < 0)
        return rc;
    rc = vv_table_may_hold(table, key, hash) ? vv_table_get(table, key, hash, NEWEST, &hit)
                                             : VV_NOTFOUND;
    if (rc == VV_OK) {
        *out = hit.seq;
        vv_table_hit_release(&hit);
    }
    vv_table_unref(table);
    return rc;
}

static int newest_in_memtable(const struct vv_memtable *memtable, vv_slice key, uint64_t hash,
                              vv_seq *out)
{
    struct vv_entry entry;
    int rc = vv_memtable_get(memtable, key, hash, NEWEST, &entry);
    if (rc == VV_OK)
        *out = entry.seq;
    return rc;
}

/* The same for the place's range tombstones; `rc` and `out` are what its versions say. */
static int newest_of_both(const struct vv_place *place, const struct vv_order *order, vv_slice key,
                          int rc, vv_seq *out)
{
    struct vv_cover cover;
    if (rc < 0)
        return rc;
    int cover_rc = vv_place_cover(place, order, key, NEWEST, &cover);
    if (cover_rc < 0)
        return cover_rc;
    if (cover.seq > 0 && (rc == VV_NOTFOUND || cover.seq > *out)) {
        *out = cover.seq;
        return VV_OK;
    }
    return rc;
}

static int newest_in_place(const struct vv_place *place, const struct vv_order *order, vv_slice key,
                           uint64_t hash, vv_seq since, vv_seq *out)
{
    int rc = place->run != NULL ? newest_in_run(order, place->run, key, hash, since, out)
                                : newest_in_memtable(place->memtable, key, hash, out);
    bool deletes =
        place->run != NULL ? place->run->ranges > 0 : vv_memtable_has_ranges(place->memtable);
    return deletes ? newest_of_both(place, order, key, rc, out) : rc;
}

/* The first place that has the key has its newest version. */
static int newest_of(struct vv_lsm *lsm, const struct vv_view *view, vv_slice key, vv_seq since,
                     vv_seq *out)
{
    const struct vv_order *order = vv_lsm_order(lsm);
    const struct vv_version *version = view->version;
    uint64_t hash = vv_hash(key);
    struct vv_place place = {.memtable = view->active};
    int rc = newest_in_place(&place, order, key, hash, since, out);
    for (size_t i = 0; rc == VV_NOTFOUND && i < view->frozen_count; i++) {
        place = (struct vv_place){.memtable = view->frozen[i]};
        rc = newest_in_place(&place, order, key, hash, since, out);
    }
    for (size_t i = 0; rc == VV_NOTFOUND && i < version->l0_count; i++) {
        place = (struct vv_place){.run = &version->l0[i]};
        rc = newest_in_place(&place, order, key, hash, since, out);
    }
    for (int level = 1; rc == VV_NOTFOUND && level < VV_LEVELS; level++) {
        place = (struct vv_place){.run = &version->levels[level]};
        rc = newest_in_place(&place, order, key, hash, since, out);
    }
    return rc;
}

int vv_lsm_changed(struct vv_engine *e, vv_seq since, vv_slice key, bool *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    vv_seq newest = 0;
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    int rc = newest_of(lsm, atomic_load(&lsm->view), key, since, &newest);
    vv_epoch_leave(lsm->epoch, slot);
    if (rc < 0)
        return rc;
    *out = rc == VV_OK && newest > since;
    return VV_OK;
}

/* ---- a range */

/* Walks the source from `from` to before `to` until an entry is newer; takes the iterator. */
static int walk(const struct vv_order *order, struct vv_iter *it, vv_seq since, vv_slice from,
                vv_slice to, bool *out)
{
    int rc = from.data != NULL ? vv_iter_seek(it, from, NEWEST) : vv_iter_first(it);
    while (rc == VV_OK && it->valid && !*out) {
        if (to.data != NULL && vv_order_cmp(order, it->at.key, to) >= 0)
            break;
        *out = it->at.seq > since;
        if (!*out)
            rc = vv_iter_next(it);
    }
    vv_iter_close(it);
    return rc;
}

static int walk_memtable(const struct vv_order *order, struct vv_memtable *memtable, vv_seq since,
                         vv_slice from, vv_slice to, bool *out)
{
    struct vv_iter *it;
    *out = vv_memtable_ranges_newer(memtable, from, to, since);
    int rc = vv_memtable_iter(memtable, &it);
    return rc < 0 ? rc : walk(order, it, since, from, to, out);
}

static int walk_table(const struct vv_order *order, struct vv_table_meta *meta, vv_seq since,
                      vv_slice from, vv_slice to, bool *out)
{
    struct vv_table *table;
    struct vv_iter *it;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    *out = vv_ranges_newer(order, vv_table_ranges(table), from, to, since);
    rc = vv_table_iter(table, VV_TABLE_READ_CACHED, &it);
    vv_table_unref(table);
    return rc < 0 ? rc : walk(order, it, since, from, to, out);
}

static int walk_run(const struct vv_order *order, const struct vv_run *run, vv_seq since,
                    vv_slice from, vv_slice to, bool *out)
{
    struct vv_run_range range = vv_run_overlap(order, run, from, to);
    int rc = VV_OK;
    for (size_t i = range.first; rc == VV_OK && !*out && i < range.first + range.count; i++)
        if (run->tables[i]->facts.max_seq > since)
            rc = walk_table(order, run->tables[i], since, from, to, out);
    return rc;
}

int vv_lsm_range_changed(struct vv_engine *e, vv_seq since, vv_slice from, vv_slice to, bool *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    const struct vv_order *order = vv_lsm_order(lsm);
    bool changed = false;
    struct vv_view *view = vv_lsm_view(lsm);
    const struct vv_version *version = view->version;
    int rc = walk_memtable(order, view->active, since, from, to, &changed);
    for (size_t i = 0; rc == VV_OK && !changed && i < view->frozen_count; i++)
        rc = walk_memtable(order, view->frozen[i], since, from, to, &changed);
    for (size_t i = 0; rc == VV_OK && !changed && i < version->l0_count; i++)
        rc = walk_run(order, &version->l0[i], since, from, to, &changed);
    for (int level = 1; rc == VV_OK && !changed && level < VV_LEVELS; level++)
        rc = walk_run(order, &version->levels[level], since, from, to, &changed);
    vv_view_unref(view);
    if (rc == VV_OK)
        *out = changed;
    return rc;
}
