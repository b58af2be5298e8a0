/*
 * Slotted blocks: what is put in is found, by fingerprint, by search and by walking.
 */
#include "harness/test.h"

#include "base/rng.h"
#include "kv/expiry.h"
#include "sst/block.h"
#include "sst/block_writer.h"

#include <stdlib.h>

enum { ENTRIES_MAX = 400, KEY_MAX = 24 };

struct sample {
    uint8_t keys[ENTRIES_MAX][KEY_MAX];
    struct vv_entry entries[ENTRIES_MAX];
    uint32_t count;
    uint8_t value[256];
};

static const struct vv_order bytewise;

static int compare(const void *a, const void *b)
{
    const struct vv_entry *x = a;
    const struct vv_entry *y = b;
    return vv_order_cmp_entry(&bytewise, x->key, x->seq, y->key, y->seq);
}

static void sample_make(struct vv_rng *rng, struct sample *s)
{
    uint32_t wanted = 1 + (uint32_t)vv_rng_below(rng, ENTRIES_MAX);
    size_t key_min = vv_rng_one_in(rng, 2) ? 0 : 12;
    size_t key_max = key_min + vv_rng_below(rng, KEY_MAX - key_min + 1);
    size_t value_max = vv_rng_below(rng, 200);
    bool values_alike = vv_rng_one_in(rng, 2);
    vv_seq seq_max = (vv_seq)1 << vv_rng_below(rng, 56);
    unsigned letters = 1 + (unsigned)vv_rng_below(rng, 30);
    for (size_t i = 0; i < sizeof s->value; i++)
        s->value[i] = (uint8_t)vv_rng_next(rng);
    for (uint32_t i = 0; i < wanted; i++) {
        size_t size = key_min + vv_rng_below(rng, key_max - key_min + 1);
        for (size_t b = 0; b < size; b++)
            s->keys[i][b] = (uint8_t)(b < 5 ? 'p' : 'a' + vv_rng_below(rng, letters));
        size_t value_size = values_alike ? value_max : vv_rng_below(rng, value_max + 1);
        s->entries[i] = (struct vv_entry){vv_slice_of(s->keys[i], size),
                                          vv_slice_of(s->value + i % 50, value_size),
                                          vv_rng_below(rng, seq_max), VV_KIND_PUT};
        if (!values_alike && vv_rng_one_in(rng, 10)) {
            s->entries[i].kind = VV_KIND_DELETE;
            s->entries[i].value.size = 0;
        }
    }
    qsort(s->entries, wanted, sizeof s->entries[0], compare);
    s->count = 0;
    for (uint32_t i = 0; i < wanted; i++)
        if (s->count == 0 || compare(&s->entries[s->count - 1], &s->entries[i]) < 0)
            s->entries[s->count++] = s->entries[i];
}

static void build(const struct sample *s, struct vv_buf *out)
{
    struct vv_block_writer w = {.shape = VV_BLOCK_SHAPE_DATA};
    for (uint32_t i = 0; i < s->count; i++)
        CHECK_OK(vv_block_writer_add(&w, &s->entries[i], vv_print_of(vv_hash(s->entries[i].key))));
    CHECK_OK(vv_block_writer_finish(&w, out));
    CHECK_EQ_INT(w.count, 0);
    vv_block_writer_deinit(&w);
    CHECK_OK(vv_block_verify(vv_buf_slice(out), VV_ROLE_DATA, &bytewise));
    CHECK_OK(vv_buf_reserve(out, VV_BLOCK_SLACK));
    memset(out->data + out->size, 0x5a, VV_BLOCK_SLACK);
}

static void check_same(const struct vv_entry *a, const struct vv_entry *b)
{
    CHECK_BYTES(a->key.data, a->key.size, b->key.data, b->key.size);
    CHECK_BYTES(a->value.data, a->value.size, b->value.data, b->value.size);
    CHECK_EQ_U64(a->seq, b->seq);
    CHECK_EQ_INT(a->kind, b->kind);
}

static void check_walk(const struct sample *s, const struct vv_block_view *v)
{
    uint8_t *joined = malloc(vv_block_key_room(v));
    memcpy(joined, v->prefix, v->prefix_size);
    CHECK_EQ_INT(v->count, s->count);
    for (uint32_t i = 0; i < v->count; i++) {
        struct vv_entry entry;
        vv_block_entry(v, i, joined, &entry);
        check_same(&entry, &s->entries[i]);
    }
    free(joined);
}

static uint32_t linear_search(const struct sample *s, vv_slice key, uint64_t bound)
{
    uint32_t i = 0;
    while (i < s->count) {
        int order = vv_slice_cmp(s->entries[i].key, key);
        if (order > 0 || (order == 0 && s->entries[i].seq < bound))
            break;
        i++;
    }
    return i;
}

static void check_key(const struct sample *s, const struct vv_block_view *v, vv_slice key,
                      vv_seq seq)
{
    CHECK_EQ_INT(vv_block_search(v, &bytewise, key, VV_BOUND_FIRST),
                 linear_search(s, key, VV_BOUND_FIRST));
    CHECK_EQ_INT(vv_block_search(v, &bytewise, key, VV_BOUND_PAST),
                 linear_search(s, key, VV_BOUND_PAST));
    uint32_t expected = linear_search(s, key, seq + 1);
    CHECK_EQ_INT(vv_block_search(v, &bytewise, key, seq + 1), expected);
    uint32_t slot = 0;
    int rc = vv_block_find(v, key, vv_hash(key), seq, &slot);
    if (expected < s->count && vv_slice_equal(s->entries[expected].key, key)) {
        CHECK_RC(rc, VV_OK);
        CHECK_EQ_INT(slot, expected);
    } else {
        CHECK_RC(rc, VV_NOTFOUND);
    }
}

TEST(what_is_put_into_a_block_is_found_in_it)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct sample *s = malloc(sizeof *s);
    for (int round = 0; round < (test_soak() ? 20000 : 600); round++) {
        struct vv_buf content = VV_BUF_INIT;
        struct vv_block_view v;
        sample_make(&rng, s);
        build(s, &content);
        vv_block_decode(content.data, &v);
        CHECK_OK(vv_block_verify_order(&v, &bytewise));
        check_walk(s, &v);
        for (int probe = 0; probe < 60; probe++) {
            uint8_t key[KEY_MAX + 2];
            const struct vv_entry *e = &s->entries[vv_rng_below(&rng, s->count)];
            size_t size = e->key.size;
            memcpy(key, e->key.data, size);
            if (vv_rng_one_in(&rng, 3))
                key[size++] = (uint8_t)vv_rng_below(&rng, 256);
            else if (size > 0 && vv_rng_one_in(&rng, 3))
                key[vv_rng_below(&rng, size)]++;
            else if (size > 0 && vv_rng_one_in(&rng, 3))
                size--;
            vv_seq seq = vv_rng_one_in(&rng, 2) ? e->seq : vv_rng_below(&rng, VV_SEQ_MAX);
            check_key(s, &v, vv_slice_of(key, size), seq);
        }
        vv_buf_deinit(&content);
    }
    free(s);
}

TEST(fixed_sizes_and_one_sequence_cost_one_byte_an_entry)
{
    struct vv_block_writer w = {.shape = VV_BLOCK_SHAPE_DATA};
    struct vv_buf content = VV_BUF_INIT;
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t key[4] = {'k', 'e', 'y', i};
        struct vv_entry entry = {vv_slice_of(key, 4), vv_slice_str("value"), 0, VV_KIND_PUT};
        CHECK_OK(vv_block_writer_add(&w, &entry, 0));
    }
    CHECK_OK(vv_block_writer_finish(&w, &content));
    CHECK_EQ_INT(content.size, VV_BLOCK_HEAD_SIZE + 3 + 100 * (1 + 1 + 5));
    vv_buf_deinit(&content);
    vv_block_writer_deinit(&w);
}

/* One byte of a block of these entries, changed as only another version would write it. */
static int verify_changed(const struct vv_entry *entries, size_t count, size_t at, uint8_t byte)
{
    struct vv_block_writer w = {.shape = VV_BLOCK_SHAPE_DATA};
    struct vv_buf content = VV_BUF_INIT;
    for (size_t i = 0; i < count; i++)
        CHECK_OK(vv_block_writer_add(&w, &entries[i], 0));
    CHECK_OK(vv_block_writer_finish(&w, &content));
    CHECK_OK(vv_block_verify(vv_buf_slice(&content), VV_ROLE_DATA, &bytewise));
    content.data[at] = byte;
    int rc = vv_block_verify(vv_buf_slice(&content), VV_ROLE_DATA, &bytewise);
    vv_buf_deinit(&content);
    vv_block_writer_deinit(&w);
    return rc;
}

TEST(flags_and_kinds_that_are_not_known_are_of_a_newer_version)
{
    const struct vv_entry two[] = {{vv_slice_str("a"), vv_slice_str("v"), 7, VV_KIND_PUT},
                                   {vv_slice_str("b"), vv_slice_str("v"), 9, VV_KIND_PUT}};
    size_t meta = VV_BLOCK_HEAD_SIZE + 2; /* behind the prints; the sizes are fixed */
    size_t kind = VV_BLOCK_BASE + 7;
    uint8_t flags = VV_BLOCK_FIXED_SUFFIX | VV_BLOCK_FIXED_VALUE | VV_BLOCK_PRINTS;
    CHECK_RC(verify_changed(two, 2, VV_BLOCK_FLAGS, flags | 64), VV_UNSUPPORTED);
    CHECK_RC(verify_changed(two, 2, VV_BLOCK_FLAGS, flags | 128), VV_UNSUPPORTED);
    CHECK_RC(verify_changed(two, 2, VV_BLOCK_FLAGS, flags | VV_BLOCK_WIDE_VALUE), VV_CORRUPT);
    for (unsigned k = 0; k <= VV_BLOCK_META_KIND_MASK; k++)
        if (!vv_kind_known(k))
            CHECK_RC(verify_changed(two, 2, meta, (uint8_t)k), VV_UNSUPPORTED);
    CHECK_RC(verify_changed(two, 2, meta, VV_KIND_DELETE), VV_CORRUPT);
    CHECK_RC(verify_changed(two, 2, kind, VV_KIND_PUT), VV_CORRUPT); /* for all and for each */
    CHECK_RC(verify_changed(two, 1, kind, VV_BLOCK_META_KIND_MASK), VV_UNSUPPORTED);
    CHECK_RC(verify_changed(two, 1, kind, VV_KIND_PUT_EXPIRES), VV_CORRUPT);
    CHECK_RC(verify_changed(two, 1, kind, UINT8_MAX), VV_UNSUPPORTED);
    CHECK_RC(verify_changed(two, 1, kind, VV_KIND_REF), VV_CORRUPT);
}

TEST(no_changed_block_is_read_out_of_bounds)
{
    struct vv_rng rng = vv_rng_of(test_seed());
    struct sample *s = malloc(sizeof *s);
    for (int round = 0; round < 150; round++) {
        struct vv_buf content = VV_BUF_INIT;
        sample_make(&rng, s);
        build(s, &content);
        for (int change = 0; change < 60; change++) {
            size_t size =
                vv_rng_one_in(&rng, 4) ? vv_rng_below(&rng, content.size + 1) : content.size;
            uint8_t *copy = calloc(1, size + VV_BLOCK_SLACK);
            memcpy(copy, content.data, size);
            size_t head = size < 200 ? size : 200;
            for (int i = 0; i < 2 && head > 0; i++)
                copy[vv_rng_below(&rng, head)] = (uint8_t)vv_rng_next(&rng);
            int rc = vv_block_verify((vv_slice){copy, size}, VV_ROLE_DATA, &bytewise);
            if (rc == VV_OK) {
                struct vv_block_view v;
                uint32_t slot;
                vv_block_decode(copy, &v);
                uint8_t *joined = malloc(vv_block_key_room(&v));
                memcpy(joined, v.prefix, v.prefix_size);
                for (uint32_t i = 0; i < v.count; i++) {
                    struct vv_entry entry;
                    vv_block_entry(&v, i, joined, &entry);
                    CHECK(vv_hash(entry.key) + vv_hash(entry.value) != 1);
                    (void)vv_block_search(&v, &bytewise, entry.key, entry.seq);
                    int found = vv_block_find(&v, entry.key, vv_hash(entry.key), entry.seq, &slot);
                    CHECK(found == VV_OK || found == VV_NOTFOUND);
                }
                free(joined);
            } else {
                CHECK(rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
            }
            free(copy);
        }
        vv_buf_deinit(&content);
    }
    free(s);
}
