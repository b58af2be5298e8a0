/*
 * A batch: changes that happen together, as they stand in the log.
 *
 * operation   varints and bytes, one operation after another
 *    kind      u8      low 4 bits: enum vv_kind; the other bits are zero in this version
 *    key_size  varint
 *    key       bytes
 *    size      varint  of the value; absent for DELETE
 *    value     bytes   for REF a value reference of 16 bytes, for DELETE_RANGE the key up to which,
 *                      itself excluded, all from `key` on are deleted; PUT_EXPIRES, REF_EXPIRES:
 *                      kv/expiry.h
 *
 * How many operations there are is said outside (in the log record's aux field). Operation number i
 * has sequence first + i.
 */
#ifndef VV_KV_BATCH_H
#define VV_KV_BATCH_H

#include "base/buf.h"
#include "base/coding.h"
#include "kv/entry.h"

/* Zeroed memory is an empty batch. */
struct vv_batch {
    struct vv_buf ops;
    uint32_t count;
    struct vv_space space; /* goes in front of each key that is added */
};

void vv_batch_deinit(struct vv_batch *b); /* leaves it empty and usable */
void vv_batch_clear(struct vv_batch *b);  /* keeps the memory */

/* Copy their arguments. VV_TOOBIG, with a story, for keys and values over the limits; VV_NOMEM. On
 * failure the batch is as before. */
VV_MUST int vv_batch_put(struct vv_batch *b, vv_slice key, vv_slice value);
VV_MUST int vv_batch_delete(struct vv_batch *b, vv_slice key);
/* The keys from `from` up to and excluding `to`; data NULL: from the first, to the last of the
 * keyspace, which then must be set. An empty range deletes nothing, and is a change all the same. */
VV_MUST int vv_batch_delete_range(struct vv_batch *b, vv_slice from, vv_slice to);
VV_MUST int vv_batch_put_ref(struct vv_batch *b, vv_slice key, const uint8_t ref[VV_REF_SIZE]);
VV_MUST int vv_batch_merge(struct vv_batch *b, vv_slice key, vv_slice operand);
/* The same, gone at the time `expires_ms` (kv/expiry.h). */
VV_MUST int vv_batch_put_expires(struct vv_batch *b, vv_slice key, vv_slice value,
                                 uint64_t expires_ms);
VV_MUST int vv_batch_put_ref_expires(struct vv_batch *b, vv_slice key,
                                     const uint8_t ref[VV_REF_SIZE], uint64_t expires_ms);

/* Appends all operations of `more`, which may be `b` itself. Fails as the above. */
VV_MUST int vv_batch_append(struct vv_batch *b, const struct vv_batch *more);

/* Reads the next operation into `out` (its `seq` is left alone; the slices point into the batch).
 * VV_OK, VV_END after the last, VV_CORRUPT for bytes that are no operation. VV_UNSUPPORTED for a
 * kind that is not known: batches are read behind a checksum, so a newer version wrote it. */
VV_MUST int vv_batch_next(struct vv_reader *r, struct vv_entry *out);

/* Walks all operations: VV_CORRUPT unless there are exactly `count` well-formed ones, VV_UNSUPPORTED
 * as above. */
VV_MUST int vv_batch_verify(vv_slice ops, uint32_t count);

#endif
