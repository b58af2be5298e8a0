/*
 * The block cache: blocks of immutable files, keyed by file number and offset, evicted by S3-FIFO
 * (Yang et al., SOSP 2023): a small queue for newcomers, a main queue for what was asked for again,
 * and a ghost list of recent newcomers' keys, so that one long scan does not empty it.
 *
 * A hit takes no lock that another hit waits for longer than a few instructions. File numbers are
 * never reused, so a cached block can be stale in no way.
 */
#ifndef VV_SST_CACHE_H
#define VV_SST_CACHE_H

#include "base/alloc.h"
#include "base/slice.h"

#include <stdatomic.h>

struct vv_cache;

/* Immutable bytes shared by all that hold a reference. */
struct vv_block {
    const uint8_t *data;
    size_t size_bytes;
    size_t charge_bytes; /* what it costs: content and bookkeeping */
    uint64_t file;
    uint64_t offset;
    _Atomic(uint32_t) refs;
    struct vv_account *account;
    enum vv_owner owner; /* whom it is charged to */
    void *extra;         /* private to the cache */
    /* the content follows */
};

/* A block with room for `size_bytes` of content (cast `data` away from const to fill it before
 * sharing), one reference, charged to VV_OWNER_WORK until it enters a cache. NULL: out of memory. */
VV_MUST struct vv_block *vv_block_new(struct vv_account *account, uint64_t file, uint64_t offset,
                                      size_t size_bytes);
void vv_block_ref(struct vv_block *block);
void vv_block_unref(struct vv_block *block); /* NULL is fine */

/* Charges the block to another owner from now on. Only before it is shared. */
void vv_block_charge_to(struct vv_block *block, enum vv_owner owner);

/* A cache of at most `capacity_bytes`, which may be 0: then it keeps nothing. Blocks in it are
 * charged to VV_OWNER_CACHE. */
VV_MUST int vv_cache_new(struct vv_account *account, size_t capacity_bytes, struct vv_cache **out);
void vv_cache_free(struct vv_cache *cache); /* references outside stay valid; NULL is fine */

enum vv_cache_class {
    VV_CACHE_DATA,
    VV_CACHE_INDEX, /* index and filter partitions: enter where they are not evicted first */
};

/* The block with a new reference, or NULL. */
VV_MUST struct vv_block *vv_cache_get(struct vv_cache *cache, uint64_t file, uint64_t offset);

/* Offers a block to the cache, which may keep a reference of its own and evict others. The caller's
 * reference stays the caller's. Somebody else may have added the same block; that is fine. */
void vv_cache_add(struct vv_cache *cache, struct vv_block *block, enum vv_cache_class class);

/* Drops all blocks of a file that was deleted. */
void vv_cache_forget(struct vv_cache *cache, uint64_t file);

void vv_cache_set_capacity(struct vv_cache *cache, size_t capacity_bytes);

struct vv_cache_stats {
    uint64_t hits, misses, evictions;
    uint64_t used_bytes, capacity_bytes;
};

void vv_cache_get_stats(struct vv_cache *cache, struct vv_cache_stats *out);

/* Asserts the invariants of all shards. */
void vv_cache_check(struct vv_cache *cache);

#endif
