#include "lsm/values.h"

#include "base/hash.h"
#include "env/thread.h"
#include "log/log.h"
#include "lsm/names.h"
#include "lsm/values_internal.h"

#include <inttypes.h>

int vv_values_new(const struct vv_values_options *options, struct vv_values **out)
{
    struct vv_values *values = vv_alloc_zero(sizeof *values);
    if (values == NULL)
        return VV_NOMEM;
    values->options = *options;
    vv_mutex_init(&values->mu, 61);
    *out = values;
    return VV_OK;
}

void vv_values_free(struct vv_values *values)
{
    if (values == NULL)
        return;
    vv_mutex_deinit(&values->mu);
    vv_free(values);
}

int vv_value_file_new(struct vv_values *values, uint64_t number, const uint64_t *serves,
                      size_t serve_count, struct vv_value_file **out)
{
    struct vv_value_file *file = vv_alloc_zero(sizeof *file);
    if (file == NULL)
        return VV_NOMEM;
    file->serves = serve_count == 0 ? vv_memdup(&number, sizeof number)
                                    : vv_memdup(serves, serve_count * sizeof serves[0]);
    if (file->serves == NULL) {
        vv_free(file);
        return VV_NOMEM;
    }
    file->serve_count = serve_count == 0 ? 1 : serve_count;
    atomic_store(&file->refs, 1);
    file->number = number;
    file->owner = values;
    *out = file;
    return VV_OK;
}

void vv_value_file_ref(struct vv_value_file *file)
{
    uint32_t before = atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    vv_assert(before > 0);
}

void vv_value_file_unref(struct vv_value_file *file)
{
    if (file != NULL && atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) == 1)
        vv_values_drop(file);
}

uint64_t vv_value_record_size(size_t key_size, size_t value_size)
{
    return vv_record_size(key_size, value_size);
}

/* ------------------------------------------------------------------------------------ handles */

static void handle_free(struct vv_values *values, struct vv_value_handle *h)
{
    if (h == NULL)
        return;
    vv_account_release(values->options.account, VV_OWNER_TABLE, h->charge_bytes);
    vv_file_close(h->file);
    vv_free(h->samples);
    vv_free(h);
}

void vv_values_drop(struct vv_value_file *file)
{
    struct vv_values *values = file->owner;
    handle_free(values, atomic_load(&file->handle));
    if (atomic_load(&file->obsolete) && !values->options.readonly) {
        struct vv_path path = vv_path_of(values->options.dir, VV_NAME_VALUES, file->number);
        /* A file that cannot be removed now is an orphan, which the next open removes. */
        int rc = vv_env_remove(values->options.env, path.text);
        (void)rc;
    }
    vv_free(file->serves);
    vv_free(file);
}

static uint64_t map_key(uint64_t file, uint32_t from_units)
{
    return file << 32 | from_units;
}

static uint64_t entry_key(const uint8_t *entry)
{
    return map_key(vv_get_u32(entry), vv_get_u32(entry + 4));
}

/* Checks the order of the map and keeps every VV_MAP_STRIDE-th key in memory. */
static int map_sample(struct vv_value_handle *h, vv_slice body, const char *name)
{
    size_t count = (body.size - VV_SEAL_TRAILER_SIZE) / VV_MAP_ENTRY_SIZE;
    h->sample_count = (count + VV_MAP_STRIDE - 1) / VV_MAP_STRIDE;
    h->samples = vv_alloc(h->sample_count * sizeof h->samples[0]);
    if (h->samples == NULL)
        return VV_NOMEM;
    uint64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t key = entry_key(body.data + i * VV_MAP_ENTRY_SIZE);
        if (i > 0 && key <= before)
            return vv_fail(VV_CORRUPT, "%s: entry %zu of the map is out of order", name, i);
        if (i % VV_MAP_STRIDE == 0)
            h->samples[i / VV_MAP_STRIDE] = key;
        before = key;
    }
    h->map_count = count;
    return VV_OK;
}

static int map_load(struct vv_value_handle *h, const char *name)
{
    struct vv_buf scratch = VV_BUF_INIT;
    struct vv_record record;
    uint8_t trailer[VV_SEAL_TRAILER_SIZE];
    uint64_t size_bytes = 0;
    int rc;
    if ((rc = vv_file_size(h->file, &size_bytes)) < 0)
        goto out;
    if (size_bytes < VV_LOG_HEAD_SIZE + VV_RECORD_HEAD_SIZE + sizeof trailer) {
        rc = vv_fail(VV_CORRUPT, "%s: %" PRIu64 " bytes are too few for a map", name, size_bytes);
        goto out;
    }
    if ((rc = vv_file_read_whole(h->file, size_bytes - sizeof trailer, trailer, sizeof trailer)) <
        0)
        goto out;
    uint64_t seal = vv_get_u64(trailer);
    if (seal < VV_LOG_HEAD_SIZE || seal % 8 != 0 || seal >= size_bytes) {
        rc = vv_fail(VV_CORRUPT, "%s: the trailer at %" PRIu64 " names no record", name,
                     size_bytes - sizeof trailer);
        goto out;
    }
    if ((rc = vv_log_read_at(h->file, name, &h->head, seal, &scratch, &record)) < 0)
        goto out;
    if (record.type != VV_RECORD_SEAL || record.body.size < VV_SEAL_TRAILER_SIZE ||
        (record.body.size - VV_SEAL_TRAILER_SIZE) % VV_MAP_ENTRY_SIZE != 0) {
        rc = vv_fail(VV_CORRUPT, "%s: the record at %" PRIu64 " is no map", name, seal);
        goto out;
    }
    h->map_offset = seal + VV_RECORD_HEAD_SIZE;
    rc = map_sample(h, record.body, name);
out:
    vv_buf_deinit(&scratch);
    return rc;
}

static bool serves_itself(const struct vv_value_file *file)
{
    return file->serve_count == 1 && file->serves[0] == file->number;
}

static const uint8_t *uuid_of(const struct vv_values *values, uint64_t number)
{
    return vv_lineage_uuid(values->options.lineage, values->options.uuid, number);
}

static int handle_open(struct vv_value_file *file, struct vv_value_handle **out)
{
    struct vv_values *values = file->owner;
    struct vv_path path = vv_path_of(values->options.dir, VV_NAME_VALUES, file->number);
    uint8_t raw[VV_LOG_HEAD_SIZE];
    struct vv_value_handle *h = vv_alloc_zero(sizeof *h);
    int rc;
    if (h == NULL)
        return VV_NOMEM;
    if ((rc = vv_env_open(values->options.env, path.text, VV_OPEN_READ, &h->file)) < 0)
        goto out;
    if (rc == VV_NOTFOUND) {
        rc = vv_fail(VV_CORRUPT, "%s: the file is missing", path.text);
        goto out;
    }
    if ((rc = vv_file_read_whole(h->file, 0, raw, sizeof raw)) < 0)
        goto out;
    if ((rc = vv_log_head_decode(vv_slice_of(raw, sizeof raw), path.text, &h->head)) != VV_OK) {
        rc = rc < 0 ? rc : vv_fail(VV_CORRUPT, "%s: there is no header at offset 0", path.text);
        goto out;
    }
    if (h->head.kind != VV_LOG_VALUES || h->head.number != file->number ||
        memcmp(h->head.uuid, uuid_of(values, file->number), VV_UUID_SIZE) != 0) {
        rc = vv_fail(VV_CORRUPT, "%s: the header at offset 0 is of another file", path.text);
        goto out;
    }
    if (!serves_itself(file) && (rc = map_load(h, path.text)) < 0)
        goto out;
    h->charge_bytes = sizeof *h + h->sample_count * sizeof h->samples[0];
    vv_account_charge(values->options.account, VV_OWNER_TABLE, h->charge_bytes);
    *out = h;
    return VV_OK;
out:
    handle_free(values, h);
    return rc;
}

/* As with tables: set once, lives as long as the meta. */
static int handle_get(struct vv_value_file *file, struct vv_value_handle **out)
{
    struct vv_value_handle *h = atomic_load_explicit(&file->handle, memory_order_acquire);
    int rc = VV_OK;
    if (VV_UNLIKELY(h == NULL)) {
        vv_mutex_lock(&file->owner->mu);
        h = atomic_load_explicit(&file->handle, memory_order_relaxed);
        if (h == NULL && (rc = handle_open(file, &h)) == VV_OK)
            atomic_store_explicit(&file->handle, h, memory_order_release);
        vv_mutex_unlock(&file->owner->mu);
    }
    *out = h;
    return rc;
}

/* Finds a reference in the map: samples in memory, then one read of a stride of entries. VV_NOTFOUND
 * when the map does not have it. */
static int map_find(struct vv_value_handle *h, uint64_t key, uint64_t *offset)
{
    size_t low = 0;
    size_t high = h->sample_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (h->samples[middle] <= key)
            low = middle;
        else
            high = middle;
    }
    uint8_t raw[VV_MAP_STRIDE * VV_MAP_ENTRY_SIZE];
    size_t first = low * VV_MAP_STRIDE;
    size_t count = h->map_count - first < VV_MAP_STRIDE ? h->map_count - first : VV_MAP_STRIDE;
    int rc = vv_file_read_whole(h->file, h->map_offset + first * VV_MAP_ENTRY_SIZE, raw,
                                count * VV_MAP_ENTRY_SIZE);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (entry_key(raw + i * VV_MAP_ENTRY_SIZE) == key) {
            *offset = (uint64_t)vv_get_u32(raw + i * VV_MAP_ENTRY_SIZE + 8) * 8;
            return VV_OK;
        }
    }
    return VV_NOTFOUND;
}

static int find(struct vv_value_file *file, uint64_t ref_file, uint32_t offset_units,
                struct vv_value_handle **h, uint64_t *offset)
{
    int rc = handle_get(file, h);
    if (rc < 0)
        return rc;
    vv_assert(*h != NULL);
    if (ref_file == file->number) {
        *offset = (uint64_t)offset_units * 8;
        return VV_OK;
    }
    return map_find(*h, map_key(ref_file, offset_units), offset);
}

static int locate(struct vv_value_file *file, uint64_t ref_file, uint32_t offset_units,
                  struct vv_value_handle **h, uint64_t *offset)
{
    int rc = find(file, ref_file, offset_units, h, offset);
    if (rc != VV_NOTFOUND)
        return rc;
    return vv_fail(VV_CORRUPT,
                   "%s/%06" PRIu64 ".val: the map does not know offset %" PRIu64
                   " of value file %" PRIu64,
                   file->owner->options.dir, file->number, (uint64_t)offset_units * 8, ref_file);
}

int vv_values_find(struct vv_value_file *file, struct vv_ref ref)
{
    struct vv_value_handle *h = NULL;
    uint64_t offset;
    return find(file, ref.file, ref.offset_units, &h, &offset);
}

/* ------------------------------------------------------------------------------------ reading */

struct value_pin {
    struct vv_account *account;
    size_t charge_bytes;
    uint8_t bytes[];
};

static void value_pin_release(void *owner)
{
    struct value_pin *pin = owner;
    vv_account_release(pin->account, VV_OWNER_PIN, pin->charge_bytes);
    vv_free(pin);
}

static int damaged_value(const struct vv_value_file *file, uint64_t offset)
{
    return vv_fail(VV_CORRUPT, "%s/%06" PRIu64 ".val: the value at %" PRIu64 " fails its checksum",
                   file->owner->options.dir, file->number, offset);
}

int vv_values_read(struct vv_value_file *file, struct vv_ref ref, vv_slice key, struct vv_pin *out)
{
    struct vv_value_handle *h = NULL;
    uint64_t offset = 0;
    int rc = locate(file, ref.file, ref.offset_units, &h, &offset);
    if (rc < 0)
        return rc;
    struct value_pin *pin = vv_alloc(sizeof *pin + ref.size_bytes);
    if (pin == NULL)
        return VV_NOMEM;
    pin->account = file->owner->options.account;
    pin->charge_bytes = sizeof *pin + ref.size_bytes;
    vv_account_charge(pin->account, VV_OWNER_PIN, pin->charge_bytes);
    vv_slice value = {pin->bytes, ref.size_bytes};
    rc = vv_file_read_whole(h->file, offset + VV_RECORD_HEAD_SIZE + key.size, pin->bytes,
                            value.size);
    if (rc == VV_OK && (uint32_t)vv_hash(value) != ref.check)
        rc = damaged_value(file, offset);
    if (rc < 0) {
        value_pin_release(pin);
        return rc;
    }
    *out = (struct vv_pin){.value = value, .release = value_pin_release, .owner = pin};
    return VV_OK;
}

int vv_values_read_record(struct vv_value_file *file, uint64_t ref_file, uint32_t offset_units,
                          struct vv_buf *scratch, struct vv_record *record)
{
    struct vv_value_handle *h = NULL;
    uint64_t offset = 0;
    int rc = locate(file, ref_file, offset_units, &h, &offset);
    if (rc < 0)
        return rc;
    struct vv_path path = vv_path_of(file->owner->options.dir, VV_NAME_VALUES, file->number);
    rc = vv_log_read_at(h->file, path.text, &h->head, offset, scratch, record);
    if (rc == VV_OK && record->type != VV_RECORD_KV)
        rc = vv_fail(VV_CORRUPT, "%s: the record at %" PRIu64 " is no value", path.text, offset);
    return rc;
}

int vv_values_probe(struct vv_value_file *file, struct vv_ref ref, vv_slice key)
{
    struct vv_buf scratch = VV_BUF_INIT;
    struct vv_record record;
    int rc = vv_values_read_record(file, ref.file, ref.offset_units, &scratch, &record);
    if (rc == VV_OK && (!vv_slice_equal(record.key, key) || record.body.size != ref.size_bytes ||
                        (uint32_t)vv_hash(record.body) != ref.check))
        rc = damaged_value(file, (uint64_t)ref.offset_units * 8);
    vv_buf_deinit(&scratch);
    return rc;
}

int vv_values_headless(struct vv_values *values, uint64_t number, bool *out)
{
    struct vv_path path = vv_path_of(values->options.dir, VV_NAME_VALUES, number);
    struct vv_log_expect any = {.kind = VV_LOG_VALUES};
    struct vv_log_reader *reader = NULL;
    int rc = vv_log_reader_open(values->options.env, path.text, &any, &reader);
    *out = rc == VV_END;
    vv_log_reader_close(reader);
    /* Damage is for whoever needs the file. */
    return rc == VV_CORRUPT || rc == VV_UNSUPPORTED || rc > 0 ? VV_OK : rc;
}

int vv_values_size(struct vv_value_file *file, uint64_t *out)
{
    struct vv_value_handle *h;
    int rc = handle_get(file, &h);
    return rc < 0 ? rc : vv_file_size(h->file, out);
}

int vv_values_check(struct vv_value_file *file, uint64_t *count, uint64_t *bytes)
{
    struct vv_path path = vv_path_of(file->owner->options.dir, VV_NAME_VALUES, file->number);
    /* A file that recovery has sealed may have a torn end: how much it should have, nobody knows. */
    bool whole = atomic_load(&file->sealed) && atomic_load(&file->record_count) > 0;
    struct vv_log_expect expect = {.kind = VV_LOG_VALUES,
                                   .number = file->number,
                                   .uuid = uuid_of(file->owner, file->number),
                                   .later_prev_synced = whole};
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    int rc = vv_log_reader_open(file->owner->options.env, path.text, &expect, &reader);
    *count = *bytes = 0;
    if (rc == VV_NOTFOUND)
        rc = vv_fail(VV_CORRUPT, "%s: the file is missing", path.text);
    while (rc == VV_OK && (rc = vv_log_read(reader, &record, &offset)) == VV_OK) {
        if (record.type == VV_RECORD_KV) {
            *count += 1;
            *bytes += vv_record_size(record.key.size, record.body.size);
        }
    }
    vv_log_reader_close(reader);
    return rc < 0 ? rc : VV_OK;
}

int vv_values_read_serves(struct vv_values *values, uint64_t number, struct vv_buf *out)
{
    struct vv_path path = vv_path_of(values->options.dir, VV_NAME_VALUES, number);
    struct vv_log_expect expect = {
        .kind = VV_LOG_VALUES, .number = number, .uuid = uuid_of(values, number)};
    struct vv_log_reader *reader = NULL;
    struct vv_record record;
    uint64_t offset;
    uint64_t last = 0;
    int rc = vv_log_reader_open(values->options.env, path.text, &expect, &reader);
    while (rc == VV_OK) {
        rc = vv_log_read(reader, &record, &offset);
        /* The map stands at the end: damage in front of it must not hide it. */
        if (rc == VV_CORRUPT && (rc = vv_log_reader_skip(reader)) == VV_OK)
            continue;
        if (rc != VV_OK || record.type != VV_RECORD_SEAL || record.body.size < VV_SEAL_TRAILER_SIZE)
            continue;
        size_t count = (record.body.size - VV_SEAL_TRAILER_SIZE) / VV_MAP_ENTRY_SIZE;
        for (size_t i = 0; rc == VV_OK && i < count; i++) {
            uint64_t file = vv_get_u32(record.body.data + i * VV_MAP_ENTRY_SIZE);
            if (file != last)
                rc = vv_buf_append(out, &file, sizeof file);
            last = file;
        }
    }
    vv_log_reader_close(reader);
    return rc < 0 ? rc : VV_OK;
}
