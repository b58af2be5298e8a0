/*
 * Checking: every byte of every file of the current version is read and verified.
 */
#include "kv/batch.h"
#include "kv/expiry.h"
#include "log/log.h"
#include "lsm/tree.h"

#include <inttypes.h>

struct checker {
    void (*report)(void *context, const char *line);
    void *context;
    uint64_t damages;
};

static void note_damage(struct checker *c)
{
    c->damages++;
    if (c->report != NULL)
        c->report(c->context, vv_error_story());
}

/* Damage is counted and the check goes on; other failures end it. */
static int absorb(struct checker *c, int rc)
{
    if (rc != VV_CORRUPT && rc != VV_UNSUPPORTED)
        return rc < 0 ? rc : VV_OK;
    note_damage(c);
    return VV_OK;
}

static int check_facts(struct vv_table *table, const struct vv_table_meta *meta)
{
    struct vv_table_facts facts = {0};
    int rc = vv_table_read_facts(table, &facts);
    if (rc == VV_OK &&
        (facts.entries != meta->facts.entries || facts.tombstones != meta->facts.tombstones ||
         facts.max_seq != meta->facts.max_seq || facts.ranges != meta->facts.ranges ||
         facts.open_end != meta->facts.open_end ||
         !vv_slice_equal(vv_buf_slice(&facts.smallest), vv_table_smallest(meta)) ||
         !vv_slice_equal(vv_buf_slice(&facts.largest), vv_table_largest(meta))))
        rc = vv_fail(VV_CORRUPT, "table %06" PRIu64 " is not what the MANIFEST says it is",
                     meta->number);
    vv_table_facts_deinit(&facts);
    return rc;
}

static int check_table(struct vv_table_meta *meta)
{
    struct vv_table *table;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    if ((rc = vv_table_check(table)) == VV_OK)
        rc = check_facts(table, meta);
    vv_table_unref(table);
    return rc;
}

static int check_values(struct vv_value_file *file)
{
    uint64_t count;
    uint64_t bytes;
    /* Asked before reading: the file may grow and be sealed meanwhile. */
    uint64_t wanted = atomic_load(&file->sealed) ? atomic_load(&file->record_count) : 0;
    int rc = vv_values_check(file, &count, &bytes);
    if (rc == VV_OK && wanted > 0 && count != wanted)
        rc = vv_fail(VV_CORRUPT, "value file %06" PRIu64 " has %" PRIu64 " values, not %" PRIu64,
                     file->number, count, wanted);
    return rc;
}

static int check_version(struct checker *c, const struct vv_version *version)
{
    int rc = VV_OK;
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &version->levels[level];
        for (size_t i = 0; rc == VV_OK && i < run->count; i++)
            rc = absorb(c, check_table(run->tables[i]));
    }
    for (size_t i = 0; rc == VV_OK && i < version->value_count; i++)
        rc = absorb(c, check_values(version->values[i]));
    return rc;
}

/* The logs that the state still needs, and those kept. The newest may be growing while we read. */
static int check_log(struct vv_lsm *lsm, enum vv_name_kind kind, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, kind, number);
    struct vv_log_expect expect = {.kind = VV_LOG_WAL, .number = number, .uuid = lsm->uuid};
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    int rc = vv_log_reader_open(lsm->options.env, path.text, &expect, &reader);
    while (rc == VV_OK && (rc = vv_log_read(reader, &record, &offset)) == VV_OK)
        rc = record.type == VV_RECORD_BATCH ? vv_batch_verify(record.body, record.aux) : VV_OK;
    vv_log_reader_close(reader);
    return rc < 0 ? rc : VV_OK; /* one that is gone was flushed meanwhile */
}

static int check_logs(struct checker *c, struct vv_lsm *lsm)
{
    struct vv_buf names = VV_BUF_INIT;
    vv_mutex_lock(&lsm->install_mu);
    uint64_t needed = lsm->log_number;
    vv_mutex_unlock(&lsm->install_mu);
    int rc = vv_env_list(lsm->options.env, lsm->options.path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        enum vv_name_kind kind = vv_name_parse(name, &number);
        if (kind == VV_NAME_KEPT || (kind == VV_NAME_WAL && number >= needed))
            rc = absorb(c, check_log(lsm, kind, number));
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    return rc;
}

/* Every reference must lead to a value that verifies. */
static int check_refs(struct checker *c, struct vv_engine *e)
{
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *it = NULL;
    vv_seq seq;
    int rc = vv_lsm_iter(e, &options, &seq, &it);
    if (rc == VV_OK)
        rc = vv_iter_first(it);
    while (rc == VV_OK && it->valid) {
        if (vv_kind_is_ref(it->at.kind)) {
            struct vv_pin pin = {0};
            vv_slice ref = vv_expiry_strip(it->at.kind, it->at.value);
            rc = absorb(c, vv_lsm_resolve(it, ref, it->at.key, &pin));
            vv_pin_release(&pin);
        }
        if (rc == VV_OK)
            rc = vv_iter_next(it);
    }
    vv_iter_close(it);
    return rc;
}

int vv_lsm_check(struct vv_engine *e, void (*report)(void *context, const char *line),
                 void *context)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct checker c = {.report = report, .context = context};
    struct vv_version *version = vv_lsm_version(lsm);
    int rc = absorb(&c, vv_current_check(lsm->options.env, lsm->options.path));
    if (rc == VV_OK)
        rc = check_version(&c, version);
    vv_version_unref(version);
    if (rc == VV_OK)
        rc = check_logs(&c, lsm);
    if (rc == VV_OK && c.damages == 0)
        rc = check_refs(&c, e);
    if (rc < 0)
        return rc;
    if (c.damages > 0)
        return vv_fail(VV_CORRUPT, "%s: %" PRIu64 " damages found", lsm->options.path, c.damages);
    return VV_OK;
}
