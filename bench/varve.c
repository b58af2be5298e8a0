/* varve through its public header. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "varve/varve.h"

struct session {
    varve *db;
    varve_batch *batch;
    varve_iter *iter;
    varve_pinned pinned;
};

static varve_slice from(struct bench_slice s)
{
    return varve_bytes(s.data, s.size);
}

static struct bench_slice to(varve_slice s)
{
    return (struct bench_slice){s.data, s.size};
}

static int failed(const char *what)
{
    bench_complain("varve: %s: %s", what, varve_last_error());
    return BENCH_FAILED;
}

static void describe(const struct bench_engine_config *config, char *version, size_t version_size,
                     char *settings, size_t settings_size)
{
    snprintf(version, version_size, "%s", varve_version());
    snprintf(settings, settings_size,
             "memory_budget=%lluM durability=%s compression=%s, the rest default",
             (unsigned long long)config->memory_bytes >> 20, config->sync ? "disk" : "os",
             config->lz4 ? "lz4" : "none");
}

static int open_store(const struct bench_engine_config *config, void **store)
{
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db = NULL;

    options.memory_budget = config->memory_bytes;
    if (config->counters)
        options.merge = varve_merge_operator_named("add_i64");
    options.durability = config->sync ? VARVE_DURABILITY_DISK : VARVE_DURABILITY_OS;
    options.compression = config->lz4 ? VARVE_COMPRESSION_LZ4 : VARVE_COMPRESSION_NONE;
    if (varve_open(config->dir, &options, &db) < 0)
        return failed("open");
    *store = db;
    return 0;
}

static void close_store(void *store)
{
    if (varve_close(store) < 0)
        failed("close");
}

static int session_open(void *store, void **session)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s || varve_batch_new(&s->batch) < 0) {
        free(s);
        return failed("new batch");
    }
    s->db = store;
    *session = s;
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;
    varve_unpin(&s->pinned);
    varve_iter_close(s->iter);
    varve_batch_free(s->batch);
    free(s);
}

static int put_one(void *session, struct bench_slice key, struct bench_slice value)
{
    struct session *s = session;
    return varve_put(s->db, from(key), from(value)) < 0 ? failed("put") : 0;
}

static int put_many(void *session, const struct bench_slice *keys, const struct bench_slice *values,
                    size_t count)
{
    struct session *s = session;
    varve_batch_clear(s->batch);
    for (size_t i = 0; i < count; i++)
        if (varve_batch_put(s->batch, from(keys[i]), from(values[i])) < 0)
            return failed("batch");
    return varve_write(s->db, s->batch, NULL) < 0 ? failed("write") : 0;
}

static int remove_one(void *session, struct bench_slice key)
{
    struct session *s = session;
    return varve_delete(s->db, from(key)) < 0 ? failed("delete") : 0;
}

static int change_both(varve_txn *txn, const struct bench_slice keys[2],
                       const struct bench_slice values[2])
{
    varve_pinned found = {0};
    int rc = 0;
    for (int i = 0; i < 2 && rc >= 0; i++) {
        if ((rc = varve_txn_get_for_update(txn, NULL, from(keys[i]), &found)) >= 0)
            rc = varve_txn_put(txn, NULL, from(keys[i]), from(values[i]));
        varve_unpin(&found);
    }
    return rc < 0 ? rc : varve_txn_commit(txn, NULL);
}

static int transact(void *session, const struct bench_slice keys[2],
                    const struct bench_slice values[2])
{
    struct session *s = session;
    varve_txn *txn = NULL;
    int rc = varve_txn_begin(s->db, NULL, &txn);
    if (rc == 0)
        rc = change_both(txn, keys, values);
    varve_txn_end(txn);
    if (rc < 0)
        return failed("transaction");
    return rc == VARVE_CONFLICT ? BENCH_CONFLICT : 0;
}

static int add(void *session, struct bench_slice key, uint64_t number)
{
    struct session *s = session;
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    return varve_merge(s->db, from(key), varve_bytes(bytes, sizeof bytes)) < 0 ? failed("merge")
                                                                               : 0;
}

static int get_one(void *session, struct bench_slice key, struct bench_slice *value)
{
    struct session *s = session;
    varve_unpin(&s->pinned);
    int rc = varve_get(s->db, from(key), &s->pinned);
    if (rc < 0)
        return failed("get");
    if (rc == VARVE_NOTFOUND)
        return BENCH_ABSENT;
    *value = (struct bench_slice){s->pinned.data, s->pinned.size};
    return 0;
}

static int scan_open(void *session)
{
    struct session *s = session;
    return varve_iter_open(s->db, NULL, &s->iter) < 0 ? failed("iterator") : 0;
}

static int scan_move(void *session, enum bench_move move, struct bench_slice target,
                     struct bench_slice *key, struct bench_slice *value)
{
    struct session *s = session;
    varve_slice found;
    int rc = 0;

    switch (move) {
    case BENCH_FIRST: rc = varve_iter_first(s->iter); break;
    case BENCH_LAST: rc = varve_iter_last(s->iter); break;
    case BENCH_SEEK: rc = varve_iter_seek(s->iter, from(target)); break;
    case BENCH_NEXT: rc = varve_iter_next(s->iter); break;
    case BENCH_PREV: rc = varve_iter_prev(s->iter); break;
    }
    if (rc < 0)
        return failed("scan");
    if (rc == VARVE_END)
        return BENCH_ABSENT;
    if (varve_iter_value(s->iter, &found) < 0)
        return failed("value of a scan");
    *key = to(varve_iter_key(s->iter));
    *value = to(found);
    return 0;
}

static void scan_close(void *session)
{
    struct session *s = session;
    varve_iter_close(s->iter);
    s->iter = NULL;
}

const struct bench_engine bench_engine_varve = {
    .name = "varve",
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
