/*
 * Each constant is the best of a few rounds: what the machine can do when nothing else disturbs it.
 * Symbols are those of the cost model. Memory that is meant to be cold is 256 MiB large.
 */
#include "calibrate.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#ifdef VV_HAVE_LZ4
#include <lz4.h>
#endif

#include "engine.h"
#include "measure.h"
#include "record.h"

enum { ROUNDS = 5, COLD = 256 << 20, WARM = 1 << 20, CHASE = COLD / 64, BLOCK = 4096 };

/* What the probes work on. */
struct ground {
    unsigned char *from, *to; /* COLD bytes each */
    uint64_t *chain;          /* a word a cache line, each the index of the next */
    int fd;
    struct bench_records records;
    uint64_t sink; /* results go here, so that no compiler leaves work out */
    size_t packed_size;
};

/* A probe does its thing so often, and counts one unit for each. */
struct probe {
    const char *symbol, *what, *unit;
    double (*run)(struct ground *g); /* in seconds; *count operations */
    double count;
    double scale; /* from seconds an operation to the unit; 0: operations a second, over 1e9 */
};

static double since(double begun)
{
    return bench_seconds() - begun;
}

static double copy_cold(struct ground *g)
{
    double begun = bench_seconds();
    memcpy(g->to, g->from, COLD);
    return since(begun);
}

static double copy_warm(struct ground *g)
{
    double begun = bench_seconds();
    for (int i = 0; i < 256; i++) {
        memcpy(g->to, g->from, WARM / 2);
        atomic_signal_fence(memory_order_seq_cst);
    }
    return since(begun);
}

static double chase(struct ground *g)
{
    double begun = bench_seconds();
    uint64_t at = 0;
    for (int i = 0; i < 1000000; i++)
        at = g->chain[at * 8];
    g->sink += at;
    return since(begun);
}

/* Ten chains at once: what one more miss costs while others are under way. */
static double chase_many(struct ground *g)
{
    uint64_t at[10];
    for (uint64_t i = 0; i < 10; i++)
        at[i] = i * (CHASE / 10);
    double begun = bench_seconds();
    for (int i = 0; i < 100000; i++)
        for (int j = 0; j < 10; j++)
            at[j] = g->chain[at[j] * 8];
    for (int j = 0; j < 10; j++)
        g->sink += at[j];
    return since(begun);
}

static double add_atomically(struct ground *g)
{
    _Atomic(uint64_t) count = 0;
    double begun = bench_seconds();
    for (int i = 0; i < 1000000; i++)
        atomic_fetch_add(&count, 1);
    g->sink += count;
    return since(begun);
}

static double lock_mutex(struct ground *g)
{
    pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
    double begun = bench_seconds();
    for (int i = 0; i < 1000000; i++) {
        pthread_mutex_lock(&mu);
        g->sink++;
        pthread_mutex_unlock(&mu);
    }
    return since(begun);
}

static double call_system(struct ground *g)
{
    double begun = bench_seconds();
    for (int i = 0; i < 100000; i++)
        g->sink += (uint64_t)syscall(SYS_getppid);
    return since(begun);
}

static double write_small(struct ground *g)
{
    double begun;
    if (ftruncate(g->fd, 0) != 0)
        return 0;
    begun = bench_seconds();
    for (off_t i = 0; i < 20000; i++)
        if (pwrite(g->fd, g->from, 128, i * 128) != 128)
            return 0;
    return since(begun);
}

static double read_page(struct ground *g)
{
    double begun = bench_seconds();
    for (off_t i = 0; i < 20000; i++)
        if (pread(g->fd, g->to, BLOCK, i * 7919 % 600 * BLOCK) != BLOCK)
            return 0;
    return since(begun);
}

static double sync_append(struct ground *g)
{
    off_t end = lseek(g->fd, 0, SEEK_END);
    double begun = bench_seconds();
    for (off_t i = 0; i < 200; i++)
        if (pwrite(g->fd, g->from, 128, end + i * 128) != 128 || fdatasync(g->fd) != 0)
            return 0;
    return since(begun);
}

static double sync_in_place(struct ground *g)
{
    double begun = bench_seconds();
    for (off_t i = 0; i < 200; i++)
        if (pwrite(g->fd, g->from, 128, i * 128) != 128 || fdatasync(g->fd) != 0)
            return 0;
    return since(begun);
}

static double hash_record(struct ground *g)
{
    double begun = bench_seconds();
    for (size_t i = 0; i < 1000000; i++)
        g->sink += XXH3_64bits(g->from + i % 4096, 116);
    return since(begun);
}

static double hash_key(struct ground *g)
{
    double begun = bench_seconds();
    for (size_t i = 0; i < 1000000; i++)
        g->sink += XXH3_64bits(g->from + i % 4096, 16);
    return since(begun);
}

static double hash_block(struct ground *g)
{
    double begun = bench_seconds();
    for (size_t i = 0; i < 10000; i++)
        g->sink += XXH3_64bits(g->from + i % 64 * BLOCK, BLOCK);
    return since(begun);
}

#ifdef VV_HAVE_LZ4
static double pack(struct ground *g)
{
    double begun = bench_seconds();
    for (size_t i = 0; i < 2000; i++) {
        int size = LZ4_compress_default((const char *)g->from + i % 64 * BLOCK,
                                        (char *)g->to + i % 64 * (BLOCK + 256), BLOCK, BLOCK + 256);
        g->packed_size = (size_t)size;
    }
    return since(begun);
}

static double unpack(struct ground *g)
{
    char *packed = (char *)g->to, *out = packed + WARM;
    int size = LZ4_compress_default((const char *)g->from, packed, BLOCK, BLOCK + 256);
    double begun = bench_seconds();
    for (int i = 0; i < 20000; i++)
        g->sink += (uint64_t)LZ4_decompress_safe(packed, out, size, BLOCK);
    return since(begun);
}
#endif

static double look_at_clock(struct ground *g)
{
    double begun = bench_seconds();
    for (int i = 0; i < 1000000; i++)
        g->sink += bench_ticks();
    return since(begun);
}

static double make_record(struct ground *g)
{
    double begun = bench_seconds();
    for (uint64_t i = 0; i < 1000000; i++) {
        uint64_t rank = bench_shuffle(&g->records, i);
        bench_key_present(&g->records, rank, g->to);
        bench_value_make(&g->records, rank, 1, g->to + 16);
        g->sink += g->to[17];
    }
    return since(begun);
}

static double check_record(struct ground *g)
{
    bench_value_make(&g->records, 77, 1, g->to + 16);
    double begun = bench_seconds();
    for (uint64_t i = 0; i < 1000000; i++) {
        bench_key_present(&g->records, i, g->to);
        g->sink += (uint64_t)bench_value_check(&g->records, 77, 1, g->to + 16, 100);
    }
    return since(begun);
}

static const struct probe probes[] = {
    {"B", "copy 256 MiB", "GB/s", copy_cold, COLD, 0},
    {"", "copy 512 KiB again and again", "GB/s", copy_warm, 256.0 * WARM / 2, 0},
    {"M", "dependent miss in 256 MiB", "ns", chase, 1e6, 1e9},
    {"p", "one more independent miss, ten under way", "ns", chase_many, 1e6, 1e9},
    {"at", "atomic add, own line", "ns", add_atomically, 1e6, 1e9},
    {"", "mutex locked and unlocked", "ns", lock_mutex, 1e6, 1e9},
    {"sys", "empty system call", "ns", call_system, 1e5, 1e9},
    {"W0", "pwrite 128 B, growing file", "ns", write_small, 2e4, 1e9},
    {"R0", "pread 4 KiB from the page cache", "ns", read_page, 2e4, 1e9},
    {"F", "pwrite 128 B + fdatasync, growing file", "us", sync_append, 200, 1e6},
    {"F'", "pwrite 128 B + fdatasync, in place", "us", sync_in_place, 200, 1e6},
    {"h", "XXH3 of 16 B", "ns", hash_key, 1e6, 1e9},
    {"", "XXH3 of 116 B", "ns", hash_record, 1e6, 1e9},
    {"", "XXH3 of 4 KiB", "GB/s", hash_block, 1e4 * BLOCK, 0},
#ifdef VV_HAVE_LZ4
    {"lz4", "compress 4 KiB", "GB/s", pack, 2e3 * BLOCK, 0},
    {"", "decompress 4 KiB", "GB/s", unpack, 2e4 * BLOCK, 0},
#endif
    {"", "this bench: one look at its clock", "ns", look_at_clock, 1e6, 1e9},
    {"", "this bench: make a key and a 100 B value", "ns", make_record, 1e6, 1e9},
    {"", "this bench: verify a key and a 100 B value", "ns", check_record, 1e6, 1e9},
};

/* One cycle through all lines, in random order. */
static void link_chain(uint64_t *chain)
{
    uint64_t random = 1;
    for (uint64_t i = 0; i < CHASE; i++)
        chain[i * 8] = i;
    for (uint64_t i = CHASE - 1; i > 0; i--) {
        uint64_t j = bench_random_below(&random, i), kept = chain[i * 8];
        chain[i * 8] = chain[j * 8];
        chain[j * 8] = kept;
    }
}

static int ground_init(struct ground *g, const char *dir)
{
    char path[512];

    snprintf(path, sizeof path, "%s/calibrate", dir);
    g->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    g->from = malloc(COLD);
    g->to = malloc(COLD);
    g->chain = malloc(COLD);
    if (g->fd < 0 || !g->from || !g->to || !g->chain ||
        bench_records_init(&g->records, 1000000, 100, BENCH_KEYS_DECIMAL) < 0)
        return -1;
    memset(g->to, 1, COLD);
    for (size_t i = 0; i < COLD; i += 1 << 16)
        memcpy(g->from + i, g->records.material + i % ((size_t)1 << 17), 1 << 16);
    link_chain(g->chain);
    return 0;
}

static void ground_deinit(struct ground *g)
{
    free(g->from);
    free(g->to);
    free(g->chain);
    bench_records_deinit(&g->records);
    if (g->fd >= 0)
        close(g->fd);
}

static double best_of(const struct probe *probe, struct ground *g)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double took = probe->run(g);
        if (took > 0 && (best <= 0 || took < best))
            best = took;
    }
    if (probe->scale > 0)
        return best / probe->count * probe->scale;
    return best > 0 ? probe->count / best / 1e9 : 0;
}

int bench_calibrate(const char *dir, bool json)
{
    struct ground g = {.fd = -1};
    int rc = ground_init(&g, dir);

    if (rc < 0)
        bench_complain("no memory or no file in %s", dir);
    for (size_t i = 0; i < sizeof probes / sizeof *probes && rc == 0; i++) {
        const struct probe *p = &probes[i];
        double best = best_of(p, &g);
        if (json)
            printf("%s{\"symbol\":\"%s\",\"what\":\"%s\",\"value\":%.4g,\"unit\":\"%s\"}",
                   i ? ",\n " : "[", p->symbol, p->what, best, p->unit);
        else
            printf("%-4s %-44s %9.4g %s\n", p->symbol, p->what, best, p->unit);
        fflush(stdout);
    }
    if (rc == 0 && json)
        printf("]\n");
    ground_deinit(&g);
    return rc;
}
