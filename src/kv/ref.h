/*
 * A reference to a value in the value log.
 *
 *    0  file    u32   number of the value file as it was when the reference was written
 *    4  offset  u32   of the record, in units of 8 bytes
 *    8  size    u32   of the value, bytes
 *   12  check   u32   low half of the XXH3 of the value
 */
#ifndef VV_KV_REF_H
#define VV_KV_REF_H

#include "base/coding.h"
#include "kv/entry.h"

struct vv_ref {
    uint32_t file;
    uint32_t offset_units;
    uint32_t size_bytes;
    uint32_t check;
};

static inline void vv_ref_encode(struct vv_ref ref, uint8_t into[VV_REF_SIZE])
{
    vv_put_u32(into, ref.file);
    vv_put_u32(into + 4, ref.offset_units);
    vv_put_u32(into + 8, ref.size_bytes);
    vv_put_u32(into + 12, ref.check);
}

/* False when `raw` is not VV_REF_SIZE bytes. */
static inline bool vv_ref_decode(vv_slice raw, struct vv_ref *out)
{
    if (raw.size != VV_REF_SIZE)
        return false;
    *out = (struct vv_ref){vv_get_u32(raw.data), vv_get_u32(raw.data + 4), vv_get_u32(raw.data + 8),
                           vv_get_u32(raw.data + 12)};
    return true;
}

#endif
