/*
 * Reads a file or a pipe line by line. Lines may be as long as memory allows.
 */
#ifndef VV_CLI_INPUT_H
#define VV_CLI_INPUT_H

#include "base/buf.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <varve/varve.h>

/* The longest entry in its longest form: each byte as \u00XX, and some words of JSON around. */
#define CLI_LINE_SIZE_MAX (6 * (VARVE_KEY_SIZE_MAX + VARVE_VALUE_SIZE_MAX) + 4096)

enum cli_lines {
    CLI_LINES_PLAIN,
    CLI_LINES_QUOTED /* a newline between double quotes does not end a line */
};

enum cli_input_result { CLI_INPUT_LINE, CLI_INPUT_END, CLI_INPUT_FAILED };

struct cli_input {
    int fd;
    const char *name; /* for messages */
    enum cli_lines lines;
    struct vv_buf buf;
    size_t at;      /* first byte of buf not given out yet */
    size_t scanned; /* no end of line before this byte of buf */
    bool in_quotes; /* at `scanned` */
    bool is_over;   /* nothing more will come */
    uint64_t line;  /* number of the line given out last; of its first, if it spans several */
    uint64_t line_next;
    uint64_t bytes; /* given out so far */
};

/* Opens `name`; "-" is standard input. Complains if it cannot; returns a cli_status. */
VV_MUST int cli_input_open(struct cli_input *in, const char *name, enum cli_lines lines);
void cli_input_close(struct cli_input *in);

/* Gives the next line without its newline; it may be written to, and lives until the next call.
 * Complains when reading fails. Ends early when the user interrupts. */
VV_MUST enum cli_input_result cli_input_line(struct cli_input *in, uint8_t **line, size_t *size);

#endif
