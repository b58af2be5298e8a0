/*
 * An engine in a few lines, for testing what lies above the treaty (kv/engine.h): a sorted array of
 * versions in memory. It aborts when its host breaks the treaty (append and publish side by side or
 * out of order), counts what it is asked for, and fails on demand.
 */
#ifndef VV_TEST_HARNESS_FAKE_ENGINE_H
#define VV_TEST_HARNESS_FAKE_ENGINE_H

#include "db/open.h"

struct fake_engine;

/* What a test may turn while the store is open, and read at any time. Zeroed memory works without
 * trouble. Survives the engine. */
struct fake_controls {
    _Atomic(int) append_rc, sync_rc, publish_rc, stow_rc, tend_rc, get_rc; /* fail with this */
    _Atomic(uint64_t) admit_waits; /* how often admit still says to wait */
    _Atomic(uint64_t) tend_steps;  /* steps of work that are left to do */
    _Atomic(uint64_t) sync_us;     /* how long a sync takes */
    _Atomic(uint64_t) append_us;   /* how long an append takes */
    _Atomic(uint64_t) held;        /* tend finds no work, and what was begun stays undone */
    struct {
        _Atomic(uint64_t) appends, appended_writes, group_largest, syncs, publishes, tends, stows,
            unstows, closes, flushes, compacts, iters_open, iter_moves, pins_open, asks;
        _Atomic(int) pauses;
    } seen;
    vv_seq seq_first; /* the recovered state ends here */
};

/* A maker for vv_db_open_over. */
struct vv_engine_maker fake_maker(struct fake_controls *controls);

/* A store over a fake engine in the system's world, with options as text; checks that it opens. */
varve *fake_store(struct fake_controls *controls, const char *options);
/* The same in stepped mode. */
varve *fake_store_stepped(struct fake_controls *controls, const char *options);

#endif
