#include "lsm/wal.h"

#include "base/alloc.h"
#include "env/thread.h"

enum { SPARES_MAX = 2 };

/* One log file of the chain. `log` is NULL for those that recovery found. */
struct wal_log {
    struct vv_log *log;
    uint64_t number;
    vv_seq prev_seq;     /* 0 of inherited logs */
    uint64_t size_bytes; /* of inherited logs */
    uint32_t syncing;    /* syncs under way: do not close */
    bool synced;         /* whole, and never appended to again */
    bool pinned;         /* stays until it is retired, though it be empty */
    bool retired;        /* not needed any more: release when no sync is under way */
};

struct wal_spare {
    uint64_t number;
    uint64_t size_bytes;
};

/* A log that recovery is done with. */
struct wal_kept {
    uint64_t number;
    uint64_t
        size_bytes; /* that the file takes, more than its records if it was written in advance */
};

struct vv_wal {
    struct vv_wal_options options; /* constant */

    struct vv_mutex sync_mu; /* one sync at a time, so that older logs go first; rank 35 */

    struct vv_mutex mu;    /* protects all below; never held over a sync; rank 55 */
    struct wal_log **logs; /* ascending; the last one is appended to */
    size_t log_count, log_cap;
    struct wal_spare spares[SPARES_MAX];
    size_t spare_count;
    uint64_t spare_bytes;
    struct wal_kept *kept; /* ascending */
    size_t kept_count, kept_cap;
    uint64_t kept_bytes;
    uint64_t named; /* the names of logs up to this number are durable */

    /* the commit leader's own */
    struct vv_record *records;
    size_t record_cap;
    struct vv_log *newest;
    bool broken;
    _Atomic(uint64_t) appended_bytes;
};

int vv_wal_new(const struct vv_wal_options *options, struct vv_wal **out)
{
    struct vv_wal *wal = vv_alloc_zero(sizeof *wal);
    if (wal == NULL)
        return VV_NOMEM;
    wal->options = *options;
    vv_mutex_init(&wal->sync_mu, 35);
    vv_mutex_init(&wal->mu, 55);
    *out = wal;
    return VV_OK;
}

static void log_free(struct wal_log *log)
{
    vv_log_close(log->log);
    vv_free(log);
}

static void remove_file(struct vv_wal *wal, enum vv_name_kind kind, uint64_t number)
{
    struct vv_path path = vv_path_of(wal->options.dir, kind, number);
    /* What cannot be removed now, the next open removes. */
    int rc = vv_env_remove(wal->options.env, path.text);
    (void)rc;
}

void vv_wal_free(struct vv_wal *wal)
{
    if (wal == NULL)
        return;
    for (size_t i = 0; i < wal->log_count; i++)
        log_free(wal->logs[i]);
    vv_free(wal->logs);
    vv_free(wal->kept);
    vv_free(wal->records);
    vv_mutex_deinit(&wal->mu);
    vv_mutex_deinit(&wal->sync_mu);
    vv_free(wal);
}

/* ----------------------------------------------------------------------------------- rotating */

/* Makes room for one more log. */
static int reserve_locked(struct vv_wal *wal)
{
    vv_mutex_assert_held(&wal->mu);
    if (wal->log_count < wal->log_cap)
        return VV_OK;
    size_t cap = wal->log_cap == 0 ? 16 : wal->log_cap * 2;
    struct wal_log **logs = vv_realloc(wal->logs, cap * sizeof logs[0]);
    if (logs == NULL)
        return VV_NOMEM;
    wal->logs = logs;
    wal->log_cap = cap;
    return VV_OK;
}

static bool all_synced_locked(const struct vv_wal *wal)
{
    vv_mutex_assert_held(&wal->mu);
    for (size_t i = 0; i < wal->log_count; i++) {
        const struct wal_log *log = wal->logs[i];
        if (log->log != NULL && vv_log_synced_size(log->log) != vv_log_size(log->log))
            return false;
    }
    return true;
}

/* Takes a spare for the log that is about to be made; false when there is none. */
static bool take_spare_locked(struct vv_wal *wal, uint64_t *number)
{
    vv_mutex_assert_held(&wal->mu);
    if (wal->spare_count == 0)
        return false;
    *number = wal->spares[--wal->spare_count].number;
    return true;
}

/* A log whose first append failed holds nothing that anybody was told of. It goes only now that a
 * newer one voids what the logs before it must not have. */
static void drop_empty(struct vv_wal *wal)
{
    struct wal_log *empty = NULL;
    vv_mutex_lock(&wal->mu);
    size_t last = wal->log_count - 1;
    if (wal->log_count > 1 && wal->logs[last - 1]->log != NULL && !wal->logs[last - 1]->pinned &&
        wal->logs[last - 1]->syncing == 0 &&
        vv_log_size(wal->logs[last - 1]->log) == VV_LOG_HEAD_SIZE) {
        empty = wal->logs[last - 1];
        wal->logs[last - 1] = wal->logs[last];
        wal->log_count--;
    }
    vv_mutex_unlock(&wal->mu);
    if (empty == NULL)
        return;
    remove_file(wal, VV_NAME_WAL, empty->number);
    log_free(empty);
}

/* Creating a log failed. Its header may be on disk all the same, or come back after a power cut, and
 * would void what the log before it gets from now on: so that one must not get anything. */
static void give_up(struct vv_wal *wal, uint64_t number, uint64_t spare_number)
{
    wal->broken = true;
    remove_file(wal, VV_NAME_WAL, number);
    if (spare_number > 0)
        remove_file(wal, VV_NAME_SPARE, spare_number);
}

int vv_wal_rotate(struct vv_wal *wal, uint64_t number, vv_seq prev_seq)
{
    struct vv_path path = vv_path_of(wal->options.dir, VV_NAME_WAL, number);
    struct vv_path spare;
    uint64_t spare_number = 0;
    vv_seq seen = wal->options.seen_seq > prev_seq ? wal->options.seen_seq : prev_seq;
    struct vv_log_create_options options = {.head = {.kind = VV_LOG_WAL,
                                                     .number = number,
                                                     .first_seq = seen + 1,
                                                     .prev_seq = prev_seq,
                                                     .kept = wal->options.keep_bytes > 0}};
    memcpy(options.head.uuid, wal->options.uuid, VV_UUID_SIZE);
    struct wal_log *log = vv_alloc_zero(sizeof *log);
    if (log == NULL)
        return VV_NOMEM;
    log->number = number;
    log->prev_seq = prev_seq;

    vv_mutex_lock(&wal->mu);
    int rc = reserve_locked(wal);
    options.prev_synced = all_synced_locked(wal);
    if (wal->log_count > 0)
        options.head.prev_number = wal->logs[wal->log_count - 1]->number;
    if (rc == VV_OK && wal->options.recycle && take_spare_locked(wal, &spare_number)) {
        spare = vv_path_of(wal->options.dir, VV_NAME_SPARE, spare_number);
        options.spare = spare.text;
    }
    vv_mutex_unlock(&wal->mu);

    if (rc == VV_OK)
        rc = vv_log_create(wal->options.env, path.text, &options, &log->log);
    if (rc < 0) {
        give_up(wal, number, options.spare != NULL ? spare_number : 0);
        vv_free(log);
        return rc;
    }
    vv_mutex_lock(&wal->mu);
    wal->logs[wal->log_count++] = log;
    vv_mutex_unlock(&wal->mu);
    wal->newest = log->log;
    wal->broken = false;
    drop_empty(wal);
    return VV_OK;
}

void vv_wal_pin(struct vv_wal *wal, uint64_t number)
{
    vv_mutex_lock(&wal->mu);
    for (size_t i = 0; i < wal->log_count; i++)
        wal->logs[i]->pinned = wal->logs[i]->pinned || wal->logs[i]->number == number;
    vv_mutex_unlock(&wal->mu);
}

/* ---------------------------------------------------------------------------------- appending */

static int records_reserve(struct vv_wal *wal, size_t count)
{
    if (count <= wal->record_cap)
        return VV_OK;
    struct vv_record *records = vv_realloc(wal->records, count * sizeof records[0]);
    if (records == NULL)
        return VV_NOMEM;
    wal->records = records;
    wal->record_cap = count;
    return VV_OK;
}

int vv_wal_append(struct vv_wal *wal, struct vv_write *const *group, size_t count)
{
    vv_assert(!vv_wal_broken(wal));
    int rc = records_reserve(wal, count);
    if (rc < 0)
        return rc;
    uint64_t before = vv_log_size(wal->newest);
    for (size_t i = 0; i < count; i++) {
        const struct vv_write *write = group[i];
        wal->records[i] = (struct vv_record){
            .type = VV_RECORD_BATCH,
            .flags = write->has_refs ? VV_RECORD_HAS_REFS : 0,
            .aux = write->count,
            .seq = write->first,
            .body = write->ops,
            .body_hash = write->body_hash,
        };
    }
    rc = vv_log_append(wal->newest, wal->records, count, NULL);
    if (rc < 0) {
        wal->broken = true;
        return rc;
    }
    (void)atomic_fetch_add_explicit(&wal->appended_bytes, vv_log_size(wal->newest) - before,
                                    memory_order_relaxed);
    return VV_OK;
}

int vv_wal_take_back(struct vv_wal *wal)
{
    return vv_log_cut(wal->newest);
}

void vv_wal_end(struct vv_wal *wal)
{
    wal->broken = true;
}

bool vv_wal_broken(struct vv_wal *wal)
{
    return wal->newest == NULL || wal->broken;
}

/* ------------------------------------------------------------------------------------ syncing */

struct vv_wal_mark vv_wal_here(struct vv_wal *wal)
{
    struct vv_wal_mark mark = {0, 0};
    vv_mutex_lock(&wal->mu);
    if (wal->log_count > 0) {
        const struct wal_log *log = wal->logs[wal->log_count - 1];
        mark.number = log->number;
        mark.size_bytes = log->log != NULL ? vv_log_size(log->log) : 0;
    }
    vv_mutex_unlock(&wal->mu);
    return mark;
}

uint64_t vv_wal_log_behind(struct vv_wal *wal, vv_seq seq)
{
    uint64_t number = 0;
    vv_mutex_lock(&wal->mu);
    for (size_t i = 0; i < wal->log_count; i++) {
        if (wal->logs[i]->prev_seq <= seq)
            number = wal->logs[i]->number;
    }
    vv_mutex_unlock(&wal->mu);
    return number;
}

/* The oldest log above `above` and up to `number` that is not wholly synced; held until
 * release_synced. */
static struct wal_log *hold_unsynced(struct vv_wal *wal, uint64_t above, uint64_t number)
{
    struct wal_log *found = NULL;
    vv_mutex_lock(&wal->mu);
    for (size_t i = 0; i < wal->log_count && found == NULL; i++) {
        struct wal_log *log = wal->logs[i];
        if (log->log != NULL && !log->synced && log->number > above && log->number <= number)
            found = log;
    }
    if (found != NULL)
        found->syncing++;
    vv_mutex_unlock(&wal->mu);
    return found;
}

static void release_synced(struct vv_wal *wal, struct wal_log *log, bool synced)
{
    vv_mutex_lock(&wal->mu);
    bool newest = wal->log_count > 0 && log == wal->logs[wal->log_count - 1];
    log->synced = log->synced || (synced && !newest);
    log->syncing--;
    bool last = log->retired && log->syncing == 0;
    vv_mutex_unlock(&wal->mu);
    if (last)
        log_free(log);
}

static int sync_names(struct vv_wal *wal)
{
    vv_mutex_lock(&wal->mu);
    uint64_t newest = wal->log_count > 0 ? wal->logs[wal->log_count - 1]->number : 0;
    bool named = newest <= wal->named;
    vv_mutex_unlock(&wal->mu);
    if (named)
        return VV_OK;
    int rc = vv_env_sync_dir(wal->options.env, wal->options.dir);
    if (rc < 0)
        return rc;
    vv_mutex_lock(&wal->mu);
    wal->named = newest;
    vv_mutex_unlock(&wal->mu);
    return VV_OK;
}

/* Names first: as soon as a log counts as synced, records that are appended meanwhile say so, and
 * were its name lost all the same, that would be taken for damage. */
static int sync_all(struct vv_wal *wal, struct vv_wal_mark mark)
{
    struct wal_log *log;
    uint64_t done = 0;
    int rc = sync_names(wal);
    while (rc == VV_OK && (log = hold_unsynced(wal, done, mark.number)) != NULL) {
        bool last = log->number == mark.number;
        done = log->number;
        rc = vv_log_sync_to(log->log, last ? mark.size_bytes : UINT64_MAX);
        release_synced(wal, log, rc == VV_OK && !last);
        if (last)
            break;
    }
    return rc;
}

int vv_wal_sync(struct vv_wal *wal, struct vv_wal_mark mark)
{
    vv_mutex_lock(&wal->sync_mu);
    int rc = sync_all(wal, mark);
    vv_mutex_unlock(&wal->sync_mu);
    return rc;
}

/* ------------------------------------------------------------------------------------ pushing */

void vv_wal_push(struct vv_wal *wal)
{
    struct wal_log *log;
    uint64_t done = 0;
    while ((log = hold_unsynced(wal, done, UINT64_MAX)) != NULL) {
        done = log->number;
        vv_log_push(log->log);
        release_synced(wal, log, false);
    }
}

/* ----------------------------------------------------------------------------------- retiring */

static int add_inherited(struct vv_wal *wal, uint64_t number, uint64_t size_bytes)
{
    struct wal_log *log = vv_alloc_zero(sizeof *log);
    if (log == NULL)
        return VV_NOMEM;
    *log = (struct wal_log){.number = number, .size_bytes = size_bytes, .synced = true};
    vv_mutex_lock(&wal->mu);
    vv_assert(wal->log_count == 0 || wal->logs[wal->log_count - 1]->number < number);
    int rc = reserve_locked(wal);
    if (rc == VV_OK)
        wal->logs[wal->log_count++] = log;
    vv_mutex_unlock(&wal->mu);
    if (rc < 0)
        vv_free(log);
    return rc;
}

int vv_wal_inherit(struct vv_wal *wal, uint64_t number, uint64_t size_bytes)
{
    return add_inherited(wal, number, size_bytes);
}

int vv_wal_inherit_spare(struct vv_wal *wal, uint64_t number, uint64_t size_bytes)
{
    vv_mutex_lock(&wal->mu);
    bool keep = wal->options.recycle && wal->spare_count < SPARES_MAX;
    if (keep)
        wal->spares[wal->spare_count++] = (struct wal_spare){number, size_bytes};
    vv_mutex_unlock(&wal->mu);
    if (!keep)
        remove_file(wal, VV_NAME_SPARE, number);
    return VV_OK;
}

/* Gives an obsolete log its new life as a spare; false when it is not wanted or cannot be. */
static bool keep_as_spare(struct vv_wal *wal, uint64_t number, uint64_t size_bytes)
{
    struct vv_path from = vv_path_of(wal->options.dir, VV_NAME_WAL, number);
    struct vv_path to = vv_path_of(wal->options.dir, VV_NAME_SPARE, number);
    vv_mutex_lock(&wal->mu);
    bool wanted = wal->options.recycle && wal->spare_count < SPARES_MAX &&
                  size_bytes <= wal->spare_bytes * 2 && size_bytes >= wal->spare_bytes / 2;
    vv_mutex_unlock(&wal->mu);
    if (!wanted || vv_env_rename(wal->options.env, from.text, to.text) < 0)
        return false;
    return vv_wal_inherit_spare(wal, number, size_bytes) == VV_OK;
}

/* Takes the oldest log below `number` out of the chain; false when there is none. */
static bool take_obsolete(struct vv_wal *wal, uint64_t number, uint64_t *gone, uint64_t *size_bytes)
{
    struct wal_log *idle = NULL;
    vv_mutex_lock(&wal->mu);
    bool found = wal->log_count > 0 && wal->logs[0]->number < number &&
                 (wal->log_count > 1 || wal->logs[0]->log == NULL);
    if (found) {
        struct wal_log *log = wal->logs[0];
        *gone = log->number;
        *size_bytes = log->log != NULL ? vv_log_size(log->log) : log->size_bytes;
        wal->log_count--;
        memmove(wal->logs, wal->logs + 1, wal->log_count * sizeof wal->logs[0]);
        log->retired = true;
        if (log->syncing == 0)
            idle = log;
    }
    vv_mutex_unlock(&wal->mu);
    if (idle != NULL)
        log_free(idle);
    return found;
}

static int add_kept(struct vv_wal *wal, struct wal_kept kept)
{
    int rc = VV_OK;
    vv_mutex_lock(&wal->mu);
    if (wal->kept_count == wal->kept_cap) {
        size_t cap = wal->kept_cap == 0 ? 16 : wal->kept_cap * 2;
        struct wal_kept *list = vv_realloc(wal->kept, cap * sizeof list[0]);
        wal->kept = list != NULL ? list : wal->kept;
        wal->kept_cap = list != NULL ? cap : wal->kept_cap;
        rc = list != NULL ? VV_OK : VV_NOMEM;
    }
    if (rc == VV_OK) {
        size_t at = wal->kept_count++;
        for (; at > 0 && wal->kept[at - 1].number > kept.number; at--)
            wal->kept[at] = wal->kept[at - 1];
        wal->kept[at] = kept;
        wal->kept_bytes += kept.size_bytes;
    }
    vv_mutex_unlock(&wal->mu);
    return rc;
}

/* Takes the oldest log that there is no room for. */
static bool take_surplus(struct vv_wal *wal, struct wal_kept *out)
{
    vv_mutex_lock(&wal->mu);
    bool found = wal->kept_bytes > wal->options.keep_bytes;
    if (found) {
        *out = wal->kept[0];
        wal->kept_bytes -= out->size_bytes;
        wal->kept_count--;
        memmove(wal->kept, wal->kept + 1, wal->kept_count * sizeof wal->kept[0]);
    }
    vv_mutex_unlock(&wal->mu);
    return found;
}

int vv_wal_adopt(struct vv_wal *wal, enum vv_name_kind kind, uint64_t number)
{
    struct vv_path path = vv_path_of(wal->options.dir, kind, number);
    struct vv_path to = vv_path_of(wal->options.dir, VV_NAME_KEPT, number);
    struct vv_path_info info;
    struct wal_kept surplus;
    int rc = vv_env_info(wal->options.env, path.text, &info);
    if (rc != VV_OK)
        return rc < 0 ? rc : VV_OK;
    if (kind != VV_NAME_KEPT && (rc = vv_env_rename(wal->options.env, path.text, to.text)) < 0)
        return rc;
    if ((rc = add_kept(wal, (struct wal_kept){number, info.size_bytes})) < 0)
        return rc;
    /* They are not written over: after a power cut they may have this name still. */
    while (take_surplus(wal, &surplus))
        remove_file(wal, VV_NAME_KEPT, surplus.number);
    return VV_OK;
}

void vv_wal_retire(struct vv_wal *wal, uint64_t number)
{
    uint64_t gone;
    uint64_t size_bytes;
    while (take_obsolete(wal, number, &gone, &size_bytes)) {
        /* One that cannot be kept leaves a hole, which its readers are told of. */
        if (wal->options.keep_bytes > 0 && vv_wal_adopt(wal, VV_NAME_WAL, gone) == VV_OK)
            continue;
        if (!keep_as_spare(wal, gone, size_bytes))
            remove_file(wal, VV_NAME_WAL, gone);
    }
}

/* ------------------------------------------------------------------------------------- spares */

void vv_wal_set_spare_bytes(struct vv_wal *wal, uint64_t spare_bytes)
{
    vv_mutex_lock(&wal->mu);
    wal->spare_bytes = spare_bytes;
    vv_mutex_unlock(&wal->mu);
}

bool vv_wal_wants_spare(struct vv_wal *wal)
{
    vv_mutex_lock(&wal->mu);
    bool wants = wal->options.recycle && wal->spare_count == 0 && wal->spare_bytes > 0;
    vv_mutex_unlock(&wal->mu);
    return wants;
}

int vv_wal_prepare_spare(struct vv_wal *wal, uint64_t number)
{
    struct vv_path path = vv_path_of(wal->options.dir, VV_NAME_SPARE, number);
    vv_mutex_lock(&wal->mu);
    uint64_t size_bytes = wal->spare_bytes;
    vv_mutex_unlock(&wal->mu);
    int rc = vv_log_make_spare(wal->options.env, path.text, size_bytes);
    return rc < 0 ? rc : vv_wal_inherit_spare(wal, number, size_bytes);
}

uint64_t vv_wal_disk_bytes(struct vv_wal *wal)
{
    uint64_t total = 0;
    vv_mutex_lock(&wal->mu);
    for (size_t i = 0; i < wal->log_count; i++) {
        const struct wal_log *log = wal->logs[i];
        total += log->log != NULL ? vv_log_size(log->log) : log->size_bytes;
    }
    for (size_t i = 0; i < wal->spare_count; i++)
        total += wal->spares[i].size_bytes;
    total += wal->kept_bytes;
    vv_mutex_unlock(&wal->mu);
    return total;
}

uint64_t vv_wal_appended_bytes(struct vv_wal *wal)
{
    return atomic_load_explicit(&wal->appended_bytes, memory_order_relaxed);
}
