/*
 * What only the operating system's world can show: descriptors, locks between processes, refusals.
 * The promises common to all worlds are in test/contract/test_env.c.
 */
#include "env/posix.h"

#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* ---- a system that does as little as it may; ours come before the C library's */

static struct {
    size_t bytes_max; /* read or written in one call; 0: no limit */
    int error;        /* for writes and syncs; 0: none */
    bool interrupts;  /* every other call */
    uint64_t calls;
} mean;

static bool interrupted(void)
{
    bool now = mean.interrupts && mean.calls++ % 2 == 0;
    if (now)
        errno = EINTR;
    return now;
}

ssize_t pread(int fd, void *into, size_t want, off_t offset)
{
    if (interrupted())
        return -1;
    if (mean.bytes_max > 0 && want > mean.bytes_max)
        want = mean.bytes_max;
    return syscall(SYS_pread64, fd, into, want, offset);
}

ssize_t pwritev(int fd, const struct iovec *vecs, int count, off_t offset)
{
    ssize_t done = 0;
    size_t left = mean.bytes_max > 0 ? mean.bytes_max : SIZE_MAX;
    if (interrupted())
        return -1;
    if (mean.error != 0) {
        errno = mean.error;
        return -1;
    }
    for (int i = 0; i < count && left > 0; i++) {
        size_t size = vecs[i].iov_len < left ? vecs[i].iov_len : left;
        ssize_t n = syscall(SYS_pwrite64, fd, vecs[i].iov_base, size, offset + done);
        if (n < 0)
            return done > 0 ? done : -1;
        done += n;
        left -= (size_t)n;
        if ((size_t)n < vecs[i].iov_len)
            break;
    }
    return done;
}

int fdatasync(int fd)
{
    if (interrupted())
        return -1;
    mean.calls++;
    if (mean.error != 0) {
        errno = mean.error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- helpers */

struct place {
    char path[PATH_SIZE];
};

static struct place place_in(const char *dir, const char *name)
{
    struct place place;
    (void)snprintf(place.path, sizeof place.path, "%s/%s", dir, name);
    return place;
}

static int child_status(pid_t child)
{
    int status = -1;
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Exits with 0 when the lock could be had. */
static pid_t fork_locker(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        struct vv_lock *lock = NULL;
        int rc = vv_env_lock(vv_env_posix(), path, &lock);
        _exit(rc == VV_OK ? 0 : -rc);
    }
    return child;
}

/* ---- calls that do less than asked */

TEST(short_and_interrupted_calls_are_continued)
{
    enum { PART_SIZE = 37, PARTS = 10, SIZE = PART_SIZE * PARTS };
    struct vv_file *file;
    vv_slice parts[PARTS];
    uint8_t bytes[SIZE];
    uint8_t back[SIZE + 1];
    const char *dir = test_tmpdir();
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = vv_slice_of(bytes + i * PART_SIZE, PART_SIZE);
    for (size_t bytes_max = 1; bytes_max <= SIZE; bytes_max++) {
        char name[32];
        size_t got = 0;
        (void)snprintf(name, sizeof name, "data%zu", bytes_max);
        struct place place = place_in(dir, name);
        mean.bytes_max = bytes_max;
        mean.interrupts = true;
        int rc = vv_env_open(vv_env_posix(), place.path, VV_OPEN_CREATE, &file);
        rc = rc < 0 ? rc : vv_file_write_at(file, 5, parts, PARTS);
        rc = rc < 0 ? rc : vv_file_sync(file);
        rc = rc < 0 ? rc : vv_file_read_at(file, 5, back, sizeof back, &got);
        mean.bytes_max = 0;
        mean.interrupts = false;
        CHECK_OK(rc);
        CHECK_BYTES(back, got, bytes, SIZE);
        vv_file_close(file);
        if (bytes_max >= 80)
            bytes_max += 20;
    }
}

TEST(the_words_of_the_system_choose_the_code)
{
    static const struct {
        int error;
        int code;
    } pairs[] = {
        {ENOSPC, VV_FULL},      {EDQUOT, VV_FULL},      {EFBIG, VV_FULL},   {EACCES, VV_PERMISSION},
        {EPERM, VV_PERMISSION}, {EROFS, VV_PERMISSION}, {EMFILE, VV_LIMIT}, {ENFILE, VV_LIMIT},
        {ENOMEM, VV_NOMEM},     {EIO, VV_IO},           {ENOENT, VV_IO},    {ESTALE, VV_IO}};
    struct place place = place_in(test_tmpdir(), "data");
    struct vv_file *file;
    vv_slice part = vv_slice_str("x");
    CHECK_OK(vv_env_open(vv_env_posix(), place.path, VV_OPEN_CREATE, &file));
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        mean.error = pairs[i].error;
        int rc = vv_file_write_at(file, 0, &part, 1);
        mean.error = 0;
        CHECK_EQ_INT(rc, pairs[i].code);
        CHECK(strstr(vv_error_story(), strerror(pairs[i].error)) != NULL);
    }
    vv_file_close(file);
}

TEST(a_failed_sync_is_reported_and_not_tried_again)
{
    struct place place = place_in(test_tmpdir(), "data");
    struct vv_file *file;
    CHECK_OK(vv_env_open(vv_env_posix(), place.path, VV_OPEN_CREATE, &file));
    uint64_t before = mean.calls;
    mean.error = EIO;
    int rc = vv_file_sync(file);
    mean.error = 0;
    CHECK_EQ_INT(rc, VV_IO);
    CHECK_EQ_U64(mean.calls, before + 1);
    CHECK(strstr(vv_error_story(), "sync") != NULL);
    CHECK(strstr(vv_error_story(), place.path) != NULL);
    vv_file_close(file);
}

TEST(descriptors_0_to_2_are_never_used)
{
    const char *dir = test_tmpdir();
    struct vv_env *env = vv_env_posix();
    pid_t child = fork();
    if (child == 0) {
        struct vv_file *file = NULL;
        struct vv_lock *lock = NULL;
        struct stat st;
        for (int fd = 0; fd < 3; fd++)
            (void)close(fd);
        bool fine = vv_env_open(env, place_in(dir, "data").path, VV_OPEN_CREATE, &file) == VV_OK &&
                    vv_env_lock(env, place_in(dir, "lock").path, &lock) == VV_OK;
        for (int fd = 0; fd < 3; fd++)
            fine = fine && fstat(fd, &st) < 0 && errno == EBADF;
        _exit(fine ? 0 : 1);
    }
    CHECK_EQ_INT(child_status(child), 0);
}

TEST(files_and_locks_are_closed_on_exec)
{
    const char *dir = test_tmpdir();
    struct place place = place_in(dir, "data");
    struct vv_env *env = vv_env_posix();
    struct vv_file *file;
    struct vv_lock *lock;
    CHECK_OK(vv_env_open(env, place.path, VV_OPEN_CREATE, &file));
    CHECK_OK(vv_env_lock(env, place_in(dir, "lock").path, &lock));
    int found = 0;
    for (int fd = 0; fd < 256; fd++) {
        char link[64];
        char target[PATH_SIZE] = "";
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) < 0 || strncmp(target, dir, strlen(dir)) != 0)
            continue;
        CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        found++;
    }
    CHECK_EQ_INT(found, 2);
    vv_env_unlock(lock);
    vv_file_close(file);
}

TEST(a_lock_holds_against_other_processes_and_dies_with_its_own)
{
    struct place place = place_in(test_tmpdir(), "lock");
    struct vv_lock *lock;
    CHECK_OK(vv_env_lock(vv_env_posix(), place.path, &lock));
    CHECK_EQ_INT(child_status(fork_locker(place.path)), -VV_LOCKED);
    vv_env_unlock(lock);
    CHECK_EQ_INT(child_status(fork_locker(place.path)), 0);
    CHECK_OK(vv_env_lock(vv_env_posix(), place.path, &lock)); /* that process is gone */
    vv_env_unlock(lock);
}

TEST(a_lock_survives_another_descriptor_of_the_file_being_closed)
{
    struct place place = place_in(test_tmpdir(), "lock");
    struct vv_lock *lock;
    struct vv_file *file;
    CHECK_OK(vv_env_lock(vv_env_posix(), place.path, &lock));
    CHECK_OK(vv_env_open(vv_env_posix(), place.path, VV_OPEN_WRITE, &file));
    vv_file_close(file);
    CHECK_EQ_INT(child_status(fork_locker(place.path)), -VV_LOCKED);
    vv_env_unlock(lock);
}

TEST(a_forked_child_that_unlocks_leaves_the_parent_its_lock)
{
    struct place place = place_in(test_tmpdir(), "lock");
    struct vv_lock *lock;
    CHECK_OK(vv_env_lock(vv_env_posix(), place.path, &lock));
    pid_t child = fork();
    if (child == 0) {
        vv_env_unlock(lock);
        _exit(0);
    }
    CHECK_EQ_INT(child_status(child), 0);
    CHECK_EQ_INT(child_status(fork_locker(place.path)), -VV_LOCKED);
    vv_env_unlock(lock);
}

TEST(a_forked_child_does_not_hold_the_lock_of_a_dead_parent)
{
    struct place place = place_in(test_tmpdir(), "lock");
    int stay[2];
    CHECK_EQ_INT(pipe(stay), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct vv_lock *lock;
        if (vv_env_lock(vv_env_posix(), place.path, &lock) < 0)
            _exit(1);
        if (fork() == 0) { /* lives until the test closes its end */
            char byte;
            (void)close(stay[1]);
            (void)!read(stay[0], &byte, 1);
        }
        _exit(0);
    }
    CHECK_EQ_INT(child_status(parent), 0);
    struct vv_lock *lock;
    /* The grandchild may need a moment to get to its first instruction. */
    int rc = VV_LOCKED;
    for (int i = 0; i < 1000 && rc == VV_LOCKED; i++) {
        rc = vv_env_lock(vv_env_posix(), place.path, &lock);
        if (rc == VV_LOCKED)
            vv_env_sleep_us(vv_env_posix(), 1000);
    }
    CHECK_OK(rc);
    vv_env_unlock(lock);
    (void)close(stay[0]);
    (void)close(stay[1]);
}

TEST(a_program_started_by_a_dead_parent_does_not_hold_its_lock)
{
    struct place place = place_in(test_tmpdir(), "lock");
    int pid_pipe[2];
    pid_t program = 0;
    CHECK_EQ_INT(pipe(pid_pipe), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct vv_lock *lock;
        if (vv_env_lock(vv_env_posix(), place.path, &lock) < 0)
            _exit(1);
        pid_t child = 0;
        char sleep_word[] = "sleep";
        char seconds[] = "100";
        char *const words[] = {sleep_word, seconds, NULL};
        /* Spawning runs no fork handlers. */
        if (posix_spawn(&child, "/bin/sleep", NULL, NULL, words, NULL) != 0)
            _exit(1);
        _exit(write(pid_pipe[1], &child, sizeof child) == sizeof child ? 0 : 1);
    }
    CHECK_EQ_INT(child_status(parent), 0);
    CHECK_EQ_INT(read(pid_pipe[0], &program, sizeof program), sizeof program);
    struct vv_lock *lock = NULL;
    int rc = vv_env_lock(vv_env_posix(), place.path, &lock);
    bool alive = kill(program, 0) == 0;
    (void)kill(program, SIGKILL);
    CHECK_OK(rc);
    CHECK(alive);
    vv_env_unlock(lock);
    (void)close(pid_pipe[0]);
    (void)close(pid_pipe[1]);
}

TEST(a_lock_file_is_never_deleted_and_never_followed)
{
    const char *dir = test_tmpdir();
    struct place place = place_in(dir, "lock");
    struct place link = place_in(dir, "link");
    struct vv_path_info info;
    struct vv_lock *lock;
    CHECK_OK(vv_env_lock(vv_env_posix(), place.path, &lock));
    vv_env_unlock(lock);
    CHECK_OK(vv_env_info(vv_env_posix(), place.path, &info));
    CHECK_EQ_INT(symlink(place.path, link.path), 0);
    CHECK_RC(vv_env_lock(vv_env_posix(), link.path, &lock), VV_IO);
}

TEST(a_file_size_limit_is_reported_as_full)
{
    struct place place = place_in(test_tmpdir(), "data");
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
        static const uint8_t zeros[10000];
        vv_slice part = vv_slice_of(zeros, sizeof zeros);
        struct vv_file *file;
        uint64_t size = 0;
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        CHECK_OK(vv_env_open(vv_env_posix(), place.path, VV_OPEN_CREATE, &file));
        CHECK_RC(vv_file_write_at(file, 0, &part, 1), VV_FULL);
        CHECK(strstr(vv_error_story(), place.path) != NULL);
        CHECK(strstr(vv_error_story(), "write") != NULL);
        CHECK_OK(vv_file_size(file, &size));
        CHECK_EQ_U64(size, 8192); /* a prefix was written before the limit was met */
        vv_file_close(file);
        _exit(0);
    }
    CHECK_EQ_INT(child_status(child), 0);
}

TEST(a_full_device_is_reported_as_full)
{
    struct vv_file *file;
    vv_slice part = vv_slice_str("x");
    if (access("/dev/full", W_OK) < 0)
        test_skip("there is no full device");
    CHECK_OK(vv_env_open(vv_env_posix(), "/dev/full", VV_OPEN_WRITE, &file));
    CHECK_RC(vv_file_write_at(file, 0, &part, 1), VV_FULL);
    vv_file_close(file);
}

TEST(running_out_of_descriptors_is_a_limit_and_not_a_missing_file)
{
    const char *dir = test_tmpdir();
    struct place place = place_in(dir, "data");
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};
        struct vv_buf names = VV_BUF_INIT;
        struct vv_file *file;
        struct vv_lock *lock;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        CHECK_RC(vv_env_open(vv_env_posix(), place.path, VV_OPEN_READ, &file), VV_LIMIT);
        CHECK_RC(vv_env_list(vv_env_posix(), dir, &names), VV_LIMIT);
        CHECK_RC(vv_env_lock(vv_env_posix(), place.path, &lock), VV_LIMIT);
        _exit(0);
    }
    CHECK_EQ_INT(child_status(child), 0);
}

TEST(what_is_forbidden_is_a_matter_of_permission)
{
    const char *dir = test_tmpdir();
    struct place place = place_in(dir, "data");
    struct vv_file *file;
    CHECK_OK(vv_env_open(vv_env_posix(), place.path, VV_OPEN_CREATE, &file));
    vv_file_close(file);
    CHECK_EQ_INT(chmod(dir, 0755), 0);
    CHECK_EQ_INT(chmod(place.path, 0444), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) < 0)
            _exit(0);
        if (access(place.path, R_OK) < 0) /* a directory above is closed to others */
            _exit(0);
        CHECK_RC(vv_env_open(vv_env_posix(), place.path, VV_OPEN_WRITE, &file), VV_PERMISSION);
        CHECK(strstr(vv_error_story(), place.path) != NULL);
        CHECK_OK(vv_env_open(vv_env_posix(), place.path, VV_OPEN_READ, &file));
        _exit(0);
    }
    CHECK_EQ_INT(child_status(child), 0);
}

TEST(a_path_through_a_file_is_a_failure_and_not_a_missing_file)
{
    const char *dir = test_tmpdir();
    struct vv_path_info info;
    struct vv_file *file;
    CHECK_OK(vv_env_open(vv_env_posix(), place_in(dir, "data").path, VV_OPEN_CREATE, &file));
    vv_file_close(file);
    struct place beyond = place_in(dir, "data/more");
    CHECK_RC(vv_env_open(vv_env_posix(), beyond.path, VV_OPEN_READ, &file), VV_IO);
    CHECK_RC(vv_env_info(vv_env_posix(), beyond.path, &info), VV_IO);
}

TEST(opening_a_directory_as_a_file_says_so)
{
    struct vv_file *file;
    CHECK_RC(vv_env_open(vv_env_posix(), test_tmpdir(), VV_OPEN_READ, &file), VV_IO);
    CHECK(strstr(vv_error_story(), "directory") != NULL);
    CHECK_RC(vv_env_open(vv_env_posix(), test_tmpdir(), VV_OPEN_WRITE, &file), VV_IO);
    CHECK(strstr(vv_error_story(), "directory") != NULL);
}

TEST(a_pipe_is_refused_and_not_waited_for)
{
    struct place place = place_in(test_tmpdir(), "pipe");
    struct vv_file *file;
    CHECK_EQ_INT(mkfifo(place.path, 0600), 0);
    (void)alarm(10); /* ends the program that hangs */
    CHECK_RC(vv_env_open(vv_env_posix(), place.path, VV_OPEN_READ, &file), VV_IO);
    CHECK(strstr(vv_error_story(), place.path) != NULL);
    CHECK_RC(vv_env_open(vv_env_posix(), place.path, VV_OPEN_WRITE, &file), VV_IO);
    CHECK_RC(vv_env_open(vv_env_posix(), place.path, VV_OPEN_CREATE, &file), VV_EXISTS);
    (void)alarm(0);
}

TEST(facts_are_within_reason)
{
    struct vv_env_facts facts;
    struct rlimit files;
    vv_env_facts(vv_env_posix(), &facts);
    CHECK(facts.memory_bytes >= (uint64_t)1 << 20);
    CHECK(facts.memory_bytes <=
          (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
    CHECK(facts.cpu_count >= 1);
    CHECK(facts.cpu_count <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    CHECK_EQ_INT(getrlimit(RLIMIT_NOFILE, &files), 0);
    CHECK(facts.file_count_max > 0);
    CHECK(facts.file_count_max <= files.rlim_cur);
}
