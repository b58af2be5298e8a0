/*
 * Poison: a store that can no longer promise durability takes no further write, and tells everybody
 * the story of the failure that made it so. There is no antidote but closing and opening again.
 */
#ifndef VV_DB_POISON_H
#define VV_DB_POISON_H

#include "env/thread.h"

enum { VV_STORY_SIZE = 512 };

struct vv_poison {
    _Atomic(int) code; /* 0: none. Set with release after the story, which is constant from then */

    struct vv_mutex mu; /* protects the story until then; rank 945 */
    char story[VV_STORY_SIZE];
};

void vv_poison_init(struct vv_poison *p);
void vv_poison_deinit(struct vv_poison *p);

/* The first failure stays; `rc` and the thread's story are it. Takes only a lock of its own. */
void vv_poison_set(struct vv_poison *p, int rc);

/* VV_OK, or VV_READONLY with the story. */
VV_MUST int vv_poison_check(const struct vv_poison *p);

bool vv_poison_is_set(const struct vv_poison *p);

#endif
