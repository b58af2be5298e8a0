/*
 * When about half of a table's expiring entries will have expired: the median of a sample, which takes
 * every so many-th time, and drops every other one when there is no more room.
 */
#ifndef VV_SST_EXPIRIES_H
#define VV_SST_EXPIRIES_H

#include <stdint.h>
#include <stdlib.h>

enum { VV_EXPIRIES_SAMPLE = 64 };

/* Zeroed memory is none. */
struct vv_expiries {
    uint64_t sample[VV_EXPIRIES_SAMPLE];
    size_t sampled;
    unsigned stride_shift;
    uint64_t count;
};

static inline void vv_expiries_add(struct vv_expiries *e, uint64_t expires_ms)
{
    if (e->sampled == VV_EXPIRIES_SAMPLE) {
        for (size_t i = 0; i < VV_EXPIRIES_SAMPLE / 2; i++)
            e->sample[i] = e->sample[2 * i];
        e->sampled /= 2;
        e->stride_shift++;
    }
    if ((e->count++ & (((uint64_t)1 << e->stride_shift) - 1)) == 0)
        e->sample[e->sampled++] = expires_ms;
}

static inline int vv_expiries_cmp(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* Orders the sample, so nothing is added afterwards. 0 when there are none. */
static inline uint64_t vv_expiries_half(struct vv_expiries *e)
{
    if (e->sampled == 0)
        return 0;
    qsort(e->sample, e->sampled, sizeof e->sample[0], vv_expiries_cmp);
    return e->sample[e->sampled / 2];
}

#endif
