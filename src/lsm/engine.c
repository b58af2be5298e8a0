/*
 * The engine as a whole: opening, closing, and the table of its operations.
 */
#include "lsm/beside.h"
#include "lsm/ingest.h"
#include "lsm/recover.h"

#include "base/hash.h"
#include "log/log.h"

enum { TABLE_BYTES = 32 << 20, BASE_BYTES = 64 << 20, VALUE_FILE_BYTES = 256 << 20, LOGS_MANY = 8 };

/* ------------------------------------------------------------------------------------ defaults */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Three eighths of the budget are for memtables: the active one and up to two that wait. */
static void resolve_tuning(struct vv_lsm_options *options)
{
    struct vv_lsm_tuning *t = &options->tuning;
    uint64_t memtable = clamp(options->memory_budget / 8, 256 << 10, 256 << 20);
    t->memtable_bytes = or_default(t->memtable_bytes, memtable);
    t->memtable_count = (uint32_t)clamp(or_default(t->memtable_count, 3), 2, VV_FROZEN_MAX);
    t->table_bytes = or_default(t->table_bytes, TABLE_BYTES);
    t->base_level_bytes = or_default(t->base_level_bytes, BASE_BYTES);
    t->level_ratio = (uint32_t)clamp(or_default(t->level_ratio, 10), 2, 100);
    t->l0_runs = (uint32_t)or_default(t->l0_runs, 4);
    t->value_file_bytes = or_default(t->value_file_bytes, VALUE_FILE_BYTES);
    t->step_bytes = or_default(t->step_bytes, 1 << 20);
    t->spare_bytes = or_default(t->spare_bytes, 16 << 20);
    t->manifest_bytes = or_default(t->manifest_bytes, 4 << 20);
}

static struct vv_shape shape_of(const struct vv_lsm_tuning *t)
{
    return (struct vv_shape){.base_bytes = t->base_level_bytes,
                             .ratio = t->level_ratio,
                             .l0_runs = t->l0_runs,
                             .table_bytes = t->table_bytes};
}

/* ------------------------------------------------------------------------------------- opening */

static void init_locks(struct vv_lsm *lsm)
{
    vv_mutex_init(&lsm->sync_mu, 34);
    vv_mutex_init(&lsm->write_mu, 38);
    vv_mutex_init(&lsm->stow_mu, 40);
    vv_mutex_init(&lsm->install_mu, 45);
    vv_mutex_init(&lsm->mu, 50);
}

/* Half of the budget is for reading: mapped files and the cache. */
int vv_recover_rooms(struct vv_lsm *lsm)
{
    const struct vv_lsm_options *o = &lsm->options;
    uint64_t reads = o->memory_budget / 2;
    struct vv_tables_options tables = {.env = o->env,
                                       .dir = o->path,
                                       .order = vv_lsm_order(lsm),
                                       .account = o->account,
                                       .read_bytes = reads,
                                       .readonly = o->readonly};
    struct vv_values_options values = {
        .env = o->env, .dir = o->path, .account = o->account, .readonly = o->readonly};
    int rc = vv_cache_new(o->account, reads, &lsm->cache);
    if (rc < 0)
        return rc;
    tables.cache = lsm->cache;
    tables.lineage = values.lineage = &lsm->lineage;
    memcpy(tables.uuid, lsm->uuid, sizeof tables.uuid);
    memcpy(values.uuid, lsm->uuid, sizeof values.uuid);
    if ((rc = vv_tables_new(&tables, &lsm->tables)) < 0)
        return rc;
    return vv_values_new(&values, &lsm->values);
}

static int first_view(struct vv_lsm *lsm, struct vv_version *version)
{
    struct vv_view *view = vv_alloc_zero(sizeof *view);
    if (view == NULL)
        return VV_NOMEM;
    vv_mutex_lock(&lsm->mu);
    vv_view_fill_locked(lsm, view, lsm->active, version);
    (void)vv_lsm_swap_view_locked(lsm, view);
    vv_mutex_unlock(&lsm->mu);
    atomic_store(&lsm->debt_bytes, vv_pick_debt(version, &lsm->shape));
    return VV_OK;
}

static int create_store(struct vv_lsm *lsm, struct vv_recovered *recovered)
{
    struct vv_edit nothing = {0};
    int rc = vv_env_random(lsm->options.env, lsm->uuid, sizeof lsm->uuid);
    if (rc < 0 || (rc = vv_recover_order(lsm, &nothing)) < 0 || (rc = vv_recover_rooms(lsm)) < 0 ||
        (rc = vv_version_new(vv_lsm_order(lsm), &recovered->version)) < 0)
        return rc;
    lsm->active_id = 1;
    if ((rc = vv_recover_next_file(lsm, 1)) < 0)
        return rc;
    return vv_memtable_new_from(vv_lsm_order(lsm), lsm->options.account, lsm->mempool,
                                &lsm->active);
}

/* Each life that writes little leaves a small log, and a store that only has short lives would
 * gather them. */
static int flush_many_logs(struct vv_lsm *lsm, const struct vv_replay *replay)
{
    int rc = VV_OK;
    vv_mutex_lock(&lsm->write_mu);
    if (replay->count > LOGS_MANY && vv_memtable_count(lsm->active) > 0)
        rc = vv_lsm_freeze_locked(lsm);
    vv_mutex_unlock(&lsm->write_mu);
    return rc;
}

static int open_tree(struct vv_lsm *lsm, vv_seq *seq)
{
    struct vv_recovered recovered = {0};
    bool create = lsm->options.create;
    int rc;
    if ((rc = vv_epoch_new(&lsm->epoch)) < 0)
        goto out;
    if ((rc = create ? create_store(lsm, &recovered) : vv_recover_read(lsm, &recovered)) < 0)
        goto out;
    if (!lsm->options.readonly)
        rc = vv_recover_tidy(lsm, &recovered);
    else
        rc = vv_beside_hold(lsm, recovered.version);
    if (rc < 0 || (rc = first_view(lsm, recovered.version)) < 0)
        goto out;
    if (!lsm->options.readonly && (rc = flush_many_logs(lsm, &recovered.replay)) < 0)
        goto out;
    *seq = vv_recovered_seq(lsm, &recovered);
out:
    vv_recovered_deinit(&recovered);
    return rc;
}

void vv_lsm_free(struct vv_lsm *lsm)
{
    vv_lsm_stow_close(lsm);
    vv_view_unref(atomic_load(&lsm->view));
    vv_memtable_unref(lsm->active);
    for (size_t i = 0; i < lsm->frozen_count; i++)
        vv_memtable_unref(lsm->frozen[i].memtable);
    vv_epoch_free(lsm->epoch);
    vv_wal_free(lsm->wal);
    vv_manifest_close(lsm->manifest);
    vv_values_free(lsm->values);
    vv_tables_free(lsm->tables);
    vv_cache_free(lsm->cache);
    vv_mempool_unref(lsm->mempool);
    vv_notes_deinit(&lsm->notes);
    vv_lineage_deinit(&lsm->lineage);
    vv_mutex_deinit(&lsm->mu);
    vv_mutex_deinit(&lsm->install_mu);
    vv_mutex_deinit(&lsm->stow_mu);
    vv_mutex_deinit(&lsm->write_mu);
    vv_mutex_deinit(&lsm->sync_mu);
    vv_free(lsm);
}

/* Tells the MANIFEST how far the log reaches, so that the next open can tell damage from a crash. */
static void mark_closed(struct vv_lsm *lsm)
{
    if (lsm->wal == NULL || vv_wal_broken(lsm->wal) || vv_lsm_sync(&lsm->base) < 0)
        return;
    struct vv_wal_mark end = vv_wal_here(lsm->wal);
    lsm->closed_log = end.number;
    lsm->closed_bytes = end.size_bytes;
    struct vv_edit edit = {.closed_log = end.number, .closed_bytes = end.size_bytes};
    struct vv_install nothing = {.flushed_count = 0};
    bool unclear;
    /* Without the mark the next open believes in a crash, which costs nobody anything. */
    int rc = vv_lsm_install(lsm, &edit, &nothing, &unclear);
    (void)rc;
}

static void close_engine(struct vv_engine *e)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    vv_mutex_lock(&lsm->mu);
    lsm->closing = true;
    vv_mutex_unlock(&lsm->mu);
    vv_lsm_drop_jobs(lsm);
    if (!lsm->options.readonly && atomic_load(&lsm->view) != NULL) {
        vv_lsm_stow_close(lsm);
        mark_closed(lsm);
        int rc = vv_lsm_record_clock(lsm);
        (void)rc; /* as after a crash: what has expired since the last edit may come back */
    }
    vv_lsm_free(lsm);
}

static const struct vv_engine_ops lsm_ops = {
    .stow = vv_lsm_stow,
    .unstow = vv_lsm_unstow,
    .admit = vv_lsm_admit,
    .append = vv_lsm_append,
    .sync = vv_lsm_sync,
    .publish = vv_lsm_publish,
    .get = vv_lsm_get,
    .look = vv_lsm_look,
    .multi_get = vv_lsm_multi_get,
    .iter = vv_lsm_iter,
    .resolve = vv_lsm_resolve,
    .changed = vv_lsm_changed,
    .range_changed = vv_lsm_range_changed,
    .range_bytes = vv_lsm_range_bytes,
    .tend = vv_lsm_tend,
    .flush_begin = vv_lsm_flush_begin,
    .flush_done = vv_lsm_flush_done,
    .compact_begin = vv_lsm_compact_begin,
    .compact_done = vv_lsm_compact_done,
    .pause = vv_lsm_pause,
    .settle = vv_lsm_settle,
    .note = vv_lsm_note,
    .ingest_begin = vv_lsm_ingest_begin,
    .ingest_put = vv_lsm_ingest_put,
    .ingest_seal = vv_lsm_ingest_seal,
    .ingest_install = vv_lsm_ingest_install,
    .ingest_end = vv_lsm_ingest_end,
    .checkpoint = vv_lsm_checkpoint,
    .refresh = vv_lsm_refresh,
    .feed_open = vv_lsm_feed_open,
    .feed_next = vv_lsm_feed_next,
    .feed_value = vv_lsm_feed_value,
    .feed_close = vv_lsm_feed_close,
    .check = vv_lsm_check,
    .close = close_engine,
};

int vv_lsm_new(const struct vv_lsm_options *options, struct vv_lsm **out)
{
    struct vv_lsm *lsm = vv_alloc_zero(sizeof *lsm);
    if (lsm == NULL)
        return VV_NOMEM;
    lsm->options = *options;
    atomic_init(&lsm->order, options->order);
    atomic_init(&lsm->laid_order, options->order);
    resolve_tuning(&lsm->options);
    lsm->shape = shape_of(&lsm->options.tuning);
    lsm->ops = lsm_ops;
    if (options->value_log_min == UINT32_MAX || options->changes_keep > 0) {
        lsm->ops.stow = NULL; /* without a value log; and what is kept must be whole by itself */
        lsm->ops.unstow = NULL;
    }
    lsm->base.ops = &lsm->ops;
    init_locks(lsm);
    int rc =
        vv_mempool_new(options->account, (size_t)lsm->options.tuning.memtable_bytes, &lsm->mempool);
    if (rc < 0) {
        vv_lsm_free(lsm);
        return rc;
    }
    *out = lsm;
    return VV_OK;
}

struct opening {
    const struct vv_lsm_options *options;
    struct vv_engine *engine;
    vv_seq seq;
};

static int open_once(void *context)
{
    struct opening *o = context;
    struct vv_lsm *lsm;
    int rc = vv_lsm_new(o->options, &lsm);
    if (rc < 0)
        return rc;
    if ((rc = open_tree(lsm, &o->seq)) < 0) {
        vv_lsm_free(lsm);
        return rc;
    }
    o->engine = &lsm->base;
    return VV_OK;
}

int vv_lsm_open(const struct vv_lsm_options *options, struct vv_engine **out, vv_seq *seq)
{
    struct opening o = {.options = options};
    int rc = options->readonly ? vv_beside_try(options, open_once, &o) : open_once(&o);
    if (rc == VV_OK) {
        *out = o.engine;
        *seq = o.seq;
    }
    return rc;
}

/* ------------------------------------------------------------------------- what a directory holds */

bool vv_lsm_owns(const char *name)
{
    uint64_t number;
    return vv_name_parse(name, &number) != VV_NAME_OTHER;
}

/* Power failed while the store was being created: nothing can have been written to it. A log that
 * has records, or a MANIFEST that reads, is a store, however damaged. */
static int is_half_created(struct vv_env *env, const char *path, const struct vv_buf *names,
                           bool *out)
{
    uint64_t number;
    int rc = vv_manifest_read(env, path, NULL, NULL, &number);
    *out = rc == VV_NOTFOUND || rc == VV_CORRUPT;
    if (rc == VV_OK || rc == VV_NOTFOUND || rc == VV_CORRUPT)
        rc = VV_OK;
    for (size_t at = 0; rc == VV_OK && at < names->size;) {
        const char *name = (const char *)names->data + at;
        at += strlen(name) + 1;
        if (vv_name_parse(name, &number) != VV_NAME_WAL)
            continue;
        struct vv_path_info info = {.size_bytes = 0};
        struct vv_path log = vv_path_of(path, VV_NAME_WAL, number);
        rc = vv_env_info(env, log.text, &info);
        *out = *out && info.size_bytes <= VV_LOG_HEAD_SIZE;
    }
    return rc < 0 ? rc : VV_OK;
}

int vv_lsm_probe(struct vv_env *env, const char *path, enum vv_lsm_found *out)
{
    struct vv_buf names = VV_BUF_INIT;
    bool store = false;
    bool maybe = false;
    bool foreign = false;
    bool unfinished = false;
    int rc = vv_env_list(env, path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        enum vv_name_kind kind = vv_name_parse(name, &number);
        store = store || kind == VV_NAME_CURRENT || kind == VV_NAME_TABLE || kind == VV_NAME_VALUES;
        maybe = maybe || kind == VV_NAME_MANIFEST || kind == VV_NAME_WAL;
        foreign = foreign || kind == VV_NAME_OTHER;
        unfinished = unfinished || kind == VV_NAME_UNFINISHED;
        at += strlen(name) + 1;
    }
    if (rc == VV_OK && !store && maybe && !unfinished) {
        rc = is_half_created(env, path, &names, &store);
        store = !store;
    }
    vv_buf_deinit(&names);
    bool leveldb = false;
    if (rc == VV_OK && store && foreign && !unfinished)
        rc = vv_current_is_leveldb(env, path, &leveldb);
    if (rc < 0)
        return rc;
    *out = leveldb      ? VV_LSM_FOUND_LEVELDB
           : unfinished ? VV_LSM_FOUND_UNFINISHED
           : store      ? VV_LSM_FOUND_STORE
           : foreign    ? VV_LSM_FOUND_FOREIGN
                        : VV_LSM_FOUND_NOTHING;
    return VV_OK;
}
