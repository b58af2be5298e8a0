/*
 * A slice is borrowed bytes: a pointer and a length, nothing owned. Any byte may occur in it.
 */
#ifndef VV_BASE_SLICE_H
#define VV_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *data;
    size_t size;
} vv_slice;

#define VV_SLICE_EMPTY ((vv_slice){NULL, 0})

static inline vv_slice vv_slice_of(const void *data, size_t size)
{
    return (vv_slice){data, size};
}

static inline vv_slice vv_slice_str(const char *text)
{
    return (vv_slice){(const uint8_t *)text, strlen(text)};
}

/* The slice without its first `count` bytes, of which it must have at least that many. */
static inline vv_slice vv_slice_skip(vv_slice s, size_t count)
{
    return (vv_slice){count > 0 ? s.data + count : s.data, s.size - count};
}

/* Bytewise order; a proper prefix comes before the longer key. */
static inline int vv_slice_cmp(vv_slice a, vv_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool vv_slice_equal(vv_slice a, vv_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool vv_slice_starts(vv_slice s, vv_slice prefix)
{
    return s.size >= prefix.size &&
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* How many leading bytes both have in common. */
static inline size_t vv_slice_common(vv_slice a, vv_slice b)
{
    size_t limit = a.size < b.size ? a.size : b.size;
    size_t n = 0;
    while (n < limit && a.data[n] == b.data[n])
        n++;
    return n;
}

/* The first eight bytes as a number whose order is the bytewise order; short keys are padded with
 * zeros, so equal heads decide nothing unless both keys are eight bytes long. */
static inline uint64_t vv_slice_head(vv_slice s)
{
    uint64_t head = 0;
    if (s.size >= 8) {
        memcpy(&head, s.data, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        head = __builtin_bswap64(head);
#endif
        return head;
    }
    for (size_t i = 0; i < s.size; i++)
        head |= (uint64_t)s.data[i] << (56 - 8 * i);
    return head;
}

#endif
