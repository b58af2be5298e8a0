/*
 * What the files of this room that read tables share. Not a door: other rooms use sst/table.h.
 *
 * A block is reached in one of two ways. In a mapped table, a block stored raw is used where it
 * lies; that it was verified is remembered for as long as the table is open, by a bit for each data
 * block and a state for each partition. Everything else is read (and decompressed) into a vv_block,
 * verified, and shared through the cache; what the cache gives is verified already.
 */
#ifndef VV_SST_TABLE_INTERNAL_H
#define VV_SST_TABLE_INTERNAL_H

#include "sst/block.h"
#include "sst/codec.h"
#include "sst/filter.h"
#include "sst/format.h"
#include "sst/table.h"

#include <stdatomic.h>

/* Where a stored block is, trailer included. */
struct vv_handle {
    uint64_t offset;
    uint32_t size;
};

enum vv_partition_state {
    VV_PARTITION_UNKNOWN,
    VV_PARTITION_BUSY, /* some thread is filling in the view */
    VV_PARTITION_READY,
    VV_PARTITION_BROKEN, /* a filter that cannot be used */
};

struct vv_partition {
    struct vv_handle index;
    struct vv_handle filter; /* size 0: none */
    uint32_t blocks_before;  /* number of the partition's first data block */
    uint32_t blocks;
    uint64_t entries;
    /* For mapped tables. Whoever moves a state to BUSY fills in the view and publishes it with a
     * release store of READY, after which it is constant. */
    _Atomic(uint32_t) index_state;
    _Atomic(uint32_t) filter_state;
    struct vv_block_view view;
    struct vv_filter filter_view;
};

struct vv_table {
    _Atomic(uint32_t) refs;

    /* Constant after opening. */
    struct vv_env *env;
    struct vv_file *file;
    const struct vv_order *order;
    struct vv_account *account;
    struct vv_cache *cache;
    const uint8_t *map; /* or NULL */
    uint64_t number;
    uint64_t salt;
    uint64_t size_bytes;
    uint64_t blocks_end; /* no block reaches beyond */
    vv_seq raise;        /* added to the sequences in data blocks; those in indexes are left alone,
                          * because they only tell versions of one key apart */
    struct vv_handle top_at, properties_at, references_at, ranges_at;
    struct vv_block *top_block; /* NULL without entries */
    struct vv_block_view top;
    uint64_t *top_heads; /* of the separators, in bytewise order; else NULL */
    struct vv_partition *partitions;
    uint32_t partition_count;
    uint32_t block_count;
    size_t charged_bytes;
    struct vv_table_facts facts; /* without refs */
    struct vv_arena range_arena;
    struct vv_block *range_block; /* the keys of the ranges; NULL when there are none */
    struct vv_range *range_list;
    const struct vv_ranges *ranges;

    struct vv_decoder decoder;
    _Atomic(uint64_t) *verified; /* a bit for each data block of a mapped table */
};

/* A block in use: its view, and what keeps it where it is (NULL for the mapping). */
struct vv_open_block {
    struct vv_block_view view;
    struct vv_block *held;
};

/* The view of a data block's verified content. */
static inline void vv_table_decode_data(const struct vv_table *t, const uint8_t *content,
                                        struct vv_block_view *out)
{
    vv_block_decode(content, out);
    out->base_seq += t->raise;
}

/* What stands in the index about a data block. */
struct vv_index_entry {
    struct vv_handle at;
    uint32_t entries;
    uint32_t tombstones;
    uint32_t flags;
};

static inline struct vv_index_entry vv_index_entry_of(const struct vv_block_view *index,
                                                      uint32_t slot)
{
    const uint8_t *value = index->values + (size_t)slot * VV_INDEX_VALUE_SIZE;
    return (struct vv_index_entry){{(uint64_t)vv_get_u32(value + VV_INDEX_OFFSET) * VV_BLOCK_ALIGN,
                                    vv_get_u32(value + VV_INDEX_SIZE)},
                                   vv_get_u16(value + VV_INDEX_ENTRIES),
                                   vv_get_u16(value + VV_INDEX_TOMBSTONES),
                                   value[VV_INDEX_FLAGS]};
}

/* Puts "table N" in front of a story. */
int vv_table_blame(const struct vv_table *t, int rc);

/* VV_CORRUPT, with the story that the block there is `what`. */
int vv_table_damaged(const struct vv_table *t, struct vv_handle at, const char *what);

/* Whether the handle can be one of a block of this table. */
VV_MUST int vv_table_check_handle(const struct vv_table *t, struct vv_handle at);

/* What the checked trailer of a stored block says. */
struct vv_stored {
    vv_slice content;
    enum vv_codec codec;
    uint32_t raw_size;
};

/* Verifies checksum and trailer of the block that stands at `at.offset` in the file and at `bytes`
 * in memory. */
VV_MUST int vv_stored_open(const struct vv_table *t, const uint8_t *bytes, struct vv_handle at,
                           enum vv_role role, struct vv_stored *out);

/* Reads, verifies (structure too) and decompresses a block, past the cache. */
VV_MUST int vv_table_read_block(struct vv_table *t, struct vv_handle at, enum vv_role role,
                                struct vv_block **out);

/* Verifies the structure of a block's content for its role. */
VV_MUST int vv_table_verify_content(const struct vv_table *t, vv_slice content, enum vv_role role);

/* The first partition that may hold (key, bound) (see vv_block_search), or partition_count. */
uint32_t vv_table_partition_of(const struct vv_table *t, vv_slice key, uint64_t bound);

/* The index of a partition. `*view` holds as long as `*held` does, which may be NULL. */
VV_MUST int vv_table_open_index(struct vv_table *t, uint32_t partition, struct vv_block **held,
                                struct vv_block_view *copy, const struct vv_block_view **view);

/* The data block in slot `slot` of a partition's index. `out->held` is the caller's to unref. */
VV_MUST int vv_table_open_data(struct vv_table *t, uint32_t partition,
                               const struct vv_block_view *index, uint32_t slot,
                               struct vv_open_block *out);

/* The filter of a partition: VV_OK with the filter (*held keeps it), or VV_NOTFOUND when there is
 * none that can be used. */
VV_MUST int vv_table_open_filter(struct vv_table *t, uint32_t partition, struct vv_block **held,
                                 struct vv_filter *out);

/* One group of the reference block. */
struct vv_ref_group {
    struct vv_table_ref_sum sum;
    struct vv_reader offsets; /* varint differences, sum.count of them, verified */
};

/* The next group: VV_OK, VV_END, or VV_CORRUPT. Skips the offsets before it returns. */
VV_MUST int vv_ref_group_next(struct vv_reader *r, struct vv_ref_group *out);

#endif
