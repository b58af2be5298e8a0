/*
 * Tab-separated values:
 *
 *     line = key TAB value NEWLINE
 *
 * with \t, \n, \\ and \xNN in both. Only the first tab separates: one in the value may stand bare.
 */
#include "args.h"
#include "format.h"
#include "job.h"
#include "text.h"

static const char bad_escape[] = "a backslash that begins no escape (\\\\ is a backslash)";

static const char *tsv_parse(const struct cli_reading *how, uint8_t *line, size_t size,
                             struct cli_entry *out)
{
    uint8_t *tab = size > 0 ? memchr(line, '\t', size) : NULL;
    if (tab == NULL && !how->keys_only)
        return "no tab between key and value";
    size_t key_size = tab != NULL ? (size_t)(tab - line) : size;
    size_t value_size = tab != NULL ? size - key_size - 1 : 0;
    uint8_t *value = tab != NULL ? tab + 1 : line + size;
    if (!cli_unescape(line, &key_size) || !cli_unescape(value, &value_size))
        return bad_escape;
    out->key = varve_bytes(line, key_size);
    out->value = varve_bytes(value, value_size);
    return NULL;
}

static void tsv_write(struct cli_out *out, const struct cli_entry *entry)
{
    cli_out_escaped(out, entry->key);
    cli_out_byte(out, '\t');
    cli_out_escaped(out, entry->value);
    cli_out_byte(out, '\n');
}

const struct cli_format cli_format_tsv = {"tsv", CLI_LINES_PLAIN, false, tsv_parse, tsv_write};

const struct cli_format *cli_format_of(const struct cli_args *args)
{
    static const struct cli_format *const all[] = {&cli_format_tsv, &cli_format_jsonl,
                                                   &cli_format_csv};
    const char *name = args->values[CLI_OPT_FORMAT];
    if (name == NULL)
        return &cli_format_tsv;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    cli_complain("no format '%s'; there are tsv, jsonl and csv", name);
    return NULL;
}
