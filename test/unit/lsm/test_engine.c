/*
 * The engine through its treaty, with everything made small.
 */
#include "engine_world.h"

static const char *key_of(unsigned i, char into[16])
{
    (void)snprintf(into, 16, "key%05u", i);
    return into;
}

static size_t size_of(unsigned i)
{
    return i % 11 == 0 ? 5000 : i % 5 == 0 ? 1500 : 20 + i % 300;
}

/* Writes keys 0 to count - 1 in some order, tending now and then. */
static void fill(struct world *w, unsigned count, unsigned version)
{
    char key[16];
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (i * 7919 + version) % count;
        world_write(w, key_of(at, key), version, size_of(at));
        enum vv_tended tended;
        CHECK_OK(w->engine->ops->tend(w->engine, &tended));
    }
}

static void check_all(struct world *w, unsigned count, unsigned version)
{
    char key[16];
    for (unsigned i = 0; i < count; i++)
        world_check(w, key_of(i, key), version, size_of(i));
}

TEST(what_was_written_is_found_through_flushes_merges_and_lives)
{
    struct world w;
    world_create(&w);
    for (unsigned version = 1; version <= 4; version++) {
        fill(&w, 600, version);
        check_all(&w, 600, version);
        world_tend(&w);
        check_all(&w, 600, version);
        world_reopen(&w);
        check_all(&w, 600, version);
    }
    world_settle(&w);
    check_all(&w, 600, 4);
    struct vv_lsm_stats stats;
    vv_lsm_get_stats(w.engine, &stats);
    CHECK(stats.flushes > 0 || stats.compactions > 0);
    CHECK(stats.value_log_garbage_bytes * 5 <= stats.value_log_bytes);
    CHECK_OK(w.engine->ops->check(w.engine, NULL, NULL));
    CHECK_EQ_INT(w.poison_rc, 0);
    world_free(&w);
}

static uint64_t range_bytes(struct world *w, const char *from, const char *to)
{
    vv_slice begin = from != NULL ? vv_slice_str(from) : VV_SLICE_EMPTY;
    vv_slice end = to != NULL ? vv_slice_str(to) : VV_SLICE_EMPTY;
    uint64_t bytes = UINT64_MAX;
    CHECK_OK(w->engine->ops->range_bytes(w->engine, begin, end, &bytes));
    return bytes;
}

enum { RANGE_KEYS = 1000 };

static void check_range_bytes(struct world *w)
{
    char half[16], quarter[16];
    uint64_t all = range_bytes(w, NULL, NULL);
    (void)key_of(RANGE_KEYS / 2, half);
    (void)key_of(RANGE_KEYS / 4, quarter);
    CHECK_EQ_U64(range_bytes(w, "", "~"), all);
    uint64_t lower = range_bytes(w, NULL, half);
    uint64_t upper = range_bytes(w, half, NULL);
    CHECK(lower > all / 3 && lower < all / 3 * 2);
    CHECK(lower + upper > all - all / 8 && lower + upper < all + all / 8);
    CHECK(range_bytes(w, quarter, half) < lower);
    CHECK(range_bytes(w, quarter, half) > lower / 4);
    CHECK_EQ_U64(range_bytes(w, half, half), 0);
    CHECK_EQ_U64(range_bytes(w, half, quarter), 0);
    CHECK_EQ_U64(range_bytes(w, "~", NULL), 0);
    CHECK_EQ_U64(range_bytes(w, NULL, ""), 0);
}

TEST(a_range_of_keys_takes_up_its_share_in_memory_and_in_tables)
{
    static const size_t sizes[] = {150, 2000}; /* in tables, and in the value log */
    for (size_t kind = 0; kind < 2; kind++) {
        struct world w;
        world_create(&w);
        CHECK_EQ_U64(range_bytes(&w, NULL, NULL), 0);
        for (unsigned i = 0; i < RANGE_KEYS; i++) {
            char key[16];
            world_write(&w, key_of(i * 7919 % RANGE_KEYS, key), 1, sizes[kind]);
            world_tend(&w);
        }
        check_range_bytes(&w);
        world_flush(&w);
        check_range_bytes(&w);
        world_settle(&w);
        check_range_bytes(&w);
        CHECK(range_bytes(&w, NULL, NULL) > RANGE_KEYS * sizes[kind] / 4);
        CHECK(range_bytes(&w, NULL, NULL) < RANGE_KEYS * sizes[kind] * 2);
        world_reopen(&w);
        check_range_bytes(&w);
        world_free(&w);
    }
}

TEST(deleted_keys_stay_gone)
{
    struct world w;
    char key[16];
    world_create(&w);
    fill(&w, 300, 1);
    for (unsigned i = 0; i < 300; i += 2)
        world_delete(&w, key_of(i, key));
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 300; i++) {
            if (i % 2 == 0)
                world_check_gone(&w, key_of(i, key));
            else
                world_check(&w, key_of(i, key), 1, size_of(i));
        }
        if (round == 0)
            world_reopen(&w);
        else
            world_settle(&w);
    }
    for (unsigned i = 1; i < 300; i += 2)
        world_delete(&w, key_of(i, key));
    world_settle(&w);
    CHECK_EQ_U64(world_files(&w, ".sst"), 0);
    CHECK_EQ_U64(world_files(&w, ".val"), 0);
    world_free(&w);
}

TEST(a_snapshot_sees_its_instant_whatever_is_merged)
{
    struct world w;
    char key[16];
    world_create(&w);
    fill(&w, 200, 1);
    w.snapshots[w.snapshot_count++] = w.given;
    fill(&w, 200, 2);
    world_settle(&w);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t value[5000];
        struct vv_pin pin;
        world_value(key_of(i, key), 1, size_of(i), value);
        CHECK_OK(world_get_at(&w, w.snapshots[0], key, &pin));
        CHECK_BYTES(pin.value.data, pin.value.size, value, size_of(i));
        vv_pin_release(&pin);
    }
    check_all(&w, 200, 2);
    w.snapshot_count = 0;
    world_settle(&w);
    check_all(&w, 200, 2);
    world_free(&w);
}

/* The iterator may show what came after its instant: the host passes over it. */
static unsigned walk(struct world *w, struct vv_iter *it, vv_seq seq, unsigned version)
{
    unsigned count = 0;
    struct vv_buf before = VV_BUF_INIT;
    CHECK_OK(vv_iter_first(it));
    while (it->valid) {
        if (it->at.seq > seq) {
            CHECK_OK(vv_iter_next(it));
            continue;
        }
        bool newest = count == 0 || !vv_slice_equal(vv_buf_slice(&before), it->at.key);
        if (newest) {
            char key[16] = "";
            uint8_t value[5000];
            struct vv_pin pin = {.value = it->at.value};
            CHECK_EQ_U64(it->at.key.size, 8);
            memcpy(key, it->at.key.data, 8);
            size_t size = size_of((unsigned)strtoul(key + 3, NULL, 10));
            world_value(key, version, size, value);
            if (it->at.kind == VV_KIND_REF)
                CHECK_OK(w->engine->ops->resolve(it, it->at.value, it->at.key, &pin));
            CHECK_BYTES(pin.value.data, pin.value.size, value, size);
            vv_pin_release(&pin);
            count++;
        }
        CHECK_OK(vv_buf_assign(&before, it->at.key));
        CHECK_OK(vv_iter_next(it));
    }
    vv_buf_deinit(&before);
    return count;
}

TEST(an_open_iterator_keeps_its_files_and_closing_it_lets_them_go)
{
    struct world w;
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *it;
    vv_seq seq;
    world_create(&w);
    fill(&w, 400, 1);
    world_settle(&w);
    size_t tables = world_files(&w, ".sst");
    size_t values = world_files(&w, ".val");
    CHECK_OK(w.engine->ops->iter(w.engine, &options, &seq, &it));
    CHECK_EQ_U64(seq, w.given);
    fill(&w, 400, 2);
    world_settle(&w);
    CHECK(world_files(&w, ".sst") > tables);
    CHECK_EQ_INT(walk(&w, it, seq, 1), 400);
    size_t kept = world_files(&w, ".sst");
    size_t kept_values = world_files(&w, ".val");
    vv_iter_close(it);
    CHECK(world_files(&w, ".sst") < kept);
    CHECK(world_files(&w, ".val") < kept_values);
    CHECK(world_files(&w, ".val") <= values + 2);
    check_all(&w, 400, 2);
    world_free(&w);
}

TEST(closing_in_the_middle_of_any_job_loses_nothing)
{
    struct world w;
    world_create(&w);
    for (unsigned steps = 1; steps < 60; steps += 3) {
        fill(&w, 60, steps);
        uint64_t ticket;
        CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
        for (unsigned i = 0; i < steps; i++) {
            enum vv_tended tended;
            CHECK_OK(w.engine->ops->tend(w.engine, &tended));
        }
        world_reopen(&w);
        check_all(&w, 60, steps);
    }
    world_settle(&w);
    check_all(&w, 60, 58);
    world_free(&w);
}

TEST(what_a_crash_left_behind_is_removed_at_open)
{
    struct world w, cut;
    world_create(&w);
    fill(&w, 300, 1);
    uint64_t ticket;
    CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
    for (int i = 0; i < 4; i++) {
        enum vv_tended tended;
        CHECK_OK(w.engine->ops->tend(w.engine, &tended));
    }
    world_cut(&w, VV_SIM_ALL, &cut);
    check_all(&cut, 300, 1);
    struct vv_lsm_stats stats;
    vv_lsm_get_stats(cut.engine, &stats);
    uint64_t tables = 0;
    for (int level = 0; level < 7; level++)
        tables += stats.level_files[level];
    CHECK_EQ_U64(world_files(&cut, ".sst"), tables);
    CHECK_EQ_U64(world_files(&cut, "CURRENT.tmp"), 0);
    world_free(&cut);
    world_free(&w);
}

TEST(keys_and_values_at_their_limits_come_back)
{
    struct world w;
    uint8_t *key = vv_alloc(VV_KEY_SIZE_MAX);
    CHECK(key != NULL);
    memset(key, 'k', VV_KEY_SIZE_MAX);
    static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 100000};
    world_create(&w);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            vv_slice long_key = vv_slice_of(key, VV_KEY_SIZE_MAX - i);
            uint8_t *value = vv_alloc_zero(sizes[i]);
            CHECK(value != NULL);
            if (round == 0)
                CHECK_OK(world_try_put(&w, long_key, vv_slice_of(value, sizes[i])));
            struct vv_pin pin = {0};
            CHECK_OK(w.engine->ops->get(w.engine, VV_SEQ_NOW, long_key, &pin));
            CHECK_BYTES(pin.value.data, pin.value.size, value, sizes[i]);
            vv_pin_release(&pin);
            vv_free(value);
        }
        if (round == 0)
            CHECK_OK(world_try_put(&w, VV_SLICE_EMPTY, vv_slice_of(key, 9000)));
        struct vv_pin pin = {0};
        CHECK_OK(w.engine->ops->get(w.engine, VV_SEQ_NOW, VV_SLICE_EMPTY, &pin));
        CHECK_BYTES(pin.value.data, pin.value.size, key, 9000);
        vv_pin_release(&pin);
        if (round == 0)
            world_flush(&w);
        else if (round == 1)
            world_settle(&w);
        else
            world_reopen(&w);
    }
    CHECK_OK(w.engine->ops->check(w.engine, NULL, NULL));
    vv_free(key);
    world_free(&w);
}

TEST(values_live_through_generations_of_collection)
{
    struct world w;
    char key[16];
    world_create(&w);
    for (unsigned i = 0; i < 40; i++)
        world_write(&w, key_of(i, key), 1, 6000);
    for (unsigned generation = 0; generation < 5; generation++) {
        world_settle(&w);
        /* A third of what is left goes, so that every file is worth collecting. */
        for (unsigned i = generation; i < 40; i += 5)
            world_write(&w, key_of(i, key), 2, 50);
        world_settle(&w);
        for (unsigned i = 0; i < 40; i++) {
            bool changed = i % 5 <= generation;
            world_check(&w, key_of(i, key), changed ? 2 : 1, changed ? 50 : 6000);
        }
        if (generation == 2)
            world_reopen(&w);
    }
    world_settle(&w);
    CHECK_EQ_U64(world_files(&w, ".val"), 0);
    world_free(&w);
}

TEST(a_reader_beside_the_writer_sees_a_state_and_touches_nothing)
{
    struct world w, reader;
    world_create(&w);
    fill(&w, 200, 1);
    world_init(&reader, w.env);
    reader.options.readonly = true;
    uint64_t calls = vv_sim_call_count(w.env);
    world_open(&reader);
    check_all(&reader, 200, 1);
    CHECK_EQ_U64(vv_sim_call_count(w.env), calls);
    fill(&w, 200, 2);
    world_settle(&w);
    check_all(&reader, 200, 1); /* the files are gone, its own handles are not */
    world_close(&reader);
    world_open(&reader);
    check_all(&reader, 200, 2);
    world_close(&reader);
    world_free(&w);
}

TEST(every_step_may_fail_once_and_the_work_is_done_the_next_time)
{
    struct world w;
    world_create(&w);
    fill(&w, 150, 1);
    for (uint64_t n = 1; n < 60; n++) {
        fill(&w, 30, (unsigned)n + 1);
        uint64_t ticket;
        CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
        vv_sim_fail_at(w.env, n, n % 2 == 0 ? VV_SIM_FAULT_IO : VV_SIM_FAULT_FULL, false);
        (void)world_try_tend(&w);
        vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
        if (w.poison_rc != 0) {
            world_reopen(&w);
            w.poison_rc = 0;
        }
        world_settle(&w);
        check_all(&w, 30, (unsigned)n + 1);
    }
    world_free(&w);
}

TEST(value_files_are_sealed_while_merges_have_no_end)
{
    struct world w;
    char key[16];
    struct vv_buf text = VV_BUF_INIT;
    world_create(&w);
    for (unsigned i = 0; i < 200; i++)
        world_write(&w, key_of(i, key), 1, 900);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t ticket;
        enum vv_tended tended;
        CHECK_OK(w.engine->ops->compact_begin(w.engine, NULL, NULL, &ticket));
        world_write(&w, key_of(i, key), 2, 6000);
        CHECK_OK(w.engine->ops->tend(w.engine, &tended));
        CHECK_OK(w.engine->ops->tend(w.engine, &tended));
        CHECK_EQ_INT(tended, VV_TENDED_WORKED);
    }
    CHECK_OK(vv_lsm_describe(w.engine, "files", &text));
    CHECK_OK(vv_buf_append(&text, "", 1));
    unsigned open = 0;
    for (const char *at = (const char *)text.data; (at = strstr(at, " open ")) != NULL; at++)
        open++;
    CHECK(open <= 8);
    vv_buf_deinit(&text);
    world_free(&w);
}
