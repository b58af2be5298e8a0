/*
 * The open bulks of a store, which its closing takes the engine's side from.
 */
#ifndef VV_DB_BULK_H
#define VV_DB_BULK_H

#include "env/thread.h"

struct varve_bulk;
struct vv_store;

struct vv_bulks {
    struct vv_mutex
        mu; /* protects the list and its links; rank 31, held while an ingest is ended */
    struct varve_bulk *newest;
};

void vv_bulks_init(struct vv_bulks *b);
void vv_bulks_deinit(struct vv_bulks *b);

/* Ends the engine's side of all that are open. Requires that the guard is shut and empty. */
void vv_bulks_detach(struct vv_store *s);

#endif
