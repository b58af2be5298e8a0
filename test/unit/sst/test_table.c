/*
 * Tables against a sorted array: whatever was written is found, in order, at every sequence.
 */
#include "harness/test.h"

#include "base/rng.h"
#include "env/mem.h"
#include "env/thread.h"
#include "kv/ref.h"
#include "sst/table.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t uuid[VV_TABLE_UUID_SIZE] = "varve test store";

/* ------------------------------------------------------------------------------------ a model */

struct model_entry {
    uint8_t *key;
    size_t key_size;
    uint8_t *value;
    size_t value_size;
    vv_seq seq;
    enum vv_kind kind;
};

struct model {
    struct model_entry *entries;
    size_t count;
    struct vv_order order;
    uint64_t raw_bytes, tombstones;
};

static vv_slice key_of(const struct model_entry *e)
{
    return vv_slice_of(e->key, e->key_size);
}

/* Bytewise from the last byte to the first: nothing that relies on prefixes survives it. */
static int compare_backwards(void *context, vv_slice a, vv_slice b)
{
    (void)context;
    size_t common = a.size < b.size ? a.size : b.size;
    for (size_t i = 1; i <= common; i++)
        if (a.data[a.size - i] != b.data[b.size - i])
            return a.data[a.size - i] < b.data[b.size - i] ? -1 : 1;
    return (a.size > b.size) - (a.size < b.size);
}

static const struct vv_order backwards = {.compare = compare_backwards, .name = "backwards"};

static struct vv_order sorting_order;

static int compare_entries(const void *a, const void *b)
{
    const struct model_entry *x = a;
    const struct model_entry *y = b;
    return vv_order_cmp_entry(&sorting_order, key_of(x), x->seq, key_of(y), y->seq);
}

struct shape {
    size_t count;
    size_t versions_max;
    size_t key_size_min, key_size_max;
    size_t value_size_min, value_size_max;
    unsigned alphabet; /* how many different bytes a key may have */
    vv_seq seq_max;    /* 0: all sequences are 0, one version each */
    bool puts_only;
    struct vv_order order;
};

static void fill(struct vv_rng *rng, uint8_t *into, size_t size, unsigned alphabet)
{
    for (size_t i = 0; i < size; i++)
        into[i] = (uint8_t)(vv_rng_below(rng, alphabet) * (255 / alphabet));
}

static size_t between(struct vv_rng *rng, size_t low, size_t high)
{
    return low + (size_t)vv_rng_below(rng, high - low + 1);
}

static struct model_entry random_entry(struct vv_rng *rng, const struct shape *s)
{
    struct model_entry e = {.kind = VV_KIND_PUT};
    e.key_size = between(rng, s->key_size_min, s->key_size_max);
    e.key = malloc(e.key_size + 1);
    fill(rng, e.key, e.key_size, s->alphabet);
    e.value_size = between(rng, s->value_size_min, s->value_size_max);
    if (!s->puts_only && vv_rng_one_in(rng, 8)) {
        e.kind = VV_KIND_DELETE;
        e.value_size = 0;
    } else if (!s->puts_only && vv_rng_one_in(rng, 8)) {
        e.kind = VV_KIND_REF;
        e.value_size = VV_REF_SIZE;
    }
    e.value = malloc(e.value_size + 1);
    fill(rng, e.value, e.value_size, 7);
    if (e.kind == VV_KIND_REF)
        vv_ref_encode((struct vv_ref){(uint32_t)vv_rng_below(rng, 3) + 5,
                                      (uint32_t)vv_rng_below(rng, 1u << 30), 5000, 7},
                      e.value);
    e.seq = s->seq_max > 0 ? vv_rng_below(rng, s->seq_max) + 1 : 0;
    return e;
}

static void free_entry(struct model_entry *e)
{
    free(e->key);
    free(e->value);
}

static struct model model_make(struct vv_rng *rng, const struct shape *s)
{
    struct model m = {.order = s->order};
    m.entries = malloc(s->count * sizeof *m.entries);
    for (size_t i = 0; i < s->count; i++) {
        m.entries[i] = random_entry(rng, s);
        if (i > 0 && s->versions_max > 1 && !vv_rng_one_in(rng, s->versions_max)) {
            free(m.entries[i].key);
            m.entries[i].key_size = m.entries[i - 1].key_size;
            m.entries[i].key = malloc(m.entries[i].key_size + 1);
            memcpy(m.entries[i].key, m.entries[i - 1].key, m.entries[i].key_size);
        }
    }
    sorting_order = s->order;
    qsort(m.entries, s->count, sizeof *m.entries, compare_entries);
    for (size_t i = 0; i < s->count; i++) {
        if (m.count > 0 && compare_entries(&m.entries[m.count - 1], &m.entries[i]) >= 0) {
            free_entry(&m.entries[i]);
            continue;
        }
        m.entries[m.count++] = m.entries[i];
        m.tombstones += m.entries[i].kind == VV_KIND_DELETE;
        m.raw_bytes += m.entries[i].key_size +
                       (m.entries[i].kind == VV_KIND_REF ? 5000 : m.entries[i].value_size);
    }
    return m;
}

static void model_free(struct model *m)
{
    for (size_t i = 0; i < m->count; i++)
        free_entry(&m->entries[i]);
    free(m->entries);
}

/* The first entry that is not in front of (key, seq). */
static size_t model_seek(const struct model *m, vv_slice key, vv_seq seq)
{
    size_t low = 0;
    size_t high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct model_entry *e = &m->entries[middle];
        if (vv_order_cmp_entry(&m->order, key_of(e), e->seq, key, seq) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ------------------------------------------------------------------------------------ a world */

struct world {
    struct vv_env *env;
    struct vv_account account;
    struct vv_cache *cache;
    struct vv_table_facts facts;
};

static void world_begin(struct world *w, size_t cache_bytes)
{
    memset(w, 0, sizeof *w);
    CHECK_OK(vv_env_mem_new(&w->env));
    if (cache_bytes > 0)
        CHECK_OK(vv_cache_new(&w->account, cache_bytes, &w->cache));
}

static void world_end(struct world *w)
{
    vv_table_facts_deinit(&w->facts);
    if (w->cache != NULL)
        vv_cache_check(w->cache);
    vv_cache_free(w->cache);
    vv_env_mem_free(w->env);
    CHECK_EQ_INT(vv_account_total(&w->account), 0);
}

static int write_model(struct world *w, const struct model *m,
                       const struct vv_table_write_options *options)
{
    struct vv_table_write_options o = *options;
    o.order = &m->order;
    o.account = &w->account;
    o.number = 17;
    memcpy(o.uuid, uuid, sizeof o.uuid);
    struct vv_table_writer *writer = NULL;
    int rc = vv_table_writer_open(w->env, "/table", &o, &writer);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < m->count; i++) {
        const struct model_entry *e = &m->entries[i];
        struct vv_entry entry = {key_of(e), vv_slice_of(e->value, e->value_size), e->seq, e->kind};
        rc = vv_table_writer_add(writer, &entry, e->kind == VV_KIND_REF ? 5000 : e->value_size);
        if (rc < 0) {
            vv_table_writer_abort(writer);
            return rc;
        }
    }
    vv_table_facts_deinit(&w->facts);
    return vv_table_writer_finish(writer, &w->facts);
}

static struct vv_table *open_table(struct world *w, const struct vv_order *order, bool map)
{
    struct vv_table *t = NULL;
    CHECK_OK(vv_table_open(w->env, "/table",
                           &(struct vv_table_open_options){.order = order,
                                                           .account = &w->account,
                                                           .cache = w->cache,
                                                           .number = 17,
                                                           .uuid = uuid,
                                                           .size_bytes = w->facts.size_bytes,
                                                           .map = map},
                           &t));
    return t;
}

static void check_at(const struct vv_iter *it, const struct model *m, size_t i)
{
    CHECK(it->valid == (i < m->count));
    if (i >= m->count)
        return;
    const struct model_entry *e = &m->entries[i];
    CHECK_BYTES(it->at.key.data, it->at.key.size, e->key, e->key_size);
    CHECK_BYTES(it->at.value.data, it->at.value.size, e->value, e->value_size);
    CHECK_EQ_U64(it->at.seq, e->seq);
    CHECK_EQ_INT(it->at.kind, e->kind);
}

static void check_get(struct vv_table *t, const struct model *m, vv_slice key, vv_seq seq)
{
    struct vv_table_hit hit = {0};
    uint64_t hash = vv_hash(key);
    size_t i = model_seek(m, key, seq);
    bool is_there = i < m->count && vv_slice_equal(key_of(&m->entries[i]), key);
    int rc = vv_table_get(t, key, hash, seq, &hit);
    CHECK_RC(rc, is_there ? VV_OK : VV_NOTFOUND);
    vv_table_prefetch(t, hash);
    vv_table_prefetch_key(t, key, hash);
    if (!is_there)
        return;
    CHECK(vv_table_may_hold(t, key, hash));
    CHECK_BYTES(hit.value.data, hit.value.size, m->entries[i].value, m->entries[i].value_size);
    CHECK_EQ_U64(hit.seq, m->entries[i].seq);
    CHECK_EQ_INT(hit.kind, m->entries[i].kind);
    vv_table_hit_release(&hit);
}

static void check_gets(struct vv_table *t, const struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct model_entry *e = &m->entries[i];
        check_get(t, m, key_of(e), e->seq);
        check_get(t, m, key_of(e), e->seq + 1);
        check_get(t, m, key_of(e), VV_SEQ_MAX);
        check_get(t, m, key_of(e), UINT64_MAX);
        if (e->seq > 0)
            check_get(t, m, key_of(e), e->seq - 1);
    }
}

static void check_walks(struct vv_table *t, const struct model *m, enum vv_table_read_mode mode)
{
    struct vv_iter *it = NULL;
    CHECK_OK(vv_table_iter(t, mode, &it));
    CHECK(!it->valid);
    size_t i = 0;
    CHECK_OK(vv_iter_first(it));
    for (; it->valid; i++) {
        check_at(it, m, i);
        CHECK_OK(vv_iter_next(it));
    }
    CHECK_EQ_INT(i, m->count);
    CHECK_OK(vv_iter_last(it));
    for (; it->valid; i--) {
        check_at(it, m, i - 1);
        CHECK_OK(vv_iter_prev(it));
    }
    CHECK_EQ_INT(i, 0);
    vv_iter_close(it);
}

static vv_slice random_key(struct vv_rng *rng, const struct model *m, const struct shape *s,
                           uint8_t *room)
{
    size_t size;
    if (vv_rng_one_in(rng, 2)) {
        size = between(rng, s->key_size_min, s->key_size_max);
        fill(rng, room, size, s->alphabet);
    } else {
        const struct model_entry *e = &m->entries[vv_rng_below(rng, m->count)];
        size = e->key_size;
        memcpy(room, e->key, size);
        if (size > 0 && vv_rng_one_in(rng, 2))
            room[vv_rng_below(rng, size)] ^= 1;
        if (vv_rng_one_in(rng, 4))
            room[size++] = 0;
        else if (size > 0 && vv_rng_one_in(rng, 4))
            size--;
    }
    return vv_slice_of(room, size);
}

static void check_seeks(struct vv_rng *rng, struct vv_table *t, const struct model *m,
                        const struct shape *s, enum vv_table_read_mode mode)
{
    struct vv_iter *it = NULL;
    uint8_t *room = malloc(s->key_size_max + 2);
    CHECK_OK(vv_table_iter(t, mode, &it));
    size_t rounds = m->count < 300 ? m->count + 20 : 300;
    for (size_t round = 0; round < rounds; round++) {
        vv_slice key = random_key(rng, m, s, room);
        vv_seq seq = s->seq_max > 0 ? vv_rng_below(rng, s->seq_max + 2) : vv_rng_below(rng, 2);
        if (vv_rng_one_in(rng, 4))
            seq = vv_rng_one_in(rng, 2) ? VV_SEQ_MAX : UINT64_MAX;
        size_t i;
        if (vv_rng_one_in(rng, 2)) {
            i = model_seek(m, key, seq);
            CHECK_OK(vv_iter_seek(it, key, seq));
        } else {
            i = model_seek(m, key, 0);
            if (i < m->count && vv_slice_equal(key_of(&m->entries[i]), key) &&
                m->entries[i].seq == 0)
                i++;
            i = i > 0 ? i - 1 : m->count;
            CHECK_OK(vv_iter_seek_for_prev(it, key));
        }
        check_at(it, m, i);
        for (int step = 0; step < 4 && it->valid; step++) {
            if (vv_rng_one_in(rng, 2)) {
                i++;
                CHECK_OK(vv_iter_next(it));
            } else {
                i = i > 0 ? i - 1 : m->count;
                CHECK_OK(vv_iter_prev(it));
            }
            check_at(it, m, i);
        }
        check_get(t, m, key, seq);
    }
    free(room);
    vv_iter_close(it);
}

struct ref_walk {
    uint32_t before;
    uint64_t count;
};

static int visit_ref(void *context, uint32_t offset_units)
{
    struct ref_walk *walk = context;
    CHECK(walk->count == 0 || offset_units >= walk->before);
    walk->before = offset_units;
    walk->count++;
    return VV_OK;
}

static void check_facts(struct vv_table *t, const struct world *w, const struct model *m)
{
    struct vv_table_facts facts = {0};
    CHECK_OK(vv_table_read_facts(t, &facts));
    CHECK_EQ_U64(facts.size_bytes, w->facts.size_bytes);
    CHECK_EQ_U64(facts.entries, m->count);
    CHECK_EQ_U64(w->facts.entries, m->count);
    CHECK_EQ_U64(facts.tombstones, m->tombstones);
    CHECK_EQ_U64(facts.raw_bytes, m->raw_bytes);
    CHECK_EQ_U64(facts.min_seq, w->facts.min_seq);
    CHECK_EQ_U64(facts.max_seq, w->facts.max_seq);
    CHECK_BYTES(facts.smallest.data, facts.smallest.size, m->entries[0].key,
                m->entries[0].key_size);
    CHECK_BYTES(facts.largest.data, facts.largest.size, m->entries[m->count - 1].key,
                m->entries[m->count - 1].key_size);
    uint64_t refs = 0;
    for (size_t i = 0; i < m->count; i++)
        refs += m->entries[i].kind == VV_KIND_REF;
    CHECK_EQ_INT(facts.ref_count, w->facts.ref_count);
    for (size_t i = 0; i < facts.ref_count; i++) {
        struct ref_walk walk = {0};
        CHECK_EQ_U64(facts.refs[i].bytes, w->facts.refs[i].bytes);
        CHECK(facts.refs[i].bytes >= facts.refs[i].count * 5000);
        CHECK_OK(vv_table_visit_refs(t, facts.refs[i].file, visit_ref, &walk));
        CHECK_EQ_U64(walk.count, facts.refs[i].count);
        refs -= walk.count;
    }
    CHECK_EQ_U64(refs, 0);
    uint64_t bytes = 1;
    CHECK_OK(vv_table_approximate_bytes(t, vv_buf_slice(&facts.smallest),
                                        vv_buf_slice(&facts.largest), &bytes));
    CHECK(bytes < facts.size_bytes);
    CHECK(bytes > 0 || vv_slice_equal(vv_buf_slice(&facts.smallest), vv_buf_slice(&facts.largest)));
    vv_table_facts_deinit(&facts);
}

static void check_all(struct vv_rng *rng, struct world *w, const struct model *m,
                      const struct shape *s, bool map)
{
    struct vv_table *t = open_table(w, &m->order, map);
    CHECK(vv_table_mapped(t) == map);
    CHECK_EQ_U64(vv_table_number(t), 17);
    check_gets(t, m);
    check_walks(t, m, VV_TABLE_READ_CACHED);
    check_walks(t, m, VV_TABLE_READ_SCAN);
    check_seeks(rng, t, m, s, VV_TABLE_READ_CACHED);
    check_seeks(rng, t, m, s, VV_TABLE_READ_SCAN);
    check_facts(t, w, m);
    CHECK_OK(vv_table_check(t));
    vv_table_unref(t);
}

static void check_shape(struct vv_rng *rng, const struct shape *s,
                        const struct vv_table_write_options *o, size_t cache_bytes)
{
    struct world w;
    world_begin(&w, cache_bytes);
    struct model m = model_make(rng, s);
    CHECK_OK(write_model(&w, &m, o));
    check_all(rng, &w, &m, s, true);
    check_all(rng, &w, &m, s, false);
    model_free(&m);
    world_end(&w);
}

/* ------------------------------------------------------------------------------------ tests */

TEST(random_tables_answer_like_a_sorted_array)
{
    static const uint32_t block_sizes[] = {64, 300, 0, 65536};
    struct vv_rng rng = vv_rng_of(test_seed());
    int rounds = test_soak() ? 2000 : 120;
    for (int round = 0; round < rounds; round++) {
        struct shape s = {.count = between(&rng, 1, 1500),
                          .versions_max = between(&rng, 1, 6),
                          .key_size_max = between(&rng, 2, 40),
                          .value_size_max = between(&rng, 0, 300),
                          .alphabet = (unsigned)between(&rng, 2, 255),
                          .seq_max = between(&rng, 1, 100000),
                          .puts_only = vv_rng_one_in(&rng, 2)};
        if (vv_rng_one_in(&rng, 4))
            s.key_size_min = s.key_size_max;
        if (vv_rng_one_in(&rng, 4))
            s.value_size_min = s.value_size_max;
        if (vv_rng_one_in(&rng, 4)) {
            s.seq_max = 0;
            s.versions_max = 1;
        }
        if (vv_rng_one_in(&rng, 4))
            s.order = backwards;
        struct vv_table_write_options o = {
            .codec = (enum vv_codec)vv_rng_below(&rng, 3),
            .filter = (enum vv_filter_kind)vv_rng_below(&rng, 4),
            .block_bytes = block_sizes[vv_rng_below(&rng, 4)],
            .partition_bytes = vv_rng_one_in(&rng, 2) ? 0 : (uint32_t)between(&rng, 64, 2000)};
        if (!vv_codec_available(o.codec))
            o.codec = VV_CODEC_NONE;
        check_shape(&rng, &s, &o, vv_rng_one_in(&rng, 3) ? 0 : between(&rng, 1, 1 << 20));
    }
}

TEST(versions_of_one_key_may_span_blocks)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct shape s = {.count = 3000,
                      .versions_max = 1500,
                      .key_size_min = 4,
                      .key_size_max = 12,
                      .value_size_max = 40,
                      .alphabet = 9,
                      .seq_max = VV_SEQ_MAX - 1};
    check_shape(&rng, &s,
                &(struct vv_table_write_options){
                    .block_bytes = 200, .partition_bytes = 300, .filter = VV_FILTER_FUSE8},
                1 << 16);
}

TEST(keys_and_values_may_be_huge_or_empty)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct shape s = {.count = 12,
                      .versions_max = 2,
                      .key_size_max = VV_KEY_SIZE_MAX - 1,
                      .value_size_max = 3 << 20,
                      .alphabet = 2,
                      .seq_max = 10};
    for (int codec = VV_CODEC_NONE; codec <= VV_CODEC_ZSTD; codec++)
        if (vv_codec_available((enum vv_codec)codec))
            check_shape(&rng, &s,
                        &(struct vv_table_write_options){.codec = (enum vv_codec)codec,
                                                         .filter = VV_FILTER_FUSE16},
                        1 << 20);
}

TEST(one_entry_is_a_table)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct shape s = {.count = 1, .versions_max = 1, .alphabet = 2};
    check_shape(&rng, &s, &(struct vv_table_write_options){.filter = VV_FILTER_BLOOM}, 0);
    check_shape(&rng, &s, &(struct vv_table_write_options){.filter = VV_FILTER_FUSE8}, 0);
    check_shape(&rng, &s, &(struct vv_table_write_options){.filter = VV_FILTER_FUSE16}, 0);
}

TEST(entries_out_of_order_are_refused)
{
    struct world w;
    struct vv_order order = {0};
    struct vv_table_write_options options = {.order = &order, .account = &w.account, .number = 17};
    const struct vv_entry entries[] = {
        {vv_slice_str("b"), vv_slice_str("v"), 5, VV_KIND_PUT},
        {vv_slice_str("b"), vv_slice_str("v"), 5, VV_KIND_PUT},
        {vv_slice_str("b"), vv_slice_str("v"), 6, VV_KIND_PUT},
        {vv_slice_str("a"), vv_slice_str("v"), 4, VV_KIND_PUT},
    };
    world_begin(&w, 0);
    for (size_t i = 1; i < sizeof entries / sizeof entries[0]; i++) {
        struct vv_table_writer *writer;
        CHECK_OK(vv_table_writer_open(w.env, "/table", &options, &writer));
        CHECK_OK(vv_table_writer_add(writer, &entries[0], 1));
        CHECK_RC(vv_table_writer_add(writer, &entries[i], 1), VV_CORRUPT);
        vv_table_writer_abort(writer);
        CHECK_OK(vv_env_remove(w.env, "/table"));
    }
    world_end(&w);
}

TEST(a_table_tells_what_it_replaces)
{
    static const uint64_t numbers[] = {1, 300, UINT64_MAX};
    struct world w;
    struct vv_order order = {0};
    struct vv_table_write_options options = {.order = &order, .account = &w.account, .number = 17};
    struct vv_entry entry = {vv_slice_str("key"), vv_slice_str("value"), 1, VV_KIND_PUT};
    world_begin(&w, 0);
    memcpy(options.uuid, uuid, sizeof options.uuid);
    for (size_t count = 0; count <= 3; count++) {
        struct vv_table_writer *writer;
        struct vv_buf told = VV_BUF_INIT;
        CHECK_OK(vv_table_writer_open(w.env, "/table", &options, &writer));
        CHECK_OK(vv_table_writer_add(writer, &entry, entry.value.size));
        vv_table_writer_replaces(writer, numbers, count);
        vv_table_facts_deinit(&w.facts);
        CHECK_OK(vv_table_writer_finish(writer, &w.facts));
        struct vv_table *t = open_table(&w, &order, false);
        CHECK_OK(vv_table_check(t));
        CHECK_OK(vv_table_read_replaces(t, &told));
        CHECK_BYTES(told.data, told.size, numbers, count * sizeof numbers[0]);
        vv_buf_deinit(&told);
        vv_table_unref(t);
        CHECK_OK(vv_env_remove(w.env, "/table"));
    }
    world_end(&w);
}

TEST(a_table_takes_little_more_than_its_data)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct shape s = {.count = 100000,
                      .versions_max = 1,
                      .key_size_min = 16,
                      .key_size_max = 16,
                      .value_size_min = 100,
                      .value_size_max = 100,
                      .alphabet = 255,
                      .puts_only = true};
    struct world w;
    world_begin(&w, 0);
    struct model m = model_make(&rng, &s);
    CHECK_OK(write_model(&w, &m, &(struct vv_table_write_options){.filter = VV_FILTER_FUSE8}));
    CHECK(w.facts.size_bytes * 100 < w.facts.raw_bytes * 106);
    model_free(&m);
    world_end(&w);
}

struct reader {
    struct vv_table *table;
    const struct model *model;
    uint64_t seed;
};

static void read_some(void *arg)
{
    const struct reader *r = arg;
    struct vv_rng rng = vv_rng_of(r->seed);
    for (int i = 0; i < 3000; i++) {
        const struct model_entry *e = &r->model->entries[vv_rng_below(&rng, r->model->count)];
        check_get(r->table, r->model, key_of(e), e->seq);
    }
    check_walks(r->table, r->model, VV_TABLE_READ_CACHED);
}

TEST(threads_share_a_table)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct shape s = {.count = 3000,
                      .versions_max = 2,
                      .key_size_max = 20,
                      .value_size_max = 100,
                      .alphabet = 200,
                      .seq_max = 1000};
    for (int round = 0; round < 4; round++) {
        struct world w;
        struct reader readers[4];
        struct vv_thread *threads[4];
        struct vv_table_write_options o = {.filter = VV_FILTER_FUSE8, .partition_bytes = 400};
        if (round >= 2 && vv_codec_available(VV_CODEC_ZSTD))
            o.codec = VV_CODEC_ZSTD;
        world_begin(&w, 200000);
        struct model m = model_make(&rng, &s);
        CHECK_OK(write_model(&w, &m, &o));
        struct vv_table *t = open_table(&w, &m.order, round % 2 == 0);
        for (size_t i = 0; i < 4; i++) {
            readers[i] = (struct reader){t, &m, test_seed() + i};
            CHECK_OK(vv_thread_start("reader", 0, read_some, &readers[i], &threads[i]));
        }
        for (size_t i = 0; i < 4; i++)
            vv_thread_join(threads[i]);
        vv_table_unref(t);
        model_free(&m);
        world_end(&w);
    }
}
