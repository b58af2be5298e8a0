/*
 * Entries are gathered as keys, values and slots, and laid out when the block is finished: only then
 * is it known what they have in common, and so which arrays can be left out.
 */
#include "sst/block_writer.h"

#include "base/error.h"
#include "sst/format.h"

struct vv_block_slot {
    uint32_t key_end;
    uint32_t value_end;
    uint64_t seq_kind; /* sequence << VV_BLOCK_META_KIND_BITS | kind */
    uint8_t print;
};

/* What all entries have in common, and the sizes that follow. */
struct layout {
    uint8_t flags;
    unsigned meta_width;
    uint64_t base;
    uint64_t seq_base;
    size_t prefix_size;
    size_t suffix_bytes, value_bytes; /* of all together */
    size_t suffix_size, value_size;   /* as the header has them */
};

static const struct vv_block_slot *slots_of(const struct vv_block_writer *w)
{
    return (const struct vv_block_slot *)(const void *)w->slots.data;
}

static bool shape_is_data(enum vv_block_shape shape)
{
    return shape == VV_BLOCK_SHAPE_DATA || shape == VV_BLOCK_SHAPE_DATA_ORDER;
}

static bool shape_is_bytewise(enum vv_block_shape shape)
{
    return shape == VV_BLOCK_SHAPE_DATA || shape == VV_BLOCK_SHAPE_INDEX;
}

void vv_block_writer_deinit(struct vv_block_writer *w)
{
    vv_buf_deinit(&w->keys);
    vv_buf_deinit(&w->values);
    vv_buf_deinit(&w->slots);
    w->count = 0;
}

void vv_block_writer_clear(struct vv_block_writer *w)
{
    vv_buf_clear(&w->keys);
    vv_buf_clear(&w->values);
    vv_buf_clear(&w->slots);
    w->count = 0;
}

int vv_block_writer_add(struct vv_block_writer *w, const struct vv_entry *entry, uint8_t print)
{
    vv_assert(w->count < VV_BLOCK_COUNT_MAX);
    vv_assert(entry->key.size <= VV_KEY_SIZE_MAX);
    vv_assert(entry->value.size <= VV_VALUE_SIZE_MAX);
    vv_assert(w->values.size <= UINT32_MAX - entry->value.size);

    int rc;
    if ((rc = vv_buf_reserve(&w->slots, sizeof(struct vv_block_slot))) < 0)
        return rc;
    if ((rc = vv_buf_reserve(&w->values, entry->value.size)) < 0)
        return rc;
    if ((rc = vv_buf_reserve(&w->keys, entry->key.size)) < 0)
        return rc;
    if (entry->key.size > 0)
        memcpy(w->keys.data + w->keys.size, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(w->values.data + w->values.size, entry->value.data, entry->value.size);
    w->keys.size += entry->key.size;
    w->values.size += entry->value.size;

    struct vv_block_slot slot = {(uint32_t)w->keys.size, (uint32_t)w->values.size,
                                 entry->seq << VV_BLOCK_META_KIND_BITS | (uint64_t)entry->kind,
                                 print};
    memcpy(w->slots.data + w->slots.size, &slot, sizeof slot);
    w->slots.size += sizeof slot;
    w->count++;
    return VV_OK;
}

size_t vv_block_writer_size(const struct vv_block_writer *w)
{
    size_t per_entry = shape_is_data(w->shape) ? 1 : 6;
    return VV_BLOCK_HEAD_SIZE + w->keys.size + w->values.size + w->count * per_entry;
}

bool vv_block_writer_fits(const struct vv_block_writer *w, const struct vv_entry *entry,
                          size_t size_bytes)
{
    if (w->count == 0)
        return true;
    if (w->count == VV_BLOCK_COUNT_MAX)
        return false;
    size_t now = vv_block_writer_size(w);
    return now < size_bytes && entry->key.size + entry->value.size <= size_bytes - now;
}

/* The bytes with which all keys begin. In bytewise order the first and the last tell. */
static size_t common_prefix(const struct vv_block_writer *w)
{
    if (!shape_is_bytewise(w->shape))
        return 0;
    const struct vv_block_slot *slots = slots_of(w);
    vv_slice first = {w->keys.data, slots[0].key_end};
    uint32_t last_at = w->count > 1 ? slots[w->count - 2].key_end : 0;
    vv_slice last = {w->keys.data + last_at, slots[w->count - 1].key_end - last_at};
    return vv_slice_common(first, last);
}

static void plan_sizes(const struct vv_block_writer *w, struct layout *l)
{
    const struct vv_block_slot *slots = slots_of(w);
    size_t key_size = slots[0].key_end;
    size_t value_size = slots[0].value_end;
    bool keys_alike = true;
    bool values_alike = true;
    for (size_t i = 1; i < w->count; i++) {
        keys_alike = keys_alike && slots[i].key_end - slots[i - 1].key_end == key_size;
        values_alike = values_alike && slots[i].value_end - slots[i - 1].value_end == value_size;
    }
    l->prefix_size = common_prefix(w);
    l->suffix_bytes = w->keys.size - w->count * l->prefix_size;
    l->value_bytes = w->values.size;
    l->suffix_size = keys_alike ? key_size - l->prefix_size : l->suffix_bytes;
    l->value_size = values_alike ? value_size : l->value_bytes;
    l->flags |= keys_alike ? VV_BLOCK_FIXED_SUFFIX
                           : (l->suffix_bytes > UINT16_MAX ? VV_BLOCK_WIDE_SUFFIX : 0);
    l->flags |= values_alike ? VV_BLOCK_FIXED_VALUE
                             : (l->value_bytes > UINT16_MAX ? VV_BLOCK_WIDE_VALUE : 0);
}

static void plan_meta(const struct vv_block_writer *w, struct layout *l)
{
    const struct vv_block_slot *slots = slots_of(w);
    uint64_t first = slots[0].seq_kind;
    uint64_t differences = 0;
    uint64_t lowest = first >> VV_BLOCK_META_KIND_BITS;
    uint64_t highest = first >> VV_BLOCK_META_KIND_BITS;
    for (size_t i = 1; i < w->count; i++) {
        uint64_t seq = slots[i].seq_kind >> VV_BLOCK_META_KIND_BITS;
        differences |= slots[i].seq_kind ^ first;
        lowest = seq < lowest ? seq : lowest;
        highest = seq > highest ? seq : highest;
    }
    l->seq_base = lowest;
    l->base = lowest;
    if (differences == 0) {
        l->base |= (first & VV_BLOCK_META_KIND_MASK) << 56;
        return;
    }
    uint64_t most = (highest - lowest) << VV_BLOCK_META_KIND_BITS | VV_BLOCK_META_KIND_MASK;
    while (most != 0) {
        l->meta_width++;
        most >>= 8;
    }
}

static uint8_t *put_head(const struct vv_block_writer *w, const struct layout *l, uint8_t *at)
{
    vv_put_u16(at + VV_BLOCK_COUNT, (uint16_t)w->count);
    at[VV_BLOCK_FLAGS] = l->flags;
    at[VV_BLOCK_META_WIDTH] = (uint8_t)l->meta_width;
    vv_put_u32(at + VV_BLOCK_PREFIX_SIZE, (uint32_t)l->prefix_size);
    vv_put_u32(at + VV_BLOCK_SUFFIX_SIZE, (uint32_t)l->suffix_size);
    vv_put_u32(at + VV_BLOCK_VALUE_SIZE, (uint32_t)l->value_size);
    vv_put_u64(at + VV_BLOCK_BASE, l->base);
    at += VV_BLOCK_HEAD_SIZE;
    if (l->prefix_size > 0)
        memcpy(at, w->keys.data, l->prefix_size);
    return at + l->prefix_size;
}

static uint8_t *put_offset(uint8_t *at, uint32_t offset, bool wide)
{
    if (wide) {
        vv_put_u32(at, offset);
        return at + 4;
    }
    vv_put_u16(at, (uint16_t)offset);
    return at + 2;
}

static uint8_t *put_offsets(const struct vv_block_writer *w, const struct layout *l, uint8_t *at)
{
    const struct vv_block_slot *slots = slots_of(w);
    if ((l->flags & VV_BLOCK_FIXED_SUFFIX) == 0) {
        bool wide = (l->flags & VV_BLOCK_WIDE_SUFFIX) != 0;
        at = put_offset(at, 0, wide);
        for (size_t i = 0; i < w->count; i++)
            at = put_offset(at, slots[i].key_end - (uint32_t)((i + 1) * l->prefix_size), wide);
    }
    if ((l->flags & VV_BLOCK_FIXED_VALUE) == 0) {
        bool wide = (l->flags & VV_BLOCK_WIDE_VALUE) != 0;
        at = put_offset(at, 0, wide);
        for (size_t i = 0; i < w->count; i++)
            at = put_offset(at, slots[i].value_end, wide);
    }
    return at;
}

static uint8_t *put_metas(const struct vv_block_writer *w, const struct layout *l, uint8_t *at)
{
    const struct vv_block_slot *slots = slots_of(w);
    if (l->meta_width == 0)
        return at;
    for (size_t i = 0; i < w->count; i++) {
        uint64_t meta = slots[i].seq_kind - (l->seq_base << VV_BLOCK_META_KIND_BITS);
        for (unsigned byte = 0; byte < l->meta_width; byte++)
            *at++ = (uint8_t)(meta >> (8 * byte));
    }
    return at;
}

/* Fingerprints or heads, whichever the shape has. */
static uint8_t *put_guides(const struct vv_block_writer *w, const struct layout *l, uint8_t *at)
{
    const struct vv_block_slot *slots = slots_of(w);
    if ((l->flags & VV_BLOCK_PRINTS) != 0)
        for (size_t i = 0; i < w->count; i++)
            *at++ = slots[i].print;
    if ((l->flags & VV_BLOCK_HEADS) == 0)
        return at;
    uint32_t key_at = 0;
    for (size_t i = 0; i < w->count; i++) {
        vv_slice key = {w->keys.data + key_at, slots[i].key_end - key_at};
        vv_put_u32(at, (uint32_t)(vv_slice_head(vv_slice_skip(key, l->prefix_size)) >> 32));
        at += 4;
        key_at = slots[i].key_end;
    }
    return at;
}

static uint8_t *put_suffixes(const struct vv_block_writer *w, const struct layout *l, uint8_t *at)
{
    const struct vv_block_slot *slots = slots_of(w);
    size_t key_at = 0;
    for (size_t i = 0; i < w->count; i++) {
        size_t from = key_at + l->prefix_size;
        size_t size = slots[i].key_end - from;
        if (size > 0)
            memcpy(at, w->keys.data + from, size);
        at += size;
        key_at = slots[i].key_end;
    }
    return at;
}

static size_t offsets_bytes(size_t count, bool absent, bool wide)
{
    return absent ? 0 : (count + 1) * (wide ? 4 : 2);
}

int vv_block_writer_finish(struct vv_block_writer *w, struct vv_buf *out)
{
    vv_assert(w->count > 0);
    struct layout l = {0};
    l.flags = shape_is_data(w->shape)            ? VV_BLOCK_PRINTS
              : w->shape == VV_BLOCK_SHAPE_INDEX ? VV_BLOCK_HEADS
                                                 : 0;
    plan_sizes(w, &l);
    plan_meta(w, &l);
    size_t size = VV_BLOCK_HEAD_SIZE + l.prefix_size + w->count * (l.meta_width + 5) +
                  offsets_bytes(w->count, (l.flags & VV_BLOCK_FIXED_SUFFIX) != 0,
                                (l.flags & VV_BLOCK_WIDE_SUFFIX) != 0) +
                  offsets_bytes(w->count, (l.flags & VV_BLOCK_FIXED_VALUE) != 0,
                                (l.flags & VV_BLOCK_WIDE_VALUE) != 0) +
                  l.suffix_bytes + l.value_bytes;
    if (size > UINT32_MAX)
        return vv_fail(VV_TOOBIG, "a block of %zu bytes exceeds what a table can hold", size);
    int rc = vv_buf_reserve(out, size);
    if (rc < 0)
        return rc;
    uint8_t *at = out->data + out->size;
    at = put_head(w, &l, at);
    at = put_guides(w, &l, at);
    at = put_offsets(w, &l, at);
    at = put_metas(w, &l, at);
    at = put_suffixes(w, &l, at);
    if (w->values.size > 0)
        memcpy(at, w->values.data, w->values.size);
    at += w->values.size;
    out->size = (size_t)(at - out->data);
    vv_assert(out->size <= out->cap);
    vv_block_writer_clear(w);
    return VV_OK;
}
