/*
 * A hostile world with a seed: everything the promises of env.h leave open, happens here.
 *
 * The world keeps a log of each mutating call (write, truncate, create, rename, link, remove, make
 * or remove directory, sync, directory sync). From the log it can build the image that would be left
 * if power failed right after call number n, under a persistence model: so a workload runs once,
 * and every crash point of it is examined afterwards. An image is again a simulated world, on which
 * recovery runs and may itself be cut.
 *
 * Reliable and single-threaded: the same seed and calls give the same bytes. Clocks move only by
 * vv_sim_advance, by sleeping, and by one microsecond a call. Lists come in changing order. Files
 * cannot be mapped, so that each read is seen.
 */
#ifndef VV_ENV_SIM_H
#define VV_ENV_SIM_H

#include "env/env.h"

/*
 * What survives a power cut. "Pending" is what no later sync covered at the time of the cut; what a
 * sync covered survives in every model. Bytes and names are pending apart: a renamed file may have
 * its new name and none of its bytes.
 */
enum vv_sim_model {
    /* M0: only synced bytes, and entries of synced directories. */
    VV_SIM_SYNCED,
    /* M1: everything: a killed process. */
    VV_SIM_ALL,
    /* M2: a prefix of the pending calls, in order. */
    VV_SIM_PREFIX,
    /* M3: a prefix of each file's pending calls and of each directory's, drawn independently. */
    VV_SIM_FILE_PREFIX,
    /* M4: any subset of pending directory entries, and each 512-byte sector of a file, and its size,
     * as of a moment of its own. */
    VV_SIM_SECTORS,
    /* M5: as PREFIX, but the last surviving write is torn at a drawn byte (1, 7, 8, 511, 512, 4095,
     * 4096 or any), its rest absent, zero, 0xff or stale. */
    VV_SIM_TORN,
    VV_SIM_MODEL_COUNT
};

/* The kinds of trouble a call can meet while the world is running. */
enum vv_sim_fault {
    VV_SIM_FAULT_NONE,
    /* VV_IO, nothing done. */
    VV_SIM_FAULT_IO,
    /* VV_FULL, nothing done (creates, directories made and growing writes only). */
    VV_SIM_FAULT_FULL,
    /* VV_IO after a drawn prefix of a write was done: often all of it. */
    VV_SIM_FAULT_SHORT,
    /* VV_IO from the sync of a file; the pending bytes can still be read but never become durable,
     * and the next sync succeeds. */
    VV_SIM_FAULT_SYNC_LOST,
};

VV_MUST int vv_env_sim_new(uint64_t seed, struct vv_env **out);
void vv_env_sim_free(struct vv_env *env); /* all files must be closed; NULL is fine */

/* How many mutating calls the world has seen; call numbers start at 1. Calls that met a fault count;
 * calls that could not have worked (a missing file, a name that is taken) do not. */
uint64_t vv_sim_call_count(const struct vv_env *env);

/* What mutating call number `n` was, as "write 000004.wal 128+512", for messages. */
void vv_sim_call_describe(const struct vv_env *env, uint64_t n, char *into, size_t size_bytes);

/* Builds the world as a power cut right after call `n` would leave it (0: before the first).
 * `choice` draws among the outcomes that the model allows; for PREFIX and TORN, choices counting up
 * from 0 walk through all lengths, and all combinations of write (newest first), place and filler.
 * Costs time and memory in proportion to the log and files. The image's locks are free, its log is
 * empty, all its content durable, its disk without faults or limits, and it may outlive `env`. */
VV_MUST int vv_sim_image(const struct vv_env *env, uint64_t n, enum vv_sim_model model,
                         uint64_t choice, struct vv_env **out);

/* Equal for images with the same names and contents: for skipping what was examined already. */
uint64_t vv_sim_fingerprint(const struct vv_env *env);

/* The n-th mutating call from now (1 is the next) meets `fault`, if it is of a kind to which that
 * applies; with `sticky`, so do all such calls after it. `n` = 0 heals the world. */
void vv_sim_fail_at(struct vv_env *env, uint64_t n, enum vv_sim_fault fault, bool sticky);

/* The same for the n-th read_at: it fails with VV_IO. */
void vv_sim_fail_read_at(struct vv_env *env, uint64_t n, bool sticky);

/* Bytes the simulated disk may hold, by the sizes of its files; creates on a full disk and growth
 * beyond give VV_FULL, a write after as much of it as fits. 0: no limit. */
void vv_sim_set_capacity(struct vv_env *env, uint64_t size_bytes);

void vv_sim_advance(struct vv_env *env, uint64_t us);

/* Damage, done to live and durable bytes alike and not logged: replaces the content of a file, as
 * bit rot or an operator would; images of earlier calls show it too. VV_NOTFOUND when there is no
 * such file. */
VV_MUST int vv_sim_read_file(struct vv_env *env, const char *path, struct vv_buf *out);
VV_MUST int vv_sim_write_file(struct vv_env *env, const char *path, vv_slice content);

#endif
