/*
 * What a power cut leaves of a simulated world, model by model.
 *
 * A model can err on two sides: let something survive that must not, or never let something survive
 * that may. So these tests collect all outcomes over many choices, each as a line of text, and
 * compare the whole set.
 */
#include "env/sim.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OUTCOMES_MAX = 64, LINE_SIZE = 128, CHOICES = 600 };

/* ---- small words for what a workload does */

static struct vv_env *world_new(void)
{
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    return env;
}

static void create(struct vv_env *env, const char *path)
{
    struct vv_file *file;
    CHECK_OK(vv_env_open(env, path, VV_OPEN_CREATE, &file));
    vv_file_close(file);
}

static void put(struct vv_env *env, const char *path, uint64_t offset, const char *text)
{
    struct vv_file *file;
    vv_slice part = vv_slice_str(text);
    CHECK_OK(vv_env_open(env, path, VV_OPEN_WRITE, &file));
    CHECK_OK(vv_file_write_at(file, offset, &part, 1));
    vv_file_close(file);
}

static void cut_to(struct vv_env *env, const char *path, uint64_t size_bytes)
{
    struct vv_file *file;
    CHECK_OK(vv_env_open(env, path, VV_OPEN_WRITE, &file));
    CHECK_OK(vv_file_truncate(file, size_bytes));
    vv_file_close(file);
}

static void sync_file(struct vv_env *env, const char *path)
{
    struct vv_file *file;
    CHECK_OK(vv_env_open(env, path, VV_OPEN_WRITE, &file));
    CHECK_OK(vv_file_sync(file));
    vv_file_close(file);
}

static void sync_dir(struct vv_env *env, const char *path)
{
    CHECK_OK(vv_env_sync_dir(env, path));
}

/* A durable file with durable content. */
static void lay(struct vv_env *env, const char *path, const char *text)
{
    create(env, path);
    if (text[0] != 0)
        put(env, path, 0, text);
    sync_file(env, path);
    sync_dir(env, "/");
}

static struct vv_env *image_of(const struct vv_env *env, enum vv_sim_model model, uint64_t choice)
{
    struct vv_env *image = NULL;
    CHECK_OK(vv_sim_image(env, vv_sim_call_count(env), model, choice, &image));
    return image;
}

/* ---- outcomes */

/* What there is of these files: their content, or "-" for none, divided by blanks. Of runs of equal
 * bytes only the length is told, as in "a*512", and zeros are told as "0". */
static void describe(struct vv_env *env, const char *paths, char *line)
{
    size_t used = 0;
    line[0] = 0;
    while (*paths != 0) {
        char path[64];
        struct vv_buf content = VV_BUF_INIT;
        size_t size = strcspn(paths, " ");
        (void)snprintf(path, sizeof path, "%.*s", (int)size, paths);
        paths += size + (paths[size] == ' ');
        if (vv_sim_read_file(env, path, &content) == VV_NOTFOUND)
            used += (size_t)snprintf(line + used, LINE_SIZE - used, "-");
        for (size_t i = 0; i < content.size;) {
            size_t run = 1;
            while (i + run < content.size && content.data[i + run] == content.data[i])
                run++;
            char shown = content.data[i] == 0 ? '0' : (char)content.data[i];
            used += (size_t)snprintf(line + used, LINE_SIZE - used, run > 3 ? "%c*%zu" : "%c",
                                     shown, run);
            i += run > 3 ? run : 1;
        }
        vv_buf_deinit(&content);
        if (*paths != 0)
            used += (size_t)snprintf(line + used, LINE_SIZE - used, " ");
        CHECK(used < LINE_SIZE - 1);
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* All outcomes over many choices, ordered and joined by " | ". */
static const char *outcomes(const struct vv_env *env, enum vv_sim_model model, const char *paths)
{
    static char joined[OUTCOMES_MAX * (LINE_SIZE + 3)];
    char lines[OUTCOMES_MAX][LINE_SIZE];
    size_t count = 0;
    for (uint64_t choice = 0; choice < CHOICES; choice++) {
        struct vv_env *image = image_of(env, model, choice);
        size_t i = 0;
        CHECK(count < OUTCOMES_MAX);
        describe(image, paths, lines[count]);
        vv_env_sim_free(image);
        while (strcmp(lines[i], lines[count]) != 0)
            i++;
        count += i == count;
    }
    qsort(lines, count, LINE_SIZE, compare_lines);
    joined[0] = 0;
    for (size_t i = 0; i < count; i++) {
        (void)strncat(joined, i > 0 ? " | " : "", sizeof joined - strlen(joined) - 1);
        (void)strncat(joined, lines[i], sizeof joined - strlen(joined) - 1);
    }
    return joined;
}

/* The one outcome of an image after call `n`. */
static const char *after(const struct vv_env *env, uint64_t n, enum vv_sim_model model,
                         const char *paths)
{
    static char line[LINE_SIZE];
    struct vv_env *image;
    CHECK_OK(vv_sim_image(env, n, model, 0, &image));
    describe(image, paths, line);
    vv_env_sim_free(image);
    return line;
}

/* ---- M0 and M1 */

TEST(synced_keeps_exactly_what_was_synced_at_every_call)
{
    static const char *const expected[] = {"-", "-", "-", "-", "ab", "ab", "abcd", "abcd", "abcd"};
    struct vv_env *env = world_new();
    create(env, "/x");       /* 1 */
    put(env, "/x", 0, "ab"); /* 2 */
    sync_file(env, "/x");    /* 3: but it has no durable name */
    sync_dir(env, "/");      /* 4 */
    put(env, "/x", 2, "cd"); /* 5 */
    sync_file(env, "/x");    /* 6 */
    put(env, "/x", 0, "AB"); /* 7 */
    cut_to(env, "/x", 1);    /* 8 */
    for (uint64_t n = 0; n <= 8; n++)
        CHECK_EQ_STR(after(env, n, VV_SIM_SYNCED, "/x"), expected[n]);
    vv_env_sim_free(env);
}

TEST(all_keeps_everything_at_every_call)
{
    static const char *const expected[] = {"- -",   " -",  "ab -", "ab -",
                                           "abc -", "a -", "- a",  "- -"};
    struct vv_env *env = world_new();
    create(env, "/x");
    put(env, "/x", 0, "ab");
    sync_dir(env, "/");
    put(env, "/x", 2, "c");
    cut_to(env, "/x", 1);
    CHECK_OK(vv_env_rename(env, "/x", "/y"));
    CHECK_OK(vv_env_remove(env, "/y"));
    for (uint64_t n = 0; n <= 7; n++)
        CHECK_EQ_STR(after(env, n, VV_SIM_ALL, "/x /y"), expected[n]);
    vv_env_sim_free(env);
}

TEST(a_synced_truncation_is_durable_and_an_unsynced_one_is_not)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "abcdef");
    cut_to(env, "/x", 3);
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "abcdef");
    sync_file(env, "/x");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "abc");
    cut_to(env, "/x", 5);
    sync_file(env, "/x");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "abc00");
    vv_env_sim_free(env);
}

TEST(a_directory_needs_its_parent_synced)
{
    struct vv_env *env = world_new();
    CHECK_OK(vv_env_make_dir(env, "/d"));
    create(env, "/d/x");
    put(env, "/d/x", 0, "in");
    sync_file(env, "/d/x");
    sync_dir(env, "/d");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/d/x"), "-");
    CHECK_EQ_STR(outcomes(env, VV_SIM_PREFIX, "/d/x"), "- | in");
    CHECK_EQ_STR(outcomes(env, VV_SIM_FILE_PREFIX, "/d/x"), "- | in");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/d/x"), "- | in");
    sync_dir(env, "/");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/d/x"), "in");
    vv_env_sim_free(env);
}

TEST(a_removal_is_durable_only_when_the_directory_is_synced)
{
    struct vv_env *env = world_new();
    struct vv_file *file;
    lay(env, "/x", "old");
    CHECK_OK(vv_env_open(env, "/x", VV_OPEN_READ, &file));
    CHECK_OK(vv_env_remove(env, "/x"));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "old");
    CHECK_EQ_STR(outcomes(env, VV_SIM_ALL, "/x"), "-");
    for (int model = VV_SIM_PREFIX; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x"), "- | old");
    sync_dir(env, "/");
    for (int model = 0; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x"), "-"); /* open or not */
    vv_file_close(file);
    CHECK_OK(vv_env_make_dir(env, "/d"));
    sync_dir(env, "/");
    CHECK_OK(vv_env_remove_dir(env, "/d"));
    struct vv_path_info info;
    struct vv_env *image = image_of(env, VV_SIM_SYNCED, 0);
    CHECK_OK(vv_env_info(image, "/d", &info));
    vv_env_sim_free(image);
    sync_dir(env, "/");
    image = image_of(env, VV_SIM_SYNCED, 0);
    CHECK_RC(vv_env_info(image, "/d", &info), VV_NOTFOUND);
    vv_env_sim_free(image);
    vv_env_sim_free(env);
}

TEST(a_rename_is_atomic_in_every_model)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "old");
    lay(env, "/t", "new");
    CHECK_OK(vv_env_rename(env, "/t", "/x"));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x /t"), "old new");
    CHECK_EQ_STR(outcomes(env, VV_SIM_ALL, "/x /t"), "new -");
    for (int model = VV_SIM_PREFIX; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x /t"), "new - | old new");
    sync_dir(env, "/");
    for (int model = 0; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x /t"), "new -");
    vv_env_sim_free(env);
}

TEST(a_file_renamed_before_its_bytes_are_synced_may_be_empty)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "old");
    create(env, "/t");
    put(env, "/t", 0, "new");
    CHECK_OK(vv_env_rename(env, "/t", "/x"));
    sync_dir(env, "/");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x /t"), " -");
    CHECK_EQ_STR(outcomes(env, VV_SIM_PREFIX, "/x /t"), " - | new -");
    CHECK_EQ_STR(outcomes(env, VV_SIM_FILE_PREFIX, "/x /t"), " - | new -");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/x /t"), " - | 000 - | new -");
    vv_env_sim_free(env);
}

/* ---- M2 */

TEST(prefix_keeps_the_pending_calls_in_order_and_what_was_synced_among_them)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    lay(env, "/y", "");
    put(env, "/x", 0, "1");
    put(env, "/y", 0, "2");
    sync_file(env, "/y");
    put(env, "/y", 1, "3");
    put(env, "/x", 1, "4");
    CHECK_EQ_STR(outcomes(env, VV_SIM_PREFIX, "/x /y"), " 2 | 1 2 | 1 23 | 14 23");
    vv_env_sim_free(env);
}

TEST(choices_counting_up_walk_through_every_prefix)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    put(env, "/x", 0, "1");
    put(env, "/x", 1, "2");
    create(env, "/y");
    const char *expected[] = {" -", "1 -", "12 -", "12 ", " -"};
    for (uint64_t choice = 0; choice < 5; choice++) {
        char line[LINE_SIZE];
        struct vv_env *image = image_of(env, VV_SIM_PREFIX, choice);
        describe(image, "/x /y", line);
        CHECK_EQ_STR(line, expected[choice]);
        vv_env_sim_free(image);
    }
    vv_env_sim_free(env);
}

/* ---- M3 */

TEST(file_prefix_keeps_order_within_a_file_and_none_between_files)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "a");
    lay(env, "/y", "b");
    put(env, "/x", 1, "1");
    put(env, "/x", 2, "2");
    put(env, "/y", 1, "3");
    CHECK_EQ_STR(outcomes(env, VV_SIM_FILE_PREFIX, "/x /y"),
                 "a b | a b3 | a1 b | a1 b3 | a12 b | a12 b3");
    vv_env_sim_free(env);
}

TEST(file_prefix_keeps_order_within_a_directory_and_bytes_apart_from_names)
{
    struct vv_env *env = world_new();
    create(env, "/x");
    put(env, "/x", 0, "1");
    create(env, "/y");
    CHECK_EQ_STR(outcomes(env, VV_SIM_FILE_PREFIX, "/x /y"), "  |  - | - - | 1  | 1 -");
    vv_env_sim_free(env);
}

/* ---- M4 */

static void put_run(struct vv_env *env, const char *path, uint64_t offset, char byte, size_t size)
{
    char *text = calloc(1, size + 1);
    memset(text, byte, size);
    put(env, path, offset, text);
    free(text);
}

TEST(sectors_survive_in_any_combination)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    put_run(env, "/x", 0, 'o', 1536);
    sync_file(env, "/x");
    put_run(env, "/x", 0, 'n', 1536);
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/x"),
                 "n*1024o*512 | n*1536 | n*512o*1024 | n*512o*512n*512 | "
                 "o*1024n*512 | o*1536 | o*512n*1024 | o*512n*512o*512");
    vv_env_sim_free(env);
}

TEST(a_sector_never_has_a_later_change_without_an_earlier_one)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "......");
    put(env, "/x", 0, "1");
    put(env, "/x", 2, "2");
    put(env, "/x", 4, "3");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/x"), ".*6 | 1.*5 | 1.2... | 1.2.3.");
    vv_env_sim_free(env);
}

TEST(a_size_may_survive_without_bytes_and_bytes_never_without_size)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "ab");
    put(env, "/x", 2, "cd");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/x"), "ab | ab00 | abcd");
    vv_env_sim_free(env);
}

TEST(a_truncation_in_sectors_brings_back_nothing_but_what_was_there)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "abcd");
    cut_to(env, "/x", 1);
    put(env, "/x", 1, "Z");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/x"), "a | a0 | a000 | aZ | aZ00 | ab | abcd");
    vv_env_sim_free(env);
}

TEST(directory_entries_survive_in_any_combination)
{
    struct vv_env *env = world_new();
    lay(env, "/a", "1");
    create(env, "/b");
    sync_file(env, "/b");
    CHECK_OK(vv_env_remove(env, "/a"));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/a /b"), "-  | - - | 1  | 1 -");
    vv_env_sim_free(env);
}

TEST(a_file_never_survives_under_two_names)
{
    struct vv_env *env = world_new();
    lay(env, "/a", "1");
    CHECK_OK(vv_env_rename(env, "/a", "/b"));
    CHECK_OK(vv_env_rename(env, "/b", "/c"));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/a /b /c"), "- - 1 | - 1 - | 1 - -");
    vv_env_sim_free(env);
}

TEST(a_link_is_durable_with_its_own_directory)
{
    struct vv_env *env = world_new();
    CHECK_OK(vv_env_make_dir(env, "/d"));
    CHECK_OK(vv_env_make_dir(env, "/e"));
    sync_dir(env, "/");
    create(env, "/d/x");
    put(env, "/d/x", 0, "1");
    sync_file(env, "/d/x");
    sync_dir(env, "/d");
    CHECK_OK(vv_env_link(env, "/d/x", "/e/x"));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/d/x /e/x"), "1 -");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/d/x /e/x"), "1 - | 1 1");
    CHECK_OK(vv_env_remove(env, "/d/x"));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/d/x /e/x"), "- - | - 1 | 1 - | 1 1");
    sync_dir(env, "/e");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SECTORS, "/d/x /e/x"), "- 1 | 1 1");
    sync_dir(env, "/d");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/d/x /e/x"), "- 1");
    vv_env_sim_free(env);
}

TEST(images_with_and_without_a_link_have_different_fingerprints)
{
    struct vv_env *env = world_new();
    lay(env, "/a", "1");
    CHECK_OK(vv_env_link(env, "/a", "/b"));
    struct vv_env *with = image_of(env, VV_SIM_ALL, 0);
    struct vv_env *without = image_of(env, VV_SIM_SYNCED, 0);
    CHECK(vv_sim_fingerprint(with) != vv_sim_fingerprint(without));
    CHECK_EQ_U64(vv_sim_fingerprint(with), vv_sim_fingerprint(env));
    vv_env_sim_free(with);
    vv_env_sim_free(without);
    vv_env_sim_free(env);
}

/* ---- M5 */

TEST(a_torn_write_has_its_beginning_and_any_rest)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "<....>");
    put(env, "/x", 1, "ABCD");
    for (uint64_t choice = 0; choice < CHOICES; choice++) {
        struct vv_buf content = VV_BUF_INIT;
        struct vv_env *image = image_of(env, VV_SIM_TORN, choice);
        CHECK_OK(vv_sim_read_file(image, "/x", &content));
        CHECK_EQ_U64(content.size, 6); /* what stands around it is untouched */
        CHECK_EQ_INT(content.data[0], '<');
        CHECK_EQ_INT(content.data[5], '>');
        CHECK(memcmp(content.data + 1, "ABCD", 4) != 0);
        vv_buf_deinit(&content);
        vv_env_sim_free(image);
    }
    vv_env_sim_free(env);
}

TEST(the_rest_of_a_torn_write_is_absent_zero_ones_or_stale)
{
    struct vv_env *env = world_new();
    lay(env, "/s", "stale");
    lay(env, "/x", "");
    put(env, "/x", 0, "AB");
    /* Places: A cut after the first byte, or after none. Stale: as in "stale" or any end of it. */
    CHECK_EQ_STR(outcomes(env, VV_SIM_TORN, "/x"),
                 " | 00 | A | A0 | Aa | Ae | Al | As | At | A\xff | al | ee | le | st | ta | "
                 "\xff\xff");
    vv_env_sim_free(env);
}

TEST(only_the_last_surviving_write_is_torn)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    lay(env, "/y", "");
    put(env, "/x", 0, "11");
    put(env, "/y", 0, "22");
    for (uint64_t choice = 0; choice < CHOICES; choice++) {
        char line[LINE_SIZE];
        struct vv_env *image = image_of(env, VV_SIM_TORN, choice);
        describe(image, "/x /y", line);
        CHECK(strcmp(line, "11 22") != 0);
        if (strncmp(line, "11 ", 3) != 0)
            CHECK(line[strlen(line) - 1] == ' '); /* nothing came after the torn one */
        vv_env_sim_free(image);
    }
    vv_env_sim_free(env);
}

TEST(choices_counting_up_tear_the_newest_write_first)
{
    static const char *const expected[] = {"11 2", "1 "};
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    lay(env, "/y", "");
    create(env, "/z"); /* pending, but no write */
    put(env, "/x", 0, "11");
    put(env, "/y", 0, "22");
    for (uint64_t choice = 0; choice < 2; choice++) {
        char line[LINE_SIZE];
        bool seen = false;
        /* Steps of two keep to one write; the place and filler go through all. */
        for (uint64_t i = choice; i < CHOICES && !seen; i += 2) {
            struct vv_env *image = image_of(env, VV_SIM_TORN, i);
            describe(image, "/x /y", line);
            CHECK((strncmp(line, "11 ", 3) == 0) == (choice == 0));
            seen = strcmp(line, expected[choice]) == 0;
            vv_env_sim_free(image);
        }
        CHECK(seen);
    }
    vv_env_sim_free(env);
}

TEST(writes_are_torn_at_all_the_known_places)
{
    static const size_t places[] = {1, 7, 8, 511, 512, 4095, 4096};
    enum { SIZE = 10000 };
    bool other = false;
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    put_run(env, "/x", 0, 'n', SIZE);
    size_t seen = 0;
    for (uint64_t choice = 0; choice < 8; choice++) { /* the first filler is none */
        struct vv_path_info info;
        struct vv_env *image = image_of(env, VV_SIM_TORN, choice);
        CHECK_OK(vv_env_info(image, "/x", &info));
        CHECK(info.size_bytes < SIZE);
        if (seen < sizeof places / sizeof places[0] && info.size_bytes == places[seen])
            seen++;
        else
            other = true;
        vv_env_sim_free(image);
    }
    CHECK_EQ_U64(seen, sizeof places / sizeof places[0]);
    CHECK(other);
    vv_env_sim_free(env);
}

TEST(a_synced_write_is_never_torn)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "");
    put(env, "/x", 0, "first");
    sync_file(env, "/x");
    create(env, "/y");
    CHECK_EQ_STR(outcomes(env, VV_SIM_TORN, "/x"), "first");
    vv_env_sim_free(env);
}

/* ---- syncs that fail */

TEST(a_sync_that_failed_without_doing_anything_may_be_followed_by_one_that_works)
{
    struct vv_env *env = world_new();
    struct vv_file *file;
    lay(env, "/x", "");
    put(env, "/x", 0, "ab");
    CHECK_OK(vv_env_open(env, "/x", VV_OPEN_WRITE, &file));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, false);
    CHECK_RC(vv_file_sync(file), VV_IO);
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "");
    CHECK_EQ_STR(outcomes(env, VV_SIM_PREFIX, "/x"), " | ab");
    CHECK_OK(vv_file_sync(file));
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "ab");
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(what_a_failed_sync_lost_is_read_but_never_durable)
{
    struct vv_env *env = world_new();
    struct vv_file *file;
    char text[4] = "";
    lay(env, "/x", "");
    put(env, "/x", 0, "ab");
    CHECK_OK(vv_env_open(env, "/x", VV_OPEN_WRITE, &file));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_SYNC_LOST, false);
    CHECK_RC(vv_file_sync(file), VV_IO);
    CHECK_OK(vv_file_read_whole(file, 0, text, 2));
    CHECK_EQ_STR(text, "ab");
    put(env, "/x", 2, "c");
    CHECK_OK(vv_file_sync(file)); /* a lie about the first two */
    CHECK_EQ_STR(outcomes(env, VV_SIM_ALL, "/x"), "abc");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "00c");
    for (int model = VV_SIM_PREFIX; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x"), "00c");
    CHECK_EQ_STR(after(env, 4, VV_SIM_ALL, "/x"), "ab");
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(a_failed_sync_loses_nothing_that_was_synced_before)
{
    struct vv_env *env = world_new();
    struct vv_file *file;
    lay(env, "/x", "safe");
    put(env, "/x", 4, "lost");
    CHECK_OK(vv_env_open(env, "/x", VV_OPEN_WRITE, &file));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_SYNC_LOST, false);
    CHECK_RC(vv_file_sync(file), VV_IO);
    for (int model = VV_SIM_PREFIX; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x"), "safe");
    vv_file_close(file);
    vv_env_sim_free(env);
}

TEST(calls_that_failed_leave_no_trace_in_images)
{
    struct vv_env *env = world_new();
    struct vv_file *file;
    vv_slice part = vv_slice_str("new");
    lay(env, "/x", "old");
    CHECK_OK(vv_env_open(env, "/x", VV_OPEN_WRITE, &file));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, true);
    CHECK_RC(vv_file_write_at(file, 0, &part, 1), VV_IO);
    CHECK_RC(vv_file_truncate(file, 1), VV_IO);
    CHECK_RC(vv_env_rename(env, "/x", "/y"), VV_IO);
    CHECK_RC(vv_env_remove(env, "/x"), VV_IO);
    CHECK_RC(vv_env_make_dir(env, "/d"), VV_IO);
    for (int model = 0; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x /y"), "old -");
    vv_file_close(file);
    vv_env_sim_free(env);
}

/* ---- images as worlds */

TEST(an_image_is_a_world_whose_content_is_durable)
{
    struct vv_env *env = world_new();
    struct vv_lock *lock;
    struct vv_lock *again;
    CHECK_OK(vv_env_lock(env, "/LOCK", &lock));
    CHECK_OK(vv_env_make_dir(env, "/d"));
    create(env, "/d/x");
    put(env, "/d/x", 0, "ab");
    struct vv_env *image = image_of(env, VV_SIM_ALL, 0);
    CHECK_EQ_U64(vv_sim_fingerprint(image), vv_sim_fingerprint(env));
    vv_env_unlock(lock);
    vv_env_sim_free(env); /* the image outlives it */

    CHECK_EQ_U64(vv_sim_call_count(image), 0);
    CHECK_OK(vv_env_lock(image, "/LOCK", &again));
    vv_env_unlock(again);
    CHECK_EQ_STR(outcomes(image, VV_SIM_SYNCED, "/d/x"), "ab");
    put(image, "/d/x", 2, "cd");
    create(image, "/d/y");
    CHECK_EQ_STR(outcomes(image, VV_SIM_SYNCED, "/d/x /d/y"), "ab -");
    CHECK_EQ_STR(outcomes(image, VV_SIM_PREFIX, "/d/x /d/y"), "ab - | abcd  | abcd -");

    struct vv_env *third = image_of(image, VV_SIM_PREFIX, 1);
    put(third, "/d/x", 0, "AB");
    sync_file(third, "/d/x");
    CHECK_EQ_STR(outcomes(third, VV_SIM_SYNCED, "/d/x /d/y"), "ABcd -");
    vv_env_sim_free(image);
    CHECK_EQ_STR(outcomes(third, VV_SIM_SYNCED, "/d/x /d/y"), "ABcd -");
    vv_env_sim_free(third);
}

TEST(a_world_and_its_images_do_not_see_each_other)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "both");
    struct vv_env *image = image_of(env, VV_SIM_SYNCED, 0);
    put(image, "/x", 0, "I");
    put(env, "/x", 0, "w");
    CHECK_OK(vv_env_rename(image, "/x", "/y"));
    CHECK_EQ_STR(after(env, vv_sim_call_count(env), VV_SIM_ALL, "/x /y"), "woth -");
    CHECK_EQ_STR(after(image, 2, VV_SIM_ALL, "/x /y"), "- Ioth");
    CHECK_EQ_STR(after(image, 0, VV_SIM_ALL, "/x /y"), "both -");
    vv_env_sim_free(image);
    vv_env_sim_free(env);
}

TEST(images_have_neither_the_faults_nor_the_limits_of_their_world)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "1234");
    vv_sim_set_capacity(env, 4);
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_IO, true);
    vv_sim_fail_read_at(env, 1, true);
    struct vv_env *image = image_of(env, VV_SIM_SYNCED, 0);
    struct vv_file *file;
    char byte;
    put(image, "/x", 4, "5678");
    CHECK_OK(vv_env_open(image, "/x", VV_OPEN_READ, &file));
    CHECK_OK(vv_file_read_whole(file, 0, &byte, 1));
    vv_file_close(file);
    vv_sim_set_capacity(image, 9); /* it knows what it holds */
    put(image, "/x", 8, "9");
    CHECK_RC(vv_env_make_dir(image, "/d"), VV_FULL);
    vv_env_sim_free(image);
    vv_env_sim_free(env);
}

TEST(damage_is_durable_and_shows_in_images)
{
    struct vv_env *env = world_new();
    lay(env, "/x", "good");
    put(env, "/x", 0, "better");
    CHECK_OK(vv_sim_write_file(env, "/x", vv_slice_str("rot")));
    for (int model = 0; model < VV_SIM_MODEL_COUNT; model++)
        CHECK_EQ_STR(outcomes(env, (enum vv_sim_model)model, "/x"), "rot");
    put(env, "/x", 3, "ten");
    CHECK_EQ_STR(outcomes(env, VV_SIM_SYNCED, "/x"), "rot");
    CHECK_EQ_STR(outcomes(env, VV_SIM_ALL, "/x"), "rotten");
    vv_env_sim_free(env);
}

/* ---- random workloads */

enum { FILES = 6, FILE_BYTES = 2000 };

/* A workload of `calls` random steps in "/", and what of it must be durable at its end. */
struct random_world {
    struct vv_env *env;
    bool bytes_pending[FILES];
    bool names_pending;
};

static void random_step(struct random_world *w, struct vv_rng *rng, size_t size_max)
{
    uint8_t bytes[4096];
    char path[16];
    char other[16];
    size_t index = (size_t)vv_rng_below(rng, FILES);
    struct vv_file *file;
    (void)snprintf(path, sizeof path, "/%zu", index);
    (void)snprintf(other, sizeof other, "/t%zu", index);
    int rc = vv_env_open(w->env, path, VV_OPEN_WRITE, &file);
    if (rc == VV_NOTFOUND) {
        CHECK_OK(vv_env_open(w->env, path, VV_OPEN_CREATE, &file));
        w->names_pending = true;
        w->bytes_pending[index] = false;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)vv_rng_next(rng);
    vv_slice part = vv_slice_of(bytes, 1 + vv_rng_below(rng, size_max));
    switch (vv_rng_below(rng, 10)) {
    case 0: CHECK_OK(vv_file_truncate(file, vv_rng_below(rng, FILE_BYTES))); break;
    case 1:
    case 2:
        CHECK_OK(vv_file_sync(file));
        w->bytes_pending[index] = false;
        vv_file_close(file);
        return;
    case 3:
        CHECK_OK(vv_env_sync_dir(w->env, "/"));
        w->names_pending = false;
        vv_file_close(file);
        return;
    case 4:
        CHECK_OK(vv_env_rename(w->env, path, other));
        w->names_pending = true;
        break;
    default: CHECK_OK(vv_file_write_at(file, vv_rng_below(rng, FILE_BYTES), &part, 1)); break;
    }
    w->bytes_pending[index] = true;
    vv_file_close(file);
}

TEST(what_was_synced_survives_in_every_model)
{
    int rounds = test_soak() ? 2000 : 40;
    uint64_t checked = 0;
    for (int round = 0; round < rounds; round++) {
        struct vv_rng rng = vv_rng_of(test_seed() + (uint64_t)round);
        struct random_world w = {.env = world_new()};
        for (int step = 0; step < 60; step++) {
            random_step(&w, &rng, 700);
            if (w.names_pending)
                continue;
            for (size_t i = 0; i < FILES; i++) {
                char path[16];
                struct vv_buf live = VV_BUF_INIT;
                struct vv_buf left = VV_BUF_INIT;
                (void)snprintf(path, sizeof path, "/%zu", i);
                if (w.bytes_pending[i] || vv_sim_read_file(w.env, path, &live) == VV_NOTFOUND)
                    continue;
                for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
                    struct vv_env *image =
                        image_of(w.env, (enum vv_sim_model)model, vv_rng_next(&rng));
                    CHECK_OK(vv_sim_read_file(image, path, &left));
                    CHECK_BYTES(left.data, left.size, live.data, live.size);
                    vv_env_sim_free(image);
                    checked++;
                }
                vv_buf_deinit(&live);
                vv_buf_deinit(&left);
            }
        }
        vv_env_sim_free(w.env);
    }
    CHECK(checked > 1000);
}

TEST(images_depend_on_log_call_model_and_choice_and_on_nothing_else)
{
    struct random_world a = {.env = world_new()};
    struct random_world b = {.env = world_new()};
    struct vv_rng rng_a = vv_rng_of(test_seed());
    struct vv_rng rng_b = vv_rng_of(test_seed());
    bool choice_matters = false;
    for (int step = 0; step < 100; step++)
        random_step(&a, &rng_a, 700);
    for (int step = 0; step < 100; step++)
        random_step(&b, &rng_b, 700);
    CHECK_EQ_U64(vv_sim_call_count(a.env), vv_sim_call_count(b.env));
    for (uint64_t n = 0; n <= vv_sim_call_count(a.env); n += 7) {
        for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
            struct vv_env *x;
            struct vv_env *y;
            struct vv_env *z;
            CHECK_OK(vv_sim_image(a.env, n, (enum vv_sim_model)model, n, &x));
            CHECK_OK(vv_sim_image(b.env, n, (enum vv_sim_model)model, n, &y));
            CHECK_OK(vv_sim_image(a.env, n, (enum vv_sim_model)model, n + 1, &z));
            CHECK_EQ_U64(vv_sim_fingerprint(x), vv_sim_fingerprint(y));
            choice_matters = choice_matters || vv_sim_fingerprint(x) != vv_sim_fingerprint(z);
            vv_env_sim_free(x);
            vv_env_sim_free(y);
            vv_env_sim_free(z);
        }
    }
    CHECK(choice_matters);
    vv_env_sim_free(a.env);
    vv_env_sim_free(b.env);
}

TEST(running_out_of_memory_while_building_an_image_is_an_error_and_no_more)
{
    struct random_world w = {.env = world_new()};
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int step = 0; step < 40; step++)
        random_step(&w, &rng, 700);
    for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
        int rc = VV_NOMEM;
        for (uint64_t n = 1; rc == VV_NOMEM; n++) {
            struct vv_env *image = NULL;
            vv_alloc_fail_at(n);
            rc = vv_sim_image(w.env, vv_sim_call_count(w.env), (enum vv_sim_model)model, 3, &image);
            vv_alloc_fail_at(0);
            vv_env_sim_free(image);
        }
        CHECK_OK(rc);
    }
    vv_env_sim_free(w.env);
}

TEST(images_are_built_fast_enough_for_crash_sweeps)
{
    enum { CALLS = 2000, IMAGES = 500, SPREAD = 50 << 10, STEP = 300 };
    struct random_world w = {.env = world_new()};
    struct vv_rng rng = vv_rng_of(test_seed());
    struct timespec begin;
    struct timespec end;
    while (vv_sim_call_count(w.env) < CALLS) {
        struct vv_file *file;
        random_step(&w, &rng, STEP);
        if (vv_env_open(w.env, "/1", VV_OPEN_WRITE, &file) == VV_NOTFOUND)
            continue;
        vv_file_close(file);
        put_run(w.env, "/1", vv_rng_below(&rng, SPREAD), 'x', STEP);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < IMAGES; i++) {
        struct vv_env *image;
        enum vv_sim_model model = (enum vv_sim_model)(i % VV_SIM_MODEL_COUNT);
        CHECK_OK(vv_sim_image(w.env, vv_rng_below(&rng, CALLS), model, vv_rng_next(&rng), &image));
        vv_env_sim_free(image);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    double ms =
        (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) * 1e-6;
    printf("%.3f ms an image\n", ms / IMAGES);
    CHECK(ms / IMAGES < 50); /* a cliff, not a benchmark */
    vv_env_sim_free(w.env);
}
