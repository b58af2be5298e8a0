/*
 * Epochs: nothing is released under a reader, and everything is in the end.
 */
#include "env/epoch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "env/thread.h"
#include "harness/test.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

enum { READERS = 3, SWAPS = 3000, CROWD = 200, ALIVE = 0x5eed, DEAD = 0xdead };

static void count_release(void *object)
{
    int *count = object;
    (*count)++;
}

TEST(without_readers_a_retired_object_goes_at_once)
{
    struct vv_epoch *epoch;
    int released = 0;
    CHECK_OK(vv_epoch_new(&epoch));
    vv_epoch_retire(epoch, count_release, &released);
    CHECK_EQ_INT(released, 1);
    vv_epoch_free(epoch);
    CHECK_EQ_INT(released, 1);
}

TEST(an_object_stays_until_those_who_might_see_it_have_left)
{
    struct vv_epoch *epoch;
    int first = 0;
    int second = 0;
    CHECK_OK(vv_epoch_new(&epoch));
    uint32_t slot = vv_epoch_enter(epoch);
    vv_epoch_retire(epoch, count_release, &first);
    vv_epoch_retire(epoch, count_release, &second);
    vv_epoch_collect(epoch);
    CHECK_EQ_INT(first, 0);
    vv_epoch_leave(epoch, slot);
    CHECK_EQ_INT(first, 0); /* leaving is cheap: it releases nothing itself */
    vv_epoch_collect(epoch);
    CHECK_EQ_INT(first, 1);
    CHECK_EQ_INT(second, 1);
    vv_epoch_free(epoch);
}

TEST(who_retires_for_later_releases_nothing)
{
    struct vv_epoch *epoch;
    int first = 0;
    int second = 0;
    CHECK_OK(vv_epoch_new(&epoch));
    uint32_t slot = vv_epoch_enter(epoch);
    vv_epoch_retire(epoch, count_release, &first);
    vv_epoch_leave(epoch, slot);
    vv_epoch_retire_later(epoch, count_release, &second);
    CHECK_EQ_INT(first, 0);
    CHECK_EQ_INT(second, 0);
    vv_epoch_collect(epoch);
    CHECK_EQ_INT(first, 1);
    CHECK_EQ_INT(second, 1);
    vv_epoch_free(epoch);
}

static void enter_and_retire(void *arg)
{
    struct vv_epoch *epoch = arg;
    static int released;
    uint32_t slot = vv_epoch_enter(epoch);
    vv_epoch_leave(epoch, slot);
    vv_epoch_retire(epoch, count_release, &released);
}

TEST(a_reader_that_came_later_holds_nothing_up)
{
    struct vv_epoch *epoch;
    struct vv_thread *thread;
    int released = 0;
    CHECK_OK(vv_epoch_new(&epoch));
    uint32_t old = vv_epoch_enter(epoch);
    vv_epoch_retire(epoch, count_release, &released);
    uint32_t young = vv_epoch_enter(epoch); /* stands for another thread */
    CHECK(young != old);
    CHECK_OK(vv_thread_start("other", 0, enter_and_retire, epoch, &thread));
    vv_thread_join(thread);
    CHECK_EQ_INT(released, 0);
    vv_epoch_leave(epoch, old);
    vv_epoch_collect(epoch);
    CHECK_EQ_INT(released, 1);
    vv_epoch_leave(epoch, young);
    vv_epoch_free(epoch);
}

TEST(freeing_releases_what_is_left)
{
    struct vv_epoch *epoch;
    int released = 0;
    CHECK_OK(vv_epoch_new(&epoch));
    uint32_t slot = vv_epoch_enter(epoch);
    vv_epoch_retire(epoch, count_release, &released);
    vv_epoch_leave(epoch, slot);
    vv_epoch_free(epoch);
    CHECK_EQ_INT(released, 1);
    vv_epoch_free(NULL);
}

TEST(without_memory_for_a_note_retiring_waits_and_still_releases)
{
    struct vv_epoch *epoch;
    int released = 0;
    CHECK_OK(vv_epoch_new(&epoch));
    vv_alloc_fail_at(1);
    vv_epoch_retire(epoch, count_release, &released);
    vv_alloc_fail_at(0);
    CHECK_EQ_INT(released, 1);
    vv_epoch_free(epoch);
}

struct chain {
    struct vv_epoch *epoch;
    int left;
    int released;
};

static void retire_next(void *object)
{
    struct chain *chain = object;
    chain->released++;
    if (chain->left-- > 0)
        vv_epoch_retire(chain->epoch, retire_next, chain);
}

TEST(a_release_may_retire_in_turn)
{
    struct chain chain = {.left = 5};
    CHECK_OK(vv_epoch_new(&chain.epoch));
    uint32_t slot = vv_epoch_enter(chain.epoch);
    vv_epoch_retire(chain.epoch, retire_next, &chain);
    vv_epoch_leave(chain.epoch, slot);
    vv_epoch_free(chain.epoch);
    CHECK_EQ_INT(chain.released, 6);
}

struct crowd {
    struct vv_epoch *epoch;
    _Atomic(int) inside;
    _Atomic(bool) leave;
    _Atomic(int) done;
};

static void stand_inside(void *arg)
{
    struct crowd *crowd = arg;
    uint32_t slot = vv_epoch_enter(crowd->epoch);
    (void)atomic_fetch_add(&crowd->inside, 1);
    while (!atomic_load(&crowd->leave))
        (void)sched_yield();
    vv_epoch_leave(crowd->epoch, slot);
    (void)atomic_fetch_add(&crowd->done, 1);
}

TEST(more_readers_than_slots_wait_and_all_get_in)
{
    struct crowd crowd = {.inside = 0};
    struct vv_thread *threads[CROWD];
    CHECK_OK(vv_epoch_new(&crowd.epoch));
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(vv_thread_start("crowd", 0, stand_inside, &crowd, &threads[i]));
    while (atomic_load(&crowd.inside) < 64)
        (void)sched_yield();
    CHECK(atomic_load(&crowd.inside) < CROWD);
    atomic_store(&crowd.leave, true);
    for (int i = 0; i < CROWD; i++)
        vv_thread_join(threads[i]);
    CHECK_EQ_INT(atomic_load(&crowd.done), CROWD);
    vv_epoch_free(crowd.epoch);
}

/* ---- readers against a writer that kills what it replaced */

struct thing {
    uint64_t state;
    uint64_t number;
};

struct race {
    struct vv_epoch *epoch;
    _Atomic(struct thing *) current;
    _Atomic(bool) stop;
    _Atomic(uint64_t) killed;
    _Atomic(uint64_t) reads;
};

static struct race *race_now; /* a release gets nothing but the object */

static void kill_thing(void *object)
{
    struct thing *thing = object;
    thing->state = DEAD;
    (void)atomic_fetch_add(&race_now->killed, 1);
    vv_free(thing);
}

static struct thing *thing_new(uint64_t number)
{
    struct thing *thing = vv_alloc(sizeof *thing);
    CHECK(thing != NULL);
    *thing = (struct thing){.state = ALIVE, .number = number};
    return thing;
}

static void read_on(void *arg)
{
    struct race *race = arg;
    uint64_t last = 0;
    while (!atomic_load_explicit(&race->stop, memory_order_relaxed)) {
        uint32_t slot = vv_epoch_enter(race->epoch);
        struct thing *thing = atomic_load_explicit(&race->current, memory_order_acquire);
        for (int i = 0; i < 20; i++)
            CHECK(*(volatile uint64_t *)&thing->state == ALIVE);
        CHECK(thing->number >= last);
        last = thing->number;
        vv_epoch_leave(race->epoch, slot);
        (void)atomic_fetch_add_explicit(&race->reads, 1, memory_order_relaxed);
    }
}

TEST(nothing_is_released_under_a_reader)
{
    struct race race = {.epoch = NULL};
    struct vv_thread *threads[READERS];
    uint64_t swaps = (uint64_t)SWAPS * (test_soak() ? 100 : 1);
    race_now = &race;
    CHECK_OK(vv_epoch_new(&race.epoch));
    atomic_store(&race.current, thing_new(0));
    for (int i = 0; i < READERS; i++)
        CHECK_OK(vv_thread_start("reader", 0, read_on, &race, &threads[i]));
    for (uint64_t n = 1; n <= swaps; n++) {
        struct thing *old =
            atomic_exchange_explicit(&race.current, thing_new(n), memory_order_acq_rel);
        vv_epoch_retire(race.epoch, kill_thing, old);
        if (n % 64 == 0)
            (void)sched_yield();
    }
    while (atomic_load(&race.reads) < 1000)
        (void)sched_yield();
    atomic_store(&race.stop, true);
    for (int i = 0; i < READERS; i++)
        vv_thread_join(threads[i]);
    vv_epoch_collect(race.epoch);
    CHECK_EQ_U64(atomic_load(&race.killed), swaps);
    vv_epoch_free(race.epoch);
    vv_free(atomic_load(&race.current));
}

TEST(entering_and_leaving_is_cheap)
{
    enum { SPANS = 2000000 };
    struct vv_epoch *epoch;
    struct timespec begin;
    struct timespec end;
    CHECK_OK(vv_epoch_new(&epoch));
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < SPANS; i++)
        vv_epoch_leave(epoch, vv_epoch_enter(epoch));
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
    printf("%.1f ns a span\n", ns / SPANS);
    CHECK(ns / SPANS < 2000); /* a cliff, not a benchmark: sanitizers and busy machines pass */
    vv_epoch_free(epoch);
}
