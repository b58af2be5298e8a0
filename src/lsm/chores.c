/*
 * Chores: what keeps a store in order beside flushing and merging.
 *
 *   - seal value files that are full;
 *   - write a spare log in advance, where every commit is synced;
 *   - when nobody writes: flush a memtable that hides much of what is stored, and begin a new value
 *     file when the present one is mostly garbage, so that both can be cleaned up; then give back
 *     the memory that is kept for memtables.
 */
#include "lsm/job.h"

/* Below this a memtable is not flushed early, unless somebody waits for the store to settle. */
enum { EARLY_FLUSH_BYTES = 1 << 20 };

enum { SHRINK_REGIONS = 16 }; /* of the memory for memtables, given back in one step */

static int make_spare(struct vv_lsm *lsm, bool *worked)
{
    if (lsm->wal == NULL || !vv_wal_wants_spare(lsm->wal))
        return VV_OK;
    vv_mutex_lock(&lsm->mu);
    bool mine = !lsm->making_spare;
    lsm->making_spare = true;
    vv_mutex_unlock(&lsm->mu);
    if (!mine)
        return VV_OK;
    *worked = true;
    int rc = vv_wal_prepare_spare(lsm->wal, vv_lsm_next_file(lsm));
    vv_mutex_lock(&lsm->mu);
    lsm->making_spare = false;
    vv_mutex_unlock(&lsm->mu);
    return rc;
}

struct amount {
    uint64_t raw_bytes;
    uint64_t puts;
};

static struct amount stored_amount(struct vv_lsm *lsm)
{
    struct amount amount = {0, 0};
    struct vv_version *version = vv_lsm_version(lsm);
    for (int level = 0; level < VV_LEVELS; level++) {
        for (size_t i = 0; i < version->levels[level].count; i++) {
            const struct vv_table_facts *facts = &version->levels[level].tables[i]->facts;
            amount.raw_bytes += facts->raw_bytes;
            amount.puts += facts->entries - facts->tombstones;
        }
    }
    vv_version_unref(version);
    return amount;
}

/* A memtable that holds or hides a twentieth of what the tables hold is worth flushing. */
static int flush_early(struct vv_lsm *lsm, bool waited_for, bool *worked)
{
    struct amount stored = stored_amount(lsm);
    uint64_t average = stored.puts > 0 ? stored.raw_bytes / stored.puts : 0;
    vv_mutex_lock(&lsm->write_mu);
    uint64_t weight = lsm->active_weight + lsm->active_deletes * average;
    bool worth = vv_memtable_count(lsm->active) > 0 && weight * 20 > stored.raw_bytes &&
                 (waited_for || weight >= EARLY_FLUSH_BYTES);
    vv_mutex_unlock(&lsm->write_mu);
    if (!worth)
        return VV_OK;
    uint64_t ticket;
    *worked = true;
    return vv_lsm_flush_begin(&lsm->base, &ticket);
}

static void rotate_rotten_file(struct vv_lsm *lsm, bool *worked)
{
    uint64_t number;
    uint64_t bytes;
    if (!vv_lsm_stow_at_rest(lsm, &number, &bytes))
        return;
    struct vv_version *version = vv_lsm_version(lsm);
    uint64_t live = vv_version_live_bytes(version, number);
    vv_version_unref(version);
    if (live < bytes && (bytes - live) * 10 > bytes) {
        vv_lsm_stow_rotate(lsm, number);
        *worked = true;
    }
}

static int do_idle_chore(struct vv_lsm *lsm, bool *worked)
{
    vv_mutex_lock(&lsm->mu);
    bool idle = vv_lsm_idle_locked(lsm) && lsm->pauses == 0 && lsm->frozen_count == 0;
    bool waited_for = lsm->settlers > 0;
    bool shrunk = false;
    vv_mutex_unlock(&lsm->mu);
    if (!idle)
        return VV_OK;
    int rc = flush_early(lsm, waited_for, worked);
    if (rc == VV_OK && !*worked)
        rotate_rotten_file(lsm, worked);
    for (int i = 0; rc == VV_OK && !*worked && i < SHRINK_REGIONS; i++)
        shrunk = vv_mempool_shrink(lsm->mempool) || shrunk;
    *worked = *worked || shrunk;
    return rc;
}

int vv_lsm_do_chore(struct vv_lsm *lsm, bool *worked)
{
    int rc = vv_lsm_stow_seal(lsm, worked);
    if (rc == VV_OK && !*worked)
        rc = make_spare(lsm, worked);
    if (rc == VV_OK && !*worked)
        rc = do_idle_chore(lsm, worked);
    return rc;
}
