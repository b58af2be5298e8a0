/*
 * Statistics: gathered into the public struct from where they are kept, and turned into text by one
 * table of its fields.
 */
#include "db/inner_key.h"
#include "db/options.h"
#include "db/store.h"

#include <inttypes.h>

enum {
    FORMAT_VERSION = 1,
    VALUE_SIZE = 8,
    SPACE_KNOWN_BYTES = 1 << 20, /* with less, the disk holds mostly logs and a MANIFEST */
};

struct field {
    const char *name;
    size_t offset;
    size_t count; /* of uint64_t */
};

#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(varve_stats, name), sizeof(((varve_stats *)0)->name) / VALUE_SIZE          \
    }

static const struct field fields[] = {
    FIELD(sequence),
    FIELD(keys_estimate),
    FIELD(disk_bytes),
    FIELD(table_bytes),
    FIELD(value_log_bytes),
    FIELD(value_log_garbage_bytes),
    FIELD(log_bytes),
    FIELD(live_bytes_estimate),
    FIELD(memory_budget),
    FIELD(memory_bytes),
    FIELD(memtable_bytes),
    FIELD(cache_bytes),
    FIELD(table_memory_bytes),
    FIELD(mapped_bytes),
    FIELD(pinned_bytes),
    FIELD(work_bytes),
    FIELD(puts),
    FIELD(deletes),
    FIELD(batches),
    FIELD(gets),
    FIELD(gets_found),
    FIELD(seeks),
    FIELD(nexts),
    FIELD(user_bytes_written),
    FIELD(log_bytes_written),
    FIELD(flush_bytes_written),
    FIELD(compaction_bytes_read),
    FIELD(compaction_bytes_written),
    FIELD(value_log_bytes_written),
    FIELD(syncs),
    FIELD(flushes),
    FIELD(compactions),
    FIELD(trivial_moves),
    FIELD(value_log_collections),
    FIELD(cache_hits),
    FIELD(cache_misses),
    FIELD(filter_skips),
    FIELD(table_reads),
    FIELD(stall_us),
    FIELD(stall_longest_us),
    FIELD(debt_bytes),
    FIELD(level_files),
    FIELD(level_bytes),
    FIELD(snapshots),
    FIELD(iterators),
    FIELD(put_us_p50),
    FIELD(put_us_p99),
    FIELD(put_us_max),
    FIELD(get_us_p50),
    FIELD(get_us_p99),
    FIELD(get_us_max),
    FIELD(put_us_slots),
    FIELD(get_us_slots),
    FIELD(write_amplification_x100),
    FIELD(space_amplification_x100),
    FIELD(read_runs),
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

_Static_assert(sizeof(varve_stats) == sizeof(size_t) + (FIELD_COUNT + 2 * (VARVE_LEVELS - 1) +
                                                        2 * (VARVE_TIME_SLOTS - 1)) *
                                                           VALUE_SIZE,
               "every field of varve_stats has its line in the table");

/* ---- gathering */

static void gather_engine(struct vv_store *s, varve_stats *out)
{
    struct vv_lsm_stats e = {0};
    if (s->maker.stats != NULL)
        s->maker.stats(s->engine, &e);
    out->keys_estimate = e.keys_estimate;
    out->disk_bytes = e.disk_bytes;
    out->table_bytes = e.table_bytes;
    out->value_log_bytes = e.value_log_bytes;
    out->value_log_garbage_bytes = e.value_log_garbage_bytes;
    out->log_bytes = e.log_bytes;
    out->live_bytes_estimate = e.live_bytes_estimate;
    out->log_bytes_written = e.log_bytes_written;
    out->flush_bytes_written = e.flush_bytes_written;
    out->compaction_bytes_read = e.compaction_bytes_read;
    out->compaction_bytes_written = e.compaction_bytes_written;
    out->value_log_bytes_written = e.value_log_bytes_written;
    out->syncs = e.syncs;
    out->flushes = e.flushes;
    out->compactions = e.compactions;
    out->trivial_moves = e.trivial_moves;
    out->value_log_collections = e.value_log_collections;
    out->cache_hits = e.cache_hits;
    out->cache_misses = e.cache_misses;
    out->filter_skips = e.filter_skips;
    out->table_reads = e.table_reads;
    out->debt_bytes = e.debt_bytes;
    memcpy(out->level_files, e.level_files, sizeof out->level_files);
    memcpy(out->level_bytes, e.level_bytes, sizeof out->level_bytes);
    out->read_runs = e.l0_runs;
    for (int level = 1; level < VARVE_LEVELS; level++)
        out->read_runs += e.level_files[level] > 0;
}

static void gather_memory(const struct vv_store *s, varve_stats *out)
{
    const struct vv_account *a = &s->account;
    out->memory_budget = s->options.memory_budget;
    out->memory_bytes = vv_account_total(a);
    out->memtable_bytes = vv_account_used(a, VV_OWNER_MEMTABLE);
    out->cache_bytes = vv_account_used(a, VV_OWNER_CACHE);
    out->table_memory_bytes = vv_account_used(a, VV_OWNER_TABLE);
    out->mapped_bytes = vv_account_used(a, VV_OWNER_MAP);
    out->pinned_bytes = vv_account_used(a, VV_OWNER_PIN);
    out->work_bytes = vv_account_used(a, VV_OWNER_WORK);
}

static void gather_calls(const struct vv_guard *g, varve_stats *out)
{
    uint64_t found = vv_guard_left(g, VV_DOOR_FOUND) + vv_guard_left(g, VV_DOOR_PINNED);
    out->puts = vv_guard_left(g, VV_DOOR_PUT) + vv_guard_tallied(g, VV_TALLY_PUTS);
    out->deletes = vv_guard_left(g, VV_DOOR_DELETE) + vv_guard_tallied(g, VV_TALLY_DELETES);
    out->batches = vv_guard_left(g, VV_DOOR_BATCH);
    out->gets = found + vv_guard_left(g, VV_DOOR_MISSED) + vv_guard_tallied(g, VV_TALLY_GETS);
    out->gets_found = found + vv_guard_tallied(g, VV_TALLY_FOUND);
    out->user_bytes_written = vv_guard_tallied(g, VV_TALLY_USER_BYTES);
}

static void gather_times(const struct vv_store *s, varve_stats *out)
{
    out->stall_us = atomic_load_explicit(&s->commit.stall_us, memory_order_relaxed);
    out->stall_longest_us = atomic_load_explicit(&s->commit.stall_longest_us, memory_order_relaxed);
    out->put_us_p50 = vv_histogram_percentile(&s->put_us, 50);
    out->put_us_p99 = vv_histogram_percentile(&s->put_us, 99);
    out->put_us_max = vv_histogram_max(&s->put_us);
    out->get_us_p50 = vv_histogram_percentile(&s->get_us, 50);
    out->get_us_p99 = vv_histogram_percentile(&s->get_us, 99);
    out->get_us_max = vv_histogram_max(&s->get_us);
    vv_histogram_powers(&s->put_us, out->put_us_slots, VARVE_TIME_SLOTS);
    vv_histogram_powers(&s->get_us, out->get_us_slots, VARVE_TIME_SLOTS);
}

static uint64_t ratio_x100(uint64_t of, uint64_t to)
{
    return to == 0 ? 0 : (uint64_t)((double)of * 100 / (double)to + 0.5);
}

static void gather_ratios(varve_stats *out)
{
    uint64_t written = out->log_bytes_written + out->value_log_bytes_written +
                       out->flush_bytes_written + out->compaction_bytes_written;
    out->write_amplification_x100 = ratio_x100(written, out->user_bytes_written);
    if (out->live_bytes_estimate >= SPACE_KNOWN_BYTES)
        out->space_amplification_x100 = ratio_x100(out->disk_bytes, out->live_bytes_estimate);
}

static void gather(struct vv_store *s, varve_stats *out)
{
    *out = (varve_stats){.size = sizeof *out};
    gather_engine(s, out);
    gather_memory(s, out);
    gather_calls(&s->root->guard, out);
    gather_times(s, out);
    gather_ratios(out);
    out->sequence = atomic_load_explicit(&s->visible, memory_order_acquire);
    out->snapshots = vv_snapshots_count(&s->snapshots);
    vv_iters_count(s, &out->iterators, &out->seeks, &out->nexts);
}

int varve_get_stats(varve *db, varve_stats *out)
{
    struct vv_call call;
    varve_stats now;
    if (out == NULL || out->size < sizeof out->size)
        return vv_fail(VV_INVALID, "statistics need a struct whose size is set");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    gather(db->store, &now);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    /* A program built with another release's header gets the fields it knows. */
    now.size = out->size;
    memcpy(out, &now, out->size < sizeof now ? out->size : sizeof now);
    return VV_OK;
}

int varve_range_bytes(varve *db, varve_slice from, varve_slice to, uint64_t *out)
{
    struct vv_call call;
    struct vv_inner_range range;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the number");
    int rc = vv_key_check(from);
    if (rc == VV_OK)
        rc = vv_key_check(to);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    struct vv_engine *e = db->store->engine;
    if ((rc = vv_keyspace_check(db->keyspace)) == VV_OK &&
        (rc = vv_inner_range_init(&range, db->keyspace, vv_slice_from(from), vv_slice_from(to))) ==
            VV_OK) {
        rc = e->ops->range_bytes(e, range.from.key, range.to.key, out);
        vv_inner_range_deinit(&range);
    }
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

/* ---- text */

static uint64_t field_value(const varve_stats *stats, const struct field *field, size_t index)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)stats + field->offset + index * sizeof value, sizeof value);
    return value;
}

static int print_values(const varve_stats *stats, const struct field *field, const char *between,
                        struct vv_buf *out)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < field->count; i++)
        rc = vv_buf_printf(out, "%s%" PRIu64, i > 0 ? between : "", field_value(stats, field, i));
    return rc;
}

static int print_page(const varve_stats *stats, struct vv_buf *out)
{
    int rc = VV_OK;
    for (int i = 0; rc == VV_OK && i < FIELD_COUNT; i++) {
        if ((rc = vv_buf_printf(out, "%-26s", fields[i].name)) == VV_OK &&
            (rc = print_values(stats, &fields[i], " ", out)) == VV_OK)
            rc = vv_buf_append_byte(out, '\n');
    }
    return rc;
}

static int print_json(const varve_stats *stats, struct vv_buf *out)
{
    int rc = vv_buf_append_byte(out, '{');
    for (int i = 0; rc == VV_OK && i < FIELD_COUNT; i++) {
        bool many = fields[i].count > 1;
        rc = vv_buf_printf(out, "%s\"%s\":%s", i > 0 ? "," : "", fields[i].name, many ? "[" : "");
        if (rc == VV_OK)
            rc = print_values(stats, &fields[i], ",", out);
        if (rc == VV_OK && many)
            rc = vv_buf_append_byte(out, ']');
    }
    return rc == VV_OK ? vv_buf_append_byte(out, '}') : rc;
}

/* Hands the text to the user, ended by a NUL; empties the buffer in any case. */
static int give_text(int rc, struct vv_buf *text, char **out)
{
    if (rc == VV_OK)
        rc = vv_buf_append_byte(text, 0);
    if (rc == VV_OK)
        *out = (char *)text->data;
    else
        vv_buf_deinit(text);
    return rc;
}

int varve_stats_text(varve *db, int json, char **out)
{
    struct vv_call call;
    struct vv_buf text = VV_BUF_INIT;
    varve_stats now;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the text");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    gather(db->store, &now);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return give_text(json ? print_json(&now, &text) : print_page(&now, &text), &text, out);
}

/* ---- properties */

static int print_uuid(struct vv_store *s, struct vv_buf *out)
{
    struct vv_lsm_stats e = {0};
    int rc = VV_OK;
    if (s->maker.stats != NULL)
        s->maker.stats(s->engine, &e);
    for (size_t i = 0; rc == VV_OK && i < sizeof e.uuid; i++)
        rc = vv_buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                           e.uuid[i]);
    return rc;
}

static int print_field(struct vv_store *s, const char *name, struct vv_buf *out)
{
    varve_stats now;
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        gather(s, &now);
        return print_values(&now, &fields[i], " ", out);
    }
    return VV_NOTFOUND;
}

static int print_property(struct vv_store *s, const char *name, struct vv_buf *out)
{
    if (strcmp(name, "engine") == 0)
        return vv_buf_printf(out, "lsm");
    if (strcmp(name, "path") == 0)
        return vv_buf_printf(out, "%s", s->path);
    if (strcmp(name, "uuid") == 0)
        return print_uuid(s, out);
    if (strcmp(name, "format") == 0)
        return vv_buf_printf(out, "%d", FORMAT_VERSION);
    if (strcmp(name, "options") == 0)
        return vv_options_print(&s->options, out);
    int rc = print_field(s, name, out);
    if (rc == VV_NOTFOUND && s->maker.describe != NULL)
        rc = s->maker.describe(s->engine, name, out);
    return rc;
}

int varve_property(varve *db, const char *name, char **out)
{
    struct vv_call call;
    struct vv_buf text = VV_BUF_INIT;
    if (name == NULL || out == NULL)
        return vv_fail(VV_INVALID, "no name was given, or nowhere to put the text");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    rc = print_property(db->store, name, &text);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return give_text(rc, &text, out);
}
