#include "db/reads.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"

enum { CAP_FIRST = 16, KEYS_MAX = INT32_MAX };

void vv_reads_deinit(struct vv_reads *r)
{
    for (size_t i = 0; i < r->key_count; i++)
        vv_free((void *)(uintptr_t)r->keys[i].key.data);
    for (size_t i = 0; i < r->range_count; i++) {
        vv_buf_deinit(&r->ranges[i].from);
        vv_buf_deinit(&r->ranges[i].to);
    }
    vv_free(r->keys);
    vv_free(r->slots);
    vv_free(r->ranges);
    *r = (struct vv_reads){.key_count = 0};
}

/* ---- keys */

/* The slot of the key, or the free one where it belongs. */
static uint32_t *slot_of(const struct vv_reads *r, vv_slice key, uint64_t hash)
{
    size_t mask = r->key_cap * 2 - 1;
    size_t i = hash & mask;
    while (r->slots[i] != 0) {
        const struct vv_relied_key *known = &r->keys[r->slots[i] - 1];
        if (known->hash == hash && vv_slice_equal(known->key, key))
            break;
        i = (i + 1) & mask;
    }
    return &r->slots[i];
}

static int grow_keys(struct vv_reads *r)
{
    size_t cap = r->key_cap > 0 ? r->key_cap * 2 : CAP_FIRST;
    if (cap > KEYS_MAX)
        return vv_fail(VV_TOOBIG, "a transaction cannot rely on more than %zu keys", r->key_count);
    struct vv_relied_key *keys = vv_realloc(r->keys, cap * sizeof *keys);
    if (keys == NULL)
        return VV_NOMEM;
    r->keys = keys;
    uint32_t *slots = vv_alloc_zero(cap * 2 * sizeof *slots);
    if (slots == NULL)
        return VV_NOMEM;
    vv_free(r->slots);
    r->slots = slots;
    r->key_cap = cap;
    for (size_t i = 0; i < r->key_count; i++)
        *slot_of(r, keys[i].key, keys[i].hash) = (uint32_t)i + 1;
    return VV_OK;
}

int vv_reads_add_key(struct vv_reads *r, vv_slice key)
{
    uint64_t hash = vv_hash(key);
    if (r->key_count > 0 && *slot_of(r, key, hash) != 0)
        return VV_OK;
    int rc = r->key_count == r->key_cap ? grow_keys(r) : VV_OK;
    if (rc < 0)
        return rc;
    uint8_t *bytes = vv_memdup(key.data, key.size);
    if (bytes == NULL)
        return VV_NOMEM;
    r->keys[r->key_count] = (struct vv_relied_key){{bytes, key.size}, hash};
    *slot_of(r, key, hash) = (uint32_t)++r->key_count;
    return VV_OK;
}

/* ---- ranges */

/* An empty bound is a bound all the same; its address must not be NULL. */
static vv_slice bound_of(const struct vv_buf *bytes, bool open)
{
    if (open)
        return VV_SLICE_EMPTY;
    return (vv_slice){bytes->data != NULL ? bytes->data : (const uint8_t *)"", bytes->size};
}

int vv_reads_ranges(const struct vv_reads *r, struct vv_relied_range **out)
{
    struct vv_relied_range *ranges = vv_alloc(r->range_count * sizeof *ranges);
    if (ranges == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < r->range_count; i++) {
        const struct vv_read_range *range = &r->ranges[i];
        ranges[i] = (struct vv_relied_range){bound_of(&range->from, range->from_open),
                                             bound_of(&range->to, range->to_open), range->closed};
    }
    *out = ranges;
    return VV_OK;
}

static int set_bound(struct vv_buf *bound, bool *open, vv_slice to)
{
    *open = to.data == NULL;
    return vv_buf_assign(bound, to);
}

/* Where a range reaches: to a key that belongs to it or, with data NULL or not `closed`, to a bound
 * that does not. */
struct reach {
    vv_slice to;
    bool closed;
};

static int add_range(struct vv_reads *r, vv_slice from, struct reach reach, size_t *index)
{
    if (r->range_count == r->range_cap) {
        size_t cap = r->range_cap > 0 ? r->range_cap * 2 : CAP_FIRST;
        struct vv_read_range *ranges = vv_realloc(r->ranges, cap * sizeof *ranges);
        if (ranges == NULL)
            return VV_NOMEM;
        r->ranges = ranges;
        r->range_cap = cap;
    }
    struct vv_read_range range = {.closed = reach.closed};
    int rc = set_bound(&range.from, &range.from_open, from);
    if (rc == VV_OK)
        rc = set_bound(&range.to, &range.to_open, reach.to);
    if (rc < 0) {
        vv_buf_deinit(&range.from);
        vv_buf_deinit(&range.to);
        return rc;
    }
    *index = r->range_count;
    r->ranges[r->range_count++] = range;
    return VV_OK;
}

static int reach_up(const struct vv_order *order, struct vv_read_range *range, struct reach reach)
{
    if (range->to_open)
        return VV_OK;
    if (reach.to.data != NULL) {
        int above = vv_order_cmp(order, reach.to, vv_buf_slice(&range->to));
        if (above < 0 || (above == 0 && (range->closed || !reach.closed)))
            return VV_OK;
    }
    range->closed = reach.closed;
    return set_bound(&range->to, &range->to_open, reach.to);
}

static int reach_down(const struct vv_order *order, struct vv_read_range *range, vv_slice from)
{
    if (range->from_open ||
        (from.data != NULL && vv_order_cmp(order, from, vv_buf_slice(&range->from)) >= 0))
        return VV_OK;
    return set_bound(&range->from, &range->from_open, from);
}

/* ---- scans */

static vv_slice solid(vv_slice key)
{
    return key.data != NULL ? key : (vv_slice){(const uint8_t *)"", 0};
}

static int begin_up(struct vv_scan *scan, const struct vv_walk *walk, vv_slice key,
                    struct reach reach)
{
    const struct vv_order *order = walk->order;
    bool below =
        key.data == NULL || (walk->lower.data != NULL && vv_order_cmp(order, key, walk->lower) < 0);
    return add_range(scan->reads, below ? walk->lower : key, reach, &scan->range);
}

static int begin_down(struct vv_scan *scan, const struct vv_walk *walk, vv_slice key, vv_slice from)
{
    const struct vv_order *order = walk->order;
    bool above = key.data == NULL ||
                 (walk->upper.data != NULL && vv_order_cmp(order, key, walk->upper) >= 0);
    struct reach reach = {above ? walk->upper : key, !above};
    return add_range(scan->reads, from, reach, &scan->range);
}

int vv_scan_note(struct vv_scan *scan, const struct vv_walk *walk, enum vv_scan_move move,
                 vv_slice key, int rc)
{
    if (scan->reads == NULL || rc < 0)
        return rc;
    struct vv_reads *r = scan->reads;
    bool found = rc == VV_OK;
    vv_slice at = solid(walk->entry.key);
    struct reach up = found ? (struct reach){at, true} : (struct reach){walk->upper, false};
    vv_slice down = found ? at : walk->lower;
    int noted = VV_OK;
    if (!scan->begun && move == VV_SCAN_NEXT)
        move = VV_SCAN_FROM;
    if (!scan->begun && move == VV_SCAN_PREV)
        move = VV_SCAN_TO;
    switch (move) {
    case VV_SCAN_FROM: noted = begin_up(scan, walk, key, up); break;
    case VV_SCAN_TO: noted = begin_down(scan, walk, key, down); break;
    case VV_SCAN_NEXT: noted = reach_up(walk->order, &r->ranges[scan->range], up); break;
    case VV_SCAN_PREV: noted = reach_down(walk->order, &r->ranges[scan->range], down); break;
    }
    scan->begun = true;
    return noted < 0 ? noted : rc;
}
