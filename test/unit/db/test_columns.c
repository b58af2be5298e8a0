#include "base/error.h"
#include "harness/test.h"

#include <varve/varve.h>

#include <stdio.h>

static varve_slice str(const char *text)
{
    return varve_bytes(text, strlen(text));
}

static varve *store(const char *words)
{
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db;

    CHECK_OK(varve_options_set(&options, words));
    CHECK_OK(varve_open(NULL, &options, &db));
    return db;
}

static void expect(varve *db, const char *key, const char *value)
{
    varve_pinned out;

    CHECK_OK(varve_get(db, str(key), &out));
    CHECK_BYTES(out.data, out.size, value, strlen(value));
    varve_unpin(&out);
}

TEST(columns_are_put_in_order_and_at_once)
{
    const uint64_t key_ends[] = {3, 4, 5, 6, 6};
    const uint32_t value_ends[] = {0, 3, 3, 6, 9};
    varve_column keys = {.data = "___abb", .offsets = key_ends};
    varve_column values = {.data = "onetwosix", .offsets32 = value_ends};
    varve *db = store("");
    varve_stats stats = {.size = sizeof stats};

    CHECK_OK(varve_write_columns(db, 4, &keys, &values, NULL));
    expect(db, "a", "one");
    expect(db, "b", "two");
    expect(db, "", "six");
    CHECK_OK(varve_get_stats(db, &stats));
    CHECK_EQ_U64(stats.sequence, 4);
    CHECK_EQ_U64(stats.puts, 4);
    CHECK_EQ_U64(stats.batches, 1);
    CHECK_OK(varve_write_columns(db, 0, &keys, &values, NULL));
    CHECK_OK(varve_close(db));
}

TEST(columns_that_make_no_sense_change_nothing)
{
    const uint64_t up[] = {0, 1, 2};
    const uint64_t down[] = {0, 2, 1};
    const uint32_t up32[] = {0, 1, 2};
    const uint64_t huge[] = {0, 1, 2 + VARVE_KEY_SIZE_MAX};
    const uint64_t too_many[] = {0, 1, 2 + VARVE_BATCH_SIZE_MAX};
    varve_column good = {.data = "ab", .offsets = up};
    varve_column descends = {.data = "ab", .offsets = down};
    varve_column bare = {.data = "ab"};
    varve_column twice = {.data = "ab", .offsets = up, .offsets32 = up32};
    varve_column nowhere = {.offsets = up};
    varve_column long_key = {.data = "ab", .offsets = huge};
    varve_column heavy = {.data = "ab", .offsets = too_many};
    varve_write_options options = {.size = 1};
    varve *db = store("");

    CHECK_RC(varve_write_columns(db, 2, &good, &descends, NULL), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "value 1") != NULL);
    CHECK_RC(varve_write_columns(db, 2, &bare, &good, NULL), VARVE_INVALID);
    CHECK_RC(varve_write_columns(db, 2, &twice, &good, NULL), VARVE_INVALID);
    CHECK_RC(varve_write_columns(db, 2, &nowhere, &good, NULL), VARVE_INVALID);
    CHECK_RC(varve_write_columns(db, 2, NULL, &good, NULL), VARVE_INVALID);
    CHECK_RC(varve_write_columns(db, 2, &good, NULL, NULL), VARVE_INVALID);
    CHECK_RC(varve_write_columns(db, 2, &good, &good, &options), VARVE_INVALID);
    CHECK_RC(varve_write_columns(db, 2, &long_key, &good, NULL), VARVE_TOOBIG);
    CHECK(strstr(varve_last_error(), "entry 1") != NULL);
    CHECK_RC(varve_write_columns(db, 2, &good, &heavy, NULL), VARVE_TOOBIG);
    CHECK_RC(varve_write_columns(NULL, 2, &good, &good, NULL), VARVE_INVALID);
    CHECK_RC(varve_exists(db, str("a")), VARVE_NOTFOUND);
    CHECK_OK(varve_close(db));
}

TEST(an_iterator_gives_columns_that_can_be_written_as_they_are)
{
    enum { COUNT = 1000 };
    varve *from = store(""), *to = store("");
    varve_keyspace *ks;
    varve_iter *iter;
    varve_column keys, values;
    size_t count = 0, calls = 0, total = 0;
    char key[16], value[1600];

    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(key, sizeof key, "%04zu", i);
        memset(value, (int)('a' + i % 26), sizeof value); /* some go to the value log */
        CHECK_OK(varve_put(from, str(key), varve_bytes(value, i * 17 % sizeof value)));
    }
    CHECK_OK(varve_flush(from));
    CHECK_OK(varve_keyspace_create(to, "copy", NULL, &ks));
    CHECK_OK(varve_iter_open(from, NULL, &iter));
    while (varve_iter_columns(iter, 300, 100000, &keys, &values, &count) == VARVE_OK) {
        CHECK(count > 0 && count <= 300);
        CHECK_EQ_U64(keys.offsets[0], 0);
        CHECK_EQ_U64(keys.offsets[count], 4 * count);
        CHECK_OK(varve_write_columns(ks, count, &keys, &values, NULL));
        total += count;
        calls++;
    }
    CHECK_EQ_U64(count, 0);
    CHECK_EQ_U64(total, COUNT);
    CHECK(calls > 5 && calls < 40);
    varve_iter_close(iter);
    for (size_t i = 0; i < COUNT; i++) {
        varve_pinned out;
        (void)snprintf(key, sizeof key, "%04zu", i);
        memset(value, (int)('a' + i % 26), sizeof value);
        CHECK_OK(varve_get(ks, str(key), &out));
        CHECK_BYTES(out.data, out.size, value, i * 17 % sizeof value);
        varve_unpin(&out);
    }
    CHECK_RC(varve_exists(to, str("0001")), VARVE_NOTFOUND);
    CHECK_OK(varve_close(from));
    CHECK_OK(varve_close(to));
}

TEST(keys_alone_come_in_columns_too)
{
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    varve *db = store("");
    varve_iter *iter;
    varve_column keys, values;
    size_t count;

    CHECK_OK(varve_put(db, str("aa"), str("1")));
    CHECK_OK(varve_put(db, str("b"), str("2")));
    options.keys_only = 1;
    CHECK_OK(varve_iter_open(db, &options, &iter));
    CHECK_RC(varve_iter_columns(iter, 10, 0, &keys, &values, &count), VARVE_INVALID);
    CHECK_RC(varve_iter_columns(iter, 0, 0, &keys, NULL, &count), VARVE_INVALID);
    CHECK_OK(varve_iter_columns(iter, 10, 1, &keys, NULL, &count));
    CHECK_EQ_U64(count, 1);
    CHECK_OK(varve_iter_columns(iter, 10, 1, &keys, NULL, &count));
    CHECK_EQ_U64(count, 1);
    CHECK_BYTES(keys.data, (size_t)keys.offsets[1], "b", 1);
    CHECK_RC(varve_iter_columns(iter, 10, 0, &keys, NULL, &count), VARVE_END);
    CHECK_EQ_U64(count, 0);
    CHECK_OK(varve_close(db));
    CHECK_RC(varve_iter_columns(iter, 10, 0, &keys, NULL, &count), VARVE_CLOSED);
    varve_iter_close(iter);
}
