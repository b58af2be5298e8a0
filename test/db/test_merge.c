/*
 * Expiry, merge operators and atomic updates, as one sees them who reads varve.h.
 */
#include "db/open.h"
#include "env/mem.h"
#include "env/thread.h"
#include "harness/test.h"

#include <stdio.h>

#define STORE "/store"

/* A store in a world of its own, whose clock the test moves. */
struct fixture {
    struct vv_env *env;
    varve *db;
    varve_options options;
    _Atomic(uint64_t) now_ms;
};

static uint64_t test_clock(void *context)
{
    struct fixture *f = context;
    return atomic_load(&f->now_ms);
}

static int try_open(struct fixture *f)
{
    struct vv_db_world world = {.env = f->env,
                                .stepped = true,
                                .tuning = {.memtable_bytes = 64 << 10, .table_bytes = 16 << 10}};
    return vv_db_open(&world, STORE, &f->options, &f->db);
}

static void begin(struct fixture *f, const char *operator)
{
    static const varve_options defaults = VARVE_OPTIONS_INIT;
    *f = (struct fixture){.options = defaults};
    atomic_store(&f->now_ms, 1000000);
    f->options.clock = test_clock;
    f->options.clock_context = f;
    f->options.merge = varve_merge_operator_named(operator);
    CHECK_OK(vv_env_mem_new(&f->env));
    CHECK_OK(try_open(f));
}

static void end(struct fixture *f)
{
    CHECK_OK(varve_close(f->db));
    vv_env_mem_free(f->env);
}

static void reopen(struct fixture *f)
{
    CHECK_OK(varve_close(f->db));
    CHECK_OK(try_open(f));
}

static int compact(struct fixture *f)
{
    return varve_compact(f->db, varve_bytes(NULL, 0), varve_bytes(NULL, 0));
}

static void pass(struct fixture *f, uint64_t ms)
{
    atomic_fetch_add(&f->now_ms, ms);
}

static void check_value(varve *db, const char *key, const char *expected)
{
    varve_pinned value;
    int rc = varve_get(db, VARVE_STR(key), &value);
    CHECK_EQ_INT(varve_exists(db, VARVE_STR(key)), rc);
    if (expected == NULL) {
        CHECK_RC(rc, VARVE_NOTFOUND);
        return;
    }
    CHECK_OK(rc);
    CHECK_BYTES(value.data, value.size, expected, strlen(expected));
    varve_unpin(&value);
}

static varve_slice number(int64_t n, uint8_t into[8])
{
    for (int i = 0; i < 8; i++)
        into[i] = (uint8_t)((uint64_t)n >> (8 * i));
    return varve_bytes(into, 8);
}

static int64_t read_number(varve *db, const char *key)
{
    uint8_t bytes[8];
    size_t size = 0;
    uint64_t n = 0;
    CHECK_OK(varve_get_into(db, VARVE_STR(key), bytes, sizeof bytes, &size));
    CHECK_EQ_U64(size, 8);
    for (int i = 8; i-- > 0;)
        n = n << 8 | bytes[i];
    return (int64_t)n;
}

static void add(varve *db, const char *key, int64_t n)
{
    uint8_t bytes[8];
    CHECK_OK(varve_merge(db, VARVE_STR(key), number(n, bytes)));
}

/* What an iterator shows, as "key=value key=value", forward or backward. */
static void show(varve *db, int backward, char *out, size_t size)
{
    varve_iter *it;
    size_t at = 0;
    out[0] = 0;
    CHECK_OK(varve_iter_open(db, NULL, &it));
    while ((backward ? varve_iter_prev(it) : varve_iter_next(it)) == VARVE_OK) {
        varve_slice key = varve_iter_key(it), value;
        CHECK_OK(varve_iter_value(it, &value));
        at += (size_t)snprintf(out + at, size - at, "%s%.*s=%.*s", at > 0 ? " " : "", (int)key.size,
                               (const char *)key.data, (int)value.size, (const char *)value.data);
    }
    varve_iter_close(it);
}

static void check_shown(varve *db, const char *forward, const char *backward)
{
    char text[256];
    show(db, 0, text, sizeof text);
    CHECK_EQ_STR(text, forward);
    show(db, 1, text, sizeof text);
    CHECK_EQ_STR(text, backward);
}

/* ---- expiry */

TEST(what_has_expired_is_absent_at_once_for_every_read)
{
    struct fixture f;
    varve_slice keys[] = {VARVE_STR("a"), VARVE_STR("b"), VARVE_STR("c")};
    varve_pinned values[3];
    int results[3];
    varve_snapshot *before;
    begin(&f, NULL);
    CHECK_OK(varve_put(f.db, VARVE_STR("a"), VARVE_STR("1")));
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("b"), VARVE_STR("2"), 50));
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("c"), VARVE_STR("3"), 100));
    CHECK_OK(varve_snapshot_new(f.db, &before));
    check_shown(f.db, "a=1 b=2 c=3", "c=3 b=2 a=1");
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            pass(&f, 49);
        if (round == 2)
            pass(&f, 1);
        check_value(f.db, "b", round < 2 ? "2" : NULL);
        CHECK_OK(varve_multi_get(f.db, 3, keys, values, results));
        CHECK_OK(results[0]);
        CHECK_RC(results[1], round < 2 ? VARVE_OK : VARVE_NOTFOUND);
        CHECK_OK(results[2]);
        for (int i = 0; i < 3; i++)
            varve_unpin(&values[i]);
    }
    check_shown(f.db, "a=1 c=3", "c=3 a=1");
    CHECK_RC(varve_get_at(f.db, before, VARVE_STR("b"), &values[0]), VARVE_NOTFOUND);
    varve_snapshot_release(before);
    CHECK_OK(varve_put(f.db, VARVE_STR("b"), VARVE_STR("4")));
    pass(&f, 1000);
    check_shown(f.db, "a=1 b=4", "b=4 a=1");
    end(&f);
}

TEST(times_are_told_changed_and_taken_away)
{
    struct fixture f;
    uint64_t left = 0;
    begin(&f, NULL);
    CHECK_RC(varve_put_ttl(f.db, VARVE_STR("k"), VARVE_STR("v"), 0), VARVE_INVALID);
    CHECK_RC(varve_ttl(f.db, VARVE_STR("k"), &left), VARVE_NOTFOUND);
    CHECK_RC(varve_expire(f.db, VARVE_STR("k"), 10), VARVE_NOTFOUND);
    CHECK_RC(varve_persist(f.db, VARVE_STR("k")), VARVE_NOTFOUND);
    CHECK_OK(varve_put(f.db, VARVE_STR("k"), VARVE_STR("v")));
    CHECK_OK(varve_ttl(f.db, VARVE_STR("k"), &left));
    CHECK_EQ_U64(left, VARVE_TTL_NONE);
    CHECK_OK(varve_expire(f.db, VARVE_STR("k"), 100));
    pass(&f, 30);
    CHECK_OK(varve_ttl(f.db, VARVE_STR("k"), &left));
    CHECK_EQ_U64(left, 70);
    CHECK_OK(varve_persist(f.db, VARVE_STR("k")));
    pass(&f, 1000);
    check_value(f.db, "k", "v");
    CHECK_OK(varve_expire_at(f.db, VARVE_STR("k"), atomic_load(&f.now_ms) + 5));
    CHECK_OK(varve_ttl(f.db, VARVE_STR("k"), &left));
    CHECK_EQ_U64(left, 5);
    CHECK_OK(varve_expire_at(f.db, VARVE_STR("k"), 17));
    check_value(f.db, "k", NULL);
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("k"), VARVE_STR("v"), UINT64_MAX));
    pass(&f, UINT64_MAX / 2);
    check_value(f.db, "k", "v");
    end(&f);
}

TEST(large_values_expire_as_small_ones_do)
{
    struct fixture f;
    static char large[20000];
    memset(large, 'x', sizeof large - 1);
    begin(&f, NULL);
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("a"), VARVE_STR(large), 100));
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("b"), varve_bytes(large, 2000), 200));
    for (int round = 0; round < 3; round++) {
        check_value(f.db, "a", large);
        if (round == 0)
            CHECK_OK(varve_flush(f.db));
        else
            reopen(&f);
    }
    CHECK_OK(varve_expire(f.db, VARVE_STR("a"), 300));
    pass(&f, 299);
    check_value(f.db, "a", large);
    check_value(f.db, "b", NULL);
    pass(&f, 1);
    check_value(f.db, "a", NULL);
    CHECK_OK(compact(&f));
    check_shown(f.db, "", "");
    end(&f);
}

TEST(a_clock_set_back_brings_nothing_to_life_again)
{
    struct fixture f;
    begin(&f, NULL);
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("k"), VARVE_STR("v"), 100));
    pass(&f, 100);
    check_value(f.db, "k", NULL);
    atomic_store(&f.now_ms, 500);
    check_value(f.db, "k", NULL);
    reopen(&f);
    check_value(f.db, "k", NULL);
    check_shown(f.db, "", "");
    end(&f);
}

TEST(times_in_batches_count_from_the_write)
{
    struct fixture f;
    varve_batch *b;
    uint64_t left = 0;
    static char large[6000];
    begin(&f, "append");
    CHECK_OK(varve_batch_new(&b));
    CHECK_RC(varve_batch_put_ttl(b, VARVE_STR("a"), VARVE_STR("1"), 0), VARVE_INVALID);
    CHECK_OK(varve_batch_put_ttl(b, VARVE_STR("a"), VARVE_STR("1"), 100));
    CHECK_OK(varve_batch_put_ttl(b, VARVE_STR("l"), varve_bytes(large, sizeof large), 100));
    CHECK_OK(varve_batch_put(b, VARVE_STR("b"), VARVE_STR("2")));
    CHECK_OK(varve_batch_merge(b, VARVE_STR("b"), VARVE_STR("3")));
    CHECK_EQ_U64(varve_batch_count(b), 4);
    pass(&f, 1000);
    CHECK_OK(varve_write(f.db, b, NULL));
    varve_batch_free(b);
    CHECK_OK(varve_ttl(f.db, VARVE_STR("a"), &left));
    CHECK_EQ_U64(left, 100);
    CHECK_OK(varve_ttl(f.db, VARVE_STR("l"), &left));
    CHECK_EQ_U64(left, 100);
    check_value(f.db, "b", "2,3");
    pass(&f, 100);
    check_shown(f.db, "b=2,3", "b=2,3");
    end(&f);
}

/* ---- merge */

TEST(operands_are_applied_wherever_they_stand)
{
    struct fixture f;
    varve_snapshot *old;
    varve_pinned value;
    begin(&f, "append");
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("a")));
    check_value(f.db, "k", "a");
    CHECK_OK(varve_put(f.db, VARVE_STR("i"), VARVE_STR("0")));
    CHECK_OK(varve_put(f.db, VARVE_STR("k"), VARVE_STR("b")));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("c")));
    CHECK_OK(varve_flush(f.db));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("d")));
    CHECK_OK(varve_put(f.db, VARVE_STR("m"), VARVE_STR("1")));
    CHECK_OK(varve_snapshot_new(f.db, &old));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("e")));
    for (int round = 0; round < 3; round++) {
        check_value(f.db, "k", "b,c,d,e");
        check_shown(f.db, "i=0 k=b,c,d,e m=1", "m=1 k=b,c,d,e i=0");
        CHECK_OK(varve_get_at(f.db, old, VARVE_STR("k"), &value));
        CHECK_BYTES(value.data, value.size, "b,c,d", 5);
        varve_unpin(&value);
        CHECK_OK(round == 0 ? varve_flush(f.db) : compact(&f));
    }
    varve_snapshot_release(old);
    CHECK_OK(varve_delete(f.db, VARVE_STR("k")));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("f")));
    check_value(f.db, "k", "f");
    CHECK_OK(varve_delete_range(f.db, VARVE_STR("j"), VARVE_STR("l")));
    check_value(f.db, "k", NULL);
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("g")));
    check_value(f.db, "k", "g");
    CHECK_OK(compact(&f));
    check_value(f.db, "k", "g");
    reopen(&f);
    check_shown(f.db, "i=0 k=g m=1", "m=1 k=g i=0");
    end(&f);
}

TEST(operands_outlive_the_value_they_were_merged_onto)
{
    struct fixture f;
    begin(&f, "append");
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("k"), VARVE_STR("a"), 100));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("b")));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR("c")));
    for (int round = 0; round < 2; round++) {
        check_value(f.db, "k", "a,b,c");
        CHECK_OK(compact(&f));
    }
    pass(&f, 100);
    check_value(f.db, "k", "b,c");
    CHECK_OK(compact(&f));
    check_value(f.db, "k", "b,c");
    end(&f);
}

static void check_built_in(const char *operator, const char * base, const char *operand,
                           const char *expected)
{
    struct fixture f;
    begin(&f, operator);
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR(operand)));
    check_value(f.db, "k", operand);
    if (base != NULL)
        CHECK_OK(varve_put(f.db, VARVE_STR("k"), VARVE_STR(base)));
    CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR(operand)));
    for (int round = 0; round < 2; round++) {
        check_value(f.db, "k", expected);
        CHECK_OK(compact(&f));
    }
    end(&f);
}

TEST(built_in_operators_do_what_they_say)
{
    check_built_in("append", "a", "b", "a,b");
    check_built_in("append", "", "b", ",b");
    check_built_in("append", NULL, "b", "b,b");
    check_built_in("max", "a", "b", "b");
    check_built_in("max", "b", "ab", "b");
    check_built_in("min", "a", "b", "a");
    check_built_in("min", "ab", "a", "a");
    check_built_in("or", "\x01\x10", "\x02", "\x03\x10");
    check_built_in("or", NULL, "\x02", "\x02");
    CHECK(varve_merge_operator_named("no such") == NULL);
    CHECK(varve_merge_operator_named(NULL) == NULL);
}

TEST(counters_add_up_and_wrap_round)
{
    struct fixture f;
    int64_t sum = 0;
    begin(&f, "add_i64");
    for (int i = 0; i < 1000; i++) {
        add(f.db, "k", i);
        if (i % 300 == 0)
            CHECK_OK(varve_flush(f.db));
    }
    CHECK(read_number(f.db, "k") == 999 * 500);
    add(f.db, "k", -999 * 500 - 1);
    CHECK(read_number(f.db, "k") == -1);
    CHECK_OK(varve_incr(f.db, VARVE_STR("k"), 5, &sum));
    CHECK(sum == 4);
    add(f.db, "w", INT64_MAX);
    add(f.db, "w", 1);
    CHECK(read_number(f.db, "w") == INT64_MIN);
    end(&f);
}

TEST(what_an_operator_refuses_is_kept_and_told)
{
    struct fixture f;
    varve_pinned value;
    begin(&f, "add_i64");
    CHECK_OK(varve_put(f.db, VARVE_STR("key-name"), VARVE_STR("text")));
    add(f.db, "key-name", 1);
    for (int round = 0; round < 2; round++) {
        CHECK_RC(varve_get(f.db, VARVE_STR("key-name"), &value), VARVE_INVALID);
        CHECK(strstr(varve_last_error(), "key-name") != NULL);
        CHECK_OK(compact(&f));
    }
    CHECK_OK(varve_put(f.db, VARVE_STR("key-name"), VARVE_STR("12345678")));
    add(f.db, "key-name", 1);
    check_value(f.db, "key-name", "22345678");
    end(&f);
}

TEST(without_the_operator_all_but_merged_keys_can_be_read)
{
    struct fixture f;
    varve_pinned value;
    begin(&f, "append");
    CHECK_OK(varve_put(f.db, VARVE_STR("plain"), VARVE_STR("p")));
    CHECK_OK(varve_merge(f.db, VARVE_STR("merged"), VARVE_STR("a")));
    CHECK_OK(varve_merge(f.db, VARVE_STR("merged"), VARVE_STR("b")));
    f.options.merge = NULL;
    reopen(&f);
    for (int round = 0; round < 2; round++) {
        check_value(f.db, "plain", "p");
        CHECK_RC(varve_get(f.db, VARVE_STR("merged"), &value), VARVE_UNSUPPORTED);
        CHECK(strstr(varve_last_error(), "merged") != NULL);
        CHECK(strstr(varve_last_error(), "append") != NULL);
        CHECK_RC(varve_merge(f.db, VARVE_STR("merged"), VARVE_STR("c")), VARVE_INVALID);
        CHECK_OK(compact(&f));
    }
    CHECK_OK(varve_close(f.db));
    f.options.merge = varve_merge_operator_named("max");
    CHECK_RC(try_open(&f), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "append") != NULL &&
          strstr(varve_last_error(), "max") != NULL);
    f.options.merge = varve_merge_operator_named("append");
    CHECK_OK(try_open(&f));
    check_value(f.db, "merged", "a,b");
    end(&f);
}

/* An operator with a full merge only, on values that a program makes up: the longest operand. */
static int longest(void *context, varve_slice key, const varve_slice *base,
                   const varve_slice *operands, size_t count, varve_merge_result *result)
{
    const varve_slice *best = base != NULL ? base : &operands[0];
    (void)key;
    *(int *)context += 1;
    for (size_t i = 0; i < count; i++)
        if (operands[i].size > best->size)
            best = &operands[i];
    return varve_merge_append(result, best->data, best->size);
}

TEST(an_operator_of_the_programs_own_needs_a_full_merge_only)
{
    struct fixture f;
    int calls = 0;
    static const char *const operands[] = {"aa", "bbbb", "c", "dddd"};
    begin(&f, NULL);
    CHECK_OK(varve_close(f.db));
    varve_merge_operator own = {"longest", longest, NULL, &calls};
    f.options.merge = &own;
    CHECK_OK(try_open(&f));
    for (int i = 0; i < 200; i++)
        CHECK_OK(varve_merge(f.db, VARVE_STR("k"), VARVE_STR(operands[i % 4])));
    check_value(f.db, "k", "bbbb");
    CHECK_OK(compact(&f));
    int before = calls;
    check_value(f.db, "k", "bbbb");
    CHECK_EQ_INT(calls, before); /* it is a value now */
    end(&f);
}

TEST(reading_a_key_costs_no_more_however_often_it_was_merged)
{
    enum { MANY = 5000 };
    struct fixture f;
    begin(&f, "add_i64");
    for (int i = 0; i < MANY; i++)
        add(f.db, "k", 1);
    CHECK(read_number(f.db, "k") == MANY);
    /* Every 64 merges, about, a value was put: so many entries more there are. */
    uint64_t seq = vv_db_seq(f.db);
    CHECK(seq > MANY + MANY / 80);
    end(&f);
}

/* ---- atomic updates */

TEST(swaps_happen_only_onto_what_was_expected)
{
    struct fixture f;
    varve_pinned value;
    varve_slice a = VARVE_STR("a"), b = VARVE_STR("b");
    begin(&f, NULL);
    CHECK_RC(varve_compare_and_swap(f.db, VARVE_STR("k"), &a, &b), VARVE_CONFLICT);
    CHECK_OK(varve_put_if_absent(f.db, VARVE_STR("k"), a));
    CHECK_RC(varve_put_if_absent(f.db, VARVE_STR("k"), b), VARVE_CONFLICT);
    check_value(f.db, "k", "a");
    CHECK_RC(varve_compare_and_swap(f.db, VARVE_STR("k"), &b, &a), VARVE_CONFLICT);
    CHECK_OK(varve_compare_and_swap(f.db, VARVE_STR("k"), &a, &b));
    check_value(f.db, "k", "b");
    CHECK_OK(varve_get_and_delete(f.db, VARVE_STR("k"), &value));
    CHECK_BYTES(value.data, value.size, "b", 1);
    varve_unpin(&value);
    CHECK_RC(varve_get_and_delete(f.db, VARVE_STR("k"), &value), VARVE_NOTFOUND);
    CHECK_OK(varve_compare_and_swap(f.db, VARVE_STR("k"), NULL, &a));
    CHECK_OK(varve_compare_and_swap(f.db, VARVE_STR("k"), &a, NULL));
    check_value(f.db, "k", NULL);
    CHECK_OK(varve_compare_and_swap(f.db, VARVE_STR("k"), NULL, NULL));
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("t"), a, 10));
    CHECK_RC(varve_put_if_absent(f.db, VARVE_STR("t"), b), VARVE_CONFLICT);
    pass(&f, 10);
    CHECK_OK(varve_put_if_absent(f.db, VARVE_STR("t"), b));
    check_value(f.db, "t", "b");
    end(&f);
}

TEST(a_counter_keeps_its_time)
{
    struct fixture f;
    uint8_t bytes[8];
    uint64_t left = 0;
    int64_t sum = 0;
    begin(&f, NULL);
    CHECK_OK(varve_put_ttl(f.db, VARVE_STR("k"), number(7, bytes), 100));
    CHECK_OK(varve_incr(f.db, VARVE_STR("k"), 1, &sum));
    CHECK(sum == 8);
    CHECK_OK(varve_ttl(f.db, VARVE_STR("k"), &left));
    CHECK_EQ_U64(left, 100);
    pass(&f, 100);
    CHECK_OK(varve_incr(f.db, VARVE_STR("k"), 1, &sum));
    CHECK(sum == 1);
    CHECK_OK(varve_put(f.db, VARVE_STR("k"), VARVE_STR("text")));
    CHECK_RC(varve_incr(f.db, VARVE_STR("k"), 1, &sum), VARVE_INVALID);
    check_value(f.db, "k", "text");
    end(&f);
}

enum { THREADS = 4, EACH = 500 };

struct crowd {
    varve *db;
    _Atomic(int64_t) swapped;
    _Atomic(int) turn;
};

static void count_up(void *context)
{
    struct crowd *c = context;
    int turn = atomic_fetch_add(&c->turn, 1);
    uint8_t bytes[8];
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(varve_incr(c->db, VARVE_STR("incr"), 1, NULL));
        CHECK_OK(varve_merge(c->db, VARVE_STR("merge"), number(1, bytes)));
        CHECK_OK(varve_put(c->db, VARVE_STR("noise"), VARVE_STR("n")));
        if (varve_put_if_absent(c->db, VARVE_STR("token"), VARVE_STR("t")) == VARVE_OK)
            atomic_fetch_add(&c->swapped, 1);
        varve_pinned taken;
        if (turn % 2 == 0 && varve_get_and_delete(c->db, VARVE_STR("token"), &taken) == VARVE_OK) {
            varve_unpin(&taken);
            atomic_fetch_sub(&c->swapped, 1);
        }
    }
}

TEST(updates_of_many_threads_lose_nothing)
{
    varve_options options = VARVE_OPTIONS_INIT;
    struct vv_thread *threads[THREADS];
    struct crowd c = {.db = NULL};
    options.merge = varve_merge_operator_named("add_i64");
    CHECK_OK(varve_open(NULL, &options, &c.db));
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(vv_thread_start("count", 0, count_up, &c, &threads[i]));
    for (int i = 0; i < THREADS; i++)
        vv_thread_join(threads[i]);
    CHECK(read_number(c.db, "incr") == THREADS * EACH);
    CHECK(read_number(c.db, "merge") == THREADS * EACH);
    CHECK_EQ_INT(varve_exists(c.db, VARVE_STR("token")) == VARVE_OK, atomic_load(&c.swapped));
    CHECK_OK(varve_close(c.db));
}

/* Plain puts beside compare and swap: whoever swaps has seen the latest put. */
static void put_odd(void *context)
{
    struct crowd *c = context;
    uint8_t bytes[8];
    for (int64_t i = 0; i < EACH; i++)
        CHECK_OK(varve_put(c->db, VARVE_STR("cell"), number(2 * i + 1, bytes)));
}

TEST(a_plain_put_is_never_swapped_away_unseen)
{
    struct vv_thread *thread;
    struct crowd c = {.db = NULL};
    uint8_t old_bytes[8], new_bytes[8];
    CHECK_OK(varve_open(NULL, NULL, &c.db));
    CHECK_OK(varve_put(c.db, VARVE_STR("cell"), number(-1, new_bytes)));
    CHECK_OK(vv_thread_start("put", 0, put_odd, &c, &thread));
    int64_t last_odd = -1;
    for (int i = 0; i < EACH; i++) {
        int64_t seen = read_number(c.db, "cell");
        varve_slice old = number(seen, old_bytes), new = number(-2, new_bytes);
        if (seen == -2)
            continue;
        CHECK(seen > last_odd || seen == -1); /* a value never comes back once it was swapped */
        if (varve_compare_and_swap(c.db, VARVE_STR("cell"), &old, &new) == VARVE_OK)
            last_odd = seen;
    }
    vv_thread_join(thread);
    CHECK_OK(varve_close(c.db));
}
