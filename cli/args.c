#include "args.h"

#include "base/alloc.h"
#include "command.h"
#include "job.h"
#include "text.h"

#include <getopt.h>
#include <stdio.h>

const struct cli_option cli_options[CLI_OPT_COUNT] = {
    [CLI_OPT_FROM] = {"from", 0, true, "KEY", NULL, "begin at KEY"},
    [CLI_OPT_TO] = {"to", 0, true, "KEY", NULL, "end before KEY"},
    [CLI_OPT_PREFIX] = {"prefix", 0, true, "P", NULL, "only keys that begin with P"},
    [CLI_OPT_KEYSPACE] = {"keyspace", 'K', false, "NAME", NULL, "in this keyspace"},
    [CLI_OPT_TTL] = {"ttl", 0, false, "TIME", NULL, "for so long: 90s, 15m, 12h, 7d"},
    [CLI_OPT_ALL] = {"all", 'a', false, NULL, NULL, "all keyspaces; jsonl only"},
    [CLI_OPT_CREATE] = {"create", 0, false, "NAME", NULL, "make a keyspace"},
    [CLI_OPT_DROP] = {"drop", 0, false, "NAME", NULL, "drop a keyspace with all that is in it"},
    [CLI_OPT_REVERSE] = {"reverse", 'r', false, NULL, NULL, "from the last key to the first"},
    [CLI_OPT_LIMIT] = {"limit", 'n', false, "N", NULL, "stop after N entries"},
    [CLI_OPT_KEYS] = {"keys", 'k', false, NULL, NULL, "print keys only"},
    [CLI_OPT_VALUES] = {"values", 'v', false, NULL, NULL, "print values only"},
    [CLI_OPT_FORMAT] = {"format", 'f', false, "FORMAT", "tsv jsonl csv",
                        "tsv (default), jsonl or csv"},
    [CLI_OPT_KEYS_ONLY] = {"keys-only", 0, false, NULL, NULL,
                           "tsv lines without a tab are keys with an empty value"},
    [CLI_OPT_KEY_COLUMN] = {"key-column", 0, false, "NAME", NULL,
                            "csv has a header; this column is the key"},
    [CLI_OPT_VALUE_COLUMN] = {"value-column", 0, false, "NAME", NULL,
                              "csv has a header; this column is the value"},
    [CLI_OPT_SKIP_ERRORS] = {"skip-errors", 0, false, NULL, NULL,
                             "leave out bad lines and count them"},
    [CLI_OPT_ESTIMATE] = {"estimate", 0, false, NULL, NULL,
                          "ask the statistics instead of counting"},
    [CLI_OPT_WATCH] = {"watch", 0, false, NULL, NULL, "print anew every second, until Ctrl-C"},
    [CLI_OPT_LEVELS] = {"levels", 'l', false, NULL, NULL, "print the table of levels"},
    [CLI_OPT_WORKLOAD] = {"workload", 'w', false, "NAMES",
                          "fillseq fillrandom overwrite readrandom readmissing readseq readreverse "
                          "seekrandom readwhilewriting mixed deleterandom",
                          "what to run, separated by commas"},
    [CLI_OPT_NUM] = {"num", 0, false, "N", NULL, "number of entries (1000000)"},
    [CLI_OPT_KEY_SIZE] = {"key-size", 0, false, "BYTES", NULL, "size of a key (16)"},
    [CLI_OPT_VALUE_SIZE] = {"value-size", 0, false, "BYTES", NULL, "size of a value (100)"},
    [CLI_OPT_THREADS] = {"threads", 't', false, "N", NULL, "number of threads (1)"},
    [CLI_OPT_BATCH] = {"batch", 'b', false, "N", NULL, "changes in one write (1)"},
    [CLI_OPT_SEED] = {"seed", 0, false, "N", NULL, "where randomness begins (1)"},
    [CLI_OPT_COMPRESSIBLE] = {"compressible", 0, false, "RATIO", NULL,
                              "size of a value once compressed, 0 to 1 of it (0.5)"},
    [CLI_OPT_LIST] = {"list", 0, false, NULL, NULL, "print what backups there are"},
    [CLI_OPT_VERIFY] = {"verify", 0, false, NULL, NULL, "read and check every byte of them"},
    [CLI_OPT_PURGE] = {"purge", 0, false, "N", NULL, "remove all but the newest N"},
    [CLI_OPT_ID] = {"id", 0, false, "N", NULL, "backup N only"},
    [CLI_OPT_FORCE] = {"force", 'f', false, NULL, NULL, "do it without asking"},
    [CLI_OPT_ESCAPE] = {"escape", 'e', false, NULL, NULL,
                        "\\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys and values are escapes"},
    [CLI_OPT_JSON] = {"json", 'j', false, NULL, NULL, "print JSON"},
    [CLI_OPT_QUIET] = {"quiet", 'q', false, NULL, NULL, "print no report and no progress"},
    [CLI_OPT_READONLY] = {"readonly", 0, false, NULL, NULL, "change nothing"},
    [CLI_OPT_ENGINE] = {"engine", 0, false, "ENGINE", "lsm", "engine of a new store: lsm"},
    [CLI_OPT_DURABILITY] = {"durability", 'd', false, "LEVEL", "none os interval disk",
                            "when a write is safe: none, os, interval (default) or disk"},
    [CLI_OPT_SET] = {"set", 'o', false, "NAME=VALUE,…",
                     "mode= engine= durability= sync_interval_ms= memory_budget= compression= "
                     "background_threads= value_log_min= changes_keep=",
                     "set options of the store; may be repeated"},
    [CLI_OPT_WORDS] = {"words", 0, false, NULL, NULL, NULL},
    [CLI_OPT_HELP] = {"help", 'h', false, NULL, NULL, "print this help"},
};

enum { LONG_BASE = 256 }; /* option number n is LONG_BASE + n to getopt */

/* Room for every option with its letter and a colon, the leading "+:" and the end. */
enum { LETTERS_SIZE = 2 * CLI_OPT_COUNT + 3 };

static void options_for_getopt(const struct cli_command *command, enum cli_manner manner,
                               struct option *longs, char *letters)
{
    uint64_t taken = command->options;
    if (manner == CLI_MANNER_SHELL && command->operands_are == CLI_OPERANDS_BYTES)
        *letters++ = '+'; /* the first operand ends the options */
    *letters++ = ':';     /* asks for ':' when an argument is missing, and for silence */
    for (int id = 0; id < CLI_OPT_COUNT; id++) {
        const struct cli_option *option = &cli_options[id];
        if ((taken >> id & 1) == 0)
            continue;
        int has_argument = option->argument != NULL ? required_argument : no_argument;
        *longs++ = (struct option){option->name, has_argument, NULL, LONG_BASE + id};
        if (option->letter == 0)
            continue;
        *letters++ = option->letter;
        if (option->argument != NULL)
            *letters++ = ':';
    }
    *longs = (struct option){0};
    *letters = 0;
}

/* Two options may share a letter as long as no command takes both. */
static int option_of(uint64_t taken, int found)
{
    if (found >= LONG_BASE)
        return found - LONG_BASE;
    for (int id = 0; id < CLI_OPT_COUNT; id++)
        if ((taken >> id & 1) != 0 && found != 0 && cli_options[id].letter == found)
            return id;
    return -1;
}

static int complain_unknown(const struct cli_command *command, const char *word)
{
    const char *best = NULL;
    size_t best_distance = 3;
    char name[64];
    (void)snprintf(name, sizeof name, "%s", word[0] == '-' && word[1] == '-' ? word + 2 : "");
    name[strcspn(name, "=")] = 0;
    for (int id = 0; id < CLI_OPT_COUNT && name[0] != 0; id++) {
        const struct cli_option *option = &cli_options[id];
        if ((command->options >> id & 1) == 0 || option->help == NULL)
            continue;
        size_t distance = cli_distance(name, option->name);
        if (strncmp(name, option->name, strlen(name)) == 0)
            distance = 0; /* an abbreviation that fits several */
        if (distance < best_distance) {
            best = option->name;
            best_distance = distance;
        }
    }
    if (best != NULL)
        return cli_complain("%s has no option '%s'; did you mean '--%s'?", command->name, word,
                            best);
    return cli_complain("%s has no option '%s'; --help lists them, and a key that begins with '-' "
                        "goes behind '--'",
                        command->name, word);
}

static int add_setting(struct cli_args *args, enum cli_option_id id, const char *text)
{
    const char *comma = args->settings.size > 0 ? "," : "";
    const char *name = id == CLI_OPT_SET ? "" : cli_options[id].name;
    const char *equals = id == CLI_OPT_SET ? "" : "=";
    if (vv_buf_printf(&args->settings, "%s%s%s%s", comma, name, equals, text) < 0)
        return cli_complain("out of memory");
    return CLI_FINE;
}

static int take_option(struct cli_args *args, const struct cli_command *command, int found,
                       char **argv)
{
    if (found == '?' || found == ':') {
        /* optopt is a letter, or the number of a long option that lacks or has an argument. */
        int id = option_of(command->options, optopt);
        char word[3] = {'-', (char)optopt, 0};
        bool is_letter = optopt > 0 && optopt < LONG_BASE;
        if (found == ':' && id >= 0)
            return cli_complain("option '--%s' needs an argument (%s)", cli_options[id].name,
                                cli_options[id].argument);
        if (!is_letter && id >= 0 && optopt != 0)
            return cli_complain("option '--%s' takes no argument", cli_options[id].name);
        return complain_unknown(command, is_letter ? word : argv[optind - 1]);
    }
    int id = option_of(command->options, found);
    vv_assert(id >= 0);
    if (id == CLI_OPT_SET || id == CLI_OPT_ENGINE || id == CLI_OPT_DURABILITY)
        return add_setting(args, (enum cli_option_id)id, optarg);
    args->values[id] = optarg != NULL ? optarg : argv[0];
    args->value_sizes[id] = optarg != NULL ? strlen(optarg) : 0;
    return CLI_FINE;
}

/* Unescapes NUL-terminated text where it stands. */
static int take_bytes(char *text, bool escaped, size_t *size)
{
    *size = strlen(text);
    if (!escaped)
        return CLI_FINE;
    if (!cli_unescape((uint8_t *)text, size))
        return cli_complain("'%s' is no escape; known are \\xNN \\n \\t \\r \\0 \\\\ \\\" \\'",
                            text + *size);
    text[*size] = 0;
    return CLI_FINE;
}

static int take_operands(struct cli_args *args, const struct cli_command *command, char **texts,
                         size_t count, bool escaped, size_t raw_count)
{
    args->operands = vv_alloc_zero((count + 1) * sizeof *args->operands);
    if (args->operands == NULL)
        return cli_complain("out of memory");
    for (size_t i = 0; i < count; i++) {
        struct cli_operand *operand = &args->operands[i];
        size_t size;
        bool is_bytes = command->operands_are == CLI_OPERANDS_BYTES && i >= raw_count;
        operand->is_dash = strcmp(texts[i], "-") == 0;
        if (take_bytes(texts[i], escaped && is_bytes, &size) != CLI_FINE)
            return CLI_ERROR;
        operand->bytes = varve_bytes(texts[i], size);
    }
    args->count = count;
    return CLI_FINE;
}

int cli_args_parse(struct cli_args *args, const struct cli_command *command, int argc, char **argv,
                   enum cli_manner manner, size_t raw_count)
{
    struct option longs[CLI_OPT_COUNT + 1];
    char letters[LETTERS_SIZE];
    options_for_getopt(command, manner, longs, letters);

    opterr = 0;
    optind = 0; /* glibc: start afresh */
    int found;
    while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (take_option(args, command, found, argv) != CLI_FINE)
            return CLI_ERROR;
    }
    bool escaped = manner == CLI_MANNER_SHELL || cli_given(args, CLI_OPT_ESCAPE);
    for (int id = 0; id < CLI_OPT_COUNT; id++) {
        if (args->values[id] == NULL || !cli_options[id].is_bytes)
            continue;
        if (take_bytes(args->values[id], escaped, &args->value_sizes[id]) != CLI_FINE)
            return CLI_ERROR;
    }
    return take_operands(args, command, argv + optind, (size_t)(argc - optind), escaped, raw_count);
}

void cli_args_deinit(struct cli_args *args)
{
    vv_buf_deinit(&args->settings);
    vv_free(args->operands);
    *args = (struct cli_args){0};
}

int cli_option_count(const struct cli_args *args, enum cli_option_id id, uint64_t least,
                     uint64_t most, uint64_t *out)
{
    if (!cli_given(args, id))
        return CLI_FINE;
    uint64_t value;
    if (!cli_parse_count(args->values[id], &value))
        return cli_complain("option '--%s' needs a number, not '%s'", cli_options[id].name,
                            args->values[id]);
    if (value < least || value > most)
        return cli_complain("option '--%s' must lie within %llu and %llu", cli_options[id].name,
                            (unsigned long long)least, (unsigned long long)most);
    *out = value;
    return CLI_FINE;
}
