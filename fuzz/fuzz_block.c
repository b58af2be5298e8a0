/*
 * A slotted block from anywhere: it is refused, or every way of reading it stays within it; and if
 * its entries are in order, searches agree with a walk.
 *
 * The first byte chooses what the block is said to be.
 */
#include "kv/expiry.h"
#include "sst/block.h"

#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROBES_MAX = 64 };

static const struct vv_order bytewise;

static vv_slice join(const struct vv_block_view *v, uint32_t i, uint8_t *joined)
{
    struct vv_entry entry;
    vv_block_entry(v, i, joined, &entry);
    return entry.key;
}

static uint32_t walk_to(const struct vv_block_view *v, uint8_t *joined, vv_slice key,
                        uint64_t bound)
{
    uint32_t i = 0;
    for (; i < v->count; i++) {
        int order = vv_slice_cmp(join(v, i, joined), key);
        if (order > 0 || (order == 0 && vv_block_seq(v, i) < bound))
            break;
    }
    return i;
}

/* Searches for the key of slot `i` and for its neighbours. */
static void probe(const struct vv_block_view *v, uint32_t i, uint8_t *joined)
{
    vv_slice here = join(v, i, joined);
    uint8_t *key = vv_alloc(here.size + 1);
    vv_assert(key != NULL);
    if (here.size > 0)
        memcpy(key, here.data, here.size);
    key[here.size] = 0;
    uint64_t bounds[] = {VV_BOUND_FIRST, VV_BOUND_PAST, vv_block_seq(v, i) + 1};
    for (size_t size = here.size == 0 ? 0 : here.size - 1; size <= here.size + 1; size++)
        for (size_t b = 0; b < 3; b++) {
            vv_slice sought = {key, size};
            uint32_t slot = vv_block_search(v, &bytewise, sought, bounds[b]);
            vv_assert(slot == walk_to(v, joined, sought, bounds[b]));
        }
    if ((v->flags & VV_BLOCK_PRINTS) != 0) {
        uint32_t slot = UINT32_MAX;
        vv_slice sought = {key, here.size};
        int rc = vv_block_find(v, sought, vv_hash(sought), vv_block_seq(v, i), &slot);
        vv_assert(rc == VV_OK);
        vv_assert(slot == i);
    }
    vv_free(key);
}

static void read_block(const struct vv_block_view *v)
{
    uint8_t *joined = vv_alloc(vv_block_key_room(v));
    vv_assert(joined != NULL);
    memcpy(joined, v->prefix, v->prefix_size);
    for (uint32_t i = v->count; i-- > 0;) {
        struct vv_entry entry;
        vv_block_entry(v, i, joined, &entry);
        (void)vv_hash(entry.key);
        (void)vv_hash(entry.value);
        vv_assert(entry.seq <= VV_SEQ_MAX);
        vv_assert(vv_kind_fits(entry.kind, entry.value.size));
    }
    bool is_ordered = vv_block_verify_order(v, &bytewise) == VV_OK;
    uint32_t step = v->count / PROBES_MAX + 1;
    for (uint32_t i = 0; i < v->count; i += step) {
        uint32_t slot = 0;
        vv_slice key = join(v, i, joined);
        vv_assert(vv_block_search(v, &bytewise, key, VV_BOUND_FIRST) <= v->count);
        if ((v->flags & VV_BLOCK_PRINTS) != 0 &&
            vv_block_find(v, key, vv_hash(key), VV_SEQ_MAX, &slot) == VV_OK)
            vv_assert(slot < v->count);
        if (is_ordered)
            probe(v, i, joined);
    }
    vv_free(joined);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum vv_role roles[] = {VV_ROLE_DATA, VV_ROLE_INDEX, VV_ROLE_TOP};
    if (size == 0)
        return 0;
    enum vv_role role = roles[data[0] % 3];
    uint8_t *content = vv_alloc_zero(size - 1 + VV_BLOCK_SLACK);
    vv_assert(content != NULL);
    memcpy(content, data + 1, size - 1);
    if (vv_block_verify((vv_slice){content, size - 1}, role, &bytewise) == VV_OK) {
        struct vv_block_view v;
        vv_block_decode(content, &v);
        read_block(&v);
    }
    vv_free(content);
    return 0;
}
