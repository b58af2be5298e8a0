/*
 * Drawing keys and values. Nothing here uses base/alloc, so that counted allocation failures hit
 * the library and not the test.
 */
#include "harness/sample.h"

#include "base/coding.h"
#include "base/hash.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_SIZE = 80, TEXT_COUNT = 4 };

static void *copy_of(const void *data, size_t size)
{
    void *copy = malloc(size + 1);
    CHECK(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static size_t key_fill_long(uint8_t *at, struct vv_rng *rng, bool huge)
{
    static const size_t sizes[] = {255, 256, 257, 1000, 4095, 65535, 65536};
    size_t size = sizes[vv_rng_below(rng, huge ? 7 : 3)];

    memset(at, (int)vv_rng_below(rng, 2) * 0xff, size);
    at[size - 1] = (uint8_t)vv_rng_next(rng);
    at[size / 2] = (uint8_t)vv_rng_next(rng);
    return size;
}

/* One key of a drawn shape; gives its size. */
static size_t key_fill(uint8_t *at, const struct sample_keys *so_far, struct vv_rng *rng, bool huge)
{
    size_t size;

    switch (vv_rng_below(rng, 10)) {
    case 0: /* a run of one extreme byte */
        size = vv_rng_below(rng, 20);
        memset(at, vv_rng_one_in(rng, 2) ? 0 : 0xff, size);
        return size;
    case 1: /* a prefix of another, or another with one byte more */
        if (so_far->count == 0)
            return 0;
        {
            vv_slice other = sample_key_pick(so_far, rng);
            size = other.size;
            if (size > 300)
                return 0;
            memcpy(at, other.data, size);
            if (size > 0 && vv_rng_one_in(rng, 2))
                return vv_rng_below(rng, size);
            at[size] = (uint8_t)(vv_rng_below(rng, 3) * 127);
            return size + 1;
        }
    case 2: return key_fill_long(at, rng, huge && vv_rng_one_in(rng, 3));
    case 3: /* equal in the first eight bytes */
        memset(at, 'h', 8);
        size = vv_rng_below(rng, 6);
        for (size_t i = 0; i < size; i++)
            at[8 + i] = (uint8_t)vv_rng_below(rng, 3);
        return 8 + size;
    case 4: /* the shortest ones */
        size = vv_rng_below(rng, 3);
        for (size_t i = 0; i < size; i++)
            at[i] = (uint8_t)vv_rng_next(rng);
        return size;
    case 5: /* exactly as long as typical vectors */
        size = 15 + vv_rng_below(rng, 3);
        for (size_t i = 0; i < size; i++)
            at[i] = (uint8_t)vv_rng_next(rng);
        return size;
    default:
        return (size_t)snprintf((char *)at, 64, "key/%03u/%u", (unsigned)vv_rng_below(rng, 200),
                                (unsigned)vv_rng_below(rng, 4));
    }
}

static bool keys_have(const struct sample_keys *keys, vv_slice key)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (vv_slice_equal(keys->keys[i], key))
            return true;
    }
    return false;
}

void sample_keys_draw(struct sample_keys *keys, struct vv_rng *rng, size_t count, bool huge)
{
    uint8_t *scratch = malloc(VARVE_KEY_SIZE_MAX + 1);

    CHECK(scratch != NULL);
    CHECK(count <= SAMPLE_KEYS_MAX);
    keys->count = 0;
    while (keys->count < count) {
        vv_slice key = vv_slice_of(scratch, key_fill(scratch, keys, rng, huge));

        if (!keys_have(keys, key))
            keys->keys[keys->count++] = vv_slice_of(copy_of(key.data, key.size), key.size);
    }
    free(scratch);
}

void sample_keys_deinit(struct sample_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        free((void *)(uintptr_t)keys->keys[i].data);
    *keys = (struct sample_keys){.count = 0};
}

vv_slice sample_key_pick(const struct sample_keys *keys, struct vv_rng *rng)
{
    return keys->keys[vv_rng_below(rng, keys->count)];
}

vv_slice sample_key_near(const struct sample_keys *keys, struct vv_rng *rng, uint8_t *scratch)
{
    vv_slice key = sample_key_pick(keys, rng);
    size_t size = key.size;

    if (!vv_rng_one_in(rng, 4))
        return key;
    memcpy(scratch, key.data, size);
    switch (vv_rng_below(rng, 3)) {
    case 0:
        if (size < VARVE_KEY_SIZE_MAX)
            scratch[size++] = (uint8_t)(vv_rng_below(rng, 2) * 0xff);
        break;
    case 1:
        if (size > 0)
            size--;
        break;
    default:
        if (size > 0)
            scratch[size - 1] = (uint8_t)(scratch[size - 1] + 1);
        break;
    }
    return vv_slice_of(scratch, size);
}

size_t sample_size_draw(struct vv_rng *rng, size_t value_log_min, size_t block_bytes)
{
    const size_t borders[] = {1, 32, value_log_min, block_bytes, 4096, 512, 8, 24};
    size_t border;

    if (vv_rng_one_in(rng, 200))
        return 100 * 1024;
    if (vv_rng_one_in(rng, 2))
        return vv_rng_below(rng, 200);
    border = borders[vv_rng_below(rng, sizeof borders / sizeof borders[0])];
    if (border == 0 || border > 64 * 1024)
        border = 64;
    return border - 1 + vv_rng_below(rng, 3);
}

void sample_value_fill(uint8_t *into, size_t size, vv_slice key, uint64_t serial)
{
    uint8_t head[SAMPLE_VALUE_HEAD];
    struct vv_rng rng = vv_rng_of(serial);
    uint64_t pattern = vv_rng_next(&rng);

    for (size_t i = SAMPLE_VALUE_HEAD; i < size; i++) {
        uint64_t drawn = pattern & 1 ? vv_rng_next(&rng) : pattern >> (i % 7 * 8);
        into[i] = (uint8_t)drawn;
    }
    vv_put_u64(head + 8, serial);
    vv_put_u64(head + 16, size);
    vv_put_u64(head + 24, pattern);
    if (size < SAMPLE_VALUE_HEAD) {
        vv_put_u64(head, vv_mix(serial ^ vv_hash(key)));
        if (size > 0)
            memcpy(into, head, size);
        return;
    }
    memcpy(into + 8, head + 8, SAMPLE_VALUE_HEAD - 8);
    vv_put_u64(into, vv_hash_seeded(vv_slice_of(into + 8, size - 8), vv_hash(key)));
}

bool sample_value_check(vv_slice key, vv_slice value, uint64_t *serial)
{
    *serial = 0;
    if (value.size < SAMPLE_VALUE_HEAD)
        return true;
    *serial = vv_get_u64(value.data + 8);
    return vv_get_u64(value.data + 16) == value.size &&
           vv_get_u64(value.data) ==
               vv_hash_seeded(vv_slice_of(value.data + 8, value.size - 8), vv_hash(key));
}

const char *sample_text(vv_slice key)
{
    static char texts[TEXT_COUNT][TEXT_SIZE];
    static unsigned turn;
    char *text = texts[turn++ % TEXT_COUNT];
    size_t used = 0;

    for (size_t i = 0; i < key.size && used + 24 < TEXT_SIZE; i++) {
        bool plain = key.data[i] > ' ' && key.data[i] < 0x7f && key.data[i] != '\\';
        used +=
            (size_t)snprintf(text + used, TEXT_SIZE - used, plain ? "%c" : "\\x%02x", key.data[i]);
    }
    snprintf(text + used, TEXT_SIZE - used, " (%zu bytes)", key.size);
    return text;
}
