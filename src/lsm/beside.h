/*
 * Reading a store beside its writer: one moment's view, and how it is brought up to date.
 *
 * The writer knows nothing of us: files come and go while we look. An attempt that met a file that
 * was gone, or a log that was written over, is made again; damage is believed only if the directory
 * stood still meanwhile. What is open stays readable, whatever the writer removes.
 */
#ifndef VV_LSM_BESIDE_H
#define VV_LSM_BESIDE_H

#include "lsm/recover.h"

/* Makes the attempt until it ends otherwise than by what a busy writer may do to it; gives its last
 * result. VV_BUSY when the writer was faster every time. */
VV_MUST int vv_beside_try(const struct vv_lsm_options *options, int (*attempt)(void *context),
                          void *context);

/* Ends an attempt: VV_BUSY if logs were retired since the MANIFEST was read; else opens all files of
 * the version. */
VV_MUST int vv_beside_hold(struct vv_lsm *lsm, const struct vv_version *version);

#endif
