/*
 * Many threads on one store while it flushes and merges all the time. The history is checked as it
 * happens: values describe themselves, no batch is ever seen in part, nobody sees a key go back in
 * time, what was acknowledged before a read began is seen by it, and a snapshot reads the same twice.
 *
 * Keys come in groups of three that only batches change, one serial number for all three. Each group
 * has one writer; everybody reads.
 */
#include "base/hash.h"
#include "harness/sample.h"
#include "harness/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    GROUP_COUNT = 96,
    GROUP_SIZE = 3,
    WRITER_COUNT = 3,
    READER_COUNT = 2,
    KEY_SIZE = 24,
    VALUE_SIZE_MAX = 3000,
};

/* What a writer did to a group last: a serial number, and whether it was a deletion. */
struct group {
    _Atomic(uint64_t) issued; /* before the call; both sequentially consistent */
    _Atomic(uint64_t) acked;  /* after it */
};

struct shared {
    varve *db;
    struct group groups[GROUP_COUNT];
    atomic_bool stop;
    _Atomic(uint64_t) writes, reads, scans;
};

struct worker {
    struct shared *shared;
    unsigned number;
    pthread_t thread;
};

static uint64_t state_of(uint64_t serial, bool gone)
{
    return serial << 1 | gone;
}

static void key_make(char *key, unsigned group, unsigned part)
{
    snprintf(key, KEY_SIZE, "group%03u/%u", group, part);
}

static uint64_t serial_checked(vv_slice key, vv_slice value)
{
    uint64_t serial;

    CHECK(value.size >= SAMPLE_VALUE_HEAD);
    CHECK(sample_value_check(key, value, &serial));
    return serial;
}

/* ---- writers */

static void group_write(struct shared *s, varve_batch *batch, struct vv_rng *rng, unsigned group)
{
    static _Thread_local uint8_t value[VALUE_SIZE_MAX];
    uint64_t serial = (atomic_load(&s->groups[group].issued) >> 1) + 1;
    bool gone = vv_rng_one_in(rng, 6);
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;
    char key[KEY_SIZE];

    varve_batch_clear(batch);
    for (unsigned part = 0; part < GROUP_SIZE; part++) {
        size_t size =
            SAMPLE_VALUE_HEAD +
            vv_rng_below(rng, vv_rng_one_in(rng, 8) ? VALUE_SIZE_MAX - SAMPLE_VALUE_HEAD : 200);
        key_make(key, group, part);
        if (gone) {
            CHECK_OK(varve_batch_delete(batch, VARVE_STR(key)));
            continue;
        }
        sample_value_fill(value, size, vv_slice_str(key), serial);
        CHECK_OK(varve_batch_put(batch, VARVE_STR(key), varve_bytes(value, size)));
    }
    if (vv_rng_one_in(rng, 200))
        options.durability = VARVE_DURABILITY_DISK;
    atomic_store(&s->groups[group].issued, state_of(serial, gone));
    CHECK_OK(varve_write(s->db, batch, &options));
    atomic_store(&s->groups[group].acked, state_of(serial, gone));
    atomic_fetch_add(&s->writes, 1);
}

/* Some of a writer's groups at once, beside everybody else. */
static void bulk_write(struct shared *s, struct vv_rng *rng, unsigned number)
{
    static _Thread_local uint8_t value[SAMPLE_VALUE_HEAD + 400];
    unsigned first = (unsigned)vv_rng_below(rng, GROUP_COUNT / WRITER_COUNT / 2) * WRITER_COUNT;
    uint64_t serials[GROUP_COUNT];
    varve_bulk *bulk = NULL;
    char key[KEY_SIZE];

    CHECK_OK(varve_bulk_begin(s->db, NULL, &bulk));
    for (unsigned group = first + number; group < GROUP_COUNT; group += WRITER_COUNT) {
        serials[group] = (atomic_load(&s->groups[group].issued) >> 1) + 1;
        for (unsigned part = 0; part < GROUP_SIZE; part++) {
            size_t size = SAMPLE_VALUE_HEAD + vv_rng_below(rng, 400);
            key_make(key, group, part);
            sample_value_fill(value, size, vv_slice_str(key), serials[group]);
            CHECK_OK(varve_bulk_put(bulk, VARVE_STR(key), varve_bytes(value, size)));
        }
        atomic_store(&s->groups[group].issued, state_of(serials[group], false));
    }
    CHECK_OK(varve_bulk_commit(bulk));
    varve_bulk_end(bulk);
    for (unsigned group = first + number; group < GROUP_COUNT; group += WRITER_COUNT)
        atomic_store(&s->groups[group].acked, state_of(serials[group], false));
    atomic_fetch_add(&s->writes, 1);
}

static void *writer(void *context)
{
    struct worker *w = context;
    struct vv_rng rng = vv_rng_of(test_seed() + w->number);
    varve_batch *batch = NULL;

    CHECK_OK(varve_batch_new(&batch));
    while (!atomic_load(&w->shared->stop)) {
        unsigned group = (unsigned)vv_rng_below(&rng, GROUP_COUNT / WRITER_COUNT) * WRITER_COUNT;
        if (vv_rng_one_in(&rng, 300))
            bulk_write(w->shared, &rng, w->number);
        else
            group_write(w->shared, batch, &rng, group + w->number);
    }
    varve_batch_free(batch);
    return NULL;
}

/* ---- readers */

/* Reads a group in one call; gives its state, 0 for absent. */
static uint64_t group_read(struct shared *s, unsigned group)
{
    char texts[GROUP_SIZE][KEY_SIZE];
    varve_slice keys[GROUP_SIZE];
    varve_pinned pins[GROUP_SIZE];
    int results[GROUP_SIZE];
    uint64_t serial = 0;

    for (unsigned part = 0; part < GROUP_SIZE; part++) {
        key_make(texts[part], group, part);
        keys[part] = VARVE_STR(texts[part]);
    }
    CHECK_OK(varve_multi_get(s->db, GROUP_SIZE, keys, pins, results));
    for (unsigned part = 0; part < GROUP_SIZE; part++) {
        CHECK_EQ_INT(results[part], results[0]);
        if (results[part] == VARVE_NOTFOUND)
            continue;
        CHECK_OK(results[part]);
        uint64_t found = serial_checked(sample_private(keys[part]),
                                        vv_slice_of(pins[part].data, pins[part].size));
        CHECK(part == 0 || found == serial);
        serial = found;
        varve_unpin(&pins[part]);
    }
    return serial;
}

/* What `get` alone sees of a part. */
static uint64_t part_read(struct shared *s, unsigned group, unsigned part)
{
    char key[KEY_SIZE];
    varve_pinned pin;
    uint64_t serial;
    int rc;

    key_make(key, group, part);
    rc = varve_get(s->db, VARVE_STR(key), &pin);
    if (rc == VARVE_NOTFOUND)
        return 0;
    CHECK_OK(rc);
    serial = serial_checked(vv_slice_str(key), vv_slice_of(pin.data, pin.size));
    varve_unpin(&pin);
    return serial;
}

static void *reader(void *context)
{
    struct worker *w = context;
    struct shared *s = w->shared;
    struct vv_rng rng = vv_rng_of(test_seed() + 100 + w->number);
    static _Thread_local uint64_t seen[GROUP_COUNT];

    while (!atomic_load(&s->stop)) {
        unsigned group = (unsigned)vv_rng_below(&rng, GROUP_COUNT);
        uint64_t before = atomic_load(&s->groups[group].acked);
        uint64_t serial = vv_rng_one_in(&rng, 2)
                              ? group_read(s, group)
                              : part_read(s, group, (unsigned)vv_rng_below(&rng, GROUP_SIZE));
        uint64_t after = atomic_load(&s->groups[group].issued);

        if (serial > 0) {
            CHECK(serial >= seen[group]);
            CHECK(serial >= before >> 1);
            CHECK(serial <= after >> 1);
            seen[group] = serial;
        }
        if (before == after)
            CHECK_EQ_U64(serial, before & 1 ? 0 : before >> 1);
        if (seen[group] < before >> 1)
            seen[group] = before >> 1;
        atomic_fetch_add(&s->reads, 1);
    }
    return NULL;
}

/* ---- scanners */

struct scan {
    uint64_t hash;
    size_t count;
};

/* Reads everything once; every group must be there as a whole or not at all. */
static struct scan scan_all(struct shared *s, const varve_snapshot *at, bool backward)
{
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_iter *iter = NULL;
    struct scan scan = {0};
    uint64_t serial = 0;
    int rc;

    options.snapshot = at;
    CHECK_OK(varve_iter_open(s->db, &options, &iter));
    rc = backward ? varve_iter_last(iter) : varve_iter_first(iter);
    while (rc == VARVE_OK) {
        vv_slice key = sample_private(varve_iter_key(iter));
        varve_slice value;
        uint64_t found;

        CHECK_OK(varve_iter_value(iter, &value));
        found = serial_checked(key, sample_private(value));
        CHECK(scan.count % GROUP_SIZE == 0 || found == serial);
        serial = found;
        scan.hash += vv_hash_seeded(sample_private(value), vv_hash(key));
        scan.count++;
        rc = backward ? varve_iter_prev(iter) : varve_iter_next(iter);
    }
    CHECK_RC(rc, VARVE_END);
    CHECK_EQ_U64(scan.count % GROUP_SIZE, 0);
    varve_iter_close(iter);
    atomic_fetch_add(&s->scans, 1);
    return scan;
}

static void *scanner(void *context)
{
    struct worker *w = context;
    struct shared *s = w->shared;

    while (!atomic_load(&s->stop)) {
        varve_snapshot *snapshot = NULL;
        struct scan first;
        struct scan second;

        CHECK_OK(varve_snapshot_new(s->db, &snapshot));
        first = scan_all(s, snapshot, false);
        (void)scan_all(s, NULL, true);
        second = scan_all(s, snapshot, true);
        CHECK_EQ_U64(second.count, first.count);
        CHECK_EQ_U64(second.hash, first.hash);
        varve_snapshot_release(snapshot);
    }
    return NULL;
}

static void look_at_numbers(varve *db)
{
    varve_stats stats = {.size = sizeof stats};
    uint64_t bytes;

    CHECK_OK(varve_get_stats(db, &stats));
    CHECK_OK(varve_range_bytes(db, VARVE_STR("b"), VARVE_STR("k"), &bytes));
}

/* Keeps the background busy, and looks at the books. */
static void *keeper(void *context)
{
    struct worker *w = context;
    struct shared *s = w->shared;
    struct vv_rng rng = vv_rng_of(test_seed() + 200);

    while (!atomic_load(&s->stop)) {
        switch (vv_rng_below(&rng, 6)) {
        case 0: CHECK_OK(varve_flush(s->db)); break;
        case 1: CHECK_OK(varve_compact(s->db, varve_bytes(NULL, 0), varve_bytes(NULL, 0))); break;
        case 2: CHECK_OK(varve_sync(s->db)); break;
        case 3:
            CHECK_OK(varve_pause(s->db));
            CHECK(usleep(20 * 1000) == 0);
            CHECK_OK(varve_resume(s->db));
            break;
        default: look_at_numbers(s->db); break;
        }
        CHECK(usleep(50 * 1000) == 0);
    }
    return NULL;
}

static void expect_final(struct shared *s)
{
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        uint64_t state = atomic_load(&s->groups[group].acked);
        CHECK_EQ_U64(group_read(s, group), state & 1 ? 0 : state >> 1);
    }
}

static void workers_run(struct shared *s, time_t seconds)
{
    struct worker workers[WRITER_COUNT + READER_COUNT + 2];
    unsigned count = 0;
    time_t end = time(NULL) + seconds;

    for (unsigned i = 0; i < WRITER_COUNT + READER_COUNT + 2; i++) {
        void *(*run)(void *) = keeper;
        unsigned number = i;

        if (i < WRITER_COUNT)
            run = writer;
        else if (i < WRITER_COUNT + READER_COUNT)
            run = reader;
        else if (i == WRITER_COUNT + READER_COUNT)
            run = scanner;
        workers[count] = (struct worker){.shared = s, .number = number};
        CHECK(pthread_create(&workers[count].thread, NULL, run, &workers[count]) == 0);
        count++;
    }
    while (time(NULL) < end)
        CHECK(usleep(100 * 1000) == 0);
    atomic_store(&s->stop, true);
    while (count > 0)
        CHECK(pthread_join(workers[--count].thread, NULL) == 0);
}

TEST(threads_see_whole_batches_in_order_and_snapshots_that_stand_still)
{
    struct shared *s = calloc(1, sizeof *s);
    varve_options options = VARVE_OPTIONS_INIT;
    char path[512];

    CHECK(s != NULL);
    snprintf(path, sizeof path, "%s/store", test_tmpdir());
    options.memory_budget = (uint64_t)4 << 20;
    options.background_threads = 2;
    options.durability = VARVE_DURABILITY_OS;
    CHECK_OK(varve_open(path, &options, &s->db));
    workers_run(s, test_soak() ? 300 : 10);
    expect_final(s);
    CHECK_OK(varve_verify(s->db, NULL, NULL));
    CHECK_OK(varve_close(s->db));
    CHECK_OK(varve_open(path, &options, &s->db));
    expect_final(s);
    CHECK_OK(varve_close(s->db));
    printf("%" PRIu64 " batches, %" PRIu64 " reads, %" PRIu64 " scans\n", s->writes, s->reads,
           s->scans);
    CHECK(s->writes > 0 && s->reads > 0 && s->scans > 0);
    free(s);
}

/* ---- closing under everybody */

static void *reader_until_closed(void *context)
{
    varve_iter *iter = context;
    int rc;

    do {
        rc = varve_iter_next(iter);
        if (rc == VARVE_END)
            rc = varve_iter_first(iter);
    } while (rc == VARVE_OK);
    CHECK_RC(rc, VARVE_CLOSED);
    varve_iter_close(iter);
    return NULL;
}

TEST(a_store_closed_under_iterators_gives_errors_and_no_crash)
{
    char path[512];

    snprintf(path, sizeof path, "%s/store", test_tmpdir());
    for (int round = 0; round < 10; round++) {
        varve_options options = VARVE_OPTIONS_INIT;
        varve *db = NULL;
        pthread_t threads[4];

        options.memory_budget = (uint64_t)4 << 20;
        CHECK_OK(varve_open(path, &options, &db));
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", i);
            CHECK_OK(varve_put(db, VARVE_STR(key), VARVE_STR("value")));
        }
        for (int i = 0; i < 4; i++) {
            varve_iter *iter = NULL;
            CHECK_OK(varve_iter_open(db, NULL, &iter));
            CHECK(pthread_create(&threads[i], NULL, reader_until_closed, iter) == 0);
        }
        CHECK(usleep(5000) == 0);
        CHECK_OK(varve_close(db));
        for (int i = 0; i < 4; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}
