/*
 * News: telling those who want to know that more has become visible.
 *
 * Whoever moves the visible sequence tells; where nobody listens that is one load. Listeners come
 * first and look at the sequence afterwards, while it is moved first and listeners are looked for
 * afterwards; both sequentially consistent: so nobody sleeps over what is there.
 */
#ifndef VV_DB_NEWS_H
#define VV_DB_NEWS_H

#include "db/guard.h"
#include "env/env.h"
#include "env/thread.h"
#include "kv/entry.h"

struct vv_news {
    _Atomic(uint32_t) listeners; /* who may come to wait */

    struct vv_mutex mu; /* what is moved under it is seen by who waits under it; rank 955 */
    struct vv_cond arrived;
};

void vv_news_init(struct vv_news *n);
void vv_news_deinit(struct vv_news *n);

/* From now on, and not any more. */
void vv_news_listen(struct vv_news *n);
void vv_news_ignore(struct vv_news *n);

static inline bool vv_news_wanted(struct vv_news *n)
{
    return VV_UNLIKELY(atomic_load(&n->listeners) > 0);
}

/* Wakes all who wait: the visible sequence has moved, or there is another reason to look. */
void vv_news_tell(struct vv_news *n);

struct vv_awaited {
    struct vv_env *env;
    const struct vv_guard *guard;
    const _Atomic(vv_seq) *visible;
    vv_seq above;
    uint64_t until_us;
};

/* Waits, as a listener, until the visible sequence is above what it was, or the store closes, or the
 * time is over. */
void vv_news_await(struct vv_news *n, const struct vv_awaited *what);

#endif
