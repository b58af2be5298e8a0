/*
 * Backups in any world: what varve_backup_… do in the operating system's.
 */
#ifndef VV_DB_BACKUP_H
#define VV_DB_BACKUP_H

#include "env/env.h"

#include <varve/varve.h>

VV_MUST int vv_db_backup_list(struct vv_env *env, const char *dir, varve_backup_visit *visit,
                              void *context);
VV_MUST int vv_db_backup_verify(struct vv_env *env, const char *dir, uint64_t id,
                                const varve_backup_options *options, varve_report *report,
                                void *context);
VV_MUST int vv_db_backup_restore(struct vv_env *env, const char *dir, uint64_t id, const char *path,
                                 const varve_backup_options *options);
VV_MUST int vv_db_backup_purge(struct vv_env *env, const char *dir, uint64_t keep);

#endif
