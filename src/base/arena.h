/*
 * Memory that is given out piece by piece and freed all at once. One thread allocates; pieces may
 * be read by any thread that learned of them through a release store.
 */
#ifndef VV_BASE_ARENA_H
#define VV_BASE_ARENA_H

#include "base/alloc.h"

struct vv_arena_chunk;

struct vv_arena {
    struct vv_account *account;
    enum vv_owner owner;
    struct vv_arena_chunk *chunks; /* newest first */
    uint8_t *at;
    size_t left;
    size_t chunk_bytes;         /* size of the next chunk; doubles up to the limit */
    _Atomic(size_t) used_bytes; /* of all chunks; readable by any thread */
};

/* Charges its chunks to `account` under `owner`; takes no memory yet. */
void vv_arena_init(struct vv_arena *arena, struct vv_account *account, enum vv_owner owner);
void vv_arena_deinit(struct vv_arena *arena);

/* Memory aligned to `align`, a power of two of at most 64; NULL, with a story, when memory is
 * out. */
VV_MUST void *vv_arena_alloc(struct vv_arena *arena, size_t size_bytes, size_t align);

static inline size_t vv_arena_used(const struct vv_arena *arena)
{
    return atomic_load_explicit(&arena->used_bytes, memory_order_relaxed);
}

#endif
