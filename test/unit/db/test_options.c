#include "db/options.h"
#include "harness/fake_engine.h"
#include "harness/test.h"

static void check_refused(const char *text, const char *word)
{
    varve_options options = VARVE_OPTIONS_INIT, before;
    CHECK_OK(varve_options_set(&options, "durability=os,memory_budget=64M"));
    before = options;
    CHECK_RC(varve_options_set(&options, text), VARVE_INVALID);
    CHECK_BYTES(&options, sizeof options, &before, sizeof before);
    if (strstr(varve_last_error(), word) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' does not name '%s'", varve_last_error(), word);
}

TEST(every_option_can_be_set_by_name)
{
    varve_options o = VARVE_OPTIONS_INIT;
    CHECK_OK(varve_options_set(&o, "mode=exclusive,engine=lsm,durability=disk,sync_interval_ms=50,"
                                   "memory_budget=256MiB,compression=zstd,background_threads=3,"
                                   "value_log_min=4K"));
    CHECK_EQ_INT(o.mode, VARVE_MODE_EXCLUSIVE);
    CHECK_EQ_INT(o.engine, VARVE_ENGINE_LSM);
    CHECK_EQ_INT(o.durability, VARVE_DURABILITY_DISK);
    CHECK_EQ_INT(o.sync_interval_ms, 50);
    CHECK_EQ_U64(o.memory_budget, 256u << 20);
    CHECK_EQ_INT(o.compression, VARVE_COMPRESSION_ZSTD);
    CHECK_EQ_INT(o.background_threads, 3);
    CHECK_EQ_INT(o.value_log_min, 4096);
}

TEST(every_word_survives_printing_and_setting)
{
    static const char *const words[] = {
        "mode=create",           "mode=existing",       "mode=exclusive",
        "mode=readonly",         "engine=lsm",          "durability=none",
        "durability=os",         "durability=interval", "durability=disk",
        "sync_interval_ms=1",    "memory_budget=4MiB",  "compression=none",
        "compression=lz4",       "compression=zstd",    "compression=default",
        "background_threads=16", "value_log_min=256",   "value_log_min=4294967295",
        "memory_budget=2G",      "engine=default",      "changes_keep=1G",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        varve_options set = VARVE_OPTIONS_INIT, again = VARVE_OPTIONS_INIT;
        struct vv_buf text = VV_BUF_INIT;
        CHECK_OK(varve_options_set(&set, words[i]));
        CHECK_OK(vv_options_print(&set, &text));
        CHECK_OK(vv_buf_append_byte(&text, 0));
        CHECK_OK(varve_options_set(&again, (const char *)text.data));
        CHECK_BYTES(&set, sizeof set, &again, sizeof again);
        vv_buf_deinit(&text);
    }
}

TEST(a_wrong_word_is_named_and_changes_nothing)
{
    check_refused("durability=disc", "durability=disc");
    check_refused("mode=readonly,durabilty=disk", "durabilty=disk");
    check_refused("memory_budget=64M,memory_budget=32M", "memory_budget=32M");
    check_refused("memory_budget=1", "memory_budget=1");
    check_refused("memory_budget=", "memory_budget=");
    check_refused("memory_budget=64MB", "memory_budget=64MB");
    check_refused("memory_budget=99999999999999999999", "99999999999999999999");
    check_refused("memory_budget=18014398509481984K", "18014398509481984K");
    check_refused("sync_interval_ms=1K", "sync_interval_ms=1K");
    check_refused("sync_interval_ms=-1", "sync_interval_ms=-1");
    check_refused("background_threads=17", "background_threads=17");
    check_refused("value_log_min=255", "value_log_min=255");
    check_refused("readonly", "readonly");
    check_refused("=1", "=1");
    check_refused("mode=create,", "comma");
    check_refused(",mode=create", "''");
    check_refused(" mode=create", " mode=create");
}

TEST(a_wrong_value_is_told_which_ones_there_are)
{
    varve_options o = VARVE_OPTIONS_INIT;
    CHECK_RC(varve_options_set(&o, "durability=disc"), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "none, os, interval, disk") != NULL);
    CHECK_RC(varve_options_set(&o, "background_threads=17"), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "1 to 16") != NULL);
    CHECK_RC(varve_options_set(&o, "memory_budget=1"), VARVE_INVALID);
    CHECK(strstr(varve_last_error(), "4194304 to") != NULL);
}

TEST(a_size_may_be_written_in_several_ways)
{
    static const char *const texts[] = {"memory_budget=67108864", "memory_budget=65536K",
                                        "memory_budget=65536Ki",  "memory_budget=64M",
                                        "memory_budget=64Mi",     "memory_budget=64MiB"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        varve_options o = VARVE_OPTIONS_INIT;
        CHECK_OK(varve_options_set(&o, texts[i]));
        CHECK_EQ_U64(o.memory_budget, 64 << 20);
    }
}

TEST(empty_text_sets_nothing)
{
    varve_options options = VARVE_OPTIONS_INIT, before = VARVE_OPTIONS_INIT;
    CHECK_OK(varve_options_set(&options, ""));
    CHECK_BYTES(&options, sizeof options, &before, sizeof before);
    CHECK_RC(varve_options_set(&options, NULL), VARVE_INVALID);
    CHECK_RC(varve_options_set(NULL, ""), VARVE_INVALID);
    options.size = 0;
    CHECK_RC(varve_options_set(&options, ""), VARVE_INVALID);
}

static varve_options resolved(uint64_t memory_bytes, uint32_t cpus)
{
    struct vv_env_facts facts = {memory_bytes, cpus, 1024};
    varve_options out;
    CHECK_OK(vv_options_resolve(NULL, &facts, &out));
    return out;
}

TEST(defaults_follow_the_machine_within_limits)
{
    CHECK_EQ_U64(resolved((uint64_t)1 << 30, 1).memory_budget, (uint64_t)128 << 20);
    CHECK_EQ_U64(resolved((uint64_t)1 << 20, 1).memory_budget, (uint64_t)64 << 20);
    CHECK_EQ_U64(resolved((uint64_t)1 << 40, 1).memory_budget, (uint64_t)2 << 30);
    CHECK_EQ_INT(resolved(0, 1).background_threads, 1);
    CHECK_EQ_INT(resolved(0, 9).background_threads, 4);
    CHECK_EQ_INT(resolved(0, 99).background_threads, 16);
    CHECK_EQ_INT(resolved(0, 1).durability, VARVE_DURABILITY_INTERVAL);
    CHECK_EQ_INT(resolved(0, 1).sync_interval_ms, 1000);
    CHECK_EQ_INT(resolved(0, 1).value_log_min, 1024);
}

TEST(options_out_of_range_are_refused)
{
    struct vv_env_facts facts = {(uint64_t)1 << 30, 2, 1024};
    varve_options out, given = VARVE_OPTIONS_INIT;
    given.memory_budget = 1 << 20;
    CHECK_RC(vv_options_resolve(&given, &facts, &out), VARVE_INVALID);
    given = (varve_options)VARVE_OPTIONS_INIT;
    given.durability = (enum varve_durability)9;
    CHECK_RC(vv_options_resolve(&given, &facts, &out), VARVE_INVALID);
    given = (varve_options)VARVE_OPTIONS_INIT;
    given.size = 8;
    CHECK_RC(vv_options_resolve(&given, &facts, &out), VARVE_INVALID);
    varve_comparator order = {"", NULL, NULL};
    given = (varve_options)VARVE_OPTIONS_INIT;
    given.comparator = &order;
    CHECK_RC(vv_options_resolve(&given, &facts, &out), VARVE_INVALID);
}

TEST(options_of_a_newer_header_work_while_its_fields_are_zero)
{
    struct {
        varve_options known;
        uint64_t unknown;
    } given = {VARVE_OPTIONS_INIT, 0};
    struct vv_env_facts facts = {(uint64_t)1 << 30, 2, 1024};
    varve_options out;
    given.known.size = sizeof given;
    CHECK_OK(vv_options_resolve(&given.known, &facts, &out));
    given.unknown = 1;
    CHECK_RC(vv_options_resolve(&given.known, &facts, &out), VARVE_UNSUPPORTED);
}

TEST(the_options_in_force_can_be_asked_for)
{
    struct fake_controls controls = {0};
    varve *db = fake_store(&controls, "durability=os,memory_budget=32M,background_threads=2");
    char *text = NULL;
    varve_options again = VARVE_OPTIONS_INIT;
    CHECK_OK(varve_property(db, "options", &text));
    CHECK_OK(varve_options_set(&again, text));
    CHECK_EQ_INT(again.durability, VARVE_DURABILITY_OS);
    CHECK_EQ_U64(again.memory_budget, 32 << 20);
    CHECK_EQ_INT(again.background_threads, 2);
    varve_free(text);
    CHECK_OK(varve_close(db));
}
