/* Options, and the order of things: plan, run, report. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibrate.h"
#include "report.h"
#include "run.h"

static const struct bench_engine *const engines[BENCH_ENGINES_MAX + 1] = {
    /* ends with NULL */
    &bench_engine_varve,
#ifdef BENCH_HAVE_ROCKSDB
    &bench_engine_rocksdb,
#endif
#ifdef BENCH_HAVE_LEVELDB
    &bench_engine_leveldb,
#endif
#ifdef BENCH_HAVE_LMDB
    &bench_engine_lmdb,
#endif
};

static const char help[] =
    "usage: bench [option]...\n"
    "Runs varve and its peers side by side and prints how they compare.\n"
    "\n"
    "  --only WORKLOAD,...    run these (and the fill before them); --list names them\n"
    "  --engines NAME,...     of those built in\n"
    "  --num N                records; 1000000 (values of 100 bytes; other cases in proportion)\n"
    "  --reps R               repetitions, engines taking turns; 3\n"
    "  --minutes M            begin no further repetition that would end later; 15\n"
    "  --keys decimal|spread  sixteen digits, or keys spread like hashes; decimal\n"
    "  --dir DIR              where to make a temporary directory; beside this program\n"
    "  --json                 every single result, machine-readable\n"
    "  --calibrate            constants of this machine instead\n"
    "  --list                 names of workloads and engines\n"
    "  --help\n";

struct options {
    struct bench_plan plan;
    const char *dir;
    bool json, calibrate, list;
};

void bench_complain(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "\nbench: %s\n", line);
}

static int parse_number(const char *name, const char *text, uint64_t least, uint64_t most,
                        uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *end || end == text || number < least || number > most) {
        bench_complain("--%s takes a number from %llu to %llu, not '%s'", name,
                       (unsigned long long)least, (unsigned long long)most, text);
        return -1;
    }
    *out = number;
    return 0;
}

static bool word_is(const char *word, size_t size, const char *name)
{
    return strlen(name) == size && memcmp(word, name, size) == 0;
}

static int select_workloads(const char *text, struct bench_plan *plan)
{
    memset(plan->selected, 0, sizeof plan->selected);
    for (const char *word = text; *word;) {
        size_t size = strcspn(word, ",");
        bool found = false;
        for (size_t i = 0; i < bench_workload_count; i++) {
            const struct bench_workload *w = &bench_workloads[i];
            if (word_is(word, size, w->name) || word_is(word, size, w->group->name))
                plan->selected[i] = found = true;
        }
        if (!found) {
            bench_complain("no workload '%.*s'; --list names them", (int)size, word);
            return -1;
        }
        word += size + (word[size] == ',');
    }
    return 0;
}

static int select_engines(const char *text, struct bench_plan *plan)
{
    plan->engine_count = 0;
    for (const char *word = text; *word;) {
        size_t size = strcspn(word, ","), at = 0;
        while (engines[at] && !word_is(word, size, engines[at]->name))
            at++;
        if (!engines[at] || plan->engine_count == BENCH_ENGINES_MAX) {
            bench_complain("no engine '%.*s' in this build; --list names them", (int)size, word);
            return -1;
        }
        plan->engines[plan->engine_count++] = engines[at];
        word += size + (word[size] == ',');
    }
    return 0;
}

enum { OPTION_ONLY = 1, OPTION_ENGINES, OPTION_NUM, OPTION_REPS, OPTION_MINUTES, OPTION_KEYS };
enum { OPTION_DIR = OPTION_KEYS + 1, OPTION_JSON, OPTION_CALIBRATE, OPTION_LIST, OPTION_HELP };

static const struct option option_names[] = {{"only", required_argument, NULL, OPTION_ONLY},
                                             {"engines", required_argument, NULL, OPTION_ENGINES},
                                             {"num", required_argument, NULL, OPTION_NUM},
                                             {"reps", required_argument, NULL, OPTION_REPS},
                                             {"minutes", required_argument, NULL, OPTION_MINUTES},
                                             {"keys", required_argument, NULL, OPTION_KEYS},
                                             {"dir", required_argument, NULL, OPTION_DIR},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"calibrate", no_argument, NULL, OPTION_CALIBRATE},
                                             {"list", no_argument, NULL, OPTION_LIST},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

static int parse_keys(const char *text, enum bench_key_shape *out)
{
    if (strcmp(text, "decimal") == 0)
        *out = BENCH_KEYS_DECIMAL;
    else if (strcmp(text, "spread") == 0)
        *out = BENCH_KEYS_SPREAD;
    else {
        bench_complain("--keys takes decimal or spread, not '%s'", text);
        return -1;
    }
    return 0;
}

static int parse_option(int option, struct options *out)
{
    struct bench_plan *plan = &out->plan;
    uint64_t minutes;
    int rc;

    switch (option) {
    case OPTION_ONLY: return select_workloads(optarg, plan);
    case OPTION_ENGINES: return select_engines(optarg, plan);
    case OPTION_NUM: return parse_number("num", optarg, 1000, 1000000000, &plan->records);
    case OPTION_REPS: return parse_number("reps", optarg, 1, 100, &plan->reps);
    case OPTION_MINUTES:
        if ((rc = parse_number("minutes", optarg, 1, 10000, &minutes)) == 0)
            plan->seconds_max = (double)minutes * 60;
        return rc;
    case OPTION_KEYS: return parse_keys(optarg, &plan->keys);
    case OPTION_DIR: out->dir = optarg; return 0;
    case OPTION_JSON: out->json = true; return 0;
    case OPTION_CALIBRATE: out->calibrate = true; return 0;
    case OPTION_LIST: out->list = true; return 0;
    case OPTION_HELP: fputs(help, stdout); exit(0);
    default: return -1;
    }
}

static int parse(int argc, char **argv, struct options *out)
{
    int option;

    *out = (struct options){.plan = {.records = 1000000, .reps = 3, .seconds_max = 15 * 60}};
    for (size_t i = 0; engines[i]; i++)
        out->plan.engines[out->plan.engine_count++] = engines[i];
    for (size_t i = 0; i < bench_workload_count; i++)
        out->plan.selected[i] = true;
    while ((option = getopt_long(argc, argv, "", option_names, NULL)) != -1)
        if (parse_option(option, out) < 0)
            return -1;
    if (optind < argc) {
        bench_complain("what is '%s'? See --help", argv[optind]);
        return -1;
    }
    return 0;
}

static void list(void)
{
    printf("engines:");
    for (size_t i = 0; engines[i]; i++)
        printf(" %s", engines[i]->name);
    for (size_t i = 0; i < bench_workload_count; i++) {
        const struct bench_group *group = bench_workloads[i].group;
        if (i == 0 || group != bench_workloads[i - 1].group)
            printf("\n%s (%s):", group->name, group->about);
        printf(" %s", bench_workloads[i].name);
    }
    printf("\n");
}

/* A fresh directory below `parent`, or beside the program. */
static int make_dir(const char *parent, char *out, size_t size)
{
    char self[400] = ".";
    if (!parent) {
        ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
        self[length > 0 ? length : 0] = 0;
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = 0;
        parent = self;
    }
    if ((size_t)snprintf(out, size, "%s/bench-XXXXXX", parent) >= size || !mkdtemp(out)) {
        bench_complain("no directory can be made in %s: %s", parent, strerror(errno));
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct bench_results results = {0};
    struct options options;
    char dir[448];
    int rc;

    if (parse(argc, argv, &options) < 0)
        return 2;
    if (options.list) {
        list();
        return 0;
    }
    if (make_dir(options.dir, dir, sizeof dir) < 0)
        return 2;
    if (options.calibrate) {
        rc = bench_calibrate(dir, options.json);
    } else {
        options.plan.dir = dir;
        rc = bench_run(&options.plan, &results);
        if (rc == 0 && options.json)
            bench_report_json(&options.plan, &results);
        else if (rc == 0)
            bench_report_tables(&options.plan, &results);
    }
    bench_remove_tree(dir);
    rc = rc < 0 ? 2 : results.failures > 0;
    bench_results_deinit(&results);
    return rc;
}
