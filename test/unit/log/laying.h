/*
 * What the tests of the log share: records that can be told from one another, and files that can be
 * read and replaced whole.
 */
#ifndef VV_TEST_UNIT_LOG_LAYING_H
#define VV_TEST_UNIT_LOG_LAYING_H

#include "base/rng.h"
#include "harness/test.h"
#include "log/log.h"

#define LOG_PATH   "/a.log"
#define SPARE_PATH "/a.spare"

enum { LAYING_NUMBER = 7, LAYING_PATTERN_BYTES = 1 << 16 };

static const uint8_t laying_uuid[VV_UUID_SIZE] = "the store's uuid";

/* `size_bytes` bytes that depend on `seed` and repeat only every 64 KiB. */
static inline void laying_fill(uint8_t *into, size_t size_bytes, uint64_t seed)
{
    struct vv_rng rng = vv_rng_of(seed);
    size_t fresh = size_bytes < LAYING_PATTERN_BYTES ? size_bytes : LAYING_PATTERN_BYTES;
    for (size_t i = 0; i < fresh; i++)
        into[i] = (uint8_t)vv_rng_next(&rng);
    for (size_t i = fresh; i < size_bytes; i++)
        into[i] = into[i - fresh];
}

/* Whether the bytes are what laying_fill made. */
static inline bool laying_is(vv_slice bytes, uint64_t seed)
{
    struct vv_rng rng = vv_rng_of(seed);
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t wanted = i < LAYING_PATTERN_BYTES ? (uint8_t)vv_rng_next(&rng)
                                                  : bytes.data[i - LAYING_PATTERN_BYTES];
        if (bytes.data[i] != wanted)
            return false;
    }
    return true;
}

static inline struct vv_record laying_record(enum vv_record_type type, uint64_t seq, uint32_t aux,
                                             vv_slice key, vv_slice body)
{
    return (struct vv_record){.type = type,
                              .seq = seq,
                              .aux = aux,
                              .key = key,
                              .body = body,
                              .body_hash = vv_record_hash(key, body)};
}

static inline struct vv_log_create_options laying_options(enum vv_log_kind kind, uint64_t first_seq)
{
    struct vv_log_create_options options = {
        .head = {.kind = kind, .number = LAYING_NUMBER, .first_seq = first_seq}};
    memcpy(options.head.uuid, laying_uuid, VV_UUID_SIZE);
    return options;
}

static inline struct vv_log *laying_create(struct vv_env *env, uint64_t first_seq)
{
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, first_seq);
    struct vv_log *log;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    return log;
}

/* Appends a batch of one operation whose body is made from its sequence. */
static inline int laying_try_append(struct vv_log *log, uint64_t seq, size_t body_size)
{
    uint8_t *body = vv_alloc(body_size);
    CHECK(body != NULL);
    laying_fill(body, body_size, seq);
    struct vv_record record =
        laying_record(VV_RECORD_BATCH, seq, 1, VV_SLICE_EMPTY, vv_slice_of(body, body_size));
    int rc = vv_log_append(log, &record, 1, NULL);
    vv_free(body);
    return rc;
}

static inline void laying_append(struct vv_log *log, uint64_t seq, size_t body_size)
{
    CHECK_OK(laying_try_append(log, seq, body_size));
}

static inline void laying_file_get(struct vv_env *env, const char *path, struct vv_buf *out)
{
    struct vv_file *file;
    uint64_t size_bytes;
    CHECK_OK(vv_env_open(env, path, VV_OPEN_READ, &file));
    CHECK_OK(vv_file_size(file, &size_bytes));
    vv_buf_clear(out);
    CHECK_OK(vv_buf_reserve(out, (size_t)size_bytes + 1));
    CHECK_OK(vv_file_read_whole(file, 0, out->data, (size_t)size_bytes));
    out->size = (size_t)size_bytes;
    vv_file_close(file);
}

static inline void laying_file_put(struct vv_env *env, const char *path, vv_slice content)
{
    struct vv_file *file;
    if (vv_env_open(env, path, VV_OPEN_WRITE, &file) != VV_OK)
        CHECK_OK(vv_env_open(env, path, VV_OPEN_CREATE, &file));
    CHECK_OK(vv_file_truncate(file, 0));
    CHECK_OK(vv_file_write_at(file, 0, &content, 1));
    vv_file_close(file);
}

/* What reading a whole log gave. */
struct laying_result {
    int open_rc;
    int rc;         /* of the read that ended it, or of the open */
    uint64_t count; /* of records in front of that */
    uint64_t last_seq;
    uint64_t end;
    uint64_t seq_seen;
    enum vv_log_tail tail;
};

/* Reads a log of batches as laying_append makes them, and checks that they are whole and in order
 * without a gap. */
static inline struct laying_result laying_read(struct vv_env *env, const char *path,
                                               bool later_prev_synced)
{
    struct vv_log_expect expect = {.kind = VV_LOG_WAL,
                                   .number = LAYING_NUMBER,
                                   .uuid = laying_uuid,
                                   .later_prev_synced = later_prev_synced};
    struct laying_result result = {0};
    struct vv_log_reader *reader;
    struct vv_record record;
    uint64_t offset;
    result.rc = result.open_rc = vv_log_reader_open(env, path, &expect, &reader);
    if (result.open_rc != VV_OK)
        return result;
    while ((result.rc = vv_log_read(reader, &record, &offset)) == VV_OK) {
        CHECK_EQ_INT(record.type, VV_RECORD_BATCH);
        CHECK_EQ_INT(record.key.size, 0);
        if (result.count > 0)
            CHECK_EQ_U64(record.seq, result.last_seq + 1);
        CHECK(laying_is(record.body, record.seq));
        result.last_seq = record.seq;
        result.count++;
    }
    result.tail = vv_log_reader_tail(reader);
    result.end = vv_log_reader_end(reader);
    result.seq_seen = vv_log_reader_seq_seen(reader);
    vv_log_reader_close(reader);
    return result;
}

#endif
