/*
 * The simulated world: its parts, its log, and the doors through which a test bends it.
 */
#include "env/sim_internal.h"

#include <inttypes.h>
#include <stdio.h>

/* Any day; recognisable in dumps. */
#define BEGAN_US ((uint64_t)1000000)

/* ---- bytes */

struct sim_content *vv_sim_content_ref(struct sim_content *content)
{
    /* Relaxed: who hands a world to another thread orders its memory in doing so. */
    if (content != NULL)
        (void)atomic_fetch_add_explicit(&content->refs, 1, memory_order_relaxed);
    return content;
}

void vv_sim_content_unref(struct sim_content *content)
{
    /* Acquire and release: the last one out frees what all others have finished reading. */
    if (content == NULL || atomic_fetch_sub_explicit(&content->refs, 1, memory_order_acq_rel) > 1)
        return;
    vv_buf_deinit(&content->bytes);
    vv_free(content);
}

uint64_t vv_sim_content_size(const struct sim_content *content)
{
    return content == NULL ? 0 : content->bytes.size;
}

vv_slice vv_sim_content_slice(const struct sim_content *content)
{
    return content == NULL ? VV_SLICE_EMPTY : vv_buf_slice(&content->bytes);
}

/* Makes `*content` a copy that nobody shares, with room for `size_bytes`. */
static int content_own(struct sim_content **content, size_t size_bytes)
{
    struct sim_content *old = *content;
    size_t old_size = (size_t)vv_sim_content_size(old);
    /* Acquire: the other owners have let go after their last reading. */
    if (old != NULL && atomic_load_explicit(&old->refs, memory_order_acquire) == 1)
        return size_bytes > old_size ? vv_buf_reserve(&old->bytes, size_bytes - old_size) : VV_OK;
    struct sim_content *copy = vv_alloc_zero(sizeof *copy);
    if (copy == NULL)
        return VV_NOMEM;
    atomic_init(&copy->refs, 1);
    int rc = vv_buf_reserve(&copy->bytes, size_bytes > old_size ? size_bytes : old_size);
    if (rc == VV_OK)
        rc = vv_buf_append_slice(&copy->bytes, vv_sim_content_slice(old));
    if (rc < 0) {
        vv_sim_content_unref(copy);
        return rc;
    }
    vv_sim_content_unref(old);
    *content = copy;
    return VV_OK;
}

static void bytes_extend(struct vv_buf *bytes, size_t size_bytes)
{
    vv_assert(size_bytes <= bytes->cap);
    if (size_bytes > bytes->size) {
        memset(bytes->data + bytes->size, 0, size_bytes - bytes->size);
        bytes->size = size_bytes;
    }
}

int vv_sim_content_write(struct sim_content **content, uint64_t offset, vv_slice bytes)
{
    size_t end = (size_t)offset + bytes.size;
    int rc = content_own(content, end);
    if (rc < 0)
        return rc;
    bytes_extend(&(*content)->bytes, end);
    memcpy((*content)->bytes.data + offset, bytes.data, bytes.size);
    return VV_OK;
}

int vv_sim_content_resize(struct sim_content **content, uint64_t size_bytes)
{
    if (vv_sim_content_size(*content) == size_bytes)
        return VV_OK;
    int rc = content_own(content, (size_t)size_bytes);
    if (rc < 0)
        return rc;
    bytes_extend(&(*content)->bytes, (size_t)size_bytes);
    (*content)->bytes.size = (size_t)size_bytes;
    return VV_OK;
}

/* ---- nodes and log */

int vv_sim_node_new(struct sim_world *world, enum vv_path_kind kind, struct sim_node **out)
{
    if (world->node_count == world->node_cap) {
        size_t cap = world->node_cap > 0 ? world->node_cap * 2 : 16;
        struct sim_node **nodes = vv_realloc(world->nodes, cap * sizeof(struct sim_node *));
        if (nodes == NULL)
            return VV_NOMEM;
        world->nodes = nodes;
        world->node_cap = cap;
    }
    struct sim_node *node = vv_alloc_zero(sizeof *node);
    if (node == NULL)
        return VV_NOMEM;
    node->tree.is_dir = kind == VV_PATH_DIR;
    node->base_tree.is_dir = node->tree.is_dir;
    node->id = world->node_count;
    world->nodes[world->node_count++] = node;
    *out = node;
    return VV_OK;
}

static void node_free(struct sim_node *node)
{
    vv_tree_node_deinit(&node->tree);
    vv_tree_node_deinit(&node->base_tree);
    vv_sim_content_unref(node->content);
    vv_sim_content_unref(node->base_content);
    vv_free(node);
}

void vv_sim_node_undo(struct sim_world *world, struct sim_node *node)
{
    vv_assert(node->id + 1 == world->node_count);
    world->node_count--;
    node_free(node);
}

void vv_sim_node_settle(struct sim_world *world, struct sim_node *node)
{
    if (node->name_count > 0 || node->handle_count > 0)
        return;
    world->used_bytes -= vv_sim_content_size(node->content);
    vv_sim_content_unref(node->content);
    node->content = NULL;
}

int vv_sim_bytes_keep(struct sim_world *world, const vv_slice *parts, size_t size_bytes,
                      vv_slice *out)
{
    uint8_t *copy = vv_arena_alloc(&world->arena, size_bytes > 0 ? size_bytes : 1, 1);
    if (copy == NULL)
        return VV_NOMEM;
    for (size_t done = 0; done < size_bytes; parts++) {
        size_t size = parts->size < size_bytes - done ? parts->size : size_bytes - done;
        if (size > 0)
            memcpy(copy + done, parts->data, size);
        done += size;
    }
    *out = vv_slice_of(copy, size_bytes);
    return VV_OK;
}

int vv_sim_text_keep(struct sim_world *world, vv_slice text, const char **out)
{
    char *copy = vv_arena_alloc(&world->arena, text.size + 1, 1);
    if (copy == NULL)
        return VV_NOMEM;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    *out = copy;
    return VV_OK;
}

int vv_sim_op_reserve(struct sim_world *world)
{
    if (world->op_count < world->op_cap)
        return VV_OK;
    size_t cap = world->op_cap > 0 ? world->op_cap * 2 : 64;
    struct sim_op *ops = vv_realloc(world->ops, cap * sizeof *ops);
    if (ops == NULL)
        return VV_NOMEM;
    world->ops = ops;
    world->op_cap = cap;
    return VV_OK;
}

void vv_sim_op_add(struct sim_world *world, struct sim_op op)
{
    vv_assert(world->op_count < world->op_cap);
    op.at_us = world->clock_us;
    world->ops[world->op_count++] = op;
}

/* ---- the world */

int vv_sim_world_new(uint64_t seed, struct sim_world **out)
{
    struct sim_world *world = vv_alloc_zero(sizeof *world);
    if (world == NULL)
        return VV_NOMEM;
    world->base.ops = &vv_sim_ops;
    world->seed = seed;
    world->random = vv_rng_of(vv_mix(seed));
    world->whims = vv_rng_of(vv_mix(~seed));
    world->began_us = BEGAN_US;
    world->clock_us = BEGAN_US;
    vv_arena_init(&world->arena, &world->account, VV_OWNER_WORK);
    *out = world;
    return VV_OK;
}

int vv_env_sim_new(uint64_t seed, struct vv_env **out)
{
    struct sim_world *world;
    struct sim_node *root;
    int rc = vv_sim_world_new(seed, &world);
    if (rc < 0)
        return rc;
    if ((rc = vv_sim_node_new(world, VV_PATH_DIR, &root)) < 0) {
        vv_env_sim_free(&world->base);
        return rc;
    }
    root->name_count = 1;
    root->name = "/";
    world->base_count = 1;
    *out = &world->base;
    return VV_OK;
}

void vv_env_sim_free(struct vv_env *env)
{
    if (env == NULL)
        return;
    struct sim_world *world = sim_world_of(env);
    vv_assert(world->handle_count == 0);
    for (size_t i = 0; i < world->node_count; i++)
        node_free(world->nodes[i]);
    vv_free(world->nodes);
    vv_free(world->ops);
    vv_arena_deinit(&world->arena);
    vv_free(world);
}

/* ---- what a test may ask and bend */

uint64_t vv_sim_call_count(const struct vv_env *env)
{
    return sim_world_of_const(env)->op_count;
}

void vv_sim_call_describe(const struct vv_env *env, uint64_t n, char *into, size_t size_bytes)
{
    static const char *const words[] = {
        [SIM_OP_WRITE] = "write",
        [SIM_OP_TRUNCATE] = "truncate",
        [SIM_OP_CREATE] = "create",
        [SIM_OP_MAKE_DIR] = "make directory",
        [SIM_OP_RENAME] = "rename",
        [SIM_OP_LINK] = "link",
        [SIM_OP_REMOVE] = "remove",
        [SIM_OP_SYNC] = "sync",
        [SIM_OP_REMOVE_DIR] = "remove directory",
        [SIM_OP_SYNC_DIR] = "sync directory",
    };
    const struct sim_world *world = sim_world_of_const(env);
    char detail[64] = "";
    if (n == 0 || n > world->op_count) {
        (void)snprintf(into, size_bytes, "no call");
        return;
    }
    const struct sim_op *op = &world->ops[n - 1];
    if (op->kind == SIM_OP_WRITE)
        (void)snprintf(detail, sizeof detail, " %" PRIu64 "+%zu", op->offset, op->bytes.size);
    if (op->kind == SIM_OP_TRUNCATE)
        (void)snprintf(detail, sizeof detail, " %" PRIu64, op->offset);
    (void)snprintf(into, size_bytes, "%s %s%s%s%s%s", words[op->kind], op->name,
                   op->new_name != NULL ? " to " : "", op->new_name != NULL ? op->new_name : "",
                   detail, op->failed ? " (failed)" : "");
}

/* Directories have one name, so their paths are known; a file may be in several. */
static uint64_t path_hash(const struct sim_node *dir, const struct vv_tree_entry *entry)
{
    uint64_t hash = vv_hash_seeded(vv_slice_str(entry->name), entry->node->is_dir);
    for (; dir->dir != NULL; dir = dir->dir)
        hash = vv_hash_seeded(vv_slice_str(dir->name), hash);
    return hash;
}

uint64_t vv_sim_fingerprint(const struct vv_env *env)
{
    const struct sim_world *world = sim_world_of_const(env);
    uint64_t sum = 0; /* a sum, for no order of nodes shall matter */
    for (size_t i = 0; i < world->node_count; i++) {
        const struct sim_node *dir = world->nodes[i];
        for (size_t k = 0; dir->name_count > 0 && k < dir->tree.count; k++) {
            const struct vv_tree_entry *entry = &dir->tree.entries[k];
            vv_slice content = vv_sim_content_slice(sim_node_of(entry->node)->content);
            sum += vv_mix(vv_hash_seeded(content, path_hash(dir, entry)));
        }
    }
    return sum;
}

void vv_sim_fail_at(struct vv_env *env, uint64_t n, enum vv_sim_fault fault, bool sticky)
{
    struct sim_world *world = sim_world_of(env);
    world->fault = (struct sim_fault){
        .kind = n > 0 ? fault : VV_SIM_FAULT_NONE, .from = world->op_count + n, .sticky = sticky};
}

void vv_sim_fail_read_at(struct vv_env *env, uint64_t n, bool sticky)
{
    struct sim_world *world = sim_world_of(env);
    world->read_fault = (struct sim_fault){.kind = n > 0 ? VV_SIM_FAULT_IO : VV_SIM_FAULT_NONE,
                                           .from = world->read_count + n,
                                           .sticky = sticky};
}

void vv_sim_set_capacity(struct vv_env *env, uint64_t size_bytes)
{
    sim_world_of(env)->capacity_bytes = size_bytes;
}

void vv_sim_advance(struct vv_env *env, uint64_t us)
{
    sim_world_of(env)->clock_us += us;
}

int vv_sim_read_file(struct vv_env *env, const char *path, struct vv_buf *out)
{
    struct vv_tree_place place;
    int rc = vv_tree_find_file(&sim_world_of(env)->nodes[0]->tree, path, &place);
    if (rc != VV_OK)
        return rc;
    return vv_buf_assign(out, vv_sim_content_slice(sim_node_of(place.node)->content));
}

int vv_sim_write_file(struct vv_env *env, const char *path, vv_slice content)
{
    struct sim_world *world = sim_world_of(env);
    struct vv_tree_place place;
    int rc = vv_tree_find_file(&world->nodes[0]->tree, path, &place);
    if (rc != VV_OK)
        return rc;
    struct sim_node *node = sim_node_of(place.node);
    struct sim_content *fresh = NULL;
    if (content.size > 0 && (rc = vv_sim_content_write(&fresh, 0, content)) < 0)
        return rc;
    world->used_bytes += content.size;
    world->used_bytes -= vv_sim_content_size(node->content);
    vv_sim_content_unref(node->content);
    vv_sim_content_unref(node->base_content);
    node->content = fresh;
    node->base_content = vv_sim_content_ref(fresh);
    for (size_t i = 0; i < world->op_count; i++)
        if (world->ops[i].node == node && sim_op_is_data(&world->ops[i]))
            world->ops[i].voided = true;
    return VV_OK;
}
