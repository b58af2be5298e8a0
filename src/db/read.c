/*
 * Point reads, and the pins they hand out.
 *
 * A pin has to say who releases it, what, and which store to account it to: three things in the two
 * words that the public struct has. A store knows only few release functions, so it keeps them in a
 * list, and the pin holds the index in the low bits of the root's address, which is page-aligned.
 *
 *      owner[0]   root | index of the release function
 *      owner[1]   what it releases
 */
#include "db/inner_key.h"
#include "db/store.h"

#include <inttypes.h>

_Static_assert(VV_RELEASES_MAX <= alignof(struct vv_root), "an index fits below a root's address");

/* ---- pins */

/* The entries are written once and never change, so an old look at them is as good as a new one. */
static unsigned release_index(struct vv_store *s, vv_release *release)
{
    for (unsigned i = 0;; i++) {
        vv_assert(i < VV_RELEASES_MAX); /* an engine has a handful of kinds of pins */
        vv_release *known = atomic_load_explicit(&s->releases[i], memory_order_acquire);
        if (known == release)
            return i;
        if (known == NULL &&
            (atomic_compare_exchange_strong(&s->releases[i], &known, release) || known == release))
            return i;
    }
}

bool vv_pin_export(struct vv_store *s, struct vv_pin *pin, varve_pinned *out)
{
    *out = (varve_pinned){pin->value.data, pin->value.size, {NULL, NULL}};
    if (pin->release == NULL)
        return false;
    unsigned index = release_index(s, pin->release);
    out->owner[0] = (uint8_t *)s->root + index;
    out->owner[1] = pin->owner;
    *pin = (struct vv_pin){.release = NULL};
    return true;
}

void varve_unpin(varve_pinned *pinned)
{
    if (pinned == NULL)
        return;
    uint8_t *marked = pinned->owner[0];
    void *owner = pinned->owner[1];
    *pinned = (varve_pinned){0};
    if (marked == NULL)
        return;
    unsigned index = (unsigned)((uintptr_t)marked % alignof(struct vv_root));
    struct vv_root *root = (struct vv_root *)(void *)(marked - index);
    /* In a forked child the bytes stay: releasing them might wait for a lock whose holder does not
     * exist, or remove a file of the parent's. */
    if (!vv_guard_forked(&root->guard)) {
        vv_release *release =
            atomic_load_explicit(&root->store->releases[index], memory_order_acquire);
        release(owner);
    }
    if (vv_guard_unpin(&root->guard))
        vv_store_teardown(root);
}

/* ---- where and when */

static int moment_of(const varve *db, const varve_snapshot *at, vv_seq *out)
{
    *out = VV_SEQ_NOW;
    if (at == NULL)
        return VV_OK;
    if (at->db->root != db->root)
        return vv_fail(VV_INVALID, "the snapshot belongs to another store");
    *out = at->seq;
    return VV_OK;
}

/* ---- one key */

/* Looks the key up in the handle's keyspace. `out` NULL: existence only. */
static int get(const varve *db, vv_seq seq, varve_slice key, struct vv_pin *out)
{
    struct vv_inner_key inner;
    int rc = vv_keyspace_check_at(db->keyspace, seq);
    if (rc == VV_OK)
        rc = vv_inner_key_init(&inner, &db->keyspace->space, vv_slice_from(key));
    if (VV_UNLIKELY(rc < 0))
        return rc;
    rc = vv_present_get(&db->store->present, seq, inner.key, out);
    vv_inner_key_deinit(&inner);
    return rc;
}

int varve_get_at(varve *db, const varve_snapshot *at, varve_slice key, varve_pinned *out)
{
    struct vv_call call;
    struct vv_pin pin = {.release = NULL};
    vv_seq seq;
    if (out == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the value");
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    struct vv_store *s = db->store;
    enum vv_door door = VV_DOOR_MISSED;
    rc = moment_of(db, at, &seq);
    if (VV_LIKELY(rc == VV_OK))
        rc = get(db, seq, key, &pin);
    if (rc == VV_OK)
        door = vv_pin_export(s, &pin, out) ? VV_DOOR_PINNED : VV_DOOR_FOUND;
    else if (rc > 0)
        *out = (varve_pinned){0};
    vv_store_time(s, &call, &s->get_us);
    vv_guard_leave(&call, door);
    return rc;
}

int varve_get(varve *db, varve_slice key, varve_pinned *out)
{
    return varve_get_at(db, NULL, key, out);
}

int varve_get_into(varve *db, varve_slice key, void *into, size_t capacity, size_t *size)
{
    struct vv_call call;
    struct vv_pin pin = {.release = NULL};
    if (size == NULL || (into == NULL && capacity > 0))
        return vv_fail(VV_INVALID, "nowhere to put the value");
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = get(db, VV_SEQ_NOW, key, &pin);
    if (rc == VV_OK) {
        *size = pin.value.size;
        size_t copied = pin.value.size < capacity ? pin.value.size : capacity;
        if (copied > 0)
            memcpy(into, pin.value.data, copied);
        vv_pin_release(&pin);
    }
    vv_store_time(db->store, &call, &db->store->get_us);
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_FOUND : VV_DOOR_MISSED);
    return rc;
}

int varve_exists(varve *db, varve_slice key)
{
    struct vv_call call;
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = get(db, VV_SEQ_NOW, key, NULL);
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_FOUND : VV_DOOR_MISSED);
    return rc;
}

int varve_ttl(varve *db, varve_slice key, uint64_t *ttl_ms)
{
    struct vv_call call;
    struct vv_pin pin = {.release = NULL};
    if (ttl_ms == NULL)
        return vv_fail(VV_INVALID, "nowhere to put the time");
    int rc = vv_key_check(key);
    if (rc < 0 || (rc = vv_store_enter(db, &call)) < 0)
        return rc;
    rc = get(db, VV_SEQ_NOW, key, &pin);
    if (rc == VV_OK) {
        uint64_t now = pin.expires_ms != 0 ? vv_present_now_ms(&db->store->present) : 0;
        *ttl_ms = pin.expires_ms == 0 ? VARVE_TTL_NONE : 0;
        if (pin.expires_ms > now)
            *ttl_ms = pin.expires_ms - now;
        vv_pin_release(&pin);
    }
    vv_guard_leave(&call, rc == VV_OK ? VV_DOOR_FOUND : VV_DOOR_MISSED);
    return rc;
}

/* ---- many keys */

enum { FEW_KEYS = 32, FEW_BYTES = 1024 };

/* What a multi_get needs beside the user's arrays. */
struct many {
    size_t count;
    vv_slice *keys;
    struct vv_pin *pins;
    int *results;
    uint8_t
        *bytes; /* of the keys, each with its keyspace in front; NULL when the few below suffice */
    void *memory; /* the same of the others */
    vv_slice few_keys[FEW_KEYS];
    struct vv_pin few_pins[FEW_KEYS];
    int few_results[FEW_KEYS];
    uint8_t few_bytes[FEW_BYTES];
};

static int many_init(struct many *m, size_t count)
{
    m->count = count;
    m->memory = m->bytes = NULL;
    m->keys = m->few_keys;
    m->pins = m->few_pins;
    m->results = m->few_results;
    if (count > FEW_KEYS) {
        size_t each = sizeof(struct vv_pin) + sizeof(vv_slice) + sizeof(int);
        if (count > SIZE_MAX / each)
            return vv_fail(VV_INVALID, "cannot look up %zu keys at once", count);
        m->memory = vv_alloc(count * each);
        if (m->memory == NULL)
            return VV_NOMEM;
        m->pins = m->memory;
        m->keys = (vv_slice *)(void *)(m->pins + count);
        m->results = (int *)(void *)(m->keys + count);
    }
    memset(m->pins, 0, count * sizeof *m->pins);
    return VV_OK;
}

/* An impossible key is looked up as the empty one, and its answer thrown away. */
static vv_slice possible(varve_slice key)
{
    return vv_key_check(key) == VV_OK ? vv_slice_from(key) : VV_SLICE_EMPTY;
}

static int many_keys(struct many *m, const struct vv_space *space, const varve_slice *keys)
{
    size_t size = m->count * VV_SPACE_SIZE_MAX;
    for (size_t i = 0; i < m->count; i++)
        size += possible(keys[i]).size;
    uint8_t *at = m->few_bytes;
    if (size > FEW_BYTES && (at = m->bytes = vv_alloc(size)) == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < m->count; i++) {
        vv_slice key = possible(keys[i]);
        memcpy(at, space->bytes, space->size);
        if (key.size > 0)
            memcpy(at + space->size, key.data, key.size);
        m->keys[i] = (vv_slice){at, space->size + key.size};
        at += m->keys[i].size;
    }
    return VV_OK;
}

static int many_look_up(struct many *m, struct vv_engine *e, vv_seq seq)
{
    return e->ops->multi_get(e, seq, m->count, m->keys, m->pins, m->results);
}

static bool has_operand(const struct many *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->results[i] == VV_OK && m->pins[i].is_operand)
            return true;
    return false;
}

static void many_settle(struct many *m, struct vv_store *s, vv_seq seq)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->results[i] == VV_OK)
            m->results[i] = vv_present_settle(&s->present, seq, m->keys[i], &m->pins[i]);
}

/* Folding looks again at what was found, so it takes a moment that stays. */
static int many_fold(struct many *m, struct vv_store *s)
{
    struct varve_snapshot moment = {.db = NULL};
    for (size_t i = 0; i < m->count; i++)
        vv_pin_release(&m->pins[i]);
    vv_snapshots_add(&s->snapshots, &moment);
    int rc = many_look_up(m, s->engine, moment.seq);
    if (rc == VV_OK)
        many_settle(m, s, moment.seq);
    vv_snapshots_remove(&s->snapshots, &moment);
    return rc;
}

static int many_get(struct many *m, const varve *db, vv_seq seq, const varve_slice *keys)
{
    struct vv_store *s = db->store;
    int rc = vv_keyspace_check_at(db->keyspace, seq);
    if (rc == VV_OK)
        rc = many_keys(m, &db->keyspace->space, keys);
    if (rc == VV_OK)
        rc = many_look_up(m, s->engine, seq);
    if (rc == VV_OK && seq == VV_SEQ_NOW && has_operand(m))
        rc = many_fold(m, s);
    else if (rc == VV_OK)
        many_settle(m, s, seq);
    for (size_t i = 0; rc == VV_OK && i < m->count; i++) {
        int bad = vv_key_check(keys[i]);
        if (bad == VV_OK)
            continue;
        vv_pin_release(&m->pins[i]);
        m->results[i] = bad;
    }
    return rc;
}

static void many_export(struct many *m, struct vv_store *s, const struct vv_call *call,
                        varve_pinned *values, int *results)
{
    uint64_t found = 0, pins = 0;
    for (size_t i = 0; i < m->count; i++) {
        results[i] = m->results[i];
        values[i] = (varve_pinned){0};
        if (results[i] != VV_OK)
            continue;
        found++;
        pins += vv_pin_export(s, &m->pins[i], &values[i]);
    }
    vv_guard_tally(call, VV_TALLY_GETS, m->count);
    vv_guard_tally(call, VV_TALLY_FOUND, found);
    vv_guard_tally(call, VV_TALLY_PINS, pins);
}

int varve_multi_get_at(varve *db, const varve_snapshot *at, size_t count, const varve_slice *keys,
                       varve_pinned *values, int *results)
{
    struct vv_call call;
    struct many m;
    vv_seq seq;
    if (count > 0 && (keys == NULL || values == NULL || results == NULL))
        return vv_fail(VV_INVALID, "no keys were given, or nowhere to put the values");
    int rc = vv_store_enter(db, &call);
    if (rc < 0)
        return rc;
    rc = moment_of(db, at, &seq);
    if (rc == VV_OK && count > 0 && (rc = many_init(&m, count)) == VV_OK) {
        rc = many_get(&m, db, seq, keys);
        if (rc == VV_OK)
            many_export(&m, db->store, &call, values, results);
        for (size_t i = 0; i < count; i++)
            vv_pin_release(&m.pins[i]);
        vv_free(m.bytes);
        vv_free(m.memory);
    }
    vv_guard_leave(&call, VV_DOOR_OTHER);
    return rc;
}

int varve_multi_get(varve *db, size_t count, const varve_slice *keys, varve_pinned *values,
                    int *results)
{
    return varve_multi_get_at(db, NULL, count, keys, values, results);
}
