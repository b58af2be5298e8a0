/*
 * Output that is checked. Bytes gather in a buffer; the first write that fails is remembered, the
 * rest is dropped, and loops that ask cli_out_failed() end early.
 *
 * When the reader of a pipe has gone away (EPIPE), nobody is left to tell: that ends the command
 * quietly. Any other failure (a full disk, say) is an error.
 */
#ifndef VV_CLI_OUT_H
#define VV_CLI_OUT_H

#include "base/buf.h"
#include "base/check.h"
#include "base/slice.h"

#include <stdbool.h>
#include <varve/varve.h>

struct cli_out {
    int fd;
    bool is_terminal;
    int failure; /* errno of the first write that failed, or 0 */
    struct vv_buf buf;
};

void cli_out_init(struct cli_out *out, int fd);
/* Drops what was not flushed. */
void cli_out_deinit(struct cli_out *out);

void cli_out_bytes(struct cli_out *out, const void *data, size_t size_bytes);
void cli_out_text(struct cli_out *out, const char *text);
void cli_out_byte(struct cli_out *out, char byte);
void cli_out_printf(struct cli_out *out, const char *format, ...) VV_PRINTF(2, 3);

/* Bytes as text on one line: printable UTF-8 as it is, everything else as \n, \t, \\ or \xNN. */
void cli_out_escaped(struct cli_out *out, varve_slice bytes);

/* A JSON string with its quotes. The bytes must be UTF-8; see cli_is_utf8. */
void cli_out_json_string(struct cli_out *out, varve_slice utf8);

/* "name":"…", or "name_base64":"…" for bytes that are not UTF-8. */
void cli_out_json_field(struct cli_out *out, const char *name, varve_slice bytes);

static inline bool cli_out_failed(const struct cli_out *out)
{
    return out->failure != 0;
}

/* Writes out what has gathered. */
void cli_out_flush(struct cli_out *out);

/* Flushes, and gives `status` or, if output was lost, what that makes of it. Complains once. */
VV_MUST int cli_out_end(struct cli_out *out, int status);

#endif
