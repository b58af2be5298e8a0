/*
 * The MANIFEST and CURRENT: whenever power fails, and whatever call fails, there is one in force and
 * it holds a prefix of the edits, no shorter than what was promised.
 */
#include "harness/test.h"

#include "base/error.h"
#include "env/sim.h"
#include "lsm/manifest.h"
#include "lsm/names.h"

#define DIR "/db"

enum { EDITS = 6, CHOICES = 8 };

/* The edits of a run are numbered by their next_file; a snapshot has the number of the last one. */
struct seen {
    uint64_t last;
    unsigned count;
    bool gap;
};

static int note(void *context, const struct vv_edit *edit)
{
    struct seen *seen = context;
    seen->gap = seen->gap || (seen->count > 0 && edit->next_file != seen->last + 1);
    seen->last = edit->next_file;
    seen->count++;
    return VV_OK;
}

static int read_all(struct vv_env *env, struct seen *seen, uint64_t *number)
{
    *seen = (struct seen){0};
    return vv_manifest_read(env, DIR, note, seen, number);
}

static int create(struct vv_env *env, uint64_t number, uint64_t state, struct vv_manifest **out,
                  bool *unclear)
{
    struct vv_edit edit = {
        .has_format = true, .format_version = 1, .snapshot = true, .next_file = state};
    return vv_manifest_create(env, DIR, number, &edit, out, unclear);
}

static int append(struct vv_manifest *m, uint64_t state, bool *unclear)
{
    struct vv_edit edit = {.next_file = state};
    return vv_manifest_append(m, &edit, unclear);
}

static struct vv_env *world_new(void)
{
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, DIR));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    return env;
}

/* States 1 to EDITS, with a change to a new MANIFEST on the way; promised[i] is the call after which
 * state i was promised. Stops at the first failure and says how far it is sure to be. */
static int run(struct vv_env *env, uint64_t promised[EDITS + 1], uint64_t *sure, bool *unclear)
{
    struct vv_manifest *m = NULL;
    int rc = VV_OK;
    *sure = 0;
    *unclear = false;
    for (uint64_t state = 1; rc == VV_OK && state <= EDITS; state++) {
        if (state == 1 || state == 4) {
            struct vv_manifest *old = m;
            m = NULL;
            rc = create(env, state * 10, state, &m, unclear);
            if (rc < 0)
                m = old;
            else
                vv_manifest_close(old);
        } else {
            rc = append(m, state, unclear);
        }
        if (rc == VV_OK) {
            *sure = state;
            promised[state] = vv_sim_call_count(env);
        }
    }
    vv_manifest_close(m);
    return rc;
}

TEST(edits_read_back_in_order)
{
    struct vv_env *env = world_new();
    struct seen seen;
    uint64_t number, sure;
    uint64_t promised[EDITS + 1] = {0};
    bool unclear;
    CHECK_RC(read_all(env, &seen, &number), VV_NOTFOUND);
    CHECK_OK(run(env, promised, &sure, &unclear));
    CHECK_OK(read_all(env, &seen, &number));
    CHECK_EQ_U64(number, 40);
    CHECK_EQ_U64(seen.last, EDITS);
    CHECK_EQ_U64(seen.count, 3);
    CHECK(!seen.gap);
    vv_env_sim_free(env);
}

static void check_image(const struct vv_env *env, uint64_t n, int model, uint64_t choice,
                        const uint64_t promised[EDITS + 1])
{
    struct vv_env *image;
    struct seen seen;
    uint64_t number;
    uint64_t wanted = 0;
    CHECK_OK(vv_sim_image(env, n, (enum vv_sim_model)model, choice, &image));
    int rc = read_all(image, &seen, &number);
    for (uint64_t state = 1; state <= EDITS; state++)
        wanted = promised[state] > 0 && promised[state] <= n ? state : wanted;
    bool none = wanted == 0 && (rc == VV_NOTFOUND || rc == VV_CORRUPT);
    if (!none && (rc != VV_OK || seen.last < wanted || seen.gap)) {
        char call[128];
        vv_sim_call_describe(env, n, call, sizeof call);
        test_fail(__FILE__, __LINE__, "cut after call %u (%s), model %d: rc %d, %u, not %u",
                  (unsigned)n, call, model, rc, (unsigned)seen.last, (unsigned)wanted);
    }
    vv_env_sim_free(image);
}

TEST(a_power_cut_anywhere_leaves_a_prefix_that_has_all_that_was_promised)
{
    struct vv_env *env = world_new();
    uint64_t promised[EDITS + 1] = {0};
    uint64_t sure;
    bool unclear;
    CHECK_OK(run(env, promised, &sure, &unclear));
    for (uint64_t n = 0; n <= vv_sim_call_count(env); n++) {
        for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
            for (uint64_t choice = 0; choice < (test_soak() ? 200 : CHOICES); choice++)
                check_image(env, n, model, choice, promised);
        }
    }
    vv_env_sim_free(env);
}

TEST(whatever_call_fails_the_state_is_known_or_called_unclear)
{
    for (int fault = VV_SIM_FAULT_IO; fault <= VV_SIM_FAULT_SYNC_LOST; fault++) {
        for (uint64_t n = 1; n < 40; n++) {
            struct vv_env *env = world_new();
            struct vv_env *image;
            struct seen seen = {0};
            uint64_t promised[EDITS + 1] = {0};
            uint64_t number, sure;
            bool unclear;
            vv_sim_fail_at(env, n, (enum vv_sim_fault)fault, n % 2 == 0);
            int rc = run(env, promised, &sure, &unclear);
            vv_sim_fail_at(env, 0, VV_SIM_FAULT_NONE, false);
            CHECK_OK(vv_sim_image(env, vv_sim_call_count(env), VV_SIM_SYNCED, 0, &image));
            int read_rc = read_all(image, &seen, &number);
            if (sure > 0)
                CHECK_OK(read_rc);
            CHECK(seen.last >= sure);
            CHECK(seen.last <= sure + 1);
            if (rc < 0 && !unclear && sure > 0)
                CHECK_EQ_U64(seen.last, sure);
            vv_env_sim_free(image);
            vv_env_sim_free(env);
        }
    }
}

TEST(a_failed_append_is_the_last)
{
    struct vv_env *env = world_new();
    struct vv_manifest *m;
    struct seen seen;
    uint64_t number;
    bool unclear;
    CHECK_OK(create(env, 1, 1, &m, &unclear));
    CHECK_OK(append(m, 2, &unclear));
    vv_sim_fail_at(env, 1, VV_SIM_FAULT_FULL, false);
    CHECK_RC(append(m, 3, &unclear), VV_FULL);
    CHECK(!unclear);
    CHECK_RC(append(m, 3, &unclear), VV_FULL);
    CHECK_OK(read_all(env, &seen, &number));
    CHECK_EQ_U64(seen.last, 2);
    vv_manifest_close(m);
    vv_env_sim_free(env);
}

/* ---- CURRENT */

static void write_text(struct vv_env *env, const char *path, const char *text)
{
    CHECK_OK(vv_sim_write_file(env, path, vv_slice_str(text)));
}

TEST(current_is_read_only_if_it_is_whole)
{
    struct vv_env *env = world_new();
    struct vv_manifest *m;
    struct vv_buf text = VV_BUF_INIT;
    uint64_t number;
    bool unclear;
    CHECK_OK(create(env, 7, 1, &m, &unclear));
    vv_manifest_close(m);
    CHECK_OK(vv_sim_read_file(env, DIR "/CURRENT", &text));
    CHECK(vv_current_parse(vv_buf_slice(&text), &number));
    CHECK_EQ_U64(number, 7);
    for (size_t i = 0; i < text.size; i++) {
        CHECK(!vv_current_parse(vv_slice_of(text.data, i), &number));
        text.data[i] ^= 1;
        CHECK(!vv_current_parse(vv_buf_slice(&text), &number));
        text.data[i] ^= 1;
    }
    CHECK_OK(vv_buf_append(&text, "\n", 1));
    CHECK(!vv_current_parse(vv_buf_slice(&text), &number));
    vv_buf_deinit(&text);
    vv_env_sim_free(env);
}

TEST(without_current_the_newest_whole_manifest_is_taken)
{
    struct vv_env *env = world_new();
    struct vv_manifest *m;
    struct seen seen;
    uint64_t number;
    bool unclear;
    CHECK_OK(create(env, 3, 1, &m, &unclear));
    vv_manifest_close(m);
    CHECK_OK(create(env, 8, 2, &m, &unclear));
    CHECK_OK(append(m, 3, &unclear));
    vv_manifest_close(m);
    CHECK_OK(vv_env_remove(env, DIR "/CURRENT"));
    CHECK_OK(read_all(env, &seen, &number));
    CHECK_EQ_U64(number, 8);
    CHECK_EQ_U64(seen.last, 3);
    struct vv_file *file;
    CHECK_OK(vv_env_open(env, DIR "/MANIFEST-000009", VV_OPEN_CREATE, &file));
    vv_file_close(file);
    CHECK_OK(vv_env_open(env, DIR "/CURRENT", VV_OPEN_CREATE, &file));
    vv_file_close(file);
    write_text(env, DIR "/CURRENT", "MANIFEST-000003 0000000000000000\n");
    CHECK_OK(read_all(env, &seen, &number));
    CHECK_EQ_U64(number, 8);
    CHECK_EQ_U64(seen.last, 3);
    vv_env_sim_free(env);
}

TEST(a_current_that_names_nothing_usable_is_damage)
{
    struct vv_env *env = world_new();
    struct vv_manifest *m;
    struct seen seen;
    uint64_t number;
    bool unclear;
    CHECK_OK(create(env, 3, 1, &m, &unclear));
    vv_manifest_close(m);
    write_text(env, DIR "/MANIFEST-000003", "");
    CHECK_RC(read_all(env, &seen, &number), VV_CORRUPT);
    CHECK_OK(vv_env_remove(env, DIR "/MANIFEST-000003"));
    CHECK_RC(read_all(env, &seen, &number), VV_CORRUPT);
    CHECK_OK(vv_env_remove(env, DIR "/CURRENT"));
    CHECK_RC(read_all(env, &seen, &number), VV_NOTFOUND);
    vv_env_sim_free(env);
}

TEST(damage_inside_a_manifest_is_no_torn_end)
{
    struct vv_env *env = world_new();
    struct vv_buf bytes = VV_BUF_INIT;
    struct seen seen;
    uint64_t number, sure;
    uint64_t promised[EDITS + 1] = {0};
    bool unclear;
    CHECK_OK(run(env, promised, &sure, &unclear));
    CHECK_OK(vv_sim_read_file(env, DIR "/MANIFEST-000040", &bytes));
    size_t records = (bytes.size - 96) / 2; /* about where the second record is */
    bytes.data[96 + records] ^= 0x10;
    CHECK_OK(vv_sim_write_file(env, DIR "/MANIFEST-000040", vv_buf_slice(&bytes)));
    CHECK_RC(read_all(env, &seen, &number), VV_CORRUPT);
    vv_buf_deinit(&bytes);
    vv_env_sim_free(env);
}
