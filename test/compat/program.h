/*
 * What the programs beside this file share. They know LevelDB's C API and nothing of varve.
 */
#ifndef VV_TEST_COMPAT_PROGRAM_H
#define VV_TEST_COMPAT_PROGRAM_H

#include <leveldb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program when a call has failed. */
static inline void must(const char *error)
{
    if (error == NULL)
        return;
    printf("failed: %s\n", error);
    exit(1);
}

/* ---- an order of its own: the bytewise one, backward */

static inline int backward_compare(void *state, const char *a, size_t alen, const char *b,
                                   size_t blen)
{
    size_t size = alen < blen ? alen : blen;
    int order = size > 0 ? memcmp(b, a, size) : 0;
    (void)state;
    return order != 0 ? order : (blen > alen) - (blen < alen);
}

static inline const char *backward_name(void *state)
{
    (void)state;
    return "backward";
}

static inline void backward_destroy(void *state)
{
    (void)state;
}

static inline leveldb_comparator_t *backward_create(void)
{
    return leveldb_comparator_create(NULL, backward_destroy, backward_compare, backward_name);
}

#endif
