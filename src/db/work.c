#include "db/work.h"

#include "base/error.h"
#include "db/commit.h"

#include <stdio.h>

enum {
    RANK_WORK = 950,
    /* Waiting threads look again after this time even if nobody woke them. */
    LOOK_AGAIN_US = 100 * 1000,
    IDLE_US = 1000 * 1000,
    /* After a failed step: a full disk will not be less full at once. */
    BACKOFF_MIN_US = 10 * 1000,
    BACKOFF_MAX_US = 1000 * 1000,
    /* In stepped mode, how often in a row nothing may be left to do for a state to be awaited. */
    STEPPED_IDLE_MAX = 1000,
};

void vv_work_init(struct vv_work *w)
{
    *w = (struct vv_work){0};
    vv_mutex_init(&w->mu, RANK_WORK);
    vv_cond_init(&w->wake);
    vv_cond_init(&w->progress);
    vv_cond_init(&w->tick);
}

void vv_work_deinit(struct vv_work *w)
{
    vv_assert(w->worker_count == 0 && w->syncer == NULL);
    vv_cond_deinit(&w->tick);
    vv_cond_deinit(&w->progress);
    vv_cond_deinit(&w->wake);
    vv_mutex_deinit(&w->mu);
}

/* Nobody counts as idle who has not looked since. */
static void wake_locked(struct vv_work *w)
{
    vv_mutex_assert_held(&w->mu);
    w->wakes++;
    w->idle_count = 0;
    vv_cond_broadcast(&w->wake);
}

void vv_work_wake(struct vv_work *w)
{
    vv_mutex_lock(&w->mu);
    wake_locked(w);
    vv_mutex_unlock(&w->mu);
}

void vv_work_nudge(struct vv_work *w)
{
    vv_mutex_lock(&w->mu);
    vv_cond_broadcast(&w->progress);
    vv_mutex_unlock(&w->mu);
}

/* ---- workers */

static void note_result_locked(struct vv_work *w, int rc)
{
    vv_mutex_assert_held(&w->mu);
    w->failure = rc;
    w->steps++;
    if (rc < 0) {
        w->failures++;
        (void)snprintf(w->story, sizeof w->story, "%s", vv_error_story());
    }
    vv_cond_broadcast(&w->progress);
}

/* Sleeps until woken, unless that has happened since `seen`; for a while only, because some work
 * comes with time, and a failed engine may try again. */
static void idle_locked(struct vv_work *w, uint64_t seen)
{
    vv_mutex_assert_held(&w->mu);
    if (w->wakes != seen || w->stop)
        return;
    w->idle_count++;
    w->steps++;
    vv_cond_broadcast(&w->progress);
    (void)vv_cond_wait_us(&w->wake, &w->mu, w->failure < 0 ? LOOK_AGAIN_US : IDLE_US);
    if (w->wakes == seen)
        w->idle_count--;
}

static uint64_t back_off_locked(struct vv_work *w, uint64_t us)
{
    vv_mutex_assert_held(&w->mu);
    if (!w->stop)
        (void)vv_cond_wait_us(&w->wake, &w->mu, us);
    return us < BACKOFF_MAX_US / 2 ? us * 2 : BACKOFF_MAX_US;
}

static void worker_run(void *arg)
{
    struct vv_work *w = arg;
    uint64_t backoff_us = BACKOFF_MIN_US;
    vv_mutex_lock(&w->mu);
    while (!w->stop) {
        uint64_t seen = w->wakes;
        vv_mutex_unlock(&w->mu);
        enum vv_tended tended = VV_TENDED_IDLE;
        int rc = w->engine->ops->tend(w->engine, &tended);
        vv_mutex_lock(&w->mu);
        if (rc < 0) {
            note_result_locked(w, rc);
            backoff_us = back_off_locked(w, backoff_us);
            continue;
        }
        if (tended == VV_TENDED_WORKED) {
            note_result_locked(w, VV_OK);
            backoff_us = BACKOFF_MIN_US;
        } else {
            idle_locked(w, seen);
        }
    }
    vv_mutex_unlock(&w->mu);
}

/* A failed sync has poisoned the store by the time it returns; nobody else needs to know. */
static void syncer_run(void *arg)
{
    struct vv_work *w = arg;
    vv_mutex_lock(&w->mu);
    while (!w->stop) {
        (void)vv_cond_wait_us(&w->tick, &w->mu, w->interval_us);
        if (w->stop)
            break;
        vv_mutex_unlock(&w->mu);
        int rc = vv_commit_unsynced(w->commit) ? vv_commit_sync(w->commit) : VV_OK;
        vv_mutex_lock(&w->mu);
        if (rc < 0)
            break;
    }
    vv_mutex_unlock(&w->mu);
}

static int start_threads(struct vv_work *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int rc = vv_thread_start("varve-work", 0, worker_run, w, &w->workers[i]);
        if (rc < 0)
            return rc;
        vv_mutex_lock(&w->mu);
        w->worker_count++;
        vv_mutex_unlock(&w->mu);
    }
    if (w->interval_us == 0)
        return VV_OK;
    return vv_thread_start("varve-sync", 0, syncer_run, w, &w->syncer);
}

int vv_work_start(struct vv_work *w, const struct vv_work_setup *setup)
{
    w->env = setup->env;
    w->engine = setup->engine;
    w->guard = setup->guard;
    w->commit = setup->commit;
    w->stepped = setup->stepped;
    w->interval_us = setup->interval_us;
    if (w->stepped)
        return VV_OK;
    int rc = start_threads(w, setup->threads < VV_WORKERS_MAX ? setup->threads : VV_WORKERS_MAX);
    if (rc < 0)
        vv_work_stop(w);
    return rc;
}

void vv_work_stop(struct vv_work *w)
{
    vv_mutex_lock(&w->mu);
    w->stop = true;
    vv_cond_broadcast(&w->wake);
    vv_cond_broadcast(&w->tick);
    vv_cond_broadcast(&w->progress);
    uint32_t count = w->worker_count;
    vv_mutex_unlock(&w->mu);
    for (uint32_t i = 0; i < count; i++)
        vv_thread_join(w->workers[i]);
    vv_thread_join(w->syncer);
    w->syncer = NULL;
    vv_mutex_lock(&w->mu);
    w->worker_count = 0;
    vv_mutex_unlock(&w->mu);
    w->stepped = true; /* what is left to do, the closing thread does */
}

/* ---- waiting for them */

int vv_work_tend(struct vv_work *w, enum vv_tended *out)
{
    return w->engine->ops->tend(w->engine, out);
}

static int give_way_stepped(struct vv_work *w, uint64_t us)
{
    enum vv_tended tended = VV_TENDED_IDLE;
    int rc = vv_work_tend(w, &tended);
    if (rc == VV_OK && tended == VV_TENDED_IDLE)
        vv_env_sleep_us(w->env, us);
    return rc;
}

int vv_work_give_way(struct vv_work *w, uint64_t us)
{
    if (w->stepped)
        return give_way_stepped(w, us);
    vv_mutex_lock(&w->mu);
    int rc = w->failure;
    if (rc < 0)
        rc = vv_fail_again(rc, w->story);
    else
        (void)vv_cond_wait_us(&w->progress, &w->mu, us);
    vv_mutex_unlock(&w->mu);
    return rc;
}

/* What a waiting caller must know before it waits on. */
static int outlook_locked(const struct vv_work *w, uint64_t failures_seen)
{
    vv_mutex_assert_held(&w->mu);
    if (w->failures != failures_seen)
        return vv_fail_again(w->failure < 0 ? w->failure : VV_IO, w->story);
    return vv_guard_check(w->guard);
}

static int await_stepped(struct vv_work *w, bool (*done)(struct vv_engine *, uint64_t),
                         uint64_t ticket)
{
    int idle = 0;
    while (!done(w->engine, ticket)) {
        enum vv_tended tended = VV_TENDED_IDLE;
        int rc = vv_work_tend(w, &tended);
        if (rc < 0)
            return rc;
        if (tended == VV_TENDED_WORKED) {
            idle = 0;
            continue;
        }
        if (++idle == STEPPED_IDLE_MAX)
            return vv_fail(VV_BUSY, "the work is held up: nothing can be done for it now");
        vv_env_sleep_us(w->env, BACKOFF_MIN_US);
    }
    return VV_OK;
}

int vv_work_await(struct vv_work *w, bool (*done)(struct vv_engine *, uint64_t), uint64_t ticket)
{
    if (w->stepped)
        return await_stepped(w, done, ticket);
    vv_work_wake(w);
    vv_mutex_lock(&w->mu);
    uint64_t failures_seen = w->failures;
    int rc = VV_OK;
    for (;;) {
        uint64_t steps_seen = w->steps;
        vv_mutex_unlock(&w->mu); /* the engine's locks rank lower */
        bool is_done = done(w->engine, ticket);
        vv_mutex_lock(&w->mu);
        if (is_done || (rc = outlook_locked(w, failures_seen)) < 0)
            break;
        if (w->steps == steps_seen)
            (void)vv_cond_wait_us(&w->progress, &w->mu, LOOK_AGAIN_US);
    }
    vv_mutex_unlock(&w->mu);
    return rc;
}

static int settle_stepped(struct vv_work *w)
{
    enum vv_tended tended = VV_TENDED_WORKED;
    int rc = VV_OK;
    while (rc == VV_OK && tended == VV_TENDED_WORKED)
        rc = vv_work_tend(w, &tended);
    return rc;
}

int vv_work_settle(struct vv_work *w)
{
    if (w->stepped)
        return settle_stepped(w);
    vv_mutex_lock(&w->mu);
    uint64_t failures_seen = w->failures;
    wake_locked(w);
    int rc = VV_OK;
    while (w->idle_count < w->worker_count && rc == VV_OK) {
        (void)vv_cond_wait_us(&w->progress, &w->mu, LOOK_AGAIN_US);
        rc = outlook_locked(w, failures_seen);
    }
    vv_mutex_unlock(&w->mu);
    return rc;
}
