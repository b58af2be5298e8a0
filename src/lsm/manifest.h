/*
 * The MANIFEST: a record log of edits, and CURRENT, which names the one in force.
 *
 * CURRENT is one line of text: "MANIFEST-000007 0123456789abcdef\n", the name and the XXH3 of the
 * name in hexadecimal. It is a hint: if it is missing or damaged, the MANIFEST with the highest
 * number that begins with a whole snapshot is taken.
 *
 * Changing over:  write MANIFEST-m with the whole state in one snapshot edit · sync it · write
 * CURRENT.tmp · sync it · rename it to CURRENT · sync the directory · remove the old MANIFEST.
 */
#ifndef VV_LSM_MANIFEST_H
#define VV_LSM_MANIFEST_H

#include "env/env.h"
#include "lsm/edit.h"

struct vv_manifest;

/* Creates MANIFEST-`number` with this snapshot and makes it the one in force. On failure the old
 * one, if any, is still in force, except that with *unclear set nobody knows which of the two a
 * crash would find: nothing may be appended to either. */
VV_MUST int vv_manifest_create(struct vv_env *env, const char *dir, uint64_t number,
                               const struct vv_edit *snapshot, struct vv_manifest **out,
                               bool *unclear);

/* Appends an edit and syncs. After a failure the MANIFEST refuses further edits: create a new one.
 * With *unclear set, the edit may yet be found in this one; else it is certain that it is not. */
VV_MUST int vv_manifest_append(struct vv_manifest *m, const struct vv_edit *edit, bool *unclear);

uint64_t vv_manifest_number(const struct vv_manifest *m);
uint64_t vv_manifest_bytes(const struct vv_manifest *m);
void vv_manifest_close(struct vv_manifest *m); /* NULL is fine */

/* Finds the MANIFEST in force and hands each of its edits to `visit` in order. VV_NOTFOUND when the
 * directory has none. VV_CORRUPT when there is one and none can be used. */
VV_MUST int vv_manifest_read(struct vv_env *env, const char *dir,
                             int (*visit)(void *context, const struct vv_edit *edit), void *context,
                             uint64_t *number);

/* Whether the CURRENT file's text is whole; gives the number it names. */
bool vv_current_parse(vv_slice text, uint64_t *number);

/* VV_CORRUPT when there is a CURRENT whose text is not whole, though the store opens without it. */
VV_MUST int vv_current_check(struct vv_env *env, const char *dir);

/* Whether CURRENT is that of LevelDB and its descendants: the name alone, and under that name no
 * record log of ours. No damage to a CURRENT of ours looks like that. */
VV_MUST int vv_current_is_leveldb(struct vv_env *env, const char *dir, bool *out);

#endif
