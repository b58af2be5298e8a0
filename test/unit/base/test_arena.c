/*
 * Pieces of an arena are aligned, do not overlap, are charged, and go all at once.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/rng.h"
#include "harness/test.h"

enum { PIECES = 2000 };

struct piece {
    uint8_t *at;
    size_t size_bytes;
};

TEST(pieces_are_aligned_and_do_not_overlap)
{
    static struct piece pieces[PIECES];
    struct vv_account account = {0};
    struct vv_arena arena;
    struct vv_rng rng = vv_rng_of(test_seed());
    vv_arena_init(&arena, &account, VV_OWNER_MEMTABLE);
    for (size_t i = 0; i < PIECES; i++) {
        size_t align = (size_t)1 << vv_rng_below(&rng, 7);
        size_t size_max = vv_rng_one_in(&rng, 100) ? 100000 : 300;
        pieces[i].size_bytes = vv_rng_below(&rng, size_max);
        pieces[i].at = vv_arena_alloc(&arena, pieces[i].size_bytes, align);
        CHECK(pieces[i].at != NULL);
        CHECK_EQ_INT((uintptr_t)pieces[i].at % align, 0);
        memset(pieces[i].at, (int)(i & 0xff), pieces[i].size_bytes);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t k = 0; k < pieces[i].size_bytes; k++)
            CHECK_EQ_INT(pieces[i].at[k], i & 0xff);
    }
    CHECK_EQ_INT(vv_account_used(&account, VV_OWNER_MEMTABLE), vv_arena_used(&arena));
    vv_arena_deinit(&arena);
    CHECK_EQ_INT(vv_account_total(&account), 0);
    CHECK_EQ_INT(vv_arena_used(&arena), 0);
    vv_arena_deinit(&arena);
}

TEST(an_arena_without_pieces_takes_no_memory)
{
    struct vv_account account = {0};
    struct vv_arena arena;
    vv_arena_init(&arena, &account, VV_OWNER_WORK);
    CHECK_EQ_INT(vv_arena_used(&arena), 0);
    vv_arena_deinit(&arena);
}

TEST(an_empty_piece_is_no_failure)
{
    struct vv_account account = {0};
    struct vv_arena arena;
    vv_arena_init(&arena, &account, VV_OWNER_WORK);
    CHECK(vv_arena_alloc(&arena, 0, 1) != NULL);
    vv_arena_deinit(&arena);
}

TEST(memory_that_runs_out_leaves_the_arena_usable)
{
    struct vv_account account = {0};
    struct vv_arena arena;
    vv_arena_init(&arena, &account, VV_OWNER_WORK);
    vv_alloc_fail_at(1);
    CHECK(vv_arena_alloc(&arena, 10, 8) == NULL);
    uint8_t *small = vv_arena_alloc(&arena, 10, 8);
    CHECK(small != NULL);
    vv_alloc_fail_at(1);
    CHECK(vv_arena_alloc(&arena, 1 << 20, 8) == NULL);
    (void)vv_fail(VV_IO, "something else");
    CHECK(vv_arena_alloc(&arena, SIZE_MAX - 10, 8) == NULL);
    CHECK(strstr(vv_error_story(), "allocate") != NULL);
    CHECK(vv_arena_alloc(&arena, 10, 8) == small + 16);
    vv_arena_deinit(&arena);
    CHECK_EQ_INT(vv_account_total(&account), 0);
}
