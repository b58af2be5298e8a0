/*
 * What commands share with the shell that runs them.
 */
#ifndef VV_CLI_SHELL_H
#define VV_CLI_SHELL_H

#include <stdbool.h>
#include <varve/varve.h>

struct cli_shell {
    varve_batch *batch; /* what puts and dels gather in between begin and commit, or NULL */
    bool is_over;       /* quit was given */
};

#endif
