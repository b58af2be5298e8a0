/*
 * LevelDB's C API, version 1.23, on a varve store.
 *
 * The names, types and semantics are LevelDB's, so that a program written for it needs no change
 * but to be linked again. The files are varve's: a store that LevelDB wrote is refused by name.
 *
 * Errors. A function that can fail takes `char **errptr`. *errptr must be NULL or a text from
 * malloc. Success leaves it as it is; failure frees what was there and sets a new text, which
 * begins with "Corruption: ", "Not implemented: ", "Invalid argument: " or
 * "IO error: ". Constructors cannot fail; without memory they end the process, as LevelDB does.
 *
 * Ownership. What a function returns as `char *` is the caller's: free it with leveldb_free (or
 * free). Objects are created and destroyed in pairs. Options are read during the call that they
 * are given to; a comparator must outlive every database opened with it.
 *
 * Threads. A database may be used from any threads at once. Iterators, batches and options belong
 * to one thread at a time.
 *
 * What is different:
 *   - keys are at most 65,536 bytes, values 1 GiB, a batch 2 GiB: more is "Invalid argument";
 *   - a comparator must tell all different keys apart, and its name has at most 255 bytes;
 *   - a database is not created in a directory that holds other things;
 *   - settings that varve has no use for are accepted and have no effect: they say so below.
 */
#ifndef VARVE_COMPAT_LEVELDB_C_H
#define VARVE_COMPAT_LEVELDB_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef LEVELDB_EXPORT
#if defined(__GNUC__)
#define LEVELDB_EXPORT __attribute__((visibility("default")))
#else
#define LEVELDB_EXPORT
#endif
#endif

typedef struct leveldb_t leveldb_t;
typedef struct leveldb_cache_t leveldb_cache_t;
typedef struct leveldb_comparator_t leveldb_comparator_t;
typedef struct leveldb_env_t leveldb_env_t;
typedef struct leveldb_filelock_t leveldb_filelock_t;
typedef struct leveldb_filterpolicy_t leveldb_filterpolicy_t;
typedef struct leveldb_iterator_t leveldb_iterator_t;
typedef struct leveldb_logger_t leveldb_logger_t;
typedef struct leveldb_options_t leveldb_options_t;
typedef struct leveldb_randomfile_t leveldb_randomfile_t;
typedef struct leveldb_readoptions_t leveldb_readoptions_t;
typedef struct leveldb_seqfile_t leveldb_seqfile_t;
typedef struct leveldb_snapshot_t leveldb_snapshot_t;
typedef struct leveldb_writablefile_t leveldb_writablefile_t;
typedef struct leveldb_writebatch_t leveldb_writebatch_t;
typedef struct leveldb_writeoptions_t leveldb_writeoptions_t;

/* ----------------------------------------------------------------------------------- database */

/* NULL after a failure. */
LEVELDB_EXPORT leveldb_t *leveldb_open(const leveldb_options_t *options, const char *name,
                                       char **errptr);
LEVELDB_EXPORT void leveldb_close(leveldb_t *db);

/* A write returns when it is with the operating system, and so survives a killed process; with
 * `sync`, when it is on the device, together with all that were before it. */
LEVELDB_EXPORT void leveldb_put(leveldb_t *db, const leveldb_writeoptions_t *options,
                                const char *key, size_t keylen, const char *val, size_t vallen,
                                char **errptr);
LEVELDB_EXPORT void leveldb_delete(leveldb_t *db, const leveldb_writeoptions_t *options,
                                   const char *key, size_t keylen, char **errptr);
/* All of the batch or nothing. A change that the batch could not take (too large, no memory) fails
 * here, and then nothing of the batch is written. */
LEVELDB_EXPORT void leveldb_write(leveldb_t *db, const leveldb_writeoptions_t *options,
                                  leveldb_writebatch_t *batch, char **errptr);

/* A copy of the value, of *vallen bytes; NULL if there is none, which is no error. */
LEVELDB_EXPORT char *leveldb_get(leveldb_t *db, const leveldb_readoptions_t *options,
                                 const char *key, size_t keylen, size_t *vallen, char **errptr);

/* Never NULL; a failure to open it is told by leveldb_iter_get_error. */
LEVELDB_EXPORT leveldb_iterator_t *leveldb_create_iterator(leveldb_t *db,
                                                           const leveldb_readoptions_t *options);

LEVELDB_EXPORT const leveldb_snapshot_t *leveldb_create_snapshot(leveldb_t *db);
LEVELDB_EXPORT void leveldb_release_snapshot(leveldb_t *db, const leveldb_snapshot_t *snapshot);

/* "leveldb.num-files-at-level<N>", "leveldb.stats", "leveldb.sstables" or
 * "leveldb.approximate-memory-usage"; NULL for other names. */
LEVELDB_EXPORT char *leveldb_property_value(leveldb_t *db, const char *propname);

/* About how many bytes each range [start, limit) takes up, memtables included. */
LEVELDB_EXPORT void leveldb_approximate_sizes(leveldb_t *db, int num_ranges,
                                              const char *const *range_start_key,
                                              const size_t *range_start_key_len,
                                              const char *const *range_limit_key,
                                              const size_t *range_limit_key_len, uint64_t *sizes);

/* Both ends belong to the range; NULL is an open end. */
LEVELDB_EXPORT void leveldb_compact_range(leveldb_t *db, const char *start_key,
                                          size_t start_key_len, const char *limit_key,
                                          size_t limit_key_len);

/* Success also when there is no database at that path. */
LEVELDB_EXPORT void leveldb_destroy_db(const leveldb_options_t *options, const char *name,
                                       char **errptr);
LEVELDB_EXPORT void leveldb_repair_db(const leveldb_options_t *options, const char *name,
                                      char **errptr);

/* ----------------------------------------------------------------------------------- iterator */

/* A new iterator is not valid until it is moved. next and prev require a valid one. */
LEVELDB_EXPORT void leveldb_iter_destroy(leveldb_iterator_t *it);
LEVELDB_EXPORT uint8_t leveldb_iter_valid(const leveldb_iterator_t *it);
LEVELDB_EXPORT void leveldb_iter_seek_to_first(leveldb_iterator_t *it);
LEVELDB_EXPORT void leveldb_iter_seek_to_last(leveldb_iterator_t *it);
LEVELDB_EXPORT void leveldb_iter_seek(leveldb_iterator_t *it, const char *k, size_t klen);
LEVELDB_EXPORT void leveldb_iter_next(leveldb_iterator_t *it);
LEVELDB_EXPORT void leveldb_iter_prev(leveldb_iterator_t *it);
/* Valid until the next move. */
LEVELDB_EXPORT const char *leveldb_iter_key(const leveldb_iterator_t *it, size_t *klen);
LEVELDB_EXPORT const char *leveldb_iter_value(const leveldb_iterator_t *it, size_t *vlen);
/* The first failure in the iterator's life. */
LEVELDB_EXPORT void leveldb_iter_get_error(const leveldb_iterator_t *it, char **errptr);

/* -------------------------------------------------------------------------------- write batch */

LEVELDB_EXPORT leveldb_writebatch_t *leveldb_writebatch_create(void);
LEVELDB_EXPORT void leveldb_writebatch_destroy(leveldb_writebatch_t *batch);
LEVELDB_EXPORT void leveldb_writebatch_clear(leveldb_writebatch_t *batch);
LEVELDB_EXPORT void leveldb_writebatch_put(leveldb_writebatch_t *batch, const char *key,
                                           size_t klen, const char *val, size_t vlen);
LEVELDB_EXPORT void leveldb_writebatch_delete(leveldb_writebatch_t *batch, const char *key,
                                              size_t klen);
LEVELDB_EXPORT void leveldb_writebatch_iterate(const leveldb_writebatch_t *batch, void *state,
                                               void (*put)(void *state, const char *k, size_t klen,
                                                           const char *v, size_t vlen),
                                               void (*deleted)(void *state, const char *k,
                                                               size_t klen));
LEVELDB_EXPORT void leveldb_writebatch_append(leveldb_writebatch_t *destination,
                                              const leveldb_writebatch_t *source);

/* ------------------------------------------------------------------------------------ options */

LEVELDB_EXPORT leveldb_options_t *leveldb_options_create(void);
LEVELDB_EXPORT void leveldb_options_destroy(leveldb_options_t *options);
LEVELDB_EXPORT void leveldb_options_set_comparator(leveldb_options_t *options,
                                                   leveldb_comparator_t *comparator);
LEVELDB_EXPORT void leveldb_options_set_create_if_missing(leveldb_options_t *options, uint8_t v);
LEVELDB_EXPORT void leveldb_options_set_error_if_exists(leveldb_options_t *options, uint8_t v);
/* The memory that may be used is that of two write buffers and the cache, but at least 64 MiB; if
 * neither is set, varve's own default. */
LEVELDB_EXPORT void leveldb_options_set_write_buffer_size(leveldb_options_t *options, size_t size);
LEVELDB_EXPORT void leveldb_options_set_cache(leveldb_options_t *options, leveldb_cache_t *cache);

enum { leveldb_no_compression = 0, leveldb_snappy_compression = 1 };
/* Anything but leveldb_no_compression is varve's own choice of codecs. */
LEVELDB_EXPORT void leveldb_options_set_compression(leveldb_options_t *options, int level);

/* Without effect: filters are always there and always varve's, everything is always verified, and
 * the rest has no counterpart. */
LEVELDB_EXPORT void leveldb_options_set_filter_policy(leveldb_options_t *options,
                                                      leveldb_filterpolicy_t *policy);
LEVELDB_EXPORT void leveldb_options_set_paranoid_checks(leveldb_options_t *options, uint8_t v);
LEVELDB_EXPORT void leveldb_options_set_env(leveldb_options_t *options, leveldb_env_t *env);
LEVELDB_EXPORT void leveldb_options_set_info_log(leveldb_options_t *options, leveldb_logger_t *log);
LEVELDB_EXPORT void leveldb_options_set_max_open_files(leveldb_options_t *options, int count);
LEVELDB_EXPORT void leveldb_options_set_block_size(leveldb_options_t *options, size_t size);
LEVELDB_EXPORT void leveldb_options_set_block_restart_interval(leveldb_options_t *options,
                                                               int interval);
LEVELDB_EXPORT void leveldb_options_set_max_file_size(leveldb_options_t *options, size_t size);

/* --------------------------------------------------------------- comparators, filters, options */

LEVELDB_EXPORT leveldb_comparator_t *leveldb_comparator_create(
    void *state, void (*destructor)(void *state),
    int (*compare)(void *state, const char *a, size_t alen, const char *b, size_t blen),
    const char *(*name)(void *state));
LEVELDB_EXPORT void leveldb_comparator_destroy(leveldb_comparator_t *comparator);

/* A policy is accepted and its functions, but for the destructor, are never called. */
LEVELDB_EXPORT leveldb_filterpolicy_t *leveldb_filterpolicy_create(
    void *state, void (*destructor)(void *state),
    char *(*create_filter)(void *state, const char *const *key_array,
                           const size_t *key_length_array, int num_keys, size_t *filter_length),
    uint8_t (*key_may_match)(void *state, const char *key, size_t length, const char *filter,
                             size_t filter_length),
    const char *(*name)(void *state));
LEVELDB_EXPORT void leveldb_filterpolicy_destroy(leveldb_filterpolicy_t *policy);
LEVELDB_EXPORT leveldb_filterpolicy_t *leveldb_filterpolicy_create_bloom(int bits_per_key);

LEVELDB_EXPORT leveldb_readoptions_t *leveldb_readoptions_create(void);
LEVELDB_EXPORT void leveldb_readoptions_destroy(leveldb_readoptions_t *options);
LEVELDB_EXPORT void leveldb_readoptions_set_snapshot(leveldb_readoptions_t *options,
                                                     const leveldb_snapshot_t *snapshot);
/* Without effect. */
LEVELDB_EXPORT void leveldb_readoptions_set_verify_checksums(leveldb_readoptions_t *options,
                                                             uint8_t v);
LEVELDB_EXPORT void leveldb_readoptions_set_fill_cache(leveldb_readoptions_t *options, uint8_t v);

LEVELDB_EXPORT leveldb_writeoptions_t *leveldb_writeoptions_create(void);
LEVELDB_EXPORT void leveldb_writeoptions_destroy(leveldb_writeoptions_t *options);
LEVELDB_EXPORT void leveldb_writeoptions_set_sync(leveldb_writeoptions_t *options, uint8_t v);

/* A cache is a number of bytes here. Each database that it is given to may use as much. */
LEVELDB_EXPORT leveldb_cache_t *leveldb_cache_create_lru(size_t capacity);
LEVELDB_EXPORT void leveldb_cache_destroy(leveldb_cache_t *cache);

LEVELDB_EXPORT leveldb_env_t *leveldb_create_default_env(void);
LEVELDB_EXPORT void leveldb_env_destroy(leveldb_env_t *env);
/* $TEST_TMPDIR, or a directory in /tmp that is made for the user; free it with leveldb_free. */
LEVELDB_EXPORT char *leveldb_env_get_test_directory(leveldb_env_t *env);

/* ------------------------------------------------------------------------------ miscellaneous */

LEVELDB_EXPORT void leveldb_free(void *ptr);
/* Of LevelDB: 1 and 23. */
LEVELDB_EXPORT int leveldb_major_version(void);
LEVELDB_EXPORT int leveldb_minor_version(void);

#ifdef __cplusplus
}
#endif

#endif
