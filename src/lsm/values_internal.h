/*
 * What values.c and value_writer.c share.
 */
#ifndef VV_LSM_VALUES_INTERNAL_H
#define VV_LSM_VALUES_INTERNAL_H

#include "env/thread.h"
#include "log/log.h"
#include "lsm/values.h"

enum { VV_MAP_ENTRY_SIZE = 16, VV_SEAL_TRAILER_SIZE = 16, VV_MAP_STRIDE = 256 };

struct vv_values {
    struct vv_values_options options; /* constant */
    struct vv_mutex mu;               /* serialises opening; rank 61 */
};

struct vv_value_handle {
    struct vv_file *file;
    struct vv_log_head head;
    size_t charge_bytes;
    /* Of a file that replaced others: every VV_MAP_STRIDE-th key of its map. */
    uint64_t *samples;
    size_t sample_count;
    size_t map_count;
    uint64_t map_offset;
};

/* Reads and verifies the whole record that a reference leads to. */
VV_MUST int vv_values_read_record(struct vv_value_file *file, uint64_t ref_file,
                                  uint32_t offset_units, struct vv_buf *scratch,
                                  struct vv_record *record);

#endif
