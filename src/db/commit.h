/*
 * The commit queue: many writers, one order.
 *
 *      writers ──▶ queue ──▶ leader takes a group: admit, number, append ── laid
 *                                │                          │ somebody wants `disk`
 *                                │                          ▼
 *                                │            settling: one sync for all groups laid before ── safe
 *                                ▼                          │
 *                            publish ◀──────────────────────┘                             ── found
 *                                ▼
 *                            visible sequence moves, strictly in order; writers return    ── visible
 *
 * Whoever finds the queue empty leads. A leader that has committed its group goes on with the next,
 * a few times over: waking a sleeper to lead would leave the queue standing for as long as that
 * takes. While a group waits for its sync the next leader may append already; such groups are
 * published together, in order, by whoever ran the sync that covers them.
 *
 * A group that does not sync takes no member that wants to.
 */
#ifndef VV_DB_COMMIT_H
#define VV_DB_COMMIT_H

#include "db/poison.h"
#include "env/env.h"
#include "kv/engine.h"

#include <stdalign.h>

struct vv_work;
struct commit_member;
struct commit_group;

enum { VV_COMMIT_PARKINGS = 16 };

enum vv_commit_level {
    VV_COMMIT_LAID, /* return when laid */
    VV_COMMIT_SAFE, /* return when synced */
};

/* Where writers sleep; shared by those whose address falls here. Rank 20. */
struct vv_parking {
    struct vv_mutex mu;
    struct vv_cond cond;
};

struct vv_commit {
    /* Constant after init. */
    struct vv_env *env;
    struct vv_engine *engine;
    struct vv_work *work;
    struct vv_poison *poison;
    _Atomic(vv_seq) *visible;
    unsigned spins;

    alignas(64) _Atomic(struct commit_member *) newest; /* the queue, newest first */
    vv_seq seq_last;                                    /* given out; the leader's */
    _Atomic(vv_seq) appended; /* laid up to here; released after the append, for those who sync */
    /* Groups that are laid and not published. The leader alone adds; zero, acquired, means that
     * nobody but the leader publishes. */
    _Atomic(uint32_t) unsettled;
    _Atomic(uint64_t) stall_us, stall_longest_us;

    struct vv_mutex engine_mu; /* append and publish exclude each other; rank 14 */

    struct vv_mutex settle_mu; /* protects the three below; rank 16 */
    struct vv_cond settled;
    struct commit_group *oldest, *last; /* laid and waiting, in order */
    bool settling;                      /* somebody syncs and publishes */

    struct vv_mutex sync_mu;     /* one sync at a time; protects the one below; rank 18 */
    vv_seq synced;               /* safe up to here */
    _Atomic(uint64_t) synced_us; /* when that was; relaxed, for pacing only */

    struct vv_parking parkings[VV_COMMIT_PARKINGS];
};

struct vv_commit_setup {
    struct vv_env *env;
    struct vv_engine *engine;
    struct vv_work *work;
    struct vv_poison *poison;
    _Atomic(vv_seq) *visible; /* holds the last recovered sequence */
    uint32_t cpu_count;
};

void vv_commit_init(struct vv_commit *c, const struct vv_commit_setup *setup);
void vv_commit_deinit(struct vv_commit *c);

/* Commits the write and returns when it is visible, and safe if `level` says so. On failure it is
 * neither, and never will be (a recovery after a failed sync may find it, as after a crash). */
VV_MUST int vv_commit_write(struct vv_commit *c, struct vv_write *write,
                            enum vv_commit_level level);

/* Makes safe all that was appended before the call. A failure poisons the store. */
VV_MUST int vv_commit_sync(struct vv_commit *c);

/* Whether something was appended that no sync has covered. */
bool vv_commit_unsynced(struct vv_commit *c);

#endif
