/*
 * A line on a terminal's stderr that says how far long work has come, how fast it goes and how long
 * it will take. Where stderr is no terminal it prints nothing.
 */
#ifndef VV_CLI_PROGRESS_H
#define VV_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum cli_unit { CLI_UNIT_ENTRIES, CLI_UNIT_BYTES };

/* Zeroed memory is one that shows nothing. */
struct cli_progress {
    bool is_on;
    bool is_drawn;
    const char *what;
    enum cli_unit unit;
    uint64_t total; /* in units, or 0 if nobody knows */
    uint64_t begun_us;
    uint64_t drawn_us;
    uint32_t calls; /* to ask for the time now and then only */
};

/* `what` must outlive it. */
void cli_progress_begin(struct cli_progress *p, const char *what, enum cli_unit unit,
                        uint64_t total);

/* `done` of the units, in so many entries. Cheap; draws at most ten times a second. */
void cli_progress_show(struct cli_progress *p, uint64_t done, uint64_t entries);

/* The same for callers that come seldom, and so want every call looked at. */
void cli_progress_show_now(struct cli_progress *p, uint64_t done, uint64_t entries);

/* Wipes the line away, for something else to be printed; the next show draws it again. */
void cli_progress_wipe(struct cli_progress *p);
void cli_progress_end(struct cli_progress *p);

/* Monotonic time. */
uint64_t cli_now_us(void);
uint64_t cli_now_ns(void);

#endif
