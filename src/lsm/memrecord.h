/*
 * A version in a memtable, and the chain of versions of one key.
 *
 * A record is written once, published, and never changed. The first version of a key is a bare
 * record; each later one has a link in front of it:
 *
 *      link: older, jump, depth │ stamp, sizes │ key │ value
 *                               └ the record: what everybody points to
 *
 * A counter may have a million versions, and a snapshot may look for one in their middle, so a
 * chain must not be walked step by step. Beside the next older version, a link therefore knows one
 * far older: the jumps follow the digits of a skew-binary number (Myers 1983), which costs one
 * pointer a version and finds any sequence in O(log depth) steps.
 *
 *      depth   0 ── 1 ── 2 ── 3 ── 4 ── 5 ── 6 ── 7
 *      jump         0    1    1    3    4    3    ...     newest is right
 */
#ifndef VV_LSM_MEMRECORD_H
#define VV_LSM_MEMRECORD_H

#include "base/check.h"
#include "kv/entry.h"

struct vv_memrecord {
    uint64_t stamp; /* seq << 8 | linked << 7 | kind */
    uint32_t key_size;
    uint32_t value_size;
    uint8_t bytes[]; /* key, value */
};

struct vv_memlink {
    const struct vv_memrecord *older;
    const struct vv_memrecord *jump;
    uint64_t depth;
};

enum { VV_MEMRECORD_LINKED = 0x80, VV_MEMRECORD_ALIGN = 8 };

static inline vv_seq vv_memrecord_seq(const struct vv_memrecord *r)
{
    return r->stamp >> 8;
}

static inline bool vv_memrecord_linked(const struct vv_memrecord *r)
{
    return (r->stamp & VV_MEMRECORD_LINKED) != 0;
}

static inline vv_slice vv_memrecord_key(const struct vv_memrecord *r)
{
    return (vv_slice){r->bytes, r->key_size};
}

static inline struct vv_entry vv_memrecord_entry(const struct vv_memrecord *r)
{
    return (struct vv_entry){
        .key = {r->bytes, r->key_size},
        .value = {r->bytes + r->key_size, r->value_size},
        .seq = vv_memrecord_seq(r),
        .kind = (enum vv_kind)(r->stamp & (VV_MEMRECORD_LINKED - 1)),
    };
}

/* Only of a linked record. */
static inline const struct vv_memlink *vv_memrecord_link(const struct vv_memrecord *r)
{
    return (const struct vv_memlink *)(const void *)r - 1;
}

static inline uint64_t vv_memrecord_depth(const struct vv_memrecord *r)
{
    return vv_memrecord_linked(r) ? vv_memrecord_link(r)->depth : 0;
}

/* The first version jumps to itself, which makes the rule below need no special case. */
static inline const struct vv_memrecord *vv_memrecord_jump(const struct vv_memrecord *r)
{
    return vv_memrecord_linked(r) ? vv_memrecord_link(r)->jump : r;
}

/* The next older version, or NULL. */
static inline const struct vv_memrecord *vv_memrecord_older(const struct vv_memrecord *r)
{
    return vv_memrecord_linked(r) ? vv_memrecord_link(r)->older : NULL;
}

/* The link of a version above `older`. Two jumps of equal length in a row become one. */
static inline struct vv_memlink vv_memlink_over(const struct vv_memrecord *older)
{
    const struct vv_memrecord *jump = vv_memrecord_jump(older);
    const struct vv_memrecord *second = vv_memrecord_jump(jump);
    uint64_t depth = vv_memrecord_depth(older);
    uint64_t jump_depth = vv_memrecord_depth(jump);
    bool equal = depth - jump_depth == jump_depth - vv_memrecord_depth(second);
    return (struct vv_memlink){older, equal ? second : older, depth + 1};
}

/* The newest version with a sequence <= `seq` in the chain below `newest`, or NULL. */
static inline const struct vv_memrecord *vv_memrecord_at(const struct vv_memrecord *newest,
                                                         vv_seq seq)
{
    const struct vv_memrecord *r = newest;
    while (VV_UNLIKELY(vv_memrecord_seq(r) > seq)) {
        if (!vv_memrecord_linked(r))
            return NULL;
        const struct vv_memlink *link = vv_memrecord_link(r);
        r = vv_memrecord_seq(link->jump) > seq ? link->jump : link->older;
    }
    return r;
}

/* The oldest version with a sequence > `seq`, or NULL. */
static inline const struct vv_memrecord *vv_memrecord_above(const struct vv_memrecord *newest,
                                                            vv_seq seq)
{
    const struct vv_memrecord *r = newest;
    if (vv_memrecord_seq(r) <= seq)
        return NULL;
    while (vv_memrecord_linked(r)) {
        const struct vv_memlink *link = vv_memrecord_link(r);
        if (vv_memrecord_seq(link->jump) > seq)
            r = link->jump;
        else if (vv_memrecord_seq(link->older) > seq)
            r = link->older;
        else
            break;
    }
    return r;
}

static inline const struct vv_memrecord *vv_memrecord_oldest(const struct vv_memrecord *newest)
{
    const struct vv_memrecord *r = newest;
    while (vv_memrecord_linked(r))
        r = vv_memrecord_link(r)->jump;
    return r;
}

#endif
