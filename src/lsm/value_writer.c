#include "base/hash.h"
#include "lsm/names.h"
#include "lsm/values_internal.h"

#include <stdlib.h>

struct move {
    uint32_t file;
    uint32_t from_units;
    uint32_t to_units;
};

struct vv_value_writer {
    struct vv_values *values;
    struct vv_log *log;
    uint64_t number;
    _Atomic(uint64_t) bytes; /* of value records */
    _Atomic(uint64_t) count;
    struct vv_buf moves; /* of struct move, in the order of copying */
    struct vv_buf scratch;
};

int vv_value_writer_open(struct vv_values *values, uint64_t number, struct vv_value_writer **out)
{
    struct vv_path path = vv_path_of(values->options.dir, VV_NAME_VALUES, number);
    struct vv_log_create_options options = {
        .head = {.kind = VV_LOG_VALUES, .number = number},
    };
    memcpy(options.head.uuid, values->options.uuid, VV_UUID_SIZE);
    /* References hold 32 bits of file number. */
    if (number > UINT32_MAX)
        return vv_fail(VV_LIMIT, "the store has used up its value file numbers");
    struct vv_value_writer *w = vv_alloc_zero(sizeof *w);
    if (w == NULL)
        return VV_NOMEM;
    w->values = values;
    w->number = number;
    int rc = vv_log_create(values->options.env, path.text, &options, &w->log);
    if (rc < 0) {
        vv_free(w);
        return rc;
    }
    *out = w;
    return VV_OK;
}

static int append_value(struct vv_value_writer *w, vv_slice key, vv_slice value, uint64_t *offset)
{
    struct vv_record record = {
        .type = VV_RECORD_KV, .key = key, .body = value, .body_hash = vv_record_hash(key, value)};
    if (key.size > UINT16_MAX)
        record.flags = VV_RECORD_KEY_64K;
    int rc = vv_log_append(w->log, &record, 1, offset);
    if (rc < 0)
        return rc;
    if (*offset / 8 > UINT32_MAX)
        return vv_fail(VV_LIMIT, "a value file has grown beyond 32 GiB");
    (void)atomic_fetch_add_explicit(&w->bytes, vv_record_size(key.size, value.size),
                                    memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&w->count, 1, memory_order_relaxed);
    return VV_OK;
}

int vv_value_writer_add(struct vv_value_writer *w, vv_slice key, vv_slice value, struct vv_ref *out)
{
    uint64_t offset;
    int rc = append_value(w, key, value, &offset);
    if (rc < 0)
        return rc;
    *out = (struct vv_ref){(uint32_t)w->number, (uint32_t)(offset / 8), (uint32_t)value.size,
                           (uint32_t)vv_hash(value)};
    return VV_OK;
}

int vv_value_writer_move(struct vv_value_writer *w, struct vv_value_file *from, uint32_t ref_file,
                         uint32_t offset_units)
{
    struct vv_record record;
    uint64_t offset;
    int rc = vv_values_read_record(from, ref_file, offset_units, &w->scratch, &record);
    if (rc < 0)
        return rc;
    if ((rc = append_value(w, record.key, record.body, &offset)) < 0)
        return rc;
    struct move move = {ref_file, offset_units, (uint32_t)(offset / 8)};
    return vv_buf_append(&w->moves, &move, sizeof move);
}

int vv_value_writer_sync(struct vv_value_writer *w)
{
    return vv_log_sync(w->log);
}

void vv_value_writer_push(struct vv_value_writer *w)
{
    vv_log_push(w->log);
}

uint64_t vv_value_writer_bytes(const struct vv_value_writer *w)
{
    return atomic_load_explicit(&w->bytes, memory_order_relaxed);
}

uint64_t vv_value_writer_count(const struct vv_value_writer *w)
{
    return atomic_load_explicit(&w->count, memory_order_relaxed);
}

static int move_cmp(const void *a, const void *b)
{
    const struct move *x = a;
    const struct move *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->from_units > y->from_units) - (x->from_units < y->from_units);
}

static int encode_map(const struct vv_value_writer *w, struct vv_buf *out)
{
    const struct move *moves = (const struct move *)(const void *)w->moves.data;
    size_t count = w->moves.size / sizeof moves[0];
    int rc = vv_buf_reserve(out, count * VV_MAP_ENTRY_SIZE + VV_SEAL_TRAILER_SIZE);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = out->data + out->size;
        vv_put_u32(at, moves[i].file);
        vv_put_u32(at + 4, moves[i].from_units);
        vv_put_u32(at + 8, moves[i].to_units);
        vv_put_u32(at + 12, 0);
        out->size += VV_MAP_ENTRY_SIZE;
    }
    vv_put_u64(out->data + out->size, vv_log_size(w->log));
    vv_put_u64(out->data + out->size + 8, count);
    out->size += VV_SEAL_TRAILER_SIZE;
    return VV_OK;
}

int vv_value_writer_seal(struct vv_value_writer *w)
{
    struct vv_buf body = VV_BUF_INIT;
    int rc;
    if (w->moves.size > 0)
        qsort(w->moves.data, w->moves.size / sizeof(struct move), sizeof(struct move), move_cmp);
    if ((rc = encode_map(w, &body)) < 0)
        goto out;
    struct vv_record seal = {.type = VV_RECORD_SEAL,
                             .body = vv_buf_slice(&body),
                             .body_hash = vv_record_hash(VV_SLICE_EMPTY, vv_buf_slice(&body))};
    if ((rc = vv_log_append(w->log, &seal, 1, NULL)) < 0)
        goto out;
    rc = vv_log_sync(w->log);
out:
    vv_buf_deinit(&body);
    return rc;
}

void vv_value_writer_close(struct vv_value_writer *w)
{
    if (w == NULL)
        return;
    vv_log_close(w->log);
    vv_buf_deinit(&w->moves);
    vv_buf_deinit(&w->scratch);
    vv_free(w);
}
