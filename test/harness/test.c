/*
 * The runner under every test program: cmocka runs the tests and survives their crashes, we keep
 * their names, directories and seed, and explain failures.
 *
 * A failed check leaves its test by a long jump inside cmocka, so nothing after it runs. A forked
 * child must not take that jump, or it would go on as a second runner; it exits instead.
 */
#include "harness/test.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    DIRS_MAX = 64,           /* directories of one test */
    BYTES_SHOWN = 48,        /* of either side of a difference */
    CHILD_FAILED = 99,       /* exit status of a forked child whose check failed */
    SEED_DEFAULT = 76617276, /* any number, as long as it stays */
};

/* base has it, and a program that links no part of base does not need it. */
const char *vv_error_story(void) __attribute__((weak));

static struct test_entry *first;
static struct test_entry **last = &first;
static pid_t runner;
static int skipped_count;

static char *dirs[DIRS_MAX]; /* of the running test */
static int dir_count;

void test_register(struct test_entry *entry)
{
    *last = entry;
    last = &entry->next;
}

uint64_t test_seed(void)
{
    const char *text = getenv("VARVE_SEED");
    return text && *text ? strtoull(text, NULL, 0) : SEED_DEFAULT;
}

bool test_soak(void)
{
    const char *text = getenv("VARVE_SOAK");
    return text && *text && strcmp(text, "0") != 0;
}

void test_skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    skipped_count++;
    _skip("test", 0);
    abort(); /* cmocka has jumped away */
}

/* ---- directories */

const char *test_tmpdir(void)
{
    const char *parent = getenv("TMPDIR");
    char path[512];

    CHECK(dir_count < DIRS_MAX);
    snprintf(path, sizeof path, "%s/varve-test-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(path))
        test_fail(__FILE__, __LINE__, "cannot make %s: %s", path, strerror(errno));
    CHECK((dirs[dir_count] = strdup(path)) != NULL);
    return dirs[dir_count++];
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *where)
{
    (void)stat;
    (void)type;
    (void)where;
    return remove(path);
}

static void dirs_forget(bool removing)
{
    while (dir_count > 0) {
        char *path = dirs[--dir_count];
        if (removing)
            nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(path);
    }
}

/* ---- failures */

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    const char *story = vv_error_story ? vv_error_story() : NULL;

    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (story && *story)
        fprintf(stderr, "    last error: %s\n", story);
    fprintf(stderr, "    repeat with VARVE_SEED=%" PRIu64 "%s\n", test_seed(),
            test_soak() ? " VARVE_SOAK=1" : "");
    for (int i = 0; i < dir_count; i++)
        fprintf(stderr, "    kept: %s\n", dirs[i]);
    fflush(stderr);

    if (getpid() != runner)
        _exit(CHILD_FAILED);
    _fail(file, line);
    abort(); /* cmocka has jumped away */
}

void test_check_int(const char *file, int line, const char *actual_text, intmax_t actual,
                    const char *expected_text, intmax_t expected)
{
    if (actual != expected)
        test_fail(file, line, "%s is %" PRIdMAX ", but %s is %" PRIdMAX, actual_text, actual,
                  expected_text, expected);
}

void test_check_u64(const char *file, int line, const char *actual_text, uint64_t actual,
                    const char *expected_text, uint64_t expected)
{
    if (actual != expected)
        test_fail(file, line, "%s is %" PRIu64 ", but %s is %" PRIu64, actual_text, actual,
                  expected_text, expected);
}

void test_check_str(const char *file, int line, const char *text, const char *actual,
                    const char *expected)
{
    if (actual == expected || (actual && expected && strcmp(actual, expected) == 0))
        return;
    test_fail(file, line, "%s is\n        \"%s\", not\n        \"%s\"", text,
              actual ? actual : "(null)", expected ? expected : "(null)");
}

void test_check_rc(const char *file, int line, const char *text, int rc, const char *expected_text,
                   int expected)
{
    if (rc != expected)
        test_fail(file, line, "%s gives %d, not %s (%d)", text, rc, expected_text, expected);
}

/* Writes bytes [from, size) as text with \xNN, at most BYTES_SHOWN of them. */
static void bytes_show(char *out, size_t out_size, const unsigned char *bytes, size_t size,
                       size_t from)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = from; i < size && i - from < BYTES_SHOWN; i++) {
        bool plain = bytes[i] >= ' ' && bytes[i] < 0x7f && bytes[i] != '\\';
        int got = snprintf(out + used, out_size - used, plain ? "%c" : "\\x%02x", bytes[i]);
        used += (size_t)got;
    }
}

void test_check_bytes(const char *file, int line, const char *text, const void *actual,
                      size_t actual_size, const void *expected, size_t expected_size)
{
    const unsigned char *a = actual;
    const unsigned char *b = expected;
    char shown[2][BYTES_SHOWN * 4 + 1];
    size_t same = 0;

    while (same < actual_size && same < expected_size && a[same] == b[same])
        same++;
    if (same == actual_size && same == expected_size)
        return;

    size_t from = same > 8 ? same - 8 : 0;
    bytes_show(shown[0], sizeof shown[0], a, actual_size, from);
    bytes_show(shown[1], sizeof shown[1], b, expected_size, from);
    test_fail(file, line,
              "%s differs at byte %zu; from byte %zu on\n"
              "        is     (%zu bytes) %s\n"
              "        not    (%zu bytes) %s",
              text, same, from, actual_size, shown[0], expected_size, shown[1]);
}

/* ---- running */

static void run(void **state)
{
    const struct test_entry *test = *state;

    dirs_forget(false); /* those of a failed test stay on disk */
    test->run();
    dirs_forget(true);
}

int main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : "";
    struct CMUnitTest *tests;
    size_t all_count = 0;
    size_t count = 0;
    int failed = 0;

    runner = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0); /* a forked child must not inherit half a line */
    printf("seed %" PRIu64 "%s\n", test_seed(), test_soak() ? ", soak" : "");

    for (struct test_entry *test = first; test; test = test->next)
        all_count++;
    tests = calloc(all_count + 1, sizeof *tests);
    if (!tests)
        return 2;
    for (struct test_entry *test = first; test; test = test->next) {
        if (strstr(test->name, filter))
            tests[count++] = (struct CMUnitTest){test->name, run, NULL, NULL, test};
    }

    if (count > 0)
        failed = _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
    dirs_forget(false);
    free(tests);

    printf("%d passed, %d failed\n", (int)count - failed - skipped_count, failed);
    return failed > 0;
}
