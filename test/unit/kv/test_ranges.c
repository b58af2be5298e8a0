#include "harness/test.h"

#include "base/error.h"
#include "base/rng.h"
#include "kv/ranges.h"

#include <stdio.h>

/*
 * Keys are numbers below KEYS as two letters. The oracle keeps all tombstones and asks each.
 */
enum { KEYS = 60, ROUNDS = 200, TOMBSTONES = 100 };

static const struct vv_order bytewise;
static char key_text[KEYS + 1][3];

static vv_slice key_of(uint64_t number)
{
    if (key_text[0][0] == 0) {
        for (int i = 0; i <= KEYS; i++)
            (void)snprintf(key_text[i], sizeof key_text[i], "%02d", i);
    }
    return vv_slice_of(key_text[number], 2);
}

struct world {
    struct vv_account account;
    struct vv_arena arena;
    struct vv_range all[TOMBSTONES];
    size_t count;
};

static void setup(struct world *w)
{
    *w = (struct world){.count = 0};
    vv_arena_init(&w->arena, &w->account, VV_OWNER_WORK);
}

static struct vv_range random_range(struct vv_rng *rng, vv_seq seq)
{
    uint64_t from = vv_rng_below(rng, KEYS);
    uint64_t to = from + 1 + vv_rng_below(rng, KEYS - from);
    return (struct vv_range){key_of(from), key_of(to), seq};
}

static vv_seq expected(const struct vv_range *all, size_t count, vv_slice key, vv_seq at)
{
    vv_seq best = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].seq <= at && all[i].seq > best && vv_slice_cmp(all[i].from, key) <= 0 &&
            vv_slice_cmp(key, all[i].to) < 0)
            best = all[i].seq;
    }
    return best;
}

static void check_set(const struct world *w, const struct vv_ranges *set, vv_seq at)
{
    for (uint64_t k = 0; k < KEYS; k++) {
        struct vv_cover cover;
        vv_seq seq = vv_ranges_cover(&bytewise, set, key_of(k), at, &cover);
        CHECK_EQ_U64(seq, expected(w->all, w->count, key_of(k), at));
        CHECK_EQ_U64(cover.seq, seq);
        CHECK_EQ_U64(vv_ranges_cover(&bytewise, set, key_of(k), at, NULL), seq);
        CHECK(vv_cover_holds(&bytewise, &cover, key_of(k)));
        for (uint64_t other = 0; other < KEYS; other++) {
            if (vv_cover_holds(&bytewise, &cover, key_of(other)))
                CHECK_EQ_U64(expected(w->all, w->count, key_of(other), at), seq);
        }
    }
}

TEST(a_set_says_which_tombstone_covers_a_key_at_any_moment)
{
    struct vv_rng rng = {test_seed()};
    for (int round = 0; round < ROUNDS; round++) {
        struct world w;
        const struct vv_ranges *set = NULL;
        setup(&w);
        size_t count = 1 + (size_t)vv_rng_below(&rng, TOMBSTONES);
        while (w.count < count) {
            struct vv_range range = random_range(&rng, 10 * (w.count + 1));
            w.all[w.count++] = range;
            set = vv_ranges_add(&w.arena, &bytewise, set, range);
            CHECK(set != NULL);
        }
        for (int i = 0; i < 4; i++)
            check_set(&w, set, vv_rng_below(&rng, 10 * count + 20));
        check_set(&w, set, VV_SEQ_MAX);
        vv_arena_deinit(&w.arena);
    }
}

TEST(joined_ranges_have_the_newest_sequence_and_do_not_overlap)
{
    struct vv_rng rng = {test_seed()};
    struct vv_buf joined = VV_BUF_INIT;
    for (int round = 0; round < ROUNDS; round++) {
        struct world w;
        const struct vv_ranges *set;
        setup(&w);
        size_t count = (size_t)vv_rng_below(&rng, TOMBSTONES);
        while (w.count < count)
            w.all[w.count++] = random_range(&rng, 1 + vv_rng_below(&rng, 1000));
        CHECK_OK(vv_ranges_join(&bytewise, w.all, w.count, &joined));
        const struct vv_range *list = (const struct vv_range *)(const void *)joined.data;
        size_t made = joined.size / sizeof list[0];
        for (size_t i = 1; i < made; i++)
            CHECK(vv_slice_cmp(list[i - 1].to, list[i].from) <= 0);
        CHECK_OK(vv_ranges_load(&w.arena, &bytewise, list, made, &set));
        check_set(&w, set, VV_SEQ_MAX);
        vv_arena_deinit(&w.arena);
    }
    vv_buf_deinit(&joined);
}

/* As merges lay them: one layer for each stretch of time. */
TEST(layers_that_were_laid_are_loaded_again)
{
    struct vv_rng rng = {test_seed()};
    struct vv_buf joined = VV_BUF_INIT;
    for (int round = 0; round < ROUNDS; round++) {
        struct world w;
        struct vv_range list[4 * TOMBSTONES];
        size_t count = 0;
        const struct vv_ranges *set;
        setup(&w);
        while (w.count < 50) {
            w.all[w.count] = random_range(&rng, 10 * (50 - w.count));
            w.count++;
        }
        for (size_t from = 0; from < w.count; from += 10) {
            CHECK_OK(vv_ranges_join(&bytewise, w.all + from, 10, &joined));
            memcpy(list + count, joined.data, joined.size);
            count += joined.size / sizeof list[0];
        }
        CHECK_OK(vv_ranges_load(&w.arena, &bytewise, list, count, &set));
        for (vv_seq at = 0; at <= 500; at += 100)
            check_set(&w, set, at);
        vv_arena_deinit(&w.arena);
    }
    vv_buf_deinit(&joined);
}

/* A log trimmed from its start: each tombstone covers all that the ones before it did. */
TEST(nested_tombstones_do_not_take_room_for_every_pair)
{
    enum { COUNT = 20000 };
    struct world w;
    static char keys[COUNT][8];
    const struct vv_ranges *set = NULL;
    setup(&w);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "%06d", i + 1);
        struct vv_range range = {vv_slice_str("0"), vv_slice_str(keys[i]), (vv_seq)i + 1};
        set = vv_ranges_add(&w.arena, &bytewise, set, range);
        CHECK(set != NULL);
    }
    CHECK(vv_arena_used(&w.arena) < (size_t)COUNT * 1000 * 3);
    CHECK_EQ_U64(vv_ranges_cover(&bytewise, set, vv_slice_str("000500"), VV_SEQ_MAX, NULL), COUNT);
    CHECK_EQ_U64(vv_ranges_cover(&bytewise, set, vv_slice_str("000500"), 700, NULL), 700);
    CHECK_EQ_U64(vv_ranges_cover(&bytewise, set, vv_slice_str("000500"), 500, NULL), 0);
    vv_arena_deinit(&w.arena);
}

TEST(what_is_no_tombstone_does_not_load)
{
    struct world w;
    const struct vv_ranges *set;
    setup(&w);
    struct vv_range empty = {vv_slice_str("b"), vv_slice_str("b"), 5};
    struct vv_range back = {vv_slice_str("b"), vv_slice_str("a"), 5};
    struct vv_range settled = {vv_slice_str("a"), vv_slice_str("b"), 0};
    struct vv_range aged[2] = {{vv_slice_str("a"), vv_slice_str("c"), 5},
                               {vv_slice_str("b"), vv_slice_str("d"), 6}};
    CHECK_RC(vv_ranges_load(&w.arena, &bytewise, &empty, 1, &set), VV_CORRUPT);
    CHECK_RC(vv_ranges_load(&w.arena, &bytewise, &back, 1, &set), VV_CORRUPT);
    CHECK_RC(vv_ranges_load(&w.arena, &bytewise, &settled, 1, &set), VV_CORRUPT);
    CHECK_RC(vv_ranges_load(&w.arena, &bytewise, aged, 2, &set), VV_CORRUPT);
    CHECK_OK(vv_ranges_load(&w.arena, &bytewise, NULL, 0, &set));
    CHECK(set == NULL);
    CHECK_EQ_U64(vv_ranges_cover(&bytewise, NULL, vv_slice_str("x"), VV_SEQ_MAX, NULL), 0);
    vv_arena_deinit(&w.arena);
}
