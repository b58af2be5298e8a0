/*
 * What stands behind LevelDB's opaque types, shared by the files of this room.
 */
#ifndef VARVE_COMPAT_LEVELDB_INTERNAL_H
#define VARVE_COMPAT_LEVELDB_INTERNAL_H

#include "leveldb/c.h"

#include <varve/varve.h>

#include <stdatomic.h>
#include <stdbool.h>

struct leveldb_t {
    varve *db;
};

struct leveldb_comparator_t {
    void *state;
    void (*destructor)(void *state);
    int (*compare)(void *state, const char *a, size_t alen, const char *b, size_t blen);
    const char *(*name)(void *state);
};

struct leveldb_cache_t {
    size_t capacity;
};

struct leveldb_options_t {
    const leveldb_comparator_t *comparator; /* NULL: bytewise */
    const leveldb_cache_t *cache;           /* NULL: not set */
    size_t write_buffer_size;               /* 0: not set */
    bool create_if_missing, error_if_exists, uncompressed;
};

struct leveldb_readoptions_t {
    const leveldb_snapshot_t *snapshot;
};

struct leveldb_writeoptions_t {
    bool sync;
};

/* Iterators on a snapshot hold it too: LevelDB lets them live on when it is released. */
struct leveldb_snapshot_t {
    varve_snapshot *snapshot;
    _Atomic(unsigned) refs;
};

/* The functions that fill a batch cannot fail, so it remembers that they did. */
struct leveldb_writebatch_t {
    varve_batch *batch;
    char *failure; /* NULL: none */
};

struct leveldb_iterator_t {
    varve_iter *iter;             /* NULL if it could not be opened */
    leveldb_snapshot_t *snapshot; /* referenced, or NULL */
    bool valid;
    varve_slice key, value;
    char *failure; /* the first; NULL: none */
};

/* ---- failure.c */

/* Memory, zeroed; ends the process when there is none. */
void *vv_leveldb_new(size_t size);

/* The latest failure of varve in LevelDB's words, from malloc. */
char *vv_leveldb_failure(int rc);

/* Replaces *errptr by the text, which it takes over. */
void vv_leveldb_fail(char **errptr, char *text_take);

/* "Invalid argument: <name>: <what>", or with another kind of error. */
void vv_leveldb_fail_at(char **errptr, const char *kind, const char *name, const char *what);

/* Whether `rc` is no failure; reports it if it is one. */
bool vv_leveldb_fine(char **errptr, int rc);

/* ---- options.c */

/* What varve makes of LevelDB's options; `order` is filled in if they have a comparator. */
varve_options vv_leveldb_options(const leveldb_options_t *options, varve_comparator *order);

/* ---- snapshot.c */

leveldb_snapshot_t *vv_leveldb_snapshot_ref(const leveldb_snapshot_t *snapshot); /* NULL is fine */
void vv_leveldb_snapshot_unref(leveldb_snapshot_t *snapshot);                    /* NULL is fine */

#endif
