/*
 * varve: an embedded, persistent key-value store.
 *
 *     varve *db;
 *     if (varve_open("books", NULL, &db) < 0)
 *         die(varve_last_error());
 *     varve_put(db, VARVE_STR("978-0131103627"), VARVE_STR("The C Programming Language"));
 *
 *     varve_pinned title;
 *     if (varve_get(db, VARVE_STR("978-0131103627"), &title) == VARVE_OK) {
 *         printf("%.*s\n", (int)title.size, (const char *)title.data);
 *         varve_unpin(&title);
 *     }
 *     varve_close(db);
 *
 * Keys are 0 to 65,536 bytes, values 0 to 1 GiB; both may hold any bytes. Keys are ordered bytewise
 * unless the store was created with a comparator.
 *
 * Results. Functions that can fail return an int: 0 is success; a negative number is a failure,
 * and varve_last_error() tells its full story; a positive number is an outcome that is not an
 * error (VARVE_NOTFOUND, VARVE_END). Out parameters are untouched on failure.
 *
 * Threads. All functions may be called from any thread at any time on the same store. Batches and
 * iterators belong to one thread at a time, transactions too. Options are read during the call only.
 *
 * Lifetimes. Iterators, snapshots, transactions and pinned values may outlive varve_close: they then answer
 * VARVE_CLOSED (pinned bytes stay readable), and must still be closed, released and unpinned. After
 * fork, the child's calls on a handle of the parent answer VARVE_FORKED; closing it there frees
 * memory and touches nothing else.
 *
 * Slices given to a function are borrowed for the call. Slices returned say how long they live.
 */
#ifndef VARVE_VARVE_H
#define VARVE_VARVE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VARVE_API __attribute__((visibility("default")))
#else
#define VARVE_API
#endif

#define VARVE_VERSION_MAJOR 0
#define VARVE_VERSION_MINOR 1
#define VARVE_VERSION_PATCH 0

/* The version of the library that is linked, as "0.1.0". */
VARVE_API const char *varve_version(void);

/* ------------------------------------------------------------------------------------ results */

enum {
    VARVE_OK = 0,

    /* Outcomes. */
    VARVE_NOTFOUND = 1, /* no such key */
    VARVE_END = 2,      /* the iterator has no further entry in that direction */
    VARVE_CONFLICT = 3, /* another transaction changed the data first */

    /* Failures. Nothing was changed, unless the function says otherwise. */
    VARVE_CORRUPT = -1,      /* stored data is damaged; the story names file and offset */
    VARVE_IO = -2,           /* the operating system reported an I/O error */
    VARVE_NOMEM = -3,        /* out of memory */
    VARVE_INVALID = -4,      /* an argument or option has no meaning */
    VARVE_BUSY = -5,         /* somebody else is using it */
    VARVE_READONLY = -6,     /* opened read-only, or made so by a failed sync or write */
    VARVE_FULL = -7,         /* disk full; reads go on, writes resume when there is space */
    VARVE_LOCKED = -8,       /* another handle or process has the store open for writing */
    VARVE_CLOSED = -9,       /* the store was closed under this handle */
    VARVE_FORKED = -10,      /* the handle was opened before a fork, in the parent */
    VARVE_EXISTS = -11,      /* asked to create what exists already */
    VARVE_MISSING = -12,     /* there is no store at that path */
    VARVE_UNSUPPORTED = -13, /* a newer format, or a codec this build lacks */
    VARVE_TOOBIG = -14,      /* key, value or batch exceeds its limit */
    VARVE_PERMISSION = -15,  /* the system denies access */
    VARVE_LIMIT = -16,       /* no descriptors or threads left for this process */
    VARVE_FOREIGN = -17      /* the path holds something that is not a store */
};

/* A few words for a code; never NULL, never to be freed. */
VARVE_API const char *varve_strerror(int rc);

/* The full story of this thread's latest failure: what, where, why. "" before the first. Valid
 * until this thread's next failure. */
VARVE_API const char *varve_last_error(void);

/* ------------------------------------------------------------------------------------- values */

#define VARVE_KEY_SIZE_MAX   ((size_t)65536)
#define VARVE_VALUE_SIZE_MAX ((size_t)1 << 30)
#define VARVE_BATCH_SIZE_MAX ((size_t)2 << 30) /* of all keys and values in one batch */

/* Borrowed bytes. */
typedef struct varve_slice {
    const void *data;
    size_t size;
} varve_slice;

static inline varve_slice varve_bytes(const void *data, size_t size)
{
    varve_slice s;
    s.data = data;
    s.size = size;
    return s;
}

#define VARVE_STR(text) varve_bytes((text), strlen(text))

/* A value that was not copied: it stays valid and unchanged, whatever happens to the store, until
 * varve_unpin. Pinned values hold memory; do not keep millions of them. */
typedef struct varve_pinned {
    const void *data;
    size_t size;
    void *owner[2]; /* private */
} varve_pinned;

/* Releases the value and empties the struct; an empty (zeroed) one is fine. Any thread may. */
VARVE_API void varve_unpin(varve_pinned *pinned);

/* Releases text returned by varve_property and varve_stats_text. NULL is fine. */
VARVE_API void varve_free(void *text);

/* ------------------------------------------------------------------------------------ options */

typedef struct varve varve;
/* A keyspace is seen through a handle of the same kind: see varve_keyspace_create. */
typedef struct varve varve_keyspace;
typedef struct varve_batch varve_batch;
typedef struct varve_iter varve_iter;
typedef struct varve_snapshot varve_snapshot;
typedef struct varve_txn varve_txn;
typedef struct varve_bulk varve_bulk;
typedef struct varve_changes varve_changes;

/* When is a write safe? Each level includes those above it. */
enum varve_durability {
    VARVE_DURABILITY_DEFAULT = 0,  /* interval */
    VARVE_DURABILITY_NONE = 1,     /* no log: a crash loses what was not flushed to tables */
    VARVE_DURABILITY_OS = 2,       /* survives a killed process, not a power cut */
    VARVE_DURABILITY_INTERVAL = 3, /* as os, and synced in the background: a power cut costs at most
                                     the last interval (1 s) */
    VARVE_DURABILITY_DISK = 4 /* synced before the call returns; concurrent writers share a sync */
};

enum varve_compression {
    VARVE_COMPRESSION_DEFAULT = 0, /* lz4, and zstd at the last level when linked */
    VARVE_COMPRESSION_NONE = 1,
    VARVE_COMPRESSION_LZ4 = 2,
    VARVE_COMPRESSION_ZSTD = 3
};

enum varve_mode {
    VARVE_MODE_CREATE = 0,    /* open for writing; create the store if there is none */
    VARVE_MODE_EXISTING = 1,  /* open for writing; VARVE_MISSING if there is none */
    VARVE_MODE_EXCLUSIVE = 2, /* create; VARVE_EXISTS if there is one */
    VARVE_MODE_READONLY = 3   /* one moment's view, beside a writer or without; writes nothing */
};

enum varve_engine { VARVE_ENGINE_DEFAULT = 0, VARVE_ENGINE_LSM = 1 };

/* An order of keys other than bytewise. It must be a total order in which only identical bytes are
 * equal, must not call into varve, and must be given by the same name at every open (a store
 * remembers the name and refuses another with VARVE_INVALID). It is called from any thread. */
typedef struct varve_comparator {
    const char *name;                                            /* at most 255 bytes */
    int (*compare)(void *context, varve_slice a, varve_slice b); /* <0, 0, >0 */
    void *context;
} varve_comparator;

/* What an operator puts its result into, piece by piece. Copies. VARVE_TOOBIG, VARVE_NOMEM. */
typedef struct varve_merge_result varve_merge_result;
VARVE_API int varve_merge_append(varve_merge_result *result, const void *data, size_t size);

/* How values come about that are not put but merged: `operands`, oldest first, at least one, are applied
 * to `base` (NULL: there is no value). Both functions must depend on their arguments only, must not
 * call into varve but for varve_merge_append, and are called from any thread. They return VARVE_OK; any
 * other number says that they cannot make sense of what they see: reading the key then gives
 * VARVE_INVALID, and all that is stored is kept. `partial` makes one operand that does what several
 * do, and may be NULL; without it each read pays for all operands since the last full merge. A store
 * remembers the name, from the first varve_merge on, and refuses another. */
typedef struct varve_merge_operator {
    const char *name; /* 1 to 255 bytes */
    int (*full)(void *context, varve_slice key, const varve_slice *base,
                const varve_slice *operands, size_t count, varve_merge_result *result);
    int (*partial)(void *context, varve_slice key, const varve_slice *operands, size_t count,
                   varve_merge_result *result);
    void *context; /* lives as long as the store */
} varve_merge_operator;

/* The operators that varve brings along; NULL for other names. Never to be freed.
 *   add_i64   8 bytes, little-endian, two's complement: the sum, which wraps round. No value is 0.
 *             Values and operands of other sizes are refused, as above
 *   append    all, with a comma between each two
 *   max, min  the largest, the smallest, compared bytewise
 *   or        bit by bit; as long as the longest, shorter ones are filled up with zeros */
VARVE_API const varve_merge_operator *varve_merge_operator_named(const char *name);

/* The operator `append` with another separator, which may be empty and must live as long as the store
 * that it is given to. The store does not remember the separator. */
VARVE_API int varve_merge_operator_append(const char *separator, varve_merge_operator *out);

/* Zero means default everywhere; start from VARVE_OPTIONS_INIT, which sets `size`. */
typedef struct varve_options {
    size_t size; /* sizeof(varve_options) */
    enum varve_mode mode;
    enum varve_engine engine;         /* matters at creation; afterwards the store knows */
    enum varve_durability durability; /* of writes that do not ask for more */
    uint32_t sync_interval_ms;        /* of the level `interval`; 1000 */
    uint64_t memory_budget; /* bytes for everything: memtables, caches, indexes. Default: an eighth
                               of the memory, within 64 MiB and 2 GiB. At least 4 MiB. */
    enum varve_compression compression; /* of what is written from now on */
    const varve_comparator *comparator; /* NULL: bytewise */
    uint32_t background_threads; /* for flush and compaction; default: half the cores, 1 to 16 */
    uint32_t value_log_min; /* values of this size and more go to the value log, bytes; 1024. At
                               least 256; UINT32_MAX: none */
    /* The comparators of all keyspaces that have one. An array that is read during the open only. */
    const varve_comparator *comparators;
    size_t comparator_count;
    /* For varve_merge, in all keyspaces; NULL: none. Copied. A store opens without the operator of its
     * operands, too: keys that have any then cannot be read (VARVE_UNSUPPORTED), all else works. */
    const varve_merge_operator *merge;
    /* The time, in milliseconds since 1970, for what expires; NULL: the system's clock. Called from any
     * thread; must not call into varve. */
    uint64_t (*clock)(void *context);
    void *clock_context;
    /* How many bytes of logs to keep beyond what a recovery needs, for varve_changes_open to read: the
     * newest ones, as far as they fit. 0: none. Large values then go through the log, so that it has
     * all that there is to know; and are written twice. */
    uint64_t changes_keep;
} varve_options;

#define VARVE_OPTIONS_INIT                                                                         \
    {                                                                                              \
        sizeof(varve_options), VARVE_MODE_CREATE, VARVE_ENGINE_DEFAULT, VARVE_DURABILITY_DEFAULT,  \
            0, 0, VARVE_COMPRESSION_DEFAULT, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, 0              \
    }

/* Sets options from text as "memory_budget=256MiB,durability=disk". Names: mode (create, existing,
 * exclusive, readonly), engine (lsm), durability (none, os, interval, disk), sync_interval_ms,
 * memory_budget, compression (none, lz4, zstd), background_threads, value_log_min, merge (a name for
 * varve_merge_operator_named), changes_keep. Sizes take the
 * suffixes K, M, G of 1024 (also Ki or KiB). VARVE_INVALID names the word that is wrong, and changes
 * nothing. */
VARVE_API int varve_options_set(varve_options *options, const char *text);

/* -------------------------------------------------------------------------------------- store */

/* Opens or creates the store in directory `path`; NULL or ":memory:" makes a store in memory that
 * ends with varve_close. `options` may be NULL. Recovers what a crash left: every acknowledged
 * write that its durability level promised, and nothing out of order.
 * Errors: VARVE_LOCKED, VARVE_MISSING, VARVE_EXISTS, VARVE_FOREIGN (a path or directory with other
 * things in it), VARVE_UNSUPPORTED, VARVE_INVALID, VARVE_CORRUPT (see varve_repair),
 * VARVE_PERMISSION, VARVE_IO; read-only beside a writer that never lets its logs be read to the end,
 * VARVE_BUSY. A failed open changes nothing on disk. */
VARVE_API int varve_open(const char *path, const varve_options *options, varve **out);

/* Waits for running calls, syncs the log and closes. Unflushed writes stay in the log and are
 * recovered by the next open. Returns the first failure of closing, if any; the handle is gone in
 * any case. NULL is fine. */
VARVE_API int varve_close(varve *db);

/* Deletes the store at `path`: only files that are varve's, then the directory if it is empty.
 * VARVE_LOCKED while it is open, VARVE_MISSING, VARVE_FOREIGN. */
VARVE_API int varve_destroy(const char *path);

/* Called with one line about each thing found, during varve_check, varve_repair and varve_verify. It
 * must not close the store that is verified. */
typedef void varve_report(void *context, const char *line);

/* Reads and verifies every byte of a store that nobody has open for writing; reports each damage
 * with file and offset. VARVE_CORRUPT when any was found. `report` may be NULL. */
VARVE_API int varve_check(const char *path, const varve_options *options, varve_report *report,
                          void *context);

/* Makes a damaged store usable again: keeps all data that verifies, sets damaged files aside under
 * the name "<file>.damaged", and reports what is lost. Where the MANIFEST is, keyspaces have lost their
 * names, and are called "lost-" and their id. Never called by anything else. */
VARVE_API int varve_repair(const char *path, const varve_options *options, varve_report *report,
                           void *context);

/* --------------------------------------------------------------------------------------- data */

/* Stores `value` under `key`, replacing what was there. Microseconds, plus a device sync at level
 * `disk`. Errors: VARVE_TOOBIG, VARVE_READONLY, VARVE_FULL, VARVE_IO.
 *
 * A write that fails, in this way or another, is not there and never will be, whatever happens to
 * the machine. But where the store has become read-only with it, the next open may find it. */
VARVE_API int varve_put(varve *db, varve_slice key, varve_slice value);

/* Removes the key; success also when there was none. Costs as a small put. */
VARVE_API int varve_delete(varve *db, varve_slice key);

/* Removes all keys from `from` up to and excluding `to` (data NULL: from the first, to the last). One
 * record, however many keys there are; reads pass over what is gone at once, and its space is given
 * back in the background. An empty range removes nothing. Costs as a small put. */
VARVE_API int varve_delete_range(varve *db, varve_slice from, varve_slice to);

/* The same for all keys that begin with the prefix. Bytewise order only: VARVE_INVALID otherwise. */
VARVE_API int varve_delete_prefix(varve *db, varve_slice prefix);

/* Finds the value without copying it; on VARVE_OK, varve_unpin it. VARVE_NOTFOUND if there is none
 * (then `out` is emptied). At most one device read when nothing is cached, rarely more. */
VARVE_API int varve_get(varve *db, varve_slice key, varve_pinned *out);

/* Copies the value into `into`. `*size` is set to the size of the value, of which no more than
 * `capacity` bytes were copied. VARVE_NOTFOUND if there is none. */
VARVE_API int varve_get_into(varve *db, varve_slice key, void *into, size_t capacity, size_t *size);

/* VARVE_OK or VARVE_NOTFOUND; does not read values. */
VARVE_API int varve_exists(varve *db, varve_slice key);

/* Looks up `count` keys at one moment. For each, results[i] is what varve_get would have returned
 * and values[i] as there; unpin those with VARVE_OK. Cheaper than single gets when data is not
 * cached. The return value tells only of failures that concern the whole call. */
VARVE_API int varve_multi_get(varve *db, size_t count, const varve_slice *keys,
                              varve_pinned *values, int *results);

/* The same reads as of a snapshot; NULL reads now. */
VARVE_API int varve_get_at(varve *db, const varve_snapshot *at, varve_slice key, varve_pinned *out);
VARVE_API int varve_multi_get_at(varve *db, const varve_snapshot *at, size_t count,
                                 const varve_slice *keys, varve_pinned *values, int *results);

/* ------------------------------------------------------------------------------------- expiry
 *
 * A value may be put for a time. When it is over the key is absent at once, for all reads, also those
 * of older snapshots and iterators; merging removes it from disk, without being asked to.
 *
 * Recorded is the moment at which a value expires, so closing the store and moving it changes
 * nothing. The moment counts by the store's time: the system's clock, or varve_options.clock, but the
 * store's time never falls. While a store is open, what has expired stays so whatever happens to the
 * clock; the latest moment at which anything was taken for expired is made durable by each flush and
 * merge and by varve_close, and a store opened again does not fall behind that. So after a crash, and
 * only if the clock was set back, what expired after the last flush or merge may be there again, until
 * the clock gets there. A clock that jumps ahead expires what it jumps over. */

/* As varve_put; the value expires `ttl_ms` milliseconds from now (VARVE_INVALID for 0). A later put of
 * the key, with or without a time, replaces the time, too. Costs as a put. */
VARVE_API int varve_put_ttl(varve *db, varve_slice key, varve_slice value, uint64_t ttl_ms);

/* How long the key's value still has, in milliseconds; VARVE_TTL_NONE when it does not expire.
 * VARVE_NOTFOUND. Costs as a get. */
#define VARVE_TTL_NONE UINT64_MAX
VARVE_API int varve_ttl(varve *db, varve_slice key, uint64_t *ttl_ms);

/* Let the value that the key has expire so long from now, at that moment (milliseconds since 1970), or
 * never. A moment that has passed deletes the key. VARVE_NOTFOUND when there is no value. Atomic, as all
 * of the next section. The value is written again: costs as a get and a put. */
VARVE_API int varve_expire(varve *db, varve_slice key, uint64_t ttl_ms);
VARVE_API int varve_expire_at(varve *db, varve_slice key, uint64_t at_ms);
VARVE_API int varve_persist(varve *db, varve_slice key);

/* ------------------------------------------------------------------------------ atomic updates
 *
 * Each reads and writes one key as one step, against all other writers: no write of the same key by any
 * function of this header, from any thread, comes in between. They wait for nobody: one that finds
 * that another write was faster begins anew, and of those that are in each other's way one always
 * succeeds. Besides their own errors they have those of varve_put and varve_get. */

/* Adds to a counter of 8 bytes, little-endian; a key without a value counts as 0. The sum, which wraps
 * round, goes to `result` (NULL is fine). A time at which the counter expires stays as it is.
 * VARVE_INVALID when the value is no counter. */
VARVE_API int varve_incr(varve *db, varve_slice key, int64_t delta, int64_t *result);

/* Puts `desired` (NULL: deletes the key) if the value is `expected` (NULL: there is none). The new value
 * does not expire. VARVE_CONFLICT when there is something else; then nothing is changed. */
VARVE_API int varve_compare_and_swap(varve *db, varve_slice key, const varve_slice *expected,
                                     const varve_slice *desired);

/* VARVE_CONFLICT when there is a value. */
VARVE_API int varve_put_if_absent(varve *db, varve_slice key, varve_slice value);

/* Deletes the key and gives the value that it had; unpin it. VARVE_NOTFOUND when there is none. */
VARVE_API int varve_get_and_delete(varve *db, varve_slice key, varve_pinned *out);

/* --------------------------------------------------------------------------------------- merge
 *
 * A merge writes an operand without reading. Reads apply all operands of the key since the last put or
 * delete, the oldest first; flushes, merges of tables, and every few dozen merges of a key a read and a
 * put in the background of the call fold them together, so that reads stay cheap. A deleted, expired or
 * missing value is no base. A base that expires later takes its value with it, not the operands that
 * were merged onto it: these then stand alone. */

/* Merges the operand by the store's operator (varve_options.merge). VARVE_INVALID without one. Whether
 * the operator likes the operand shows when the key is read. Costs as a put; unlike varve_incr two
 * merges of a key never are in each other's way. */
VARVE_API int varve_merge(varve *db, varve_slice key, varve_slice operand);

/* -------------------------------------------------------------------------------------- batch */

/* Collects changes that happen together or not at all, in order; a later change of the same key
 * wins. Keys and values are copied into the batch. */
VARVE_API int varve_batch_new(varve_batch **out);
VARVE_API void varve_batch_free(varve_batch *batch); /* NULL is fine */
VARVE_API int varve_batch_put(varve_batch *batch, varve_slice key, varve_slice value);
VARVE_API int varve_batch_delete(varve_batch *batch, varve_slice key);
VARVE_API int varve_batch_delete_range(varve_batch *batch, varve_slice from, varve_slice to);
/* As varve_put_ttl; the time counts from the write. */
VARVE_API int varve_batch_put_ttl(varve_batch *batch, varve_slice key, varve_slice value,
                                  uint64_t ttl_ms);
/* As varve_merge. Writing the batch gives VARVE_INVALID when the store has no operator. */
VARVE_API int varve_batch_merge(varve_batch *batch, varve_slice key, varve_slice operand);
/* The same in a keyspace; NULL is the default one. */
VARVE_API int varve_batch_put_ttl_in(varve_batch *batch, const varve_keyspace *keyspace,
                                     varve_slice key, varve_slice value, uint64_t ttl_ms);
VARVE_API int varve_batch_merge_in(varve_batch *batch, const varve_keyspace *keyspace,
                                   varve_slice key, varve_slice operand);
VARVE_API void varve_batch_clear(varve_batch *batch);
VARVE_API size_t varve_batch_count(const varve_batch *batch); /* changes in it */
VARVE_API size_t varve_batch_bytes(const varve_batch *batch); /* of its keys and values, encoded */

/* Appends the changes of `more`, which stays as it is and may be `batch` itself. Costs a copy.
 * Errors: VARVE_TOOBIG, VARVE_NOMEM; `batch` is then as it was. */
VARVE_API int varve_batch_append(varve_batch *batch, const varve_batch *more);

enum varve_change_kind {
    VARVE_CHANGE_PUT = 1,
    VARVE_CHANGE_DELETE = 2,
    VARVE_CHANGE_DELETE_RANGE = 3, /* from `key` up to and excluding `value`; data NULL: open end */
    VARVE_CHANGE_MERGE = 4,        /* `value` is the operand */
};

/* One change; its bytes are where they lie. Later releases know more kinds. */
typedef struct varve_change {
    enum varve_change_kind kind;
    uint32_t keyspace; /* as varve_keyspace_id; 0 is the default one */
    varve_slice key;
    varve_slice value; /* empty for a deletion */
    uint64_t ttl_ms;   /* of a put: it expires so long after the write; 0: never */
    uint64_t
        expires_ms; /* of a put of a feed, instead: when it does, milliseconds since 1970; 0: never */
} varve_change;

typedef int varve_change_visit(void *context, const varve_change *change);

/* Calls `visit` for each change of the batch in order, and stops at the first that returns other
 * than zero, which is then the result. What it is shown is valid until it returns; it must not
 * change the batch. */
VARVE_API int varve_batch_each(const varve_batch *batch, varve_change_visit *visit, void *context);

typedef struct varve_write_options {
    size_t size;                      /* sizeof(varve_write_options) */
    enum varve_durability durability; /* at least this; the store's own level if that is more */
} varve_write_options;

#define VARVE_WRITE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(varve_write_options), VARVE_DURABILITY_DEFAULT                                      \
    }

/* Applies the batch atomically; it may be used again afterwards. `options` may be NULL. An empty
 * batch succeeds, and with level `disk` makes all earlier writes durable. In a store of level `none`,
 * a batch that asked for more and could not be made durable has been applied all the same. */
VARVE_API int varve_write(varve *db, const varve_batch *batch, const varve_write_options *options);

/* -------------------------------------------------------------------------------------- columns
 *
 * Many entries as contiguous bytes and offsets into them, as language bindings have them: nothing is
 * allocated or called for a single entry. */

/* Entry i is the bytes of `data` from offsets[i] up to offsets[i + 1]; there is one offset more than
 * entries, none is below the one before, and the first need not be 0. The offsets are 64 bits wide,
 * or else `offsets` is NULL and `offsets32` has them: Arrow's layouts of large binary and binary. */
typedef struct varve_column {
    const void *data;
    const uint64_t *offsets;
    const uint32_t *offsets32;
} varve_column;

/* Puts `count` entries, as one batch does: all of them become visible together or none, and of a key
 * that comes twice the later value counts. Costs as varve_write. `options` may be NULL. VARVE_INVALID
 * for offsets that descend, VARVE_TOOBIG beyond the limits of a key, a value or a batch: both name the
 * entry. */
VARVE_API int varve_write_columns(varve *db, size_t count, const varve_column *keys,
                                  const varve_column *values, const varve_write_options *options);

/* ----------------------------------------------------------------------------------------- bulk
 *
 * Much data that comes sorted: it is written once, to where it will stay, past log and memtables.
 *
 *     varve_bulk *bulk;
 *     varve_bulk_begin(db, NULL, &bulk);
 *     while (next(&key, &value))
 *         varve_bulk_put(bulk, key, value);
 *     rc = varve_bulk_commit(bulk);
 *     varve_bulk_end(bulk);
 *
 * Nothing of it is seen before the commit, and all of it at once then: one change with one sequence
 * number, newer than all that was written before the commit, whenever it was put. Snapshots, iterators
 * and transactions of before do not see it; a transaction that relies on one of its keys conflicts.
 * After a crash it is there as a whole or not at all.
 *
 * A bulk belongs to one thread at a time; several may be filled side by side, over the same keys too,
 * and beside all other reads and writes. It holds some megabytes of memory, whatever it is given. One that is
 * open outlives varve_close: it is VARVE_CLOSED then, never happened, and must still be ended. */

typedef struct varve_bulk_options {
    size_t size; /* sizeof(varve_bulk_options) */
} varve_bulk_options;

#define VARVE_BULK_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(varve_bulk_options)                                                                 \
    }

/* Begins a bulk for the keyspace of the handle; `options` may be NULL. Errors: VARVE_READONLY,
 * VARVE_MISSING for a keyspace that was dropped. */
VARVE_API int varve_bulk_begin(varve *db, const varve_bulk_options *options, varve_bulk **out);

/* Adds an entry. Keys must ascend in the keyspace's order: VARVE_INVALID names both keys where one does
 * not, and the bulk can be used as if it had not been tried, as after VARVE_TOOBIG. After another failure
 * (VARVE_FULL, VARVE_IO, VARVE_NOMEM) the bulk can only be ended. Costs well below a microsecond, and a
 * sync of the device now and then. */
VARVE_API int varve_bulk_put(varve_bulk *bulk, varve_slice key, varve_slice value);

/* Makes all of it happen, durably at any level of durability, and with it all that was written before.
 * Writers wait for a few syncs of the device meanwhile, and for what they have written while the
 * memtables of before are flushed. The bulk is over in any case but VARVE_BUSY (this thread has an
 * exclusive transaction open), of which all failures say that nothing happened; but where the store has become
 * read-only with it, the next open may find it. */
VARVE_API int varve_bulk_commit(varve_bulk *bulk);

/* How many entries were added; 0 for NULL. */
VARVE_API uint64_t varve_bulk_count(const varve_bulk *bulk);

/* Gives up the handle; what was not committed is forgotten, and its space given back. NULL is fine. */
VARVE_API void varve_bulk_end(varve_bulk *bulk);

/* ---------------------------------------------------------------------------------- keyspaces
 *
 * A store holds keyspaces: sets of keys that know nothing of each other, each in its own order. All
 * share log, memory and background work, so that thousands cost little, and a batch may change
 * several at once. The store's own handle is its keyspace "default".
 *
 * A keyspace's handle is taken by every function that takes a store's. Functions about data see that
 * keyspace alone; those about the whole store (flush, sync, settle, pause, stats, snapshots) do what
 * they do through any. The handle belongs to the store and ends with varve_close; afterwards, calls
 * on it answer VARVE_CLOSED. All of these functions may be called from any thread. */

typedef struct varve_keyspace_options {
    size_t size;                        /* sizeof(varve_keyspace_options) */
    const varve_comparator *comparator; /* NULL: bytewise. From then on it must be among
                                           varve_options.comparators at each open of the store.
                                           In a store that has one, comparing keys costs more, in all
                                           keyspaces. */
} varve_keyspace_options;

#define VARVE_KEYSPACE_OPTIONS_INIT                                                                \
    {                                                                                              \
        sizeof(varve_keyspace_options), NULL                                                       \
    }

/* Makes a keyspace. Names are 1 to 255 bytes, without a zero. Durable when it returns: one sync.
 * VARVE_EXISTS, VARVE_READONLY, VARVE_LIMIT after 524,287 in a store's life. `options` may be
 * NULL. */
VARVE_API int varve_keyspace_create(varve *db, const char *name,
                                    const varve_keyspace_options *options, varve_keyspace **out);

/* The handle of a keyspace; the same one at every call. VARVE_MISSING if there is none. */
VARVE_API int varve_keyspace_open(varve *db, const char *name, varve_keyspace **out);

/* Drops a keyspace with all that is in it; the default one is VARVE_INVALID. Gone for good when it
 * returns: a sync, whatever there is in it; the space comes back in the background. The handle then
 * answers VARVE_MISSING, but for reads at snapshots of before, which see what there was, as do iterators
 * that were open. The name is free at once, for a new keyspace with a new id. What is in a batch or
 * transaction for it makes that VARVE_MISSING. One with a comparator leaves that to be given at each
 * open. Errors: VARVE_MISSING, VARVE_READONLY, VARVE_FULL, VARVE_IO. */
VARVE_API int varve_keyspace_drop(varve_keyspace *keyspace);

/* "default", or the name it was created with. Valid as long as the handle. */
VARVE_API const char *varve_keyspace_name(const varve_keyspace *keyspace);

/* A number that no other keyspace of the store has or ever will; 0 is the default one. */
VARVE_API uint32_t varve_keyspace_id(const varve_keyspace *keyspace);

/* Called with each name; a result other than 0 ends the listing and becomes its result. */
typedef int varve_keyspace_visit(void *context, const char *name);

/* All keyspaces, the default one first, in the order of their making. The visitor may call varve. */
VARVE_API int varve_keyspace_list(varve *db, varve_keyspace_visit *visit, void *context);

/* The same of a store that need not be open: reads its MANIFEST only. Errors as varve_open. */
VARVE_API int varve_keyspaces_at(const char *path, varve_keyspace_visit *visit, void *context);

/* Changes in a keyspace; NULL is the default one. A batch holds changes for one store's keyspaces,
 * and goes there through any of its handles. VARVE_INVALID for a keyspace of another store. */
VARVE_API int varve_batch_put_in(varve_batch *batch, const varve_keyspace *keyspace,
                                 varve_slice key, varve_slice value);
VARVE_API int varve_batch_delete_in(varve_batch *batch, const varve_keyspace *keyspace,
                                    varve_slice key);
VARVE_API int varve_batch_delete_range_in(varve_batch *batch, const varve_keyspace *keyspace,
                                          varve_slice from, varve_slice to);

/* ---------------------------------------------------------------------------------- iterators */

typedef struct varve_iter_options {
    size_t size;                    /* sizeof(varve_iter_options) */
    const varve_snapshot *snapshot; /* NULL: the moment of opening; must outlive the iterator */
    varve_slice lower;              /* keys >= lower; data NULL: no bound */
    varve_slice upper;              /* keys < upper; data NULL: no bound */
    varve_slice prefix; /* keys that start with it; data NULL: all. Bytewise order only. */
    int keys_only; /* non-zero: values will not be asked for; varve_iter_value is VARVE_INVALID */
} varve_iter_options;

#define VARVE_ITER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(varve_iter_options), NULL, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0                       \
    }

/* Opens an iterator over the store as it is now (or at a snapshot); later changes do not show. It
 * starts before the first entry: move it first. Holds the files it reads on disk until closed or
 * refreshed. `options` may be NULL; bounds are copied. */
VARVE_API int varve_iter_open(varve *db, const varve_iter_options *options, varve_iter **out);
VARVE_API void varve_iter_close(varve_iter *iter); /* NULL is fine */

/* Each move returns VARVE_OK when the iterator is on an entry, VARVE_END when there is none, or a
 * failure. After VARVE_END, next and prev keep answering VARVE_END; the other moves work. `next`
 * before any other move is `first`, `prev` is `last`. Bounds apply to all. */
VARVE_API int varve_iter_first(varve_iter *iter);
VARVE_API int varve_iter_last(varve_iter *iter);
VARVE_API int varve_iter_seek(varve_iter *iter, varve_slice key);          /* first key >= */
VARVE_API int varve_iter_seek_for_prev(varve_iter *iter, varve_slice key); /* last key <= */
VARVE_API int varve_iter_next(varve_iter *iter);
VARVE_API int varve_iter_prev(varve_iter *iter);

/* Non-zero when the iterator is on an entry. */
VARVE_API int varve_iter_valid(const varve_iter *iter);

/* The entry's key; empty when not valid. Valid until the iterator moves or closes, or the store is
 * closed. */
VARVE_API varve_slice varve_iter_key(const varve_iter *iter);

/* The entry's value, read from the value log if it lies there. Valid as long as the key.
 * VARVE_INVALID when the iterator is on no entry. */
VARVE_API int varve_iter_value(varve_iter *iter, varve_slice *out);

/* Moves on and gathers up to `max` entries at once, fewer only at the end; `values` may be NULL.
 * Starts with the entry after the present one (the first, if the iterator was not moved yet), so
 * that calling it in a loop visits everything. All slices are valid until the next call on the
 * iterator. VARVE_END when there is none left (`*count` is 0). Stops early, with at least one
 * entry, at about 1 MiB of keys and values. */
VARVE_API int varve_iter_chunk(varve_iter *iter, varve_slice *keys, varve_slice *values, size_t max,
                               size_t *count);

/* The same in columns: appends entries to contiguous buffers of the iterator's own, until there are
 * `count_max` or about `bytes_max` bytes of keys and values (0: 1 MiB), with at least one. Both columns
 * come with wide offsets that begin with 0; they can be given to varve_write_columns. `values` may be
 * NULL. Valid until the next call on the iterator. VARVE_END when there is none left (`*count` is 0). */
VARVE_API int varve_iter_columns(varve_iter *iter, size_t count_max, size_t bytes_max,
                                 varve_column *keys, varve_column *values, size_t *count);

/* Moves the iterator's moment to now, and lets go of old files. It is unpositioned afterwards.
 * VARVE_INVALID for an iterator on a snapshot. */
VARVE_API int varve_iter_refresh(varve_iter *iter);

/* ---------------------------------------------------------------------------------- snapshots */

/* One moment, to be read at leisure. Costs nothing to make; while it lives, what it shows is kept
 * on disk. */
VARVE_API int varve_snapshot_new(varve *db, varve_snapshot **out);
VARVE_API void varve_snapshot_release(varve_snapshot *snapshot); /* NULL is fine */

/* ------------------------------------------------------------------------------- transactions */

/*
 * Changes that are made one by one, can be read back meanwhile, and happen together or not at all:
 *
 *     varve_txn *txn;
 *     varve_txn_begin(db, NULL, &txn);
 *     if (varve_txn_get_for_update(txn, NULL, from, &balance) == VARVE_OK)
 *         ...
 *     varve_txn_put(txn, NULL, from, less);
 *     varve_txn_put(txn, NULL, to, more);
 *     rc = varve_txn_commit(txn, NULL);     VARVE_CONFLICT: somebody was first, begin again
 *     varve_txn_end(txn);
 *
 * All reads are of the moment of varve_txn_begin, with the transaction's own changes over it. Others
 * see nothing of it before the commit, and all of it at once then.
 *
 *                       optimistic                                exclusive
 *     begin             at once                                   waits for its turn, or VARVE_BUSY
 *     others meanwhile  write as they like                        read as they like; writes and
 *                                                                 commits wait until it is over
 *     commit            VARVE_CONFLICT if a key that it wrote     never conflicts
 *                       or read for update was changed since
 *                       it began by anybody
 *
 * What can happen:
 *                       snapshot isolation    serializable    exclusive
 *     dirty read              no                   no             no
 *     fractured read          no                   no             no    part of another's commit
 *     lost update             no                   no             no    of keys written or read for
 *                                                                       update
 *     phantom                 no                   no             no    two scans differ
 *     write skew              possible             no             no    two decide by what they read,
 *                                                                       and each changes the other's
 * A serializable transaction that writes is also refused when a key that it read, or any key in a
 * range that its iterators passed, was changed. One that wrote nothing always commits. Refusals are
 * exact: never for another reason than these.
 *
 * A transaction with its iterators belongs to one thread at a time. It holds its changes in memory
 * until the commit (at most VARVE_BATCH_SIZE_MAX), and what its moment shows is kept on disk until it
 * is over. A transaction outlives varve_close: it is VARVE_CLOSED then, never happened, and must
 * still be ended.
 *
 * `ks` below says where: a keyspace of the store, or the store itself; NULL is the store itself.
 */
enum varve_txn_kind { VARVE_TXN_OPTIMISTIC = 0, VARVE_TXN_EXCLUSIVE = 1 };
enum varve_isolation { VARVE_ISOLATION_SNAPSHOT = 0, VARVE_ISOLATION_SERIALIZABLE = 1 };

typedef struct varve_txn_options {
    size_t size; /* sizeof(varve_txn_options) */
    enum varve_txn_kind kind;
    enum varve_isolation isolation; /* of an optimistic one; an exclusive one is serializable */
    uint32_t timeout_ms; /* how long an exclusive one waits for its turn; 0: 5000. UINT32_MAX: for
                            as long as it takes */
} varve_txn_options;

#define VARVE_TXN_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(varve_txn_options), VARVE_TXN_OPTIMISTIC, VARVE_ISOLATION_SNAPSHOT, 0               \
    }

/* Begins a transaction; `options` may be NULL. Costs about as much as a snapshot. While a thread has
 * an exclusive transaction open, a write of its own beside it (and another exclusive one) would wait
 * for itself: that is VARVE_BUSY at once. Errors: VARVE_BUSY, VARVE_READONLY for a store that was
 * opened read-only. */
VARVE_API int varve_txn_begin(varve *db, const varve_txn_options *options, varve_txn **out);

/* Makes all changes happen, and ends the transaction in any case but VARVE_BUSY and VARVE_INVALID.
 * VARVE_OK, or VARVE_CONFLICT: nothing happened. Costs as varve_write, and some ten nanoseconds for
 * each key relied on; a range relied on costs a look at what is in memory of it, when others write
 * meanwhile. `options` may be NULL. Errors: as varve_write. */
VARVE_API int varve_txn_commit(varve_txn *txn, const varve_write_options *options);

/* Forgets all changes, and ends the transaction. */
VARVE_API int varve_txn_rollback(varve_txn *txn);

/* Gives up the handle; rolls back if the transaction is still open. NULL is fine. Its iterators are
 * VARVE_INVALID from then on (as from commit and rollback), and must still be closed. */
VARVE_API void varve_txn_end(varve_txn *txn);

/* As the functions of the store. Changes cost some hundred nanoseconds, no I/O, and are VARVE_TOOBIG
 * beyond the limit of a batch. VARVE_INVALID once the transaction is over, as for all below. */
VARVE_API int varve_txn_put(varve_txn *txn, varve *ks, varve_slice key, varve_slice value);
VARVE_API int varve_txn_delete(varve_txn *txn, varve *ks, varve_slice key);
VARVE_API int varve_txn_get(varve_txn *txn, varve *ks, varve_slice key, varve_pinned *out);
VARVE_API int varve_txn_exists(varve_txn *txn, varve *ks, varve_slice key);

/* Reads, and makes the commit of what is written depend on the key being unchanged, found or not.
 * Going back to a savepoint does not take that back. */
VARVE_API int varve_txn_get_for_update(varve_txn *txn, varve *ks, varve_slice key,
                                       varve_pinned *out);

/* An iterator over the transaction's moment and its changes, those that are made later too: a move
 * after a change finds what is there then. Options as for varve_iter_open, without a snapshot. */
VARVE_API int varve_txn_iter_open(varve_txn *txn, varve *ks, const varve_iter_options *options,
                                  varve_iter **out);

/* Savepoints nest to any depth. Each begins a level, which is ended by releasing it (its changes
 * belong to the level outside it then) or by rolling it back (they are undone); both cost what the
 * level has changed. VARVE_INVALID when there is none. Commit takes all levels along. */
VARVE_API int varve_txn_savepoint(varve_txn *txn);
VARVE_API int varve_txn_release(varve_txn *txn);
VARVE_API int varve_txn_rollback_to(varve_txn *txn);

/* How many savepoints are open, and how many keys were changed; 0 for NULL. */
VARVE_API uint32_t varve_txn_depth(const varve_txn *txn);
VARVE_API size_t varve_txn_count(const varve_txn *txn);

/* ------------------------------------------------------------------------------------ changes */

/*
 * All commits of a store, of all its keyspaces, one after another in the order in which they became
 * visible, from a sequence number on:
 *
 *     varve_commit commit;
 *     varve_changes *changes;
 *     varve_changes_open(db, known + 1, &changes);
 *     while ((rc = varve_changes_next(changes, &commit)) >= 0) {
 *         if (rc == VARVE_OK) {
 *             varve_changes_each(changes, apply, copy);
 *             known = commit.first + commit.count - 1;
 *         } else {
 *             varve_changes_wait(changes, 1000);      or: varve_refresh(db), in a reader
 *         }
 *     }
 *
 * Each change has a sequence number, which grows from change to change, not always by one; a commit's
 * changes have those from `first` on. varve_stats.sequence is the latest; what is read after it was
 * looked at, by an iterator for instance, has all changes up to it: a copy begins so.
 *
 * No commit is left out, shown twice, or shown before reads see it; one that failed is not shown.
 * Where that cannot be, because the store has done with the log, or because it was a bulk, which is in no
 * log, the answer is VARVE_MISSING. How
 * much of it there is beside the present memtables, varve_options.changes_keep says. A commit that has
 * been shown lasts as its durability level says: what a power cut takes from a store of level
 * `interval` may have been seen before, and its numbers may be given again.
 *
 * In a store that was opened read-only, beside a writer or without, the feed ends with what the store
 * shows, and goes on after varve_refresh.
 */
typedef struct varve_commit {
    uint64_t first; /* sequence number of its first change */
    uint64_t count; /* of its changes */
} varve_commit;

/* Opens a feed that begins with the commit which has sequence `from`, or else the next after it. Any
 * number of feeds may be open; each belongs to one thread at a time. Costs reading the log up to there.
 * Errors: VARVE_MISSING ("history before sequence N is gone": from N on it can be had, or from
 * varve_stats.sequence + 1), VARVE_UNSUPPORTED for a store of level `none`, which has no log. */
VARVE_API int varve_changes_open(varve *db, uint64_t from, varve_changes **out);

/* The next commit: VARVE_OK, or VARVE_END when there is none yet; a later call may find one. Costs
 * reading it from the log, some microseconds. Errors: VARVE_MISSING as above, VARVE_CORRUPT with file
 * and offset; they stay. */
VARVE_API int varve_changes_next(varve_changes *changes, varve_commit *out);

/* Calls `visit` for each change of the commit that varve_changes_next gave last, in order, as
 * varve_batch_each does; the number of a change is `first` and its place. The visitor may call varve,
 * but for this feed, and must not close the store. VARVE_INVALID when the feed is at no commit;
 * VARVE_MISSING for a large value that was written while nothing was kept, and is gone. */
VARVE_API int varve_changes_each(varve_changes *changes, varve_change_visit *visit, void *context);

/* Waits until there may be more than when varve_changes_next last found none: VARVE_OK; or VARVE_END
 * when the time is over (UINT32_MAX: never). varve_close ends it with VARVE_CLOSED. */
VARVE_API int varve_changes_wait(varve_changes *changes, uint32_t timeout_ms);

VARVE_API void varve_changes_close(varve_changes *changes); /* NULL is fine */

/* --------------------------------------------------------------------------------------- care */

/* Makes everything written so far survive a power cut. */
VARVE_API int varve_sync(varve *db);

/* Writes the memtables out as tables, and returns when that is durable. */
VARVE_API int varve_flush(varve *db);

/* Rewrites the keys from `from` up to and including `to` (data NULL: open end) into the last
 * level, dropping what is overwritten or deleted. Reads and writes go on meanwhile. VARVE_BUSY
 * while compaction is paused; a pause that comes later holds it up. */
VARVE_API int varve_compact(varve *db, varve_slice from, varve_slice to);

/* Waits until no background work is left that the present data calls for. */
VARVE_API int varve_settle(varve *db);

/* Stops background compaction from starting new work (flushes go on), and lets it start again.
 * Calls nest; VARVE_INVALID for a resume without a pause. */
VARVE_API int varve_pause(varve *db);
VARVE_API int varve_resume(varve *db);

/* Brings a store that was opened read-only up to what its writer has made since, as of one moment.
 * Reads go on meanwhile and afterwards see the new state; open iterators stay at theirs. Never delays
 * the writer. Costs reading the MANIFEST and the log again: up to the size of the writer's memtables.
 * Through a handle for writing it does nothing. After a failure all is as before: VARVE_BUSY while
 * snapshots are open, or when the writer was faster a hundred times; VARVE_INVALID when there is a
 * new keyspace whose comparator was not given at open, or another store at the path. */
VARVE_API int varve_refresh(varve *db);

/* Reads and verifies every byte of the open store; as varve_check, for the files of now. */
VARVE_API int varve_verify(varve *db, varve_report *report, void *context);

/* ---------------------------------------------------------------------------- copies and backups */

/* Makes a copy of the store as it is now, in the directory `path`, which must not be there or be
 * empty; writers go on meanwhile. It holds all that was acknowledged before the call, and of what is
 * written during it a prefix. It is a store of its own, which opens at once: with the property "uuid"
 * changed, so that neither it nor files, backups or sequence numbers of it are ever taken for those of
 * the original. When the call returns it survives a power cut. After a crash meanwhile there is none;
 * what may be left is refused by varve_open (VARVE_FOREIGN), replaced by the next checkpoint to the
 * path, and removed by varve_destroy.
 *
 * Costs a flush, and a hard link for each file: the copy shares tables and value files with the
 * original until either is done with them, so it is no protection from a damaged disk (a backup is). On
 * another file system, and from a store in memory, files are copied.
 *
 * Errors: VARVE_EXISTS, VARVE_FOREIGN, VARVE_READONLY, VARVE_LOCKED (another one is being made there),
 * VARVE_FULL, VARVE_IO, VARVE_BUSY while keyspaces are made or dropped all the time. */
VARVE_API int varve_checkpoint(varve *db, const char *path);

/* Called during work on backups with the bytes done and to do, about four times in 16 MiB. A result
 * other than 0 ends the work as a failure does, and becomes its result. */
typedef int varve_progress(void *context, uint64_t done_bytes, uint64_t total_bytes);

typedef struct varve_backup_options {
    size_t size; /* sizeof(varve_backup_options) */
    varve_progress *progress;
    void *context;
} varve_backup_options;

#define VARVE_BACKUP_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(varve_backup_options), NULL, NULL                                                   \
    }

/* Adds a backup of the store as it is now to the directory `dir`, which is made if it is not there;
 * writers go on meanwhile. It holds what a checkpoint would. Files that the latest backup has are not
 * copied again, so it costs a flush, the reading and writing of what is new, and syncs. The backup is
 * there when the call returns 0, and survives a power cut; after a failure or crash it is not, and the
 * next call removes what is left of it. `*id` is its number, above all others in the directory; `id` and
 * `options` may be NULL. Several stores may share a directory. Errors: as varve_checkpoint, and
 * VARVE_LOCKED while somebody else works on the directory. */
VARVE_API int varve_backup_create(varve *db, const char *dir, const varve_backup_options *options,
                                  uint64_t *id);

typedef struct varve_backup_info {
    uint64_t id;
    uint64_t created_us;     /* wall clock, microseconds since 1970 */
    uint64_t sequence;       /* number of the latest change in it */
    uint64_t files, bytes;   /* of all it consists of */
    uint64_t copied_bytes;   /* of these, new with this backup */
    unsigned char store[16]; /* the store's UUID */
} varve_backup_info;

/* Called with each backup; a result other than 0 ends the listing and becomes its result. */
typedef int varve_backup_visit(void *context, const varve_backup_info *info);

/* All backups in the directory, oldest first. VARVE_MISSING if there is no directory; VARVE_CORRUPT,
 * after all others were shown, if the description of one is damaged. */
VARVE_API int varve_backup_list(const char *dir, varve_backup_visit *visit, void *context);

/* Reads and checks every byte of backup `id`, or of all when it is 0. `report` is called with a line
 * about each damage, which names file and offset, and then the result is VARVE_CORRUPT. A damaged file
 * under `files` may be removed: if the store still has it, the next backup copies it anew, and that
 * mends earlier ones. `options` and `report` may be NULL. Errors: VARVE_MISSING, VARVE_LOCKED. */
VARVE_API int varve_backup_verify(const char *dir, uint64_t id, const varve_backup_options *options,
                                  varve_report *report, void *context);

/* Makes a store of backup `id`, or of the newest when it is 0, in the directory `path`, which must not
 * be there or be empty. Every byte is checked on the way: VARVE_CORRUPT names file and offset of damage,
 * and nothing is left then. Durable when it returns; after a crash meanwhile as with varve_checkpoint.
 * The restored store is one of its own, with another UUID than the store that was backed up, so that
 * none of the numbers it gives from now on was ever given before. Errors: VARVE_MISSING, VARVE_EXISTS,
 * VARVE_FOREIGN, VARVE_LOCKED, VARVE_FULL, VARVE_IO. */
VARVE_API int varve_backup_restore(const char *dir, uint64_t id, const char *path,
                                   const varve_backup_options *options);

/* Removes all but the newest `keep` backups, at least 1, and the files that no other one needs. As long
 * as the description of one that stays is damaged, files stay, too. */
VARVE_API int varve_backup_purge(const char *dir, uint64_t keep);

#define VARVE_LEVELS     7
#define VARVE_TIME_SLOTS 32

/* Counters are since the store was opened; sizes and amounts are of now. */
typedef struct varve_stats {
    size_t size; /* set by the caller: sizeof(varve_stats) */

    uint64_t sequence;                /* number of the latest visible change */
    uint64_t keys_estimate;           /* live keys, estimated */
    uint64_t disk_bytes;              /* all files of the store */
    uint64_t table_bytes;             /* of these, tables */
    uint64_t value_log_bytes;         /* of these, value log */
    uint64_t value_log_garbage_bytes; /* of the value log, known to be dead */
    uint64_t log_bytes;               /* of these, write-ahead log and its spares */
    uint64_t live_bytes_estimate;     /* keys and values that are alive, uncompressed */

    uint64_t memory_budget;
    uint64_t memory_bytes; /* all of the below */
    uint64_t memtable_bytes, cache_bytes, table_memory_bytes, mapped_bytes, pinned_bytes,
        work_bytes;

    uint64_t puts, deletes, batches, gets, gets_found, seeks, nexts;
    uint64_t user_bytes_written; /* keys and values given to the store */
    uint64_t log_bytes_written, flush_bytes_written, compaction_bytes_read,
        compaction_bytes_written, value_log_bytes_written;
    uint64_t syncs, flushes, compactions, trivial_moves, value_log_collections;
    uint64_t cache_hits, cache_misses, filter_skips, table_reads;
    uint64_t stall_us;         /* time that writers were held back, summed */
    uint64_t stall_longest_us; /* the longest single wait */
    uint64_t debt_bytes;       /* compaction work that the present data calls for */

    uint64_t level_files[VARVE_LEVELS], level_bytes[VARVE_LEVELS];
    uint64_t snapshots, iterators;               /* open now */
    uint64_t put_us_p50, put_us_p99, put_us_max; /* of sampled writes */
    uint64_t get_us_p50, get_us_p99, get_us_max;
    /* The same as histograms: slot 0 counts calls under 1 µs, slot i those of 2^(i-1) µs up to below
     * 2^i, the last one all longer ones. */
    uint64_t put_us_slots[VARVE_TIME_SLOTS], get_us_slots[VARVE_TIME_SLOTS];

    /* In hundredths, since the store was opened or, the second, now; 0 where nothing is known yet. */
    uint64_t
        write_amplification_x100; /* bytes written to the device for each byte given to write */
    uint64_t space_amplification_x100; /* bytes on disk for each byte of live data, from 1 MiB on */
    uint64_t read_runs; /* sorted places that a lookup may have to ask: memtables aside */
} varve_stats;

VARVE_API int varve_get_stats(varve *db, varve_stats *out);

/* The same as a page of text, or as one JSON object; free it with varve_free. */
VARVE_API int varve_stats_text(varve *db, int json, char **out);

/* About how many bytes the keys from `from` up to, not including, `to` take up in tables, value log
 * and memtables (data NULL: open end), with what is overwritten and not yet collected. An estimate
 * at the cost of a few gets; values of 4 KiB and more count once they are flushed. Errors:
 * VARVE_TOOBIG, VARVE_CORRUPT, VARVE_IO. */
VARVE_API int varve_range_bytes(varve *db, varve_slice from, varve_slice to, uint64_t *out);

/* One named fact as text; free it with varve_free. Every field of varve_stats by its name, and:
 * "engine", "path", "uuid", "format", "options" (those in force, as varve_options_set takes them),
 * "levels" (a table of levels), "files" (one line a file). VARVE_NOTFOUND for other names. */
VARVE_API int varve_property(varve *db, const char *name, char **out);

#ifdef __cplusplus
}
#endif

#endif
