/*
 * Threads over pthreads.
 *
 * The mutexes are plain ones: that the holder does not take its mutex twice and that nobody else
 * releases it is asserted here, through `holder`, which is cheaper than pthread's own checking kind
 * and aborts where that would return a code. A thread is known by the address of a thread-local.
 */
#include "env/thread.h"

#include "base/alloc.h"
#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = 16 };

/* Longer than anybody waits; keeps the deadline in range. */
#define WAIT_US_MAX ((uint64_t)1 << 50)

struct vv_thread {
    pthread_t native;
    uint64_t fork_generation; /* of the process it lives in */
    void (*run)(void *arg);
    void *arg;
    int nice;
    char name[NAME_SIZE];
};

static _Thread_local char self_mark;

static uintptr_t self(void)
{
    return (uintptr_t)&self_mark;
}

#ifdef VV_PARANOID

enum { HELD_MAX = 32 };

static _Thread_local struct {
    int ranks[HELD_MAX];
    int count;
} held;

/* Waiting for a rank that is not above all that is held may be one half of a deadlock. */
static void ranks_check(int rank)
{
    for (int i = 0; i < held.count; i++)
        vv_assert(rank > held.ranks[i]);
}

static void ranks_add(int rank)
{
    vv_assert(held.count < HELD_MAX);
    held.ranks[held.count++] = rank;
}

static void ranks_drop(int rank)
{
    int i = held.count;
    do
        vv_assert(i > 0);
    while (held.ranks[--i] != rank);
    held.ranks[i] = held.ranks[--held.count];
}

#else

static inline void ranks_check(int rank)
{
    (void)rank;
}

static inline void ranks_add(int rank)
{
    (void)rank;
}

static inline void ranks_drop(int rank)
{
    (void)rank;
}

#endif

void vv_mutex_init(struct vv_mutex *mu, int rank)
{
    int rc = pthread_mutex_init(&mu->native, NULL);
    vv_assert(rc == 0);
    atomic_init(&mu->holder, 0);
    mu->rank = rank;
}

/* Relaxed everywhere: the question is only ever "is it me", and what a thread stored itself it
 * sees; whatever it sees of others is not its own mark. */
static bool held_by_self(const struct vv_mutex *mu)
{
    return atomic_load_explicit(&mu->holder, memory_order_relaxed) == self();
}

static void holder_set(struct vv_mutex *mu, uintptr_t holder)
{
    atomic_store_explicit(&mu->holder, holder, memory_order_relaxed);
}

void vv_mutex_deinit(struct vv_mutex *mu)
{
    vv_assert(atomic_load_explicit(&mu->holder, memory_order_relaxed) == 0);
    int rc = pthread_mutex_destroy(&mu->native);
    vv_assert(rc == 0);
}

void vv_mutex_lock(struct vv_mutex *mu)
{
    vv_assert(!held_by_self(mu));
    ranks_check(mu->rank);
    int rc = pthread_mutex_lock(&mu->native);
    vv_assert(rc == 0);
    holder_set(mu, self());
    ranks_add(mu->rank);
}

bool vv_mutex_try_lock(struct vv_mutex *mu)
{
    vv_assert(!held_by_self(mu));
    int rc = pthread_mutex_trylock(&mu->native);
    if (rc == EBUSY)
        return false;
    vv_assert(rc == 0);
    holder_set(mu, self());
    ranks_add(mu->rank); /* unchecked: who does not wait cannot deadlock */
    return true;
}

void vv_mutex_unlock(struct vv_mutex *mu)
{
    vv_assert(held_by_self(mu));
    ranks_drop(mu->rank);
    holder_set(mu, 0);
    int rc = pthread_mutex_unlock(&mu->native);
    vv_assert(rc == 0);
}

void vv_mutex_assert_held(const struct vv_mutex *mu)
{
    vv_assert(held_by_self(mu));
}

void vv_cond_init(struct vv_cond *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    vv_assert(rc == 0);
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    vv_assert(rc == 0);
    rc = pthread_cond_init(&cond->native, &attr);
    vv_assert(rc == 0);
    rc = pthread_condattr_destroy(&attr);
    vv_assert(rc == 0);
}

void vv_cond_deinit(struct vv_cond *cond)
{
    int rc = pthread_cond_destroy(&cond->native);
    vv_assert(rc == 0);
}

/* Waiting lets go of the mutex and takes it again, so it must be the highest one held. */
static void wait_begin(struct vv_mutex *mu)
{
    vv_assert(held_by_self(mu));
    ranks_drop(mu->rank);
    ranks_check(mu->rank);
    holder_set(mu, 0);
}

static void wait_end(struct vv_mutex *mu)
{
    holder_set(mu, self());
    ranks_add(mu->rank);
}

void vv_cond_wait(struct vv_cond *cond, struct vv_mutex *mu)
{
    wait_begin(mu);
    int rc = pthread_cond_wait(&cond->native, &mu->native);
    vv_assert(rc == 0);
    wait_end(mu);
}

bool vv_cond_wait_us(struct vv_cond *cond, struct vv_mutex *mu, uint64_t us)
{
    struct timespec until;
    int rc = clock_gettime(CLOCK_MONOTONIC, &until);
    vv_assert(rc == 0);
    if (us > WAIT_US_MAX)
        us = WAIT_US_MAX;
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    wait_begin(mu);
    rc = pthread_cond_timedwait(&cond->native, &mu->native, &until);
    vv_assert(rc == 0 || rc == ETIMEDOUT);
    wait_end(mu);
    return rc == 0;
}

void vv_cond_signal(struct vv_cond *cond)
{
    int rc = pthread_cond_signal(&cond->native);
    vv_assert(rc == 0);
}

void vv_cond_broadcast(struct vv_cond *cond)
{
    int rc = pthread_cond_broadcast(&cond->native);
    vv_assert(rc == 0);
}

static void *thread_main(void *arg)
{
    struct vv_thread *thread = arg;
    (void)prctl(PR_SET_NAME, thread->name);
    /* On this system the priority belongs to the thread, whatever the standard says. */
    if (thread->nice > 0)
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), thread->nice);
    thread->run(thread->arg);
    return NULL;
}

int vv_thread_start(const char *name, int nice, void (*run)(void *arg), void *arg,
                    struct vv_thread **out)
{
    vv_assert(strlen(name) < NAME_SIZE);
    struct vv_thread *thread = vv_alloc_zero(sizeof *thread);
    if (thread == NULL)
        return VV_NOMEM;
    thread->fork_generation = vv_fork_generation();
    thread->run = run;
    thread->arg = arg;
    thread->nice = nice;
    memcpy(thread->name, name, strlen(name));

    /* A thread inherits its starter's mask. Signals are for the program's own threads, but for those
     * that report a fault of this one: blocked, they would end the program past its handlers. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigset_t mask;
    sigset_t before;
    (void)sigfillset(&mask);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigdelset(&mask, faults[i]);
    int rc = pthread_sigmask(SIG_SETMASK, &mask, &before);
    vv_assert(rc == 0);
    int number = pthread_create(&thread->native, NULL, thread_main, thread);
    rc = pthread_sigmask(SIG_SETMASK, &before, NULL);
    vv_assert(rc == 0);
    if (number != 0) {
        vv_free(thread);
        return vv_fail(VV_LIMIT, "start thread %s: %s", name, strerror(number));
    }
    *out = thread;
    return VV_OK;
}

void vv_thread_join(struct vv_thread *thread)
{
    if (thread == NULL)
        return;
    /* In a forked child the thread does not exist, and waiting for it would never end. */
    if (thread->fork_generation == vv_fork_generation()) {
        int rc = pthread_join(thread->native, NULL);
        vv_assert(rc == 0);
    }
    vv_free(thread);
}

/* A property of the process: there is one count, as there is one fork. Relaxed is enough, since
 * the child starts with a single thread and everything it does comes after. */
static _Atomic(uint64_t) fork_count;

static void count_fork_in_child(void)
{
    (void)atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    int rc = pthread_atfork(NULL, NULL, count_fork_in_child);
    vv_assert(rc == 0);
}

uint64_t vv_fork_generation(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = pthread_once(&once, watch_forks);
    vv_assert(rc == 0);
    return atomic_load_explicit(&fork_count, memory_order_relaxed);
}
