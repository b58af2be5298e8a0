/*
 * Iterators over many sorted sources.
 */
#ifndef VV_LSM_MERGE_H
#define VV_LSM_MERGE_H

#include "kv/iter.h"
#include "kv/order.h"
#include "lsm/version.h"

/* One iterator over the tables of a run, one after another, opened as they are reached. The caller
 * keeps the run (its version) alive. */
VV_MUST int vv_run_iter(const struct vv_order *order, const struct vv_run *run,
                        enum vv_table_read_mode mode, struct vv_iter **out);

/* The same over `count` tables of a run from `first`. */
VV_MUST int vv_run_iter_range(const struct vv_order *order, const struct vv_run *run,
                              struct vv_run_range range, enum vv_table_read_mode mode,
                              struct vv_iter **out);

/* Merges the sources in internal order by a loser tree. Of two sources with the same key and
 * sequence, which must not occur, the earlier in the list comes first. The sources are taken over
 * and closed with it, also when this fails. */
VV_MUST int vv_merge_iter(const struct vv_order *order, struct vv_iter **sources_take, size_t count,
                          struct vv_iter **out);

/* Which source the current entry of a merge iterator is from: its index in the list. */
size_t vv_merge_iter_source(const struct vv_iter *merge);

#endif
