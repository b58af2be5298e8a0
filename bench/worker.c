/*
 * The loops that are measured. One look at the clock an operation, so that a call's time includes
 * making its key and verifying its answer (see --calibrate for how much that is), and nothing that
 * happens is left out of the sum.
 */
#include "worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void lap(struct bench_worker *w)
{
    uint64_t now = bench_ticks();
    bench_histogram_add(&w->calls, now - w->lap);
    w->lap = now;
    w->done++;
}

static struct bench_slice key_of(struct bench_worker *w, uint64_t rank)
{
    bench_key_present(w->stage->records, rank, w->key);
    return (struct bench_slice){w->key, BENCH_KEY_SIZE};
}

static int wrong(const struct bench_worker *w, uint64_t rank, const char *what)
{
    bench_complain("%s: record %" PRIu64 ": %s", w->stage->engine->name, rank, what);
    return BENCH_FAILED;
}

static int put_place(struct bench_worker *w, uint64_t rank)
{
    const struct bench_records *records = w->stage->records;
    bench_value_make(records, rank, w->stage->version, w->value);
    return w->stage->engine->put(w->session, key_of(w, rank),
                                 (struct bench_slice){w->value, records->value_size});
}

static int put_shuffled(struct bench_worker *w)
{
    int rc = 0;
    for (uint64_t place = w->first; place < w->first + w->count && rc == 0; place++) {
        rc = put_place(w, bench_shuffle(w->stage->records, place));
        lap(w);
    }
    return rc;
}

static int put_sorted(struct bench_worker *w)
{
    int rc = 0;
    for (uint64_t rank = w->first; rank < w->first + w->count && rc == 0; rank++) {
        rc = put_place(w, rank);
        lap(w);
    }
    return rc;
}

static int put_until_stopped(struct bench_worker *w)
{
    uint64_t place = 0;
    int rc = 0;
    while (rc == 0 && !atomic_load_explicit(w->stop, memory_order_relaxed)) {
        rc = put_place(w, bench_shuffle(w->stage->records, place));
        place = (place + 1) % w->stage->records->count;
        lap(w);
    }
    return rc;
}

/* A call is a batch here, but what is done is counted in records. */
static int put_many(struct bench_worker *w)
{
    const struct bench_records *records = w->stage->records;
    size_t size = records->value_size;
    struct bench_slice keys[BENCH_MANY], values[BENCH_MANY];
    unsigned char *bytes = malloc(BENCH_MANY * (BENCH_KEY_SIZE + size));
    uint64_t end = w->first + w->count;
    int rc = bytes ? 0 : BENCH_FAILED;

    for (uint64_t place = w->first; place < end && rc == 0;) {
        size_t count = 0;
        for (unsigned char *at = bytes; count < BENCH_MANY && place < end; count++) {
            uint64_t rank = bench_shuffle(records, place++);
            bench_key_present(records, rank, at);
            keys[count] = (struct bench_slice){at, BENCH_KEY_SIZE};
            at += BENCH_KEY_SIZE;
            bench_value_make(records, rank, w->stage->version, at);
            values[count] = (struct bench_slice){at, size};
            at += size;
        }
        w->lap = bench_ticks();
        rc = w->stage->engine->put_many(w->session, keys, values, count);
        lap(w);
        w->done += count - 1;
    }
    free(bytes);
    return rc;
}

static int get_present(struct bench_worker *w)
{
    const struct bench_stage *stage = w->stage;
    struct bench_slice value;

    for (uint64_t i = 0; i < w->count; i++) {
        uint64_t rank = bench_random_below(&w->random, stage->records->count);
        int rc = stage->engine->get(w->session, key_of(w, rank), &value);
        if (rc < 0)
            return rc;
        if (rc == BENCH_ABSENT)
            return wrong(w, rank, "is not found");
        if (bench_value_check(stage->records, rank, stage->version, value.data, value.size) < 0)
            return wrong(w, rank, "has a wrong value");
        lap(w);
    }
    return 0;
}

static int get_missing(struct bench_worker *w)
{
    const struct bench_stage *stage = w->stage;
    struct bench_slice value;

    for (uint64_t i = 0; i < w->count; i++) {
        uint64_t rank = bench_random_below(&w->random, stage->records->count);
        bench_key_missing(stage->records, rank, w->key);
        int rc =
            stage->engine->get(w->session, (struct bench_slice){w->key, BENCH_KEY_SIZE}, &value);
        if (rc < 0)
            return rc;
        if (rc != BENCH_ABSENT)
            return wrong(w, rank, "its missing neighbour is found");
        lap(w);
    }
    return 0;
}

/* Moves a scan, and verifies that it arrives at `rank`. */
static int scan_to(struct bench_worker *w, enum bench_move move, struct bench_slice target,
                   uint64_t rank)
{
    const struct bench_stage *stage = w->stage;
    struct bench_slice key, value;
    unsigned char wanted[BENCH_KEY_SIZE];

    int rc = stage->engine->scan_move(w->session, move, target, &key, &value);
    if (rc < 0)
        return rc;
    if (rc == BENCH_ABSENT)
        return wrong(w, rank, "the scan ends before it");
    bench_key_present(stage->records, rank, wanted);
    if (key.size != BENCH_KEY_SIZE || memcmp(key.data, wanted, BENCH_KEY_SIZE) != 0)
        return wrong(w, rank, "the scan gives another key");
    if (bench_value_check(stage->records, rank, stage->version, value.data, value.size) < 0)
        return wrong(w, rank, "the scan gives a wrong value");
    return 0;
}

static int scan_all(struct bench_worker *w, enum bench_move start, enum bench_move step)
{
    const struct bench_engine *engine = w->stage->engine;
    uint64_t count = w->stage->records->count;
    struct bench_slice none = {"", 0}, key, value;
    int rc = engine->scan_open(w->session);

    for (; w->done < count && rc == 0; w->done++)
        rc = scan_to(w, w->done == 0 ? start : step, none,
                     step == BENCH_NEXT ? w->done : count - 1 - w->done);
    if (rc == 0 && (rc = engine->scan_move(w->session, step, none, &key, &value)) == 0)
        rc = wrong(w, count, "the scan does not end");
    engine->scan_close(w->session);
    return rc < 0 ? rc : 0;
}

/* Every other target is missing, so that its successor is to be found. */
static int seek_once(struct bench_worker *w)
{
    const struct bench_records *records = w->stage->records;
    uint64_t rank = 1 + bench_random_below(&w->random, records->count - BENCH_NEXTS - 1);
    int rc;

    if (w->done % 2 == 0)
        bench_key_present(records, rank, w->key);
    else
        bench_key_missing(records, rank - 1, w->key);
    rc = scan_to(w, BENCH_SEEK, (struct bench_slice){w->key, BENCH_KEY_SIZE}, rank);
    for (unsigned i = 1; i <= BENCH_NEXTS && rc == 0; i++)
        rc = scan_to(w, BENCH_NEXT, (struct bench_slice){"", 0}, rank + i);
    return rc;
}

static int seek_fresh(struct bench_worker *w)
{
    const struct bench_engine *engine = w->stage->engine;
    int rc = 0;
    for (uint64_t i = 0; i < w->count && rc == 0; i++) {
        if ((rc = engine->scan_open(w->session)) < 0)
            break;
        rc = seek_once(w);
        engine->scan_close(w->session);
        lap(w);
    }
    return rc;
}

static int seek_kept(struct bench_worker *w)
{
    int rc = w->stage->engine->scan_open(w->session);
    w->lap = bench_ticks();
    for (uint64_t i = 0; i < w->count && rc == 0; i++) {
        rc = seek_once(w);
        lap(w);
    }
    w->stage->engine->scan_close(w->session);
    return rc;
}

static int remove_shuffled(struct bench_worker *w)
{
    int rc = 0;
    for (uint64_t place = w->first; place < w->first + w->count && rc == 0; place++) {
        uint64_t rank = bench_shuffle(w->stage->records, place);
        rc = w->stage->engine->remove(w->session, key_of(w, rank));
        lap(w);
    }
    return rc;
}

/* Tried until nobody came between; the call's time is that of all tries. */
static int transact(struct bench_worker *w)
{
    const struct bench_records *records = w->stage->records;
    unsigned char keys[2][BENCH_KEY_SIZE], second[BENCH_VALUE_SIZE_MAX];
    unsigned char *const values[2] = {w->value, second};
    int rc = 0;
    for (uint64_t i = 0; i < w->count && rc == 0; i++) {
        uint64_t rank = bench_random_below(&w->random, records->count - 1);
        struct bench_slice key[2], value[2];
        for (unsigned k = 0; k < 2; k++) {
            bench_key_present(records, rank + k, keys[k]);
            bench_value_make(records, rank + k, w->stage->version, values[k]);
            key[k] = (struct bench_slice){keys[k], BENCH_KEY_SIZE};
            value[k] = (struct bench_slice){values[k], records->value_size};
        }
        do
            rc = w->stage->engine->transact(w->session, key, value);
        while (rc == BENCH_CONFLICT);
        lap(w);
    }
    return rc;
}

enum { COUNTERS = 1000 };

/* The first byte is above that of any record. */
static struct bench_slice counter_key(struct bench_worker *w, uint64_t number)
{
    memset(w->key, 0xff, BENCH_KEY_SIZE);
    w->key[1] = (unsigned char)w->index;
    w->key[2] = (unsigned char)(number >> 8);
    w->key[3] = (unsigned char)number;
    return (struct bench_slice){w->key, BENCH_KEY_SIZE};
}

static int read_counter(struct bench_worker *w, uint64_t number, uint64_t *out)
{
    struct bench_slice found;
    int rc = w->stage->engine->get(w->session, counter_key(w, number), &found);
    *out = 0;
    if (rc != 0)
        return rc == BENCH_ABSENT ? 0 : rc;
    if (found.size != 8)
        return wrong(w, number, "a counter of another size");
    for (int i = 8; i-- > 0;)
        *out = *out << 8 | ((const unsigned char *)found.data)[i];
    return 0;
}

/* All that was added must be there. */
static int take_counters_away(struct bench_worker *w, uint64_t sum)
{
    uint64_t found = 0;
    int rc = 0;
    for (uint64_t i = 0; i < COUNTERS && rc == 0; i++) {
        uint64_t one;
        if ((rc = read_counter(w, i, &one)) == 0)
            rc = w->stage->engine->remove(w->session, counter_key(w, i));
        found += one;
    }
    return rc == 0 && found != sum ? wrong(w, 0, "the counters add up to something else") : rc;
}

static int count_up(struct bench_worker *w)
{
    uint64_t sum = 0;
    int rc = 0;
    for (uint64_t i = 0; i < w->count && rc == 0; i++) {
        uint64_t by = 1 + i % 3;
        rc = w->stage->engine->add(w->session,
                                   counter_key(w, bench_random_below(&w->random, COUNTERS)), by);
        sum += by;
        lap(w);
    }
    return rc == 0 ? take_counters_away(w, sum) : rc;
}

/* One read for each merge before it. */
static int read_counts(struct bench_worker *w)
{
    uint64_t sum = 0, found;
    int rc = 0;
    for (uint64_t i = 0; i < w->count && rc == 0; i += 2) {
        uint64_t which = bench_random_below(&w->random, COUNTERS);
        rc = w->stage->engine->add(w->session, counter_key(w, which), 1);
        sum++;
        lap(w);
        if (rc == 0 && (rc = read_counter(w, which, &found)) == 0 && found == 0)
            rc = wrong(w, which, "a counter does not show what was added");
        lap(w);
    }
    return rc == 0 ? take_counters_away(w, sum) : rc;
}

static int run(struct bench_worker *w)
{
    switch (w->action) {
    case BENCH_PUT:
    case BENCH_OVERWRITE: return put_shuffled(w);
    case BENCH_PUT_SORTED: return put_sorted(w);
    case BENCH_PUT_MANY: return put_many(w);
    case BENCH_GET:
    case BENCH_GET_WHILE_PUTTING: return get_present(w);
    case BENCH_GET_MISSING: return get_missing(w);
    case BENCH_SCAN: return scan_all(w, BENCH_FIRST, BENCH_NEXT);
    case BENCH_SCAN_REVERSE: return scan_all(w, BENCH_LAST, BENCH_PREV);
    case BENCH_SEEK_FRESH: return seek_fresh(w);
    case BENCH_SEEK_KEPT: return seek_kept(w);
    case BENCH_PUT_WHILE_GETTING: return put_until_stopped(w);
    case BENCH_REMOVE: return remove_shuffled(w);
    case BENCH_TRANSACT: return transact(w);
    case BENCH_COUNT: return count_up(w);
    case BENCH_GET_COUNT: return read_counts(w);
    }
    return BENCH_FAILED;
}

void bench_worker_run(struct bench_worker *w)
{
    w->lap = bench_ticks();
    w->rc = run(w);
}
