/*
 * What a transaction has read and relies on: keys, and ranges that its iterators have passed.
 */
#ifndef VV_DB_READS_H
#define VV_DB_READS_H

#include "base/buf.h"
#include "db/walk.h"
#include "db/watch.h"

struct vv_read_range {
    struct vv_buf from, to;
    bool from_open, to_open;
    bool closed; /* `to` belongs to it */
};

/* Zeroed memory is empty. */
struct vv_reads {
    struct vv_relied_key *keys; /* owned, as their bytes */
    size_t key_count, key_cap;
    uint32_t *slots; /* by hash: one more than an index into keys, or 0; twice key_cap of them */
    struct vv_read_range *ranges;
    size_t range_count, range_cap;
};

void vv_reads_deinit(struct vv_reads *r);

/* Notes a key; once is enough. VV_NOMEM; VV_TOOBIG beyond 2^31 keys. */
VV_MUST int vv_reads_add_key(struct vv_reads *r, vv_slice key);

/* The ranges in the shape that the leader judges. Free it with vv_free; it borrows from `r`. */
VV_MUST int vv_reads_ranges(const struct vv_reads *r, struct vv_relied_range **out);

/*
 * One iterator's part. Each jump begins a range, and each step lets the present one reach to the
 * entry that was found or, where there was none, to the iterator's bound.
 *
 *      seek(c) → d     [c d]
 *      next    → g     [c     g]
 *      prev    → d     [c     g]
 *      next, next → END    [c        upper)
 */
struct vv_scan {
    struct vv_reads *reads; /* NULL: nothing is noted */
    size_t range;
    bool begun;
};

enum vv_scan_move {
    VV_SCAN_FROM, /* to the first entry, or the first from a key on */
    VV_SCAN_TO,   /* to the last entry, or the last up to a key */
    VV_SCAN_NEXT,
    VV_SCAN_PREV,
};

/* Notes a move of the walk that gave `rc`; `key` (data NULL: none) is where it was to go. Gives `rc`,
 * or a failure to note it. */
VV_MUST int vv_scan_note(struct vv_scan *scan, const struct vv_walk *walk, enum vv_scan_move move,
                         vv_slice key, int rc);

#endif
