/*
 * The hash is part of the file formats: its values never change.
 */
#include "base/hash.h"
#include "base/rng.h"
#include "harness/test.h"

TEST(hash_values_never_change)
{
    CHECK_EQ_U64(vv_hash(VV_SLICE_EMPTY), 0x2d06800538d394c2);
    CHECK_EQ_U64(vv_hash(vv_slice_str("varve")), 0xc64e3d9268dd4f6f);
    CHECK_EQ_U64(vv_hash_seeded(vv_slice_str("varve"), 7), 0xe9c6c3c6274a31b3);
    CHECK_EQ_U64(vv_checksum(vv_slice_str("varve"), 7), 0x274a31b3);
}

TEST(a_seed_of_zero_is_no_seed)
{
    static const uint8_t bytes[1000] = {1, 2, 3};
    for (size_t size = 0; size <= sizeof bytes; size++)
        CHECK_EQ_U64(vv_hash_seeded(vv_slice_of(bytes, size), 0),
                     vv_hash(vv_slice_of(bytes, size)));
}

TEST(random_numbers_depend_on_the_seed_alone)
{
    struct vv_rng a = vv_rng_of(1);
    struct vv_rng b = vv_rng_of(1);
    struct vv_rng c = vv_rng_of(2);
    bool differ = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = vv_rng_next(&a);
        CHECK_EQ_U64(v, vv_rng_next(&b));
        differ = differ || v != vv_rng_next(&c);
    }
    CHECK(differ);
    for (int i = 0; i < 10000; i++)
        CHECK(vv_rng_below(&a, 7) < 7);
}
