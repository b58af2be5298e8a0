/* The list of workloads: its order is the order of running and of the report. */
#include "workload.h"

static const struct bench_group
    sorted = {.name = "seq",
              .about = "in order of keys",
              .count_permille = 1000,
              .value_size = 100},
    random_order = {.name = "random",
                    .about = "in random order, then read and changed",
                    .count_permille = 1000,
                    .value_size = 100},
    batches = {.name = "batch",
               .about = "in batches of 1000, random order",
               .count_permille = 1000,
               .value_size = 100},
    sync1 = {.name = "sync",
             .about = "each put synced to the device",
             .count_permille = 10,
             .value_size = 100,
             .sync = true},
    sync2 = {.name = "sync2",
             .about = "each put synced to the device, two threads",
             .count_permille = 10,
             .value_size = 100,
             .sync = true},
    two_writers = {.name = "random2",
                   .about = "in random order by two threads",
                   .count_permille = 1000,
                   .value_size = 100},
    kib1 = {.name = "1k", .about = "values of 1 KiB", .count_permille = 100, .value_size = 1024},
    kib16 = {.name = "16k", .about = "values of 16 KiB", .count_permille = 10, .value_size = 16384},
    kib64 = {.name = "64k", .about = "values of 64 KiB", .count_permille = 3, .value_size = 65536},
    transactions = {.name = "txn",
                    .about = "transactions that read two records for update and write both",
                    .count_permille = 300,
                    .value_size = 100,
                    .transactions = true},
    counting = {.name = "count",
                .about = "merges into 1000 counters, and reads of them",
                .count_permille = 100,
                .value_size = 100,
                .counters = true},
    packed = {.name = "lz4",
              .about = "compressed with lz4, where the engine can",
              .count_permille = 500,
              .value_size = 100,
              .lz4 = true},
    tight = {.name = "small",
             .about = "ten times as much data as memory, values of 400 bytes",
             .count_permille = 1600,
             .value_size = 400,
             .small_memory = true};

const struct bench_workload bench_workloads[] = {
    {"fillseq", &sorted, BENCH_PUT_SORTED, 1, 1000},

    {"fillrandom", &random_order, BENCH_PUT, 1, 1000},
    {"readrandom", &random_order, BENCH_GET, 1, 500},
    {"readmissing", &random_order, BENCH_GET_MISSING, 1, 500},
    {"readseq", &random_order, BENCH_SCAN, 1, 1000},
    {"readreverse", &random_order, BENCH_SCAN_REVERSE, 1, 1000},
    {"seekrandom", &random_order, BENCH_SEEK_FRESH, 1, 100},
    {"seekkept", &random_order, BENCH_SEEK_KEPT, 1, 100},
    {"readrandom2", &random_order, BENCH_GET, 2, 500},
    {"overwrite", &random_order, BENCH_OVERWRITE, 1, 300},
    {"readwhilewriting", &random_order, BENCH_GET_WHILE_PUTTING, 1, 300},
    {"writewhilereading", &random_order, BENCH_PUT_WHILE_GETTING, 1, 0},
    {"deleterandom", &random_order, BENCH_REMOVE, 1, 300},

    {"fillbatch1000", &batches, BENCH_PUT_MANY, 1, 1000},
    {"fillsync", &sync1, BENCH_PUT, 1, 1000},
    {"fillsync2", &sync2, BENCH_PUT, 2, 1000},
    {"fillrandom2", &two_writers, BENCH_PUT, 2, 1000},

    {"fill1k", &kib1, BENCH_PUT, 1, 1000},
    {"read1k", &kib1, BENCH_GET, 1, 2000},
    {"scan1k", &kib1, BENCH_SCAN, 1, 1000},
    {"fill16k", &kib16, BENCH_PUT, 1, 1000},
    {"read16k", &kib16, BENCH_GET, 1, 2000},
    {"scan16k", &kib16, BENCH_SCAN, 1, 1000},
    {"fill64k", &kib64, BENCH_PUT, 1, 1000},
    {"read64k", &kib64, BENCH_GET, 1, 4000},
    {"scan64k", &kib64, BENCH_SCAN, 1, 1000},

    {"filltxn", &transactions, BENCH_PUT, 1, 1000},
    {"transact", &transactions, BENCH_TRANSACT, 1, 500},
    {"transact2", &transactions, BENCH_TRANSACT, 2, 500},

    {"fillcount", &counting, BENCH_PUT, 1, 1000},
    {"count", &counting, BENCH_COUNT, 1, 10000},
    {"count2", &counting, BENCH_COUNT, 2, 10000},
    {"countread", &counting, BENCH_GET_COUNT, 1, 5000},

    {"filllz4", &packed, BENCH_PUT, 1, 1000},
    {"readlz4", &packed, BENCH_GET, 1, 1000},
    {"scanlz4", &packed, BENCH_SCAN, 1, 1000},

    {"fillsmall", &tight, BENCH_PUT, 1, 1000},
    {"readsmall", &tight, BENCH_GET, 1, 150},
    {"seeksmall", &tight, BENCH_SEEK_FRESH, 1, 30},
    {"scansmall", &tight, BENCH_SCAN, 1, 1000},
    {"overwritesmall", &tight, BENCH_OVERWRITE, 1, 150},
};

const size_t bench_workload_count = sizeof bench_workloads / sizeof *bench_workloads;

bool bench_action_writes(enum bench_action action)
{
    switch (action) {
    case BENCH_PUT:
    case BENCH_PUT_SORTED:
    case BENCH_PUT_MANY:
    case BENCH_OVERWRITE:
    case BENCH_GET_WHILE_PUTTING:
    case BENCH_PUT_WHILE_GETTING:
    case BENCH_REMOVE:
    case BENCH_TRANSACT:
    case BENCH_COUNT:
    case BENCH_GET_COUNT: return true;
    case BENCH_GET:
    case BENCH_GET_MISSING:
    case BENCH_SCAN:
    case BENCH_SCAN_REVERSE:
    case BENCH_SEEK_FRESH:
    case BENCH_SEEK_KEPT: return false;
    }
    return false;
}
