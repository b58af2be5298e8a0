/*
 * The public functions that open, close and change a store: arguments are checked, the call is
 * counted, and the work is done elsewhere. Those that read stand in read.c and iter.c, those that
 * care for a store in care.c.
 */
#include "base/alloc.h"
#include "db/batch.h"
#include "db/store.h"
#include "env/posix.h"
#include "kv/entry.h"

_Static_assert(VV_KEY_SIZE_MAX == VARVE_KEY_SIZE_MAX + VV_SPACE_SIZE_MAX, "one limit, said twice");
_Static_assert(VV_VALUE_SIZE_MAX == VARVE_VALUE_SIZE_MAX, "one limit, said twice");

void varve_free(void *text)
{
    vv_free(text);
}

/* ---- the store, in the operating system's world */

static struct vv_db_world world_of_system(void)
{
    return (struct vv_db_world){.env = vv_env_posix()};
}

int varve_open(const char *path, const varve_options *options, varve **out)
{
    struct vv_db_world world = world_of_system();
    return vv_db_open(&world, path, options, out);
}

int varve_close(varve *db)
{
    if (db == NULL)
        return VV_OK;
    if (db->keyspace->id != 0)
        return vv_fail(VV_INVALID, "keyspace '%s' is closed with its store", db->keyspace->name);
    return vv_store_close(db);
}

int varve_destroy(const char *path)
{
    struct vv_db_world world = world_of_system();
    return vv_db_destroy(&world, path);
}

int varve_check(const char *path, const varve_options *options, varve_report *report, void *context)
{
    struct vv_db_world world = world_of_system();
    return vv_db_check(&world, path, options, report, context);
}

int varve_repair(const char *path, const varve_options *options, varve_report *report,
                 void *context)
{
    struct vv_db_world world = world_of_system();
    return vv_db_repair(&world, path, options, report, context);
}

int varve_keyspaces_at(const char *path, varve_keyspace_visit *visit, void *context)
{
    struct vv_db_world world = world_of_system();
    return vv_db_keyspaces(&world, path, visit, context);
}

/* ---- changes */

/* Counts what was done, if it was. */
static int end(varve *db, const struct vv_call *call, enum vv_door door, int rc)
{
    vv_store_time(db->store, call, &db->store->put_us);
    vv_guard_leave(call, rc < 0 ? VV_DOOR_OTHER : door);
    return rc;
}

int varve_put(varve *db, varve_slice key, varve_slice value)
{
    struct vv_call call;
    int rc = vv_key_check(key);
    if (rc == VV_OK)
        rc = vv_value_check(value);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_put(db, vv_slice_from(key), vv_slice_from(value));
    if (rc == VV_OK)
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, key.size + value.size);
    return end(db, &call, VV_DOOR_PUT, rc);
}

int varve_put_ttl(varve *db, varve_slice key, varve_slice value, uint64_t ttl_ms)
{
    struct vv_call call;
    int rc = vv_key_check(key);
    if (rc == VV_OK)
        rc = vv_value_check(value);
    if (rc == VV_OK && ttl_ms == 0)
        rc = vv_fail(VV_INVALID, "a value cannot be put for no time");
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_put_until(db, vv_slice_from(key), vv_slice_from(value),
                            vv_present_in(&db->store->present, ttl_ms));
    if (rc == VV_OK)
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, key.size + value.size);
    return end(db, &call, VV_DOOR_PUT, rc);
}

int varve_merge(varve *db, varve_slice key, varve_slice operand)
{
    struct vv_call call;
    int rc = vv_key_check(key);
    if (rc == VV_OK)
        rc = vv_value_check(operand);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_merge(db, vv_slice_from(key), vv_slice_from(operand));
    if (rc == VV_OK)
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, key.size + operand.size);
    return end(db, &call, VV_DOOR_PUT, rc);
}

int varve_delete(varve *db, varve_slice key)
{
    struct vv_call call;
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_delete(db, vv_slice_from(key));
    if (rc == VV_OK)
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, key.size);
    return end(db, &call, VV_DOOR_DELETE, rc);
}

int varve_delete_range(varve *db, varve_slice from, varve_slice to)
{
    struct vv_call call;
    int rc = vv_key_check(from);
    if (rc == VV_OK)
        rc = vv_key_check(to);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_delete_range(db, vv_slice_from(from), vv_slice_from(to));
    if (rc == VV_OK)
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, from.size + to.size);
    return end(db, &call, VV_DOOR_DELETE, rc);
}

int varve_delete_prefix(varve *db, varve_slice prefix)
{
    struct vv_call call;
    int rc = vv_key_check(prefix);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_delete_prefix(db, vv_slice_from(prefix));
    if (rc == VV_OK)
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, prefix.size);
    return end(db, &call, VV_DOOR_DELETE, rc);
}

int vv_durability_of(const varve_write_options *options, enum varve_durability *out)
{
    if (options == NULL)
        return VV_OK;
    if (options->size < sizeof *options)
        return vv_fail(VV_INVALID, "write options must start from VARVE_WRITE_OPTIONS_INIT");
    if (options->durability > VARVE_DURABILITY_DISK)
        return vv_fail(VV_INVALID, "there is no durability level %d", (int)options->durability);
    *out = options->durability;
    return VV_OK;
}

int varve_write(varve *db, const varve_batch *batch, const varve_write_options *options)
{
    struct vv_call call;
    enum varve_durability durability = VARVE_DURABILITY_DEFAULT;
    if (batch == NULL)
        return vv_fail(VV_INVALID, "no batch was given");
    int rc = vv_durability_of(options, &durability);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_write(db->store, batch, durability);
    if (rc == VV_OK) {
        vv_guard_tally(&call, VV_TALLY_PUTS, batch->puts);
        vv_guard_tally(&call, VV_TALLY_DELETES, batch->deletes);
        vv_guard_tally(&call, VV_TALLY_USER_BYTES, batch->user_bytes);
    }
    return end(db, &call, VV_DOOR_BATCH, rc);
}
