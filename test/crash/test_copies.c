/*
 * Checkpoints and power cuts: at every call, under every model, there is no copy at all, or one that
 * says that it is unfinished and makes room for another, or the whole; and once the call has
 * returned it is the whole.
 */
#include "harness/rig.h"
#include "harness/test.h"

#include "base/error.h"

#include <stdio.h>

enum { CHOICES = 3 };

#define COPY "/copy"

/* ---- what was made */

struct made {
    uint64_t began, ended; /* calls of the world */
    uint64_t commit;       /* that it must show */
};

static void put_many(struct rig *r, unsigned from, unsigned to, size_t size)
{
    char key[32];
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(key, sizeof key, "key%05u", i);
        CHECK_OK(rig_put(r, key, i % 7 == 0 ? 5000 : size, VARVE_DURABILITY_DEFAULT));
    }
}

static struct made checkpoint(struct rig *r)
{
    struct made made = {.began = rig_calls(r)};
    int rc = varve_checkpoint(r->db, COPY);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "checkpoint: %s", varve_last_error());
    made.ended = rig_calls(r);
    made.commit = rig_visible(r);
    return made;
}

/* Opens the store at `path` of a world and compares it with a moment of the rig. */
static void expect_store(const struct rig *r, struct vv_env *env, const char *path, uint64_t commit)
{
    struct vv_db_world world = r->world;
    struct dump dump = {0};
    char why[256];
    varve *db;
    world.env = env;
    varve_options options = r->options;
    options.mode = VARVE_MODE_EXISTING;
    if (vv_db_open(&world, path, &options, &db) < 0)
        test_fail(__FILE__, __LINE__, "open %s: %s", path, varve_last_error());
    CHECK_OK(dump_read(db, NULL, &dump));
    if (!dump_matches(&dump, &r->oracle, commit)) {
        dump_explain(&dump, &r->oracle, commit, why, sizeof why);
        test_fail(__FILE__, __LINE__, "%s: %s", path, why);
    }
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_put(db, VARVE_STR("later"), VARVE_STR("1")));
    CHECK_OK(varve_close(db));
    dump_deinit(&dump);
}

/* ---- one image */

enum outcome { NOTHING, UNFINISHED, WHOLE };

static enum outcome look(const struct rig *r, struct vv_env *env, uint64_t commit)
{
    struct vv_db_world world = r->world;
    world.env = env;
    int rc = vv_db_find(&world, COPY);
    if (rc == VARVE_MISSING)
        return NOTHING;
    if (rc == VARVE_FOREIGN) {
        CHECK(strstr(varve_last_error(), "unfinished") != NULL);
        return UNFINISHED;
    }
    CHECK_OK(rc);
    expect_store(r, env, COPY, commit);
    return WHOLE;
}

/* The original is recovered and copied anew to the same place; or what is there is destroyed. */
static void do_over(const struct rig *r, struct vv_env *env, enum outcome outcome, bool destroy)
{
    struct vv_db_world world = r->world;
    struct vv_path_info info;
    varve *db;
    world.env = env;
    if (destroy && outcome == UNFINISHED) {
        CHECK_OK(vv_db_destroy(&world, COPY));
        CHECK_RC(vv_env_info(env, COPY, &info), VV_NOTFOUND);
        return;
    }
    if (vv_db_open(&world, r->path, &r->options, &db) < 0)
        return; /* power failed before there was a store */
    int rc = varve_checkpoint(db, COPY);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "again: %s", varve_last_error());
    CHECK_OK(varve_close(db));
    CHECK_OK(vv_db_find(&world, COPY));
}

static void sweep(const struct rig *r, const struct made *made, uint64_t to)
{
    unsigned seen[3] = {0};
    for (uint64_t n = made->began; n <= to; n++) {
        if (n > made->ended + 5 && n % 16 > 0)
            continue; /* what is durable stays so: a sample is enough */
        for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
            for (uint64_t choice = 0; choice < CHOICES; choice++) {
                struct vv_env *env;
                if (choice > 0 && (model == VV_SIM_SYNCED || model == VV_SIM_ALL))
                    continue;
                CHECK_OK(vv_sim_image(r->world.env, n, (enum vv_sim_model)model, choice, &env));
                enum outcome outcome = look(r, env, made->commit);
                seen[outcome]++;
                if (n >= made->ended && outcome != WHOLE)
                    test_fail(__FILE__, __LINE__, "lost after call %llu, model %d",
                              (unsigned long long)n, model);
                if (outcome != WHOLE && n % 3 == choice)
                    do_over(r, env, outcome, (n & 1) == 0);
                vv_env_sim_free(env);
            }
        }
    }
    CHECK(seen[NOTHING] > 0 && seen[UNFINISHED] > 0 && seen[WHOLE] > 0);
}

TEST(a_checkpoint_is_whole_or_not_there_after_a_power_cut_at_any_call)
{
    struct rig r;
    rig_init_sim(&r, test_seed());
    r.options.value_log_min = 512;
    CHECK_OK(rig_open(&r));
    put_many(&r, 0, 60, 200);
    CHECK_OK(rig_flush(&r));
    put_many(&r, 30, 90, 700);
    struct made made = checkpoint(&r);
    put_many(&r, 0, 30, 300);
    CHECK_OK(rig_settle(&r));
    CHECK_OK(rig_close(&r));
    sweep(&r, &made, rig_calls(&r));
    expect_store(&r, r.world.env, COPY, made.commit);
    rig_deinit(&r);
}

/* ---- calls that fail */

static void begin(struct rig *r)
{
    rig_init_sim(r, test_seed());
    r->options.value_log_min = 512;
    CHECK_OK(rig_open(r));
    put_many(r, 0, 60, 700);
    CHECK_OK(rig_settle(r));
}

TEST(a_checkpoint_that_fails_at_any_call_leaves_nothing_or_what_the_next_one_replaces)
{
    static const enum vv_sim_fault faults[] = {VV_SIM_FAULT_IO, VV_SIM_FAULT_FULL};
    for (size_t f = 0; f < 2; f++) {
        unsigned failed = 0;
        for (uint64_t n = 1; n < 60; n++) {
            struct rig r;
            begin(&r);
            vv_sim_fail_at(r.world.env, n, faults[f], (n & 1) == 0);
            int rc = varve_checkpoint(r.db, COPY);
            vv_sim_fail_at(r.world.env, 0, VV_SIM_FAULT_NONE, false);
            if (rc < 0) {
                failed++;
                CHECK(varve_last_error()[0] != 0);
                int found = vv_db_find(&r.world, COPY);
                CHECK(found == VARVE_MISSING || found == VARVE_FOREIGN);
                if (varve_put(r.db, VARVE_STR("x"), VARVE_STR("1")) == VARVE_OK) {
                    CHECK_OK(varve_checkpoint(r.db, COPY));
                    CHECK_OK(vv_db_find(&r.world, COPY));
                }
            } else {
                expect_store(&r, r.world.env, COPY, rig_visible(&r));
            }
            (void)varve_close(r.db);
            r.db = NULL;
            rig_deinit(&r);
        }
        CHECK(failed > 5);
    }
}

TEST(a_checkpoint_goes_where_nothing_is)
{
    struct rig r;
    struct vv_file *file;
    begin(&r);
    CHECK_OK(vv_env_make_dir(r.world.env, "/empty"));
    CHECK_OK(varve_checkpoint(r.db, "/empty"));
    expect_store(&r, r.world.env, "/empty", rig_visible(&r));
    CHECK_RC(varve_checkpoint(r.db, "/empty"), VARVE_EXISTS);
    CHECK_RC(varve_checkpoint(r.db, r.path), VARVE_EXISTS);
    CHECK_OK(vv_env_make_dir(r.world.env, "/full"));
    CHECK_OK(vv_env_open(r.world.env, "/full/letter", VV_OPEN_CREATE, &file));
    vv_file_close(file);
    CHECK_RC(varve_checkpoint(r.db, "/full"), VARVE_FOREIGN);
    CHECK_RC(varve_checkpoint(r.db, "/full/letter"), VARVE_FOREIGN);
    CHECK_RC(varve_checkpoint(r.db, "/none/copy"), VARVE_IO);
    CHECK_RC(varve_checkpoint(r.db, ""), VARVE_INVALID);
    CHECK_RC(varve_checkpoint(r.db, NULL), VARVE_INVALID);
    CHECK_RC(varve_checkpoint(NULL, COPY), VARVE_INVALID);
    CHECK_OK(rig_close(&r));
    r.options.mode = VARVE_MODE_READONLY;
    CHECK_OK(rig_open(&r));
    CHECK_RC(varve_checkpoint(r.db, COPY), VARVE_READONLY);
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}
