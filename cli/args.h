/*
 * Options and operands of one command. All options stand in one table; a command names those it
 * takes by a set of bits. The same table makes help and completion.
 */
#ifndef VV_CLI_ARGS_H
#define VV_CLI_ARGS_H

#include "base/buf.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <varve/varve.h>

enum cli_option_id {
    CLI_OPT_FROM,
    CLI_OPT_TO,
    CLI_OPT_PREFIX,
    CLI_OPT_KEYSPACE,
    CLI_OPT_TTL,
    CLI_OPT_ALL,
    CLI_OPT_CREATE,
    CLI_OPT_DROP,
    CLI_OPT_REVERSE,
    CLI_OPT_LIMIT,
    CLI_OPT_KEYS,
    CLI_OPT_VALUES,
    CLI_OPT_FORMAT,
    CLI_OPT_KEYS_ONLY,
    CLI_OPT_KEY_COLUMN,
    CLI_OPT_VALUE_COLUMN,
    CLI_OPT_SKIP_ERRORS,
    CLI_OPT_ESTIMATE,
    CLI_OPT_LEVELS,
    CLI_OPT_WATCH,
    CLI_OPT_WORKLOAD,
    CLI_OPT_NUM,
    CLI_OPT_KEY_SIZE,
    CLI_OPT_VALUE_SIZE,
    CLI_OPT_THREADS,
    CLI_OPT_BATCH,
    CLI_OPT_SEED,
    CLI_OPT_COMPRESSIBLE,
    CLI_OPT_LIST,
    CLI_OPT_VERIFY,
    CLI_OPT_PURGE,
    CLI_OPT_ID,
    CLI_OPT_FORCE,
    CLI_OPT_ESCAPE,
    CLI_OPT_JSON,
    CLI_OPT_QUIET,
    CLI_OPT_READONLY,
    CLI_OPT_ENGINE,
    CLI_OPT_DURABILITY,
    CLI_OPT_SET,
    CLI_OPT_WORDS,
    CLI_OPT_HELP,
    CLI_OPT_COUNT
};

#define CLI_BIT(id) ((uint64_t)1 << CLI_OPT_##id)

struct cli_option {
    const char *name;
    char letter;          /* short form, or 0 */
    bool is_bytes;        /* its argument is a key: --escape applies */
    const char *argument; /* what its argument is called, or NULL for a switch */
    const char *choices;  /* the words it may be, separated by spaces, for completion; or NULL */
    const char *help;     /* NULL hides it */
};

extern const struct cli_option cli_options[CLI_OPT_COUNT];

/* Text from the command line as the bytes it stands for. `is_dash` tells a bare "-" from the same
 * byte written as an escape. The bytes are NUL-terminated. */
struct cli_operand {
    varve_slice bytes;
    bool is_dash;
};

enum { CLI_OPERANDS_MAX = 1 << 20 };

/* Points into the argument vector that was parsed. Zeroed memory is an empty one. */
struct cli_args {
    char *values[CLI_OPT_COUNT]; /* NULL: not given; for switches any other text */
    size_t value_sizes[CLI_OPT_COUNT];
    struct vv_buf settings; /* all of -o, --engine and --durability, as varve_options_set wants */
    struct cli_operand *operands;
    size_t count;
};

enum cli_manner {
    CLI_MANNER_PROGRAM, /* options anywhere; escapes hold where --escape is given */
    CLI_MANNER_SHELL    /* escapes always hold; behind the first key all words are operands, so that
                           `put temperature -5` works */
};

struct cli_command;

/* Parses argv[1] and on for `command` into the empty `args`. Of the operands the first `raw_count`
 * are never unescaped (they are paths). Rewrites escapes in the vector itself, which must outlive
 * `args`. Returns CLI_FINE, or CLI_ERROR after complaining. */
VV_MUST int cli_args_parse(struct cli_args *args, const struct cli_command *command, int argc,
                           char **argv, enum cli_manner manner, size_t raw_count);
void cli_args_deinit(struct cli_args *args);

static inline bool cli_given(const struct cli_args *args, enum cli_option_id id)
{
    return args->values[id] != NULL;
}

/* The option's bytes; data is NULL if it was not given. */
static inline varve_slice cli_option_bytes(const struct cli_args *args, enum cli_option_id id)
{
    return varve_bytes(args->values[id], args->value_sizes[id]);
}

/* A number given as an option, or what *out held if it was not. Complains unless it lies within
 * `least` and `most`. */
VV_MUST int cli_option_count(const struct cli_args *args, enum cli_option_id id, uint64_t least,
                             uint64_t most, uint64_t *out);

#endif
