#include "lsm/output.h"

#include <stdlib.h>

static enum vv_codec codec_for(const struct vv_output *out)
{
    const struct vv_lsm_options *options = &out->lsm->options;
    if (out->options.last)
        return options->last_codec;
    return out->options.level >= 2 ? options->upper_codec : VV_CODEC_NONE;
}

static enum vv_filter_kind filter_for(const struct vv_output *out)
{
    if (out->options.level == 0)
        return VV_FILTER_BLOOM;
    return out->options.last ? VV_FILTER_FUSE8 : VV_FILTER_FUSE16;
}

static int open_table(struct vv_output *out)
{
    struct vv_lsm *lsm = out->lsm;
    struct vv_table_write_options options = {.order = lsm->laid_order,
                                             .account = lsm->options.account,
                                             .codec = codec_for(out),
                                             .filter = filter_for(out),
                                             .block_bytes = lsm->options.tuning.block_bytes};
    out->number = options.number = vv_lsm_next_file(lsm);
    memcpy(options.uuid, lsm->uuid, sizeof options.uuid);
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_TABLE, out->number);
    return vv_table_writer_open(lsm->options.env, path.text, &options, &out->writer);
}

/* Finds the layers of the ranges. */
static int find_layers(struct vv_output *out)
{
    const struct vv_range *ranges = out->options.ranges;
    struct vv_output_cursor layer = {0, 0};
    int rc = VV_OK;
    for (; rc == VV_OK && layer.end < out->options.range_count; layer.next = layer.end) {
        do
            layer.end++;
        while (layer.end < out->options.range_count &&
               vv_order_cmp(vv_lsm_order(out->lsm), ranges[layer.end - 1].to,
                            ranges[layer.end].from) <= 0);
        rc = vv_buf_append(&out->cursors, &layer, sizeof layer);
    }
    return rc;
}

static vv_slice later(const struct vv_order *order, vv_slice a, vv_slice b)
{
    return vv_order_cmp(order, a, b) < 0 ? b : a;
}

/* Gives the table the ranges of a layer from where it begins to `end`, which is where the next one
 * begins (NULL: all that are left). */
static int put_layer(struct vv_output *out, struct vv_output_cursor *cursor, const vv_slice *end)
{
    const struct vv_order *order = vv_lsm_order(out->lsm);
    for (;; cursor->next++) {
        if (cursor->next == cursor->end)
            return VV_OK;
        struct vv_range range = out->options.ranges[cursor->next];
        if (out->has_low)
            range.from = later(order, range.from, vv_buf_slice(&out->low_key));
        if (end != NULL && vv_order_cmp(order, range.from, *end) >= 0)
            return VV_OK;
        bool goes_on = end != NULL && vv_order_cmp(order, range.to, *end) > 0;
        if (goes_on)
            range.to = *end;
        int rc = vv_table_writer_add_range(out->writer, &range);
        if (rc < 0 || goes_on)
            return rc;
    }
}

static int put_ranges(struct vv_output *out, const vv_slice *end)
{
    struct vv_output_cursor *cursors = (struct vv_output_cursor *)(void *)out->cursors.data;
    size_t count = out->cursors.size / sizeof cursors[0];
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < count; i++)
        rc = put_layer(out, &cursors[i], end);
    if (rc == VV_OK && count > 0 && end != NULL) {
        out->has_low = true;
        rc = vv_buf_assign(&out->low_key, *end);
    }
    return rc;
}

static bool ranges_left(const struct vv_output *out)
{
    const struct vv_output_cursor *cursors =
        (const struct vv_output_cursor *)(const void *)out->cursors.data;
    for (size_t i = 0; i < out->cursors.size / sizeof cursors[0]; i++) {
        if (cursors[i].next < cursors[i].end)
            return true;
    }
    return false;
}

/* Ends the table where the next one begins (NULL: there is none). */
static int close_table(struct vv_output *out, const vv_slice *end)
{
    struct vv_table_facts facts = {0};
    int rc = put_ranges(out, end);
    if (rc < 0)
        return rc;
    struct vv_table_writer *writer = out->writer;
    out->writer = NULL;
    rc = vv_table_writer_finish(writer, &facts);
    if (rc == VV_OK)
        rc = vv_edit_add_table(&out->made, out->options.level, out->number,
                               vv_env_wall_us(out->lsm->options.env), &facts);
    out->bytes += facts.size_bytes;
    vv_table_facts_deinit(&facts);
    return rc;
}

int vv_output_init(struct vv_output *out, struct vv_lsm *lsm,
                   const struct vv_output_options *options)
{
    *out = (struct vv_output){.lsm = lsm, .options = *options};
    return find_layers(out);
}

/* Whether a split key lies between the key before and this one. */
static bool crosses_split(struct vv_output *out, vv_slice key)
{
    bool crossed = false;
    while (out->next_split < out->options.split_count &&
           vv_order_cmp(vv_lsm_order(out->lsm), out->options.splits[out->next_split], key) < 0) {
        out->next_split++;
        crossed = true;
    }
    return crossed;
}

/* Only between user keys: the versions of one key stay together. */
static bool should_cut(struct vv_output *out, vv_slice key)
{
    if (out->has_key && vv_slice_equal(vv_buf_slice(&out->last_key), key))
        return false;
    uint64_t size = out->writer != NULL ? vv_table_writer_size(out->writer) : 0;
    bool crossed = crosses_split(out, key);
    return out->writer != NULL &&
           (size >= out->options.table_bytes || (crossed && size >= out->options.table_bytes / 4));
}

int vv_output_add(struct vv_output *out, const struct vv_entry *entry, uint64_t value_bytes)
{
    int rc;
    if (should_cut(out, entry->key) && (rc = close_table(out, &entry->key)) < 0)
        return rc;
    if (out->writer == NULL && (rc = open_table(out)) < 0)
        return rc;
    if ((rc = vv_buf_assign(&out->last_key, entry->key)) < 0)
        return rc;
    out->has_key = true;
    return vv_table_writer_add(out->writer, entry, value_bytes);
}

int vv_output_replaces(struct vv_output *out, uint64_t number)
{
    return vv_buf_append(&out->replaced, &number, sizeof number);
}

static int number_cmp(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* What lingers, because somebody still reads it, is not needed whatever becomes of this job. */
static int tell_replaced(struct vv_output *out)
{
    struct vv_lsm *lsm = out->lsm;
    int rc = VV_OK;
    if (out->made.table_count > 0 && out->replaced.size > 0)
        rc = vv_env_sync_dir(lsm->options.env, lsm->options.path);
    if (rc < 0 || (rc = vv_tables_lingering(lsm->tables, &out->replaced)) < 0)
        return rc;
    uint64_t *numbers = (uint64_t *)(void *)out->replaced.data;
    size_t count = out->replaced.size / sizeof numbers[0];
    if (count > 0)
        qsort(numbers, count, sizeof numbers[0], number_cmp);
    vv_table_writer_replaces(out->writer, numbers, count);
    return VV_OK;
}

int vv_output_finish(struct vv_output *out)
{
    int rc;
    if (out->writer == NULL && ranges_left(out) && (rc = open_table(out)) < 0)
        return rc;
    if (out->writer != NULL && ((rc = tell_replaced(out)) < 0 || (rc = close_table(out, NULL)) < 0))
        return rc;
    return vv_env_sync_dir(out->lsm->options.env, out->lsm->options.path);
}

uint64_t vv_output_size(const struct vv_output *out)
{
    return out->bytes + (out->writer != NULL ? vv_table_writer_size(out->writer) : 0);
}

int vv_output_metas(struct vv_output *out, struct vv_table_add *adds)
{
    struct vv_edit copy = {0};
    int rc = VV_OK;
    size_t made = 0;
    /* The edit keeps its own facts: it is still to be written. */
    for (size_t i = 0; rc == VV_OK && i < out->made.table_count; i++) {
        const struct vv_edit_table *t = &out->made.tables[i];
        rc = vv_edit_add_table(&copy, t->level, t->number, t->created_us, &t->facts);
        if (rc == VV_OK)
            rc = vv_table_meta_new(out->lsm->tables, t->number, &copy.tables[i].facts,
                                   &adds[i].table);
        if (rc == VV_OK) {
            adds[i].level = t->level;
            adds[i].table->created_us = t->created_us;
            made++;
        }
    }
    if (rc < 0) {
        while (made > 0)
            vv_table_meta_unref(adds[--made].table);
    }
    vv_edit_deinit(&copy);
    return rc;
}

static void remove_table(struct vv_lsm *lsm, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_TABLE, number);
    /* What cannot be removed now, the next open removes. */
    int rc = vv_env_remove(lsm->options.env, path.text);
    (void)rc;
}

void vv_output_deinit(struct vv_output *out, enum vv_output_fate fate)
{
    if (fate == VV_OUTPUT_DISCARD && out->number > 0) {
        size_t count = out->made.table_count;
        vv_table_writer_abort(out->writer);
        /* The last one first: it says that others are not needed beside all of these. */
        if (count == 0 || out->made.tables[count - 1].number != out->number)
            remove_table(out->lsm, out->number);
        while (count > 0)
            remove_table(out->lsm, out->made.tables[--count].number);
    }
    vv_edit_deinit(&out->made);
    vv_buf_deinit(&out->last_key);
    vv_buf_deinit(&out->replaced);
    vv_buf_deinit(&out->low_key);
    vv_buf_deinit(&out->cursors);
    *out = (struct vv_output){0};
}
