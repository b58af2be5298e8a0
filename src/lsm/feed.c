/*
 * The feed: commits in their order, read from the logs.
 *
 *      000004.kept ◄── 000009.wal ◄── 000012.wal     each header names the sequence before it
 *
 * Nothing is shown before it is visible, and nothing that was refused:
 *
 * - The visible sequence is read first, then what the file holds. What a failed append left behind was
 *   cut off before any sequence above its own became visible, so that what is read afresh up to the
 *   visible sequence is what was committed. A record above it is put back and read again later.
 * - Where recovery found that a log holds more than counts, the next log's header says so.
 *
 * Nothing is left out: before a log is left for the next one, what was read must reach the sequence
 * that the next one says is before it. If it does not, history is gone, or the log is damaged.
 *
 * Names are only a way to the files. A writer, in this process or another, may keep, remove or recycle
 * a log at any time; the one that is open stays as it is, or its records no longer verify, and then
 * the file is not to be found under its name any more.
 */
#include "lsm/tree.h"

#include "kv/batch.h"

#include <inttypes.h>
#include <stdlib.h>

enum { TRIES = 100 };

/* A log of the directory. */
struct feed_log {
    uint64_t number; /* 0: none */
    vv_seq prev_seq;
};

struct vv_feed {
    struct vv_lsm *lsm;
    vv_seq from;    /* commits that end before it are passed over */
    vv_seq done;    /* all up to here was shown, or passed over, or never was */
    vv_seq visible; /* when it was last looked at: nothing above is read */
    uint64_t number;
    struct vv_log_reader *reader; /* of log `number` */
    struct feed_log next;         /* the log after it, once there is one */
};

/* ------------------------------------------------------------------------------- finding the logs */

static int number_cmp(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* The numbers of all logs, ascending; one that is being renamed may be there twice. */
static int list_logs(const struct vv_lsm *lsm, struct vv_buf *out)
{
    struct vv_buf names = VV_BUF_INIT;
    int rc = vv_env_list(lsm->options.env, lsm->options.path, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        enum vv_name_kind kind = vv_name_parse(name, &number);
        at += strlen(name) + 1;
        if (kind == VV_NAME_WAL || kind == VV_NAME_KEPT)
            rc = vv_buf_append(out, &number, sizeof number);
    }
    vv_buf_deinit(&names);
    if (rc == VV_OK && out->size > 0)
        qsort(out->data, out->size / sizeof(uint64_t), sizeof(uint64_t), number_cmp);
    return rc;
}

/* VV_NOTFOUND when there is no such log, or none yet. */
static int open_log(const struct vv_lsm *lsm, uint64_t number, struct vv_log_reader **out)
{
    static const enum vv_name_kind kinds[] = {VV_NAME_WAL, VV_NAME_KEPT, VV_NAME_WAL};
    struct vv_log_expect expect = {.kind = VV_LOG_WAL, .number = number, .uuid = lsm->uuid};
    int rc = VV_NOTFOUND;
    for (int i = 0; i < 3 && rc == VV_NOTFOUND; i++) {
        struct vv_path path = vv_path_of(lsm->options.path, kinds[i], number);
        rc = vv_log_reader_open(lsm->options.env, path.text, &expect, out);
    }
    return rc == VV_END ? VV_NOTFOUND : rc;
}

static int read_head(const struct vv_lsm *lsm, uint64_t number, struct vv_log_head *out)
{
    struct vv_log_reader *reader = NULL;
    int rc = open_log(lsm, number, &reader);
    if (rc == VV_OK)
        *out = *vv_log_reader_head(reader);
    vv_log_reader_close(reader);
    return rc;
}

/* Whether a log with a damaged header was never begun: the one after it says that it follows on an
 * older one. */
static bool never_begun(const struct vv_lsm *lsm, const uint64_t *numbers, size_t count, size_t at)
{
    struct vv_log_head head;
    return at + 1 < count && read_head(lsm, numbers[at + 1], &head) == VV_OK &&
           head.prev_number > 0 && head.prev_number < numbers[at];
}

/* The first log above `above`; VV_NOTFOUND when there is none. */
static int find_next(const struct vv_lsm *lsm, uint64_t above, struct feed_log *out)
{
    struct vv_buf list = VV_BUF_INIT;
    int rc = list_logs(lsm, &list);
    const uint64_t *numbers = (const uint64_t *)(const void *)list.data;
    size_t count = list.size / sizeof numbers[0];
    bool found = false;
    for (size_t i = 0; rc == VV_OK && !found && i < count; i++) {
        struct vv_log_head head;
        if (numbers[i] <= above)
            continue;
        rc = read_head(lsm, numbers[i], &head);
        found = rc == VV_OK;
        if (found)
            *out = (struct feed_log){numbers[i], head.prev_seq};
        else if (rc == VV_NOTFOUND || (rc == VV_CORRUPT && never_begun(lsm, numbers, count, i)))
            rc = VV_OK;
    }
    vv_buf_deinit(&list);
    return rc == VV_OK && !found ? VV_NOTFOUND : rc;
}

static int gone(const struct vv_lsm *lsm, vv_seq before)
{
    return vv_fail(VV_MISSING, "%s: history before sequence %" PRIu64 " is gone", lsm->options.path,
                   before);
}

/* The log in which `from` is, or will be: the newest that begins before it. */
static int find_first(const struct vv_lsm *lsm, vv_seq from, struct feed_log *out)
{
    struct vv_buf list = VV_BUF_INIT;
    struct feed_log first = {0, 0};
    bool found = false;
    int rc = list_logs(lsm, &list);
    const uint64_t *numbers = (const uint64_t *)(const void *)list.data;
    size_t count = list.size / sizeof numbers[0];
    for (size_t i = count; rc == VV_OK && !found && i-- > 0;) {
        struct vv_log_head head;
        rc = read_head(lsm, numbers[i], &head);
        if (rc == VV_NOTFOUND || (rc == VV_CORRUPT && never_begun(lsm, numbers, count, i))) {
            rc = VV_OK;
            continue;
        }
        if (rc == VV_OK)
            first = (struct feed_log){numbers[i], head.prev_seq};
        found = rc == VV_OK && head.prev_seq < from;
    }
    vv_buf_deinit(&list);
    if (rc < 0)
        return rc;
    if (first.number == 0)
        return vv_fail(VV_UNSUPPORTED, "%s: changes are read from the log, and there is none",
                       lsm->options.path);
    if (!found)
        return gone(lsm, first.prev_seq + 1);
    *out = first;
    return VV_OK;
}

/* ---------------------------------------------------------------------------------- what is missing */

static uint64_t here(const struct vv_feed *f)
{
    return vv_log_reader_end(f->reader);
}

/* Whether the log is what it was when it was opened. */
static bool still_there(const struct vv_feed *f)
{
    struct vv_log_head head;
    return read_head(f->lsm, f->number, &head) == VV_OK &&
           head.salt == vv_log_reader_head(f->reader)->salt;
}

/* What was read does not reach the next log. Bytes that are no record are damage, as recovery would
 * have cut them off; a log that is whole and too short is what a power cut left of one that nobody
 * needed any more. */
static int tell_hole(const struct vv_feed *f)
{
    const char *dir = f->lsm->options.path;
    if (vv_log_reader_tail(f->reader) == VV_LOG_TAIL_TORN && still_there(f))
        return vv_fail(VV_CORRUPT,
                       "%s: log %06" PRIu64 " is damaged at offset %" PRIu64 ": log %06" PRIu64
                       " continues after sequence %" PRIu64
                       ", but what is before it ends at %" PRIu64,
                       dir, f->number, here(f), f->next.number, f->next.prev_seq, f->done);
    return gone(f->lsm, f->next.prev_seq + 1);
}

/* What seems to be damage may be the bytes of another log, which took the file over. */
static int tell_damage(struct vv_feed *f, int rc)
{
    struct feed_log next;
    if (rc != VV_CORRUPT || still_there(f))
        return rc;
    int next_rc = f->next.number > 0 ? VV_OK : find_next(f->lsm, f->number, &f->next);
    if (next_rc < 0)
        return next_rc;
    next = f->next;
    return gone(f->lsm, next_rc == VV_OK ? next.prev_seq + 1 : f->visible + 1);
}

/* ------------------------------------------------------------------------------------------ moving */

/* A reader beside a writer cannot know without looking. */
static bool may_have_next(const struct vv_feed *f)
{
    return f->lsm->wal == NULL || vv_wal_here(f->lsm->wal).number != f->number;
}

static int look_for_next(struct vv_feed *f)
{
    if (f->next.number > 0 || !may_have_next(f))
        return VV_OK;
    int rc = find_next(f->lsm, f->number, &f->next);
    return rc < 0 ? rc : VV_OK;
}

/* Looks how far may be read now; VV_END when that is no further than before. The order matters. */
static int look(struct vv_feed *f)
{
    vv_seq visible = atomic_load_explicit(f->lsm->options.host->visible, memory_order_acquire);
    if (visible <= f->done)
        return VV_END;
    f->visible = visible;
    vv_log_reader_forget(f->reader);
    return look_for_next(f);
}

static void move_to(struct vv_feed *f, uint64_t number, struct vv_log_reader *reader_take)
{
    vv_log_reader_close(f->reader);
    f->reader = reader_take;
    f->number = number;
    f->next = (struct feed_log){0, 0};
}

/* The log was read to its end, and there is a next one. */
static int go_on(struct vv_feed *f)
{
    struct vv_log_reader *reader = NULL;
    if (f->done < f->next.prev_seq && f->next.prev_seq >= f->from)
        return tell_hole(f);
    int rc = open_log(f->lsm, f->next.number, &reader);
    if (rc == VV_NOTFOUND) { /* it never had a record, or was done with: there is another one */
        f->next = (struct feed_log){0, 0};
        rc = find_next(f->lsm, f->number, &f->next);
        return rc < 0 ? rc : VV_OK;
    }
    if (rc < 0)
        return rc;
    if (f->done < f->next.prev_seq)
        f->done = f->next.prev_seq;
    move_to(f, f->next.number, reader);
    return look_for_next(f);
}

/* What is visible and in no log: numbers that were given to writes that failed, or changes that were
 * never logged, like those of a bulk. Of these the MANIFEST says that they are in tables; it may know
 * of later ones, too, and then there is more to read. */
static int end_here(struct vv_feed *f)
{
    struct vv_lsm *lsm = f->lsm;
    vv_mutex_lock(&lsm->install_mu);
    vv_seq flushed = lsm->flushed_seq;
    vv_mutex_unlock(&lsm->install_mu);
    bool missing = f->done < flushed && f->from <= flushed;
    if (missing && flushed <= f->visible)
        return gone(lsm, flushed + 1);
    if (missing) {
        f->visible = f->done;
        return VV_OK;
    }
    f->done = f->visible;
    return VV_OK;
}

/* Reads one record; VV_END behind the last one that counts. */
static int read_one(struct vv_feed *f, struct vv_record *record, uint64_t *offset)
{
    int rc = vv_log_read(f->reader, record, offset);
    if (rc < 0)
        return tell_damage(f, rc);
    if (rc == VV_OK && f->next.number > 0 && record->seq > f->next.prev_seq)
        return VV_END;
    if (rc == VV_OK && record->seq > f->visible) {
        vv_log_reader_put_back(f->reader);
        f->done = f->visible; /* nothing is between */
        return VV_NOTFOUND;
    }
    return rc;
}

static int verify(const struct vv_feed *f, const struct vv_record *record, uint64_t offset)
{
    int rc = vv_batch_verify(record->body, record->aux);
    if (rc < 0)
        return vv_fail_in(rc, "%s: log %06" PRIu64 " at %" PRIu64, f->lsm->options.path, f->number,
                          offset);
    return VV_OK;
}

/* VV_OK with a record to show, VV_NOTFOUND for none this time. */
static int step(struct vv_feed *f, struct vv_record *record)
{
    uint64_t offset = 0;
    if (f->done >= f->visible) {
        int rc = look(f);
        if (rc != VV_OK)
            return rc;
    }
    int rc = read_one(f, record, &offset);
    if (rc == VV_END) {
        rc = f->next.number > 0 ? go_on(f) : end_here(f);
        return rc < 0 ? rc : VV_NOTFOUND;
    }
    if (rc != VV_OK || record->type != VV_RECORD_BATCH)
        return rc < 0 ? rc : VV_NOTFOUND;
    f->done = record->seq + record->aux - 1;
    if (f->done < f->from)
        return VV_NOTFOUND;
    return verify(f, record, offset);
}

int vv_lsm_feed_next(struct vv_feed *f, struct vv_commit_record *out)
{
    struct vv_record record;
    int rc;
    while ((rc = step(f, &record)) == VV_NOTFOUND)
        ;
    if (rc == VV_OK)
        *out = (struct vv_commit_record){record.seq, record.aux, record.body};
    return rc;
}

/* ------------------------------------------------------------------------------ opening and closing */

int vv_lsm_feed_open(struct vv_engine *e, vv_seq from, struct vv_feed **out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct feed_log first = {0, 0};
    struct vv_log_reader *reader = NULL;
    int rc = VV_NOTFOUND;
    if (!lsm->options.readonly && lsm->wal == NULL)
        return vv_fail(VV_UNSUPPORTED,
                       "%s: changes are read from the log, and at durability 'none' there is none",
                       lsm->options.path);
    struct vv_feed *f = vv_alloc_zero(sizeof *f);
    if (f == NULL)
        return VV_NOMEM;
    for (int i = 0; rc == VV_NOTFOUND && i < TRIES; i++) {
        rc = find_first(lsm, from, &first);
        if (rc == VV_OK)
            rc = open_log(lsm, first.number, &reader);
    }
    if (rc != VV_OK) {
        vv_free(f);
        return rc < 0 ? rc
                      : vv_fail(VV_BUSY, "%s: logs go faster than they can be opened",
                                lsm->options.path);
    }
    *f = (struct vv_feed){.lsm = lsm, .from = from, .done = first.prev_seq};
    move_to(f, first.number, reader);
    *out = f;
    return VV_OK;
}

void vv_lsm_feed_close(struct vv_feed *f)
{
    if (f == NULL)
        return;
    vv_log_reader_close(f->reader);
    vv_free(f);
}

/* ----------------------------------------------------------------------------------------- values */

int vv_lsm_feed_value(struct vv_feed *f, vv_slice raw, vv_slice key, struct vv_pin *out)
{
    struct vv_ref ref;
    if (!vv_ref_decode(raw, &ref))
        return vv_fail(VV_CORRUPT, "%s: log %06" PRIu64 " has a reference of %zu bytes",
                       f->lsm->options.path, f->number, raw.size);
    struct vv_version *version = vv_lsm_version(f->lsm);
    struct vv_value_file *file = vv_version_value_file(version, ref.file);
    int rc = file != NULL ? vv_values_find(file, ref) : VV_NOTFOUND;
    if (rc == VV_OK)
        rc = vv_values_read(file, ref, key, out);
    else if (rc == VV_NOTFOUND)
        rc = vv_fail(VV_MISSING,
                     "%s: a value of a change before sequence %" PRIu64
                     " was overwritten and is gone: it was written without changes_keep",
                     f->lsm->options.path, f->done + 1);
    vv_version_unref(version);
    return rc;
}
