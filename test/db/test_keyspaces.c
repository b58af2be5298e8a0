/*
 * Keyspaces under strain: threads that make and use them at once, calls and allocations that fail
 * while one is made, power cut at every call of it, and thousands of them.
 */
#include "base/alloc.h"
#include "db/open.h"
#include "env/posix.h"
#include "env/sim.h"
#include "harness/rig.h"
#include "harness/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static int backward(void *context, varve_slice a, varve_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(b.data, a.data, common) : 0;
    (void)context;
    return order != 0 ? order : (a.size < b.size) - (a.size > b.size);
}

static const varve_comparator orders[] = {{"backward", backward, NULL}};

/* ---- one life in a simulated world */

static const char *const names[] = {"plain", "turned", "later"};

static struct vv_db_world world_of(struct vv_env *env)
{
    return (struct vv_db_world){.env = env, .stepped = true, .tuning = rig_tuning_tiny()};
}

static int open_in(struct vv_env *env, varve **out)
{
    struct vv_db_world world = world_of(env);
    varve_options options = VARVE_OPTIONS_INIT;
    options.memory_budget = (uint64_t)4 << 20;
    options.durability = VARVE_DURABILITY_DISK;
    options.comparators = orders;
    options.comparator_count = 1;
    return vv_db_open(&world, "/store", &options, out);
}

static int create(varve *db, int i, varve_keyspace **out)
{
    varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
    options.comparator = i == 1 ? &orders[0] : NULL;
    return varve_keyspace_create(db, names[i], &options, out);
}

/* What a life was promised, by the calls that its world had seen. */
struct life {
    uint64_t calls_before[3], calls_made[3], calls_filled[3];
};

static int fill(varve *ks)
{
    varve_batch *batch;
    int rc = varve_batch_new(&batch);
    for (const char *key = "bca"; rc == VARVE_OK && *key != 0; key++) {
        rc = varve_batch_put_in(batch, ks, varve_bytes(key, 1), str("v"));
        if (rc == VARVE_OK)
            rc = varve_batch_put(batch, varve_bytes(key, 1), str("v"));
    }
    if (rc == VARVE_OK)
        rc = varve_write(ks, batch, NULL);
    varve_batch_free(batch);
    return rc;
}

static void expect_keys(varve *db, const char *expected)
{
    char text[64] = "";
    varve_iter *it;
    CHECK_OK(varve_iter_open(db, NULL, &it));
    while (varve_iter_next(it) == VARVE_OK)
        (void)strncat(text, varve_iter_key(it).data, varve_iter_key(it).size);
    varve_iter_close(it);
    CHECK_EQ_STR(text, expected);
}

static const char *filled_text(int i)
{
    return i == 1 ? "cba" : "abc";
}

/* Makes three keyspaces, the second with a comparator in a store that was bytewise, and writes to
 * each together with the default one. */
static void live(struct vv_env *env, struct life *life)
{
    varve *db;
    varve_keyspace *ks;
    CHECK_OK(open_in(env, &db));
    CHECK_OK(varve_put(db, str("0"), str("in the memtable")));
    for (int i = 0; i < 3; i++) {
        life->calls_before[i] = vv_sim_call_count(env);
        CHECK_OK(create(db, i, &ks));
        life->calls_made[i] = vv_sim_call_count(env);
        CHECK_OK(fill(ks));
        life->calls_filled[i] = vv_sim_call_count(env);
        expect_keys(ks, filled_text(i));
    }
    CHECK_OK(varve_close(db));
}

/* A recovered store goes on: it makes what is missing, fills all, and is opened once more. */
static void live_on(struct vv_env *env, varve *db)
{
    varve_keyspace *ks;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            int rc = varve_keyspace_open(db, names[i], &ks);
            if (rc == VARVE_MISSING && round == 0)
                rc = create(db, i, &ks);
            CHECK_OK(rc);
            if (round == 0)
                CHECK_OK(fill(ks));
            expect_keys(ks, filled_text(i));
        }
        if (round == 0) {
            CHECK_OK(varve_flush(db));
            CHECK_OK(varve_close(db));
            CHECK_OK(open_in(env, &db));
        }
    }
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_close(db));
}

static void look(struct vv_env *env, uint64_t n, const struct life *life)
{
    varve *db;
    varve_keyspace *ks;
    CHECK_OK(open_in(env, &db));
    for (int i = 0; i < 3; i++) {
        int rc = varve_keyspace_open(db, names[i], &ks);
        CHECK(rc == VARVE_OK || rc == VARVE_MISSING);
        CHECK(rc != VARVE_OK || n > life->calls_before[i]);
        CHECK(rc == VARVE_OK || n < life->calls_made[i]);
        if (rc == VARVE_OK && varve_exists(ks, str("b")) == VARVE_OK) {
            expect_keys(ks, filled_text(i));
            CHECK_OK(varve_exists(db, str("a")));
        } else {
            CHECK(n < life->calls_filled[i]);
            if (rc == VARVE_OK)
                expect_keys(ks, "");
            if (i == 0)
                CHECK_RC(varve_exists(db, str("b")), VARVE_NOTFOUND);
        }
    }
    live_on(env, db);
}

TEST(power_may_fail_at_every_call_while_keyspaces_are_made)
{
    struct vv_env *env, *image;
    struct life life;
    uint64_t images = 0;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    live(env, &life);
    for (uint64_t n = 0; n <= vv_sim_call_count(env); n++) {
        for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
            int choices = model == VV_SIM_SYNCED || model == VV_SIM_ALL ? 1 : 3;
            for (int choice = 0; choice < choices; choice++, images++) {
                if (model == VV_SIM_SECTORS && choice > 0)
                    continue;
                CHECK_OK(vv_sim_image(env, n, (enum vv_sim_model)model,
                                      test_seed() + n * 64 + (uint64_t)choice, &image));
                look(image, n, &life);
                vv_env_sim_free(image);
            }
        }
    }
    printf("%" PRIu64 " images\n", images);
    vv_env_sim_free(env);
}

/* Two keyspaces with keys, of which the first is dropped and made anew. */
struct dropping {
    uint64_t calls_filled, calls_before, calls_dropped, calls_again, calls_end;
};

static void live_and_drop(struct vv_env *env, int turned, struct dropping *d)
{
    varve *db;
    varve_keyspace *ks, *other;
    CHECK_OK(open_in(env, &db));
    CHECK_OK(create(db, turned, &ks));
    CHECK_OK(create(db, 2, &other));
    CHECK_OK(fill(ks));
    CHECK_OK(fill(other));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_put(ks, str("d"), str("in the memtable")));
    d->calls_filled = vv_sim_call_count(env);
    CHECK_OK(varve_put(other, str("d"), str("v")));
    d->calls_before = vv_sim_call_count(env);
    CHECK_OK(varve_keyspace_drop(ks));
    d->calls_dropped = vv_sim_call_count(env);
    CHECK_OK(create(db, turned, &ks));
    d->calls_again = vv_sim_call_count(env);
    CHECK_OK(varve_put(ks, str("e"), str("v")));
    CHECK_OK(varve_flush(db));
    d->calls_end = vv_sim_call_count(env);
    CHECK_OK(varve_close(db));
}

static void look_at_drop(struct vv_env *env, uint64_t n, int turned, const struct dropping *d)
{
    varve *db;
    varve_keyspace *ks, *other;
    uint64_t bytes;
    for (int round = 0; round < 3; round++) {
        CHECK_OK(open_in(env, &db));
        int rc = varve_keyspace_open(db, names[turned], &ks);
        if (rc == VARVE_MISSING) {
            CHECK(n > d->calls_before && n < d->calls_again);
            CHECK_OK(create(db, turned, &ks));
            expect_keys(ks, "");
            CHECK_OK(varve_keyspace_drop(ks));
        } else if (varve_exists(ks, str("a")) == VARVE_OK) {
            CHECK(n < d->calls_dropped);
            expect_keys(ks, turned == 1 ? "dcba" : "abcd");
        } else {
            CHECK(n > d->calls_dropped);
            expect_keys(ks, varve_exists(ks, str("e")) == VARVE_OK ? "e" : "");
        }
        CHECK_OK(varve_keyspace_open(db, "later", &other));
        if (n >= d->calls_before)
            expect_keys(other, "abcd");
        CHECK_OK(varve_range_bytes(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0), &bytes));
        if (round == 1)
            CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
        CHECK_OK(varve_verify(db, NULL, NULL));
        CHECK_OK(varve_close(db));
    }
}

TEST(power_may_fail_at_every_call_while_a_keyspace_is_dropped)
{
    for (int turned = 0; turned < 2; turned++) {
        struct vv_env *env, *image;
        struct dropping d;
        uint64_t images = 0;
        CHECK_OK(vv_env_sim_new(test_seed(), &env));
        live_and_drop(env, turned, &d);
        for (uint64_t n = d.calls_filled; n <= d.calls_end; n++) {
            for (int model = 0; model < VV_SIM_MODEL_COUNT; model++, images++) {
                CHECK_OK(vv_sim_image(env, n, (enum vv_sim_model)model, test_seed() + n, &image));
                look_at_drop(image, n, turned, &d);
                vv_env_sim_free(image);
            }
        }
        printf("%" PRIu64 " images\n", images);
        vv_env_sim_free(env);
    }
}

/* ---- faults */

enum trouble { TROUBLE_IO, TROUBLE_FULL, TROUBLE_SYNC, TROUBLE_ALLOCATION, TROUBLE_COUNT };

static void trouble_set(struct vv_env *env, enum trouble trouble, uint64_t n)
{
    static const enum vv_sim_fault faults[] = {VV_SIM_FAULT_IO, VV_SIM_FAULT_FULL,
                                               VV_SIM_FAULT_SYNC_LOST};
    if (trouble == TROUBLE_ALLOCATION)
        vv_alloc_fail_at(n);
    else
        vv_sim_fail_at(env, n, n == 0 ? VV_SIM_FAULT_NONE : faults[trouble], false);
}

/* Fails the n-th call of making keyspace `i`. True when there was such a call. */
static bool trouble_at(enum trouble trouble, int i, uint64_t n)
{
    struct vv_env *env;
    varve *db;
    varve_keyspace *ks = NULL;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(open_in(env, &db));
    CHECK_OK(varve_put(db, str("0"), str("in the memtable")));
    for (int before = 0; before < i; before++)
        CHECK_OK(create(db, before, &ks));
    ks = NULL;
    uint64_t calls = vv_sim_call_count(env);
    trouble_set(env, trouble, n);
    int rc = create(db, i, &ks);
    bool reached = rc < 0 || trouble == TROUBLE_ALLOCATION || vv_sim_call_count(env) - calls >= n;
    trouble_set(env, trouble, 0);
    if (rc < 0) {
        CHECK(ks == NULL);
        CHECK_RC(varve_keyspace_open(db, names[i], &ks), VARVE_MISSING);
        rc = create(db, i, &ks);
        CHECK(rc == VARVE_OK || rc == VARVE_READONLY);
    } else if (trouble == TROUBLE_ALLOCATION) {
        reached = false;
    }
    bool made = rc == VARVE_OK;
    if (made) {
        CHECK_OK(fill(ks));
        expect_keys(ks, filled_text(i));
    }
    CHECK_OK(varve_exists(db, str("0")));
    rc = varve_close(db);
    CHECK(rc == VARVE_OK || !made);
    CHECK_OK(open_in(env, &db));
    CHECK_OK(varve_exists(db, str("0")));
    if (made) {
        CHECK_OK(varve_keyspace_open(db, names[i], &ks));
        expect_keys(ks, filled_text(i));
    }
    live_on(env, db);
    vv_env_sim_free(env);
    return reached;
}

TEST(a_keyspace_that_cannot_be_made_is_not_there_and_can_be_made_later)
{
    for (int trouble = 0; trouble < TROUBLE_COUNT; trouble++) {
        for (int i = 0; i < 3; i++) {
            uint64_t n = 1;
            while (trouble_at((enum trouble)trouble, i, n))
                CHECK(++n < 1000);
            printf("trouble %d, keyspace %d: %" PRIu64 " places\n", trouble, i, n - 1);
        }
    }
}

/* ---- threads */

enum { THREADS = 4, MAKES = 60 };

struct shared {
    varve *db;
    atomic_bool stop;
    _Atomic(uint64_t) rounds;
};

struct maker {
    struct shared *shared;
    int number;
    pthread_t thread;
};

static void use(varve *db, varve_keyspace *ks, int number, int i)
{
    char key[32];
    varve_batch *batch;
    varve_iter *it;
    (void)snprintf(key, sizeof key, "%d/%d", number, i);
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put_in(batch, ks, str(key), str("v")));
    CHECK_OK(varve_batch_put(batch, str(key), str("v")));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
    CHECK_OK(varve_exists(ks, str(key)));
    CHECK_OK(varve_iter_open(ks, NULL, &it));
    size_t count = 0;
    while (varve_iter_next(it) == VARVE_OK)
        count++;
    CHECK(count > 0);
    varve_iter_close(it);
}

/* All threads make the same names: one succeeds with each, the others find it. */
static void *make_all(void *context)
{
    struct maker *m = context;
    for (int i = 0; i < MAKES; i++) {
        varve_keyspace *ks;
        varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
        char name[32];
        options.comparator = i % 7 == 3 ? &orders[0] : NULL;
        (void)snprintf(name, sizeof name, "shared %d", i);
        int rc = varve_keyspace_create(m->shared->db, name, &options, &ks);
        if (rc == VARVE_EXISTS)
            rc = varve_keyspace_open(m->shared->db, name, &ks);
        CHECK_OK(rc);
        use(m->shared->db, ks, m->number, i);
        (void)snprintf(name, sizeof name, "of %d %d", m->number, i);
        CHECK_OK(varve_keyspace_create(m->shared->db, name, NULL, &ks));
        use(m->shared->db, ks, m->number, i);
    }
    return NULL;
}

static int count_name(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return 0;
}

static void *read_all(void *context)
{
    struct maker *m = context;
    while (!atomic_load(&m->shared->stop)) {
        varve_iter *it;
        int count = 0;
        CHECK_OK(varve_keyspace_list(m->shared->db, count_name, &count));
        CHECK(count > 0);
        CHECK_OK(varve_iter_open(m->shared->db, NULL, &it));
        for (int i = 0; i < 50 && varve_iter_next(it) == VARVE_OK; i++)
            CHECK(varve_iter_key(it).size >= 3);
        CHECK_RC(varve_exists(m->shared->db, str("no such key")), VARVE_NOTFOUND);
        varve_iter_close(it);
        atomic_fetch_add(&m->shared->rounds, 1);
    }
    return NULL;
}

static varve_options threaded(void)
{
    varve_options options = VARVE_OPTIONS_INIT;
    options.memory_budget = (uint64_t)4 << 20;
    options.background_threads = 2;
    options.comparators = orders;
    options.comparator_count = 1;
    return options;
}

TEST(threads_make_and_use_keyspaces_at_once)
{
    char path[512];
    struct shared shared = {0};
    struct maker makers[THREADS], reader = {&shared, 0, 0};
    struct vv_db_world world = {.env = vv_env_posix(), .tuning = rig_tuning_tiny()};
    varve_options options = threaded();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(vv_db_open(&world, path, &options, &shared.db));
    CHECK(pthread_create(&reader.thread, NULL, read_all, &reader) == 0);
    for (int i = 0; i < THREADS; i++) {
        makers[i] = (struct maker){&shared, i, 0};
        CHECK(pthread_create(&makers[i].thread, NULL, make_all, &makers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(makers[i].thread, NULL) == 0);
    atomic_store(&shared.stop, true);
    CHECK(pthread_join(reader.thread, NULL) == 0);
    CHECK(atomic_load(&shared.rounds) > 0);
    for (int round = 0; round < 2; round++) {
        int count = 0;
        CHECK_OK(varve_keyspace_list(shared.db, count_name, &count));
        CHECK_EQ_INT(count, 1 + MAKES + THREADS * MAKES);
        CHECK_OK(varve_verify(shared.db, NULL, NULL));
        CHECK_OK(varve_close(shared.db));
        if (round == 0)
            CHECK_OK(vv_db_open(&world, path, &options, &shared.db));
    }
}

/* Writes, alone and in batches, until the keyspace is gone. */
static void *write_until_missing(void *context)
{
    struct maker *m = context;
    varve_keyspace *ks;
    varve_batch *batch;
    int rc = VARVE_OK;
    CHECK_OK(varve_keyspace_open(m->shared->db, "doomed", &ks));
    CHECK_OK(varve_batch_new(&batch));
    for (int i = 0; rc == VARVE_OK; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%d/%d", m->number, i);
        varve_batch_clear(batch);
        CHECK_OK(varve_batch_put_in(batch, ks, str(key), str("v")));
        CHECK_OK(varve_batch_put(batch, str(key), str("v")));
        rc = i % 2 == 0 ? varve_put(ks, str(key), str("v")) : varve_write(ks, batch, NULL);
        atomic_fetch_add(&m->shared->rounds, 1);
    }
    CHECK_RC(rc, VARVE_MISSING);
    varve_batch_free(batch);
    return NULL;
}

TEST(a_keyspace_may_be_dropped_under_its_writers)
{
    char path[512];
    struct shared shared = {0};
    struct maker makers[THREADS];
    struct vv_db_world world = {.env = vv_env_posix(), .tuning = rig_tuning_tiny()};
    varve_options options = threaded();
    varve_keyspace *ks, *next;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(vv_db_open(&world, path, &options, &shared.db));
    for (int round = 0; round < 5; round++) {
        CHECK_OK(varve_keyspace_create(shared.db, "doomed", NULL, &ks));
        atomic_store(&shared.rounds, 0);
        for (int i = 0; i < THREADS; i++) {
            makers[i] = (struct maker){&shared, i, 0};
            CHECK(pthread_create(&makers[i].thread, NULL, write_until_missing, &makers[i]) == 0);
        }
        while (atomic_load(&shared.rounds) < 200)
            (void)usleep(100);
        CHECK_OK(varve_keyspace_drop(ks));
        CHECK_OK(varve_keyspace_create(shared.db, "next", NULL, &next));
        expect_keys(next, "");
        CHECK_OK(varve_keyspace_drop(next));
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(makers[i].thread, NULL) == 0);
        CHECK_OK(varve_close(shared.db));
        CHECK_OK(vv_db_open(&world, path, &options, &shared.db));
    }
    CHECK_OK(varve_verify(shared.db, NULL, NULL));
    CHECK_OK(varve_close(shared.db));
}

/* A reader that opens while keyspaces come and are written to at once shows whole batches, and nothing
 * of one keyspace in another. */
static void look_beside(const char *path)
{
    varve_options options = threaded();
    varve *db;
    varve_keyspace *ks;
    varve_iter *it;
    options.mode = VARVE_MODE_READONLY;
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_iter_open(db, NULL, &it));
    while (varve_iter_next(it) == VARVE_OK) {
        char name[32], key[32];
        varve_slice shown = varve_iter_key(it);
        int number, i;
        CHECK(shown.size < sizeof key);
        memcpy(key, shown.data, shown.size);
        key[shown.size] = 0;
        CHECK(sscanf(key, "%d/%d", &number, &i) == 2);
        (void)snprintf(name, sizeof name, "shared %d", i);
        CHECK_OK(varve_keyspace_open(db, name, &ks));
        CHECK_OK(varve_exists(ks, shown));
    }
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
}

static void *make_shared(void *context)
{
    struct maker *m = context;
    for (int i = 0; !atomic_load(&m->shared->stop) && i < 20000; i++) {
        varve_keyspace *ks;
        varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
        char name[32];
        options.comparator = i % 7 == 3 ? &orders[0] : NULL;
        (void)snprintf(name, sizeof name, "shared %d", i);
        CHECK_OK(varve_keyspace_create(m->shared->db, name, &options, &ks));
        use(m->shared->db, ks, m->number, i);
    }
    return NULL;
}

TEST(a_reader_beside_a_writer_that_makes_keyspaces_shows_one_moment)
{
    char path[512];
    struct shared shared = {0};
    struct maker maker = {&shared, 0, 0};
    varve_options options = threaded();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &shared.db));
    CHECK(pthread_create(&maker.thread, NULL, make_shared, &maker) == 0);
    for (int i = 0; i < (test_soak() ? 2000 : 60); i++)
        look_beside(path);
    atomic_store(&shared.stop, true);
    CHECK(pthread_join(maker.thread, NULL) == 0);
    CHECK_OK(varve_close(shared.db));
}

/* A process that forks while another thread makes a keyspace can close the store in its child. */
TEST(a_child_may_close_while_a_keyspace_is_being_made)
{
    char path[512];
    struct shared shared = {0};
    struct maker maker = {&shared, 0, 0};
    varve_options options = threaded();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &shared.db));
    CHECK(pthread_create(&maker.thread, NULL, make_shared, &maker) == 0);
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int rc = varve_close(shared.db);
            _exit(rc == VARVE_OK ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&shared.stop, true);
    CHECK(pthread_join(maker.thread, NULL) == 0);
    CHECK_OK(varve_close(shared.db));
}

/* ---- thousands */

static double seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t stat_of(varve *db, const char *name)
{
    char *text;
    uint64_t value = 0;
    CHECK_OK(varve_property(db, name, &text));
    CHECK(sscanf(text, "%" SCNu64, &value) == 1);
    varve_free(text);
    return value;
}

TEST(thousands_of_keyspaces_cost_little_and_idle_ones_pin_no_log)
{
    enum { COUNT = 3000 };
    char path[512], name[32];
    varve *db;
    varve_keyspace *ks;
    varve_options options = threaded();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &db));
    double start = seconds();
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "keyspace %d", i);
        CHECK_OK(varve_keyspace_create(db, name, NULL, &ks));
        CHECK_OK(varve_put(ks, str("k"), str(name)));
    }
    printf("made %d in %.2f s\n", COUNT, seconds() - start);
    CHECK(stat_of(db, "memtable_bytes") < (uint64_t)4 << 20);
    CHECK_OK(varve_keyspace_open(db, "keyspace 7", &ks));
    static char value[8192];
    for (int i = 0; i < 4000; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        CHECK_OK(varve_put(ks, str(name), varve_bytes(value, 900)));
    }
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_settle(db));
    CHECK(stat_of(db, "log_bytes") < (uint64_t)2 << 20);
    CHECK_OK(varve_close(db));
    start = seconds();
    CHECK_OK(varve_open(path, &options, &db));
    printf("opened in %.3f s\n", seconds() - start);
    for (int i = 0; i < COUNT; i++) {
        varve_pinned out;
        (void)snprintf(name, sizeof name, "keyspace %d", i);
        CHECK_OK(varve_keyspace_open(db, name, &ks));
        CHECK_OK(varve_get(ks, str("k"), &out));
        CHECK_BYTES(out.data, out.size, name, strlen(name));
        varve_unpin(&out);
    }
    CHECK_OK(varve_close(db));
}

TEST(a_store_opens_at_once_after_thousands_were_dropped)
{
    enum { COUNT = 3000 };
    struct vv_env *env;
    varve *db;
    varve_keyspace *ks, *last = NULL;
    char name[32];
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    struct vv_db_world world = {.env = env, .stepped = true};
    varve_options options = threaded();
    CHECK_OK(vv_db_open(&world, "/store", &options, &db));
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "keyspace %d", i);
        CHECK_OK(varve_keyspace_create(db, name, NULL, &ks));
        CHECK_OK(varve_put(ks, str("k"), str(name)));
        if (last != NULL && i % 3 != 0)
            CHECK_OK(varve_keyspace_drop(last));
        last = ks;
    }
    for (int round = 0; round < 3; round++) {
        int count = 0;
        CHECK_OK(varve_close(db));
        double start = seconds();
        CHECK_OK(vv_db_open(&world, "/store", &options, &db));
        CHECK(seconds() - start < 20);
        printf("opened in %.3f s\n", seconds() - start);
        CHECK_OK(varve_keyspace_list(db, count_name, &count));
        CHECK_EQ_INT(count, 1 + COUNT / 3);
    }
    CHECK_OK(varve_close(db));
    vv_env_sim_free(env);
}
