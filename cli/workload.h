/*
 * What the bench does: workloads, their keys and values, and the loop of one thread.
 */
#ifndef VV_CLI_WORKLOAD_H
#define VV_CLI_WORKLOAD_H

#include "base/check.h"
#include "base/histogram.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <varve/varve.h>

/* What the user chose; the same for all workloads of a run. */
struct cli_load_plan {
    uint64_t num;
    uint64_t key_size;
    uint64_t value_size;
    uint64_t threads;
    uint64_t batch;
    uint64_t seed;
    double compressible;
};

enum { CLI_BENCH_KEY_MIN = 4, CLI_BENCH_KEY_MAX = 1024, CLI_BENCH_POOL_BYTES = 1 << 20 };

/* Bytes that values are cut from: CLI_BENCH_POOL_BYTES and one value more. To be freed with
 * vv_free; NULL when memory is out. */
VV_MUST uint8_t *cli_load_pool(const struct cli_load_plan *plan);

/* A bijection of 0 … num - 1 that looks random. */
uint64_t cli_load_shuffle(uint64_t index, uint64_t num, uint64_t seed);

struct cli_worker;

struct cli_workload {
    const char *name;
    /* Does one step: an entry read, or a batch written. Adds to the worker's counts. VARVE_END when
     * there is nothing left to do. */
    int (*step)(struct cli_worker *worker, uint64_t index);
    bool writes;
    bool reads;      /* makes little sense on an empty store */
    bool is_walk;    /* needs an iterator, and is too fast for a clock around each step */
    bool has_writer; /* one more thread overwrites meanwhile */
};

/* The end has no name. */
extern const struct cli_workload cli_workloads[];

/* One thread. `begin` … `found` are the caller's to set and read; the rest is private. */
struct cli_worker {
    const struct cli_workload *workload;
    const struct cli_load_plan *plan;
    const uint8_t *pool;
    varve *db;
    uint64_t begin, end;    /* the entries it is to work on */
    uint64_t stream;        /* makes its randomness differ from others' */
    _Atomic(bool) *is_over; /* set by the first worker to be done with a failure, or NULL */
    _Atomic(uint64_t) done; /* entries so far; others read it for the progress line */
    uint64_t bytes;         /* of keys and values moved */
    uint64_t found;
    struct vv_histogram latency_ns; /* of steps */
    int rc;
    char story[512]; /* of a failure */

    uint64_t random;
    varve_batch *batch;
    varve_iter *iter;
    uint64_t pool_at;
    uint8_t key[CLI_BENCH_KEY_MAX];
};

/* Runs to the end, an interruption or a failure, which is left in `rc` and `story`. */
void cli_worker_run(struct cli_worker *worker);

#endif
