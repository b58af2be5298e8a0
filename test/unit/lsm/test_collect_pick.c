/*
 * Which value files are collected: those with garbage always, small ones when there are many.
 */
#include "harness/test.h"
#include "lsm/job.h"

enum { TARGET = 256 };

static size_t pick(const struct vv_collect_candidate *files, size_t count, bool idle,
                   size_t *picked)
{
    return vv_collect_pick(files, count, TARGET, idle, picked);
}

TEST(a_file_is_collected_once_a_quarter_of_it_is_garbage)
{
    size_t picked[VV_COLLECT_FILES_MAX];
    struct vv_collect_candidate file = {.bytes = 200, .live_bytes = 150};
    CHECK_EQ_U64(pick(&file, 1, false, picked), 0);
    file.live_bytes = 149;
    CHECK_EQ_U64(pick(&file, 1, false, picked), 1);
    file.live_bytes = 179;
    CHECK_EQ_U64(pick(&file, 1, false, picked), 0);
    CHECK_EQ_U64(pick(&file, 1, true, picked), 1);
}

TEST(small_files_never_keep_a_rotten_one_from_being_collected)
{
    size_t picked[VV_COLLECT_FILES_MAX];
    const struct vv_collect_candidate files[] = {
        {60, 60}, {60, 60}, {60, 60}, {.bytes = 250, .live_bytes = 100}};
    size_t count = pick(files, 4, false, picked);
    CHECK(count >= 1);
    CHECK_EQ_U64(picked[0], 3);
}

TEST(small_files_are_put_together_when_there_are_many)
{
    size_t picked[VV_COLLECT_FILES_MAX];
    struct vv_collect_candidate files[40];
    for (size_t i = 0; i < 40; i++)
        files[i] = (struct vv_collect_candidate){10, 10};
    CHECK_EQ_U64(pick(files, 3, false, picked), 0);
    CHECK_EQ_U64(pick(files, 4, false, picked), 4);
    CHECK_EQ_U64(pick(files, 40, false, picked), VV_COLLECT_FILES_MAX);
}

TEST(what_is_collected_together_fits_one_file_unless_it_is_one)
{
    size_t picked[VV_COLLECT_FILES_MAX];
    const struct vv_collect_candidate files[] = {{900, 400}, {300, 100}, {300, 0}, {300, 150}};
    size_t count = pick(files, 4, false, picked);
    CHECK_EQ_U64(count, 2); /* what is all garbage needs no room */
    CHECK_EQ_U64(picked[0], 0);
    CHECK_EQ_U64(picked[1], 2);
    CHECK_EQ_U64(pick(files + 1, 3, false, picked), 3);
}
