/*
 * Bulks: sorted entries that the engine writes where they will stay, and their commit.
 *
 *      put ──▶ engine's ingest … ──▶ seal ──▶ flush ──▶ alone in the queue: flush, install ── visible
 *
 * What is in memory must be in tables before an ingest is installed. Most of it is flushed before the
 * queue is taken, so that writers wait only for what they have written meanwhile.
 *
 * Every call enters the turnstile, so the closer of the store finds no call in flight, ends the
 * engine's side of each bulk, and leaves the rest to its owner.
 */
#include "db/bulk.h"

#include "db/inner_key.h"
#include "db/store.h"

#include <stdio.h>

enum { RANK_BULKS = 31, FLUSHES_MAX = 100, NAMED_MAX = 48 };

struct varve_bulk {
    varve *db;                /* referenced */
    struct vv_ingest *ingest; /* NULL once it was ended */
    struct vv_buf last;       /* the key added last, as the engine knows it */
    uint64_t count;
    uint64_t bytes; /* of keys and values */
    bool over;
    bool failed;                      /* a put failed half-way: only the end is left */
    struct varve_bulk *older, *newer; /* protected by the list's lock */
};

void vv_bulks_init(struct vv_bulks *b)
{
    vv_mutex_init(&b->mu, RANK_BULKS);
}

void vv_bulks_deinit(struct vv_bulks *b)
{
    vv_mutex_deinit(&b->mu);
}

/* ---- beginning and ending */

static void list_add(struct vv_bulks *list, varve_bulk *bulk)
{
    vv_mutex_lock(&list->mu);
    bulk->older = list->newest;
    if (bulk->older != NULL)
        bulk->older->newer = bulk;
    list->newest = bulk;
    vv_mutex_unlock(&list->mu);
}

static void list_remove_locked(struct vv_bulks *list, varve_bulk *bulk)
{
    vv_mutex_assert_held(&list->mu);
    *(bulk->newer != NULL ? &bulk->newer->older : &list->newest) = bulk->older;
    if (bulk->older != NULL)
        bulk->older->newer = bulk->newer;
}

/* Under the list's lock, which the closer of the store takes too: who comes first does it, and the
 * engine is there as long as the closer has not passed. */
static void detach_locked(varve_bulk *bulk)
{
    if (bulk->ingest != NULL)
        bulk->db->store->engine->ops->ingest_end(bulk->ingest);
    bulk->ingest = NULL;
}

void vv_bulks_detach(struct vv_store *s)
{
    vv_mutex_lock(&s->bulks.mu);
    for (varve_bulk *bulk = s->bulks.newest; bulk != NULL; bulk = bulk->older)
        detach_locked(bulk);
    vv_mutex_unlock(&s->bulks.mu);
}

static int check_begin(const varve *db, const varve_bulk_options *options)
{
    const struct vv_store *s = db->store;
    if (options != NULL && options->size < sizeof *options)
        return vv_fail(VV_INVALID, "bulk options must start from VARVE_BULK_OPTIONS_INIT");
    if (s->options.mode == VARVE_MODE_READONLY)
        return vv_fail(VV_READONLY, "%s was opened read-only", s->path);
    if (s->engine->ops->ingest_begin == NULL)
        return vv_fail(VV_UNSUPPORTED, "this engine takes no bulks");
    int rc = vv_poison_check(&s->poison);
    return rc == VV_OK ? vv_keyspace_check(db->keyspace) : rc;
}

static int bulk_new(varve *db, varve_bulk **out)
{
    struct vv_engine *e = db->store->engine;
    varve_bulk *bulk = vv_alloc_zero(sizeof *bulk);
    if (bulk == NULL)
        return VV_NOMEM;
    bulk->db = db;
    int rc = e->ops->ingest_begin(e, &bulk->ingest);
    if (rc < 0) {
        vv_free(bulk);
        return rc;
    }
    vv_guard_ref(&db->root->guard);
    list_add(&db->store->bulks, bulk);
    *out = bulk;
    return VV_OK;
}

int varve_bulk_begin(varve *db, const varve_bulk_options *options, varve_bulk **out)
{
    struct vv_call call;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the bulk");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    if ((rc = check_begin(db, options)) == VV_OK)
        rc = bulk_new(db, out);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

void varve_bulk_end(varve_bulk *bulk)
{
    if (bulk == NULL)
        return;
    varve *db = bulk->db;
    if (!vv_guard_forked(&db->root->guard)) {
        struct vv_bulks *list = &db->store->bulks;
        vv_mutex_lock(&list->mu);
        detach_locked(bulk);
        list_remove_locked(list, bulk);
        vv_mutex_unlock(&list->mu);
    }
    vv_buf_deinit(&bulk->last);
    vv_free(bulk);
    vv_store_unref(db);
}

uint64_t varve_bulk_count(const varve_bulk *bulk)
{
    return bulk != NULL ? bulk->count : 0;
}

/* ---- putting */

static int enter(varve_bulk *bulk, struct vv_call *call)
{
    if (bulk == NULL)
        return vv_fail(VV_INVALID, "no bulk was given");
    int rc = vv_store_enter(bulk->db, call);
    if (rc < 0)
        return rc;
    if (bulk->over)
        rc = vv_fail(VV_INVALID, "the bulk is over");
    else if (bulk->failed)
        rc = vv_fail(VV_INVALID, "a put of the bulk has failed: it can only be ended");
    if (rc < 0)
        vv_guard_leave(call, VV_DOOR_OTHER);
    return rc;
}

/* The beginning of a key, as text. */
struct named {
    char text[4 * NAMED_MAX + 8];
};

static struct named name_of(vv_slice key)
{
    struct named named;
    size_t at = 0;
    for (size_t i = 0; i < key.size && i < NAMED_MAX; i++) {
        bool plain = key.data[i] > ' ' && key.data[i] < 0x7f && key.data[i] != '\\';
        at += (size_t)snprintf(named.text + at, sizeof named.text - at, plain ? "%c" : "\\x%02x",
                               key.data[i]);
    }
    (void)snprintf(named.text + at, sizeof named.text - at, "%s",
                   key.size > NAMED_MAX ? "..." : "");
    return named;
}

static const struct vv_order *order_of(const varve *db)
{
    return vv_keyspace_bytewise(db->keyspace) ? &db->store->order : &db->root->catalog.order;
}

static int check_ascending(const varve_bulk *bulk, vv_slice inner)
{
    vv_slice last = vv_buf_slice(&bulk->last);
    if (bulk->count == 0 || vv_order_cmp(order_of(bulk->db), last, inner) < 0)
        return VV_OK;
    const struct vv_space *space = &bulk->db->keyspace->space;
    struct named before = name_of(vv_outer_key(space, last));
    struct named now = name_of(vv_outer_key(space, inner));
    return vv_fail(VV_INVALID, "the keys of a bulk ascend, but '%s' does not come behind '%s'",
                   now.text, before.text);
}

static int put(varve_bulk *bulk, vv_slice inner, vv_slice value)
{
    const struct vv_engine_ops *ops = bulk->db->store->engine->ops;
    int rc = vv_keyspace_check(bulk->db->keyspace);
    if (rc == VV_OK)
        rc = check_ascending(bulk, inner);
    if (rc == VV_OK)
        rc = vv_buf_assign(&bulk->last, inner);
    if (rc < 0)
        return rc;
    rc = ops->ingest_put(bulk->ingest, inner, value);
    bulk->failed = rc < 0;
    if (rc == VV_OK)
        bulk->count++;
    return rc;
}

int varve_bulk_put(varve_bulk *bulk, varve_slice key, varve_slice value)
{
    struct vv_call call;
    struct vv_inner_key inner;
    int rc = vv_key_check(key);
    if (rc == VV_OK)
        rc = vv_value_check(value);
    if (rc < 0 || (rc = enter(bulk, &call)) < 0)
        return rc;
    rc = vv_inner_key_init(&inner, &bulk->db->keyspace->space, vv_slice_from(key));
    if (rc == VV_OK) {
        rc = put(bulk, inner.key, vv_slice_from(value));
        vv_inner_key_deinit(&inner);
    }
    if (rc == VV_OK)
        bulk->bytes += key.size + value.size;
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- committing */

/* While we are alone nothing is written, so one flush is enough, unless a flush fails. */
static int install(void *context, vv_seq seq)
{
    const varve_bulk *bulk = context;
    struct vv_store *s = bulk->db->store;
    int rc = vv_keyspace_check(bulk->db->keyspace);
    for (int flushes = 0; rc == VV_OK; flushes++) {
        rc = s->engine->ops->ingest_install(bulk->ingest, seq);
        if (rc != VV_CONFLICT)
            return rc;
        rc = flushes < FLUSHES_MAX ? vv_store_flush(s)
                                   : vv_fail(VV_BUSY, "the memtables do not become empty");
    }
    return rc;
}

static int commit(varve_bulk *bulk)
{
    struct vv_store *s = bulk->db->store;
    int rc = vv_poison_check(&s->poison);
    if (rc == VV_OK)
        rc = vv_commit_check_turn(&s->commit);
    if (rc < 0 || bulk->count == 0)
        return rc;
    if ((rc = s->engine->ops->ingest_seal(bulk->ingest)) < 0 || (rc = vv_store_flush(s)) < 0)
        return rc;
    return vv_commit_alone(&s->commit, 0, install, bulk);
}

int varve_bulk_commit(varve_bulk *bulk)
{
    struct vv_call call;
    int rc = enter(bulk, &call);
    if (rc < 0)
        return rc;
    rc = commit(bulk);
    bulk->over = rc != VV_BUSY;
    if (rc == VV_OK) {
        vv_guard_tally(&call, VV_TALLY_PUTS, bulk->count);
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, bulk->bytes);
    }
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_BATCH : VV_DOOR_OTHER);
    return rc;
}
