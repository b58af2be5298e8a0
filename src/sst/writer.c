/*
 * Writes a table, front to back, without ever going back.
 *
 * A finished data block waits (`pending`) for the next key: its separator in the index depends on it.
 * When the index partition is full and the next key is another one, its index and filter follow into
 * the file, so that memory does not grow, but for value references: 16 bytes each until the end.
 */
#include "base/error.h"
#include "kv/expiry.h"
#include "kv/ref.h"
#include "sst/block_writer.h"
#include "sst/codec.h"
#include "sst/expiries.h"
#include "sst/filter.h"
#include "sst/format.h"
#include "sst/table.h"

#include <stdlib.h>
#include <varve/varve.h>

#define TEXT_OF(x)    #x
#define VERSION_OF(x) TEXT_OF(x)

static const char creator[] = "varve " VERSION_OF(VARVE_VERSION_MAJOR) "." VERSION_OF(
    VARVE_VERSION_MINOR) "." VERSION_OF(VARVE_VERSION_PATCH);

enum {
    BLOCK_BYTES_RAW = 4096 - VV_TRAILER_SIZE,
    BLOCK_BYTES_COMPRESSED = 8192,
    BLOCK_BYTES_MIN = 64,
    BLOCK_BYTES_MAX = 16 << 20,
    PARTITION_BYTES = 24 << 10,
    PARTITION_BYTES_MAX = 1 << 20,
    WRITE_BYTES = 256 << 10, /* how much is written at once, at least */
    PUSH_BYTES = 1 << 20,    /* how much is sent on to the device at once */
};

struct handle {
    uint64_t offset;
    uint32_t size;
};

/* A finished data block. */
struct done_block {
    struct handle at;
    uint32_t entries;
    uint32_t tombstones;
    uint8_t flags;
};

struct ref_note {
    uint32_t file;
    uint32_t offset_units;
    uint64_t record_bytes;
};

struct vv_table_writer {
    struct vv_env *env;
    struct vv_file *file;
    struct vv_account *account;
    const struct vv_order *order;
    struct vv_encoder *encoder;
    uint64_t salt;
    uint64_t number;
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    enum vv_codec codec;
    enum vv_filter_kind filter;
    size_t block_bytes, partition_bytes;

    struct vv_buf out; /* what is not written yet */
    uint64_t out_offset;
    uint64_t pushed; /* up to here the device was asked to write */
    size_t charged_bytes;

    struct vv_block_writer data, index, top;
    struct vv_buf raw;     /* a block before compression */
    struct vv_buf scratch; /* separators, filters, properties */
    struct vv_buf hashes;  /* u64 for each key of the partition */
    uint64_t hash;         /* of last_key */

    uint32_t block_tombstones;
    bool block_all_put;
    struct done_block pending;
    bool has_pending;
    uint32_t partition_blocks;
    uint64_t partition_entries;

    struct vv_buf smallest, last_key;
    vv_seq last_seq;
    struct vv_buf refs;                 /* struct ref_note */
    struct vv_buf ranges;               /* the range block */
    struct vv_buf range_from, range_to; /* the least and the greatest bound of all ranges */
    struct vv_table_facts facts;
    struct vv_expiries expiries;
    uint64_t blocks;
    const uint64_t *replaces;
    size_t replace_count;
};

static size_t choose(uint32_t wanted, size_t otherwise, size_t least, size_t most)
{
    size_t size = wanted != 0 ? wanted : otherwise;
    if (size < least)
        return least;
    return size > most ? most : size;
}

static void set_options(struct vv_table_writer *w, const struct vv_table_write_options *o)
{
    bool is_bytewise = vv_order_bytewise(o->order);
    w->account = o->account;
    w->order = o->order;
    w->number = o->number;
    memcpy(w->uuid, o->uuid, sizeof w->uuid);
    w->salt = vv_table_salt(o->uuid, o->number);
    w->codec = o->codec;
    w->filter = o->filter;
    w->block_bytes =
        choose(o->block_bytes, o->codec == VV_CODEC_NONE ? BLOCK_BYTES_RAW : BLOCK_BYTES_COMPRESSED,
               BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
    w->partition_bytes =
        choose(o->partition_bytes, PARTITION_BYTES, BLOCK_BYTES_MIN, PARTITION_BYTES_MAX);
    w->data.shape = is_bytewise ? VV_BLOCK_SHAPE_DATA : VV_BLOCK_SHAPE_DATA_ORDER;
    w->index.shape = is_bytewise ? VV_BLOCK_SHAPE_INDEX : VV_BLOCK_SHAPE_INDEX_ORDER;
    w->top.shape = w->index.shape;
    w->block_all_put = true;
    w->facts.min_seq = VV_SEQ_MAX;
}

int vv_table_writer_open(struct vv_env *env, const char *path,
                         const struct vv_table_write_options *options, struct vv_table_writer **out)
{
    struct vv_table_writer *w = vv_alloc_zero(sizeof *w);
    if (w == NULL)
        return VV_NOMEM;
    w->env = env;
    set_options(w, options);
    int rc = vv_encoder_new(w->codec, &w->encoder);
    if (rc < 0)
        goto out;
    if ((rc = vv_env_open(env, path, VV_OPEN_CREATE, &w->file)) < 0)
        goto out;
    vv_assert(rc == VV_OK);
    *out = w;
    w = NULL;
out:
    vv_table_writer_abort(w);
    return rc;
}

void vv_table_facts_deinit(struct vv_table_facts *facts)
{
    vv_buf_deinit(&facts->smallest);
    vv_buf_deinit(&facts->largest);
    vv_free(facts->refs);
    facts->refs = NULL;
    facts->ref_count = 0;
}

void vv_table_writer_abort(struct vv_table_writer *w)
{
    if (w == NULL)
        return;
    vv_file_close(w->file);
    vv_encoder_free(w->encoder);
    vv_block_writer_deinit(&w->data);
    vv_block_writer_deinit(&w->index);
    vv_block_writer_deinit(&w->top);
    vv_buf_deinit(&w->out);
    vv_buf_deinit(&w->raw);
    vv_buf_deinit(&w->scratch);
    vv_buf_deinit(&w->hashes);
    vv_buf_deinit(&w->smallest);
    vv_buf_deinit(&w->last_key);
    vv_buf_deinit(&w->refs);
    vv_buf_deinit(&w->ranges);
    vv_buf_deinit(&w->range_from);
    vv_buf_deinit(&w->range_to);
    vv_table_facts_deinit(&w->facts);
    if (w->charged_bytes > 0)
        vv_account_release(w->account, VV_OWNER_WORK, w->charged_bytes);
    vv_free(w);
}

/* Brings the account up to date; once a block is often enough. */
static void recharge(struct vv_table_writer *w)
{
    size_t now = w->out.cap + w->raw.cap + w->scratch.cap + w->hashes.cap + w->refs.cap +
                 w->ranges.cap + w->data.keys.cap + w->data.values.cap + w->data.slots.cap +
                 w->index.keys.cap + w->index.values.cap + w->index.slots.cap + w->top.keys.cap +
                 w->top.values.cap + w->top.slots.cap;
    if (now > w->charged_bytes)
        vv_account_charge(w->account, VV_OWNER_WORK, now - w->charged_bytes);
    else
        vv_account_release(w->account, VV_OWNER_WORK, w->charged_bytes - now);
    w->charged_bytes = now;
}

/* ------------------------------------------------------------------------------------ blocks out */

static uint64_t here(const struct vv_table_writer *w)
{
    return w->out_offset + w->out.size;
}

static int write_out(struct vv_table_writer *w)
{
    vv_slice part = vv_buf_slice(&w->out);
    int rc = vv_file_write_at(w->file, w->out_offset, &part, 1);
    if (rc < 0)
        return rc;
    w->out_offset += w->out.size;
    vv_buf_clear(&w->out);
    if (w->out_offset - w->pushed >= PUSH_BYTES) {
        vv_file_push(w->file, w->pushed, w->out_offset - w->pushed);
        w->pushed = w->out_offset;
    }
    return VV_OK;
}

/* Zeros up to a multiple of `align`. */
static int pad(struct vv_table_writer *w, size_t align)
{
    size_t zeros = (size_t)(-here(w) & (align - 1));
    int rc = vv_buf_reserve(&w->out, zeros);
    if (rc < 0 || zeros == 0)
        return rc;
    memset(w->out.data + w->out.size, 0, zeros);
    w->out.size += zeros;
    return VV_OK;
}

/* Ends the stored block whose content stands in `out` from `from` on. */
static int seal_block(struct vv_table_writer *w, size_t from, uint64_t raw_size,
                      enum vv_codec codec, enum vv_role role, struct handle *at)
{
    uint64_t offset = w->out_offset + from;
    uint64_t size = w->out.size - from + VV_TRAILER_SIZE;
    if (offset >= VV_TABLE_BYTES_MAX || size > UINT32_MAX || raw_size > UINT32_MAX)
        return vv_fail(VV_TOOBIG, "table %llu is larger than a table can be",
                       (unsigned long long)w->number);
    int rc = vv_buf_reserve(&w->out, VV_TRAILER_SIZE);
    if (rc < 0)
        return rc;
    uint8_t *trailer = w->out.data + w->out.size;
    vv_put_u32(trailer + VV_TRAILER_RAW_SIZE, (uint32_t)raw_size);
    trailer[VV_TRAILER_CODEC] = (uint8_t)codec;
    trailer[VV_TRAILER_ROLE] = (uint8_t)role;
    vv_put_u16(trailer + VV_TRAILER_ZERO, 0);
    vv_slice covered = {w->out.data + from, (size_t)size - VV_TRAILER_SIZE + VV_TRAILER_CHECK};
    vv_put_u32(trailer + VV_TRAILER_CHECK, vv_checksum(covered, vv_stored_seed(w->salt, offset)));
    w->out.size += VV_TRAILER_SIZE;
    *at = (struct handle){offset, (uint32_t)size};
    return w->out.size >= WRITE_BYTES ? write_out(w) : VV_OK;
}

/* Lays a block that is built already. */
static int put_plain(struct vv_table_writer *w, vv_slice content, enum vv_role role, size_t align,
                     struct handle *at)
{
    int rc = pad(w, align);
    if (rc < 0)
        return rc;
    size_t from = w->out.size;
    if ((rc = vv_buf_append_slice(&w->out, content)) < 0)
        return rc;
    return seal_block(w, from, content.size, VV_CODEC_NONE, role, at);
}

/* Lays the block of a block writer, uncompressed. */
static int put_slotted(struct vv_table_writer *w, struct vv_block_writer *block, enum vv_role role,
                       struct handle *at)
{
    int rc = pad(w, VV_BLOCK_ALIGN);
    if (rc < 0)
        return rc;
    size_t from = w->out.size;
    if ((rc = vv_block_writer_finish(block, &w->out)) < 0)
        return rc;
    return seal_block(w, from, w->out.size - from, VV_CODEC_NONE, role, at);
}

/* Lays the data block compressed, unless that gains less than an eighth. */
static int put_compressed(struct vv_table_writer *w, struct handle *at, uint8_t *flags)
{
    vv_buf_clear(&w->raw);
    int rc = vv_block_writer_finish(&w->data, &w->raw);
    if (rc < 0)
        return rc;
    if ((rc = pad(w, VV_BLOCK_ALIGN)) < 0)
        return rc;
    vv_slice raw = vv_buf_slice(&w->raw);
    size_t from = w->out.size;
    rc = vv_encode(w->encoder, raw, raw.size - raw.size / 8, &w->out);
    if (rc < 0)
        return rc;
    if (rc == VV_OK)
        return seal_block(w, from, raw.size, w->codec, VV_ROLE_DATA, at);
    *flags |= VV_INDEX_RAW;
    return put_plain(w, raw, VV_ROLE_DATA, VV_BLOCK_ALIGN, at);
}

static int finish_block(struct vv_table_writer *w)
{
    vv_assert(!w->has_pending);
    struct done_block done = {.entries = (uint32_t)w->data.count,
                              .tombstones = w->block_tombstones,
                              .flags = w->block_all_put ? VV_INDEX_ALL_PUT : 0};
    int rc;
    if (w->encoder == NULL) {
        done.flags |= VV_INDEX_RAW;
        rc = put_slotted(w, &w->data, VV_ROLE_DATA, &done.at);
    } else {
        rc = put_compressed(w, &done.at, &done.flags);
    }
    if (rc < 0)
        return rc;
    w->pending = done;
    w->has_pending = true;
    w->block_tombstones = 0;
    w->block_all_put = true;
    w->blocks++;
    recharge(w);
    return VV_OK;
}

/* ------------------------------------------------------------------------------------ index */

/* Puts the byte string after `prefix` of its length into `out`: the last byte one higher. */
static int append_raised(struct vv_buf *out, vv_slice prefix)
{
    int rc = vv_buf_append_slice(out, prefix);
    if (rc == VV_OK)
        out->data[out->size - 1]++;
    return rc;
}

/* A short key that is not before `last` and is before `next`. */
static int separate(const struct vv_order *order, vv_slice last, vv_slice next, struct vv_buf *out)
{
    vv_buf_clear(out);
    size_t common = vv_slice_common(last, next);
    if (!vv_order_bytewise(order) || common == last.size)
        return vv_buf_append_slice(out, last);
    vv_assert(common < next.size);
    if (next.size > common + 1)
        return vv_buf_append(out, next.data, common + 1);
    if (last.data[common] + 1 < next.data[common])
        return append_raised(out, (vv_slice){last.data, common + 1});
    for (size_t i = common + 1; i + 1 < last.size; i++)
        if (last.data[i] != 0xff)
            return append_raised(out, (vv_slice){last.data, i + 1});
    return vv_buf_append_slice(out, last);
}

static int add_index_entry(struct vv_table_writer *w, vv_slice separator, vv_seq seq)
{
    if (w->index.count == VV_BLOCK_COUNT_MAX)
        return vv_fail(VV_TOOBIG, "table %llu: the versions of one key fill more than %d blocks",
                       (unsigned long long)w->number, VV_BLOCK_COUNT_MAX);
    const struct done_block *block = &w->pending;
    uint8_t value[VV_INDEX_VALUE_SIZE] = {0};
    vv_put_u32(value + VV_INDEX_OFFSET, (uint32_t)(block->at.offset / VV_BLOCK_ALIGN));
    vv_put_u32(value + VV_INDEX_SIZE, block->at.size);
    vv_put_u16(value + VV_INDEX_ENTRIES, (uint16_t)block->entries);
    vv_put_u16(value + VV_INDEX_TOMBSTONES, (uint16_t)block->tombstones);
    value[VV_INDEX_FLAGS] = block->flags;
    struct vv_entry entry = {separator, vv_slice_of(value, sizeof value), seq, VV_KIND_PUT};
    int rc = vv_block_writer_add(&w->index, &entry, 0);
    if (rc < 0)
        return rc;
    w->has_pending = false;
    w->partition_blocks++;
    w->partition_entries += block->entries;
    return VV_OK;
}

static int put_filter(struct vv_table_writer *w, struct handle *at)
{
    *at = (struct handle){0};
    if (w->filter == VV_FILTER_NONE)
        return VV_OK;
    vv_buf_clear(&w->raw);
    uint64_t *hashes = (uint64_t *)(void *)w->hashes.data;
    int rc = vv_filter_build(w->filter, hashes, w->hashes.size / sizeof *hashes, &w->raw);
    vv_buf_clear(&w->hashes);
    if (rc < 0)
        return rc;
    return put_plain(w, vv_buf_slice(&w->raw), VV_ROLE_FILTER, VV_FILTER_ALIGN, at);
}

/* Ends the partition: its index and filter, and its entry in the top index. */
static int cut_partition(struct vv_table_writer *w, vv_slice separator)
{
    if (w->top.count == VV_BLOCK_COUNT_MAX)
        return vv_fail(VV_TOOBIG, "table %llu has more than %d index partitions",
                       (unsigned long long)w->number, VV_BLOCK_COUNT_MAX);
    struct handle index = {0};
    struct handle filter = {0};
    int rc = put_slotted(w, &w->index, VV_ROLE_INDEX, &index);
    if (rc < 0)
        return rc;
    if ((rc = put_filter(w, &filter)) < 0)
        return rc;
    uint8_t value[VV_TOP_VALUE_SIZE] = {0};
    vv_put_u64(value + VV_TOP_INDEX_OFFSET, index.offset);
    vv_put_u32(value + VV_TOP_INDEX_SIZE, index.size);
    vv_put_u32(value + VV_TOP_FILTER_SIZE, filter.size);
    vv_put_u64(value + VV_TOP_FILTER_OFFSET, filter.offset);
    vv_put_u32(value + VV_TOP_BLOCKS, w->partition_blocks);
    vv_put_u64(value + VV_TOP_ENTRIES, w->partition_entries);
    struct vv_entry entry = {separator, vv_slice_of(value, sizeof value), 0, VV_KIND_PUT};
    if ((rc = vv_block_writer_add(&w->top, &entry, 0)) < 0)
        return rc;
    w->partition_blocks = 0;
    w->partition_entries = 0;
    return VV_OK;
}

/* The block before `next` gets its place in the index, now that the key behind it is known. */
static int index_pending(struct vv_table_writer *w, vv_slice next)
{
    vv_slice last = vv_buf_slice(&w->last_key);
    if (vv_slice_equal(last, next))
        return add_index_entry(w, last, w->last_seq);
    int rc = separate(w->order, last, next, &w->scratch);
    if (rc < 0)
        return rc;
    if ((rc = add_index_entry(w, vv_buf_slice(&w->scratch), 0)) < 0)
        return rc;
    bool is_full = vv_block_writer_size(&w->index) >= w->partition_bytes ||
                   w->index.count == VV_BLOCK_COUNT_MAX;
    return is_full ? cut_partition(w, vv_buf_slice(&w->scratch)) : VV_OK;
}

/* ------------------------------------------------------------------------------------ entries in */

static int note_ref(struct vv_table_writer *w, const struct vv_entry *entry, uint64_t value_bytes)
{
    struct vv_ref ref;
    vv_assert(vv_ref_decode(vv_expiry_strip(entry->kind, entry->value), &ref));
    vv_assert(ref.size_bytes == value_bytes);
    uint64_t record = VV_REF_RECORD_HEAD_SIZE + entry->key.size + value_bytes;
    record += -record & (VV_REF_RECORD_ALIGN - 1);
    struct ref_note note = {ref.file, ref.offset_units, record};
    return vv_buf_append(&w->refs, &note, sizeof note);
}

static int note_key(struct vv_table_writer *w, vv_slice key)
{
    int rc = vv_buf_assign(&w->last_key, key);
    if (rc < 0)
        return rc;
    w->hash = vv_hash(key);
    if (w->filter == VV_FILTER_NONE)
        return VV_OK;
    return vv_buf_append(&w->hashes, &w->hash, sizeof w->hash);
}

static void count_entry(struct vv_table_writer *w, const struct vv_entry *entry,
                        uint64_t value_bytes)
{
    struct vv_table_facts *f = &w->facts;
    f->entries++;
    f->raw_bytes += entry->key.size + value_bytes;
    f->min_seq = entry->seq < f->min_seq ? entry->seq : f->min_seq;
    f->max_seq = entry->seq > f->max_seq ? entry->seq : f->max_seq;
    if (entry->kind != VV_KIND_PUT)
        w->block_all_put = false;
    if (entry->kind == VV_KIND_DELETE) {
        f->tombstones++;
        w->block_tombstones++;
    }
    if (vv_kind_expires(entry->kind))
        vv_expiries_add(&w->expiries, vv_expiry_of(entry->kind, entry->value));
    w->last_seq = entry->seq;
}

int vv_table_writer_add(struct vv_table_writer *w, const struct vv_entry *entry,
                        uint64_t value_bytes)
{
    vv_assert(entry->seq <= VV_SEQ_MAX);
    vv_assert(vv_kind_fits(entry->kind, entry->value.size));
    int rc;
    int order = -1;
    if (w->facts.entries > 0) {
        order = vv_order_cmp(w->order, vv_buf_slice(&w->last_key), entry->key);
        if (VV_UNLIKELY(order > 0 || (order == 0 && w->last_seq <= entry->seq)))
            return vv_fail(VV_CORRUPT, "entries for table %llu come out of order",
                           (unsigned long long)w->number);
    } else if ((rc = vv_buf_assign(&w->smallest, entry->key)) < 0) {
        return rc;
    }
    if (!vv_block_writer_fits(&w->data, entry, w->block_bytes) && (rc = finish_block(w)) < 0)
        return rc;
    if (w->has_pending && (rc = index_pending(w, entry->key)) < 0)
        return rc;
    if (order != 0 && (rc = note_key(w, entry->key)) < 0)
        return rc;
    if (vv_kind_is_ref(entry->kind) && (rc = note_ref(w, entry, value_bytes)) < 0)
        return rc;
    if ((rc = vv_block_writer_add(&w->data, entry, vv_print_of(w->hash))) < 0)
        return rc;
    count_entry(w, entry, value_bytes);
    return VV_OK;
}

int vv_table_writer_add_range(struct vv_table_writer *w, const struct vv_range *range)
{
    struct vv_table_facts *f = &w->facts;
    int rc;
    vv_assert(range->seq > 0 && range->seq <= VV_SEQ_MAX);
    vv_assert(vv_order_cmp(w->order, range->from, range->to) < 0);
    bool first = f->ranges == 0;
    if ((first || vv_order_cmp(w->order, range->from, vv_buf_slice(&w->range_from)) < 0) &&
        (rc = vv_buf_assign(&w->range_from, range->from)) < 0)
        return rc;
    if ((first || vv_order_cmp(w->order, range->to, vv_buf_slice(&w->range_to)) > 0) &&
        (rc = vv_buf_assign(&w->range_to, range->to)) < 0)
        return rc;
    if ((rc = vv_buf_append_varint(&w->ranges, range->from.size)) < 0 ||
        (rc = vv_buf_append_slice(&w->ranges, range->from)) < 0 ||
        (rc = vv_buf_append_varint(&w->ranges, range->to.size)) < 0 ||
        (rc = vv_buf_append_slice(&w->ranges, range->to)) < 0 ||
        (rc = vv_buf_append_varint(&w->ranges, range->seq)) < 0)
        return rc;
    f->ranges++;
    f->min_seq = range->seq < f->min_seq ? range->seq : f->min_seq;
    f->max_seq = range->seq > f->max_seq ? range->seq : f->max_seq;
    return VV_OK;
}

/* Asked for each entry, so without the logarithms that planning the filter takes. */
static uint64_t filter_estimate(enum vv_filter_kind kind, uint64_t count)
{
    switch (kind) {
    case VV_FILTER_BLOOM: return count * 12 / 8;
    case VV_FILTER_FUSE8: return count * 9 / 8;
    case VV_FILTER_FUSE16: return count * 18 / 8;
    case VV_FILTER_NONE: return 0;
    }
    return 0;
}

uint64_t vv_table_writer_size(const struct vv_table_writer *w)
{
    uint64_t count = w->hashes.size / sizeof(uint64_t);
    return here(w) + vv_block_writer_size(&w->data) + vv_block_writer_size(&w->index) +
           vv_block_writer_size(&w->top) + filter_estimate(w->filter, count) +
           w->refs.size / sizeof(struct ref_note) * 3 + w->ranges.size + VV_FOOTER_SIZE;
}

/* ------------------------------------------------------------------------------------ finishing */

static int cmp_refs(const void *a, const void *b)
{
    const struct ref_note *x = a;
    const struct ref_note *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->offset_units > y->offset_units) - (x->offset_units < y->offset_units);
}

/* One value file's part of the reference block. */
static int put_ref_group(struct vv_buf *out, const struct ref_note *notes, size_t count,
                         struct vv_table_ref_sum *sum)
{
    *sum = (struct vv_table_ref_sum){.file = notes[0].file, .count = count};
    for (size_t i = 0; i < count; i++)
        sum->bytes += notes[i].record_bytes;
    int rc;
    if ((rc = vv_buf_append_varint(out, sum->file)) < 0)
        return rc;
    if ((rc = vv_buf_append_varint(out, sum->count)) < 0)
        return rc;
    if ((rc = vv_buf_append_varint(out, sum->bytes)) < 0)
        return rc;
    uint32_t before = 0;
    for (size_t i = 0; i < count; i++) {
        if ((rc = vv_buf_append_varint(out, notes[i].offset_units - before)) < 0)
            return rc;
        before = notes[i].offset_units;
    }
    return VV_OK;
}

static int put_refs(struct vv_table_writer *w, struct handle *at)
{
    struct ref_note *notes = (struct ref_note *)(void *)w->refs.data;
    size_t count = w->refs.size / sizeof *notes;
    *at = (struct handle){0};
    if (count == 0)
        return VV_OK;
    qsort(notes, count, sizeof *notes, cmp_refs);
    size_t files = 1;
    for (size_t i = 1; i < count; i++)
        files += notes[i].file != notes[i - 1].file;
    w->facts.refs = vv_alloc(files * sizeof *w->facts.refs);
    if (w->facts.refs == NULL)
        return VV_NOMEM;
    vv_buf_clear(&w->scratch);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && notes[to].file == notes[from].file;)
            to++;
        int rc = put_ref_group(&w->scratch, notes + from, to - from,
                               &w->facts.refs[w->facts.ref_count++]);
        if (rc < 0)
            return rc;
    }
    return put_plain(w, vv_buf_slice(&w->scratch), VV_ROLE_REFERENCES, VV_BLOCK_ALIGN, at);
}

static int put_property(struct vv_buf *out, enum vv_property tag, vv_slice bytes)
{
    int rc;
    if ((rc = vv_buf_append_varint(out, (uint64_t)tag)) < 0)
        return rc;
    if ((rc = vv_buf_append_varint(out, bytes.size)) < 0)
        return rc;
    return vv_buf_append_slice(out, bytes);
}

static int put_number(struct vv_buf *out, enum vv_property tag, uint64_t number)
{
    uint8_t bytes[VV_VARINT_SIZE_MAX];
    return put_property(out, tag, vv_slice_of(bytes, vv_put_varint(bytes, number)));
}

static int put_replaces(struct vv_table_writer *w)
{
    struct vv_buf numbers = VV_BUF_INIT;
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < w->replace_count; i++)
        rc = vv_buf_append_varint(&numbers, w->replaces[i]);
    if (rc == VV_OK && numbers.size > 0)
        rc = put_property(&w->scratch, VV_PROPERTY_REPLACES, vv_buf_slice(&numbers));
    vv_buf_deinit(&numbers);
    return rc;
}

static int put_expiring(struct vv_table_writer *w)
{
    uint8_t bytes[2 * VV_VARINT_SIZE_MAX];
    struct vv_table_facts *f = &w->facts;
    f->expiring = w->expiries.count;
    f->expires_half_ms = vv_expiries_half(&w->expiries);
    if (f->expiring == 0)
        return VV_OK;
    size_t size = vv_put_varint(bytes, f->expiring);
    size += vv_put_varint(bytes + size, f->expires_half_ms);
    return put_property(&w->scratch, VV_PROPERTY_EXPIRING, vv_slice_of(bytes, size));
}

static int put_properties(struct vv_table_writer *w, struct handle *at)
{
    const struct vv_table_facts *f = &w->facts;
    const struct {
        enum vv_property tag;
        uint64_t number;
    } numbers[] = {{VV_PROPERTY_ENTRIES, f->entries},
                   {VV_PROPERTY_TOMBSTONES, f->tombstones},
                   {VV_PROPERTY_RAW_BYTES, f->raw_bytes},
                   {VV_PROPERTY_MIN_SEQ, f->min_seq},
                   {VV_PROPERTY_MAX_SEQ, f->max_seq}};
    struct vv_buf *out = &w->scratch;
    vv_buf_clear(out);
    int rc = put_property(out, VV_PROPERTY_ORDER, vv_slice_str(vv_order_name(w->order)));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && rc == VV_OK; i++)
        rc = put_number(out, numbers[i].tag, numbers[i].number);
    if (rc < 0)
        return rc;
    if ((rc = put_property(out, VV_PROPERTY_SMALLEST, vv_buf_slice(&w->smallest))) < 0)
        return rc;
    if ((rc = put_property(out, VV_PROPERTY_LARGEST, vv_buf_slice(&w->last_key))) < 0)
        return rc;
    if ((rc = put_number(out, VV_PROPERTY_BLOCKS, w->blocks)) < 0)
        return rc;
    if ((rc = put_property(out, VV_PROPERTY_CREATOR, vv_slice_str(creator))) < 0)
        return rc;
    if ((rc = put_replaces(w)) < 0)
        return rc;
    if (f->ranges > 0 && ((rc = put_number(out, VV_PROPERTY_RANGES, f->ranges)) < 0 ||
                          (rc = put_number(out, VV_PROPERTY_OPEN_END, f->open_end ? 1 : 0)) < 0))
        return rc;
    rc = put_expiring(w);
    return rc < 0 ? rc : put_plain(w, vv_buf_slice(out), VV_ROLE_PROPERTIES, VV_BLOCK_ALIGN, at);
}

static void put_handle(uint8_t *at, struct handle h)
{
    vv_put_u64(at, h.offset);
    vv_put_u32(at + 8, h.size);
}

/* The blocks that the footer leads to. */
struct tail {
    struct handle top, properties, refs, ranges;
};

static int put_footer(struct vv_table_writer *w, const struct tail *tail)
{
    int rc = pad(w, VV_BLOCK_ALIGN);
    if (rc < 0)
        return rc;
    uint8_t footer[VV_FOOTER_SIZE] = {0};
    uint64_t size = here(w) + VV_FOOTER_SIZE;
    vv_slice magic = vv_slice_str(VV_TABLE_MAGIC);
    memcpy(footer, magic.data, magic.size);
    vv_put_u32(footer + VV_FOOTER_VERSION, VV_TABLE_VERSION);
    vv_put_u64(footer + VV_FOOTER_NUMBER, w->number);
    memcpy(footer + VV_FOOTER_UUID, w->uuid, sizeof w->uuid);
    vv_put_u64(footer + VV_FOOTER_FILE_SIZE, size);
    put_handle(footer + VV_FOOTER_TOP, tail->top);
    put_handle(footer + VV_FOOTER_PROPERTIES, tail->properties);
    put_handle(footer + VV_FOOTER_REFERENCES, tail->refs);
    put_handle(footer + VV_FOOTER_RANGES, tail->ranges);
    vv_put_u32(footer + VV_FOOTER_CHECK, vv_checksum(vv_slice_of(footer, VV_FOOTER_CHECK), size));
    w->facts.size_bytes = size;
    return vv_buf_append(&w->out, footer, sizeof footer);
}

/* Ends the last block and the last partition. */
static int put_last_entries(struct vv_table_writer *w)
{
    int rc;
    if (w->facts.entries == 0)
        return VV_OK;
    vv_assert(w->data.count > 0);
    if ((rc = finish_block(w)) < 0)
        return rc;
    if ((rc = add_index_entry(w, vv_buf_slice(&w->last_key), 0)) < 0)
        return rc;
    return cut_partition(w, vv_buf_slice(&w->last_key));
}

/* From here on `smallest` and `last_key` are the bounds of entries and ranges together. */
static int settle_bounds(struct vv_table_writer *w)
{
    const struct vv_table_facts *f = &w->facts;
    vv_slice from = vv_buf_slice(&w->range_from);
    vv_slice to = vv_buf_slice(&w->range_to);
    int rc;
    if (f->ranges == 0)
        return VV_OK;
    if ((f->entries == 0 || vv_order_cmp(w->order, from, vv_buf_slice(&w->smallest)) < 0) &&
        (rc = vv_buf_assign(&w->smallest, from)) < 0)
        return rc;
    w->facts.open_end =
        f->entries == 0 || vv_order_cmp(w->order, to, vv_buf_slice(&w->last_key)) > 0;
    return w->facts.open_end ? vv_buf_assign(&w->last_key, to) : VV_OK;
}

/* What comes behind the last entry. */
static int put_end(struct vv_table_writer *w)
{
    struct tail tail = {0};
    int rc;
    if ((rc = put_last_entries(w)) < 0)
        return rc;
    if ((rc = settle_bounds(w)) < 0)
        return rc;
    if ((rc = put_refs(w, &tail.refs)) < 0)
        return rc;
    if (w->facts.ranges > 0 && (rc = put_plain(w, vv_buf_slice(&w->ranges), VV_ROLE_RANGES,
                                               VV_BLOCK_ALIGN, &tail.ranges)) < 0)
        return rc;
    if ((rc = put_properties(w, &tail.properties)) < 0)
        return rc;
    if (w->top.count > 0 && (rc = put_slotted(w, &w->top, VV_ROLE_TOP, &tail.top)) < 0)
        return rc;
    return put_footer(w, &tail);
}

void vv_table_writer_replaces(struct vv_table_writer *w, const uint64_t *numbers, size_t count)
{
    w->replaces = numbers;
    w->replace_count = count;
}

int vv_table_writer_finish(struct vv_table_writer *w, struct vv_table_facts *facts)
{
    vv_assert(w->facts.entries > 0 || w->facts.ranges > 0);
    int rc = put_end(w);
    if (rc < 0)
        goto out;
    if ((rc = write_out(w)) < 0)
        goto out;
    if ((rc = vv_file_sync(w->file)) < 0)
        goto out;
    w->facts.smallest = w->smallest;
    w->facts.largest = w->last_key;
    *facts = w->facts;
    w->smallest = (struct vv_buf)VV_BUF_INIT;
    w->last_key = (struct vv_buf)VV_BUF_INIT;
    w->facts = (struct vv_table_facts){0};
out:
    vv_table_writer_abort(w);
    return rc;
}
