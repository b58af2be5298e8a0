#include "db/open.h"
#include "db/store.h"
#include "env/mem.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

/* A store in a world of memory that outlives it, stepped, with small sizes. */
struct place {
    struct vv_env *env;
    struct vv_db_world world;
    varve_options options;
    varve *db;
};

static void place_open(struct place *p)
{
    CHECK_OK(vv_db_open(&p->world, "/store", &p->options, &p->db));
}

static void place_new(struct place *p, const char *words)
{
    *p = (struct place){.options = VARVE_OPTIONS_INIT};
    CHECK_OK(varve_options_set(&p->options, words));
    CHECK_OK(vv_env_mem_new(&p->env));
    p->world = (struct vv_db_world){.env = p->env,
                                    .stepped = true,
                                    .tuning = {.memtable_bytes = 64 << 10,
                                               .table_bytes = 16 << 10,
                                               .base_level_bytes = 64 << 10,
                                               .value_file_bytes = 256 << 10}};
    place_open(p);
}

static void place_reopen(struct place *p)
{
    CHECK_OK(varve_close(p->db));
    place_open(p);
}

static void place_end(struct place *p)
{
    CHECK_OK(varve_verify(p->db, NULL, NULL));
    CHECK_OK(varve_close(p->db));
    vv_env_mem_free(p->env);
}

static void tend_all(varve *db)
{
    enum vv_tended tended = VV_TENDED_WORKED;

    for (int i = 0; tended == VV_TENDED_WORKED && i < 10000; i++)
        CHECK_OK(vv_db_tend(db, &tended));
}

static void expect_at(varve *db, const varve_snapshot *at, const char *key, const char *value)
{
    varve_pinned out;
    int rc = varve_get_at(db, at, str(key), &out);

    if (value == NULL) {
        CHECK_RC(rc, VARVE_NOTFOUND);
        return;
    }
    CHECK_OK(rc);
    CHECK_BYTES(out.data, out.size, value, strlen(value));
    varve_unpin(&out);
}

static void expect(varve *db, const char *key, const char *value)
{
    expect_at(db, NULL, key, value);
}

static void load(varve *db, const char *const *words, size_t count)
{
    varve_bulk *bulk;

    CHECK_OK(varve_bulk_begin(db, NULL, &bulk));
    for (size_t i = 0; i < count; i += 2)
        CHECK_OK(varve_bulk_put(bulk, str(words[i]), str(words[i + 1])));
    CHECK_EQ_U64(varve_bulk_count(bulk), count / 2);
    CHECK_OK(varve_bulk_commit(bulk));
    varve_bulk_end(bulk);
}

#define LOAD(db, ...)                                                                              \
    load(db, (const char *const[]){__VA_ARGS__},                                                   \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static uint64_t stat_of(varve *db, const char *name)
{
    char *text;
    uint64_t value = 0;

    CHECK_OK(varve_property(db, name, &text));
    CHECK(sscanf(text, "%" SCNu64, &value) == 1);
    varve_free(text);
    return value;
}

TEST(a_bulk_is_one_change_and_newer_than_all_before_its_commit)
{
    struct place p;
    varve_bulk *bulk;
    varve_snapshot *before;
    varve_iter *iter;
    place_new(&p, "");
    CHECK_OK(varve_put(p.db, str("b"), str("old")));
    CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
    CHECK_OK(varve_bulk_put(bulk, str("a"), str("1")));
    CHECK_OK(varve_bulk_put(bulk, str("b"), str("2")));
    CHECK_OK(varve_bulk_put(bulk, str("c"), str("3")));
    expect(p.db, "a", NULL);
    CHECK_OK(varve_put(p.db, str("c"), str("while it was filled")));
    CHECK_OK(varve_snapshot_new(p.db, &before));
    CHECK_OK(varve_iter_open(p.db, NULL, &iter));
    uint64_t sequence = stat_of(p.db, "sequence");
    CHECK_OK(varve_bulk_commit(bulk));
    CHECK_EQ_U64(stat_of(p.db, "sequence"), sequence + 1);
    varve_bulk_end(bulk);
    for (int i = 0; i < 3; i++) {
        expect(p.db, "a", "1");
        expect(p.db, "b", "2");
        expect(p.db, "c", "3");
        if (i < 2) {
            expect_at(p.db, before, "a", NULL);
            expect_at(p.db, before, "b", "old");
            expect_at(p.db, before, "c", "while it was filled");
        }
        if (i == 0) {
            CHECK_OK(varve_iter_first(iter));
            CHECK_SLICE(varve_iter_key(iter), "b");
            varve_iter_close(iter);
            CHECK_OK(varve_compact(p.db, str(""), varve_bytes(NULL, 0)));
        } else if (i == 1) {
            varve_snapshot_release(before);
            place_reopen(&p);
            CHECK(stat_of(p.db, "sequence") >= sequence + 1);
        }
    }
    CHECK_OK(varve_delete(p.db, str("a")));
    CHECK_OK(varve_put(p.db, str("b"), str("newer")));
    expect(p.db, "a", NULL);
    expect(p.db, "b", "newer");
    place_reopen(&p);
    expect(p.db, "a", NULL);
    expect(p.db, "b", "newer");
    expect(p.db, "c", "3");
    place_end(&p);
}

TEST(keys_that_do_not_ascend_are_named_and_the_bulk_goes_on)
{
    struct place p;
    varve_bulk *bulk;
    char *large = calloc(1, VARVE_KEY_SIZE_MAX + 1);
    CHECK(large != NULL);
    place_new(&p, "");
    CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
    CHECK_OK(varve_bulk_put(bulk, str("k2"), str("2")));
    CHECK_RC(varve_bulk_put(bulk, str("k2"), str("again")), VARVE_INVALID);
    CHECK_RC(varve_bulk_put(bulk, str("k\n1"), str("1")), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "'k\\x0a1'") != NULL);
    CHECK(strstr(varve_last_error(), "'k2'") != NULL);
    CHECK_RC(varve_bulk_put(bulk, varve_bytes(large, VARVE_KEY_SIZE_MAX + 1), str("")),
             VARVE_TOOBIG);
    CHECK_RC(varve_bulk_put(bulk, varve_bytes(NULL, 3), str("")), VARVE_INVALID);
    CHECK_OK(varve_bulk_put(bulk, str("k3"), str("3")));
    CHECK_OK(varve_bulk_commit(bulk));
    CHECK_RC(varve_bulk_put(bulk, str("k4"), str("4")), VARVE_INVALID);
    CHECK_RC(varve_bulk_commit(bulk), VARVE_INVALID);
    varve_bulk_end(bulk);
    expect(p.db, "k2", "2");
    expect(p.db, "k3", "3");
    place_end(&p);
    free(large);
}

static size_t files_of(struct place *p)
{
    struct vv_buf names = VV_BUF_INIT;
    size_t count = 0;
    CHECK_OK(vv_env_list(p->env, "/store", &names));
    for (size_t at = 0; at < names.size; count++)
        at += strlen((const char *)names.data + at) + 1;
    vv_buf_deinit(&names);
    return count;
}

static void fill(varve_bulk *bulk, size_t count, size_t size)
{
    char key[16];
    char *value = malloc(size + 1);
    CHECK(value != NULL);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "%08zu", i);
        memset(value, (int)('a' + i % 26), size);
        CHECK_OK(varve_bulk_put(bulk, str(key), varve_bytes(value, size)));
    }
    free(value);
}

static void expect_filled(varve *db, size_t count, size_t size)
{
    varve_iter *iter;
    varve_slice value;
    size_t i = 0;
    CHECK_OK(varve_iter_open(db, NULL, &iter));
    for (; varve_iter_next(iter) == VARVE_OK; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%08zu", i);
        CHECK_BYTES(varve_iter_key(iter).data, varve_iter_key(iter).size, key, 8);
        CHECK_OK(varve_iter_value(iter, &value));
        CHECK_EQ_U64(value.size, size);
        const char *bytes = value.data;
        CHECK(size == 0 || (bytes[0] == (char)('a' + i % 26) && bytes[size - 1] == bytes[0]));
    }
    CHECK_EQ_U64(i, count);
    varve_iter_close(iter);
}

TEST(a_bulk_of_many_tables_and_value_files_is_there_whole_and_written_once)
{
    static const size_t sizes[] = {0, 100, 2000};
    for (size_t i = 0; i < 3; i++) {
        struct place p;
        varve_bulk *bulk;
        place_new(&p, "compression=none");
        CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
        fill(bulk, 3000, sizes[i]);
        CHECK_OK(varve_bulk_commit(bulk));
        varve_bulk_end(bulk);
        expect_filled(p.db, 3000, sizes[i]);
        CHECK_EQ_U64(stat_of(p.db, "sequence"), 1);
        tend_all(p.db);
        CHECK_EQ_U64(stat_of(p.db, "compactions"), 0); /* it lies in the last level */
        CHECK_EQ_U64(stat_of(p.db, "log_bytes_written"), 0);
        place_reopen(&p);
        expect_filled(p.db, 3000, sizes[i]);
        CHECK_OK(varve_compact(p.db, str("00001000"), str("00001010")));
        expect_filled(p.db, 3000, sizes[i]);
        place_end(&p);
    }
}

TEST(what_is_given_up_leaves_nothing_behind)
{
    struct place p;
    varve_bulk *bulk;
    place_new(&p, "");
    size_t before = files_of(&p);
    CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
    fill(bulk, 2000, 1500);
    CHECK(files_of(&p) > before);
    varve_bulk_end(bulk);
    CHECK_EQ_U64(files_of(&p), before);
    CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
    CHECK_OK(varve_bulk_commit(bulk)); /* of nothing */
    varve_bulk_end(bulk);
    varve_bulk_end(NULL);
    CHECK_EQ_U64(stat_of(p.db, "sequence"), 0);
    CHECK_EQ_U64(files_of(&p), before);
    place_end(&p);
}

TEST(a_bulk_outlives_its_store_and_never_happens)
{
    struct place p;
    varve_bulk *bulk;
    place_new(&p, "");
    CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
    fill(bulk, 500, 1500);
    CHECK_OK(varve_close(p.db));
    CHECK_RC(varve_bulk_put(bulk, str("z"), str("")), VARVE_CLOSED);
    CHECK_RC(varve_bulk_commit(bulk), VARVE_CLOSED);
    place_open(&p);
    expect_filled(p.db, 0, 0);
    varve_bulk_end(bulk);
    place_end(&p);
}

TEST(a_keyspace_takes_a_bulk_of_its_own_in_its_own_order)
{
    struct place p;
    varve_keyspace *ks;
    varve_bulk *bulk;
    place_new(&p, "");
    CHECK_OK(varve_keyspace_create(p.db, "other", NULL, &ks));
    LOAD(ks, "a", "1", "b", "2");
    LOAD(p.db, "a", "default");
    expect(ks, "a", "1");
    expect(ks, "b", "2");
    expect(p.db, "a", "default");
    expect(p.db, "b", NULL);
    CHECK_OK(varve_bulk_begin(ks, NULL, &bulk));
    CHECK_OK(varve_bulk_put(bulk, str("c"), str("3")));
    CHECK_OK(varve_keyspace_drop(ks));
    CHECK_RC(varve_bulk_put(bulk, str("d"), str("4")), VARVE_MISSING);
    CHECK_RC(varve_bulk_commit(bulk), VARVE_MISSING);
    varve_bulk_end(bulk);
    CHECK_RC(varve_bulk_begin(ks, NULL, &bulk), VARVE_MISSING);
    place_end(&p);
}

static int backwards(void *context, varve_slice a, varve_slice b)
{
    (void)context;
    return -vv_slice_cmp(vv_slice_from(a), vv_slice_from(b));
}

TEST(a_comparator_says_what_ascends)
{
    static const varve_comparator order = {"backwards", backwards, NULL};
    varve_keyspace_options options = VARVE_KEYSPACE_OPTIONS_INIT;
    struct place p;
    varve_keyspace *ks;
    varve_bulk *bulk;
    place_new(&p, "");
    options.comparator = &order;
    CHECK_OK(varve_keyspace_create(p.db, "back", &options, &ks));
    CHECK_OK(varve_bulk_begin(ks, NULL, &bulk));
    CHECK_OK(varve_bulk_put(bulk, str("b"), str("2")));
    CHECK_RC(varve_bulk_put(bulk, str("c"), str("3")), VARVE_INVALID);
    CHECK_OK(varve_bulk_put(bulk, str("a"), str("1")));
    CHECK_OK(varve_bulk_commit(bulk));
    varve_bulk_end(bulk);
    expect(ks, "a", "1");
    expect(ks, "b", "2");
    place_end(&p);
}

TEST(a_bulk_over_deleted_keys_and_ranges_is_newer_than_these)
{
    struct place p;
    place_new(&p, "");
    LOAD(p.db, "a", "1", "b", "1", "c", "1", "d", "1");
    CHECK_OK(varve_delete_range(p.db, str("a"), str("c")));
    CHECK_OK(varve_delete(p.db, str("c")));
    LOAD(p.db, "b", "2", "c", "2");
    expect(p.db, "a", NULL);
    expect(p.db, "b", "2");
    expect(p.db, "c", "2");
    expect(p.db, "d", "1");
    CHECK_OK(varve_delete_range(p.db, str("b"), str("d")));
    expect(p.db, "b", NULL);
    CHECK_OK(varve_flush(p.db));
    LOAD(p.db, "b", "3");
    for (int i = 0; i < 3; i++) {
        expect(p.db, "a", NULL);
        expect(p.db, "b", "3");
        expect(p.db, "c", NULL);
        expect(p.db, "d", "1");
        if (i == 0)
            CHECK_OK(varve_compact(p.db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
        else
            place_reopen(&p);
    }
    place_end(&p);
}

TEST(a_transaction_that_relies_on_a_key_of_a_bulk_conflicts)
{
    struct place p;
    varve_txn *txn;
    varve_pinned out = {0};
    for (int i = 0; i < 2; i++) {
        place_new(&p, "");
        CHECK_OK(varve_txn_begin(p.db, NULL, &txn));
        CHECK_RC(varve_txn_get_for_update(txn, NULL, str("b"), &out), VARVE_NOTFOUND);
        CHECK_OK(varve_txn_put(txn, NULL, str("z"), str("1")));
        LOAD(p.db, i == 0 ? "b" : "c", "1");
        CHECK_RC(varve_txn_commit(txn, NULL), i == 0 ? VARVE_CONFLICT : VARVE_OK);
        varve_txn_end(txn);
        place_end(&p);
    }
}

TEST(a_commit_beside_an_exclusive_transaction_of_its_thread_can_be_tried_again)
{
    struct place p;
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_txn *txn;
    varve_bulk *bulk;
    place_new(&p, "");
    options.kind = VARVE_TXN_EXCLUSIVE;
    CHECK_OK(varve_bulk_begin(p.db, NULL, &bulk));
    CHECK_OK(varve_bulk_put(bulk, str("a"), str("1")));
    CHECK_OK(varve_txn_begin(p.db, &options, &txn));
    CHECK_RC(varve_bulk_commit(bulk), VARVE_BUSY);
    varve_txn_end(txn);
    CHECK_OK(varve_bulk_put(bulk, str("b"), str("2")));
    CHECK_OK(varve_bulk_commit(bulk));
    varve_bulk_end(bulk);
    expect(p.db, "a", "1");
    expect(p.db, "b", "2");
    place_end(&p);
}

TEST(arguments_of_a_bulk_without_meaning_are_refused)
{
    struct fake_controls controls = {0};
    varve_bulk_options options = {.size = 1};
    struct place p;
    varve_bulk *bulk;
    varve *plain = fake_store(&controls, "");
    CHECK_RC(varve_bulk_begin(plain, NULL, &bulk), VARVE_UNSUPPORTED);
    CHECK_OK(varve_close(plain));
    place_new(&p, "");
    CHECK_RC(varve_bulk_begin(p.db, &options, &bulk), VARVE_INVALID);
    CHECK_RC(varve_bulk_begin(p.db, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_bulk_begin(NULL, NULL, &bulk), VARVE_INVALID);
    CHECK_RC(varve_bulk_put(NULL, str("a"), str("")), VARVE_INVALID);
    CHECK_RC(varve_bulk_commit(NULL), VARVE_INVALID);
    CHECK_EQ_U64(varve_bulk_count(NULL), 0);
    CHECK_OK(varve_put(p.db, str("a"), str("1")));
    CHECK_OK(varve_close(p.db));
    p.options.mode = VARVE_MODE_READONLY;
    place_open(&p);
    CHECK_RC(varve_bulk_begin(p.db, NULL, &bulk), VARVE_READONLY);
    place_end(&p);
}

TEST(a_store_without_a_log_keeps_what_was_before_a_bulk)
{
    struct place p;
    varve *reader;
    varve_options options = VARVE_OPTIONS_INIT;
    place_new(&p, "durability=none");
    CHECK_OK(varve_put(p.db, str("m"), str("in memory")));
    LOAD(p.db, "a", "1");
    options.mode = VARVE_MODE_READONLY;
    CHECK_OK(vv_db_open(&p.world, "/store", &options, &reader));
    expect(reader, "a", "1");
    expect(reader, "m", "in memory");
    CHECK_OK(varve_close(reader));
    place_end(&p);
}

TEST(a_follower_sees_a_bulk_and_what_comes_after_it)
{
    struct place p;
    varve *reader;
    varve_options options = VARVE_OPTIONS_INIT;
    place_new(&p, "");
    CHECK_OK(varve_put(p.db, str("a"), str("0")));
    options.mode = VARVE_MODE_READONLY;
    CHECK_OK(vv_db_open(&p.world, "/store", &options, &reader));
    LOAD(p.db, "a", "1", "b", "1");
    CHECK_OK(varve_put(p.db, str("b"), str("2")));
    expect(reader, "a", "0");
    CHECK_OK(varve_refresh(reader));
    expect(reader, "a", "1");
    expect(reader, "b", "2");
    CHECK_OK(varve_close(reader));
    place_end(&p);
}
