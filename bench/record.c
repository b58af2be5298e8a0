/*
 * Making records has to cost less than the stores under test: a key is four table look-ups, a
 * value is one copy out of 128 KiB of material that stays in the processor's second cache.
 *
 * value    0  rank      u64, host order
 *          8  version   u64
 *         16  bytes cut from the material at a place that rank and version choose
 */
#include "record.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_SIZE = 16, PLACES = 131072, PIECE = 50 };

uint64_t bench_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* Pieces of random bytes, each there twice: a value of a hundred bytes compresses to about 60. */
static void fill_material(unsigned char *material, size_t size)
{
    uint64_t state = 1;
    for (size_t at = 0; at < size; at++)
        if (at % (2 * (size_t)PIECE) < PIECE)
            material[at] = (unsigned char)bench_random(&state);
        else
            material[at] = material[at - PIECE];
}

int bench_records_init(struct bench_records *r, uint64_t count, size_t value_size,
                       enum bench_key_shape shape)
{
    size_t size = PLACES + BENCH_VALUE_SIZE_MAX;

    *r = (struct bench_records){.count = count, .value_size = value_size, .shape = shape};
    r->spread_step = UINT64_MAX / (2 * count + 2);
    while (((uint64_t)1 << r->shuffle_bits) < count)
        r->shuffle_bits++;
    r->material = malloc(size);
    if (!r->material)
        return -1;
    fill_material(r->material, size);
    return 0;
}

void bench_records_deinit(struct bench_records *r)
{
    free(r->material);
    *r = (struct bench_records){0};
}

static void put_digits(uint64_t number, unsigned char *out)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    for (int at = BENCH_KEY_SIZE - 2; at >= 0; at -= 2) {
        if (number == 0) {
            memset(out, '0', (size_t)at + 2);
            return;
        }
        memcpy(out + at, pairs + 2 * (number % 100), 2);
        number /= 100;
    }
}

static void put_key(const struct bench_records *r, uint64_t number, unsigned char *out)
{
    if (r->shape == BENCH_KEYS_DECIMAL) {
        put_digits(number, out);
        return;
    }
    uint64_t head = __builtin_bswap64(number * r->spread_step), tail = bench_mix(number);
    memcpy(out, &head, 8);
    memcpy(out + 8, &tail, 8);
}

void bench_key_present(const struct bench_records *r, uint64_t rank, unsigned char *out)
{
    put_key(r, 2 * rank, out);
}

void bench_key_missing(const struct bench_records *r, uint64_t rank, unsigned char *out)
{
    put_key(r, 2 * rank + 1, out);
}

/* Each step maps the numbers of shuffle_bits bits onto themselves one to one; numbers outside the
 * ranks are sent round again. */
uint64_t bench_shuffle(const struct bench_records *r, uint64_t place)
{
    unsigned bits = r->shuffle_bits;
    if (bits == 0)
        return 0;
    uint64_t mask = ((uint64_t)1 << bits) - 1, x = place;
    do {
        x = (x * 0x9e3779b97f4a7c15U + 0x7f4a7c15U) & mask;
        x ^= x >> (bits / 2 + 1);
        x = (x * 0xbf58476d1ce4e5b9U) & mask;
        x ^= x >> (bits / 2 + 1);
        x = (x * 0x94d049bb133111ebU + 1) & mask;
    } while (x >= r->count);
    return x;
}

static const unsigned char *body_of(const struct bench_records *r, uint64_t rank, uint64_t version)
{
    uint64_t mixed = (rank * 0x9e3779b97f4a7c15U) ^ (version * 0xbf58476d1ce4e5b9U);
    return r->material + (mixed >> 40) % PLACES;
}

void bench_value_make(const struct bench_records *r, uint64_t rank, uint64_t version,
                      unsigned char *out)
{
    memcpy(out, &rank, 8);
    memcpy(out + 8, &version, 8);
    memcpy(out + HEAD_SIZE, body_of(r, rank, version), r->value_size - HEAD_SIZE);
}

int bench_value_check(const struct bench_records *r, uint64_t rank, uint64_t version_max,
                      const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t stored_rank, version;

    if (size != r->value_size)
        return -1;
    memcpy(&stored_rank, bytes, 8);
    memcpy(&version, bytes + 8, 8);
    if (stored_rank != rank || version > version_max)
        return -1;
    if (memcmp(bytes + HEAD_SIZE, body_of(r, rank, version), size - HEAD_SIZE) != 0)
        return -1;
    return (int)version;
}
