/*
 * The memtable: the newest versions, in memory, in internal order, until they are flushed.
 *
 * One thread inserts at a time (the commit leader); any number of threads read meanwhile without
 * locks. Nothing is ever removed: a newer version of a key hides the older ones.
 */
#ifndef VV_LSM_MEMTABLE_H
#define VV_LSM_MEMTABLE_H

#include "base/alloc.h"
#include "kv/entry.h"
#include "kv/iter.h"
#include "kv/order.h"
#include "kv/ranges.h"
#include "lsm/mempool.h"

struct vv_memtable;

/* An empty memtable with one reference; its memory is charged to VV_OWNER_MEMTABLE. `order` lives
 * longer than it. */
VV_MUST int vv_memtable_new(const struct vv_order *order, struct vv_account *account,
                            struct vv_memtable **out);
/* The same, with its memory from a pool and back to it. */
VV_MUST int vv_memtable_new_from(const struct vv_order *order, struct vv_account *account,
                                 struct vv_mempool *pool, struct vv_memtable **out);
void vv_memtable_ref(struct vv_memtable *m);
void vv_memtable_unref(struct vv_memtable *m); /* the last one frees it; NULL is fine */

/* Makes sure that inserting entries of `bytes` (keys and values) in `count` pieces cannot fail for
 * lack of memory. VV_NOMEM otherwise; nothing is inserted. Inserting thread only. */
VV_MUST int vv_memtable_reserve(struct vv_memtable *m, size_t bytes, size_t count);

/* Adds a version, or a range tombstone; key and value are copied. Its sequence is above all sequences inserted before.
 * VV_NOMEM leaves the memtable as it was. Inserting thread only. */
VV_MUST int vv_memtable_insert(struct vv_memtable *m, const struct vv_entry *entry);

/* The newest version of `key` with sequence <= `seq`: VV_OK (a tombstone is a hit too), filling
 * `out` with slices that live as long as the memtable, or VV_NOTFOUND. `hash` is vv_hash(key). */
VV_MUST int vv_memtable_get(const struct vv_memtable *m, vv_slice key, uint64_t hash, vv_seq seq,
                            struct vv_entry *out);

/* Range tombstones are kept apart: neither get nor iterators show them. Whether there are any. */
bool vv_memtable_has_ranges(const struct vv_memtable *m);
/* As vv_ranges_cover. */
vv_seq vv_memtable_cover(const struct vv_memtable *m, vv_slice key, vv_seq at,
                         struct vv_cover *out);
/* As vv_ranges_newer. */
bool vv_memtable_ranges_newer(const struct vv_memtable *m, vv_slice from, vv_slice to,
                              vv_seq since);
/* Appends all (struct vv_range), newest first; their keys live as long as the memtable. */
VV_MUST int vv_memtable_list_ranges(const struct vv_memtable *m, struct vv_buf *out);

/* An iterator that holds a reference. It sees everything inserted before a move began, and may or
 * may not see what is inserted meanwhile; entries it has passed do not come back. */
VV_MUST int vv_memtable_iter(struct vv_memtable *m, struct vv_iter **out);

size_t vv_memtable_bytes(const struct vv_memtable *m);       /* memory in use; any thread */
uint64_t vv_memtable_count(const struct vv_memtable *m);     /* versions in it; any thread */
uint64_t vv_memtable_raw_bytes(const struct vv_memtable *m); /* their keys and values */

/* About how many of them belong to keys below `key`, as if all entries had one size. */
uint64_t vv_memtable_below(const struct vv_memtable *m, vv_slice key);

/* Asserts all invariants; no insert may run. */
void vv_memtable_check(const struct vv_memtable *m);

#endif
