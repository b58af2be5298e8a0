/*
 * The life of a store.
 *
 * Closing, in order: the turnstile is shut; running calls end (those that wait for background work
 * are told); the threads are joined; iterators and feeds lose their engine side; without a log the memtables
 * are flushed, with one it is synced; the engine closes; the lock goes. Later calls on iterators
 * answer VARVE_CLOSED without having touched anything: each of their calls either finds the store
 * open and is waited for, or finds it closed. What an iterator showed ends with the close, as its
 * bytes belong to the engine; what was pinned stays.
 *
 * In a forked child nothing of this happens: its threads do not exist there, its locks may be held
 * for ever by threads that do not either, and its files belong to the parent. Only memory is given
 * back that is surely ours alone; the engine's is left to the end of the process.
 */
#include "db/store.h"

#include "db/merge.h"
#include "env/mem.h"

enum { RANK_REFRESH = 11, RANK_ITERS = 30, RANK_FEEDS = 33, CLOSE_SPINS = 64, CLOSE_WAIT_US = 50 };

/* ---- the graveyard
 *
 * The latest closed handles, so that using one is an answer and not a crash. The one piece of state
 * that all stores share; bounded, and lock-free. */

enum { GRAVES = 64 };
static _Atomic(struct vv_root *) graves[GRAVES];
static _Atomic(unsigned) graves_dug;

/* In a forked child the catalog stays: one of the parent's threads may have been at it. */
static void root_free(struct vv_root *root)
{
    if (root == NULL)
        return;
    if (!vv_guard_forked(&root->guard))
        vv_catalog_deinit(&root->catalog);
    vv_free(root);
}

static void root_bury(struct vv_root *root)
{
    unsigned grave = atomic_fetch_add(&graves_dug, 1) % GRAVES;
    root_free(atomic_exchange(&graves[grave], root));
}

/* ---- what the engine may ask */

static int host_snapshots(void *context, struct vv_buf *out)
{
    struct vv_store *s = context;
    return vv_snapshots_list(&s->snapshots, out);
}

static void host_wake(void *context)
{
    struct vv_store *s = context;
    vv_work_wake(&s->work);
}

static void host_poison(void *context, int rc)
{
    struct vv_store *s = context;
    vv_poison_set(&s->poison, rc);
}

static void host_advance(void *context, vv_seq seq)
{
    struct vv_store *s = context;
    atomic_store(&s->visible, seq);
    if (vv_news_wanted(&s->news))
        vv_news_tell(&s->news);
}

static uint64_t host_now_ms(void *context)
{
    struct vv_store *s = context;
    return vv_present_now_ms(&s->present);
}

static int host_fold(void *context, enum vv_fold how, vv_slice key, const vv_slice *base,
                     const vv_slice *operands, size_t count, struct vv_buf *out)
{
    struct vv_store *s = context;
    return vv_present_host_fold(&s->present, how, key, base, operands, count, out);
}

static int host_notes(void *context, const struct vv_note *notes, size_t count,
                      const struct vv_order **order, struct vv_note *first)
{
    struct vv_store *s = context;
    int rc = vv_present_load(&s->present, notes, count);
    return rc < 0 ? rc
                  : vv_catalog_load(&s->root->catalog, &s->options, notes, count, order, first);
}

/* ---- making */

static int store_new(const struct vv_store_setup *setup, struct vv_root *root,
                     struct vv_store **out)
{
    struct vv_store *s = vv_pages_alloc(sizeof *s); /* aligned and zeroed */
    if (s == NULL)
        return VV_NOMEM;
    s->path = vv_strdup(setup->path);
    if (s->path == NULL) {
        vv_pages_free(s, sizeof *s);
        return VV_NOMEM;
    }
    s->root = root;
    s->env = setup->env;
    s->stepped = setup->stepped;
    s->options = *setup->options;
    s->maker = setup->maker;
    s->host = (struct vv_host){.context = s,
                               .notes = host_notes,
                               .visible = &s->visible,
                               .snapshots = host_snapshots,
                               .wake = host_wake,
                               .advance = host_advance,
                               .now_ms = host_now_ms,
                               .clock_ms = &s->present.clock_ms,
                               .fold = host_fold,
                               .poison = host_poison};
    vv_poison_init(&s->poison);
    vv_present_init(&s->present, s->env, &s->options);
    vv_snapshots_init(&s->snapshots, &s->visible);
    vv_mutex_init(&s->iters.mu, RANK_ITERS);
    vv_bulks_init(&s->bulks);
    vv_mutex_init(&s->feeds.mu, RANK_FEEDS);
    vv_news_init(&s->news);
    vv_work_init(&s->work);
    vv_mutex_init(&s->refresh_mu, RANK_REFRESH);
    *out = s;
    return VV_OK;
}

static void store_free(struct vv_store *s)
{
    if (s == NULL)
        return;
    vv_work_deinit(&s->work);
    vv_news_deinit(&s->news);
    vv_mutex_deinit(&s->feeds.mu);
    vv_mutex_deinit(&s->iters.mu);
    vv_bulks_deinit(&s->bulks);
    vv_snapshots_deinit(&s->snapshots);
    vv_mutex_deinit(&s->refresh_mu);
    vv_present_deinit(&s->present);
    vv_poison_deinit(&s->poison);
    vv_env_mem_free(s->own_env);
    vv_free(s->path);
    vv_pages_free(s, sizeof *s);
}

/* The engine has loaded the catalog, unless it keeps no notes. What the options pointed to was the
 * caller's. */
static int settle_catalog(struct vv_store *s)
{
    const struct vv_order *order = &s->order;
    struct vv_note first;
    int rc = VV_OK;
    if (vv_catalog_find(&s->root->catalog, 0) == NULL)
        rc = vv_catalog_load(&s->root->catalog, &s->options, NULL, 0, &order, &first);
    s->options.comparator = NULL;
    s->options.comparators = NULL;
    s->options.comparator_count = 0;
    /* What is printed can be read back. */
    if (s->options.merge != vv_merge_named(vv_slice_str(s->present.merge_name)))
        s->options.merge = NULL;
    return rc;
}

static int store_start(struct vv_store *s)
{
    vv_seq seq = 0;
    struct vv_env_facts facts;
    vv_env_facts(s->env, &facts);
    int rc = s->maker.open(s->maker.context, &s->host, &s->order, &s->account, &s->engine, &seq);
    if (rc < 0)
        return rc;
    s->present.engine = s->engine;
    if ((rc = settle_catalog(s)) < 0) {
        s->engine->ops->close(s->engine);
        return rc;
    }
    atomic_store(&s->visible, seq);
    vv_commit_init(&s->commit,
                   &(struct vv_commit_setup){s->env, s->engine, &s->work, &s->poison, &s->news,
                                             &s->account, &s->visible, facts.cpu_count});
    bool readonly = s->options.mode == VARVE_MODE_READONLY;
    bool syncs = s->options.durability == VARVE_DURABILITY_INTERVAL ||
                 s->options.durability == VARVE_DURABILITY_OS;
    rc = vv_work_start(
        &s->work, &(struct vv_work_setup){
                      .env = s->env,
                      .engine = s->engine,
                      .guard = &s->root->guard,
                      .commit = &s->commit,
                      .stepped = s->stepped,
                      .threads = readonly ? 0 : s->options.background_threads,
                      .interval_us = readonly || !syncs ? 0 : s->options.sync_interval_ms * 1000ull,
                  });
    if (rc < 0) {
        s->engine->ops->close(s->engine);
        vv_commit_deinit(&s->commit);
    }
    return rc;
}

int vv_store_open(const struct vv_store_setup *setup, varve **out)
{
    struct vv_root *root = vv_alloc_lines(sizeof *root);
    if (root == NULL)
        return VV_NOMEM;
    vv_guard_init(&root->guard);
    int rc = store_new(setup, root, &root->store);
    vv_catalog_init(&root->catalog, root, root->store);
    if (rc == VV_OK)
        rc = store_start(root->store);
    if (rc < 0) {
        store_free(root->store);
        root_free(root);
        return rc;
    }
    vv_keyspaces_tidy(root->store);
    *out = &vv_catalog_find(&root->catalog, 0)->handle;
    return VV_OK;
}

/* ---- calls */

int vv_store_enter(varve *db, struct vv_call *call)
{
    if (VV_UNLIKELY(db == NULL))
        return vv_fail(VV_INVALID, "no store was given");
    int rc = vv_guard_enter(&db->root->guard, call);
    if (rc == VV_OK && VV_UNLIKELY(call->sampled))
        call->start_us = vv_env_now_us(db->store->env);
    return rc;
}

void vv_store_time(struct vv_store *s, const struct vv_call *call, struct vv_histogram *times)
{
    if (VV_UNLIKELY(call->sampled))
        vv_histogram_add(times, vv_env_now_us(s->env) - call->start_us);
}

/* ---- ending */

void vv_store_teardown(struct vv_root *root)
{
    if (!vv_guard_forked(&root->guard))
        store_free(root->store);
    root_bury(root);
}

void vv_store_unref(varve *db)
{
    if (vv_guard_unref(&db->root->guard))
        vv_store_teardown(db->root);
}

/* A call that waits for its turn to write may wait for a transaction that nobody will end. */
static void await_calls(varve *db)
{
    vv_work_nudge(&db->store->work);
    vv_news_tell(&db->store->news);
    for (int i = 0; !vv_guard_empty(&db->root->guard); i++) {
        vv_commit_evict(&db->store->commit);
        if (i < CLOSE_SPINS)
            vv_cpu_relax();
        else
            vv_env_sleep_us(db->store->env, CLOSE_WAIT_US);
    }
    vv_commit_evict(&db->store->commit); /* a hold that nobody waits for */
}

/* The last chance of what is not durable yet. */
static int preserve(struct vv_store *s)
{
    if (s->options.mode == VARVE_MODE_READONLY)
        return VV_OK;
    if (s->options.durability != VARVE_DURABILITY_NONE)
        return vv_commit_sync(&s->commit);
    if (s->own_env != NULL)
        return VV_OK; /* ends with us in any case */
    return vv_store_flush(s);
}

static int close_here(varve *db)
{
    struct vv_store *s = db->store;
    await_calls(db);
    vv_iters_detach(s);
    vv_bulks_detach(s);
    vv_feeds_detach(s);
    vv_work_stop(&s->work);
    int rc = preserve(s);
    s->engine->ops->close(s->engine);
    vv_commit_deinit(&s->commit);
    vv_env_unlock(s->lock);
    s->lock = NULL;
    if (vv_guard_finish(&db->root->guard))
        vv_store_teardown(db->root);
    return rc;
}

/* The parent's threads may have been in the middle of anything: `finish` may count calls that will
 * never leave, and then the memory stays. */
static int close_in_child(varve *db)
{
    if (vv_guard_finish(&db->root->guard))
        vv_store_teardown(db->root);
    return VV_OK;
}

int vv_store_close(varve *db)
{
    if (!vv_guard_shut(&db->root->guard))
        return vv_fail(VV_CLOSED, "the store was closed before");
    return vv_guard_forked(&db->root->guard) ? close_in_child(db) : close_here(db);
}
