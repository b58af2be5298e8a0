/*
 * The write-ahead log: a chain of log files, of which the newest is appended to.
 *
 * Appending and rotating are the commit leader's; syncing and retiring may run beside them.
 */
#ifndef VV_LSM_WAL_H
#define VV_LSM_WAL_H

#include "env/env.h"
#include "kv/engine.h"
#include "log/log.h"
#include "lsm/names.h"

struct vv_wal;

struct vv_wal_options {
    struct vv_env *env;
    const char *dir; /* lives longer */
    uint8_t uuid[VV_UUID_SIZE];
    bool recycle;        /* keep obsolete logs for reuse, so that a sync carries no metadata */
    uint64_t keep_bytes; /* keep so much of obsolete logs, the newest of them, for their changes */
    vv_seq seen_seq;     /* sequences up to here were given out before; each log's header says so */
};

VV_MUST int vv_wal_new(const struct vv_wal_options *options, struct vv_wal **out);

/* Closes all logs; removes nothing but spares. NULL is fine. */
void vv_wal_free(struct vv_wal *wal);

/* Starts log `number`, in front of which the last good sequence is `prev_seq`: records of earlier
 * logs with higher sequences do not count. After a failure the newest log takes no more: rotate
 * again. */
VV_MUST int vv_wal_rotate(struct vv_wal *wal, uint64_t number, vv_seq prev_seq);

/* The MANIFEST may come to name log `number` as the lowest that is needed: it stays until it is
 * retired, even if nothing is ever appended to it. */
void vv_wal_pin(struct vv_wal *wal, uint64_t number);

/* Appends the group with one write. After a failure the newest log takes no more: take back what it
 * may have got of the group, then rotate. */
VV_MUST int vv_wal_append(struct vv_wal *wal, struct vv_write *const *group, size_t count);

/* The newest log takes no more: rotate before the next append. */
void vv_wal_end(struct vv_wal *wal);

/* After a failed append: makes sure that no recovery finds any of the group, even where power fails
 * before the next log is durable. After a failure one may: then nothing must follow. */
VV_MUST int vv_wal_take_back(struct vv_wal *wal);

/* A point in the log, to sync up to. */
struct vv_wal_mark {
    uint64_t number;
    uint64_t size_bytes;
};
struct vv_wal_mark vv_wal_here(struct vv_wal *wal);

/* The log in which the records behind sequence `seq` begin. */
uint64_t vv_wal_log_behind(struct vv_wal *wal, vv_seq seq);

/* Makes everything up to `mark` durable: the logs' names, then the logs, older ones first. Only what
 * stands before the mark is said to be synced (VV_RECORD_PREV_SYNCED), because what later records
 * refer to in the value log may not be. */
VV_MUST int vv_wal_sync(struct vv_wal *wal, struct vv_wal_mark mark);

/* Starts writing to the device what was appended: background. */
void vv_wal_push(struct vv_wal *wal);

/* Tells of a log (or spare) of an earlier life, so that it is retired (or used) in its time. */
VV_MUST int vv_wal_inherit(struct vv_wal *wal, uint64_t number, uint64_t size_bytes);
VV_MUST int vv_wal_inherit_spare(struct vv_wal *wal, uint64_t number, uint64_t size_bytes);

/* Tells of a log below those that are needed, which was kept, or is from now on: under its name for
 * that. `kind` is the name it has. In any order. */
VV_MUST int vv_wal_adopt(struct vv_wal *wal, enum vv_name_kind kind, uint64_t number);

/* Logs with numbers below `number` are no longer needed: keeps them for their changes as far as they
 * may, and of the others removes them or keeps them as spares. What is kept must have been synced. */
void vv_wal_retire(struct vv_wal *wal, uint64_t number);

/* How large spares should be from now on; the store's size decides. */
void vv_wal_set_spare_bytes(struct vv_wal *wal, uint64_t spare_bytes);

/* Whether a spare should be written in advance, and doing so under a new file number: background.
 * One thread at a time. */
bool vv_wal_wants_spare(struct vv_wal *wal);
VV_MUST int vv_wal_prepare_spare(struct vv_wal *wal, uint64_t number);

uint64_t vv_wal_disk_bytes(struct vv_wal *wal);     /* of all logs and spares, and those kept */
uint64_t vv_wal_appended_bytes(struct vv_wal *wal); /* since it was made */
bool vv_wal_broken(struct vv_wal *wal);             /* no log takes appends: rotate first */

#endif
