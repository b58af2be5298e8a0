/*
 * The world of the operating system.
 */
#ifndef VV_ENV_POSIX_H
#define VV_ENV_POSIX_H

#include "env/env.h"

/* The one instance; it has no state to free and may be used by any number of stores. */
struct vv_env *vv_env_posix(void);

#endif
