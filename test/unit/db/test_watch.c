/*
 * Writes that rely on what they have read: refused exactly when it has changed; and holding the
 * queue.
 */
#include "db/store.h"
#include "env/posix.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

#include "base/hash.h"
#include "kv/batch.h"

#include <stdio.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static struct vv_commit *commit_of(varve *db)
{
    return &db->store->commit;
}

/* A key as the engine knows it: in the default keyspace. Good for the next few calls. */
static vv_slice inner(const char *key)
{
    static _Thread_local char bytes[8][64];
    static _Thread_local unsigned next;
    char *at = bytes[next++ % 8];
    int size = snprintf(at, sizeof bytes[0], "%c%s", 0, key);
    return vv_slice_of(at, (size_t)size);
}

static void watch(varve *db, struct vv_watched *out)
{
    vv_watch_begin(&commit_of(db)->watch, &db->store->snapshots, out);
}

static void unwatch(varve *db, struct vv_watched *watched)
{
    vv_watch_end(&commit_of(db)->watch, &db->store->snapshots, watched);
}

/* Puts `key` if `relied` has not changed since. */
static int put_if_unchanged(varve *db, const char *key, const struct vv_reliance *r)
{
    struct vv_batch b = {.ops = VV_BUF_INIT, .space = vv_space_of(0)};
    CHECK_OK(vv_batch_put(&b, vv_slice_str(key), vv_slice_str("v")));
    struct vv_write write = {.ops = vv_buf_slice(&b.ops), .count = 1};
    write.body_hash = vv_hash(write.ops);
    int rc = vv_commit_checked(commit_of(db), &write, VV_COMMIT_LAID, r);
    vv_batch_deinit(&b);
    return rc;
}

static int put_if_key(varve *db, const char *key, const char *relied, vv_seq since)
{
    vv_slice key_of = inner(relied);
    struct vv_relied_key one = {key_of, vv_hash(key_of)};
    return put_if_unchanged(db, key,
                            &(struct vv_reliance){.since = since, .keys = &one, .key_count = 1});
}

static int put_if_range(varve *db, const char *key, struct vv_relied_range range, vv_seq since)
{
    return put_if_unchanged(
        db, key, &(struct vv_reliance){.since = since, .ranges = &range, .range_count = 1});
}

TEST(a_write_is_refused_exactly_when_what_it_relies_on_has_changed)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=os");
    struct vv_watched w;
    CHECK_OK(varve_put(db, str("a"), str("1")));
    CHECK_OK(varve_put(db, str("b"), str("1")));
    watch(db, &w);
    vv_seq since = w.snapshot.seq;
    CHECK_EQ_U64(since, 2);
    CHECK_OK(put_if_key(db, "x", "a", since));
    CHECK_OK(put_if_key(db, "y", "never written", since));
    CHECK_OK(varve_put(db, str("a"), str("2")));
    CHECK_RC(put_if_key(db, "x", "a", since), VV_CONFLICT);
    CHECK_OK(put_if_key(db, "x", "b", since));
    CHECK_OK(varve_delete(db, str("b")));
    CHECK_RC(put_if_key(db, "x", "b", since), VV_CONFLICT);
    CHECK_RC(put_if_key(db, "x", "x", since), VV_CONFLICT);
    unwatch(db, &w);
    CHECK_OK(varve_close(db));
}

TEST(the_table_spares_the_engine_what_it_can_prove)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=os");
    struct vv_watched w;
    char name[16];
    CHECK_OK(varve_put(db, str("a"), str("1")));
    watch(db, &w);
    CHECK_OK(put_if_key(db, "x", "a", w.snapshot.seq));
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "key%d", i);
        CHECK_OK(varve_put(db, str(name), str("v")));
    }
    CHECK_OK(put_if_key(db, "x", "a", w.snapshot.seq));
    CHECK_EQ_U64(atomic_load(&controls.seen.asks), 0);
    CHECK_RC(put_if_key(db, "x", "key7", w.snapshot.seq), VV_CONFLICT);
    CHECK_EQ_U64(atomic_load(&controls.seen.asks), 1);
    unwatch(db, &w);
    CHECK_OK(varve_close(db));
}

/* The table knows nothing of what was written before it was there, or while nobody watched. */
TEST(what_was_written_unnoted_is_asked_for)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=os");
    for (int round = 0; round < 3; round++) {
        struct vv_watched early, late;
        watch(db, &early);
        CHECK_OK(varve_put(db, str("a"), str("noted")));
        unwatch(db, &early);
        CHECK_OK(varve_put(db, str("a"), str("unnoted")));
        watch(db, &late);
        CHECK_OK(put_if_key(db, "x", "a", late.snapshot.seq));
        CHECK_RC(put_if_key(db, "x", "a", late.snapshot.seq - 1), VV_CONFLICT);
        unwatch(db, &late);
    }
    CHECK_OK(varve_close(db));
}

static struct vv_relied_range range_of(const char *from, const char *to, bool closed)
{
    return (struct vv_relied_range){from != NULL ? inner(from) : VV_SLICE_EMPTY,
                                    to != NULL ? inner(to) : VV_SLICE_EMPTY, closed};
}

TEST(a_range_has_changed_when_any_key_in_it_has)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=os");
    struct vv_watched w;
    CHECK_OK(varve_put(db, str("d"), str("1")));
    watch(db, &w);
    vv_seq since = w.snapshot.seq;
    CHECK_OK(put_if_range(db, "m", range_of(NULL, NULL, false), since));
    CHECK_RC(put_if_range(db, "x", range_of(NULL, NULL, false), since), VV_CONFLICT);
    CHECK_RC(put_if_range(db, "x", range_of("a", NULL, false), since), VV_CONFLICT);
    CHECK_RC(put_if_range(db, "x", range_of("m", "z", false), since), VV_CONFLICT);
    CHECK_RC(put_if_range(db, "x", range_of("a", "m", true), since), VV_CONFLICT);
    CHECK_OK(put_if_range(db, "x", range_of("a", "m", false), since));
    CHECK_OK(put_if_range(db, "x", range_of("ma", "w", true), since));
    CHECK_OK(put_if_range(db, "x", range_of(NULL, "d", true), since));
    unwatch(db, &w);
    CHECK_OK(varve_close(db));
}

/* ---- many threads */

struct counter {
    varve *db;
    int rounds;
    _Atomic(uint64_t) *conflicts;
    struct vv_thread *thread;
};

static uint64_t read_count(varve *db, vv_seq at, const char *key)
{
    struct vv_pin pin = {.release = NULL};
    uint64_t value = 0;
    int rc = db->store->engine->ops->get(db->store->engine, at, inner(key), &pin);
    if (rc == VV_NOTFOUND)
        return 0;
    CHECK_OK(rc);
    CHECK_EQ_U64(pin.value.size, sizeof value);
    memcpy(&value, pin.value.data, sizeof value);
    vv_pin_release(&pin);
    return value;
}

/* One attempt to add one to the counter. */
static int count_once(varve *db, const char *key, enum vv_commit_level level)
{
    struct vv_watched w;
    struct vv_batch b = {.ops = VV_BUF_INIT};
    watch(db, &w);
    vv_slice key_of = inner(key);
    struct vv_relied_key relied = {key_of, vv_hash(key_of)};
    uint64_t value = read_count(db, w.snapshot.seq, key) + 1;
    CHECK_OK(vv_batch_put(&b, relied.key, vv_slice_of(&value, sizeof value)));
    struct vv_write write = {.ops = vv_buf_slice(&b.ops), .count = 1};
    write.body_hash = vv_hash(write.ops);
    struct vv_reliance r = {.since = w.snapshot.seq, .keys = &relied, .key_count = 1};
    int rc = vv_commit_checked(commit_of(db), &write, level, &r);
    vv_batch_deinit(&b);
    unwatch(db, &w);
    return rc;
}

static void count_run(void *arg)
{
    struct counter *me = arg;
    for (int i = 0; i < me->rounds; i++) {
        int rc;
        char other[16];
        (void)snprintf(other, sizeof other, "other%d", i % 10);
        CHECK_OK(varve_put(me->db, str(other), str("v")));
        while ((rc = count_once(me->db, "n", i % 7 == 0 ? VV_COMMIT_SAFE : VV_COMMIT_LAID)) != 0) {
            CHECK_RC(rc, VV_CONFLICT);
            atomic_fetch_add(me->conflicts, 1);
        }
    }
}

TEST(no_addition_to_a_counter_is_lost)
{
    enum { THREADS = 4, ROUNDS = 400 };
    struct fake_controls controls = {.sync_us = 50};
    varve *db = fake_store(&controls, "durability=os");
    _Atomic(uint64_t) conflicts = 0;
    struct counter counters[THREADS];
    for (int i = 0; i < THREADS; i++) {
        counters[i] = (struct counter){db, ROUNDS, &conflicts, NULL};
        CHECK_OK(vv_thread_start("counter", 0, count_run, &counters[i], &counters[i].thread));
    }
    for (int i = 0; i < THREADS; i++)
        vv_thread_join(counters[i].thread);
    CHECK_EQ_U64(read_count(db, VV_SEQ_NOW, "n"), THREADS * ROUNDS);
    printf("%llu conflicts\n", (unsigned long long)atomic_load(&conflicts));
    CHECK_OK(varve_close(db));
}

/* ---- holding */

static int put_held(varve *db, uint64_t id, const char *key)
{
    struct vv_batch b = {.ops = VV_BUF_INIT, .space = vv_space_of(0)};
    CHECK_OK(vv_batch_put(&b, vv_slice_str(key), vv_slice_str("v")));
    struct vv_write write = {.ops = vv_buf_slice(&b.ops), .count = 1};
    write.body_hash = vv_hash(write.ops);
    int rc = vv_commit_write_held(commit_of(db), id, &write, VV_COMMIT_LAID);
    vv_batch_deinit(&b);
    return rc;
}

struct writer {
    varve *db;
    const char *key;
    _Atomic(int) rc; /* 99: not back yet */
    struct vv_thread *thread;
};

static void put_run(void *arg)
{
    struct writer *w = arg;
    atomic_store(&w->rc, varve_put(w->db, str(w->key), str("v")));
}

static void hold_run(void *arg)
{
    struct writer *w = arg;
    uint64_t id = 0;
    int rc = vv_commit_hold(commit_of(w->db), 20, &id);
    atomic_store(&w->rc, rc);
    vv_commit_let_go(commit_of(w->db), id);
}

static void start(struct writer *w, varve *db, void (*run)(void *))
{
    *w = (struct writer){.db = db, .key = "other", .rc = 99};
    CHECK_OK(vv_thread_start("writer", 0, run, w, &w->thread));
}

TEST(a_held_queue_lets_nobody_pass_and_its_own_write_goes_first)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "durability=os");
    struct writer w;
    uint64_t id = 0;
    CHECK_OK(vv_commit_hold(commit_of(db), UINT32_MAX, &id));
    start(&w, db, put_run);
    vv_env_sleep_us(vv_env_posix(), 20000);
    CHECK_EQ_INT(atomic_load(&w.rc), 99);
    CHECK_EQ_INT(varve_exists(db, str("other")), VV_NOTFOUND);
    CHECK_OK(put_held(db, id, "own"));
    vv_thread_join(w.thread);
    CHECK_OK(atomic_load(&w.rc));
    CHECK_OK(varve_exists(db, str("own")));
    CHECK_OK(varve_exists(db, str("other")));
    CHECK_OK(varve_close(db));
}

TEST(a_thread_that_would_wait_for_itself_is_told_so)
{
    struct fake_controls controls = {0};
    varve *db = fake_store_stepped(&controls, "durability=os");
    uint64_t id = 0, second = 0;
    CHECK_OK(vv_commit_hold(commit_of(db), UINT32_MAX, &id));
    CHECK_RC(varve_put(db, str("a"), str("v")), VV_BUSY);
    CHECK_RC(vv_commit_hold(commit_of(db), UINT32_MAX, &second), VV_BUSY);
    vv_commit_let_go(commit_of(db), id);
    vv_commit_let_go(commit_of(db), id);
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(varve_close(db));
}

TEST(who_waits_too_long_leaves_the_queue_and_the_others_go_on)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "durability=os");
    struct writer before, patient[2], behind;
    uint64_t id = 0;
    CHECK_OK(vv_commit_hold(commit_of(db), UINT32_MAX, &id));
    start(&before, db, put_run);
    start(&patient[0], db, hold_run);
    start(&patient[1], db, hold_run);
    vv_env_sleep_us(vv_env_posix(), 5000);
    start(&behind, db, put_run);
    vv_thread_join(patient[0].thread);
    vv_thread_join(patient[1].thread);
    CHECK_RC(atomic_load(&patient[0].rc), VV_BUSY);
    CHECK_RC(atomic_load(&patient[1].rc), VV_BUSY);
    vv_commit_let_go(commit_of(db), id);
    vv_thread_join(before.thread);
    vv_thread_join(behind.thread);
    CHECK_OK(atomic_load(&before.rc));
    CHECK_OK(atomic_load(&behind.rc));
    CHECK_OK(varve_close(db));
}

TEST(closing_takes_a_hold_away)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "durability=os");
    struct writer w;
    uint64_t id = 0;
    CHECK_OK(vv_commit_hold(commit_of(db), UINT32_MAX, &id));
    start(&w, db, put_run);
    vv_env_sleep_us(vv_env_posix(), 5000);
    CHECK_OK(varve_close(db));
    vv_thread_join(w.thread);
    CHECK_OK(atomic_load(&w.rc)); /* it had come before the close */
}

/* Holders, givers-up and writers, all at once: everybody's write arrives. */
struct crowd {
    varve *db;
    int id, writes;
    struct vv_thread *thread;
};

static void crowd_run(void *arg)
{
    struct crowd *me = arg;
    for (int i = 0; i < 300; i++) {
        char key[32];
        uint64_t id = 0;
        (void)snprintf(key, sizeof key, "%d-%d", me->id, me->writes);
        int rc = i % 3 == 0 ? vv_commit_hold(commit_of(me->db), (uint32_t)i % 2, &id) : VV_OK;
        if (rc == VV_BUSY)
            continue;
        CHECK_OK(rc);
        CHECK_OK(id != 0 ? put_held(me->db, id, key) : varve_put(me->db, str(key), str("v")));
        me->writes++;
    }
}

TEST(a_crowd_of_holders_and_writers_loses_nothing)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "durability=os");
    struct crowd crowd[4];
    for (int i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){db, i, 0, NULL};
        CHECK_OK(vv_thread_start("crowd", 0, crowd_run, &crowd[i], &crowd[i].thread));
    }
    for (int i = 0; i < 4; i++) {
        vv_thread_join(crowd[i].thread);
        for (int k = 0; k < crowd[i].writes; k++) {
            char key[32];
            (void)snprintf(key, sizeof key, "%d-%d", i, k);
            CHECK_OK(varve_exists(db, str(key)));
        }
    }
    CHECK_OK(varve_close(db));
}
