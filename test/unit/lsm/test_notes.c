/*
 * Notes that the host keeps in the MANIFEST, and the change of order that may come with one.
 */
#include "engine_world.h"

#include "lsm/notes.h"

/* What the host was told at the last opening. */
struct told {
    struct vv_notes notes;
    size_t calls;
    const struct vv_order *order; /* to be taken, if not NULL */
};

static struct told told;

static int take_notes(void *context, const struct vv_note *notes, size_t count,
                      const struct vv_order **order, struct vv_note *first)
{
    (void)context;
    (void)first;
    vv_notes_deinit(&told.notes);
    for (size_t i = 0; i < count; i++)
        CHECK_OK(vv_notes_set(&told.notes, notes[i].id, notes[i].text));
    told.calls++;
    if (told.order != NULL)
        *order = told.order;
    return VV_OK;
}

/* Keys that begin with '<' stand in descending order behind that, all others as bytes. */
static int compare_mixed(void *context, vv_slice a, vv_slice b)
{
    (void)context;
    bool down = a.size > 0 && b.size > 0 && a.data[0] == '<' && b.data[0] == '<';
    return down ? vv_slice_cmp(b, a) : vv_slice_cmp(a, b);
}

static const struct vv_order mixed = {
    .compare = compare_mixed, .name = "mixed", .extends_bytewise = true};

static void begin(struct world *w)
{
    told = (struct told){.calls = 0};
    world_create(w);
    w->host.notes = take_notes;
}

static void end(struct world *w)
{
    vv_notes_deinit(&told.notes);
    world_free(w);
}

static int try_note(struct world *w, uint32_t id, const char *text, const struct vv_order *order)
{
    struct vv_note note = {id, vv_slice_str(text)};
    return w->engine->ops->note(w->engine, &note, 1, order);
}

static void note(struct world *w, uint32_t id, const char *text)
{
    CHECK_OK(try_note(w, id, text, NULL));
}

static void check_note(uint32_t id, const char *text)
{
    const struct vv_note *found = vv_notes_find(&told.notes, id);
    CHECK((found == NULL) == (text == NULL));
    if (found != NULL && text != NULL)
        CHECK_BYTES(found->text.data, found->text.size, text, strlen(text));
}

TEST(a_list_of_notes_is_ordered_and_takes_back)
{
    struct vv_notes notes = {.list = NULL};
    for (uint32_t i = 0; i < 100; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", i * 37 % 100);
        CHECK_OK(vv_notes_set(&notes, i * 37 % 100, vv_slice_str(text)));
    }
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ_U64(notes.list[i].id, i);
    for (uint32_t i = 0; i < 100; i += 2)
        vv_notes_remove(&notes, i);
    vv_notes_remove(&notes, 1000);
    CHECK_EQ_U64(notes.count, 50);
    CHECK(vv_notes_find(&notes, 42) == NULL);
    CHECK_EQ_U64(vv_notes_find(&notes, 43)->text.size, 2);
    CHECK_OK(vv_notes_set(&notes, 43, vv_slice_str("new text")));
    CHECK_EQ_U64(vv_notes_find(&notes, 43)->text.size, 8);
    CHECK_EQ_U64(notes.count, 50);
    vv_notes_deinit(&notes);
}

TEST(notes_come_back_at_every_open)
{
    struct world w;
    begin(&w);
    note(&w, 7, "seven");
    note(&w, 3, "three");
    note(&w, 7, "seven again");
    note(&w, 9, "nine");
    note(&w, 9, "");
    for (int round = 0; round < 3; round++) {
        world_reopen(&w);
        CHECK_EQ_U64(told.notes.count, 2);
        check_note(3, "three");
        check_note(7, "seven again");
        check_note(9, NULL);
    }
    end(&w);
}

TEST(a_note_lasts_from_when_it_was_taken)
{
    struct world w, cut;
    begin(&w);
    note(&w, 1, "kept");
    world_cut(&w, VV_SIM_SYNCED, &cut);
    cut.host.notes = take_notes;
    world_reopen(&cut);
    check_note(1, "kept");
    world_free(&cut);
    end(&w);
}

TEST(a_note_that_fails_leaves_the_one_before)
{
    struct world w;
    begin(&w);
    note(&w, 1, "before");
    vv_sim_fail_at(w.env, 1, VV_SIM_FAULT_IO, true);
    CHECK(try_note(&w, 1, "after", NULL) < 0);
    world_close(&w);
    vv_sim_fail_at(w.env, 0, VV_SIM_FAULT_NONE, false);
    world_open(&w);
    check_note(1, "before");
    end(&w);
}

TEST(a_note_has_a_limit)
{
    struct world w;
    uint8_t large[VV_NOTE_SIZE_MAX + 1] = {0};
    begin(&w);
    struct vv_note one = {1, {large, sizeof large}};
    CHECK_RC(w.engine->ops->note(w.engine, &one, 1, NULL), VV_TOOBIG);
    one.text.size--;
    CHECK_OK(w.engine->ops->note(w.engine, &one, 1, NULL));
    world_reopen(&w);
    CHECK_EQ_U64(vv_notes_find(&told.notes, 1)->text.size, VV_NOTE_SIZE_MAX);
    end(&w);
}

/* The keys with prefix '<' descend: written before and after flushes, beside tables laid bytewise. */
static void check_mixed(struct world *w)
{
    struct vv_engine_iter_options options = {.at = VV_SEQ_NOW};
    struct vv_iter *it;
    vv_seq seq;
    const char *wanted[] = {"!", "<z", "<m", "<a", "a", "b"};
    CHECK_OK(w->engine->ops->iter(w->engine, &options, &seq, &it));
    CHECK_OK(vv_iter_first(it));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        CHECK(it->valid);
        CHECK_BYTES(it->at.key.data, it->at.key.size, wanted[i], strlen(wanted[i]));
        CHECK_OK(vv_iter_next(it));
    }
    CHECK(!it->valid);
    vv_iter_close(it);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        world_check(w, wanted[i], 1, 100);
}

static void compact(struct world *w)
{
    uint64_t ticket;
    CHECK_OK(w->engine->ops->compact_begin(w->engine, NULL, NULL, &ticket));
    while (!w->engine->ops->compact_done(w->engine, ticket))
        world_tend(w);
}

TEST(an_order_that_extends_bytewise_may_come_later)
{
    struct world w;
    begin(&w);
    world_write(&w, "a", 1, 100);
    world_flush(&w);
    world_write(&w, "!", 1, 100);
    CHECK_OK(try_note(&w, 5, "descending", &mixed));
    told.order = &mixed;
    world_write(&w, "<m", 1, 100);
    world_write(&w, "<z", 1, 100);
    world_flush(&w);
    world_write(&w, "<a", 1, 100);
    world_write(&w, "b", 1, 100);
    check_mixed(&w);
    world_reopen(&w);
    check_mixed(&w);
    world_flush(&w);
    compact(&w);
    check_mixed(&w);
    world_reopen(&w);
    check_mixed(&w);
    world_close(&w);
    told.order = NULL;
    CHECK_RC(world_try_open(&w), VV_INVALID);
    end(&w);
}
