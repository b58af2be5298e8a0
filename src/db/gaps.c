#include "db/gaps.h"

#include "base/alloc.h"
#include "base/error.h"
#include "kv/batch.h"

void vv_gaps_init(struct vv_gaps *g, vv_seq given)
{
    *g = (struct vv_gaps){.floor = UINT64_MAX};
    atomic_init(&g->given, given);
    vv_mutex_init(&g->mu, 935);
}

void vv_gaps_deinit(struct vv_gaps *g)
{
    for (uint32_t i = 0; i < VV_GAPS_MAX; i++) {
        vv_buf_deinit(&g->list[i].from);
        vv_buf_deinit(&g->list[i].to);
    }
    vv_free(g->recent);
    vv_mutex_deinit(&g->mu);
}

/* ---- the list */

static uint32_t count_locked(const struct vv_gaps *g)
{
    vv_mutex_assert_held(&g->mu);
    return atomic_load_explicit(&g->count, memory_order_relaxed);
}

/* Index of the first gap that ends behind the key. */
static uint32_t find_locked(const struct vv_gaps *g, vv_slice key)
{
    uint32_t low = 0;
    uint32_t high = count_locked(g);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (vv_slice_cmp(vv_buf_slice(&g->list[middle].to), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Takes one out; its buffers go behind the others. */
static void remove_locked(struct vv_gaps *g, uint32_t at)
{
    uint32_t last = count_locked(g) - 1;
    struct vv_gap gone = g->list[at];
    memmove(&g->list[at], &g->list[at + 1], (last - at) * sizeof gone);
    g->list[last] = gone;
    atomic_store_explicit(&g->count, last, memory_order_relaxed);
}

/* Makes room for one at `at`; what stands there has buffers to be assigned to. */
static void insert_locked(struct vv_gaps *g, uint32_t at)
{
    uint32_t count = count_locked(g);
    vv_assert(count < VV_GAPS_MAX);
    struct vv_gap fresh = g->list[count];
    memmove(&g->list[at + 1], &g->list[at], (count - at) * sizeof fresh);
    g->list[at] = fresh;
    atomic_store_explicit(&g->count, count + 1, memory_order_relaxed);
}

/* ---- the leader */

bool vv_gaps_look(struct vv_gaps *g, vv_seq given)
{
    atomic_store(&g->given, given);
    return atomic_load(&g->on);
}

/* Something is put at the key: what is in front of it remains. */
static void cut_locked(struct vv_gaps *g, vv_slice key)
{
    uint32_t at = find_locked(g, key);
    if (at == count_locked(g) || vv_slice_cmp(vv_buf_slice(&g->list[at].from), key) > 0)
        return;
    struct vv_gap *gap = &g->list[at];
    if (vv_slice_equal(vv_buf_slice(&gap->from), key) || vv_buf_assign(&gap->to, key) < 0)
        remove_locked(g, at);
}

/* One that is too long for the ring, or that it pushes out, is above the floor from now on. */
static void keep_locked(struct vv_gaps *g, vv_slice key, vv_seq seq)
{
    struct vv_gap_put *put = &g->recent[g->recent_count++ % VV_GAPS_RECENT];
    if (g->recent_count > VV_GAPS_RECENT && put->seq > g->floor)
        g->floor = put->seq;
    put->seq = seq;
    put->size = 0;
    if (key.size > VV_GAPS_KEY_SIZE) {
        g->floor = seq;
        return;
    }
    put->size = (uint8_t)key.size;
    if (key.size > 0)
        memcpy(put->key, key.data, key.size);
}

void vv_gaps_note(struct vv_gaps *g, vv_slice ops, vv_seq first)
{
    struct vv_reader r = vv_reader_of(ops);
    struct vv_entry op;
    vv_mutex_lock(&g->mu);
    for (vv_seq seq = first; vv_batch_next(&r, &op) == VV_OK; seq++) {
        if (op.kind == VV_KIND_DELETE || op.kind == VV_KIND_DELETE_RANGE)
            continue;
        cut_locked(g, op.key);
        keep_locked(g, op.key, seq);
    }
    vv_mutex_unlock(&g->mu);
}

void vv_gaps_clear(struct vv_gaps *g)
{
    vv_mutex_lock(&g->mu);
    atomic_store_explicit(&g->count, 0, memory_order_relaxed);
    g->floor = atomic_load(&g->given);
    vv_mutex_unlock(&g->mu);
}

/* ---- walks */

int vv_gaps_find(struct vv_gaps *g, vv_slice key, vv_seq at, struct vv_buf *from, struct vv_buf *to)
{
    int rc = VV_NOTFOUND;
    vv_mutex_lock(&g->mu);
    uint32_t i = find_locked(g, key);
    const struct vv_gap *gap = i < count_locked(g) ? &g->list[i] : NULL;
    if (gap != NULL && gap->since <= at && vv_slice_cmp(vv_buf_slice(&gap->from), key) <= 0 &&
        (rc = vv_buf_assign(from, vv_buf_slice(&gap->from))) == VV_OK)
        rc = vv_buf_assign(to, vv_buf_slice(&gap->to));
    vv_mutex_unlock(&g->mu);
    return rc;
}

/* The ring comes first: a leader that sees the switch needs it. */
static void switch_on_locked(struct vv_gaps *g)
{
    vv_mutex_assert_held(&g->mu);
    if (g->recent != NULL ||
        (g->recent = vv_alloc_zero(VV_GAPS_RECENT * sizeof *g->recent)) == NULL)
        return;
    atomic_store(&g->on, true);
    g->floor = atomic_load(&g->given);
}

/* Whether something was put into the range since. */
static bool put_since_locked(const struct vv_gaps *g, vv_slice from, vv_slice to, vv_seq at)
{
    uint64_t oldest = g->recent_count > VV_GAPS_RECENT ? g->recent_count - VV_GAPS_RECENT : 0;
    for (uint64_t i = g->recent_count; i-- > oldest;) {
        const struct vv_gap_put *put = &g->recent[i % VV_GAPS_RECENT];
        vv_slice key = {put->key, put->size};
        if (put->seq <= at)
            return false;
        if (vv_slice_cmp(from, key) <= 0 && vv_slice_cmp(key, to) < 0)
            return true;
    }
    return false;
}

/* Joins the gaps from `first` up to `end`, all of which touch the new one, with that. */
static void join_locked(struct vv_gaps *g, uint32_t first, uint32_t end, vv_slice from, vv_slice to,
                        vv_seq at)
{
    struct vv_gap *gap = &g->list[first];
    vv_slice last = vv_buf_slice(&g->list[end - 1].to);
    vv_slice high = vv_slice_cmp(to, last) > 0 ? to : last;
    int rc = high.data != gap->to.data ? vv_buf_assign(&gap->to, high) : VV_OK;
    if (rc == VV_OK && vv_slice_cmp(from, vv_buf_slice(&gap->from)) < 0)
        rc = vv_buf_assign(&gap->from, from);
    for (uint32_t i = first; i < end; i++)
        gap->since = g->list[i].since > gap->since ? g->list[i].since : gap->since;
    gap->since = at > gap->since ? at : gap->since;
    while (end-- > first + 1)
        remove_locked(g, end);
    if (rc < 0)
        remove_locked(g, first);
}

static void add_locked(struct vv_gaps *g, vv_slice from, vv_slice to, vv_seq at)
{
    if (count_locked(g) == VV_GAPS_MAX)
        remove_locked(g, g->victim++ % VV_GAPS_MAX);
    uint32_t first = 0;
    while (first < count_locked(g) && vv_slice_cmp(vv_buf_slice(&g->list[first].to), from) < 0)
        first++;
    uint32_t end = first;
    while (end < count_locked(g) && vv_slice_cmp(vv_buf_slice(&g->list[end].from), to) <= 0)
        end++;
    if (end > first) {
        join_locked(g, first, end, from, to, at);
        return;
    }
    insert_locked(g, first);
    struct vv_gap *gap = &g->list[first];
    gap->since = at;
    if (vv_buf_assign(&gap->from, from) < 0 || vv_buf_assign(&gap->to, to) < 0)
        remove_locked(g, first);
}

void vv_gaps_learn(struct vv_gaps *g, vv_slice from, vv_slice to, vv_seq at)
{
    if (vv_slice_cmp(from, to) >= 0)
        return;
    vv_mutex_lock(&g->mu);
    switch_on_locked(g);
    if (g->recent != NULL && g->floor <= at && !put_since_locked(g, from, to, at))
        add_locked(g, from, to, at);
    vv_mutex_unlock(&g->mu);
}
