/*
 * A version: which tables and value files make up the tree at one moment. Immutable once published;
 * an edit makes the next version, which shares all files that did not change.
 *
 *      level 0   runs, newest first; each run is sorted and free of overlap ("sublevels": a table
 *                lies one run above the highest older table that overlaps it)
 *      level 1…6 one run each
 *
 * Invariants, walked by vv_version_check in this order:
 *   1. tables of a run are ascending and do not share a user key;
 *   2. of two level-0 tables that overlap, the one in the newer run has the newer entries;
 *   3. all versions of a user key in level n are newer than those in level n + 1;
 *   4. sums (bytes, counts, live bytes) equal those of the tables.
 */
#ifndef VV_LSM_VERSION_H
#define VV_LSM_VERSION_H

#include "kv/order.h"
#include "sst/table.h"

#include <stdatomic.h>

enum { VV_LEVELS = 7 };

struct vv_tables;

/* One table file. Shared by versions; the last reference removes the file if it is obsolete. */
struct vv_table_meta {
    _Atomic(uint32_t) refs;
    uint64_t number;
    struct vv_table_facts facts;       /* constant */
    struct vv_tables *owner;           /* who opens and removes the file */
    _Atomic(struct vv_table *) handle; /* opened on first use; owned */
    atomic_bool obsolete; /* no current version has it: remove with the last reference */
    uint32_t job;         /* the job that has claimed it, or 0; guarded by the lsm mutex */
    uint64_t created_us;  /* wall clock at creation, for ageing */
};

/* One file of the value log. */
struct vv_value_file {
    _Atomic(uint32_t) refs;
    uint64_t number;
    _Atomic(uint64_t) record_bytes; /* of all value records; 0 before it is sealed */
    _Atomic(uint64_t) record_count;
    atomic_bool sealed;  /* never written to again; set once */
    atomic_bool damaged; /* collecting it failed on damage: leave it as it is */
    struct vv_values *owner;
    _Atomic(void *) handle; /* private to values.c: opened on first use */
    atomic_bool obsolete;
    /* The files whose references lead here: itself, or after collection those that it replaced.
     * Ascending. */
    uint64_t *serves;
    size_t serve_count;
};

/* Sorted tables without overlap. Who makes one by hand needs to fill the first two only. */
struct vv_run {
    struct vv_table_meta **tables;
    size_t count;
    uint64_t bytes;
    uint64_t ranges; /* range tombstones of all of them */
    /* Under bytewise order, else NULL: of each table's largest key the eight bytes behind the first
     * `fence_skip`, which all these keys have in common (vv_slice_head). Owned. */
    uint64_t *fence;
    size_t fence_skip;
};

/* Where references into a value file lead. */
struct vv_value_route {
    uint64_t number;
    struct vv_value_file *file;
    uint64_t live_bytes; /* of the records there to which tables of the version refer */
};

struct vv_version {
    _Atomic(uint32_t) refs;
    const struct vv_order *order;
    struct vv_run *l0; /* newest first */
    size_t l0_count;
    struct vv_run levels[VV_LEVELS]; /* levels[0] is all tables of level 0, oldest first */
    struct vv_value_file **values;   /* ascending by number */
    size_t value_count;
    struct vv_value_route *routes; /* ascending by number: what the value files serve */
    size_t route_count;
};

struct vv_table_add {
    int level;
    struct vv_table_meta *table; /* a reference is taken */
};

/* What an edit takes from a version and then adds to it, so that a table that moves is in both. The
 * arrays are the caller's. */
struct vv_version_change {
    const struct vv_table_add *adds;
    size_t add_count;
    const uint64_t *removes; /* table numbers; VV_CORRUPT if one is not there */
    size_t remove_count;
    struct vv_value_file *const *value_adds; /* references are taken */
    size_t value_add_count;
    const uint64_t *value_removes; /* as removes */
    size_t value_remove_count;
    const struct vv_order *order; /* NULL: as before */
};

VV_MUST int vv_version_new(const struct vv_order *order, struct vv_version **out);
void vv_version_ref(struct vv_version *v);
void vv_version_unref(struct vv_version *v); /* NULL is fine */

/* The version that comes from `base` by the change, with one reference. VV_CORRUPT when the result
 * would break invariant 1, have a number twice or two files that serve the same references, or when
 * the change names files that are not there: on recovery this is the disk's fault, elsewhere
 * ours. */
VV_MUST int vv_version_apply(const struct vv_version *base, const struct vv_version_change *change,
                             struct vv_version **out);

void vv_table_meta_ref(struct vv_table_meta *t);
void vv_table_meta_unref(struct vv_table_meta *t); /* NULL is fine */

/* The bounds of a table. The data of an empty key is not NULL here, so that it is not taken for an
 * open end. */
static inline vv_slice vv_table_smallest(const struct vv_table_meta *t)
{
    const struct vv_buf *key = &t->facts.smallest;
    return vv_slice_of(key->data != NULL ? (const void *)key->data : "", key->size);
}

static inline vv_slice vv_table_largest(const struct vv_table_meta *t)
{
    const struct vv_buf *key = &t->facts.largest;
    return vv_slice_of(key->data != NULL ? (const void *)key->data : "", key->size);
}

/* Whether all of the table lies before the key. A table may end where the next one begins, if that is
 * where a range tombstone of it ends. */
static inline bool vv_table_ends_before(const struct vv_order *order, const struct vv_table_meta *t,
                                        vv_slice key)
{
    int cmp = vv_order_cmp(order, vv_table_largest(t), key);
    return cmp < 0 || (cmp == 0 && t->facts.open_end);
}

/* Whether table `a` of level 0 is older than `b`: by its newest entry, then by its number. */
static inline bool vv_table_older(const struct vv_table_meta *a, const struct vv_table_meta *b)
{
    if (a->facts.max_seq != b->facts.max_seq)
        return a->facts.max_seq < b->facts.max_seq;
    return a->number < b->number;
}

/* Index of the first table in the run that does not end before `key`; run->count if there is none. */
size_t vv_run_find(const struct vv_order *order, const struct vv_run *run, vv_slice key);

/* The tables of a run that overlap [from, to] (both inclusive; data NULL: open end): `count` tables
 * from index `first`. */
struct vv_run_range {
    size_t first;
    size_t count;
};
struct vv_run_range vv_run_overlap(const struct vv_order *order, const struct vv_run *run,
                                   vv_slice from, vv_slice to);
/* The tables of a run that have a key in common with this one. */
struct vv_run_range vv_run_overlap_table(const struct vv_order *order, const struct vv_run *run,
                                         const struct vv_table_meta *table);

/* The value file to which references into file `number` lead now, or NULL. */
struct vv_value_file *vv_version_value_file(const struct vv_version *v, uint64_t number);

/* Bytes of the records that tables of the version refer to as ones of file `number`. */
uint64_t vv_version_live_bytes(const struct vv_version *v, uint64_t number);

/* The deepest level that has a table, or -1. */
int vv_version_last_level(const struct vv_version *v);

/* Asserts all invariants. */
void vv_version_check(const struct vv_version *v);

#endif
