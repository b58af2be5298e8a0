#include "lsm/memtree.h"

#include "base/error.h"

enum {
    SLOTS = VV_MEMNODE_SLOTS,
    NODE_ALIGN = 64,
    /* A longer prefix is adopted when it frees half of a head: it costs a look at every record. */
    PREFIX_STEP = 4,
    /* That many inserts behind each other are a run, and a run leaves full leaves behind. Shorter
     * ones must not: blocks of a few keys in descending order would make leaves of a few keys. */
    RUN = SLOTS / 2,
};

_Static_assert(sizeof(struct vv_memnode) == 1024, "a leaf is sixteen cache lines");

/* ---- slots */

static uint64_t head_load(const struct vv_memnode *node, uint32_t index)
{
    return atomic_load_explicit(&node->heads[index], memory_order_acquire);
}

static struct vv_meminner *inner_of(const struct vv_memnode *node)
{
    vv_assert(node->level > 0);
    return (struct vv_meminner *)(void *)(uintptr_t)node;
}

static struct vv_memnode *child_load(const struct vv_memnode *node, uint32_t index)
{
    return atomic_load_explicit(&inner_of(node)->children[index], memory_order_acquire);
}

/* A reader may ask about a node that has just stopped to serve its key, hence the short key. */
static uint64_t head_of(const struct vv_memtree *t, vv_slice key, uint32_t prefix)
{
    if (!vv_order_bytewise(t->order) || key.size <= prefix)
        return 0;
    return vv_slice_head(vv_slice_skip(key, prefix));
}

/* The first of the slots [from, end) whose head is not below `head`. The loop has no branch that
 * depends on heads: they are random, and a misprediction costs more than the search. */
static uint32_t heads_lower(const struct vv_memnode *node, uint32_t from, uint32_t end,
                            uint64_t head)
{
    uint32_t left = end - from;
    while (left > 1) {
        uint32_t half = left / 2;
        from += head_load(node, from + half - 1) < head ? half : 0;
        left -= half;
    }
    return left == 1 && head_load(node, from) < head ? from + 1 : from;
}

/* The first of the slots [from, count) whose key is not below `key`; *equal is its record if it is
 * the same key, else NULL. */
static uint32_t node_search(const struct vv_memtree *t, const struct vv_memnode *node,
                            uint32_t from, vv_slice key, const struct vv_memrecord **equal)
{
    uint32_t count = vv_memnode_count(node);
    uint32_t prefix = atomic_load_explicit(&node->prefix, memory_order_acquire);
    uint64_t head = head_of(t, key, prefix);
    uint32_t index = heads_lower(node, from, count, head);
    *equal = NULL;
    if (index >= count || head_load(node, index) != head)
        return index;
    uint32_t end = index + 1;
    if (end < count && head_load(node, end) == head)
        end = head == UINT64_MAX ? count : heads_lower(node, end, count, head + 1);
    while (index < end) {
        uint32_t middle = index + (end - index) / 2;
        const struct vv_memrecord *record = vv_memnode_record(node, middle);
        int order = vv_order_cmp(t->order, vv_memrecord_key(record), key);
        if (order == 0) {
            *equal = record;
            return middle;
        }
        if (order < 0)
            index = middle + 1;
        else
            end = middle;
    }
    return index;
}

/* Which child serves `key`. The first one serves everything below the second's first key. */
static uint32_t child_search(const struct vv_memtree *t, const struct vv_memnode *node,
                             vv_slice key)
{
    const struct vv_memrecord *equal;
    uint32_t index = node_search(t, node, 1, key, &equal);
    return equal != NULL ? index : index - 1;
}

/* ---- readers */

static void node_prefetch(const struct vv_memnode *node)
{
    const char *at = (const char *)node;
    for (size_t line = 0; line < sizeof node->heads / 64 + 1; line++)
        __builtin_prefetch(at + line * 64);
}

/* Where a key stands that does not begin as all others do. */
enum side { BEFORE_ALL = -1, AMONG_ALL = 0, BEHIND_ALL = 1 };

static enum side side_of(const struct vv_memtree *t, const struct vv_memnode *root, vv_slice key)
{
    uint32_t prefix = atomic_load_explicit(&root->prefix, memory_order_acquire);
    if (prefix == 0)
        return AMONG_ALL;
    size_t size = key.size < prefix ? key.size : prefix;
    int order = size > 0 ? memcmp(key.data, t->sample->bytes, size) : 0;
    if (order == 0)
        return size < prefix ? BEFORE_ALL : AMONG_ALL;
    return order < 0 ? BEFORE_ALL : BEHIND_ALL;
}

static uint32_t child_pick(const struct vv_memtree *t, const struct vv_memnode *node, vv_slice key,
                           enum side side)
{
    if (VV_LIKELY(side == AMONG_ALL))
        return child_search(t, node, key);
    return side == BEFORE_ALL ? 0 : vv_memnode_count(node) - 1;
}

/* The leaf that serves `key`, and its version from a time when it did; NULL: try again. */
static struct vv_memnode *leaf_find(const struct vv_memtree *t, vv_slice key,
                                    uint32_t *leaf_version, enum side *side)
{
    struct vv_memnode *node = atomic_load_explicit(&t->root, memory_order_acquire);
    uint32_t version = vv_memnode_stable(node);
    if (atomic_load_explicit(&t->root, memory_order_acquire) != node)
        return NULL;
    *side = side_of(t, node, key);
    while (node->level > 0) {
        struct vv_memnode *child = child_load(node, child_pick(t, node, key, *side));
        node_prefetch(child);
        uint32_t child_version = vv_memnode_stable(child);
        if (VV_UNLIKELY(!vv_memnode_unchanged(node, version)))
            return NULL;
        node = child;
        version = child_version;
    }
    *leaf_version = version;
    return node;
}

void vv_memtree_find(const struct vv_memtree *t, vv_slice key, struct vv_memspot *out)
{
    enum side side;
    do {
        do
            out->leaf = leaf_find(t, key, &out->version, &side);
        while (VV_UNLIKELY(out->leaf == NULL));
        if (VV_LIKELY(side == AMONG_ALL)) {
            out->index = node_search(t, out->leaf, 0, key, &out->record);
        } else {
            out->index = side == BEFORE_ALL ? 0 : vv_memnode_count(out->leaf);
            out->record = NULL;
        }
    } while (VV_UNLIKELY(!vv_memnode_unchanged(out->leaf, out->version)));
}

/* Whatever a change shows of itself here, its pointers are good and the sum is a guess anyway: so
 * the versions are not asked. */
double vv_memtree_share(const struct vv_memtree *t, vv_slice key)
{
    const struct vv_memnode *node = atomic_load_explicit(&t->root, memory_order_acquire);
    enum side side = side_of(t, node, key);
    double below = 0;
    double width = 1; /* of the node, as a share of all */
    while (side == AMONG_ALL && node->level > 0) {
        uint32_t index = child_search(t, node, key);
        uint32_t count = vv_memnode_count(node);
        double slots = 0, slots_below = 0;
        for (uint32_t i = 0; i < count; i++) {
            slots_below = i == index ? slots : slots_below;
            slots += vv_memnode_count(child_load(node, i));
        }
        below += width * slots_below / slots;
        node = child_load(node, index);
        width *= vv_memnode_count(node) / slots;
    }
    const struct vv_memrecord *equal;
    uint32_t count = vv_memnode_count(node);
    if (side == AMONG_ALL && count > 0)
        below += width * node_search(t, node, 0, key, &equal) / count;
    return side == BEHIND_ALL ? 1 : below < 1 ? below : 1;
}

/* ---- the inserting thread: nodes */

static uint32_t count_of(const struct vv_memnode *node)
{
    return atomic_load_explicit(&node->count, memory_order_relaxed);
}

/* Relaxed: every store of the change is a release, so this one comes before them all. */
static void change_begin(struct vv_memnode *node)
{
    uint32_t version = atomic_load_explicit(&node->version, memory_order_relaxed);
    vv_assert((version & 1) == 0);
    atomic_store_explicit(&node->version, version + 1, memory_order_relaxed);
}

static void change_end(struct vv_memnode *node)
{
    uint32_t version = atomic_load_explicit(&node->version, memory_order_relaxed);
    atomic_store_explicit(&node->version, version + 1, memory_order_release);
}

static void slot_store(struct vv_memnode *node, uint32_t index, uint64_t head,
                       const struct vv_memrecord *record)
{
    atomic_store_explicit(&node->heads[index], head, memory_order_release);
    atomic_store_explicit(&node->records[index], record, memory_order_release);
}

static void child_store(struct vv_memnode *node, uint32_t index, struct vv_memnode *child)
{
    atomic_store_explicit(&inner_of(node)->children[index], child, memory_order_release);
}

static void count_store(struct vv_memnode *node, uint32_t count)
{
    atomic_store_explicit(&node->count, count, memory_order_release);
}

/* Moves the slots [index, count) up by one; the first of them is there twice afterwards. */
static void slots_shift(struct vv_memnode *node, uint32_t index, uint32_t count)
{
    for (uint32_t i = count; i > index; i--)
        atomic_store_explicit(&node->heads[i], head_load(node, i - 1), memory_order_release);
    for (uint32_t i = count; i > index; i--)
        atomic_store_explicit(&node->records[i], vv_memnode_record(node, i - 1),
                              memory_order_release);
    if (node->level == 0)
        return;
    for (uint32_t i = count; i > index; i--)
        child_store(node, i, child_load(node, i - 1));
}

static size_t node_bytes(uint32_t level)
{
    return level == 0 ? sizeof(struct vv_memnode) : sizeof(struct vv_meminner);
}

static struct vv_memnode *node_new(struct vv_memtree *t, uint32_t level)
{
    struct vv_memnode *node = vv_memspace_take(t->space, node_bytes(level), NODE_ALIGN);
    memset(node, 0, node_bytes(level));
    node->level = level;
    if (level == 0)
        t->leaf_count++;
    else
        t->inner_count++;
    return node;
}

int vv_memtree_init(struct vv_memtree *t, const struct vv_order *order, struct vv_memspace *space)
{
    int rc = vv_memspace_reserve(space, sizeof(struct vv_memnode) + NODE_ALIGN);
    if (rc < 0)
        return rc;
    *t = (struct vv_memtree){.order = order, .space = space};
    t->first = node_new(t, 0);
    t->finger = t->first;
    atomic_store_explicit(&t->root, t->first, memory_order_relaxed);
    atomic_store_explicit(&t->last, t->first, memory_order_relaxed);
    return VV_OK;
}

/* The prefix for a node that had `before` and serves [low, high) from now on. */
static uint32_t prefix_pick(const struct vv_memtree *t, uint32_t before,
                            const struct vv_memrecord *low, const struct vv_memrecord *high)
{
    if (!vv_order_bytewise(t->order) || low == NULL || high == NULL)
        return before;
    size_t common = vv_slice_common(vv_memrecord_key(low), vv_memrecord_key(high));
    return common >= before + PREFIX_STEP ? (uint32_t)common : before;
}

static uint64_t head_remade(const struct vv_memtree *t, const struct vv_memrecord *record,
                            uint32_t prefix)
{
    return record == NULL ? 0 : head_of(t, vv_memrecord_key(record), prefix);
}

/* The node is changing or not yet published. */
static void prefix_store(struct vv_memtree *t, struct vv_memnode *node, uint32_t prefix)
{
    for (uint32_t i = 0; i < count_of(node); i++) {
        uint64_t head = head_remade(t, vv_memnode_record(node, i), prefix);
        atomic_store_explicit(&node->heads[i], head, memory_order_release);
    }
    atomic_store_explicit(&node->prefix, prefix, memory_order_release);
}

static void prefix_change(struct vv_memtree *t, struct vv_memnode *node, uint32_t prefix)
{
    change_begin(node);
    prefix_store(t, node, prefix);
    change_end(node);
}

/* A key comes that shares only `prefix` bytes with all others. Until the root knows, readers take
 * such a key for one before or behind all, and go along the open nodes without looking at heads. */
static void prefix_cut(struct vv_memtree *t, uint32_t prefix)
{
    struct vv_memnode *root = atomic_load_explicit(&t->root, memory_order_relaxed);
    struct vv_memnode *left[VV_MEMTREE_LEVELS];
    struct vv_memnode *right[VV_MEMTREE_LEVELS];
    left[root->level] = root;
    right[root->level] = root;
    for (uint32_t level = root->level; level > 0; level--) {
        left[level - 1] = child_load(left[level], 0);
        right[level - 1] = child_load(right[level], count_of(right[level]) - 1);
    }
    for (uint32_t level = 0; level <= root->level; level++) {
        prefix_change(t, left[level], prefix);
        if (right[level] != left[level])
            prefix_change(t, right[level], prefix);
    }
}

/* ---- the inserting thread: splits */

/* A node of the slots [at, count) of `left`, which serves [its first key, high). */
static struct vv_memnode *right_new(struct vv_memtree *t, const struct vv_memstep *step,
                                    uint32_t at)
{
    struct vv_memnode *left = step->node;
    struct vv_memnode *right = node_new(t, left->level);
    uint32_t before = atomic_load_explicit(&left->prefix, memory_order_relaxed);
    uint32_t prefix = prefix_pick(t, before, vv_memnode_record(left, at), step->high);
    uint32_t count = count_of(left);
    for (uint32_t i = at; i < count; i++) {
        const struct vv_memrecord *record = vv_memnode_record(left, i);
        uint64_t head = prefix == before ? head_load(left, i) : head_remade(t, record, prefix);
        slot_store(right, i - at, head, record);
        if (left->level > 0)
            child_store(right, i - at, child_load(left, i));
    }
    atomic_store_explicit(&right->prefix, prefix, memory_order_relaxed);
    count_store(right, count - at);
    return right;
}

/* Leaves the slots [0, at) and, as the end of the range has come nearer, maybe a longer prefix. */
static void left_cut(struct vv_memtree *t, const struct vv_memstep *step, uint32_t at,
                     const struct vv_memrecord *high)
{
    struct vv_memnode *left = step->node;
    uint32_t before = atomic_load_explicit(&left->prefix, memory_order_relaxed);
    uint32_t prefix = prefix_pick(t, before, step->low, high);
    count_store(left, at);
    if (prefix != before)
        prefix_store(t, left, prefix);
}

/* In the middle, except that what grows at its end leaves full nodes behind. The last entry goes
 * along, so that the new node is not empty and the run goes on behind it. */
static uint32_t split_pick(const struct vv_memtree *t, const struct vv_memstep *step)
{
    const struct vv_memnode *node = step->node;
    uint32_t count = count_of(node);
    bool at_end = step->index == (node->level == 0 ? count : count - 1);
    bool run =
        node->level == 0 && node == t->finger && t->finger_index == count - 1 && t->run >= RUN;
    return at_end && (step->high == NULL || run) ? count - 1 : count / 2;
}

static void leaf_link(struct vv_memtree *t, struct vv_memnode *left, struct vv_memnode *right)
{
    struct vv_memnode *next = vv_memnode_next(left);
    atomic_store_explicit(&right->next, next, memory_order_relaxed);
    atomic_store_explicit(&right->prev, left, memory_order_relaxed);
    atomic_store_explicit(&left->next, right, memory_order_release);
    if (next != NULL)
        atomic_store_explicit(&next->prev, right, memory_order_release);
    else
        atomic_store_explicit(&t->last, right, memory_order_release);
}

/* Splits the node of steps[level], whose parent has room. */
static void node_split(struct vv_memtree *t, const struct vv_memplace *place, uint32_t level)
{
    const struct vv_memstep *step = &place->steps[level];
    struct vv_memnode *left = step->node;
    struct vv_memnode *parent = place->steps[level + 1].node;
    uint32_t index = place->steps[level + 1].index + 1;
    uint32_t at = split_pick(t, step);
    const struct vv_memrecord *middle = vv_memnode_record(left, at);
    uint32_t parent_prefix = atomic_load_explicit(&parent->prefix, memory_order_relaxed);
    uint64_t parent_head = head_remade(t, middle, parent_prefix);
    struct vv_memnode *right = right_new(t, step, at);

    change_begin(parent);
    change_begin(left);
    slots_shift(parent, index, count_of(parent));
    slot_store(parent, index, parent_head, middle);
    child_store(parent, index, right);
    count_store(parent, count_of(parent) + 1);
    if (level == 0)
        leaf_link(t, left, right);
    left_cut(t, step, at, middle);
    change_end(left);
    change_end(parent);

    if (left == t->finger && t->finger_index >= at) {
        t->finger = right;
        t->finger_index -= at;
    }
}

/* The only leaf is full: all keys in it, and so far all keys, begin as its first and last do. */
static void prefix_adopt(struct vv_memtree *t, struct vv_memnode *leaf)
{
    t->sample = vv_memnode_record(leaf, 0);
    uint32_t prefix = prefix_pick(t, 0, t->sample, vv_memnode_record(leaf, count_of(leaf) - 1));
    if (prefix > 0)
        prefix_change(t, leaf, prefix);
}

/* A root above the root, which then has room for a second child. */
static void root_grow(struct vv_memtree *t, struct vv_memplace *place)
{
    struct vv_memnode *child = place->steps[place->levels - 1].node;
    if (child->level == 0)
        prefix_adopt(t, child);
    uint32_t prefix = atomic_load_explicit(&child->prefix, memory_order_relaxed);
    struct vv_memnode *root = node_new(t, child->level + 1);
    slot_store(root, 0, 0, NULL);
    child_store(root, 0, child);
    atomic_store_explicit(&root->prefix, prefix, memory_order_relaxed);
    count_store(root, 1);
    atomic_store_explicit(&t->root, root, memory_order_release);
    vv_assert(place->levels < VV_MEMTREE_LEVELS);
    place->steps[place->levels++] = (struct vv_memstep){.node = root};
}

/* How many nodes from the leaf up are full, one upon the other. */
static uint32_t full_levels(const struct vv_memplace *place)
{
    uint32_t full = 0;
    while (full < place->levels && count_of(place->steps[full].node) == SLOTS)
        full++;
    return full;
}

size_t vv_memtree_growth(const struct vv_memtree *t, size_t count)
{
    /* An insert splits at most one leaf. Each leaf that is there can be split by a single insert,
     * but the halves take many: at most two splits come from a run of 31. The same holds for the
     * entries that splits make above them, and a level that is not there yet begins with a root. */
    uint32_t top = atomic_load_explicit(&t->root, memory_order_relaxed)->level;
    size_t leaves = t->leaf_count + count / 15 + 3;
    size_t splits = leaves < count ? leaves : count;
    size_t bytes = splits * (sizeof(struct vv_memnode) + NODE_ALIGN);
    for (uint32_t level = 1; splits > 0; level++) {
        size_t inners = 1 + splits / 15;
        if (level <= top) {
            inners += t->inner_count + 2;
            inners = inners < splits ? inners : splits;
        }
        bytes += inners * (sizeof(struct vv_meminner) + NODE_ALIGN);
        splits = level <= top ? inners : inners - 1;
    }
    return bytes;
}

/* ---- the inserting thread: places */

/* The finger's leaf, if the key certainly belongs there. */
static bool place_at_finger(const struct vv_memtree *t, vv_slice key, struct vv_memplace *out)
{
    struct vv_memnode *leaf = t->finger;
    uint32_t count = count_of(leaf);
    if (!t->finger_warm || count == 0)
        return false;
    out->levels = 1;
    out->record = NULL;
    out->steps[0] = (struct vv_memstep){.node = leaf, .index = count};
    vv_slice last = vv_memrecord_key(vv_memnode_record(leaf, count - 1));
    int order = vv_order_cmp(t->order, key, last);
    if (order > 0) {
        const struct vv_memnode *next = vv_memnode_next(leaf);
        return next == NULL ||
               vv_order_cmp(t->order, key, vv_memrecord_key(vv_memnode_record(next, 0))) < 0;
    }
    if (vv_order_cmp(t->order, key, vv_memrecord_key(vv_memnode_record(leaf, 0))) < 0)
        return false;
    out->steps[0].index = node_search(t, leaf, 0, key, &out->record);
    return true;
}

static void place_from_root(const struct vv_memtree *t, vv_slice key, struct vv_memplace *out)
{
    struct vv_memnode *root = atomic_load_explicit(&t->root, memory_order_relaxed);
    struct vv_memstep *step = &out->steps[root->level];
    out->levels = root->level + 1;
    step->node = root;
    step->low = NULL;
    step->high = NULL;
    for (; step->node->level > 0; step--) {
        const struct vv_memnode *node = step->node;
        uint32_t index = child_search(t, node, key);
        struct vv_memstep *child = step - 1;
        child->node = child_load(node, index);
        node_prefetch(child->node);
        child->low = index > 0 ? vv_memnode_record(node, index) : step->low;
        child->high = index + 1 < count_of(node) ? vv_memnode_record(node, index + 1) : step->high;
        step->index = index;
    }
    step->index = node_search(t, step->node, 0, key, &out->record);
}

int vv_memtree_place(struct vv_memtree *t, vv_slice key, size_t more, struct vv_memplace *out)
{
    if (side_of(t, atomic_load_explicit(&t->root, memory_order_relaxed), key) != AMONG_ALL)
        prefix_cut(t, (uint32_t)vv_slice_common(key, vv_memrecord_key(t->sample)));
    if (!place_at_finger(t, key, out))
        place_from_root(t, key, out);
    if (VV_LIKELY(out->record != NULL || full_levels(out) == 0))
        return vv_memspace_reserve(t->space, more);

    place_from_root(t, key, out); /* the finger knows no parents */
    uint32_t full = full_levels(out);
    size_t inners = full == out->levels ? full : full - 1;
    int rc = vv_memspace_reserve(t->space, more + sizeof(struct vv_memnode) + NODE_ALIGN +
                                               inners * (sizeof(struct vv_meminner) + NODE_ALIGN));
    if (rc < 0)
        return rc;
    while ((full = full_levels(out)) > 0) {
        if (full == out->levels)
            root_grow(t, out);
        node_split(t, out, full - 1);
        place_from_root(t, key, out);
    }
    return VV_OK;
}

void vv_memtree_put(struct vv_memtree *t, const struct vv_memplace *place,
                    const struct vv_memrecord *record)
{
    struct vv_memnode *leaf = place->steps[0].node;
    uint32_t index = place->steps[0].index;
    t->finger_warm = t->finger == leaf;
    t->run = t->finger_warm && index == t->finger_index + 1 ? t->run + 1 : 0;
    t->finger = leaf;
    t->finger_index = index;
    if (place->record != NULL) {
        atomic_store_explicit(&leaf->records[index], record, memory_order_release);
        return;
    }

    uint32_t count = count_of(leaf);
    uint32_t prefix = atomic_load_explicit(&leaf->prefix, memory_order_relaxed);
    uint64_t head = head_remade(t, record, prefix);
    vv_assert(count < SLOTS && index <= count);
    if (index == count) {
        slot_store(leaf, count, head, record);
        count_store(leaf, count + 1);
        return;
    }
    change_begin(leaf);
    slots_shift(leaf, index, count);
    slot_store(leaf, index, head, record);
    count_store(leaf, count + 1);
    change_end(leaf);
}

/* ---- checks */

struct check {
    const struct vv_memtree *tree;
    uint32_t prefix;               /* of open nodes */
    const struct vv_memnode *leaf; /* the one before */
    size_t leaf_count;
    size_t inner_count;
};

static void slots_check(const struct check *c, const struct vv_memnode *node,
                        const struct vv_memrecord *low, const struct vv_memrecord *high)
{
    const struct vv_order *order = c->tree->order;
    uint32_t prefix = atomic_load_explicit(&node->prefix, memory_order_relaxed);
    if (low != NULL && high != NULL)
        vv_assert(prefix <= vv_slice_common(vv_memrecord_key(low), vv_memrecord_key(high)));
    else
        vv_assert(prefix == c->prefix);
    if (!vv_order_bytewise(order))
        vv_assert(prefix == 0);
    for (uint32_t i = 0; i < count_of(node); i++) {
        const struct vv_memrecord *record = vv_memnode_record(node, i);
        bool open = i == 0 && low == NULL && node->level > 0;
        vv_assert(open == (record == NULL));
        if (open)
            continue;
        vv_slice key = vv_memrecord_key(record);
        vv_assert(head_load(node, i) == head_remade(c->tree, record, prefix));
        if (prefix > 0)
            vv_assert(vv_slice_common(key, vv_memrecord_key(c->tree->sample)) >= c->prefix);
        if (i == 0 && low != NULL)
            vv_assert(vv_order_cmp(order, vv_memrecord_key(low), key) == 0);
        const struct vv_memrecord *before = i > 0 ? vv_memnode_record(node, i - 1) : NULL;
        if (before != NULL)
            vv_assert(vv_order_cmp(order, vv_memrecord_key(before), key) < 0);
        if (high != NULL)
            vv_assert(vv_order_cmp(order, key, vv_memrecord_key(high)) < 0);
    }
}

static void node_check(struct check *c, const struct vv_memnode *node,
                       const struct vv_memrecord *low, const struct vv_memrecord *high)
{
    uint32_t count = count_of(node);
    vv_assert((atomic_load_explicit(&node->version, memory_order_relaxed) & 1) == 0);
    vv_assert(count <= SLOTS);
    vv_assert(count > 0 || node == c->tree->first);
    slots_check(c, node, low, high);
    if (node->level == 0) {
        if (c->leaf != NULL)
            vv_assert(vv_memnode_next(c->leaf) == node);
        vv_assert(vv_memnode_prev(node) == c->leaf);
        c->leaf = node;
        c->leaf_count++;
        return;
    }
    c->inner_count++;
    for (uint32_t i = 0; i < count; i++) {
        const struct vv_memnode *child = child_load(node, i);
        vv_assert(child->level + 1 == node->level);
        node_check(c, child, i > 0 ? vv_memnode_record(node, i) : low,
                   i + 1 < count ? vv_memnode_record(node, i + 1) : high);
    }
}

void vv_memtree_check(const struct vv_memtree *t)
{
    const struct vv_memnode *root = atomic_load_explicit(&t->root, memory_order_relaxed);
    uint32_t prefix = atomic_load_explicit(&root->prefix, memory_order_relaxed);
    struct check c = {.tree = t, .prefix = prefix};
    node_check(&c, root, NULL, NULL);
    vv_assert(c.leaf == atomic_load_explicit(&t->last, memory_order_relaxed));
    vv_assert(vv_memnode_next(c.leaf) == NULL);
    vv_assert(c.leaf_count == t->leaf_count);
    vv_assert(c.inner_count == t->inner_count);
}
