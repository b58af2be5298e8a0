/* Tables and JSON out of results. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "run.h"

void bench_report_tables(const struct bench_plan *plan, const struct bench_results *results);
void bench_report_json(const struct bench_plan *plan, const struct bench_results *results);

#endif
