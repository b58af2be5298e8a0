/*
 * Whatever happens to a log's bytes, reading gives the records in front of the damage, and then
 * tells a torn tail from rot: rot is what a later record or log proves to have been synced.
 */
#include "base/coding.h"
#include "base/error.h"
#include "env/mem.h"
#include "unit/log/laying.h"

#include <stdio.h>

enum { RECORDS = 6 };

/* A log as bytes, and where its records begin; starts[RECORDS] is its end. */
struct sample {
    struct vv_env *env;
    struct vv_buf raw;
    uint64_t starts[RECORDS + 1];
};

static size_t body_size_of(size_t i)
{
    static const size_t body_sizes[RECORDS] = {13, 0, 40, 5, 100, 3};
    return body_sizes[i];
}

static void sample_init(struct sample *s, uint64_t first_seq, bool synced)
{
    memset(s, 0, sizeof *s);
    CHECK_OK(vv_env_mem_new(&s->env));
    struct vv_log *log = laying_create(s->env, first_seq);
    for (size_t i = 0; i < RECORDS; i++) {
        s->starts[i] = vv_log_size(log);
        laying_append(log, first_seq + i, body_size_of(i));
        if (synced)
            CHECK_OK(vv_log_sync(log));
    }
    s->starts[RECORDS] = vv_log_size(log);
    vv_log_close(log);
    laying_file_get(s->env, LOG_PATH, &s->raw);
}

static void sample_deinit(struct sample *s)
{
    vv_buf_deinit(&s->raw);
    vv_env_mem_free(s->env);
}

static struct laying_result read_bytes(struct sample *s, vv_slice bytes, bool later_prev_synced)
{
    laying_file_put(s->env, LOG_PATH, bytes);
    return laying_read(s->env, LOG_PATH, later_prev_synced);
}

static struct laying_result reread(struct sample *s, bool later_prev_synced)
{
    return read_bytes(s, vv_buf_slice(&s->raw), later_prev_synced);
}

/* The record that the byte at `at` belongs to. */
static size_t record_at(const struct sample *s, uint64_t at)
{
    size_t i = 0;
    while (i < RECORDS && s->starts[i + 1] <= at)
        i++;
    return i;
}

static bool all_zeros(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

TEST(every_truncation_gives_the_records_in_front_of_it)
{
    struct sample s;
    for (int synced = 0; synced < 2; synced++) {
        sample_init(&s, 1, synced == 1);
        for (size_t size = 0; size <= s.raw.size; size++) {
            struct laying_result result = read_bytes(&s, vv_slice_of(s.raw.data, size), false);
            size_t whole = size < VV_LOG_HEAD_SIZE ? 0 : record_at(&s, size);
            CHECK_RC(result.rc, VV_END);
            CHECK_EQ_U64(result.count, whole);
            if (size < VV_LOG_HEAD_SIZE)
                continue;
            /* The salt is random: what is left of a record may be nothing but zeros. */
            bool clean = all_zeros(s.raw.data + s.starts[whole], size - s.starts[whole]);
            CHECK_EQ_INT(result.tail, clean ? VV_LOG_TAIL_CLEAN : VV_LOG_TAIL_TORN);
            CHECK_EQ_U64(result.end, s.starts[whole]);
            result = read_bytes(&s, vv_slice_of(s.raw.data, size), true);
            CHECK_RC(result.rc, clean ? VV_END : VV_CORRUPT);
            CHECK_EQ_U64(result.count, whole);
        }
        sample_deinit(&s);
    }
}

TEST(every_truncation_in_front_of_zeros_gives_the_records_in_front_of_it)
{
    struct sample s;
    sample_init(&s, 1, true);
    struct vv_buf cut = VV_BUF_INIT;
    CHECK_OK(vv_buf_append_slice(&cut, vv_buf_slice(&s.raw)));
    for (size_t size = s.raw.size; size >= VV_LOG_HEAD_SIZE; size--) {
        memset(cut.data + size, 0, cut.size - size);
        struct laying_result result = read_bytes(&s, vv_buf_slice(&cut), false);
        size_t whole = record_at(&s, size);
        CHECK_RC(result.rc, VV_END);
        /* Cut inside its padding, or where its body is zero, a record is still whole. */
        CHECK(result.count == whole || (result.count == whole + 1 && s.starts[whole] < size));
    }
    vv_buf_deinit(&cut);
    sample_deinit(&s);
}

static void check_flip(struct sample *s, uint64_t at, bool synced)
{
    size_t hit = record_at(s, at);
    bool proven = synced && hit < RECORDS - 1;
    struct laying_result result = reread(s, false);
    CHECK_RC(result.open_rc, VV_OK);
    CHECK_RC(result.rc, proven ? VV_CORRUPT : VV_END);
    CHECK_EQ_U64(result.count, hit);
    CHECK_EQ_U64(result.end, s->starts[hit]);
    if (!proven) {
        CHECK_EQ_INT(result.tail, VV_LOG_TAIL_TORN);
        CHECK_EQ_U64(result.seq_seen, hit == RECORDS - 1 ? RECORDS - 1 : RECORDS);
    }
    result = reread(s, true);
    CHECK_RC(result.rc, VV_CORRUPT);
    CHECK_EQ_U64(result.count, hit);
}

TEST(every_flipped_bit_is_damage_if_synced_and_a_torn_tail_if_not)
{
    struct sample s;
    for (int synced = 0; synced < 2; synced++) {
        sample_init(&s, 1, synced == 1);
        for (size_t at = VV_LOG_HEAD_SIZE; at < s.raw.size; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                s.raw.data[at] ^= (uint8_t)(1u << bit);
                check_flip(&s, at, synced == 1);
                s.raw.data[at] ^= (uint8_t)(1u << bit);
            }
        }
        sample_deinit(&s);
    }
}

TEST(every_flipped_bit_of_the_header_is_damage)
{
    struct sample s;
    sample_init(&s, 1, false);
    for (size_t at = 0; at < VV_LOG_HEAD_SIZE; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            s.raw.data[at] ^= (uint8_t)(1u << bit);
            CHECK_RC(reread(&s, false).open_rc, VV_CORRUPT);
            s.raw.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    sample_deinit(&s);
}

TEST(damage_names_file_and_offset)
{
    struct sample s;
    char wanted[200];
    sample_init(&s, 1, true);
    memset(s.raw.data + s.starts[2], 0, s.starts[3] - s.starts[2]);
    CHECK_RC(reread(&s, false).rc, VV_CORRUPT);
    (void)snprintf(wanted, sizeof wanted,
                   "/a.log: damage at offset %d; the record at offset %d proves that it had been "
                   "synced",
                   (int)s.starts[2], (int)s.starts[3]);
    CHECK_EQ_STR(vv_error_story(), wanted);
    sample_deinit(&s);
}

TEST(a_lost_middle_that_was_never_synced_is_cut)
{
    struct sample s;
    sample_init(&s, 1, false);
    memset(s.raw.data + s.starts[2], 0, s.starts[4] - s.starts[2]);
    struct laying_result result = reread(&s, false);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, 2);
    CHECK_EQ_INT(result.tail, VV_LOG_TAIL_TORN);
    CHECK_EQ_U64(result.seq_seen, RECORDS);
    CHECK_RC(reread(&s, true).rc, VV_CORRUPT);
    sample_deinit(&s);
}

TEST(zeros_behind_the_last_record_are_clean_and_anything_else_is_torn)
{
    struct sample s;
    static const uint8_t zeros[200000];
    sample_init(&s, 1, true);
    uint64_t end = s.raw.size;
    CHECK_OK(vv_buf_append(&s.raw, zeros, sizeof zeros));
    CHECK_EQ_INT(reread(&s, true).tail, VV_LOG_TAIL_CLEAN);
    CHECK_EQ_U64(reread(&s, true).count, RECORDS);
    for (size_t i = 0; i < 5; i++) {
        static const size_t spots[5] = {0, 23, 24, 70001, 199999};
        s.raw.data[end + spots[i]] = 1;
        struct laying_result result = reread(&s, false);
        CHECK_RC(result.rc, VV_END);
        CHECK_EQ_U64(result.count, RECORDS);
        CHECK_EQ_INT(result.tail, VV_LOG_TAIL_TORN);
        CHECK_RC(reread(&s, true).rc, VV_CORRUPT);
        s.raw.data[end + spots[i]] = 0;
    }
    sample_deinit(&s);
}

/* ---- headers */

TEST(a_header_torn_in_creation_is_no_damage)
{
    struct sample s;
    static const uint8_t fillers[3] = {0, 0xff, 0x55};
    uint8_t raw[VV_LOG_HEAD_SIZE + 4096] = {0};
    sample_init(&s, 1, false);
    for (size_t whole = 0; whole < 92; whole++) {
        memcpy(raw, s.raw.data, VV_LOG_HEAD_SIZE);
        memset(raw + whole, fillers[whole % 3], VV_LOG_HEAD_SIZE - whole);
        CHECK_RC(read_bytes(&s, vv_slice_of(raw, 96), false).open_rc, VV_END);
        CHECK_RC(read_bytes(&s, vv_slice_of(raw, sizeof raw), false).open_rc, VV_END);
        CHECK_RC(read_bytes(&s, vv_slice_of(raw, 96), true).open_rc, VV_CORRUPT);
        CHECK_RC(read_bytes(&s, vv_slice_of(raw, whole), true).open_rc, VV_CORRUPT);
    }
    sample_deinit(&s);
}

TEST(a_log_that_is_not_the_expected_one_is_refused)
{
    struct sample s;
    struct vv_log_reader *r;
    sample_init(&s, 1, false);
    struct vv_log_expect right = {.kind = VV_LOG_WAL, .number = LAYING_NUMBER, .uuid = laying_uuid};
    struct vv_log_expect wrong = right;
    wrong.kind = VV_LOG_MANIFEST;
    CHECK_RC(vv_log_reader_open(s.env, LOG_PATH, &wrong, &r), VV_CORRUPT);
    wrong = right;
    wrong.number++;
    CHECK_RC(vv_log_reader_open(s.env, LOG_PATH, &wrong, &r), VV_CORRUPT);
    wrong = right;
    wrong.uuid = (const uint8_t *)"another's uuid..";
    CHECK_RC(vv_log_reader_open(s.env, LOG_PATH, &wrong, &r), VV_CORRUPT);
    CHECK_RC(vv_log_reader_open(s.env, "/none", &right, &r), VV_NOTFOUND);
    sample_deinit(&s);
}

/* ---- sequences */

static int fixed_random(struct vv_env *env, void *into, size_t size_bytes)
{
    (void)env;
    memset(into, 0x5a, size_bytes);
    return VV_OK;
}

/* Logs whose salts are equal, so that their bytes can be exchanged. */
static void sample_init_twin(struct sample *s, uint64_t first_seq, bool synced)
{
    memset(s, 0, sizeof *s);
    CHECK_OK(vv_env_mem_new(&s->env));
    const struct vv_env_ops *real = s->env->ops;
    struct vv_env_ops ops = *real;
    ops.random = fixed_random;
    s->env->ops = &ops;
    struct vv_log *log = laying_create(s->env, first_seq);
    for (size_t i = 0; i < RECORDS; i++) {
        s->starts[i] = vv_log_size(log);
        laying_append(log, first_seq + i, body_size_of(i));
        if (synced)
            CHECK_OK(vv_log_sync(log));
    }
    s->starts[RECORDS] = vv_log_size(log);
    vv_log_close(log);
    s->env->ops = real;
    laying_file_get(s->env, LOG_PATH, &s->raw);
}

/* Takes the records from number `from` on from a log with another first sequence. */
static struct laying_result read_spliced(uint64_t first_seq, uint64_t other_seq, size_t from,
                                         bool synced)
{
    struct sample s;
    struct sample other;
    sample_init_twin(&s, first_seq, synced);
    sample_init_twin(&other, other_seq, synced);
    memcpy(s.raw.data + s.starts[from], other.raw.data + s.starts[from],
           s.raw.size - s.starts[from]);
    struct laying_result result = reread(&s, false);
    sample_deinit(&s);
    sample_deinit(&other);
    return result;
}

TEST(a_gap_in_the_sequences_ends_the_valid_prefix)
{
    struct laying_result result = read_spliced(1, 11, 2, false);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, 2);
    CHECK_EQ_INT(result.tail, VV_LOG_TAIL_TORN);
    CHECK_EQ_U64(result.seq_seen, 10 + RECORDS);
    result = read_spliced(1, 11, 2, true);
    CHECK_RC(result.rc, VV_CORRUPT);
    CHECK_EQ_U64(result.count, 2);
    result = read_spliced(11, 1, 2, false);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, 2);
    CHECK_EQ_U64(result.seq_seen, 12);
}

TEST(no_record_is_read_below_the_first_sequence_of_its_log)
{
    struct laying_result result = read_spliced(5, 4, 0, false);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, 0);
    result = read_spliced(5, 6, 0, false);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, RECORDS);
}

/* ---- former lives */

/* Fills a log, makes it a spare, and lays `count` records in its next life. */
static uint64_t recycle(struct vv_env *env, struct vv_rng *rng, uint64_t former_seq,
                        uint64_t first_seq, uint64_t count)
{
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, first_seq);
    struct vv_log *log = laying_create(env, former_seq);
    while (vv_log_size(log) < 20000)
        laying_append(log, former_seq++, vv_rng_below(rng, 300));
    uint64_t former_size = vv_log_size(log);
    vv_log_close(log);
    CHECK_OK(vv_env_rename(env, LOG_PATH, SPARE_PATH));
    options.spare = SPARE_PATH;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    CHECK_EQ_U64(vv_log_head(log)->stale_end, former_size);
    for (uint64_t i = 0; i < count; i++)
        laying_append(log, first_seq + i, vv_rng_below(rng, 300));
    uint64_t end = vv_log_size(log);
    vv_log_close(log);
    return end;
}

TEST(bytes_of_a_former_life_are_never_read_and_are_no_damage)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int round = 0; round < 500; round++) {
        struct vv_env *env;
        CHECK_OK(vv_env_mem_new(&env));
        uint64_t count = vv_rng_below(&rng, 40);
        uint64_t end = recycle(env, &rng, 1, 10000, count);
        struct laying_result result = laying_read(env, LOG_PATH, true);
        CHECK_RC(result.rc, VV_END);
        CHECK_EQ_U64(result.count, count);
        CHECK_EQ_U64(result.end, end);
        CHECK_EQ_INT(result.tail, VV_LOG_TAIL_CLEAN);
        CHECK_EQ_U64(result.seq_seen, count > 0 ? 9999 + count : 0);
        vv_env_mem_free(env);
    }
}

TEST(even_a_former_life_with_higher_sequences_is_never_read)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int round = 0; round < 200; round++) {
        struct vv_env *env;
        CHECK_OK(vv_env_mem_new(&env));
        uint64_t count = vv_rng_below(&rng, 40);
        (void)recycle(env, &rng, 1 + vv_rng_below(&rng, 50), 1, count);
        struct laying_result result = laying_read(env, LOG_PATH, false);
        CHECK_RC(result.rc, VV_END);
        CHECK_EQ_U64(result.count, count);
        CHECK_EQ_U64(result.seq_seen, count);
        vv_env_mem_free(env);
    }
}

TEST(a_flipped_bit_in_the_last_record_is_seen_among_bytes_of_a_former_life)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct sample s = {0};
    CHECK_OK(vv_env_mem_new(&s.env));
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1000);
    (void)recycle(s.env, &rng, 1, 500, 3);
    CHECK_OK(vv_env_rename(s.env, LOG_PATH, SPARE_PATH));
    options.spare = SPARE_PATH;
    struct vv_log *log;
    CHECK_OK(vv_log_create(s.env, LOG_PATH, &options, &log));
    laying_append(log, 1000, 50);
    uint64_t last = vv_log_size(log);
    laying_append(log, 1001, 77);
    uint64_t end = vv_log_size(log);
    vv_log_close(log);
    laying_file_get(s.env, LOG_PATH, &s.raw);
    CHECK_RC(reread(&s, true).rc, VV_END);
    for (uint64_t at = last; at < end; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            s.raw.data[at] ^= (uint8_t)(1u << bit);
            struct laying_result result = reread(&s, false);
            CHECK_RC(result.rc, VV_END);
            CHECK_EQ_U64(result.count, 1);
            CHECK_RC(reread(&s, true).rc, VV_CORRUPT);
            s.raw.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    sample_deinit(&s);
}

/* ---- looking ahead */

TEST(proof_is_found_behind_a_damaged_record_larger_than_the_look_ahead)
{
    struct vv_env *env;
    CHECK_OK(vv_env_mem_new(&env));
    struct vv_log *log = laying_create(env, 1);
    laying_append(log, 1, 10);
    uint64_t large_at = vv_log_size(log);
    laying_append(log, 2, (size_t)70 << 20);
    CHECK_OK(vv_log_sync(log));
    laying_append(log, 3, 10);
    uint8_t wrong = 1;
    CHECK_OK(vv_file_write_at(vv_log_file(log), large_at + 1000, &(vv_slice){&wrong, 1}, 1));
    vv_log_close(log);
    struct laying_result result = laying_read(env, LOG_PATH, false);
    CHECK_RC(result.rc, VV_CORRUPT);
    CHECK_EQ_U64(result.count, 1);
    vv_env_mem_free(env);
}

TEST(a_value_full_of_headers_costs_no_more_than_a_few_looks)
{
    enum { FORGED_BYTES = 12 << 20 };
    struct sample s;
    sample_init(&s, 1, true);
    CHECK_OK(vv_buf_reserve(&s.raw, FORGED_BYTES));
    for (size_t i = 0; i + 24 <= FORGED_BYTES; i += 24) {
        uint8_t *forged = s.raw.data + s.raw.size;
        memset(forged, 0, 24);
        vv_put_u32(forged + 4, i < FORGED_BYTES / 2 ? 5 << 20 : 3000);
        forged[8] = VV_RECORD_BATCH;
        vv_put_u64(forged + 16, RECORDS + 1 + i);
        s.raw.size += 24;
    }
    struct laying_result result = reread(&s, false);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, RECORDS);
    CHECK_EQ_INT(result.tail, VV_LOG_TAIL_TORN);
    sample_deinit(&s);
}

TEST(a_sound_record_of_a_kind_from_the_future_is_unsupported)
{
    struct vv_env *env;
    struct vv_log_reader *r;
    struct vv_record record = laying_record(VV_RECORD_KV, 1, 0, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
    CHECK_OK(vv_env_mem_new(&env));
    const struct vv_env_ops *real = env->ops;
    struct vv_env_ops ops = *real;
    ops.random = fixed_random;
    env->ops = &ops;
    struct vv_log *wal = laying_create(env, 1);
    struct vv_log_create_options options = laying_options(VV_LOG_VALUES, 1);
    struct vv_log *values;
    CHECK_OK(vv_log_create(env, "/values", &options, &values));
    env->ops = real;
    CHECK_OK(vv_log_append(values, &record, 1, NULL));
    uint8_t raw[24];
    CHECK_OK(vv_file_read_whole(vv_log_file(values), VV_LOG_HEAD_SIZE, raw, sizeof raw));
    CHECK_OK(vv_file_write_at(vv_log_file(wal), VV_LOG_HEAD_SIZE, &(vv_slice){raw, 24}, 1));
    CHECK_OK(vv_log_reader_open(env, LOG_PATH, &(struct vv_log_expect){0}, &r));
    CHECK_RC(vv_log_read(r, &record, NULL), VV_UNSUPPORTED);
    vv_log_reader_close(r);
    vv_log_close(wal);
    vv_log_close(values);
    vv_env_mem_free(env);
}

/* ---- repair */

TEST(repair_skips_damage_and_finds_all_other_records)
{
    for (unsigned damaged = 0; damaged < 1u << RECORDS; damaged++) {
        struct sample s;
        struct vv_log_reader *r;
        struct vv_record record;
        unsigned found = 0;
        int rc;
        sample_init(&s, 1, true);
        for (size_t i = 0; i < RECORDS; i++) {
            if ((damaged >> i & 1) != 0)
                s.raw.data[s.starts[i] + 20] ^= 0x80;
        }
        laying_file_put(s.env, LOG_PATH, vv_buf_slice(&s.raw));
        CHECK_OK(vv_log_reader_open(s.env, LOG_PATH, &(struct vv_log_expect){0}, &r));
        while ((rc = vv_log_read(r, &record, NULL)) != VV_END) {
            if (rc == VV_OK) {
                CHECK(laying_is(record.body, record.seq));
                found |= 1u << (record.seq - 1);
            } else {
                CHECK_RC(rc, VV_CORRUPT);
                CHECK_RC(vv_log_read(r, &record, NULL), VV_CORRUPT);
                CHECK_OK(vv_log_reader_skip(r));
            }
        }
        CHECK_EQ_INT(found, ~damaged & ((1u << RECORDS) - 1));
        vv_log_reader_close(r);
        sample_deinit(&s);
    }
}

TEST(repair_ends_where_nothing_more_verifies)
{
    struct sample s;
    struct vv_log_reader *r;
    struct vv_record record;
    sample_init(&s, 1, true);
    s.raw.data[s.starts[RECORDS - 1]] ^= 1;
    laying_file_put(s.env, LOG_PATH, vv_buf_slice(&s.raw));
    CHECK_OK(vv_log_reader_open(s.env, LOG_PATH, &(struct vv_log_expect){.later_prev_synced = true},
                                &r));
    for (int i = 0; i < RECORDS - 1; i++)
        CHECK_OK(vv_log_read(r, &record, NULL));
    CHECK_RC(vv_log_read(r, &record, NULL), VV_CORRUPT);
    CHECK_RC(vv_log_reader_skip(r), VV_END);
    CHECK_RC(vv_log_read(r, &record, NULL), VV_CORRUPT);
    vv_log_reader_close(r);
    sample_deinit(&s);
}
