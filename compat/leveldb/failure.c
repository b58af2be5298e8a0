/*
 * Failures in LevelDB's words: the kind, a colon, varve's story.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

static void *not_null(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "libleveldb: out of memory\n");
        abort();
    }
    return memory;
}

void *vv_leveldb_new(size_t size)
{
    return not_null(calloc(1, size));
}

static const char *kind_of(int rc)
{
    switch (rc) {
    case VARVE_CORRUPT: return "Corruption";
    case VARVE_UNSUPPORTED: return "Not implemented";
    case VARVE_INVALID:
    case VARVE_EXISTS:
    case VARVE_MISSING:
    case VARVE_FOREIGN:
    case VARVE_TOOBIG: return "Invalid argument";
    default: return "IO error";
    }
}

static char *text_of(const char *kind, const char *name, const char *story)
{
    const char *colon = name[0] != 0 ? ": " : "";
    size_t size = strlen(kind) + 2 + strlen(name) + strlen(colon) + strlen(story) + 1;
    char *text = vv_leveldb_new(size);
    (void)snprintf(text, size, "%s: %s%s%s", kind, name, colon, story);
    return text;
}

char *vv_leveldb_failure(int rc)
{
    return text_of(kind_of(rc), "", varve_last_error());
}

void vv_leveldb_fail(char **errptr, char *text_take)
{
    free(*errptr);
    *errptr = text_take;
}

void vv_leveldb_fail_at(char **errptr, const char *kind, const char *name, const char *what)
{
    vv_leveldb_fail(errptr, text_of(kind, name, what));
}

bool vv_leveldb_fine(char **errptr, int rc)
{
    if (rc >= 0)
        return true;
    vv_leveldb_fail(errptr, vv_leveldb_failure(rc));
    return false;
}
