/*
 * Reads yesterday's numbers while today's are written: prices change day by day, and each day's
 * list is read from a snapshot only after all days have passed, backward.
 *
 *     moments DIRECTORY DAYS
 */
#include "program.h"

enum { ITEMS = 50, DAYS_MAX = 100 };

static leveldb_t *db;

static void write_day(unsigned long day)
{
    leveldb_writeoptions_t *options = leveldb_writeoptions_create();
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    char *error = NULL;
    for (unsigned long item = 0; item < ITEMS; item++) {
        char key[32], price[32];
        int key_size = snprintf(key, sizeof key, "item%03lu", item);
        int price_size = snprintf(price, sizeof price, "%lu", 100 * item + day);
        if ((item + day) % 7 == 0)
            leveldb_writebatch_delete(batch, key, (size_t)key_size);
        else
            leveldb_writebatch_put(batch, key, (size_t)key_size, price, (size_t)price_size);
    }
    leveldb_write(db, options, batch, &error);
    must(error);
    leveldb_writebatch_destroy(batch);
    leveldb_writeoptions_destroy(options);
}

static void read_day(unsigned long day, const leveldb_snapshot_t *snapshot)
{
    leveldb_readoptions_t *options = leveldb_readoptions_create();
    leveldb_readoptions_set_snapshot(options, snapshot);
    leveldb_iterator_t *it = leveldb_create_iterator(db, options);
    unsigned long count = 0, sum = 0;
    char *error = NULL;
    for (leveldb_iter_seek_to_last(it); leveldb_iter_valid(it); leveldb_iter_prev(it)) {
        char price[32];
        size_t size;
        const char *value = leveldb_iter_value(it, &size);
        (void)snprintf(price, sizeof price, "%.*s", (int)size, value);
        count++;
        sum += strtoul(price, NULL, 10);
    }
    leveldb_iter_get_error(it, &error);
    must(error);
    printf("day %lu: %lu items, %lu in all\n", day, count, sum);
    leveldb_iter_destroy(it);
    leveldb_readoptions_destroy(options);
}

int main(int argc, char **argv)
{
    const leveldb_snapshot_t *snapshots[DAYS_MAX];
    char *error = NULL;
    unsigned long days = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (days == 0 || days > DAYS_MAX)
        return 2;
    leveldb_options_t *options = leveldb_options_create();
    leveldb_options_set_create_if_missing(options, 1);
    db = leveldb_open(options, argv[1], &error);
    must(error);
    for (unsigned long day = 0; day < days; day++) {
        write_day(day);
        snapshots[day] = leveldb_create_snapshot(db);
    }
    leveldb_compact_range(db, NULL, 0, NULL, 0);
    for (unsigned long day = 0; day < days; day++) {
        read_day(day, snapshots[day]);
        leveldb_release_snapshot(db, snapshots[day]);
    }
    read_day(days - 1, NULL);
    leveldb_close(db);
    leveldb_options_destroy(options);
    return 0;
}
