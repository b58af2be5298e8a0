/*
 * A growing byte buffer. Zeroed memory is an empty one; a failed call leaves it as it was.
 */
#ifndef VV_BASE_BUF_H
#define VV_BASE_BUF_H

#include "base/check.h"
#include "base/slice.h"

struct vv_buf {
    uint8_t *data;
    size_t size;
    size_t cap;
};

#define VV_BUF_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void vv_buf_deinit(struct vv_buf *buf); /* leaves it empty and usable */

/* Room for `more` bytes behind the present size. VV_NOMEM when there is none. */
VV_MUST int vv_buf_reserve(struct vv_buf *buf, size_t more);
VV_MUST int vv_buf_append(struct vv_buf *buf, const void *data, size_t size_bytes);
VV_MUST int vv_buf_append_slice(struct vv_buf *buf, vv_slice s);
VV_MUST int vv_buf_append_byte(struct vv_buf *buf, uint8_t byte);
VV_MUST int vv_buf_append_varint(struct vv_buf *buf, uint64_t value);
VV_MUST int vv_buf_append_u32(struct vv_buf *buf, uint32_t value); /* little-endian */
VV_MUST int vv_buf_append_u64(struct vv_buf *buf, uint64_t value);
/* Replaces the content. */
VV_MUST int vv_buf_assign(struct vv_buf *buf, vv_slice s);
VV_MUST int vv_buf_printf(struct vv_buf *buf, const char *format, ...) VV_PRINTF(2, 3);

static inline void vv_buf_clear(struct vv_buf *buf)
{
    buf->size = 0;
}

static inline vv_slice vv_buf_slice(const struct vv_buf *buf)
{
    return (vv_slice){buf->data, buf->size};
}

#endif
