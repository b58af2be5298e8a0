/*
 * Random operations on a store, each checked against the oracle: what a seed draws, and how often.
 */
#ifndef VV_TEST_HARNESS_MODEL_H
#define VV_TEST_HARNESS_MODEL_H

#include "harness/replica.h"
#include "harness/rig.h"

enum model_op {
    MODEL_PUT,
    MODEL_DELETE,
    MODEL_DELETE_RANGE,
    MODEL_BATCH,
    MODEL_BATCH_BIG, /* larger than a memtable */
    MODEL_COLUMNS,   /* puts alone, by columns */
    MODEL_BULK,      /* ascending puts alone, by a bulk */
    MODEL_TXN,       /* the same by a transaction */
    MODEL_PASS,      /* time goes by, and values expire */
    MODEL_GET,
    MODEL_GET_INTO,
    MODEL_MULTI_GET,
    MODEL_EXISTS,
    MODEL_WALK,      /* a new iterator, moved at random and closed */
    MODEL_HELD_ITER, /* an iterator that stays open for long */
    MODEL_HELD_PIN,  /* a value that stays pinned for long */
    MODEL_SNAPSHOT_NEW,
    MODEL_SNAPSHOT_READ,
    MODEL_SNAPSHOT_RELEASE,
    MODEL_FLUSH,
    MODEL_TEND,
    MODEL_SETTLE,
    MODEL_COMPACT,
    MODEL_PAUSE,
    MODEL_SYNC,
    MODEL_STATS,
    MODEL_VERIFY,
    MODEL_READONLY, /* a reader beside the writer */
    MODEL_CHECKPOINT,
    MODEL_CHANGES, /* a replica catches up */
    MODEL_REOPEN,
    MODEL_CRASH,
    MODEL_OP_COUNT
};

enum { MODEL_HELD_MAX = 3 };

/* An iterator's position, as the oracle sees it. */
struct model_cursor {
    uint64_t at;
    vv_slice lower, upper, prefix; /* data NULL: none; they point to keys of the set */
    enum { CURSOR_FRESH, CURSOR_ON, CURSOR_END } state;
    vv_slice key; /* while ON: the oracle's own bytes */
    size_t index; /* of the key, as long as the oracle gets no new one */
    bool keys_only;
    bool gathered; /* the last move was a chunk: forward is defined, backward is not */
};

struct model_held_iter {
    varve_iter *iter;
    struct model_cursor cursor;
};

struct model_held_snapshot {
    varve_snapshot *snapshot;
    uint64_t commit;
};

struct model_held_pin {
    varve_pinned pin;
    uint64_t hash;
};

struct model {
    struct rig rig;
    uint64_t seed;
    uint64_t step;
    struct vv_rng rng;
    struct sample_keys keys;
    uint32_t weights[MODEL_OP_COUNT];
    uint64_t counts[MODEL_OP_COUNT]; /* of operations done */
    uint64_t images;                 /* crash images recovered */
    int paused;
    uint8_t *scratch; /* a key and a byte */
    struct model_held_iter iters[MODEL_HELD_MAX];
    struct model_held_snapshot snapshots[MODEL_HELD_MAX];
    struct model_held_pin pins[MODEL_HELD_MAX];
    struct replica replica;
    bool may_miss; /* since the replica knew all, some changes may not have been kept */
};

/* Draws keys, weights, sizes and options from the seed. The rig must be initialised; its store is
 * opened. */
void model_begin(struct model *m, uint64_t seed);

/* Does `count` operations, with a whole comparison now and then and at the end. */
void model_run(struct model *m, uint64_t count);

/* Closes the store and frees all. */
void model_end(struct model *m);

/* ---- the reading operations (model_read.c); each fails the test when the store is wrong */

void model_get(struct model *m);
void model_get_into(struct model *m);
void model_multi_get(struct model *m);
void model_exists(struct model *m);
void model_walk(struct model *m);
void model_held_iter(struct model *m);
void model_held_pin(struct model *m);
void model_stats(struct model *m);

/* Closes what is held; with `closed`, after checking that it answers VARVE_CLOSED. */
enum model_handles { MODEL_HANDLES_LIVE, MODEL_HANDLES_CLOSED };
void model_release(struct model *m, enum model_handles handles);

#endif
