/*
 * The feed of changes: every commit, once, in order, from where one wants; or a clear word that it is
 * not to be had.
 */
#include "db/store.h"
#include "env/posix.h"
#include "env/thread.h"
#include "harness/replica.h"
#include "harness/test.h"
#include "harness/trail.h"
#include "lsm/names.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char store[512]; /* where the test's is */

static void fresh(void)
{
    (void)snprintf(store, sizeof store, "%s/store", test_tmpdir());
}

static varve *open_with(const char *text)
{
    varve_options options = VARVE_OPTIONS_INIT;
    varve *db = NULL;
    CHECK_OK(varve_options_set(&options, text));
    CHECK_OK(varve_open(store, &options, &db));
    return db;
}

static void put(varve *db, const char *key, const char *value)
{
    CHECK_OK(varve_put(db, VARVE_STR(key), VARVE_STR(value)));
}

static uint64_t sequence(varve *db)
{
    varve_stats stats = {.size = sizeof stats};
    CHECK_OK(varve_get_stats(db, &stats));
    return stats.sequence;
}

struct text {
    char bytes[1024];
    size_t size;
};

static void say(struct text *text, const char *what, varve_slice bytes)
{
    int size = snprintf(text->bytes + text->size, sizeof text->bytes - text->size, "%s%.*s", what,
                        (int)bytes.size, (const char *)bytes.data);
    CHECK(size >= 0 && (size_t)size < sizeof text->bytes - text->size);
    text->size += (size_t)size;
}

/* Changes as text, "put a=1 delete b …", keyspaces by number and long values by their size. */
static int print(void *context, const varve_change *change)
{
    static const char *const names[] = {"?", "put ", "delete ", "range ", "merge "};
    struct text *text = context;
    char number[32] = "";
    say(text, text->size > 0 ? " " : "", VARVE_STR(names[change->kind]));
    if (change->keyspace > 0)
        (void)snprintf(number, sizeof number, "%u:", change->keyspace);
    say(text, number, change->key);
    if (change->kind == VARVE_CHANGE_DELETE)
        return 0;
    (void)snprintf(number, sizeof number, "%zu bytes", change->value.size);
    say(text, "=", change->value.size > 100 ? VARVE_STR(number) : change->value);
    return 0;
}

static const char *shown(varve_changes *changes)
{
    static struct text text;
    text = (struct text){.size = 0};
    CHECK_OK(varve_changes_each(changes, print, &text));
    return text.bytes;
}

TEST(a_feed_shows_each_commit_once_and_in_order)
{
    fresh();
    varve *db = open_with("changes_keep=1M");
    varve_changes *changes;
    varve_commit commit;
    varve_keyspace *ks;
    varve_batch *batch;

    CHECK_OK(varve_keyspace_create(db, "more", NULL, &ks));
    put(db, "a", "1");
    CHECK_OK(varve_batch_new(&batch));
    CHECK_OK(varve_batch_put(batch, VARVE_STR("b"), VARVE_STR("2")));
    CHECK_OK(varve_batch_put_in(batch, ks, VARVE_STR("c"), VARVE_STR("3")));
    CHECK_OK(varve_batch_delete_range(batch, VARVE_STR("a"), VARVE_STR("b")));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
    CHECK_OK(varve_changes_open(db, 0, &changes));
    CHECK_RC(varve_changes_each(changes, print, NULL), VARVE_INVALID);
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_EQ_U64(commit.first, 1);
    CHECK_EQ_U64(commit.count, 1);
    CHECK_EQ_STR(shown(changes), "put a=1");
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_EQ_U64(commit.first, 2);
    CHECK_EQ_U64(commit.count, 3);
    CHECK_EQ_STR(shown(changes), "put b=2 put 1:c=3 range a=b");
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
    CHECK_RC(varve_changes_each(changes, print, NULL), VARVE_INVALID);
    CHECK_RC(varve_changes_wait(changes, 1), VARVE_END);
    CHECK_OK(varve_delete(db, VARVE_STR("b")));
    CHECK_OK(varve_changes_wait(changes, 1));
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_EQ_STR(shown(changes), "delete b");
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
    varve_changes_close(changes);
    CHECK_OK(varve_close(db));
}

TEST(a_feed_begins_with_the_commit_that_holds_the_sequence)
{
    fresh();
    varve *db = open_with("changes_keep=1M");
    varve_changes *changes;
    varve_commit commit;
    varve_batch *batch;

    put(db, "a", "1");
    CHECK_OK(varve_batch_new(&batch));
    for (int i = 0; i < 3; i++)
        CHECK_OK(varve_batch_put(batch, VARVE_STR("b"), VARVE_STR("2")));
    CHECK_OK(varve_write(db, batch, NULL));
    varve_batch_free(batch);
    put(db, "c", "3");
    for (uint64_t from = 0; from < 8; from++) {
        CHECK_OK(varve_changes_open(db, from, &changes));
        if (from > 5) {
            CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
        } else {
            CHECK_OK(varve_changes_next(changes, &commit));
            CHECK_EQ_U64(commit.first, from < 2 ? 1 : from < 5 ? 2 : 5);
        }
        varve_changes_close(changes);
    }
    CHECK_OK(varve_changes_open(db, 8, &changes));
    put(db, "six", "");
    put(db, "seven", "");
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
    put(db, "eight", "");
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_EQ_STR(shown(changes), "put eight=");
    varve_changes_close(changes);
    CHECK_OK(varve_close(db));
}

static uint64_t noon(void *context)
{
    (void)context;
    return 1000000;
}

static int check_expiry(void *context, const varve_change *change)
{
    (void)context;
    CHECK_EQ_INT(change->kind, VARVE_CHANGE_PUT);
    CHECK_EQ_U64(change->expires_ms, 1000500);
    CHECK_EQ_U64(change->ttl_ms, 0);
    CHECK_EQ_U64(change->value.size, 6000);
    return 0;
}

static int check_operand(void *context, const varve_change *change)
{
    (void)context;
    CHECK_EQ_INT(change->kind, VARVE_CHANGE_MERGE);
    CHECK_EQ_U64(change->expires_ms, 0);
    CHECK_EQ_U64(change->value.size, 8);
    return 0;
}

/* Once in the value log, once in the log. */
TEST(a_feed_says_when_a_value_expires_and_shows_operands)
{
    for (int i = 0; i < 2; i++) {
        fresh();
        static char large[6000];
        varve_options options = VARVE_OPTIONS_INIT;
        varve_changes *changes;
        varve_commit commit;
        varve *db;
        int64_t one = 1;
        options.clock = noon;
        CHECK_OK(
            varve_options_set(&options, i > 0 ? "merge=add_i64,changes_keep=1M" : "merge=add_i64"));
        CHECK_OK(varve_open(store, &options, &db));
        CHECK_OK(varve_put_ttl(db, VARVE_STR("k"), varve_bytes(large, sizeof large), 500));
        CHECK_OK(varve_merge(db, VARVE_STR("n"), varve_bytes(&one, sizeof one)));
        CHECK_OK(varve_changes_open(db, 1, &changes));
        CHECK_OK(varve_changes_next(changes, &commit));
        CHECK_OK(varve_changes_each(changes, check_expiry, NULL));
        CHECK_OK(varve_changes_next(changes, &commit));
        CHECK_OK(varve_changes_each(changes, check_operand, NULL));
        varve_changes_close(changes);
        CHECK_OK(varve_close(db));
    }
}

TEST(what_the_log_has_no_more_is_said_to_be_missing)
{
    fresh();
    varve *db = open_with("");
    varve_changes *changes, *behind;
    varve_commit commit;

    put(db, "a", "1");
    CHECK_OK(varve_changes_open(db, 1, &behind));
    CHECK_OK(varve_flush(db));
    put(db, "b", "1");
    CHECK_OK(varve_flush(db));
    CHECK_RC(varve_changes_open(db, 1, &changes), VARVE_MISSING);
    CHECK(strstr(varve_last_error(), "history before sequence 3 is gone") != NULL);
    CHECK_OK(varve_changes_open(db, 3, &changes));
    varve_changes_close(changes);
    /* It had its log open, and finds what is in there; but not the next log. */
    CHECK_OK(varve_changes_next(behind, &commit));
    CHECK_EQ_U64(commit.first, 1);
    CHECK_RC(varve_changes_next(behind, &commit), VARVE_MISSING);
    varve_changes_close(behind);
    CHECK_OK(varve_close(db));
}

TEST(a_store_without_a_log_has_no_feed)
{
    fresh();
    varve_options options = VARVE_OPTIONS_INIT;
    varve_changes *changes;
    varve *db = open_with("durability=none");

    CHECK_RC(varve_changes_open(db, 1, &changes), VARVE_UNSUPPORTED);
    CHECK(strstr(varve_last_error(), "'none'") != NULL);
    put(db, "a", "1");
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_options_set(&options, "durability=none,changes_keep=1M"));
    CHECK_RC(varve_open(store, &options, &db), VARVE_INVALID);
    db = open_with("mode=readonly");
    CHECK_RC(varve_changes_open(db, 1, &changes), VARVE_UNSUPPORTED);
    CHECK_OK(varve_close(db));
}

/* What a life without a log has written is in no log; not to say so would be to skip it. */
TEST(a_life_without_a_log_is_a_hole_in_history)
{
    fresh();
    varve_changes *changes;
    varve_commit commit;
    varve *db = open_with("changes_keep=1M");
    put(db, "a", "1");
    CHECK_OK(varve_close(db));
    db = open_with("durability=none");
    put(db, "b", "1");
    CHECK_OK(varve_close(db));
    db = open_with("changes_keep=1M");
    put(db, "c", "1");
    uint64_t last = sequence(db);
    int rc = varve_changes_open(db, 1, &changes);
    if (rc == VARVE_OK) {
        CHECK_OK(varve_changes_next(changes, &commit));
        CHECK_RC(varve_changes_next(changes, &commit), VARVE_MISSING);
        varve_changes_close(changes);
    } else {
        CHECK_RC(rc, VARVE_MISSING);
    }
    CHECK_OK(varve_changes_open(db, last, &changes));
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_EQ_STR(shown(changes), "put c=1");
    varve_changes_close(changes);
    CHECK_OK(varve_close(db));
}

/* A bulk goes around the log. */
TEST(a_bulk_is_a_hole_in_history)
{
    fresh();
    varve_changes *ahead, *behind, *after;
    varve_commit commit;
    varve_bulk *bulk;
    varve *db = open_with("changes_keep=1M");
    put(db, "a", "1");
    CHECK_OK(varve_changes_open(db, 1, &ahead));
    CHECK_OK(varve_changes_next(ahead, &commit));
    CHECK_OK(varve_bulk_begin(db, NULL, &bulk));
    CHECK_OK(varve_bulk_put(bulk, VARVE_STR("b"), VARVE_STR("2")));
    CHECK_OK(varve_bulk_commit(bulk));
    varve_bulk_end(bulk);
    CHECK_RC(varve_changes_next(ahead, &commit), VARVE_MISSING);
    uint64_t seen = sequence(db);
    CHECK_OK(varve_changes_open(db, 1, &behind));
    CHECK_OK(varve_changes_open(db, seen + 1, &after));
    CHECK_RC(varve_changes_next(after, &commit), VARVE_END);
    put(db, "c", "3");
    CHECK_RC(varve_changes_next(ahead, &commit), VARVE_MISSING);
    CHECK_OK(varve_changes_next(behind, &commit));
    CHECK_EQ_STR(shown(behind), "put a=1");
    CHECK_RC(varve_changes_next(behind, &commit), VARVE_MISSING);
    CHECK_OK(varve_changes_next(after, &commit));
    CHECK_EQ_STR(shown(after), "put c=3");
    varve_changes_close(ahead);
    varve_changes_close(behind);
    varve_changes_close(after);
    CHECK_OK(varve_close(db));
}

TEST(large_values_are_in_the_feed_when_they_are_long_overwritten)
{
    fresh();
    static char large[20000];
    varve *db = open_with("changes_keep=64M,value_log_min=256");
    varve_changes *changes;
    varve_commit commit;

    for (int i = 0; i < 30; i++) {
        CHECK_OK(varve_put(db, VARVE_STR("k"), varve_bytes(large, sizeof large)));
        if (i % 3 == 0)
            CHECK_OK(varve_flush(db));
    }
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_settle(db));
    CHECK_OK(varve_changes_open(db, 1, &changes));
    for (int i = 0; i < 30; i++) {
        CHECK_OK(varve_changes_next(changes, &commit));
        CHECK_EQ_STR(shown(changes), "put k=20000 bytes");
    }
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
    varve_changes_close(changes);
    CHECK_OK(varve_close(db));
}

/* Beside the writer's references, of which some have lost their value. */
TEST(a_value_that_was_not_kept_and_is_gone_is_missing)
{
    fresh();
    static char large[20000];
    varve *db = open_with("value_log_min=256");
    varve_changes *changes;
    varve_commit commit;
    struct text text = {.size = 0};

    CHECK_OK(varve_put(db, VARVE_STR("k"), varve_bytes(large, sizeof large)));
    CHECK_OK(varve_changes_open(db, 1, &changes));
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_EQ_STR(shown(changes), "put k=20000 bytes");
    CHECK_OK(varve_delete(db, VARVE_STR("k")));
    CHECK_OK(varve_flush(db));
    CHECK_OK(varve_compact(db, varve_bytes(NULL, 0), varve_bytes(NULL, 0)));
    CHECK_OK(varve_settle(db));
    CHECK_RC(varve_changes_each(changes, print, &text), VARVE_MISSING);
    varve_changes_close(changes);
    CHECK_OK(varve_close(db));
}

/* ---- what is kept */

static uint64_t bytes_of(const char *suffix, uint64_t *count)
{
    struct vv_buf names = VV_BUF_INIT;
    uint64_t bytes = 0;
    *count = 0;
    CHECK_OK(vv_env_list(vv_env_posix(), store, &names));
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        char path[1024];
        struct stat info;
        (void)snprintf(path, sizeof path, "%s/%s", store, name);
        if (strstr(name, suffix) != NULL && stat(path, &info) == 0) {
            bytes += (uint64_t)info.st_size;
            ++*count;
        }
        at += strlen(name) + 1;
    }
    vv_buf_deinit(&names);
    return bytes;
}

TEST(no_more_is_kept_than_was_asked_for)
{
    fresh();
    static const char *const options[] = {"changes_keep=100K,memory_budget=4M",
                                          "changes_keep=100K,memory_budget=4M,durability=disk"};
    static char value[3000];
    varve_changes *changes;
    uint64_t count;

    for (int i = 0; i < 2; i++) {
        varve *db = open_with(options[i]);
        for (int k = 0; k < 200; k++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%d", k % 50);
            CHECK_OK(varve_put(db, VARVE_STR(key), varve_bytes(value, sizeof value)));
            if (k % 7 == 0) {
                CHECK_OK(varve_flush(db));
                CHECK(bytes_of(".kept", &count) <= 100 << 10);
            }
        }
        CHECK(count > 1);
        CHECK_RC(varve_changes_open(db, 1, &changes), VARVE_MISSING);
        CHECK_OK(varve_changes_open(db, sequence(db) - 20, &changes));
        varve_changes_close(changes);
        CHECK_OK(varve_close(db));
    }
    varve *db = open_with("changes_keep=30K");
    CHECK(bytes_of(".kept", &count) <= 30 << 10);
    CHECK(count > 0);
    CHECK_OK(varve_close(db));
    db = open_with("");
    CHECK_EQ_U64(bytes_of(".kept", &count), 0);
    CHECK_OK(varve_close(db));
}

TEST(a_feed_goes_on_after_a_restart)
{
    fresh();
    uint64_t known = 0;
    for (int life = 0; life < 12; life++) {
        varve *db =
            open_with(life % 3 == 2 ? "changes_keep=16M,durability=disk" : "changes_keep=16M");
        varve_changes *changes;
        varve_commit commit;
        uint64_t seen = 0;
        for (int i = 0; i < 20; i++)
            put(db, "k", "v");
        if (life % 2 == 0)
            CHECK_OK(varve_flush(db));
        CHECK_OK(varve_changes_open(db, known + 1, &changes));
        while (varve_changes_next(changes, &commit) == VARVE_OK) {
            CHECK(commit.first > known);
            known = commit.first;
            seen++;
        }
        CHECK_EQ_U64(seen, 20);
        varve_changes_close(changes);
        CHECK_OK(varve_changes_open(db, 1, &changes));
        for (seen = 0; varve_changes_next(changes, &commit) == VARVE_OK;)
            seen++;
        CHECK_EQ_U64(seen, 20 * (uint64_t)(life + 1));
        varve_changes_close(changes);
        CHECK_OK(varve_close(db));
    }
}

TEST(a_closed_store_closes_its_feeds)
{
    fresh();
    varve *db = open_with("");
    varve_changes *changes;
    varve_commit commit;
    put(db, "a", "1");
    CHECK_OK(varve_changes_open(db, 1, &changes));
    CHECK_OK(varve_changes_next(changes, &commit));
    CHECK_OK(varve_close(db));
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_CLOSED);
    CHECK_RC(varve_changes_each(changes, print, NULL), VARVE_CLOSED);
    CHECK_RC(varve_changes_wait(changes, UINT32_MAX), VARVE_CLOSED);
    varve_changes_close(changes);
    varve_changes_close(NULL);
}

TEST(damage_in_a_log_is_told_with_file_and_offset)
{
    fresh();
    varve *db = open_with("changes_keep=1M,durability=disk");
    varve_changes *changes;
    varve_commit commit;
    struct vv_buf names = VV_BUF_INIT;
    char path[1024] = "";
    int rc = VARVE_OK;

    for (int i = 0; i < 50; i++)
        put(db, "key", "value");
    CHECK_OK(varve_flush(db));
    CHECK_OK(vv_env_list(vv_env_posix(), store, &names));
    for (size_t at = 0; at < names.size; at += strlen((const char *)names.data + at) + 1) {
        if (strstr((const char *)names.data + at, ".kept") != NULL)
            (void)snprintf(path, sizeof path, "%s/%s", store, (const char *)names.data + at);
    }
    vv_buf_deinit(&names);
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL);
    CHECK(fseek(file, 1000, SEEK_SET) == 0 && fputc(0xa5, file) == 0xa5 && fclose(file) == 0);
    CHECK_OK(varve_changes_open(db, 1, &changes));
    while (rc == VARVE_OK)
        rc = varve_changes_next(changes, &commit);
    CHECK_RC(rc, VARVE_CORRUPT);
    CHECK(strstr(varve_last_error(), ".kept") != NULL);
    CHECK(strstr(varve_last_error(), "offset") != NULL);
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_CORRUPT);
    CHECK_RC(varve_verify(db, NULL, NULL), VARVE_CORRUPT);
    varve_changes_close(changes);
    CHECK_OK(varve_close(db));
    CHECK_OK(varve_repair(store, NULL, NULL, NULL));
    db = open_with("changes_keep=1M");
    CHECK_RC(varve_changes_open(db, 1, &changes), VARVE_MISSING);
    CHECK_OK(varve_close(db));
}

/* ---- readers */

TEST(a_reader_follows_with_each_refresh)
{
    fresh();
    varve *writer = open_with("changes_keep=1M");
    put(writer, "a", "1");
    varve *reader = open_with("mode=readonly");
    varve_changes *changes;
    varve_commit commit;

    CHECK_OK(varve_changes_open(reader, 1, &changes));
    CHECK_OK(varve_changes_next(changes, &commit));
    put(writer, "b", "1");
    for (int round = 0; round < 10; round++) {
        put(writer, "c", "1");
        CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
        CHECK_RC(varve_changes_wait(changes, 0), VARVE_END);
        if (round % 2 == 0)
            CHECK_OK(varve_flush(writer));
        CHECK_OK(varve_refresh(reader));
        CHECK_OK(varve_changes_wait(changes, 0));
        for (int i = round == 0 ? 2 : 1; i > 0; i--)
            CHECK_OK(varve_changes_next(changes, &commit));
        CHECK_EQ_STR(shown(changes), "put c=1");
    }
    CHECK_EQ_U64(commit.first, sequence(writer));
    varve_changes_close(changes);
    CHECK_OK(varve_close(reader));
    CHECK_OK(varve_close(writer));
}

/* ---- threads */

enum { WRITERS = 3, COMMITS = 1500, FEEDS = 2 };

struct scene {
    varve *db;
    _Atomic(unsigned) names;
};

/* Each commit has two changes, of the writer's own number. */
static void write_pairs(void *arg)
{
    struct scene *scene = arg;
    char key[16];
    varve_batch *batch;
    static char padding[700];
    (void)snprintf(key, sizeof key, "w%u", atomic_fetch_add(&scene->names, 1));
    CHECK_OK(varve_batch_new(&batch));
    for (unsigned i = 1; i <= COMMITS; i++) {
        varve_batch_clear(batch);
        CHECK_OK(varve_batch_put(batch, VARVE_STR(key), varve_bytes(&i, sizeof i)));
        CHECK_OK(varve_batch_put(batch, VARVE_STR("pad"), varve_bytes(padding, sizeof padding)));
        CHECK_OK(varve_write(scene->db, batch, NULL));
        if (i % 400 == 0)
            CHECK_OK(varve_flush(scene->db));
    }
    varve_batch_free(batch);
}

struct reading {
    unsigned last[WRITERS];
    unsigned pairs;
};

static int read_pair(void *context, const varve_change *change)
{
    struct reading *r = context;
    unsigned number;
    const char *key = change->key.data;
    if (key[0] != 'w')
        return 0;
    memcpy(&number, change->value.data, sizeof number);
    CHECK(number == r->last[key[1] - '0'] + 1);
    r->last[key[1] - '0'] = number;
    r->pairs++;
    return 0;
}

static void read_pairs(void *arg)
{
    struct scene *scene = arg;
    struct reading r = {.pairs = 0};
    varve_changes *changes;
    varve_commit commit;
    uint64_t known = 0;
    CHECK_OK(varve_changes_open(scene->db, 1, &changes));
    while (r.pairs < WRITERS * COMMITS) {
        int rc = varve_changes_next(changes, &commit);
        if (rc == VARVE_END) {
            CHECK_OK(varve_changes_wait(changes, UINT32_MAX));
            continue;
        }
        CHECK_OK(rc);
        CHECK_EQ_U64(commit.first, known + 1);
        CHECK_EQ_U64(commit.count, 2);
        known = commit.first + 1;
        CHECK_OK(varve_changes_each(changes, read_pair, &r));
        /* What the feed shows, reads see. */
        varve_pinned pinned;
        CHECK_OK(varve_get(scene->db, VARVE_STR("pad"), &pinned));
        varve_unpin(&pinned);
    }
    varve_changes_close(changes);
}

TEST(feeds_beside_writers_show_all_that_they_write)
{
    fresh();
    static const char *const options[] = {"changes_keep=64M,memory_budget=4M",
                                          "changes_keep=64M,memory_budget=4M,durability=disk"};
    for (int i = 0; i < (test_soak() ? 2 : 1); i++) {
        struct scene scene = {.db = open_with(options[i])};
        struct vv_thread *threads[WRITERS + FEEDS];
        for (int t = 0; t < WRITERS + FEEDS; t++)
            CHECK_OK(vv_thread_start("test", 0, t < WRITERS ? write_pairs : read_pairs, &scene,
                                     &threads[t]));
        for (int t = 0; t < WRITERS + FEEDS; t++)
            vv_thread_join(threads[t]);
        CHECK_OK(varve_close(scene.db));
        CHECK_OK(varve_destroy(store));
    }
}

static void wait_for_ever(void *arg)
{
    struct scene *scene = arg;
    varve_changes *changes;
    varve_commit commit;
    CHECK_OK(varve_changes_open(scene->db, 1, &changes));
    CHECK_RC(varve_changes_next(changes, &commit), VARVE_END);
    (void)atomic_fetch_add(&scene->names, 1);
    CHECK_RC(varve_changes_wait(changes, UINT32_MAX), VARVE_CLOSED);
    varve_changes_close(changes);
}

TEST(closing_ends_who_waits)
{
    fresh();
    struct scene scene = {.db = open_with("")};
    struct vv_thread *thread;
    CHECK_OK(vv_thread_start("test", 0, wait_for_ever, &scene, &thread));
    while (atomic_load(&scene.names) == 0)
        vv_env_sleep_us(vv_env_posix(), 1000);
    vv_env_sleep_us(vv_env_posix(), 10000);
    CHECK_OK(varve_close(scene.db));
    vv_thread_join(thread);
}

/* ---- kill -9 */

static void write_until_killed(int told)
{
    varve *db = open_with("changes_keep=64M,memory_budget=4M");
    static char padding[500];
    for (uint64_t i = sequence(db) + 1;; i++) {
        CHECK_OK(varve_put(db, varve_bytes(&i, sizeof i), varve_bytes(padding, sizeof padding)));
        CHECK(write(told, &i, sizeof i) == sizeof i);
    }
}

/* The key of each change is its sequence number. */
static int check_number(void *context, const varve_change *change)
{
    const uint64_t *first = context;
    CHECK_BYTES(change->key.data, change->key.size, first, sizeof *first);
    return 0;
}

TEST(a_feed_has_all_that_a_killed_process_wrote)
{
    fresh();
    uint64_t told = 0;
    for (int round = 0; round < 4; round++) {
        int ends[2];
        uint64_t number;
        CHECK(pipe(ends) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            write_until_killed(ends[1]);
        }
        (void)close(ends[1]);
        uint64_t until = told + 3000;
        while (told < until && read(ends[0], &number, sizeof number) == sizeof number)
            told = number;
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, NULL, 0) == child);
        while (read(ends[0], &number, sizeof number) == sizeof number)
            told = number;
        (void)close(ends[0]);

        varve *db = open_with("changes_keep=64M,memory_budget=4M");
        varve_changes *changes;
        varve_commit commit = {0, 0};
        uint64_t known = 0;
        CHECK_OK(varve_changes_open(db, 1, &changes));
        while (varve_changes_next(changes, &commit) == VARVE_OK) {
            CHECK_EQ_U64(commit.first, ++known);
            CHECK_OK(varve_changes_each(changes, check_number, &commit.first));
        }
        CHECK(known >= told);
        CHECK_EQ_U64(known, sequence(db));
        told = known;
        varve_changes_close(changes);
        CHECK_OK(varve_close(db));
    }
}

/* ---- writes that fail */

TEST(what_was_refused_is_not_in_the_feed)
{
    static const enum vv_sim_fault faults[] = {VV_SIM_FAULT_IO, VV_SIM_FAULT_FULL,
                                               VV_SIM_FAULT_SHORT};
    struct rig r;
    struct replica replica = {.known = 0};

    trail_begin("each call fails; repeat with VARVE_SEED=%" PRIu64, test_seed());
    for (uint64_t fail_at = 1; fail_at < 120; fail_at++) {
        rig_init_sim(&r, test_seed());
        r.options.changes_keep = 1 << 30;
        TRAIL_OK(rig_open(&r));
        TRAIL_OK(rig_put(&r, "first", 50, VARVE_DURABILITY_DEFAULT));
        TRAIL_OK(replica_open(&replica, r.db));
        TRAIL_RC(replica_follow(&replica, &r), VARVE_END);
        vv_sim_fail_at(r.world.env, 1 + fail_at / 3, faults[fail_at % 3], false);
        for (int i = 0; i < 12; i++) {
            (void)rig_put(&r, i % 2 ? "a" : "b", 300,
                          i % 4 ? VARVE_DURABILITY_DEFAULT : VARVE_DURABILITY_DISK);
            TRAIL_RC(replica_follow(&replica, &r), VARVE_END);
            TRAIL_CHECK(replica_shows(&replica, &r, rig_visible(&r)));
        }
        replica_deinit(&replica);
        rig_deinit(&r);
    }
}
