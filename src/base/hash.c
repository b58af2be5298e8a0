#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t vv_hash(vv_slice data)
{
    return XXH3_64bits(data.data, data.size);
}

uint64_t vv_hash_seeded(vv_slice data, uint64_t seed)
{
    return XXH3_64bits_withSeed(data.data, data.size, seed);
}
