/*
 * Readers beside one inserter. The key of each sequence follows from the sequence, and each value
 * says which sequence it belongs to, so that a reader knows by itself what it has to find.
 */
#include "harness/test.h"

#include "base/coding.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "env/thread.h"
#include "lsm/memtable.h"

#include <time.h>

enum { READERS = 3, KEY_SIZE_MAX = 24, SEQ_LAST = 2000000 };

struct world {
    struct vv_memtable *table;
    bool prefixed;             /* most keys begin with the same twelve bytes */
    _Atomic(vv_seq) published; /* release: all up to here are inserted */
    _Atomic(bool) over;
    _Atomic(uint64_t) gets;
    _Atomic(uint64_t) entries; /* met by iterators */
};

/* A third is hot keys, a third ascends, a third is anywhere. With a common beginning, a key begins
 * otherwise now and then, from an ever earlier byte on, before or behind all others. */
static vv_slice key_of(const struct world *w, vv_seq seq, uint8_t buf[KEY_SIZE_MAX])
{
    uint64_t number = vv_mix(seq);
    if (number % 3 == 0)
        number = (uint64_t)1 << 63 | number % 50;
    else if (number % 3 == 1)
        number = UINT64_MAX / 8 * 7 + seq;
    size_t at = w->prefixed ? 12 : 0;
    memset(buf, 'k', KEY_SIZE_MAX);
    for (size_t i = 0; i < 8; i++)
        buf[at + i] = (uint8_t)(number >> (56 - 8 * i));
    if (w->prefixed && seq % 4096 == 0) {
        vv_seq cut = seq / 4096 < 12 ? seq / 4096 : 12;
        buf[12 - cut] = seq / 4096 % 2 == 0 ? 'j' : 'l';
    }
    return (vv_slice){buf, at + 8 + number % 4};
}

static void check_described(const struct world *w, const struct vv_entry *entry)
{
    uint8_t buf[KEY_SIZE_MAX];
    vv_seq seq;
    CHECK_EQ_INT(entry->value.size, sizeof seq);
    memcpy(&seq, entry->value.data, sizeof seq);
    CHECK_EQ_U64(entry->seq, seq);
    vv_slice key = key_of(w, seq, buf);
    CHECK_BYTES(entry->key.data, entry->key.size, key.data, key.size);
}

static vv_seq published(struct world *w)
{
    return atomic_load_explicit(&w->published, memory_order_acquire);
}

static bool is_over(struct world *w)
{
    return atomic_load_explicit(&w->over, memory_order_acquire);
}

static void inserter_run(void *arg)
{
    struct world *w = arg;
    uint8_t buf[KEY_SIZE_MAX];
    for (vv_seq seq = 1; seq <= SEQ_LAST && !is_over(w); seq++) {
        vv_slice value = {(const uint8_t *)&seq, sizeof seq};
        struct vv_entry entry = {key_of(w, seq, buf), value, seq, VV_KIND_PUT};
        CHECK_OK(vv_memtable_reserve(w->table, entry.key.size + value.size, 1));
        CHECK_OK(vv_memtable_insert(w->table, &entry));
        atomic_store_explicit(&w->published, seq, memory_order_release);
    }
}

/* What was published is found, in its very version or a newer one, and no version is taken back. */
static void get_some(struct world *w, struct vv_rng *rng)
{
    uint8_t buf[KEY_SIZE_MAX];
    struct vv_entry entry;
    for (int i = 0; i < 200; i++) {
        vv_seq now = published(w);
        if (now == 0)
            continue;
        vv_seq back = vv_rng_one_in(rng, 2) ? vv_rng_below(rng, now) : vv_rng_below(rng, 8) % now;
        vv_seq seq = now - back;
        vv_slice key = key_of(w, seq, buf);
        CHECK_OK(vv_memtable_get(w->table, key, vv_hash(key), seq, &entry));
        CHECK_EQ_U64(entry.seq, seq);
        check_described(w, &entry);
        CHECK_OK(vv_memtable_get(w->table, key, vv_hash(key), VV_SEQ_MAX, &entry));
        CHECK(entry.seq >= seq);
        check_described(w, &entry);
        vv_seq newest = entry.seq;
        CHECK_OK(vv_memtable_get(w->table, key, vv_hash(key), VV_SEQ_MAX, &entry));
        CHECK(entry.seq >= newest);
        atomic_fetch_add_explicit(&w->gets, 3, memory_order_relaxed);
    }
}

static int order_of(const struct vv_entry *a, const struct vv_entry *b)
{
    static const struct vv_order bytewise;
    return vv_order_cmp_entry(&bytewise, a->key, a->seq, b->key, b->seq);
}

/* Every version published before the walk is met once, and the order is never broken. */
static void walk_all(struct world *w, struct vv_iter *it, bool forward)
{
    vv_seq before = published(w);
    vv_seq met = 0;
    uint64_t entries = 0;
    CHECK_OK(forward ? vv_iter_first(it) : vv_iter_last(it));
    while (it->valid) {
        struct vv_entry last = it->at;
        check_described(w, &last);
        met += last.seq <= before;
        entries++;
        CHECK_OK(forward ? vv_iter_next(it) : vv_iter_prev(it));
        if (it->valid)
            CHECK(forward ? order_of(&last, &it->at) < 0 : order_of(&last, &it->at) > 0);
    }
    CHECK_EQ_U64(met, before);
    atomic_fetch_add_explicit(&w->entries, entries, memory_order_relaxed);
}

/* Keys that are not there yet, many of them behind all that are, while others come before them. */
static void seek_some(struct world *w, struct vv_iter *it)
{
    uint8_t buf[KEY_SIZE_MAX];
    for (vv_seq more = 1; more < 60; more++) {
        vv_slice key = key_of(w, published(w) + more, buf);
        CHECK_OK(vv_iter_seek(it, key, VV_SEQ_MAX));
        if (it->valid)
            CHECK(vv_slice_cmp(it->at.key, key) >= 0);
        CHECK_OK(vv_iter_seek_for_prev(it, key));
        if (it->valid)
            CHECK(vv_slice_cmp(it->at.key, key) <= 0);
    }
}

/* From the place of a new key, where the splits are, some steps either way. */
static void walk_near(struct world *w, struct vv_iter *it, struct vv_rng *rng)
{
    uint8_t buf[KEY_SIZE_MAX];
    vv_seq now = published(w);
    if (now == 0)
        return;
    vv_slice key = key_of(w, now, buf);
    CHECK_OK(vv_iter_seek(it, key, now));
    CHECK(it->valid);
    CHECK_EQ_U64(it->at.seq, now);
    for (int i = 0; i < 100 && it->valid; i++) {
        struct vv_entry last = it->at;
        bool forward = vv_rng_one_in(rng, 2);
        CHECK_OK(forward ? vv_iter_next(it) : vv_iter_prev(it));
        if (it->valid)
            CHECK(forward ? order_of(&last, &it->at) < 0 : order_of(&last, &it->at) > 0);
    }
    CHECK_OK(vv_iter_seek_for_prev(it, key));
    CHECK(it->valid);
    CHECK(it->at.seq <= now);
    CHECK_BYTES(it->at.key.data, it->at.key.size, key.data, key.size);
}

static void reader_run(void *arg)
{
    struct world *w = arg;
    static _Atomic(uint64_t) number;
    uint64_t own = atomic_fetch_add(&number, 1);
    struct vv_rng rng = vv_rng_of(test_seed() + own);
    struct vv_iter *it;
    CHECK_OK(vv_memtable_iter(w->table, &it));
    for (uint64_t i = own; !is_over(w); i++) {
        get_some(w, &rng);
        walk_near(w, it, &rng);
        seek_some(w, it);
        if (i % 8 == 0)
            walk_all(w, it, i % 16 == 0);
    }
    vv_iter_close(it);
}

static void readers_beside_an_inserter(bool prefixed)
{
    static const struct vv_order bytewise;
    struct vv_account account = {0};
    struct world w = {.prefixed = prefixed};
    struct vv_thread *threads[READERS + 1];
    CHECK_OK(vv_memtable_new(&bytewise, &account, &w.table));
    for (int i = 0; i < READERS; i++)
        CHECK_OK(vv_thread_start("reader", 0, reader_run, &w, &threads[i]));
    CHECK_OK(vv_thread_start("inserter", 0, inserter_run, &w, &threads[READERS]));
    struct timespec span = {test_soak() ? 60 : 1, 0};
    nanosleep(&span, NULL);
    atomic_store_explicit(&w.over, true, memory_order_release);
    for (int i = 0; i < READERS + 1; i++)
        vv_thread_join(threads[i]);
    CHECK(atomic_load(&w.gets) > 0);
    CHECK(atomic_load(&w.entries) > 0);
    CHECK_EQ_U64(vv_memtable_count(w.table), published(&w));
    vv_memtable_check(w.table);
    struct vv_iter *it;
    CHECK_OK(vv_memtable_iter(w.table, &it));
    walk_all(&w, it, true);
    walk_all(&w, it, false);
    vv_iter_close(it);
    vv_memtable_unref(w.table);
    CHECK_EQ_U64(vv_account_total(&account), 0);
}

TEST(readers_see_order_and_all_that_was_published)
{
    readers_beside_an_inserter(false);
}

TEST(readers_see_it_too_where_heads_move_behind_a_prefix)
{
    readers_beside_an_inserter(true);
}

/* ---- range tombstones: number n covers all keys up to n, so a reader knows what covers the first */

enum { RANGES_MAX = 200000 };

static void range_reader_run(void *context)
{
    struct world *w = context;
    struct vv_rng rng = vv_rng_of(test_seed() + (uint64_t)(uintptr_t)&rng);
    while (!atomic_load_explicit(&w->over, memory_order_acquire)) {
        struct vv_cover cover;
        vv_seq at = published(w);
        if (at > 0 && vv_rng_one_in(&rng, 2))
            at = 1 + vv_rng_below(&rng, at);
        CHECK_EQ_U64(vv_memtable_cover(w->table, vv_slice_str("0"), at, &cover), at);
        CHECK_EQ_U64(cover.seq, at);
        if (at > 0)
            CHECK_EQ_U64(vv_get_u64(cover.to.data + 1), at);
        (void)atomic_fetch_add(&w->gets, 1);
    }
}

static void range_inserter_run(void *context)
{
    struct world *w = context;
    for (vv_seq seq = 1; seq <= RANGES_MAX; seq++) {
        uint8_t to[9] = {'1'};
        vv_put_u64(to + 1, seq);
        struct vv_entry entry = {vv_slice_str("0"), vv_slice_of(to, sizeof to), seq,
                                 VV_KIND_DELETE_RANGE};
        if (atomic_load_explicit(&w->over, memory_order_acquire))
            return;
        CHECK_OK(vv_memtable_insert(w->table, &entry));
        atomic_store_explicit(&w->published, seq, memory_order_release);
    }
}

TEST(readers_see_every_range_tombstone_that_was_published)
{
    struct vv_account account = {0};
    static const struct vv_order bytewise;
    struct world w = {.prefixed = false};
    struct vv_thread *threads[READERS + 1];
    CHECK_OK(vv_memtable_new(&bytewise, &account, &w.table));
    for (int i = 0; i < READERS; i++)
        CHECK_OK(vv_thread_start("reader", 0, range_reader_run, &w, &threads[i]));
    CHECK_OK(vv_thread_start("inserter", 0, range_inserter_run, &w, &threads[READERS]));
    struct timespec span = {test_soak() ? 20 : 1, 0};
    nanosleep(&span, NULL);
    atomic_store_explicit(&w.over, true, memory_order_release);
    for (int i = 0; i < READERS + 1; i++)
        vv_thread_join(threads[i]);
    CHECK(atomic_load(&w.gets) > 0);
    CHECK_EQ_U64(vv_memtable_count(w.table), published(&w));
    vv_memtable_check(w.table);
    vv_memtable_unref(w.table);
    CHECK_EQ_U64(vv_account_total(&account), 0);
}
