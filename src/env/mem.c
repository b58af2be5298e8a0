/*
 * The world in memory.
 *
 * A file is a table of chunks that do not move while it grows; a hole is a chunk that is not there.
 * Mapping copies a file once into one piece, a `whole`, and from then on that piece is its chunks.
 *
 *      chunks  [0] [1] [2] [3]              after mapping:  [0] [1] [2] [3]
 *               │   │   ·   │                                │   │   │   │
 *             pages pages  pages                     whole  ─┴───┴───┴───┴─
 */
#include "env/mem.h"

#include "env/posix.h"
#include "env/thread.h"
#include "env/tree.h"

enum { CHUNK_SIZE = 256 << 10, PAGE_BYTES = 4096, RANK_WORLD = 900, RANK_FILE = 910 };

struct whole {
    struct whole *older; /* kept for the maps that were made of it */
    uint8_t *bytes;
    size_t size_bytes; /* a multiple of CHUNK_SIZE */
};

/*
 * Invariants: no chunk stands behind the table's end; whatever a chunk holds behind the file's end
 * is zero; the first chunks, as many as the newest whole has, lie in it.
 */
struct mem_node {
    struct vv_tree_node tree; /* protected by the world's mutex, like the next four */
    struct mem_node *prev;
    struct mem_node *next;
    uint32_t handle_count; /* open files and the lock */
    uint32_t name_count;   /* more than one after linking */
    bool locked;

    struct vv_mutex mu; /* protects all below; rank 910 */
    uint64_t size_bytes;
    uint8_t **chunks;
    size_t chunk_count; /* of the table */
    struct whole *whole;
};

struct mem_world {
    struct vv_env base;

    struct vv_mutex mu; /* protects all below and the tree; rank 900 */
    struct mem_node *root;
    struct mem_node *nodes; /* all of them, for freeing the world */
    uint64_t handle_count;
};

struct mem_file {
    struct vv_file base;
    struct mem_node *node;
    char path[];
};

struct mem_lock {
    struct vv_lock base;
    struct mem_node *node;
};

static struct mem_world *world_of(struct vv_env *env)
{
    return (struct mem_world *)(void *)env;
}

static struct mem_file *file_of(struct vv_file *file)
{
    return (struct mem_file *)(void *)file;
}

static struct mem_node *node_of(struct vv_tree_node *tree)
{
    return (struct mem_node *)(void *)tree;
}

/* ---- bytes */

static size_t whole_chunks(const struct mem_node *node)
{
    return node->whole == NULL ? 0 : node->whole->size_bytes / CHUNK_SIZE;
}

static size_t chunks_for(uint64_t size_bytes)
{
    return (size_t)(size_bytes / CHUNK_SIZE + (size_bytes % CHUNK_SIZE > 0));
}

static int table_reserve_locked(struct mem_node *node, size_t count)
{
    vv_mutex_assert_held(&node->mu);
    if (count <= node->chunk_count)
        return VV_OK;
    if (count < node->chunk_count + node->chunk_count / 2)
        count = node->chunk_count + node->chunk_count / 2;
    uint8_t **chunks = vv_realloc(node->chunks, count * sizeof *chunks);
    if (chunks == NULL)
        return VV_NOMEM;
    for (size_t i = node->chunk_count; i < count; i++)
        chunks[i] = NULL;
    node->chunks = chunks;
    node->chunk_count = count;
    return VV_OK;
}

static int write_part_locked(struct mem_node *node, uint64_t offset, vv_slice part)
{
    vv_mutex_assert_held(&node->mu);
    while (part.size > 0) {
        size_t index = (size_t)(offset / CHUNK_SIZE);
        size_t begin = (size_t)(offset % CHUNK_SIZE);
        size_t size = part.size < CHUNK_SIZE - begin ? part.size : CHUNK_SIZE - begin;
        int rc = table_reserve_locked(node, index + 1);
        if (rc < 0)
            return rc;
        if (node->chunks[index] == NULL)
            node->chunks[index] = vv_pages_alloc(CHUNK_SIZE);
        if (node->chunks[index] == NULL)
            return VV_NOMEM;
        memcpy(node->chunks[index] + begin, part.data, size);
        offset += size;
        part = vv_slice_skip(part, size);
        if (node->size_bytes < offset)
            node->size_bytes = offset;
    }
    return VV_OK;
}

static int mem_write_at(struct vv_file *file, uint64_t offset, const vv_slice *parts, size_t count)
{
    struct mem_node *node = file_of(file)->node;
    int rc = VV_OK;
    vv_mutex_lock(&node->mu);
    for (size_t i = 0; i < count && rc == VV_OK; i++) {
        rc = write_part_locked(node, offset, parts[i]);
        offset += parts[i].size;
    }
    vv_mutex_unlock(&node->mu);
    return rc < 0 ? vv_fail_in(rc, "write %s", file->path) : rc;
}

static int mem_read_at(struct vv_file *file, uint64_t offset, void *into, size_t want, size_t *got)
{
    struct mem_node *node = file_of(file)->node;
    uint8_t *to = into;
    size_t done = 0;
    vv_mutex_lock(&node->mu);
    uint64_t left = offset < node->size_bytes ? node->size_bytes - offset : 0;
    if (want > left)
        want = (size_t)left;
    while (done < want) {
        size_t index = (size_t)((offset + done) / CHUNK_SIZE);
        size_t begin = (size_t)((offset + done) % CHUNK_SIZE);
        size_t size = want - done < CHUNK_SIZE - begin ? want - done : CHUNK_SIZE - begin;
        if (index < node->chunk_count && node->chunks[index] != NULL)
            memcpy(to + done, node->chunks[index] + begin, size);
        else
            memset(to + done, 0, size);
        done += size;
    }
    vv_mutex_unlock(&node->mu);
    *got = done;
    return VV_OK;
}

static int mem_truncate(struct vv_file *file, uint64_t size_bytes)
{
    struct mem_node *node = file_of(file)->node;
    vv_mutex_lock(&node->mu);
    size_t begin = (size_t)(size_bytes % CHUNK_SIZE);
    for (size_t i = (size_t)(size_bytes / CHUNK_SIZE); i < node->chunk_count; i++) {
        if (node->chunks[i] != NULL && (begin > 0 || i < whole_chunks(node))) {
            memset(node->chunks[i] + begin, 0, CHUNK_SIZE - begin);
        } else {
            vv_pages_free(node->chunks[i], CHUNK_SIZE);
            node->chunks[i] = NULL;
        }
        begin = 0;
    }
    node->size_bytes = size_bytes;
    vv_mutex_unlock(&node->mu);
    return VV_OK;
}

/* Copies the file into one piece of memory, holes and all. */
static int whole_build_locked(struct mem_node *node)
{
    vv_mutex_assert_held(&node->mu);
    size_t count = chunks_for(node->size_bytes);
    int rc = table_reserve_locked(node, count);
    if (rc < 0)
        return rc;
    struct whole *whole = vv_alloc(sizeof *whole);
    if (whole == NULL)
        return VV_NOMEM;
    *whole = (struct whole){.older = node->whole, .size_bytes = count * CHUNK_SIZE};
    whole->bytes = vv_pages_alloc(whole->size_bytes);
    if (whole->bytes == NULL) {
        vv_free(whole);
        return VV_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *to = whole->bytes + i * CHUNK_SIZE;
        uint64_t left = node->size_bytes - (uint64_t)i * CHUNK_SIZE;
        if (node->chunks[i] != NULL) /* what is not copied stays untouched, and costs nothing */
            memcpy(to, node->chunks[i], left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE);
        if (i >= whole_chunks(node))
            vv_pages_free(node->chunks[i], CHUNK_SIZE);
        node->chunks[i] = to;
    }
    node->whole = whole;
    return VV_OK;
}

static int mem_map(struct vv_file *file, size_t size_bytes, const uint8_t **out)
{
    struct mem_node *node = file_of(file)->node;
    int rc = VV_OK;
    vv_mutex_lock(&node->mu);
    if (whole_chunks(node) < chunks_for(size_bytes))
        rc = whole_build_locked(node);
    if (rc == VV_OK)
        *out = node->whole->bytes;
    vv_mutex_unlock(&node->mu);
    return rc < 0 ? vv_fail_in(rc, "map %s", file->path) : rc;
}

static void mem_unmap(struct vv_file *file, const uint8_t *map, size_t size_bytes)
{
    (void)file;
    (void)map;
    (void)size_bytes;
}

static int mem_size(struct vv_file *file, uint64_t *out)
{
    struct mem_node *node = file_of(file)->node;
    vv_mutex_lock(&node->mu);
    *out = node->size_bytes;
    vv_mutex_unlock(&node->mu);
    return VV_OK;
}

/* Memory is as durable as it gets. */
static int mem_sync(struct vv_file *file)
{
    (void)file;
    return VV_OK;
}

static void mem_hint(struct vv_file *file, uint64_t offset, uint64_t size_bytes)
{
    (void)file;
    (void)offset;
    (void)size_bytes;
}

/* ---- nodes */

static struct mem_node *node_new_locked(struct mem_world *world, enum vv_path_kind kind)
{
    vv_mutex_assert_held(&world->mu);
    struct mem_node *node = vv_alloc_zero(sizeof *node);
    if (node == NULL)
        return NULL;
    node->tree.is_dir = kind == VV_PATH_DIR;
    node->name_count = 1;
    vv_mutex_init(&node->mu, RANK_FILE);
    node->next = world->nodes;
    if (world->nodes != NULL)
        world->nodes->prev = node;
    world->nodes = node;
    return node;
}

static void node_free_locked(struct mem_world *world, struct mem_node *node)
{
    vv_mutex_assert_held(&world->mu);
    if (node->next != NULL)
        node->next->prev = node->prev;
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        world->nodes = node->next;
    for (size_t i = whole_chunks(node); i < node->chunk_count; i++)
        vv_pages_free(node->chunks[i], CHUNK_SIZE);
    while (node->whole != NULL) {
        struct whole *whole = node->whole;
        node->whole = whole->older;
        vv_pages_free(whole->bytes, whole->size_bytes);
        vv_free(whole);
    }
    vv_free(node->chunks);
    vv_mutex_deinit(&node->mu);
    vv_tree_node_deinit(&node->tree);
    vv_free(node);
}

static void node_settle_locked(struct mem_world *world, struct mem_node *node)
{
    if (node->name_count == 0 && node->handle_count == 0)
        node_free_locked(world, node);
}

static void handle_add_locked(struct mem_world *world, struct mem_node *node)
{
    node->handle_count++;
    world->handle_count++;
}

static void handle_drop_locked(struct mem_world *world, struct mem_node *node)
{
    vv_assert(node->handle_count > 0);
    node->handle_count--;
    world->handle_count--;
    node_settle_locked(world, node);
}

/* Makes a node and gives it the free name found before. */
static int node_make_locked(struct mem_world *world, const struct vv_tree_place *place,
                            enum vv_path_kind kind, struct mem_node **out)
{
    struct mem_node *node = node_new_locked(world, kind);
    if (node == NULL)
        return VV_NOMEM;
    int rc = vv_tree_put(place->dir, place->name, &node->tree);
    if (rc < 0) {
        node_free_locked(world, node);
        return rc;
    }
    *out = node;
    return VV_OK;
}

static void node_unlink_locked(struct mem_world *world, const struct vv_tree_place *place)
{
    struct mem_node *node = node_of(place->node);
    vv_tree_drop(place->dir, place->name);
    node->name_count--;
    node_settle_locked(world, node);
}

/* ---- names */

static int open_locked(struct mem_world *world, const char *path, enum vv_open_mode mode,
                       struct mem_node **out)
{
    struct vv_tree_place place;
    int rc = vv_tree_find_open(&world->root->tree, path, mode, &place);
    if (rc != VV_OK)
        return rc;
    if (mode == VV_OPEN_CREATE)
        rc = node_make_locked(world, &place, VV_PATH_FILE, out);
    else
        *out = node_of(place.node);
    if (rc == VV_OK)
        handle_add_locked(world, *out);
    return rc;
}

static int mem_open(struct vv_env *env, const char *path, enum vv_open_mode mode,
                    struct vv_file **out)
{
    struct mem_world *world = world_of(env);
    size_t path_size = strlen(path) + 1;
    struct mem_file *file = vv_alloc(sizeof *file + path_size);
    if (file == NULL)
        return VV_NOMEM;
    memcpy(file->path, path, path_size);
    file->base.env = env;
    file->base.path = file->path;
    vv_mutex_lock(&world->mu);
    int rc = open_locked(world, path, mode, &file->node);
    vv_mutex_unlock(&world->mu);
    if (rc == VV_OK)
        *out = &file->base;
    else
        vv_free(file);
    return rc;
}

static void mem_close(struct vv_file *base)
{
    struct mem_world *world = world_of(base->env);
    struct mem_file *file = file_of(base);
    vv_mutex_lock(&world->mu);
    handle_drop_locked(world, file->node);
    vv_mutex_unlock(&world->mu);
    vv_free(file);
}

static int mem_sync_dir(struct vv_env *env, const char *path)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place place;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_dir(&world->root->tree, path, &place);
    vv_mutex_unlock(&world->mu);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_IO, "sync directory %s: it does not exist", path);
    return rc;
}

static int mem_make_dir(struct vv_env *env, const char *path)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place place;
    struct mem_node *node;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_new_dir(&world->root->tree, path, &place);
    if (rc == VV_OK)
        rc = node_make_locked(world, &place, VV_PATH_DIR, &node);
    vv_mutex_unlock(&world->mu);
    return rc;
}

static int mem_remove_dir(struct vv_env *env, const char *path)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place place;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_empty_dir(&world->root->tree, path, &place);
    if (rc == VV_OK)
        node_unlink_locked(world, &place);
    vv_mutex_unlock(&world->mu);
    return rc;
}

static int mem_remove(struct vv_env *env, const char *path)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place place;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_file(&world->root->tree, path, &place);
    if (rc == VV_OK)
        node_unlink_locked(world, &place);
    vv_mutex_unlock(&world->mu);
    return rc;
}

static int mem_rename(struct vv_env *env, const char *from, const char *to)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place source;
    struct vv_tree_place target;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_rename(&world->root->tree, from, to, &source, &target);
    if (rc == VV_OK)
        rc = vv_tree_move(source.dir, source.name, target.name);
    if (rc == VV_OK && target.node != NULL && target.node != source.node) {
        node_of(target.node)->name_count--;
        node_settle_locked(world, node_of(target.node));
    }
    vv_mutex_unlock(&world->mu);
    return rc;
}

static int mem_link(struct vv_env *env, const char *from, const char *to)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place source;
    struct vv_tree_place target;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_link(&world->root->tree, from, to, &source, &target);
    if (rc == VV_OK)
        rc = vv_tree_put(target.dir, target.name, source.node);
    if (rc == VV_OK)
        node_of(source.node)->name_count++;
    vv_mutex_unlock(&world->mu);
    return rc;
}

static struct vv_path_info info_of(struct mem_node *node)
{
    struct vv_path_info info = {.kind = VV_PATH_DIR};
    if (node->tree.is_dir)
        return info;
    info.kind = VV_PATH_FILE;
    vv_mutex_lock(&node->mu);
    info.size_bytes = node->size_bytes;
    for (size_t i = 0; i < chunks_for(node->size_bytes) && i < node->chunk_count; i++) {
        uint64_t left = node->size_bytes - (uint64_t)i * CHUNK_SIZE;
        if (node->chunks[i] != NULL)
            info.used_bytes +=
                left < CHUNK_SIZE ? (left + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES : CHUNK_SIZE;
    }
    vv_mutex_unlock(&node->mu);
    return info;
}

static int mem_info(struct vv_env *env, const char *path, struct vv_path_info *out)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place place;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_any(&world->root->tree, path, &place);
    if (rc == VV_OK)
        *out = info_of(node_of(place.node));
    vv_mutex_unlock(&world->mu);
    return rc;
}

static int mem_list(struct vv_env *env, const char *path, struct vv_buf *names)
{
    struct mem_world *world = world_of(env);
    struct vv_tree_place place;
    vv_mutex_lock(&world->mu);
    int rc = vv_tree_find_dir(&world->root->tree, path, &place);
    for (size_t i = 0; rc == VV_OK && i < place.node->count; i++) {
        const char *name = place.node->entries[i].name;
        rc = vv_buf_append(names, name, strlen(name) + 1);
    }
    vv_mutex_unlock(&world->mu);
    return rc;
}

/* ---- locks */

static int lock_locked(struct mem_world *world, const char *path, struct mem_node **out)
{
    struct mem_node *node;
    int rc = open_locked(world, path, VV_OPEN_WRITE, &node);
    if (rc == VV_NOTFOUND)
        rc = open_locked(world, path, VV_OPEN_CREATE, &node);
    if (rc != VV_OK)
        return rc;
    if (node->locked) {
        handle_drop_locked(world, node);
        return vv_fail(VV_LOCKED, "lock %s: another handle holds it", path);
    }
    node->locked = true;
    *out = node;
    return VV_OK;
}

static int mem_lock(struct vv_env *env, const char *path, struct vv_lock **out)
{
    struct mem_world *world = world_of(env);
    struct mem_lock *lock = vv_alloc(sizeof *lock);
    if (lock == NULL)
        return VV_NOMEM;
    lock->base.env = env;
    vv_mutex_lock(&world->mu);
    int rc = lock_locked(world, path, &lock->node);
    vv_mutex_unlock(&world->mu);
    if (rc == VV_OK)
        *out = &lock->base;
    else
        vv_free(lock);
    return rc;
}

static void mem_unlock(struct vv_lock *base)
{
    struct mem_world *world = world_of(base->env);
    struct mem_lock *lock = (struct mem_lock *)(void *)base;
    vv_mutex_lock(&world->mu);
    lock->node->locked = false;
    handle_drop_locked(world, lock->node);
    vv_mutex_unlock(&world->mu);
    vv_free(lock);
}

/* ---- time and chance are the system's */

static uint64_t mem_now_us(struct vv_env *env)
{
    (void)env;
    return vv_env_now_us(vv_env_posix());
}

static uint64_t mem_wall_us(struct vv_env *env)
{
    (void)env;
    return vv_env_wall_us(vv_env_posix());
}

static void mem_sleep_us(struct vv_env *env, uint64_t us)
{
    (void)env;
    vv_env_sleep_us(vv_env_posix(), us);
}

static int mem_random(struct vv_env *env, void *into, size_t size_bytes)
{
    (void)env;
    return vv_env_random(vv_env_posix(), into, size_bytes);
}

static void mem_facts(struct vv_env *env, struct vv_env_facts *out)
{
    (void)env;
    vv_env_facts(vv_env_posix(), out);
}

/* ---- the world */

static const struct vv_env_ops mem_ops = {
    .open = mem_open,
    .close = mem_close,
    .read_at = mem_read_at,
    .write_at = mem_write_at,
    .sync = mem_sync,
    .truncate = mem_truncate,
    .size = mem_size,
    .push = mem_hint,
    .forget = mem_hint,
    .map = mem_map,
    .unmap = mem_unmap,
    .sync_dir = mem_sync_dir,
    .make_dir = mem_make_dir,
    .remove_dir = mem_remove_dir,
    .rename = mem_rename,
    .link = mem_link,
    .remove = mem_remove,
    .info = mem_info,
    .list = mem_list,
    .lock = mem_lock,
    .unlock = mem_unlock,
    .now_us = mem_now_us,
    .wall_us = mem_wall_us,
    .sleep_us = mem_sleep_us,
    .random = mem_random,
    .facts = mem_facts,
};

int vv_env_mem_new(struct vv_env **out)
{
    struct mem_world *world = vv_alloc_zero(sizeof *world);
    if (world == NULL)
        return VV_NOMEM;
    world->base.ops = &mem_ops;
    vv_mutex_init(&world->mu, RANK_WORLD);
    vv_mutex_lock(&world->mu);
    world->root = node_new_locked(world, VV_PATH_DIR);
    vv_mutex_unlock(&world->mu);
    if (world->root == NULL) {
        vv_env_mem_free(&world->base);
        return VV_NOMEM;
    }
    *out = &world->base;
    return VV_OK;
}

void vv_env_mem_free(struct vv_env *env)
{
    if (env == NULL)
        return;
    struct mem_world *world = world_of(env);
    vv_mutex_lock(&world->mu);
    vv_assert(world->handle_count == 0);
    while (world->nodes != NULL)
        node_free_locked(world, world->nodes);
    vv_mutex_unlock(&world->mu);
    vv_mutex_deinit(&world->mu);
    vv_free(world);
}
