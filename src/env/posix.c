/*
 * The operating system's world: files, clocks and randomness. Directories are in posix_dir.c,
 * locks in posix_lock.c, what the machine offers in posix_facts.c.
 *
 * Reads and writes carry their own offset, so that a descriptor has no position to fight over.
 */
#include "env/posix.h"

#include "env/posix_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FD_MIN = 3, PARTS_A_CALL = IOV_MAX };

/* Above any process's own uptime; keeps the sum below in range. */
#define SLEEP_US_MAX ((uint64_t)1 << 50)

struct posix_file {
    struct vv_file base;
    int fd;
    char path[]; /* as it was opened */
};

static struct posix_file *posix_file_of(struct vv_file *file)
{
    return (struct posix_file *)(void *)file;
}

static int code_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return VV_FULL;
    case EACCES:
    case EPERM:
    case EROFS: return VV_PERMISSION;
    case EMFILE:
    case ENFILE: return VV_LIMIT;
    case ENOMEM: return VV_NOMEM;
    default: return VV_IO;
    }
}

int vv_posix_fail(int number, const char *operation, const char *path)
{
    return vv_fail(code_of(number), "%s %s: %s", operation, path, strerror(number));
}

int vv_posix_open_fd(const char *path, int flags, mode_t bits)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, bits);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    if (fd >= FD_MIN)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
    int number = errno;
    (void)close(fd);
    return high >= 0 ? high : -number;
}

/* The errno for what is no file to us, or 0. The system would open a directory for reading and
 * complain later, and opening a pipe would wait for somebody at its other end. */
static int refused(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return 0; /* opening it will tell */
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    return S_ISFIFO(st.st_mode) ? ESPIPE : 0;
}

static int posix_open(struct vv_env *env, const char *path, enum vv_open_mode mode,
                      struct vv_file **out)
{
    static const int flags[] = {
        [VV_OPEN_READ] = O_RDONLY,
        [VV_OPEN_WRITE] = O_RDWR,
        [VV_OPEN_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };
    size_t path_size = strlen(path) + 1;
    struct posix_file *file = vv_alloc(sizeof *file + path_size);
    if (file == NULL)
        return VV_NOMEM;
    memcpy(file->path, path, path_size);
    file->base.env = env;
    file->base.path = file->path;
    int number = mode == VV_OPEN_CREATE ? 0 : refused(path);
    file->fd = number == 0 ? vv_posix_open_fd(path, flags[mode], VV_POSIX_FILE_BITS) : -number;
    if (file->fd >= 0) {
        *out = &file->base;
        return VV_OK;
    }
    number = -file->fd;
    vv_free(file);
    if (number == ENOENT && mode != VV_OPEN_CREATE)
        return VV_NOTFOUND;
    if (number == EEXIST)
        return vv_fail(VV_EXISTS, "create %s: it exists already", path);
    return vv_posix_fail(number, mode == VV_OPEN_CREATE ? "create" : "open", path);
}

static void posix_close(struct vv_file *base)
{
    struct posix_file *file = posix_file_of(base);
    /* An interrupted close has closed on this system, and a failing one too. Nothing is promised
     * but that the descriptor was ours. */
    if (close(file->fd) < 0)
        vv_assert(errno != EBADF);
    vv_free(file);
}

static int posix_read_at(struct vv_file *base, uint64_t offset, void *into, size_t want,
                         size_t *got)
{
    struct posix_file *file = posix_file_of(base);
    uint8_t *to = into;
    size_t done = 0;
    while (done < want) {
        ssize_t n = pread(file->fd, to + done, want - done, (off_t)(offset + done));
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return vv_posix_fail(errno, "read", file->path);
    }
    *got = done;
    return VV_OK;
}

/* Where a write stands: the part, and the bytes of it that are written. */
struct progress {
    size_t index;
    size_t skip;
};

/* Fills `vecs` with what is left, passing over empty parts, and returns how many were needed. */
static int vecs_fill(struct iovec *vecs, const vv_slice *parts, size_t count, struct progress at)
{
    int used = 0;
    for (size_t i = at.index; i < count && used < PARTS_A_CALL; i++) {
        size_t skip = i == at.index ? at.skip : 0;
        if (parts[i].size == skip)
            continue;
        /* writev takes memory it promises not to change as if it might. */
        vecs[used].iov_base = (void *)(uintptr_t)(parts[i].data + skip);
        vecs[used].iov_len = parts[i].size - skip;
        used++;
    }
    return used;
}

static struct progress advance(const vv_slice *parts, size_t count, struct progress at,
                               size_t written)
{
    while (at.index < count && written >= parts[at.index].size - at.skip) {
        written -= parts[at.index].size - at.skip;
        at = (struct progress){.index = at.index + 1, .skip = 0};
    }
    at.skip += written;
    return at;
}

static int posix_write_at(struct vv_file *base, uint64_t offset, const vv_slice *parts,
                          size_t count)
{
    struct posix_file *file = posix_file_of(base);
    struct iovec vecs[PARTS_A_CALL];
    struct progress at = {0, 0};
    int used;
    while ((used = vecs_fill(vecs, parts, count, at)) > 0) {
        ssize_t n = pwritev(file->fd, vecs, used, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vv_posix_fail(errno, "write", file->path);
        if (n == 0) /* else a device that takes nothing would hold us for ever */
            return vv_fail(VV_IO, "write %s: the system wrote nothing", file->path);
        offset += (uint64_t)n;
        at = advance(parts, count, at, (size_t)n);
    }
    return VV_OK;
}

static int posix_sync(struct vv_file *base)
{
    struct posix_file *file = posix_file_of(base);
    int rc;
    /* The size is included, as reading back needs it; times are not. Being interrupted reports no
     * lost write, so waiting again is no retry of a failed sync. */
    do
        rc = fdatasync(file->fd);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? vv_posix_fail(errno, "sync", file->path) : VV_OK;
}

static int posix_truncate(struct vv_file *base, uint64_t size_bytes)
{
    struct posix_file *file = posix_file_of(base);
    int rc;
    do
        rc = ftruncate(file->fd, (off_t)size_bytes);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? vv_posix_fail(errno, "truncate", file->path) : VV_OK;
}

static int posix_size(struct vv_file *base, uint64_t *out)
{
    struct posix_file *file = posix_file_of(base);
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return vv_posix_fail(errno, "stat", file->path);
    *out = (uint64_t)st.st_size;
    return VV_OK;
}

static void posix_push(struct vv_file *base, uint64_t offset, uint64_t size_bytes)
{
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(posix_file_of(base)->fd, (off_t)offset, (off_t)size_bytes,
                          SYNC_FILE_RANGE_WRITE);
#endif
}

static void posix_forget(struct vv_file *base, uint64_t offset, uint64_t size_bytes)
{
    (void)posix_fadvise(posix_file_of(base)->fd, (off_t)offset, (off_t)size_bytes,
                        POSIX_FADV_DONTNEED);
}

static int posix_map(struct vv_file *base, size_t size_bytes, const uint8_t **out)
{
    struct posix_file *file = posix_file_of(base);
    void *map = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, file->fd, 0);
    if (map != MAP_FAILED) {
        *out = map;
        return VV_OK;
    }
    if (errno == ENODEV)
        return vv_fail(VV_UNSUPPORTED, "map %s: its file system cannot", file->path);
    return vv_posix_fail(errno, "map", file->path);
}

static void posix_unmap(struct vv_file *file, const uint8_t *map, size_t size_bytes)
{
    (void)file;
    int rc = munmap((void *)(uintptr_t)map, size_bytes);
    vv_assert(rc == 0);
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    vv_assert(rc == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t posix_now_us(struct vv_env *env)
{
    (void)env;
    return clock_us(CLOCK_MONOTONIC);
}

static uint64_t posix_wall_us(struct vv_env *env)
{
    (void)env;
    return clock_us(CLOCK_REALTIME);
}

static void posix_sleep_us(struct vv_env *env, uint64_t us)
{
    uint64_t until_us = posix_now_us(env) + (us < SLEEP_US_MAX ? us : SLEEP_US_MAX);
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

static int posix_random(struct vv_env *env, void *into, size_t size_bytes)
{
    (void)env;
    uint8_t *to = into;
    while (size_bytes > 0) {
        ssize_t n = getrandom(to, size_bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vv_fail(VV_IO, "get random bytes: %s", strerror(errno));
        to += n;
        size_bytes -= (size_t)n;
    }
    return VV_OK;
}

struct vv_env *vv_env_posix(void)
{
    static const struct vv_env_ops ops = {
        .open = posix_open,
        .close = posix_close,
        .read_at = posix_read_at,
        .write_at = posix_write_at,
        .sync = posix_sync,
        .truncate = posix_truncate,
        .size = posix_size,
        .push = posix_push,
        .forget = posix_forget,
        .map = posix_map,
        .unmap = posix_unmap,
        .sync_dir = vv_posix_sync_dir,
        .make_dir = vv_posix_make_dir,
        .remove_dir = vv_posix_remove_dir,
        .rename = vv_posix_rename,
        .link = vv_posix_link,
        .remove = vv_posix_remove,
        .info = vv_posix_info,
        .list = vv_posix_list,
        .lock = vv_posix_lock,
        .unlock = vv_posix_unlock,
        .now_us = posix_now_us,
        .wall_us = posix_wall_us,
        .sleep_us = posix_sleep_us,
        .random = posix_random,
        .facts = vv_posix_facts,
    };
    static struct vv_env env = {.ops = &ops}; /* never written to */
    return &env;
}
