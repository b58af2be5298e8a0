/*
 * Slices compare as strings of unsigned bytes, and their heads never contradict that order.
 */
#include "base/rng.h"
#include "base/slice.h"
#include "harness/test.h"

static vv_slice random_slice(struct vv_rng *rng, uint8_t *into, size_t size_max)
{
    static const uint8_t alphabet[4] = {0, 1, 0x80, 0xff};
    size_t size = vv_rng_below(rng, size_max + 1);
    for (size_t i = 0; i < size; i++)
        into[i] = alphabet[vv_rng_below(rng, 4)];
    return vv_slice_of(into, size);
}

TEST(order_is_bytewise_and_a_prefix_comes_first)
{
    CHECK(vv_slice_cmp(vv_slice_str("a"), vv_slice_str("b")) < 0);
    CHECK(vv_slice_cmp(vv_slice_str("a"), vv_slice_str("aa")) < 0);
    CHECK(vv_slice_cmp(vv_slice_str("b"), vv_slice_str("aa")) > 0);
    CHECK(vv_slice_cmp(vv_slice_of("\x7f", 1), vv_slice_of("\x80", 1)) < 0);
    CHECK(vv_slice_cmp(vv_slice_of("a", 1), vv_slice_of("a\0", 2)) < 0);
    CHECK_EQ_INT(vv_slice_cmp(VV_SLICE_EMPTY, vv_slice_str("")), 0);
    CHECK(vv_slice_cmp(VV_SLICE_EMPTY, vv_slice_of("\0", 1)) < 0);
}

TEST(different_heads_decide_the_order)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int i = 0; i < 100000; i++) {
        uint8_t bytes[2][12];
        vv_slice a = random_slice(&rng, bytes[0], sizeof bytes[0]);
        vv_slice b = random_slice(&rng, bytes[1], sizeof bytes[1]);
        uint64_t head_a = vv_slice_head(a);
        uint64_t head_b = vv_slice_head(b);
        if (head_a != head_b)
            CHECK_EQ_INT(head_a < head_b, vv_slice_cmp(a, b) < 0);
        else if (a.size >= 8 && b.size >= 8)
            CHECK(vv_slice_common(a, b) >= 8);
    }
}

TEST(empty_slices_need_no_memory)
{
    CHECK(vv_slice_equal(VV_SLICE_EMPTY, vv_slice_str("")));
    CHECK(vv_slice_starts(vv_slice_str("a"), VV_SLICE_EMPTY));
    CHECK(vv_slice_starts(VV_SLICE_EMPTY, VV_SLICE_EMPTY));
    CHECK(!vv_slice_starts(VV_SLICE_EMPTY, vv_slice_str("a")));
    CHECK_EQ_INT(vv_slice_common(VV_SLICE_EMPTY, vv_slice_str("a")), 0);
    CHECK_EQ_INT(vv_slice_skip(VV_SLICE_EMPTY, 0).size, 0);
    CHECK_EQ_U64(vv_slice_head(VV_SLICE_EMPTY), 0);
}

TEST(common_bytes_are_counted_up_to_the_first_difference)
{
    CHECK_EQ_INT(vv_slice_common(vv_slice_str("abcd"), vv_slice_str("abxd")), 2);
    CHECK_EQ_INT(vv_slice_common(vv_slice_str("abcd"), vv_slice_str("ab")), 2);
    CHECK_EQ_INT(vv_slice_common(vv_slice_str("abcd"), vv_slice_str("abcd")), 4);
    CHECK(vv_slice_starts(vv_slice_str("abcd"), vv_slice_str("abc")));
    CHECK_SLICE(vv_slice_skip(vv_slice_str("abcd"), 3), "d");
}
