#include "lsm/veil.h"

#include "lsm/tables.h"

/* -------------------------------------------------------------------------------------- places */

static int table_cover(struct vv_table_meta *meta, const struct vv_order *order, vv_slice key,
                       vv_seq at, struct vv_cover *out)
{
    struct vv_cover here;
    struct vv_table *table;
    *out = (struct vv_cover){.from = vv_table_smallest(meta), .to = vv_table_largest(meta)};
    if (meta->facts.ranges == 0)
        return VV_OK;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    out->seq = vv_ranges_cover(order, vv_table_ranges(table), key, at, &here);
    vv_cover_narrow(order, out, &here);
    vv_table_unref(table); /* the meta, which the version has, keeps it open */
    return VV_OK;
}

/* All tombstones of a table lie in front of its largest key, which therefore belongs to the gap behind
 * it. In gaps there is nothing. */
static int run_cover(const struct vv_run *run, const struct vv_order *order, vv_slice key,
                     vv_seq at, struct vv_cover *out)
{
    struct vv_cover gap = {0};
    size_t index = vv_run_find(order, run, key);
    if (index < run->count && vv_order_cmp(order, key, vv_table_largest(run->tables[index])) >= 0)
        index++;
    if (index < run->count) {
        gap.to = vv_table_smallest(run->tables[index]);
        if (vv_order_cmp(order, key, gap.to) >= 0)
            return table_cover(run->tables[index], order, key, at, out);
    }
    if (index > 0)
        gap.from = vv_table_largest(run->tables[index - 1]);
    *out = gap;
    return VV_OK;
}

int vv_place_cover(const struct vv_place *place, const struct vv_order *order, vv_slice key,
                   vv_seq at, struct vv_cover *out)
{
    if (place->run != NULL)
        return run_cover(place->run, order, key, at, out);
    (void)vv_memtable_cover(place->memtable, key, at, out);
    return VV_OK;
}

/* --------------------------------------------------------------------------------------- hiding */

struct veil {
    struct vv_iter base;
    struct vv_veil_options options;
    struct vv_iter *source;
    struct vv_cover newer, own; /* around the latest key; both hold for the whole life */
    bool asked;
};

/* The cover of all newer places: of the newest that has one. */
static int ask_newer(struct veil *v, vv_slice key)
{
    const struct vv_veil_options *o = &v->options;
    struct vv_cover cover = {0};
    for (size_t i = 0; i < o->newer_count; i++) {
        struct vv_cover here;
        int rc = vv_place_cover(&o->newer[i], o->order, key, o->at, &here);
        if (rc < 0)
            return rc;
        if (here.seq > 0) {
            v->newer = here;
            return VV_OK;
        }
        vv_cover_narrow(o->order, &cover, &here);
    }
    v->newer = cover;
    return VV_OK;
}

static int ask(struct veil *v, vv_slice key)
{
    const struct vv_veil_options *o = &v->options;
    int rc = VV_OK;
    if (!v->asked || !vv_cover_holds(o->order, &v->newer, key))
        rc = ask_newer(v, key);
    if (rc == VV_OK && o->own != NULL && (!v->asked || !vv_cover_holds(o->order, &v->own, key)))
        rc = vv_place_cover(o->own, o->order, key, o->at, &v->own);
    v->asked = rc == VV_OK;
    return rc;
}

enum direction { FORWARD, BACKWARD };

/* To the first entry that is not before the key. */
static int jump_forward(struct veil *v, vv_slice to)
{
    return vv_iter_seek(v->source, to, VV_SEQ_MAX);
}

/* To the last entry before the key. A memtable may have learned of entries meanwhile, hence the loop. */
static int jump_backward(struct veil *v, vv_slice from)
{
    int rc = vv_iter_seek(v->source, from, VV_SEQ_MAX);
    if (rc == VV_OK)
        rc = v->source->valid ? vv_iter_prev(v->source) : vv_iter_last(v->source);
    while (rc == VV_OK && v->source->valid &&
           vv_order_cmp(v->options.order, v->source->at.key, from) >= 0)
        rc = vv_iter_prev(v->source);
    return rc;
}

static int move_on(struct veil *v, enum direction direction)
{
    if (v->newer.seq > 0)
        return direction == FORWARD ? jump_forward(v, v->newer.to)
                                    : jump_backward(v, v->newer.from);
    return direction == FORWARD ? vv_iter_next(v->source) : vv_iter_prev(v->source);
}

/* The source has moved by `rc`: goes on to what shows. */
static int settle(struct veil *v, int rc, enum direction direction)
{
    v->base.valid = false;
    while (rc == VV_OK && v->source->valid) {
        const struct vv_entry *at = &v->source->at;
        if ((rc = ask(v, at->key)) < 0)
            return rc;
        if (v->newer.seq == 0 && (v->options.own == NULL || at->seq >= v->own.seq)) {
            v->base.at = *at;
            v->base.valid = true;
            return VV_OK;
        }
        rc = move_on(v, direction);
    }
    return rc;
}

static int veil_first(struct vv_iter *base)
{
    struct veil *v = (struct veil *)base;
    return settle(v, vv_iter_first(v->source), FORWARD);
}

static int veil_last(struct vv_iter *base)
{
    struct veil *v = (struct veil *)base;
    return settle(v, vv_iter_last(v->source), BACKWARD);
}

static int veil_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct veil *v = (struct veil *)base;
    return settle(v, vv_iter_seek(v->source, key, seq), FORWARD);
}

static int veil_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct veil *v = (struct veil *)base;
    return settle(v, vv_iter_seek_for_prev(v->source, key), BACKWARD);
}

static int veil_next(struct vv_iter *base)
{
    struct veil *v = (struct veil *)base;
    return settle(v, vv_iter_next(v->source), FORWARD);
}

static int veil_prev(struct vv_iter *base)
{
    struct veil *v = (struct veil *)base;
    return settle(v, vv_iter_prev(v->source), BACKWARD);
}

static void veil_close(struct vv_iter *base)
{
    struct veil *v = (struct veil *)base;
    vv_iter_close(v->source);
    vv_free(v);
}

static const struct vv_iter_ops veil_ops = {
    .first = veil_first,
    .last = veil_last,
    .seek = veil_seek,
    .seek_for_prev = veil_seek_for_prev,
    .next = veil_next,
    .prev = veil_prev,
    .close = veil_close,
};

int vv_veil_iter(struct vv_iter *source_take, const struct vv_veil_options *options,
                 struct vv_iter **out)
{
    struct veil *v = vv_alloc_zero(sizeof *v);
    if (v == NULL) {
        vv_iter_close(source_take);
        return VV_NOMEM;
    }
    v->base.ops = &veil_ops;
    v->options = *options;
    v->source = source_take;
    *out = &v->base;
    return VV_OK;
}
