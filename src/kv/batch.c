#include "kv/batch.h"

#include "base/check.h"
#include "base/error.h"
#include "kv/expiry.h"

void vv_batch_deinit(struct vv_batch *b)
{
    vv_buf_deinit(&b->ops);
    b->count = 0;
}

void vv_batch_clear(struct vv_batch *b)
{
    vv_buf_clear(&b->ops);
    b->count = 0;
}

static int check_sizes(const struct vv_batch *b, vv_slice key, vv_slice value)
{
    if (key.size > (size_t)VV_KEY_SIZE_MAX - b->space.size)
        return vv_fail(VV_TOOBIG, "a key of %zu bytes exceeds the limit of %d", key.size,
                       VV_KEY_SIZE_MAX - b->space.size);
    if (value.size > VV_VALUE_SIZE_MAX)
        return vv_fail(VV_TOOBIG, "a value of %zu bytes exceeds the limit of %d", value.size,
                       VV_VALUE_SIZE_MAX);
    if (b->count == UINT32_MAX)
        return vv_fail(VV_TOOBIG, "a batch cannot hold more than %u changes", UINT32_MAX);
    return VV_OK;
}

/* `time` stands in front of the value: empty, or the time at which it expires. */
static int add(struct vv_batch *b, enum vv_kind kind, vv_slice key, vv_slice time, vv_slice value)
{
    int rc = check_sizes(b, key, value);
    if (rc < 0)
        return rc;
    size_t most =
        1 + 2 * VV_VARINT_SIZE_MAX + VV_SPACE_SIZE_MAX + key.size + time.size + value.size;
    if ((rc = vv_buf_reserve(&b->ops, most)) < 0)
        return rc;
    uint8_t *at = b->ops.data + b->ops.size;
    *at++ = (uint8_t)kind;
    at += vv_put_varint(at, b->space.size + key.size);
    memcpy(at, b->space.bytes, sizeof b->space.bytes); /* what is too much is overwritten */
    at += b->space.size;
    if (key.size > 0)
        memcpy(at, key.data, key.size);
    at += key.size;
    if (kind != VV_KIND_DELETE) {
        at += vv_put_varint(at, time.size + value.size);
        if (time.size > 0)
            memcpy(at, time.data, time.size);
        at += time.size;
        if (value.size > 0)
            memcpy(at, value.data, value.size);
        at += value.size;
    }
    b->ops.size = (size_t)(at - b->ops.data);
    b->count++;
    return VV_OK;
}

int vv_batch_put(struct vv_batch *b, vv_slice key, vv_slice value)
{
    return add(b, VV_KIND_PUT, key, VV_SLICE_EMPTY, value);
}

int vv_batch_delete(struct vv_batch *b, vv_slice key)
{
    return add(b, VV_KIND_DELETE, key, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
}

static uint8_t *put_bound(uint8_t *at, struct vv_space space, vv_slice key)
{
    at += vv_put_varint(at, space.size + key.size);
    memcpy(at, space.bytes, sizeof space.bytes); /* what is too much is overwritten */
    at += space.size;
    if (key.size > 0)
        memcpy(at, key.data, key.size);
    return at + key.size;
}

int vv_batch_delete_range(struct vv_batch *b, vv_slice from, vv_slice to)
{
    struct vv_space first = from.data != NULL ? b->space : vv_space_first(b->space);
    struct vv_space end = to.data != NULL ? b->space : vv_space_end(b->space);
    vv_assert(to.data != NULL || b->space.size > 0);
    int rc = check_sizes(b, from, VV_SLICE_EMPTY);
    if (rc == VV_OK)
        rc = check_sizes(b, to, VV_SLICE_EMPTY);
    size_t most = 1 + 2 * (VV_VARINT_SIZE_MAX + VV_SPACE_SIZE_MAX) + from.size + to.size;
    if (rc < 0 || (rc = vv_buf_reserve(&b->ops, most)) < 0)
        return rc;
    uint8_t *at = b->ops.data + b->ops.size;
    *at++ = (uint8_t)VV_KIND_DELETE_RANGE;
    at = put_bound(at, first, from);
    at = put_bound(at, end, to);
    b->ops.size = (size_t)(at - b->ops.data);
    b->count++;
    return VV_OK;
}

int vv_batch_put_ref(struct vv_batch *b, vv_slice key, const uint8_t ref[VV_REF_SIZE])
{
    return add(b, VV_KIND_REF, key, VV_SLICE_EMPTY, vv_slice_of(ref, VV_REF_SIZE));
}

int vv_batch_merge(struct vv_batch *b, vv_slice key, vv_slice operand)
{
    return add(b, VV_KIND_MERGE, key, VV_SLICE_EMPTY, operand);
}

static int add_expiring(struct vv_batch *b, enum vv_kind kind, vv_slice key, vv_slice value,
                        uint64_t expires_ms)
{
    uint8_t time[VV_EXPIRY_SIZE];
    vv_put_u64(time, expires_ms);
    return add(b, kind, key, vv_slice_of(time, sizeof time), value);
}

int vv_batch_put_expires(struct vv_batch *b, vv_slice key, vv_slice value, uint64_t expires_ms)
{
    return add_expiring(b, VV_KIND_PUT_EXPIRES, key, value, expires_ms);
}

int vv_batch_put_ref_expires(struct vv_batch *b, vv_slice key, const uint8_t ref[VV_REF_SIZE],
                             uint64_t expires_ms)
{
    return add_expiring(b, VV_KIND_REF_EXPIRES, key, vv_slice_of(ref, VV_REF_SIZE), expires_ms);
}

int vv_batch_append(struct vv_batch *b, const struct vv_batch *more)
{
    size_t size = more->ops.size;
    if (more->count > UINT32_MAX - b->count)
        return vv_fail(VV_TOOBIG, "a batch cannot hold more than %u changes", UINT32_MAX);
    int rc = vv_buf_reserve(&b->ops, size);
    if (rc < 0)
        return rc;
    if (size > 0)
        memcpy(b->ops.data + b->ops.size, more->ops.data, size);
    b->ops.size += size;
    b->count += more->count;
    return VV_OK;
}

static bool well_formed(const struct vv_reader *r, const struct vv_entry *op)
{
    if (r->bad)
        return false;
    return op->key.size <= VV_KEY_SIZE_MAX && vv_kind_fits(op->kind, op->value.size);
}

int vv_batch_next(struct vv_reader *r, struct vv_entry *out)
{
    if (!r->bad && vv_reader_left(r) == 0)
        return VV_END;
    uint8_t head = vv_read_u8(r);
    if (!vv_kind_known(head)) {
        r->bad = true;
        return vv_fail(VV_UNSUPPORTED,
                       "a batch has an operation of kind 0x%02x, which this build does not know",
                       head);
    }
    out->kind = (enum vv_kind)head;
    out->key = vv_read_sized(r);
    out->value = out->kind == VV_KIND_DELETE ? VV_SLICE_EMPTY : vv_read_sized(r);
    if (!well_formed(r, out)) {
        r->bad = true;
        return vv_fail(VV_CORRUPT, "a batch holds bytes that are no operation (kind 0x%02x)", head);
    }
    return VV_OK;
}

int vv_batch_verify(vv_slice ops, uint32_t count)
{
    struct vv_reader r = vv_reader_of(ops);
    struct vv_entry op;
    uint64_t seen = 0;
    int rc;
    while ((rc = vv_batch_next(&r, &op)) == VV_OK)
        seen++;
    if (rc < 0)
        return rc;
    if (seen != count)
        return vv_fail(VV_CORRUPT, "a batch says it has %u operations and has %llu", count,
                       (unsigned long long)seen);
    return VV_OK;
}
