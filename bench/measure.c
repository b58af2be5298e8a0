#include "measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_ns_a_tick(void)
{
    double begun = bench_seconds(), ended;
    uint64_t ticks = bench_ticks();
    do
        ended = bench_seconds();
    while (ended - begun < 0.02);
    return (ended - begun) * 1e9 / (double)(bench_ticks() - ticks);
}

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from)
{
    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->count += from->count;
    if (from->max > into->max)
        into->max = from->max;
}

double bench_histogram_percentile(const struct bench_histogram *h, double percent)
{
    double wanted = (double)h->count * percent / 100;
    uint64_t seen = 0;

    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if ((double)seen < wanted || seen == 0)
            continue;
        if (i < 64)
            return (double)i;
        size_t shift = (i >> 5) - 1;
        double middle = ((double)(i - (shift << 5)) + 0.5) * (double)((uint64_t)1 << shift);
        return middle < (double)h->max ? middle : (double)h->max;
    }
    return (double)h->max;
}

/* The number after `name` in a file of "name: number" lines under /proc; 0 if there is none. */
static uint64_t proc_number(const char *path, const char *name)
{
    char text[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return 0;
    text[size] = 0;
    const char *found = strstr(text, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

struct bench_usage bench_usage_now(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (struct bench_usage){
        .cpu_seconds = (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
                       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6,
        .written_bytes = proc_number("/proc/self/io", "\nwrite_bytes:"),
    };
}

void bench_memory_restart(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "5", 1) != 1)
        perror("bench: the peak of memory cannot be restarted");
    close(fd);
}

struct bench_memory bench_memory_now(void)
{
    return (struct bench_memory){
        .peak_bytes = proc_number("/proc/self/status", "\nVmHWM:") << 10,
        .own_bytes = proc_number("/proc/self/status", "\nRssAnon:") << 10,
    };
}

uint64_t bench_disk_bytes(const char *dir)
{
    uint64_t bytes = 0;
    struct dirent *entry;
    DIR *open_dir = opendir(dir);

    if (!open_dir)
        return 0;
    while ((entry = readdir(open_dir)) != NULL) {
        char path[4096];
        struct stat facts;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (lstat(path, &facts) != 0)
            continue; /* deleted meanwhile */
        bytes += (uint64_t)facts.st_blocks * 512;
        if (S_ISDIR(facts.st_mode))
            bytes += bench_disk_bytes(path);
    }
    closedir(open_dir);
    return bytes;
}

double bench_wait_idle(double limit)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    double begun = bench_seconds(), busy_last = begun;
    struct bench_usage before = bench_usage_now();

    for (;;) {
        nanosleep(&pause, NULL);
        struct bench_usage now = bench_usage_now();
        double at = bench_seconds();
        if (now.cpu_seconds - before.cpu_seconds > 0.002 ||
            now.written_bytes - before.written_bytes > 65536)
            busy_last = at;
        if (at - busy_last >= 0.1 || at - begun > limit)
            return busy_last - begun;
        before = now;
    }
}
