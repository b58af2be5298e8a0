/*
 * Inner keys: a user's key with its keyspace in front, as engines know it.
 */
#ifndef VV_DB_INNER_KEY_H
#define VV_DB_INNER_KEY_H

#include "base/alloc.h"
#include "base/error.h"
#include "db/catalog.h"

enum { VV_INNER_SMALL = 128 };

struct vv_inner_key {
    vv_slice key;
    uint8_t *large; /* NULL when the key fits below */
    uint8_t small[VV_INNER_SMALL];
};

/* VV_MISSING when the keyspace was dropped. */
static inline VV_MUST int vv_keyspace_check(const struct vv_keyspace *k)
{
    if (VV_LIKELY(vv_keyspace_live(k)))
        return VV_OK;
    return vv_fail(VV_MISSING, "keyspace '%s' was dropped", k->name);
}

/* The same for reading at a moment, or VV_SEQ_NOW: those before the drop have the keys still. */
static inline VV_MUST int vv_keyspace_check_at(const struct vv_keyspace *k, vv_seq at)
{
    if (VV_LIKELY(vv_keyspace_live(k)) ||
        at <= atomic_load_explicit(&k->dropped_at, memory_order_relaxed))
        return VV_OK;
    return vv_keyspace_check(k);
}

/* VV_OK and a key to deinit, or VV_NOMEM. The key must have passed vv_key_check. */
static inline VV_MUST int vv_inner_key_init(struct vv_inner_key *k, const struct vv_space *space,
                                            vv_slice key)
{
    uint8_t *at = k->small;
    k->large = NULL;
    if (VV_UNLIKELY(key.size > VV_INNER_SMALL - VV_SPACE_SIZE_MAX)) {
        at = k->large = vv_alloc(VV_SPACE_SIZE_MAX + key.size);
        if (at == NULL)
            return VV_NOMEM;
    }
    memcpy(at, space->bytes, sizeof space->bytes); /* what is too much is overwritten */
    if (key.size > 0)
        memcpy(at + space->size, key.data, key.size);
    k->key = (vv_slice){at, space->size + key.size};
    return VV_OK;
}

static inline void vv_inner_key_deinit(struct vv_inner_key *k)
{
    if (VV_UNLIKELY(k->large != NULL))
        vv_free(k->large);
}

/* Inner bounds: of an open end (data NULL), those of the keyspace. */
struct vv_inner_range {
    struct vv_inner_key from, to;
};

static inline void vv_inner_range_deinit(struct vv_inner_range *range)
{
    vv_inner_key_deinit(&range->from);
    vv_inner_key_deinit(&range->to);
}

/* As vv_inner_key_init. */
static inline VV_MUST int vv_inner_range_init(struct vv_inner_range *range,
                                              const struct vv_keyspace *k, vv_slice from,
                                              vv_slice to)
{
    struct vv_space first = from.data != NULL ? k->space : vv_space_first(k->space);
    struct vv_space end = to.data != NULL ? k->space : vv_space_end(k->space);
    int rc = vv_inner_key_init(&range->from, &first, from);
    if (rc == VV_OK && (rc = vv_inner_key_init(&range->to, &end, to)) < 0)
        vv_inner_key_deinit(&range->from);
    return rc;
}

/* What the user knows of an inner key. */
static inline vv_slice vv_outer_key(const struct vv_space *space, vv_slice key)
{
    return vv_slice_skip(key, space->size);
}

/* The first key behind all that start with the prefix: there is none if it is all 0xff. VV_NOMEM. */
static inline VV_MUST int vv_prefix_end(vv_slice prefix, struct vv_buf *out, bool *exists)
{
    size_t size = prefix.size;
    while (size > 0 && prefix.data[size - 1] == 0xff)
        size--;
    *exists = size > 0;
    int rc = vv_buf_assign(out, (vv_slice){prefix.data, size});
    if (rc == VV_OK && size > 0)
        out->data[size - 1]++;
    return rc;
}

#endif
