/*
 * What a transaction has changed and not committed: the newest change of each key, in order, and
 * what is needed to take changes back.
 *
 *      by key    a ──▶ d ──▶ k            a skip list
 *                │     │     │
 *      newest    a4    d3    k2           the changes of a key, newest first
 *                │
 *                a1
 *      by time   a1 ─ ▲ ─ k2 ─ d3 ─ ▲ ─ a4        ▲ savepoints: each begins a level
 *
 * Going back to a savepoint undoes the changes behind it, newest first, so it costs what is undone.
 * Of one key and level only the newest change is kept: those before it nobody can go back to.
 *
 * One thread at a time. Changes are counted references, because pinned values and iterators of
 * users may hold them longer than the transaction does.
 */
#ifndef VV_DB_PENDING_H
#define VV_DB_PENDING_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/rng.h"
#include "kv/iter.h"
#include "kv/order.h"
#include "kv/pin.h"

struct vv_pending_node;

struct vv_pending_change {
    _Atomic(uint32_t) refs; /* of the transaction, iterators and pins */
    enum vv_kind kind;
    uint32_t level; /* savepoints that were open */
    uint32_t key_size;
    uint32_t value_size;
    struct vv_account *account;
    struct vv_pending_node *node;
    struct vv_pending_change *older;           /* of the same key */
    struct vv_pending_change *earlier, *later; /* of all */
    uint8_t bytes[];                           /* key, value */
};

enum { VV_PENDING_HEIGHT = 12 };

/* A place in the order of keys. */
struct vv_pending_node {
    struct vv_pending_change *newest;
    struct vv_pending_node *before;
    int height;
    struct vv_pending_node *next[];
};

/*
 * Invariants, walked by vv_pending_check in this order:
 *   1. nodes ascend on every height, and `before` leads back;
 *   2. each node has a change; the changes of a key ascend in level from oldest to newest;
 *   3. changes ascend in level with time, up to the savepoints that are open;
 *   4. counts and bytes are right.
 */
struct vv_pending {
    const struct vv_order *order; /* constant, as the account */
    struct vv_account *account;
    struct vv_rng rng;
    struct vv_pending_node *first[VV_PENDING_HEIGHT];
    struct vv_pending_node *last;
    struct vv_pending_change *latest;
    uint32_t level;
    size_t count;   /* of keys */
    size_t bytes;   /* of all changes: keys and values */
    uint64_t moves; /* grows with each change and each undoing */
};

void vv_pending_init(struct vv_pending *p, const struct vv_order *order,
                     struct vv_account *account);
void vv_pending_deinit(struct vv_pending *p);
/* Forgets all changes and savepoints. */
void vv_pending_clear(struct vv_pending *p);

/* Copies key and value. VV_NOMEM leaves all as it was. */
VV_MUST int vv_pending_add(struct vv_pending *p, enum vv_kind kind, vv_slice key, vv_slice value);

/* The newest change of the key, or NULL. Valid until the next change or undoing, longer with a
 * reference. */
struct vv_pending_change *vv_pending_find(const struct vv_pending *p, vv_slice key);

void vv_pending_change_unref(struct vv_pending_change *change); /* NULL is fine */
/* Pins the value of a change. */
void vv_pending_pin(struct vv_pending_change *change, struct vv_pin *out);

static inline vv_slice vv_pending_key(const struct vv_pending_change *change)
{
    return (vv_slice){change->bytes, change->key_size};
}

static inline vv_slice vv_pending_value(const struct vv_pending_change *change)
{
    return (vv_slice){change->bytes + change->key_size, change->value_size};
}

/* Opens a level. VV_TOOBIG beyond four billion. */
VV_MUST int vv_pending_savepoint(struct vv_pending *p);
/* Ends the innermost level; requires one. Its changes are the outer level's now, or are undone. Both
 * cost what the level has changed. */
void vv_pending_release(struct vv_pending *p);
void vv_pending_undo(struct vv_pending *p);

/* In the order of keys: the first, the first >= `key`, the last, the last <= `key`; NULL for none. */
struct vv_pending_node *vv_pending_first(const struct vv_pending *p);
struct vv_pending_node *vv_pending_from(const struct vv_pending *p, vv_slice key);
struct vv_pending_node *vv_pending_last(const struct vv_pending *p);
struct vv_pending_node *vv_pending_to(const struct vv_pending *p, vv_slice key);

/* An iterator over the newest changes, as versions of sequence `at`. After a change or an undoing it
 * has to be moved to a place before it is moved on; what it shows stays readable. */
VV_MUST int vv_pending_iter(const struct vv_pending *p, vv_seq at, struct vv_iter **out);

/* Asserts all invariants. */
void vv_pending_check(const struct vv_pending *p);

#endif
