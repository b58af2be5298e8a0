/*
 * Rot: bytes flipped, files cut, sectors zeroed, files swapped, missing or of another time. Every
 * read then gives the right data or VARVE_CORRUPT that names file and place; nothing is wrong,
 * nothing is missing in silence, nothing crashes. A check finds what reads find, and a repair gives
 * a store that opens and lies about nothing.
 *
 * One exception is in the nature of logs: what was never synced, at the end of the newest log,
 * looks the same torn by a power cut or by rot, and may be cut to a prefix.
 */
#include "base/hash.h"
#include "harness/rig.h"
#include "harness/test.h"
#include "harness/trail.h"
#include "lsm/names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES_MAX = 64, SECTOR = 512 };

/* ---- the stores to damage */

struct patient {
    struct rig rig;       /* closed; its world is the whole store */
    struct vv_env *whole; /* an image of it */
    uint64_t flushed;     /* the commit up to which all is in tables */
    uint64_t proven;      /* the last commit whose sync a later record of the log proves */
    char files[FILES_MAX][64];
    size_t file_count;
    char newest_log[64];

    uint64_t cases, corrupt, refused, whole_anyway, cut;
};

static void path_in(const struct patient *p, const char *name, char *into, size_t size)
{
    snprintf(into, size, "%s/%s", p->rig.path, name);
}

static void files_find(struct patient *p)
{
    struct vv_buf names = VV_BUF_INIT;
    uint64_t newest = 0;

    p->file_count = 0;
    TRAIL_OK(vv_env_list(p->whole, p->rig.path, &names));
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        uint64_t number = 0;
        enum vv_name_kind kind = vv_name_parse(name, &number);

        if (kind == VV_NAME_WAL && number >= newest) {
            newest = number;
            snprintf(p->newest_log, sizeof p->newest_log, "%s", name);
        }
        CHECK(p->file_count < FILES_MAX);
        if (kind != VV_NAME_LOCK)
            snprintf(p->files[p->file_count++], sizeof p->files[0], "%s", name);
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    CHECK(p->file_count >= 3);
}

/* Values inline and in the value log, several levels, and a log with writes that were synced and,
 * with `tail`, with some that were not. */
enum patient_tail { TAIL_SYNCED, TAIL_UNSYNCED };

static void patient_make(struct patient *p, enum varve_compression compression,
                         enum patient_tail tail)
{
    char key[32];

    *p = (struct patient){.flushed = 0};
    rig_init_sim(&p->rig, test_seed());
    p->rig.options.compression = compression;
    p->rig.options.value_log_min = 300;
    p->rig.options.durability = VARVE_DURABILITY_OS;
    TRAIL_OK(rig_open(&p->rig));
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = round; i < 16; i += round + 1) {
            snprintf(key, sizeof key, "key%03u", i * 7 % 50);
            TRAIL_OK(rig_put(&p->rig, key, i % 5 ? 60 : 400, VARVE_DURABILITY_DEFAULT));
        }
        TRAIL_OK(rig_delete(&p->rig, "key007", VARVE_DURABILITY_DEFAULT));
        TRAIL_OK(rig_flush(&p->rig));
        if (round == 1)
            TRAIL_OK(rig_settle(&p->rig));
    }
    p->flushed = p->rig.oracle.last;
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "log%03u", i);
        TRAIL_OK(rig_put(&p->rig, key, 50, VARVE_DURABILITY_DISK));
    }
    p->proven = p->rig.oracle.last - 1; /* the last record says so */
    if (tail == TAIL_UNSYNCED)
        p->proven++;
    for (unsigned i = 0; i < 3 && tail == TAIL_UNSYNCED; i++) {
        snprintf(key, sizeof key, "tail%03u", i);
        TRAIL_OK(rig_put(&p->rig, key, 50, VARVE_DURABILITY_DEFAULT));
    }
    TRAIL_OK(vv_sim_image(p->rig.world.env, rig_calls(&p->rig), VV_SIM_ALL, 0, &p->whole));
    TRAIL_OK(rig_close(&p->rig));
    files_find(p);
}

static void patient_deinit(struct patient *p)
{
    printf("%" PRIu64 " cases: %" PRIu64 " found corrupt, %" PRIu64 " cut to a prefix, %" PRIu64
           " whole anyway\n",
           p->cases, p->corrupt, p->cut, p->whole_anyway);
    vv_env_sim_free(p->whole);
    rig_deinit(&p->rig);
}

static struct vv_env *patient_copy(const struct patient *p)
{
    struct vv_env *copy = NULL;

    TRAIL_OK(vv_sim_image(p->whole, 0, VV_SIM_ALL, 0, &copy));
    return copy;
}

static size_t file_read(const struct patient *p, const char *name, struct vv_buf *out)
{
    char path[400];

    path_in(p, name, path, sizeof path);
    out->size = 0;
    TRAIL_OK(vv_sim_read_file(p->whole, path, out));
    return out->size;
}

static void file_write(const struct patient *p, struct vv_env *env, const char *name,
                       vv_slice content)
{
    char path[400];

    path_in(p, name, path, sizeof path);
    TRAIL_OK(vv_sim_write_file(env, path, content));
}

/* ---- what damage may do */

static bool place_follows(const char *text)
{
    for (; *text; text++) {
        if (isdigit((unsigned char)*text) || strstr(text, "missing") == text)
            return true;
    }
    return false;
}

/* The story must name one of the files that were touched, and a place in it. A MANIFEST that lies
 * may also show in another file of the store, which is then not as it says. */
static void expect_story(const char *const *names, size_t count)
{
    const char *story = varve_last_error();

    for (size_t i = 0; i < count; i++) {
        const char *found = strstr(story, names[i]);
        if (!found && strncmp(names[i], "MANIFEST", 8) == 0)
            found = strstr(story, "/store/");
        if (!found)
            continue;
        if (!place_follows(found + strlen(names[i])))
            trail_fail(__FILE__, __LINE__, "no offset in the story: %s", story);
        return;
    }
    trail_fail(__FILE__, __LINE__, "the story does not name %s: %s", names[0], story);
}

struct injury {
    const char *names[2]; /* of the files touched */
    size_t count;
    uint64_t from; /* recovery to this commit or a later one is fine */
};

static bool key_is_right(const struct patient *p, varve *db, const struct injury *injury,
                         size_t index, uint64_t commit)
{
    const struct oracle *o = &p->rig.oracle;
    vv_slice key = o->keys[index].key;
    const struct oracle_version *expected = oracle_at(o, commit, index);
    varve_pinned pin = {0};
    int rc = varve_get(db, sample_public(key), &pin);
    bool right = true;

    if (rc == VARVE_OK)
        right = expected && expected->size == pin.size &&
                expected->hash == vv_hash(vv_slice_of(pin.data, pin.size));
    else if (rc == VARVE_NOTFOUND)
        right = !expected;
    else if (rc == VARVE_CORRUPT)
        expect_story(injury->names, injury->count);
    else
        right = false;
    varve_unpin(&pin);
    if (!right)
        trail_fail(__FILE__, __LINE__, "get %s gives %d%s; the model at commit %" PRIu64 " %s",
                   sample_text(key), rc, rc == VARVE_OK ? " with wrong data" : "", commit,
                   expected ? "has it" : "has none");
    return rc != VARVE_CORRUPT;
}

/* Reads everything both ways. Gives whether all of it could be read. */
static bool expect_right_or_corrupt(struct patient *p, varve *db, const struct injury *injury)
{
    const struct oracle *o = &p->rig.oracle;
    uint64_t from = injury->from;
    struct dump dump = {.count = 0};
    char text[512];
    uint64_t commit;
    bool all = true;
    int rc = dump_read(db, NULL, &dump);

    if (rc < 0) {
        TRAIL_RC(rc, VARVE_CORRUPT);
        expect_story(injury->names, injury->count);
        all = false;
        for (commit = o->last; commit > from && !dump_begins(&dump, o, commit);)
            commit--;
        if (!dump_begins(&dump, o, commit)) {
            dump_explain(&dump, o, commit, text, sizeof text);
            trail_fail(__FILE__, __LINE__, "wrong data before the damage: %s", text);
        }
    } else {
        commit = dump_find(&dump, o, from, o->last);
        if (commit == UINT64_MAX) {
            dump_explain(&dump, o, o->last, text, sizeof text);
            trail_fail(__FILE__, __LINE__, "wrong data or entries gone in silence: %s", text);
        }
        p->cut += commit != o->last;
    }
    dump_deinit(&dump);
    for (size_t i = 0; i < o->count; i++) {
        if (!key_is_right(p, db, injury, i, commit))
            all = false;
    }
    return all;
}

static void note_line(void *context, const char *line)
{
    (void)context;
    trail_note("  reported: %s", line);
}

static void expect_repaired(struct patient *p, const struct vv_env *damaged)
{
    struct vv_db_world world = p->rig.world;
    struct dump dump = {.count = 0};
    varve *db = NULL;

    TRAIL_OK(vv_sim_image(damaged, vv_sim_call_count(damaged), VV_SIM_ALL, 0, &world.env));
    trail_note("  repair");
    TRAIL_OK(vv_db_repair(&world, p->rig.path, &p->rig.options, note_line, NULL));
    TRAIL_OK(vv_db_open(&world, p->rig.path, &p->rig.options, &db));
    TRAIL_OK(dump_read(db, NULL, &dump));
    for (size_t i = 0; i < dump.count; i++) {
        const struct dump_entry *entry = &dump.entries[i];
        if (!oracle_ever(&p->rig.oracle, entry->key, entry->hash, entry->size))
            trail_fail(__FILE__, __LINE__, "after repair, %s has a value it never had",
                       sample_text(entry->key));
    }
    TRAIL_OK(varve_put(db, VARVE_STR("repaired"), VARVE_STR("store")));
    TRAIL_OK(varve_close(db));
    TRAIL_OK(vv_db_open(&world, p->rig.path, &p->rig.options, &db));
    TRAIL_OK(varve_exists(db, VARVE_STR("repaired")));
    TRAIL_OK(varve_verify(db, note_line, NULL));
    TRAIL_OK(varve_close(db));
    dump_deinit(&dump);
    vv_env_sim_free(world.env);
}

enum thoroughness { QUICK, THOROUGH };

/* Opens the damaged store and reads all. `damaged` stays as it is. */
static void examine(struct patient *p, const struct vv_env *damaged, const struct injury *injury,
                    enum thoroughness how)
{
    struct vv_db_world world = p->rig.world;
    varve_options options = p->rig.options;
    varve *db = NULL;
    bool read_all = false;
    int rc;

    p->cases++;
    TRAIL_OK(vv_sim_image(damaged, vv_sim_call_count(damaged), VV_SIM_ALL, 0, &world.env));
    if (how == QUICK && p->cases % 2)
        options.mode = VARVE_MODE_READONLY;
    rc = vv_db_open(&world, p->rig.path, &options, &db);
    if (rc < 0) {
        if (rc != VARVE_CORRUPT)
            trail_fail(__FILE__, __LINE__, "opening gives %d: %s", rc, varve_last_error());
        expect_story(injury->names, injury->count);
        p->refused++;
    } else {
        read_all = expect_right_or_corrupt(p, db, injury);
        (void)varve_close(db);
    }
    p->corrupt += !read_all;
    p->whole_anyway += read_all;
    vv_env_sim_free(world.env);
    if (how == QUICK)
        return;
    TRAIL_OK(vv_sim_image(damaged, vv_sim_call_count(damaged), VV_SIM_ALL, 0, &world.env));
    rc = vv_db_check(&world, p->rig.path, &p->rig.options, note_line, NULL);
    if (!read_all)
        TRAIL_RC(rc, VARVE_CORRUPT);
    else
        TRAIL_CHECK(rc == VARVE_OK || rc == VARVE_CORRUPT);
    vv_env_sim_free(world.env);
    expect_repaired(p, damaged);
}

/* Logs may lose what nothing proves to have been synced: the newest all after `from`, which a caller
 * that takes whole records away must set to what is in tables; the others never what is proven. */
static struct injury injury_of(const struct patient *p, const char *name, uint64_t from)
{
    struct injury injury = {.names = {name}, .count = 1, .from = p->rig.oracle.last};
    uint64_t number;

    if (strcmp(name, p->newest_log) == 0)
        injury.from = from;
    else if (vv_name_parse(name, &number) == VV_NAME_WAL)
        injury.from = p->proven;
    return injury;
}

/* ---- flips */

static void flip_bytes(struct patient *p, uint64_t stride)
{
    struct vv_buf content = VV_BUF_INIT;
    struct vv_rng rng = vv_rng_of(test_seed());

    for (size_t f = 0; f < p->file_count; f++) {
        struct injury injury = injury_of(p, p->files[f], p->proven);
        size_t size = file_read(p, p->files[f], &content);
        struct vv_env *copy = patient_copy(p);

        for (size_t at = 0; at < size; at += 1 + vv_rng_below(&rng, 2 * stride - 1)) {
            uint8_t before = content.data[at];
            uint8_t bit = (uint8_t)(1u << vv_rng_below(&rng, 8));

            trail_begin("byte %zu of %s (%zu bytes) with bits %02x flipped; repeat with "
                        "VARVE_SEED=%" PRIu64,
                        at, p->files[f], size, bit, test_seed());
            content.data[at] ^= bit;
            file_write(p, copy, p->files[f], vv_buf_slice(&content));
            examine(p, copy, &injury, vv_rng_one_in(&rng, 24) ? THOROUGH : QUICK);
            content.data[at] = before;
        }
        vv_env_sim_free(copy);
    }
    vv_buf_deinit(&content);
}

TEST(a_flipped_byte_gives_right_data_or_corruption)
{
    struct patient p;

    trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
    patient_make(&p, VARVE_COMPRESSION_NONE, TAIL_UNSYNCED);
    flip_bytes(&p, test_soak() ? 1 : 3);
    CHECK(p.corrupt > 0);
    patient_deinit(&p);
}

TEST(a_flipped_byte_in_compressed_tables_gives_right_data_or_corruption)
{
    static const enum varve_compression codecs[] = {VARVE_COMPRESSION_LZ4, VARVE_COMPRESSION_ZSTD};

    for (int i = 0; i < 2; i++) {
        struct patient p;

        if (!vv_codec_available(i == 0 ? VV_CODEC_LZ4 : VV_CODEC_ZSTD))
            continue;
        trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
        patient_make(&p, codecs[i], TAIL_SYNCED);
        flip_bytes(&p, test_soak() ? 1 : 7);
        CHECK(p.corrupt > 0);
        patient_deinit(&p);
    }
}

/* ---- cuts */

TEST(a_file_cut_anywhere_gives_right_data_or_corruption)
{
    struct vv_buf content = VV_BUF_INIT;
    struct vv_rng rng = vv_rng_of(test_seed());
    struct patient p;

    trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
    patient_make(&p, VARVE_COMPRESSION_DEFAULT, TAIL_UNSYNCED);
    for (size_t f = 0; f < p.file_count; f++) {
        struct injury injury = injury_of(&p, p.files[f], p.flushed);
        size_t size = file_read(&p, p.files[f], &content);
        struct vv_env *copy = patient_copy(&p);
        size_t stride = test_soak() ? 1 : 1 + size / 150;

        for (size_t left = 0; left < size;
             left += left < 40 || left + 40 > size ? 1 : 1 + vv_rng_below(&rng, 2 * stride)) {
            trail_begin("%s cut from %zu to %zu bytes; repeat with VARVE_SEED=%" PRIu64, p.files[f],
                        size, left, test_seed());
            file_write(&p, copy, p.files[f], vv_slice_of(content.data, left));
            examine(&p, copy, &injury, vv_rng_one_in(&rng, 16) ? THOROUGH : QUICK);
        }
        vv_env_sim_free(copy);
    }
    vv_buf_deinit(&content);
    CHECK(p.corrupt > 0);
    patient_deinit(&p);
}

/* ---- sectors */

TEST(a_zeroed_sector_gives_right_data_or_corruption)
{
    struct vv_buf content = VV_BUF_INIT;
    struct patient p;

    trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
    patient_make(&p, VARVE_COMPRESSION_DEFAULT, TAIL_SYNCED);
    for (size_t f = 0; f < p.file_count; f++) {
        struct injury injury = injury_of(&p, p.files[f], p.flushed);
        size_t size = file_read(&p, p.files[f], &content);
        struct vv_env *copy = patient_copy(&p);

        for (size_t at = 0; at < size; at += test_soak() ? 64 : SECTOR) {
            size_t count = size - at < SECTOR ? size - at : SECTOR;
            uint8_t before[SECTOR];

            trail_begin("%s with zeros at %zu; repeat with VARVE_SEED=%" PRIu64, p.files[f], at,
                        test_seed());
            memcpy(before, content.data + at, count);
            memset(content.data + at, 0, count);
            file_write(&p, copy, p.files[f], vv_buf_slice(&content));
            examine(&p, copy, &injury, THOROUGH);
            memcpy(content.data + at, before, count);
        }
        vv_env_sim_free(copy);
    }
    vv_buf_deinit(&content);
    CHECK(p.corrupt > 0);
    patient_deinit(&p);
}

/* ---- whole files */

static bool same_kind(const char *a, const char *b)
{
    uint64_t number;

    return vv_name_parse(a, &number) == vv_name_parse(b, &number);
}

TEST(files_that_changed_places_give_right_data_or_corruption)
{
    struct vv_buf contents[2] = {VV_BUF_INIT, VV_BUF_INIT};
    struct patient p;

    trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
    patient_make(&p, VARVE_COMPRESSION_NONE, TAIL_SYNCED);
    for (size_t a = 0; a < p.file_count; a++) {
        for (size_t b = 0; b < p.file_count; b++) {
            struct injury injury = {
                .names = {p.files[a], p.files[b]}, .count = 2, .from = p.rig.oracle.last};
            struct vv_env *copy;

            if (a == b || (!same_kind(p.files[a], p.files[b]) && !test_soak() && a % 3 != b % 3))
                continue;
            trail_begin("%s and %s swapped", p.files[a], p.files[b]);
            copy = patient_copy(&p);
            (void)file_read(&p, p.files[a], &contents[0]);
            (void)file_read(&p, p.files[b], &contents[1]);
            file_write(&p, copy, p.files[a], vv_buf_slice(&contents[1]));
            file_write(&p, copy, p.files[b], vv_buf_slice(&contents[0]));
            examine(&p, copy, &injury, THOROUGH);
            vv_env_sim_free(copy);
        }
    }
    vv_buf_deinit(&contents[0]);
    vv_buf_deinit(&contents[1]);
    CHECK(p.corrupt > 0);
    patient_deinit(&p);
}

TEST(a_missing_file_gives_right_data_or_corruption)
{
    struct patient p;

    trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
    patient_make(&p, VARVE_COMPRESSION_NONE, TAIL_SYNCED);
    for (size_t f = 0; f < p.file_count; f++) {
        struct injury injury = injury_of(&p, p.files[f], p.flushed);
        struct vv_env *copy = patient_copy(&p);
        char path[400];

        trail_begin("%s is missing", p.files[f]);
        path_in(&p, p.files[f], path, sizeof path);
        TRAIL_OK(vv_env_remove(copy, path));
        TRAIL_OK(vv_env_sync_dir(copy, p.rig.path));
        examine(&p, copy, &injury, THOROUGH);
        vv_env_sim_free(copy);
    }
    CHECK(p.corrupt > 0);
    patient_deinit(&p);
}

/* One file as it was earlier in the store's life, the others as they are: a lost write, or a backup
 * that was put back in part. */
TEST(an_older_version_of_one_file_gives_right_data_or_corruption)
{
    struct vv_buf content = VV_BUF_INIT;
    struct vv_buf present = VV_BUF_INIT;
    struct patient p;
    uint64_t calls;

    trail_begin("building; repeat with VARVE_SEED=%" PRIu64, test_seed());
    patient_make(&p, VARVE_COMPRESSION_NONE, TAIL_SYNCED);
    calls = rig_calls(&p.rig);
    for (uint64_t n = calls / 4; n < calls; n += test_soak() ? 1 : 3) {
        struct vv_env *older = NULL;

        TRAIL_OK(vv_sim_image(p.rig.world.env, n, VV_SIM_ALL, 0, &older));
        for (size_t f = 0; f < p.file_count; f++) {
            struct injury injury = injury_of(&p, p.files[f], p.flushed);
            struct vv_env *copy;
            char path[400];
            int rc;

            path_in(&p, p.files[f], path, sizeof path);
            content.size = 0;
            rc = vv_sim_read_file(older, path, &content);
            (void)file_read(&p, p.files[f], &present);
            if (rc != VV_OK || vv_slice_equal(vv_buf_slice(&content), vv_buf_slice(&present)))
                continue;
            trail_begin("%s as it was after call %" PRIu64 " of %" PRIu64
                        "; repeat with VARVE_SEED=%" PRIu64,
                        p.files[f], n, calls, test_seed());
            copy = patient_copy(&p);
            file_write(&p, copy, p.files[f], vv_buf_slice(&content));
            examine(&p, copy, &injury, THOROUGH);
            vv_env_sim_free(copy);
        }
        vv_env_sim_free(older);
    }
    vv_buf_deinit(&content);
    vv_buf_deinit(&present);
    CHECK(p.cases > 0);
    patient_deinit(&p);
}
