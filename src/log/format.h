/*
 * The bytes of a log, without any file: headers and records encoded, decoded and checked. The
 * tables stand in log.h. Private to this room.
 */
#ifndef VV_LOG_FORMAT_H
#define VV_LOG_FORMAT_H

#include "log/log.h"

enum { VV_RECORD_KEY_SIZE_MAX = 65540, VV_RECORD_KEY_LONG = 65536, VV_RECORD_ALIGN = 8 };

/* A record's header, with the key size worked out. */
struct vv_record_head {
    uint32_t check;
    uint32_t size_bytes; /* of key and body together; at least key_size */
    uint8_t type;        /* not 0, else perhaps unknown */
    uint8_t flags;       /* perhaps unknown ones */
    uint32_t key_size;
    uint32_t aux;
    uint64_t seq; /* seq + vv_record_head_count() does not wrap */
};

/* The next multiple of VV_RECORD_ALIGN. */
static inline uint64_t vv_record_pad(uint64_t size_bytes)
{
    return (size_bytes + (VV_RECORD_ALIGN - 1)) & ~(uint64_t)(VV_RECORD_ALIGN - 1);
}

/* Whether every byte is zero. */
bool vv_log_is_blank(vv_slice bytes);

/* Whether records of this kind of log continue one another's sequences. */
bool vv_log_is_continuous(enum vv_log_kind kind);

void vv_log_head_encode(const struct vv_log_head *head, uint8_t into[VV_LOG_HEAD_SIZE]);

/* False when the bytes can be no record, in whatever version of the format. */
VV_MUST bool vv_record_head_decode(const uint8_t raw[VV_RECORD_HEAD_SIZE],
                                   struct vv_record_head *out);

/* Writes the header; `check` is computed here. */
void vv_record_head_encode(const struct vv_record_head *head, uint64_t body_hash, uint32_t salt,
                           uint64_t offset, uint8_t into[VV_RECORD_HEAD_SIZE]);

/* Whether a log of this kind may hold such a record: a type that belongs there, with no flag and no
 * number set that it does not use. Random bytes pass once in 2^30. */
bool vv_record_head_fits(const struct vv_record_head *head, enum vv_log_kind kind);

/* How many sequence numbers the record takes. */
uint64_t vv_record_head_count(const struct vv_record_head *head);

/* The bytes that such a record takes in the file. */
uint64_t vv_record_head_extent(const struct vv_record_head *head);

/* Whether `raw`, all vv_record_head_extent() bytes of it, is the record that was laid at `offset`
 * in this life of the file; then `out` points into it. */
VV_MUST bool vv_record_verify(const struct vv_record_head *head, const uint8_t *raw, uint32_t salt,
                              uint64_t offset, struct vv_record *out);

/* Whether it would be, if its header showed the sequence `seq`. */
VV_MUST bool vv_record_verify_as(const struct vv_record_head *head, const uint8_t *raw,
                                 uint64_t seq, uint32_t salt, uint64_t offset);

#endif
