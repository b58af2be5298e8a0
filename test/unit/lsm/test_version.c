#include "lsm/version.h"

#include "base/error.h"
#include "base/rng.h"
#include "fake_table.h"
#include "lsm/values.h"

#include <stdio.h>

enum { TABLES_MAX = 64, TEXT_MAX = 32 };

static int reversed(void *context, vv_slice a, vv_slice b)
{
    (void)context;
    return vv_slice_cmp(b, a);
}

static const struct vv_order bytewise = {0};
static const struct vv_order backwards = {.compare = reversed, .name = "reversed"};

/* A table of keys [smallest, largest] with the sequences [seq, seq + 9]. */
static struct vv_table_meta *table(uint64_t number, const char *smallest, const char *largest,
                                   vv_seq seq)
{
    return fake_table_new(&(struct fake_table){.number = number,
                                               .smallest = vv_slice_str(smallest),
                                               .largest = vv_slice_str(largest),
                                               .min_seq = seq,
                                               .max_seq = seq + 9,
                                               .size_bytes = 100,
                                               .entries = 10});
}

static struct vv_version *empty_version(const struct vv_order *order)
{
    struct vv_version *v = NULL;
    CHECK_OK(vv_version_new(order, &v));
    vv_version_check(v);
    return v;
}

/* Replaces *v by what the change makes of it; on failure leaves it alone. */
static int change(struct vv_version **v, const struct vv_version_change *what)
{
    struct vv_version *next = NULL;
    int rc = vv_version_apply(*v, what, &next);
    if (rc != VV_OK) {
        CHECK(next == NULL);
        return rc;
    }
    vv_version_check(next);
    vv_version_unref(*v);
    *v = next;
    return VV_OK;
}

/* Adds a table whose reference is ours, and gives that back. */
static int add(struct vv_version **v, int level, struct vv_table_meta *meta)
{
    struct vv_table_add one = {level, meta};
    int rc = change(v, &(struct vv_version_change){.adds = &one, .add_count = 1});
    vv_table_meta_unref(meta);
    return rc;
}

static int take(struct vv_version **v, uint64_t number)
{
    return change(v, &(struct vv_version_change){.removes = &number, .remove_count = 1});
}

TEST(a_version_is_left_alone_by_the_change_that_makes_the_next)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_EQ_INT(vv_version_last_level(v), -1);
    CHECK_OK(add(&v, 2, table(1, "a", "c", 1)));
    struct vv_version *old = v;
    vv_version_ref(old);
    CHECK_OK(add(&v, 2, table(2, "d", "f", 1)));
    CHECK_OK(take(&v, 1));
    CHECK_EQ_U64(old->levels[2].count, 1);
    CHECK_EQ_U64(old->levels[2].tables[0]->number, 1);
    CHECK_EQ_U64(v->levels[2].count, 1);
    CHECK_EQ_U64(v->levels[2].tables[0]->number, 2);
    CHECK_EQ_U64(v->levels[2].bytes, 100);
    CHECK_EQ_INT(vv_version_last_level(v), 2);
    vv_version_check(old);
    vv_version_unref(old);
    vv_version_unref(v);
    vv_version_unref(NULL);
    vv_table_meta_unref(NULL);
}

TEST(a_table_moves_by_being_removed_and_added_in_one_change)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_OK(add(&v, 1, table(7, "a", "c", 1)));
    struct vv_table_add down = {2, v->levels[1].tables[0]};
    uint64_t number = 7;
    CHECK_OK(change(&v, &(struct vv_version_change){
                            .adds = &down, .add_count = 1, .removes = &number, .remove_count = 1}));
    CHECK_EQ_U64(v->levels[1].count, 0);
    CHECK_EQ_U64(v->levels[2].count, 1);
    CHECK_EQ_U64(atomic_load(&v->levels[2].tables[0]->refs), 1);
    vv_version_unref(v);
}

TEST(tables_of_a_level_that_share_a_key_are_corruption)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_OK(add(&v, 3, table(1, "b", "d", 1)));
    CHECK_OK(add(&v, 3, table(2, "h", "k", 1)));
    CHECK_RC(add(&v, 3, table(3, "d", "f", 1)), VV_CORRUPT);
    CHECK_RC(add(&v, 3, table(4, "a", "b", 1)), VV_CORRUPT);
    CHECK_RC(add(&v, 3, table(5, "c", "c", 1)), VV_CORRUPT);
    CHECK_RC(add(&v, 3, table(6, "a", "z", 1)), VV_CORRUPT);
    CHECK_RC(add(&v, 3, table(7, "g", "e", 1)), VV_CORRUPT);
    CHECK_OK(add(&v, 3, table(8, "da", "g", 1)));
    CHECK_EQ_U64(v->levels[3].count, 3);
    CHECK_EQ_U64(v->levels[3].tables[1]->number, 8);
    vv_version_unref(v);
}

TEST(numbers_that_are_not_there_or_there_twice_are_corruption)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_OK(add(&v, 1, table(1, "a", "b", 1)));
    CHECK_RC(take(&v, 2), VV_CORRUPT);
    CHECK_RC(add(&v, 2, table(1, "x", "y", 1)), VV_CORRUPT);
    CHECK_RC(add(&v, VV_LEVELS, table(3, "x", "y", 1)), VV_CORRUPT);
    CHECK_RC(add(&v, -1, table(4, "x", "y", 1)), VV_CORRUPT);
    uint64_t twice[2] = {1, 1};
    CHECK_RC(change(&v, &(struct vv_version_change){.removes = twice, .remove_count = 2}),
             VV_CORRUPT);
    CHECK_RC(
        change(&v, &(struct vv_version_change){.value_removes = twice, .value_remove_count = 1}),
        VV_CORRUPT);
    CHECK_OK(take(&v, 1));
    vv_version_unref(v);
}

TEST(level_0_is_stacked_by_age_and_overlap)
{
    struct vv_version *v = empty_version(&bytewise);
    /* Not in the order of their ages, as recovery may find them. */
    CHECK_OK(add(&v, 0, table(5, "c", "g", 50)));
    CHECK_OK(add(&v, 0, table(1, "a", "d", 10)));
    CHECK_OK(add(&v, 0, table(2, "f", "k", 20)));
    CHECK_OK(add(&v, 0, table(3, "m", "p", 30)));
    CHECK_OK(add(&v, 0, table(4, "d", "d", 40)));
    for (size_t i = 0; i < 5; i++)
        CHECK_EQ_U64(v->levels[0].tables[i]->number, i + 1);
    CHECK_EQ_U64(v->l0_count, 3);
    CHECK_EQ_U64(v->l0[0].count, 1); /* 5 over 4 over 1 */
    CHECK_EQ_U64(v->l0[0].tables[0]->number, 5);
    CHECK_EQ_U64(v->l0[1].count, 1);
    CHECK_EQ_U64(v->l0[1].tables[0]->number, 4);
    CHECK_EQ_U64(v->l0[2].count, 3);
    CHECK_OK(take(&v, 4));
    CHECK_EQ_U64(v->l0_count, 2);
    vv_version_unref(v);
}

TEST(among_tables_of_one_age_the_higher_number_is_newer)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_OK(add(&v, 0, table(9, "a", "b", 1)));
    CHECK_OK(add(&v, 0, table(8, "c", "d", 1)));
    CHECK_EQ_U64(v->levels[0].tables[0]->number, 8);
    vv_version_unref(v);
}

/* ------------------------------------------------------------------------------------- finding */

struct bounds {
    char text[2 * TABLES_MAX][TEXT_MAX];
    size_t count; /* of tables */
};

/* Ascending keys, some with a long common prefix, some that differ by a trailing zero byte only. */
static void random_bounds(struct vv_rng *rng, struct bounds *b)
{
    const char *prefix = vv_rng_one_in(rng, 2) ? "a/common/prefix/" : "";
    uint64_t number = vv_rng_below(rng, 3);
    b->count = vv_rng_below(rng, TABLES_MAX);
    uint64_t step = vv_rng_one_in(rng, 2) ? 3 : 1000;
    for (size_t i = 0; i < 2 * b->count; i++) {
        number += 1 + vv_rng_below(rng, step);
        (void)snprintf(b->text[i], TEXT_MAX, "%s%08llu", prefix, (unsigned long long)number);
    }
}

static struct vv_version *version_of(const struct vv_order *order, const struct bounds *b)
{
    struct vv_version *v = empty_version(order);
    for (size_t i = 0; i < b->count; i++) {
        bool up = vv_order_bytewise(order);
        CHECK_OK(add(
            &v, 4, table(i + 1, b->text[2 * i + (up ? 0 : 1)], b->text[2 * i + (up ? 1 : 0)], 1)));
    }
    return v;
}

static size_t find_slowly(const struct vv_order *order, const struct vv_run *run, vv_slice key)
{
    size_t i = 0;
    while (i < run->count && vv_order_cmp(order, vv_table_largest(run->tables[i]), key) < 0)
        i++;
    return i;
}

static vv_slice random_key(struct vv_rng *rng, const struct bounds *b, char text[TEXT_MAX])
{
    size_t size = 0;
    if (b->count > 0 && !vv_rng_one_in(rng, 8)) {
        const char *from = b->text[vv_rng_below(rng, 2 * b->count)];
        size = strlen(from);
        memcpy(text, from, size);
        if (vv_rng_one_in(rng, 4))
            size = vv_rng_below(rng, size + 1);
        else if (size > 0 && vv_rng_one_in(rng, 2))
            text[vv_rng_below(rng, size)] += (char)(vv_rng_below(rng, 3) - 1);
        if (vv_rng_one_in(rng, 4))
            text[size++] = '\0';
    }
    return vv_slice_of(text, size);
}

TEST(finding_in_a_run_is_as_if_every_table_were_looked_at)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct bounds *b = vv_alloc_zero(sizeof *b);
    CHECK(b != NULL);
    for (int round = 0; round < 200; round++) {
        const struct vv_order *order = round % 3 == 0 ? &backwards : &bytewise;
        random_bounds(&rng, b);
        struct vv_version *v = version_of(order, b);
        const struct vv_run *run = &v->levels[4];
        struct vv_run by_hand = {.tables = run->tables, .count = run->count};
        CHECK((run->fence != NULL) == (vv_order_bytewise(order) && run->count > 0));
        for (int probe = 0; probe < 200; probe++) {
            char from_text[TEXT_MAX], to_text[TEXT_MAX];
            vv_slice from = random_key(&rng, b, from_text);
            vv_slice to = random_key(&rng, b, to_text);
            size_t at = find_slowly(order, run, from);
            CHECK_EQ_U64(vv_run_find(order, run, from), at);
            CHECK_EQ_U64(vv_run_find(order, &by_hand, from), at);
            if (vv_order_cmp(order, from, to) > 0)
                continue;
            struct vv_run_range range = vv_run_overlap(order, run, from, to);
            size_t count = 0;
            for (size_t i = at; i < run->count; i++)
                count += vv_order_cmp(order, vv_table_smallest(run->tables[i]), to) <= 0 ? 1 : 0;
            CHECK_EQ_U64(range.first, at);
            CHECK_EQ_U64(range.count, count);
        }
        struct vv_run_range all = vv_run_overlap(order, run, VV_SLICE_EMPTY, VV_SLICE_EMPTY);
        CHECK_EQ_U64(all.first, 0);
        CHECK_EQ_U64(all.count, run->count);
        vv_version_unref(v);
    }
    vv_free(b);
}

TEST(the_empty_key_is_a_bound_like_any_other)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_OK(add(&v, 1, table(1, "", "", 1)));
    CHECK_OK(add(&v, 1, table(2, "a", "b", 1)));
    const struct vv_run *run = &v->levels[1];
    struct vv_run_range range = vv_run_overlap(&bytewise, run, vv_table_smallest(run->tables[0]),
                                               vv_table_largest(run->tables[0]));
    CHECK_EQ_U64(range.first, 0);
    CHECK_EQ_U64(range.count, 1);
    CHECK_EQ_U64(vv_run_find(&bytewise, run, vv_slice_str("")), 0);
    vv_version_unref(v);
}

/* --------------------------------------------------------------------------------- value files */

static struct vv_value_file *value_file(uint64_t number, const uint64_t *serves, size_t count)
{
    struct vv_value_file *file = vv_alloc_zero(sizeof *file);
    CHECK(file != NULL);
    atomic_store(&file->refs, 1);
    file->number = number;
    if (count > 0) {
        file->serves = vv_memdup(serves, count * sizeof *serves);
        CHECK(file->serves != NULL);
        file->serve_count = count;
    }
    return file;
}

/* The version holds the last reference but for ours, which we give back without dropping. */
static void value_file_free(struct vv_value_file *file)
{
    CHECK_EQ_U64(atomic_load(&file->refs), 1);
    vv_free(file->serves);
    vv_free(file);
}

static uint64_t route(const struct vv_version *v, uint64_t number)
{
    const struct vv_value_file *file = vv_version_value_file(v, number);
    return file != NULL ? file->number : 0;
}

TEST(references_follow_a_value_file_to_the_one_that_replaced_it)
{
    struct vv_version *v = empty_version(&bytewise);
    uint64_t old[2] = {3, 5};
    struct vv_value_file *files[4] = {value_file(5, NULL, 0), value_file(3, &old[0], 1),
                                      value_file(9, old, 2), value_file(5, NULL, 0)};
    CHECK_OK(change(&v, &(struct vv_version_change){.value_adds = files, .value_add_count = 2}));
    CHECK_EQ_U64(v->values[0]->number, 3);
    CHECK_EQ_U64(route(v, 3), 3);
    CHECK_EQ_U64(route(v, 5), 5);
    CHECK_EQ_U64(route(v, 4), 0);
    /* Two that serve the same references: the change is refused as a whole. */
    CHECK_RC(change(&v, &(struct vv_version_change){.value_adds = &files[2], .value_add_count = 1}),
             VV_CORRUPT);
    CHECK_OK(
        change(&v, &(struct vv_version_change){.value_adds = &files[3], .value_add_count = 1}));
    CHECK_EQ_U64(v->value_count, 2);
    CHECK(vv_version_value_file(v, 5) == files[3]);
    CHECK_OK(change(&v, &(struct vv_version_change){.value_adds = &files[2],
                                                    .value_add_count = 1,
                                                    .value_removes = old,
                                                    .value_remove_count = 2}));
    CHECK_EQ_U64(route(v, 3), 9);
    CHECK_EQ_U64(route(v, 5), 9);
    CHECK_EQ_U64(route(v, 9), 0);
    vv_version_unref(v);
    for (size_t i = 0; i < 4; i++)
        value_file_free(files[i]);
}

/* -------------------------------------------------------------------------------------- memory */

TEST(a_change_that_finds_no_memory_leaves_nothing_behind)
{
    struct vv_version *v = empty_version(&bytewise);
    CHECK_OK(add(&v, 0, table(1, "a", "k", 10)));
    CHECK_OK(add(&v, 1, table(2, "b", "d", 1)));
    struct vv_table_meta *newer = table(3, "c", "f", 30);
    struct vv_table_meta *deep = table(4, "e", "g", 1);
    struct vv_table_add adds[2] = {{0, newer}, {1, deep}};
    uint64_t gone = 2;
    struct vv_version_change what = {
        .adds = adds, .add_count = 2, .removes = &gone, .remove_count = 1};
    int rc = VV_NOMEM;
    uint64_t failed = 0;
    for (uint64_t n = 1; rc == VV_NOMEM; n++) {
        struct vv_version *next = NULL;
        vv_alloc_fail_at(n);
        rc = vv_version_apply(v, &what, &next);
        vv_alloc_fail_at(0);
        failed += rc == VV_NOMEM ? 1 : 0;
        vv_version_unref(next);
        CHECK_EQ_U64(atomic_load(&newer->refs), 1);
        CHECK_EQ_U64(atomic_load(&v->levels[1].tables[0]->refs), 1);
    }
    CHECK_OK(rc);
    CHECK(failed > 8);
    vv_table_meta_unref(newer);
    vv_table_meta_unref(deep);
    vv_version_unref(v);
}
