/*
 * A buffer grows as needed, and a failed append leaves it as it was.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "harness/test.h"

TEST(an_empty_buffer_needs_no_memory)
{
    struct vv_buf buf = VV_BUF_INIT;
    CHECK_OK(vv_buf_append(&buf, NULL, 0));
    CHECK_OK(vv_buf_append_slice(&buf, VV_SLICE_EMPTY));
    CHECK_OK(vv_buf_assign(&buf, VV_SLICE_EMPTY));
    CHECK_EQ_INT(buf.size, 0);
    CHECK_EQ_INT(buf.cap, 0);
    vv_buf_deinit(&buf);
    vv_buf_deinit(&buf);
}

TEST(everything_appended_stands_in_order)
{
    struct vv_buf buf = VV_BUF_INIT;
    CHECK_OK(vv_buf_append(&buf, "ab", 2));
    CHECK_OK(vv_buf_append_byte(&buf, 'c'));
    CHECK_OK(vv_buf_append_varint(&buf, 300));
    CHECK_OK(vv_buf_append_u32(&buf, 1));
    CHECK_OK(vv_buf_append_u64(&buf, 2));
    CHECK_OK(vv_buf_printf(&buf, "%d-%s", 7, "x"));
    CHECK_SLICE(vv_buf_slice(&buf), "abc\xac\x02\x01\0\0\0\x02\0\0\0\0\0\0\0007-x");
    CHECK_OK(vv_buf_assign(&buf, vv_slice_str("new")));
    CHECK_SLICE(vv_buf_slice(&buf), "new");
    vv_buf_clear(&buf);
    CHECK_EQ_INT(buf.size, 0);
    vv_buf_deinit(&buf);
}

TEST(reserved_room_is_there_and_moves_nothing)
{
    struct vv_buf buf = VV_BUF_INIT;
    CHECK_OK(vv_buf_append(&buf, "keep", 4));
    CHECK_OK(vv_buf_reserve(&buf, 100000));
    CHECK(buf.cap - buf.size >= 100000);
    const uint8_t *data = buf.data;
    for (int i = 0; i < 100000; i++)
        CHECK_OK(vv_buf_append_byte(&buf, (uint8_t)i));
    CHECK(buf.data == data);
    CHECK_BYTES(buf.data, 4, "keep", 4);
    vv_buf_deinit(&buf);
}

TEST(a_failed_append_leaves_the_buffer_as_it_was)
{
    struct vv_buf buf = VV_BUF_INIT;
    CHECK_OK(vv_buf_append(&buf, "abc", 3));
    size_t cap = buf.cap;
    static const uint8_t more[4096];
    vv_alloc_fail_at(1);
    CHECK_RC(vv_buf_append(&buf, more, sizeof more), VV_NOMEM);
    CHECK_SLICE(vv_buf_slice(&buf), "abc");
    CHECK_EQ_INT(buf.cap, cap);
    vv_alloc_fail_at(1);
    CHECK_RC(vv_buf_printf(&buf, "%4096d", 1), VV_NOMEM);
    CHECK_SLICE(vv_buf_slice(&buf), "abc");
    CHECK_RC(vv_buf_reserve(&buf, SIZE_MAX - 2), VV_NOMEM);
    CHECK_RC(vv_buf_reserve(&buf, SIZE_MAX), VV_NOMEM);
    CHECK_SLICE(vv_buf_slice(&buf), "abc");
    vv_alloc_fail_at(1);
    CHECK_RC(vv_buf_assign(&buf, vv_slice_of(more, sizeof more)), VV_NOMEM);
    CHECK_SLICE(vv_buf_slice(&buf), "abc");
    CHECK_OK(vv_buf_append(&buf, "d", 1));
    CHECK_SLICE(vv_buf_slice(&buf), "abcd");
    vv_buf_deinit(&buf);
}
