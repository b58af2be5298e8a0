/*
 * A file seen through a buffer that moves forward: sequential reading in large steps, of pieces
 * whose size is known only on the way. Private to this room.
 */
#ifndef VV_LOG_WINDOW_H
#define VV_LOG_WINDOW_H

#include "env/env.h"

/* Zeroed memory with a file in it is a window that has seen nothing. */
struct vv_log_window {
    struct vv_file *file; /* borrowed */
    struct vv_buf buf;
    uint64_t offset;    /* of the buffer's first byte in the file */
    uint64_t file_size; /* when it was last asked */
};

void vv_log_window_deinit(struct vv_log_window *w);

/* The next `want` bytes at `offset`; fewer only where the file ends. They hold until the next call.
 * Memory is taken for what the file has, not for what is wanted. */
VV_MUST int vv_log_window_at(struct vv_log_window *w, uint64_t offset, uint64_t want,
                             vv_slice *out);

/* Whether the file has `want` bytes at `offset`; it is asked again if it seems not to, because a
 * writer may be at work. */
VV_MUST int vv_log_window_has(struct vv_log_window *w, uint64_t offset, uint64_t want, bool *out);

/* Forgets what was read, which a writer may have overwritten since. */
void vv_log_window_forget(struct vv_log_window *w);

#endif
