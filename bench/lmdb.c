/*
 * LMDB. It reads through the page cache, so the memory of a run does not bind it: look at its peak,
 * and at the page cache that the table does not show. A read-only transaction a get, as anybody
 * who wants the newest value has to do it.
 */
#ifdef BENCH_HAVE_LMDB

#include "engine.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

struct store {
    MDB_env *env;
    MDB_dbi dbi;
};

struct session {
    struct store *store;
    MDB_txn *read;      /* kept, and renewed for each get or scan */
    MDB_cursor *cursor; /* of a scan */
    bool reading;       /* `read` holds a moment */
};

static int failed(const char *what, int rc)
{
    bench_complain("lmdb: %s: %s", what, mdb_strerror(rc));
    return BENCH_FAILED;
}

static MDB_val from(struct bench_slice s)
{
    return (MDB_val){.mv_size = s.size, .mv_data = (void *)(uintptr_t)s.data};
}

static struct bench_slice to(MDB_val v)
{
    return (struct bench_slice){v.mv_data, v.mv_size};
}

/* Address space only: room for half-filled pages, for copies that readers hold, and to spare. */
static size_t map_bytes(const struct bench_engine_config *config)
{
    return ((size_t)config->raw_bytes * 8 + ((size_t)1 << 30)) & ~(size_t)0xfffff;
}

static void describe(const struct bench_engine_config *config, char *version, size_t version_size,
                     char *settings, size_t settings_size)
{
    snprintf(version, version_size, "%d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR,
             MDB_VERSION_PATCH);
    snprintf(settings, settings_size, "map=%zuM no WRITEMAP, %s, reads through the page cache",
             map_bytes(config) >> 20, config->sync ? "synced" : "NOSYNC");
}

static void close_store(void *store)
{
    struct store *s = store;
    mdb_env_close(s->env);
    free(s);
}

static int open_store(const struct bench_engine_config *config, void **store)
{
    struct store *s = calloc(1, sizeof *s);
    MDB_txn *txn = NULL;
    int rc;

    if (!s || mdb_env_create(&s->env) != 0) {
        free(s);
        return BENCH_FAILED;
    }
    if ((rc = mdb_env_set_mapsize(s->env, map_bytes(config))) != 0 ||
        (rc = mdb_env_open(s->env, config->dir, MDB_NOTLS | (config->sync ? 0 : MDB_NOSYNC),
                           0644)) != 0 ||
        (rc = mdb_txn_begin(s->env, NULL, 0, &txn)) != 0)
        goto out;
    if ((rc = mdb_dbi_open(txn, NULL, 0, &s->dbi)) != 0) {
        mdb_txn_abort(txn);
        goto out;
    }
    rc = mdb_txn_commit(txn);
out:
    if (rc != 0) {
        close_store(s);
        return failed("open", rc);
    }
    *store = s;
    return 0;
}

static void reading_end(struct session *s)
{
    if (s->reading)
        mdb_txn_reset(s->read);
    s->reading = false;
}

static int reading_begin(struct session *s)
{
    reading_end(s);
    int rc = mdb_txn_renew(s->read);
    if (rc != 0)
        return failed("renew", rc);
    s->reading = true;
    return 0;
}

static int session_open(void *store, void **session)
{
    struct session *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return BENCH_FAILED;
    s->store = store;
    if ((rc = mdb_txn_begin(s->store->env, NULL, MDB_RDONLY, &s->read)) != 0) {
        free(s);
        return failed("begin", rc);
    }
    mdb_txn_reset(s->read);
    *session = s;
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;
    if (s->cursor)
        mdb_cursor_close(s->cursor);
    mdb_txn_abort(s->read);
    free(s);
}

static int put_many(void *session, const struct bench_slice *keys, const struct bench_slice *values,
                    size_t count)
{
    struct session *s = session;
    MDB_txn *txn;
    int rc;

    reading_end(s);
    if ((rc = mdb_txn_begin(s->store->env, NULL, 0, &txn)) != 0)
        return failed("begin", rc);
    for (size_t i = 0; i < count; i++) {
        MDB_val key = from(keys[i]), value = from(values[i]);
        if ((rc = mdb_put(txn, s->store->dbi, &key, &value, 0)) != 0) {
            mdb_txn_abort(txn);
            return failed("put", rc);
        }
    }
    rc = mdb_txn_commit(txn);
    return rc != 0 ? failed("commit", rc) : 0;
}

static int put_one(void *session, struct bench_slice key, struct bench_slice value)
{
    return put_many(session, &key, &value, 1);
}

/* Writers wait for each other, so nothing comes between. */
static int transact(void *session, const struct bench_slice keys[2],
                    const struct bench_slice values[2])
{
    struct session *s = session;
    MDB_txn *txn;
    int rc;

    reading_end(s);
    if ((rc = mdb_txn_begin(s->store->env, NULL, 0, &txn)) != 0)
        return failed("begin", rc);
    for (int i = 0; i < 2 && rc == 0; i++) {
        MDB_val key = from(keys[i]), value = from(values[i]), found;
        rc = mdb_get(txn, s->store->dbi, &key, &found);
        if (rc == 0 || rc == MDB_NOTFOUND)
            rc = mdb_put(txn, s->store->dbi, &key, &value, 0);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return failed("transaction", rc);
    }
    rc = mdb_txn_commit(txn);
    return rc != 0 ? failed("commit", rc) : 0;
}

static int remove_one(void *session, struct bench_slice key)
{
    struct session *s = session;
    MDB_val wanted = from(key);
    MDB_txn *txn;
    int rc;

    reading_end(s);
    if ((rc = mdb_txn_begin(s->store->env, NULL, 0, &txn)) != 0)
        return failed("begin", rc);
    rc = mdb_del(txn, s->store->dbi, &wanted, NULL);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        mdb_txn_abort(txn);
        return failed("delete", rc);
    }
    rc = mdb_txn_commit(txn);
    return rc != 0 ? failed("commit", rc) : 0;
}

static int get_one(void *session, struct bench_slice key, struct bench_slice *value)
{
    struct session *s = session;
    MDB_val wanted = from(key), found;

    if (reading_begin(s) < 0)
        return BENCH_FAILED;
    int rc = mdb_get(s->read, s->store->dbi, &wanted, &found);
    if (rc == MDB_NOTFOUND)
        return BENCH_ABSENT;
    if (rc != 0)
        return failed("get", rc);
    *value = to(found);
    return 0;
}

static int scan_open(void *session)
{
    struct session *s = session;
    if (reading_begin(s) < 0)
        return BENCH_FAILED;
    int rc = s->cursor ? mdb_cursor_renew(s->read, s->cursor)
                       : mdb_cursor_open(s->read, s->store->dbi, &s->cursor);
    return rc != 0 ? failed("cursor", rc) : 0;
}

static int scan_move(void *session, enum bench_move move, struct bench_slice target,
                     struct bench_slice *key, struct bench_slice *value)
{
    static const MDB_cursor_op ops[] = {[BENCH_FIRST] = MDB_FIRST,
                                        [BENCH_LAST] = MDB_LAST,
                                        [BENCH_SEEK] = MDB_SET_RANGE,
                                        [BENCH_NEXT] = MDB_NEXT,
                                        [BENCH_PREV] = MDB_PREV};
    struct session *s = session;
    MDB_val found_key = from(target), found;

    int rc = mdb_cursor_get(s->cursor, &found_key, &found, ops[move]);
    if (rc == MDB_NOTFOUND)
        return BENCH_ABSENT;
    if (rc != 0)
        return failed("scan", rc);
    *key = to(found_key);
    *value = to(found);
    return 0;
}

static void scan_close(void *session)
{
    reading_end(session);
}

const struct bench_engine bench_engine_lmdb = {
    .name = "lmdb",
    .can_lz4 = false,
    .describe = describe,
    .open = open_store,
    .close = close_store,
    .session_open = session_open,
    .session_close = session_close,
    .put = put_one,
    .put_many = put_many,
    .remove = remove_one,
    .transact = transact,
    .get = get_one,
    .scan_open = scan_open,
    .scan_move = scan_move,
    .scan_close = scan_close,
};

#else
typedef int bench_no_lmdb; /* ISO C wants something here */
#endif
