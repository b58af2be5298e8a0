/*
 * A tree on paper: tables are lists of entries in memory, plans are carried out on them, and what a
 * lookup finds is compared with what was written.
 */
#ifndef VV_TEST_LSM_FAKE_TREE_H
#define VV_TEST_LSM_FAKE_TREE_H

#include "base/coding.h"
#include "base/error.h"
#include "base/rng.h"
#include "fake_table.h"
#include "lsm/pick.h"

#include <stdlib.h>

enum { TREE_KEYS = 3000, TREE_FILES = 20000, TREE_JOBS = 4, TREE_KEY_SIZE = 4 };

struct tree_entry {
    uint32_t key;
    uint32_t id; /* which write it is; unlike the sequence it is never settled */
    vv_seq seq;
    bool tombstone;
};

struct tree_file {
    struct tree_entry *entries;
    size_t count;
};

struct tree {
    struct vv_version *v;
    struct vv_shape shape;
    struct vv_rng rng;
    struct tree_file files[TREE_FILES]; /* by number */
    uint64_t next_file;
    vv_seq seq;
    uint32_t newest[TREE_KEYS]; /* id of the newest write of each key; 0: none */
    bool deleted[TREE_KEYS];
    uint32_t entry_bytes;
    uint64_t merged_bytes, flushed_bytes;
    struct vv_plan jobs[TREE_JOBS]; /* running */
};

static inline void tree_key(uint32_t key, uint8_t out[TREE_KEY_SIZE])
{
    for (int i = 0; i < TREE_KEY_SIZE; i++)
        out[i] = (uint8_t)(key >> (24 - 8 * i));
}

static inline struct tree *tree_new(const struct vv_order *order, uint64_t seed)
{
    struct tree *t = vv_alloc_zero(sizeof *t);
    CHECK(t != NULL);
    CHECK_OK(vv_version_new(order, &t->v));
    t->rng = vv_rng_of(seed);
    t->next_file = 1;
    t->entry_bytes = 100;
    t->shape = (struct vv_shape){.base_bytes = 4000, .ratio = 4, .l0_runs = 4, .table_bytes = 1000};
    return t;
}

static inline void tree_free(struct tree *t)
{
    vv_version_unref(t->v);
    for (uint64_t i = 0; i < t->next_file; i++)
        vv_free(t->files[i].entries);
    for (int i = 0; i < TREE_JOBS; i++)
        vv_plan_deinit(&t->jobs[i]);
    vv_free(t);
}

static inline bool tree_before(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->id > b->id;
}

static inline int tree_compare(const void *a, const void *b)
{
    return tree_before(a, b) ? -1 : 1;
}

/* A table of these entries, which are copied, with one reference. */
static inline struct vv_table_meta *tree_table(struct tree *t, const struct tree_entry *entries,
                                               size_t count)
{
    uint8_t low[TREE_KEY_SIZE], high[TREE_KEY_SIZE];
    CHECK(count > 0 && t->next_file < TREE_FILES);
    struct fake_table fake = {.number = t->next_file,
                              .min_seq = UINT64_MAX,
                              .size_bytes = count * t->entry_bytes,
                              .entries = count};
    for (size_t i = 0; i < count; i++) {
        fake.min_seq = entries[i].seq < fake.min_seq ? entries[i].seq : fake.min_seq;
        fake.max_seq = entries[i].seq > fake.max_seq ? entries[i].seq : fake.max_seq;
        fake.tombstones += entries[i].tombstone ? 1 : 0;
    }
    tree_key(entries[0].key, low);
    tree_key(entries[count - 1].key, high);
    fake.smallest = vv_slice_of(low, TREE_KEY_SIZE);
    fake.largest = vv_slice_of(high, TREE_KEY_SIZE);
    struct tree_file *file = &t->files[t->next_file++];
    file->entries = vv_memdup(entries, count * sizeof *entries);
    CHECK(file->entries != NULL);
    file->count = count;
    return fake_table_new(&fake);
}

struct tree_adds {
    struct vv_table_add *at;
    size_t count;
};

/* Cuts entries into tables of about `bytes`, never between two entries of one key. */
static inline void tree_cut(struct tree *t, int level, const struct tree_entry *entries,
                            size_t count, uint64_t bytes, struct tree_adds *adds)
{
    size_t begin = 0;
    for (size_t i = 1; i <= count; i++) {
        if (i < count &&
            (entries[i].key == entries[i - 1].key || (i - begin) * t->entry_bytes < bytes))
            continue;
        adds->at = vv_realloc(adds->at, (adds->count + 1) * sizeof *adds->at);
        CHECK(adds->at != NULL);
        adds->at[adds->count++] =
            (struct vv_table_add){level, tree_table(t, entries + begin, i - begin)};
        begin = i;
    }
}

static inline void tree_apply(struct tree *t, struct tree_adds *adds, const uint64_t *removes,
                              size_t remove_count)
{
    struct vv_version *next = NULL;
    struct vv_version_change change = {.adds = adds->at,
                                       .add_count = adds->count,
                                       .removes = removes,
                                       .remove_count = remove_count};
    CHECK_OK(vv_version_apply(t->v, &change, &next));
    vv_version_check(next);
    vv_version_unref(t->v);
    t->v = next;
}

static inline void tree_adds_deinit(struct tree_adds *adds)
{
    for (size_t i = 0; i < adds->count; i++)
        vv_table_meta_unref(adds->at[i].table);
    vv_free(adds->at);
}

/* What a batch of writes may look like. */
enum tree_pattern { TREE_UNIFORM, TREE_NARROW, TREE_ASCENDING, TREE_SPREAD, TREE_PATTERNS };

static inline uint32_t tree_next_key(struct tree *t, enum tree_pattern pattern, uint32_t start,
                                     uint32_t i)
{
    switch (pattern) {
    case TREE_NARROW: return (start + (uint32_t)vv_rng_below(&t->rng, 100)) % TREE_KEYS;
    case TREE_ASCENDING: return (start + i) % TREE_KEYS;
    case TREE_SPREAD: return (uint32_t)((start + (uint64_t)i * 997) % TREE_KEYS);
    case TREE_UNIFORM:
    case TREE_PATTERNS:
    default: return (uint32_t)vv_rng_below(&t->rng, TREE_KEYS);
    }
}

/* Writes `count` entries, one in `deletes` of them a tombstone (0: none), and flushes them with the
 * splits that picking asks for. */
static inline void tree_flush(struct tree *t, enum tree_pattern pattern, uint32_t start,
                              uint32_t count, uint64_t deletes)
{
    struct tree_entry *entries = vv_alloc(count * sizeof *entries);
    struct tree_adds adds = {0};
    struct vv_buf splits = VV_BUF_INIT;
    CHECK(entries != NULL && count > 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = tree_next_key(t, pattern, start, i);
        bool tombstone = deletes > 0 && vv_rng_one_in(&t->rng, deletes);
        t->seq++;
        entries[i] = (struct tree_entry){key, (uint32_t)t->seq, t->seq, tombstone};
        t->newest[key] = (uint32_t)t->seq;
        t->deleted[key] = tombstone;
    }
    qsort(entries, count, sizeof *entries, tree_compare);
    CHECK_OK(vv_pick_flush_splits(t->v, &t->shape, &splits));
    const vv_slice *split = (const vv_slice *)(const void *)splits.data;
    size_t left = splits.size / sizeof *split;
    size_t begin = 0;
    for (size_t i = 0; i <= count; i++) {
        bool cut = i == count;
        for (uint8_t raw[TREE_KEY_SIZE]; i < count && left > 0; left--, split++) {
            tree_key(entries[i].key, raw);
            if (vv_slice_cmp(vv_slice_of(raw, TREE_KEY_SIZE), *split) <= 0)
                break;
            cut = i > 0; /* this one is behind the split: the ones before it are a piece */
        }
        if (!cut)
            continue;
        tree_cut(t, 0, entries + begin, i - begin, UINT64_MAX / 2, &adds);
        begin = i;
    }
    t->flushed_bytes += count * t->entry_bytes;
    tree_apply(t, &adds, NULL, 0);
    tree_adds_deinit(&adds);
    vv_buf_deinit(&splits);
    vv_free(entries);
}

/* ------------------------------------------------------------------------------------- looking */

static inline const struct tree_entry *tree_find_in(const struct tree *t, const struct vv_run *run,
                                                    uint32_t key)
{
    uint8_t raw[TREE_KEY_SIZE];
    tree_key(key, raw);
    size_t at = vv_run_find(t->v->order, run, vv_slice_of(raw, TREE_KEY_SIZE));
    if (at == run->count)
        return NULL;
    const struct tree_file *file = &t->files[run->tables[at]->number];
    size_t low = 0;
    for (size_t high = file->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (file->entries[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < file->count && file->entries[low].key == key ? &file->entries[low] : NULL;
}

/* Every key is found as it was last written, and all versions of it further down are older. */
static inline void tree_check(const struct tree *t)
{
    for (uint32_t key = 0; key < TREE_KEYS; key++) {
        const struct tree_entry *newest = NULL;
        uint32_t above = UINT32_MAX;
        for (size_t i = 0; i < t->v->l0_count + VV_LEVELS - 1; i++) {
            const struct vv_run *run =
                i < t->v->l0_count ? &t->v->l0[i] : &t->v->levels[i - t->v->l0_count + 1];
            const struct tree_entry *entry = tree_find_in(t, run, key);
            if (entry == NULL)
                continue;
            CHECK(entry->id < above);
            above = entry->id;
            newest = newest == NULL ? entry : newest;
        }
        if (newest == NULL)
            CHECK(t->newest[key] == 0 || t->deleted[key]);
        else
            CHECK_EQ_U64(newest->id, t->newest[key]);
    }
}

/* -------------------------------------------------------------------------------------- working */

static inline void tree_check_plan(const struct tree *t, const struct vv_plan *plan)
{
    uint64_t bytes = 0;
    CHECK(plan->input_count[0] > 0);
    CHECK(plan->from >= 0 && plan->to < VV_LEVELS && plan->from <= plan->to);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan->input_count[side]; i++) {
            CHECK_EQ_U64(plan->inputs[side][i]->job, 0);
            bytes += plan->inputs[side][i]->facts.size_bytes;
            for (size_t k = 0; k < i; k++)
                CHECK(plan->inputs[side][i] != plan->inputs[side][k]);
            if (i > 0 && side == 0 && plan->from == 0)
                CHECK(vv_table_older(plan->inputs[0][i - 1], plan->inputs[0][i]));
            else if (i > 0)
                CHECK(vv_order_cmp(t->v->order, vv_table_largest(plan->inputs[side][i - 1]),
                                   vv_table_smallest(plan->inputs[side][i])) < 0);
        }
    }
    CHECK_EQ_U64(plan->input_bytes, bytes);
    if (plan->trivial)
        CHECK_EQ_U64(plan->input_count[1], 0);
}

static inline int tree_free_job(const struct tree *t)
{
    for (int i = 0; i < TREE_JOBS; i++) {
        if (t->jobs[i].reason == VV_PLAN_NONE)
            return i;
    }
    return -1;
}

static inline void tree_claim(struct tree *t, int job)
{
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < t->jobs[job].input_count[side]; i++)
            t->jobs[job].inputs[side][i]->job = (uint32_t)job + 1;
    }
}

/* The inputs' entries in internal order, without what the job may drop. */
static inline size_t tree_merge(struct tree *t, const struct vv_plan *plan, struct tree_entry **out)
{
    struct tree_entry *all = NULL;
    size_t count = 0, kept = 0;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan->input_count[side]; i++) {
            const struct tree_file *file = &t->files[plan->inputs[side][i]->number];
            all = vv_realloc(all, (count + file->count) * sizeof *all);
            CHECK(all != NULL);
            memcpy(all + count, file->entries, file->count * sizeof *all);
            count += file->count;
        }
    }
    CHECK(all != NULL);
    qsort(all, count, sizeof *all, tree_compare);
    bool settle = plan->last && vv_rng_one_in(&t->rng, 2);
    for (size_t i = 0; i < count; i++) {
        if ((i > 0 && all[i].key == all[i - 1].key) || (plan->last && all[i].tombstone))
            continue;
        all[kept] = all[i];
        if (settle)
            all[kept].seq = 0;
        kept++;
    }
    *out = all;
    return kept;
}

/* Carries out a running job and installs what it made. */
static inline void tree_finish(struct tree *t, int job)
{
    struct vv_plan *plan = &t->jobs[job];
    struct tree_adds adds = {0};
    struct tree_entry *entries = NULL;
    size_t count = plan->input_count[0] + plan->input_count[1];
    uint64_t *removes = vv_alloc(count * sizeof *removes);
    CHECK(removes != NULL);
    for (size_t i = 0; i < count; i++) {
        int side = i < plan->input_count[0] ? 0 : 1;
        struct vv_table_meta *meta = plan->inputs[side][side == 0 ? i : i - plan->input_count[0]];
        meta->job = 0;
        removes[i] = meta->number;
    }
    if (plan->trivial) {
        adds.at = vv_alloc(count * sizeof *adds.at);
        CHECK(adds.at != NULL);
        for (; adds.count < count; adds.count++) {
            adds.at[adds.count] = (struct vv_table_add){plan->to, plan->inputs[0][adds.count]};
            vv_table_meta_ref(plan->inputs[0][adds.count]);
        }
    } else {
        size_t kept = tree_merge(t, plan, &entries);
        uint64_t bytes = t->shape.table_bytes / 2 + vv_rng_below(&t->rng, t->shape.table_bytes);
        if (kept > 0)
            tree_cut(t, plan->to, entries, kept, bytes, &adds);
        t->merged_bytes += kept * t->entry_bytes;
    }
    tree_apply(t, &adds, removes, count);
    tree_adds_deinit(&adds);
    vv_free(entries);
    vv_free(removes);
    vv_plan_deinit(plan);
}

enum tree_mood { TREE_BUSY, TREE_IDLE };

/* Picks a job and lets it begin; false when there is none. */
static inline bool tree_begin(struct tree *t, enum tree_mood mood)
{
    int job = tree_free_job(t);
    CHECK(job >= 0);
    CHECK_OK(vv_pick(t->v, &t->shape, mood == TREE_IDLE, &t->jobs[job]));
    if (t->jobs[job].reason == VV_PLAN_NONE)
        return false;
    tree_check_plan(t, &t->jobs[job]);
    tree_claim(t, job);
    return true;
}

/* One job after another until there is nothing to do. */
static inline void tree_settle(struct tree *t, enum tree_mood mood)
{
    for (int rounds = 0; tree_begin(t, mood); rounds++) {
        CHECK(rounds < 5000);
        tree_finish(t, 0);
    }
}

#endif
