/* RocksDB through its C API. One write buffer takes a fifth of the memory, the block cache the
 * rest; a second write buffer while the first is flushed is RocksDB's own default. */
#ifdef BENCH_HAVE_ROCKSDB

#include "engine.h"

#include <dlfcn.h>
#include <limits.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store {
    rocksdb_t *db;
    rocksdb_optimistictransactiondb_t *txn_db; /* that `db` is the base of, or NULL */
    rocksdb_optimistictransaction_options_t *txn_options;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_cache_t *cache;
};

struct session {
    struct store *store;
    rocksdb_writebatch_t *batch;
    rocksdb_iterator_t *iter;
    rocksdb_pinnableslice_t *pinned;
    rocksdb_transaction_t *txn; /* kept to be begun again */
};

static int failed(const char *what, char *error)
{
    if (!error)
        return 0;
    bench_complain("rocksdb: %s: %s", what, error);
    rocksdb_free(error);
    return BENCH_FAILED;
}

static uint64_t buffer_bytes(const struct bench_engine_config *config)
{
    return config->memory_bytes / 5;
}

/* The C API does not tell; the name of the library's file does. */
static void find_version(char *version, size_t size)
{
    char path[PATH_MAX];
    Dl_info info;
    const char *found = NULL;

    if (dladdr((void *)(uintptr_t)rocksdb_open, &info) != 0 && realpath(info.dli_fname, path))
        found = strstr(path, ".so.");
    snprintf(version, size, "%s", found ? found + 4 : "?");
}

static void describe(const struct bench_engine_config *config, char *version, size_t version_size,
                     char *settings, size_t settings_size)
{
    uint64_t buffer = buffer_bytes(config);
    find_version(version, version_size);
    snprintf(settings, settings_size,
             "write_buffer=%lluM block_cache=%lluM LRU bloom=10 block=4K compression=%s WAL on, "
             "sync=%d, the rest default",
             (unsigned long long)buffer >> 20,
             (unsigned long long)(config->memory_bytes - buffer) >> 20,
             config->lz4 ? "lz4" : "none", config->sync);
}

static void close_store(void *store)
{
    struct store *s = store;
    if (s->txn_db) {
        rocksdb_optimistictransactiondb_close_base_db(s->db);
        rocksdb_optimistictransactiondb_close(s->txn_db);
    } else if (s->db) {
        rocksdb_close(s->db);
    }
    rocksdb_optimistictransaction_options_destroy(s->txn_options);
    rocksdb_options_destroy(s->options);
    rocksdb_readoptions_destroy(s->read);
    rocksdb_writeoptions_destroy(s->write);
    rocksdb_cache_destroy(s->cache);
    free(s);
}

static int open_store(const struct bench_engine_config *config, void **store)
{
    struct store *s = calloc(1, sizeof *s);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    uint64_t buffer = buffer_bytes(config);
    char *error = NULL;

    if (!s)
        return BENCH_FAILED;
    s->options = rocksdb_options_create();
    s->txn_options = rocksdb_optimistictransaction_options_create();
    rocksdb_optimistictransaction_options_set_set_snapshot(s->txn_options, 1);
    s->read = rocksdb_readoptions_create();
    s->write = rocksdb_writeoptions_create();
    s->cache = rocksdb_cache_create_lru(config->memory_bytes - buffer);
    rocksdb_writeoptions_set_sync(s->write, config->sync);
    rocksdb_block_based_options_set_block_cache(table, s->cache);
    rocksdb_block_based_options_set_block_size(table, 4096);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom(10));
    rocksdb_options_set_block_based_table_factory(s->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_create_if_missing(s->options, 1);
    if (config->counters)
        rocksdb_options_set_uint64add_merge_operator(s->options);
    rocksdb_options_set_write_buffer_size(s->options, buffer);
    rocksdb_options_set_compression(s->options,
                                    config->lz4 ? rocksdb_lz4_compression : rocksdb_no_compression);

    if (config->transactions) {
        s->txn_db = rocksdb_optimistictransactiondb_open(s->options, config->dir, &error);
        s->db = s->txn_db ? rocksdb_optimistictransactiondb_get_base_db(s->txn_db) : NULL;
    } else {
        s->db = rocksdb_open(s->options, config->dir, &error);
    }
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
    s->batch = rocksdb_writebatch_create();
    *session = s;
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;
    if (s->pinned)
        rocksdb_pinnableslice_destroy(s->pinned);
    if (s->iter)
        rocksdb_iter_destroy(s->iter);
    if (s->txn)
        rocksdb_transaction_destroy(s->txn);
    rocksdb_writebatch_destroy(s->batch);
    free(s);
}

static int put_one(void *session, struct bench_slice key, struct bench_slice value)
{
    struct session *s = session;
    char *error = NULL;
    rocksdb_put(s->store->db, s->store->write, key.data, key.size, value.data, value.size, &error);
    return failed("put", error);
}

static int put_many(void *session, const struct bench_slice *keys, const struct bench_slice *values,
                    size_t count)
{
    struct session *s = session;
    char *error = NULL;
    rocksdb_writebatch_clear(s->batch);
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put(s->batch, keys[i].data, keys[i].size, values[i].data,
                               values[i].size);
    rocksdb_write(s->store->db, s->store->write, s->batch, &error);
    return failed("write", error);
}

static int remove_one(void *session, struct bench_slice key)
{
    struct session *s = session;
    char *error = NULL;
    rocksdb_delete(s->store->db, s->store->write, key.data, key.size, &error);
    return failed("delete", error);
}

static int transact(void *session, const struct bench_slice keys[2],
                    const struct bench_slice values[2])
{
    struct session *s = session;
    char *error = NULL;
    s->txn = rocksdb_optimistictransaction_begin(s->store->txn_db, s->store->write,
                                                 s->store->txn_options, s->txn);
    for (int i = 0; i < 2 && !error; i++) {
        size_t size;
        char *found = rocksdb_transaction_get_for_update(s->txn, s->store->read, keys[i].data,
                                                         keys[i].size, &size, 1, &error);
        rocksdb_free(found);
        if (!error)
            rocksdb_transaction_put(s->txn, keys[i].data, keys[i].size, values[i].data,
                                    values[i].size, &error);
    }
    if (error)
        return failed("transaction", error);
    rocksdb_transaction_commit(s->txn, &error);
    if (error && (strstr(error, "busy") || strstr(error, "try again"))) {
        rocksdb_free(error);
        return BENCH_CONFLICT;
    }
    return failed("commit", error);
}

static int add(void *session, struct bench_slice key, uint64_t number)
{
    struct session *s = session;
    char *error = NULL;
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(number >> (8 * i));
    rocksdb_merge(s->store->db, s->store->write, key.data, key.size, bytes, sizeof bytes, &error);
    return failed("merge", error);
}

static int get_one(void *session, struct bench_slice key, struct bench_slice *value)
{
    struct session *s = session;
    char *error = NULL;
    if (s->pinned)
        rocksdb_pinnableslice_destroy(s->pinned);
    s->pinned = rocksdb_get_pinned(s->store->db, s->store->read, key.data, key.size, &error);
    if (error)
        return failed("get", error);
    if (!s->pinned)
        return BENCH_ABSENT;
    value->data = rocksdb_pinnableslice_value(s->pinned, &value->size);
    return 0;
}

static int scan_open(void *session)
{
    struct session *s = session;
    s->iter = rocksdb_create_iterator(s->store->db, s->store->read);
    return 0;
}

static int scan_move(void *session, enum bench_move move, struct bench_slice target,
                     struct bench_slice *key, struct bench_slice *value)
{
    struct session *s = session;
    char *error = NULL;

    switch (move) {
    case BENCH_FIRST: rocksdb_iter_seek_to_first(s->iter); break;
    case BENCH_LAST: rocksdb_iter_seek_to_last(s->iter); break;
    case BENCH_SEEK: rocksdb_iter_seek(s->iter, target.data, target.size); break;
    case BENCH_NEXT: rocksdb_iter_next(s->iter); break;
    case BENCH_PREV: rocksdb_iter_prev(s->iter); break;
    }
    if (!rocksdb_iter_valid(s->iter)) {
        rocksdb_iter_get_error(s->iter, &error);
        return error ? failed("scan", error) : BENCH_ABSENT;
    }
    key->data = rocksdb_iter_key(s->iter, &key->size);
    value->data = rocksdb_iter_value(s->iter, &value->size);
    return 0;
}

static void scan_close(void *session)
{
    struct session *s = session;
    rocksdb_iter_destroy(s->iter);
    s->iter = NULL;
}

const struct bench_engine bench_engine_rocksdb = {
    .name = "rocksdb",
    .can_lz4 = true,
    .describe = describe,
    .open = open_store,
    .close = close_store,
    .session_open = session_open,
    .session_close = session_close,
    .put = put_one,
    .put_many = put_many,
    .remove = remove_one,
    .transact = transact,
    .add = add,
    .get = get_one,
    .scan_open = scan_open,
    .scan_move = scan_move,
    .scan_close = scan_close,
};

#else
typedef int bench_no_rocksdb; /* ISO C wants something here */
#endif
