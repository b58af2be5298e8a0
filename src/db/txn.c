#include "db/txn.h"

#include "base/hash.h"
#include "db/inner_key.h"
#include "db/store.h"

enum { WAIT_MS_DEFAULT = 5000 };

void vv_txn_ref(varve_txn *txn)
{
    txn->refs++;
}

void vv_txn_unref(varve_txn *txn)
{
    if (txn == NULL || --txn->refs > 0)
        return;
    varve *db = txn->db;
    vv_pending_deinit(&txn->pending);
    vv_reads_deinit(&txn->reads);
    vv_free(txn);
    vv_store_unref(db);
}

int vv_txn_check_open(const varve_txn *txn)
{
    return txn->over ? vv_fail(VV_INVALID, "the transaction is over") : VV_OK;
}

/* ---- beginning */

static int check_options(const varve_txn_options *o)
{
    if (o->size < sizeof *o)
        return vv_fail(VV_INVALID, "transaction options must start from VARVE_TXN_OPTIONS_INIT");
    if ((unsigned)o->kind > VARVE_TXN_EXCLUSIVE)
        return vv_fail(VV_INVALID, "%d is no kind of transaction", (int)o->kind);
    if ((unsigned)o->isolation > VARVE_ISOLATION_SERIALIZABLE)
        return vv_fail(VV_INVALID, "%d is no isolation", (int)o->isolation);
    return VV_OK;
}

static int start(varve_txn *txn, const varve_txn_options *o)
{
    struct vv_store *s = txn->db->store;
    if (txn->watches) {
        vv_watch_begin(&s->commit.watch, &s->snapshots, &txn->watched);
        return VV_OK;
    }
    uint32_t wait_ms = o->timeout_ms != 0 ? o->timeout_ms : WAIT_MS_DEFAULT;
    int rc = vv_commit_hold(&s->commit, wait_ms, &txn->hold_id);
    if (rc == VV_OK)
        vv_snapshots_add(&s->snapshots, &txn->watched.snapshot);
    return rc;
}

static int txn_new(varve *db, const varve_txn_options *o, varve_txn **out)
{
    struct vv_store *s = db->store;
    if (s->options.mode == VARVE_MODE_READONLY)
        return vv_fail(VV_READONLY, "%s was opened read-only", s->path);
    varve_txn *txn = vv_alloc_zero(sizeof *txn);
    if (txn == NULL)
        return VV_NOMEM;
    txn->db = &vv_catalog_find(&db->root->catalog, 0)->handle;
    txn->refs = 1;
    txn->watches = o->kind == VARVE_TXN_OPTIMISTIC;
    txn->notes = txn->watches && o->isolation == VARVE_ISOLATION_SERIALIZABLE;
    vv_pending_init(&txn->pending, &s->order, &s->account);
    int rc = start(txn, o);
    if (rc < 0) {
        vv_free(txn);
        return rc;
    }
    *out = txn;
    return VV_OK;
}

int varve_txn_begin(varve *db, const varve_txn_options *options, varve_txn **out)
{
    static const varve_txn_options defaults = VARVE_TXN_OPTIONS_INIT;
    const varve_txn_options *o = options != NULL ? options : &defaults;
    struct vv_call call;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the transaction");
    int rc = check_options(o);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = txn_new(db, o, out);
    if (rc == VV_OK)
        vv_guard_ref(&db->root->guard);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- being over */

/* Gives up the moment and the queue. When the store is closed nobody waits in the queue any more. */
static void finish(varve_txn *txn)
{
    struct vv_store *s = txn->db->store;
    struct vv_call call;
    txn->over = true;
    vv_pending_clear(&txn->pending);
    vv_reads_deinit(&txn->reads);
    if (vv_guard_forked(&txn->db->root->guard))
        return; /* the locks may be held for ever by threads that do not exist here */
    if (txn->watches)
        vv_watch_end(&s->commit.watch, &s->snapshots, &txn->watched);
    else
        vv_snapshots_remove(&s->snapshots, &txn->watched.snapshot);
    if (txn->hold_id == 0 || vv_guard_enter(&txn->db->root->guard, &call) < 0)
        return;
    vv_commit_let_go(&s->commit, txn->hold_id);
    vv_guard_leave(&call, VV_DOOR_OTHER);
}

void varve_txn_end(varve_txn *txn)
{
    if (txn == NULL)
        return;
    if (!txn->over)
        finish(txn);
    vv_txn_unref(txn);
}

/* ---- calls */

static int check(const varve_txn *txn)
{
    if (txn == NULL)
        return vv_fail(VV_INVALID, "no transaction was given");
    int rc = vv_txn_check_open(txn);
    return rc < 0 ? rc : vv_guard_check(&txn->db->root->guard);
}

static int enter(varve_txn *txn, struct vv_call *call)
{
    int rc = check(txn);
    if (rc < 0 || (rc = vv_store_enter(txn->db, call)) < 0)
        return rc;
    if (txn->hold_id != 0)
        vv_commit_use_hold(&txn->db->store->commit);
    return VV_OK;
}

/* The keyspace meant, which must be of the transaction's store and not dropped. */
static int place(const varve_txn *txn, varve *ks, varve **out)
{
    *out = ks != NULL ? ks : txn->db;
    if ((*out)->root != txn->db->root)
        return vv_fail(VV_INVALID, "the transaction is of another store");
    return vv_keyspace_check((*out)->keyspace);
}

/* VV_OK and an inner key to deinit. */
static int locate(const varve_txn *txn, varve *ks, varve_slice key, struct vv_inner_key *out)
{
    varve *in;
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = place(txn, ks, &in)) < 0)
        return rc;
    return vv_inner_key_init(out, &in->keyspace->space, vv_slice_from(key));
}

int varve_txn_rollback(varve_txn *txn)
{
    int rc = check(txn);
    if (rc < 0)
        return rc;
    finish(txn);
    return VV_OK;
}

/* ---- changing */

/* In an order that knows comparators, what was there in bytewise order stands as it is. */
static void note_keyspace(varve_txn *txn, const varve *ks)
{
    const struct vv_keyspace *k = ks != NULL ? ks->keyspace : txn->db->keyspace;
    txn->elsewhere = txn->elsewhere || k->id != 0;
    if (!vv_keyspace_bytewise(k))
        txn->pending.order = &txn->db->root->catalog.order;
}

static int change(varve_txn *txn, varve *ks, enum vv_kind kind, varve_slice key, varve_slice value)
{
    struct vv_inner_key inner;
    int rc = check(txn);
    if (rc == VV_OK)
        rc = vv_value_check(value);
    if (rc < 0 || (rc = locate(txn, ks, key, &inner)) < 0)
        return rc;
    note_keyspace(txn, ks);
    if (inner.key.size + value.size > VARVE_BATCH_SIZE_MAX - txn->pending.bytes)
        rc = vv_fail(VV_TOOBIG, "a transaction cannot hold more than %zu bytes",
                     VARVE_BATCH_SIZE_MAX);
    else
        rc = vv_pending_add(&txn->pending, kind, inner.key, vv_slice_from(value));
    vv_inner_key_deinit(&inner);
    return rc;
}

int varve_txn_put(varve_txn *txn, varve *ks, varve_slice key, varve_slice value)
{
    return change(txn, ks, VV_KIND_PUT, key, value);
}

int varve_txn_delete(varve_txn *txn, varve *ks, varve_slice key)
{
    return change(txn, ks, VV_KIND_DELETE, key, varve_bytes(NULL, 0));
}

/* ---- savepoints */

int varve_txn_savepoint(varve_txn *txn)
{
    int rc = check(txn);
    return rc < 0 ? rc : vv_pending_savepoint(&txn->pending);
}

static int check_level(const varve_txn *txn)
{
    int rc = check(txn);
    if (rc == VV_OK && txn->pending.level == 0)
        rc = vv_fail(VV_INVALID, "the transaction has no savepoint");
    return rc;
}

int varve_txn_release(varve_txn *txn)
{
    int rc = check_level(txn);
    if (rc == VV_OK)
        vv_pending_release(&txn->pending);
    return rc;
}

int varve_txn_rollback_to(varve_txn *txn)
{
    int rc = check_level(txn);
    if (rc == VV_OK)
        vv_pending_undo(&txn->pending);
    return rc;
}

uint32_t varve_txn_depth(const varve_txn *txn)
{
    return txn == NULL ? 0 : txn->pending.level;
}

size_t varve_txn_count(const varve_txn *txn)
{
    return txn == NULL ? 0 : txn->pending.count;
}

/* ---- reading */

enum reading { READ_PLAIN, READ_FOR_UPDATE };

/* `out` NULL: existence only. What the transaction wrote itself it does not rely on by reading it. */
static int find(varve_txn *txn, vv_slice key, enum reading reading, struct vv_pin *out)
{
    struct vv_pending_change *change = vv_pending_find(&txn->pending, key);
    if (reading == READ_FOR_UPDATE ? txn->watches : txn->notes && change == NULL) {
        int rc = vv_reads_add_key(&txn->reads, key);
        if (rc < 0)
            return rc;
    }
    if (change == NULL)
        return vv_present_get(&txn->db->store->present, vv_txn_moment(txn), key, out);
    if (change->kind == VV_KIND_DELETE)
        return VV_NOTFOUND;
    if (out != NULL)
        vv_pending_pin(change, out);
    return VV_OK;
}

/* `pin` NULL: existence only. */
static int look_up(varve_txn *txn, varve *ks, varve_slice key, enum reading reading,
                   struct vv_pin *pin)
{
    struct vv_inner_key inner;
    int rc = locate(txn, ks, key, &inner);
    if (rc < 0)
        return rc;
    rc = find(txn, inner.key, reading, pin);
    vv_inner_key_deinit(&inner);
    return rc;
}

static int get(varve_txn *txn, varve *ks, varve_slice key, enum reading reading, varve_pinned *out)
{
    struct vv_call call;
    struct vv_pin pin = {.release = NULL};
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the value");
    int rc = enter(txn, &call);
    if (rc < 0)
        return rc;
    enum vv_door door = VV_DOOR_MISSED;
    rc = look_up(txn, ks, key, reading, &pin);
    if (rc == VV_OK)
        door = vv_pin_export(txn->db->store, &pin, out) ? VV_DOOR_PINNED : VV_DOOR_FOUND;
    else if (rc > 0)
        *out = (varve_pinned){0};
    vv_guard_leave(&call, door);
    return rc;
}

int varve_txn_get(varve_txn *txn, varve *ks, varve_slice key, varve_pinned *out)
{
    return get(txn, ks, key, READ_PLAIN, out);
}

int varve_txn_get_for_update(varve_txn *txn, varve *ks, varve_slice key, varve_pinned *out)
{
    return get(txn, ks, key, READ_FOR_UPDATE, out);
}

int varve_txn_exists(varve_txn *txn, varve *ks, varve_slice key)
{
    struct vv_call call;
    int rc = enter(txn, &call);
    if (rc < 0)
        return rc;
    rc = look_up(txn, ks, key, READ_PLAIN, NULL);
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_FOUND : VV_DOOR_MISSED);
    return rc;
}

/* ---- iterating */

int varve_txn_iter_open(varve_txn *txn, varve *ks, const varve_iter_options *options,
                        varve_iter **out)
{
    varve *in;
    int rc = check(txn);
    if (rc == VV_OK)
        rc = place(txn, ks, &in);
    return rc < 0 ? rc : vv_iter_open_in(in, txn, options, out);
}

/* ---- committing */

/* Whether the keyspace of a key is still there. */
static int check_live(const varve_txn *txn, vv_slice key)
{
    uint32_t id = 0;
    (void)vv_space_decode(key, &id);
    return vv_keyspace_check(vv_catalog_find(&txn->db->root->catalog, id));
}

/* In the order of keys, in which memtables take them fastest. */
static int gather(varve_txn *txn, struct vv_outgoing *out)
{
    int rc = VV_OK;
    const struct vv_pending_node *n = vv_pending_first(&txn->pending);
    for (; rc == VV_OK && n != NULL; n = n->next[0]) {
        const struct vv_pending_change *c = n->newest;
        struct vv_entry op = {vv_pending_key(c), vv_pending_value(c), 0, c->kind};
        rc = txn->elsewhere ? check_live(txn, op.key) : VV_OK;
        if (rc == VV_OK)
            rc = vv_outgoing_add(txn->db->store, out, &op);
    }
    return rc;
}

/* What was read, and what is written: blind writes do not pass each other either. */
static int relied_keys(const varve_txn *txn, struct vv_relied_key **out, size_t *count)
{
    const struct vv_reads *reads = &txn->reads;
    struct vv_relied_key *keys = vv_alloc((reads->key_count + txn->pending.count) * sizeof *keys);
    if (keys == NULL)
        return VV_NOMEM;
    if (reads->key_count > 0)
        memcpy(keys, reads->keys, reads->key_count * sizeof *keys);
    size_t n = reads->key_count;
    for (const struct vv_pending_node *at = vv_pending_first(&txn->pending); at != NULL;
         at = at->next[0]) {
        vv_slice key = vv_pending_key(at->newest);
        keys[n++] = (struct vv_relied_key){key, vv_hash(key)};
    }
    *out = keys;
    *count = n;
    return VV_OK;
}

static int commit_watching(varve_txn *txn, struct vv_outgoing *out,
                           enum varve_durability durability)
{
    struct vv_relied_key *keys = NULL;
    struct vv_relied_range *ranges = NULL;
    struct vv_reliance reliance = {.since = vv_txn_moment(txn),
                                   .range_count = txn->reads.range_count};
    int rc = relied_keys(txn, &keys, &reliance.key_count);
    if (rc == VV_OK)
        rc = vv_reads_ranges(&txn->reads, &ranges);
    reliance.keys = keys;
    reliance.ranges = ranges;
    if (rc == VV_OK)
        rc = vv_outgoing_commit(txn->db->store, out, &(struct vv_terms){durability, 0, &reliance});
    vv_free(ranges);
    vv_free(keys);
    return rc;
}

static int commit(varve_txn *txn, enum varve_durability durability)
{
    struct vv_store *s = txn->db->store;
    struct vv_outgoing out = {.has_refs = false};
    if (txn->pending.count == 0)
        return durability == VARVE_DURABILITY_DISK ? vv_store_sync(s) : VV_OK;
    int rc = vv_poison_check(&s->poison);
    if (rc == VV_OK)
        rc = gather(txn, &out);
    if (rc == VV_OK && txn->watches)
        rc = commit_watching(txn, &out, durability);
    else if (rc == VV_OK)
        rc = vv_outgoing_commit(s, &out, &(struct vv_terms){durability, txn->hold_id, NULL});
    vv_outgoing_drop(s, &out);
    return rc;
}

static void tally(const varve_txn *txn, const struct vv_call *call)
{
    uint64_t deletes = 0;
    for (const struct vv_pending_node *n = vv_pending_first(&txn->pending); n != NULL;
         n = n->next[0])
        deletes += n->newest->kind == VV_KIND_DELETE;
    vv_guard_tally(call, VV_TALLY_PUTS, txn->pending.count - deletes);
    vv_guard_tally(call, VV_TALLY_DELETES, deletes);
    vv_guard_tally(call, VV_TALLY_USER_BYTES, txn->pending.bytes);
}

int varve_txn_commit(varve_txn *txn, const varve_write_options *options)
{
    struct vv_call call;
    enum varve_durability durability = VARVE_DURABILITY_DEFAULT;
    int rc = vv_durability_of(options, &durability);
    if (rc < 0 || (rc = enter(txn, &call)) < 0)
        return rc;
    rc = commit(txn, durability);
    if (rc == VV_OK)
        tally(txn, &call);
    if (rc != VV_BUSY)
        finish(txn);
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_BATCH : VV_DOOR_OTHER);
    return rc;
}
