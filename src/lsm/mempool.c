#include "lsm/mempool.h"

#include "base/error.h"
#include "env/thread.h"

enum { RANK_POOL = 930 };

/* Stands at the beginning of a kept region. */
struct kept {
    struct kept *next;
};

struct vv_mempool {
    struct vv_account *account; /* constant, like the next */
    size_t keep_max;            /* regions */
    _Atomic(uint32_t) refs;

    struct vv_mutex mu; /* protects all below; rank 930 */
    struct kept *kept;
    size_t kept_count;
};

int vv_mempool_new(struct vv_account *account, size_t keep_bytes, struct vv_mempool **out)
{
    struct vv_mempool *pool = vv_alloc_zero(sizeof *pool);
    if (pool == NULL)
        return VV_NOMEM;
    pool->account = account;
    pool->keep_max = keep_bytes / VV_MEMPOOL_REGION_BYTES;
    atomic_init(&pool->refs, 1);
    vv_mutex_init(&pool->mu, RANK_POOL);
    *out = pool;
    return VV_OK;
}

void vv_mempool_ref(struct vv_mempool *pool)
{
    /* Relaxed: who takes one more holds one already. */
    if (pool != NULL)
        (void)atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
}

void vv_mempool_unref(struct vv_mempool *pool)
{
    if (pool == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before > 1)
        return;
    while (vv_mempool_shrink(pool))
        continue;
    vv_mutex_deinit(&pool->mu);
    vv_free(pool);
}

static struct kept *pop(struct vv_mempool *pool)
{
    vv_mutex_lock(&pool->mu);
    struct kept *region = pool->kept;
    if (region != NULL) {
        pool->kept = region->next;
        pool->kept_count--;
    }
    vv_mutex_unlock(&pool->mu);
    return region;
}

static void unmap(struct vv_mempool *pool, void *region)
{
    vv_pages_free(region, VV_MEMPOOL_REGION_BYTES);
    vv_account_release(pool->account, VV_OWNER_MEMTABLE, VV_MEMPOOL_REGION_BYTES);
}

void *vv_mempool_take(struct vv_mempool *pool)
{
    void *region = pop(pool);
    if (region != NULL)
        return region;
    region = vv_pages_alloc(VV_MEMPOOL_REGION_BYTES);
    if (region != NULL)
        vv_account_charge(pool->account, VV_OWNER_MEMTABLE, VV_MEMPOOL_REGION_BYTES);
    return region;
}

void vv_mempool_give(struct vv_mempool *pool, void *region)
{
    struct kept *kept = region;
    vv_mutex_lock(&pool->mu);
    bool keeps = pool->kept_count < pool->keep_max;
    if (keeps) {
        kept->next = pool->kept;
        pool->kept = kept;
        pool->kept_count++;
    }
    vv_mutex_unlock(&pool->mu);
    if (!keeps)
        unmap(pool, region);
}

bool vv_mempool_shrink(struct vv_mempool *pool)
{
    struct kept *region = pop(pool);
    if (region != NULL)
        unmap(pool, region);
    return region != NULL;
}
