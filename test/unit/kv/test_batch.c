/*
 * Whatever goes into a batch comes out of it, and bytes that no batch wrote are refused.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"
#include "harness/test.h"
#include "kv/batch.h"
#include "kv/expiry.h"

static const uint8_t some_ref[VV_REF_SIZE] = "0123456789abcde";

static void check_next(struct vv_reader *r, enum vv_kind kind, vv_slice key, vv_slice value)
{
    struct vv_entry op = {.seq = 77};
    CHECK_OK(vv_batch_next(r, &op));
    CHECK_EQ_INT(op.kind, kind);
    CHECK(vv_slice_equal(op.key, key));
    CHECK(vv_slice_equal(op.value, value));
    CHECK_EQ_U64(op.seq, 77);
}

static void check_end(struct vv_reader *r)
{
    struct vv_entry op;
    CHECK_RC(vv_batch_next(r, &op), VV_END);
    CHECK_RC(vv_batch_next(r, &op), VV_END);
}

static void check_refused(const void *bytes, size_t size)
{
    struct vv_reader r = vv_reader_of(vv_slice_of(bytes, size));
    struct vv_entry op;
    CHECK_RC(vv_batch_next(&r, &op), VV_CORRUPT);
    CHECK_RC(vv_batch_next(&r, &op), VV_CORRUPT);
    CHECK_RC(vv_batch_verify(vv_slice_of(bytes, size), 1), VV_CORRUPT);
}

TEST(operations_come_out_as_they_went_in)
{
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_put(&b, vv_slice_str("k"), vv_slice_str("value")));
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("gone")));
    CHECK_OK(vv_batch_put_ref(&b, vv_slice_str("large"), some_ref));
    CHECK_OK(vv_batch_put(&b, VV_SLICE_EMPTY, VV_SLICE_EMPTY));
    CHECK_EQ_INT(b.count, 4);
    CHECK_OK(vv_batch_verify(vv_buf_slice(&b.ops), 4));

    struct vv_reader r = vv_reader_of(vv_buf_slice(&b.ops));
    check_next(&r, VV_KIND_PUT, vv_slice_str("k"), vv_slice_str("value"));
    check_next(&r, VV_KIND_DELETE, vv_slice_str("gone"), VV_SLICE_EMPTY);
    check_next(&r, VV_KIND_REF, vv_slice_str("large"), vv_slice_of(some_ref, VV_REF_SIZE));
    check_next(&r, VV_KIND_PUT, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
    check_end(&r);
    vv_batch_deinit(&b);
}

TEST(batch_bytes_never_change)
{
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_put(&b, vv_slice_str("key"), vv_slice_str("v")));
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("d")));
    CHECK_OK(vv_batch_put_ref(&b, vv_slice_str("r"), some_ref));
    CHECK_SLICE(vv_buf_slice(&b.ops), "\x01\x03key\x01v"
                                      "\x00\x01"
                                      "d"
                                      "\x02\x01r\x10"
                                      "0123456789abcde\0");
    vv_batch_deinit(&b);
}

TEST(a_batch_is_empty_again_after_clear_and_deinit)
{
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_verify(vv_buf_slice(&b.ops), 0));
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("x")));
    vv_batch_clear(&b);
    CHECK_EQ_INT(b.count, 0);
    CHECK_OK(vv_batch_verify(vv_buf_slice(&b.ops), 0));
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("y")));
    CHECK_EQ_INT(b.count, 1);
    vv_batch_deinit(&b);
    CHECK_EQ_INT(b.count, 0);
    vv_batch_deinit(&b);
}

TEST(keys_up_to_the_limit_are_taken_and_longer_ones_refused)
{
    static uint8_t key[VV_KEY_SIZE_MAX + 1];
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_put(&b, vv_slice_of(key, VV_KEY_SIZE_MAX), vv_slice_str("v")));
    CHECK_RC(vv_batch_put(&b, vv_slice_of(key, sizeof key), vv_slice_str("v")), VV_TOOBIG);
    CHECK_RC(vv_batch_delete(&b, vv_slice_of(key, sizeof key)), VV_TOOBIG);
    CHECK_RC(vv_batch_put_ref(&b, vv_slice_of(key, sizeof key), some_ref), VV_TOOBIG);
    CHECK_EQ_INT(b.count, 1);
    CHECK_OK(vv_batch_verify(vv_buf_slice(&b.ops), 1));
    vv_batch_deinit(&b);
}

TEST(a_value_over_the_limit_is_refused_unread)
{
    struct vv_batch b = {0};
    vv_slice value = vv_slice_of("", (size_t)VV_VALUE_SIZE_MAX + 1);
    CHECK_RC(vv_batch_put(&b, vv_slice_str("k"), value), VV_TOOBIG);
    CHECK_EQ_INT(b.ops.size, 0);
    b.count = UINT32_MAX;
    CHECK_RC(vv_batch_delete(&b, vv_slice_str("k")), VV_TOOBIG);
    vv_batch_deinit(&b);
}

TEST(memory_that_runs_out_leaves_the_batch_as_it_was)
{
    static uint8_t value[100000];
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_put(&b, vv_slice_str("k"), vv_slice_str("v")));
    size_t size = b.ops.size;
    vv_alloc_fail_at(1);
    CHECK_RC(vv_batch_put(&b, vv_slice_str("k"), vv_slice_of(value, sizeof value)), VV_NOMEM);
    struct vv_batch more = {0};
    CHECK_OK(vv_batch_put(&more, vv_slice_str("k"), vv_slice_of(value, sizeof value)));
    vv_alloc_fail_at(1);
    CHECK_RC(vv_batch_append(&b, &more), VV_NOMEM);
    CHECK_EQ_INT(b.count, 1);
    CHECK_EQ_INT(b.ops.size, size);
    CHECK_OK(vv_batch_verify(vv_buf_slice(&b.ops), 1));
    vv_batch_deinit(&b);
    vv_batch_deinit(&more);
}

TEST(an_appended_batch_follows_what_was_there)
{
    struct vv_batch b = {0};
    struct vv_batch more = {0};
    CHECK_OK(vv_batch_append(&b, &more));
    CHECK_EQ_INT(b.count, 0);
    CHECK_OK(vv_batch_put(&b, vv_slice_str("k"), vv_slice_str("v")));
    CHECK_OK(vv_batch_delete(&more, vv_slice_str("k")));
    CHECK_OK(vv_batch_append(&b, &more));
    CHECK_OK(vv_batch_append(&b, &b));
    CHECK_EQ_INT(b.count, 4);
    struct vv_reader r = vv_reader_of(vv_buf_slice(&b.ops));
    for (int i = 0; i < 2; i++) {
        check_next(&r, VV_KIND_PUT, vv_slice_str("k"), vv_slice_str("v"));
        check_next(&r, VV_KIND_DELETE, vv_slice_str("k"), VV_SLICE_EMPTY);
    }
    check_end(&r);
    more.count = UINT32_MAX;
    CHECK_RC(vv_batch_append(&b, &more), VV_TOOBIG);
    CHECK_OK(vv_batch_verify(vv_buf_slice(&b.ops), 4));
    vv_batch_deinit(&b);
    vv_batch_deinit(&more);
}

TEST(bytes_that_are_no_operation_are_refused)
{
    check_refused("\x01", 1); /* cut short everywhere */
    check_refused("\x01\x02k", 3);
    check_refused("\x01\x01k", 3);
    check_refused("\x01\x01k\x02v", 5);
    check_refused("\x00\x02k", 3);
    check_refused("\x01\x81\x00k\x00", 5); /* a length with a second encoding */
    check_refused("\x01\x01k\x80\x00", 5);
    check_refused("\x02\x01k\x0f" /* a reference of 15 or 17 bytes */
                  "0123456789abcde",
                  19);
    check_refused("\x02\x01k\x11"
                  "0123456789abcdefg",
                  21);
    check_refused("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k", 12); /* lengths without end */
    check_refused("\x01\x01k\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01v", 14);
}

TEST(a_kind_that_is_not_known_is_of_a_newer_version)
{
    static const uint8_t heads[] = {0x0e, 0x0f, 0x11,
                                    0x81}; /* the last two: a bit above the kind */
    for (size_t i = 0; i < sizeof heads; i++) {
        uint8_t bytes[] = {heads[i], 1, 'k', 0};
        struct vv_reader r = vv_reader_of(vv_slice_of(bytes, sizeof bytes));
        struct vv_entry op;
        CHECK_RC(vv_batch_next(&r, &op), VV_UNSUPPORTED);
        CHECK_RC(vv_batch_verify(vv_slice_of(bytes, sizeof bytes), 1), VV_UNSUPPORTED);
    }
}

TEST(a_key_over_the_limit_is_refused_when_read)
{
    static uint8_t bytes[VV_KEY_SIZE_MAX + 16];
    size_t size = 0;
    bytes[size++] = VV_KIND_DELETE;
    size += vv_put_varint(bytes + size, VV_KEY_SIZE_MAX + 1);
    size += VV_KEY_SIZE_MAX + 1;
    check_refused(bytes, size);
    size = 1 + vv_put_varint(bytes + 1, VV_KEY_SIZE_MAX) + VV_KEY_SIZE_MAX;
    CHECK_OK(vv_batch_verify(vv_slice_of(bytes, size), 1));
}

TEST(the_count_must_be_right)
{
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("a")));
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("b")));
    CHECK_RC(vv_batch_verify(vv_buf_slice(&b.ops), 1), VV_CORRUPT);
    CHECK_RC(vv_batch_verify(vv_buf_slice(&b.ops), 3), VV_CORRUPT);
    CHECK_RC(vv_batch_verify(VV_SLICE_EMPTY, 1), VV_CORRUPT);
    CHECK_OK(vv_batch_verify(VV_SLICE_EMPTY, 0));
    vv_batch_deinit(&b);
}

/* Bytes that are accepted at all are exactly what the encoder would write for what was read. */
static void check_canonical(vv_slice bytes)
{
    struct vv_batch again = {0};
    struct vv_reader r = vv_reader_of(bytes);
    struct vv_entry op;
    int rc;
    while ((rc = vv_batch_next(&r, &op)) == VV_OK) {
        if (op.kind == VV_KIND_PUT)
            CHECK_OK(vv_batch_put(&again, op.key, op.value));
        else if (op.kind == VV_KIND_DELETE)
            CHECK_OK(vv_batch_delete(&again, op.key));
        else if (op.kind == VV_KIND_DELETE_RANGE)
            CHECK_OK(vv_batch_delete_range(&again, op.key, op.value));
        else if (op.kind == VV_KIND_MERGE)
            CHECK_OK(vv_batch_merge(&again, op.key, op.value));
        else if (op.kind == VV_KIND_PUT_EXPIRES)
            CHECK_OK(vv_batch_put_expires(&again, op.key, vv_expiry_strip(op.kind, op.value),
                                          vv_expiry_of(op.kind, op.value)));
        else if (op.kind == VV_KIND_REF_EXPIRES)
            CHECK_OK(vv_batch_put_ref_expires(&again, op.key,
                                              vv_expiry_strip(op.kind, op.value).data,
                                              vv_expiry_of(op.kind, op.value)));
        else
            CHECK_OK(vv_batch_put_ref(&again, op.key, op.value.data));
    }
    CHECK(again.ops.size <= bytes.size);
    if (again.ops.size > 0)
        CHECK_BYTES(bytes.data, again.ops.size, again.ops.data, again.ops.size);
    if (rc == VV_END)
        CHECK_EQ_INT(again.ops.size, bytes.size);
    CHECK_RC(vv_batch_verify(bytes, again.count), rc == VV_END ? VV_OK : rc);
    vv_batch_deinit(&again);
}

TEST(each_batch_has_one_encoding_whatever_is_damaged)
{
    struct vv_batch b = {0};
    CHECK_OK(vv_batch_put(&b, vv_slice_str("key"), vv_slice_str("value")));
    CHECK_OK(vv_batch_delete(&b, vv_slice_str("gone")));
    CHECK_OK(vv_batch_put_ref(&b, vv_slice_str("large"), some_ref));
    CHECK_OK(vv_batch_delete_range(&b, vv_slice_str("from"), vv_slice_str("to")));
    CHECK_OK(vv_batch_put_expires(&b, vv_slice_str("brief"), vv_slice_str("value"), 123456789));
    CHECK_OK(vv_batch_put_ref_expires(&b, vv_slice_str("brief"), some_ref, UINT64_MAX));
    CHECK_OK(vv_batch_merge(&b, vv_slice_str("sum"), vv_slice_str("one")));
    for (size_t size = 0; size <= b.ops.size; size++)
        check_canonical(vv_slice_of(b.ops.data, size));
    for (size_t i = 0; i < b.ops.size; i++) {
        uint8_t right = b.ops.data[i];
        for (unsigned wrong = 0; wrong < 256; wrong++) {
            b.ops.data[i] = (uint8_t)wrong;
            check_canonical(vv_buf_slice(&b.ops));
        }
        b.ops.data[i] = right;
    }
    vv_batch_deinit(&b);
}
