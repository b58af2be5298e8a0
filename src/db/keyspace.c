/*
 * The public functions about keyspaces.
 *
 * A keyspace is there once its note is durable. Only then does anybody get its handle, so no key of
 * it is ever written that recovery could not place.
 */
#include "db/inner_key.h"
#include "db/open.h"
#include "db/options.h"
#include "db/store.h"
#include "db/walk.h"

#include <stdio.h>

static int check_name(const char *name)
{
    size_t size = name != NULL ? strlen(name) : 0;
    if (size == 0 || size > VV_KEYSPACE_NAME_MAX)
        return vv_fail(VV_INVALID, "the name of a keyspace has 1 to %d bytes, not %zu",
                       VV_KEYSPACE_NAME_MAX, size);
    return VV_OK;
}

static int comparator_of(const varve_keyspace_options *options, const varve_comparator **out)
{
    *out = NULL;
    if (options == NULL)
        return VV_OK;
    if (options->size < sizeof *options)
        return vv_fail(VV_INVALID, "keyspace options must start from VARVE_KEYSPACE_OPTIONS_INIT");
    *out = options->comparator;
    return vv_comparator_check(options->comparator);
}

/* ---- creating */

static int note_down(const struct vv_store *s, const struct vv_keyspace *k,
                     enum vv_keyspace_state state, const struct vv_order *order)
{
    struct vv_buf text = VV_BUF_INIT;
    struct vv_keyspace_note content = {vv_slice_str(k->name), vv_slice_str(k->comparator_name),
                                       state};
    int rc = vv_keyspace_note_encode(&content, &text);
    struct vv_note note = {k->id, vv_buf_slice(&text)};
    if (rc == VV_OK && s->engine->ops->note == NULL)
        rc = vv_fail(VV_UNSUPPORTED, "this engine has no keyspaces");
    if (rc == VV_OK)
        rc = s->engine->ops->note(s->engine, &note, 1, order);
    vv_buf_deinit(&text);
    return rc;
}

static int create_locked(struct vv_store *s, const char *name, const varve_comparator *comparator,
                         struct vv_keyspace **out)
{
    struct vv_catalog *c = &s->root->catalog;
    struct vv_keyspace *k = NULL;
    uint32_t id = atomic_load(&c->count);
    if (vv_catalog_named_locked(c, vv_slice_str(name)) != NULL)
        return vv_fail(VV_EXISTS, "%s: there is a keyspace '%s' already", s->path, name);
    int rc = vv_catalog_reserve_locked(c, id);
    if (rc == VV_OK)
        rc = vv_keyspace_new(c, id, vv_slice_str(name), comparator, &k);
    if (rc == VV_OK)
        rc = note_down(s, k, VV_KEYSPACE_LIVE,
                       comparator != NULL && !c->is_ordered ? &c->order : NULL);
    if (rc < 0) {
        vv_keyspace_free(k);
        return rc;
    }
    c->is_ordered = c->is_ordered || comparator != NULL;
    vv_catalog_add_locked(c, k);
    *out = k;
    return VV_OK;
}

static int check_writable(const struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        return vv_fail(VV_READONLY, "%s was opened read-only", s->path);
    return vv_poison_check(&s->poison);
}

static int create(struct vv_store *s, const char *name, const varve_comparator *comparator,
                  varve_keyspace **out)
{
    struct vv_keyspace *k = NULL;
    int rc = check_writable(s);
    if (rc < 0)
        return rc;
    vv_mutex_lock(&s->root->catalog.mu);
    rc = create_locked(s, name, comparator, &k);
    vv_mutex_unlock(&s->root->catalog.mu);
    if (rc == VV_OK)
        *out = &k->handle;
    return rc;
}

int varve_keyspace_create(varve *db, const char *name, const varve_keyspace_options *options,
                          varve_keyspace **out)
{
    struct vv_call call;
    const varve_comparator *comparator = NULL;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the keyspace");
    int rc = check_name(name);
    if (rc == VV_OK)
        rc = comparator_of(options, &comparator);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = create(db->store, name, comparator, out);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- dropping
 *
 *   note "dropped" ──▶ handle answers MISSING ──▶ range tombstone ──▶ … ──▶ the next open takes the
 *                                                                          note out
 *
 * With the note it is dropped. The tombstone only brings back the space, so it may fail: the next open
 * makes it again if any key is left. That also finds what a writer, who had looked before the drop,
 * has written behind the tombstone. */

static int drop_locked(const struct vv_store *s, struct vv_keyspace *k)
{
    vv_mutex_assert_held(&s->root->catalog.mu);
    int rc = vv_keyspace_check(k);
    if (rc == VV_OK)
        rc = note_down(s, k, VV_KEYSPACE_DROPPED, NULL);
    if (rc < 0)
        return rc;
    vv_seq now = atomic_load_explicit(&s->visible, memory_order_acquire);
    atomic_store_explicit(&k->dropped_at, now, memory_order_relaxed);
    atomic_store_explicit(&k->state, VV_KEYSPACE_DROPPED, memory_order_release);
    return VV_OK;
}

static int drop(struct vv_keyspace *k)
{
    struct vv_store *s = k->handle.store;
    if (k->id == 0)
        return vv_fail(VV_INVALID, "the default keyspace cannot be dropped");
    int rc = check_writable(s);
    if (rc < 0)
        return rc;
    /* The tombstone's turn may come behind that of a transaction whose thread wants the catalog. */
    vv_mutex_lock(&s->root->catalog.mu);
    rc = drop_locked(s, k);
    vv_mutex_unlock(&s->root->catalog.mu);
    if (rc < 0)
        return rc;
    rc = vv_store_clear(&k->handle);
    (void)rc;
    return VV_OK;
}

int varve_keyspace_drop(varve_keyspace *keyspace)
{
    struct vv_call call;
    int rc = vv_store_enter(keyspace, &call);
    if (rc < 0)
        return rc;
    rc = drop(keyspace->keyspace);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* One pass over what shows behind the first dropped keyspace: a key that is found tells of all dropped
 * keyspaces before it that nothing is left. Looking into each by itself would pass the same tombstones
 * again and again. */
struct tidying {
    struct vv_store *s;
    struct vv_walk walk;
    bool started, ended;
    struct vv_buf notes; /* of struct vv_note: those of which nothing is left to say */
};

/* Keyspaces come in the order of their bytes. */
static int is_empty(struct tidying *t, const struct vv_keyspace *k, bool *out)
{
    struct vv_space first = vv_space_first(k->space);
    struct vv_space end = vv_space_end(k->space);
    int rc = VV_OK;
    if (!t->started || (!t->ended && vv_slice_cmp(t->walk.entry.key, vv_space_slice(&first)) < 0)) {
        rc = vv_walk_seek(&t->walk, vv_space_slice(&first));
        t->started = true;
        t->ended = rc == VV_END;
    }
    *out = t->ended || vv_slice_cmp(t->walk.entry.key, vv_space_slice(&end)) >= 0;
    return rc < 0 ? rc : VV_OK;
}

static int tidy_one(struct tidying *t, const struct vv_keyspace *k, bool is_last)
{
    bool empty = false;
    struct vv_note gone = {k->id, VV_SLICE_EMPTY};
    int rc = is_empty(t, k, &empty);
    if (rc == VV_OK && !empty)
        rc = vv_store_clear(&k->handle);
    if (rc == VV_OK && empty && vv_keyspace_bytewise(k) && !is_last)
        rc = vv_buf_append(&t->notes, &gone, sizeof gone);
    return rc;
}

enum order_kind { BYTEWISE_ONES, ORDERED_ONES };

static int tidy_those(struct tidying *t, enum order_kind kind)
{
    const struct vv_catalog *c = &t->s->root->catalog;
    uint32_t count = atomic_load(&c->count);
    int rc = VV_OK;
    for (uint32_t id = 1; rc == VV_OK && id < count; id++) {
        const struct vv_keyspace *k = vv_catalog_find(c, id);
        if (k != NULL && !vv_keyspace_live(k) && vv_keyspace_bytewise(k) == (kind == BYTEWISE_ONES))
            rc = tidy_one(t, k, id == count - 1);
    }
    return rc;
}

static bool any_dropped(const struct vv_catalog *c)
{
    uint32_t count = atomic_load(&c->count);
    for (uint32_t id = 1; id < count; id++) {
        const struct vv_keyspace *k = vv_catalog_find(c, id);
        if (k != NULL && !vv_keyspace_live(k))
            return true;
    }
    return false;
}

void vv_keyspaces_tidy(struct vv_store *s)
{
    struct tidying t = {.s = s, .walk = {.order = &s->order}};
    struct vv_engine *e = s->engine;
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *inner;
    vv_seq seq;
    if (s->options.mode == VARVE_MODE_READONLY || e->ops->note == NULL ||
        !any_dropped(&s->root->catalog) || e->ops->iter(e, &options, &seq, &inner) < 0)
        return;
    vv_walk_start(&t.walk, inner, seq);
    int rc = tidy_those(&t, BYTEWISE_ONES);
    if (rc == VV_OK)
        rc = tidy_those(&t, ORDERED_ONES);
    vv_walk_deinit(&t.walk);
    vv_iter_close(inner);
    size_t count = t.notes.size / sizeof(struct vv_note);
    if (rc == VV_OK && count > 0)
        rc = e->ops->note(e, (const struct vv_note *)(const void *)t.notes.data, count, NULL);
    (void)rc; /* the next open tries again */
    vv_buf_deinit(&t.notes);
}

/* ---- without their notes
 *
 * Where the MANIFEST was lost, so were all names. Keys still say whose they are, and must not turn up in
 * a new keyspace that is given the same id. */

static int name_lost(const struct vv_store *s, uint32_t id, varve_report *report, void *context)
{
    struct vv_keyspace *k;
    char name[32], line[96];
    (void)snprintf(name, sizeof name, "lost-%u", id);
    (void)snprintf(line, sizeof line, "keyspace %u has lost its name: it is '%s' now", id, name);
    int rc = vv_keyspace_new(&s->root->catalog, id, vv_slice_str(name), NULL, &k);
    if (rc < 0)
        return rc;
    rc = note_down(s, k, VV_KEYSPACE_LIVE, NULL);
    vv_keyspace_free(k);
    report(context, line);
    return rc;
}

/* From keyspace to keyspace: one seek each. */
static int name_all_lost(const struct vv_store *s, struct vv_iter *it, varve_report *report,
                         void *context)
{
    struct vv_space next = vv_space_of(1);
    int rc = VV_OK;
    while (rc == VV_OK && (rc = vv_iter_seek(it, vv_space_slice(&next), VV_SEQ_MAX)) == VV_OK &&
           it->valid) {
        uint32_t id = 0;
        size_t size = vv_space_decode(it->at.key, &id);
        if (size == 0)
            return vv_fail(VV_CORRUPT, "a key of %zu bytes is of no keyspace", it->at.key.size);
        if (vv_catalog_find(&s->root->catalog, id) == NULL)
            rc = name_lost(s, id, report, context);
        next = vv_space_end(size == VV_SPACE_SIZE_MAX ? vv_space_ordered(id) : vv_space_of(id));
    }
    return rc;
}

int vv_keyspaces_name_lost(varve *db, varve_report *report, void *context)
{
    const struct vv_store *s = db->store;
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *it;
    vv_seq seq;
    int rc = s->engine->ops->iter(s->engine, &options, &seq, &it);
    if (rc < 0)
        return rc;
    rc = name_all_lost(s, it, report, context);
    vv_iter_close(it);
    return rc;
}

/* ---- finding */

int varve_keyspace_open(varve *db, const char *name, varve_keyspace **out)
{
    struct vv_call call;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the keyspace");
    int rc = check_name(name);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    struct vv_catalog *c = &db->root->catalog;
    vv_mutex_lock(&c->mu);
    struct vv_keyspace *k = vv_catalog_named_locked(c, vv_slice_str(name));
    vv_mutex_unlock(&c->mu);
    if (k != NULL)
        *out = &k->handle;
    else
        rc = vv_fail(VV_MISSING, "%s: there is no keyspace '%s'", db->store->path, name);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

const char *varve_keyspace_name(const varve_keyspace *keyspace)
{
    return keyspace != NULL ? keyspace->keyspace->name : NULL;
}

uint32_t varve_keyspace_id(const varve_keyspace *keyspace)
{
    return keyspace != NULL ? keyspace->keyspace->id : 0;
}

int varve_keyspace_list(varve *db, varve_keyspace_visit *visit, void *context)
{
    struct vv_call call;
    if (visit == NULL)
        return vv_fail(VV_INVALID, "nobody to show the keyspaces to");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    const struct vv_catalog *c = &db->root->catalog;
    uint32_t count = atomic_load(&c->count);
    for (uint32_t id = 0; rc == 0 && id < count; id++) {
        const struct vv_keyspace *k = vv_catalog_find(c, id);
        if (k != NULL && vv_keyspace_live(k))
            rc = visit(context, k->name);
    }
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- without opening */

struct listing {
    varve_keyspace_visit *visit;
    void *context;
};

static int visit_note(void *context, const struct vv_note *note)
{
    const struct listing *listing = context;
    char name[VV_KEYSPACE_NAME_MAX + 1] = {0};
    struct vv_keyspace_note content;
    bool is_further = note->id > 0 && note->id <= VV_SPACE_ID_MAX;
    int rc = !is_further ? VV_END : vv_keyspace_note_decode(note->text, &content);
    if (rc != VV_OK || content.state != VV_KEYSPACE_LIVE)
        return rc < 0 ? rc : VV_OK;
    memcpy(name, content.name.data, content.name.size);
    return listing->visit(listing->context, name);
}

int vv_db_keyspaces(const struct vv_db_world *world, const char *path, varve_keyspace_visit *visit,
                    void *context)
{
    struct listing listing = {visit, context};
    if (path == NULL || visit == NULL)
        return vv_fail(VV_INVALID, "no path was given, or nobody to show the keyspaces to");
    int rc = vv_db_find(world, path);
    if (rc == VV_OK)
        rc = visit(context, "default");
    return rc == VV_OK ? vv_lsm_notes(world->env, path, visit_note, &listing) : rc;
}
