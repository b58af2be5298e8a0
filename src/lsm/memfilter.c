#include "lsm/memfilter.h"

#include "base/error.h"

enum {
    BITS_PER_KEY = 12,
    RETRY_KEYS = 1 << 14, /* that many go into a full generation before memory is asked again */
};

static int generation_add(struct vv_memfilter *f)
{
    uint32_t count = atomic_load_explicit(&f->count, memory_order_relaxed);
    if (count == VV_MEMFILTER_GENERATIONS)
        return VV_NOMEM;
    size_t size_bytes = vv_memfilter_generation_bytes(count);
    _Atomic(uint64_t) *words = vv_pages_alloc(size_bytes);
    if (words == NULL)
        return VV_NOMEM;
    vv_account_charge(f->account, VV_OWNER_MEMTABLE, size_bytes);
    f->generations[count] = words;
    f->room = size_bytes * 8 / BITS_PER_KEY;
    atomic_store_explicit(&f->count, count + 1, memory_order_release);
    return VV_OK;
}

int vv_memfilter_init(struct vv_memfilter *f, struct vv_account *account)
{
    *f = (struct vv_memfilter){.account = account};
    return generation_add(f);
}

void vv_memfilter_deinit(struct vv_memfilter *f)
{
    uint32_t count = atomic_load_explicit(&f->count, memory_order_relaxed);
    for (uint32_t g = 0; g < count; g++) {
        vv_account_release(f->account, VV_OWNER_MEMTABLE, vv_memfilter_generation_bytes(g));
        vv_pages_free((void *)f->generations[g], vv_memfilter_generation_bytes(g));
    }
    *f = (struct vv_memfilter){.account = f->account};
}

void vv_memfilter_add(struct vv_memfilter *f, uint64_t hash)
{
    if (VV_UNLIKELY(f->room == 0) && generation_add(f) != VV_OK)
        f->room = RETRY_KEYS;
    f->room--;
    uint32_t newest = atomic_load_explicit(&f->count, memory_order_relaxed) - 1;
    _Atomic(uint64_t) *word = vv_memfilter_word(f, newest, hash);
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, bits | vv_memfilter_mask(hash), memory_order_relaxed);
}

size_t vv_memfilter_bytes(const struct vv_memfilter *f)
{
    size_t bytes = 0;
    uint32_t count = atomic_load_explicit(&f->count, memory_order_acquire);
    for (uint32_t g = 0; g < count; g++)
        bytes += vv_memfilter_generation_bytes(g);
    return bytes;
}
