/*
 * Options, and the objects that they refer to.
 */
#include "internal.h"

#include <stdlib.h>

/* What LevelDB takes when a program does not say, and the least that varve is given. */
#define WRITE_BUFFER_SIZE ((uint64_t)4 << 20)
#define CACHE_CAPACITY    ((uint64_t)8 << 20)
#define BUDGET_LEAST      ((uint64_t)64 << 20)

/* ---- translation */

static int compare(void *context, varve_slice a, varve_slice b)
{
    const leveldb_comparator_t *c = context;
    return c->compare(c->state, a.data, a.size, b.data, b.size);
}

/* LevelDB has two write buffers, one that is filled and one that is written out, and beside its
 * cache it maps files without counting them: hence the lower limit. */
static uint64_t budget_of(const leveldb_options_t *options)
{
    if (options->write_buffer_size == 0 && options->cache == NULL)
        return 0;
    uint64_t buffer =
        options->write_buffer_size > 0 ? options->write_buffer_size : WRITE_BUFFER_SIZE;
    uint64_t cache = options->cache != NULL ? options->cache->capacity : CACHE_CAPACITY;
    const uint64_t most = INT64_MAX;
    if (buffer > most / 4 || cache > most / 2)
        return most;
    uint64_t budget = 2 * buffer + cache;
    return budget > BUDGET_LEAST ? budget : BUDGET_LEAST;
}

varve_options vv_leveldb_options(const leveldb_options_t *options, varve_comparator *order)
{
    varve_options out = VARVE_OPTIONS_INIT;
    out.mode = VARVE_MODE_EXISTING;
    if (options->create_if_missing)
        out.mode = options->error_if_exists ? VARVE_MODE_EXCLUSIVE : VARVE_MODE_CREATE;
    out.durability = VARVE_DURABILITY_OS;
    out.memory_budget = budget_of(options);
    if (options->uncompressed)
        out.compression = VARVE_COMPRESSION_NONE;
    if (options->comparator != NULL) {
        const leveldb_comparator_t *c = options->comparator;
        /* The context is not const; nobody writes through it. */
        *order = (varve_comparator){c->name(c->state), compare, (void *)(uintptr_t)c};
        out.comparator = order;
    }
    return out;
}

/* ---- options */

leveldb_options_t *leveldb_options_create(void)
{
    return vv_leveldb_new(sizeof(leveldb_options_t));
}

void leveldb_options_destroy(leveldb_options_t *options)
{
    free(options);
}

void leveldb_options_set_comparator(leveldb_options_t *options, leveldb_comparator_t *comparator)
{
    options->comparator = comparator;
}

void leveldb_options_set_create_if_missing(leveldb_options_t *options, uint8_t v)
{
    options->create_if_missing = v != 0;
}

void leveldb_options_set_error_if_exists(leveldb_options_t *options, uint8_t v)
{
    options->error_if_exists = v != 0;
}

void leveldb_options_set_write_buffer_size(leveldb_options_t *options, size_t size)
{
    options->write_buffer_size = size;
}

void leveldb_options_set_cache(leveldb_options_t *options, leveldb_cache_t *cache)
{
    options->cache = cache;
}

void leveldb_options_set_compression(leveldb_options_t *options, int level)
{
    options->uncompressed = level == leveldb_no_compression;
}

void leveldb_options_set_filter_policy(leveldb_options_t *options, leveldb_filterpolicy_t *policy)
{
    (void)options;
    (void)policy;
}

void leveldb_options_set_paranoid_checks(leveldb_options_t *options, uint8_t v)
{
    (void)options;
    (void)v;
}

void leveldb_options_set_env(leveldb_options_t *options, leveldb_env_t *env)
{
    (void)options;
    (void)env;
}

void leveldb_options_set_info_log(leveldb_options_t *options, leveldb_logger_t *log)
{
    (void)options;
    (void)log;
}

void leveldb_options_set_max_open_files(leveldb_options_t *options, int count)
{
    (void)options;
    (void)count;
}

void leveldb_options_set_block_size(leveldb_options_t *options, size_t size)
{
    (void)options;
    (void)size;
}

void leveldb_options_set_block_restart_interval(leveldb_options_t *options, int interval)
{
    (void)options;
    (void)interval;
}

void leveldb_options_set_max_file_size(leveldb_options_t *options, size_t size)
{
    (void)options;
    (void)size;
}

/* ---- options of reads and writes */

leveldb_readoptions_t *leveldb_readoptions_create(void)
{
    return vv_leveldb_new(sizeof(leveldb_readoptions_t));
}

void leveldb_readoptions_destroy(leveldb_readoptions_t *options)
{
    free(options);
}

void leveldb_readoptions_set_snapshot(leveldb_readoptions_t *options,
                                      const leveldb_snapshot_t *snapshot)
{
    options->snapshot = snapshot;
}

void leveldb_readoptions_set_verify_checksums(leveldb_readoptions_t *options, uint8_t v)
{
    (void)options;
    (void)v;
}

void leveldb_readoptions_set_fill_cache(leveldb_readoptions_t *options, uint8_t v)
{
    (void)options;
    (void)v;
}

leveldb_writeoptions_t *leveldb_writeoptions_create(void)
{
    return vv_leveldb_new(sizeof(leveldb_writeoptions_t));
}

void leveldb_writeoptions_destroy(leveldb_writeoptions_t *options)
{
    free(options);
}

void leveldb_writeoptions_set_sync(leveldb_writeoptions_t *options, uint8_t v)
{
    options->sync = v != 0;
}

/* ---- comparators */

leveldb_comparator_t *leveldb_comparator_create(void *state, void (*destructor)(void *state),
                                                int (*order)(void *state, const char *a,
                                                             size_t alen, const char *b,
                                                             size_t blen),
                                                const char *(*name)(void *state))
{
    leveldb_comparator_t *c = vv_leveldb_new(sizeof *c);
    *c = (leveldb_comparator_t){state, destructor, order, name};
    return c;
}

void leveldb_comparator_destroy(leveldb_comparator_t *comparator)
{
    comparator->destructor(comparator->state);
    free(comparator);
}

/* ---- filter policies */

struct leveldb_filterpolicy_t {
    void *state;
    void (*destructor)(void *state); /* NULL for the built-in one */
};

leveldb_filterpolicy_t *leveldb_filterpolicy_create(
    void *state, void (*destructor)(void *state),
    char *(*create_filter)(void *state, const char *const *key_array,
                           const size_t *key_length_array, int num_keys, size_t *filter_length),
    uint8_t (*key_may_match)(void *state, const char *key, size_t length, const char *filter,
                             size_t filter_length),
    const char *(*name)(void *state))
{
    leveldb_filterpolicy_t *policy = vv_leveldb_new(sizeof *policy);
    *policy = (leveldb_filterpolicy_t){state, destructor};
    (void)create_filter;
    (void)key_may_match;
    (void)name;
    return policy;
}

leveldb_filterpolicy_t *leveldb_filterpolicy_create_bloom(int bits_per_key)
{
    (void)bits_per_key;
    return vv_leveldb_new(sizeof(leveldb_filterpolicy_t));
}

void leveldb_filterpolicy_destroy(leveldb_filterpolicy_t *policy)
{
    if (policy->destructor != NULL)
        policy->destructor(policy->state);
    free(policy);
}

/* ---- caches */

leveldb_cache_t *leveldb_cache_create_lru(size_t capacity)
{
    leveldb_cache_t *cache = vv_leveldb_new(sizeof *cache);
    cache->capacity = capacity;
    return cache;
}

void leveldb_cache_destroy(leveldb_cache_t *cache)
{
    free(cache);
}
