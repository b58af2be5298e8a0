#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "summary.h"

enum { CELL = 32 };

static void scaled(double x, char *out)
{
    if (x >= 1e7)
        snprintf(out, CELL, "%.1fM", x / 1e6);
    else if (x >= 1e6)
        snprintf(out, CELL, "%.2fM", x / 1e6);
    else if (x >= 1e4)
        snprintf(out, CELL, "%.0fk", x / 1e3);
    else if (x >= 1e3)
        snprintf(out, CELL, "%.1fk", x / 1e3);
    else
        snprintf(out, CELL, "%.0f", x);
}

static void plain(double x, char *out)
{
    snprintf(out, CELL, x < 9.995 ? "%.2f" : x < 99.95 ? "%.1f" : "%.0f", x);
}

static void mebibytes(double x, char *out)
{
    snprintf(out, CELL, "%.0f", x);
}

static void duration(double us, char *out)
{
    if (us < 1)
        snprintf(out, CELL, "%.0fns", us * 1e3);
    else if (us < 1e3)
        snprintf(out, CELL, us < 9.95 ? "%.1fus" : "%.0fus", us);
    else if (us < 1e6)
        snprintf(out, CELL, us < 9.95e3 ? "%.1fms" : "%.0fms", us / 1e3);
    else
        snprintf(out, CELL, "%.1fs", us / 1e6);
}

struct table {
    const char *title;
    bench_figure *figure;
    void (*show)(double x, char *out);
    bool spread, ratio;
};

static size_t varve_of(const struct bench_plan *plan)
{
    size_t at = 0;
    while (at < plan->engine_count && strcmp(plan->engines[at]->name, "varve") != 0)
        at++;
    return at;
}

static bool row_is_empty(const struct bench_plan *plan, const struct bench_results *results,
                         size_t workload, bench_figure *figure)
{
    for (size_t e = 0; e < plan->engine_count; e++)
        if (bench_summarize(results, workload, e, figure).count > 0)
            return false;
    return true;
}

static void print_row(const struct bench_plan *plan, const struct bench_results *results,
                      const struct table *table, size_t workload)
{
    size_t us = varve_of(plan);

    printf("%-17s", bench_workloads[workload].name);
    for (size_t e = 0; e < plan->engine_count; e++) {
        struct bench_summary s = bench_summarize(results, workload, e, table->figure);
        char cell[CELL] = "-";
        if (s.count > 0)
            table->show(s.median, cell);
        printf("  %8s", cell);
        if (table->spread && s.count > 1)
            printf(" ±%2.0f%%", s.spread < 0.99 ? s.spread * 100 : 99);
        else if (table->spread)
            printf("     ");
    }
    for (size_t e = 0; table->ratio && us < plan->engine_count && e < plan->engine_count; e++) {
        if (e == us)
            continue;
        struct bench_summary s = bench_compare(results, workload, us, e, table->figure);
        char cell[CELL] = "-";
        if (s.count > 0)
            plain(s.median, cell);
        printf("  %8s", cell);
    }
    printf("\n");
}

static void print_table(const struct bench_plan *plan, const struct bench_results *results,
                        const struct table *table)
{
    size_t us = varve_of(plan);

    printf("\n%s\n%-17s", table->title, "");
    for (size_t e = 0; e < plan->engine_count; e++)
        printf("  %8s%s", plan->engines[e]->name, table->spread ? "     " : "");
    for (size_t e = 0; table->ratio && us < plan->engine_count && e < plan->engine_count; e++)
        if (e != us) {
            char cell[CELL];
            snprintf(cell, sizeof cell, "/%s", plan->engines[e]->name);
            printf("  %8s", cell);
        }
    printf("\n");
    for (size_t w = 0; w < bench_workload_count; w++)
        if (!row_is_empty(plan, results, w, table->figure))
            print_row(plan, results, table, w);
}

static void print_latencies(const struct bench_plan *plan, const struct bench_results *results)
{
    static bench_figure *const figures[] = {bench_figure_p50_us, bench_figure_p99_us,
                                            bench_figure_p999_us, bench_figure_max_us};

    printf("\nOne call: p50 / p99 / p99.9 / max (a seek with its ten nexts, a batch as a whole)\n");
    printf("%-17s", "");
    for (size_t e = 0; e < plan->engine_count; e++)
        printf("  %29s", plan->engines[e]->name);
    printf("\n");
    for (size_t w = 0; w < bench_workload_count; w++) {
        if (row_is_empty(plan, results, w, bench_figure_p50_us))
            continue;
        printf("%-17s", bench_workloads[w].name);
        for (size_t e = 0; e < plan->engine_count; e++) {
            printf(" ");
            for (size_t f = 0; f < 4; f++) {
                struct bench_summary s = bench_summarize(results, w, e, figures[f]);
                char cell[CELL] = "-";
                if (s.count > 0)
                    duration(s.median, cell);
                printf("%s%6s", f == 0 ? " " : "/", cell);
            }
        }
        printf("\n");
    }
}

/* Settings differ between groups only in memory, lz4 and syncing: those of the usual case, and of
 * the small one where it was run. */
static void print_settings(const struct bench_plan *plan)
{
    struct bench_engine_config config;
    char version[64], settings[256];
    const struct bench_group *group = NULL, *small = NULL;

    for (size_t w = 0; w < bench_workload_count; w++) {
        const struct bench_group *of = bench_workloads[w].group;
        if (plan->selected[w] && of->small_memory)
            small = of;
        else if (!group && !of->sync && !of->lz4 && !of->small_memory)
            group = of;
    }
    for (size_t e = 0; e < plan->engine_count; e++) {
        bench_group_config(plan, group, &config);
        plan->engines[e]->describe(&config, version, sizeof version, settings, sizeof settings);
        printf("%-8s %-8s %s\n", plan->engines[e]->name, version, settings);
        if (!small)
            continue;
        bench_group_config(plan, small, &config);
        plan->engines[e]->describe(&config, version, sizeof version, settings, sizeof settings);
        printf("%-8s %-8s %s\n", "", "*small:", settings);
    }
}

void bench_report_tables(const struct bench_plan *plan, const struct bench_results *results)
{
    static const struct table tables[] = {
        {"Operations a second: median of repetitions, half their range; then varve over each peer "
         "(above 1: varve is faster)",
         bench_figure_ops, scaled, true, true},
        {"The same, counting the time until flushes and merges left behind were done",
         bench_figure_settled_ops, scaled, false, true},
        {"Processor microseconds an operation, background work included; then varve over each peer "
         "(below 1: varve needs less)",
         bench_figure_cpu_us, plain, true, true},
        {"Peak resident MiB, mapped files included", bench_figure_peak_mib, mebibytes, false,
         false},
        {"Resident MiB afterwards, mapped files not included", bench_figure_own_mib, mebibytes,
         false, false},
        {"Bytes on the device over live keys and values, settled, store open", bench_figure_disk,
         plain, false, false},
        {"Bytes written to the device over keys and values put", bench_figure_written, plain, false,
         false},
    };

    printf("varve and its peers: %llu records, %u-byte keys, 100-byte values unless the name says "
           "otherwise\n",
           (unsigned long long)plan->records, BENCH_KEY_SIZE);
    print_settings(plan);
    for (size_t i = 0; i < 3; i++)
        print_table(plan, results, &tables[i]);
    print_latencies(plan, results);
    for (size_t i = 3; i < sizeof tables / sizeof *tables; i++)
        print_table(plan, results, &tables[i]);
    if (results->cut_short)
        printf("\nTime ran out: some workloads had fewer repetitions than asked for.\n");
    if (results->failures > 0)
        printf("\n%u of the runs FAILED; see above.\n", results->failures);
}

static void json_number(const char *name, double x)
{
    if (isnan(x))
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%.6g", name, x);
}

static void json_result(const struct bench_plan *plan, const struct bench_result *r)
{
    printf("{\"workload\":\"%s\",\"engine\":\"%s\",\"repetition\":%llu,\"ops\":%llu",
           bench_workloads[r->workload].name, plan->engines[r->engine]->name,
           (unsigned long long)r->rep + 1, (unsigned long long)r->ops);
    json_number("seconds", r->seconds);
    json_number("drain_seconds", r->drain_seconds);
    json_number("ops_a_second", bench_figure_ops(r));
    json_number("cpu_us_an_op", bench_figure_cpu_us(r));
    json_number("p50_us", bench_figure_p50_us(r));
    json_number("p99_us", bench_figure_p99_us(r));
    json_number("p999_us", bench_figure_p999_us(r));
    json_number("max_us", bench_figure_max_us(r));
    json_number("peak_mib", bench_figure_peak_mib(r));
    json_number("own_mib", bench_figure_own_mib(r));
    json_number("disk_over_raw", bench_figure_disk(r));
    json_number("written_over_put", bench_figure_written(r));
    printf("}");
}

void bench_report_json(const struct bench_plan *plan, const struct bench_results *results)
{
    struct bench_engine_config config;
    char version[64], settings[256];

    printf("{\"records\":%llu,\"repetitions\":%llu,\"keys\":\"%s\",\"cut_short\":%s,"
           "\"failures\":%u,\n\"engines\":[",
           (unsigned long long)plan->records, (unsigned long long)plan->reps,
           plan->keys == BENCH_KEYS_DECIMAL ? "decimal" : "spread",
           results->cut_short ? "true" : "false", results->failures);
    bench_group_config(plan, bench_workloads[0].group, &config);
    for (size_t e = 0; e < plan->engine_count; e++) {
        plan->engines[e]->describe(&config, version, sizeof version, settings, sizeof settings);
        printf("%s\n {\"name\":\"%s\",\"version\":\"%s\",\"settings\":\"%s\"}", e ? "," : "",
               plan->engines[e]->name, version, settings);
    }
    printf("],\n\"results\":[");
    for (size_t i = 0; i < results->count; i++) {
        printf("%s\n ", i ? "," : "");
        json_result(plan, &results->items[i]);
    }
    printf("]}\n");
}
