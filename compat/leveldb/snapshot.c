/*
 * Snapshots.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

const leveldb_snapshot_t *leveldb_create_snapshot(leveldb_t *db)
{
    leveldb_snapshot_t *snapshot = vv_leveldb_new(sizeof *snapshot);
    if (varve_snapshot_new(db->db, &snapshot->snapshot) < 0) {
        /* Without memory. NULL would read as "now", and show what it must not. */
        (void)fprintf(stderr, "libleveldb: no snapshot: %s\n", varve_last_error());
        abort();
    }
    atomic_init(&snapshot->refs, 1);
    return snapshot;
}

leveldb_snapshot_t *vv_leveldb_snapshot_ref(const leveldb_snapshot_t *snapshot)
{
    /* Const is the API's way of saying that the moment does not change; the count does. */
    leveldb_snapshot_t *own = (leveldb_snapshot_t *)(uintptr_t)snapshot;
    if (own != NULL)
        (void)atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    return own;
}

void vv_leveldb_snapshot_unref(leveldb_snapshot_t *snapshot)
{
    /* Release what this holder did to the one who frees; that one acquires it. */
    if (snapshot == NULL || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) > 1)
        return;
    varve_snapshot_release(snapshot->snapshot);
    free(snapshot);
}

void leveldb_release_snapshot(leveldb_t *db, const leveldb_snapshot_t *snapshot)
{
    (void)db;
    vv_leveldb_snapshot_unref((leveldb_snapshot_t *)(uintptr_t)snapshot);
}
