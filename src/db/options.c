/*
 * One table says what there is; setting, checking and printing go through it.
 *
 *   text  = [ word { "," word } ]        no spaces
 *   word  = name "=" value               each name at most once
 *   value = one of the option's words, or a number; of sizes, with a suffix K M G, also as Ki or KiB
 *
 * Every option also takes "default", so that what is printed can always be read back.
 */
#include "db/options.h"

#include "base/error.h"
#include "db/merge.h"
#include "db/present.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    WORDS_MAX = 5,
    SYNC_INTERVAL_MS = 1000,
    VALUE_LOG_MIN = 1024,
    BUDGET_SHARE = 8, /* of the memory */
    ORDER_NAME_MAX = 255,
    VALUE_LOG_MIN_MIN = 256,
    THREADS_MAX = 16,
};

#define BUDGET_MIN   ((uint64_t)4 << 20)
#define BUDGET_LEAST ((uint64_t)64 << 20)
#define BUDGET_MOST  ((uint64_t)2 << 30)

enum kind { KIND_WORD, KIND_NUMBER, KIND_SIZE, KIND_OPERATOR };

struct option {
    const char *name;
    enum kind kind;
    int first_word;               /* of the words: its number; lower ones are only "default" */
    size_t offset, width;         /* of the field */
    uint64_t min, max;            /* of numbers; zero is always fine and means the default */
    const char *words[WORDS_MAX]; /* in the order of the enum */
};

#define FIELD(name) offsetof(varve_options, name), sizeof(((varve_options *)0)->name)

static const struct option table[] = {
    {"mode", KIND_WORD, 0, FIELD(mode), 0, 3, {"create", "existing", "exclusive", "readonly"}},
    {"engine", KIND_WORD, 1, FIELD(engine), 0, 1, {"lsm"}},
    {"durability", KIND_WORD, 1, FIELD(durability), 0, 4, {"none", "os", "interval", "disk"}},
    {"sync_interval_ms", KIND_NUMBER, 0, FIELD(sync_interval_ms), 1, UINT32_MAX, {0}},
    {"memory_budget", KIND_SIZE, 0, FIELD(memory_budget), BUDGET_MIN, INT64_MAX, {0}},
    {"compression", KIND_WORD, 1, FIELD(compression), 0, 3, {"none", "lz4", "zstd"}},
    {"background_threads", KIND_NUMBER, 0, FIELD(background_threads), 1, THREADS_MAX, {0}},
    {"value_log_min", KIND_SIZE, 0, FIELD(value_log_min), VALUE_LOG_MIN_MIN, UINT32_MAX, {0}},
    {"changes_keep", KIND_SIZE, 0, FIELD(changes_keep), 1, INT64_MAX, {0}},
    /* The number is the operator's address. */
    {"merge",
     KIND_OPERATOR,
     0,
     FIELD(merge),
     1,
     UINT64_MAX,
     {"add_i64", "append", "max", "min", "or"}},
};

enum { OPTION_COUNT = sizeof table / sizeof table[0] };

static uint64_t field_get(const varve_options *options, const struct option *option)
{
    const uint8_t *at = (const uint8_t *)options + option->offset;
    uint32_t narrow;
    uint64_t wide;
    if (option->width == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static void field_set(varve_options *options, const struct option *option, uint64_t value)
{
    uint8_t *at = (uint8_t *)options + option->offset;
    uint32_t narrow = (uint32_t)value;
    if (option->width == sizeof narrow)
        memcpy(at, &narrow, sizeof narrow);
    else
        memcpy(at, &value, sizeof value);
}

static bool in_range(const struct option *option, uint64_t value)
{
    return value == 0 || (value >= option->min && value <= option->max);
}

/* ---- from text */

static bool is_text(vv_slice s, const char *text)
{
    return vv_slice_equal(s, vv_slice_str(text));
}

static bool parse_suffix(vv_slice s, unsigned *shift)
{
    static const struct {
        const char *text;
        unsigned shift;
    } suffixes[] = {{"", 0},    {"K", 10},   {"Ki", 10}, {"KiB", 10}, {"M", 20},
                    {"Mi", 20}, {"MiB", 20}, {"G", 30},  {"Gi", 30},  {"GiB", 30}};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (is_text(s, suffixes[i].text)) {
            *shift = suffixes[i].shift;
            return true;
        }
    }
    return false;
}

static bool parse_number(vv_slice s, enum kind kind, uint64_t *out)
{
    uint64_t value = 0;
    unsigned shift = 0;
    size_t digits = 0;
    for (; digits < s.size && s.data[digits] >= '0' && s.data[digits] <= '9'; digits++) {
        uint64_t digit = s.data[digits] - (uint64_t)'0';
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (digits == 0 || !parse_suffix(vv_slice_skip(s, digits), &shift))
        return false;
    if ((kind != KIND_SIZE && digits < s.size) || value > UINT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}

static bool parse_value(const struct option *option, vv_slice s, uint64_t *out)
{
    if (is_text(s, "default")) {
        *out = 0;
        return true;
    }
    if (option->kind == KIND_OPERATOR) {
        *out = (uintptr_t)vv_merge_named(s);
        return *out != 0;
    }
    if (option->kind != KIND_WORD)
        return parse_number(s, option->kind, out) && in_range(option, *out);
    for (int i = 0; i < WORDS_MAX && option->words[i] != NULL; i++) {
        if (is_text(s, option->words[i])) {
            *out = (uint64_t)option->first_word + (uint64_t)i;
            return true;
        }
    }
    return false;
}

/* Up to the next `stop` or the end; takes it off `rest` together with the stop. */
static vv_slice cut(vv_slice *rest, char stop)
{
    const uint8_t *found =
        rest->size > 0 ? memchr(rest->data, (unsigned char)stop, rest->size) : NULL;
    vv_slice part = {rest->data, found != NULL ? (size_t)(found - rest->data) : rest->size};
    *rest = vv_slice_skip(*rest, part.size + (found != NULL));
    return part;
}

static int bad_word(vv_slice word, const char *why)
{
    int shown = word.size < 100 ? (int)word.size : 100;
    return vv_fail(VV_INVALID, "option '%.*s': %s", shown, (const char *)word.data, why);
}

/* What the value might have been. */
static void list_values(const struct option *option, char *out, size_t size)
{
    size_t at = 0;
    if (option->kind == KIND_WORD || option->kind == KIND_OPERATOR) {
        for (int i = 0; i < WORDS_MAX && option->words[i] != NULL && at < size; i++)
            at +=
                (size_t)snprintf(out + at, size - at, "%s%s", i > 0 ? ", " : "", option->words[i]);
        return;
    }
    (void)snprintf(out, size, "%" PRIu64 " to %" PRIu64 "%s", option->min, option->max,
                   option->kind == KIND_SIZE ? ", or with K, M or G" : "");
}

static int bad_value(vv_slice word, const struct option *option)
{
    char known[128], why[160];
    list_values(option, known, sizeof known);
    (void)snprintf(why, sizeof why, "no such value; there are %s", known);
    return bad_word(word, why);
}

static int set_one(varve_options *options, vv_slice word, uint32_t *seen)
{
    vv_slice value = word;
    vv_slice name = cut(&value, '=');
    if (name.size == word.size)
        return bad_word(word, "expected name=value");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        uint64_t number = 0;
        if (!is_text(name, table[i].name))
            continue;
        if (*seen & 1u << i)
            return bad_word(word, "given twice");
        if (!parse_value(&table[i], value, &number))
            return bad_value(word, &table[i]);
        *seen |= 1u << i;
        field_set(options, &table[i], number);
        return VV_OK;
    }
    return bad_word(word, "no such option");
}

int varve_options_set(varve_options *options, const char *text)
{
    if (options == NULL || text == NULL)
        return vv_fail(VV_INVALID, "no options or no text was given");
    if (options->size < sizeof *options)
        return vv_fail(VV_INVALID, "options must start from VARVE_OPTIONS_INIT");
    varve_options changed = *options;
    vv_slice rest = vv_slice_str(text);
    uint32_t seen = 0;
    while (rest.size > 0) {
        bool last = memchr(rest.data, ',', rest.size) == NULL;
        int rc = set_one(&changed, cut(&rest, ','), &seen);
        if (rc < 0)
            return rc;
        if (!last && rest.size == 0)
            return vv_fail(VV_INVALID, "options: nothing follows the last comma");
    }
    *options = changed;
    return VV_OK;
}

/* ---- to text */

static int print_value(const struct option *option, uint64_t value, struct vv_buf *out)
{
    if (option->kind == KIND_WORD && value >= (uint64_t)option->first_word)
        return vv_buf_printf(out, "%s", option->words[value - (uint64_t)option->first_word]);
    for (int i = 0; option->kind == KIND_OPERATOR && i < WORDS_MAX; i++)
        if (value == (uintptr_t)vv_merge_named(vv_slice_str(option->words[i])))
            return vv_buf_printf(out, "%s", option->words[i]);
    if (value == 0 || option->kind == KIND_OPERATOR)
        return vv_buf_printf(out, "default");
    return vv_buf_printf(out, "%" PRIu64, value);
}

int vv_options_print(const varve_options *options, struct vv_buf *out)
{
    int rc = VV_OK;
    for (int i = 0; rc == VV_OK && i < OPTION_COUNT; i++) {
        if ((rc = vv_buf_printf(out, "%s%s=", i > 0 ? "," : "", table[i].name)) == VV_OK)
            rc = print_value(&table[i], field_get(options, &table[i]), out);
    }
    return rc;
}

/* ---- defaults */

/* Takes over what a program knows that was built with another release's header. */
static int copy_known(const varve_options *given, varve_options *out)
{
    if (given->size < sizeof *out)
        return vv_fail(VV_INVALID, "options must start from VARVE_OPTIONS_INIT");
    for (size_t i = sizeof *out; i < given->size; i++)
        if (((const uint8_t *)given)[i] != 0)
            return vv_fail(VV_UNSUPPORTED, "options hold a field that this release does not know");
    memcpy(out, given, sizeof *out);
    out->size = sizeof *out;
    return VV_OK;
}

int vv_comparator_check(const varve_comparator *order)
{
    if (order != NULL && (order->compare == NULL || order->name == NULL || order->name[0] == 0 ||
                          strlen(order->name) > ORDER_NAME_MAX))
        return vv_fail(VV_INVALID, "a comparator needs a function and a name of 1 to %d bytes",
                       ORDER_NAME_MAX);
    return VV_OK;
}

static int check_merge(const varve_merge_operator *merge)
{
    if (merge != NULL && (merge->full == NULL || merge->name == NULL || merge->name[0] == 0 ||
                          strlen(merge->name) > VV_MERGE_NAME_MAX))
        return vv_fail(VV_INVALID, "a merge operator needs a function and a name of 1 to %d bytes",
                       VV_MERGE_NAME_MAX);
    return VV_OK;
}

static int check_ranges(const varve_options *options)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        uint64_t value = field_get(options, &table[i]);
        if (!in_range(&table[i], value))
            return vv_fail(VV_INVALID,
                           "option %s: %" PRIu64 " is not within %" PRIu64 " and %" PRIu64,
                           table[i].name, value, table[i].min, table[i].max);
    }
    int rc = check_merge(options->merge);
    if (rc == VV_OK)
        rc = vv_comparator_check(options->comparator);
    for (size_t i = 0; rc == VV_OK && i < options->comparator_count; i++)
        rc = vv_comparator_check(&options->comparators[i]);
    return rc;
}

static uint64_t default_budget(const struct vv_env_facts *facts)
{
    uint64_t share = facts->memory_bytes / BUDGET_SHARE;
    if (share < BUDGET_LEAST)
        return BUDGET_LEAST;
    return share < BUDGET_MOST ? share : BUDGET_MOST;
}

static uint32_t default_threads(const struct vv_env_facts *facts)
{
    uint32_t half = facts->cpu_count / 2;
    if (half < 1)
        return 1;
    return half < THREADS_MAX ? half : THREADS_MAX;
}

int vv_options_resolve(const varve_options *given, const struct vv_env_facts *facts,
                       varve_options *out)
{
    varve_options o = VARVE_OPTIONS_INIT;
    int rc = given != NULL ? copy_known(given, &o) : VV_OK;
    if (rc == VV_OK)
        rc = check_ranges(&o);
    if (rc < 0)
        return rc;
    if (o.engine == VARVE_ENGINE_DEFAULT)
        o.engine = VARVE_ENGINE_LSM;
    if (o.durability == VARVE_DURABILITY_DEFAULT)
        o.durability = VARVE_DURABILITY_INTERVAL;
    if (o.durability == VARVE_DURABILITY_NONE && o.changes_keep > 0)
        return vv_fail(VV_INVALID, "option changes_keep: changes are kept in the log, and at "
                                   "durability 'none' there is none");
    if (o.sync_interval_ms == 0)
        o.sync_interval_ms = SYNC_INTERVAL_MS;
    if (o.memory_budget == 0)
        o.memory_budget = default_budget(facts);
    if (o.background_threads == 0)
        o.background_threads = default_threads(facts);
    if (o.value_log_min == 0)
        o.value_log_min = VALUE_LOG_MIN;
    *out = o;
    return VV_OK;
}
