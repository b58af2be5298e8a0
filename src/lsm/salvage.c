#include "lsm/salvage.h"

#include "base/hash.h"
#include "lsm/values_internal.h"

static int open_writer(struct vv_salvage *s)
{
    s->number = vv_lsm_next_file(s->lsm);
    return vv_value_writer_open(s->lsm->values, s->number, &s->writer);
}

static int close_writer(struct vv_salvage *s)
{
    struct vv_value_file *file = NULL;
    int rc;
    if ((rc = vv_value_writer_seal(s->writer)) < 0 ||
        (rc = vv_value_file_new(s->lsm->values, s->number, NULL, 0, &file)) < 0)
        return rc;
    atomic_store(&file->record_bytes, vv_value_writer_bytes(s->writer));
    atomic_store(&file->record_count, vv_value_writer_count(s->writer));
    atomic_store(&file->sealed, true);
    vv_value_writer_close(s->writer);
    s->writer = NULL;
    if ((rc = vv_buf_append(&s->files, &file, sizeof file)) < 0)
        vv_value_file_unref(file);
    return rc;
}

int vv_salvage_copy(struct vv_salvage *s, struct vv_value_file *from, struct vv_ref ref,
                    vv_slice key, struct vv_ref *out)
{
    struct vv_record record;
    int rc = vv_values_read_record(from, ref.file, ref.offset_units, &s->scratch, &record);
    if (rc < 0)
        return rc;
    if (!vv_slice_equal(record.key, key) || record.body.size != ref.size_bytes ||
        (uint32_t)vv_hash(record.body) != ref.check)
        return vv_fail(VV_CORRUPT, "%06u.val: the value at offset %llu is another one", ref.file,
                       (unsigned long long)ref.offset_units * 8);
    if (s->writer == NULL && (rc = open_writer(s)) < 0)
        return rc;
    if ((rc = vv_value_writer_add(s->writer, record.key, record.body, out)) < 0)
        return rc;
    bool full = vv_value_writer_bytes(s->writer) >= s->lsm->options.tuning.value_file_bytes;
    return full ? close_writer(s) : VV_OK;
}

int vv_salvage_finish(struct vv_salvage *s)
{
    return s->writer != NULL ? close_writer(s) : VV_OK;
}

static void remove_file(struct vv_salvage *s, uint64_t number)
{
    struct vv_path path = vv_path_of(s->lsm->options.path, VV_NAME_VALUES, number);
    /* What cannot be removed now, the next open removes. */
    int rc = vv_env_remove(s->lsm->options.env, path.text);
    (void)rc;
}

void vv_salvage_deinit(struct vv_salvage *s, bool discard)
{
    if (s->writer != NULL && discard)
        remove_file(s, s->number);
    vv_value_writer_close(s->writer);
    for (size_t i = 0; i < s->files.size / sizeof(struct vv_value_file *); i++) {
        struct vv_value_file *file;
        memcpy(&file, s->files.data + i * sizeof file, sizeof file);
        if (discard)
            remove_file(s, file->number);
        vv_value_file_unref(file);
    }
    vv_buf_deinit(&s->files);
    vv_buf_deinit(&s->scratch);
    *s = (struct vv_salvage){0};
}
