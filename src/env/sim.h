/*
 * A hostile world with a seed: everything the promises of env.h leave open, happens here.
 *
 * The world keeps a log of each mutating call (write, truncate, create, rename, remove, make or
 * remove directory, sync, directory sync). From the log it can build the image that would be left
 * if power failed right after call number n, under a persistence model: so a workload runs once,
 * and every crash point of it is examined afterwards. An image is again a simulated world, on which
 * recovery runs and may itself be cut.
 *
 * Reliable and single-threaded: the same seed and calls give the same bytes. Clocks move only by
 * vv_sim_advance, by sleeping, and by one microsecond a call.
 */
#ifndef VV_ENV_SIM_H
#define VV_ENV_SIM_H

#include "env/env.h"

/* What survives a power cut. "Pending" is what no later sync covered at the time of the cut. */
enum vv_sim_model {
    VV_SIM_SYNCED,      /* M0: only synced bytes and entries of synced directories */
    VV_SIM_ALL,         /* M1: everything: a killed process */
    VV_SIM_PREFIX,      /* M2: everything synced, and a prefix of the pending calls in order */
    VV_SIM_FILE_PREFIX, /* M3: a prefix of each file's pending calls and of each directory's, drawn
                         *     independently */
    VV_SIM_SECTORS,     /* M4: any subset of pending 512-byte sectors and directory entries */
    VV_SIM_TORN,        /* M5: as PREFIX, but the last surviving write is torn at a drawn byte (1, 7, 8,
                         *     511, 512, 4095, 4096 or any), its rest absent, zero, 0xff or stale */
    VV_SIM_MODEL_COUNT
};

/* The kinds of trouble a call can meet while the world is running. */
enum vv_sim_fault {
    VV_SIM_FAULT_NONE,
    VV_SIM_FAULT_IO,         /* VV_IO, nothing done */
    VV_SIM_FAULT_FULL,       /* VV_FULL, nothing done (creates and growing writes only) */
    VV_SIM_FAULT_SHORT,      /* VV_IO after a drawn prefix of a write was done */
    VV_SIM_FAULT_SYNC_LOST,  /* VV_IO from sync; the pending bytes can still be read but never
                              * become durable, and the next sync succeeds */
};

VV_MUST int vv_env_sim_new(uint64_t seed, struct vv_env **out);
void vv_env_sim_free(struct vv_env *env); /* all files must be closed; NULL is fine */

/* How many mutating calls the world has seen; call numbers start at 1. */
uint64_t vv_sim_call_count(const struct vv_env *env);

/* What mutating call number `n` was, as "write 000004.wal 128+512", for messages. */
void vv_sim_call_describe(const struct vv_env *env, uint64_t n, char *into, size_t size_bytes);

/* Builds the world as a power cut right after call `n` would leave it (0: before the first).
 * `choice` draws among the outcomes that the model allows. Costs time and memory in proportion to
 * the log and files. The image's locks are free, its log is empty, all its content durable. */
VV_MUST int vv_sim_image(const struct vv_env *env, uint64_t n, enum vv_sim_model model,
                         uint64_t choice, struct vv_env **out);

/* Equal for images with the same names and contents: for skipping what was examined already. */
uint64_t vv_sim_fingerprint(const struct vv_env *env);

/* From the n-th mutating call from now on (1 is the next), that call, or with `sticky` it and all
 * that follow which the fault applies to, meet `fault`. `n` = 0 heals the world. */
void vv_sim_fail_at(struct vv_env *env, uint64_t n, enum vv_sim_fault fault, bool sticky);

/* The same for the n-th read_at: it fails with VV_IO. */
void vv_sim_fail_read_at(struct vv_env *env, uint64_t n, bool sticky);

/* Bytes the simulated disk may hold; writes and creates beyond give VV_FULL. 0: no limit. */
void vv_sim_set_capacity(struct vv_env *env, uint64_t size_bytes);

void vv_sim_advance(struct vv_env *env, uint64_t us);

/* Damage, done to live and durable bytes alike and not logged: replaces the content of a file, as
 * bit rot or an operator would. VV_NOTFOUND when there is no such file. */
VV_MUST int vv_sim_read_file(struct vv_env *env, const char *path, struct vv_buf *out);
VV_MUST int vv_sim_write_file(struct vv_env *env, const char *path, vv_slice content);

#endif
