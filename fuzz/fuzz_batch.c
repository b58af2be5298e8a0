/*
 * Bytes that may be a batch: they are refused, or they are exactly what the encoder writes for the
 * operations that were read.
 *
 * The first byte says how many operations there are said to be.
 */
#include "base/error.h"
#include "kv/batch.h"
#include "kv/expiry.h"
#include "kv/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int encode(struct vv_batch *b, const struct vv_entry *op)
{
    struct vv_ref ref;
    uint8_t raw[VV_REF_SIZE];
    uint64_t expires_ms = vv_expiry_of(op->kind, op->value);
    vv_slice value = vv_expiry_strip(op->kind, op->value);
    switch (op->kind) {
    case VV_KIND_PUT: return vv_batch_put(b, op->key, op->value);
    case VV_KIND_DELETE: vv_assert(op->value.size == 0); return vv_batch_delete(b, op->key);
    case VV_KIND_REF:
        vv_assert(vv_ref_decode(op->value, &ref));
        vv_ref_encode(ref, raw);
        return vv_batch_put_ref(b, op->key, raw);
    case VV_KIND_DELETE_RANGE: return vv_batch_delete_range(b, op->key, op->value);
    case VV_KIND_PUT_EXPIRES: return vv_batch_put_expires(b, op->key, value, expires_ms);
    case VV_KIND_REF_EXPIRES: return vv_batch_put_ref_expires(b, op->key, value.data, expires_ms);
    case VV_KIND_MERGE: return vv_batch_merge(b, op->key, op->value);
    }
    return vv_fail(VV_CORRUPT, "kind %d", (int)op->kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vv_batch again = {0};
    struct vv_entry op;
    int rc;
    if (size == 0)
        return 0;
    vv_slice ops = vv_slice_of(data + 1, size - 1);
    struct vv_reader r = vv_reader_of(ops);
    while ((rc = vv_batch_next(&r, &op)) == VV_OK) {
        int encoded = encode(&again, &op);
        vv_assert(encoded == VV_OK);
    }
    vv_assert(again.ops.size <= ops.size);
    vv_assert(vv_slice_equal(vv_buf_slice(&again.ops), vv_slice_of(ops.data, again.ops.size)));
    vv_assert((rc == VV_END) == (again.ops.size == ops.size));
    int verified = vv_batch_verify(ops, again.count);
    vv_assert(verified == (rc == VV_END ? VV_OK : rc));
    verified = vv_batch_verify(ops, data[0]);
    int wrong_count = data[0] == again.count ? VV_OK : VV_CORRUPT;
    vv_assert(verified == (rc == VV_END ? wrong_count : rc));
    vv_assert(rc == VV_END || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
    vv_batch_deinit(&again);
    return 0;
}
