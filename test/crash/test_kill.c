/*
 * A writer that is killed in earnest: this program runs itself as a child that writes to a store of
 * the operating system's world and reports each acknowledged commit through a pipe, kills it at a
 * random moment, and opens the store. No acknowledged commit of level `os` or above may be missing,
 * the state must be a prefix, and the lock must be free.
 *
 * What commit number n does follows from the seed and n alone, so parent and child agree without a
 * word.
 */
#include "base/rng.h"
#include "harness/dump.h"
#include "harness/sample.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LEDGER_FD = 9, /* in the child */
    KEY_COUNT = 200,
    CHANGES_MAX = 8,
    VALUE_SIZE_MAX = 6000,
    LIVES_PER_STORE = 60, /* a fresh store after so many kills */
};

static const char counter_key[] = "counter";

/* ---- what a commit does */

struct commit {
    struct oracle_change changes[CHANGES_MAX];
    char keys[CHANGES_MAX][16];
    size_t count;
    enum varve_durability level;
    uint8_t values[CHANGES_MAX][VALUE_SIZE_MAX];
};

/* Every commit is a batch, whose first change sets the counter to its number. */
static void commit_make(struct commit *c, uint64_t seed, uint64_t number)
{
    struct vv_rng rng = vv_rng_of(vv_mix(seed) ^ number);

    c->count = 1 + vv_rng_below(&rng, CHANGES_MAX);
    c->level = vv_rng_one_in(&rng, 12) ? VARVE_DURABILITY_DISK : VARVE_DURABILITY_OS;
    for (size_t i = 0; i < c->count; i++) {
        size_t size = vv_rng_one_in(&rng, 10) ? 300 + vv_rng_below(&rng, VALUE_SIZE_MAX - 300)
                                              : vv_rng_below(&rng, 200);
        vv_slice key;

        if (i == 0)
            snprintf(c->keys[i], sizeof c->keys[i], "%s", counter_key);
        else
            snprintf(c->keys[i], sizeof c->keys[i], "key%05u",
                     (unsigned)vv_rng_below(&rng, KEY_COUNT));
        key = vv_slice_str(c->keys[i]);
        c->changes[i] = (struct oracle_change){.key = key};
        if (i > 0 && vv_rng_one_in(&rng, 4)) {
            c->changes[i].gone = true;
            continue;
        }
        if (i == 0)
            size = SAMPLE_VALUE_HEAD;
        sample_value_fill(c->values[i], size, key, i == 0 ? number : vv_rng_next(&rng));
        c->changes[i].value = vv_slice_of(c->values[i], size);
    }
}

/* ---- the child */

static _Noreturn void child_fail(const char *what)
{
    fprintf(stderr, "writer: %s: %s\n", what, varve_last_error());
    _exit(3);
}

static int store_open(const char *path, varve **out)
{
    varve_options options = VARVE_OPTIONS_INIT;

    options.memory_budget = (uint64_t)4 << 20;
    options.durability = VARVE_DURABILITY_OS;
    options.background_threads = 2;
    options.value_log_min = 1024;
    return varve_open(path, &options, out);
}

static void child_commit(varve *db, varve_batch *batch, uint64_t seed, uint64_t number)
{
    static struct commit commit;
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;

    commit_make(&commit, seed, number);
    varve_batch_clear(batch);
    for (size_t i = 0; i < commit.count; i++) {
        const struct oracle_change *c = &commit.changes[i];
        int rc = c->gone ? varve_batch_delete(batch, sample_public(c->key))
                         : varve_batch_put(batch, sample_public(c->key), sample_public(c->value));
        if (rc != VARVE_OK)
            child_fail("batch");
    }
    options.durability = commit.level;
    if (varve_write(db, batch, &options) != VARVE_OK)
        child_fail("write");
}

/* Commits for ever from the number in the environment on, and now and then flushes. */
static _Noreturn void child_run(const char *path, uint64_t seed, uint64_t number)
{
    varve *db = NULL;
    varve_batch *batch = NULL;

    if (store_open(path, &db) != VARVE_OK)
        child_fail("open");
    if (varve_batch_new(&batch) != VARVE_OK)
        child_fail("batch");
    for (;; number++) {
        child_commit(db, batch, seed, number);
        if (write(LEDGER_FD, &number, sizeof number) != (ssize_t)sizeof number)
            _exit(0); /* nobody listens any more */
        if (number % 61 == 0 && varve_flush(db) != VARVE_OK)
            child_fail("flush");
        if (number % 997 == 0 &&
            varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)) != VARVE_OK)
            child_fail("compact");
    }
}

/* Runs before main, so that the harness never sees the child. */
__attribute__((constructor)) static void child_enter(void)
{
    const char *path = getenv("VARVE_KILL_STORE");
    const char *seed = getenv("VARVE_KILL_SEED");
    const char *number = getenv("VARVE_KILL_NUMBER");

    if (path && seed && number)
        child_run(path, strtoull(seed, NULL, 10), strtoull(number, NULL, 10));
}

/* ---- the parent */

struct life {
    char path[512];
    uint64_t seed;
    struct oracle oracle;
    uint64_t acknowledged; /* the last commit that the child reported */
};

static pid_t child_start(const struct life *l, int *ledger)
{
    int ends[2];
    char seed[32];
    char number[32];
    pid_t pid;

    TRAIL_CHECK(pipe(ends) == 0);
    snprintf(seed, sizeof seed, "%" PRIu64, l->seed);
    snprintf(number, sizeof number, "%" PRIu64, l->oracle.last + 1);
    pid = fork();
    TRAIL_CHECK(pid >= 0);
    if (pid == 0) {
        if (dup2(ends[1], LEDGER_FD) < 0)
            _exit(4);
        setenv("VARVE_KILL_STORE", l->path, 1);
        setenv("VARVE_KILL_SEED", seed, 1);
        setenv("VARVE_KILL_NUMBER", number, 1);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "test_kill", (char *)NULL);
        _exit(5);
    }
    close(ends[1]);
    *ledger = ends[0];
    return pid;
}

/* Lets the child write for a while, kills it, and reads what it had reported. */
static void child_live_and_die(struct life *l, uint64_t us, bool after_first)
{
    struct timespec pause = {0, (long)us * 1000};
    int ledger;
    pid_t pid = child_start(l, &ledger);
    uint64_t number;
    int status;

    if (after_first && read(ledger, &number, sizeof number) == (ssize_t)sizeof number)
        l->acknowledged = number;
    nanosleep(&pause, NULL);
    TRAIL_CHECK(kill(pid, SIGKILL) == 0);
    while (read(ledger, &number, sizeof number) == (ssize_t)sizeof number)
        l->acknowledged = number;
    close(ledger);
    TRAIL_CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status))
        trail_fail(__FILE__, __LINE__, "the writer ended by itself with status %d",
                   WEXITSTATUS(status));
}

/* The child may have made one commit more than it could report. */
static void oracle_follow(struct life *l)
{
    static struct commit commit;

    while (l->oracle.last < l->acknowledged + 1) {
        commit_make(&commit, l->seed, l->oracle.last + 1);
        (void)oracle_commit(&l->oracle, commit.changes, commit.count);
    }
}

static void note_line(void *context, const char *line)
{
    (void)context;
    trail_note("  reported: %s", line);
}

static void store_examine(struct life *l, bool thorough)
{
    struct dump dump = {.count = 0};
    varve *db = NULL;
    char text[512];
    uint64_t commit;

    TRAIL_OK(store_open(l->path, &db));
    TRAIL_OK(dump_read(db, NULL, &dump));
    commit = dump_find(&dump, &l->oracle, l->acknowledged, l->acknowledged + 1);
    if (commit == UINT64_MAX) {
        commit = dump_find(&dump, &l->oracle, 0, l->oracle.last);
        dump_explain(&dump, &l->oracle, l->acknowledged, text, sizeof text);
        trail_fail(__FILE__, __LINE__,
                   "commit %" PRIu64 " was acknowledged, the store is at %" PRId64 ": %s",
                   l->acknowledged, (int64_t)commit, text);
    }
    if (thorough)
        TRAIL_OK(varve_verify(db, note_line, NULL));
    TRAIL_OK(varve_close(db));
    dump_deinit(&dump);
    oracle_cut(&l->oracle, commit);
    l->acknowledged = commit;
}

TEST(a_killed_writer_loses_nothing_it_had_acknowledged)
{
    uint64_t lives = test_soak() ? 20000 : 400;
    time_t end = time(NULL) + (test_soak() ? 7200 : 35);
    struct vv_rng rng = vv_rng_of(test_seed());
    struct life l = {.seed = test_seed()};
    const char *parent = test_tmpdir();
    uint64_t total = 0;
    uint64_t done = 0;

    for (; done < lives && time(NULL) < end; done++) {
        uint64_t us = vv_rng_below(&rng, 30000);
        uint64_t before;

        if (done % LIVES_PER_STORE == 0) {
            oracle_deinit(&l.oracle);
            l.acknowledged = 0;
            snprintf(l.path, sizeof l.path, "%s/store-%" PRIu64, parent, done);
        }
        trail_begin("kill %" PRIu64 " after %" PRIu64 " us; repeat with VARVE_SEED=%" PRIu64, done,
                    us, test_seed());
        before = l.oracle.last;
        child_live_and_die(&l, us, vv_rng_one_in(&rng, 2));
        oracle_follow(&l);
        trail_note("acknowledged: %" PRIu64, l.acknowledged);
        store_examine(&l, done % 8 == 0);
        total += l.oracle.last - before;
        if (done % LIVES_PER_STORE == LIVES_PER_STORE - 1)
            TRAIL_OK(varve_destroy(l.path));
    }
    printf("%" PRIu64 " kills, %" PRIu64 " commits\n", done, total);
    CHECK(total > 0);
    oracle_deinit(&l.oracle);
}
