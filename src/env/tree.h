/*
 * Names of the worlds that keep their files in memory: directories, and the rules of what may be
 * opened, made, removed and renamed. Private to this room.
 *
 * A world embeds vv_tree_node as the first member of its own node, and brings its own locking. The
 * finding functions judge and change nothing; vv_tree_put and vv_tree_drop change one directory.
 * Paths start at the root, with or without a leading slash.
 */
#ifndef VV_ENV_TREE_H
#define VV_ENV_TREE_H

#include "env/env.h"

struct vv_tree_node;

struct vv_tree_entry {
    char *name;
    struct vv_tree_node *node;
};

/* Zeroed memory is an empty file; with `is_dir` set, an empty directory. */
struct vv_tree_node {
    bool is_dir;
    struct vv_tree_entry *entries; /* of a directory, ordered by name */
    size_t count;
    size_t cap;
};

/* What a path leads to. The name is borrowed from the path. */
struct vv_tree_place {
    struct vv_tree_node *dir; /* NULL for the root itself */
    vv_slice name;
    struct vv_tree_node *node; /* NULL when the directory has no such name */
};

void vv_tree_node_deinit(struct vv_tree_node *node); /* the names, not what they lead to */

/* NULL when there is no such name. */
struct vv_tree_node *vv_tree_get(const struct vv_tree_node *dir, vv_slice name);

/* Gives `node` a name, in place of what had it. Copies the name. */
VV_MUST int vv_tree_put(struct vv_tree_node *dir, vv_slice name, struct vv_tree_node *node);
void vv_tree_drop(struct vv_tree_node *dir, vv_slice name); /* fine when it is not there */

/* Gives what is called `from` the name `to`, in place of what had it; the whole change or none. */
VV_MUST int vv_tree_move(struct vv_tree_node *dir, vv_slice from, vv_slice to);

/* For opening: in mode VV_OPEN_CREATE a free name in a directory that exists, else a file. */
VV_MUST int vv_tree_find_open(struct vv_tree_node *root, const char *path, enum vv_open_mode mode,
                              struct vv_tree_place *out);
VV_MUST int vv_tree_find_any(struct vv_tree_node *root, const char *path,
                             struct vv_tree_place *out); /* or VV_NOTFOUND */
VV_MUST int vv_tree_find_dir(struct vv_tree_node *root, const char *path,
                             struct vv_tree_place *out); /* or VV_NOTFOUND */

/* For making and removing a directory, for removing a file, for renaming. */
VV_MUST int vv_tree_find_new_dir(struct vv_tree_node *root, const char *path,
                                 struct vv_tree_place *out);
VV_MUST int vv_tree_find_empty_dir(struct vv_tree_node *root, const char *path,
                                   struct vv_tree_place *out); /* or VV_NOTFOUND */
VV_MUST int vv_tree_find_file(struct vv_tree_node *root, const char *path,
                              struct vv_tree_place *out); /* or VV_NOTFOUND */
VV_MUST int vv_tree_find_rename(struct vv_tree_node *root, const char *from, const char *to,
                                struct vv_tree_place *from_out, struct vv_tree_place *to_out);
/* For linking: a file, and a free name in a directory that exists. */
VV_MUST int vv_tree_find_link(struct vv_tree_node *root, const char *from, const char *to,
                              struct vv_tree_place *from_out,
                              struct vv_tree_place *to_out); /* or VV_NOTFOUND */

#endif
