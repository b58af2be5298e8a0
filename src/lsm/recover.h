/*
 * The steps of opening a tree; engine.c puts them together.
 */
#ifndef VV_LSM_RECOVER_H
#define VV_LSM_RECOVER_H

#include "lsm/replay.h"
#include "lsm/tree.h"

struct vv_recovered {
    const struct vv_version
        *known; /* borrowed: its tables and value files are taken over; or NULL */
    struct vv_version *version;
    struct vv_replay replay;
};

/* A tree with its options resolved and nothing opened yet. */
VV_MUST int vv_lsm_new(const struct vv_lsm_options *options, struct vv_lsm **out);
/* Frees it, with all that was opened; no thread uses it any more. */
void vv_lsm_free(struct vv_lsm *lsm);

/* Makes the tables and values rooms of the tree, once its UUID is known. */
VV_MUST int vv_recover_rooms(struct vv_lsm *lsm);

/* What the edits of the MANIFEST add up to: tables, value files and numbers. VV_MISSING when there is
 * none. `sum` is the caller's also on failure. */
VV_MUST int vv_recover_sum(struct vv_lsm *lsm, struct vv_edit *sum);

/* Hands the notes to the host and takes the order that it wants: VV_INVALID unless that is the order
 * the store was laid in. A new store's sum says nothing. */
VV_MUST int vv_recover_order(struct vv_lsm *lsm, const struct vv_edit *sum);

/* The same with a later sum, beside a writer: VV_BUSY when what was read since must be read again. */
VV_MUST int vv_recover_order_again(struct vv_lsm *lsm, const struct vv_edit *sum);

/* Lets neither the tree nor its host fall behind the clock of the MANIFEST. */
void vv_recover_clock(struct vv_lsm *lsm, const struct vv_edit *sum);

/* Sets the next file number above `known` and above all numbers in the directory. */
VV_MUST int vv_recover_next_file(struct vv_lsm *lsm, uint64_t known);

/* Reads the MANIFEST and the logs: afterwards the version and the active memtable hold the state.
 * Writes nothing. */
VV_MUST int vv_recover_read(struct vv_lsm *lsm, struct vv_recovered *out);

/* The last sequence of the recovered state. */
vv_seq vv_recovered_seq(const struct vv_lsm *lsm, const struct vv_recovered *recovered);

/* Makes the state the starting point of a new life: cuts logs, starts a new one, writes a new
 * MANIFEST, and removes what a crash left. */
VV_MUST int vv_recover_tidy(struct vv_lsm *lsm, const struct vv_recovered *recovered);

void vv_recovered_deinit(struct vv_recovered *recovered);

#endif
