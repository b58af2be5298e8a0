#include "log/window.h"

enum {
    CHUNK_BYTES = 256 << 10,
    KEEP_BYTES = 4 << 20, /* a buffer larger than this, made by a large record, is not kept */
};

void vv_log_window_deinit(struct vv_log_window *w)
{
    vv_buf_deinit(&w->buf);
}

void vv_log_window_forget(struct vv_log_window *w)
{
    vv_buf_clear(&w->buf);
}

int vv_log_window_has(struct vv_log_window *w, uint64_t offset, uint64_t want, bool *out)
{
    if (offset > w->file_size || want > w->file_size - offset) {
        int rc = vv_file_size(w->file, &w->file_size);
        if (rc < 0)
            return rc;
    }
    *out = offset <= w->file_size && want <= w->file_size - offset;
    return VV_OK;
}

/* Keeps the bytes from `offset` on that are there already. */
static void move_to(struct vv_log_window *w, uint64_t offset)
{
    size_t keep = 0;
    if (offset >= w->offset && offset - w->offset < w->buf.size) {
        size_t skip = (size_t)(offset - w->offset);
        keep = w->buf.size - skip;
        memmove(w->buf.data, w->buf.data + skip, keep);
    }
    w->buf.size = keep;
    w->offset = offset;
}

static int refill(struct vv_log_window *w, uint64_t offset, uint64_t want)
{
    bool whole;
    uint64_t goal = want <= CHUNK_BYTES ? CHUNK_BYTES : want + CHUNK_BYTES;
    int rc = vv_log_window_has(w, offset, goal, &whole);
    if (rc < 0)
        return rc;
    move_to(w, offset);
    if (!whole)
        goal = offset < w->file_size ? w->file_size - offset : 0;
    if (goal <= w->buf.size)
        return VV_OK;
    if (w->buf.size == 0 && w->buf.cap > KEEP_BYTES && goal <= CHUNK_BYTES)
        vv_buf_deinit(&w->buf);

    size_t more = (size_t)(goal - w->buf.size);
    size_t got;
    if ((rc = vv_buf_reserve(&w->buf, more)) < 0)
        return rc;
    rc = vv_file_read_at(w->file, offset + w->buf.size, w->buf.data + w->buf.size, more, &got);
    if (rc < 0)
        return rc;
    w->buf.size += got;
    return VV_OK;
}

int vv_log_window_at(struct vv_log_window *w, uint64_t offset, uint64_t want, vv_slice *out)
{
    bool held = offset >= w->offset && offset - w->offset <= w->buf.size &&
                want <= w->buf.size - (offset - w->offset);
    if (!held) {
        int rc = refill(w, offset, want);
        if (rc < 0)
            return rc;
    }
    size_t skip = (size_t)(offset - w->offset);
    size_t have = w->buf.size - skip;
    *out = vv_slice_skip(vv_buf_slice(&w->buf), skip);
    if (want < have)
        out->size = (size_t)want;
    return VV_OK;
}
