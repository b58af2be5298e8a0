/*
 * What the engines store: versions of keys.
 *
 * An entry is one version. Entries are in internal order: user keys ascending by the store's order,
 * and the versions of one key newest first, that is by descending sequence number.
 */
#ifndef VV_KV_ENTRY_H
#define VV_KV_ENTRY_H

#include "base/slice.h"
#include "kv/space.h"

/* Counts changes; each has its own, never reused. 56 bits, so that a kind fits beside it. */
typedef uint64_t vv_seq;

#define VV_SEQ_MAX (((vv_seq)1 << 56) - 1)

enum {
    VV_KEY_SIZE_MAX = 65536 + VV_SPACE_SIZE_MAX, /* a user's key and its keyspace */
    VV_VALUE_SIZE_MAX = 1 << 30,
    VV_REF_SIZE = 16, /* of a value reference (kv/ref.h) */
};

/* Part of the formats: the numbers never change. */
enum vv_kind {
    VV_KIND_DELETE = 0, /* the key is gone; no value */
    VV_KIND_PUT = 1,    /* the value stands here */
    VV_KIND_REF = 2,    /* the value stands in the value log; here is a reference to it */
    /* All keys from `key` up to and excluding `value` are gone. Never among the entries of a table or
     * what an iterator shows: kept beside them (kv/ranges.h). */
    VV_KIND_DELETE_RANGE = 3,
    VV_KIND_PUT_EXPIRES = 4, /* as PUT and REF, until a time: kv/expiry.h */
    VV_KIND_REF_EXPIRES = 5,
    VV_KIND_MERGE = 6, /* an operand, to be folded onto the version before it */
};

struct vv_entry {
    vv_slice key;
    vv_slice value;
    vv_seq seq;
    enum vv_kind kind;
};

#endif
