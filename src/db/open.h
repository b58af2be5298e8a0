/*
 * Opening a store in any world: what varve_open does in the operating system's, and tests do in
 * memory and in simulation.
 */
#ifndef VV_DB_OPEN_H
#define VV_DB_OPEN_H

#include "env/env.h"
#include "kv/engine.h"
#include "kv/order.h"
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

/* How a store comes by its engine, if not by vv_lsm_open. */
struct vv_engine_maker {
    int (*open)(void *context, const struct vv_host *host, const struct vv_order *order,
                struct vv_account *account, struct vv_engine **out, vv_seq *seq);
    void *context;
    void (*stats)(struct vv_engine *e, struct vv_lsm_stats *out);               /* NULL: zeros */
    int (*describe)(struct vv_engine *e, const char *what, struct vv_buf *out); /* or NULL */
};

/* A store over an engine of the caller's, without a directory and a lock: for tests. */
VV_MUST int vv_db_open_over(const struct vv_db_world *world, const struct vv_engine_maker *maker,
                            const varve_options *options, varve **out);

/* Whether there is a store: VV_OK, or as opening it in mode READONLY would fail. */
VV_MUST int vv_db_find(const struct vv_db_world *world, const char *path);

VV_MUST int vv_db_keyspaces(const struct vv_db_world *world, const char *path,
                            varve_keyspace_visit *visit, void *context);

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
