#include "text.h"

#include <stdio.h>

size_t cli_utf8_size(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    uint8_t first = at[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

bool cli_is_utf8(varve_slice bytes)
{
    const uint8_t *at = bytes.data;
    const uint8_t *end = at + bytes.size;
    while (at < end) {
        size_t size = cli_utf8_size(at, end);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

size_t cli_utf8_put(uint8_t *at, uint32_t code)
{
    if (code < 0x80) {
        at[0] = (uint8_t)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        at[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    at[0] = (uint8_t)((0xf00u >> size & 0xf0u) | code);
    return size;
}

int cli_hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* What one letter behind a backslash stands for, or -1. */
static int escape_letter(uint8_t letter)
{
    switch (letter) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return 0;
    case '\\':
    case '"':
    case '\'': return letter;
    default: return -1;
    }
}

bool cli_unescape(uint8_t *data, size_t *size)
{
    uint8_t *first = *size > 0 ? memchr(data, '\\', *size) : NULL;
    if (first == NULL)
        return true;
    size_t to = (size_t)(first - data);
    for (size_t from = to; from < *size;) {
        if (data[from] != '\\') {
            data[to++] = data[from++];
            continue;
        }
        size_t left = *size - from;
        int byte = left >= 2 ? escape_letter(data[from + 1]) : -1;
        size_t taken = 2;
        if (left >= 4 && data[from + 1] == 'x') {
            int high = cli_hex_digit(data[from + 2]);
            int low = cli_hex_digit(data[from + 3]);
            byte = high < 0 || low < 0 ? -1 : high << 4 | low;
            taken = 4;
        }
        if (byte < 0) {
            *size = from;
            return false;
        }
        data[to++] = (uint8_t)byte;
        from += taken;
    }
    *size = to;
    return true;
}

static int base64_digit(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

bool cli_unbase64(uint8_t *data, size_t *size)
{
    if (*size % 4 != 0)
        return false;
    size_t to = 0;
    for (size_t from = 0; from < *size; from += 4) {
        bool last = from + 4 == *size;
        size_t digits = 4;
        if (last && data[from + 3] == '=')
            digits = data[from + 2] == '=' ? 2 : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            int digit = i < digits ? base64_digit(data[from + i]) : 0;
            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        for (size_t i = 0; i + 1 < digits; i++)
            data[to++] = (uint8_t)(bits >> (16 - 8 * i));
    }
    *size = to;
    return true;
}

/* Digits from *text on, which is moved behind them; false if there are none or too many. */
static bool parse_digits(const char **text, uint64_t *out)
{
    const char *at = *text;
    uint64_t value = 0;
    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *text = at;
    *out = value;
    return true;
}

bool cli_parse_count(const char *text, uint64_t *out)
{
    uint64_t value;
    if (!parse_digits(&text, &value))
        return false;
    static const char suffixes[] = "kMG";
    const char *suffix = *text == 'K' ? suffixes : *text != 0 ? strchr(suffixes, *text) : NULL;
    uint64_t factor = 1;
    if (suffix != NULL) {
        bool binary = text[1] == 'i';
        for (const char *at = suffixes; at <= suffix; at++)
            factor *= binary ? 1024 : 1000;
        text += binary ? 2 : 1;
    }
    if (*text != 0 || value > UINT64_MAX / factor)
        return false;
    *out = value * factor;
    return true;
}

bool cli_parse_ratio(const char *text, double *out)
{
    uint64_t whole;
    uint64_t part = 0;
    double scale = 1;
    if (!parse_digits(&text, &whole))
        return false;
    if (*text == '.') {
        const char *digits = ++text;
        if (!parse_digits(&text, &part))
            return false;
        for (; digits < text; digits++)
            scale *= 10;
    }
    double value = (double)whole + (double)part / scale;
    if (*text != 0 || value > 1)
        return false;
    *out = value;
    return true;
}

const char *cli_format_count(char *text, uint64_t value)
{
    char digits[CLI_NUMBER_SIZE];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    size_t to = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = 0;
    return text;
}

const char *cli_format_bytes(char *text, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1000;
        unit++;
    }
    (void)snprintf(text, CLI_NUMBER_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

size_t cli_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 31 };
    size_t a_size = strnlen(a, WORD_MAX);
    size_t b_size = strnlen(b, WORD_MAX);
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[b_size];
}
