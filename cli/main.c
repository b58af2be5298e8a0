/*
 * The command `varve`: finds the command in the table, parses its arguments, opens its store, runs
 * it, and closes everything again.
 */
#include "command.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------- interruption */

static volatile sig_atomic_t interrupted_by;

bool cli_interrupted(void)
{
    return interrupted_by != 0;
}

static void interrupt(int signal_number)
{
    interrupted_by = signal_number;
}

/* The first signal asks; the handler goes with it, so that a second one ends us at once. */
static void catch_signals(void)
{
    struct sigaction action = {0};
    action.sa_handler = interrupt;
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    (void)sigaction(SIGPIPE, &action, NULL); /* writes fail with EPIPE, see out.h */
    (void)sigaction(SIGXFSZ, &action, NULL); /* likewise with EFBIG */
}

void cli_interrupt_over(void)
{
    interrupted_by = 0;
    catch_signals();
}

void cli_interrupt_at_once(void)
{
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
}

/* ---------------------------------------------------------------------------------- complaints */

static const char *complainer = "varve";

void cli_complain_as(const char *who)
{
    complainer = who;
}

/* Whatever the text, it stays one line and cannot play with the terminal. */
static void print_line(char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    line[size] = '\n';
    ssize_t done = write(STDERR_FILENO, line, size + 1);
    (void)done; /* there is nobody left to tell */
}

int cli_complain(const char *format, ...)
{
    char line[2048];
    int head = snprintf(line, sizeof line, "%s: ", complainer);
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    va_end(args);
    print_line(line, size < 0 ? (size_t)head : strnlen(line, sizeof line - 1));
    return CLI_ERROR;
}

int cli_complain_store(int rc, const char *format, ...)
{
    char what[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *story = varve_last_error();
    return cli_complain("%s: %s", what, story[0] != 0 ? story : varve_strerror(rc));
}

/* -------------------------------------------------------------------------------------- stores */

int cli_store_options(const struct cli_job *job, enum varve_mode mode, varve_options *out)
{
    *out = (varve_options)VARVE_OPTIONS_INIT;
    out->mode = cli_given(&job->args, CLI_OPT_READONLY) ? VARVE_MODE_READONLY : mode;
    const struct vv_buf *settings = &job->args.settings;
    if (settings->size == 0)
        return CLI_FINE;
    /* vv_buf_printf keeps a NUL behind the text. */
    int rc = varve_options_set(out, (const char *)settings->data);
    return rc < 0 ? cli_complain("%s", varve_last_error()) : CLI_FINE;
}

int cli_complain_path(int rc, const char *doing, const char *path)
{
    if (rc == VARVE_MISSING || rc == VARVE_FOREIGN || rc == VARVE_EXISTS)
        return cli_complain("%s", varve_last_error());
    return cli_complain_store(rc, "%s '%s'", doing, path);
}

int cli_store_open(struct cli_job *job, enum varve_mode mode)
{
    varve_options options;
    if (cli_store_options(job, mode, &options) != CLI_FINE)
        return CLI_ERROR;
    int rc = varve_open(job->path, &options, &job->store);
    if (rc < 0)
        return cli_complain_path(rc, "cannot open", job->path);
    job->db = job->store;
    if (cli_given(&job->args, CLI_OPT_KEYSPACE) &&
        cli_keyspace_open(job, job->args.values[CLI_OPT_KEYSPACE], mode, &job->db) != CLI_FINE)
        return cli_store_close(job, CLI_ERROR);
    return CLI_FINE;
}

int cli_keyspace_open(struct cli_job *job, const char *name, enum varve_mode mode, varve **out)
{
    int rc = varve_keyspace_open(job->store, name, out);
    if (rc == VARVE_MISSING && mode == VARVE_MODE_CREATE)
        rc = varve_keyspace_create(job->store, name, NULL, out);
    return rc < 0 ? cli_complain("%s", varve_last_error()) : CLI_FINE;
}

int cli_store_close(struct cli_job *job, int status)
{
    varve *store = job->store;
    job->store = job->db = NULL;
    int rc = varve_close(store);
    return rc < 0 ? cli_complain_store(rc, "closing '%s'", job->path) : status;
}

/* ------------------------------------------------------------------------------------- running */

static int run_on_store(struct cli_job *job)
{
    static const enum varve_mode modes[] = {
        [CLI_OPEN_READ] = VARVE_MODE_READONLY,
        [CLI_OPEN_EXISTING] = VARVE_MODE_EXISTING,
    };
    if (job->command->opening == CLI_OPEN_NOTHING)
        return job->command->run(job);
    if (cli_store_open(job, modes[job->command->opening]) != CLI_FINE)
        return CLI_ERROR;
    return cli_store_close(job, job->command->run(job));
}

static int run_command(struct cli_job *job, int argc, char **argv)
{
    const struct cli_command *command = job->command;
    size_t raw_count = command->has_store ? 1 : 0;
    if (cli_args_parse(&job->args, command, argc, argv, CLI_MANNER_PROGRAM, raw_count) != CLI_FINE)
        return CLI_ERROR;
    if (cli_given(&job->args, CLI_OPT_HELP)) {
        cli_help_command(job->out, command, CLI_OUTSIDE);
        return CLI_FINE;
    }
    if (!command->has_store)
        return cli_command_check(job, job->args.count) == CLI_FINE ? command->run(job) : CLI_ERROR;

    if (job->args.count == 0)
        return cli_complain("%s needs a store: varve %s STORE%s%s", command->name, command->name,
                            command->operands[0] != 0 ? " " : "", command->operands);
    struct cli_operand *all = job->args.operands;
    job->path = all[0].bytes.data;
    job->args.count--;
    memmove(all, all + 1, job->args.count * sizeof *all);
    if (cli_command_check(job, job->args.count) != CLI_FINE)
        return CLI_ERROR;
    return run_on_store(job);
}

static int dispatch(struct cli_job *job, int argc, char **argv)
{
    if (argc < 2) {
        cli_help_overview(job->out, CLI_OUTSIDE);
        return CLI_ERROR;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    job->command = cli_command_find(name, CLI_OUTSIDE);
    if (job->command == NULL)
        return cli_command_unknown(name, CLI_OUTSIDE);
    return run_command(job, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    struct cli_out out;
    catch_signals();
    /* Without arguments the overview is a complaint, and goes where complaints go. */
    cli_out_init(&out, argc < 2 ? STDERR_FILENO : STDOUT_FILENO);
    struct cli_job job = {.out = &out};
    int status = dispatch(&job, argc, argv);
    status = cli_out_end(&out, status);
    cli_args_deinit(&job.args);
    cli_out_deinit(&out);
    if (cli_interrupted())
        (void)raise(interrupted_by); /* its handler is gone: we end as the signal would have */
    return status;
}
