#include "command.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool in_colour(const struct cli_out *out)
{
    const char *term = getenv("TERM");
    return out->is_terminal && getenv("NO_COLOR") == NULL && term != NULL &&
           strcmp(term, "dumb") != 0;
}

static void heading(struct cli_out *out, const char *text)
{
    cli_out_text(out, in_colour(out) ? "\033[1m" : "");
    cli_out_text(out, text);
    cli_out_text(out, in_colour(out) ? "\033[0m\n" : "\n");
}

static void indented(struct cli_out *out, const char *lines)
{
    while (*lines != 0) {
        size_t size = strcspn(lines, "\n");
        cli_out_text(out, size > 0 ? "  " : "");
        cli_out_bytes(out, lines, size);
        cli_out_byte(out, '\n');
        lines += size + (lines[size] != 0);
    }
}

static void help_option(struct cli_out *out, const struct cli_option *option)
{
    char left[64];
    char letter[8] = "    ";
    if (option->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name,
                   option->argument != NULL ? " " : "",
                   option->argument != NULL ? option->argument : "");
    /* The dots of "…" are three bytes and one column. */
    int extra = strstr(left, "…") != NULL ? 2 : 0;
    cli_out_printf(out, "  %-*s  %s\n", 26 + extra, left, option->help);
}

void cli_help_command(struct cli_out *out, const struct cli_command *command, enum cli_where where)
{
    bool outside = where == CLI_OUTSIDE;
    uint64_t options = command->options;
    if (!outside)
        options &= ~(CLI_BIT(ENGINE) | CLI_BIT(DURABILITY) | CLI_BIT(SET) | CLI_BIT(READONLY) |
                     CLI_BIT(ESCAPE));
    cli_out_printf(out, "%s%s%s%s%s%s\n\n", outside ? "varve " : "", command->name,
                   options != 0 ? " [options]" : "", outside && command->has_store ? " STORE" : "",
                   command->operands[0] != 0 ? " " : "", command->operands);
    cli_out_printf(out, "  %s\n", command->summary);
    if (command->details != NULL && outside) {
        cli_out_byte(out, '\n');
        indented(out, command->details);
    }
    cli_out_byte(out, '\n');
    heading(out, "Options");
    for (int id = 0; id < CLI_OPT_COUNT; id++)
        if ((options >> id & 1) != 0 && cli_options[id].help != NULL)
            help_option(out, &cli_options[id]);
    if (command->examples != NULL && outside) {
        cli_out_byte(out, '\n');
        heading(out, "Examples");
        indented(out, command->examples);
    }
}

void cli_help_overview(struct cli_out *out, enum cli_where where)
{
    bool outside = where == CLI_OUTSIDE;
    if (outside) {
        cli_out_text(out, "varve COMMAND [options] STORE …\n\n"
                          "  A persistent, ordered key-value store in a directory.\n\n");
        heading(out, "Commands");
    }
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        char left[64];
        if ((c->where & where) == 0)
            continue;
        (void)snprintf(left, sizeof left, "%s%s%s%s", c->name,
                       outside && c->has_store ? " STORE" : "", c->operands[0] != 0 ? " " : "",
                       c->operands);
        int extra = strstr(left, "…") != NULL ? 2 : 0;
        cli_out_printf(out, "  %-*s  %s\n", 24 + extra, left, c->summary);
    }
    if (!outside) {
        cli_out_text(out,
                     "\nQuote words with \"…\" (escapes hold) or '…'; `help WORD` says more.\n");
        return;
    }
    cli_out_byte(out, '\n');
    heading(out, "Examples");
    indented(out, "varve put books 978-0131103627 'The C Programming Language'\n"
                  "varve get books 978-0131103627\n"
                  "varve load words dictionary.tsv\n"
                  "varve scan words --prefix lay --limit 10\n");
    cli_out_text(out, "\n'varve COMMAND --help' says more. The status is 0 if all is well, 1 for no"
                      " (no such\nkey, damage found) and 2 for an error.\n");
}

/* For completion: the commands, or the options of one with what they may be set to. */
static void print_words(struct cli_out *out, const struct cli_command *command)
{
    if (command == NULL) {
        for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
            if ((c->where & CLI_OUTSIDE) != 0)
                cli_out_printf(out, "%s\n", c->name);
        return;
    }
    for (int id = 0; id < CLI_OPT_COUNT; id++) {
        const struct cli_option *option = &cli_options[id];
        if ((command->options >> id & 1) == 0 || option->help == NULL)
            continue;
        cli_out_printf(out, "--%s%s", option->name, option->argument != NULL ? "=" : "");
        if (option->letter != 0)
            cli_out_printf(out, " -%c", option->letter);
        cli_out_printf(out, "%s%s\n", option->choices != NULL ? " " : "",
                       option->choices != NULL ? option->choices : "");
    }
}

int cli_run_help(struct cli_job *job)
{
    enum cli_where where = job->shell != NULL ? CLI_IN_SHELL : CLI_OUTSIDE;
    const struct cli_command *command = NULL;
    if (job->args.count > 0) {
        const char *name = job->args.operands[0].bytes.data;
        command = cli_command_find(name, where);
        if (command == NULL)
            return cli_command_unknown(name, where);
    }
    if (cli_given(&job->args, CLI_OPT_WORDS))
        print_words(job->out, command);
    else if (command != NULL)
        cli_help_command(job->out, command, where);
    else
        cli_help_overview(job->out, where);
    return CLI_FINE;
}

int cli_run_version(struct cli_job *job)
{
    cli_out_printf(job->out, "varve %s\n", varve_version());
    return CLI_FINE;
}
