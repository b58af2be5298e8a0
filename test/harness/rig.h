/*
 * A store under test together with what it must hold and what it has promised.
 *
 * All writes go through the rig, which tells the oracle and notes, with the number of mutating
 * calls its world had seen, from when on which commit was promised to survive what. So for any
 * moment of a finished run the rig knows the earliest and the latest state that recovery may give.
 */
#ifndef VV_TEST_HARNESS_RIG_H
#define VV_TEST_HARNESS_RIG_H

#include "db/open.h"
#include "env/sim.h"
#include "harness/dump.h"
#include "harness/oracle.h"
#include "harness/sample.h"

/* A promise: from mutating call `calls` on, commit `commit` survives. */
struct rig_mark {
    uint64_t calls;
    uint64_t commit;
};

struct rig_marks {
    struct rig_mark *items;
    size_t count, cap;
};

struct rig_commit {
    uint64_t calls; /* seen by the world when the commit was issued */
    vv_seq seq;     /* the store's after it */
};

/* The default keyspace, one more, and one with a comparator. */
enum { RIG_VIEWS_MAX = 3 };

struct rig {
    struct vv_db_world world; /* env is the rig's if `env_owned` */
    bool env_owned;
    bool sim; /* env is a simulated world */
    char path[256];
    varve_options options;

    varve *db;        /* NULL while closed */
    varve_bulk *bulk; /* begun and still empty, or NULL */
    /* How many keyspaces beside the default one all is written to, too, in the same commit. Each must
     * show what the others show. Set before the first opening. */
    size_t mirrors;
    varve *views[RIG_VIEWS_MAX]; /* while open: the default keyspace and its mirrors */
    struct oracle oracle;
    uint64_t serial; /* of values */
    /* Some values are merged, some put for a long time; and for a short one if `brief`. */
    bool brief;
    uint64_t tick; /* the clock of promises where the world does not count its calls */
    /* The oracle's last commit failed, and the store for good with it: the store must not show it,
     * yet a reopened one may. */
    bool doubt;
    struct rig_change *doubt_changes; /* what that commit was to do; keys are borrowed */
    size_t doubt_count;
    uint64_t doubt_serial; /* of the value before its first */

    struct rig_marks killed;    /* what survives a killed process */
    struct rig_marks power;     /* what survives a power cut */
    struct rig_commit *commits; /* commits[c - base - 1] is about commit c */
    size_t commit_count, commit_cap;
    uint64_t base; /* commits up to here were there before this world began */
};

/* A change to make: `size` bytes drawn for the key, or a deletion. */
struct rig_change {
    vv_slice key;
    size_t size;
    bool gone;
    vv_slice to; /* a deletion of all keys up to this one, itself excluded; data NULL: of one key */
};

/* Sizes small enough that a few hundred writes reach every kind of background work. */
struct vv_lsm_tuning rig_tuning_tiny(void);
struct vv_lsm_tuning rig_tuning_draw(struct vv_rng *rng);

/* A rig in a new simulated world, stepped, with tiny sizes and 4 MiB; not opened. */
void rig_init_sim(struct rig *r, uint64_t seed);
/* The same in a world that the caller frees afterwards. */
void rig_init_in(struct rig *r, struct vv_env *env, const char *path);
void rig_deinit(struct rig *r);

/* Gives the options what opening any rig's store needs: comparators, a merge operator, the clock. */
void rig_options_complete(varve_options *options);

/* Open and close as the store does, forwarding its failures. */
int rig_open(struct rig *r);
int rig_close(struct rig *r);

/* One commit: a single change by put or delete, several (or RIG_BATCH) by a batch, puts alone by
 * columns (RIG_COLUMNS) or a bulk (RIG_BULK, of ascending keys), or all by an optimistic or exclusive
 * transaction. One that fails
 * while the store goes on taking writes never happened. One that failed for good is in doubt; those
 * refused by VARVE_READONLY afterwards were never tried. */
enum rig_manner { RIG_PLAIN, RIG_BATCH, RIG_TXN, RIG_EXCLUSIVE, RIG_COLUMNS, RIG_BULK };
int rig_write(struct rig *r, const struct rig_change *changes, size_t count,
              enum varve_durability level, enum rig_manner manner);

/* Begins the bulk that the next write by RIG_BULK will fill. */
int rig_bulk_begin(struct rig *r);

/* Shorter: the key is text. */
int rig_put(struct rig *r, const char *key, size_t size, enum varve_durability level);
int rig_delete(struct rig *r, const char *key, enum varve_durability level);
int rig_delete_range(struct rig *r, const char *from, const char *to, enum varve_durability level);

/* Lets time go by for all rigs; what has expired is gone from the oracle. */
void rig_pass(struct rig *r, uint64_t ms);

int rig_sync(struct rig *r);
int rig_flush(struct rig *r);
int rig_tend(struct rig *r, enum vv_tended *out); /* one step */
int rig_settle(struct rig *r);                    /* tends until idle; in threads varve_settle */

/* All that is visible is from now on promised to survive a power cut. */
void rig_promise_power(struct rig *r);

/* The commit in doubt was found to be there after all, or not. */
enum rig_verdict { RIG_DID_NOT_HAPPEN, RIG_HAPPENED };
void rig_decide(struct rig *r, enum rig_verdict verdict);

/* Finds the mirrors in another handle of the store, such as a reader's, and fails the test unless each
 * shows what the dump does. */
void rig_check_mirrors(const struct rig *r, varve *db, const struct dump *dump);

/* The latest commit that the store shows. */
uint64_t rig_visible(const struct rig *r);

/* Fails the test unless the store shows the oracle's state at the commit, as read one way or
 * another. */
void rig_expect(struct rig *r, const varve_snapshot *at, uint64_t commit);

/* The present moment, as promises count it: the world's mutating calls. */
uint64_t rig_calls(const struct rig *r);

/* What recovery may give when the world stops after mutating call `calls`. */
struct rig_range {
    uint64_t from, to;
};
struct rig_range rig_allowed(const struct rig *r, uint64_t calls, enum vv_sim_model model);
vv_seq rig_seq_of(const struct rig *r, uint64_t commit);

/* The latest allowed commit whose state the dump of a recovered store shows and whose sequence
 * number the store has reached. Fails the test if there is none. */
uint64_t rig_recovered(const struct rig *r, const struct dump *dump, vv_seq seq,
                       struct rig_range allowed);

/* The rig goes on in another world, an image of its own that has just been recovered to commit
 * `commit`: what came after it never happened, and all up to it is safe. */
void rig_restart(struct rig *r, uint64_t commit);

#endif
