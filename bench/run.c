/*
 * Each group of workloads runs in a child for one engine, so that memory and processor time are its
 * own, and results come back through a pipe. Engines take turns within a repetition, in another
 * order each time: what else the machine does meanwhile then hits all of them alike.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_SECONDS_MAX = 900, RECORDS_MIN = 100 };

static const uint64_t memory_usual = (uint64_t)320 << 20, memory_least = (uint64_t)4 << 20;

static volatile sig_atomic_t interrupted; /* a signal handler can reach nothing else */

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

void bench_remove_tree(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

uint64_t bench_group_count(const struct bench_plan *plan, const struct bench_group *group)
{
    uint64_t count = plan->records * group->count_permille / 1000;
    return count > RECORDS_MIN ? count : RECORDS_MIN;
}

void bench_group_config(const struct bench_plan *plan, const struct bench_group *group,
                        struct bench_engine_config *config)
{
    uint64_t raw = bench_group_count(plan, group) * (BENCH_KEY_SIZE + group->value_size);
    *config = (struct bench_engine_config){.memory_bytes = memory_usual,
                                           .raw_bytes = raw,
                                           .sync = group->sync,
                                           .lz4 = group->lz4,
                                           .transactions = group->transactions,
                                           .counters = group->counters};
    if (group->small_memory)
        config->memory_bytes = raw / 10 > memory_least ? raw / 10 : memory_least;
}

static bool is_fill(size_t workload)
{
    return workload == 0 || bench_workloads[workload - 1].group != bench_workloads[workload].group;
}

static int send_result(int pipe_fd, const struct bench_result *result)
{
    return write(pipe_fd, result, sizeof *result) == sizeof *result ? 0 : BENCH_FAILED;
}

struct turn {
    const struct bench_plan *plan;
    const struct bench_group *group;
    size_t engine;
    uint64_t rep;
    char dir[512];
};

static int run_workloads(const struct turn *turn, struct bench_stage *stage, int pipe_fd)
{
    struct bench_result result, other;

    for (size_t i = 0; i < bench_workload_count; i++) {
        const struct bench_workload *workload = &bench_workloads[i];
        bool wanted = turn->plan->selected[i];
        if (workload->group != turn->group || workload->action == BENCH_PUT_WHILE_GETTING)
            continue;
        if (workload->action == BENCH_GET_WHILE_PUTTING)
            wanted = wanted || turn->plan->selected[i + 1];
        if (!wanted && !is_fill(i))
            continue;
        if (bench_workload_run(stage, workload, &result, &other) < 0)
            return BENCH_FAILED;
        result.workload = i;
        other.workload = i + 1;
        result.engine = other.engine = turn->engine;
        result.rep = other.rep = turn->rep;
        if (turn->plan->selected[i] && send_result(pipe_fd, &result) < 0)
            return BENCH_FAILED;
        if (other.ops > 0 && turn->plan->selected[i + 1] && send_result(pipe_fd, &other) < 0)
            return BENCH_FAILED;
    }
    return bench_stage_verify(stage);
}

static int child_main(const struct turn *turn, int pipe_fd)
{
    const struct bench_engine *engine = turn->plan->engines[turn->engine];
    struct bench_engine_config config;
    struct bench_records records;
    struct bench_stage stage = {.engine = engine, .records = &records, .dir = turn->dir};
    int rc = BENCH_FAILED;

    bench_group_config(turn->plan, turn->group, &config);
    config.dir = turn->dir;
    if (bench_records_init(&records, bench_group_count(turn->plan, turn->group),
                           turn->group->value_size, turn->plan->keys) < 0)
        return BENCH_FAILED;
    stage.ns_a_tick = bench_ns_a_tick();
    stage.seed = bench_mix(turn->rep + 1);
    if (engine->open(&config, &stage.store) == 0) {
        rc = run_workloads(turn, &stage, pipe_fd);
        engine->close(stage.store);
    }
    bench_records_deinit(&records);
    return rc;
}

static int keep(struct bench_results *results, const struct bench_result *result)
{
    if (results->count == results->capacity) {
        size_t capacity = results->capacity ? 2 * results->capacity : 64;
        struct bench_result *items = realloc(results->items, capacity * sizeof *items);
        if (!items)
            return BENCH_FAILED;
        results->items = items;
        results->capacity = capacity;
    }
    results->items[results->count++] = *result;
    return 0;
}

void bench_results_deinit(struct bench_results *results)
{
    free(results->items);
    *results = (struct bench_results){0};
}

/* Takes in what the child sends until it ends. */
static int parent_main(pid_t child, int pipe_fd, struct bench_results *results)
{
    struct bench_result result;
    int status = 0, rc = 0;

    for (;;) {
        ssize_t got = read(pipe_fd, &result, sizeof result);
        if (got < 0 && errno == EINTR && !interrupted)
            continue;
        if (got != (ssize_t)sizeof result)
            break;
        rc |= keep(results, &result);
    }
    if (interrupted)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        if (interrupted)
            kill(child, SIGKILL);
    if (WIFSIGNALED(status) && !interrupted)
        bench_complain("it was ended by signal %d%s", WTERMSIG(status),
                       WTERMSIG(status) == SIGALRM ? ": it took too long" : "");
    return rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : BENCH_FAILED;
}

static int take_turn(struct turn *turn, struct bench_results *results)
{
    int fds[2], rc;

    snprintf(turn->dir, sizeof turn->dir, "%s/%s-%s-%u", turn->plan->dir, turn->group->name,
             turn->plan->engines[turn->engine]->name, (unsigned)turn->rep);
    if (mkdir(turn->dir, 0755) != 0 || pipe2(fds, O_CLOEXEC) != 0) {
        bench_complain("%s: %s", turn->dir, strerror(errno));
        return BENCH_FAILED;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        alarm(CHILD_SECONDS_MAX);
        _exit(child_main(turn, fds[1]) == 0 ? 0 : 1);
    }
    close(fds[1]);
    rc = child < 0 ? BENCH_FAILED : parent_main(child, fds[0], results);
    close(fds[0]);
    bench_remove_tree(turn->dir);
    return rc;
}

/* All engines once, over one group. */
static void run_round(const struct bench_plan *plan, const struct bench_group *group, uint64_t rep,
                      struct bench_results *results)
{
    for (size_t i = 0; i < plan->engine_count && !interrupted; i++) {
        size_t forth = (i + rep) % plan->engine_count;
        struct turn turn = {.plan = plan, .group = group, .rep = rep, .engine = forth};
        const struct bench_engine *engine = plan->engines[forth];
        double begun = bench_seconds();

        if ((group->lz4 && !engine->can_lz4) || (group->transactions && !engine->transact) ||
            (group->counters && !engine->add))
            continue;
        fprintf(stderr, "bench: %u/%u %-7s %-7s ", (unsigned)rep + 1, (unsigned)plan->reps,
                group->name, engine->name);
        if (take_turn(&turn, results) < 0 && !interrupted) {
            results->failures++;
            fprintf(stderr, "FAILED after");
        }
        fprintf(stderr, " %.1f s\n", bench_seconds() - begun);
    }
}

static bool group_is_wanted(const struct bench_plan *plan, size_t fill)
{
    const struct bench_group *group = bench_workloads[fill].group;
    for (size_t i = fill; i < bench_workload_count && bench_workloads[i].group == group; i++)
        if (plan->selected[i])
            return true;
    return false;
}

int bench_run(const struct bench_plan *plan, struct bench_results *results)
{
    const struct sigaction on_stop = {.sa_handler = on_signal};
    double begun = bench_seconds(), took[BENCH_WORKLOADS_MAX] = {0};

    sigaction(SIGINT, &on_stop, NULL);
    sigaction(SIGTERM, &on_stop, NULL);
    for (uint64_t rep = 0; rep < plan->reps; rep++)
        for (size_t i = 0; i < bench_workload_count && !interrupted; i++) {
            double now = bench_seconds();
            if (!is_fill(i) || !group_is_wanted(plan, i))
                continue;
            if (now - begun + took[i] > plan->seconds_max && rep > 0) {
                results->cut_short = true;
                continue;
            }
            if (rep == 0)
                fprintf(stderr, "bench: %s: %llu records %s\n", bench_workloads[i].group->name,
                        (unsigned long long)bench_group_count(plan, bench_workloads[i].group),
                        bench_workloads[i].group->about);
            run_round(plan, bench_workloads[i].group, rep, results);
            took[i] = bench_seconds() - now;
        }
    return interrupted ? -1 : 0;
}
