/*
 * The operating system's world: names and directories.
 */
#include "env/posix_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int vv_posix_sync_dir(struct vv_env *env, const char *path)
{
    (void)env;
    int fd = vv_posix_open_fd(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return vv_posix_fail(-fd, "open directory", path);
    int rc;
    do
        rc = fsync(fd);
    while (rc < 0 && errno == EINTR);
    int number = rc < 0 ? errno : 0;
    (void)close(fd);
    /* Some file systems have no such call for directories, and nothing better to offer. */
    if (number == 0 || number == EINVAL)
        return VV_OK;
    return vv_posix_fail(number, "sync directory", path);
}

int vv_posix_make_dir(struct vv_env *env, const char *path)
{
    (void)env;
    if (mkdir(path, VV_POSIX_DIR_BITS) == 0)
        return VV_OK;
    if (errno == EEXIST)
        return vv_fail(VV_EXISTS, "make directory %s: it exists already", path);
    return vv_posix_fail(errno, "make directory", path);
}

int vv_posix_remove_dir(struct vv_env *env, const char *path)
{
    (void)env;
    if (rmdir(path) == 0)
        return VV_OK;
    return errno == ENOENT ? VV_NOTFOUND : vv_posix_fail(errno, "remove directory", path);
}

int vv_posix_rename(struct vv_env *env, const char *from, const char *to)
{
    (void)env;
    if (rename(from, to) == 0)
        return VV_OK;
    int rc = vv_posix_fail(errno, "to", to);
    return vv_fail_in(rc, "rename %s", from);
}

/* Reasons for which a copy may still work; a file of another user that may not be linked is one. */
static bool wants_copy(int number)
{
    return number == EXDEV || number == EPERM || number == EMLINK || number == EOPNOTSUPP ||
           number == ENOSYS;
}

int vv_posix_link(struct vv_env *env, const char *from, const char *to)
{
    (void)env;
    struct stat st;
    if (link(from, to) == 0)
        return VV_OK;
    int number = errno;
    if (number == EEXIST)
        return vv_fail(VV_EXISTS, "link %s: it exists already", to);
    if (number == ENOENT && stat(from, &st) < 0 && errno == ENOENT)
        return VV_NOTFOUND;
    if (wants_copy(number))
        return vv_fail(VV_UNSUPPORTED, "link %s to %s: the system does not do it", from, to);
    int rc = vv_posix_fail(number, "to", to);
    return vv_fail_in(rc, "link %s", from);
}

int vv_posix_remove(struct vv_env *env, const char *path)
{
    (void)env;
    if (unlink(path) == 0)
        return VV_OK;
    return errno == ENOENT ? VV_NOTFOUND : vv_posix_fail(errno, "remove", path);
}

int vv_posix_info(struct vv_env *env, const char *path, struct vv_path_info *out)
{
    (void)env;
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? VV_NOTFOUND : vv_posix_fail(errno, "stat", path);
    struct vv_path_info info = {.kind = VV_PATH_OTHER};
    if (S_ISDIR(st.st_mode))
        info.kind = VV_PATH_DIR;
    if (S_ISREG(st.st_mode)) {
        info.kind = VV_PATH_FILE;
        info.size_bytes = (uint64_t)st.st_size;
        info.used_bytes = (uint64_t)st.st_blocks * 512; /* the unit, whatever the block size */
    }
    *out = info;
    return VV_OK;
}

static int names_read(DIR *dir, const char *path, struct vv_buf *names)
{
    for (;;) {
        errno = 0; /* the only way to tell the end from a failure */
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 ? VV_OK : vv_posix_fail(errno, "list", path);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int rc = vv_buf_append(names, entry->d_name, strlen(entry->d_name) + 1);
        if (rc < 0)
            return rc;
    }
}

int vv_posix_list(struct vv_env *env, const char *path, struct vv_buf *names)
{
    (void)env;
    int fd = vv_posix_open_fd(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT)
        return VV_NOTFOUND;
    if (fd < 0)
        return vv_posix_fail(-fd, "list", path);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int rc = vv_posix_fail(errno, "list", path);
        (void)close(fd);
        return rc;
    }
    int rc = names_read(dir, path, names);
    (void)closedir(dir);
    return rc;
}
