/*
 * What the readers of the different kinds of files print with.
 */
#ifndef VV_CLI_INSPECT_H
#define VV_CLI_INSPECT_H

#include "env/env.h"
#include "job.h"
#include "kv/entry.h"

/* One file being printed. */
struct cli_inspection {
    struct cli_out *out;
    struct vv_env *env;
    const char *path;
    bool json;
    bool keys_only;
    uint64_t left;    /* entries that may still be printed */
    uint64_t entries; /* seen, printed or not */
    bool is_damaged;
};

/* One version of a key, with its value, the reference to it, or nothing. */
void cli_inspect_entry(struct cli_inspection *in, const struct vv_entry *entry);

/* Prints the latest failure as damage of the file. */
void cli_inspect_damage(struct cli_inspection *in);

/* Prints an identifier of VV_UUID_SIZE bytes in hexadecimal. */
void cli_inspect_uuid(struct cli_out *out, const uint8_t *uuid);

static inline varve_slice cli_inspect_slice(vv_slice s)
{
    return varve_bytes(s.data, s.size);
}

/* Print a key without its keyspace's bytes, and which keyspace that is unless it is the default. */
void cli_inspect_key(struct cli_out *out, vv_slice key);
void cli_inspect_key_json(struct cli_out *out, const char *name, vv_slice key);

/* Print a whole file; each returns VV_OK, also after printing damage, or a failure that kept it
 * from being read at all. */
VV_MUST int cli_inspect_log(struct cli_inspection *in);                    /* inspect_log.c */
VV_MUST int cli_inspect_table(struct cli_inspection *in, uint64_t number); /* inspect_table.c */

#endif
