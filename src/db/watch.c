#include "db/watch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "kv/batch.h"

enum { SLOTS = 1 << 16 };

void vv_watch_init(struct vv_watch *w, struct vv_account *account)
{
    *w = (struct vv_watch){.account = account};
    atomic_init(&w->floor, UINT64_MAX);
}

static size_t table_bytes(void)
{
    return SLOTS * sizeof(_Atomic(vv_seq));
}

static void table_free(struct vv_watch *w, _Atomic(vv_seq) *slots)
{
    if (slots == NULL)
        return;
    vv_pages_free(slots, table_bytes());
    vv_account_release(w->account, VV_OWNER_WORK, table_bytes());
}

void vv_watch_deinit(struct vv_watch *w)
{
    table_free(w, atomic_exchange(&w->slots, NULL));
    atomic_store(&w->floor, UINT64_MAX);
    w->on = false;
}

/* ---- watching */

/* Without memory for the table all is well, only slower. */
static void need_table(struct vv_watch *w)
{
    _Atomic(vv_seq) *none = NULL;
    if (atomic_load_explicit(&w->slots, memory_order_acquire) != NULL)
        return;
    _Atomic(vv_seq) *slots = vv_pages_alloc(table_bytes());
    if (slots == NULL)
        return;
    vv_account_charge(w->account, VV_OWNER_WORK, table_bytes());
    if (!atomic_compare_exchange_strong(&w->slots, &none, slots))
        table_free(w, slots);
}

/* The count goes up before the moment is read. A leader who has not seen it yet may lay writes above
 * the moment unnoted, but then switches on, or is off, with a floor not below them. */
void vv_watch_begin(struct vv_watch *w, struct vv_snapshots *snapshots, struct vv_watched *out)
{
    *out = (struct vv_watched){.snapshot = {.db = NULL}};
    need_table(w);
    (void)atomic_fetch_add(&w->watchers, 1);
    vv_snapshots_add(snapshots, &out->snapshot);
}

void vv_watch_end(struct vv_watch *w, struct vv_snapshots *snapshots, struct vv_watched *watched)
{
    vv_snapshots_remove(snapshots, &watched->snapshot);
    uint32_t before = atomic_fetch_sub(&w->watchers, 1);
    vv_assert(before > 0);
}

/* ---- telling */

static vv_seq floor_of(const struct vv_watch *w)
{
    return atomic_load_explicit(&w->floor, memory_order_relaxed);
}

/* Requires a floor that is not UINT64_MAX: then there is a table. */
static vv_seq last_of(const struct vv_watch *w, uint64_t hash)
{
    const _Atomic(vv_seq) *slots = atomic_load_explicit(&w->slots, memory_order_relaxed);
    return atomic_load_explicit(&slots[hash % SLOTS], memory_order_relaxed);
}

bool vv_watch_sure(const struct vv_watch *w, const struct vv_reliance *r, vv_seq seen)
{
    if (seen <= r->since)
        return true;
    if (r->range_count > 0 || floor_of(w) > r->since)
        return false;
    for (size_t i = 0; i < r->key_count; i++)
        if (last_of(w, r->keys[i].hash) > r->since)
            return false;
    return true;
}

static int ask_range(struct vv_engine *e, const struct vv_relied_range *range, vv_seq since,
                     bool *changed)
{
    int rc = e->ops->range_changed(e, since, range->from, range->to, changed);
    if (rc == VV_OK && !*changed && range->closed)
        rc = e->ops->changed(e, since, range->to, changed);
    return rc;
}

int vv_watch_ask(const struct vv_watch *w, struct vv_engine *e, const struct vv_reliance *r)
{
    bool known = floor_of(w) <= r->since;
    bool changed = false;
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && !changed && i < r->key_count; i++)
        if (!known || last_of(w, r->keys[i].hash) > r->since)
            rc = e->ops->changed(e, r->since, r->keys[i].key, &changed);
    for (size_t i = 0; rc == VV_OK && !changed && i < r->range_count; i++)
        rc = ask_range(e, &r->ranges[i], r->since, &changed);
    return rc == VV_OK && changed ? VV_CONFLICT : rc;
}

/* ---- the leader */

bool vv_watch_look(struct vv_watch *w, vv_seq given)
{
    bool on = atomic_load(&w->watchers) > 0 &&
              atomic_load_explicit(&w->slots, memory_order_acquire) != NULL;
    if (VV_UNLIKELY(on != w->on)) {
        w->on = on;
        atomic_store_explicit(&w->floor, on ? given : UINT64_MAX, memory_order_relaxed);
    }
    return on;
}

void vv_watch_note_all(struct vv_watch *w, vv_seq seq)
{
    if (w->on)
        atomic_store_explicit(&w->floor, seq, memory_order_relaxed);
}

/* Slots only rise: two keys may share one. A range may touch any key, which is what the floor says. */
void vv_watch_note(struct vv_watch *w, vv_slice ops, vv_seq first)
{
    _Atomic(vv_seq) *slots = atomic_load_explicit(&w->slots, memory_order_relaxed);
    struct vv_reader r = vv_reader_of(ops);
    struct vv_entry op;
    for (vv_seq seq = first; vv_batch_next(&r, &op) == VV_OK; seq++) {
        if (op.kind == VV_KIND_DELETE_RANGE)
            atomic_store_explicit(&w->floor, seq, memory_order_relaxed);
        else
            atomic_store_explicit(&slots[vv_hash(op.key) % SLOTS], seq, memory_order_relaxed);
    }
}
