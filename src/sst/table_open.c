/*
 * Opening a table, and bringing its blocks into memory: what happens once, or on a miss.
 */
#include "sst/table_internal.h"

#include <inttypes.h>

enum {
    /* No block is larger: one entry beyond the aimed-at size, which is at most 16 MiB. */
    RAW_BYTES_MAX = VV_VALUE_SIZE_MAX + (32 << 20),
    /* What a codec can make of one byte at most; more is a lie that would cost memory. */
    LZ4_EXPANSION = 256,
    ZSTD_EXPANSION = 1 << 16,
};

int vv_table_blame(const struct vv_table *t, int rc)
{
    return vv_fail_in(rc, "%06" PRIu64 ".sst", t->number);
}

/* ------------------------------------------------------------------------------------ blocks */

int vv_table_check_handle(const struct vv_table *t, struct vv_handle at)
{
    if (at.size < VV_TRAILER_SIZE || at.offset > t->blocks_end ||
        at.size > t->blocks_end - at.offset)
        return vv_table_blame(t, vv_fail(VV_CORRUPT,
                                         "a block at offset %" PRIu64 " of %" PRIu32
                                         " bytes is outside the file",
                                         at.offset, at.size));
    return VV_OK;
}

int vv_table_damaged(const struct vv_table *t, struct vv_handle at, const char *what)
{
    (void)vv_table_blame(
        t, vv_fail(VV_CORRUPT, "the block at offset %" PRIu64 " %s", at.offset, what));
    return VV_CORRUPT;
}

/* Behind a checksum that held: a newer version wrote this, and did not say so in the footer. */
static int newer(const struct vv_table *t, struct vv_handle at, const char *what, uint32_t value)
{
    return vv_table_blame(t, vv_fail(VV_UNSUPPORTED,
                                     "the block at offset %" PRIu64 " has %s %" PRIu32
                                     ", which this build does not know",
                                     at.offset, what, value));
}

int vv_stored_open(const struct vv_table *t, const uint8_t *bytes, struct vv_handle at,
                   enum vv_role role, struct vv_stored *out)
{
    size_t content_size = at.size - VV_TRAILER_SIZE;
    const uint8_t *trailer = bytes + content_size;
    vv_slice covered = {bytes, content_size + VV_TRAILER_CHECK};
    if (vv_get_u32(trailer + VV_TRAILER_CHECK) !=
        vv_checksum(covered, vv_stored_seed(t->salt, at.offset)))
        return vv_table_damaged(t, at, "fails its checksum");
    if (trailer[VV_TRAILER_ROLE] == 0 || trailer[VV_TRAILER_ROLE] > VV_ROLE_LAST)
        return newer(t, at, "role", trailer[VV_TRAILER_ROLE]);
    if (vv_get_u16(trailer + VV_TRAILER_ZERO) != 0)
        return newer(t, at, "reserved bytes", vv_get_u16(trailer + VV_TRAILER_ZERO));
    if (trailer[VV_TRAILER_ROLE] != (uint8_t)role)
        return vv_table_damaged(t, at, "is of another kind than the one referred to");
    struct vv_stored stored = {{bytes, content_size},
                               (enum vv_codec)trailer[VV_TRAILER_CODEC],
                               vv_get_u32(trailer + VV_TRAILER_RAW_SIZE)};
    uint64_t most = RAW_BYTES_MAX;
    switch (trailer[VV_TRAILER_CODEC]) {
    case VV_CODEC_NONE: most = content_size; break;
    case VV_CODEC_LZ4: most = (uint64_t)content_size * LZ4_EXPANSION; break;
    case VV_CODEC_ZSTD: most = (uint64_t)content_size * ZSTD_EXPANSION; break;
    default: return newer(t, at, "codec", trailer[VV_TRAILER_CODEC]);
    }
    if (stored.raw_size > most || stored.raw_size > RAW_BYTES_MAX ||
        (stored.codec == VV_CODEC_NONE && stored.raw_size != content_size))
        return vv_table_damaged(t, at, "has a size that cannot be");
    *out = stored;
    return VV_OK;
}

int vv_table_verify_content(const struct vv_table *t, vv_slice content, enum vv_role role)
{
    struct vv_filter filter;
    int rc = VV_OK;
    switch (role) {
    case VV_ROLE_DATA:
    case VV_ROLE_INDEX:
    case VV_ROLE_TOP: rc = vv_block_verify(content, role, t->order); break;
    case VV_ROLE_FILTER: rc = vv_filter_decode(content, &filter); break;
    case VV_ROLE_REFERENCES:
    case VV_ROLE_RANGES:
    case VV_ROLE_PROPERTIES: break;
    }
    if (rc < 0)
        (void)vv_table_blame(t, rc);
    return rc;
}

/* Replaces the compressed block by what it holds. */
static int unpack(struct vv_table *t, struct vv_block **block, const struct vv_stored *stored)
{
    struct vv_block *raw = vv_block_new(t->account, t->number, (*block)->offset, stored->raw_size);
    if (raw == NULL)
        return VV_NOMEM;
    int rc = vv_decode(&t->decoder, stored->codec, stored->content, (uint8_t *)raw->data,
                       stored->raw_size);
    if (rc < 0) {
        vv_block_unref(raw);
        (void)vv_table_blame(t, rc);
        return rc;
    }
    vv_block_unref(*block);
    *block = raw;
    return VV_OK;
}

int vv_table_read_block(struct vv_table *t, struct vv_handle at, enum vv_role role,
                        struct vv_block **out)
{
    int rc = vv_table_check_handle(t, at);
    if (rc != VV_OK)
        return rc;
    struct vv_stored stored = {0};
    struct vv_block *block = vv_block_new(t->account, t->number, at.offset, at.size);
    if (block == NULL)
        return VV_NOMEM;
    if (t->map != NULL)
        memcpy((uint8_t *)block->data, t->map + at.offset, at.size);
    else if ((rc = vv_file_read_whole(t->file, at.offset, (uint8_t *)block->data, at.size)) < 0) {
        (void)vv_table_blame(t, rc);
        goto out;
    }
    if ((rc = vv_stored_open(t, block->data, at, role, &stored)) != VV_OK)
        goto out;
    if (stored.codec == VV_CODEC_NONE)
        block->size_bytes = at.size - VV_TRAILER_SIZE;
    else if ((rc = unpack(t, &block, &stored)) != VV_OK)
        goto out;
    if ((rc = vv_table_verify_content(t, (vv_slice){block->data, block->size_bytes}, role)) < 0)
        goto out;
    *out = block;
    block = NULL;
out:
    vv_block_unref(block);
    return rc;
}

/* ------------------------------------------------------------------------------------ opening */

static struct vv_handle get_handle(const uint8_t *at)
{
    return (struct vv_handle){vv_get_u64(at), vv_get_u32(at + 8)};
}

static int refuse(const struct vv_table *t, const char *why)
{
    uint64_t at = t->size_bytes > VV_FOOTER_SIZE ? t->size_bytes - VV_FOOTER_SIZE : 0;
    return vv_fail(VV_CORRUPT, "%06" PRIu64 ".sst: the footer at offset %" PRIu64 " %s", t->number,
                   at, why);
}

/* The checked footer into `t`, whose number and size are what they should be. */
static int take_footer(struct vv_table *t, const uint8_t *footer, const uint8_t *uuid)
{
    if (memcmp(footer, VV_TABLE_MAGIC, 8) != 0)
        return refuse(t, "is not that of a table");
    if (vv_get_u32(footer + VV_FOOTER_CHECK) !=
        vv_checksum(vv_slice_of(footer, VV_FOOTER_CHECK), t->size_bytes))
        return refuse(t, "fails its checksum");
    uint32_t version = vv_get_u32(footer + VV_FOOTER_VERSION);
    uint32_t required = vv_get_u32(footer + VV_FOOTER_REQUIRED);
    if (version != VV_TABLE_VERSION || required != 0)
        return vv_fail(VV_UNSUPPORTED,
                       "%06" PRIu64 ".sst is of version %" PRIu32 " with features 0x%" PRIx32,
                       t->number, version, required);
    if (vv_get_u64(footer + VV_FOOTER_NUMBER) != t->number)
        return refuse(t, "has the number of another file");
    if (uuid != NULL && memcmp(footer + VV_FOOTER_UUID, uuid, VV_TABLE_UUID_SIZE) != 0)
        return refuse(t, "is that of another store");
    if (vv_get_u64(footer + VV_FOOTER_FILE_SIZE) != t->size_bytes)
        return refuse(t, "is of a file of another size");
    t->salt = vv_table_salt(footer + VV_FOOTER_UUID, t->number);
    t->blocks_end = t->size_bytes - VV_FOOTER_SIZE;
    t->top_at = get_handle(footer + VV_FOOTER_TOP);
    t->properties_at = get_handle(footer + VV_FOOTER_PROPERTIES);
    t->references_at = get_handle(footer + VV_FOOTER_REFERENCES);
    t->ranges_at = get_handle(footer + VV_FOOTER_RANGES);
    return VV_OK;
}

static int load_footer(struct vv_table *t, const struct vv_table_open_options *o)
{
    uint8_t footer[VV_FOOTER_SIZE];
    int rc = vv_file_size(t->file, &t->size_bytes);
    if (rc != VV_OK)
        return rc;
    if (t->size_bytes < VV_FOOTER_SIZE)
        return refuse(t, "is missing: the file is shorter");
    if (o->size_bytes != 0 && o->size_bytes != t->size_bytes)
        return vv_fail(VV_CORRUPT,
                       "%06" PRIu64 ".sst ends at offset %" PRIu64 ", and %" PRIu64
                       " bytes were written",
                       t->number, t->size_bytes, o->size_bytes);
    rc = vv_file_read_whole(t->file, t->size_bytes - VV_FOOTER_SIZE, footer, sizeof footer);
    return rc < 0 ? vv_table_blame(t, rc) : take_footer(t, footer, o->uuid);
}

static uint64_t number_of(vv_slice bytes, bool *bad)
{
    struct vv_reader r = vv_reader_of(bytes);
    uint64_t number = vv_read_varint(&r);
    *bad = *bad || r.bad || vv_reader_left(&r) > 0;
    return number;
}

/* The order that the table was laid in: the one wanted, or bytewise where that agrees with it. */
static int take_order(struct vv_table *t, vv_slice name)
{
    static const struct vv_order bytewise = {.name = NULL};
    if (vv_slice_equal(name, vv_slice_str(vv_order_name(t->order))))
        return VV_OK;
    if (!t->order->extends_bytewise || !vv_slice_equal(name, vv_slice_str(VV_ORDER_BYTEWISE_NAME)))
        return vv_fail(VV_INVALID, "%06" PRIu64 ".sst is in order '%.*s', not '%s'", t->number,
                       (int)(name.size < 64 ? name.size : 64), (const char *)name.data,
                       vv_order_name(t->order));
    t->order = &bytewise;
    return VV_OK;
}

/* One property into the facts. The order's name is compared, not kept. */
static int take_property(struct vv_table *t, uint64_t tag, vv_slice bytes, bool *bad)
{
    struct vv_table_facts *f = &t->facts;
    switch (tag) {
    case VV_PROPERTY_ORDER: return take_order(t, bytes);
    case VV_PROPERTY_ENTRIES: f->entries = number_of(bytes, bad); return VV_OK;
    case VV_PROPERTY_TOMBSTONES: f->tombstones = number_of(bytes, bad); return VV_OK;
    case VV_PROPERTY_RAW_BYTES: f->raw_bytes = number_of(bytes, bad); return VV_OK;
    case VV_PROPERTY_MIN_SEQ: f->min_seq = number_of(bytes, bad); return VV_OK;
    case VV_PROPERTY_MAX_SEQ: f->max_seq = number_of(bytes, bad); return VV_OK;
    case VV_PROPERTY_SMALLEST: return vv_buf_assign(&f->smallest, bytes);
    case VV_PROPERTY_LARGEST: return vv_buf_assign(&f->largest, bytes);
    case VV_PROPERTY_BLOCKS: {
        uint64_t blocks = number_of(bytes, bad);
        *bad = *bad || blocks > t->size_bytes / VV_TRAILER_SIZE;
        t->block_count = *bad ? 0 : (uint32_t)blocks;
        return VV_OK;
    }
    case VV_PROPERTY_RANGES: f->ranges = number_of(bytes, bad); return VV_OK;
    case VV_PROPERTY_OPEN_END: f->open_end = number_of(bytes, bad) != 0; return VV_OK;
    case VV_PROPERTY_EXPIRING: {
        struct vv_reader r = vv_reader_of(bytes);
        f->expiring = vv_read_varint(&r);
        f->expires_half_ms = vv_read_varint(&r);
        *bad = *bad || r.bad || vv_reader_left(&r) > 0 || f->expiring == 0;
        return VV_OK;
    }
    default: return VV_OK;
    }
}

/* Entries come with blocks, ranges with a range block, and there is one or the other. */
static bool contradictory(const struct vv_table *t)
{
    const struct vv_table_facts *f = &t->facts;
    return f->min_seq > f->max_seq || f->max_seq > VV_SEQ_MAX ||
           (f->entries == 0) != (t->block_count == 0) ||
           (t->top_at.size == 0) != (t->block_count == 0) ||
           (f->ranges == 0) != (t->ranges_at.size == 0) || (f->entries == 0 && f->ranges == 0) ||
           (f->open_end && f->ranges == 0);
}

/* False when the sequences cannot be raised that far. */
static bool raise_facts(struct vv_table *t)
{
    struct vv_table_facts *f = &t->facts;
    f->raise = t->raise;
    if (t->raise == 0)
        return true;
    if (f->ranges > 0 || t->raise > VV_SEQ_MAX - f->max_seq)
        return false;
    f->min_seq += t->raise;
    f->max_seq += t->raise;
    return true;
}

static int load_properties(struct vv_table *t)
{
    struct vv_block *block = NULL;
    int rc = vv_table_read_block(t, t->properties_at, VV_ROLE_PROPERTIES, &block);
    if (rc != VV_OK)
        return rc;
    struct vv_reader r = vv_reader_of((vv_slice){block->data, block->size_bytes});
    bool bad = false;
    uint64_t before = 0;
    uint32_t seen = 0;
    while (rc == VV_OK && !r.bad && vv_reader_left(&r) > 0) {
        uint64_t tag = vv_read_varint(&r);
        vv_slice bytes = vv_read_sized(&r);
        bad = bad || tag <= before;
        before = tag;
        seen |= tag < 32 ? 1u << tag : 0;
        if (!r.bad)
            rc = take_property(t, tag, bytes, &bad);
    }
    uint32_t all = (2u << VV_PROPERTY_BLOCKS) - 2;
    bad = bad || r.bad || (seen & all) != all || contradictory(t) || !raise_facts(t);
    if (rc == VV_OK && bad)
        rc = vv_table_damaged(t, t->properties_at, "has malformed properties");
    vv_block_unref(block);
    return rc;
}

static int take_replaces(vv_slice bytes, struct vv_buf *numbers, bool *bad)
{
    struct vv_reader r = vv_reader_of(bytes);
    uint64_t before = 0;
    int rc = VV_OK;
    while (rc == VV_OK && !*bad && vv_reader_left(&r) > 0) {
        uint64_t number = vv_read_varint(&r);
        *bad = r.bad || number <= before;
        before = number;
        if (!*bad)
            rc = vv_buf_append(numbers, &number, sizeof number);
    }
    return rc;
}

int vv_table_read_replaces(struct vv_table *t, struct vv_buf *numbers)
{
    struct vv_block *block = NULL;
    bool bad = false;
    int rc = vv_table_read_block(t, t->properties_at, VV_ROLE_PROPERTIES, &block);
    if (rc != VV_OK)
        return rc;
    struct vv_reader r = vv_reader_of((vv_slice){block->data, block->size_bytes});
    while (rc == VV_OK && !bad && vv_reader_left(&r) > 0) {
        uint64_t tag = vv_read_varint(&r);
        vv_slice bytes = vv_read_sized(&r);
        bad = r.bad;
        if (!bad && tag == VV_PROPERTY_REPLACES)
            rc = take_replaces(bytes, numbers, &bad);
    }
    if (rc == VV_OK && bad)
        rc = vv_table_damaged(t, t->properties_at, "has malformed properties");
    vv_block_unref(block);
    return rc;
}

static int take_partition(struct vv_table *t, uint32_t i, uint32_t blocks_before)
{
    const uint8_t *value = vv_block_value(&t->top, i).data;
    struct vv_partition *p = &t->partitions[i];
    p->index = (struct vv_handle){vv_get_u64(value + VV_TOP_INDEX_OFFSET),
                                  vv_get_u32(value + VV_TOP_INDEX_SIZE)};
    p->filter = (struct vv_handle){vv_get_u64(value + VV_TOP_FILTER_OFFSET),
                                   vv_get_u32(value + VV_TOP_FILTER_SIZE)};
    p->blocks_before = blocks_before;
    p->blocks = vv_get_u32(value + VV_TOP_BLOCKS);
    p->entries = vv_get_u64(value + VV_TOP_ENTRIES);
    int rc = vv_table_check_handle(t, p->index);
    if (rc != VV_OK)
        return rc;
    if (p->filter.size != 0 && (rc = vv_table_check_handle(t, p->filter)) < 0)
        return rc;
    if (p->blocks == 0 || p->blocks > VV_BLOCK_COUNT_MAX ||
        p->blocks > t->block_count - blocks_before)
        return vv_table_damaged(t, t->top_at, "counts more blocks than there are");
    return VV_OK;
}

static vv_slice join_key(const struct vv_block_view *v, uint32_t i, uint8_t *joined)
{
    struct vv_entry entry;
    vv_block_entry(v, i, joined, &entry);
    return entry.key;
}

static int load_heads(struct vv_table *t)
{
    if (!vv_order_bytewise(t->order))
        return VV_OK;
    size_t room = vv_block_key_room(&t->top);
    uint8_t *joined = vv_alloc(room);
    t->top_heads = vv_alloc(t->partition_count * sizeof t->top_heads[0]);
    if (joined != NULL && t->top_heads != NULL) {
        memcpy(joined, t->top.prefix, t->top.prefix_size);
        for (uint32_t i = 0; i < t->partition_count; i++)
            t->top_heads[i] = vv_slice_head(join_key(&t->top, i, joined));
    }
    bool is_out = joined == NULL || t->top_heads == NULL;
    vv_free(joined);
    return is_out ? VV_NOMEM : VV_OK;
}

static int load_top(struct vv_table *t)
{
    if (t->top_at.size == 0)
        return VV_OK;
    int rc = vv_table_read_block(t, t->top_at, VV_ROLE_TOP, &t->top_block);
    if (rc != VV_OK)
        return rc;
    vv_block_decode(t->top_block->data, &t->top);
    t->partition_count = t->top.count;
    t->partitions = vv_alloc_zero(t->partition_count * sizeof t->partitions[0]);
    if (t->partitions == NULL)
        return VV_NOMEM;
    uint32_t blocks = 0;
    for (uint32_t i = 0; i < t->partition_count; i++) {
        if ((rc = take_partition(t, i, blocks)) < 0)
            return rc;
        blocks += t->partitions[i].blocks;
    }
    if (blocks != t->block_count)
        return vv_table_damaged(t, t->top_at, "counts fewer blocks than there are");
    return load_heads(t);
}

/* The ranges of the range block, whose keys stay where they are. */
static int read_ranges(struct vv_table *t)
{
    struct vv_reader r = vv_reader_of((vv_slice){t->range_block->data, t->range_block->size_bytes});
    uint64_t count = t->facts.ranges;
    /* A range takes at least three bytes. */
    if (count > vv_reader_left(&r) / 3)
        return vv_table_damaged(t, t->ranges_at, "has fewer ranges than the properties say");
    t->range_list = vv_arena_alloc(&t->range_arena, (size_t)count * sizeof t->range_list[0], 8);
    if (t->range_list == NULL)
        return VV_NOMEM;
    for (uint64_t i = 0; i < count; i++) {
        t->range_list[i].from = vv_read_sized(&r);
        t->range_list[i].to = vv_read_sized(&r);
        t->range_list[i].seq = vv_read_varint(&r);
    }
    if (r.bad || vv_reader_left(&r) > 0)
        return vv_table_damaged(t, t->ranges_at, "does not read");
    int rc = vv_ranges_load(&t->range_arena, t->order, t->range_list, (size_t)count, &t->ranges);
    return rc < 0 ? vv_table_blame(t, rc) : VV_OK;
}

static int load_ranges(struct vv_table *t)
{
    vv_arena_init(&t->range_arena, t->account, VV_OWNER_TABLE);
    if (t->ranges_at.size == 0)
        return VV_OK;
    int rc = vv_table_read_block(t, t->ranges_at, VV_ROLE_RANGES, &t->range_block);
    return rc < 0 ? rc : read_ranges(t);
}

static int map_file(struct vv_table *t)
{
    int rc = VV_UNSUPPORTED;
    if (t->size_bytes <= SIZE_MAX)
        rc = vv_file_map(t->file, (size_t)t->size_bytes, &t->map);
    if (rc == VV_UNSUPPORTED)
        return VV_OK; /* then it is read */
    if (rc < 0)
        return vv_table_blame(t, rc);
    vv_account_charge(t->account, VV_OWNER_MAP, (size_t)t->size_bytes);
    size_t words = ((size_t)t->block_count + 63) / 64;
    t->verified = vv_alloc_zero(words * sizeof t->verified[0]);
    return t->verified != NULL ? VV_OK : VV_NOMEM;
}

/* The table's own memory; the top block is charged by itself. */
static void charge(struct vv_table *t)
{
    t->charged_bytes = sizeof *t + t->partition_count * (sizeof t->partitions[0] + 8) +
                       t->facts.smallest.cap + t->facts.largest.cap + t->block_count / 8;
    vv_account_charge(t->account, VV_OWNER_TABLE, t->charged_bytes);
    if (t->top_block != NULL)
        vv_block_charge_to(t->top_block, VV_OWNER_TABLE);
    if (t->range_block != NULL)
        vv_block_charge_to(t->range_block, VV_OWNER_TABLE);
}

static void table_free(struct vv_table *t)
{
    if (t->map != NULL) {
        vv_file_unmap(t->file, t->map, (size_t)t->size_bytes);
        vv_account_release(t->account, VV_OWNER_MAP, (size_t)t->size_bytes);
    }
    vv_file_close(t->file);
    vv_block_unref(t->top_block);
    vv_block_unref(t->range_block);
    vv_arena_deinit(&t->range_arena);
    vv_decoder_deinit(&t->decoder);
    vv_table_facts_deinit(&t->facts);
    vv_free(t->top_heads);
    vv_free(t->partitions);
    vv_free(t->verified);
    if (t->charged_bytes > 0)
        vv_account_release(t->account, VV_OWNER_TABLE, t->charged_bytes);
    vv_free(t);
}

int vv_table_open(struct vv_env *env, const char *path, const struct vv_table_open_options *options,
                  struct vv_table **out)
{
    struct vv_table *t = vv_alloc_zero(sizeof *t);
    if (t == NULL)
        return VV_NOMEM;
    atomic_init(&t->refs, 1);
    t->env = env;
    t->order = options->order;
    t->account = options->account;
    t->cache = options->cache;
    t->number = options->number;
    t->raise = options->raise;
    int rc = vv_env_open(env, path, VV_OPEN_READ, &t->file);
    if (rc != VV_OK)
        goto out;
    if ((rc = load_footer(t, options)) < 0)
        goto out;
    if ((rc = load_properties(t)) < 0)
        goto out;
    if ((rc = load_top(t)) < 0)
        goto out;
    if ((rc = load_ranges(t)) < 0)
        goto out;
    if (options->map && (rc = map_file(t)) < 0)
        goto out;
    charge(t);
    *out = t;
    t = NULL;
out:
    if (t != NULL)
        table_free(t);
    return rc;
}

void vv_table_ref(struct vv_table *t)
{
    /* Relaxed: who refs has a reference already. */
    (void)atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void vv_table_unref(struct vv_table *t)
{
    if (t == NULL)
        return;
    /* Release for what we did with it, acquire for what the others did before it is freed. */
    uint32_t before = atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before == 1)
        table_free(t);
}

const struct vv_ranges *vv_table_ranges(const struct vv_table *t)
{
    return t->ranges;
}

const struct vv_range *vv_table_range_list(const struct vv_table *t, size_t *count)
{
    *count = (size_t)t->facts.ranges;
    return t->range_list;
}

uint64_t vv_table_number(const struct vv_table *t)
{
    return t->number;
}

bool vv_table_mapped(const struct vv_table *t)
{
    return t->map != NULL;
}
