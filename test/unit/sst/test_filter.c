/*
 * Filters: they never deny what they hold, and rarely admit what they do not.
 */
#include "harness/test.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "sst/filter.h"
#include "sst/format.h"

#include <stdlib.h>

static const enum vv_filter_kind kinds[] = {VV_FILTER_BLOOM, VV_FILTER_FUSE8, VV_FILTER_FUSE16};

/* A filter of `count` hashes that depend on the salt. */
static void build(enum vv_filter_kind kind, uint64_t salt, size_t count, struct vv_buf *out)
{
    uint64_t *hashes = malloc(count * sizeof *hashes);
    for (size_t i = 0; i < count; i++)
        hashes[i] = vv_mix(salt + i);
    CHECK_OK(vv_filter_build(kind, hashes, count, out));
    free(hashes);
}

TEST(a_filter_never_denies_what_it_holds)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int round = 0; round < (test_soak() ? 3000 : 200); round++) {
        enum vv_filter_kind kind = kinds[round % 3];
        size_t count = round < 90 ? (size_t)round / 3 + 1 : 1 + vv_rng_below(&rng, 60000);
        uint64_t salt = vv_rng_next(&rng);
        struct vv_buf content = VV_BUF_INIT;
        struct vv_filter filter;
        build(kind, salt, count, &content);
        CHECK_EQ_INT(content.size, vv_filter_size(kind, count));
        CHECK_OK(vv_filter_decode(vv_buf_slice(&content), &filter));
        CHECK(filter.kind == kind);
        for (size_t i = 0; i < count; i++) {
            vv_filter_prefetch(&filter, vv_mix(salt + i));
            CHECK(vv_filter_may_hold(&filter, vv_mix(salt + i)));
        }
        vv_buf_deinit(&content);
    }
}

TEST(a_filter_rarely_admits_what_it_does_not_hold)
{
    static const double most[] = {0.011, 0.0046, 0.00005};
    static const double bits_most[] = {12.2, 9.9, 19.8};
    const size_t count = 30000;
    const size_t probes = 400000;
    for (int k = 0; k < 3; k++) {
        struct vv_buf content = VV_BUF_INIT;
        struct vv_filter filter;
        uint64_t salt = test_seed() * 1000003;
        build(kinds[k], salt, count, &content);
        CHECK_OK(vv_filter_decode(vv_buf_slice(&content), &filter));
        size_t admitted = 0;
        for (size_t i = 0; i < probes; i++)
            admitted += vv_filter_may_hold(&filter, vv_mix(salt + count + i));
        CHECK((double)admitted < most[k] * (double)probes);
        CHECK((double)content.size * 8 < bits_most[k] * (double)count);
        vv_buf_deinit(&content);
    }
}

TEST(hashes_may_repeat)
{
    for (int k = 0; k < 3; k++) {
        uint64_t hashes[1000];
        struct vv_buf content = VV_BUF_INIT;
        struct vv_filter filter;
        for (size_t i = 0; i < 1000; i++)
            hashes[i] = vv_mix(i % 7);
        CHECK_OK(vv_filter_build(kinds[k], hashes, 1000, &content));
        CHECK_OK(vv_filter_decode(vv_buf_slice(&content), &filter));
        for (uint64_t i = 0; i < 7; i++)
            CHECK(vv_filter_may_hold(&filter, vv_mix(i)));
        vv_buf_deinit(&content);
    }
}

TEST(a_malformed_filter_is_refused_or_harmless)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int round = 0; round < 3000; round++) {
        struct vv_buf content = VV_BUF_INIT;
        struct vv_filter filter;
        build(kinds[round % 3], 0, 1 + vv_rng_below(&rng, 200), &content);
        size_t tail = content.size - VV_FILTER_TAIL_SIZE;
        content.data[tail + vv_rng_below(&rng, VV_FILTER_TAIL_SIZE)] = (uint8_t)vv_rng_next(&rng);
        if (vv_rng_one_in(&rng, 4))
            content.size = vv_rng_below(&rng, content.size);
        uint8_t *exact = vv_memdup(content.data, content.size);
        int rc = vv_filter_decode((vv_slice){exact, content.size}, &filter);
        if (rc == VV_OK)
            for (uint64_t i = 0; i < 100; i++)
                (void)vv_filter_may_hold(&filter, vv_rng_next(&rng));
        else
            CHECK_RC(rc, VV_CORRUPT);
        vv_free(exact);
        vv_buf_deinit(&content);
    }
}

TEST(building_without_memory_fails_cleanly)
{
    for (uint64_t n = 1; n < 4; n++) {
        struct vv_buf content = VV_BUF_INIT;
        uint64_t hashes[3] = {vv_mix(1), vv_mix(2), vv_mix(3)};
        vv_alloc_fail_at(n);
        int rc = vv_filter_build(VV_FILTER_FUSE8, hashes, 3, &content);
        vv_alloc_fail_at(0);
        CHECK(rc == (n < 3 ? VV_NOMEM : VV_OK));
        vv_buf_deinit(&content);
    }
}
