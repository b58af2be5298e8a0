#include "command.h"

#include "text.h"

#include <string.h>

#define OPTIONS_STORE (CLI_BIT(ENGINE) | CLI_BIT(DURABILITY) | CLI_BIT(SET) | CLI_BIT(HELP))
#define OPTIONS_DATA  (OPTIONS_STORE | CLI_BIT(KEYSPACE))
#define OPTIONS_READ  (OPTIONS_STORE | CLI_BIT(READONLY))
#define OPTIONS_LOOK  (OPTIONS_READ | CLI_BIT(KEYSPACE))
#define OPTIONS_RANGE (CLI_BIT(FROM) | CLI_BIT(TO) | CLI_BIT(PREFIX) | CLI_BIT(ESCAPE))
#define OPTIONS_BENCH                                                                              \
    (CLI_BIT(WORKLOAD) | CLI_BIT(NUM) | CLI_BIT(KEY_SIZE) | CLI_BIT(VALUE_SIZE) |                  \
     CLI_BIT(THREADS) | CLI_BIT(BATCH) | CLI_BIT(SEED) | CLI_BIT(COMPRESSIBLE) | CLI_BIT(FORCE) |  \
     CLI_BIT(JSON) | CLI_BIT(QUIET))

#define ANY_NUMBER CLI_OPERANDS_MAX

const struct cli_command cli_commands[] = {
    {"put", "KEY [VALUE]", "store a value under a key", CLI_ANYWHERE, true, CLI_OPEN_NOTHING,
     CLI_OPERANDS_BYTES, 1, 2, OPTIONS_DATA | CLI_BIT(ESCAPE) | CLI_BIT(TTL), cli_run_put,
     "The value is read from standard input if it is absent or '-'. Makes the store and the\n"
     "keyspace if there are none. With --ttl the key is gone after that time.\n",
     "varve put books 978-0131103627 'The C Programming Language'\n"
     "varve put photos cat.jpg <cat.jpg\n"
     "varve put sessions 8f3a alice --ttl 30m\n"
     "varve put -e books 'line\\n\\x00' value\n"},
    {"get", "KEY", "print the value of a key", CLI_ANYWHERE, true, CLI_OPEN_READ,
     CLI_OPERANDS_BYTES, 1, 1, OPTIONS_LOOK | CLI_BIT(ESCAPE) | CLI_BIT(JSON), cli_run_get,
     "Writes the bytes of the value and nothing else; a newline follows only on a terminal. Ends\n"
     "with status 1 if there is no such key.\n",
     "varve get books 978-0131103627\n"
     "varve get photos cat.jpg >cat.jpg\n"},
    {"del", "[KEY…]", "remove keys", CLI_ANYWHERE, true, CLI_OPEN_EXISTING, CLI_OPERANDS_BYTES, 0,
     ANY_NUMBER, OPTIONS_DATA | OPTIONS_RANGE, cli_run_del,
     "All of them together or none: the keys, or all of a range. Removing a key that is not there is\n"
     "fine. A range is one record, however many keys it removes.\n",
     "varve del books 978-0131103627 978-0201038019\n"
     "varve del books --prefix 978\n"
     "varve del books --from a --to b\n"},
    {"exists", "KEY", "tell whether a key is there", CLI_ANYWHERE, true, CLI_OPEN_READ,
     CLI_OPERANDS_BYTES, 1, 1, OPTIONS_LOOK | CLI_BIT(ESCAPE) | CLI_BIT(QUIET), cli_run_exists,
     "Prints yes or no, and ends with status 0 or 1.\n",
     "varve exists -q books 978-0131103627 && echo there\n"},
    {"ttl", "KEY", "tell how long a key still has", CLI_ANYWHERE, true, CLI_OPEN_READ,
     CLI_OPERANDS_BYTES, 1, 1, OPTIONS_LOOK | CLI_BIT(ESCAPE), cli_run_ttl,
     "Prints seconds, or never. Ends with status 1 if there is no such key.\n",
     "varve ttl sessions 8f3a\n"},
    {"expire", "KEY TIME", "let a key be gone after a time", CLI_ANYWHERE, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_BYTES, 2, 2, OPTIONS_DATA | CLI_BIT(ESCAPE), cli_run_expire,
     "The time counts from now: 250ms, 90s, 15m, 12h, 7d; without a unit it is seconds. Ends with\n"
     "status 1 if there is no such key.\n",
     "varve expire sessions 8f3a 12h\n"},
    {"persist", "KEY", "let a key stay for ever again", CLI_ANYWHERE, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_BYTES, 1, 1, OPTIONS_DATA | CLI_BIT(ESCAPE), cli_run_persist,
     "Ends with status 1 if there is no such key.\n", "varve persist sessions 8f3a\n"},
    {"incr", "KEY [NUMBER]", "add to a counter and print it", CLI_ANYWHERE, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_BYTES, 1, 2, OPTIONS_DATA | CLI_BIT(ESCAPE), cli_run_incr,
     "Adds 1 or the number, which may be negative (behind --). A key without a value counts as 0; a\n"
     "counter is stored as 8 bytes, little-endian.\n",
     "varve incr hits index.html\n"
     "varve incr hits index.html -- -5\n"},
    {"merge", "KEY OPERAND", "merge an operand into a value", CLI_ANYWHERE, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_BYTES, 2, 2, OPTIONS_DATA | CLI_BIT(ESCAPE), cli_run_merge,
     "The merge operator is named by --set, here and where the key is read: add_i64, append, max, min\n"
     "or or.\n",
     "varve merge -o merge=append tags cat.jpg black\n"
     "varve get -o merge=append tags cat.jpg\n"},
    {"scan", "", "print entries in the order of keys", CLI_ANYWHERE, true, CLI_OPEN_READ,
     CLI_OPERANDS_NONE, 0, 0,
     OPTIONS_LOOK | OPTIONS_RANGE | CLI_BIT(REVERSE) | CLI_BIT(LIMIT) | CLI_BIT(KEYS) |
         CLI_BIT(VALUES) | CLI_BIT(JSON),
     cli_run_scan,
     "One entry a line: key, tab, value. Backslash, tab and newline are written \\\\, \\t and \\n;\n"
     "other control bytes and what is not UTF-8 as \\xNN. With --json one object a line, with\n"
     "key_base64 or value_base64 where the bytes are not UTF-8.\n",
     "varve scan books --prefix 978- --limit 10\n"
     "varve scan books --from a --to b --keys\n"
     "varve scan books --reverse --limit 1 --json\n"},
    {"count", "", "count entries", CLI_ANYWHERE, true, CLI_OPEN_READ, CLI_OPERANDS_NONE, 0, 0,
     OPTIONS_LOOK | OPTIONS_RANGE | CLI_BIT(ESTIMATE) | CLI_BIT(JSON) | CLI_BIT(QUIET),
     cli_run_count, "Reads all keys of the range, but no values.\n",
     "varve count books --prefix 978-\n"
     "varve count books --estimate\n"},
    {"load", "[FILE…]", "store many entries from files or standard input", CLI_OUTSIDE, true,
     CLI_OPEN_NOTHING, CLI_OPERANDS_FILES, 0, ANY_NUMBER,
     OPTIONS_DATA | CLI_BIT(ALL) | CLI_BIT(FORMAT) | CLI_BIT(KEYS_ONLY) | CLI_BIT(KEY_COLUMN) |
         CLI_BIT(VALUE_COLUMN) | CLI_BIT(SKIP_ERRORS) | CLI_BIT(JSON) | CLI_BIT(QUIET),
     cli_run_load,
     "Formats:\n"
     "  tsv    key, tab, value, with escapes as scan prints them\n"
     "  jsonl  one object a line: key or key_base64, value or value_base64\n"
     "  csv    the first two columns (RFC 4180), or those named by --key-column and\n"
     "         --value-column, and then the first line is a header\n"
     "\n"
     "Entries are stored in batches of about 1 MiB. At a bad line the load stops, names file and\n"
     "line, and stores nothing of the batch with that line. Makes the store if there is none.\n",
     "varve load books books.tsv\n"
     "zcat dump.jsonl.gz | varve load books --format jsonl\n"
     "varve load people people.csv -f csv --key-column id --value-column name\n"},
    {"dump", "", "write all entries for load to read", CLI_OUTSIDE, true, CLI_OPEN_READ,
     CLI_OPERANDS_NONE, 0, 0,
     OPTIONS_LOOK | OPTIONS_RANGE | CLI_BIT(ALL) | CLI_BIT(FORMAT) | CLI_BIT(QUIET), cli_run_dump,
     "What load makes of it is the same to the byte, in every format. The entries are those of\n"
     "one moment, even beside a writer.\n",
     "varve dump books >books.tsv\n"
     "varve dump books --format jsonl | zstd >books.jsonl.zst\n"
     "varve dump books --format jsonl --all | varve load copy --format jsonl --all\n"},
    {"stat", "", "print statistics", CLI_ANYWHERE, true, CLI_OPEN_READ, CLI_OPERANDS_NONE, 0, 0,
     OPTIONS_READ | CLI_BIT(LEVELS) | CLI_BIT(JSON) | CLI_BIT(WATCH), cli_run_stat,
     "What is zero is left out; --json prints every statistic. With --watch a page replaces the\n"
     "last one, also beside a program that writes to the store; counters of calls are our own.\n",
     "varve stat books\n"
     "varve stat books --watch\n"
     "varve stat books --json\n"
     "varve stat books --levels\n"},
    {"keyspaces", "", "list keyspaces, make one or drop one", CLI_ANYWHERE, true, CLI_OPEN_NOTHING,
     CLI_OPERANDS_NONE, 0, 0, OPTIONS_STORE | CLI_BIT(CREATE) | CLI_BIT(DROP) | CLI_BIT(JSON),
     cli_run_keyspaces,
     "One name a line, the default one first. Making one makes the store if there is none.\n",
     "varve keyspaces books\n"
     "varve keyspaces books --create authors\n"
     "varve put --keyspace authors books ritchie 'Dennis Ritchie'\n"},
    {"use", "[NAME]", "turn to a keyspace, or to the default one", CLI_IN_SHELL, true,
     CLI_OPEN_EXISTING, CLI_OPERANDS_BYTES, 0, 1, CLI_BIT(HELP), cli_run_use, NULL, NULL},
    {"flush", "", "write tables for what is in memory", CLI_IN_SHELL, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_NONE, 0, 0, CLI_BIT(HELP), cli_run_flush, NULL, NULL},
    {"sync", "", "make everything survive a power cut", CLI_IN_SHELL, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_NONE, 0, 0, CLI_BIT(HELP), cli_run_sync, NULL, NULL},
    {"compact", "", "drop what is overwritten and deleted", CLI_ANYWHERE, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_NONE, 0, 0, OPTIONS_DATA | CLI_BIT(JSON) | CLI_BIT(QUIET), cli_run_compact,
     "The store does this by itself; the command does all of it now.\n", "varve compact books\n"},
    {"check", "", "verify every byte of a store", CLI_OUTSIDE, true, CLI_OPEN_NOTHING,
     CLI_OPERANDS_NONE, 0, 0, OPTIONS_STORE | CLI_BIT(JSON) | CLI_BIT(QUIET), cli_run_check,
     "Prints a line for each damage, with file and offset, and ends with status 1 if there is any.\n"
     "Changes nothing. Nobody may have the store open for writing.\n",
     "varve check books\n"},
    {"repair", "", "make a damaged store usable again", CLI_OUTSIDE, true, CLI_OPEN_NOTHING,
     CLI_OPERANDS_NONE, 0, 0, OPTIONS_STORE | CLI_BIT(JSON) | CLI_BIT(QUIET), cli_run_repair,
     "Keeps all that verifies, sets damaged files aside as FILE.damaged, and says what is lost.\n"
     "Copy the directory first.\n",
     "cp -a books books.copy && varve repair books\n"},
    {"destroy", "", "delete a store", CLI_OUTSIDE, true, CLI_OPEN_NOTHING, CLI_OPERANDS_NONE, 0, 0,
     CLI_BIT(FORCE) | CLI_BIT(HELP), cli_run_destroy,
     "Deletes only files that are varve's, and the directory if nothing else is in it. Asks first\n"
     "on a terminal, unless --force.\n",
     "varve destroy books\n"},
    {"checkpoint", "PATH", "copy a store, sharing its files", CLI_OUTSIDE, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_FILES, 1, 1, OPTIONS_STORE | CLI_BIT(JSON), cli_run_checkpoint,
     "The copy is a store of its own, of one moment, which opens at once. Where the file system\n"
     "allows it the two share files, so it costs little and protects from no damage of the disk.\n",
     "varve checkpoint books books.before\n"},
    {"backup", "STORE DIR", "add a backup to a directory, or look after it", CLI_OUTSIDE, false,
     CLI_OPEN_NOTHING, CLI_OPERANDS_FILES, 1, 2,
     OPTIONS_STORE | CLI_BIT(LIST) | CLI_BIT(VERIFY) | CLI_BIT(PURGE) | CLI_BIT(ID) |
         CLI_BIT(JSON) | CLI_BIT(QUIET),
     cli_run_backup,
     "Copies what the directory does not have yet, with checksums. With --list, --verify or --purge\n"
     "the only operand is DIR. Verifying names file and offset of damage, and ends with status 1 if\n"
     "there is any.\n",
     "varve backup books /mnt/backups\n"
     "varve backup --list /mnt/backups\n"
     "varve backup --verify --id 7 /mnt/backups\n"
     "varve backup --purge 10 /mnt/backups\n"},
    {"restore", "DIR STORE", "make a store of a backup", CLI_OUTSIDE, false, CLI_OPEN_NOTHING,
     CLI_OPERANDS_FILES, 2, 2, CLI_BIT(ID) | CLI_BIT(JSON) | CLI_BIT(QUIET) | CLI_BIT(HELP),
     cli_run_restore,
     "Of the newest one, or of that given by --id. Where the store is to be, there must be nothing or\n"
     "an empty directory. Every byte is checked on the way.\n",
     "varve restore /mnt/backups books\n"
     "varve restore /mnt/backups --id 7 books.then\n"},
    {"inspect", "FILE…", "print what a file of a store holds", CLI_OUTSIDE, false, CLI_OPEN_NOTHING,
     CLI_OPERANDS_FILES, 1, ANY_NUMBER,
     CLI_BIT(JSON) | CLI_BIT(LIMIT) | CLI_BIT(KEYS) | CLI_BIT(HELP), cli_run_inspect,
     "Knows CURRENT, MANIFEST, logs, tables and the value log, by their content. Ends with status\n"
     "1 if the file is damaged.\n",
     "varve inspect books/MANIFEST-*\n"
     "varve inspect books/*.sst --limit 5\n"},
    {"shell", "", "type commands one a line", CLI_OUTSIDE, true, CLI_OPEN_NOTHING,
     CLI_OPERANDS_NONE, 0, 0, OPTIONS_STORE | CLI_BIT(READONLY), cli_run_shell,
     "The words are those of the program without the store; `help` lists them. A word may be\n"
     "quoted: \"…\" with escapes as scan prints them, '…' without. Values are printed with escapes.\n"
     "When the input is no terminal there are no prompts, each answer is written at once, errors\n"
     "go to standard error as `error: …`, and the status is 2 if there was any.\n",
     "varve shell books\n"
     "printf 'put a 1\\nget a\\n' | varve shell books\n"},
    {"begin", "", "begin a transaction, or a level within one", CLI_IN_SHELL, true,
     CLI_OPEN_EXISTING, CLI_OPERANDS_NONE, 0, 0, CLI_BIT(HELP), cli_run_begin, NULL, NULL},
    {"commit", "", "make its changes happen as one", CLI_IN_SHELL, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_NONE, 0, 0, CLI_BIT(HELP), cli_run_commit, NULL, NULL},
    {"rollback", "", "take its changes back", CLI_IN_SHELL, true, CLI_OPEN_EXISTING,
     CLI_OPERANDS_NONE, 0, 0, CLI_BIT(HELP), cli_run_rollback, NULL, NULL},
    {"bench", "", "measure the speed of a store", CLI_OUTSIDE, true, CLI_OPEN_NOTHING,
     CLI_OPERANDS_NONE, 0, 0, OPTIONS_STORE | OPTIONS_BENCH, cli_run_bench,
     "Workloads run one after another on the same store, which is made if there is none and stays\n"
     "afterwards. Those that write refuse a store that held entries before, unless --force.\n"
     "  fillseq fillrandom        put every key once, in order or in random order\n"
     "  overwrite deleterandom    put or delete random keys\n"
     "  readrandom readmissing    get random keys that are there, or are not\n"
     "  seekrandom                seek to random keys and read the entry\n"
     "  readseq readreverse       walk over the entries\n"
     "  readwhilewriting          readrandom, with one more thread that overwrites\n"
     "  mixed                     half readrandom, half overwrite\n"
     "Give a directory of its own: the keys are decimal numbers with zeros in front. With --batch\n"
     "the times are those of whole batches.\n",
     "varve bench /tmp/speed --num 1M\n"
     "varve bench /tmp/speed --workload fillrandom,readrandom --threads 4 --json\n"
     "varve bench :memory: --value-size 1Ki --batch 100\n"},
    {"help", "[COMMAND]", "print help", CLI_ANYWHERE, false, CLI_OPEN_NOTHING, CLI_OPERANDS_FILES,
     0, 1, CLI_BIT(WORDS) | CLI_BIT(HELP), cli_run_help, NULL, "varve help scan\n"},
    {"version", "", "print the version", CLI_OUTSIDE, false, CLI_OPEN_NOTHING, CLI_OPERANDS_NONE, 0,
     0, CLI_BIT(HELP), cli_run_version, NULL, NULL},
    {"quit", "", "leave the shell", CLI_IN_SHELL, false, CLI_OPEN_NOTHING, CLI_OPERANDS_NONE, 0, 0,
     CLI_BIT(HELP), cli_run_quit, NULL, NULL},
    {"exit", "", "leave the shell", CLI_IN_SHELL, false, CLI_OPEN_NOTHING, CLI_OPERANDS_NONE, 0, 0,
     CLI_BIT(HELP), cli_run_quit, NULL, NULL},
    {0},
};

const struct cli_command *cli_command_find(const char *name, enum cli_where where)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if ((c->where & where) != 0 && strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

int cli_command_unknown(const char *name, enum cli_where where)
{
    const char *best = NULL;
    size_t best_distance = 3;
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        size_t distance = cli_distance(name, c->name);
        if ((c->where & where) == 0)
            continue;
        if (strlen(name) > 1 && strncmp(name, c->name, strlen(name)) == 0)
            distance = 0;
        if (distance < best_distance && distance < strlen(c->name)) {
            best = c->name;
            best_distance = distance;
        }
    }
    if (name[0] == '-')
        return cli_complain("no option '%s' stands before a command; '%s' lists the commands", name,
                            where == CLI_OUTSIDE ? "varve help" : "help");
    if (best != NULL)
        return cli_complain("no command '%s'; did you mean '%s'?", name, best);
    return cli_complain("no command '%s'; '%s' lists them", name,
                        where == CLI_OUTSIDE ? "varve help" : "help");
}

int cli_command_check(const struct cli_job *job, size_t count)
{
    const struct cli_command *command = job->command;
    if (count >= command->least && count <= command->most)
        return CLI_FINE;
    bool outside = job->shell == NULL;
    return cli_complain("%s operands: %s%s%s%s%s", count < command->least ? "too few" : "too many",
                        outside ? "varve " : "", command->name,
                        outside && command->has_store ? " STORE" : "",
                        command->operands[0] != 0 ? " " : "", command->operands);
}
