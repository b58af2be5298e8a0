/*
 * New value files for repair: whole values are copied into them, so that no old value file, damaged or
 * not, is needed any more.
 */
#ifndef VV_LSM_SALVAGE_H
#define VV_LSM_SALVAGE_H

#include "lsm/tree.h"

/* Zeroed but for `lsm` it is ready. */
struct vv_salvage {
    struct vv_lsm *lsm;
    struct vv_value_writer *writer;
    uint64_t number;
    struct vv_buf scratch;
    struct vv_buf files; /* of struct vv_value_file *: those that are whole; a reference each */
};

/* Copies the value that `ref` leads to in `from`, after verifying it, and gives the new reference.
 * VV_CORRUPT when the value is damaged. */
VV_MUST int vv_salvage_copy(struct vv_salvage *s, struct vv_value_file *from, struct vv_ref ref,
                            vv_slice key, struct vv_ref *out);

/* Seals the last file. */
VV_MUST int vv_salvage_finish(struct vv_salvage *s);

/* Frees it; with `discard`, removes the files. */
void vv_salvage_deinit(struct vv_salvage *s, bool discard);

#endif
