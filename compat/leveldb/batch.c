/*
 * Write batches.
 */
#include "internal.h"

#include <stdlib.h>

leveldb_writebatch_t *leveldb_writebatch_create(void)
{
    leveldb_writebatch_t *b = vv_leveldb_new(sizeof *b);
    int rc = varve_batch_new(&b->batch);
    if (rc < 0)
        b->failure = vv_leveldb_failure(rc);
    return b;
}

void leveldb_writebatch_destroy(leveldb_writebatch_t *b)
{
    varve_batch_free(b->batch);
    free(b->failure);
    free(b);
}

/* A batch that got no memory for itself stays a failure. */
void leveldb_writebatch_clear(leveldb_writebatch_t *b)
{
    if (b->batch == NULL)
        return;
    varve_batch_clear(b->batch);
    free(b->failure);
    b->failure = NULL;
}

static void note(leveldb_writebatch_t *b, int rc)
{
    if (rc < 0 && b->failure == NULL)
        b->failure = vv_leveldb_failure(rc);
}

void leveldb_writebatch_put(leveldb_writebatch_t *b, const char *key, size_t klen, const char *val,
                            size_t vlen)
{
    note(b, varve_batch_put(b->batch, varve_bytes(key, klen), varve_bytes(val, vlen)));
}

void leveldb_writebatch_delete(leveldb_writebatch_t *b, const char *key, size_t klen)
{
    note(b, varve_batch_delete(b->batch, varve_bytes(key, klen)));
}

struct visitor {
    void *state;
    void (*put)(void *state, const char *k, size_t klen, const char *v, size_t vlen);
    void (*deleted)(void *state, const char *k, size_t klen);
};

static int visit(void *context, const varve_change *change)
{
    const struct visitor *v = context;
    if (change->kind == VARVE_CHANGE_PUT)
        v->put(v->state, change->key.data, change->key.size, change->value.data,
               change->value.size);
    else
        v->deleted(v->state, change->key.data, change->key.size);
    return 0;
}

void leveldb_writebatch_iterate(const leveldb_writebatch_t *b, void *state,
                                void (*put)(void *state, const char *k, size_t klen, const char *v,
                                            size_t vlen),
                                void (*deleted)(void *state, const char *k, size_t klen))
{
    struct visitor v = {state, put, deleted};
    (void)varve_batch_each(b->batch, visit, &v); /* fails without a batch, which has no changes */
}

void leveldb_writebatch_append(leveldb_writebatch_t *destination,
                               const leveldb_writebatch_t *source)
{
    if (source->failure != NULL && destination->failure == NULL) {
        size_t size = strlen(source->failure) + 1;
        destination->failure = memcpy(vv_leveldb_new(size), source->failure, size);
    }
    note(destination, varve_batch_append(destination->batch, source->batch));
}
