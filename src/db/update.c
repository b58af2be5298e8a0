/*
 * Changes that depend on what is there: counters, compare and swap, expiry of a key that exists.
 *
 * Each reads at a moment that is being watched, decides, and commits relying on the key not having
 * changed since (commit.h, vv_commit_checked): the leader refuses it if any other write came in between,
 * and it begins anew. So it is atomic against everything, plain puts included, and waits for nobody. One
 * of those that are in each other's way always succeeds.
 */
#include "base/hash.h"
#include "db/inner_key.h"
#include "db/store.h"
#include "kv/expiry.h"

enum { BACKOFF_US_MAX = 200 };

/* What is there, and what is to be there instead. */
struct update {
    vv_slice key; /* with its keyspace */
    /* In: what the decision saw. */
    bool found;
    struct vv_pin old; /* with its time */
    /* Out. */
    bool changes; /* or nothing is to be written */
    enum vv_kind kind;
    vv_slice value;      /* of PUT and PUT_EXPIRES; must last */
    uint64_t expires_ms; /* of PUT_EXPIRES */
};

/* Looks at `u` and fills in the second half; called again when somebody else was faster. Positive
 * results end the update and are its result. */
typedef int decide_fn(void *context, struct vv_store *s, struct update *u);

static int add_change(struct vv_store *s, const struct update *u, struct vv_outgoing *out)
{
    struct vv_entry op = {.key = u->key, .value = u->value, .kind = u->kind};
    struct vv_buf timed = VV_BUF_INIT;
    int rc = VV_OK;
    if (u->kind == VV_KIND_PUT_EXPIRES) {
        uint8_t time[VV_EXPIRY_SIZE];
        vv_put_u64(time, u->expires_ms);
        if ((rc = vv_buf_append(&timed, time, sizeof time)) == VV_OK)
            rc = vv_buf_append_slice(&timed, u->value);
        op.value = vv_buf_slice(&timed);
    }
    if (rc == VV_OK)
        rc = vv_outgoing_add(s, out, &op);
    vv_buf_deinit(&timed);
    return rc;
}

static int commit(struct vv_store *s, const struct update *u, vv_seq since)
{
    struct vv_outgoing out = {.has_refs = false};
    struct vv_relied_key relied = {u->key, vv_hash(u->key)};
    struct vv_reliance reliance = {.since = since, .keys = &relied, .key_count = 1};
    int rc = add_change(s, u, &out);
    if (rc == VV_OK)
        rc =
            vv_outgoing_commit(s, &out, &(struct vv_terms){VARVE_DURABILITY_DEFAULT, 0, &reliance});
    vv_outgoing_drop(s, &out);
    return rc;
}

/* Once. VV_CONFLICT when somebody else was faster; then `*again`. */
static int try_once(struct vv_store *s, vv_slice key, decide_fn *decide, void *context, bool *again)
{
    struct vv_watched watched;
    struct update u = {.key = key};
    *again = false;
    vv_watch_begin(&s->commit.watch, &s->snapshots, &watched);
    vv_seq since = watched.snapshot.seq;
    int rc = vv_present_get(&s->present, since, key, &u.old);
    u.found = rc == VV_OK;
    if (rc >= 0)
        rc = decide(context, s, &u);
    if (rc == VV_OK && u.changes) {
        rc = commit(s, &u, since);
        *again = rc == VV_CONFLICT;
    }
    vv_watch_end(&s->commit.watch, &s->snapshots, &watched);
    vv_pin_release(&u.old);
    return rc;
}

static int update(struct vv_store *s, vv_slice key, decide_fn *decide, void *context)
{
    bool again = true;
    int rc = VV_OK;
    for (uint64_t tries = 0; again; tries++) {
        if (tries > 2)
            vv_env_sleep_us(s->env, tries < BACKOFF_US_MAX ? tries : BACKOFF_US_MAX);
        rc = try_once(s, key, decide, context, &again);
    }
    return rc;
}

/* The body of a call: checks, enters, and updates the key in the handle's keyspace. */
static int update_call(varve *db, varve_slice key, decide_fn *decide, void *context)
{
    struct vv_call call;
    struct vv_inner_key inner;
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = vv_store_check_changeable(db);
    if (rc == VV_OK)
        rc = vv_inner_key_init(&inner, &db->keyspace->space, vv_slice_from(key));
    if (rc == VV_OK) {
        rc = update(db->store, inner.key, decide, context);
        vv_inner_key_deinit(&inner);
    }
    vv_store_time(db->store, &call, &db->store->put_us);
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_PUT : VV_DOOR_OTHER);
    return rc;
}

/* A value, and the time it is to be there. */
static void will_put(struct update *u, vv_slice value, uint64_t expires_ms)
{
    u->changes = true;
    u->kind = expires_ms != 0 ? VV_KIND_PUT_EXPIRES : VV_KIND_PUT;
    u->value = value;
    u->expires_ms = expires_ms;
}

static void will_delete(struct update *u)
{
    u->changes = true;
    u->kind = VV_KIND_DELETE;
    u->value = VV_SLICE_EMPTY;
}

/* ---- expiry */

static int decide_expiry(void *context, struct vv_store *s, struct update *u)
{
    const uint64_t *at_ms = context;
    if (!u->found)
        return VV_NOTFOUND;
    if (*at_ms != 0 && vv_present_over(&s->present, *at_ms))
        will_delete(u);
    else if (*at_ms != u->old.expires_ms)
        will_put(u, u->old.value, *at_ms);
    return VV_OK;
}

int varve_expire_at(varve *db, varve_slice key, uint64_t at_ms)
{
    if (at_ms == 0)
        at_ms = 1;
    return update_call(db, key, decide_expiry, &at_ms);
}

int varve_expire(varve *db, varve_slice key, uint64_t ttl_ms)
{
    if (db == NULL)
        return vv_fail(VV_INVALID, "no store was given");
    struct vv_call call;
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    uint64_t at_ms = vv_present_in(&db->store->present, ttl_ms);
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return varve_expire_at(db, key, at_ms);
}

int varve_persist(varve *db, varve_slice key)
{
    uint64_t never = 0;
    return update_call(db, key, decide_expiry, &never);
}

/* ---- counters */

struct addition {
    int64_t delta;
    int64_t sum;
    uint8_t bytes[sizeof(int64_t)];
};

static int decide_sum(void *context, struct vv_store *s, struct update *u)
{
    struct addition *a = context;
    uint64_t sum = (uint64_t)a->delta;
    (void)s;
    if (u->found && u->old.value.size != sizeof a->bytes)
        return vv_fail(VV_INVALID, "a value of %zu bytes is no counter, which has 8",
                       u->old.value.size);
    if (u->found)
        sum += vv_get_u64(u->old.value.data);
    vv_put_u64(a->bytes, sum);
    memcpy(&a->sum, &sum, sizeof sum);
    will_put(u, vv_slice_of(a->bytes, sizeof a->bytes), u->found ? u->old.expires_ms : 0);
    return VV_OK;
}

int varve_incr(varve *db, varve_slice key, int64_t delta, int64_t *result)
{
    struct addition a = {.delta = delta};
    int rc = update_call(db, key, decide_sum, &a);
    if (rc == VV_OK && result != NULL)
        *result = a.sum;
    return rc;
}

/* ---- swaps */

struct swap {
    const varve_slice *expected, *desired; /* NULL: absent */
};

static int decide_swap(void *context, struct vv_store *s, struct update *u)
{
    const struct swap *swap = context;
    (void)s;
    bool same = swap->expected == NULL
                    ? !u->found
                    : u->found && vv_slice_equal(u->old.value, vv_slice_from(*swap->expected));
    if (!same)
        return VV_CONFLICT;
    if (swap->desired != NULL)
        will_put(u, vv_slice_from(*swap->desired), 0);
    else if (u->found)
        will_delete(u);
    return VV_OK;
}

int varve_compare_and_swap(varve *db, varve_slice key, const varve_slice *expected,
                           const varve_slice *desired)
{
    struct swap swap = {expected, desired};
    int rc = expected != NULL ? vv_value_check(*expected) : VV_OK;
    if (rc == VV_OK && desired != NULL)
        rc = vv_value_check(*desired);
    return rc < 0 ? rc : update_call(db, key, decide_swap, &swap);
}

int varve_put_if_absent(varve *db, varve_slice key, varve_slice value)
{
    return varve_compare_and_swap(db, key, NULL, &value);
}

struct taking {
    struct vv_pin taken;
};

static int decide_take(void *context, struct vv_store *s, struct update *u)
{
    struct taking *t = context;
    (void)s;
    vv_pin_release(&t->taken);
    if (!u->found)
        return VV_NOTFOUND;
    t->taken = u->old; /* moved: it outlives the try */
    u->old = (struct vv_pin){.release = NULL};
    will_delete(u);
    return VV_OK;
}

int varve_get_and_delete(varve *db, varve_slice key, varve_pinned *out)
{
    struct vv_call call;
    struct taking t = {.taken = {.release = NULL}};
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the value");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    enum vv_door door = VV_DOOR_MISSED;
    rc = update_call(db, key, decide_take, &t);
    if (rc == VV_OK)
        door = vv_pin_export(db->store, &t.taken, out) ? VV_DOOR_PINNED : VV_DOOR_FOUND;
    else if (rc > 0)
        *out = (varve_pinned){0};
    vv_pin_release(&t.taken);
    vv_guard_leave(&call, door);
    return rc;
}

/* ---- long chains */

/* What the operands make, in their place; but not where a value expires under them: its operands
 * outlive it. */
static int decide_fold(void *context, struct vv_store *s, struct update *u)
{
    (void)context;
    if (u->found && u->old.expires_ms == 0 && u->old.value.size < s->options.value_log_min)
        will_put(u, u->old.value, 0);
    return VV_OK;
}

void vv_store_merged(struct vv_store *s, vv_slice key)
{
    bool again;
    _Atomic(uint8_t) *count = &s->present.merges[vv_hash(key) % VV_MERGE_COUNTS];
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < VV_MERGE_CHAIN)
        return;
    atomic_store_explicit(count, 0, memory_order_relaxed);
    /* Only reads get dearer when this fails, or when somebody else was faster. */
    int rc = try_once(s, key, decide_fold, NULL, &again);
    (void)rc;
}
