#include "words.h"

#include "base/alloc.h"

#include <string.h>

struct splitter {
    const uint8_t *at, *end;
    char *to;
    char quote; /* the one we are in, or 0 */
};

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static void put_literal(struct splitter *s, uint8_t byte)
{
    if (byte == '\\' || byte == 0) {
        *s->to++ = '\\';
        *s->to++ = byte == 0 ? '0' : '\\';
    } else {
        *s->to++ = (char)byte;
    }
}

/* Takes one byte, or an escape as it is, of a word; the byte may open or close a quote. */
static void take_byte(struct splitter *s)
{
    uint8_t byte = *s->at++;
    bool is_quote = byte == '"' || byte == '\'';
    if (is_quote && s->quote == 0)
        s->quote = (char)byte;
    else if (is_quote && byte == (uint8_t)s->quote)
        s->quote = 0;
    else if (byte == '\\' && s->quote == '"' && s->at < s->end && *s->at != 0) {
        *s->to++ = '\\';
        *s->to++ = (char)*s->at++;
    } else
        put_literal(s, byte);
}

const char *cli_words_split(struct cli_words *out, const uint8_t *line, size_t size)
{
    struct cli_words words = {0};
    /* At worst each byte is one that doubles, or every other one is a word with its end. */
    words.text = vv_alloc(2 * size + 1);
    words.list = vv_alloc_zero((size / 2 + 2) * sizeof *words.list);
    if (words.text == NULL || words.list == NULL) {
        cli_words_deinit(&words);
        return "out of memory";
    }
    struct splitter s = {line, line + size, words.text, 0};
    for (;;) {
        while (s.at < s.end && is_space(*s.at))
            s.at++;
        if (s.at == s.end)
            break;
        words.list[words.count++] = s.to;
        while (s.at < s.end && (s.quote != 0 || !is_space(*s.at)))
            take_byte(&s);
        *s.to++ = 0;
    }
    if (s.quote != 0) {
        cli_words_deinit(&words);
        return "a quote that is never closed";
    }
    *out = words;
    return NULL;
}

void cli_words_deinit(struct cli_words *words)
{
    vv_free(words->list);
    vv_free(words->text);
    *words = (struct cli_words){0};
}
