/*
 * Mutexes, conditions, threads and the count of forks.
 */
#include "env/thread.h"

#include "base/error.h"
#include "harness/test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 20000 };

struct shared {
    struct vv_mutex mu; /* protects all below */
    uint64_t count;
    bool go;
    struct vv_cond changed;
};

static void shared_init(struct shared *s)
{
    *s = (struct shared){.count = 0};
    vv_mutex_init(&s->mu, 10);
    vv_cond_init(&s->changed);
}

static void shared_deinit(struct shared *s)
{
    vv_cond_deinit(&s->changed);
    vv_mutex_deinit(&s->mu);
}

static uint64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Runs `run(arg)` in a child and tells whether it died of an assertion. */
static bool aborts(void (*run)(void *arg), void *arg)
{
    pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        (void)signal(SIGABRT, SIG_DFL);
        run(arg);
        _exit(0);
    }
    int status = 0;
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void count_up(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        vv_mutex_lock(&s->mu);
        vv_mutex_assert_held(&s->mu);
        s->count++;
        vv_mutex_unlock(&s->mu);
    }
}

TEST(a_mutex_lets_one_thread_in_at_a_time)
{
    struct shared s;
    struct vv_thread *threads[THREADS];
    shared_init(&s);
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(vv_thread_start("count", 0, count_up, &s, &threads[i]));
    for (int i = 0; i < THREADS; i++)
        vv_thread_join(threads[i]);
    CHECK_EQ_U64(s.count, (uint64_t)THREADS * ROUNDS);
    shared_deinit(&s);
}

static void try_and_tell(void *arg)
{
    struct shared *s = arg;
    s->go = vv_mutex_try_lock(&s->mu);
    if (s->go)
        vv_mutex_unlock(&s->mu);
}

TEST(try_lock_takes_a_free_mutex_and_refuses_a_held_one)
{
    struct shared s;
    struct vv_thread *thread;
    shared_init(&s);
    vv_mutex_lock(&s.mu);
    CHECK_OK(vv_thread_start("try", 0, try_and_tell, &s, &thread));
    vv_thread_join(thread);
    CHECK(!s.go);
    vv_mutex_unlock(&s.mu);
    CHECK_OK(vv_thread_start("try", 0, try_and_tell, &s, &thread));
    vv_thread_join(thread);
    CHECK(s.go);
    shared_deinit(&s);
}

static void lock_twice(void *arg)
{
    vv_mutex_lock(arg);
    vv_mutex_lock(arg);
}

static void just_unlock(void *arg)
{
    vv_mutex_unlock(arg);
}

static void just_claim(void *arg)
{
    vv_mutex_assert_held(arg);
}

TEST(misuse_of_a_mutex_aborts)
{
    struct vv_mutex mu;
    vv_mutex_init(&mu, 1);
    CHECK(aborts(lock_twice, &mu));
    CHECK(aborts(just_unlock, &mu));
    CHECK(aborts(just_claim, &mu));
    vv_mutex_deinit(&mu);
}

#ifdef VV_PARANOID

static void lock_both(void *arg)
{
    struct vv_mutex *pair = arg;
    vv_mutex_lock(&pair[0]);
    vv_mutex_lock(&pair[1]);
    vv_mutex_unlock(&pair[0]); /* in any order */
    vv_mutex_unlock(&pair[1]);
}

static void wait_under_higher(void *arg)
{
    struct vv_mutex *pair = arg;
    struct vv_cond cond;
    vv_cond_init(&cond);
    vv_mutex_lock(&pair[0]);
    vv_mutex_lock(&pair[1]);
    (void)vv_cond_wait_us(&cond, &pair[0], 1);
}

static void pair_init(struct vv_mutex *pair, int first, int second)
{
    vv_mutex_init(&pair[0], first);
    vv_mutex_init(&pair[1], second);
}

TEST(taking_a_rank_that_is_not_above_all_held_aborts)
{
    struct vv_mutex pair[2];
    pair_init(pair, 1, 2);
    CHECK(!aborts(lock_both, pair));
    pair_init(pair, 2, 2);
    CHECK(aborts(lock_both, pair));
    pair_init(pair, 2, 1);
    CHECK(aborts(lock_both, pair));
}

TEST(waiting_with_a_mutex_that_is_not_the_highest_held_aborts)
{
    struct vv_mutex pair[2];
    pair_init(pair, 1, 2);
    CHECK(aborts(wait_under_higher, pair));
}

#endif

static void wait_for_go(void *arg)
{
    struct shared *s = arg;
    vv_mutex_lock(&s->mu);
    while (!s->go)
        vv_cond_wait(&s->changed, &s->mu);
    vv_mutex_assert_held(&s->mu);
    s->count++;
    vv_cond_signal(&s->changed);
    vv_mutex_unlock(&s->mu);
}

TEST(a_broadcast_wakes_all_and_a_signal_wakes_one)
{
    struct shared s;
    struct vv_thread *threads[THREADS];
    shared_init(&s);
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(vv_thread_start("wait", 0, wait_for_go, &s, &threads[i]));
    vv_mutex_lock(&s.mu);
    s.go = true;
    vv_cond_broadcast(&s.changed);
    while (s.count < THREADS)
        vv_cond_wait(&s.changed, &s.mu);
    vv_mutex_unlock(&s.mu);
    for (int i = 0; i < THREADS; i++)
        vv_thread_join(threads[i]);
    shared_deinit(&s);
}

TEST(a_timed_wait_ends_when_the_time_is_over)
{
    struct shared s;
    shared_init(&s);
    vv_mutex_lock(&s.mu);
    uint64_t begin = monotonic_us();
    CHECK(!vv_cond_wait_us(&s.changed, &s.mu, 20000));
    CHECK(monotonic_us() - begin >= 20000);
    vv_mutex_assert_held(&s.mu);
    vv_mutex_unlock(&s.mu);
    shared_deinit(&s);
}

static void wait_for_ever(void *arg)
{
    struct shared *s = arg;
    vv_mutex_lock(&s->mu);
    while (!s->go)
        (void)vv_cond_wait_us(&s->changed, &s->mu, UINT64_MAX);
    vv_mutex_unlock(&s->mu);
}

TEST(a_timed_wait_may_be_longer_than_any_clock)
{
    struct shared s;
    struct vv_thread *thread;
    shared_init(&s);
    CHECK_OK(vv_thread_start("wait", 0, wait_for_ever, &s, &thread));
    vv_mutex_lock(&s.mu);
    s.go = true;
    vv_cond_signal(&s.changed);
    vv_mutex_unlock(&s.mu);
    vv_thread_join(thread);
    shared_deinit(&s);
}

struct seen {
    char name[16];
    int nice;
    bool signals_blocked;
    bool faults_blocked;
};

static void look_around(void *arg)
{
    struct seen *seen = arg;
    sigset_t mask;
    (void)prctl(PR_GET_NAME, seen->name);
    seen->nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen->signals_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGALRM) == 1;
    seen->faults_blocked = sigismember(&mask, SIGSEGV) == 1 || sigismember(&mask, SIGBUS) == 1 ||
                           sigismember(&mask, SIGILL) == 1 || sigismember(&mask, SIGFPE) == 1;
}

TEST(a_thread_starts_named_with_signals_blocked_and_nice)
{
    struct seen seen = {.nice = -1};
    struct vv_thread *thread;
    int nice_here = getpriority(PRIO_PROCESS, 0);
    sigset_t before;
    sigset_t after;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK_OK(vv_thread_start("fifteen-letters", 19, look_around, &seen, &thread));
    vv_thread_join(thread);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK_EQ_STR(seen.name, "fifteen-letters");
    CHECK_EQ_INT(seen.nice, 19);
    CHECK(seen.signals_blocked);
    CHECK(!seen.faults_blocked); /* the program's own handlers report these */
    CHECK_EQ_INT(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    CHECK_EQ_INT(getpriority(PRIO_PROCESS, 0), nice_here);
}

TEST(joining_nothing_is_fine)
{
    vv_thread_join(NULL);
}

TEST(a_fork_is_counted_in_the_child_only_and_joins_there_do_not_hang)
{
    struct shared s;
    struct vv_thread *thread;
    shared_init(&s);
    CHECK_OK(vv_thread_start("wait", 0, wait_for_go, &s, &thread));
    uint64_t generation = vv_fork_generation();
    pid_t child = fork();
    if (child == 0) {
        CHECK_EQ_U64(vv_fork_generation(), generation + 1);
        vv_thread_join(thread);
        _exit(0);
    }
    int status = -1;
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    CHECK_EQ_INT(status, 0);
    CHECK_EQ_U64(vv_fork_generation(), generation);
    vv_mutex_lock(&s.mu);
    s.go = true;
    vv_cond_broadcast(&s.changed);
    vv_mutex_unlock(&s.mu);
    vv_thread_join(thread);
    shared_deinit(&s);
}
