#include "db/open.h"
#include "env/mem.h"
#include "env/posix.h"
#include "env/sim.h"
#include "harness/test.h"

#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char path_buf[2][4096];

static const char *home; /* the directory of the test */

static const char *in_tmp(int slot, const char *name)
{
    (void)snprintf(path_buf[slot], sizeof path_buf[slot], "%s/%s", home, name);
    return path_buf[slot];
}

static varve *open_as(const char *path, const char *text)
{
    varve *db = NULL;
    varve_options options = VARVE_OPTIONS_INIT;
    CHECK_OK(varve_options_set(&options, text));
    CHECK_OK(varve_open(path, &options, &db));
    return db;
}

static void check_refused(const char *path, const char *text, int expected)
{
    varve *untouched = (varve *)(void *)path_buf, *db = untouched;
    varve_options options = VARVE_OPTIONS_INIT;
    CHECK_OK(varve_options_set(&options, text));
    CHECK_RC(varve_open(path, &options, &db), expected);
    CHECK(db == untouched);
    CHECK(varve_last_error()[0] != 0);
}

static void check_value(varve *db, const char *key, const char *value)
{
    varve_pinned out;
    CHECK_OK(varve_get(db, VARVE_STR(key), &out));
    CHECK_BYTES(out.data, out.size, value, strlen(value));
    varve_unpin(&out);
}

TEST(what_was_written_is_there_after_closing_and_opening)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    varve *db = open_as(path, "");
    CHECK_OK(varve_put(db, VARVE_STR("k"), VARVE_STR("v")));
    CHECK_OK(varve_put(db, VARVE_STR("gone"), VARVE_STR("v")));
    CHECK_OK(varve_delete(db, VARVE_STR("gone")));
    CHECK_OK(varve_close(db));
    db = open_as(path, "mode=existing");
    check_value(db, "k", "v");
    CHECK_RC(varve_exists(db, VARVE_STR("gone")), VARVE_NOTFOUND);
    CHECK_OK(varve_close(db));
}

TEST(a_store_without_a_log_is_flushed_by_closing)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    varve *db = open_as(path, "durability=none");
    CHECK_OK(varve_put(db, VARVE_STR("k"), VARVE_STR("v")));
    CHECK_OK(varve_close(db));
    db = open_as(path, "durability=none");
    check_value(db, "k", "v");
    CHECK_OK(varve_close(db));
}

TEST(modes_say_what_may_be_there)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    check_refused(path, "mode=existing", VARVE_MISSING);
    check_refused(path, "mode=readonly", VARVE_MISSING);
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(varve_close(open_as(path, "mode=exclusive")));
    check_refused(path, "mode=exclusive", VARVE_EXISTS);
    CHECK_OK(varve_close(open_as(path, "mode=existing")));
    CHECK_OK(varve_close(open_as(path, "mode=readonly")));
}

TEST(a_store_is_written_by_one_handle_and_read_beside_it)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    varve *db = open_as(path, "");
    CHECK_OK(varve_put(db, VARVE_STR("k"), VARVE_STR("v")));
    check_refused(path, "", VARVE_LOCKED);
    CHECK_RC(varve_destroy(path), VARVE_LOCKED);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_LOCKED);
    CHECK_RC(varve_repair(path, NULL, NULL, NULL), VARVE_LOCKED);
    varve *reader = open_as(path, "mode=readonly");
    check_value(reader, "k", "v");
    CHECK_RC(varve_put(reader, VARVE_STR("k"), VARVE_STR("w")), VARVE_READONLY);
    CHECK_RC(varve_delete(reader, VARVE_STR("k")), VARVE_READONLY);
    CHECK_RC(varve_flush(reader), VARVE_READONLY);
    CHECK_OK(varve_settle(reader));
    CHECK_OK(varve_close(reader));
    CHECK_OK(varve_close(db));
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
}

TEST(foreign_places_are_left_alone)
{
    home = test_tmpdir();
    const char *dir = in_tmp(0, "d");
    CHECK(mkdir(dir, 0755) == 0);
    const char *file = in_tmp(1, "d/letter");
    write_file(file, "dear");
    check_refused(dir, "", VARVE_FOREIGN);
    check_refused(dir, "mode=readonly", VARVE_FOREIGN);
    check_refused(file, "", VARVE_FOREIGN);
    CHECK_RC(varve_destroy(dir), VARVE_FOREIGN);
    CHECK_RC(varve_check(dir, NULL, NULL, NULL), VARVE_FOREIGN);
    CHECK(access(in_tmp(1, "d/LOCK"), F_OK) != 0);
    CHECK(access(in_tmp(1, "d/letter"), F_OK) == 0);
}

TEST(paths_that_cannot_be_are_refused)
{
    home = test_tmpdir();
    char long_path[5000];
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = 0;
    check_refused("", "", VARVE_INVALID);
    varve *db;
    CHECK(varve_open(long_path, NULL, &db) < 0);
    CHECK(varve_open(in_tmp(0, "no/such/parent"), NULL, &db) < 0);
    CHECK_RC(varve_open(NULL, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_destroy(NULL), VARVE_INVALID);
}

TEST(paths_may_be_relative_and_end_in_slashes)
{
    home = test_tmpdir();
    CHECK(chdir(home) == 0);
    CHECK_OK(varve_close(open_as("here", "")));
    CHECK_OK(varve_close(open_as("here/", "mode=existing")));
    CHECK_OK(varve_close(open_as("./there//", "mode=exclusive")));
    CHECK_OK(varve_destroy("here/"));
    CHECK_OK(varve_destroy("there"));
}

TEST(a_failed_creation_leaves_nothing)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    if (geteuid() == 0) {
        /* Root may write anywhere; a build without the codec cannot be had either.
     */
        varve_options options = VARVE_OPTIONS_INIT;
        varve *db;
        options.memory_budget = 1;
        CHECK_RC(varve_open(path, &options, &db), VARVE_INVALID);
        CHECK(access(path, F_OK) != 0);
        return;
    }
    CHECK(chmod(home, 0555) == 0);
    check_refused(path, "", VARVE_PERMISSION);
    CHECK(chmod(home, 0755) == 0);
    CHECK(access(path, F_OK) != 0);
}

TEST(a_creation_that_fails_anywhere_can_be_tried_again)
{
    home = test_tmpdir();
    for (uint64_t n = 1;; n++) {
        struct vv_env *env;
        varve *db = NULL;
        CHECK_OK(vv_env_sim_new(test_seed() + n, &env));
        struct vv_db_world world = {.env = env, .stepped = true};
        vv_sim_fail_at(env, n, VV_SIM_FAULT_IO, false);
        int rc = vv_db_open(&world, "/s", NULL, &db);
        vv_sim_fail_at(env, 0, VV_SIM_FAULT_NONE, false);
        if (rc < 0)
            CHECK_OK(vv_db_open(&world, "/s", NULL, &db));
        CHECK_OK(varve_put(db, VARVE_STR("k"), VARVE_STR("v")));
        CHECK_OK(varve_close(db));
        bool done = rc == VV_OK && vv_sim_call_count(env) < n;
        vv_env_sim_free(env);
        if (done)
            break;
    }
}

TEST(destroying_removes_what_is_ours_and_nothing_else)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    CHECK_RC(varve_destroy(path), VARVE_MISSING);
    CHECK_OK(varve_close(open_as(path, "")));
    CHECK_OK(varve_destroy(path));
    CHECK(access(path, F_OK) != 0);
    CHECK_RC(varve_destroy(path), VARVE_MISSING);

    CHECK_OK(varve_close(open_as(path, "")));
    const char *letter = in_tmp(1, "s/letter");
    write_file(letter, "dear");
    CHECK_OK(varve_destroy(path));
    CHECK(access(letter, F_OK) == 0);
    CHECK_RC(varve_destroy(path), VARVE_FOREIGN);
}

TEST(a_store_in_memory_is_whole_and_ends_with_closing)
{
    home = test_tmpdir();
    for (int i = 0; i < 2; i++) {
        varve *db;
        CHECK_OK(varve_open(i == 0 ? NULL : ":memory:", NULL, &db));
        CHECK_RC(varve_exists(db, VARVE_STR("k")), VARVE_NOTFOUND);
        CHECK_OK(varve_put(db, VARVE_STR("k"), VARVE_STR("v")));
        CHECK_OK(varve_flush(db));
        check_value(db, "k", "v");
        CHECK_OK(varve_sync(db));
        CHECK_OK(varve_close(db));
    }
    check_refused(NULL, "mode=existing", VARVE_MISSING);
    check_refused(":memory:", "mode=readonly", VARVE_MISSING);
}

TEST(values_of_every_size_come_back_by_every_door)
{
    home = test_tmpdir();
    static const size_t sizes[] = {0, 1, 255, 1023, 1024, 4095, 4096, 4097, 70000, 3 << 20};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    static uint8_t bytes[3 << 20], copy[3 << 20];
    varve_batch *batch;
    varve *db = open_as(in_tmp(0, "s"), "");
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 4096);
    CHECK_OK(varve_batch_new(&batch));
    for (int i = 0; i < COUNT; i++) {
        char key[3] = {'p', (char)('a' + i), 0};
        CHECK_OK(varve_put(db, VARVE_STR(key), varve_bytes(bytes, sizes[i])));
        key[0] = 'b';
        CHECK_OK(varve_batch_put(batch, VARVE_STR(key), varve_bytes(bytes, sizes[i])));
    }
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
    for (int round = 0; round < 3; round++) {
        varve_iter *it;
        CHECK_OK(varve_iter_open(db, NULL, &it));
        for (int i = 0; i < 2 * COUNT; i++) {
            varve_slice value, key;
            varve_pinned pinned;
            size_t size;
            CHECK_OK(varve_iter_next(it));
            key = varve_iter_key(it);
            CHECK_OK(varve_iter_value(it, &value));
            CHECK_BYTES(value.data, value.size, bytes, sizes[i % COUNT]);
            CHECK_OK(varve_get(db, key, &pinned));
            CHECK_BYTES(pinned.data, pinned.size, bytes, sizes[i % COUNT]);
            varve_unpin(&pinned);
            CHECK_OK(varve_get_into(db, key, copy, sizeof copy, &size));
            CHECK_BYTES(copy, size, bytes, sizes[i % COUNT]);
        }
        varve_iter_close(it);
        if (round == 0) {
            CHECK_OK(varve_flush(db));
            CHECK_OK(varve_settle(db));
        } else {
            CHECK_OK(varve_close(db));
            db = open_as(in_tmp(0, "s"), "");
        }
    }
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_close(db));
}

static void count_lines(void *context, const char *line)
{
    CHECK(line[0] != 0);
    ++*(int *)context;
}

/* Inverts a byte in the middle of the first file with this ending. */
static void damage(const char *path, const char *ending)
{
    struct vv_buf names = VV_BUF_INIT;
    CHECK_OK(vv_env_list(vv_env_posix(), path, &names));
    const char *at = (const char *)names.data, *end = at + names.size;
    while (at < end &&
           (strlen(at) < strlen(ending) || strcmp(at + strlen(at) - strlen(ending), ending) != 0))
        at += strlen(at) + 1;
    CHECK(at < end);
    int size = snprintf(path_buf[1], sizeof path_buf[1], "%s/%s", path, at);
    CHECK(size > 0 && (size_t)size < sizeof path_buf[1]);
    FILE *file = fopen(path_buf[1], "r+");
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    long middle = ftell(file) / 2;
    CHECK(fseek(file, middle, SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(fseek(file, middle, SEEK_SET) == 0);
    CHECK(fputc(byte ^ 0xff, file) != EOF);
    CHECK(fclose(file) == 0);
    vv_buf_deinit(&names);
}

TEST(checking_a_whole_store_finds_nothing_and_a_damaged_one_is_told)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    int lines = 0;
    CHECK_RC(varve_check(path, NULL, count_lines, &lines), VARVE_MISSING);
    varve *db = open_as(path, "");
    for (int i = 0; i < 1000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        CHECK_OK(varve_put(db, VARVE_STR(key), VARVE_STR(key)));
    }
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_verify(db, count_lines, &lines));
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_check(path, NULL, count_lines, &lines));
    lines = 0;
    damage(path, ".sst");
    CHECK_RC(varve_check(path, NULL, count_lines, &lines), VARVE_CORRUPT);
    CHECK(lines > 0);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_CORRUPT);
    CHECK_OK(varve_repair(path, NULL, count_lines, &lines));
    CHECK_OK(varve_check(path, NULL, NULL, NULL));
}

TEST(a_pointer_to_the_manifest_that_is_damaged_is_told)
{
    home = test_tmpdir();
    const char *path = in_tmp(0, "s");
    varve *db = open_as(path, "");
    int lines = 0;
    CHECK_OK(varve_put(db, VARVE_STR("k"), VARVE_STR("v")));
    CHECK_OK(varve_close(db));
    FILE *current = fopen(in_tmp(1, "s/CURRENT"), "w");
    CHECK(current != NULL && fputs("MANIFEST-", current) > 0 && fclose(current) == 0);
    CHECK_RC(varve_check(path, NULL, count_lines, &lines), VARVE_CORRUPT);
    CHECK_EQ_INT(lines, 1);
    db = open_as(path, "mode=existing"); /* does without it, and writes a new one */
    check_value(db, "k", "v");
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_check(path, NULL, NULL, NULL));
}

TEST(facts_about_a_store_can_be_asked_for_by_name)
{
    home = test_tmpdir();
    varve *db = open_as(in_tmp(0, "s"), "");
    char *text;
    static const char *const names[] = {"engine", "path",  "uuid", "format",     "options",
                                        "levels", "files", "puts", "level_files"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_OK(varve_property(db, names[i], &text));
        CHECK(text != NULL);
        varve_free(text);
    }
    CHECK_OK(varve_property(db, "path", &text));
    CHECK_EQ_STR(text, in_tmp(0, "s"));
    varve_free(text);
    CHECK_OK(varve_property(db, "uuid", &text));
    CHECK_EQ_INT(strlen(text), 36);
    varve_free(text);
    CHECK_RC(varve_property(db, "colour", &text), VARVE_NOTFOUND);
    CHECK_OK(varve_close(db));
}

static uint64_t size_of_file(const char *pattern)
{
    glob_t found;
    uint64_t sum = 0;
    CHECK_EQ_INT(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct stat info;
        CHECK_EQ_INT(stat(found.gl_pathv[i], &info), 0);
        sum += (uint64_t)info.st_size;
    }
    globfree(&found);
    return sum;
}

TEST(a_reader_knows_what_its_store_takes_on_disk)
{
    home = test_tmpdir();
    varve_stats stats = {.size = sizeof stats};
    varve *db = open_as(in_tmp(0, "s"), "");
    CHECK_OK(varve_put(db, VARVE_STR("a"), VARVE_STR("1")));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_put(db, VARVE_STR("b"), VARVE_STR("2")));
    CHECK_OK(varve_close(db));
    db = open_as(in_tmp(0, "s"), "mode=readonly");
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK(stats.log_bytes > 0);
    CHECK_EQ_U64(stats.log_bytes, size_of_file(in_tmp(1, "s/*.wal")));
    CHECK_EQ_U64(stats.disk_bytes, stats.log_bytes + size_of_file(in_tmp(1, "s/*.sst")) +
                                       size_of_file(in_tmp(1, "s/MANIFEST-*")));
    CHECK_OK(varve_close(db));
}

TEST(pinned_values_outlive_their_store)
{
    home = test_tmpdir();
    varve *db = open_as(NULL, "");
    static char large[100000];
    varve_pinned small, big, table;
    memset(large, 'x', sizeof large);
    CHECK_OK(varve_put(db, VARVE_STR("t"), VARVE_STR("in a table")));
    CHECK_OK(varve_put(db, VARVE_STR("l"), varve_bytes(large, sizeof large)));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_put(db, VARVE_STR("s"), VARVE_STR("in a memtable")));
    CHECK_OK(varve_get(db, VARVE_STR("s"), &small));
    CHECK_OK(varve_get(db, VARVE_STR("l"), &big));
    CHECK_OK(varve_get(db, VARVE_STR("t"), &table));
    CHECK_OK(varve_close(db));
    CHECK_SLICE(small, "in a memtable");
    CHECK_SLICE(table, "in a table");
    CHECK_BYTES(big.data, big.size, large, sizeof large);
    varve_unpin(&small);
    varve_unpin(&table);
    varve_unpin(&big);
    varve_unpin(&big);
}
