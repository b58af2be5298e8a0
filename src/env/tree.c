#include "env/tree.h"

void vv_tree_node_deinit(struct vv_tree_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        vv_free(node->entries[i].name);
    vv_free(node->entries);
    node->entries = NULL;
    node->count = 0;
    node->cap = 0;
}

/* The index of the name, or of where it would stand. */
static size_t lower_bound(const struct vv_tree_node *dir, vv_slice name, bool *found)
{
    size_t low = 0;
    size_t high = dir->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = vv_slice_cmp(vv_slice_str(dir->entries[middle].name), name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct vv_tree_node *vv_tree_get(const struct vv_tree_node *dir, vv_slice name)
{
    bool found;
    size_t index = lower_bound(dir, name, &found);
    return found ? dir->entries[index].node : NULL;
}

static int entries_reserve(struct vv_tree_node *dir)
{
    if (dir->count < dir->cap)
        return VV_OK;
    size_t cap = dir->cap > 0 ? dir->cap * 2 : 16;
    struct vv_tree_entry *entries = vv_realloc(dir->entries, cap * sizeof *entries);
    if (entries == NULL)
        return VV_NOMEM;
    dir->entries = entries;
    dir->cap = cap;
    return VV_OK;
}

int vv_tree_put(struct vv_tree_node *dir, vv_slice name, struct vv_tree_node *node)
{
    bool found;
    size_t index = lower_bound(dir, name, &found);
    vv_assert(dir->is_dir);
    if (found) {
        dir->entries[index].node = node;
        return VV_OK;
    }
    int rc = entries_reserve(dir);
    if (rc < 0)
        return rc;
    char *copy = vv_alloc(name.size + 1);
    if (copy == NULL)
        return VV_NOMEM;
    memcpy(copy, name.data, name.size);
    copy[name.size] = 0;
    memmove(&dir->entries[index + 1], &dir->entries[index],
            (dir->count - index) * sizeof *dir->entries);
    dir->entries[index] = (struct vv_tree_entry){.name = copy, .node = node};
    dir->count++;
    return VV_OK;
}

void vv_tree_drop(struct vv_tree_node *dir, vv_slice name)
{
    bool found;
    size_t index = lower_bound(dir, name, &found);
    if (!found)
        return;
    vv_free(dir->entries[index].name);
    dir->count--;
    memmove(&dir->entries[index], &dir->entries[index + 1],
            (dir->count - index) * sizeof *dir->entries);
}

int vv_tree_move(struct vv_tree_node *dir, vv_slice from, vv_slice to)
{
    struct vv_tree_node *node = vv_tree_get(dir, from);
    vv_assert(node != NULL);
    if (vv_slice_equal(from, to))
        return VV_OK;
    int rc = vv_tree_put(dir, to, node);
    if (rc == VV_OK)
        vv_tree_drop(dir, from);
    return rc;
}

/* The next name of the path, passing over slashes and "."; false at its end. */
static bool path_next(const char **path, vv_slice *name)
{
    const char *at = *path;
    for (;;) {
        while (*at == '/')
            at++;
        size_t size = strcspn(at, "/");
        *path = at + size;
        if (size == 0)
            return false;
        *name = vv_slice_of(at, size);
        if (!vv_slice_equal(*name, vv_slice_str(".")))
            return true;
        at = *path;
    }
}

/* VV_NOTFOUND when a directory on the way is missing; the last name may lead to nothing. */
static int walk(struct vv_tree_node *root, const char *path, const char *doing,
                struct vv_tree_place *out)
{
    struct vv_tree_place place = {.dir = NULL, .name = VV_SLICE_EMPTY, .node = root};
    const char *rest = path;
    vv_slice name;
    while (path_next(&rest, &name)) {
        if (place.node == NULL)
            return VV_NOTFOUND;
        if (!place.node->is_dir)
            return vv_fail(VV_IO, "%s %s: a file stands where a directory should", doing, path);
        if (vv_slice_equal(name, vv_slice_str("..")))
            return vv_fail(VV_INVALID, "%s %s: this world knows no way up", doing, path);
        place.dir = place.node;
        place.name = name;
        place.node = vv_tree_get(place.dir, name);
    }
    *out = place;
    return VV_OK;
}

/* A name in a directory that exists, and free. */
static int find_free(struct vv_tree_node *root, const char *path, const char *doing,
                     struct vv_tree_place *out)
{
    int rc = walk(root, path, doing, out);
    if (rc < 0)
        return rc;
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_IO, "%s %s: its directory does not exist", doing, path);
    if (out->node != NULL)
        return vv_fail(VV_EXISTS, "%s %s: it exists already", doing, path);
    return VV_OK;
}

/* Something that exists. */
static int find_there(struct vv_tree_node *root, const char *path, const char *doing,
                      struct vv_tree_place *out)
{
    int rc = walk(root, path, doing, out);
    if (rc == VV_OK && out->node == NULL)
        return VV_NOTFOUND;
    return rc;
}

int vv_tree_find_open(struct vv_tree_node *root, const char *path, enum vv_open_mode mode,
                      struct vv_tree_place *out)
{
    if (mode == VV_OPEN_CREATE)
        return find_free(root, path, "create", out);
    int rc = find_there(root, path, "open", out);
    if (rc == VV_OK && out->node->is_dir)
        return vv_fail(VV_IO, "open %s: it is a directory", path);
    return rc;
}

int vv_tree_find_any(struct vv_tree_node *root, const char *path, struct vv_tree_place *out)
{
    return find_there(root, path, "stat", out);
}

int vv_tree_find_dir(struct vv_tree_node *root, const char *path, struct vv_tree_place *out)
{
    int rc = find_there(root, path, "open directory", out);
    if (rc == VV_OK && !out->node->is_dir)
        return vv_fail(VV_IO, "open directory %s: it is a file", path);
    return rc;
}

int vv_tree_find_new_dir(struct vv_tree_node *root, const char *path, struct vv_tree_place *out)
{
    return find_free(root, path, "make directory", out);
}

int vv_tree_find_empty_dir(struct vv_tree_node *root, const char *path, struct vv_tree_place *out)
{
    int rc = find_there(root, path, "remove directory", out);
    if (rc != VV_OK)
        return rc;
    if (!out->node->is_dir)
        return vv_fail(VV_IO, "remove directory %s: it is a file", path);
    if (out->dir == NULL)
        return vv_fail(VV_IO, "remove directory %s: it is the root", path);
    if (out->node->count > 0)
        return vv_fail(VV_IO, "remove directory %s: it is not empty", path);
    return VV_OK;
}

int vv_tree_find_file(struct vv_tree_node *root, const char *path, struct vv_tree_place *out)
{
    int rc = find_there(root, path, "remove", out);
    if (rc == VV_OK && out->node->is_dir)
        return vv_fail(VV_IO, "remove %s: it is a directory", path);
    return rc;
}

int vv_tree_find_rename(struct vv_tree_node *root, const char *from, const char *to,
                        struct vv_tree_place *from_out, struct vv_tree_place *to_out)
{
    int rc = find_there(root, from, "rename", from_out);
    if (rc < 0)
        return rc;
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_IO, "rename %s: it does not exist", from);
    rc = walk(root, to, "rename to", to_out);
    if (rc < 0)
        return rc;
    if (rc == VV_NOTFOUND || to_out->dir != from_out->dir || to_out->dir == NULL)
        return vv_fail(VV_IO, "rename %s to %s: not within one directory", from, to);
    if (to_out->node == NULL || to_out->node == from_out->node)
        return VV_OK;
    if (to_out->node->is_dir != from_out->node->is_dir)
        return vv_fail(VV_IO, "rename %s to %s: a file and a directory", from, to);
    if (to_out->node->count > 0)
        return vv_fail(VV_IO, "rename %s to %s: the directory is not empty", from, to);
    return VV_OK;
}

int vv_tree_find_link(struct vv_tree_node *root, const char *from, const char *to,
                      struct vv_tree_place *from_out, struct vv_tree_place *to_out)
{
    int rc = find_there(root, from, "link", from_out);
    if (rc != VV_OK)
        return rc;
    if (from_out->node->is_dir)
        return vv_fail(VV_UNSUPPORTED, "link %s: it is a directory", from);
    return find_free(root, to, "link", to_out);
}
