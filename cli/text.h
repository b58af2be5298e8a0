/*
 * Bytes as people write them: escapes, UTF-8, base64, numbers and sizes.
 */
#ifndef VV_CLI_TEXT_H
#define VV_CLI_TEXT_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <varve/varve.h>

/* How many bytes the character at `at` takes, or 0 if no valid one begins there. at < end. */
size_t cli_utf8_size(const uint8_t *at, const uint8_t *end);
bool cli_is_utf8(varve_slice bytes);
/* Writes `code` as UTF-8 and returns how many bytes that took, at most 4. */
size_t cli_utf8_put(uint8_t *at, uint32_t code);

/* The value of a hexadecimal digit, or -1. */
int cli_hex_digit(uint8_t byte);

/* Replaces \xNN, \n, \t, \r, \0, \\, \" and \' by what they mean, in place, and returns the new
 * size; it never grows. For anything else behind a backslash returns false and sets *size to the
 * offset of that backslash. */
VV_MUST bool cli_unescape(uint8_t *data, size_t *size);

/* Decodes base64 with its padding, in place; false if it is not that. */
VV_MUST bool cli_unbase64(uint8_t *data, size_t *size);

/* A whole number, perhaps with k, M, G (thousands) or Ki, Mi, Gi (1024s) behind it. */
VV_MUST bool cli_parse_count(const char *text, uint64_t *out);
/* A number from 0 to 1. */
VV_MUST bool cli_parse_ratio(const char *text, double *out);

enum { CLI_NUMBER_SIZE = 32 };

/* Write into `text`, of CLI_NUMBER_SIZE bytes, and return it: 12,345,678 and 12.3 MB. */
const char *cli_format_count(char *text, uint64_t value);
const char *cli_format_bytes(char *text, double bytes);

/* How many letters must change to make `b` of `a`; for suggestions, so long words are cut. */
size_t cli_distance(const char *a, const char *b);

#endif
