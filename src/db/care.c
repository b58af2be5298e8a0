/*
 * Care of an open store: flush, sync, compact, settle, pause, verify.
 */
#include "db/inner_key.h"
#include "db/store.h"

int vv_store_flush(struct vv_store *s)
{
    uint64_t ticket;
    int rc = s->engine->ops->flush_begin(s->engine, &ticket);
    return rc < 0 ? rc : vv_work_await(&s->work, s->engine->ops->flush_done, ticket);
}

int vv_store_sync(struct vv_store *s)
{
    return s->options.durability == VARVE_DURABILITY_NONE ? vv_store_flush(s)
                                                          : vv_commit_sync(&s->commit);
}

static int check_writable(const struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        return vv_fail(VV_READONLY, "%s was opened read-only", s->path);
    return vv_poison_check(&s->poison);
}

static int begin(varve *db, struct vv_call *call)
{
    int rc = vv_store_enter(db, call);
    if (rc == VV_OK && (rc = check_writable(db->store)) < 0)
        vv_guard_leave(call, VV_DOOR_OTHER);
    return rc;
}

static int end(const struct vv_call *call, int rc)
{
    vv_guard_leave(call, VV_DOOR_OTHER);
    return rc;
}

int varve_sync(varve *db)
{
    struct vv_call call;
    int rc = begin(db, &call);
    return rc < 0 ? rc : end(&call, vv_store_sync(db->store));
}

int varve_flush(varve *db)
{
    struct vv_call call;
    int rc = begin(db, &call);
    return rc < 0 ? rc : end(&call, vv_store_flush(db->store));
}

/* An open end is the end of the keyspace; through the store's own handle two of them mean all there
 * is. */
static int compact(const varve *db, varve_slice from, varve_slice to)
{
    struct vv_store *s = db->store;
    struct vv_inner_range range;
    uint64_t ticket;
    bool whole = db->keyspace->id == 0 && from.data == NULL && to.data == NULL;
    if (atomic_load(&s->pauses) > 0)
        return vv_fail(VV_BUSY, "%s: compaction is paused; resume it first", s->path);
    int rc = vv_keyspace_check(db->keyspace);
    if (rc == VV_OK)
        rc = vv_inner_range_init(&range, db->keyspace, vv_slice_from(from), vv_slice_from(to));
    if (rc < 0)
        return rc;
    rc = s->engine->ops->compact_begin(s->engine, whole ? NULL : &range.from.key,
                                       whole ? NULL : &range.to.key, &ticket);
    vv_inner_range_deinit(&range);
    return rc < 0 ? rc : vv_work_await(&s->work, s->engine->ops->compact_done, ticket);
}

int varve_compact(varve *db, varve_slice from, varve_slice to)
{
    struct vv_call call;
    int rc = vv_key_check(from);
    if (rc == VV_OK)
        rc = vv_key_check(to);
    if (rc < 0 || (rc = begin(db, &call)) < 0)
        return rc;
    return end(&call, compact(db, from, to));
}

/* While we wait, the engine does at once what it would leave for an idle hour. */
static int settle(struct vv_store *s)
{
    if (s->engine->ops->settle != NULL)
        s->engine->ops->settle(s->engine, 1);
    int rc = vv_work_settle(&s->work);
    if (s->engine->ops->settle != NULL)
        s->engine->ops->settle(s->engine, -1);
    return rc;
}

int varve_settle(varve *db)
{
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    return rc < 0 ? rc : end(&call, settle(db->store));
}

/* The engine hears of a pause before it counts here, and of its end after it does not: so it never
 * hears of more ends than pauses. */
int varve_pause(varve *db)
{
    struct vv_call call;
    int rc = begin(db, &call);
    if (rc < 0)
        return rc;
    struct vv_store *s = db->store;
    s->engine->ops->pause(s->engine, 1);
    (void)atomic_fetch_add(&s->pauses, 1);
    return end(&call, VV_OK);
}

static int resume(struct vv_store *s)
{
    int pauses = atomic_load(&s->pauses);
    do
        if (pauses == 0)
            return vv_fail(VV_INVALID, "%s: compaction is not paused", s->path);
    while (!atomic_compare_exchange_weak(&s->pauses, &pauses, pauses - 1));
    s->engine->ops->pause(s->engine, -1);
    vv_work_wake(&s->work);
    return VV_OK;
}

int varve_resume(varve *db)
{
    struct vv_call call;
    int rc = begin(db, &call);
    return rc < 0 ? rc : end(&call, resume(db->store));
}

/* What a snapshot shows is kept by the writer's merges only if the snapshot is the writer's. */
static int refresh(struct vv_store *s)
{
    int rc = VV_OK;
    if (s->options.mode != VARVE_MODE_READONLY)
        return VV_OK;
    vv_mutex_lock(&s->refresh_mu);
    if (vv_snapshots_count(&s->snapshots) > 0)
        rc = vv_fail(VV_BUSY, "%s: snapshots of the present state are open", s->path);
    else
        rc = s->engine->ops->refresh(s->engine);
    vv_mutex_unlock(&s->refresh_mu);
    return rc;
}

int varve_refresh(varve *db)
{
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    return rc < 0 ? rc : end(&call, refresh(db->store));
}

static void report_to_nobody(void *context, const char *line)
{
    (void)context;
    (void)line;
}

int varve_verify(varve *db, varve_report *report, void *context)
{
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    struct vv_engine *e = db->store->engine;
    return end(&call, e->ops->check(e, report != NULL ? report : report_to_nobody, context));
}

/* ---- for tests over a stepped store */

int vv_db_tend(varve *db, enum vv_tended *out)
{
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    if ((rc = vv_store_sync_if_due(db->store)) == VV_OK)
        rc = vv_work_tend(&db->store->work, out);
    return end(&call, rc);
}

vv_seq vv_db_seq(varve *db)
{
    return atomic_load_explicit(&db->store->visible, memory_order_acquire);
}
