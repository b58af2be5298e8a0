/*
 * What a transaction promises to one who reads varve.h: what it sees, what it refuses, what happens
 * when it is over, and what outlives what.
 */
#include "db/open.h"
#include "env/mem.h"
#include "env/thread.h"
#include "harness/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static varve *open_memory(void)
{
    varve *db = NULL;
    CHECK_OK(varve_open(NULL, NULL, &db));
    return db;
}

static varve_txn *begin_as(varve *db, enum varve_txn_kind kind, enum varve_isolation isolation)
{
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_txn *txn = NULL;
    options.kind = kind;
    options.isolation = isolation;
    options.timeout_ms = 20;
    CHECK_OK(varve_txn_begin(db, &options, &txn));
    return txn;
}

static varve_txn *begin(varve *db)
{
    return begin_as(db, VARVE_TXN_OPTIMISTIC, VARVE_ISOLATION_SNAPSHOT);
}

static varve_txn *begin_serializable(varve *db)
{
    return begin_as(db, VARVE_TXN_OPTIMISTIC, VARVE_ISOLATION_SERIALIZABLE);
}

static varve_txn *begin_exclusive(varve *db)
{
    return begin_as(db, VARVE_TXN_EXCLUSIVE, VARVE_ISOLATION_SNAPSHOT);
}

static void check_get(varve_txn *txn, const char *key, const char *expected)
{
    varve_pinned value;
    int rc = varve_txn_get(txn, NULL, str(key), &value);
    CHECK_EQ_INT(varve_txn_exists(txn, NULL, str(key)), rc);
    if (expected == NULL) {
        CHECK_RC(rc, VARVE_NOTFOUND);
        return;
    }
    CHECK_OK(rc);
    CHECK_BYTES(value.data, value.size, expected, strlen(expected));
    varve_unpin(&value);
}

static void check_store(varve *db, const char *key, const char *expected)
{
    varve_pinned value;
    int rc = varve_get(db, str(key), &value);
    CHECK_RC(rc, expected == NULL ? VARVE_NOTFOUND : VARVE_OK);
    if (rc != VARVE_OK)
        return;
    CHECK_BYTES(value.data, value.size, expected, strlen(expected));
    varve_unpin(&value);
}

/* All that an iterator shows, as "a=1 b=2 ". */
static void check_scan(varve_iter *it, const char *expected)
{
    char seen[256] = "", back[256] = "";
    varve_slice value;
    for (int rc = varve_iter_first(it); rc == VARVE_OK; rc = varve_iter_next(it)) {
        varve_slice key = varve_iter_key(it);
        CHECK_OK(varve_iter_value(it, &value));
        size_t used = strlen(seen);
        (void)snprintf(seen + used, sizeof seen - used, "%.*s=%.*s ", (int)key.size,
                       (const char *)key.data, (int)value.size, (const char *)value.data);
    }
    CHECK_EQ_STR(seen, expected);
    for (int rc = varve_iter_last(it); rc == VARVE_OK; rc = varve_iter_prev(it)) {
        varve_slice key = varve_iter_key(it);
        CHECK_OK(varve_iter_value(it, &value));
        char whole[256];
        (void)snprintf(whole, sizeof whole, "%.*s=%.*s %s", (int)key.size, (const char *)key.data,
                       (int)value.size, (const char *)value.data, back);
        memcpy(back, whole, sizeof back);
    }
    CHECK_EQ_STR(back, expected);
}

TEST(a_transaction_sees_its_moment_and_its_own_changes_and_nobody_else_does)
{
    varve *db = open_memory();
    CHECK_OK(varve_put(db, str("a"), str("old")));
    CHECK_OK(varve_put(db, str("b"), str("old")));
    varve_txn *txn = begin(db);
    CHECK_OK(varve_put(db, str("c"), str("beside")));
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("new")));
    CHECK_OK(varve_txn_delete(txn, db, str("b")));
    CHECK_OK(varve_txn_put(txn, NULL, str(""), str("empty key")));
    CHECK_EQ_U64(varve_txn_count(txn), 3);
    check_get(txn, "a", "new");
    check_get(txn, "b", NULL);
    check_get(txn, "c", NULL);
    check_get(txn, "", "empty key");
    check_store(db, "a", "old");
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    check_store(db, "a", "new");
    check_store(db, "b", NULL);
    check_store(db, "c", "beside");
    check_store(db, "", "empty key");
    CHECK_OK(varve_close(db));
}

TEST(what_is_rolled_back_never_happened)
{
    varve *db = open_memory();
    varve_txn *txn = begin(db);
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("v")));
    CHECK_OK(varve_txn_rollback(txn));
    varve_txn_end(txn);
    txn = begin(db);
    CHECK_OK(varve_txn_put(txn, NULL, str("b"), str("v")));
    varve_txn_end(txn);
    check_store(db, "a", NULL);
    check_store(db, "b", NULL);
    CHECK_OK(varve_close(db));
}

TEST(savepoints_nest_and_each_level_is_kept_or_undone_on_its_own)
{
    varve *db = open_memory();
    varve_txn *txn = begin(db);
    CHECK_RC(varve_txn_release(txn), VARVE_INVALID);
    CHECK_RC(varve_txn_rollback_to(txn), VARVE_INVALID);
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("0")));
    for (int i = 0; i < 1000; i++)
        CHECK_OK(varve_txn_savepoint(txn));
    CHECK_EQ_INT(varve_txn_depth(txn), 1000);
    for (int i = 1; i < 1000; i++)
        CHECK_OK(varve_txn_release(txn));
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("1")));
    CHECK_OK(varve_txn_savepoint(txn));
    CHECK_OK(varve_txn_delete(txn, NULL, str("a")));
    CHECK_OK(varve_txn_put(txn, NULL, str("b"), str("2")));
    check_get(txn, "a", NULL);
    CHECK_OK(varve_txn_rollback_to(txn));
    check_get(txn, "a", "1");
    check_get(txn, "b", NULL);
    CHECK_OK(varve_txn_savepoint(txn));
    CHECK_OK(varve_txn_put(txn, NULL, str("c"), str("3")));
    CHECK_OK(varve_txn_release(txn));
    CHECK_OK(varve_txn_rollback_to(txn));
    check_get(txn, "a", "0");
    check_get(txn, "c", NULL);
    CHECK_EQ_INT(varve_txn_depth(txn), 0);
    CHECK_OK(varve_txn_savepoint(txn));
    CHECK_OK(varve_txn_put(txn, NULL, str("d"), str("4")));
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    check_store(db, "a", "0");
    check_store(db, "b", NULL);
    check_store(db, "d", "4");
    CHECK_OK(varve_close(db));
}

TEST(of_two_that_write_the_same_key_the_second_is_refused)
{
    varve *db = open_memory();
    varve_txn *first = begin(db), *second = begin(db), *third = begin(db);
    CHECK_OK(varve_txn_put(first, NULL, str("a"), str("1")));
    CHECK_OK(varve_txn_put(second, NULL, str("a"), str("2")));
    CHECK_OK(varve_txn_put(second, NULL, str("b"), str("2")));
    CHECK_OK(varve_txn_put(third, NULL, str("b"), str("3")));
    CHECK_OK(varve_txn_commit(first, NULL));
    CHECK_RC(varve_txn_commit(second, NULL), VARVE_CONFLICT);
    CHECK_OK(varve_txn_commit(third, NULL)); /* the second never happened */
    varve_txn_end(first);
    varve_txn_end(second);
    varve_txn_end(third);
    check_store(db, "a", "1");
    check_store(db, "b", "3");
    CHECK_OK(varve_close(db));
}

TEST(a_key_read_for_update_is_relied_upon_whether_it_was_found_or_not)
{
    varve *db = open_memory();
    varve_pinned value;
    static const char *const keys[2] = {"there", "not there"};
    CHECK_OK(varve_put(db, str("there"), str("v")));
    for (int i = 0; i < 2; i++) {
        varve_txn *txn = begin(db);
        CHECK_RC(varve_txn_get_for_update(txn, NULL, str(keys[i]), &value), i);
        varve_unpin(&value);
        CHECK_OK(varve_txn_put(txn, NULL, str("other"), str("v")));
        CHECK_OK(varve_put(db, str("third"), str("does not matter")));
        CHECK_OK(varve_delete(db, str(keys[i])));
        CHECK_RC(varve_txn_commit(txn, NULL), VARVE_CONFLICT);
        varve_txn_end(txn);
    }
    CHECK_OK(varve_close(db));
}

/* Each takes the last of two doctors off duty, having seen the other there. */
static int skew(varve *db, varve_txn *(*begin_one)(varve *db))
{
    varve_pinned value;
    CHECK_OK(varve_put(db, str("alice"), str("on")));
    CHECK_OK(varve_put(db, str("bob"), str("on")));
    varve_txn *one = begin_one(db), *two = begin_one(db);
    CHECK_OK(varve_txn_get(one, NULL, str("bob"), &value));
    varve_unpin(&value);
    CHECK_OK(varve_txn_exists(two, NULL, str("alice")));
    CHECK_OK(varve_txn_delete(one, NULL, str("alice")));
    CHECK_OK(varve_txn_delete(two, NULL, str("bob")));
    CHECK_OK(varve_txn_commit(one, NULL));
    int rc = varve_txn_commit(two, NULL);
    varve_txn_end(one);
    varve_txn_end(two);
    return rc;
}

TEST(write_skew_is_refused_where_it_is_said_to_be)
{
    varve *db = open_memory();
    CHECK_OK(skew(db, begin));
    CHECK_RC(skew(db, begin_serializable), VARVE_CONFLICT);
    CHECK_OK(varve_close(db));
}

TEST(a_scanned_range_is_relied_upon_as_far_as_it_was_scanned)
{
    static const struct {
        const char *written;
        int forward, backward;
    } cases[] = {
        {"a", VARVE_OK, VARVE_OK},             /* before the seek */
        {"b", VARVE_CONFLICT, VARVE_OK},       /* where it began */
        {"c", VARVE_CONFLICT, VARVE_OK},       /* a phantom */
        {"d", VARVE_CONFLICT, VARVE_OK},       /* an entry */
        {"f", VARVE_CONFLICT, VARVE_CONFLICT}, /* the last entry of one, the last of the other */
        {"g", VARVE_OK, VARVE_CONFLICT},       /* behind where the first stopped */
        {"i", VARVE_OK, VARVE_CONFLICT},
        {"j", VARVE_OK, VARVE_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int back = 0; back < 2; back++) {
            varve *db = open_memory();
            varve_iter *it;
            CHECK_OK(varve_put(db, str("d"), str("v")));
            CHECK_OK(varve_put(db, str("f"), str("v")));
            CHECK_OK(varve_put(db, str("h"), str("v")));
            varve_txn *txn = begin_serializable(db);
            CHECK_OK(varve_txn_iter_open(txn, NULL, NULL, &it));
            CHECK_OK(back ? varve_iter_seek_for_prev(it, str("i")) : varve_iter_seek(it, str("b")));
            CHECK_OK(back ? varve_iter_prev(it) : varve_iter_next(it));
            CHECK_OK(back ? varve_iter_next(it) : varve_iter_prev(it));
            varve_iter_close(it);
            CHECK_OK(varve_txn_put(txn, NULL, str("z"), str("v")));
            CHECK_OK(varve_put(db, str(cases[i].written), str("beside")));
            CHECK_RC(varve_txn_commit(txn, NULL), back ? cases[i].backward : cases[i].forward);
            varve_txn_end(txn);
            CHECK_OK(varve_close(db));
        }
    }
}

TEST(a_scan_to_its_bounds_relies_on_what_lies_within_them)
{
    static const struct {
        const char *written;
        int rc;
    } cases[] = {{"a", VARVE_OK},       {"b", VARVE_CONFLICT}, {"c", VARVE_CONFLICT},
                 {"e", VARVE_CONFLICT}, {"f", VARVE_OK},       {"g", VARVE_OK}};
    for (int way = 0; way < 3; way++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
            varve *db = open_memory();
            varve_iter *it;
            varve_slice key;
            size_t n = 0;
            CHECK_OK(varve_put(db, str("d"), str("v")));
            varve_txn *txn = begin_serializable(db);
            options.lower = str("b");
            options.upper = str("f");
            CHECK_OK(varve_txn_iter_open(txn, NULL, &options, &it));
            if (way == 0)
                while (varve_iter_next(it) == VARVE_OK)
                    ;
            else if (way == 1)
                while (varve_iter_prev(it) == VARVE_OK)
                    ;
            else
                while (varve_iter_chunk(it, &key, NULL, 1, &n) == VARVE_OK)
                    ;
            CHECK_OK(varve_txn_put(txn, NULL, str("z"), str("v")));
            CHECK_OK(varve_put(db, str(cases[i].written), str("beside")));
            CHECK_RC(varve_txn_commit(txn, NULL), cases[i].rc);
            varve_iter_close(it);
            varve_txn_end(txn);
            CHECK_OK(varve_close(db));
        }
    }
}

TEST(one_that_wrote_nothing_always_commits)
{
    varve *db = open_memory();
    varve_pinned value;
    varve_txn *txn = begin_serializable(db);
    CHECK_RC(varve_txn_get(txn, NULL, str("a"), &value), VARVE_NOTFOUND);
    CHECK_OK(varve_put(db, str("a"), str("v")));
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    CHECK_OK(varve_close(db));
}

TEST(an_iterator_shows_the_changes_of_its_transaction_and_those_made_later)
{
    varve *db = open_memory();
    varve_iter *it;
    CHECK_OK(varve_put(db, str("a"), str("1")));
    CHECK_OK(varve_put(db, str("c"), str("1")));
    CHECK_OK(varve_put(db, str("e"), str("1")));
    varve_txn *txn = begin(db);
    CHECK_OK(varve_put(db, str("ab"), str("beside")));
    CHECK_OK(varve_txn_put(txn, NULL, str("b"), str("2")));
    CHECK_OK(varve_txn_delete(txn, NULL, str("c")));
    CHECK_OK(varve_txn_put(txn, NULL, str("e"), str("2")));
    CHECK_OK(varve_txn_iter_open(txn, NULL, NULL, &it));
    check_scan(it, "a=1 b=2 e=2 ");
    CHECK_OK(varve_iter_seek(it, str("b")));
    CHECK_OK(varve_txn_put(txn, NULL, str("d"), str("3")));
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "d");
    CHECK_OK(varve_txn_put(txn, NULL, str("bb"), str("3")));
    CHECK_OK(varve_iter_prev(it));
    CHECK_SLICE(varve_iter_key(it), "bb");
    CHECK_OK(varve_txn_delete(txn, NULL, str("bb")));
    CHECK_SLICE(varve_iter_key(it), "bb"); /* still readable */
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "d");
    CHECK_OK(varve_txn_savepoint(txn));
    CHECK_OK(varve_txn_delete(txn, NULL, str("b")));
    CHECK_OK(varve_iter_prev(it));
    CHECK_SLICE(varve_iter_key(it), "a");
    CHECK_OK(varve_txn_rollback_to(txn));
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "b");
    check_scan(it, "a=1 b=2 d=3 e=2 ");
    CHECK_RC(varve_iter_refresh(it), VARVE_INVALID);
    varve_iter_close(it);
    varve_txn_end(txn);
    CHECK_OK(varve_close(db));
}

TEST(large_values_are_read_and_committed)
{
    enum { SIZE = 100000 };
    static char large[SIZE];
    varve *db = open_memory();
    varve_pinned value;
    memset(large, 'x', sizeof large);
    varve_txn *txn = begin(db);
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), varve_bytes(large, SIZE)));
    CHECK_OK(varve_txn_get(txn, NULL, str("a"), &value));
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("small")));
    CHECK_BYTES(value.data, value.size, large, SIZE); /* pinned as it was */
    varve_unpin(&value);
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), varve_bytes(large, SIZE)));
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    CHECK_OK(varve_get(db, str("a"), &value));
    CHECK_BYTES(value.data, value.size, large, SIZE);
    varve_unpin(&value);
    CHECK_OK(varve_close(db));
}

/* ---- being over */

static void check_over(varve_txn *txn, int expected)
{
    varve_pinned value;
    varve_iter *it;
    CHECK_RC(varve_txn_put(txn, NULL, str("a"), str("v")), expected);
    CHECK_RC(varve_txn_delete(txn, NULL, str("a")), expected);
    CHECK_RC(varve_txn_get(txn, NULL, str("a"), &value), expected);
    CHECK_RC(varve_txn_get_for_update(txn, NULL, str("a"), &value), expected);
    CHECK_RC(varve_txn_exists(txn, NULL, str("a")), expected);
    CHECK_RC(varve_txn_iter_open(txn, NULL, NULL, &it), expected);
    CHECK_RC(varve_txn_savepoint(txn), expected);
    CHECK_RC(varve_txn_release(txn), expected);
    CHECK_RC(varve_txn_rollback_to(txn), expected);
    CHECK_RC(varve_txn_commit(txn, NULL), expected);
    CHECK_RC(varve_txn_rollback(txn), expected);
}

TEST(what_is_over_answers_so)
{
    varve *db = open_memory();
    varve_iter *it;
    varve_slice value;
    CHECK_OK(varve_put(db, str("a"), str("v")));
    for (int way = 0; way < 3; way++) {
        varve_txn *txn = way == 2 ? begin_exclusive(db) : begin(db);
        CHECK_OK(varve_txn_put(txn, NULL, str("b"), str("v")));
        CHECK_OK(varve_txn_iter_open(txn, NULL, NULL, &it));
        CHECK_OK(varve_iter_last(it));
        CHECK_OK(way == 0 ? varve_txn_rollback(txn) : varve_txn_commit(txn, NULL));
        check_over(txn, VARVE_INVALID);
        CHECK_EQ_INT(varve_iter_valid(it), 0);
        CHECK_RC(varve_iter_next(it), VARVE_INVALID);
        CHECK_RC(varve_iter_value(it, &value), VARVE_INVALID);
        varve_txn_end(txn);
        CHECK_RC(varve_iter_first(it), VARVE_INVALID);
        varve_iter_close(it);
    }
    varve_txn_end(NULL);
    CHECK_OK(varve_close(db));
}

TEST(a_transaction_outlives_its_store_and_never_happened)
{
    for (int way = 0; way < 4; way++) {
        varve *db = open_memory();
        varve_iter *it;
        varve_pinned value;
        varve_txn *txn = way % 2 == 0 ? begin(db) : begin_exclusive(db);
        CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("v")));
        CHECK_OK(varve_txn_iter_open(txn, NULL, NULL, &it));
        CHECK_OK(varve_iter_first(it));
        CHECK_OK(varve_txn_get(txn, NULL, str("a"), &value));
        CHECK_OK(varve_close(db));
        check_over(txn, VARVE_CLOSED);
        CHECK_RC(varve_iter_next(it), VARVE_CLOSED);
        if (way < 2)
            varve_txn_end(txn);
        varve_iter_close(it);
        if (way >= 2)
            varve_txn_end(txn);
        CHECK_BYTES(value.data, value.size, "v", 1);
        varve_unpin(&value);
    }
}

TEST(a_child_of_a_fork_is_told_and_may_give_up_its_handle)
{
    for (int way = 0; way < 2; way++) {
        varve *db = open_memory();
        varve_txn *txn = way == 0 ? begin(db) : begin_exclusive(db);
        int status = 0;
        CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("v")));
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int rc = varve_txn_put(txn, NULL, str("b"), str("v"));
            int again = varve_txn_commit(txn, NULL);
            varve_txn_end(txn);
            _exit(rc == VARVE_FORKED && again == VARVE_FORKED ? 0 : 1);
        }
        CHECK_EQ_INT(waitpid(child, &status, 0), child);
        CHECK_EQ_INT(status, 0);
        CHECK_OK(varve_txn_commit(txn, NULL));
        varve_txn_end(txn);
        CHECK_OK(varve_close(db));
    }
}

TEST(bad_arguments_are_refused)
{
    varve *db = open_memory(), *other = open_memory();
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_iter_options iter_options = VARVE_ITER_OPTIONS_INIT;
    varve_snapshot *snapshot;
    varve_txn *txn = NULL;
    varve_iter *it;
    CHECK_RC(varve_txn_begin(NULL, NULL, &txn), VARVE_INVALID);
    CHECK_RC(varve_txn_begin(db, NULL, NULL), VARVE_INVALID);
    options.size = 0;
    CHECK_RC(varve_txn_begin(db, &options, &txn), VARVE_INVALID);
    options = (varve_txn_options)VARVE_TXN_OPTIONS_INIT;
    options.kind = (enum varve_txn_kind)7;
    CHECK_RC(varve_txn_begin(db, &options, &txn), VARVE_INVALID);
    options = (varve_txn_options)VARVE_TXN_OPTIONS_INIT;
    options.isolation = (enum varve_isolation)7;
    CHECK_RC(varve_txn_begin(db, &options, &txn), VARVE_INVALID);
    CHECK(txn == NULL);
    check_over(NULL, VARVE_INVALID);
    txn = begin(db);
    CHECK_RC(varve_txn_put(txn, other, str("a"), str("v")), VARVE_INVALID);
    CHECK_RC(varve_txn_put(txn, NULL, varve_bytes(NULL, 1), str("v")), VARVE_INVALID);
    CHECK_RC(varve_txn_put(txn, NULL, str("a"), varve_bytes(NULL, 1)), VARVE_INVALID);
    CHECK_RC(varve_txn_put(txn, NULL, varve_bytes("", VARVE_KEY_SIZE_MAX + 1), str("v")),
             VARVE_TOOBIG);
    CHECK_RC(varve_txn_get(txn, NULL, str("a"), NULL), VARVE_INVALID);
    CHECK_OK(varve_snapshot_new(db, &snapshot));
    iter_options.snapshot = snapshot;
    CHECK_RC(varve_txn_iter_open(txn, NULL, &iter_options, &it), VARVE_INVALID);
    varve_snapshot_release(snapshot);
    CHECK_EQ_U64(varve_txn_count(txn), 0);
    varve_txn_end(txn);
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_close(other));
}

/* ---- keyspaces */

static int backward(void *context, varve_slice a, varve_slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = memcmp(b.data, a.data, size);
    (void)context;
    return order != 0 ? order : (a.size < b.size) - (a.size > b.size);
}

TEST(a_transaction_is_of_all_keyspaces)
{
    varve *db = open_memory();
    varve_comparator comparator = {"backward", backward, NULL};
    varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
    varve_keyspace *plain, *turned;
    varve_iter *it;
    varve_pinned value;
    CHECK_OK(varve_keyspace_create(db, "plain", NULL, &plain));
    varve_txn *txn = begin_serializable(plain);
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("default")));
    CHECK_OK(varve_txn_put(txn, plain, str("a"), str("plain")));
    options.comparator = &comparator;
    CHECK_OK(varve_keyspace_create(db, "turned", &options, &turned));
    CHECK_OK(varve_put(turned, str("f"), str("too late to be seen")));
    for (const char *key = "bdace"; *key != 0; key++)
        CHECK_OK(varve_txn_put(txn, turned, varve_bytes(key, 1), varve_bytes(key, 1)));
    CHECK_OK(varve_txn_delete(txn, turned, str("d")));
    CHECK_OK(varve_txn_get(txn, turned, str("c"), &value));
    varve_unpin(&value);
    CHECK_RC(varve_txn_get(txn, plain, str("c"), &value), VARVE_NOTFOUND);
    CHECK_OK(varve_txn_iter_open(txn, turned, NULL, &it));
    check_scan(it, "e=e c=c b=b a=a ");
    CHECK_OK(varve_iter_seek(it, str("d")));
    CHECK_SLICE(varve_iter_key(it), "c");
    varve_iter_close(it);
    CHECK_OK(varve_txn_iter_open(txn, plain, NULL, &it));
    check_scan(it, "a=plain ");
    varve_iter_close(it);
    CHECK_OK(varve_txn_iter_open(txn, NULL, NULL, &it));
    check_scan(it, "a=default ");
    varve_iter_close(it);
    CHECK_RC(varve_txn_commit(txn, NULL), VARVE_CONFLICT); /* it scanned where f came */
    varve_txn_end(txn);

    txn = begin_serializable(db);
    CHECK_OK(varve_txn_put(txn, plain, str("k"), str("v")));
    CHECK_OK(varve_put(turned, str("k"), str("another key")));
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    check_store(plain, "k", "v");
    CHECK_OK(varve_close(db));
}

/* ---- exclusive */

TEST(an_exclusive_transaction_is_alone)
{
    varve *db = open_memory();
    varve_txn *other = begin(db);
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_txn *txn = begin_exclusive(db), *second = NULL;
    CHECK_OK(varve_txn_put(txn, NULL, str("a"), str("mine")));
    CHECK_OK(varve_txn_put(other, NULL, str("a"), str("other")));
    options.kind = VARVE_TXN_EXCLUSIVE;
    CHECK_RC(varve_txn_begin(db, &options, &second), VARVE_BUSY);
    CHECK_RC(varve_put(db, str("b"), str("v")), VARVE_BUSY);
    CHECK_RC(varve_txn_commit(other, NULL), VARVE_BUSY); /* would wait for ourselves */
    check_store(db, "a", NULL);
    CHECK_OK(varve_txn_commit(txn, NULL));
    CHECK_OK(varve_put(db, str("b"), str("v")));
    CHECK_RC(varve_txn_commit(other, NULL), VARVE_CONFLICT);
    varve_txn_end(txn);
    varve_txn_end(other);
    txn = begin_exclusive(db);
    varve_txn_end(txn);
    check_store(db, "a", "mine");
    CHECK_OK(varve_close(db));
}

struct waiter {
    varve *db;
    uint32_t timeout_ms;
    int rc;
    struct vv_thread *thread;
};

static void wait_run(void *arg)
{
    struct waiter *w = arg;
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_txn *txn = NULL;
    options.kind = VARVE_TXN_EXCLUSIVE;
    options.timeout_ms = w->timeout_ms;
    w->rc = varve_txn_begin(w->db, &options, &txn);
    if (w->rc == VARVE_OK)
        w->rc = varve_txn_put(txn, NULL, str("waiter"), str("v"));
    if (w->rc == VARVE_OK)
        w->rc = varve_txn_commit(txn, NULL);
    varve_txn_end(txn);
}

TEST(another_exclusive_one_waits_for_its_turn_or_for_its_time_to_run_out)
{
    varve *db = open_memory();
    varve_txn *txn = begin_exclusive(db);
    struct waiter brief = {.db = db, .timeout_ms = 5};
    struct waiter patient = {.db = db, .timeout_ms = UINT32_MAX};
    CHECK_OK(vv_thread_start("patient", 0, wait_run, &patient, &patient.thread));
    CHECK_OK(vv_thread_start("brief", 0, wait_run, &brief, &brief.thread));
    vv_thread_join(brief.thread);
    CHECK_RC(brief.rc, VARVE_BUSY);
    check_store(db, "waiter", NULL);
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    vv_thread_join(patient.thread);
    CHECK_OK(patient.rc);
    check_store(db, "waiter", "v");
    CHECK_OK(varve_close(db));
}

TEST(a_commit_at_level_disk_survives)
{
    char path[512];
    varve *db;
    varve_write_options options = VARVE_WRITE_OPTIONS_INIT;
    (void)snprintf(path, sizeof path, "%s/store", test_tmpdir());
    for (int way = 0; way < 2; way++) {
        CHECK_OK(varve_open(path, NULL, &db));
        varve_txn *txn = way == 0 ? begin(db) : begin_exclusive(db);
        options.durability = VARVE_DURABILITY_DISK;
        CHECK_OK(varve_txn_put(txn, NULL, str(way == 0 ? "a" : "b"), str("v")));
        CHECK_OK(varve_txn_commit(txn, &options));
        varve_txn_end(txn);
        CHECK_OK(varve_close(db));
    }
    CHECK_OK(varve_open(path, NULL, &db));
    check_store(db, "a", "v");
    check_store(db, "b", "v");
    varve_stats stats = {.size = sizeof stats};
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK_EQ_U64(stats.snapshots, 0);
    CHECK_OK(varve_close(db));
}
