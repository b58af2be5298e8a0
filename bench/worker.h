/* One thread's part of a workload. */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include <stdatomic.h>

#include "workload.h"

struct bench_worker {
    const struct bench_stage *stage;
    enum bench_action action;
    void *session;
    uint64_t first, count; /* its places, or the number of its operations */
    uint64_t random;
    unsigned index;    /* among the workers of the workload */
    atomic_bool *stop; /* BENCH_PUT_WHILE_GETTING goes on until this */

    int rc;
    uint64_t done;
    uint64_t lap; /* when the last operation ended */
    struct bench_histogram calls;
    unsigned char key[BENCH_KEY_SIZE];
    unsigned char value[BENCH_VALUE_SIZE_MAX];
};

/* Does the part; counts what was done and sets rc. */
void bench_worker_run(struct bench_worker *w);

#endif
