/*
 * The catalog: which keyspaces a store has, and how the keys of each are ordered.
 *
 * A keyspace is an id, which stands in front of its keys (kv/space.h), and a note in the engine's
 * MANIFEST, which says the rest. Entries are made at open and when a keyspace is created, and stay
 * as long as the store's handle: whoever has one may look at it without a lock.
 *
 * note   name sized, comparator's name sized ("" for bytewise), state u8 (1 live, 2 dropped)
 *
 * Ids are given in ascending order and never twice: the note of the highest stays even when all else
 * of its keyspace is gone. So do those of dropped keyspaces with a comparator, since nobody can say
 * when the last of their keys is gone from all files.
 */
#ifndef VV_DB_CATALOG_H
#define VV_DB_CATALOG_H

#include "base/buf.h"
#include "env/thread.h"
#include "kv/engine.h"

#include <varve/varve.h>

enum {
    VV_KEYSPACE_NAME_MAX = 255,
    VV_CATALOG_CHUNK = 1024,
    VV_CATALOG_CHUNKS = VV_SPACE_ID_MAX / VV_CATALOG_CHUNK + 1,
};

enum vv_keyspace_state { VV_KEYSPACE_LIVE = 1, VV_KEYSPACE_DROPPED = 2 };

/* A public handle: a store, seen through one keyspace. The store's own is its default keyspace's. */
struct varve {
    struct vv_root *root;
    struct vv_store *store;
    struct vv_keyspace *keyspace;
};

struct vv_keyspace {
    struct varve handle;
    /* Constant once it is in the catalog. */
    uint32_t id;
    struct vv_space space;
    char *name;
    char *comparator_name;       /* "" for bytewise */
    varve_comparator comparator; /* its `compare` is NULL for bytewise */

    _Atomic(vv_seq) dropped_at; /* set before the state: moments up to it still have the keys */
    _Atomic(int) state;         /* enum vv_keyspace_state */
};

/* A keyspace's note, read. The names point into the text. */
struct vv_keyspace_note {
    vv_slice name, comparator;
    enum vv_keyspace_state state;
};

VV_MUST int vv_keyspace_note_encode(const struct vv_keyspace_note *note, struct vv_buf *out);
VV_MUST int vv_keyspace_note_decode(vv_slice text, struct vv_keyspace_note *out);

typedef _Atomic(struct vv_keyspace *) vv_keyspace_slot;

struct vv_catalog {
    /* Constant after open. */
    struct vv_root *root;
    struct vv_store *store;
    struct vv_order order; /* of all keys; in force once a keyspace has a comparator */

    /* Keys were compared whose keyspace has a comparator that is not known yet. */
    _Atomic(bool) met_unknown;
    _Atomic(uint32_t) count;                               /* ids given, 0 among them */
    _Atomic(vv_keyspace_slot *) chunks[VV_CATALOG_CHUNKS]; /* by id */

    struct vv_mutex mu;       /* protects all below; held while a note is written; rank 12 */
    bool is_ordered;          /* `order` is in force */
    uint32_t *named;          /* ids by name: open addressing, 0 is empty */
    size_t named_room;        /* a power of two */
    size_t named_count;       /* places that are not empty */
    struct vv_buf first_note; /* of a new store */
};

/* Requires zeroed memory. */
void vv_catalog_init(struct vv_catalog *c, struct vv_root *root, struct vv_store *store);
void vv_catalog_deinit(struct vv_catalog *c);

/* Brings the catalog up to the engine's notes, with the comparators that `given` has, and says which
 * order is in force; as the callback in kv/engine.h. VV_INVALID names a keyspace whose comparator was
 * not given, or another. VV_BUSY: since the last time keys of keyspaces were met that it did not know,
 * and may stand in a wrong order. */
VV_MUST int vv_catalog_load(struct vv_catalog *c, const varve_options *given,
                            const struct vv_note *notes, size_t count,
                            const struct vv_order **order, struct vv_note *first);

/* NULL when there is none. */
struct vv_keyspace *vv_catalog_find(const struct vv_catalog *c, uint32_t id);
/* The live keyspace of that name, or NULL. mu is held. */
struct vv_keyspace *vv_catalog_named_locked(const struct vv_catalog *c, vv_slice name);

/* Makes an entry, not yet in the catalog. `comparator` NULL: bytewise. */
VV_MUST int vv_keyspace_new(const struct vv_catalog *c, uint32_t id, vv_slice name,
                            const varve_comparator *comparator, struct vv_keyspace **out);
void vv_keyspace_free(struct vv_keyspace *keyspace); /* NULL is fine */

/* Makes room for `id`, so that adding it cannot fail, and adds. mu is held. */
VV_MUST int vv_catalog_reserve_locked(struct vv_catalog *c, uint32_t id);
void vv_catalog_add_locked(struct vv_catalog *c, struct vv_keyspace *keyspace_take);

static inline bool vv_keyspace_live(const struct vv_keyspace *k)
{
    return atomic_load_explicit(&k->state, memory_order_acquire) == VV_KEYSPACE_LIVE;
}

/* Whether the keys are in the order of their bytes. */
static inline bool vv_keyspace_bytewise(const struct vv_keyspace *k)
{
    return k->comparator.compare == NULL;
}

#endif
