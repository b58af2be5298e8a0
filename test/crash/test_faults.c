/*
 * Every call that can fail does, once or from then on: writes and syncs in four ways, reads,
 * allocations. A call that meets the fault fails or succeeds; the store is as before it or as after
 * it; reads go on; nothing acknowledged is lost, now or by a power cut that follows.
 */
#include "base/alloc.h"
#include "harness/rig.h"
#include "harness/test.h"
#include "harness/trail.h"

#include <stdio.h>

/* ---- the life that is disturbed */

enum step_kind {
    STEP_OPEN,
    STEP_CLOSE,
    STEP_PUT,
    STEP_PUT_DISK,
    STEP_DELETE,
    STEP_BATCH,
    STEP_BATCH_DISK,
    STEP_TXN,
    STEP_EXCLUSIVE,
    STEP_BULK,
    STEP_FLUSH,
    STEP_TEND,
    STEP_SETTLE,
    STEP_COMPACT,
    STEP_SYNC,
    STEP_READ,
    STEP_SNAPSHOT,
    STEP_VERIFY,
};

struct step {
    enum step_kind kind;
    const char *key;
    size_t size;
};

static const struct step life[] = {
    {STEP_OPEN, "", 0},       {STEP_PUT, "a", 40},       {STEP_PUT_DISK, "b", 100},
    {STEP_PUT, "large", 600}, {STEP_BATCH, "batch", 60}, {STEP_PUT, "larger", 4500},
    {STEP_READ, "a", 0},      {STEP_FLUSH, "", 0},       {STEP_PUT, "a", 41},
    {STEP_DELETE, "old3", 0}, {STEP_PUT, "large", 700},  {STEP_BATCH_DISK, "batch", 90},
    {STEP_TEND, "", 0},       {STEP_SNAPSHOT, "", 0},    {STEP_PUT, "c", 300},
    {STEP_SYNC, "", 0},       {STEP_DELETE, "b", 0},     {STEP_FLUSH, "", 0},
    {STEP_SETTLE, "", 0},     {STEP_READ, "large", 0},   {STEP_PUT_DISK, "larger", 5000},
    {STEP_COMPACT, "", 0},    {STEP_TXN, "batch", 4600}, {STEP_EXCLUSIVE, "batch", 80},
    {STEP_PUT, "d", 1200},    {STEP_CLOSE, "", 0},       {STEP_OPEN, "", 0},
    {STEP_PUT, "e", 50},      {STEP_FLUSH, "", 0},       {STEP_VERIFY, "", 0},
    {STEP_PUT_DISK, "f", 60}, {STEP_BULK, "batch", 300}, {STEP_PUT, "g", 50},
    {STEP_SETTLE, "", 0},     {STEP_READ, "old1", 0},
};

static const size_t life_length = sizeof life / sizeof life[0];

static int write_batch(struct rig *r, const struct step *s, enum varve_durability level,
                       enum rig_manner manner)
{
    static const char *const keys[] = {"batch0", "batch1", "batch2", "batch3", "old2", "old5"};
    struct rig_change changes[6];

    for (int i = 0; i < 6; i++)
        changes[i] = (struct rig_change){
            .key = vv_slice_str(keys[i]), .size = s->size, .gone = i == 5 && manner != RIG_BULK};
    return rig_write(r, changes, 6, level, manner);
}

/* A read that fails returns its failure; one that succeeds must be right. */
static int read_all(struct rig *r, const varve_snapshot *at, const char *key)
{
    struct dump dump = {.count = 0};
    varve_pinned pin = {0};
    char text[512];
    int rc;

    if ((rc = varve_get_at(r->db, at, VARVE_STR(key), &pin)) < 0)
        return rc;
    TRAIL_CHECK((rc == VARVE_OK) ==
                (oracle_get(&r->oracle, rig_visible(r), vv_slice_str(key)) != NULL));
    varve_unpin(&pin);
    rc = r->serial % 2 ? dump_read(r->db, at, &dump) : dump_read_backward(r->db, at, &dump);
    if (rc == VARVE_OK && !dump_matches(&dump, &r->oracle, rig_visible(r))) {
        dump_explain(&dump, &r->oracle, rig_visible(r), text, sizeof text);
        trail_fail(__FILE__, __LINE__, "wrong data: %s", text);
    }
    dump_deinit(&dump);
    return rc;
}

static int read_snapshot(struct rig *r)
{
    varve_snapshot *snapshot = NULL;
    int rc;

    if ((rc = varve_snapshot_new(r->db, &snapshot)) < 0)
        return rc;
    rc = read_all(r, snapshot, "a");
    varve_snapshot_release(snapshot);
    return rc;
}

static int step_do(struct rig *r, const struct step *s)
{
    enum vv_tended tended;

    switch (s->kind) {
    case STEP_OPEN: return r->db ? VARVE_OK : rig_open(r);
    case STEP_CLOSE: return rig_close(r);
    case STEP_PUT: return rig_put(r, s->key, s->size, VARVE_DURABILITY_DEFAULT);
    case STEP_PUT_DISK: return rig_put(r, s->key, s->size, VARVE_DURABILITY_DISK);
    case STEP_DELETE: return rig_delete(r, s->key, VARVE_DURABILITY_DEFAULT);
    case STEP_BATCH: return write_batch(r, s, VARVE_DURABILITY_DEFAULT, RIG_BATCH);
    case STEP_BATCH_DISK: return write_batch(r, s, VARVE_DURABILITY_DISK, RIG_BATCH);
    case STEP_TXN: return write_batch(r, s, VARVE_DURABILITY_DEFAULT, RIG_TXN);
    case STEP_EXCLUSIVE: return write_batch(r, s, VARVE_DURABILITY_DISK, RIG_EXCLUSIVE);
    case STEP_BULK: return write_batch(r, s, VARVE_DURABILITY_DEFAULT, RIG_BULK);
    case STEP_FLUSH: return rig_flush(r);
    case STEP_TEND: return rig_tend(r, &tended);
    case STEP_SETTLE: return rig_settle(r);
    case STEP_COMPACT: return varve_compact(r->db, varve_bytes(NULL, 0), varve_bytes(NULL, 0));
    case STEP_SYNC: return rig_sync(r);
    case STEP_READ: return read_all(r, NULL, s->key);
    case STEP_SNAPSHOT: return read_snapshot(r);
    case STEP_VERIFY: return varve_verify(r->db, NULL, NULL);
    }
    return VARVE_OK;
}

/* ---- the faults */

enum plan_kind { PLAN_CALL, PLAN_READ, PLAN_ALLOC };
enum plan_span { ONCE, FOR_EVER };

struct plan {
    enum plan_kind kind;
    enum vv_sim_fault fault;
    uint64_t n;
    enum plan_span span;
};

static const char *const plan_names[] = {"call", "read", "allocation"};
static const char *const fault_names[] = {"none", "io", "full", "short", "sync lost"};

static void arm(struct rig *r, const struct plan *p)
{
    if (p->kind == PLAN_CALL)
        vv_sim_fail_at(r->world.env, p->n, p->fault, p->span == FOR_EVER);
    else if (p->kind == PLAN_READ)
        vv_sim_fail_read_at(r->world.env, p->n, p->span == FOR_EVER);
    else
        vv_alloc_fail_at(p->n);
}

/* Takes the fault away; gives whether it had been met. */
static bool heal(struct rig *r, const struct plan *p)
{
    bool met = true;
    struct vv_file *file = NULL;
    uint8_t byte;
    size_t got;

    if (p->kind == PLAN_ALLOC) {
        for (uint64_t i = 0; i < p->n && met; i++) {
            void *memory = vv_alloc(1);
            met = memory != NULL;
            vv_free(memory);
        }
        vv_alloc_fail_at(0);
        return met;
    }
    if (p->kind == PLAN_READ && p->span == ONCE) {
        TRAIL_OK(vv_env_open(r->world.env, "/probe", VV_OPEN_CREATE, &file));
        for (uint64_t i = 0; i < p->n && met; i++)
            met = vv_file_read_at(file, 0, &byte, 1, &got) == VV_OK;
        vv_file_close(file);
    }
    vv_sim_fail_read_at(r->world.env, 0, false);
    vv_sim_fail_at(r->world.env, 0, VV_SIM_FAULT_NONE, false);
    return met;
}

static bool code_fits(const struct plan *p, int rc)
{
    if (rc == VARVE_READONLY)
        return p->fault != VV_SIM_FAULT_FULL;
    if (p->kind == PLAN_ALLOC)
        return rc == VARVE_NOMEM;
    if (p->kind == PLAN_READ || p->fault != VV_SIM_FAULT_FULL)
        return rc == VARVE_IO;
    return rc == VARVE_FULL;
}

/* What a store that met a fault must still be. */
static void expect_sane(struct rig *r, const struct plan *p)
{
    int rc = read_all(r, NULL, "a");

    if (rc == VARVE_IO && p->kind == PLAN_READ && p->span == ONCE)
        rc = read_all(r, NULL, "a"); /* the fault had been waiting for a read */
    if (rc < 0 && p->kind == PLAN_READ && p->span == FOR_EVER) {
        TRAIL_RC(rc, VARVE_IO);
        return;
    }
    TRAIL_OK(rc);
}

/* After healing: either the store takes writes, or it says for good that it does not. */
static bool expect_usable_or_poisoned(struct rig *r, const struct plan *p)
{
    int rc = rig_put(r, "healed", 30, VARVE_DURABILITY_DISK);

    for (int i = 0; rc == VARVE_FULL && i < 20; i++) {
        vv_sim_advance(r->world.env, 500 * 1000);
        (void)rig_settle(r);
        rc = rig_put(r, "healed", 30, VARVE_DURABILITY_DISK);
    }
    if (rc < 0) {
        TRAIL_RC(rc, VARVE_READONLY);
        TRAIL_CHECK(p->fault != VV_SIM_FAULT_FULL);
        TRAIL_CHECK(p->kind != PLAN_READ);
        TRAIL_CHECK(varve_last_error()[0] != '\0');
        TRAIL_RC(rig_put(r, "healed", 31, VARVE_DURABILITY_OS), VARVE_READONLY);
        TRAIL_CHECK(varve_flush(r->db) < 0 || varve_sync(r->db) < 0);
        return false;
    }
    return true;
}

static void reopen(struct rig *r)
{
    struct rig_range range = {rig_visible(r), r->oracle.last};
    struct dump dump = {.count = 0};
    uint64_t commit;

    trail_note("reopen in the healed world");
    TRAIL_OK(rig_open(r));
    TRAIL_OK(dump_read(r->db, NULL, &dump));
    commit = rig_recovered(r, &dump, vv_db_seq(r->db), range);
    dump_deinit(&dump);
    if (r->doubt)
        rig_decide(r, commit == r->oracle.last ? RIG_HAPPENED : RIG_DID_NOT_HAPPEN);
}

static void expect_after_power_cut(struct rig *r, enum vv_sim_model model)
{
    struct rig_range range = rig_allowed(r, rig_calls(r), model);
    struct rig third;
    struct vv_env *image = NULL;
    struct dump dump = {.count = 0};

    trail_note("power cut after the fault, model M%d; commits %" PRIu64 " to %" PRIu64
               " may be left",
               (int)model, range.from, range.to);
    TRAIL_OK(vv_sim_image(r->world.env, rig_calls(r), model, 1, &image));
    rig_init_in(&third, image, r->path);
    third.env_owned = true;
    TRAIL_OK(rig_open(&third));
    TRAIL_OK(dump_read(third.db, NULL, &dump));
    (void)rig_recovered(r, &dump, vv_db_seq(third.db), range);
    TRAIL_OK(varve_verify(third.db, NULL, NULL));
    dump_deinit(&dump);
    rig_deinit(&third);
}

/* A store of a few tables, value files and a log, closed: where each disturbed life begins. */
static void base_make(struct rig *base)
{
    static const char *const keys[] = {"old0", "old1", "old2", "old3", "old4", "old5"};

    rig_init_sim(base, test_seed());
    TRAIL_OK(rig_open(base));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i++)
            TRAIL_OK(rig_put(base, keys[i], i == 4 ? 800 : 70, VARVE_DURABILITY_DEFAULT));
        if (round < 2)
            TRAIL_OK(rig_flush(base));
    }
    TRAIL_OK(rig_close(base));
}

static void rig_begin(struct rig *r, const struct rig *base)
{
    struct vv_env *image = NULL;

    TRAIL_OK(vv_sim_image(base->world.env, rig_calls(base), VV_SIM_ALL, 0, &image));
    rig_init_in(r, image, base->path);
    r->env_owned = true;
    r->sim = true;
    r->serial = base->serial;
    r->base = base->oracle.last;
    oracle_copy(&r->oracle, &base->oracle, base->oracle.last);
}

/* Lives through all steps; gives how many failed. */
static unsigned live(struct rig *r, const struct plan *p)
{
    unsigned failures = 0;

    for (size_t i = 0; i < life_length; i++) {
        int rc;

        if (!r->db && life[i].kind != STEP_OPEN)
            continue;
        /* What a failed sync lost can still be read here, so that a reopened store could not know:
         * from then on only a new machine would tell the truth. */
        if (p->fault == VV_SIM_FAULT_SYNC_LOST && failures > 0 &&
            (!r->db || life[i].kind == STEP_CLOSE))
            break;
        trail_note("step %zu (kind %d) %s, %zu bytes", i, (int)life[i].kind, life[i].key,
                   life[i].size);
        rc = step_do(r, &life[i]);
        if (rc >= 0)
            continue;
        failures++;
        trail_note("  failed: %s", varve_last_error());
        TRAIL_CHECK(varve_last_error()[0] != '\0');
        if (!code_fits(p, rc))
            trail_fail(__FILE__, __LINE__, "the failure's code is %d: %s", rc, varve_last_error());
        if (!r->db && p->span == ONCE && p->fault != VV_SIM_FAULT_SYNC_LOST)
            reopen(r);
        if (r->db)
            expect_sane(r, p);
    }
    return failures;
}

static bool fault_run(const struct rig *base, const struct plan *p, uint64_t *failures)
{
    struct rig r;
    bool met;
    bool open;

    trail_begin("the %" PRIu64 "th %s fails (%s, %s); repeat with VARVE_SEED=%" PRIu64, p->n,
                plan_names[p->kind], fault_names[p->fault], p->span == ONCE ? "once" : "for ever",
                test_seed());
    rig_begin(&r, base);
    arm(&r, p);
    *failures += live(&r, p);
    met = heal(&r, p);
    trail_note("healed");
    expect_after_power_cut(&r, VV_SIM_SYNCED);
    if (p->fault != VV_SIM_FAULT_SYNC_LOST)
        expect_after_power_cut(&r, VV_SIM_ALL);
    open = r.db != NULL;
    if (!open)
        reopen(&r);
    TRAIL_OK(read_all(&r, NULL, "a"));
    if (!expect_usable_or_poisoned(&r, p))
        TRAIL_CHECK(open);
    TRAIL_OK(read_all(&r, NULL, "a"));
    (void)rig_close(&r);
    reopen(&r);
    TRAIL_OK(rig_put(&r, "last", 30, VARVE_DURABILITY_DISK));
    TRAIL_OK(rig_settle(&r));
    TRAIL_OK(read_all(&r, NULL, "last"));
    TRAIL_OK(varve_verify(r.db, NULL, NULL));
    rig_deinit(&r);
    return met;
}

static uint64_t life_calls(const struct rig *base)
{
    struct plan none = {.kind = PLAN_CALL};
    struct rig r;
    uint64_t calls;

    rig_begin(&r, base);
    CHECK_EQ_U64(live(&r, &none), 0);
    calls = rig_calls(&r);
    rig_deinit(&r);
    return calls;
}

static void fail_every_call(enum vv_sim_fault fault, enum plan_span span)
{
    struct rig base;
    uint64_t failures = 0;
    uint64_t calls;

    trail_begin("building the store; repeat with VARVE_SEED=%" PRIu64, test_seed());
    base_make(&base);
    calls = life_calls(&base);
    for (uint64_t n = 1; n <= calls; n++)
        (void)fault_run(&base, &(struct plan){PLAN_CALL, fault, n, span}, &failures);
    printf("%" PRIu64 " calls, %" PRIu64 " failures seen\n", calls, failures);
    CHECK(failures > 0);
    rig_deinit(&base);
}

/* Reads and allocations cannot be counted from outside: goes on until a fault is no longer met. */
static void fail_every(enum plan_kind kind, enum plan_span span, uint64_t limit)
{
    struct rig base;
    uint64_t failures = 0;
    uint64_t n = 1;
    uint64_t step = kind == PLAN_ALLOC && !test_soak() ? 3 : 1;

    trail_begin("building the store; repeat with VARVE_SEED=%" PRIu64, test_seed());
    base_make(&base);
    while (fault_run(&base, &(struct plan){kind, VV_SIM_FAULT_NONE, n, span}, &failures) &&
           n < limit)
        n += step;
    printf("%" PRIu64 " faults, %" PRIu64 " failures seen\n", n / step, failures);
    CHECK(failures > 0);
    rig_deinit(&base);
}

TEST(a_call_that_fails_once_with_io_harms_nothing)
{
    fail_every_call(VV_SIM_FAULT_IO, ONCE);
}

TEST(calls_that_fail_for_ever_with_io_harm_nothing)
{
    fail_every_call(VV_SIM_FAULT_IO, FOR_EVER);
}

TEST(a_disk_that_is_full_once_harms_nothing)
{
    fail_every_call(VV_SIM_FAULT_FULL, ONCE);
}

TEST(a_disk_that_stays_full_harms_nothing)
{
    fail_every_call(VV_SIM_FAULT_FULL, FOR_EVER);
}

TEST(a_short_write_harms_nothing)
{
    fail_every_call(VV_SIM_FAULT_SHORT, ONCE);
}

TEST(short_writes_for_ever_harm_nothing)
{
    fail_every_call(VV_SIM_FAULT_SHORT, FOR_EVER);
}

TEST(a_sync_that_loses_its_bytes_harms_nothing)
{
    fail_every_call(VV_SIM_FAULT_SYNC_LOST, ONCE);
}

TEST(syncs_that_lose_their_bytes_for_ever_harm_nothing)
{
    fail_every_call(VV_SIM_FAULT_SYNC_LOST, FOR_EVER);
}

TEST(a_read_that_fails_once_harms_nothing)
{
    fail_every(PLAN_READ, ONCE, 100000);
}

TEST(reads_that_fail_for_ever_harm_nothing)
{
    fail_every(PLAN_READ, FOR_EVER, 120);
}

TEST(an_allocation_that_fails_harms_nothing)
{
    fail_every(PLAN_ALLOC, ONCE, 100000);
}

/* ---- by name */

TEST(a_failed_sync_turns_the_store_read_only_and_says_so)
{
    struct rig r;

    trail_begin("failed sync; repeat with VARVE_SEED=%" PRIu64, test_seed());
    rig_init_sim(&r, test_seed());
    TRAIL_OK(rig_open(&r));
    TRAIL_OK(rig_put(&r, "a", 30, VARVE_DURABILITY_DISK));
    TRAIL_OK(rig_put(&r, "b", 30, VARVE_DURABILITY_OS));
    /* A new log's name is synced before the log is, and names are not what such a sync loses. */
    vv_sim_fail_at(r.world.env, 1, VV_SIM_FAULT_SYNC_LOST, true);
    TRAIL_RC(rig_sync(&r), VARVE_IO);
    vv_sim_fail_at(r.world.env, 0, VV_SIM_FAULT_NONE, false);
    TRAIL_RC(rig_put(&r, "c", 30, VARVE_DURABILITY_OS), VARVE_READONLY);
    TRAIL_CHECK(strstr(varve_last_error(), "sync") != NULL);
    TRAIL_CHECK(rig_sync(&r) < 0);
    TRAIL_OK(read_all(&r, NULL, "b"));
    expect_after_power_cut(&r, VV_SIM_SYNCED);
    (void)rig_close(&r);
    reopen(&r);
    TRAIL_OK(rig_put(&r, "c", 30, VARVE_DURABILITY_DISK));
    rig_deinit(&r);
}

/* Fills a disk of a given size, reads all the while, makes room, and goes on without reopening. */
static void fill_and_heal(uint64_t capacity)
{
    struct rig r;
    char key[32];
    unsigned written = 0;
    unsigned refused = 0;

    trail_begin("a disk of %" PRIu64 " bytes; repeat with VARVE_SEED=%" PRIu64, capacity,
                test_seed());
    rig_init_sim(&r, test_seed());
    TRAIL_OK(rig_open(&r));
    vv_sim_set_capacity(r.world.env, capacity);
    for (unsigned i = 0; i < 400 && refused < 5; i++) {
        int rc;

        snprintf(key, sizeof key, "key%03u", i % 97);
        trail_note("put %s", key);
        rc = rig_put(&r, key, 20 + i * 37 % 700,
                     i % 7 ? VARVE_DURABILITY_DEFAULT : VARVE_DURABILITY_DISK);
        if (rc < 0)
            TRAIL_RC(rc, VARVE_FULL);
        written += rc == VARVE_OK;
        refused += rc < 0;
        if (i % 10 == 0 || rc < 0)
            TRAIL_OK(read_all(&r, NULL, "key001"));
        rc = rig_settle(&r);
        TRAIL_CHECK(rc == VARVE_OK || rc == VARVE_FULL);
    }
    TRAIL_CHECK(refused > 0);
    expect_after_power_cut(&r, VV_SIM_SYNCED);
    expect_after_power_cut(&r, VV_SIM_ALL);
    vv_sim_set_capacity(r.world.env, 0);
    trail_note("there is room again, after %u writes", written);
    TRAIL_CHECK(expect_usable_or_poisoned(&r, &(struct plan){.fault = VV_SIM_FAULT_FULL}));
    TRAIL_OK(rig_flush(&r));
    TRAIL_OK(rig_settle(&r));
    TRAIL_OK(read_all(&r, NULL, "key002"));
    TRAIL_OK(rig_close(&r));
    reopen(&r);
    TRAIL_OK(varve_verify(r.db, NULL, NULL));
    rig_deinit(&r);
}

TEST(a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room)
{
    for (uint64_t capacity = 6000; capacity <= 30000; capacity += test_soak() ? 101 : 997)
        fill_and_heal(capacity);
}
