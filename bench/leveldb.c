/* LevelDB through its C API. One write buffer takes a fifth of the memory, the block cache the
 * rest; tables are read through mappings besides, which no setting limits. */
#ifdef BENCH_HAVE_LEVELDB

#include "engine.h"

#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

struct store {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
};

struct session {
    struct store *store;
    leveldb_writebatch_t *batch;
    leveldb_iterator_t *iter;
    char *value;
};

static int failed(const char *what, char *error)
{
    if (!error)
        return 0;
    bench_complain("leveldb: %s: %s", what, error);
    leveldb_free(error);
    return BENCH_FAILED;
}

static uint64_t buffer_bytes(const struct bench_engine_config *config)
{
    return config->memory_bytes / 5;
}

static void describe(const struct bench_engine_config *config, char *version, size_t version_size,
                     char *settings, size_t settings_size)
{
    uint64_t buffer = buffer_bytes(config);
    snprintf(version, version_size, "%d.%d", leveldb_major_version(), leveldb_minor_version());
    snprintf(settings, settings_size,
             "write_buffer=%lluM block_cache=%lluM bloom=10 block=4K compression=none sync=%d, "
             "the rest default (2 MiB files, mapped reads)",
             (unsigned long long)buffer >> 20,
             (unsigned long long)(config->memory_bytes - buffer) >> 20, config->sync);
}

static void close_store(void *store)
{
    struct store *s = store;
    if (s->db)
        leveldb_close(s->db);
    leveldb_options_destroy(s->options);
    leveldb_readoptions_destroy(s->read);
    leveldb_writeoptions_destroy(s->write);
    leveldb_cache_destroy(s->cache);
    leveldb_filterpolicy_destroy(s->filter);
    free(s);
}

static int open_store(const struct bench_engine_config *config, void **store)
{
    struct store *s = calloc(1, sizeof *s);
    uint64_t buffer = buffer_bytes(config);
    char *error = NULL;

    if (!s)
        return BENCH_FAILED;
    s->options = leveldb_options_create();
    s->read = leveldb_readoptions_create();
    s->write = leveldb_writeoptions_create();
    s->cache = leveldb_cache_create_lru(config->memory_bytes - buffer);
    leveldb_writeoptions_set_sync(s->write, config->sync);
    leveldb_options_set_cache(s->options, s->cache);
    s->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_filter_policy(s->options, s->filter);
    leveldb_options_set_block_size(s->options, 4096);
    leveldb_options_set_create_if_missing(s->options, 1);
    leveldb_options_set_write_buffer_size(s->options, buffer);
    leveldb_options_set_compression(s->options, leveldb_no_compression);

    s->db = leveldb_open(s->options, config->dir, &error);
    if (failed("open", error) < 0) {
        close_store(s);
        return BENCH_FAILED;
    }
    *store = s;
    return 0;
}

static int session_open(void *store, void **session)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return BENCH_FAILED;
    s->store = store;
    s->batch = leveldb_writebatch_create();
    *session = s;
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;
    leveldb_free(s->value);
    if (s->iter)
        leveldb_iter_destroy(s->iter);
    leveldb_writebatch_destroy(s->batch);
    free(s);
}

static int put_one(void *session, struct bench_slice key, struct bench_slice value)
{
    struct session *s = session;
    char *error = NULL;
    leveldb_put(s->store->db, s->store->write, key.data, key.size, value.data, value.size, &error);
    return failed("put", error);
}

static int put_many(void *session, const struct bench_slice *keys, const struct bench_slice *values,
                    size_t count)
{
    struct session *s = session;
    char *error = NULL;
    leveldb_writebatch_clear(s->batch);
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(s->batch, keys[i].data, keys[i].size, values[i].data,
                               values[i].size);
    leveldb_write(s->store->db, s->store->write, s->batch, &error);
    return failed("write", error);
}

static int remove_one(void *session, struct bench_slice key)
{
    struct session *s = session;
    char *error = NULL;
    leveldb_delete(s->store->db, s->store->write, key.data, key.size, &error);
    return failed("delete", error);
}

static int get_one(void *session, struct bench_slice key, struct bench_slice *value)
{
    struct session *s = session;
    char *error = NULL;
    leveldb_free(s->value);
    s->value = leveldb_get(s->store->db, s->store->read, key.data, key.size, &value->size, &error);
    if (error)
        return failed("get", error);
    if (!s->value)
        return BENCH_ABSENT;
    value->data = s->value;
    return 0;
}

static int scan_open(void *session)
{
    struct session *s = session;
    s->iter = leveldb_create_iterator(s->store->db, s->store->read);
    return 0;
}

static int scan_move(void *session, enum bench_move move, struct bench_slice target,
                     struct bench_slice *key, struct bench_slice *value)
{
    struct session *s = session;
    char *error = NULL;

    switch (move) {
    case BENCH_FIRST: leveldb_iter_seek_to_first(s->iter); break;
    case BENCH_LAST: leveldb_iter_seek_to_last(s->iter); break;
    case BENCH_SEEK: leveldb_iter_seek(s->iter, target.data, target.size); break;
    case BENCH_NEXT: leveldb_iter_next(s->iter); break;
    case BENCH_PREV: leveldb_iter_prev(s->iter); break;
    }
    if (!leveldb_iter_valid(s->iter)) {
        leveldb_iter_get_error(s->iter, &error);
        return error ? failed("scan", error) : BENCH_ABSENT;
    }
    key->data = leveldb_iter_key(s->iter, &key->size);
    value->data = leveldb_iter_value(s->iter, &value->size);
    return 0;
}

static void scan_close(void *session)
{
    struct session *s = session;
    leveldb_iter_destroy(s->iter);
    s->iter = NULL;
}

const struct bench_engine bench_engine_leveldb = {
    .name = "leveldb",
    .can_lz4 = false,
    .describe = describe,
    .open = open_store,
    .close = close_store,
    .session_open = session_open,
    .session_close = session_close,
    .put = put_one,
    .put_many = put_many,
    .remove = remove_one,
    .get = get_one,
    .scan_open = scan_open,
    .scan_move = scan_move,
    .scan_close = scan_close,
};

#else
typedef int bench_no_leveldb; /* ISO C wants something here */
#endif
