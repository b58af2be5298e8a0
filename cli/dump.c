/*
 * dump writes all entries in a format of load's. Those of all keyspaces are of one moment, too: that
 * of the read-only handle.
 */
#include "command.h"
#include "format.h"
#include "progress.h"
#include "range.h"

#include <string.h>

struct dump {
    struct cli_job *job;
    varve_slice keyspace; /* data NULL: of one that is not named */
    struct cli_out *out;
    const struct cli_format *format;
    uint64_t entries;
    struct cli_progress progress;
};

static int dump_entry(void *context, varve_slice key, varve_slice value)
{
    struct dump *dump = context;
    dump->format->write(dump->out,
                        &(struct cli_entry){key, value, dump->keyspace, .is_bare = false});
    dump->entries++;
    cli_progress_show(&dump->progress, dump->entries, dump->entries);
    return cli_out_failed(dump->out) ? CLI_ERROR : CLI_FINE;
}

static int dump_keyspace(void *context, const char *name)
{
    struct dump *dump = context;
    struct cli_job *job = dump->job;
    dump->keyspace = varve_bytes(name, strlen(name));
    dump->format->write(dump->out,
                        &(struct cli_entry){.keyspace = dump->keyspace, .is_bare = true});
    if (cli_keyspace_open(job, name, VARVE_MODE_READONLY, &job->db) != CLI_FINE)
        return CLI_ERROR;
    int status = cli_range_walk(job, CLI_KEYS_AND_VALUES, dump_entry, dump);
    job->db = job->store;
    return cli_interrupted() ? CLI_ERROR : status;
}

static int dump_all(struct dump *dump, bool whole)
{
    if (dump->format != &cli_format_jsonl)
        return cli_complain("--all is for --format jsonl");
    if (!whole || cli_given(&dump->job->args, CLI_OPT_KEYSPACE))
        return cli_complain("--all leaves nothing out");
    int rc = varve_keyspace_list(dump->job->store, dump_keyspace, dump);
    return rc < 0 ? cli_complain_store(rc, "dump") : rc;
}

int cli_run_dump(struct cli_job *job)
{
    struct dump dump = {.job = job, .out = job->out, .format = cli_format_of(&job->args)};
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
                           whole && job->db == job->store ? stats.keys_estimate : 0);
    int status = cli_given(&job->args, CLI_OPT_ALL)
                     ? dump_all(&dump, whole)
                     : cli_range_walk(job, CLI_KEYS_AND_VALUES, dump_entry, &dump);
    cli_progress_end(&dump.progress);
    return cli_out_failed(job->out) ? CLI_FINE : status; /* cli_out_end tells of lost output */
}
