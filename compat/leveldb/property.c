/*
 * What a database tells about itself, under LevelDB's names for it.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_SIZE = 24, ROW_SIZE = 80 };

static char *number_text(uint64_t number)
{
    char *text = vv_leveldb_new(NUMBER_SIZE);
    (void)snprintf(text, NUMBER_SIZE, "%" PRIu64, number);
    return text;
}

/* varve's own text, from malloc; NULL after a failure. */
static char *text_of(int rc, char *text_take)
{
    if (rc != VARVE_OK)
        return NULL;
    size_t size = strlen(text_take) + 1;
    char *copy = memcpy(vv_leveldb_new(size), text_take, size);
    varve_free(text_take);
    return copy;
}

static char *files_at_level(varve *db, const char *digits)
{
    varve_stats stats = {.size = sizeof stats};
    unsigned level = 0;
    size_t n = 0;
    for (; digits[n] >= '0' && digits[n] <= '9' && level < VARVE_LEVELS; n++)
        level = level * 10 + (unsigned)(digits[n] - '0');
    if (n == 0 || digits[n] != 0 || level >= VARVE_LEVELS || varve_get_stats(db, &stats) < 0)
        return NULL;
    return number_text(stats.level_files[level]);
}

static char *memory_usage(varve *db)
{
    varve_stats stats = {.size = sizeof stats};
    return varve_get_stats(db, &stats) < 0 ? NULL : number_text(stats.memory_bytes);
}

/* LevelDB's table of levels as far as varve keeps books by level, and then varve's own page. */
static char *statistics(varve *db)
{
    static const char heading[] = "Level  Files Size(MB)\n---------------------\n";
    varve_stats stats = {.size = sizeof stats};
    char *page = NULL;
    if (varve_get_stats(db, &stats) < 0 || varve_stats_text(db, 0, &page) < 0)
        return NULL;
    size_t size = sizeof heading + VARVE_LEVELS * ROW_SIZE + strlen(page);
    char *text = vv_leveldb_new(size);
    size_t used = sizeof heading - 1;
    memcpy(text, heading, used);
    for (int level = 0; level < VARVE_LEVELS; level++) {
        if (stats.level_files[level] == 0)
            continue;
        int row = snprintf(text + used, size - used, "%3d %8" PRIu64 " %8.0f\n", level,
                           stats.level_files[level], (double)stats.level_bytes[level] / 1048576);
        used += (size_t)row;
    }
    (void)snprintf(text + used, size - used, "%s", page);
    varve_free(page);
    return text;
}

char *leveldb_property_value(leveldb_t *db, const char *propname)
{
    static const char files_prefix[] = "leveldb.num-files-at-level";
    size_t prefix_size = sizeof files_prefix - 1;
    char *text = NULL;
    if (strncmp(propname, files_prefix, prefix_size) == 0)
        return files_at_level(db->db, propname + prefix_size);
    if (strcmp(propname, "leveldb.stats") == 0)
        return statistics(db->db);
    if (strcmp(propname, "leveldb.approximate-memory-usage") == 0)
        return memory_usage(db->db);
    if (strcmp(propname, "leveldb.sstables") == 0) {
        int rc = varve_property(db->db, "files", &text);
        return text_of(rc, text);
    }
    return NULL;
}
