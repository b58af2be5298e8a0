/* What the machine can do: the constants that the cost model is made of. */
#ifndef BENCH_CALIBRATE_H
#define BENCH_CALIBRATE_H

#include <stdbool.h>

/* Prints the constants; `dir` is where files may be made. */
int bench_calibrate(const char *dir, bool json);

#endif
