/*
 * What the files of the posix world share. Nobody else includes this.
 */
#ifndef VV_ENV_POSIX_INTERNAL_H
#define VV_ENV_POSIX_INTERNAL_H

#include "env/env.h"

#include <sys/types.h>

/* What a new file and directory allow before the user's umask takes away. */
enum { VV_POSIX_FILE_BITS = 0644, VV_POSIX_DIR_BITS = 0755 };

/* The failure for errno `number`, told as "operation path: words". */
int vv_posix_fail(int number, const char *operation, const char *path);

/* Opens with O_CLOEXEC and continues when interrupted. Returns a descriptor of at least 3, so that
 * nothing printed by mistake ever lands in a data file, or minus the errno. */
int vv_posix_open_fd(const char *path, int flags, mode_t bits);

int vv_posix_sync_dir(struct vv_env *env, const char *path);
int vv_posix_make_dir(struct vv_env *env, const char *path);
int vv_posix_remove_dir(struct vv_env *env, const char *path);
int vv_posix_rename(struct vv_env *env, const char *from, const char *to);
int vv_posix_link(struct vv_env *env, const char *from, const char *to);
int vv_posix_remove(struct vv_env *env, const char *path);
int vv_posix_info(struct vv_env *env, const char *path, struct vv_path_info *out);
int vv_posix_list(struct vv_env *env, const char *path, struct vv_buf *names);

int vv_posix_lock(struct vv_env *env, const char *path, struct vv_lock **out);
void vv_posix_unlock(struct vv_lock *lock);

void vv_posix_facts(struct vv_env *env, struct vv_env_facts *out);

#endif
