/*
 * What is appended comes back as it was, whatever its size, and is marked synced only where it is.
 */
#include "env/mem.h"
#include "unit/log/laying.h"

static const size_t sizes[] = {0,    1,    7,    8,     9,     4063,  4071,    4072,
                               4073, 4095, 4096, 65535, 65536, 65537, 1 << 20, (3 << 20) + 12345};

enum { SIZES = sizeof sizes / sizeof sizes[0], KEY_SIZES = 8 };

static struct vv_env *env_new(void)
{
    struct vv_env *env;
    CHECK_OK(vv_env_mem_new(&env));
    return env;
}

TEST(bodies_of_all_sizes_come_back)
{
    struct vv_env *env = env_new();
    struct vv_log *log = laying_create(env, 5);
    uint64_t wanted = VV_LOG_HEAD_SIZE;
    for (size_t i = 0; i < SIZES; i++) {
        laying_append(log, 5 + i, sizes[i]);
        wanted += vv_record_size(0, sizes[i]);
        CHECK_EQ_U64(vv_log_size(log), wanted);
    }
    vv_log_close(log);
    struct laying_result result = laying_read(env, LOG_PATH, true);
    CHECK_RC(result.rc, VV_END);
    CHECK_EQ_U64(result.count, SIZES);
    CHECK_EQ_U64(result.end, wanted);
    CHECK_EQ_U64(result.seq_seen, 5 + SIZES - 1);
    CHECK_EQ_INT(result.tail, VV_LOG_TAIL_CLEAN);
    vv_env_mem_free(env);
}

/* Every key size with every body size, in groups of one key size. */
static void append_keyed(struct vv_log *log, const size_t *key_sizes, const uint8_t *bytes,
                         uint64_t offsets[KEY_SIZES][SIZES])
{
    struct vv_record records[SIZES];
    for (size_t k = 0; k < KEY_SIZES; k++) {
        for (size_t i = 0; i < SIZES; i++)
            records[i] = laying_record(VV_RECORD_KV, 50 + (k + i) % 3, 0,
                                       vv_slice_of(bytes + k, key_sizes[k]),
                                       vv_slice_of(bytes + i, sizes[i]));
        CHECK_OK(vv_log_append(log, records, SIZES, offsets[k]));
    }
}

static void check_keyed(const struct vv_record *record, size_t key_size, size_t k, size_t i,
                        const uint8_t *bytes)
{
    CHECK_EQ_INT(record->type, VV_RECORD_KV);
    CHECK_EQ_U64(record->seq, 50 + (k + i) % 3);
    CHECK(vv_slice_equal(record->key, vv_slice_of(bytes + k, key_size)));
    CHECK(vv_slice_equal(record->body, vv_slice_of(bytes + i, sizes[i])));
    CHECK_EQ_U64(record->body_hash, vv_record_hash(record->key, record->body));
}

TEST(keys_and_bodies_of_all_sizes_come_back_in_order_and_by_reference)
{
    static const size_t key_sizes[KEY_SIZES] = {0, 1, 16, 4072, 4095, 4096, 65535, 65536};
    static uint8_t bytes[(3 << 20) + 12345 + SIZES];
    uint64_t offsets[KEY_SIZES][SIZES];
    laying_fill(bytes, sizeof bytes, test_seed());
    struct vv_env *env = env_new();
    struct vv_log_create_options options = laying_options(VV_LOG_VALUES, 50);
    struct vv_log *log;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    append_keyed(log, key_sizes, bytes, offsets);

    struct vv_log_reader *r;
    struct vv_buf scratch = VV_BUF_INIT;
    struct vv_record record;
    uint64_t offset;
    CHECK_OK(vv_log_reader_open(env, LOG_PATH, &(struct vv_log_expect){0}, &r));
    for (size_t k = 0; k < KEY_SIZES; k++) {
        for (size_t i = 0; i < SIZES; i++) {
            CHECK_OK(vv_log_read(r, &record, &offset));
            CHECK_EQ_U64(offset, offsets[k][i]);
            check_keyed(&record, key_sizes[k], k, i, bytes);
            CHECK_OK(vv_log_read_at(vv_log_file(log), LOG_PATH, vv_log_head(log), offset, &scratch,
                                    &record));
            check_keyed(&record, key_sizes[k], k, i, bytes);
        }
    }
    CHECK_RC(vv_log_read(r, &record, NULL), VV_END);
    vv_log_reader_close(r);
    vv_buf_deinit(&scratch);
    vv_log_close(log);
    vv_env_mem_free(env);
}

static const struct vv_env_ops *real_ops;
static unsigned write_count;

static int counting_write_at(struct vv_file *file, uint64_t offset, const vv_slice *parts,
                             size_t count)
{
    write_count++;
    return real_ops->write_at(file, offset, parts, count);
}

TEST(a_group_is_one_write)
{
    static const uint8_t large[10000];
    struct vv_env *env = env_new();
    struct vv_log *log = laying_create(env, 1);
    struct vv_env_ops ops = *env->ops;
    real_ops = env->ops;
    ops.write_at = counting_write_at;
    env->ops = &ops;
    struct vv_record records[300];
    for (size_t i = 0; i < 300; i++)
        records[i] = laying_record(VV_RECORD_BATCH, 1 + i, 1, VV_SLICE_EMPTY,
                                   vv_slice_of(large, i % 3 == 0 ? sizeof large : i));
    write_count = 0;
    CHECK_OK(vv_log_append(log, records, 300, NULL));
    CHECK_EQ_INT(write_count, 1);
    CHECK_OK(vv_log_append(log, NULL, 0, NULL));
    CHECK_EQ_INT(write_count, 1);
    env->ops = real_ops;
    vv_log_close(log);
    vv_env_mem_free(env);
}

TEST(nothing_is_read_behind_a_seal)
{
    struct vv_env *env = env_new();
    struct vv_log *log = laying_create(env, 1);
    laying_append(log, 1, 10);
    struct vv_record seal =
        laying_record(VV_RECORD_SEAL, 2, 0, VV_SLICE_EMPTY, vv_slice_str("footer"));
    CHECK_OK(vv_log_append(log, &seal, 1, NULL));
    struct vv_file *file = vv_log_file(log);
    CHECK_OK(vv_file_write_at(file, vv_log_size(log), &(vv_slice){laying_uuid, 16}, 1));
    vv_log_close(log);

    struct vv_log_reader *r;
    struct vv_record record;
    struct vv_log_expect expect = {.later_prev_synced = true};
    CHECK_OK(vv_log_reader_open(env, LOG_PATH, &expect, &r));
    CHECK_OK(vv_log_read(r, &record, NULL));
    CHECK_OK(vv_log_read(r, &record, NULL));
    CHECK_SLICE(record.body, "footer");
    CHECK_RC(vv_log_read(r, &record, NULL), VV_END);
    CHECK_RC(vv_log_read(r, &record, NULL), VV_END);
    CHECK_EQ_U64(vv_log_reader_seq_seen(r), 1);
    vv_log_reader_close(r);
    vv_env_mem_free(env);
}

/* Appends groups with and without syncs between, and gives the flags that were written. */
static void flags_of(bool prev_synced, bool has_spare, char flags[8])
{
    struct vv_env *env = env_new();
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
    struct vv_log *log;
    struct vv_record two[2];
    options.prev_synced = prev_synced;
    if (has_spare)
        CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 4096));
    options.spare = has_spare ? SPARE_PATH : NULL;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    CHECK_EQ_U64(vv_log_synced_size(log), has_spare ? VV_LOG_HEAD_SIZE : 0);
    for (uint64_t i = 0; i < 3; i++) {
        two[0] = laying_record(VV_RECORD_BATCH, 1 + 2 * i, 1, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
        two[1] = laying_record(VV_RECORD_BATCH, 2 + 2 * i, 1, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
        two[1].flags = VV_RECORD_PREV_SYNCED; /* as of a record that was read elsewhere */
        CHECK_OK(vv_log_append(log, two, 2, NULL));
        if (i == 1) {
            CHECK_OK(vv_log_sync(log));
            CHECK_EQ_U64(vv_log_synced_size(log), vv_log_size(log));
        }
    }
    vv_log_close(log);

    struct vv_log_reader *r;
    struct vv_record record;
    CHECK_OK(vv_log_reader_open(env, LOG_PATH, &(struct vv_log_expect){0}, &r));
    for (int i = 0; i < 6; i++) {
        CHECK_OK(vv_log_read(r, &record, NULL));
        flags[i] = (record.flags & VV_RECORD_PREV_SYNCED) != 0 ? 'S' : '-';
    }
    flags[6] = 0;
    vv_log_reader_close(r);
    vv_env_mem_free(env);
}

TEST(prev_synced_is_said_only_where_it_is_true)
{
    char flags[8];
    flags_of(false, false, flags);
    CHECK_EQ_STR(flags, "----S-");
    flags_of(true, false, flags);
    CHECK_EQ_STR(flags, "S---S-");
    flags_of(true, true, flags);
    CHECK_EQ_STR(flags, "S---S-");
    flags_of(false, true, flags);
    CHECK_EQ_STR(flags, "----S-");
}

TEST(a_log_is_created_only_where_nothing_is)
{
    struct vv_env *env = env_new();
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
    struct vv_log *log;
    laying_file_put(env, LOG_PATH, vv_slice_str("something"));
    CHECK_RC(vv_log_create(env, LOG_PATH, &options, &log), VV_EXISTS);
    CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 4096));
    options.spare = SPARE_PATH;
    CHECK_RC(vv_log_create(env, LOG_PATH, &options, &log), VV_EXISTS);
    CHECK_OK(vv_env_remove(env, LOG_PATH));
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    vv_log_close(log);
    vv_log_close(NULL);
    vv_env_mem_free(env);
}

TEST(a_spare_is_zeros_of_the_size_asked_for)
{
    static const uint64_t spare_sizes[] = {0, 1, 4096, (2 << 20) + 17};
    struct vv_env *env = env_new();
    struct vv_buf content = VV_BUF_INIT;
    for (size_t i = 0; i < 4; i++) {
        CHECK_OK(vv_log_make_spare(env, SPARE_PATH, spare_sizes[i]));
        laying_file_get(env, SPARE_PATH, &content);
        CHECK_EQ_U64(content.size, spare_sizes[i]);
        for (size_t k = 0; k < content.size; k++)
            CHECK_EQ_INT(content.data[k], 0);
        CHECK_RC(vv_log_make_spare(env, SPARE_PATH, 1), VV_EXISTS);
        CHECK_OK(vv_env_remove(env, SPARE_PATH));
    }
    vv_buf_deinit(&content);
    vv_env_mem_free(env);
}

TEST(a_spare_that_is_gone_is_done_without)
{
    struct vv_env *env = env_new();
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
    struct vv_log *log;
    options.spare = SPARE_PATH;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    laying_append(log, 1, 100);
    vv_log_close(log);
    CHECK_EQ_U64(laying_read(env, LOG_PATH, false).count, 1);
    vv_env_mem_free(env);
}

TEST(a_reference_to_no_record_is_refused)
{
    struct vv_env *env = env_new();
    struct vv_log *log = laying_create(env, 10);
    struct vv_buf scratch = VV_BUF_INIT;
    struct vv_record record;
    laying_append(log, 10, 100);
    laying_append(log, 11, 10000);
    struct vv_file *file = vv_log_file(log);
    const struct vv_log_head *head = vv_log_head(log);
    uint64_t second = VV_LOG_HEAD_SIZE + vv_record_size(0, 100);
    for (uint64_t offset = 0; offset < vv_log_size(log) + 100; offset++) {
        bool good = offset == VV_LOG_HEAD_SIZE || offset == second;
        CHECK_RC(vv_log_read_at(file, "x", head, offset, &scratch, &record),
                 good ? VV_OK : VV_CORRUPT);
    }
    CHECK_RC(vv_log_read_at(file, "x", head, UINT64_MAX - 7, &scratch, &record), VV_CORRUPT);
    CHECK_RC(vv_log_read_at(file, "x", head, (uint64_t)1 << 63, &scratch, &record), VV_CORRUPT);

    struct vv_log_head other = *head;
    other.salt++;
    CHECK_RC(vv_log_read_at(file, "x", &other, second, &scratch, &record), VV_CORRUPT);
    other = *head;
    other.first_seq = 12;
    CHECK_RC(vv_log_read_at(file, "x", &other, second, &scratch, &record), VV_CORRUPT);
    CHECK_OK(vv_file_truncate(file, vv_log_size(log) - 8));
    CHECK_RC(vv_log_read_at(file, "x", head, second, &scratch, &record), VV_CORRUPT);
    vv_buf_deinit(&scratch);
    vv_log_close(log);
    vv_env_mem_free(env);
}

TEST(a_record_over_the_limit_is_refused_and_so_is_all_after_it)
{
    struct vv_env *env = env_new();
    struct vv_log_create_options options = laying_options(VV_LOG_VALUES, 0);
    struct vv_log *log;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    struct vv_record record = {.type = VV_RECORD_KV,
                               .key = vv_slice_str("k"),
                               .body = vv_slice_of("", UINT32_MAX)}; /* never looked at */
    CHECK_RC(vv_log_append(log, &record, 1, NULL), VV_TOOBIG);
    record.body.size = 0;
    CHECK_RC(vv_log_append(log, &record, 1, NULL), VV_TOOBIG);
    CHECK_EQ_U64(vv_log_size(log), VV_LOG_HEAD_SIZE);
    CHECK_OK(vv_log_sync(log));
    vv_log_close(log);
    vv_env_mem_free(env);
}

TEST(memory_that_runs_out_is_told_and_leaks_nothing)
{
    int rc = VV_NOMEM;
    for (uint64_t n = 1; rc == VV_NOMEM; n++) {
        struct vv_env *env = env_new();
        struct vv_log *log = NULL;
        struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
        struct vv_record record = laying_record(VV_RECORD_BATCH, 1, 1, VV_SLICE_EMPTY,
                                                vv_slice_of(laying_uuid, sizeof laying_uuid));
        vv_alloc_fail_at(n);
        if ((rc = vv_log_create(env, LOG_PATH, &options, &log)) == VV_OK)
            rc = vv_log_append(log, &record, 1, NULL);
        struct vv_log_reader *r = NULL;
        if (rc == VV_OK)
            rc = vv_log_reader_open(env, LOG_PATH, &(struct vv_log_expect){0}, &r);
        if (rc == VV_OK)
            rc = vv_log_read(r, &record, NULL);
        vv_alloc_fail_at(0);
        CHECK(rc == VV_OK || rc == VV_NOMEM);
        vv_log_reader_close(r);
        vv_log_close(log);
        vv_env_mem_free(env);
    }
}

TEST(a_reader_beside_the_writer_follows_it)
{
    struct vv_env *env = env_new();
    struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
    struct vv_log *log;
    struct vv_log_reader *r;
    struct vv_record record;
    CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 1 << 20));
    options.spare = SPARE_PATH;
    CHECK_OK(vv_log_create(env, LOG_PATH, &options, &log));
    CHECK_OK(vv_log_reader_open(env, LOG_PATH, &(struct vv_log_expect){0}, &r));
    struct vv_rng rng = vv_rng_of(test_seed());
    uint64_t seq = 1;
    for (int round = 0; round < 300; round++) {
        uint64_t first = seq;
        CHECK_RC(vv_log_read(r, &record, NULL), VV_END);
        for (uint64_t count = vv_rng_below(&rng, 4); count > 0; count--)
            laying_append(log, seq++, vv_rng_below(&rng, 20000));
        if (vv_rng_one_in(&rng, 2))
            CHECK_OK(vv_log_sync(log));
        for (uint64_t wanted = first; wanted < seq; wanted++) {
            CHECK_OK(vv_log_read(r, &record, NULL));
            CHECK_EQ_U64(record.seq, wanted);
            CHECK(laying_is(record.body, wanted));
        }
    }
    vv_log_reader_close(r);
    vv_log_close(log);
    vv_env_mem_free(env);
}

static struct vv_log *racing_log;
static unsigned race_at;
static uint64_t race_seq;

/* After the race_at-th read the writer lays two records and syncs between them. */
static int racing_read_at(struct vv_file *file, uint64_t offset, void *into, size_t want,
                          size_t *got)
{
    int rc = real_ops->read_at(file, offset, into, want, got);
    if (race_at > 0 && --race_at == 0) {
        laying_append(racing_log, race_seq++, 600000);
        CHECK_OK(vv_log_sync(racing_log));
        laying_append(racing_log, race_seq++, 10);
    }
    return rc;
}

TEST(a_writer_that_is_faster_than_the_look_ahead_is_no_damage)
{
    for (unsigned at = 1; at < 8; at++) {
        struct vv_env *env = env_new();
        struct vv_record record;
        struct vv_log_reader *r;
        struct vv_log_create_options options = laying_options(VV_LOG_WAL, 1);
        options.spare = SPARE_PATH;
        CHECK_OK(vv_log_make_spare(env, SPARE_PATH, 2 << 20));
        CHECK_OK(vv_log_create(env, LOG_PATH, &options, &racing_log));
        laying_append(racing_log, 1, 10);
        struct vv_env_ops ops = *env->ops;
        real_ops = env->ops;
        ops.read_at = racing_read_at;
        env->ops = &ops;
        race_seq = 2;
        CHECK_OK(vv_log_reader_open(env, LOG_PATH, &(struct vv_log_expect){0}, &r));
        race_at = at;
        uint64_t seen = 0;
        for (int i = 0; i < 8; i++) {
            int rc = vv_log_read(r, &record, NULL);
            CHECK(rc == VV_OK || rc == VV_END);
            if (rc == VV_OK)
                CHECK_EQ_U64(record.seq, ++seen);
        }
        CHECK_EQ_U64(seen, race_seq - 1);
        race_at = 0;
        env->ops = real_ops;
        vv_log_reader_close(r);
        vv_log_close(racing_log);
        vv_env_mem_free(env);
    }
}
