/*
 * A draft: a set of tables that could be one job, before it becomes a plan. Private to picking.
 */
#ifndef VV_LSM_DRAFT_H
#define VV_LSM_DRAFT_H

#include "lsm/pick.h"

/* What a running job has claimed: all its inputs lie in the levels and keys of its span, and so will
 * its outputs, in level `to`; where only one level is claimed, `to` is not known. */
struct vv_span {
    uint32_t job;
    int from, to;
    vv_slice low, high;
};

struct vv_picker {
    const struct vv_version *v;
    const struct vv_shape *shape;
    struct vv_targets targets;
    int ideal; /* the base level if all levels above it were empty */
    struct vv_span *spans;
    size_t span_count;
    uint64_t leaving[VV_LEVELS];       /* bytes that running jobs take away from each level */
    struct vv_table_meta **scratch[2]; /* each with room for all tables of level 0 */
};

/* VV_NOMEM. vv_picker_deinit takes a zeroed one, and one that could not be made. */
VV_MUST int vv_picker_init(struct vv_picker *p, const struct vv_version *v,
                           const struct vv_shape *shape);
void vv_picker_deinit(struct vv_picker *p);

/* What to look for. */
struct vv_want {
    int from, to;
    struct vv_run_range range; /* of the tables of `from` to begin with; not for level 0 */
    vv_slice low, high;        /* level 0: one that overlaps this (data NULL: open end) */
    uint64_t enough;           /* bytes of tables that merely move after which to stop */
    double hidden_bytes;       /* what a tombstone counts beside the bytes of its table */
    vv_seq through;            /* tables with later entries only are none to begin with */
    enum { VV_MOVE_ALL, VV_MOVE_CLEAN } move; /* which tables may move down as they are */
};

struct vv_draft {
    int from, to;
    struct vv_table_meta **tables; /* of the version or the scratch; level 0: in no order */
    size_t count;
    struct vv_run_range below; /* what they overlap in `to` */
    uint64_t bytes;
    uint64_t below_bytes;
    bool moves; /* nothing has to be merged */
    double ratio, density;
    uint64_t number; /* of the table it began with, for ties */
};

/* The best draft of a level, or of level 0, that no running job is in the way of. False when there
 * is none. Only one draft of level 0 exists at a time. */
bool vv_draft_level(const struct vv_picker *p, const struct vv_want *want, struct vv_draft *out);
bool vv_draft_zero(struct vv_picker *p, const struct vv_want *want, struct vv_draft *out);

/* Tables of the last level, to be rewritten where they are. */
bool vv_draft_rewrite(const struct vv_picker *p, struct vv_run_range range, uint64_t before,
                      struct vv_draft *out, bool *blocked);

VV_MUST int vv_draft_finish(const struct vv_picker *p, const struct vv_draft *draft,
                            enum vv_plan_reason reason, struct vv_plan *out);

/* About how many entries the table's tombstones hide. */
static inline double vv_table_hides(const struct vv_table_meta *t)
{
    return (double)t->facts.tombstones + VV_RANGE_HIDES * (double)t->facts.ranges;
}

/* Whether a merge would leave the table as it is, now and ever: one version of each key, settled, no
 * tombstones, nothing that expires. */
static inline bool vv_table_clean(const struct vv_table_meta *t)
{
    return t->facts.tombstones == 0 && t->facts.ranges == 0 && t->facts.max_seq == 0 &&
           t->facts.expiring == 0;
}

#endif
