/*
 * What people do to a store by mistake: each mistake has its own error with a story that says what
 * is wrong, and changes nothing on disk.
 */
#include "base/coding.h"
#include "base/hash.h"
#include "harness/files.h"
#include "harness/test.h"
#include "log/log.h"
#include "sst/format.h"

#include <varve/varve.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define A VARVE_STR("a")
#define B VARVE_STR("b")

static varve_options options_small(void)
{
    varve_options options = VARVE_OPTIONS_INIT;

    options.memory_budget = (uint64_t)4 << 20;
    return options;
}

static void expect_story(const char *word)
{
    if (!strstr(varve_last_error(), word))
        test_fail(__FILE__, __LINE__, "the story does not say \"%s\": %s", word,
                  varve_last_error());
}

/* Opening must fail this way, naming the word, and leave what is at the path as it is. */
static void expect_refused(const char *path, const varve_options *options, int code,
                           const char *word)
{
    uint64_t before = files_print(path);
    varve *db = NULL;
    int rc = varve_open(path, options, &db);

    if (rc != code)
        test_fail(__FILE__, __LINE__, "opening %s gives %d (%s), not %d", path, rc,
                  rc < 0 ? varve_last_error() : "", code);
    CHECK(db == NULL);
    expect_story(word);
    CHECK_EQ_U64(files_print(path), before);
}

/* A store with tables, large values and a log, closed. */
static const char *store_make(void)
{
    const char *path = path_of(test_tmpdir(), "store");
    char *kept = strdup(path); /* leaks when the test fails, as a test may */
    varve_options options = options_small();
    uint8_t large[5000] = {1};
    varve *db = NULL;

    CHECK(kept != NULL);
    options.compression = VARVE_COMPRESSION_NONE;
    CHECK_OK(varve_open(kept, &options, &db));
    CHECK_OK(varve_put(db, A, VARVE_STR("1")));
    CHECK_OK(varve_put(db, VARVE_STR("large"), varve_bytes(large, sizeof large)));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_put(db, B, VARVE_STR("2")));
    CHECK_OK(varve_close(db));
    return kept;
}

static void store_free(const char *path)
{
    free((void *)(uintptr_t)path);
}

static void expect_whole(const char *path)
{
    varve_options options = options_small();
    varve *db = NULL;
    varve_pinned pin;

    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_get(db, A, &pin));
    CHECK_SLICE(pin, "1");
    varve_unpin(&pin);
    CHECK_OK(varve_get(db, B, &pin));
    CHECK_SLICE(pin, "2");
    varve_unpin(&pin);
    CHECK_OK(varve_exists(db, VARVE_STR("large")));
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_close(db));
}

/* ---- paths that are not ours */

TEST(a_file_is_not_a_store)
{
    const char *dir = test_tmpdir();
    const char *path = path_of(dir, "notes.txt");

    file_write(path, "hello", 5);
    expect_refused(path, NULL, VARVE_FOREIGN, "notes.txt");
    CHECK_RC(varve_destroy(path), VARVE_FOREIGN);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_FOREIGN);
    CHECK_RC(varve_repair(path, NULL, NULL, NULL), VARVE_FOREIGN);
    CHECK_EQ_U64(files_count(dir, "notes"), 1);
}

TEST(a_directory_of_other_things_is_not_a_store)
{
    const char *dir = test_tmpdir();
    uint64_t before;

    file_write(path_of(dir, "letter.doc"), "dear", 4);
    file_write(path_of(dir, "photo.jpg"), "\xff\xd8", 2);
    before = files_print(dir);
    expect_refused(dir, NULL, VARVE_FOREIGN, dir);
    CHECK_RC(varve_destroy(dir), VARVE_FOREIGN);
    CHECK_RC(varve_check(dir, NULL, NULL, NULL), VARVE_FOREIGN);
    CHECK_RC(varve_repair(dir, NULL, NULL, NULL), VARVE_FOREIGN);
    CHECK_EQ_U64(files_print(dir), before);
}

TEST(a_store_of_leveldb_or_rocksdb_is_not_ours)
{
    static const char *const tables[] = {"000005.ldb", "000005.sst"};

    for (size_t i = 0; i < 2; i++) {
        const char *dir = path_of(test_tmpdir(), tables[i]);
        uint64_t before;
        CHECK(mkdir(dir, 0777) == 0);
        file_write(path_of(dir, "CURRENT"), "MANIFEST-000004\n", 16);
        file_write(path_of(dir, "MANIFEST-000004"), "\x56\xf9\xb8\xf8\x1c\0\1\1\x1aleveldb", 16);
        file_write(path_of(dir, tables[i]), "data", 4);
        file_write(path_of(dir, "000003.log"), "data", 4);
        file_write(path_of(dir, "LOCK"), "", 0);
        before = files_print(dir);
        expect_refused(dir, NULL, VARVE_FOREIGN, "LevelDB");
        CHECK_RC(varve_destroy(dir), VARVE_FOREIGN);
        CHECK_RC(varve_check(dir, NULL, NULL, NULL), VARVE_FOREIGN);
        CHECK_RC(varve_repair(dir, NULL, NULL, NULL), VARVE_FOREIGN);
        CHECK_EQ_U64(files_print(dir), before);
    }
}

TEST(a_device_is_not_a_store)
{
    expect_refused("/dev/null", NULL, VARVE_FOREIGN, "/dev/null");
}

TEST(a_store_needs_a_parent_directory)
{
    const char *path = path_of(test_tmpdir(), "no/such/store");
    varve *db = NULL;
    int rc = varve_open(path, NULL, &db);

    CHECK(rc == VARVE_MISSING || rc == VARVE_IO);
    expect_story("no/such");
    CHECK_EQ_U64(files_print(path), 1);
}

TEST(a_path_that_is_too_long_is_refused)
{
    enum { LONG = 20000 };
    char *path = malloc(LONG);
    varve *db = NULL;
    int rc;

    CHECK(path != NULL);
    memset(path, 'x', LONG - 1);
    path[LONG - 1] = '\0';
    rc = varve_open(path, NULL, &db);
    CHECK(rc == VARVE_INVALID || rc == VARVE_TOOBIG);
    CHECK(varve_last_error()[0] != '\0');
    free(path);
}

TEST(a_missing_store_is_said_to_be_missing_and_not_made)
{
    const char *dir = test_tmpdir();
    const char *path = path_of(dir, "nothing");
    varve_options options = options_small();

    options.mode = VARVE_MODE_EXISTING;
    expect_refused(path, &options, VARVE_MISSING, "nothing");
    expect_refused(dir, &options, VARVE_MISSING, dir);
    options.mode = VARVE_MODE_READONLY;
    expect_refused(path, &options, VARVE_MISSING, "nothing");
    expect_refused(dir, &options, VARVE_MISSING, dir);
    CHECK_RC(varve_destroy(path), VARVE_MISSING);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_MISSING);
    CHECK_RC(varve_repair(path, NULL, NULL, NULL), VARVE_MISSING);
    CHECK_EQ_U64(files_count(dir, "nothing"), 0);
}

TEST(an_existing_store_is_not_created_again)
{
    const char *path = store_make();
    varve_options options = options_small();

    options.mode = VARVE_MODE_EXCLUSIVE;
    expect_refused(path, &options, VARVE_EXISTS, path);
    expect_whole(path);
    store_free(path);
}

/* ---- half a store, and more than a store */

static void expect_half_refused(const char *whole, const char *without_a, const char *without_b,
                                unsigned number)
{
    char name[32];
    char half[512];
    char gone[512];

    snprintf(name, sizeof name, "half%u", number);
    snprintf(half, sizeof half, "%s", path_of(path_of(whole, ".."), name));
    files_copy(whole, half);
    if (files_find(half, without_a, gone, sizeof gone))
        CHECK(unlink(gone) == 0);
    if (without_b && files_find(half, without_b, gone, sizeof gone))
        CHECK(unlink(gone) == 0);
    {
        uint64_t before = files_print(half);
        varve_options options = options_small();
        varve *db = NULL;
        int rc = varve_open(half, &options, &db);

        if (rc == VARVE_OK) { /* found only where the file is needed */
            varve_pinned pin;
            CHECK_RC(varve_get(db, A, &pin), VARVE_CORRUPT);
            CHECK_OK(varve_close(db));
        } else {
            CHECK(rc == VARVE_CORRUPT || rc == VARVE_FOREIGN || rc == VARVE_MISSING);
            CHECK_EQ_U64(files_print(half), before);
        }
        CHECK(varve_last_error()[0] != '\0');
    }
}

TEST(half_a_store_is_not_opened_as_a_whole_or_a_new_one)
{
    const char *path = store_make();

    expect_half_refused(path, "MANIFEST", NULL, 1);
    expect_half_refused(path, "MANIFEST", "CURRENT", 2);
    expect_half_refused(path, ".sst", NULL, 3);
    expect_whole(path);
    store_free(path);
}

TEST(a_lost_pointer_to_the_manifest_is_no_harm)
{
    const char *path = store_make();

    CHECK(unlink(path_of(path, "CURRENT")) == 0);
    expect_whole(path);
    store_free(path);
}

TEST(files_of_others_in_the_directory_are_left_alone)
{
    const char *path = store_make();
    const char *names[] = {"README.txt", ".DS_Store", "000099.sst.bak", "12345", "MANIFEST.old"};
    varve_options options = options_small();
    varve *db = NULL;
    struct vv_buf content = VV_BUF_INIT;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        file_write(path_of(path, names[i]), names[i], strlen(names[i]));
    CHECK(mkdir(path_of(path, "attic"), 0777) == 0);
    expect_whole(path);
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_put(db, B, VARVE_STR("2")));
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_destroy(path));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        file_read(path_of(path, names[i]), &content);
        CHECK_BYTES(content.data, content.size, names[i], strlen(names[i]));
    }
    CHECK_EQ_U64(files_count(path, ".sst"), 1);
    CHECK_EQ_U64(files_count(path, "CURRENT"), 0);
    CHECK_EQ_U64(files_count(path, "attic"), 1);
    CHECK(rmdir(path_of(path, "attic")) == 0);
    vv_buf_deinit(&content);
    store_free(path);
}

/* ---- a newer format */

static void log_head_patch(const char *path, size_t at, uint8_t value)
{
    struct vv_buf content = VV_BUF_INIT;

    file_read(path, &content);
    CHECK(content.size >= VV_LOG_HEAD_SIZE);
    content.data[at] = value;
    vv_put_u32(content.data + 92, vv_checksum(vv_slice_of(content.data, 92), 0));
    file_write(path, content.data, content.size);
    vv_buf_deinit(&content);
}

static void table_patch(const char *path, size_t at, uint8_t value)
{
    struct vv_buf content = VV_BUF_INIT;
    uint8_t *footer;

    file_read(path, &content);
    CHECK(content.size >= VV_FOOTER_SIZE);
    footer = content.data + content.size - VV_FOOTER_SIZE;
    footer[at] = value;
    vv_put_u32(footer + VV_FOOTER_CHECK,
               vv_checksum(vv_slice_of(footer, VV_FOOTER_CHECK), content.size));
    file_write(path, content.data, content.size);
    vv_buf_deinit(&content);
}

static void expect_newer_refused(const char *kind, size_t version_at, size_t feature_at,
                                 void (*patch)(const char *path, size_t at, uint8_t value))
{
    const size_t places[] = {version_at, feature_at};

    for (int i = 0; i < 2; i++) {
        const char *path = store_make();
        varve_options options = options_small();
        varve *db = NULL;
        char found[512];
        uint64_t before;
        int rc;

        CHECK(files_find(path, kind, found, sizeof found));
        patch(found, places[i], 2);
        before = files_print(path);
        rc = varve_open(path, &options, &db);
        if (rc == VARVE_OK) {
            varve_pinned pin;
            rc = varve_get(db, A, &pin);
            CHECK_OK(varve_close(db));
        } else {
            CHECK_EQ_U64(files_print(path), before);
        }
        CHECK_RC(rc, VARVE_UNSUPPORTED);
        expect_story(strrchr(found, '/') + 1);
        store_free(path);
    }
}

TEST(a_manifest_of_a_newer_format_is_refused)
{
    expect_newer_refused("MANIFEST", 8, 72, log_head_patch);
}

TEST(a_log_of_a_newer_format_is_refused)
{
    expect_newer_refused(".wal", 8, 72, log_head_patch);
}

TEST(a_table_of_a_newer_format_is_refused)
{
    expect_newer_refused(".sst", VV_FOOTER_VERSION, VV_FOOTER_REQUIRED, table_patch);
}

/* ---- options */

static void expect_untouched(const varve_options *options)
{
    const varve_options init = VARVE_OPTIONS_INIT;

    CHECK_EQ_U64(options->size, init.size);
    CHECK_EQ_INT(options->mode, init.mode);
    CHECK_EQ_INT(options->engine, init.engine);
    CHECK_EQ_INT(options->durability, init.durability);
    CHECK_EQ_U64(options->sync_interval_ms, init.sync_interval_ms);
    CHECK_EQ_U64(options->memory_budget, init.memory_budget);
    CHECK_EQ_INT(options->compression, init.compression);
    CHECK(options->comparator == NULL);
    CHECK_EQ_U64(options->background_threads, init.background_threads);
    CHECK_EQ_U64(options->value_log_min, init.value_log_min);
}

TEST(option_text_that_makes_no_sense_is_refused_by_its_word)
{
    static const char *const bad[][2] = {
        {"colour=red", "colour"},
        {"durability=strong", "strong"},
        {"memory_budget=lots", "lots"},
        {"memory_budget=12X", "12X"},
        {"memory_budget=-5", "-5"},
        {"memory_budget=99999999999999999999", "99999999999999999999"},
        {"memory_budget", "memory_budget"},
        {"memory_budget=", "memory_budget"},
        {"engine=hash2", "hash2"},
        {"mode=sometimes", "sometimes"},
        {"compression=rar", "rar"},
        {"durability=disk,mode=x", "mode"},
        {"=5", "="},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        varve_options options = VARVE_OPTIONS_INIT;
        int rc = varve_options_set(&options, bad[i][0]);

        if (rc != VARVE_INVALID)
            test_fail(__FILE__, __LINE__, "\"%s\" gives %d", bad[i][0], rc);
        expect_story(bad[i][1]);
        expect_untouched(&options);
    }
}

TEST(option_text_that_makes_sense_is_taken)
{
    varve_options options = VARVE_OPTIONS_INIT;

    CHECK_OK(varve_options_set(&options, "memory_budget=256MiB,durability=disk"));
    CHECK_EQ_U64(options.memory_budget, (uint64_t)256 << 20);
    CHECK_EQ_INT(options.durability, VARVE_DURABILITY_DISK);
    CHECK_OK(varve_options_set(&options, "memory_budget=1G,compression=none,mode=readonly"));
    CHECK_EQ_U64(options.memory_budget, (uint64_t)1 << 30);
    CHECK_EQ_INT(options.compression, VARVE_COMPRESSION_NONE);
    CHECK_EQ_INT(options.mode, VARVE_MODE_READONLY);
    CHECK_OK(varve_options_set(&options, "sync_interval_ms=50,background_threads=3"));
    CHECK_EQ_U64(options.sync_interval_ms, 50);
    CHECK_EQ_U64(options.background_threads, 3);
    CHECK_OK(varve_options_set(&options, "value_log_min=4K,engine=lsm"));
    CHECK_EQ_U64(options.value_log_min, 4096);
    CHECK_OK(varve_options_set(&options, ""));
}

TEST(options_that_make_no_sense_are_refused)
{
    const char *path = path_of(test_tmpdir(), "store");
    varve_options options;

    options = options_small();
    options.size = 0;
    expect_refused(path, &options, VARVE_INVALID, "VARVE_OPTIONS_INIT");
    options = options_small();
    options.mode = (enum varve_mode)99;
    expect_refused(path, &options, VARVE_INVALID, "mode");
    options = options_small();
    options.engine = (enum varve_engine)99;
    expect_refused(path, &options, VARVE_INVALID, "engine");
    options = options_small();
    options.durability = (enum varve_durability)99;
    expect_refused(path, &options, VARVE_INVALID, "durability");
    options = options_small();
    options.compression = (enum varve_compression)99;
    expect_refused(path, &options, VARVE_INVALID, "compression");
    options = options_small();
    options.memory_budget = 1000;
    expect_refused(path, &options, VARVE_INVALID, "memory_budget");
    options = options_small();
    options.value_log_min = 5;
    expect_refused(path, &options, VARVE_INVALID, "value_log_min");
}

TEST(write_options_that_make_no_sense_are_refused)
{
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;
    varve_batch *batch = NULL;
    varve *db = NULL;

    CHECK_OK(varve_open(NULL, NULL, &db));
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, A, B));
    options.durability = (enum varve_durability)99;
    CHECK_RC(varve_write(db, batch, &options), VARVE_INVALID);
    CHECK_RC(varve_exists(db, A), VARVE_NOTFOUND);
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
}

/* ---- too long */

TEST(keys_and_values_above_their_limits_are_refused)
{
    size_t room = VARVE_VALUE_SIZE_MAX + 1;
    void *bytes = mmap(NULL, room, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    varve_slice key_max = varve_bytes(bytes, VARVE_KEY_SIZE_MAX);
    varve_slice key_long = varve_bytes(bytes, VARVE_KEY_SIZE_MAX + 1);
    varve_slice value_long = varve_bytes(bytes, room);
    varve_batch *batch = NULL;
    varve *db = NULL;

    CHECK(bytes != MAP_FAILED);
    CHECK_OK(varve_open(NULL, NULL, &db));
    CHECK_OK(varve_batch_new(&batch));
    CHECK_RC(varve_put(db, key_long, A), VARVE_TOOBIG);
    CHECK(varve_last_error()[0] != '\0');
    CHECK_RC(varve_put(db, A, value_long), VARVE_TOOBIG);
    CHECK_RC(varve_delete(db, key_long), VARVE_TOOBIG);
    CHECK_RC(varve_batch_put(batch, key_long, A), VARVE_TOOBIG);
    CHECK_RC(varve_batch_put(batch, A, value_long), VARVE_TOOBIG);
    CHECK_RC(varve_batch_delete(batch, key_long), VARVE_TOOBIG);
    CHECK_EQ_U64(varve_batch_count(batch), 0);
    CHECK_RC(varve_exists(db, A), VARVE_NOTFOUND);
    CHECK_OK(varve_put(db, key_max, A));
    CHECK_OK(varve_exists(db, key_max));
    CHECK_OK(varve_put(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_exists(db, varve_bytes(NULL, 0)));
    varve_batch_free(batch);
    CHECK_OK(varve_close(db));
    CHECK(munmap(bytes, room) == 0);
}

/* ---- the system says no */

/* Runs the function in a forked child, in which checks work too, and demands that it ends well. */
static void in_child(void (*run)(const char *path), const char *path)
{
    pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid == 0) {
        run(path);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        test_fail(__FILE__, __LINE__, "the child ended with status %x", (unsigned)status);
}

static void child_fills_the_disk(const char *path)
{
    struct rlimit limit = {.rlim_cur = 300 * 1024, .rlim_max = RLIM_INFINITY};
    varve_options options = options_small();
    static uint8_t value[10000];
    varve *db = NULL;
    char key[16];
    int rc = VARVE_OK;
    unsigned written = 0;

    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK_OK(varve_open(path, &options, &db));
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (; rc == VARVE_OK && written < 10000; written++) {
        snprintf(key, sizeof key, "%06u", written);
        rc = varve_put(db, VARVE_STR(key), varve_bytes(value, sizeof value));
    }
    CHECK_RC(rc, VARVE_FULL);
    CHECK(varve_last_error()[0] != '\0');
    written--;
    CHECK_OK(varve_exists(db, VARVE_STR("000000")));
    CHECK_RC(varve_exists(db, VARVE_STR(key)), VARVE_NOTFOUND);
    limit.rlim_cur = RLIM_INFINITY;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (int i = 0; i < 50 && (rc = varve_put(db, A, B)) == VARVE_FULL; i++)
        CHECK(usleep(100 * 1000) == 0);
    CHECK_OK(rc);
    for (unsigned i = 0; i < written; i++) {
        snprintf(key, sizeof key, "%06u", i);
        CHECK_OK(varve_exists(db, VARVE_STR(key)));
    }
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_exists(db, VARVE_STR("000000")));
    CHECK_OK(varve_exists(db, A));
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_close(db));
}

TEST(a_full_disk_is_said_to_be_full_and_service_resumes)
{
    in_child(child_fills_the_disk, path_of(test_tmpdir(), "store"));
}

static void child_without_rights(const char *path)
{
    struct passwd *nobody = getpwnam("nobody");
    varve_options options = options_small();
    varve *db = NULL;

    if (geteuid() == 0) {
        CHECK(nobody != NULL);
        CHECK(setgid(nobody->pw_gid) == 0);
        CHECK(setuid(nobody->pw_uid) == 0);
    }
    CHECK_RC(varve_open(path, &options, &db), VARVE_PERMISSION);
    expect_story("store");
    options.mode = VARVE_MODE_READONLY;
    CHECK_RC(varve_open(path, &options, &db), VARVE_PERMISSION);
    CHECK_RC(varve_destroy(path), VARVE_PERMISSION);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_PERMISSION);
}

static void child_with_reading_rights(const char *path)
{
    struct passwd *nobody = getpwnam("nobody");
    varve_options options = options_small();
    varve *db = NULL;

    if (geteuid() == 0) {
        CHECK(nobody != NULL);
        CHECK(setgid(nobody->pw_gid) == 0);
        CHECK(setuid(nobody->pw_uid) == 0);
    }
    CHECK_RC(varve_open(path, &options, &db), VARVE_PERMISSION);
    options.mode = VARVE_MODE_READONLY;
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_exists(db, A));
    CHECK_RC(varve_put(db, A, B), VARVE_READONLY);
    CHECK_RC(varve_delete(db, A), VARVE_READONLY);
    CHECK_OK(varve_close(db));
}

static void modes_set(const char *path, mode_t dir_mode, mode_t file_mode)
{
    static const char *const kinds[] = {"CURRENT", "LOCK", "MANIFEST", ".sst", ".wal", ".val"};
    char found[512];

    CHECK(chmod(path, 0777) == 0);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (files_find(path, kinds[i], found, sizeof found))
            CHECK(chmod(found, file_mode) == 0);
    }
    CHECK(chmod(path, dir_mode) == 0);
}

TEST(a_store_without_permission_is_not_opened_and_one_to_read_is)
{
    const char *path = store_make();

    CHECK(chmod(path_of(path, ".."), 0755) == 0);
    if (geteuid() == 0 && !getpwnam("nobody"))
        test_skip("root cannot be denied anything, and there is no user nobody");
    modes_set(path, 0000, 0600);
    in_child(child_without_rights, path);
    modes_set(path, 0555, 0444);
    in_child(child_with_reading_rights, path);
    modes_set(path, 0755, 0644);
    expect_whole(path);
    store_free(path);
}

/* ---- a second writer */

static void child_is_locked_out(const char *path)
{
    expect_refused(path, NULL, VARVE_LOCKED, path);
    CHECK_RC(varve_destroy(path), VARVE_LOCKED);
    CHECK_RC(varve_repair(path, NULL, NULL, NULL), VARVE_LOCKED);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_LOCKED);
}

TEST(a_second_writer_is_locked_out_until_the_first_closes)
{
    const char *path = store_make();
    varve_options options = options_small();
    varve_options reading = options_small();
    varve *db = NULL;
    varve *reader = NULL;

    reading.mode = VARVE_MODE_READONLY;
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_settle(db)); /* so that only a stranger could change files */
    child_is_locked_out(path);
    in_child(child_is_locked_out, path);
    CHECK_OK(varve_put(db, VARVE_STR("c"), VARVE_STR("3")));
    CHECK_OK(varve_settle(db));
    CHECK_OK(varve_open(path, &reading, &reader));
    CHECK_OK(varve_exists(reader, VARVE_STR("c")));
    CHECK_OK(varve_close(reader));
    child_is_locked_out(path); /* closing the reader freed nothing */
    CHECK_OK(varve_close(db));
    expect_whole(path);
    store_free(path);
}

/* ---- after close, after fork */

TEST(handles_that_outlive_their_store_say_that_it_is_closed)
{
    const char *path = store_make();
    varve_options options = options_small();
    varve *db = NULL;
    varve_iter *iter = NULL;
    varve_snapshot *snapshot = NULL;
    varve_iter_options at = VARVE_ITER_OPTIONS_INIT;
    varve_pinned pin;
    varve_slice keys[4];
    varve_slice value;
    size_t count;

    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_snapshot_new(db, &snapshot));
    at.snapshot = snapshot;
    CHECK_OK(varve_iter_open(db, &at, &iter));
    CHECK_OK(varve_iter_first(iter));
    CHECK_OK(varve_get(db, VARVE_STR("large"), &pin));
    CHECK_OK(varve_close(db));
    CHECK_RC(varve_iter_next(iter), VARVE_CLOSED);
    CHECK_RC(varve_iter_prev(iter), VARVE_CLOSED);
    CHECK_RC(varve_iter_first(iter), VARVE_CLOSED);
    CHECK_RC(varve_iter_last(iter), VARVE_CLOSED);
    CHECK_RC(varve_iter_seek(iter, A), VARVE_CLOSED);
    CHECK_RC(varve_iter_seek_for_prev(iter, A), VARVE_CLOSED);
    CHECK_RC(varve_iter_chunk(iter, keys, NULL, 4, &count), VARVE_CLOSED);
    CHECK(varve_iter_value(iter, &value) < 0);
    CHECK(varve_iter_refresh(iter) < 0);
    CHECK_EQ_U64(pin.size, 5000);
    CHECK_EQ_INT(((const uint8_t *)pin.data)[0], 1);
    varve_unpin(&pin);
    varve_iter_close(iter);
    varve_snapshot_release(snapshot);
    expect_whole(path);
    store_free(path);
}

static varve *forked_db;
static varve_iter *forked_iter;
static varve_snapshot *forked_snapshot;

static void child_uses_handles(const char *path)
{
    varve_stats stats = {.size = sizeof stats};
    varve_snapshot *snapshot = NULL;
    varve_iter *iter = NULL;
    varve_batch *batch = NULL;
    varve_pinned pin;
    char *text = NULL;

    CHECK_RC(varve_put(forked_db, A, B), VARVE_FORKED);
    CHECK_RC(varve_delete(forked_db, A), VARVE_FORKED);
    CHECK_RC(varve_get(forked_db, A, &pin), VARVE_FORKED);
    CHECK_RC(varve_get_at(forked_db, forked_snapshot, A, &pin), VARVE_FORKED);
    CHECK_RC(varve_exists(forked_db, A), VARVE_FORKED);
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, A, B));
    CHECK_RC(varve_write(forked_db, batch, NULL), VARVE_FORKED);
    varve_batch_free(batch);
    CHECK_RC(varve_iter_open(forked_db, NULL, &iter), VARVE_FORKED);
    CHECK_RC(varve_iter_first(forked_iter), VARVE_FORKED);
    CHECK_RC(varve_iter_next(forked_iter), VARVE_FORKED);
    CHECK_RC(varve_snapshot_new(forked_db, &snapshot), VARVE_FORKED);
    CHECK_RC(varve_sync(forked_db), VARVE_FORKED);
    CHECK_RC(varve_flush(forked_db), VARVE_FORKED);
    CHECK_RC(varve_settle(forked_db), VARVE_FORKED);
    CHECK_RC(varve_compact(forked_db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)), VARVE_FORKED);
    CHECK_RC(varve_pause(forked_db), VARVE_FORKED);
    CHECK_RC(varve_verify(forked_db, NULL, NULL), VARVE_FORKED);
    CHECK_RC(varve_get_stats(forked_db, &stats), VARVE_FORKED);
    CHECK_RC(varve_property(forked_db, "levels", &text), VARVE_FORKED);
    varve_iter_close(forked_iter);
    varve_snapshot_release(forked_snapshot);
    (void)varve_close(forked_db);
    child_is_locked_out(path); /* the parent's lock is still there */
}

TEST(a_child_cannot_use_or_harm_the_store_of_its_parent)
{
    const char *path = store_make();
    varve_options options = options_small();

    CHECK_OK(varve_open(path, &options, &forked_db));
    CHECK_OK(varve_iter_open(forked_db, NULL, &forked_iter));
    CHECK_OK(varve_iter_first(forked_iter));
    CHECK_OK(varve_snapshot_new(forked_db, &forked_snapshot));
    in_child(child_uses_handles, path);
    CHECK_OK(varve_iter_next(forked_iter));
    CHECK_OK(varve_put(forked_db, VARVE_STR("c"), VARVE_STR("3")));
    CHECK_OK(varve_flush(forked_db));
    varve_iter_close(forked_iter);
    varve_snapshot_release(forked_snapshot);
    in_child(child_is_locked_out, path);
    CHECK_OK(varve_close(forked_db));
    expect_whole(path);
    store_free(path);
}

/* ---- comparators */

static int compare_reverse(void *context, varve_slice a, varve_slice b)
{
    (void)context;
    return vv_slice_cmp(vv_slice_of(b.data, b.size), vv_slice_of(a.data, a.size));
}

TEST(a_store_is_opened_only_by_the_comparator_that_made_it)
{
    const char *dir = test_tmpdir();
    char path[512];
    const char *bytewise = store_make();
    varve_comparator reverse = {.name = "reverse", .compare = compare_reverse};
    varve_comparator other = {.name = "other", .compare = compare_reverse};
    varve_options options = options_small();
    varve_iter *iter = NULL;
    varve *db = NULL;

    snprintf(path, sizeof path, "%s/reversed", dir);
    options.comparator = &reverse;
    expect_refused(bytewise, &options, VARVE_INVALID, "reverse");
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_put(db, A, A));
    CHECK_OK(varve_put(db, B, B));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_close(db));
    options.comparator = &other;
    expect_refused(path, &options, VARVE_INVALID, "reverse");
    options.comparator = NULL;
    expect_refused(path, &options, VARVE_INVALID, "reverse");
    CHECK_RC(varve_check(path, &options, NULL, NULL), VARVE_INVALID);
    options.comparator = &reverse;
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_iter_open(db, NULL, &iter));
    CHECK_OK(varve_iter_first(iter));
    CHECK_SLICE(varve_iter_key(iter), "b");
    CHECK_OK(varve_iter_next(iter));
    CHECK_SLICE(varve_iter_key(iter), "a");
    varve_iter_close(iter);
    CHECK_OK(varve_close(db));
    expect_whole(bytewise);
    store_free(bytewise);
}
