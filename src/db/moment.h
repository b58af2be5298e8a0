/*
 * Getting hold of a moment of an open store, as files.
 */
#ifndef VV_DB_MOMENT_H
#define VV_DB_MOMENT_H

#include "db/store.h"

/* Flushes what was written before the call, and shows a moment that has it all to `visit`, whose result
 * becomes its own. */
VV_MUST int vv_store_moment(struct vv_store *s,
                            int (*visit)(void *context, const struct vv_moment *moment),
                            void *context);

/* The world in which a copy of the store is made: a store in memory is copied to the disk. */
struct vv_env *vv_store_world_of_copies(const struct vv_store *s);

#endif
