/*
 * The simulated world while it runs: faults, limits, damage, determinism. What a power cut leaves
 * is in test_sim_image.c, and that it is a world like others in test/contract/test_env.c.
 */
#include "env/sim.h"

#include "harness/test.h"

#include <stdio.h>

static struct vv_env *world_new(void)
{
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    return env;
}

static struct vv_file *open_file(struct vv_env *env, const char *path, enum vv_open_mode mode)
{
    struct vv_file *file = NULL;
    CHECK_OK(vv_env_open(env, path, mode, &file));
    return file;
}

static int write_text(struct vv_file *file, uint64_t offset, const char *text)
{
    vv_slice part = vv_slice_str(text);
    return vv_file_write_at(file, offset, &part, 1);
}

static void make_file(struct vv_env *env, const char *path, const char *text)
{
    struct vv_file *file = open_file(env, path, VV_OPEN_CREATE);
    CHECK_OK(write_text(file, 0, text));
    vv_file_close(file);
}

#define CHECK_FILE(env, path, literal)                                                             \
    do {                                                                                           \
        struct vv_buf content_ = VV_BUF_INIT;                                                      \
        CHECK_OK(vv_sim_read_file((env), (path), &content_));                                      \
        CHECK_SLICE(vv_buf_slice(&content_), literal);                                             \
        vv_buf_deinit(&content_);                                                                  \
    } while (0)

#define CHECK_ABSENT(env, path)                                                                    \
    do {                                                                                           \
        struct vv_path_info info_;                                                                 \
        CHECK_RC(vv_env_info((env), (path), &info_), VV_NOTFOUND);                                 \
    } while (0)

static const char *described(const struct vv_env *env, uint64_t n)
{
    static char text[128];
    vv_sim_call_describe(env, n, text, sizeof text);
    return text;
}

/* ---- the log */

TEST(mutating_calls_are_numbered_and_described)
{
    struct vv_env *env = world_new();
    struct vv_buf names = VV_BUF_INIT;
    CHECK_EQ_U64(vv_sim_call_count(env), 0);
    CHECK_OK(vv_env_make_dir(env, "/db"));
    struct vv_file *file = open_file(env, "/db/000004.wal", VV_OPEN_CREATE);
    CHECK_OK(write_text(file, 128, "abc"));
    CHECK_OK(vv_file_sync(file));
    CHECK_OK(vv_file_truncate(file, 7));
    CHECK_OK(vv_env_sync_dir(env, "/db"));
    CHECK_OK(vv_env_rename(env, "/db/000004.wal", "/db/old"));
    CHECK_OK(write_text(file, 0, "x"));
    CHECK_OK(vv_env_link(env, "/db/old", "/new"));
    CHECK_OK(vv_env_remove(env, "/db/old"));
    CHECK_OK(vv_env_remove_dir(env, "/db"));
    uint64_t size;
    CHECK_OK(vv_file_size(file, &size)); /* looking is no mutating call */
    CHECK_OK(vv_env_list(env, "/", &names));
    vv_file_close(file);
    CHECK_EQ_U64(vv_sim_call_count(env), 11);
    CHECK_EQ_STR(described(env, 1), "make directory db");
    CHECK_EQ_STR(described(env, 2), "create 000004.wal");
    CHECK_EQ_STR(described(env, 3), "write 000004.wal 128+3");
    CHECK_EQ_STR(described(env, 4), "sync 000004.wal");
    CHECK_EQ_STR(described(env, 5), "truncate 000004.wal 7");
    CHECK_EQ_STR(described(env, 6), "sync directory db");
    CHECK_EQ_STR(described(env, 7), "rename 000004.wal to old");
    CHECK_EQ_STR(described(env, 8), "write old 0+1");
    CHECK_EQ_STR(described(env, 9), "link old to new");
    CHECK_EQ_STR(described(env, 10), "remove old");
    CHECK_EQ_STR(described(env, 11), "remove directory db");
    CHECK_EQ_STR(described(env, 0), "no call");
    CHECK_EQ_STR(described(env, 12), "no call");
    vv_buf_deinit(&names);
    vv_env_sim_free(env);
}

TEST(calls_that_cannot_work_are_not_counted)
{
    struct vv_env *env = world_new();
    struct vv_file *file;
    make_file(env, "/x", "x");
    uint64_t count = vv_sim_call_count(env);
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, false);
    CHECK_RC(vv_env_open(env, "/x", VV_OPEN_CREATE, &file), VV_EXISTS);
    CHECK_RC(vv_env_open(env, "/y", VV_OPEN_READ, &file), VV_NOTFOUND);
    CHECK_RC(vv_env_remove(env, "/y"), VV_NOTFOUND);
    CHECK_RC(vv_env_rename(env, "/y", "/x"), VV_IO);
    CHECK_EQ_U64(vv_sim_call_count(env), count);
    CHECK_RC(vv_env_remove(env, "/x"), VV_IO); /* the fault was still waiting */
    CHECK_EQ_U64(vv_sim_call_count(env), count + 1);
    CHECK_EQ_STR(described(env, count + 1), "remove x (failed)");
    CHECK_FILE(env, "/x", "x");
    vv_env_sim_free(env);
}

/* ---- faults */

/* A world with an open file "/x" holding "old" that is ready to fail. */
static struct vv_env *world_with_x(struct vv_file **file)
{
    struct vv_env *env = world_new();
    make_file(env, "/x", "old");
    *file = open_file(env, "/x", VV_OPEN_WRITE);
    return env;
}

TEST(an_io_fault_meets_every_kind_of_call_and_leaves_all_as_it_was)
{
    struct vv_file *file;
    struct vv_file *other;
    struct vv_lock *lock;
    struct vv_env *env = world_with_x(&file);
    CHECK_OK(vv_env_make_dir(env, "/d"));
    uint64_t before = vv_sim_fingerprint(env);
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, true);
    CHECK_RC(write_text(file, 0, "new"), VV_IO);
    CHECK(strstr(vv_error_story(), "/x") != NULL);
    CHECK_RC(vv_file_truncate(file, 1), VV_IO);
    CHECK_RC(vv_file_sync(file), VV_IO);
    CHECK_RC(vv_env_sync_dir(env, "/"), VV_IO);
    CHECK_RC(vv_env_open(env, "/y", VV_OPEN_CREATE, &other), VV_IO);
    CHECK_RC(vv_env_lock(env, "/lock", &lock), VV_IO);
    CHECK_RC(vv_env_make_dir(env, "/e"), VV_IO);
    CHECK_RC(vv_env_remove_dir(env, "/d"), VV_IO);
    CHECK_RC(vv_env_rename(env, "/x", "/y"), VV_IO);
    CHECK_RC(vv_env_remove(env, "/x"), VV_IO);
    CHECK_EQ_U64(vv_sim_fingerprint(env), before);
    vv_sim_fail_at(env, 0, VV_SIM_FAULT_IO, true);
    CHECK_OK(write_text(file, 0, "new"));
    CHECK_FILE(env, "/x", "new");
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(a_fault_meets_just_the_call_it_was_set_for)
{
    struct vv_file *file;
    struct vv_env *env = world_with_x(&file);
    vv_sim_fail_at(env, 3, VV_SIM_FAULT_IO, false);
    CHECK_OK(write_text(file, 0, "1"));
    CHECK_OK(write_text(file, 0, "2"));
    CHECK_RC(write_text(file, 0, "3"), VV_IO);
    CHECK_OK(write_text(file, 1, "4"));
    CHECK_FILE(env, "/x", "24d");
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(a_full_fault_meets_creates_and_growing_writes_only)
{
    struct vv_file *file;
    struct vv_file *other;
    struct vv_env *env = world_with_x(&file);
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_FULL, true);
    CHECK_OK(write_text(file, 0, "abc"));
    CHECK_RC(write_text(file, 0, "abcd"), VV_FULL);
    CHECK_RC(vv_env_open(env, "/y", VV_OPEN_CREATE, &other), VV_FULL);
    CHECK_RC(vv_env_make_dir(env, "/d"), VV_FULL);
    CHECK_OK(vv_file_sync(file));
    CHECK_OK(vv_env_rename(env, "/x", "/z"));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    CHECK_FILE(env, "/z", "abc");
    CHECK_OK(vv_env_remove(env, "/z"));
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(a_short_write_leaves_a_prefix_and_fails)
{
    char text[] = "abcdefgh";
    bool seen[sizeof text] = {false};
    for (int i = 0; i < 200; i++) {
        struct vv_env *env;
        struct vv_buf content = VV_BUF_INIT;
        CHECK_OK(vv_env_sim_new(test_seed() + (uint64_t)i, &env));
        struct vv_file *file = open_file(env, "/x", VV_OPEN_CREATE);
        vv_sim_fail_at(env, 1, VV_SIM_FAULT_SHORT, false);
        CHECK_RC(write_text(file, 0, text), VV_IO);
        CHECK_OK(vv_sim_read_file(env, "/x", &content));
        CHECK(content.size <= strlen(text));
        CHECK(content.size == 0 || memcmp(content.data, text, content.size) == 0);
        seen[content.size] = true;
        CHECK_OK(write_text(file, 0, text));
        vv_buf_deinit(&content);
        vv_file_close(file);
        vv_env_sim_free(env);
    }
    for (size_t size = 0; size <= strlen(text); size++)
        CHECK(seen[size]);
}

TEST(a_short_fault_meets_nothing_but_writes)
{
    struct vv_file *file;
    struct vv_env *env = world_with_x(&file);
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_SHORT, true);
    CHECK_OK(vv_file_truncate(file, 1));
    CHECK_OK(vv_file_sync(file));
    CHECK_OK(vv_env_rename(env, "/x", "/y"));
    CHECK_OK(vv_env_make_dir(env, "/d"));
    CHECK_RC(write_text(file, 0, "abc"), VV_IO);
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(the_nth_read_fails_and_mutating_calls_do_not)
{
    struct vv_file *file;
    struct vv_env *env = world_with_x(&file);
    char byte;
    vv_sim_fail_read_at(env, 2, false);
    CHECK_OK(vv_file_read_whole(file, 0, &byte, 1));
    CHECK_OK(write_text(file, 0, "new"));
    CHECK_RC(vv_file_read_whole(file, 0, &byte, 1), VV_IO);
    CHECK_OK(vv_file_read_whole(file, 0, &byte, 1));
    vv_sim_fail_read_at(env, 1, true);
    CHECK_RC(vv_file_read_whole(file, 0, &byte, 1), VV_IO);
    CHECK_RC(vv_file_read_whole(file, 0, &byte, 1), VV_IO);
    vv_sim_fail_read_at(env, 0, true);
    CHECK_OK(vv_file_read_whole(file, 0, &byte, 1));
    CHECK_EQ_INT(byte, 'n');
    vv_file_close(file);
    vv_env_sim_free(env);
}

/* ---- capacity */

TEST(a_full_disk_takes_what_fits_and_recovers_when_space_returns)
{
    struct vv_env *env = world_new();
    struct vv_file *other;
    vv_sim_set_capacity(env, 10);
    struct vv_file *file = open_file(env, "/x", VV_OPEN_CREATE);
    CHECK_OK(write_text(file, 0, "12345678"));
    CHECK_RC(write_text(file, 8, "abcd"), VV_FULL);
    CHECK_FILE(env, "/x", "12345678ab");
    CHECK_OK(write_text(file, 0, "87654321")); /* what does not grow needs no room */
    CHECK_RC(write_text(file, 20, "z"), VV_FULL);
    CHECK_RC(vv_file_truncate(file, 11), VV_FULL);
    CHECK_RC(vv_env_open(env, "/y", VV_OPEN_CREATE, &other), VV_FULL);
    CHECK_RC(vv_env_make_dir(env, "/d"), VV_FULL);
    CHECK_FILE(env, "/x", "87654321ab");

    CHECK_OK(vv_file_truncate(file, 4));
    CHECK_OK(vv_env_remove(env, "/x"));
    make_file(env, "/y", "123456"); /* the open file still takes four bytes */
    CHECK_RC(vv_env_make_dir(env, "/d"), VV_FULL);
    vv_file_close(file);
    CHECK_OK(vv_env_make_dir(env, "/d"));
    make_file(env, "/d/z", "1234");
    vv_sim_set_capacity(env, 0);
    make_file(env, "/d/much more", "many bytes");
    vv_env_sim_free(env);
}

TEST(replacing_a_file_gives_its_space_back)
{
    struct vv_env *env = world_new();
    vv_sim_set_capacity(env, 10);
    make_file(env, "/x", "12345");
    make_file(env, "/y", "1234");
    CHECK_OK(vv_env_rename(env, "/y", "/x"));
    make_file(env, "/z", "123456");
    CHECK_OK(vv_sim_write_file(env, "/z", vv_slice_str("1")));
    make_file(env, "/a", "12345");
    vv_env_sim_free(env);
}

/* ---- clocks */

TEST(clocks_move_only_by_calls_sleeping_and_advancing)
{
    struct vv_env *env = world_new();
    uint64_t now = vv_env_now_us(env);
    uint64_t wall = vv_env_wall_us(env);
    CHECK_EQ_U64(vv_env_now_us(env), now + 2);
    vv_sim_advance(env, 1000);
    CHECK_EQ_U64(vv_env_now_us(env), now + 1003);
    vv_env_sleep_us(env, 5000);
    CHECK_EQ_U64(vv_env_now_us(env), now + 6005);
    CHECK_EQ_U64(vv_env_wall_us(env), wall + 6005);
    vv_env_sim_free(env);
}

/* ---- damage */

TEST(damage_shows_at_once_and_is_no_call)
{
    struct vv_file *file;
    struct vv_env *env = world_with_x(&file);
    uint64_t count = vv_sim_call_count(env);
    char text[8] = "";
    CHECK_OK(vv_sim_write_file(env, "/x", vv_slice_str("rotten")));
    CHECK_OK(vv_file_read_whole(file, 0, text, 6));
    CHECK_EQ_STR(text, "rotten");
    CHECK_EQ_U64(vv_sim_call_count(env), count);
    CHECK_OK(vv_sim_write_file(env, "/x", VV_SLICE_EMPTY));
    CHECK_FILE(env, "/x", "");
    struct vv_buf content = VV_BUF_INIT;
    CHECK_RC(vv_sim_write_file(env, "/y", VV_SLICE_EMPTY), VV_NOTFOUND);
    CHECK_RC(vv_sim_read_file(env, "/y", &content), VV_NOTFOUND);
    vv_file_close(file);
    vv_env_sim_free(env);
}

/* ---- determinism */

/* Works a little, reading names and random bytes as it goes. */
static uint64_t work_and_tell(uint64_t seed)
{
    struct vv_env *env;
    struct vv_buf told = VV_BUF_INIT;
    CHECK_OK(vv_env_sim_new(seed, &env));
    for (int i = 0; i < 20; i++) {
        char path[32];
        uint8_t chance[16];
        CHECK_OK(vv_env_random(env, chance, sizeof chance));
        (void)snprintf(path, sizeof path, "/%02x", chance[0]);
        struct vv_path_info info;
        if (vv_env_info(env, path, &info) == VV_NOTFOUND)
            make_file(env, path, path);
        CHECK_OK(vv_env_list(env, "/", &told));
        CHECK_OK(vv_buf_append_u64(&told, vv_env_now_us(env)));
    }
    vv_sim_fail_at(env, 2, VV_SIM_FAULT_SHORT, false);
    struct vv_file *file = open_file(env, "/torn", VV_OPEN_CREATE);
    CHECK_RC(write_text(file, 0, "a long enough text"), VV_IO);
    vv_file_close(file);
    CHECK_OK(vv_buf_append_u64(&told, vv_sim_fingerprint(env)));
    uint64_t hash = 0;
    for (size_t i = 0; i < told.size; i++)
        hash = hash * 31 + told.data[i];
    vv_buf_deinit(&told);
    vv_env_sim_free(env);
    return hash;
}

TEST(the_same_seed_and_calls_give_the_same_world)
{
    CHECK_EQ_U64(work_and_tell(test_seed()), work_and_tell(test_seed()));
    CHECK(work_and_tell(test_seed()) != work_and_tell(test_seed() + 1));
}

TEST(lists_come_in_changing_order)
{
    struct vv_env *env = world_new();
    struct vv_buf first = VV_BUF_INIT;
    struct vv_buf again = VV_BUF_INIT;
    bool changed = false;
    make_file(env, "/a", "");
    make_file(env, "/b", "");
    make_file(env, "/c", "");
    CHECK_OK(vv_env_list(env, "/", &first));
    for (int i = 0; i < 50; i++) {
        vv_buf_clear(&again);
        CHECK_OK(vv_env_list(env, "/", &again));
        CHECK_EQ_U64(again.size, first.size);
        changed = changed || memcmp(first.data, again.data, first.size) != 0;
    }
    CHECK(changed);
    vv_buf_deinit(&first);
    vv_buf_deinit(&again);
    vv_env_sim_free(env);
}

static uint64_t fingerprint_of(const char *first, const char *second, const char *text)
{
    struct vv_env *env = world_new();
    CHECK_OK(vv_env_make_dir(env, "/d"));
    make_file(env, first, text);
    make_file(env, second, "same");
    uint64_t print = vv_sim_fingerprint(env);
    vv_env_sim_free(env);
    return print;
}

TEST(fingerprints_tell_names_and_contents_apart_and_nothing_else)
{
    uint64_t print = fingerprint_of("/a", "/b", "same");
    CHECK_EQ_U64(fingerprint_of("/b", "/a", "same"), print);
    CHECK(fingerprint_of("/a", "/c", "same") != print);
    CHECK(fingerprint_of("/a", "/d/b", "same") != print);
    CHECK(fingerprint_of("/a", "/b", "other") != print);
    CHECK(fingerprint_of("/a", "/b", "") != print);

    struct vv_env *env = world_new();
    make_file(env, "/x", "text");
    uint64_t before = vv_sim_fingerprint(env);
    CHECK_OK(vv_env_make_dir(env, "/d"));
    uint64_t with_dir = vv_sim_fingerprint(env);
    CHECK(with_dir != before);
    CHECK_OK(vv_env_remove_dir(env, "/d"));
    CHECK_EQ_U64(vv_sim_fingerprint(env), before);
    make_file(env, "/d", "");
    CHECK(vv_sim_fingerprint(env) != with_dir);
    CHECK_OK(vv_env_remove(env, "/d"));
    CHECK_OK(vv_env_rename(env, "/x", "/y"));
    CHECK(vv_sim_fingerprint(env) != before);
    CHECK_OK(vv_env_rename(env, "/y", "/x"));
    CHECK_EQ_U64(vv_sim_fingerprint(env), before);
    vv_env_sim_free(env);
}
