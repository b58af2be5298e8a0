#include "lsm/pace.h"

#include "base/check.h"

enum {
    WAIT_MAX_US = 1000,
    BURST_US = 4000, /* what may be saved up */
    US_PER_SECOND = 1000000,
};

static const double RATE_MIN = 64 << 10;   /* however slow the disk: never zero */
static const double RATE_GUESS = 32 << 20; /* while nothing has been measured */
static const double SHARE_MAX = 20;
static const double EASE = 0.1; /* part of a span in which the brake comes on */
/* Both spans end a little before the limit, so that what is under way does not pass it. */
static const double DEBT_SPAN = 2.9; /* in D1, of the 3 from D1 to D2 */
static const double MEMTABLE_FREE = 0.75;
static const double MEMTABLE_SPAN = 0.2;

/*
 * How many times the sustainable rate may be written at the point `at` of a span (0: its beginning,
 * 1: its end): from twice to once. The time that a byte costs grows from nothing within the first
 * tenth of the span, so that nobody feels a jolt at its beginning. Behind its end the rate falls
 * below the sustainable one, so that a debt that came by surprise is worked off.
 */
static double brake(double at)
{
    if (at >= 1)
        return 1 / at;
    double factor = 2 - at;
    return at < EASE ? factor * EASE / at : factor;
}

/* UINT64_MAX and more mean that there is no limit. */
static double debt_limit(const struct vv_pace_input *in)
{
    if (in->debt_bytes <= in->debt_free_bytes)
        return (double)UINT64_MAX;
    double free_bytes = in->debt_free_bytes > 0 ? (double)in->debt_free_bytes : 1;
    double at = ((double)in->debt_bytes - free_bytes) / (DEBT_SPAN * free_bytes);
    double share = in->merge_share < 1 ? 1 : in->merge_share;
    if (share > SHARE_MAX)
        share = SHARE_MAX;
    double rate = in->merge_rate > 0 ? (double)in->merge_rate : RATE_GUESS;
    return at > 0 ? rate / share * brake(at) : (double)UINT64_MAX;
}

static double memtable_limit(const struct vv_pace_input *in)
{
    double free_bytes = MEMTABLE_FREE * (double)in->memtable_max_bytes;
    double over = (double)in->memtable_bytes - free_bytes;
    if (over <= 0)
        return (double)UINT64_MAX;
    double at = over / (MEMTABLE_SPAN * (double)in->memtable_max_bytes + 1);
    return (in->flush_rate > 0 ? (double)in->flush_rate : RATE_GUESS) * brake(at);
}

/* The rate as a number that is exact enough for tokens; 0 for unlimited. */
static double limit(const struct vv_pace_input *in)
{
    double debt = debt_limit(in);
    double memtable = memtable_limit(in);
    double rate = debt < memtable ? debt : memtable;
    if (rate >= (double)UINT64_MAX)
        return 0;
    return rate < RATE_MIN ? RATE_MIN : rate;
}

uint64_t vv_pace_rate(const struct vv_pace_input *in)
{
    return (uint64_t)limit(in);
}

/* What has been earned since the last call. */
static void refill(struct vv_pace *pace, uint64_t now_us, double rate)
{
    double burst = rate * BURST_US / US_PER_SECOND;
    if (now_us > pace->last_us)
        pace->tokens += rate * (double)(now_us - pace->last_us) / US_PER_SECOND;
    if (pace->tokens > burst)
        pace->tokens = burst;
    pace->last_us = now_us;
}

uint64_t vv_pace_admit(struct vv_pace *pace, const struct vv_pace_input *in, size_t size_bytes,
                       bool *full)
{
    *full = in->memtable_max_bytes > 0 && in->memtable_bytes >= in->memtable_max_bytes;
    if (*full)
        return WAIT_MAX_US;
    double rate = limit(in);
    if (!(rate > 0)) {
        *pace = (struct vv_pace){.tokens = 0, .last_us = in->now_us};
        return 0;
    }
    refill(pace, in->now_us, rate);
    if (pace->tokens >= 0) {
        pace->tokens -= (double)size_bytes;
        return 0;
    }
    double wait_us = -pace->tokens / rate * US_PER_SECOND;
    return wait_us >= WAIT_MAX_US ? WAIT_MAX_US : (uint64_t)wait_us + 1;
}
