/*
 * dump writes all entries in a format of load's.
 */
#include "command.h"
#include "format.h"
#include "progress.h"
#include "range.h"

struct dump {
    struct cli_out *out;
    const struct cli_format *format;
    uint64_t entries;
    struct cli_progress progress;
};

static int dump_entry(void *context, varve_slice key, varve_slice value)
{
    struct dump *dump = context;
    dump->format->write(dump->out, &(struct cli_entry){key, value});
    dump->entries++;
    cli_progress_show(&dump->progress, dump->entries, dump->entries);
    return cli_out_failed(dump->out) ? CLI_ERROR : CLI_FINE;
}

int cli_run_dump(struct cli_job *job)
{
    struct dump dump = {.out = job->out, .format = cli_format_of(&job->args)};
    varve_stats stats = {.size = sizeof stats};
    if (dump.format == NULL)
        return CLI_ERROR;
    int rc = varve_get_stats(job->db, &stats);
    if (rc < 0)
        return cli_complain_store(rc, "dump");
    bool whole = !cli_given(&job->args, CLI_OPT_FROM) && !cli_given(&job->args, CLI_OPT_TO) &&
                 !cli_given(&job->args, CLI_OPT_PREFIX);
    if (!cli_given(&job->args, CLI_OPT_QUIET) && !job->out->is_terminal)
        cli_progress_begin(&dump.progress, "dump", CLI_UNIT_ENTRIES,
                           whole ? stats.keys_estimate : 0);
    int status = cli_range_walk(job, CLI_KEYS_AND_VALUES, dump_entry, &dump);
    cli_progress_end(&dump.progress);
    return cli_out_failed(job->out) ? CLI_FINE : status; /* cli_out_end tells of lost output */
}
