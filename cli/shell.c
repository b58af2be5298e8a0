/*
 * The shell: one command a line on one open store. The words, their options and what they do come
 * from the table of commands; this file reads lines and keeps the transaction.
 *
 * On a terminal it edits lines with libedit where that is built in. Elsewhere each answer is
 * written at once, so that a program can talk to it through two pipes.
 */
#include "shell.h"

#include "base/alloc.h"
#include "command.h"
#include "input.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef VV_HAVE_LIBEDIT
#include <editline/readline.h>
#endif

/* ------------------------------------------------------------------------------------ commands */

varve_txn *cli_txn(const struct cli_job *job)
{
    return job->shell != NULL ? job->shell->txn : NULL;
}

/* A transaction within another is a savepoint. */
int cli_run_begin(struct cli_job *job)
{
    varve_txn **txn = &job->shell->txn;
    int rc = *txn == NULL ? varve_txn_begin(job->db, NULL, txn) : varve_txn_savepoint(*txn);
    if (rc < 0)
        return cli_complain_store(rc, "begin");
    cli_out_text(job->out, "OK\n");
    return CLI_FINE;
}

/* Ends the innermost level, or the whole. */
static int end_level(struct cli_job *job, int (*level)(varve_txn *txn),
                     int (*whole)(varve_txn *txn))
{
    varve_txn *txn = job->shell->txn;
    if (txn == NULL)
        return cli_complain("there is no transaction: begin one first");
    bool is_last = varve_txn_depth(txn) == 0;
    int rc = is_last ? whole(txn) : level(txn);
    if (is_last) {
        varve_txn_end(txn);
        job->shell->txn = NULL;
    }
    if (rc == VARVE_CONFLICT)
        return cli_complain(
            "commit: somebody else changed the same keys first; nothing was written");
    if (rc < 0)
        return cli_complain_store(rc, "%s", job->command->name);
    cli_out_text(job->out, "OK\n");
    return CLI_FINE;
}

static int commit(varve_txn *txn)
{
    return varve_txn_commit(txn, NULL);
}

int cli_run_commit(struct cli_job *job)
{
    return end_level(job, varve_txn_release, commit);
}

int cli_run_rollback(struct cli_job *job)
{
    return end_level(job, varve_txn_rollback_to, varve_txn_rollback);
}

int cli_run_use(struct cli_job *job)
{
    const char *name = job->args.count > 0 ? job->args.operands[0].bytes.data : "default";
    if (cli_keyspace_open(job, name, VARVE_MODE_EXISTING, &job->shell->db) != CLI_FINE)
        return CLI_ERROR;
    cli_out_text(job->out, "OK\n");
    return CLI_FINE;
}

int cli_run_quit(struct cli_job *job)
{
    job->shell->is_over = true;
    return CLI_FINE;
}

/* ------------------------------------------------------------------------------------ one line */

static int run_words(const struct cli_job *outer, struct cli_shell *shell, struct cli_words *words)
{
    struct cli_job job = {.path = outer->path,
                          .store = outer->store,
                          .db = shell->db,
                          .out = outer->out,
                          .shell = shell};
    int status;
    job.command = cli_command_find(words->list[0], CLI_IN_SHELL);
    if (job.command == NULL)
        return cli_command_unknown(words->list[0], CLI_IN_SHELL);
    status =
        cli_args_parse(&job.args, job.command, (int)words->count, words->list, CLI_MANNER_SHELL, 0);
    if (status != CLI_FINE)
        goto out;
    if (cli_given(&job.args, CLI_OPT_HELP)) {
        cli_help_command(job.out, job.command, CLI_IN_SHELL);
        goto out;
    }
    if (job.args.settings.size > 0) {
        status = cli_complain("the store is open; its options can no longer change");
        goto out;
    }
    if ((status = cli_command_check(&job, job.args.count)) != CLI_FINE)
        goto out;
    if (cli_given(&job.args, CLI_OPT_KEYSPACE) &&
        (status = cli_keyspace_open(&job, job.args.values[CLI_OPT_KEYSPACE], VARVE_MODE_EXISTING,
                                    &job.db)) != CLI_FINE)
        goto out;
    status = job.command->run(&job);
out:
    cli_args_deinit(&job.args);
    return status;
}

static int run_line(const struct cli_job *outer, struct cli_shell *shell, const uint8_t *line,
                    size_t size)
{
    struct cli_words words = {0};
    int status = CLI_FINE;
    const char *wrong = cli_words_split(&words, line, size);
    if (wrong != NULL)
        return cli_complain("%s", wrong);
    if (words.count > CLI_OPERANDS_MAX)
        status = cli_complain("more than %d words", CLI_OPERANDS_MAX);
    else if (words.count > 0)
        status = run_words(outer, shell, &words);
    cli_words_deinit(&words);
    cli_out_flush(outer->out);
    return status;
}

enum { PROMPT_SIZE = 320 };

static const char *prompt_of(const struct cli_shell *shell, char text[PROMPT_SIZE])
{
    const char *name = varve_keyspace_id(shell->db) > 0 ? varve_keyspace_name(shell->db) : "";
    (void)snprintf(text, PROMPT_SIZE, "varve%s%s%s> ", name[0] != 0 ? " " : "", name,
                   shell->txn != NULL ? " (transaction)" : "");
    for (char *at = text; *at != 0; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return text;
}

static bool is_on_terminal(const struct cli_job *job)
{
    return isatty(STDIN_FILENO) == 1 && job->out->is_terminal;
}

/* ---------------------------------------------------- from a pipe, or a terminal without libedit */

static int run_plain(const struct cli_job *job, struct cli_shell *shell)
{
    struct cli_input in;
    uint8_t *line;
    size_t size;
    int status = CLI_FINE;
    if (cli_input_open(&in, "-", CLI_LINES_PLAIN) != CLI_FINE)
        return CLI_ERROR;
    enum cli_input_result result = CLI_INPUT_LINE;
    while (!shell->is_over && !cli_out_failed(job->out) && !cli_interrupted()) {
        if (is_on_terminal(job)) {
            char text[PROMPT_SIZE];
            cli_out_text(job->out, prompt_of(shell, text));
            cli_out_flush(job->out);
        }
        result = cli_input_line(&in, &line, &size);
        if (result != CLI_INPUT_LINE)
            break;
        if (run_line(job, shell, line, size) == CLI_ERROR && !cli_out_failed(job->out))
            status = CLI_ERROR;
    }
    cli_input_close(&in);
    return result == CLI_INPUT_FAILED ? CLI_ERROR : status;
}

/* ------------------------------------------------------------------------------- on a terminal */

#ifdef VV_HAVE_LIBEDIT

enum { HISTORY_LINES = 10000 };

/* $XDG_STATE_HOME/varve/history, or ~/.varve_history; to be freed, NULL if there is no place. */
static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    struct vv_buf path = VV_BUF_INIT;
    if (state != NULL && state[0] == '/') {
        if (vv_buf_printf(&path, "%s/varve", state) < 0 ||
            (mkdir((const char *)path.data, 0700) != 0 && errno != EEXIST) ||
            vv_buf_printf(&path, "/history") < 0)
            vv_buf_deinit(&path);
    } else if (home != NULL && home[0] == '/') {
        if (vv_buf_printf(&path, "%s/.varve_history", home) < 0)
            vv_buf_deinit(&path);
    }
    return (char *)path.data;
}

static char *next_word(const char *text, int again)
{
    /* Readline's protocol: the state lives between calls. */
    static const struct cli_command *at = cli_commands;
    if (again == 0)
        at = cli_commands;
    for (; at->name != NULL; at++) {
        if ((at->where & CLI_IN_SHELL) == 0 || strncmp(at->name, text, strlen(text)) != 0)
            continue;
        const char *name = at++->name;
        return strdup(name); /* readline frees it */
    }
    return NULL;
}

static const struct cli_command *command_of_line(void)
{
    char word[16];
    size_t size = strcspn(rl_line_buffer, " ");
    if (size >= sizeof word)
        return NULL;
    (void)snprintf(word, sizeof word, "%.*s", (int)size, rl_line_buffer);
    return cli_command_find(word, CLI_IN_SHELL);
}

static char *next_option(const char *text, int again)
{
    static int id;
    const struct cli_command *command = command_of_line();
    if (again == 0)
        id = 0;
    for (; command != NULL && id < CLI_OPT_COUNT; id++) {
        char name[64];
        const uint64_t pointless = CLI_BIT(ESCAPE) | CLI_BIT(SET) | CLI_BIT(ENGINE) |
                                   CLI_BIT(DURABILITY) | CLI_BIT(READONLY) | CLI_BIT(WORDS);
        (void)snprintf(name, sizeof name, "--%s", cli_options[id].name);
        if (((command->options & ~pointless) >> id & 1) == 0 ||
            strncmp(name, text, strlen(text)) != 0)
            continue;
        id++;
        return strdup(name);
    }
    return NULL;
}

static char **complete(const char *text, int begin, int end)
{
    (void)end;
    rl_attempted_completion_over = 1; /* no file names */
    if (begin == 0)
        return rl_completion_matches(text, next_word);
    return text[0] == '-' ? rl_completion_matches(text, next_option) : NULL;
}

static int run_terminal(const struct cli_job *job, struct cli_shell *shell)
{
    char *path = history_path();
    using_history();
    stifle_history(HISTORY_LINES);
    rl_attempted_completion_function = complete;
    if (path != NULL)
        (void)read_history(path); /* there may be none yet */
    while (!shell->is_over) {
        char text[PROMPT_SIZE];
        char *line = readline(prompt_of(shell, text));
        if (cli_interrupted()) { /* at the prompt: it drops the line */
            cli_interrupt_over();
            free(line);
            continue;
        }
        if (line == NULL) {
            cli_out_byte(job->out, '\n');
            cli_out_flush(job->out);
            break;
        }
        if (line[0] != 0)
            add_history(line);
        (void)run_line(job, shell, (const uint8_t *)line, strlen(line));
        free(line);
        if (cli_interrupted())
            cli_interrupt_over(); /* it stopped the command, not the shell */
    }
    if (path != NULL && write_history(path) != 0)
        cli_complain("cannot write the history to '%s'", path);
    vv_free(path);
    return CLI_FINE;
}

#endif

int cli_run_shell(struct cli_job *job)
{
    struct cli_shell shell = {0};
    int status;
    if (cli_store_open(job, VARVE_MODE_CREATE) != CLI_FINE)
        return CLI_ERROR;
    shell.db = job->db;
    cli_complain_as("error");
#ifdef VV_HAVE_LIBEDIT
    if (is_on_terminal(job))
        status = run_terminal(job, &shell);
    else
#endif
        status = run_plain(job, &shell);
    if (shell.txn != NULL)
        status = cli_complain("a transaction of %zu changes was not committed; it is lost",
                              varve_txn_count(shell.txn));
    varve_txn_end(shell.txn);
    return cli_store_close(job, status);
}
