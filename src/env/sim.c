/*
 * The simulated world: its calls.
 *
 * Each mutating call first judges whether it could work at all, then meets its fault if one is due,
 * then does its work, then enters the log. Only the first may refuse without being counted.
 */
#include "env/sim_internal.h"

#include <inttypes.h>

/* Files live in one piece each. */
#define SIM_FILE_BYTES_MAX ((uint64_t)1 << 30)

/* Microseconds between 1970 and the beginning of the world. */
#define WALL_SINCE_1970_US ((uint64_t)1700000000 * 1000000)

struct sim_file {
    struct vv_file base;
    struct sim_node *node;
    char path[];
};

struct sim_lock {
    struct vv_lock base;
    struct sim_node *node;
};

static struct sim_file *file_of(struct vv_file *file)
{
    return (struct sim_file *)(void *)file;
}

/* Every call takes a microsecond, so that no loop waits for ever on a clock that stands still. */
static struct sim_world *enter(struct vv_env *env)
{
    struct sim_world *world = sim_world_of(env);
    world->clock_us++;
    return world;
}

/* ---- faults */

enum {
    MEETS_IO = 1 << VV_SIM_FAULT_IO,
    MEETS_FULL = 1 << VV_SIM_FAULT_FULL,
    MEETS_SHORT = 1 << VV_SIM_FAULT_SHORT,
    MEETS_SYNC_LOST = 1 << VV_SIM_FAULT_SYNC_LOST,
};

static bool is_due(const struct sim_fault *fault, uint64_t number)
{
    if (fault->kind == VV_SIM_FAULT_NONE || number < fault->from)
        return false;
    return number == fault->from || fault->sticky;
}

/* The fault that the coming call meets, of those that `meets` says apply to it. */
static enum vv_sim_fault fault_now(const struct sim_world *world, unsigned meets)
{
    bool due = is_due(&world->fault, world->op_count + 1);
    return due && (meets >> world->fault.kind & 1) > 0 ? world->fault.kind : VV_SIM_FAULT_NONE;
}

static int fault_fail(enum vv_sim_fault fault, const char *doing, const char *path)
{
    if (fault == VV_SIM_FAULT_FULL)
        return vv_fail(VV_FULL, "%s %s: no space left (simulated)", doing, path);
    return vv_fail(VV_IO, "%s %s: input/output error (simulated)", doing, path);
}

static uint64_t room_left(const struct sim_world *world)
{
    if (world->capacity_bytes == 0)
        return UINT64_MAX;
    return world->used_bytes < world->capacity_bytes ? world->capacity_bytes - world->used_bytes
                                                     : 0;
}

/* ---- handles */

static void handle_add(struct sim_world *world, struct sim_node *node)
{
    node->handle_count++;
    world->handle_count++;
}

static void handle_drop(struct sim_world *world, struct sim_node *node)
{
    vv_assert(node->handle_count > 0);
    node->handle_count--;
    world->handle_count--;
    vv_sim_node_settle(world, node);
}

/* ---- names */

/* Makes a node under a name that was found free, and logs it. */
static int make(struct sim_world *world, const struct vv_tree_place *place, enum vv_path_kind kind,
                const char *path, struct sim_node **out)
{
    struct sim_op op = {.kind = kind == VV_PATH_DIR ? SIM_OP_MAKE_DIR : SIM_OP_CREATE,
                        .owner = sim_node_of(place->dir)};
    struct sim_node *node;
    int rc;
    if ((rc = vv_sim_op_reserve(world)) < 0 ||
        (rc = vv_sim_text_keep(world, place->name, &op.name)) < 0)
        return rc;
    enum vv_sim_fault fault = fault_now(world, MEETS_IO | MEETS_FULL);
    if (fault == VV_SIM_FAULT_NONE && room_left(world) == 0)
        fault = VV_SIM_FAULT_FULL;
    if (fault != VV_SIM_FAULT_NONE) {
        op.failed = true;
        vv_sim_op_add(world, op);
        return fault_fail(fault, "create", path);
    }
    if ((rc = vv_sim_node_new(world, kind, &node)) < 0)
        return rc;
    if ((rc = vv_tree_put(place->dir, place->name, &node->tree)) < 0) {
        vv_sim_node_undo(world, node);
        return rc;
    }
    node->dir = sim_node_of(place->dir);
    node->name = op.name;
    node->name_count = 1;
    op.node = node;
    vv_sim_op_add(world, op);
    *out = node;
    return VV_OK;
}

/* Opens without a handle of its own: for files and locks. */
static int open_node(struct sim_world *world, const char *path, enum vv_open_mode mode,
                     struct sim_node **out)
{
    struct vv_tree_place place;
    int rc = vv_tree_find_open(&world->nodes[0]->tree, path, mode, &place);
    if (rc != VV_OK)
        return rc;
    if (mode == VV_OPEN_CREATE)
        return make(world, &place, VV_PATH_FILE, path, out);
    *out = sim_node_of(place.node);
    return VV_OK;
}

static int sim_open(struct vv_env *env, const char *path, enum vv_open_mode mode,
                    struct vv_file **out)
{
    struct sim_world *world = enter(env);
    size_t path_size = strlen(path) + 1;
    struct sim_file *file = vv_alloc(sizeof *file + path_size);
    if (file == NULL)
        return VV_NOMEM;
    memcpy(file->path, path, path_size);
    file->base.env = env;
    file->base.path = file->path;
    int rc = open_node(world, path, mode, &file->node);
    if (rc != VV_OK) {
        vv_free(file);
        return rc;
    }
    handle_add(world, file->node);
    *out = &file->base;
    return VV_OK;
}

static void sim_close(struct vv_file *base)
{
    struct sim_file *file = file_of(base);
    handle_drop(enter(base->env), file->node);
    vv_free(file);
}

static int sim_make_dir(struct vv_env *env, const char *path)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place place;
    struct sim_node *node;
    int rc = vv_tree_find_new_dir(&world->nodes[0]->tree, path, &place);
    return rc == VV_OK ? make(world, &place, VV_PATH_DIR, path, &node) : rc;
}

/* Takes the name from what was found to have it, and logs it. */
static int unlink_place(struct sim_world *world, const struct vv_tree_place *place,
                        const char *path)
{
    struct sim_node *node = sim_node_of(place->node);
    struct sim_op op = {.kind = node->tree.is_dir ? SIM_OP_REMOVE_DIR : SIM_OP_REMOVE,
                        .node = node,
                        .owner = sim_node_of(place->dir)};
    int rc;
    if ((rc = vv_sim_op_reserve(world)) < 0 ||
        (rc = vv_sim_text_keep(world, place->name, &op.name)) < 0)
        return rc;
    enum vv_sim_fault fault = fault_now(world, MEETS_IO);
    op.failed = fault != VV_SIM_FAULT_NONE;
    vv_sim_op_add(world, op);
    if (op.failed)
        return fault_fail(fault, "remove", path);
    vv_tree_drop(place->dir, place->name);
    node->name_count--;
    vv_sim_node_settle(world, node);
    return VV_OK;
}

static int sim_remove_dir(struct vv_env *env, const char *path)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place place;
    int rc = vv_tree_find_empty_dir(&world->nodes[0]->tree, path, &place);
    return rc == VV_OK ? unlink_place(world, &place, path) : rc;
}

static int sim_remove(struct vv_env *env, const char *path)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place place;
    int rc = vv_tree_find_file(&world->nodes[0]->tree, path, &place);
    return rc == VV_OK ? unlink_place(world, &place, path) : rc;
}

static int sim_rename(struct vv_env *env, const char *from, const char *to)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place source;
    struct vv_tree_place target;
    int rc = vv_tree_find_rename(&world->nodes[0]->tree, from, to, &source, &target);
    if (rc < 0)
        return rc;
    struct sim_node *node = sim_node_of(source.node);
    struct sim_op op = {.kind = SIM_OP_RENAME, .node = node, .owner = sim_node_of(source.dir)};
    if ((rc = vv_sim_op_reserve(world)) < 0 ||
        (rc = vv_sim_text_keep(world, source.name, &op.name)) < 0 ||
        (rc = vv_sim_text_keep(world, target.name, &op.new_name)) < 0)
        return rc;
    enum vv_sim_fault fault = fault_now(world, MEETS_IO);
    if (fault != VV_SIM_FAULT_NONE) {
        op.failed = true;
        vv_sim_op_add(world, op);
        return fault_fail(fault, "rename", from);
    }
    if ((rc = vv_tree_move(source.dir, source.name, target.name)) < 0)
        return rc;
    vv_sim_op_add(world, op);
    node->dir = sim_node_of(source.dir);
    node->name = op.new_name;
    if (target.node != NULL && target.node != source.node) {
        sim_node_of(target.node)->name_count--;
        vv_sim_node_settle(world, sim_node_of(target.node));
    }
    return VV_OK;
}

static int sim_link(struct vv_env *env, const char *from, const char *to)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place source;
    struct vv_tree_place target;
    int rc = vv_tree_find_link(&world->nodes[0]->tree, from, to, &source, &target);
    if (rc != VV_OK)
        return rc;
    struct sim_node *node = sim_node_of(source.node);
    struct sim_op op = {.kind = SIM_OP_LINK, .node = node, .owner = sim_node_of(target.dir)};
    if ((rc = vv_sim_op_reserve(world)) < 0 ||
        (rc = vv_sim_text_keep(world, source.name, &op.name)) < 0 ||
        (rc = vv_sim_text_keep(world, target.name, &op.new_name)) < 0)
        return rc;
    enum vv_sim_fault fault = fault_now(world, MEETS_IO | MEETS_FULL);
    op.failed = fault != VV_SIM_FAULT_NONE;
    if (!op.failed && (rc = vv_tree_put(target.dir, target.name, source.node)) < 0)
        return rc;
    vv_sim_op_add(world, op);
    if (op.failed)
        return fault_fail(fault, "link", to);
    node->name_count++;
    return VV_OK;
}

static int sim_info(struct vv_env *env, const char *path, struct vv_path_info *out)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place place;
    int rc = vv_tree_find_any(&world->nodes[0]->tree, path, &place);
    if (rc != VV_OK)
        return rc;
    uint64_t size = vv_sim_content_size(sim_node_of(place.node)->content);
    *out = (struct vv_path_info){.kind = place.node->is_dir ? VV_PATH_DIR : VV_PATH_FILE,
                                 .size_bytes = size,
                                 .used_bytes = size};
    return VV_OK;
}

/* In an order that changes from call to call, so that nobody comes to rely on one. */
static int sim_list(struct vv_env *env, const char *path, struct vv_buf *names)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place place;
    int rc = vv_tree_find_dir(&world->nodes[0]->tree, path, &place);
    if (rc != VV_OK || place.node->count == 0)
        return rc;
    size_t count = place.node->count;
    size_t first = (size_t)vv_rng_below(&world->whims, count);
    bool backwards = vv_rng_one_in(&world->whims, 2);
    for (size_t i = 0; i < count && rc == VV_OK; i++) {
        size_t index = (first + (backwards ? count - i : i)) % count;
        const char *name = place.node->entries[index].name;
        rc = vv_buf_append(names, name, strlen(name) + 1);
    }
    return rc;
}

/* ---- bytes */

static int sim_read_at(struct vv_file *base, uint64_t offset, void *into, size_t want, size_t *got)
{
    struct sim_world *world = enter(base->env);
    struct sim_file *file = file_of(base);
    if (is_due(&world->read_fault, ++world->read_count))
        return fault_fail(VV_SIM_FAULT_IO, "read", file->path);
    vv_slice bytes = vv_sim_content_slice(file->node->content);
    size_t left = offset < bytes.size ? bytes.size - (size_t)offset : 0;
    *got = want < left ? want : left;
    if (*got > 0)
        memcpy(into, bytes.data + offset, *got);
    return VV_OK;
}

/* Does as much of the write as `op` says, which may be nothing, and logs it. */
static int write_prefix(struct sim_world *world, struct sim_op *op, const vv_slice *parts,
                        size_t size_bytes)
{
    struct sim_node *node = op->node;
    uint64_t size_before = vv_sim_content_size(node->content);
    int rc = vv_sim_bytes_keep(world, parts, size_bytes, &op->bytes);
    if (rc == VV_OK && size_bytes > 0)
        rc = vv_sim_content_write(&node->content, op->offset, op->bytes);
    if (rc < 0)
        return rc;
    world->used_bytes += vv_sim_content_size(node->content) - size_before;
    op->failed = size_bytes == 0;
    vv_sim_op_add(world, *op);
    return VV_OK;
}

static int sim_write_at(struct vv_file *base, uint64_t offset, const vv_slice *parts, size_t count)
{
    struct sim_world *world = enter(base->env);
    struct sim_file *file = file_of(base);
    struct sim_node *node = file->node;
    struct sim_op op = {
        .kind = SIM_OP_WRITE, .node = node, .owner = node, .name = node->name, .offset = offset};
    uint64_t size = vv_sim_content_size(node->content);
    uint64_t want = 0;
    for (size_t i = 0; i < count; i++)
        want += parts[i].size;
    if (offset > SIM_FILE_BYTES_MAX || want > SIM_FILE_BYTES_MAX - offset)
        return vv_fail(VV_FULL, "write %s: files here end at %" PRIu64 " bytes", file->path,
                       SIM_FILE_BYTES_MAX);
    int rc = vv_sim_op_reserve(world);
    if (rc < 0)
        return rc;
    bool grows = offset + want > size;
    enum vv_sim_fault fault = fault_now(world, MEETS_IO | MEETS_SHORT | (grows ? MEETS_FULL : 0U));
    uint64_t done = fault == VV_SIM_FAULT_NONE ? want : 0;
    if (fault == VV_SIM_FAULT_SHORT)
        done = vv_rng_one_in(&world->whims, 4) ? want : vv_rng_below(&world->whims, want);
    if (grows && offset + want - size > room_left(world) && fault != VV_SIM_FAULT_IO) {
        /* As much as fits, as the system would. */
        uint64_t end = size + room_left(world);
        uint64_t fits = end > offset ? end - offset : 0;
        done = fits < done ? fits : done;
        fault = VV_SIM_FAULT_FULL;
    }
    if ((rc = write_prefix(world, &op, parts, (size_t)done)) < 0)
        return rc;
    return fault == VV_SIM_FAULT_NONE ? VV_OK : fault_fail(fault, "write", file->path);
}

static int sim_truncate(struct vv_file *base, uint64_t size_bytes)
{
    struct sim_world *world = enter(base->env);
    struct sim_file *file = file_of(base);
    struct sim_node *node = file->node;
    struct sim_op op = {.kind = SIM_OP_TRUNCATE,
                        .node = node,
                        .owner = node,
                        .name = node->name,
                        .offset = size_bytes};
    uint64_t size = vv_sim_content_size(node->content);
    if (size_bytes > SIM_FILE_BYTES_MAX)
        return vv_fail(VV_FULL, "truncate %s: files here end at %" PRIu64 " bytes", file->path,
                       SIM_FILE_BYTES_MAX);
    int rc = vv_sim_op_reserve(world);
    if (rc < 0)
        return rc;
    enum vv_sim_fault fault = fault_now(world, MEETS_IO);
    if (fault == VV_SIM_FAULT_NONE && size_bytes > size && size_bytes - size > room_left(world))
        fault = VV_SIM_FAULT_FULL;
    if (fault == VV_SIM_FAULT_NONE) {
        if ((rc = vv_sim_content_resize(&node->content, size_bytes)) < 0)
            return rc;
        world->used_bytes += size_bytes;
        world->used_bytes -= size;
    }
    op.failed = fault != VV_SIM_FAULT_NONE;
    vv_sim_op_add(world, op);
    return op.failed ? fault_fail(fault, "truncate", file->path) : VV_OK;
}

static int sim_size(struct vv_file *base, uint64_t *out)
{
    (void)enter(base->env);
    *out = vv_sim_content_size(file_of(base)->node->content);
    return VV_OK;
}

static void sim_hint(struct vv_file *base, uint64_t offset, uint64_t size_bytes)
{
    (void)enter(base->env);
    (void)offset;
    (void)size_bytes;
}

static int sim_map(struct vv_file *base, size_t size_bytes, const uint8_t **out)
{
    (void)enter(base->env);
    (void)size_bytes;
    (void)out;
    return vv_fail(VV_UNSUPPORTED, "map %s: the simulated world wants to see each read",
                   base->path);
}

static void sim_unmap(struct vv_file *base, const uint8_t *map, size_t size_bytes)
{
    (void)base;
    (void)map;
    (void)size_bytes;
    vv_assert(false); /* nothing was ever mapped */
}

/* ---- syncing */

/* The coming sync fails, and what it should have made durable never will be. */
static void lose_pending(struct sim_world *world, const struct sim_node *node)
{
    for (size_t i = (size_t)node->synced_to; i < world->op_count; i++) {
        struct sim_op *op = &world->ops[i];
        if (op->owner == node && op->lost_at == 0)
            op->lost_at = world->op_count + 1;
    }
}

static int sync_node(struct sim_world *world, struct sim_node *node, enum sim_op_kind kind,
                     const char *path)
{
    struct sim_op op = {.kind = kind, .node = node, .owner = node, .name = node->name};
    int rc = vv_sim_op_reserve(world);
    if (rc < 0)
        return rc;
    unsigned meets = kind == SIM_OP_SYNC ? MEETS_IO | MEETS_SYNC_LOST : MEETS_IO;
    enum vv_sim_fault fault = fault_now(world, meets);
    if (fault == VV_SIM_FAULT_SYNC_LOST)
        lose_pending(world, node);
    op.failed = fault != VV_SIM_FAULT_NONE;
    vv_sim_op_add(world, op);
    if (op.failed)
        return fault_fail(fault, "sync", path);
    node->synced_to = world->op_count;
    return VV_OK;
}

static int sim_sync(struct vv_file *base)
{
    return sync_node(enter(base->env), file_of(base)->node, SIM_OP_SYNC, base->path);
}

static int sim_sync_dir(struct vv_env *env, const char *path)
{
    struct sim_world *world = enter(env);
    struct vv_tree_place place;
    int rc = vv_tree_find_dir(&world->nodes[0]->tree, path, &place);
    if (rc < 0)
        return rc;
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_IO, "sync directory %s: it does not exist", path);
    return sync_node(world, sim_node_of(place.node), SIM_OP_SYNC_DIR, path);
}

/* ---- locks */

static int sim_lock(struct vv_env *env, const char *path, struct vv_lock **out)
{
    struct sim_world *world = enter(env);
    struct sim_lock *lock = vv_alloc(sizeof *lock);
    if (lock == NULL)
        return VV_NOMEM;
    lock->base.env = env;
    int rc = open_node(world, path, VV_OPEN_WRITE, &lock->node);
    if (rc == VV_NOTFOUND)
        rc = open_node(world, path, VV_OPEN_CREATE, &lock->node);
    if (rc == VV_OK && lock->node->locked)
        rc = vv_fail(VV_LOCKED, "lock %s: another handle holds it", path);
    if (rc != VV_OK) {
        vv_free(lock);
        return rc;
    }
    lock->node->locked = true;
    handle_add(world, lock->node);
    *out = &lock->base;
    return VV_OK;
}

static void sim_unlock(struct vv_lock *base)
{
    struct sim_lock *lock = (struct sim_lock *)(void *)base;
    lock->node->locked = false;
    handle_drop(enter(base->env), lock->node);
    vv_free(lock);
}

/* ---- time and chance */

static uint64_t sim_now_us(struct vv_env *env)
{
    return enter(env)->clock_us;
}

static uint64_t sim_wall_us(struct vv_env *env)
{
    return WALL_SINCE_1970_US + enter(env)->clock_us;
}

static void sim_sleep_us(struct vv_env *env, uint64_t us)
{
    enter(env)->clock_us += us;
}

static int sim_random(struct vv_env *env, void *into, size_t size_bytes)
{
    struct sim_world *world = enter(env);
    uint8_t *to = into;
    for (size_t i = 0; i < size_bytes; i++)
        to[i] = (uint8_t)vv_rng_next(&world->random);
    return VV_OK;
}

static void sim_facts(struct vv_env *env, struct vv_env_facts *out)
{
    (void)enter(env);
    *out = (struct vv_env_facts){
        .memory_bytes = (uint64_t)1 << 30, .cpu_count = 2, .file_count_max = 1024};
}

const struct vv_env_ops vv_sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .read_at = sim_read_at,
    .write_at = sim_write_at,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .size = sim_size,
    .push = sim_hint,
    .forget = sim_hint,
    .map = sim_map,
    .unmap = sim_unmap,
    .sync_dir = sim_sync_dir,
    .make_dir = sim_make_dir,
    .remove_dir = sim_remove_dir,
    .rename = sim_rename,
    .link = sim_link,
    .remove = sim_remove,
    .info = sim_info,
    .list = sim_list,
    .lock = sim_lock,
    .unlock = sim_unlock,
    .now_us = sim_now_us,
    .wall_us = sim_wall_us,
    .sleep_us = sim_sleep_us,
    .random = sim_random,
    .facts = sim_facts,
};
