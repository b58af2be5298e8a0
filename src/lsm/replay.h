/*
 * Replaying the write-ahead logs at open: which of their records count, and into the memtable with
 * them. The result is always a prefix of the commit order.
 */
#ifndef VV_LSM_REPLAY_H
#define VV_LSM_REPLAY_H

#include "lsm/tree.h"

/* One log file found in the directory, as the survey found it. */
struct vv_replay_log {
    uint64_t number;
    uint64_t size_bytes;
    bool headless;        /* power failed before its header was written: as if it were not there */
    bool prev_synced;     /* a record of it says that all logs before it are safe */
    uint64_t prev_number; /* the log before it, or 0 */
    vv_seq prev_seq;
    vv_seq last_seq; /* of its valid prefix; 0 if it has no record */
    vv_seq seen_seq; /* of any record that verifies */
    uint64_t end;    /* where the valid prefix ends, bytes */
    bool cut;        /* something stands behind it that must not be read again */
    bool counts;     /* false: a hole lies in front of it */
};

struct vv_replay {
    struct vv_replay_log *logs; /* ascending */
    size_t count;
    vv_seq last_seq; /* of the recovered state */
    vv_seq seen_seq; /* highest sequence that anybody may have seen */
};

/* Lists and surveys the logs from lsm->log_number on, and decides how much of each counts. Writes
 * nothing. VV_CORRUPT for damage that is no torn tail. */
VV_MUST int vv_replay_survey(struct vv_lsm *lsm, const struct vv_version *version,
                             struct vv_replay *out);

/* Inserts what counts into the memtable. */
VV_MUST int vv_replay_insert(struct vv_lsm *lsm, const struct vv_version *version,
                             const struct vv_replay *replay);

/* Cuts what does not count: shortens logs and removes those behind a hole. Syncs what stays. The
 * caller syncs the directory before anything new is written. */
VV_MUST int vv_replay_cut(struct vv_lsm *lsm, const struct vv_replay *replay);

void vv_replay_deinit(struct vv_replay *replay);

#endif
