#include "harness/fake_engine.h"

#include "base/hash.h"
#include "env/posix.h"
#include "env/thread.h"
#include "harness/test.h"
#include "kv/batch.h"
#include "kv/expiry.h"
#include "kv/ref.h"

enum { RANK_FAKE = 100 };

struct version {
    struct vv_entry entry;
    struct vv_buf key, value;
};

struct fake_engine {
    struct vv_engine base;
    const struct vv_host *host;
    const struct vv_order *order;
    struct vv_account *account;
    struct fake_controls *controls;
    _Atomic(int) writing; /* append and publish must not meet */
    vv_seq appended, published;

    struct vv_mutex mu; /* protects all below */
    struct version *versions;
    size_t count, cap;
    struct vv_buf *stowed;
    size_t stowed_count;
    uint64_t tickets, done;
};

static struct fake_engine *of(struct vv_engine *e)
{
    return (struct fake_engine *)e;
}

/* ---- versions */

static size_t find(const struct fake_engine *f, vv_slice key, vv_seq seq)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct vv_entry *at = &f->versions[middle].entry;
        if (vv_order_cmp_entry(f->order, at->key, at->seq, key, seq) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int version_of(const struct vv_entry *entry, struct version *out)
{
    *out = (struct version){*entry, VV_BUF_INIT, VV_BUF_INIT};
    int rc = vv_buf_assign(&out->key, entry->key);
    if (rc == VV_OK)
        rc = vv_buf_assign(&out->value, entry->value);
    out->entry.key = vv_buf_slice(&out->key);
    out->entry.value = vv_buf_slice(&out->value);
    return rc;
}

static void version_deinit(struct version *v)
{
    vv_buf_deinit(&v->key);
    vv_buf_deinit(&v->value);
}

static int insert(struct fake_engine *f, const struct vv_entry *entry)
{
    if (f->count == f->cap) {
        size_t cap = f->cap * 2 + 16;
        struct version *grown = vv_realloc(f->versions, cap * sizeof *grown);
        if (grown == NULL)
            return VV_NOMEM;
        f->versions = grown;
        f->cap = cap;
    }
    size_t at = find(f, entry->key, entry->seq);
    memmove(&f->versions[at + 1], &f->versions[at], (f->count - at) * sizeof *f->versions);
    f->count++;
    return version_of(entry, &f->versions[at]);
}

/* ---- writing */

static int trouble(_Atomic(int) *rc, const char *what)
{
    int now = atomic_load(rc);
    return now < 0 ? vv_fail(now, "the fake engine was told to fail %s", what) : VV_OK;
}

static void pass_time(_Atomic(uint64_t) *us)
{
    uint64_t now = atomic_load(us);
    if (now > 0)
        vv_env_sleep_us(vv_env_posix(), now);
}

static int fake_stow(struct vv_engine *e, vv_slice key, vv_slice value, uint8_t ref[VV_REF_SIZE])
{
    struct fake_engine *f = of(e);
    (void)key;
    int rc = trouble(&f->controls->stow_rc, "stow");
    if (rc < 0)
        return rc;
    vv_mutex_lock(&f->mu);
    f->stowed = vv_realloc(f->stowed, (f->stowed_count + 1) * sizeof *f->stowed);
    vv_assert(f->stowed != NULL);
    f->stowed[f->stowed_count] = (struct vv_buf)VV_BUF_INIT;
    rc = vv_buf_assign(&f->stowed[f->stowed_count], value);
    vv_ref_encode((struct vv_ref){(uint32_t)f->stowed_count, 0, (uint32_t)value.size, 0}, ref);
    f->stowed_count++;
    vv_mutex_unlock(&f->mu);
    atomic_fetch_add(&f->controls->seen.stows, 1);
    return rc;
}

static void fake_unstow(struct vv_engine *e, const uint8_t ref[VV_REF_SIZE])
{
    (void)ref;
    atomic_fetch_add(&of(e)->controls->seen.unstows, 1);
}

static int fake_admit(struct vv_engine *e, size_t size_bytes, uint64_t *wait_us)
{
    struct fake_controls *c = of(e)->controls;
    vv_assert(size_bytes > 0);
    *wait_us = 0;
    if (atomic_load(&c->admit_waits) > 0) {
        atomic_fetch_sub(&c->admit_waits, 1);
        *wait_us = 1000;
    }
    return VV_OK;
}

static int fake_append(struct vv_engine *e, struct vv_write *const *group, size_t count)
{
    struct fake_engine *f = of(e);
    struct fake_controls *c = f->controls;
    vv_assert(atomic_exchange(&f->writing, 1) == 0);
    pass_time(&c->append_us);
    for (size_t i = 0; i < count; i++) {
        vv_assert(group[i]->first > f->appended);
        vv_assert(vv_batch_verify(group[i]->ops, group[i]->count) == VV_OK);
        vv_assert(group[i]->body_hash == vv_hash(group[i]->ops));
        f->appended = group[i]->first + group[i]->count - 1;
    }
    int rc = trouble(&c->append_rc, "append");
    atomic_fetch_add(&c->seen.appends, 1);
    atomic_fetch_add(&c->seen.appended_writes, count);
    if (count > atomic_load(&c->seen.group_largest))
        atomic_store(&c->seen.group_largest, count);
    atomic_store(&f->writing, 0);
    return rc;
}

static int fake_sync(struct vv_engine *e)
{
    struct fake_controls *c = of(e)->controls;
    pass_time(&c->sync_us);
    atomic_fetch_add(&c->seen.syncs, 1);
    return trouble(&c->sync_rc, "sync");
}

static int publish_one(struct fake_engine *f, const struct vv_write *write)
{
    struct vv_reader r = vv_reader_of(write->ops);
    struct vv_entry op;
    vv_seq seq = write->first;
    vv_assert(write->first > f->published);
    int rc;
    while ((rc = vv_batch_next(&r, &op)) == VV_OK) {
        op.seq = seq++;
        vv_assert(op.kind != VV_KIND_REF || write->has_refs);
        if ((rc = insert(f, &op)) < 0)
            return rc;
    }
    f->published = seq - 1;
    return rc < 0 ? rc : VV_OK;
}

static int fake_publish(struct vv_engine *e, struct vv_write *const *group, size_t count)
{
    struct fake_engine *f = of(e);
    vv_assert(atomic_exchange(&f->writing, 1) == 0);
    int rc = trouble(&f->controls->publish_rc, "publish");
    vv_mutex_lock(&f->mu);
    for (size_t i = 0; rc == VV_OK && i < count; i++)
        rc = publish_one(f, group[i]);
    vv_mutex_unlock(&f->mu);
    atomic_fetch_add(&f->controls->seen.publishes, 1);
    atomic_store(&f->writing, 0);
    return rc;
}

/* ---- reading */

/* A pinned copy, charged to the store's account until it is released. */
struct pinned {
    struct vv_account *account;
    struct fake_controls *controls;
    size_t size;
    uint8_t bytes[];
};

static void unpin(void *owner)
{
    struct pinned *p = owner;
    vv_account_release(p->account, VV_OWNER_PIN, p->size);
    atomic_fetch_sub(&p->controls->seen.pins_open, 1);
    vv_free(p);
}

static int pin(struct fake_engine *f, vv_slice value, struct vv_pin *out)
{
    struct pinned *p = vv_alloc(sizeof *p + value.size);
    if (p == NULL)
        return VV_NOMEM;
    p->account = f->account;
    p->controls = f->controls;
    p->size = value.size;
    if (value.size > 0)
        memcpy(p->bytes, value.data, value.size);
    vv_account_charge(f->account, VV_OWNER_PIN, value.size);
    atomic_fetch_add(&f->controls->seen.pins_open, 1);
    *out = (struct vv_pin){.value = {p->bytes, value.size}, .release = unpin, .owner = p};
    return VV_OK;
}

static vv_slice follow(const struct fake_engine *f, const struct vv_entry *entry)
{
    struct vv_ref ref;
    vv_slice value = vv_expiry_strip(entry->kind, entry->value);
    if (!vv_kind_is_ref(entry->kind))
        return value;
    vv_assert(vv_ref_decode(value, &ref) && ref.file < f->stowed_count);
    return vv_buf_slice(&f->stowed[ref.file]);
}

static vv_seq moment(const struct fake_engine *f, vv_seq at)
{
    return at == VV_SEQ_NOW ? atomic_load(f->host->visible) : at;
}

/* NULL when there is none, or a deletion. */
static const struct vv_entry *get_locked(struct fake_engine *f, vv_seq at, vv_slice key)
{
    size_t i = find(f, key, at);
    const struct vv_entry *entry = i < f->count ? &f->versions[i].entry : NULL;
    return entry == NULL || !vv_slice_equal(entry->key, key) || entry->kind == VV_KIND_DELETE
               ? NULL
               : entry;
}

static int pin_locked(struct fake_engine *f, vv_seq at, vv_slice key, struct vv_pin *out)
{
    const struct vv_entry *entry = get_locked(f, at, key);
    if (entry == NULL)
        return VV_NOTFOUND;
    int rc = pin(f, follow(f, entry), out);
    if (rc == VV_OK) {
        out->expires_ms = vv_expiry_of(entry->kind, entry->value);
        out->is_operand = entry->kind == VV_KIND_MERGE;
    }
    return rc;
}

static int fake_get(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_pin *out)
{
    struct fake_engine *f = of(e);
    int rc = trouble(&f->controls->get_rc, "get");
    if (rc < 0)
        return rc;
    vv_mutex_lock(&f->mu);
    rc = pin_locked(f, moment(f, at), key, out);
    vv_mutex_unlock(&f->mu);
    return rc;
}

static int fake_look(struct vv_engine *e, vv_seq at, vv_slice key, struct vv_look *out)
{
    struct fake_engine *f = of(e);
    int rc = trouble(&f->controls->get_rc, "look");
    if (rc < 0)
        return rc;
    vv_mutex_lock(&f->mu);
    const struct vv_entry *entry = get_locked(f, moment(f, at), key);
    if (entry != NULL)
        *out = (struct vv_look){entry->kind, vv_expiry_of(entry->kind, entry->value)};
    vv_mutex_unlock(&f->mu);
    return entry != NULL ? VV_OK : VV_NOTFOUND;
}

static int fake_multi_get(struct vv_engine *e, vv_seq at, size_t count, const vv_slice *keys,
                          struct vv_pin *out, int *results)
{
    struct fake_engine *f = of(e);
    vv_mutex_lock(&f->mu);
    at = moment(f, at);
    for (size_t i = 0; i < count; i++)
        results[i] = pin_locked(f, at, keys[i], &out[i]);
    vv_mutex_unlock(&f->mu);
    return VV_OK;
}

static int fake_range_changed(struct vv_engine *e, vv_seq since, vv_slice from, vv_slice to,
                              bool *out)
{
    struct fake_engine *f = of(e);
    vv_mutex_lock(&f->mu);
    *out = false;
    for (size_t i = 0; i < f->count; i++) {
        const struct vv_entry *at = &f->versions[i].entry;
        bool within = (from.data == NULL || vv_order_cmp(f->order, at->key, from) >= 0) &&
                      (to.data == NULL || vv_order_cmp(f->order, at->key, to) < 0);
        *out = *out || (within && at->seq > since);
    }
    vv_mutex_unlock(&f->mu);
    atomic_fetch_add(&f->controls->seen.asks, 1);
    return VV_OK;
}

static int fake_changed(struct vv_engine *e, vv_seq since, vv_slice key, bool *out)
{
    struct fake_engine *f = of(e);
    vv_mutex_lock(&f->mu);
    size_t i = find(f, key, VV_SEQ_MAX);
    *out = i < f->count && vv_slice_equal(f->versions[i].entry.key, key) &&
           f->versions[i].entry.seq > since;
    vv_mutex_unlock(&f->mu);
    atomic_fetch_add(&f->controls->seen.asks, 1);
    return VV_OK;
}

/* ---- iterating over a copy of what is visible */

struct fake_iter {
    struct vv_iter base;
    struct fake_engine *engine;
    struct version *versions;
    size_t count, at;
};

static int settle(struct vv_iter *it, size_t at)
{
    struct fake_iter *f = (struct fake_iter *)(void *)it;
    atomic_fetch_add(&f->engine->controls->seen.iter_moves, 1);
    f->at = at;
    it->valid = at < f->count;
    if (it->valid)
        it->at = f->versions[at].entry;
    return VV_OK;
}

static int iter_first(struct vv_iter *it)
{
    return settle(it, 0);
}

static int iter_last(struct vv_iter *it)
{
    return settle(it, ((struct fake_iter *)(void *)it)->count - 1);
}

static size_t iter_find(const struct fake_iter *f, vv_slice key, vv_seq seq)
{
    size_t i = 0;
    while (i < f->count && vv_order_cmp_entry(f->engine->order, f->versions[i].entry.key,
                                              f->versions[i].entry.seq, key, seq) < 0)
        i++;
    return i;
}

static int iter_seek(struct vv_iter *it, vv_slice key, vv_seq seq)
{
    return settle(it, iter_find((struct fake_iter *)(void *)it, key, seq));
}

static int iter_seek_for_prev(struct vv_iter *it, vv_slice key)
{
    const struct fake_iter *f = (struct fake_iter *)(void *)it;
    size_t i = iter_find(f, key, 0);
    if (i < f->count && vv_slice_equal(f->versions[i].entry.key, key) &&
        f->versions[i].entry.seq == 0)
        i++;
    return settle(it, i - 1);
}

static int iter_next(struct vv_iter *it)
{
    return settle(it, ((struct fake_iter *)(void *)it)->at + 1);
}

static int iter_prev(struct vv_iter *it)
{
    return settle(it, ((struct fake_iter *)(void *)it)->at - 1);
}

static void iter_close(struct vv_iter *it)
{
    struct fake_iter *f = (struct fake_iter *)(void *)it;
    atomic_fetch_sub(&f->engine->controls->seen.iters_open, 1);
    for (size_t i = 0; i < f->count; i++)
        version_deinit(&f->versions[i]);
    vv_free(f->versions);
    vv_free(f);
}

static const struct vv_iter_ops iter_ops = {
    iter_first, iter_last, iter_seek, iter_seek_for_prev, iter_next, iter_prev, iter_close,
};

static int fake_iter(struct vv_engine *e, const struct vv_engine_iter_options *options, vv_seq *seq,
                     struct vv_iter **out)
{
    struct fake_engine *f = of(e);
    struct fake_iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    int rc = VV_OK;
    it->base.ops = &iter_ops;
    it->engine = f;
    atomic_fetch_add(&f->controls->seen.iters_open, 1);
    vv_mutex_lock(&f->mu);
    vv_seq at = moment(f, options->at);
    it->versions = vv_alloc(f->count * sizeof *it->versions);
    for (size_t i = 0; rc == VV_OK && it->versions != NULL && i < f->count; i++)
        if (f->versions[i].entry.seq <= at)
            rc = version_of(&f->versions[i].entry, &it->versions[it->count++]);
    if (it->versions == NULL)
        rc = VV_NOMEM;
    vv_mutex_unlock(&f->mu);
    if (rc < 0) {
        iter_close(&it->base);
        return rc;
    }
    *seq = at;
    *out = &it->base;
    return VV_OK;
}

static int fake_resolve(struct vv_iter *it, vv_slice ref, vv_slice key, struct vv_pin *out)
{
    struct fake_engine *f = ((struct fake_iter *)(void *)it)->engine;
    struct vv_entry entry = {key, ref, 0, VV_KIND_REF};
    vv_mutex_lock(&f->mu);
    int rc = pin(f, follow(f, &entry), out);
    vv_mutex_unlock(&f->mu);
    return rc;
}

/* ---- care */

static int fake_tend(struct vv_engine *e, enum vv_tended *out)
{
    struct fake_engine *f = of(e);
    struct fake_controls *c = f->controls;
    *out = VV_TENDED_IDLE;
    atomic_fetch_add(&c->seen.tends, 1);
    int rc = trouble(&c->tend_rc, "tend");
    if (rc < 0 || atomic_load(&c->held) > 0)
        return rc;
    vv_mutex_lock(&f->mu);
    if (f->done < f->tickets) {
        f->done++;
        *out = VV_TENDED_WORKED;
    } else if (atomic_load(&c->tend_steps) > 0) {
        atomic_fetch_sub(&c->tend_steps, 1);
        *out = VV_TENDED_WORKED;
    }
    vv_mutex_unlock(&f->mu);
    return VV_OK;
}

static int take_ticket(struct fake_engine *f, uint64_t *ticket)
{
    vv_mutex_lock(&f->mu);
    *ticket = ++f->tickets;
    f->host->wake(f->host->context);
    vv_mutex_unlock(&f->mu);
    return VV_OK;
}

static bool ticket_done(struct vv_engine *e, uint64_t ticket)
{
    struct fake_engine *f = of(e);
    vv_mutex_lock(&f->mu);
    bool done = f->done >= ticket;
    vv_mutex_unlock(&f->mu);
    return done;
}

static int fake_flush_begin(struct vv_engine *e, uint64_t *ticket)
{
    atomic_fetch_add(&of(e)->controls->seen.flushes, 1);
    return take_ticket(of(e), ticket);
}

static int fake_compact_begin(struct vv_engine *e, const vv_slice *from, const vv_slice *to,
                              uint64_t *ticket)
{
    (void)from;
    (void)to;
    atomic_fetch_add(&of(e)->controls->seen.compacts, 1);
    return take_ticket(of(e), ticket);
}

static int fake_range_bytes(struct vv_engine *e, vv_slice from, vv_slice to, uint64_t *out)
{
    struct fake_engine *f = of(e);
    *out = 0;
    vv_mutex_lock(&f->mu);
    for (size_t i = 0; i < f->count; i++) {
        const struct vv_entry *at = &f->versions[i].entry;
        if ((from.data == NULL || vv_order_cmp(f->order, at->key, from) >= 0) &&
            (to.data == NULL || vv_order_cmp(f->order, at->key, to) < 0))
            *out += at->key.size + at->value.size;
    }
    vv_mutex_unlock(&f->mu);
    return VV_OK;
}

static void fake_pause(struct vv_engine *e, int change)
{
    atomic_fetch_add(&of(e)->controls->seen.pauses, change);
}

static int fake_check(struct vv_engine *e, void (*report)(void *context, const char *line),
                      void *context)
{
    (void)e;
    report(context, "nothing lies on disk");
    return VV_OK;
}

static void fake_close(struct vv_engine *e)
{
    struct fake_engine *f = of(e);
    vv_assert(atomic_load(&f->controls->seen.iters_open) == 0);
    atomic_fetch_add(&f->controls->seen.closes, 1);
    for (size_t i = 0; i < f->count; i++)
        version_deinit(&f->versions[i]);
    for (size_t i = 0; i < f->stowed_count; i++)
        vv_buf_deinit(&f->stowed[i]);
    vv_free(f->stowed);
    vv_free(f->versions);
    vv_mutex_deinit(&f->mu);
    vv_free(f);
}

static const struct vv_engine_ops fake_ops = {
    .stow = fake_stow,
    .unstow = fake_unstow,
    .admit = fake_admit,
    .append = fake_append,
    .sync = fake_sync,
    .publish = fake_publish,
    .get = fake_get,
    .look = fake_look,
    .multi_get = fake_multi_get,
    .iter = fake_iter,
    .resolve = fake_resolve,
    .changed = fake_changed,
    .range_changed = fake_range_changed,
    .range_bytes = fake_range_bytes,
    .tend = fake_tend,
    .flush_begin = fake_flush_begin,
    .flush_done = ticket_done,
    .compact_begin = fake_compact_begin,
    .compact_done = ticket_done,
    .pause = fake_pause,
    .check = fake_check,
    .close = fake_close,
};

/* ---- making */

static int fake_open(void *context, const struct vv_host *host, const struct vv_order *order,
                     struct vv_account *account, struct vv_engine **out, vv_seq *seq)
{
    struct fake_engine *f = vv_alloc_zero(sizeof *f);
    struct vv_note first;
    if (f == NULL)
        return VV_NOMEM;
    if (host->notes(host->context, NULL, 0, &order, &first) < 0) {
        vv_free(f);
        return VV_NOMEM;
    }
    f->base.ops = &fake_ops;
    f->host = host;
    f->order = order;
    f->account = account;
    f->controls = context;
    f->appended = f->published = f->controls->seq_first;
    vv_mutex_init(&f->mu, RANK_FAKE);
    *seq = f->controls->seq_first;
    *out = &f->base;
    return VV_OK;
}

struct vv_engine_maker fake_maker(struct fake_controls *controls)
{
    return (struct vv_engine_maker){fake_open, controls, NULL, NULL};
}

static varve *store(struct fake_controls *controls, const char *text, bool stepped)
{
    varve *db = NULL;
    varve_options options = VARVE_OPTIONS_INIT;
    struct vv_db_world world = {.env = vv_env_posix(), .stepped = stepped};
    struct vv_engine_maker maker = fake_maker(controls);
    CHECK_OK(varve_options_set(&options, text));
    CHECK_OK(vv_db_open_over(&world, &maker, &options, &db));
    return db;
}

varve *fake_store(struct fake_controls *controls, const char *options)
{
    return store(controls, options, false);
}

varve *fake_store_stepped(struct fake_controls *controls, const char *options)
{
    return store(controls, options, true);
}
