/*
 * The memtable against a skip list, and beside itself in several threads.
 */
#include "harness/test.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "lsm/memtable.h"

#include "skiplist_oracle.h"

#include <stdlib.h>

/* ---- a memtable and its oracle */

struct pair {
    struct vv_account account;
    struct vv_order order;
    struct vv_memtable *table;
    struct oracle oracle;
    vv_seq seq;
};

static int reverse_compare(void *context, vv_slice a, vv_slice b)
{
    (void)context;
    return vv_slice_cmp(b, a);
}

/* Bytes that differ in bit 5 only are equal: different keys may then be the same key. */
static int caseless_compare(void *context, vv_slice a, vv_slice b)
{
    (void)context;
    size_t common = a.size < b.size ? a.size : b.size;
    for (size_t i = 0; i < common; i++) {
        int order = (a.data[i] | 0x20) - (b.data[i] | 0x20);
        if (order != 0)
            return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

static const struct vv_order bytewise = {.name = NULL};
static const struct vv_order reverse = {.compare = reverse_compare, .name = "reverse"};
static const struct vv_order caseless = {.compare = caseless_compare, .name = "caseless"};

static void pair_init(struct pair *p, struct vv_order order)
{
    *p = (struct pair){.order = order, .oracle = oracle_of(order, test_seed())};
    CHECK_OK(vv_memtable_new(&p->order, &p->account, &p->table));
}

static void pair_deinit(struct pair *p)
{
    oracle_deinit(&p->oracle);
    vv_memtable_unref(p->table);
    CHECK_EQ_U64(vv_account_total(&p->account), 0);
}

/* Tries to insert; the oracle learns what the memtable took. */
static int pair_try(struct pair *p, vv_slice key, vv_slice value, enum vv_kind kind)
{
    struct vv_entry entry = {key, value, p->seq + 1, kind};
    int rc = vv_memtable_insert(p->table, &entry);
    if (rc == VV_OK) {
        vv_alloc_fail_at(0);
        CHECK(oracle_insert(&p->oracle, &entry));
        p->seq++;
    }
    return rc;
}

static void pair_put(struct pair *p, vv_slice key)
{
    uint8_t value[24] = {0};
    uint64_t word = vv_mix(p->seq + 1);
    memcpy(value, &word, sizeof word);
    enum vv_kind kind = word % 7 == 0 ? VV_KIND_DELETE : word % 7 == 1 ? VV_KIND_REF : VV_KIND_PUT;
    vv_slice all = {value, kind == VV_KIND_DELETE ? 0 : (size_t)(word % sizeof value)};
    CHECK_OK(pair_try(p, key, all, kind));
}

static void check_entry(const struct vv_entry *actual, const struct vv_entry *expected)
{
    CHECK_EQ_U64(actual->seq, expected->seq);
    CHECK_EQ_INT(actual->kind, expected->kind);
    CHECK_BYTES(actual->key.data, actual->key.size, expected->key.data, expected->key.size);
    CHECK_BYTES(actual->value.data, actual->value.size, expected->value.data, expected->value.size);
}

static void check_at(const struct vv_iter *it, const struct oracle_node *node)
{
    CHECK(it->valid == (node != NULL));
    if (node != NULL)
        check_entry(&it->at, &node->entry);
}

static void check_get(struct pair *p, vv_slice key, vv_seq seq)
{
    struct vv_entry entry;
    struct oracle_node *node = oracle_get(&p->oracle, key, seq);
    int rc = vv_memtable_get(p->table, key, vv_hash(key), seq, &entry);
    CHECK_EQ_INT(rc, node != NULL ? VV_OK : VV_NOTFOUND);
    if (node != NULL)
        check_entry(&entry, &node->entry);
}

static void check_seeks(struct pair *p, struct vv_iter *it, vv_slice key, vv_seq seq)
{
    CHECK_OK(vv_iter_seek(it, key, seq));
    check_at(it, oracle_seek(&p->oracle, key, seq));
    CHECK_OK(vv_iter_seek_for_prev(it, key));
    check_at(it, oracle_seek_for_prev(&p->oracle, key));
}

/* Everything a memtable can be asked, at every position. */
static void pair_check(struct pair *p)
{
    struct vv_iter *it;
    vv_memtable_check(p->table);
    CHECK_EQ_U64(vv_memtable_count(p->table), p->oracle.count);
    CHECK_EQ_U64(vv_memtable_raw_bytes(p->table), p->oracle.raw_bytes);
    CHECK_OK(vv_memtable_iter(p->table, &it));
    CHECK_OK(vv_iter_first(it));
    for (struct oracle_node *node = p->oracle.head[0]; node != NULL; node = node->next[0]) {
        check_at(it, node);
        CHECK_OK(vv_iter_next(it));
    }
    CHECK(!it->valid);
    CHECK_OK(vv_iter_last(it));
    for (struct oracle_node *node = p->oracle.last; node != NULL; node = node->prev) {
        check_at(it, node);
        CHECK_OK(vv_iter_prev(it));
    }
    CHECK(!it->valid);
    for (struct oracle_node *node = p->oracle.head[0]; node != NULL; node = node->next[0]) {
        vv_slice key = node->entry.key;
        check_get(p, key, node->entry.seq);
        check_get(p, key, node->entry.seq - 1);
        check_get(p, key, VV_SEQ_MAX);
        check_seeks(p, it, key, node->entry.seq);
        check_seeks(p, it, key, node->entry.seq - 1);
        check_seeks(p, it, key, VV_SEQ_MAX);
        check_seeks(p, it, key, 0);
    }
    vv_iter_close(it);
}

/* ---- keys */

enum { KEY_BUF = VV_KEY_SIZE_MAX };

/* Few symbols, long common beginnings, and every length including none, so that keys repeat, are
 * prefixes of each other and share their heads at any offset. */
static vv_slice key_make(struct vv_rng *rng, uint8_t *buf)
{
    static const uint8_t symbols[] = {0x00, 0x00, 0x01, 0x7f, 'a', 'A', 0xff, 0xff};
    static const size_t prefixes[] = {0, 0, 1, 7, 8, 9, 15, 16, 17, 40};
    size_t prefix = prefixes[vv_rng_below(rng, sizeof prefixes / sizeof *prefixes)];
    uint8_t fill = symbols[vv_rng_below(rng, sizeof symbols)];
    memset(buf, fill, prefix);
    size_t size = prefix + vv_rng_below(rng, vv_rng_one_in(rng, 4) ? 20 : 6);
    bool few = vv_rng_one_in(rng, 2);
    for (size_t i = prefix; i < size; i++)
        buf[i] = few ? symbols[vv_rng_below(rng, sizeof symbols)] : (uint8_t)vv_rng_next(rng);
    if (vv_rng_one_in(rng, 400)) {
        size = KEY_BUF - vv_rng_below(rng, 3);
        memset(buf + prefix, fill, size - prefix);
        buf[size - 1] = (uint8_t)vv_rng_next(rng);
    }
    return (vv_slice){buf, size};
}

static vv_slice key_number(uint64_t number, uint8_t buf[16])
{
    memset(buf, '0', 16);
    for (int i = 15; number > 0; i--, number /= 10)
        buf[i] = (uint8_t)('0' + number % 10);
    return (vv_slice){buf, 16};
}

static void random_history(struct vv_order order, uint64_t seed, int count)
{
    static uint8_t buf[KEY_BUF];
    struct vv_rng rng = vv_rng_of(seed);
    struct pair p;
    pair_init(&p, order);
    pair_check(&p);
    struct vv_iter *it;
    CHECK_OK(vv_memtable_iter(p.table, &it));
    for (int i = 0; i < count; i++) {
        pair_put(&p, key_make(&rng, buf));
        if (i < 200 || i % 997 == 0)
            vv_memtable_check(p.table);
        vv_slice key = key_make(&rng, buf);
        vv_seq seq = vv_rng_below(&rng, p.seq + 2);
        check_get(&p, key, seq);
        check_seeks(&p, it, key, seq);
    }
    vv_iter_close(it);
    pair_check(&p);
    pair_deinit(&p);
}

/* ---- tests */

TEST(an_empty_memtable_has_nothing)
{
    struct pair p;
    struct vv_iter *it;
    pair_init(&p, bytewise);
    pair_check(&p);
    CHECK_OK(vv_memtable_iter(p.table, &it));
    check_seeks(&p, it, VV_SLICE_EMPTY, VV_SEQ_MAX);
    check_seeks(&p, it, vv_slice_str("k"), 0);
    check_get(&p, VV_SLICE_EMPTY, VV_SEQ_MAX);
    vv_iter_close(it);
    pair_deinit(&p);
}

TEST(every_version_is_found_as_the_skip_list_finds_it)
{
    int rounds = test_soak() ? 50 : 2;
    for (int i = 0; i < rounds; i++)
        random_history(bytewise, test_seed() + (uint64_t)i, 12000);
}

TEST(a_custom_order_is_kept)
{
    random_history(reverse, test_seed(), 6000);
}

TEST(an_order_may_call_different_keys_equal)
{
    random_history(caseless, test_seed(), 6000);
}

TEST(keys_at_the_edges_stay_apart)
{
    static uint8_t zeros[KEY_BUF];
    static uint8_t ones[KEY_BUF];
    static const size_t sizes[] = {0,  1,  2,  6,  7,  8,  9,    10,     15,
                                   16, 17, 23, 24, 25, 64, 1000, KEY_BUF};
    struct pair p;
    memset(ones, 0xff, sizeof ones);
    pair_init(&p, bytewise);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            pair_put(&p, (vv_slice){zeros, sizes[i]});
            pair_put(&p, (vv_slice){ones, sizes[i]});
            if (sizes[i] > 0) {
                zeros[sizes[i] - 1] = 1;
                pair_put(&p, (vv_slice){zeros, sizes[i]});
                zeros[sizes[i] - 1] = 0;
                ones[sizes[i] - 1] = 0xfe;
                pair_put(&p, (vv_slice){ones, sizes[i]});
                ones[sizes[i] - 1] = 0xff;
            }
            pair_check(&p);
        }
    }
    pair_deinit(&p);
}

/* The last key of all heads, many times in one node. */
TEST(leaves_full_of_equal_heads_are_searched_by_key)
{
    uint8_t key[20];
    struct pair p;
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int fill = 0; fill < 256; fill += 255) {
        pair_init(&p, bytewise);
        memset(key, fill, sizeof key);
        for (int i = 0; i < 2000; i++) {
            key[18] = (uint8_t)vv_rng_next(&rng);
            key[19] = (uint8_t)vv_rng_next(&rng);
            pair_put(&p, (vv_slice){key, 17 + vv_rng_below(&rng, 4)});
        }
        pair_check(&p);
        pair_deinit(&p);
    }
}

/* Order of arrival: 0 ascending, 1 descending, 2 random, 3 descending blocks of ascending keys,
 * 4 two ascending runs in turn. */
enum { ARRIVALS = 5 };

static uint64_t arrival(int kind, uint64_t i, uint64_t count)
{
    switch (kind) {
    case 0: return i;
    case 1: return 2 * count - i;
    case 2: return vv_mix(i) % 1000000000;
    case 3: return 2 * count - i / 40 * 40 + i % 40;
    default: return i % 64 < 32 ? i : 1000000 + i;
    }
}

TEST(deep_trees_keep_their_order_whatever_the_arrival)
{
    uint64_t count = test_soak() ? 2000000 : 60000;
    for (int kind = 0; kind < ARRIVALS; kind++) {
        uint8_t buf[16];
        struct pair p;
        struct vv_iter *it;
        pair_init(&p, bytewise);
        for (uint64_t i = 0; i < count; i++)
            pair_put(&p, key_number(arrival(kind, i, count), buf));
        vv_memtable_check(p.table);
        CHECK_OK(vv_memtable_iter(p.table, &it));
        CHECK_OK(vv_iter_first(it));
        for (struct oracle_node *node = p.oracle.head[0]; node != NULL; node = node->next[0]) {
            check_at(it, node);
            check_get(&p, node->entry.key, node->entry.seq);
            CHECK_OK(vv_iter_next(it));
        }
        CHECK(!it->valid);
        vv_iter_close(it);
        pair_deinit(&p);
    }
}

/* While all keys begin alike, the others are not even compared by their heads. */
TEST(keys_that_begin_otherwise_stand_before_or_behind_the_rest)
{
    static const char *const others[] = {
        "",           "a",          "common-",   "common-beginnin",
        "common.",    "common-b",   "d",         "common-beginninz",
        "common-bef", "common-beg", "common-zz", "\xff"};
    enum { OTHERS = sizeof others / sizeof *others };
    for (int kind = 0; kind < ARRIVALS; kind++) {
        uint8_t buf[32] = "common-beginning";
        struct pair p;
        struct vv_iter *it;
        pair_init(&p, bytewise);
        CHECK_OK(vv_memtable_iter(p.table, &it));
        for (uint64_t i = 0; i < 6000; i++) {
            key_number(arrival(kind, i, 6000), buf + 16);
            pair_put(&p, (vv_slice){buf, sizeof buf});
            if (i % 400 != 399)
                continue;
            vv_memtable_check(p.table);
            for (int o = 0; o < OTHERS; o++) {
                check_get(&p, vv_slice_str(others[o]), VV_SEQ_MAX);
                check_seeks(&p, it, vv_slice_str(others[o]), VV_SEQ_MAX);
            }
            if (i >= 1200) {
                pair_put(&p, vv_slice_str(others[i / 400 * 5 % OTHERS]));
                vv_memtable_check(p.table);
            }
        }
        vv_iter_close(it);
        pair_check(&p);
        pair_deinit(&p);
    }
}

TEST(an_iterator_may_turn_at_every_position)
{
    static uint8_t buf[KEY_BUF];
    struct vv_rng rng = vv_rng_of(test_seed());
    struct pair p;
    struct vv_iter *it;
    pair_init(&p, bytewise);
    for (int i = 0; i < 3000; i++)
        pair_put(&p, key_make(&rng, buf));
    CHECK_OK(vv_memtable_iter(p.table, &it));
    for (struct oracle_node *node = p.oracle.head[0]; node != NULL; node = node->next[0]) {
        CHECK_OK(vv_iter_seek(it, node->entry.key, node->entry.seq));
        CHECK_OK(vv_iter_next(it));
        check_at(it, node->next[0]);
        if (!it->valid)
            CHECK_OK(vv_iter_last(it));
        else
            CHECK_OK(vv_iter_prev(it));
        check_at(it, node);
        CHECK_OK(vv_iter_prev(it));
        check_at(it, node->prev);
        if (!it->valid)
            CHECK_OK(vv_iter_first(it));
        else
            CHECK_OK(vv_iter_next(it));
        check_at(it, node);
    }
    vv_iter_close(it);
    pair_deinit(&p);
}

TEST(a_move_sees_all_that_was_inserted_before_it)
{
    static uint8_t buf[KEY_BUF];
    struct vv_rng rng = vv_rng_of(test_seed());
    struct pair p;
    struct vv_iter *it;
    pair_init(&p, bytewise);
    CHECK_OK(vv_memtable_iter(p.table, &it));
    bool forward = true;
    for (int i = 0; i < 20000; i++) {
        for (uint64_t n = vv_rng_below(&rng, 3); n > 0; n--) {
            vv_slice key = key_make(&rng, buf);
            if (it->valid && vv_rng_one_in(&rng, 3)) /* close to the iterator */
                key = (vv_slice){buf, it->at.key.size + vv_rng_below(&rng, 2)};
            if (it->valid && key.size >= it->at.key.size && key.size - it->at.key.size < 2)
                memcpy(buf, it->at.key.data, it->at.key.size);
            key.size = key.size < KEY_BUF ? key.size : KEY_BUF;
            pair_put(&p, key);
        }
        if (vv_rng_one_in(&rng, 50))
            forward = !forward;
        if (!it->valid) {
            CHECK_OK(forward ? vv_iter_first(it) : vv_iter_last(it));
            check_at(it, forward ? p.oracle.head[0] : p.oracle.last);
            continue;
        }
        struct oracle_node *node = oracle_get(&p.oracle, it->at.key, it->at.seq);
        CHECK_OK(forward ? vv_iter_next(it) : vv_iter_prev(it));
        check_at(it, forward ? node->next[0] : node->prev);
    }
    vv_iter_close(it);
    pair_check(&p);
    pair_deinit(&p);
}

TEST(a_busy_key_finds_each_of_its_versions)
{
    struct pair p;
    pair_init(&p, bytewise);
    pair_put(&p, vv_slice_str("before"));
    for (int i = 0; i < 20000; i++)
        pair_put(&p, vv_slice_str("counter"));
    pair_put(&p, vv_slice_str("later"));
    pair_check(&p); /* in a walk of the chain for each version this would take minutes */
    pair_deinit(&p);
}

TEST(an_iterator_outlives_the_last_reference)
{
    struct pair p;
    struct vv_iter *it;
    pair_init(&p, bytewise);
    pair_put(&p, vv_slice_str("key"));
    CHECK_OK(vv_memtable_iter(p.table, &it));
    vv_memtable_ref(p.table);
    vv_memtable_unref(p.table);
    vv_memtable_unref(p.table);
    p.table = NULL;
    CHECK_OK(vv_iter_first(it));
    check_at(it, p.oracle.head[0]);
    CHECK(vv_account_total(&p.account) > 0);
    vv_iter_close(it);
    vv_iter_close(NULL);
    pair_deinit(&p);
}

/* ---- memory */

TEST(small_entries_cost_at_most_a_half_more)
{
    static uint8_t value[100];
    for (int kind = 0; kind <= 2; kind += 2) {
        uint8_t buf[16];
        struct pair p;
        pair_init(&p, bytewise);
        for (uint64_t i = 0; i < 100000; i++) {
            vv_slice key = key_number(arrival(kind, i, 100000), buf);
            struct vv_entry entry = {key, {value, sizeof value}, i + 1, VV_KIND_PUT};
            CHECK_OK(vv_memtable_insert(p.table, &entry));
        }
        double ratio = (double)vv_memtable_bytes(p.table) / (double)vv_memtable_raw_bytes(p.table);
        CHECK(ratio <= 1.45);
        CHECK(vv_memtable_bytes(p.table) <= vv_account_total(&p.account) + 4096);
        pair_deinit(&p);
    }
}

TEST(large_values_waste_little)
{
    static uint8_t value[700000];
    uint8_t buf[16];
    struct pair p;
    pair_init(&p, bytewise);
    for (uint64_t i = 0; i < 200; i++) {
        vv_slice all = {value, i % 2 == 0 ? sizeof value : 40000};
        struct vv_entry entry = {key_number(i, buf), all, i + 1, VV_KIND_PUT};
        CHECK_OK(vv_memtable_reserve(p.table, all.size + 16, 1));
        CHECK_OK(vv_memtable_insert(p.table, &entry));
    }
    CHECK(vv_account_total(&p.account) <= vv_memtable_raw_bytes(p.table) / 20 * 21 + (1 << 20));
    pair_deinit(&p);
}

TEST(the_bytes_below_a_key_are_about_its_share)
{
    enum { COUNT = 50000 };
    for (int kind = 0; kind < 3; kind++) {
        uint8_t buf[16];
        struct pair p;
        pair_init(&p, bytewise);
        CHECK_EQ_U64(vv_memtable_below(p.table, key_number(7, buf)), 0);
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t number = kind == 0 ? i : kind == 1 ? COUNT - 1 - i : i * 7919 % COUNT;
            vv_slice key = key_number(number, buf);
            struct vv_entry entry = {key, vv_slice_str("value"), i + 1, VV_KIND_PUT};
            CHECK_OK(vv_memtable_insert(p.table, &entry));
        }
        double all = (double)vv_memtable_raw_bytes(p.table);
        double before = 0;
        for (uint64_t i = 0; i < COUNT; i += 97) {
            double share = (double)vv_memtable_below(p.table, key_number(i, buf)) / all;
            CHECK(share >= before && share <= 1);
            CHECK(share > (double)i / COUNT - 0.02 && share < (double)i / COUNT + 0.02);
            before = share;
        }
        CHECK_EQ_U64(vv_memtable_below(p.table, VV_SLICE_EMPTY), 0);
        CHECK_EQ_U64(vv_memtable_below(p.table, vv_slice_str("/")), 0);
        CHECK_EQ_U64(vv_memtable_below(p.table, vv_slice_str("1")), (uint64_t)all);
        pair_deinit(&p);
    }
}

TEST(a_failed_allocation_changes_nothing)
{
    static uint8_t buf[KEY_BUF];
    struct vv_account account = {0};
    struct vv_memtable *table = NULL;
    for (uint64_t n = 1;; n++) {
        vv_alloc_fail_at(n);
        int rc = vv_memtable_new(&bytewise, &account, &table);
        vv_alloc_fail_at(0);
        if (rc == VV_OK)
            break;
        CHECK_RC(rc, VV_NOMEM);
        CHECK(table == NULL);
        CHECK_EQ_U64(vv_account_total(&account), 0);
    }
    vv_memtable_unref(table);

    for (uint64_t n = 1; n < 60; n++) {
        struct vv_rng rng = vv_rng_of(test_seed() + n);
        struct pair p;
        struct vv_iter *it;
        int failures = 0;
        pair_init(&p, bytewise);
        vv_alloc_fail_at(1);
        CHECK_RC(vv_memtable_iter(p.table, &it), VV_NOMEM);
        for (uint64_t i = 0; i < 300 + 20 * n; i++) {
            vv_slice key = key_make(&rng, buf);
            vv_alloc_fail_at(1);
            int rc = pair_try(&p, key, key, VV_KIND_PUT);
            vv_alloc_fail_at(0);
            if (rc == VV_OK)
                continue;
            CHECK_RC(rc, VV_NOMEM);
            failures++;
            if (n < 4)
                pair_check(&p);
            check_get(&p, key, VV_SEQ_MAX);
            if (i % 2 == 0)
                CHECK_OK(pair_try(&p, key, key, VV_KIND_PUT));
        }
        CHECK(failures > 0);
        pair_check(&p);
        pair_deinit(&p);
    }
}

TEST(reserved_inserts_cannot_fail)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int kind = 0; kind < ARRIVALS; kind++) {
        uint8_t buf[16];
        struct pair p;
        uint64_t i = 0;
        pair_init(&p, bytewise);
        while (i < 40000) {
            uint64_t batch = 1 + vv_rng_below(&rng, vv_rng_one_in(&rng, 20) ? 5000 : 20);
            size_t bytes = (size_t)batch * 36;
            CHECK_OK(vv_memtable_reserve(p.table, bytes, (size_t)batch));
            for (uint64_t end = i + batch; i < end; i++) {
                static const uint8_t value[20];
                vv_slice key = key_number(arrival(kind, i, 40000), buf);
                struct vv_entry entry = {key, {value, sizeof value}, i + 1, VV_KIND_PUT};
                vv_alloc_fail_at(1);
                CHECK_OK(vv_memtable_insert(p.table, &entry));
            }
            vv_alloc_fail_at(0);
        }
        vv_memtable_check(p.table);
        pair_deinit(&p);
    }
}

/* Fills each leaf by one key more and more, which is the most splits that a batch can make. */
TEST(reserved_inserts_cannot_fail_where_every_leaf_is_full)
{
    uint8_t buf[16];
    struct pair p;
    uint64_t seq = 0;
    pair_init(&p, bytewise);
    for (uint64_t i = 0; i < 20000; i++) {
        struct vv_entry entry = {key_number(i * 1000, buf), VV_SLICE_EMPTY, ++seq, VV_KIND_PUT};
        CHECK_OK(vv_memtable_insert(p.table, &entry));
    }
    for (uint64_t round = 1; round < 60; round++) {
        CHECK_OK(vv_memtable_reserve(p.table, (size_t)400 * 16, 400));
        for (uint64_t i = 0; i < 400; i++) {
            uint64_t number = i * 50 * 1000 + 1000 - round;
            struct vv_entry entry = {key_number(number, buf), VV_SLICE_EMPTY, ++seq, VV_KIND_PUT};
            vv_alloc_fail_at(1);
            CHECK_OK(vv_memtable_insert(p.table, &entry));
        }
        vv_alloc_fail_at(0);
    }
    vv_memtable_check(p.table);
    pair_deinit(&p);
}
