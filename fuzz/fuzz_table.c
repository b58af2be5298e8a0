/*
 * A whole table file from anywhere: mapped and read, it answers alike, and what it answers is
 * within its bounds.
 *
 * The first byte chooses whether checksums are mended first, from the footer to the data blocks, so
 * that what stands behind them is reached too.
 */
#include "base/rng.h"
#include "env/mem.h"
#include "sst/table_internal.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NUMBER = 9, STEPS_MAX = 3000, GETS_MAX = 64 };

static const struct vv_order bytewise;

/* ---- mending */

struct patient {
    uint8_t *data;
    size_t size;
    uint64_t salt;
};

static bool mend(struct patient *p, uint64_t offset, uint64_t size)
{
    if (size < VV_TRAILER_SIZE || offset > p->size || size > p->size - offset)
        return false;
    size_t covered = (size_t)size - VV_TRAILER_SIZE + VV_TRAILER_CHECK;
    vv_put_u32(p->data + offset + covered,
               vv_checksum((vv_slice){p->data + offset, covered}, vv_stored_seed(p->salt, offset)));
    return true;
}

/* Whether a block of the role can be seen there; a copy of it then stands in `*copy`. */
static bool look(struct patient *p, struct vv_handle at, enum vv_role role,
                 struct vv_block_view *view, uint8_t **copy)
{
    if (!mend(p, at.offset, at.size))
        return false;
    size_t size = at.size - VV_TRAILER_SIZE;
    vv_slice content = {p->data + at.offset, size};
    if (vv_block_verify(content, role, &bytewise) < 0)
        return false;
    *copy = vv_alloc_zero(size + VV_BLOCK_SLACK);
    vv_assert(*copy != NULL);
    memcpy(*copy, content.data, size);
    vv_block_decode(*copy, view);
    return true;
}

static struct vv_handle handle_at(const uint8_t *at)
{
    return (struct vv_handle){vv_get_u64(at), vv_get_u32(at + 8)};
}

static void mend_partition(struct patient *p, const uint8_t *value)
{
    struct vv_block_view index;
    uint8_t *copy = NULL;
    (void)mend(p, vv_get_u64(value + VV_TOP_FILTER_OFFSET), vv_get_u32(value + VV_TOP_FILTER_SIZE));
    if (look(p, handle_at(value + VV_TOP_INDEX_OFFSET), VV_ROLE_INDEX, &index, &copy))
        for (uint32_t i = 0; i < index.count; i++) {
            struct vv_index_entry entry = vv_index_entry_of(&index, i);
            (void)mend(p, entry.at.offset, entry.at.size);
        }
    vv_free(copy);
}

static void mend_all(struct patient *p)
{
    if (p->size < VV_FOOTER_SIZE)
        return;
    uint8_t *footer = p->data + p->size - VV_FOOTER_SIZE;
    struct vv_block_view top;
    uint8_t *copy = NULL;
    p->salt = vv_table_salt(footer + VV_FOOTER_UUID, NUMBER);
    struct vv_handle at = handle_at(footer + VV_FOOTER_PROPERTIES);
    (void)mend(p, at.offset, at.size);
    at = handle_at(footer + VV_FOOTER_REFERENCES);
    (void)mend(p, at.offset, at.size);
    at = handle_at(footer + VV_FOOTER_RANGES);
    (void)mend(p, at.offset, at.size);
    if (look(p, handle_at(footer + VV_FOOTER_TOP), VV_ROLE_TOP, &top, &copy))
        for (uint32_t i = 0; i < top.count; i++)
            mend_partition(p, vv_block_value(&top, i).data);
    vv_free(copy);
    vv_put_u64(footer + VV_FOOTER_FILE_SIZE, p->size);
    vv_put_u32(footer + VV_FOOTER_CHECK, vv_checksum((vv_slice){footer, VV_FOOTER_CHECK}, p->size));
}

/* ---- reading */

struct pair {
    struct vv_table *mapped, *read;
};

static void same_entry(const struct vv_iter *a, const struct vv_iter *b)
{
    vv_assert(a->valid == b->valid);
    if (!a->valid)
        return;
    vv_assert(vv_slice_equal(a->at.key, b->at.key));
    vv_assert(vv_slice_equal(a->at.value, b->at.value));
    vv_assert(a->at.seq == b->at.seq);
    vv_assert(a->at.kind == b->at.kind);
}

static void same_get(const struct pair *t, vv_slice key, vv_seq seq)
{
    uint64_t hash = vv_hash(key);
    struct vv_table_hit one = {0};
    struct vv_table_hit two = {0};
    vv_assert(vv_table_may_hold(t->mapped, key, hash) == vv_table_may_hold(t->read, key, hash));
    int rc = vv_table_get(t->mapped, key, hash, seq, &one);
    vv_assert(vv_table_get(t->read, key, hash, seq, &two) == rc);
    if (rc != VV_OK)
        return;
    vv_assert(one.seq == two.seq && one.seq <= seq && one.kind == two.kind);
    vv_assert(vv_slice_equal(one.value, two.value));
    vv_table_hit_release(&one);
    vv_table_hit_release(&two);
}

static void walk(const struct pair *t, enum vv_table_read_mode mode, int (*start)(struct vv_iter *),
                 int (*step)(struct vv_iter *))
{
    struct vv_iter *a = NULL;
    struct vv_iter *b = NULL;
    struct vv_buf key = VV_BUF_INIT;
    vv_assert(vv_table_iter(t->mapped, VV_TABLE_READ_CACHED, &a) == VV_OK);
    vv_assert(vv_table_iter(t->read, mode, &b) == VV_OK);
    int rc = start(a);
    vv_assert(start(b) == rc);
    for (int i = 0; i < STEPS_MAX && rc == VV_OK; i++) {
        same_entry(a, b);
        if (!a->valid)
            break;
        if (i < GETS_MAX)
            same_get(t, a->at.key, a->at.seq);
        if (i == GETS_MAX)
            vv_assert(vv_buf_assign(&key, a->at.key) == VV_OK);
        rc = step(a);
        vv_assert(step(b) == rc);
    }
    vv_assert(rc == VV_OK || (!a->valid && !b->valid));
    rc = vv_iter_seek(a, vv_buf_slice(&key), 7);
    vv_assert(vv_iter_seek(b, vv_buf_slice(&key), 7) == rc);
    same_entry(a, b);
    rc = vv_iter_seek_for_prev(a, vv_buf_slice(&key));
    vv_assert(vv_iter_seek_for_prev(b, vv_buf_slice(&key)) == rc);
    same_entry(a, b);
    vv_buf_deinit(&key);
    vv_iter_close(a);
    vv_iter_close(b);
}

static int first(struct vv_iter *it)
{
    return vv_iter_first(it);
}

static int last(struct vv_iter *it)
{
    return vv_iter_last(it);
}

static int next(struct vv_iter *it)
{
    return vv_iter_next(it);
}

static int prev(struct vv_iter *it)
{
    return vv_iter_prev(it);
}

static void read_both(const struct pair *t)
{
    struct vv_table_facts facts = {0};
    walk(t, VV_TABLE_READ_CACHED, first, next);
    walk(t, VV_TABLE_READ_SCAN, first, next);
    walk(t, VV_TABLE_READ_SCAN, last, prev);
    (void)vv_table_check(t->read);
    if (vv_table_read_facts(t->mapped, &facts) == VV_OK)
        vv_table_facts_deinit(&facts);
}

static int put_file(struct vv_env *env, vv_slice content)
{
    struct vv_file *file = NULL;
    int rc = vv_env_open(env, "/table", VV_OPEN_CREATE, &file);
    if (rc == VV_OK)
        rc = vv_file_write_at(file, 0, &content, 1);
    vv_file_close(file);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vv_env *env = NULL;
    struct vv_account account = {0};
    struct pair t = {NULL, NULL};
    if (size < 2)
        return 0;
    struct patient p = {vv_memdup(data + 1, size - 1), size - 1, 0};
    vv_assert(p.data != NULL);
    if ((data[0] & 1) != 0)
        mend_all(&p);
    vv_assert(vv_env_mem_new(&env) == VV_OK);
    vv_assert(put_file(env, (vv_slice){p.data, p.size}) == VV_OK);
    struct vv_table_open_options o = {
        .order = &bytewise, .account = &account, .number = NUMBER, .map = true};
    int rc = vv_table_open(env, "/table", &o, &t.mapped);
    o.map = false;
    vv_assert(vv_table_open(env, "/table", &o, &t.read) == rc);
    if (rc == VV_OK)
        read_both(&t);
    vv_table_unref(t.mapped);
    vv_table_unref(t.read);
    vv_env_mem_free(env);
    vv_free(p.data);
    vv_assert(vv_account_total(&account) == 0);
    return 0;
}
