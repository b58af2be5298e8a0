#include "summary.h"

#include <math.h>
#include <stdlib.h>

enum { REPS_MAX = 1000 };

static double over(double a, double b)
{
    return b > 0 ? a / b : (double)NAN;
}

static double known(double x)
{
    return x > 0 ? x : (double)NAN;
}

double bench_figure_ops(const struct bench_result *result)
{
    return over((double)result->ops, result->seconds);
}

double bench_figure_settled_ops(const struct bench_result *result)
{
    if (result->user_bytes == 0)
        return (double)NAN;
    return over((double)result->ops, result->seconds + result->drain_seconds);
}

double bench_figure_cpu_us(const struct bench_result *result)
{
    return known(over(result->cpu_seconds * 1e6, (double)result->cpu_ops));
}

double bench_figure_p50_us(const struct bench_result *result)
{
    return known(result->p50_ns / 1e3);
}

double bench_figure_p99_us(const struct bench_result *result)
{
    return known(result->p99_ns / 1e3);
}

double bench_figure_p999_us(const struct bench_result *result)
{
    return known(result->p999_ns / 1e3);
}

double bench_figure_max_us(const struct bench_result *result)
{
    return known(result->max_ns / 1e3);
}

double bench_figure_peak_mib(const struct bench_result *result)
{
    return known((double)result->peak_bytes / 1048576);
}

double bench_figure_own_mib(const struct bench_result *result)
{
    return known((double)result->own_bytes / 1048576);
}

double bench_figure_disk(const struct bench_result *result)
{
    if (result->user_bytes == 0)
        return (double)NAN;
    return known(over((double)result->disk_bytes, (double)result->raw_bytes));
}

double bench_figure_written(const struct bench_result *result)
{
    return over((double)result->written_bytes, (double)result->user_bytes);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct bench_summary of_values(double *values, unsigned count)
{
    struct bench_summary summary = {.count = count};
    if (count == 0)
        return summary;
    qsort(values, count, sizeof *values, ascending);
    summary.median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    summary.spread = over((values[count - 1] - values[0]) / 2, summary.median);
    return summary;
}

static const struct bench_result *find(const struct bench_results *results, size_t workload,
                                       size_t engine, uint64_t rep)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct bench_result *r = &results->items[i];
        if (r->workload == workload && r->engine == engine && r->rep == rep)
            return r;
    }
    return NULL;
}

struct bench_summary bench_summarize(const struct bench_results *results, size_t workload,
                                     size_t engine, bench_figure *figure)
{
    double values[REPS_MAX];
    unsigned count = 0;

    for (size_t i = 0; i < results->count && count < REPS_MAX; i++) {
        const struct bench_result *r = &results->items[i];
        if (r->workload == workload && r->engine == engine && !isnan(figure(r)))
            values[count++] = figure(r);
    }
    return of_values(values, count);
}

struct bench_summary bench_compare(const struct bench_results *results, size_t workload,
                                   size_t engine, size_t other, bench_figure *figure)
{
    double values[REPS_MAX];
    unsigned count = 0;

    for (uint64_t rep = 0; rep < REPS_MAX; rep++) {
        const struct bench_result *a = find(results, workload, engine, rep);
        const struct bench_result *b = find(results, workload, other, rep);
        if (!a && !b && rep > 0)
            break;
        if (a && b && !isnan(over(figure(a), figure(b))))
            values[count++] = over(figure(a), figure(b));
    }
    return of_values(values, count);
}
