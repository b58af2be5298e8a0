#include "db/pending.h"

#include "base/error.h"

/* One node in four reaches the next height. */
enum { HEIGHT_ODDS = 4 };

void vv_pending_init(struct vv_pending *p, const struct vv_order *order, struct vv_account *account)
{
    *p = (struct vv_pending){.order = order, .account = account, .rng = vv_rng_of(1)};
}

void vv_pending_deinit(struct vv_pending *p)
{
    vv_pending_clear(p);
}

/* ---- a change */

static size_t change_bytes(size_t key_size, size_t value_size)
{
    return sizeof(struct vv_pending_change) + key_size + value_size;
}

static struct vv_pending_change *change_new(struct vv_account *account, enum vv_kind kind,
                                            vv_slice key, vv_slice value)
{
    size_t bytes = change_bytes(key.size, value.size);
    struct vv_pending_change *c = vv_alloc(bytes);
    if (c == NULL)
        return NULL;
    vv_account_charge(account, VV_OWNER_WORK, bytes);
    *c = (struct vv_pending_change){.refs = 1,
                                    .kind = kind,
                                    .key_size = (uint32_t)key.size,
                                    .value_size = (uint32_t)value.size,
                                    .account = account};
    if (key.size > 0)
        memcpy(c->bytes, key.data, key.size);
    if (value.size > 0)
        memcpy(c->bytes + key.size, value.data, value.size);
    return c;
}

void vv_pending_change_unref(struct vv_pending_change *change)
{
    if (change == NULL)
        return;
    /* Release what this holder read to the one who frees; that one acquires it. */
    uint32_t before = atomic_fetch_sub_explicit(&change->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before > 1)
        return;
    vv_account_release(change->account, VV_OWNER_WORK,
                       change_bytes(change->key_size, change->value_size));
    vv_free(change);
}

/* Relaxed: who takes one more holds one already. */
static struct vv_pending_change *change_ref(struct vv_pending_change *change)
{
    (void)atomic_fetch_add_explicit(&change->refs, 1, memory_order_relaxed);
    return change;
}

static void release_pin(void *owner)
{
    vv_pending_change_unref(owner);
}

void vv_pending_pin(struct vv_pending_change *change, struct vv_pin *out)
{
    *out = (struct vv_pin){
        .value = vv_pending_value(change), .release = release_pin, .owner = change_ref(change)};
}

/* ---- places */

/* Where a key is or belongs: on each height the link that leads to the first node not below it. */
struct place {
    struct vv_pending_node **links[VV_PENDING_HEIGHT];
    struct vv_pending_node *before; /* the last node below the key, or NULL */
    struct vv_pending_node *node;   /* of the key, or NULL */
};

static int node_cmp(const struct vv_pending *p, const struct vv_pending_node *node, vv_slice key)
{
    return vv_order_cmp(p->order, vv_pending_key(node->newest), key);
}

static void find_place(struct vv_pending *p, vv_slice key, struct place *out)
{
    struct vv_pending_node **links = p->first;
    struct vv_pending_node *before = NULL;
    for (int h = VV_PENDING_HEIGHT - 1; h >= 0; h--) {
        while (links[h] != NULL && node_cmp(p, links[h], key) < 0) {
            before = links[h];
            links = before->next;
        }
        out->links[h] = &links[h];
    }
    struct vv_pending_node *node = *out->links[0];
    out->before = before;
    out->node = node != NULL && node_cmp(p, node, key) == 0 ? node : NULL;
}

static size_t node_bytes(int height)
{
    return sizeof(struct vv_pending_node) + (size_t)height * sizeof(struct vv_pending_node *);
}

static struct vv_pending_node *node_new(struct vv_pending *p)
{
    int height = 1;
    while (height < VV_PENDING_HEIGHT && vv_rng_one_in(&p->rng, HEIGHT_ODDS))
        height++;
    struct vv_pending_node *node = vv_alloc(node_bytes(height));
    if (node == NULL)
        return NULL;
    vv_account_charge(p->account, VV_OWNER_WORK, node_bytes(height));
    node->height = height;
    node->newest = NULL;
    return node;
}

static void node_free(struct vv_pending *p, struct vv_pending_node *node)
{
    vv_account_release(p->account, VV_OWNER_WORK, node_bytes(node->height));
    vv_free(node);
}

static void node_link(struct vv_pending *p, struct place *place, struct vv_pending_node *node)
{
    for (int h = 0; h < node->height; h++) {
        node->next[h] = *place->links[h];
        *place->links[h] = node;
    }
    node->before = place->before;
    *(node->next[0] != NULL ? &node->next[0]->before : &p->last) = node;
    p->count++;
}

static void node_unlink(struct vv_pending *p, struct vv_pending_node *node)
{
    struct place place;
    find_place(p, vv_pending_key(node->newest), &place);
    vv_assert(place.node == node);
    for (int h = 0; h < node->height; h++)
        *place.links[h] = node->next[h];
    *(node->next[0] != NULL ? &node->next[0]->before : &p->last) = node->before;
    p->count--;
}

/* ---- time */

static void time_append(struct vv_pending *p, struct vv_pending_change *c)
{
    c->earlier = p->latest;
    c->later = NULL;
    if (p->latest != NULL)
        p->latest->later = c;
    p->latest = c;
    p->bytes += (size_t)c->key_size + c->value_size;
}

/* Takes a change out of time, and lets it go. */
static void time_remove(struct vv_pending *p, struct vv_pending_change *c)
{
    if (c->earlier != NULL)
        c->earlier->later = c->later;
    *(c->later != NULL ? &c->later->earlier : &p->latest) = c->earlier;
    p->bytes -= (size_t)c->key_size + c->value_size;
    vv_pending_change_unref(c);
}

/* Nobody can go back to a change that was followed by another in its own level. */
static void forget_hidden(struct vv_pending *p, struct vv_pending_change *c)
{
    struct vv_pending_change *hidden = c->older;
    if (hidden == NULL || hidden->level != c->level)
        return;
    c->older = hidden->older;
    time_remove(p, hidden);
}

/* ---- changing */

int vv_pending_add(struct vv_pending *p, enum vv_kind kind, vv_slice key, vv_slice value)
{
    struct place place;
    struct vv_pending_change *c = change_new(p->account, kind, key, value);
    if (c == NULL)
        return VV_NOMEM;
    find_place(p, key, &place);
    struct vv_pending_node *node = place.node;
    if (node == NULL && (node = node_new(p)) == NULL) {
        vv_pending_change_unref(c);
        return VV_NOMEM;
    }
    c->level = p->level;
    c->node = node;
    c->older = node->newest;
    node->newest = c;
    if (place.node == NULL)
        node_link(p, &place, node);
    time_append(p, c);
    forget_hidden(p, c);
    p->moves++;
    return VV_OK;
}

static void undo_latest(struct vv_pending *p)
{
    struct vv_pending_change *c = p->latest;
    struct vv_pending_node *node = c->node;
    vv_assert(node->newest == c);
    if (c->older == NULL) {
        node_unlink(p, node);
        node_free(p, node);
    } else {
        node->newest = c->older;
    }
    time_remove(p, c);
}

int vv_pending_savepoint(struct vv_pending *p)
{
    if (p->level == UINT32_MAX)
        return vv_fail(VV_TOOBIG, "a transaction cannot have more than %u savepoints", UINT32_MAX);
    p->level++;
    return VV_OK;
}

void vv_pending_undo(struct vv_pending *p)
{
    vv_assert(p->level > 0);
    while (p->latest != NULL && p->latest->level == p->level)
        undo_latest(p);
    p->level--;
    p->moves++;
}

void vv_pending_release(struct vv_pending *p)
{
    vv_assert(p->level > 0);
    struct vv_pending_change *c = p->latest;
    while (c != NULL && c->level == p->level) {
        struct vv_pending_change *before = c->earlier;
        c->level--;
        /* What it hides may be the one before it. */
        if (before != NULL && before == c->older && before->level == c->level)
            before = before->earlier;
        forget_hidden(p, c);
        c = before;
    }
    p->level--;
}

void vv_pending_clear(struct vv_pending *p)
{
    struct vv_pending_node *node = p->first[0];
    while (p->latest != NULL)
        time_remove(p, p->latest);
    while (node != NULL) {
        struct vv_pending_node *next = node->next[0];
        node_free(p, node);
        node = next;
    }
    memset(p->first, 0, sizeof p->first);
    p->last = NULL;
    p->level = 0;
    p->count = 0;
    p->moves++;
}

/* ---- finding */

/* Nodes are not changed through what this finds. */
static struct vv_pending_node *node_from(const struct vv_pending *p, vv_slice key,
                                         struct vv_pending_node **before)
{
    struct vv_pending_node *const *links = p->first;
    *before = NULL;
    for (int h = VV_PENDING_HEIGHT - 1; h >= 0; h--) {
        while (links[h] != NULL && node_cmp(p, links[h], key) < 0) {
            *before = links[h];
            links = links[h]->next;
        }
    }
    return links[0];
}

struct vv_pending_change *vv_pending_find(const struct vv_pending *p, vv_slice key)
{
    struct vv_pending_node *before;
    struct vv_pending_node *node = p->count > 0 ? node_from(p, key, &before) : NULL;
    return node != NULL && node_cmp(p, node, key) == 0 ? node->newest : NULL;
}

struct vv_pending_node *vv_pending_first(const struct vv_pending *p)
{
    return p->first[0];
}

struct vv_pending_node *vv_pending_from(const struct vv_pending *p, vv_slice key)
{
    struct vv_pending_node *before;
    return node_from(p, key, &before);
}

struct vv_pending_node *vv_pending_last(const struct vv_pending *p)
{
    return p->last;
}

struct vv_pending_node *vv_pending_to(const struct vv_pending *p, vv_slice key)
{
    struct vv_pending_node *before;
    struct vv_pending_node *node = node_from(p, key, &before);
    return node != NULL && node_cmp(p, node, key) == 0 ? node : before;
}

/* ---- iterating */

struct pending_iter {
    struct vv_iter base;
    const struct vv_pending *pending;
    vv_seq at;
    struct vv_pending_node *node;
    struct vv_pending_change *change; /* shown, with a reference */
};

static int show(struct pending_iter *it, struct vv_pending_node *node)
{
    vv_pending_change_unref(it->change);
    it->change = NULL;
    it->node = node;
    it->base.valid = node != NULL;
    if (node == NULL)
        return VV_OK;
    it->change = change_ref(node->newest);
    it->base.at = (struct vv_entry){vv_pending_key(it->change), vv_pending_value(it->change),
                                    it->at, it->change->kind};
    return VV_OK;
}

static int iter_first(struct vv_iter *base)
{
    struct pending_iter *it = (struct pending_iter *)base;
    return show(it, vv_pending_first(it->pending));
}

static int iter_last(struct vv_iter *base)
{
    struct pending_iter *it = (struct pending_iter *)base;
    return show(it, vv_pending_last(it->pending));
}

static int iter_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct pending_iter *it = (struct pending_iter *)base;
    struct vv_pending_node *node = vv_pending_from(it->pending, key);
    if (node != NULL && seq < it->at && node_cmp(it->pending, node, key) == 0)
        node = node->next[0];
    return show(it, node);
}

static int iter_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct pending_iter *it = (struct pending_iter *)base;
    return show(it, vv_pending_to(it->pending, key));
}

static int iter_next(struct vv_iter *base)
{
    struct pending_iter *it = (struct pending_iter *)base;
    return show(it, it->node->next[0]);
}

static int iter_prev(struct vv_iter *base)
{
    struct pending_iter *it = (struct pending_iter *)base;
    return show(it, it->node->before);
}

static void iter_close(struct vv_iter *base)
{
    struct pending_iter *it = (struct pending_iter *)base;
    vv_pending_change_unref(it->change);
    vv_free(it);
}

static const struct vv_iter_ops iter_ops = {
    .first = iter_first,
    .last = iter_last,
    .seek = iter_seek,
    .seek_for_prev = iter_seek_for_prev,
    .next = iter_next,
    .prev = iter_prev,
    .close = iter_close,
};

int vv_pending_iter(const struct vv_pending *p, vv_seq at, struct vv_iter **out)
{
    struct pending_iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    it->base.ops = &iter_ops;
    it->pending = p;
    it->at = at;
    *out = &it->base;
    return VV_OK;
}

/* ---- checking */

static void nodes_check(const struct vv_pending *p)
{
    for (int h = 0; h < VV_PENDING_HEIGHT; h++)
        for (const struct vv_pending_node *n = p->first[h]; n != NULL; n = n->next[h]) {
            vv_assert(n->height > h);
            if (n->next[h] != NULL)
                vv_assert(node_cmp(p, n, vv_pending_key(n->next[h]->newest)) < 0);
        }
    const struct vv_pending_node *before = NULL;
    for (const struct vv_pending_node *n = p->first[0]; n != NULL; n = n->next[0]) {
        vv_assert(n->before == before);
        before = n;
    }
    vv_assert(p->last == before);
}

void vv_pending_check(const struct vv_pending *p)
{
    size_t keys = 0, linked = 0, timed = 0, bytes = 0;
    nodes_check(p);
    for (const struct vv_pending_node *n = p->first[0]; n != NULL; n = n->next[0], keys++)
        for (const struct vv_pending_change *c = n->newest; c != NULL; c = c->older, linked++) {
            vv_assert(c->node == n);
            vv_assert(c->older == NULL || c->older->level < c->level);
        }
    uint32_t level = p->level;
    for (const struct vv_pending_change *c = p->latest; c != NULL; c = c->earlier, timed++) {
        vv_assert(c->level <= level);
        vv_assert(c->earlier == NULL || c->earlier->later == c);
        level = c->level;
        bytes += (size_t)c->key_size + c->value_size;
    }
    vv_assert(keys == p->count);
    vv_assert(linked == timed);
    vv_assert(bytes == p->bytes);
}
