/*
 * Reads a slotted block (sst/format.h): finding a key by its fingerprint, searching by order,
 * walking.
 *
 * A block is verified once, when its bytes come in; from then on it is decoded without checks, as
 * often as needed, into a view that points into it. VV_BLOCK_SLACK bytes behind the content must be
 * readable, whatever they are.
 */
#ifndef VV_SST_BLOCK_H
#define VV_SST_BLOCK_H

#include "base/buf.h"
#include "base/error.h"
#include "kv/entry.h"
#include "kv/order.h"
#include "sst/format.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct vv_block_view {
    const uint8_t *prefix;
    const uint8_t *prints;
    const uint8_t *heads;
    const uint8_t *suffix_at; /* offsets, unless the sizes are fixed */
    const uint8_t *value_at;
    const uint8_t *metas;
    const uint8_t *suffixes;
    const uint8_t *values;
    uint32_t count;
    uint32_t prefix_size;
    uint32_t suffix_size; /* of each with VV_BLOCK_FIXED_SUFFIX, else of all; as in the format */
    uint32_t value_size;
    uint32_t flags;
    uint32_t meta_width;
    uint64_t meta_mask;
    vv_seq base_seq;
    enum vv_kind base_kind;
};

/* Verifies that `content` is a block fit for `role` and `order`: all sizes add up, all offsets stand
 * in it, all entries are possible ones. VV_UNSUPPORTED for flags and kinds that are not known,
 * VV_CORRUPT for anything else. The order of entries is not looked at. */
VV_MUST int vv_block_verify(vv_slice content, enum vv_role role, const struct vv_order *order);

/* Asserts nothing, proves it: keys ascend, versions descend, heads are those of the keys, and
 * (`role` data) fingerprints too. VV_CORRUPT otherwise. For a verified block. */
VV_MUST int vv_block_verify_order(const struct vv_block_view *v, const struct vv_order *order);

/* The first slot that is not in front of (key, bound): an entry is in front when its key is less, or
 * equal with a sequence of at least `bound`. So bound VV_BOUND_FIRST finds the key's newest version
 * or what follows, seq + 1 its newest version not above seq, and VV_BOUND_PAST the next key. */
#define VV_BOUND_FIRST UINT64_MAX
#define VV_BOUND_PAST  0

uint32_t vv_block_search(const struct vv_block_view *v, const struct vv_order *order, vv_slice key,
                         uint64_t bound);

/* The newest version of `key` not above `seq`: VV_OK or VV_NOTFOUND. `hash` is vv_hash(key). For
 * blocks with prints. */
VV_MUST int vv_block_find(const struct vv_block_view *v, vv_slice key, uint64_t hash, vv_seq seq,
                          uint32_t *slot);

/* The view of a verified block. */
static inline void vv_block_decode(const uint8_t *content, struct vv_block_view *out)
{
    uint32_t flags = content[VV_BLOCK_FLAGS];
    uint32_t count = vv_get_u16(content + VV_BLOCK_COUNT);
    uint32_t width = content[VV_BLOCK_META_WIDTH];
    uint64_t base = vv_get_u64(content + VV_BLOCK_BASE);
    const uint8_t *at = content + VV_BLOCK_HEAD_SIZE;
    out->flags = flags;
    out->count = count;
    out->meta_width = width;
    out->meta_mask = width == 0 ? 0 : UINT64_MAX >> (64 - 8 * width);
    out->base_seq = base & VV_SEQ_MAX;
    out->base_kind = (enum vv_kind)(base >> 56);
    out->prefix_size = vv_get_u32(content + VV_BLOCK_PREFIX_SIZE);
    out->suffix_size = vv_get_u32(content + VV_BLOCK_SUFFIX_SIZE);
    out->value_size = vv_get_u32(content + VV_BLOCK_VALUE_SIZE);
    out->prefix = at;
    at += out->prefix_size;
    out->prints = at;
    at += (flags & VV_BLOCK_PRINTS) != 0 ? count : 0;
    out->heads = at;
    at += (flags & VV_BLOCK_HEADS) != 0 ? (size_t)count * 4 : 0;
    out->suffix_at = at;
    if ((flags & VV_BLOCK_FIXED_SUFFIX) == 0)
        at += ((size_t)count + 1) << ((flags & VV_BLOCK_WIDE_SUFFIX) != 0 ? 2 : 1);
    out->value_at = at;
    if ((flags & VV_BLOCK_FIXED_VALUE) == 0)
        at += ((size_t)count + 1) << ((flags & VV_BLOCK_WIDE_VALUE) != 0 ? 2 : 1);
    out->metas = at;
    at += (size_t)count * width;
    out->suffixes = at;
    at +=
        (flags & VV_BLOCK_FIXED_SUFFIX) != 0 ? (size_t)count * out->suffix_size : out->suffix_size;
    out->values = at;
}

/* What stands in slot `i` of an array of offsets, as a slice of `bytes`. */
static inline vv_slice vv_block_piece(const uint8_t *bytes, const uint8_t *offsets, uint32_t i,
                                      bool is_wide)
{
    uint32_t from;
    uint32_t to;
    if (is_wide) {
        from = vv_get_u32(offsets + 4 * (size_t)i);
        to = vv_get_u32(offsets + 4 * (size_t)i + 4);
    } else {
        from = vv_get_u16(offsets + 2 * (size_t)i);
        to = vv_get_u16(offsets + 2 * (size_t)i + 2);
    }
    return (vv_slice){bytes + from, to - from};
}

static inline vv_slice vv_block_suffix(const struct vv_block_view *v, uint32_t i)
{
    if ((v->flags & VV_BLOCK_FIXED_SUFFIX) != 0)
        return (vv_slice){v->suffixes + (size_t)i * v->suffix_size, v->suffix_size};
    return vv_block_piece(v->suffixes, v->suffix_at, i, (v->flags & VV_BLOCK_WIDE_SUFFIX) != 0);
}

static inline vv_slice vv_block_value(const struct vv_block_view *v, uint32_t i)
{
    if ((v->flags & VV_BLOCK_FIXED_VALUE) != 0)
        return (vv_slice){v->values + (size_t)i * v->value_size, v->value_size};
    return vv_block_piece(v->values, v->value_at, i, (v->flags & VV_BLOCK_WIDE_VALUE) != 0);
}

/* Sequence relative to the base << 4 | kind; only for blocks with meta. */
static inline uint64_t vv_block_meta(const struct vv_block_view *v, uint32_t i)
{
    return vv_get_u64(v->metas + (size_t)i * v->meta_width) & v->meta_mask;
}

static inline vv_seq vv_block_seq(const struct vv_block_view *v, uint32_t i)
{
    return v->base_seq + (v->meta_width == 0 ? 0 : vv_block_meta(v, i) >> VV_BLOCK_META_KIND_BITS);
}

static inline enum vv_kind vv_block_kind(const struct vv_block_view *v, uint32_t i)
{
    return v->meta_width == 0 ? v->base_kind
                              : (enum vv_kind)(vv_block_meta(v, i) & VV_BLOCK_META_KIND_MASK);
}

/* How large a buffer for joined keys must be. */
static inline size_t vv_block_key_room(const struct vv_block_view *v)
{
    size_t suffix = v->suffix_size < VV_KEY_SIZE_MAX ? v->suffix_size : VV_KEY_SIZE_MAX;
    return v->prefix_size + suffix + 8;
}

/* The entry in slot `i`. A key that is not whole in the block is joined in `joined`, which begins
 * with the block's prefix already and has vv_block_key_room() bytes. */
static inline void vv_block_entry(const struct vv_block_view *v, uint32_t i, uint8_t *joined,
                                  struct vv_entry *out)
{
    vv_slice suffix = vv_block_suffix(v, i);
    if (v->prefix_size == 0) {
        out->key = suffix;
    } else {
        /* Whole words, for speed: both sides have slack. */
        uint8_t *into = joined + v->prefix_size;
        for (size_t done = 0; done < suffix.size; done += 8)
            memcpy(into + done, suffix.data + done, 8);
        out->key = (vv_slice){joined, v->prefix_size + suffix.size};
    }
    out->value = vv_block_value(v, i);
    if (v->meta_width == 0) {
        out->seq = v->base_seq;
        out->kind = v->base_kind;
    } else {
        uint64_t meta = vv_block_meta(v, i);
        out->seq = v->base_seq + (meta >> VV_BLOCK_META_KIND_BITS);
        out->kind = (enum vv_kind)(meta & VV_BLOCK_META_KIND_MASK);
    }
}

/* Which of the 16 bytes at `at` equal `print`: one bit each, the lowest for the first. */
static inline uint32_t vv_print_matches(const uint8_t *at, uint8_t print)
{
#if defined(__SSE2__)
    __m128i bytes;
    memcpy(&bytes, at, sizeof bytes);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)print)));
#else
    const uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;
    uint32_t matches = 0;
    for (unsigned half = 0; half < 2; half++) {
        uint64_t x = vv_get_u64(at + 8 * half) ^ (0x0101010101010101u * print);
        uint64_t zero = ~(((x & low7) + low7) | x | low7); /* bit 7 of each byte that is zero */
        matches |= (uint32_t)(((zero >> 7) * 0x0102040810204080u) >> 56) << (8 * half);
    }
    return matches;
#endif
}

/* memcmp(a, b, size) == 0 without a call; keys are short. */
static inline bool vv_bytes_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint64_t x;
    uint64_t y;
    if (size < 8) {
        uint32_t differences = 0;
        for (size_t i = 0; i < size; i++)
            differences |= (uint32_t)(a[i] ^ b[i]);
        return differences == 0;
    }
    for (size_t i = 0; i + 8 < size; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return false;
    }
    memcpy(&x, a + size - 8, 8);
    memcpy(&y, b + size - 8, 8);
    return x == y;
}

#endif
