/*
 * Merging against the sorted array of all entries, over sources that are arrays themselves.
 */
#include "lsm/merge.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"
#include "harness/test.h"

#include <stdio.h>

enum { SOURCES_MAX = 9, ENTRIES_MAX = 400, KEY_MAX = 24 };

struct item {
    uint8_t bytes[KEY_MAX];
    size_t size;
    vv_seq seq;
    size_t source;
};

/* An iterator over an array; it fails on the n-th move from now if `fail_in` is not 0. */
struct array_iter {
    struct vv_iter base;
    const struct vv_order *order;
    const struct item *items;
    size_t count;
    size_t at;
    size_t fail_in;
    size_t *open;
};

struct model {
    const struct vv_order *order;
    struct item all[ENTRIES_MAX];
    size_t count;
    struct item parts[SOURCES_MAX][ENTRIES_MAX];
    size_t part_count[SOURCES_MAX];
    size_t sources;
    size_t open;
    struct array_iter *iters[SOURCES_MAX];
};

static vv_slice key_of(const struct item *item)
{
    return vv_slice_of(item->bytes, item->size);
}

/* ------------------------------------------------------------------------------ array iterator */

static int array_show(struct array_iter *it, size_t at)
{
    it->base.valid = false;
    if (it->fail_in > 0 && --it->fail_in == 0)
        return vv_fail(VV_CORRUPT, "the source is damaged");
    it->at = at;
    it->base.valid = at < it->count;
    if (it->base.valid)
        it->base.at = (struct vv_entry){
            .key = key_of(&it->items[at]), .seq = it->items[at].seq, .kind = VV_KIND_PUT};
    return VV_OK;
}

static int array_first(struct vv_iter *it)
{
    return array_show((struct array_iter *)it, 0);
}

static int array_last(struct vv_iter *it)
{
    struct array_iter *array = (struct array_iter *)it;
    return array_show(array, array->count - 1);
}

static int array_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct array_iter *it = (struct array_iter *)base;
    size_t at = 0;
    while (at < it->count &&
           vv_order_cmp_entry(it->order, key_of(&it->items[at]), it->items[at].seq, key, seq) < 0)
        at++;
    return array_show(it, at);
}

static int array_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct array_iter *it = (struct array_iter *)base;
    size_t at = it->count;
    while (at > 0 && vv_order_cmp(it->order, key_of(&it->items[at - 1]), key) > 0)
        at--;
    return array_show(it, at - 1);
}

static int array_next(struct vv_iter *it)
{
    struct array_iter *array = (struct array_iter *)it;
    return array_show(array, array->at + 1);
}

static int array_prev(struct vv_iter *it)
{
    struct array_iter *array = (struct array_iter *)it;
    return array_show(array, array->at - 1);
}

static void array_close(struct vv_iter *it)
{
    struct array_iter *array = (struct array_iter *)it;
    *array->open -= 1;
    vv_free(array);
}

static const struct vv_iter_ops array_ops = {
    .first = array_first,
    .last = array_last,
    .seek = array_seek,
    .seek_for_prev = array_seek_for_prev,
    .next = array_next,
    .prev = array_prev,
    .close = array_close,
};

/* --------------------------------------------------------------------------------------- model */

static int reversed(void *context, vv_slice a, vv_slice b)
{
    (void)context;
    return vv_slice_cmp(b, a);
}

static const struct vv_order bytewise = {0};
static const struct vv_order backwards = {.compare = reversed, .name = "reversed"};

/* Keys of four tempers: dense decimals behind a long prefix, few keys with many versions, random
 * bytes of any length, and zero bytes, where heads of different keys are equal. */
static void random_key(struct vv_rng *rng, int temper, struct item *item)
{
    char text[KEY_MAX + 1];
    memset(item->bytes, 0, sizeof item->bytes);
    if (temper < 2) {
        uint64_t number = vv_rng_below(rng, temper == 0 ? 2000 : 20);
        snprintf(text, sizeof text, "user%016llu", (unsigned long long)number);
        item->size = strlen(text);
        memcpy(item->bytes, text, item->size);
        return;
    }
    item->size = vv_rng_below(rng, KEY_MAX + 1);
    for (size_t i = 0; i < item->size; i++)
        item->bytes[i] =
            temper == 2 ? (uint8_t)vv_rng_next(rng) : (uint8_t)(vv_rng_one_in(rng, 12) ? 255 : 0);
}

static void model_insert(struct item *items, size_t *count, const struct vv_order *order,
                         const struct item *item)
{
    size_t at = *count;
    while (at > 0 && vv_order_cmp_entry(order, key_of(&items[at - 1]), items[at - 1].seq,
                                        key_of(item), item->seq) > 0)
        at--;
    memmove(items + at + 1, items + at, (*count - at) * sizeof *items);
    items[at] = *item;
    *count += 1;
}

static void model_fill(struct model *m, struct vv_rng *rng)
{
    size_t entries = vv_rng_below(rng, ENTRIES_MAX);
    int temper = (int)vv_rng_below(rng, 4);
    bool stretches = vv_rng_one_in(rng, 2);
    memset(m, 0, sizeof *m);
    m->order = vv_rng_one_in(rng, 4) ? &backwards : &bytewise;
    m->sources = vv_rng_below(rng, SOURCES_MAX + 1);
    for (size_t i = 0; i < entries && m->sources > 0; i++) {
        struct item item;
        random_key(rng, temper, &item);
        item.seq = i + 1;
        item.source = vv_rng_below(rng, m->sources);
        if (stretches)
            item.source = (item.size + item.bytes[item.size / 2] / 8) % m->sources;
        model_insert(m->all, &m->count, m->order, &item);
        model_insert(m->parts[item.source], &m->part_count[item.source], m->order, &item);
    }
}

static struct vv_iter *model_merge(struct model *m)
{
    struct vv_iter *sources[SOURCES_MAX + 1];
    struct vv_iter *out = NULL;
    for (size_t i = 0; i < m->sources; i++) {
        struct array_iter *it = vv_alloc_zero(sizeof *it);
        CHECK(it != NULL);
        *it = (struct array_iter){.base = {.ops = &array_ops},
                                  .order = m->order,
                                  .items = m->parts[i],
                                  .count = m->part_count[i],
                                  .open = &m->open};
        m->iters[i] = it;
        m->open++;
        sources[i] = &it->base;
    }
    CHECK_OK(vv_merge_iter(m->order, sources, m->sources, &out));
    return out;
}

/* The iterator stands where the model does; `at` >= count means beyond an end. */
static void check_at(const struct model *m, const struct vv_iter *it, size_t at)
{
    CHECK_EQ_INT(it->valid, at < m->count);
    if (!it->valid)
        return;
    const struct item *item = &m->all[at];
    CHECK_EQ_U64(it->at.seq, item->seq);
    CHECK_BYTES(it->at.key.data, it->at.key.size, item->bytes, item->size);
    CHECK_EQ_U64(vv_merge_iter_source(it), item->source);
}

static size_t model_seek(const struct model *m, vv_slice key, vv_seq seq)
{
    size_t at = 0;
    while (at < m->count &&
           vv_order_cmp_entry(m->order, key_of(&m->all[at]), m->all[at].seq, key, seq) < 0)
        at++;
    return at;
}

static size_t model_seek_for_prev(const struct model *m, vv_slice key)
{
    size_t at = m->count;
    while (at > 0 && vv_order_cmp(m->order, key_of(&m->all[at - 1]), key) > 0)
        at--;
    return at - 1;
}

/* A position: mostly a key that is there, or a bit beside it. */
static struct item random_target(const struct model *m, struct vv_rng *rng)
{
    struct item item = {.size = 0};
    if (m->count == 0 || vv_rng_one_in(rng, 5)) {
        random_key(rng, (int)vv_rng_below(rng, 4), &item);
        item.seq = vv_rng_below(rng, ENTRIES_MAX);
        return item;
    }
    item = m->all[vv_rng_below(rng, m->count)];
    item.seq += vv_rng_below(rng, 3) - 1;
    if (item.size > 0 && vv_rng_one_in(rng, 4))
        item.bytes[item.size - 1]++;
    return item;
}

/* Moves both in the same way and gives the model's new position. */
static size_t random_move(const struct model *m, struct vv_rng *rng, struct vv_iter *it, size_t at)
{
    struct item target = random_target(m, rng);
    switch (it->valid ? vv_rng_below(rng, 16) : vv_rng_below(rng, 4)) {
    case 0: CHECK_OK(vv_iter_first(it)); return 0;
    case 1: CHECK_OK(vv_iter_last(it)); return m->count - 1;
    case 2:
        CHECK_OK(vv_iter_seek(it, key_of(&target), target.seq));
        return model_seek(m, key_of(&target), target.seq);
    case 3:
        CHECK_OK(vv_iter_seek_for_prev(it, key_of(&target)));
        return model_seek_for_prev(m, key_of(&target));
    default: break;
    }
    bool back = vv_rng_one_in(rng, 2);
    for (size_t steps = 1 + vv_rng_below(rng, vv_rng_one_in(rng, 4) ? 100 : 3);
         steps > 0 && it->valid; steps--) {
        if (back)
            CHECK_OK(vv_iter_prev(it));
        else
            CHECK_OK(vv_iter_next(it));
        at = back ? at - 1 : at + 1;
        check_at(m, it, at);
    }
    return at;
}

/* --------------------------------------------------------------------------------------- tests */

TEST(a_merge_of_nothing_is_empty)
{
    struct vv_iter *it = NULL;
    CHECK_OK(vv_merge_iter(&bytewise, NULL, 0, &it));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_first(it));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_last(it));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_seek(it, vv_slice_str("a"), VV_SEQ_MAX));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_seek_for_prev(it, vv_slice_str("a")));
    CHECK(!it->valid);
    vv_iter_close(it);
}

TEST(a_merge_moves_like_the_sorted_array_of_all_entries)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct model *m = vv_alloc(sizeof *m);
    CHECK(m != NULL);
    for (int round = 0; round < (test_soak() ? 30000 : 1500); round++) {
        model_fill(m, &rng);
        struct vv_iter *it = model_merge(m);
        size_t at = SIZE_MAX / 2;
        for (int move = 0; move < 60; move++) {
            at = random_move(m, &rng, it, at);
            check_at(m, it, at);
        }
        vv_iter_close(it);
        CHECK_EQ_U64(m->open, 0);
    }
    vv_free(m);
}

TEST(a_whole_scan_gives_every_entry_once_in_both_directions)
{
    struct vv_rng rng = vv_rng_of(test_seed() + 1);
    struct model *m = vv_alloc(sizeof *m);
    CHECK(m != NULL);
    for (int round = 0; round < 500; round++) {
        model_fill(m, &rng);
        struct vv_iter *it = model_merge(m);
        CHECK_OK(vv_iter_first(it));
        for (size_t at = 0; at < m->count; at++) {
            check_at(m, it, at);
            CHECK_OK(vv_iter_next(it));
        }
        CHECK(!it->valid);
        CHECK_OK(vv_iter_last(it));
        for (size_t at = m->count; at-- > 0;) {
            check_at(m, it, at);
            CHECK_OK(vv_iter_prev(it));
        }
        CHECK(!it->valid);
        vv_iter_close(it);
    }
    vv_free(m);
}

TEST(a_failing_source_makes_the_merge_invalid_until_it_is_moved_anew)
{
    struct vv_rng rng = vv_rng_of(test_seed() + 2);
    struct model *m = vv_alloc(sizeof *m);
    size_t failures = 0;
    CHECK(m != NULL);
    for (int round = 0; round < 1500; round++) {
        model_fill(m, &rng);
        if (m->sources < 2 || m->count == 0)
            continue;
        struct vv_iter *it = model_merge(m);
        CHECK_OK(vv_iter_first(it));
        m->iters[vv_rng_below(&rng, m->sources)]->fail_in = 1 + vv_rng_below(&rng, 4);
        int rc = VV_OK;
        for (int move = 0; move < 100 && rc == VV_OK && it->valid; move++)
            rc = vv_rng_one_in(&rng, 5) ? vv_iter_prev(it) : vv_iter_next(it);
        if (rc != VV_OK) {
            failures++;
            CHECK_RC(rc, VV_CORRUPT);
            CHECK(!it->valid);
        }
        for (size_t i = 0; i < m->sources; i++)
            m->iters[i]->fail_in = 0;
        CHECK_OK(vv_iter_first(it));
        for (size_t at = 0; at < m->count; at++) {
            check_at(m, it, at);
            CHECK_OK(vv_iter_next(it));
        }
        vv_iter_close(it);
        CHECK_EQ_U64(m->open, 0);
    }
    CHECK(failures > 100);
    vv_free(m);
}

TEST(a_merge_that_finds_no_memory_closes_its_sources)
{
    struct model *m = vv_alloc(sizeof *m);
    struct vv_iter *sources[2];
    struct vv_iter *out = NULL;
    CHECK(m != NULL);
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < 2; i++) {
        struct array_iter *it = vv_alloc_zero(sizeof *it);
        CHECK(it != NULL);
        *it = (struct array_iter){.base = {.ops = &array_ops}, .open = &m->open};
        sources[i] = &it->base;
        m->open++;
    }
    vv_alloc_fail_at(1);
    CHECK_RC(vv_merge_iter(&bytewise, sources, 2, &out), VV_NOMEM);
    CHECK(out == NULL);
    CHECK_EQ_U64(m->open, 0);
    vv_free(m);
}
