/*
 * Care of a whole store: flush, sync, compact, check, repair, destroy.
 */
#include "command.h"
#include "progress.h"
#include "text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------- flush, sync */

static int answer(struct cli_job *job, int rc, const char *what)
{
    if (rc < 0)
        return cli_complain_store(rc, "%s", what);
    cli_out_text(job->out, "OK\n");
    return CLI_FINE;
}

int cli_run_flush(struct cli_job *job)
{
    return answer(job, varve_flush(job->db), "flush");
}

int cli_run_sync(struct cli_job *job)
{
    return answer(job, varve_sync(job->db), "sync");
}

/* ------------------------------------------------------------------------------------- compact */

/* Watches a store from another thread while it compacts. */
struct watch {
    varve *db;
    uint64_t written_before;
    struct cli_progress progress;
    _Atomic(bool) is_over; /* relaxed: it only ends a loop, and the thread is joined */
};

static void *watch_run(void *argument)
{
    struct watch *watch = argument;
    while (!atomic_load_explicit(&watch->is_over, memory_order_relaxed)) {
        const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
        varve_stats stats = {.size = sizeof stats};
        (void)nanosleep(&pause, NULL);
        if (varve_get_stats(watch->db, &stats) == VARVE_OK)
            cli_progress_show_now(&watch->progress,
                                  stats.compaction_bytes_written - watch->written_before,
                                  stats.keys_estimate);
    }
    return NULL;
}

/* Every byte of the store is written once, so that is what the bar is measured by. */
static int compact_watched(struct cli_job *job, const varve_stats *before)
{
    struct watch watch = {.db = job->db, .written_before = before->compaction_bytes_written};
    pthread_t thread;
    bool is_watched = false;
    if (!cli_given(&job->args, CLI_OPT_QUIET) && isatty(STDERR_FILENO) == 1) {
        cli_progress_begin(&watch.progress, "compact", CLI_UNIT_BYTES, before->table_bytes);
        is_watched = pthread_create(&thread, NULL, watch_run, &watch) == 0;
    }
    int rc = varve_compact(job->db, varve_bytes(NULL, 0), varve_bytes(NULL, 0));
    if (is_watched) {
        atomic_store_explicit(&watch.is_over, true, memory_order_relaxed);
        (void)pthread_join(thread, NULL);
    }
    cli_progress_end(&watch.progress);
    return rc;
}

int cli_run_compact(struct cli_job *job)
{
    char before_text[CLI_NUMBER_SIZE];
    char after_text[CLI_NUMBER_SIZE];
    varve_stats before = {.size = sizeof before};
    varve_stats after = {.size = sizeof after};
    int rc;
    if (job->shell == NULL)
        cli_interrupt_at_once(); /* a store outlives that, and compacting has no pause of its own */
    if ((rc = varve_get_stats(job->db, &before)) < 0 || (rc = compact_watched(job, &before)) < 0 ||
        (rc = varve_get_stats(job->db, &after)) < 0)
        return cli_complain_store(rc, "compact");
    if (cli_given(&job->args, CLI_OPT_JSON))
        cli_out_printf(job->out, "{\"disk_bytes_before\":%llu,\"disk_bytes_after\":%llu}\n",
                       (unsigned long long)before.disk_bytes, (unsigned long long)after.disk_bytes);
    else if (job->shell != NULL)
        cli_out_text(job->out, "OK\n");
    else if (!cli_given(&job->args, CLI_OPT_QUIET))
        cli_out_printf(job->out, "%s on disk before, %s after\n",
                       cli_format_bytes(before_text, (double)before.disk_bytes),
                       cli_format_bytes(after_text, (double)after.disk_bytes));
    return CLI_FINE;
}

/* --------------------------------------------------------------------------------- check, repair */

struct findings {
    struct cli_out *out;
    uint64_t count;
    bool json, quiet;
};

static void take_finding(void *context, const char *line)
{
    struct findings *f = context;
    varve_slice text = VARVE_STR(line);
    if (f->json) {
        cli_out_text(f->out, f->count > 0 ? "," : "");
        cli_out_json_string(f->out, cli_is_utf8(text) ? text : VARVE_STR("(not UTF-8)"));
    } else if (!f->quiet) {
        cli_out_text(f->out, line);
        cli_out_byte(f->out, '\n');
        cli_out_flush(f->out); /* the next one may be a while */
    }
    f->count++;
}

static struct findings begin_findings(struct cli_job *job)
{
    struct findings f = {.out = job->out,
                         .json = cli_given(&job->args, CLI_OPT_JSON),
                         .quiet = cli_given(&job->args, CLI_OPT_QUIET)};
    if (f.json)
        cli_out_text(job->out, "{\"report\":[");
    return f;
}

static void end_findings(const struct findings *f, const char *verdict, const char *words)
{
    if (f->json)
        cli_out_printf(f->out, "],\"result\":\"%s\"}\n", verdict);
    else if (!f->quiet)
        cli_out_printf(f->out, "%s\n", words);
}

int cli_run_check(struct cli_job *job)
{
    varve_options options;
    if (cli_store_options(job, VARVE_MODE_EXISTING, &options) != CLI_FINE)
        return CLI_ERROR;
    cli_interrupt_at_once();
    struct findings f = begin_findings(job);
    int rc = varve_check(job->path, &options, take_finding, &f);
    if (rc == VARVE_CORRUPT && f.count == 0)
        take_finding(&f, varve_last_error());
    if (rc < 0 && rc != VARVE_CORRUPT) {
        end_findings(&f, "error", "not checked to the end");
        return cli_complain_path(rc, "cannot check", job->path);
    }
    if (rc == VARVE_OK)
        end_findings(&f, "ok", "no damage found");
    else
        end_findings(&f, "damaged", "the store is damaged");
    return rc == VARVE_OK ? CLI_FINE : CLI_NO;
}

int cli_run_repair(struct cli_job *job)
{
    varve_options options;
    if (cli_store_options(job, VARVE_MODE_EXISTING, &options) != CLI_FINE)
        return CLI_ERROR;
    struct findings f = begin_findings(job);
    int rc = varve_repair(job->path, &options, take_finding, &f);
    if (rc < 0) {
        end_findings(&f, "error", "not repaired");
        return cli_complain_path(rc, "cannot repair", job->path);
    }
    end_findings(&f, "ok", "the store is usable");
    return CLI_FINE;
}

/* ------------------------------------------------------------------------------------- destroy */

static bool is_confirmed(const char *path)
{
    char answer_text[16] = "";
    if (isatty(STDIN_FILENO) != 1)
        return true;
    (void)fprintf(stderr, "Delete the store '%s' and all that is in it? [y/N] ", path);
    return fgets(answer_text, sizeof answer_text, stdin) != NULL &&
           (answer_text[0] == 'y' || answer_text[0] == 'Y');
}

int cli_run_destroy(struct cli_job *job)
{
    cli_interrupt_at_once();
    if (!cli_given(&job->args, CLI_OPT_FORCE) && !is_confirmed(job->path))
        return cli_complain("'%s' was left as it is", job->path);
    int rc = varve_destroy(job->path);
    return rc < 0 ? cli_complain_path(rc, "cannot destroy", job->path) : CLI_FINE;
}
