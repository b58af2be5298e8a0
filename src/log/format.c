#include "log/format.h"

#include "base/coding.h"
#include "base/hash.h"

enum {
    VERSION = 1,
    HINT_KEPT = 1,
    CHECK_AT = 92,     /* of a file header; covers all bytes in front of it */
    CHECKED_SIZE = 36, /* what a record's check hashes: 20 of the header, body hash, offset */
    FLAGS_EVERYWHERE = VV_RECORD_PREV_SYNCED,
};

static const uint8_t magic[8] = {'v', 'a', 'r', 'v', 'e', 'l', 'o', 'g'};

bool vv_log_is_blank(vv_slice bytes)
{
    /* Bytes that equal their neighbours and begin with zero are all zero. */
    return bytes.size == 0 ||
           (bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.size - 1) == 0);
}

bool vv_log_is_continuous(enum vv_log_kind kind)
{
    return kind == VV_LOG_WAL || kind == VV_LOG_MANIFEST;
}

/* ---- the file's header */

void vv_log_head_encode(const struct vv_log_head *head, uint8_t into[VV_LOG_HEAD_SIZE])
{
    memset(into, 0, VV_LOG_HEAD_SIZE);
    memcpy(into, magic, sizeof magic);
    vv_put_u16(into + 8, VERSION);
    vv_put_u16(into + 10, (uint16_t)head->kind);
    vv_put_u32(into + 12, head->salt);
    vv_put_u64(into + 16, head->number);
    memcpy(into + 24, head->uuid, VV_UUID_SIZE);
    vv_put_u64(into + 40, head->first_seq);
    vv_put_u64(into + 48, head->prev_number);
    vv_put_u64(into + 56, head->prev_seq);
    vv_put_u64(into + 64, head->created_us);
    vv_put_u64(into + 76, head->stale_end);
    vv_put_u32(into + 84, head->kept ? HINT_KEPT : 0);
    vv_put_u32(into + CHECK_AT, vv_checksum(vv_slice_of(into, CHECK_AT), 0));
}

static void head_read(const uint8_t *raw, struct vv_log_head *out)
{
    out->kind = (enum vv_log_kind)vv_get_u16(raw + 10);
    out->salt = vv_get_u32(raw + 12);
    out->number = vv_get_u64(raw + 16);
    memcpy(out->uuid, raw + 24, VV_UUID_SIZE);
    out->first_seq = vv_get_u64(raw + 40);
    out->prev_number = vv_get_u64(raw + 48);
    out->prev_seq = vv_get_u64(raw + 56);
    out->created_us = vv_get_u64(raw + 64);
    out->stale_end = vv_get_u64(raw + 76);
    out->kept = (vv_get_u32(raw + 84) & HINT_KEPT) != 0;
}

int vv_log_head_decode(vv_slice raw, const char *name, struct vv_log_head *out)
{
    if (raw.size < VV_LOG_HEAD_SIZE || vv_log_is_blank(vv_slice_of(raw.data, VV_LOG_HEAD_SIZE)))
        return VV_END;
    if (memcmp(raw.data, magic, sizeof magic) != 0)
        return vv_fail(VV_CORRUPT, "%s does not begin like a log at offset 0", name);
    /* The check comes before the version, so that damage to the version is damage. */
    if (vv_checksum(vv_slice_of(raw.data, CHECK_AT), 0) != vv_get_u32(raw.data + CHECK_AT))
        return vv_fail(VV_CORRUPT, "%s: the header at offset 0 fails its checksum", name);

    unsigned version = vv_get_u16(raw.data + 8);
    unsigned kind = vv_get_u16(raw.data + 10);
    uint32_t required = vv_get_u32(raw.data + 72);
    if (version != VERSION)
        return vv_fail(VV_UNSUPPORTED, "%s is a log of version %u, this build knows %d", name,
                       version, VERSION);
    if (kind < VV_LOG_WAL || kind > VV_LOG_MANIFEST)
        return vv_fail(VV_UNSUPPORTED, "%s is a log of unknown kind %u", name, kind);
    if (required != 0)
        return vv_fail(VV_UNSUPPORTED, "%s needs features 0x%x that this build lacks", name,
                       required);
    head_read(raw.data, out);
    return VV_OK;
}

/* ---- records */

uint64_t vv_record_hash(vv_slice key, vv_slice body)
{
    return vv_hash_seeded(body, key.size > 0 ? vv_hash(key) : 0);
}

uint64_t vv_record_size(size_t key_size, size_t body_size)
{
    return vv_record_pad((uint64_t)VV_RECORD_HEAD_SIZE + key_size + body_size);
}

uint64_t vv_record_head_count(const struct vv_record_head *head)
{
    if (head->type == VV_RECORD_BATCH)
        return head->aux;
    return head->type == VV_RECORD_EDIT ? 1 : 0;
}

uint64_t vv_record_head_extent(const struct vv_record_head *head)
{
    return vv_record_size(0, head->size_bytes);
}

/* Of the header with `seq` in place of its own sequence. */
static uint32_t record_check(const uint8_t *raw, uint64_t seq, uint64_t body_hash, uint32_t salt,
                             uint64_t offset)
{
    uint8_t bound[CHECKED_SIZE];
    memcpy(bound, raw + 4, 12);
    vv_put_u64(bound + 12, seq);
    vv_put_u64(bound + 20, body_hash);
    vv_put_u64(bound + 28, offset);
    return vv_checksum(vv_slice_of(bound, sizeof bound), salt);
}

void vv_record_head_encode(const struct vv_record_head *head, uint64_t body_hash, uint32_t salt,
                           uint64_t offset, uint8_t into[VV_RECORD_HEAD_SIZE])
{
    bool long_key = head->key_size >= VV_RECORD_KEY_LONG;
    vv_assert(head->key_size <= VV_RECORD_KEY_SIZE_MAX && head->key_size <= head->size_bytes);
    vv_assert(long_key == ((head->flags & VV_RECORD_KEY_64K) != 0));
    vv_put_u32(into + 4, head->size_bytes);
    into[8] = head->type;
    into[9] = head->flags;
    vv_put_u16(into + 10, (uint16_t)(head->key_size & 0xffff));
    vv_put_u32(into + 12, head->aux);
    vv_put_u64(into + 16, head->seq);
    vv_put_u32(into, record_check(into, head->seq, body_hash, salt, offset));
}

bool vv_record_head_decode(const uint8_t raw[VV_RECORD_HEAD_SIZE], struct vv_record_head *out)
{
    out->check = vv_get_u32(raw);
    out->size_bytes = vv_get_u32(raw + 4);
    out->type = raw[8];
    out->flags = raw[9];
    out->key_size = vv_get_u16(raw + 10);
    out->aux = vv_get_u32(raw + 12);
    out->seq = vv_get_u64(raw + 16);
    if ((out->flags & VV_RECORD_KEY_64K) != 0) {
        out->key_size += VV_RECORD_KEY_LONG;
        if (out->key_size > VV_RECORD_KEY_SIZE_MAX)
            return false;
    }
    /* Zeros must never be a record, whatever their checksum: type 0 does not exist. */
    return out->type != 0 && out->key_size <= out->size_bytes &&
           out->seq <= UINT64_MAX - vv_record_head_count(out);
}

bool vv_record_head_fits(const struct vv_record_head *head, enum vv_log_kind kind)
{
    bool keyless = head->key_size == 0 && (head->flags & VV_RECORD_KEY_64K) == 0;
    unsigned extra = head->flags & ~(unsigned)FLAGS_EVERYWHERE;
    switch (head->type) {
    case VV_RECORD_BATCH:
        return (kind == VV_LOG_WAL || kind == VV_LOG_HASH) && keyless &&
               (extra & ~(unsigned)VV_RECORD_HAS_REFS) == 0;
    case VV_RECORD_EDIT: return kind == VV_LOG_MANIFEST && keyless && extra == 0 && head->aux == 0;
    case VV_RECORD_KV:
        return (kind == VV_LOG_VALUES || kind == VV_LOG_HASH) &&
               (extra & ~(unsigned)VV_RECORD_KEY_64K) == 0 && head->aux == 0;
    case VV_RECORD_SEAL: return keyless && extra == 0 && head->aux == 0;
    default: return false;
    }
}

static vv_slice record_key(const struct vv_record_head *head, const uint8_t *raw)
{
    return vv_slice_of(raw + VV_RECORD_HEAD_SIZE, head->key_size);
}

static vv_slice record_body(const struct vv_record_head *head, const uint8_t *raw)
{
    return vv_slice_of(raw + VV_RECORD_HEAD_SIZE + head->key_size,
                       head->size_bytes - head->key_size);
}

bool vv_record_verify_as(const struct vv_record_head *head, const uint8_t *raw, uint64_t seq,
                         uint32_t salt, uint64_t offset)
{
    uint64_t body_hash = vv_record_hash(record_key(head, raw), record_body(head, raw));
    return record_check(raw, seq, body_hash, salt, offset) == head->check;
}

bool vv_record_verify(const struct vv_record_head *head, const uint8_t *raw, uint32_t salt,
                      uint64_t offset, struct vv_record *out)
{
    size_t used = (size_t)VV_RECORD_HEAD_SIZE + head->size_bytes;
    size_t padding = (size_t)(vv_record_head_extent(head) - used);
    if (!vv_log_is_blank(vv_slice_of(raw + used, padding)))
        return false;
    vv_slice key = record_key(head, raw);
    vv_slice body = record_body(head, raw);
    uint64_t body_hash = vv_record_hash(key, body);
    if (record_check(raw, head->seq, body_hash, salt, offset) != head->check)
        return false;
    *out = (struct vv_record){.type = (enum vv_record_type)head->type,
                              .flags = head->flags,
                              .aux = head->aux,
                              .seq = head->seq,
                              .key = key,
                              .body = body,
                              .body_hash = body_hash};
    return true;
}
