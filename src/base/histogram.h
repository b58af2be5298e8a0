/*
 * A histogram of durations or sizes with about three percent of error, eight buckets to the power
 * of two. Any thread may add; a reader sees some recent state of each bucket.
 */
#ifndef VV_BASE_HISTOGRAM_H
#define VV_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { VV_HISTOGRAM_BUCKETS = 496 };

/* Zeroed memory is an empty histogram. */
struct vv_histogram {
    _Atomic(uint64_t) counts[VV_HISTOGRAM_BUCKETS];
    _Atomic(uint64_t) sum;
    _Atomic(uint64_t) max;
};

void vv_histogram_add(struct vv_histogram *h, uint64_t value);
uint64_t vv_histogram_count(const struct vv_histogram *h);
uint64_t vv_histogram_max(const struct vv_histogram *h);
double vv_histogram_mean(const struct vv_histogram *h);
/* The value below which `percent` (0 to 100) of all values lie; 0 when empty. */
uint64_t vv_histogram_percentile(const struct vv_histogram *h, double percent);
/* By powers of two: out[0] counts zeros, out[i] values from 2^(i-1) up to below 2^i, and the last of
 * `count` all above, too. */
void vv_histogram_powers(const struct vv_histogram *h, uint64_t *out, unsigned count);
void vv_histogram_merge(struct vv_histogram *into, const struct vv_histogram *from);

#endif
