/*
 * What a memtable consists of, shared by the two files that are the memtable: memtable.c changes it
 * and looks up single keys, memiter.c walks over it. Nobody else includes this.
 */
#ifndef VV_LSM_MEMPARTS_H
#define VV_LSM_MEMPARTS_H

#include "lsm/memfilter.h"
#include "lsm/memranges.h"
#include "lsm/memtable.h"
#include "lsm/memtree.h"

struct vv_memtable {
    _Atomic(uint32_t) refs;
    struct vv_memspace space;   /* the inserting thread's */
    struct vv_memtree tree;     /* says itself what is whose */
    struct vv_memfilter filter; /* unused with a custom order */
    struct vv_memranges ranges;
    vv_seq seq_last;         /* the inserting thread's */
    _Atomic(uint64_t) count; /* relaxed: they guide and never prove */
    _Atomic(uint64_t) raw_bytes;
};

#endif
