#include "db/commit.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "db/news.h"
#include "db/work.h"

#include <stdio.h>

enum {
    RANK_HOLD = 13,
    RANK_ENGINE = 14,
    RANK_SETTLE = 16,
    RANK_SYNC = 18,
    RANK_PARKING = 20,

    GROUP_MEMBERS_MAX = 64,
    GROUP_BYTES_MAX = 1 << 20,
    ROUNDS_MAX = 8, /* groups that a leader commits before it lets another lead */
    WAIT_US_MAX = 1000,
};

enum member_state { MEMBER_WAITING, MEMBER_PARKED, MEMBER_LEADS, MEMBER_DONE, MEMBER_GONE };

/* One writer, on its own stack until it is done: whoever says so must not touch it afterwards. A
 * holder lies on the heap, because it may give up waiting (MEMBER_GONE): whoever would have told it
 * to lead frees it. */
struct commit_member {
    struct vv_write *write;             /* NULL for a holder that waits */
    const struct vv_reliance *reliance; /* or NULL */
    bool refused;                       /* its own `rc` stands, whatever becomes of its group */
    enum vv_commit_level level;
    _Atomic(int) state;          /* released by who changes it, acquired by the writer */
    struct commit_member *older; /* NULL for who leads */
    struct commit_member *newer; /* filled in by leaders */
    int rc;
    char story[VV_STORY_SIZE]; /* of a failure; only then is it written */
};

/* What is committed together; on the leader's stack. */
struct commit_group {
    struct vv_write *writes[GROUP_MEMBERS_MAX];
    size_t count;
    size_t bytes;
    vv_seq given; /* with the numbers that its writes will take */
    struct commit_member *first, *last_member;
    size_t member_count; /* with those refused */
    enum vv_commit_level level;
    vv_seq seq_last;
    struct commit_group *next; /* among those that wait to be settled */
    bool done;
    int rc;
    char story[VV_STORY_SIZE];
};

void vv_commit_init(struct vv_commit *c, const struct vv_commit_setup *setup)
{
    *c = (struct vv_commit){
        .env = setup->env,
        .engine = setup->engine,
        .work = setup->work,
        .poison = setup->poison,
        .news = setup->news,
        .visible = setup->visible,
        /* On few cores a waiting loop keeps the leader from the processor it needs. */
        .spins = setup->cpu_count <= 2 ? 3 : 24,
    };
    c->seq_last = atomic_load(setup->visible);
    /* What was recovered may never have been synced: the first sync asked for must not be skipped. */
    c->synced = 0;
    atomic_init(&c->appended, c->seq_last);
    atomic_init(&c->synced_us, vv_env_now_us(setup->env));
    vv_watch_init(&c->watch, setup->account);
    vv_gaps_init(&c->gaps, c->seq_last);
    vv_mutex_init(&c->hold_mu, RANK_HOLD);
    vv_mutex_init(&c->engine_mu, RANK_ENGINE);
    vv_mutex_init(&c->settle_mu, RANK_SETTLE);
    vv_mutex_init(&c->sync_mu, RANK_SYNC);
    vv_cond_init(&c->settled);
    for (int i = 0; i < VV_COMMIT_PARKINGS; i++) {
        vv_mutex_init(&c->parkings[i].mu, RANK_PARKING);
        vv_cond_init(&c->parkings[i].cond);
    }
}

void vv_commit_deinit(struct vv_commit *c)
{
    for (int i = 0; i < VV_COMMIT_PARKINGS; i++) {
        vv_cond_deinit(&c->parkings[i].cond);
        vv_mutex_deinit(&c->parkings[i].mu);
    }
    vv_cond_deinit(&c->settled);
    vv_mutex_deinit(&c->sync_mu);
    vv_mutex_deinit(&c->settle_mu);
    vv_mutex_deinit(&c->engine_mu);
    vv_mutex_deinit(&c->hold_mu);
    vv_watch_deinit(&c->watch);
    vv_gaps_deinit(&c->gaps);
}

/* ---- the queue */

/* True when the queue was empty, and so the newcomer leads. Once it is in, its links are the
 * leader's to change: who was there is not read from them again. */
static bool join(struct vv_commit *c, struct commit_member *m)
{
    struct commit_member *older = atomic_load_explicit(&c->newest, memory_order_relaxed);
    do
        m->older = older;
    while (!atomic_compare_exchange_weak_explicit(&c->newest, &older, m, memory_order_acq_rel,
                                                  memory_order_relaxed));
    return older == NULL;
}

/* Members know who is older; walks from the newest down to tell them who is newer. */
static void link_newer(struct commit_member *newest)
{
    for (struct commit_member *m = newest; m->older != NULL && m->older->newer != m; m = m->older)
        m->older->newer = m;
}

/* Takes the members up to `last` out of the queue. The next one in it leads now, though it does not
 * know yet; NULL when there is none. */
static struct commit_member *leave_behind(struct vv_commit *c, struct commit_member *last)
{
    struct commit_member *newest = last;
    if (atomic_compare_exchange_strong_explicit(&c->newest, &newest, NULL, memory_order_acq_rel,
                                                memory_order_acquire))
        return NULL;
    link_newer(newest);
    struct commit_member *next = last->newer;
    next->older = NULL;
    return next;
}

static struct vv_parking *parking_of(struct vv_commit *c, const struct commit_member *m)
{
    return &c->parkings[vv_mix((uintptr_t)m) % VV_COMMIT_PARKINGS];
}

/* The member may be gone as soon as its state has changed; unless this says false, for one that has
 * given up waiting and is ours now. */
static bool tell(struct vv_commit *c, struct commit_member *m, enum member_state state)
{
    struct vv_parking *parking = parking_of(c, m);
    int before = atomic_exchange_explicit(&m->state, state, memory_order_acq_rel);
    if (before != MEMBER_PARKED)
        return before != MEMBER_GONE;
    vv_mutex_lock(&parking->mu);
    vv_cond_broadcast(&parking->cond);
    vv_mutex_unlock(&parking->mu);
    return true;
}

/* Tells the next in the queue to lead; NULL when it is empty. */
static void hand_over(struct vv_commit *c, struct commit_member *next)
{
    while (next != NULL && !tell(c, next, MEMBER_LEADS)) {
        struct commit_member *gone = next;
        next = leave_behind(c, gone);
        vv_free(gone);
    }
}

static bool told(struct commit_member *m, int *state)
{
    *state = atomic_load_explicit(&m->state, memory_order_acquire);
    return *state == MEMBER_LEADS || *state == MEMBER_DONE;
}

static int await(struct vv_commit *c, struct commit_member *m)
{
    int state;
    for (unsigned i = 0; i < c->spins; i++) {
        if (told(m, &state))
            return state;
        vv_cpu_relax();
    }
    struct vv_parking *parking = parking_of(c, m);
    int waiting = MEMBER_WAITING;
    vv_mutex_lock(&parking->mu);
    (void)atomic_compare_exchange_strong(&m->state, &waiting, MEMBER_PARKED);
    while (!told(m, &state))
        vv_cond_wait(&parking->cond, &parking->mu);
    vv_mutex_unlock(&parking->mu);
    return state;
}

/* ---- a group */

/* Until all that was laid is published: the leader lays nothing meanwhile. */
static void await_published(struct vv_commit *c)
{
    if (atomic_load_explicit(&c->unsettled, memory_order_acquire) == 0)
        return;
    vv_mutex_lock(&c->settle_mu);
    while (c->oldest != NULL)
        vv_cond_wait(&c->settled, &c->settle_mu);
    vv_mutex_unlock(&c->settle_mu);
}

/* The engine's word. It knows only what is published, so nothing may stand between: the group is
 * empty, and all before it has been settled. */
static int judge(struct vv_commit *c, const struct vv_reliance *reliance)
{
    await_published(c);
    int rc = vv_poison_check(c->poison);
    return rc < 0 ? rc : vv_watch_ask(&c->watch, c->engine, reliance);
}

static void refuse(struct commit_member *m, int rc)
{
    m->refused = true;
    m->rc = rc;
    if (rc < 0)
        (void)snprintf(m->story, sizeof m->story, "%s", vv_error_story());
}

/* Takes the member along, as part of the group or refused. False when it has to wait for the next
 * group. The first is always taken. */
static bool group_add(struct vv_commit *c, struct commit_group *g, struct commit_member *m)
{
    bool fits = m->write != NULL && m->level <= g->level && g->count < GROUP_MEMBERS_MAX &&
                (g->count == 0 || m->write->ops.size <= GROUP_BYTES_MAX - g->bytes);
    if (!fits)
        return false;
    bool sure = m->reliance == NULL || vv_watch_sure(&c->watch, m->reliance, g->given);
    if (!sure && g->count > 0)
        return false;
    g->member_count++;
    g->last_member = m;
    int rc = sure ? VV_OK : judge(c, m->reliance);
    if (rc != VV_OK) {
        refuse(m, rc);
        return true;
    }
    if (c->watch.on)
        vv_watch_note(&c->watch, m->write->ops, g->given + 1);
    g->writes[g->count++] = m->write;
    g->bytes += m->write->ops.size;
    g->given += m->write->count;
    return true;
}

static void gather(struct vv_commit *c, struct commit_member *first, struct commit_group *g)
{
    g->count = g->member_count = 0;
    g->bytes = 0;
    g->given = c->seq_last;
    g->first = first;
    g->level = first->level;
    g->next = NULL;
    g->done = false;
    (void)vv_watch_look(&c->watch, c->seq_last);
    (void)group_add(c, g, first);
    struct commit_member *newest = atomic_load_explicit(&c->newest, memory_order_acquire);
    if (newest == first || g->bytes >= GROUP_BYTES_MAX)
        return;
    link_newer(newest);
    for (struct commit_member *m = first; m != newest && group_add(c, g, m->newer); m = m->newer)
        ;
}

static void group_fail(struct commit_group *g, int rc)
{
    g->rc = rc;
    if (rc < 0)
        (void)snprintf(g->story, sizeof g->story, "%s", vv_error_story());
}

/* Tells the members. The group must have left the queue. */
static void complete(struct vv_commit *c, struct commit_group *g)
{
    struct commit_member *m = g->first;
    for (size_t left = g->member_count; left > 0; left--) {
        struct commit_member *next = left > 1 ? m->newer : NULL;
        if (!m->refused) {
            m->rc = g->rc;
            if (g->rc < 0)
                memcpy(m->story, g->story, sizeof m->story);
        }
        (void)tell(c, m, MEMBER_DONE);
        m = next;
    }
}

/* ---- laying */

static void stalled(struct vv_commit *c, uint64_t us)
{
    (void)atomic_fetch_add_explicit(&c->stall_us, us, memory_order_relaxed);
    if (us > atomic_load_explicit(&c->stall_longest_us, memory_order_relaxed))
        atomic_store_explicit(&c->stall_longest_us, us, memory_order_relaxed); /* leader's alone */
}

/* Waits until the engine has room. Bounded by the engine's own word: it asks for no more than its
 * background work needs, and answers with a failure when that cannot go on. */
static int admit(struct vv_commit *c, size_t size_bytes)
{
    uint64_t wait_us = 0;
    int rc = c->engine->ops->admit(c->engine, size_bytes, &wait_us);
    if (rc < 0 || VV_LIKELY(wait_us == 0))
        return rc;
    uint64_t start_us = vv_env_now_us(c->env);
    while (rc == VV_OK && wait_us > 0) {
        rc = vv_work_give_way(c->work, wait_us < WAIT_US_MAX ? wait_us : WAIT_US_MAX);
        if (rc == VV_OK)
            rc = vv_poison_check(c->poison);
        if (rc == VV_OK)
            rc = c->engine->ops->admit(c->engine, size_bytes, &wait_us);
    }
    stalled(c, vv_env_now_us(c->env) - start_us);
    return rc;
}

/* Numbers are spent even when the append fails: bytes that bear them may lie in the log. */
static int give_numbers(struct vv_commit *c, struct commit_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        if (g->writes[i]->count > VV_SEQ_MAX - c->seq_last)
            return vv_fail(VV_LIMIT, "the store has used up its sequence numbers");
        g->writes[i]->first = c->seq_last + 1;
        c->seq_last += g->writes[i]->count;
    }
    g->seq_last = c->seq_last;
    if (VV_UNLIKELY(vv_gaps_look(&c->gaps, c->seq_last)))
        for (size_t i = 0; i < g->count; i++)
            vv_gaps_note(&c->gaps, g->writes[i]->ops, g->writes[i]->first);
    return VV_OK;
}

static int lay(struct vv_commit *c, struct commit_group *g)
{
    int rc = vv_poison_check(c->poison);
    if (rc == VV_OK)
        rc = admit(c, g->bytes);
    if (rc == VV_OK)
        rc = give_numbers(c, g);
    if (rc < 0)
        return rc;
    bool shared = atomic_load_explicit(&c->unsettled, memory_order_acquire) > 0;
    if (shared)
        vv_mutex_lock(&c->engine_mu);
    rc = c->engine->ops->append(c->engine, g->writes, g->count);
    if (shared)
        vv_mutex_unlock(&c->engine_mu);
    if (rc == VV_OK)
        atomic_store_explicit(&c->appended, g->seq_last, memory_order_release);
    return rc;
}

/* What is laid and cannot be found would come back with the next open only: no store to go on with. */
static int publish(struct vv_commit *c, struct commit_group *g)
{
    int rc = c->engine->ops->publish(c->engine, g->writes, g->count);
    if (rc < 0) {
        vv_poison_set(c->poison, rc);
        return rc;
    }
    atomic_store(c->visible, g->seq_last);
    if (vv_news_wanted(c->news))
        vv_news_tell(c->news);
    return VV_OK;
}

/* ---- syncing */

static int sync_through(struct vv_commit *c, vv_seq target)
{
    int rc = VV_OK;
    vv_mutex_lock(&c->sync_mu);
    if (c->synced < target) {
        vv_seq goal = atomic_load_explicit(&c->appended, memory_order_acquire);
        /* A sync that follows a failed one may succeed and prove nothing. */
        rc = vv_poison_check(c->poison);
        if (rc == VV_OK && (rc = c->engine->ops->sync(c->engine)) < 0)
            vv_poison_set(c->poison, rc);
        if (rc == VV_OK) {
            c->synced = goal;
            atomic_store_explicit(&c->synced_us, vv_env_now_us(c->env), memory_order_relaxed);
        }
    }
    vv_mutex_unlock(&c->sync_mu);
    return rc;
}

int vv_commit_sync(struct vv_commit *c)
{
    int rc = vv_poison_check(c->poison);
    if (rc < 0)
        return rc;
    return sync_through(c, atomic_load_explicit(&c->appended, memory_order_acquire));
}

bool vv_commit_unsynced(struct vv_commit *c)
{
    vv_mutex_lock(&c->sync_mu);
    bool unsynced = c->synced < atomic_load_explicit(&c->appended, memory_order_acquire);
    vv_mutex_unlock(&c->sync_mu);
    return unsynced;
}

/* ---- settling */

static void await_settling(struct vv_commit *c, struct commit_group *g)
{
    (void)atomic_fetch_add_explicit(&c->unsettled, 1, memory_order_relaxed);
    vv_mutex_lock(&c->settle_mu);
    *(c->last != NULL ? &c->last->next : &c->oldest) = g;
    c->last = g;
    vv_mutex_unlock(&c->settle_mu);
}

/* Syncs for the groups from `g` to `last`, and publishes them in order. After a failure the later
 * ones cannot become visible either: something before them is missing. */
static void settle_batch(struct vv_commit *c, struct commit_group *g, struct commit_group *last)
{
    vv_seq target = 0;
    for (struct commit_group *each = g;; each = each->next) {
        if (each->level == VV_COMMIT_SAFE)
            target = each->seq_last;
        if (each == last)
            break;
    }
    int rc = sync_through(c, target);
    vv_mutex_lock(&c->engine_mu);
    for (struct commit_group *each = g;; each = each->next) {
        if (rc == VV_OK)
            rc = vv_poison_check(c->poison);
        if (rc == VV_OK)
            rc = publish(c, each);
        group_fail(each, rc);
        (void)atomic_fetch_sub_explicit(&c->unsettled, 1, memory_order_release);
        if (each == last)
            break;
    }
    vv_mutex_unlock(&c->engine_mu);
}

/* Returns when the group, which waits in the list, is published or has failed. */
static void settle(struct vv_commit *c, struct commit_group *g)
{
    vv_mutex_lock(&c->settle_mu);
    while (!g->done) {
        if (c->settling) {
            vv_cond_wait(&c->settled, &c->settle_mu);
            continue;
        }
        struct commit_group *first = c->oldest, *last = c->last;
        c->settling = true;
        vv_mutex_unlock(&c->settle_mu);
        settle_batch(c, first, last);
        vv_mutex_lock(&c->settle_mu);
        c->settling = false;
        c->oldest = last->next;
        if (c->oldest == NULL)
            c->last = NULL;
        for (struct commit_group *each = first, *next;; each = next) {
            next = each->next;
            each->done = true;
            if (each == last)
                break;
        }
        vv_cond_broadcast(&c->settled);
    }
    vv_mutex_unlock(&c->settle_mu);
}

/* ---- leading */

/* Whether the next group has to wait for a sync, of its own or of an earlier one. */
static bool must_settle(struct vv_commit *c, enum vv_commit_level level)
{
    return level == VV_COMMIT_SAFE || atomic_load_explicit(&c->unsettled, memory_order_acquire) > 0;
}

/* Commits one group, and returns who leads next. */
static struct commit_member *lead_once(struct vv_commit *c, struct commit_member *first)
{
    struct commit_group g;
    struct commit_member *next;
    gather(c, first, &g);
    bool any = g.count > 0; /* none, when all were refused */
    int rc = any ? lay(c, &g) : VV_OK;
    if (any && rc == VV_OK && must_settle(c, g.level)) {
        await_settling(c, &g);
        hand_over(c, leave_behind(c, g.last_member));
        settle(c, &g);
        complete(c, &g);
        return NULL;
    }
    if (any && rc == VV_OK)
        rc = publish(c, &g);
    group_fail(&g, rc);
    next = leave_behind(c, g.last_member);
    complete(c, &g);
    return next;
}

static void lead(struct vv_commit *c, struct commit_member *own)
{
    struct commit_member *next = lead_once(c, own);
    for (int round = 1; next != NULL; round++) {
        if (round == ROUNDS_MAX || next->write == NULL || must_settle(c, next->level)) {
            hand_over(c, next);
            break;
        }
        next = lead_once(c, next);
    }
}

/* ---- writing */

/* Something of this thread's own, by which others can tell it. */
static uintptr_t self(void)
{
    static _Thread_local char own;
    return (uintptr_t)&own;
}

static bool holds_itself(const struct vv_commit *c)
{
    return atomic_load_explicit(&c->holder, memory_order_relaxed) == self();
}

static int waits_for_itself(void)
{
    return vv_fail(VV_BUSY, "this thread has an exclusive transaction open, for whose end a write "
                            "beside it would wait");
}

static void member_init(struct commit_member *m, struct vv_write *write, enum vv_commit_level level)
{
    m->write = write;
    m->level = level;
    m->reliance = NULL;
    m->refused = false;
    m->newer = NULL;
    atomic_init(&m->state, MEMBER_WAITING);
}

static int verdict(const struct commit_member *m)
{
    return m->rc < 0 ? vv_fail_again(m->rc, m->story) : m->rc;
}

static int submit(struct vv_commit *c, struct commit_member *m)
{
    if (VV_UNLIKELY(holds_itself(c)))
        return waits_for_itself();
    if (join(c, m) || await(c, m) == MEMBER_LEADS)
        lead(c, m);
    return verdict(m);
}

int vv_commit_write(struct vv_commit *c, struct vv_write *write, enum vv_commit_level level)
{
    struct commit_member m;
    member_init(&m, write, level);
    return submit(c, &m);
}

/* What is visible now is looked through here, at leisure, and only what comes after it in the
 * leader's time. */
int vv_commit_checked(struct vv_commit *c, struct vv_write *write, enum vv_commit_level level,
                      const struct vv_reliance *reliance)
{
    struct commit_member m;
    struct vv_reliance rest = *reliance;
    vv_seq seen = atomic_load_explicit(c->visible, memory_order_acquire);
    if (!vv_watch_sure(&c->watch, reliance, seen)) {
        int rc = vv_watch_ask(&c->watch, c->engine, reliance);
        if (rc != VV_OK)
            return rc;
    }
    if (rest.since < seen)
        rest.since = seen;
    member_init(&m, write, level);
    m.reliance = &rest;
    return submit(c, &m);
}

/* ---- alone */

int vv_commit_check_turn(const struct vv_commit *c)
{
    return holds_itself(c) ? waits_for_itself() : VV_OK;
}

static int run_alone(struct vv_commit *c, size_t size_bytes, int (*run)(void *context, vv_seq seq),
                     void *context)
{
    int rc = vv_poison_check(c->poison);
    if (rc == VV_OK)
        rc = admit(c, size_bytes);
    if (rc == VV_OK && c->seq_last == VV_SEQ_MAX)
        rc = vv_fail(VV_LIMIT, "the store has used up its sequence numbers");
    if (rc < 0)
        return rc;
    vv_seq seq = ++c->seq_last;
    (void)vv_watch_look(&c->watch, seq - 1);
    if ((rc = run(context, seq)) != VV_OK)
        return rc;
    vv_watch_note_all(&c->watch, seq);
    atomic_store_explicit(&c->appended, seq, memory_order_release);
    atomic_store_explicit(c->visible, seq, memory_order_release);
    return VV_OK;
}

/* Leads like a holder, who has no write either, and is done before anybody could take that away. */
int vv_commit_alone(struct vv_commit *c, size_t size_bytes, int (*run)(void *context, vv_seq seq),
                    void *context)
{
    struct commit_member m;
    if (holds_itself(c))
        return waits_for_itself();
    member_init(&m, NULL, VV_COMMIT_LAID);
    if (!join(c, &m))
        (void)await(c, &m);
    await_published(c);
    int rc = run_alone(c, size_bytes, run, context);
    hand_over(c, leave_behind(c, &m));
    return rc;
}

/* ---- holding */

/* As await, until a time; false when it has passed and the member was given up. */
static bool await_until(struct vv_commit *c, struct commit_member *m, uint64_t until_us)
{
    struct vv_parking *parking = parking_of(c, m);
    int state = MEMBER_WAITING;
    int parked = MEMBER_PARKED;
    bool gone = false;
    vv_mutex_lock(&parking->mu);
    (void)atomic_compare_exchange_strong(&m->state, &state, MEMBER_PARKED);
    while (!gone && !told(m, &state)) {
        uint64_t now_us = vv_env_now_us(c->env);
        if (now_us < until_us)
            (void)vv_cond_wait_us(&parking->cond, &parking->mu, until_us - now_us);
        else
            gone = atomic_compare_exchange_strong(&m->state, &parked, MEMBER_GONE);
    }
    vv_mutex_unlock(&parking->mu);
    return !gone;
}

static bool await_turn(struct vv_commit *c, struct commit_member *m, uint32_t wait_ms)
{
    if (wait_ms < UINT32_MAX)
        return await_until(c, m, vv_env_now_us(c->env) + wait_ms * 1000ull);
    (void)await(c, m);
    return true;
}

int vv_commit_hold(struct vv_commit *c, uint32_t wait_ms, uint64_t *id)
{
    if (holds_itself(c))
        return waits_for_itself();
    struct commit_member *m = vv_alloc(sizeof *m);
    if (m == NULL)
        return VV_NOMEM;
    member_init(m, NULL, VV_COMMIT_LAID);
    if (!join(c, m) && !await_turn(c, m, wait_ms))
        return vv_fail(VV_BUSY, "waited %u ms for the writers and transactions before this one",
                       wait_ms);
    await_published(c);
    vv_mutex_lock(&c->hold_mu);
    c->hold = m;
    *id = c->hold_id = ++c->last_hold_id;
    vv_mutex_unlock(&c->hold_mu);
    vv_commit_use_hold(c);
    return VV_OK;
}

void vv_commit_use_hold(struct vv_commit *c)
{
    if (!holds_itself(c))
        atomic_store_explicit(&c->holder, self(), memory_order_relaxed);
}

/* The hold, for its taker to lead on; NULL when it is not (or not any more) the one named. */
static struct commit_member *take_hold_locked(struct vv_commit *c, uint64_t id)
{
    vv_mutex_assert_held(&c->hold_mu);
    struct commit_member *m = c->hold_id == id ? c->hold : NULL;
    if (m != NULL) {
        c->hold = NULL;
        atomic_store_explicit(&c->holder, 0, memory_order_relaxed);
    }
    return m;
}

static struct commit_member *take_hold(struct vv_commit *c, uint64_t id)
{
    vv_mutex_lock(&c->hold_mu);
    struct commit_member *m = take_hold_locked(c, id);
    vv_mutex_unlock(&c->hold_mu);
    return m;
}

int vv_commit_write_held(struct vv_commit *c, uint64_t id, struct vv_write *write,
                         enum vv_commit_level level)
{
    struct commit_member *m = take_hold(c, id);
    if (m == NULL)
        return vv_fail(VV_CLOSED, "the store is being closed");
    m->write = write;
    m->level = level;
    lead(c, m);
    int rc = verdict(m);
    vv_free(m);
    return rc;
}

static void pass_on(struct vv_commit *c, struct commit_member *m)
{
    if (m == NULL)
        return;
    hand_over(c, leave_behind(c, m));
    vv_free(m);
}

void vv_commit_let_go(struct vv_commit *c, uint64_t id)
{
    pass_on(c, take_hold(c, id));
}

void vv_commit_evict(struct vv_commit *c)
{
    vv_mutex_lock(&c->hold_mu);
    struct commit_member *m = take_hold_locked(c, c->hold_id);
    vv_mutex_unlock(&c->hold_mu);
    pass_on(c, m);
}
