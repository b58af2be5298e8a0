/*
 * One error rule: zero is success, negative is a failure that travels to the top unread, positive
 * is an outcome that the function documents and its caller handles.
 *
 * The origin of a failure tells its story once with vv_fail(); floors that know *which* file or
 * level may put that in front with vv_fail_in(). The story belongs to the thread.
 */
#ifndef VV_BASE_ERROR_H
#define VV_BASE_ERROR_H

#include "base/check.h"

/* name, number, words. The numbers are the public ones of varve.h and never change. */
#define VV_ERROR_MAP(X)                                                                            \
    X(CORRUPT, -1, "stored data is damaged")                                                       \
    X(IO, -2, "the operating system reported an I/O error")                                        \
    X(NOMEM, -3, "out of memory")                                                                  \
    X(INVALID, -4, "invalid argument or option")                                                   \
    X(BUSY, -5, "somebody else is using it")                                                       \
    X(READONLY, -6, "the store is read-only")                                                      \
    X(FULL, -7, "no space left")                                                                   \
    X(LOCKED, -8, "another handle or process has the store open for writing")                      \
    X(CLOSED, -9, "the handle's store was closed")                                                 \
    X(FORKED, -10, "the handle was opened before a fork, in another process")                      \
    X(EXISTS, -11, "it exists already")                                                            \
    X(MISSING, -12, "there is no store here")                                                      \
    X(UNSUPPORTED, -13, "this build cannot read the format")                                       \
    X(TOOBIG, -14, "key or value exceeds its limit")                                               \
    X(PERMISSION, -15, "permission denied")                                                        \
    X(LIMIT, -16, "a limit of the process or system was reached")                                  \
    X(FOREIGN, -17, "the path holds something that is not a store")

enum vv_error {
    VV_OK = 0,
    VV_NOTFOUND = 1, /* outcome: no such key, file or entry */
    VV_END = 2,      /* outcome: nothing further */
    VV_CONFLICT = 3, /* outcome: another transaction was first */
#define VV_ERROR_ENUM(name, number, words) VV_##name = (number),
    VV_ERROR_MAP(VV_ERROR_ENUM)
#undef VV_ERROR_ENUM
};

/* Records the story of a failure for this thread and returns `code`, which must be negative. */
int vv_fail(int code, const char *format, ...) VV_PRINTF(2, 3);

/* Puts `format`: in front of the story of `code`, as in "table 17: ...", and returns `code`. */
int vv_fail_in(int code, const char *format, ...) VV_PRINTF(2, 3);

/* The words for a code; never NULL. */
const char *vv_error_words(int code);

/* The thread's latest story, or "" before the first. Valid until the thread's next failure. */
const char *vv_error_story(void);

/* Copies a story from another thread, as a background failure is told to a later caller. */
int vv_fail_again(int code, const char *story);

#endif
