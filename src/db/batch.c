#include "db/batch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "db/store.h"
#include "kv/expiry.h"

int varve_batch_new(varve_batch **out)
{
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the batch");
    varve_batch *batch = vv_alloc_zero(sizeof *batch);
    if (batch == NULL)
        return VV_NOMEM;
    *out = batch;
    return VV_OK;
}

void varve_batch_free(varve_batch *batch)
{
    if (batch == NULL)
        return;
    vv_batch_deinit(&batch->ops);
    vv_free(batch);
}

static int check_room(const varve_batch *batch, varve_slice key, varve_slice value)
{
    if (batch == NULL)
        return vv_fail(VV_INVALID, "no batch was given");
    int rc = vv_key_check(key);
    if (rc == VV_OK)
        rc = vv_value_check(value);
    if (rc == VV_OK && key.size + value.size > VARVE_BATCH_SIZE_MAX - batch->user_bytes)
        rc = vv_fail(VV_TOOBIG, "a batch cannot hold more than %zu bytes", VARVE_BATCH_SIZE_MAX);
    return rc;
}

/* Turns the batch to the keyspace; NULL is the default one of whatever store. */
static int turn_to(varve_batch *batch, const varve_keyspace *keyspace)
{
    batch->ops.space = vv_space_of(0);
    if (keyspace == NULL || keyspace->keyspace->id == 0)
        return VV_OK;
    if (batch->root != NULL && batch->root != keyspace->root)
        return vv_fail(VV_INVALID, "the batch has changes for keyspaces of another store");
    batch->root = keyspace->root;
    batch->ops.space = keyspace->keyspace->space;
    return VV_OK;
}

int varve_batch_put_in(varve_batch *batch, const varve_keyspace *keyspace, varve_slice key,
                       varve_slice value)
{
    int rc = check_room(batch, key, value);
    if (rc == VV_OK)
        rc = turn_to(batch, keyspace);
    if (rc == VV_OK)
        rc = vv_batch_put(&batch->ops, vv_slice_from(key), vv_slice_from(value));
    if (rc < 0)
        return rc;
    batch->user_bytes += key.size + value.size;
    if (value.size > batch->value_largest)
        batch->value_largest = value.size;
    batch->puts++;
    return VV_OK;
}

static void count_put(varve_batch *batch, varve_slice key, varve_slice value)
{
    batch->user_bytes += key.size + value.size;
    batch->puts++;
}

int varve_batch_put_ttl_in(varve_batch *batch, const varve_keyspace *keyspace, varve_slice key,
                           varve_slice value, uint64_t ttl_ms)
{
    int rc = ttl_ms > 0 ? check_room(batch, key, value)
                        : vv_fail(VV_INVALID, "a value cannot be put for no time");
    if (rc == VV_OK)
        rc = turn_to(batch, keyspace);
    if (rc == VV_OK)
        rc = vv_batch_put_expires(&batch->ops, vv_slice_from(key), vv_slice_from(value), ttl_ms);
    if (rc < 0)
        return rc;
    count_put(batch, key, value);
    if (value.size > batch->value_largest)
        batch->value_largest = value.size;
    batch->ttls++;
    return VV_OK;
}

int varve_batch_put_ttl(varve_batch *batch, varve_slice key, varve_slice value, uint64_t ttl_ms)
{
    return varve_batch_put_ttl_in(batch, NULL, key, value, ttl_ms);
}

int varve_batch_merge_in(varve_batch *batch, const varve_keyspace *keyspace, varve_slice key,
                         varve_slice operand)
{
    int rc = check_room(batch, key, operand);
    if (rc == VV_OK)
        rc = turn_to(batch, keyspace);
    if (rc == VV_OK)
        rc = vv_batch_merge(&batch->ops, vv_slice_from(key), vv_slice_from(operand));
    if (rc < 0)
        return rc;
    count_put(batch, key, operand);
    batch->merges++;
    return VV_OK;
}

int varve_batch_merge(varve_batch *batch, varve_slice key, varve_slice operand)
{
    return varve_batch_merge_in(batch, NULL, key, operand);
}

int varve_batch_put(varve_batch *batch, varve_slice key, varve_slice value)
{
    return varve_batch_put_in(batch, NULL, key, value);
}

int varve_batch_delete_in(varve_batch *batch, const varve_keyspace *keyspace, varve_slice key)
{
    int rc = check_room(batch, key, varve_bytes(NULL, 0));
    if (rc == VV_OK)
        rc = turn_to(batch, keyspace);
    if (rc == VV_OK)
        rc = vv_batch_delete(&batch->ops, vv_slice_from(key));
    if (rc < 0)
        return rc;
    batch->user_bytes += key.size;
    batch->deletes++;
    return VV_OK;
}

int varve_batch_delete(varve_batch *batch, varve_slice key)
{
    return varve_batch_delete_in(batch, NULL, key);
}

int varve_batch_delete_range_in(varve_batch *batch, const varve_keyspace *keyspace,
                                varve_slice from, varve_slice to)
{
    int rc = vv_key_check(to);
    if (rc == VV_OK)
        rc = check_room(batch, from, to);
    if (rc == VV_OK)
        rc = turn_to(batch, keyspace);
    if (rc == VV_OK)
        rc = vv_batch_delete_range(&batch->ops, vv_slice_from(from), vv_slice_from(to));
    if (rc < 0)
        return rc;
    batch->user_bytes += from.size + to.size;
    batch->deletes++;
    return VV_OK;
}

int varve_batch_delete_range(varve_batch *batch, varve_slice from, varve_slice to)
{
    return varve_batch_delete_range_in(batch, NULL, from, to);
}

int varve_batch_append(varve_batch *batch, const varve_batch *more)
{
    if (batch == NULL || more == NULL)
        return vv_fail(VV_INVALID, "no batch was given");
    if (more->user_bytes > VARVE_BATCH_SIZE_MAX - batch->user_bytes)
        return vv_fail(VV_TOOBIG, "a batch cannot hold more than %zu bytes", VARVE_BATCH_SIZE_MAX);
    if (batch->root != NULL && more->root != NULL && batch->root != more->root)
        return vv_fail(VV_INVALID, "the batch has changes for keyspaces of another store");
    int rc = vv_batch_append(&batch->ops, &more->ops);
    if (rc < 0)
        return rc;
    if (more->root != NULL)
        batch->root = more->root;
    batch->user_bytes += more->user_bytes;
    if (more->value_largest > batch->value_largest)
        batch->value_largest = more->value_largest;
    batch->puts += more->puts;
    batch->ttls += more->ttls;
    batch->merges += more->merges;
    batch->deletes += more->deletes;
    return VV_OK;
}

/* A bound of a range in keyspace `id`, as it was given: those that stand for open ends are no keys of
 * it. */
static varve_slice bound_of(vv_slice inner, uint32_t id)
{
    uint32_t other = id;
    size_t size = vv_space_decode(inner, &other);
    bool open = size == 0 || other != id;
    return open ? varve_bytes(NULL, 0) : vv_slice_to(vv_slice_skip(inner, size));
}

/* Of the bounds one at least is a key, or both stand for ends of the same keyspace: the first one is
 * never behind its keys. */
static varve_change range_of(const struct vv_entry *op)
{
    varve_change change = {.kind = VARVE_CHANGE_DELETE_RANGE};
    (void)vv_space_decode(op->key, &change.keyspace);
    change.key = bound_of(op->key, change.keyspace);
    change.value = bound_of(op->value, change.keyspace);
    return change;
}

/* The kinds are those that the functions above make, and references. */
varve_change vv_change_of(const struct vv_entry *op)
{
    if (op->kind == VV_KIND_DELETE_RANGE)
        return range_of(op);
    enum varve_change_kind kind = VARVE_CHANGE_PUT;
    if (op->kind == VV_KIND_DELETE)
        kind = VARVE_CHANGE_DELETE;
    else if (op->kind == VV_KIND_MERGE)
        kind = VARVE_CHANGE_MERGE;
    varve_change change = {.kind = kind,
                           .value = vv_slice_to(vv_expiry_strip(op->kind, op->value)),
                           .ttl_ms = vv_expiry_of(op->kind, op->value)};
    change.key = vv_slice_to(vv_slice_skip(op->key, vv_space_decode(op->key, &change.keyspace)));
    return change;
}

int varve_batch_each(const varve_batch *batch, varve_change_visit *visit, void *context)
{
    if (batch == NULL || visit == NULL)
        return vv_fail(VV_INVALID, "no batch was given, or nobody to show it to");
    struct vv_reader r = vv_reader_of(vv_buf_slice(&batch->ops.ops));
    struct vv_entry op;
    int rc;
    while ((rc = vv_batch_next(&r, &op)) == VV_OK) {
        varve_change change = vv_change_of(&op);
        if ((rc = visit(context, &change)) != 0)
            return rc;
    }
    return rc < 0 ? rc : VV_OK;
}

void varve_batch_clear(varve_batch *batch)
{
    if (batch == NULL)
        return;
    vv_batch_clear(&batch->ops);
    batch->user_bytes = batch->value_largest = 0;
    batch->puts = batch->deletes = batch->ttls = batch->merges = 0;
    batch->root = NULL;
}

size_t varve_batch_count(const varve_batch *batch)
{
    return batch == NULL ? 0 : batch->ops.count;
}

size_t varve_batch_bytes(const varve_batch *batch)
{
    return batch == NULL ? 0 : batch->ops.ops.size;
}
