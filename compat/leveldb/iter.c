/*
 * Iterators. A move fetches the value too, as LevelDB's does: what cannot be read must end the walk
 * with an error, and leveldb_iter_value has no way to tell of one.
 */
#include "internal.h"

#include <stdlib.h>

static void fail(leveldb_iterator_t *it, int rc)
{
    if (it->failure == NULL)
        it->failure = vv_leveldb_failure(rc);
}

leveldb_iterator_t *leveldb_create_iterator(leveldb_t *db, const leveldb_readoptions_t *options)
{
    leveldb_iterator_t *it = vv_leveldb_new(sizeof *it);
    varve_iter_options o = VARVE_ITER_OPTIONS_INIT;
    it->snapshot = vv_leveldb_snapshot_ref(options->snapshot);
    if (it->snapshot != NULL)
        o.snapshot = it->snapshot->snapshot;
    int rc = varve_iter_open(db->db, &o, &it->iter);
    if (rc < 0)
        fail(it, rc);
    return it;
}

void leveldb_iter_destroy(leveldb_iterator_t *it)
{
    varve_iter_close(it->iter);
    vv_leveldb_snapshot_unref(it->snapshot);
    free(it->failure);
    free(it);
}

uint8_t leveldb_iter_valid(const leveldb_iterator_t *it)
{
    return it->valid;
}

/* Takes what a move has led to. */
static void arrive(leveldb_iterator_t *it, int rc)
{
    if (rc == VARVE_OK) {
        it->key = varve_iter_key(it->iter);
        rc = varve_iter_value(it->iter, &it->value);
    }
    it->valid = rc == VARVE_OK;
    if (rc < 0)
        fail(it, rc);
}

void leveldb_iter_seek_to_first(leveldb_iterator_t *it)
{
    if (it->iter != NULL)
        arrive(it, varve_iter_first(it->iter));
}

void leveldb_iter_seek_to_last(leveldb_iterator_t *it)
{
    if (it->iter != NULL)
        arrive(it, varve_iter_last(it->iter));
}

void leveldb_iter_seek(leveldb_iterator_t *it, const char *k, size_t klen)
{
    if (it->iter != NULL)
        arrive(it, varve_iter_seek(it->iter, varve_bytes(k, klen)));
}

void leveldb_iter_next(leveldb_iterator_t *it)
{
    if (it->valid)
        arrive(it, varve_iter_next(it->iter));
}

void leveldb_iter_prev(leveldb_iterator_t *it)
{
    if (it->valid)
        arrive(it, varve_iter_prev(it->iter));
}

/* Programs hand these on to functions that want an address for no bytes, too. */
static const char *give(varve_slice bytes, size_t *size)
{
    *size = bytes.size;
    return bytes.size > 0 ? bytes.data : "";
}

const char *leveldb_iter_key(const leveldb_iterator_t *it, size_t *klen)
{
    return give(it->key, klen);
}

const char *leveldb_iter_value(const leveldb_iterator_t *it, size_t *vlen)
{
    return give(it->value, vlen);
}

void leveldb_iter_get_error(const leveldb_iterator_t *it, char **errptr)
{
    if (it->failure == NULL)
        return;
    size_t size = strlen(it->failure) + 1;
    vv_leveldb_fail(errptr, memcpy(vv_leveldb_new(size), it->failure, size));
}
