/*
 * The directory that a store lives in: what is there, who holds it, making and removing it.
 *
 *   a directory with     CREATE     EXISTING   EXCLUSIVE  READONLY
 *   nothing, or none     create     MISSING    create     MISSING
 *   a store              open       open       EXISTS     open
 *   an unfinished copy   FOREIGN    FOREIGN    FOREIGN    FOREIGN
 *   other things         FOREIGN    FOREIGN    FOREIGN    FOREIGN
 *
 * The lock file says nothing by being there. It is removed only together with its directory, by who
 * holds it; who locks a file that is gone by then has locked nothing, and looks again.
 */
#ifndef VV_DB_HOME_H
#define VV_DB_HOME_H

#include "env/env.h"
#include "lsm/lsm.h"

#include <varve/varve.h>

enum { VV_HOME_PATH_SIZE = 4096 };

/* Stands in a directory as long as a copy of a store is being made in it. */
#define VV_HOME_UNFINISHED "UNFINISHED"

VV_MUST int vv_home_check_path(const char *path); /* VV_INVALID */
VV_MUST int vv_home_path(const char *directory, const char *name, char out[VV_HOME_PATH_SIZE]);
/* The directory that a path stands in, as "/a/b//" in "/a". */
VV_MUST int vv_home_parent(const char *path, char out[VV_HOME_PATH_SIZE]);

VV_MUST int vv_home_probe(struct vv_env *env, const char *path, enum vv_lsm_found *out);
/* Whether a store may be opened there, by the table above. */
VV_MUST int vv_home_judge(enum vv_lsm_found found, enum varve_mode mode, const char *path);

VV_MUST int vv_home_lock(struct vv_env *env, const char *path, struct vv_lock **out);
/* Locks a store that must be there; or else, where it will be destroyed, an unfinished one. */
VV_MUST int vv_home_lock_existing(struct vv_env *env, const char *path, struct vv_lock **out);
VV_MUST int vv_home_lock_for_destroying(struct vv_env *env, const char *path, struct vv_lock **out);
VV_MUST int vv_home_remove_lock(struct vv_env *env, const char *path);

/* Makes the directory if it is not there, and its name durable: a store must not lie in a directory
 * that a power cut takes away. */
VV_MUST int vv_home_make(struct vv_env *env, const char *path, bool *made);
/* A failed creation leaves nothing behind, and the failure's story as it was. */
void vv_home_undo(struct vv_env *env, const char *path, bool made);

/* Removes the store's files, except for the lock. */
VV_MUST int vv_home_clear(struct vv_env *env, const char *path);
/* The directory goes only if nothing else is in it, and then with a durable parent. */
VV_MUST int vv_home_remove(struct vv_env *env, const char *path);

#endif
