/*
 * Counts the words of standard input and prints them by the alphabet.
 *
 *     words DIRECTORY
 *
 * Counts stay from run to run.
 */
#include "program.h"

#include <ctype.h>

static leveldb_t *db;
static leveldb_readoptions_t *read_options;
static leveldb_writeoptions_t *write_options;

static void count_word(const char *word, size_t size)
{
    char *error = NULL;
    char text[32];
    size_t found_size;
    unsigned long count = 0;
    char *found = leveldb_get(db, read_options, word, size, &found_size, &error);
    must(error);
    if (found != NULL) {
        (void)snprintf(text, sizeof text, "%.*s", (int)found_size, found);
        count = strtoul(text, NULL, 10);
        leveldb_free(found);
    }
    int text_size = snprintf(text, sizeof text, "%lu", count + 1);
    leveldb_put(db, write_options, word, size, text, (size_t)text_size, &error);
    must(error);
}

static void count_all(FILE *in)
{
    char word[64];
    size_t size = 0;
    for (int c = getc(in);; c = getc(in)) {
        if (c != EOF && isalpha(c) && size < sizeof word) {
            word[size++] = (char)tolower(c);
        } else if (size > 0) {
            count_word(word, size);
            size = 0;
        }
        if (c == EOF)
            return;
    }
}

static void print_all(void)
{
    char *error = NULL;
    leveldb_iterator_t *it = leveldb_create_iterator(db, read_options);
    for (leveldb_iter_seek_to_first(it); leveldb_iter_valid(it); leveldb_iter_next(it)) {
        size_t key_size, value_size;
        const char *key = leveldb_iter_key(it, &key_size);
        const char *value = leveldb_iter_value(it, &value_size);
        printf("%.*s %.*s\n", (int)key_size, key, (int)value_size, value);
    }
    leveldb_iter_get_error(it, &error);
    must(error);
    leveldb_iter_destroy(it);
}

int main(int argc, char **argv)
{
    char *error = NULL;
    if (argc != 2)
        return 2;
    leveldb_options_t *options = leveldb_options_create();
    leveldb_cache_t *cache = leveldb_cache_create_lru(1 << 20);
    leveldb_filterpolicy_t *bloom = leveldb_filterpolicy_create_bloom(10);
    read_options = leveldb_readoptions_create();
    write_options = leveldb_writeoptions_create();
    leveldb_options_set_create_if_missing(options, 1);
    leveldb_options_set_cache(options, cache);
    leveldb_options_set_filter_policy(options, bloom);
    db = leveldb_open(options, argv[1], &error);
    must(error);
    count_all(stdin);
    print_all();
    leveldb_close(db);
    leveldb_options_destroy(options);
    leveldb_cache_destroy(cache);
    leveldb_filterpolicy_destroy(bloom);
    leveldb_readoptions_destroy(read_options);
    leveldb_writeoptions_destroy(write_options);
    return 0;
}
