#include "db/backup_dir.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define POOL   "files"
#define SUFFIX ".backup"
#define TEMP   ".tmp"

enum { NAME_SIZE = 128, DIGITS = 6 };

/* ---- names */

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* 0 for a name that is no backup's. */
static uint64_t id_of(const char *name)
{
    char again[NAME_SIZE];
    uint64_t id = strtoull(name, NULL, 10);
    (void)snprintf(again, sizeof again, "%06" PRIu64 SUFFIX, id);
    return strcmp(name, again) == 0 ? id : 0;
}

static void pool_name(const struct vv_backup_file *f, char out[NAME_SIZE])
{
    uint64_t content = vv_hash_seeded(vv_slice_of(f->checks, f->check_count * sizeof f->checks[0]),
                                      f->file.size_bytes);
    const char *kind = strrchr(f->file.name, '.');
    size_t used = 0;
    for (size_t i = 0; i < sizeof f->file.uuid; i++)
        used += (size_t)snprintf(out + used, NAME_SIZE - used, "%02x", (unsigned)f->file.uuid[i]);
    (void)snprintf(out + used, NAME_SIZE - used, "-%06" PRIu64 "-%016" PRIx64 "%s", f->file.number,
                   content, kind != NULL ? kind : "");
}

int vv_backup_pool_path(const struct vv_backup_dir *d, const struct vv_backup_file *file,
                        char out[VV_HOME_PATH_SIZE])
{
    char name[NAME_SIZE];
    pool_name(file, name);
    return vv_home_path(d->pool, name, out);
}

/* ---- the directory */

static int id_cmp(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* Refuses a directory in which something else lives. */
static int list_ids(struct vv_backup_dir *d)
{
    struct vv_buf names = VV_BUF_INIT;
    struct vv_buf ids = VV_BUF_INIT;
    int rc = vv_env_list(d->env, d->path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t id = id_of(name);
        at += strlen(name) + 1;
        if (id > 0)
            rc = vv_buf_append(&ids, &id, sizeof id);
        else if (strcmp(name, POOL) != 0 && strcmp(name, "LOCK") != 0 && !ends_with(name, TEMP))
            rc = vv_fail(VV_FOREIGN, "%s holds '%s': it is no directory of backups", d->path, name);
    }
    vv_buf_deinit(&names);
    d->ids = (uint64_t *)(void *)ids.data;
    d->count = ids.size / sizeof(uint64_t);
    if (d->count > 0)
        qsort(d->ids, d->count, sizeof d->ids[0], id_cmp);
    return rc;
}

static int make(const struct vv_backup_dir *d)
{
    bool made;
    int rc = vv_home_make(d->env, d->path, &made);
    return rc < 0 ? rc : vv_home_make(d->env, d->pool, &made);
}

int vv_backup_dir_open(struct vv_env *env, const char *path, enum vv_backup_use use,
                       struct vv_backup_dir *out)
{
    struct vv_path_info info;
    *out = (struct vv_backup_dir){.env = env};
    int rc = vv_home_check_path(path);
    if (rc < 0)
        return rc;
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    if ((rc = vv_home_path(path, POOL, out->pool)) < 0 || (rc = vv_env_info(env, path, &info)) < 0)
        return rc;
    if (rc == VV_OK && info.kind != VV_PATH_DIR)
        return vv_fail(VV_FOREIGN, "%s is no directory of backups", path);
    if (rc == VV_NOTFOUND && use != VV_BACKUP_MAKE)
        return vv_fail(VV_MISSING, "there are no backups at %s", path);
    if (rc == VV_OK && (rc = list_ids(out)) < 0)
        return rc;
    if (use == VV_BACKUP_MAKE && (rc = make(out)) < 0)
        return rc;
    rc = vv_home_lock(env, path, &out->lock);
    if (rc < 0 && !(rc == VV_PERMISSION && use == VV_BACKUP_READ))
        return rc;
    vv_free(out->ids); /* somebody may have been faster */
    out->ids = NULL;
    return list_ids(out);
}

void vv_backup_dir_close(struct vv_backup_dir *d)
{
    vv_free(d->ids);
    vv_env_unlock(d->lock);
    *d = (struct vv_backup_dir){0};
}

/* ---- texts */

static int text_path(const struct vv_backup_dir *d, uint64_t id, const char *end,
                     char out[VV_HOME_PATH_SIZE])
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "%06" PRIu64 SUFFIX "%s", id, end);
    return vv_home_path(d->path, name, out);
}

static int read_all(struct vv_file *file, struct vv_buf *out)
{
    uint64_t size = 0;
    int rc = vv_file_size(file, &size);
    if (rc == VV_OK)
        rc = vv_buf_reserve(out, (size_t)size);
    if (rc == VV_OK)
        rc = vv_file_read_whole(file, 0, out->data, (size_t)size);
    if (rc == VV_OK)
        out->size = (size_t)size;
    return rc;
}

int vv_backup_load(const struct vv_backup_dir *d, uint64_t id, struct vv_backup *out)
{
    char path[VV_HOME_PATH_SIZE];
    struct vv_buf text = VV_BUF_INIT;
    struct vv_file *file = NULL;
    int rc = text_path(d, id, "", path);
    if (rc == VV_OK)
        rc = vv_env_open(d->env, path, VV_OPEN_READ, &file);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_MISSING, "there is no backup %" PRIu64 " at %s", id, d->path);
    if (rc == VV_OK)
        rc = read_all(file, &text);
    if (rc == VV_OK)
        rc = vv_backup_decode(path, vv_buf_slice(&text), out);
    out->id = id;
    vv_file_close(file);
    vv_buf_deinit(&text);
    return rc;
}

static int write_text(const struct vv_backup_dir *d, const char *path, vv_slice text)
{
    struct vv_file *file = NULL;
    int rc = vv_env_remove(d->env, path);
    if (rc >= 0)
        rc = vv_env_open(d->env, path, VV_OPEN_CREATE, &file);
    if (rc == VV_OK)
        rc = vv_file_write_at(file, 0, &text, 1);
    if (rc == VV_OK)
        rc = vv_file_sync(file);
    vv_file_close(file);
    return rc;
}

int vv_backup_store(struct vv_backup_dir *d, struct vv_backup *b)
{
    char temp[VV_HOME_PATH_SIZE];
    char path[VV_HOME_PATH_SIZE];
    struct vv_buf text = VV_BUF_INIT;
    b->id = d->count > 0 ? d->ids[d->count - 1] + 1 : 1;
    int rc = vv_backup_encode(b, &text);
    if (rc == VV_OK)
        rc = text_path(d, b->id, TEMP, temp);
    if (rc == VV_OK)
        rc = text_path(d, b->id, "", path);
    if (rc == VV_OK)
        rc = write_text(d, temp, vv_buf_slice(&text));
    vv_buf_deinit(&text);
    if (rc < 0 || (rc = vv_env_sync_dir(d->env, d->pool)) < 0 ||
        (rc = vv_env_rename(d->env, temp, path)) < 0)
        return rc;
    return vv_env_sync_dir(d->env, d->path);
}

int vv_backup_forget(struct vv_backup_dir *d, size_t keep)
{
    char path[VV_HOME_PATH_SIZE];
    int rc = VV_OK;
    size_t gone = d->count > keep ? d->count - keep : 0;
    for (size_t i = 0; rc >= 0 && i < gone; i++) {
        if ((rc = text_path(d, d->ids[i], "", path)) == VV_OK)
            rc = vv_env_remove(d->env, path);
    }
    if (rc < 0)
        return rc;
    memmove(d->ids, d->ids + gone, (d->count - gone) * sizeof d->ids[0]);
    d->count -= gone;
    return vv_env_sync_dir(d->env, d->path);
}

/* ---- tidying up */

static int name_cmp(const void *a, const void *b)
{
    return memcmp(a, b, NAME_SIZE);
}

/* The names in files/ that backups have, in order, NAME_SIZE bytes each. */
static int gather_names(const struct vv_backup_dir *d, struct vv_buf *out)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < d->count; i++) {
        struct vv_backup b = {0};
        rc = vv_backup_load(d, d->ids[i], &b);
        for (size_t k = 0; rc == VV_OK && k < b.file_count; k++) {
            char name[NAME_SIZE] = {0};
            pool_name(&b.files[k], name);
            rc = vv_buf_append(out, name, sizeof name);
        }
        vv_backup_deinit(&b);
    }
    if (rc == VV_OK && out->size > 0)
        qsort(out->data, out->size / NAME_SIZE, NAME_SIZE, name_cmp);
    return rc;
}

static bool is_wanted(const struct vv_buf *wanted, const char *name)
{
    char key[NAME_SIZE] = {0};
    if (strlen(name) >= sizeof key)
        return true; /* none of ours */
    memcpy(key, name, strlen(name));
    return wanted->size > 0 &&
           bsearch(key, wanted->data, wanted->size / NAME_SIZE, NAME_SIZE, name_cmp) != NULL;
}

/* `wanted` NULL: only temporary names go. */
static int remove_unwanted(const struct vv_backup_dir *d, const char *dir,
                           const struct vv_buf *wanted)
{
    struct vv_buf names = VV_BUF_INIT;
    char path[VV_HOME_PATH_SIZE];
    int rc = vv_env_list(d->env, dir, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        if (!ends_with(name, TEMP) && (wanted == NULL || is_wanted(wanted, name)))
            continue;
        if ((rc = vv_home_path(dir, name, path)) == VV_OK)
            rc = vv_env_remove(d->env, path);
        rc = rc < 0 ? rc : VV_OK;
    }
    vv_buf_deinit(&names);
    return rc < 0 ? rc : VV_OK;
}

int vv_backup_tidy(const struct vv_backup_dir *d)
{
    struct vv_buf wanted = VV_BUF_INIT;
    int read_rc = gather_names(d, &wanted);
    int rc = remove_unwanted(d, d->path, NULL);
    if (rc == VV_OK)
        rc = remove_unwanted(d, d->pool, read_rc == VV_OK ? &wanted : NULL);
    vv_buf_deinit(&wanted);
    return rc < 0 || read_rc == VV_CORRUPT || read_rc == VV_UNSUPPORTED ? rc : read_rc;
}
