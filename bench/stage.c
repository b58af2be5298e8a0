/* Running a workload on a store: threads, instruments around them, and the last look at the data.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "worker.h"

enum { DRAIN_SECONDS_MAX = 60, SAMPLES = 20000 };

/* Where perf shows names of threads, the workload can be told from the engine's own. */
static void name_thread(const char *name)
{
    prctl(PR_SET_NAME, name);
}

struct crew {
    const struct bench_workload *workload;
    unsigned count;
    struct bench_worker *workers[BENCH_THREADS_MAX];
    pthread_t threads[BENCH_THREADS_MAX];
    bool started[BENCH_THREADS_MAX];
    pthread_barrier_t start;
    atomic_bool stop;
};

struct hand {
    struct crew *crew;
    unsigned index;
};

static void *hand_main(void *argument)
{
    struct hand hand = *(struct hand *)argument;
    free(argument);
    name_thread(hand.crew->workload->name);
    pthread_barrier_wait(&hand.crew->start);
    bench_worker_run(hand.crew->workers[hand.index]);
    return NULL;
}

static int crew_hire(struct crew *crew, const struct bench_stage *stage, unsigned index)
{
    const struct bench_workload *workload = crew->workload;
    uint64_t ops = stage->records->count * workload->ops_permille / 1000;
    struct bench_worker *w = calloc(1, sizeof *w);

    crew->workers[index] = w;
    if (!w || stage->engine->session_open(stage->store, &w->session) < 0)
        return BENCH_FAILED;
    w->stage = stage;
    w->action = workload->action;
    w->first = ops * index / workload->threads;
    w->count = ops * (index + 1) / workload->threads - w->first;
    w->random = stage->seed + index * 1000;
    w->index = index;
    w->stop = &crew->stop;
    if (workload->action == BENCH_GET_WHILE_PUTTING && index == 1)
        w->action = BENCH_PUT_WHILE_GETTING;
    return 0;
}

/* The first worker runs in this thread; the barrier opens when all others are there. */
static int crew_work(struct crew *crew)
{
    int rc = 0;

    for (unsigned i = 1; i < crew->count; i++) {
        struct hand *hand = malloc(sizeof *hand);
        if (!hand)
            abort(); /* others wait at the barrier by now */
        *hand = (struct hand){crew, i};
        if (pthread_create(&crew->threads[i], NULL, hand_main, hand) != 0)
            abort();
    }
    name_thread(crew->workload->name);
    pthread_barrier_wait(&crew->start);
    bench_worker_run(crew->workers[0]);
    atomic_store(&crew->stop, true);
    for (unsigned i = 1; i < crew->count; i++)
        pthread_join(crew->threads[i], NULL);
    name_thread("bench");
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->workers[i]->rc < 0)
            rc = BENCH_FAILED;
    return rc;
}

static void crew_dismiss(struct crew *crew, const struct bench_engine *engine)
{
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->workers[i] && crew->workers[i]->session)
            engine->session_close(crew->workers[i]->session);
        free(crew->workers[i]);
    }
}

static void sum_up(const struct crew *crew, unsigned from, unsigned to, double ns_a_tick,
                   struct bench_result *result)
{
    struct bench_histogram *all = calloc(1, sizeof *all);
    if (!all)
        abort();
    for (unsigned i = from; i < to; i++) {
        result->ops += crew->workers[i]->done;
        bench_histogram_merge(all, &crew->workers[i]->calls);
    }
    if (all->count > 0) {
        result->p50_ns = bench_histogram_percentile(all, 50) * ns_a_tick;
        result->p99_ns = bench_histogram_percentile(all, 99) * ns_a_tick;
        result->p999_ns = bench_histogram_percentile(all, 99.9) * ns_a_tick;
        result->max_ns = (double)all->max * ns_a_tick;
    }
    free(all);
}

/* What is known of the store's content after a workload. */
static void remember(struct bench_stage *stage, const struct bench_workload *workload)
{
    uint64_t ops = stage->records->count * workload->ops_permille / 1000;
    if (workload->action == BENCH_OVERWRITE)
        stage->overwrote = ops;
    if (workload->action == BENCH_REMOVE)
        stage->removed = ops;
}

static uint64_t bytes_a_write(const struct bench_stage *stage, enum bench_action action)
{
    if (!bench_action_writes(action))
        return 0;
    uint64_t record = BENCH_KEY_SIZE + (action == BENCH_REMOVE ? 0 : stage->records->value_size);
    if (action == BENCH_COUNT || action == BENCH_GET_COUNT)
        return BENCH_KEY_SIZE + sizeof(uint64_t);
    return action == BENCH_TRANSACT ? 2 * record : record;
}

static void look_around(const struct bench_stage *stage, const struct bench_workload *workload,
                        const struct bench_usage *before, struct bench_result *result)
{
    uint64_t alive = stage->records->count - stage->removed;
    struct bench_memory memory;
    struct bench_usage after;

    if (bench_action_writes(workload->action))
        result->drain_seconds = bench_wait_idle(DRAIN_SECONDS_MAX);
    after = bench_usage_now();
    memory = bench_memory_now();
    result->cpu_seconds = after.cpu_seconds - before->cpu_seconds;
    result->written_bytes = after.written_bytes - before->written_bytes;
    result->peak_bytes = memory.peak_bytes;
    result->own_bytes = memory.own_bytes;
    result->disk_bytes = bench_disk_bytes(stage->dir);
    result->raw_bytes = alive * (BENCH_KEY_SIZE + stage->records->value_size);
}

int bench_workload_run(struct bench_stage *stage, const struct bench_workload *workload,
                       struct bench_result *result, struct bench_result *other)
{
    bool two_sides = workload->action == BENCH_GET_WHILE_PUTTING;
    struct crew crew = {.workload = workload, .count = workload->threads + (two_sides ? 1 : 0)};
    int rc = 0;

    *result = *other = (struct bench_result){0};
    if (workload->action == BENCH_OVERWRITE || workload->action == BENCH_TRANSACT || two_sides)
        stage->version++;
    for (unsigned i = 0; i < crew.count && rc == 0; i++)
        rc = crew_hire(&crew, stage, i);
    if (rc == 0 && pthread_barrier_init(&crew.start, NULL, crew.count) != 0)
        rc = BENCH_FAILED;
    if (rc == 0) {
        bench_memory_restart();
        struct bench_usage before = bench_usage_now();
        double begun = bench_seconds();
        rc = crew_work(&crew);
        result->seconds = bench_seconds() - begun;
        remember(stage, workload);
        look_around(stage, workload, &before, result);
        pthread_barrier_destroy(&crew.start);
        sum_up(&crew, 0, workload->threads, stage->ns_a_tick, result);
        other->seconds = result->seconds;
        sum_up(&crew, workload->threads, crew.count, stage->ns_a_tick, other);
        result->cpu_ops = result->ops + other->ops;
        result->user_bytes =
            (two_sides ? other->ops : result->ops) * bytes_a_write(stage, workload->action);
    }
    crew_dismiss(&crew, stage->engine);
    return rc;
}

/* Keys must ascend; without removals they are known one by one. */
static int verify_by_scan(const struct bench_stage *stage, void *session)
{
    const struct bench_records *records = stage->records;
    unsigned char last[BENCH_KEY_SIZE] = {0}, wanted[BENCH_KEY_SIZE];
    struct bench_slice none = {"", 0}, key, value;
    uint64_t seen = 0, rank;
    int rc = stage->engine->scan_open(session);

    while (rc == 0) {
        rc = stage->engine->scan_move(session, seen == 0 ? BENCH_FIRST : BENCH_NEXT, none, &key,
                                      &value);
        if (rc != 0)
            break;
        if (key.size != BENCH_KEY_SIZE || value.size < sizeof rank)
            return BENCH_FAILED;
        memcpy(&rank, value.data, sizeof rank);
        bench_key_present(records, rank, wanted);
        if (memcmp(key.data, wanted, BENCH_KEY_SIZE) != 0 ||
            (seen > 0 && memcmp(last, wanted, BENCH_KEY_SIZE) >= 0) ||
            bench_value_check(records, rank, stage->version, value.data, value.size) < 0) {
            bench_complain("%s: at the end, entry %" PRIu64 " is wrong", stage->engine->name, seen);
            rc = BENCH_FAILED;
        }
        memcpy(last, wanted, BENCH_KEY_SIZE);
        seen++;
    }
    stage->engine->scan_close(session);
    if (rc == BENCH_ABSENT && seen != records->count - stage->removed) {
        bench_complain("%s: at the end there are %" PRIu64 " records, not %" PRIu64,
                       stage->engine->name, seen, records->count - stage->removed);
        rc = BENCH_FAILED;
    }
    return rc < 0 ? rc : 0;
}

static int verify_by_samples(const struct bench_stage *stage, void *session)
{
    const struct bench_records *records = stage->records;
    uint64_t step = records->count / SAMPLES + 1;
    unsigned char key[BENCH_KEY_SIZE];
    struct bench_slice value;

    for (uint64_t place = 0; place < records->count; place += step) {
        uint64_t rank = bench_shuffle(records, place);
        int version = 0;
        bench_key_present(records, rank, key);
        int rc = stage->engine->get(session, (struct bench_slice){key, sizeof key}, &value);
        if (rc < 0)
            return rc;
        if (rc == 0)
            version = bench_value_check(records, rank, stage->version, value.data, value.size);
        if ((rc == BENCH_ABSENT) != (place < stage->removed) ||
            version < (rc == 0 && place < stage->overwrote)) {
            bench_complain("%s: at the end, record %" PRIu64 " is %s", stage->engine->name, rank,
                           rc == BENCH_ABSENT ? "lost" : "old, wrong or should be gone");
            return BENCH_FAILED;
        }
    }
    return 0;
}

int bench_stage_verify(struct bench_stage *stage)
{
    void *session;
    int rc = stage->engine->session_open(stage->store, &session);
    if (rc < 0)
        return rc;
    rc = verify_by_scan(stage, session);
    if (rc == 0)
        rc = verify_by_samples(stage, session);
    stage->engine->session_close(session);
    return rc;
}
