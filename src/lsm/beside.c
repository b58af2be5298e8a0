#include "lsm/beside.h"

#include "base/hash.h"

enum { TRIES = 100, PAUSE_US = 2000 };

/* ------------------------------------------------------------------------------------ attempts */

/* Changes whenever the writer creates, removes or renames a file. */
static int fingerprint(const struct vv_lsm_options *options, uint64_t *out)
{
    struct vv_buf names = VV_BUF_INIT;
    int rc = vv_env_list(options->env, options->path, &names);
    *out = 0;
    for (size_t at = 0; rc == VV_OK && at < names.size;) {
        vv_slice name = vv_slice_str((const char *)names.data + at);
        *out ^= vv_hash(name);
        at += name.size + 1;
    }
    vv_buf_deinit(&names);
    return rc;
}

int vv_beside_try(const struct vv_lsm_options *options, int (*attempt)(void *context),
                  void *context)
{
    int rc = VV_OK;
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t before = 0;
        uint64_t after = 0;
        (void)fingerprint(options, &before);
        rc = attempt(context);
        if (rc == VV_BUSY)
            continue;
        if (rc != VV_CORRUPT && rc != VV_MISSING)
            return rc;
        vv_env_sleep_us(options->env, PAUSE_US);
        if (fingerprint(options, &after) == VV_OK && before == after)
            return rc;
    }
    return rc;
}

/* Logs may have been retired since they were listed, and even written over while they were read. The
 * MANIFEST says so before it happens, and notes what they need to be understood. */
static int check_logs_stood(struct vv_lsm *lsm)
{
    struct vv_edit sum = {0};
    int rc = vv_recover_sum(lsm, &sum);
    if (rc == VV_OK && sum.log_number != lsm->log_number)
        rc = vv_fail(VV_BUSY, "%s: the writer retires logs faster than they can be read",
                     lsm->options.path);
    if (rc == VV_OK)
        rc = vv_recover_order_again(lsm, &sum);
    vv_edit_deinit(&sum);
    return rc;
}

/* The writer removes files when it likes, so all are opened now. */
static int open_everything(const struct vv_version *version)
{
    for (int level = 0; level < VV_LEVELS; level++) {
        for (size_t i = 0; i < version->levels[level].count; i++) {
            struct vv_table *table;
            int rc = vv_tables_open(version->levels[level].tables[i], &table);
            if (rc < 0)
                return rc;
            vv_table_unref(table);
        }
    }
    for (size_t i = 0; i < version->value_count; i++) {
        uint64_t size_bytes;
        int rc = vv_values_size(version->values[i], &size_bytes);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

int vv_beside_hold(struct vv_lsm *lsm, const struct vv_version *version)
{
    int rc = check_logs_stood(lsm);
    return rc == VV_OK ? open_everything(version) : rc;
}

/* ----------------------------------------------------------------------------------- refreshing */

struct refresh {
    struct vv_lsm *lsm;
    struct vv_version *known; /* tables and value files that are open already */
    struct vv_recovered recovered;
    struct vv_memtable *active;
};

/* Recovers as at open, next to what readers see: only `active` is borrowed from the tree. */
static int recover_anew(void *context)
{
    struct refresh *r = context;
    struct vv_lsm *lsm = r->lsm;
    struct vv_memtable *shown = lsm->active;
    vv_recovered_deinit(&r->recovered);
    r->recovered.known = r->known;
    lsm->active = NULL;
    int rc = vv_recover_read(lsm, &r->recovered);
    if (rc == VV_OK)
        rc = vv_beside_hold(lsm, r->recovered.version);
    r->active = lsm->active;
    lsm->active = shown;
    if (rc < 0) {
        vv_memtable_unref(r->active);
        r->active = NULL;
    }
    return rc;
}

/* The visible sequence goes first: with it the old view still shows what it did, while the new view
 * may lack what merges have dropped below it. */
static int show(struct refresh *r)
{
    struct vv_lsm *lsm = r->lsm;
    const struct vv_host *host = lsm->options.host;
    struct vv_view *view = vv_alloc_zero(sizeof *view);
    if (view == NULL) {
        vv_memtable_unref(r->active);
        return VV_NOMEM;
    }
    struct vv_memtable *before = lsm->active;
    lsm->active = r->active;
    host->advance(host->context, vv_recovered_seq(lsm, &r->recovered));
    vv_mutex_lock(&lsm->mu);
    vv_view_fill_locked(lsm, view, lsm->active, r->recovered.version);
    struct vv_view *old = vv_lsm_swap_view_locked(lsm, view);
    vv_mutex_unlock(&lsm->mu);
    vv_lsm_retire_view(lsm, old);
    vv_memtable_unref(before);
    return VV_OK;
}

int vv_lsm_refresh(struct vv_engine *e)
{
    struct vv_lsm *lsm = (struct vv_lsm *)e;
    struct refresh r = {.lsm = lsm};
    vv_assert(lsm->options.readonly);
    r.known = vv_lsm_version(lsm);
    int rc = vv_beside_try(&lsm->options, recover_anew, &r);
    if (rc == VV_OK)
        rc = show(&r);
    vv_recovered_deinit(&r.recovered);
    vv_version_unref(r.known);
    return rc;
}
