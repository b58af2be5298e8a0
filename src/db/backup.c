/*
 * Backups: moments of stores, each as a text and files that it shares with other backups.
 *
 * A file that a backup has already is known by the UUID and number that it was given, its size, and a
 * print of its beginning and end; then it is not read again. Files never change, and a UUID and number
 * name one file only, but for value files that were written to: those have different sizes.
 */
#include "db/backup.h"

#include "base/hash.h"
#include "db/backup_dir.h"
#include "db/copy.h"
#include "db/moment.h"
#include "env/posix.h"

#include <inttypes.h>

enum { PRINT_PART = 4096 };

/* ---- how far it is */

struct progress {
    varve_progress *call;
    void *context;
    uint64_t done, total;
};

static int step(void *context, uint64_t more_bytes)
{
    struct progress *p = context;
    p->done += more_bytes;
    return p->call != NULL ? p->call(p->context, p->done, p->total) : VV_OK;
}

static int progress_of(const varve_backup_options *options, struct progress *out)
{
    *out = (struct progress){.call = NULL};
    if (options == NULL)
        return VV_OK;
    if (options->size < sizeof *options)
        return vv_fail(VV_INVALID, "backup options must start from VARVE_BACKUP_OPTIONS_INIT");
    out->call = options->progress;
    out->context = options->context;
    return VV_OK;
}

/* ---- creating */

struct making {
    struct vv_backup_dir dir;
    struct vv_backup before; /* the newest backup that reads */
    struct vv_backup backup;
    struct progress progress;
};

/* Of the first and last bytes of a file that lies in the store. */
static int print_of(struct vv_env *env, const char *path, uint64_t size_bytes, uint64_t *out)
{
    uint8_t bytes[2 * PRINT_PART];
    struct vv_file *file = NULL;
    size_t part = size_bytes < PRINT_PART ? (size_t)size_bytes : PRINT_PART;
    int rc = vv_env_open(env, path, VV_OPEN_READ, &file);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_CORRUPT, "%s: the file is missing", path);
    if (rc == VV_OK)
        rc = vv_file_read_whole(file, 0, bytes, part);
    if (rc == VV_OK)
        rc = vv_file_read_whole(file, size_bytes - part, bytes + part, part);
    vv_file_close(file);
    *out = vv_hash_seeded(vv_slice_of(bytes, 2 * part), size_bytes);
    return rc;
}

/* The file as an earlier backup has it, if its content is there. */
static int find_before(const struct making *m, const struct vv_moment_file *file, uint64_t print,
                       const struct vv_backup_file **out)
{
    char path[VV_HOME_PATH_SIZE];
    struct vv_path_info info;
    *out = NULL;
    for (size_t i = 0; i < m->before.file_count; i++) {
        const struct vv_backup_file *b = &m->before.files[i];
        if (b->file.number != file->number || b->file.size_bytes != file->size_bytes ||
            b->print != print || memcmp(b->file.uuid, file->uuid, sizeof file->uuid) != 0)
            continue;
        int rc = vv_backup_pool_path(&m->dir, b, path);
        if (rc == VV_OK)
            rc = vv_env_info(m->dir.env, path, &info);
        if (rc == VV_OK && info.size_bytes == file->size_bytes)
            *out = b;
        return rc < 0 ? rc : VV_OK;
    }
    return VV_OK;
}

/* Copies under another name, because only then is the right one known. */
static int copy_new(struct making *m, const struct vv_moment *moment,
                    const struct vv_moment_file *file, const char *from, uint64_t print)
{
    char temp[VV_HOME_PATH_SIZE];
    char path[VV_HOME_PATH_SIZE];
    struct vv_buf checks = VV_BUF_INIT;
    int rc = vv_home_path(m->dir.pool, "copy.tmp", temp);
    if (rc == VV_OK)
        rc = vv_transfer(&(struct vv_transfer){.from_env = moment->env,
                                               .from = from,
                                               .to_env = m->dir.env,
                                               .to = temp,
                                               .size_bytes = file->size_bytes,
                                               .checks = &checks,
                                               .step = step,
                                               .context = &m->progress});
    if (rc == VV_OK)
        rc = vv_backup_add(&m->backup, file, print, (const uint64_t *)(const void *)checks.data,
                           checks.size / sizeof(uint64_t));
    vv_buf_deinit(&checks);
    if (rc != VV_OK)
        return rc;
    m->backup.copied_bytes += file->size_bytes;
    rc = vv_backup_pool_path(&m->dir, &m->backup.files[m->backup.file_count - 1], path);
    return rc < 0 ? rc : vv_env_rename(m->dir.env, temp, path);
}

static int add_file(struct making *m, const struct vv_moment *moment,
                    const struct vv_moment_file *file)
{
    char from[VV_HOME_PATH_SIZE];
    const struct vv_backup_file *before = NULL;
    uint64_t print = 0;
    int rc = vv_home_path(moment->dir, file->name, from);
    if (rc == VV_OK)
        rc = print_of(moment->env, from, file->size_bytes, &print);
    if (rc == VV_OK)
        rc = find_before(m, file, print, &before);
    if (rc < 0)
        return rc;
    if (before == NULL)
        return copy_new(m, moment, file, from, print);
    rc = vv_backup_add(&m->backup, file, print, before->checks, before->check_count);
    return rc < 0 ? rc : step(&m->progress, file->size_bytes);
}

static int take(void *context, const struct vv_moment *moment)
{
    struct making *m = context;
    for (size_t i = 0; i < moment->file_count; i++)
        m->progress.total += moment->files[i].size_bytes;
    memcpy(m->backup.uuid, moment->uuid, sizeof m->backup.uuid);
    m->backup.created_us = vv_env_wall_us(m->dir.env);
    m->backup.seq = moment->seq;
    int rc = vv_buf_assign(&m->backup.state, moment->state);
    for (size_t i = 0; rc == VV_OK && i < moment->file_count; i++)
        rc = add_file(m, moment, &moment->files[i]);
    return rc == VV_OK ? vv_backup_store(&m->dir, &m->backup) : rc;
}

/* The newest backup of any store has most of what comes. One that does not read is passed over. */
static int load_newest(struct making *m)
{
    for (size_t i = m->dir.count; i-- > 0;) {
        int rc = vv_backup_load(&m->dir, m->dir.ids[i], &m->before);
        if (rc != VV_CORRUPT && rc != VV_UNSUPPORTED)
            return rc;
        vv_backup_deinit(&m->before);
    }
    return VV_OK;
}

static int create(struct vv_store *s, const char *dir, const varve_backup_options *options,
                  uint64_t *id)
{
    struct making *m = vv_alloc_zero(sizeof *m);
    if (m == NULL)
        return VV_NOMEM;
    int rc = progress_of(options, &m->progress);
    if (rc == VV_OK)
        rc = vv_backup_dir_open(vv_store_world_of_copies(s), dir, VV_BACKUP_MAKE, &m->dir);
    if (rc == VV_OK)
        rc = vv_backup_tidy(&m->dir);
    if (rc == VV_OK)
        rc = load_newest(m);
    if (rc == VV_OK)
        rc = vv_store_moment(s, take, m);
    if (rc == VV_OK && id != NULL)
        *id = m->backup.id;
    vv_backup_deinit(&m->backup);
    vv_backup_deinit(&m->before);
    vv_backup_dir_close(&m->dir);
    vv_free(m);
    return rc;
}

int varve_backup_create(varve *db, const char *dir, const varve_backup_options *options,
                        uint64_t *id)
{
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    rc = create(db->store, dir, options, id);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- listing */

static uint64_t bytes_of(const struct vv_backup *b)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < b->file_count; i++)
        bytes += b->files[i].file.size_bytes;
    return bytes;
}

static int show(const struct vv_backup *b, varve_backup_visit *visit, void *context)
{
    varve_backup_info info = {.id = b->id,
                              .created_us = b->created_us,
                              .sequence = b->seq,
                              .files = b->file_count,
                              .bytes = bytes_of(b),
                              .copied_bytes = b->copied_bytes};
    memcpy(info.store, b->uuid, sizeof info.store);
    return visit(context, &info);
}

int vv_db_backup_list(struct vv_env *env, const char *dir, varve_backup_visit *visit, void *context)
{
    struct vv_backup_dir d;
    int damaged = VV_OK;
    int rc = vv_backup_dir_open(env, dir, VV_BACKUP_READ, &d);
    for (size_t i = 0; rc == VV_OK && i < d.count; i++) {
        struct vv_backup b = {0};
        rc = vv_backup_load(&d, d.ids[i], &b);
        if (rc == VV_OK) {
            rc = show(&b, visit, context);
        } else if (rc == VV_CORRUPT) {
            damaged = rc; /* the others are worth knowing of */
            rc = VV_OK;
        }
        vv_backup_deinit(&b);
    }
    vv_backup_dir_close(&d);
    return rc != VV_OK ? rc : damaged;
}

/* ---- verifying */

struct verifying {
    struct vv_backup_dir dir;
    struct progress progress;
    varve_report *report;
    void *context;
    bool damaged;
};

/* Tells of damage and goes on. */
static int absorb(struct verifying *v, int rc)
{
    if (rc != VV_CORRUPT)
        return rc;
    v->damaged = true;
    if (v->report != NULL)
        v->report(v->context, vv_error_story());
    return VV_OK;
}

static int verify_file(struct verifying *v, const struct vv_backup_file *file)
{
    char path[VV_HOME_PATH_SIZE];
    int rc = vv_backup_pool_path(&v->dir, file, path);
    if (rc < 0)
        return rc;
    return absorb(v, vv_transfer(&(struct vv_transfer){.from_env = v->dir.env,
                                                       .from = path,
                                                       .size_bytes = file->file.size_bytes,
                                                       .expect = file->checks,
                                                       .step = step,
                                                       .context = &v->progress}));
}

static bool has_file(const struct vv_backup *b, const struct vv_backup_file *file)
{
    for (size_t i = 0; i < b->file_count; i++) {
        const struct vv_backup_file *f = &b->files[i];
        if (f->file.number == file->file.number && f->file.size_bytes == file->file.size_bytes &&
            memcmp(f->file.uuid, file->file.uuid, sizeof f->file.uuid) == 0 &&
            memcmp(f->checks, file->checks, f->check_count * sizeof f->checks[0]) == 0)
            return true;
    }
    return false;
}

/* Newest first; what the one before had, which was looked at just now, is passed over. */
static int verify_all(struct verifying *v, uint64_t id)
{
    struct vv_backup before = {0};
    bool found = false;
    int rc = VV_OK;
    for (size_t i = v->dir.count; rc == VV_OK && i-- > 0;) {
        struct vv_backup b = {0};
        if (id != 0 && v->dir.ids[i] != id)
            continue;
        found = true;
        rc = vv_backup_load(&v->dir, v->dir.ids[i], &b);
        if (rc == VV_OK)
            v->progress.total += bytes_of(&b);
        for (size_t k = 0; rc == VV_OK && k < b.file_count; k++) {
            if (has_file(&before, &b.files[k]))
                rc = step(&v->progress, b.files[k].file.size_bytes);
            else
                rc = verify_file(v, &b.files[k]);
        }
        rc = absorb(v, rc);
        vv_backup_deinit(&before);
        before = b;
    }
    vv_backup_deinit(&before);
    if (rc == VV_OK && id != 0 && !found)
        rc = vv_fail(VV_MISSING, "there is no backup %" PRIu64 " at %s", id, v->dir.path);
    return rc;
}

int vv_db_backup_verify(struct vv_env *env, const char *dir, uint64_t id,
                        const varve_backup_options *options, varve_report *report, void *context)
{
    struct verifying v = {.report = report, .context = context};
    int rc = progress_of(options, &v.progress);
    if (rc < 0)
        return rc;
    rc = vv_backup_dir_open(env, dir, VV_BACKUP_READ, &v.dir);
    if (rc == VV_OK)
        rc = verify_all(&v, id);
    vv_backup_dir_close(&v.dir);
    if (rc == VV_OK && v.damaged)
        return vv_fail(VV_CORRUPT, "%s: backups are damaged", dir);
    return rc;
}

/* ---- restoring */

static int bring_back(const struct vv_backup_dir *d, const struct vv_backup *b,
                      const struct vv_copy *copy, struct progress *progress)
{
    char from[VV_HOME_PATH_SIZE];
    char to[VV_HOME_PATH_SIZE];
    int rc = VV_OK;
    progress->total = bytes_of(b);
    for (size_t i = 0; rc == VV_OK && i < b->file_count; i++) {
        const struct vv_backup_file *file = &b->files[i];
        if ((rc = vv_backup_pool_path(d, file, from)) == VV_OK)
            rc = vv_home_path(copy->path, file->file.name, to);
        if (rc == VV_OK)
            rc = vv_transfer(&(struct vv_transfer){.from_env = d->env,
                                                   .from = from,
                                                   .to_env = copy->env,
                                                   .to = to,
                                                   .size_bytes = file->file.size_bytes,
                                                   .expect = file->checks,
                                                   .step = step,
                                                   .context = progress});
    }
    return rc;
}

static int restore(const struct vv_backup_dir *d, uint64_t id, const char *path,
                   struct progress *progress)
{
    struct vv_backup b = {0};
    struct vv_copy copy;
    if (d->count == 0)
        return vv_fail(VV_MISSING, "there are no backups at %s", d->path);
    int rc = vv_backup_load(d, id != 0 ? id : d->ids[d->count - 1], &b);
    if (rc == VV_OK && (rc = vv_copy_begin(d->env, path, &copy)) == VV_OK) {
        rc = bring_back(d, &b, &copy, progress);
        if (rc == VV_OK)
            rc = vv_copy_finish(&copy, vv_buf_slice(&b.state));
        vv_copy_end(&copy, rc);
    }
    vv_backup_deinit(&b);
    return rc;
}

int vv_db_backup_restore(struct vv_env *env, const char *dir, uint64_t id, const char *path,
                         const varve_backup_options *options)
{
    struct vv_backup_dir d;
    struct progress progress;
    int rc = progress_of(options, &progress);
    if (rc < 0)
        return rc;
    rc = vv_backup_dir_open(env, dir, VV_BACKUP_READ, &d);
    if (rc == VV_OK)
        rc = restore(&d, id, path, &progress);
    vv_backup_dir_close(&d);
    return rc;
}

/* ---- purging */

int vv_db_backup_purge(struct vv_env *env, const char *dir, uint64_t keep)
{
    struct vv_backup_dir d;
    if (keep == 0)
        return vv_fail(VV_INVALID, "one backup is kept at least");
    int rc = vv_backup_dir_open(env, dir, VV_BACKUP_WRITE, &d);
    if (rc == VV_OK)
        rc = vv_backup_forget(&d, keep < d.count ? (size_t)keep : d.count);
    if (rc == VV_OK)
        rc = vv_backup_tidy(&d);
    vv_backup_dir_close(&d);
    return rc;
}

/* ---- in the operating system's world */

int varve_backup_list(const char *dir, varve_backup_visit *visit, void *context)
{
    return vv_db_backup_list(vv_env_posix(), dir, visit, context);
}

int varve_backup_verify(const char *dir, uint64_t id, const varve_backup_options *options,
                        varve_report *report, void *context)
{
    return vv_db_backup_verify(vv_env_posix(), dir, id, options, report, context);
}

int varve_backup_restore(const char *dir, uint64_t id, const char *path,
                         const varve_backup_options *options)
{
    return vv_db_backup_restore(vv_env_posix(), dir, id, path, options);
}

int varve_backup_purge(const char *dir, uint64_t keep)
{
    return vv_db_backup_purge(vv_env_posix(), dir, keep);
}
