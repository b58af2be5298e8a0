#include "db/walk.h"

#include "base/error.h"
#include "db/present.h"
#include "kv/expiry.h"

/* After so many versions of one key in a row, seeking past them is cheaper than stepping. */
enum { STEPS_MAX = 8 };

/* How many deleted keys in a row are a gap worth remembering; how often to look for one, and to tell
 * of what was passed so far. */
enum { GAP_MIN = 64, GAP_LOOK = 16, GAP_TELL = 4096 };

void vv_walk_start(struct vv_walk *w, struct vv_iter *inner, vv_seq at)
{
    w->inner = inner;
    w->at = at;
    w->state = VV_WALK_FRESH;
}

void vv_walk_deinit(struct vv_walk *w)
{
    vv_buf_deinit(&w->key);
    vv_buf_deinit(&w->value);
    vv_buf_deinit(&w->empty_from);
    vv_buf_deinit(&w->empty_to);
    vv_buf_deinit(&w->gap_from);
    vv_buf_deinit(&w->gap_to);
}

/* ---- helpers */

static int ended(struct vv_walk *w, int rc)
{
    w->state = rc < 0 ? VV_WALK_FAILED : VV_WALK_END;
    return rc < 0 ? rc : VV_END;
}

static bool behind(const struct vv_walk *w, vv_slice key)
{
    return w->upper.data != NULL && vv_order_cmp(w->order, key, w->upper) >= 0;
}

static bool before(const struct vv_walk *w, vv_slice key)
{
    return w->lower.data != NULL && vv_order_cmp(w->order, key, w->lower) < 0;
}

static bool on_key(const struct vv_walk *w)
{
    return vv_slice_equal(w->inner->at.key, vv_buf_slice(&w->key));
}

static int remember_key(struct vv_walk *w)
{
    return vv_buf_assign(&w->key, w->inner->at.key);
}

/* ---- gaps */

/* Whether the remembered key, which is deleted, lies in a known gap, which gap_from and gap_to then
 * are. */
static int look_for_gap(struct vv_walk *w)
{
    if (!vv_gaps_any(w->gaps) || w->passed % GAP_LOOK != 1)
        return VV_NOTFOUND;
    int rc = vv_gaps_find(w->gaps, vv_buf_slice(&w->key), w->at, &w->gap_from, &w->gap_to);
    w->jumped = w->jumped || rc == VV_OK;
    return rc;
}

/* The move has come to its end: what it passed over is a gap from empty_from to `to`. */
static void tell_gap(struct vv_walk *w, vv_slice to)
{
    if (w->gaps != NULL && (w->passed >= GAP_MIN || (w->jumped && w->passed > 1)))
        vv_gaps_learn(w->gaps, vv_buf_slice(&w->empty_from), to, w->at);
    w->passed = 0;
    w->jumped = false;
}

/* Whether a version says that there is no value. */
static bool is_gone(const struct vv_walk *w, const struct vv_entry *at)
{
    if (at->kind == VV_KIND_DELETE)
        return true;
    return w->present != NULL && vv_present_over(w->present, vv_expiry_of(at->kind, at->value));
}

/* The version as it is shown: without its time. */
static void strip(struct vv_entry *entry)
{
    entry->value = vv_expiry_strip(entry->kind, entry->value);
    entry->kind = vv_kind_is_ref(entry->kind) ? VV_KIND_REF : VV_KIND_PUT;
}

/* The iterator stands on the newest operand of the remembered key; shows what it makes. */
static int fold(struct vv_walk *w)
{
    uint64_t expires_ms;
    vv_seq seq = w->inner->at.seq;
    vv_buf_clear(&w->value);
    int rc = vv_present_fold(w->present, w->inner, w->engine_side, vv_buf_slice(&w->key), &w->value,
                             &expires_ms);
    if (rc == VV_OK)
        w->entry = (struct vv_entry){.key = vv_buf_slice(&w->key),
                                     .value = vv_buf_slice(&w->value),
                                     .seq = seq,
                                     .kind = VV_KIND_PUT};
    return rc;
}

/* ---- forward */

/* From a version of the remembered key to the first entry of a later key. */
static int pass_key(struct vv_walk *w)
{
    int rc = VV_OK;
    /* The seek leads to a version of sequence 0, if there is one: that still has to be passed. */
    for (int steps = 0; rc == VV_OK && w->inner->valid && on_key(w); steps++)
        rc = steps != STEPS_MAX ? vv_iter_next(w->inner)
                                : vv_iter_seek(w->inner, vv_buf_slice(&w->key), 0);
    return rc;
}

/* From a version that was written after our moment to the next one; from the last of several in a
 * row to where those of its key end. */
static int pass_newer(struct vv_walk *w, int *in_a_row)
{
    if (++*in_a_row <= STEPS_MAX)
        return vv_iter_next(w->inner);
    *in_a_row = 0;
    int rc = remember_key(w);
    return rc == VV_OK ? vv_iter_seek(w->inner, vv_buf_slice(&w->key), w->at) : rc;
}

/* From the newest visible version of a key, a deletion, to a later key. */
static int pass_deleted(struct vv_walk *w)
{
    int rc = remember_key(w);
    if (rc < 0 || w->gaps == NULL)
        return rc < 0 ? rc : pass_key(w);
    vv_slice key = vv_buf_slice(&w->key);
    if (w->passed++ == 0 && (rc = vv_buf_assign(&w->empty_from, key)) < 0)
        return rc;
    if ((rc = look_for_gap(w)) == VV_OK)
        return vv_iter_seek(w->inner, vv_buf_slice(&w->gap_to), VV_SEQ_MAX);
    if (rc < 0)
        return rc;
    if (w->passed % GAP_TELL == 0)
        vv_gaps_learn(w->gaps, vv_buf_slice(&w->empty_from), key, w->at);
    return pass_key(w);
}

/* Up to where nothing shows, when a move has found no further entry. */
static vv_slice empty_end(const struct vv_walk *w)
{
    return w->inner->valid ? w->upper : vv_buf_slice(&w->key);
}

static int show_forward(struct vv_walk *w)
{
    int rc = VV_OK;
    w->is_folded = w->present != NULL && w->inner->at.kind == VV_KIND_MERGE;
    if (!w->is_folded) {
        w->entry = w->inner->at;
        strip(&w->entry);
    } else if ((rc = remember_key(w)) == VV_OK) {
        rc = fold(w);
    }
    if (rc < 0)
        return ended(w, rc);
    w->state = VV_WALK_FORWARD;
    return VV_OK;
}

/* From the newest version of a key to the newest one that shows; or, if that is a deletion or there
 * is none, to the next key for which there is one. */
static int settle_forward(struct vv_walk *w)
{
    struct vv_iter *inner = w->inner;
    int in_a_row = 0;
    int rc = VV_OK;
    while (rc == VV_OK && inner->valid && !behind(w, inner->at.key)) {
        if (inner->at.seq > w->at) {
            rc = pass_newer(w, &in_a_row);
        } else if (is_gone(w, &inner->at)) {
            rc = pass_deleted(w);
        } else {
            tell_gap(w, inner->at.key);
            return show_forward(w);
        }
    }
    tell_gap(w, rc == VV_OK ? empty_end(w) : VV_SLICE_EMPTY);
    return ended(w, rc);
}

int vv_walk_first(struct vv_walk *w)
{
    int rc = w->lower.data != NULL ? vv_iter_seek(w->inner, w->lower, VV_SEQ_MAX)
                                   : vv_iter_first(w->inner);
    return rc < 0 ? ended(w, rc) : settle_forward(w);
}

int vv_walk_seek(struct vv_walk *w, vv_slice key)
{
    if (before(w, key))
        return vv_walk_first(w);
    if (behind(w, key))
        return ended(w, VV_OK);
    int rc = vv_iter_seek(w->inner, key, w->at);
    return rc < 0 ? ended(w, rc) : settle_forward(w);
}

/* The engine's iterator stands in front of the shown key, or on nothing if that is the first. */
static int turn_forward(struct vv_walk *w)
{
    int rc = vv_iter_seek(w->inner, vv_buf_slice(&w->key), 0);
    return rc == VV_OK ? pass_key(w) : rc;
}

int vv_walk_next(struct vv_walk *w)
{
    int rc;
    switch (w->state) {
    case VV_WALK_FRESH: return vv_walk_first(w);
    case VV_WALK_END: return VV_END;
    case VV_WALK_FORWARD:
        if (w->is_folded || (rc = remember_key(w)) == VV_OK)
            rc = pass_key(w);
        break;
    case VV_WALK_BACKWARD: rc = turn_forward(w); break;
    case VV_WALK_FAILED:
    default: return vv_fail(VV_INVALID, "the iterator has failed: move it to a place first");
    }
    return rc < 0 ? ended(w, rc) : settle_forward(w);
}

/* ---- backward */

static int copy_entry(struct vv_walk *w, bool *shows)
{
    const struct vv_entry *at = &w->inner->at;
    *shows = !is_gone(w, at);
    w->entry = *at;
    w->is_folded = w->present != NULL && at->kind == VV_KIND_MERGE;
    if (!*shows || w->is_folded)
        return VV_OK;
    strip(&w->entry);
    return vv_buf_assign(&w->value, w->entry.value);
}

/* From a version of the remembered key to in front of all of them. */
static int leave_key_back(struct vv_walk *w)
{
    int rc = VV_OK;
    for (int steps = 0; rc == VV_OK && w->inner->valid && on_key(w); steps++)
        rc = steps != STEPS_MAX ? vv_iter_prev(w->inner)
                                : vv_iter_seek(w->inner, vv_buf_slice(&w->key), VV_SEQ_MAX);
    return rc;
}

/* The same for a key of many versions: one seek finds the newest that shows, another the front. There
 * may be none that shows: those we have passed may all have been written after our moment. */
static int jump_key_back(struct vv_walk *w, bool *shows)
{
    struct vv_iter *inner = w->inner;
    int rc = vv_iter_seek(inner, vv_buf_slice(&w->key), w->at);
    if (rc == VV_OK && inner->valid && on_key(w))
        rc = copy_entry(w, shows);
    if (rc == VV_OK)
        rc = vv_iter_seek(inner, vv_buf_slice(&w->key), VV_SEQ_MAX);
    return rc == VV_OK ? leave_key_back(w) : rc;
}

/* From the oldest version of the remembered key to in front of it, copying the newest that shows. */
static int pass_key_back(struct vv_walk *w, bool *shows)
{
    struct vv_iter *inner = w->inner;
    int rc = VV_OK;
    *shows = false;
    for (int steps = 0; rc == VV_OK && inner->valid && on_key(w); steps++) {
        if (steps == STEPS_MAX)
            return jump_key_back(w, shows);
        if (inner->at.seq <= w->at)
            rc = copy_entry(w, shows);
        if (rc == VV_OK)
            rc = vv_iter_prev(inner);
    }
    return rc;
}

/* To the last entry of a key before `from`. */
static int jump_back(struct vv_walk *w, vv_slice from)
{
    struct vv_iter *inner = w->inner;
    int rc = vv_iter_seek(inner, from, VV_SEQ_MAX);
    if (rc == VV_OK)
        rc = inner->valid ? vv_iter_prev(inner) : vv_iter_last(inner);
    while (rc == VV_OK && inner->valid && vv_order_cmp(w->order, inner->at.key, from) >= 0)
        rc = vv_iter_prev(inner);
    return rc;
}

/* The remembered key does not show; the engine's iterator stands in front of it. */
static int note_empty_back(struct vv_walk *w)
{
    vv_slice key = vv_buf_slice(&w->key);
    int rc;
    if (w->gaps == NULL)
        return VV_OK;
    if (w->passed++ == 0 && (rc = vv_buf_assign(&w->empty_to, key)) < 0)
        return rc;
    if ((rc = look_for_gap(w)) < 0)
        return rc;
    if (rc == VV_OK) {
        if ((rc = vv_buf_assign(&w->empty_from, vv_buf_slice(&w->gap_from))) < 0)
            return rc;
        return jump_back(w, vv_buf_slice(&w->gap_from));
    }
    return vv_buf_assign(&w->empty_from, key);
}

/* The newest version that shows is an operand: goes back to it, and in front of its key again. */
static int fold_backward(struct vv_walk *w)
{
    int rc = vv_iter_seek(w->inner, vv_buf_slice(&w->key), w->at);
    if (rc == VV_OK)
        rc = fold(w);
    if (rc == VV_OK)
        rc = vv_iter_seek(w->inner, vv_buf_slice(&w->key), VV_SEQ_MAX);
    return rc == VV_OK ? leave_key_back(w) : rc;
}

/* From the oldest version of a key backward to the first key that shows. */
static int settle_backward(struct vv_walk *w)
{
    struct vv_iter *inner = w->inner;
    bool shows = false;
    int rc = VV_OK;
    while (rc == VV_OK && inner->valid && !before(w, inner->at.key)) {
        if ((rc = remember_key(w)) == VV_OK)
            rc = pass_key_back(w, &shows);
        if (rc == VV_OK && !shows)
            rc = note_empty_back(w);
        if (rc == VV_OK && shows && w->is_folded)
            rc = fold_backward(w);
        if (rc == VV_OK && shows) {
            tell_gap(w, vv_buf_slice(&w->empty_to));
            w->entry.key = vv_buf_slice(&w->key);
            w->entry.value = vv_buf_slice(&w->value);
            w->state = VV_WALK_BACKWARD;
            return VV_OK;
        }
    }
    tell_gap(w, rc == VV_OK ? vv_buf_slice(&w->empty_to) : VV_SLICE_EMPTY);
    return ended(w, rc);
}

/* To the last entry of a key below the upper bound, from one at or behind it. */
static int come_back_below_upper(struct vv_walk *w)
{
    int rc = VV_OK;
    while (rc == VV_OK && w->inner->valid && behind(w, w->inner->at.key))
        if ((rc = remember_key(w)) == VV_OK)
            rc = leave_key_back(w);
    return rc;
}

int vv_walk_last(struct vv_walk *w)
{
    int rc =
        w->upper.data != NULL ? vv_iter_seek_for_prev(w->inner, w->upper) : vv_iter_last(w->inner);
    if (rc == VV_OK)
        rc = come_back_below_upper(w);
    return rc < 0 ? ended(w, rc) : settle_backward(w);
}

int vv_walk_seek_for_prev(struct vv_walk *w, vv_slice key)
{
    if (behind(w, key))
        return vv_walk_last(w);
    if (before(w, key))
        return ended(w, VV_OK);
    int rc = vv_iter_seek_for_prev(w->inner, key);
    return rc < 0 ? ended(w, rc) : settle_backward(w);
}

/* The engine's iterator stands on the shown entry; newer versions of its key may stand before it. */
static int turn_backward(struct vv_walk *w)
{
    int rc =
        w->is_folded ? vv_iter_seek(w->inner, vv_buf_slice(&w->key), VV_SEQ_MAX) : remember_key(w);
    return rc == VV_OK ? leave_key_back(w) : rc;
}

int vv_walk_prev(struct vv_walk *w)
{
    int rc;
    switch (w->state) {
    case VV_WALK_FRESH: return vv_walk_last(w);
    case VV_WALK_END: return VV_END;
    case VV_WALK_FORWARD: rc = turn_backward(w); break;
    case VV_WALK_BACKWARD: rc = VV_OK; break;
    case VV_WALK_FAILED:
    default: return vv_fail(VV_INVALID, "the iterator has failed: move it to a place first");
    }
    return rc < 0 ? ended(w, rc) : settle_backward(w);
}
