/*
 * What has changed since a moment: for writes that rely on what was read before them.
 *
 *      moment                                                  now
 *        │ ── writes by others: published, laid, in the group ── │ ── the write that relies
 *        └ a key or a range it relies on: did any of them touch it?
 *
 * The engine knows exactly (vv_engine_ops.changed), because whoever relies on a moment keeps it in
 * the set of snapshots, so that no merge forgets what came after it. But it costs a lookup, and it
 * knows only what is published. So, while anybody watches, the commit leader notes in a table under
 * the hash of each key it lays the sequence that it gave: an entry not above the moment proves that
 * nothing changed, and one above it that the engine must be asked.
 *
 * The table says nothing of what was laid before it was switched on: that is the floor, which
 * counts as the least content of each slot. While it is off the floor is above everything.
 */
#ifndef VV_DB_WATCH_H
#define VV_DB_WATCH_H

#include "db/snapshot.h"
#include "kv/engine.h"

/* What a write relies on. The arrays and their bytes are the caller's. */
struct vv_relied_key {
    vv_slice key;
    uint64_t hash; /* vv_hash(key) */
};

struct vv_relied_range {
    vv_slice from; /* data NULL: open */
    vv_slice to;   /* data NULL: open */
    bool closed;   /* `to` itself belongs to it */
};

struct vv_reliance {
    vv_seq since; /* watched: see vv_watch_begin */
    const struct vv_relied_key *keys;
    size_t key_count;
    const struct vv_relied_range *ranges;
    size_t range_count;
};

struct vv_watch {
    struct vv_account *account; /* constant */
    _Atomic(uint32_t) watchers;
    /* Made by the first who watches. Slots are written by the leader before what they tell of is
     * visible: relaxed, because whoever knows a visible sequence has synchronised with that. */
    _Atomic(_Atomic(vv_seq) *) slots;
    _Atomic(vv_seq) floor; /* the same */
    bool on;               /* the leader's */
};

/* A moment that is being watched. Whoever ends it, on whatever thread, began it. */
struct vv_watched {
    struct varve_snapshot snapshot; /* `seq` is the moment; its `db` is not used */
};

void vv_watch_init(struct vv_watch *w, struct vv_account *account);
void vv_watch_deinit(struct vv_watch *w);

/* From now until the end, what changes after `out->snapshot.seq`, the visible sequence, can be told.
 * Costs about as much as a snapshot; writers pay a hash for each key meanwhile. */
void vv_watch_begin(struct vv_watch *w, struct vv_snapshots *snapshots, struct vv_watched *out);
void vv_watch_end(struct vv_watch *w, struct vv_snapshots *snapshots, struct vv_watched *watched);

/* ---- any thread */

/* True when nothing that `r` relies on was changed by the sequences up to `seen`, which are visible
 * to the caller or its own to give. False proves nothing. */
bool vv_watch_sure(const struct vv_watch *w, const struct vv_reliance *r, vv_seq seen);

/* VV_OK when nothing published touched what `r` relies on, VV_CONFLICT when something did, or a
 * failure to read. */
VV_MUST int vv_watch_ask(const struct vv_watch *w, struct vv_engine *e,
                         const struct vv_reliance *r);

/* ---- the commit leader */

/* Switches the table on or off; `given` is the last sequence that was given out. True when on: then
 * every write is to be noted. */
bool vv_watch_look(struct vv_watch *w, vv_seq given);

/* Notes that anything may have changed by `seq`. */
void vv_watch_note_all(struct vv_watch *w, vv_seq seq);

/* Notes a write whose operations have the sequences from `first`. */
void vv_watch_note(struct vv_watch *w, vv_slice ops, vv_seq first);

#endif
