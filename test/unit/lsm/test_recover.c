/*
 * Adding up the edits of a MANIFEST.
 */
#include "engine_world.h"

#include "lsm/manifest.h"
#include "lsm/recover.h"

static struct vv_edit snapshot_of(const char *engine, uint64_t numbers)
{
    struct vv_edit edit = {.snapshot = true,
                           .has_format = true,
                           .format_version = VV_FORMAT_VERSION,
                           .next_file = numbers,
                           .log_number = numbers,
                           .flushed_seq = numbers,
                           .closed_log = numbers,
                           .closed_bytes = numbers};
    CHECK_OK(vv_buf_assign(&edit.engine, vv_slice_str(engine)));
    CHECK_OK(vv_buf_assign(&edit.comparator, vv_slice_str("bytewise")));
    return edit;
}

static void add_files(struct vv_edit *edit, uint64_t table, uint64_t values)
{
    struct vv_table_facts facts = {.entries = 1, .size_bytes = 1};
    struct vv_edit_value_file file = {.number = values, .serves = &values, .serve_count = 1};
    CHECK_OK(vv_edit_add_table(edit, 0, table, 0, &facts));
    CHECK_OK(vv_edit_add_value_file(edit, &file));
}

static void append(struct vv_manifest *m, struct vv_edit *edit)
{
    bool unclear;
    CHECK_OK(vv_manifest_append(m, edit, &unclear));
    vv_edit_deinit(edit);
}

/* A MANIFEST of a snapshot with files 5 and 6, an edit that adds 7 and 8, and `third`. */
static int sum_with(struct vv_edit *third, struct vv_edit *sum)
{
    struct world w;
    struct vv_env *env;
    struct vv_manifest *m = NULL;
    struct vv_lsm *lsm = NULL;
    bool unclear;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, WORLD_DIR));
    world_init(&w, env);
    struct vv_edit first = snapshot_of("lsm", 100);
    add_files(&first, 5, 6);
    CHECK_OK(vv_manifest_create(env, WORLD_DIR, 1, &first, &m, &unclear));
    vv_edit_deinit(&first);
    struct vv_edit second = {.next_file = 101};
    add_files(&second, 7, 8);
    append(m, &second);
    append(m, third);
    vv_manifest_close(m);
    CHECK_OK(vv_lsm_new(&w.options, &lsm));
    int rc = vv_recover_sum(lsm, sum);
    vv_lsm_free(lsm);
    vv_env_sim_free(env);
    return rc;
}

TEST(an_edit_adds_to_what_came_before)
{
    struct vv_edit sum = {0};
    struct vv_edit third = {.next_file = 3};
    CHECK_OK(vv_edit_remove_table(&third, 5));
    CHECK_OK(sum_with(&third, &sum));
    CHECK_EQ_U64(sum.table_count, 1);
    CHECK_EQ_U64(sum.tables[0].number, 7);
    CHECK_EQ_U64(sum.value_count, 2);
    CHECK_EQ_U64(sum.next_file, 101);
    CHECK_EQ_U64(sum.flushed_seq, 100);
    vv_edit_deinit(&sum);
}

TEST(a_snapshot_replaces_all_that_came_before)
{
    struct vv_edit sum = {0};
    struct vv_edit third = snapshot_of("lsm", 50);
    third.closed_log = third.closed_bytes = 0;
    add_files(&third, 7, 9);
    CHECK_OK(sum_with(&third, &sum));
    CHECK_EQ_U64(sum.table_count, 1);
    CHECK_EQ_U64(sum.tables[0].number, 7);
    CHECK_EQ_U64(sum.value_count, 1);
    CHECK_EQ_U64(sum.values[0].number, 9);
    CHECK_EQ_U64(sum.next_file, 50);
    CHECK_EQ_U64(sum.log_number, 50);
    CHECK_EQ_U64(sum.flushed_seq, 50);
    CHECK_EQ_U64(sum.closed_log, 0);
    CHECK_EQ_U64(sum.closed_bytes, 0);
    vv_edit_deinit(&sum);
}

TEST(a_snapshot_says_what_the_store_is)
{
    struct vv_edit sum = {0};
    struct vv_edit third = {.snapshot = true, .next_file = 50};
    CHECK_RC(sum_with(&third, &sum), VV_CORRUPT);
    vv_edit_deinit(&sum);
    third = snapshot_of("hash", 50);
    CHECK_RC(sum_with(&third, &sum), VV_UNSUPPORTED);
    vv_edit_deinit(&sum);
}
