/*
 * Values are kept as hashes: two dumps of a store are compared, never repaired from.
 */
#include "harness/dump.h"

#include "base/hash.h"
#include "harness/sample.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>

void dump_deinit(struct dump *d)
{
    for (size_t i = 0; i < d->count; i++)
        free((void *)(uintptr_t)d->entries[i].key.data);
    free(d->entries);
    *d = (struct dump){.count = 0};
}

static void dump_add(struct dump *d, vv_slice key, vv_slice value)
{
    uint8_t *copy = malloc(key.size + 1);

    CHECK(copy != NULL);
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 64;
        struct dump_entry *bigger = realloc(d->entries, cap * sizeof *bigger);
        CHECK(bigger != NULL);
        d->entries = bigger;
        d->cap = cap;
    }
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    d->entries[d->count++] =
        (struct dump_entry){.key = {copy, key.size}, .hash = vv_hash(value), .size = value.size};
}

static int iter_open(varve *db, const varve_snapshot *at, varve_iter **out)
{
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;

    options.snapshot = at;
    return varve_iter_open(db, &options, out);
}

/* The iterator is closed. */
static int read_forward(varve_iter *iter, struct dump *out)
{
    int rc;

    for (rc = varve_iter_first(iter); rc == VARVE_OK; rc = varve_iter_next(iter)) {
        varve_slice value;
        if ((rc = varve_iter_value(iter, &value)) < 0)
            break;
        dump_add(out, sample_private(varve_iter_key(iter)), sample_private(value));
    }
    varve_iter_close(iter);
    return rc < 0 ? rc : VARVE_OK;
}

static int read_backward(varve_iter *iter, struct dump *out)
{
    int rc;

    for (rc = varve_iter_last(iter); rc == VARVE_OK; rc = varve_iter_prev(iter)) {
        varve_slice value;
        if ((rc = varve_iter_value(iter, &value)) < 0)
            break;
        dump_add(out, sample_private(varve_iter_key(iter)), sample_private(value));
    }
    varve_iter_close(iter);
    for (size_t i = 0; i < out->count / 2; i++) {
        struct dump_entry swapped = out->entries[i];
        out->entries[i] = out->entries[out->count - 1 - i];
        out->entries[out->count - 1 - i] = swapped;
    }
    return rc < 0 ? rc : VARVE_OK;
}

int dump_read(varve *db, const varve_snapshot *at, struct dump *out)
{
    varve_iter *iter = NULL;
    int rc;

    dump_deinit(out);
    if ((rc = iter_open(db, at, &iter)) < 0)
        return rc;
    return read_forward(iter, out);
}

int dump_read_backward(varve *db, const varve_snapshot *at, struct dump *out)
{
    varve_iter *iter = NULL;
    int rc;

    dump_deinit(out);
    if ((rc = iter_open(db, at, &iter)) < 0)
        return rc;
    return read_backward(iter, out);
}

int dump_read_txn(varve_txn *txn, enum dump_way way, struct dump *out)
{
    varve_iter *iter = NULL;
    int rc;

    dump_deinit(out);
    if ((rc = varve_txn_iter_open(txn, NULL, NULL, &iter)) < 0)
        return rc;
    return way == DUMP_FORWARD ? read_forward(iter, out) : read_backward(iter, out);
}

int dump_read_chunks(varve *db, const varve_snapshot *at, size_t chunk, struct dump *out)
{
    varve_iter *iter = NULL;
    varve_slice keys[64];
    varve_slice values[64];
    size_t count = 0;
    int rc;

    dump_deinit(out);
    if (chunk > 64)
        chunk = 64;
    if ((rc = iter_open(db, at, &iter)) < 0)
        return rc;
    while ((rc = varve_iter_chunk(iter, keys, values, chunk, &count)) == VARVE_OK) {
        CHECK(count > 0);
        CHECK(count <= chunk);
        for (size_t i = 0; i < count; i++)
            dump_add(out, sample_private(keys[i]), sample_private(values[i]));
    }
    if (rc == VARVE_END)
        CHECK_EQ_U64(count, 0);
    varve_iter_close(iter);
    return rc < 0 ? rc : VARVE_OK;
}

bool dump_equal(const struct dump *a, const struct dump *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct dump_entry *x = &a->entries[i];
        const struct dump_entry *y = &b->entries[i];
        if (!vv_slice_equal(x->key, y->key) || x->hash != y->hash || x->size != y->size)
            return false;
    }
    return true;
}

/* Walks dump and state together as long as they agree; gives how many entries did, and where the
 * state goes on. */
static size_t agree(const struct dump *d, const struct oracle *o, uint64_t commit, size_t *index)
{
    size_t i = 0;

    *index = oracle_alive_up(o, commit, 0);
    while (i < d->count && *index < o->count) {
        const struct dump_entry *entry = &d->entries[i];
        const struct oracle_version *version = oracle_at(o, commit, *index);
        if (!vv_slice_equal(entry->key, o->keys[*index].key) || entry->hash != version->hash ||
            entry->size != version->size)
            break;
        *index = oracle_alive_up(o, commit, *index + 1);
        i++;
    }
    return i;
}

bool dump_matches(const struct dump *d, const struct oracle *o, uint64_t commit)
{
    size_t index;

    return agree(d, o, commit, &index) == d->count && index == o->count;
}

bool dump_begins(const struct dump *d, const struct oracle *o, uint64_t commit)
{
    size_t index;

    return agree(d, o, commit, &index) == d->count;
}

uint64_t dump_find(const struct dump *d, const struct oracle *o, uint64_t from, uint64_t to)
{
    for (uint64_t commit = to + 1; commit-- > from;) {
        if (dump_matches(d, o, commit))
            return commit;
    }
    return UINT64_MAX;
}

void dump_explain(const struct dump *d, const struct oracle *o, uint64_t commit, char *into,
                  size_t size)
{
    size_t index;
    size_t i = agree(d, o, commit, &index);
    const struct oracle_version *version = index < o->count ? oracle_at(o, commit, index) : NULL;

    if (i == d->count && index == o->count)
        snprintf(into, size, "equal to commit %" PRIu64, commit);
    else
        snprintf(into, size,
                 "%zu entries, %zu in the model at commit %" PRIu64
                 "; entry %zu is %s (hash %" PRIx64 ", %zu bytes), model has %s (hash %" PRIx64
                 ", %zu bytes, of commit %" PRIu64 ")",
                 d->count, oracle_alive_count(o, commit), commit, i,
                 i < d->count ? sample_text(d->entries[i].key) : "none",
                 i < d->count ? d->entries[i].hash : 0, i < d->count ? d->entries[i].size : 0,
                 version ? sample_text(o->keys[index].key) : "none", version ? version->hash : 0,
                 version ? version->size : 0, version ? version->commit : 0);
}
