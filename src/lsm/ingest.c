#include "lsm/ingest.h"

#include "lsm/output.h"

enum {
    TABLES_AIM = 256, /* tables grow with what is written: about so many for each doubling */
    PUSH_BYTES = 1 << 20,
};

struct vv_ingest {
    struct vv_lsm *lsm;
    vv_seq seq; /* of the entries in the files */
    struct vv_output output;
    struct vv_value_writer *values; /* the value file being written, or NULL */
    uint64_t values_number;         /* of it */
    uint64_t values_max;            /* when to begin the next */
    uint64_t values_pushed;
    uint64_t values_bytes; /* of all value files so far */
    struct vv_buf sealed;  /* of struct vv_value_file *, ascending by number; a reference each */
    bool installed;
};

/* ------------------------------------------------------------------------------------- writing */

int vv_lsm_ingest_begin(struct vv_engine *e, struct vv_ingest **out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_ingest *g = vv_alloc_zero(sizeof *g);
    if (g == NULL)
        return VV_NOMEM;
    g->lsm = lsm;
    g->seq = atomic_load_explicit(lsm->options.host->visible, memory_order_acquire);
    struct vv_version *version = vv_lsm_version(lsm);
    struct vv_output_options options = {
        .level = VV_LEVELS - 1,
        .last = true,
        .table_bytes = vv_lsm_shape(lsm, version).table_bytes,
    };
    vv_version_unref(version);
    int rc = vv_output_init(&g->output, lsm, &options);
    if (rc < 0) {
        vv_lsm_ingest_end(g);
        return rc;
    }
    *out = g;
    return VV_OK;
}

static int note_sealed(struct vv_ingest *g, struct vv_value_file *file)
{
    struct vv_edit_value_file entry = {.number = file->number,
                                       .sealed = true,
                                       .record_bytes = file->record_bytes,
                                       .record_count = file->record_count,
                                       .serves = file->serves,
                                       .serve_count = file->serve_count};
    int rc = vv_buf_append(&g->sealed, &file, sizeof file);
    if (rc < 0)
        return rc;
    vv_value_file_ref(file);
    return vv_edit_add_value_file(&g->output.made, &entry);
}

static int seal_values(struct vv_ingest *g)
{
    struct vv_value_file *file;
    if (g->values == NULL)
        return VV_OK;
    int rc = vv_value_writer_seal(g->values);
    if (rc < 0 || (rc = vv_value_file_new(g->lsm->values, g->values_number, NULL, 0, &file)) < 0)
        return rc;
    atomic_store(&file->record_bytes, vv_value_writer_bytes(g->values));
    atomic_store(&file->record_count, vv_value_writer_count(g->values));
    atomic_store(&file->sealed, true);
    rc = note_sealed(g, file);
    vv_value_file_unref(file);
    if (rc < 0)
        return rc;
    vv_value_writer_close(g->values);
    g->values = NULL;
    g->values_number = 0;
    return VV_OK;
}

/* Files of an eighth of what there is, as elsewhere; the ingest's own counts, too. */
static uint64_t values_bytes_max(const struct vv_ingest *g)
{
    struct vv_version *version = vv_lsm_version(g->lsm);
    uint64_t usual = vv_lsm_value_file_bytes(g->lsm, version);
    uint64_t most = g->lsm->options.tuning.value_file_bytes;
    vv_version_unref(version);
    uint64_t own = g->values_bytes / 8 < most ? g->values_bytes / 8 : most;
    return usual > own ? usual : own;
}

static int open_values(struct vv_ingest *g)
{
    g->values_max = values_bytes_max(g);
    g->values_pushed = 0;
    g->values_number = vv_lsm_next_file(g->lsm);
    return vv_value_writer_open(g->lsm->values, g->values_number, &g->values);
}

/* Writes the value to a value file and turns the entry into a reference. */
static int separate(struct vv_ingest *g, struct vv_entry *entry, uint8_t raw[VV_REF_SIZE])
{
    struct vv_ref ref;
    int rc;
    if (g->values != NULL && vv_value_writer_bytes(g->values) >= g->values_max &&
        (rc = seal_values(g)) < 0)
        return rc;
    if (g->values == NULL && (rc = open_values(g)) < 0)
        return rc;
    if ((rc = vv_value_writer_add(g->values, entry->key, entry->value, &ref)) < 0)
        return rc;
    uint64_t record_bytes = vv_value_record_size(entry->key.size, entry->value.size);
    g->values_bytes += record_bytes;
    g->values_pushed += record_bytes;
    vv_count(&g->lsm->counters.value_bytes_written, record_bytes);
    if (g->values_pushed >= PUSH_BYTES) {
        vv_value_writer_push(g->values);
        g->values_pushed = 0;
    }
    vv_ref_encode(ref, raw);
    entry->value = vv_slice_of(raw, VV_REF_SIZE);
    entry->kind = VV_KIND_REF;
    return VV_OK;
}

int vv_lsm_ingest_put(struct vv_ingest *g, vv_slice key, vv_slice value)
{
    struct vv_lsm *lsm = g->lsm;
    struct vv_entry entry = {key, value, g->seq, VV_KIND_PUT};
    uint8_t raw[VV_REF_SIZE];
    int rc;
    if (value.size >= lsm->options.value_log_min && lsm->options.value_log_min != UINT32_MAX &&
        (rc = separate(g, &entry, raw)) < 0)
        return rc;
    /* Tables that grow keep their number, and with it that of descriptors, bounded. */
    if (g->output.bytes / TABLES_AIM > g->output.options.table_bytes)
        g->output.options.table_bytes *= 2;
    return vv_output_add(&g->output, &entry, value.size);
}

int vv_lsm_ingest_seal(struct vv_ingest *g)
{
    int rc = seal_values(g);
    return rc == VV_OK ? vv_output_finish(&g->output) : rc;
}

/* ------------------------------------------------------------------------------------- placing */

static bool overlaps(const struct vv_order *order, const struct vv_ingest_claim *claim,
                     const struct vv_table_meta *table)
{
    return vv_order_cmp(order, vv_table_smallest(table), claim->high) <= 0 &&
           vv_order_cmp(order, claim->low, vv_table_largest(table)) <= 0;
}

int vv_ingest_level(const struct vv_version *version, int base,
                    const struct vv_ingest_claim *claims, size_t claim_count,
                    const struct vv_table_meta *table)
{
    const struct vv_order *order = version->order;
    int level = 1;
    for (size_t i = 0; i < claim_count; i++) {
        if (overlaps(order, &claims[i], table))
            return 0;
    }
    for (size_t i = 0; i < version->l0_count; i++) {
        if (vv_run_overlap_table(order, &version->l0[i], table).count > 0)
            return 0;
    }
    while (level < VV_LEVELS &&
           vv_run_overlap_table(order, &version->levels[level], table).count == 0)
        level++;
    return level - 1 >= base ? level - 1 : 0;
}

/* What a running job reads, taken as one range of keys: what it writes lies within. */
static int add_claim(struct vv_buf *claims, const struct vv_order *order,
                     const struct vv_table_meta *table)
{
    struct vv_ingest_claim *list = (struct vv_ingest_claim *)(void *)claims->data;
    for (size_t i = 0; i < claims->size / sizeof list[0]; i++) {
        if (list[i].job != table->job)
            continue;
        if (vv_order_cmp(order, vv_table_smallest(table), list[i].low) < 0)
            list[i].low = vv_table_smallest(table);
        if (vv_order_cmp(order, vv_table_largest(table), list[i].high) > 0)
            list[i].high = vv_table_largest(table);
        return VV_OK;
    }
    struct vv_ingest_claim claim = {table->job, vv_table_smallest(table), vv_table_largest(table)};
    return vv_buf_append(claims, &claim, sizeof claim);
}

static int list_claims_locked(struct vv_lsm *lsm, const struct vv_version *version,
                              struct vv_buf *claims)
{
    vv_mutex_assert_held(&lsm->mu);
    int rc = VV_OK;
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        for (size_t i = 0; rc == VV_OK && i < run->count; i++) {
            if (run->tables[i]->job != 0)
                rc = add_claim(claims, version->order, run->tables[i]);
        }
    }
    return rc;
}

/* Gives each table its level. Merges that run now stay clear of it, and no other begins. */
static int place(struct vv_ingest *g, struct vv_table_add *adds, size_t count)
{
    struct vv_lsm *lsm = g->lsm;
    struct vv_buf claims = VV_BUF_INIT;
    vv_mutex_lock(&lsm->mu);
    struct vv_version *version = atomic_load(&lsm->view)->version;
    vv_version_ref(version);
    int rc = list_claims_locked(lsm, version, &claims);
    vv_mutex_unlock(&lsm->mu);
    struct vv_shape shape = vv_lsm_shape(lsm, version);
    struct vv_targets targets = vv_pick_targets(version, &shape);
    const struct vv_ingest_claim *list = (const struct vv_ingest_claim *)(const void *)claims.data;
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        adds[i].level = vv_ingest_level(version, targets.base, list, claims.size / sizeof list[0],
                                        adds[i].table);
        g->output.made.tables[i].level = adds[i].level;
    }
    vv_version_unref(version);
    vv_buf_deinit(&claims);
    return rc;
}

/* ---------------------------------------------------------------------------------- installing */

/* Begins a new log, in front of which nothing is left to be replayed. VV_CONFLICT when something is in
 * memory. */
static int begin_log(struct vv_lsm *lsm, uint64_t *number)
{
    int rc = VV_OK;
    *number = 0;
    vv_mutex_lock(&lsm->write_mu);
    vv_mutex_lock(&lsm->mu);
    bool flushed = lsm->frozen_count == 0 && vv_memtable_count(lsm->active) == 0;
    vv_mutex_unlock(&lsm->mu);
    vv_assert(lsm->pending_count == 0);
    if (!flushed) {
        rc = VV_CONFLICT;
    } else if (lsm->wal != NULL) {
        uint64_t next = vv_lsm_next_file(lsm);
        if ((rc = vv_wal_rotate(lsm->wal, next, lsm->laid_seq)) == VV_OK) {
            vv_wal_pin(lsm->wal, next);
            *number = lsm->newest_log = lsm->active_log = next;
        }
    }
    vv_mutex_unlock(&lsm->write_mu);
    return rc == VV_OK && *number > 0 ? vv_env_sync_dir(lsm->options.env, lsm->options.path) : rc;
}

/* Nothing up to `seq` is in a log any more that counts. The header of the log to which the next write
 * goes will say so: who reads changes finds that some are missing there. */
static void end_log(struct vv_lsm *lsm, vv_seq seq)
{
    vv_mutex_lock(&lsm->write_mu);
    if (lsm->wal != NULL)
        vv_wal_end(lsm->wal);
    lsm->laid_seq = lsm->found_seq = seq;
    atomic_store_explicit(&lsm->write_clock, seq, memory_order_relaxed);
    vv_mutex_unlock(&lsm->write_mu);
}

static void raise_tables(struct vv_ingest *g, vv_seq seq)
{
    for (size_t i = 0; i < g->output.made.table_count; i++) {
        struct vv_table_facts *facts = &g->output.made.tables[i].facts;
        facts->raise = seq - g->seq;
        facts->min_seq = facts->max_seq = seq;
    }
}

static int install_adds(struct vv_ingest *g, vv_seq seq, uint64_t log_number,
                        struct vv_table_add *adds, size_t count)
{
    struct vv_value_file *const *files = (struct vv_value_file *const *)(void *)g->sealed.data;
    bool unclear = false;
    struct vv_install install = {
        .change = {.adds = adds,
                   .add_count = count,
                   .value_adds = files,
                   .value_add_count = g->sealed.size / sizeof(struct vv_value_file *)},
        .log_number = log_number,
        .flushed_seq = seq};
    int rc = vv_lsm_install(g->lsm, &g->output.made, &install, &unclear);
    g->installed = rc == VV_OK || unclear;
    return rc;
}

static void hold_merges(struct vv_lsm *lsm, int change)
{
    vv_mutex_lock(&lsm->mu);
    lsm->ingests += change;
    vv_mutex_unlock(&lsm->mu);
}

static int install_at(struct vv_ingest *g, vv_seq seq, uint64_t log_number)
{
    size_t count = 0;
    struct vv_table_add *adds = vv_alloc((g->output.made.table_count + 1) * sizeof adds[0]);
    if (adds == NULL)
        return VV_NOMEM;
    raise_tables(g, seq);
    int rc = vv_output_metas(&g->output, adds);
    if (rc == VV_OK) {
        count = g->output.made.table_count;
        hold_merges(g->lsm, 1);
        if ((rc = place(g, adds, count)) == VV_OK)
            rc = install_adds(g, seq, log_number, adds, count);
        hold_merges(g->lsm, -1);
    }
    while (count > 0)
        vv_table_meta_unref(adds[--count].table);
    vv_free(adds);
    return rc;
}

int vv_lsm_ingest_install(struct vv_ingest *g, vv_seq seq)
{
    struct vv_lsm *lsm = g->lsm;
    uint64_t log_number;
    vv_assert(seq > g->seq);
    int rc = begin_log(lsm, &log_number);
    if (rc == VV_OK)
        rc = install_at(g, seq, log_number);
    if (rc != VV_OK)
        return rc;
    end_log(lsm, seq);
    vv_count(&lsm->counters.flush_bytes_written, vv_output_size(&g->output));
    lsm->options.host->wake(lsm->options.host->context);
    return VV_OK;
}

/* -------------------------------------------------------------------------------------- ending */

static void remove_values(const struct vv_lsm *lsm, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_VALUES, number);
    int rc = vv_env_remove(lsm->options.env, path.text);
    (void)rc; /* an orphan, which the next open removes */
}

void vv_lsm_ingest_end(struct vv_ingest *g)
{
    struct vv_value_file **files = (struct vv_value_file **)(void *)g->sealed.data;
    vv_output_deinit(&g->output, g->installed ? VV_OUTPUT_KEEP : VV_OUTPUT_DISCARD);
    vv_value_writer_close(g->values);
    if (g->values_number > 0)
        remove_values(g->lsm, g->values_number);
    for (size_t i = 0; i < g->sealed.size / sizeof files[0]; i++) {
        if (!g->installed)
            atomic_store(&files[i]->obsolete, true); /* removed with the last reference */
        vv_value_file_unref(files[i]);
    }
    vv_buf_deinit(&g->sealed);
    vv_free(g);
}
