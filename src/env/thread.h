/*
 * Threads, mutexes and conditions. The same in every world: single-threaded simulation simply
 * starts no threads.
 *
 * Each mutex has a rank (doc/LOCKS.md is the list). In paranoid builds a thread that takes a mutex
 * of a rank not above all it holds aborts, which turns a possible deadlock into a certain report.
 */
#ifndef VV_ENV_THREAD_H
#define VV_ENV_THREAD_H

#include "base/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vv_mutex {
    pthread_mutex_t native;
    _Atomic(uintptr_t) holder; /* the thread that holds it, or 0 */
    int rank;
};

struct vv_cond {
    pthread_cond_t native;
};

struct vv_thread;

void vv_mutex_init(struct vv_mutex *mu, int rank);
void vv_mutex_deinit(struct vv_mutex *mu);
void vv_mutex_lock(struct vv_mutex *mu);
bool vv_mutex_try_lock(struct vv_mutex *mu);
void vv_mutex_unlock(struct vv_mutex *mu);
void vv_mutex_assert_held(const struct vv_mutex *mu);

void vv_cond_init(struct vv_cond *cond);
void vv_cond_deinit(struct vv_cond *cond);
void vv_cond_wait(struct vv_cond *cond, struct vv_mutex *mu);
/* Waits at most `us` microseconds of monotonic time; false when the time ran out. */
bool vv_cond_wait_us(struct vv_cond *cond, struct vv_mutex *mu, uint64_t us);
void vv_cond_signal(struct vv_cond *cond);
void vv_cond_broadcast(struct vv_cond *cond);

/* Starts a thread that runs `run(arg)`, with all signals blocked but those that report its own
 * faults, and, with `nice` > 0, at lower priority. `name` of at most 15 bytes shows in the system's
 * lists. VV_LIMIT when there is none. */
VV_MUST int vv_thread_start(const char *name, int nice, void (*run)(void *arg), void *arg,
                            struct vv_thread **out);
void vv_thread_join(struct vv_thread *thread); /* waits for its end and frees it; NULL is fine */

/* Counts forks: a handle that remembers an older number than this belongs to another process. */
uint64_t vv_fork_generation(void);

/* Gives the processor a hint that this is a waiting loop. */
static inline void vv_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
