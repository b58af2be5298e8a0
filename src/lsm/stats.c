/*
 * What the tree can tell about itself.
 */
#include "lsm/job.h"

#include <inttypes.h>

static uint64_t load(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_counters(const struct vv_lsm *lsm, struct vv_lsm_stats *out)
{
    const struct vv_counters *c = &lsm->counters;
    out->flush_bytes_written = load(&c->flush_bytes_written);
    out->compaction_bytes_read = load(&c->compaction_bytes_read);
    out->compaction_bytes_written = load(&c->compaction_bytes_written);
    out->value_log_bytes_written = load(&c->value_bytes_written);
    out->syncs = load(&c->syncs);
    out->flushes = load(&c->flushes);
    out->compactions = load(&c->compactions);
    out->trivial_moves = load(&c->trivial_moves);
    out->value_log_collections = load(&c->collections);
    out->filter_skips = load(&c->filter_skips);
    out->table_reads = load(&c->table_reads);
    out->debt_bytes = load(&lsm->debt_bytes);
}

static void add_tables(const struct vv_version *version, struct vv_lsm_stats *out)
{
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        out->level_files[level] = run->count;
        out->level_bytes[level] = run->bytes;
        out->table_bytes += run->bytes;
        for (size_t i = 0; i < run->count; i++) {
            out->entries += run->tables[i]->facts.entries;
            out->tombstones += run->tables[i]->facts.tombstones;
            out->raw_bytes += run->tables[i]->facts.raw_bytes;
        }
    }
    out->l0_runs = version->l0_count;
}

/* What lies in the last level is alive unless something above hides it; what lies above is new or
 * hides something. Tombstones hide as much as an average entry has. */
static void estimate(struct vv_lsm_stats *out)
{
    uint64_t puts = out->entries - out->tombstones;
    uint64_t average = puts > 0 ? out->raw_bytes / puts : 0;
    uint64_t hidden = out->tombstones < puts ? out->tombstones : puts;
    out->keys_estimate = puts - hidden;
    uint64_t hidden_bytes = hidden * average;
    out->live_bytes_estimate = out->raw_bytes > hidden_bytes ? out->raw_bytes - hidden_bytes : 0;
}

static void add_memtables(const struct vv_view *view, struct vv_lsm_stats *out)
{
    out->entries += vv_memtable_count(view->active);
    out->raw_bytes += vv_memtable_raw_bytes(view->active);
    for (size_t i = 0; i < view->frozen_count; i++) {
        out->entries += vv_memtable_count(view->frozen[i]);
        out->raw_bytes += vv_memtable_raw_bytes(view->frozen[i]);
    }
}

/* A reader keeps no books of the writer's files: it looks. What is gone meanwhile takes no room. */
static void add_files_beside(const struct vv_lsm *lsm, struct vv_lsm_stats *out)
{
    struct vv_buf names = VV_BUF_INIT;
    int rc = vv_env_list(lsm->options.env, lsm->options.path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        struct vv_path_info info;
        uint64_t number;
        enum vv_name_kind kind = vv_name_parse(name, &number);
        bool is_log = kind == VV_NAME_WAL || kind == VV_NAME_SPARE || kind == VV_NAME_KEPT;
        at += strlen(name) + 1;
        if (!is_log && kind != VV_NAME_MANIFEST)
            continue;
        struct vv_path path = vv_path_of(lsm->options.path, kind, number);
        if (vv_env_info(lsm->options.env, path.text, &info) != VV_OK)
            continue;
        out->disk_bytes += info.size_bytes;
        out->log_bytes += is_log ? info.size_bytes : 0;
    }
    vv_buf_deinit(&names);
}

static void add_own_files(struct vv_lsm *lsm, struct vv_lsm_stats *out)
{
    out->log_bytes = vv_wal_disk_bytes(lsm->wal);
    out->log_bytes_written = vv_wal_appended_bytes(lsm->wal);
    vv_mutex_lock(&lsm->install_mu);
    out->disk_bytes = lsm->manifest != NULL ? vv_manifest_bytes(lsm->manifest) : 0;
    vv_mutex_unlock(&lsm->install_mu);
    out->disk_bytes += out->log_bytes;
}

void vv_lsm_get_stats(struct vv_engine *e, struct vv_lsm_stats *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_view *view = vv_lsm_view(lsm);
    struct vv_cache_stats cache;
    *out = (struct vv_lsm_stats){0};
    add_counters(lsm, out);
    add_tables(view->version, out);
    add_memtables(view, out);
    estimate(out);
    for (size_t i = 0; i < view->version->value_count; i++) {
        uint64_t size_bytes = 0;
        if (vv_values_size(view->version->values[i], &size_bytes) == VV_OK)
            out->value_log_bytes += size_bytes;
    }
    out->value_log_garbage_bytes = vv_collect_garbage(lsm, view->version);
    if (lsm->options.readonly)
        add_files_beside(lsm, out);
    else if (lsm->wal != NULL)
        add_own_files(lsm, out);
    out->disk_bytes += out->table_bytes + out->value_log_bytes;
    vv_cache_get_stats(lsm->cache, &cache);
    out->cache_hits = cache.hits;
    out->cache_misses = cache.misses;
    memcpy(out->uuid, lsm->uuid, sizeof out->uuid);
    vv_view_unref(view);
}

/* ---------------------------------------------------------------------------------- describing */

/* What is on its way to level 0. */
static int describe_memtables(const struct vv_view *view, struct vv_buf *out)
{
    struct vv_lsm_stats sum = {0};
    add_memtables(view, &sum);
    return vv_buf_printf(out, "  mem  %4zu      -  %12" PRIu64 "             -  %12" PRIu64 "\n",
                         1 + view->frozen_count, sum.raw_bytes, sum.entries);
}

static int describe_levels(const struct vv_view *view, const struct vv_shape *shape,
                           struct vv_buf *out)
{
    const struct vv_version *version = view->version;
    struct vv_targets targets = vv_pick_targets(version, shape);
    int rc = vv_buf_printf(out, "level  runs  files         bytes        target       entries\n");
    if (rc == VV_OK)
        rc = describe_memtables(view, out);
    for (int level = 0; rc == VV_OK && level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        uint64_t entries = 0;
        for (size_t i = 0; i < run->count; i++)
            entries += run->tables[i]->facts.entries;
        size_t runs = level == 0 ? version->l0_count : run->count > 0;
        rc = vv_buf_printf(out, "%5d  %4zu  %5zu  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "\n",
                           level, runs, run->count, run->bytes, targets.bytes[level], entries);
    }
    return rc;
}

static int describe_files(const struct vv_version *version, struct vv_buf *out)
{
    int rc = VV_OK;
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        for (size_t i = 0; rc == VV_OK && i < run->count; i++) {
            const struct vv_table_meta *t = run->tables[i];
            rc = vv_buf_printf(out,
                               "%06" PRIu64 ".sst level=%d bytes=%" PRIu64 " entries=%" PRIu64
                               " tombstones=%" PRIu64 " seq=%" PRIu64 "..%" PRIu64 "\n",
                               t->number, level, t->facts.size_bytes, t->facts.entries,
                               t->facts.tombstones, t->facts.min_seq, t->facts.max_seq);
        }
    }
    for (size_t i = 0; rc == VV_OK && i < version->value_count; i++) {
        struct vv_value_file *file = version->values[i];
        rc = vv_buf_printf(out, "%06" PRIu64 ".val %s bytes=%" PRIu64 " records=%" PRIu64 "\n",
                           file->number, atomic_load(&file->sealed) ? "sealed" : "open",
                           atomic_load(&file->record_bytes), atomic_load(&file->record_count));
    }
    return rc;
}

int vv_lsm_describe(struct vv_engine *e, const char *what, struct vv_buf *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_view *view = vv_lsm_view(lsm);
    int rc = VV_NOTFOUND;
    if (strcmp(what, "levels") == 0)
        rc = describe_levels(view, &lsm->shape, out);
    else if (strcmp(what, "files") == 0)
        rc = describe_files(view->version, out);
    vv_view_unref(view);
    return rc;
}
