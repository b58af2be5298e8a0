/*
 * The merge operators that varve brings along.
 *
 * Each is associative, so operands fold among themselves as they do onto a value.
 */
#include "db/merge.h"

#include "base/coding.h"
#include "base/error.h"
#include "base/slice.h"

int varve_merge_append(varve_merge_result *result, const void *data, size_t size)
{
    if (result == NULL || (data == NULL && size > 0))
        return vv_fail(VV_INVALID, "nowhere to put the result, or nothing to put there");
    if (size > VARVE_VALUE_SIZE_MAX || result->bytes->size > VARVE_VALUE_SIZE_MAX - size)
        result->rc =
            vv_fail(VV_TOOBIG, "a merged value exceeds the limit of %zu", VARVE_VALUE_SIZE_MAX);
    if (result->rc == VV_OK)
        result->rc = vv_buf_append(result->bytes, data, size);
    return result->rc;
}

/* ---- add_i64 */

static int add(void *context, varve_slice key, const varve_slice *base, const varve_slice *operands,
               size_t count, varve_merge_result *result)
{
    uint64_t sum = 0; /* unsigned wraps round, as is promised */
    uint8_t bytes[sizeof sum];
    (void)context;
    (void)key;
    if (base != NULL && base->size != sizeof sum)
        return VARVE_INVALID;
    if (base != NULL)
        sum = vv_get_u64(base->data);
    for (size_t i = 0; i < count; i++) {
        if (operands[i].size != sizeof sum)
            return VARVE_INVALID;
        sum += vv_get_u64(operands[i].data);
    }
    vv_put_u64(bytes, sum);
    return varve_merge_append(result, bytes, sizeof bytes);
}

static int add_operands(void *context, varve_slice key, const varve_slice *operands, size_t count,
                        varve_merge_result *result)
{
    return add(context, key, NULL, operands, count, result);
}

/* ---- append */

static int append(void *context, varve_slice key, const varve_slice *base,
                  const varve_slice *operands, size_t count, varve_merge_result *result)
{
    const char *separator = context;
    int rc = base != NULL ? varve_merge_append(result, base->data, base->size) : VARVE_OK;
    (void)key;
    for (size_t i = 0; rc == VARVE_OK && i < count; i++) {
        if (i > 0 || base != NULL)
            rc = varve_merge_append(result, separator, strlen(separator));
        if (rc == VARVE_OK)
            rc = varve_merge_append(result, operands[i].data, operands[i].size);
    }
    return rc;
}

static int append_operands(void *context, varve_slice key, const varve_slice *operands,
                           size_t count, varve_merge_result *result)
{
    return append(context, key, NULL, operands, count, result);
}

/* ---- max, min */

/* The largest of all, or with `sign` -1 the smallest; bytewise. */
static int choose(int sign, const varve_slice *base, const varve_slice *operands, size_t count,
                  varve_merge_result *result)
{
    const varve_slice *best = base != NULL ? base : &operands[0];
    for (size_t i = 0; i < count; i++) {
        int order = vv_slice_cmp(vv_slice_of(operands[i].data, operands[i].size),
                                 vv_slice_of(best->data, best->size));
        if (sign * order > 0)
            best = &operands[i];
    }
    return varve_merge_append(result, best->data, best->size);
}

static int max(void *context, varve_slice key, const varve_slice *base, const varve_slice *operands,
               size_t count, varve_merge_result *result)
{
    (void)context;
    (void)key;
    return choose(1, base, operands, count, result);
}

static int max_operands(void *context, varve_slice key, const varve_slice *operands, size_t count,
                        varve_merge_result *result)
{
    return max(context, key, NULL, operands, count, result);
}

static int min(void *context, varve_slice key, const varve_slice *base, const varve_slice *operands,
               size_t count, varve_merge_result *result)
{
    (void)context;
    (void)key;
    return choose(-1, base, operands, count, result);
}

static int min_operands(void *context, varve_slice key, const varve_slice *operands, size_t count,
                        varve_merge_result *result)
{
    return min(context, key, NULL, operands, count, result);
}

/* ---- or */

static void or_into(uint8_t *into, const varve_slice *bytes)
{
    const uint8_t *from = bytes->data;
    for (size_t i = 0; i < bytes->size; i++)
        into[i] |= from[i];
}

/* As long as the longest; what a shorter one lacks is zero. */
static int or_all(void *context, varve_slice key, const varve_slice *base,
                  const varve_slice *operands, size_t count, varve_merge_result *result)
{
    static const uint8_t zeros[64];
    size_t size = base != NULL ? base->size : 0;
    size_t at = result->bytes->size;
    int rc = VARVE_OK;
    (void)context;
    (void)key;
    for (size_t i = 0; i < count; i++)
        size = operands[i].size > size ? operands[i].size : size;
    for (size_t left = size; rc == VARVE_OK && left > 0;) {
        size_t piece = left < sizeof zeros ? left : sizeof zeros;
        rc = varve_merge_append(result, zeros, piece);
        left -= piece;
    }
    if (rc < 0)
        return rc;
    if (base != NULL)
        or_into(result->bytes->data + at, base);
    for (size_t i = 0; i < count; i++)
        or_into(result->bytes->data + at, &operands[i]);
    return VARVE_OK;
}

static int or_operands(void *context, varve_slice key, const varve_slice *operands, size_t count,
                       varve_merge_result *result)
{
    return or_all(context, key, NULL, operands, count, result);
}

/* ---- by name */

static const char comma[] = ",";

static const varve_merge_operator builtin[] = {
    {"add_i64", add, add_operands, NULL},
    {"append", append, append_operands, (void *)(uintptr_t)comma},
    {"max", max, max_operands, NULL},
    {"min", min, min_operands, NULL},
    {"or", or_all, or_operands, NULL},
};

const varve_merge_operator *vv_merge_named(vv_slice name)
{
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        if (vv_slice_equal(name, vv_slice_str(builtin[i].name)))
            return &builtin[i];
    return NULL;
}

const varve_merge_operator *varve_merge_operator_named(const char *name)
{
    return name == NULL ? NULL : vv_merge_named(vv_slice_str(name));
}

int varve_merge_operator_append(const char *separator, varve_merge_operator *out)
{
    if (separator == NULL || out == NULL)
        return vv_fail(VV_INVALID, "no separator was given, or nowhere to put the operator");
    *out = *vv_merge_named(vv_slice_str("append"));
    out->context = (void *)(uintptr_t)separator;
    return VV_OK;
}
