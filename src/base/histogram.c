#include "base/histogram.h"

#include "base/check.h"

/* Values below 16 have a bucket each; above, eight buckets share each power of two. */
static unsigned bucket_of(uint64_t value)
{
    if (value < 16)
        return (unsigned)value;
    unsigned top = 63u - (unsigned)__builtin_clzll(value);
    return 16 + (top - 4) * 8 + (unsigned)(value >> (top - 3) & 7);
}

static uint64_t bucket_middle(unsigned bucket)
{
    if (bucket < 16)
        return bucket;
    unsigned top = (bucket - 16) / 8 + 4;
    uint64_t width = (uint64_t)1 << (top - 3);
    return (8 + (bucket - 16) % 8) * width + width / 2;
}

void vv_histogram_add(struct vv_histogram *h, uint64_t value)
{
    (void)atomic_fetch_add_explicit(&h->counts[bucket_of(value)], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
    while (value > max && !atomic_compare_exchange_weak_explicit(
                              &h->max, &max, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

uint64_t vv_histogram_count(const struct vv_histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < VV_HISTOGRAM_BUCKETS; i++)
        count += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    return count;
}

uint64_t vv_histogram_max(const struct vv_histogram *h)
{
    return atomic_load_explicit(&h->max, memory_order_relaxed);
}

double vv_histogram_mean(const struct vv_histogram *h)
{
    uint64_t count = vv_histogram_count(h);
    uint64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    return count == 0 ? 0 : (double)sum / (double)count;
}

uint64_t vv_histogram_percentile(const struct vv_histogram *h, double percent)
{
    double wanted = (double)vv_histogram_count(h) * percent / 100;
    double seen = 0;
    uint64_t max = vv_histogram_max(h);
    for (unsigned i = 0; i < VV_HISTOGRAM_BUCKETS; i++) {
        seen += (double)atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        if (seen >= wanted && seen > 0)
            return bucket_middle(i) < max ? bucket_middle(i) : max;
    }
    return max;
}

void vv_histogram_powers(const struct vv_histogram *h, uint64_t *out, unsigned count)
{
    vv_assert(count > 0);
    for (unsigned i = 0; i < count; i++)
        out[i] = 0;
    for (unsigned i = 0; i < VV_HISTOGRAM_BUCKETS; i++) {
        uint64_t value = bucket_middle(i);
        unsigned power = value == 0 ? 0 : 64u - (unsigned)__builtin_clzll(value);
        out[power < count ? power : count - 1] +=
            atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    }
}

void vv_histogram_merge(struct vv_histogram *into, const struct vv_histogram *from)
{
    for (unsigned i = 0; i < VV_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&from->counts[i], memory_order_relaxed);
        if (count > 0)
            (void)atomic_fetch_add_explicit(&into->counts[i], count, memory_order_relaxed);
    }
    uint64_t sum = atomic_load_explicit(&from->sum, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&into->sum, sum, memory_order_relaxed);
    uint64_t max = vv_histogram_max(from);
    uint64_t old = vv_histogram_max(into);
    while (max > old && !atomic_compare_exchange_weak_explicit(
                            &into->max, &old, max, memory_order_relaxed, memory_order_relaxed)) {
    }
}
