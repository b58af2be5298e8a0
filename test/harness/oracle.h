/*
 * What a store must hold: a sorted array of keys, each with its whole history. Stupid on purpose.
 *
 * Commits are numbered 1, 2, 3 …; the state at commit c is what all commits up to c left, so that a
 * snapshot is a number, and a recovered store is right if it equals the state at some c.
 */
#ifndef VV_TEST_HARNESS_ORACLE_H
#define VV_TEST_HARNESS_ORACLE_H

#include "base/slice.h"

/* What a commit did to a key. Values are remembered by hash. */
struct oracle_version {
    uint64_t commit;
    uint64_t hash;
    size_t size;
    bool gone;
    uint64_t expires_ms; /* 0: never */
};

struct oracle_key {
    vv_slice key; /* owned */
    struct oracle_version *versions;
    size_t count, cap;
};

/* Zeroed memory is an empty oracle. */
struct oracle {
    struct oracle_key *keys; /* ascending bytewise */
    size_t count, cap;
    uint64_t last; /* number of the latest commit */
};

struct oracle_change {
    vv_slice key;
    vv_slice value;
    bool gone;           /* a deletion */
    vv_slice to;         /* of all keys up to this one, itself excluded; data NULL: of one */
    uint64_t expires_ms; /* of a value; 0: never */
    bool merged;         /* it is an operand; the oracle does not care */
};

void oracle_deinit(struct oracle *o);

/* One commit of changes in order; a later change of the same key wins. Gives its number. */
uint64_t oracle_commit(struct oracle *o, const struct oracle_change *changes, size_t count);

/* Makes an oracle that knows only the state of another at a commit, and goes on from there. */
void oracle_copy(struct oracle *out, const struct oracle *from, uint64_t commit);

/* What expires by then is gone, and was never there. */
void oracle_expire(struct oracle *o, uint64_t now_ms);

/* Forgets all commits after `commit`: they never happened. */
void oracle_cut(struct oracle *o, uint64_t commit);

/* The value of the key at a commit, or NULL if there is none. */
const struct oracle_version *oracle_get(const struct oracle *o, uint64_t at, vv_slice key);

/* Whether the key ever had a value of this hash and size. */
bool oracle_ever(const struct oracle *o, vv_slice key, uint64_t hash, size_t size);

/* Index of the first key >= `key`, alive or not; o->count if there is none. */
size_t oracle_lower(const struct oracle *o, vv_slice key);

/* The first index >= `index` whose key is alive at the commit, or o->count. */
size_t oracle_alive_up(const struct oracle *o, uint64_t at, size_t index);

/* The last index < `end` whose key is alive at the commit, or SIZE_MAX. */
size_t oracle_alive_down(const struct oracle *o, uint64_t at, size_t end);

/* What the key at an index was at a commit, or NULL. */
const struct oracle_version *oracle_at(const struct oracle *o, uint64_t at, size_t index);

size_t oracle_alive_count(const struct oracle *o, uint64_t at);

#endif
