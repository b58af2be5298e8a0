/* Instruments: time, a histogram of it, and what the system knows about this process. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <time.h>
#endif

double bench_seconds(void); /* monotonic */

/* A clock of unknown rate that costs about 20 ns to read. */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
#endif
}

double bench_ns_a_tick(void); /* takes 20 ms to find out */

/* Buckets of three percent: 32 to each power of two. */
enum { BENCH_HISTOGRAM_BUCKETS = 60 * 32 };

struct bench_histogram {
    uint64_t counts[BENCH_HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max;
};

static inline void bench_histogram_add(struct bench_histogram *h, uint64_t value)
{
    uint64_t at = value;
    if (value >= 32) {
        unsigned shift = 58U - (unsigned)__builtin_clzll(value); /* leaves 32 to 63 */
        at = ((uint64_t)shift << 5) + (value >> shift);
    }
    h->counts[at]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from);
double bench_histogram_percentile(const struct bench_histogram *h, double percent);

struct bench_usage {
    double cpu_seconds;     /* of all threads, user and system */
    uint64_t written_bytes; /* that this process caused to be sent to storage */
};

struct bench_usage bench_usage_now(void);

struct bench_memory {
    uint64_t peak_bytes; /* resident, mapped files included, since bench_memory_restart */
    uint64_t own_bytes;  /* resident now, without mapped files */
};

void bench_memory_restart(void);
struct bench_memory bench_memory_now(void);

/* What the files below a directory take on the device. */
uint64_t bench_disk_bytes(const char *dir);

/* Waits until this process has neither worked nor written for a tenth of a second, and gives the
 * seconds until then. Gives up after `limit`. */
double bench_wait_idle(double limit);

#endif
