/*
 * Regions of memory for memtables, kept for the next one when a memtable goes.
 *
 * Mapping and unmapping memory excludes each other in the whole process, and a memtable is hundreds
 * of regions: whoever gives one back would otherwise hold up the writer that fills the next for
 * milliseconds, and the pages it brings in anew cost as much as the inserts that fill them.
 */
#ifndef VV_LSM_MEMPOOL_H
#define VV_LSM_MEMPOOL_H

#include "base/alloc.h"

enum { VV_MEMPOOL_REGION_BYTES = 1 << 20 };

struct vv_mempool;

/* Keeps up to `keep_bytes`. All regions, kept or given out, are charged to VV_OWNER_MEMTABLE. */
VV_MUST int vv_mempool_new(struct vv_account *account, size_t keep_bytes, struct vv_mempool **out);

/* Memtables may outlive the tree, and with them the pool. NULL is fine. */
void vv_mempool_ref(struct vv_mempool *pool);
void vv_mempool_unref(struct vv_mempool *pool);

/* A region of whole pages, with whatever was left in it; NULL: out of memory. Any thread. */
VV_MUST void *vv_mempool_take(struct vv_mempool *pool);
void vv_mempool_give(struct vv_mempool *pool, void *region);

/* Gives one kept region back to the system; false when there is none. */
bool vv_mempool_shrink(struct vv_mempool *pool);

#endif
