/*
 * What somebody has who knows a store by its changes alone.
 */
#ifndef VV_TEST_HARNESS_REPLICA_H
#define VV_TEST_HARNESS_REPLICA_H

#include "harness/rig.h"

/* Zeroed memory knows nothing, as of before the first commit. */
struct replica {
    struct oracle state; /* of the default keyspace */
    uint64_t known;      /* sequence of the last change */
    uint64_t commit;     /* of the rig, whose state this is */
    varve_changes *feed; /* or NULL */
};

void replica_deinit(struct replica *p);

/* Closes the feed, if there is one, and opens it where it was, in any handle of the store. */
int replica_open(struct replica *p, varve *db);
void replica_close(struct replica *p);

/* Follows the feed to its end. Fails the test unless each commit leads to the state that the rig had
 * after its next one. VARVE_END, or the
 * failure of varve_changes_next or varve_changes_each. */
int replica_follow(struct replica *p, const struct rig *r);

/* Whether the rig had the same at that commit. */
bool replica_shows(struct replica *p, const struct rig *r, uint64_t commit);

/* Takes over the rig's state at a commit, which the store shows. */
void replica_begin(struct replica *p, const struct rig *r, uint64_t commit, uint64_t seq);

#endif
