/*
 * Background work: which job takes the next step.
 *
 * Jobs are kept in a list; a step is taken by whichever thread tends. Before each step the most
 * urgent one is chosen anew, so that a flush waits for one step of a merge, never for the merge.
 */
#include "lsm/job.h"

enum {
    MERGES_MAX = 4,
    IDLE_US = 500000,
    ZERO_HASTE =
        2, /* with so many times the runs it should have, level 0 waits for no other merge */
    SPACE_TURN = 8, /* of so many steps of merges, one is for the value log */
};

void vv_job_measure(_Atomic(uint64_t) *rate, uint64_t bytes, uint64_t us)
{
    if (bytes < 4096)
        return;
    uint64_t now = bytes * 1000000 / (us > 0 ? us : 1);
    uint64_t old = atomic_load_explicit(rate, memory_order_relaxed);
    atomic_store_explicit(rate, old == 0 ? now : old - old / 8 + now / 8, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------ idleness */

bool vv_lsm_idle_locked(struct vv_lsm *lsm)
{
    vv_mutex_assert_held(&lsm->mu);
    uint64_t clock = atomic_load_explicit(&lsm->write_clock, memory_order_relaxed);
    uint64_t now_us = vv_env_now_us(lsm->options.env);
    if (clock != lsm->idle_clock) {
        lsm->idle_clock = clock;
        lsm->idle_since_us = now_us;
    }
    return lsm->settlers > 0 || now_us - lsm->idle_since_us >= IDLE_US;
}

/* ------------------------------------------------------------------------------------ starting */

static void add_job_locked(struct vv_lsm *lsm, struct vv_job *job)
{
    vv_mutex_assert_held(&lsm->mu);
    job->running = true;
    job->next = lsm->jobs;
    lsm->jobs = job;
}

static bool has_flush_locked(const struct vv_lsm *lsm)
{
    for (const struct vv_job *job = lsm->jobs; job != NULL; job = job->next) {
        if (job->is_flush)
            return true;
    }
    return false;
}

static size_t merge_count_locked(const struct vv_lsm *lsm)
{
    size_t count = 0;
    for (const struct vv_job *job = lsm->jobs; job != NULL; job = job->next)
        count += job->is_flush || job->is_collection ? 0 : 1;
    return count;
}

static struct vv_job *collection_locked(const struct vv_lsm *lsm)
{
    struct vv_job *job = lsm->jobs;
    while (job != NULL && !job->is_collection)
        job = job->next;
    return job;
}

static bool has_urgent_merge_locked(const struct vv_lsm *lsm)
{
    const struct vv_job *job = lsm->jobs;
    while (job != NULL && job->urgency != VV_URGENT_L0)
        job = job->next;
    return job != NULL;
}

/* The most urgent job that waits for its next step. */
static struct vv_job *waiting_locked(const struct vv_lsm *lsm)
{
    struct vv_job *best = NULL;
    for (struct vv_job *job = lsm->jobs; job != NULL; job = job->next) {
        if (!job->running && (best == NULL || job->urgency < best->urgency))
            best = job;
    }
    return best;
}

static void finish_manual_locked(struct vv_lsm *lsm, struct vv_manual **at)
{
    struct vv_manual *manual = *at;
    vv_mutex_assert_held(&lsm->mu);
    *at = manual->next;
    vv_buf_deinit(&manual->from);
    vv_buf_deinit(&manual->to);
    vv_free(manual);
}

static vv_slice bound_of(bool has, const struct vv_buf *key)
{
    static const uint8_t nothing[1] = {0};
    if (!has)
        return VV_SLICE_EMPTY;
    return key->size > 0 ? vv_buf_slice(key) : vv_slice_of(nothing, 0);
}

/* Nobody is at work on the tables in the way: they were given up. Who asked must not wait for ever. */
static int give_up_manual_locked(struct vv_lsm *lsm, struct vv_manual **at)
{
    finish_manual_locked(lsm, at);
    return vv_fail(VV_CORRUPT, "a compaction cannot pass tables whose merging has failed");
}

/* Plans for those who asked for a compaction; requests that are fulfilled go. */
static int pick_manual_locked(struct vv_lsm *lsm, const struct vv_version *version,
                              struct vv_plan *plan)
{
    struct vv_manual **at = &lsm->manuals;
    while (*at != NULL) {
        struct vv_manual *manual = *at;
        bool blocked = false;
        if (atomic_load(&lsm->flushed_id) < manual->memtable) {
            at = &manual->next;
            continue;
        }
        struct vv_pick_request request = {
            .from = bound_of(manual->has_from, &manual->from),
            .to = bound_of(manual->has_to, &manual->to),
            .before = manual->before,
            .through = manual->through,
        };
        int rc = vv_pick_range(version, &lsm->shape, &request, plan, &blocked);
        if (rc < 0 || plan->reason != VV_PLAN_NONE)
            return rc;
        if (blocked && merge_count_locked(lsm) == 0)
            return give_up_manual_locked(lsm, at);
        if (blocked)
            at = &manual->next;
        else
            finish_manual_locked(lsm, at);
    }
    return VV_OK;
}

struct vv_shape vv_lsm_shape(const struct vv_lsm *lsm, const struct vv_version *version)
{
    struct vv_shape shape = lsm->shape;
    uint64_t total = 0;
    for (int level = 0; level < VV_LEVELS; level++)
        total += version->levels[level].bytes;
    /* Tables grow with the store, so that a few thousand descriptors are enough for any. */
    while (shape.table_bytes < total / 4096)
        shape.table_bytes *= 2;
    return shape;
}

static bool has_expiring(const struct vv_version *version)
{
    for (int level = 0; level < VV_LEVELS; level++)
        for (size_t i = 0; i < version->levels[level].count; i++)
            if (version->levels[level].tables[i]->facts.expiring > 0)
                return true;
    return false;
}

static uint64_t now_ms(const struct vv_lsm *lsm)
{
    const struct vv_host *host = lsm->options.host;
    return host->now_ms == NULL ? 0 : host->now_ms(host->context);
}

enum choice { CHOOSE_ANY, CHOOSE_ZERO };

static int choose_locked(struct vv_lsm *lsm, const struct vv_version *version, enum choice choice,
                         struct vv_plan *plan)
{
    struct vv_shape shape = vv_lsm_shape(lsm, version);
    if (version->l0_count >= (size_t)ZERO_HASTE * shape.l0_runs && !has_urgent_merge_locked(lsm)) {
        int rc = vv_pick_zero(version, &shape, plan);
        if (rc < 0 || plan->reason != VV_PLAN_NONE)
            return rc;
    }
    if (choice == CHOOSE_ZERO)
        return VV_OK;
    int rc = pick_manual_locked(lsm, version, plan);
    if (rc == VV_OK && plan->reason == VV_PLAN_NONE)
        rc = vv_pick(version, &shape, vv_lsm_idle_locked(lsm), plan);
    if (rc == VV_OK && plan->reason == VV_PLAN_NONE && has_expiring(version))
        rc = vv_pick_expired(version, &shape, now_ms(lsm), plan);
    return rc;
}

/* A new merge, already running; VV_NOTFOUND when the tree has a good shape. */
static int start_merge_locked(struct vv_lsm *lsm, enum choice choice, struct vv_job **out)
{
    vv_mutex_assert_held(&lsm->mu);
    struct vv_plan plan = {0};
    if (lsm->pauses > 0 || lsm->ingests > 0 || merge_count_locked(lsm) >= MERGES_MAX)
        return VV_NOTFOUND;
    struct vv_version *version = vv_lsm_version(lsm);
    int rc = choose_locked(lsm, version, choice, &plan);
    if (rc == VV_OK && plan.reason == VV_PLAN_NONE)
        rc = VV_NOTFOUND;
    if (rc == VV_OK)
        rc = vv_merge_job_new_locked(lsm, version, ++lsm->last_job_id, &plan, out);
    else
        vv_plan_deinit(&plan);
    if (rc == VV_OK)
        add_job_locked(lsm, *out);
    vv_mutex_unlock(&lsm->mu);
    vv_version_unref(version); /* may remove files */
    vv_mutex_lock(&lsm->mu);
    return rc;
}

/* Flush and collection jobs look at things of their own locks, so they are made without mu. */
static int start_unlocked(struct vv_lsm *lsm, int (*make)(struct vv_lsm *, struct vv_job **),
                          struct vv_job **out)
{
    vv_mutex_assert_held(&lsm->mu);
    vv_mutex_unlock(&lsm->mu);
    int rc = make(lsm, out);
    vv_mutex_lock(&lsm->mu);
    if (rc == VV_OK)
        add_job_locked(lsm, *out);
    return rc;
}

static int make_collection(struct vv_lsm *lsm, struct vv_job **out)
{
    vv_mutex_lock(&lsm->mu);
    bool idle = vv_lsm_idle_locked(lsm);
    vv_mutex_unlock(&lsm->mu);
    return vv_collect_job_new(lsm, idle, out);
}

static int start_flush_locked(struct vv_lsm *lsm, struct vv_job **out)
{
    if (lsm->frozen_count == 0 || has_flush_locked(lsm) || lsm->starting_flush)
        return VV_NOTFOUND;
    lsm->starting_flush = true;
    int rc = start_unlocked(lsm, vv_flush_job_new, out);
    lsm->starting_flush = false;
    return rc;
}

static int start_collection_locked(struct vv_lsm *lsm, struct vv_job **out)
{
    if (lsm->pauses > 0 || collection_locked(lsm) != NULL || lsm->starting_collection)
        return VV_NOTFOUND;
    lsm->starting_collection = true;
    int rc = start_unlocked(lsm, make_collection, out);
    lsm->starting_collection = false;
    return rc;
}

static int resume_locked(struct vv_job *job, struct vv_job **out)
{
    if (job == NULL || job->running)
        return VV_NOTFOUND;
    job->running = true;
    *out = job;
    return VV_OK;
}

/* A merge that was begun goes on before another begins, but for one of level 0 in great haste: every
 * lookup visits all of its runs. */
static int next_merge_locked(struct vv_lsm *lsm, struct vv_job **out)
{
    struct vv_job *waiting = waiting_locked(lsm);
    if (waiting == NULL || waiting->urgency >= VV_URGENT_SPACE)
        return start_merge_locked(lsm, CHOOSE_ANY, out);
    if (waiting->urgency > VV_URGENT_L0) {
        int rc = start_merge_locked(lsm, CHOOSE_ZERO, out);
        if (rc != VV_NOTFOUND)
            return rc;
    }
    return resume_locked(waiting, out);
}

static int next_collection_locked(struct vv_lsm *lsm, struct vv_job **out)
{
    int rc = resume_locked(collection_locked(lsm), out);
    return rc != VV_NOTFOUND ? rc : start_collection_locked(lsm, out);
}

static int start_drop_locked(struct vv_lsm *lsm, struct vv_job **out)
{
    if (lsm->pauses > 0 || lsm->starting_drop)
        return VV_NOTFOUND;
    lsm->starting_drop = true;
    int rc = start_unlocked(lsm, vv_drop_job_new, out);
    lsm->starting_drop = false;
    return rc;
}

/* The job to step next: a flush before all, then what may be dropped, then merges, then collection. While there are always
 * merges, collection has its turn all the same, or garbage would grow without end. */
static int next_job_locked(struct vv_lsm *lsm, struct vv_job **out)
{
    int rc = start_flush_locked(lsm, out);
    if (rc != VV_NOTFOUND)
        return rc;
    struct vv_job *waiting = waiting_locked(lsm);
    if (waiting != NULL && waiting->is_flush)
        return resume_locked(waiting, out);
    if ((rc = start_drop_locked(lsm, out)) != VV_NOTFOUND)
        return rc;
    if (++lsm->merge_turns >= SPACE_TURN) {
        lsm->merge_turns = 0;
        if ((rc = next_collection_locked(lsm, out)) != VV_NOTFOUND)
            return rc;
    }
    rc = next_merge_locked(lsm, out);
    return rc != VV_NOTFOUND ? rc : next_collection_locked(lsm, out);
}

/* ------------------------------------------------------------------------------------- stepping */

static void remove_job(struct vv_lsm *lsm, struct vv_job *job)
{
    vv_mutex_lock(&lsm->mu);
    struct vv_job **at = &lsm->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    vv_mutex_unlock(&lsm->mu);
    job->ops->free(job);
}

/* A job that failed is given up; what it read is untouched, so it can be tried again later. */
static int step_job(struct vv_lsm *lsm, struct vv_job *job)
{
    bool done = false;
    int rc = job->ops->step(job, &done);
    if (rc == VV_OK && !done) {
        vv_mutex_lock(&lsm->mu);
        job->running = false;
        vv_mutex_unlock(&lsm->mu);
        return VV_OK;
    }
    remove_job(lsm, job);
    return rc;
}

/* One step, and a seal where sealing would otherwise wait for all the merging to be done. */
static int work(struct vv_lsm *lsm, struct vv_job *job)
{
    bool urgent = job->is_flush;
    bool sealed;
    int rc = step_job(lsm, job);
    if (rc == VV_OK && !urgent && vv_lsm_stow_behind(lsm))
        rc = vv_lsm_stow_seal(lsm, &sealed);
    return rc;
}

int vv_lsm_tend(struct vv_engine *e, enum vv_tended *out)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_job *job = NULL;
    bool worked = false;
    *out = VV_TENDED_IDLE;
    if (lsm->options.readonly)
        return VV_OK;
    if (lsm->wal != NULL)
        vv_wal_push(lsm->wal);
    vv_lsm_stow_push(lsm);
    vv_epoch_collect(lsm->epoch);
    vv_mutex_lock(&lsm->mu);
    int rc = lsm->closing ? VV_NOTFOUND : next_job_locked(lsm, &job);
    vv_mutex_unlock(&lsm->mu);
    if (rc == VV_OK) {
        rc = work(lsm, job);
        worked = rc == VV_OK;
    } else if (rc == VV_NOTFOUND) {
        rc = vv_lsm_do_chore(lsm, &worked);
    }
    *out = worked ? VV_TENDED_WORKED : VV_TENDED_IDLE;
    return rc < 0 ? rc : VV_OK;
}

void vv_lsm_drop_jobs(struct vv_lsm *lsm)
{
    while (lsm->jobs != NULL) {
        struct vv_job *job = lsm->jobs;
        lsm->jobs = job->next;
        job->ops->free(job);
    }
    vv_mutex_lock(&lsm->mu);
    while (lsm->manuals != NULL)
        finish_manual_locked(lsm, &lsm->manuals);
    vv_mutex_unlock(&lsm->mu);
}

/* ----------------------------------------------------------------------------------- on request */

int vv_lsm_flush_begin(struct vv_engine *e, uint64_t *ticket)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    int rc = VV_OK;
    vv_mutex_lock(&lsm->write_mu);
    *ticket = lsm->active_id - 1;
    if (vv_memtable_count(lsm->active) > 0) {
        vv_mutex_lock(&lsm->mu);
        bool room = lsm->frozen_count < VV_FROZEN_MAX;
        vv_mutex_unlock(&lsm->mu);
        rc = room ? vv_lsm_freeze_locked(lsm)
                  : vv_fail(VV_BUSY, "%d memtables wait to be flushed", VV_FROZEN_MAX);
        if (rc == VV_OK)
            *ticket = lsm->active_id - 1;
    }
    vv_mutex_unlock(&lsm->write_mu);
    return rc;
}

bool vv_lsm_flush_done(struct vv_engine *e, uint64_t ticket)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    return atomic_load(&lsm->flushed_id) >= ticket;
}

static int copy_bound(const vv_slice *key, bool *has, struct vv_buf *out)
{
    *has = key != NULL;
    return key != NULL ? vv_buf_assign(out, *key) : VV_OK;
}

int vv_lsm_compact_begin(struct vv_engine *e, const vv_slice *from, const vv_slice *to,
                         uint64_t *ticket)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct vv_manual *manual = vv_alloc_zero(sizeof *manual);
    int rc;
    if (manual == NULL)
        return VV_NOMEM;
    if ((rc = vv_lsm_flush_begin(e, &manual->memtable)) < 0 ||
        (rc = copy_bound(from, &manual->has_from, &manual->from)) < 0 ||
        (rc = copy_bound(to, &manual->has_to, &manual->to)) < 0) {
        vv_buf_deinit(&manual->from);
        vv_buf_deinit(&manual->to);
        vv_free(manual);
        return rc;
    }
    /* Tables that the flush makes, and that the merges make, come after this number. */
    manual->before = atomic_load(&lsm->next_file);
    vv_mutex_lock(&lsm->write_mu);
    manual->through = lsm->found_seq;
    vv_mutex_unlock(&lsm->write_mu);
    vv_mutex_lock(&lsm->mu);
    manual->ticket = *ticket = ++lsm->last_ticket;
    struct vv_manual **end = &lsm->manuals;
    while (*end != NULL)
        end = &(*end)->next;
    *end = manual;
    vv_mutex_unlock(&lsm->mu);
    lsm->options.host->wake(lsm->options.host->context);
    return VV_OK;
}

bool vv_lsm_compact_done(struct vv_engine *e, uint64_t ticket)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    bool found = false;
    vv_mutex_lock(&lsm->mu);
    for (const struct vv_manual *m = lsm->manuals; m != NULL; m = m->next)
        found = found || m->ticket == ticket;
    vv_mutex_unlock(&lsm->mu);
    return !found;
}

void vv_lsm_pause(struct vv_engine *e, int change)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    vv_mutex_lock(&lsm->mu);
    lsm->pauses += change;
    vv_assert(lsm->pauses >= 0);
    vv_mutex_unlock(&lsm->mu);
    lsm->options.host->wake(lsm->options.host->context);
}

void vv_lsm_settle(struct vv_engine *e, int change)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    vv_mutex_lock(&lsm->mu);
    lsm->settlers += change;
    vv_assert(lsm->settlers >= 0);
    vv_mutex_unlock(&lsm->mu);
    lsm->options.host->wake(lsm->options.host->context);
}
