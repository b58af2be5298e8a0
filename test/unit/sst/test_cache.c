/*
 * The block cache: it keeps what is asked for, within its capacity, whatever threads do.
 */
#include "harness/test.h"

#include "base/error.h"
#include "base/rng.h"
#include "env/thread.h"
#include "sst/cache.h"

enum { BLOCK = 1000 };

static void add(struct vv_cache *cache, struct vv_account *account, uint64_t file, uint64_t offset,
                enum vv_cache_class class)
{
    struct vv_block *block = vv_block_new(account, file, offset, BLOCK);
    CHECK(block != NULL);
    memset((uint8_t *)block->data, (int)(file + offset) & 0xff, BLOCK);
    vv_cache_add(cache, block, class);
    vv_block_unref(block);
}

static bool has(struct vv_cache *cache, uint64_t file, uint64_t offset)
{
    struct vv_block *block = vv_cache_get(cache, file, offset);
    if (block == NULL)
        return false;
    CHECK_EQ_U64(block->file, file);
    CHECK_EQ_U64(block->offset, offset);
    CHECK_EQ_INT(block->data[BLOCK - 1], (file + offset) & 0xff);
    vv_block_unref(block);
    return true;
}

static size_t used(struct vv_cache *cache)
{
    struct vv_cache_stats stats;
    vv_cache_get_stats(cache, &stats);
    return (size_t)stats.used_bytes;
}

TEST(a_cache_keeps_what_fits_and_no_more)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 100000, &cache));
    for (uint64_t i = 0; i < 50; i++)
        add(cache, &account, 1, i * 8, VV_CACHE_DATA);
    for (uint64_t i = 0; i < 50; i++)
        CHECK(has(cache, 1, i * 8));
    CHECK(!has(cache, 2, 8));
    for (uint64_t i = 0; i < 5000; i++) {
        add(cache, &account, 3, i * 8, VV_CACHE_DATA);
        CHECK(used(cache) <= 100000);
    }
    vv_cache_check(cache);
    CHECK_EQ_INT(vv_account_used(&account, VV_OWNER_CACHE), used(cache));
    CHECK_EQ_INT(vv_account_used(&account, VV_OWNER_WORK), 0);
    vv_cache_free(cache);
    CHECK_EQ_INT(vv_account_total(&account), 0);
}

TEST(one_long_scan_does_not_empty_the_cache)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 1 << 20, &cache));
    uint64_t wanted = 500;
    for (int round = 0; round < 4; round++)
        for (uint64_t i = 0; i < wanted; i++)
            if (!has(cache, 1, i * 8))
                add(cache, &account, 1, i * 8, VV_CACHE_DATA);
    for (uint64_t i = 0; i < 20000; i++)
        add(cache, &account, 2, i * 8, VV_CACHE_DATA);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < wanted; i++)
        kept += has(cache, 1, i * 8);
    CHECK(kept > wanted * 8 / 10);
    vv_cache_check(cache);
    vv_cache_free(cache);
}

TEST(index_blocks_outlast_data_blocks)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 1 << 20, &cache));
    for (uint64_t i = 0; i < 100; i++)
        add(cache, &account, 1, i * 8, VV_CACHE_INDEX);
    for (uint64_t i = 0; i < 10000; i++)
        add(cache, &account, 2, i * 8, VV_CACHE_DATA);
    for (uint64_t i = 0; i < 100; i++)
        CHECK(has(cache, 1, i * 8));
    vv_cache_free(cache);
}

TEST(a_key_that_comes_back_soon_enters_the_main_queue)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 200000, &cache));
    for (uint64_t i = 0; i < 400; i++)
        add(cache, &account, 1, i * 8, VV_CACHE_DATA);
    uint64_t first_kept = 0;
    while (!has(cache, 1, first_kept * 8))
        first_kept++;
    CHECK(first_kept > 0);
    uint64_t gone = (first_kept - 1) * 8;
    add(cache, &account, 1, gone, VV_CACHE_DATA);
    for (uint64_t i = 0; i < 1000; i++)
        add(cache, &account, 2, i * 8, VV_CACHE_DATA);
    CHECK(has(cache, 1, gone));
    vv_cache_check(cache);
    vv_cache_free(cache);
}

TEST(a_held_block_outlives_eviction_and_the_cache)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 10000, &cache));
    add(cache, &account, 1, 0, VV_CACHE_DATA);
    struct vv_block *held = vv_cache_get(cache, 1, 0);
    CHECK(held != NULL);
    for (uint64_t i = 1; i < 100; i++)
        add(cache, &account, 1, i * 8, VV_CACHE_DATA);
    CHECK(!has(cache, 1, 0));
    CHECK_EQ_INT(held->data[10], 1);
    CHECK_EQ_INT(vv_account_used(&account, VV_OWNER_PIN), held->charge_bytes);
    vv_cache_free(cache);
    CHECK_EQ_INT(held->data[10], 1);
    vv_block_unref(held);
    CHECK_EQ_INT(vv_account_total(&account), 0);
}

TEST(a_forgotten_file_is_gone_and_the_others_stay)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 64 << 20, &cache));
    for (uint64_t i = 0; i < 3000; i++) {
        add(cache, &account, 1, i * 8, VV_CACHE_DATA);
        add(cache, &account, 2, i * 8, VV_CACHE_INDEX);
    }
    vv_cache_forget(cache, 1);
    vv_cache_check(cache);
    for (uint64_t i = 0; i < 3000; i++) {
        CHECK(!has(cache, 1, i * 8));
        CHECK(has(cache, 2, i * 8));
    }
    vv_cache_free(cache);
}

TEST(capacity_may_change_at_any_time)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    CHECK_OK(vv_cache_new(&account, 0, &cache));
    add(cache, &account, 1, 0, VV_CACHE_DATA);
    CHECK(!has(cache, 1, 0));
    vv_cache_set_capacity(cache, 4 << 20);
    for (uint64_t i = 0; i < 2000; i++)
        add(cache, &account, 1, i * 8, i % 3 == 0 ? VV_CACHE_INDEX : VV_CACHE_DATA);
    CHECK(used(cache) > 2000 * BLOCK);
    vv_cache_check(cache);
    vv_cache_set_capacity(cache, 1 << 20);
    CHECK(used(cache) <= 1 << 20);
    vv_cache_check(cache);
    vv_cache_set_capacity(cache, 0);
    CHECK_EQ_INT(used(cache), 0);
    vv_cache_free(cache);
    CHECK_EQ_INT(vv_account_total(&account), 0);
}

TEST(a_cache_without_memory_fails_cleanly)
{
    for (uint64_t n = 1; n <= 4; n++) {
        struct vv_account account = {0};
        struct vv_cache *cache = NULL;
        vv_alloc_fail_at(n);
        CHECK_RC(vv_cache_new(&account, 1 << 20, &cache), VV_NOMEM);
        vv_alloc_fail_at(0);
        CHECK(cache == NULL);
    }
    struct vv_account account = {0};
    vv_alloc_fail_at(1);
    CHECK(vv_block_new(&account, 1, 2, 3) == NULL);
    vv_alloc_fail_at(0);
    CHECK_EQ_INT(vv_account_total(&account), 0);
}

struct worker {
    struct vv_cache *cache;
    struct vv_account *account;
    uint64_t seed;
};

static void work(void *arg)
{
    const struct worker *w = arg;
    struct vv_rng rng = vv_rng_of(w->seed);
    for (int i = 0; i < 30000; i++) {
        uint64_t file = vv_rng_below(&rng, 4);
        uint64_t offset = vv_rng_below(&rng, 300) * 8;
        if (!has(w->cache, file, offset))
            add(w->cache, w->account, file, offset,
                vv_rng_one_in(&rng, 8) ? VV_CACHE_INDEX : VV_CACHE_DATA);
        if (vv_rng_one_in(&rng, 5000))
            vv_cache_forget(w->cache, file);
        if (vv_rng_one_in(&rng, 5000))
            vv_cache_set_capacity(w->cache, 100000 + (size_t)vv_rng_below(&rng, 500000));
        if (vv_rng_one_in(&rng, 5000))
            vv_cache_check(w->cache);
    }
}

TEST(threads_share_a_cache)
{
    struct vv_account account = {0};
    struct vv_cache *cache = NULL;
    struct worker workers[4];
    struct vv_thread *threads[4];
    CHECK_OK(vv_cache_new(&account, 300000, &cache));
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){cache, &account, test_seed() + i};
        CHECK_OK(vv_thread_start("cache", 0, work, &workers[i], &threads[i]));
    }
    for (size_t i = 0; i < 4; i++)
        vv_thread_join(threads[i]);
    vv_cache_check(cache);
    vv_cache_free(cache);
    CHECK_EQ_INT(vv_account_total(&account), 0);
}
