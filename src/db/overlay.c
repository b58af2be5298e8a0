#include "db/overlay.h"

#include "base/alloc.h"
#include "base/error.h"

enum direction { FORWARD, BACKWARD };

/* Going forward, both stand on their first entry not passed; going backward, on their last. */
struct overlay {
    struct vv_iter base;
    const struct vv_order *order;
    struct vv_iter *above, *below;
    struct vv_iter *current; /* one of them */
    enum direction direction;
};

/* Negative when the entry from above comes first; never 0. */
static int compare(const struct overlay *o)
{
    int order = vv_order_cmp_entry(o->order, o->above->at.key, o->above->at.seq, o->below->at.key,
                                   o->below->at.seq);
    return order != 0 ? order : -1;
}

/* Chooses which of the two is next in the direction. */
static int settle(struct overlay *o, enum direction direction, int rc)
{
    bool above = o->above->valid;
    o->direction = direction;
    o->base.valid = rc == VV_OK && (above || o->below->valid);
    if (!o->base.valid)
        return rc;
    if (above && o->below->valid)
        above = (compare(o) < 0) == (direction == FORWARD);
    o->current = above ? o->above : o->below;
    o->base.at = o->current->at;
    return VV_OK;
}

static int overlay_first(struct vv_iter *base)
{
    struct overlay *o = (struct overlay *)base;
    int rc = vv_iter_first(o->above);
    if (rc == VV_OK)
        rc = vv_iter_first(o->below);
    return settle(o, FORWARD, rc);
}

static int overlay_last(struct vv_iter *base)
{
    struct overlay *o = (struct overlay *)base;
    int rc = vv_iter_last(o->above);
    if (rc == VV_OK)
        rc = vv_iter_last(o->below);
    return settle(o, BACKWARD, rc);
}

static int overlay_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct overlay *o = (struct overlay *)base;
    int rc = vv_iter_seek(o->above, key, seq);
    if (rc == VV_OK)
        rc = vv_iter_seek(o->below, key, seq);
    return settle(o, FORWARD, rc);
}

static int overlay_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct overlay *o = (struct overlay *)base;
    int rc = vv_iter_seek_for_prev(o->above, key);
    if (rc == VV_OK)
        rc = vv_iter_seek_for_prev(o->below, key);
    return settle(o, BACKWARD, rc);
}

static struct vv_iter *other(const struct overlay *o)
{
    return o->current == o->above ? o->below : o->above;
}

/* Whether the other stands on an entry of the same key and sequence as the current one. */
static bool is_twin(const struct overlay *o, const struct vv_iter *it)
{
    const struct vv_entry *at = &o->current->at;
    return it->valid && vv_order_cmp_entry(o->order, it->at.key, it->at.seq, at->key, at->seq) == 0;
}

/* Brings the other to its first entry behind the current one. A twin from above stands before. */
static int turn_forward(struct overlay *o)
{
    struct vv_iter *it = other(o);
    int rc = vv_iter_seek(it, o->current->at.key, o->current->at.seq);
    if (rc == VV_OK && it == o->above && is_twin(o, it))
        rc = vv_iter_next(it);
    return rc;
}

/* Brings the other to its last entry before the current one. */
static int turn_backward(struct overlay *o)
{
    struct vv_iter *it = other(o);
    int rc = vv_iter_seek(it, o->current->at.key, o->current->at.seq);
    if (rc < 0 || (it == o->above && is_twin(o, it)))
        return rc;
    return it->valid ? vv_iter_prev(it) : vv_iter_last(it);
}

static int overlay_next(struct vv_iter *base)
{
    struct overlay *o = (struct overlay *)base;
    int rc = o->direction == FORWARD ? VV_OK : turn_forward(o);
    if (rc == VV_OK)
        rc = vv_iter_next(o->current);
    return settle(o, FORWARD, rc);
}

static int overlay_prev(struct vv_iter *base)
{
    struct overlay *o = (struct overlay *)base;
    int rc = o->direction == BACKWARD ? VV_OK : turn_backward(o);
    if (rc == VV_OK)
        rc = vv_iter_prev(o->current);
    return settle(o, BACKWARD, rc);
}

static void overlay_close(struct vv_iter *base)
{
    struct overlay *o = (struct overlay *)base;
    vv_iter_close(o->above);
    vv_iter_close(o->below);
    vv_free(o);
}

static const struct vv_iter_ops overlay_ops = {
    .first = overlay_first,
    .last = overlay_last,
    .seek = overlay_seek,
    .seek_for_prev = overlay_seek_for_prev,
    .next = overlay_next,
    .prev = overlay_prev,
    .close = overlay_close,
};

int vv_overlay_new(const struct vv_order *order, struct vv_iter *above_take,
                   struct vv_iter *below_take, struct vv_iter **out)
{
    struct overlay *o = vv_alloc_zero(sizeof *o);
    if (o == NULL) {
        vv_iter_close(above_take);
        vv_iter_close(below_take);
        return VV_NOMEM;
    }
    o->base.ops = &overlay_ops;
    o->order = order;
    o->above = o->current = above_take;
    o->below = below_take;
    *out = &o->base;
    return VV_OK;
}
