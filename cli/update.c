/*
 * Values that change or end: ttl, expire, persist, incr, merge.
 *
 * A time is a number and a unit: 250ms, 90s, 15m, 12h, 7d; without a unit it is seconds.
 */
#include "command.h"
#include "shell.h"

#include <stdlib.h>
#include <string.h>

static bool unit_of(const char *text, size_t size, uint64_t *unit_ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1000},   {"ms", 1},          {"s", 1000},
                 {"m", 60000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) == size && memcmp(units[i].name, text, size) == 0) {
            *unit_ms = units[i].ms;
            return true;
        }
    }
    return false;
}

int cli_parse_time(varve_slice text, uint64_t *out_ms)
{
    const char *at = text.data;
    uint64_t number = 0, unit_ms = 0;
    size_t i = 0;
    bool fits = true;
    for (; i < text.size && at[i] >= '0' && at[i] <= '9' && fits; i++) {
        fits = number <= (UINT64_MAX - 9) / 10;
        number = number * 10 + (uint64_t)(at[i] - '0');
    }
    if (i == 0 || !fits || !unit_of(at + i, text.size - i, &unit_ms) || number == 0 ||
        number > UINT64_MAX / 2 / unit_ms)
        return cli_complain("'%.*s' is no time; give one as 90s, 15m, 12h or 7d", (int)text.size,
                            at);
    *out_ms = number * unit_ms;
    return CLI_FINE;
}

/* Everything here works on the store itself. */
static int outside_txn(struct cli_job *job, const char *what)
{
    return cli_txn(job) == NULL
               ? CLI_FINE
               : cli_complain("%s is no part of a transaction; end it first", what);
}

/* Says how it went with a key that may be missing. */
static int answer(struct cli_job *job, int rc, const char *what)
{
    if (rc < 0)
        return cli_complain_store(rc, "%s", what);
    if (job->shell != NULL)
        cli_out_text(job->out, rc == VARVE_OK ? "OK\n" : "(not found)\n");
    return rc == VARVE_OK ? CLI_FINE : CLI_NO;
}

int cli_run_ttl(struct cli_job *job)
{
    uint64_t ms = 0;
    if (outside_txn(job, "ttl") != CLI_FINE)
        return CLI_ERROR;
    int rc = varve_ttl(job->db, job->args.operands[0].bytes, &ms);
    if (rc != VARVE_OK)
        return answer(job, rc, "ttl");
    if (ms == VARVE_TTL_NONE)
        cli_out_text(job->out, "never\n");
    else
        cli_out_printf(job->out, "%llu.%03llus\n", (unsigned long long)(ms / 1000),
                       (unsigned long long)(ms % 1000));
    return CLI_FINE;
}

int cli_run_expire(struct cli_job *job)
{
    const struct cli_operand *operands = job->args.operands;
    uint64_t ms = 0;
    if (outside_txn(job, "expire") != CLI_FINE ||
        cli_parse_time(operands[1].bytes, &ms) != CLI_FINE)
        return CLI_ERROR;
    return answer(job, varve_expire(job->db, operands[0].bytes, ms), "expire");
}

int cli_run_persist(struct cli_job *job)
{
    if (outside_txn(job, "persist") != CLI_FINE)
        return CLI_ERROR;
    return answer(job, varve_persist(job->db, job->args.operands[0].bytes), "persist");
}

static int parse_delta(varve_slice text, int64_t *out)
{
    const char *at = text.data;
    bool minus = text.size > 0 && at[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + (minus ? 1 : 0);
    uint64_t number = 0;
    size_t i = minus ? 1 : 0;
    bool good = i < text.size;
    for (; good && i < text.size; i++) {
        uint64_t digit = (uint64_t)(unsigned char)at[i] - '0';
        good = digit <= 9 && number <= (limit - (digit <= 9 ? digit : 0)) / 10;
        number = number * 10 + digit;
    }
    if (!good)
        return cli_complain("'%.*s' is no whole number of 64 bits", (int)text.size, at);
    *out = minus ? (int64_t)(0 - number) : (int64_t)number;
    return CLI_FINE;
}

int cli_run_incr(struct cli_job *job)
{
    const struct cli_operand *operands = job->args.operands;
    int64_t delta = 1, sum = 0;
    if (outside_txn(job, "incr") != CLI_FINE ||
        (job->args.count == 2 && parse_delta(operands[1].bytes, &delta) != CLI_FINE))
        return CLI_ERROR;
    int rc = varve_incr(job->db, operands[0].bytes, delta, &sum);
    if (rc < 0)
        return cli_complain_store(rc, "incr");
    cli_out_printf(job->out, "%lld\n", (long long)sum);
    return CLI_FINE;
}

int cli_run_merge(struct cli_job *job)
{
    const struct cli_operand *operands = job->args.operands;
    if (outside_txn(job, "merge") != CLI_FINE)
        return CLI_ERROR;
    return answer(job, varve_merge(job->db, operands[0].bytes, operands[1].bytes), "merge");
}
