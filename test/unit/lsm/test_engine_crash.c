/*
 * The engine and power: what was promised survives, whatever the order of kills, cuts and failing
 * calls before.
 */
#include "engine_world.h"

TEST(what_a_killed_life_left_unsynced_is_safe_once_the_next_life_has_synced)
{
    struct world w, cut;
    world_create(&w);
    world_write(&w, "small", 1, 100);
    world_write(&w, "large", 1, 5000);
    world_kill(&w);
    world_open(&w);
    world_write(&w, "later", 1, 100);
    world_sync(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    world_check(&cut, "small", 1, 100);
    world_check(&cut, "large", 1, 5000);
    world_check(&cut, "later", 1, 100);
    world_free(&cut);
    world_free(&w);
}

TEST(values_that_wait_to_be_sealed_do_not_stop_a_sync)
{
    struct world w, cut;
    char key[16];
    world_create(&w);
    w.options.tuning.value_file_bytes = 16 << 10;
    world_reopen(&w);
    for (unsigned i = 0; i < 80; i++) {
        (void)snprintf(key, sizeof key, "key%02u", i);
        world_write(&w, key, 1, 5000);
    }
    world_sync(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    for (unsigned i = 0; i < 80; i++) {
        (void)snprintf(key, sizeof key, "key%02u", i);
        world_check(&cut, key, 1, 5000);
    }
    world_free(&cut);
    world_free(&w);
}

TEST(a_flushed_table_refers_to_durable_values_only)
{
    struct world w, cut;
    world_create(&w);
    world_write(&w, "large", 1, 5000);
    world_flush(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    world_check(&cut, "large", 1, 5000);
    world_free(&cut);
    world_free(&w);
}

TEST(values_of_a_file_that_cannot_be_sealed_are_synced_all_the_same)
{
    struct world w, cut;
    world_create(&w);
    w.options.tuning.value_file_bytes = 16 << 10;
    world_reopen(&w);
    world_write(&w, "a", 1, 9000);
    world_write(&w, "b", 1, 9000);
    world_write(&w, "c", 1, 9000); /* in the next file */
    vv_sim_fail_at(w.env, 1, VV_SIM_FAULT_FULL, false);
    (void)world_try_tend(&w);
    vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
    CHECK_EQ_INT(w.poison_rc, 0);
    world_sync(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    world_check(&cut, "a", 1, 9000);
    world_check(&cut, "b", 1, 9000);
    world_check(&cut, "c", 1, 9000);
    world_free(&cut);
    world_free(&w);
}

/* A sync that follows a failed one may succeed and prove nothing. */
TEST(after_a_failed_sync_of_values_closing_does_not_say_that_all_is_safe)
{
    struct world w, cut;
    struct vv_pin pin;
    world_create(&w);
    world_write(&w, "small", 1, 100);
    world_sync(&w);
    world_write(&w, "large", 1, 5000);
    vv_sim_fail_at(w.env, 1, VV_SIM_FAULT_SYNC_LOST, false);
    CHECK_RC(w.engine->ops->sync(w.engine), VV_IO);
    CHECK_EQ_INT(w.poison_rc, VV_IO);
    CHECK_RC(w.engine->ops->sync(w.engine), VV_IO);
    world_close(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    world_check(&cut, "small", 1, 100);
    CHECK_RC(world_get_at(&cut, VV_SEQ_NOW, "large", &pin), VV_NOTFOUND);
    world_free(&cut);
    world_free(&w);
}

TEST(after_a_failed_sync_of_values_no_table_refers_to_them)
{
    struct world w, cut;
    struct vv_pin pin;
    uint64_t ticket;
    world_create(&w);
    w.options.tuning.value_file_bytes = 16 << 10;
    world_reopen(&w);
    world_write(&w, "a", 1, 9000);
    world_write(&w, "b", 1, 9000);
    world_write(&w, "c", 1, 9000); /* in the next file, which is synced first */
    vv_sim_fail_at(w.env, 2, VV_SIM_FAULT_SYNC_LOST, false);
    CHECK_RC(w.engine->ops->sync(w.engine), VV_IO);
    for (int i = 0; i < 4; i++)
        (void)world_try_tend(&w); /* would seal the file */
    CHECK_OK(w.engine->ops->flush_begin(w.engine, &ticket));
    for (int i = 0; i < 4; i++)
        CHECK(world_try_tend(&w) < 0);
    CHECK(!w.engine->ops->flush_done(w.engine, ticket));
    world_check(&w, "a", 1, 9000);
    world_close(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    CHECK_RC(world_get_at(&cut, VV_SEQ_NOW, "a", &pin), VV_NOTFOUND);
    CHECK_RC(world_get_at(&cut, VV_SEQ_NOW, "c", &pin), VV_NOTFOUND);
    world_free(&cut);
    world_free(&w);
}

TEST(a_log_stays_while_a_group_in_it_is_not_published)
{
    struct world w, cut;
    struct world_write a, b, c;
    world_create(&w);
    world_write(&w, "before", 1, 100);
    world_close(&w);
    w.options.value_log_min = UINT32_MAX;
    world_open(&w);
    /* Groups that wait for a sync fill more than one memtable meanwhile. */
    world_begin(&w, "a", 1, 40000, &a);
    world_begin(&w, "b", 1, 40000, &b);
    world_begin(&w, "c", 1, 40000, &c);
    world_sync(&w);
    world_publish(&w, &a);
    world_tend(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    world_check(&cut, "before", 1, 100);
    world_check(&cut, "a", 1, 40000);
    world_check(&cut, "b", 1, 40000);
    world_check(&cut, "c", 1, 40000);
    world_publish(&w, &b);
    world_publish(&w, &c);
    world_tend(&w);
    world_check(&w, "c", 1, 40000);
    world_free(&cut);
    world_free(&w);
}

TEST(a_store_can_be_opened_and_closed_any_number_of_times)
{
    struct world w;
    char key[16];
    world_create(&w);
    for (unsigned i = 0; i < 150; i++) {
        (void)snprintf(key, sizeof key, "key%u", i);
        world_write(&w, key, 1, 50);
        world_reopen(&w);
    }
    for (unsigned i = 0; i < 150; i++) {
        (void)snprintf(key, sizeof key, "key%u", i);
        world_check(&w, key, 1, 50);
    }
    world_free(&w);
}

TEST(numbers_that_a_lost_record_had_are_not_given_out_again)
{
    struct world w, cut, again;
    char path[64];
    world_create(&w);
    for (unsigned i = 1; i <= 5; i++)
        world_write(&w, "key", i, 100);
    vv_seq seen = w.given;
    world_find(&w, ".wal", WORLD_LAST, path);
    /* The third record did not get to the disk, the later ones did. */
    world_damage(&w, path, 96 + 2 * 136 + 60, 8);
    world_cut(&w, VV_SIM_ALL, &cut);
    world_check(&cut, "key", 2, 100);
    CHECK_EQ_U64(cut.given, seen);
    world_cut(&cut, VV_SIM_SYNCED, &again);
    world_check(&again, "key", 2, 100);
    CHECK(again.given >= seen);
    world_free(&again);
    world_free(&cut);
    world_free(&w);
}

TEST(a_value_file_whose_header_was_lost_is_no_damage)
{
    struct world w, cut;
    world_create(&w);
    world_write(&w, "small", 1, 100);
    world_sync(&w);
    world_write(&w, "large", 1, 5000);
    struct vv_env *image;
    CHECK_OK(vv_sim_image(w.env, vv_sim_call_count(w.env), VV_SIM_SYNCED, 0, &image));
    world_init(&cut, image);
    cut.options.readonly = true;
    world_open(&cut);
    world_check(&cut, "small", 1, 100);
    world_close(&cut);
    cut.options.readonly = false;
    world_open(&cut);
    CHECK_OK(cut.engine->ops->check(cut.engine, NULL, NULL));
    world_close(&cut);
    cut.options.readonly = true;
    world_open(&cut);
    world_free(&cut);
    world_free(&w);
}

TEST(a_torn_end_of_a_value_file_is_no_damage)
{
    struct world w, cut;
    world_create(&w);
    world_write(&w, "a", 1, 5000);
    world_sync(&w);
    world_write(&w, "b", 1, 5000);
    for (uint64_t choice = 0; choice < 40; choice++) {
        CHECK_OK(world_try_cut(&w, VV_SIM_SECTORS, choice, &cut));
        world_check(&cut, "a", 1, 5000);
        CHECK_OK(cut.engine->ops->check(cut.engine, NULL, NULL));
        world_free(&cut);
    }
    world_free(&w);
}

TEST(a_value_that_was_flushed_and_collected_is_not_missed_in_the_log)
{
    struct world w;
    struct world_write waiting;
    world_create(&w);
    world_write(&w, "key", 1, 9000);
    world_write(&w, "key", 2, 9000);
    world_begin(&w, "waiting", 1, 100, &waiting);
    world_sync(&w);
    world_flush(&w); /* the log stays: a group in it is not published */
    vv_batch_deinit(&waiting.batch);
    world_kill(&w);
    world_open(&w);
    w.engine->ops->settle(w.engine, 1);
    world_tend(&w);
    struct vv_lsm_stats stats;
    vv_lsm_get_stats(w.engine, &stats);
    CHECK_EQ_U64(stats.value_log_collections, 1);
    world_kill(&w);
    world_open(&w);
    world_check(&w, "key", 2, 9000);
    world_check(&w, "waiting", 1, 100);
    world_free(&w);
}

TEST(a_manifest_that_cannot_grow_on_a_full_disk_poisons_nothing)
{
    struct world w, cut;
    world_create(&w);
    for (uint64_t n = 1; n < 40; n++) {
        world_write(&w, "key", (unsigned)n, 200);
        uint64_t ticket;
        CHECK_OK(w.engine->ops->flush_begin(w.engine, &ticket));
        vv_sim_fail_at(w.env, n, VV_SIM_FAULT_FULL, true);
        (void)world_try_tend(&w);
        if (w.poison_rc != 0)
            test_fail(__FILE__, __LINE__, "poisoned by a full disk at call %u", (unsigned)n);
        vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
        world_tend(&w);
        world_check(&w, "key", (unsigned)n, 200);
        world_cut(&w, VV_SIM_SYNCED, &cut);
        world_check(&cut, "key", (unsigned)n, 200);
        world_free(&cut);
    }
    world_free(&w);
}

TEST(values_that_fail_to_be_stowed_leave_no_files_behind)
{
    struct world w;
    world_create(&w);
    for (uint64_t n = 1; n <= 4; n++) {
        vv_sim_fail_at(w.env, n, VV_SIM_FAULT_FULL, true);
        CHECK_RC(world_try_write(&w, "key", 1, 5000), VV_FULL);
        CHECK_EQ_U64(world_files(&w, ".val"), 0);
        vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
    }
    CHECK_EQ_INT(w.poison_rc, 0);
    world_write(&w, "key", 1, 5000);
    world_check(&w, "key", 1, 5000);
    world_free(&w);
}

TEST(a_full_disk_is_survived_and_service_resumes)
{
    struct world w, cut;
    char key[16];
    unsigned written = 0;
    world_create(&w);
    vv_sim_set_capacity(w.env, 600 << 10);
    int rc = VV_OK;
    for (unsigned i = 0; i < 2000 && rc == VV_OK; i++) {
        (void)snprintf(key, sizeof key, "key%04u", i);
        rc = world_try_write(&w, key, 1, i % 7 == 0 ? 5000 : 700);
        if (rc == VV_OK)
            written = i + 1;
        if (rc == VV_OK)
            rc = world_try_tend(&w);
    }
    CHECK_RC(rc, VV_FULL);
    for (unsigned i = 0; i < 10; i++)
        (void)world_try_tend(&w);
    CHECK_EQ_INT(w.poison_rc, 0);
    vv_sim_set_capacity(w.env, 0);
    world_tend(&w);
    world_write(&w, "after", 1, 700);
    world_sync(&w);
    world_cut(&w, VV_SIM_SYNCED, &cut);
    for (unsigned i = 0; i < written; i++) {
        (void)snprintf(key, sizeof key, "key%04u", i);
        world_check(&w, key, 1, i % 7 == 0 ? 5000 : 700);
        world_check(&cut, key, 1, i % 7 == 0 ? 5000 : 700);
    }
    world_check(&cut, "after", 1, 700);
    world_free(&cut);
    world_free(&w);
}
