/*
 * A checkpoint: one moment of the tree as a list of files, and making a store of such a list.
 *
 * What the tables of one version hold is a prefix of the commit order, up to what was flushed. So a
 * moment is a version, with the value files that it refers to, and needs no log. All of these files
 * never change again and can be shared, except for value files that are still written to: of those
 * the beginning is taken, as if their writer had been killed.
 */
#include "lsm/tree.h"

#include "log/log.h"

#include <inttypes.h>

/* A value file that is smaller than this part of the usual is copied rather than sealed. */
enum { COPY_PART = 64 };

/* ------------------------------------------------------------------------------- taking a moment */

/* Lets the active value file be sealed, unless copying it is less work. */
static int seal_values(struct vv_lsm *lsm)
{
    bool worked = true;
    int rc = VV_OK;
    uint64_t least = lsm->options.tuning.value_file_bytes / COPY_PART;
    vv_mutex_lock(&lsm->stow_mu);
    if (lsm->stow != NULL && vv_value_writer_bytes(lsm->stow->writer) >= least)
        lsm->stow = NULL;
    vv_mutex_unlock(&lsm->stow_mu);
    while (rc == VV_OK && worked)
        rc = vv_lsm_stow_seal(lsm, &worked);
    return rc;
}

/* The version with all that is said of it; a note that is older than what was flushed is part of the
 * moment, and so must be all that was written before a newer one. */
static int capture_locked(struct vv_lsm *lsm, struct vv_version *version, struct vv_edit *edit)
{
    vv_mutex_assert_held(&lsm->install_mu);
    if (atomic_load(&lsm->flushed_id) < lsm->noted_id)
        return VV_CONFLICT;
    int rc = vv_lsm_snapshot_edit(lsm, version, edit);
    for (size_t i = 0; rc == VV_OK && i < edit->table_count; i++) {
        if (edit->tables[i].facts.max_seq > edit->flushed_seq)
            rc = VV_CONFLICT;
    }
    edit->next_file = atomic_load(&lsm->next_file);
    edit->log_number = edit->closed_log = edit->closed_bytes = 0;
    return rc;
}

static bool is_referred_to(const struct vv_edit *edit, uint64_t number)
{
    for (size_t i = 0; i < edit->table_count; i++) {
        const struct vv_table_facts *facts = &edit->tables[i].facts;
        for (size_t k = 0; k < facts->ref_count; k++) {
            if (facts->refs[k].file == number)
                return true;
        }
    }
    return false;
}

static int file_size(const struct vv_lsm *lsm, enum vv_name_kind kind, uint64_t number,
                     uint64_t *out)
{
    struct vv_path path = vv_path_of(lsm->options.path, kind, number);
    struct vv_path_info info = {.size_bytes = 0};
    int rc = vv_env_info(lsm->options.env, path.text, &info);
    *out = info.size_bytes;
    return rc == VV_NOTFOUND ? vv_fail(VV_CORRUPT, "%s: the file is missing", path.text) : rc;
}

struct taking {
    struct vv_lsm *lsm;
    struct vv_edit edit;
    struct vv_buf files; /* of struct vv_moment_file */
};

static int add_file(struct taking *t, enum vv_name_kind kind, uint64_t number, uint64_t size_bytes,
                    bool grows)
{
    struct vv_moment_file file = {.number = number, .size_bytes = size_bytes, .grows = grows};
    struct vv_path path = vv_path_of("", kind, number);
    size_t size = strlen(path.text);
    vv_assert(size <= sizeof file.name);
    memcpy(file.name, path.text + 1, size); /* without the slash */
    memcpy(file.uuid, vv_lineage_uuid(&t->lsm->lineage, t->lsm->uuid, number), sizeof file.uuid);
    return vv_buf_append(&t->files, &file, sizeof file);
}

/* In the copy every value file is sealed. One that is written to now has what the tables refer to,
 * and perhaps more, and that durably, for so it was before they were installed. */
static int take_values(struct taking *t)
{
    struct vv_edit *edit = &t->edit;
    for (size_t i = 0; i < edit->value_count;) {
        struct vv_edit_value_file *file = &edit->values[i];
        uint64_t size_bytes = 0;
        bool grows = !file->sealed;
        if (grows && !is_referred_to(edit, file->number)) {
            vv_free(file->serves);
            *file = edit->values[--edit->value_count];
            continue;
        }
        int rc = file_size(t->lsm, VV_NAME_VALUES, file->number, &size_bytes);
        if (rc == VV_OK)
            rc = add_file(t, VV_NAME_VALUES, file->number, size_bytes, grows);
        if (rc < 0)
            return rc;
        if (grows) {
            file->sealed = true;
            file->record_bytes = size_bytes > VV_LOG_HEAD_SIZE ? size_bytes - VV_LOG_HEAD_SIZE : 0;
            file->record_count = 0;
        }
        i++;
    }
    return VV_OK;
}

static int take_files(struct taking *t)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < t->edit.table_count; i++) {
        const struct vv_edit_table *table = &t->edit.tables[i];
        rc = add_file(t, VV_NAME_TABLE, table->number, table->facts.size_bytes, false);
    }
    return rc == VV_OK ? take_values(t) : rc;
}

/* The version is held meanwhile, so that none of the files goes. */
static int show(struct taking *t, int (*visit)(void *context, const struct vv_moment *moment),
                void *context)
{
    struct vv_buf state = VV_BUF_INIT;
    int rc = take_files(t);
    if (rc == VV_OK)
        rc = vv_edit_encode(&t->edit, &state);
    if (rc == VV_OK) {
        struct vv_moment moment = {
            .env = t->lsm->options.env,
            .dir = t->lsm->options.path,
            .uuid = t->lsm->uuid,
            .seq = t->edit.flushed_seq,
            .files = (const struct vv_moment_file *)(const void *)t->files.data,
            .file_count = t->files.size / sizeof(struct vv_moment_file),
            .state = vv_buf_slice(&state),
        };
        rc = visit(context, &moment);
    }
    vv_buf_deinit(&state);
    return rc;
}

int vv_lsm_checkpoint(struct vv_engine *e,
                      int (*visit)(void *context, const struct vv_moment *moment), void *context)
{
    struct taking t = {.lsm = (struct vv_lsm *)e};
    int rc = seal_values(t.lsm);
    if (rc < 0)
        return rc;
    vv_mutex_lock(&t.lsm->install_mu);
    struct vv_version *version = vv_lsm_version(t.lsm);
    rc = capture_locked(t.lsm, version, &t.edit);
    vv_mutex_unlock(&t.lsm->install_mu);
    if (rc == VV_OK)
        rc = show(&t, visit, context);
    vv_version_unref(version);
    vv_edit_deinit(&t.edit);
    vv_buf_deinit(&t.files);
    return rc;
}

/* ------------------------------------------------------------------------- making a store of it */

static bool has_files_between(const struct vv_edit *edit, uint64_t from, uint64_t below)
{
    for (size_t i = 0; i < edit->table_count; i++) {
        if (edit->tables[i].number >= from && edit->tables[i].number < below)
            return true;
    }
    for (size_t i = 0; i < edit->value_count; i++) {
        if (edit->values[i].number >= from && edit->values[i].number < below)
            return true;
    }
    return false;
}

/* What was the store's own is an origin's now; origins of which nothing is left are forgotten. */
static int descend(struct vv_edit *edit)
{
    struct vv_lineage lineage = {NULL, 0};
    uint64_t from = 0;
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < edit->lineage.count; i++) {
        const struct vv_origin *origin = &edit->lineage.list[i];
        if (has_files_between(edit, from, origin->below))
            rc = vv_lineage_add(&lineage, origin->uuid, origin->below);
        from = origin->below;
    }
    if (rc == VV_OK && has_files_between(edit, from, edit->next_file))
        rc = vv_lineage_add(&lineage, edit->uuid, edit->next_file);
    vv_lineage_deinit(&edit->lineage);
    edit->lineage = lineage;
    return rc;
}

static int establish(struct vv_env *env, const char *path, struct vv_edit *edit)
{
    struct vv_manifest *manifest = NULL;
    uint64_t number = edit->next_file;
    bool unclear;
    int rc;
    if (!edit->snapshot || !edit->has_format || number == 0)
        return vv_fail(VV_CORRUPT, "what should be the state of a store is not");
    if ((rc = descend(edit)) < 0 || (rc = vv_env_random(env, edit->uuid, sizeof edit->uuid)) < 0)
        return rc;
    edit->next_file = edit->log_number = number + 1;
    rc = vv_manifest_create(env, path, number, edit, &manifest, &unclear);
    vv_manifest_close(manifest);
    return rc;
}

int vv_lsm_establish(struct vv_env *env, const char *path, vv_slice state)
{
    struct vv_edit edit = {0};
    int rc = vv_edit_decode(state, &edit);
    if (rc == VV_OK)
        rc = establish(env, path, &edit);
    vv_edit_deinit(&edit);
    return rc;
}
