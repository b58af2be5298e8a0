/*
 * The thin front of every world: checks what only our own code could get wrong, bounds what the
 * system could not express, and hands on.
 */
#include "env/env.h"

#include <inttypes.h>
#include <string.h>

/* Worlds count in off_t, so that none of them meets an offset that does not fit. */
#define FILE_BYTES_MAX ((uint64_t)INT64_MAX)

int vv_env_open(struct vv_env *env, const char *path, enum vv_open_mode mode, struct vv_file **out)
{
    vv_assert(path[0] != 0);
    struct vv_file *file = NULL;
    int rc = env->ops->open(env, path, mode, &file);
    if (rc != VV_OK)
        return rc;
    file->mode = mode;
    *out = file;
    return VV_OK;
}

void vv_file_close(struct vv_file *file)
{
    if (file != NULL)
        file->env->ops->close(file);
}

int vv_file_read_at(struct vv_file *file, uint64_t offset, void *into, size_t want, size_t *got)
{
    /* An offset may come from damaged bytes; nothing stands out there in any world. */
    if (offset > FILE_BYTES_MAX || want == 0) {
        *got = 0;
        return VV_OK;
    }
    if (want > FILE_BYTES_MAX - offset)
        want = (size_t)(FILE_BYTES_MAX - offset);
    return file->env->ops->read_at(file, offset, into, want, got);
}

int vv_file_read_whole(struct vv_file *file, uint64_t offset, void *into, size_t want)
{
    size_t got = 0;
    int rc = vv_file_read_at(file, offset, into, want, &got);
    if (rc < 0)
        return rc;
    if (got < want)
        return vv_fail(VV_CORRUPT, "%s ends after %zu of %zu bytes wanted at offset %" PRIu64,
                       file->path, got, want, offset);
    return VV_OK;
}

int vv_file_write_at(struct vv_file *file, uint64_t offset, const vv_slice *parts, size_t count)
{
    vv_assert(file->mode != VV_OPEN_READ);
    uint64_t room = offset <= FILE_BYTES_MAX ? FILE_BYTES_MAX - offset : 0;
    bool empty = true;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > room)
            return vv_fail(VV_FULL, "write %s: offset %" PRIu64 " is beyond what a file can hold",
                           file->path, offset);
        room -= parts[i].size;
        empty = empty && parts[i].size == 0;
    }
    return empty ? VV_OK : file->env->ops->write_at(file, offset, parts, count);
}

int vv_file_sync(struct vv_file *file)
{
    return file->env->ops->sync(file);
}

int vv_file_truncate(struct vv_file *file, uint64_t size_bytes)
{
    vv_assert(file->mode != VV_OPEN_READ);
    if (size_bytes > FILE_BYTES_MAX)
        return vv_fail(VV_FULL, "truncate %s: %" PRIu64 " bytes are more than a file can hold",
                       file->path, size_bytes);
    return file->env->ops->truncate(file, size_bytes);
}

int vv_file_size(struct vv_file *file, uint64_t *out)
{
    return file->env->ops->size(file, out);
}

void vv_file_push(struct vv_file *file, uint64_t offset, uint64_t size_bytes)
{
    if (size_bytes > 0 && offset <= FILE_BYTES_MAX && size_bytes <= FILE_BYTES_MAX - offset)
        file->env->ops->push(file, offset, size_bytes);
}

void vv_file_forget(struct vv_file *file, uint64_t offset, uint64_t size_bytes)
{
    if (size_bytes > 0 && offset <= FILE_BYTES_MAX && size_bytes <= FILE_BYTES_MAX - offset)
        file->env->ops->forget(file, offset, size_bytes);
}

int vv_file_map(struct vv_file *file, size_t size_bytes, const uint8_t **out)
{
    vv_assert(size_bytes > 0);
    uint64_t there = 0;
    int rc = vv_file_size(file, &there);
    if (rc < 0)
        return rc;
    /* Touching a page behind the end would kill the process. */
    if (there < size_bytes)
        return vv_fail(VV_CORRUPT, "%s ends after %" PRIu64 " of %zu bytes to map", file->path,
                       there, size_bytes);
    return file->env->ops->map(file, size_bytes, out);
}

void vv_file_unmap(struct vv_file *file, const uint8_t *map, size_t size_bytes)
{
    if (map != NULL)
        file->env->ops->unmap(file, map, size_bytes);
}

int vv_env_sync_dir(struct vv_env *env, const char *path)
{
    vv_assert(path[0] != 0);
    return env->ops->sync_dir(env, path);
}

int vv_env_make_dir(struct vv_env *env, const char *path)
{
    vv_assert(path[0] != 0);
    return env->ops->make_dir(env, path);
}

int vv_env_remove_dir(struct vv_env *env, const char *path)
{
    vv_assert(path[0] != 0);
    return env->ops->remove_dir(env, path);
}

/* How much of the path names the directory. */
static size_t dir_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

int vv_env_rename(struct vv_env *env, const char *from, const char *to)
{
    size_t dir = dir_size(from);
    vv_assert(from[dir] != 0);
    vv_assert(to[dir] != 0);
    vv_assert(dir == dir_size(to));
    vv_assert(memcmp(from, to, dir) == 0);
    return env->ops->rename(env, from, to);
}

int vv_env_link(struct vv_env *env, const char *from, const char *to)
{
    vv_assert(from[0] != 0);
    vv_assert(to[0] != 0);
    return env->ops->link(env, from, to);
}

int vv_env_remove(struct vv_env *env, const char *path)
{
    vv_assert(path[0] != 0);
    return env->ops->remove(env, path);
}

int vv_env_info(struct vv_env *env, const char *path, struct vv_path_info *out)
{
    vv_assert(path[0] != 0);
    return env->ops->info(env, path, out);
}

int vv_env_list(struct vv_env *env, const char *path, struct vv_buf *names)
{
    vv_assert(path[0] != 0);
    size_t size_before = names->size;
    int rc = env->ops->list(env, path, names);
    if (rc != VV_OK)
        names->size = size_before;
    return rc;
}

int vv_env_lock(struct vv_env *env, const char *path, struct vv_lock **out)
{
    vv_assert(path[0] != 0);
    return env->ops->lock(env, path, out);
}

void vv_env_unlock(struct vv_lock *lock)
{
    if (lock != NULL)
        lock->env->ops->unlock(lock);
}

uint64_t vv_env_now_us(struct vv_env *env)
{
    return env->ops->now_us(env);
}

uint64_t vv_env_wall_us(struct vv_env *env)
{
    return env->ops->wall_us(env);
}

void vv_env_sleep_us(struct vv_env *env, uint64_t us)
{
    env->ops->sleep_us(env, us);
}

int vv_env_random(struct vv_env *env, void *into, size_t size_bytes)
{
    return size_bytes == 0 ? VV_OK : env->ops->random(env, into, size_bytes);
}

void vv_env_facts(struct vv_env *env, struct vv_env_facts *out)
{
    env->ops->facts(env, out);
    vv_assert(out->cpu_count > 0);
}
