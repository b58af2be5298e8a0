/*
 * What the files of the simulated world share. Nobody else includes this.
 *
 * A world is its state when its log began (the base), the log of mutating calls, and the state now
 * (live). An image is a new world whose base is the old base with those calls applied that survived.
 */
#ifndef VV_ENV_SIM_INTERNAL_H
#define VV_ENV_SIM_INTERNAL_H

#include "base/arena.h"
#include "base/rng.h"
#include "env/sim.h"
#include "env/tree.h"

/* Bytes of a file, shared by worlds until one of them writes. Counted atomically, since images may
 * be handed to other threads. NULL stands for no bytes. */
struct sim_content {
    _Atomic(uint32_t) refs;
    struct vv_buf bytes;
};

struct sim_content *vv_sim_content_ref(struct sim_content *content);
void vv_sim_content_unref(struct sim_content *content);
uint64_t vv_sim_content_size(const struct sim_content *content);
vv_slice vv_sim_content_slice(const struct sim_content *content);
/* Both replace a shared `*content` by an own copy first. Growing fills with zeros. */
VV_MUST int vv_sim_content_write(struct sim_content **content, uint64_t offset, vv_slice bytes);
VV_MUST int vv_sim_content_resize(struct sim_content **content, uint64_t size_bytes);

/* A file or directory. It stays until its world is freed, as the log speaks of it. */
struct sim_node {
    struct vv_tree_node tree;         /* live names, of a directory */
    struct vv_tree_node base_tree;    /* names when the log began */
    struct sim_content *content;      /* live bytes, of a file */
    struct sim_content *base_content; /* bytes when the log began */
    size_t id;                        /* its index among the world's nodes */
    struct sim_node *dir;             /* where it has a name, or had one; NULL for the root */
    const char *name;                 /* one that it has or had; in the arena */
    uint64_t synced_to;               /* the last call that synced it */
    uint32_t handle_count;
    uint32_t name_count; /* of a file more than one after linking */
    bool locked;
};

enum sim_op_kind {
    SIM_OP_WRITE, /* these two concern the bytes of `node`, */
    SIM_OP_TRUNCATE,
    SIM_OP_CREATE, /* these the names in `node->dir`, */
    SIM_OP_MAKE_DIR,
    SIM_OP_RENAME,
    SIM_OP_LINK,
    SIM_OP_REMOVE,
    SIM_OP_REMOVE_DIR,
    SIM_OP_SYNC, /* and these make such calls durable */
    SIM_OP_SYNC_DIR,
};

/* A mutating call; its number is its index plus one. */
struct sim_op {
    enum sim_op_kind kind;
    bool failed; /* it did nothing */
    bool voided; /* its bytes were replaced from outside since */
    struct sim_node *node;
    struct sim_node
        *owner;       /* what must be synced for the call to be durable: node or its directory */
    const char *name; /* of the node, before the call */
    const char *new_name; /* of a rename or link */
    uint64_t offset;      /* of a write; the size of a truncation */
    vv_slice bytes;       /* of a write */
    uint64_t lost_at;     /* the sync that failed and dropped it, or 0 */
    uint64_t at_us;       /* when */
};

struct sim_fault {
    enum vv_sim_fault kind;
    uint64_t from; /* number of the first call to meet it */
    bool sticky;
};

/*
 * Invariants: node 0 is the root; the first `base_count` nodes were there when the log began; a node
 * that is linked stands in its directory under its name; `used_bytes` is the sum of the sizes of all
 * files that have a name or a handle.
 */
struct sim_world {
    struct vv_env base;
    uint64_t seed;
    struct vv_rng random; /* what the world gives away as random */
    struct vv_rng whims;  /* its own decisions */
    uint64_t began_us;
    uint64_t clock_us;

    struct sim_node **nodes;
    size_t node_count;
    size_t node_cap;
    size_t base_count;
    struct sim_op *ops;
    size_t op_count;
    size_t op_cap;
    struct vv_account account;
    struct vv_arena arena; /* names and bytes of the log */

    struct sim_fault fault;
    struct sim_fault read_fault;
    uint64_t read_count;
    uint64_t capacity_bytes; /* 0: no limit */
    uint64_t used_bytes;
    uint64_t handle_count;
};

static inline struct sim_world *sim_world_of(struct vv_env *env)
{
    return (struct sim_world *)(void *)env;
}

static inline const struct sim_world *sim_world_of_const(const struct vv_env *env)
{
    return (const struct sim_world *)(const void *)env;
}

static inline struct sim_node *sim_node_of(struct vv_tree_node *tree)
{
    return (struct sim_node *)(void *)tree;
}

static inline bool sim_op_is_data(const struct sim_op *op)
{
    return op->kind == SIM_OP_WRITE || op->kind == SIM_OP_TRUNCATE;
}

static inline bool sim_op_is_sync(const struct sim_op *op)
{
    return op->kind == SIM_OP_SYNC || op->kind == SIM_OP_SYNC_DIR;
}

/* A world without even a root. Free it with vv_env_sim_free. */
VV_MUST int vv_sim_world_new(uint64_t seed, struct sim_world **out);

/* A node of the world, not yet in any directory. */
VV_MUST int vv_sim_node_new(struct sim_world *world, enum vv_path_kind kind, struct sim_node **out);
/* Undoes the latest vv_sim_node_new, to which nothing points. */
void vv_sim_node_undo(struct sim_world *world, struct sim_node *node);
/* Drops what only live nodes need, when it has neither name nor handle any more. */
void vv_sim_node_settle(struct sim_world *world, struct sim_node *node);

/* Copies into the arena. */
VV_MUST int vv_sim_text_keep(struct sim_world *world, vv_slice text, const char **out);
VV_MUST int vv_sim_bytes_keep(struct sim_world *world, const vv_slice *parts, size_t size_bytes,
                              vv_slice *out);

/* Room for one more call; then adding one cannot fail. The time is filled in. */
VV_MUST int vv_sim_op_reserve(struct sim_world *world);
void vv_sim_op_add(struct sim_world *world, struct sim_op op);

extern const struct vv_env_ops vv_sim_ops;

#endif
