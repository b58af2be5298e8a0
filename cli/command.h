/*
 * The table of commands, from which the program, the shell, the help and the completion are made.
 */
#ifndef VV_CLI_COMMAND_H
#define VV_CLI_COMMAND_H

#include "args.h"
#include "job.h"

enum cli_opening {
    CLI_OPEN_NOTHING, /* the command opens the store itself, or not at all */
    CLI_OPEN_READ,
    CLI_OPEN_EXISTING
};

enum cli_where {
    CLI_OUTSIDE = 1, /* as `varve NAME` */
    CLI_IN_SHELL = 2,
    CLI_ANYWHERE = CLI_OUTSIDE | CLI_IN_SHELL
};

enum cli_operands { CLI_OPERANDS_NONE, CLI_OPERANDS_BYTES, CLI_OPERANDS_FILES };

struct cli_command {
    const char *name;
    const char *operands; /* as shown in help, without STORE */
    const char *summary;
    enum cli_where where;
    bool has_store; /* the first operand is a store */
    enum cli_opening opening;
    enum cli_operands operands_are;
    size_t least, most; /* operands behind the store */
    uint64_t options;
    int (*run)(struct cli_job *job);
    const char *details;  /* paragraphs for help; or NULL */
    const char *examples; /* lines for help; or NULL */
};

/* All of them, in the order of help; the end has no name. */
extern const struct cli_command cli_commands[];

/* NULL if there is no command of that name there. */
const struct cli_command *cli_command_find(const char *name, enum cli_where where);

/* Complains about an unknown word and suggests the nearest one. */
int cli_command_unknown(const char *name, enum cli_where where);

/* Complains unless the number of operands, without the store, suits the command. */
VV_MUST int cli_command_check(const struct cli_job *job, size_t count);

/* Writes the help of one command, or the overview. */
void cli_help_command(struct cli_out *out, const struct cli_command *command, enum cli_where where);
void cli_help_overview(struct cli_out *out, enum cli_where where);

/* What the commands do; each by the file it lives in. */
int cli_run_put(struct cli_job *job); /* point.c */
int cli_run_get(struct cli_job *job);
int cli_run_del(struct cli_job *job);
int cli_run_exists(struct cli_job *job);
int cli_run_ttl(struct cli_job *job); /* update.c */
int cli_run_expire(struct cli_job *job);
int cli_run_persist(struct cli_job *job);
int cli_run_incr(struct cli_job *job);
int cli_run_merge(struct cli_job *job);
int cli_run_scan(struct cli_job *job); /* scan.c */
int cli_run_count(struct cli_job *job);
int cli_run_load(struct cli_job *job); /* load.c */
int cli_run_dump(struct cli_job *job); /* dump.c */
int cli_run_stat(struct cli_job *job); /* care.c */
int cli_run_flush(struct cli_job *job);
int cli_run_sync(struct cli_job *job);
int cli_run_compact(struct cli_job *job);
int cli_run_check(struct cli_job *job);
int cli_run_repair(struct cli_job *job);
int cli_run_destroy(struct cli_job *job);
int cli_run_checkpoint(struct cli_job *job); /* backup.c */
int cli_run_backup(struct cli_job *job);
int cli_run_restore(struct cli_job *job);
int cli_run_inspect(struct cli_job *job); /* inspect.c */
int cli_run_shell(struct cli_job *job);   /* shell.c */
int cli_run_begin(struct cli_job *job);
int cli_run_commit(struct cli_job *job);
int cli_run_rollback(struct cli_job *job);
int cli_run_use(struct cli_job *job);
int cli_run_quit(struct cli_job *job);
int cli_run_keyspaces(struct cli_job *job); /* keyspaces.c */
int cli_run_bench(struct cli_job *job);     /* bench.c */
int cli_run_help(struct cli_job *job);      /* help.c */
int cli_run_version(struct cli_job *job);

/* Milliseconds of a time as 90s, 15m; or complains. In update.c. */
VV_MUST int cli_parse_time(varve_slice text, uint64_t *out_ms);

#endif
