/*
 * Epochs over an array of slots, one cache line each, and one counter.
 *
 * A slot is idle (0) or holds the counter as its reader saw it when entering. Retiring notes the
 * counter and moves it on; the object goes when no slot holds a number up to the noted one.
 *
 * Why no reader is overlooked. The writer swaps the pointer, notes the counter t and moves it to
 * t + 1, and then scans. For each slot:
 *
 *   - The scan finds it idle. A reader that enters it afterwards finds what the scan left there: the
 *     scan does not load the slot but adds nothing to it, which is a write too. So that entering
 *     acquires what the scan released, the swap among it, and loads the new pointer; and whoever
 *     enters the slot later acquires it through those who were there before.
 *   - The scan finds e <= t. The object stays.
 *   - The scan finds e > t. The reader read the counter after it was moved on, that is, after the
 *     swap, and loads the new pointer.
 *
 * Without that empty write the first case would need a full fence between the reader's store to its
 * slot and its load of the pointer, since both sides would store one place and then load another;
 * and ThreadSanitizer does not understand fences. Entering and scanning are sequentially consistent
 * besides, which keeps the load of the pointer behind the store to the slot even for a reader whose
 * pointer load is weak, and costs nothing over acquire where it matters.
 */
#include "env/epoch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "env/thread.h"

#include <sched.h>

enum { SLOTS = 128, LINE_BYTES = 64, IDLE = 0, EPOCH_FIRST = 1, RANK_EPOCH = 920 };

/* A number with a cache line of its own. */
struct line {
    _Alignas(LINE_BYTES) _Atomic(uint64_t) epoch;
};

struct note {
    struct note *next;
    uint64_t epoch; /* of the counter when it was retired */
    void (*release)(void *object);
    void *object;
};

/*
 * Invariants: the notes stand in the order of their epochs, none of which the counter has not
 * passed; no slot is ahead of the counter.
 */
struct vv_epoch {
    struct line slots[SLOTS];
    struct line now; /* read by all who enter, written by who retires */

    struct vv_mutex mu; /* protects all below; rank 920 */
    struct note *oldest;
    struct note **end;
};

/* Where this thread entered last, in whatever domain: most likely idle, and the line still in its
 * cache. Zero before the first time, else one more than the index. */
static _Thread_local uint32_t slot_hint;

int vv_epoch_new(struct vv_epoch **out)
{
    /* Whole pages are aligned and zeroed, and a zeroed slot is idle. */
    struct vv_epoch *epoch = vv_pages_alloc(sizeof *epoch);
    if (epoch == NULL)
        return VV_NOMEM;
    atomic_init(&epoch->now.epoch, EPOCH_FIRST);
    vv_mutex_init(&epoch->mu, RANK_EPOCH);
    epoch->end = &epoch->oldest;
    *out = epoch;
    return VV_OK;
}

static void notes_release(struct note *notes)
{
    while (notes != NULL) {
        struct note *note = notes;
        notes = note->next;
        note->release(note->object);
        vv_free(note);
    }
}

void vv_epoch_free(struct vv_epoch *epoch)
{
    if (epoch == NULL)
        return;
    for (uint32_t i = 0; i < SLOTS; i++)
        vv_assert(atomic_load(&epoch->slots[i].epoch) == IDLE);
    /* A release may retire something else. */
    while (epoch->oldest != NULL) {
        struct note *notes = epoch->oldest;
        epoch->oldest = NULL;
        epoch->end = &epoch->oldest;
        notes_release(notes);
    }
    vv_mutex_deinit(&epoch->mu);
    vv_pages_free(epoch, sizeof *epoch);
}

static bool slot_take(struct vv_epoch *epoch, uint32_t index)
{
    uint64_t idle = IDLE;
    /* Acquire: having read t + 1 here proves that the swap before it is seen. An old value only
     * makes the writer wait for us without need. */
    uint64_t now = atomic_load_explicit(&epoch->now.epoch, memory_order_acquire);
    return atomic_compare_exchange_strong(&epoch->slots[index].epoch, &idle, now);
}

/* The hinted slot was taken, or there was no hint yet. */
static uint32_t enter_elsewhere(struct vv_epoch *epoch)
{
    /* Threads begin to look at places of their own; the address of a thread-local is unique. */
    uint32_t index = slot_hint > 0 ? slot_hint - 1 : (uint32_t)vv_mix((uintptr_t)&slot_hint);
    for (uint32_t tries = 1;; tries++) {
        index = (index + 1) % SLOTS;
        if (slot_take(epoch, index))
            break;
        if (tries % SLOTS == 0)
            (void)sched_yield();
    }
    slot_hint = index + 1;
    return index;
}

uint32_t vv_epoch_enter(struct vv_epoch *epoch)
{
    uint32_t index = slot_hint - 1;
    if (VV_LIKELY(index < SLOTS && slot_take(epoch, index)))
        return index;
    return enter_elsewhere(epoch);
}

void vv_epoch_leave(struct vv_epoch *epoch, uint32_t slot)
{
    vv_assert(slot < SLOTS);
    vv_assert_paranoid(atomic_load(&epoch->slots[slot].epoch) != IDLE);
    /* Release: all that was read in the span was read before the slot shows idle. */
    atomic_store_explicit(&epoch->slots[slot].epoch, IDLE, memory_order_release);
}

/* The lowest epoch that a reader may be in; at least `now` when there is none. */
static uint64_t lowest_inside(struct vv_epoch *epoch)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint64_t at = atomic_fetch_add(&epoch->slots[i].epoch, 0); /* a write: see above */
        if (at != IDLE && at < lowest)
            lowest = at;
    }
    return lowest;
}

/* Takes those notes off the list that nobody can need any more. */
static struct note *notes_take_locked(struct vv_epoch *epoch)
{
    vv_mutex_assert_held(&epoch->mu);
    struct note *taken = NULL;
    struct note **end = &taken;
    if (epoch->oldest == NULL)
        return NULL;
    uint64_t lowest = lowest_inside(epoch);
    while (epoch->oldest != NULL && epoch->oldest->epoch < lowest) {
        *end = epoch->oldest;
        end = &epoch->oldest->next;
        epoch->oldest = epoch->oldest->next;
    }
    *end = NULL;
    if (epoch->oldest == NULL)
        epoch->end = &epoch->oldest;
    return taken;
}

void vv_epoch_retire_later(struct vv_epoch *epoch, void (*release)(void *object), void *object)
{
    struct note *note = vv_alloc(sizeof *note);
    vv_mutex_lock(&epoch->mu);
    /* Release: who reads the new number sees the swap that came before. */
    uint64_t at = atomic_fetch_add_explicit(&epoch->now.epoch, 1, memory_order_acq_rel);
    if (note != NULL) {
        *note = (struct note){.epoch = at, .release = release, .object = object};
        *epoch->end = note;
        epoch->end = &note->next;
    }
    vv_mutex_unlock(&epoch->mu);
    if (note == NULL) {
        while (lowest_inside(epoch) <= at)
            (void)sched_yield();
        release(object);
    }
}

void vv_epoch_retire(struct vv_epoch *epoch, void (*release)(void *object), void *object)
{
    vv_epoch_retire_later(epoch, release, object);
    vv_epoch_collect(epoch);
}

void vv_epoch_collect(struct vv_epoch *epoch)
{
    vv_mutex_lock(&epoch->mu);
    struct note *done = notes_take_locked(epoch);
    vv_mutex_unlock(&epoch->mu);
    notes_release(done); /* it may be slow, and may retire in turn */
}
