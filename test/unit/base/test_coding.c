/*
 * Integers on disk: fixed widths are little-endian on every machine, each varint has one encoding,
 * and a reader never leaves its bytes.
 */
#include "base/coding.h"
#include "base/rng.h"
#include "harness/test.h"

static uint64_t varint_of(const void *bytes, size_t size, bool *bad)
{
    struct vv_reader r = vv_reader_of(vv_slice_of(bytes, size));
    uint64_t v = vv_read_varint(&r);
    *bad = r.bad;
    if (!r.bad)
        CHECK_EQ_INT(vv_reader_left(&r), 0);
    return v;
}

static void check_round_trip(uint64_t v)
{
    uint8_t raw[VV_VARINT_SIZE_MAX];
    size_t size = vv_put_varint(raw, v);
    bool bad;
    CHECK_EQ_INT(size, vv_varint_size(v));
    CHECK_EQ_U64(varint_of(raw, size, &bad), v);
    CHECK(!bad);
    for (size_t cut = 0; cut < size; cut++) {
        (void)varint_of(raw, cut, &bad);
        CHECK(bad);
    }
}

TEST(fixed_integers_are_little_endian)
{
    uint8_t raw[8];
    vv_put_u16(raw, 0x0102);
    CHECK_BYTES(raw, 2, "\x02\x01", 2);
    CHECK_EQ_INT(vv_get_u16(raw), 0x0102);
    vv_put_u32(raw, 0xf1020304);
    CHECK_BYTES(raw, 4, "\x04\x03\x02\xf1", 4);
    CHECK_EQ_U64(vv_get_u32(raw), 0xf1020304);
    vv_put_u64(raw, 0xf102030405060708);
    CHECK_BYTES(raw, 8, "\x08\x07\x06\x05\x04\x03\x02\xf1", 8);
    CHECK_EQ_U64(vv_get_u64(raw), 0xf102030405060708);
}

TEST(varints_round_trip_at_every_length)
{
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t v = (uint64_t)1 << bits;
        check_round_trip(v - 1);
        check_round_trip(v);
        check_round_trip(v + 1);
    }
    check_round_trip(UINT64_MAX);
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int i = 0; i < 10000; i++)
        check_round_trip(vv_rng_next(&rng) >> vv_rng_below(&rng, 64));
}

TEST(varint_bytes_never_change)
{
    uint8_t raw[VV_VARINT_SIZE_MAX];
    CHECK_BYTES(raw, vv_put_varint(raw, 0), "\0", 1);
    CHECK_BYTES(raw, vv_put_varint(raw, 127), "\x7f", 1);
    CHECK_BYTES(raw, vv_put_varint(raw, 300), "\xac\x02", 2);
    CHECK_BYTES(raw, vv_put_varint(raw, UINT64_MAX), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                10);
}

TEST(a_number_has_no_second_varint_encoding)
{
    bool bad;
    (void)varint_of("\x80\x00", 2, &bad);
    CHECK(bad);
    (void)varint_of("\xff\x80\x00", 3, &bad);
    CHECK(bad);
    (void)varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &bad);
    CHECK(bad);
    (void)varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, &bad);
    CHECK(bad);

    /* Whatever two bytes are accepted, they are what the encoder would write. */
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t raw[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
        uint8_t again[VV_VARINT_SIZE_MAX];
        struct vv_reader r = vv_reader_of(vv_slice_of(raw, 2));
        uint64_t v = vv_read_varint(&r);
        if (!r.bad)
            CHECK_BYTES(again, vv_put_varint(again, v), raw, (size_t)(r.at - raw));
    }
}

TEST(a_reader_that_went_bad_stays_bad_and_reads_zero)
{
    struct vv_reader r = vv_reader_of(vv_slice_of("\x01\x02\x03", 3));
    CHECK_EQ_INT(vv_read_u8(&r), 1);
    CHECK_EQ_U64(vv_read_u32(&r), 0);
    CHECK(r.bad);
    CHECK_EQ_INT(vv_read_u8(&r), 0);
    CHECK_EQ_INT(vv_read_u16(&r), 0);
    CHECK_EQ_U64(vv_read_u64(&r), 0);
    CHECK_EQ_U64(vv_read_varint(&r), 0);
    CHECK_EQ_INT(vv_read_bytes(&r, 0).size, 0);
    CHECK(r.bad);
}

TEST(a_sized_slice_cannot_reach_past_the_end)
{
    struct vv_reader r = vv_reader_of(vv_slice_of("\x03"
                                                  "abcd",
                                                  5));
    CHECK_SLICE(vv_read_sized(&r), "abc");
    CHECK_EQ_INT(vv_reader_left(&r), 1);
    CHECK(!r.bad);

    r = vv_reader_of(vv_slice_of("\x05"
                                 "abcd",
                                 5));
    CHECK_EQ_INT(vv_read_sized(&r).size, 0);
    CHECK(r.bad);

    r = vv_reader_of(vv_slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                 "ab",
                                 12));
    CHECK_EQ_INT(vv_read_sized(&r).size, 0);
    CHECK(r.bad);
}

TEST(an_empty_slice_can_be_read)
{
    struct vv_reader r = vv_reader_of(VV_SLICE_EMPTY);
    CHECK_EQ_INT(vv_read_bytes(&r, 0).size, 0);
    CHECK(!r.bad);
    CHECK_EQ_INT(vv_read_u8(&r), 0);
    CHECK(r.bad);
}
