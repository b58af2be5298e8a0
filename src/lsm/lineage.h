/*
 * Lineage: under which UUID a store's files were written. A copy of a store is a store of its own,
 * with a UUID of its own, and yet it begins with files of the one that it was made from. Numbers go
 * on from there, so that a file's number tells whose it is:
 *
 *      origins      A, below 57      B, below 90      the store itself
 *      files        1 ……………… 56      57 …………… 89      90 ………………………
 *
 * A UUID and a number together are given to one file only, however often stores are copied.
 */
#ifndef VV_LSM_LINEAGE_H
#define VV_LSM_LINEAGE_H

#include "base/check.h"
#include "sst/table.h"

struct vv_origin {
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    uint64_t below; /* files with lower numbers are its own, down to the origin before it */
};

/* Ascending. Zeroed memory is a store that was not copied from another. */
struct vv_lineage {
    struct vv_origin *list; /* owned */
    size_t count;
};

void vv_lineage_deinit(struct vv_lineage *lineage);

/* Adds the latest origin. VV_CORRUPT unless `below` is higher than that of the one before. */
VV_MUST int vv_lineage_add(struct vv_lineage *lineage, const uint8_t *uuid, uint64_t below);
VV_MUST int vv_lineage_append(struct vv_lineage *lineage, const struct vv_lineage *from);

/* The UUID that table or value file `number` was written under; `own` is the store's. `lineage` may
 * be NULL. */
const uint8_t *vv_lineage_uuid(const struct vv_lineage *lineage, const uint8_t *own,
                               uint64_t number);

#endif
