#include "base/buf.h"

#include "base/alloc.h"
#include "base/coding.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

enum { BUF_SIZE_MIN = 64 };

void vv_buf_deinit(struct vv_buf *buf)
{
    vv_free(buf->data);
    *buf = (struct vv_buf)VV_BUF_INIT;
}

int vv_buf_reserve(struct vv_buf *buf, size_t more)
{
    vv_assert(buf->size <= buf->cap);
    if (more <= buf->cap - buf->size)
        return VV_OK;
    if (more > SIZE_MAX / 2 - buf->size)
        return vv_fail(VV_NOMEM, "a buffer of %zu bytes cannot grow by %zu", buf->size, more);
    size_t cap = buf->cap + buf->cap / 2;
    if (cap < buf->size + more)
        cap = buf->size + more;
    if (cap < BUF_SIZE_MIN)
        cap = BUF_SIZE_MIN;
    uint8_t *data = vv_realloc(buf->data, cap);
    if (data == NULL)
        return VV_NOMEM;
    buf->data = data;
    buf->cap = cap;
    return VV_OK;
}

int vv_buf_append(struct vv_buf *buf, const void *data, size_t size_bytes)
{
    int rc = vv_buf_reserve(buf, size_bytes);
    if (rc < 0)
        return rc;
    if (size_bytes > 0)
        memcpy(buf->data + buf->size, data, size_bytes);
    buf->size += size_bytes;
    return VV_OK;
}

int vv_buf_append_slice(struct vv_buf *buf, vv_slice s)
{
    return vv_buf_append(buf, s.data, s.size);
}

int vv_buf_append_byte(struct vv_buf *buf, uint8_t byte)
{
    return vv_buf_append(buf, &byte, 1);
}

int vv_buf_append_varint(struct vv_buf *buf, uint64_t value)
{
    uint8_t raw[VV_VARINT_SIZE_MAX];
    return vv_buf_append(buf, raw, vv_put_varint(raw, value));
}

int vv_buf_append_u32(struct vv_buf *buf, uint32_t value)
{
    uint8_t raw[4];
    vv_put_u32(raw, value);
    return vv_buf_append(buf, raw, sizeof raw);
}

int vv_buf_append_u64(struct vv_buf *buf, uint64_t value)
{
    uint8_t raw[8];
    vv_put_u64(raw, value);
    return vv_buf_append(buf, raw, sizeof raw);
}

int vv_buf_assign(struct vv_buf *buf, vv_slice s)
{
    size_t size_before = buf->size;
    vv_buf_clear(buf);
    int rc = vv_buf_append_slice(buf, s);
    if (rc < 0)
        buf->size = size_before;
    return rc;
}

int vv_buf_printf(struct vv_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(NULL, 0, format, args);
    va_end(args);
    vv_assert(wanted >= 0);
    int rc = vv_buf_reserve(buf, (size_t)wanted + 1);
    if (rc < 0)
        return rc;
    va_start(args, format);
    (void)vsnprintf((char *)buf->data + buf->size, (size_t)wanted + 1, format, args);
    va_end(args);
    buf->size += (size_t)wanted;
    return VV_OK;
}
