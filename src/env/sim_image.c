/*
 * The simulated world: what a power cut leaves.
 *
 * An image is the base with those calls applied, in their order, that survived. A call survives for
 * certain when its owner (the file; for a name, the directory) was synced after it and before the
 * cut; otherwise it is pending, and the model decides. So whatever subset of pending calls a model
 * picks, what was synced is there, and it is there in the right order, since the synced calls of one
 * owner are always its first.
 *
 *      calls of one file    write  write  sync  write  truncate  write  │ cut
 *                           ──────────────────  ──────────────────────
 *                            survive for sure    pending: ordinals 1 2 3
 *
 * Names are settled first, for only files that can still be reached need their bytes.
 *
 * Sectors (M4) are the one model finer than calls. The page cache writes whole sectors back, each
 * at a time of its own. So each sector, and the size of the file, holds the effect of a drawn number
 * of the pending calls: never the third change to a sector without the second.
 */
#include "env/sim_internal.h"

enum { SECTOR_SIZE = 512 };

/* What stands where the rest of a torn write should be. */
enum filler {
    FILL_ABSENT, /* what was there before */
    FILL_ZERO,
    FILL_ONES,
    FILL_STALE_LIKE, /* bytes at the same distance from the start of another write */
    FILL_STALE_ANY,  /* bytes from anywhere in another write */
    FILL_COUNT
};

static const size_t tear_sizes[] = {1, 7, 8, 511, 512, 4095, 4096, 0 /* any */};

enum { TEAR_COUNT = sizeof tear_sizes / sizeof tear_sizes[0] };

/* What is known and decided of one node of the old world. */
struct fate {
    uint64_t synced_to;     /* the last call that synced it before the cut */
    uint64_t pending_count; /* calls it owns that are pending at the cut */
    uint64_t keep_count;    /* how many of these survive, where that is for an owner to decide */
    uint64_t ordinal;       /* of its latest pending call, while going through the log */
    uint64_t size_bytes;    /* of a file in sectors, as it was last written back */
    struct sim_node *image; /* its counterpart, or NULL */
};

struct cut {
    const struct sim_world *old;
    uint64_t op_count; /* calls before the cut */
    enum vv_sim_model model;
    uint64_t salt; /* for draws that must not depend on the order of asking */
    struct fate *fates;

    uint64_t pending_count;
    uint64_t pending_writes;
    uint64_t prefix;  /* the last call of the surviving prefix */
    uint64_t torn;    /* the call that is torn, or 0 */
    size_t torn_size; /* how much of it survives */
    enum filler filler;
    vv_slice stale;        /* what fills it, over and over */
    uint64_t keep_eighths; /* how likely a sector or name is complete */

    struct sim_world *new;
};

static uint64_t draw(const struct cut *cut, uint64_t about, uint64_t bound)
{
    struct vv_rng rng = vv_rng_of(vv_mix(cut->salt ^ vv_mix(about)));
    return vv_rng_below(&rng, bound);
}

static const struct sim_op *op_at(const struct cut *cut, uint64_t n)
{
    return &cut->old->ops[n - 1];
}

static struct fate *fate_of(const struct cut *cut, const struct sim_node *node)
{
    return &cut->fates[node->id];
}

/* Whether the call changes anything that a machine without power could remember. */
static bool matters(const struct cut *cut, const struct sim_op *op)
{
    if (op->failed || op->voided || sim_op_is_sync(op))
        return false;
    return cut->model == VV_SIM_ALL || op->lost_at == 0 || op->lost_at > cut->op_count;
}

static bool is_pending(const struct cut *cut, uint64_t n)
{
    const struct sim_op *op = op_at(cut, n);
    return matters(cut, op) && n > fate_of(cut, op->owner)->synced_to;
}

/* ---- deciding */

static void find_pending(struct cut *cut)
{
    for (uint64_t n = 1; n <= cut->op_count; n++) {
        const struct sim_op *op = op_at(cut, n);
        if (sim_op_is_sync(op) && !op->failed)
            fate_of(cut, op->node)->synced_to = n;
    }
    for (uint64_t n = 1; n <= cut->op_count; n++) {
        if (!is_pending(cut, n))
            continue;
        fate_of(cut, op_at(cut, n)->owner)->pending_count++;
        cut->pending_count++;
        cut->pending_writes += op_at(cut, n)->kind == SIM_OP_WRITE;
    }
}

enum counted { COUNT_ALL, COUNT_WRITES };

/* The number of the call that is the `ordinal`-th pending one of those counted; 0 for ordinal 0. */
static uint64_t find_nth_pending(const struct cut *cut, uint64_t ordinal, enum counted counted)
{
    uint64_t n = 0;
    while (ordinal > 0) {
        n++;
        if (is_pending(cut, n) && (counted == COUNT_ALL || op_at(cut, n)->kind == SIM_OP_WRITE))
            ordinal--;
    }
    return n;
}

static void decide_prefix(struct cut *cut, uint64_t choice)
{
    cut->prefix = find_nth_pending(cut, choice % (cut->pending_count + 1), COUNT_ALL);
}

/* Another write of the log, or the content of a file from before it. */
static vv_slice pick_stale(const struct cut *cut)
{
    uint64_t tries = cut->op_count + cut->old->base_count;
    uint64_t first = draw(cut, 4, tries);
    for (uint64_t i = 0; i < tries; i++) {
        uint64_t at = (first + i) % tries;
        vv_slice found = VV_SLICE_EMPTY;
        if (at >= cut->op_count)
            found = vv_sim_content_slice(cut->old->nodes[at - cut->op_count]->base_content);
        else if (at + 1 != cut->torn && op_at(cut, at + 1)->kind == SIM_OP_WRITE)
            found = op_at(cut, at + 1)->bytes;
        if (found.size > 0)
            return found;
    }
    return op_at(cut, cut->torn)->bytes; /* there is nothing else on this disk */
}

static void decide_tear(struct cut *cut, uint64_t choice)
{
    if (cut->pending_writes == 0) {
        decide_prefix(cut, choice);
        return;
    }
    /* The newest write first: it is what a crash is most likely to tear. */
    uint64_t which = cut->pending_writes - choice % cut->pending_writes;
    choice /= cut->pending_writes;
    cut->torn = find_nth_pending(cut, which, COUNT_WRITES);
    size_t size = op_at(cut, cut->torn)->bytes.size;
    cut->torn_size = tear_sizes[choice % TEAR_COUNT];
    if (cut->torn_size == 0 || cut->torn_size >= size)
        cut->torn_size = (size_t)draw(cut, 1, size);
    cut->filler = (enum filler)(choice / TEAR_COUNT % FILL_COUNT);
    cut->stale = pick_stale(cut);
    if (cut->filler == FILL_STALE_ANY)
        cut->stale = vv_slice_skip(cut->stale, (size_t)draw(cut, 2, cut->stale.size));

    /* Other calls than writes may have followed it. */
    uint64_t next = cut->torn + 1;
    while (next <= cut->op_count &&
           !(is_pending(cut, next) && op_at(cut, next)->kind == SIM_OP_WRITE))
        next++;
    cut->prefix = cut->torn + draw(cut, 3, next - cut->torn);
}

/* Each owner's calls survive up to a point of its own: none and all more often than their share. */
static void decide_owners(struct cut *cut)
{
    for (size_t id = 0; id < cut->old->node_count; id++) {
        struct fate *fate = &cut->fates[id];
        uint64_t style = draw(cut, 3 * id, 4);
        if (style == 0)
            fate->keep_count = 0;
        else if (style == 1)
            fate->keep_count = fate->pending_count;
        else
            fate->keep_count = draw(cut, 3 * id + 1, fate->pending_count + 1);
    }
}

static void decide(struct cut *cut, uint64_t choice)
{
    static const uint64_t likely[] = {1, 4, 7};
    cut->salt = vv_mix(vv_mix(choice + 1) ^ cut->op_count) ^ cut->model;
    cut->keep_eighths = likely[draw(cut, 5, 3)];
    find_pending(cut);
    if (cut->model == VV_SIM_PREFIX)
        decide_prefix(cut, choice);
    if (cut->model == VV_SIM_TORN)
        decide_tear(cut, choice);
    if (cut->model == VV_SIM_FILE_PREFIX)
        decide_owners(cut);
}

/* How many pending calls a sector (or, numbered UINT32_MAX, the size) of the file has seen. */
static uint64_t sector_keeps(const struct cut *cut, const struct sim_node *node, uint64_t sector)
{
    uint64_t count = fate_of(cut, node)->pending_count;
    uint64_t about = (uint64_t)node->id << 32 | sector;
    if (count == 0 || draw(cut, ~about, 8) < cut->keep_eighths)
        return count;
    return draw(cut, about, count);
}

/* Whether call `n` survives as a whole; not for bytes in sectors. Asked once a call, in order. */
static bool survives(struct cut *cut, uint64_t n)
{
    const struct sim_op *op = op_at(cut, n);
    if (!matters(cut, op))
        return false;
    struct fate *fate = fate_of(cut, op->owner);
    if (n <= fate->synced_to)
        return true;
    fate->ordinal++;
    switch (cut->model) {
    case VV_SIM_ALL: return true;
    case VV_SIM_PREFIX:
    case VV_SIM_TORN: return n <= cut->prefix;
    case VV_SIM_FILE_PREFIX: return fate->ordinal <= fate->keep_count;
    case VV_SIM_SECTORS: return draw(cut, ~n, 8) < cut->keep_eighths;
    case VV_SIM_SYNCED:
    case VV_SIM_MODEL_COUNT: break;
    }
    return false;
}

/* ---- names */

/* The counterpart of a node in the new world. */
static int image_of(struct cut *cut, const struct sim_node *node, struct sim_node **out)
{
    struct fate *fate = fate_of(cut, node);
    if (fate->image == NULL) {
        enum vv_path_kind kind = node->tree.is_dir ? VV_PATH_DIR : VV_PATH_FILE;
        int rc = vv_sim_node_new(cut->new, kind, &fate->image);
        if (rc < 0)
            return rc;
    }
    *out = fate->image;
    return VV_OK;
}

static int names_begin(struct cut *cut)
{
    for (size_t id = 0; id < cut->old->base_count; id++) {
        const struct sim_node *node = cut->old->nodes[id];
        struct sim_node *dir;
        struct sim_node *entry;
        int rc = image_of(cut, node, &dir);
        for (size_t i = 0; rc == VV_OK && i < node->base_tree.count; i++) {
            const struct vv_tree_entry *from = &node->base_tree.entries[i];
            rc = image_of(cut, sim_node_of(from->node), &entry);
            if (rc == VV_OK)
                rc = vv_tree_put(&dir->tree, vv_slice_str(from->name), &entry->tree);
        }
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

/* Drops whatever name a node has. Usually that is the one given, but not when an earlier rename was
 * lost; and a rename leaves a file under exactly one name, come what may. */
static void name_drop(struct sim_node *dir, const struct sim_node *node, vv_slice usual)
{
    if (vv_tree_get(&dir->tree, usual) == &node->tree) {
        vv_tree_drop(&dir->tree, usual);
        return;
    }
    for (size_t i = 0; i < dir->tree.count; i++) {
        if (dir->tree.entries[i].node == &node->tree) {
            vv_tree_drop(&dir->tree, vv_slice_str(dir->tree.entries[i].name));
            return;
        }
    }
}

static int name_apply(struct cut *cut, const struct sim_op *op)
{
    struct sim_node *dir;
    struct sim_node *node;
    int rc;
    if ((rc = image_of(cut, op->owner, &dir)) < 0 || (rc = image_of(cut, op->node, &node)) < 0)
        return rc;
    vv_slice name = vv_slice_str(op->name);
    if (op->kind == SIM_OP_REMOVE || op->kind == SIM_OP_REMOVE_DIR) {
        vv_tree_drop(&dir->tree, name);
        return VV_OK;
    }
    if (op->kind == SIM_OP_RENAME)
        name_drop(dir, node, name);
    if (op->kind == SIM_OP_RENAME || op->kind == SIM_OP_LINK)
        name = vv_slice_str(op->new_name);
    return vv_tree_put(&dir->tree, name, &node->tree);
}

static int names_build(struct cut *cut)
{
    int rc = names_begin(cut);
    for (uint64_t n = 1; n <= cut->op_count && rc == VV_OK; n++)
        if (!sim_op_is_data(op_at(cut, n)) && survives(cut, n))
            rc = name_apply(cut, op_at(cut, n));
    return rc;
}

/* ---- what can be reached */

/* Counts the names, and tells a place, of each node that a path leads to. `found` has room for all. */
static int mark_reached(struct sim_world *world, struct sim_node **found)
{
    size_t count = 0;
    found[count++] = world->nodes[0];
    world->nodes[0]->name_count = 1;
    world->nodes[0]->name = "/";
    for (size_t i = 0; i < count; i++) {
        struct sim_node *dir = found[i];
        for (size_t k = 0; k < dir->tree.count; k++) {
            struct sim_node *node = sim_node_of(dir->tree.entries[k].node);
            if (node->name_count++ > 0) {
                vv_assert(!node->tree.is_dir);
                continue;
            }
            node->dir = dir;
            int rc = vv_sim_text_keep(world, vv_slice_str(dir->tree.entries[k].name), &node->name);
            if (rc < 0)
                return rc;
            found[count++] = node;
        }
    }
    return VV_OK;
}

/* Forgets all nodes that no path leads to, and numbers the others afresh. */
static int keep_reached(struct cut *cut)
{
    struct sim_world *world = cut->new;
    struct sim_node **found = vv_alloc(world->node_count * sizeof(struct sim_node *));
    if (found == NULL)
        return VV_NOMEM;
    int rc = mark_reached(world, found);
    vv_free(found);
    if (rc < 0)
        return rc;
    for (size_t id = 0; id < cut->old->node_count; id++)
        if (cut->fates[id].image != NULL && cut->fates[id].image->name_count == 0)
            cut->fates[id].image = NULL;
    /* Those that are not wanted go by the door through which they would have come last. */
    for (size_t i = world->node_count; i-- > 0;) {
        struct sim_node *node = world->nodes[i];
        if (node->name_count > 0)
            continue;
        struct sim_node *last = world->nodes[world->node_count - 1];
        world->nodes[i] = last;
        last->id = i;
        world->nodes[world->node_count - 1] = node;
        node->id = world->node_count - 1;
        vv_sim_node_undo(world, node);
    }
    return VV_OK;
}

/* ---- bytes */

static int write_torn(struct cut *cut, struct sim_node *image, const struct sim_op *op)
{
    size_t rest = op->bytes.size - cut->torn_size;
    int rc = VV_OK;
    if (cut->torn_size > 0)
        rc = vv_sim_content_write(&image->content, op->offset,
                                  vv_slice_of(op->bytes.data, cut->torn_size));
    if (rc < 0 || cut->filler == FILL_ABSENT)
        return rc;
    uint8_t *fill = vv_alloc(rest);
    if (fill == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < rest; i++) {
        if (cut->filler == FILL_ZERO)
            fill[i] = 0;
        else if (cut->filler == FILL_ONES)
            fill[i] = 0xff;
        else if (cut->filler == FILL_STALE_LIKE)
            fill[i] = cut->stale.data[(cut->torn_size + i) % cut->stale.size];
        else
            fill[i] = cut->stale.data[i % cut->stale.size];
    }
    rc =
        vv_sim_content_write(&image->content, op->offset + cut->torn_size, vv_slice_of(fill, rest));
    vv_free(fill);
    return rc;
}

static int bytes_apply(struct cut *cut, struct sim_node *image, uint64_t n)
{
    const struct sim_op *op = op_at(cut, n);
    if (n == cut->torn)
        return write_torn(cut, image, op);
    if (op->kind == SIM_OP_TRUNCATE)
        return vv_sim_content_resize(&image->content, op->offset);
    return vv_sim_content_write(&image->content, op->offset, op->bytes);
}

/* Applies a piece of a call that lies within one sector. A truncation clears. */
static int sector_apply(struct sim_node *image, const struct sim_op *op, uint64_t begin,
                        uint64_t end)
{
    static const uint8_t zeros[SECTOR_SIZE];
    const uint8_t *from = op->kind == SIM_OP_WRITE ? op->bytes.data + (begin - op->offset) : zeros;
    return vv_sim_content_write(&image->content, begin, vv_slice_of(from, (size_t)(end - begin)));
}

/* Applies the `ordinal`-th pending call to those sectors that were written back after it. Until the
 * end the content may be longer than the file. */
static int sectors_apply(struct cut *cut, struct sim_node *image, const struct sim_op *op,
                         uint64_t ordinal)
{
    struct fate *fate = fate_of(cut, op->node);
    uint64_t end = op->offset + op->bytes.size;
    if (op->kind == SIM_OP_TRUNCATE)
        end = vv_sim_content_size(image->content);
    for (uint64_t at = op->offset; at < end;) {
        uint64_t sector = at / SECTOR_SIZE;
        uint64_t stop = (sector + 1) * SECTOR_SIZE < end ? (sector + 1) * SECTOR_SIZE : end;
        if (ordinal <= sector_keeps(cut, op->node, sector)) {
            int rc = sector_apply(image, op, at, stop);
            if (rc < 0)
                return rc;
        }
        at = stop;
    }
    if (ordinal > sector_keeps(cut, op->node, UINT32_MAX))
        return VV_OK;
    if (op->kind == SIM_OP_TRUNCATE)
        fate->size_bytes = op->offset;
    else if (fate->size_bytes < end)
        fate->size_bytes = end;
    return VV_OK;
}

static void bytes_begin(struct cut *cut)
{
    for (size_t id = 0; id < cut->old->node_count; id++) {
        struct fate *fate = &cut->fates[id];
        if (fate->image == NULL)
            continue;
        fate->ordinal = 0;
        fate->image->content = vv_sim_content_ref(cut->old->nodes[id]->base_content);
        fate->size_bytes = vv_sim_content_size(fate->image->content);
    }
}

static int bytes_build(struct cut *cut)
{
    int rc = VV_OK;
    bytes_begin(cut);
    for (uint64_t n = 1; n <= cut->op_count && rc == VV_OK; n++) {
        const struct sim_op *op = op_at(cut, n);
        if (!sim_op_is_data(op) || op->node == NULL)
            continue;
        struct fate *fate = fate_of(cut, op->node);
        if (fate->image == NULL)
            continue;
        if (cut->model == VV_SIM_SECTORS && is_pending(cut, n)) {
            rc = sectors_apply(cut, fate->image, op, ++fate->ordinal);
        } else if (survives(cut, n)) {
            rc = bytes_apply(cut, fate->image, n);
            fate->size_bytes = vv_sim_content_size(fate->image->content);
        }
    }
    for (size_t id = 0; id < cut->old->node_count && rc == VV_OK; id++)
        if (cut->model == VV_SIM_SECTORS && cut->fates[id].image != NULL)
            rc = vv_sim_content_resize(&cut->fates[id].image->content, cut->fates[id].size_bytes);
    return rc;
}

/* ---- the image */

/* What stands now is what a log to come begins with. */
static int settle(struct sim_world *world)
{
    for (size_t id = 0; id < world->node_count; id++) {
        struct sim_node *node = world->nodes[id];
        node->base_content = vv_sim_content_ref(node->content);
        world->used_bytes += vv_sim_content_size(node->content);
        for (size_t i = 0; i < node->tree.count; i++) {
            const struct vv_tree_entry *entry = &node->tree.entries[i];
            int rc = vv_tree_put(&node->base_tree, vv_slice_str(entry->name), entry->node);
            if (rc < 0)
                return rc;
        }
    }
    world->base_count = world->node_count;
    return VV_OK;
}

int vv_sim_image(const struct vv_env *env, uint64_t n, enum vv_sim_model model, uint64_t choice,
                 struct vv_env **out)
{
    const struct sim_world *old = sim_world_of_const(env);
    struct cut cut = {.old = old, .op_count = n, .model = model};
    int rc;
    vv_assert(n <= old->op_count);
    vv_assert(model < VV_SIM_MODEL_COUNT);
    cut.fates = vv_alloc_zero(old->node_count * sizeof *cut.fates);
    if (cut.fates == NULL)
        return VV_NOMEM;
    decide(&cut, choice);
    if ((rc = vv_sim_world_new(vv_mix(old->seed ^ cut.salt), &cut.new)) < 0)
        goto out;
    cut.new->clock_us = n > 0 ? op_at(&cut, n)->at_us : old->began_us;
    cut.new->began_us = cut.new->clock_us;
    if ((rc = names_build(&cut)) < 0)
        goto out;
    if ((rc = keep_reached(&cut)) < 0)
        goto out;
    if ((rc = bytes_build(&cut)) < 0)
        goto out;
    if ((rc = settle(cut.new)) < 0)
        goto out;
    *out = &cut.new->base;
    cut.new = NULL;
out:
    vv_env_sim_free(cut.new == NULL ? NULL : &cut.new->base);
    vv_free(cut.fates);
    return rc;
}
