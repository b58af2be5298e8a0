/*
 * One iterator over the tables of a run, which do not overlap: one table after another. Only the
 * current one is open; a seek that stays in its table keeps it.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "lsm/merge.h"
#include "lsm/tables.h"

struct run_iter {
    struct vv_iter base;
    const struct vv_order *order;
    struct vv_run run; /* borrowed: a view of the caller's tables */
    enum vv_table_read_mode mode;
    struct vv_iter *table; /* of tables[index], or NULL */
    size_t index;
};

/* Takes over the table iterator's position and the outcome of moving it. */
static inline int settle(struct run_iter *it, int rc)
{
    it->base.valid = rc == VV_OK && it->table->valid;
    if (it->base.valid)
        it->base.at = it->table->at;
    return rc;
}

static int go_to_table(struct run_iter *it, size_t index)
{
    struct vv_table *table = NULL;
    if (it->table != NULL && it->index == index)
        return VV_OK;
    vv_iter_close(it->table);
    it->table = NULL;
    it->base.valid = false;
    int rc = vv_tables_open(it->run.tables[index], &table);
    if (rc < 0)
        return rc;
    rc = vv_table_iter(table, it->mode, &it->table);
    vv_table_unref(table);
    it->index = index;
    return rc;
}

static int end_here(struct run_iter *it)
{
    it->base.valid = false;
    return VV_OK;
}

/* The first entry of the tables from `index` on. */
static int first_from(struct run_iter *it, size_t index)
{
    for (; index < it->run.count; index++) {
        int rc = go_to_table(it, index);
        if (rc < 0)
            return rc;
        rc = settle(it, vv_iter_first(it->table));
        if (rc < 0 || it->base.valid)
            return rc;
    }
    return end_here(it);
}

/* The last entry of the first `count` tables. */
static int last_of(struct run_iter *it, size_t count)
{
    while (count-- > 0) {
        int rc = go_to_table(it, count);
        if (rc < 0)
            return rc;
        rc = settle(it, vv_iter_last(it->table));
        if (rc < 0 || it->base.valid)
            return rc;
    }
    return end_here(it);
}

static int run_first(struct vv_iter *base)
{
    return first_from((struct run_iter *)base, 0);
}

static int run_last(struct vv_iter *base)
{
    struct run_iter *it = (struct run_iter *)base;
    return last_of(it, it->run.count);
}

static int run_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct run_iter *it = (struct run_iter *)base;
    size_t index = vv_run_find(it->order, &it->run, key);
    if (index == it->run.count)
        return end_here(it);
    int rc = go_to_table(it, index);
    if (rc < 0)
        return rc;
    rc = settle(it, vv_iter_seek(it->table, key, seq));
    /* All versions of the table's largest key may be newer than `seq`. */
    return rc < 0 || it->base.valid ? rc : first_from(it, index + 1);
}

static int run_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct run_iter *it = (struct run_iter *)base;
    size_t index = vv_run_find(it->order, &it->run, key);
    if (index == it->run.count)
        return last_of(it, index);
    int rc = go_to_table(it, index);
    if (rc < 0)
        return rc;
    rc = settle(it, vv_iter_seek_for_prev(it->table, key));
    return rc < 0 || it->base.valid ? rc : last_of(it, index);
}

static int run_next(struct vv_iter *base)
{
    struct run_iter *it = (struct run_iter *)base;
    int rc = settle(it, vv_iter_next(it->table));
    if (VV_LIKELY(rc < 0 || it->base.valid))
        return rc;
    return first_from(it, it->index + 1);
}

static int run_prev(struct vv_iter *base)
{
    struct run_iter *it = (struct run_iter *)base;
    int rc = settle(it, vv_iter_prev(it->table));
    if (VV_LIKELY(rc < 0 || it->base.valid))
        return rc;
    return last_of(it, it->index);
}

static void run_close(struct vv_iter *base)
{
    struct run_iter *it = (struct run_iter *)base;
    vv_iter_close(it->table);
    vv_free(it);
}

static const struct vv_iter_ops run_ops = {
    .first = run_first,
    .last = run_last,
    .seek = run_seek,
    .seek_for_prev = run_seek_for_prev,
    .next = run_next,
    .prev = run_prev,
    .close = run_close,
};

int vv_run_iter_range(const struct vv_order *order, const struct vv_run *run,
                      struct vv_run_range range, enum vv_table_read_mode mode, struct vv_iter **out)
{
    vv_assert(range.first <= run->count && range.count <= run->count - range.first);
    struct run_iter *it = vv_alloc_zero(sizeof *it);
    if (it == NULL)
        return VV_NOMEM;
    it->base.ops = &run_ops;
    it->order = order;
    it->mode = mode;
    it->run = *run;
    it->run.count = range.count;
    if (range.count > 0) {
        it->run.tables += range.first;
        if (run->fence != NULL)
            it->run.fence += range.first;
    }
    *out = &it->base;
    return VV_OK;
}

int vv_run_iter(const struct vv_order *order, const struct vv_run *run,
                enum vv_table_read_mode mode, struct vv_iter **out)
{
    return vv_run_iter_range(order, run, (struct vv_run_range){0, run->count}, mode, out);
}
