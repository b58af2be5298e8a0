/*
 * Writing columns: contiguous keys and values with offsets become one batch.
 */
#include "db/batch.h"
#include "db/store.h"

enum { OP_OVERHEAD = 1 + VV_SPACE_SIZE_MAX + 2 * 4 }; /* of most entries, beside key and value */

static uint64_t offset_at(const varve_column *c, size_t i)
{
    return c->offsets != NULL ? c->offsets[i] : c->offsets32[i];
}

static int check_column(const varve_column *c, size_t count, const char *what)
{
    if (c == NULL || (c->offsets == NULL) == (c->offsets32 == NULL))
        return vv_fail(VV_INVALID, "a column of %s needs offsets of one width", what);
    for (size_t i = 0; i < count; i++) {
        if (offset_at(c, i) > offset_at(c, i + 1))
            return vv_fail(VV_INVALID, "%s %zu begins at offset %llu and ends at %llu", what, i,
                           (unsigned long long)offset_at(c, i),
                           (unsigned long long)offset_at(c, i + 1));
    }
    if (c->data == NULL && offset_at(c, 0) < offset_at(c, count))
        return vv_fail(VV_INVALID, "a column of %s at no address", what);
    return VV_OK;
}

static uint64_t bytes_of(const varve_column *c, size_t count)
{
    return offset_at(c, count) - offset_at(c, 0);
}

/* An empty entry may stand in a column without data. */
static varve_slice entry_at(const varve_column *c, size_t i)
{
    uint64_t from = offset_at(c, i);
    const uint8_t *data = c->data != NULL ? (const uint8_t *)c->data + from : NULL;
    return varve_bytes(data, (size_t)(offset_at(c, i + 1) - from));
}

static int check_bytes(uint64_t keys, uint64_t values)
{
    if (keys > VARVE_BATCH_SIZE_MAX || values > VARVE_BATCH_SIZE_MAX - keys)
        return vv_fail(VV_TOOBIG, "the columns have more than %zu bytes", VARVE_BATCH_SIZE_MAX);
    return VV_OK;
}

static int fill(varve *db, size_t count, const varve_column *keys, const varve_column *values,
                varve_batch *batch)
{
    uint64_t key_bytes = bytes_of(keys, count);
    uint64_t value_bytes = bytes_of(values, count);
    int rc = check_bytes(key_bytes, value_bytes);
    if (rc == VV_OK && count > UINT32_MAX)
        rc = vv_fail(VV_TOOBIG, "a batch cannot hold more than %u changes", UINT32_MAX);
    if (rc == VV_OK)
        rc = vv_buf_reserve(&batch->ops.ops,
                            (size_t)(key_bytes + value_bytes) + count * (size_t)OP_OVERHEAD);
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        rc = varve_batch_put_in(batch, db, entry_at(keys, i), entry_at(values, i));
        if (rc < 0)
            rc = vv_fail_in(rc, "entry %zu", i);
    }
    return rc;
}

int varve_write_columns(varve *db, size_t count, const varve_column *keys,
                        const varve_column *values, const varve_write_options *options)
{
    struct vv_call call;
    enum varve_durability durability = VARVE_DURABILITY_DEFAULT;
    varve_batch batch = {.root = NULL};
    int rc = check_column(keys, count, "key");
    if (rc == VV_OK)
        rc = check_column(values, count, "value");
    if (rc == VV_OK)
        rc = vv_durability_of(options, &durability);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = fill(db, count, keys, values, &batch);
    if (rc == VV_OK)
        rc = vv_store_write(db->store, &batch, durability);
    if (rc == VV_OK) {
        vv_guard_tally(&call, VV_TALLY_PUTS, batch.puts);
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, batch.user_bytes);
    }
    vv_store_time(db->store, &call, &db->store->put_us);
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_BATCH : VV_DOOR_OTHER);
    vv_batch_deinit(&batch.ops);
    return rc;
}
