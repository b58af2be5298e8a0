/*
 * Large values on their way: each is written to the active value file by the thread that commits
 * it, and the batch carries a reference. A file whose references may still be under way, or only in
 * memtables, is known here as a stow, and is not collected before the last such memtable is flushed.
 */
#include "lsm/tree.h"

enum { SEALS_MANY = 4 };

static struct vv_stow *find_locked(struct vv_lsm *lsm, uint64_t number)
{
    vv_mutex_assert_held(&lsm->stow_mu);
    for (struct vv_stow *stow = lsm->stows; stow != NULL; stow = stow->next) {
        if (stow->file->number == number)
            return stow;
    }
    return NULL;
}

static struct vv_stow *stow_new(struct vv_value_file *file)
{
    struct vv_stow *stow = vv_alloc_zero(sizeof *stow);
    if (stow == NULL)
        return NULL;
    stow->file = file;
    vv_value_file_ref(file);
    return stow;
}

static void stow_free(struct vv_stow *stow)
{
    vv_value_writer_close(stow->writer);
    vv_value_file_unref(stow->file);
    vv_free(stow);
}

/* Tells the MANIFEST of a new value file before anything refers to it. */
static int install_file(struct vv_lsm *lsm, struct vv_value_file *file, bool *unclear)
{
    struct vv_edit edit = {0};
    struct vv_value_file *const adds[] = {file};
    struct vv_install install = {.change = {.value_adds = adds, .value_add_count = 1}};
    struct vv_edit_value_file entry = {
        .number = file->number, .serves = file->serves, .serve_count = file->serve_count};
    int rc = vv_edit_add_value_file(&edit, &entry);
    if (rc == VV_OK)
        rc = vv_lsm_install(lsm, &edit, &install, unclear);
    vv_edit_deinit(&edit);
    return rc;
}

/* Files of an eighth of what there is: small enough that collecting one is a small part of the work,
 * large enough that there are few. */
uint64_t vv_lsm_value_file_bytes(const struct vv_lsm *lsm, const struct vv_version *version)
{
    uint64_t most = lsm->options.tuning.value_file_bytes;
    uint64_t least = most / 16;
    uint64_t total = 0;
    for (size_t i = 0; i < version->value_count; i++)
        total += atomic_load(&version->values[i]->record_bytes);
    return total / 8 < least ? least : total / 8 < most ? total / 8 : most;
}

static int open_stow(struct vv_lsm *lsm, struct vv_stow **out)
{
    uint64_t number = vv_lsm_next_file(lsm);
    struct vv_value_file *file = NULL;
    struct vv_stow *stow = NULL;
    bool unclear = false;
    int rc = vv_value_file_new(lsm->values, number, NULL, 0, &file);
    if (rc < 0)
        return rc;
    if ((stow = stow_new(file)) == NULL) {
        rc = VV_NOMEM;
        goto out;
    }
    struct vv_version *version = vv_lsm_version(lsm);
    stow->bytes_max = vv_lsm_value_file_bytes(lsm, version);
    vv_version_unref(version);
    if ((rc = vv_value_writer_open(lsm->values, number, &stow->writer)) < 0)
        goto out;
    if ((rc = vv_env_sync_dir(lsm->options.env, lsm->options.path)) < 0)
        goto out;
    if ((rc = install_file(lsm, file, &unclear)) < 0)
        goto out;
    *out = stow;
    stow = NULL;
out:
    if (stow != NULL)
        stow_free(stow);
    /* On a full disk every put would leave one. The last reference removes the file. */
    atomic_store(&file->obsolete, rc < 0 && !unclear);
    vv_value_file_unref(file);
    return rc;
}

/* The active file, or a new one where there is none or it is full. */
static int active_locked(struct vv_lsm *lsm, struct vv_stow **out)
{
    vv_mutex_assert_held(&lsm->stow_mu);
    if (lsm->stow != NULL && vv_value_writer_bytes(lsm->stow->writer) >= lsm->stow->bytes_max) {
        lsm->stow = NULL; /* a background step seals it */
        lsm->options.host->wake(lsm->options.host->context);
    }
    if (lsm->stow == NULL) {
        struct vv_stow *stow;
        int rc = open_stow(lsm, &stow);
        if (rc < 0)
            return rc;
        stow->next = lsm->stows;
        lsm->stows = lsm->stow = stow;
    }
    *out = lsm->stow;
    return VV_OK;
}

int vv_lsm_stow(struct vv_engine *e, vv_slice key, vv_slice value, uint8_t ref[VV_REF_SIZE])
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_stow *stow;
    struct vv_ref at;
    vv_mutex_lock(&lsm->stow_mu);
    int rc = active_locked(lsm, &stow);
    if (rc == VV_OK && (rc = vv_value_writer_add(stow->writer, key, value, &at)) < 0)
        lsm->stow = NULL; /* its end is unknown: the next value goes to a new file */
    if (rc == VV_OK)
        stow->in_flight++;
    vv_mutex_unlock(&lsm->stow_mu);
    if (rc < 0)
        return rc;
    if ((uint64_t)at.offset_units * 8 / VV_LOG_PUSH_BYTES !=
        ((uint64_t)at.offset_units * 8 + value.size) / VV_LOG_PUSH_BYTES)
        lsm->options.host->wake(lsm->options.host->context); /* a background step pushes it */
    vv_ref_encode(at, ref);
    vv_count(&lsm->counters.value_bytes_written, vv_value_record_size(key.size, value.size));
    return VV_OK;
}

void vv_lsm_unstow(struct vv_engine *e, const uint8_t ref[VV_REF_SIZE])
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_ref at;
    vv_assert(vv_ref_decode(vv_slice_of(ref, VV_REF_SIZE), &at));
    vv_mutex_lock(&lsm->stow_mu);
    struct vv_stow *stow = find_locked(lsm, at.file);
    vv_assert(stow != NULL && stow->in_flight > 0);
    stow->in_flight--;
    vv_mutex_unlock(&lsm->stow_mu);
}

void vv_lsm_stow_found(struct vv_lsm *lsm, uint32_t file, uint64_t memtable_id)
{
    vv_mutex_lock(&lsm->stow_mu);
    struct vv_stow *stow = find_locked(lsm, file);
    vv_assert(stow != NULL && stow->in_flight > 0);
    stow->in_flight--;
    stow->last_memtable = memtable_id;
    vv_mutex_unlock(&lsm->stow_mu);
}

int vv_lsm_stow_recovered(struct vv_lsm *lsm, struct vv_value_file *file, uint64_t memtable_id)
{
    int rc = VV_OK;
    vv_mutex_lock(&lsm->stow_mu);
    struct vv_stow *stow = find_locked(lsm, file->number);
    if (stow == NULL) {
        stow = stow_new(file);
        if (stow == NULL) {
            rc = VV_NOMEM;
        } else {
            stow->next = lsm->stows;
            lsm->stows = stow;
        }
    }
    if (stow != NULL)
        stow->last_memtable = memtable_id;
    vv_mutex_unlock(&lsm->stow_mu);
    return rc;
}

/* Nothing that may still be lost or replayed refers to it: all is in tables. */
static bool is_settled_locked(struct vv_lsm *lsm, const struct vv_stow *stow)
{
    vv_mutex_assert_held(&lsm->stow_mu);
    return stow->in_flight == 0 && stow->last_memtable <= atomic_load(&lsm->flushed_id);
}

bool vv_lsm_stow_under_way(struct vv_lsm *lsm, uint64_t number)
{
    vv_mutex_lock(&lsm->stow_mu);
    const struct vv_stow *stow = find_locked(lsm, number);
    bool under_way = stow != NULL && (stow->writer != NULL || !is_settled_locked(lsm, stow));
    vv_mutex_unlock(&lsm->stow_mu);
    return under_way;
}

/* The active file, if all that refers to it is in tables: its number and size. */
bool vv_lsm_stow_at_rest(struct vv_lsm *lsm, uint64_t *number, uint64_t *bytes)
{
    vv_mutex_lock(&lsm->stow_mu);
    bool at_rest = lsm->stow != NULL && is_settled_locked(lsm, lsm->stow);
    if (at_rest) {
        *number = lsm->stow->file->number;
        *bytes = vv_value_writer_bytes(lsm->stow->writer);
    }
    vv_mutex_unlock(&lsm->stow_mu);
    return at_rest;
}

/* Lets the next value go to a new file, so that this one can be sealed. */
void vv_lsm_stow_rotate(struct vv_lsm *lsm, uint64_t number)
{
    vv_mutex_lock(&lsm->stow_mu);
    if (lsm->stow != NULL && lsm->stow->file->number == number)
        lsm->stow = NULL;
    vv_mutex_unlock(&lsm->stow_mu);
}

/* What was read back of the file so far may be lost now, and no later sync would tell. */
static int lose_values(struct vv_lsm *lsm, int rc)
{
    vv_mutex_assert_held(&lsm->sync_mu);
    lsm->values_lost = true;
    vv_lsm_note_failed_sync(lsm, rc);
    lsm->options.host->poison(lsm->options.host->context, rc);
    return rc;
}

/* Syncs every file that has a writer: those being filled and those waiting to be sealed. New stows
 * come in front of the list, and only who holds sync_mu takes one out or closes its writer, so that
 * from the first one on the list stands still. */
int vv_lsm_stow_sync(struct vv_lsm *lsm)
{
    int rc = VV_OK;
    vv_mutex_assert_held(&lsm->sync_mu);
    if (lsm->values_lost)
        return vv_fail_again(lsm->sync_failure, lsm->sync_story);
    vv_mutex_lock(&lsm->stow_mu);
    struct vv_stow *stow = lsm->stows;
    vv_mutex_unlock(&lsm->stow_mu);
    for (; rc == VV_OK && stow != NULL; stow = stow->next) {
        if (stow->writer != NULL)
            rc = vv_value_writer_sync(stow->writer);
    }
    return rc < 0 ? lose_values(lsm, rc) : VV_OK;
}

/* ------------------------------------------------------------------------------------ sealing */

static struct vv_stow *sealable_locked(struct vv_lsm *lsm)
{
    vv_mutex_assert_held(&lsm->stow_mu);
    for (struct vv_stow *stow = lsm->stows; stow != NULL; stow = stow->next) {
        if (stow->writer != NULL && stow != lsm->stow && stow->pushing == 0)
            return stow;
    }
    return NULL;
}

/* Records in the MANIFEST that the file is whole. */
int vv_lsm_install_seal(struct vv_lsm *lsm, struct vv_value_file *file, uint64_t record_bytes,
                        uint64_t record_count)
{
    struct vv_edit edit = {0};
    struct vv_install install = {0};
    struct vv_edit_value_file entry = {.number = file->number,
                                       .sealed = true,
                                       .record_bytes = record_bytes,
                                       .record_count = record_count,
                                       .serves = file->serves,
                                       .serve_count = file->serve_count};
    bool unclear;
    atomic_store(&file->record_bytes, record_bytes);
    atomic_store(&file->record_count, record_count);
    atomic_store(&file->sealed, true);
    int rc = vv_edit_add_value_file(&edit, &entry);
    if (rc == VV_OK)
        rc = vv_lsm_install(lsm, &edit, &install, &unclear);
    vv_edit_deinit(&edit);
    return rc;
}

/* A file that cannot be sealed, on a full disk for instance, keeps its values, and recovery seals it
 * by its size. But they must be durable before its writer is gone, because syncs pass it by then. */
static int sync_unsealed(struct vv_lsm *lsm, struct vv_stow *stow, int rc)
{
    int sync_rc = vv_value_writer_sync(stow->writer);
    return sync_rc < 0 ? lose_values(lsm, sync_rc) : rc; /* the story is the first failure's */
}

static int seal(struct vv_lsm *lsm, struct vv_stow *stow)
{
    int rc = vv_value_writer_seal(stow->writer);
    if (rc < 0)
        return sync_unsealed(lsm, stow, rc);
    return vv_lsm_install_seal(lsm, stow->file, vv_value_writer_bytes(stow->writer),
                               vv_value_writer_count(stow->writer));
}

/* Forgets the stows that nothing under way refers to any more. */
static void forget_done_locked(struct vv_lsm *lsm)
{
    vv_mutex_assert_held(&lsm->stow_mu);
    struct vv_stow **at = &lsm->stows;
    while (*at != NULL) {
        struct vv_stow *stow = *at;
        if (stow->writer == NULL && is_settled_locked(lsm, stow)) {
            *at = stow->next;
            stow_free(stow);
        } else {
            at = &stow->next;
        }
    }
}

/* The oldest file that has a writer and was not visited yet. */
static struct vv_stow *hold_writer(struct vv_lsm *lsm, uint64_t above)
{
    struct vv_stow *found = NULL;
    vv_mutex_lock(&lsm->stow_mu);
    for (struct vv_stow *stow = lsm->stows; stow != NULL; stow = stow->next) {
        if (stow->writer != NULL && !stow->sealing && stow->file->number > above &&
            (found == NULL || stow->file->number < found->file->number))
            found = stow;
    }
    if (found != NULL)
        found->pushing++;
    vv_mutex_unlock(&lsm->stow_mu);
    return found;
}

void vv_lsm_stow_push(struct vv_lsm *lsm)
{
    struct vv_stow *stow;
    uint64_t done = 0;
    while ((stow = hold_writer(lsm, done)) != NULL) {
        done = stow->file->number;
        vv_value_writer_push(stow->writer);
        vv_mutex_lock(&lsm->stow_mu);
        stow->pushing--;
        vv_mutex_unlock(&lsm->stow_mu);
    }
}

/* Each file that waits holds a descriptor and is part of every sync. */
bool vv_lsm_stow_behind(struct vv_lsm *lsm)
{
    size_t count = 0;
    vv_mutex_lock(&lsm->stow_mu);
    for (const struct vv_stow *stow = lsm->stows; stow != NULL; stow = stow->next)
        count += stow->writer != NULL && stow != lsm->stow ? 1 : 0;
    vv_mutex_unlock(&lsm->stow_mu);
    return count >= SEALS_MANY;
}

int vv_lsm_stow_seal(struct vv_lsm *lsm, bool *worked)
{
    int rc = VV_OK;
    vv_mutex_lock(&lsm->sync_mu);
    vv_mutex_lock(&lsm->stow_mu);
    forget_done_locked(lsm);
    struct vv_stow *stow = sealable_locked(lsm);
    if (stow != NULL)
        stow->sealing = true;
    vv_mutex_unlock(&lsm->stow_mu);
    *worked = stow != NULL;
    if (stow != NULL) {
        rc = seal(lsm, stow);
        vv_mutex_lock(&lsm->stow_mu);
        vv_value_writer_close(stow->writer);
        stow->writer = NULL;
        stow->sealing = false;
        vv_mutex_unlock(&lsm->stow_mu);
    }
    vv_mutex_unlock(&lsm->sync_mu);
    return rc;
}

void vv_lsm_stow_close(struct vv_lsm *lsm)
{
    bool worked = true;
    vv_mutex_lock(&lsm->stow_mu);
    lsm->stow = NULL;
    vv_mutex_unlock(&lsm->stow_mu);
    /* An unsealed file costs the next open a look at its size, no more. */
    while (worked && vv_lsm_stow_seal(lsm, &worked) == VV_OK) {
    }
    while (lsm->stows != NULL) {
        struct vv_stow *stow = lsm->stows;
        lsm->stows = stow->next;
        stow_free(stow);
    }
}
