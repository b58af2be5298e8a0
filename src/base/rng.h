/*
 * A small deterministic generator (SplitMix64) for tests, skip lists and jitter; never for secrets.
 */
#ifndef VV_BASE_RNG_H
#define VV_BASE_RNG_H

#include "base/hash.h"

struct vv_rng {
    uint64_t state;
};

static inline struct vv_rng vv_rng_of(uint64_t seed)
{
    return (struct vv_rng){seed};
}

static inline uint64_t vv_rng_next(struct vv_rng *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    return vv_mix(r->state);
}

/* A number below `bound`, which must not be zero. */
static inline uint64_t vv_rng_below(struct vv_rng *r, uint64_t bound)
{
    return (uint64_t)((__extension__(unsigned __int128) vv_rng_next(r) * bound) >> 64);
}

static inline bool vv_rng_one_in(struct vv_rng *r, uint64_t n)
{
    return vv_rng_below(r, n) == 0;
}

#endif
