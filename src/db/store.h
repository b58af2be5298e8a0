/*
 * A store: what stands behind a public handle. Private to this room.
 *
 *      varve ──▶ vv_root ── guard        counts calls, knows open, closed and forked; outlives the rest
 *                   ├────── catalog      the keyspaces, each with its varve
 *                   └────── vv_store     everything else: world, engine, queue, threads
 *
 * The engine goes with varve_close. The vv_store stays until the last snapshot, iterator and pinned
 * value is given up, because they are charged to its account and may refer to its world. The root
 * with all its handles lies in a graveyard for a while after that, so that a call on a handle that
 * was closed answers VARVE_CLOSED.
 */
#ifndef VV_DB_STORE_H
#define VV_DB_STORE_H

#include "base/error.h"
#include "base/histogram.h"
#include "db/bulk.h"
#include "db/catalog.h"
#include "db/commit.h"
#include "db/guard.h"
#include "db/news.h"
#include "db/open.h"
#include "db/poison.h"
#include "db/present.h"
#include "db/snapshot.h"
#include "db/work.h"
#include "kv/batch.h"
#include "kv/order.h"

#include <varve/varve.h>

struct vv_iters {
    struct vv_mutex mu; /* protects all below; rank 30, held while engine iterators are closed */
    struct varve_iter *newest;
    uint64_t count;
    uint64_t seeks, nexts; /* of iterators that are gone */
};

struct vv_feeds {
    struct vv_mutex mu; /* protects the one below, and who closes what; rank 33 */
    struct varve_changes *newest;
};

typedef void vv_release(void *owner);
enum { VV_RELEASES_MAX = 8 };

struct vv_store {
    /* Constant after open. */
    struct vv_root *root;
    struct vv_env *env;
    struct vv_env *own_env; /* of an in-memory store; freed with it */
    struct vv_lock *lock;
    bool stepped;
    char *path;
    varve_options options; /* resolved: no defaults left */
    struct vv_order order; /* that the engine begins with: bytewise */
    struct vv_account account;
    struct vv_host host;
    struct vv_engine_maker maker;
    struct vv_engine *engine; /* until closed */

    struct vv_commit commit;
    alignas(64) _Atomic(vv_seq) visible; /* written by the commit leader, read by all */
    struct vv_poison poison;
    struct vv_present present;
    /* The functions that release pinned values: few, and a pin names its one by index. Filled from
     * the front, with release. */
    _Atomic(vv_release *) releases[VV_RELEASES_MAX];
    struct vv_mutex refresh_mu; /* one refresh at a time, and no snapshot made meanwhile; rank 11 */
    _Atomic(int) pauses; /* of compaction by the user; never more than the engine has been told */
    struct vv_snapshots snapshots;
    struct vv_iters iters;
    struct vv_bulks bulks;
    struct vv_feeds feeds;
    struct vv_news news;
    struct vv_work work;
    struct vv_histogram put_us, get_us;
};

struct vv_root {
    struct vv_guard guard;
    struct vv_store *store;
    struct vv_catalog catalog;
};

struct vv_store_setup {
    struct vv_env *env;
    bool stepped;
    const char *path;
    const varve_options *options; /* resolved */
    struct vv_engine_maker maker;
};

/* ---- store.c: making and ending */

/* Makes a store over the engine that `maker` opens, and starts its threads. */
VV_MUST int vv_store_open(const struct vv_store_setup *setup, varve **out);
/* The body of varve_close. */
VV_MUST int vv_store_close(varve *db);
void vv_store_unref(varve *db);
/* Frees what the last reference was to. */
void vv_store_teardown(struct vv_root *root);

/* Begins a call: VARVE_INVALID for NULL, or as vv_guard_enter. */
VV_MUST int vv_store_enter(varve *db, struct vv_call *call);
/* Adds the time since then, if the call is a sampled one. */
void vv_store_time(struct vv_store *s, const struct vv_call *call, struct vv_histogram *times);

/* ---- read.c */

/* Hands a pin to the user, and accounts for it: the call must leave by VV_DOOR_PINNED, or tally it,
 * when this returns true. */
VV_MUST bool vv_pin_export(struct vv_store *s, struct vv_pin *pin, varve_pinned *out);

/* ---- write.c */

enum vv_write_kind { VV_WRITE_PUT, VV_WRITE_DELETE };
VV_MUST int vv_store_put(const varve *db, vv_slice key, vv_slice value);
/* The same, gone at that time. */
VV_MUST int vv_store_put_until(const varve *db, vv_slice key, vv_slice value, uint64_t expires_ms);
VV_MUST int vv_store_merge(const varve *db, vv_slice key, vv_slice operand);
VV_MUST int vv_store_delete(const varve *db, vv_slice key);
/* VV_OK when the handle's keyspace can be written to. */
VV_MUST int vv_store_check_changeable(const varve *db);
/* Data NULL: open ends. */
/* Deletes all keys of the handle's keyspace, also of one that was dropped. */
VV_MUST int vv_store_clear(const varve *db);
VV_MUST int vv_store_delete_range(const varve *db, vv_slice from, vv_slice to);
VV_MUST int vv_store_delete_prefix(const varve *db, vv_slice prefix);
VV_MUST int vv_store_write(struct vv_store *s, const varve_batch *batch,
                           enum varve_durability durability);

/* The level that options (NULL: none) ask for; untouched if they ask for none. In api.c. */
VV_MUST int vv_durability_of(const varve_write_options *options, enum varve_durability *out);

/* Changes on their way to the queue, with references in the place of large values. Zeroed memory is
 * none. */
struct vv_outgoing {
    struct vv_batch batch;
    bool has_refs;
};

/* How they are to be committed: by the holder of the queue, or relying on what was read. */
struct vv_terms {
    enum varve_durability durability;
    uint64_t hold_id;                   /* 0: none */
    const struct vv_reliance *reliance; /* without a hold */
};

VV_MUST int vv_outgoing_add(struct vv_store *s, struct vv_outgoing *out, const struct vv_entry *op);
/* VV_OK, VV_CONFLICT, or a failure; `out` is empty afterwards. */
VV_MUST int vv_outgoing_commit(struct vv_store *s, struct vv_outgoing *out,
                               const struct vv_terms *terms);
void vv_outgoing_drop(struct vv_store *s, struct vv_outgoing *out);

/* ---- update.c */

/* An operand was written under the inner key: folds its chain when it may have become long. */
void vv_store_merged(struct vv_store *s, vv_slice key);

/* ---- keyspace.c */

/* Once, when the store has been opened: goes on with what was dropped before, as far as it can. */
void vv_keyspaces_tidy(struct vv_store *s);

/* Gives a name to each keyspace that has keys and no note, as after a repair without a MANIFEST. They are
 * in the catalog from the next open on. */
VV_MUST int vv_keyspaces_name_lost(varve *db, varve_report *report, void *context);

/* ---- care.c */

VV_MUST int vv_store_flush(struct vv_store *s);
/* Makes everything written so far durable, by whatever means the store has. */
VV_MUST int vv_store_sync(struct vv_store *s);

/* A stepped store has nobody to sync it in the background: its writers, and whoever tends it, do, when
 * it is time. */
VV_MUST int vv_store_sync_if_due(struct vv_store *s);

/* ---- iter.c */

/* The body of varve_iter_open, and of varve_txn_iter_open: `txn` may be NULL. */
VV_MUST int vv_iter_open_in(varve *db, varve_txn *txn, const varve_iter_options *options,
                            varve_iter **out);

/* Closes the engine's side of all open iterators. Requires that the guard is shut and empty. */
void vv_iters_detach(struct vv_store *s);
/* Sums over iterators that are open and those that are gone. */
void vv_iters_count(struct vv_store *s, uint64_t *open, uint64_t *seeks, uint64_t *nexts);

/* ---- changes.c */

/* Closes the engine's side of all feeds. Requires that the guard is shut and empty. */
void vv_feeds_detach(struct vv_store *s);

/* ---- arguments */

static inline vv_slice vv_slice_from(varve_slice s)
{
    return (vv_slice){s.data, s.size};
}

static inline varve_slice vv_slice_to(vv_slice s)
{
    return (varve_slice){s.data, s.size};
}

/* VV_OK unless the slice is no slice, or longer than a key may be. */
static inline int vv_key_check(varve_slice key)
{
    if (VV_UNLIKELY(key.data == NULL && key.size > 0))
        return vv_fail(VV_INVALID, "a key of %zu bytes at no address", key.size);
    if (VV_UNLIKELY(key.size > VARVE_KEY_SIZE_MAX))
        return vv_fail(VV_TOOBIG, "a key of %zu bytes exceeds the limit of %zu", key.size,
                       VARVE_KEY_SIZE_MAX);
    return VV_OK;
}

static inline int vv_value_check(varve_slice value)
{
    if (VV_UNLIKELY(value.data == NULL && value.size > 0))
        return vv_fail(VV_INVALID, "a value of %zu bytes at no address", value.size);
    if (VV_UNLIKELY(value.size > VARVE_VALUE_SIZE_MAX))
        return vv_fail(VV_TOOBIG, "a value of %zu bytes exceeds the limit of %zu", value.size,
                       VARVE_VALUE_SIZE_MAX);
    return VV_OK;
}

#endif
