#include "out.h"

#include "job.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OUT_GATHER_BYTES = 1 << 16 };

void cli_out_init(struct cli_out *out, int fd)
{
    *out = (struct cli_out){.fd = fd, .is_terminal = isatty(fd) == 1};
}

void cli_out_deinit(struct cli_out *out)
{
    vv_buf_deinit(&out->buf);
}

static void write_all(struct cli_out *out, const uint8_t *data, size_t size_bytes)
{
    while (size_bytes > 0 && out->failure == 0) {
        ssize_t done = write(out->fd, data, size_bytes);
        if (done < 0 && errno != EINTR)
            out->failure = errno;
        if (done <= 0)
            continue;
        data += done;
        size_bytes -= (size_t)done;
    }
}

void cli_out_flush(struct cli_out *out)
{
    write_all(out, out->buf.data, out->buf.size);
    vv_buf_clear(&out->buf);
}

void cli_out_bytes(struct cli_out *out, const void *data, size_t size_bytes)
{
    if (size_bytes > OUT_GATHER_BYTES - out->buf.size)
        cli_out_flush(out);
    if (size_bytes >= OUT_GATHER_BYTES)
        write_all(out, data, size_bytes);
    else if (vv_buf_append(&out->buf, data, size_bytes) < 0 && out->failure == 0)
        out->failure = ENOMEM;
}

void cli_out_text(struct cli_out *out, const char *text)
{
    cli_out_bytes(out, text, strlen(text));
}

void cli_out_byte(struct cli_out *out, char byte)
{
    cli_out_bytes(out, &byte, 1);
}

void cli_out_printf(struct cli_out *out, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    vv_assert(size >= 0 && (size_t)size < sizeof line);
    cli_out_bytes(out, line, (size_t)size);
}

static const char hex_digits[] = "0123456789abcdef";

/* `head` and the byte in two digits: dumps of binary values consist of little else. */
static void out_hex(struct cli_out *out, const char *head, uint8_t byte)
{
    char text[8];
    size_t size = strlen(head);
    memcpy(text, head, size);
    text[size++] = hex_digits[byte >> 4];
    text[size++] = hex_digits[byte & 15];
    cli_out_bytes(out, text, size);
}

static const char *short_escape(uint8_t byte)
{
    switch (byte) {
    case '\n': return "\\n";
    case '\t': return "\\t";
    case '\\': return "\\\\";
    default: return NULL;
    }
}

void cli_out_escaped(struct cli_out *out, varve_slice bytes)
{
    const uint8_t *at = bytes.data;
    const uint8_t *end = at + bytes.size;
    while (at < end) {
        /* A run that stays as it is goes out in one piece. */
        const uint8_t *run = at;
        while (at < end) {
            size_t size =
                *at < 0x80 ? (*at >= 0x20 && *at != 0x7f && *at != '\\') : cli_utf8_size(at, end);
            if (size == 0)
                break;
            at += size;
        }
        cli_out_bytes(out, run, (size_t)(at - run));
        if (at == end)
            break;
        const char *name = short_escape(*at);
        if (name != NULL)
            cli_out_text(out, name);
        else
            out_hex(out, "\\x", *at);
        at++;
    }
}

void cli_out_json_string(struct cli_out *out, varve_slice utf8)
{
    const uint8_t *at = utf8.data;
    const uint8_t *end = at + utf8.size;
    cli_out_byte(out, '"');
    while (at < end) {
        const uint8_t *run = at;
        while (at < end && *at >= 0x20 && *at != '"' && *at != '\\' && *at != 0x7f)
            at++;
        cli_out_bytes(out, run, (size_t)(at - run));
        if (at == end)
            break;
        const char *name = *at == '"' ? "\\\"" : *at == '\r' ? "\\r" : short_escape(*at);
        if (name != NULL)
            cli_out_text(out, name);
        else
            out_hex(out, "\\u00", *at);
        at++;
    }
    cli_out_byte(out, '"');
}

static void out_base64(struct cli_out *out, varve_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.size; left > 0;) {
        size_t take = left < 3 ? left : 3;
        uint32_t bits = (uint32_t)at[0] << 16;
        bits |= take > 1 ? (uint32_t)at[1] << 8 : 0;
        bits |= take > 2 ? (uint32_t)at[2] : 0;
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], '=', '='};
        if (take > 1)
            four[2] = digits[bits >> 6 & 63];
        if (take > 2)
            four[3] = digits[bits & 63];
        cli_out_bytes(out, four, sizeof four);
        at += take;
        left -= take;
    }
}

void cli_out_json_field(struct cli_out *out, const char *name, varve_slice bytes)
{
    if (cli_is_utf8(bytes)) {
        cli_out_printf(out, "\"%s\":", name);
        cli_out_json_string(out, bytes);
    } else {
        cli_out_printf(out, "\"%s_base64\":\"", name);
        out_base64(out, bytes);
        cli_out_byte(out, '"');
    }
}

int cli_out_end(struct cli_out *out, int status)
{
    cli_out_flush(out);
    if (out->failure == 0 || out->failure == EPIPE)
        return status;
    return cli_complain("cannot write the output: %s", strerror(out->failure));
}
