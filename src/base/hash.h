/*
 * XXH3, the one hash of the house: for checksums, filters and tables. The 64-bit values are part
 * of the file formats and do not depend on the machine.
 */
#ifndef VV_BASE_HASH_H
#define VV_BASE_HASH_H

#include "base/slice.h"

uint64_t vv_hash(vv_slice data);
uint64_t vv_hash_seeded(vv_slice data, uint64_t seed);

/* The low 32 bits of the seeded hash: what formats store as a checksum. The seed carries what the
 * bytes alone do not say (file, position), so that stale or misplaced bytes do not verify. */
static inline uint32_t vv_checksum(vv_slice data, uint64_t seed)
{
    return (uint32_t)vv_hash_seeded(data, seed);
}

/* Spreads the bits of a number over all 64 (the finaliser of SplitMix64). */
static inline uint64_t vv_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
