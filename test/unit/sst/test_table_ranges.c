/*
 * Tables with range tombstones, beside entries and alone.
 */
#include "harness/test.h"

#include "env/mem.h"
#include "sst/table.h"

#include <stdio.h>

static const uint8_t uuid[VV_TABLE_UUID_SIZE] = "varve test store";
static const struct vv_order bytewise;

struct bench {
    struct vv_env *env;
    struct vv_account account;
    struct vv_table_writer *writer;
    struct vv_table_facts facts;
    struct vv_table *table;
};

static void begin(struct bench *b)
{
    *b = (struct bench){.env = NULL};
    CHECK_OK(vv_env_mem_new(&b->env));
    struct vv_table_write_options options = {
        .order = &bytewise, .account = &b->account, .number = 7, .filter = VV_FILTER_FUSE8};
    memcpy(options.uuid, uuid, sizeof uuid);
    CHECK_OK(vv_table_writer_open(b->env, "/t", &options, &b->writer));
}

static void put(struct bench *b, const char *key, vv_seq seq)
{
    struct vv_entry entry = {vv_slice_str(key), vv_slice_str("value"), seq, VV_KIND_PUT};
    CHECK_OK(vv_table_writer_add(b->writer, &entry, 5));
}

static void put_range(struct bench *b, const char *from, const char *to, vv_seq seq)
{
    struct vv_range range = {vv_slice_str(from), vv_slice_str(to), seq};
    CHECK_OK(vv_table_writer_add_range(b->writer, &range));
}

static void finish(struct bench *b)
{
    CHECK_OK(vv_table_writer_finish(b->writer, &b->facts));
    struct vv_table_open_options options = {.order = &bytewise,
                                            .account = &b->account,
                                            .number = 7,
                                            .uuid = uuid,
                                            .size_bytes = b->facts.size_bytes};
    CHECK_OK(vv_table_open(b->env, "/t", &options, &b->table));
    CHECK_OK(vv_table_check(b->table));
}

static void end(struct bench *b)
{
    vv_table_unref(b->table);
    vv_table_facts_deinit(&b->facts);
    for (int owner = 0; owner < VV_OWNER_COUNT; owner++)
        CHECK_EQ_U64(vv_account_used(&b->account, (enum vv_owner)owner), 0);
    vv_env_mem_free(b->env);
}

static vv_seq cover(const struct bench *b, const char *key, vv_seq at)
{
    return vv_ranges_cover(&bytewise, vv_table_ranges(b->table), vv_slice_str(key), at, NULL);
}

TEST(ranges_stand_beside_entries_and_widen_the_bounds)
{
    struct bench b;
    struct vv_table_facts facts = {0};
    size_t count;
    begin(&b);
    put(&b, "d", 5);
    put_range(&b, "b", "e", 9);
    put(&b, "f", 6);
    put_range(&b, "g", "k", 8);
    put_range(&b, "a", "c", 3);
    finish(&b);
    CHECK_OK(vv_table_read_facts(b.table, &facts));
    CHECK_EQ_U64(facts.entries, 2);
    CHECK_EQ_U64(facts.ranges, 3);
    CHECK_SLICE(facts.smallest, "a");
    CHECK_SLICE(facts.largest, "k");
    CHECK(facts.open_end);
    CHECK_EQ_U64(facts.min_seq, 3);
    CHECK_EQ_U64(facts.max_seq, 9);
    CHECK_EQ_U64(b.facts.ranges, 3);
    CHECK(b.facts.open_end);
    CHECK_SLICE(b.facts.largest, "k");
    CHECK_EQ_U64(cover(&b, "a", 100), 3);
    CHECK_EQ_U64(cover(&b, "b", 100), 9);
    CHECK_EQ_U64(cover(&b, "b", 8), 3);
    CHECK_EQ_U64(cover(&b, "e", 100), 0);
    CHECK_EQ_U64(cover(&b, "j", 100), 8);
    CHECK_EQ_U64(cover(&b, "k", 100), 0);
    const struct vv_range *list = vv_table_range_list(b.table, &count);
    CHECK_EQ_U64(count, 3);
    CHECK_SLICE(list[2].from, "a");
    vv_table_facts_deinit(&facts);
    end(&b);
}

TEST(a_range_that_ends_at_the_last_key_leaves_it_the_last)
{
    struct bench b;
    begin(&b);
    put(&b, "a", 5);
    put(&b, "m", 6);
    put_range(&b, "b", "m", 9);
    finish(&b);
    CHECK(!b.facts.open_end);
    CHECK_SLICE(b.facts.largest, "m");
    end(&b);
}

TEST(a_table_may_have_ranges_alone)
{
    struct bench b;
    struct vv_iter *it;
    struct vv_table_hit hit;
    uint64_t bytes;
    begin(&b);
    put_range(&b, "c", "x", 4);
    finish(&b);
    CHECK_EQ_U64(b.facts.entries, 0);
    CHECK_SLICE(b.facts.smallest, "c");
    CHECK_SLICE(b.facts.largest, "x");
    CHECK_RC(vv_table_get(b.table, vv_slice_str("d"), 0, VV_SEQ_MAX, &hit), VV_NOTFOUND);
    CHECK(!vv_table_may_hold(b.table, vv_slice_str("d"), 0));
    CHECK_OK(vv_table_approximate_bytes(b.table, vv_slice_str("a"), vv_slice_str("z"), &bytes));
    CHECK_OK(vv_table_iter(b.table, VV_TABLE_READ_SCAN, &it));
    CHECK_OK(vv_iter_first(it));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_last(it));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_seek(it, vv_slice_str("d"), 5));
    CHECK(!it->valid);
    CHECK_OK(vv_iter_seek_for_prev(it, vv_slice_str("d")));
    CHECK(!it->valid);
    vv_iter_close(it);
    CHECK_EQ_U64(cover(&b, "d", 4), 4);
    end(&b);
}
