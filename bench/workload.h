/*
 * The workloads. Those of one group run on one store, one after the other, in a process of their
 * own; the first of a group fills the store.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "engine.h"
#include "measure.h"
#include "record.h"

enum bench_action {
    BENCH_PUT,
    BENCH_PUT_SORTED,
    BENCH_PUT_MANY,
    BENCH_GET,
    BENCH_GET_MISSING,
    BENCH_SCAN,
    BENCH_SCAN_REVERSE,
    BENCH_SEEK_FRESH, /* a new scan for each seek */
    BENCH_SEEK_KEPT,  /* one scan for all seeks */
    BENCH_OVERWRITE,
    BENCH_GET_WHILE_PUTTING,
    BENCH_PUT_WHILE_GETTING, /* the other side of the one before; is not run by itself */
    BENCH_REMOVE,
    BENCH_TRANSACT,
    BENCH_COUNT, /* on keys that are not records, and are gone afterwards */
    BENCH_GET_COUNT
};

enum { BENCH_THREADS_MAX = 8, BENCH_MANY = 1000, BENCH_NEXTS = 10 };

struct bench_group {
    const char *name;
    const char *about;
    unsigned count_permille; /* of the records asked for */
    size_t value_size;
    bool sync;
    bool lz4;
    bool small_memory; /* a tenth of the data */
    bool transactions; /* of engines that have them */
    bool counters;     /* the same */
};

struct bench_workload {
    const char *name;
    const struct bench_group *group;
    enum bench_action action;
    unsigned threads;
    unsigned ops_permille; /* of the records of the group */
};

extern const struct bench_workload bench_workloads[];
extern const size_t bench_workload_count;

/* What one run of one workload on one engine gave. It crosses a pipe, so it has no pointers. */
struct bench_result {
    uint64_t workload; /* index in bench_workloads */
    uint64_t engine;   /* index in the list of those that take part */
    uint64_t rep;
    uint64_t ops;
    uint64_t cpu_ops; /* those that share cpu_seconds; more than ops where there is another side */
    double seconds;   /* until the last call returned */
    double drain_seconds; /* from then until background work was done */
    double cpu_seconds;   /* until background work was done */
    uint64_t user_bytes;  /* keys and values written by the workload */
    uint64_t raw_bytes;   /* keys and values alive in the store afterwards */
    uint64_t written_bytes, disk_bytes, peak_bytes, own_bytes;
    double p50_ns, p99_ns, p999_ns, max_ns; /* of one call; 0 for scans */
};

/* A store while the workloads of a group run on it. "Places" are those of bench_shuffle. */
struct bench_stage {
    const struct bench_engine *engine;
    const struct bench_records *records;
    void *store;
    const char *dir;
    double ns_a_tick;
    uint64_t seed;      /* another for each repetition */
    uint64_t version;   /* of the newest values */
    uint64_t overwrote; /* records at places below it have version 1 or newer */
    uint64_t removed;   /* records at places below it are gone */
};

/* True if what it does writes. */
bool bench_action_writes(enum bench_action action);

/* Runs a workload. The second result is that of the other side of BENCH_GET_WHILE_PUTTING, and
 * otherwise has no ops. */
int bench_workload_run(struct bench_stage *stage, const struct bench_workload *workload,
                       struct bench_result *result, struct bench_result *other);

/* Reads everything: each record that must be there and no other, in order, with right values. */
int bench_stage_verify(struct bench_stage *stage);

#endif
