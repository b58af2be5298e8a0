/*
 * Backups: each shows its moment when restored, whatever happened since; a backup that was cut short is
 * not there and leaves nothing behind; damage is found, and named, by who looks and by who restores.
 */
#include "db/backup.h"
#include "harness/rig.h"
#include "harness/test.h"

#include "base/error.h"

#include <stdio.h>

enum { CHOICES = 2, BACKUPS_MAX = 8 };

#define DIR  "/backups"
#define POOL DIR "/files"

static void begin(struct rig *r)
{
    rig_init_sim(r, test_seed());
    r->options.value_log_min = 512;
    CHECK_OK(rig_open(r));
}

static void put_many(struct rig *r, unsigned from, unsigned to, size_t size)
{
    char key[32];
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(key, sizeof key, "key%05u", i);
        CHECK_OK(rig_put(r, key, i % 7 == 0 ? 5000 : size, VARVE_DURABILITY_DEFAULT));
    }
}

static uint64_t back_up(struct rig *r)
{
    uint64_t id = 0;
    if (varve_backup_create(r->db, DIR, NULL, &id) < 0)
        test_fail(__FILE__, __LINE__, "backup: %s", varve_last_error());
    return id;
}

/* Restores, compares with a commit, and takes away again. */
static void expect_backup(const struct rig *r, struct vv_env *env, uint64_t id, uint64_t commit)
{
    struct vv_db_world world = r->world;
    varve_options options = r->options;
    struct dump dump = {0};
    char why[256];
    varve *db;
    world.env = env;
    options.mode = VARVE_MODE_EXISTING;
    if (vv_db_backup_restore(env, DIR, id, "/back", NULL) < 0 ||
        vv_db_open(&world, "/back", &options, &db) < 0)
        test_fail(__FILE__, __LINE__, "restore %u: %s", (unsigned)id, varve_last_error());
    CHECK_OK(dump_read(db, NULL, &dump));
    if (!dump_matches(&dump, &r->oracle, commit)) {
        dump_explain(&dump, &r->oracle, commit, why, sizeof why);
        test_fail(__FILE__, __LINE__, "backup %u: %s", (unsigned)id, why);
    }
    CHECK_OK(varve_verify(db, NULL, NULL));
    CHECK_OK(varve_put(db, VARVE_STR("later"), VARVE_STR("1")));
    CHECK_OK(varve_close(db));
    CHECK_OK(vv_db_destroy(&world, "/back"));
    dump_deinit(&dump);
}

struct listed {
    varve_backup_info infos[BACKUPS_MAX];
    size_t count;
};

static int take_info(void *context, const varve_backup_info *info)
{
    struct listed *l = context;
    CHECK(l->count < BACKUPS_MAX);
    l->infos[l->count++] = *info;
    return VARVE_OK;
}

static size_t count_names(struct vv_env *env, const char *dir)
{
    struct vv_buf names = VV_BUF_INIT;
    size_t count = 0;
    int rc = vv_env_list(env, dir, &names);
    CHECK(rc == VV_OK || rc == VV_NOTFOUND);
    for (size_t i = 0; i < names.size; i++)
        count += names.data[i] == 0;
    vv_buf_deinit(&names);
    return count;
}

/* ---- what they hold, and what they cost */

TEST(backups_share_what_has_not_changed_and_each_restores_its_own_moment)
{
    struct rig r;
    struct listed l = {.count = 0};
    uint64_t commits[4];
    begin(&r);
    for (unsigned i = 0; i < 4; i++) {
        put_many(&r, i * 40, i * 40 + 60, 300);
        CHECK_EQ_U64(back_up(&r), i + 1);
        commits[i] = rig_visible(&r);
    }
    CHECK_EQ_U64(back_up(&r), 5); /* nothing has changed */
    CHECK_OK(rig_settle(&r));
    CHECK_OK(vv_db_backup_list(r.world.env, DIR, take_info, &l));
    CHECK_EQ_U64(l.count, 5);
    CHECK_EQ_U64(l.infos[0].copied_bytes, l.infos[0].bytes);
    for (size_t i = 1; i < l.count; i++)
        CHECK(l.infos[i].copied_bytes < l.infos[i].bytes);
    CHECK_EQ_U64(l.infos[4].sequence, l.infos[3].sequence);
    CHECK_OK(vv_db_backup_verify(r.world.env, DIR, 0, NULL, NULL, NULL));
    CHECK_RC(vv_db_backup_verify(r.world.env, DIR, 77, NULL, NULL, NULL), VARVE_MISSING);
    for (unsigned i = 0; i < 4; i++)
        expect_backup(&r, r.world.env, i + 1, commits[i]);
    expect_backup(&r, r.world.env, 0, commits[3]);
    size_t before = count_names(r.world.env, POOL);
    CHECK_RC(vv_db_backup_purge(r.world.env, DIR, 0), VARVE_INVALID);
    CHECK_OK(vv_db_backup_purge(r.world.env, DIR, 2));
    l.count = 0;
    CHECK_OK(vv_db_backup_list(r.world.env, DIR, take_info, &l));
    CHECK_EQ_U64(l.count, 2);
    CHECK_EQ_U64(l.infos[0].id, 4);
    CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 1, "/back", NULL), VARVE_MISSING);
    expect_backup(&r, r.world.env, 4, commits[3]);
    CHECK_OK(varve_compact(r.db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_EQ_U64(back_up(&r), 6);
    CHECK_OK(vv_db_backup_purge(r.world.env, DIR, 1));
    CHECK(count_names(r.world.env, POOL) < before);
    expect_backup(&r, r.world.env, 6, commits[3]);
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}

TEST(a_restored_store_gives_no_number_that_was_given_before)
{
    struct rig r;
    char *uuids[2];
    varve *db;
    begin(&r);
    put_many(&r, 0, 60, 300);
    (void)back_up(&r);
    put_many(&r, 0, 60, 300);
    CHECK_OK(vv_db_backup_restore(r.world.env, DIR, 0, "/back", NULL));
    CHECK_OK(vv_db_open(&r.world, "/back", &r.options, &db));
    CHECK_OK(varve_property(db, "uuid", &uuids[0]));
    CHECK_OK(varve_property(r.db, "uuid", &uuids[1]));
    CHECK(strcmp(uuids[0], uuids[1]) != 0);
    varve_free(uuids[0]);
    varve_free(uuids[1]);
    /* Its backups share what it came with, and nothing else is taken for the original's. */
    struct listed l = {.count = 0};
    CHECK_OK(varve_put(db, VARVE_STR("own"), VARVE_STR("1")));
    CHECK_OK(varve_backup_create(db, DIR, NULL, NULL));
    CHECK_OK(vv_db_backup_list(r.world.env, DIR, take_info, &l));
    CHECK_EQ_U64(l.count, 2);
    CHECK(memcmp(l.infos[0].store, l.infos[1].store, 16) != 0);
    CHECK(l.infos[1].copied_bytes < l.infos[1].bytes / 2);
    CHECK_OK(varve_close(db));
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}

TEST(backups_go_where_backups_are_and_stores_where_nothing_is)
{
    struct rig r;
    begin(&r);
    put_many(&r, 0, 10, 300);
    CHECK_RC(varve_backup_create(r.db, r.path, NULL, NULL), VARVE_FOREIGN);
    CHECK_RC(varve_backup_create(r.db, "", NULL, NULL), VARVE_INVALID);
    CHECK_RC(vv_db_backup_list(r.world.env, DIR, take_info, NULL), VARVE_MISSING);
    CHECK_RC(vv_db_backup_purge(r.world.env, DIR, 1), VARVE_MISSING);
    CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, "/back", NULL), VARVE_MISSING);
    (void)back_up(&r);
    CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, r.path, NULL), VARVE_EXISTS);
    CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, DIR, NULL), VARVE_FOREIGN);
    CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 9, "/back", NULL), VARVE_MISSING);
    varve_backup_options options = {.size = 1};
    CHECK_RC(varve_backup_create(r.db, DIR, &options, NULL), VARVE_INVALID);
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}

static int stop_late(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    CHECK(done <= total);
    return done > total / 2 ? 42 : 0;
}

TEST(who_watches_may_end_the_work_and_nothing_is_left)
{
    struct rig r;
    struct vv_path_info info;
    varve_backup_options options = VARVE_BACKUP_OPTIONS_INIT;
    options.progress = stop_late;
    begin(&r);
    put_many(&r, 0, 60, 300);
    CHECK_EQ_INT(varve_backup_create(r.db, DIR, &options, NULL), 42);
    struct listed l = {.count = 0};
    CHECK_OK(vv_db_backup_list(r.world.env, DIR, take_info, &l));
    CHECK_EQ_U64(l.count, 0);
    (void)back_up(&r);
    CHECK_EQ_INT(vv_db_backup_restore(r.world.env, DIR, 0, "/back", &options), 42);
    CHECK_RC(vv_env_info(r.world.env, "/back", &info), VV_NOTFOUND);
    CHECK_EQ_INT(vv_db_backup_verify(r.world.env, DIR, 0, &options, NULL, NULL), 42);
    expect_backup(&r, r.world.env, 0, rig_visible(&r));
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}

/* ---- damage */

static void count_line(void *context, const char *line)
{
    CHECK(strstr(line, DIR) != NULL);
    ++*(unsigned *)context;
}

static void first_of(struct vv_env *env, const char *dir, const char *end, char out[256])
{
    struct vv_buf names = VV_BUF_INIT;
    CHECK_OK(vv_env_list(env, dir, &names));
    out[0] = 0;
    for (size_t at = 0; at < names.size; at += strlen((const char *)names.data + at) + 1) {
        const char *name = (const char *)names.data + at;
        if (strstr(name, end) != NULL)
            (void)snprintf(out, 256, "%s/%s", dir, name);
    }
    vv_buf_deinit(&names);
    CHECK(out[0] != 0);
}

TEST(damage_is_found_by_verifying_and_by_restoring)
{
    static const char *const kinds[] = {".sst", ".val"};
    struct rig r;
    char path[256];
    struct vv_path_info info;
    begin(&r);
    put_many(&r, 0, 60, 300);
    (void)back_up(&r);
    for (size_t k = 0; k < 2; k++) {
        struct vv_buf content = VV_BUF_INIT;
        first_of(r.world.env, POOL, kinds[k], path);
        CHECK_OK(vv_sim_read_file(r.world.env, path, &content));
        for (size_t at = 0; at < content.size; at += content.size / 5 + 1) {
            unsigned lines = 0;
            content.data[at] ^= 1;
            CHECK_OK(vv_sim_write_file(r.world.env, path, vv_buf_slice(&content)));
            CHECK_RC(vv_db_backup_verify(r.world.env, DIR, 1, NULL, count_line, &lines),
                     VARVE_CORRUPT);
            CHECK_EQ_INT(lines, 1);
            CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, "/back", NULL), VARVE_CORRUPT);
            CHECK(strstr(varve_last_error(), path) != NULL);
            CHECK_RC(vv_env_info(r.world.env, "/back", &info), VV_NOTFOUND);
            content.data[at] ^= 1;
        }
        CHECK_OK(vv_sim_write_file(r.world.env, path, vv_slice_of(content.data, content.size - 1)));
        CHECK_RC(vv_db_backup_verify(r.world.env, DIR, 0, NULL, NULL, NULL), VARVE_CORRUPT);
        CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, "/back", NULL), VARVE_CORRUPT);
        CHECK_OK(vv_env_remove(r.world.env, path));
        CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, "/back", NULL), VARVE_CORRUPT);
        CHECK_EQ_U64(back_up(&r), k + 2); /* mends it */
        CHECK_OK(vv_db_backup_verify(r.world.env, DIR, 0, NULL, NULL, NULL));
        vv_buf_deinit(&content);
    }
    expect_backup(&r, r.world.env, 1, rig_visible(&r));
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}

TEST(a_damaged_description_costs_its_own_backup_and_no_files)
{
    struct rig r;
    struct vv_buf content = VV_BUF_INIT;
    begin(&r);
    put_many(&r, 0, 60, 300);
    (void)back_up(&r);
    uint64_t commit = rig_visible(&r);
    put_many(&r, 0, 60, 300);
    (void)back_up(&r);
    CHECK_OK(vv_sim_read_file(r.world.env, DIR "/000002.backup", &content));
    for (size_t at = 0; at < content.size; at += at < 400 ? 1 : content.size / 50 + 1) {
        struct listed l = {.count = 0};
        content.data[at] ^= 4;
        CHECK_OK(vv_sim_write_file(r.world.env, DIR "/000002.backup", vv_buf_slice(&content)));
        int rc = vv_db_backup_list(r.world.env, DIR, take_info, &l);
        CHECK(rc == VARVE_CORRUPT || rc == VARVE_UNSUPPORTED);
        CHECK_EQ_U64(l.count, 1);
        content.data[at] ^= 4;
    }
    size_t files = count_names(r.world.env, POOL);
    CHECK_OK(vv_sim_write_file(r.world.env, DIR "/000002.backup",
                               vv_slice_of(content.data, content.size / 2)));
    CHECK_RC(vv_db_backup_restore(r.world.env, DIR, 0, "/back", NULL), VARVE_CORRUPT);
    CHECK_RC(vv_db_backup_verify(r.world.env, DIR, 0, NULL, NULL, NULL), VARVE_CORRUPT);
    CHECK_OK(vv_db_backup_purge(r.world.env, DIR, 2));
    CHECK_EQ_U64(count_names(r.world.env, POOL), files);
    expect_backup(&r, r.world.env, 1, commit);
    CHECK_EQ_U64(back_up(&r), 3);
    CHECK_OK(vv_db_backup_purge(r.world.env, DIR, 1));
    CHECK_OK(vv_db_backup_verify(r.world.env, DIR, 0, NULL, NULL, NULL));
    vv_buf_deinit(&content);
    CHECK_OK(rig_close(&r));
    rig_deinit(&r);
}

/* ---- power cuts */

struct made {
    uint64_t began, ended; /* calls of the world */
    uint64_t commit;
};

/* All that the image has restores; what was promised is there; what is left is cleaned. */
static void look(const struct rig *r, struct vv_env *env, uint64_t n, const struct made *made,
                 size_t count, bool deep)
{
    struct listed l = {.count = 0};
    int rc = vv_db_backup_list(env, DIR, take_info, &l);
    if (rc != VARVE_MISSING)
        CHECK_OK(rc);
    size_t promised = 0;
    while (promised < count && made[promised].ended <= n)
        promised++;
    CHECK(l.count >= promised);
    for (size_t i = 0; i < l.count; i++)
        CHECK_EQ_U64(l.infos[i].id, i + 1);
    if (!deep)
        return;
    if (l.count > 0) {
        CHECK_OK(vv_db_backup_verify(env, DIR, 0, NULL, NULL, NULL));
        expect_backup(r, env, 0, made[l.count - 1].commit);
    }
    struct vv_db_world world = r->world;
    varve *db;
    world.env = env;
    if (vv_db_open(&world, r->path, &r->options, &db) < 0)
        return;
    uint64_t id = 0;
    CHECK_OK(varve_backup_create(db, DIR, NULL, &id));
    CHECK_EQ_U64(id, l.count + 1);
    CHECK_OK(varve_close(db));
    CHECK_OK(vv_db_backup_verify(env, DIR, 0, NULL, NULL, NULL));
    CHECK_EQ_U64(count_names(env, DIR), l.count + 3);
}

TEST(after_a_power_cut_at_any_call_there_are_only_whole_backups)
{
    struct rig r;
    struct made made[3];
    begin(&r);
    put_many(&r, 0, 40, 300);
    for (unsigned i = 0; i < 3; i++) {
        put_many(&r, i * 20, i * 20 + 20, 700);
        made[i].began = rig_calls(&r);
        (void)back_up(&r);
        made[i].ended = rig_calls(&r);
        made[i].commit = rig_visible(&r);
    }
    CHECK_OK(rig_close(&r));
    for (uint64_t n = made[0].began; n <= made[2].ended; n++) {
        for (int model = 0; model < VV_SIM_MODEL_COUNT; model++) {
            for (uint64_t choice = 0; choice < CHOICES; choice++) {
                struct vv_env *env;
                if (choice > 0 && (model == VV_SIM_SYNCED || model == VV_SIM_ALL))
                    continue;
                CHECK_OK(vv_sim_image(r.world.env, n, (enum vv_sim_model)model, choice, &env));
                look(&r, env, n, made, 3, (n + (uint64_t)model + choice) % 7 == 0);
                vv_env_sim_free(env);
            }
        }
    }
    rig_deinit(&r);
}

TEST(a_backup_that_fails_at_any_call_is_not_there_and_the_next_one_is)
{
    static const enum vv_sim_fault faults[] = {VV_SIM_FAULT_IO, VV_SIM_FAULT_FULL,
                                               VV_SIM_FAULT_SHORT};
    for (uint64_t n = 1; n < 90; n++) {
        struct rig r;
        struct listed l = {.count = 0};
        begin(&r);
        put_many(&r, 0, 40, 300);
        CHECK_OK(rig_settle(&r));
        vv_sim_fail_at(r.world.env, n, faults[n % 3], n % 2 == 0);
        int rc = varve_backup_create(r.db, DIR, NULL, NULL);
        vv_sim_fail_at(r.world.env, 0, VV_SIM_FAULT_NONE, false);
        if (rc < 0) {
            int listed = vv_db_backup_list(r.world.env, DIR, take_info, &l);
            CHECK(listed == VARVE_OK || listed == VARVE_MISSING);
        }
        if (varve_put(r.db, VARVE_STR("x"), VARVE_STR("1")) == VARVE_OK) {
            (void)back_up(&r);
            CHECK_OK(vv_db_backup_verify(r.world.env, DIR, 0, NULL, NULL, NULL));
        }
        (void)varve_close(r.db);
        r.db = NULL;
        rig_deinit(&r);
    }
}
