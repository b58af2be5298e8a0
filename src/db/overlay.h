/*
 * One iterator laid over another: what a transaction has changed, over what the engine has.
 *
 *      above (pending, all at the transaction's moment)      b@7        e@7
 *      below (the engine, any versions)                 a@3  b@9 b@5    e@2  f@1
 *      together                                         a@3  b@9 b@7 b@5 e@7 e@2 f@1
 *
 * In internal order, so that a walk (walk.h) at that moment finds the changes as the newest versions
 * of their keys: of two entries with the same key and sequence the one from above comes first.
 */
#ifndef VV_DB_OVERLAY_H
#define VV_DB_OVERLAY_H

#include "kv/iter.h"
#include "kv/order.h"

/* Takes both iterators over, also when it fails. `order` lives longer. */
VV_MUST int vv_overlay_new(const struct vv_order *order, struct vv_iter *above_take,
                           struct vv_iter *below_take, struct vv_iter **out);

#endif
