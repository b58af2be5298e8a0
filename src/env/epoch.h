/*
 * Epochs: how readers use shared objects without a lock or a count.
 *
 * A reader enters, loads pointers, uses what they point to, and leaves. A writer that replaced such
 * a pointer retires the old object; it is released only when every reader that might have seen it
 * has left. Entering is one store to the thread's own line and costs no shared write.
 *
 *      reader   enter ── load ── use ───────── leave
 *      writer            swap ── retire ·············· release
 *
 * A reader that needs an object for longer (an iterator, a pinned value) takes a reference inside
 * the span. Spans must be short and must not nest.
 */
#ifndef VV_ENV_EPOCH_H
#define VV_ENV_EPOCH_H

#include "base/check.h"

#include <stdint.h>

struct vv_epoch;

/* One domain a store. Any number of threads may enter; slots are found per thread and reused. */
VV_MUST int vv_epoch_new(struct vv_epoch **out);

/* Releases all that is still retired; no reader may be inside. NULL is fine. */
void vv_epoch_free(struct vv_epoch *epoch);

/* Begins a span and returns the slot to hand to vv_epoch_leave. Never fails: when all slots are
 * taken by other threads' spans it waits for one. */
uint32_t vv_epoch_enter(struct vv_epoch *epoch);
void vv_epoch_leave(struct vv_epoch *epoch, uint32_t slot);

/* Calls `release(object)` once all spans that were open when this was called have ended: now, or
 * in a later vv_epoch_retire or vv_epoch_collect by any thread. Takes a lock: slow path only.
 * Out of memory for the note it waits for the readers instead: never call it within a span. */
void vv_epoch_retire(struct vv_epoch *epoch, void (*release)(void *object), void *object);

/* The same, but releases nothing now, neither this object nor others: for those whom it must not
 * keep. Somebody has to call vv_epoch_collect. */
void vv_epoch_retire_later(struct vv_epoch *epoch, void (*release)(void *object), void *object);

/* Releases what can be released now. */
void vv_epoch_collect(struct vv_epoch *epoch);

#endif
