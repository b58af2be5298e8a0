/*
 * The order of user keys: bytewise, or a named function of the user's.
 */
#ifndef VV_KV_ORDER_H
#define VV_KV_ORDER_H

#include "kv/entry.h"

#define VV_ORDER_BYTEWISE_NAME "bytewise"

/* Zeroed memory is bytewise order. Constant for the life of a store. */
struct vv_order {
    int (*compare)(void *context, vv_slice a, vv_slice b); /* NULL: bytewise */
    void *context;
    const char *name; /* NULL: bytewise */
    /* Agrees with bytewise order on all keys of any table that was laid in bytewise order. */
    bool extends_bytewise;
};

static inline bool vv_order_bytewise(const struct vv_order *o)
{
    return o->compare == NULL;
}

static inline const char *vv_order_name(const struct vv_order *o)
{
    return o->name != NULL ? o->name : VV_ORDER_BYTEWISE_NAME;
}

static inline int vv_order_cmp(const struct vv_order *o, vv_slice a, vv_slice b)
{
    return o->compare == NULL ? vv_slice_cmp(a, b) : o->compare(o->context, a, b);
}

/* Internal order: key ascending, then sequence descending. */
static inline int vv_order_cmp_entry(const struct vv_order *o, vv_slice a_key, vv_seq a_seq,
                                     vv_slice b_key, vv_seq b_seq)
{
    int order = vv_order_cmp(o, a_key, b_key);
    if (order != 0)
        return order;
    return (a_seq < b_seq) - (a_seq > b_seq);
}

#endif
