/*
 * JSON, one object a line:
 *
 *     {"key": "…", "value": "…"}
 *
 * where key_base64 and value_base64 stand for bytes that are not UTF-8. With several keyspaces in one
 * file "keyspace" or keyspace_base64 says which, and a line that has nothing else says that there is
 * one. Other members are read over, whatever they hold.
 */
#include "format.h"
#include "text.h"

struct cursor {
    uint8_t *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

/* Moves behind `byte`, perhaps after space; false if something else is there. */
static bool skip_byte(struct cursor *c, uint8_t byte)
{
    skip_space(c);
    if (c->at == c->end || *c->at != byte)
        return false;
    c->at++;
    return true;
}

/* The four digits of \uXXXX, or -1. */
static int32_t read_hex4(struct cursor *c)
{
    int32_t code = 0;
    if (c->end - c->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = cli_hex_digit(*c->at++);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* Decodes the escape behind a backslash to `to`; returns how many bytes that made, 0 for none. */
static size_t read_escape(struct cursor *c, uint8_t *to)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    uint8_t letter = *c->at++;
    if (letter != 'u') {
        const char *found = letter != 0 ? strchr(letters, letter) : NULL;
        *to = found != NULL ? (uint8_t)meanings[found - letters] : 0;
        return found != NULL;
    }
    int32_t code = read_hex4(c);
    if (code >= 0xd800 && code < 0xdc00) {
        if (c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u')
            return 0;
        c->at += 2;
        int32_t low = read_hex4(c);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
    } else if (code < 0 || (code >= 0xdc00 && code < 0xe000)) {
        return 0;
    }
    return cli_utf8_put(to, (uint32_t)code);
}

/* Decodes a string in place, which never makes it longer. */
static const char *read_string(struct cursor *c, varve_slice *out)
{
    if (!skip_byte(c, '"'))
        return "no string where one should be";
    uint8_t *begin = c->at;
    uint8_t *to = begin;
    for (;;) {
        if (c->at == c->end)
            return "a string that is never closed";
        uint8_t byte = *c->at++;
        if (byte == '"')
            break;
        if (byte < 0x20)
            return "a bare control character in a string";
        if (byte != '\\') {
            *to++ = byte;
            continue;
        }
        /* Aside first: what an escape stands for may be written where its digits still are. */
        uint8_t decoded[4];
        size_t size = c->at < c->end ? read_escape(c, decoded) : 0;
        if (size == 0)
            return "an escape that is none in JSON";
        memcpy(to, decoded, size);
        to += size;
    }
    *out = varve_bytes(begin, (size_t)(to - begin));
    return NULL;
}

/* Moves behind a value of any kind, without looking too closely at what it is made of. */
static const char *skip_value(struct cursor *c)
{
    size_t depth = 0;
    skip_space(c);
    uint8_t *begin = c->at;
    while (c->at < c->end) {
        uint8_t byte = *c->at;
        if (depth == 0 && (byte == ',' || byte == '}'))
            break;
        if (byte == '"') {
            varve_slice ignored;
            const char *wrong = read_string(c, &ignored);
            if (wrong != NULL)
                return wrong;
            continue;
        }
        if (byte == '{' || byte == '[')
            depth++;
        if ((byte == '}' || byte == ']') && depth-- == 0)
            return "brackets that do not match";
        c->at++;
    }
    return c->at == begin || depth > 0 ? "a value that is missing or cut short" : NULL;
}

static bool is_name(varve_slice name, const char *expected)
{
    return name.size == strlen(expected) && memcmp(name.data, expected, name.size) == 0;
}

struct members {
    struct cli_entry *entry;
    bool keyspaces; /* are looked for */
    bool has_key, has_value;
};

static const char *read_member(struct cursor *c, struct members *m)
{
    varve_slice name;
    const char *wrong = read_string(c, &name);
    if (wrong != NULL)
        return wrong;
    if (!skip_byte(c, ':'))
        return "no ':' behind a name";
    bool is_space64 = m->keyspaces && is_name(name, "keyspace_base64");
    bool is_space = is_space64 || (m->keyspaces && is_name(name, "keyspace"));
    bool is_key64 = is_name(name, "key_base64");
    bool is_value64 = is_name(name, "value_base64");
    bool is_key = is_key64 || is_name(name, "key");
    if (!is_space && !is_key && !is_value64 && !is_name(name, "value"))
        return skip_value(c);

    varve_slice text;
    if ((wrong = read_string(c, &text)) != NULL)
        return wrong;
    if (is_space64 || is_key64 || is_value64) {
        /* It lies in the line, which is ours to write to. */
        uint8_t *data = c->at - 1 - text.size;
        memmove(data, text.data, text.size);
        if (!cli_unbase64(data, &text.size))
            return "a member that is not base64";
        text.data = data;
    }
    if (is_space) {
        m->entry->keyspace = text;
        return NULL;
    }
    *(is_key ? &m->entry->key : &m->entry->value) = text;
    *(is_key ? &m->has_key : &m->has_value) = true;
    return NULL;
}

static const char *jsonl_parse(const struct cli_reading *how, uint8_t *line, size_t size,
                               struct cli_entry *out)
{
    struct cursor c = {line, line + size};
    struct members m = {.entry = out, .keyspaces = how->keyspaces};
    if (!cli_is_utf8(varve_bytes(line, size)))
        return "not UTF-8";
    if (!skip_byte(&c, '{'))
        return "not a JSON object";
    if (!skip_byte(&c, '}')) {
        do {
            const char *wrong = read_member(&c, &m);
            if (wrong != NULL)
                return wrong;
        } while (skip_byte(&c, ','));
        if (!skip_byte(&c, '}'))
            return "no ',' or '}' behind a member";
    }
    skip_space(&c);
    if (c.at != c.end)
        return "something behind the object";
    out->is_bare = out->keyspace.data != NULL && !m.has_key && !m.has_value;
    return out->is_bare   ? NULL
           : !m.has_key   ? "no member 'key' or 'key_base64'"
           : !m.has_value ? "no member 'value' or 'value_base64'"
                          : NULL;
}

static void jsonl_write(struct cli_out *out, const struct cli_entry *entry)
{
    cli_out_byte(out, '{');
    if (entry->keyspace.data != NULL)
        cli_out_json_field(out, "keyspace", entry->keyspace);
    if (entry->is_bare) {
        cli_out_text(out, "}\n");
        return;
    }
    if (entry->keyspace.data != NULL)
        cli_out_byte(out, ',');
    cli_out_json_field(out, "key", entry->key);
    cli_out_byte(out, ',');
    cli_out_json_field(out, "value", entry->value);
    cli_out_text(out, "}\n");
}

const struct cli_format cli_format_jsonl = {"jsonl", CLI_LINES_PLAIN, true, jsonl_parse,
                                            jsonl_write};
