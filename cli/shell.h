/*
 * What commands share with the shell that runs them.
 */
#ifndef VV_CLI_SHELL_H
#define VV_CLI_SHELL_H

#include "job.h"

struct cli_shell {
    varve_txn *txn; /* between begin and commit, or NULL: what commands read and change */
    varve *db;      /* the keyspace that words are about */
    bool is_over;   /* quit was given */
};

/* The transaction that the job's shell has begun, or NULL. */
varve_txn *cli_txn(const struct cli_job *job);

#endif
