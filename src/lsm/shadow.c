/*
 * Why each is safe, with the words of sift.c:
 *
 * 1. Of the tombstones of one stripe that cover a key, no reader can tell the older: the newest of
 *    each stripe is enough, so a stripe becomes one layer. Those above the visible sequence all stay.
 * 2. A version that is covered by a newer tombstone of its stripe is one that no reader ever sees.
 * 3. A tombstone in stripe 0 hides only older versions, all in stripe 0. If there is nothing below,
 *    these are in this merge and go by rule 2: the tombstone goes, too.
 */
#include "lsm/shadow.h"

#include "base/error.h"

#include <stdlib.h>

void vv_shadow_init(struct vv_shadow *s, const struct vv_order *order, struct vv_account *account)
{
    *s = (struct vv_shadow){.order = order};
    vv_arena_init(&s->arena, account, VV_OWNER_WORK);
}

void vv_shadow_deinit(struct vv_shadow *s)
{
    if (s->order == NULL)
        return;
    vv_buf_deinit(&s->all);
    vv_buf_deinit(&s->layers);
    vv_arena_deinit(&s->arena);
    *s = (struct vv_shadow){0};
}

int vv_shadow_add(struct vv_shadow *s, const struct vv_range *list, size_t count)
{
    return count == 0 ? VV_OK : vv_buf_append(&s->all, list, count * sizeof list[0]);
}

static int newest_first(const void *a, const void *b)
{
    const struct vv_range *x = a;
    const struct vv_range *y = b;
    return (x->seq < y->seq) - (x->seq > y->seq);
}

/* Makes one layer of the tombstones above the snapshot, which stand first in the list. */
static int add_layer(struct vv_shadow *s, const struct vv_range *list, size_t *count, vv_seq above)
{
    struct vv_buf layer = VV_BUF_INIT;
    size_t in_stripe = 0;
    while (in_stripe < *count && list[in_stripe].seq > above)
        in_stripe++;
    int rc = vv_ranges_join(s->order, list, in_stripe, &layer);
    if (rc == VV_OK)
        rc = vv_buf_append_slice(&s->layers, vv_buf_slice(&layer));
    vv_buf_deinit(&layer);
    *count = in_stripe;
    return rc;
}

static int add_layers(struct vv_shadow *s, size_t snapshot_count, bool last)
{
    const struct vv_range *list = (const struct vv_range *)(const void *)s->all.data;
    size_t count = s->all.size / sizeof list[0];
    vv_seq visible = snapshot_count > 0 ? s->snapshots[snapshot_count - 1] : 0;
    size_t at = 0;
    while (at < count && list[at].seq > visible)
        at++;
    int rc = vv_buf_append(&s->layers, list, at * sizeof list[0]);
    for (size_t stripe = snapshot_count; rc == VV_OK && stripe-- > 0;) {
        size_t more = count - at;
        if (stripe == 0 && last)
            s->kept_count = s->layers.size / sizeof list[0];
        rc = add_layer(s, list + at, &more, stripe > 0 ? s->snapshots[stripe - 1] : 0);
        at += more;
    }
    if (!last || snapshot_count == 0)
        s->kept_count = s->layers.size / sizeof list[0];
    return rc;
}

int vv_shadow_seal(struct vv_shadow *s, const vv_seq *snapshots, size_t snapshot_count, bool last)
{
    size_t count = s->all.size / sizeof(struct vv_range);
    if (count == 0)
        return VV_OK;
    s->snapshots = snapshots;
    qsort(s->all.data, count, sizeof(struct vv_range), newest_first);
    int rc = add_layers(s, snapshot_count, last);
    if (rc < 0)
        return rc;
    const struct vv_range *layers = (const struct vv_range *)(const void *)s->layers.data;
    return vv_ranges_load(&s->arena, s->order, layers, s->layers.size / sizeof layers[0], &s->set);
}

bool vv_shadow_hides(struct vv_shadow *s, vv_slice key, vv_seq seq, size_t stripe)
{
    if (s->set == NULL)
        return false;
    if (!s->asked || s->stripe != stripe || !vv_cover_holds(s->order, &s->cover, key))
        (void)vv_ranges_cover(s->order, s->set, key, s->snapshots[stripe], &s->cover);
    s->asked = true;
    s->stripe = stripe;
    return s->cover.seq > seq;
}
