/*
 * Versions that expire: their values begin with the time at which they do.
 *
 *    0  expires  u64   milliseconds since 1970, little-endian; at that time the version is gone
 *    8  bytes          PUT_EXPIRES: the value; REF_EXPIRES: a value reference of 16 bytes
 */
#ifndef VV_KV_EXPIRY_H
#define VV_KV_EXPIRY_H

#include "base/coding.h"
#include "kv/entry.h"

enum { VV_EXPIRY_SIZE = 8 };

static inline bool vv_kind_expires(enum vv_kind kind)
{
    return kind == VV_KIND_PUT_EXPIRES || kind == VV_KIND_REF_EXPIRES;
}

static inline bool vv_kind_is_ref(enum vv_kind kind)
{
    return kind == VV_KIND_REF || kind == VV_KIND_REF_EXPIRES;
}

/* When the version is gone; 0: never. Requires a value that fits the kind. */
static inline uint64_t vv_expiry_of(enum vv_kind kind, vv_slice value)
{
    return vv_kind_expires(kind) ? vv_get_u64(value.data) : 0;
}

/* The value, or the reference to it, without the time. */
static inline vv_slice vv_expiry_strip(enum vv_kind kind, vv_slice value)
{
    return vv_kind_expires(kind) ? vv_slice_skip(value, VV_EXPIRY_SIZE) : value;
}

static inline bool vv_entry_expired(const struct vv_entry *entry, uint64_t now_ms)
{
    return vv_kind_expires(entry->kind) && vv_get_u64(entry->value.data) <= now_ms;
}

/* Whether a value may have this size. False for kinds that do not exist. */
static inline bool vv_kind_fits(enum vv_kind kind, uint64_t size)
{
    switch (kind) {
    case VV_KIND_DELETE: return size == 0;
    case VV_KIND_PUT:
    case VV_KIND_MERGE: return size <= VV_VALUE_SIZE_MAX;
    case VV_KIND_REF: return size == VV_REF_SIZE;
    case VV_KIND_DELETE_RANGE: return size <= VV_KEY_SIZE_MAX;
    case VV_KIND_PUT_EXPIRES:
        return size >= VV_EXPIRY_SIZE && size - VV_EXPIRY_SIZE <= VV_VALUE_SIZE_MAX;
    case VV_KIND_REF_EXPIRES: return size == VV_EXPIRY_SIZE + VV_REF_SIZE;
    }
    return false;
}

static inline bool vv_kind_known(uint32_t kind)
{
    return kind <= VV_KIND_MERGE;
}

#endif
