/*
 * All that a store shows at one moment, and whether that is what an oracle says.
 */
#ifndef VV_TEST_HARNESS_DUMP_H
#define VV_TEST_HARNESS_DUMP_H

#include "harness/oracle.h"

#include <varve/varve.h>

struct dump_entry {
    vv_slice key; /* owned */
    uint64_t hash;
    size_t size;
};

/* Zeroed memory is an empty dump. */
struct dump {
    struct dump_entry *entries;
    size_t count, cap;
};

void dump_deinit(struct dump *d);

/* Reads everything forward, entry by entry. A failure of the store is returned; `out` then holds
 * what came before it. `at` may be NULL. */
int dump_read(varve *db, const varve_snapshot *at, struct dump *out);

/* The same from the last key to the first; `out` is turned round to ascend. */
int dump_read_backward(varve *db, const varve_snapshot *at, struct dump *out);

/* The same by varve_iter_chunk. */
int dump_read_chunks(varve *db, const varve_snapshot *at, size_t chunk, struct dump *out);

/* What a transaction shows: its moment and its changes, one way or the other. */
enum dump_way { DUMP_FORWARD, DUMP_BACKWARD };
int dump_read_txn(varve_txn *txn, enum dump_way way, struct dump *out);

bool dump_equal(const struct dump *a, const struct dump *b);
bool dump_matches(const struct dump *d, const struct oracle *o, uint64_t commit);

/* Whether the entries are the first ones of the state at the commit. */
bool dump_begins(const struct dump *d, const struct oracle *o, uint64_t commit);

/* The latest commit in [from, to] whose state this is, or UINT64_MAX. */
uint64_t dump_find(const struct dump *d, const struct oracle *o, uint64_t from, uint64_t to);

/* The first difference from the state at a commit, in words. */
void dump_explain(const struct dump *d, const struct oracle *o, uint64_t commit, char *into,
                  size_t size);

#endif
