#include "db/present.h"

#include "base/alloc.h"
#include "base/error.h"
#include "db/merge.h"
#include "kv/expiry.h"
#include "kv/space.h"

enum { RANK_MERGE = 32, KEY_BYTES_SHOWN = 64 };

void vv_present_init(struct vv_present *p, struct vv_env *env, const varve_options *options)
{
    p->env = env;
    p->clock = options->clock;
    p->clock_context = options->clock_context;
    if (options->merge != NULL) {
        p->merge = *options->merge;
        memcpy(p->merge_name, p->merge.name, strlen(p->merge.name) + 1);
        p->merge.name = p->merge_name;
    }
    vv_mutex_init(&p->mu, RANK_MERGE);
}

void vv_present_deinit(struct vv_present *p)
{
    vv_mutex_deinit(&p->mu);
}

/* ---- the operator's name */

int vv_present_load(struct vv_present *p, const struct vv_note *notes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vv_slice name = notes[i].text;
        if (notes[i].id != VV_NOTE_MERGE)
            continue;
        if (name.size > VV_MERGE_NAME_MAX)
            return vv_fail(VV_CORRUPT, "the note of the merge operator does not read");
        if (p->merge.full != NULL && !vv_slice_equal(name, vv_slice_str(p->merge_name)))
            return vv_fail(VV_INVALID,
                           "the store's operands are for merge operator '%.*s', not '%s'",
                           (int)name.size, (const char *)name.data, p->merge_name);
        memcpy(p->noted_name, name.data, name.size);
        p->noted_name[name.size] = 0;
        atomic_store(&p->noted, true);
    }
    return VV_OK;
}

static int note_merge(struct vv_present *p)
{
    struct vv_note note = {VV_NOTE_MERGE, vv_slice_str(p->merge_name)};
    int rc = VV_OK;
    vv_mutex_lock(&p->mu);
    if (!atomic_load(&p->noted)) {
        if (p->engine->ops->note != NULL)
            rc = p->engine->ops->note(p->engine, &note, 1, NULL);
        if (rc == VV_OK) {
            memcpy(p->noted_name, p->merge_name, sizeof p->noted_name);
            atomic_store(&p->noted, true);
        }
    }
    vv_mutex_unlock(&p->mu);
    return rc;
}

int vv_present_prepare_merge(struct vv_present *p)
{
    if (p->merge.full == NULL)
        return vv_fail(VV_INVALID, "the store was opened without a merge operator");
    return VV_LIKELY(atomic_load_explicit(&p->noted, memory_order_acquire)) ? VV_OK : note_merge(p);
}

/* ---- time */

uint64_t vv_present_now_ms(struct vv_present *p)
{
    uint64_t now = p->clock != NULL ? p->clock(p->clock_context) : vv_env_wall_us(p->env) / 1000;
    uint64_t latest = atomic_load_explicit(&p->clock_ms, memory_order_relaxed);
    while (now > latest)
        if (atomic_compare_exchange_weak_explicit(&p->clock_ms, &latest, now, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return now;
    return latest;
}

uint64_t vv_present_in(struct vv_present *p, uint64_t ms)
{
    uint64_t now = vv_present_now_ms(p);
    return ms < UINT64_MAX - now ? now + ms : UINT64_MAX;
}

/* ---- folding */

struct folding {
    struct vv_buf bytes;  /* of the operands, newest first */
    struct vv_buf sizes;  /* size_t each */
    struct vv_buf slices; /* varve_slice each, oldest first */
    struct vv_pin base;
};

static void folding_deinit(struct folding *f)
{
    vv_buf_deinit(&f->bytes);
    vv_buf_deinit(&f->sizes);
    vv_buf_deinit(&f->slices);
    vv_pin_release(&f->base);
}

static int gather(struct folding *f, struct vv_iter *inner, vv_slice key)
{
    int rc = VV_OK;
    while (rc == VV_OK && inner->valid && inner->at.kind == VV_KIND_MERGE &&
           vv_slice_equal(inner->at.key, key)) {
        size_t size = inner->at.value.size;
        rc = vv_buf_append_slice(&f->bytes, inner->at.value);
        if (rc == VV_OK)
            rc = vv_buf_append(&f->sizes, &size, sizeof size);
        if (rc == VV_OK)
            rc = vv_iter_next(inner);
    }
    return rc;
}

static int line_up(struct folding *f)
{
    size_t offset = f->bytes.size;
    for (size_t i = f->sizes.size / sizeof(size_t); i-- > 0;) {
        size_t size;
        memcpy(&size, f->sizes.data + i * sizeof size, sizeof size);
        offset -= size;
        varve_slice operand = {f->bytes.data + offset, size};
        int rc = vv_buf_append(&f->slices, &operand, sizeof operand);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

/* What the chain stands on: VV_OK with `base` pinned or pointing into the iterator, or VV_NOTFOUND. */
static int find_base(struct vv_present *p, struct folding *f, const struct vv_iter *inner,
                     struct vv_iter *engine_side, vv_slice key, uint64_t *expires_ms)
{
    *expires_ms = 0;
    if (!inner->valid || !vv_slice_equal(inner->at.key, key) || inner->at.kind == VV_KIND_DELETE)
        return VV_NOTFOUND;
    uint64_t expires = vv_expiry_of(inner->at.kind, inner->at.value);
    if (vv_present_over(p, expires))
        return VV_NOTFOUND;
    vv_slice value = vv_expiry_strip(inner->at.kind, inner->at.value);
    *expires_ms = expires;
    if (vv_kind_is_ref(inner->at.kind))
        return p->engine->ops->resolve(engine_side, value, inner->at.key, &f->base);
    f->base.value = value;
    return VV_OK;
}

static vv_slice outer(vv_slice key)
{
    uint32_t id;
    return vv_slice_skip(key, vv_space_decode(key, &id));
}

static int no_operator(const struct vv_present *p, vv_slice key)
{
    vv_slice shown = outer(key);
    return vv_fail(VV_UNSUPPORTED,
                   "key '%.*s' has operands of merge operator '%s', which was not given at open",
                   (int)(shown.size < KEY_BYTES_SHOWN ? shown.size : KEY_BYTES_SHOWN),
                   (const char *)shown.data, p->noted_name);
}

static int refused(const struct vv_present *p, vv_slice key)
{
    vv_slice shown = outer(key);
    return vv_fail(
        VV_INVALID, "merge operator '%s' refuses what is stored under key '%.*s'; it is kept",
        p->merge_name, (int)(shown.size < KEY_BYTES_SHOWN ? shown.size : KEY_BYTES_SHOWN),
        (const char *)shown.data);
}

/* VV_OK, VV_NOMEM or another failure with its story, or VV_UNSUPPORTED without one. */
static int apply(const struct vv_present *p, enum vv_fold how, vv_slice key,
                 const varve_slice *base, const varve_slice *operands, size_t count,
                 struct vv_buf *out)
{
    const varve_merge_operator *m = &p->merge;
    struct varve_merge_result result = {out, VV_OK};
    size_t size_before = out->size;
    varve_slice user_key = {outer(key).data, outer(key).size};
    if (how == VV_FOLD_FULL ? m->full == NULL : m->partial == NULL)
        return VV_UNSUPPORTED;
    int rc = how == VV_FOLD_FULL ? m->full(m->context, user_key, base, operands, count, &result)
                                 : m->partial(m->context, user_key, operands, count, &result);
    if (result.rc == VV_OK && rc == 0)
        return VV_OK;
    out->size = size_before;
    return result.rc < 0 ? result.rc : VV_UNSUPPORTED;
}

int vv_present_host_fold(struct vv_present *p, enum vv_fold how, vv_slice key, const vv_slice *base,
                         const vv_slice *operands, size_t count, struct vv_buf *out)
{
    struct vv_buf slices = VV_BUF_INIT;
    varve_slice onto = base != NULL ? (varve_slice){base->data, base->size} : (varve_slice){0};
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        varve_slice operand = {operands[i].data, operands[i].size};
        rc = vv_buf_append(&slices, &operand, sizeof operand);
    }
    if (rc == VV_OK)
        rc = apply(p, how, key, base != NULL ? &onto : NULL,
                   (const varve_slice *)(const void *)slices.data, count, out);
    vv_buf_deinit(&slices);
    return rc == VV_TOOBIG ? VV_UNSUPPORTED : rc;
}

int vv_present_fold(struct vv_present *p, struct vv_iter *inner, struct vv_iter *engine_side,
                    vv_slice key, struct vv_buf *out, uint64_t *expires_ms)
{
    struct folding f = {.base = {.release = NULL}};
    varve_slice base;
    if (p->merge.full == NULL)
        return no_operator(p, key);
    int rc = gather(&f, inner, key);
    if (rc == VV_OK && (rc = line_up(&f)) == VV_OK)
        rc = find_base(p, &f, inner, engine_side, key, expires_ms);
    if (rc >= 0) {
        base = (varve_slice){f.base.value.data, f.base.value.size};
        rc = apply(p, VV_FOLD_FULL, key, rc == VV_OK ? &base : NULL,
                   (const varve_slice *)(const void *)f.slices.data,
                   f.slices.size / sizeof(varve_slice), out);
        if (rc == VV_UNSUPPORTED)
            rc = refused(p, key);
    }
    folding_deinit(&f);
    return rc;
}

/* ---- point reads */

static void release_bytes(void *owner)
{
    vv_free(owner);
}

static int fold_at(struct vv_present *p, vv_seq at, vv_slice key, struct vv_pin *out)
{
    struct vv_engine_iter_options options = {.at = at, .lower = key};
    struct vv_buf value = VV_BUF_INIT;
    struct vv_iter *it;
    uint64_t expires_ms = 0;
    vv_seq seq;
    int rc = p->engine->ops->iter(p->engine, &options, &seq, &it);
    if (rc < 0)
        return rc;
    rc = vv_iter_seek(it, key, seq);
    bool found = rc == VV_OK && it->valid && vv_slice_equal(it->at.key, key);
    if (rc == VV_OK && found && it->at.kind == VV_KIND_MERGE) {
        rc = vv_present_fold(p, it, it, key, &value, &expires_ms);
    } else if (rc == VV_OK) {
        /* At another moment than the lookup's, it is something else. */
        struct folding f = {.base = {.release = NULL}};
        rc = find_base(p, &f, it, it, key, &expires_ms);
        if (rc == VV_OK)
            rc = vv_buf_assign(&value, f.base.value);
        folding_deinit(&f);
    }
    vv_iter_close(it);
    if (rc == VV_OK)
        *out = (struct vv_pin){.value = vv_buf_slice(&value),
                               .release = release_bytes,
                               .owner = value.data,
                               .expires_ms = expires_ms};
    else
        vv_buf_deinit(&value);
    return rc;
}

int vv_present_settle(struct vv_present *p, vv_seq at, vv_slice key, struct vv_pin *pin)
{
    if (VV_LIKELY(pin->expires_ms == 0 && !pin->is_operand))
        return VV_OK;
    if (pin->is_operand) {
        vv_pin_release(pin);
        return fold_at(p, at, key, pin);
    }
    if (!vv_present_over(p, pin->expires_ms))
        return VV_OK;
    vv_pin_release(pin);
    return VV_NOTFOUND;
}

int vv_present_get(struct vv_present *p, vv_seq at, vv_slice key, struct vv_pin *out)
{
    const struct vv_engine_ops *ops = p->engine->ops;
    struct vv_look look;
    if (out == NULL) {
        int rc = ops->look(p->engine, at, key, &look);
        return rc == VV_OK && vv_present_over(p, look.expires_ms) ? VV_NOTFOUND : rc;
    }
    int rc = ops->get(p->engine, at, key, out);
    return rc == VV_OK ? vv_present_settle(p, at, key, out) : rc;
}
