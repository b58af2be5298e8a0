/*
 * A filter from anywhere is refused or answers without reading out of bounds; a filter built from
 * any hashes never denies one of them.
 *
 * The first byte chooses: a kind to build from the rest as hashes, or 0 to decode the rest.
 */
#include "sst/filter.h"

#include "base/alloc.h"
#include "base/coding.h"
#include "base/error.h"
#include "base/hash.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_any(const uint8_t *data, size_t size)
{
    struct vv_filter filter;
    uint8_t *exact = vv_memdup(data, size);
    vv_assert(exact != NULL);
    if (vv_filter_decode((vv_slice){exact, size}, &filter) == VV_OK)
        for (uint64_t i = 0; i < 64; i++)
            (void)vv_filter_may_hold(&filter, i == 0 ? UINT64_MAX : vv_mix(i));
    vv_free(exact);
}

static void build_any(enum vv_filter_kind kind, const uint8_t *data, size_t count)
{
    struct vv_buf content = VV_BUF_INIT;
    struct vv_filter filter;
    uint64_t *hashes = vv_alloc(count * sizeof *hashes);
    vv_assert(hashes != NULL);
    for (size_t i = 0; i < count; i++)
        hashes[i] = vv_get_u64(data + 8 * i);
    vv_assert(vv_filter_build(kind, hashes, count, &content) == VV_OK);
    vv_assert(vv_filter_decode(vv_buf_slice(&content), &filter) == VV_OK);
    for (size_t i = 0; i < count; i++)
        vv_assert(vv_filter_may_hold(&filter, vv_get_u64(data + 8 * i)));
    vv_free(hashes);
    vv_buf_deinit(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned choice = data[0] % 4;
    if (choice == 0)
        decode_any(data + 1, size - 1);
    else if (size - 1 >= 8)
        build_any((enum vv_filter_kind)choice, data + 1, (size - 1) / 8);
    return 0;
}
