#include "lsm/version.h"

#include "base/alloc.h"
#include "base/error.h"
#include "lsm/tables.h"
#include "lsm/values.h"

/* Which numbers a change takes away and brings, sorted so that a walk over the base version can ask
 * for each of its files. */
struct numbers {
    uint64_t *sorted;
    size_t count;
};

/* ------------------------------------------------------------------------------------- sharing */

void vv_table_meta_ref(struct vv_table_meta *t)
{
    /* Relaxed: whoever hands on a reference has one. */
    (void)atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void vv_table_meta_unref(struct vv_table_meta *t)
{
    if (t == NULL)
        return;
    /* Release and acquire: what others did with the table happens before it is dropped. */
    uint32_t before = atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before == 1)
        vv_tables_drop(t);
}

int vv_version_new(const struct vv_order *order, struct vv_version **out)
{
    struct vv_version *v = vv_alloc_zero(sizeof *v);
    if (v == NULL)
        return VV_NOMEM;
    atomic_init(&v->refs, 1);
    v->order = order;
    *out = v;
    return VV_OK;
}

void vv_version_ref(struct vv_version *v)
{
    (void)atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
}

static void run_deinit(struct vv_run *run)
{
    vv_free(run->tables);
    vv_free(run->fence);
}

void vv_version_unref(struct vv_version *v)
{
    if (v == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before > 1)
        return;
    for (size_t i = 0; i < v->l0_count; i++)
        run_deinit(&v->l0[i]);
    for (int level = 0; level < VV_LEVELS; level++) {
        for (size_t i = 0; i < v->levels[level].count; i++)
            vv_table_meta_unref(v->levels[level].tables[i]);
        run_deinit(&v->levels[level]);
    }
    for (size_t i = 0; i < v->value_count; i++)
        vv_value_file_unref(v->values[i]);
    vv_free(v->l0);
    vv_free(v->values);
    vv_free(v->routes);
    vv_free(v);
}

/* ------------------------------------------------------------------------------------- numbers */

static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[at] >= heap[child])
            return;
        uint64_t swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

static void sort_numbers(uint64_t *at, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(at, count, i);
    for (size_t left = count; left > 1;) {
        uint64_t largest = at[0];
        at[0] = at[--left];
        at[left] = largest;
        sift_down(at, left, 0);
    }
}

/* Sorts; VV_CORRUPT when a number is there twice. `what` names the files in the story. */
static int numbers_seal(struct numbers *n, const char *what)
{
    sort_numbers(n->sorted, n->count);
    for (size_t i = 1; i < n->count; i++) {
        if (n->sorted[i - 1] == n->sorted[i])
            return vv_fail(VV_CORRUPT, "%s %llu is in one change twice", what,
                           (unsigned long long)n->sorted[i]);
    }
    return VV_OK;
}

static bool numbers_have(const struct numbers *n, uint64_t number)
{
    size_t low = 0;
    for (size_t high = n->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (n->sorted[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n->count && n->sorted[low] == number;
}

static int numbers_copy(const uint64_t *from, size_t count, const char *what, struct numbers *out)
{
    if ((out->sorted = vv_alloc(count * sizeof *from)) == NULL)
        return VV_NOMEM;
    out->count = count;
    if (count > 0)
        memcpy(out->sorted, from, count * sizeof *from);
    return numbers_seal(out, what);
}

static int numbers_of_adds(const struct vv_version_change *change, struct numbers *out)
{
    if ((out->sorted = vv_alloc(change->add_count * sizeof *out->sorted)) == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < change->add_count; i++)
        out->sorted[out->count++] = change->adds[i].table->number;
    return numbers_seal(out, "table");
}

/* -------------------------------------------------------------------------------------- routes */

static struct vv_value_route *find_route(const struct vv_version *v, uint64_t number)
{
    size_t low = 0;
    for (size_t high = v->route_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (v->routes[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->route_count && v->routes[low].number == number ? &v->routes[low] : NULL;
}

/* A table comes or goes. A large store has millions of references in thousands of tables: summing
 * them up anew for each change, or whenever somebody asks, is out of the question. */
static void note_refs(struct vv_version *v, const struct vv_table_meta *table, bool comes)
{
    for (size_t i = 0; i < table->facts.ref_count; i++) {
        const struct vv_table_ref_sum *sum = &table->facts.refs[i];
        struct vv_value_route *route = find_route(v, sum->file);
        if (route == NULL)
            continue; /* the file is lost, or nothing that refers to it is alive any more */
        if (comes)
            route->live_bytes += sum->bytes;
        else
            route->live_bytes -= sum->bytes < route->live_bytes ? sum->bytes : route->live_bytes;
    }
}

/* -------------------------------------------------------------------------------------- tables */

/* Where a table goes in a level that is not 0: behind all tables that begin before it. */
static size_t place_by_key(const struct vv_order *order, const struct vv_run *run,
                           const struct vv_table_meta *table)
{
    size_t low = 0;
    for (size_t high = run->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (vv_order_cmp(order, vv_table_smallest(run->tables[middle]), vv_table_smallest(table)) <
            0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t place_by_age(const struct vv_run *run, const struct vv_table_meta *table)
{
    size_t at = run->count;
    while (at > 0 && vv_table_older(table, run->tables[at - 1]))
        at--;
    return at;
}

static void run_insert(struct vv_run *run, size_t at, struct vv_table_meta *table)
{
    memmove(run->tables + at + 1, run->tables + at,
            (run->count - at) * sizeof(struct vv_table_meta *));
    run->tables[at] = table;
    run->count++;
    run->bytes += table->facts.size_bytes;
    run->ranges += table->facts.ranges;
}

static int fail_overlap(const struct vv_table_meta *a, const struct vv_table_meta *b, int level)
{
    return vv_fail(VV_CORRUPT, "tables %llu and %llu overlap in level %d",
                   (unsigned long long)a->number, (unsigned long long)b->number, level);
}

static int add_table(struct vv_version *v, const struct vv_table_add *add)
{
    struct vv_table_meta *table = add->table;
    if (add->level < 0 || add->level >= VV_LEVELS)
        return vv_fail(VV_CORRUPT, "table %llu is in level %d, which there is not",
                       (unsigned long long)table->number, add->level);
    if (vv_order_cmp(v->order, vv_table_smallest(table), vv_table_largest(table)) > 0 ||
        vv_table_ends_before(v->order, table, vv_table_smallest(table)))
        return vv_fail(VV_CORRUPT, "the smallest key of table %llu is above its largest",
                       (unsigned long long)table->number);
    struct vv_run *run = &v->levels[add->level];
    size_t at = 0;
    if (add->level == 0) {
        at = place_by_age(run, table);
    } else {
        at = place_by_key(v->order, run, table);
        if (at > 0 &&
            !vv_table_ends_before(v->order, run->tables[at - 1], vv_table_smallest(table)))
            return fail_overlap(run->tables[at - 1], table, add->level);
        if (at < run->count &&
            !vv_table_ends_before(v->order, table, vv_table_smallest(run->tables[at])))
            return fail_overlap(table, run->tables[at], add->level);
    }
    vv_table_meta_ref(table);
    run_insert(run, at, table);
    return VV_OK;
}

/* Copies what stays of each level, with room for what is added. */
static int keep_tables(struct vv_version *v, const struct vv_version *base, size_t room,
                       const struct numbers *removes, const struct numbers *adds)
{
    size_t removed = 0;
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *from = &base->levels[level];
        struct vv_run *run = &v->levels[level];
        if (from->count + room == 0)
            continue;
        if ((run->tables = vv_alloc((from->count + room) * sizeof(struct vv_table_meta *))) == NULL)
            return VV_NOMEM;
        for (size_t i = 0; i < from->count; i++) {
            struct vv_table_meta *table = from->tables[i];
            if (numbers_have(removes, table->number)) {
                removed++;
                note_refs(v, table, false);
                continue;
            }
            if (numbers_have(adds, table->number))
                return vv_fail(VV_CORRUPT, "table %llu is there already",
                               (unsigned long long)table->number);
            vv_table_meta_ref(table);
            run_insert(run, run->count, table);
        }
    }
    if (removed != removes->count)
        return vv_fail(VV_CORRUPT, "of %zu tables to remove, %zu are not there", removes->count,
                       removes->count - removed);
    return VV_OK;
}

static int apply_tables(struct vv_version *v, const struct vv_version *base,
                        const struct vv_version_change *change)
{
    struct numbers removes = {0};
    struct numbers adds = {0};
    int rc = numbers_copy(change->removes, change->remove_count, "table", &removes);
    if (rc < 0 || (rc = numbers_of_adds(change, &adds)) < 0)
        goto out;
    if ((rc = keep_tables(v, base, change->add_count, &removes, &adds)) < 0)
        goto out;
    for (size_t i = 0; i < change->add_count; i++) {
        if ((rc = add_table(v, &change->adds[i])) < 0)
            goto out;
        note_refs(v, change->adds[i].table, true);
    }
out:
    vv_free(removes.sorted);
    vv_free(adds.sorted);
    return rc;
}

/* ---------------------------------------------------------------------------- runs of level 0 */

/* The run, counted from the oldest, into which the next younger table goes. */
static size_t place_in_runs(const struct vv_order *order, const struct vv_run *runs, size_t count,
                            const struct vv_table_meta *table)
{
    for (size_t i = count; i-- > 0;) {
        if (vv_run_overlap_table(order, &runs[i], table).count > 0)
            return i + 1;
    }
    return 0;
}

/* Gives room for one more. The run's capacity is the power of two at or above its count. */
static int run_grow(struct vv_run *run)
{
    if ((run->count & (run->count - 1)) != 0)
        return VV_OK;
    size_t cap = run->count > 0 ? 2 * run->count : 1;
    struct vv_table_meta **tables = vv_realloc(run->tables, cap * sizeof(struct vv_table_meta *));
    if (tables == NULL)
        return VV_NOMEM;
    run->tables = tables;
    return VV_OK;
}

static int stack_runs(struct vv_version *v)
{
    const struct vv_run *all = &v->levels[0];
    size_t cap = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct vv_table_meta *table = all->tables[i];
        size_t at = place_in_runs(v->order, v->l0, v->l0_count, table);
        if (at == v->l0_count) {
            if (at == cap) {
                cap = cap > 0 ? 2 * cap : 8;
                struct vv_run *runs = vv_realloc(v->l0, cap * sizeof *runs);
                if (runs == NULL)
                    return VV_NOMEM;
                v->l0 = runs;
            }
            v->l0[v->l0_count++] = (struct vv_run){0};
        }
        struct vv_run *run = &v->l0[at];
        if (run_grow(run) < 0)
            return VV_NOMEM;
        run_insert(run, place_by_key(v->order, run, table), table);
    }
    for (size_t i = 0; i < v->l0_count / 2; i++) { /* newest first */
        struct vv_run swap = v->l0[i];
        v->l0[i] = v->l0[v->l0_count - 1 - i];
        v->l0[v->l0_count - 1 - i] = swap;
    }
    return VV_OK;
}

/* -------------------------------------------------------------------------------------- fences */

static vv_slice behind(vv_slice key, size_t skip)
{
    return key.size > skip ? vv_slice_skip(key, skip) : VV_SLICE_EMPTY;
}

static int run_build_fence(const struct vv_order *order, struct vv_run *run)
{
    if (!vv_order_bytewise(order) || run->count == 0)
        return VV_OK;
    if ((run->fence = vv_alloc(run->count * sizeof *run->fence)) == NULL)
        return VV_NOMEM;
    /* In a sorted list, what the ends have in common all have. */
    run->fence_skip = vv_slice_common(vv_table_largest(run->tables[0]),
                                      vv_table_largest(run->tables[run->count - 1]));
    for (size_t i = 0; i < run->count; i++)
        run->fence[i] = vv_slice_head(behind(vv_table_largest(run->tables[i]), run->fence_skip));
    return VV_OK;
}

static int build_fences(struct vv_version *v)
{
    for (int level = 1; level < VV_LEVELS; level++) {
        if (run_build_fence(v->order, &v->levels[level]) < 0)
            return VV_NOMEM;
    }
    for (size_t i = 0; i < v->l0_count; i++) {
        if (run_build_fence(v->order, &v->l0[i]) < 0)
            return VV_NOMEM;
    }
    return VV_OK;
}

/* Index of the first of `count` ascending numbers that is at least `bound`. */
static size_t fence_find(const uint64_t *fence, size_t count, uint64_t bound)
{
    size_t low = 0;
    while (count > 1) {
        size_t half = count / 2;
        /* Not a branch: nobody could predict it. */
        low += fence[low + half - 1] < bound ? half : 0;
        count -= half;
    }
    return count == 1 && fence[low] < bound ? low + 1 : low;
}

/* Narrows the search for `key` by the fence: the answer is in [*low, *high]. */
static void fence_narrow(const struct vv_run *run, vv_slice key, size_t *low, size_t *high)
{
    vv_slice shared = {vv_table_largest(run->tables[0]).data, run->fence_skip};
    size_t common = key.size < shared.size ? key.size : shared.size;
    int order = memcmp(key.data, shared.data, common);
    *low = *high = order > 0 ? run->count : 0;
    if (order != 0 || key.size < shared.size)
        return; /* a key that ends within what all share comes before all */
    uint64_t head = vv_slice_head(behind(key, run->fence_skip));
    *low = *high = fence_find(run->fence, run->count, head);
    if (*low < run->count && run->fence[*low] == head)
        *high = head < UINT64_MAX ? fence_find(run->fence, run->count, head + 1) : run->count;
}

/* ------------------------------------------------------------------------------------- finding */

size_t vv_run_find(const struct vv_order *order, const struct vv_run *run, vv_slice key)
{
    size_t low = 0;
    size_t high = run->count;
    if (run->fence != NULL && key.size > 0)
        fence_narrow(run, key, &low, &high);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vv_table_ends_before(order, run->tables[middle], key))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct vv_run_range vv_run_overlap(const struct vv_order *order, const struct vv_run *run,
                                   vv_slice from, vv_slice to)
{
    size_t first = from.data != NULL ? vv_run_find(order, run, from) : 0;
    size_t end = run->count;
    if (to.data != NULL) {
        size_t low = first;
        while (low < end) {
            size_t middle = low + (end - low) / 2;
            if (vv_order_cmp(order, vv_table_smallest(run->tables[middle]), to) <= 0)
                low = middle + 1;
            else
                end = middle;
        }
    }
    return (struct vv_run_range){first, end - first};
}

struct vv_run_range vv_run_overlap_table(const struct vv_order *order, const struct vv_run *run,
                                         const struct vv_table_meta *table)
{
    struct vv_run_range range =
        vv_run_overlap(order, run, vv_table_smallest(table), vv_table_largest(table));
    if (range.count > 0 &&
        vv_table_ends_before(order, table,
                             vv_table_smallest(run->tables[range.first + range.count - 1])))
        range.count--;
    return range;
}

struct vv_value_file *vv_version_value_file(const struct vv_version *v, uint64_t number)
{
    const struct vv_value_route *route = find_route(v, number);
    return route != NULL ? route->file : NULL;
}

uint64_t vv_version_live_bytes(const struct vv_version *v, uint64_t number)
{
    const struct vv_value_route *route = find_route(v, number);
    return route != NULL ? route->live_bytes : 0;
}

int vv_version_last_level(const struct vv_version *v)
{
    int level = VV_LEVELS - 1;
    while (level >= 0 && v->levels[level].count == 0)
        level--;
    return level;
}

/* --------------------------------------------------------------------------------- value files */

/* Puts a file in its place; it replaces one of the same number. `v->values` has room. */
static void add_value_file(struct vv_version *v, struct vv_value_file *file)
{
    size_t at = v->value_count;
    while (at > 0 && v->values[at - 1]->number >= file->number)
        at--;
    vv_value_file_ref(file);
    if (at < v->value_count && v->values[at]->number == file->number) {
        vv_value_file_unref(v->values[at]);
    } else {
        memmove(v->values + at + 1, v->values + at,
                (v->value_count - at) * sizeof(struct vv_value_file *));
        v->value_count++;
    }
    v->values[at] = file;
}

static int apply_values(struct vv_version *v, const struct vv_version *base,
                        const struct vv_version_change *change)
{
    struct numbers removes = {0};
    size_t removed = 0;
    size_t room = base->value_count + change->value_add_count;
    int rc =
        numbers_copy(change->value_removes, change->value_remove_count, "value file", &removes);
    if (rc < 0)
        goto out;
    if ((v->values = vv_alloc(room * sizeof(struct vv_value_file *))) == NULL) {
        rc = VV_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < base->value_count; i++) {
        if (numbers_have(&removes, base->values[i]->number))
            removed++;
        else
            add_value_file(v, base->values[i]);
    }
    if (removed != removes.count) {
        rc = vv_fail(VV_CORRUPT, "of %zu value files to remove, %zu are not there", removes.count,
                     removes.count - removed);
        goto out;
    }
    for (size_t i = 0; i < change->value_add_count; i++)
        add_value_file(v, change->value_adds[i]);
out:
    vv_free(removes.sorted);
    return rc;
}

static int add_route(struct vv_version *v, uint64_t number, struct vv_value_file *file)
{
    size_t at = v->route_count;
    while (at > 0 && v->routes[at - 1].number > number)
        at--;
    if (at > 0 && v->routes[at - 1].number == number)
        return vv_fail(VV_CORRUPT, "value files %llu and %llu both serve references to %llu",
                       (unsigned long long)v->routes[at - 1].file->number,
                       (unsigned long long)file->number, (unsigned long long)number);
    memmove(v->routes + at + 1, v->routes + at, (v->route_count - at) * sizeof *v->routes);
    v->routes[at] = (struct vv_value_route){.number = number, .file = file};
    v->route_count++;
    return VV_OK;
}

static int build_routes(struct vv_version *v, const struct vv_version *base)
{
    size_t room = v->value_count;
    for (size_t i = 0; i < v->value_count; i++)
        room += v->values[i]->serve_count;
    if ((v->routes = vv_alloc(room * sizeof *v->routes)) == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < v->value_count; i++) {
        struct vv_value_file *file = v->values[i];
        int rc = file->serve_count == 0 ? add_route(v, file->number, file) : VV_OK;
        for (size_t k = 0; k < file->serve_count && rc == VV_OK; k++)
            rc = add_route(v, file->serves[k], file);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < v->route_count; i++)
        v->routes[i].live_bytes = vv_version_live_bytes(base, v->routes[i].number);
    return VV_OK;
}

/* ------------------------------------------------------------------------------------- applying */

int vv_version_apply(const struct vv_version *base, const struct vv_version_change *change,
                     struct vv_version **out)
{
    struct vv_version *v = NULL;
    int rc = vv_version_new(change->order != NULL ? change->order : base->order, &v);
    if (rc < 0)
        goto out;
    if ((rc = apply_values(v, base, change)) < 0 || (rc = build_routes(v, base)) < 0)
        goto out;
    if ((rc = apply_tables(v, base, change)) < 0)
        goto out;
    if ((rc = stack_runs(v)) < 0 || (rc = build_fences(v)) < 0)
        goto out;
#ifdef VV_PARANOID
    vv_version_check(v);
#endif
    *out = v;
    v = NULL;
out:
    vv_version_unref(v);
    return rc;
}

/* ------------------------------------------------------------------------------------- checking */

static void check_run(const struct vv_order *order, const struct vv_run *run)
{
    for (size_t i = 1; i < run->count; i++)
        vv_assert(
            vv_table_ends_before(order, run->tables[i - 1], vv_table_smallest(run->tables[i])));
}

/* Of each table of level 0, the tables of older runs that it overlaps are older throughout, and the
 * run below it has one of them. */
static void check_ages(const struct vv_version *v)
{
    for (size_t i = 0; i < v->l0_count; i++) {
        for (size_t k = 0; k < v->l0[i].count; k++) {
            const struct vv_table_meta *table = v->l0[i].tables[k];
            for (size_t below = i + 1; below < v->l0_count; below++) {
                struct vv_run_range range = vv_run_overlap_table(v->order, &v->l0[below], table);
                vv_assert(range.count > 0 || below > i + 1);
                for (size_t n = 0; n < range.count; n++)
                    vv_assert(v->l0[below].tables[range.first + n]->facts.max_seq <
                              table->facts.min_seq);
            }
        }
    }
}

static bool of_one_key(const struct vv_order *order, const struct vv_table_meta *table)
{
    return vv_order_cmp(order, vv_table_smallest(table), vv_table_largest(table)) == 0;
}

/* Which entries a table has is not known here, unless they all are versions of one key: tables of
 * the same key in two levels must not overlap in time. */
static void check_depths(const struct vv_version *v)
{
    for (int upper = 0; upper < VV_LEVELS; upper++) {
        for (size_t i = 0; i < v->levels[upper].count; i++) {
            const struct vv_table_meta *table = v->levels[upper].tables[i];
            if (!of_one_key(v->order, table))
                continue;
            for (int lower = upper + 1; lower < VV_LEVELS; lower++) {
                const struct vv_run *run = &v->levels[lower];
                size_t at = vv_run_find(v->order, run, vv_table_smallest(table));
                if (at < run->count && of_one_key(v->order, run->tables[at]) &&
                    vv_order_cmp(v->order, vv_table_smallest(run->tables[at]),
                                 vv_table_smallest(table)) == 0)
                    vv_assert(run->tables[at]->facts.max_seq < table->facts.min_seq);
            }
        }
    }
}

static void check_sums(const struct vv_run *run)
{
    uint64_t bytes = 0;
    uint64_t ranges = 0;
    for (size_t i = 0; i < run->count; i++) {
        vv_assert(atomic_load(&run->tables[i]->refs) > 0);
        bytes += run->tables[i]->facts.size_bytes;
        ranges += run->tables[i]->facts.ranges;
    }
    vv_assert(bytes == run->bytes);
    vv_assert(ranges == run->ranges);
}

static void check_live(const struct vv_version *v, const struct vv_value_route *route)
{
    uint64_t bytes = 0;
    for (int level = 0; level < VV_LEVELS; level++) {
        for (size_t i = 0; i < v->levels[level].count; i++) {
            const struct vv_table_facts *facts = &v->levels[level].tables[i]->facts;
            for (size_t k = 0; k < facts->ref_count; k++)
                bytes += facts->refs[k].file == route->number ? facts->refs[k].bytes : 0;
        }
    }
    vv_assert(bytes == route->live_bytes);
}

void vv_version_check(const struct vv_version *v)
{
    size_t l0_tables = 0;
    vv_assert(atomic_load(&v->refs) > 0);
    for (size_t i = 0; i < v->l0_count; i++)
        check_run(v->order, &v->l0[i]);
    for (int level = 1; level < VV_LEVELS; level++)
        check_run(v->order, &v->levels[level]);
    for (size_t i = 1; i < v->levels[0].count; i++)
        vv_assert(vv_table_older(v->levels[0].tables[i - 1], v->levels[0].tables[i]));
    check_ages(v);
    check_depths(v);
    for (int level = 0; level < VV_LEVELS; level++)
        check_sums(&v->levels[level]);
    for (size_t i = 0; i < v->l0_count; i++) {
        check_sums(&v->l0[i]);
        vv_assert(v->l0[i].count > 0);
        l0_tables += v->l0[i].count;
    }
    vv_assert(l0_tables == v->levels[0].count);
    for (size_t i = 1; i < v->value_count; i++)
        vv_assert(v->values[i - 1]->number < v->values[i]->number);
    for (size_t i = 1; i < v->route_count; i++)
        vv_assert(v->routes[i - 1].number < v->routes[i].number);
    for (size_t i = 0; i < v->route_count; i++)
        check_live(v, &v->routes[i]);
}
