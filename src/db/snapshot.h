/*
 * The set of open snapshots: which moments must stay readable.
 *
 * A new snapshot is at the visible sequence, which never falls, and reads it under the set's lock:
 * so appending keeps the set sorted, and a compaction that asked for the set cannot miss a snapshot
 * that sees less than it was told.
 */
#ifndef VV_DB_SNAPSHOT_H
#define VV_DB_SNAPSHOT_H

#include "base/buf.h"
#include "env/thread.h"
#include "kv/entry.h"

#include <varve/varve.h>

struct varve_snapshot {
    varve *db;  /* referenced */
    vv_seq seq; /* constant */
    struct varve_snapshot *older, *newer;
};

struct vv_snapshots {
    const _Atomic(vv_seq) *visible; /* constant */

    struct vv_mutex mu; /* protects all below; rank 940: engines ask while holding their own */
    struct varve_snapshot *oldest, *newest;
    uint64_t count;
};

void vv_snapshots_init(struct vv_snapshots *set, const _Atomic(vv_seq) *visible);
void vv_snapshots_deinit(struct vv_snapshots *set);

/* Puts `snapshot` into the set at the visible sequence. */
void vv_snapshots_add(struct vv_snapshots *set, struct varve_snapshot *snapshot);
void vv_snapshots_remove(struct vv_snapshots *set, struct varve_snapshot *snapshot);
uint64_t vv_snapshots_count(struct vv_snapshots *set);

/* Appends each sequence once, ascending, and last the visible one. */
VV_MUST int vv_snapshots_list(struct vv_snapshots *set, struct vv_buf *out);

#endif
