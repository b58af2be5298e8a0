/*
 * What a merge operator puts its result into.
 */
#ifndef VV_DB_MERGE_H
#define VV_DB_MERGE_H

#include "base/buf.h"

#include <varve/varve.h>

struct varve_merge_result {
    struct vv_buf *bytes; /* appended to */
    int rc;               /* the first failure of that */
};

/* The built-in operator of that name, or NULL. */
const varve_merge_operator *vv_merge_named(vv_slice name);

#endif
