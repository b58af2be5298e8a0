/*
 * Background work: threads that tend the engine, and the one that syncs at level `interval`.
 *
 * Workers sleep until the engine says that there may be work; each step they have done wakes those
 * who wait for its effect: writers that are held back, callers of flush, compact and settle. A
 * stepped store has no threads: whoever would wait tends instead.
 */
#ifndef VV_DB_WORK_H
#define VV_DB_WORK_H

#include "db/guard.h"
#include "db/poison.h"
#include "env/env.h"
#include "kv/engine.h"

struct vv_commit;

enum { VV_WORKERS_MAX = 16 };

struct vv_work {
    /* Constant after start. */
    struct vv_env *env;
    struct vv_engine *engine;
    const struct vv_guard *guard;
    struct vv_commit *commit;
    bool stepped; /* or stopped */
    uint64_t interval_us;
    struct vv_thread *workers[VV_WORKERS_MAX];
    struct vv_thread *syncer; /* NULL without interval syncs */

    struct vv_mutex mu;  /* protects all below; rank 950: engines wake while holding their own */
    struct vv_cond wake; /* for workers */
    struct vv_cond progress; /* for those who wait for them */
    struct vv_cond tick;     /* for the syncer */
    uint64_t wakes;          /* calls so far: who went idle before the latest looks again */
    uint32_t worker_count;
    uint32_t idle_count; /* workers that have looked since the latest wake, and found nothing */
    uint64_t steps;      /* moves whenever `progress` is signalled */
    bool stop;
    int failure; /* of the latest step, or VV_OK */
    uint64_t failures;
    char story[VV_STORY_SIZE]; /* of `failure` */
};

struct vv_work_setup {
    struct vv_env *env;
    struct vv_engine *engine;
    const struct vv_guard *guard;
    struct vv_commit *commit;
    bool stepped;
    uint32_t threads;
    uint64_t interval_us; /* 0: no interval syncs */
};

/* Two halves: the engine may call vv_work_wake between them, while it is being opened. */
void vv_work_init(struct vv_work *w);
VV_MUST int vv_work_start(struct vv_work *w, const struct vv_work_setup *setup);
/* Joins; fine when not started, and twice. Nobody else may use the work by now. */
void vv_work_stop(struct vv_work *w);
void vv_work_deinit(struct vv_work *w);

/* May be called with any lock held. */
void vv_work_wake(struct vv_work *w);

/* Lets everybody who waits look at the guard again. */
void vv_work_nudge(struct vv_work *w);

/* One step, by the caller. */
VV_MUST int vv_work_tend(struct vv_work *w, enum vv_tended *out);

/* Gives background work at most `us` to get on; the failure of it if it cannot. */
VV_MUST int vv_work_give_way(struct vv_work *w, uint64_t us);

/* Waits until `done(engine, ticket)`. VV_CLOSED when the store closes meanwhile, the failure when a
 * step fails. */
VV_MUST int vv_work_await(struct vv_work *w, bool (*done)(struct vv_engine *, uint64_t),
                          uint64_t ticket);

/* Waits until there is nothing left to do. */
VV_MUST int vv_work_settle(struct vv_work *w);

#endif
