/*
 * The bytes of a log never change. The golden log below was written by the first release; it must
 * be read as it was meant, and the same calls must write it again.
 */
#include "base/coding.h"
#include "base/hash.h"
#include "env/mem.h"
#include "unit/log/laying.h"

static const char golden[] =
    "76617276656c6f67010001005a5a5a5a07000000000000007468652073746f72"
    "6527732075756964640000000000000006000000000000006300000000000000"
    "00401e18240a0600000000000000000000000000000000000000000084096ead"
    "747fccc40e0000000101000002000000640000000000000074776f206f7065726174696f6e730000"
    "e0425c110000000001000000010000006600000000000000"
    "a2558f7104000000010300000300000067000000000000007265667300000000"
    "dfc0bd160400000009000000000000006a00000000000000666f6f7400000000";

static int fixed_random(struct vv_env *env, void *into, size_t size_bytes)
{
    (void)env;
    memset(into, 0x5a, size_bytes);
    return VV_OK;
}

static uint64_t fixed_wall_us(struct vv_env *env)
{
    (void)env;
    return 1700000000000000;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void golden_bytes(struct vv_buf *out)
{
    for (const char *at = golden; *at != 0; at += 2)
        CHECK_OK(vv_buf_append_byte(out, (uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]))));
}

/* Writes what the golden log holds: a batch, a batch with references behind a sync, a large body
 * that is padded, and a seal. */
static void write_golden(struct vv_env *env)
{
    struct vv_env_ops ops = *env->ops;
    const struct vv_env_ops *real = env->ops;
    ops.random = fixed_random;
    ops.wall_us = fixed_wall_us;
    env->ops = &ops;

    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 100);
    options.head.prev_number = 6;
    options.head.prev_seq = 99;
    options.prev_synced = true;
    struct vv_log *log;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    struct vv_record records[] = {
        laying_record(VV_RECORD_BATCH, 100, 2, VV_SLICE_EMPTY, vv_slice_str("two operations")),
        laying_record(VV_RECORD_BATCH, 102, 1, VV_SLICE_EMPTY, VV_SLICE_EMPTY),
        laying_record(VV_RECORD_BATCH, 103, 3, VV_SLICE_EMPTY, vv_slice_str("refs")),
        laying_record(VV_RECORD_SEAL, 106, 0, VV_SLICE_EMPTY, vv_slice_str("foot")),
    };
    records[2].flags = VV_RECORD_HAS_REFS;
    CHECK_OK(vv_log_append(log, records, 2, NULL));
    CHECK_OK(vv_log_sync(log));
    CHECK_OK(vv_log_append(log, records + 2, 2, NULL));
    vv_log_close(log);
    env->ops = real;
}

TEST(the_same_calls_write_the_golden_log)
{
    struct vv_buf wanted = VV_BUF_INIT;
    struct vv_buf written = VV_BUF_INIT;
    struct vv_env *env;
    CHECK_OK(vv_env_mem_new(&env));
    golden_bytes(&wanted);
    write_golden(env);
    laying_file_get(env, LOG_PATH, &written);
    CHECK_BYTES(written.data, written.size, wanted.data, wanted.size);
    vv_buf_deinit(&wanted);
    vv_buf_deinit(&written);
    vv_env_mem_free(env);
}

static void check_record(struct vv_log_reader *r, enum vv_record_type type, uint64_t seq,
                         uint32_t aux, unsigned flags, const char *body)
{
    struct vv_record record;
    CHECK_OK(vv_log_read(r, &record, NULL));
    CHECK_EQ_INT(record.type, type);
    CHECK_EQ_U64(record.seq, seq);
    CHECK_EQ_U64(record.aux, aux);
    CHECK_EQ_INT(record.flags, flags);
    CHECK(vv_slice_equal(record.body, vv_slice_str(body)));
}

TEST(the_golden_log_reads_as_it_was_meant)
{
    struct vv_buf raw = VV_BUF_INIT;
    struct vv_env *env;
    struct vv_log_reader *r;
    struct vv_record record;
    CHECK_OK(vv_env_mem_new(&env));
    golden_bytes(&raw);
    laying_file_put(env, LOG_PATH, vv_buf_slice(&raw));
    struct vv_log_expect expect = {
        .kind = VV_LOG_WAL, .number = LAYING_NUMBER, .uuid = laying_uuid};
    CHECK_OK(vv_log_reader_open(env, LOG_PATH, &expect, &r));

    const struct vv_log_head *head = vv_log_reader_head(r);
    CHECK_EQ_U64(head->salt, 0x5a5a5a5a);
    CHECK_EQ_U64(head->first_seq, 100);
    CHECK_EQ_U64(head->prev_number, 6);
    CHECK_EQ_U64(head->prev_seq, 99);
    CHECK_EQ_U64(head->created_us, 1700000000000000);
    CHECK_EQ_U64(head->stale_end, 0);

    check_record(r, VV_RECORD_BATCH, 100, 2, VV_RECORD_PREV_SYNCED, "two operations");
    check_record(r, VV_RECORD_BATCH, 102, 1, 0, "");
    check_record(r, VV_RECORD_BATCH, 103, 3, VV_RECORD_PREV_SYNCED | VV_RECORD_HAS_REFS, "refs");
    check_record(r, VV_RECORD_SEAL, 106, 0, 0, "foot");
    CHECK_RC(vv_log_read(r, &record, NULL), VV_END);
    CHECK_EQ_INT(vv_log_reader_tail(r), VV_LOG_TAIL_CLEAN);
    CHECK_EQ_U64(vv_log_reader_end(r), raw.size);
    CHECK_EQ_U64(vv_log_reader_seq_seen(r), 105);
    vv_log_reader_close(r);
    vv_buf_deinit(&raw);
    vv_env_mem_free(env);
}

/* Recomputes the header's check, so that other refusals can be seen. */
static void resign(uint8_t *raw)
{
    vv_put_u32(raw + 92, vv_checksum(vv_slice_of(raw, 92), 0));
}

TEST(a_header_of_another_time_is_unsupported_and_a_damaged_one_corrupt)
{
    struct vv_buf raw = VV_BUF_INIT;
    struct vv_log_head head;
    golden_bytes(&raw);
    vv_slice whole = vv_slice_of(raw.data, VV_LOG_HEAD_SIZE);
    CHECK_OK(vv_log_head_decode(whole, "x", &head));
    for (size_t i = 0; i < VV_LOG_HEAD_SIZE; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            raw.data[i] ^= (uint8_t)(1u << bit);
            CHECK_RC(vv_log_head_decode(whole, "x", &head), VV_CORRUPT);
            raw.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    static const struct {
        size_t at;
        uint8_t value;
        int rc;
    } changes[] = {
        {8, 2, VV_UNSUPPORTED},  /* version */
        {10, 0, VV_UNSUPPORTED}, /* kind */
        {10, 5, VV_UNSUPPORTED},   {11, 1, VV_UNSUPPORTED},
        {72, 1, VV_UNSUPPORTED},                   /* required features */
        {75, 128, VV_UNSUPPORTED}, {84, 1, VV_OK}, /* reserved */
        {0, 'V', VV_CORRUPT},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t right = raw.data[changes[i].at];
        raw.data[changes[i].at] = changes[i].value;
        resign(raw.data);
        CHECK_RC(vv_log_head_decode(whole, "x", &head), changes[i].rc);
        raw.data[changes[i].at] = right;
    }
    vv_buf_deinit(&raw);
}

TEST(a_header_that_was_never_written_is_no_damage)
{
    uint8_t raw[VV_LOG_HEAD_SIZE] = {0};
    struct vv_log_head head;
    CHECK_RC(vv_log_head_decode(VV_SLICE_EMPTY, "x", &head), VV_END);
    CHECK_RC(vv_log_head_decode(vv_slice_of(raw, sizeof raw), "x", &head), VV_END);
    raw[0] = 'v';
    CHECK_RC(vv_log_head_decode(vv_slice_of(raw, 95), "x", &head), VV_END);
    CHECK_RC(vv_log_head_decode(vv_slice_of(raw, 96), "x", &head), VV_CORRUPT);
}

TEST(the_hash_of_a_record_without_key_is_the_hash_of_its_body)
{
    vv_slice body = vv_slice_str("some operations");
    CHECK_EQ_U64(vv_record_hash(VV_SLICE_EMPTY, body), vv_hash(body));
    CHECK(vv_record_hash(vv_slice_str("k"), body) != vv_hash(body));
    CHECK(vv_record_hash(vv_slice_str("k"), body) != vv_record_hash(vv_slice_str("l"), body));
}

TEST(a_record_takes_its_header_and_whole_words)
{
    CHECK_EQ_U64(vv_record_size(0, 0), 24);
    CHECK_EQ_U64(vv_record_size(0, 1), 32);
    CHECK_EQ_U64(vv_record_size(3, 5), 32);
    CHECK_EQ_U64(vv_record_size(4, 5), 40);
    CHECK_EQ_U64(vv_record_size(65536, UINT32_MAX - 65536), (uint64_t)UINT32_MAX + 25);
}
