/*
 * The operating system's world: locks.
 *
 * A lock is an open-file-description lock. It conflicts with every other open of the file, in this
 * process too, so no table of our own is needed to refuse a second handle; closing some other
 * descriptor of the file does not drop it, as it would a classic fcntl lock; and the kernel drops it
 * when the process dies. The file's content and existence say nothing, so it is never deleted.
 *
 * Its one weakness is fork: the child shares the description and would keep the lock alive after
 * its parent. Hence the list below: the child closes its copies first thing. Closing, unlike
 * unlocking, leaves the lock with the parent.
 */
#include "env/posix_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

struct posix_lock {
    struct vv_lock base;
    struct posix_lock *next;
    pid_t owner;
    int fd; /* -1 in a forked child */
};

/* A property of the process, as fork is; no rank, because fork takes it whatever else is held and
 * nothing is taken inside. It protects the list, and opening as well: no descriptor may exist
 * outside the list while somebody forks. */
static pthread_mutex_t held_mu = PTHREAD_MUTEX_INITIALIZER;
static struct posix_lock *held;

static void held_mu_lock(void)
{
    int rc = pthread_mutex_lock(&held_mu);
    vv_assert(rc == 0);
}

static void held_mu_unlock(void)
{
    int rc = pthread_mutex_unlock(&held_mu);
    vv_assert(rc == 0);
}

static void forget_all_in_child(void)
{
    for (struct posix_lock *lock = held; lock != NULL; lock = lock->next) {
        (void)close(lock->fd);
        lock->fd = -1;
    }
    held = NULL;
    held_mu_unlock();
}

static void watch_forks(void)
{
    int rc = pthread_atfork(held_mu_lock, held_mu_unlock, forget_all_in_child);
    vv_assert(rc == 0);
}

static int lock_open(const char *path, int *out)
{
    /* Not through a link: the lock must be on the file that stands in the store's directory. */
    int fd = vv_posix_open_fd(path, O_RDWR | O_CREAT | O_NOFOLLOW, VV_POSIX_FILE_BITS);
    if (fd < 0)
        return vv_posix_fail(-fd, "open lock", path);
    struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc;
    do
        rc = fcntl(fd, F_OFD_SETLK, &whole_file);
    while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        *out = fd;
        return VV_OK;
    }
    if (errno == EAGAIN || errno == EACCES)
        rc = vv_fail(VV_LOCKED, "lock %s: another handle or process holds it", path);
    else
        rc = vv_posix_fail(errno, "lock", path);
    (void)close(fd);
    return rc;
}

int vv_posix_lock(struct vv_env *env, const char *path, struct vv_lock **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = pthread_once(&once, watch_forks);
    vv_assert(rc == 0);
    struct posix_lock *lock = vv_alloc_zero(sizeof *lock);
    if (lock == NULL)
        return VV_NOMEM;
    lock->base.env = env;
    lock->owner = getpid();
    held_mu_lock();
    rc = lock_open(path, &lock->fd);
    if (rc == VV_OK) {
        lock->next = held;
        held = lock;
    }
    held_mu_unlock();
    if (rc < 0) {
        vv_free(lock);
        return rc;
    }
    *out = &lock->base;
    return VV_OK;
}

void vv_posix_unlock(struct vv_lock *base)
{
    struct posix_lock *lock = (struct posix_lock *)(void *)base;
    held_mu_lock();
    for (struct posix_lock **at = &held; *at != NULL; at = &(*at)->next) {
        if (*at == lock) {
            *at = lock->next;
            break;
        }
    }
    if (lock->fd >= 0) {
        /* Explicitly, since a child made behind the back of pthread_atfork shares the description;
         * but never in such a child, where it would take the lock away from the parent. */
        struct flock whole_file = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        if (lock->owner == getpid())
            (void)fcntl(lock->fd, F_OFD_SETLK, &whole_file);
        (void)close(lock->fd);
    }
    held_mu_unlock();
    vv_free(lock);
}
