#include "lsm/replay.h"

#include "kv/batch.h"
#include "kv/expiry.h"
#include "log/log.h"

#include <inttypes.h>
#include <stdlib.h>

void vv_replay_deinit(struct vv_replay *replay)
{
    vv_free(replay->logs);
    *replay = (struct vv_replay){0};
}

/* ------------------------------------------------------------------------------------- listing */

static int log_cmp(const void *a, const void *b)
{
    const struct vv_replay_log *x = a;
    const struct vv_replay_log *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int add_log(struct vv_lsm *lsm, struct vv_replay *replay, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_WAL, number);
    struct vv_path_info info;
    int rc = vv_env_info(lsm->options.env, path.text, &info);
    if (rc != VV_OK)
        return rc < 0 ? rc : VV_OK;
    struct vv_replay_log *logs =
        vv_realloc(replay->logs, (replay->count + 1) * sizeof replay->logs[0]);
    if (logs == NULL)
        return VV_NOMEM;
    replay->logs = logs;
    logs[replay->count++] = (struct vv_replay_log){.number = number, .size_bytes = info.size_bytes};
    return VV_OK;
}

static int list_logs(struct vv_lsm *lsm, struct vv_replay *replay)
{
    struct vv_buf names = VV_BUF_INIT;
    int rc = vv_env_list(lsm->options.env, lsm->options.path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        if (vv_name_parse(name, &number) == VV_NAME_WAL && number >= lsm->log_number)
            rc = add_log(lsm, replay, number);
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    if (rc == VV_OK && replay->count > 0)
        qsort(replay->logs, replay->count, sizeof replay->logs[0], log_cmp);
    return rc;
}

/* ----------------------------------------------------------------------------------- surveying */

/* Where the values are that batches refer to but no mark vouches for. Kept until a mark does. */
struct unproved {
    struct vv_buf records; /* of struct unproved_record */
};

struct unproved_record {
    uint64_t offset;
    vv_seq before; /* the last sequence in front of the record */
};

/* VV_OK if all values that the batch refers to are whole, VV_NOTFOUND if not. */
static int probe_values(const struct vv_version *version, vv_slice ops)
{
    struct vv_reader r = vv_reader_of(ops);
    struct vv_entry op;
    int rc;
    while ((rc = vv_batch_next(&r, &op)) == VV_OK) {
        struct vv_ref ref;
        if (!vv_kind_is_ref(op.kind))
            continue;
        if (!vv_ref_decode(vv_expiry_strip(op.kind, op.value), &ref))
            return VV_NOTFOUND;
        struct vv_value_file *file = vv_version_value_file(version, ref.file);
        if (file == NULL)
            return VV_NOTFOUND;
        rc = vv_values_probe(file, ref, op.key);
        if (rc == VV_CORRUPT)
            return VV_NOTFOUND;
        if (rc < 0)
            return rc;
    }
    return rc == VV_END ? VV_OK : rc;
}

static int open_reader(struct vv_lsm *lsm, uint64_t number, bool later_prev_synced,
                       struct vv_log_reader **out)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_WAL, number);
    struct vv_log_expect expect = {.kind = VV_LOG_WAL,
                                   .number = number,
                                   .uuid = lsm->uuid,
                                   .later_prev_synced = later_prev_synced};
    int rc = vv_log_reader_open(lsm->options.env, path.text, &expect, out);
    return rc == VV_NOTFOUND ? vv_fail(VV_CORRUPT, "%s: the log is missing", path.text) : rc;
}

/* What was flushed needs no proof: its values are durable, and may have been collected since. */
static int survey_record(struct vv_replay_log *log, const struct vv_record *record, uint64_t offset,
                         vv_seq flushed_seq, struct unproved *unproved)
{
    int rc = vv_batch_verify(record->body, record->aux);
    if (rc < 0)
        return rc;
    if ((record->flags & VV_RECORD_PREV_SYNCED) != 0) {
        log->prev_synced = true;
        vv_buf_clear(&unproved->records);
    }
    if ((record->flags & VV_RECORD_HAS_REFS) != 0 && record->seq > flushed_seq) {
        struct unproved_record entry = {offset, log->last_seq};
        rc = vv_buf_append(&unproved->records, &entry, sizeof entry);
    }
    log->last_seq = record->seq + record->aux - 1;
    return rc;
}

/* Cuts the log in front of the first record whose values are not whole. */
static int prove(struct vv_lsm *lsm, const struct vv_version *version, struct vv_replay_log *log,
                 const struct unproved *unproved)
{
    size_t count = unproved->records.size / sizeof(struct unproved_record);
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    size_t at = 0;
    if (count == 0)
        return VV_OK;
    int rc = open_reader(lsm, log->number, false, &reader);
    while (rc == VV_OK && at < count && (rc = vv_log_read(reader, &record, &offset)) == VV_OK) {
        struct unproved_record entry;
        memcpy(&entry, unproved->records.data + at * sizeof entry, sizeof entry);
        if (offset != entry.offset)
            continue;
        rc = probe_values(version, record.body);
        if (rc == VV_NOTFOUND) {
            log->last_seq = entry.before;
            log->end = offset;
            log->cut = true;
            rc = VV_OK;
            break;
        }
        at++;
    }
    vv_log_reader_close(reader);
    return rc < 0 ? rc : VV_OK;
}

static int survey_log(struct vv_lsm *lsm, const struct vv_version *version,
                      struct vv_replay_log *log, bool later_prev_synced)
{
    struct unproved unproved = {VV_BUF_INIT};
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    int rc = open_reader(lsm, log->number, later_prev_synced, &reader);
    if (rc == VV_END) {
        log->headless = true;
        return VV_OK;
    }
    if (rc < 0)
        return rc;
    log->prev_seq = vv_log_reader_head(reader)->prev_seq;
    log->prev_number = vv_log_reader_head(reader)->prev_number;
    while ((rc = vv_log_read(reader, &record, &offset)) == VV_OK) {
        if (record.type == VV_RECORD_BATCH &&
            (rc = survey_record(log, &record, offset, lsm->flushed_seq, &unproved)) < 0) {
            rc = vv_fail_in(rc, "%s/%06" PRIu64 ".wal at %" PRIu64, lsm->options.path, log->number,
                            offset);
            break;
        }
    }
    if (rc == VV_END) {
        log->end = vv_log_reader_end(reader);
        log->cut = vv_log_reader_tail(reader) == VV_LOG_TAIL_TORN;
        /* A log begins above all that had been seen, though its records do not follow on that. */
        uint64_t first_seq = vv_log_reader_head(reader)->first_seq;
        log->seen_seq = first_seq > 0 ? first_seq - 1 : 0;
        if (log->seen_seq < vv_log_reader_seq_seen(reader))
            log->seen_seq = vv_log_reader_seq_seen(reader);
        rc = VV_OK;
    }
    vv_log_reader_close(reader);
    if (rc == VV_OK)
        rc = prove(lsm, version, log, &unproved);
    vv_buf_deinit(&unproved.records);
    return rc;
}

/* ------------------------------------------------------------------------------------ deciding */

/* Whether all logs before replay->logs[at] are known to have been synced. */
static bool vouched_for(const struct vv_lsm *lsm, const struct vv_replay *replay, size_t at)
{
    bool vouched = replay->logs[at].number <= lsm->closed_log;
    for (size_t i = at; !vouched && i < replay->count; i++)
        vouched = replay->logs[i].prev_synced;
    return vouched;
}

/* The MANIFEST names no log as the lowest before its name is durable, and none is removed before the
 * MANIFEST names a higher one. */
static bool lowest_is_there(const struct vv_lsm *lsm, const struct vv_replay *replay)
{
    return replay->count > 0 && replay->logs[0].number == lsm->log_number;
}

/* Each log's header says where the state ended when it was begun: records of older logs beyond that
 * do not count (their writers were told so), and if the older logs end before it, there is a hole,
 * behind which nothing counts. */
static int decide(struct vv_lsm *lsm, struct vv_replay *replay)
{
    vv_seq last = lsm->flushed_seq;
    bool hole = false;
    for (size_t i = 0; i < replay->count; i++) {
        struct vv_replay_log *log = &replay->logs[i];
        if (replay->seen_seq < log->seen_seq)
            replay->seen_seq = log->seen_seq;
        if (log->headless)
            continue;
        if (!hole && log->prev_seq > last &&
            (vouched_for(lsm, replay, i) || !lowest_is_there(lsm, replay)))
            return vv_fail(VV_CORRUPT,
                           "%s/%06" PRIu64 ".wal is missing or cut short: %06" PRIu64
                           ".wal continues after sequence %" PRIu64
                           ", but what is before it ends at %" PRIu64,
                           lsm->options.path, log->prev_number, log->number, log->prev_seq, last);
        hole = hole || log->prev_seq > last;
        log->counts = !hole;
        if (hole)
            continue;
        vv_seq limit = log->last_seq;
        for (size_t k = i + 1; k < replay->count; k++) {
            if (!replay->logs[k].headless && replay->logs[k].prev_seq < limit)
                limit = replay->logs[k].prev_seq;
        }
        if (limit < log->last_seq)
            log->last_seq = limit;
        if (last < log->last_seq)
            last = log->last_seq;
    }
    replay->last_seq = last;
    if (replay->seen_seq < last)
        replay->seen_seq = last;
    return VV_OK;
}

/* After an orderly close nothing may be missing. */
static int check_closed(struct vv_lsm *lsm, const struct vv_replay *replay)
{
    if (lsm->closed_log < lsm->log_number)
        return VV_OK; /* what it held is in tables */
    for (size_t i = 0; i < replay->count; i++) {
        const struct vv_replay_log *log = &replay->logs[i];
        if (log->number == lsm->closed_log && log->end >= lsm->closed_bytes)
            return VV_OK;
        if (log->number == lsm->closed_log)
            return vv_fail(VV_CORRUPT,
                           "%s/%06" PRIu64 ".wal reads up to %" PRIu64
                           ", but was closed with %" PRIu64 " bytes",
                           lsm->options.path, log->number, log->end, lsm->closed_bytes);
    }
    return vv_fail(VV_CORRUPT, "%s/%06" PRIu64 ".wal: the log is missing", lsm->options.path,
                   lsm->closed_log);
}

/* From the newest back, since each log says which one was before it, and how safe those are. A log
 * between the two was never begun: making it failed, and so did removing it. */
int vv_replay_survey(struct vv_lsm *lsm, const struct vv_version *version, struct vv_replay *out)
{
    bool later_prev_synced = false;
    uint64_t chained = UINT64_MAX;
    int rc = list_logs(lsm, out);
    for (size_t i = out->count; rc == VV_OK && i-- > 0;) {
        struct vv_replay_log *log = &out->logs[i];
        log->headless = log->number > chained;
        if (log->headless)
            continue;
        later_prev_synced = later_prev_synced || log->number <= lsm->closed_log;
        rc = survey_log(lsm, version, log, later_prev_synced);
        later_prev_synced = later_prev_synced || log->prev_synced;
        if (rc == VV_OK && !log->headless && log->prev_number > 0)
            chained = log->prev_number;
    }
    if (rc == VV_OK)
        rc = check_closed(lsm, out);
    return rc == VV_OK ? decide(lsm, out) : rc;
}

/* ------------------------------------------------------------------------------------ inserting */

static int insert_batch(struct vv_lsm *lsm, const struct vv_version *version,
                        const struct vv_record *record)
{
    struct vv_reader r = vv_reader_of(record->body);
    struct vv_entry entry = {.seq = record->seq};
    int rc;
    while ((rc = vv_batch_next(&r, &entry)) == VV_OK) {
        if ((rc = vv_memtable_insert(lsm->active, &entry)) < 0)
            return rc;
        if (vv_kind_is_ref(entry.kind)) {
            vv_slice ref = vv_expiry_strip(entry.kind, entry.value);
            struct vv_value_file *file = vv_version_value_file(version, vv_get_u32(ref.data));
            if (file != NULL && (rc = vv_lsm_stow_recovered(lsm, file, lsm->active_id)) < 0)
                return rc;
        }
        entry.seq++;
    }
    return rc == VV_END ? VV_OK : rc;
}

static int insert_log(struct vv_lsm *lsm, const struct vv_version *version,
                      const struct vv_replay_log *log)
{
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    if (!log->counts || log->last_seq == 0)
        return VV_OK;
    int rc = open_reader(lsm, log->number, false, &reader);
    while (rc == VV_OK && (rc = vv_log_read(reader, &record, &offset)) == VV_OK) {
        if (record.type != VV_RECORD_BATCH)
            continue;
        if (record.seq > log->last_seq)
            break;
        /* What was flushed already stands in tables. */
        if (record.seq > lsm->flushed_seq)
            rc = insert_batch(lsm, version, &record);
    }
    vv_log_reader_close(reader);
    return rc < 0 ? rc : VV_OK;
}

int vv_replay_insert(struct vv_lsm *lsm, const struct vv_version *version,
                     const struct vv_replay *replay)
{
    for (size_t i = 0; i < replay->count; i++) {
        int rc = insert_log(lsm, version, &replay->logs[i]);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

/* ------------------------------------------------------------------------------------- cutting */

/* A killed process may have synced nothing of what we read, and the next log's first record will say
 * that all before it is safe. The MANIFEST that is written before it makes their names safe, too. */
static int make_safe(struct vv_lsm *lsm, const struct vv_replay_log *log)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_WAL, log->number);
    struct vv_file *file = NULL;
    int rc = vv_env_open(lsm->options.env, path.text, VV_OPEN_WRITE, &file);
    if (rc == VV_OK && log->cut)
        rc = vv_file_truncate(file, log->end);
    if (rc == VV_OK)
        rc = vv_file_sync(file);
    vv_file_close(file);
    return rc == VV_NOTFOUND ? vv_fail(VV_CORRUPT, "%s: the log is missing", path.text) : rc;
}

static int remove_log(struct vv_lsm *lsm, uint64_t number)
{
    struct vv_path path = vv_path_of(lsm->options.path, VV_NAME_WAL, number);
    int rc = vv_env_remove(lsm->options.env, path.text);
    return rc < 0 ? rc : VV_OK;
}

/* What lies behind a hole goes first and for good: were the logs that make the hole to go before
 * that, and power to fail, the next recovery would find a log without what it builds on. */
int vv_replay_cut(struct vv_lsm *lsm, const struct vv_replay *replay)
{
    bool removed = false;
    int rc = VV_OK;
    for (size_t i = replay->count; rc == VV_OK && i-- > 0;) {
        const struct vv_replay_log *log = &replay->logs[i];
        if (log->headless || log->counts)
            continue;
        rc = remove_log(lsm, log->number);
        removed = true;
    }
    if (rc == VV_OK && removed)
        rc = vv_env_sync_dir(lsm->options.env, lsm->options.path);
    for (size_t i = replay->count; rc == VV_OK && i-- > 0;) {
        const struct vv_replay_log *log = &replay->logs[i];
        if (log->headless)
            rc = remove_log(lsm, log->number);
        else if (log->counts)
            rc = make_safe(lsm, log);
    }
    return rc;
}
