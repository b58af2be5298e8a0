#include "db/open.h"
#include "env/posix.h"
#include "env/thread.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

#include <stdio.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static void pause_us(uint64_t us)
{
    vv_env_sleep_us(vv_env_posix(), us);
}

static int write_at_level(varve *db, const char *key, enum varve_durability level)
{
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;
    varve_batch *batch;
    options.durability = level;
    CHECK_OK(varve_batch_new(&batch));
    if (key[0] != 0)
        CHECK_OK(varve_batch_put(batch, str(key), str("v")));
    int rc = varve_write(db, batch, &options);
    varve_batch_free(batch);
    return rc;
}

static uint64_t syncs(const struct fake_controls *controls)
{
    return atomic_load(&controls->seen.syncs);
}

TEST(a_level_says_when_a_write_is_synced)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=os");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(write_at_level(db, "a", VARVE_DURABILITY_NONE));
    CHECK_EQ_U64(syncs(&controls), 0);
    CHECK_OK(write_at_level(db, "a", VARVE_DURABILITY_DISK));
    CHECK_EQ_U64(syncs(&controls), 1);
    CHECK_OK(varve_sync(db));
    CHECK_EQ_U64(syncs(&controls), 1); /* all is safe already */
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(write_at_level(db, "", VARVE_DURABILITY_DISK));
    CHECK_EQ_U64(syncs(&controls), 2);
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(varve_close(db));
    CHECK_EQ_U64(syncs(&controls), 3);

    db = fake_store_stepped(&controls, "durability=disk");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_EQ_U64(syncs(&controls), 4);
    CHECK_OK(write_at_level(db, "b", VARVE_DURABILITY_NONE));
    CHECK_EQ_U64(syncs(&controls), 5);
    CHECK_OK(varve_close(db));
    CHECK_EQ_U64(syncs(&controls), 5);
}

TEST(what_was_recovered_is_synced_when_asked)
{
    struct fake_controls controls = {.seq_first = 5};
    varve *db = fake_store_stepped(&controls, "durability=os");
    CHECK_OK(varve_sync(db));
    CHECK_EQ_U64(syncs(&controls), 1);
    CHECK_OK(varve_close(db));
}

TEST(without_a_log_flushing_makes_safe)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=none");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_EQ_INT(atomic_load(&controls.seen.flushes), 0);
    CHECK_OK(write_at_level(db, "a", VARVE_DURABILITY_OS));
    CHECK_EQ_INT(atomic_load(&controls.seen.flushes), 1);
    CHECK_OK(varve_sync(db));
    CHECK_EQ_INT(atomic_load(&controls.seen.flushes), 2);
    CHECK_OK(varve_close(db));
    CHECK_EQ_INT(atomic_load(&controls.seen.flushes), 3);
    CHECK_EQ_U64(syncs(&controls), 0);
}

TEST(the_interval_syncs_what_was_written_and_then_rests)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "durability=interval,sync_interval_ms=5");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    for (int i = 0; i < 2000 && syncs(&controls) == 0; i++)
        pause_us(1000);
    CHECK_EQ_U64(syncs(&controls), 1);
    pause_us(30000);
    CHECK_EQ_U64(syncs(&controls), 1);
    CHECK_OK(varve_close(db));
}

TEST(a_stepped_store_syncs_on_a_write_when_it_is_time)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=interval,sync_interval_ms=20");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    pause_us(25000);
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_EQ_U64(syncs(&controls), 1);
    CHECK_OK(varve_close(db));
}

/* ---- many writers */

struct writer {
    varve *db;
    int id, count;
    _Atomic(int) *failures;
    struct vv_thread *thread;
};

/* Writes a counter, and finds it again at once: what returned is visible. */
static void writer_run(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < w->count; i++) {
        char key[16], value[16];
        varve_pinned out;
        (void)snprintf(key, sizeof key, "w%d", w->id);
        (void)snprintf(value, sizeof value, "%d", i);
        if (varve_put(w->db, str(key), str(value)) < 0) {
            atomic_fetch_add(w->failures, 1);
            continue;
        }
        CHECK_OK(varve_get(w->db, str(key), &out));
        CHECK_BYTES(out.data, out.size, value, strlen(value));
        varve_unpin(&out);
    }
}

enum { WRITERS = 4 };

static int write_from_all(varve *db, int count)
{
    struct writer writers[WRITERS];
    _Atomic(int) failures = 0;
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){db, i, count, &failures, NULL};
        CHECK_OK(vv_thread_start("writer", 0, writer_run, &writers[i], &writers[i].thread));
    }
    for (int i = 0; i < WRITERS; i++)
        vv_thread_join(writers[i].thread);
    return atomic_load(&failures);
}

TEST(writers_on_four_threads_each_see_their_own_writes_in_order)
{
    static const char *const levels[] = {"durability=os", "durability=disk", "durability=none"};
    for (int i = 0; i < 3; i++) {
        struct fake_controls controls = {0};
        varve *db = fake_store(&controls, levels[i]);
        int count = test_soak() ? 3000 : 500;
        CHECK_EQ_INT(write_from_all(db, count), 0);
        CHECK_EQ_U64(vv_db_seq(db), WRITERS * count);
        CHECK_EQ_U64(atomic_load(&controls.seen.appended_writes), WRITERS * count);
        CHECK_EQ_U64(atomic_load(&controls.seen.publishes), atomic_load(&controls.seen.appends));
        CHECK_OK(varve_close(db));
    }
}

TEST(one_sync_serves_many_writers)
{
    struct fake_controls controls = {.sync_us = 3000};
    varve *db = fake_store(&controls, "durability=disk");
    CHECK_EQ_INT(write_from_all(db, 20), 0);
    CHECK(syncs(&controls) < WRITERS * 20 * 3 / 4);
    CHECK_OK(varve_close(db));
}

TEST(writers_that_come_while_another_appends_travel_together)
{
    struct fake_controls controls = {.append_us = 2000};
    varve *db = fake_store(&controls, "durability=os");
    CHECK_EQ_INT(write_from_all(db, 20), 0);
    CHECK(atomic_load(&controls.seen.appends) < WRITERS * 20 * 3 / 4);
    CHECK(atomic_load(&controls.seen.group_largest) > 1);
    CHECK_OK(varve_close(db));
}

struct mixed {
    varve *db;
    enum varve_durability level;
    struct vv_thread *thread;
};

static void mixed_run(void *arg)
{
    struct mixed *m = arg;
    for (int i = 0; i < 100; i++) {
        vv_seq before = vv_db_seq(m->db);
        CHECK_OK(write_at_level(m->db, "k", m->level));
        CHECK(vv_db_seq(m->db) > before);
    }
}

TEST(levels_may_be_mixed_and_order_holds)
{
    struct fake_controls controls = {.sync_us = 200};
    varve *db = fake_store(&controls, "durability=os");
    struct mixed threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        threads[i] =
            (struct mixed){db, i % 2 == 0 ? VARVE_DURABILITY_DISK : VARVE_DURABILITY_DEFAULT, NULL};
        CHECK_OK(vv_thread_start("mixed", 0, mixed_run, &threads[i], &threads[i].thread));
    }
    for (int i = 0; i < WRITERS; i++)
        vv_thread_join(threads[i].thread);
    CHECK_EQ_U64(vv_db_seq(db), WRITERS * 100);
    CHECK_OK(varve_close(db));
}

/* ---- trouble */

TEST(a_failed_append_shows_nothing_and_spends_its_numbers)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    atomic_store(&controls.append_rc, VARVE_FULL);
    CHECK_RC(varve_put(db, str("b"), str("v")), VARVE_FULL);
    CHECK(strstr(varve_last_error(), "append") != NULL);
    CHECK_EQ_U64(vv_db_seq(db), 1);
    CHECK_RC(varve_exists(db, str("b")), VARVE_NOTFOUND);
    atomic_store(&controls.append_rc, 0);
    CHECK_OK(varve_put(db, str("c"), str("v")));
    CHECK_EQ_U64(vv_db_seq(db), 3);
    CHECK_OK(varve_close(db));
}

TEST(every_writer_of_a_failed_group_gets_the_story)
{
    struct fake_controls controls = {.append_us = 500};
    varve *db = fake_store(&controls, "durability=os");
    atomic_store(&controls.append_rc, VARVE_FULL);
    CHECK_EQ_INT(write_from_all(db, 20), WRITERS * 20);
    CHECK_EQ_U64(vv_db_seq(db), 0);
    atomic_store(&controls.append_rc, 0);
    CHECK_EQ_INT(write_from_all(db, 20), 0);
    CHECK_OK(varve_close(db));
}

TEST(a_failed_sync_ends_writing_and_is_never_retried)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=disk");
    varve_pinned out;
    CHECK_OK(varve_put(db, str("a"), str("v")));
    atomic_store(&controls.sync_rc, VARVE_IO);
    CHECK_RC(varve_put(db, str("b"), str("v")), VARVE_IO);
    CHECK_RC(varve_exists(db, str("b")), VARVE_NOTFOUND);
    atomic_store(&controls.sync_rc, 0);
    uint64_t syncs_before = syncs(&controls);
    CHECK_RC(varve_put(db, str("b"), str("v")), VARVE_READONLY);
    CHECK(strstr(varve_last_error(), "told to fail sync") != NULL);
    CHECK_RC(varve_delete(db, str("a")), VARVE_READONLY);
    CHECK_RC(varve_sync(db), VARVE_READONLY);
    CHECK_RC(varve_flush(db), VARVE_READONLY);
    CHECK_RC(write_at_level(db, "", VARVE_DURABILITY_DISK), VARVE_READONLY);
    CHECK_OK(varve_get(db, str("a"), &out));
    varve_unpin(&out);
    CHECK_RC(varve_close(db), VARVE_READONLY);
    CHECK_EQ_U64(syncs(&controls), syncs_before);
}

TEST(writers_on_four_threads_survive_a_failing_sync)
{
    struct fake_controls controls = {.sync_us = 300};
    varve *db = fake_store(&controls, "durability=disk");
    CHECK_EQ_INT(write_from_all(db, 10), 0);
    atomic_store(&controls.sync_rc, VARVE_IO);
    CHECK_EQ_INT(write_from_all(db, 10), WRITERS * 10);
    CHECK_EQ_U64(vv_db_seq(db), WRITERS * 10);
    CHECK_RC(varve_close(db), VARVE_READONLY);
}

TEST(a_failed_background_sync_poisons_too)
{
    struct fake_controls controls = {.sync_rc = VARVE_IO};
    varve *db = fake_store(&controls, "durability=interval,sync_interval_ms=2");
    int rc = VARVE_OK;
    for (int i = 0; i < 2000 && rc == VARVE_OK; i++) {
        rc = varve_put(db, str("a"), str("v"));
        pause_us(1000);
    }
    CHECK_RC(rc, VARVE_READONLY);
    CHECK_EQ_U64(syncs(&controls), 1);
    CHECK_RC(varve_close(db), VARVE_READONLY);
}

TEST(what_is_laid_and_cannot_be_found_ends_writing)
{
    struct fake_controls controls = {.publish_rc = VARVE_NOMEM};
    varve *db = fake_store_stepped(&controls, "");
    CHECK_RC(varve_put(db, str("a"), str("v")), VARVE_NOMEM);
    CHECK_EQ_U64(vv_db_seq(db), 0);
    CHECK_RC(varve_put(db, str("a"), str("v")), VARVE_READONLY);
    CHECK_RC(varve_close(db), VARVE_READONLY);
}

/* ---- being held back */

TEST(a_stepped_writer_that_must_wait_does_the_work_itself)
{
    struct fake_controls controls = {.admit_waits = 5, .tend_steps = 100};
    varve *db = fake_store_stepped(&controls, "");
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_EQ_INT(atomic_load(&controls.seen.tends), 5);
    CHECK_OK(varve_close(db));
}

TEST(waiting_is_counted_and_ends)
{
    struct fake_controls controls = {.admit_waits = 10};
    varve *db = fake_store(&controls, "");
    varve_stats stats = {.size = sizeof stats};
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK(stats.stall_us > 0);
    CHECK(stats.stall_longest_us > 0 && stats.stall_longest_us <= stats.stall_us);
    CHECK_OK(varve_close(db));
}

TEST(a_writer_does_not_wait_for_work_that_fails)
{
    struct fake_controls controls = {.admit_waits = UINT64_MAX / 2, .tend_rc = VARVE_FULL};
    varve *db = fake_store(&controls, "");
    CHECK_RC(varve_put(db, str("a"), str("v")), VARVE_FULL);
    CHECK_RC(varve_flush(db), VARVE_FULL);
    CHECK_RC(varve_settle(db), VARVE_FULL);
    atomic_store(&controls.tend_rc, 0);
    atomic_store(&controls.admit_waits, 0);
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_close(db));
}

/* ---- background work */

TEST(settling_waits_until_there_is_nothing_left_to_do)
{
    struct fake_controls controls = {.tend_steps = 500};
    varve *db = fake_store(&controls, "background_threads=3");
    CHECK_OK(varve_settle(db));
    CHECK_EQ_INT(atomic_load(&controls.tend_steps), 0);
    CHECK_OK(varve_settle(db));
    CHECK_OK(varve_close(db));
}

TEST(a_stepped_store_moves_when_it_is_told_to)
{
    struct fake_controls controls = {.tend_steps = 2};
    varve *db = fake_store_stepped(&controls, "");
    enum vv_tended tended;
    CHECK_EQ_INT(atomic_load(&controls.seen.tends), 0);
    CHECK_OK(vv_db_tend(db, &tended));
    CHECK_EQ_INT(tended, VV_TENDED_WORKED);
    CHECK_OK(varve_settle(db));
    CHECK_OK(vv_db_tend(db, &tended));
    CHECK_EQ_INT(tended, VV_TENDED_IDLE);
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_compact(db, str("a"), varve_bytes(NULL, 0)));
    CHECK_EQ_INT(atomic_load(&controls.seen.compacts), 1);
    CHECK_OK(varve_close(db));
}

TEST(pauses_nest)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    CHECK_OK(varve_pause(db));
    CHECK_OK(varve_pause(db));
    CHECK_OK(varve_resume(db));
    CHECK_EQ_INT(atomic_load(&controls.seen.pauses), 1);
    CHECK_OK(varve_resume(db));
    CHECK_EQ_INT(atomic_load(&controls.seen.pauses), 0);
    CHECK_OK(varve_close(db));
}

TEST(what_is_not_paused_cannot_be_resumed)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    CHECK_RC(varve_resume(db), VARVE_INVALID);
    CHECK_EQ_INT(atomic_load(&controls.seen.pauses), 0);
    CHECK_OK(varve_pause(db));
    CHECK_OK(varve_resume(db));
    CHECK_RC(varve_resume(db), VARVE_INVALID);
    CHECK_EQ_INT(atomic_load(&controls.seen.pauses), 0);
    CHECK_OK(varve_close(db));
}

TEST(a_compaction_is_refused_while_compaction_is_paused)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    CHECK_OK(varve_pause(db));
    CHECK_RC(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)), VARVE_BUSY);
    CHECK_EQ_INT(atomic_load(&controls.seen.compacts), 0);
    CHECK_OK(varve_resume(db));
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_close(db));
}
