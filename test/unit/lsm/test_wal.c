/*
 * The chain of logs: what is where after rotating, failing, syncing and retiring.
 */
#include "harness/test.h"

#include "base/error.h"
#include "base/hash.h"
#include "env/sim.h"
#include "kv/batch.h"
#include "lsm/wal.h"

#include <stdio.h>

#define DIR "/db"

static struct vv_env *env;
static struct vv_wal *wal;
static vv_seq last;

static void begin(bool recycle)
{
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, DIR));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    struct vv_wal_options options = {.env = env, .dir = DIR, .uuid = "u", .recycle = recycle};
    CHECK_OK(vv_wal_new(&options, &wal));
    last = 0;
}

/* Begins again with a bound for what is kept. */
static void begin_keeping(uint64_t keep_bytes)
{
    begin(false);
    vv_wal_free(wal);
    struct vv_wal_options options = {.env = env, .dir = DIR, .uuid = "u", .keep_bytes = keep_bytes};
    CHECK_OK(vv_wal_new(&options, &wal));
}

static void end(void)
{
    vv_wal_free(wal);
    vv_env_sim_free(env);
}

/* A batch of one whose key is as long as asked. */
static int lay(size_t key_size)
{
    static uint8_t key[4096];
    struct vv_batch batch = {0};
    CHECK_OK(vv_batch_delete(&batch, vv_slice_of(key, key_size)));
    struct vv_write write = {.ops = vv_buf_slice(&batch.ops), .count = 1, .first = ++last};
    write.body_hash = vv_hash(write.ops);
    struct vv_write *group[] = {&write};
    int rc = vv_wal_append(wal, group, 1);
    vv_batch_deinit(&batch);
    return rc;
}

static bool exists(struct vv_env *world, const char *path)
{
    struct vv_path_info info;
    int rc = vv_env_info(world, path, &info);
    CHECK(rc >= 0);
    return rc == VV_OK;
}

struct seen {
    vv_seq first, last, prev_seq;
    uint64_t prev_number;
    unsigned count;
    bool first_prev_synced, last_prev_synced;
};

static struct seen read_log(struct vv_env *world, uint64_t number)
{
    char path[64];
    struct vv_log_expect expect = {.kind = VV_LOG_WAL, .number = number};
    struct vv_log_reader *reader;
    struct vv_record record;
    struct seen seen = {0};
    uint64_t offset;
    (void)snprintf(path, sizeof path, DIR "/%06u.wal", (unsigned)number);
    CHECK_OK(vv_log_reader_open(world, path, &expect, &reader));
    seen.prev_seq = vv_log_reader_head(reader)->prev_seq;
    seen.prev_number = vv_log_reader_head(reader)->prev_number;
    while (vv_log_read(reader, &record, &offset) == VV_OK) {
        seen.last_prev_synced = (record.flags & VV_RECORD_PREV_SYNCED) != 0;
        if (seen.count++ == 0) {
            seen.first = record.seq;
            seen.first_prev_synced = seen.last_prev_synced;
        }
        seen.last = record.seq;
    }
    vv_log_reader_close(reader);
    return seen;
}

TEST(a_new_log_says_where_the_one_before_it_ended)
{
    begin(false);
    CHECK(vv_wal_broken(wal));
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK(!vv_wal_broken(wal));
    CHECK_OK(lay(10));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 7, last));
    CHECK_OK(lay(10));
    struct seen old = read_log(env, 3);
    struct seen new = read_log(env, 7);
    CHECK_EQ_U64(old.last, 2);
    CHECK_EQ_U64(new.prev_seq, 2);
    CHECK_EQ_U64(new.prev_number, 3);
    CHECK_EQ_U64(new.first, 3);
    end();
}

TEST(the_log_behind_a_sequence_is_the_one_that_goes_on_from_it)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 7, 2));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 8, 3));
    CHECK_EQ_U64(vv_wal_log_behind(wal, 0), 3);
    CHECK_EQ_U64(vv_wal_log_behind(wal, 1), 3);
    CHECK_EQ_U64(vv_wal_log_behind(wal, 2), 7);
    CHECK_EQ_U64(vv_wal_log_behind(wal, 3), 8);
    CHECK_EQ_U64(vv_wal_log_behind(wal, 9), 8);
    end();
}

TEST(after_a_failed_append_only_rotating_helps)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_SHORT, false);
    CHECK_RC(lay(2000), VV_IO);
    CHECK(vv_wal_broken(wal));
    CHECK_OK(vv_wal_take_back(wal));
    CHECK(vv_wal_broken(wal));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    CHECK_OK(lay(10)); /* the failed one's number is spent */
    CHECK_EQ_U64(read_log(env, 4).prev_seq, 1);
    CHECK_EQ_U64(read_log(env, 4).first, 3);
    end();
}

TEST(a_log_without_records_gives_way_to_the_next)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, false);
    CHECK_RC(lay(10), VV_IO);
    /* As long as there is no newer one it says that what the older one may hold does not count. */
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, true);
    CHECK_RC(vv_wal_rotate(wal, 5, 1), VV_IO);
    vv_sim_fail_at(env, 0, VV_SIM_FAULT_NONE, false);
    CHECK(exists(env, DIR "/000004.wal"));
    CHECK_OK(vv_wal_rotate(wal, 6, 1));
    CHECK(!exists(env, DIR "/000004.wal"));
    CHECK(!exists(env, DIR "/000005.wal"));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    end();
}

TEST(a_log_that_is_pinned_stays_though_it_is_empty)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    vv_wal_pin(wal, 4);
    CHECK_OK(vv_wal_rotate(wal, 5, 1));
    CHECK_OK(vv_wal_rotate(wal, 6, 1));
    CHECK(exists(env, DIR "/000004.wal"));
    CHECK(!exists(env, DIR "/000005.wal"));
    vv_wal_retire(wal, 6);
    CHECK(!exists(env, DIR "/000004.wal"));
    end();
}

/* Were it to say that a log was synced whose name may be lost, that loss would be taken for damage. */
TEST(no_log_is_synced_before_its_name)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, false);
    CHECK_RC(vv_wal_sync(wal, vv_wal_here(wal)), VV_IO);
    CHECK_OK(lay(10));
    CHECK(!read_log(env, 3).last_prev_synced);
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    CHECK_OK(lay(10));
    CHECK(read_log(env, 3).last_prev_synced);
    end();
}

TEST(what_a_failed_rotation_may_leave_voids_nothing)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    /* The file is made, its header fails. */
    vv_sim_fail_at(env, 2, VV_SIM_FAULT_IO, false);
    CHECK_RC(vv_wal_rotate(wal, 4, 1), VV_IO);
    CHECK(vv_wal_broken(wal));
    CHECK(!exists(env, DIR "/000004.wal"));
    CHECK_OK(vv_wal_rotate(wal, 5, 1));
    CHECK_OK(lay(10));
    CHECK_EQ_U64(read_log(env, 5).count, 1);
    end();
}

TEST(a_sync_ends_when_the_log_it_should_reach_is_gone)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    struct vv_wal_mark mark = vv_wal_here(wal);
    CHECK_EQ_U64(mark.number, 4);
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, false);
    CHECK_RC(lay(10), VV_IO);
    CHECK_OK(vv_wal_rotate(wal, 5, 1));
    CHECK_OK(vv_wal_sync(wal, mark));
    mark.number = 6; /* one that was never made */
    CHECK_OK(vv_wal_sync(wal, mark));
    end();
}

TEST(names_are_synced_first_and_older_logs_before_newer_ones)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    CHECK_OK(lay(10));
    uint64_t before = vv_sim_call_count(env);
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    const char *const wanted[] = {"db", "000003.wal", "000004.wal"};
    CHECK_EQ_U64(vv_sim_call_count(env) - before, 3);
    for (uint64_t i = 0; i < 3; i++) {
        char call[128];
        vv_sim_call_describe(env, before + 1 + i, call, sizeof call);
        if (strstr(call, "sync") == NULL || strstr(call, wanted[i]) == NULL)
            test_fail(__FILE__, __LINE__, "call %u is %s", (unsigned)i, call);
    }
    before = vv_sim_call_count(env);
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    CHECK_EQ_U64(vv_sim_call_count(env), before);
    end();
}

TEST(a_record_says_synced_only_when_all_before_it_was)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(lay(10));
    CHECK(!read_log(env, 3).last_prev_synced);
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    CHECK_OK(lay(10));
    CHECK(read_log(env, 3).last_prev_synced);
    /* Part of the log only. */
    struct vv_wal_mark mark = vv_wal_here(wal);
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_sync(wal, mark));
    CHECK_OK(lay(10));
    CHECK(!read_log(env, 3).last_prev_synced);
    CHECK_OK(vv_wal_rotate(wal, 4, last));
    CHECK_OK(lay(10));
    CHECK(!read_log(env, 4).first_prev_synced);
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    CHECK_OK(vv_wal_rotate(wal, 5, last));
    CHECK_OK(lay(10));
    CHECK(read_log(env, 5).first_prev_synced);
    end();
}

TEST(what_was_synced_survives_a_power_cut)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_sync(wal, vv_wal_here(wal)));
    CHECK_OK(lay(10));
    struct vv_env *image;
    CHECK_OK(vv_sim_image(env, vv_sim_call_count(env), VV_SIM_SYNCED, 0, &image));
    CHECK_EQ_U64(read_log(image, 3).last, 1);
    CHECK_EQ_U64(read_log(image, 4).last, 2);
    vv_env_sim_free(image);
    end();
}

TEST(obsolete_logs_are_removed_and_the_newest_never)
{
    begin(false);
    CHECK_OK(vv_wal_inherit(wal, 1, 500));
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 4, 1));
    CHECK_OK(lay(10));
    vv_wal_retire(wal, 3);
    CHECK(exists(env, DIR "/000003.wal"));
    vv_wal_retire(wal, 100);
    CHECK(!exists(env, DIR "/000003.wal"));
    CHECK(exists(env, DIR "/000004.wal"));
    CHECK_OK(lay(10));
    end();
}

TEST(obsolete_logs_are_kept_as_far_as_they_fit)
{
    begin_keeping(2000);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    for (uint64_t number = 4; number < 9; number++) {
        CHECK_OK(lay(600));
        CHECK_OK(vv_wal_rotate(wal, number, last));
    }
    vv_wal_retire(wal, 6);
    CHECK(!exists(env, DIR "/000003.kept")); /* each takes about 730 bytes */
    CHECK(exists(env, DIR "/000004.kept"));
    CHECK(exists(env, DIR "/000005.kept"));
    CHECK(exists(env, DIR "/000006.wal"));
    CHECK(!exists(env, DIR "/000005.wal"));
    vv_wal_retire(wal, 7);
    CHECK(!exists(env, DIR "/000004.kept"));
    CHECK(exists(env, DIR "/000006.kept"));
    end();
}

TEST(obsolete_logs_come_back_as_spares_of_the_right_size)
{
    begin(true);
    vv_wal_set_spare_bytes(wal, 8192);
    CHECK(vv_wal_wants_spare(wal));
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    while (vv_wal_disk_bytes(wal) < 8192)
        CHECK_OK(lay(1000));
    CHECK_OK(vv_wal_rotate(wal, 4, last));
    CHECK_OK(lay(10));
    CHECK_OK(vv_wal_rotate(wal, 5, last));
    CHECK_OK(lay(10));
    vv_wal_retire(wal, 5);
    CHECK(exists(env, DIR "/000003.spare"));
    CHECK(!exists(env, DIR "/000004.wal")); /* too small */
    CHECK(!exists(env, DIR "/000004.spare"));
    CHECK(!vv_wal_wants_spare(wal));
    vv_seq before = last;
    CHECK_OK(vv_wal_rotate(wal, 6, last));
    CHECK(!exists(env, DIR "/000003.spare"));
    CHECK_OK(lay(10));
    struct seen seen = read_log(env, 6);
    CHECK_EQ_U64(seen.count, 1);
    CHECK_EQ_U64(seen.first, before + 1);
    CHECK_OK(vv_wal_prepare_spare(wal, 9));
    CHECK(exists(env, DIR "/000009.spare"));
    end();
}

TEST(a_group_is_one_write)
{
    begin(false);
    CHECK_OK(vv_wal_rotate(wal, 3, 0));
    struct vv_batch batch = {0};
    CHECK_OK(vv_batch_put(&batch, vv_slice_str("k"), vv_slice_str("v")));
    CHECK_OK(vv_batch_delete(&batch, vv_slice_str("l")));
    struct vv_write a = {.ops = vv_buf_slice(&batch.ops), .count = 2, .first = 1};
    a.body_hash = vv_hash(a.ops);
    struct vv_write b = a;
    b.first = 3;
    struct vv_write *group[] = {&a, &b};
    uint64_t before = vv_sim_call_count(env);
    CHECK_OK(vv_wal_append(wal, group, 2));
    CHECK_EQ_U64(vv_sim_call_count(env), before + 1);
    CHECK_EQ_U64(read_log(env, 3).count, 2);
    CHECK(vv_wal_appended_bytes(wal) > 0);
    vv_batch_deinit(&batch);
    end();
}
