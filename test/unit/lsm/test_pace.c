#include "lsm/pace.h"

#include "base/rng.h"
#include "harness/test.h"

static const uint64_t MIB = 1 << 20;

static struct vv_pace_input calm(void)
{
    return (struct vv_pace_input){.debt_free_bytes = 1024 * MIB,
                                  .memtable_max_bytes = 256 * MIB,
                                  .merge_rate = 200 * MIB,
                                  .flush_rate = 300 * MIB,
                                  .merge_share = 8};
}

TEST(little_debt_and_empty_memtables_cost_nothing)
{
    struct vv_pace pace = {0};
    struct vv_pace_input in = calm();
    bool full = true;
    in.debt_bytes = in.debt_free_bytes;
    in.memtable_bytes = in.memtable_max_bytes / 4 * 3;
    CHECK_EQ_U64(vv_pace_rate(&in), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ_U64(vv_pace_admit(&pace, &in, 100 * MIB, &full), 0);
        CHECK(!full);
    }
}

TEST(the_rate_falls_from_twice_to_once_the_sustainable_one_and_never_to_zero)
{
    struct vv_pace_input in = calm();
    uint64_t sustainable = in.merge_rate / 8;
    uint64_t before = UINT64_MAX;
    for (uint64_t debt = in.debt_free_bytes + 1; debt < 100 * in.debt_free_bytes;
         debt += in.debt_free_bytes / 97) {
        in.debt_bytes = debt;
        uint64_t rate = vv_pace_rate(&in);
        CHECK(rate > 0);
        CHECK(rate <= before);
        if (debt > in.debt_free_bytes * 13 / 10 + MIB)
            CHECK(rate < 2 * sustainable);
        if (debt < 39 * (in.debt_free_bytes / 10))
            CHECK(rate >= sustainable);
        before = rate;
    }
    in.debt_bytes = 4 * in.debt_free_bytes;
    CHECK(vv_pace_rate(&in) < sustainable);
    CHECK(vv_pace_rate(&in) > sustainable * 9 / 10);
}

/* What a byte costs in time does not jump, neither at D1 nor at D2 nor at the memtables' 75 %. */
TEST(the_price_of_a_byte_is_continuous)
{
    struct vv_pace_input in = calm();
    double price = 0;
    for (in.debt_bytes = 0; in.debt_bytes < 6 * in.debt_free_bytes; in.debt_bytes += MIB) {
        uint64_t rate = vv_pace_rate(&in);
        double next = rate == 0 ? 0 : 1 / (double)rate;
        CHECK(next >= price);
        CHECK(next - price < 0.08 / (double)in.merge_rate);
        price = next;
    }
    in.debt_bytes = 0;
    price = 0;
    for (in.memtable_bytes = 0; in.memtable_bytes < in.memtable_max_bytes;
         in.memtable_bytes += MIB / 16) {
        uint64_t rate = vv_pace_rate(&in);
        double next = rate == 0 ? 0 : 1 / (double)rate;
        CHECK(next >= price);
        CHECK(next - price < 0.01 / (double)in.flush_rate);
        price = next;
    }
}

TEST(any_numbers_give_a_rate_and_a_wait_of_at_most_a_millisecond)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct vv_pace pace = {0};
    for (int i = 0; i < 200000; i++) {
        struct vv_pace_input in = {
            .now_us = vv_rng_next(&rng) >> vv_rng_below(&rng, 64),
            .debt_bytes = vv_rng_next(&rng) >> vv_rng_below(&rng, 64),
            .debt_free_bytes = vv_rng_next(&rng) >> (1 + vv_rng_below(&rng, 63)),
            .memtable_bytes = vv_rng_next(&rng) >> (1 + vv_rng_below(&rng, 63)),
            .memtable_max_bytes = vv_rng_next(&rng) >> (1 + vv_rng_below(&rng, 63)),
            .merge_rate =
                vv_rng_one_in(&rng, 4) ? 0 : vv_rng_next(&rng) >> (20 + vv_rng_below(&rng, 44)),
            .flush_rate = vv_rng_one_in(&rng, 4) ? 0 : vv_rng_next(&rng) >> vv_rng_below(&rng, 64),
            .merge_share = (double)vv_rng_below(&rng, 1000) / 10,
        };
        bool full = false;
        if (in.debt_free_bytes > 0 && in.debt_bytes / 2 > in.debt_free_bytes)
            CHECK(vv_pace_rate(&in) > 0);
        CHECK(vv_pace_admit(&pace, &in, vv_rng_below(&rng, 1 << 20), &full) <= 1000);
        CHECK_EQ_INT(full, in.memtable_max_bytes > 0 && in.memtable_bytes >= in.memtable_max_bytes);
    }
}

TEST(full_memtables_wait_for_a_flush)
{
    struct vv_pace pace = {0};
    struct vv_pace_input in = calm();
    bool full = false;
    in.memtable_bytes = in.memtable_max_bytes;
    CHECK_EQ_U64(vv_pace_admit(&pace, &in, 1, &full), 1000);
    CHECK(full);
    in.memtable_bytes /= 2;
    CHECK_EQ_U64(vv_pace_admit(&pace, &in, 1, &full), 0);
    CHECK(!full);
}

/* A writer that writes as soon as it may, against a merger and a flusher of fixed speed. */
struct loop {
    struct vv_pace_input in; /* sizes and speeds as measured */
    double merge_rate;       /* as they are */
    double flush_rate;
    double debt, memtable;
    double debt_most, memtable_most;
    uint64_t wait_most_us; /* of one write, all its waits together */
    double written;
};

static void loop_pass_time(struct loop *loop, uint64_t us)
{
    double seconds = (double)us / 1e6;
    double flushed = loop->flush_rate * seconds;
    loop->in.now_us += us;
    loop->debt -= loop->merge_rate * seconds;
    if (loop->debt < 0)
        loop->debt = 0;
    flushed = flushed < loop->memtable ? flushed : loop->memtable;
    loop->memtable -= flushed;
    loop->debt += flushed * loop->in.merge_share;
    if (loop->debt > loop->debt_most)
        loop->debt_most = loop->debt;
}

static void loop_run(struct loop *loop, struct vv_rng *rng, uint64_t seconds, size_t size_max)
{
    struct vv_pace pace = {0};
    uint64_t end_us = loop->in.now_us + seconds * 1000000;
    while (loop->in.now_us < end_us) {
        size_t size = 1 + vv_rng_below(rng, size_max);
        uint64_t waited_us = 0;
        for (;;) {
            bool full;
            loop->in.debt_bytes = (uint64_t)loop->debt;
            loop->in.memtable_bytes = (uint64_t)loop->memtable;
            uint64_t wait_us = vv_pace_admit(&pace, &loop->in, size, &full);
            if (wait_us == 0)
                break;
            loop_pass_time(loop, wait_us);
            waited_us += wait_us;
        }
        loop->memtable += (double)size;
        loop->written += (double)size;
        if (loop->memtable > loop->memtable_most)
            loop->memtable_most = loop->memtable;
        if (waited_us > loop->wait_most_us)
            loop->wait_most_us = waited_us;
        loop_pass_time(loop, 1 + size / 500); /* what writing itself takes */
    }
}

TEST(debt_never_passes_its_limit_however_hard_one_writes)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct loop loop = {.in = calm()};
    loop.in.debt_free_bytes = 128 * MIB;
    loop.merge_rate = (double)loop.in.merge_rate;
    loop.flush_rate = (double)loop.in.flush_rate;
    loop_run(&loop, &rng, 60, 64 << 10);
    CHECK(loop.debt_most > 3.0 * (double)loop.in.debt_free_bytes);
    CHECK(loop.debt_most <= 4.0 * (double)loop.in.debt_free_bytes);
    CHECK(loop.memtable_most < (double)loop.in.memtable_max_bytes);
    CHECK(loop.wait_most_us < 5000);
    double sustainable = loop.merge_rate / loop.in.merge_share;
    CHECK(loop.written > 60 * sustainable);
}

TEST(a_slow_flush_brakes_before_the_memtables_are_full)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct loop loop = {.in = calm()};
    loop.in.flush_rate = 10 * MIB;
    loop.in.merge_rate = 1000 * MIB;
    loop.merge_rate = (double)loop.in.merge_rate;
    loop.flush_rate = (double)loop.in.flush_rate;
    loop_run(&loop, &rng, 120, 16 << 10);
    CHECK(loop.memtable_most > 0.9 * (double)loop.in.memtable_max_bytes);
    CHECK(loop.memtable_most < (double)loop.in.memtable_max_bytes);
    CHECK(loop.wait_most_us < 5000);
}

/* The measured speed is twice the real one: the debt settles a little above its limit. */
TEST(a_wrong_measurement_does_not_let_the_debt_run_away)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct loop loop = {.in = calm()};
    loop.in.debt_free_bytes = 64 * MIB;
    loop.merge_rate = (double)loop.in.merge_rate / 2;
    loop.flush_rate = (double)loop.in.flush_rate;
    loop_run(&loop, &rng, 60, 64 << 10);
    CHECK(loop.debt_most < 9.0 * (double)loop.in.debt_free_bytes);
}
