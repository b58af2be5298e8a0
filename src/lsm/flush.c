/*
 * Flush: frozen memtables become tables of level 0, and values that are large enough move into a
 * value file on the way.
 */
#include "kv/expiry.h"
#include "lsm/job.h"
#include "lsm/merge.h"
#include "lsm/output.h"
#include "lsm/sift.h"

struct flush_job {
    struct vv_job job;
    struct vv_memtable *memtables[VV_FROZEN_MAX]; /* oldest first; a reference each */
    size_t memtable_count;
    uint64_t log_number; /* logs below are done with afterwards */
    vv_seq last_seq;
    struct vv_buf snapshots;
    struct vv_shadow shadow;
    struct vv_sift sift;
    struct vv_version *version; /* holds the split keys */
    struct vv_buf splits;
    struct vv_output output;
    uint64_t value_number;
    struct vv_value_writer *values; /* NULL until there is a value for it */
    uint64_t began_us;
    bool started;
    bool installed;
};

/* The log that the first unflushed memtable needs. */
static void note_memtables(struct flush_job *f)
{
    struct vv_lsm *lsm = f->job.lsm;
    vv_mutex_lock(&lsm->write_mu);
    vv_mutex_lock(&lsm->mu);
    f->log_number = lsm->active_log;
    for (size_t i = 0; i < lsm->frozen_count; i++) {
        f->memtables[f->memtable_count++] = lsm->frozen[i].memtable;
        vv_memtable_ref(lsm->frozen[i].memtable);
        f->last_seq = lsm->frozen[i].last_seq;
    }
    vv_mutex_unlock(&lsm->mu);
    vv_mutex_unlock(&lsm->write_mu);
}

static int open_source(struct flush_job *f, struct vv_iter **out)
{
    struct vv_iter *sources[VV_FROZEN_MAX];
    size_t count = 0;
    int rc = VV_OK;
    while (rc == VV_OK && count < f->memtable_count) {
        if ((rc = vv_memtable_iter(f->memtables[count], &sources[count])) == VV_OK)
            count++;
    }
    if (rc == VV_OK)
        return vv_merge_iter(vv_lsm_order(f->job.lsm), sources, count, out);
    while (count > 0)
        vv_iter_close(sources[--count]);
    return rc;
}

/* What the range tombstones of the memtables hide, and what of them goes into the tables. */
static int cast_shadow(struct flush_job *f, const struct vv_sift_options *sifting)
{
    int rc = VV_OK;
    vv_shadow_init(&f->shadow, vv_lsm_order(f->job.lsm), f->job.lsm->options.account);
    for (size_t i = 0; rc == VV_OK && i < f->memtable_count; i++)
        rc = vv_memtable_list_ranges(f->memtables[i], &f->shadow.all);
    if (rc < 0)
        return rc;
    return vv_shadow_seal(&f->shadow, sifting->snapshots, sifting->snapshot_count, sifting->last);
}

static int start(struct flush_job *f)
{
    struct vv_lsm *lsm = f->job.lsm;
    const struct vv_host *host = lsm->options.host;
    int rc;
    f->started = true;
    if ((rc = host->snapshots(host->context, &f->snapshots)) < 0)
        return rc;
    f->version = vv_lsm_version(lsm);
    if ((rc = vv_pick_flush_splits(f->version, &lsm->shape, &f->splits)) < 0)
        return rc;
    struct vv_sift_options sifting = {
        .snapshots = (const vv_seq *)(const void *)f->snapshots.data,
        .snapshot_count = f->snapshots.size / sizeof(vv_seq),
        .shadow = &f->shadow,
        .host = host,
    };
    if ((rc = cast_shadow(f, &sifting)) < 0)
        return rc;
    struct vv_output_options options = {
        .level = 0,
        .table_bytes = lsm->options.tuning.table_bytes,
        .splits = (const vv_slice *)(const void *)f->splits.data,
        .split_count = f->splits.size / sizeof(vv_slice),
        .ranges = (const struct vv_range *)(const void *)f->shadow.layers.data,
        .range_count = f->shadow.kept_count};
    struct vv_iter *source;
    if ((rc = vv_output_init(&f->output, lsm, &options)) < 0 || (rc = open_source(f, &source)) < 0)
        return rc;
    vv_sift_init(&f->sift, source, &sifting);
    return VV_OK;
}

/* Writes the value to the job's value file and turns the entry into a reference. */
static int separate(struct flush_job *f, struct vv_entry *entry,
                    uint8_t raw[VV_EXPIRY_SIZE + VV_REF_SIZE])
{
    struct vv_lsm *lsm = f->job.lsm;
    struct vv_ref ref;
    vv_slice value = vv_expiry_strip(entry->kind, entry->value);
    size_t time_size = entry->value.size - value.size;
    int rc;
    if (f->values == NULL) {
        f->value_number = vv_lsm_next_file(lsm);
        if ((rc = vv_value_writer_open(lsm->values, f->value_number, &f->values)) < 0)
            return rc;
    }
    if ((rc = vv_value_writer_add(f->values, entry->key, value, &ref)) < 0)
        return rc;
    vv_count(&lsm->counters.value_bytes_written, vv_value_record_size(entry->key.size, value.size));
    if (time_size > 0)
        memcpy(raw, entry->value.data, time_size);
    vv_ref_encode(ref, raw + time_size);
    entry->value = vv_slice_of(raw, time_size + VV_REF_SIZE);
    entry->kind = time_size > 0 ? VV_KIND_REF_EXPIRES : VV_KIND_REF;
    return VV_OK;
}

static int write_entry(struct flush_job *f, struct vv_entry entry)
{
    uint8_t raw[VV_EXPIRY_SIZE + VV_REF_SIZE];
    struct vv_ref ref;
    vv_slice value = vv_expiry_strip(entry.kind, entry.value);
    uint64_t value_bytes = entry.value.size;
    bool is_put = entry.kind == VV_KIND_PUT || entry.kind == VV_KIND_PUT_EXPIRES;
    int rc;
    if (vv_kind_is_ref(entry.kind) && vv_ref_decode(value, &ref)) {
        value_bytes = ref.size_bytes;
    } else if (is_put && value.size >= f->job.lsm->options.value_log_min) {
        if ((rc = separate(f, &entry, raw)) < 0)
            return rc;
        value_bytes = value.size;
    }
    return vv_output_add(&f->output, &entry, value_bytes);
}

static uint64_t written(const struct flush_job *f)
{
    return vv_output_size(&f->output) + (f->values != NULL ? vv_value_writer_bytes(f->values) : 0);
}

static int add_value_file(struct flush_job *f, struct vv_value_file **out)
{
    struct vv_value_file *file;
    int rc = vv_value_writer_seal(f->values);
    if (rc < 0)
        return rc;
    if ((rc = vv_value_file_new(f->job.lsm->values, f->value_number, NULL, 0, &file)) < 0)
        return rc;
    atomic_store(&file->record_bytes, vv_value_writer_bytes(f->values));
    atomic_store(&file->record_count, vv_value_writer_count(f->values));
    atomic_store(&file->sealed, true);
    struct vv_edit_value_file entry = {.number = file->number,
                                       .sealed = true,
                                       .record_bytes = vv_value_writer_bytes(f->values),
                                       .record_count = vv_value_writer_count(f->values),
                                       .serves = file->serves,
                                       .serve_count = file->serve_count};
    *out = file;
    return vv_edit_add_value_file(&f->output.made, &entry);
}

/* What the tables refer to must be durable before they are. */
static int sync_stowed(struct vv_lsm *lsm)
{
    vv_mutex_lock(&lsm->sync_mu);
    int rc = vv_lsm_stow_sync(lsm);
    vv_mutex_unlock(&lsm->sync_mu);
    return rc;
}

/* And so must be the logs that are to be kept when they are done with. Were power to fail later,
 * recovery would not miss what they lose, but who reads changes would. */
static int sync_before(struct vv_lsm *lsm)
{
    if (lsm->options.changes_keep == 0)
        return sync_stowed(lsm);
    int rc = vv_lsm_sync(&lsm->base);
    if (rc < 0)
        lsm->options.host->poison(lsm->options.host->context, rc);
    return rc;
}

static int install(struct flush_job *f)
{
    struct vv_lsm *lsm = f->job.lsm;
    struct vv_value_file *file = NULL;
    struct vv_table_add *adds = NULL;
    size_t count = 0;
    bool unclear = false;
    int rc;
    if ((rc = sync_before(lsm)) < 0)
        goto out;
    if (f->values != NULL && (rc = add_value_file(f, &file)) < 0)
        goto out;
    if ((rc = vv_output_finish(&f->output)) < 0)
        goto out;
    if ((adds = vv_alloc((f->output.made.table_count + 1) * sizeof adds[0])) == NULL) {
        rc = VV_NOMEM;
        goto out;
    }
    if ((rc = vv_output_metas(&f->output, adds)) < 0)
        goto out;
    count = f->output.made.table_count;
    struct vv_install install = {.change = {.adds = adds,
                                            .add_count = count,
                                            .value_adds = &file,
                                            .value_add_count = file != NULL ? 1 : 0},
                                 .flushed_count = f->memtable_count,
                                 .log_number = f->log_number,
                                 .flushed_seq = f->last_seq};
    rc = vv_lsm_install(lsm, &f->output.made, &install, &unclear);
    f->installed = rc == VV_OK || unclear;
out:
    while (count > 0)
        vv_table_meta_unref(adds[--count].table);
    vv_free(adds);
    vv_value_file_unref(file);
    return rc;
}

static int flush_step(struct vv_job *job, bool *done)
{
    struct flush_job *f = (struct flush_job *)job;
    struct vv_lsm *lsm = job->lsm;
    if (!f->started)
        f->began_us = vv_env_now_us(lsm->options.env);
    int rc = f->started ? VV_OK : start(f);
    uint64_t before = rc == VV_OK ? written(f) : 0;
    uint64_t tables_before = vv_output_size(&f->output);
    while (rc == VV_OK && written(f) - before < lsm->options.tuning.step_bytes) {
        struct vv_entry entry;
        if ((rc = vv_sift_next(&f->sift, &entry)) == VV_OK)
            rc = write_entry(f, entry);
        else if (rc == VV_NOTFOUND)
            rc = VV_OK;
    }
    if (rc < 0)
        return rc;
    if (f->values != NULL)
        vv_value_writer_push(f->values);
    *done = rc == VV_END;
    if (*done && (rc = install(f)) < 0)
        return rc;
    vv_count(&lsm->counters.flush_bytes_written, vv_output_size(&f->output) - tables_before);
    vv_count(&lsm->counters.flushes, *done ? 1 : 0);
    if (*done)
        vv_job_measure(&lsm->flush_rate, written(f), vv_env_now_us(lsm->options.env) - f->began_us);
    return VV_OK;
}

static void flush_free(struct vv_job *job)
{
    struct flush_job *f = (struct flush_job *)job;
    struct vv_lsm *lsm = job->lsm;
    vv_output_deinit(&f->output, f->installed ? VV_OUTPUT_KEEP : VV_OUTPUT_DISCARD);
    vv_value_writer_close(f->values);
    if (f->value_number > 0 && !f->installed) {
        struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_VALUES, f->value_number);
        int rc = vv_env_remove(lsm->options.env, path.text);
        (void)rc; /* an orphan, which the next open removes */
    }
    vv_sift_deinit(&f->sift);
    vv_shadow_deinit(&f->shadow);
    vv_buf_deinit(&f->snapshots);
    vv_buf_deinit(&f->splits);
    vv_version_unref(f->version);
    for (size_t i = 0; i < f->memtable_count; i++)
        vv_memtable_unref(f->memtables[i]);
    vv_free(f);
}

static const struct vv_job_ops flush_ops = {.step = flush_step, .free = flush_free};

int vv_flush_job_new(struct vv_lsm *lsm, struct vv_job **out)
{
    struct flush_job *f = vv_alloc_zero(sizeof *f);
    if (f == NULL)
        return VV_NOMEM;
    f->job = (struct vv_job){
        .ops = &flush_ops, .lsm = lsm, .urgency = VV_URGENT_FLUSH, .is_flush = true};
    note_memtables(f);
    if (f->memtable_count == 0) {
        vv_free(f);
        return VV_NOTFOUND;
    }
    *out = &f->job;
    return VV_OK;
}
