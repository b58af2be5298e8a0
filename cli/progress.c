#include "progress.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    REDRAW_US = 100 * 1000,
    QUIET_AT_FIRST_US = 300 * 1000, /* short work should not flicker */
    CALLS_BETWEEN_LOOKS = 64,
    BAR_WIDTH = 24
};

uint64_t cli_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t cli_now_us(void)
{
    return cli_now_ns() / 1000;
}

void cli_progress_begin(struct cli_progress *p, const char *what, enum cli_unit unit,
                        uint64_t total)
{
    uint64_t now_us = cli_now_us();
    *p = (struct cli_progress){.is_on = isatty(STDERR_FILENO) == 1,
                               .what = what,
                               .unit = unit,
                               .total = total,
                               .begun_us = now_us,
                               .drawn_us = now_us + QUIET_AT_FIRST_US - REDRAW_US};
}

static void format_eta(char *text, size_t size, uint64_t seconds)
{
    unsigned long long minutes = seconds / 60;
    if (minutes >= 60)
        (void)snprintf(text, size, "%llu:%02llu:%02llu", minutes / 60, minutes % 60,
                       (unsigned long long)seconds % 60);
    else
        (void)snprintf(text, size, "%llu:%02llu", minutes, (unsigned long long)seconds % 60);
}

static void draw(struct cli_progress *p, uint64_t done, uint64_t entries, uint64_t now_us)
{
    char rate_text[CLI_NUMBER_SIZE];
    char entries_text[CLI_NUMBER_SIZE];
    char bar[BAR_WIDTH + 1] = {0};
    char eta[32] = "";
    char line[256];
    double seconds = (double)(now_us - p->begun_us) / 1e6;
    double rate = (double)done / seconds;
    if (p->unit == CLI_UNIT_BYTES)
        (void)cli_format_bytes(rate_text, rate);
    else
        (void)cli_format_count(rate_text, (uint64_t)rate);
    (void)cli_format_count(entries_text, entries);

    int size;
    if (p->total > 0) {
        /* An estimated total may turn out too small. */
        double part = done < p->total ? (double)done / (double)p->total : 1;
        size_t filled = (size_t)(part * BAR_WIDTH);
        memset(bar, '.', BAR_WIDTH);
        memset(bar, '#', filled);
        if (done > 0)
            format_eta(eta, sizeof eta, (uint64_t)((1 - part) * (double)p->total / rate));
        size = snprintf(line, sizeof line, "\r%s [%s] %3.0f%%  %s/s  ETA %s  %s entries\033[K",
                        p->what, bar, part * 100, rate_text, eta, entries_text);
    } else {
        size = snprintf(line, sizeof line, "\r%s  %s/s  %s entries  %.0f s\033[K", p->what,
                        rate_text, entries_text, seconds);
    }
    vv_assert(size > 0 && (size_t)size < sizeof line);
    ssize_t written = write(STDERR_FILENO, line, (size_t)size);
    (void)written;
    p->is_drawn = true;
    p->drawn_us = now_us;
}

void cli_progress_show_now(struct cli_progress *p, uint64_t done, uint64_t entries)
{
    if (!p->is_on)
        return;
    uint64_t now_us = cli_now_us();
    if (now_us >= p->drawn_us + REDRAW_US)
        draw(p, done, entries, now_us);
}

void cli_progress_show(struct cli_progress *p, uint64_t done, uint64_t entries)
{
    if (p->is_on && ++p->calls % CALLS_BETWEEN_LOOKS == 0)
        cli_progress_show_now(p, done, entries);
}

void cli_progress_wipe(struct cli_progress *p)
{
    static const char wipe[] = "\r\033[K";
    if (p->is_drawn) {
        ssize_t written = write(STDERR_FILENO, wipe, sizeof wipe - 1);
        (void)written;
    }
    p->is_drawn = false;
}

void cli_progress_end(struct cli_progress *p)
{
    cli_progress_wipe(p);
    p->is_on = false;
}
