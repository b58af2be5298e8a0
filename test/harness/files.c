/*
 * Plain calls of the system: the tests that use them run on the operating system's world.
 */
#include "harness/files.h"

#include "base/hash.h"
#include "harness/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 1024, PATH_COUNT = 8 };

const char *path_of(const char *dir, const char *name)
{
    static char paths[PATH_COUNT][PATH_SIZE];
    static unsigned turn;
    char *path = paths[turn++ % PATH_COUNT];

    snprintf(path, PATH_SIZE, "%s/%s", dir, name);
    return path;
}

void file_read(const char *path, struct vv_buf *out)
{
    FILE *file = fopen(path, "rb");
    uint8_t chunk[4096];
    size_t got;

    if (!file)
        test_fail(__FILE__, __LINE__, "cannot open %s", path);
    vv_buf_clear(out);
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
        CHECK_OK(vv_buf_append(out, chunk, got));
    (void)fclose(file);
}

void file_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    if (!file)
        test_fail(__FILE__, __LINE__, "cannot write %s", path);
    CHECK(fwrite(data, 1, size, file) == size);
    CHECK(fclose(file) == 0);
}

static uint64_t one_print(const char *path, const char *name)
{
    struct vv_buf content = VV_BUF_INIT;
    struct stat stat;
    uint64_t print;

    if (lstat(path, &stat) != 0)
        return 1;
    print = vv_hash_seeded(vv_slice_str(name), stat.st_mode);
    if (S_ISREG(stat.st_mode)) {
        file_read(path, &content);
        print = vv_hash_seeded(vv_buf_slice(&content), print);
    }
    vv_buf_deinit(&content);
    return print;
}

uint64_t files_print(const char *path)
{
    uint64_t print = one_print(path, "");
    DIR *dir = opendir(path);
    struct dirent *entry;
    char inside[PATH_SIZE];

    if (!dir)
        return print;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        print += vv_mix(one_print(inside, entry->d_name));
    }
    (void)closedir(dir);
    return print;
}

void files_copy(const char *from_dir, const char *to_dir)
{
    struct vv_buf content = VV_BUF_INIT;
    DIR *dir = opendir(from_dir);
    struct dirent *entry;
    char path[PATH_SIZE];

    CHECK(dir != NULL);
    CHECK(mkdir(to_dir, 0777) == 0);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", from_dir, entry->d_name);
        file_read(path, &content);
        snprintf(path, sizeof path, "%s/%s", to_dir, entry->d_name);
        file_write(path, content.data, content.size);
    }
    (void)closedir(dir);
    vv_buf_deinit(&content);
}

bool files_find(const char *dir, const char *text, char *into, size_t size)
{
    DIR *opened = opendir(dir);
    struct dirent *entry;
    bool found = false;

    CHECK(opened != NULL);
    while (!found && (entry = readdir(opened)) != NULL) {
        found = strstr(entry->d_name, text) != NULL;
        if (found)
            snprintf(into, size, "%s/%s", dir, entry->d_name);
    }
    (void)closedir(opened);
    return found;
}

size_t files_count(const char *dir, const char *text)
{
    DIR *opened = opendir(dir);
    struct dirent *entry;
    size_t count = 0;

    CHECK(opened != NULL);
    while ((entry = readdir(opened)) != NULL)
        count += strstr(entry->d_name, text) != NULL;
    (void)closedir(opened);
    return count;
}
