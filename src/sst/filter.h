/*
 * Filters: small sets of hashes that answer "certainly not here" or "maybe". The format is in
 * sst/format.h.
 *
 * Bloom is blocked: all bits of a key are in one line of 64 bytes. The fuse filters are binary fuse
 * filters of three positions (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor
 * Filters"), three independent reads in three neighbouring segments.
 */
#ifndef VV_SST_FILTER_H
#define VV_SST_FILTER_H

#include "base/buf.h"
#include "sst/table.h"

/* A filter that stands in some bytes. */
struct vv_filter {
    const uint8_t *array;
    enum vv_filter_kind kind;
    uint32_t probes;
    uint32_t segments;       /* Bloom: lines */
    uint32_t segment_length; /* fuse */
    uint64_t first_count;    /* fuse: how many first positions there are */
    uint64_t seed;
};

/* Appends a filter of `count` hashes, at least one, to `out`. The hashes may repeat; the array is
 * reordered. A fuse filter that cannot be built (which nobody has seen) becomes a Bloom filter. */
VV_MUST int vv_filter_build(enum vv_filter_kind kind, uint64_t *hashes, size_t count,
                            struct vv_buf *out);

/* About how large a filter of `count` hashes will be. */
size_t vv_filter_size(enum vv_filter_kind kind, size_t count);

/* Verifies that `content` is a filter, and gives it. VV_CORRUPT otherwise. */
VV_MUST int vv_filter_decode(vv_slice content, struct vv_filter *out);

bool vv_filter_may_hold(const struct vv_filter *f, uint64_t hash);

/* Brings the lines that vv_filter_may_hold will read towards the processor. */
void vv_filter_prefetch(const struct vv_filter *f, uint64_t hash);

#endif
