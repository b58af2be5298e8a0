/*
 * The drop-in for LevelDB: each of its 68 functions does what LevelDB's does.
 */
#include "harness/files.h"
#include "harness/test.h"

#include <leveldb/c.h>
#include <varve/varve.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what most tests begin with */

struct db {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write;
};

static void expect_fine(char *error)
{
    if (error != NULL)
        test_fail(__FILE__, __LINE__, "failed: %s", error);
}

/* The text begins and goes on like this; it is freed. */
static void expect_error(char **error, const char *begin, const char *word)
{
    if (*error == NULL || strncmp(*error, begin, strlen(begin)) != 0 || !strstr(*error, word))
        test_fail(__FILE__, __LINE__, "expected \"%s…%s\", not \"%s\"", begin, word,
                  *error != NULL ? *error : "(none)");
    leveldb_free(*error);
    *error = NULL;
}

static struct db db_settings(void)
{
    struct db d = {NULL, leveldb_options_create(), leveldb_readoptions_create(),
                   leveldb_writeoptions_create()};
    leveldb_options_set_create_if_missing(d.options, 1);
    return d;
}

static void db_open(struct db *d, const char *path)
{
    char *error = NULL;
    d->db = leveldb_open(d->options, path, &error);
    expect_fine(error);
    CHECK(d->db != NULL);
}

static void db_close(struct db *d)
{
    leveldb_close(d->db);
    leveldb_options_destroy(d->options);
    leveldb_readoptions_destroy(d->read);
    leveldb_writeoptions_destroy(d->write);
}

static void put(struct db *d, const char *key, const char *value)
{
    char *error = NULL;
    leveldb_put(d->db, d->write, key, strlen(key), value, strlen(value), &error);
    expect_fine(error);
}

static void expect(struct db *d, const char *key, const char *value)
{
    char *error = NULL;
    size_t size = 99;
    char *found = leveldb_get(d->db, d->read, key, strlen(key), &size, &error);
    expect_fine(error);
    if (value == NULL) {
        CHECK(found == NULL);
        CHECK_EQ_INT(size, 0);
        return;
    }
    CHECK(found != NULL);
    CHECK_BYTES(found, size, value, strlen(value));
    leveldb_free(found);
}

static void expect_on(const leveldb_iterator_t *it, const char *key, const char *value)
{
    size_t key_size, value_size;
    CHECK(leveldb_iter_valid(it));
    const char *k = leveldb_iter_key(it, &key_size);
    const char *v = leveldb_iter_value(it, &value_size);
    CHECK_BYTES(k, key_size, key, strlen(key));
    CHECK_BYTES(v, value_size, value, strlen(value));
}

/* ---- reading and writing */

TEST(what_was_put_is_there_until_it_is_deleted)
{
    struct db d = db_settings();
    char *error = NULL;
    db_open(&d, test_tmpdir());
    for (int sync = 0; sync <= 1; sync++) {
        leveldb_writeoptions_set_sync(d.write, (uint8_t)sync);
        expect(&d, "k", NULL);
        put(&d, "k", "one");
        put(&d, "k", "");
        expect(&d, "k", "");
        put(&d, "k", "two");
        expect(&d, "k", "two");
        leveldb_delete(d.db, d.write, "k", 1, &error);
        leveldb_delete(d.db, d.write, "never there", 11, &error);
        expect_fine(error);
    }
    leveldb_readoptions_set_verify_checksums(d.read, 1);
    leveldb_readoptions_set_fill_cache(d.read, 0);
    expect(&d, "k", NULL);
    db_close(&d);
}

static void note_put(void *state, const char *k, size_t klen, const char *v, size_t vlen)
{
    char *text = state;
    (void)snprintf(text + strlen(text), 60 - strlen(text), "+%.*s=%.*s", (int)klen, k, (int)vlen,
                   v);
}

static void note_deleted(void *state, const char *k, size_t klen)
{
    char *text = state;
    (void)snprintf(text + strlen(text), 60 - strlen(text), "-%.*s", (int)klen, k);
}

TEST(a_batch_is_walked_appended_and_written_as_one)
{
    struct db d = db_settings();
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    leveldb_writebatch_t *more = leveldb_writebatch_create();
    char *error = NULL;
    char text[60] = "";
    db_open(&d, test_tmpdir());
    leveldb_writebatch_put(batch, "gone", 4, "x", 1);
    leveldb_writebatch_clear(batch);
    leveldb_writebatch_put(batch, "a", 1, "1", 1);
    leveldb_writebatch_put(batch, "b", 1, "", 0);
    leveldb_writebatch_delete(more, "a", 1);
    leveldb_writebatch_append(batch, more);
    leveldb_writebatch_iterate(batch, text, note_put, note_deleted);
    CHECK_EQ_STR(text, "+a=1+b=-a");
    leveldb_write(d.db, d.write, batch, &error);
    leveldb_writeoptions_set_sync(d.write, 1);
    leveldb_write(d.db, d.write, batch, &error);
    leveldb_writebatch_clear(batch);
    leveldb_write(d.db, d.write, batch, &error);
    expect_fine(error);
    expect(&d, "a", NULL);
    expect(&d, "b", "");
    expect(&d, "gone", NULL);
    leveldb_writebatch_destroy(batch);
    leveldb_writebatch_destroy(more);
    db_close(&d);
}

TEST(a_change_that_a_batch_cannot_take_fails_with_the_write)
{
    static char long_key[VARVE_KEY_SIZE_MAX + 1];
    struct db d = db_settings();
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    leveldb_writebatch_t *more = leveldb_writebatch_create();
    char *error = NULL;
    db_open(&d, test_tmpdir());
    leveldb_writebatch_put(more, long_key, sizeof long_key, "x", 1);
    leveldb_writebatch_put(batch, "a", 1, "1", 1);
    leveldb_writebatch_append(batch, more);
    leveldb_write(d.db, d.write, batch, &error);
    expect_error(&error, "Invalid argument: ", "65536");
    expect(&d, "a", NULL);
    leveldb_writebatch_clear(batch);
    leveldb_writebatch_put(batch, "a", 1, "1", 1);
    leveldb_write(d.db, d.write, batch, &error);
    expect_fine(error);
    expect(&d, "a", "1");
    leveldb_put(d.db, d.write, long_key, sizeof long_key, "x", 1, &error);
    expect_error(&error, "Invalid argument: ", "65537");
    leveldb_writebatch_destroy(batch);
    leveldb_writebatch_destroy(more);
    db_close(&d);
}

TEST(a_failure_replaces_the_text_of_an_earlier_one_and_success_leaves_it)
{
    const char *dir = test_tmpdir();
    struct db d = db_settings();
    char *error = strdup("old");
    db_open(&d, dir);
    leveldb_put(d.db, d.write, "k", 1, "v", 1, &error);
    CHECK_EQ_STR(error, "old");
    CHECK(leveldb_open(d.options, dir, &error) == NULL);
    expect_error(&error, "IO error: ", "");
    db_close(&d);
}

/* ---- moments */

TEST(a_snapshot_and_its_iterators_show_one_moment)
{
    struct db d = db_settings();
    char *error = NULL;
    db_open(&d, test_tmpdir());
    put(&d, "a", "1");
    put(&d, "b", "1");
    const leveldb_snapshot_t *snapshot = leveldb_create_snapshot(d.db);
    put(&d, "a", "2");
    leveldb_delete(d.db, d.write, "b", 1, &error);
    leveldb_readoptions_set_snapshot(d.read, snapshot);
    expect(&d, "a", "1");
    expect(&d, "b", "1");
    leveldb_iterator_t *it = leveldb_create_iterator(d.db, d.read);
    leveldb_readoptions_set_snapshot(d.read, NULL);
    leveldb_release_snapshot(d.db, snapshot); /* the iterator lives on */
    leveldb_compact_range(d.db, NULL, 0, NULL, 0);
    expect(&d, "a", "2");
    expect(&d, "b", NULL);
    leveldb_iter_seek_to_first(it);
    expect_on(it, "a", "1");
    leveldb_iter_next(it);
    expect_on(it, "b", "1");
    leveldb_iter_destroy(it);
    expect_fine(error);
    db_close(&d);
}

TEST(an_iterator_goes_both_ways_and_is_invalid_at_either_end)
{
    struct db d = db_settings();
    char *error = NULL;
    db_open(&d, test_tmpdir());
    leveldb_iterator_t *it = leveldb_create_iterator(d.db, d.read);
    leveldb_iter_seek_to_first(it);
    CHECK(!leveldb_iter_valid(it));
    leveldb_iter_destroy(it);
    put(&d, "b", "1");
    put(&d, "d", "");
    it = leveldb_create_iterator(d.db, d.read);
    put(&d, "c", "later");
    CHECK(!leveldb_iter_valid(it));
    leveldb_iter_next(it); /* of no entry there is no next */
    CHECK(!leveldb_iter_valid(it));
    leveldb_iter_seek(it, "c", 1);
    expect_on(it, "d", "");
    leveldb_iter_next(it);
    CHECK(!leveldb_iter_valid(it));
    leveldb_iter_seek_to_last(it);
    expect_on(it, "d", "");
    leveldb_iter_prev(it);
    expect_on(it, "b", "1");
    leveldb_iter_prev(it);
    CHECK(!leveldb_iter_valid(it));
    leveldb_iter_get_error(it, &error);
    expect_fine(error);
    leveldb_iter_destroy(it);
    db_close(&d);
}

TEST(damage_ends_a_walk_with_an_error)
{
    const char *dir = test_tmpdir();
    struct db d = db_settings();
    char value[3000], path[4096];
    char *error = NULL;
    struct vv_buf bytes = VV_BUF_INIT;
    leveldb_options_set_compression(d.options, leveldb_no_compression);
    db_open(&d, dir);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    put(&d, "a", value);
    put(&d, "b", "small");
    leveldb_compact_range(d.db, NULL, 0, NULL, 0);
    leveldb_close(d.db);
    CHECK(files_find(dir, ".val", path, sizeof path));
    file_read(path, &bytes);
    bytes.data[bytes.size / 2] ^= 1;
    file_write(path, bytes.data, bytes.size);
    vv_buf_deinit(&bytes);
    db_open(&d, dir);
    leveldb_iterator_t *it = leveldb_create_iterator(d.db, d.read);
    leveldb_iter_seek_to_first(it);
    CHECK(!leveldb_iter_valid(it));
    leveldb_iter_seek(it, "b", 1);
    expect_on(it, "b", "small");
    leveldb_iter_get_error(it, &error);
    expect_error(&error, "Corruption: ", ".val");
    leveldb_iter_destroy(it);
    size_t size;
    CHECK(leveldb_get(d.db, d.read, "a", 1, &size, &error) == NULL);
    expect_error(&error, "Corruption: ", ".val");
    db_close(&d);
}

/* ---- opening */

TEST(open_creates_and_refuses_as_its_options_say)
{
    struct db d = db_settings();
    char *error = NULL;
    char wanted[4096];
    const char *path = strdup(path_of(test_tmpdir(), "db"));
    leveldb_options_set_create_if_missing(d.options, 0);
    CHECK(leveldb_open(d.options, path, &error) == NULL);
    (void)snprintf(wanted, sizeof wanted,
                   "Invalid argument: %s: does not exist (create_if_missing is false)", path);
    CHECK_EQ_STR(error, wanted);
    leveldb_options_set_create_if_missing(d.options, 1);
    leveldb_options_set_error_if_exists(d.options, 1);
    leveldb_free(error);
    error = NULL;
    db_open(&d, path);
    leveldb_close(d.db);
    for (uint8_t create = 0; create <= 1; create++) {
        leveldb_options_set_create_if_missing(d.options, create);
        CHECK(leveldb_open(d.options, path, &error) == NULL);
        (void)snprintf(wanted, sizeof wanted,
                       "Invalid argument: %s: exists (error_if_exists is true)", path);
        CHECK_EQ_STR(error, wanted);
        leveldb_free(error);
        error = NULL;
    }
    leveldb_options_set_error_if_exists(d.options, 0);
    db_open(&d, path);
    db_close(&d);
    free((void *)(uintptr_t)path);
}

TEST(a_store_of_leveldb_itself_is_refused_by_name_and_left_alone)
{
    const char *dir = test_tmpdir();
    struct db d = db_settings();
    char *error = NULL;
    file_write(path_of(dir, "CURRENT"), "MANIFEST-000002\n", 16);
    file_write(path_of(dir, "MANIFEST-000002"), "\1\2\3", 3);
    file_write(path_of(dir, "000003.log"), "data", 4);
    uint64_t before = files_print(dir);
    CHECK(leveldb_open(d.options, dir, &error) == NULL);
    expect_error(&error, "Invalid argument: ", "LevelDB");
    leveldb_destroy_db(d.options, dir, &error);
    expect_error(&error, "Invalid argument: ", "LevelDB");
    leveldb_repair_db(d.options, dir, &error);
    expect_error(&error, "Invalid argument: ", "LevelDB");
    CHECK_EQ_U64(files_print(dir), before);
    leveldb_options_destroy(d.options);
    leveldb_readoptions_destroy(d.read);
    leveldb_writeoptions_destroy(d.write);
}

TEST(destroying_and_repairing_answer_as_leveldb_does)
{
    struct db d = db_settings();
    char *error = NULL;
    const char *path = strdup(path_of(test_tmpdir(), "db"));
    leveldb_destroy_db(d.options, path, &error);
    expect_fine(error);
    leveldb_repair_db(d.options, path, &error);
    expect_error(&error, "IO error: ", "repair found no files");
    db_open(&d, path);
    put(&d, "k", "v");
    leveldb_destroy_db(d.options, path, &error);
    expect_error(&error, "IO error: ", "");
    leveldb_close(d.db);
    leveldb_repair_db(d.options, path, &error);
    expect_fine(error);
    db_open(&d, path);
    expect(&d, "k", "v");
    db_close(&d);
    d = db_settings();
    leveldb_destroy_db(d.options, path, &error);
    expect_fine(error);
    CHECK(access(path, F_OK) != 0);
    leveldb_options_destroy(d.options);
    leveldb_readoptions_destroy(d.read);
    leveldb_writeoptions_destroy(d.write);
    free((void *)(uintptr_t)path);
}

TEST(what_was_written_without_sync_survives_a_killed_process)
{
    const char *dir = test_tmpdir();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct db d = db_settings();
        db_open(&d, dir);
        put(&d, "k", "v");
        (void)kill(getpid(), SIGKILL);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        CHECK_EQ_INT(errno, EINTR);
    CHECK(WIFSIGNALED(status));
    struct db d = db_settings();
    db_open(&d, dir);
    expect(&d, "k", "v");
    db_close(&d);
}

/* ---- comparators, filters, and what is accepted only */

static int destroyed;

static void count_destroyed(void *state)
{
    CHECK_EQ_STR(state, "state");
    destroyed++;
}

static int backward(void *state, const char *a, size_t alen, const char *b, size_t blen)
{
    size_t size = alen < blen ? alen : blen;
    int order = size > 0 ? memcmp(b, a, size) : 0;
    CHECK_EQ_STR(state, "state");
    return order != 0 ? order : (blen > alen) - (blen < alen);
}

static const char *backward_name(void *state)
{
    CHECK_EQ_STR(state, "state");
    return "backward";
}

TEST(a_comparator_orders_and_must_be_given_again)
{
    const char *dir = test_tmpdir();
    static char state[] = "state";
    struct db d = db_settings();
    char *error = NULL;
    leveldb_comparator_t *order =
        leveldb_comparator_create(state, count_destroyed, backward, backward_name);
    leveldb_options_set_comparator(d.options, order);
    db_open(&d, dir);
    put(&d, "a", "1");
    put(&d, "b", "2");
    leveldb_iterator_t *it = leveldb_create_iterator(d.db, d.read);
    leveldb_iter_seek_to_first(it);
    expect_on(it, "b", "2");
    leveldb_iter_seek(it, "ab", 2);
    expect_on(it, "a", "1");
    leveldb_iter_destroy(it);
    leveldb_close(d.db);
    leveldb_options_set_comparator(d.options, NULL);
    CHECK(leveldb_open(d.options, dir, &error) == NULL);
    expect_error(&error, "Invalid argument: ", "backward");
    leveldb_options_set_comparator(d.options, order);
    leveldb_repair_db(d.options, dir, &error);
    expect_fine(error);
    db_open(&d, dir);
    expect(&d, "b", "2");
    db_close(&d);
    destroyed = 0;
    leveldb_comparator_destroy(order);
    CHECK_EQ_INT(destroyed, 1);
}

static char *no_filter(void *state, const char *const *keys, const size_t *sizes, int count,
                       size_t *size)
{
    (void)state, (void)keys, (void)sizes, (void)count, (void)size;
    test_fail(__FILE__, __LINE__, "nobody builds a filter of the program's");
}

static uint8_t no_match(void *state, const char *key, size_t size, const char *filter,
                        size_t filter_size)
{
    (void)state, (void)key, (void)size, (void)filter, (void)filter_size;
    test_fail(__FILE__, __LINE__, "nobody asks a filter of the program's");
}

TEST(settings_without_a_counterpart_are_accepted)
{
    const char *dir = test_tmpdir();
    static char state[] = "state";
    struct db d = db_settings();
    leveldb_filterpolicy_t *policies[] = {
        leveldb_filterpolicy_create(state, count_destroyed, no_filter, no_match, backward_name),
        leveldb_filterpolicy_create_bloom(10)};
    leveldb_cache_t *cache = leveldb_cache_create_lru(100 << 20);
    leveldb_env_t *env = leveldb_create_default_env();
    leveldb_options_set_env(d.options, env);
    leveldb_options_set_info_log(d.options, NULL);
    leveldb_options_set_paranoid_checks(d.options, 1);
    leveldb_options_set_max_open_files(d.options, 10);
    leveldb_options_set_block_size(d.options, 1024);
    leveldb_options_set_block_restart_interval(d.options, 8);
    leveldb_options_set_max_file_size(d.options, 3 << 20);
    leveldb_options_set_write_buffer_size(d.options, 6 << 20);
    leveldb_options_set_cache(d.options, cache);
    leveldb_options_set_compression(d.options, leveldb_snappy_compression);
    for (int i = 0; i < 2; i++) {
        leveldb_options_set_filter_policy(d.options, policies[i]);
        db_open(&d, dir);
        put(&d, "k", "v");
        leveldb_compact_range(d.db, NULL, 0, NULL, 0);
        expect(&d, "k", "v");
        expect(&d, "l", NULL);
        leveldb_close(d.db);
    }
    db_open(&d, dir);
    db_close(&d);
    destroyed = 0;
    leveldb_filterpolicy_destroy(policies[0]);
    leveldb_filterpolicy_destroy(policies[1]);
    CHECK_EQ_INT(destroyed, 1);
    leveldb_cache_destroy(cache);
    leveldb_env_destroy(env);
}

/* ---- numbers */

static uint64_t number_of(struct db *d, const char *name)
{
    char *text = leveldb_property_value(d->db, name);
    CHECK(text != NULL);
    uint64_t number = strtoull(text, NULL, 10);
    leveldb_free(text);
    return number;
}

TEST(properties_and_sizes_tell_of_the_data)
{
    struct db d = db_settings();
    const char *starts[] = {"a", "k00010000", "l"};
    const char *limits[] = {"k00010000", "z", "z"};
    size_t start_sizes[] = {1, 9, 1};
    size_t limit_sizes[] = {9, 1, 1};
    uint64_t sizes[3];
    db_open(&d, test_tmpdir());
    for (unsigned i = 0; i < 20000; i++) {
        char key[32], value[32];
        (void)snprintf(key, sizeof key, "k%08u", i);
        (void)snprintf(value, sizeof value, "v%020u", i * 2654435769u);
        put(&d, key, value);
    }
    for (int round = 0; round < 2; round++) {
        leveldb_approximate_sizes(d.db, 3, starts, start_sizes, limits, limit_sizes, sizes);
        CHECK(sizes[0] > 50000 && sizes[1] > 50000);
        CHECK_EQ_U64(sizes[2], 0);
        leveldb_compact_range(d.db, "k", 1, "l", 1);
    }
    uint64_t files = 0;
    for (int level = 0; level < 7; level++) {
        char name[40];
        (void)snprintf(name, sizeof name, "leveldb.num-files-at-level%d", level);
        files += number_of(&d, name);
    }
    CHECK(files > 0);
    CHECK(number_of(&d, "leveldb.approximate-memory-usage") > 0);
    char *text = leveldb_property_value(d.db, "leveldb.stats");
    CHECK(strstr(text, "Level  Files Size(MB)") != NULL && strstr(text, "puts") != NULL);
    leveldb_free(text);
    text = leveldb_property_value(d.db, "leveldb.sstables");
    CHECK(strstr(text, ".sst") != NULL);
    leveldb_free(text);
    CHECK(leveldb_property_value(d.db, "leveldb.num-files-at-level7") == NULL);
    CHECK(leveldb_property_value(d.db, "leveldb.num-files-at-level") == NULL);
    CHECK(leveldb_property_value(d.db, "leveldb.num-files-at-level99999999999") == NULL);
    CHECK(leveldb_property_value(d.db, "nosuch") == NULL);
    db_close(&d);
}

TEST(the_rest_answers)
{
    leveldb_env_t *env = leveldb_create_default_env();
    CHECK_EQ_INT(leveldb_major_version(), 1);
    CHECK_EQ_INT(leveldb_minor_version(), 23);
    CHECK(setenv("TEST_TMPDIR", "/somewhere", 1) == 0);
    char *dir = leveldb_env_get_test_directory(env);
    CHECK_EQ_STR(dir, "/somewhere");
    leveldb_free(dir);
    CHECK(unsetenv("TEST_TMPDIR") == 0);
    dir = leveldb_env_get_test_directory(env);
    CHECK(strstr(dir, "/tmp/leveldbtest-") == dir);
    CHECK(access(dir, W_OK) == 0);
    leveldb_free(dir);
    leveldb_free(NULL);
    leveldb_env_destroy(env);
}
