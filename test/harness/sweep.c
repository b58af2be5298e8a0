/*
 * A run is swept after it ended: its world can still give the image of any moment. An image whose
 * names and bytes were seen before recovers as it did before, and is only held against its promises.
 */
#include "harness/sweep.h"

#include "harness/replica.h"
#include "harness/test.h"
#include "harness/trail.h"
#include "lsm/names.h"

#include <stdio.h>
#include <stdlib.h>

static const enum vv_sim_model models[] = {VV_SIM_SYNCED, VV_SIM_ALL, VV_SIM_PREFIX,
                                           VV_SIM_FILE_PREFIX, VV_SIM_TORN};

void sweep_init(struct sweep *s, uint64_t seed)
{
    *s = (struct sweep){
        .seed = seed,
        .choices = test_soak() ? 12 : 3,
        .again_every = test_soak() ? 1 : 5,
        .nested_every = test_soak() ? 20 : 150,
    };
}

void sweep_deinit(struct sweep *s)
{
    free(s->seen);
    s->seen = NULL;
    s->seen_count = s->seen_cap = 0;
}

void sweep_print(const struct sweep *s, const char *name)
{
    printf("%-32s %8" PRIu64 " images, %7" PRIu64 " recovered, %6" PRIu64 " twice, %6" PRIu64
           " cut in recovery\n",
           name, s->images, s->recoveries, s->again, s->nested);
}

/* ---- images seen before */

static struct sweep_seen *seen_place(struct sweep_seen *seen, size_t cap, uint64_t fingerprint)
{
    size_t i = vv_mix(fingerprint) & (cap - 1);

    while (seen[i].fingerprint != 0 && seen[i].fingerprint != fingerprint)
        i = (i + 1) & (cap - 1);
    return &seen[i];
}

static void seen_grow(struct sweep *s)
{
    size_t cap = s->seen_cap ? s->seen_cap * 2 : 1024;
    struct sweep_seen *bigger = calloc(cap, sizeof *bigger);

    CHECK(bigger != NULL);
    for (size_t i = 0; i < s->seen_cap; i++) {
        if (s->seen[i].fingerprint != 0)
            *seen_place(bigger, cap, s->seen[i].fingerprint) = s->seen[i];
    }
    free(s->seen);
    s->seen = bigger;
    s->seen_cap = cap;
}

/* ---- one image */

/* A recovered image with a rig of its own, whose oracle begins with what was recovered. */
static void image_rig(struct rig *sub, const struct rig *r, struct vv_env *image)
{
    rig_init_in(sub, image, r->path);
    sub->env_owned = true;
    sub->sim = true;
    sub->world.tuning = r->world.tuning;
    sub->options = r->options;
    sub->mirrors = r->mirrors;
    sub->serial = r->serial + 1000000;
}

static uint64_t recovered_commit(const struct rig *sub, const struct rig *r,
                                 struct rig_range allowed)
{
    struct dump dump = {.count = 0};
    uint64_t commit;

    TRAIL_OK(dump_read(sub->db, NULL, &dump));
    rig_check_mirrors(sub, sub->db, &dump);
    commit = rig_recovered(r, &dump, vv_db_seq(sub->db), allowed);
    dump_deinit(&dump);
    return commit;
}

/* A store that keeps its changes has all that led to what was recovered. */
static void follow(const struct rig *sub, const struct rig *r, uint64_t commit)
{
    struct replica replica = {.known = 0};

    if (sub->options.changes_keep == 0)
        return;
    TRAIL_OK(replica_open(&replica, sub->db));
    TRAIL_RC(replica_follow(&replica, r), VARVE_END);
    TRAIL_CHECK(replica_shows(&replica, r, commit));
    replica_deinit(&replica);
}

static void note_line(void *context, const char *line)
{
    (void)context;
    trail_note("  reported: %s", line);
}

/* Life goes on: writes, a flush, background work, a second recovery. */
static void live_on(struct rig *sub, const struct rig *r, uint64_t commit)
{
    oracle_copy(&sub->oracle, &r->oracle, commit);
    sub->base = commit;
    trail_note("  the recovered store lives on");
    TRAIL_OK(varve_verify(sub->db, note_line, NULL));
    TRAIL_OK(rig_put(sub, "again", 100, VARVE_DURABILITY_DEFAULT));
    TRAIL_OK(rig_put(sub, "a", 700, VARVE_DURABILITY_DISK));
    TRAIL_OK(rig_delete(sub, "b", VARVE_DURABILITY_DEFAULT));
    rig_expect(sub, NULL, sub->oracle.last);
    TRAIL_OK(rig_close(sub));
    trail_note("  opened a second time");
    TRAIL_OK(rig_open(sub));
    rig_expect(sub, NULL, sub->oracle.last);
    TRAIL_OK(rig_put(sub, "once more", 10, VARVE_DURABILITY_OS));
    TRAIL_OK(rig_settle(sub));
    sweep_expect_no_orphans(sub);
    rig_expect(sub, NULL, sub->oracle.last);
    TRAIL_OK(varve_verify(sub->db, note_line, NULL));
}

/* Power fails again while the image is being recovered: `calls_open` calls were made until it was
 * open and showed `commit`. */
static void cut_recovery(struct sweep *s, const struct rig *sub, const struct rig *r,
                         struct rig_range allowed, uint64_t commit, uint64_t calls_open)
{
    uint64_t calls = vv_sim_call_count(sub->world.env);
    char text[160];

    for (uint64_t n = 0; n <= calls; n++) {
        for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
            struct rig_range range = allowed;
            struct rig third;
            struct vv_env *image = NULL;

            if (n >= calls_open)
                range.from = commit;
            TRAIL_OK(vv_sim_image(sub->world.env, n, models[i], s->seed + n, &image));
            vv_sim_call_describe(sub->world.env, n, text, sizeof text);
            trail_note("  cut in recovery after its call %" PRIu64 " (%s), model M%d", n, text,
                       (int)models[i]);
            image_rig(&third, r, image);
            TRAIL_OK(rig_open(&third));
            follow(&third, r, recovered_commit(&third, r, range));
            rig_deinit(&third);
            s->nested++;
        }
    }
}

static uint64_t image_check(struct sweep *s, const struct rig *r, struct vv_env *image_take,
                            struct rig_range allowed)
{
    struct rig sub;
    uint64_t commit;
    uint64_t calls_open;

    image_rig(&sub, r, image_take);
    TRAIL_OK(rig_open(&sub));
    calls_open = vv_sim_call_count(sub.world.env);
    commit = recovered_commit(&sub, r, allowed);
    follow(&sub, r, commit);
    s->recoveries++;
    if (s->nested_every > 0 && s->recoveries % s->nested_every == 0) {
        TRAIL_OK(rig_settle(&sub));
        TRAIL_CHECK(recovered_commit(&sub, r, allowed) == commit);
        TRAIL_OK(rig_close(&sub));
        cut_recovery(s, &sub, r, allowed, commit, calls_open);
    } else if (s->again_every > 0 && s->recoveries % s->again_every == 0) {
        live_on(&sub, r, commit);
        s->again++;
    }
    rig_deinit(&sub);
    return commit;
}

static void image_look(struct sweep *s, const struct rig *r, uint64_t n, enum vv_sim_model model,
                       uint64_t choice)
{
    struct rig_range allowed = rig_allowed(r, n, model);
    struct vv_env *image = NULL;
    struct sweep_seen *seen;
    uint64_t fingerprint;
    char text[160];

    TRAIL_OK(vv_sim_image(r->world.env, n, model, choice, &image));
    s->images++;
    fingerprint = vv_sim_fingerprint(image) | 1;
    if (s->seen_count * 2 >= s->seen_cap)
        seen_grow(s);
    seen = seen_place(s->seen, s->seen_cap, fingerprint);
    if (seen->fingerprint != 0 && seen->commit >= allowed.from) {
        vv_env_sim_free(image);
        return;
    }
    vv_sim_call_describe(r->world.env, n, text, sizeof text);
    trail_note("power cut after call %" PRIu64 " (%s), model M%d, choice %" PRIu64
               "; commits %" PRIu64 " to %" PRIu64 " may be left",
               n, text, (int)model, choice, allowed.from, allowed.to);
    s->seen_count += seen->fingerprint == 0;
    seen->fingerprint = fingerprint;
    seen->commit = image_check(s, r, image, allowed);
}

void sweep_run(struct sweep *s, const struct rig *r, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n <= to; n++) {
        for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
            bool single = models[i] == VV_SIM_SYNCED || models[i] == VV_SIM_ALL;
            uint32_t choices = single ? 1 : s->choices;

            for (uint32_t choice = 0; choice < choices; choice++)
                image_look(s, r, n, models[i], vv_mix(s->seed + n * 64 + choice));
        }
    }
}

/* ---- orphans */

void sweep_expect_no_orphans(struct rig *r)
{
    varve_stats stats = {.size = sizeof stats};
    struct vv_buf names = VV_BUF_INIT;
    uint64_t counts[VV_NAME_DAMAGED + 1] = {0};
    uint64_t tables = 0;

    TRAIL_OK(varve_get_stats(r->db, &stats));
    TRAIL_OK(vv_env_list(r->world.env, r->path, &names));
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number = 0;
        enum vv_name_kind kind = vv_name_parse(name, &number);

        trail_note("  file %s", name);
        TRAIL_CHECK(kind <= VV_NAME_DAMAGED);
        counts[kind]++;
        at += strlen(name) + 1;
    }
    for (int i = 0; i < VARVE_LEVELS; i++)
        tables += stats.level_files[i];
    TRAIL_CHECK(counts[VV_NAME_OTHER] == 0);
    TRAIL_CHECK(counts[VV_NAME_CURRENT] == 1);
    TRAIL_CHECK(counts[VV_NAME_MANIFEST] == 1);
    TRAIL_CHECK(counts[VV_NAME_TEMP] == 0);
    TRAIL_CHECK(counts[VV_NAME_UNFINISHED] == 0);
    TRAIL_CHECK(counts[VV_NAME_DAMAGED] == 0);
    TRAIL_CHECK(counts[VV_NAME_TABLE] == tables);
    TRAIL_CHECK(counts[VV_NAME_SPARE] <= 4);
    TRAIL_CHECK(counts[VV_NAME_WAL] <= 6);
    TRAIL_CHECK(counts[VV_NAME_KEPT] == 0 || r->options.changes_keep > 0);
    if (stats.value_log_bytes == 0)
        TRAIL_CHECK(counts[VV_NAME_VALUES] == 0);
    vv_buf_deinit(&names);
}
