/*
 * A MANIFEST from anywhere, with or without a CURRENT that names it. The first byte chooses:
 *
 *    even  the bytes are the file
 *    odd   the bytes are edits, each behind a byte that says how long it is, laid as records that
 *          verify, so that reading goes deep
 *
 *    bit 1 CURRENT is missing
 *
 * Reading it ends: with edits, or with an answer that says what is wrong.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "env/mem.h"
#include "log/log.h"
#include "lsm/manifest.h"

#include <inttypes.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EDITS_MAX = 64 };

#define DIR  "/db"
#define NAME "MANIFEST-000001"

static const char path[] = DIR "/" NAME;

static void must(int rc)
{
    vv_assert(rc == VV_OK);
}

static int visit(void *context, const struct vv_edit *edit)
{
    uint64_t *count = context;
    vv_assert(*count > 0 || edit->snapshot);
    *count += 1;
    return VV_OK;
}

static void write_file(struct vv_env *env, const char *name, vv_slice content)
{
    struct vv_file *file;
    must(vv_env_open(env, name, VV_OPEN_CREATE, &file));
    must(vv_file_write_at(file, 0, &content, 1));
    vv_file_close(file);
}

static void write_current(struct vv_env *env)
{
    char text[64];
    int size =
        snprintf(text, sizeof text, "%s %016" PRIx64 "\n", NAME, vv_hash(vv_slice_str(NAME)));
    write_file(env, DIR "/CURRENT", vv_slice_of(text, (size_t)size));
}

static void lay_edits(struct vv_env *env, vv_slice in)
{
    struct vv_log_create_options options = {
        .head = {.kind = VV_LOG_MANIFEST, .number = 1, .first_seq = 1}};
    struct vv_log *log;
    must(vv_log_create(env, path, &options, &log));
    for (uint64_t seq = 1; in.size > 0 && seq <= EDITS_MAX; seq++) {
        size_t size = in.data[0] < in.size - 1 ? in.data[0] : in.size - 1;
        vv_slice body = {in.data + 1, size};
        struct vv_record record = {.type = VV_RECORD_EDIT,
                                   .seq = seq,
                                   .body = body,
                                   .body_hash = vv_record_hash(VV_SLICE_EMPTY, body)};
        must(vv_log_append(log, &record, 1, NULL));
        in = vv_slice_skip(in, size + 1);
    }
    vv_log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vv_env *env;
    uint64_t number = 0;
    uint64_t count = 0;
    if (size == 0)
        return 0;
    must(vv_env_mem_new(&env));
    must(vv_env_make_dir(env, DIR));
    vv_slice in = {data + 1, size - 1};
    if ((data[0] & 1) == 0)
        write_file(env, path, in);
    else
        lay_edits(env, in);
    if ((data[0] & 2) == 0)
        write_current(env);
    int rc = vv_manifest_read(env, DIR, visit, &count, &number);
    vv_assert(rc == VV_OK || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
    vv_assert(rc != VV_OK || (number == 1 && count > 0));
    vv_env_mem_free(env);
    return 0;
}
