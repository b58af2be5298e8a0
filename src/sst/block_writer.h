/*
 * Builds one slotted block (sst/format.h) from entries in order. Used again and again, it keeps its
 * memory.
 */
#ifndef VV_SST_BLOCK_WRITER_H
#define VV_SST_BLOCK_WRITER_H

#include "base/buf.h"
#include "kv/entry.h"

enum vv_block_shape {
    VV_BLOCK_SHAPE_DATA,       /* with fingerprints */
    VV_BLOCK_SHAPE_INDEX,      /* with heads, for searching by order */
    VV_BLOCK_SHAPE_DATA_ORDER, /* the same two for an order other than bytewise: no prefix, */
    VV_BLOCK_SHAPE_INDEX_ORDER /* no heads */
};

struct vv_block_slot;

/* Zeroed memory with a shape is an empty one. */
struct vv_block_writer {
    enum vv_block_shape shape;
    struct vv_buf keys; /* one behind the other */
    struct vv_buf values;
    struct vv_buf slots; /* struct vv_block_slot for each entry */
    size_t count;
};

void vv_block_writer_deinit(struct vv_block_writer *w);

/* Appends an entry; `print` is its fingerprint, which index shapes ignore. There must be room: see
 * vv_block_writer_fits. */
VV_MUST int vv_block_writer_add(struct vv_block_writer *w, const struct vv_entry *entry,
                                uint8_t print);

/* Whether an entry may still be added without the block exceeding `size_bytes` (roughly) or a limit
 * of the format. An empty block takes any entry. */
bool vv_block_writer_fits(const struct vv_block_writer *w, const struct vv_entry *entry,
                          size_t size_bytes);

/* About how large the block would be now. */
size_t vv_block_writer_size(const struct vv_block_writer *w);

/* Appends the block, of at least one entry, to `out` and is empty again. */
VV_MUST int vv_block_writer_finish(struct vv_block_writer *w, struct vv_buf *out);

void vv_block_writer_clear(struct vv_block_writer *w);

#endif
