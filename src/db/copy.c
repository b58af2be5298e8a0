#include "db/copy.h"

#include "base/hash.h"
#include "db/poison.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- the place */

static int set_mark(struct vv_env *env, const char *path)
{
    char mark[VV_HOME_PATH_SIZE];
    struct vv_file *file = NULL;
    int rc = vv_home_path(path, VV_HOME_UNFINISHED, mark);
    if (rc == VV_OK)
        rc = vv_env_open(env, mark, VV_OPEN_CREATE, &file);
    vv_file_close(file);
    return rc < 0 ? rc : vv_env_sync_dir(env, path);
}

static int take_mark(struct vv_env *env, const char *path)
{
    char mark[VV_HOME_PATH_SIZE];
    int rc = vv_home_path(path, VV_HOME_UNFINISHED, mark);
    if (rc == VV_OK)
        rc = vv_env_remove(env, mark);
    return rc < 0 ? rc : vv_env_sync_dir(env, path);
}

/* An unfinished copy that stands there makes room for the new one. */
static int take_place(struct vv_copy *copy)
{
    enum vv_lsm_found found;
    int rc = vv_home_probe(copy->env, copy->path, &found);
    if (rc == VV_OK && found == VV_LSM_FOUND_UNFINISHED)
        rc = vv_home_clear(copy->env, copy->path);
    else if (rc == VV_OK)
        rc = vv_home_judge(found, VARVE_MODE_EXCLUSIVE, copy->path);
    return rc < 0 ? rc : set_mark(copy->env, copy->path);
}

int vv_copy_begin(struct vv_env *env, const char *path, struct vv_copy *out)
{
    enum vv_lsm_found found;
    struct vv_copy copy = {.env = env, .path = path};
    int rc = vv_home_check_path(path);
    if (rc < 0 || (rc = vv_home_probe(env, path, &found)) < 0)
        return rc;
    if (found != VV_LSM_FOUND_UNFINISHED &&
        (rc = vv_home_judge(found, VARVE_MODE_EXCLUSIVE, path)) < 0)
        return rc;
    if ((rc = vv_home_make(env, path, &copy.made)) < 0)
        return rc;
    rc = vv_home_lock(env, path, &copy.lock);
    if (rc == VV_OK)
        rc = take_place(&copy);
    if (rc < 0) {
        if (rc != VV_LOCKED)
            vv_home_undo(env, path, copy.made);
        vv_env_unlock(copy.lock);
        return rc;
    }
    *out = copy;
    return VV_OK;
}

int vv_copy_finish(struct vv_copy *copy, vv_slice state)
{
    int rc = vv_env_sync_dir(copy->env, copy->path);
    if (rc == VV_OK)
        rc = vv_lsm_establish(copy->env, copy->path, state);
    return rc < 0 ? rc : take_mark(copy->env, copy->path);
}

/* Under the mark, which may be gone if its removal was the last that was done: if it cannot be set, the
 * copy is whole. What stays because it cannot be removed is marked. */
static void undo(const struct vv_copy *copy)
{
    enum vv_lsm_found found;
    int rc = vv_home_probe(copy->env, copy->path, &found);
    if (rc == VV_OK && found != VV_LSM_FOUND_UNFINISHED)
        rc = set_mark(copy->env, copy->path);
    if (rc == VV_OK)
        rc = vv_home_clear(copy->env, copy->path);
    (void)rc;
}

void vv_copy_end(struct vv_copy *copy, int rc)
{
    if (rc != VV_OK) {
        char story[VV_STORY_SIZE];
        (void)snprintf(story, sizeof story, "%s", vv_error_story());
        undo(copy);
        (void)vv_fail_again(VV_IO, story);
        vv_home_undo(copy->env, copy->path, copy->made);
    }
    vv_env_unlock(copy->lock);
}

/* ---- files */

static int fail_short(const struct vv_transfer *t, uint64_t end)
{
    return vv_fail(VV_CORRUPT, "%s: the file ends at %" PRIu64 ", it had %" PRIu64 " bytes",
                   t->from, end, t->size_bytes);
}

static int do_piece(const struct vv_transfer *t, struct vv_file *from, struct vv_file *to,
                    uint64_t offset, uint8_t *bytes, size_t size)
{
    size_t got = 0;
    int rc = vv_file_read_at(from, offset, bytes, size, &got);
    if (rc < 0)
        return rc;
    if (got < size)
        return fail_short(t, offset + got);
    vv_slice piece = vv_slice_of(bytes, size);
    uint64_t check = vv_hash_seeded(piece, offset);
    if (t->expect != NULL && check != t->expect[offset / VV_COPY_PIECE])
        return vv_fail(VV_CORRUPT,
                       "%s: the bytes from %" PRIu64 " to %" PRIu64 " fail their checksum", t->from,
                       offset, offset + size);
    if (t->checks != NULL && (rc = vv_buf_append(t->checks, &check, sizeof check)) < 0)
        return rc;
    if (to != NULL && (rc = vv_file_write_at(to, offset, &piece, 1)) < 0)
        return rc;
    if (to != NULL)
        vv_file_push(to, offset, size);
    return t->step != NULL ? t->step(t->context, size) : VV_OK;
}

static int do_pieces(const struct vv_transfer *t, struct vv_file *from, struct vv_file *to)
{
    uint64_t most = t->size_bytes < VV_COPY_PIECE ? t->size_bytes : VV_COPY_PIECE;
    uint8_t *bytes = vv_alloc(most > 0 ? (size_t)most : 1);
    if (bytes == NULL)
        return VV_NOMEM;
    int rc = VV_OK;
    for (uint64_t at = 0; rc == VV_OK && at < t->size_bytes; at += VV_COPY_PIECE) {
        uint64_t left = t->size_bytes - at;
        rc = do_piece(t, from, to, at, bytes, (size_t)(left < most ? left : most));
    }
    vv_free(bytes);
    if (rc == VV_OK && to != NULL && (rc = vv_file_sync(to)) == VV_OK)
        vv_file_forget(to, 0, t->size_bytes); /* nobody reads it soon */
    return rc;
}

int vv_transfer(const struct vv_transfer *t)
{
    struct vv_file *from = NULL;
    struct vv_file *to = NULL;
    int rc = vv_env_open(t->from_env, t->from, VV_OPEN_READ, &from);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_CORRUPT, "%s: the file is missing", t->from);
    if (rc == VV_OK && t->to_env != NULL)
        rc = vv_env_open(t->to_env, t->to, VV_OPEN_CREATE, &to);
    if (rc == VV_OK)
        rc = do_pieces(t, from, to);
    vv_file_close(to);
    vv_file_close(from);
    return rc;
}
