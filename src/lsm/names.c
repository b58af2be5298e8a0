#include "lsm/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MIN = 6, DIGITS_MAX = 19 };

static const struct {
    enum vv_name_kind kind;
    const char *before;
    const char *after;
} numbered[] = {
    {VV_NAME_MANIFEST, "MANIFEST-", ""}, {VV_NAME_WAL, "", ".wal"},     {VV_NAME_TABLE, "", ".sst"},
    {VV_NAME_VALUES, "", ".val"},        {VV_NAME_SPARE, "", ".spare"}, {VV_NAME_KEPT, "", ".kept"},
};

static const struct {
    enum vv_name_kind kind;
    const char *name;
} fixed[] = {
    {VV_NAME_CURRENT, "CURRENT"},
    {VV_NAME_LOCK, "LOCK"},
    {VV_NAME_TEMP, "CURRENT.tmp"},
    {VV_NAME_UNFINISHED, "UNFINISHED"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Digits of a number that is written in one way only: six or more, no zeros in front of more. */
static size_t parse_number(const char *text, uint64_t *out)
{
    size_t n = 0;
    uint64_t number = 0;
    while (text[n] >= '0' && text[n] <= '9') {
        if (n == DIGITS_MAX)
            return 0;
        number = number * 10 + (uint64_t)(text[n] - '0');
        n++;
    }
    if (n < DIGITS_MIN || (n > DIGITS_MIN && text[0] == '0'))
        return 0;
    *out = number;
    return n;
}

static bool ends_with_damaged(const char *name, size_t *stem)
{
    static const char mark[] = ".damaged";
    size_t size = strlen(name);
    if (size < sizeof mark || strcmp(name + size - (sizeof mark - 1), mark) != 0)
        return false;
    *stem = size - (sizeof mark - 1);
    return true;
}

enum vv_name_kind vv_name_parse(const char *name, uint64_t *number)
{
    size_t stem;
    *number = 0;
    if (ends_with_damaged(name, &stem) && stem < 64) {
        char inner[64];
        memcpy(inner, name, stem);
        inner[stem] = 0;
        enum vv_name_kind kind = vv_name_parse(inner, number);
        if (kind != VV_NAME_OTHER && kind != VV_NAME_DAMAGED)
            return VV_NAME_DAMAGED;
        *number = 0;
        return VV_NAME_OTHER;
    }
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (strcmp(name, fixed[i].name) == 0)
            return fixed[i].kind;
    }
    for (size_t i = 0; i < COUNT_OF(numbered); i++) {
        size_t before = strlen(numbered[i].before);
        if (strncmp(name, numbered[i].before, before) != 0)
            continue;
        size_t digits = parse_number(name + before, number);
        if (digits > 0 && strcmp(name + before + digits, numbered[i].after) == 0)
            return numbered[i].kind;
    }
    *number = 0;
    return VV_NAME_OTHER;
}

struct vv_path vv_path_of(const char *dir, enum vv_name_kind kind, uint64_t number)
{
    struct vv_path path;
    int size = -1;
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (fixed[i].kind == kind)
            size = snprintf(path.text, sizeof path.text, "%s/%s", dir, fixed[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(numbered); i++) {
        if (numbered[i].kind == kind)
            size = snprintf(path.text, sizeof path.text, "%s/%s%06" PRIu64 "%s", dir,
                            numbered[i].before, number, numbered[i].after);
    }
    vv_assert(size > 0 && (size_t)size < sizeof path.text);
    return path;
}
