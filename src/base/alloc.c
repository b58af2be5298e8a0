#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "base/alloc.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h> /* lint: os, pages are memory, not I/O */

static _Atomic(uint64_t) fail_countdown;

void vv_alloc_fail_at(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

static bool must_fail(void)
{
    uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    do {
        if (VV_LIKELY(left == 0))
            return false;
    } while (!atomic_compare_exchange_weak(&fail_countdown, &left, left - 1));
    return left == 1;
}

static void *told(void *memory, size_t size_bytes)
{
    if (VV_UNLIKELY(memory == NULL))
        (void)vv_fail(VV_NOMEM, "cannot allocate %zu bytes", size_bytes);
    return memory;
}

void *vv_alloc(size_t size_bytes)
{
    return told(must_fail() ? NULL : malloc(size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *vv_alloc_zero(size_t size_bytes)
{
    return told(must_fail() ? NULL : calloc(1, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *vv_alloc_lines(size_t size_bytes)
{
    size_t room = (size_bytes + 63) & ~(size_t)63;
    void *memory = must_fail() || room < size_bytes ? NULL : aligned_alloc(64, room);
    if (memory != NULL)
        memset(memory, 0, room);
    return told(memory, size_bytes);
}

void *vv_realloc(void *old, size_t size_bytes)
{
    return told(must_fail() ? NULL : realloc(old, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *vv_memdup(const void *data, size_t size_bytes)
{
    void *copy = vv_alloc(size_bytes);
    if (copy != NULL && size_bytes > 0)
        memcpy(copy, data, size_bytes);
    return copy;
}

char *vv_strdup(const char *text)
{
    return vv_memdup(text, strlen(text) + 1);
}

void vv_free(void *memory)
{
    free(memory);
}

void *vv_pages_alloc(size_t size_bytes)
{
    vv_assert(size_bytes > 0);
    void *memory = MAP_FAILED;
    if (!must_fail())
        memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return told(memory == MAP_FAILED ? NULL : memory, size_bytes);
}

void vv_pages_free(void *memory, size_t size_bytes)
{
    if (memory != NULL)
        vv_assert(munmap(memory, size_bytes) == 0);
}

size_t vv_account_total(const struct vv_account *a)
{
    size_t total = 0;
    for (int owner = 0; owner < VV_OWNER_COUNT; owner++)
        total += vv_account_used(a, (enum vv_owner)owner);
    return total;
}

const char *vv_owner_name(enum vv_owner owner)
{
    static const char *const names[VV_OWNER_COUNT] = {"memtable", "cache", "table",
                                                      "map",      "pin",   "work"};
    vv_assert(owner < VV_OWNER_COUNT);
    return names[owner];
}
