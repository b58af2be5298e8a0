/*
 * Opening a store in any world: what varve_open does in the operating system's, and tests do in
 * memory and in simulation.
 */
#ifndef VV_DB_OPEN_H
#define VV_DB_OPEN_H

#include "env/env.h"
#include "kv/engine.h"
#include "lsm/lsm.h"

#include <varve/varve.h>

struct vv_db_world {
    struct vv_env *env; /* lives longer than the store */
    /* No threads: background work is done by vv_db_tend, and by a writer that would have to wait
     * for it. For deterministic tests. */
    bool stepped;
    struct vv_lsm_tuning tuning;
};

VV_MUST int vv_db_open(const struct vv_db_world *world, const char *path,
                       const varve_options *options, varve **out);
VV_MUST int vv_db_destroy(const struct vv_db_world *world, const char *path);
VV_MUST int vv_db_check(const struct vv_db_world *world, const char *path,
                        const varve_options *options, varve_report *report, void *context);
VV_MUST int vv_db_repair(const struct vv_db_world *world, const char *path,
                         const varve_options *options, varve_report *report, void *context);

/* One step of background work, for stepped stores. */
VV_MUST int vv_db_tend(varve *db, enum vv_tended *out);

/* The sequence number of the latest visible change: the commit order's measure in tests. */
vv_seq vv_db_seq(varve *db);

#endif
