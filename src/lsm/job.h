/*
 * A job: background work that goes in bounded steps, so that more urgent work is never far away.
 */
#ifndef VV_LSM_JOB_H
#define VV_LSM_JOB_H

#include "lsm/tree.h"

/* The order in which jobs run; a lower number goes first. */
enum vv_urgency { VV_URGENT_FLUSH, VV_URGENT_L0, VV_URGENT_MERGE, VV_URGENT_SPACE };

struct vv_job_ops {
    /* One bounded step; *done when there is nothing left to do. */
    int (*step)(struct vv_job *job, bool *done);
    /* Releases everything, also half-way: what was not installed is removed. mu is not held. */
    void (*free)(struct vv_job *job);
};

/* Embedded as the first member of each kind of job. */
struct vv_job {
    const struct vv_job_ops *ops;
    struct vv_lsm *lsm;
    enum vv_urgency urgency;
    uint32_t id;  /* never 0; what claimed tables carry */
    bool running; /* a thread is in a step; guarded by mu */
    bool is_flush;
    bool is_collection;
    struct vv_job *next;
};

/* Merges all frozen memtables of now into level-0 tables. VV_NOTFOUND when there are none. */
VV_MUST int vv_flush_job_new(struct vv_lsm *lsm, struct vv_job **out);

/* Carries out a plan, whose inputs it claims for job `id`. mu is held. The plan is taken over. */
VV_MUST int vv_merge_job_new_locked(struct vv_lsm *lsm, struct vv_version *version, uint32_t id,
                                    struct vv_plan *plan_take, struct vv_job **out);

/* Takes out the tables that range tombstones cover whole. VV_NOTFOUND when there are none, or nothing
 * has changed since it was asked last. */
VV_MUST int vv_drop_job_new(struct vv_lsm *lsm, struct vv_job **out);

/* Rewrites value files with much garbage. VV_NOTFOUND when there are none. `idle` lowers the
 * threshold. */
VV_MUST int vv_collect_job_new(struct vv_lsm *lsm, bool idle, struct vv_job **out);

/* A value file that may be collected. */
struct vv_collect_candidate {
    uint64_t bytes;      /* of its records */
    uint64_t live_bytes; /* of these, referred to */
};

enum { VV_COLLECT_FILES_MAX = 16 };

/* Which of the files to collect together into one of about `target` bytes: indexes into `picked`,
 * which has room for VV_COLLECT_FILES_MAX; gives their count. Pure. */
size_t vv_collect_pick(const struct vv_collect_candidate *files, size_t count, uint64_t target,
                       bool idle, size_t *picked);

/* Bytes of garbage in the value files of the version. */
uint64_t vv_collect_garbage(struct vv_lsm *lsm, const struct vv_version *version);

/* Adds a measured speed to a smoothed average. */
void vv_job_measure(_Atomic(uint64_t) *rate, uint64_t bytes, uint64_t us);

#endif
