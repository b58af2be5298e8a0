/*
 * Which tables are taken because what is in them has expired.
 */
#include "fake_table.h"

#include "base/error.h"
#include "lsm/pick.h"

static const struct vv_order bytewise = {.name = NULL};
static const struct vv_shape shape = {
    .base_bytes = 1 << 20, .ratio = 10, .l0_runs = 4, .table_bytes = 1 << 18};

struct made {
    int level;
    const char *from, *to;
    uint64_t entries, expiring, half_ms;
};

static struct vv_version *version_of(const struct made *made, size_t count)
{
    struct vv_table_add adds[8];
    struct vv_version *empty = NULL, *v = NULL;
    CHECK_OK(vv_version_new(&bytewise, &empty));
    for (size_t i = 0; i < count; i++) {
        struct fake_table fake = {.number = i + 1,
                                  .smallest = vv_slice_str(made[i].from),
                                  .largest = vv_slice_str(made[i].to),
                                  .min_seq = 10 * (10 - i),
                                  .max_seq = 10 * (10 - i) + 5,
                                  .size_bytes = 1000,
                                  .entries = made[i].entries};
        adds[i] = (struct vv_table_add){made[i].level, fake_table_new(&fake)};
        adds[i].table->facts.expiring = made[i].expiring;
        adds[i].table->facts.expires_half_ms = made[i].half_ms;
    }
    struct vv_version_change change = {.adds = adds, .add_count = count};
    CHECK_OK(vv_version_apply(empty, &change, &v));
    for (size_t i = 0; i < count; i++)
        vv_table_meta_unref(adds[i].table);
    vv_version_unref(empty);
    return v;
}

/* The number of the first table that is taken by then, and where it goes; 0: none. */
static uint64_t taken(struct vv_version *v, uint64_t now_ms, int *to)
{
    struct vv_plan plan = {.reason = VV_PLAN_NONE};
    CHECK_OK(vv_pick_expired(v, &shape, now_ms, &plan));
    uint64_t number = 0;
    if (plan.reason != VV_PLAN_NONE) {
        CHECK_EQ_INT(plan.reason, VV_PLAN_EXPIRED);
        number = plan.inputs[0][0]->number;
        *to = plan.to;
    }
    vv_plan_deinit(&plan);
    return number;
}

TEST(a_table_is_taken_when_a_quarter_of_it_has_expired)
{
    static const struct made made[] = {{6, "a", "b", 100, 50, 1000},
                                       {6, "c", "d", 100, 49, 500},
                                       {6, "e", "f", 100, 100, 2000},
                                       {6, "g", "h", 100, 0, 0}};
    struct vv_version *v = version_of(made, 4);
    int to = 0;
    CHECK_EQ_U64(taken(v, 999, &to), 0);
    CHECK_EQ_U64(taken(v, 1000, &to), 1);
    CHECK_EQ_INT(to, 6);                  /* where it is */
    CHECK_EQ_U64(taken(v, 5000, &to), 1); /* the one that has waited longest */
    v->levels[6].tables[0]->job = 7;
    CHECK_EQ_U64(taken(v, 5000, &to), 3);
    v->levels[6].tables[2]->job = 8;
    CHECK_EQ_U64(taken(v, 5000, &to), 0);
    vv_version_unref(v);
}

TEST(from_higher_levels_it_goes_down)
{
    static const struct made made[] = {{0, "a", "z", 10, 10, 1000}, {6, "c", "d", 100, 0, 0}};
    struct vv_version *v = version_of(made, 2);
    int to = 0;
    CHECK_EQ_U64(taken(v, 1000, &to), 1);
    CHECK(to > 0);
    vv_version_unref(v);
}
