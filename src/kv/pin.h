/*
 * A pinned value: bytes that stay where they are until their owner is released.
 */
#ifndef VV_KV_PIN_H
#define VV_KV_PIN_H

#include "base/slice.h"

/* Zeroed memory is an empty pin. */
struct vv_pin {
    vv_slice value;
    void (*release)(void *owner); /* NULL: nothing to release */
    void *owner;
    uint64_t expires_ms; /* of a version that expires; else 0 */
    bool is_operand;     /* the value is the newest operand of a merge */
};

static inline void vv_pin_release(struct vv_pin *pin)
{
    if (pin->release != NULL)
        pin->release(pin->owner);
    *pin = (struct vv_pin){.release = NULL};
}

#endif
