#include "db/catalog.h"

#include "base/alloc.h"
#include "base/coding.h"
#include "base/error.h"
#include "base/hash.h"

enum { RANK_CATALOG = 12 };

#define ORDER_NAME   "keyspaces"
#define DEFAULT_NAME "default"
#define BYTEWISE     ""

/* ---- notes */

int vv_keyspace_note_encode(const struct vv_keyspace_note *note, struct vv_buf *out)
{
    int rc = vv_buf_append_varint(out, note->name.size);
    if (rc == VV_OK)
        rc = vv_buf_append_slice(out, note->name);
    if (rc == VV_OK)
        rc = vv_buf_append_varint(out, note->comparator.size);
    if (rc == VV_OK)
        rc = vv_buf_append_slice(out, note->comparator);
    return rc == VV_OK ? vv_buf_append_byte(out, (uint8_t)note->state) : rc;
}

int vv_keyspace_note_decode(vv_slice text, struct vv_keyspace_note *out)
{
    struct vv_reader r = vv_reader_of(text);
    out->name = vv_read_sized(&r);
    out->comparator = vv_read_sized(&r);
    uint8_t state = vv_read_u8(&r);
    if (r.bad || out->name.size == 0 || out->name.size > VV_KEYSPACE_NAME_MAX)
        return vv_fail(VV_CORRUPT, "the note of a keyspace does not read");
    if (vv_reader_left(&r) > 0 || state < VV_KEYSPACE_LIVE || state > VV_KEYSPACE_DROPPED)
        return vv_fail(VV_UNSUPPORTED,
                       "keyspace '%.*s' has properties that this build does not know",
                       (int)out->name.size, (const char *)out->name.data);
    out->state = (enum vv_keyspace_state)state;
    return VV_OK;
}

/* ---- the order of all keys */

/* With how many bytes both keys begin that say whose they are, if a comparator may order them. */
static size_t common_space(vv_slice a, vv_slice b, uint32_t *id)
{
    if (a.size == 0 || b.size == 0 || a.data[0] != b.data[0])
        return 0;
    bool may_be = a.data[0] == 0 || a.data[0] >= VV_SPACE_ORDERED;
    size_t size = may_be ? vv_space_decode(a, id) : 0;
    return b.size >= size && memcmp(a.data, b.data, size) == 0 ? size : 0;
}

/* Keyspaces as their bytes; within one that has a comparator, keys as that says. Bounds come here,
 * too. */
static int compare_all(void *context, vv_slice a, vv_slice b)
{
    uint32_t id;
    size_t size = common_space(a, b, &id);
    const struct vv_keyspace *k = size > 0 ? vv_catalog_find(context, id) : NULL;
    if (VV_UNLIKELY(k == NULL && size > 1))
        atomic_store_explicit(&((struct vv_catalog *)context)->met_unknown, true,
                              memory_order_relaxed);
    if (k == NULL || vv_keyspace_bytewise(k))
        return vv_slice_cmp(a, b);
    a = vv_slice_skip(a, size);
    b = vv_slice_skip(b, size);
    return k->comparator.compare(k->comparator.context, varve_bytes(a.data, a.size),
                                 varve_bytes(b.data, b.size));
}

/* ---- the life of a catalog */

void vv_catalog_init(struct vv_catalog *c, struct vv_root *root, struct vv_store *store)
{
    c->root = root;
    c->store = store;
    c->order = (struct vv_order){
        .compare = compare_all, .context = c, .name = ORDER_NAME, .extends_bytewise = true};
    vv_mutex_init(&c->mu, RANK_CATALOG);
}

void vv_catalog_deinit(struct vv_catalog *c)
{
    for (uint32_t id = 0; id < atomic_load(&c->count); id++)
        vv_keyspace_free(vv_catalog_find(c, id));
    for (size_t i = 0; i < VV_CATALOG_CHUNKS; i++)
        vv_free(atomic_load(&c->chunks[i]));
    vv_free(c->named);
    vv_buf_deinit(&c->first_note);
    vv_mutex_deinit(&c->mu);
}

int vv_keyspace_new(const struct vv_catalog *c, uint32_t id, vv_slice name,
                    const varve_comparator *comparator, struct vv_keyspace **out)
{
    struct vv_keyspace *k = vv_alloc_zero(sizeof *k);
    if (k == NULL)
        return VV_NOMEM;
    k->handle = (struct varve){c->root, c->store, k};
    k->id = id;
    k->space = comparator != NULL ? vv_space_ordered(id) : vv_space_of(id);
    atomic_init(&k->state, VV_KEYSPACE_LIVE);
    k->name = vv_alloc_zero(name.size + 1);
    k->comparator_name = vv_strdup(comparator != NULL ? comparator->name : BYTEWISE);
    if (k->name == NULL || k->comparator_name == NULL) {
        vv_keyspace_free(k);
        return VV_NOMEM;
    }
    memcpy(k->name, name.data, name.size);
    if (comparator != NULL)
        k->comparator = *comparator;
    k->comparator.name = k->comparator_name;
    *out = k;
    return VV_OK;
}

void vv_keyspace_free(struct vv_keyspace *k)
{
    if (k == NULL)
        return;
    vv_free(k->name);
    vv_free(k->comparator_name);
    vv_free(k);
}

/* ---- finding */

struct vv_keyspace *vv_catalog_find(const struct vv_catalog *c, uint32_t id)
{
    if (id >= atomic_load_explicit(&c->count, memory_order_acquire))
        return NULL;
    vv_keyspace_slot *chunk =
        atomic_load_explicit(&c->chunks[id / VV_CATALOG_CHUNK], memory_order_acquire);
    return chunk == NULL
               ? NULL
               : atomic_load_explicit(&chunk[id % VV_CATALOG_CHUNK], memory_order_acquire);
}

/* A name may be there several times; one of them at most is live. */
struct vv_keyspace *vv_catalog_named_locked(const struct vv_catalog *c, vv_slice name)
{
    vv_mutex_assert_held(&c->mu);
    if (vv_slice_equal(name, vv_slice_str(DEFAULT_NAME)))
        return vv_catalog_find(c, 0);
    for (size_t at = (size_t)vv_hash(name); c->named_room > 0; at++) {
        uint32_t id = c->named[at & (c->named_room - 1)];
        if (id == 0)
            break;
        struct vv_keyspace *k = vv_catalog_find(c, id);
        if (vv_keyspace_live(k) && vv_slice_equal(vv_slice_str(k->name), name))
            return k;
    }
    return NULL;
}

/* ---- adding */

/* True when that took an empty place: one whose keyspace is gone is taken again. */
static bool name_insert(const struct vv_catalog *c, uint32_t *named, size_t room,
                        const struct vv_keyspace *k)
{
    size_t at = (size_t)vv_hash(vv_slice_str(k->name)) & (room - 1);
    while (named[at] != 0 && vv_keyspace_live(vv_catalog_find(c, named[at])))
        at = (at + 1) & (room - 1);
    bool was_empty = named[at] == 0;
    named[at] = k->id;
    return was_empty;
}

static int names_reserve_locked(struct vv_catalog *c)
{
    vv_mutex_assert_held(&c->mu);
    if (c->named_count * 2 < c->named_room)
        return VV_OK;
    size_t room = c->named_room == 0 ? 16 : c->named_room * 2;
    uint32_t *named = vv_alloc_zero(room * sizeof named[0]);
    if (named == NULL)
        return VV_NOMEM;
    size_t count = 0;
    for (size_t i = 0; i < c->named_room; i++) {
        const struct vv_keyspace *k = c->named[i] != 0 ? vv_catalog_find(c, c->named[i]) : NULL;
        if (k != NULL && vv_keyspace_live(k))
            count += name_insert(c, named, room, k);
    }
    vv_free(c->named);
    c->named = named;
    c->named_room = room;
    c->named_count = count;
    return VV_OK;
}

int vv_catalog_reserve_locked(struct vv_catalog *c, uint32_t id)
{
    vv_mutex_assert_held(&c->mu);
    if (id > VV_SPACE_ID_MAX)
        return vv_fail(VV_LIMIT, "a store cannot have more than %d keyspaces in its life",
                       VV_SPACE_ID_MAX);
    if (atomic_load(&c->chunks[id / VV_CATALOG_CHUNK]) == NULL) {
        vv_keyspace_slot *chunk = vv_alloc_zero(VV_CATALOG_CHUNK * sizeof chunk[0]);
        if (chunk == NULL)
            return VV_NOMEM;
        atomic_store(&c->chunks[id / VV_CATALOG_CHUNK], chunk);
    }
    return names_reserve_locked(c);
}

void vv_catalog_add_locked(struct vv_catalog *c, struct vv_keyspace *k)
{
    vv_mutex_assert_held(&c->mu);
    vv_keyspace_slot *chunk = atomic_load(&c->chunks[k->id / VV_CATALOG_CHUNK]);
    atomic_store_explicit(&chunk[k->id % VV_CATALOG_CHUNK], k, memory_order_release);
    if (k->id >= atomic_load(&c->count))
        atomic_store_explicit(&c->count, k->id + 1, memory_order_release);
    if (k->id > 0)
        c->named_count += name_insert(c, c->named, c->named_room, k);
}

/* ---- loading */

static const varve_comparator *given_comparator(const varve_options *given, uint32_t id,
                                                vv_slice name)
{
    if (id == 0)
        return given->comparator;
    for (size_t i = 0; i < given->comparator_count; i++) {
        if (vv_slice_equal(vv_slice_str(given->comparators[i].name), name))
            return &given->comparators[i];
    }
    return NULL;
}

static int wrong_comparator(uint32_t id, const struct vv_keyspace_note *note,
                            const varve_comparator *found)
{
    const char *opened_with = found != NULL ? found->name : VV_ORDER_BYTEWISE_NAME;
    vv_slice laid =
        note->comparator.size > 0 ? note->comparator : vv_slice_str(VV_ORDER_BYTEWISE_NAME);
    if (id == 0)
        return vv_fail(VV_INVALID,
                       "the store's keys are ordered by \"%.*s\", it was opened with \"%s\"",
                       (int)laid.size, (const char *)laid.data, opened_with);
    return vv_fail(VV_INVALID,
                   "keyspace '%.*s' is ordered by comparator \"%.*s\", which was not given",
                   (int)note->name.size, (const char *)note->name.data, (int)laid.size,
                   (const char *)laid.data);
}

static int choose_comparator(const varve_options *given, uint32_t id,
                             const struct vv_keyspace_note *note, const varve_comparator **out)
{
    bool is_bytewise = note->comparator.size == 0;
    *out = id > 0 && is_bytewise ? NULL : given_comparator(given, id, note->comparator);
    bool fits =
        *out == NULL ? is_bytewise : vv_slice_equal(vv_slice_str((*out)->name), note->comparator);
    return fits ? VV_OK : wrong_comparator(id, note, *out);
}

static int load_one(struct vv_catalog *c, const varve_options *given, uint32_t id,
                    const struct vv_keyspace_note *note)
{
    vv_mutex_assert_held(&c->mu);
    const varve_comparator *comparator;
    struct vv_keyspace *k = vv_catalog_find(c, id);
    int rc = VV_OK;
    if (k == NULL && (rc = choose_comparator(given, id, note, &comparator)) == VV_OK &&
        (rc = vv_catalog_reserve_locked(c, id)) == VV_OK &&
        (rc = vv_keyspace_new(c, id, note->name, comparator, &k)) == VV_OK)
        vv_catalog_add_locked(c, k);
    if (rc == VV_OK) {
        atomic_store(&k->state, note->state);
        c->is_ordered = c->is_ordered || !vv_keyspace_bytewise(k);
    }
    return rc;
}

/* What no note names any more, somebody else has dropped. */
static void drop_unnoted(struct vv_catalog *c, const struct vv_note *notes, size_t count)
{
    size_t next = 0;
    for (uint32_t id = 1; id < atomic_load(&c->count); id++) {
        struct vv_keyspace *k = vv_catalog_find(c, id);
        while (next < count && notes[next].id < id)
            next++;
        if (k != NULL && (next == count || notes[next].id != id))
            atomic_store(&k->state, VV_KEYSPACE_DROPPED);
    }
}

/* The default keyspace has a note only if there is something to say of it. */
static int load_default(struct vv_catalog *c, const varve_options *given, bool is_new,
                        struct vv_note *first)
{
    struct vv_keyspace_note note = {.name = vv_slice_str(DEFAULT_NAME), .state = VV_KEYSPACE_LIVE};
    int rc = VV_OK;
    if (is_new && given->comparator != NULL) {
        note.comparator = vv_slice_str(given->comparator->name);
        vv_buf_clear(&c->first_note);
        rc = vv_keyspace_note_encode(&note, &c->first_note);
        *first = (struct vv_note){0, vv_buf_slice(&c->first_note)};
    }
    return rc == VV_OK ? load_one(c, given, 0, &note) : rc;
}

int vv_catalog_load(struct vv_catalog *c, const varve_options *given, const struct vv_note *notes,
                    size_t count, const struct vv_order **order, struct vv_note *first)
{
    int rc = VV_OK;
    if (atomic_exchange(&c->met_unknown, false))
        return vv_fail(VV_BUSY, "the store has new keyspaces, with comparators");
    vv_mutex_lock(&c->mu);
    while (count > 0 && notes[count - 1].id > VV_SPACE_ID_MAX)
        count--; /* ascending: these are of the store itself (present.h) */
    if (count == 0 || notes[0].id != 0)
        rc = load_default(c, given, notes == NULL, first);
    for (size_t i = 0; rc == VV_OK && i < count; i++) {
        struct vv_keyspace_note note;
        if ((rc = vv_keyspace_note_decode(notes[i].text, &note)) == VV_OK)
            rc = load_one(c, given, notes[i].id, &note);
    }
    if (rc == VV_OK)
        drop_unnoted(c, notes, count);
    if (rc == VV_OK && c->is_ordered)
        *order = &c->order;
    vv_mutex_unlock(&c->mu);
    return rc;
}
