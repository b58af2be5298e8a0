/*
 * From a change to the queue: encode, stow what is large, commit, and see to the durability asked
 * for.
 *
 * Large values never enter a batch: the writer's own thread lays them in the value log before it
 * joins the queue, so that they are written once, by many writers side by side, and what is
 * committed is a reference of sixteen bytes.
 */
#include "base/hash.h"
#include "db/batch.h"
#include "db/inner_key.h"
#include "db/store.h"
#include "kv/expiry.h"

enum {
    SMALL_BYTES = 2048, /* changes up to this size are encoded on the stack */
    OP_OVERHEAD = 1 + 2 * VV_VARINT_SIZE_MAX + VV_SPACE_SIZE_MAX,
    STOW_MIN = 4096, /* below this, one more write call costs more than copying */
};

static bool stowable(const struct vv_store *s, uint64_t value_size)
{
    return value_size >= STOW_MIN && value_size >= s->options.value_log_min &&
           s->options.value_log_min != UINT32_MAX && s->engine->ops->stow != NULL;
}

/* ---- durability */

static enum varve_durability asked(const struct vv_store *s, enum varve_durability durability)
{
    return durability > s->options.durability ? durability : s->options.durability;
}

int vv_store_sync_if_due(struct vv_store *s)
{
    if (!s->stepped || s->options.durability != VARVE_DURABILITY_INTERVAL)
        return VV_OK;
    uint64_t last_us = atomic_load_explicit(&s->commit.synced_us, memory_order_relaxed);
    if (vv_env_now_us(s->env) - last_us < s->options.sync_interval_ms * 1000ull)
        return VV_OK;
    return vv_commit_sync(&s->commit);
}

static enum vv_commit_level level_of(const struct vv_store *s, enum varve_durability durability)
{
    bool safe = s->options.durability != VARVE_DURABILITY_NONE &&
                asked(s, durability) == VARVE_DURABILITY_DISK;
    return safe ? VV_COMMIT_SAFE : VV_COMMIT_LAID;
}

static int commit(struct vv_store *s, struct vv_write *write, enum varve_durability durability)
{
    write->body_hash = vv_hash(write->ops);
    return vv_commit_write(&s->commit, write, level_of(s, durability));
}

/* What is due once the write is visible. A failure here does not take it back. */
static int make_last(struct vv_store *s, enum varve_durability durability)
{
    if (s->options.durability == VARVE_DURABILITY_NONE && durability > VARVE_DURABILITY_NONE)
        return vv_store_flush(s); /* without a log, tables are all that lasts */
    return vv_store_sync_if_due(s);
}

static int check_writable(const struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        return vv_fail(VV_READONLY, "%s was opened read-only", s->path);
    return vv_poison_check(&s->poison);
}

int vv_store_check_changeable(const varve *db)
{
    int rc = check_writable(db->store);
    return rc == VV_OK ? vv_keyspace_check(db->keyspace) : rc;
}

/* ---- one change */

/* The value of a write that failed is garbage. But a failure for good may come after the write was
 * laid: then the next open may find it, and its value must be there. */
static void unstow(struct vv_store *s, const uint8_t ref[VV_REF_SIZE])
{
    if (!vv_poison_is_set(&s->poison))
        s->engine->ops->unstow(s->engine, ref);
}

static int put_large(struct vv_store *s, struct vv_batch *b, vv_slice key, vv_slice value)
{
    uint8_t ref[VV_REF_SIZE];
    struct vv_inner_key inner;
    int rc = vv_inner_key_init(&inner, &b->space, key);
    if (rc < 0)
        return rc;
    rc = s->engine->ops->stow(s->engine, inner.key, value, ref);
    vv_inner_key_deinit(&inner);
    if (rc < 0)
        return rc;
    rc = vv_batch_put_ref(b, key, ref);
    if (rc == VV_OK)
        rc = commit(s,
                    &(struct vv_write){.ops = vv_buf_slice(&b->ops), .count = 1, .has_refs = true},
                    VARVE_DURABILITY_DEFAULT);
    if (rc < 0)
        unstow(s, ref);
    return rc;
}

static int encode(struct vv_batch *b, enum vv_kind kind, vv_slice key, vv_slice value)
{
    if (kind == VV_KIND_MERGE)
        return vv_batch_merge(b, key, value);
    return kind == VV_KIND_PUT ? vv_batch_put(b, key, value) : vv_batch_delete(b, key);
}

/* The batch is on the stack if the change fits there: its buffer is then too large to grow. */
static int change(const varve *db, enum vv_kind kind, vv_slice key, vv_slice value)
{
    struct vv_store *s = db->store;
    uint8_t small[SMALL_BYTES];
    struct vv_batch b = {.ops = {small, 0, sizeof small}};
    bool large = kind == VV_KIND_PUT && stowable(s, value.size);
    size_t inline_size = large ? VV_REF_SIZE : value.size;
    bool on_stack = key.size + inline_size <= SMALL_BYTES - OP_OVERHEAD;
    if (!on_stack)
        b.ops = (struct vv_buf)VV_BUF_INIT;
    b.space = db->keyspace->space;
    int rc = vv_store_check_changeable(db);
    if (rc < 0)
        return rc;
    if (large) {
        rc = put_large(s, &b, key, value);
    } else {
        rc = encode(&b, kind, key, value);
        if (rc == VV_OK)
            rc = commit(s, &(struct vv_write){.ops = vv_buf_slice(&b.ops), .count = 1},
                        VARVE_DURABILITY_DEFAULT);
    }
    if (!on_stack)
        vv_batch_deinit(&b);
    return rc < 0 ? rc : make_last(s, VARVE_DURABILITY_DEFAULT);
}

int vv_store_put(const varve *db, vv_slice key, vv_slice value)
{
    return change(db, VV_KIND_PUT, key, value);
}

int vv_store_delete(const varve *db, vv_slice key)
{
    return change(db, VV_KIND_DELETE, key, VV_SLICE_EMPTY);
}

/* Folds the chain of the key in the handle's keyspace. */
static int merged(const varve *db, vv_slice key)
{
    struct vv_inner_key inner;
    int rc = vv_inner_key_init(&inner, &db->keyspace->space, key);
    if (rc < 0)
        return rc;
    vv_store_merged(db->store, inner.key);
    vv_inner_key_deinit(&inner);
    return VV_OK;
}

int vv_store_merge(const varve *db, vv_slice key, vv_slice operand)
{
    int rc = vv_store_check_changeable(db);
    if (rc == VV_OK)
        rc = vv_present_prepare_merge(&db->store->present);
    if (rc == VV_OK)
        rc = change(db, VV_KIND_MERGE, key, operand);
    return rc == VV_OK ? merged(db, key) : rc;
}

static int delete_range(const varve *db, vv_slice from, vv_slice to)
{
    struct vv_store *s = db->store;
    struct vv_batch b = {.space = db->keyspace->space};
    int rc = vv_batch_delete_range(&b, from, to);
    if (rc == VV_OK)
        rc = commit(s, &(struct vv_write){.ops = vv_buf_slice(&b.ops), .count = 1},
                    VARVE_DURABILITY_DEFAULT);
    vv_batch_deinit(&b);
    return rc < 0 ? rc : make_last(s, VARVE_DURABILITY_DEFAULT);
}

int vv_store_delete_range(const varve *db, vv_slice from, vv_slice to)
{
    int rc = vv_store_check_changeable(db);
    return rc == VV_OK ? delete_range(db, from, to) : rc;
}

int vv_store_clear(const varve *db)
{
    return delete_range(db, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
}

int vv_store_delete_prefix(const varve *db, vv_slice prefix)
{
    struct vv_buf end = VV_BUF_INIT;
    bool exists = false;
    if (!vv_keyspace_bytewise(db->keyspace))
        return vv_fail(VV_INVALID, "a prefix means nothing in the order '%s'",
                       db->keyspace->comparator_name);
    int rc = vv_prefix_end(prefix, &end, &exists);
    if (rc == VV_OK)
        rc = vv_store_delete_range(db, prefix, exists ? vv_buf_slice(&end) : VV_SLICE_EMPTY);
    vv_buf_deinit(&end);
    return rc;
}

/* ---- a batch */

static void unstow_all(struct vv_store *s, const struct vv_batch *b)
{
    struct vv_reader r = vv_reader_of(vv_buf_slice(&b->ops));
    struct vv_entry op;
    while (vv_batch_next(&r, &op) == VV_OK)
        if (vv_kind_is_ref(op.kind))
            unstow(s, vv_expiry_strip(op.kind, op.value).data);
}

/* Times count from `from_ms`: 0 when they are absolute. */
static int add_op(struct vv_store *s, struct vv_batch *to, const struct vv_entry *op,
                  uint64_t from_ms)
{
    uint8_t ref[VV_REF_SIZE];
    if (op->kind == VV_KIND_DELETE)
        return vv_batch_delete(to, op->key);
    if (op->kind == VV_KIND_DELETE_RANGE)
        return vv_batch_delete_range(to, op->key, op->value);
    if (op->kind == VV_KIND_MERGE)
        return vv_batch_merge(to, op->key, op->value);
    uint64_t expires_ms = vv_expiry_of(op->kind, op->value);
    vv_slice value = vv_expiry_strip(op->kind, op->value);
    bool expires = vv_kind_expires(op->kind);
    expires_ms = expires_ms < UINT64_MAX - from_ms ? expires_ms + from_ms : UINT64_MAX;
    if (!stowable(s, value.size))
        return expires ? vv_batch_put_expires(to, op->key, value, expires_ms)
                       : vv_batch_put(to, op->key, value);
    int rc = s->engine->ops->stow(s->engine, op->key, value, ref);
    if (rc < 0)
        return rc;
    rc = expires ? vv_batch_put_ref_expires(to, op->key, ref, expires_ms)
                 : vv_batch_put_ref(to, op->key, ref);
    if (rc < 0)
        unstow(s, ref);
    return rc;
}

/* Copies the batch, with references in the place of its large values, and times from `from_ms` on. */
static int stow_large(struct vv_store *s, const struct vv_batch *from, uint64_t from_ms,
                      struct vv_batch *to)
{
    struct vv_reader r = vv_reader_of(vv_buf_slice(&from->ops));
    struct vv_entry op;
    int rc;
    while ((rc = vv_batch_next(&r, &op)) == VV_OK)
        if ((rc = add_op(s, to, &op, from_ms)) < 0)
            break;
    return rc < 0 ? rc : VV_OK;
}

static int write_large(struct vv_store *s, const struct vv_batch *batch, uint64_t from_ms,
                       enum varve_durability durability)
{
    struct vv_batch stowed = {.ops = VV_BUF_INIT};
    int rc = stow_large(s, batch, from_ms, &stowed);
    if (rc == VV_OK)
        rc = commit(s,
                    &(struct vv_write){
                        .ops = vv_buf_slice(&stowed.ops), .count = stowed.count, .has_refs = true},
                    durability);
    if (rc < 0)
        unstow_all(s, &stowed);
    vv_batch_deinit(&stowed);
    return rc;
}

int vv_store_put_until(const varve *db, vv_slice key, vv_slice value, uint64_t expires_ms)
{
    struct vv_store *s = db->store;
    struct vv_batch b = {.space = db->keyspace->space};
    int rc = vv_store_check_changeable(db);
    if (rc == VV_OK)
        rc = vv_batch_put_expires(&b, key, value, expires_ms);
    if (rc == VV_OK && stowable(s, value.size))
        rc = write_large(s, &b, 0, VARVE_DURABILITY_DEFAULT);
    else if (rc == VV_OK)
        rc = commit(s, &(struct vv_write){.ops = vv_buf_slice(&b.ops), .count = 1},
                    VARVE_DURABILITY_DEFAULT);
    vv_batch_deinit(&b);
    return rc < 0 ? rc : make_last(s, VARVE_DURABILITY_DEFAULT);
}

/* All keyspaces of the batch must still be there. */
static int check_keyspaces(const struct vv_store *s, const varve_batch *batch)
{
    struct vv_reader r = vv_reader_of(vv_buf_slice(&batch->ops.ops));
    struct vv_entry op;
    int rc = VV_OK;
    if (batch->root == NULL)
        return VV_OK;
    if (batch->root != s->root)
        return vv_fail(VV_INVALID, "the batch has changes for keyspaces of another store");
    while (rc == VV_OK && (rc = vv_batch_next(&r, &op)) == VV_OK) {
        uint32_t id = 0;
        (void)vv_space_decode(op.key, &id);
        rc = vv_keyspace_check(vv_catalog_find(&s->root->catalog, id));
    }
    return rc < 0 ? rc : VV_OK;
}

static void fold_chains(struct vv_store *s, const struct vv_batch *batch)
{
    struct vv_reader r = vv_reader_of(vv_buf_slice(&batch->ops));
    struct vv_entry op;
    while (vv_batch_next(&r, &op) == VV_OK)
        if (op.kind == VV_KIND_MERGE)
            vv_store_merged(s, op.key);
}

int vv_store_write(struct vv_store *s, const varve_batch *batch, enum varve_durability durability)
{
    int rc = check_writable(s);
    if (rc == VV_OK)
        rc = check_keyspaces(s, batch);
    if (rc < 0)
        return rc;
    if (batch->merges > 0 && (rc = vv_present_prepare_merge(&s->present)) < 0)
        return rc;
    if (batch->ops.count == 0)
        return durability == VARVE_DURABILITY_DISK ? vv_store_sync(s) : VV_OK;
    if (stowable(s, batch->value_largest) || batch->ttls > 0)
        rc = write_large(s, &batch->ops, batch->ttls > 0 ? vv_present_now_ms(&s->present) : 0,
                         durability);
    else
        rc = commit(
            s, &(struct vv_write){.ops = vv_buf_slice(&batch->ops.ops), .count = batch->ops.count},
            durability);
    if (rc == VV_OK && batch->merges > 0)
        fold_chains(s, &batch->ops);
    return rc < 0 ? rc : make_last(s, durability);
}

/* ---- what a transaction has changed */

int vv_outgoing_add(struct vv_store *s, struct vv_outgoing *out, const struct vv_entry *op)
{
    bool is_put = op->kind == VV_KIND_PUT || op->kind == VV_KIND_PUT_EXPIRES;
    out->has_refs =
        out->has_refs || (is_put && stowable(s, vv_expiry_strip(op->kind, op->value).size));
    return add_op(s, &out->batch, op, 0);
}

void vv_outgoing_drop(struct vv_store *s, struct vv_outgoing *out)
{
    if (out->has_refs)
        unstow_all(s, &out->batch);
    vv_batch_deinit(&out->batch);
    out->has_refs = false;
}

static int submit(struct vv_store *s, struct vv_write *write, const struct vv_terms *terms)
{
    enum vv_commit_level level = level_of(s, terms->durability);
    write->body_hash = vv_hash(write->ops);
    if (terms->hold_id != 0)
        return vv_commit_write_held(&s->commit, terms->hold_id, write, level);
    return vv_commit_checked(&s->commit, write, level, terms->reliance);
}

int vv_outgoing_commit(struct vv_store *s, struct vv_outgoing *out, const struct vv_terms *terms)
{
    struct vv_write write = {
        .ops = vv_buf_slice(&out->batch.ops), .count = out->batch.count, .has_refs = out->has_refs};
    int rc = submit(s, &write, terms);
    if (rc != VV_OK) {
        vv_outgoing_drop(s, out);
        return rc;
    }
    vv_batch_deinit(&out->batch);
    return make_last(s, terms->durability);
}
