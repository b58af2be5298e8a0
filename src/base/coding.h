/*
 * Integers on disk: little-endian, or varints of seven bits a byte, low bits first.
 *
 * A reader walks bytes it does not trust. It is sticky: after the first read that does not fit,
 * everything reads as zero and `bad` stays set, so a decoder reads all its fields and asks once.
 */
#ifndef VV_BASE_CODING_H
#define VV_BASE_CODING_H

#include "base/slice.h"

enum { VV_VARINT_SIZE_MAX = 10 };

static inline void vv_put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

static inline void vv_put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static inline void vv_put_u64(uint8_t *at, uint64_t v)
{
    /* In halves, because compilers make one store of four bytes and a loop of eight. */
    vv_put_u32(at, (uint32_t)v);
    vv_put_u32(at + 4, (uint32_t)(v >> 32));
}

static inline uint16_t vv_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t vv_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t vv_get_u64(const uint8_t *at)
{
    return (uint64_t)vv_get_u32(at) | (uint64_t)vv_get_u32(at + 4) << 32;
}

/* Writes at most VV_VARINT_SIZE_MAX bytes and returns how many. */
static inline size_t vv_put_varint(uint8_t *at, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        at[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    at[n++] = (uint8_t)v;
    return n;
}

static inline size_t vv_varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

struct vv_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct vv_reader vv_reader_of(vv_slice s)
{
    return (struct vv_reader){s.data, s.size > 0 ? s.data + s.size : s.data, false};
}

static inline size_t vv_reader_left(const struct vv_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `size_bytes` bytes, or an empty slice with `bad` set. */
static inline vv_slice vv_read_bytes(struct vv_reader *r, uint64_t size_bytes)
{
    if (r->bad || size_bytes > vv_reader_left(r)) {
        r->bad = true;
        return VV_SLICE_EMPTY;
    }
    vv_slice s = {r->at, (size_t)size_bytes};
    if (size_bytes > 0) /* nothing may be added to NULL, not even nothing */
        r->at += size_bytes;
    return s;
}

static inline uint8_t vv_read_u8(struct vv_reader *r)
{
    vv_slice s = vv_read_bytes(r, 1);
    return s.size == 1 ? s.data[0] : 0;
}

static inline uint16_t vv_read_u16(struct vv_reader *r)
{
    vv_slice s = vv_read_bytes(r, 2);
    return s.size == 2 ? vv_get_u16(s.data) : 0;
}

static inline uint32_t vv_read_u32(struct vv_reader *r)
{
    vv_slice s = vv_read_bytes(r, 4);
    return s.size == 4 ? vv_get_u32(s.data) : 0;
}

static inline uint64_t vv_read_u64(struct vv_reader *r)
{
    vv_slice s = vv_read_bytes(r, 8);
    return s.size == 8 ? vv_get_u64(s.data) : 0;
}

/* Refuses more than ten bytes, a tenth byte above 1, and a last byte of zero after others, so that
 * each number has exactly one encoding. */
static inline uint64_t vv_read_varint(struct vv_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = vv_read_u8(r);
        if (r->bad || (shift == 63 && byte > 1) || (byte == 0 && shift > 0))
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    r->bad = true;
    return 0;
}

/* A varint length and that many bytes. */
static inline vv_slice vv_read_sized(struct vv_reader *r)
{
    uint64_t size_bytes = vv_read_varint(r);
    return vv_read_bytes(r, size_bytes);
}

#endif
