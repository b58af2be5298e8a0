/*
 * Point lookups and iterators over a view.
 *
 *      view ─► active memtable ─► frozen, newest first ─► level-0 runs, newest first ─► levels 1…6
 *
 * The first version found at or below the sequence is the answer, because every place holds newer
 * versions of a key than the places after it. The same holds for range tombstones: one that covers
 * the key hides its older versions in the same place and all of those in the places after it.
 */
#include "lsm/tree.h"

#include "base/hash.h"
#include "kv/expiry.h"
#include "lsm/merge.h"
#include "lsm/veil.h"

/* Where a lookup found its version. Holds what keeps the bytes in place. */
struct found {
    enum vv_kind kind;
    vv_seq seq;
    vv_slice value;
    struct vv_memtable *memtable; /* a reference, or */
    struct vv_table_hit hit;
};

/* The visible sequence that goes with the view. If the view did not change while the sequence was
 * read, then all that is visible at it is in the view; and nothing it needs was dropped, because
 * merges drop only what is hidden at the sequence that was visible when they began, which came
 * before the version they made. */
static struct vv_view *view_and_seq(struct vv_lsm *lsm, vv_seq at, vv_seq *seq)
{
    struct vv_view *view = atomic_load(&lsm->view);
    *seq = at;
    if (at != VV_SEQ_NOW)
        return view;
    for (;;) {
        *seq = atomic_load(lsm->options.host->visible);
        struct vv_view *again = atomic_load(&lsm->view);
        if (VV_LIKELY(again == view))
            return view;
        view = again;
    }
}

static int get_from_memtable(struct vv_memtable *memtable, vv_slice key, uint64_t hash, vv_seq seq,
                             struct found *out)
{
    struct vv_entry entry;
    int rc = vv_memtable_get(memtable, key, hash, seq, &entry);
    if (rc != VV_OK)
        return rc;
    vv_memtable_ref(memtable);
    *out = (struct found){
        .kind = entry.kind, .seq = entry.seq, .value = entry.value, .memtable = memtable};
    return VV_OK;
}

static int get_from_table(struct vv_lsm *lsm, struct vv_table_meta *meta, vv_slice key,
                          uint64_t hash, vv_seq seq, struct found *out)
{
    struct vv_table *table;
    if (vv_order_cmp(vv_lsm_order(lsm), key, vv_table_smallest(meta)) < 0)
        return VV_NOTFOUND;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    rc = VV_NOTFOUND;
    if (vv_table_may_hold(table, key, hash)) {
        vv_count(&lsm->counters.table_reads, 1);
        rc = vv_table_get(table, key, hash, seq, &out->hit);
    } else {
        vv_count(&lsm->counters.filter_skips, 1);
    }
    vv_table_unref(table);
    if (rc == VV_OK) {
        out->kind = out->hit.kind;
        out->seq = out->hit.seq;
        out->value = out->hit.value;
        out->memtable = NULL;
    }
    return rc;
}

static int get_from_run(struct vv_lsm *lsm, const struct vv_run *run, vv_slice key, uint64_t hash,
                        vv_seq seq, struct found *out)
{
    if (run->count == 0)
        return VV_NOTFOUND;
    size_t index = vv_run_find(vv_lsm_order(lsm), run, key);
    if (index == run->count)
        return VV_NOTFOUND;
    return get_from_table(lsm, run->tables[index], key, hash, seq, out);
}

/* Leaves nothing to release again. */
static void found_release(struct found *found)
{
    vv_memtable_unref(found->memtable);
    found->memtable = NULL;
    vv_table_hit_release(&found->hit);
}

/* What a lookup in a place has come to, given the newest tombstone there that covers the key (0: there
 * is none): VV_OK; VV_NOTFOUND to look further; VV_END, deleted. */
static int judge(struct found *found, int rc, vv_seq cover)
{
    if (rc < 0 || cover == 0 || (rc == VV_OK && found->seq > cover))
        return rc;
    if (rc == VV_OK)
        found_release(found);
    return VV_END;
}

static int find_in_memtable(struct vv_memtable *memtable, vv_slice key, uint64_t hash, vv_seq seq,
                            struct found *out)
{
    int rc = get_from_memtable(memtable, key, hash, seq, out);
    if (VV_LIKELY(!vv_memtable_has_ranges(memtable)))
        return rc;
    return judge(out, rc, vv_memtable_cover(memtable, key, seq, NULL));
}

static int find_in_run(struct vv_lsm *lsm, const struct vv_run *run, vv_slice key, uint64_t hash,
                       vv_seq seq, struct found *out)
{
    struct vv_cover cover = {0};
    int rc = get_from_run(lsm, run, key, hash, seq, out);
    if (VV_LIKELY(run->ranges == 0) || rc < 0)
        return rc;
    struct vv_place place = {.run = run};
    int cover_rc = vv_place_cover(&place, vv_lsm_order(lsm), key, seq, &cover);
    if (cover_rc < 0) {
        if (rc == VV_OK)
            found_release(out);
        return cover_rc;
    }
    return judge(out, rc, cover.seq);
}

static int find(struct vv_lsm *lsm, const struct vv_view *view, vv_slice key, vv_seq seq,
                struct found *out)
{
    uint64_t hash = vv_hash(key);
    const struct vv_version *version = view->version;
    int rc = find_in_memtable(view->active, key, hash, seq, out);
    for (size_t i = 0; rc == VV_NOTFOUND && i < view->frozen_count; i++)
        rc = find_in_memtable(view->frozen[i], key, hash, seq, out);
    for (size_t i = 0; rc == VV_NOTFOUND && i < version->l0_count; i++)
        rc = find_in_run(lsm, &version->l0[i], key, hash, seq, out);
    for (int level = 1; rc == VV_NOTFOUND && level < VV_LEVELS; level++)
        rc = find_in_run(lsm, &version->levels[level], key, hash, seq, out);
    return rc == VV_END ? VV_NOTFOUND : rc;
}

static void release_memtable(void *owner)
{
    vv_memtable_unref(owner);
}

static void release_block(void *owner)
{
    vv_block_unref(owner);
}

static void release_table(void *owner)
{
    vv_table_unref(owner);
}

/* Hands over what the lookup holds as a pin. */
static void found_pin(struct found *found, struct vv_pin *out)
{
    *out = (struct vv_pin){.value = found->value};
    if (found->memtable != NULL) {
        out->release = release_memtable;
        out->owner = found->memtable;
    } else if (found->hit.block != NULL) {
        out->release = release_block;
        out->owner = found->hit.block;
    } else {
        out->release = release_table;
        out->owner = found->hit.table;
    }
}

static int damaged_ref(vv_slice raw)
{
    return vv_fail(VV_CORRUPT, "a reference of %zu bytes leads to no value file", raw.size);
}

/* The file that a reference leads to, with a reference of its own. */
static int ref_file(const struct vv_version *version, vv_slice raw, struct vv_ref *ref,
                    struct vv_value_file **out)
{
    if (!vv_ref_decode(raw, ref))
        return damaged_ref(raw);
    *out = vv_version_value_file(version, ref->file);
    if (*out == NULL)
        return vv_fail(VV_CORRUPT, "a reference leads to value file %06u, which the store has not",
                       ref->file);
    vv_value_file_ref(*out);
    return VV_OK;
}

/* What a lookup leaves to be done after the epoch span: reading the value log. */
struct pending {
    struct vv_ref ref;
    struct vv_value_file *file;
    uint64_t expires_ms;
};

static int get_in_span(struct vv_lsm *lsm, const struct vv_view *view, vv_seq seq, vv_slice key,
                       struct vv_pin *out, struct pending *pending)
{
    struct found found = {0};
    int rc = find(lsm, view, key, seq, &found);
    if (rc != VV_OK)
        return rc;
    vv_slice value = vv_expiry_strip(found.kind, found.value);
    if (found.kind == VV_KIND_DELETE) {
        rc = VV_NOTFOUND;
    } else if (vv_kind_is_ref(found.kind)) {
        rc = ref_file(view->version, value, &pending->ref, &pending->file);
        pending->expires_ms = vv_expiry_of(found.kind, found.value);
    } else {
        found_pin(&found, out);
        out->value = value;
        out->expires_ms = vv_expiry_of(found.kind, found.value);
        out->is_operand = found.kind == VV_KIND_MERGE;
        return VV_OK;
    }
    found_release(&found);
    return rc;
}

static int read_pending(struct pending *pending, vv_slice key, struct vv_pin *out)
{
    int rc = vv_values_read(pending->file, pending->ref, key, out);
    if (rc == VV_OK)
        out->expires_ms = pending->expires_ms;
    vv_value_file_unref(pending->file);
    return rc;
}

int vv_lsm_get(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_pin *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct pending pending = {.file = NULL};
    vv_seq seq;
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    struct vv_view *view = view_and_seq(lsm, at, &seq);
    int rc = get_in_span(lsm, view, seq, key, out, &pending);
    vv_epoch_leave(lsm->epoch, slot);
    if (pending.file != NULL)
        rc = read_pending(&pending, key, out);
    return rc;
}

int vv_lsm_look(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_look *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct found found = {0};
    vv_seq seq;
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    struct vv_view *view = view_and_seq(lsm, at, &seq);
    int rc = find(lsm, view, key, seq, &found);
    if (rc == VV_OK) {
        if (found.kind == VV_KIND_DELETE)
            rc = VV_NOTFOUND;
        else
            *out = (struct vv_look){found.kind, vv_expiry_of(found.kind, found.value)};
        found_release(&found);
    }
    vv_epoch_leave(lsm->epoch, slot);
    return rc;
}

int vv_lsm_multi_get(struct vv_engine *e, vv_seq at, size_t count, const vv_slice *keys,
                     struct vv_pin *out, int *results)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    vv_seq seq;
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    struct vv_view *view = view_and_seq(lsm, at, &seq);
    vv_view_ref(view);
    vv_epoch_leave(lsm->epoch, slot);
    for (size_t i = 0; i < count; i++) {
        struct pending pending = {.file = NULL};
        out[i] = (struct vv_pin){0};
        results[i] = get_in_span(lsm, view, seq, keys[i], &out[i], &pending);
        if (pending.file != NULL)
            results[i] = read_pending(&pending, keys[i], &out[i]);
    }
    vv_view_unref(view);
    return VV_OK;
}

/* ----------------------------------------------------------------------------------- iterators */

/* A merge of all sources of a view, which it holds. */
struct view_iter {
    struct vv_iter base;
    struct vv_lsm *lsm;
    struct vv_view *view;
    struct vv_place *places; /* of the view, those with range tombstones */
    struct vv_iter *merge;
};

static int settle(struct view_iter *it, int rc)
{
    it->base.valid = rc == VV_OK && it->merge->valid;
    if (it->base.valid)
        it->base.at = it->merge->at;
    return rc;
}

static int view_iter_first(struct vv_iter *base)
{
    struct view_iter *it = (struct view_iter *)base;
    return settle(it, vv_iter_first(it->merge));
}

static int view_iter_last(struct vv_iter *base)
{
    struct view_iter *it = (struct view_iter *)base;
    return settle(it, vv_iter_last(it->merge));
}

static int view_iter_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct view_iter *it = (struct view_iter *)base;
    return settle(it, vv_iter_seek(it->merge, key, seq));
}

static int view_iter_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct view_iter *it = (struct view_iter *)base;
    return settle(it, vv_iter_seek_for_prev(it->merge, key));
}

static int view_iter_next(struct vv_iter *base)
{
    struct view_iter *it = (struct view_iter *)base;
    return settle(it, vv_iter_next(it->merge));
}

static int view_iter_prev(struct vv_iter *base)
{
    struct view_iter *it = (struct view_iter *)base;
    return settle(it, vv_iter_prev(it->merge));
}

static void view_iter_close(struct vv_iter *base)
{
    struct view_iter *it = (struct view_iter *)base;
    vv_iter_close(it->merge);
    vv_view_unref(it->view);
    vv_free(it->places);
    vv_free(it);
}

static const struct vv_iter_ops view_iter_ops = {
    .first = view_iter_first,
    .last = view_iter_last,
    .seek = view_iter_seek,
    .seek_for_prev = view_iter_seek_for_prev,
    .next = view_iter_next,
    .prev = view_iter_prev,
    .close = view_iter_close,
};

int vv_lsm_resolve(struct vv_iter *base, vv_slice raw, vv_slice key, struct vv_pin *out)
{
    struct view_iter *it = (struct view_iter *)base;
    struct vv_ref ref;
    struct vv_value_file *file = NULL;
    vv_assert(base->ops == &view_iter_ops);
    int rc = ref_file(it->view->version, raw, &ref, &file);
    if (rc < 0)
        return rc;
    vv_assert(file != NULL);
    rc = vv_values_read(file, ref, key, out);
    vv_value_file_unref(file);
    return rc;
}

/* Collects the sources of a view, newest first, each behind a veil of the tombstones that concern it. */
struct gathering {
    const struct vv_order *order;
    const struct vv_engine_iter_options *options;
    vv_seq at;
    struct vv_place *places; /* those with range tombstones; the iterator's */
    size_t place_count;
    struct vv_iter **sources;
    size_t count;
};

static int add_source(struct gathering *g, struct vv_iter *source_take, bool deletes)
{
    int rc = VV_OK;
    const struct vv_place *own = deletes ? &g->places[g->place_count - 1] : NULL;
    struct vv_veil_options veil = {g->order, g->at, g->places, g->place_count, own};
    veil.newer_count -= deletes ? 1 : 0;
    if (g->place_count > 0)
        rc = vv_veil_iter(source_take, &veil, &source_take);
    if (rc == VV_OK)
        g->sources[g->count++] = source_take;
    return rc;
}

static int add_memtable(struct gathering *g, struct vv_memtable *memtable)
{
    struct vv_iter *source;
    bool deletes = vv_memtable_has_ranges(memtable);
    if (deletes)
        g->places[g->place_count++] = (struct vv_place){.memtable = memtable};
    int rc = vv_memtable_iter(memtable, &source);
    return rc < 0 ? rc : add_source(g, source, deletes);
}

/* Of the run the part that can hold keys within the bounds. */
static int add_run(struct gathering *g, const struct vv_run *run)
{
    struct vv_iter *source;
    struct vv_run_range range = vv_run_overlap(g->order, run, g->options->lower, g->options->upper);
    bool deletes = run->ranges > 0;
    if (range.count == 0)
        return VV_OK;
    if (deletes)
        g->places[g->place_count++] = (struct vv_place){.run = run};
    int rc = vv_run_iter_range(g->order, run, range, VV_TABLE_READ_CACHED, &source);
    return rc < 0 ? rc : add_source(g, source, deletes);
}

static int add_sources(struct gathering *g, const struct vv_view *view)
{
    const struct vv_version *version = view->version;
    int rc = add_memtable(g, view->active);
    for (size_t i = 0; rc == VV_OK && i < view->frozen_count; i++)
        rc = add_memtable(g, view->frozen[i]);
    for (size_t i = 0; rc == VV_OK && i < version->l0_count; i++)
        rc = add_run(g, &version->l0[i]);
    for (int level = 1; rc == VV_OK && level < VV_LEVELS; level++)
        rc = add_run(g, &version->levels[level]);
    return rc;
}

static int open_merge(struct view_iter *it, const struct vv_engine_iter_options *options, vv_seq at)
{
    const struct vv_view *view = it->view;
    size_t most = 1 + view->frozen_count + view->version->l0_count + VV_LEVELS;
    struct gathering g = {.order = vv_lsm_order(it->lsm), .options = options, .at = at};
    g.sources = vv_alloc(most * sizeof g.sources[0]);
    g.places = it->places = vv_alloc(most * sizeof g.places[0]);
    int rc = g.sources == NULL || g.places == NULL ? VV_NOMEM : add_sources(&g, view);
    if (rc == VV_OK) {
        rc = vv_merge_iter(g.order, g.sources, g.count, &it->merge);
    } else {
        for (size_t i = 0; i < g.count; i++)
            vv_iter_close(g.sources[i]);
    }
    vv_free(g.sources);
    return rc;
}

int vv_lsm_iter(struct vv_engine *e, const struct vv_engine_iter_options *options, vv_seq *seq,
                struct vv_iter **out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct view_iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    it->base.ops = &view_iter_ops;
    it->lsm = lsm;
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    it->view = view_and_seq(lsm, options->at, seq);
    vv_view_ref(it->view);
    vv_epoch_leave(lsm->epoch, slot);
    int rc = open_merge(it, options, *seq);
    if (rc < 0) {
        vv_view_unref(it->view);
        vv_free(it->places);
        vv_free(it);
        return rc;
    }
    *out = &it->base;
    return VV_OK;
}
