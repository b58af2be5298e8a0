/*
 * An engine in a simulated world, and the little of a host that it needs: one thread that commits,
 * reads and tends.
 */
#ifndef VV_TEST_LSM_ENGINE_WORLD_H
#define VV_TEST_LSM_ENGINE_WORLD_H

#include "harness/test.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "env/sim.h"
#include "kv/batch.h"
#include "lsm/lsm.h"

#include <stdio.h>
#include <stdlib.h>

#define WORLD_DIR "/db"

enum { WORLD_STOW_MIN = 4096, WORLD_SNAPSHOTS_MAX = 8 };

struct world {
    struct vv_env *env;
    struct vv_account account;
    struct vv_order order;
    struct vv_host host;
    struct vv_lsm_options options;
    struct vv_engine *engine;
    _Atomic(vv_seq) visible;
    vv_seq given;                          /* highest sequence handed out */
    vv_seq snapshots[WORLD_SNAPSHOTS_MAX]; /* ascending */
    size_t snapshot_count;
    int poison_rc;
};

static inline int world_snapshots(void *context, struct vv_buf *out)
{
    struct world *w = context;
    vv_seq visible = atomic_load(&w->visible);
    for (size_t i = 0; i < w->snapshot_count; i++) {
        if (w->snapshots[i] < visible) {
            int rc = vv_buf_append(out, &w->snapshots[i], sizeof w->snapshots[i]);
            if (rc < 0)
                return rc;
        }
    }
    return vv_buf_append(out, &visible, sizeof visible);
}

static inline void world_wake(void *context)
{
    (void)context;
}

static inline void world_advance(void *context, vv_seq seq)
{
    struct world *w = context;
    atomic_store(&w->visible, seq);
}

static inline void world_poison(void *context, int rc)
{
    struct world *w = context;
    w->poison_rc = rc;
}

/* Sets the world up over `env`, which it does not own; nothing is opened. */
static inline void world_init(struct world *w, struct vv_env *env)
{
    *w = (struct world){.env = env};
    w->host = (struct vv_host){.context = w,
                               .visible = &w->visible,
                               .snapshots = world_snapshots,
                               .wake = world_wake,
                               .advance = world_advance,
                               .poison = world_poison};
    w->options = (struct vv_lsm_options){.env = env,
                                         .path = WORLD_DIR,
                                         .order = &w->order,
                                         .account = &w->account,
                                         .host = &w->host,
                                         .memory_budget = 8 << 20,
                                         .value_log_min = 1024,
                                         .tuning = {.memtable_bytes = 64 << 10,
                                                    .table_bytes = 16 << 10,
                                                    .base_level_bytes = 64 << 10,
                                                    .value_file_bytes = 256 << 10,
                                                    .step_bytes = 8 << 10,
                                                    .spare_bytes = 16 << 10,
                                                    .manifest_bytes = 16 << 10}};
}

static inline int world_try_open(struct world *w)
{
    vv_seq seq = 0;
    int rc = vv_lsm_open(&w->options, &w->engine, &seq);
    if (rc < 0)
        return rc;
    w->options.create = false;
    w->given = seq;
    atomic_store(&w->visible, seq);
    return VV_OK;
}

static inline void world_open(struct world *w)
{
    CHECK_OK(world_try_open(w));
    vv_assert(w->engine != NULL);
}

/* A new store in a new world. */
static inline void world_create(struct world *w)
{
    struct vv_env *env;
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, WORLD_DIR));
    CHECK_OK(vv_env_sync_dir(env, "/"));
    world_init(w, env);
    w->options.create = true;
    world_open(w);
}

static inline void world_close(struct world *w)
{
    if (w->engine != NULL)
        w->engine->ops->close(w->engine);
    w->engine = NULL;
}

/* Ends the process: what it has written is in the files, and nothing more comes. */
static inline void world_kill(struct world *w)
{
    vv_sim_fail_at(w->env, 1, VV_SIM_FAULT_IO, true);
    world_close(w);
    vv_sim_fail_at(w->env, 0, VV_SIM_FAULT_NONE, false);
}

static inline void world_free(struct world *w)
{
    world_close(w);
    vv_env_sim_free(w->env);
}

static inline void world_reopen(struct world *w)
{
    world_close(w);
    world_open(w);
}

/* Opens what a power cut now would leave, in a world of its own. */
static inline int world_try_cut(const struct world *w, enum vv_sim_model model, uint64_t choice,
                                struct world *out)
{
    struct vv_env *image;
    CHECK_OK(vv_sim_image(w->env, vv_sim_call_count(w->env), model, choice, &image));
    world_init(out, image);
    out->options.tuning = w->options.tuning;
    return world_try_open(out);
}

static inline void world_cut(const struct world *w, enum vv_sim_model model, struct world *out)
{
    CHECK_OK(world_try_cut(w, model, 0, out));
    vv_assert(out->engine != NULL);
}

/* ---- writing */

/* A batch of one on its way. */
struct world_write {
    struct vv_batch batch;
    struct vv_write write;
};

static inline int world_encode(struct world *w, vv_slice key, vv_slice value,
                               struct world_write *out)
{
    uint8_t ref[VV_REF_SIZE];
    *out = (struct world_write){0};
    if (w->engine->ops->stow != NULL && value.size >= WORLD_STOW_MIN) {
        int rc = w->engine->ops->stow(w->engine, key, value, ref);
        if (rc < 0)
            return rc;
        CHECK_OK(vv_batch_put_ref(&out->batch, key, ref));
        out->write.has_refs = true;
    } else {
        CHECK_OK(vv_batch_put(&out->batch, key, value));
    }
    return VV_OK;
}

static inline void world_unstow(struct world *w, const struct world_write *write)
{
    struct vv_reader r = vv_reader_of(vv_buf_slice(&write->batch.ops));
    struct vv_entry op;
    while (write->write.has_refs && vv_batch_next(&r, &op) == VV_OK)
        w->engine->ops->unstow(w->engine, op.value.data);
}

static inline int world_lay(struct world *w, struct world_write *write)
{
    struct vv_write *group[] = {&write->write};
    write->write.ops = vv_buf_slice(&write->batch.ops);
    write->write.count = write->batch.count;
    write->write.body_hash = vv_hash(write->write.ops);
    write->write.first = w->given + 1;
    w->given += write->batch.count;
    return w->engine->ops->append(w->engine, group, 1);
}

static inline void world_publish(struct world *w, struct world_write *write)
{
    struct vv_write *group[] = {&write->write};
    CHECK_OK(w->engine->ops->publish(w->engine, group, 1));
    atomic_store(&w->visible, write->write.first + write->write.count - 1);
    vv_batch_deinit(&write->batch);
}

static inline int world_commit(struct world *w, struct world_write *write)
{
    int rc = world_lay(w, write);
    if (rc < 0) {
        world_unstow(w, write);
        vv_batch_deinit(&write->batch);
        return rc;
    }
    world_publish(w, write);
    return VV_OK;
}

static inline int world_try_put(struct world *w, vv_slice key, vv_slice value)
{
    struct world_write write;
    int rc = world_encode(w, key, value, &write);
    return rc < 0 ? rc : world_commit(w, &write);
}

/* Values are told apart by key and version, and filled to a size. */
static inline void world_value(const char *key, unsigned version, size_t size, uint8_t *into)
{
    struct vv_rng rng = vv_rng_of(vv_hash(vv_slice_str(key)) + version);
    for (size_t i = 0; i < size; i++)
        into[i] = (uint8_t)vv_rng_below(&rng, 256);
}

static inline int world_try_write(struct world *w, const char *key, unsigned version, size_t size)
{
    uint8_t *value = vv_alloc(size);
    CHECK(value != NULL);
    world_value(key, version, size, value);
    int rc = world_try_put(w, vv_slice_str(key), vv_slice_of(value, size));
    vv_free(value);
    return rc;
}

static inline void world_write(struct world *w, const char *key, unsigned version, size_t size)
{
    CHECK_OK(world_try_write(w, key, version, size));
}

/* Lays a write without publishing it. */
static inline void world_begin(struct world *w, const char *key, unsigned version, size_t size,
                               struct world_write *write)
{
    uint8_t *value = vv_alloc(size);
    CHECK(value != NULL);
    world_value(key, version, size, value);
    CHECK_OK(world_encode(w, vv_slice_str(key), vv_slice_of(value, size), write));
    CHECK_OK(world_lay(w, write));
    vv_free(value);
}

static inline void world_delete(struct world *w, const char *key)
{
    struct world_write write = {0};
    CHECK_OK(vv_batch_delete(&write.batch, vv_slice_str(key)));
    CHECK_OK(world_commit(w, &write));
}

static inline void world_sync(struct world *w)
{
    CHECK_OK(w->engine->ops->sync(w->engine));
}

/* ---- reading */

static inline int world_get_at(struct world *w, vv_seq at, const char *key, struct vv_pin *pin)
{
    *pin = (struct vv_pin){0};
    return w->engine->ops->get(w->engine, at, vv_slice_str(key), pin);
}

static inline void world_check(struct world *w, const char *key, unsigned version, size_t size)
{
    struct vv_pin pin;
    uint8_t *value = vv_alloc(size);
    CHECK(value != NULL);
    world_value(key, version, size, value);
    int rc = world_get_at(w, VV_SEQ_NOW, key, &pin);
    if (rc != VV_OK)
        test_fail(__FILE__, __LINE__, "%s: %d", key, rc);
    CHECK_BYTES(pin.value.data, pin.value.size, value, size);
    vv_pin_release(&pin);
    vv_free(value);
}

static inline void world_check_gone(struct world *w, const char *key)
{
    struct vv_pin pin;
    CHECK_RC(world_get_at(w, VV_SEQ_NOW, key, &pin), VV_NOTFOUND);
}

/* ---- tending */

static inline int world_try_tend(struct world *w)
{
    enum vv_tended tended = VV_TENDED_WORKED;
    int rc = VV_OK;
    while (rc == VV_OK && tended == VV_TENDED_WORKED)
        rc = w->engine->ops->tend(w->engine, &tended);
    return rc;
}

static inline void world_tend(struct world *w)
{
    CHECK_OK(world_try_tend(w));
}

static inline void world_flush(struct world *w)
{
    uint64_t ticket;
    CHECK_OK(w->engine->ops->flush_begin(w->engine, &ticket));
    while (!w->engine->ops->flush_done(w->engine, ticket)) {
        enum vv_tended tended;
        CHECK_OK(w->engine->ops->tend(w->engine, &tended));
    }
}

/* Everything into the last level, and the garbage away. */
static inline void world_settle(struct world *w)
{
    uint64_t ticket;
    CHECK_OK(w->engine->ops->compact_begin(w->engine, NULL, NULL, &ticket));
    world_tend(w);
    CHECK(w->engine->ops->compact_done(w->engine, ticket));
    w->engine->ops->settle(w->engine, 1);
    world_tend(w);
    w->engine->ops->settle(w->engine, -1);
}

/* ---- files */

/* How many files of the store have a name with this end. */
static inline size_t world_files(const struct world *w, const char *suffix)
{
    struct vv_buf names = VV_BUF_INIT;
    size_t count = 0;
    CHECK_OK(vv_env_list(w->env, WORLD_DIR, &names));
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        size_t size = strlen(name);
        size_t end = strlen(suffix);
        count += size >= end && strcmp(name + size - end, suffix) == 0 ? 1 : 0;
        at += size + 1;
    }
    vv_buf_deinit(&names);
    return count;
}

/* The path of the file with the lowest number (`last`: the highest) whose name ends so. */
enum world_which { WORLD_FIRST, WORLD_LAST };

static inline void world_find(const struct world *w, const char *suffix, enum world_which which,
                              char into[64])
{
    struct vv_buf names = VV_BUF_INIT;
    char best[64] = "";
    CHECK_OK(vv_env_list(w->env, WORLD_DIR, &names));
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        size_t size = strlen(name);
        size_t end = strlen(suffix);
        bool fits = size >= end && strcmp(name + size - end, suffix) == 0;
        int order = strcmp(name, best);
        if (fits && (best[0] == 0 || (which == WORLD_FIRST ? order < 0 : order > 0)))
            (void)snprintf(best, sizeof best, "%s", name);
        at += size + 1;
    }
    vv_buf_deinit(&names);
    if (best[0] == 0)
        test_fail(__FILE__, __LINE__, "there is no %s", suffix);
    (void)snprintf(into, 64, WORLD_DIR "/%.40s", best);
}

/* Turns over some bytes of a file. */
static inline void world_damage(const struct world *w, const char *path, uint64_t offset,
                                size_t size)
{
    struct vv_buf bytes = VV_BUF_INIT;
    CHECK_OK(vv_sim_read_file(w->env, path, &bytes));
    CHECK(offset <= bytes.size && size <= bytes.size - offset);
    for (size_t i = 0; i < size; i++)
        bytes.data[offset + i] ^= 0x5a;
    CHECK_OK(vv_sim_write_file(w->env, path, vv_buf_slice(&bytes)));
    vv_buf_deinit(&bytes);
}

#endif
