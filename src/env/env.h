/*
 * The world: files, directories, clocks, randomness, behind one struct of functions.
 *
 * Three worlds implement it: the operating system (env/posix.h), memory (env/mem.h) and a hostile
 * simulation (env/sim.h). All pass test/contract/test_env.c, so the promises below hold in each.
 * Nothing outside this room touches the operating system.
 *
 * Paths are NUL-terminated. Every function may be called by any thread; one file may be read and
 * written by many at once, as long as the ranges being written do not overlap.
 *
 * Errors: VV_IO with the operation, the path and the system's words; VV_FULL for no space, quota or
 * file size limit (in a program that survives SIGXFSZ); VV_PERMISSION; VV_LIMIT for no descriptors;
 * VV_NOMEM. An interrupted call is continued inside. VV_NOTFOUND is an outcome of the functions that
 * say so, and of no other.
 */
#ifndef VV_ENV_ENV_H
#define VV_ENV_ENV_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct vv_env;
struct vv_file;
struct vv_lock;

enum vv_open_mode {
    VV_OPEN_READ,   /* must exist; no write may follow */
    VV_OPEN_WRITE,  /* must exist; reads and writes */
    VV_OPEN_CREATE, /* must not exist (VV_EXISTS); reads and writes */
};

enum vv_path_kind { VV_PATH_FILE, VV_PATH_DIR, VV_PATH_OTHER };

struct vv_path_info {
    enum vv_path_kind kind;
    uint64_t size_bytes; /* of a file */
    uint64_t used_bytes; /* what it occupies; less than the size for a file with holes */
};

/* What the machine offers this process. */
struct vv_env_facts {
    uint64_t memory_bytes;   /* the smaller of installed memory and the control group's limit */
    uint32_t cpu_count;      /* at least 1 */
    uint32_t file_count_max; /* how many descriptors the process may hold */
};

struct vv_env_ops {
    int (*open)(struct vv_env *env, const char *path, enum vv_open_mode mode, struct vv_file **out);
    void (*close)(struct vv_file *file);
    int (*read_at)(struct vv_file *file, uint64_t offset, void *into, size_t want, size_t *got);
    int (*write_at)(struct vv_file *file, uint64_t offset, const vv_slice *parts, size_t count);
    int (*sync)(struct vv_file *file);
    int (*truncate)(struct vv_file *file, uint64_t size_bytes);
    int (*size)(struct vv_file *file, uint64_t *out);
    void (*push)(struct vv_file *file, uint64_t offset, uint64_t size_bytes);
    void (*forget)(struct vv_file *file, uint64_t offset, uint64_t size_bytes);
    int (*map)(struct vv_file *file, size_t size_bytes, const uint8_t **out);
    void (*unmap)(struct vv_file *file, const uint8_t *map, size_t size_bytes);

    int (*sync_dir)(struct vv_env *env, const char *path);
    int (*make_dir)(struct vv_env *env, const char *path);
    int (*remove_dir)(struct vv_env *env, const char *path);
    int (*rename)(struct vv_env *env, const char *from, const char *to);
    int (*link)(struct vv_env *env, const char *from, const char *to);
    int (*remove)(struct vv_env *env, const char *path);
    int (*info)(struct vv_env *env, const char *path, struct vv_path_info *out);
    int (*list)(struct vv_env *env, const char *path, struct vv_buf *names);
    int (*lock)(struct vv_env *env, const char *path, struct vv_lock **out);
    void (*unlock)(struct vv_lock *lock);

    uint64_t (*now_us)(struct vv_env *env);
    uint64_t (*wall_us)(struct vv_env *env);
    void (*sleep_us)(struct vv_env *env, uint64_t us);
    int (*random)(struct vv_env *env, void *into, size_t size_bytes);
    void (*facts)(struct vv_env *env, struct vv_env_facts *out);
};

/* Embedded as the first member of each world's own struct. */
struct vv_env {
    const struct vv_env_ops *ops;
};

/* Embedded as the first member of each world's file. */
struct vv_file {
    struct vv_env *env;
    enum vv_open_mode mode; /* set by vv_env_open */
    const char *path;       /* as it was opened, for messages; the world's, lives as long as this */
};

/* Embedded as the first member of each world's lock. */
struct vv_lock {
    struct vv_env *env;
};

/* Opens `path`. VV_NOTFOUND when a mode that needs the file finds none; VV_EXISTS is a failure. A
 * created file is not durable before its directory is synced. The file is closed on exec. A directory
 * or a pipe is no file: VV_IO. */
VV_MUST int vv_env_open(struct vv_env *env, const char *path, enum vv_open_mode mode,
                        struct vv_file **out);

/* NULL is fine. Closing promises nothing about durability. */
void vv_file_close(struct vv_file *file);

/* Reads up to `want` bytes; `*got` is smaller only where the file ends. */
VV_MUST int vv_file_read_at(struct vv_file *file, uint64_t offset, void *into, size_t want,
                            size_t *got);

/* Reads exactly `want` bytes; a file that ends before that is VV_CORRUPT. */
VV_MUST int vv_file_read_whole(struct vv_file *file, uint64_t offset, void *into, size_t want);

/* Writes all parts one after another, in as few system calls as the system allows, growing the
 * file as needed. After a failure any prefix of the bytes may have been written. */
VV_MUST int vv_file_write_at(struct vv_file *file, uint64_t offset, const vv_slice *parts,
                             size_t count);

/* When it returns success, all bytes written before the call, and the size, survive a power cut
 * (but the name only after vv_env_sync_dir). After a failure nothing is known of what survives, and
 * a later success proves nothing of the earlier bytes: never write to the file again. */
VV_MUST int vv_file_sync(struct vv_file *file);

VV_MUST int vv_file_truncate(struct vv_file *file, uint64_t size_bytes); /* zeros when growing */
VV_MUST int vv_file_size(struct vv_file *file, uint64_t *out);

/* Hints without result: start writing the range to the device; drop it from the page cache. */
void vv_file_push(struct vv_file *file, uint64_t offset, uint64_t size_bytes);
void vv_file_forget(struct vv_file *file, uint64_t offset, uint64_t size_bytes);

/* Maps the first `size_bytes` bytes, at least one, for reading; only for files that never change or
 * shrink again. A file that ends before that is VV_CORRUPT. The mapping outlives neither the file
 * handle nor vv_file_unmap. Touching a page that the device cannot deliver ends the process (SIGBUS).
 * VV_UNSUPPORTED where a world or file system cannot; callers then read instead. */
VV_MUST int vv_file_map(struct vv_file *file, size_t size_bytes, const uint8_t **out);
void vv_file_unmap(struct vv_file *file, const uint8_t *map, size_t size_bytes);

/* Makes creations, renames and removals in this directory durable. */
VV_MUST int vv_env_sync_dir(struct vv_env *env, const char *path);

VV_MUST int vv_env_make_dir(struct vv_env *env, const char *path); /* VV_EXISTS if it is there */

/* VV_NOTFOUND when there is none; one that is not empty is VV_IO. */
VV_MUST int vv_env_remove_dir(struct vv_env *env, const char *path);

/* Atomically gives `from`, which must exist, the name `to`, replacing a file of that name. Same
 * directory only: both paths are spelled alike up to their last slash. */
VV_MUST int vv_env_rename(struct vv_env *env, const char *from, const char *to);

/* Gives the file `from` a second name, `to`, in any directory; both then name the same bytes, and it
 * is gone with the last name and handle. VV_NOTFOUND when there is no `from`, VV_EXISTS when `to` is
 * taken. VV_UNSUPPORTED where the system does not do it, on another file system for instance: then
 * copy. Durable when the directory of `to` is synced. */
VV_MUST int vv_env_link(struct vv_env *env, const char *from, const char *to);

/* Removes the name of a file; handles that have it open go on reading it. Or VV_NOTFOUND. */
VV_MUST int vv_env_remove(struct vv_env *env, const char *path);

/* Or VV_NOTFOUND. */
VV_MUST int vv_env_info(struct vv_env *env, const char *path, struct vv_path_info *out);

/* Appends the names in a directory, each ended by a NUL, without "." and "..", in no order.
 * VV_NOTFOUND when there is no such directory. */
VV_MUST int vv_env_list(struct vv_env *env, const char *path, struct vv_buf *names);

/* Creates `path` if needed and locks it against other handles, in this process or another, until
 * vv_env_unlock or the end of the process, however it ends. Never waits: VV_LOCKED. The lock does
 * not depend on other descriptors of the file being closed, and a forked child does not hold it
 * once the parent has gone. */
VV_MUST int vv_env_lock(struct vv_env *env, const char *path, struct vv_lock **out);
void vv_env_unlock(struct vv_lock *lock); /* NULL is fine */

uint64_t vv_env_now_us(struct vv_env *env);  /* monotonic, from any start */
uint64_t vv_env_wall_us(struct vv_env *env); /* since 1970; may jump */
void vv_env_sleep_us(struct vv_env *env, uint64_t us);
VV_MUST int vv_env_random(struct vv_env *env, void *into, size_t size_bytes); /* unpredictable */
void vv_env_facts(struct vv_env *env, struct vv_env_facts *out);

#endif
