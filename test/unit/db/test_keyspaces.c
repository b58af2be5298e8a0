/*
 * Keyspaces, as the header promises them: making and finding, borders, orders, batches, moments, ends.
 */
#include "db/open.h"
#include "env/mem.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static const varve_slice none;

/* ---- stores */

static varve *open_memory(void)
{
    varve *db = NULL;
    varve_options options = VARVE_OPTIONS_INIT;
    options.memory_budget = (uint64_t)8 << 20;
    options.background_threads = 1;
    CHECK_OK(varve_open(NULL, &options, &db));
    return db;
}

static varve *reopen(varve *db, const char *path, const varve_options *options)
{
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_open(path, options, &db));
    return db;
}

static varve_keyspace *create(varve *db, const char *name)
{
    varve_keyspace *ks = NULL;
    CHECK_OK(varve_keyspace_create(db, name, NULL, &ks));
    return ks;
}

static varve_keyspace *find(varve *db, const char *name)
{
    varve_keyspace *ks = NULL;
    CHECK_OK(varve_keyspace_open(db, name, &ks));
    return ks;
}

static void put(varve *db, const char *key, const char *value)
{
    CHECK_OK(varve_put(db, str(key), str(value)));
}

static void check_get(varve *db, const char *key, const char *value)
{
    varve_pinned out;
    if (value == NULL) {
        CHECK_RC(varve_get(db, str(key), &out), VARVE_NOTFOUND);
        return;
    }
    CHECK_OK(varve_get(db, str(key), &out));
    CHECK_BYTES(out.data, out.size, value, strlen(value));
    varve_unpin(&out);
}

/* All keys with a space behind each, one way and the other. */
static void check_keys(varve *db, const varve_iter_options *options, const char *expected)
{
    char forward[512] = "", backward[512] = "";
    varve_iter *it;
    CHECK_OK(varve_iter_open(db, options, &it));
    while (varve_iter_next(it) == VARVE_OK) {
        varve_slice key = varve_iter_key(it);
        size_t at = strlen(forward);
        (void)snprintf(forward + at, sizeof forward - at, "%.*s ", (int)key.size,
                       (const char *)key.data);
    }
    CHECK_EQ_STR(forward, expected);
    for (int rc = varve_iter_last(it); rc == VARVE_OK; rc = varve_iter_prev(it)) {
        char before[512];
        varve_slice key = varve_iter_key(it);
        memcpy(before, backward, sizeof before);
        (void)snprintf(backward, sizeof backward, "%.*s %.400s", (int)key.size,
                       (const char *)key.data, before);
    }
    CHECK_EQ_STR(backward, expected);
    varve_iter_close(it);
}

static int join_names(void *context, const char *name)
{
    char *text = context;
    size_t at = strlen(text);
    (void)snprintf(text + at, 512 - at, "%s ", name);
    return 0;
}

static void check_list(varve *db, const char *expected)
{
    char text[512] = "";
    CHECK_OK(varve_keyspace_list(db, join_names, text));
    CHECK_EQ_STR(text, expected);
}

static int stop_at_once(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 77;
}

/* ---- making and finding */

TEST(a_keyspace_is_made_once_and_found_by_name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    varve *db;
    varve_keyspace *ks, *again, *untouched = (varve_keyspace *)(void *)path;
    CHECK_OK(varve_open(path, NULL, &db));
    ks = untouched;
    CHECK_RC(varve_keyspace_open(db, "a", &ks), VARVE_MISSING);
    CHECK(ks == untouched);
    ks = create(db, "a");
    CHECK_RC(varve_keyspace_create(db, "a", NULL, &untouched), VARVE_EXISTS);
    CHECK_RC(varve_keyspace_create(ks, "a", NULL, &untouched), VARVE_EXISTS);
    CHECK_OK(varve_keyspace_open(db, "a", &again));
    CHECK(again == ks);
    CHECK_EQ_STR(varve_keyspace_name(ks), "a");
    CHECK_EQ_INT(varve_keyspace_id(ks), 1);
    CHECK_EQ_INT(varve_keyspace_id(create(ks, "from a keyspace's handle")), 2);
    check_list(ks, "default a from a keyspace's handle ");
    db = reopen(db, path, NULL);
    check_list(db, "default a from a keyspace's handle ");
    CHECK_EQ_INT(varve_keyspace_id(find(db, "a")), 1);
    CHECK_EQ_INT(varve_keyspace_id(create(db, "A")), 3);
    CHECK_OK(varve_close(db));
}

TEST(the_stores_own_handle_is_the_default_keyspace)
{
    varve *db = open_memory();
    varve_keyspace *ks;
    CHECK_EQ_STR(varve_keyspace_name(db), "default");
    CHECK_EQ_INT(varve_keyspace_id(db), 0);
    CHECK(find(db, "default") == db);
    CHECK_RC(varve_keyspace_create(db, "default", NULL, &ks), VARVE_EXISTS);
    ks = create(db, "other");
    CHECK(find(ks, "default") == db);
    CHECK_RC(varve_close(ks), VARVE_INVALID);
    put(ks, "still", "open");
    CHECK_OK(varve_close(db));
}

TEST(bad_arguments_are_refused)
{
    varve *db = open_memory();
    char long_name[257];
    varve_keyspace *ks = NULL;
    varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
    varve_comparator nameless = {NULL, NULL, NULL};
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[256] = 0;
    CHECK_RC(varve_keyspace_create(db, "", NULL, &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_create(db, NULL, NULL, &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_create(db, long_name, NULL, &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_create(db, "k", NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_keyspace_create(NULL, "k", NULL, &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_open(db, "", &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_open(db, long_name, &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_open(db, "k", NULL), VARVE_INVALID);
    CHECK_RC(varve_keyspace_open(NULL, "k", &ks), VARVE_INVALID);
    CHECK_RC(varve_keyspace_list(db, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_keyspaces_at(NULL, join_names, NULL), VARVE_INVALID);
    options.comparator = &nameless;
    CHECK_RC(varve_keyspace_create(db, "k", &options, &ks), VARVE_INVALID);
    options = (varve_keyspace_options){0};
    CHECK_RC(varve_keyspace_create(db, "k", &options, &ks), VARVE_INVALID);
    CHECK(ks == NULL);
    long_name[255] = 0;
    CHECK_EQ_STR(varve_keyspace_name(create(db, long_name)), long_name);
    CHECK_EQ_STR(varve_keyspace_name(create(db, "\xff/\n ../x")), "\xff/\n ../x");
    CHECK(varve_keyspace_name(NULL) == NULL);
    CHECK_RC(varve_keyspace_list(db, stop_at_once, NULL), 77);
    CHECK_OK(varve_close(db));
}

TEST(names_are_read_from_a_store_that_nobody_opens)
{
    char path[512], text[512] = "";
    varve *db;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_RC(varve_keyspaces_at(path, join_names, text), VARVE_MISSING);
    CHECK_OK(varve_open(path, NULL, &db));
    CHECK_OK(varve_keyspaces_at(path, join_names, text));
    CHECK_EQ_STR(text, "default ");
    (void)create(db, "one");
    (void)create(db, "two");
    text[0] = 0;
    CHECK_OK(varve_keyspaces_at(path, join_names, text));
    CHECK_EQ_STR(text, "default one two ");
    CHECK_OK(varve_close(db));
    text[0] = 0;
    CHECK_OK(varve_keyspaces_at(path, join_names, text));
    CHECK_EQ_STR(text, "default one two ");
    CHECK_RC(varve_keyspaces_at(path, stop_at_once, text), 77);
    CHECK_RC(varve_keyspaces_at("/", join_names, text), VARVE_FOREIGN);
}

/* ---- keys */

TEST(keyspaces_know_nothing_of_each_other)
{
    varve *db = open_memory();
    varve_keyspace *a = create(db, "a");
    varve_keyspace *b = create(db, "b");
    uint64_t bytes;
    put(db, "k", "of default");
    put(a, "k", "of a");
    put(b, "only b", "v");
    check_get(db, "k", "of default");
    check_get(a, "k", "of a");
    check_get(b, "k", NULL);
    CHECK_OK(varve_delete(db, str("k")));
    check_get(db, "k", NULL);
    check_get(a, "k", "of a");
    CHECK_OK(varve_flush(b));
    CHECK_OK(varve_compact(a, none, none));
    check_get(a, "k", "of a");
    check_get(b, "only b", "v");
    CHECK_RC(varve_exists(a, str("only b")), VARVE_NOTFOUND);
    CHECK_OK(varve_range_bytes(a, none, none, &bytes));
    CHECK_OK(varve_close(db));
}

/* A keyspace whose neighbours are full of keys at the border. */
static void check_borders(varve_keyspace *ks, varve_keyspace *before, varve_keyspace *behind)
{
    static const char *const edges[] = {"", "\xff", "\xff\xff\xff\xff", "m"};
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_iter *it;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        put(before, edges[i], "before");
        put(behind, edges[i], "behind");
    }
    CHECK_OK(varve_put(before, varve_bytes("\0\0", 2), str("")));
    CHECK_OK(varve_put(behind, varve_bytes("\0\0", 2), str("")));
    CHECK_OK(varve_iter_open(ks, NULL, &it));
    CHECK_RC(varve_iter_first(it), VARVE_END);
    CHECK_RC(varve_iter_last(it), VARVE_END);
    CHECK_RC(varve_iter_seek(it, str("")), VARVE_END);
    CHECK_RC(varve_iter_seek_for_prev(it, str("\xff\xff\xff\xff\xff\xff")), VARVE_END);
    varve_iter_close(it);
    put(ks, "", "e");
    put(ks, "m", "m");
    put(ks, "\xff", "f");
    put(ks, "\xff\xff", "ff");
    check_keys(ks, NULL, " m \xff \xff\xff ");
    options.prefix = str("\xff");
    check_keys(ks, &options, "\xff \xff\xff ");
    options.prefix = str("");
    check_keys(ks, &options, " m \xff \xff\xff ");
    options.prefix = str("\xff\xff\xff");
    check_keys(ks, &options, "");
    options.prefix = none;
    options.lower = str("a");
    check_keys(ks, &options, "m \xff \xff\xff ");
    options.upper = str("\xff");
    check_keys(ks, &options, "m ");
    options.lower = none;
    check_keys(ks, &options, " m ");
    CHECK_OK(varve_iter_open(ks, NULL, &it));
    CHECK_OK(varve_iter_seek(it, str("z")));
    CHECK_SLICE(varve_iter_key(it), "\xff");
    CHECK_RC(varve_iter_seek(it, str("\xff\xff\xff")), VARVE_END);
    CHECK_OK(varve_iter_seek_for_prev(it, str("\xff\xff\xff")));
    CHECK_SLICE(varve_iter_key(it), "\xff\xff");
    CHECK_OK(varve_iter_seek_for_prev(it, str("\1")));
    CHECK_SLICE(varve_iter_key(it), "");
    CHECK_RC(varve_iter_prev(it), VARVE_END);
    varve_iter_close(it);
}

TEST(neighbours_do_not_show_at_the_borders)
{
    enum { COUNT = 4200 };
    static varve_keyspace *all[COUNT];
    static const int tested[] = {1, 2, 238, 239, 240, 241, 495, 496, 4100};
    varve *db = open_memory();
    char name[16];
    all[0] = db;
    for (int i = 1; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "ks%d", i);
        all[i] = create(db, name);
        CHECK_EQ_INT(varve_keyspace_id(all[i]), i);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof tested / sizeof tested[0]; i++) {
            int at = tested[i];
            varve_keyspace *three[3] = {all[at - 1], all[at], all[at + 1]};
            for (int k = 0; k < 3; k++) {
                varve_iter *it;
                CHECK_OK(varve_iter_open(three[k], NULL, &it));
                while (varve_iter_next(it) == VARVE_OK)
                    CHECK_OK(varve_delete(three[k], varve_iter_key(it)));
                varve_iter_close(it);
            }
            if (round > 0)
                CHECK_OK(varve_flush(db));
            check_borders(all[at], all[at - 1], all[at + 1]);
        }
    }
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_close(db));
}

TEST(a_key_may_be_of_any_size_in_any_keyspace)
{
    static char large[VARVE_KEY_SIZE_MAX + 1];
    varve *db = open_memory();
    varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
    varve_keyspace *spaces[3] = {db, NULL, NULL};
    varve_pinned out[3];
    int results[3];
    spaces[1] = create(db, "a");
    for (int i = 0; i < 300; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        spaces[2] = create(db, name);
    }
    (void)options;
    for (size_t size = 100; size <= VARVE_KEY_SIZE_MAX; size += size < 140 ? 1 : 13079) {
        for (int i = 0; i < 3; i++) {
            varve_slice key = varve_bytes(large, size);
            varve_slice keys[3] = {key, str("no"), varve_bytes(large, VARVE_KEY_SIZE_MAX + 1)};
            char value[8] = {(char)('0' + i)};
            CHECK_OK(varve_put(spaces[i], key, str(value)));
            CHECK_OK(varve_multi_get(spaces[i], 3, keys, out, results));
            CHECK_EQ_INT(results[0], VARVE_OK);
            CHECK_BYTES(out[0].data, out[0].size, value, 1);
            varve_unpin(&out[0]);
            CHECK_EQ_INT(results[1], VARVE_NOTFOUND);
            CHECK_EQ_INT(results[2], VARVE_TOOBIG);
        }
    }
    for (int i = 0; i < 3; i++) {
        varve_iter *it;
        CHECK_RC(varve_put(spaces[i], varve_bytes(large, sizeof large), none), VARVE_TOOBIG);
        CHECK_OK(varve_put(spaces[i], varve_bytes(large, VARVE_KEY_SIZE_MAX), none));
        CHECK_OK(varve_flush(db));
        CHECK_OK(varve_iter_open(spaces[i], NULL, &it));
        CHECK_OK(varve_iter_last(it));
        CHECK_EQ_U64(varve_iter_key(it).size, VARVE_KEY_SIZE_MAX);
        CHECK_OK(varve_iter_seek(it, varve_bytes(large, VARVE_KEY_SIZE_MAX)));
        varve_iter_close(it);
    }
    CHECK_OK(varve_compact(db, none, none));
    CHECK_OK(varve_verify(db, NULL, NULL));
    for (int i = 0; i < 3; i++)
        CHECK_OK(varve_exists(spaces[i], varve_bytes(large, VARVE_KEY_SIZE_MAX)));
    CHECK_OK(varve_close(db));
}

/* ---- batches and moments */

TEST(a_batch_changes_several_keyspaces_at_once)
{
    varve *db = open_memory(), *other = open_memory();
    varve_keyspace *a = create(db, "a"), *b = create(db, "b"), *foreign = create(other, "a");
    varve_batch *batch, *more;
    static char large[5000];
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_new(&more));
    CHECK_OK(varve_batch_put_in(batch, a, str("k"), str("a")));
    CHECK_OK(varve_batch_put(batch, str("k"), str("default")));
    CHECK_OK(varve_batch_put_in(batch, b, str("k"), varve_bytes(large, sizeof large)));
    CHECK_OK(varve_batch_put_in(batch, db, str("k2"), str("also default")));
    CHECK_OK(varve_batch_put_in(batch, NULL, str("k3"), str("default, too")));
    CHECK_OK(varve_batch_delete_in(batch, a, str("k")));
    CHECK_OK(varve_batch_put_in(batch, a, str("k"), str("a again")));
    CHECK_RC(varve_batch_put_in(batch, foreign, str("k"), str("v")), VARVE_INVALID);
    CHECK_RC(varve_batch_delete_in(batch, foreign, str("k")), VARVE_INVALID);
    CHECK_EQ_U64(varve_batch_count(batch), 7);
    CHECK_RC(varve_write(other, batch, NULL), VARVE_INVALID);
    check_get(other, "k", NULL);
    CHECK_OK(varve_write(b, batch, NULL));
    check_get(db, "k", "default");
    check_get(db, "k2", "also default");
    check_get(db, "k3", "default, too");
    check_get(a, "k", "a again");
    CHECK_OK(varve_exists(b, str("k")));
    CHECK_OK(varve_batch_put_in(more, foreign, str("x"), str("v")));
    CHECK_RC(varve_batch_append(more, batch), VARVE_INVALID);
    varve_batch_clear(more);
    CHECK_OK(varve_batch_put(more, str("anywhere"), str("v")));
    CHECK_OK(varve_write(foreign, more, NULL));
    check_get(other, "anywhere", "v");
    CHECK_OK(varve_batch_append(more, batch));
    CHECK_RC(varve_write(other, more, NULL), VARVE_INVALID);
    varve_batch_free(batch);
    varve_batch_free(more);
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_close(other));
}

TEST(a_snapshot_is_one_moment_of_all_keyspaces)
{
    varve *db = open_memory(), *other = open_memory();
    varve_keyspace *a = create(db, "a"), *late;
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_snapshot *snapshot;
    varve_pinned out;
    put(db, "k", "1");
    put(a, "k", "1");
    CHECK_OK(varve_snapshot_new(a, &snapshot));
    late = create(db, "late");
    put(late, "k", "2");
    put(a, "k", "2");
    put(a, "k2", "2");
    put(db, "k2", "2");
    options.snapshot = snapshot;
    check_keys(db, &options, "k ");
    check_keys(a, &options, "k ");
    check_keys(late, &options, "");
    CHECK_OK(varve_get_at(a, snapshot, str("k"), &out));
    CHECK_SLICE(out, "1");
    varve_unpin(&out);
    CHECK_RC(varve_get_at(late, snapshot, str("k"), &out), VARVE_NOTFOUND);
    CHECK_RC(varve_get_at(other, snapshot, str("k"), &out), VARVE_INVALID);
    varve_snapshot_release(snapshot);
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_close(other));
}

TEST(an_iterator_without_bounds_stays_in_its_keyspace_when_others_come)
{
    varve *db = open_memory();
    varve_iter *it;
    put(db, "a", "1");
    put(db, "b", "1");
    CHECK_OK(varve_iter_open(db, NULL, &it));
    varve_keyspace *late = create(db, "late");
    put(late, "c", "2");
    put(db, "\xff", "2");
    CHECK_OK(varve_iter_last(it));
    CHECK_SLICE(varve_iter_key(it), "b");
    CHECK_RC(varve_iter_seek(it, str("c")), VARVE_END);
    CHECK_OK(varve_iter_refresh(it));
    CHECK_OK(varve_iter_last(it));
    CHECK_SLICE(varve_iter_key(it), "\xff");
    CHECK_RC(varve_iter_next(it), VARVE_END);
    varve_iter_close(it);
    CHECK_OK(varve_close(db));
}

/* ---- orders */

static int backward(void *context, varve_slice a, varve_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(b.data, a.data, common) : 0;
    if (context != NULL)
        ++*(_Atomic(int) *)context;
    return order != 0 ? order : (a.size < b.size) - (a.size > b.size);
}

/* Shorter keys first. */
static int by_size(void *context, varve_slice a, varve_slice b)
{
    (void)context;
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size > 0 ? memcmp(a.data, b.data, a.size) : 0;
}

static const varve_comparator orders[] = {{"backward", backward, NULL}, {"by size", by_size, NULL}};

static varve_options with_orders(void)
{
    varve_options options = VARVE_OPTIONS_INIT;
    options.memory_budget = (uint64_t)8 << 20;
    options.comparators = orders;
    options.comparator_count = 2;
    return options;
}

static varve_keyspace *create_ordered(varve *db, const char *name, int order)
{
    varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
    varve_keyspace *ks;
    options.comparator = &orders[order];
    CHECK_OK(varve_keyspace_create(db, name, &options, &ks));
    return ks;
}

static void check_ordered(varve *db)
{
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_keyspace *back = find(db, "back"), *size = find(db, "size");
    check_keys(db, NULL, " a bb ccc \xff ");
    check_keys(find(db, "plain"), NULL, " a bb ccc \xff ");
    check_keys(back, NULL, "\xff ccc bb a  ");
    check_keys(size, NULL, " a \xff bb ccc ");
    options.lower = str("c");
    options.upper = str("a");
    check_keys(back, &options, "bb ");
    options.lower = str("a");
    options.upper = str("bb");
    check_keys(size, &options, "a \xff ");
    options.upper = none;
    check_keys(size, &options, "a \xff bb ccc ");
    options = (varve_iter_options)VARVE_ITER_OPTIONS_INIT;
    options.prefix = str("a");
    varve_iter *it;
    CHECK_RC(varve_iter_open(back, &options, &it), VARVE_INVALID);
    CHECK_RC(varve_iter_open(size, &options, &it), VARVE_INVALID);
    check_get(back, "", "v");
    check_get(size, "\xff", "v");
    check_get(size, "dddd", NULL);
}

static void fill_ordered(varve *db)
{
    static const char *const names[] = {"default", "plain", "back", "size"};
    static const char *const keys[] = {"ccc", "", "a", "\xff", "bb"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            put(find(db, names[i]), keys[k], "v");
}

TEST(an_order_may_come_to_a_store_that_was_bytewise)
{
    char path[512];
    varve *db;
    varve_options options = with_orders();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &db));
    (void)create(db, "plain");
    for (int i = 0; i < 1000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        put(db, key, "first in a table");
        put(find(db, "plain"), key, "first in a memtable");
        if (i == 500)
            CHECK_OK(varve_flush(db));
    }
    (void)create_ordered(db, "back", 0);
    (void)create_ordered(db, "size", 1);
    fill_ordered(db);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        CHECK_OK(varve_delete(db, str(key)));
        CHECK_OK(varve_delete(find(db, "plain"), str(key)));
    }
    check_ordered(db);
    db = reopen(db, path, &options);
    check_ordered(db);
    CHECK_OK(varve_flush(db));
    check_ordered(db);
    CHECK_OK(varve_compact(find(db, "back"), str("zz"), str("a")));
    check_ordered(db);
    CHECK_OK(varve_compact(db, none, none));
    CHECK_OK(varve_settle(db));
    check_ordered(db);
    CHECK_OK(varve_verify(db, NULL, NULL));
    db = reopen(db, path, &options);
    check_ordered(db);
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_check(path, &options, NULL, NULL));
    CHECK_OK(varve_repair(path, &options, NULL, NULL));
    CHECK_OK(varve_open(path, &options, &db));
    check_ordered(db);
    CHECK_OK(varve_close(db));
}

TEST(an_order_may_be_the_first_thing_in_a_store)
{
    varve *db = open_memory();
    varve_keyspace *back = create_ordered(db, "back", 0);
    put(back, "a", "v");
    put(back, "b", "v");
    put(db, "a", "v");
    put(db, "b", "v");
    check_keys(back, NULL, "b a ");
    check_keys(db, NULL, "a b ");
    CHECK_OK(varve_close(db));
}

TEST(a_store_whose_default_keyspace_has_an_order_has_all_else)
{
    char path[512];
    varve *db;
    varve_txn *txn;
    varve_iter *it;
    varve_batch *batch;
    varve_iter_options bounds = VARVE_ITER_OPTIONS_INIT;
    varve_options options = with_orders();
    options.comparator = &orders[0];
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &db));
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, str("a"), str("by batch")));
    CHECK_OK(varve_batch_put_in(batch, db, str("b"), str("by batch")));
    CHECK_OK(varve_batch_put_in(batch, create(db, "plain"), str("b"), str("plain")));
    CHECK_OK(varve_batch_put_in(batch, find(db, "plain"), str("a"), str("plain")));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
    put(db, "", "least, so last");
    put(db, "\xff\xff\xff\xff\xff", "first");
    check_get(db, "a", "by batch");
    check_keys(db, NULL, "\xff\xff\xff\xff\xff b a  ");
    check_keys(find(db, "plain"), NULL, "a b ");
    bounds.lower = str("b");
    check_keys(db, &bounds, "b a  ");
    bounds.upper = str("");
    check_keys(db, &bounds, "b a ");
    CHECK_OK(varve_txn_begin(db, NULL, &txn));
    CHECK_OK(varve_txn_put(txn, NULL, str("c"), str("by transaction")));
    CHECK_OK(varve_txn_put(txn, NULL, str("aa"), str("by transaction")));
    CHECK_OK(varve_txn_put(txn, NULL, str("d"), str("by transaction")));
    CHECK_OK(varve_txn_iter_open(txn, NULL, NULL, &it));
    char seen[64] = "";
    while (varve_iter_next(it) == VARVE_OK) {
        CHECK(strlen(seen) < 32);
        (void)strncat(seen, varve_iter_key(it).data, varve_iter_key(it).size);
        (void)strncat(seen, " ", 2);
    }
    CHECK_EQ_STR(seen, "\xff\xff\xff\xff\xff d c b aa a  ");
    varve_iter_close(it);
    CHECK_OK(varve_txn_commit(txn, NULL));
    varve_txn_end(txn);
    CHECK_OK(varve_flush(db));
    check_keys(db, NULL, "\xff\xff\xff\xff\xff d c b aa a  ");
    db = reopen(db, path, &options);
    check_keys(db, NULL, "\xff\xff\xff\xff\xff d c b aa a  ");
    CHECK_OK(varve_compact(db, none, none));
    check_keys(db, NULL, "\xff\xff\xff\xff\xff d c b aa a  ");
    CHECK_OK(varve_close(db));
    options.comparator = NULL;
    CHECK_RC(varve_open(path, &options, &db), VARVE_INVALID);
    options.comparator = &orders[1];
    CHECK_RC(varve_open(path, &options, &db), VARVE_INVALID);
}

TEST(a_store_opens_only_with_the_comparators_of_all_its_keyspaces)
{
    char path[512];
    varve *db;
    varve_options options = with_orders();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &db));
    put(create_ordered(db, "size", 1), "k", "v");
    CHECK_OK(varve_close(db));
    CHECK_RC(varve_open(path, NULL, &db), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "'size'") != NULL);
    CHECK(strstr(varve_last_error(), "by size") != NULL);
    CHECK_RC(varve_check(path, NULL, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_repair(path, NULL, NULL, NULL), VARVE_INVALID);
    options.comparator_count = 1;
    CHECK_RC(varve_open(path, &options, &db), VARVE_INVALID);
    options.mode = VARVE_MODE_READONLY;
    CHECK_RC(varve_open(path, &options, &db), VARVE_INVALID);
    options = with_orders();
    CHECK_OK(varve_open(path, &options, &db));
    check_get(find(db, "size"), "k", "v");
    CHECK_OK(varve_close(db));
    char text[64] = "";
    CHECK_OK(varve_keyspaces_at(path, join_names, text));
    CHECK_EQ_STR(text, "default size ");
}

/* ---- dropping */

TEST(a_dropped_keyspace_is_gone_and_its_name_is_free)
{
    char path[512];
    varve *db;
    varve_batch *batch;
    varve_pinned out;
    uint64_t bytes;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, NULL, &db));
    varve_keyspace *a = create(db, "a"), *b = create(db, "b"), *again;
    put(a, "k", "first");
    put(b, "k", "kept");
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put_in(batch, a, str("k2"), str("v")));
    CHECK_OK(varve_batch_put(batch, str("k2"), str("v")));
    CHECK_RC(varve_keyspace_drop(db), VARVE_INVALID);
    CHECK_RC(varve_keyspace_drop(NULL), VARVE_INVALID);
    CHECK_OK(varve_keyspace_drop(a));
    CHECK_RC(varve_keyspace_drop(a), VARVE_MISSING);
    CHECK_RC(varve_put(a, str("k"), str("v")), VARVE_MISSING);
    CHECK_RC(varve_get(a, str("k"), &out), VARVE_MISSING);
    CHECK_RC(varve_delete_range(a, none, none), VARVE_MISSING);
    CHECK_RC(varve_range_bytes(a, none, none, &bytes), VARVE_MISSING);
    CHECK_RC(varve_compact(a, none, none), VARVE_MISSING);
    CHECK_RC(varve_write(db, batch, NULL), VARVE_MISSING);
    check_get(db, "k2", NULL);
    CHECK_RC(varve_keyspace_open(db, "a", &again), VARVE_MISSING);
    CHECK_EQ_STR(varve_keyspace_name(a), "a");
    check_list(db, "default b ");
    again = create(db, "a");
    CHECK_EQ_INT(varve_keyspace_id(again), 3);
    CHECK(find(db, "a") == again);
    check_keys(again, NULL, "");
    put(again, "k", "second");
    check_get(again, "k", "second");
    check_get(b, "k", "kept");
    for (int round = 0; round < 3; round++) {
        db = reopen(db, path, NULL);
        check_list(db, "default b a ");
        check_get(find(db, "a"), "k", "second");
        check_get(find(db, "b"), "k", "kept");
    }
    varve_batch_free(batch);
    CHECK_OK(varve_keyspace_drop(find(db, "a")));
    db = reopen(db, path, NULL);
    db = reopen(db, path, NULL);
    CHECK_EQ_INT(varve_keyspace_id(create(db, "a")), 4);
    check_keys(find(db, "a"), NULL, "");
    CHECK_OK(varve_close(db));
}

TEST(what_was_open_before_a_drop_still_sees_what_there_was)
{
    varve *db = open_memory();
    varve_keyspace *a = create(db, "a");
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve_snapshot *before, *behind;
    varve_iter *it, *refused;
    varve_pinned out;
    put(a, "1", "v");
    put(a, "2", "v");
    CHECK_OK(varve_snapshot_new(db, &before));
    CHECK_OK(varve_iter_open(a, NULL, &it));
    put(db, "later", "v");
    CHECK_OK(varve_keyspace_drop(a));
    put(db, "later still", "v");
    CHECK_OK(varve_snapshot_new(db, &behind));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_compact(db, none, none));
    CHECK_OK(varve_iter_next(it));
    CHECK_OK(varve_iter_next(it));
    CHECK_SLICE(varve_iter_key(it), "2");
    CHECK_RC(varve_iter_refresh(it), VARVE_MISSING);
    CHECK_OK(varve_get_at(a, before, str("2"), &out));
    varve_unpin(&out);
    options.snapshot = before;
    check_keys(a, &options, "1 2 ");
    CHECK_RC(varve_get_at(a, behind, str("2"), &out), VARVE_MISSING);
    options.snapshot = behind;
    CHECK_RC(varve_iter_open(a, &options, &refused), VARVE_MISSING);
    varve_iter_close(it);
    varve_snapshot_release(before);
    varve_snapshot_release(behind);
    CHECK_OK(varve_close(db));
}

TEST(the_space_of_a_dropped_keyspace_comes_back)
{
    char path[512];
    varve *db;
    static char value[3000];
    varve_stats stats = {.size = sizeof stats};
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    varve_options options = VARVE_OPTIONS_INIT;
    options.memory_budget = (uint64_t)8 << 20;
    options.compression = VARVE_COMPRESSION_NONE;
    options.value_log_min = UINT32_MAX;
    CHECK_OK(varve_open(path, &options, &db));
    varve_keyspace *a = create(db, "a");
    for (int i = 0; i < 5000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        CHECK_OK(varve_put(a, str(key), varve_bytes(value, sizeof value)));
    }
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_settle(db));
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK(stats.table_bytes > 14000000);
    CHECK_OK(varve_keyspace_drop(a));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_settle(db));
    CHECK_OK(varve_compact(db, none, none));
    CHECK_OK(varve_settle(db));
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK(stats.table_bytes < 1000000);
    CHECK_OK(varve_close(db));
}

TEST(a_name_may_be_dropped_and_made_a_thousand_times)
{
    char path[512];
    varve *db;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, NULL, &db));
    (void)create(db, "stays");
    for (int i = 0; i < 1000; i++) {
        varve_keyspace *ks = create(db, "temporary");
        check_get(ks, "k", NULL);
        put(ks, "k", "v");
        CHECK_OK(varve_keyspace_drop(ks));
    }
    check_list(db, "default stays ");
    db = reopen(db, path, NULL);
    db = reopen(db, path, NULL);
    check_list(db, "default stays ");
    CHECK_EQ_INT(varve_keyspace_id(create(db, "temporary")), 1002);
    CHECK_OK(varve_close(db));
}

TEST(a_dropped_keyspace_with_an_order_keeps_the_store_in_order)
{
    char path[512];
    varve *db;
    varve_options options = with_orders();
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, &options, &db));
    (void)create(db, "plain");
    (void)create_ordered(db, "back", 0);
    (void)create_ordered(db, "size", 1);
    fill_ordered(db);
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_keyspace_drop(find(db, "back")));
    for (int round = 0; round < 2; round++) {
        db = reopen(db, path, &options);
        check_list(db, "default plain size ");
        check_keys(find(db, "size"), NULL, " a \xff bb ccc ");
    }
    CHECK_OK(varve_compact(db, none, none));
    put(create_ordered(db, "back", 1), "b", "v");
    put(find(db, "back"), "aa", "v");
    put(find(db, "back"), "a", "v");
    check_keys(find(db, "back"), NULL, "a b aa ");
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_keyspace_drop(find(db, "back")));
    CHECK_OK(varve_keyspace_drop(find(db, "size")));
    db = reopen(db, path, &options);
    db = reopen(db, path, &options);
    check_keys(find(db, "plain"), NULL, " a bb ccc \xff ");
    CHECK_OK(varve_close(db));
}

/* ---- without a MANIFEST */

static void count_lost(void *context, const char *line)
{
    *(int *)context += strstr(line, "has lost its name") != NULL;
}

TEST(a_repair_without_a_manifest_keeps_keyspaces_apart)
{
    char path[512], command[1100];
    varve *db;
    int lost = 0;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, NULL, &db));
    for (int i = 1; i <= 250; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        varve_keyspace *ks = create(db, name);
        if (i % 50 == 1)
            put(ks, "k", name);
    }
    put(db, "k", "default");
    CHECK_OK(varve_flush(db));
    put(find(db, "250"), "k", "in the log");
    CHECK_OK(varve_close(db));
    (void)snprintf(command, sizeof command, "rm %s/MANIFEST-* %s/CURRENT", path, path);
    CHECK(system(command) == 0);
    CHECK_OK(varve_repair(path, NULL, count_lost, &lost));
    CHECK_EQ_INT(lost, 6);
    CHECK_OK(varve_open(path, NULL, &db));
    check_list(db, "default lost-1 lost-51 lost-101 lost-151 lost-201 lost-250 ");
    check_get(find(db, "lost-51"), "k", "51");
    check_get(find(db, "lost-250"), "k", "in the log");
    check_keys(db, NULL, "k ");
    CHECK_EQ_INT(varve_keyspace_id(create(db, "new")), 251);
    check_keys(find(db, "new"), NULL, "");
    CHECK_OK(varve_close(db));
    lost = 0;
    CHECK_OK(varve_repair(path, NULL, count_lost, &lost));
    CHECK_EQ_INT(lost, 0);
}

/* ---- ends */

TEST(a_reader_sees_the_keyspaces_and_makes_none)
{
    char path[512];
    varve *db, *reader;
    varve_keyspace *ks;
    varve_options options = VARVE_OPTIONS_INIT;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, NULL, &db));
    put(create(db, "a"), "k", "v");
    put(create(db, "b"), "k2", "v");
    options.mode = VARVE_MODE_READONLY;
    CHECK_OK(varve_open(path, &options, &reader));
    check_list(reader, "default a b ");
    check_keys(reader, NULL, "");
    check_get(find(reader, "a"), "k", "v");
    check_keys(find(reader, "b"), NULL, "k2 ");
    CHECK_RC(varve_keyspace_create(reader, "c", NULL, &ks), VARVE_READONLY);
    CHECK_RC(varve_put(find(reader, "a"), str("k"), str("v")), VARVE_READONLY);
    put(create(db, "c"), "k", "v");
    CHECK_RC(varve_keyspace_open(reader, "c", &ks), VARVE_MISSING);
    CHECK_OK(varve_close(reader));
    CHECK_OK(varve_close(db));
}

TEST(a_closed_store_closes_its_keyspaces)
{
    varve *db = open_memory();
    varve_keyspace *a = create(db, "a"), *out;
    varve_iter *it;
    varve_pinned pin;
    varve_batch *batch;
    put(a, "k", "v");
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put_in(batch, a, str("k"), str("w")));
    CHECK_OK(varve_iter_open(a, NULL, &it));
    CHECK_OK(varve_iter_first(it));
    CHECK_OK(varve_get(a, str("k"), &pin));
    CHECK_OK(varve_close(db));
    CHECK_RC(varve_put(a, str("k"), str("v")), VARVE_CLOSED);
    CHECK_RC(varve_exists(a, str("k")), VARVE_CLOSED);
    CHECK_RC(varve_iter_next(it), VARVE_CLOSED);
    CHECK_RC(varve_iter_open(a, NULL, &it), VARVE_CLOSED);
    CHECK_RC(varve_write(a, batch, NULL), VARVE_CLOSED);
    CHECK_RC(varve_keyspace_create(a, "b", NULL, &out), VARVE_CLOSED);
    CHECK_RC(varve_keyspace_open(a, "a", &out), VARVE_CLOSED);
    CHECK_RC(varve_keyspace_list(a, join_names, NULL), VARVE_CLOSED);
    CHECK_SLICE(pin, "v");
    varve_unpin(&pin);
    varve_iter_close(it);
    varve_batch_free(batch);
}

TEST(a_forked_child_cannot_use_a_keyspace)
{
    char path[512];
    varve *db;
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    CHECK_OK(varve_open(path, NULL, &db));
    varve_keyspace *a = create(db, "a"), *out;
    put(a, "k", "v");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_RC(varve_put(a, str("k"), str("v")), VARVE_FORKED);
        CHECK_RC(varve_keyspace_create(db, "b", NULL, &out), VARVE_FORKED);
        CHECK_RC(varve_keyspace_open(a, "a", &out), VARVE_FORKED);
        CHECK_OK(varve_close(db));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_get(a, "k", "v");
    (void)create(db, "b");
    CHECK_OK(varve_close(db));
}
