#include "db/poison.h"

#include "base/error.h"

#include <stdio.h>

enum { RANK_POISON = 945 };

void vv_poison_init(struct vv_poison *p)
{
    atomic_init(&p->code, VV_OK);
    p->story[0] = 0;
    vv_mutex_init(&p->mu, RANK_POISON);
}

void vv_poison_deinit(struct vv_poison *p)
{
    vv_mutex_deinit(&p->mu);
}

void vv_poison_set(struct vv_poison *p, int rc)
{
    vv_mutex_lock(&p->mu);
    if (atomic_load_explicit(&p->code, memory_order_relaxed) == VV_OK) {
        (void)snprintf(p->story, sizeof p->story, "%s", vv_error_story());
        atomic_store_explicit(&p->code, rc, memory_order_release);
    }
    vv_mutex_unlock(&p->mu);
}

int vv_poison_check(const struct vv_poison *p)
{
    if (VV_LIKELY(atomic_load_explicit(&p->code, memory_order_acquire) == VV_OK))
        return VV_OK;
    return vv_fail(VV_READONLY, "the store takes no more writes, since: %s", p->story);
}

bool vv_poison_is_set(const struct vv_poison *p)
{
    return atomic_load_explicit(&p->code, memory_order_acquire) != VV_OK;
}
