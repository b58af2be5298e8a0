/*
 * inspect prints what one file of a store holds. It finds out what the file is by its content and,
 * where that is damaged, by its name. All is read through the doors of the format rooms, so what is
 * printed here as sound is what a store would take for sound.
 */
#include "inspect.h"

#include "base/coding.h"
#include "base/error.h"
#include "command.h"
#include "env/posix.h"
#include "kv/expiry.h"
#include "kv/ref.h"
#include "log/log.h"
#include "lsm/manifest.h"
#include "lsm/names.h"
#include "sst/format.h"

#include <string.h>

enum { VALUE_BYTES_SHOWN = 64, CURRENT_BYTES_MAX = 256 };

/* ------------------------------------------------------------------------------------ printing */

static const char *kind_name(enum vv_kind kind)
{
    switch (kind) {
    case VV_KIND_DELETE: return "delete";
    case VV_KIND_PUT: return "put";
    case VV_KIND_PUT_EXPIRES: return "put-expires";
    case VV_KIND_REF_EXPIRES: return "ref-expires";
    case VV_KIND_MERGE: return "merge";
    case VV_KIND_REF: return "ref";
    case VV_KIND_DELETE_RANGE: return "range";
    }
    return "unknown";
}

void cli_inspect_key(struct cli_out *out, vv_slice key)
{
    uint32_t id = 0;
    size_t size = vv_space_decode(key, &id);
    if (id > 0)
        cli_out_printf(out, "%u:", id);
    cli_out_escaped(out, cli_inspect_slice(vv_slice_skip(key, size)));
}

void cli_inspect_key_json(struct cli_out *out, const char *name, vv_slice key)
{
    uint32_t id = 0;
    size_t size = vv_space_decode(key, &id);
    if (id > 0)
        cli_out_printf(out, "\"keyspace\":%u,", id);
    cli_out_json_field(out, name, cli_inspect_slice(vv_slice_skip(key, size)));
}

/* Whether the bytes of the value stand in the entry. */
static bool has_value(enum vv_kind kind)
{
    return kind != VV_KIND_DELETE && !vv_kind_is_ref(kind);
}

static void entry_json(struct cli_inspection *in, const struct vv_entry *entry)
{
    struct vv_ref ref;
    cli_out_printf(in->out, "{\"seq\":%llu,\"kind\":\"%s\",", (unsigned long long)entry->seq,
                   kind_name(entry->kind));
    cli_inspect_key_json(in->out, "key", entry->key);
    vv_slice value = vv_expiry_strip(entry->kind, entry->value);
    if (vv_kind_expires(entry->kind))
        cli_out_printf(in->out, ",\"expires\":%llu",
                       (unsigned long long)vv_expiry_of(entry->kind, entry->value));
    if (has_value(entry->kind) && !in->keys_only) {
        cli_out_byte(in->out, ',');
        cli_out_json_field(in->out, "value", cli_inspect_slice(value));
    } else if (vv_kind_is_ref(entry->kind) && vv_ref_decode(value, &ref)) {
        cli_out_printf(in->out, ",\"file\":%u,\"offset\":%llu,\"size\":%u", ref.file,
                       (unsigned long long)ref.offset_units * 8, ref.size_bytes);
    } else if (entry->kind == VV_KIND_DELETE_RANGE) {
        uint32_t id = 0;
        size_t size = vv_space_decode(entry->value, &id);
        cli_out_byte(in->out, ',');
        cli_out_json_field(in->out, "to", cli_inspect_slice(vv_slice_skip(entry->value, size)));
    }
    cli_out_text(in->out, "}\n");
}

static void entry_text(struct cli_inspection *in, const struct vv_entry *entry)
{
    struct vv_ref ref;
    vv_slice inner = vv_expiry_strip(entry->kind, entry->value);
    varve_slice value = cli_inspect_slice(inner);
    cli_out_printf(in->out, "%12llu  %-6s  ", (unsigned long long)entry->seq,
                   kind_name(entry->kind));
    cli_inspect_key(in->out, entry->key);
    if (has_value(entry->kind) && !in->keys_only) {
        size_t size = value.size;
        if (value.size > VALUE_BYTES_SHOWN)
            value.size = VALUE_BYTES_SHOWN;
        cli_out_byte(in->out, '\t');
        cli_out_escaped(in->out, value);
        if (value.size < size)
            cli_out_printf(in->out, "… (%zu bytes)", size);
    } else if (vv_kind_is_ref(entry->kind) && vv_ref_decode(inner, &ref)) {
        cli_out_printf(in->out, "\tin value file %u at %llu (%u bytes)", ref.file,
                       (unsigned long long)ref.offset_units * 8, ref.size_bytes);
    } else if (entry->kind == VV_KIND_DELETE_RANGE) {
        cli_out_text(in->out, "\tup to ");
        cli_inspect_key(in->out, entry->value);
    }
    if (vv_kind_expires(entry->kind))
        cli_out_printf(in->out, "\texpires %llu",
                       (unsigned long long)vv_expiry_of(entry->kind, entry->value));
    cli_out_byte(in->out, '\n');
}

void cli_inspect_entry(struct cli_inspection *in, const struct vv_entry *entry)
{
    in->entries++;
    if (in->left == 0)
        return;
    in->left--;
    if (in->json)
        entry_json(in, entry);
    else
        entry_text(in, entry);
}

void cli_inspect_damage(struct cli_inspection *in)
{
    varve_slice story = VARVE_STR(vv_error_story());
    in->is_damaged = true;
    if (in->json) {
        cli_out_text(in->out, "{");
        cli_out_json_field(in->out, "damage", story);
        cli_out_text(in->out, "}\n");
    } else {
        cli_out_text(in->out, "damage: ");
        cli_out_escaped(in->out, story);
        cli_out_byte(in->out, '\n');
    }
}

void cli_inspect_uuid(struct cli_out *out, const uint8_t *uuid)
{
    for (int i = 0; i < VV_UUID_SIZE; i++)
        cli_out_printf(out, "%02x", (unsigned)uuid[i]);
}

/* ------------------------------------------------------------------------------------- CURRENT */

static void inspect_current(struct cli_inspection *in, vv_slice text)
{
    uint64_t number = 0;
    bool is_whole = vv_current_parse(text, &number);
    if (!is_whole) {
        (void)vv_fail(VV_CORRUPT,
                      "%s is not what a store writes; opening will look for the newest "
                      "MANIFEST instead",
                      in->path);
        cli_inspect_damage(in);
        return;
    }
    cli_out_printf(in->out,
                   in->json ? "{\"type\":\"current\",\"manifest\":%llu}\n"
                            : "CURRENT, in force is MANIFEST-%06llu\n",
                   (unsigned long long)number);
}

/* ---------------------------------------------------------------------------------- which file */

enum file_type { TYPE_NONE, TYPE_LOG, TYPE_TABLE, TYPE_CURRENT };

struct file_ends {
    uint8_t head[CURRENT_BYTES_MAX];
    size_t head_size;
    uint8_t foot[VV_FOOTER_SIZE]; /* zeros if the file is shorter */
};

static int read_ends(const struct cli_inspection *in, struct file_ends *ends)
{
    struct vv_file *file = NULL;
    uint64_t size_bytes = 0;
    int rc = vv_env_open(in->env, in->path, VV_OPEN_READ, &file);
    if (rc == VV_NOTFOUND)
        rc = vv_fail(VV_MISSING, "no such file");
    if (rc < 0)
        goto out;
    if ((rc = vv_file_size(file, &size_bytes)) < 0)
        goto out;
    if ((rc = vv_file_read_at(file, 0, ends->head, sizeof ends->head, &ends->head_size)) < 0)
        goto out;
    if (size_bytes >= sizeof ends->foot)
        rc =
            vv_file_read_whole(file, size_bytes - sizeof ends->foot, ends->foot, sizeof ends->foot);
out:
    vv_file_close(file);
    return rc;
}

static bool begins_with(const uint8_t *data, size_t size, const char *magic)
{
    size_t magic_size = strlen(magic);
    return size >= magic_size && memcmp(data, magic, magic_size) == 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* By content; a file whose beginning or end is damaged still has its name. */
static enum file_type type_of(const char *path, const struct file_ends *ends)
{
    uint64_t number;
    if (begins_with(ends->head, ends->head_size, "varvelog"))
        return TYPE_LOG;
    if (begins_with(ends->foot, sizeof ends->foot, VV_TABLE_MAGIC))
        return TYPE_TABLE;
    if (begins_with(ends->head, ends->head_size, "MANIFEST-"))
        return TYPE_CURRENT;
    switch (vv_name_parse(last_part(path), &number)) {
    case VV_NAME_CURRENT:
    case VV_NAME_TEMP: return TYPE_CURRENT;
    case VV_NAME_MANIFEST:
    case VV_NAME_WAL:
    case VV_NAME_KEPT:
    case VV_NAME_VALUES: return TYPE_LOG;
    case VV_NAME_TABLE: return TYPE_TABLE;
    case VV_NAME_SPARE:
    case VV_NAME_LOCK:
    case VV_NAME_UNFINISHED:
    case VV_NAME_DAMAGED:
    case VV_NAME_OTHER: break;
    }
    return TYPE_NONE;
}

static int inspect_as(struct cli_inspection *in, enum file_type type, const struct file_ends *ends)
{
    int rc = VV_OK;
    if (type == TYPE_LOG)
        rc = cli_inspect_log(in);
    else if (type == TYPE_TABLE)
        rc = cli_inspect_table(in, vv_get_u64(ends->foot + VV_FOOTER_NUMBER));
    else
        inspect_current(in, (vv_slice){ends->head, ends->head_size});
    if (rc != VV_CORRUPT)
        return rc;
    cli_inspect_damage(in);
    return VV_OK;
}

static void print_title(const struct cli_inspection *in)
{
    varve_slice path = VARVE_STR(in->path);
    if (in->json) {
        cli_out_byte(in->out, '{');
        cli_out_json_field(in->out, "path", path);
        cli_out_text(in->out, "}\n");
    } else {
        cli_out_escaped(in->out, path);
        cli_out_text(in->out, ":\n");
    }
}

static int inspect_file(struct cli_inspection *in)
{
    struct file_ends ends = {0};
    struct vv_path_info info;
    int rc = vv_env_info(in->env, in->path, &info);
    if (rc == VV_OK && info.kind != VV_PATH_FILE)
        return cli_complain("'%s' is no plain file; give a file of a store", in->path);
    if (rc == VV_NOTFOUND)
        return cli_complain("cannot read '%s': no such file", in->path);
    if (rc < 0 || read_ends(in, &ends) < 0)
        return cli_complain("cannot read '%s': %s", in->path, vv_error_story());
    enum file_type type = type_of(in->path, &ends);
    if (type == TYPE_NONE)
        return cli_complain("'%s' is no file that inspect knows", in->path);
    print_title(in);
    if (inspect_as(in, type, &ends) < 0)
        return cli_complain("cannot read '%s': %s", in->path, vv_error_story());
    return in->is_damaged ? CLI_NO : CLI_FINE;
}

int cli_run_inspect(struct cli_job *job)
{
    int status = CLI_FINE;
    for (size_t i = 0; i < job->args.count && !cli_interrupted(); i++) {
        struct cli_inspection in = {.out = job->out,
                                    .env = vv_env_posix(),
                                    .path = job->args.operands[i].bytes.data,
                                    .json = cli_given(&job->args, CLI_OPT_JSON),
                                    .keys_only = cli_given(&job->args, CLI_OPT_KEYS),
                                    .left = UINT64_MAX};
        if (cli_option_count(&job->args, CLI_OPT_LIMIT, 0, UINT64_MAX, &in.left) != CLI_FINE)
            return CLI_ERROR;
        int of_file = inspect_file(&in);
        status = of_file > status ? of_file : status;
    }
    return status;
}
