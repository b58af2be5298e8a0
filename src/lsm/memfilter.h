/*
 * Says of most absent keys that they are absent, for one cache miss: Bloom filters whose bits for
 * one key all lie in one 64-bit word.
 *
 * The number of keys is not known ahead, and hashing all keys again would stall a writer for
 * milliseconds. So a full filter is left as it is and a new one of twice its size begins; a key is
 * in any of them. The older ones are small enough to stay in the caches.
 *
 *      ▒▒  ▒▒▒▒  ▒▒▒▒▒▒▒▒  ▒▒▒░░░░░░░░░░░░░      generations, the last one filling
 *
 * One thread adds at a time, and any thread asks. All loads and stores of words are relaxed: who
 * has to see a key learned of it by something stronger, and bits are never cleared.
 */
#ifndef VV_LSM_MEMFILTER_H
#define VV_LSM_MEMFILTER_H

#include "base/alloc.h"

enum { VV_MEMFILTER_GENERATIONS = 24, VV_MEMFILTER_BYTES_FIRST = 32 << 10 };

struct vv_memfilter {
    struct vv_account *account;
    /* Constant once counted. Release and acquire: a counted generation has its zeroed words. */
    _Atomic(uint64_t) *generations[VV_MEMFILTER_GENERATIONS];
    _Atomic(uint32_t) count;
    uint64_t room; /* keys that the last generation still takes */
};

VV_MUST int vv_memfilter_init(struct vv_memfilter *f, struct vv_account *account);
void vv_memfilter_deinit(struct vv_memfilter *f); /* zeroed memory is fine */

/* Never fails: without memory for a new generation the last one is overfilled. */
void vv_memfilter_add(struct vv_memfilter *f, uint64_t hash);

size_t vv_memfilter_bytes(const struct vv_memfilter *f);

static inline size_t vv_memfilter_generation_bytes(uint32_t generation)
{
    return (size_t)VV_MEMFILTER_BYTES_FIRST << generation;
}

/* Four bits from the low 24 of the hash; the word comes from the upper half. */
static inline uint64_t vv_memfilter_mask(uint64_t hash)
{
    return (uint64_t)1 << (hash & 63) | (uint64_t)1 << (hash >> 6 & 63) |
           (uint64_t)1 << (hash >> 12 & 63) | (uint64_t)1 << (hash >> 18 & 63);
}

static inline _Atomic(uint64_t) *vv_memfilter_word(const struct vv_memfilter *f,
                                                   uint32_t generation, uint64_t hash)
{
    size_t words = vv_memfilter_generation_bytes(generation) / sizeof(uint64_t);
    return &f->generations[generation][(hash >> 32) & (words - 1)];
}

/* Asks for the word that vv_memfilter_add will change. */
static inline void vv_memfilter_prefetch(const struct vv_memfilter *f, uint64_t hash)
{
    uint32_t count = atomic_load_explicit(&f->count, memory_order_relaxed);
    __builtin_prefetch((const void *)vv_memfilter_word(f, count - 1, hash), 1);
}

/* False only if no key with this hash was added. */
static inline bool vv_memfilter_may_have(const struct vv_memfilter *f, uint64_t hash)
{
    uint64_t mask = vv_memfilter_mask(hash);
    for (uint32_t g = atomic_load_explicit(&f->count, memory_order_acquire); g-- > 0;) {
        uint64_t word = atomic_load_explicit(vv_memfilter_word(f, g, hash), memory_order_relaxed);
        if ((word & mask) == mask)
            return true;
    }
    return false;
}

#endif
