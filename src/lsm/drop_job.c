/*
 * Dropping: tables that a range tombstone covers whole are taken out of the tree by an edit, unread.
 *
 *      level 0     [k ················· q)@90           the tombstone, in a table
 *      level 5          [l 7…33 m]  [n 0…80 p]          covered, and older: gone
 *
 * A table may go if all of its entries are older than one tombstone that covers its keys, and no
 * snapshot lies in between: nobody who still reads, or ever will, sees any of them. Its own tombstones
 * hide nothing that the covering one does not hide as well, and that one stays in the tree until a
 * merge finds nothing below it (shadow.c). Sequences of settled entries are 0, which says no more than
 * that they are older: a tombstone that was older than such an entry went in the merge that settled it.
 */
#include "lsm/job.h"

#include "base/hash.h"

struct drop_job {
    struct vv_job job;
    struct vv_version *version; /* has the tables */
    struct vv_buf tables;       /* struct vv_table_meta * */
};

/* What the search knows. */
struct search {
    const struct vv_order *order;
    const struct vv_version *version;
    const vv_seq *snapshots; /* ascending; the last is the visible sequence */
    size_t snapshot_count;
    struct vv_buf *found;
};

/* Whether nobody reads at a moment from `seen`, the first at which the entries may show, to before the
 * tombstone. */
static bool apart(const struct search *s, vv_seq seen, vv_seq tombstone)
{
    for (size_t i = 0; i < s->snapshot_count; i++) {
        if (s->snapshots[i] >= seen)
            return s->snapshots[i] >= tombstone;
    }
    return false;
}

static bool covers(const struct search *s, const struct vv_range *span,
                   const struct vv_table_meta *t)
{
    int end = vv_order_cmp(s->order, vv_table_largest(t), span->to);
    return t->facts.max_seq < span->seq &&
           vv_order_cmp(s->order, span->from, vv_table_smallest(t)) <= 0 &&
           (end < 0 || (end == 0 && t->facts.open_end)) && apart(s, t->facts.min_seq, span->seq);
}

static int add_covered(const struct search *s, const struct vv_range *span,
                       struct vv_table_meta *const *tables, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vv_table_meta *t = tables[i];
        if (!covers(s, span, t))
            continue;
        int rc = vv_buf_append(s->found, &t, sizeof t);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

static int search_span(const struct search *s, const struct vv_range *span)
{
    const struct vv_run *zero = &s->version->levels[0];
    int rc = add_covered(s, span, zero->tables, zero->count);
    for (int level = 1; rc == VV_OK && level < VV_LEVELS; level++) {
        const struct vv_run *run = &s->version->levels[level];
        struct vv_run_range range = vv_run_overlap(s->order, run, span->from, span->to);
        if (range.count > 0)
            rc = add_covered(s, span, run->tables + range.first, range.count);
    }
    return rc;
}

/* Ranges that join are one span, which is as old as the oldest of them. */
static int search_table(const struct search *s, struct vv_table_meta *meta)
{
    struct vv_table *table;
    size_t count;
    int rc = vv_tables_open(meta, &table);
    if (rc < 0)
        return rc;
    const struct vv_range *list = vv_table_range_list(table, &count);
    for (size_t i = 0; rc == VV_OK && i < count;) {
        struct vv_range span = list[i++];
        for (; i < count && vv_order_cmp(s->order, span.to, list[i].from) == 0; i++) {
            span.to = list[i].to;
            span.seq = list[i].seq < span.seq ? list[i].seq : span.seq;
        }
        rc = search_span(s, &span);
    }
    vv_table_unref(table); /* the version keeps it open */
    return rc;
}

static int search_all(const struct search *s)
{
    int rc = VV_OK;
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &s->version->levels[level];
        for (size_t i = 0; rc == VV_OK && run->ranges > 0 && i < run->count; i++) {
            if (run->tables[i]->facts.ranges > 0)
                rc = search_table(s, run->tables[i]);
        }
    }
    return rc;
}

/* Claims what nobody else has; a table may have been found twice. */
static void claim(struct drop_job *d)
{
    struct vv_lsm *lsm = d->job.lsm;
    struct vv_table_meta **tables = (struct vv_table_meta **)(void *)d->tables.data;
    size_t kept = 0;
    vv_mutex_lock(&lsm->mu);
    d->job.id = ++lsm->last_job_id;
    for (size_t i = 0; i < d->tables.size / sizeof(struct vv_table_meta *); i++) {
        if (tables[i]->job != 0 || atomic_load(&tables[i]->obsolete))
            continue;
        tables[i]->job = d->job.id;
        tables[kept++] = tables[i];
    }
    vv_mutex_unlock(&lsm->mu);
    d->tables.size = kept * sizeof(struct vv_table_meta *);
}

static int drop_step(struct vv_job *job, bool *done)
{
    struct drop_job *d = (struct drop_job *)job;
    struct vv_table_meta **tables = (struct vv_table_meta **)(void *)d->tables.data;
    struct vv_edit edit = {0};
    bool unclear = false;
    int rc = VV_OK;
    *done = true;
    for (size_t i = 0; rc == VV_OK && i < d->tables.size / sizeof(struct vv_table_meta *); i++)
        rc = vv_edit_remove_table(&edit, tables[i]->number);
    struct vv_install install = {
        .change = {.removes = edit.tables_gone, .remove_count = edit.table_gone_count}};
    if (rc == VV_OK)
        rc = vv_lsm_install(job->lsm, &edit, &install, &unclear);
    vv_edit_deinit(&edit);
    return rc;
}

static void drop_free(struct vv_job *job)
{
    struct drop_job *d = (struct drop_job *)job;
    struct vv_table_meta **tables = (struct vv_table_meta **)(void *)d->tables.data;
    vv_mutex_lock(&job->lsm->mu);
    for (size_t i = 0; i < d->tables.size / sizeof(struct vv_table_meta *); i++)
        tables[i]->job = tables[i]->job == job->id ? 0 : tables[i]->job;
    vv_mutex_unlock(&job->lsm->mu);
    vv_buf_deinit(&d->tables);
    vv_version_unref(d->version);
    vv_free(d);
}

static const struct vv_job_ops drop_ops = {.step = drop_step, .free = drop_free};

static bool any_ranges(const struct vv_version *version)
{
    for (int level = 0; level < VV_LEVELS; level++) {
        if (version->levels[level].ranges > 0)
            return true;
    }
    return false;
}

/* Whether anything that the answer depends on is other than when it was asked last. */
static bool is_news(struct vv_lsm *lsm, const struct vv_buf *snapshots)
{
    /* The visible sequence, the last of them, moves all the time; views change often enough. */
    uint64_t held = vv_hash(vv_slice_of(snapshots->data, snapshots->size - sizeof(vv_seq)));
    vv_mutex_lock(&lsm->mu);
    bool news = lsm->drops_view != lsm->view_serial || lsm->drops_snapshots != held;
    lsm->drops_view = lsm->view_serial;
    lsm->drops_snapshots = held;
    vv_mutex_unlock(&lsm->mu);
    return news;
}

static int find(struct drop_job *d, const struct vv_buf *snapshots)
{
    struct search s = {.order = vv_lsm_order(d->job.lsm),
                       .version = d->version,
                       .snapshots = (const vv_seq *)(const void *)snapshots->data,
                       .snapshot_count = snapshots->size / sizeof(vv_seq),
                       .found = &d->tables};
    int rc = search_all(&s);
    if (rc == VV_CORRUPT || rc == VV_UNSUPPORTED)
        return VV_NOTFOUND; /* who reads the table will say so */
    if (rc == VV_OK)
        claim(d);
    return rc < 0 ? rc : d->tables.size > 0 ? VV_OK : VV_NOTFOUND;
}

int vv_drop_job_new(struct vv_lsm *lsm, struct vv_job **out)
{
    struct vv_buf snapshots = VV_BUF_INIT;
    struct drop_job *d = vv_alloc_zero(sizeof *d);
    if (d == NULL)
        return VV_NOMEM;
    d->job = (struct vv_job){.ops = &drop_ops, .lsm = lsm, .urgency = VV_URGENT_MERGE};
    d->version = vv_lsm_version(lsm);
    int rc = VV_NOTFOUND;
    if (any_ranges(d->version) &&
        (rc = lsm->options.host->snapshots(lsm->options.host->context, &snapshots)) == VV_OK)
        rc = is_news(lsm, &snapshots) ? find(d, &snapshots) : VV_NOTFOUND;
    vv_buf_deinit(&snapshots);
    if (rc == VV_OK) {
        *out = &d->job;
        return VV_OK;
    }
    drop_free(&d->job);
    return rc;
}
