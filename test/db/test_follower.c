/*
 * A read-only handle that follows a writer: each refresh shows a later state, whole, to readers that
 * go on meanwhile.
 */
#include "base/alloc.h"
#include "base/coding.h"
#include "db/store.h"
#include "env/thread.h"
#include "harness/test.h"

#include <stdio.h>

enum { READERS = 2, ROUNDS = 120, STEPS = 40, PADDING = 1500 };

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

struct scene {
    varve *writer, *follower;
    _Atomic(uint64_t) acknowledged; /* the last number written */
    _Atomic(bool) is_over;
};

static const char *store_path(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", test_tmpdir(), name);
    return path;
}

static varve *open_at(const char *path, const char *text)
{
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db = NULL;
    CHECK_OK(varve_options_set(&options, text));
    CHECK_OK(varve_open(path, &options, &db));
    return db;
}

/* The same number under both keys, some of it in tables, logs and value files. */
static void write_number(varve *db, uint64_t number)
{
    uint8_t value[PADDING];
    varve_batch *batch;
    memset(value, (int)(number & 0xff), sizeof value);
    vv_put_u64(value, number);
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("first"), varve_bytes(value, 8)));
    CHECK_OK(varve_batch_put(batch, str("second"), varve_bytes(value, sizeof value)));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
}

static uint64_t number_in(varve_pinned *pinned)
{
    uint64_t number = vv_get_u64(pinned->data);
    varve_unpin(pinned);
    return number;
}

/* Both keys at one moment. */
static uint64_t read_number(varve *db)
{
    varve_slice keys[] = {str("first"), str("second")};
    varve_pinned values[2];
    int results[2];
    CHECK_OK(varve_multi_get(db, 2, keys, values, results));
    CHECK_OK(results[0]);
    CHECK_OK(results[1]);
    uint64_t first = number_in(&values[0]);
    CHECK_EQ_U64(number_in(&values[1]), first);
    return first;
}

static void read_on(void *context)
{
    struct scene *scene = context;
    uint64_t last = 0;
    while (!atomic_load(&scene->is_over)) {
        uint64_t number = read_number(scene->follower);
        CHECK(number >= last);
        last = number;
    }
}

static void write_on(void *context)
{
    struct scene *scene = context;
    for (uint64_t number = 2; !atomic_load(&scene->is_over); number++) {
        write_number(scene->writer, number);
        atomic_store(&scene->acknowledged, number);
        if (number % STEPS == 0)
            CHECK_OK(varve_flush(scene->writer));
        if (number % (STEPS * 4) == 0)
            CHECK_OK(varve_compact(scene->writer, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    }
}

TEST(a_follower_goes_from_one_whole_state_to_a_later_one)
{
    struct scene scene = {.is_over = false};
    struct vv_thread *writer, *readers[READERS];
    const char *path = store_path("follower");
    scene.writer = open_at(path, "memory_budget=4MiB");
    write_number(scene.writer, 1);
    scene.follower = open_at(path, "mode=readonly");
    CHECK_OK(vv_thread_start("writer", 0, write_on, &scene, &writer));
    for (int i = 0; i < READERS; i++)
        CHECK_OK(vv_thread_start("reader", 0, read_on, &scene, &readers[i]));
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t acknowledged = atomic_load(&scene.acknowledged);
        CHECK_OK(varve_refresh(scene.follower));
        CHECK(read_number(scene.follower) >= acknowledged);
    }
    atomic_store(&scene.is_over, true);
    for (int i = 0; i < READERS; i++)
        vv_thread_join(readers[i]);
    vv_thread_join(writer);
    CHECK_OK(varve_close(scene.follower));
    CHECK_OK(varve_close(scene.writer));
}

TEST(iterators_stay_and_snapshots_forbid)
{
    const char *path = store_path("moments");
    varve *writer = open_at(path, "");
    CHECK_OK(varve_put(writer, str("a"), str("1")));
    varve *follower = open_at(path, "mode=readonly");
    varve_snapshot *snapshot;
    varve_iter *it;
    CHECK_OK(varve_iter_open(follower, NULL, &it));
    CHECK_OK(varve_snapshot_new(follower, &snapshot));
    CHECK_OK(varve_put(writer, str("b"), str("2")));
    CHECK_RC(varve_refresh(follower), VARVE_BUSY);
    CHECK_RC(varve_exists(follower, str("b")), VARVE_NOTFOUND);
    varve_snapshot_release(snapshot);
    CHECK_OK(varve_refresh(follower));
    CHECK_OK(varve_exists(follower, str("b")));
    CHECK_OK(varve_iter_first(it));
    CHECK_RC(varve_iter_next(it), VARVE_END);
    CHECK_OK(varve_iter_refresh(it));
    CHECK_OK(varve_iter_first(it));
    CHECK_OK(varve_iter_next(it));
    varve_iter_close(it);
    CHECK_OK(varve_refresh(writer));
    CHECK_OK(varve_close(follower));
    CHECK_RC(varve_refresh(follower), VARVE_CLOSED);
    CHECK_OK(varve_close(writer));
}

TEST(a_follower_learns_of_keyspaces)
{
    const char *path = store_path("spaces");
    varve *writer = open_at(path, "");
    varve *follower = open_at(path, "mode=readonly");
    varve_keyspace *made, *seen;
    CHECK_OK(varve_keyspace_create(writer, "books", NULL, &made));
    CHECK_OK(varve_put(made, str("a"), str("1")));
    CHECK_RC(varve_keyspace_open(follower, "books", &seen), VARVE_MISSING);
    CHECK_OK(varve_refresh(follower));
    CHECK_OK(varve_keyspace_open(follower, "books", &seen));
    CHECK_OK(varve_exists(seen, str("a")));
    CHECK_OK(varve_close(follower));
    CHECK_OK(varve_close(writer));
}
