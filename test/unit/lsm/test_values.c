/*
 * Value files: what was written reads back, directly and through the maps of two generations, and
 * damage is told.
 */
#include "harness/test.h"

#include "base/error.h"
#include "env/sim.h"
#include "lsm/values.h"

#define DIR "/db"

enum { COUNT = 700, SEED_BYTES = 64 };

static struct vv_env *env;
static struct vv_account account;
static struct vv_values *values;
static struct vv_ref refs[COUNT];

static void begin(void)
{
    CHECK_OK(vv_env_sim_new(test_seed(), &env));
    CHECK_OK(vv_env_make_dir(env, DIR));
    struct vv_values_options options = {.env = env, .dir = DIR, .account = &account, .uuid = "u"};
    CHECK_OK(vv_values_new(&options, &values));
}

static void end(void)
{
    vv_values_free(values);
    vv_env_sim_free(env);
    CHECK_EQ_U64(vv_account_total(&account), 0);
}

static vv_slice key_of(unsigned i, uint8_t into[4])
{
    for (int k = 0; k < 4; k++)
        into[k] = (uint8_t)(i >> (8 * k));
    return vv_slice_of(into, 4);
}

static vv_slice value_of(unsigned i, uint8_t into[SEED_BYTES + COUNT])
{
    size_t size = i % 97;
    for (size_t k = 0; k < size; k++)
        into[k] = (uint8_t)(i * 31 + k);
    return vv_slice_of(into, size);
}

static void write_file(uint64_t number)
{
    struct vv_value_writer *w;
    uint8_t key[4];
    uint8_t value[SEED_BYTES + COUNT];
    CHECK_OK(vv_value_writer_open(values, number, &w));
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_OK(vv_value_writer_add(w, key_of(i, key), value_of(i, value), &refs[i]));
    CHECK_EQ_U64(vv_value_writer_count(w), COUNT);
    CHECK_OK(vv_value_writer_seal(w));
    vv_value_writer_close(w);
}

static int read_one(struct vv_value_file *file, unsigned i)
{
    struct vv_pin pin = {0};
    uint8_t key[4];
    uint8_t value[SEED_BYTES + COUNT];
    int rc = vv_values_read(file, refs[i], key_of(i, key), &pin);
    if (rc < 0)
        return rc;
    vv_slice wanted = value_of(i, value);
    CHECK_BYTES(pin.value.data, pin.value.size, wanted.data, wanted.size);
    vv_pin_release(&pin);
    return vv_values_probe(file, refs[i], key_of(i, key));
}

/* Moves every value whose number is a multiple of `step` into a new file. */
static struct vv_value_file *collect(struct vv_value_file *from, uint64_t to, uint64_t served,
                                     unsigned step)
{
    struct vv_value_writer *w;
    struct vv_value_file *file;
    CHECK_OK(vv_value_writer_open(values, to, &w));
    for (unsigned i = COUNT; i-- > 0;) { /* in any order */
        if (i % step == 0)
            CHECK_OK(vv_value_writer_move(w, from, refs[i].file, refs[i].offset_units));
    }
    CHECK_OK(vv_value_writer_seal(w));
    vv_value_writer_close(w);
    CHECK_OK(vv_value_file_new(values, to, &served, 1, &file));
    return file;
}

TEST(values_read_back_directly_and_through_two_generations_of_maps)
{
    struct vv_value_file *first;
    begin();
    write_file(5);
    CHECK_OK(vv_value_file_new(values, 5, NULL, 0, &first));
    struct vv_value_file *second = collect(first, 9, 5, 2);
    struct vv_value_file *third = collect(second, 12, 5, 6);
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_OK(read_one(first, i));
        if (i % 2 == 0)
            CHECK_OK(read_one(second, i));
        else
            CHECK_RC(read_one(second, i), VV_CORRUPT);
        if (i % 6 == 0)
            CHECK_OK(read_one(third, i));
        else
            CHECK_RC(read_one(third, i), VV_CORRUPT);
    }
    uint64_t count, bytes;
    CHECK_OK(vv_values_check(third, &count, &bytes));
    CHECK_EQ_U64(count, (COUNT + 5) / 6);
    struct vv_buf serves = VV_BUF_INIT;
    CHECK_OK(vv_values_read_serves(values, 12, &serves));
    CHECK_EQ_U64(serves.size, sizeof(uint64_t));
    CHECK_EQ_U64(*(const uint64_t *)(const void *)serves.data, 5);
    vv_buf_clear(&serves);
    CHECK_OK(vv_values_read_serves(values, 5, &serves));
    CHECK_EQ_U64(serves.size, 0);
    vv_buf_deinit(&serves);
    vv_value_file_unref(first);
    vv_value_file_unref(second);
    vv_value_file_unref(third);
    end();
}

TEST(a_reference_with_another_check_size_or_place_is_damage)
{
    struct vv_value_file *file;
    begin();
    write_file(5);
    CHECK_OK(vv_value_file_new(values, 5, NULL, 0, &file));
    struct vv_ref good = refs[50];
    refs[50].check ^= 1;
    CHECK_RC(read_one(file, 50), VV_CORRUPT);
    refs[50] = good;
    refs[50].size_bytes++;
    CHECK_RC(read_one(file, 50), VV_CORRUPT);
    refs[50] = good;
    refs[50].offset_units++;
    CHECK_RC(read_one(file, 50), VV_CORRUPT);
    refs[50] = good;
    refs[50].offset_units = UINT32_MAX;
    CHECK_RC(read_one(file, 50), VV_CORRUPT);
    refs[50] = good;
    CHECK_OK(read_one(file, 50));
    vv_value_file_unref(file);
    end();
}

/* Wherever a byte of a collected file is wrong: the right value, or an error. */
TEST(a_damaged_map_gives_an_error_and_never_a_wrong_value)
{
    struct vv_value_file *first;
    struct vv_buf good = VV_BUF_INIT;
    begin();
    write_file(5);
    CHECK_OK(vv_value_file_new(values, 5, NULL, 0, &first));
    struct vv_value_file *second = collect(first, 9, 5, 7);
    vv_value_file_unref(second);
    CHECK_OK(vv_sim_read_file(env, DIR "/000009.val", &good));
    unsigned failed = 0;
    for (size_t at = 0; at < good.size; at += 13) {
        uint64_t served = 5;
        good.data[at] ^= 0x21;
        CHECK_OK(vv_sim_write_file(env, DIR "/000009.val", vv_buf_slice(&good)));
        CHECK_OK(vv_value_file_new(values, 9, &served, 1, &second));
        for (unsigned i = 0; i < COUNT; i += 49) {
            int rc = read_one(second, i);
            CHECK(rc == VV_OK || rc == VV_CORRUPT);
            failed += rc == VV_OK ? 0 : 1;
        }
        vv_value_file_unref(second);
        good.data[at] ^= 0x21;
    }
    CHECK(failed > 0);
    vv_buf_deinit(&good);
    vv_value_file_unref(first);
    end();
}

TEST(a_file_without_a_header_has_nothing_and_says_so)
{
    struct vv_file *file;
    bool headless;
    begin();
    CHECK_OK(vv_env_open(env, DIR "/000007.val", VV_OPEN_CREATE, &file));
    vv_file_close(file);
    CHECK_OK(vv_values_headless(values, 7, &headless));
    CHECK(headless);
    write_file(5);
    CHECK_OK(vv_values_headless(values, 5, &headless));
    CHECK(!headless);
    CHECK_OK(vv_values_headless(values, 99, &headless));
    CHECK(!headless);
    end();
}

TEST(the_last_reference_to_an_obsolete_file_removes_it)
{
    struct vv_value_file *file;
    struct vv_path_info info;
    begin();
    write_file(5);
    CHECK_OK(vv_value_file_new(values, 5, NULL, 0, &file));
    vv_value_file_ref(file);
    atomic_store(&file->obsolete, true);
    vv_value_file_unref(file);
    CHECK_OK(read_one(file, 3));
    vv_value_file_unref(file);
    CHECK_RC(vv_env_info(env, DIR "/000005.val", &info), VV_NOTFOUND);
    end();
}

TEST(keys_of_64_kib_and_empty_values_have_records_too)
{
    static uint8_t long_key[VV_KEY_SIZE_MAX];
    struct vv_value_writer *w;
    struct vv_value_file *file;
    struct vv_ref ref[2];
    struct vv_pin pin;
    begin();
    CHECK_OK(vv_value_writer_open(values, 5, &w));
    vv_slice key = vv_slice_of(long_key, sizeof long_key);
    CHECK_OK(vv_value_writer_add(w, key, vv_slice_str("value"), &ref[0]));
    CHECK_OK(vv_value_writer_add(w, VV_SLICE_EMPTY, VV_SLICE_EMPTY, &ref[1]));
    CHECK_OK(vv_value_writer_seal(w));
    vv_value_writer_close(w);
    CHECK_OK(vv_value_file_new(values, 5, NULL, 0, &file));
    CHECK_OK(vv_values_read(file, ref[0], key, &pin));
    CHECK_SLICE(pin.value, "value");
    vv_pin_release(&pin);
    CHECK_OK(vv_values_probe(file, ref[0], key));
    CHECK_RC(vv_values_probe(file, ref[0], vv_slice_str("other")), VV_CORRUPT);
    CHECK_OK(vv_values_read(file, ref[1], VV_SLICE_EMPTY, &pin));
    CHECK_SLICE(pin.value, "");
    vv_pin_release(&pin);
    vv_value_file_unref(file);
    end();
}

TEST(numbers_that_references_cannot_hold_are_refused)
{
    struct vv_value_writer *w;
    begin();
    CHECK_RC(vv_value_writer_open(values, (uint64_t)UINT32_MAX + 1, &w), VV_LIMIT);
    end();
}
