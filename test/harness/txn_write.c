#include "harness/txn_write.h"

#include "base/hash.h"
#include "base/rng.h"
#include "harness/dump.h"
#include "harness/sample.h"
#include "harness/test.h"
#include "harness/trail.h"

/* The keyspaces that all is written to; the first is the default one. */
struct views {
    varve *const *list;
    size_t count;
};

static int apply(varve_txn *txn, const struct views *views, const struct oracle_change *c)
{
    int rc = VARVE_OK;

    for (size_t i = 0; rc == VARVE_OK && i < views->count; i++) {
        varve *view = i > 0 ? views->list[i] : NULL;
        rc = c->gone ? varve_txn_delete(txn, view, sample_public(c->key))
                     : varve_txn_put(txn, view, sample_public(c->key), sample_public(c->value));
    }
    return rc;
}

/* Changes the key to something else, sees it, and takes it back. */
static int detour(varve_txn *txn, const struct oracle_change *c)
{
    varve_pinned value = {0};
    int rc = varve_txn_savepoint(txn);

    if (rc == VARVE_OK)
        rc = varve_txn_put(txn, NULL, sample_public(c->key), VARVE_STR("undone"));
    if (rc == VARVE_OK && (rc = varve_txn_get(txn, NULL, sample_public(c->key), &value)) >= 0) {
        TRAIL_OK(rc);
        TRAIL_CHECK(value.size == 6 && memcmp(value.data, "undone", 6) == 0);
        varve_unpin(&value);
    }
    if (rc == VARVE_OK)
        rc = varve_txn_delete(txn, NULL, sample_public(c->key));
    if (varve_txn_depth(txn) > 0)
        TRAIL_OK(varve_txn_rollback_to(txn));
    return rc;
}

static int check_key(varve_txn *txn, const struct oracle *oracle, vv_slice key)
{
    const struct oracle_version *expected = oracle_get(oracle, oracle->last, key);
    varve_pinned value = {0};
    int rc = varve_txn_get_for_update(txn, NULL, sample_public(key), &value);

    if (rc < 0)
        return rc;
    TRAIL_CHECK((rc == VARVE_OK) == (expected != NULL));
    if (expected != NULL)
        TRAIL_CHECK(expected->hash == vv_hash(vv_slice_of(value.data, value.size)));
    varve_unpin(&value);
    return VARVE_OK;
}

static int check_all(varve_txn *txn, const struct oracle *oracle, enum dump_way way)
{
    struct dump dump = {.count = 0};
    char text[512];
    int rc = dump_read_txn(txn, way, &dump);

    if (rc == VARVE_OK && !dump_matches(&dump, oracle, oracle->last)) {
        dump_explain(&dump, oracle, oracle->last, text, sizeof text);
        trail_fail(__FILE__, __LINE__, "the transaction does not show its commit %" PRIu64 ": %s",
                   oracle->last, text);
    }
    dump_deinit(&dump);
    return rc;
}

static int make_changes(varve_txn *txn, const struct views *views, const struct oracle *oracle,
                        const struct oracle_change *changes, size_t count)
{
    struct vv_rng rng = vv_rng_of(oracle->last);
    int rc = VARVE_OK;

    for (size_t i = 0; rc == VARVE_OK && i < count; i++) {
        if (vv_rng_one_in(&rng, 3) && (rc = detour(txn, &changes[i])) < 0)
            break;
        if (vv_rng_one_in(&rng, 4) && (rc = varve_txn_savepoint(txn)) < 0)
            break;
        rc = apply(txn, views, &changes[i]);
        if (rc == VARVE_OK && varve_txn_depth(txn) > 0 && vv_rng_one_in(&rng, 2))
            rc = varve_txn_release(txn);
    }
    if (rc == VARVE_OK && count > 0)
        rc = check_key(txn, oracle, changes[0].key);
    if (rc == VARVE_OK && vv_rng_one_in(&rng, 4))
        rc = check_all(txn, oracle, vv_rng_one_in(&rng, 2) ? DUMP_FORWARD : DUMP_BACKWARD);
    return rc;
}

int txn_write(varve *const *views, size_t view_count, const struct oracle *oracle,
              const struct oracle_change *changes, size_t count, enum varve_txn_kind kind,
              enum varve_durability level)
{
    const struct views all = {views, view_count};
    varve_txn_options options = VARVE_TXN_OPTIONS_INIT;
    varve_write_options write_options = VARVE_WRITE_OPTIONS_INIT;
    varve_txn *txn = NULL;
    int rc;

    options.kind = kind;
    options.isolation = (enum varve_isolation)(oracle->last % 2);
    write_options.durability = level;
    rc = varve_txn_begin(views[0], &options, &txn);
    if (rc == VARVE_OK)
        rc = make_changes(txn, &all, oracle, changes, count);
    if (rc == VARVE_OK)
        rc = varve_txn_commit(txn, &write_options);
    varve_txn_end(txn);
    return rc;
}
