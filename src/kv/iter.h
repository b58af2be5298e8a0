/*
 * The shape of every iterator over entries, in internal order: of a memtable, a block, a table, a
 * level, or many of them merged.
 *
 * A move fills `at` and sets `valid`, so that reading the current entry costs no call. Moves return
 * VV_OK (with `valid` false at the end) or a failure (`valid` is false then). `next` and `prev`
 * require a valid iterator. `at` and what it points to hold until the next move or close.
 */
#ifndef VV_KV_ITER_H
#define VV_KV_ITER_H

#include "base/check.h"
#include "kv/entry.h"

struct vv_iter;

struct vv_iter_ops {
    int (*first)(struct vv_iter *it);
    int (*last)(struct vv_iter *it);
    /* The first entry at or behind (key, seq): of a later key, or of this key and sequence <= seq. */
    int (*seek)(struct vv_iter *it, vv_slice key, vv_seq seq);
    /* The last entry of a key <= `key`: of `key` itself its oldest version. */
    int (*seek_for_prev)(struct vv_iter *it, vv_slice key);
    int (*next)(struct vv_iter *it);
    int (*prev)(struct vv_iter *it);
    void (*close)(struct vv_iter *it);
};

/* Embedded as the first member of each kind of iterator. */
struct vv_iter {
    const struct vv_iter_ops *ops;
    struct vv_entry at;
    bool valid;
};

static inline VV_MUST int vv_iter_first(struct vv_iter *it)
{
    return it->ops->first(it);
}

static inline VV_MUST int vv_iter_last(struct vv_iter *it)
{
    return it->ops->last(it);
}

static inline VV_MUST int vv_iter_seek(struct vv_iter *it, vv_slice key, vv_seq seq)
{
    return it->ops->seek(it, key, seq);
}

static inline VV_MUST int vv_iter_seek_for_prev(struct vv_iter *it, vv_slice key)
{
    return it->ops->seek_for_prev(it, key);
}

static inline VV_MUST int vv_iter_next(struct vv_iter *it)
{
    vv_assert(it->valid);
    return it->ops->next(it);
}

static inline VV_MUST int vv_iter_prev(struct vv_iter *it)
{
    vv_assert(it->valid);
    return it->ops->prev(it);
}

/* Releases all the iterator holds. NULL is fine. */
static inline void vv_iter_close(struct vv_iter *it)
{
    if (it != NULL)
        it->ops->close(it);
}

#endif
