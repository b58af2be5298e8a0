/*
 * A log's bytes from anywhere. The first byte chooses where from:
 *
 *    0  the bytes are the file
 *    1  the same, but headers and records get checks that fit, so that decoding goes deep
 *    2  a story: records are laid, then the file is damaged, as the bytes say
 *
 * Whatever they are, each record read is in order, inside the file, and has the one encoding that
 * stands there; of a story, what is read is a prefix of what was laid, and no shorter than what
 * stands in front of the damage.
 */
#include "base/coding.h"
#include "base/error.h"
#include "base/hash.h"
#include "env/mem.h"
#include "log/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 64, BODY_SIZE_MAX = 5000 };

static const char path[] = "/fuzz.log";

static void must(int rc)
{
    vv_assert(rc == VV_OK);
}

/* The check of log.h, written a second time. */
static uint32_t check_of(const uint8_t *raw, vv_slice key, vv_slice body, uint32_t salt,
                         uint64_t offset)
{
    uint8_t bound[36];
    memcpy(bound, raw + 4, 20);
    vv_put_u64(bound + 20, vv_record_hash(key, body));
    vv_put_u64(bound + 28, offset);
    return vv_checksum(vv_slice_of(bound, sizeof bound), salt);
}

/* ---- whatever the bytes are */

/* The record stands in the file as the table in log.h says. */
static void check_encoding(vv_slice file, const struct vv_record *record, uint64_t offset,
                           uint32_t salt)
{
    uint64_t extent = vv_record_size(record->key.size, record->body.size);
    vv_assert(offset % 8 == 0 && offset <= file.size && extent <= file.size - offset);
    const uint8_t *raw = file.data + offset;
    vv_slice rest = vv_slice_of(raw + VV_RECORD_HEAD_SIZE, (size_t)extent - VV_RECORD_HEAD_SIZE);
    bool long_key = record->key.size == 65536;
    vv_assert(vv_get_u32(raw) == check_of(raw, record->key, record->body, salt, offset));
    vv_assert(vv_get_u32(raw + 4) == record->key.size + record->body.size);
    vv_assert(raw[8] == (uint8_t)record->type && raw[9] == record->flags);
    vv_assert(vv_get_u16(raw + 10) == (long_key ? 0 : record->key.size));
    vv_assert(long_key == ((record->flags & VV_RECORD_KEY_64K) != 0));
    vv_assert(vv_get_u32(raw + 12) == record->aux && vv_get_u64(raw + 16) == record->seq);
    vv_assert(vv_slice_starts(rest, record->key));
    rest = vv_slice_skip(rest, record->key.size);
    vv_assert(vv_slice_starts(rest, record->body));
    rest = vv_slice_skip(rest, record->body.size);
    for (size_t i = 0; i < rest.size; i++)
        vv_assert(rest.data[i] == 0);
}

static void check_order(const struct vv_log_head *head, const struct vv_record *record,
                        const uint64_t *next_seq)
{
    vv_assert(record->seq >= head->first_seq);
    if (next_seq != NULL && (head->kind == VV_LOG_WAL || head->kind == VV_LOG_MANIFEST))
        vv_assert(record->seq == *next_seq);
}

static void check_end(struct vv_log_reader *r, int rc, uint64_t end)
{
    struct vv_record record;
    vv_assert(rc == VV_END || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
    vv_assert(vv_log_reader_end(r) == end);
    int again = vv_log_read(r, &record, NULL);
    vv_assert(again == rc);
    while (rc == VV_CORRUPT && vv_log_reader_skip(r) == VV_OK) {
        uint64_t offset;
        must(vv_log_read(r, &record, &offset));
        vv_assert(offset >= end);
        while ((rc = vv_log_read(r, &record, &offset)) == VV_OK) {
        }
        end = vv_log_reader_end(r);
    }
}

/* Gives how many records there are in front of whatever ends them. */
static size_t check_reading(struct vv_env *env, vv_slice bytes, bool later_prev_synced)
{
    struct vv_log_reader *r;
    struct vv_record record;
    struct vv_log_expect expect = {.later_prev_synced = later_prev_synced};
    uint64_t end = VV_LOG_HEAD_SIZE;
    uint64_t next_seq = 0;
    uint64_t offset;
    size_t count = 0;
    int rc = vv_log_reader_open(env, path, &expect, &r);
    if (rc != VV_OK) {
        vv_assert(rc == VV_END || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
        return 0;
    }
    const struct vv_log_head *head = vv_log_reader_head(r);
    while ((rc = vv_log_read(r, &record, &offset)) == VV_OK) {
        vv_assert(offset == end);
        check_encoding(bytes, &record, offset, head->salt);
        check_order(head, &record, count > 0 ? &next_seq : NULL);
        next_seq = record.seq + (record.type == VV_RECORD_BATCH  ? record.aux
                                 : record.type == VV_RECORD_EDIT ? 1
                                                                 : 0);
        end += vv_record_size(record.key.size, record.body.size);
        count++;
    }
    check_end(r, rc, end);
    vv_log_reader_close(r);
    return count;
}

static void check_reference(struct vv_env *env, vv_slice bytes)
{
    struct vv_file *file;
    struct vv_log_head head;
    struct vv_buf scratch = VV_BUF_INIT;
    struct vv_record record;
    if (vv_log_head_decode(bytes, path, &head) != VV_OK)
        return;
    must(vv_env_open(env, path, VV_OPEN_READ, &file));
    for (uint64_t offset = VV_LOG_HEAD_SIZE; offset < bytes.size; offset += 8) {
        if (vv_log_read_at(file, path, &head, offset, &scratch, &record) == VV_OK)
            check_encoding(bytes, &record, offset, head.salt);
    }
    vv_buf_deinit(&scratch);
    vv_file_close(file);
}

static void put_file(struct vv_env *env, vv_slice bytes)
{
    struct vv_file *file;
    must(vv_env_open(env, path, VV_OPEN_CREATE, &file));
    must(vv_file_write_at(file, 0, &bytes, 1));
    vv_file_close(file);
}

/* ---- checks that fit */

static uint64_t fit_record(uint8_t *raw, uint64_t left, uint32_t salt, uint64_t offset)
{
    uint64_t size_bytes = vv_get_u32(raw + 4);
    size_t key_size = (raw[9] & VV_RECORD_KEY_64K) != 0 ? 65536 : vv_get_u16(raw + 10);
    if (size_bytes > left - VV_RECORD_HEAD_SIZE || key_size > size_bytes)
        return 8;
    vv_slice key = vv_slice_of(raw + VV_RECORD_HEAD_SIZE, key_size);
    vv_slice body = vv_slice_of(key.data + key_size, (size_t)size_bytes - key_size);
    vv_put_u32(raw, check_of(raw, key, body, salt, offset));
    return vv_record_size(0, (size_t)size_bytes);
}

static void fit_checks(uint8_t *raw, size_t size)
{
    if (size < VV_LOG_HEAD_SIZE)
        return;
    vv_put_u32(raw + 92, vv_checksum(vv_slice_of(raw, 92), 0));
    uint32_t salt = vv_get_u32(raw + 12);
    uint64_t offset = VV_LOG_HEAD_SIZE;
    while (offset < size && size - offset >= VV_RECORD_HEAD_SIZE)
        offset += fit_record(raw + offset, size - offset, salt, offset);
}

static void check_bytes(const uint8_t *data, size_t size, bool fitting)
{
    struct vv_env *env;
    must(vv_env_mem_new(&env));
    uint8_t *raw = vv_memdup(data, size);
    vv_assert(raw != NULL);
    if (fitting)
        fit_checks(raw, size);
    vv_slice bytes = vv_slice_of(raw, size);
    put_file(env, bytes);
    size_t count = check_reading(env, bytes, false);
    size_t again = check_reading(env, bytes, true);
    vv_assert(count == again || again == 0);
    check_reference(env, bytes);
    vv_free(raw);
    vv_env_mem_free(env);
}

/* ---- stories */

struct story {
    struct vv_env *env;
    struct vv_reader script;
    uint64_t ends[RECORDS_MAX + 1]; /* of record i; [0] is where the first begins */
    uint32_t hashes[RECORDS_MAX];   /* of the bodies */
    size_t count;
    uint64_t damaged_from; /* the first byte that is not as it was laid */
};

static void lay(struct story *s)
{
    static const uint8_t bytes[BODY_SIZE_MAX] = "a body of which any part may be taken";
    struct vv_log_create_options options = {.head = {.kind = VV_LOG_WAL, .first_seq = 1}};
    struct vv_log *log;
    must(vv_log_create(s->env, path, &options, &log));
    s->ends[0] = VV_LOG_HEAD_SIZE;
    size_t wanted = vv_read_u8(&s->script) % RECORDS_MAX;
    while (s->count < wanted) {
        uint16_t choice = vv_read_u16(&s->script);
        vv_slice body = vv_slice_of(bytes + s->count, (choice >> 1) % (BODY_SIZE_MAX - 64));
        struct vv_record record = {.type = VV_RECORD_BATCH,
                                   .aux = 1,
                                   .seq = 1 + s->count,
                                   .body = body,
                                   .body_hash = vv_record_hash(VV_SLICE_EMPTY, body)};
        must(vv_log_append(log, &record, 1, NULL));
        s->hashes[s->count++] = (uint32_t)record.body_hash;
        s->ends[s->count] = vv_log_size(log);
        if ((choice & 1) != 0)
            must(vv_log_sync(log));
    }
    vv_log_close(log);
}

static void damage(struct story *s)
{
    struct vv_file *file;
    uint64_t size_bytes;
    must(vv_env_open(s->env, path, VV_OPEN_WRITE, &file));
    s->damaged_from = UINT64_MAX;
    while (vv_reader_left(&s->script) >= 4) {
        static const uint8_t zeros[256];
        must(vv_file_size(file, &size_bytes));
        uint8_t what = vv_read_u8(&s->script);
        uint64_t at = (uint64_t)vv_read_u8(&s->script) << 8;
        at |= vv_read_u8(&s->script);
        at = VV_LOG_HEAD_SIZE + at % (s->ends[s->count] - VV_LOG_HEAD_SIZE + 64);
        uint8_t value = vv_read_u8(&s->script);
        if (what % 4 == 0)
            must(vv_file_truncate(file, at < size_bytes ? at : size_bytes));
        else if (what % 4 == 1)
            must(vv_file_write_at(file, at, &(vv_slice){zeros, value}, 1));
        else
            must(vv_file_write_at(file, at, &(vv_slice){&value, 1}, 1));
        if (at < s->damaged_from)
            s->damaged_from = at;
    }
    vv_file_close(file);
}

static void check_prefix(struct story *s)
{
    struct vv_log_reader *r;
    struct vv_record record;
    size_t count = 0;
    int rc;
    must(vv_log_reader_open(s->env, path, &(struct vv_log_expect){.kind = VV_LOG_WAL}, &r));
    while ((rc = vv_log_read(r, &record, NULL)) == VV_OK) {
        vv_assert(count < s->count && record.seq == 1 + count);
        vv_assert((uint32_t)vv_hash(record.body) == s->hashes[count]);
        count++;
    }
    vv_assert(rc == VV_END || rc == VV_CORRUPT);
    size_t sound = 0;
    while (sound < s->count && s->ends[sound + 1] <= s->damaged_from)
        sound++;
    vv_assert(count >= sound);
    vv_assert(vv_log_reader_end(r) == s->ends[count]);
    vv_assert(vv_log_reader_seq_seen(r) >= count);
    vv_log_reader_close(r);
}

static void check_story(const uint8_t *data, size_t size)
{
    struct story s = {.script = vv_reader_of(vv_slice_of(data, size))};
    must(vv_env_mem_new(&s.env));
    lay(&s);
    damage(&s);
    check_prefix(&s);
    vv_env_mem_free(s.env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 20)
        return 0;
    if (data[0] % 3 == 2)
        check_story(data + 1, size - 1);
    else
        check_bytes(data + 1, size - 1, data[0] % 3 == 1);
    return 0;
}
