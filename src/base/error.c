#define _DEFAULT_SOURCE /* strnlen */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STORY_SIZE = 512 };

static _Thread_local char story[STORY_SIZE];

/* The arguments may be the present story itself. */
int vv_fail(int code, const char *format, ...)
{
    char told[STORY_SIZE];
    va_list args;
    vv_assert(code < 0);
    va_start(args, format);
    (void)vsnprintf(told, sizeof told, format, args);
    va_end(args);
    memcpy(story, told, strlen(told) + 1);
    return code;
}

int vv_fail_in(int code, const char *format, ...)
{
    char where[STORY_SIZE / 2];
    char old[STORY_SIZE];
    va_list args;
    vv_assert(code < 0);
    va_start(args, format);
    (void)vsnprintf(where, sizeof where, format, args);
    va_end(args);
    memcpy(old, story, sizeof old);
    size_t used = strlen(where);
    memcpy(story, where, used);
    used += (size_t)snprintf(story + used, sizeof story - used, ": ");
    size_t rest = strnlen(old, sizeof story - used - 1);
    memcpy(story + used, old, rest);
    story[used + rest] = 0;
    return code;
}

int vv_fail_again(int code, const char *told)
{
    return vv_fail(code, "%s", told);
}

const char *vv_error_words(int code)
{
    switch (code) {
    case VV_OK: return "success";
    case VV_NOTFOUND: return "not found";
    case VV_END: return "no more entries";
    case VV_CONFLICT: return "another transaction changed the data first";
#define VV_ERROR_WORDS(name, number, words)                                                        \
    case VV_##name: return words;
        VV_ERROR_MAP(VV_ERROR_WORDS)
#undef VV_ERROR_WORDS
    default: return "unknown error code";
    }
}

const char *vv_error_story(void)
{
    return story;
}

_Noreturn void vv_assert_failed(const char *what, const char *file, int line)
{
    /* lint: stdio, the last words before the end */
    (void)fprintf(stderr, "varve: %s:%d: broken invariant: %s\n", file, line, what);
    abort();
}
