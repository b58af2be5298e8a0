/*
 * Memory for memtables: kept within its bound, given out again, and never lost.
 */
#include "base/error.h"
#include "harness/test.h"
#include "kv/order.h"
#include "lsm/memtable.h"

enum { REGION = VV_MEMPOOL_REGION_BYTES, REGIONS = 5, KEPT = 3 };

static size_t used(const struct vv_account *account)
{
    return vv_account_used(account, VV_OWNER_MEMTABLE);
}

TEST(what_is_given_back_is_kept_up_to_the_bound)
{
    struct vv_account account = {0};
    struct vv_mempool *pool;
    void *regions[REGIONS];
    CHECK_OK(vv_mempool_new(&account, KEPT * REGION, &pool));
    for (int i = 0; i < REGIONS; i++) {
        CHECK((regions[i] = vv_mempool_take(pool)) != NULL);
        memset(regions[i], i + 1, REGION);
    }
    CHECK_EQ_U64(used(&account), REGIONS * REGION);
    for (int i = 0; i < REGIONS; i++)
        vv_mempool_give(pool, regions[i]);
    CHECK_EQ_U64(used(&account), KEPT * REGION);
    CHECK((regions[0] = vv_mempool_take(pool)) != NULL);
    CHECK_EQ_U64(used(&account), KEPT * REGION);
    CHECK(vv_mempool_shrink(pool));
    CHECK_EQ_U64(used(&account), (KEPT - 1) * REGION);
    vv_mempool_give(pool, regions[0]);
    vv_mempool_unref(pool);
    CHECK_EQ_U64(used(&account), 0);
}

static void fill(struct vv_memtable *m, uint64_t seed)
{
    uint8_t value[1000];
    for (uint64_t i = 0; i < 4000; i++) {
        uint64_t key = (i + seed) * 0x9e3779b97f4a7c15u;
        memset(value, (int)(key & 255), sizeof value);
        struct vv_entry entry = {vv_slice_of(&key, sizeof key), vv_slice_of(value, sizeof value),
                                 i + 1, VV_KIND_PUT};
        CHECK_OK(vv_memtable_insert(m, &entry));
    }
}

TEST(a_memtable_in_used_memory_is_as_good_as_new)
{
    struct vv_account account = {0};
    struct vv_order order = {.name = NULL};
    struct vv_mempool *pool;
    CHECK_OK(vv_mempool_new(&account, 16 * REGION, &pool));
    size_t kept = 0;
    for (uint64_t life = 0; life < 3; life++) {
        struct vv_memtable *m;
        CHECK_OK(vv_memtable_new_from(&order, &account, pool, &m));
        fill(m, life * 77777);
        vv_memtable_check(m);
        vv_memtable_unref(m);
        CHECK(life == 0 || used(&account) == kept);
        kept = used(&account);
        CHECK(kept >= 2 * REGION);
    }
    vv_mempool_unref(pool);
    CHECK_EQ_U64(used(&account), 0);
}

TEST(a_memtable_that_outlives_the_tree_keeps_its_pool)
{
    struct vv_account account = {0};
    struct vv_order order = {.name = NULL};
    struct vv_mempool *pool;
    struct vv_memtable *m;
    CHECK_OK(vv_mempool_new(&account, 16 * REGION, &pool));
    CHECK_OK(vv_memtable_new_from(&order, &account, pool, &m));
    fill(m, 1);
    vv_mempool_unref(pool);
    vv_memtable_check(m);
    vv_memtable_unref(m);
    CHECK_EQ_U64(used(&account), 0);
}
