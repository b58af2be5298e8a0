/*
 * Opening a store over the LSM engine, and destroying, checking and repairing one that nobody has
 * open.
 *
 *   a directory with   CREATE     EXISTING   EXCLUSIVE  READONLY
 *   nothing, or none   create     MISSING    create     MISSING
 *   a store            open       open       EXISTS     open
 *   other things       FOREIGN    FOREIGN    FOREIGN    FOREIGN
 *
 * The lock file says nothing by being there. It is removed only together with its directory, by who
 * holds it; who locks a file that is gone by then has locked nothing, and looks again.
 */
#include "db/open.h"

#include "db/options.h"
#include "db/store.h"
#include "env/mem.h"

#include <stdio.h>

#define LOCK_NAME   "LOCK"
#define MEMORY_NAME ":memory:"
#define MEMORY_PATH "/varve"

enum { PATH_SIZE = 4096, LOCK_TRIES = 4 };

/* ---- names */

static int path_in(const char *directory, const char *name, char out[PATH_SIZE])
{
    int size = snprintf(out, PATH_SIZE, "%s/%s", directory, name);
    if (size < 0 || size >= PATH_SIZE)
        return vv_fail(VV_INVALID, "a path of %d bytes is too long", size);
    return VV_OK;
}

/* The directory that a path stands in, as "/a/b//" in "/a". */
static int parent_of(const char *path, char out[PATH_SIZE])
{
    size_t size = strlen(path);
    if (size == 0 || size >= PATH_SIZE)
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

static int check_path(const char *path)
{
    if (path == NULL || path[0] == 0)
        return vv_fail(VV_INVALID, "no path was given");
    size_t size = strlen(path);
    if (size > PATH_SIZE - NAME_ROOM)
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

/* What is at the path. */
static int probe(struct vv_env *env, const char *path, enum vv_lsm_found *out)
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

/* ---- the lock */

static int lock_store(struct vv_env *env, const char *path, struct vv_lock **out)
{
    char lock_path[PATH_SIZE];
    struct vv_path_info info;
    int rc = path_in(path, LOCK_NAME, lock_path);
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

static int remove_lock_file(struct vv_env *env, const char *path)
{
    char lock_path[PATH_SIZE];
    int rc = path_in(path, LOCK_NAME, lock_path);
    if (rc == VV_OK)
        rc = vv_env_remove(env, lock_path);
    return rc < 0 ? rc : VV_OK;
}

/* ---- the engine */

struct lsm_context {
    struct vv_env *env;
    const char *path;
    const varve_options *options;
    const struct vv_lsm_tuning *tuning;
    bool create;
};

static enum vv_codec available_or(enum vv_codec codec, enum vv_codec instead)
{
    return vv_codec_available(codec) ? codec : instead;
}

static int choose_codecs(const varve_options *options, struct vv_lsm_options *out)
{
    enum vv_codec codec = VV_CODEC_NONE;
    switch (options->compression) {
    case VARVE_COMPRESSION_DEFAULT:
        out->upper_codec = available_or(VV_CODEC_LZ4, VV_CODEC_NONE);
        out->last_codec = available_or(VV_CODEC_ZSTD, out->upper_codec);
        return VV_OK;
    case VARVE_COMPRESSION_NONE: break;
    case VARVE_COMPRESSION_LZ4: codec = VV_CODEC_LZ4; break;
    case VARVE_COMPRESSION_ZSTD: codec = VV_CODEC_ZSTD; break;
    }
    if (!vv_codec_available(codec))
        return vv_fail(VV_UNSUPPORTED, "this build of varve lacks the compression asked for");
    out->upper_codec = out->last_codec = codec;
    return VV_OK;
}

static enum vv_lsm_log_mode choose_log_mode(enum varve_durability durability)
{
    if (durability == VARVE_DURABILITY_NONE)
        return VV_LSM_LOG_OFF;
    return durability == VARVE_DURABILITY_DISK ? VV_LSM_LOG_RECYCLE : VV_LSM_LOG_ON;
}

static int lsm_options(const struct lsm_context *c, struct vv_lsm_options *out)
{
    const varve_options *options = c->options;
    *out = (struct vv_lsm_options){
        .env = c->env,
        .path = c->path,
        .create = c->create,
        .readonly = options->mode == VARVE_MODE_READONLY,
        .log_mode = choose_log_mode(options->durability),
        .memory_budget = options->memory_budget,
        .value_log_min = options->value_log_min,
        .tuning = *c->tuning,
    };
    return choose_codecs(options, out);
}

static int lsm_open(void *context, const struct vv_host *host, const struct vv_order *order,
                    struct vv_account *account, struct vv_engine **out, vv_seq *seq)
{
    struct vv_lsm_options options;
    int rc = lsm_options(context, &options);
    if (rc < 0)
        return rc;
    options.host = host;
    options.order = order;
    options.account = account;
    return vv_lsm_open(&options, out, seq);
}

static int open_over(struct lsm_context *c, bool stepped, varve **out)
{
    return vv_store_open(
        &(struct vv_store_setup){
            .env = c->env,
            .stepped = stepped,
            .path = c->path,
            .options = c->options,
            .maker = {lsm_open, c, vv_lsm_get_stats, vv_lsm_describe},
        },
        out);
}

/* ---- opening */

/* Makes the directory if it is not there, and its name durable: a store must not lie in a directory
 * that a power cut takes away. */
static int make_home(struct vv_env *env, const char *path, bool *made)
{
    char parent[PATH_SIZE];
    struct vv_path_info info;
    *made = false;
    int rc = parent_of(path, parent);
    if (rc < 0 || (rc = vv_env_info(env, path, &info)) != VV_NOTFOUND)
        return rc;
    if ((rc = vv_env_make_dir(env, path)) < 0)
        return rc;
    *made = true;
    return vv_env_sync_dir(env, parent);
}

static int judge(enum vv_lsm_found found, enum varve_mode mode, const char *path)
{
    bool may_create = mode == VARVE_MODE_CREATE || mode == VARVE_MODE_EXCLUSIVE;
    if (found == VV_LSM_FOUND_LEVELDB)
        return vv_fail(VV_FOREIGN, "%s holds a store of LevelDB or RocksDB, not one of varve",
                       path);
    if (found == VV_LSM_FOUND_FOREIGN)
        return fail_foreign(path);
    if (found == VV_LSM_FOUND_NOTHING && !may_create)
        return fail_missing(path);
    if (found == VV_LSM_FOUND_STORE && mode == VARVE_MODE_EXCLUSIVE)
        return vv_fail(VV_EXISTS, "there is a store at %s already", path);
    return VV_OK;
}

/* Opens or creates under the lock. What is there is looked at again: another process may have been
 * faster. */
static int open_locked(struct lsm_context *c, bool stepped, varve **out)
{
    struct vv_lock *lock = NULL;
    enum vv_lsm_found found;
    int rc = lock_store(c->env, c->path, &lock);
    if (rc == VV_OK)
        rc = probe(c->env, c->path, &found);
    if (rc == VV_OK)
        rc = judge(found, c->options->mode, c->path);
    if (rc == VV_OK) {
        c->create = found == VV_LSM_FOUND_NOTHING;
        rc = open_over(c, stepped, out);
    }
    if (rc == VV_OK)
        (*out)->store->lock = lock;
    else
        vv_env_unlock(lock);
    return rc;
}

/* A failed creation leaves nothing behind, and the failure's story as it was. */
static void undo_home(struct vv_env *env, const char *path, bool made)
{
    char story[VV_STORY_SIZE];
    (void)snprintf(story, sizeof story, "%s", vv_error_story());
    enum vv_lsm_found found = VV_LSM_FOUND_STORE;
    if (probe(env, path, &found) == VV_OK && found == VV_LSM_FOUND_NOTHING) {
        int rc = remove_lock_file(env, path);
        if (rc == VV_OK && made)
            rc = vv_env_remove_dir(env, path);
        (void)rc; /* whatever is left is an empty place, where the next try can create */
    }
    (void)vv_fail_again(VV_IO, story);
}

static int open_path(struct lsm_context *c, bool stepped, varve **out)
{
    enum vv_lsm_found found;
    bool made = false;
    int rc = probe(c->env, c->path, &found);
    if (rc == VV_OK)
        rc = judge(found, c->options->mode, c->path);
    if (rc < 0)
        return rc;
    if (c->options->mode == VARVE_MODE_READONLY)
        return open_over(c, stepped, out);
    bool creates = found == VV_LSM_FOUND_NOTHING;
    if (creates)
        rc = make_home(c->env, c->path, &made);
    if (rc == VV_OK)
        rc = open_locked(c, stepped, out);
    if (rc < 0 && rc != VV_LOCKED && creates)
        undo_home(c->env, c->path, made);
    return rc;
}

static int open_memory(struct lsm_context *c, bool stepped, varve **out)
{
    if (c->options->mode == VARVE_MODE_EXISTING || c->options->mode == VARVE_MODE_READONLY)
        return vv_fail(VV_MISSING, "a store in memory is always a new one");
    int rc = vv_env_mem_new(&c->env);
    if (rc < 0)
        return rc;
    c->path = MEMORY_PATH;
    if ((rc = open_path(c, stepped, out)) == VV_OK)
        (*out)->store->own_env = c->env;
    else
        vv_env_mem_free(c->env);
    return rc;
}

int vv_db_open(const struct vv_db_world *world, const char *path, const varve_options *options,
               varve **out)
{
    struct vv_env_facts facts;
    varve_options resolved;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the store");
    vv_env_facts(world->env, &facts);
    int rc = vv_options_resolve(options, &facts, &resolved);
    if (rc < 0)
        return rc;
    struct lsm_context c = {world->env, path, &resolved, &world->tuning, false};
    if (path == NULL || strcmp(path, MEMORY_NAME) == 0)
        return open_memory(&c, world->stepped, out);
    return (rc = check_path(path)) < 0 ? rc : open_path(&c, world->stepped, out);
}

int vv_db_open_over(const struct vv_db_world *world, const struct vv_engine_maker *maker,
                    const varve_options *options, varve **out)
{
    struct vv_env_facts facts;
    varve_options resolved;
    vv_env_facts(world->env, &facts);
    int rc = vv_options_resolve(options, &facts, &resolved);
    if (rc < 0)
        return rc;
    return vv_store_open(
        &(struct vv_store_setup){world->env, world->stepped, MEMORY_NAME, &resolved, *maker}, out);
}

/* ---- destroying */

static int remove_owned(struct vv_env *env, const char *path)
{
    struct vv_buf names = VV_BUF_INIT;
    char file[PATH_SIZE];
    int rc = vv_env_list(env, path, &names);
    const char *at = (const char *)names.data;
    for (size_t left = names.size; rc == VV_OK && left > 0;) {
        size_t size = strlen(at) + 1;
        if (vv_lsm_owns(at) && strcmp(at, LOCK_NAME) != 0) {
            if ((rc = path_in(path, at, file)) == VV_OK)
                rc = vv_env_remove(env, file);
            if (rc == VV_NOTFOUND)
                rc = VV_OK;
        }
        at += size;
        left -= size;
    }
    vv_buf_deinit(&names);
    return rc;
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

/* The directory goes only if nothing else is in it, and then with a durable parent. */
static int remove_home(struct vv_env *env, const char *path)
{
    char parent[PATH_SIZE];
    size_t names = 0;
    int rc = vv_env_sync_dir(env, path);
    if (rc == VV_OK)
        rc = count_names(env, path, &names);
    if (rc != VV_OK || names > 0)
        return rc < 0 ? rc : VV_OK;
    if ((rc = vv_env_remove_dir(env, path)) == VV_OK && (rc = parent_of(path, parent)) == VV_OK)
        rc = vv_env_sync_dir(env, parent);
    return rc < 0 ? rc : VV_OK;
}

/* Locks a store that must be there. */
static int lock_existing(struct vv_env *env, const char *path, struct vv_lock **out)
{
    enum vv_lsm_found found;
    int rc = check_path(path);
    if (rc == VV_OK)
        rc = probe(env, path, &found);
    if (rc == VV_OK)
        rc = judge(found, VARVE_MODE_EXISTING, path);
    return rc == VV_OK ? lock_store(env, path, out) : rc;
}

int vv_db_destroy(const struct vv_db_world *world, const char *path)
{
    struct vv_lock *lock = NULL;
    int rc = lock_existing(world->env, path, &lock);
    if (rc < 0)
        return rc;
    rc = remove_owned(world->env, path);
    if (rc == VV_OK)
        rc = remove_lock_file(world->env, path);
    if (rc == VV_OK)
        rc = remove_home(world->env, path);
    vv_env_unlock(lock);
    return rc;
}

/* ---- checking and repairing */

static void report_to_nobody(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static int check_locked(struct lsm_context *c, varve_report *report, void *context)
{
    varve *db;
    int rc = open_over(c, true, &db);
    if (rc == VV_CORRUPT)
        report(context, vv_error_story());
    if (rc < 0)
        return rc;
    rc = varve_verify(db, report, context);
    int close_rc = varve_close(db);
    return rc < 0 ? rc : close_rc;
}

/* Resolves the options of a store that is there, and locks it. */
static int prepare(const struct vv_db_world *world, const char *path, const varve_options *options,
                   varve_options *resolved, struct vv_lock **lock)
{
    struct vv_env_facts facts;
    vv_env_facts(world->env, &facts);
    int rc = vv_options_resolve(options, &facts, resolved);
    return rc < 0 ? rc : lock_existing(world->env, path, lock);
}

int vv_db_check(const struct vv_db_world *world, const char *path, const varve_options *options,
                varve_report *report, void *context)
{
    struct vv_lock *lock = NULL;
    varve_options resolved;
    int rc = prepare(world, path, options, &resolved, &lock);
    /* On a medium that may not be written nobody else can have it open for writing. */
    if (rc < 0 && rc != VV_PERMISSION)
        return rc;
    resolved.mode = VARVE_MODE_READONLY;
    struct lsm_context c = {world->env, path, &resolved, &world->tuning, false};
    rc = check_locked(&c, report != NULL ? report : report_to_nobody, context);
    vv_env_unlock(lock);
    return rc;
}

struct repair_host {
    struct vv_catalog catalog;
    const varve_options *options;
};

static int notes_of_repair(void *context, const struct vv_note *notes, size_t count,
                           const struct vv_order **order, struct vv_note *first)
{
    struct repair_host *r = context;
    return vv_catalog_load(&r->catalog, r->options, notes, count, order, first);
}

static int repair_locked(struct lsm_context *c, varve_report *report, void *context)
{
    struct vv_lsm_options lsm;
    struct vv_account account = {0};
    const struct vv_order bytewise = {.name = NULL};
    struct repair_host *r = vv_alloc_zero(sizeof *r);
    if (r == NULL)
        return VV_NOMEM;
    const struct vv_host host = {.context = r, .notes = notes_of_repair};
    vv_catalog_init(&r->catalog, NULL, NULL);
    r->options = c->options;
    int rc = lsm_options(c, &lsm);
    if (rc == VV_OK) {
        lsm.account = &account;
        lsm.order = &bytewise;
        lsm.host = &host;
        rc = vv_lsm_repair(&lsm, report, context);
    }
    vv_catalog_deinit(&r->catalog);
    vv_free(r);
    return rc;
}

int vv_db_repair(const struct vv_db_world *world, const char *path, const varve_options *options,
                 varve_report *report, void *context)
{
    struct vv_lock *lock = NULL;
    varve_options resolved;
    int rc = prepare(world, path, options, &resolved, &lock);
    if (rc < 0)
        return rc;
    struct lsm_context c = {world->env, path, &resolved, &world->tuning, false};
    rc = repair_locked(&c, report != NULL ? report : report_to_nobody, context);
    vv_env_unlock(lock);
    return rc;
}

int vv_db_find(const struct vv_db_world *world, const char *path)
{
    enum vv_lsm_found found;
    int rc = check_path(path);
    if (rc == VV_OK)
        rc = probe(world->env, path, &found);
    return rc == VV_OK ? judge(found, VARVE_MODE_READONLY, path) : rc;
}
