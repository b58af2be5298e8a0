/*
 * Prints a record log: a MANIFEST, a write-ahead log or a file of the value log.
 */
#include "base/error.h"
#include "inspect.h"
#include "kv/batch.h"
#include "log/log.h"
#include "lsm/edit.h"

#include <time.h>

static const char *log_kind_name(enum vv_log_kind kind)
{
    switch (kind) {
    case VV_LOG_WAL: return "write-ahead log";
    case VV_LOG_VALUES: return "value log";
    case VV_LOG_HASH: return "hash log";
    case VV_LOG_MANIFEST: return "MANIFEST";
    }
    return "log";
}

static void print_head(const struct cli_inspection *in, const struct vv_log_head *head)
{
    struct cli_out *out = in->out;
    char created[32] = "?";
    struct tm parts;
    time_t seconds = (time_t)(head->created_us / 1000000);
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &parts);
    cli_out_printf(out,
                   in->json ? "{\"type\":\"%s\",\"number\":%llu,\"store\":\""
                            : "%s, number %llu of store ",
                   log_kind_name(head->kind), (unsigned long long)head->number);
    cli_inspect_uuid(out, head->uuid);
    cli_out_printf(out,
                   in->json ? "\",\"first_seq\":%llu,\"prev_number\":%llu,\"prev_seq\":%llu,"
                            : "\nsequences from %llu, after log %llu that ends at %llu, ",
                   (unsigned long long)head->first_seq, (unsigned long long)head->prev_number,
                   (unsigned long long)head->prev_seq);
    cli_out_printf(out, in->json ? "\"created\":\"%s\"}\n" : "created %s\n", created);
}

/* ------------------------------------------------------------------------------------- records */

static int print_batch(struct cli_inspection *in, const struct vv_record *record)
{
    struct vv_reader r = vv_reader_of(record->body);
    struct vv_entry entry = {.seq = record->seq};
    int rc = vv_batch_verify(record->body, record->aux);
    while (rc == VV_OK && (rc = vv_batch_next(&r, &entry)) == VV_OK) {
        cli_inspect_entry(in, &entry);
        entry.seq++;
    }
    return rc;
}

static void print_edit_lines(struct cli_inspection *in, const struct vv_record *record,
                             vv_slice text)
{
    if (in->json) {
        cli_out_printf(in->out, "{\"seq\":%llu,\"kind\":\"edit\",",
                       (unsigned long long)record->seq);
        cli_out_json_field(in->out, "edit", cli_inspect_slice(text));
        cli_out_text(in->out, "}\n");
        return;
    }
    cli_out_printf(in->out, "%12llu  edit\n", (unsigned long long)record->seq);
    while (text.size > 0) {
        const uint8_t *newline = memchr(text.data, '\n', text.size);
        size_t size = newline != NULL ? (size_t)(newline - text.data) : text.size;
        cli_out_text(in->out, "              ");
        cli_out_bytes(in->out, text.data, size);
        cli_out_byte(in->out, '\n');
        text = vv_slice_skip(text, newline != NULL ? size + 1 : size);
    }
}

static int print_edit(struct cli_inspection *in, const struct vv_record *record)
{
    struct vv_edit edit = {0};
    struct vv_buf text = VV_BUF_INIT;
    int rc;
    in->entries++;
    if ((rc = vv_edit_decode(record->body, &edit)) < 0)
        goto out;
    if (in->left == 0)
        goto out;
    in->left--;
    if ((rc = vv_edit_print(&edit, &text)) < 0)
        goto out;
    print_edit_lines(in, record, vv_buf_slice(&text));
out:
    vv_buf_deinit(&text);
    vv_edit_deinit(&edit);
    return rc;
}

static int print_record(struct cli_inspection *in, const struct vv_record *record, uint64_t offset)
{
    struct vv_entry entry = {record->key, record->body, record->seq, VV_KIND_PUT};
    if (in->left > 0 && !in->json && record->type != VV_RECORD_EDIT)
        cli_out_printf(in->out, "at %llu: %zu bytes%s\n", (unsigned long long)offset,
                       record->key.size + record->body.size,
                       (record->flags & VV_RECORD_PREV_SYNCED) != 0 ? ", all before was synced"
                                                                    : "");
    switch (record->type) {
    case VV_RECORD_BATCH: return print_batch(in, record);
    case VV_RECORD_EDIT: return print_edit(in, record);
    case VV_RECORD_KV: cli_inspect_entry(in, &entry); return VV_OK;
    case VV_RECORD_SEAL:
        cli_out_printf(in->out,
                       in->json ? "{\"kind\":\"seal\",\"offset\":%llu}\n" : "sealed at %llu\n",
                       (unsigned long long)offset);
        return VV_OK;
    }
    return VV_OK;
}

/* All records, over damage too. Gives their number, or a failure other than damage. */
static int print_records(struct cli_inspection *in, struct vv_log_reader *reader, uint64_t *count)
{
    struct vv_record record;
    uint64_t offset = 0;
    int rc = VV_OK;
    while (rc != VV_END && !cli_interrupted() && !cli_out_failed(in->out)) {
        rc = vv_log_read(reader, &record, &offset);
        if (rc == VV_OK) {
            (*count)++;
            rc = print_record(in, &record, offset);
            if (rc == VV_CORRUPT) { /* sound bytes that make no sense: the next may again */
                cli_inspect_damage(in);
                rc = VV_OK;
            }
            if (rc == VV_END)
                rc = VV_OK; /* the batch's end, not the log's */
        } else if (rc == VV_CORRUPT) {
            cli_inspect_damage(in);
            rc = vv_log_reader_skip(reader);
        }
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

/* Opens the log. A torn tail is a matter of course in the logs that recovery reads, but a value file
 * is written whole, and what stands behind a gap in it is of interest too. */
static int open_log(const struct cli_inspection *in, struct vv_log_reader **out)
{
    struct vv_log_expect expect = {0};
    int rc = vv_log_reader_open(in->env, in->path, &expect, out);
    if (rc != VV_OK || vv_log_reader_head(*out)->kind != VV_LOG_VALUES)
        return rc;
    vv_log_reader_close(*out);
    *out = NULL;
    expect.later_prev_synced = true;
    return vv_log_reader_open(in->env, in->path, &expect, out);
}

int cli_inspect_log(struct cli_inspection *in)
{
    struct vv_log_reader *reader = NULL;
    uint64_t count = 0;
    int rc = open_log(in, &reader);
    if (rc == VV_END) {
        cli_out_text(in->out, in->json ? "{\"type\":\"log\",\"records\":0}\n"
                                       : "a log that was never begun\n");
        rc = VV_OK;
        goto out;
    }
    if (rc < 0)
        goto out;
    print_head(in, vv_log_reader_head(reader));
    if ((rc = print_records(in, reader, &count)) < 0)
        goto out;
    const char *tail = vv_log_reader_tail(reader) == VV_LOG_TAIL_TORN ? "torn" : "clean";
    cli_out_printf(in->out,
                   in->json ? "{\"records\":%llu,\"entries\":%llu,\"end\":%llu,\"tail\":\"%s\"}\n"
                            : "%llu records, %llu entries, end at %llu, tail %s\n",
                   (unsigned long long)count, (unsigned long long)in->entries,
                   (unsigned long long)vv_log_reader_end(reader), tail);
out:
    vv_log_reader_close(reader);
    return rc;
}
