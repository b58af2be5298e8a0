/*
 * Options: from text, to text, and from what the user left open to what is in force.
 */
#ifndef VV_DB_OPTIONS_H
#define VV_DB_OPTIONS_H

#include "base/buf.h"
#include "env/env.h"

#include <varve/varve.h>

/* Checks `given` (NULL: all defaults) and fills every default in. VV_INVALID names what is wrong;
 * VV_UNSUPPORTED for what a newer header has and this library has not. */
VV_MUST int vv_options_resolve(const varve_options *given, const struct vv_env_facts *facts,
                               varve_options *out);

/* VV_OK, also for NULL, or VV_INVALID. */
VV_MUST int vv_comparator_check(const varve_comparator *comparator);

/* Appends the options as varve_options_set takes them. */
VV_MUST int vv_options_print(const varve_options *options, struct vv_buf *out);

#endif
