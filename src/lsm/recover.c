/*
 * Opening a tree: from the MANIFEST to a version, from the logs to a memtable, and, unless
 * read-only, tidying up what a crash left. Everything is read and checked before anything is
 * written, so that a failed open changes nothing.
 */
#include "lsm/recover.h"

#include "log/log.h"
#include "lsm/replay.h"

#include <inttypes.h>

/* What the edits add up to. */
struct state {
    struct vv_lsm *lsm;
    struct vv_edit sum; /* all tables and value files; their numbers are unique */
    bool has_format;
};

/* ---------------------------------------------------------------------------- adding up edits */

static bool remove_table(struct vv_edit *sum, uint64_t number)
{
    for (size_t i = sum->table_count; i-- > 0;) {
        if (sum->tables[i].number == number) {
            vv_table_facts_deinit(&sum->tables[i].facts);
            sum->tables[i] = sum->tables[--sum->table_count];
            return true;
        }
    }
    return false;
}

static bool remove_value_file(struct vv_edit *sum, uint64_t number)
{
    for (size_t i = sum->value_count; i-- > 0;) {
        if (sum->values[i].number == number) {
            vv_free(sum->values[i].serves);
            sum->values[i] = sum->values[--sum->value_count];
            return true;
        }
    }
    return false;
}

static int check_format(struct state *state, const struct vv_edit *edit)
{
    if (!vv_slice_equal(vv_buf_slice(&edit->engine), vv_slice_str("lsm")))
        return vv_fail(VV_UNSUPPORTED, "the store's engine is \"%.*s\", this is \"lsm\"",
                       (int)edit->engine.size, (const char *)edit->engine.data);
    if (state->lsm->tables == NULL)
        memcpy(state->lsm->uuid, edit->uuid, sizeof edit->uuid);
    else if (memcmp(state->lsm->uuid, edit->uuid, sizeof edit->uuid) != 0)
        return vv_fail(VV_INVALID,
                       "%s: another store has taken the place of the one that was opened",
                       state->lsm->options.path);
    state->has_format = true;
    return vv_buf_assign(&state->sum.comparator, vv_buf_slice(&edit->comparator));
}

/* Removals first: a table that moves to another level is removed and added in one edit. */
static int apply_removals(struct vv_edit *sum, const struct vv_edit *edit)
{
    for (size_t i = 0; i < edit->table_gone_count; i++) {
        if (!remove_table(sum, edit->tables_gone[i]))
            return vv_fail(VV_CORRUPT, "an edit removes table %" PRIu64 ", which is not there",
                           edit->tables_gone[i]);
    }
    for (size_t i = 0; i < edit->value_gone_count; i++) {
        if (!remove_value_file(sum, edit->values_gone[i]))
            return vv_fail(VV_CORRUPT, "an edit removes value file %" PRIu64 ", which is not there",
                           edit->values_gone[i]);
    }
    return VV_OK;
}

/* A snapshot says all that is in force; nothing before it counts. */
static void forget(struct state *state)
{
    vv_edit_deinit(&state->sum);
    state->has_format = false;
}

static int apply_edit(void *context, const struct vv_edit *edit)
{
    struct state *state = context;
    struct vv_edit *sum = &state->sum;
    int rc;
    if (edit->snapshot)
        forget(state);
    if (edit->has_format && (rc = check_format(state, edit)) < 0)
        return rc;
    if (!state->has_format)
        return vv_fail(VV_CORRUPT, "a snapshot does not say what the store is");
    if ((rc = apply_removals(sum, edit)) < 0)
        return rc;
    for (size_t i = 0; i < edit->table_count; i++) {
        const struct vv_edit_table *t = &edit->tables[i];
        if ((rc = vv_edit_add_table(sum, t->level, t->number, t->created_us, &t->facts)) < 0)
            return rc;
    }
    for (size_t i = 0; i < edit->value_count; i++) {
        (void)remove_value_file(sum, edit->values[i].number); /* sealing names it again */
        if ((rc = vv_edit_add_value_file(sum, &edit->values[i])) < 0)
            return rc;
    }
    if ((rc = vv_notes_apply(&sum->notes, &edit->notes)) < 0 ||
        (rc = vv_lineage_append(&sum->lineage, &edit->lineage)) < 0)
        return rc;
    if (edit->closed_log > 0) {
        sum->closed_log = edit->closed_log;
        sum->closed_bytes = edit->closed_bytes;
    }
    if (edit->next_file > sum->next_file)
        sum->next_file = edit->next_file;
    if (edit->log_number > sum->log_number)
        sum->log_number = edit->log_number;
    if (edit->flushed_seq > sum->flushed_seq)
        sum->flushed_seq = edit->flushed_seq;
    if (edit->clock_ms > sum->clock_ms)
        sum->clock_ms = edit->clock_ms;
    return VV_OK;
}

/* --------------------------------------------------------------------------- making the version */

static int check_file(struct vv_lsm *lsm, enum vv_name_kind kind, uint64_t number,
                      uint64_t size_min)
{
    struct vv_path path = vv_path_of(lsm->options.path, kind, number);
    struct vv_path_info info;
    int rc = vv_env_info(lsm->options.env, path.text, &info);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_CORRUPT, "%s: the file is missing", path.text);
    if (rc == VV_OK && info.size_bytes < size_min)
        return vv_fail(VV_CORRUPT, "%s: the file ends at %" PRIu64 ", it had %" PRIu64 " bytes",
                       path.text, info.size_bytes, size_min);
    return rc;
}

struct parts {
    struct vv_table_add *tables;
    size_t table_count;
    struct vv_value_file **values;
    size_t value_count;
};

static void parts_deinit(struct parts *parts)
{
    for (size_t i = 0; i < parts->table_count; i++)
        vv_table_meta_unref(parts->tables[i].table);
    for (size_t i = 0; i < parts->value_count; i++)
        vv_value_file_unref(parts->values[i]);
    vv_free(parts->tables);
    vv_free(parts->values);
}

/* A table that is known, with a reference, or NULL. */
static struct vv_table_meta *known_table(const struct vv_version *known,
                                         const struct vv_edit_table *t)
{
    for (int level = 0; known != NULL && level < VV_LEVELS; level++) {
        const struct vv_run *run = &known->levels[level];
        for (size_t i = 0; i < run->count; i++) {
            if (run->tables[i]->number == t->number) {
                vv_table_meta_ref(run->tables[i]);
                return run->tables[i];
            }
        }
    }
    return NULL;
}

static int make_table(struct vv_lsm *lsm, struct vv_edit_table *t, struct vv_table_meta **out)
{
    int rc = check_file(lsm, VV_NAME_TABLE, t->number, t->facts.size_bytes);
    if (rc < 0 || (rc = vv_table_meta_new(lsm->tables, t->number, &t->facts, out)) < 0)
        return rc;
    (*out)->created_us = t->created_us;
    return VV_OK;
}

static int make_tables(struct vv_lsm *lsm, const struct vv_version *known, struct vv_edit *sum,
                       struct parts *parts)
{
    parts->tables = vv_alloc_zero((sum->table_count + 1) * sizeof parts->tables[0]);
    if (parts->tables == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < sum->table_count; i++) {
        struct vv_edit_table *t = &sum->tables[i];
        struct vv_table_add *add = &parts->tables[i];
        *add = (struct vv_table_add){t->level, known_table(known, t)};
        int rc = add->table == NULL ? make_table(lsm, t, &add->table) : VV_OK;
        if (rc < 0)
            return rc;
        parts->table_count++;
    }
    return VV_OK;
}

/* A value file that is known and is not written to any more, with a reference, or NULL. */
static struct vv_value_file *known_values(const struct vv_version *known,
                                          const struct vv_edit_value_file *v)
{
    for (size_t i = 0; known != NULL && v->sealed && i < known->value_count; i++) {
        struct vv_value_file *file = known->values[i];
        if (file->number == v->number && atomic_load(&file->sealed)) {
            vv_value_file_ref(file);
            return file;
        }
    }
    return NULL;
}

static int make_values(struct vv_lsm *lsm, const struct vv_version *known,
                       const struct vv_edit *sum, struct parts *parts)
{
    parts->values = vv_alloc_zero((sum->value_count + 1) * sizeof parts->values[0]);
    if (parts->values == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < sum->value_count; i++) {
        const struct vv_edit_value_file *v = &sum->values[i];
        struct vv_value_file *file = known_values(known, v);
        if (file != NULL) {
            parts->values[parts->value_count++] = file;
            continue;
        }
        int rc = check_file(lsm, VV_NAME_VALUES, v->number,
                            v->record_count > 0 ? v->record_bytes + VV_LOG_HEAD_SIZE : 0);
        bool headless = false;
        if (rc == VV_OK && !v->sealed)
            rc = vv_values_headless(lsm->values, v->number, &headless);
        if (rc < 0)
            return rc;
        if (headless)
            continue; /* an orphan, then */
        if ((rc = vv_value_file_new(lsm->values, v->number, v->serves, v->serve_count, &file)) < 0)
            return rc;
        atomic_store(&file->record_bytes, v->record_bytes);
        atomic_store(&file->record_count, v->record_count);
        atomic_store(&file->sealed, v->sealed);
        parts->values[parts->value_count++] = file;
    }
    return VV_OK;
}

static int make_version(struct vv_lsm *lsm, const struct vv_version *known, struct vv_edit *sum,
                        struct vv_version **out)
{
    struct parts parts = {0};
    struct vv_version *empty = NULL;
    int rc;
    if ((rc = vv_version_new(vv_lsm_order(lsm), &empty)) < 0 ||
        (rc = make_tables(lsm, known, sum, &parts)) < 0 ||
        (rc = make_values(lsm, known, sum, &parts)) < 0)
        goto out;
    struct vv_version_change change = {.adds = parts.tables,
                                       .add_count = parts.table_count,
                                       .value_adds = parts.values,
                                       .value_add_count = parts.value_count};
    rc = vv_version_apply(empty, &change, out);
out:
    vv_version_unref(empty);
    parts_deinit(&parts);
    return rc;
}

/* A number that no file in the directory has had, whatever the MANIFEST says. */
int vv_recover_next_file(struct vv_lsm *lsm, uint64_t known)
{
    struct vv_buf names = VV_BUF_INIT;
    uint64_t next = known > 0 ? known : 1;
    int rc = vv_env_list(lsm->options.env, lsm->options.path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        if (vv_name_parse(name, &number) != VV_NAME_OTHER && number >= next)
            next = number + 1;
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    atomic_store(&lsm->next_file, next);
    return rc;
}

int vv_recover_sum(struct vv_lsm *lsm, struct vv_edit *sum)
{
    struct state state = {.lsm = lsm};
    uint64_t number;
    int rc = vv_manifest_read(lsm->options.env, lsm->options.path, apply_edit, &state, &number);
    *sum = state.sum;
    return rc == VV_NOTFOUND ? vv_fail(VV_MISSING, "%s: there is no store", lsm->options.path) : rc;
}

static int add_notes(void *context, const struct vv_edit *edit)
{
    struct vv_notes *notes = context;
    if (edit->snapshot)
        vv_notes_deinit(notes);
    return vv_notes_apply(notes, &edit->notes);
}

int vv_lsm_notes(struct vv_env *env, const char *path,
                 int (*visit)(void *context, const struct vv_note *note), void *context)
{
    struct vv_notes notes = {.list = NULL};
    uint64_t number;
    int rc = vv_manifest_read(env, path, add_notes, &notes, &number);
    if (rc == VV_NOTFOUND)
        rc = vv_fail(VV_MISSING, "%s: there is no MANIFEST", path);
    for (size_t i = 0; rc == VV_OK && i < notes.count; i++)
        rc = visit(context, &notes.list[i]);
    vv_notes_deinit(&notes);
    return rc;
}

/* The host has the last word on how keys compare, and it must be the word by which they were laid. */
int vv_recover_order(struct vv_lsm *lsm, const struct vv_edit *sum)
{
    const struct vv_host *host = lsm->options.host;
    const struct vv_order *order = vv_lsm_order(lsm);
    static const struct vv_note none;
    struct vv_note first = {0, VV_SLICE_EMPTY};
    bool is_new = sum->comparator.size == 0;
    int rc = VV_OK;
    if (host != NULL && host->notes != NULL) {
        const struct vv_note *notes = sum->notes.count > 0 ? sum->notes.list : &none;
        rc = host->notes(host->context, is_new ? NULL : notes, sum->notes.count, &order, &first);
    }
    if (rc < 0)
        return rc;
    if (!is_new &&
        !vv_slice_equal(vv_buf_slice(&sum->comparator), vv_slice_str(vv_order_name(order))))
        return vv_fail(
            VV_INVALID, "the store's keys are ordered by \"%.*s\", it was opened with \"%s\"",
            (int)sum->comparator.size, (const char *)sum->comparator.data, vv_order_name(order));
    atomic_store(&lsm->order, order);
    atomic_store(&lsm->laid_order, order);
    if (is_new && first.text.size > 0)
        return vv_notes_set(&lsm->notes, first.id, first.text);
    vv_notes_deinit(&lsm->notes);
    return vv_notes_apply(&lsm->notes, &sum->notes);
}

/* A tree that is refreshed has them. */
static int ensure_rooms(struct vv_lsm *lsm)
{
    if (lsm->tables == NULL)
        return vv_recover_rooms(lsm);
    vv_tables_set_order(lsm->tables, vv_lsm_order(lsm));
    return VV_OK;
}

vv_seq vv_recovered_seq(const struct vv_lsm *lsm, const struct vv_recovered *recovered)
{
    vv_seq seen = recovered->replay.seen_seq;
    return seen > lsm->flushed_seq ? seen : lsm->flushed_seq;
}

/* The logs may tell of what the notes were not known to say when they were read. */
int vv_recover_order_again(struct vv_lsm *lsm, const struct vv_edit *sum)
{
    const struct vv_order *before = vv_lsm_order(lsm);
    int rc = vv_recover_order(lsm, sum);
    if (rc == VV_OK && vv_lsm_order(lsm) != before)
        rc = vv_fail(VV_BUSY, "%s: the order of keys has changed", lsm->options.path);
    return rc;
}

void vv_recover_clock(struct vv_lsm *lsm, const struct vv_edit *sum)
{
    const struct vv_host *host = lsm->options.host; /* a repair has none */
    _Atomic(uint64_t) *clock_ms = host != NULL ? host->clock_ms : NULL;
    uint64_t seen = clock_ms != NULL ? atomic_load(clock_ms) : UINT64_MAX;
    lsm->clock_ms = sum->clock_ms;
    while (seen < sum->clock_ms && !atomic_compare_exchange_weak(clock_ms, &seen, sum->clock_ms))
        ;
}

int vv_recover_read(struct vv_lsm *lsm, struct vv_recovered *out)
{
    struct vv_edit sum = {0};
    int rc = vv_recover_sum(lsm, &sum);
    if (rc < 0)
        goto out;
    lsm->log_number = sum.log_number;
    lsm->closed_log = sum.closed_log;
    lsm->closed_bytes = sum.closed_bytes;
    lsm->flushed_seq = sum.flushed_seq;
    vv_recover_clock(lsm, &sum);
    if (lsm->tables == NULL) { /* where a store comes from never changes */
        lsm->lineage = sum.lineage;
        sum.lineage = (struct vv_lineage){NULL, 0};
    }
    if ((rc = vv_recover_order(lsm, &sum)) < 0 || (rc = ensure_rooms(lsm)) < 0 ||
        (rc = make_version(lsm, out->known, &sum, &out->version)) < 0)
        goto out;
    if ((rc = vv_recover_next_file(lsm, sum.next_file)) < 0)
        goto out;
    if ((rc = vv_replay_survey(lsm, out->version, &out->replay)) < 0)
        goto out;
    if ((rc = vv_memtable_new_from(vv_lsm_order(lsm), lsm->options.account, lsm->mempool,
                                   &lsm->active)) < 0)
        goto out;
    lsm->active_id = 1;
    rc = vv_replay_insert(lsm, out->version, &out->replay);
    lsm->laid_seq = lsm->found_seq = out->replay.last_seq;
out:
    vv_edit_deinit(&sum);
    return rc;
}

/* ------------------------------------------------------------------------------------ tidying up */

/* A killed process may have synced none of it. */
static int sync_values(struct vv_lsm *lsm, uint64_t number, uint64_t *size_bytes)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_VALUES, number);
    struct vv_file *file = NULL;
    int rc = vv_env_open(lsm->options.env, path.text, VV_OPEN_WRITE, &file);
    if (rc == VV_OK && (rc = vv_file_size(file, size_bytes)) == VV_OK)
        rc = vv_file_sync(file);
    vv_file_close(file);
    return rc == VV_NOTFOUND ? vv_fail(VV_CORRUPT, "%s: the file is missing", path.text) : rc;
}

static int seal_value_files(struct vv_lsm *lsm, const struct vv_version *version)
{
    for (size_t i = 0; i < version->value_count; i++) {
        struct vv_value_file *file = version->values[i];
        uint64_t size = 0;
        if (atomic_load(&file->sealed))
            continue;
        int rc = sync_values(lsm, file->number, &size);
        if (rc < 0)
            return rc;
        atomic_store(&file->record_bytes, size > VV_LOG_HEAD_SIZE ? size - VV_LOG_HEAD_SIZE : 0);
        atomic_store(&file->sealed, true);
    }
    return VV_OK;
}

static bool wanted(const struct vv_lsm *lsm, const struct vv_version *version,
                   enum vv_name_kind kind, uint64_t number)
{
    switch (kind) {
    case VV_NAME_TABLE:
        for (int level = 0; level < VV_LEVELS; level++) {
            for (size_t i = 0; i < version->levels[level].count; i++) {
                if (version->levels[level].tables[i]->number == number)
                    return true;
            }
        }
        return false;
    case VV_NAME_VALUES:
        for (size_t i = 0; i < version->value_count; i++) {
            if (version->values[i]->number == number)
                return true;
        }
        return false;
    case VV_NAME_WAL: return number >= lsm->log_number;
    case VV_NAME_MANIFEST: return number == vv_manifest_number(lsm->manifest);
    case VV_NAME_TEMP: return false;
    case VV_NAME_SPARE: /* taken over before */
    case VV_NAME_KEPT:  /* adopted before */
    case VV_NAME_CURRENT:
    case VV_NAME_LOCK:
    case VV_NAME_UNFINISHED:
    case VV_NAME_DAMAGED:
    case VV_NAME_OTHER: return true;
    }
    return true;
}

static int take_over_spare(struct vv_lsm *lsm, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_SPARE, number);
    struct vv_path_info info;
    int rc = vv_env_info(lsm->options.env, path.text, &info);
    if (rc != VV_OK)
        return rc < 0 ? rc : VV_OK;
    if (lsm->wal != NULL)
        return vv_wal_inherit_spare(lsm->wal, number, info.size_bytes);
    return vv_env_remove(lsm->options.env, path.text);
}

/* Logs that were done with before, or are now, stay as far as changes are to be kept. */
static bool is_old_log(const struct vv_lsm *lsm, enum vv_name_kind kind, uint64_t number)
{
    return kind == VV_NAME_KEPT || (kind == VV_NAME_WAL && number < lsm->log_number);
}

/* A log that still has its first name may have lost its end, unless its writer kept logs. And a power
 * cut may show names that were gone, of what is another log by now, or of a store that was here before. */
static bool is_worth_keeping(const struct vv_lsm *lsm, enum vv_name_kind kind, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, kind, number);
    struct vv_log_expect expect = {.kind = VV_LOG_WAL, .number = number, .uuid = lsm->uuid};
    struct vv_log_reader *reader = NULL;
    bool is_ours = vv_log_reader_open(lsm->options.env, path.text, &expect, &reader) == VV_OK;
    bool worth = is_ours && (kind == VV_NAME_KEPT || vv_log_reader_head(reader)->kept);
    vv_log_reader_close(reader);
    return worth;
}

static int adopt_log(struct vv_lsm *lsm, enum vv_name_kind kind, uint64_t number)
{
    if (lsm->wal != NULL && lsm->options.changes_keep > 0 && is_worth_keeping(lsm, kind, number))
        return vv_wal_adopt(lsm->wal, kind, number);
    struct vv_path path = vv_path_of(lsm->options.path, kind, number);
    return vv_env_remove(lsm->options.env, path.text);
}

/* Removes what no version knows: outputs of unfinished jobs, old logs and MANIFESTs. */
static int remove_orphans(struct vv_lsm *lsm, const struct vv_version *version)
{
    struct vv_buf names = VV_BUF_INIT;
    int rc = vv_env_list(lsm->options.env, lsm->options.path, &names);
    for (size_t at = 0; rc >= 0 && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        enum vv_name_kind kind = vv_name_parse(name, &number);
        if (kind == VV_NAME_SPARE) {
            rc = take_over_spare(lsm, number);
        } else if (is_old_log(lsm, kind, number)) {
            rc = adopt_log(lsm, kind, number);
        } else if (!wanted(lsm, version, kind, number)) {
            struct vv_path path = vv_path_of(lsm->options.path, kind, number);
            rc = vv_env_remove(lsm->options.env, path.text);
        }
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    return rc < 0 ? rc : VV_OK;
}

/* The lowest log that the next recovery needs, which the MANIFEST names and which therefore must be
 * there: with nothing to replay, the one that is begun now. */
static uint64_t lowest_needed(const struct vv_lsm *lsm, const struct vv_replay *replay)
{
    for (size_t i = 0; vv_memtable_count(lsm->active) > 0 && i < replay->count; i++) {
        if (replay->logs[i].counts)
            return replay->logs[i].number;
    }
    return lsm->newest_log;
}

static int start_log(struct vv_lsm *lsm, const struct vv_replay *replay)
{
    struct vv_wal_options options = {.env = lsm->options.env,
                                     .dir = lsm->options.path,
                                     .recycle = lsm->options.log_mode == VV_LSM_LOG_RECYCLE,
                                     .keep_bytes = lsm->options.changes_keep,
                                     .seen_seq = replay->seen_seq};
    int rc;
    lsm->newest_log = vv_lsm_next_file(lsm);
    lsm->active_log = lsm->log_number = lowest_needed(lsm, replay);
    if (lsm->options.log_mode == VV_LSM_LOG_OFF)
        return VV_OK;
    memcpy(options.uuid, lsm->uuid, sizeof options.uuid);
    if ((rc = vv_wal_new(&options, &lsm->wal)) < 0)
        return rc;
    for (size_t i = 0; i < replay->count; i++) {
        const struct vv_replay_log *log = &replay->logs[i];
        if (log->counts && log->number >= lsm->log_number &&
            (rc = vv_wal_inherit(lsm->wal, log->number, log->size_bytes)) < 0)
            return rc;
    }
    if ((rc = vv_wal_rotate(lsm->wal, lsm->newest_log, replay->last_seq)) < 0)
        return rc;
    vv_wal_pin(lsm->wal, lsm->newest_log);
    /* What is cut next was the only witness of the numbers in it. */
    bool witness = replay->seen_seq > replay->last_seq;
    return witness ? vv_wal_sync(lsm->wal, vv_wal_here(lsm->wal)) : VV_OK;
}

int vv_recover_tidy(struct vv_lsm *lsm, const struct vv_recovered *recovered)
{
    bool unclear;
    int rc;
    if ((rc = seal_value_files(lsm, recovered->version)) < 0 ||
        (rc = start_log(lsm, &recovered->replay)) < 0 ||
        (rc = vv_replay_cut(lsm, &recovered->replay)) < 0 ||
        (rc = vv_lsm_rewrite_manifest(lsm, recovered->version, &unclear)) < 0)
        return rc;
    return remove_orphans(lsm, recovered->version);
}

void vv_recovered_deinit(struct vv_recovered *recovered)
{
    vv_version_unref(recovered->version);
    vv_replay_deinit(&recovered->replay);
    *recovered = (struct vv_recovered){0};
}
