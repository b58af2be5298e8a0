/*
 * Expiry and operands through the whole engine: what has expired leaves the disk without being asked
 * for, the clock is remembered, operands become values.
 */
#include "engine_world.h"

#include "kv/expiry.h"

static _Atomic(uint64_t) clock_ms;
static uint64_t wall_ms;

static uint64_t now_ms(void *context)
{
    (void)context;
    if (atomic_load(&clock_ms) < wall_ms)
        atomic_store(&clock_ms, wall_ms);
    return atomic_load(&clock_ms);
}

/* Texts, appended to each other. */
static int fold(void *context, enum vv_fold how, vv_slice key, const vv_slice *base,
                const vv_slice *operands, size_t count, struct vv_buf *out)
{
    (void)context;
    (void)how;
    (void)key;
    if (base != NULL)
        CHECK_OK(vv_buf_append_slice(out, *base));
    for (size_t i = 0; i < count; i++)
        CHECK_OK(vv_buf_append_slice(out, operands[i]));
    return VV_OK;
}

static void begin(struct world *w)
{
    atomic_store(&clock_ms, 0);
    wall_ms = 1000;
    world_create(w);
    w->host.now_ms = now_ms;
    w->host.clock_ms = &clock_ms;
    w->host.fold = fold;
}

static void commit(struct world *w, struct vv_batch *b, bool has_refs)
{
    struct world_write write = {.batch = *b, .write = {.has_refs = has_refs}};
    CHECK_OK(world_commit(w, &write));
}

static void put_until(struct world *w, const char *key, size_t size, uint64_t expires_ms)
{
    struct vv_batch b = {.count = 0};
    uint8_t ref[VV_REF_SIZE];
    uint8_t *bytes = vv_alloc_zero(size);
    vv_slice value = vv_slice_of(bytes, size);
    CHECK(bytes != NULL);
    if (size >= WORLD_STOW_MIN) {
        CHECK_OK(w->engine->ops->stow(w->engine, vv_slice_str(key), value, ref));
        CHECK_OK(vv_batch_put_ref_expires(&b, vv_slice_str(key), ref, expires_ms));
    } else {
        CHECK_OK(vv_batch_put_expires(&b, vv_slice_str(key), value, expires_ms));
    }
    commit(w, &b, size >= WORLD_STOW_MIN);
    vv_free(bytes);
}

static void merge(struct world *w, const char *key, const char *operand)
{
    struct vv_batch b = {.count = 0};
    CHECK_OK(vv_batch_merge(&b, vv_slice_str(key), vv_slice_str(operand)));
    commit(w, &b, false);
}

static uint64_t entries(struct world *w)
{
    struct vv_lsm_stats stats;
    vv_lsm_get_stats(w->engine, &stats);
    return stats.entries;
}

TEST(a_lookup_says_when_a_value_expires_wherever_it_stands)
{
    static const size_t sizes[] = {10, 2000, 5000}; /* here, moved by the flush, stowed */
    static const char *const keys[] = {"a", "b", "c"};
    struct world w;
    begin(&w);
    for (size_t i = 0; i < 3; i++)
        put_until(&w, keys[i], sizes[i], 2000 + i);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < 3; i++) {
            struct vv_pin pin = {.release = NULL};
            struct vv_look look;
            CHECK_OK(world_get_at(&w, VV_SEQ_NOW, keys[i], &pin));
            CHECK_EQ_U64(pin.value.size, sizes[i]);
            CHECK_EQ_U64(pin.expires_ms, 2000 + i);
            vv_pin_release(&pin);
            CHECK_OK(w.engine->ops->look(w.engine, VV_SEQ_NOW, vv_slice_str(keys[i]), &look));
            CHECK_EQ_U64(look.expires_ms, 2000 + i);
        }
        CHECK_OK(w.engine->ops->check(w.engine, NULL, NULL));
        if (round == 0)
            world_reopen(&w);
        else if (round == 1)
            world_flush(&w);
        else
            world_settle(&w);
    }
    CHECK_EQ_U64(entries(&w), 3);
    wall_ms = 2001;
    world_settle(&w);
    CHECK_EQ_U64(entries(&w), 1);
    world_free(&w);
}

TEST(what_has_expired_leaves_the_disk_without_being_asked_for)
{
    char key[16];
    struct world w;
    begin(&w);
    for (unsigned i = 0; i < 400; i++) {
        (void)snprintf(key, sizeof key, "%04u", i);
        put_until(&w, key, 100, 2000 + i);
    }
    world_flush(&w);
    world_settle(&w);
    CHECK_EQ_U64(entries(&w), 400);
    uint64_t written = atomic_load(&clock_ms);
    wall_ms = 2010;
    world_tend(&w);
    CHECK_EQ_U64(entries(&w), 400); /* not worth it yet */
    wall_ms = 3000;
    world_tend(&w);
    CHECK_EQ_U64(entries(&w), 0);
    CHECK(atomic_load(&clock_ms) > written);
    world_free(&w);
}

TEST(the_clock_is_remembered_by_merges_and_by_closing)
{
    struct world w;
    begin(&w);
    put_until(&w, "k", 10, 5000);
    wall_ms = 6000;
    (void)now_ms(NULL); /* as a read would */
    world_close(&w);
    wall_ms = 1000;
    atomic_store(&clock_ms, 0);
    world_open(&w);
    CHECK_EQ_U64(atomic_load(&clock_ms), 6000);
    wall_ms = 7000;
    world_flush(&w);
    world_settle(&w);
    CHECK_EQ_U64(entries(&w), 0);
    world_kill(&w);
    wall_ms = 1000;
    atomic_store(&clock_ms, 0);
    world_open(&w);
    CHECK_EQ_U64(atomic_load(&clock_ms), 7000);
    world_check_gone(&w, "k");
    world_free(&w);
}

TEST(operands_are_folded_by_flushes_and_merges)
{
    struct world w;
    struct vv_pin pin = {.release = NULL};
    begin(&w);
    for (int i = 0; i < 100; i++)
        merge(&w, "k", "ab");
    world_flush(&w);
    CHECK_EQ_U64(entries(&w), 1);
    CHECK_OK(world_get_at(&w, VV_SEQ_NOW, "k", &pin));
    CHECK(pin.is_operand);
    CHECK_EQ_U64(pin.value.size, 200);
    vv_pin_release(&pin);
    w.snapshots[w.snapshot_count++] = atomic_load(&w.visible);
    merge(&w, "k", "c");
    merge(&w, "k", "d");
    world_flush(&w);
    world_settle(&w);
    CHECK_EQ_U64(entries(&w), 2);
    CHECK_OK(world_get_at(&w, w.snapshots[0], "k", &pin));
    CHECK(!pin.is_operand);
    CHECK_EQ_U64(pin.value.size, 200);
    vv_pin_release(&pin);
    w.snapshot_count = 0;
    world_settle(&w);
    CHECK_EQ_U64(entries(&w), 1);
    world_reopen(&w);
    CHECK_OK(world_get_at(&w, VV_SEQ_NOW, "k", &pin));
    CHECK(!pin.is_operand);
    CHECK_EQ_U64(pin.value.size, 202);
    vv_pin_release(&pin);
    CHECK_OK(w.engine->ops->check(w.engine, NULL, NULL));
    world_free(&w);
}
