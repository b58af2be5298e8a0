/*
 * Prints a sorted table: what it says of itself, whether that is so, and its entries.
 */
#include "base/error.h"
#include "inspect.h"
#include "kv/iter.h"
#include "kv/order.h"
#include "sst/table.h"

static void facts_json(struct cli_inspection *in, uint64_t number,
                       const struct vv_table_facts *facts)
{
    struct cli_out *out = in->out;
    cli_out_printf(out, "{\"type\":\"table\",\"number\":%llu,\"size\":%llu,\"entries\":%llu,",
                   (unsigned long long)number, (unsigned long long)facts->size_bytes,
                   (unsigned long long)facts->entries);
    cli_out_printf(out, "\"tombstones\":%llu,\"raw_bytes\":%llu,\"min_seq\":%llu,\"max_seq\":%llu,",
                   (unsigned long long)facts->tombstones, (unsigned long long)facts->raw_bytes,
                   (unsigned long long)facts->min_seq, (unsigned long long)facts->max_seq);
    cli_inspect_key_json(out, "smallest", vv_buf_slice(&facts->smallest));
    cli_out_byte(out, ',');
    cli_inspect_key_json(out, "largest", vv_buf_slice(&facts->largest));
    cli_out_printf(out, ",\"ranges\":%llu,\"open_end\":%s,\"value_files\":[",
                   (unsigned long long)facts->ranges, facts->open_end ? "true" : "false");
    for (size_t i = 0; i < facts->ref_count; i++)
        cli_out_printf(out, "%s{\"number\":%llu,\"count\":%llu,\"bytes\":%llu}", i > 0 ? "," : "",
                       (unsigned long long)facts->refs[i].file,
                       (unsigned long long)facts->refs[i].count,
                       (unsigned long long)facts->refs[i].bytes);
    cli_out_text(out, "]}\n");
}

static void facts_text(struct cli_inspection *in, uint64_t number,
                       const struct vv_table_facts *facts)
{
    struct cli_out *out = in->out;
    cli_out_printf(out, "table, number %llu, %llu bytes; %llu of keys and values\n",
                   (unsigned long long)number, (unsigned long long)facts->size_bytes,
                   (unsigned long long)facts->raw_bytes);
    cli_out_printf(out, "%llu entries, of these %llu deletions; sequences %llu to %llu\n",
                   (unsigned long long)facts->entries, (unsigned long long)facts->tombstones,
                   (unsigned long long)facts->min_seq, (unsigned long long)facts->max_seq);
    cli_out_text(out, "first key  ");
    cli_inspect_key(out, vv_buf_slice(&facts->smallest));
    cli_out_text(out, facts->open_end ? "\nends before " : "\nlast key   ");
    cli_inspect_key(out, vv_buf_slice(&facts->largest));
    cli_out_byte(out, '\n');
    if (facts->ranges > 0)
        cli_out_printf(out, "%llu deleted ranges\n", (unsigned long long)facts->ranges);
    for (size_t i = 0; i < facts->ref_count; i++)
        cli_out_printf(out, "refers to value file %llu: %llu values, %llu bytes\n",
                       (unsigned long long)facts->refs[i].file,
                       (unsigned long long)facts->refs[i].count,
                       (unsigned long long)facts->refs[i].bytes);
}

static int print_facts(struct cli_inspection *in, struct vv_table *table)
{
    struct vv_table_facts facts = {0};
    int rc = vv_table_read_facts(table, &facts);
    if (rc == VV_OK && in->json)
        facts_json(in, vv_table_number(table), &facts);
    else if (rc == VV_OK)
        facts_text(in, vv_table_number(table), &facts);
    vv_table_facts_deinit(&facts);
    return rc;
}

static void print_ranges(struct cli_inspection *in, struct vv_table *table)
{
    size_t count;
    const struct vv_range *list = vv_table_range_list(table, &count);
    for (size_t i = 0; i < count && in->left > 0; i++) {
        struct vv_entry entry = {list[i].from, list[i].to, list[i].seq, VV_KIND_DELETE_RANGE};
        cli_inspect_entry(in, &entry);
    }
}

static int print_entries(struct cli_inspection *in, struct vv_table *table)
{
    struct vv_iter *iter = NULL;
    int rc = vv_table_iter(table, VV_TABLE_READ_SCAN, &iter);
    if (rc == VV_OK)
        rc = vv_iter_first(iter);
    while (rc == VV_OK && iter->valid && in->left > 0 && !cli_interrupted() &&
           !cli_out_failed(in->out)) {
        cli_inspect_entry(in, &iter->at);
        rc = vv_iter_next(iter);
    }
    vv_iter_close(iter);
    return rc;
}

int cli_inspect_table(struct cli_inspection *in, uint64_t number)
{
    struct vv_account account = {0};
    const struct vv_order order = {0};
    struct vv_table *table = NULL;
    const struct vv_table_open_options options = {
        .order = &order, .account = &account, .number = number};
    int rc;
    if ((rc = vv_table_open(in->env, in->path, &options, &table)) < 0)
        goto out;
    if ((rc = print_facts(in, table)) < 0)
        goto out;
    print_ranges(in, table);
    if ((rc = print_entries(in, table)) < 0)
        goto out;
    if ((rc = vv_table_check(table)) < 0)
        goto out;
    cli_out_text(in->out, in->json ? "{\"result\":\"ok\"}\n" : "all blocks verify\n");
out:
    vv_table_unref(table);
    return rc;
}
