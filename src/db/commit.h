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
 *
 * Some writes rely on what was read before them (watch.h). Their thread looks first, and the leader
 * again for what came since, before it gives numbers. If it must ask the engine, all before it must
 * be published: such a write stands first in its group, and the leader waits. One that is refused
 * leaves the queue with the group and the rest of the group goes on.
 *
 * Holding the queue is leading it for a while: a holder waits for its turn like a writer, and then
 * all who come later stand behind it.
 */
#ifndef VV_DB_COMMIT_H
#define VV_DB_COMMIT_H

#include "db/gaps.h"
#include "db/poison.h"
#include "db/watch.h"
#include "env/env.h"
#include "kv/engine.h"

#include <stdalign.h>

struct vv_news;
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
    struct vv_news *news;
    _Atomic(vv_seq) *visible;
    unsigned spins;
    struct vv_watch watch;
    struct vv_gaps gaps;

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

    _Atomic(uintptr_t) holder;  /* the thread that used the hold last, or 0 */
    struct vv_mutex hold_mu;    /* protects the three below; rank 13 */
    struct commit_member *hold; /* leads, and nobody is at it; or NULL */
    uint64_t hold_id, last_hold_id;
};

struct vv_commit_setup {
    struct vv_env *env;
    struct vv_engine *engine;
    struct vv_work *work;
    struct vv_poison *poison;
    struct vv_news *news;
    struct vv_account *account;
    _Atomic(vv_seq) *visible; /* holds the last recovered sequence */
    uint32_t cpu_count;
};

void vv_commit_init(struct vv_commit *c, const struct vv_commit_setup *setup);
void vv_commit_deinit(struct vv_commit *c);

/* Commits the write and returns when it is visible, and safe if `level` says so. On failure it is
 * neither, and never will be (a recovery after a failed sync may find it, as after a crash). */
VV_MUST int vv_commit_write(struct vv_commit *c, struct vv_write *write,
                            enum vv_commit_level level);

/* The same, unless something that the write relies on has changed since: then VV_CONFLICT, and
 * nothing was written. The reliance's moment is being watched (c->watch). */
VV_MUST int vv_commit_checked(struct vv_commit *c, struct vv_write *write,
                              enum vv_commit_level level, const struct vv_reliance *reliance);

/* Waits for its turn, for at most `wait_ms` (UINT32_MAX: for as long as it takes), and holds the
 * queue then: all before it is visible, and nobody else's write goes on until the hold is written
 * with or let go. VV_BUSY when the time ran out, or when this thread holds the queue already. */
VV_MUST int vv_commit_hold(struct vv_commit *c, uint32_t wait_ms, uint64_t *id);
/* Commits as vv_commit_write, ahead of all who wait, and lets go, also on failure. VV_CLOSED when the
 * hold was taken away. */
VV_MUST int vv_commit_write_held(struct vv_commit *c, uint64_t id, struct vv_write *write,
                                 enum vv_commit_level level);
/* Nothing when the hold was let go already or taken away. */
void vv_commit_let_go(struct vv_commit *c, uint64_t id);
/* The calling thread uses the hold now. Writes of its own beside the hold would wait for itself: they
 * are VV_BUSY. */
void vv_commit_use_hold(struct vv_commit *c);
/* Takes the hold away from whoever has it, so that the store can close. */
void vv_commit_evict(struct vv_commit *c);

/* VV_BUSY when this thread holds the queue, and so would wait for itself. */
VV_MUST int vv_commit_check_turn(const struct vv_commit *c);

/* Waits for its turn, and when all before it is visible calls `run` with the next sequence, which is
 * visible if that succeeds. Nobody else's write goes on meanwhile; `size_bytes` is what it brings. VV_BUSY
 * when this thread holds the queue; else what `run` says. */
VV_MUST int vv_commit_alone(struct vv_commit *c, size_t size_bytes,
                            int (*run)(void *context, vv_seq seq), void *context);

/* Makes safe all that was appended before the call. A failure poisons the store. */
VV_MUST int vv_commit_sync(struct vv_commit *c);

/* Whether something was appended that no sync has covered. */
bool vv_commit_unsynced(struct vv_commit *c);

#endif
