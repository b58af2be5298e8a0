/*
 * stat: statistics as a page for people. What is zero and says nothing is left out; --json has it all.
 *
 *      entries              147,306  about
 *      on disk              13.9 MB
 *        tables             11.5 MB
 */
#include "command.h"
#include "text.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* To the top left corner, and everything behind it cleared. */
#define CLEAR "\033[H\033[J"

enum { PAUSE_STEPS = 20 };

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_US, UNIT_RATIO };
enum shown { SHOWN_ALWAYS, SHOWN_UNLESS_ZERO };

struct row {
    const char *name;
    size_t offset; /* of the field in varve_stats */
    enum unit unit;
    enum shown shown;
    const char *remark;
};

#define FIELD(name) offsetof(varve_stats, name)

static const struct row of_tables[] = {
    {"entries", FIELD(keys_estimate), UNIT_COUNT, SHOWN_ALWAYS, "  about"},
    {"changes so far", FIELD(sequence), UNIT_COUNT, SHOWN_ALWAYS, ""},
    {"live data", FIELD(live_bytes_estimate), UNIT_BYTES, SHOWN_ALWAYS, "  about, uncompressed"},
    {"on disk", FIELD(disk_bytes), UNIT_BYTES, SHOWN_ALWAYS, ""},
    {"  by live data", FIELD(space_amplification_x100), UNIT_RATIO, SHOWN_UNLESS_ZERO, ""},
    {"  tables", FIELD(table_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {0},
};

static const struct row of_logs[] = {
    {"  value log", FIELD(value_log_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"    garbage", FIELD(value_log_garbage_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"  log", FIELD(log_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {0},
};

static const struct row of_memory[] = {
    {"memory", FIELD(memory_bytes), UNIT_BYTES, SHOWN_ALWAYS, ""},
    {"  budget", FIELD(memory_budget), UNIT_BYTES, SHOWN_ALWAYS, ""},
    {"  memtables", FIELD(memtable_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"  block cache", FIELD(cache_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"  mapped tables", FIELD(mapped_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"  open tables", FIELD(table_memory_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"  pinned values", FIELD(pinned_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"  work", FIELD(work_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"snapshots open", FIELD(snapshots), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"iterators open", FIELD(iterators), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {0},
};

static const struct row of_calls[] = {
    {"puts", FIELD(puts), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"deletes", FIELD(deletes), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"batches", FIELD(batches), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"gets", FIELD(gets), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"  found", FIELD(gets_found), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"seeks", FIELD(seeks), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"steps of iterators", FIELD(nexts), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"put, median", FIELD(put_us_p50), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"put, 99 of 100", FIELD(put_us_p99), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"put, longest", FIELD(put_us_max), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"get, median", FIELD(get_us_p50), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"get, 99 of 100", FIELD(get_us_p99), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"get, longest", FIELD(get_us_max), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"writers held back", FIELD(stall_us), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {"  longest", FIELD(stall_longest_us), UNIT_US, SHOWN_UNLESS_ZERO, ""},
    {0},
};

static const struct row of_work[] = {
    {"written by given", FIELD(write_amplification_x100), UNIT_RATIO, SHOWN_UNLESS_ZERO, ""},
    {"given to write", FIELD(user_bytes_written), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"written to the log", FIELD(log_bytes_written), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"to the value log", FIELD(value_log_bytes_written), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"by flushes", FIELD(flush_bytes_written), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"by compactions", FIELD(compaction_bytes_written), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"read by compactions", FIELD(compaction_bytes_read), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"syncs", FIELD(syncs), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"flushes", FIELD(flushes), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"compactions", FIELD(compactions), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"  by moving files", FIELD(trivial_moves), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"value log collections", FIELD(value_log_collections), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"compaction to do", FIELD(debt_bytes), UNIT_BYTES, SHOWN_UNLESS_ZERO, ""},
    {"table reads", FIELD(table_reads), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"  saved by filters", FIELD(filter_skips), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"cache hits", FIELD(cache_hits), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {"cache misses", FIELD(cache_misses), UNIT_COUNT, SHOWN_UNLESS_ZERO, ""},
    {0},
};

static const char *format_us(char *text, uint64_t us)
{
    if (us < 1000)
        (void)snprintf(text, CLI_NUMBER_SIZE, "%llu us", (unsigned long long)us);
    else if (us < 1000 * 1000)
        (void)snprintf(text, CLI_NUMBER_SIZE, "%.1f ms", (double)us / 1e3);
    else
        (void)snprintf(text, CLI_NUMBER_SIZE, "%.1f s", (double)us / 1e6);
    return text;
}

static const char *format(char *text, enum unit unit, uint64_t value)
{
    switch (unit) {
    case UNIT_BYTES: return cli_format_bytes(text, (double)value);
    case UNIT_US: return format_us(text, value);
    case UNIT_RATIO:
        (void)snprintf(text, CLI_NUMBER_SIZE, "%.2f", (double)value / 100);
        return text;
    case UNIT_COUNT: break;
    }
    return cli_format_count(text, value);
}

static void print_line(struct cli_out *out, const char *name, const char *number,
                       const char *remark)
{
    cli_out_printf(out, "%-22s %14s%s\n", name, number, remark);
}

static void print_rows(struct cli_out *out, const varve_stats *stats, const struct row *rows)
{
    char number[CLI_NUMBER_SIZE];
    for (const struct row *row = rows; row->name != NULL; row++) {
        uint64_t value;
        memcpy(&value, (const char *)stats + row->offset, sizeof value);
        if (value > 0 || row->shown == SHOWN_ALWAYS)
            print_line(out, row->name, format(number, row->unit, value), row->remark);
    }
}

static void print_levels(struct cli_out *out, const varve_stats *stats)
{
    char number[CLI_NUMBER_SIZE];
    for (int level = 0; level < VARVE_LEVELS; level++) {
        unsigned long long files = stats->level_files[level];
        char name[32];
        char remark[64];
        if (files == 0)
            continue;
        (void)snprintf(name, sizeof name, "    level %d", level);
        (void)snprintf(remark, sizeof remark, "  in %llu %s", files, files == 1 ? "file" : "files");
        print_line(out, name, cli_format_bytes(number, (double)stats->level_bytes[level]), remark);
    }
}

static int print_page(struct cli_job *job)
{
    varve_stats stats = {.size = sizeof stats};
    int rc = varve_get_stats(job->db, &stats);
    if (rc < 0)
        return cli_complain_store(rc, "stat");
    print_rows(job->out, &stats, of_tables);
    print_levels(job->out, &stats);
    print_rows(job->out, &stats, of_logs);
    print_rows(job->out, &stats, of_memory);
    print_rows(job->out, &stats, of_calls);
    print_rows(job->out, &stats, of_work);
    return CLI_FINE;
}

static int print_text(struct cli_job *job, bool levels)
{
    char *text = NULL;
    int rc =
        levels ? varve_property(job->db, "levels", &text) : varve_stats_text(job->db, 1, &text);
    if (rc != VARVE_OK)
        return cli_complain_store(rc, "stat");
    size_t size = strlen(text);
    cli_out_text(job->out, text);
    if (size > 0 && text[size - 1] != '\n')
        cli_out_byte(job->out, '\n');
    varve_free(text);
    return CLI_FINE;
}

static int print_once(struct cli_job *job)
{
    bool json = cli_given(&job->args, CLI_OPT_JSON);
    bool levels = cli_given(&job->args, CLI_OPT_LEVELS);
    if (json && levels)
        return cli_complain("--levels and --json exclude each other; --json holds the levels");
    return json || levels ? print_text(job, levels) : print_page(job);
}

/* Waits a second, or until we are to stop. */
static void pause_between(void)
{
    for (int i = 0; i < PAUSE_STEPS && !cli_interrupted(); i++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000 * 1000 / PAUSE_STEPS}, NULL);
}

/* One page after another, each over the last one on a terminal, until the user has seen enough. That
 * a writer was too fast for one refresh is no reason to stop. */
static int watch(struct cli_job *job)
{
    int status = CLI_FINE;
    while (status == CLI_FINE && !cli_interrupted() && !cli_out_failed(job->out)) {
        if (job->out->is_terminal)
            cli_out_text(job->out, CLEAR);
        status = print_once(job);
        if (!job->out->is_terminal && !cli_given(&job->args, CLI_OPT_JSON))
            cli_out_byte(job->out, '\n');
        cli_out_flush(job->out);
        pause_between();
        int rc = varve_refresh(job->db);
        if (rc < 0 && rc != VARVE_BUSY)
            status = cli_complain_store(rc, "stat");
    }
    cli_interrupt_over();
    return status;
}

int cli_run_stat(struct cli_job *job)
{
    return cli_given(&job->args, CLI_OPT_WATCH) ? watch(job) : print_once(job);
}
