/*
 * Linear where that is simple, a binary search where tests would take minutes otherwise. Nothing
 * here uses base/alloc, so that counted allocation failures hit the library and not the test.
 */
#include "harness/oracle.h"

#include "base/hash.h"
#include "harness/test.h"

#include <stdlib.h>

static void grow(void **array, size_t *cap, size_t need, size_t item_size)
{
    if (need <= *cap)
        return;
    size_t cap_new = *cap ? *cap * 2 : 8;
    void *bigger = realloc(*array, cap_new * item_size);
    CHECK(bigger != NULL);
    *array = bigger;
    *cap = cap_new;
}

void oracle_deinit(struct oracle *o)
{
    for (size_t i = 0; i < o->count; i++) {
        free((void *)(uintptr_t)o->keys[i].key.data);
        free(o->keys[i].versions);
    }
    free(o->keys);
    *o = (struct oracle){.count = 0};
}

size_t oracle_lower(const struct oracle *o, vv_slice key)
{
    size_t low = 0;
    size_t high = o->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vv_slice_cmp(o->keys[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct oracle_key *key_make(struct oracle *o, vv_slice key)
{
    size_t index = oracle_lower(o, key);
    uint8_t *copy;

    if (index < o->count && vv_slice_equal(o->keys[index].key, key))
        return &o->keys[index];
    grow((void **)&o->keys, &o->cap, o->count + 1, sizeof *o->keys);
    memmove(o->keys + index + 1, o->keys + index, (o->count - index) * sizeof *o->keys);
    copy = malloc(key.size + 1);
    CHECK(copy != NULL);
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    o->keys[index] = (struct oracle_key){.key = {copy, key.size}};
    o->count++;
    return &o->keys[index];
}

static void version_add(struct oracle_key *key, struct oracle_version version)
{
    bool again = key->count > 0 && key->versions[key->count - 1].commit == version.commit;

    if (!again) {
        grow((void **)&key->versions, &key->cap, key->count + 1, sizeof *key->versions);
        key->count++;
    }
    key->versions[key->count - 1] = version;
}

static void range_delete(struct oracle *o, uint64_t commit, vv_slice from, vv_slice to)
{
    for (size_t i = oracle_lower(o, from); i < o->count && vv_slice_cmp(o->keys[i].key, to) < 0;
         i++)
        version_add(&o->keys[i], (struct oracle_version){.commit = commit, .gone = true});
}

uint64_t oracle_commit(struct oracle *o, const struct oracle_change *changes, size_t count)
{
    uint64_t commit = ++o->last;

    for (size_t i = 0; i < count; i++) {
        if (changes[i].to.data != NULL) {
            range_delete(o, commit, changes[i].key, changes[i].to);
            continue;
        }
        version_add(key_make(o, changes[i].key),
                    (struct oracle_version){
                        .commit = commit,
                        .hash = changes[i].gone ? 0 : vv_hash(changes[i].value),
                        .size = changes[i].gone ? 0 : changes[i].value.size,
                        .gone = changes[i].gone,
                        .expires_ms = changes[i].expires_ms,
                    });
    }
    return commit;
}

void oracle_expire(struct oracle *o, uint64_t now_ms)
{
    for (size_t i = 0; i < o->count; i++) {
        for (size_t k = 0; k < o->keys[i].count; k++) {
            struct oracle_version *v = &o->keys[i].versions[k];
            v->gone = v->gone || (v->expires_ms != 0 && v->expires_ms <= now_ms);
        }
    }
}

void oracle_copy(struct oracle *out, const struct oracle *from, uint64_t commit)
{
    *out = (struct oracle){.last = commit};
    for (size_t i = 0; i < from->count; i++) {
        const struct oracle_version *version = oracle_at(from, commit, i);
        struct oracle_key *key;

        if (!version)
            continue;
        key = key_make(out, from->keys[i].key);
        grow((void **)&key->versions, &key->cap, 1, sizeof *key->versions);
        key->versions[key->count++] = *version;
    }
}

void oracle_cut(struct oracle *o, uint64_t commit)
{
    CHECK(commit <= o->last);
    for (size_t i = 0; i < o->count; i++) {
        struct oracle_key *key = &o->keys[i];
        while (key->count > 0 && key->versions[key->count - 1].commit > commit)
            key->count--;
    }
    o->last = commit;
}

const struct oracle_version *oracle_at(const struct oracle *o, uint64_t at, size_t index)
{
    const struct oracle_key *key = &o->keys[index];

    for (size_t i = key->count; i-- > 0;) {
        if (key->versions[i].commit <= at)
            return key->versions[i].gone ? NULL : &key->versions[i];
    }
    return NULL;
}

const struct oracle_version *oracle_get(const struct oracle *o, uint64_t at, vv_slice key)
{
    size_t index = oracle_lower(o, key);

    if (index == o->count || !vv_slice_equal(o->keys[index].key, key))
        return NULL;
    return oracle_at(o, at, index);
}

bool oracle_ever(const struct oracle *o, vv_slice key, uint64_t hash, size_t size)
{
    size_t index = oracle_lower(o, key);

    if (index == o->count || !vv_slice_equal(o->keys[index].key, key))
        return false;
    for (size_t i = 0; i < o->keys[index].count; i++) {
        const struct oracle_version *v = &o->keys[index].versions[i];
        if (!v->gone && v->size == size && v->hash == hash)
            return true;
    }
    return false;
}

size_t oracle_alive_up(const struct oracle *o, uint64_t at, size_t index)
{
    while (index < o->count && !oracle_at(o, at, index))
        index++;
    return index;
}

size_t oracle_alive_down(const struct oracle *o, uint64_t at, size_t end)
{
    while (end > 0) {
        if (oracle_at(o, at, --end))
            return end;
    }
    return SIZE_MAX;
}

size_t oracle_alive_count(const struct oracle *o, uint64_t at)
{
    size_t count = 0;

    for (size_t i = 0; i < o->count; i++)
        count += oracle_at(o, at, i) != NULL;
    return count;
}
