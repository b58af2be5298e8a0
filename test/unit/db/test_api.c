#include "base/alloc.h"
#include "db/store.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

#include <stdio.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static uint64_t stat_of(varve *db, const char *name)
{
    char *text;
    uint64_t value = 0;
    CHECK_OK(varve_property(db, name, &text));
    CHECK(sscanf(text, "%" SCNu64, &value) == 1);
    varve_free(text);
    return value;
}

TEST(every_code_has_words_and_the_version_has_three_numbers)
{
    for (int rc = -17; rc <= 3; rc++)
        CHECK(strcmp(varve_strerror(rc), varve_strerror(-999)) != 0);
    CHECK_EQ_STR(varve_version(), "0.1.0");
}

TEST(a_get_gives_what_was_put_last)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_pinned out;
    char buf[4] = "....";
    size_t size;
    CHECK_OK(varve_put(db, str("k"), str("first")));
    CHECK_OK(varve_put(db, str("k"), str("second")));
    CHECK_OK(varve_get(db, str("k"), &out));
    CHECK_SLICE(out, "second");
    varve_unpin(&out);
    CHECK(out.data == NULL && out.size == 0);
    varve_unpin(&out);
    varve_unpin(NULL);
    CHECK_OK(varve_get_into(db, str("k"), buf, 3, &size));
    CHECK_EQ_INT(size, 6);
    CHECK_BYTES(buf, 4, "sec.", 4);
    CHECK_OK(varve_get_into(db, str("k"), NULL, 0, &size));
    CHECK_OK(varve_exists(db, str("k")));
    CHECK_OK(varve_delete(db, str("k")));
    CHECK_OK(varve_delete(db, str("k")));
    CHECK_RC(varve_exists(db, str("k")), VARVE_NOTFOUND);
    CHECK_RC(varve_get(db, str("k"), &out), VARVE_NOTFOUND);
    CHECK_EQ_INT(atomic_load(&controls.seen.pins_open), 0);
    CHECK_OK(varve_close(db));
}

TEST(empty_keys_and_values_are_keys_and_values)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_pinned out;
    varve_slice none = varve_bytes(NULL, 0);
    CHECK_RC(varve_exists(db, none), VARVE_NOTFOUND);
    CHECK_OK(varve_put(db, none, str("value")));
    CHECK_OK(varve_put(db, str("key"), none));
    CHECK_OK(varve_get(db, str(""), &out));
    CHECK_SLICE(out, "value");
    varve_unpin(&out);
    CHECK_OK(varve_get(db, str("key"), &out));
    CHECK_EQ_INT(out.size, 0);
    varve_unpin(&out);
    CHECK_OK(varve_close(db));
}

TEST(a_key_may_have_65536_bytes_and_no_more)
{
    struct fake_controls controls = {0};
    static char large[VARVE_KEY_SIZE_MAX + 1];
    varve_slice longest = varve_bytes(large, VARVE_KEY_SIZE_MAX);
    varve_slice longer = varve_bytes(large, sizeof large);
    varve *db = fake_store(&controls, "");
    varve_batch *batch;
    varve_pinned out = {NULL, 7, {NULL, NULL}};
    size_t size = 7;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_put(db, longest, str("v")));
    CHECK_OK(varve_exists(db, longest));
    CHECK_OK(varve_batch_put(batch, longest, str("v")));
    CHECK_RC(varve_put(db, longer, str("v")), VARVE_TOOBIG);
    CHECK_RC(varve_delete(db, longer), VARVE_TOOBIG);
    CHECK_RC(varve_exists(db, longer), VARVE_TOOBIG);
    CHECK_RC(varve_get(db, longer, &out), VARVE_TOOBIG);
    CHECK_RC(varve_get_into(db, longer, NULL, 0, &size), VARVE_TOOBIG);
    CHECK_RC(varve_batch_put(batch, longer, str("v")), VARVE_TOOBIG);
    CHECK_RC(varve_batch_delete(batch, longer), VARVE_TOOBIG);
    CHECK_EQ_INT(varve_batch_count(batch), 1);
    CHECK_EQ_INT(out.size, 7);
    CHECK_EQ_INT(size, 7);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

TEST(a_value_over_a_gigabyte_is_refused_before_it_is_touched)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_batch *batch;
    varve_slice huge = varve_bytes("x", VARVE_VALUE_SIZE_MAX + 1);
    CHECK_OK(varve_batch_new(&batch));
    CHECK_RC(varve_put(db, str("k"), huge), VARVE_TOOBIG);
    CHECK_RC(varve_batch_put(batch, str("k"), huge), VARVE_TOOBIG);
    CHECK_EQ_INT(varve_batch_count(batch), 0);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

TEST(arguments_without_meaning_are_refused)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_slice nowhere = varve_bytes(NULL, 3);
    varve_pinned out;
    varve_slice slice;
    varve_stats stats = {0};
    varve_write_options write = VARVE_WRITE_OPTIONS_INIT;
    varve_batch *batch;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_RC(varve_put(NULL, str("k"), str("v")), VARVE_INVALID);
    CHECK_RC(varve_put(db, nowhere, str("v")), VARVE_INVALID);
    CHECK_RC(varve_put(db, str("k"), nowhere), VARVE_INVALID);
    CHECK_RC(varve_get(db, str("k"), NULL), VARVE_INVALID);
    CHECK_RC(varve_get(NULL, str("k"), &out), VARVE_INVALID);
    CHECK_RC(varve_write(db, NULL, NULL), VARVE_INVALID);
    write.durability = (enum varve_durability)7;
    CHECK_RC(varve_write(db, batch, &write), VARVE_INVALID);
    write.size = 0;
    CHECK_RC(varve_write(db, batch, &write), VARVE_INVALID);
    CHECK_RC(varve_multi_get(db, 1, NULL, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_iter_open(db, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_iter_next(NULL), VARVE_INVALID);
    CHECK_RC(varve_iter_value(NULL, &slice), VARVE_INVALID);
    CHECK_EQ_INT(varve_iter_valid(NULL), 0);
    CHECK_RC(varve_snapshot_new(db, NULL), VARVE_INVALID);
    CHECK_RC(varve_get_stats(db, &stats), VARVE_INVALID);
    CHECK_RC(varve_property(db, NULL, NULL), VARVE_INVALID);
    varve_iter_close(NULL);
    varve_snapshot_release(NULL);
    varve_batch_free(NULL);
    varve_free(NULL);
    CHECK_OK(varve_close(NULL));
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

TEST(a_batch_happens_in_order_and_can_be_used_again)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_batch *batch;
    varve_pinned out;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("a"), str("1")));
    CHECK_OK(varve_batch_put(batch, str("b"), str("1")));
    CHECK_OK(varve_batch_delete(batch, str("a")));
    CHECK_OK(varve_batch_put(batch, str("b"), str("2")));
    CHECK_EQ_INT(varve_batch_count(batch), 4);
    CHECK(varve_batch_bytes(batch) > 0);
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_EQ_U64(vv_db_seq(db), 4);
    CHECK_OK(varve_put(db, str("a"), str("3")));
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_RC(varve_exists(db, str("a")), VARVE_NOTFOUND);
    CHECK_OK(varve_get(db, str("b"), &out));
    CHECK_SLICE(out, "2");
    varve_unpin(&out);
    varve_batch_clear(batch);
    CHECK_EQ_INT(varve_batch_count(batch), 0);
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_EQ_U64(vv_db_seq(db), 9);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

/* Writes "+key=value" and "-key" until it is told to stop. */
struct told {
    char text[64];
    int stop_at;
};

static int tell(void *context, const varve_change *change)
{
    struct told *told = context;
    size_t size = strlen(told->text);
    bool put = change->kind == VARVE_CHANGE_PUT;
    if (told->stop_at > 0 && --told->stop_at == 0)
        return 7;
    (void)snprintf(told->text + size, sizeof told->text - size, "%c%.*s%s%.*s", put ? '+' : '-',
                   (int)change->key.size, (const char *)change->key.data, put ? "=" : "",
                   (int)change->value.size, (const char *)change->value.data);
    return 0;
}

TEST(a_batch_tells_its_changes_in_order_and_takes_those_of_another)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_batch *batch, *more;
    struct told told = {"", 0};
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_new(&more));
    CHECK_OK(varve_batch_each(batch, tell, &told));
    CHECK_EQ_STR(told.text, "");
    CHECK_OK(varve_batch_put(batch, str("a"), str("1")));
    CHECK_OK(varve_batch_delete(more, str("a")));
    CHECK_OK(varve_batch_put(more, str("b"), str("")));
    CHECK_OK(varve_batch_append(batch, more));
    CHECK_EQ_INT(varve_batch_count(more), 2);
    CHECK_OK(varve_batch_each(batch, tell, &told));
    CHECK_EQ_STR(told.text, "+a=1-a+b=");
    told = (struct told){"", 2};
    CHECK_EQ_INT(varve_batch_each(batch, tell, &told), 7);
    CHECK_EQ_STR(told.text, "+a=1");
    CHECK_OK(varve_batch_append(batch, batch));
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_EQ_U64(vv_db_seq(db), 6);
    CHECK_EQ_U64(stat_of(db, "puts"), 4);
    CHECK_EQ_U64(stat_of(db, "deletes"), 2);
    CHECK_RC(varve_exists(db, str("a")), VARVE_NOTFOUND);
    CHECK_OK(varve_exists(db, str("b")));
    CHECK_RC(varve_batch_append(batch, NULL), VARVE_INVALID);
    CHECK_RC(varve_batch_append(NULL, batch), VARVE_INVALID);
    CHECK_RC(varve_batch_each(NULL, tell, &told), VARVE_INVALID);
    CHECK_RC(varve_batch_each(batch, NULL, NULL), VARVE_INVALID);
    varve_batch_free(batch);
    varve_batch_free(more);
    CHECK_OK(varve_close(db));
}

TEST(an_appended_large_value_is_stowed_as_any_other)
{
    static uint8_t large[8192];
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_batch *batch, *more;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_new(&more));
    CHECK_OK(varve_batch_put(more, str("k"), varve_bytes(large, sizeof large)));
    CHECK_OK(varve_batch_append(batch, more));
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_EQ_INT(atomic_load(&controls.seen.stows), 1);
    varve_batch_free(batch);
    varve_batch_free(more);
    CHECK_OK(varve_close(db));
}

TEST(many_keys_are_looked_up_at_one_moment)
{
    enum { COUNT = 100 };
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    static char longer[VARVE_KEY_SIZE_MAX + 1], names[COUNT][8];
    varve_slice keys[COUNT];
    varve_pinned values[COUNT];
    int results[COUNT];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "%d", i % 1000);
        keys[i] = str(names[i]);
        if (i % 2 == 0)
            CHECK_OK(varve_put(db, keys[i], keys[i]));
    }
    keys[5] = varve_bytes(longer, sizeof longer);
    for (size_t count = 0; count <= COUNT; count += 20) {
        CHECK_OK(varve_multi_get(db, count, keys, values, results));
        for (size_t i = 0; i < count; i++) {
            CHECK_EQ_INT(results[i], i == 5       ? VARVE_TOOBIG
                                     : i % 2 == 0 ? VARVE_OK
                                                  : VARVE_NOTFOUND);
            if (results[i] == VARVE_OK)
                CHECK_BYTES(values[i].data, values[i].size, keys[i].data, keys[i].size);
            else
                CHECK(values[i].data == NULL);
            varve_unpin(&values[i]);
        }
    }
    CHECK_EQ_INT(atomic_load(&controls.seen.pins_open), 0);
    CHECK_OK(varve_close(db));
}

TEST(a_snapshot_shows_its_moment_by_every_door)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, ""), *other = fake_store(&controls, "");
    varve_snapshot *snapshot;
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_slice key = str("k");
    varve_pinned out;
    varve_iter *it;
    int result;
    CHECK_OK(varve_put(db, key, str("then")));
    CHECK_OK(varve_snapshot_new(db, &snapshot));
    CHECK_OK(varve_delete(db, key));
    CHECK_OK(varve_get_at(db, snapshot, key, &out));
    CHECK_SLICE(out, "then");
    varve_unpin(&out);
    CHECK_OK(varve_multi_get_at(db, snapshot, 1, &key, &out, &result));
    CHECK_SLICE(out, "then");
    varve_unpin(&out);
    options.snapshot = snapshot;
    CHECK_OK(varve_iter_open(db, &options, &it));
    CHECK_OK(varve_iter_first(it));
    CHECK_RC(varve_iter_refresh(it), VARVE_INVALID);
    varve_iter_close(it);
    CHECK_RC(varve_get(db, key, &out), VARVE_NOTFOUND);
    CHECK_RC(varve_get_at(other, snapshot, key, &out), VARVE_INVALID);
    CHECK_RC(varve_iter_open(other, &options, &it), VARVE_INVALID);
    varve_snapshot_release(snapshot);
    CHECK_OK(varve_close(other));
    CHECK_OK(varve_close(db));
}

static void check_snapshots(varve *db, const vv_seq *expected, size_t count)
{
    struct vv_buf out = VV_BUF_INIT;
    CHECK_OK(vv_snapshots_list(&db->store->snapshots, &out));
    CHECK_BYTES(out.data, out.size, expected, count * sizeof *expected);
    vv_buf_deinit(&out);
}

TEST(an_engine_learns_each_moment_that_must_stay_once)
{
    struct fake_controls controls = {.seq_first = 10};
    varve *db = fake_store(&controls, "");
    varve_snapshot *s[4];
    check_snapshots(db, (vv_seq[]){10}, 1);
    CHECK_OK(varve_snapshot_new(db, &s[0]));
    CHECK_OK(varve_snapshot_new(db, &s[1]));
    check_snapshots(db, (vv_seq[]){10}, 1);
    CHECK_OK(varve_put(db, str("k"), str("v")));
    CHECK_OK(varve_snapshot_new(db, &s[2]));
    CHECK_OK(varve_put(db, str("k"), str("v")));
    CHECK_OK(varve_snapshot_new(db, &s[3]));
    check_snapshots(db, (vv_seq[]){10, 11, 12}, 3);
    varve_snapshot_release(s[0]);
    check_snapshots(db, (vv_seq[]){10, 11, 12}, 3);
    varve_snapshot_release(s[2]);
    check_snapshots(db, (vv_seq[]){10, 12}, 2);
    varve_snapshot_release(s[1]);
    CHECK_EQ_U64(stat_of(db, "snapshots"), 1);
    varve_snapshot_release(s[3]);
    check_snapshots(db, (vv_seq[]){12}, 1);
    CHECK_OK(varve_close(db));
}

TEST(large_values_are_stowed_and_small_ones_are_not)
{
    struct fake_controls controls = {0};
    static char large[8192];
    varve *db = fake_store(&controls, "value_log_min=1K");
    varve_batch *batch;
    varve_iter *it;
    varve_slice value;
    varve_pinned out;
    memset(large, 'x', sizeof large);
    CHECK_OK(varve_put(db, str("a"), varve_bytes(large, 4095)));
    CHECK_EQ_INT(atomic_load(&controls.seen.stows), 0);
    CHECK_OK(varve_put(db, str("b"), varve_bytes(large, 4096)));
    CHECK_EQ_INT(atomic_load(&controls.seen.stows), 1);
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("c"), varve_bytes(large, 8192)));
    CHECK_OK(varve_batch_delete(batch, str("a")));
    CHECK_OK(varve_batch_put(batch, str("d"), str("small")));
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_EQ_INT(atomic_load(&controls.seen.stows), 2);
    CHECK_OK(varve_get(db, str("c"), &out));
    CHECK_BYTES(out.data, out.size, large, 8192);
    varve_unpin(&out);
    CHECK_OK(varve_iter_open(db, NULL, &it));
    CHECK_OK(varve_iter_last(it));
    CHECK_OK(varve_iter_prev(it));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(varve_iter_value(it, &value));
        CHECK_BYTES(value.data, value.size, large, 8192);
    }
    CHECK_OK(varve_iter_next(it));
    CHECK_OK(varve_iter_value(it, &value));
    CHECK_SLICE(value, "small");
    varve_iter_close(it);
    varve_batch_free(batch);
    CHECK_EQ_INT(atomic_load(&controls.seen.pins_open), 0);
    CHECK_EQ_INT(atomic_load(&controls.seen.unstows), 0);
    CHECK_OK(varve_close(db));
}

TEST(what_was_stowed_for_a_failed_commit_is_given_back)
{
    struct fake_controls controls = {0};
    static char large[8192];
    varve *db = fake_store(&controls, "");
    varve_batch *batch;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("c"), varve_bytes(large, 8192)));
    CHECK_OK(varve_batch_put(batch, str("d"), varve_bytes(large, 8192)));
    atomic_store(&controls.append_rc, VARVE_FULL);
    CHECK_RC(varve_put(db, str("a"), varve_bytes(large, 8192)), VARVE_FULL);
    CHECK_EQ_INT(atomic_load(&controls.seen.unstows), 1);
    CHECK_RC(varve_write(db, batch, NULL), VARVE_FULL);
    CHECK_EQ_INT(atomic_load(&controls.seen.unstows), 3);
    atomic_store(&controls.stow_rc, VARVE_FULL);
    CHECK_RC(varve_put(db, str("a"), varve_bytes(large, 8192)), VARVE_FULL);
    CHECK_EQ_INT(atomic_load(&controls.seen.unstows), 3);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

TEST(what_was_stowed_for_a_write_that_may_come_back_is_kept)
{
    struct fake_controls controls = {0};
    static char large[8192];
    varve *db = fake_store(&controls, "durability=disk");
    atomic_store(&controls.sync_rc, VARVE_IO);
    CHECK_RC(varve_put(db, str("a"), varve_bytes(large, 8192)), VARVE_IO);
    CHECK_EQ_INT(atomic_load(&controls.seen.appends), 1);
    CHECK_EQ_INT(atomic_load(&controls.seen.unstows), 0);
    CHECK(varve_close(db) < 0);
}

TEST(running_out_of_memory_anywhere_in_a_write_changes_nothing)
{
    struct fake_controls controls = {0};
    static char large[3000];
    varve *db = fake_store_stepped(&controls, "");
    int failures = 0;
    CHECK_OK(varve_put(db, str("k"), str("before")));
    for (uint64_t n = 1; n < 20; n++) {
        vv_seq before = vv_db_seq(db);
        vv_alloc_fail_at(n);
        int rc = varve_put(db, str("k"), varve_bytes(large, sizeof large));
        vv_alloc_fail_at(0);
        if (rc == VARVE_OK)
            break;
        failures++;
        CHECK_EQ_U64(vv_db_seq(db), before);
        CHECK(rc == VARVE_NOMEM || rc == VARVE_READONLY);
    }
    CHECK(failures > 0);
    (void)varve_close(db);
}

TEST(statistics_count_what_was_done)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "memory_budget=64M");
    varve_stats stats = {.size = sizeof stats};
    varve_pinned out;
    varve_iter *it;
    varve_batch *batch;
    char *text;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("b"), str("12")));
    CHECK_OK(varve_put(db, str("a"), str("1")));
    CHECK_OK(varve_delete(db, str("a")));
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_RC(varve_get(db, str("a"), &out), VARVE_NOTFOUND);
    CHECK_OK(varve_get(db, str("b"), &out));
    CHECK_OK(varve_exists(db, str("b")));
    CHECK_OK(varve_iter_open(db, NULL, &it));
    CHECK_OK(varve_iter_first(it));
    CHECK_RC(varve_iter_next(it), VARVE_END);
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK_EQ_U64(stats.sequence, 3);
    CHECK_EQ_U64(stats.puts, 2);
    CHECK_EQ_U64(stats.deletes, 1);
    CHECK_EQ_U64(stats.batches, 1);
    CHECK_EQ_U64(stats.gets, 3);
    CHECK_EQ_U64(stats.gets_found, 2);
    CHECK_EQ_U64(stats.seeks, 1);
    CHECK_EQ_U64(stats.nexts, 1);
    CHECK_EQ_U64(stats.iterators, 1);
    CHECK_EQ_U64(stats.user_bytes_written, 2 + 1 + 3);
    CHECK_EQ_U64(stats.memory_budget, 64 << 20);
    CHECK_EQ_U64(stats.pinned_bytes, 2);
    varve_unpin(&out);
    varve_iter_close(it);
    CHECK_EQ_U64(stat_of(db, "iterators"), 0);
    CHECK_EQ_U64(stat_of(db, "seeks"), 1);
    CHECK_EQ_U64(stat_of(db, "pinned_bytes"), 0);
    CHECK_OK(varve_stats_text(db, 0, &text));
    CHECK(strstr(text, "level_files") != NULL);
    varve_free(text);
    CHECK_OK(varve_stats_text(db, 1, &text));
    CHECK(strstr(text, "\"puts\":2,") != NULL);
    CHECK(strstr(text, "\"level_files\":[0,0,0,0,0,0,0]") != NULL);
    CHECK(text[strlen(text) - 1] == '}');
    varve_free(text);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

TEST(a_range_is_measured_from_its_first_key_up_to_its_end)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_slice open_end = varve_bytes(NULL, 0);
    static char long_key[VARVE_KEY_SIZE_MAX + 1];
    uint64_t bytes;
    CHECK_OK(varve_put(db, str("a"), str("1")));
    CHECK_OK(varve_put(db, str("b"), str("22")));
    CHECK_OK(varve_put(db, str("c"), str("333")));
    CHECK_OK(varve_range_bytes(db, open_end, open_end, &bytes));
    CHECK_EQ_U64(bytes, 12); /* with a byte for the keyspace of each */
    CHECK_OK(varve_range_bytes(db, str("b"), str("c"), &bytes));
    CHECK_EQ_U64(bytes, 4);
    CHECK_OK(varve_range_bytes(db, str("b"), open_end, &bytes));
    CHECK_EQ_U64(bytes, 9);
    CHECK_OK(varve_range_bytes(db, open_end, str(""), &bytes));
    CHECK_EQ_U64(bytes, 0);
    CHECK_RC(varve_range_bytes(db, open_end, open_end, NULL), VARVE_INVALID);
    CHECK_RC(varve_range_bytes(NULL, open_end, open_end, &bytes), VARVE_INVALID);
    CHECK_RC(varve_range_bytes(db, varve_bytes(long_key, sizeof long_key), open_end, &bytes),
             VARVE_TOOBIG);
    CHECK_OK(varve_close(db));
    CHECK_RC(varve_range_bytes(db, open_end, open_end, &bytes), VARVE_CLOSED);
}

TEST(statistics_fit_the_struct_of_an_older_program)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    varve_stats stats;
    memset(&stats, 0xab, sizeof stats);
    stats.size = offsetof(varve_stats, disk_bytes);
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK_EQ_U64(stats.size, offsetof(varve_stats, disk_bytes));
    CHECK_EQ_U64(stats.sequence, 0);
    CHECK_EQ_U64(stats.disk_bytes, 0xababababababababu);
    CHECK_OK(varve_close(db));
}

static void put_all(varve *db, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_OK(varve_put(db, VARVE_STR(keys[i]), VARVE_STR("value")));
}

static size_t count_all(varve *db)
{
    varve_iter *iter;
    size_t count = 0;
    CHECK_OK(varve_iter_open(db, NULL, &iter));
    while (varve_iter_next(iter) == VARVE_OK)
        count++;
    varve_iter_close(iter);
    return count;
}

static int note_range(void *context, const varve_change *change)
{
    varve_change *out = context;
    *out = *change;
    return 0;
}

TEST(a_range_may_be_open_at_either_end)
{
    static const char *const keys[] = {"", "a", "b", "c", "\xff", "\xff\xff", "\xff\xff\xff"};
    const varve_slice open = varve_bytes(NULL, 0);
    varve *db;
    CHECK_OK(varve_open(":memory:", NULL, &db));
    put_all(db, keys, 7);
    CHECK_OK(varve_delete_range(db, VARVE_STR("c"), VARVE_STR("a")));
    CHECK_OK(varve_delete_range(db, VARVE_STR("c"), VARVE_STR("c")));
    CHECK_EQ_INT(count_all(db), 7);
    CHECK_OK(varve_delete_range(db, VARVE_STR("a"), VARVE_STR("c")));
    CHECK_EQ_INT(count_all(db), 5);
    CHECK_OK(varve_delete_range(db, open, VARVE_STR("c")));
    CHECK_EQ_INT(count_all(db), 4);
    CHECK_OK(varve_delete_prefix(db, VARVE_STR("\xff\xff")));
    CHECK_EQ_INT(count_all(db), 2);
    CHECK_OK(varve_delete_range(db, VARVE_STR("d"), open));
    CHECK_EQ_INT(count_all(db), 1);
    put_all(db, keys, 7);
    CHECK_OK(varve_delete_prefix(db, VARVE_STR("")));
    CHECK_EQ_INT(count_all(db), 0);
    put_all(db, keys, 7);
    CHECK_OK(varve_delete_range(db, open, open));
    CHECK_EQ_INT(count_all(db), 0);
    CHECK_OK(varve_close(db));
}

TEST(a_range_is_deleted_in_its_keyspace_alone)
{
    static const char *const keys[] = {"", "a", "b", "\xff\xff"};
    varve *db;
    varve_keyspace *one, *two;
    varve_batch *batch;
    varve_change change = {.kind = VARVE_CHANGE_PUT};
    CHECK_OK(varve_open(":memory:", NULL, &db));
    CHECK_OK(varve_keyspace_create(db, "one", NULL, &one));
    CHECK_OK(varve_keyspace_create(db, "two", NULL, &two));
    put_all(db, keys, 4);
    put_all(one, keys, 4);
    put_all(two, keys, 4);
    CHECK_OK(varve_delete_prefix(one, VARVE_STR("\xff")));
    CHECK_EQ_INT(count_all(one), 3);
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_delete_range_in(batch, one, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_batch_each(batch, note_range, &change));
    CHECK_EQ_INT(change.kind, VARVE_CHANGE_DELETE_RANGE);
    CHECK_EQ_INT(change.keyspace, varve_keyspace_id(one));
    CHECK(change.value.data == NULL);
    CHECK_OK(varve_write(db, batch, NULL));
    CHECK_EQ_INT(count_all(one), 0);
    CHECK_EQ_INT(count_all(db), 4);
    CHECK_EQ_INT(count_all(two), 4);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}
