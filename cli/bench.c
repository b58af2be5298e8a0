/*
 * bench measures a store: it runs workloads one after another, each with some threads, and prints a
 * line of figures for each.
 */
#include "base/alloc.h"
#include "command.h"
#include "progress.h"
#include "text.h"
#include "workload.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 256, WORKLOADS_MAX = 64 };

static const char default_workloads[] =
    "fillseq,overwrite,readrandom,readmissing,readseq,readreverse,seekrandom";

struct bench {
    struct cli_job *job;
    struct cli_load_plan plan;
    const struct cli_workload *list[WORKLOADS_MAX];
    size_t count;
    uint8_t *pool;
    struct cli_worker *workers; /* plan.threads, and one that writes beside readers */
    bool json;
    size_t reported;
};

/* ---------------------------------------------------------------------------------------- plan */

static int plan_workloads(struct bench *bench)
{
    const char *at = bench->job->args.values[CLI_OPT_WORKLOAD];
    if (at == NULL)
        at = default_workloads;
    while (*at != 0) {
        size_t size = strcspn(at, ",");
        const struct cli_workload *w = cli_workloads;
        while (w->name != NULL && (strlen(w->name) != size || memcmp(w->name, at, size) != 0))
            w++;
        if (w->name == NULL)
            return cli_complain("no workload '%.*s'; 'varve bench --help' lists them", (int)size,
                                at);
        if (bench->count == WORKLOADS_MAX)
            return cli_complain("more than %d workloads", WORKLOADS_MAX);
        bench->list[bench->count++] = w;
        at += size + (at[size] != 0);
    }
    return bench->count > 0 ? CLI_FINE : cli_complain("no workload is given");
}

static int plan_bench(struct bench *bench)
{
    const struct cli_args *args = &bench->job->args;
    struct cli_load_plan *plan = &bench->plan;
    *plan = (struct cli_load_plan){.num = 1000000,
                                   .key_size = 16,
                                   .value_size = 100,
                                   .threads = 1,
                                   .batch = 1,
                                   .seed = 1,
                                   .compressible = 0.5};
    if (cli_option_count(args, CLI_OPT_NUM, 1, (uint64_t)1 << 40, &plan->num) != CLI_FINE ||
        cli_option_count(args, CLI_OPT_KEY_SIZE, CLI_BENCH_KEY_MIN, CLI_BENCH_KEY_MAX,
                         &plan->key_size) != CLI_FINE ||
        cli_option_count(args, CLI_OPT_VALUE_SIZE, 0, VARVE_VALUE_SIZE_MAX, &plan->value_size) !=
            CLI_FINE ||
        cli_option_count(args, CLI_OPT_THREADS, 1, THREADS_MAX, &plan->threads) != CLI_FINE ||
        cli_option_count(args, CLI_OPT_BATCH, 1, 1000000, &plan->batch) != CLI_FINE ||
        cli_option_count(args, CLI_OPT_SEED, 0, UINT64_MAX, &plan->seed) != CLI_FINE)
        return CLI_ERROR;
    if (cli_given(args, CLI_OPT_COMPRESSIBLE) &&
        !cli_parse_ratio(args->values[CLI_OPT_COMPRESSIBLE], &plan->compressible))
        return cli_complain("option '--compressible' must lie within 0 and 1");
    uint64_t keys = 1;
    for (uint64_t i = 0; i < plan->key_size && keys < plan->num; i++)
        keys *= 10;
    if (keys < plan->num)
        return cli_complain("%llu numbers do not fit keys of %llu digits",
                            (unsigned long long)plan->num, (unsigned long long)plan->key_size);
    return plan_workloads(bench);
}

/* Whether the store, as it is before anything runs, suits the first workloads. */
static int check_store(const struct bench *bench)
{
    varve_iter *iter = NULL;
    bool writes = false;
    for (size_t i = 0; i < bench->count; i++)
        writes = writes || bench->list[i]->writes;
    int rc = varve_iter_open(bench->job->db, NULL, &iter);
    if (rc == VARVE_OK)
        rc = varve_iter_first(iter);
    varve_iter_close(iter);
    if (rc < 0)
        return cli_complain_store(rc, "bench");
    if (rc == VARVE_OK && writes && !cli_given(&bench->job->args, CLI_OPT_FORCE))
        return cli_complain("'%s' holds entries already, and these workloads would write among "
                            "them; --force does it all the same",
                            bench->job->path);
    if (rc == VARVE_END && bench->list[0]->reads)
        return cli_complain("'%s' is empty; begin with fillseq or fillrandom", bench->job->path);
    return CLI_FINE;
}

/* -------------------------------------------------------------------------------------- report */

struct figures {
    uint64_t entries, found, bytes;
    double seconds;
    struct vv_histogram latency_ns;
};

static double percentile_us(const struct figures *f, double percent)
{
    return (double)vv_histogram_percentile(&f->latency_ns, percent) / 1000;
}

static void report_json(struct bench *bench, const struct cli_workload *workload,
                        const struct figures *f)
{
    struct cli_out *out = bench->job->out;
    cli_out_printf(out, "%s\n{\"workload\":\"%s\",\"threads\":%llu,\"operations\":%llu,",
                   bench->reported > 0 ? "," : "", workload->name,
                   (unsigned long long)bench->plan.threads, (unsigned long long)f->entries);
    cli_out_printf(out, "\"found\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"ops_per_second\":%.1f,",
                   (unsigned long long)f->found, (unsigned long long)f->bytes, f->seconds,
                   (double)f->entries / f->seconds);
    cli_out_printf(out, "\"mb_per_second\":%.3f,\"latency_us\":{\"mean\":%.3f,\"p50\":%.3f,",
                   (double)f->bytes / f->seconds / 1e6, vv_histogram_mean(&f->latency_ns) / 1000,
                   percentile_us(f, 50));
    cli_out_printf(out, "\"p99\":%.3f,\"p99.9\":%.3f,\"max\":%.3f}}", percentile_us(f, 99),
                   percentile_us(f, 99.9), (double)vv_histogram_max(&f->latency_ns) / 1000);
}

static void report_line(struct bench *bench, const struct cli_workload *workload,
                        const struct figures *f)
{
    char rate[CLI_NUMBER_SIZE];
    struct cli_out *out = bench->job->out;
    if (bench->reported == 0)
        cli_out_printf(out, "%-16s %12s %9s %9s %9s %9s %11s\n", "workload", "ops/s", "MB/s",
                       "p50 µs", "p99 µs", "p99.9 µs", "max µs");
    cli_out_printf(out, "%-16s %12s %9.1f %8.2f %8.2f %9.1f %10.1f", workload->name,
                   cli_format_count(rate, (uint64_t)((double)f->entries / f->seconds)),
                   (double)f->bytes / f->seconds / 1e6, percentile_us(f, 50), percentile_us(f, 99),
                   percentile_us(f, 99.9), (double)vv_histogram_max(&f->latency_ns) / 1000);
    bool only_reads = !workload->writes || workload->has_writer;
    if (only_reads && !workload->is_walk && f->found < f->entries)
        cli_out_printf(out, "  (%llu of %llu found)", (unsigned long long)f->found,
                       (unsigned long long)f->entries);
    cli_out_byte(out, '\n');
}

static void begin_report(const struct bench *bench)
{
    const struct cli_load_plan *plan = &bench->plan;
    struct cli_out *out = bench->job->out;
    if (!bench->json) {
        char num[CLI_NUMBER_SIZE];
        cli_out_printf(out, "varve %s: %s entries, keys of %llu bytes, values of %llu, ",
                       varve_version(), cli_format_count(num, plan->num),
                       (unsigned long long)plan->key_size, (unsigned long long)plan->value_size);
        cli_out_printf(out, "threads %llu, batch %llu, seed %llu\n",
                       (unsigned long long)plan->threads, (unsigned long long)plan->batch,
                       (unsigned long long)plan->seed);
        return;
    }
    cli_out_printf(out, "{\"version\":\"%s\",\"num\":%llu,\"key_size\":%llu,\"value_size\":%llu,",
                   varve_version(), (unsigned long long)plan->num,
                   (unsigned long long)plan->key_size, (unsigned long long)plan->value_size);
    cli_out_printf(out, "\"batch\":%llu,\"seed\":%llu,\"compressible\":%.3f,\"results\":[",
                   (unsigned long long)plan->batch, (unsigned long long)plan->seed,
                   plan->compressible);
}

/* ----------------------------------------------------------------------------------------- run */

static void *worker_thread(void *worker)
{
    cli_worker_run(worker);
    return NULL;
}

/* Draws progress until all entries are done or somebody stopped. */
static void watch(const struct bench *bench, struct cli_progress *progress, _Atomic(bool) *is_over)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t done = 0;
    while (progress->is_on && done < bench->plan.num && !cli_interrupted() &&
           !atomic_load_explicit(is_over, memory_order_relaxed)) {
        (void)nanosleep(&pause, NULL);
        uint64_t before = done;
        done = 0;
        for (uint64_t i = 0; i < bench->plan.threads; i++)
            done += atomic_load_explicit(&bench->workers[i].done, memory_order_relaxed);
        cli_progress_show_now(progress, done, done);
        if (done == before && done > 0)
            break; /* a walk over fewer entries, or a device that hangs: joining waits for both */
    }
}

static int gather(const struct bench *bench, struct figures *f)
{
    for (uint64_t i = 0; i <= bench->plan.threads; i++) {
        const struct cli_worker *w = &bench->workers[i];
        if (w->rc < 0)
            return cli_complain("%s: %s", w->workload->name,
                                w->story[0] != 0 ? w->story : varve_strerror(w->rc));
        if (i == bench->plan.threads)
            break; /* what was written beside the readers does not count */
        f->entries += atomic_load_explicit(&w->done, memory_order_relaxed);
        f->found += w->found;
        f->bytes += w->bytes;
        vv_histogram_merge(&f->latency_ns, &w->latency_ns);
    }
    return CLI_FINE;
}

static void prepare(struct bench *bench, const struct cli_workload *workload,
                    _Atomic(bool) *is_over)
{
    static const struct cli_workload *const beside = &cli_workloads[2];
    const struct cli_load_plan *plan = &bench->plan;
    vv_assert(strcmp(beside->name, "overwrite") == 0);
    vv_assert(plan->threads > 0);
    for (uint64_t i = 0; i <= plan->threads; i++) {
        struct cli_worker *w = &bench->workers[i];
        memset(w, 0, sizeof *w);
        w->workload = i < plan->threads ? workload : beside;
        w->plan = plan;
        w->pool = bench->pool;
        w->db = bench->job->db;
        w->stream = i + 1;
        w->is_over = is_over;
        w->begin = plan->num / plan->threads * i;
        w->end = i + 1 == plan->threads ? plan->num : plan->num / plan->threads * (i + 1);
        if (i == plan->threads)
            w->end = UINT64_MAX; /* until the readers are done */
    }
}

static int run_workload(struct bench *bench, const struct cli_workload *workload)
{
    pthread_t threads[THREADS_MAX + 1];
    struct figures figures = {0};
    struct cli_progress progress = {0};
    _Atomic(bool) is_over = false;
    size_t wanted = (size_t)bench->plan.threads + (workload->has_writer ? 1 : 0);
    size_t started = 0;

    prepare(bench, workload, &is_over);
    if (!cli_given(&bench->job->args, CLI_OPT_QUIET))
        cli_progress_begin(&progress, workload->name, CLI_UNIT_ENTRIES, bench->plan.num);
    uint64_t begun_us = cli_now_us();
    while (started < wanted &&
           pthread_create(&threads[started], NULL, worker_thread, &bench->workers[started]) == 0)
        started++;
    if (started < wanted)
        atomic_store_explicit(&is_over, true, memory_order_relaxed);
    else
        watch(bench, &progress, &is_over);
    for (size_t i = 0; i < started; i++) {
        if (i == bench->plan.threads) /* the writer, once all readers are done */
            atomic_store_explicit(&is_over, true, memory_order_relaxed);
        (void)pthread_join(threads[i], NULL);
        if (i + 1 == bench->plan.threads)
            figures.seconds = (double)(cli_now_us() - begun_us + 1) / 1e6;
    }
    cli_progress_end(&progress);
    if (started < wanted)
        return cli_complain("cannot start %zu threads", wanted);
    if (gather(bench, &figures) != CLI_FINE)
        return CLI_ERROR;
    if (bench->json)
        report_json(bench, workload, &figures);
    else
        report_line(bench, workload, &figures);
    bench->reported++;
    cli_out_flush(bench->job->out);
    return CLI_FINE;
}

static int run_all(struct bench *bench)
{
    int status = check_store(bench);
    if (status != CLI_FINE)
        return status;
    bench->pool = cli_load_pool(&bench->plan);
    bench->workers = vv_alloc_zero(((size_t)bench->plan.threads + 1) * sizeof *bench->workers);
    if (bench->pool == NULL || bench->workers == NULL) {
        status = cli_complain("out of memory");
        goto out;
    }
    begin_report(bench);
    for (size_t i = 0; i < bench->count && status == CLI_FINE && !cli_interrupted(); i++)
        status = run_workload(bench, bench->list[i]);
    if (bench->json)
        cli_out_text(bench->job->out, "\n]}\n");
out:
    vv_free(bench->workers);
    vv_free(bench->pool);
    return status;
}

int cli_run_bench(struct cli_job *job)
{
    struct bench bench = {.job = job, .json = cli_given(&job->args, CLI_OPT_JSON)};
    if (plan_bench(&bench) != CLI_FINE)
        return CLI_ERROR;
    enum varve_mode mode = bench.list[0]->reads ? VARVE_MODE_EXISTING : VARVE_MODE_CREATE;
    if (cli_store_open(job, mode) != CLI_FINE)
        return CLI_ERROR;
    return cli_store_close(job, run_all(&bench));
}
