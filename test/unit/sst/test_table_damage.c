/*
 * Tables in a bad world: a flipped byte, a cut file, a block in the wrong place, a failing disk, no
 * memory. The answer is right, or a failure that says so.
 */
#include "harness/test.h"

#include "base/rng.h"
#include "env/sim.h"
#include "kv/ref.h"
#include "sst/table.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 40, VERSIONS = 2 };

static const uint8_t uuid[VV_TABLE_UUID_SIZE] = "varve test store";
static const struct vv_order bytewise;

struct world {
    struct vv_env *env;
    struct vv_account account;
    struct vv_cache *cache;
};

static void world_begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    CHECK_OK(vv_env_sim_new(test_seed(), &w->env));
}

static void world_end(struct world *w)
{
    vv_cache_free(w->cache);
    vv_env_sim_free(w->env);
    CHECK_EQ_INT(vv_account_total(&w->account), 0);
}

/* ------------------------------------------------------------------------------------ content */

struct content {
    char key[16];
    uint8_t value[48];
    struct vv_entry entry;
};

/* Entry number `i` of the table: each key has two versions; some are tombstones or references. */
static void content_of(unsigned i, struct content *c)
{
    unsigned key = i / VERSIONS;
    int size = snprintf(c->key, sizeof c->key, "key%05u", key * 7);
    for (size_t b = 0; b < sizeof c->value; b++)
        c->value[b] = (uint8_t)(b < 20 ? i : 'v');
    enum vv_kind kind = key % 9 == 3 ? VV_KIND_DELETE : key % 9 == 5 ? VV_KIND_REF : VV_KIND_PUT;
    size_t value_size = kind == VV_KIND_DELETE ? 0 : VV_REF_SIZE;
    if (kind == VV_KIND_PUT)
        value_size = 20 + i % 20;
    c->entry = (struct vv_entry){vv_slice_of(c->key, (size_t)size),
                                 vv_slice_of(c->value, value_size), 100 - i % VERSIONS * 50, kind};
}

static int write_table(struct world *w, enum vv_codec codec, enum vv_filter_kind filter,
                       uint64_t number)
{
    struct vv_table_write_options o = {.order = &bytewise,
                                       .account = &w->account,
                                       .number = number,
                                       .codec = codec,
                                       .filter = filter,
                                       .block_bytes = 300,
                                       .partition_bytes = 120};
    struct vv_table_writer *writer = NULL;
    struct vv_table_facts facts = {0};
    memcpy(o.uuid, uuid, sizeof o.uuid);
    int rc = vv_table_writer_open(w->env, "/table", &o, &writer);
    for (unsigned i = 0; i < KEYS * VERSIONS && rc == VV_OK; i++) {
        struct content c;
        content_of(i, &c);
        struct vv_ref ref = {.size_bytes = (uint32_t)c.entry.value.size};
        if (c.entry.kind == VV_KIND_REF)
            CHECK(vv_ref_decode(c.entry.value, &ref));
        rc = vv_table_writer_add(writer, &c.entry, ref.size_bytes);
        if (rc < 0)
            vv_table_writer_abort(writer);
    }
    if (rc == VV_OK)
        rc = vv_table_writer_finish(writer, &facts);
    vv_table_facts_deinit(&facts);
    return rc;
}

static int open_table(struct world *w, bool map, struct vv_table **out)
{
    return vv_table_open(w->env, "/table",
                         &(struct vv_table_open_options){.order = &bytewise,
                                                         .account = &w->account,
                                                         .cache = w->cache,
                                                         .number = 9,
                                                         .uuid = uuid,
                                                         .map = map},
                         out);
}

static bool same_entry(const struct vv_entry *a, const struct vv_entry *b)
{
    return vv_slice_equal(a->key, b->key) && vv_slice_equal(a->value, b->value) &&
           a->seq == b->seq && a->kind == b->kind;
}

/* ------------------------------------------------------------------------------------ reading */

/* How reading went wrong. VV_OK: everything was right. Anything else but `expected` fails the test. */
static int worst(int so_far, int rc, int expected)
{
    CHECK(rc == VV_OK || rc == expected);
    return rc != VV_OK ? rc : so_far;
}

static int read_by_get(struct vv_table *t, int expected)
{
    int result = VV_OK;
    for (unsigned i = 0; i < KEYS * VERSIONS; i++) {
        struct content c;
        struct vv_table_hit hit = {0};
        content_of(i, &c);
        uint64_t hash = vv_hash(c.entry.key);
        CHECK(vv_table_may_hold(t, c.entry.key, hash));
        int rc = vv_table_get(t, c.entry.key, hash, c.entry.seq + 3, &hit);
        result = worst(result, rc, expected);
        if (rc == VV_OK) {
            struct vv_entry got = {c.entry.key, hit.value, hit.seq, hit.kind};
            CHECK(same_entry(&got, &c.entry));
            vv_table_hit_release(&hit);
        }
        c.key[7] = 'x';
        rc = vv_table_get(t, c.entry.key, vv_hash(c.entry.key), 100, &hit);
        CHECK(rc == VV_NOTFOUND || rc == expected);
    }
    return result;
}

static int read_by_iter(struct vv_table *t, enum vv_table_read_mode mode, int expected)
{
    struct vv_iter *it = NULL;
    int rc = vv_table_iter(t, mode, &it);
    if (rc != VV_OK)
        return worst(VV_OK, rc, expected);
    unsigned i = 0;
    rc = vv_iter_first(it);
    for (; rc == VV_OK && it->valid; i++) {
        struct content c;
        content_of(i, &c);
        CHECK(i < KEYS * VERSIONS);
        CHECK(same_entry(&it->at, &c.entry));
        rc = vv_iter_next(it);
    }
    CHECK(rc != VV_OK || i == KEYS * VERSIONS);
    CHECK(rc == VV_OK || !it->valid);
    int result = worst(VV_OK, rc, expected);
    i = KEYS * VERSIONS;
    rc = vv_iter_last(it);
    for (; rc == VV_OK && it->valid; i--) {
        struct content c;
        CHECK(i > 0);
        content_of(i - 1, &c);
        CHECK(same_entry(&it->at, &c.entry));
        rc = vv_iter_prev(it);
    }
    CHECK(rc != VV_OK || i == 0);
    vv_iter_close(it);
    return worst(result, rc, expected);
}

static int count_ref(void *context, uint32_t offset_units)
{
    (void)offset_units;
    ++*(unsigned *)context;
    return VV_OK;
}

static int read_refs(struct vv_table *t, int expected)
{
    struct vv_table_facts facts = {0};
    int rc = vv_table_read_facts(t, &facts);
    int result = worst(VV_OK, rc, expected);
    if (rc == VV_OK) {
        CHECK_EQ_U64(facts.entries, KEYS * VERSIONS);
        unsigned count = 0;
        for (size_t i = 0; i < facts.ref_count; i++) {
            rc = vv_table_visit_refs(t, facts.refs[i].file, count_ref, &count);
            result = worst(result, rc, expected);
        }
        CHECK(result != VV_OK || count == 4 * VERSIONS);
    }
    vv_table_facts_deinit(&facts);
    return result;
}

/* Opens the table and reads it in every way. */
static int read_all(struct world *w, bool map, int expected)
{
    struct vv_table *t = NULL;
    int rc = open_table(w, map, &t);
    if (rc != VV_OK)
        return worst(VV_OK, rc, expected);
    int result = read_by_get(t, expected);
    result = worst(result, read_by_iter(t, VV_TABLE_READ_CACHED, expected), expected);
    result = worst(result, read_by_iter(t, VV_TABLE_READ_SCAN, expected), expected);
    result = worst(result, read_refs(t, expected), expected);
    vv_table_unref(t);
    return result;
}

static int check_table(struct world *w, int expected)
{
    struct vv_table *t = NULL;
    int rc = open_table(w, false, &t);
    if (rc == VV_OK)
        rc = vv_table_check(t);
    vv_table_unref(t);
    return worst(VV_OK, rc, expected);
}

/* ------------------------------------------------------------------------------------ damage */

static void flip_every_byte(enum vv_codec codec, enum vv_filter_kind filter)
{
    struct world w;
    struct vv_buf file = VV_BUF_INIT;
    world_begin(&w);
    CHECK_OK(write_table(&w, codec, filter, 9));
    CHECK_OK(vv_sim_read_file(w.env, "/table", &file));
    CHECK_OK(read_all(&w, true, VV_OK));
    CHECK_OK(read_all(&w, false, VV_OK));
    CHECK_OK(check_table(&w, VV_OK));
    struct vv_rng rng = vv_rng_of(test_seed());
    for (size_t i = 0; i < file.size; i++) {
        uint8_t flip = (uint8_t)(1u << vv_rng_below(&rng, 8));
        file.data[i] ^= flip;
        CHECK_OK(vv_sim_write_file(w.env, "/table", vv_buf_slice(&file)));
        CHECK_RC(check_table(&w, VV_CORRUPT), VV_CORRUPT);
        (void)read_all(&w, i % 2 == 0, VV_CORRUPT);
        file.data[i] ^= flip;
    }
    vv_buf_deinit(&file);
    world_end(&w);
}

TEST(a_flipped_byte_is_reported_and_never_believed)
{
    for (int codec = VV_CODEC_NONE; codec <= VV_CODEC_ZSTD; codec++)
        if (vv_codec_available((enum vv_codec)codec))
            flip_every_byte((enum vv_codec)codec, VV_FILTER_FUSE8);
}

TEST(a_flipped_byte_in_other_filters_is_reported)
{
    flip_every_byte(VV_CODEC_NONE, VV_FILTER_BLOOM);
    flip_every_byte(VV_CODEC_NONE, VV_FILTER_NONE);
}

TEST(a_cut_table_does_not_open)
{
    struct world w;
    struct vv_buf file = VV_BUF_INIT;
    struct vv_table *t = NULL;
    world_begin(&w);
    CHECK_OK(write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE16, 9));
    CHECK_OK(vv_sim_read_file(w.env, "/table", &file));
    for (size_t size = 0; size < file.size; size++) {
        CHECK_OK(vv_sim_write_file(w.env, "/table", vv_slice_of(file.data, size)));
        CHECK_RC(open_table(&w, size % 2 == 0, &t), VV_CORRUPT);
    }
    vv_buf_deinit(&file);
    world_end(&w);
}

TEST(a_table_of_another_name_does_not_open)
{
    static const uint8_t other[VV_TABLE_UUID_SIZE] = "another store";
    struct world w;
    struct vv_table *t = NULL;
    struct vv_table_open_options o = {
        .order = &bytewise, .number = 9, .uuid = uuid, .account = &w.account};
    world_begin(&w);
    CHECK_RC(vv_table_open(w.env, "/table", &o, &t), VV_NOTFOUND);
    CHECK_OK(write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE8, 9));
    CHECK_RC(write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE8, 9), VV_EXISTS);
    o.number = 10;
    CHECK_RC(vv_table_open(w.env, "/table", &o, &t), VV_CORRUPT);
    o.number = 9;
    o.uuid = other;
    CHECK_RC(vv_table_open(w.env, "/table", &o, &t), VV_CORRUPT);
    o.uuid = NULL;
    o.size_bytes = 1000;
    CHECK_RC(vv_table_open(w.env, "/table", &o, &t), VV_CORRUPT);
    o.size_bytes = 0;
    const struct vv_order named = {.name = "another order"};
    o.order = &named;
    CHECK_RC(vv_table_open(w.env, "/table", &o, &t), VV_INVALID);
    o.order = &bytewise;
    CHECK_OK(vv_table_open(w.env, "/table", &o, &t));
    vv_table_unref(t);
    world_end(&w);
}

/* Two versions of a table with equal layout: each block of one fits the other's index. */
TEST(blocks_of_another_table_or_place_are_refused)
{
    struct world w;
    struct vv_buf mine = VV_BUF_INIT;
    struct vv_buf other = VV_BUF_INIT;
    world_begin(&w);
    CHECK_OK(write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE8, 10));
    CHECK_OK(vv_sim_read_file(w.env, "/table", &other));
    CHECK_OK(vv_env_remove(w.env, "/table"));
    CHECK_OK(write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE8, 9));
    CHECK_OK(vv_sim_read_file(w.env, "/table", &mine));
    CHECK_EQ_INT(mine.size, other.size);
    size_t half = mine.size / 2;
    memcpy(other.data + half, mine.data + half, mine.size - half);
    CHECK_OK(vv_sim_write_file(w.env, "/table", vv_buf_slice(&other)));
    CHECK_RC(read_all(&w, true, VV_CORRUPT), VV_CORRUPT);
    CHECK_RC(read_all(&w, false, VV_CORRUPT), VV_CORRUPT);
    /* The first 256 bytes are within the first block; here they begin 8 bytes late. */
    memcpy(other.data, mine.data, mine.size);
    memmove(other.data + 8, mine.data, 256);
    CHECK_OK(vv_sim_write_file(w.env, "/table", vv_buf_slice(&other)));
    CHECK_RC(read_all(&w, true, VV_CORRUPT), VV_CORRUPT);
    vv_buf_deinit(&mine);
    vv_buf_deinit(&other);
    world_end(&w);
}

/* ------------------------------------------------------------------------------------ faults */

TEST(every_failing_write_is_reported)
{
    static const enum vv_sim_fault faults[] = {VV_SIM_FAULT_IO, VV_SIM_FAULT_FULL,
                                               VV_SIM_FAULT_SHORT, VV_SIM_FAULT_SYNC_LOST};
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        bool is_done = false;
        for (uint64_t n = 1; !is_done; n++) {
            struct world w;
            CHECK(n < 50);
            world_begin(&w);
            vv_sim_fail_at(w.env, n, faults[f], true);
            int rc = write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE8, 9);
            is_done = n > vv_sim_call_count(w.env);
            CHECK(rc == VV_OK || rc == VV_IO || rc == VV_FULL);
            vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
            if (rc == VV_OK)
                CHECK_OK(check_table(&w, VV_OK));
            world_end(&w);
        }
    }
}

TEST(every_failing_read_is_reported)
{
    struct world w;
    world_begin(&w);
    CHECK_OK(write_table(&w, VV_CODEC_NONE, VV_FILTER_FUSE8, 9));
    bool has_failed = true;
    for (uint64_t n = 1; has_failed; n++) {
        CHECK(n < 20000);
        vv_sim_fail_read_at(w.env, n, false);
        has_failed = read_all(&w, n % 2 == 0, VV_IO) != VV_OK || n < 200;
        vv_sim_fail_read_at(w.env, 0, false);
    }
    world_end(&w);
}

TEST(writing_without_memory_leaks_nothing)
{
    for (int codec = VV_CODEC_NONE; codec <= VV_CODEC_ZSTD; codec++) {
        int rc = vv_codec_available((enum vv_codec)codec) ? VV_NOMEM : VV_OK;
        for (uint64_t n = 1; rc == VV_NOMEM; n++) {
            struct world w;
            world_begin(&w);
            vv_alloc_fail_at(n);
            rc = write_table(&w, (enum vv_codec)codec, VV_FILTER_FUSE8, 9);
            vv_alloc_fail_at(0);
            CHECK(rc == VV_OK || rc == VV_NOMEM);
            world_end(&w);
        }
    }
}

TEST(reading_without_memory_leaks_nothing)
{
    for (int round = 0; round < 4; round++) {
        struct world w;
        enum vv_codec codec =
            round < 2 || !vv_codec_available(VV_CODEC_LZ4) ? VV_CODEC_NONE : VV_CODEC_LZ4;
        world_begin(&w);
        if (round % 2 == 1)
            CHECK_OK(vv_cache_new(&w.account, 1 << 20, &w.cache));
        CHECK_OK(write_table(&w, codec, VV_FILTER_FUSE8, 9));
        int clean = 0;
        for (uint64_t n = 1; clean < 30; n++) {
            CHECK(n < 20000);
            vv_alloc_fail_at(n);
            int rc = read_all(&w, round == 0, VV_NOMEM);
            vv_alloc_fail_at(0);
            clean = rc == VV_OK ? clean + 1 : 0;
        }
        int rc = VV_NOMEM;
        for (uint64_t n = 1; rc == VV_NOMEM; n++) {
            vv_alloc_fail_at(n);
            rc = check_table(&w, VV_NOMEM);
            vv_alloc_fail_at(0);
        }
        world_end(&w);
    }
}
