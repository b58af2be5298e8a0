/*
 * The operating system's world: what the machine offers this process.
 *
 * In a container the machine's memory is a lie; the truth is in the control group and all above it.
 * /proc/self/cgroup names the group in lines "number:controllers:path": number 0 is version 2, where
 * the limit is memory.max; a line with controller "memory" is version 1 and memory.limit_in_bytes.
 */
#include "env/posix_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { GROUPS_SIZE_MAX = 16 << 10, NUMBER_SIZE_MAX = 32 };

/* Assumed where the system does not say. */
enum { FILES_WHEN_UNKNOWN = 1024 };
#define MEMORY_WHEN_UNKNOWN ((uint64_t)1 << 30)

/* The text of a small file, ended by a NUL; "" when it cannot be had. */
static void text_read(const char *path, char *into, size_t size_bytes)
{
    size_t done = 0;
    int fd = vv_posix_open_fd(path, O_RDONLY, 0);
    while (fd >= 0 && done < size_bytes - 1) {
        ssize_t n = read(fd, into + done, size_bytes - 1 - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    into[done] = 0;
    if (fd >= 0)
        (void)close(fd);
}

/* The decimal number a text begins with; `otherwise` for "max" and other words. */
static uint64_t number_of(const char *text, uint64_t otherwise)
{
    uint64_t value = 0;
    if (*text < '0' || *text > '9')
        return otherwise;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return UINT64_MAX;
        value = value * 10 + digit;
    }
    return value;
}

/* The smallest limit in the group `group` ("/a/b") and those above it. */
static uint64_t group_limit(const char *mount, const char *group, const char *limit_name)
{
    uint64_t limit = UINT64_MAX;
    int length = (int)strnlen(group, PATH_MAX);
    for (;;) {
        char path[PATH_MAX];
        char text[NUMBER_SIZE_MAX];
        int n = snprintf(path, sizeof path, "%s%.*s/%s", mount, length, group, limit_name);
        if (n > 0 && (size_t)n < sizeof path) {
            text_read(path, text, sizeof text);
            uint64_t here = number_of(text, UINT64_MAX);
            limit = here < limit ? here : limit;
        }
        if (length <= 0)
            return limit;
        do
            length--;
        while (length > 0 && group[length] != '/');
    }
}

static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, size) == 0 && (at[size] == 0 || at[size] == ','))
            return true;
    }
    return false;
}

static uint64_t group_memory_bytes(void)
{
    char groups[GROUPS_SIZE_MAX];
    uint64_t limit = UINT64_MAX;
    char *rest = groups;
    char *line;
    text_read("/proc/self/cgroup", groups, sizeof groups);
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *number = strsep(&line, ":");
        char *controllers = strsep(&line, ":");
        if (line == NULL)
            continue;
        uint64_t here = UINT64_MAX;
        if (strcmp(number, "0") == 0 && controllers[0] == 0)
            here = group_limit("/sys/fs/cgroup", line, "memory.max");
        else if (has_word(controllers, "memory"))
            here = group_limit("/sys/fs/cgroup/memory", line, "memory.limit_in_bytes");
        limit = here < limit ? here : limit;
    }
    return limit;
}

static uint64_t machine_memory_bytes(void)
{
    struct sysinfo machine;
    if (sysinfo(&machine) < 0)
        return MEMORY_WHEN_UNKNOWN;
    return (uint64_t)machine.totalram * machine.mem_unit;
}

static uint32_t cpu_count(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 0)
        return (uint32_t)CPU_COUNT(&cpus);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more of them than a cpu_set_t holds */
    return online > 0 ? (uint32_t)online : 1;
}

static uint32_t file_count_max(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return FILES_WHEN_UNKNOWN;
    return files.rlim_cur < UINT32_MAX ? (uint32_t)files.rlim_cur : UINT32_MAX;
}

void vv_posix_facts(struct vv_env *env, struct vv_env_facts *out)
{
    (void)env;
    uint64_t machine = machine_memory_bytes();
    uint64_t group = group_memory_bytes();
    *out = (struct vv_env_facts){
        .memory_bytes = group < machine ? group : machine,
        .cpu_count = cpu_count(),
        .file_count_max = file_count_max(),
    };
}
