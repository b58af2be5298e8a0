#include "lsm/pick.h"

#include "fake_tree.h"

static const struct vv_order bytewise = {0};

static enum tree_pattern some_pattern(struct tree *t)
{
    return (enum tree_pattern)vv_rng_below(&t->rng, TREE_PATTERNS);
}

static void flush_something(struct tree *t)
{
    tree_flush(t, some_pattern(t), (uint32_t)vv_rng_below(&t->rng, TREE_KEYS),
               1 + (uint32_t)vv_rng_below(&t->rng, 60), vv_rng_below(&t->rng, 12));
}

/* ------------------------------------------------------------------------------------- targets */

/* A tree with these bytes in its levels, one table each. */
static struct tree *tree_of(const uint64_t bytes[VV_LEVELS])
{
    struct tree *t = tree_new(&bytewise, test_seed());
    struct tree_adds adds = {0};
    for (int level = 0; level < VV_LEVELS; level++) {
        if (bytes[level] == 0)
            continue;
        struct tree_entry entry = {1, 1 + (uint32_t)(VV_LEVELS - level), 10, false};
        entry.seq = entry.id;
        t->entry_bytes = (uint32_t)bytes[level];
        tree_cut(t, level, &entry, 1, 1, &adds);
    }
    tree_apply(t, &adds, NULL, 0);
    tree_adds_deinit(&adds);
    return t;
}

TEST(levels_appear_from_the_last_one_up_as_the_tree_grows)
{
    static const struct {
        uint64_t last_bytes;
        int base;
    } cases[] = {{0, 6}, {4000, 6}, {16003, 6}, {16004, 5}, {64015, 5}, {64016, 4}, {1000000, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes[VV_LEVELS] = {0};
        bytes[6] = cases[i].last_bytes;
        struct tree *t = tree_of(bytes);
        struct vv_targets targets = vv_pick_targets(t->v, &t->shape);
        CHECK_EQ_INT(targets.base, cases[i].base);
        for (int level = 1; level < 6; level++) {
            CHECK((targets.bytes[level] > 0) == (level >= targets.base));
            if (level >= targets.base)
                CHECK_EQ_U64(targets.bytes[level], targets.bytes[level + 1] / t->shape.ratio);
        }
        CHECK(targets.bytes[targets.base] >= t->shape.base_bytes);
        tree_free(t);
    }
}

TEST(data_above_the_base_level_is_not_jumped_over_but_drained)
{
    uint64_t bytes[VV_LEVELS] = {100, 0, 0, 200, 0, 0, 4000};
    struct tree *t = tree_of(bytes);
    CHECK_EQ_INT(vv_pick_targets(t->v, &t->shape).base, 3);
    CHECK_EQ_U64(vv_pick_targets(t->v, &t->shape).bytes[3], 0);
    struct vv_plan plan;
    CHECK_OK(vv_pick(t->v, &t->shape, false, &plan));
    CHECK_EQ_INT(plan.reason, VV_PLAN_SIZE);
    CHECK_EQ_INT(plan.from, 3);
    CHECK_EQ_INT(plan.to, 6);
    CHECK_EQ_U64(plan.input_count[1], 1);
    CHECK(plan.last && !plan.trivial);
    vv_plan_deinit(&plan);
    vv_plan_deinit(&plan);
    tree_free(t);
}

/* --------------------------------------------------------------------------------------- running */

TEST(every_job_keeps_the_order_of_versions_and_picking_comes_to_rest)
{
    for (uint64_t seed = 0; seed < (test_soak() ? 500 : 25); seed++) {
        struct tree *t = tree_new(&bytewise, test_seed() + seed);
        for (int round = 0; round < 60; round++) {
            flush_something(t);
            tree_settle(t, TREE_BUSY);
            if (round % 10 == 0)
                tree_check(t);
            CHECK(t->v->l0_count < t->shape.l0_runs);
            struct vv_targets targets = vv_pick_targets(t->v, &t->shape);
            for (int level = 1; level < VV_LEVELS - 1; level++)
                CHECK(t->v->levels[level].bytes <= targets.bytes[level]);
            CHECK_EQ_U64(vv_pick_debt(t->v, &t->shape), 0);
        }
        tree_check(t);
        tree_free(t);
    }
}

static void vary_shape(struct tree *t)
{
    t->shape.base_bytes = 2000 + vv_rng_below(&t->rng, 4000);
    t->shape.ratio = 3 + (uint32_t)vv_rng_below(&t->rng, 4);
    t->shape.table_bytes = 500 + vv_rng_below(&t->rng, 3000);
    t->shape.l0_runs = 2 + (uint32_t)vv_rng_below(&t->rng, 4);
}

static bool overlapping(const struct tree *t, const struct vv_table_meta *a,
                        const struct vv_table_meta *b)
{
    return vv_order_cmp(t->v->order, vv_table_smallest(a), vv_table_largest(b)) <= 0 &&
           vv_order_cmp(t->v->order, vv_table_smallest(b), vv_table_largest(a)) <= 0;
}

/* One flush, or one job that begins or ends. Gives 1 when a job begins beside a running one. */
static uint64_t step_side_by_side(struct tree *t)
{
    uint64_t running = 0;
    uint64_t dice = vv_rng_below(&t->rng, 20);
    int job = (int)vv_rng_below(&t->rng, TREE_JOBS);
    for (int i = 0; i < TREE_JOBS; i++)
        running += t->jobs[i].reason != VV_PLAN_NONE ? 1 : 0;
    if (dice < 5)
        flush_something(t);
    else if (dice < 15 && running < TREE_JOBS)
        return tree_begin(t, dice == 14 ? TREE_IDLE : TREE_BUSY) && running > 0 ? 1 : 0;
    else if (t->jobs[job].reason != VV_PLAN_NONE)
        tree_finish(t, job);
    return 0;
}

/* Jobs begin and end in any order, with flushes between. tree_apply fails where outputs of two jobs
 * overlap, tree_check where older versions come to lie above newer ones. */
TEST(jobs_that_run_side_by_side_do_not_disturb_each_other)
{
    uint64_t together = 0;
    for (uint64_t seed = 0; seed < (test_soak() ? 2000 : 40); seed++) {
        struct tree *t = tree_new(&bytewise, test_seed() + seed);
        tree_flush(t, TREE_ASCENDING, 0, TREE_KEYS, 0);
        tree_settle(t, TREE_BUSY);
        vary_shape(t);
        for (int step = 0; step < 800; step++) {
            together += step_side_by_side(t);
            if (step % 100 == 0)
                tree_check(t);
        }
        for (int i = 0; i < TREE_JOBS; i++) {
            if (t->jobs[i].reason != VV_PLAN_NONE)
                tree_finish(t, i);
        }
        tree_settle(t, TREE_BUSY);
        tree_check(t);
        tree_free(t);
    }
    CHECK(together > 1000);
}

/* Tables with their bounds given, claimed by `job` unless that is 0. */
static void put_table(struct tree *t, int level, uint32_t low, uint32_t high, bool tombstones,
                      uint32_t job)
{
    struct tree_adds adds = {0};
    uint32_t id = (uint32_t)++t->seq;
    struct tree_entry entries[2] = {{low, id, id, tombstones}, {high, id, id, tombstones}};
    tree_cut(t, level, entries, 2, UINT64_MAX / 2, &adds);
    adds.at[0].table->job = job;
    tree_apply(t, &adds, NULL, 0);
    tree_adds_deinit(&adds);
}

/* Of tables with tombstones, which are merged even where they overlap nothing below, those on both
 * sides of a table on its way down must not become one. */
TEST(no_output_spans_the_keys_of_a_job_that_ends_in_the_same_level)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    t->shape.l0_runs = 1;
    put_table(t, 0, 10, 20, true, 0);
    put_table(t, 0, 30, 40, false, 7);
    put_table(t, 0, 50, 60, true, 0);
    CHECK(tree_begin(t, TREE_BUSY));
    CHECK(!t->jobs[0].trivial);
    CHECK_EQ_U64(t->jobs[0].input_count[0], 1);
    CHECK(tree_begin(t, TREE_BUSY));
    CHECK_EQ_U64(t->jobs[1].input_count[0], 1);
    CHECK(!overlapping(t, t->jobs[0].inputs[0][0], t->jobs[1].inputs[0][0]));
    CHECK(!tree_begin(t, TREE_BUSY));
    tree_free(t);
}

/* The job may be about to write older versions into a level that the plan would jump over. */
TEST(nobody_jumps_over_a_job_whose_end_is_not_known)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    put_table(t, 6, 0, 100, false, 0);
    put_table(t, 0, 30, 40, false, 7);
    put_table(t, 3, 10, 60, false, 0);
    CHECK(!tree_begin(t, TREE_BUSY));
    put_table(t, 3, 70, 80, false, 0);
    CHECK(tree_begin(t, TREE_IDLE) == false);
    t->v->levels[0].tables[0]->job = 0;
    CHECK(tree_begin(t, TREE_BUSY));
    tree_free(t);
}

TEST(nobody_merges_with_a_table_that_is_claimed)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    put_table(t, 6, 0, 1000, false, 0);
    put_table(t, 5, 10, 20, false, 9); /* 5 to 6 … */
    t->v->levels[6].tables[0]->job = 9;
    put_table(t, 3, 10, 20, false, 0);
    put_table(t, 3, 30, 40, false, 0);
    CHECK(tree_begin(t, TREE_BUSY));
    CHECK_EQ_U64(t->jobs[0].input_count[0], 1);
    CHECK_SLICE(vv_table_smallest(t->jobs[0].inputs[0][0]), "\0\0\0\x1e");
    CHECK(!tree_begin(t, TREE_BUSY));
    tree_free(t);
}

TEST(an_ascending_load_is_moved_and_never_merged)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    for (uint32_t start = 0; start + 30 <= TREE_KEYS; start += 30) {
        tree_flush(t, TREE_ASCENDING, start, 30, 0);
        tree_settle(t, TREE_BUSY);
    }
    CHECK_EQ_U64(t->merged_bytes, 0);
    CHECK(t->v->levels[6].bytes > 100 * 1000);
    tree_check(t);
    tree_free(t);
}

TEST(random_writes_are_rewritten_a_few_times_only)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    for (int round = 0; round < 400; round++) {
        tree_flush(t, TREE_UNIFORM, 0, 60, 0);
        tree_settle(t, TREE_BUSY);
    }
    /* Three levels of ratio 4 below level 0; each costs about half its ratio and one. */
    CHECK((double)t->merged_bytes / (double)t->flushed_bytes < 12);
    tree_free(t);
}

TEST(an_idle_tree_keeps_a_twentieth_above_its_last_level)
{
    for (uint64_t seed = 0; seed < (test_soak() ? 200 : 20); seed++) {
        struct tree *t = tree_new(&bytewise, test_seed() + seed);
        for (int round = 0; round < 40; round++) {
            flush_something(t);
            if (round % 7 == 0)
                tree_settle(t, TREE_BUSY);
        }
        tree_settle(t, TREE_IDLE);
        uint64_t upper = 0;
        for (int level = 0; level < VV_LEVELS - 1; level++)
            upper += t->v->levels[level].bytes;
        CHECK(upper <= t->v->levels[VV_LEVELS - 1].bytes / 20);
        tree_check(t);
        tree_free(t);
    }
}

TEST(what_was_deleted_leaves_no_trace_once_all_is_idle)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    tree_flush(t, TREE_ASCENDING, 0, TREE_KEYS, 0);
    tree_settle(t, TREE_IDLE);
    for (uint32_t start = 0; start < TREE_KEYS; start += 500)
        tree_flush(t, TREE_ASCENDING, start, 500, 1);
    tree_settle(t, TREE_IDLE);
    CHECK_EQ_INT(vv_version_last_level(t->v), -1);
    tree_free(t);
}

/* ---------------------------------------------------------------------------------------- bounds */

TEST(one_job_is_bounded_however_large_the_level_is)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    uint64_t largest = 0;
    t->shape.ratio = 10;
    for (int round = 0; round < 300; round++) {
        tree_flush(t, TREE_UNIFORM, 0, 10, 0);
        while (tree_begin(t, TREE_BUSY)) {
            if (t->jobs[0].from > 0 && t->jobs[0].input_bytes > largest)
                largest = t->jobs[0].input_bytes;
            tree_finish(t, 0);
        }
    }
    CHECK(largest > 0);
    CHECK(largest <= 4 * 25 * t->shape.table_bytes);
    tree_free(t);
}

TEST(more_data_never_means_less_debt)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct tree *t = tree_new(&bytewise, test_seed() + seed);
        uint64_t debt = 0;
        for (int round = 0; round < 60; round++) {
            flush_something(t);
            uint64_t now = vv_pick_debt(t->v, &t->shape);
            CHECK(now >= debt);
            debt = now;
            if (vv_rng_one_in(&t->rng, 9)) {
                tree_settle(t, TREE_BUSY);
                debt = vv_pick_debt(t->v, &t->shape);
                CHECK_EQ_U64(debt, 0);
            }
        }
        tree_free(t);
    }
}

/* Paying a debt costs about what was said. */
TEST(debt_is_of_the_size_of_the_work_to_come)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    tree_flush(t, TREE_ASCENDING, 0, TREE_KEYS, 0);
    tree_settle(t, TREE_IDLE);
    for (int round = 0; round < 30; round++)
        tree_flush(t, TREE_UNIFORM, 0, 60, 0);
    uint64_t debt = vv_pick_debt(t->v, &t->shape);
    uint64_t before = t->merged_bytes;
    tree_settle(t, TREE_BUSY);
    uint64_t paid = t->merged_bytes - before;
    CHECK(debt > paid / 3);
    CHECK(debt < paid * 3);
    tree_free(t);
}

TEST(flushes_are_cut_where_tables_of_the_base_level_end)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    struct vv_buf splits = VV_BUF_INIT;
    CHECK_OK(vv_pick_flush_splits(t->v, &t->shape, &splits));
    CHECK_EQ_U64(splits.size, 0);
    tree_flush(t, TREE_ASCENDING, 0, 150, 0);
    tree_flush(t, TREE_ASCENDING, 0, 150, 0);
    tree_settle(t, TREE_IDLE);
    CHECK(t->v->levels[6].count > 8);
    CHECK_OK(vv_pick_flush_splits(t->v, &t->shape, &splits));
    const vv_slice *split = (const vv_slice *)(const void *)splits.data;
    size_t count = splits.size / sizeof *split;
    CHECK(count >= 2);
    for (size_t i = 0; i < count; i++) {
        size_t at = vv_run_find(&bytewise, &t->v->levels[6], split[i]);
        CHECK(vv_slice_equal(vv_table_largest(t->v->levels[6].tables[at]), split[i]));
        CHECK(at + 1 < t->v->levels[6].count);
        if (i > 0)
            CHECK(vv_slice_cmp(split[i - 1], split[i]) < 0);
    }
    vv_buf_deinit(&splits);
    tree_free(t);
}

/* --------------------------------------------------------------------------------------- ranges */

static vv_slice bound(uint32_t key, uint8_t raw[TREE_KEY_SIZE])
{
    tree_key(key, raw);
    return vv_slice_of(raw, TREE_KEY_SIZE);
}

static bool begin_range(struct tree *t, vv_slice from, vv_slice to, uint64_t before, bool *blocked)
{
    int job = tree_free_job(t);
    CHECK(job >= 0);
    struct vv_pick_request request = {from, to, before, VV_SEQ_MAX};
    CHECK_OK(vv_pick_range(t->v, &t->shape, &request, &t->jobs[job], blocked));
    if (t->jobs[job].reason == VV_PLAN_NONE)
        return false;
    CHECK_EQ_INT(t->jobs[job].reason, VV_PLAN_MANUAL);
    CHECK(!*blocked);
    tree_check_plan(t, &t->jobs[job]);
    tree_claim(t, job);
    return true;
}

/* Of each key of the range there is one version, in the last level, and no tombstone. */
static void check_compact(const struct tree *t, uint32_t from, uint32_t to)
{
    uint8_t low[TREE_KEY_SIZE], high[TREE_KEY_SIZE];
    for (int level = 0; level < VV_LEVELS - 1; level++) {
        const struct vv_run *run = &t->v->levels[level];
        for (size_t i = 0; i < run->count; i++)
            CHECK(vv_slice_cmp(vv_table_largest(run->tables[i]), bound(from, low)) < 0 ||
                  vv_slice_cmp(vv_table_smallest(run->tables[i]), bound(to, high)) > 0);
    }
    const struct vv_run *run = &t->v->levels[VV_LEVELS - 1];
    struct vv_run_range range = vv_run_overlap(&bytewise, run, bound(from, low), bound(to, high));
    for (size_t i = 0; i < range.count; i++)
        CHECK_EQ_U64(run->tables[range.first + i]->facts.tombstones, 0);
}

TEST(a_range_is_compacted_down_to_the_last_level_and_then_is_clean)
{
    for (uint64_t seed = 0; seed < (test_soak() ? 300 : 30); seed++) {
        struct tree *t = tree_new(&bytewise, test_seed() + seed);
        uint8_t low[TREE_KEY_SIZE], high[TREE_KEY_SIZE];
        for (int round = 0; round < 30; round++) {
            flush_something(t);
            if (round % 5 == 0)
                tree_settle(t, TREE_BUSY);
        }
        uint32_t from = (uint32_t)vv_rng_below(&t->rng, TREE_KEYS);
        uint32_t to = from + (uint32_t)vv_rng_below(&t->rng, TREE_KEYS - from);
        uint64_t before = t->next_file;
        bool blocked = false;
        int rounds = 0;
        while (begin_range(t, bound(from, low), bound(to, high), before, &blocked)) {
            CHECK(rounds++ < 2000);
            tree_finish(t, 0);
        }
        CHECK(!blocked);
        check_compact(t, from, to);
        tree_check(t);
        while (begin_range(t, VV_SLICE_EMPTY, VV_SLICE_EMPTY, t->next_file, &blocked) &&
               rounds++ < 4000)
            tree_finish(t, 0);
        check_compact(t, 0, TREE_KEYS - 1);
        tree_check(t);
        tree_free(t);
    }
}

TEST(a_range_waits_for_the_jobs_that_are_in_its_way)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    bool blocked = false;
    tree_flush(t, TREE_ASCENDING, 0, 100, 0);
    tree_flush(t, TREE_ASCENDING, 50, 100, 0);
    CHECK(begin_range(t, VV_SLICE_EMPTY, VV_SLICE_EMPTY, t->next_file, &blocked));
    int rounds = 0;
    while (begin_range(t, VV_SLICE_EMPTY, VV_SLICE_EMPTY, t->next_file, &blocked))
        CHECK(rounds++ < TREE_JOBS - 1);
    CHECK(blocked);
    for (int i = 0; i < TREE_JOBS; i++) {
        if (t->jobs[i].reason != VV_PLAN_NONE)
            tree_finish(t, i);
    }
    tree_check(t);
    tree_free(t);
}

TEST(picking_without_memory_picks_nothing)
{
    struct tree *t = tree_new(&bytewise, test_seed());
    for (int round = 0; round < 8; round++)
        tree_flush(t, TREE_UNIFORM, 0, 60, 5);
    tree_settle(t, TREE_BUSY);
    for (int round = 0; round < 4; round++)
        tree_flush(t, TREE_UNIFORM, 0, 60, 5);
    int rc = VV_NOMEM;
    for (uint64_t n = 1; rc == VV_NOMEM; n++) {
        struct vv_plan plan = {.reason = VV_PLAN_NONE};
        vv_alloc_fail_at(n);
        rc = vv_pick(t->v, &t->shape, false, &plan);
        vv_alloc_fail_at(0);
        CHECK_EQ_INT(plan.reason, rc == VV_OK ? VV_PLAN_L0 : VV_PLAN_NONE);
        CHECK(rc == VV_OK || plan.inputs[0] == NULL);
        vv_plan_deinit(&plan);
    }
    CHECK_OK(rc);
    tree_free(t);
}
