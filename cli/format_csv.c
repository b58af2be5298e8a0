/*
 * Comma-separated values as in RFC 4180:
 *
 *     record = field *("," field) [CR] NEWLINE
 *     field  = bytes without comma, quote, CR or newline
 *            | quote *(any byte but quote, or two quotes) quote
 *
 * A byte order mark before the first record is left out by load; so dump quotes fields that might
 * look like one.
 */
#include "format.h"
#include "text.h"

struct cursor {
    uint8_t *at, *end;
    bool is_over; /* the last field of the record was read */
};

static struct cursor record_cursor(uint8_t *line, size_t size)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    struct cursor c = {line, line + size, false};
    if (size > 0 && line[size - 1] == '\r')
        c.end--;
    if (size >= sizeof mark && memcmp(line, mark, sizeof mark) == 0)
        c.at += sizeof mark;
    return c;
}

/* Reads a field behind its opening quote, undoubling quotes in place. */
static const char *quoted_field(struct cursor *c, varve_slice *out)
{
    uint8_t *begin = c->at;
    uint8_t *to = begin;
    for (;;) {
        if (c->at == c->end)
            return "a quote that is never closed";
        if (*c->at == '"') {
            if (c->at + 1 == c->end || c->at[1] != '"')
                break;
            c->at++;
        }
        *to++ = *c->at++;
    }
    c->at++;
    *out = varve_bytes(begin, (size_t)(to - begin));
    return c->at == c->end || *c->at == ',' ? NULL : "text behind a closing quote";
}

static const char *next_field(struct cursor *c, varve_slice *out)
{
    const char *wrong = NULL;
    if (c->at < c->end && *c->at == '"') {
        c->at++;
        wrong = quoted_field(c, out);
    } else {
        size_t left = (size_t)(c->end - c->at);
        uint8_t *comma = left > 0 ? memchr(c->at, ',', left) : NULL;
        size_t size = comma != NULL ? (size_t)(comma - c->at) : left;
        if (size > 0 && memchr(c->at, '"', size) != NULL)
            wrong = "a quote within a field that is not quoted";
        *out = varve_bytes(c->at, size);
        c->at += size;
    }
    c->is_over = c->at == c->end;
    c->at += !c->is_over; /* the comma */
    return wrong;
}

static const char *csv_parse(const struct cli_reading *how, uint8_t *line, size_t size,
                             struct cli_entry *out)
{
    struct cursor c = record_cursor(line, size);
    bool has_key = false;
    bool has_value = false;
    for (int column = 0; !c.is_over; column++) {
        varve_slice field;
        const char *wrong = next_field(&c, &field);
        if (wrong != NULL)
            return wrong;
        if (column == how->key) {
            out->key = field;
            has_key = true;
        }
        if (column == how->value) {
            out->value = field;
            has_value = true;
        }
    }
    return !has_key ? "no column for the key" : !has_value ? "no column for the value" : NULL;
}

const char *cli_csv_header(struct cli_reading *how, uint8_t *line, size_t size)
{
    struct cursor c = record_cursor(line, size);
    how->key = how->value = CLI_NO_COLUMN;
    for (int column = 0; !c.is_over; column++) {
        varve_slice field;
        const char *wrong = next_field(&c, &field);
        if (wrong != NULL)
            return wrong;
        if (field.size == strlen(how->key_name) &&
            memcmp(field.data, how->key_name, field.size) == 0)
            how->key = column;
        if (field.size == strlen(how->value_name) &&
            memcmp(field.data, how->value_name, field.size) == 0)
            how->value = column;
    }
    if (how->key == CLI_NO_COLUMN)
        return "the header has no column of the name given as --key-column";
    return how->value == CLI_NO_COLUMN
               ? "the header has no column of the name given as --value-column"
               : NULL;
}

static void write_field(struct cli_out *out, varve_slice field)
{
    const uint8_t *at = field.data;
    const uint8_t *end = at + field.size;
    bool is_plain = field.size == 0 || *at != 0xef;
    for (const uint8_t *b = at; b < end && is_plain; b++)
        is_plain = *b != ',' && *b != '"' && *b != '\r' && *b != '\n';
    if (is_plain) {
        cli_out_bytes(out, field.data, field.size);
        return;
    }
    cli_out_byte(out, '"');
    while (at < end) {
        const uint8_t *quote = memchr(at, '"', (size_t)(end - at));
        const uint8_t *run_end = quote != NULL ? quote + 1 : end;
        cli_out_bytes(out, at, (size_t)(run_end - at));
        if (quote != NULL)
            cli_out_byte(out, '"');
        at = run_end;
    }
    cli_out_byte(out, '"');
}

static void csv_write(struct cli_out *out, const struct cli_entry *entry)
{
    write_field(out, entry->key);
    cli_out_byte(out, ',');
    write_field(out, entry->value);
    cli_out_byte(out, '\n');
}

const struct cli_format cli_format_csv = {"csv", CLI_LINES_QUOTED, true, csv_parse, csv_write};
