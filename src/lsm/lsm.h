/*
 * The LSM engine: the ordered engine behind kv/engine.h.
 */
#ifndef VV_LSM_LSM_H
#define VV_LSM_LSM_H

#include "env/env.h"
#include "kv/engine.h"
#include "kv/order.h"
#include "sst/table.h"

enum vv_lsm_log_mode {
    VV_LSM_LOG_ON,      /* the normal case */
    VV_LSM_LOG_RECYCLE, /* for stores that sync every commit: logs are written in advance and reused */
    VV_LSM_LOG_OFF,     /* durability `none` */
};

/* Zero means default. Tests shrink everything. */
struct vv_lsm_tuning {
    uint64_t memtable_bytes; /* budget / 8, 256 KiB to 256 MiB */
    uint32_t memtable_count; /* active and frozen together at most: 3 */
    uint32_t block_bytes;
    uint64_t table_bytes;      /* 32 MiB */
    uint64_t base_level_bytes; /* 64 MiB */
    uint32_t level_ratio;      /* 10 */
    uint32_t l0_runs;          /* 4 */
    uint64_t value_file_bytes; /* 256 MiB */
    uint64_t step_bytes;       /* output of one step of a job: 1 MiB */
    uint64_t spare_bytes;      /* size of a log written in advance */
    uint64_t manifest_bytes;   /* rewrite the MANIFEST above this: 4 MiB */
};

struct vv_lsm_options {
    struct vv_env *env; /* these five live longer than the engine */
    const char *path;
    const struct vv_order *order;
    struct vv_account *account;
    const struct vv_host *host;
    bool create;   /* make a new store in the (existing, empty) directory */
    bool readonly; /* write nothing */
    enum vv_lsm_log_mode log_mode;
    uint64_t memory_budget;
    enum vv_codec upper_codec; /* from level 2 down */
    enum vv_codec last_codec;  /* of the last level */
    uint32_t value_log_min;    /* bytes; UINT32_MAX: no value log */
    uint64_t changes_keep;     /* bytes of logs to keep beyond what recovery needs */
    struct vv_lsm_tuning tuning;
};

/* Opens the store in the directory, recovering what a crash left. *seq is the last sequence of the
 * recovered state. The caller holds the store's lock (unless readonly). VV_MISSING when there is no
 * MANIFEST and `create` is not set, VV_BUSY when a writer retires its logs faster than a reader can
 * read them. Failures change nothing on disk. */
VV_MUST int vv_lsm_open(const struct vv_lsm_options *options, struct vv_engine **out, vv_seq *seq);

/* Shows the notes of a store that need not be open, by id. A result of `visit` other than 0 ends it
 * and is returned. */
VV_MUST int vv_lsm_notes(struct vv_env *env, const char *path,
                         int (*visit)(void *context, const struct vv_note *note), void *context);

/* Makes a store of the files of a moment (kv/engine.h), which lie durably in the directory under their
 * names. It has a UUID of its own, so that neither it nor anything that it writes is ever taken for
 * the store that it was made from. Durable when it returns. */
VV_MUST int vv_lsm_establish(struct vv_env *env, const char *path, vv_slice state);

/* What a directory holds, by its names; where they are ambiguous, by CURRENT. */
enum vv_lsm_found {
    VV_LSM_FOUND_NOTHING, /* no such directory, or empty (a lock file does not count) */
    VV_LSM_FOUND_STORE,
    VV_LSM_FOUND_UNFINISHED, /* a copy of a store that was not made to its end */
    VV_LSM_FOUND_FOREIGN,    /* other things, and no store */
    VV_LSM_FOUND_LEVELDB,    /* a store of LevelDB or RocksDB, whose files have names like ours */
};
VV_MUST int vv_lsm_probe(struct vv_env *env, const char *path, enum vv_lsm_found *out);

/* Whether a file of this name in a store's directory is the store's own (for destroying it). */
bool vv_lsm_owns(const char *name);

struct vv_lsm_stats {
    uint64_t disk_bytes, table_bytes, value_log_bytes, value_log_garbage_bytes, log_bytes;
    uint64_t entries, tombstones, raw_bytes; /* sums over tables and memtables */
    uint64_t live_bytes_estimate, keys_estimate;
    uint64_t log_bytes_written, flush_bytes_written, compaction_bytes_read,
        compaction_bytes_written, value_log_bytes_written;
    uint64_t syncs, flushes, compactions, trivial_moves, value_log_collections;
    uint64_t filter_skips, table_reads, cache_hits, cache_misses;
    uint64_t debt_bytes;
    uint64_t level_files[7], level_bytes[7], l0_runs;
    uint8_t uuid[16];
};
void vv_lsm_get_stats(struct vv_engine *e, struct vv_lsm_stats *out);

/* Appends text: "levels" a table of levels, "files" one line a file. VV_NOTFOUND for other names. */
VV_MUST int vv_lsm_describe(struct vv_engine *e, const char *what, struct vv_buf *out);

/* Rebuilds a usable store from what verifies (see varve_repair). The caller holds the lock. */
VV_MUST int vv_lsm_repair(const struct vv_lsm_options *options,
                          void (*report)(void *context, const char *line), void *context);

#endif
