/*
 * Memory for a memtable: pieces from an arena, with the promise that what was reserved is there.
 *
 * Pieces come from a current region. When a reservation does not fit into what is left of it, a
 * next region is taken that can hold the whole reservation alone; the rest of the current one is
 * still used up by pieces that fit.
 *
 *      current  ████████████░░░        next  ░░░░░░░░░░░░░░░░░░░░░░
 */
#ifndef VV_LSM_MEMSPACE_H
#define VV_LSM_MEMSPACE_H

#include "base/arena.h"
#include "lsm/mempool.h"

struct vv_memregion {
    uint8_t *at;
    size_t left;
};

struct vv_memspace {
    struct vv_arena arena;
    struct vv_mempool *pool;    /* of the large regions; NULL: all are the arena's */
    struct vv_mempiece *pieces; /* what came from the pool */
    size_t pool_bytes;
    struct vv_memregion current;
    struct vv_memregion next;
    size_t region_bytes;        /* of the next region; doubles up to a limit */
    _Atomic(size_t) used_bytes; /* all but what the regions have left; relaxed, it only guides */
};

enum { VV_MEMSPACE_ALIGN_MAX = 64 };

/* `pool` may be NULL. */
void vv_memspace_init(struct vv_memspace *space, struct vv_account *account,
                      struct vv_mempool *pool);
void vv_memspace_deinit(struct vv_memspace *space);

/* Makes sure that the next pieces cannot fail while their sizes, each with its alignment less one
 * added, sum up to at most `need` bytes. */
VV_MUST int vv_memspace_reserve(struct vv_memspace *space, size_t need);

/* A piece that was reserved; what is in it is left from others. */
void *vv_memspace_take(struct vv_memspace *space, size_t size_bytes, size_t align);

static inline size_t vv_memspace_used(const struct vv_memspace *space)
{
    return atomic_load_explicit(&space->used_bytes, memory_order_relaxed);
}

#endif
