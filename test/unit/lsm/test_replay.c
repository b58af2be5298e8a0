/*
 * Replaying logs: under any power cut the state is a prefix of what was committed, and has all that
 * was promised.
 */
#include "engine_world.h"

enum { WRITES = 24, CHOICES = 3 };

struct story {
    uint64_t synced_at[WRITES + 1]; /* by write: the call after which it was safe; 0: never */
    uint64_t laid_at[WRITES + 1];
    unsigned count;
};

static size_t size_of(unsigned i)
{
    return i % 5 == 4 ? 5000 : 30 + i;
}

static const char *key_of(unsigned i, char into[16])
{
    (void)snprintf(into, 16, "key%03u", i);
    return into;
}

/* Writes with syncs, flushes, failing appends and new lives between. */
static void run(struct world *w, struct vv_rng *rng, struct story *story)
{
    char key[16];
    while (story->count < WRITES) {
        switch (vv_rng_below(rng, 12)) {
        case 0:
            vv_sim_fail_at(w->env, 1, VV_SIM_FAULT_SHORT, false);
            (void)world_try_write(w, "failed", 1, 100);
            vv_sim_fail_at(w->env, 0, VV_SIM_FAULT_NONE, false);
            break;
        case 1: world_flush(w); break;
        case 2:
            world_kill(w);
            world_open(w);
            break;
        case 3:
        case 4:
            world_sync(w);
            for (unsigned i = 0; i < story->count; i++) {
                if (story->synced_at[i] == 0)
                    story->synced_at[i] = vv_sim_call_count(w->env);
            }
            break;
        default:
            world_write(w, key_of(story->count, key), 1, size_of(story->count));
            story->laid_at[story->count++] = vv_sim_call_count(w->env);
        }
    }
}

static void check_image(const struct world *w, uint64_t n, int model, uint64_t choice,
                        const struct story *story)
{
    struct world cut;
    struct vv_env *image;
    char key[16];
    char call[128];
    CHECK_OK(vv_sim_image(w->env, n, (enum vv_sim_model)model, choice, &image));
    world_init(&cut, image);
    vv_sim_call_describe(w->env, n, call, sizeof call);
    int rc = world_try_open(&cut);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "refused after call %u (%s), model %d, choice %u",
                  (unsigned)n, call, model, (unsigned)choice);
    bool ended = false;
    for (unsigned i = 0; i < story->count; i++) {
        struct vv_pin pin;
        rc = world_get_at(&cut, VV_SEQ_NOW, key_of(i, key), &pin);
        vv_pin_release(&pin);
        uint64_t promised = model == VV_SIM_ALL ? story->laid_at[i] : story->synced_at[i];
        bool wanted = promised != 0 && promised <= n;
        if (rc < 0 || (rc == VV_OK && ended) || (rc == VV_NOTFOUND && wanted))
            test_fail(__FILE__, __LINE__,
                      "write %u: rc %d, after call %u (%s), model %d, choice %u", i, rc,
                      (unsigned)n, call, model, (unsigned)choice);
        ended = ended || rc == VV_NOTFOUND;
        if (rc == VV_OK)
            world_check(&cut, key, 1, size_of(i));
    }
    world_write(&cut, "after", 1, 100);
    world_reopen(&cut);
    world_check(&cut, "after", 1, 100);
    world_free(&cut);
}

TEST(after_a_power_cut_the_state_is_a_prefix_with_all_that_was_promised)
{
    for (uint64_t round = 0; round < (test_soak() ? 200 : 6); round++) {
        struct vv_rng rng = vv_rng_of(test_seed() + round);
        struct story story = {.count = 0};
        struct world w;
        world_create(&w);
        w.options.log_mode = round % 2 == 0 ? VV_LSM_LOG_ON : VV_LSM_LOG_RECYCLE;
        world_reopen(&w);
        uint64_t first = vv_sim_call_count(w.env);
        run(&w, &rng, &story);
        for (uint64_t n = first; n <= vv_sim_call_count(w.env); n++) {
            for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
                for (uint64_t choice = 0; choice < CHOICES; choice++)
                    check_image(&w, n, model, choice, &story);
            }
        }
        world_free(&w);
    }
}

/* Any subset of the names that were not synced may be lost: also that of the log that holds the only
 * records, and not that of the log that recovery has just begun behind it. */
TEST(a_log_lost_with_its_name_is_no_damage)
{
    struct story story = {.count = 1};
    struct world w;
    world_create(&w);
    uint64_t first = vv_sim_call_count(w.env);
    vv_sim_fail_at(w.env, 1, VV_SIM_FAULT_SHORT, false);
    CHECK_RC(world_try_write(&w, "failed", 1, 100), VV_IO);
    vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
    world_write(&w, "key000", 1, size_of(0));
    story.laid_at[0] = vv_sim_call_count(w.env);
    world_kill(&w);
    world_open(&w);
    for (uint64_t n = first; n <= vv_sim_call_count(w.env); n++) {
        for (uint64_t choice = 0; choice < 16; choice++)
            check_image(&w, n, VV_SIM_SECTORS, choice, &story);
    }
    world_free(&w);
}

static void freeze(struct world *w)
{
    uint64_t ticket;
    CHECK_OK(w->engine->ops->flush_begin(w->engine, &ticket));
}

/* Three logs, one write in each of the first two and two in the last. */
static void fill_three_logs(struct world *w)
{
    world_create(w);
    world_write(w, "first", 1, 100);
    freeze(w);
    world_write(w, "second", 1, 100);
    freeze(w);
    world_write(w, "third", 1, 100);
}

TEST(that_the_log_the_manifest_names_is_gone_is_noticed_though_nothing_was_synced)
{
    char path[64];
    struct world w;
    fill_three_logs(&w);
    world_kill(&w);
    world_find(&w, ".wal", WORLD_FIRST, path);
    CHECK_OK(vv_env_remove(w.env, path));
    CHECK_RC(world_try_open(&w), VV_CORRUPT);
    CHECK(strstr(vv_error_story(), "000001.wal is missing") != NULL);
    world_free(&w);
}

/* The last log was begun when those before it were not synced yet: a record further on says that they
 * are. */
TEST(any_record_vouches_for_the_logs_before_its_own)
{
    for (int cut = 0; cut < 2; cut++) {
        static const char *const path = WORLD_DIR "/000003.wal";
        struct vv_buf raw = VV_BUF_INIT;
        struct world w;
        fill_three_logs(&w);
        world_sync(&w);
        world_write(&w, "fourth", 1, 100);
        world_kill(&w);
        CHECK_OK(vv_sim_read_file(w.env, path, &raw));
        if (cut)
            CHECK_OK(vv_sim_write_file(w.env, path, vv_slice_of(raw.data, raw.size - 8)));
        else
            CHECK_OK(vv_env_remove(w.env, path));
        CHECK_RC(world_try_open(&w), VV_CORRUPT);
        vv_buf_deinit(&raw);
        world_free(&w);
    }
}

TEST(what_a_failed_append_left_is_void)
{
    struct world w;
    char path[64];
    struct vv_buf with = VV_BUF_INIT;
    struct vv_buf without = VV_BUF_INIT;
    world_create(&w);
    world_write(&w, "before", 1, 100);
    world_find(&w, ".wal", WORLD_LAST, path);
    /* The record as it would be in this log, had its append succeeded. */
    struct world twin;
    CHECK_OK(vv_sim_read_file(w.env, path, &without));
    world_write(&w, "failed", 1, 100);
    CHECK_OK(vv_sim_read_file(w.env, path, &with));
    CHECK_OK(vv_sim_write_file(w.env, path, vv_buf_slice(&without)));
    world_kill(&w);
    world_open(&w); /* begins a log that says where the state ended */
    CHECK_OK(vv_sim_write_file(w.env, path, vv_buf_slice(&with)));
    world_write(&w, "after", 1, 100);
    world_cut(&w, VV_SIM_ALL, &twin);
    world_check(&twin, "before", 1, 100);
    world_check(&twin, "after", 1, 100);
    world_check_gone(&twin, "failed");
    world_free(&twin);
    vv_buf_deinit(&with);
    vv_buf_deinit(&without);
    world_free(&w);
}

static void check_refused(const struct world *w, uint64_t choices)
{
    for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
        for (uint64_t choice = 0; choice < choices; choice++) {
            struct world cut;
            CHECK_OK(world_try_cut(w, (enum vv_sim_model)model, choice, &cut));
            world_check_gone(&cut, "failed");
            world_free(&cut);
        }
    }
}

/* The append fails though as many as all of its bytes are written, and so does the log that should
 * void them. */
TEST(a_write_that_was_refused_never_comes_back)
{
    struct world w;
    world_create(&w);
    w.options.log_mode = VV_LSM_LOG_RECYCLE;
    world_reopen(&w);
    world_write(&w, "before", 1, 100);
    for (unsigned i = 0; i < 60; i++) {
        vv_sim_fail_at(w.env, 1, VV_SIM_FAULT_SHORT, true);
        CHECK_RC(world_try_write(&w, "failed", i, 20), VV_IO);
        vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
        check_refused(&w, 1);
        if (i % 2 == 0)
            continue;
        world_write(&w, "later", i, 20);
        check_refused(&w, CHOICES);
    }
    CHECK_EQ_INT(w.poison_rc, VV_OK);
    world_kill(&w);
    world_open(&w);
    world_check(&w, "before", 1, 100);
    world_check(&w, "later", 59, 20);
    world_check_gone(&w, "failed");
    world_free(&w);
}

TEST(a_refused_write_that_cannot_be_taken_back_ends_all_writing)
{
    for (uint64_t broken = 1; broken < 4; broken++) {
        struct world w;
        world_create(&w);
        world_write(&w, "before", 1, 100);
        vv_sim_fail_at(w.env, 1, VV_SIM_FAULT_IO, broken > 1);
        CHECK_RC(world_try_write(&w, "failed", 1, 20), VV_IO);
        CHECK(strstr(vv_error_story(), "write") != NULL);
        vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
        CHECK_EQ_INT(w.poison_rc, broken > 1 ? VV_IO : VV_OK);
        world_free(&w);
    }
}
