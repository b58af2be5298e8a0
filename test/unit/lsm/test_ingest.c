#include "lsm/ingest.h"

#include "fake_table.h"

static const struct vv_order bytewise = {0};

static struct vv_table_meta *table(uint64_t number, const char *from, const char *to)
{
    struct fake_table fake = {.number = number,
                              .smallest = vv_slice_str(from),
                              .largest = vv_slice_str(to),
                              .max_seq = number,
                              .entries = 1};
    return fake_table_new(&fake);
}

/* Level 0 has c to d, level 4 has g to h, level 6 has a to p. */
static struct vv_version *tree(void)
{
    struct vv_version *empty, *version;
    struct vv_table_add adds[] = {
        {0, table(3, "c", "d")}, {4, table(2, "g", "h")}, {6, table(1, "a", "p")}};
    struct vv_version_change change = {.adds = adds, .add_count = 3};
    CHECK_OK(vv_version_new(&bytewise, &empty));
    CHECK_OK(vv_version_apply(empty, &change, &version));
    vv_version_unref(empty);
    for (int i = 0; i < 3; i++)
        vv_table_meta_unref(adds[i].table);
    return version;
}

static int level_of(const struct vv_version *version, int base, const char *from, const char *to,
                    bool claimed)
{
    struct vv_ingest_claim claim = {1, vv_slice_str("q"), vv_slice_str("s")};
    struct vv_table_meta *meta = table(9, from, to);
    int level = vv_ingest_level(version, base, &claim, claimed ? 1 : 0, meta);
    vv_table_meta_unref(meta);
    return level;
}

TEST(a_table_goes_as_deep_as_nothing_of_its_keys_stands_above_it_or_there)
{
    struct vv_version *version = tree();
    CHECK_EQ_INT(level_of(version, 4, "q", "z", false), 6);
    CHECK_EQ_INT(level_of(version, 4, "i", "k", false), 5);
    CHECK_EQ_INT(level_of(version, 3, "h", "k", false), 3);
    CHECK_EQ_INT(level_of(version, 3, "d", "f", false), 0);
    CHECK_EQ_INT(level_of(version, 3, "A", "B", false), 6);
    vv_version_unref(version);
}

TEST(a_table_stays_above_levels_that_are_not_in_use)
{
    struct vv_version *version = tree();
    CHECK_EQ_INT(level_of(version, 4, "h", "k", false), 0);
    CHECK_EQ_INT(level_of(version, 6, "i", "k", false), 0);
    vv_version_unref(version);
}

TEST(a_table_stays_above_what_a_running_job_may_write)
{
    struct vv_version *version = tree();
    CHECK_EQ_INT(level_of(version, 4, "q", "z", true), 0);
    CHECK_EQ_INT(level_of(version, 4, "s", "z", true), 0);
    CHECK_EQ_INT(level_of(version, 4, "pp", "q", true), 0);
    CHECK_EQ_INT(level_of(version, 4, "t", "z", true), 6);
    vv_version_unref(version);
}
