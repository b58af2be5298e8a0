/*
 * The sift: what of the sources survives a merge. It stands between the merge iterator and the
 * outputs of every job that writes tables. The rules, and why each is safe, stand in sift.c.
 *
 *      sources ─► merge iterator ─► sift ─► outputs
 */
#ifndef VV_LSM_SIFT_H
#define VV_LSM_SIFT_H

#include "base/buf.h"
#include "kv/iter.h"
#include "lsm/chain.h"
#include "lsm/shadow.h"

struct vv_sift_options {
    /* Ascending; the last is the sequence visible when the job began. Borrowed. None: all stays. */
    const vv_seq *snapshots;
    size_t snapshot_count;
    bool last; /* nothing below the outputs can hold an older version of any key here */
    struct vv_shadow *shadow; /* sealed with the above; borrowed; NULL: no range tombstones */
    /* Tells the time and folds operands. NULL: nothing expires, nothing is folded. */
    const struct vv_host *host;
};

/* Zeroed memory is a sift that was never started. */
struct vv_sift {
    struct vv_sift_options options;
    uint64_t now_ms;        /* 0: not asked yet */
    struct vv_iter *source; /* owned; not started before the first call of next */
    bool started;
    bool held;         /* the source stands on an entry that was not judged yet */
    struct vv_buf key; /* the user key that the entries now belong to */
    bool has_key;
    size_t newer_stripe;   /* of the version that was seen before, of the same key */
    bool newer_hides;      /* and it is a version that hides older ones: not an operand */
    struct vv_chain chain; /* of the same key and stripe */
    uint64_t entries_in;   /* read from the source so far */
    uint64_t bytes_in;     /* their keys and values */
};

/* The source, in internal order, is taken over. */
void vv_sift_init(struct vv_sift *s, struct vv_iter *source_take,
                  const struct vv_sift_options *options);
void vv_sift_deinit(struct vv_sift *s);

/* Reads one entry of the source. VV_OK: *out is the next entry to write, valid until the next call.
 * VV_NOTFOUND: nothing to write yet, call again. VV_END: that was all. */
VV_MUST int vv_sift_next(struct vv_sift *s, struct vv_entry *out);

#endif
