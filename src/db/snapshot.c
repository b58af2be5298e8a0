#include "db/snapshot.h"

#include "db/store.h"

enum { RANK_SNAPSHOTS = 940 };

void vv_snapshots_init(struct vv_snapshots *set, const _Atomic(vv_seq) *visible)
{
    *set = (struct vv_snapshots){.visible = visible};
    vv_mutex_init(&set->mu, RANK_SNAPSHOTS);
}

void vv_snapshots_deinit(struct vv_snapshots *set)
{
    vv_mutex_deinit(&set->mu);
}

void vv_snapshots_add(struct vv_snapshots *set, struct varve_snapshot *snapshot)
{
    vv_mutex_lock(&set->mu);
    snapshot->seq = atomic_load_explicit(set->visible, memory_order_acquire);
    snapshot->older = set->newest;
    snapshot->newer = NULL;
    if (set->newest != NULL)
        set->newest->newer = snapshot;
    else
        set->oldest = snapshot;
    set->newest = snapshot;
    set->count++;
    vv_mutex_unlock(&set->mu);
}

void vv_snapshots_remove(struct vv_snapshots *set, struct varve_snapshot *snapshot)
{
    vv_mutex_lock(&set->mu);
    *(snapshot->older != NULL ? &snapshot->older->newer : &set->oldest) = snapshot->newer;
    *(snapshot->newer != NULL ? &snapshot->newer->older : &set->newest) = snapshot->older;
    set->count--;
    vv_mutex_unlock(&set->mu);
}

uint64_t vv_snapshots_count(struct vv_snapshots *set)
{
    vv_mutex_lock(&set->mu);
    uint64_t count = set->count;
    vv_mutex_unlock(&set->mu);
    return count;
}

static int list_locked(const struct vv_snapshots *set, struct vv_buf *out)
{
    vv_mutex_assert_held(&set->mu);
    vv_seq visible = atomic_load_explicit(set->visible, memory_order_acquire);
    int rc = vv_buf_reserve(out, (set->count + 1) * sizeof(vv_seq));
    if (rc < 0)
        return rc;
    const struct varve_snapshot *s = set->oldest;
    for (; s != NULL && s->seq < visible; s = s->newer)
        if (s->older == NULL || s->older->seq < s->seq)
            if ((rc = vv_buf_append(out, &s->seq, sizeof s->seq)) < 0)
                return rc;
    return vv_buf_append(out, &visible, sizeof visible);
}

int vv_snapshots_list(struct vv_snapshots *set, struct vv_buf *out)
{
    vv_mutex_lock(&set->mu);
    int rc = list_locked(set, out);
    vv_mutex_unlock(&set->mu);
    return rc;
}

/* ---- the public handle */

int varve_snapshot_new(varve *db, varve_snapshot **out)
{
    struct vv_call call;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the snapshot");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    varve_snapshot *snapshot = vv_alloc_zero(sizeof *snapshot);
    if (snapshot == NULL) {
        rc = VV_NOMEM;
    } else {
        snapshot->db = db;
        vv_guard_ref(&db->root->guard);
        vv_mutex_lock(&db->store->refresh_mu);
        vv_snapshots_add(&db->store->snapshots, snapshot);
        vv_mutex_unlock(&db->store->refresh_mu);
        *out = snapshot;
    }
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

void varve_snapshot_release(varve_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    varve *db = snapshot->db;
    /* In a forked child the lock may be held for ever by a thread that does not exist. */
    if (!vv_guard_forked(&db->root->guard))
        vv_snapshots_remove(&db->store->snapshots, snapshot);
    vv_free(snapshot);
    vv_store_unref(db);
}
