/*
 * Where memory comes from, and the account that says who has how much of it.
 *
 * Everything that grows with the data (memtables, cached blocks, filters, indexes, pinned values,
 * mapped files) is charged to one account, so that one budget can bound it. Handles and other
 * small things are allocated uncharged.
 */
#ifndef VV_BASE_ALLOC_H
#define VV_BASE_ALLOC_H

#include "base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All return NULL when memory is out, after recording the story; the caller returns VV_NOMEM.
 * vv_free takes NULL. vv_alloc_zero gives zeroed memory. A size of zero gives a valid pointer. */
VV_MUST void *vv_alloc(size_t size_bytes);
VV_MUST void *vv_alloc_zero(size_t size_bytes);
/* Zeroed, and aligned to 64 bytes. */
VV_MUST void *vv_alloc_lines(size_t size_bytes);
VV_MUST void *vv_realloc(void *old, size_t size_bytes);
VV_MUST void *vv_memdup(const void *data, size_t size_bytes);
VV_MUST char *vv_strdup(const char *text);
void vv_free(void *memory);

/* Whole pages straight from the system, zeroed, given back to it when freed: for arenas and other
 * large blocks whose release must show in the process's size at once. */
VV_MUST void *vv_pages_alloc(size_t size_bytes);
void vv_pages_free(void *memory, size_t size_bytes);

/* Test hook: the n-th allocation from now (1 is the next) fails once; 0 turns it off. */
void vv_alloc_fail_at(uint64_t n);

enum vv_owner {
    VV_OWNER_MEMTABLE,
    VV_OWNER_CACHE,
    VV_OWNER_TABLE, /* indexes, filters and fences of open files */
    VV_OWNER_MAP,   /* mapped files */
    VV_OWNER_PIN,   /* values and blocks that callers hold */
    VV_OWNER_WORK,  /* buffers of background jobs, batches and iterators */
    VV_OWNER_COUNT
};

/* Zeroed memory is an empty account. All fields may be read and charged by any thread; relaxed
 * order is enough, because the numbers guide and never prove. */
struct vv_account {
    _Atomic(size_t) used_bytes[VV_OWNER_COUNT];
};

static inline void vv_account_charge(struct vv_account *a, enum vv_owner owner, size_t bytes)
{
    (void)atomic_fetch_add_explicit(&a->used_bytes[owner], bytes, memory_order_relaxed);
}

static inline void vv_account_release(struct vv_account *a, enum vv_owner owner, size_t bytes)
{
    size_t before = atomic_fetch_sub_explicit(&a->used_bytes[owner], bytes, memory_order_relaxed);
    vv_assert(before >= bytes);
}

static inline size_t vv_account_used(const struct vv_account *a, enum vv_owner owner)
{
    return atomic_load_explicit(&a->used_bytes[owner], memory_order_relaxed);
}

size_t vv_account_total(const struct vv_account *a);
const char *vv_owner_name(enum vv_owner owner);

#endif
