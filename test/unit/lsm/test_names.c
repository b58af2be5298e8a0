/*
 * The names of files: each is written in one way only, and nothing else is ours.
 */
#include "harness/test.h"

#include "lsm/names.h"

#include <stdio.h>

static void check_name(const char *name, enum vv_name_kind kind, uint64_t number)
{
    uint64_t got = 77;
    enum vv_name_kind found = vv_name_parse(name, &got);
    if (found != kind)
        test_fail(__FILE__, __LINE__, "\"%s\" is of kind %d, not %d", name, (int)found, (int)kind);
    CHECK_EQ_U64(got, number);
}

TEST(every_kind_of_name_reads_back)
{
    static const uint64_t numbers[] = {0,       1,       999999,           1000000,
                                       1 << 30, 1234567, 1234567890123456, 9999999999999999999u};
    static const enum vv_name_kind kinds[] = {VV_NAME_MANIFEST, VV_NAME_WAL,   VV_NAME_TABLE,
                                              VV_NAME_VALUES,   VV_NAME_SPARE, VV_NAME_KEPT};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            struct vv_path path = vv_path_of("/some/dir", kinds[k], numbers[i]);
            CHECK(strncmp(path.text, "/some/dir/", 10) == 0);
            check_name(path.text + 10, kinds[k], numbers[i]);
        }
    }
    check_name("CURRENT", VV_NAME_CURRENT, 0);
    check_name("LOCK", VV_NAME_LOCK, 0);
    check_name("CURRENT.tmp", VV_NAME_TEMP, 0);
    CHECK_EQ_STR(vv_path_of("d", VV_NAME_CURRENT, 5).text, "d/CURRENT");
    CHECK_EQ_STR(vv_path_of("d", VV_NAME_TEMP, 5).text, "d/CURRENT.tmp");
    CHECK_EQ_STR(vv_path_of("d", VV_NAME_LOCK, 5).text, "d/LOCK");
    CHECK_EQ_STR(vv_path_of("d", VV_NAME_WAL, 5).text, "d/000005.wal");
    CHECK_EQ_STR(vv_path_of("d", VV_NAME_MANIFEST, 1234567).text, "d/MANIFEST-1234567");
}

TEST(other_names_are_not_ours)
{
    static const char *const others[] = {"",
                                         ".",
                                         "a",
                                         "LOCK2",
                                         "current",
                                         "1.wal",
                                         "00001.wal",
                                         "0000001.wal",
                                         "000001.wal ",
                                         "000001.wa",
                                         "000001.sst.bak",
                                         "+00001.sst",
                                         "-00001.sst",
                                         "000001",
                                         "000001.",
                                         "MANIFEST-",
                                         "MANIFEST-1",
                                         "MANIFEST-0000012",
                                         "MANIFEST-000001x",
                                         "manifest-000001",
                                         "99999999999999999999.wal",
                                         "10000000000000000000000000.val",
                                         "000001.SST",
                                         "CURRENT.tmp.tmp",
                                         ".damaged",
                                         "x.damaged",
                                         "000001.damaged",
                                         "000001.sst.damaged.damaged"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        check_name(others[i], VV_NAME_OTHER, 0);
}

TEST(a_file_that_was_set_aside_keeps_its_number)
{
    check_name("000012.sst.damaged", VV_NAME_DAMAGED, 12);
    check_name("000007.val.damaged", VV_NAME_DAMAGED, 7);
    check_name("MANIFEST-000003.damaged", VV_NAME_DAMAGED, 3);
}

TEST(a_long_name_is_not_ours)
{
    char name[300];
    memset(name, '0', sizeof name);
    (void)snprintf(name + sizeof name - 9, 9, ".damaged");
    check_name(name, VV_NAME_OTHER, 0);
    memset(name, '1', sizeof name);
    (void)snprintf(name + sizeof name - 5, 5, ".wal");
    check_name(name, VV_NAME_OTHER, 0);
}
