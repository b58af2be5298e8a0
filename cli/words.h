/*
 * A line of the shell, split into words.
 */
#ifndef VV_CLI_WORDS_H
#define VV_CLI_WORDS_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_words {
    char **list; /* ends with a NULL */
    size_t count;
    char *text; /* where they lie */
};

/*
 * Splits at spaces and tabs. Within "…" escapes hold; '…' and bare words mean every byte as it
 * stands. The words come out in escaped form (a backslash as \\, a zero byte as \0), so that they
 * are C strings and fit what parses the arguments of the program with --escape.
 *
 * Returns NULL and fills `out`, to be freed with cli_words_deinit; or returns what is wrong.
 */
const char *cli_words_split(struct cli_words *out, const uint8_t *line, size_t size);
void cli_words_deinit(struct cli_words *words);

#endif
