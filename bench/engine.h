/*
 * What the bench asks of a store. Each adapter (varve.c, rocksdb.c, leveldb.c, lmdb.c) fills one
 * struct of functions; nothing else in the bench knows which store it drives.
 *
 * Functions return 0, or BENCH_ABSENT or BENCH_CONFLICT where that is an answer, or BENCH_FAILED after telling why
 * with bench_complain.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_FAILED = -1, BENCH_ABSENT = 1, BENCH_CONFLICT = 2 };

struct bench_slice {
    const void *data;
    size_t size;
};

struct bench_engine_config {
    const char *dir;       /* exists and is empty */
    uint64_t memory_bytes; /* for write buffers and caches together */
    uint64_t raw_bytes;    /* keys and values that will be there, for engines that ask */
    bool sync;             /* each write is on the device before its call returns; otherwise it
                              survives a killed process */
    bool lz4;
    bool transactions; /* transact will be called */
    bool counters;     /* add will be called */
};

enum bench_move { BENCH_FIRST, BENCH_LAST, BENCH_SEEK, BENCH_NEXT, BENCH_PREV };

struct bench_engine {
    const char *name;
    bool can_lz4;

    /* Writes the version, and the settings for a configuration, as text. */
    void (*describe)(const struct bench_engine_config *config, char *version, size_t version_size,
                     char *settings, size_t settings_size);

    int (*open)(const struct bench_engine_config *config, void **store);
    void (*close)(void *store);

    /* A thread's way in. All of the below belong to one thread at a time. */
    int (*session_open)(void *store, void **session);
    void (*session_close)(void *session);

    int (*put)(void *session, struct bench_slice key, struct bench_slice value);
    /* All or nothing. */
    int (*put_many)(void *session, const struct bench_slice *keys, const struct bench_slice *values,
                    size_t count);
    int (*remove)(void *session, struct bench_slice key);
    /* One transaction that reads two records for update and writes them anew. BENCH_CONFLICT when
     * somebody else did meanwhile: then nothing happened. NULL if the engine has no transactions. */
    int (*transact)(void *session, const struct bench_slice keys[2],
                    const struct bench_slice values[2]);

    /* Adds to the counter of 8 bytes, little-endian, by a merge that does not read; a key without a
     * value is 0. NULL if the engine has no such merges. */
    int (*add)(void *session, struct bench_slice key, uint64_t number);

    /* The value stays valid until the next call on the session. BENCH_ABSENT if there is none. */
    int (*get)(void *session, struct bench_slice key, struct bench_slice *value);

    /* One scan a session, over one moment. scan_move gives the entry it arrives at, valid until the
     * next move, or BENCH_ABSENT at the end. `target` is for BENCH_SEEK. */
    int (*scan_open)(void *session);
    int (*scan_move)(void *session, enum bench_move move, struct bench_slice target,
                     struct bench_slice *key, struct bench_slice *value);
    void (*scan_close)(void *session);
};

extern const struct bench_engine bench_engine_varve;
extern const struct bench_engine bench_engine_rocksdb; /* if BENCH_HAVE_ROCKSDB, and so on */
extern const struct bench_engine bench_engine_leveldb;
extern const struct bench_engine bench_engine_lmdb;

/* One line to stderr. */
void bench_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
