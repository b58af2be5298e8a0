/*
 * The oracle of the memtable: a plain skip list for one thread, with one node for each version, in
 * internal order. Slow, and short enough to be believed.
 */
#ifndef VV_TEST_LSM_SKIPLIST_ORACLE_H
#define VV_TEST_LSM_SKIPLIST_ORACLE_H

#include "base/alloc.h"
#include "base/rng.h"
#include "kv/order.h"

#include <stddef.h>

enum { ORACLE_HEIGHT_MAX = 12 };

struct oracle_node {
    struct vv_entry entry; /* slices into `bytes` */
    struct oracle_node *prev;
    struct oracle_node **next; /* one a level */
    uint8_t bytes[];
};

struct oracle {
    struct vv_order order;
    struct vv_rng rng;
    struct oracle_node *head[ORACLE_HEIGHT_MAX];
    struct oracle_node *last;
    size_t count;
    size_t raw_bytes;
};

static inline struct oracle oracle_of(struct vv_order order, uint64_t seed)
{
    return (struct oracle){.order = order, .rng = vv_rng_of(seed)};
}

static inline void oracle_deinit(struct oracle *o)
{
    struct oracle_node *node = o->head[0];
    while (node != NULL) {
        struct oracle_node *next = node->next[0];
        vv_free((void *)node->next);
        vv_free(node);
        node = next;
    }
    *o = oracle_of(o->order, 0);
}

/* The links to change on each level for an entry at (key, seq); the first of them leads to the
 * first entry at or behind it. *before is the entry before that, or NULL. */
static inline void oracle_path(struct oracle *o, vv_slice key, vv_seq seq,
                               struct oracle_node **links[ORACLE_HEIGHT_MAX],
                               struct oracle_node **before)
{
    *before = NULL;
    for (int level = ORACLE_HEIGHT_MAX - 1; level >= 0; level--) {
        struct oracle_node **link = *before != NULL ? &(*before)->next[level] : &o->head[level];
        while (*link != NULL && vv_order_cmp_entry(&o->order, (*link)->entry.key,
                                                   (*link)->entry.seq, key, seq) < 0) {
            *before = *link;
            link = &(*link)->next[level];
        }
        links[level] = link;
    }
}

/* False when memory is out. */
static inline bool oracle_insert(struct oracle *o, const struct vv_entry *entry)
{
    struct oracle_node **links[ORACLE_HEIGHT_MAX];
    struct oracle_node *before;
    int height = 1;
    while (height < ORACLE_HEIGHT_MAX && vv_rng_one_in(&o->rng, 4))
        height++;
    struct oracle_node *node = vv_alloc(sizeof *node + entry->key.size + entry->value.size);
    struct oracle_node **next = vv_alloc((size_t)height * sizeof(void *));
    if (node == NULL || next == NULL) {
        vv_free(node);
        vv_free((void *)next);
        return false;
    }
    node->entry = *entry;
    node->entry.key.data = node->bytes;
    node->entry.value.data = node->bytes + entry->key.size;
    if (entry->key.size > 0)
        memcpy(node->bytes, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(node->bytes + entry->key.size, entry->value.data, entry->value.size);
    node->next = next;
    oracle_path(o, entry->key, entry->seq, links, &before);
    node->prev = before;
    for (int level = 0; level < height; level++) {
        next[level] = *links[level];
        *links[level] = node;
    }
    if (next[0] != NULL)
        next[0]->prev = node;
    else
        o->last = node;
    o->count++;
    o->raw_bytes += entry->key.size + entry->value.size;
    return true;
}

/* The first entry at or behind (key, seq), or NULL. */
static inline struct oracle_node *oracle_seek(struct oracle *o, vv_slice key, vv_seq seq)
{
    struct oracle_node **links[ORACLE_HEIGHT_MAX];
    struct oracle_node *before;
    oracle_path(o, key, seq, links, &before);
    return *links[0];
}

/* The last entry of a key <= `key`, or NULL. */
static inline struct oracle_node *oracle_seek_for_prev(struct oracle *o, vv_slice key)
{
    struct oracle_node **links[ORACLE_HEIGHT_MAX];
    struct oracle_node *before;
    oracle_path(o, key, 0, links, &before);
    struct oracle_node *node = *links[0]; /* of sequence 0, if there is one */
    return node != NULL && vv_order_cmp(&o->order, node->entry.key, key) == 0 ? node : before;
}

static inline struct oracle_node *oracle_get(struct oracle *o, vv_slice key, vv_seq seq)
{
    struct oracle_node *node = oracle_seek(o, key, seq);
    return node != NULL && vv_order_cmp(&o->order, node->entry.key, key) == 0 ? node : NULL;
}

#endif
