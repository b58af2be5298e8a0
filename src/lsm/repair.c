/*
 * Repair: everything that verifies is read out of the tables and logs, in one merge by key and
 * sequence, and written into new tables of the last level. That costs a copy of the store, and is
 * right whatever is missing: it relies on no level, no order of files and no log being whole.
 *
 * With a MANIFEST only its tables are read. Without one, all tables of the directory are, but for those
 * that a newer one says it has replaced. They must not be read beside it: tombstones and sequences that
 * the merge had no need of are missing in what it made, so that older versions would come back.
 *
 * A key whose newest version is damaged is lost: an older version does not take its place where
 * the newer one is known. Where a whole block is damaged, nobody knows which keys it had, and what
 * older versions there are come to light. The report says so.
 */
#include "lsm/job.h"
#include "lsm/merge.h"
#include "lsm/output.h"
#include "lsm/recover.h"
#include "lsm/salvage.h"
#include "lsm/sift.h"

#include "kv/batch.h"
#include "kv/expiry.h"
#include "log/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct repair {
    struct vv_lsm *lsm;
    void (*report)(void *context, const char *line);
    void *context;
    bool has_manifest;
    struct vv_edit sum;

    struct vv_buf names;
    struct vv_buf tables;         /* of struct vv_table *: what could be opened, newest first */
    struct vv_buf replaced;       /* of uint64_t: tables that newer ones have replaced */
    struct vv_buf damaged;        /* of uint64_t: tables to set aside */
    struct vv_buf damaged_values; /* of uint64_t: value files to set aside */
    struct vv_salvage salvage;
    struct vv_buf iters;        /* of struct vv_iter * */
    struct vv_version *version; /* of value files alone */
    struct vv_memtable *logs;
    vv_seq last_seq;
    uint64_t kept, lost_tables, lost_blocks, lost_values;
};

static void say(struct repair *r, const char *line)
{
    if (r->report != NULL)
        r->report(r->context, line);
}

/* Tells a failure as a loss. Only damage is survivable. */
static int absorb(struct repair *r, int rc)
{
    if (rc != VV_CORRUPT && rc != VV_UNSUPPORTED)
        return rc < 0 ? rc : VV_OK;
    say(r, vv_error_story());
    return VV_OK;
}

static int number_cmp(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static bool holds(const struct vv_buf *numbers, uint64_t wanted)
{
    for (size_t i = 0; i < numbers->size / sizeof wanted; i++) {
        uint64_t number;
        memcpy(&number, numbers->data + i * sizeof number, sizeof number);
        if (number == wanted)
            return true;
    }
    return false;
}

/* Ascending. */
static int list_of(const struct repair *r, enum vv_name_kind wanted, struct vv_buf *numbers)
{
    for (size_t at = 0; at < r->names.size;) {
        const char *name = (const char *)r->names.data + at;
        uint64_t number;
        at += strlen(name) + 1;
        if (vv_name_parse(name, &number) != wanted)
            continue;
        int rc = vv_buf_append(numbers, &number, sizeof number);
        if (rc < 0)
            return rc;
    }
    if (numbers->size > 0)
        qsort(numbers->data, numbers->size / sizeof(uint64_t), sizeof(uint64_t), number_cmp);
    return VV_OK;
}

/* ---------------------------------------------------------------------------------- what there is */

/* Any log's header tells whose files these are; those of value files last, for they may have come with
 * a copy of another store, and then the newest first. */
static int find_uuid(struct repair *r)
{
    struct vv_lsm *lsm = r->lsm;
    static const enum vv_name_kind kinds[] = {VV_NAME_MANIFEST, VV_NAME_WAL, VV_NAME_VALUES};
    for (size_t k = 0; k < 3; k++) {
        struct vv_buf numbers = VV_BUF_INIT;
        int rc = list_of(r, kinds[k], &numbers);
        for (size_t i = 0; rc == VV_OK && i < numbers.size / sizeof(uint64_t); i++) {
            struct vv_log_expect any = {0};
            struct vv_log_reader *reader = NULL;
            uint64_t number;
            memcpy(&number, numbers.data + numbers.size - (i + 1) * sizeof number, sizeof number);
            struct vv_path path = vv_path_of(lsm->options.path, kinds[k], number);
            if (vv_log_reader_open(lsm->options.env, path.text, &any, &reader) == VV_OK) {
                memcpy(lsm->uuid, vv_log_reader_head(reader)->uuid, sizeof lsm->uuid);
                vv_log_reader_close(reader);
                vv_buf_deinit(&numbers);
                return VV_OK;
            }
        }
        vv_buf_deinit(&numbers);
        if (rc < 0)
            return rc;
    }
    return vv_fail(VV_CORRUPT, "%s: no file says which store this was", lsm->options.path);
}

/* Without a MANIFEST the value files themselves tell under which UUIDs they were written. */
static int find_lineage(struct repair *r)
{
    struct vv_lsm *lsm = r->lsm;
    struct vv_buf numbers = VV_BUF_INIT;
    uint8_t uuid[VV_UUID_SIZE]; /* of the file before, */
    uint64_t before = 0;        /* which has this number */
    int rc = list_of(r, VV_NAME_VALUES, &numbers);
    for (size_t i = 0; rc == VV_OK && i < numbers.size / sizeof(uint64_t); i++) {
        struct vv_log_expect any = {.kind = VV_LOG_VALUES};
        struct vv_log_reader *reader = NULL;
        uint64_t number;
        memcpy(&number, numbers.data + i * sizeof number, sizeof number);
        struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_VALUES, number);
        if (vv_log_reader_open(lsm->options.env, path.text, &any, &reader) != VV_OK)
            continue;
        const uint8_t *now = vv_log_reader_head(reader)->uuid;
        if (before > 0 && memcmp(uuid, now, sizeof uuid) != 0)
            rc = vv_lineage_add(&lsm->lineage, uuid, number);
        memcpy(uuid, now, sizeof uuid);
        before = number;
        vv_log_reader_close(reader);
    }
    if (rc == VV_OK && before > 0 && memcmp(uuid, lsm->uuid, sizeof uuid) != 0)
        rc = vv_lineage_add(&lsm->lineage, uuid, before + 1);
    vv_buf_deinit(&numbers);
    return rc;
}

static int read_manifest(struct repair *r)
{
    struct vv_lsm *lsm = r->lsm;
    int rc = vv_recover_sum(lsm, &r->sum);
    r->has_manifest = rc == VV_OK;
    if (rc == VV_OK) {
        r->last_seq = lsm->flushed_seq = r->sum.flushed_seq;
        rc = vv_lineage_append(&lsm->lineage, &r->sum.lineage);
        if (rc < 0)
            return rc;
        lsm->log_number = r->sum.log_number;
        vv_recover_clock(lsm, &r->sum);
        if ((rc = vv_recover_order(lsm, &r->sum)) < 0)
            return rc;
        return vv_recover_next_file(lsm, r->sum.next_file);
    }
    if (rc != VV_CORRUPT && rc != VV_MISSING)
        return rc;
    say(r, vv_error_story());
    say(r, "without a MANIFEST, all tables and logs of the directory are taken");
    vv_edit_deinit(&r->sum);
    if ((rc = find_uuid(r)) < 0 || (rc = find_lineage(r)) < 0 ||
        (rc = vv_recover_order(lsm, &r->sum)) < 0)
        return rc;
    return vv_recover_next_file(lsm, 1);
}

static bool in_force(const struct repair *r, uint64_t number)
{
    if (!r->has_manifest)
        return !holds(&r->replaced, number);
    for (size_t i = 0; i < r->sum.table_count; i++) {
        if (r->sum.tables[i].number == number)
            return true;
    }
    return false;
}

/* Tables say themselves whose they are; without a MANIFEST nobody knows better. */
static const uint8_t *uuid_of_table(const struct repair *r, uint64_t number)
{
    const struct vv_lsm *lsm = r->lsm;
    return r->has_manifest ? vv_lineage_uuid(&lsm->lineage, lsm->uuid, number) : NULL;
}

/* Without a MANIFEST the entries of a raised table are as new as their making was begun. */
static vv_seq raise_of_table(const struct repair *r, uint64_t number)
{
    for (size_t i = 0; i < r->sum.table_count; i++) {
        if (r->sum.tables[i].number == number)
            return r->sum.tables[i].facts.raise;
    }
    return 0;
}

static int open_table(struct repair *r, uint64_t number)
{
    struct vv_lsm *lsm = r->lsm;
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_TABLE, number);
    struct vv_table_open_options options = {.order = vv_lsm_order(lsm),
                                            .account = lsm->options.account,
                                            .number = number,
                                            .raise = raise_of_table(r, number),
                                            .uuid = uuid_of_table(r, number)};
    struct vv_table *table = NULL;
    struct vv_table_facts facts = {0};
    int rc = vv_table_open(lsm->options.env, path.text, &options, &table);
    if (rc == VV_OK && (rc = vv_table_read_facts(table, &facts)) == VV_OK &&
        (rc = vv_table_read_replaces(table, &r->replaced)) == VV_OK) {
        if (facts.max_seq > r->last_seq)
            r->last_seq = facts.max_seq;
        if ((rc = vv_buf_append(&r->tables, &table, sizeof table)) == VV_OK)
            table = NULL;
    }
    vv_table_facts_deinit(&facts);
    vv_table_unref(table);
    if (rc < 0) {
        int noted = vv_buf_append(&r->damaged, &number, sizeof number);
        r->lost_tables++;
        return noted < 0 ? noted : absorb(r, rc);
    }
    return VV_OK;
}

/* Newest first: a table says only of older ones that it has replaced them; and of two versions that
 * look alike in the merge, the first counts. */
static int open_tables(struct repair *r)
{
    struct vv_buf numbers = VV_BUF_INIT;
    int rc = list_of(r, VV_NAME_TABLE, &numbers);
    for (size_t i = numbers.size / sizeof(uint64_t); rc == VV_OK && i-- > 0;) {
        uint64_t number;
        memcpy(&number, numbers.data + i * sizeof number, sizeof number);
        if (in_force(r, number))
            rc = open_table(r, number);
    }
    for (size_t i = 0; rc == VV_OK && i < r->sum.table_count; i++) {
        char line[128];
        struct vv_path path =
            vv_path_of(r->lsm->options.path, VV_NAME_TABLE, r->sum.tables[i].number);
        struct vv_path_info info;
        if ((rc = vv_env_info(r->lsm->options.env, path.text, &info)) == VV_NOTFOUND) {
            (void)snprintf(line, sizeof line,
                           "table %06" PRIu64 " is missing with %" PRIu64 " entries",
                           r->sum.tables[i].number, r->sum.tables[i].facts.entries);
            say(r, line);
            r->lost_tables++;
            rc = VV_OK;
        }
    }
    vv_buf_deinit(&numbers);
    return rc;
}

/* ------------------------------------------------------------------------------------ value files */

static const struct vv_edit_value_file *known_value_file(const struct repair *r, uint64_t number)
{
    for (size_t i = 0; i < r->sum.value_count; i++) {
        if (r->sum.values[i].number == number)
            return &r->sum.values[i];
    }
    return NULL;
}

/* Takes away what an older file serves already: one that was collected and not yet removed has all
 * that the newer one has. */
static void keep_unserved(const struct vv_buf *files, struct vv_buf *serves)
{
    struct vv_value_file *const *list = (struct vv_value_file *const *)(const void *)files->data;
    uint64_t *numbers = (uint64_t *)(void *)serves->data;
    size_t kept = 0;
    for (size_t i = 0; i < serves->size / sizeof numbers[0]; i++) {
        bool served = false;
        for (size_t f = 0; f < files->size / sizeof list[0]; f++) {
            for (size_t k = 0; k < list[f]->serve_count; k++)
                served = served || list[f]->serves[k] == numbers[i];
        }
        if (!served)
            numbers[kept++] = numbers[i];
    }
    serves->size = kept * sizeof numbers[0];
}

/* The numbers of the files whose references lead to this one. */
static int find_serves(struct repair *r, uint64_t number, struct vv_buf *serves)
{
    const struct vv_edit_value_file *known = known_value_file(r, number);
    if (known != NULL)
        return vv_buf_append(serves, known->serves, known->serve_count * sizeof(uint64_t));
    int rc = absorb(r, vv_values_read_serves(r->lsm->values, number, serves));
    if (rc == VV_OK && serves->size == 0)
        rc = vv_buf_append(serves, &number, sizeof number);
    return rc;
}

static int add_value_file(struct repair *r, uint64_t number, struct vv_buf *files)
{
    struct vv_lsm *lsm = r->lsm;
    struct vv_buf serves = VV_BUF_INIT;
    struct vv_value_file *file = NULL;
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_VALUES, number);
    struct vv_path_info info = {.size_bytes = 0};
    bool headless = false;
    int rc = vv_env_info(lsm->options.env, path.text, &info);
    if (rc == VV_OK)
        rc = vv_values_headless(lsm->values, number, &headless);
    if (rc != VV_OK || headless || (r->has_manifest && known_value_file(r, number) == NULL))
        goto out; /* an orphan, or empty */
    if ((rc = find_serves(r, number, &serves)) < 0)
        goto out;
    keep_unserved(files, &serves);
    if (serves.size == 0)
        goto out;
    rc = vv_value_file_new(lsm->values, number, (const uint64_t *)(const void *)serves.data,
                           serves.size / sizeof(uint64_t), &file);
    if (rc == VV_OK) {
        atomic_store(&file->sealed, true);
        atomic_store(&file->record_bytes,
                     info.size_bytes > VV_LOG_HEAD_SIZE ? info.size_bytes - VV_LOG_HEAD_SIZE : 0);
        if ((rc = vv_buf_append(files, &file, sizeof file)) < 0)
            vv_value_file_unref(file);
    }
out:
    vv_buf_deinit(&serves);
    return rc == VV_NOTFOUND ? VV_OK : rc;
}

static int find_values(struct repair *r)
{
    struct vv_buf numbers = VV_BUF_INIT;
    struct vv_buf files = VV_BUF_INIT;
    struct vv_version *empty = NULL;
    int rc = list_of(r, VV_NAME_VALUES, &numbers);
    for (size_t i = 0; rc == VV_OK && i < numbers.size / sizeof(uint64_t); i++) {
        uint64_t number;
        memcpy(&number, numbers.data + i * sizeof number, sizeof number);
        rc = add_value_file(r, number, &files);
    }
    struct vv_value_file **list = (struct vv_value_file **)(void *)files.data;
    size_t count = files.size / sizeof(struct vv_value_file *);
    if (rc == VV_OK && (rc = vv_version_new(vv_lsm_order(r->lsm), &empty)) == VV_OK) {
        struct vv_version_change change = {.value_adds = list, .value_add_count = count};
        rc = vv_version_apply(empty, &change, &r->version);
    }
    while (count > 0)
        vv_value_file_unref(list[--count]);
    vv_version_unref(empty);
    vv_buf_deinit(&files);
    vv_buf_deinit(&numbers);
    return rc;
}

/* -------------------------------------------------------------------------------------------- logs */

static int insert_batch(struct repair *r, const struct vv_record *record)
{
    struct vv_reader in = vv_reader_of(record->body);
    struct vv_entry entry = {.seq = record->seq};
    int rc = vv_batch_verify(record->body, record->aux);
    if (rc < 0)
        return absorb(r, rc);
    while ((rc = vv_batch_next(&in, &entry)) == VV_OK) {
        if ((rc = vv_memtable_insert(r->logs, &entry)) < 0)
            return rc;
        entry.seq++;
    }
    if (rc == VV_END && record->seq + record->aux - 1 > r->last_seq)
        r->last_seq = record->seq + record->aux - 1;
    return rc == VV_END ? VV_OK : rc;
}

static void note_seq(struct repair *r, vv_seq seq)
{
    if (seq <= VV_SEQ_MAX && seq > r->last_seq)
        r->last_seq = seq;
}

/* Tables may have settled all their sequences to 0: then the logs' headers know how far they were. */
static void note_log(struct repair *r, const struct vv_log_reader *reader)
{
    const struct vv_log_head *head = vv_log_reader_head(reader);
    note_seq(r, head->prev_seq);
    if (head->first_seq > 0)
        note_seq(r, head->first_seq - 1);
    note_seq(r, vv_log_reader_seq_seen(reader));
}

/* The last sequence in front of a log, as its header has it: what older logs hold beyond that was
 * never acknowledged. UINT64_MAX where no header says anything. */
static int read_prev_seq(struct repair *r, uint64_t number, vv_seq *out)
{
    struct vv_path path = vv_path_of(r->lsm->options.path, VV_NAME_WAL, number);
    struct vv_log_expect expect = {.kind = VV_LOG_WAL, .number = number, .uuid = r->lsm->uuid};
    struct vv_log_reader *reader = NULL;
    int rc = vv_log_reader_open(r->lsm->options.env, path.text, &expect, &reader);
    *out = rc == VV_OK ? vv_log_reader_head(reader)->prev_seq : UINT64_MAX;
    vv_log_reader_close(reader);
    return rc == VV_CORRUPT || rc == VV_UNSUPPORTED || rc > 0 ? VV_OK : rc;
}

/* Without a MANIFEST, records may be in tables already; they come out of the merge once: same key,
 * same sequence. */
static int read_log(struct repair *r, uint64_t number, vv_seq limit, vv_seq *last)
{
    struct vv_path path = vv_path_of(r->lsm->options.path, VV_NAME_WAL, number);
    struct vv_log_expect expect = {.kind = VV_LOG_WAL, .number = number, .uuid = r->lsm->uuid};
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    int rc = vv_log_reader_open(r->lsm->options.env, path.text, &expect, &reader);
    if (rc != VV_OK)
        return absorb(r, rc);
    for (;;) {
        rc = vv_log_read(reader, &record, &offset);
        if (rc == VV_CORRUPT) {
            say(r, vv_error_story());
            rc = vv_log_reader_skip(reader);
            if (rc == VV_OK)
                continue;
        }
        if (rc != VV_OK)
            break;
        /* The memtable takes sequences in ascending order. */
        if (record.type == VV_RECORD_BATCH && record.seq > *last && record.seq <= limit) {
            if ((rc = insert_batch(r, &record)) < 0)
                break;
            *last = record.seq + record.aux - 1;
        }
    }
    note_log(r, reader);
    vv_log_reader_close(reader);
    return rc < 0 ? rc : VV_OK;
}

static int read_logs(struct repair *r)
{
    struct vv_buf numbers = VV_BUF_INIT;
    /* What tables have may have lost its sequence there, and an older version in a log, of which the
     * newer one is damaged or was never logged, would pass for the newest. */
    vv_seq last = r->lsm->flushed_seq;
    int rc = vv_memtable_new(vv_lsm_order(r->lsm), r->lsm->options.account, &r->logs);
    if (rc == VV_OK)
        rc = list_of(r, VV_NAME_WAL, &numbers);
    const uint64_t *list = (const uint64_t *)(const void *)numbers.data;
    size_t count = numbers.size / sizeof list[0];
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        vv_seq limit = UINT64_MAX;
        if (r->has_manifest && list[i] < r->lsm->log_number)
            continue;
        for (size_t k = i + 1; rc == VV_OK && k < count; k++) {
            vv_seq prev_seq;
            if ((rc = read_prev_seq(r, list[k], &prev_seq)) == VV_OK && prev_seq < limit)
                limit = prev_seq;
        }
        if (rc == VV_OK)
            rc = read_log(r, list[i], limit, &last);
    }
    vv_buf_deinit(&numbers);
    return rc;
}

/* ------------------------------------------------------------------------------------- rewriting */

static int open_merge(struct repair *r, struct vv_iter **out)
{
    size_t count = r->tables.size / sizeof(struct vv_table *);
    size_t made = 0;
    struct vv_iter **sources = vv_alloc((count + 1) * sizeof sources[0]);
    if (sources == NULL)
        return VV_NOMEM;
    int rc = vv_memtable_iter(r->logs, &sources[made]);
    made += rc == VV_OK ? 1 : 0;
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        struct vv_table *table;
        memcpy(&table, r->tables.data + i * sizeof table, sizeof table);
        rc = vv_table_iter(table, VV_TABLE_READ_SALVAGE, &sources[made]);
        if (rc == VV_OK && (rc = vv_buf_append(&r->iters, &sources[made], sizeof sources[0])) < 0)
            vv_iter_close(sources[made]);
        made += rc == VV_OK ? 1 : 0;
    }
    if (rc == VV_OK) {
        rc = vv_merge_iter(vv_lsm_order(r->lsm), sources, made, out);
    } else {
        while (made > 0)
            vv_iter_close(sources[--made]);
    }
    vv_free(sources);
    return rc;
}

/* All range tombstones of tables and logs; what is deleted by one is not written, nor are they. */
static int cast_shadow(struct repair *r, struct vv_shadow *shadow,
                       const struct vv_sift_options *sifting)
{
    vv_shadow_init(shadow, vv_lsm_order(r->lsm), r->lsm->options.account);
    int rc = vv_memtable_list_ranges(r->logs, &shadow->all);
    for (size_t i = 0; rc == VV_OK && i < r->tables.size / sizeof(struct vv_table *); i++) {
        struct vv_table *table;
        size_t count;
        memcpy(&table, r->tables.data + i * sizeof table, sizeof table);
        const struct vv_range *list = vv_table_range_list(table, &count);
        rc = vv_shadow_add(shadow, list, count);
    }
    if (rc < 0)
        return rc;
    return vv_shadow_seal(shadow, sifting->snapshots, sifting->snapshot_count, sifting->last);
}

static int note_damaged_values(struct repair *r, uint64_t number)
{
    return holds(&r->damaged_values, number)
               ? VV_OK
               : vv_buf_append(&r->damaged_values, &number, sizeof number);
}

/* Copies the value of a REF into a new file and lets the entry refer to that. VV_NOTFOUND when the
 * value is lost. */
static int save_value(struct repair *r, struct vv_entry *entry,
                      uint8_t raw[VV_EXPIRY_SIZE + VV_REF_SIZE], uint64_t *value_bytes)
{
    struct vv_ref ref;
    struct vv_value_file *file = NULL;
    vv_slice time = {entry->value.data, vv_kind_expires(entry->kind) ? VV_EXPIRY_SIZE : 0};
    if (vv_ref_decode(vv_expiry_strip(entry->kind, entry->value), &ref))
        file = vv_version_value_file(r->version, ref.file);
    int rc = file == NULL ? vv_fail(VV_CORRUPT, "a value lies in a file that is missing")
                          : vv_salvage_copy(&r->salvage, file, ref, entry->key, &ref);
    if (rc == VV_OK) {
        if (time.size > 0)
            memcpy(raw, time.data, time.size);
        vv_ref_encode(ref, raw + time.size);
        entry->value = vv_slice_of(raw, time.size + VV_REF_SIZE);
        *value_bytes = ref.size_bytes;
        return VV_OK;
    }
    if (rc != VV_CORRUPT)
        return rc;
    r->lost_values++;
    say(r, vv_error_story());
    rc = file != NULL ? note_damaged_values(r, file->number) : VV_OK;
    return rc < 0 ? rc : VV_NOTFOUND;
}

static int copy_entry(struct repair *r, struct vv_output *output, struct vv_entry entry)
{
    uint8_t raw[VV_EXPIRY_SIZE + VV_REF_SIZE];
    uint64_t value_bytes = entry.value.size;
    int rc;
    if (vv_kind_is_ref(entry.kind) && (rc = save_value(r, &entry, raw, &value_bytes)) != VV_OK)
        return rc < 0 ? rc : VV_OK;
    r->kept++;
    return vv_output_add(output, &entry, value_bytes);
}

static int install(struct repair *r, struct vv_output *output, bool *unclear)
{
    struct vv_lsm *lsm = r->lsm;
    struct vv_version *empty = NULL;
    struct vv_version *next = NULL;
    size_t count = 0;
    struct vv_table_add *adds = vv_alloc((output->made.table_count + 1) * sizeof adds[0]);
    if (adds == NULL)
        return VV_NOMEM;
    int rc = vv_output_metas(output, adds);
    count = rc == VV_OK ? output->made.table_count : 0;
    if (rc == VV_OK && (rc = vv_version_new(vv_lsm_order(lsm), &empty)) == VV_OK) {
        struct vv_version_change change = {
            .adds = adds,
            .add_count = count,
            .value_adds = (struct vv_value_file *const *)(void *)r->salvage.files.data,
            .value_add_count = r->salvage.files.size / sizeof(struct vv_value_file *)};
        rc = vv_version_apply(empty, &change, &next);
    }
    if (rc == VV_OK) {
        lsm->flushed_seq = r->last_seq;
        lsm->log_number = atomic_load(&lsm->next_file);
        rc = vv_lsm_rewrite_manifest(lsm, next, unclear);
    }
    vv_version_unref(next);
    vv_version_unref(empty);
    while (count > 0)
        vv_table_meta_unref(adds[--count].table);
    vv_free(adds);
    return rc;
}

/* Tells of the blocks that were left out, and notes their tables. */
static int note_damaged_tables(struct repair *r)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < r->iters.size / sizeof(struct vv_iter *); i++) {
        struct vv_iter *it;
        struct vv_table *table;
        char line[128];
        memcpy(&it, r->iters.data + i * sizeof it, sizeof it);
        memcpy(&table, r->tables.data + i * sizeof table, sizeof table);
        uint64_t number = vv_table_number(table);
        if (vv_table_iter_damages(it) == 0)
            continue;
        (void)snprintf(line, sizeof line, "%06" PRIu64 ".sst: %" PRIu64 " damaged blocks lost",
                       number, vv_table_iter_damages(it));
        say(r, line);
        r->lost_blocks += vv_table_iter_damages(it);
        rc = vv_buf_append(&r->damaged, &number, sizeof number);
    }
    return rc;
}

/* Were power to fail before the new MANIFEST is there, the next repair would find them all. */
static int tell_replaced(const struct repair *r, struct vv_output *output)
{
    struct vv_buf numbers = VV_BUF_INIT;
    int rc = list_of(r, VV_NAME_TABLE, &numbers);
    for (size_t i = 0; rc == VV_OK && i < numbers.size / sizeof(uint64_t); i++) {
        uint64_t number;
        memcpy(&number, numbers.data + i * sizeof number, sizeof number);
        rc = vv_output_replaces(output, number);
    }
    vv_buf_deinit(&numbers);
    return rc;
}

static int rewrite(struct repair *r)
{
    struct vv_lsm *lsm = r->lsm;
    vv_seq now = VV_SEQ_MAX;
    struct vv_shadow shadow = {0};
    struct vv_sift_options sifting = {
        .snapshots = &now, .snapshot_count = 1, .last = true, .shadow = &shadow};
    struct vv_sift sift = {0};
    struct vv_output_options options = {
        .level = VV_LEVELS - 1, .last = true, .table_bytes = lsm->shape.table_bytes};
    struct vv_output output;
    struct vv_iter *merge = NULL;
    bool unclear = false;
    int rc = vv_output_init(&output, lsm, &options);
    if (rc == VV_OK && (rc = cast_shadow(r, &shadow, &sifting)) == VV_OK &&
        (rc = open_merge(r, &merge)) == VV_OK)
        vv_sift_init(&sift, merge, &sifting);
    while (rc == VV_OK) {
        struct vv_entry entry;
        if ((rc = vv_sift_next(&sift, &entry)) == VV_OK)
            rc = copy_entry(r, &output, entry);
        else if (rc == VV_NOTFOUND)
            rc = VV_OK;
    }
    if (rc == VV_END && (rc = note_damaged_tables(r)) == VV_OK &&
        (rc = vv_salvage_finish(&r->salvage)) == VV_OK &&
        (rc = tell_replaced(r, &output)) == VV_OK && (rc = vv_output_finish(&output)) == VV_OK)
        rc = install(r, &output, &unclear);
    bool kept = rc == VV_OK || unclear;
    vv_sift_deinit(&sift);
    vv_shadow_deinit(&shadow);
    vv_output_deinit(&output, kept ? VV_OUTPUT_KEEP : VV_OUTPUT_DISCARD);
    vv_salvage_deinit(&r->salvage, !kept);
    return rc;
}

static int set_files_aside(struct repair *r, enum vv_name_kind kind, const struct vv_buf *numbers)
{
    struct vv_lsm *lsm = r->lsm;
    for (size_t i = 0; i < numbers->size / sizeof(uint64_t); i++) {
        uint64_t number;
        char aside[VV_PATH_SIZE_MAX + 16];
        char line[VV_PATH_SIZE_MAX + 64];
        memcpy(&number, numbers->data + i * sizeof number, sizeof number);
        struct vv_path path = vv_path_of(lsm->options.path, kind, number);
        (void)snprintf(aside, sizeof aside, "%s.damaged", path.text);
        int rc = vv_env_rename(lsm->options.env, path.text, aside);
        if (rc < 0)
            return rc;
        (void)snprintf(line, sizeof line, "set aside: %s", aside);
        say(r, line);
    }
    return VV_OK;
}

/* Damaged files are kept under another name, for whoever knows more. The rest of the old files are
 * orphans now, and the next open removes them. */
static int set_aside(struct repair *r)
{
    int rc = set_files_aside(r, VV_NAME_TABLE, &r->damaged);
    if (rc == VV_OK)
        rc = set_files_aside(r, VV_NAME_VALUES, &r->damaged_values);
    return rc < 0 ? rc : vv_env_sync_dir(r->lsm->options.env, r->lsm->options.path);
}

/* What has been lost was no change: the changes that were kept do not lead to what is there now. */
static int forget_changes(struct repair *r)
{
    struct vv_buf numbers = VV_BUF_INIT;
    int rc = list_of(r, VV_NAME_KEPT, &numbers);
    for (size_t i = 0; rc == VV_OK && i < numbers.size / sizeof(uint64_t); i++) {
        uint64_t number;
        memcpy(&number, numbers.data + i * sizeof number, sizeof number);
        struct vv_path path = vv_path_of(r->lsm->options.path, VV_NAME_KEPT, number);
        rc = vv_env_remove(r->lsm->options.env, path.text);
        rc = rc < 0 ? rc : VV_OK;
    }
    vv_buf_deinit(&numbers);
    return rc;
}

static int repair_all(struct repair *r)
{
    struct vv_lsm *lsm = r->lsm;
    char line[160];
    int rc;
    if ((rc = vv_env_list(lsm->options.env, lsm->options.path, &r->names)) < 0 ||
        (rc = read_manifest(r)) < 0 || (rc = vv_recover_rooms(lsm)) < 0 ||
        (rc = open_tables(r)) < 0 || (rc = find_values(r)) < 0 || (rc = read_logs(r)) < 0 ||
        (rc = rewrite(r)) < 0 || (rc = forget_changes(r)) < 0 || (rc = set_aside(r)) < 0)
        return rc;
    (void)snprintf(line, sizeof line,
                   "%" PRIu64 " keys kept; lost: %" PRIu64 " tables, %" PRIu64
                   " blocks of tables, %" PRIu64 " values",
                   r->kept, r->lost_tables, r->lost_blocks, r->lost_values);
    say(r, line);
    return VV_OK;
}

static void repair_deinit(struct repair *r)
{
    for (size_t i = 0; i < r->tables.size / sizeof(struct vv_table *); i++) {
        struct vv_table *table;
        memcpy(&table, r->tables.data + i * sizeof table, sizeof table);
        vv_table_unref(table);
    }
    vv_memtable_unref(r->logs);
    vv_version_unref(r->version);
    vv_edit_deinit(&r->sum);
    vv_buf_deinit(&r->tables);
    vv_buf_deinit(&r->replaced);
    vv_buf_deinit(&r->damaged);
    vv_buf_deinit(&r->damaged_values);
    vv_buf_deinit(&r->iters);
    vv_buf_deinit(&r->names);
}

int vv_lsm_repair(const struct vv_lsm_options *options,
                  void (*report)(void *context, const char *line), void *context)
{
    struct repair r = {.report = report, .context = context};
    int rc = vv_lsm_new(options, &r.lsm);
    if (rc < 0)
        return rc;
    r.salvage.lsm = r.lsm;
    rc = repair_all(&r);
    repair_deinit(&r);
    vv_lsm_free(r.lsm);
    return rc;
}
