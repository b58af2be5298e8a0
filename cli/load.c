/*
 * load stores the entries of text files, in batches. A batch is written only when all its lines
 * were good, so a bad line never leaves half a batch behind.
 */
#include "command.h"
#include "format.h"
#include "progress.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOAD_BATCH_BYTES = 1 << 20,
    LOAD_BATCH_COUNT = 1 << 16, /* empty entries take room as well */
    LOAD_ERRORS_SHOWN = 10      /* of those that --skip-errors leaves out */
};

struct load {
    struct cli_job *job;
    varve *keyspace; /* of the latest entry */
    const struct cli_format *format;
    struct cli_reading reading;
    varve_batch *batch;
    uint64_t entries; /* stored */
    uint64_t bytes;   /* of keys and values stored */
    uint64_t pending_bytes;
    uint64_t skipped;
    uint64_t input_bytes; /* of the files before this one */
    uint64_t begun_us;
    struct cli_progress progress;
};

static int store_batch(struct load *load, const struct cli_input *in)
{
    int rc = varve_write(load->job->db, load->batch, NULL);
    if (rc < 0) {
        cli_progress_end(&load->progress);
        return cli_complain("%s:%llu: %s; stopped with %llu entries stored, none of this batch",
                            in->name, (unsigned long long)in->line, varve_last_error(),
                            (unsigned long long)load->entries);
    }
    load->entries += varve_batch_count(load->batch);
    load->bytes += load->pending_bytes;
    load->pending_bytes = 0;
    varve_batch_clear(load->batch);
    cli_progress_show_now(&load->progress, load->input_bytes + in->bytes, load->entries);
    return CLI_FINE;
}

static int bad_line(struct load *load, const struct cli_input *in, const char *what)
{
    unsigned long long line = in->line;
    load->skipped++;
    cli_progress_wipe(&load->progress);
    if (!cli_given(&load->job->args, CLI_OPT_SKIP_ERRORS))
        return cli_complain("%s:%llu: %s; stopped with %llu entries stored, none of this batch",
                            in->name, line, what, (unsigned long long)load->entries);
    if (load->skipped <= LOAD_ERRORS_SHOWN)
        cli_complain("%s:%llu: %s; left out", in->name, line, what);
    if (load->skipped == LOAD_ERRORS_SHOWN)
        cli_complain("further lines will be left out silently");
    return CLI_FINE;
}

/* Turns to the keyspace that the entry names, which is made if there is none. */
static int turn_to(struct load *load, const struct cli_entry *entry)
{
    char name[256];
    const char *now = varve_keyspace_name(load->keyspace);
    varve_slice wanted = entry->keyspace;
    if (wanted.data == NULL ||
        (strlen(now) == wanted.size && memcmp(now, wanted.data, wanted.size) == 0))
        return CLI_FINE;
    if (wanted.size >= sizeof name || memchr(wanted.data, 0, wanted.size) != NULL)
        return cli_complain("a keyspace of %zu bytes, or with a zero in its name", wanted.size);
    memcpy(name, wanted.data, wanted.size);
    name[wanted.size] = 0;
    return cli_keyspace_open(load->job, name, VARVE_MODE_CREATE, &load->keyspace);
}

static int load_line(struct load *load, const struct cli_input *in, uint8_t *line, size_t size)
{
    bool is_blank = size == 0 || (size == 1 && line[0] == '\r');
    if (is_blank && load->format->skips_blank_lines)
        return CLI_FINE;
    bool is_header = load->reading.key_name != NULL && load->reading.key == CLI_NO_COLUMN;
    if (is_header) {
        const char *wrong = cli_csv_header(&load->reading, line, size);
        return wrong == NULL
                   ? CLI_FINE
                   : cli_complain("%s:%llu: %s", in->name, (unsigned long long)in->line, wrong);
    }
    struct cli_entry entry = {0};
    const char *wrong = load->format->parse(&load->reading, line, size, &entry);
    if (wrong != NULL)
        return bad_line(load, in, wrong);
    if (turn_to(load, &entry) != CLI_FINE)
        return cli_complain("%s:%llu: stopped", in->name, (unsigned long long)in->line);
    if (entry.is_bare)
        return CLI_FINE;
    int rc = varve_batch_put_in(load->batch, load->keyspace, entry.key, entry.value);
    if (rc == VARVE_TOOBIG)
        return bad_line(load, in, varve_last_error());
    if (rc < 0)
        return cli_complain_store(rc, "%s:%llu", in->name, (unsigned long long)in->line);
    load->pending_bytes += entry.key.size + entry.value.size;
    bool is_full = load->pending_bytes >= LOAD_BATCH_BYTES ||
                   varve_batch_count(load->batch) >= LOAD_BATCH_COUNT;
    return is_full ? store_batch(load, in) : CLI_FINE;
}

static int load_file(struct load *load, const char *name)
{
    struct cli_input in;
    enum cli_input_result result = CLI_INPUT_END;
    int status = cli_input_open(&in, name, load->format->lines);
    if (load->reading.key_name != NULL)
        load->reading.key = CLI_NO_COLUMN; /* each file has its own header */
    while (status == CLI_FINE && !cli_interrupted()) {
        uint8_t *line;
        size_t size;
        if ((result = cli_input_line(&in, &line, &size)) != CLI_INPUT_LINE)
            break;
        status = load_line(load, &in, line, size);
    }
    if (result == CLI_INPUT_FAILED)
        status = CLI_ERROR;
    if (status == CLI_FINE && !cli_interrupted() && varve_batch_count(load->batch) > 0)
        status = store_batch(load, &in);
    load->input_bytes += in.bytes;
    cli_input_close(&in);
    return status;
}

/* The bytes of all files, or 0 if one of them is no plain file. */
static uint64_t input_size(const struct cli_args *args)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < args->count || i == 0; i++) {
        struct stat info;
        bool is_stdin = args->count == 0 || args->operands[i].is_dash;
        int failed =
            is_stdin ? fstat(STDIN_FILENO, &info) : stat(args->operands[i].bytes.data, &info);
        if (failed != 0 || !S_ISREG(info.st_mode))
            return 0;
        sum += (uint64_t)info.st_size;
    }
    return sum;
}

static void report(const struct load *load)
{
    char count_text[CLI_NUMBER_SIZE];
    char bytes_text[CLI_NUMBER_SIZE];
    char rate_text[CLI_NUMBER_SIZE];
    char byte_rate_text[CLI_NUMBER_SIZE];
    struct cli_out *out = load->job->out;
    double seconds = (double)(cli_now_us() - load->begun_us + 1) / 1e6;
    if (cli_given(&load->job->args, CLI_OPT_JSON)) {
        cli_out_printf(out, "{\"entries\":%llu,\"bytes\":%llu,\"skipped\":%llu,\"seconds\":%.3f}\n",
                       (unsigned long long)load->entries, (unsigned long long)load->bytes,
                       (unsigned long long)load->skipped, seconds);
        return;
    }
    if (cli_given(&load->job->args, CLI_OPT_QUIET))
        return;
    cli_out_printf(out, "%s %s, %s in %.2f s (%s entries/s, %s/s)",
                   cli_format_count(count_text, load->entries),
                   load->entries == 1 ? "entry" : "entries",
                   cli_format_bytes(bytes_text, (double)load->bytes), seconds,
                   cli_format_count(rate_text, (uint64_t)((double)load->entries / seconds)),
                   cli_format_bytes(byte_rate_text, (double)load->bytes / seconds));
    if (load->skipped > 0)
        cli_out_printf(out, "; %s bad %s left out", cli_format_count(count_text, load->skipped),
                       load->skipped == 1 ? "line" : "lines");
    cli_out_byte(out, '\n');
}

/* What the options say about reading, checked against each other. */
static int plan_reading(struct load *load)
{
    const struct cli_args *args = &load->job->args;
    load->format = cli_format_of(args);
    load->reading = (struct cli_reading){.keys_only = cli_given(args, CLI_OPT_KEYS_ONLY),
                                         .keyspaces = cli_given(args, CLI_OPT_ALL),
                                         .value = 1,
                                         .key_name = args->values[CLI_OPT_KEY_COLUMN],
                                         .value_name = args->values[CLI_OPT_VALUE_COLUMN]};
    if (load->format == NULL)
        return CLI_ERROR;
    if ((load->reading.key_name == NULL) != (load->reading.value_name == NULL))
        return cli_complain("--key-column and --value-column go together");
    if (load->reading.key_name != NULL && load->format != &cli_format_csv)
        return cli_complain("--key-column and --value-column are for --format csv");
    if (load->reading.keyspaces && load->format != &cli_format_jsonl)
        return cli_complain("--all is for --format jsonl");
    if (load->reading.keyspaces && cli_given(args, CLI_OPT_KEYSPACE))
        return cli_complain("--all and --keyspace do not go together");
    if (load->reading.keys_only && load->format != &cli_format_tsv)
        return cli_complain("--keys-only is for --format tsv");
    return CLI_FINE;
}

/* A file that cannot be read is found before there is a new store, or half of the others in it. */
static int check_files(const struct cli_args *args)
{
    for (size_t i = 0; i < args->count; i++) {
        const struct cli_operand *file = &args->operands[i];
        if (!file->is_dash && access(file->bytes.data, R_OK) != 0)
            return cli_complain("cannot open '%s': %s", (const char *)file->bytes.data,
                                strerror(errno));
    }
    return CLI_FINE;
}

static int load_files(struct load *load)
{
    const struct cli_args *args = &load->job->args;
    int rc = varve_batch_new(&load->batch);
    if (rc < 0)
        return cli_complain_store(rc, "load");
    if (!cli_given(args, CLI_OPT_QUIET))
        cli_progress_begin(&load->progress, "load", CLI_UNIT_BYTES, input_size(args));

    int status = args->count == 0 ? load_file(load, "-") : CLI_FINE;
    for (size_t i = 0; i < args->count && status == CLI_FINE && !cli_interrupted(); i++)
        status = load_file(load, args->operands[i].bytes.data);
    cli_progress_end(&load->progress);
    varve_batch_free(load->batch);
    if (status == CLI_FINE && cli_interrupted())
        status =
            cli_complain("interrupted with %llu entries stored", (unsigned long long)load->entries);
    return status;
}

int cli_run_load(struct cli_job *job)
{
    struct load load = {.job = job, .begun_us = cli_now_us()};
    if (plan_reading(&load) != CLI_FINE || check_files(&job->args) != CLI_FINE)
        return CLI_ERROR;
    if (cli_store_open(job, VARVE_MODE_CREATE) != CLI_FINE)
        return CLI_ERROR;
    load.keyspace = job->db;
    int status = cli_store_close(job, load_files(&load));
    if (status == CLI_FINE)
        report(&load);
    return status;
}
