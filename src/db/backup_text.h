/*
 * What a backup says of itself: text, one fact a line, in a file "000007.backup".
 *
 *      varve backup 1
 *      store 00112233445566778899aabbccddeeff     UUID of the store
 *      created 1700000000000000                   wall clock, microseconds since 1970
 *      sequence 4711                              of the moment
 *      copied 1048576                             bytes that no earlier backup had
 *      state 0a1b…                                the engine's, in hexadecimal
 *      file 000012.sst 0011…ff 12 5242880 0123456789abcdef fedcba9876543210 …
 *      end 0123456789abcdef
 *
 * A line "file" has the name in the store, the UUID and number that it was given, its size, its print
 * (XXH3 of its first and last 4 KiB, seed: size), and for each 4 MiB piece XXH3, seed: the offset. The
 * last line has the XXH3 of all before it.
 */
#ifndef VV_DB_BACKUP_TEXT_H
#define VV_DB_BACKUP_TEXT_H

#include "base/buf.h"
#include "kv/engine.h"

struct vv_backup_file {
    struct vv_moment_file file;
    uint64_t print;
    uint64_t *checks; /* owned: one for each piece */
    size_t check_count;
};

/* Zeroed memory is an empty one. */
struct vv_backup {
    uint64_t id; /* of the file, not in the text */
    uint8_t uuid[16];
    uint64_t created_us, copied_bytes;
    vv_seq seq;
    struct vv_buf state;
    struct vv_backup_file *files; /* owned */
    size_t file_count, file_cap;
};

void vv_backup_deinit(struct vv_backup *b);

/* Adds a file and gives its place, which holds until the next one is added. */
VV_MUST int vv_backup_add(struct vv_backup *b, const struct vv_moment_file *file, uint64_t print,
                          const uint64_t *checks, size_t check_count);

VV_MUST int vv_backup_encode(const struct vv_backup *b, struct vv_buf *out);

/* VV_CORRUPT names `path` and the offset; VV_UNSUPPORTED for a later version. `out` is empty and is
 * released by the caller also on failure. */
VV_MUST int vv_backup_decode(const char *path, vv_slice text, struct vv_backup *out);

#endif
