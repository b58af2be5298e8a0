/*
 * Repair: after any damage the store opens, and what it has is right: no value is another's, and no
 * older one stands where a newer is known to be lost.
 */
#include "engine_world.h"

enum { KEYS = 60 };

static unsigned lines;
static char last_line[256];

static void count_line(void *context, const char *line)
{
    (void)context;
    CHECK(line[0] != 0);
    (void)snprintf(last_line, sizeof last_line, "%s", line);
    lines++;
}

/* What the last line, which sums up, says of losses. */
static void expect_losses(unsigned tables, unsigned blocks, unsigned values)
{
    unsigned long long kept;
    unsigned t, b, v;
    CHECK_EQ_INT(sscanf(last_line,
                        "%llu keys kept; lost: %u tables, %u blocks of tables, %u values", &kept,
                        &t, &b, &v),
                 4);
    CHECK_EQ_INT(t, tables);
    CHECK_EQ_INT(b, blocks);
    CHECK_EQ_INT(v, values);
}

static const char *key_of(unsigned i, char into[16])
{
    (void)snprintf(into, 16, "key%05u", i);
    return into;
}

static size_t size_of(unsigned i)
{
    return i % 3 == 0 ? 5000 : 200;
}

static void write_all(struct world *w, unsigned version)
{
    char key[16];
    for (unsigned i = 0; i < KEYS; i++)
        world_write(w, key_of(i, key), version, size_of(i));
}

/* Two generations in tables and value files, a few newer writes in the log. */
static void begin(struct world *w)
{
    char key[16];
    world_create(w);
    write_all(w, 1);
    world_flush(w);
    write_all(w, 2);
    world_delete(w, key_of(KEYS, key));
    world_settle(w);
    for (unsigned i = 0; i < 5; i++)
        world_write(w, key_of(i, key), 3, size_of(i));
    world_sync(w);
    world_close(w);
    lines = 0;
}

static void repair(struct world *w)
{
    struct vv_lsm_options options = w->options;
    CHECK_OK(vv_lsm_repair(&options, count_line, NULL));
    CHECK(lines > 0);
    world_open(w);
}

/* How many keys are lost. What is there is the newest version. */
static unsigned check_newest(struct world *w)
{
    char key[16];
    unsigned lost = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        struct vv_pin pin;
        int rc = world_get_at(w, VV_SEQ_NOW, key_of(i, key), &pin);
        CHECK(rc == VV_OK || rc == VV_NOTFOUND);
        vv_pin_release(&pin);
        if (rc == VV_OK)
            world_check(w, key, i < 5 ? 3 : 2, size_of(i));
        else
            lost++;
    }
    return lost;
}

/* The store goes on, with numbers above all that were given. */
static void go_on(struct world *w, vv_seq given)
{
    CHECK(w->given >= given);
    write_all(w, 4);
    world_settle(w);
    char key[16];
    for (unsigned i = 0; i < KEYS; i++)
        world_check(w, key_of(i, key), 4, size_of(i));
    world_reopen(w);
    CHECK_OK(w->engine->ops->check(w->engine, NULL, NULL));
    world_free(w);
}

TEST(a_sound_store_is_the_same_after_repair)
{
    struct world w;
    begin(&w);
    vv_seq given = w.given;
    repair(&w);
    CHECK_EQ_INT(check_newest(&w), 0);
    go_on(&w, given);
}

static void remove_manifest(struct vv_env *env)
{
    struct vv_buf names = VV_BUF_INIT;
    char path[64];
    CHECK_OK(vv_env_list(env, WORLD_DIR, &names));
    for (size_t at = 0; at < names.size; at += strlen((const char *)names.data + at) + 1) {
        const char *name = (const char *)names.data + at;
        (void)snprintf(path, sizeof path, WORLD_DIR "/%.40s", name);
        if (strncmp(name, "MANIFEST", 8) == 0 || strcmp(name, "CURRENT") == 0)
            CHECK_OK(vv_env_remove(env, path));
    }
    vv_buf_deinit(&names);
}

TEST(without_a_manifest_nothing_is_lost)
{
    struct world w;
    begin(&w);
    vv_seq given = w.given;
    remove_manifest(w.env);
    repair(&w);
    CHECK_EQ_INT(check_newest(&w), 0);
    go_on(&w, given);
}

TEST(without_current_nothing_is_lost)
{
    struct world w;
    begin(&w);
    vv_seq given = w.given;
    CHECK_OK(vv_env_remove(w.env, WORLD_DIR "/CURRENT"));
    repair(&w);
    CHECK_EQ_INT(check_newest(&w), 0);
    go_on(&w, given);
}

TEST(a_damaged_manifest_is_done_without)
{
    struct world w;
    char path[64];
    begin(&w);
    vv_seq given = w.given;
    world_find(&w, "", WORLD_LAST, path); /* names begin with digits, C or M */
    CHECK(strstr(path, "MANIFEST") != NULL);
    world_damage(&w, path, 130, 20);
    repair(&w);
    CHECK_EQ_INT(check_newest(&w), 0);
    go_on(&w, given);
}

TEST(a_damaged_block_costs_its_own_keys_only)
{
    struct world w;
    char path[64];
    begin(&w);
    vv_seq given = w.given;
    world_find(&w, ".sst", WORLD_LAST, path);
    world_damage(&w, path, 100, 16);
    repair(&w);
    unsigned lost = check_newest(&w);
    CHECK(lost > 0);
    CHECK(lost < KEYS);
    CHECK_EQ_U64(world_files(&w, ".sst.damaged"), 1);
    expect_losses(0, 1, 0);
    go_on(&w, given);
}

TEST(a_table_that_cannot_be_opened_is_set_aside)
{
    struct world w;
    char path[64];
    struct vv_path_info info;
    begin(&w);
    vv_seq given = w.given;
    world_find(&w, ".sst", WORLD_LAST, path);
    CHECK_OK(vv_env_info(w.env, path, &info));
    world_damage(&w, path, info.size_bytes - 30, 30);
    repair(&w);
    (void)check_newest(&w);
    CHECK_EQ_U64(world_files(&w, ".sst.damaged"), 1);
    expect_losses(1, 0, 0);
    go_on(&w, given);
}

TEST(a_damaged_value_costs_its_own_key_and_no_older_one_takes_its_place)
{
    struct world w;
    char path[64];
    begin(&w);
    vv_seq given = w.given;
    world_find(&w, ".val", WORLD_LAST, path);
    struct vv_path_info info;
    CHECK_OK(vv_env_info(w.env, path, &info));
    world_damage(&w, path, info.size_bytes / 2, 4);
    repair(&w);
    CHECK_EQ_INT(check_newest(&w), 1);
    expect_losses(0, 0, 1);
    go_on(&w, given);
}

TEST(a_damaged_value_that_nothing_refers_to_does_not_outlive_a_repair)
{
    struct world w;
    char path[64];
    world_create(&w);
    world_write(&w, "key", 1, 5000);
    world_write(&w, "key", 2, 5000);
    world_flush(&w);
    world_close(&w);
    world_find(&w, ".val", WORLD_LAST, path);
    world_damage(&w, path, 200, 4);
    world_open(&w);
    CHECK_RC(w.engine->ops->check(w.engine, NULL, NULL), VV_CORRUPT);
    world_close(&w);
    repair(&w);
    CHECK_OK(w.engine->ops->check(w.engine, NULL, NULL));
    world_check(&w, "key", 2, 5000);
    world_free(&w);
}

TEST(a_missing_value_file_costs_what_was_in_it)
{
    struct world w;
    char path[64];
    begin(&w);
    vv_seq given = w.given;
    world_find(&w, ".val", WORLD_FIRST, path);
    CHECK_OK(vv_env_remove(w.env, path));
    CHECK_RC(world_try_open(&w), VV_CORRUPT);
    repair(&w);
    unsigned lost = check_newest(&w);
    CHECK(lost > 0);
    CHECK(lost < KEYS);
    go_on(&w, given);
}

TEST(a_collected_file_and_what_it_replaced_may_both_be_there)
{
    struct world w;
    char old[64];
    struct vv_buf bytes = VV_BUF_INIT;
    char key[16];
    begin(&w);
    world_open(&w);
    world_settle(&w);
    vv_seq given = w.given;
    world_find(&w, ".val", WORLD_FIRST, old);
    CHECK_OK(vv_sim_read_file(w.env, old, &bytes));
    struct vv_path_info info;
    for (unsigned i = 0; vv_env_info(w.env, old, &info) == VV_OK; i += 3) {
        world_write(&w, key_of(i, key), i < 5 ? 3 : 2, size_of(i));
        world_settle(&w);
        CHECK(i < KEYS);
    }
    world_close(&w);
    /* The file that was replaced comes back, and no MANIFEST says which one counts. */
    struct vv_file *file;
    CHECK_OK(vv_env_open(w.env, old, VV_OPEN_CREATE, &file));
    vv_file_close(file);
    CHECK_OK(vv_sim_write_file(w.env, old, vv_buf_slice(&bytes)));
    char path[64];
    world_find(&w, "", WORLD_LAST, path);
    CHECK(strstr(path, "MANIFEST") != NULL);
    CHECK_OK(vv_env_remove(w.env, path));
    CHECK_OK(vv_env_remove(w.env, WORLD_DIR "/CURRENT"));
    repair(&w);
    CHECK_EQ_INT(check_newest(&w), 0);
    vv_buf_deinit(&bytes);
    go_on(&w, given);
}

TEST(a_write_that_failed_does_not_come_back)
{
    struct world w;
    begin(&w);
    world_open(&w);
    world_write(&w, "before", 1, 100);
    /* All of the record gets to the disk, and the writer is told that it failed. */
    char path[64];
    world_find(&w, ".wal", WORLD_LAST, path);
    struct vv_buf before = VV_BUF_INIT;
    struct vv_buf with = VV_BUF_INIT;
    CHECK_OK(vv_sim_read_file(w.env, path, &before));
    world_write(&w, "failed", 1, 100);
    CHECK_OK(vv_sim_read_file(w.env, path, &with));
    CHECK_OK(vv_sim_write_file(w.env, path, vv_buf_slice(&before)));
    world_kill(&w);
    world_open(&w);
    world_check_gone(&w, "failed");
    world_write(&w, "after", 1, 100);
    world_close(&w);
    CHECK_OK(vv_sim_write_file(w.env, path, vv_buf_slice(&with)));
    repair(&w);
    world_check_gone(&w, "failed");
    world_check(&w, "before", 1, 100);
    world_check(&w, "after", 1, 100);
    CHECK_EQ_INT(check_newest(&w), 0);
    vv_buf_deinit(&before);
    vv_buf_deinit(&with);
    world_free(&w);
}

TEST(a_log_from_before_a_life_without_one_says_nothing_new)
{
    struct world w;
    world_create(&w);
    world_write(&w, "key", 1, 100);
    world_write(&w, "gone", 1, 100);
    world_close(&w);
    w.options.log_mode = VV_LSM_LOG_OFF;
    world_open(&w);
    world_write(&w, "key", 2, 100);
    world_delete(&w, "gone");
    world_settle(&w);
    world_close(&w);
    repair(&w);
    world_check(&w, "key", 2, 100);
    world_check_gone(&w, "gone");
    world_free(&w);
}

TEST(a_damaged_log_brings_back_nothing_that_tables_have_newer)
{
    struct world w;
    struct world_write waiting, later;
    char path[64];
    world_create(&w);
    world_write(&w, "key", 1, 100);
    world_write(&w, "key", 2, 100);
    world_begin(&w, "waiting", 1, 100, &waiting); /* its log stays */
    world_sync(&w);
    world_begin(&w, "later", 1, 100, &later); /* and says that it was synced */
    world_settle(&w);
    vv_batch_deinit(&waiting.batch);
    vv_batch_deinit(&later.batch);
    world_find(&w, ".wal", WORLD_FIRST, path);
    world_kill(&w);
    world_damage(&w, path, 96 + 136 + 60, 8);
    repair(&w);
    world_check(&w, "key", 2, 100);
    world_check(&w, "waiting", 1, 100);
    world_free(&w);
}

/* What a cut after call `n` would leave, repaired without its MANIFEST. */
static void repair_cut(const struct world *w, uint64_t n, enum vv_sim_model model,
                       struct world *cut)
{
    struct vv_env *image;
    CHECK_OK(vv_sim_image(w->env, n, model, 0, &image));
    remove_manifest(image);
    world_init(cut, image);
    cut->options.tuning = w->options.tuning;
    repair(cut);
}

TEST(a_table_that_was_replaced_and_is_still_read_brings_nothing_back)
{
    struct world w, cut;
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *flushed, *settled;
    vv_seq seq;
    world_create(&w);
    world_write(&w, "gone", 1, 100);
    world_write(&w, "key", 1, 100);
    world_write(&w, "rest", 1, 100);
    world_flush(&w);
    CHECK_OK(w.engine->ops->iter(w.engine, &options, &seq, &flushed));
    world_write(&w, "key", 2, 100);
    world_delete(&w, "gone");
    world_settle(&w);
    CHECK_EQ_U64(world_files(&w, ".sst"), 2);
    repair_cut(&w, vv_sim_call_count(w.env), VV_SIM_ALL, &cut);
    world_check(&cut, "key", 2, 100);
    world_check_gone(&cut, "gone");
    world_free(&cut);

    /* One more generation: now nothing is left of the merge that has replaced the first. */
    CHECK_OK(w.engine->ops->iter(w.engine, &options, &seq, &settled));
    world_write(&w, "key", 3, 100);
    world_settle(&w);
    CHECK_EQ_U64(world_files(&w, ".sst"), 3);
    vv_iter_close(settled);
    CHECK_EQ_U64(world_files(&w, ".sst"), 2);
    repair_cut(&w, vv_sim_call_count(w.env), VV_SIM_ALL, &cut);
    world_check(&cut, "key", 3, 100);
    world_check(&cut, "rest", 1, 100);
    world_check_gone(&cut, "gone");
    world_free(&cut);
    vv_iter_close(flushed);
    world_free(&w);
}

TEST(of_two_tables_without_sequences_the_newer_one_counts)
{
    struct world w;
    char path[64];
    struct vv_buf bytes = VV_BUF_INIT;
    struct vv_file *file;
    world_create(&w);
    world_write(&w, "key", 1, 100);
    world_settle(&w);
    world_find(&w, ".sst", WORLD_LAST, path);
    CHECK_OK(vv_sim_read_file(w.env, path, &bytes));
    for (unsigned version = 2; version <= 3; version++) {
        world_write(&w, "key", version, 100);
        world_settle(&w);
    }
    world_close(&w);
    CHECK_OK(vv_env_open(w.env, path, VV_OPEN_CREATE, &file));
    vv_file_close(file);
    CHECK_OK(vv_sim_write_file(w.env, path, vv_buf_slice(&bytes)));
    remove_manifest(w.env);
    repair(&w);
    world_check(&w, "key", 3, 100);
    vv_buf_deinit(&bytes);
    world_free(&w);
}

TEST(a_merge_that_was_not_finished_replaces_nothing)
{
    static const enum vv_sim_model models[] = {VV_SIM_SYNCED, VV_SIM_ALL, VV_SIM_SECTORS};
    struct world w, cut;
    char key[16];
    uint64_t ticket;
    world_create(&w);
    write_all(&w, 1);
    world_settle(&w);
    write_all(&w, 2);
    for (unsigned i = 0; i < 5; i++)
        world_write(&w, key_of(i, key), 3, size_of(i));
    world_sync(&w);
    w.options.tuning.step_bytes = 512;
    w.options.tuning.table_bytes = 2 << 10;
    world_reopen(&w);
    uint64_t first = vv_sim_call_count(w.env);
    CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
    world_tend(&w);
    CHECK(w.engine->ops->compact_done(w.engine, ticket));
    CHECK(world_files(&w, ".sst") > 3);
    for (uint64_t n = first; n <= vv_sim_call_count(w.env); n++) {
        for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
            repair_cut(&w, n, models[m], &cut);
            CHECK_EQ_INT(check_newest(&cut), 0);
            world_free(&cut);
        }
    }
    world_free(&w);
}

TEST(a_missing_table_is_a_loss)
{
    struct world w;
    char path[64];
    begin(&w);
    vv_seq given = w.given;
    world_find(&w, ".sst", WORLD_LAST, path);
    CHECK_OK(vv_env_remove(w.env, path));
    repair(&w);
    expect_losses(1, 0, 0);
    go_on(&w, given);
}

TEST(repair_of_nothing_is_refused)
{
    struct world w;
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, WORLD_DIR));
    world_init(&w, env);
    CHECK_RC(vv_lsm_repair(&w.options, count_line, NULL), VV_CORRUPT);
    world_free(&w);
}
