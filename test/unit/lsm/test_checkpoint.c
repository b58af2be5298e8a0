/*
 * Moments: what is shown as files is a prefix of what was written, and a store made of the files is
 * one of its own.
 */
#include "engine_world.h"

#include "lsm/edit.h"

enum { KEYS = 40 };

#define COPY_DIR "/copy"

static const char *key_of(unsigned i, char into[16])
{
    (void)snprintf(into, 16, "key%05u", i);
    return into;
}

static size_t size_of(unsigned i)
{
    return i % 3 == 0 ? 5000 : i % 3 == 1 ? 1500 : 200;
}

static void write_all(struct world *w, unsigned version)
{
    char key[16];
    for (unsigned i = 0; i < KEYS; i++)
        world_write(w, key_of(i, key), version, size_of(i));
}

static void check_all(struct world *w, unsigned version)
{
    char key[16];
    for (unsigned i = 0; i < KEYS; i++)
        world_check(w, key_of(i, key), version, size_of(i));
}

/* ---- a copy by hand: links, and what grows by copying */

static void copy_bytes(struct vv_env *env, const char *from, const char *to, uint64_t size_bytes)
{
    struct vv_buf content = VV_BUF_INIT;
    struct vv_file *file;
    CHECK_OK(vv_sim_read_file(env, from, &content));
    CHECK(content.size >= size_bytes);
    vv_slice part = vv_slice_of(content.data, (size_t)size_bytes);
    CHECK_OK(vv_env_open(env, to, VV_OPEN_CREATE, &file));
    CHECK_OK(vv_file_write_at(file, 0, &part, 1));
    CHECK_OK(vv_file_sync(file));
    vv_file_close(file);
    vv_buf_deinit(&content);
}

struct seen {
    unsigned visits, files, growing;
    vv_seq seq;
    uint8_t uuid[16];
    bool copy;
};

static int copy_moment(void *context, const struct vv_moment *moment)
{
    struct seen *seen = context;
    char from[64];
    char to[64];
    seen->visits++;
    seen->seq = moment->seq;
    memcpy(seen->uuid, moment->uuid, sizeof seen->uuid);
    if (seen->copy)
        CHECK_OK(vv_env_make_dir(moment->env, COPY_DIR));
    for (size_t i = 0; i < moment->file_count; i++) {
        const struct vv_moment_file *file = &moment->files[i];
        (void)snprintf(from, sizeof from, "%s/%s", moment->dir, file->name);
        (void)snprintf(to, sizeof to, COPY_DIR "/%s", file->name);
        seen->files++;
        seen->growing += file->grows;
        if (!seen->copy)
            continue;
        if (file->grows)
            copy_bytes(moment->env, from, to, file->size_bytes);
        else
            CHECK_OK(vv_env_link(moment->env, from, to));
    }
    if (!seen->copy)
        return VV_OK;
    CHECK_OK(vv_env_sync_dir(moment->env, COPY_DIR));
    return vv_lsm_establish(moment->env, COPY_DIR, moment->state);
}

static int try_take(struct world *w, struct seen *seen)
{
    return w->engine->ops->checkpoint(w->engine, copy_moment, seen);
}

static struct seen take(struct world *w)
{
    struct seen seen = {.copy = true};
    world_flush(w);
    CHECK_OK(try_take(w, &seen));
    CHECK_EQ_INT(seen.visits, 1);
    return seen;
}

/* The copy, opened in the same world beside the original. */
static void open_copy(const struct world *w, struct world *out)
{
    world_init(out, w->env);
    out->options.tuning = w->options.tuning;
    out->options.path = COPY_DIR;
    world_open(out);
}

static void close_copy(struct world *copy)
{
    CHECK_OK(copy->engine->ops->check(copy->engine, NULL, NULL));
    world_close(copy);
}

static void uuid_of(struct world *w, uint8_t out[16])
{
    struct vv_lsm_stats stats;
    vv_lsm_get_stats(w->engine, &stats);
    memcpy(out, stats.uuid, 16);
}

/* ---- promises */

TEST(a_copy_holds_what_was_there_and_nothing_that_came_later)
{
    struct world w, copy;
    char key[16];
    world_create(&w);
    write_all(&w, 1);
    world_settle(&w);
    write_all(&w, 2);
    vv_seq before = w.given;
    struct seen seen = take(&w);
    CHECK_EQ_U64(seen.seq, before);
    write_all(&w, 3);
    world_settle(&w);
    open_copy(&w, &copy);
    CHECK_EQ_U64(copy.given, before);
    check_all(&copy, 2);
    world_write(&copy, key_of(0, key), 9, 5000);
    world_settle(&copy);
    check_all(&w, 3);
    world_check(&copy, key, 9, 5000);
    close_copy(&copy);
    world_reopen(&w);
    check_all(&w, 3);
    world_free(&w);
}

TEST(a_value_file_that_is_written_to_is_copied_if_it_is_small_and_sealed_if_it_is_large)
{
    struct world w, copy;
    world_create(&w);
    w.options.tuning.value_file_bytes = 64 << 20;
    world_reopen(&w);
    write_all(&w, 1);
    struct seen small = take(&w);
    CHECK_EQ_INT(small.growing, 1);
    write_all(&w, 2);
    world_sync(&w);
    open_copy(&w, &copy);
    check_all(&copy, 1);
    world_settle(&copy);
    write_all(&copy, 3);
    world_settle(&copy);
    check_all(&copy, 3);
    close_copy(&copy);
    check_all(&w, 2);
    w.options.tuning.value_file_bytes = 256 << 10;
    world_reopen(&w);
    write_all(&w, 3);
    struct seen large = {.copy = false};
    world_flush(&w);
    CHECK_OK(try_take(&w, &large));
    CHECK_EQ_INT(large.growing, 0);
    world_free(&w);
}

/* A copy of a copy has files of three stores: each is opened under the UUID that stands in it. */
TEST(copies_of_copies_have_uuids_of_their_own_and_read_the_files_of_all)
{
    struct world w, copy, third;
    uint8_t uuids[3][16];
    char key[16];
    world_create(&w);
    write_all(&w, 1);
    struct seen seen = take(&w);
    uuid_of(&w, uuids[0]);
    CHECK_BYTES(seen.uuid, 16, uuids[0], 16);
    open_copy(&w, &copy);
    uuid_of(&copy, uuids[1]);
    world_close(&copy);
    CHECK_OK(vv_env_rename(w.env, COPY_DIR, "/parent"));
    copy.options.path = "/parent";
    world_open(&copy);
    world_write(&copy, key_of(1, key), 2, 5000);
    seen = take(&copy);
    CHECK_BYTES(seen.uuid, 16, uuids[1], 16);
    close_copy(&copy);
    open_copy(&w, &third);
    uuid_of(&third, uuids[2]);
    for (unsigned i = 0; i < 3; i++)
        CHECK(memcmp(uuids[i], uuids[(i + 1) % 3], 16) != 0);
    world_check(&third, key, 2, 5000);
    world_check(&third, key_of(0, key), 1, 5000);
    world_reopen(&third);
    write_all(&third, 3);
    world_settle(&third);
    check_all(&third, 3);
    close_copy(&third);
    world_free(&w);
}

TEST(repair_of_a_copy_keeps_what_came_with_it)
{
    struct world w, copy;
    for (int round = 0; round < 2; round++) {
        world_create(&w);
        write_all(&w, 1);
        (void)take(&w);
        world_close(&w);
        open_copy(&w, &copy);
        world_write(&copy, "own", 1, 5000);
        world_flush(&copy);
        world_close(&copy);
        struct vv_buf names = VV_BUF_INIT;
        CHECK_OK(vv_env_list(w.env, COPY_DIR, &names));
        for (size_t at = 0; round > 0 && at < names.size;) {
            char path[64];
            const char *name = (const char *)names.data + at;
            at += strlen(name) + 1;
            (void)snprintf(path, sizeof path, COPY_DIR "/%s", name);
            if (strncmp(name, "MANIFEST", 8) == 0 || strcmp(name, "CURRENT") == 0)
                CHECK_OK(vv_env_remove(w.env, path));
        }
        vv_buf_deinit(&names);
        CHECK_OK(vv_lsm_repair(&copy.options, NULL, NULL));
        world_open(&copy);
        check_all(&copy, 1);
        world_check(&copy, "own", 1, 5000);
        close_copy(&copy);
        world_free(&w);
    }
}

TEST(a_note_that_is_newer_than_what_was_flushed_wants_another_flush)
{
    struct world w, copy;
    struct vv_note note = {7, vv_slice_str("text")};
    struct seen seen = {.copy = true};
    world_create(&w);
    write_all(&w, 1);
    world_flush(&w);
    world_write(&w, "before", 1, 100);
    CHECK_OK(w.engine->ops->note(w.engine, &note, 1, NULL));
    CHECK_RC(try_take(&w, &seen), VV_CONFLICT);
    CHECK_EQ_INT(seen.visits, 0);
    world_flush(&w);
    CHECK_OK(try_take(&w, &seen));
    open_copy(&w, &copy);
    world_check(&copy, "before", 1, 100);
    close_copy(&copy);
    world_free(&w);
}

/* Whatever the visitor says is the result, and the files stay as long as it looks. */
static int compact_and_refuse(void *context, const struct vv_moment *moment)
{
    struct world *w = context;
    write_all(w, 2);
    world_settle(w);
    for (size_t i = 0; i < moment->file_count; i++) {
        char path[64];
        struct vv_path_info info;
        (void)snprintf(path, sizeof path, "%s/%s", moment->dir, moment->files[i].name);
        CHECK_OK(vv_env_info(w->env, path, &info));
        CHECK(info.size_bytes >= moment->files[i].size_bytes);
    }
    return 77;
}

TEST(the_files_of_a_moment_stay_while_it_is_looked_at)
{
    struct world w;
    world_create(&w);
    write_all(&w, 1);
    world_flush(&w);
    CHECK_EQ_INT(w.engine->ops->checkpoint(w.engine, compact_and_refuse, &w), 77);
    check_all(&w, 2);
    world_free(&w);
}

TEST(a_state_that_is_none_makes_no_store)
{
    struct vv_env *env;
    struct vv_edit edit = {.next_file = 3};
    struct vv_buf state = VV_BUF_INIT;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, COPY_DIR));
    CHECK_RC(vv_lsm_establish(env, COPY_DIR, vv_slice_str("nonsense")), VV_CORRUPT);
    CHECK_OK(vv_edit_encode(&edit, &state));
    CHECK_RC(vv_lsm_establish(env, COPY_DIR, vv_buf_slice(&state)), VV_CORRUPT);
    vv_buf_deinit(&state);
    vv_env_sim_free(env);
}
