/*
 * Keyspaces as engines see them: bytes in front of every key. An engine knows nothing of keyspaces;
 * keys of one stand together because they begin alike.
 *
 * id                          bytes
 * below 240                   id
 * 240 and more                0xf0 + three bits, 16 bits: of id - 240, big-endian
 * any, ordered by comparator  0xf8 + three bits, 16 bits: of the id, big-endian; 1
 *
 * None of these is the beginning of another. The last byte of the last form leaves room for bounds
 * before and behind all keys of such a keyspace, whatever its comparator makes of the empty key. The
 * default keyspace, id 0, has the first form even with a comparator: nothing stands before it.
 */
#ifndef VV_KV_SPACE_H
#define VV_KV_SPACE_H

#include "base/slice.h"

enum {
    VV_SPACE_SIZE_MAX = 4,
    VV_SPACE_LONG = 240,    /* first byte of the second form */
    VV_SPACE_ORDERED = 248, /* and of the third */
    VV_SPACE_ID_MAX = (1 << 19) - 1,
};

/* Zeroed memory is no bytes at all: keys as they are. */
struct vv_space {
    uint8_t size;
    uint8_t bytes[VV_SPACE_SIZE_MAX];
};

static inline struct vv_space vv_space_of(uint32_t id)
{
    if (id < VV_SPACE_LONG)
        return (struct vv_space){1, {(uint8_t)id, 0, 0, 0}};
    uint32_t rest = id - VV_SPACE_LONG;
    return (struct vv_space){
        3, {(uint8_t)(VV_SPACE_LONG + (rest >> 16)), (uint8_t)(rest >> 8), (uint8_t)rest, 0}};
}

static inline struct vv_space vv_space_ordered(uint32_t id)
{
    if (id == 0)
        return vv_space_of(id);
    return (struct vv_space){
        4, {(uint8_t)(VV_SPACE_ORDERED + (id >> 16)), (uint8_t)(id >> 8), (uint8_t)id, 1}};
}

/* A bound that no key of the keyspace is before. */
static inline struct vv_space vv_space_first(struct vv_space space)
{
    if (space.size == 4)
        space.bytes[3] = 0;
    else if (space.bytes[0] == 0)
        space.size = 0;
    return space;
}

/* A bound that all keys of the keyspace are before. */
static inline struct vv_space vv_space_end(struct vv_space space)
{
    uint8_t at = space.size;
    while (at > 0 && ++space.bytes[at - 1] == 0)
        at--;
    return space;
}

static inline vv_slice vv_space_slice(const struct vv_space *space)
{
    return (vv_slice){space->bytes, space->size};
}

/* Whose key this is: how many bytes it begins with for that, or 0 for bytes that are no key of any
 * keyspace. */
static inline size_t vv_space_decode(vv_slice key, uint32_t *id)
{
    if (key.size == 0)
        return 0;
    const uint8_t *at = key.data;
    *id = at[0];
    if (at[0] < VV_SPACE_LONG)
        return 1;
    if (key.size < 3)
        return 0;
    *id = (uint32_t)(at[0] & 7) << 16 | (uint32_t)at[1] << 8 | at[2];
    if (at[0] >= VV_SPACE_ORDERED)
        return key.size > 3 && at[3] == 1 ? 4 : 0;
    *id += VV_SPACE_LONG;
    return 3;
}

#endif
