/*
 * The commit leader's side: admit, append, sync, publish, and the change of memtables.
 */
#include "lsm/tree.h"

#include "base/coding.h"
#include "kv/batch.h"
#include "kv/expiry.h"
#include "kv/ref.h"

#include <stdio.h>

/* Beside the bytes themselves, a memtable needs about this much for each entry. */
enum { ENTRY_OVERHEAD = 48, STORY_SIZE = 512 };

static uint64_t frozen_bytes(struct vv_lsm *lsm)
{
    uint64_t bytes = 0;
    vv_mutex_lock(&lsm->mu);
    for (size_t i = 0; i < lsm->frozen_count; i++)
        bytes += vv_memtable_bytes(lsm->frozen[i].memtable);
    vv_mutex_unlock(&lsm->mu);
    return bytes;
}

static bool memtable_full_locked(const struct vv_lsm *lsm, size_t size_bytes)
{
    vv_mutex_assert_held(&lsm->write_mu);
    uint64_t limit = lsm->options.tuning.memtable_bytes;
    uint64_t used = vv_memtable_bytes(lsm->active) + lsm->pending_bytes;
    /* Freezing an empty one would make no room. */
    return vv_memtable_count(lsm->active) > 0 && (used >= limit || size_bytes > limit - used);
}

static bool frozen_room(struct vv_lsm *lsm)
{
    vv_mutex_lock(&lsm->mu);
    bool room = lsm->frozen_count + 1 < lsm->options.tuning.memtable_count;
    vv_mutex_unlock(&lsm->mu);
    return room;
}

static void pace_input(struct vv_lsm *lsm, struct vv_pace_input *in)
{
    const struct vv_lsm_tuning *tuning = &lsm->options.tuning;
    uint64_t flushed =
        atomic_load_explicit(&lsm->counters.flush_bytes_written, memory_order_relaxed);
    uint64_t merged =
        atomic_load_explicit(&lsm->counters.compaction_bytes_written, memory_order_relaxed);
    *in = (struct vv_pace_input){
        .now_us = vv_env_now_us(lsm->options.env),
        .debt_bytes = atomic_load_explicit(&lsm->debt_bytes, memory_order_relaxed),
        .debt_free_bytes = tuning->memtable_bytes * 16 + (64 << 20),
        .memtable_bytes = vv_memtable_bytes(lsm->active) + frozen_bytes(lsm),
        .memtable_max_bytes = tuning->memtable_bytes * tuning->memtable_count,
        .merge_rate = atomic_load_explicit(&lsm->merge_rate, memory_order_relaxed),
        .flush_rate = atomic_load_explicit(&lsm->flush_rate, memory_order_relaxed),
        .merge_share = flushed == 0 || merged < flushed ? 1 : (double)merged / (double)flushed,
    };
}

/* Far from both limits nothing is measured: a put pays for two comparisons. */
static bool relaxed_locked(struct vv_lsm *lsm)
{
    return atomic_load_explicit(&lsm->debt_bytes, memory_order_relaxed) <
               lsm->options.tuning.memtable_bytes * 16 + (64 << 20) &&
           atomic_load_explicit(&lsm->frozen_hint, memory_order_relaxed) == 0;
}

int vv_lsm_admit(struct vv_engine *e, size_t size_bytes, uint64_t *wait_us)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_pace_input in;
    bool full = false;
    *wait_us = 0;
    vv_mutex_lock(&lsm->write_mu);
    if (!relaxed_locked(lsm)) {
        pace_input(lsm, &in);
        *wait_us = vv_pace_admit(&lsm->pace, &in, size_bytes, &full);
        if (memtable_full_locked(lsm, size_bytes) && !frozen_room(lsm))
            *wait_us = 1000;
        else if (full)
            *wait_us = 0; /* one large batch may go beyond the limit; more than one may not */
    }
    vv_mutex_unlock(&lsm->write_mu);
    if (*wait_us > 0)
        lsm->options.host->wake(lsm->options.host->context);
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ freezing */

/* Starts the next log. Groups that were appended and not yet published stand in an older one, which
 * the new memtable will need. */
static int rotate_locked(struct vv_lsm *lsm, uint64_t *number)
{
    vv_mutex_assert_held(&lsm->write_mu);
    *number = vv_lsm_next_file(lsm);
    return vv_wal_rotate(lsm->wal, *number, lsm->laid_seq);
}

static void push_frozen(struct vv_lsm *lsm, struct vv_memtable *next, struct vv_view *view)
{
    vv_mutex_lock(&lsm->mu);
    vv_assert(lsm->frozen_count < VV_FROZEN_MAX);
    lsm->frozen[lsm->frozen_count++] =
        (struct vv_frozen){lsm->active, lsm->active_log, lsm->active_id, lsm->found_seq};
    atomic_store_explicit(&lsm->frozen_hint, 1, memory_order_relaxed);
    struct vv_version *version = atomic_load(&lsm->view)->version;
    vv_view_fill_locked(lsm, view, next, version);
    struct vv_view *old = vv_lsm_swap_view_locked(lsm, view);
    vv_mutex_unlock(&lsm->mu);
    /* What readers kept until now is released by a background step: it may be a whole memtable. */
    vv_epoch_retire_later(lsm->epoch, vv_lsm_release_view, old);
}

int vv_lsm_freeze_locked(struct vv_lsm *lsm)
{
    vv_mutex_assert_held(&lsm->write_mu);
    struct vv_memtable *next = NULL;
    struct vv_view *view = NULL;
    uint64_t log = lsm->newest_log; /* without a log, a number above all there ever were */
    int rc = vv_memtable_new_from(vv_lsm_order(lsm), lsm->options.account, lsm->mempool, &next);
    if (rc < 0)
        return rc;
    if ((view = vv_alloc_zero(sizeof *view)) == NULL) {
        rc = VV_NOMEM;
        goto out;
    }
    if ((rc = vv_memtable_reserve(next, lsm->pending_bytes, lsm->pending_count)) < 0)
        goto out;
    if (lsm->wal != NULL) {
        if ((rc = rotate_locked(lsm, &log)) < 0)
            goto out;
        vv_wal_pin(lsm->wal, log);
        lsm->newest_log = log;
    }
    push_frozen(lsm, next, view);
    lsm->active = next;
    lsm->active_log = log;
    /* Groups that are not published yet stand in older logs, perhaps in more than one. */
    if (lsm->wal != NULL && lsm->pending_count > 0)
        lsm->active_log = vv_wal_log_behind(lsm->wal, lsm->found_seq);
    lsm->active_id++;
    lsm->active_weight = lsm->active_deletes = 0;
    next = NULL;
    view = NULL;
    lsm->options.host->wake(lsm->options.host->context);
out:
    vv_free(view);
    vv_memtable_unref(next);
    return rc;
}

/* ------------------------------------------------------------------------- append and publish */

/* An append failed with `rc`, and its writers will be told so: what the log may have got must never
 * come back, least of all without what is acknowledged later. A new log that cannot be made now is
 * made before the next append. */
static int refuse_locked(struct vv_lsm *lsm, int rc)
{
    vv_mutex_assert_held(&lsm->write_mu);
    char story[STORY_SIZE];
    uint64_t log;
    (void)snprintf(story, sizeof story, "%s", vv_error_story());
    int undo_rc = vv_wal_take_back(lsm->wal);
    if (undo_rc < 0)
        lsm->options.host->poison(lsm->options.host->context, undo_rc);
    else if (rotate_locked(lsm, &log) == VV_OK)
        lsm->newest_log = log;
    return vv_fail_again(rc, story);
}

static int lay_locked(struct vv_lsm *lsm, struct vv_write *const *group, size_t count)
{
    vv_mutex_assert_held(&lsm->write_mu);
    int rc = VV_OK;
    if (lsm->wal == NULL)
        return VV_OK;
    if (vv_wal_broken(lsm->wal)) {
        uint64_t log;
        if ((rc = rotate_locked(lsm, &log)) < 0)
            return rc;
        lsm->newest_log = log;
    }
    rc = vv_wal_append(lsm->wal, group, count);
    return rc < 0 ? refuse_locked(lsm, rc) : VV_OK;
}

static int append_locked(struct vv_lsm *lsm, struct vv_write *const *group, size_t count)
{
    size_t bytes = 0;
    size_t entries = 0;
    int rc;
    for (size_t i = 0; i < count; i++) {
        bytes += group[i]->ops.size;
        entries += group[i]->count;
    }
    if (memtable_full_locked(lsm, bytes + entries * ENTRY_OVERHEAD) && frozen_room(lsm) &&
        (rc = vv_lsm_freeze_locked(lsm)) < 0)
        return rc;
    if ((rc = vv_memtable_reserve(lsm->active, bytes + lsm->pending_bytes,
                                  entries + lsm->pending_count)) < 0)
        return rc;
    if ((rc = lay_locked(lsm, group, count)) < 0)
        return rc;
    const struct vv_write *last = group[count - 1];
    lsm->laid_seq = last->first + last->count - 1;
    lsm->pending_bytes += bytes;
    lsm->pending_count += entries;
    return VV_OK;
}

int vv_lsm_append(struct vv_engine *e, struct vv_write *const *group, size_t count)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    vv_mutex_lock(&lsm->write_mu);
    uint64_t before = lsm->wal != NULL ? vv_wal_appended_bytes(lsm->wal) : 0;
    int rc = append_locked(lsm, group, count);
    uint64_t after = lsm->wal != NULL ? vv_wal_appended_bytes(lsm->wal) : 0;
    vv_mutex_unlock(&lsm->write_mu);
    if (before / VV_LOG_PUSH_BYTES != after / VV_LOG_PUSH_BYTES)
        lsm->options.host->wake(lsm->options.host->context); /* a background step pushes it */
    return rc;
}

/* How much the memtable holds or hides of what is stored: for telling when flushing it is worth it
 * though it is not full. */
static void weigh_locked(struct vv_lsm *lsm, const struct vv_entry *entry)
{
    struct vv_ref ref;
    uint64_t value_bytes = entry->value.size;
    if (vv_kind_is_ref(entry->kind) &&
        vv_ref_decode(vv_expiry_strip(entry->kind, entry->value), &ref))
        value_bytes = ref.size_bytes;
    lsm->active_weight += entry->key.size + value_bytes;
    if (entry->kind == VV_KIND_DELETE_RANGE)
        lsm->active_deletes += VV_RANGE_HIDES;
    else
        lsm->active_deletes += entry->kind == VV_KIND_DELETE ? 1 : 0;
}

static int publish_one_locked(struct vv_lsm *lsm, const struct vv_write *write)
{
    struct vv_reader r = vv_reader_of(write->ops);
    struct vv_entry entry = {.seq = write->first};
    int rc;
    while ((rc = vv_batch_next(&r, &entry)) == VV_OK) {
        if ((rc = vv_memtable_insert(lsm->active, &entry)) < 0)
            return rc;
        weigh_locked(lsm, &entry);
        if (vv_kind_is_ref(entry.kind) && write->has_refs) {
            vv_slice ref = vv_expiry_strip(entry.kind, entry.value);
            vv_lsm_stow_found(lsm, vv_get_u32(ref.data), lsm->active_id);
        }
        entry.seq++;
    }
    return rc == VV_END ? VV_OK : rc;
}

int vv_lsm_publish(struct vv_engine *e, struct vv_write *const *group, size_t count)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    int rc = VV_OK;
    vv_mutex_lock(&lsm->write_mu);
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        rc = publish_one_locked(lsm, group[i]);
        lsm->found_seq = group[i]->first + group[i]->count - 1;
        lsm->pending_bytes -= group[i]->ops.size;
        lsm->pending_count -= group[i]->count;
    }
    atomic_store_explicit(&lsm->write_clock, lsm->found_seq, memory_order_relaxed);
    vv_mutex_unlock(&lsm->write_mu);
    return rc;
}

void vv_lsm_note_failed_sync(struct vv_lsm *lsm, int rc)
{
    vv_mutex_assert_held(&lsm->sync_mu);
    if (lsm->sync_failure < 0)
        return;
    lsm->sync_failure = rc;
    (void)snprintf(lsm->sync_story, sizeof lsm->sync_story, "%s", vv_error_story());
}

/* Values first, and of the log only what stood there before: see vv_wal_sync. */
int vv_lsm_sync(struct vv_engine *e)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    if (lsm->wal == NULL)
        return VV_OK;
    vv_mutex_lock(&lsm->sync_mu);
    struct vv_wal_mark mark = vv_wal_here(lsm->wal);
    int rc = lsm->sync_failure < 0 ? vv_fail_again(lsm->sync_failure, lsm->sync_story)
                                   : vv_lsm_stow_sync(lsm);
    if (rc == VV_OK && (rc = vv_wal_sync(lsm->wal, mark)) < 0)
        vv_lsm_note_failed_sync(lsm, rc);
    vv_mutex_unlock(&lsm->sync_mu);
    vv_count(&lsm->counters.syncs, 1);
    return rc;
}
