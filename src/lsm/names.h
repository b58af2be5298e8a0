/*
 * The names of a store's files. All files share one number space; a number is used once.
 */
#ifndef VV_LSM_NAMES_H
#define VV_LSM_NAMES_H

#include "base/buf.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

enum { VV_PATH_SIZE_MAX = 4096 };

enum vv_name_kind {
    VV_NAME_OTHER,
    VV_NAME_CURRENT,    /* CURRENT: which MANIFEST is in force */
    VV_NAME_LOCK,       /* LOCK */
    VV_NAME_MANIFEST,   /* MANIFEST-000001 */
    VV_NAME_WAL,        /* 000001.wal */
    VV_NAME_TABLE,      /* 000001.sst */
    VV_NAME_VALUES,     /* 000001.val */
    VV_NAME_SPARE,      /* 000001.spare: a log written in advance */
    VV_NAME_KEPT,       /* 000001.kept: a log that recovery is done with, kept for its changes */
    VV_NAME_TEMP,       /* CURRENT.tmp */
    VV_NAME_UNFINISHED, /* UNFINISHED: a copy of a store is being made here */
    VV_NAME_DAMAGED,    /* <any of these>.damaged: set aside by repair */
};

enum vv_name_kind vv_name_parse(const char *name, uint64_t *number);

/* A path that fits, in a struct so that it can be returned. */
struct vv_path {
    char text[VV_PATH_SIZE_MAX];
};

/* The path of a file of this kind; `number` is ignored where names have none. The directory's name
 * must be shorter than VV_PATH_SIZE_MAX - 64, which opening a store checks. */
struct vv_path vv_path_of(const char *dir, enum vv_name_kind kind, uint64_t number);

#endif
