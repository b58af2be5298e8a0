/*
 * Running through the tables of a run, over real tables in a world in memory.
 */
#include "lsm/merge.h"

#include "base/error.h"
#include "base/rng.h"
#include "env/mem.h"
#include "harness/test.h"
#include "lsm/names.h"
#include "lsm/tables.h"

enum { TABLES_MAX = 6, KEYS = 60, ENTRIES_MAX = KEYS * 3 };

struct item {
    uint8_t key;
    vv_seq seq;
};

struct world {
    struct vv_env *env;
    struct vv_account account;
    struct vv_tables *tables;
    struct vv_table_meta *metas[TABLES_MAX];
    struct vv_run run;
    struct item items[ENTRIES_MAX]; /* of all tables, in internal order */
    size_t ends[TABLES_MAX];        /* where the items of each table end */
    size_t count;
};

static const struct vv_order bytewise = {0};
static const uint8_t uuid[VV_TABLE_UUID_SIZE] = {1, 2, 3};

static void write_table(struct world *w, uint64_t number, size_t begin, size_t end)
{
    struct vv_path path = vv_path_of("/", VV_NAME_TABLE, number);
    struct vv_table_writer *writer = NULL;
    struct vv_table_facts facts = {0};
    struct vv_table_write_options options = {
        .order = &bytewise, .account = &w->account, .number = number, .block_bytes = 64};
    memcpy(options.uuid, uuid, sizeof uuid);
    CHECK_OK(vv_table_writer_open(w->env, path.text, &options, &writer));
    for (size_t i = begin; i < end; i++) {
        struct vv_entry entry = {.key = {&w->items[i].key, 1},
                                 .value = vv_slice_str("value"),
                                 .seq = w->items[i].seq,
                                 .kind = VV_KIND_PUT};
        CHECK_OK(vv_table_writer_add(writer, &entry, entry.value.size));
    }
    CHECK_OK(vv_table_writer_finish(writer, &facts));
    CHECK_OK(vv_table_meta_new(w->tables, number, &facts, &w->metas[w->run.count]));
    w->ends[w->run.count++] = end;
}

/* Some keys with one to three versions each, cut into tables between keys. */
static void world_init(struct world *w, struct vv_rng *rng)
{
    size_t begin = 0;
    *w = (struct world){0};
    CHECK_OK(vv_env_mem_new(&w->env));
    struct vv_tables_options options = {
        .env = w->env, .dir = "/", .order = &bytewise, .account = &w->account};
    memcpy(options.uuid, uuid, sizeof uuid);
    CHECK_OK(vv_tables_new(&options, &w->tables));
    for (int key = 1; key < KEYS; key++) {
        if (vv_rng_one_in(rng, 3))
            continue;
        for (vv_seq seq = 1 + vv_rng_below(rng, 3); seq > 0; seq--)
            w->items[w->count++] = (struct item){(uint8_t)key, 10 * seq};
        if (vv_rng_one_in(rng, 8) && w->run.count < TABLES_MAX) {
            write_table(w, 1 + w->run.count, begin, w->count);
            begin = w->count;
        }
    }
    w->count = begin; /* what was not cut is nowhere */
    w->run.tables = w->metas;
}

static void world_deinit(struct world *w)
{
    for (size_t i = 0; i < w->run.count; i++)
        vv_table_meta_unref(w->metas[i]);
    vv_tables_free(w->tables);
    CHECK_EQ_U64(vv_account_total(&w->account), 0);
    vv_env_mem_free(w->env);
}

/* `at` counts from `begin`; outside [begin, end) the iterator must have ended. */
static void check_at(const struct world *w, const struct vv_iter *it, size_t at, size_t begin,
                     size_t end)
{
    CHECK_EQ_INT(it->valid, at >= begin && at < end);
    if (!it->valid)
        return;
    CHECK_BYTES(it->at.key.data, it->at.key.size, &w->items[at].key, 1);
    CHECK_EQ_U64(it->at.seq, w->items[at].seq);
    CHECK_SLICE(it->at.value, "value");
}

static size_t random_move(const struct world *w, struct vv_rng *rng, struct vv_iter *it, size_t at,
                          size_t begin, size_t end)
{
    uint8_t key = (uint8_t)vv_rng_below(rng, KEYS + 1);
    vv_seq seq = vv_rng_below(rng, 40);
    vv_slice slice = {&key, 1};
    switch (it->valid ? vv_rng_below(rng, 12) : vv_rng_below(rng, 4)) {
    case 0: CHECK_OK(vv_iter_first(it)); return begin;
    case 1: CHECK_OK(vv_iter_last(it)); return end - 1;
    case 2:
        CHECK_OK(vv_iter_seek(it, slice, seq));
        for (at = begin; at < end; at++) {
            const struct item *item = &w->items[at];
            if (item->key > key || (item->key == key && item->seq <= seq))
                break;
        }
        return at;
    case 3:
        CHECK_OK(vv_iter_seek_for_prev(it, slice));
        for (at = end; at > begin && w->items[at - 1].key > key;)
            at--;
        return at - 1;
    default: break;
    }
    bool back = vv_rng_one_in(rng, 2);
    if (back)
        CHECK_OK(vv_iter_prev(it));
    else
        CHECK_OK(vv_iter_next(it));
    return back ? at - 1 : at + 1;
}

TEST(a_run_moves_like_the_array_of_its_entries)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    for (int round = 0; round < (test_soak() ? 2000 : 200); round++) {
        struct world w;
        world_init(&w, &rng);
        struct vv_run_range range = {.count = w.run.count};
        if (vv_rng_one_in(&rng, 2) && w.run.count > 0) {
            range.first = vv_rng_below(&rng, w.run.count);
            range.count = vv_rng_below(&rng, w.run.count - range.first + 1);
        }
        size_t last = range.first + range.count;
        size_t begin = range.first > 0 ? w.ends[range.first - 1] : 0;
        size_t end = last > range.first ? w.ends[last - 1] : begin;
        struct vv_iter *it = NULL;
        CHECK_OK(vv_run_iter_range(&bytewise, &w.run, range, VV_TABLE_READ_CACHED, &it));
        CHECK(!it->valid);
        size_t at = SIZE_MAX / 2;
        for (int move = 0; move < 150; move++) {
            at = random_move(&w, &rng, it, at, begin, end);
            check_at(&w, it, at, begin, end);
        }
        vv_iter_close(it);
        world_deinit(&w);
    }
}

TEST(tables_are_opened_when_they_are_reached)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct world w;
    do {
        world_init(&w, &rng);
        if (w.run.count < 3)
            world_deinit(&w);
    } while (w.run.count < 3);
    struct vv_iter *it = NULL;
    CHECK_OK(vv_run_iter(&bytewise, &w.run, VV_TABLE_READ_SCAN, &it));
    CHECK(atomic_load(&w.metas[0]->handle) == NULL);
    CHECK_OK(vv_iter_first(it));
    CHECK(atomic_load(&w.metas[0]->handle) != NULL);
    CHECK(atomic_load(&w.metas[1]->handle) == NULL);
    vv_iter_close(it);
    world_deinit(&w);
}

TEST(a_table_that_is_missing_ends_the_run_with_corruption)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct world w;
    do {
        world_init(&w, &rng);
        if (w.run.count < 2)
            world_deinit(&w);
    } while (w.run.count < 2);
    struct vv_path path = vv_path_of("/", VV_NAME_TABLE, 2);
    CHECK_OK(vv_env_remove(w.env, path.text));
    struct vv_iter *it = NULL;
    int rc = VV_OK;
    CHECK_OK(vv_run_iter(&bytewise, &w.run, VV_TABLE_READ_SCAN, &it));
    CHECK_OK(vv_iter_first(it));
    while (rc == VV_OK && it->valid)
        rc = vv_iter_next(it);
    CHECK_RC(rc, VV_CORRUPT);
    CHECK(!it->valid);
    CHECK_OK(vv_iter_first(it));
    check_at(&w, it, 0, 0, w.count);
    vv_iter_close(it);
    world_deinit(&w);
}
