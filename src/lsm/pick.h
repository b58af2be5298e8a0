/*
 * Decides what to compact. Pure: numbers and a version in, a plan out; nothing here waits, reads or
 * writes files.
 */
#ifndef VV_LSM_PICK_H
#define VV_LSM_PICK_H

#include "base/buf.h"
#include "lsm/version.h"

/* How many entries a range tombstone is thought to hide. It is not known: more than one, or nobody
 * would have taken a range. */
enum { VV_RANGE_HIDES = 1000 };

/* Sizes that shape the tree; all bytes. */
struct vv_shape {
    uint64_t base_bytes; /* target of the level that level 0 merges into, at least */
    uint32_t ratio;      /* between the targets of neighbouring levels: 10 */
    uint32_t l0_runs;    /* runs at level 0 that ask for a merge: 4 */
    uint64_t
        table_bytes; /* aimed-at table size at the base level; doubles per level, 4 × at most */
};

/* Targets of the dynamic levels: the last level is as large as it is; the ones above are each
 * `ratio` smaller, up to the base level, which is the first whose target is not above base_bytes
 * × ratio. Levels between 0 and base stay empty. */
struct vv_targets {
    int base;                  /* 1 … 6: where level 0 goes */
    uint64_t bytes[VV_LEVELS]; /* 0 for levels that should be empty */
};

struct vv_targets vv_pick_targets(const struct vv_version *v, const struct vv_shape *shape);

enum vv_plan_reason {
    VV_PLAN_NONE,    /* nothing to do */
    VV_PLAN_L0,      /* too many runs at level 0 */
    VV_PLAN_SIZE,    /* a level above its target */
    VV_PLAN_SPACE,   /* idle: overwritten or deleted data takes too much room */
    VV_PLAN_MANUAL,  /* somebody asked */
    VV_PLAN_EXPIRED, /* a table of which much has expired */
};

/* A job: merge the input tables of `from` with those of `to` that they overlap, into `to`. */
struct vv_plan {
    enum vv_plan_reason reason;
    int from, to;
    struct vv_table_meta **inputs[2]; /* of `from` (level 0: oldest first) and of `to` */
    size_t input_count[2];
    uint64_t input_bytes;
    bool trivial; /* nothing to merge with: the tables of `from` move down as they are */
    bool last;    /* no table below `to` overlaps the inputs: tombstones may go */
    double score;
};

void vv_plan_deinit(struct vv_plan *plan); /* zeroed is fine; holds no references */

/* The most urgent job that shares no input, and no overlapping output range in the same level, with
 * a claimed table (meta->job != 0), or reason NONE. Inside a level: the table with the lowest ratio
 * of overlapping bytes below to its own bytes, ties by share of tombstones, then age. For level 0:
 * starting from a table of the oldest run, all older level-0 tables that overlap are included, to
 * a fixpoint, and newer ones where they add no new overlap below. `idle`: nobody has written for a
 * while, so that VV_PLAN_SPACE is considered: it aims at upper levels (counted in raw bytes plus
 * what their tombstones hide) of at most a twentieth of the last level. VV_NOMEM. */
VV_MUST int vv_pick(const struct vv_version *v, const struct vv_shape *shape, bool idle,
                    struct vv_plan *out);

/* A job that takes a table of which at least a quarter has expired by `now_ms`, and of that level the
 * one that did so first, one level down; or rewrites it in place in the last. For when vv_pick has
 * nothing. VV_NOMEM. */
VV_MUST int vv_pick_expired(const struct vv_version *v, const struct vv_shape *shape,
                            uint64_t now_ms, struct vv_plan *out);

/* The same for level 0 alone, however full the others are. */
VV_MUST int vv_pick_zero(const struct vv_version *v, const struct vv_shape *shape,
                         struct vv_plan *out);

struct vv_pick_request {
    vv_slice from, to; /* data NULL: open end */
    uint64_t before;   /* a file number */
    vv_seq through;    /* a table with only later entries does not count, or who writes on and on
                        * would keep the compaction from ever being done */
};

/* The next job of a manual compaction of [from, to] down to the last level that has data: the
 * topmost level with an overlapping table. In the last level itself, tables
 * made before file number `before` that have tombstones or more than one version are rewritten
 * in place. NONE when all of the range is in the last level and clean; VV_BUSY
 * as a positive outcome is not used: when claimed tables are in the way the plan is NONE and
 * `*blocked` is set. */
VV_MUST int vv_pick_range(const struct vv_version *v, const struct vv_shape *shape,
                          const struct vv_pick_request *request, struct vv_plan *out,
                          bool *blocked);

/* Bytes of compaction that the version calls for until every score is below one: per level, what is
 * above its target times (1 + overlap ratio with the next). */
uint64_t vv_pick_debt(const struct vv_version *v, const struct vv_shape *shape);

/* Where flush outputs should be cut: the user keys that end every `count`-th table of the base level
 * so that pieces move down on their own. Appends slices (vv_slice) to `out`. */
VV_MUST int vv_pick_flush_splits(const struct vv_version *v, const struct vv_shape *shape,
                                 struct vv_buf *out);

#endif
