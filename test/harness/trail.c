/*
 * The trail is one per program: the tests that use it are single-threaded drivers. The handler for
 * SIGABRT only writes text that is already formatted.
 */
#include "harness/trail.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS_KEPT = 24, LINE_SIZE = 240 };

static char beginning[LINE_SIZE];
static char steps[STEPS_KEPT][LINE_SIZE];
static uint64_t step_count;

static void tell(void)
{
    uint64_t from = step_count > STEPS_KEPT ? step_count - STEPS_KEPT : 0;

    (void)!write(STDERR_FILENO, beginning, strlen(beginning));
    for (uint64_t i = from; i < step_count; i++) {
        const char *line = steps[i % STEPS_KEPT];

        (void)!write(STDERR_FILENO, "\n    ", 5);
        (void)!write(STDERR_FILENO, line, strlen(line));
    }
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void tell_at_abort(int signal_number)
{
    tell();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void trail_begin(const char *format, ...)
{
    va_list args;

    step_count = 0;
    va_start(args, format);
    vsnprintf(beginning, sizeof beginning, format, args);
    va_end(args);
    signal(SIGABRT, tell_at_abort);
}

void trail_note(const char *format, ...)
{
    char *line = steps[step_count % STEPS_KEPT];
    int used = snprintf(line, LINE_SIZE, "%" PRIu64 ". ", step_count);
    va_list args;

    va_start(args, format);
    vsnprintf(line + used, LINE_SIZE - (size_t)used, format, args);
    va_end(args);
    step_count++;
}

void trail_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout);
    tell();
    test_fail(file, line, "%s", text);
}

void trail_check_rc(const char *file, int line, const char *text, int rc, int expected)
{
    if (rc != expected)
        trail_fail(file, line, "%s gives %d, not %d", text, rc, expected);
}
