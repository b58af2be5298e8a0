/*
 * scan prints entries, count counts them.
 */
#include "command.h"
#include "progress.h"
#include "range.h"

struct scan {
    struct cli_out *out;
    bool keys, values, json;
};

static int scan_entry(void *context, varve_slice key, varve_slice value)
{
    const struct scan *scan = context;
    struct cli_out *out = scan->out;
    if (scan->json) {
        cli_out_byte(out, '{');
        if (scan->keys)
            cli_out_json_field(out, "key", key);
        if (scan->keys && scan->values)
            cli_out_byte(out, ',');
        if (scan->values)
            cli_out_json_field(out, "value", value);
        cli_out_byte(out, '}');
    } else {
        if (scan->keys)
            cli_out_escaped(out, key);
        if (scan->keys && scan->values)
            cli_out_byte(out, '\t');
        if (scan->values)
            cli_out_escaped(out, value);
    }
    cli_out_byte(out, '\n');
    return cli_out_failed(out) ? CLI_ERROR : CLI_FINE;
}

/* A walk that stopped because its output failed: cli_out_end knows what to say about that. */
static int without_output(const struct cli_out *out, int status)
{
    return cli_out_failed(out) ? CLI_FINE : status;
}

int cli_run_scan(struct cli_job *job)
{
    struct scan scan = {.out = job->out, .json = cli_given(&job->args, CLI_OPT_JSON)};
    scan.keys = cli_given(&job->args, CLI_OPT_KEYS);
    scan.values = cli_given(&job->args, CLI_OPT_VALUES);
    if (!scan.keys && !scan.values)
        scan.keys = scan.values = true;
    enum cli_parts parts = scan.values ? CLI_KEYS_AND_VALUES : CLI_KEYS_ONLY;
    return without_output(job->out, cli_range_walk(job, parts, scan_entry, &scan));
}

struct count {
    uint64_t entries;
    struct cli_progress progress;
};

static int count_entry(void *context, varve_slice key, varve_slice value)
{
    struct count *count = context;
    (void)key;
    (void)value;
    count->entries++;
    cli_progress_show(&count->progress, count->entries, count->entries);
    return CLI_FINE;
}

static int count_exactly(struct cli_job *job, uint64_t estimate, uint64_t *out)
{
    struct count count = {0};
    bool whole = !cli_given(&job->args, CLI_OPT_FROM) && !cli_given(&job->args, CLI_OPT_TO) &&
                 !cli_given(&job->args, CLI_OPT_PREFIX);
    if (!cli_given(&job->args, CLI_OPT_QUIET))
        cli_progress_begin(&count.progress, "count", CLI_UNIT_ENTRIES,
                           whole && job->db == job->store ? estimate : 0);
    int status = cli_range_walk(job, CLI_KEYS_ONLY, count_entry, &count);
    cli_progress_end(&count.progress);
    *out = count.entries;
    return status == CLI_FINE && cli_interrupted() ? CLI_ERROR : status;
}

int cli_run_count(struct cli_job *job)
{
    varve_stats stats = {.size = sizeof stats};
    if (cli_given(&job->args, CLI_OPT_ESTIMATE) && cli_given(&job->args, CLI_OPT_KEYSPACE))
        return cli_complain("the statistics know the whole store only");
    int rc = varve_get_stats(job->db, &stats);
    if (rc < 0)
        return cli_complain_store(rc, "count");
    uint64_t entries = stats.keys_estimate;
    if (!cli_given(&job->args, CLI_OPT_ESTIMATE)) {
        int status = count_exactly(job, stats.keys_estimate, &entries);
        if (status != CLI_FINE)
            return status;
    }
    bool json = cli_given(&job->args, CLI_OPT_JSON);
    cli_out_printf(job->out, json ? "{\"count\":%llu}\n" : "%llu\n", (unsigned long long)entries);
    return CLI_FINE;
}
