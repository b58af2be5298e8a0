#include "base/arena.h"

#include "base/error.h"

enum { CHUNK_BYTES_FIRST = 16 << 10, CHUNK_BYTES_MAX = 1 << 20, CHUNK_HEAD = 64 };

/* Sits in the first CHUNK_HEAD bytes of its own pages. */
struct vv_arena_chunk {
    struct vv_arena_chunk *next;
    size_t size_bytes;
};

void vv_arena_init(struct vv_arena *arena, struct vv_account *account, enum vv_owner owner)
{
    *arena =
        (struct vv_arena){.account = account, .owner = owner, .chunk_bytes = CHUNK_BYTES_FIRST};
}

void vv_arena_deinit(struct vv_arena *arena)
{
    while (arena->chunks != NULL) {
        struct vv_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        vv_account_release(arena->account, arena->owner, chunk->size_bytes);
        vv_pages_free(chunk, chunk->size_bytes);
    }
    vv_arena_init(arena, arena->account, arena->owner);
}

static struct vv_arena_chunk *chunk_new(struct vv_arena *arena, size_t size_bytes)
{
    struct vv_arena_chunk *chunk = vv_pages_alloc(size_bytes);
    if (chunk == NULL)
        return NULL;
    chunk->next = arena->chunks;
    chunk->size_bytes = size_bytes;
    arena->chunks = chunk;
    vv_account_charge(arena->account, arena->owner, size_bytes);
    (void)atomic_fetch_add_explicit(&arena->used_bytes, size_bytes, memory_order_relaxed);
    return chunk;
}

/* A piece too large to share a chunk gets its own, and the current chunk stays in use. */
static void *alloc_alone(struct vv_arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - CHUNK_HEAD - 4096) {
        (void)vv_fail(VV_NOMEM, "cannot allocate %zu bytes", size_bytes);
        return NULL;
    }
    size_t whole = (size_bytes + CHUNK_HEAD + 4095) & ~(size_t)4095;
    struct vv_arena_chunk *chunk = chunk_new(arena, whole);
    return chunk == NULL ? NULL : (uint8_t *)chunk + CHUNK_HEAD;
}

void *vv_arena_alloc(struct vv_arena *arena, size_t size_bytes, size_t align)
{
    vv_assert(align > 0 && align <= CHUNK_HEAD && (align & (align - 1)) == 0);
    size_t skip = (size_t)(-(uintptr_t)arena->at) & (align - 1);
    /* An empty piece has an address, too: NULL would say that memory is out. */
    if (VV_UNLIKELY(arena->at == NULL || skip > arena->left || size_bytes > arena->left - skip)) {
        if (size_bytes > CHUNK_BYTES_FIRST / 4)
            return alloc_alone(arena, size_bytes);
        struct vv_arena_chunk *chunk = chunk_new(arena, arena->chunk_bytes);
        if (chunk == NULL)
            return NULL;
        arena->at = (uint8_t *)chunk + CHUNK_HEAD;
        arena->left = arena->chunk_bytes - CHUNK_HEAD;
        if (arena->chunk_bytes < CHUNK_BYTES_MAX)
            arena->chunk_bytes *= 2;
        skip = 0;
    }
    void *piece = arena->at + skip;
    arena->at += skip + size_bytes;
    arena->left -= skip + size_bytes;
    return piece;
}
