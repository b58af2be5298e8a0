/*
 * Random operations against a sorted array: puts, deletes, batches, every kind of read, snapshots,
 * flushes, compactions, readers beside the writer, reopening with other options, and crashes.
 *
 * Every seed draws its own keys, weights, sizes and options. The default run derives a fixed series
 * of seeds; VARVE_SEED=n runs the one with number n in each world.
 */
#include "env/mem.h"
#include "env/posix.h"
#include "harness/model.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STEPS = 1500, STEPS_SOAK = 6000 };

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool one_seed(void)
{
    const char *text = getenv("VARVE_SEED");

    return text && *text && !test_soak();
}

static uint64_t seed_of(uint64_t round)
{
    return round == 0 ? test_seed() : vv_mix(test_seed() + round) >> 16;
}

static void model_in(struct model *m, const char *world, uint64_t seed, uint64_t steps)
{
    trail_begin("%s world; repeat with VARVE_SEED=%" PRIu64, world, seed);
    model_begin(m, seed);
    model_run(m, steps);
}

static void run_sim(uint64_t seed, uint64_t *images, uint64_t *steps)
{
    struct model m = {0};

    trail_begin("sim world; repeat with VARVE_SEED=%" PRIu64, seed);
    rig_init_sim(&m.rig, seed);
    model_in(&m, "sim", seed, test_soak() ? STEPS_SOAK : STEPS);
    *images += m.images;
    *steps += m.step;
    model_end(&m);
}

static void run_mem(uint64_t seed)
{
    struct model m = {0};
    struct vv_env *env = NULL;

    trail_begin("memory world; repeat with VARVE_SEED=%" PRIu64, seed);
    TRAIL_OK(vv_env_mem_new(&env));
    rig_init_in(&m.rig, env, "/store");
    model_in(&m, "memory", seed, test_soak() ? STEPS_SOAK : STEPS);
    model_end(&m);
    vv_env_mem_free(env);
}

static void run_posix(uint64_t seed, uint64_t steps)
{
    struct model m = {0};
    char path[512];

    trail_begin("operating system; repeat with VARVE_SEED=%" PRIu64, seed);
    snprintf(path, sizeof path, "%s/store", test_tmpdir());
    rig_init_in(&m.rig, vv_env_posix(), path);
    m.rig.world.stepped = false;
    m.rig.options.background_threads = 2;
    model_in(&m, "operating system", seed, steps);
    model_end(&m);
}

TEST(a_store_does_what_a_sorted_array_does_through_crashes_of_its_world)
{
    uint64_t end = now_ms() + (test_soak() ? 3600 * 1000 : 25 * 1000);
    uint64_t images = 0;
    uint64_t steps = 0;
    uint64_t round = 0;

    do {
        run_sim(seed_of(round++), &images, &steps);
    } while (!one_seed() && now_ms() < end);
    printf("%" PRIu64 " seeds, %" PRIu64 " operations, %" PRIu64 " crashes\n", round, steps,
           images);
    CHECK(images > 0);
}

TEST(a_store_in_memory_does_what_a_sorted_array_does)
{
    uint64_t end = now_ms() + (test_soak() ? 1200 * 1000 : 8 * 1000);
    uint64_t round = 0;

    do {
        run_mem(seed_of(round++));
    } while (!one_seed() && now_ms() < end);
    printf("%" PRIu64 " seeds\n", round);
}

TEST(a_store_on_disk_with_threads_does_what_a_sorted_array_does)
{
    uint64_t end = now_ms() + (test_soak() ? 1200 * 1000 : 8 * 1000);
    uint64_t round = 0;

    do {
        run_posix(seed_of(round++), 1000);
    } while (!one_seed() && now_ms() < end && round < 50);
    printf("%" PRIu64 " seeds\n", round);
}

TEST(the_same_seed_does_the_same_to_the_last_byte)
{
    uint64_t prints[2];

    for (int i = 0; i < 2; i++) {
        struct model m = {0};

        trail_begin("sim world, twice; repeat with VARVE_SEED=%" PRIu64, test_seed());
        rig_init_sim(&m.rig, test_seed());
        model_begin(&m, test_seed());
        m.weights[MODEL_CRASH] = 0;
        model_run(&m, 600);
        prints[i] = vv_sim_fingerprint(m.rig.world.env);
        model_end(&m);
    }
    CHECK_EQ_U64(prints[0], prints[1]);
}
