/*
 * Percentiles are within a bucket of the truth: an eighth of the value, half of it to either
 * side.
 */
#include "base/histogram.h"
#include "base/rng.h"
#include "harness/test.h"

#include <stdlib.h>

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void check_near(uint64_t actual, uint64_t truth)
{
    uint64_t distance = actual > truth ? actual - truth : truth - actual;
    if (distance > truth / 8 + 1)
        test_fail(__FILE__, __LINE__, "%" PRIu64 " is far from %" PRIu64, actual, truth);
}

TEST(an_empty_histogram_is_all_zero)
{
    static struct vv_histogram h;
    CHECK_EQ_U64(vv_histogram_count(&h), 0);
    CHECK_EQ_U64(vv_histogram_max(&h), 0);
    CHECK(vv_histogram_mean(&h) <= 0);
    CHECK_EQ_U64(vv_histogram_percentile(&h, 99), 0);
}

TEST(every_value_has_a_bucket)
{
    static struct vv_histogram h;
    vv_histogram_add(&h, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        vv_histogram_add(&h, (uint64_t)1 << bit);
        vv_histogram_add(&h, ((uint64_t)1 << bit) - 1);
    }
    vv_histogram_add(&h, UINT64_MAX);
    CHECK_EQ_U64(vv_histogram_count(&h), 130);
    CHECK_EQ_U64(vv_histogram_max(&h), UINT64_MAX);
}

TEST(small_values_are_exact)
{
    static struct vv_histogram h;
    for (uint64_t v = 0; v < 16; v++)
        vv_histogram_add(&h, v);
    CHECK_EQ_U64(vv_histogram_percentile(&h, 0), 0);
    CHECK_EQ_U64(vv_histogram_percentile(&h, 50), 7);
    CHECK_EQ_U64(vv_histogram_percentile(&h, 100), 15);
}

TEST(percentiles_are_near_the_truth)
{
    static uint64_t values[VALUES];
    static const double percents[] = {1, 10, 50, 90, 99, 99.9, 100};
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int round = 0; round < 8; round++) {
        struct vv_histogram h = {0};
        for (int i = 0; i < VALUES; i++) {
            values[i] = vv_rng_next(&rng) >> (8 * (unsigned)round);
            vv_histogram_add(&h, values[i]);
        }
        qsort(values, VALUES, sizeof values[0], compare);
        for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
            size_t rank = (size_t)(VALUES * percents[i] / 100);
            check_near(vv_histogram_percentile(&h, percents[i]), values[rank > 0 ? rank - 1 : 0]);
        }
        CHECK_EQ_U64(vv_histogram_max(&h), values[VALUES - 1]);
    }
}

TEST(merging_is_adding_all_of_both)
{
    static struct vv_histogram a;
    static struct vv_histogram b;
    for (uint64_t v = 0; v < 100; v++)
        vv_histogram_add(&a, v);
    vv_histogram_add(&b, 1000);
    vv_histogram_merge(&a, &b);
    CHECK_EQ_U64(vv_histogram_count(&a), 101);
    CHECK_EQ_U64(vv_histogram_max(&a), 1000);
    CHECK(vv_histogram_mean(&a) > 58.9 && vv_histogram_mean(&a) < 59);
}

TEST(powers_hold_every_value_once)
{
    struct vv_histogram h = {0};
    uint64_t slots[5];
    const uint64_t values[] = {0, 1, 2, 3, 4, 7, 8, 15, 1000000, 1000000};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        vv_histogram_add(&h, values[i]);
    vv_histogram_powers(&h, slots, 5);
    const uint64_t wanted[] = {1, 1, 2, 2, 4};
    for (size_t i = 0; i < 5; i++)
        CHECK_EQ_U64(slots[i], wanted[i]);
}
