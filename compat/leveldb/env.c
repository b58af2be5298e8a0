/*
 * LevelDB's environment, of which varve needs nothing, and the odds and ends of its API.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct leveldb_env_t {
    char unused; /* the only environment is the system's */
};

leveldb_env_t *leveldb_create_default_env(void)
{
    return vv_leveldb_new(sizeof(leveldb_env_t));
}

void leveldb_env_destroy(leveldb_env_t *env)
{
    free(env);
}

char *leveldb_env_get_test_directory(leveldb_env_t *env)
{
    (void)env;
    char made[64];
    const char *given = getenv("TEST_TMPDIR");
    (void)snprintf(made, sizeof made, "/tmp/leveldbtest-%d", (int)geteuid());
    if (given == NULL || given[0] == 0) {
        given = made;
        (void)mkdir(made, 0755); /* it may be there, and if not, whoever uses it will tell */
    }
    size_t size = strlen(given) + 1;
    return memcpy(vv_leveldb_new(size), given, size);
}

void leveldb_free(void *ptr)
{
    free(ptr);
}

int leveldb_major_version(void)
{
    return 1;
}

int leveldb_minor_version(void)
{
    return 23;
}
