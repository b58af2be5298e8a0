/*
 * Walks over the entries that --from, --to, --prefix, --reverse and --limit describe.
 */
#ifndef VV_CLI_RANGE_H
#define VV_CLI_RANGE_H

#include "job.h"

enum cli_parts { CLI_KEYS_AND_VALUES, CLI_KEYS_ONLY };

/* Gives each entry to `visit`, with an empty value for CLI_KEYS_ONLY, as long as that returns
 * CLI_FINE; the slices live during the call. Ends early when the user interrupts. Returns what the
 * last visit returned, or CLI_ERROR after complaining. */
VV_MUST int cli_range_walk(const struct cli_job *job, enum cli_parts parts,
                           int (*visit)(void *context, varve_slice key, varve_slice value),
                           void *context);

#endif
