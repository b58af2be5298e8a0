#include "lsm/memspace.h"

#include "base/error.h"

/* The arena puts its own head in front of a region; together they are whole pages. */
enum {
    ARENA_HEAD = 64,
    REGION_BYTES_FIRST = 16 << 10,
    REGION_BYTES_MAX = VV_MEMPOOL_REGION_BYTES,
    LEFT_GIVEN_UP = 4 << 10
};

/* At the beginning of each region from the pool. */
struct vv_mempiece {
    struct vv_mempiece *next;
};

void vv_memspace_init(struct vv_memspace *space, struct vv_account *account,
                      struct vv_mempool *pool)
{
    *space = (struct vv_memspace){.pool = pool, .region_bytes = REGION_BYTES_FIRST};
    vv_mempool_ref(pool);
    vv_arena_init(&space->arena, account, VV_OWNER_MEMTABLE);
}

void vv_memspace_deinit(struct vv_memspace *space)
{
    while (space->pieces != NULL) {
        struct vv_mempiece *piece = space->pieces;
        space->pieces = piece->next;
        vv_mempool_give(space->pool, piece);
    }
    vv_arena_deinit(&space->arena);
    vv_mempool_unref(space->pool);
    space->pool = NULL;
}

static uint8_t *take_from_pool(struct vv_memspace *space)
{
    struct vv_mempiece *piece = vv_mempool_take(space->pool);
    if (piece == NULL)
        return NULL;
    piece->next = space->pieces;
    space->pieces = piece;
    space->pool_bytes += VV_MEMPOOL_REGION_BYTES;
    return (uint8_t *)piece + ARENA_HEAD;
}

static int region_add(struct vv_memspace *space, size_t need)
{
    /* A large reservation gets its exact size, or half a region might go to waste with each. */
    size_t size_bytes = space->region_bytes - ARENA_HEAD;
    bool is_usual = need <= size_bytes / 4;
    uint8_t *at;
    if (!is_usual)
        size_bytes = (need | (VV_MEMSPACE_ALIGN_MAX - 1)) + 1;
    if (is_usual && space->pool != NULL && space->region_bytes == VV_MEMPOOL_REGION_BYTES)
        at = take_from_pool(space);
    else
        at = vv_arena_alloc(&space->arena, size_bytes, VV_MEMSPACE_ALIGN_MAX);
    if (at == NULL)
        return VV_NOMEM;
    if (space->region_bytes < REGION_BYTES_MAX)
        space->region_bytes *= 2;
    if (space->next.left > space->current.left)
        space->current = space->next;
    space->next = (struct vv_memregion){at, size_bytes};
    return VV_OK;
}

int vv_memspace_reserve(struct vv_memspace *space, size_t need)
{
    if (VV_LIKELY(need <= space->current.left || need <= space->next.left))
        return VV_OK;
    if (need > SIZE_MAX / 2)
        return vv_fail(VV_NOMEM, "cannot reserve %zu bytes", need);
    return region_add(space, need);
}

static void *region_take(struct vv_memregion *region, size_t size_bytes, size_t align)
{
    size_t skip = (size_t)(-(uintptr_t)region->at) & (align - 1);
    if (skip > region->left || size_bytes > region->left - skip)
        return NULL;
    void *piece = region->at + skip;
    region->at += skip + size_bytes;
    region->left -= skip + size_bytes;
    return piece;
}

static void used_store(struct vv_memspace *space)
{
    size_t left = space->current.left + space->next.left;
    atomic_store_explicit(&space->used_bytes,
                          vv_arena_used(&space->arena) + space->pool_bytes - left,
                          memory_order_relaxed);
}

void *vv_memspace_take(struct vv_memspace *space, size_t size_bytes, size_t align)
{
    void *piece = region_take(&space->current, size_bytes, align);
    if (VV_UNLIKELY(piece == NULL)) {
        piece = region_take(&space->next, size_bytes, align);
        vv_assert(piece != NULL);
        /* What is left of the current region is given up, unless it was only this piece that was
         * too large. */
        if (space->current.left <= LEFT_GIVEN_UP || space->current.left < space->next.left / 8) {
            space->current = space->next;
            space->next = (struct vv_memregion){NULL, 0};
        }
    }
    used_store(space);
    return piece;
}
