/*
 * What a long random test has been doing: the last few steps, told when a check fails or the
 * library under test aborts, so that a failure explains itself without a second run.
 */
#ifndef VV_TEST_HARNESS_TRAIL_H
#define VV_TEST_HARNESS_TRAIL_H

#include "harness/test.h"

/* Forgets the steps and says what begins: the seed and whatever else a repetition needs. */
void trail_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One step. The latest ones are kept. */
void trail_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

_Noreturn void trail_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void trail_check_rc(const char *file, int line, const char *text, int rc, int expected);

#define TRAIL_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            trail_fail(__FILE__, __LINE__, "CHECK(%s)", #condition);                               \
    } while (0)
#define TRAIL_OK(rc)           trail_check_rc(__FILE__, __LINE__, #rc, (rc), 0)
#define TRAIL_RC(rc, expected) trail_check_rc(__FILE__, __LINE__, #rc, (rc), (expected))

#endif
