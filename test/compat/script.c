/*
 * One random script of operations on LevelDB's C API; prints what every call answers.
 *
 *     script DIRECTORY SEED STEPS
 *
 * Built twice, against LevelDB and against varve's drop-in, it must print the same bytes. Of error
 * texts that the two word differently only the kind is printed.
 */
#include "program.h"

#include <inttypes.h>

enum { KEYS = 300, HELD = 3, VALUE_MAX = 30000 };

static struct {
    const char *path;
    uint64_t rng;
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_comparator_t *backward;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write;
    const leveldb_snapshot_t *snapshots[HELD];
    leveldb_iterator_t *iters[HELD];
    char key[64], value[VALUE_MAX];
    size_t key_size, value_size;
} s;

static uint64_t draw(uint64_t below)
{
    s.rng ^= s.rng << 13;
    s.rng ^= s.rng >> 7;
    s.rng ^= s.rng << 17;
    return (s.rng >> 11) % below;
}

/* ---- printing */

static void print_bytes(const char *bytes, size_t size)
{
    uint64_t sum = 14695981039346656037u;
    if (bytes == NULL) {
        printf(" none");
        return;
    }
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * 1099511628211u;
    printf(" %zu:%016" PRIx64, size, sum);
    for (size_t i = 0; i < size && i < 12; i++)
        printf("%c", bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?');
}

static void print_kind(char **error)
{
    if (*error == NULL)
        printf(" fine");
    else
        printf(" %.*s", (int)strcspn(*error, ":"), *error);
    leveldb_free(*error);
    *error = NULL;
}

static void print_error(char **error)
{
    printf(" %s", *error != NULL ? *error : "fine");
    leveldb_free(*error);
    *error = NULL;
}

static void print_iter(const leveldb_iterator_t *it)
{
    char *error = NULL;
    printf(" %d", leveldb_iter_valid(it));
    if (leveldb_iter_valid(it)) {
        size_t key_size, value_size;
        const char *key = leveldb_iter_key(it, &key_size);
        const char *value = leveldb_iter_value(it, &value_size);
        print_bytes(key, key_size);
        print_bytes(value, value_size);
    }
    leveldb_iter_get_error(it, &error);
    print_error(&error);
}

/* ---- drawing */

static void draw_key(void)
{
    static const char *const beginnings[] = {"", "key", "\xff\xff", "a/long/common/prefix/"};
    uint64_t n = draw(KEYS);
    s.key_size = 0; /* the empty key is a key */
    if (n > 0)
        s.key_size = (size_t)snprintf(s.key, sizeof s.key, "%s%03" PRIu64, beginnings[n % 4], n);
    if (n % 17 == 0 && n > 0)
        s.key[s.key_size / 2] = 0;
}

static void draw_value(void)
{
    uint64_t kind = draw(100);
    uint64_t most = kind < 10 ? 1 : kind < 80 ? 100 : kind < 97 ? 5000 : VALUE_MAX;
    s.value_size = (size_t)draw(most);
    for (size_t i = 0; i < s.value_size; i++)
        s.value[i] = (char)draw(256);
}

/* ---- steps */

static void do_put(void)
{
    char *error = NULL;
    draw_key();
    draw_value();
    leveldb_writeoptions_set_sync(s.write, draw(50) == 0);
    leveldb_put(s.db, s.write, s.key, s.key_size, s.value, s.value_size, &error);
    print_error(&error);
}

static void do_delete(void)
{
    char *error = NULL;
    draw_key();
    leveldb_delete(s.db, s.write, s.key, s.key_size, &error);
    print_error(&error);
}

static void print_put(void *state, const char *k, size_t klen, const char *v, size_t vlen)
{
    ++*(int *)state;
    printf(" +");
    print_bytes(k, klen);
    print_bytes(v, vlen);
}

static void print_deleted(void *state, const char *k, size_t klen)
{
    ++*(int *)state;
    printf(" -");
    print_bytes(k, klen);
}

static void fill_batch(leveldb_writebatch_t *batch)
{
    for (uint64_t n = draw(12); n > 0; n--) {
        draw_key();
        draw_value();
        if (draw(3) == 0)
            leveldb_writebatch_delete(batch, s.key, s.key_size);
        else
            leveldb_writebatch_put(batch, s.key, s.key_size, s.value, s.value_size);
    }
}

static void do_batch(void)
{
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    leveldb_writebatch_t *more = leveldb_writebatch_create();
    char *error = NULL;
    int count = 0;
    fill_batch(batch);
    if (draw(4) == 0)
        leveldb_writebatch_clear(batch);
    fill_batch(more);
    leveldb_writebatch_append(batch, more);
    leveldb_writebatch_iterate(batch, &count, print_put, print_deleted);
    leveldb_write(s.db, s.write, batch, &error);
    printf(" %d", count);
    print_error(&error);
    leveldb_writebatch_destroy(batch);
    leveldb_writebatch_destroy(more);
}

static void do_get(void)
{
    char *error = NULL;
    size_t size = 77;
    draw_key();
    leveldb_readoptions_set_snapshot(s.read, draw(3) == 0 ? s.snapshots[draw(HELD)] : NULL);
    leveldb_readoptions_set_fill_cache(s.read, draw(2) == 0);
    leveldb_readoptions_set_verify_checksums(s.read, draw(2) == 0);
    char *value = leveldb_get(s.db, s.read, s.key, s.key_size, &size, &error);
    print_bytes(value, size);
    printf(" %zu", size);
    print_error(&error);
    leveldb_free(value);
}

static void do_snapshot(void)
{
    uint64_t i = draw(HELD);
    printf(" %d", s.snapshots[i] != NULL);
    if (s.snapshots[i] != NULL)
        leveldb_release_snapshot(s.db, s.snapshots[i]);
    s.snapshots[i] = s.snapshots[i] != NULL ? NULL : leveldb_create_snapshot(s.db);
}

static void move(leveldb_iterator_t *it)
{
    uint64_t kind = draw(10);
    if (kind < 4 && leveldb_iter_valid(it)) {
        leveldb_iter_next(it);
    } else if (kind < 7 && leveldb_iter_valid(it)) {
        leveldb_iter_prev(it);
    } else if (kind == 7) {
        leveldb_iter_seek_to_first(it);
    } else if (kind == 8) {
        leveldb_iter_seek_to_last(it);
    } else {
        draw_key();
        leveldb_iter_seek(it, s.key, s.key_size);
    }
}

/* Iterators stay open over writes, compactions and the release of their snapshots. */
static void do_iter(void)
{
    uint64_t i = draw(HELD);
    if (s.iters[i] == NULL) {
        leveldb_readoptions_set_snapshot(s.read, draw(2) == 0 ? s.snapshots[draw(HELD)] : NULL);
        s.iters[i] = leveldb_create_iterator(s.db, s.read);
        print_iter(s.iters[i]);
    }
    for (uint64_t n = draw(20); n > 0; n--) {
        move(s.iters[i]);
        print_iter(s.iters[i]);
    }
    if (draw(4) == 0) {
        leveldb_iter_destroy(s.iters[i]);
        s.iters[i] = NULL;
    }
}

static void do_scan(void)
{
    leveldb_readoptions_set_snapshot(s.read, NULL);
    leveldb_iterator_t *it = leveldb_create_iterator(s.db, s.read);
    for (leveldb_iter_seek_to_first(it); leveldb_iter_valid(it); leveldb_iter_next(it))
        print_iter(it);
    print_iter(it);
    leveldb_iter_destroy(it);
}

static void do_compact(void)
{
    char from[64];
    draw_key();
    size_t from_size = s.key_size;
    memcpy(from, s.key, from_size);
    draw_key();
    leveldb_compact_range(s.db, draw(2) == 0 ? from : NULL, from_size, draw(2) == 0 ? s.key : NULL,
                          s.key_size);
}

static void do_property(void)
{
    static const char *const names[] = {"leveldb.num-files-at-level0",
                                        "leveldb.num-files-at-level6",
                                        "leveldb.num-files-at-level7",
                                        "leveldb.num-files-at-level",
                                        "leveldb.num-files-at-level0x",
                                        "leveldb.stats",
                                        "leveldb.sstables",
                                        "leveldb.approximate-memory-usage",
                                        "nosuch",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *text = leveldb_property_value(s.db, names[i]);
        printf(" %d", text != NULL);
        leveldb_free(text);
    }
}

/* ---- lives */

static void open_again(void)
{
    char *error = NULL;
    s.db = leveldb_open(s.options, s.path, &error);
    print_error(&error);
    if (s.db == NULL)
        exit(1);
}

static void release_all(void)
{
    for (int i = 0; i < HELD; i++) {
        if (s.iters[i] != NULL)
            leveldb_iter_destroy(s.iters[i]);
        if (s.snapshots[i] != NULL)
            leveldb_release_snapshot(s.db, s.snapshots[i]);
        s.iters[i] = NULL;
        s.snapshots[i] = NULL;
    }
}

/* Every way of opening that must fail, while the database is open and while it is not. */
static void try_opening(void)
{
    char *error = NULL;
    printf(" %d", leveldb_open(s.options, s.path, &error) != NULL); /* it is open */
    print_kind(&error);
    leveldb_destroy_db(s.options, s.path, &error);
    print_kind(&error);
    leveldb_close(s.db);
    leveldb_options_set_error_if_exists(s.options, 1);
    printf(" %d", leveldb_open(s.options, s.path, &error) != NULL);
    print_error(&error);
    leveldb_options_set_create_if_missing(s.options, 0);
    printf(" %d", leveldb_open(s.options, s.path, &error) != NULL);
    print_error(&error);
    leveldb_options_set_error_if_exists(s.options, 0);
    printf(" %d", leveldb_open(s.options, "missing", &error) != NULL);
    print_error(&error);
    leveldb_options_set_create_if_missing(s.options, 1);
    leveldb_options_t *otherwise = leveldb_options_create(); /* in the other order */
    leveldb_comparator_t *backward = backward_create();
    if (s.backward == NULL)
        leveldb_options_set_comparator(otherwise, backward);
    printf(" %d", leveldb_open(otherwise, s.path, &error) != NULL);
    print_kind(&error);
    leveldb_options_destroy(otherwise);
    leveldb_comparator_destroy(backward);
}

static void do_reopen(void)
{
    release_all();
    if (draw(3) == 0)
        try_opening();
    else
        leveldb_close(s.db);
    open_again();
}

static void step(void)
{
    static const struct {
        void (*run)(void);
        const char *name;
        uint64_t weight;
    } steps[] = {{do_put, "put", 300},        {do_delete, "delete", 80},   {do_batch, "batch", 80},
                 {do_get, "get", 300},        {do_snapshot, "moment", 50}, {do_iter, "iter", 120},
                 {do_compact, "compact", 4},  {do_scan, "scan", 3},        {do_reopen, "reopen", 6},
                 {do_property, "property", 5}};
    uint64_t at = draw(948);
    size_t i = 0;
    for (; at >= steps[i].weight; i++)
        at -= steps[i].weight;
    printf("%s", steps[i].name);
    steps[i].run();
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    char *error = NULL;
    s.path = argv[1];
    s.rng = strtoull(argv[2], NULL, 10) * 2654435769u + 1;
    s.options = leveldb_options_create();
    s.read = leveldb_readoptions_create();
    s.write = leveldb_writeoptions_create();
    leveldb_options_set_create_if_missing(s.options, 1);
    leveldb_options_set_write_buffer_size(s.options, 65536);
    leveldb_options_set_compression(s.options,
                                    draw(2) ? leveldb_no_compression : leveldb_snappy_compression);
    s.backward = draw(2) == 0 ? backward_create() : NULL;
    if (s.backward != NULL)
        leveldb_options_set_comparator(s.options, s.backward);
    leveldb_destroy_db(s.options, s.path, &error);
    print_error(&error);
    open_again();
    for (uint64_t n = strtoull(argv[3], NULL, 10); n > 0; n--)
        step();
    do_scan();
    release_all();
    leveldb_close(s.db);
    leveldb_destroy_db(s.options, s.path, &error);
    print_error(&error);
    leveldb_options_set_create_if_missing(s.options, 0);
    printf(" %d", leveldb_open(s.options, s.path, &error) != NULL);
    print_error(&error);
    printf("\n");
    leveldb_options_destroy(s.options);
    leveldb_readoptions_destroy(s.read);
    leveldb_writeoptions_destroy(s.write);
    if (s.backward != NULL)
        leveldb_comparator_destroy(s.backward);
    return 0;
}
