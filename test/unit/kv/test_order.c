/*
 * Internal order: keys ascending by the store's order, and of one key the newest version first.
 */
#include "harness/test.h"
#include "kv/order.h"
#include "kv/pin.h"
#include "kv/ref.h"

static const struct vv_order bytewise;

static int compare_backwards(void *context, vv_slice a, vv_slice b)
{
    ++*(int *)context;
    return vv_slice_cmp(b, a);
}

static int cmp(const char *a_key, vv_seq a_seq, const char *b_key, vv_seq b_seq)
{
    return vv_order_cmp_entry(&bytewise, vv_slice_str(a_key), a_seq, vv_slice_str(b_key), b_seq);
}

TEST(keys_ascend_and_the_newest_version_comes_first)
{
    CHECK(cmp("a", 1, "b", 1) < 0);
    CHECK(cmp("a", 1, "b", 9) < 0);
    CHECK(cmp("b", 9, "a", 1) > 0);
    CHECK(cmp("a", 2, "a", 1) < 0);
    CHECK(cmp("a", 1, "a", 2) > 0);
    CHECK_EQ_INT(cmp("a", 1, "a", 1), 0);
    CHECK(cmp("a", VV_SEQ_MAX, "a", 0) < 0);
    CHECK(cmp("a", 0, "aa", VV_SEQ_MAX) < 0);
}

TEST(zeroed_order_is_bytewise)
{
    CHECK(vv_order_bytewise(&bytewise));
    CHECK_EQ_STR(vv_order_name(&bytewise), VV_ORDER_BYTEWISE_NAME);
    CHECK(vv_order_cmp(&bytewise, vv_slice_of("\xff", 1), vv_slice_str("a")) > 0);
}

TEST(a_users_order_is_asked_with_its_context)
{
    int asked = 0;
    struct vv_order backwards = {
        .compare = compare_backwards, .context = &asked, .name = "backwards"};
    CHECK(!vv_order_bytewise(&backwards));
    CHECK_EQ_STR(vv_order_name(&backwards), "backwards");
    CHECK(vv_order_cmp(&backwards, vv_slice_str("a"), vv_slice_str("b")) > 0);
    CHECK(vv_order_cmp_entry(&backwards, vv_slice_str("b"), 1, vv_slice_str("a"), 9) < 0);
    CHECK(vv_order_cmp_entry(&backwards, vv_slice_str("a"), 2, vv_slice_str("a"), 1) < 0);
    CHECK_EQ_INT(asked, 3);
}

TEST(references_keep_their_bytes)
{
    uint8_t raw[VV_REF_SIZE];
    struct vv_ref ref = {0x01020304, 0x11121314, 0x21222324, 0xf1f2f3f4};
    struct vv_ref again;
    vv_ref_encode(ref, raw);
    CHECK_BYTES(raw, sizeof raw, "\x04\x03\x02\x01\x14\x13\x12\x11\x24\x23\x22\x21\xf4\xf3\xf2\xf1",
                16);
    CHECK(vv_ref_decode(vv_slice_of(raw, sizeof raw), &again));
    CHECK_EQ_U64(again.file, ref.file);
    CHECK_EQ_U64(again.offset_units, ref.offset_units);
    CHECK_EQ_U64(again.size_bytes, ref.size_bytes);
    CHECK_EQ_U64(again.check, ref.check);
    CHECK(!vv_ref_decode(vv_slice_of(raw, 15), &again));
    CHECK(!vv_ref_decode(VV_SLICE_EMPTY, &again));
}

static void count_release(void *owner)
{
    ++*(int *)owner;
}

TEST(a_pin_is_released_once)
{
    int released = 0;
    struct vv_pin pin = {
        .value = vv_slice_str("value"), .release = count_release, .owner = &released};
    vv_pin_release(&pin);
    vv_pin_release(&pin);
    CHECK_EQ_INT(released, 1);
    CHECK_EQ_INT(pin.value.size, 0);
}
