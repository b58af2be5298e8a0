/* Figures over the repetitions of a workload: medians, spreads, ratios. */
#ifndef BENCH_SUMMARY_H
#define BENCH_SUMMARY_H

#include "run.h"

/* One figure of a result; not a number where it has no meaning. */
typedef double bench_figure(const struct bench_result *result);

bench_figure bench_figure_ops;         /* operations a second, as the caller sees it */
bench_figure bench_figure_settled_ops; /* the same, with the time of the work left behind */
bench_figure bench_figure_cpu_us;      /* processor time an operation */
bench_figure bench_figure_p50_us, bench_figure_p99_us, bench_figure_p999_us, bench_figure_max_us;
bench_figure bench_figure_peak_mib, bench_figure_own_mib;
bench_figure bench_figure_disk;    /* bytes on the device over bytes of live keys and values */
bench_figure bench_figure_written; /* bytes written to the device over bytes put */

struct bench_summary {
    unsigned count; /* of repetitions; 0: nothing is known */
    double median;
    double spread; /* half of the range, over the median */
};

struct bench_summary bench_summarize(const struct bench_results *results, size_t workload,
                                     size_t engine, bench_figure *figure);

/* The median over repetitions of one engine's figure over another's in the same repetition. */
struct bench_summary bench_compare(const struct bench_results *results, size_t workload,
                                   size_t engine, size_t other, bench_figure *figure);

#endif
