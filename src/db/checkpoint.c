/*
 * Checkpoints: a moment of the store as a store of its own. The two share the files of that moment
 * where the file system lets them, and nothing else.
 */
#include "db/copy.h"
#include "db/moment.h"
#include "env/posix.h"

/* How often a keyspace may be made or dropped meanwhile. */
enum { MOMENT_TRIES = 100 };

/* ---- a moment */

static int check_can_flush(const struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        return vv_fail(VV_READONLY, "%s was opened read-only", s->path);
    if (s->engine->ops->checkpoint == NULL)
        return vv_fail(VV_UNSUPPORTED, "this engine makes no checkpoints");
    return vv_poison_check(&s->poison);
}

int vv_store_moment(struct vv_store *s, int (*visit)(void *context, const struct vv_moment *moment),
                    void *context)
{
    int rc = check_can_flush(s);
    if (rc < 0)
        return rc;
    for (int tries = 0; tries < MOMENT_TRIES; tries++) {
        if ((rc = vv_store_flush(s)) < 0)
            return rc;
        if ((rc = s->engine->ops->checkpoint(s->engine, visit, context)) != VV_CONFLICT)
            return rc;
    }
    return vv_fail(VV_BUSY, "%s: keyspaces come and go too fast for a checkpoint", s->path);
}

struct vv_env *vv_store_world_of_copies(const struct vv_store *s)
{
    return s->own_env != NULL ? vv_env_posix() : s->env;
}

/* ---- a checkpoint */

struct checkpoint {
    struct vv_copy copy;
    bool cannot_link; /* it was tried */
};

static int bring(struct checkpoint *c, const struct vv_moment *moment,
                 const struct vv_moment_file *file)
{
    char from[VV_HOME_PATH_SIZE];
    char to[VV_HOME_PATH_SIZE];
    int rc = vv_home_path(moment->dir, file->name, from);
    if (rc < 0 || (rc = vv_home_path(c->copy.path, file->name, to)) < 0)
        return rc;
    if (!file->grows && !c->cannot_link && moment->env == c->copy.env) {
        rc = vv_env_link(c->copy.env, from, to);
        if (rc == VV_NOTFOUND)
            return vv_fail(VV_CORRUPT, "%s: the file is missing", from);
        if (rc != VV_UNSUPPORTED)
            return rc;
        c->cannot_link = true;
    }
    return vv_transfer(&(struct vv_transfer){.from_env = moment->env,
                                             .from = from,
                                             .to_env = c->copy.env,
                                             .to = to,
                                             .size_bytes = file->size_bytes});
}

static int take(void *context, const struct vv_moment *moment)
{
    struct checkpoint *c = context;
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < moment->file_count; i++)
        rc = bring(c, moment, &moment->files[i]);
    return rc < 0 ? rc : vv_copy_finish(&c->copy, moment->state);
}

static int checkpoint(struct vv_store *s, const char *path)
{
    struct checkpoint c = {.cannot_link = false};
    int rc = check_can_flush(s);
    if (rc < 0 || (rc = vv_copy_begin(vv_store_world_of_copies(s), path, &c.copy)) < 0)
        return rc;
    rc = vv_store_moment(s, take, &c);
    vv_copy_end(&c.copy, rc);
    return rc;
}

int varve_checkpoint(varve *db, const char *path)
{
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    rc = checkpoint(db->store, path);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}
