/*
 * Laying records: one write for a group, however many records it has.
 *
 *      small record      large record                       small record
 *      head key body     head key ┐ body (caller's) ┌ pad    head key body pad
 *      ── staged ───────────────► ┘                 └─────── staged ──────────►
 *
 * Small records and the heads of large ones are put together in one staging buffer; the bodies of
 * large ones are written from where they are. Everything is one vectored write.
 *
 * One thread appends while another may sync. They meet in three atomics: `size` (bytes laid, stored
 * after the write), `synced_size` (bytes known durable, stored after the sync) and `failure`.
 */
#include "log/format.h"

#include "base/coding.h"
#include "env/thread.h"

#include <stdio.h>

enum {
    SMALL_SIZE_MAX = 4096,       /* records up to this are copied */
    STAGED_KEEP_BYTES = 1 << 20, /* a staging buffer larger than this is not kept */
    SPARE_CHUNK_BYTES = 1 << 20,
    STORY_SIZE = 512,
    STORY_PENDING = 1, /* in `failure`: somebody is writing the story */
    SYNC_RANK = 90,    /* only the world locks under it */
};

struct vv_log {
    struct vv_file *file; /* constant after creation, like the next two */
    struct vv_log_head head;
    bool prev_synced;

    /* the appending thread's own */
    struct vv_buf staged;
    vv_slice *parts;
    size_t part_count;
    size_t part_cap;
    uint64_t seq_floor; /* the next record's sequence is at least this, */
    bool seq_exact;     /* and if this is set, exactly this */

    _Atomic(uint64_t) size;        /* release after the write: a syncer covers what it reads here */
    _Atomic(uint64_t) synced_size; /* release after the sync; changed under sync_mu */
    _Atomic(uint64_t) pushed_size; /* relaxed: it tells pushers apart and guards nothing */
    _Atomic(int) failure;          /* release after the story is written; 0 while all is well */
    char story[STORY_SIZE];

    struct vv_mutex sync_mu; /* protects all below; rank 90; held during a sync, so that each
                              * syncer learns of its failure */
    int sync_failure;        /* after it nothing is known of what was laid */
    char sync_story[STORY_SIZE];
    _Atomic(bool) cut; /* what a failed append left behind the end is gone for good */
};

/* ---- failing for good */

static int poison(struct vv_log *log, int rc)
{
    int none = VV_OK;
    if (atomic_compare_exchange_strong(&log->failure, &none, STORY_PENDING)) {
        (void)snprintf(log->story, sizeof log->story, "%s", vv_error_story());
        atomic_store_explicit(&log->failure, rc, memory_order_release);
    }
    return rc;
}

static int check_poison(const struct vv_log *log)
{
    int rc;
    while ((rc = atomic_load_explicit(&log->failure, memory_order_acquire)) == STORY_PENDING)
        vv_cpu_relax();
    return VV_LIKELY(rc == VV_OK) ? VV_OK : vv_fail_again(rc, log->story);
}

/* ---- creating */

static int write_head(struct vv_log *log)
{
    uint8_t raw[VV_LOG_HEAD_SIZE];
    vv_log_head_encode(&log->head, raw);
    return vv_file_write_at(log->file, 0, &(vv_slice){raw, sizeof raw}, 1);
}

/* Learns from a spare's first bytes what stands behind them: zeros if it was never used, else
 * records of a former life, which must not share the salt. */
static int learn_former_life(struct vv_log *log)
{
    uint8_t raw[VV_LOG_HEAD_SIZE];
    uint64_t size_bytes;
    size_t got;
    int rc;
    if ((rc = vv_file_size(log->file, &size_bytes)) < 0)
        return rc;
    if ((rc = vv_file_read_at(log->file, 0, raw, sizeof raw, &got)) < 0)
        return rc;
    if (vv_log_is_blank(vv_slice_of(raw, got)))
        return VV_OK;
    log->head.stale_end = size_bytes;
    if (got == sizeof raw && vv_get_u32(raw + 12) == log->head.salt)
        log->head.salt++;
    return VV_OK;
}

/* VV_NOTFOUND when there is no such spare. The header is durable before the file gets its name, so
 * that under this name there never is a former life's header. */
static int take_over(struct vv_env *env, const char *path, const char *spare, struct vv_log *log)
{
    struct vv_path_info info;
    int rc = vv_env_info(env, path, &info);
    if (rc < 0)
        return rc;
    if (rc == VV_OK)
        return vv_fail(VV_EXISTS, "%s is there already", path);
    if ((rc = vv_env_open(env, spare, VV_OPEN_WRITE, &log->file)) != VV_OK)
        return rc;
    if ((rc = learn_former_life(log)) < 0)
        return rc;
    if ((rc = write_head(log)) < 0)
        return rc;
    if ((rc = vv_file_sync(log->file)) < 0)
        return rc;
    atomic_store_explicit(&log->synced_size, VV_LOG_HEAD_SIZE, memory_order_relaxed);
    return vv_env_rename(env, spare, path);
}

static int make_file(struct vv_env *env, const char *path, const char *spare, struct vv_log *log)
{
    int rc = spare != NULL ? take_over(env, path, spare, log) : VV_NOTFOUND;
    if (rc != VV_NOTFOUND)
        return rc;
    if ((rc = vv_env_open(env, path, VV_OPEN_CREATE, &log->file)) < 0)
        return rc;
    return write_head(log);
}

int vv_log_create(struct vv_env *env, const char *path, const struct vv_log_create_options *options,
                  struct vv_log **out)
{
    struct vv_log *log = vv_alloc_zero(sizeof *log);
    int rc;
    if (log == NULL)
        return VV_NOMEM;
    vv_mutex_init(&log->sync_mu, SYNC_RANK);
    log->head = options->head;
    log->head.stale_end = 0;
    log->head.created_us = vv_env_wall_us(env);
    log->prev_synced = options->prev_synced;
    log->seq_floor = options->head.first_seq;
    atomic_store_explicit(&log->size, VV_LOG_HEAD_SIZE, memory_order_relaxed);
    if ((rc = vv_env_random(env, &log->head.salt, sizeof log->head.salt)) < 0)
        goto out;
    if ((rc = make_file(env, path, options->spare, log)) < 0)
        goto out;
    *out = log;
    log = NULL;
out:
    vv_log_close(log);
    return rc;
}

void vv_log_close(struct vv_log *log)
{
    if (log == NULL)
        return;
    vv_file_close(log->file);
    vv_buf_deinit(&log->staged);
    vv_free(log->parts);
    vv_mutex_deinit(&log->sync_mu);
    vv_free(log);
}

/* ---- appending */

static bool is_small(const struct vv_record *record)
{
    return vv_record_size(record->key.size, record->body.size) <= SMALL_SIZE_MAX;
}

/* Makes room for what lay() puts into the staging buffer and the list of parts. */
static int make_room(struct vv_log *log, const struct vv_record *records, size_t count)
{
    size_t staged_bytes = 0;
    size_t part_count = 1;
    for (size_t i = 0; i < count; i++) {
        const struct vv_record *record = &records[i];
        vv_assert(record->key.size <= VV_RECORD_KEY_SIZE_MAX);
        if (record->body.size > UINT32_MAX - record->key.size)
            return vv_fail(VV_TOOBIG, "a record of %zu bytes exceeds the limit of %u",
                           record->body.size, UINT32_MAX);
        staged_bytes += VV_RECORD_HEAD_SIZE + VV_RECORD_ALIGN;
        if (is_small(record))
            staged_bytes += record->key.size + record->body.size;
        else
            part_count += 3;
    }
    vv_buf_clear(&log->staged);
    log->part_count = 0;
    if (part_count > log->part_cap) {
        vv_slice *parts = vv_realloc(log->parts, part_count * sizeof *parts);
        if (parts == NULL)
            return VV_NOMEM;
        log->parts = parts;
        log->part_cap = part_count;
    }
    return vv_buf_reserve(&log->staged, staged_bytes);
}

static void stage(struct vv_log *log, vv_slice bytes)
{
    vv_assert(bytes.size <= log->staged.cap - log->staged.size);
    if (bytes.size > 0)
        memcpy(log->staged.data + log->staged.size, bytes.data, bytes.size);
    log->staged.size += bytes.size;
}

static void add_part(struct vv_log *log, vv_slice part)
{
    if (part.size > 0) {
        vv_assert(log->part_count < log->part_cap);
        log->parts[log->part_count++] = part;
    }
}

/* Ends the run of staged bytes that began at `run` as a part, and gives where the next begins. */
static size_t end_run(struct vv_log *log, size_t run)
{
    add_part(log, vv_slice_of(log->staged.data + run, log->staged.size - run));
    return log->staged.size;
}

static void check_sequence(struct vv_log *log, const struct vv_record_head *head)
{
    vv_assert(head->seq >= log->seq_floor);
    vv_assert(!log->seq_exact || head->seq == log->seq_floor);
    vv_assert(head->seq <= UINT64_MAX - vv_record_head_count(head));
    if (vv_log_is_continuous(log->head.kind)) {
        log->seq_floor = head->seq + vv_record_head_count(head);
        log->seq_exact = true;
    }
}

static void stage_head(struct vv_log *log, const struct vv_record *record, uint64_t offset,
                       bool synced)
{
    unsigned flags = record->flags & ~(unsigned)(VV_RECORD_PREV_SYNCED | VV_RECORD_KEY_64K);
    flags |= synced ? VV_RECORD_PREV_SYNCED : 0;
    flags |= record->key.size >= VV_RECORD_KEY_LONG ? VV_RECORD_KEY_64K : 0;
    struct vv_record_head head = {.size_bytes = (uint32_t)(record->key.size + record->body.size),
                                  .type = (uint8_t)record->type,
                                  .flags = (uint8_t)flags,
                                  .key_size = (uint32_t)record->key.size,
                                  .aux = record->aux,
                                  .seq = record->seq};
    vv_assert(vv_record_head_fits(&head, log->head.kind));
    vv_assert_paranoid(record->body_hash == vv_record_hash(record->key, record->body));
    check_sequence(log, &head);
    vv_record_head_encode(&head, record->body_hash, log->head.salt, offset,
                          log->staged.data + log->staged.size);
    log->staged.size += VV_RECORD_HEAD_SIZE;
}

/* Turns the records into parts to write at `offset`, and gives the offset behind them. Only the
 * first can follow synced bytes: the others follow it. */
static uint64_t lay(struct vv_log *log, const struct vv_record *records, size_t count,
                    uint64_t offset, bool synced, uint64_t *offsets)
{
    static const uint8_t zeros[VV_RECORD_ALIGN] = {0};
    size_t run = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vv_record *record = &records[i];
        uint64_t extent = vv_record_size(record->key.size, record->body.size);
        uint64_t used = (uint64_t)VV_RECORD_HEAD_SIZE + record->key.size + record->body.size;
        if (offsets != NULL)
            offsets[i] = offset;
        stage_head(log, record, offset, synced && i == 0);
        if (is_small(record)) {
            stage(log, record->key);
            stage(log, record->body);
        } else {
            run = end_run(log, run);
            add_part(log, record->key);
            add_part(log, record->body);
        }
        stage(log, vv_slice_of(zeros, (size_t)(extent - used)));
        offset += extent;
    }
    (void)end_run(log, run);
    return offset;
}

int vv_log_append(struct vv_log *log, const struct vv_record *records, size_t count,
                  uint64_t *offsets)
{
    uint64_t offset = atomic_load_explicit(&log->size, memory_order_relaxed);
    uint64_t synced_size = atomic_load_explicit(&log->synced_size, memory_order_acquire);
    int rc = check_poison(log);
    if (rc < 0 || count == 0)
        return rc;
    if ((rc = make_room(log, records, count)) < 0)
        return poison(log, rc);

    bool synced = offset == VV_LOG_HEAD_SIZE ? log->prev_synced : offset == synced_size;
    uint64_t end = lay(log, records, count, offset, synced, offsets);
    if ((rc = vv_file_write_at(log->file, offset, log->parts, log->part_count)) < 0)
        return poison(log, rc);
    atomic_store_explicit(&log->size, end, memory_order_release);
    if (VV_UNLIKELY(log->staged.cap > STAGED_KEEP_BYTES))
        vv_buf_deinit(&log->staged);
    return VV_OK;
}

/* ---- pushing */

void vv_log_push(struct vv_log *log)
{
    uint64_t pushed = atomic_load_explicit(&log->pushed_size, memory_order_relaxed);
    uint64_t synced = atomic_load_explicit(&log->synced_size, memory_order_relaxed);
    uint64_t from = pushed > synced ? pushed : synced;
    uint64_t size = vv_log_size(log);
    if (size <= from || size - from < VV_LOG_PUSH_BYTES)
        return;
    /* Of two who push at once, one does. */
    if (atomic_compare_exchange_strong_explicit(&log->pushed_size, &pushed, size,
                                                memory_order_relaxed, memory_order_relaxed))
        vv_file_push(log->file, from, size - from);
}

/* ---- syncing */

static bool has_ragged_end(const struct vv_log *log)
{
    return atomic_load_explicit(&log->failure, memory_order_acquire) != VV_OK &&
           !atomic_load_explicit(&log->cut, memory_order_acquire);
}

/* A failed append may have left anything behind the end, even whole records. Nobody writes to the
 * file any more, and what is left must neither be found nor be taken for damage. That it cannot be
 * cut loses nothing that was laid, and may be tried again. */
static int cut_end(struct vv_log *log, bool ragged)
{
    return ragged ? vv_file_truncate(log->file, vv_log_size(log)) : VV_OK;
}

static int sync_locked(struct vv_log *log, uint64_t limit)
{
    vv_mutex_assert_held(&log->sync_mu);
    int rc;
    if (log->sync_failure < 0)
        return vv_fail_again(log->sync_failure, log->sync_story);
    bool ragged = has_ragged_end(log);
    uint64_t size = vv_log_size(log);
    uint64_t synced_size = atomic_load_explicit(&log->synced_size, memory_order_relaxed);
    if (size > limit)
        size = limit;
    if (size <= synced_size && !ragged)
        return VV_OK;
    if ((rc = cut_end(log, ragged)) < 0)
        return rc;
    if ((rc = vv_file_sync(log->file)) < 0) {
        (void)snprintf(log->sync_story, sizeof log->sync_story, "%s", vv_error_story());
        log->sync_failure = rc;
        return poison(log, rc);
    }
    if (ragged)
        atomic_store_explicit(&log->cut, true, memory_order_release);
    if (size > synced_size)
        atomic_store_explicit(&log->synced_size, size, memory_order_release);
    return VV_OK;
}

int vv_log_sync_to(struct vv_log *log, uint64_t size_bytes)
{
    vv_mutex_lock(&log->sync_mu);
    int rc = sync_locked(log, size_bytes);
    vv_mutex_unlock(&log->sync_mu);
    return rc;
}

int vv_log_sync(struct vv_log *log)
{
    return vv_log_sync_to(log, UINT64_MAX);
}

int vv_log_cut(struct vv_log *log)
{
    return vv_log_sync_to(log, 0);
}

/* ---- looking */

uint64_t vv_log_size(const struct vv_log *log)
{
    return atomic_load_explicit(&log->size, memory_order_acquire);
}

uint64_t vv_log_synced_size(const struct vv_log *log)
{
    if (has_ragged_end(log))
        return 0;
    return atomic_load_explicit(&log->synced_size, memory_order_acquire);
}

struct vv_file *vv_log_file(struct vv_log *log)
{
    return log->file;
}

const struct vv_log_head *vv_log_head(const struct vv_log *log)
{
    return &log->head;
}

/* ---- spares */

static int fill_with_zeros(struct vv_file *file, uint64_t size_bytes)
{
    uint8_t *zeros = vv_alloc_zero(SPARE_CHUNK_BYTES);
    uint64_t done = 0;
    int rc = VV_OK;
    if (zeros == NULL)
        return VV_NOMEM;
    while (rc == VV_OK && done < size_bytes) {
        uint64_t left = size_bytes - done;
        size_t step = left < SPARE_CHUNK_BYTES ? (size_t)left : SPARE_CHUNK_BYTES;
        rc = vv_file_write_at(file, done, &(vv_slice){zeros, step}, 1);
        done += step;
    }
    vv_free(zeros);
    return rc;
}

/* Removes an unfinished spare, which may be what fills the disk; tells the first failure. */
static int undo_spare(struct vv_env *env, const char *path, int rc)
{
    char story[STORY_SIZE];
    (void)snprintf(story, sizeof story, "%s", vv_error_story());
    int removed = vv_env_remove(env, path);
    return removed < 0 ? vv_fail(rc, "%s; the unfinished %s stays behind", story, path)
                       : vv_fail_again(rc, story);
}

int vv_log_make_spare(struct vv_env *env, const char *path, uint64_t size_bytes)
{
    struct vv_file *file = NULL;
    int rc = vv_env_open(env, path, VV_OPEN_CREATE, &file);
    if (rc < 0)
        return rc;
    if ((rc = fill_with_zeros(file, size_bytes)) < 0)
        goto out;
    rc = vv_file_sync(file);
out:
    vv_file_close(file);
    return rc < 0 ? undo_spare(env, path, rc) : VV_OK;
}
