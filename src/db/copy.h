/*
 * Making a copy of a store in a directory, such that after a crash there is none or the whole:
 *
 *      mark the directory UNFINISHED · put the files there · sync them and their names · let the
 *      engine make a store of them · take the mark away
 *
 * Opening refuses what has the mark; another copy to the same place, and varve_destroy, clear it.
 */
#ifndef VV_DB_COPY_H
#define VV_DB_COPY_H

#include "db/home.h"

/* Files are read and checked in pieces of this size. */
enum { VV_COPY_PIECE = 4 << 20 };

struct vv_copy {
    struct vv_env *env;
    const char *path; /* lives longer */
    struct vv_lock *lock;
    bool made; /* the directory was not there */
};

/* Takes the place: VV_EXISTS where a store is, VV_FOREIGN where other things are, VV_LOCKED. */
VV_MUST int vv_copy_begin(struct vv_env *env, const char *path, struct vv_copy *out);
/* Makes a store of the files, which are durable. Everything is, when it returns. */
VV_MUST int vv_copy_finish(struct vv_copy *copy, vv_slice state);
/* Releases the place. Of a copy that was not finished nothing is left, and the failure's story is as it
 * was. */
void vv_copy_end(struct vv_copy *copy, int rc);

/* Called with the bytes done since the last call. A result other than 0 ends the work. */
typedef int vv_copy_step(void *context, uint64_t more_bytes);

struct vv_transfer {
    struct vv_env *from_env;
    const char *from;
    struct vv_env *to_env; /* NULL: the file is read and checked only */
    const char *to;        /* is created */
    uint64_t size_bytes;
    const uint64_t *expect; /* what vv_transfer gave for the pieces once; NULL: nothing is known */
    struct vv_buf *checks;  /* gets a uint64_t for each piece; may be NULL */
    vv_copy_step *step;     /* may be NULL */
    void *context;
};

/* Copies a file, and syncs it. VV_CORRUPT names the file and the piece that is not as expected, or
 * where the file ends too early. */
VV_MUST int vv_transfer(const struct vv_transfer *t);

#endif
