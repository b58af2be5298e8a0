/*
 * Building and probing filters.
 *
 * A fuse filter is built by peeling: each key has three positions; a position that only one key has
 * is given to that key, the key is taken away, and so on until none is left; then, in the reverse
 * order, each key's own position gets the value that makes the xor of its three its fingerprint.
 * Peeling fails with small probability, and is tried again with another seed.
 */
#include "sst/filter.h"

#include "base/error.h"
#include "sst/format.h"

#include <stdlib.h>

enum {
    TAIL_KIND = 0,
    TAIL_PROBES = 1,
    TAIL_LOG_SEGMENT = 2,
    TAIL_ZERO = 3,
    TAIL_SEGMENTS = 4,
    TAIL_SEED = 8,

    BLOOM_LINE = 64,
    BLOOM_BITS_PER_KEY = 12,
    BLOOM_PROBES = 7,
    BLOOM_PROBES_MAX = 16,

    FUSE_LOG_SEGMENT_MIN = 2,
    FUSE_LOG_SEGMENT_MAX = 18,
    FUSE_TRIES = 100,
    FUSE_TRIES_UNSORTED = 3, /* then the hashes are made unique, which costs a sort */
};

__extension__ typedef unsigned __int128 uint128;

struct fuse_positions {
    uint32_t at[3];
};

static size_t fuse_width(enum vv_filter_kind kind)
{
    return kind == VV_FILTER_FUSE16 ? 2 : 1;
}

/* ------------------------------------------------------------------------------------ probing */

static inline struct fuse_positions fuse_positions_of(const struct vv_filter *f, uint64_t mixed)
{
    uint32_t mask = f->segment_length - 1;
    uint32_t first = (uint32_t)(((uint128)mixed * f->first_count) >> 64);
    return (struct fuse_positions){{first,
                                    (first + f->segment_length) ^ ((uint32_t)(mixed >> 18) & mask),
                                    (first + 2 * f->segment_length) ^ ((uint32_t)mixed & mask)}};
}

static inline uint16_t fuse_print(uint64_t mixed)
{
    return (uint16_t)(mixed ^ (mixed >> 32));
}

static inline const uint8_t *bloom_line(const struct vv_filter *f, uint64_t hash)
{
    uint64_t line = ((hash >> 32) * f->segments) >> 32;
    return f->array + line * BLOOM_LINE;
}

static bool bloom_may_hold(const struct vv_filter *f, uint64_t hash)
{
    const uint8_t *line = bloom_line(f, hash);
    uint32_t bits = (uint32_t)hash;
    uint32_t missing = 0;
    for (uint32_t i = 0; i < f->probes; i++) {
        bits *= 0x9e3779b9u;
        uint32_t bit = bits >> 23;
        missing |= ~(uint32_t)line[bit >> 3] & (1u << (bit & 7));
    }
    return missing == 0;
}

bool vv_filter_may_hold(const struct vv_filter *f, uint64_t hash)
{
    if (f->kind == VV_FILTER_BLOOM)
        return bloom_may_hold(f, hash);
    uint64_t mixed = vv_mix(hash + f->seed);
    struct fuse_positions p = fuse_positions_of(f, mixed);
    if (f->kind == VV_FILTER_FUSE8)
        return (uint8_t)(f->array[p.at[0]] ^ f->array[p.at[1]] ^ f->array[p.at[2]]) ==
               (uint8_t)fuse_print(mixed);
    return (vv_get_u16(f->array + 2 * (size_t)p.at[0]) ^
            vv_get_u16(f->array + 2 * (size_t)p.at[1]) ^
            vv_get_u16(f->array + 2 * (size_t)p.at[2])) == fuse_print(mixed);
}

void vv_filter_prefetch(const struct vv_filter *f, uint64_t hash)
{
    if (f->kind == VV_FILTER_BLOOM) {
        __builtin_prefetch(bloom_line(f, hash));
        return;
    }
    struct fuse_positions p = fuse_positions_of(f, vv_mix(hash + f->seed));
    for (int i = 0; i < 3; i++)
        __builtin_prefetch(f->array + p.at[i] * fuse_width(f->kind));
}

int vv_filter_decode(vv_slice content, struct vv_filter *out)
{
    if (content.size < VV_FILTER_TAIL_SIZE)
        return vv_fail(VV_CORRUPT, "a filter of %zu bytes has no description", content.size);
    size_t array_size = content.size - VV_FILTER_TAIL_SIZE;
    const uint8_t *tail = content.data + array_size;
    struct vv_filter f = {.array = content.data,
                          .kind = (enum vv_filter_kind)tail[TAIL_KIND],
                          .probes = tail[TAIL_PROBES],
                          .segments = vv_get_u32(tail + TAIL_SEGMENTS),
                          .seed = vv_get_u64(tail + TAIL_SEED)};
    uint32_t log_segment = tail[TAIL_LOG_SEGMENT];
    bool is_good = f.segments > 0 && tail[TAIL_ZERO] == 0;
    uint64_t wanted_size = 0;
    switch (tail[TAIL_KIND]) {
    case VV_FILTER_BLOOM:
        is_good = is_good && f.probes > 0 && f.probes <= BLOOM_PROBES_MAX && log_segment == 0 &&
                  f.seed == 0;
        wanted_size = (uint64_t)f.segments * BLOOM_LINE;
        break;
    case VV_FILTER_FUSE8:
    case VV_FILTER_FUSE16:
        is_good = is_good && f.probes == 0 && log_segment >= FUSE_LOG_SEGMENT_MIN &&
                  log_segment <= FUSE_LOG_SEGMENT_MAX && f.segments <= UINT32_MAX - 2;
        if (!is_good)
            break;
        f.segment_length = 1u << log_segment;
        f.first_count = (uint64_t)f.segments << log_segment;
        wanted_size = (f.first_count + 2 * (uint64_t)f.segment_length) * fuse_width(f.kind);
        break;
    default: is_good = false; break;
    }
    /* Positions are 32 bits. */
    if (!is_good || wanted_size != array_size || wanted_size > UINT32_MAX)
        return vv_fail(VV_CORRUPT, "a filter of %zu bytes is malformed", content.size);
    *out = f;
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ building */

static void put_tail(const struct vv_filter *f, uint32_t log_segment, uint8_t *tail)
{
    tail[TAIL_KIND] = (uint8_t)f->kind;
    tail[TAIL_PROBES] = (uint8_t)f->probes;
    tail[TAIL_LOG_SEGMENT] = (uint8_t)log_segment;
    tail[TAIL_ZERO] = 0;
    vv_put_u32(tail + TAIL_SEGMENTS, f->segments);
    vv_put_u64(tail + TAIL_SEED, f->seed);
}

static uint32_t bloom_lines(size_t count)
{
    size_t lines = (count * BLOOM_BITS_PER_KEY + BLOOM_LINE * 8 - 1) / (BLOOM_LINE * 8);
    return (uint32_t)(lines > 0 ? lines : 1);
}

static int build_bloom(const uint64_t *hashes, size_t count, struct vv_buf *out)
{
    struct vv_filter f = {
        .kind = VV_FILTER_BLOOM, .probes = BLOOM_PROBES, .segments = bloom_lines(count)};
    size_t array_size = (size_t)f.segments * BLOOM_LINE;
    int rc = vv_buf_reserve(out, array_size + VV_FILTER_TAIL_SIZE);
    if (rc < 0)
        return rc;
    uint8_t *array = out->data + out->size;
    memset(array, 0, array_size);
    f.array = array;
    for (size_t i = 0; i < count; i++) {
        size_t line = (size_t)(bloom_line(&f, hashes[i]) - f.array);
        uint32_t bits = (uint32_t)hashes[i];
        for (uint32_t probe = 0; probe < f.probes; probe++) {
            bits *= 0x9e3779b9u;
            uint32_t bit = bits >> 23;
            array[line + (bit >> 3)] |= (uint8_t)(1u << (bit & 7));
        }
    }
    put_tail(&f, 0, array + array_size);
    out->size += array_size + VV_FILTER_TAIL_SIZE;
    return VV_OK;
}

/* floor(log(count) / log(3.33) + 2.25), within limits: what the paper's authors found best. */
static uint32_t fuse_log_segment(size_t count)
{
    uint32_t log_segment = FUSE_LOG_SEGMENT_MIN;
    double reaches = 0.7402; /* 3.33 to the power of (log_segment - 2.25) */
    while (log_segment < FUSE_LOG_SEGMENT_MAX && reaches * 3.33 <= (double)count) {
        reaches *= 3.33;
        log_segment++;
    }
    return log_segment;
}

/* Positions for each key: 0.875 + 0.25 · log(10^6) / log(count), at least 1.125. */
static double fuse_size_factor(size_t count)
{
    unsigned whole = 63u - (unsigned)__builtin_clzll(count);
    double log2 = (double)whole + (double)count / (double)((uint64_t)1 << whole) - 1;
    double factor = 0.875 + 0.25 * 19.93 / (log2 > 1 ? log2 : 1);
    return factor > 1.125 ? factor : 1.125;
}

static struct vv_filter fuse_plan(enum vv_filter_kind kind, size_t count)
{
    struct vv_filter f = {.kind = kind};
    f.segment_length = 1u << fuse_log_segment(count);
    uint64_t capacity = (uint64_t)((double)count * fuse_size_factor(count)) + 1;
    uint64_t segments = (capacity + f.segment_length - 1) / f.segment_length;
    f.segments = (uint32_t)(segments > 3 ? segments - 2 : 1);
    f.first_count = (uint64_t)f.segments * f.segment_length;
    return f;
}

static uint64_t fuse_array_count(const struct vv_filter *f)
{
    return f->first_count + 2 * (uint64_t)f->segment_length;
}

size_t vv_filter_size(enum vv_filter_kind kind, size_t count)
{
    if (kind == VV_FILTER_NONE || count == 0)
        return 0;
    if (kind == VV_FILTER_BLOOM)
        return (size_t)bloom_lines(count) * BLOOM_LINE + VV_FILTER_TAIL_SIZE;
    struct vv_filter f = fuse_plan(kind, count);
    return (size_t)fuse_array_count(&f) * fuse_width(kind) + VV_FILTER_TAIL_SIZE;
}

/* What peeling needs, in one allocation. */
struct peel {
    uint64_t *xors;  /* for each position: of the mixed hashes of its keys */
    uint64_t *order; /* mixed hashes in the order in which they were taken away */
    uint32_t *alone; /* positions with one key left */
    uint8_t *counts; /* for each position: keys * 4, and the xor of their place (0, 1, 2) in it */
    uint8_t *places; /* for each in `order`: which of its three positions is its own */
    void *memory;
};

static int peel_init(struct peel *p, size_t positions, size_t count)
{
    size_t size = positions * (8 + 4 + 1) + count * (8 + 1);
    p->memory = vv_alloc(size);
    if (p->memory == NULL)
        return VV_NOMEM;
    p->xors = p->memory;
    p->order = p->xors + positions;
    p->alone = (uint32_t *)(void *)(p->order + count);
    p->counts = (uint8_t *)(p->alone + positions);
    p->places = p->counts + positions;
    return VV_OK;
}

/* Spreads the keys over the positions; false if a position has more keys than can be counted. */
static bool peel_fill(struct peel *p, const struct vv_filter *f, const uint64_t *hashes,
                      size_t count)
{
    size_t positions = (size_t)fuse_array_count(f);
    memset(p->xors, 0, positions * sizeof p->xors[0]);
    memset(p->counts, 0, positions);
    bool overflows = false;
    for (size_t i = 0; i < count; i++) {
        uint64_t mixed = vv_mix(hashes[i] + f->seed);
        struct fuse_positions at = fuse_positions_of(f, mixed);
        for (uint8_t place = 0; place < 3; place++) {
            uint32_t position = at.at[place];
            overflows = overflows || p->counts[position] >= 252;
            p->counts[position] = (uint8_t)((p->counts[position] + 4) ^ place);
            p->xors[position] ^= mixed;
        }
    }
    return !overflows;
}

/* Takes keys away until none can be; gives how many were. */
static size_t peel_run(struct peel *p, const struct vv_filter *f)
{
    size_t positions = (size_t)fuse_array_count(f);
    size_t alone_count = 0;
    size_t taken = 0;
    for (size_t i = 0; i < positions; i++) {
        p->alone[alone_count] = (uint32_t)i;
        alone_count += p->counts[i] >> 2 == 1 ? 1 : 0;
    }
    while (alone_count > 0) {
        uint32_t position = p->alone[--alone_count];
        if (p->counts[position] >> 2 != 1)
            continue;
        uint64_t mixed = p->xors[position];
        uint8_t own = p->counts[position] & 3;
        p->order[taken] = mixed;
        p->places[taken] = own;
        taken++;
        struct fuse_positions at = fuse_positions_of(f, mixed);
        for (uint8_t place = 0; place < 3; place++) {
            if (place == own)
                continue;
            uint32_t other = at.at[place];
            p->alone[alone_count] = other;
            alone_count += p->counts[other] >> 2 == 2 ? 1 : 0;
            p->counts[other] = (uint8_t)((p->counts[other] - 4) ^ place);
            p->xors[other] ^= mixed;
        }
    }
    return taken;
}

static void fuse_assign(const struct peel *p, const struct vv_filter *f, size_t count,
                        uint8_t *array)
{
    for (size_t i = count; i-- > 0;) {
        uint64_t mixed = p->order[i];
        struct fuse_positions at = fuse_positions_of(f, mixed);
        uint32_t own = at.at[p->places[i]];
        uint32_t one = at.at[(p->places[i] + 1) % 3];
        uint32_t two = at.at[(p->places[i] + 2) % 3];
        if (f->kind == VV_FILTER_FUSE8)
            array[own] = (uint8_t)(fuse_print(mixed) ^ array[one] ^ array[two]);
        else
            vv_put_u16(array + 2 * (size_t)own,
                       (uint16_t)(fuse_print(mixed) ^ vv_get_u16(array + 2 * (size_t)one) ^
                                  vv_get_u16(array + 2 * (size_t)two)));
    }
}

static int cmp_hashes(const void *a, const void *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static size_t make_unique(uint64_t *hashes, size_t count)
{
    qsort(hashes, count, sizeof hashes[0], cmp_hashes);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (hashes[i] != hashes[kept - 1])
            hashes[kept++] = hashes[i];
    return kept;
}

/* VV_NOTFOUND when no seed works. The plan stays that of all hashes when some repeat. */
static int build_fuse(enum vv_filter_kind kind, uint64_t *hashes, size_t count, struct vv_buf *out)
{
    struct vv_filter f = fuse_plan(kind, count);
    size_t positions = (size_t)fuse_array_count(&f);
    size_t array_size = positions * fuse_width(kind);
    struct peel p = {0};
    int rc = vv_buf_reserve(out, array_size + VV_FILTER_TAIL_SIZE);
    if (rc < 0)
        return rc;
    if ((rc = peel_init(&p, positions, count)) < 0)
        return rc;
    rc = VV_NOTFOUND;
    for (int try = 0; try < FUSE_TRIES && rc == VV_NOTFOUND; try++) {
        if (try == FUSE_TRIES_UNSORTED)
            count = make_unique(hashes, count);
        f.seed = vv_mix((uint64_t)try + 1);
        if (peel_fill(&p, &f, hashes, count) && peel_run(&p, &f) == count)
            rc = VV_OK;
    }
    if (rc == VV_OK) {
        uint8_t *array = out->data + out->size;
        memset(array, 0, array_size);
        fuse_assign(&p, &f, count, array);
        put_tail(&f, (uint32_t)__builtin_ctz(f.segment_length), array + array_size);
        out->size += array_size + VV_FILTER_TAIL_SIZE;
    }
    vv_free(p.memory);
    return rc;
}

int vv_filter_build(enum vv_filter_kind kind, uint64_t *hashes, size_t count, struct vv_buf *out)
{
    vv_assert(count > 0);
    vv_assert(count <= UINT32_MAX / 4);
    vv_assert(kind != VV_FILTER_NONE);
    if (kind != VV_FILTER_BLOOM) {
        int rc = build_fuse(kind, hashes, count, out);
        if (rc != VV_NOTFOUND)
            return rc;
    }
    return build_bloom(hashes, count, out);
}
