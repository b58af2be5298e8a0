/*
 * Keys and values that provoke, and that can be recognised again.
 *
 * A value of 32 bytes and more describes itself; shorter ones are the head of it:
 *    0  hash    u64  of all that follows, seeded with the key's hash
 *    8  serial  u64  of the write
 *   16  size    u64  of the whole value
 *   24  pattern u64  what the rest is drawn from
 *   32  payload      half of the values compress well, the others do not
 */
#ifndef VV_TEST_HARNESS_SAMPLE_H
#define VV_TEST_HARNESS_SAMPLE_H

#include "base/rng.h"
#include "base/slice.h"

#include <varve/varve.h>

enum { SAMPLE_KEYS_MAX = 64, SAMPLE_VALUE_HEAD = 32 };

/* Distinct keys, in no order. Zeroed memory is an empty set. */
struct sample_keys {
    vv_slice keys[SAMPLE_KEYS_MAX];
    size_t count;
};

/* Draws `count` keys of adversarial shapes: empty, prefixes of each other, runs of 0x00 and 0xff,
 * 255, 256 and (where `huge`) 65,536 bytes long, long common prefixes, differences beyond byte 8. */
void sample_keys_draw(struct sample_keys *keys, struct vv_rng *rng, size_t count, bool huge);
void sample_keys_deinit(struct sample_keys *keys);

vv_slice sample_key_pick(const struct sample_keys *keys, struct vv_rng *rng);

/* Mostly one of the keys; sometimes another that lies beside one of them. `scratch` must hold
 * VARVE_KEY_SIZE_MAX + 1 bytes; the slice may point into it. */
vv_slice sample_key_near(const struct sample_keys *keys, struct vv_rng *rng, uint8_t *scratch);

/* A size that lies on or beside a boundary of the store, with these thresholds in force. */
size_t sample_size_draw(struct vv_rng *rng, size_t value_log_min, size_t block_bytes);

/* Fills a value of `size` bytes. Equal arguments give equal bytes. */
void sample_value_fill(uint8_t *into, size_t size, vv_slice key, uint64_t serial);

/* Whether the bytes are a value made by sample_value_fill for this key; gives its serial. Values
 * shorter than the head prove nothing and give 0. */
bool sample_value_check(vv_slice key, vv_slice value, uint64_t *serial);

/* The key in readable form, cut short; for messages. The text lives until the fourth next call. */
const char *sample_text(vv_slice key);

static inline varve_slice sample_public(vv_slice s)
{
    return varve_bytes(s.data, s.size);
}

static inline vv_slice sample_private(varve_slice s)
{
    return vv_slice_of(s.data, s.size);
}

#endif
