/*
 * Feeds: the commits of a store, one after another, as the engine's log has them.
 *
 * A feed is used by one thread at a time; the store may be closed by another. The guard counts each
 * call, so that the closer finds no call at work, and then closes the engine's side of each feed.
 */
#include "base/alloc.h"
#include "db/batch.h"
#include "db/store.h"
#include "kv/expiry.h"

struct varve_changes {
    varve *db;            /* referenced */
    struct vv_feed *feed; /* protected by the list's lock; NULL when the store was closed */
    struct vv_commit_record commit;
    bool at_commit;
    bool at_end;
    vv_seq looked;                       /* at the end: nothing further was found up to here */
    struct varve_changes *older, *newer; /* protected by the list's lock */
};

/* ---- the list */

static void list_add(struct vv_feeds *list, varve_changes *c)
{
    vv_mutex_lock(&list->mu);
    c->older = list->newest;
    if (c->older != NULL)
        c->older->newer = c;
    list->newest = c;
    vv_mutex_unlock(&list->mu);
}

static void detach_locked(struct vv_store *s, varve_changes *c)
{
    vv_mutex_assert_held(&s->feeds.mu);
    if (c->feed == NULL)
        return;
    s->engine->ops->feed_close(c->feed);
    c->feed = NULL;
}

static void list_remove(struct vv_store *s, varve_changes *c)
{
    vv_mutex_lock(&s->feeds.mu);
    detach_locked(s, c);
    *(c->newer != NULL ? &c->newer->older : &s->feeds.newest) = c->older;
    if (c->older != NULL)
        c->older->newer = c->newer;
    vv_mutex_unlock(&s->feeds.mu);
}

void vv_feeds_detach(struct vv_store *s)
{
    vv_mutex_lock(&s->feeds.mu);
    for (varve_changes *c = s->feeds.newest; c != NULL; c = c->older)
        detach_locked(s, c);
    vv_mutex_unlock(&s->feeds.mu);
}

/* ---- opening and closing */

/* A reader's feeds are not used while the reader is brought up to date. */
static void still(struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        vv_mutex_lock(&s->refresh_mu);
}

static void go_on(struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        vv_mutex_unlock(&s->refresh_mu);
}

static int feed_open(struct vv_store *s, vv_seq from, struct vv_feed **out)
{
    if (s->engine->ops->feed_open == NULL)
        return vv_fail(VV_UNSUPPORTED, "%s: the store's engine keeps no changes", s->path);
    return s->engine->ops->feed_open(s->engine, from, out);
}

static int open_in(varve *db, vv_seq from, varve_changes **out)
{
    struct vv_store *s = db->store;
    varve_changes *c = vv_alloc_zero(sizeof *c);
    if (c == NULL)
        return VV_NOMEM;
    still(s);
    int rc = feed_open(s, from > 0 ? from : 1, &c->feed);
    go_on(s);
    if (rc < 0) {
        vv_free(c);
        return rc;
    }
    c->db = db;
    vv_guard_ref(&db->root->guard);
    vv_news_listen(&s->news);
    list_add(&s->feeds, c);
    *out = c;
    return VV_OK;
}

int varve_changes_open(varve *db, uint64_t from, varve_changes **out)
{
    struct vv_call call;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the feed");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    rc = open_in(db, from, out);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* In a forked child the lock may be held for ever by a thread that does not exist. */
void varve_changes_close(varve_changes *c)
{
    if (c == NULL)
        return;
    varve *db = c->db;
    if (!vv_guard_forked(&db->root->guard)) {
        list_remove(db->store, c);
        vv_news_ignore(&db->store->news);
    }
    vv_free(c);
    vv_store_unref(db);
}

/* ---- moving */

static int enter(varve_changes *c, struct vv_call *call)
{
    return c != NULL ? vv_store_enter(c->db, call) : vv_fail(VV_INVALID, "no feed was given");
}

static int step(struct vv_store *s, varve_changes *c)
{
    still(s);
    vv_seq visible = atomic_load(&s->visible);
    int rc = s->engine->ops->feed_next(c->feed, &c->commit);
    go_on(s);
    c->at_commit = rc == VV_OK;
    c->at_end = rc == VV_END;
    c->looked = visible;
    return rc;
}

int varve_changes_next(varve_changes *c, varve_commit *out)
{
    struct vv_call call;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the commit");
    int rc = enter(c, &call);
    if (rc < 0)
        return rc;
    if ((rc = step(c->db->store, c)) == VV_OK)
        *out = (varve_commit){c->commit.first, c->commit.count};
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

static int await(struct vv_store *s, const varve_changes *c, uint32_t timeout_ms)
{
    struct vv_awaited what = {s->env, &s->root->guard, &s->visible, c->looked, UINT64_MAX};
    if (timeout_ms < UINT32_MAX)
        what.until_us = vv_env_now_us(s->env) + timeout_ms * 1000ull;
    if (s->stepped)
        what.until_us = 0; /* nobody else would write */
    vv_news_await(&s->news, &what);
    int rc = vv_guard_check(&s->root->guard);
    if (rc < 0)
        return rc;
    return atomic_load(&s->visible) > c->looked ? VV_OK : VV_END;
}

int varve_changes_wait(varve_changes *c, uint32_t timeout_ms)
{
    struct vv_call call;
    int rc = enter(c, &call);
    if (rc < 0)
        return rc;
    if (c->at_end)
        rc = await(c->db->store, c, timeout_ms);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- showing */

static int show(varve_changes *c, const struct vv_entry *op, varve_change_visit *visit,
                void *context)
{
    struct vv_pin pin = {.release = NULL};
    varve_change change = vv_change_of(op);
    int rc = VV_OK;
    change.expires_ms = vv_expiry_of(op->kind, op->value);
    change.ttl_ms = 0;
    if (vv_kind_is_ref(op->kind)) {
        const struct vv_engine_ops *ops = c->db->store->engine->ops;
        rc = ops->feed_value(c->feed, vv_expiry_strip(op->kind, op->value), op->key, &pin);
        change.value = vv_slice_to(pin.value);
    }
    if (rc == VV_OK)
        rc = visit(context, &change);
    vv_pin_release(&pin);
    return rc;
}

static int each(varve_changes *c, varve_change_visit *visit, void *context)
{
    struct vv_reader r = vv_reader_of(c->commit.ops);
    struct vv_entry op;
    int rc;
    if (!c->at_commit)
        return vv_fail(VV_INVALID, "the feed is at no commit");
    while ((rc = vv_batch_next(&r, &op)) == VV_OK)
        if ((rc = show(c, &op, visit, context)) != 0)
            return rc;
    return rc < 0 ? rc : VV_OK;
}

int varve_changes_each(varve_changes *c, varve_change_visit *visit, void *context)
{
    struct vv_call call;
    if (visit == NULL)
        return vv_fail(VV_INVALID, "nobody to show the changes to");
    int rc = enter(c, &call);
    if (rc < 0)
        return rc;
    rc = each(c, visit, context);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}
