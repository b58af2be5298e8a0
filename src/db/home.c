#include "db/home.h"

#include "base/error.h"
#include "db/poison.h"

#include <stdio.h>

#define LOCK_NAME "LOCK"

enum { LOCK_TRIES = 4 };

int vv_home_path(const char *directory, const char *name, char out[VV_HOME_PATH_SIZE])
{
    int size = snprintf(out, VV_HOME_PATH_SIZE, "%s/%s", directory, name);
    if (size < 0 || size >= VV_HOME_PATH_SIZE)
        return vv_fail(VV_INVALID, "a path of %d bytes is too long", size);
    return VV_OK;
}

int vv_home_parent(const char *path, char out[VV_HOME_PATH_SIZE])
{
    size_t size = strlen(path);
    if (size == 0 || size >= VV_HOME_PATH_SIZE)
        return vv_fail(VV_INVALID, "a path of %zu bytes is no path", size);
    memcpy(out, path, size);
    while (size > 1 && out[size - 1] == '/')
        size--;
    while (size > 0 && out[size - 1] != '/')
        size--;
    while (size > 1 && out[size - 1] == '/')
        size--;
    if (size == 0)
        out[size++] = '.';
    out[size] = 0;
    return VV_OK;
}

/* Room for the longest name of a file in the store. */
enum { NAME_ROOM = 64 };

int vv_home_check_path(const char *path)
{
    if (path == NULL || path[0] == 0)
        return vv_fail(VV_INVALID, "no path was given");
    size_t size = strlen(path);
    if (size > VV_HOME_PATH_SIZE - NAME_ROOM)
        return vv_fail(VV_INVALID, "a path of %zu bytes is too long", size);
    return VV_OK;
}

static int fail_foreign(const char *path)
{
    return vv_fail(VV_FOREIGN, "%s holds something that is not a varve store", path);
}

static int fail_missing(const char *path)
{
    return vv_fail(VV_MISSING, "there is no store at %s", path);
}

static int fail_unfinished(const char *path)
{
    return vv_fail(
        VV_FOREIGN,
        "%s holds an unfinished copy of a store, of a checkpoint or restore that was cut "
        "short: repeat that, or destroy it",
        path);
}

int vv_home_probe(struct vv_env *env, const char *path, enum vv_lsm_found *out)
{
    struct vv_path_info info;
    int rc = vv_env_info(env, path, &info);
    if (rc < 0)
        return rc;
    if (rc == VV_NOTFOUND) {
        *out = VV_LSM_FOUND_NOTHING;
        return VV_OK;
    }
    if (info.kind == VV_PATH_DIR)
        return vv_lsm_probe(env, path, out);
    *out = VV_LSM_FOUND_FOREIGN;
    return VV_OK;
}

static int remove_name(struct vv_env *env, const char *path, const char *name)
{
    char file[VV_HOME_PATH_SIZE];
    int rc = vv_home_path(path, name, file);
    if (rc == VV_OK)
        rc = vv_env_remove(env, file);
    return rc < 0 ? rc : VV_OK;
}

/* ---- the lock */

int vv_home_lock(struct vv_env *env, const char *path, struct vv_lock **out)
{
    char lock_path[VV_HOME_PATH_SIZE];
    struct vv_path_info info;
    int rc = vv_home_path(path, LOCK_NAME, lock_path);
    for (int tries = 0; rc == VV_OK && tries < LOCK_TRIES; tries++) {
        struct vv_lock *lock;
        if ((rc = vv_env_lock(env, lock_path, &lock)) < 0)
            break;
        rc = vv_env_info(env, lock_path, &info);
        if (rc == VV_OK) {
            *out = lock;
            return VV_OK;
        }
        vv_env_unlock(lock);
        if (rc == VV_NOTFOUND)
            rc = VV_OK;
    }
    return rc < 0 ? rc : vv_fail(VV_LOCKED, "%s is being destroyed", path);
}

int vv_home_remove_lock(struct vv_env *env, const char *path)
{
    return remove_name(env, path, LOCK_NAME);
}

int vv_home_make(struct vv_env *env, const char *path, bool *made)
{
    char parent[VV_HOME_PATH_SIZE];
    struct vv_path_info info;
    *made = false;
    int rc = vv_home_parent(path, parent);
    if (rc < 0 || (rc = vv_env_info(env, path, &info)) != VV_NOTFOUND)
        return rc;
    if ((rc = vv_env_make_dir(env, path)) < 0)
        return rc;
    *made = true;
    return vv_env_sync_dir(env, parent);
}

int vv_home_judge(enum vv_lsm_found found, enum varve_mode mode, const char *path)
{
    bool may_create = mode == VARVE_MODE_CREATE || mode == VARVE_MODE_EXCLUSIVE;
    if (found == VV_LSM_FOUND_LEVELDB)
        return vv_fail(VV_FOREIGN, "%s holds a store of LevelDB or RocksDB, not one of varve",
                       path);
    if (found == VV_LSM_FOUND_FOREIGN)
        return fail_foreign(path);
    if (found == VV_LSM_FOUND_UNFINISHED)
        return fail_unfinished(path);
    if (found == VV_LSM_FOUND_NOTHING && !may_create)
        return fail_missing(path);
    if (found == VV_LSM_FOUND_STORE && mode == VARVE_MODE_EXCLUSIVE)
        return vv_fail(VV_EXISTS, "there is a store at %s already", path);
    return VV_OK;
}

void vv_home_undo(struct vv_env *env, const char *path, bool made)
{
    char story[VV_STORY_SIZE];
    (void)snprintf(story, sizeof story, "%s", vv_error_story());
    enum vv_lsm_found found = VV_LSM_FOUND_STORE;
    if (vv_home_probe(env, path, &found) == VV_OK && found == VV_LSM_FOUND_NOTHING) {
        int rc = vv_home_remove_lock(env, path);
        if (rc == VV_OK && made)
            rc = vv_env_remove_dir(env, path);
        (void)rc; /* whatever is left is an empty place, where the next try can create */
    }
    (void)vv_fail_again(VV_IO, story);
}

/* The mark of an unfinished copy goes last: without it, what is left would pass for a damaged store. */
int vv_home_clear(struct vv_env *env, const char *path)
{
    struct vv_buf names = VV_BUF_INIT;
    bool marked = false;
    int rc = vv_env_list(env, path, &names);
    const char *at = (const char *)names.data;
    for (size_t left = names.size; rc == VV_OK && left > 0;) {
        size_t size = strlen(at) + 1;
        if (strcmp(at, VV_HOME_UNFINISHED) == 0)
            marked = true;
        else if (vv_lsm_owns(at) && strcmp(at, LOCK_NAME) != 0)
            rc = remove_name(env, path, at);
        at += size;
        left -= size;
    }
    vv_buf_deinit(&names);
    if (rc == VV_OK && marked && (rc = vv_env_sync_dir(env, path)) == VV_OK)
        rc = remove_name(env, path, VV_HOME_UNFINISHED);
    return rc < 0 ? rc : VV_OK;
}

static int count_names(struct vv_env *env, const char *path, size_t *out)
{
    struct vv_buf names = VV_BUF_INIT;
    int rc = vv_env_list(env, path, &names);
    *out = 0;
    for (size_t i = 0; i < names.size; i++)
        *out += names.data[i] == 0;
    vv_buf_deinit(&names);
    return rc;
}

int vv_home_remove(struct vv_env *env, const char *path)
{
    char parent[VV_HOME_PATH_SIZE];
    size_t names = 0;
    int rc = vv_env_sync_dir(env, path);
    if (rc == VV_OK)
        rc = count_names(env, path, &names);
    if (rc != VV_OK || names > 0)
        return rc < 0 ? rc : VV_OK;
    if ((rc = vv_env_remove_dir(env, path)) == VV_OK &&
        (rc = vv_home_parent(path, parent)) == VV_OK)
        rc = vv_env_sync_dir(env, parent);
    return rc < 0 ? rc : VV_OK;
}

int vv_home_lock_existing(struct vv_env *env, const char *path, struct vv_lock **out)
{
    enum vv_lsm_found found;
    int rc = vv_home_check_path(path);
    if (rc == VV_OK)
        rc = vv_home_probe(env, path, &found);
    if (rc == VV_OK)
        rc = vv_home_judge(found, VARVE_MODE_EXISTING, path);
    return rc == VV_OK ? vv_home_lock(env, path, out) : rc;
}

int vv_home_lock_for_destroying(struct vv_env *env, const char *path, struct vv_lock **out)
{
    enum vv_lsm_found found;
    int rc = vv_home_check_path(path);
    if (rc == VV_OK)
        rc = vv_home_probe(env, path, &found);
    if (rc == VV_OK && found != VV_LSM_FOUND_UNFINISHED)
        rc = vv_home_judge(found, VARVE_MODE_EXISTING, path);
    return rc == VV_OK ? vv_home_lock(env, path, out) : rc;
}
