/*
 * The changes of a transaction against a model that copies its whole state at each savepoint.
 */
#include "base/error.h"
#include "db/overlay.h"
#include "db/pending.h"
#include "harness/test.h"

#include <stdio.h>

enum { KEYS = 24, DEPTH = 6, STEPS = 6000 };

/* Per key: 0 untouched, 1 deleted, above: the value. */
struct state {
    int at[KEYS];
};

static vv_slice name_of(int key)
{
    static char names[KEYS][8];
    (void)snprintf(names[key], sizeof names[key], "k%02d", key);
    return vv_slice_str(names[key]);
}

static int value_of(const struct vv_pending_change *c)
{
    int value = 0;
    if (c == NULL)
        return 0;
    if (c->kind == VV_KIND_DELETE)
        return 1;
    CHECK_EQ_U64(c->value_size, sizeof value);
    memcpy(&value, vv_pending_value(c).data, sizeof value);
    return value;
}

static void check_state(const struct vv_pending *p, const struct state *s)
{
    size_t count = 0;
    const struct vv_pending_node *node = vv_pending_first(p);
    vv_pending_check(p);
    for (int key = 0; key < KEYS; key++) {
        CHECK_EQ_INT(value_of(vv_pending_find(p, name_of(key))), s->at[key]);
        const struct vv_pending_node *from = vv_pending_from(p, name_of(key));
        const struct vv_pending_node *to = vv_pending_to(p, name_of(key));
        if (s->at[key] == 0) {
            CHECK(from == node);
            CHECK(to == (node != NULL ? node->before : vv_pending_last(p)));
            continue;
        }
        count++;
        CHECK(from == node && to == node);
        node = node->next[0];
    }
    CHECK_EQ_U64(p->count, count);
}

static void add(struct vv_pending *p, struct state *s, int key, int value)
{
    vv_slice bytes = value == 1 ? VV_SLICE_EMPTY : vv_slice_of(&value, sizeof value);
    CHECK_OK(vv_pending_add(p, value == 1 ? VV_KIND_DELETE : VV_KIND_PUT, name_of(key), bytes));
    s->at[key] = value;
}

TEST(going_back_restores_what_was_at_any_depth)
{
    struct vv_order order = {.compare = NULL};
    struct vv_account account = {0};
    struct vv_rng rng = vv_rng_of(test_seed());
    struct vv_pending p;
    struct state states[DEPTH + 1] = {0};
    int depth = 0;
    vv_pending_init(&p, &order, &account);
    for (int step = 2; step < STEPS; step++) {
        switch (vv_rng_below(&rng, 10)) {
        case 0:
            if (depth == DEPTH)
                break;
            CHECK_OK(vv_pending_savepoint(&p));
            states[depth + 1] = states[depth];
            depth++;
            break;
        case 1:
            if (depth == 0)
                break;
            vv_pending_undo(&p);
            depth--;
            break;
        case 2:
            if (depth == 0)
                break;
            vv_pending_release(&p);
            states[depth - 1] = states[depth];
            depth--;
            break;
        default: {
            int key = (int)vv_rng_below(&rng, KEYS);
            add(&p, &states[depth], key, vv_rng_one_in(&rng, 4) ? 1 : step);
            break;
        }
        }
        check_state(&p, &states[depth]);
    }
    vv_pending_clear(&p);
    CHECK_EQ_U64(vv_account_total(&account), 0);
    vv_pending_deinit(&p);
}

TEST(of_a_level_only_the_newest_change_of_a_key_is_kept)
{
    struct vv_order order = {.compare = NULL};
    struct vv_account account = {0};
    struct vv_pending p;
    struct state s = {0};
    vv_pending_init(&p, &order, &account);
    add(&p, &s, 0, 7);
    size_t once = vv_account_total(&account);
    for (int i = 2; i < 1000; i++) {
        CHECK_OK(vv_pending_savepoint(&p));
        add(&p, &s, 0, i);
        add(&p, &s, 0, i + 1);
        vv_pending_release(&p);
        vv_pending_check(&p);
    }
    CHECK_EQ_U64(vv_account_total(&account), once);
    vv_pending_deinit(&p);
    CHECK_EQ_U64(vv_account_total(&account), 0);
}

TEST(a_pinned_value_outlives_the_change)
{
    struct vv_order order = {.compare = NULL};
    struct vv_account account = {0};
    struct vv_pending p;
    struct vv_pin pin;
    vv_pending_init(&p, &order, &account);
    CHECK_OK(vv_pending_add(&p, VV_KIND_PUT, vv_slice_str("a"), vv_slice_str("first")));
    vv_pending_pin(vv_pending_find(&p, vv_slice_str("a")), &pin);
    CHECK_OK(vv_pending_add(&p, VV_KIND_PUT, vv_slice_str("a"), vv_slice_str("second")));
    vv_pending_deinit(&p);
    CHECK_SLICE(pin.value, "first");
    vv_pin_release(&pin);
    CHECK_EQ_U64(vv_account_total(&account), 0);
}

TEST(running_out_of_memory_changes_nothing)
{
    struct vv_order order = {.compare = NULL};
    struct vv_account account = {0};
    struct vv_pending p;
    struct state s = {0};
    vv_pending_init(&p, &order, &account);
    add(&p, &s, 3, 5);
    for (uint64_t n = 1; n <= 2; n++) {
        vv_alloc_fail_at(n);
        CHECK_RC(vv_pending_add(&p, VV_KIND_PUT, name_of(4), vv_slice_str("v")), VV_NOMEM);
        vv_alloc_fail_at(0);
        check_state(&p, &s);
    }
    vv_pending_deinit(&p);
    CHECK_EQ_U64(vv_account_total(&account), 0);
}

/* ---- laid over another */

/* Two sets of entries: which of the places (key, sequence) are in which. */
enum { PLACES = 6 };
static const char *const place_keys[PLACES] = {"a", "a", "b", "b", "b", "c"};
static const vv_seq place_seqs[PLACES] = {5, 2, 7, 5, 3, 5};

struct listed {
    const char *key;
    vv_seq seq;
    bool above;
};

/* An iterator over what a mask of places names. */
struct mask_iter {
    struct vv_iter base;
    unsigned mask;
    int at;
};

static int mask_show(struct vv_iter *base, int from, int direction)
{
    struct mask_iter *it = (struct mask_iter *)(void *)base;
    for (it->at = from; it->at >= 0 && it->at < PLACES; it->at += direction)
        if ((it->mask >> it->at & 1) != 0)
            break;
    base->valid = it->at >= 0 && it->at < PLACES;
    if (base->valid)
        base->at = (struct vv_entry){vv_slice_str(place_keys[it->at]), vv_slice_str("below"),
                                     place_seqs[it->at], VV_KIND_PUT};
    return VV_OK;
}

static int mask_first(struct vv_iter *base)
{
    return mask_show(base, 0, 1);
}

static int mask_last(struct vv_iter *base)
{
    return mask_show(base, PLACES - 1, -1);
}

static int mask_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct vv_order order = {.compare = NULL};
    int i = 0;
    while (i < PLACES &&
           vv_order_cmp_entry(&order, vv_slice_str(place_keys[i]), place_seqs[i], key, seq) < 0)
        i++;
    return mask_show(base, i, 1);
}

static int mask_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    int i = PLACES - 1;
    while (i >= 0 && vv_slice_cmp(vv_slice_str(place_keys[i]), key) > 0)
        i--;
    return mask_show(base, i, -1);
}

static int mask_next(struct vv_iter *base)
{
    return mask_show(base, ((struct mask_iter *)(void *)base)->at + 1, 1);
}

static int mask_prev(struct vv_iter *base)
{
    return mask_show(base, ((struct mask_iter *)(void *)base)->at - 1, -1);
}

static void mask_close(struct vv_iter *base)
{
    (void)base;
}

static const struct vv_iter_ops mask_ops = {
    mask_first, mask_last, mask_seek, mask_seek_for_prev, mask_next, mask_prev, mask_close,
};

/* What both together hold, in order: pending changes are at sequence 5. */
static size_t list(unsigned above, unsigned below, struct listed *out)
{
    static const char *const keys[3] = {"a", "b", "c"};
    size_t n = 0;
    for (int key = 0; key < 3; key++)
        for (vv_seq seq = 9; seq > 0; seq--) {
            if (seq == 5 && (above >> key & 1) != 0)
                out[n++] = (struct listed){keys[key], seq, true};
            for (int i = 0; i < PLACES; i++)
                if ((below >> i & 1) != 0 && place_seqs[i] == seq &&
                    strcmp(place_keys[i], keys[key]) == 0)
                    out[n++] = (struct listed){keys[key], seq, false};
        }
    return n;
}

static void check_at(const struct vv_iter *it, const struct listed *all, size_t n, int at)
{
    CHECK_EQ_INT(it->valid, at >= 0 && at < (int)n);
    if (!it->valid)
        return;
    CHECK(vv_slice_equal(it->at.key, vv_slice_str(all[at].key)));
    CHECK_EQ_U64(it->at.seq, all[at].seq);
    CHECK(vv_slice_equal(it->at.value, vv_slice_str(all[at].above ? "above" : "below")));
}

/* From the place where the iterator stands, every way of three steps. */
static void check_steps(struct vv_iter *it, const struct listed *all, size_t n, int from)
{
    for (unsigned way = 0; way < 8; way++) {
        int at = from;
        CHECK_OK(vv_iter_seek(it, vv_slice_str(all[from].key), all[from].seq));
        if (it->valid && from > 0 && !all[from].above && all[from - 1].above &&
            all[from].seq == all[from - 1].seq && strcmp(all[from].key, all[from - 1].key) == 0)
            at--; /* seeking cannot pass a twin */
        check_at(it, all, n, at);
        for (int step = 0; step < 3 && it->valid; step++) {
            bool up = (way >> step & 1) != 0;
            CHECK_OK(up ? vv_iter_next(it) : vv_iter_prev(it));
            at += up ? 1 : -1;
            check_at(it, all, n, at);
        }
    }
}

static void check_overlay(unsigned above, unsigned below)
{
    struct vv_order order = {.compare = NULL};
    struct vv_account account = {0};
    struct vv_pending p;
    struct mask_iter masked = {{&mask_ops, {.seq = 0}, false}, below, -1};
    struct vv_iter *top, *it;
    struct listed all[PLACES + 3];
    size_t n = list(above, below, all);
    static const char *const keys[3] = {"a", "b", "c"};
    vv_pending_init(&p, &order, &account);
    for (int key = 0; key < 3; key++)
        if ((above >> key & 1) != 0)
            CHECK_OK(
                vv_pending_add(&p, VV_KIND_PUT, vv_slice_str(keys[key]), vv_slice_str("above")));
    CHECK_OK(vv_pending_iter(&p, 5, &top));
    CHECK_OK(vv_overlay_new(&order, top, &masked.base, &it));
    CHECK_OK(vv_iter_first(it));
    check_at(it, all, n, n == 0 ? -1 : 0);
    CHECK_OK(vv_iter_last(it));
    check_at(it, all, n, (int)n - 1);
    for (int key = 0; key < 3; key++) {
        int last = -1;
        for (size_t i = 0; i < n; i++)
            if (strcmp(all[i].key, keys[key]) <= 0)
                last = (int)i;
        CHECK_OK(vv_iter_seek_for_prev(it, vv_slice_str(keys[key])));
        check_at(it, all, n, last);
        if (last >= 0 && it->valid) {
            CHECK_OK(vv_iter_next(it));
            check_at(it, all, n, last + 1);
        }
    }
    for (size_t i = 0; i < n; i++)
        check_steps(it, all, n, (int)i);
    vv_iter_close(it);
    vv_pending_deinit(&p);
}

TEST(an_overlay_shows_both_in_order_whatever_they_hold)
{
    for (unsigned above = 0; above < 8; above++)
        for (unsigned below = 0; below < 1 << PLACES; below++)
            check_overlay(above, below);
}
