/*
 * The tree: what the files of this room share. Not for other rooms; their door is lsm.h.
 *
 *      leader ── append ─► wal ── publish ─► active memtable ── freeze ─► frozen memtables
 *                                                                            │ flush job
 *      readers ── view: one immutable struct of memtables and version ◄── install ◄─ compaction jobs
 *
 * Who owns what: the commit leader owns the active memtable and the log's end; `install_mu` makes
 * edits one after another and is held over their I/O; `mu` is short and protects the view pointer's
 * change and the jobs.
 */
#ifndef VV_LSM_TREE_H
#define VV_LSM_TREE_H

#include "env/epoch.h"
#include "env/thread.h"
#include "lsm/edit.h"
#include "lsm/lineage.h"
#include "lsm/lsm.h"
#include "lsm/manifest.h"
#include "lsm/memtable.h"
#include "lsm/names.h"
#include "lsm/pace.h"
#include "lsm/pick.h"
#include "lsm/tables.h"
#include "lsm/values.h"
#include "lsm/version.h"
#include "lsm/wal.h"

enum {
    VV_FROZEN_MAX = 16,
    VV_STOW_MIN = 4096, /* values from here on go to the value log before they are committed */
};

/* What a reader sees: immutable, replaced as a whole. */
struct vv_view {
    _Atomic(uint32_t) refs;
    struct vv_memtable *active;
    struct vv_memtable *frozen[VV_FROZEN_MAX]; /* newest first */
    size_t frozen_count;
    struct vv_version *version;
};

void vv_view_ref(struct vv_view *view);
void vv_view_unref(struct vv_view *view); /* NULL is fine */

/* A memtable that waits to be flushed, oldest first in the tree's list. */
struct vv_frozen {
    struct vv_memtable *memtable;
    uint64_t log_number; /* the first log that holds entries of it */
    uint64_t id;         /* memtables are counted */
    vv_seq last_seq;     /* the highest sequence in it */
};

/* Where large values go now, and the writers of earlier files that still have to be sealed. */
struct vv_stow {
    struct vv_value_writer *writer;
    struct vv_value_file *file;
    uint64_t bytes_max;     /* when to begin the next */
    uint32_t in_flight;     /* references given out, not yet in a memtable */
    uint32_t pushing;       /* threads that use the writer without sync_mu: do not close it */
    bool sealing;           /* the writer is about to be closed: nobody begins to push */
    uint64_t last_memtable; /* the newest memtable that has a reference into it */
    struct vv_stow *next;
};

struct vv_counters {
    _Atomic(uint64_t) flush_bytes_written, compaction_bytes_read, compaction_bytes_written,
        value_bytes_written, syncs, flushes, compactions, trivial_moves, collections, filter_skips,
        table_reads;
};

static inline void vv_count(_Atomic(uint64_t) *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

struct vv_job;

struct vv_lsm {
    struct vv_engine base;
    struct vv_engine_ops ops; /* what base.ops points to */
    /* Constant after open. */
    struct vv_lsm_options options;
    struct vv_shape shape;
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    struct vv_lineage lineage; /* of the stores that this one was copied from */
    struct vv_cache *cache;
    struct vv_mempool *mempool;
    struct vv_tables *tables;
    struct vv_values *values;
    struct vv_epoch *epoch;
    struct vv_wal *wal; /* NULL when read-only or without a log */

    _Atomic(struct vv_view *) view;              /* changed under mu; read inside an epoch span */
    _Atomic(const struct vv_order *) order;      /* of memtables and versions; see vv_lsm_note */
    _Atomic(const struct vv_order *) laid_order; /* of tables, as the MANIFEST says */
    _Atomic(uint64_t) next_file;
    _Atomic(uint64_t) debt_bytes;
    struct vv_counters counters;

    struct vv_mutex write_mu; /* append, publish and freeze; protects all below; rank 38 */
    struct vv_memtable *active;
    uint64_t active_log; /* the first log that holds entries of the active memtable */
    uint64_t active_id;
    uint64_t newest_log;    /* the one being appended to */
    vv_seq laid_seq;        /* highest sequence that was appended */
    uint64_t active_weight; /* keys and values of the active memtable, stowed ones in full */
    uint64_t active_deletes;
    size_t pending_bytes; /* appended and not yet published: the memtable has room for it */
    size_t pending_count;
    vv_seq found_seq; /* highest sequence that was published */
    struct vv_pace pace;

    struct vv_mutex sync_mu; /* one sync or seal at a time; protects all below; rank 34 */
    int sync_failure;        /* once a sync has failed, no later one proves anything */
    bool values_lost;        /* that was one of values, to which no table may refer then */
    char sync_story[256];

    struct vv_mutex stow_mu; /* protects the two below and their fields; rank 40 */
    struct vv_stow *stow;    /* the active one, or NULL */
    struct vv_stow *stows;   /* all that are not sealed or may have references in flight */

    struct vv_mutex install_mu; /* one edit at a time, held over its I/O; protects both; rank 45 */
    struct vv_manifest *manifest;
    bool manifest_broken;
    uint64_t log_number; /* as the MANIFEST has it */
    vv_seq flushed_seq;
    struct vv_notes notes;
    uint64_t noted_id;   /* memtables up to this one are older than the latest note */
    uint64_t clock_ms;   /* as the MANIFEST has it */
    uint64_t closed_log; /* of the last orderly close: this log is whole up to closed_bytes */
    uint64_t closed_bytes;

    struct vv_mutex mu;                     /* protects all below; rank 50 */
    struct vv_frozen frozen[VV_FROZEN_MAX]; /* oldest first */
    size_t frozen_count;
    struct vv_job *jobs; /* all that were started and are not finished */
    uint32_t last_job_id;
    uint32_t merge_turns; /* since the value log had one */
    bool starting_flush, starting_collection, starting_drop, making_spare;
    uint64_t view_serial;                 /* moves with each new view */
    uint64_t drops_view, drops_snapshots; /* what the latest search for tables to drop looked at */
    int pauses;
    int ingests;  /* being installed: no merge begins meanwhile */
    int settlers; /* who wait for the store to settle: idle work is done at once */
    uint64_t idle_clock, idle_since_us;
    uint64_t last_ticket;
    struct vv_manual *manuals; /* oldest first */
    bool closing;

    _Atomic(uint64_t) write_clock; /* moves with each write: for telling whether anybody writes */
    _Atomic(uint32_t) frozen_hint; /* non-zero while memtables wait to be flushed */
    _Atomic(uint64_t) flushed_id;  /* memtables up to this one are flushed */
    /* Recent speeds, bytes a second, smoothed; relaxed, they only guide. */
    _Atomic(uint64_t) merge_rate, flush_rate;
};

/* A request for full compaction of a range. */
struct vv_manual {
    uint64_t ticket;
    uint64_t memtable; /* to be flushed first */
    uint64_t before;   /* tables made before this file number are to be rewritten */
    vv_seq through;    /* what was written later is nobody's concern here */
    bool has_from, has_to;
    struct vv_buf from, to;
    struct vv_manual *next;
};

static inline const struct vv_order *vv_lsm_order(const struct vv_lsm *lsm)
{
    return atomic_load_explicit(&lsm->order, memory_order_acquire);
}

static inline uint64_t vv_lsm_next_file(struct vv_lsm *lsm)
{
    return atomic_fetch_add_explicit(&lsm->next_file, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------ install.c */

/* What goes with a change of version. */
struct vv_install {
    struct vv_version_change change;
    bool whole;           /* write a new MANIFEST in any case */
    size_t flushed_count; /* this many of the oldest frozen memtables are in the new tables */
    uint64_t log_number;  /* logs below are done with; 0: as before */
    vv_seq flushed_seq;   /* 0: as before */
};

/* Writes `edit` (to which numbers are added) to the MANIFEST and publishes the new version. After a
 * failure the tree is as before; *unclear says that the MANIFEST may yet hold the edit, so that the
 * files it names must stay. */
VV_MUST int vv_lsm_install(struct vv_lsm *lsm, struct vv_edit *edit,
                           const struct vv_install *install, bool *unclear);

/* Makes the host's clock durable, if it has moved. */
VV_MUST int vv_lsm_record_clock(struct vv_lsm *lsm);

/* Puts the whole state into a new MANIFEST. install_mu is held, or nobody else is there yet. */
VV_MUST int vv_lsm_rewrite_manifest(struct vv_lsm *lsm, const struct vv_version *version,
                                    bool *unclear);

/* Adds to an empty edit all there is to say of the tree with this version, but for the next file
 * number. install_mu is held, or nobody else is there yet. */
VV_MUST int vv_lsm_snapshot_edit(const struct vv_lsm *lsm, const struct vv_version *version,
                                 struct vv_edit *edit);

/* The note operation of the treaty. */
VV_MUST int vv_lsm_note(struct vv_engine *e, const struct vv_note *notes, size_t count,
                        const struct vv_order *order);

/* The current version with a reference. */
struct vv_version *vv_lsm_version(struct vv_lsm *lsm);

/* The current view with a reference. */
struct vv_view *vv_lsm_view(struct vv_lsm *lsm);

/* Fills an empty (zeroed) view with the frozen list, this memtable and this version, to all of which
 * it takes references. mu is held. */
/* The refresh operation of the treaty (beside.c). */
VV_MUST int vv_lsm_refresh(struct vv_engine *e);

void vv_view_fill_locked(struct vv_lsm *lsm, struct vv_view *view, struct vv_memtable *active,
                         struct vv_version *version);

/* Publishes a view and gives the old one, which goes to vv_lsm_retire_view without locks. */
struct vv_view *vv_lsm_swap_view_locked(struct vv_lsm *lsm, struct vv_view *view);
void vv_lsm_retire_view(struct vv_lsm *lsm, struct vv_view *old);
void vv_lsm_release_view(void *view); /* vv_view_unref, for epochs */

/* -------------------------------------------------------------------------------------- write.c */

VV_MUST int vv_lsm_admit(struct vv_engine *e, size_t size_bytes, uint64_t *wait_us);
VV_MUST int vv_lsm_append(struct vv_engine *e, struct vv_write *const *group, size_t count);
VV_MUST int vv_lsm_sync(struct vv_engine *e);
/* Notes that a sync has failed. sync_mu is held. */
void vv_lsm_note_failed_sync(struct vv_lsm *lsm, int rc);
VV_MUST int vv_lsm_publish(struct vv_engine *e, struct vv_write *const *group, size_t count);
/* Makes the active memtable a frozen one and starts a new log. write_mu is held. */
VV_MUST int vv_lsm_freeze_locked(struct vv_lsm *lsm);

/* --------------------------------------------------------------------------------------- stow.c */

VV_MUST int vv_lsm_stow(struct vv_engine *e, vv_slice key, vv_slice value,
                        uint8_t ref[VV_REF_SIZE]);
void vv_lsm_unstow(struct vv_engine *e, const uint8_t ref[VV_REF_SIZE]);
/* How large a value file should be: see stow.c. */
uint64_t vv_lsm_value_file_bytes(const struct vv_lsm *lsm, const struct vv_version *version);
/* A published batch has this reference: it is in memtable `memtable_id` now. */
void vv_lsm_stow_found(struct vv_lsm *lsm, uint32_t file, uint64_t memtable_id);
/* A batch that recovery replayed refers to this file. */
VV_MUST int vv_lsm_stow_recovered(struct vv_lsm *lsm, struct vv_value_file *file,
                                  uint64_t memtable_id);
/* Whether references into the file may be under way or only in memtables. */
bool vv_lsm_stow_under_way(struct vv_lsm *lsm, uint64_t number);
bool vv_lsm_stow_at_rest(struct vv_lsm *lsm, uint64_t *number, uint64_t *bytes);
void vv_lsm_stow_rotate(struct vv_lsm *lsm, uint64_t number);
/* Makes all stowed values durable. sync_mu is held. */
VV_MUST int vv_lsm_stow_sync(struct vv_lsm *lsm);
/* Records that a value file is whole. */
VV_MUST int vv_lsm_install_seal(struct vv_lsm *lsm, struct vv_value_file *file,
                                uint64_t record_bytes, uint64_t record_count);
/* Seals one file that is no longer written to, if there is one. Background. */
VV_MUST int vv_lsm_stow_seal(struct vv_lsm *lsm, bool *worked);
/* Starts writing to the device what was stowed. Background. */
void vv_lsm_stow_push(struct vv_lsm *lsm);
/* Whether sealing has waited too long for an idle moment. */
bool vv_lsm_stow_behind(struct vv_lsm *lsm);
void vv_lsm_stow_close(struct vv_lsm *lsm);

/* --------------------------------------------------------------------------------------- read.c */

VV_MUST int vv_lsm_get(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_pin *out);
VV_MUST int vv_lsm_look(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_look *out);
VV_MUST int vv_lsm_multi_get(struct vv_engine *e, vv_seq at, size_t count, const vv_slice *keys,
                             struct vv_pin *out, int *results);
VV_MUST int vv_lsm_iter(struct vv_engine *e, const struct vv_engine_iter_options *options,
                        vv_seq *seq, struct vv_iter **out);
VV_MUST int vv_lsm_resolve(struct vv_iter *it, vv_slice ref, vv_slice key, struct vv_pin *out);

/* ------------------------------------------------------------------------------------ changed.c */

VV_MUST int vv_lsm_changed(struct vv_engine *e, vv_seq since, vv_slice key, bool *out);
VV_MUST int vv_lsm_range_changed(struct vv_engine *e, vv_seq since, vv_slice from, vv_slice to,
                                 bool *out);

/* ------------------------------------------------------------------------------------- extent.c */

VV_MUST int vv_lsm_range_bytes(struct vv_engine *e, vv_slice from, vv_slice to, uint64_t *out);

/* ------------------------------------------------------------------------------------- chores.c */

/* Small background work that is no job. */
VV_MUST int vv_lsm_do_chore(struct vv_lsm *lsm, bool *worked);

/* --------------------------------------------------------------------------------------- tend.c */

VV_MUST int vv_lsm_tend(struct vv_engine *e, enum vv_tended *out);
VV_MUST int vv_lsm_flush_begin(struct vv_engine *e, uint64_t *ticket);
bool vv_lsm_flush_done(struct vv_engine *e, uint64_t ticket);
VV_MUST int vv_lsm_compact_begin(struct vv_engine *e, const vv_slice *from, const vv_slice *to,
                                 uint64_t *ticket);
bool vv_lsm_compact_done(struct vv_engine *e, uint64_t ticket);
void vv_lsm_pause(struct vv_engine *e, int change);
void vv_lsm_settle(struct vv_engine *e, int change);
/* Whether nobody has written for a while, or somebody waits for the store to settle. mu is held. */
bool vv_lsm_idle_locked(struct vv_lsm *lsm);
/* The shape that the tree should have: its tables are larger the larger it is. */
struct vv_shape vv_lsm_shape(const struct vv_lsm *lsm, const struct vv_version *version);
/* Abandons all jobs; no thread tends any more. */
void vv_lsm_drop_jobs(struct vv_lsm *lsm);

/* --------------------------------------------------------------------------------- checkpoint.c */

VV_MUST int vv_lsm_checkpoint(struct vv_engine *e,
                              int (*visit)(void *context, const struct vv_moment *moment),
                              void *context);

/* --------------------------------------------------------------------------------------- feed.c */

VV_MUST int vv_lsm_feed_open(struct vv_engine *e, vv_seq from, struct vv_feed **out);
VV_MUST int vv_lsm_feed_next(struct vv_feed *feed, struct vv_commit_record *out);
VV_MUST int vv_lsm_feed_value(struct vv_feed *feed, vv_slice ref, vv_slice key, struct vv_pin *out);
void vv_lsm_feed_close(struct vv_feed *feed);

/* -------------------------------------------------------------------------------------- check.c */

VV_MUST int vv_lsm_check(struct vv_engine *e, void (*report)(void *context, const char *line),
                         void *context);

#endif
