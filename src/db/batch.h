/*
 * The user's batch: kv's encoding, and what the store wants to know before it walks it.
 */
#ifndef VV_DB_BATCH_H
#define VV_DB_BATCH_H

#include "kv/batch.h"

#include <varve/varve.h>

struct varve_batch {
    struct vv_batch ops;
    uint64_t user_bytes; /* of all keys and values */
    uint64_t value_largest;
    uint32_t puts, deletes;
    uint32_t ttls;   /* of the puts: PUT_EXPIRES whose times count from the write */
    uint32_t merges; /* of the puts, too */
    const struct vv_root
        *root; /* whose keyspaces it has changes for; NULL: the default one's only */
};

/* What the world is shown of an operation; of a reference, the value is not for it to see. */
varve_change vv_change_of(const struct vv_entry *op);

#endif
