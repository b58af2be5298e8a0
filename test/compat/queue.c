/*
 * A queue that outlives its process: jobs are put in at the end, and taken from the front together
 * with a note of what became of them.
 *
 *     queue DIRECTORY push TEXT…      appends jobs, all or none
 *     queue DIRECTORY pop COUNT       takes jobs from the front
 *     queue DIRECTORY show            prints what waits and what is done
 */
#include "program.h"

enum { KEY_SIZE = 32 };

static leveldb_t *db;
static leveldb_readoptions_t *read_options;
static leveldb_writeoptions_t *write_options;

static leveldb_iterator_t *scan(const char *prefix)
{
    leveldb_iterator_t *it = leveldb_create_iterator(db, read_options);
    leveldb_iter_seek(it, prefix, strlen(prefix));
    return it;
}

static int on(const leveldb_iterator_t *it, const char *prefix)
{
    size_t size;
    if (!leveldb_iter_valid(it))
        return 0;
    const char *key = leveldb_iter_key(it, &size);
    return size >= strlen(prefix) && memcmp(key, prefix, strlen(prefix)) == 0;
}

static void done_with(leveldb_iterator_t *it)
{
    char *error = NULL;
    leveldb_iter_get_error(it, &error);
    must(error);
    leveldb_iter_destroy(it);
}

/* The number behind the last job's, waiting or done. */
static unsigned long next_number(void)
{
    char *error = NULL;
    size_t size;
    unsigned long number = 0;
    char text[KEY_SIZE];
    char *last = leveldb_get(db, read_options, "last", 4, &size, &error);
    must(error);
    if (last != NULL) {
        (void)snprintf(text, sizeof text, "%.*s", (int)size, last);
        number = strtoul(text, NULL, 10);
        leveldb_free(last);
    }
    return number + 1;
}

static void push(int count, char **jobs)
{
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    unsigned long number = next_number();
    char *error = NULL;
    char key[KEY_SIZE];
    int size;
    for (int i = 0; i < count; i++, number++) {
        size = snprintf(key, sizeof key, "job/%012lu", number);
        leveldb_writebatch_put(batch, key, (size_t)size, jobs[i], strlen(jobs[i]));
    }
    size = snprintf(key, sizeof key, "%lu", number - 1);
    leveldb_writebatch_put(batch, "last", 4, key, (size_t)size);
    leveldb_write(db, write_options, batch, &error);
    must(error);
    leveldb_writebatch_destroy(batch);
}

static void pop(unsigned long count)
{
    leveldb_iterator_t *it = scan("job/");
    for (; count > 0 && on(it, "job/"); count--, leveldb_iter_next(it)) {
        leveldb_writebatch_t *batch = leveldb_writebatch_create();
        char *error = NULL;
        char done[KEY_SIZE];
        size_t key_size, value_size;
        const char *key = leveldb_iter_key(it, &key_size);
        const char *value = leveldb_iter_value(it, &value_size);
        int done_size = snprintf(done, sizeof done, "done/%.*s", (int)key_size - 4, key + 4);
        printf("%.*s\n", (int)value_size, value);
        leveldb_writebatch_delete(batch, key, key_size);
        leveldb_writebatch_put(batch, done, (size_t)done_size, value, value_size);
        leveldb_write(db, write_options, batch, &error);
        must(error);
        leveldb_writebatch_destroy(batch);
    }
    done_with(it);
}

static void show(const char *prefix)
{
    leveldb_iterator_t *it = scan(prefix);
    for (; on(it, prefix); leveldb_iter_next(it)) {
        size_t key_size, value_size;
        const char *key = leveldb_iter_key(it, &key_size);
        const char *value = leveldb_iter_value(it, &value_size);
        printf("%.*s %.*s\n", (int)key_size, key, (int)value_size, value);
    }
    done_with(it);
}

int main(int argc, char **argv)
{
    char *error = NULL;
    if (argc < 3)
        return 2;
    leveldb_options_t *options = leveldb_options_create();
    read_options = leveldb_readoptions_create();
    write_options = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(write_options, 1);
    leveldb_options_set_create_if_missing(options, 1);
    db = leveldb_open(options, argv[1], &error);
    must(error);
    if (strcmp(argv[2], "push") == 0) {
        push(argc - 3, argv + 3);
    } else if (strcmp(argv[2], "pop") == 0 && argc == 4) {
        pop(strtoul(argv[3], NULL, 10));
    } else {
        show("job/");
        show("done/");
    }
    leveldb_close(db);
    leveldb_options_destroy(options);
    leveldb_readoptions_destroy(read_options);
    leveldb_writeoptions_destroy(write_options);
    return 0;
}
