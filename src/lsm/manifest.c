#include "lsm/manifest.h"

#include "base/hash.h"
#include "log/log.h"
#include "lsm/names.h"

#include <inttypes.h>
#include <stdio.h>

struct vv_manifest {
    struct vv_env *env;
    const char *dir;
    uint64_t number;
    uint64_t edit_count; /* the sequence of the log's records */
    struct vv_log *log;
    struct vv_buf scratch;
};

enum { CURRENT_SIZE_MAX = 128 };

/* ------------------------------------------------------------------------------------ CURRENT */

static size_t current_format(char text[CURRENT_SIZE_MAX], uint64_t number)
{
    char name[64];
    int size = snprintf(name, sizeof name, "MANIFEST-%06" PRIu64, number);
    vv_assert(size > 0 && (size_t)size < sizeof name);
    size =
        snprintf(text, CURRENT_SIZE_MAX, "%s %016" PRIx64 "\n", name, vv_hash(vv_slice_str(name)));
    vv_assert(size > 0 && size < CURRENT_SIZE_MAX);
    return (size_t)size;
}

bool vv_current_parse(vv_slice text, uint64_t *number)
{
    char wanted[CURRENT_SIZE_MAX];
    char name[CURRENT_SIZE_MAX];
    size_t size = 0;
    while (size < text.size && size < sizeof name - 1 && text.data[size] != ' ')
        size++;
    memcpy(name, text.data, size);
    name[size] = 0;
    if (vv_name_parse(name, number) != VV_NAME_MANIFEST)
        return false;
    size = current_format(wanted, *number);
    return vv_slice_equal(text, vv_slice_of(wanted, size));
}

/* The first bytes of a file; VV_NOTFOUND when there is none. */
static int read_head(struct vv_env *env, const char *path, char head[CURRENT_SIZE_MAX], size_t *got)
{
    struct vv_file *file = NULL;
    int rc = vv_env_open(env, path, VV_OPEN_READ, &file);
    if (rc != VV_OK)
        return rc;
    rc = vv_file_read_at(file, 0, head, CURRENT_SIZE_MAX, got);
    vv_file_close(file);
    return rc < 0 ? rc : VV_OK;
}

/* VV_NOTFOUND when CURRENT is missing or damaged: both mean "look for yourself". */
static int current_read(struct vv_env *env, const char *dir, uint64_t *number)
{
    struct vv_path path = vv_path_of(dir, VV_NAME_CURRENT, 0);
    char text[CURRENT_SIZE_MAX];
    size_t got;
    int rc = read_head(env, path.text, text, &got);
    if (rc != VV_OK)
        return rc;
    return vv_current_parse(vv_slice_of(text, got), number) ? VV_OK : VV_NOTFOUND;
}

int vv_current_check(struct vv_env *env, const char *dir)
{
    struct vv_path path = vv_path_of(dir, VV_NAME_CURRENT, 0);
    char text[CURRENT_SIZE_MAX];
    uint64_t number;
    size_t got;
    int rc = read_head(env, path.text, text, &got);
    if (rc == VV_OK && !vv_current_parse(vv_slice_of(text, got), &number))
        rc = vv_fail(VV_CORRUPT, "%s: the line at offset 0 names no MANIFEST", path.text);
    return rc < 0 ? rc : VV_OK;
}

int vv_current_is_leveldb(struct vv_env *env, const char *dir, bool *out)
{
    struct vv_path path = vv_path_of(dir, VV_NAME_CURRENT, 0);
    char text[CURRENT_SIZE_MAX];
    uint64_t number;
    size_t got;
    *out = false;
    int rc = read_head(env, path.text, text, &got);
    if (rc != VV_OK || got == 0 || text[got - 1] != '\n')
        return rc < 0 ? rc : VV_OK;
    text[got - 1] = 0;
    if (vv_name_parse(text, &number) != VV_NAME_MANIFEST)
        return VV_OK;
    path = vv_path_of(dir, VV_NAME_MANIFEST, number);
    rc = read_head(env, path.text, text, &got);
    *out = rc == VV_NOTFOUND ||
           (rc == VV_OK && !vv_slice_starts(vv_slice_of(text, got), vv_slice_str("varvelog")));
    return rc < 0 ? rc : VV_OK;
}

static int write_whole(struct vv_env *env, const char *path, vv_slice content)
{
    struct vv_file *file = NULL;
    int rc = vv_env_remove(env, path); /* what a crash left */
    if (rc >= 0 && (rc = vv_env_open(env, path, VV_OPEN_CREATE, &file)) == VV_OK &&
        (rc = vv_file_write_at(file, 0, &content, 1)) == VV_OK)
        rc = vv_file_sync(file);
    vv_file_close(file);
    return rc;
}

static int current_write(struct vv_env *env, const char *dir, uint64_t number, bool *unclear)
{
    char text[CURRENT_SIZE_MAX];
    struct vv_path temp = vv_path_of(dir, VV_NAME_TEMP, 0);
    struct vv_path path = vv_path_of(dir, VV_NAME_CURRENT, 0);
    size_t size = current_format(text, number);
    int rc = write_whole(env, temp.text, vv_slice_of(text, size));
    if (rc < 0)
        return rc;
    /* What was built is durable before it is named: the new MANIFEST's own entry, too. */
    if ((rc = vv_env_sync_dir(env, dir)) < 0)
        return rc;
    *unclear = true;
    if ((rc = vv_env_rename(env, temp.text, path.text)) < 0)
        return rc;
    if ((rc = vv_env_sync_dir(env, dir)) < 0)
        return rc;
    *unclear = false;
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ writing */

static int append(struct vv_manifest *m, const struct vv_edit *edit, bool *unclear)
{
    *unclear = false;
    vv_buf_clear(&m->scratch);
    int rc = vv_edit_encode(edit, &m->scratch);
    if (rc < 0)
        return rc;
    vv_slice body = vv_buf_slice(&m->scratch);
    struct vv_record record = {.type = VV_RECORD_EDIT,
                               .seq = ++m->edit_count,
                               .body = body,
                               .body_hash = vv_record_hash(VV_SLICE_EMPTY, body)};
    if ((rc = vv_log_append(m->log, &record, 1, NULL)) < 0) {
        /* On a full disk this is what makes going on possible: a sync cuts off what was written. */
        *unclear = vv_log_sync(m->log) < 0;
        return rc;
    }
    if ((rc = vv_log_sync(m->log)) < 0)
        *unclear = true;
    return rc;
}

int vv_manifest_create(struct vv_env *env, const char *dir, uint64_t number,
                       const struct vv_edit *snapshot, struct vv_manifest **out, bool *unclear)
{
    struct vv_path path = vv_path_of(dir, VV_NAME_MANIFEST, number);
    struct vv_log_create_options options = {
        .head = {.kind = VV_LOG_MANIFEST, .number = number, .first_seq = 1}};
    vv_assert(snapshot->snapshot && snapshot->has_format);
    memcpy(options.head.uuid, snapshot->uuid, VV_UUID_SIZE);
    *unclear = false;
    struct vv_manifest *m = vv_alloc_zero(sizeof *m);
    if (m == NULL)
        return VV_NOMEM;
    *m = (struct vv_manifest){.env = env, .dir = dir, .number = number};
    int rc = vv_log_create(env, path.text, &options, &m->log);
    bool ignored; /* nothing names this MANIFEST yet */
    if (rc == VV_OK)
        rc = append(m, snapshot, &ignored);
    if (rc == VV_OK)
        rc = current_write(env, dir, number, unclear);
    if (rc < 0) {
        vv_manifest_close(m);
        return rc;
    }
    *out = m;
    return VV_OK;
}

int vv_manifest_append(struct vv_manifest *m, const struct vv_edit *edit, bool *unclear)
{
    return append(m, edit, unclear);
}

uint64_t vv_manifest_number(const struct vv_manifest *m)
{
    return m->number;
}

uint64_t vv_manifest_bytes(const struct vv_manifest *m)
{
    return vv_log_size(m->log);
}

void vv_manifest_close(struct vv_manifest *m)
{
    if (m == NULL)
        return;
    vv_log_close(m->log);
    vv_buf_deinit(&m->scratch);
    vv_free(m);
}

/* ------------------------------------------------------------------------------------ reading */

/* Reads MANIFEST-`number`. VV_END when it does not begin with a whole snapshot. */
static int read_one(struct vv_env *env, const char *dir, uint64_t number,
                    int (*visit)(void *context, const struct vv_edit *edit), void *context)
{
    struct vv_path path = vv_path_of(dir, VV_NAME_MANIFEST, number);
    struct vv_log_expect expect = {.kind = VV_LOG_MANIFEST, .number = number};
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    uint64_t count = 0;
    int rc = vv_log_reader_open(env, path.text, &expect, &reader);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_CORRUPT, "%s: the file is missing", path.text);
    while (rc == VV_OK && (rc = vv_log_read(reader, &record, &offset)) == VV_OK) {
        struct vv_edit edit = {0};
        rc = vv_edit_decode(record.body, &edit);
        if (rc == VV_OK && count == 0 && !edit.snapshot)
            rc = vv_fail(VV_CORRUPT, "the first edit is no snapshot");
        if (rc == VV_OK && visit != NULL)
            rc = visit(context, &edit);
        if (rc < 0)
            rc = vv_fail_in(rc, "%s: record at %" PRIu64, path.text, offset);
        vv_edit_deinit(&edit);
        count++;
    }
    vv_log_reader_close(reader);
    if (rc < 0)
        return rc;
    return count > 0 ? VV_OK : VV_END;
}

/* The highest number below `below` of a MANIFEST in the directory; VV_NOTFOUND for none. */
static int highest(struct vv_env *env, const char *dir, uint64_t below, uint64_t *out)
{
    struct vv_buf names = VV_BUF_INIT;
    uint64_t best = 0;
    int rc = vv_env_list(env, dir, &names);
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number;
        if (vv_name_parse(name, &number) == VV_NAME_MANIFEST && number > best && number < below)
            best = number;
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    if (rc != VV_OK)
        return rc;
    *out = best;
    return best > 0 ? VV_OK : VV_NOTFOUND;
}

int vv_manifest_read(struct vv_env *env, const char *dir,
                     int (*visit)(void *context, const struct vv_edit *edit), void *context,
                     uint64_t *number)
{
    int rc = current_read(env, dir, number);
    if (rc < 0)
        return rc;
    if (rc == VV_OK) {
        rc = read_one(env, dir, *number, visit, context);
        if (rc == VV_END)
            rc = vv_fail(VV_CORRUPT,
                         "%s/CURRENT names MANIFEST-%06" PRIu64 ", which is empty at offset 0", dir,
                         *number);
        return rc;
    }
    /* CURRENT is of no use. A MANIFEST without a whole snapshot was never in force. */
    uint64_t below = UINT64_MAX;
    while ((rc = highest(env, dir, below, number)) == VV_OK) {
        if ((rc = read_one(env, dir, *number, NULL, NULL)) == VV_OK)
            return read_one(env, dir, *number, visit, context);
        if (rc < 0 && rc != VV_CORRUPT)
            return rc;
        below = *number;
    }
    if (rc == VV_NOTFOUND && below != UINT64_MAX)
        return vv_fail(VV_CORRUPT, "%s: CURRENT is missing or damaged, and no MANIFEST is whole",
                       dir);
    return rc;
}
