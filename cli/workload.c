#include "workload.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "job.h"
#include "progress.h"

#include <stdio.h>
#include <string.h>

/* A walk is timed by one step in so many, because the clock takes longer than a step. */
enum { WALK_STRIDE = 16 };

/* --------------------------------------------------------------------------- keys and values */

uint8_t *cli_load_pool(const struct cli_load_plan *plan)
{
    enum { PIECE = 128 };
    size_t size = CLI_BENCH_POOL_BYTES + (size_t)plan->value_size;
    uint8_t *pool = vv_alloc(size);
    struct vv_rng rng = vv_rng_of(plan->seed);
    size_t fresh = (size_t)(plan->compressible * PIECE);
    if (pool == NULL)
        return NULL;
    /* Each piece begins with bytes that nothing can compress and goes on with one byte over. */
    for (size_t i = 0; i < size; i++)
        pool[i] = i % PIECE < fresh ? (uint8_t)vv_rng_next(&rng) : (uint8_t)'v';
    return pool;
}

/* Four Feistel rounds over the smallest even number of bits that hold num, again until the result
 * lies below it. */
uint64_t cli_load_shuffle(uint64_t index, uint64_t num, uint64_t seed)
{
    unsigned half = 1;
    while (half < 31 && ((uint64_t)1 << 2 * half) < num)
        half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = index >> half;
        uint64_t right = index & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t mixed = vv_mix(right + (seed * 4 + round + 1) * 0x9e3779b97f4a7c15u) & mask;
            uint64_t next = left ^ mixed;
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= num);
    return index;
}

static uint64_t next_random(struct cli_worker *w)
{
    struct vv_rng rng = {w->random};
    uint64_t value = vv_rng_below(&rng, w->plan->num);
    w->random = rng.state;
    return value;
}

static varve_slice key_of(struct cli_worker *w, uint64_t number)
{
    size_t size = (size_t)w->plan->key_size;
    for (size_t i = size; i-- > 0; number /= 10)
        w->key[i] = (uint8_t)('0' + number % 10);
    return varve_bytes(w->key, size);
}

static varve_slice next_value(struct cli_worker *w)
{
    size_t size = (size_t)w->plan->value_size;
    w->pool_at = (w->pool_at + size + 1) % CLI_BENCH_POOL_BYTES;
    return varve_bytes(w->pool + w->pool_at, size);
}

/* --------------------------------------------------------------------------------------- steps */

static void count_entry(struct cli_worker *w, size_t bytes)
{
    w->bytes += bytes;
    /* Only this thread writes it. */
    uint64_t done = atomic_load_explicit(&w->done, memory_order_relaxed);
    atomic_store_explicit(&w->done, done + 1, memory_order_relaxed);
}

static int put_number(struct cli_worker *w, uint64_t number)
{
    varve_slice key = key_of(w, number);
    varve_slice value = next_value(w);
    count_entry(w, key.size + value.size);
    return w->plan->batch == 1 ? varve_put(w->db, key, value)
                               : varve_batch_put(w->batch, key, value);
}

static int delete_number(struct cli_worker *w, uint64_t number)
{
    varve_slice key = key_of(w, number);
    count_entry(w, key.size);
    return w->plan->batch == 1 ? varve_delete(w->db, key) : varve_batch_delete(w->batch, key);
}

/* Writes the batch when it is full, or when `index` is the last one. */
static int end_write(struct cli_worker *w, uint64_t index, int rc)
{
    if (rc < 0 || w->plan->batch == 1)
        return rc;
    if (varve_batch_count(w->batch) < w->plan->batch && index + 1 < w->end)
        return VARVE_OK;
    rc = varve_write(w->db, w->batch, NULL);
    varve_batch_clear(w->batch);
    return rc;
}

static int step_fillseq(struct cli_worker *w, uint64_t index)
{
    return end_write(w, index, put_number(w, index));
}

static int step_fillrandom(struct cli_worker *w, uint64_t index)
{
    uint64_t number = cli_load_shuffle(index, w->plan->num, w->plan->seed);
    return end_write(w, index, put_number(w, number));
}

static int step_overwrite(struct cli_worker *w, uint64_t index)
{
    return end_write(w, index, put_number(w, next_random(w)));
}

static int step_deleterandom(struct cli_worker *w, uint64_t index)
{
    return end_write(w, index, delete_number(w, next_random(w)));
}

static int get_key(struct cli_worker *w, varve_slice key)
{
    varve_pinned value;
    int rc = varve_get(w->db, key, &value);
    if (rc < 0)
        return rc;
    count_entry(w, key.size + (rc == VARVE_OK ? value.size : 0));
    if (rc == VARVE_OK) {
        w->found++;
        varve_unpin(&value);
    }
    return VARVE_OK;
}

static int step_readrandom(struct cli_worker *w, uint64_t index)
{
    (void)index;
    return get_key(w, key_of(w, next_random(w)));
}

/* A letter where a digit should be: as long as the others, among them, and never there. */
static int step_readmissing(struct cli_worker *w, uint64_t index)
{
    (void)index;
    varve_slice key = key_of(w, next_random(w));
    w->key[key.size - 1] = 'x';
    return get_key(w, key);
}

static int read_here(struct cli_worker *w, int rc)
{
    varve_slice value;
    if (rc != VARVE_OK || (rc = varve_iter_value(w->iter, &value)) < 0)
        return rc;
    w->found++;
    count_entry(w, varve_iter_key(w->iter).size + value.size);
    return VARVE_OK;
}

static int step_readseq(struct cli_worker *w, uint64_t index)
{
    (void)index;
    return read_here(w, varve_iter_next(w->iter));
}

static int step_readreverse(struct cli_worker *w, uint64_t index)
{
    (void)index;
    return read_here(w, varve_iter_prev(w->iter));
}

static int step_seekrandom(struct cli_worker *w, uint64_t index)
{
    (void)index;
    int rc = read_here(w, varve_iter_seek(w->iter, key_of(w, next_random(w))));
    if (rc == VARVE_END)
        count_entry(w, 0);
    return rc < 0 ? rc : VARVE_OK;
}

static int step_mixed(struct cli_worker *w, uint64_t index)
{
    uint64_t number = next_random(w);
    if ((w->random >> 40 & 1) != 0)
        return get_key(w, key_of(w, number));
    return end_write(w, index, put_number(w, number));
}

const struct cli_workload cli_workloads[] = {
    {"fillseq", step_fillseq, true, false, false, false},
    {"fillrandom", step_fillrandom, true, false, false, false},
    {"overwrite", step_overwrite, true, false, false, false},
    {"readrandom", step_readrandom, false, true, false, false},
    {"readmissing", step_readmissing, false, true, false, false},
    {"readseq", step_readseq, false, true, true, false},
    {"readreverse", step_readreverse, false, true, true, false},
    {"seekrandom", step_seekrandom, false, true, false, false},
    {"readwhilewriting", step_readrandom, true, true, false, true},
    {"mixed", step_mixed, true, true, false, false},
    {"deleterandom", step_deleterandom, true, true, false, false},
    {0},
};

/* -------------------------------------------------------------------------------------- thread */

static bool is_stopped(const struct cli_worker *w)
{
    return cli_interrupted() ||
           (w->is_over != NULL && atomic_load_explicit(w->is_over, memory_order_relaxed));
}

static int run_steps(struct cli_worker *w)
{
    int rc = VARVE_OK;
    uint64_t stride = w->workload->is_walk ? WALK_STRIDE : 1;
    uint64_t before_ns = cli_now_ns();
    for (uint64_t index = w->begin; index < w->end && rc == VARVE_OK && !is_stopped(w); index++) {
        rc = w->workload->step(w, index);
        if (stride == 1 && varve_batch_count(w->batch) > 0)
            continue; /* a batch is timed as a whole */
        if (stride == 1) {
            uint64_t now_ns = cli_now_ns();
            vv_histogram_add(&w->latency_ns, now_ns - before_ns);
            before_ns = now_ns;
        } else if (index % stride == 0) {
            before_ns = cli_now_ns();
        } else if (index % stride == 1) {
            vv_histogram_add(&w->latency_ns, cli_now_ns() - before_ns);
        }
    }
    return rc;
}

void cli_worker_run(struct cli_worker *w)
{
    w->random = vv_mix(w->plan->seed + w->stream);
    int rc = varve_batch_new(&w->batch);
    if (rc == VARVE_OK && (w->workload->is_walk || w->workload->step == step_seekrandom))
        rc = varve_iter_open(w->db, NULL, &w->iter);
    if (rc == VARVE_OK)
        rc = run_steps(w);
    if (rc < 0) {
        (void)snprintf(w->story, sizeof w->story, "%s", varve_last_error());
        if (w->is_over != NULL)
            atomic_store_explicit(w->is_over, true, memory_order_relaxed);
    }
    w->rc = rc < 0 ? rc : VARVE_OK; /* the end of a walk is no failure */
    varve_iter_close(w->iter);
    varve_batch_free(w->batch);
}
