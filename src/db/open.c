/*
 * Opening a store over the LSM engine, and destroying, checking and repairing one that nobody has
 * open.
 */
#include "db/open.h"

#include "db/home.h"
#include "db/options.h"
#include "db/store.h"
#include "env/mem.h"

#define MEMORY_NAME ":memory:"
#define MEMORY_PATH "/varve"

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
        .changes_keep = options->changes_keep,
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

/* Opens or creates under the lock. What is there is looked at again: another process may have been
 * faster. */
static int open_locked(struct lsm_context *c, bool stepped, varve **out)
{
    struct vv_lock *lock = NULL;
    enum vv_lsm_found found;
    int rc = vv_home_lock(c->env, c->path, &lock);
    if (rc == VV_OK)
        rc = vv_home_probe(c->env, c->path, &found);
    if (rc == VV_OK)
        rc = vv_home_judge(found, c->options->mode, c->path);
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

static int open_path(struct lsm_context *c, bool stepped, varve **out)
{
    enum vv_lsm_found found;
    bool made = false;
    int rc = vv_home_probe(c->env, c->path, &found);
    if (rc == VV_OK)
        rc = vv_home_judge(found, c->options->mode, c->path);
    if (rc < 0)
        return rc;
    if (c->options->mode == VARVE_MODE_READONLY)
        return open_over(c, stepped, out);
    bool creates = found == VV_LSM_FOUND_NOTHING;
    if (creates)
        rc = vv_home_make(c->env, c->path, &made);
    if (rc == VV_OK)
        rc = open_locked(c, stepped, out);
    if (rc < 0 && rc != VV_LOCKED && creates)
        vv_home_undo(c->env, c->path, made);
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
    return (rc = vv_home_check_path(path)) < 0 ? rc : open_path(&c, world->stepped, out);
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

int vv_db_destroy(const struct vv_db_world *world, const char *path)
{
    struct vv_lock *lock = NULL;
    int rc = vv_home_lock_for_destroying(world->env, path, &lock);
    if (rc < 0)
        return rc;
    rc = vv_home_clear(world->env, path);
    if (rc == VV_OK)
        rc = vv_home_remove_lock(world->env, path);
    if (rc == VV_OK)
        rc = vv_home_remove(world->env, path);
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
    return rc < 0 ? rc : vv_home_lock_existing(world->env, path, lock);
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

/* The keys of keyspaces are kept; their names were the MANIFEST's. */
static int restore_names(struct lsm_context *c, varve_report *report, void *context)
{
    varve *db;
    int rc = open_over(c, true, &db);
    if (rc < 0)
        return rc;
    rc = vv_keyspaces_name_lost(db, report, context);
    int close_rc = varve_close(db);
    return rc < 0 ? rc : close_rc;
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
    report = report != NULL ? report : report_to_nobody;
    resolved.mode = VARVE_MODE_EXISTING;
    rc = repair_locked(&c, report, context);
    if (rc == VV_OK)
        rc = restore_names(&c, report, context);
    vv_env_unlock(lock);
    return rc;
}

int vv_db_find(const struct vv_db_world *world, const char *path)
{
    enum vv_lsm_found found;
    int rc = vv_home_check_path(path);
    if (rc == VV_OK)
        rc = vv_home_probe(world->env, path, &found);
    return rc == VV_OK ? vv_home_judge(found, VARVE_MODE_READONLY, path) : rc;
}
