/*
 * Several threads run random transactions over few keys. Each notes what it saw and what it did; a
 * checker then goes through the history and looks for everything that must not happen:
 *
 *     dirty, fractured or phantom read    a transaction saw anything but the state at its moment,
 *                                         with its own changes over it
 *     lost update                         one committed though a key that it wrote, or read for
 *                                         update, was changed after its moment
 *     write skew                          the same for anything a serializable one read or scanned:
 *                                         what it read must be what was there when it committed
 *     company                             anything committed beside an exclusive one
 *     false alarm                         one was refused, and nothing it relied on had changed
 *
 * The order of commits is the engine's: each commit writes a key of its own, whose sequence number is
 * looked up at the end.
 */
#include "db/store.h"
#include "db/txn.h"
#include "env/mem.h"
#include "harness/rig.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 8, THREADS = 4, ROUNDS = 600, ROUNDS_SOAK = 5000, OPS_MAX = 6, LARGE = 5000 };

enum way { WAY_BATCH, WAY_SNAPSHOT, WAY_SERIALIZABLE, WAY_EXCLUSIVE, WAY_COUNT };

/* Values are numbers that are used once; 0 is no value. Bits of masks are keys. */
struct deed {
    enum way way;
    bool committed;
    vv_seq moment; /* what it saw */
    vv_seq seq;    /* of its last change, once the history is known */
    vv_seq until;  /* the store's, after it was refused */
    uint64_t seen[KEYS];
    uint64_t writes[KEYS];
    unsigned saw, wrote, updates; /* read anyhow; written and kept; read for update */
    unsigned scanned;             /* keys in ranges that were passed, there or not */
};

struct worker {
    varve *db;
    unsigned number;
    size_t count;
    struct deed *deeds;
    struct vv_rng rng;
    uint64_t serial;
    enum way only; /* WAY_COUNT: all */
    struct vv_thread *thread;
};

static const char *key_name(unsigned key)
{
    static const char *const names[KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};
    return names[key];
}

static void own_name(char name[32], unsigned worker, size_t deed)
{
    (void)snprintf(name, 32, "t/%03u/%07zu", worker, deed);
}

static uint64_t number_of(varve_slice value)
{
    uint64_t number;
    CHECK(value.size == sizeof number || value.size == LARGE);
    memcpy(&number, value.data, sizeof number);
    return number;
}

/* ---- doing */

/* Now and then a value is large enough for the value log. */
static varve_slice value_make(struct worker *w, uint8_t large[LARGE], uint64_t number)
{
    memcpy(large, &number, sizeof number);
    return varve_bytes(large, vv_rng_one_in(&w->rng, 16) ? LARGE : sizeof number);
}

/* What the deed sees now: its moment with its changes so far. */
struct view {
    uint64_t at[KEYS]; /* own changes */
    unsigned changed;
};

/* Notes what was seen of a key, unless it is the deed's own. It must not see two things. */
static void note(struct deed *d, const struct view *v, unsigned key, uint64_t number)
{
    if ((v->changed >> key & 1) != 0) {
        CHECK_EQ_U64(number, v->at[key]);
        return;
    }
    if ((d->saw >> key & 1) != 0)
        CHECK_EQ_U64(number, d->seen[key]);
    d->seen[key] = number;
    d->saw |= 1u << key;
}

static void read_one(struct worker *w, varve_txn *txn, struct deed *d, const struct view *v)
{
    unsigned key = (unsigned)vv_rng_below(&w->rng, KEYS);
    bool update = vv_rng_one_in(&w->rng, 3);
    varve_pinned value;
    int rc = update ? varve_txn_get_for_update(txn, NULL, VARVE_STR(key_name(key)), &value)
                    : varve_txn_get(txn, NULL, VARVE_STR(key_name(key)), &value);
    CHECK(rc == VARVE_OK || rc == VARVE_NOTFOUND);
    note(d, v, key, rc == VARVE_OK ? number_of(varve_bytes(value.data, value.size)) : 0);
    d->updates |= update ? 1u << key : 0;
    varve_unpin(&value);
}

static void write_one(struct worker *w, varve_txn *txn, struct view *v)
{
    uint8_t large[LARGE] = {0};
    unsigned key = (unsigned)vv_rng_below(&w->rng, KEYS);
    uint64_t number = vv_rng_one_in(&w->rng, 4) ? 0 : (uint64_t)w->number << 40 | ++w->serial;
    if (number == 0)
        CHECK_OK(varve_txn_delete(txn, NULL, VARVE_STR(key_name(key))));
    else
        CHECK_OK(varve_txn_put(txn, NULL, VARVE_STR(key_name(key)), value_make(w, large, number)));
    v->at[key] = number;
    v->changed |= 1u << key;
}

/* Goes over keys from one up to and including another, or down, noting those that are not there. */
static void scan(struct worker *w, varve_txn *txn, struct deed *d, const struct view *v)
{
    unsigned from = (unsigned)vv_rng_below(&w->rng, KEYS);
    unsigned to = from + (unsigned)vv_rng_below(&w->rng, KEYS - from);
    bool down = vv_rng_one_in(&w->rng, 2);
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_iter *it;
    varve_slice value;
    uint64_t found[KEYS] = {0};
    options.lower = VARVE_STR(key_name(from));
    if (to + 1 < KEYS)
        options.upper = VARVE_STR(key_name(to + 1));
    else
        options.upper = VARVE_STR("k9");
    CHECK_OK(varve_txn_iter_open(txn, NULL, &options, &it));
    int rc = down ? varve_iter_last(it) : varve_iter_first(it);
    for (; rc == VARVE_OK; rc = down ? varve_iter_prev(it) : varve_iter_next(it)) {
        varve_slice key = varve_iter_key(it);
        CHECK_EQ_U64(key.size, 2);
        CHECK_OK(varve_iter_value(it, &value));
        found[((const char *)key.data)[1] - '0'] = number_of(value);
    }
    CHECK_RC(rc, VARVE_END);
    varve_iter_close(it);
    for (unsigned key = from; key <= to; key++) {
        note(d, v, key, found[key]);
        d->scanned |= 1u << key;
    }
}

/* Random steps, with levels that are kept or undone. */
static void live(struct worker *w, varve_txn *txn, struct deed *d)
{
    struct view levels[OPS_MAX + 1] = {0};
    unsigned depth = 0;
    for (uint64_t left = 1 + vv_rng_below(&w->rng, OPS_MAX); left > 0; left--) {
        struct view *v = &levels[depth];
        switch (vv_rng_below(&w->rng, 8)) {
        case 0: scan(w, txn, d, v); break;
        case 1:
        case 2: read_one(w, txn, d, v); break;
        case 3:
            CHECK_OK(varve_txn_savepoint(txn));
            levels[++depth] = *v;
            break;
        case 4:
            if (depth == 0)
                break;
            if (vv_rng_one_in(&w->rng, 2)) {
                CHECK_OK(varve_txn_release(txn));
                levels[depth - 1] = *v;
            } else {
                CHECK_OK(varve_txn_rollback_to(txn));
            }
            depth--;
            break;
        default: write_one(w, txn, v); break;
        }
    }
    d->wrote = levels[depth].changed;
    memcpy(d->writes, levels[depth].at, sizeof d->writes);
}

static void do_txn(struct worker *w, struct deed *d, const char *own)
{
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_txn *txn = NULL;
    options.kind = d->way == WAY_EXCLUSIVE ? VARVE_TXN_EXCLUSIVE : VARVE_TXN_OPTIMISTIC;
    options.isolation =
        d->way == WAY_SERIALIZABLE ? VARVE_ISOLATION_SERIALIZABLE : VARVE_ISOLATION_SNAPSHOT;
    options.timeout_ms = UINT32_MAX;
    CHECK_OK(varve_txn_begin(w->db, &options, &txn));
    d->moment = vv_txn_moment(txn);
    CHECK_OK(varve_txn_put(txn, NULL, VARVE_STR(own), VARVE_STR("")));
    live(w, txn, d);
    varve_write_options write = VARVE_WRITE_OPTIONS_INIT;
    write.durability = vv_rng_one_in(&w->rng, 8) ? VARVE_DURABILITY_DISK : VARVE_DURABILITY_OS;
    int rc = varve_txn_commit(txn, &write);
    CHECK(rc == VARVE_OK || rc == VARVE_CONFLICT);
    d->committed = rc == VARVE_OK;
    varve_txn_end(txn);
    if (d->committed)
        return;
    /* What it was refused for may not be visible yet, but comes before this. */
    CHECK_OK(varve_delete(w->db, VARVE_STR("nobody's")));
    d->until = vv_db_seq(w->db);
}

static void do_batch(struct worker *w, struct deed *d, const char *own)
{
    uint8_t large[LARGE] = {0};
    varve_batch *batch;
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, VARVE_STR(own), VARVE_STR("")));
    for (int i = 0; i < 2; i++) {
        unsigned key = (unsigned)vv_rng_below(&w->rng, KEYS);
        uint64_t number = vv_rng_one_in(&w->rng, 4) ? 0 : (uint64_t)w->number << 40 | ++w->serial;
        if (number == 0)
            CHECK_OK(varve_batch_delete(batch, VARVE_STR(key_name(key))));
        else
            CHECK_OK(
                varve_batch_put(batch, VARVE_STR(key_name(key)), value_make(w, large, number)));
        d->writes[key] = number;
        d->wrote |= 1u << key;
    }
    CHECK_OK(varve_write(w->db, batch, NULL));
    d->committed = true;
    varve_batch_free(batch);
}

static void worker_run(void *arg)
{
    struct worker *w = arg;
    for (size_t i = 0; i < w->count; i++) {
        struct deed *d = &w->deeds[i];
        char own[32];
        own_name(own, w->number, i);
        d->way = w->only == WAY_COUNT ? (enum way)vv_rng_below(&w->rng, WAY_COUNT) : w->only;
        if (d->way == WAY_BATCH)
            do_batch(w, d, own);
        else
            do_txn(w, d, own);
    }
}

/* ---- the history */

/* Reads the sequences of all own keys; whatever the engine's keys begin with, they end with these. */
static void find_seqs(varve *db, struct worker *workers)
{
    struct vv_engine *e = db->store->engine;
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *it;
    vv_seq at;
    CHECK_OK(e->ops->iter(e, &options, &at, &it));
    int rc = vv_iter_first(it);
    for (; rc == VARVE_OK && it->valid; rc = vv_iter_next(it)) {
        unsigned worker;
        size_t deed;
        char text[16] = "";
        if (it->at.key.size < 13)
            continue;
        memcpy(text, it->at.key.data + it->at.key.size - 13, 13);
        if (sscanf(text, "t/%3u/%7zu", &worker, &deed) == 2)
            workers[worker].deeds[deed].seq = it->at.seq;
    }
    CHECK_OK(rc);
    vv_iter_close(it);
}

static int by_seq(const void *a, const void *b)
{
    const struct deed *x = *(const struct deed *const *)a;
    const struct deed *y = *(const struct deed *const *)b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

struct history {
    const struct deed **commits; /* in order */
    size_t count;
};

static void history_make(struct history *h, struct worker *workers)
{
    size_t most = 0;
    for (int i = 0; i < THREADS; i++)
        most += workers[i].count;
    h->commits = calloc(most, sizeof(struct deed *));
    h->count = 0;
    CHECK(h->commits != NULL);
    for (int i = 0; i < THREADS; i++)
        for (size_t k = 0; k < workers[i].count; k++) {
            struct deed *d = &workers[i].deeds[k];
            CHECK((d->seq != 0) == d->committed);
            if (d->committed)
                h->commits[h->count++] = d;
        }
    qsort(h->commits, h->count, sizeof(struct deed *), by_seq);
}

static void state_at(const struct history *h, vv_seq at, uint64_t state[KEYS])
{
    memset(state, 0, KEYS * sizeof *state);
    for (size_t i = 0; i < h->count && h->commits[i]->seq <= at; i++)
        for (unsigned key = 0; key < KEYS; key++)
            if ((h->commits[i]->wrote >> key & 1) != 0)
                state[key] = h->commits[i]->writes[key];
}

/* The keys that were changed in (after, before), without one deed's own changes. */
static unsigned changed_between(const struct history *h, vv_seq after, vv_seq before,
                                const struct deed *but, size_t *others)
{
    unsigned changed = 0;
    *others = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct deed *other = h->commits[i];
        if (other == but || other->seq <= after || other->seq >= before)
            continue;
        changed |= other->wrote;
        ++*others;
    }
    return changed;
}

static unsigned relied(const struct deed *d)
{
    unsigned keys = d->wrote | d->updates;
    return d->way == WAY_SERIALIZABLE ? keys | d->saw | d->scanned : keys;
}

struct findings {
    size_t commits, refusals, skews;
};

static void deed_check(const struct history *h, const struct deed *d, struct findings *f)
{
    uint64_t then[KEYS], at_commit[KEYS];
    size_t others;
    if (d->way == WAY_BATCH)
        return;
    state_at(h, d->moment, then);
    for (unsigned key = 0; key < KEYS; key++)
        if ((d->saw >> key & 1) != 0)
            CHECK_EQ_U64(d->seen[key], then[key]);
    vv_seq end = d->committed ? d->seq : d->until + 1;
    unsigned changed = changed_between(h, d->moment, end, d, &others);
    if (!d->committed) {
        f->refusals++;
        CHECK(d->way != WAY_EXCLUSIVE);
        CHECK((changed & relied(d)) != 0);
        return;
    }
    f->commits++;
    CHECK((changed & (d->wrote | d->updates)) == 0);
    if (d->way == WAY_EXCLUSIVE)
        CHECK_EQ_U64(others, 0);
    state_at(h, d->seq - 1, at_commit);
    for (unsigned key = 0; key < KEYS; key++) {
        bool stale = (d->saw >> key & 1) != 0 && d->seen[key] != at_commit[key];
        if (d->way == WAY_SNAPSHOT)
            f->skews += stale;
        else
            CHECK(!stale);
    }
}

static struct findings history_check(struct worker *workers)
{
    struct history h;
    struct findings f = {0};
    history_make(&h, workers);
    for (int i = 0; i < THREADS; i++)
        for (size_t k = 0; k < workers[i].count; k++)
            deed_check(&h, &workers[i].deeds[k], &f);
    free(h.commits);
    return f;
}

static void run(enum way only)
{
    struct vv_db_world world = {.tuning = rig_tuning_tiny()};
    varve_options options = VARVE_OPTIONS_INIT;
    struct worker workers[THREADS];
    varve_snapshot *beginning;
    varve *db;
    CHECK_OK(vv_env_mem_new(&world.env));
    options.background_threads = 1;
    world.tuning.memtable_bytes = 16384;
    CHECK_OK(vv_db_open(&world, "/store", &options, &db));
    CHECK_OK(varve_snapshot_new(db, &beginning)); /* keeps merges from forgetting sequences */
    for (unsigned i = 0; i < THREADS; i++) {
        size_t count = test_soak() ? ROUNDS_SOAK : ROUNDS;
        workers[i] = (struct worker){.db = db, .number = i, .count = count, .only = only};
        workers[i].rng = vv_rng_of(vv_mix(test_seed() + i));
        workers[i].deeds = calloc(count, sizeof(struct deed));
        CHECK(workers[i].deeds != NULL);
        CHECK_OK(vv_thread_start("worker", 0, worker_run, &workers[i], &workers[i].thread));
    }
    for (int i = 0; i < THREADS; i++)
        vv_thread_join(workers[i].thread);
    find_seqs(db, workers);
    struct findings f = history_check(workers);
    printf("%zu commits, %zu refusals, %zu stale reads\n", f.commits, f.refusals, f.skews);
    for (int i = 0; i < THREADS; i++)
        free(workers[i].deeds);
    varve_snapshot_release(beginning);
    CHECK_OK(varve_close(db));
    vv_env_mem_free(world.env);
}

TEST(transactions_of_all_kinds_beside_plain_batches_are_isolated_as_promised)
{
    run(WAY_COUNT);
}

TEST(snapshot_isolation_alone_keeps_its_promise)
{
    run(WAY_SNAPSHOT);
}

TEST(serializable_transactions_alone_are_serial)
{
    run(WAY_SERIALIZABLE);
}

TEST(exclusive_transactions_alone_follow_each_other)
{
    run(WAY_EXCLUSIVE);
}
