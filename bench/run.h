/* A run: which workloads on which engines, each group and engine in a process of its own. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "workload.h"

enum { BENCH_ENGINES_MAX = 4, BENCH_WORKLOADS_MAX = 64 };

struct bench_plan {
    const struct bench_engine *engines[BENCH_ENGINES_MAX];
    size_t engine_count;
    bool selected[BENCH_WORKLOADS_MAX];
    uint64_t records;
    uint64_t reps;
    enum bench_key_shape keys;
    double seconds_max; /* no further repetition of a group is begun that would end after it */
    const char *dir;    /* ours; stores are made below it */
};

struct bench_results {
    struct bench_result *items;
    size_t count, capacity;
    unsigned failures;
    bool cut_short; /* repetitions were left out for lack of time */
};

/* The memory that engines get in a group, and the records of it. */
uint64_t bench_group_count(const struct bench_plan *plan, const struct bench_group *group);
void bench_group_config(const struct bench_plan *plan, const struct bench_group *group,
                        struct bench_engine_config *config);

/* Runs everything, telling stderr what it does. Returns early after SIGINT or SIGTERM, with -1. */
int bench_run(const struct bench_plan *plan, struct bench_results *results);
void bench_results_deinit(struct bench_results *results);

/* Deletes a directory and what is in it. */
void bench_remove_tree(const char *dir);

#endif
