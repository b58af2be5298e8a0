/*
 * What every command is given, and how it answers.
 *
 * A command does its work on a job: the arguments, an open store and a place for output. The
 * program makes one job and ends; the shell makes one for every line, on its own store.
 */
#ifndef VV_CLI_JOB_H
#define VV_CLI_JOB_H

#include "args.h"
#include "base/check.h"
#include "out.h"

#include <stdbool.h>
#include <varve/varve.h>

/* The exit status of the program. */
enum cli_status {
    CLI_FINE = 0,
    CLI_NO = 1, /* an answer: no such key, the check found damage */
    CLI_ERROR = 2
};

struct cli_shell; /* see shell.h */

struct cli_job {
    const struct cli_command *command;
    struct cli_args args;
    const char *path; /* of the store; NULL for commands without one */
    varve *store;     /* NULL for commands that open it themselves or not at all */
    varve *db;        /* the keyspace of it that is meant */
    struct cli_out *out;
    struct cli_shell *shell; /* NULL outside the shell */
};

/* Prints one line about what went wrong on stderr, and returns CLI_ERROR. */
int cli_complain(const char *format, ...) VV_PRINTF(1, 2);

/* The same about a failure of the store: the words given and the library's story. */
int cli_complain_store(int rc, const char *format, ...) VV_PRINTF(2, 3);
/* The same about a path, which is named once: some stories do it themselves. */
int cli_complain_path(int rc, const char *doing, const char *path);

/* What stands before the colon of each complaint; "varve" at first. The text is not copied. */
void cli_complain_as(const char *who);

/* Whether the user asked us to stop (Ctrl-C, or SIGTERM). Long loops ask between two steps, leave
 * everything whole and return; main then ends the program as the signal would have. */
bool cli_interrupted(void);

/* Takes an interruption as dealt with, for a shell that goes on. */
void cli_interrupt_over(void);

/* From here on a signal ends the program at once: for work that a kill cannot harm and that offers
 * no point to stop at. */
void cli_interrupt_at_once(void);

/* The options for opening a store that the arguments ask for, starting from `mode`. */
VV_MUST int cli_store_options(const struct cli_job *job, enum varve_mode mode, varve_options *out);

/* Opens job->path, and the keyspace in it, as the arguments ask for; complains if it cannot. In mode
 * CREATE it makes both. */
VV_MUST int cli_store_open(struct cli_job *job, enum varve_mode mode);

/* The keyspace in the job's store, made if the command makes what is missing; complains if it cannot. */
VV_MUST int cli_keyspace_open(struct cli_job *job, const char *name, enum varve_mode mode,
                              varve **out);

/* Closes the job's store, if there is one, and gives `status` or what closing adds to it. */
VV_MUST int cli_store_close(struct cli_job *job, int status);

#endif
