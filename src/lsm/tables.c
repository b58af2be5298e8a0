#include "lsm/tables.h"

#include "env/thread.h"
#include "lsm/names.h"

struct vv_tables {
    struct vv_tables_options options; /* constant */
    _Atomic(uint64_t) mapped_bytes;

    struct vv_mutex mu; /* serialises opening, so that a table is opened once; protects all below;
                         * rank 60 */
    uint32_t open_count;
    struct vv_buf lingering; /* of uint64_t: obsolete tables whose files are still there */
};

int vv_tables_new(const struct vv_tables_options *options, struct vv_tables **out)
{
    struct vv_tables *tables = vv_alloc_zero(sizeof *tables);
    if (tables == NULL)
        return VV_NOMEM;
    tables->options = *options;
    vv_mutex_init(&tables->mu, 60);
    *out = tables;
    return VV_OK;
}

void vv_tables_free(struct vv_tables *tables)
{
    if (tables == NULL)
        return;
    vv_assert(tables->open_count == 0);
    vv_buf_deinit(&tables->lingering);
    vv_mutex_deinit(&tables->mu);
    vv_free(tables);
}

void vv_tables_set_order(struct vv_tables *tables, const struct vv_order *order)
{
    vv_mutex_lock(&tables->mu);
    tables->options.order = order;
    vv_mutex_unlock(&tables->mu);
}

int vv_table_meta_new(struct vv_tables *tables, uint64_t number, struct vv_table_facts *facts_take,
                      struct vv_table_meta **out)
{
    struct vv_table_meta *meta = vv_alloc_zero(sizeof *meta);
    if (meta == NULL)
        return VV_NOMEM;
    atomic_store(&meta->refs, 1);
    meta->number = number;
    meta->facts = *facts_take;
    meta->owner = tables;
    *facts_take = (struct vv_table_facts){0};
    *out = meta;
    return VV_OK;
}

/* One at a time, or the cache might be left with the size of a moment before. */
static void share_room_locked(struct vv_tables *tables)
{
    vv_mutex_assert_held(&tables->mu);
    uint64_t total = tables->options.read_bytes;
    uint64_t mapped = atomic_load(&tables->mapped_bytes);
    uint64_t left = mapped < total ? total - mapped : 0;
    if (tables->options.cache != NULL)
        vv_cache_set_capacity(tables->options.cache, left > total / 8 ? left : total / 8);
}

static void give_map_room_locked(struct vv_tables *tables, uint64_t size_bytes)
{
    atomic_fetch_sub(&tables->mapped_bytes, size_bytes);
    share_room_locked(tables);
}

void vv_tables_let_go(struct vv_table_meta *meta)
{
    struct vv_tables *tables = meta->owner;
    atomic_store(&meta->obsolete, true);
    vv_mutex_lock(&tables->mu);
    /* Without memory a repair knows less: nothing else asks. */
    int ignored = vv_buf_append(&tables->lingering, &meta->number, sizeof meta->number);
    (void)ignored;
    vv_mutex_unlock(&tables->mu);
}

int vv_tables_lingering(struct vv_tables *tables, struct vv_buf *numbers)
{
    vv_mutex_lock(&tables->mu);
    int rc = vv_buf_append_slice(numbers, vv_buf_slice(&tables->lingering));
    vv_mutex_unlock(&tables->mu);
    return rc;
}

static void forget_lingering(struct vv_tables *tables, uint64_t number)
{
    vv_mutex_lock(&tables->mu);
    size_t count = tables->lingering.size / sizeof number;
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = tables->lingering.data + i * sizeof number;
        if (memcmp(at, &number, sizeof number) == 0) {
            memmove(at, tables->lingering.data + --count * sizeof number, sizeof number);
            tables->lingering.size -= sizeof number;
        }
    }
    vv_mutex_unlock(&tables->mu);
}

void vv_tables_drop(struct vv_table_meta *meta)
{
    struct vv_tables *tables = meta->owner;
    struct vv_table *handle = atomic_load(&meta->handle);
    if (handle != NULL) {
        bool mapped = vv_table_mapped(handle);
        vv_table_unref(handle);
        vv_mutex_lock(&tables->mu);
        tables->open_count--;
        if (mapped)
            give_map_room_locked(tables, meta->facts.size_bytes);
        vv_mutex_unlock(&tables->mu);
    }
    if (atomic_load(&meta->obsolete) && !tables->options.readonly) {
        struct vv_path path = vv_path_of(tables->options.dir, VV_NAME_TABLE, meta->number);
        if (tables->options.cache != NULL)
            vv_cache_forget(tables->options.cache, meta->number);
        /* A file that cannot be removed now is an orphan, which the next open removes. */
        if (vv_env_remove(tables->options.env, path.text) >= 0)
            forget_lingering(tables, meta->number);
    }
    vv_table_facts_deinit(&meta->facts);
    vv_free(meta);
}

/* Room among the mapped files is taken before the file is opened, and given back if it fails. */
static bool take_map_room_locked(struct vv_tables *tables, uint64_t size_bytes)
{
    uint64_t max = tables->options.read_bytes / 8 * 7;
    uint64_t before = atomic_fetch_add(&tables->mapped_bytes, size_bytes);
    bool fits = size_bytes <= max && before <= max - size_bytes;
    if (!fits)
        atomic_fetch_sub(&tables->mapped_bytes, size_bytes);
    else
        share_room_locked(tables);
    return fits;
}

static int open_locked(struct vv_table_meta *meta, struct vv_table **out)
{
    struct vv_tables *tables = meta->owner;
    vv_mutex_assert_held(&tables->mu);
    struct vv_path path = vv_path_of(tables->options.dir, VV_NAME_TABLE, meta->number);
    bool map = take_map_room_locked(tables, meta->facts.size_bytes);
    struct vv_table_open_options options = {
        .order = tables->options.order,
        .account = tables->options.account,
        .cache = tables->options.cache,
        .number = meta->number,
        .uuid = vv_lineage_uuid(tables->options.lineage, tables->options.uuid, meta->number),
        .size_bytes = meta->facts.size_bytes,
        .raise = meta->facts.raise,
        .map = map,
    };
    int rc = vv_table_open(tables->options.env, path.text, &options, out);
    if (map && (rc != VV_OK || !vv_table_mapped(*out)))
        give_map_room_locked(tables, meta->facts.size_bytes);
    if (rc == VV_NOTFOUND)
        return vv_fail(VV_CORRUPT, "%s: the file is missing", path.text);
    if (rc < 0)
        return rc;
    tables->open_count++;
    return VV_OK;
}

/* The handle of a meta is set once and lives as long as the meta, so a reader that holds the meta
 * (through its version) needs no lock to use it. */
int vv_tables_open(struct vv_table_meta *meta, struct vv_table **out)
{
    struct vv_table *handle = atomic_load_explicit(&meta->handle, memory_order_acquire);
    if (VV_UNLIKELY(handle == NULL)) {
        int rc = VV_OK;
        vv_mutex_lock(&meta->owner->mu);
        handle = atomic_load_explicit(&meta->handle, memory_order_relaxed);
        if (handle == NULL && (rc = open_locked(meta, &handle)) == VV_OK)
            atomic_store_explicit(&meta->handle, handle, memory_order_release);
        vv_mutex_unlock(&meta->owner->mu);
        if (rc < 0)
            return rc;
    }
    vv_table_ref(handle);
    *out = handle;
    return VV_OK;
}

uint64_t vv_tables_mapped_bytes(const struct vv_tables *tables)
{
    return atomic_load(&tables->mapped_bytes);
}
