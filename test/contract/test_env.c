/*
 * The promises of env.h, kept by each of the three worlds.
 */
#include "env/env.h"

#include "env/mem.h"
#include "env/posix.h"
#include "env/sim.h"
#include "env/thread.h"
#include "harness/test.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_SIZE = 4096, BIG = 1 << 20 };

/* A world and an empty directory in it. */
struct world {
    struct vv_env *env;
    char dir[PATH_SIZE];
};

static struct world posix_begin(void)
{
    struct world w = {.env = vv_env_posix()};
    (void)snprintf(w.dir, sizeof w.dir, "%s", test_tmpdir());
    return w;
}

static void posix_end(struct world *w)
{
    (void)w;
}

static struct world mem_begin(void)
{
    struct world w = {.dir = "/dir"};
    CHECK_OK(vv_env_mem_new(&w.env));
    CHECK_OK(vv_env_make_dir(w.env, w.dir));
    return w;
}

static void mem_end(struct world *w)
{
    vv_env_mem_free(w->env);
}

static struct world sim_begin(void)
{
    struct world w = {.dir = "/dir"};
    CHECK_OK(vv_env_sim_new(test_seed(), &w.env));
    CHECK_OK(vv_env_make_dir(w.env, w.dir));
    return w;
}

static void sim_end(struct world *w)
{
    vv_env_sim_free(w->env);
}

/* One promise, tested in a world. */
#define IN(world_name, promise_name)                                                               \
    TEST(world_name##_##promise_name)                                                              \
    {                                                                                              \
        struct world w = world_name##_begin();                                                     \
        check_##promise_name(&w);                                                                  \
        world_name##_end(&w);                                                                      \
    }

#define PROMISE(promise_name)                                                                      \
    static void check_##promise_name(struct world *w);                                             \
    IN(posix, promise_name)                                                                        \
    IN(mem, promise_name)                                                                          \
    IN(sim, promise_name)                                                                          \
    static void check_##promise_name(struct world *w)

/* A promise about many threads, of which the simulated world has none. */
#define PROMISE_OF_THREADS(promise_name)                                                           \
    static void check_##promise_name(struct world *w);                                             \
    IN(posix, promise_name)                                                                        \
    IN(mem, promise_name)                                                                          \
    static void check_##promise_name(struct world *w)

/* ---- helpers */

/* A path in the world's directory; one of the last few asked for. */
static const char *at(const struct world *w, const char *name)
{
    static char paths[4][2 * PATH_SIZE];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", w->dir, name);
    return path;
}

static struct vv_file *create(const struct world *w, const char *name)
{
    struct vv_file *file = NULL;
    CHECK_OK(vv_env_open(w->env, at(w, name), VV_OPEN_CREATE, &file));
    CHECK(file != NULL);
    return file;
}

static void write_text(struct vv_file *file, uint64_t offset, const char *text)
{
    vv_slice part = vv_slice_str(text);
    CHECK_OK(vv_file_write_at(file, offset, &part, 1));
}

static void make_file(const struct world *w, const char *name, const char *text)
{
    struct vv_file *file = create(w, name);
    write_text(file, 0, text);
    vv_file_close(file);
}

/* The first bytes of a file must be these, and no more than these. */
#define CHECK_TEXT(file, literal)                                                                  \
    do {                                                                                           \
        uint8_t text_[256];                                                                        \
        size_t got_ = 0;                                                                           \
        CHECK_OK(vv_file_read_at((file), 0, text_, sizeof text_, &got_));                          \
        CHECK_SLICE(vv_slice_of(text_, got_), literal);                                            \
    } while (0)

#define CHECK_FILE(world, name, literal)                                                           \
    do {                                                                                           \
        struct vv_file *file_ = NULL;                                                              \
        CHECK_OK(vv_env_open((world)->env, at((world), (name)), VV_OPEN_READ, &file_));            \
        CHECK_TEXT(file_, literal);                                                                \
        vv_file_close(file_);                                                                      \
    } while (0)

#define CHECK_ABSENT(world, name)                                                                  \
    do {                                                                                           \
        struct vv_path_info info_;                                                                 \
        CHECK_RC(vv_env_info((world)->env, at((world), (name)), &info_), VV_NOTFOUND);             \
    } while (0)

static bool is_listed(const struct vv_buf *names, const char *name)
{
    const char *all = (const char *)names->data;
    for (size_t i = 0; i < names->size; i += strlen(all + i) + 1)
        if (strcmp(all + i, name) == 0)
            return true;
    return false;
}

static void fill(uint8_t *bytes, size_t size, uint64_t salt)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251 + salt);
}

/* ---- opening */

PROMISE(a_missing_file_is_an_outcome)
{
    struct vv_file *file = NULL;
    CHECK_RC(vv_env_open(w->env, at(w, "x"), VV_OPEN_READ, &file), VV_NOTFOUND);
    CHECK_RC(vv_env_open(w->env, at(w, "x"), VV_OPEN_WRITE, &file), VV_NOTFOUND);
    CHECK_RC(vv_env_open(w->env, at(w, "no/x"), VV_OPEN_READ, &file), VV_NOTFOUND);
    CHECK(file == NULL);
}

PROMISE(creating_needs_a_free_name_and_a_directory)
{
    struct vv_file *file = NULL;
    make_file(w, "x", "old");
    CHECK_RC(vv_env_open(w->env, at(w, "x"), VV_OPEN_CREATE, &file), VV_EXISTS);
    CHECK(strstr(vv_error_story(), "/x") != NULL);
    CHECK_RC(vv_env_open(w->env, w->dir, VV_OPEN_CREATE, &file), VV_EXISTS);
    CHECK_RC(vv_env_open(w->env, at(w, "no/x"), VV_OPEN_CREATE, &file), VV_IO);
    CHECK(strstr(vv_error_story(), "/no/x") != NULL);
    CHECK_FILE(w, "x", "old");
}

PROMISE(a_created_file_is_empty_and_can_be_written_and_read)
{
    struct vv_file *file = create(w, "x");
    uint64_t size = 99;
    CHECK_OK(vv_file_size(file, &size));
    CHECK_EQ_U64(size, 0);
    CHECK_TEXT(file, "");
    write_text(file, 0, "laid");
    CHECK_TEXT(file, "laid");
    vv_file_close(file);
    vv_file_close(NULL);
}

PROMISE(opening_for_writing_keeps_what_is_there)
{
    struct vv_file *file;
    make_file(w, "x", "abcdef");
    CHECK_OK(vv_env_open(w->env, at(w, "x"), VV_OPEN_WRITE, &file));
    write_text(file, 2, "CD");
    CHECK_TEXT(file, "abCDef");
    vv_file_close(file);
}

PROMISE(handles_of_one_file_see_the_same_bytes)
{
    struct vv_file *writer = create(w, "x");
    struct vv_file *reader;
    CHECK_OK(vv_env_open(w->env, at(w, "x"), VV_OPEN_READ, &reader));
    write_text(writer, 0, "now");
    CHECK_TEXT(reader, "now");
    vv_file_close(writer);
    CHECK_TEXT(reader, "now");
    vv_file_close(reader);
}

PROMISE(a_directory_is_no_file)
{
    struct vv_file *file;
    struct vv_lock *lock;
    CHECK_OK(vv_env_make_dir(w->env, at(w, "d")));
    CHECK_RC(vv_env_open(w->env, at(w, "d"), VV_OPEN_READ, &file), VV_IO);
    CHECK_RC(vv_env_open(w->env, at(w, "d"), VV_OPEN_WRITE, &file), VV_IO);
    CHECK_RC(vv_env_remove(w->env, at(w, "d")), VV_IO);
    CHECK_RC(vv_env_lock(w->env, at(w, "d"), &lock), VV_IO);
}

PROMISE(a_file_is_no_directory)
{
    struct vv_buf names = VV_BUF_INIT;
    struct vv_path_info info;
    struct vv_file *file;
    make_file(w, "x", "");
    CHECK_RC(vv_env_list(w->env, at(w, "x"), &names), VV_IO);
    CHECK_RC(vv_env_sync_dir(w->env, at(w, "x")), VV_IO);
    CHECK_RC(vv_env_remove_dir(w->env, at(w, "x")), VV_IO);
    CHECK_RC(vv_env_info(w->env, at(w, "x/y"), &info), VV_IO);
    CHECK_RC(vv_env_open(w->env, at(w, "x/y"), VV_OPEN_READ, &file), VV_IO);
    CHECK_RC(vv_env_open(w->env, at(w, "x/y"), VV_OPEN_CREATE, &file), VV_IO);
}

PROMISE(names_may_be_any_bytes_but_slash)
{
    make_file(w, "a b\n\xff..", "odd");
    CHECK_FILE(w, "a b\n\xff..", "odd");
}

/* ---- reading and writing */

PROMISE(a_read_is_short_only_where_the_file_ends)
{
    struct vv_file *file = create(w, "x");
    uint8_t *bytes = malloc(BIG);
    uint8_t *back = malloc(BIG + 1);
    size_t got = 0;
    fill(bytes, BIG, 1);
    vv_slice part = vv_slice_of(bytes, BIG);
    CHECK_OK(vv_file_write_at(file, 0, &part, 1));
    CHECK_OK(vv_file_read_at(file, 0, back, BIG + 1, &got));
    CHECK_BYTES(back, got, bytes, BIG);
    CHECK_OK(vv_file_read_at(file, 300000, back, 300000, &got));
    CHECK_BYTES(back, got, bytes + 300000, 300000);
    CHECK_OK(vv_file_read_at(file, BIG - 5, back, 10, &got));
    CHECK_BYTES(back, got, bytes + BIG - 5, 5);
    CHECK_OK(vv_file_read_at(file, BIG, back, 10, &got));
    CHECK_EQ_U64(got, 0);
    CHECK_OK(vv_file_read_at(file, BIG + 100, back, 10, &got));
    CHECK_EQ_U64(got, 0);
    CHECK_OK(vv_file_read_at(file, 0, NULL, 0, &got));
    CHECK_EQ_U64(got, 0);
    free(bytes);
    free(back);
    vv_file_close(file);
}

PROMISE(offsets_from_damaged_bytes_read_nothing)
{
    static const uint64_t offsets[] = {
        (uint64_t)1 << 31,       (uint64_t)1 << 32, (uint64_t)INT64_MAX, (uint64_t)INT64_MAX - 5,
        (uint64_t)INT64_MAX + 1, UINT64_MAX - 5,    UINT64_MAX};
    struct vv_file *file = create(w, "x");
    write_text(file, 0, "abc");
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        uint8_t byte[10];
        size_t got = 99;
        CHECK_OK(vv_file_read_at(file, offsets[i], byte, sizeof byte, &got));
        CHECK_EQ_U64(got, 0);
        CHECK_RC(vv_file_read_whole(file, offsets[i], byte, sizeof byte), VV_CORRUPT);
    }
    vv_file_close(file);
}

PROMISE(a_write_beyond_any_file_is_full_and_does_nothing)
{
    struct vv_file *file = create(w, "x");
    vv_slice part = vv_slice_str("abc");
    uint64_t size = 99;
    CHECK_RC(vv_file_write_at(file, UINT64_MAX, &part, 1), VV_FULL);
    CHECK_RC(vv_file_write_at(file, (uint64_t)INT64_MAX - 1, &part, 1), VV_FULL);
    CHECK_RC(vv_file_truncate(file, UINT64_MAX), VV_FULL);
    CHECK_OK(vv_file_size(file, &size));
    CHECK_EQ_U64(size, 0);
    vv_file_close(file);
}

PROMISE(reading_the_whole_of_what_is_not_there_is_corruption)
{
    struct vv_file *file = create(w, "x");
    char text[4] = "";
    write_text(file, 0, "abc");
    CHECK_OK(vv_file_read_whole(file, 0, text, 3));
    CHECK_EQ_STR(text, "abc");
    CHECK_RC(vv_file_read_whole(file, 0, text, 4), VV_CORRUPT);
    CHECK(strstr(vv_error_story(), "/x") != NULL);
    CHECK_RC(vv_file_read_whole(file, 3, text, 1), VV_CORRUPT);
    CHECK_OK(vv_file_read_whole(file, 3, text, 0));
    vv_file_close(file);
}

PROMISE(holes_read_as_zero)
{
    struct vv_file *file = create(w, "x");
    uint8_t *back = malloc(2 * BIG);
    struct vv_path_info info;
    size_t got = 0;
    write_text(file, 0, "a");
    write_text(file, 2 * BIG - 1, "z");
    CHECK_OK(vv_file_read_at(file, 0, back, 2 * BIG, &got));
    CHECK_EQ_U64(got, 2 * BIG);
    CHECK_EQ_INT(back[0], 'a');
    CHECK_EQ_INT(back[2 * BIG - 1], 'z');
    for (size_t i = 1; i < 2 * BIG - 1; i++)
        CHECK(back[i] == 0);
    CHECK_OK(vv_env_info(w->env, at(w, "x"), &info));
    CHECK_EQ_INT(info.kind, VV_PATH_FILE);
    CHECK_EQ_U64(info.size_bytes, 2 * BIG);
    CHECK(info.used_bytes <= info.size_bytes);
    free(back);
    vv_file_close(file);
}

PROMISE(parts_are_laid_one_after_another)
{
    struct vv_file *file = create(w, "x");
    const vv_slice parts[] = {VV_SLICE_EMPTY,      vv_slice_str("one"),   VV_SLICE_EMPTY,
                              vv_slice_str("two"), vv_slice_str("three"), VV_SLICE_EMPTY};
    CHECK_OK(vv_file_write_at(file, 1, parts, 6));
    CHECK_TEXT(file, "\0onetwothree");
    CHECK_OK(vv_file_write_at(file, 100, parts, 1));
    CHECK_OK(vv_file_write_at(file, 100, NULL, 0));
    CHECK_TEXT(file, "\0onetwothree"); /* nothing is written, so nothing grows */
    vv_file_close(file);
}

PROMISE(more_parts_than_the_system_takes_at_once_are_one_write)
{
    enum { PARTS = 2 * IOV_MAX + 77, STEP = 13 };
    struct vv_file *file = create(w, "x");
    vv_slice *parts = malloc(PARTS * sizeof *parts);
    uint8_t *bytes = malloc(PARTS * STEP);
    uint8_t *back = malloc(PARTS * STEP);
    size_t size = 0;
    fill(bytes, PARTS * STEP, 5);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = vv_slice_of(bytes + size, i % (STEP + 1)); /* some of them empty */
        size += parts[i].size;
    }
    CHECK_OK(vv_file_write_at(file, 10, parts, PARTS));
    CHECK_OK(vv_file_read_whole(file, 10, back, size));
    CHECK_BYTES(back, size, bytes, size);
    uint64_t there;
    CHECK_OK(vv_file_size(file, &there));
    CHECK_EQ_U64(there, 10 + size);
    free(parts);
    free(bytes);
    free(back);
    vv_file_close(file);
}

PROMISE(many_small_writes_make_a_large_file)
{
    enum { PIECE = 4093, COUNT = 1000 };
    struct vv_file *file = create(w, "x");
    uint8_t piece[PIECE];
    uint8_t back[PIECE];
    for (size_t i = 0; i < COUNT; i++) {
        fill(piece, PIECE, i);
        vv_slice part = vv_slice_of(piece, PIECE);
        CHECK_OK(vv_file_write_at(file, i * PIECE, &part, 1));
    }
    for (size_t i = 0; i < COUNT; i++) {
        fill(piece, PIECE, i);
        CHECK_OK(vv_file_read_whole(file, i * PIECE, back, PIECE));
        CHECK(memcmp(piece, back, PIECE) == 0);
    }
    vv_file_close(file);
}

PROMISE(truncating_cuts_and_growing_brings_zeros_never_old_bytes)
{
    struct vv_file *file = create(w, "x");
    write_text(file, 0, "abcdef");
    CHECK_OK(vv_file_truncate(file, 3));
    CHECK_TEXT(file, "abc");
    CHECK_OK(vv_file_truncate(file, 6));
    CHECK_TEXT(file, "abc\0\0\0");
    CHECK_OK(vv_file_truncate(file, 0));
    CHECK_TEXT(file, "");
    write_text(file, 2, "x");
    CHECK_TEXT(file, "\0\0x");
    vv_file_close(file);
}

PROMISE(truncating_far_and_writing_behind_leaves_zeros_between)
{
    struct vv_file *file = create(w, "x");
    uint8_t *bytes = malloc(BIG);
    size_t got = 0;
    memset(bytes, 'o', BIG);
    vv_slice part = vv_slice_of(bytes, BIG);
    CHECK_OK(vv_file_write_at(file, 0, &part, 1));
    CHECK_OK(vv_file_truncate(file, 1000));
    write_text(file, BIG - 1, "z");
    CHECK_OK(vv_file_read_at(file, 0, bytes, BIG, &got));
    CHECK_EQ_U64(got, BIG);
    for (size_t i = 0; i < BIG - 1; i++)
        CHECK(bytes[i] == (i < 1000 ? 'o' : 0));
    free(bytes);
    vv_file_close(file);
}

PROMISE(syncs_and_hints_change_nothing_that_is_read)
{
    struct vv_file *file = create(w, "x");
    write_text(file, 0, "abc");
    vv_file_push(file, 0, 3);
    CHECK_OK(vv_file_sync(file));
    vv_file_forget(file, 0, 3);
    vv_file_forget(file, UINT64_MAX, UINT64_MAX);
    vv_file_push(file, 0, 0);
    CHECK_OK(vv_env_sync_dir(w->env, w->dir));
    CHECK_TEXT(file, "abc");
    vv_file_close(file);
}

/* ---- mapping */

PROMISE(a_map_shows_the_bytes_or_is_unsupported)
{
    struct vv_file *file = create(w, "x");
    uint8_t *bytes = malloc(BIG + 123);
    const uint8_t *map = NULL;
    const uint8_t *head = NULL;
    fill(bytes, BIG + 123, 9);
    vv_slice part = vv_slice_of(bytes, BIG + 123);
    CHECK_OK(vv_file_write_at(file, 0, &part, 1));
    int rc = vv_file_map(file, 100, &head);
    if (rc != VV_UNSUPPORTED) {
        CHECK_OK(rc);
        CHECK_OK(vv_file_map(file, BIG + 123, &map));
        CHECK_BYTES(map, BIG + 123, bytes, BIG + 123);
        CHECK_BYTES(head, 100, bytes, 100);
        uint8_t back[50];
        CHECK_OK(vv_file_read_whole(file, 300000, back, sizeof back));
        CHECK_BYTES(back, sizeof back, bytes + 300000, sizeof back);
        vv_file_unmap(file, map, BIG + 123);
        vv_file_unmap(file, head, 100);
    }
    vv_file_unmap(file, NULL, 0);
    free(bytes);
    vv_file_close(file);
}

PROMISE(a_map_shows_holes_as_zero)
{
    struct vv_file *file = create(w, "x");
    const uint8_t *map = NULL;
    write_text(file, BIG, "z");
    int rc = vv_file_map(file, BIG + 1, &map);
    if (rc != VV_UNSUPPORTED) {
        CHECK_OK(rc);
        CHECK_EQ_INT(map[0], 0);
        CHECK_EQ_INT(map[BIG / 2], 0);
        CHECK_EQ_INT(map[BIG], 'z');
        vv_file_unmap(file, map, BIG + 1);
    }
    vv_file_close(file);
}

PROMISE(mapping_more_than_there_is_is_corruption)
{
    struct vv_file *file = create(w, "x");
    const uint8_t *map = NULL;
    write_text(file, 0, "abc");
    CHECK_RC(vv_file_map(file, 4, &map), VV_CORRUPT);
    CHECK(strstr(vv_error_story(), "/x") != NULL);
    vv_file_close(file);
}

/* ---- names */

PROMISE(a_rename_replaces_and_leaves_one_name)
{
    make_file(w, "new", "new bytes");
    make_file(w, "old", "old");
    CHECK_OK(vv_env_rename(w->env, at(w, "new"), at(w, "old")));
    CHECK_FILE(w, "old", "new bytes");
    CHECK_ABSENT(w, "new");
    CHECK_OK(vv_env_rename(w->env, at(w, "old"), at(w, "fresh")));
    CHECK_FILE(w, "fresh", "new bytes");
    CHECK_ABSENT(w, "old");
    CHECK_OK(vv_env_rename(w->env, at(w, "fresh"), at(w, "fresh")));
    CHECK_FILE(w, "fresh", "new bytes");
    CHECK_RC(vv_env_rename(w->env, at(w, "none"), at(w, "fresh")), VV_IO);
    CHECK_FILE(w, "fresh", "new bytes");
}

PROMISE(a_directory_can_be_renamed_with_all_that_is_in_it)
{
    CHECK_OK(vv_env_make_dir(w->env, at(w, "d")));
    make_file(w, "d/x", "inside");
    make_file(w, "f", "file");
    CHECK_RC(vv_env_rename(w->env, at(w, "d"), at(w, "f")), VV_IO);
    CHECK_RC(vv_env_rename(w->env, at(w, "f"), at(w, "d")), VV_IO);
    CHECK_OK(vv_env_rename(w->env, at(w, "d"), at(w, "e")));
    CHECK_FILE(w, "e/x", "inside");
    CHECK_ABSENT(w, "d");
    CHECK_OK(vv_env_make_dir(w->env, at(w, "d")));
    CHECK_RC(vv_env_rename(w->env, at(w, "d"), at(w, "e")), VV_IO); /* it is not empty */
    CHECK_OK(vv_env_rename(w->env, at(w, "e"), at(w, "d")));
    CHECK_FILE(w, "d/x", "inside");
}

PROMISE(a_link_is_a_second_name_of_the_same_bytes)
{
    struct vv_path_info info;
    struct vv_file *file;
    make_file(w, "x", "bytes");
    make_file(w, "taken", "other");
    CHECK_OK(vv_env_make_dir(w->env, at(w, "d")));
    CHECK_OK(vv_env_link(w->env, at(w, "x"), at(w, "d/y")));
    CHECK_FILE(w, "d/y", "bytes");
    CHECK_OK(vv_env_open(w->env, at(w, "x"), VV_OPEN_WRITE, &file));
    write_text(file, 0, "B");
    CHECK_FILE(w, "d/y", "Bytes");
    CHECK_RC(vv_env_link(w->env, at(w, "x"), at(w, "taken")), VV_EXISTS);
    CHECK_RC(vv_env_link(w->env, at(w, "x"), at(w, "x")), VV_EXISTS);
    CHECK_FILE(w, "taken", "other");
    CHECK_RC(vv_env_link(w->env, at(w, "none"), at(w, "z")), VV_NOTFOUND);
    CHECK_RC(vv_env_link(w->env, at(w, "d"), at(w, "e")), VV_UNSUPPORTED);
    CHECK_ABSENT(w, "e");
    CHECK_RC(vv_env_link(w->env, at(w, "x"), at(w, "none/z")), VV_IO);
    CHECK_OK(vv_env_remove(w->env, at(w, "x")));
    CHECK_ABSENT(w, "x");
    CHECK_FILE(w, "d/y", "Bytes");
    write_text(file, 5, "!");
    vv_file_close(file);
    CHECK_FILE(w, "d/y", "Bytes!");
    CHECK_OK(vv_env_info(w->env, at(w, "d/y"), &info));
    CHECK_EQ_U64(info.size_bytes, 6);
    CHECK_OK(vv_env_rename(w->env, at(w, "d/y"), at(w, "d/z")));
    CHECK_FILE(w, "d/z", "Bytes!");
    make_file(w, "x", "new");
    CHECK_FILE(w, "d/z", "Bytes!");
    CHECK_OK(vv_env_sync_dir(w->env, at(w, "d")));
    CHECK_OK(vv_env_remove(w->env, at(w, "d/z")));
    CHECK_ABSENT(w, "d/z");
}

PROMISE(an_open_file_outlives_its_name)
{
    struct vv_file *file = create(w, "x");
    struct vv_file *replaced = create(w, "y");
    write_text(file, 0, "still");
    write_text(replaced, 0, "here");
    CHECK_OK(vv_env_remove(w->env, at(w, "x")));
    CHECK_ABSENT(w, "x");
    make_file(w, "x", "another");
    make_file(w, "z", "third");
    CHECK_OK(vv_env_rename(w->env, at(w, "z"), at(w, "y")));
    CHECK_TEXT(file, "still");
    CHECK_TEXT(replaced, "here");
    write_text(file, 5, " alive");
    CHECK_OK(vv_file_sync(file));
    CHECK_TEXT(file, "still alive");
    CHECK_FILE(w, "x", "another");
    CHECK_FILE(w, "y", "third");
    vv_file_close(file);
    vv_file_close(replaced);
    CHECK_FILE(w, "x", "another");
}

PROMISE(an_open_file_follows_its_rename)
{
    struct vv_file *file = create(w, "x");
    CHECK_OK(vv_env_rename(w->env, at(w, "x"), at(w, "y")));
    write_text(file, 0, "later");
    vv_file_close(file);
    CHECK_FILE(w, "y", "later");
}

PROMISE(removing_what_is_not_there_is_an_outcome)
{
    CHECK_RC(vv_env_remove(w->env, at(w, "x")), VV_NOTFOUND);
    CHECK_RC(vv_env_remove_dir(w->env, at(w, "x")), VV_NOTFOUND);
    make_file(w, "x", "");
    CHECK_OK(vv_env_remove(w->env, at(w, "x")));
    CHECK_RC(vv_env_remove(w->env, at(w, "x")), VV_NOTFOUND);
}

PROMISE(directories_are_made_once_and_removed_when_empty)
{
    struct vv_path_info info;
    CHECK_OK(vv_env_make_dir(w->env, at(w, "d")));
    CHECK_RC(vv_env_make_dir(w->env, at(w, "d")), VV_EXISTS);
    CHECK_RC(vv_env_make_dir(w->env, at(w, "no/d")), VV_IO);
    CHECK_OK(vv_env_info(w->env, at(w, "d"), &info));
    CHECK_EQ_INT(info.kind, VV_PATH_DIR);
    make_file(w, "d/x", "inside");
    CHECK_RC(vv_env_make_dir(w->env, at(w, "d/x")), VV_EXISTS);
    CHECK_RC(vv_env_remove_dir(w->env, at(w, "d")), VV_IO);
    CHECK_FILE(w, "d/x", "inside");
    CHECK_OK(vv_env_remove(w->env, at(w, "d/x")));
    CHECK_OK(vv_env_remove_dir(w->env, at(w, "d")));
    CHECK_ABSENT(w, "d");
    CHECK_RC(vv_env_sync_dir(w->env, at(w, "d")), VV_IO);
}

PROMISE(a_list_has_each_name_once_and_no_dots)
{
    enum { COUNT = 300 };
    struct vv_buf names = VV_BUF_INIT;
    size_t total = 0;
    CHECK_OK(vv_env_list(w->env, w->dir, &names));
    CHECK_EQ_U64(names.size, 0);
    CHECK_OK(vv_env_make_dir(w->env, at(w, "sub")));
    make_file(w, "sub/hidden", "");
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%06d.log", i);
        make_file(w, name, "");
    }
    CHECK_OK(vv_buf_append(&names, "before", 7)); /* it appends */
    CHECK_OK(vv_env_list(w->env, w->dir, &names));
    CHECK(is_listed(&names, "before"));
    CHECK(is_listed(&names, "sub"));
    CHECK(is_listed(&names, "000000.log"));
    CHECK(is_listed(&names, "000299.log"));
    CHECK(!is_listed(&names, "hidden"));
    CHECK(!is_listed(&names, "."));
    CHECK(!is_listed(&names, ".."));
    for (size_t i = 0; i < names.size; i++)
        total += names.data[i] == 0;
    CHECK_EQ_U64(total, COUNT + 2);
    vv_buf_deinit(&names);
}

PROMISE(listing_a_missing_directory_is_an_outcome_and_appends_nothing)
{
    struct vv_buf names = VV_BUF_INIT;
    CHECK_RC(vv_env_list(w->env, at(w, "no"), &names), VV_NOTFOUND);
    CHECK_EQ_U64(names.size, 0);
    vv_buf_deinit(&names);
}

/* ---- locks */

PROMISE(a_lock_is_exclusive_until_it_is_released)
{
    struct vv_lock *lock;
    struct vv_lock *second = NULL;
    CHECK_OK(vv_env_lock(w->env, at(w, "LOCK"), &lock));
    CHECK_RC(vv_env_lock(w->env, at(w, "LOCK"), &second), VV_LOCKED);
    CHECK(second == NULL);
    CHECK(strstr(vv_error_story(), "LOCK") != NULL);
    CHECK_OK(vv_env_lock(w->env, at(w, "OTHER"), &second));
    vv_env_unlock(second);
    vv_env_unlock(lock);
    CHECK_FILE(w, "LOCK", ""); /* it stays */
    CHECK_OK(vv_env_lock(w->env, at(w, "LOCK"), &lock));
    vv_env_unlock(lock);
    vv_env_unlock(NULL);
}

PROMISE(a_lock_ignores_other_handles_of_its_file)
{
    struct vv_lock *lock;
    struct vv_lock *second;
    make_file(w, "LOCK", "text");
    CHECK_OK(vv_env_lock(w->env, at(w, "LOCK"), &lock));
    CHECK_FILE(w, "LOCK", "text"); /* opens and closes it */
    CHECK_RC(vv_env_lock(w->env, at(w, "LOCK"), &second), VV_LOCKED);
    vv_env_unlock(lock);
}

/* ---- time, chance, facts */

PROMISE(clocks_go_forward_and_sleeping_takes_its_time)
{
    uint64_t begin = vv_env_now_us(w->env);
    uint64_t wall = vv_env_wall_us(w->env);
    vv_env_sleep_us(w->env, 2000);
    CHECK(vv_env_now_us(w->env) - begin >= 2000);
    CHECK(wall > (uint64_t)1500000000 * 1000000); /* it is well after 1970 */
}

PROMISE(random_bytes_differ)
{
    uint8_t first[32];
    uint8_t second[32];
    CHECK_OK(vv_env_random(w->env, first, sizeof first));
    CHECK_OK(vv_env_random(w->env, second, sizeof second));
    CHECK_OK(vv_env_random(w->env, NULL, 0));
    CHECK(memcmp(first, second, sizeof first) != 0);
}

PROMISE(facts_are_usable)
{
    struct vv_env_facts facts;
    vv_env_facts(w->env, &facts);
    CHECK(facts.memory_bytes >= (uint64_t)1 << 20);
    CHECK(facts.cpu_count >= 1);
    CHECK(facts.file_count_max >= 16);
}

/* ---- many threads */

enum { WRITERS = 4, ROUNDS = 200, STRIPE = 3001 };

struct writer {
    struct vv_file *file;
    size_t index;
    struct vv_thread *thread;
};

static void write_stripes(void *arg)
{
    const struct writer *writer = arg;
    uint8_t stripe[STRIPE];
    uint8_t back[STRIPE];
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t offset = (round * WRITERS + writer->index) * STRIPE;
        fill(stripe, STRIPE, writer->index + round);
        vv_slice part = vv_slice_of(stripe, STRIPE);
        CHECK_OK(vv_file_write_at(writer->file, offset, &part, 1));
        CHECK_OK(vv_file_read_whole(writer->file, offset, back, STRIPE));
        CHECK(memcmp(stripe, back, STRIPE) == 0);
    }
}

PROMISE_OF_THREADS(writers_of_disjoint_ranges_do_not_disturb_each_other)
{
    struct writer writers[WRITERS];
    uint8_t stripe[STRIPE];
    uint8_t back[STRIPE];
    struct vv_file *file = create(w, "x");
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.file = file, .index = i};
        CHECK_OK(vv_thread_start("writer", 0, write_stripes, &writers[i], &writers[i].thread));
    }
    for (size_t i = 0; i < WRITERS; i++)
        vv_thread_join(writers[i].thread);
    for (size_t n = 0; n < WRITERS * ROUNDS; n++) {
        fill(stripe, STRIPE, n % WRITERS + n / WRITERS);
        CHECK_OK(vv_file_read_whole(file, n * STRIPE, back, STRIPE));
        CHECK(memcmp(stripe, back, STRIPE) == 0);
    }
    vv_file_close(file);
}

struct namer {
    const struct world *world;
    size_t index;
    struct vv_thread *thread;
    _Atomic(int) *lock_count;
};

static void juggle_names(void *arg)
{
    const struct namer *namer = arg;
    struct vv_env *env = namer->world->env;
    struct vv_buf names = VV_BUF_INIT;
    char a[PATH_SIZE + 32];
    char b[PATH_SIZE + 32];
    char lock_path[PATH_SIZE + 32];
    (void)snprintf(a, sizeof a, "%s/a%zu", namer->world->dir, namer->index);
    (void)snprintf(b, sizeof b, "%s/b%zu", namer->world->dir, namer->index);
    (void)snprintf(lock_path, sizeof lock_path, "%s/LOCK", namer->world->dir);
    for (int round = 0; round < ROUNDS; round++) {
        struct vv_file *file;
        struct vv_lock *lock;
        CHECK_OK(vv_env_open(env, a, VV_OPEN_CREATE, &file));
        CHECK_OK(vv_env_rename(env, a, b));
        CHECK_OK(vv_env_list(env, namer->world->dir, &names));
        vv_buf_clear(&names);
        int rc = vv_env_lock(env, lock_path, &lock);
        if (rc == VV_OK) {
            CHECK_EQ_INT(atomic_fetch_add(namer->lock_count, 1), 0);
            CHECK_EQ_INT(atomic_fetch_sub(namer->lock_count, 1), 1);
            vv_env_unlock(lock);
        } else {
            CHECK_RC(rc, VV_LOCKED);
        }
        CHECK_OK(vv_env_remove(env, b));
        vv_file_close(file);
    }
    vv_buf_deinit(&names);
}

PROMISE_OF_THREADS(names_and_locks_may_be_used_by_all_threads_at_once)
{
    struct namer namers[WRITERS];
    _Atomic(int) lock_count = 0;
    for (size_t i = 0; i < WRITERS; i++) {
        namers[i] = (struct namer){.world = w, .index = i, .lock_count = &lock_count};
        CHECK_OK(vv_thread_start("namer", 0, juggle_names, &namers[i], &namers[i].thread));
    }
    for (size_t i = 0; i < WRITERS; i++)
        vv_thread_join(namers[i].thread);
}
