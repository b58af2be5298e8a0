/*
 * Collection: value files of which much is garbage are copied, the live values only, into a new file
 * that serves the same references. No key is touched.
 *
 * How much of a file is alive is not kept anywhere: it is the sum of what the tables of the version
 * refer to. What is alive in one version can only become less in later ones, because references
 * enter the tree only by a flush, and a file is collected only after the last memtable that may
 * refer to it was flushed. So the references of the version that is held while copying are enough.
 */
#include "lsm/job.h"

#include <stdlib.h>

enum { SMALL_MANY = 4 }; /* small files are put together when there are so many */

struct place {
    uint64_t file; /* as in the references */
    uint32_t offset_units;
};

struct collect_job {
    struct vv_job job;
    struct vv_version *version;
    struct vv_value_file *files[VV_COLLECT_FILES_MAX]; /* to be replaced; the version holds them */
    size_t file_count;
    struct vv_buf places; /* of struct place: what is alive, ascending */
    size_t next_place;
    size_t gather_level, gather_table; /* tables visited so far */
    bool gathered;
    uint64_t number;
    struct vv_value_writer *writer;
    bool installed;
};

/* ------------------------------------------------------------------------------- what is alive */

static uint64_t file_live_bytes(const struct vv_version *version, const struct vv_value_file *file)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < file->serve_count; i++)
        bytes += vv_version_live_bytes(version, file->serves[i]);
    uint64_t whole = atomic_load(&file->record_bytes);
    return bytes < whole ? bytes : whole;
}

static bool collectable(struct vv_lsm *lsm, const struct vv_value_file *file)
{
    return atomic_load(&file->sealed) && !atomic_load(&file->damaged) &&
           !vv_lsm_stow_under_way(lsm, file->number);
}

uint64_t vv_collect_garbage(struct vv_lsm *lsm, const struct vv_version *version)
{
    uint64_t garbage = 0;
    for (size_t i = 0; i < version->value_count; i++) {
        const struct vv_value_file *file = version->values[i];
        if (collectable(lsm, file))
            garbage += atomic_load(&file->record_bytes) - file_live_bytes(version, file);
    }
    return garbage;
}

/* ------------------------------------------------------------------------------------- choosing */

/* A file goes when a quarter of it is garbage (a tenth, when nobody writes). */
static bool is_rotten(const struct vv_collect_candidate *file, bool idle)
{
    return (file->bytes - file->live_bytes) * (idle ? 10 : 4) > file->bytes ||
           file->live_bytes == 0;
}

/* The rotten ones first: small ones, which only keep them company, must not take their room. */
size_t vv_collect_pick(const struct vv_collect_candidate *files, size_t count, uint64_t target,
                       bool idle, size_t *picked)
{
    uint64_t live_sum = 0;
    size_t picked_count = 0;
    size_t rotten_count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count && picked_count < VV_COLLECT_FILES_MAX; i++) {
            const struct vv_collect_candidate *file = &files[i];
            bool rotten = is_rotten(file, idle);
            bool wanted = pass == 0 ? rotten : !rotten && file->bytes < target / 4;
            bool fits =
                picked_count == 0 || file->live_bytes == 0 || live_sum + file->live_bytes <= target;
            if (!wanted || !fits)
                continue;
            live_sum += file->live_bytes;
            rotten_count += rotten ? 1 : 0;
            picked[picked_count++] = i;
        }
    }
    return rotten_count > 0 || picked_count >= SMALL_MANY ? picked_count : 0;
}

static int choose(struct collect_job *c, bool idle)
{
    struct vv_lsm *lsm = c->job.lsm;
    size_t count = 0;
    size_t picked[VV_COLLECT_FILES_MAX];
    size_t room = c->version->value_count;
    struct vv_value_file **files = vv_alloc(room * sizeof files[0]);
    struct vv_collect_candidate *candidates = vv_alloc(room * sizeof candidates[0]);
    int rc = files != NULL && candidates != NULL ? VV_OK : VV_NOMEM;
    for (size_t i = 0; rc == VV_OK && i < room; i++) {
        struct vv_value_file *file = c->version->values[i];
        if (!collectable(lsm, file))
            continue;
        files[count] = file;
        candidates[count++] = (struct vv_collect_candidate){
            .bytes = atomic_load(&file->record_bytes),
            .live_bytes = file_live_bytes(c->version, file),
        };
    }
    if (rc == VV_OK) {
        uint64_t target = vv_lsm_value_file_bytes(lsm, c->version);
        c->file_count = vv_collect_pick(candidates, count, target, idle, picked);
        for (size_t i = 0; i < c->file_count; i++)
            c->files[i] = files[picked[i]];
    }
    vv_free(candidates);
    vv_free((void *)files);
    return rc;
}

static bool serves(const struct collect_job *c, uint64_t number)
{
    for (size_t i = 0; i < c->file_count; i++) {
        for (size_t k = 0; k < c->files[i]->serve_count; k++) {
            if (c->files[i]->serves[k] == number)
                return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------------ gathering */

struct gather {
    struct collect_job *job;
    uint64_t file;
};

static int gather_place(void *context, uint32_t offset_units)
{
    const struct gather *g = context;
    struct place place = {g->file, offset_units};
    return vv_buf_append(&g->job->places, &place, sizeof place);
}

static int gather_table(struct collect_job *c, struct vv_table_meta *meta)
{
    struct vv_table *table = NULL;
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < meta->facts.ref_count; i++) {
        struct gather g = {c, meta->facts.refs[i].file};
        if (!serves(c, g.file))
            continue;
        if (table == NULL && (rc = vv_tables_open(meta, &table)) < 0)
            break;
        rc = vv_table_visit_refs(table, g.file, gather_place, &g);
    }
    vv_table_unref(table);
    return rc;
}

static int place_cmp(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->offset_units > y->offset_units) - (x->offset_units < y->offset_units);
}

/* The same reference may stand in more than one table, while older versions of a key live. */
static void sort_places(struct collect_job *c)
{
    struct place *places = (struct place *)(void *)c->places.data;
    size_t count = c->places.size / sizeof places[0];
    size_t kept = 0;
    if (count == 0)
        return;
    qsort(places, count, sizeof places[0], place_cmp);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || place_cmp(&places[kept - 1], &places[i]) != 0)
            places[kept++] = places[i];
    }
    c->places.size = kept * sizeof places[0];
}

/* One table a step. */
static int gather_some(struct collect_job *c)
{
    while (c->gather_level < VV_LEVELS &&
           c->gather_table >= c->version->levels[c->gather_level].count) {
        c->gather_level++;
        c->gather_table = 0;
    }
    if (c->gather_level < VV_LEVELS)
        return gather_table(c, c->version->levels[c->gather_level].tables[c->gather_table++]);
    sort_places(c);
    c->gathered = true;
    return VV_OK;
}

/* -------------------------------------------------------------------------------------- copying */

static int open_writer(struct collect_job *c)
{
    c->number = vv_lsm_next_file(c->job.lsm);
    return vv_value_writer_open(c->job.lsm->values, c->number, &c->writer);
}

static int copy_some(struct collect_job *c)
{
    struct vv_lsm *lsm = c->job.lsm;
    const struct place *places = (const struct place *)(const void *)c->places.data;
    size_t count = c->places.size / sizeof places[0];
    int rc = VV_OK;
    if (c->writer == NULL && count > 0 && (rc = open_writer(c)) < 0)
        return rc;
    uint64_t before = c->writer != NULL ? vv_value_writer_bytes(c->writer) : 0;
    while (rc == VV_OK && c->next_place < count &&
           vv_value_writer_bytes(c->writer) - before < lsm->options.tuning.step_bytes) {
        const struct place *place = &places[c->next_place++];
        struct vv_value_file *from = vv_version_value_file(c->version, place->file);
        vv_assert(from != NULL);
        rc = vv_value_writer_move(c->writer, from, (uint32_t)place->file, place->offset_units);
        if (rc == VV_CORRUPT)
            atomic_store(&from->damaged, true);
    }
    if (c->writer != NULL) {
        vv_count(&lsm->counters.value_bytes_written, vv_value_writer_bytes(c->writer) - before);
        vv_value_writer_push(c->writer);
    }
    return rc;
}

/* ----------------------------------------------------------------------------------- installing */

static int number_cmp(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* The new file serves whatever still has a reference. */
static int new_file(struct collect_job *c, struct vv_value_file **out)
{
    const struct place *places = (const struct place *)(const void *)c->places.data;
    size_t count = c->places.size / sizeof places[0];
    struct vv_buf numbers = VV_BUF_INIT;
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        if (i == 0 || places[i].file != places[i - 1].file)
            rc = vv_buf_append(&numbers, &places[i].file, sizeof places[i].file);
    }
    if (rc == VV_OK) {
        uint64_t *list = (uint64_t *)(void *)numbers.data;
        size_t list_count = numbers.size / sizeof list[0];
        if (list_count > 0)
            qsort(list, list_count, sizeof list[0], number_cmp);
        rc = vv_value_file_new(c->job.lsm->values, c->number, list, list_count, out);
    }
    vv_buf_deinit(&numbers);
    if (rc < 0)
        return rc;
    atomic_store(&(*out)->record_bytes, vv_value_writer_bytes(c->writer));
    atomic_store(&(*out)->record_count, vv_value_writer_count(c->writer));
    atomic_store(&(*out)->sealed, true);
    return VV_OK;
}

static int fill_edit(const struct collect_job *c, const struct vv_value_file *file,
                     struct vv_edit *edit)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < c->file_count; i++)
        rc = vv_edit_remove_value_file(edit, c->files[i]->number);
    if (rc == VV_OK && file != NULL) {
        struct vv_edit_value_file entry = {.number = file->number,
                                           .sealed = true,
                                           .record_bytes = atomic_load(&file->record_bytes),
                                           .record_count = atomic_load(&file->record_count),
                                           .serves = file->serves,
                                           .serve_count = file->serve_count};
        rc = vv_edit_add_value_file(edit, &entry);
    }
    return rc;
}

static int install(struct collect_job *c)
{
    struct vv_lsm *lsm = c->job.lsm;
    struct vv_value_file *file = NULL;
    struct vv_edit edit = {0};
    bool unclear = false;
    int rc = VV_OK;
    if (c->writer != NULL && ((rc = vv_value_writer_seal(c->writer)) < 0 ||
                              (rc = vv_env_sync_dir(lsm->options.env, lsm->options.path)) < 0 ||
                              (rc = new_file(c, &file)) < 0))
        goto out;
    if ((rc = fill_edit(c, file, &edit)) < 0)
        goto out;
    struct vv_install install = {.change = {.value_adds = &file,
                                            .value_add_count = file != NULL ? 1 : 0,
                                            .value_removes = edit.values_gone,
                                            .value_remove_count = edit.value_gone_count}};
    rc = vv_lsm_install(lsm, &edit, &install, &unclear);
    c->installed = rc == VV_OK || unclear;
    vv_count(&lsm->counters.collections, 1);
out:
    vv_edit_deinit(&edit);
    vv_value_file_unref(file);
    return rc;
}

static int collect_step(struct vv_job *job, bool *done)
{
    struct collect_job *c = (struct collect_job *)job;
    int rc;
    *done = false;
    if (!c->gathered)
        return gather_some(c);
    if ((rc = copy_some(c)) < 0)
        return rc;
    if (c->next_place * sizeof(struct place) < c->places.size)
        return VV_OK;
    *done = true;
    return install(c);
}

static void collect_free(struct vv_job *job)
{
    struct collect_job *c = (struct collect_job *)job;
    vv_value_writer_close(c->writer);
    if (c->number > 0 && !c->installed) {
        struct vv_path path = vv_path_of(job->lsm->options.path, VV_NAME_VALUES, c->number);
        int rc = vv_env_remove(job->lsm->options.env, path.text);
        (void)rc; /* an orphan, which the next open removes */
    }
    vv_buf_deinit(&c->places);
    vv_version_unref(c->version);
    vv_free(c);
}

static const struct vv_job_ops collect_ops = {.step = collect_step, .free = collect_free};

/* Whether the version is still the current one. If it is, all references of the memtables that were
 * flushed before are in it. */
static bool is_current(struct vv_lsm *lsm, const struct vv_version *version)
{
    vv_mutex_lock(&lsm->mu);
    bool current = atomic_load(&lsm->view)->version == version;
    vv_mutex_unlock(&lsm->mu);
    return current;
}

int vv_collect_job_new(struct vv_lsm *lsm, bool idle, struct vv_job **out)
{
    struct collect_job *c = vv_alloc_zero(sizeof *c);
    if (c == NULL)
        return VV_NOMEM;
    c->job = (struct vv_job){
        .ops = &collect_ops, .lsm = lsm, .urgency = VV_URGENT_SPACE, .is_collection = true};
    c->version = vv_lsm_version(lsm);
    int rc = choose(c, idle);
    /* A file stops being under way when a flush is installed, and the version may be of before. */
    if (rc == VV_OK && (c->file_count == 0 || !is_current(lsm, c->version)))
        rc = VV_NOTFOUND;
    if (rc != VV_OK) {
        collect_free(&c->job);
        return rc;
    }
    *out = &c->job;
    return VV_OK;
}
