/*
 * What a job writes: tables of one level, one after another, cut at useful places.
 */
#ifndef VV_LSM_OUTPUT_H
#define VV_LSM_OUTPUT_H

#include "lsm/tree.h"

struct vv_output_options {
    int level;
    bool last;              /* the last level: compressed and filtered for the long run */
    uint64_t table_bytes;   /* aimed-at size */
    const vv_slice *splits; /* user keys after which a new table begins; ascending; may be NULL */
    size_t split_count;
    const struct vv_range
        *ranges;        /* range tombstones, layer by layer (vv_ranges_load); borrowed, as */
    size_t range_count; /* their keys are. Each table gets the part between its borders. */
};

/* The ranges of a layer that do not end before the table being written. */
struct vv_output_cursor {
    size_t next, end;
};

struct vv_output {
    struct vv_lsm *lsm;
    struct vv_output_options options;
    struct vv_table_writer *writer;
    uint64_t number; /* of the table being written */
    size_t next_split;
    struct vv_buf last_key;
    bool has_key;
    struct vv_buf cursors; /* struct vv_output_cursor: where each layer of ranges goes on */
    struct vv_buf
        low_key; /* where the table being written begins; of the first: at the very start */
    bool has_low;
    struct vv_edit made;    /* the finished tables */
    struct vv_buf replaced; /* of uint64_t: the tables that these are made of */
    uint64_t bytes;         /* of finished tables */
};

/* VV_NOMEM; vv_output_deinit it in any case. */
VV_MUST int vv_output_init(struct vv_output *out, struct vv_lsm *lsm,
                           const struct vv_output_options *options);

/* The next entry in internal order; see vv_table_writer_add. */
VV_MUST int vv_output_add(struct vv_output *out, const struct vv_entry *entry,
                          uint64_t value_bytes);

/* The tables are made of this one, which is not needed once all of them are there. */
VV_MUST int vv_output_replaces(struct vv_output *out, uint64_t number);

/* Finishes the last table and syncs the directory: all is durable then. The last table says what is
 * not needed any more, and so is finished only when the others are durable. */
VV_MUST int vv_output_finish(struct vv_output *out);

/* Bytes written so far. */
uint64_t vv_output_size(const struct vv_output *out);

/* Makes metas of the finished tables, to be installed; each has a reference, which the caller
 * gives back. `adds` has room for out->made.table_count. */
VV_MUST int vv_output_metas(struct vv_output *out, struct vv_table_add *adds);

/* Frees it; with `discard`, removes the files. */
enum vv_output_fate { VV_OUTPUT_KEEP, VV_OUTPUT_DISCARD };
void vv_output_deinit(struct vv_output *out, enum vv_output_fate fate);

#endif
