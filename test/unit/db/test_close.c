#include "base/error.h"
#include "db/open.h"
#include "env/posix.h"
#include "env/thread.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static void pause_us(uint64_t us)
{
    vv_env_sleep_us(vv_env_posix(), us);
}

static void check_all_answer(varve *db, int expected)
{
    varve_pinned out = {NULL, 9, {NULL, NULL}};
    varve_stats stats = {.size = sizeof stats};
    varve_slice key = str("k");
    varve_snapshot *snapshot;
    varve_batch *batch;
    varve_iter *it;
    char *text;
    size_t size;
    int result;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_RC(varve_put(db, key, str("v")), expected);
    CHECK_RC(varve_delete(db, key), expected);
    CHECK_RC(varve_write(db, batch, NULL), expected);
    CHECK_RC(varve_get(db, key, &out), expected);
    CHECK_RC(varve_get_into(db, key, NULL, 0, &size), expected);
    CHECK_RC(varve_exists(db, key), expected);
    CHECK_RC(varve_multi_get(db, 1, &key, &out, &result), expected);
    CHECK_RC(varve_iter_open(db, NULL, &it), expected);
    CHECK_RC(varve_snapshot_new(db, &snapshot), expected);
    CHECK_RC(varve_sync(db), expected);
    CHECK_RC(varve_flush(db), expected);
    CHECK_RC(varve_compact(db, key, key), expected);
    CHECK_RC(varve_settle(db), expected);
    CHECK_RC(varve_pause(db), expected);
    CHECK_RC(varve_verify(db, NULL, NULL), expected);
    CHECK_RC(varve_get_stats(db, &stats), expected);
    CHECK_RC(varve_stats_text(db, 0, &text), expected);
    CHECK_RC(varve_property(db, "path", &text), expected);
    CHECK_EQ_INT(out.size, 9);
    varve_batch_free(batch);
}

static void check_iter_answers(varve_iter *it, int expected)
{
    varve_slice slice;
    size_t count;
    CHECK_RC(varve_iter_first(it), expected);
    CHECK_RC(varve_iter_last(it), expected);
    CHECK_RC(varve_iter_seek(it, str("k")), expected);
    CHECK_RC(varve_iter_seek_for_prev(it, str("k")), expected);
    CHECK_RC(varve_iter_next(it), expected);
    CHECK_RC(varve_iter_prev(it), expected);
    CHECK_RC(varve_iter_value(it, &slice), expected);
    CHECK_RC(varve_iter_chunk(it, &slice, NULL, 1, &count), expected);
    CHECK_RC(varve_iter_refresh(it), expected);
    CHECK_EQ_INT(varve_iter_valid(it), 0);
    CHECK_EQ_INT(varve_iter_key(it).size, 0);
}

TEST(a_closed_handle_answers_closed)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "");
    CHECK_OK(varve_close(db));
    check_all_answer(db, VARVE_CLOSED);
    CHECK_RC(varve_close(db), VARVE_CLOSED);
    CHECK_EQ_INT(atomic_load(&controls.seen.closes), 1);
}

TEST(iterators_snapshots_and_pins_outlive_their_store_in_any_order)
{
    for (int order = 0; order < 6; order++) {
        struct fake_controls controls = {0};
        varve *db = fake_store(&controls, "");
        varve_snapshot *snapshot;
        varve_pinned out;
        varve_iter *it;
        CHECK_OK(varve_put(db, str("k"), str("value")));
        CHECK_OK(varve_get(db, str("k"), &out));
        CHECK_OK(varve_snapshot_new(db, &snapshot));
        CHECK_OK(varve_iter_open(db, NULL, &it));
        CHECK_OK(varve_iter_first(it));
        CHECK_OK(varve_close(db));
        CHECK_EQ_INT(atomic_load(&controls.seen.closes), 1);
        CHECK_EQ_INT(atomic_load(&controls.seen.iters_open), 0);
        check_all_answer(db, VARVE_CLOSED);
        check_iter_answers(it, VARVE_CLOSED);
        CHECK_SLICE(out, "value");
        for (int step = 0; step < 3; step++) {
            int which = (order % 3 + (order < 3 ? step : 3 - step)) % 3;
            if (which == 0)
                varve_iter_close(it);
            else if (which == 1)
                varve_snapshot_release(snapshot);
            else
                varve_unpin(&out);
        }
        CHECK_EQ_INT(atomic_load(&controls.seen.pins_open), 0);
    }
}

TEST(more_handles_may_be_closed_than_the_graveyard_holds)
{
    for (int i = 0; i < 200; i++) {
        struct fake_controls controls = {0};
        varve *db = fake_store_stepped(&controls, "");
        CHECK_OK(varve_close(db));
        CHECK_RC(varve_exists(db, str("k")), VARVE_CLOSED);
    }
}

TEST(closing_returns_the_first_failure_and_closes_all_the_same)
{
    struct fake_controls controls = {.sync_rc = VARVE_IO};
    varve *db = fake_store_stepped(&controls, "durability=os");
    CHECK_OK(varve_put(db, str("k"), str("v")));
    CHECK_RC(varve_close(db), VARVE_IO);
    CHECK_EQ_INT(atomic_load(&controls.seen.closes), 1);
    CHECK_RC(varve_close(db), VARVE_CLOSED);
}

/* ---- races */

struct user {
    varve *db;
    int kind;
    struct vv_thread *thread;
};

static void use_iterator(varve *db)
{
    varve_iter *it;
    int rc = varve_iter_open(db, NULL, &it);
    if (rc < 0) {
        CHECK_RC(rc, VARVE_CLOSED);
        return;
    }
    while ((rc = varve_iter_next(it)) == VARVE_OK || rc == VARVE_END)
        if (rc == VARVE_END && (rc = varve_iter_refresh(it)) < 0)
            break;
    CHECK_RC(rc, VARVE_CLOSED);
    varve_iter_close(it);
}

/* Holds pins for a while, so that some are out when the store closes. */
static int use_pins(varve *db)
{
    varve_pinned out[8] = {0};
    int rc = VARVE_OK;
    for (int i = 0; i < 8 && rc == VARVE_OK; i++)
        rc = varve_get(db, str("k"), &out[i]);
    for (int i = 0; i < 8; i++)
        varve_unpin(&out[i]);
    return rc;
}

static int use_snapshot(varve *db)
{
    varve_snapshot *snapshot;
    varve_pinned out;
    int rc = varve_snapshot_new(db, &snapshot);
    if (rc < 0)
        return rc;
    rc = varve_get_at(db, snapshot, str("k"), &out);
    if (rc == VARVE_OK)
        varve_unpin(&out);
    varve_snapshot_release(snapshot);
    return rc;
}

static void user_run(void *arg)
{
    struct user *u = arg;
    int rc = VARVE_OK;
    while (rc >= 0) {
        switch (u->kind % 5) {
        case 0: rc = varve_put(u->db, str("k"), str("v")); break;
        case 1: rc = use_pins(u->db); break;
        case 2: rc = use_snapshot(u->db); break;
        case 3: rc = varve_flush(u->db); break;
        default: use_iterator(u->db); rc = VARVE_CLOSED;
        }
    }
    CHECK_RC(rc, VARVE_CLOSED);
}

TEST(a_store_can_be_closed_under_the_hands_of_its_users)
{
    enum { USERS = 5 };
    int rounds = test_soak() ? 500 : 20;
    for (int round = 0; round < rounds; round++) {
        struct fake_controls controls = {0};
        struct user users[USERS];
        varve *db = fake_store(&controls, round % 2 == 0 ? "durability=disk" : "");
        CHECK_OK(varve_put(db, str("k"), str("v")));
        for (int i = 0; i < USERS; i++) {
            users[i] = (struct user){db, i, NULL};
            CHECK_OK(vv_thread_start("user", 0, user_run, &users[i], &users[i].thread));
        }
        pause_us(1000 + 300 * (uint64_t)(round % 10));
        CHECK_OK(varve_close(db));
        CHECK_EQ_INT(atomic_load(&controls.seen.closes), 1);
        for (int i = 0; i < USERS; i++)
            vv_thread_join(users[i].thread);
        CHECK_EQ_INT(atomic_load(&controls.seen.pins_open), 0);
    }
}

static void flusher_run(void *arg)
{
    struct user *u = arg;
    CHECK_RC(varve_flush(u->db), VARVE_CLOSED);
}

TEST(closing_does_not_wait_for_work_that_never_ends)
{
    struct fake_controls controls = {.held = 1};
    varve *db = fake_store(&controls, "");
    struct user u = {db, 0, NULL};
    CHECK_OK(vv_thread_start("flusher", 0, flusher_run, &u, &u.thread));
    while (atomic_load(&controls.seen.flushes) == 0)
        pause_us(100);
    CHECK_OK(varve_close(db));
    vv_thread_join(u.thread);
}

/* ---- fork */

static void check_child(pid_t pid)
{
    int status = 0;
    CHECK_EQ_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ_INT(WEXITSTATUS(status), 0);
}

static void use_in_child(varve *db, varve_iter *it, varve_snapshot *snapshot, varve_pinned *pin)
{
    check_all_answer(db, VARVE_FORKED);
    check_iter_answers(it, VARVE_FORKED);
    CHECK_SLICE(*pin, "value");
    varve_unpin(pin);
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
    varve_snapshot_release(snapshot);
    check_all_answer(db, VARVE_FORKED);
}

TEST(a_forked_child_is_refused_and_harms_nothing)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "sync_interval_ms=1");
    varve_snapshot *snapshot;
    varve_pinned out;
    varve_iter *it;
    CHECK_OK(varve_put(db, str("k"), str("value")));
    CHECK_OK(varve_get(db, str("k"), &out));
    CHECK_OK(varve_snapshot_new(db, &snapshot));
    CHECK_OK(varve_iter_open(db, NULL, &it));
    CHECK_OK(varve_iter_first(it));
    pid_t pid = fork();
    if (pid == 0) {
        use_in_child(db, it, snapshot, &out);
        _exit(0);
    }
    check_child(pid);
    CHECK_OK(varve_put(db, str("k"), str("other")));
    CHECK_OK(varve_iter_first(it));
    varve_unpin(&out);
    varve_iter_close(it);
    varve_snapshot_release(snapshot);
    CHECK_OK(varve_close(db));
}

TEST(a_forked_child_does_not_disturb_the_files_of_its_parent)
{
    varve *db;
    varve_pinned out;
    const char *path = test_tmpdir();
    CHECK_OK(varve_open(path, NULL, &db));
    CHECK_OK(varve_put(db, str("k"), str("v")));
    pid_t pid = fork();
    if (pid == 0) {
        varve *again;
        CHECK_OK(varve_close(db));
        CHECK_RC(varve_open(path, NULL, &again), VARVE_LOCKED);
        _exit(0);
    }
    check_child(pid);
    CHECK_OK(varve_put(db, str("l"), str("v")));
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_open(path, NULL, &db));
    CHECK_OK(varve_get(db, str("l"), &out));
    varve_unpin(&out);
    CHECK_OK(varve_close(db));
}
