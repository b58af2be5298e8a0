/*
 * What every test program is written with.
 *
 *     #include "harness/test.h"
 *
 *     TEST(torn_tail_is_forgotten)
 *     {
 *         CHECK_OK(vv_log_open(env, test_tmpdir(), &log));
 *         CHECK_EQ_INT(vv_log_count(log), 3);
 *     }
 *
 * That is the whole file: a TEST registers itself, and the harness brings main(). A check that
 * fails prints where, what, the values, the story of varve's last error and the seed, and leaves
 * the test at once without cleaning up after it.
 *
 *     program [TEXT]           runs the tests with TEXT in their names
 *     VARVE_SEED=n program     repeats a run
 *
 * Checks work on the test's own thread and in forked children. In another thread a failed check
 * ends the program.
 */
#ifndef VV_TEST_HARNESS_TEST_H
#define VV_TEST_HARNESS_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- a test */

struct test_entry {
    const char *name;
    void (*run)(void);
    struct test_entry *next;
};

void test_register(struct test_entry *entry);

#define TEST(test_name)                                                                            \
    static void test_run_##test_name(void);                                                        \
    __attribute__((constructor)) static void test_register_##test_name(void)                       \
    {                                                                                              \
        static struct test_entry entry = {#test_name, test_run_##test_name, NULL};                 \
        test_register(&entry);                                                                     \
    }                                                                                              \
    static void test_run_##test_name(void)

/* ---- its surroundings */

/* The number from which all randomness of a test must come: VARVE_SEED, or always the same one. */
uint64_t test_seed(void);

/* Whether this is the long run: more rounds, larger sizes. */
bool test_soak(void);

/*
 * A new, empty directory. It is removed when the test has passed and kept when it has failed. The
 * string lives as long as the test.
 */
const char *test_tmpdir(void);

/* Ends the test without a verdict, for what this machine cannot show. */
_Noreturn void test_skip(const char *reason);

/* ---- checks */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "CHECK(%s)", #condition);                                \
    } while (0)

/* Any integers that fit a signed 64-bit one. */
#define CHECK_EQ_INT(actual, expected)                                                             \
    test_check_int(__FILE__, __LINE__, #actual, (intmax_t)(actual), #expected, (intmax_t)(expected))

#define CHECK_EQ_U64(actual, expected)                                                             \
    test_check_u64(__FILE__, __LINE__, #actual, (uint64_t)(actual), #expected, (uint64_t)(expected))

#define CHECK_EQ_STR(actual, expected)                                                             \
    test_check_str(__FILE__, __LINE__, #actual, (actual), (expected))

/* A call that must succeed, that is return exactly zero. */
#define CHECK_OK(rc) test_check_rc(__FILE__, __LINE__, #rc, (rc), "0", 0)

/* A call that must end with this failure or outcome. */
#define CHECK_RC(rc, expected) test_check_rc(__FILE__, __LINE__, #rc, (rc), #expected, (expected))

/* Anything with .data and .size against a string literal, which may hold zero bytes. */
#define CHECK_SLICE(slice, literal)                                                                \
    do {                                                                                           \
        __typeof__(slice) test_slice_ = (slice);                                                   \
        test_check_bytes(__FILE__, __LINE__, #slice, test_slice_.data, test_slice_.size,           \
                         "" literal, sizeof("" literal) - 1);                                      \
    } while (0)

#define CHECK_BYTES(data, size, expected, expected_size)                                           \
    test_check_bytes(__FILE__, __LINE__, #data, (data), (size), (expected), (expected_size))

/* ---- what the checks are made of; helpers with their own place in the source may use them too */

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void test_check_int(const char *file, int line, const char *actual_text, intmax_t actual,
                    const char *expected_text, intmax_t expected);
void test_check_u64(const char *file, int line, const char *actual_text, uint64_t actual,
                    const char *expected_text, uint64_t expected);
void test_check_str(const char *file, int line, const char *text, const char *actual,
                    const char *expected);
void test_check_rc(const char *file, int line, const char *text, int rc, const char *expected_text,
                   int expected);
void test_check_bytes(const char *file, int line, const char *text, const void *actual,
                      size_t actual_size, const void *expected, size_t expected_size);

#endif
