/*
 * The text formats of load and dump. Each reads exactly what it writes, for any bytes.
 */
#ifndef VV_CLI_FORMAT_H
#define VV_CLI_FORMAT_H

#include "input.h"
#include "out.h"

struct cli_entry {
    varve_slice key, value;
    varve_slice keyspace; /* data NULL: not said */
    bool is_bare;         /* tells of the keyspace alone, which has no entry */
};

enum { CLI_NO_COLUMN = -1 };

/* How lines are to be read. */
struct cli_reading {
    bool keys_only;       /* tsv: a line without a tab is a key */
    bool keyspaces;       /* jsonl: lines may name one */
    int key, value;       /* csv: columns, from 0 */
    const char *key_name; /* csv: to be looked up in a header; NULL if there is none */
    const char *value_name;
};

struct cli_format {
    const char *name;
    enum cli_lines lines;
    bool skips_blank_lines;
    /* Parses a line in place; the entry points into it. Returns NULL, or what is wrong. */
    const char *(*parse)(const struct cli_reading *how, uint8_t *line, size_t size,
                         struct cli_entry *out);
    /* Writes an entry and the end of its line. */
    void (*write)(struct cli_out *out, const struct cli_entry *entry);
};

extern const struct cli_format cli_format_tsv;   /* format_tsv.c */
extern const struct cli_format cli_format_jsonl; /* format_jsonl.c */
extern const struct cli_format cli_format_csv;   /* format_csv.c */

/* Finds the columns that `how` names in the header line; returns NULL, or what is wrong. */
const char *cli_csv_header(struct cli_reading *how, uint8_t *line, size_t size);

struct cli_args;

/* The format that --format names; complains and returns NULL if there is none of that name. */
const struct cli_format *cli_format_of(const struct cli_args *args);

#endif
