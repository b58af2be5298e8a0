#include "db/news.h"

enum { RANK_NEWS = 955, WAIT_US_MAX = 1000000 * 600 };

void vv_news_init(struct vv_news *n)
{
    atomic_init(&n->listeners, 0);
    vv_mutex_init(&n->mu, RANK_NEWS);
    vv_cond_init(&n->arrived);
}

void vv_news_deinit(struct vv_news *n)
{
    vv_cond_deinit(&n->arrived);
    vv_mutex_deinit(&n->mu);
}

void vv_news_listen(struct vv_news *n)
{
    (void)atomic_fetch_add(&n->listeners, 1);
}

void vv_news_ignore(struct vv_news *n)
{
    uint32_t before = atomic_fetch_sub(&n->listeners, 1);
    vv_assert(before > 0);
}

void vv_news_tell(struct vv_news *n)
{
    vv_mutex_lock(&n->mu);
    vv_cond_broadcast(&n->arrived);
    vv_mutex_unlock(&n->mu);
}

void vv_news_await(struct vv_news *n, const struct vv_awaited *what)
{
    vv_mutex_lock(&n->mu);
    while (atomic_load(what->visible) <= what->above && vv_guard_open(what->guard)) {
        uint64_t now_us = vv_env_now_us(what->env);
        if (now_us >= what->until_us)
            break;
        uint64_t left_us = what->until_us - now_us;
        (void)vv_cond_wait_us(&n->arrived, &n->mu, left_us < WAIT_US_MAX ? left_us : WAIT_US_MAX);
    }
    vv_mutex_unlock(&n->mu);
}
