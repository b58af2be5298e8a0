/*
 * Admission: how fast writers may go so that background work keeps up and no put ever waits long.
 * Pure arithmetic over numbers that the engine measures (notes on the method in doc/decisions).
 *
 *   debt up to D1          free
 *   D1 … D2 = 4 × D1       rate falls from twice the sustainable to the sustainable rate, which it
 *                          reaches shortly before D2, after a first tenth in which it comes down
 *                          from unlimited
 *   above                  less than sustainable, so that the debt falls; never zero
 *   memtables 75 … 95 %    the same against the speed of flushing
 *   memtables full         wait
 */
#ifndef VV_LSM_PACE_H
#define VV_LSM_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vv_pace_input {
    uint64_t now_us;
    uint64_t debt_bytes;      /* compaction work called for */
    uint64_t debt_free_bytes; /* D1 */
    uint64_t memtable_bytes;  /* all memtables, active and frozen */
    uint64_t memtable_max_bytes;
    uint64_t merge_rate; /* bytes/s of compaction output, recent average; 0: unknown */
    uint64_t flush_rate; /* bytes/s of flush output, recent average; 0: unknown */
    double merge_share;  /* bytes merged per byte flushed, recent average, at least 1 */
};

struct vv_pace {
    double tokens; /* bytes that may be written at once; may be negative: borrowed */
    uint64_t last_us;
};

/* The rate in bytes/s that is sustainable now, or 0 for unlimited. */
uint64_t vv_pace_rate(const struct vv_pace_input *in);

/* How long a write of `size_bytes` should wait before it asks again: 0 means go, and charges it.
 * Never more than 1000 us at a time, except that *full is set when memtables are full and only a
 * finished flush can help. */
uint64_t vv_pace_admit(struct vv_pace *pace, const struct vv_pace_input *in, size_t size_bytes,
                       bool *full);

#endif
