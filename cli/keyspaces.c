/*
 * keyspaces lists what keyspaces a store has, makes one, or drops one.
 */
#include "command.h"
#include "shell.h"

#include <string.h>

static int print_name(void *context, const char *name)
{
    struct cli_job *job = context;
    varve_slice bytes = varve_bytes(name, strlen(name));
    if (cli_given(&job->args, CLI_OPT_JSON)) {
        cli_out_byte(job->out, '{');
        cli_out_json_field(job->out, "keyspace", bytes);
        cli_out_text(job->out, "}\n");
    } else {
        cli_out_escaped(job->out, bytes);
        cli_out_byte(job->out, '\n');
    }
    return CLI_FINE;
}

static int list(struct cli_job *job)
{
    int rc = job->shell != NULL ? varve_keyspace_list(job->store, print_name, job)
                                : varve_keyspaces_at(job->path, print_name, job);
    return rc < 0 ? cli_complain_path(rc, "cannot read", job->path) : CLI_FINE;
}

/* The shell must not stay in what is gone. */
static int drop(struct cli_job *job, const char *name)
{
    varve *keyspace;
    int rc = varve_keyspace_open(job->store, name, &keyspace);
    if (rc < 0 || (rc = varve_keyspace_drop(keyspace)) < 0)
        return cli_complain("%s", varve_last_error());
    if (job->shell != NULL && job->shell->db == keyspace)
        job->shell->db = job->store;
    return CLI_FINE;
}

static int change(struct cli_job *job)
{
    const char *created = job->args.values[CLI_OPT_CREATE];
    varve *keyspace;
    int rc = created != NULL ? varve_keyspace_create(job->store, created, NULL, &keyspace) : 0;
    if (rc < 0)
        return cli_complain("%s", varve_last_error());
    int status = created == NULL ? drop(job, job->args.values[CLI_OPT_DROP]) : CLI_FINE;
    if (status == CLI_FINE && job->shell != NULL)
        cli_out_text(job->out, "OK\n");
    return status;
}

int cli_run_keyspaces(struct cli_job *job)
{
    bool creates = cli_given(&job->args, CLI_OPT_CREATE);
    bool drops = cli_given(&job->args, CLI_OPT_DROP);
    if (creates && drops)
        return cli_complain("--create or --drop, not both");
    if (!creates && !drops)
        return list(job);
    if (job->shell != NULL)
        return change(job);
    if (cli_store_open(job, creates ? VARVE_MODE_CREATE : VARVE_MODE_EXISTING) != CLI_FINE)
        return CLI_ERROR;
    return cli_store_close(job, change(job));
}
