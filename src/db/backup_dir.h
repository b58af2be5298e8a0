/*
 * A directory of backups.
 *
 *      LOCK               held by who works in it
 *      000007.backup      a backup: what it consists of. It is there when this file is
 *      files/             what backups consist of, by origin and content:
 *          <uuid>-<number>-<hash of size and checks>.<kind>
 *
 * A backup is made by copying what files/ lacks, then writing its text under another name, and then
 * renaming that. So whatever stands in files/ and in no text, and whatever ends in ".tmp", was left by
 * one that did not come to its end.
 */
#ifndef VV_DB_BACKUP_DIR_H
#define VV_DB_BACKUP_DIR_H

#include "db/backup_text.h"
#include "db/home.h"

struct vv_backup_dir {
    struct vv_env *env;
    char path[VV_HOME_PATH_SIZE];
    char pool[VV_HOME_PATH_SIZE]; /* files/ */
    struct vv_lock *lock;
    uint64_t *ids; /* ascending */
    size_t count;
};

enum vv_backup_use {
    VV_BACKUP_READ, /* must be there; where it cannot be locked, on a medium that cannot be written,
                        it is used without */
    VV_BACKUP_WRITE, /* must be there */
    VV_BACKUP_MAKE,  /* or comes to be */
};

/* VV_MISSING, VV_FOREIGN, VV_LOCKED. Close it also after a failure. */
VV_MUST int vv_backup_dir_open(struct vv_env *env, const char *path, enum vv_backup_use use,
                               struct vv_backup_dir *out);
void vv_backup_dir_close(struct vv_backup_dir *d);

/* Reads what backup `id` says. VV_MISSING. */
VV_MUST int vv_backup_load(const struct vv_backup_dir *d, uint64_t id, struct vv_backup *out);

/* Makes the backup be there, under a new id, durably. Its files must be. */
VV_MUST int vv_backup_store(struct vv_backup_dir *d, struct vv_backup *b);

/* Takes away the oldest backups but for `keep`, durably. */
VV_MUST int vv_backup_forget(struct vv_backup_dir *d, size_t keep);

/* Removes files that no backup has, and what else was left. As long as a text cannot be read, nobody
 * knows: then only what has temporary names. */
VV_MUST int vv_backup_tidy(const struct vv_backup_dir *d);

/* Where the content of a file lies. */
VV_MUST int vv_backup_pool_path(const struct vv_backup_dir *d, const struct vv_backup_file *file,
                                char out[VV_HOME_PATH_SIZE]);

#endif
