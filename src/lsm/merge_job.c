/*
 * Compaction: the tables of a plan are merged into the level below, what nobody can see any more is
 * dropped, and the result replaces them in one edit.
 */
#include "kv/expiry.h"
#include "lsm/job.h"
#include "lsm/merge.h"
#include "lsm/output.h"
#include "lsm/sift.h"

#include <inttypes.h>

struct merge_job {
    struct vv_job job;
    struct vv_plan plan;
    struct vv_version *version; /* holds the inputs */
    struct vv_buf snapshots;
    struct vv_shadow shadow;
    struct vv_sift sift;
    struct vv_output output;
    bool started;
    bool installed;
    bool damaged; /* an input does not read: it stays claimed, so that no job tries it again */
};

static void set_claims_locked(const struct vv_plan *plan, uint32_t id)
{
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan->input_count[side]; i++)
            plan->inputs[side][i]->job = id;
    }
}

static int add_source(struct vv_lsm *lsm, struct vv_table_meta **tables, size_t count,
                      struct vv_iter **sources, size_t *source_count)
{
    struct vv_run run = {.tables = tables, .count = count};
    int rc = vv_run_iter(vv_lsm_order(lsm), &run, VV_TABLE_READ_SCAN, &sources[*source_count]);
    if (rc == VV_OK)
        *source_count += 1;
    return rc;
}

/* Tables of level 0 overlap, so each is a source of its own; the others form one run a level. */
static int open_source(struct merge_job *m, struct vv_iter **out)
{
    struct vv_lsm *lsm = m->job.lsm;
    const struct vv_plan *plan = &m->plan;
    size_t count = 0;
    int rc = VV_OK;
    struct vv_iter **sources = vv_alloc((plan->input_count[0] + 2) * sizeof sources[0]);
    if (sources == NULL)
        return VV_NOMEM;
    for (size_t i = 0; rc == VV_OK && plan->from == 0 && i < plan->input_count[0]; i++)
        rc = add_source(lsm, &plan->inputs[0][i], 1, sources, &count);
    if (rc == VV_OK && plan->from > 0 && plan->input_count[0] > 0)
        rc = add_source(lsm, plan->inputs[0], plan->input_count[0], sources, &count);
    if (rc == VV_OK && plan->input_count[1] > 0)
        rc = add_source(lsm, plan->inputs[1], plan->input_count[1], sources, &count);
    if (rc == VV_OK) {
        rc = vv_merge_iter(vv_lsm_order(lsm), sources, count, out);
    } else {
        while (count > 0)
            vv_iter_close(sources[--count]);
    }
    vv_free(sources);
    return rc;
}

static uint64_t table_bytes_for(const struct vv_lsm *lsm, const struct merge_job *m)
{
    struct vv_shape shape = vv_lsm_shape(lsm, m->version);
    struct vv_targets targets = vv_pick_targets(m->version, &shape);
    int deeper = m->plan.to > targets.base ? m->plan.to - targets.base : 0;
    return shape.table_bytes << (deeper < 2 ? deeper : 2);
}

/* Damage, or of a newer version: trying again would not help. */
static bool unreadable(int rc)
{
    return rc == VV_CORRUPT || rc == VV_UNSUPPORTED;
}

/* The handle of a table, and with it its ranges, lives as long as the version that has it. */
static int add_shadow_of(struct vv_shadow *shadow, struct vv_table_meta *meta)
{
    struct vv_table *table;
    size_t count;
    if (meta->facts.ranges == 0)
        return VV_OK;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    const struct vv_range *list = vv_table_range_list(table, &count);
    rc = vv_shadow_add(shadow, list, count);
    vv_table_unref(table);
    return rc;
}

/* What the range tombstones of the inputs hide, and what of them goes into the outputs. */
static int cast_shadow(struct merge_job *m, const struct vv_sift_options *sifting)
{
    int rc = VV_OK;
    vv_shadow_init(&m->shadow, vv_lsm_order(m->job.lsm), m->job.lsm->options.account);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; rc == VV_OK && i < m->plan.input_count[side]; i++)
            rc = add_shadow_of(&m->shadow, m->plan.inputs[side][i]);
    }
    if (rc < 0)
        return rc;
    return vv_shadow_seal(&m->shadow, sifting->snapshots, sifting->snapshot_count, sifting->last);
}

static int start(struct merge_job *m)
{
    struct vv_lsm *lsm = m->job.lsm;
    const struct vv_host *host = lsm->options.host;
    int rc;
    m->started = true;
    if ((rc = host->snapshots(host->context, &m->snapshots)) < 0)
        return rc;
    struct vv_sift_options sifting = {
        .snapshots = (const vv_seq *)(const void *)m->snapshots.data,
        .snapshot_count = m->snapshots.size / sizeof(vv_seq),
        .last = m->plan.last,
        .shadow = &m->shadow,
        .host = host,
    };
    if ((rc = cast_shadow(m, &sifting)) < 0)
        return rc;
    struct vv_output_options options = {
        .level = m->plan.to,
        .last = m->plan.to >= vv_version_last_level(m->version),
        .table_bytes = table_bytes_for(lsm, m),
        .ranges = (const struct vv_range *)(const void *)m->shadow.layers.data,
        .range_count = m->shadow.kept_count,
    };
    struct vv_iter *source;
    if ((rc = vv_output_init(&m->output, lsm, &options)) < 0 || (rc = open_source(m, &source)) < 0)
        return rc;
    vv_sift_init(&m->sift, source, &sifting);
    return VV_OK;
}

static int write_entry(struct merge_job *m, struct vv_entry entry)
{
    struct vv_ref ref;
    uint64_t value_bytes = entry.value.size;
    if (vv_kind_is_ref(entry.kind) && vv_ref_decode(vv_expiry_strip(entry.kind, entry.value), &ref))
        value_bytes = ref.size_bytes;
    return vv_output_add(&m->output, &entry, value_bytes);
}

/* Reading fewer entries than the tables have would lose data without a word. */
static int check_count(const struct merge_job *m)
{
    uint64_t wanted = 0;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < m->plan.input_count[side]; i++)
            wanted += m->plan.inputs[side][i]->facts.entries;
    }
    if (m->sift.entries_in == wanted)
        return VV_OK;
    return vv_fail(VV_CORRUPT, "a merge read %" PRIu64 " entries from tables that have %" PRIu64,
                   m->sift.entries_in, wanted);
}

static int collect_removes(const struct merge_job *m, struct vv_edit *edit)
{
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < m->plan.input_count[side]; i++) {
            int rc = vv_edit_remove_table(edit, m->plan.inputs[side][i]->number);
            if (rc < 0)
                return rc;
        }
    }
    return VV_OK;
}

static int install_adds(struct merge_job *m, struct vv_edit *edit, const struct vv_table_add *adds,
                        size_t count)
{
    bool unclear = false;
    int rc = collect_removes(m, edit);
    if (rc < 0)
        return rc;
    struct vv_install install = {.change = {.adds = adds,
                                            .add_count = count,
                                            .removes = edit->tables_gone,
                                            .remove_count = edit->table_gone_count}};
    rc = vv_lsm_install(m->job.lsm, edit, &install, &unclear);
    m->installed = rc == VV_OK || unclear;
    return rc;
}

static int tell_inputs(struct merge_job *m)
{
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < m->plan.input_count[side]; i++) {
            int rc = vv_output_replaces(&m->output, m->plan.inputs[side][i]->number);
            if (rc < 0)
                return rc;
        }
    }
    return VV_OK;
}

static int install(struct merge_job *m)
{
    size_t count = 0;
    int rc;
    if ((rc = check_count(m)) < 0 || (rc = tell_inputs(m)) < 0 ||
        (rc = vv_output_finish(&m->output)) < 0)
        return rc;
    struct vv_table_add *adds = vv_alloc((m->output.made.table_count + 1) * sizeof adds[0]);
    if (adds == NULL)
        return VV_NOMEM;
    if ((rc = vv_output_metas(&m->output, adds)) == VV_OK) {
        count = m->output.made.table_count;
        rc = install_adds(m, &m->output.made, adds, count);
    }
    while (count > 0)
        vv_table_meta_unref(adds[--count].table);
    vv_free(adds);
    return rc;
}

static int move_tables(struct merge_job *m)
{
    const struct vv_plan *plan = &m->plan;
    struct vv_edit edit = {0};
    int rc = VV_OK;
    struct vv_table_add *adds = vv_alloc(plan->input_count[0] * sizeof adds[0]);
    if (adds == NULL)
        return VV_NOMEM;
    for (size_t i = 0; rc == VV_OK && i < plan->input_count[0]; i++) {
        struct vv_table_meta *t = plan->inputs[0][i];
        adds[i] = (struct vv_table_add){plan->to, t};
        rc = vv_edit_add_table(&edit, plan->to, t->number, t->created_us, &t->facts);
    }
    if (rc == VV_OK)
        rc = install_adds(m, &edit, adds, plan->input_count[0]);
    vv_free(adds);
    vv_edit_deinit(&edit);
    return rc;
}

/* VV_END when the inputs are used up. */
static int merge_some(struct merge_job *m)
{
    struct vv_lsm *lsm = m->job.lsm;
    uint64_t before = vv_output_size(&m->output);
    uint64_t read_before = m->sift.bytes_in;
    int rc = VV_OK;
    while (rc == VV_OK && vv_output_size(&m->output) - before < lsm->options.tuning.step_bytes &&
           m->sift.bytes_in - read_before < lsm->options.tuning.step_bytes * 2) {
        struct vv_entry entry;
        if ((rc = vv_sift_next(&m->sift, &entry)) == VV_OK)
            rc = write_entry(m, entry);
        else if (rc == VV_NOTFOUND)
            rc = VV_OK;
    }
    vv_count(&lsm->counters.compaction_bytes_read, m->sift.bytes_in - read_before);
    vv_count(&lsm->counters.compaction_bytes_written, vv_output_size(&m->output) - before);
    return rc;
}

static int merge_step(struct vv_job *job, bool *done)
{
    struct merge_job *m = (struct merge_job *)job;
    struct vv_lsm *lsm = job->lsm;
    int rc = VV_OK;
    if (m->plan.trivial) {
        *done = true;
        vv_count(&lsm->counters.trivial_moves, 1);
        return move_tables(m);
    }
    uint64_t began_us = vv_env_now_us(lsm->options.env);
    uint64_t before = m->started ? vv_output_size(&m->output) : 0;
    if ((!m->started && (rc = start(m)) < 0) || (rc = merge_some(m)) < 0) {
        m->damaged = unreadable(rc);
        return rc;
    }
    uint64_t bytes = vv_output_size(&m->output) - before;
    *done = rc == VV_END;
    if (*done && (rc = install(m)) < 0) {
        m->damaged = unreadable(rc);
        return rc;
    }
    vv_count(&lsm->counters.compactions, *done ? 1 : 0);
    vv_job_measure(&lsm->merge_rate, bytes, vv_env_now_us(lsm->options.env) - began_us);
    return VV_OK;
}

static void merge_free(struct vv_job *job)
{
    struct merge_job *m = (struct merge_job *)job;
    if (!m->damaged) {
        vv_mutex_lock(&job->lsm->mu);
        set_claims_locked(&m->plan, 0);
        vv_mutex_unlock(&job->lsm->mu);
    }
    vv_output_deinit(&m->output, m->installed ? VV_OUTPUT_KEEP : VV_OUTPUT_DISCARD);
    vv_sift_deinit(&m->sift);
    vv_shadow_deinit(&m->shadow);
    vv_buf_deinit(&m->snapshots);
    vv_plan_deinit(&m->plan);
    vv_version_unref(m->version);
    vv_free(m);
}

static const struct vv_job_ops merge_ops = {.step = merge_step, .free = merge_free};

int vv_merge_job_new_locked(struct vv_lsm *lsm, struct vv_version *version, uint32_t id,
                            struct vv_plan *plan_take, struct vv_job **out)
{
    vv_mutex_assert_held(&lsm->mu);
    struct merge_job *m = vv_alloc_zero(sizeof *m);
    if (m == NULL) {
        vv_plan_deinit(plan_take);
        return VV_NOMEM;
    }
    bool urgent = plan_take->reason == VV_PLAN_L0 || plan_take->reason == VV_PLAN_MANUAL;
    m->job = (struct vv_job){.ops = &merge_ops,
                             .lsm = lsm,
                             .urgency = urgent ? VV_URGENT_L0 : VV_URGENT_MERGE,
                             .id = id};
    m->plan = *plan_take;
    *plan_take = (struct vv_plan){0};
    m->version = version;
    vv_version_ref(version);
    set_claims_locked(&m->plan, id);
    *out = &m->job;
    return VV_OK;
}
