/*
 * Views and versions: how a change of the tree becomes durable and then visible to readers.
 */
#include "lsm/tree.h"

/* -------------------------------------------------------------------------------------- views */

void vv_view_ref(struct vv_view *view)
{
    uint32_t before = atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    vv_assert(before > 0);
}

void vv_view_unref(struct vv_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) > 1)
        return;
    vv_memtable_unref(view->active);
    for (size_t i = 0; i < view->frozen_count; i++)
        vv_memtable_unref(view->frozen[i]);
    vv_version_unref(view->version);
    vv_free(view);
}

void vv_view_fill_locked(struct vv_lsm *lsm, struct vv_view *view, struct vv_memtable *active,
                         struct vv_version *version)
{
    vv_mutex_assert_held(&lsm->mu);
    atomic_store(&view->refs, 1);
    view->active = active;
    vv_memtable_ref(active);
    for (size_t i = lsm->frozen_count; i-- > 0;) {
        view->frozen[view->frozen_count++] = lsm->frozen[i].memtable;
        vv_memtable_ref(lsm->frozen[i].memtable);
    }
    view->version = version;
    vv_version_ref(version);
}

struct vv_view *vv_lsm_swap_view_locked(struct vv_lsm *lsm, struct vv_view *view)
{
    vv_mutex_assert_held(&lsm->mu);
    /* Sequentially consistent: pairs with a reader's check that the view has not changed since it
     * read the visible sequence. */
    lsm->view_serial++;
    return atomic_exchange(&lsm->view, view);
}

void vv_lsm_release_view(void *object)
{
    vv_view_unref(object);
}

void vv_lsm_retire_view(struct vv_lsm *lsm, struct vv_view *old)
{
    if (old != NULL)
        vv_epoch_retire(lsm->epoch, vv_lsm_release_view, old);
}

struct vv_view *vv_lsm_view(struct vv_lsm *lsm)
{
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    struct vv_view *view = atomic_load(&lsm->view);
    vv_view_ref(view);
    vv_epoch_leave(lsm->epoch, slot);
    return view;
}

struct vv_version *vv_lsm_version(struct vv_lsm *lsm)
{
    uint32_t slot = vv_epoch_enter(lsm->epoch);
    struct vv_version *version = atomic_load(&lsm->view)->version;
    vv_version_ref(version);
    vv_epoch_leave(lsm->epoch, slot);
    return version;
}

/* -------------------------------------------------------------------------------- the MANIFEST */

static int snapshot_tables(const struct vv_version *version, struct vv_edit *edit)
{
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        for (size_t i = 0; i < run->count; i++) {
            const struct vv_table_meta *table = run->tables[i];
            int rc =
                vv_edit_add_table(edit, level, table->number, table->created_us, &table->facts);
            if (rc < 0)
                return rc;
        }
    }
    return VV_OK;
}

static int snapshot_values(const struct vv_version *version, struct vv_edit *edit)
{
    for (size_t i = 0; i < version->value_count; i++) {
        const struct vv_value_file *file = version->values[i];
        struct vv_edit_value_file entry = {.number = file->number,
                                           .sealed = file->sealed,
                                           .record_bytes = file->record_bytes,
                                           .record_count = file->record_count,
                                           .serves = file->serves,
                                           .serve_count = file->serve_count};
        int rc = vv_edit_add_value_file(edit, &entry);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

/* What the MANIFEST should say. */
static uint64_t clock_now(const struct vv_lsm *lsm)
{
    const struct vv_host *host = lsm->options.host; /* a repair has none */
    const _Atomic(uint64_t) *clock_ms = host != NULL ? host->clock_ms : NULL;
    uint64_t now = clock_ms == NULL ? 0 : atomic_load_explicit(clock_ms, memory_order_acquire);
    return now > lsm->clock_ms ? now : lsm->clock_ms;
}

static int snapshot_format(const struct vv_lsm *lsm, const struct vv_version *version,
                           struct vv_edit *edit)
{
    int rc;
    edit->snapshot = true;
    edit->has_format = true;
    edit->format_version = VV_FORMAT_VERSION;
    memcpy(edit->uuid, lsm->uuid, sizeof edit->uuid);
    edit->log_number = lsm->log_number;
    edit->flushed_seq = lsm->flushed_seq;
    edit->clock_ms = clock_now(lsm);
    if (lsm->closed_log >= lsm->log_number) {
        edit->closed_log = lsm->closed_log;
        edit->closed_bytes = lsm->closed_bytes;
    }
    if ((rc = vv_buf_assign(&edit->engine, vv_slice_str("lsm"))) < 0)
        return rc;
    return vv_buf_assign(&edit->comparator, vv_slice_str(vv_order_name(version->order)));
}

/* What is neither of a version nor a number. */
static int snapshot_notes(const struct vv_lsm *lsm, struct vv_edit *edit)
{
    int rc = vv_notes_apply(&edit->notes, &lsm->notes);
    return rc == VV_OK ? vv_lineage_append(&edit->lineage, &lsm->lineage) : rc;
}

int vv_lsm_snapshot_edit(const struct vv_lsm *lsm, const struct vv_version *version,
                         struct vv_edit *edit)
{
    int rc = snapshot_format(lsm, version, edit);
    if (rc == VV_OK)
        rc = snapshot_tables(version, edit);
    if (rc == VV_OK)
        rc = snapshot_values(version, edit);
    return rc == VV_OK ? snapshot_notes(lsm, edit) : rc;
}

int vv_lsm_rewrite_manifest(struct vv_lsm *lsm, const struct vv_version *version, bool *unclear)
{
    struct vv_edit edit = {0};
    struct vv_manifest *manifest = NULL;
    uint64_t number = vv_lsm_next_file(lsm);
    int rc;
    *unclear = false;
    if ((rc = vv_lsm_snapshot_edit(lsm, version, &edit)) < 0)
        goto out;
    edit.next_file = atomic_load(&lsm->next_file);
    uint64_t clock_ms = edit.clock_ms;
    rc = vv_manifest_create(lsm->options.env, lsm->options.path, number, &edit, &manifest, unclear);
    if (rc < 0) {
        struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_MANIFEST, number);
        if (!*unclear && vv_env_remove(lsm->options.env, path.text) < 0)
            rc = vv_fail_in(rc, "and an unfinished MANIFEST stays behind");
        goto out;
    }
    if (lsm->manifest != NULL) {
        struct vv_path old =
            vv_path_of(lsm->options.path, VV_NAME_MANIFEST, vv_manifest_number(lsm->manifest));
        vv_manifest_close(lsm->manifest);
        /* What cannot be removed now, the next open removes. */
        int ignored = vv_env_remove(lsm->options.env, old.text);
        (void)ignored;
    }
    lsm->manifest = manifest;
    lsm->manifest_broken = false;
    lsm->clock_ms = clock_ms;
out:
    vv_edit_deinit(&edit);
    return rc;
}

static uint64_t manifest_limit(const struct vv_lsm *lsm, const struct vv_version *version)
{
    uint64_t tables = 0;
    for (int level = 0; level < VV_LEVELS; level++)
        tables += version->levels[level].count;
    uint64_t limit = tables * 1024 + 2 * lsm->notes.bytes;
    return limit > lsm->options.tuning.manifest_bytes ? limit : lsm->options.tuning.manifest_bytes;
}

/* Records that `next` has come to be through `edit`: by appending the edit, or where the MANIFEST
 * takes no more, by writing the whole of `next` into a new one. */
static int record_change(struct vv_lsm *lsm, struct vv_edit *edit, const struct vv_version *next,
                         bool whole, bool *unclear)
{
    bool old_unclear = false;
    uint64_t clock_ms = clock_now(lsm);
    edit->clock_ms = clock_ms > lsm->clock_ms ? clock_ms : 0;
    edit->next_file = atomic_load(&lsm->next_file);
    *unclear = false;
    if (!whole && !lsm->manifest_broken &&
        vv_manifest_bytes(lsm->manifest) <= manifest_limit(lsm, next)) {
        int rc = vv_manifest_append(lsm->manifest, edit, &old_unclear);
        if (rc == VV_OK) {
            lsm->clock_ms = clock_ms;
            return VV_OK;
        }
        lsm->manifest_broken = true;
    }
    int rc = vv_lsm_rewrite_manifest(lsm, next, unclear);
    *unclear = rc < 0 && (*unclear || old_unclear);
    return rc;
}

/* --------------------------------------------------------------------------------- installing */

static void drop_frozen_locked(struct vv_lsm *lsm, size_t count)
{
    vv_mutex_assert_held(&lsm->mu);
    vv_assert(count <= lsm->frozen_count);
    for (size_t i = 0; i < count; i++) {
        atomic_store(&lsm->flushed_id, lsm->frozen[i].id);
        vv_memtable_unref(lsm->frozen[i].memtable);
    }
    lsm->frozen_count -= count;
    memmove(lsm->frozen, lsm->frozen + count, lsm->frozen_count * sizeof lsm->frozen[0]);
    if (lsm->frozen_count == 0)
        atomic_store_explicit(&lsm->frozen_hint, 0, memory_order_relaxed);
}

static void mark_obsolete(const struct vv_version *version, const struct vv_version_change *change)
{
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        for (size_t i = 0; i < run->count; i++) {
            bool removed = false;
            bool added = false;
            for (size_t k = 0; k < change->remove_count; k++)
                removed = removed || change->removes[k] == run->tables[i]->number;
            for (size_t k = 0; removed && k < change->add_count; k++)
                added = added || change->adds[k].table == run->tables[i];
            if (removed && !added)
                vv_tables_let_go(run->tables[i]);
        }
    }
    for (size_t i = 0; i < version->value_count; i++) {
        for (size_t k = 0; k < change->value_remove_count; k++) {
            if (change->value_removes[k] == version->values[i]->number)
                atomic_store(&version->values[i]->obsolete, true);
        }
    }
}

static uint64_t spare_bytes_for(const struct vv_lsm *lsm, const struct vv_version *version)
{
    uint64_t bytes = 0;
    for (int level = 0; level < VV_LEVELS; level++)
        bytes += version->levels[level].bytes;
    bytes /= 32;
    return bytes < lsm->options.tuning.spare_bytes ? bytes & ~(uint64_t)4095
                                                   : lsm->options.tuning.spare_bytes;
}

/* Cannot fail: the change is durable already. `view` is empty memory for the new view. */
static struct vv_view *publish_version(struct vv_lsm *lsm, const struct vv_install *install,
                                       struct vv_version *next, struct vv_view *view)
{
    vv_mutex_lock(&lsm->mu);
    drop_frozen_locked(lsm, install->flushed_count);
    vv_view_fill_locked(lsm, view, atomic_load(&lsm->view)->active, next);
    struct vv_view *old = vv_lsm_swap_view_locked(lsm, view);
    vv_mutex_unlock(&lsm->mu);
    return old;
}

static void after_install(struct vv_lsm *lsm, const struct vv_version *base,
                          const struct vv_version *next, const struct vv_install *install)
{
    mark_obsolete(base, &install->change);
    atomic_store(&lsm->debt_bytes, vv_pick_debt(next, &lsm->shape));
    if (lsm->wal != NULL) {
        vv_wal_set_spare_bytes(lsm->wal, spare_bytes_for(lsm, next));
        vv_wal_retire(lsm->wal, lsm->log_number);
    }
}

static int install_locked(struct vv_lsm *lsm, struct vv_edit *edit,
                          const struct vv_install *install, struct vv_view **old, bool *unclear)
{
    vv_mutex_assert_held(&lsm->install_mu);
    struct vv_version *base = vv_lsm_version(lsm);
    struct vv_version *next = NULL;
    struct vv_view *view = vv_alloc_zero(sizeof *view);
    uint64_t log_before = lsm->log_number;
    vv_seq flushed_before = lsm->flushed_seq;
    int rc = view == NULL ? VV_NOMEM : vv_version_apply(base, &install->change, &next);
    if (rc < 0)
        goto out;
    /* Never back: a flush may end behind an ingest that was committed after it. */
    if (install->log_number > lsm->log_number)
        edit->log_number = lsm->log_number = install->log_number;
    if (install->flushed_seq > lsm->flushed_seq)
        edit->flushed_seq = lsm->flushed_seq = install->flushed_seq;
    if ((rc = record_change(lsm, edit, next, install->whole, unclear)) < 0) {
        lsm->log_number = log_before;
        lsm->flushed_seq = flushed_before;
        goto out;
    }
    *old = publish_version(lsm, install, next, view);
    view = NULL;
    after_install(lsm, base, next, install);
out:
    vv_free(view);
    vv_version_unref(next);
    vv_version_unref(base);
    return rc;
}

int vv_lsm_record_clock(struct vv_lsm *lsm)
{
    struct vv_edit edit = {.next_file = 0};
    struct vv_install nothing = {.flushed_count = 0};
    bool unclear;
    vv_mutex_lock(&lsm->install_mu);
    bool behind = clock_now(lsm) > lsm->clock_ms;
    vv_mutex_unlock(&lsm->install_mu);
    return behind ? vv_lsm_install(lsm, &edit, &nothing, &unclear) : VV_OK;
}

int vv_lsm_install(struct vv_lsm *lsm, struct vv_edit *edit, const struct vv_install *install,
                   bool *unclear)
{
    struct vv_view *old = NULL;
    *unclear = false;
    vv_mutex_lock(&lsm->install_mu);
    int rc = install_locked(lsm, edit, install, &old, unclear);
    vv_mutex_unlock(&lsm->install_mu);
    vv_lsm_retire_view(lsm, old);
    if (rc < 0 && *unclear)
        lsm->options.host->poison(lsm->options.host->context, rc);
    else if (rc == VV_OK)
        lsm->options.host->wake(lsm->options.host->context);
    return rc;
}

/* --------------------------------------------------------------------------------------- notes */

/* From now on memtables know the new order, and what is in the old one does, too: all keys so far
 * stand the same in both. */
static int reorder_memory(struct vv_lsm *lsm, const struct vv_order *order)
{
    int rc = VV_OK;
    vv_mutex_lock(&lsm->write_mu);
    vv_mutex_lock(&lsm->mu);
    if (lsm->frozen_count == VV_FROZEN_MAX)
        rc = vv_fail(VV_BUSY, "too many memtables wait to be flushed");
    vv_mutex_unlock(&lsm->mu);
    if (rc == VV_OK) {
        const struct vv_order *before = vv_lsm_order(lsm);
        atomic_store(&lsm->order, order);
        vv_tables_set_order(lsm->tables, order);
        if ((rc = vv_lsm_freeze_locked(lsm)) < 0) {
            atomic_store(&lsm->order, before);
            vv_tables_set_order(lsm->tables, before);
        }
    }
    vv_mutex_unlock(&lsm->write_mu);
    return rc;
}

/* The notes are in force with the edit, and the order of tables with it. */
static int install_notes(struct vv_lsm *lsm, const struct vv_note *notes, size_t count,
                         const struct vv_order *order, struct vv_view **old, bool *unclear)
{
    vv_mutex_assert_held(&lsm->install_mu);
    struct vv_edit edit = {0};
    struct vv_notes before = {.list = NULL};
    struct vv_install install = {.change = {.order = order}, .whole = order != NULL};
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < count; i++)
        rc = vv_notes_set(&edit.notes, notes[i].id, notes[i].text);
    if (rc == VV_OK)
        rc = vv_notes_exchange(&lsm->notes, &edit.notes, &before);
    if (rc == VV_OK && (rc = install_locked(lsm, &edit, &install, old, unclear)) < 0)
        vv_notes_restore(&lsm->notes, &before);
    if (rc == VV_OK && order != NULL)
        atomic_store(&lsm->laid_order, order);
    vv_notes_deinit(&before);
    vv_edit_deinit(&edit);
    return rc;
}

/* The newest memtable that may hold something that was written before now. */
static uint64_t written_id(struct vv_lsm *lsm)
{
    vv_mutex_lock(&lsm->write_mu);
    uint64_t id = vv_memtable_count(lsm->active) > 0 ? lsm->active_id : lsm->active_id - 1;
    vv_mutex_unlock(&lsm->write_mu);
    return id;
}

int vv_lsm_note(struct vv_engine *e, const struct vv_note *notes, size_t count,
                const struct vv_order *order)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_view *old = NULL;
    bool unclear = false;
    for (size_t i = 0; i < count; i++)
        if (notes[i].text.size > VV_NOTE_SIZE_MAX)
            return vv_fail(VV_TOOBIG, "a note of %zu bytes exceeds the limit of %d",
                           notes[i].text.size, VV_NOTE_SIZE_MAX);
    int rc = order == NULL || order == vv_lsm_order(lsm) ? VV_OK : reorder_memory(lsm, order);
    if (rc < 0)
        return rc;
    uint64_t before = written_id(lsm);
    vv_mutex_lock(&lsm->install_mu);
    lsm->noted_id = before > lsm->noted_id ? before : lsm->noted_id;
    rc = install_notes(lsm, notes, count, order, &old, &unclear);
    vv_mutex_unlock(&lsm->install_mu);
    vv_lsm_retire_view(lsm, old);
    if (rc < 0 && unclear)
        lsm->options.host->poison(lsm->options.host->context, rc);
    return rc;
}
