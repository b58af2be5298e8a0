/*
 * The iterator over a table: a place in a partition's index, and a place in a data block.
 *
 * Moving within a block is the hot path: no call, no check. In SCAN mode a table that is not mapped
 * is read through a window of its own, a few hundred KiB at a time, in the direction of travel.
 */
#include "sst/table_internal.h"

enum { WINDOW_BYTES = 256 << 10 };

struct table_iter {
    struct vv_iter base;
    struct vv_table *table;
    enum vv_table_read_mode mode;
    uint64_t damages; /* blocks left out in mode SALVAGE */

    uint32_t slot; /* in `data` */
    struct vv_open_block data;
    uint8_t *joined; /* the current key, if the block has a prefix */
    size_t joined_size;

    uint32_t partition; /* partition_count: nowhere */
    uint32_t index_slot;
    struct vv_block_view index_copy;
    const struct vv_block_view *index;
    struct vv_block *index_held;

    uint8_t *window; /* bytes of the file from window_offset on */
    size_t window_cap, window_size;
    uint64_t window_offset;
    uint8_t *unpacked; /* the current block, if it is stored compressed */
    size_t unpacked_cap;
};

static struct table_iter *self(struct vv_iter *it)
{
    return (struct table_iter *)(void *)it;
}

/* ------------------------------------------------------------------------------------ blocks */

/* Makes room, charged; what was there is lost. */
static int make_room(const struct table_iter *it, uint8_t **buffer, size_t *cap, size_t size_bytes)
{
    if (size_bytes <= *cap)
        return VV_OK;
    uint8_t *fresh = vv_alloc(size_bytes);
    if (fresh == NULL)
        return VV_NOMEM;
    vv_account_charge(it->table->account, VV_OWNER_WORK, size_bytes);
    if (*cap > 0)
        vv_account_release(it->table->account, VV_OWNER_WORK, *cap);
    vv_free(*buffer);
    *buffer = fresh;
    *cap = size_bytes;
    return VV_OK;
}

static void drop_room(const struct table_iter *it, uint8_t *buffer, size_t cap)
{
    if (cap > 0)
        vv_account_release(it->table->account, VV_OWNER_WORK, cap);
    vv_free(buffer);
}

static void drop_data(struct table_iter *it)
{
    vv_block_unref(it->data.held);
    it->data.held = NULL;
    it->data.view.count = 0;
}

static void drop_index(struct table_iter *it)
{
    vv_block_unref(it->index_held);
    it->index_held = NULL;
    it->index = NULL;
    it->partition = it->table->partition_count;
}

/* Reads so that the block is in the window, with as much of what comes next in our direction. */
static int fill_window(struct table_iter *it, struct vv_handle at)
{
    uint64_t from = at.offset;
    uint64_t end = at.offset + at.size;
    if (it->window_size > 0 && at.offset < it->window_offset)
        from = end > WINDOW_BYTES && end - WINDOW_BYTES < from ? end - WINDOW_BYTES
               : end <= WINDOW_BYTES                           ? 0
                                                               : from;
    else if (at.size < WINDOW_BYTES)
        end = it->table->blocks_end - from < WINDOW_BYTES ? it->table->blocks_end
                                                          : from + WINDOW_BYTES;
    size_t size = (size_t)(end - from);
    size_t room = size > WINDOW_BYTES ? size : WINDOW_BYTES;
    it->window_size = 0;
    int rc = make_room(it, &it->window, &it->window_cap, room + VV_BLOCK_SLACK);
    if (rc < 0)
        return rc;
    if ((rc = vv_file_read_whole(it->table->file, from, it->window, size)) < 0)
        return vv_table_blame(it->table, rc);
    memset(it->window + size, 0, VV_BLOCK_SLACK);
    it->window_offset = from;
    it->window_size = size;
    return VV_OK;
}

static int unpack_window(struct table_iter *it, const struct vv_stored *stored)
{
    int rc =
        make_room(it, &it->unpacked, &it->unpacked_cap, (size_t)stored->raw_size + VV_BLOCK_SLACK);
    if (rc < 0)
        return rc;
    rc = vv_decode(&it->table->decoder, stored->codec, stored->content, it->unpacked,
                   stored->raw_size);
    if (rc < 0)
        return vv_table_blame(it->table, rc);
    memset(it->unpacked + stored->raw_size, 0, VV_BLOCK_SLACK);
    return VV_OK;
}

/* A data block past the cache, from the mapping or the window. */
static int scan_data(struct table_iter *it, struct vv_handle at)
{
    struct vv_table *t = it->table;
    const uint8_t *bytes;
    int rc = vv_table_check_handle(t, at);
    if (rc < 0)
        return rc;
    if (t->map != NULL) {
        bytes = t->map + at.offset;
    } else {
        if ((at.offset < it->window_offset || at.offset - it->window_offset > it->window_size ||
             at.size > it->window_size - (size_t)(at.offset - it->window_offset)) &&
            (rc = fill_window(it, at)) < 0)
            return rc;
        bytes = it->window + (size_t)(at.offset - it->window_offset);
    }
    struct vv_stored stored;
    if ((rc = vv_stored_open(t, bytes, at, VV_ROLE_DATA, &stored)) < 0)
        return rc;
    vv_slice content = stored.content;
    if (stored.codec != VV_CODEC_NONE) {
        if ((rc = unpack_window(it, &stored)) < 0)
            return rc;
        content = (vv_slice){it->unpacked, stored.raw_size};
    }
    if ((rc = vv_table_verify_content(t, content, VV_ROLE_DATA)) < 0)
        return rc;
    vv_table_decode_data(t, content.data, &it->data.view);
    return VV_OK;
}

static int fill_data(struct table_iter *it)
{
    struct vv_index_entry entry = vv_index_entry_of(it->index, it->index_slot);
    bool is_in_place = it->table->map != NULL && (entry.flags & VV_INDEX_RAW) != 0;
    if (it->mode != VV_TABLE_READ_CACHED && !is_in_place)
        return scan_data(it, entry.at);
    return vv_table_open_data(it->table, it->partition, it->index, it->index_slot, &it->data);
}

/* Goes to the data block in slot `index_slot` of the present partition. */
static int enter_block(struct table_iter *it, uint32_t index_slot)
{
    drop_data(it);
    it->index_slot = index_slot;
    int rc = fill_data(it);
    if (rc < 0) {
        it->data.view.count = 0;
        return rc;
    }
    const struct vv_block_view *v = &it->data.view;
    if (v->prefix_size == 0)
        return VV_OK;
    if ((rc = make_room(it, &it->joined, &it->joined_size, vv_block_key_room(v))) < 0)
        return rc;
    memcpy(it->joined, v->prefix, v->prefix_size);
    return VV_OK;
}

static int enter_partition(struct table_iter *it, uint32_t partition)
{
    if (it->partition == partition)
        return VV_OK;
    drop_data(it);
    drop_index(it);
    int rc =
        vv_table_open_index(it->table, partition, &it->index_held, &it->index_copy, &it->index);
    if (rc == VV_OK)
        it->partition = partition;
    return rc;
}

/* ------------------------------------------------------------------------------------ moving */

static inline int show(struct table_iter *it, uint32_t slot)
{
    it->slot = slot;
    vv_block_entry(&it->data.view, slot, it->joined, &it->base.at);
    it->base.valid = true;
    return VV_OK;
}

static int go_nowhere(struct table_iter *it, int rc)
{
    it->base.valid = false;
    return rc;
}

/* Whether damage is to be left out and the next place tried. */
static bool passes_over(struct table_iter *it, int rc)
{
    if (it->mode != VV_TABLE_READ_SALVAGE || (rc != VV_CORRUPT && rc != VV_UNSUPPORTED))
        return false;
    it->damages++;
    return true;
}

/* The first entry at or behind a block of the present partition, or behind the partition. */
static int show_first_from(struct table_iter *it, uint32_t index_slot)
{
    int rc = VV_OK;
    for (; index_slot < it->index->count; index_slot++) {
        rc = enter_block(it, index_slot);
        if (rc == VV_OK)
            return show(it, 0);
        if (!passes_over(it, rc))
            return go_nowhere(it, rc);
    }
    return VV_END;
}

static int show_first_of(struct table_iter *it, uint32_t partition)
{
    for (; partition < it->table->partition_count; partition++) {
        int rc = enter_partition(it, partition);
        if (rc == VV_OK && (rc = show_first_from(it, 0)) != VV_END)
            return rc;
        if (rc < 0 && !passes_over(it, rc))
            return go_nowhere(it, rc);
    }
    return go_nowhere(it, VV_OK);
}

/* The last entry of the first `count` partitions. */
static int show_last_of(struct table_iter *it, uint32_t count)
{
    if (count == 0)
        return go_nowhere(it, VV_OK);
    uint32_t partition = count - 1;
    int rc = enter_partition(it, partition);
    if (rc == VV_OK)
        rc = enter_block(it, it->index->count - 1);
    return rc == VV_OK ? show(it, it->data.view.count - 1) : go_nowhere(it, rc);
}

static int iter_first(struct vv_iter *base)
{
    return show_first_of(self(base), 0);
}

static int iter_last(struct vv_iter *base)
{
    struct table_iter *it = self(base);
    return show_last_of(it, it->table->partition_count);
}

static int next_block(struct table_iter *it)
{
    int rc = show_first_from(it, it->index_slot + 1);
    return rc == VV_END ? show_first_of(it, it->partition + 1) : rc;
}

static int prev_block(struct table_iter *it)
{
    if (it->index_slot == 0)
        return show_last_of(it, it->partition);
    int rc = enter_block(it, it->index_slot - 1);
    return rc == VV_OK ? show(it, it->data.view.count - 1) : go_nowhere(it, rc);
}

static int iter_next(struct vv_iter *base)
{
    struct table_iter *it = self(base);
    uint32_t slot = it->slot + 1;
    if (VV_LIKELY(slot < it->data.view.count)) {
        it->slot = slot;
        vv_block_entry(&it->data.view, slot, it->joined, &it->base.at);
        return VV_OK;
    }
    return next_block(it);
}

static int iter_prev(struct vv_iter *base)
{
    struct table_iter *it = self(base);
    return it->slot > 0 ? show(it, it->slot - 1) : prev_block(it);
}

/* Goes to the first block that may hold an entry not in front of (key, bound): VV_OK, VV_END when
 * all the table's entries are in front. */
static int find_block(struct table_iter *it, vv_slice key, uint64_t bound)
{
    uint32_t partition = vv_table_partition_of(it->table, key, bound);
    if (partition == it->table->partition_count)
        return VV_END;
    int rc = enter_partition(it, partition);
    if (rc < 0)
        return rc;
    uint32_t index_slot = vv_block_search(it->index, it->table->order, key, bound);
    if (index_slot == it->index->count) /* only in a table that contradicts itself */
        return vv_table_blame(it->table, vv_fail(VV_CORRUPT, "its indexes contradict"));
    if (it->data.view.count > 0 && it->index_slot == index_slot)
        return VV_OK;
    return enter_block(it, index_slot);
}

static int iter_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct table_iter *it = self(base);
    uint64_t bound = seq < VV_SEQ_MAX ? seq + 1 : VV_BOUND_FIRST;
    int rc = find_block(it, key, bound);
    if (rc != VV_OK)
        return go_nowhere(it, rc < 0 ? rc : VV_OK);
    uint32_t slot = vv_block_search(&it->data.view, it->table->order, key, bound);
    return slot < it->data.view.count ? show(it, slot) : next_block(it);
}

static int iter_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct table_iter *it = self(base);
    int rc = find_block(it, key, VV_BOUND_PAST);
    if (rc < 0)
        return go_nowhere(it, rc);
    if (rc == VV_END)
        return show_last_of(it, it->table->partition_count);
    uint32_t slot = vv_block_search(&it->data.view, it->table->order, key, VV_BOUND_PAST);
    return slot > 0 ? show(it, slot - 1) : prev_block(it);
}

static void iter_close(struct vv_iter *base)
{
    struct table_iter *it = self(base);
    drop_data(it);
    drop_index(it);
    drop_room(it, it->joined, it->joined_size);
    drop_room(it, it->window, it->window_cap);
    drop_room(it, it->unpacked, it->unpacked_cap);
    vv_table_unref(it->table);
    vv_free(it);
}

int vv_table_iter(struct vv_table *t, enum vv_table_read_mode mode, struct vv_iter **out)
{
    static const struct vv_iter_ops ops = {.first = iter_first,
                                           .last = iter_last,
                                           .seek = iter_seek,
                                           .seek_for_prev = iter_seek_for_prev,
                                           .next = iter_next,
                                           .prev = iter_prev,
                                           .close = iter_close};
    struct table_iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    it->base.ops = &ops;
    vv_table_ref(t);
    it->table = t;
    it->mode = mode;
    it->partition = t->partition_count;
    *out = &it->base;
    return VV_OK;
}

uint64_t vv_table_iter_damages(const struct vv_iter *base)
{
    return ((const struct table_iter *)(const void *)base)->damages;
}
