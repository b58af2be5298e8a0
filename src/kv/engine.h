/*
 * The treaty between db and the engines: what an engine does, and what it may ask of its host.
 *
 * A write is laid (append), made safe (sync, if its durability asks), found (publish), and then
 * made visible by the host, in this order. append and publish are called by one thread at a
 * time (the commit leader); everything else by any thread.
 */
#ifndef VV_KV_ENGINE_H
#define VV_KV_ENGINE_H

#include "base/buf.h"
#include "base/check.h"
#include "kv/entry.h"
#include "kv/iter.h"
#include "kv/order.h"
#include "kv/pin.h"

#include <stdatomic.h>

struct vv_engine;
struct vv_env;
struct vv_ingest;

/* "As of now": the engine reads the visible sequence itself, together with its view. */
#define VV_SEQ_NOW UINT64_MAX

/* One batch on its way. The commit queue fills it; `ops` stays valid until it is visible. */
struct vv_write {
    vv_slice ops;       /* encoded operations (kv/batch.h), well-formed */
    uint32_t count;     /* of operations, at least 1 */
    bool has_refs;      /* some operation is a REF that this process stowed */
    uint64_t body_hash; /* vv_hash(ops), computed by the writer's own thread */
    vv_seq first;       /* given by the leader */
};

/* What the host wants the engine to remember for it: a few bytes under a number. */
struct vv_note {
    uint32_t id;
    vv_slice text;
};

enum vv_fold { VV_FOLD_FULL, VV_FOLD_PARTIAL };

/* What a lookup finds without reading a value. */
struct vv_look {
    enum vv_kind kind;   /* of the newest version; never DELETE */
    uint64_t expires_ms; /* 0: never */
};

/* What the host offers an engine, for its whole life. */
struct vv_host {
    void *context;
    /* Called while the store is opened, before the first key is compared, with all notes of the
     * store. Beside a writer once more when its logs were read, which may have keys that only newer
     * notes explain, and again when the attempt has to be repeated. *order, which holds the order that
     * the engine was opened with, may be replaced: then that one orders the keys. A failure fails the
     * opening; beside a writer VV_BUSY repeats the attempt. A new store's notes are NULL, and it begins with *first, if that gets a text (which
     * the host keeps). May be NULL. */
    int (*notes)(void *context, const struct vv_note *notes, size_t count,
                 const struct vv_order **order, struct vv_note *first);
    const _Atomic(vv_seq) *visible; /* all changes up to here may be read */
    /* Appends the sequence numbers (vv_seq) that open snapshots read at, ascending and without
     * repetition; the last is the visible sequence itself, read under the same lock. */
    int (*snapshots)(void *context, struct vv_buf *out);
    /* The time, milliseconds since 1970; never falls while the store is open. NULL: nothing expires. */
    uint64_t (*now_ms)(void *context);
    /* The latest time by which anything was taken for expired. The engine raises it, while the store
     * is opened, to what it finds recorded, and records it with whatever it changes on disk. NULL with
     * the one above. */
    _Atomic(uint64_t) *clock_ms;
    /* Folds operands, oldest first. VV_FOLD_FULL: onto `base` (NULL: there is no value), to a value.
     * VV_FOLD_PARTIAL: to one operand that does what they do; `base` is NULL. The result is appended to
     * `out`. VV_UNSUPPORTED, without a story: keep them as they are. NULL: as if always that. */
    int (*fold)(void *context, enum vv_fold how, vv_slice key, const vv_slice *base,
                const vv_slice *operands, size_t count, struct vv_buf *out);
    /* There may be background work now. Never waits; any lock may be held. */
    void (*wake)(void *context);
    /* The store can no longer promise durability: `rc` and the thread's story say why. */
    /* All changes up to `seq` may be read: called by refresh, before it shows them. */
    void (*advance)(void *context, vv_seq seq);
    void (*poison)(void *context, int rc);
};

enum vv_tended {
    VV_TENDED_IDLE,   /* there was nothing to do */
    VV_TENDED_WORKED, /* one bounded step was done: call again */
};

/* A file of a moment. Its name is free in every store that is made of the moment. */
struct vv_moment_file {
    char name[32];
    uint8_t uuid[16]; /* with the number, given to this file alone, of all stores there are; */
    uint64_t number;  /* but one that grows has several lengths */
    uint64_t size_bytes;
    bool grows; /* it is written to: take the first size_bytes, and by copying */
};

/* One moment of a store, as files that together are all of it. Valid while it is visited. */
struct vv_moment {
    struct vv_env *env;
    const char *dir; /* where the files are */
    const uint8_t *uuid;
    vv_seq seq; /* every change up to it is there, and none after it */
    const struct vv_moment_file *files;
    size_t file_count;
    vv_slice state; /* what the engine needs to know to make a store of the files */
};

struct vv_engine_iter_options {
    vv_seq at;      /* or VV_SEQ_NOW */
    vv_slice lower; /* data NULL: none. Borrowed for the life of the iterator. */
    vv_slice upper; /* exclusive */
};

/* A reader of the changes, in their order. */
struct vv_feed;

/* One batch as it was committed. */
struct vv_commit_record {
    vv_seq first;
    uint32_t count;
    vv_slice ops; /* kv/batch.h, well-formed */
};

struct vv_engine_ops {
    /* Writes a large value to where it will stay, before its batch is committed, and gives the
     * reference to commit instead. Slot may be NULL: then all values travel in batches. */
    int (*stow)(struct vv_engine *e, vv_slice key, vv_slice value, uint8_t ref[VV_REF_SIZE]);
    /* The batch with this stowed reference will not be committed. */
    void (*unstow)(struct vv_engine *e, const uint8_t ref[VV_REF_SIZE]);

    /* How long the next write of `size_bytes` should be held back: *wait_us is 0 for go. The leader
     * waits at most that long (and in stepped mode tends) and asks again. */
    int (*admit)(struct vv_engine *e, size_t size_bytes, uint64_t *wait_us);
    /* Lays the group in the log: one write. After a failure none of it will be published, and the
     * engine has made sure that recovery will not find it, or has failed for good. */
    int (*append)(struct vv_engine *e, struct vv_write *const *group, size_t count);
    /* Makes safe everything appended before the call. Runs beside append and publish. */
    int (*sync)(struct vv_engine *e);
    int (*publish)(struct vv_engine *e, struct vv_write *const *group, size_t count);

    /* VV_OK with a pin, or VV_NOTFOUND. The pin says what else there is to know: when the version
     * expires, or that it is an operand. The engine itself never takes anything for expired. */
    int (*get)(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_pin *out);
    /* The same without the value. */
    int (*look)(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_look *out);
    int (*multi_get)(struct vv_engine *e, vv_seq at, size_t count, const vv_slice *keys,
                     struct vv_pin *out, int *results);
    /* All versions visible at `at` and older ones, in internal order. *seq is what `at` resolved
     * to. */
    int (*iter)(struct vv_engine *e, const struct vv_engine_iter_options *options, vv_seq *seq,
                struct vv_iter **out);
    /* Reads the value that a REF entry of this iterator refers to. */
    int (*resolve)(struct vv_iter *it, vv_slice ref, vv_slice key, struct vv_pin *out);

    /* Whether any version with a sequence above `since`, at which somebody has a snapshot, is
     * published for the key; or for any key in [from, to), where data NULL is an open end. Deletions
     * are versions, and a range deletion is one of every key that it covers. */
    int (*changed)(struct vv_engine *e, vv_seq since, vv_slice key, bool *out);
    int (*range_changed)(struct vv_engine *e, vv_seq since, vv_slice from, vv_slice to, bool *out);

    /* About how many bytes the keys from `from` up to, not including, `to` take up (data NULL: open
     * end), in files and in memory. Reads as a few gets do. */
    int (*range_bytes)(struct vv_engine *e, vv_slice from, vv_slice to, uint64_t *out);

    /* One bounded step of background work; several threads may tend at once. A failed step has changed
     * nothing and may be tried again, better after a while. */
    int (*tend)(struct vv_engine *e, enum vv_tended *out);
    /* Freezes the memtable so that tending writes it out; *ticket names the state to wait for. */
    int (*flush_begin)(struct vv_engine *e, uint64_t *ticket);
    bool (*flush_done)(struct vv_engine *e, uint64_t ticket);
    /* Marks a range for full compaction; the same protocol. */
    int (*compact_begin)(struct vv_engine *e, const vv_slice *from, const vv_slice *to,
                         uint64_t *ticket);
    bool (*compact_done)(struct vv_engine *e, uint64_t ticket);
    void (*pause)(struct vv_engine *e, int change); /* +1 pauses compaction, -1 resumes */
    /* +1 while somebody waits for the store to settle: what is otherwise left for an idle hour is
     * done at once. May be NULL. */
    void (*settle)(struct vv_engine *e, int change);

    /* Remembers the notes for good, all or none, each in place of an earlier one with its id; with an
     * empty text forgets that. `order`, if not NULL, orders the keys from now on: it must agree with
     * the order so far on all keys that were ever written. Durable when it returns. After a failure
     * that leaves this open, the store is poisoned. */
    int (*note)(struct vv_engine *e, const struct vv_note *notes, size_t count,
                const struct vv_order *order);

    /* Begins to write entries where they will stay, for one change that is made of all of them. One
     * thread at a time uses it; several may go on side by side. May be NULL. */
    int (*ingest_begin)(struct vv_engine *e, struct vv_ingest **out);
    /* The next entry, whose key is behind the one before. After a failure only the end is left. */
    int (*ingest_put)(struct vv_ingest *g, vv_slice key, vv_slice value);
    /* Nothing more comes. All that was put, at least one entry, is durable when it returns. */
    int (*ingest_seal)(struct vv_ingest *g);
    /* Makes every entry a version of sequence `seq`, all of them or none, durable when it returns.
     * Called once all before `seq` is visible, while nobody appends or publishes. VV_CONFLICT when some of
     * that is in memory alone: flush, and call again. After a failure that leaves this open, the store
     * is poisoned. */
    int (*ingest_install)(struct vv_ingest *g, vv_seq seq);
    /* Gives it up; what was not installed is removed. Before the engine is closed. */
    void (*ingest_end)(struct vv_ingest *g);

    /* Shows a moment, of now, to `visit`, whose result becomes its own; the files stay as long. All of
     * them are durable. VV_CONFLICT when something of before the call is in no file yet: flush and try
     * again. May be NULL. */
    int (*checkpoint)(struct vv_engine *e,
                      int (*visit)(void *context, const struct vv_moment *moment), void *context);

    /* Of an engine that was opened read-only: shows what the writer has made since, as of one moment.
     * One thread at a time. Iterators stay where they are; nobody may have a snapshot. After a failure
     * all is as before. */
    int (*refresh)(struct vv_engine *e);

    /* Opens a reader of all commits from the one on that holds sequence `from`, or else the next.
     * VV_MISSING when what is from there on is not there any more, VV_UNSUPPORTED where no changes are
     * kept at all. Any number of readers, each used by one thread at a time, and not beside a refresh;
     * closed before the engine is. These may be NULL, all four. */
    int (*feed_open)(struct vv_engine *e, vv_seq from, struct vv_feed **out);
    /* The next commit; its slices hold until the next call. VV_END when none further is visible,
     * VV_MISSING as above, VV_CORRUPT. */
    int (*feed_next)(struct vv_feed *feed, struct vv_commit_record *out);
    /* Reads the value that a REF of the present commit refers to. VV_MISSING when it is gone. */
    int (*feed_value)(struct vv_feed *feed, vv_slice ref, vv_slice key, struct vv_pin *out);
    void (*feed_close)(struct vv_feed *feed); /* NULL is fine */

    int (*check)(struct vv_engine *e, void (*report)(void *context, const char *line),
                 void *context);
    void (*close)(struct vv_engine *e);
};

struct vv_engine {
    const struct vv_engine_ops *ops;
};

#endif
