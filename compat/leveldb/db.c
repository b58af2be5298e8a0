/*
 * Databases: opening and closing, reads and writes, care.
 */
#include "internal.h"

#include <stdlib.h>

/* ---- opening */

/* varve would take this name for a store in memory; LevelDB knows only directories. */
static const char *path_of(const char *name)
{
    return strcmp(name, ":memory:") == 0 ? "./:memory:" : name;
}

static void fail_open(char **errptr, const char *name, int rc)
{
    if (rc == VARVE_MISSING)
        vv_leveldb_fail_at(errptr, "Invalid argument", name,
                           "does not exist (create_if_missing is false)");
    else if (rc == VARVE_EXISTS)
        vv_leveldb_fail_at(errptr, "Invalid argument", name, "exists (error_if_exists is true)");
    else
        vv_leveldb_fail(errptr, vv_leveldb_failure(rc));
}

leveldb_t *leveldb_open(const leveldb_options_t *options, const char *name, char **errptr)
{
    varve_comparator order;
    varve_options o = vv_leveldb_options(options, &order);
    varve *db = NULL;
    int rc = varve_open(path_of(name), &o, &db);
    if (rc == VARVE_OK && options->error_if_exists && !options->create_if_missing) {
        (void)varve_close(db); /* nothing was written to it */
        rc = VARVE_EXISTS;
    }
    if (rc < 0) {
        fail_open(errptr, name, rc);
        return NULL;
    }
    leveldb_t *out = vv_leveldb_new(sizeof *out);
    out->db = db;
    return out;
}

void leveldb_close(leveldb_t *db)
{
    /* There is nobody to tell; what was promised is in the log. */
    (void)varve_close(db->db);
    free(db);
}

/* ---- writing */

static int write_batch(leveldb_t *db, const leveldb_writeoptions_t *options,
                       const varve_batch *batch)
{
    varve_write_options o = VARVE_WRITE_OPTIONS_INIT;
    if (options->sync)
        o.durability = VARVE_DURABILITY_DISK;
    return varve_write(db->db, batch, &o);
}

/* A single change that must be on the device is a batch of one: only those take options. */
static int put_synced(leveldb_t *db, const leveldb_writeoptions_t *options, varve_slice key,
                      const varve_slice *value)
{
    varve_batch *batch = NULL;
    int rc = varve_batch_new(&batch);
    if (rc == VARVE_OK)
        rc = value != NULL ? varve_batch_put(batch, key, *value) : varve_batch_delete(batch, key);
    if (rc == VARVE_OK)
        rc = write_batch(db, options, batch);
    varve_batch_free(batch);
    return rc;
}

void leveldb_put(leveldb_t *db, const leveldb_writeoptions_t *options, const char *key,
                 size_t keylen, const char *val, size_t vallen, char **errptr)
{
    varve_slice k = varve_bytes(key, keylen);
    varve_slice v = varve_bytes(val, vallen);
    (void)vv_leveldb_fine(errptr,
                          options->sync ? put_synced(db, options, k, &v) : varve_put(db->db, k, v));
}

void leveldb_delete(leveldb_t *db, const leveldb_writeoptions_t *options, const char *key,
                    size_t keylen, char **errptr)
{
    varve_slice k = varve_bytes(key, keylen);
    (void)vv_leveldb_fine(errptr, options->sync ? put_synced(db, options, k, NULL)
                                                : varve_delete(db->db, k));
}

void leveldb_write(leveldb_t *db, const leveldb_writeoptions_t *options,
                   leveldb_writebatch_t *batch, char **errptr)
{
    if (batch->failure != NULL) {
        size_t size = strlen(batch->failure) + 1;
        vv_leveldb_fail(errptr, memcpy(vv_leveldb_new(size), batch->failure, size));
        return;
    }
    (void)vv_leveldb_fine(errptr, write_batch(db, options, batch->batch));
}

/* ---- reading */

char *leveldb_get(leveldb_t *db, const leveldb_readoptions_t *options, const char *key,
                  size_t keylen, size_t *vallen, char **errptr)
{
    const varve_snapshot *at = options->snapshot != NULL ? options->snapshot->snapshot : NULL;
    varve_pinned value;
    *vallen = 0;
    int rc = varve_get_at(db->db, at, varve_bytes(key, keylen), &value);
    if (!vv_leveldb_fine(errptr, rc) || rc != VARVE_OK)
        return NULL;
    char *copy = malloc(value.size > 0 ? value.size : 1);
    if (copy != NULL && value.size > 0)
        memcpy(copy, value.data, value.size);
    if (copy != NULL)
        *vallen = value.size;
    else
        vv_leveldb_fail_at(errptr, "IO error", "", "out of memory");
    varve_unpin(&value);
    return copy;
}

/* ---- care */

void leveldb_approximate_sizes(leveldb_t *db, int num_ranges, const char *const *range_start_key,
                               const size_t *range_start_key_len,
                               const char *const *range_limit_key,
                               const size_t *range_limit_key_len, uint64_t *sizes)
{
    for (int i = 0; i < num_ranges; i++) {
        sizes[i] = 0; /* and stays so after a failure, of which there is no way to tell */
        (void)varve_range_bytes(db->db, varve_bytes(range_start_key[i], range_start_key_len[i]),
                                varve_bytes(range_limit_key[i], range_limit_key_len[i]), &sizes[i]);
    }
}

void leveldb_compact_range(leveldb_t *db, const char *start_key, size_t start_key_len,
                           const char *limit_key, size_t limit_key_len)
{
    /* Nobody to tell either; whatever fails here is tried again in the background. */
    (void)varve_compact(db->db, varve_bytes(start_key, start_key_len),
                        varve_bytes(limit_key, limit_key_len));
}

void leveldb_destroy_db(const leveldb_options_t *options, const char *name, char **errptr)
{
    (void)options;
    int rc = varve_destroy(path_of(name));
    if (rc != VARVE_MISSING)
        (void)vv_leveldb_fine(errptr, rc);
}

void leveldb_repair_db(const leveldb_options_t *options, const char *name, char **errptr)
{
    varve_comparator order;
    varve_options o = vv_leveldb_options(options, &order);
    int rc = varve_repair(path_of(name), &o, NULL, NULL);
    if (rc == VARVE_MISSING)
        vv_leveldb_fail_at(errptr, "IO error", name, "repair found no files");
    else
        (void)vv_leveldb_fine(errptr, rc);
}
