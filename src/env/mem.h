/*
 * A world in memory: for in-memory stores and for tests. Files live until the world is freed.
 */
#ifndef VV_ENV_MEM_H
#define VV_ENV_MEM_H

#include "env/env.h"

/* A new, empty world with one directory, "/". Its clocks and randomness are the system's. Maps
 * hand out the file's own bytes. Memory of files is charged to nobody: it is the data. */
VV_MUST int vv_env_mem_new(struct vv_env **out);

/* All files must be closed and locks released. NULL is fine. */
void vv_env_mem_free(struct vv_env *env);

#endif
