/*
 * Copies of a store: checkpoint, backup, restore.
 */
#include "command.h"
#include "progress.h"
#include "text.h"

#include <stdio.h>
#include <time.h>

/* What an interrupted callback answers: no code of the library. */
enum { INTERRUPTED = 1000, TIME_SIZE = 32 };

static const char *operand(const struct cli_job *job, size_t index)
{
    return job->args.operands[index].bytes.data;
}

static int show_progress(void *context, uint64_t done, uint64_t total)
{
    struct cli_progress *p = context;
    p->total = total;
    cli_progress_show_now(p, done, 0);
    return cli_interrupted() ? INTERRUPTED : 0;
}

/* Begins a line of progress, for work that ends with end_work. */
static varve_backup_options begin_work(const struct cli_job *job, struct cli_progress *p,
                                       const char *what)
{
    varve_backup_options options = VARVE_BACKUP_OPTIONS_INIT;
    options.progress = show_progress;
    options.context = p;
    *p = (struct cli_progress){.is_on = false};
    if (!cli_given(&job->args, CLI_OPT_QUIET))
        cli_progress_begin(p, what, CLI_UNIT_BYTES, 0);
    return options;
}

/* ---- checkpoint */

int cli_run_checkpoint(struct cli_job *job)
{
    const char *path = operand(job, 0);
    int rc = varve_checkpoint(job->db, path);
    if (rc < 0)
        return cli_complain_store(rc, "checkpoint");
    if (cli_given(&job->args, CLI_OPT_JSON)) {
        cli_out_text(job->out, "{\"path\":");
        cli_out_json_string(job->out, VARVE_STR(path));
        cli_out_text(job->out, "}\n");
    }
    return CLI_FINE;
}

/* ---- backup */

static const char *format_time(char text[TIME_SIZE], uint64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        (void)snprintf(text, TIME_SIZE, "?");
    return text;
}

struct listing {
    struct cli_job *job;
    uint64_t only; /* this backup; 0: all */
};

static int print_backup(void *context, const varve_backup_info *info)
{
    struct listing *l = context;
    struct cli_out *out = l->job->out;
    char bytes[CLI_NUMBER_SIZE], copied[CLI_NUMBER_SIZE], when[TIME_SIZE];
    if (l->only != 0 && info->id != l->only)
        return 0;
    if (!cli_given(&l->job->args, CLI_OPT_JSON)) {
        cli_out_printf(out, "%llu  %s  %s, %s new, store ", (unsigned long long)info->id,
                       format_time(when, info->created_us),
                       cli_format_bytes(bytes, (double)info->bytes),
                       cli_format_bytes(copied, (double)info->copied_bytes));
        for (size_t i = 0; i < 4; i++)
            cli_out_printf(out, "%02x", (unsigned)info->store[i]);
        cli_out_byte(out, '\n');
        return 0;
    }
    cli_out_printf(out,
                   "{\"id\":%llu,\"created\":\"%s\",\"sequence\":%llu,\"files\":%llu,"
                   "\"bytes\":%llu,\"copied_bytes\":%llu,\"store\":\"",
                   (unsigned long long)info->id, format_time(when, info->created_us),
                   (unsigned long long)info->sequence, (unsigned long long)info->files,
                   (unsigned long long)info->bytes, (unsigned long long)info->copied_bytes);
    for (size_t i = 0; i < sizeof info->store; i++)
        cli_out_printf(out, "%02x", (unsigned)info->store[i]);
    cli_out_text(out, "\"}\n");
    return 0;
}

static int list(struct cli_job *job, const char *dir, uint64_t only)
{
    struct listing l = {job, only};
    int rc = varve_backup_list(dir, print_backup, &l);
    return rc < 0 ? cli_complain_path(rc, "cannot list", dir) : CLI_FINE;
}

static int create(struct cli_job *job, const char *dir)
{
    struct cli_progress progress;
    uint64_t id = 0;
    if (cli_store_open(job, VARVE_MODE_EXISTING) != CLI_FINE)
        return CLI_ERROR;
    varve_backup_options options = begin_work(job, &progress, "backup");
    int rc = varve_backup_create(job->db, dir, &options, &id);
    cli_progress_end(&progress);
    if (rc == INTERRUPTED)
        return CLI_ERROR;
    if (rc < 0)
        return cli_complain_path(rc, "cannot back up to", dir);
    return cli_given(&job->args, CLI_OPT_QUIET) ? CLI_FINE : list(job, dir, id);
}

static void print_damage(void *context, const char *line)
{
    struct cli_job *job = context;
    if (cli_given(&job->args, CLI_OPT_JSON)) {
        cli_out_text(job->out, "{\"damage\":");
        cli_out_json_string(job->out, VARVE_STR(line));
        cli_out_text(job->out, "}\n");
    } else if (!cli_given(&job->args, CLI_OPT_QUIET)) {
        cli_out_printf(job->out, "%s\n", line);
    }
}

static int verify(struct cli_job *job, const char *dir, uint64_t id)
{
    struct cli_progress progress;
    varve_backup_options options = begin_work(job, &progress, "verify");
    int rc = varve_backup_verify(dir, id, &options, print_damage, job);
    cli_progress_end(&progress);
    if (rc == INTERRUPTED)
        return CLI_ERROR;
    if (rc < 0 && rc != VARVE_CORRUPT)
        return cli_complain_path(rc, "cannot verify", dir);
    if (cli_given(&job->args, CLI_OPT_JSON))
        cli_out_printf(job->out, "{\"result\":\"%s\"}\n", rc == VARVE_OK ? "ok" : "damaged");
    else if (!cli_given(&job->args, CLI_OPT_QUIET))
        cli_out_text(job->out, rc == VARVE_OK ? "no damage found\n" : "backups are damaged\n");
    return rc == VARVE_OK ? CLI_FINE : CLI_NO;
}

static int purge(const struct cli_job *job, const char *dir)
{
    uint64_t keep = 0;
    if (cli_option_count(&job->args, CLI_OPT_PURGE, 1, UINT64_MAX, &keep) != CLI_FINE)
        return CLI_ERROR;
    int rc = varve_backup_purge(dir, keep);
    return rc < 0 ? cli_complain_path(rc, "cannot purge", dir) : CLI_FINE;
}

int cli_run_backup(struct cli_job *job)
{
    bool lists = cli_given(&job->args, CLI_OPT_LIST);
    bool verifies = cli_given(&job->args, CLI_OPT_VERIFY);
    bool purges = cli_given(&job->args, CLI_OPT_PURGE);
    uint64_t id = 0;
    if (cli_option_count(&job->args, CLI_OPT_ID, 1, UINT64_MAX, &id) != CLI_FINE)
        return CLI_ERROR;
    if (lists + verifies + purges > 1)
        return cli_complain("--list, --verify and --purge exclude each other");
    if (id != 0 && !lists && !verifies)
        return cli_complain("--id goes with --list or --verify");
    if (lists || verifies || purges) {
        const char *dir = operand(job, 0);
        if (job->args.count != 1)
            return cli_complain("with --list, --verify and --purge there is one operand: DIR");
        return lists ? list(job, dir, id) : verifies ? verify(job, dir, id) : purge(job, dir);
    }
    if (job->args.count != 2)
        return cli_complain("two operands are wanted: STORE DIR");
    job->path = operand(job, 0);
    int status = create(job, operand(job, 1));
    return cli_store_close(job, status);
}

/* ---- restore */

int cli_run_restore(struct cli_job *job)
{
    struct cli_progress progress;
    uint64_t id = 0;
    if (cli_option_count(&job->args, CLI_OPT_ID, 1, UINT64_MAX, &id) != CLI_FINE)
        return CLI_ERROR;
    varve_backup_options options = begin_work(job, &progress, "restore");
    int rc = varve_backup_restore(operand(job, 0), id, operand(job, 1), &options);
    cli_progress_end(&progress);
    if (rc == INTERRUPTED)
        return CLI_ERROR;
    if (rc < 0)
        return cli_complain_path(rc, "cannot restore to", operand(job, 1));
    if (cli_given(&job->args, CLI_OPT_JSON)) {
        cli_out_text(job->out, "{\"path\":");
        cli_out_json_string(job->out, VARVE_STR(operand(job, 1)));
        cli_out_text(job->out, "}\n");
    }
    return CLI_FINE;
}
