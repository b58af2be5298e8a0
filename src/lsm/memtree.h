/*
 * The order of a memtable: a B+-tree from keys to the newest record of each.
 *
 *                      ┌──────────────────────┐
 *          inner       │ ·   g   p            │        slot: head, first record, child
 *                      └─┬───┬───┬────────────┘
 *                 ┌──────┘   │   └───────────┐
 *          ┌──────┴──┐   ┌───┴─────┐   ┌─────┴───┐
 *   leaf   │ a c e f │ ⇄ │ g h     │ ⇄ │ p q x   │      slot: head, newest record
 *          └─────────┘   └─────────┘   └─────────┘
 *
 * Heads. A node serves a range of keys: from its own first key up to the first key of its right
 * neighbour. All keys of a range begin with the bytes that both its ends have in common, the
 * node's prefix. A head is the eight bytes behind the prefix as a number, so that numbers are
 * compared instead of keys; equal heads are settled through the records. A custom order knows
 * nothing of bytes: then the prefix is empty and all heads are zero, that is, equal.
 *
 * The first and the last node of a level have an open end, and the root has two. Their prefix is
 * what all keys of the tree begin with. A key that begins otherwise lies before or behind all of
 * them, which is found out at the root; when such a key is inserted, the prefix of the open nodes
 * is cut first, the root's last of all.
 *
 * One thread writes, and readers take no lock. Records never change and nothing is ever removed,
 * so a reader always holds pointers to valid records and nodes; all it has to find out is whether
 * it saw a node half changed. For that a node has a version, odd while it changes:
 *
 *      writer   version odd │ stores, each release │ version even, release
 *      reader   version, acquire │ loads, each acquire │ version again: the same and even
 *
 * A reader that sees any store of a change synchronises with it, hence its second look at the
 * version finds that change's odd number or a later one, and it starts over. This needs no fences;
 * on x86 all of it is plain moves.
 *
 * Two changes are single stores and leave the version alone: a newer record in a slot (release),
 * and a slot behind the last one (written first, then the count, release). Ascending inserts and
 * hot keys therefore do not disturb readers.
 *
 * A split moves the upper half of a node to a new right neighbour and enters that into the parent,
 * both nodes odd meanwhile. A reader going down loads the child's version *before* it verifies the
 * parent's: then the child, as of that version, still served the key. Full parents are split
 * first, one at a time from above, so that no more than two nodes are ever odd. The root pointer is
 * verified like a parent.
 *
 * The start of a node's range never changes, only its end comes nearer. So a walk to the right by
 * `next` misses nothing, and `prev` is a hint: whoever follows it goes right again until it stands
 * before the node it came from.
 */
#ifndef VV_LSM_MEMTREE_H
#define VV_LSM_MEMTREE_H

#include "env/thread.h"
#include "kv/order.h"
#include "lsm/memrecord.h"
#include "lsm/memspace.h"

enum { VV_MEMNODE_SLOTS = 62, VV_MEMTREE_LEVELS = 16 };

/* A leaf, or the first part of an inner node. Inner nodes have no record in the first slot of the
 * leftmost node of a level: it stands for the beginning of all keys. */
struct vv_memnode {
    _Atomic(uint32_t) version; /* see above */
    _Atomic(uint32_t) count;   /* release: the slots below it are written */
    _Atomic(uint32_t) prefix;  /* bytes; changes only with all heads, under the version */
    uint32_t level;            /* 0 is a leaf; constant */
    /* Of leaves only. Release and acquire: the neighbour is initialised. */
    _Atomic(struct vv_memnode *) next; /* under the version */
    _Atomic(struct vv_memnode *) prev;
    _Atomic(uint64_t) heads[VV_MEMNODE_SLOTS]; /* under the version, as the records */
    _Atomic(const struct vv_memrecord *) records[VV_MEMNODE_SLOTS];
};

struct vv_meminner {
    struct vv_memnode node;
    _Atomic(struct vv_memnode *) children[VV_MEMNODE_SLOTS]; /* under the version */
};

struct vv_memtree {
    const struct vv_order *order;
    struct vv_memspace *space;
    struct vv_memnode *first;          /* leaf; constant */
    const struct vv_memrecord *sample; /* some key; set before the root gets a prefix */
    _Atomic(struct vv_memnode *) root; /* release and acquire: the node is initialised */
    _Atomic(struct vv_memnode *) last; /* a leaf that is or was the last one */

    /* The rest is for the inserting thread alone. The finger is where the latest insert went. */
    struct vv_memnode *finger;
    uint32_t finger_index;
    uint32_t run;     /* how many inserts in a row went directly behind the one before */
    bool finger_warm; /* the insert before it went to the same leaf: try that first */
    size_t leaf_count;
    size_t inner_count;
};

/* What a reader found: a slot as it was while `leaf` had `version`. */
struct vv_memspot {
    struct vv_memnode *leaf;
    uint32_t version;
    uint32_t index;                    /* of the first slot whose key is not below the key sought */
    const struct vv_memrecord *record; /* of that slot if its key is equal, or NULL */
};

/* Where the inserting thread will put a key: `steps[0]` is the leaf, the highest is the root. */
struct vv_memplace {
    struct vv_memstep {
        struct vv_memnode *node;
        uint32_t index;                 /* of the child; in the leaf, of the new slot */
        const struct vv_memrecord *low; /* the node's range; NULL is open */
        const struct vv_memrecord *high;
    } steps[VV_MEMTREE_LEVELS];
    uint32_t levels;                   /* 1 without known parents */
    const struct vv_memrecord *record; /* newest of the key, or NULL */
};

/* Takes one node from `space`. No deinit: everything lives in there. */
VV_MUST int vv_memtree_init(struct vv_memtree *t, const struct vv_order *order,
                            struct vv_memspace *space);

/* ---- readers */

void vv_memtree_find(const struct vv_memtree *t, vv_slice key, struct vv_memspot *out);

/* About which share of the keys, from 0 to 1, lies below `key`. Of a node it knows how full its
 * children are, and takes their children for equally full. */
double vv_memtree_share(const struct vv_memtree *t, vv_slice key);

/* The version of a node that does not change just now. The writer is inside for some tens of
 * nanoseconds, so waiting is cheaper than going elsewhere. */
static inline uint32_t vv_memnode_stable(const struct vv_memnode *node)
{
    for (;;) {
        uint32_t version = atomic_load_explicit(&node->version, memory_order_acquire);
        if (VV_LIKELY((version & 1) == 0))
            return version;
        vv_cpu_relax();
    }
}

static inline bool vv_memnode_unchanged(const struct vv_memnode *node, uint32_t version)
{
    /* Relaxed: all loads before it were acquire, so it cannot move up. */
    return atomic_load_explicit(&node->version, memory_order_relaxed) == version;
}

static inline uint32_t vv_memnode_count(const struct vv_memnode *node)
{
    return atomic_load_explicit(&node->count, memory_order_acquire);
}

static inline const struct vv_memrecord *vv_memnode_record(const struct vv_memnode *node,
                                                           uint32_t index)
{
    return atomic_load_explicit(&node->records[index], memory_order_acquire);
}

static inline struct vv_memnode *vv_memnode_next(const struct vv_memnode *node)
{
    return atomic_load_explicit(&node->next, memory_order_acquire);
}

static inline struct vv_memnode *vv_memnode_prev(const struct vv_memnode *node)
{
    return atomic_load_explicit(&node->prev, memory_order_acquire);
}

/* ---- the inserting thread */

/* An upper bound of the bytes that the nodes for `count` new keys take. */
size_t vv_memtree_growth(const struct vv_memtree *t, size_t count);

/* Finds the place of `key`, and splits nodes until there is room for it. Before it splits, it
 * reserves their bytes and `more`; VV_NOMEM leaves the tree as it was. */
VV_MUST int vv_memtree_place(struct vv_memtree *t, vv_slice key, size_t more,
                             struct vv_memplace *out);

/* Publishes a record there: of a new key, or linked above the newest one. */
void vv_memtree_put(struct vv_memtree *t, const struct vv_memplace *place,
                    const struct vv_memrecord *record);

/* ---- for checks; no insert may run */

void vv_memtree_check(const struct vv_memtree *t);

#endif
