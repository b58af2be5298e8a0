/*
 * Assertions for what only a bug of ours could break, and the words the compiler should not let
 * pass. What comes from disk, network or caller is never asserted: it fails with vv_fail().
 */
#ifndef VV_BASE_CHECK_H
#define VV_BASE_CHECK_H

/* The result must be looked at. */
#define VV_MUST __attribute__((warn_unused_result))
#define VV_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))
#define VV_LIKELY(x)   __builtin_expect(!!(x), 1)
#define VV_UNLIKELY(x) __builtin_expect(!!(x), 0)

_Noreturn void vv_assert_failed(const char *what, const char *file, int line);

/* Stays on in release: continuing on a broken invariant is how data is lost. */
#define vv_assert(condition)                                                                       \
    (VV_LIKELY(condition) ? (void)0 : vv_assert_failed(#condition, __FILE__, __LINE__))

/* Whole-structure walks and other checks that cost too much for every run. */
#ifdef VV_PARANOID
#define vv_assert_paranoid(condition) vv_assert(condition)
#else
#define vv_assert_paranoid(condition) ((void)0)
#endif

#endif
