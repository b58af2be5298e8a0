/*
 * The user's iterator: a walk over the engine's iterator, and what lets both live and die in any
 * order with their store.
 *
 * An iterator belongs to one thread at a time, but the store may be closed by another meanwhile. So
 * each call that touches the engine marks the iterator busy and then looks whether the store is
 * open; the closer marks the store closing and then waits until no iterator is busy, and closes the
 * engine's side of each. Both in this order, sequentially consistent: one sees the other. The mark
 * lies in the iterator, so that a scan shares no counter with other threads.
 *
 * In a transaction the walk goes over the engine's iterator with the pending changes laid over it
 * (overlay.h). When these have changed, a step begins with finding the present key anew.
 */
#include "db/inner_key.h"
#include "db/overlay.h"
#include "db/reads.h"
#include "db/store.h"
#include "db/txn.h"
#include "db/walk.h"

enum {
    CHUNK_BYTES = 1 << 20,
    BUSY_WAIT_US = 20,
};

/* Entries gathered: their bytes, and where each ends. */
struct column {
    struct vv_buf data;
    struct vv_buf offsets; /* of uint64_t; begins with 0 */
};

struct varve_iter {
    varve *db; /* referenced */
    _Atomic(int) busy;
    /* Written by the owning thread only, for whoever asks for statistics. */
    _Atomic(uint64_t) seeks, nexts;

    struct vv_walk walk;
    struct vv_iter *engine_side; /* the walk's inner iterator, or what lies below there */
    varve_txn *txn;              /* referenced, or NULL */
    uint64_t txn_moves;          /* of its changes, when the walk was last moved */
    struct vv_scan scan;
    struct vv_buf place; /* the key from which to find the way again */
    bool on_snapshot;
    bool keys_only;
    vv_seq at;
    bool bounded;               /* asked for less than the keyspace has */
    struct vv_buf lower, upper; /* the bounds' bytes */
    struct vv_pin value;        /* of the present entry, if it had to be fetched */
    bool value_fetched;
    struct vv_buf chunk;
    struct column key_column, value_column;

    struct varve_iter *older, *newer; /* protected by the list's lock */
};

static void count(_Atomic(uint64_t) *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

/* ---- touching the engine */

static int begin(varve_iter *it)
{
    if (VV_UNLIKELY(it == NULL))
        return vv_fail(VV_INVALID, "no iterator was given");
    const struct vv_guard *g = &it->db->root->guard;
    if (VV_UNLIKELY(vv_guard_forked(g)))
        return vv_guard_check(g);
    if (VV_UNLIKELY(it->txn != NULL && it->txn->over))
        return vv_txn_check_open(it->txn);
    (void)atomic_exchange(&it->busy, 1);
    if (VV_LIKELY(vv_guard_open(g)))
        return VV_OK;
    atomic_store_explicit(&it->busy, 0, memory_order_release);
    return vv_guard_check(g);
}

static int end(varve_iter *it, int rc)
{
    atomic_store_explicit(&it->busy, 0, memory_order_release);
    return rc;
}

/* Lets go of what belongs to the present entry. */
static void depart(varve_iter *it)
{
    if (!it->value_fetched)
        return;
    vv_pin_release(&it->value);
    it->value_fetched = false;
}

/* ---- opening */

/* Puts the key, with the keyspace in front, into `into`. */
static int assign_inner(struct vv_buf *into, const struct vv_space *space, vv_slice key)
{
    int rc = vv_buf_assign(into, vv_space_slice(space));
    return rc == VV_OK ? vv_buf_append_slice(into, key) : rc;
}

/* The bounds asked for, or else the borders of the keyspace. */
static int set_bounds(varve_iter *it, const varve_iter_options *o)
{
    const struct vv_keyspace *k = it->db->keyspace;
    struct vv_space start = o->lower.data != NULL ? k->space : vv_space_first(k->space);
    struct vv_space stop = o->upper.data != NULL ? k->space : vv_space_end(k->space);
    int rc = assign_inner(&it->lower, &start, vv_slice_from(o->lower));
    if (rc == VV_OK)
        rc = assign_inner(&it->upper, &stop, vv_slice_from(o->upper));
    it->bounded = o->lower.data != NULL || o->upper.data != NULL || o->prefix.data != NULL;
    return rc;
}

static int narrow_to_prefix(varve_iter *it, vv_slice prefix)
{
    struct vv_buf start = VV_BUF_INIT;
    struct vv_buf stop = VV_BUF_INIT;
    bool stops = false;
    int rc = assign_inner(&start, &it->db->keyspace->space, prefix);
    if (rc == VV_OK)
        rc = vv_prefix_end(vv_buf_slice(&start), &stop, &stops);
    if (rc == VV_OK && vv_slice_cmp(vv_buf_slice(&it->lower), vv_buf_slice(&start)) < 0)
        rc = vv_buf_assign(&it->lower, vv_buf_slice(&start));
    if (rc == VV_OK && stops && vv_slice_cmp(vv_buf_slice(&stop), vv_buf_slice(&it->upper)) < 0)
        rc = vv_buf_assign(&it->upper, vv_buf_slice(&stop));
    vv_buf_deinit(&start);
    vv_buf_deinit(&stop);
    return rc;
}

static int overlay(const varve_iter *it, struct vv_iter **inner)
{
    struct vv_iter *above;
    int rc = vv_pending_iter(&it->txn->pending, it->at, &above);
    if (rc < 0) {
        vv_iter_close(*inner);
        return rc;
    }
    return vv_overlay_new(it->walk.order, above, *inner, inner);
}

static int attach_within(varve_iter *it, bool bounded)
{
    struct vv_engine *e = it->db->store->engine;
    struct vv_engine_iter_options options = {.at = it->on_snapshot ? it->at : VV_SEQ_NOW};
    struct vv_iter *inner;
    it->walk.lower = it->walk.upper = VV_SLICE_EMPTY;
    if (bounded) {
        it->walk.lower = options.lower = vv_buf_slice(&it->lower);
        it->walk.upper = options.upper = vv_buf_slice(&it->upper);
    }
    int rc = e->ops->iter(e, &options, &it->at, &inner);
    if (rc < 0)
        return rc;
    struct vv_iter *engine_side = inner;
    if (it->txn != NULL && (rc = overlay(it, &inner)) < 0)
        return rc;
    vv_iter_close(it->walk.inner);
    it->engine_side = it->walk.engine_side = engine_side;
    it->walk.present = &it->db->store->present;
    vv_walk_start(&it->walk, inner, it->at);
    /* A reader's store changes without a commit of ours, and a transaction shows what is not there. */
    bool own = it->txn == NULL && vv_keyspace_bytewise(it->db->keyspace) &&
               it->db->store->options.mode != VARVE_MODE_READONLY;
    it->walk.gaps = own ? &it->db->store->commit.gaps : NULL;
    return VV_OK;
}

/* Opens the engine's side at the iterator's moment and starts the walk on it. Who wants all there is
 * in a store without further keyspaces needs no bounds, and no comparing with them; one that comes
 * later has nothing at our moment; but a transaction may change something there. */
static int attach(varve_iter *it)
{
    const struct vv_catalog *c = &it->db->root->catalog;
    if (!it->bounded && it->txn == NULL && atomic_load(&c->count) == 1) {
        int rc = attach_within(it, false);
        if (rc < 0 || atomic_load(&c->count) == 1)
            return rc;
    }
    return attach_within(it, true);
}

static void column_deinit(struct column *column)
{
    vv_buf_deinit(&column->data);
    vv_buf_deinit(&column->offsets);
}

static void iter_free(varve_iter *it)
{
    vv_walk_deinit(&it->walk);
    column_deinit(&it->key_column);
    column_deinit(&it->value_column);
    vv_buf_deinit(&it->lower);
    vv_buf_deinit(&it->upper);
    vv_buf_deinit(&it->chunk);
    vv_buf_deinit(&it->place);
    vv_txn_unref(it->txn);
    vv_free(it);
}

static int check_options(const varve *db, const varve_iter_options *o)
{
    if (o->size < sizeof *o)
        return vv_fail(VV_INVALID, "iterator options must start from VARVE_ITER_OPTIONS_INIT");
    if (o->snapshot != NULL && o->snapshot->db->root != db->root)
        return vv_fail(VV_INVALID, "the snapshot belongs to another store");
    if (o->prefix.data != NULL && !vv_keyspace_bytewise(db->keyspace))
        return vv_fail(VV_INVALID, "a prefix means nothing in the order '%s'",
                       db->keyspace->comparator_name);
    int rc = vv_key_check(o->lower);
    if (rc == VV_OK)
        rc = vv_key_check(o->upper);
    return rc == VV_OK ? vv_key_check(o->prefix) : rc;
}

static void enter_txn(varve_iter *it, varve_txn *txn)
{
    it->txn = txn;
    vv_txn_ref(txn);
    it->on_snapshot = true;
    it->at = vv_txn_moment(txn);
    it->txn_moves = txn->pending.moves;
    it->scan.reads = txn->notes ? &txn->reads : NULL;
}

static int iter_new(varve *db, varve_txn *txn, const varve_iter_options *o, varve_iter **out)
{
    int rc = check_options(db, o);
    if (rc == VV_OK)
        rc =
            vv_keyspace_check_at(db->keyspace, o->snapshot != NULL ? o->snapshot->seq : VV_SEQ_NOW);
    if (rc == VV_OK && txn != NULL && o->snapshot != NULL)
        rc = vv_fail(VV_INVALID, "an iterator of a transaction has its moment from there");
    if (rc < 0)
        return rc;
    varve_iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    it->db = db;
    it->walk.order =
        vv_keyspace_bytewise(db->keyspace) ? &db->store->order : &db->root->catalog.order;
    it->keys_only = o->keys_only != 0;
    it->on_snapshot = o->snapshot != NULL;
    it->at = it->on_snapshot ? o->snapshot->seq : 0;
    if (txn != NULL)
        enter_txn(it, txn);
    rc = set_bounds(it, o);
    if (rc == VV_OK && o->prefix.data != NULL)
        rc = narrow_to_prefix(it, vv_slice_from(o->prefix));
    if (rc == VV_OK)
        rc = attach(it);
    if (rc < 0) {
        iter_free(it);
        return rc;
    }
    *out = it;
    return VV_OK;
}

static void list_add(struct vv_iters *list, varve_iter *it)
{
    vv_mutex_lock(&list->mu);
    it->older = list->newest;
    if (it->older != NULL)
        it->older->newer = it;
    list->newest = it;
    list->count++;
    vv_mutex_unlock(&list->mu);
}

int vv_iter_open_in(varve *db, varve_txn *txn, const varve_iter_options *options, varve_iter **out)
{
    static const varve_iter_options defaults = VARVE_ITER_OPTIONS_INIT;
    struct vv_call call;
    varve_iter *it = NULL;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the iterator");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    rc = iter_new(db, txn, options != NULL ? options : &defaults, &it);
    if (rc == VV_OK) {
        vv_guard_ref(&db->root->guard);
        list_add(&db->store->iters, it);
        *out = it;
    }
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

int varve_iter_open(varve *db, const varve_iter_options *options, varve_iter **out)
{
    return vv_iter_open_in(db, NULL, options, out);
}

/* ---- closing */

/* Leaves alone what the owner may read without asking: state and entry of the walk.
 * The engine's side is closed under the list's lock, which the closer of the store takes too: who
 * comes first does it, and the engine is there as long as the closer has not passed. */
static void detach_locked(varve_iter *it)
{
    depart(it);
    vv_iter_close(it->walk.inner);
    it->walk.inner = NULL;
}

static void list_remove_locked(struct vv_iters *list, varve_iter *it)
{
    vv_mutex_assert_held(&list->mu);
    *(it->newer != NULL ? &it->newer->older : &list->newest) = it->older;
    if (it->older != NULL)
        it->older->newer = it->newer;
    list->count--;
    list->seeks += atomic_load_explicit(&it->seeks, memory_order_relaxed);
    list->nexts += atomic_load_explicit(&it->nexts, memory_order_relaxed);
}

void varve_iter_close(varve_iter *it)
{
    if (it == NULL)
        return;
    varve *db = it->db;
    if (!vv_guard_forked(&db->root->guard)) {
        struct vv_iters *list = &db->store->iters;
        vv_mutex_lock(&list->mu);
        detach_locked(it);
        list_remove_locked(list, it);
        vv_mutex_unlock(&list->mu);
    }
    iter_free(it);
    vv_store_unref(db);
}

void vv_iters_detach(struct vv_store *s)
{
    vv_mutex_lock(&s->iters.mu);
    for (varve_iter *it = s->iters.newest; it != NULL; it = it->older) {
        while (atomic_load(&it->busy) != 0)
            vv_env_sleep_us(s->env, BUSY_WAIT_US);
        detach_locked(it);
    }
    vv_mutex_unlock(&s->iters.mu);
}

void vv_iters_count(struct vv_store *s, uint64_t *open, uint64_t *seeks, uint64_t *nexts)
{
    vv_mutex_lock(&s->iters.mu);
    *open = s->iters.count;
    *seeks = s->iters.seeks;
    *nexts = s->iters.nexts;
    for (const varve_iter *it = s->iters.newest; it != NULL; it = it->older) {
        *seeks += atomic_load_explicit(&it->seeks, memory_order_relaxed);
        *nexts += atomic_load_explicit(&it->nexts, memory_order_relaxed);
    }
    vv_mutex_unlock(&s->iters.mu);
}

/* ---- moving */

static const vv_slice NOWHERE = {NULL, 0};

/* Back to where we stood, as it looks now; if the place is gone, to the next in the direction. */
static int find_again(varve_iter *it, enum vv_scan_move move, bool *gone)
{
    struct vv_walk *w = &it->walk;
    int rc = vv_buf_assign(&it->place, w->entry.key);
    if (rc < 0)
        return rc;
    vv_slice place = vv_buf_slice(&it->place);
    rc = move == VV_SCAN_NEXT ? vv_walk_seek(w, place) : vv_walk_seek_for_prev(w, place);
    *gone = rc != VV_OK || !vv_slice_equal(w->entry.key, place);
    return rc;
}

static int step(varve_iter *it, enum vv_scan_move move)
{
    struct vv_walk *w = &it->walk;
    int rc = VV_OK;
    bool arrived = false;
    depart(it);
    if (w->state == VV_WALK_END)
        return VV_END;
    if (VV_UNLIKELY(it->txn != NULL && it->txn_moves != it->txn->pending.moves)) {
        it->txn_moves = it->txn->pending.moves;
        if (vv_walk_valid(w))
            rc = find_again(it, move, &arrived);
    }
    if (rc == VV_OK && !arrived)
        rc = move == VV_SCAN_NEXT ? vv_walk_next(w) : vv_walk_prev(w);
    return vv_scan_note(&it->scan, w, move, NOWHERE, rc);
}

static void jump(varve_iter *it)
{
    depart(it);
    if (it->txn != NULL)
        it->txn_moves = it->txn->pending.moves;
    count(&it->seeks, 1);
}

static int jumped(varve_iter *it, enum vv_scan_move move, vv_slice key, int rc)
{
    return end(it, vv_scan_note(&it->scan, &it->walk, move, key, rc));
}

int varve_iter_first(varve_iter *it)
{
    int rc = begin(it);
    if (rc < 0)
        return rc;
    jump(it);
    return jumped(it, VV_SCAN_FROM, NOWHERE, vv_walk_first(&it->walk));
}

int varve_iter_last(varve_iter *it)
{
    int rc = begin(it);
    if (rc < 0)
        return rc;
    jump(it);
    return jumped(it, VV_SCAN_TO, NOWHERE, vv_walk_last(&it->walk));
}

static int seek(varve_iter *it, varve_slice key, enum vv_scan_move move)
{
    struct vv_inner_key inner;
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = begin(it)) < 0)
        return rc;
    if ((rc = vv_inner_key_init(&inner, &it->db->keyspace->space, vv_slice_from(key))) < 0)
        return end(it, rc);
    jump(it);
    rc = move == VV_SCAN_FROM ? vv_walk_seek(&it->walk, inner.key)
                              : vv_walk_seek_for_prev(&it->walk, inner.key);
    rc = jumped(it, move, inner.key, rc);
    vv_inner_key_deinit(&inner);
    return rc;
}

int varve_iter_seek(varve_iter *it, varve_slice key)
{
    return seek(it, key, VV_SCAN_FROM);
}

int varve_iter_seek_for_prev(varve_iter *it, varve_slice key)
{
    return seek(it, key, VV_SCAN_TO);
}

int varve_iter_next(varve_iter *it)
{
    int rc = begin(it);
    if (rc < 0)
        return rc;
    count(&it->nexts, 1);
    return end(it, step(it, VV_SCAN_NEXT));
}

int varve_iter_prev(varve_iter *it)
{
    int rc = begin(it);
    if (rc < 0)
        return rc;
    count(&it->nexts, 1);
    return end(it, step(it, VV_SCAN_PREV));
}

int varve_iter_refresh(varve_iter *it)
{
    int rc = begin(it);
    if (rc < 0)
        return rc;
    if (it->on_snapshot)
        return end(it, vv_fail(VV_INVALID, "an iterator on a snapshot stays at its moment"));
    if ((rc = vv_keyspace_check(it->db->keyspace)) < 0)
        return end(it, rc);
    depart(it);
    return end(it, attach(it));
}

/* ---- reading */

static bool shows(const varve_iter *it)
{
    return it != NULL && vv_walk_valid(&it->walk) && (it->txn == NULL || !it->txn->over) &&
           vv_guard_open(&it->db->root->guard) && !vv_guard_forked(&it->db->root->guard);
}

int varve_iter_valid(const varve_iter *it)
{
    return shows(it);
}

static vv_slice shown_key(const varve_iter *it)
{
    return vv_outer_key(&it->db->keyspace->space, it->walk.entry.key);
}

varve_slice varve_iter_key(const varve_iter *it)
{
    return shows(it) ? vv_slice_to(shown_key(it)) : varve_bytes(NULL, 0);
}

/* The value of the present entry; the engine is asked only if it lies elsewhere. */
static int fetch_value(varve_iter *it, vv_slice *out)
{
    const struct vv_entry *entry = &it->walk.entry;
    int rc = VV_OK;
    if (entry->kind == VV_KIND_PUT) {
        *out = entry->value;
        return VV_OK;
    }
    if (!it->value_fetched) {
        struct vv_engine *e = it->db->store->engine;
        rc = e->ops->resolve(it->engine_side, entry->value, entry->key, &it->value);
        it->value_fetched = rc == VV_OK;
    }
    if (rc == VV_OK)
        *out = it->value.value;
    return rc;
}

int varve_iter_value(varve_iter *it, varve_slice *out)
{
    vv_slice value;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the value");
    int rc = begin(it);
    if (rc < 0)
        return rc;
    if (it->keys_only)
        rc = vv_fail(VV_INVALID, "the iterator was opened for keys only");
    else if (!vv_walk_valid(&it->walk))
        rc = vv_fail(VV_INVALID, "the iterator is on no entry");
    else if ((rc = fetch_value(it, &value)) == VV_OK)
        *out = vv_slice_to(value);
    return end(it, rc);
}

/* ---- many at once */

/* Appends the present entry. While entries are gathered the slices hold sizes only: the buffer may
 * still move. */
static int gather_one(varve_iter *it, varve_slice *key, varve_slice *value)
{
    vv_slice bytes = VV_SLICE_EMPTY;
    int rc = value != NULL ? fetch_value(it, &bytes) : VV_OK;
    if (rc == VV_OK)
        rc = vv_buf_append_slice(&it->chunk, shown_key(it));
    if (rc == VV_OK && value != NULL) {
        rc = vv_buf_append_slice(&it->chunk, bytes);
        value->size = bytes.size;
    }
    key->size = shown_key(it).size;
    return rc;
}

static void place(varve_iter *it, varve_slice *keys, varve_slice *values, size_t gathered)
{
    const uint8_t *at = it->chunk.data;
    for (size_t i = 0; i < gathered; i++) {
        keys[i].data = at;
        at += keys[i].size;
        if (values == NULL)
            continue;
        values[i].data = at;
        at += values[i].size;
    }
}

static int gather(varve_iter *it, varve_slice *keys, varve_slice *values, size_t max,
                  size_t *gathered)
{
    int rc = VV_OK;
    vv_buf_clear(&it->chunk);
    while (*gathered < max && it->chunk.size < CHUNK_BYTES) {
        if ((rc = step(it, VV_SCAN_NEXT)) != VV_OK)
            break;
        rc = gather_one(it, &keys[*gathered], values != NULL ? &values[*gathered] : NULL);
        if (rc < 0)
            break;
        ++*gathered;
    }
    if (rc < 0)
        it->walk.state = VV_WALK_FAILED;
    return rc == VV_END && *gathered > 0 ? VV_OK : rc;
}

int varve_iter_chunk(varve_iter *it, varve_slice *keys, varve_slice *values, size_t max,
                     size_t *gathered)
{
    size_t n = 0;
    if (keys == NULL || gathered == NULL || max == 0)
        return vv_fail(VV_INVALID, "nowhere to put the entries");
    int rc = begin(it);
    if (rc < 0)
        return rc;
    if (it->keys_only && values != NULL)
        return end(it, vv_fail(VV_INVALID, "the iterator was opened for keys only"));
    rc = gather(it, keys, values, max, &n);
    count(&it->nexts, n);
    if (rc >= 0) {
        place(it, keys, values, n);
        *gathered = n;
    }
    return end(it, rc);
}

/* ---- in columns */

static int column_begin(struct column *column)
{
    static const uint64_t first = 0;
    vv_buf_clear(&column->data);
    vv_buf_clear(&column->offsets);
    return vv_buf_append(&column->offsets, &first, sizeof first);
}

static int column_add(struct column *column, vv_slice bytes)
{
    int rc = vv_buf_append_slice(&column->data, bytes);
    uint64_t end_at = column->data.size;
    return rc == VV_OK ? vv_buf_append(&column->offsets, &end_at, sizeof end_at) : rc;
}

static varve_column column_shown(const struct column *column)
{
    return (varve_column){column->data.data, (const uint64_t *)(const void *)column->offsets.data,
                          NULL};
}

static int add_to_columns(varve_iter *it, bool with_values)
{
    vv_slice value = VV_SLICE_EMPTY;
    int rc = with_values ? fetch_value(it, &value) : VV_OK;
    if (rc == VV_OK)
        rc = column_add(&it->key_column, shown_key(it));
    return rc == VV_OK && with_values ? column_add(&it->value_column, value) : rc;
}

static int fill_columns(varve_iter *it, size_t count_max, size_t bytes_max, bool with_values,
                        size_t *gathered)
{
    int rc = column_begin(&it->key_column);
    if (rc == VV_OK)
        rc = column_begin(&it->value_column);
    while (rc == VV_OK && *gathered < count_max &&
           it->key_column.data.size + it->value_column.data.size < bytes_max) {
        if ((rc = step(it, VV_SCAN_NEXT)) == VV_OK &&
            (rc = add_to_columns(it, with_values)) == VV_OK)
            ++*gathered;
    }
    if (rc < 0)
        it->walk.state = VV_WALK_FAILED;
    return rc == VV_END && *gathered > 0 ? VV_OK : rc;
}

int varve_iter_columns(varve_iter *it, size_t count_max, size_t bytes_max, varve_column *keys,
                       varve_column *values, size_t *gathered)
{
    size_t n = 0;
    if (keys == NULL || gathered == NULL || count_max == 0)
        return vv_fail(VV_INVALID, "nowhere to put the entries");
    int rc = begin(it);
    if (rc < 0)
        return rc;
    if (it->keys_only && values != NULL)
        return end(it, vv_fail(VV_INVALID, "the iterator was opened for keys only"));
    rc = fill_columns(it, count_max, bytes_max > 0 ? bytes_max : CHUNK_BYTES, values != NULL, &n);
    count(&it->nexts, n);
    if (rc >= 0) {
        *keys = column_shown(&it->key_column);
        if (values != NULL)
            *values = column_shown(&it->value_column);
        *gathered = n;
    }
    return end(it, rc);
}
