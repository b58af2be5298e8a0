/*
 * The records of a run: keys and values that anybody can make again from a rank, so that each read
 * can be verified without a copy of the data.
 *
 * Rank r of n has the number 2r as its key. Odd numbers are keys that are missing, though their
 * neighbours are there. Ranks are in the order of keys.
 */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum { BENCH_KEY_SIZE = 16, BENCH_VALUE_SIZE_MIN = 16, BENCH_VALUE_SIZE_MAX = 65536 };

enum bench_key_shape {
    BENCH_KEYS_DECIMAL, /* sixteen digits, so half of each key is zeros; as LevelDB's db_bench */
    BENCH_KEYS_SPREAD   /* spread over all byte strings, as hashes are; still in order of rank */
};

struct bench_records {
    uint64_t count;
    size_t value_size;
    enum bench_key_shape shape;
    uint64_t spread_step;    /* between neighbouring numbers, with BENCH_KEYS_SPREAD */
    unsigned shuffle_bits;   /* 2 to the power of it is at least count */
    unsigned char *material; /* what values are cut from */
};

/* -1 without memory. */
int bench_records_init(struct bench_records *r, uint64_t count, size_t value_size,
                       enum bench_key_shape shape);
void bench_records_deinit(struct bench_records *r);

/* Writes BENCH_KEY_SIZE bytes. */
void bench_key_present(const struct bench_records *r, uint64_t rank, unsigned char *out);
void bench_key_missing(const struct bench_records *r, uint64_t rank, unsigned char *out);

/* The rank at a place of a fixed random order of all ranks. */
uint64_t bench_shuffle(const struct bench_records *r, uint64_t place);

/* Writes value_size bytes: the value that `rank` was given by write number `version`. About half
 * of it can be compressed away. */
void bench_value_make(const struct bench_records *r, uint64_t rank, uint64_t version,
                      unsigned char *out);

/* The version of a value of `rank`; -1 if it is no such value, or of a version above the bound. */
int bench_value_check(const struct bench_records *r, uint64_t rank, uint64_t version_max,
                      const void *data, size_t size);

uint64_t bench_mix(uint64_t x);

/* A cheap sequence of random numbers; the state is any number. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    return bench_mix(*state);
}

/* Below `bound`, which is less than 2 to the power of 32. */
static inline uint64_t bench_random_below(uint64_t *state, uint64_t bound)
{
    return ((bench_random(state) >> 32) * bound) >> 32;
}

#endif
