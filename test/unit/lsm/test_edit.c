/*
 * Edits: what is written reads back, and nothing else is taken for an edit.
 */
#include "harness/test.h"

#include "base/alloc.h"
#include "base/coding.h"
#include "base/error.h"
#include "base/rng.h"
#include "lsm/edit.h"

static struct vv_edit whole_edit(void)
{
    struct vv_edit edit = {.has_format = true,
                           .format_version = VV_FORMAT_VERSION,
                           .uuid = "0123456789abcde",
                           .next_file = 1234567,
                           .flushed_seq = VV_SEQ_MAX,
                           .log_number = 7,
                           .clock_ms = UINT64_MAX,
                           .snapshot = true};
    struct vv_table_ref_sum refs[] = {{3, 4096, 1}, {UINT32_MAX, UINT64_MAX, UINT64_MAX}};
    static uint8_t long_key[VV_KEY_SIZE_MAX];
    struct vv_table_facts facts = {.size_bytes = 1 << 20,
                                   .entries = 1000,
                                   .tombstones = 10,
                                   .raw_bytes = 5000000000,
                                   .min_seq = 0,
                                   .max_seq = VV_SEQ_MAX,
                                   .refs = refs,
                                   .ref_count = 2};
    uint64_t serves[] = {4, 9, 100};
    struct vv_edit_value_file file = {.number = 101,
                                      .sealed = true,
                                      .record_bytes = 1 << 30,
                                      .record_count = 77,
                                      .serves = serves,
                                      .serve_count = 3};
    CHECK_OK(vv_buf_assign(&edit.engine, vv_slice_str("lsm")));
    CHECK_OK(vv_buf_assign(&edit.comparator, vv_slice_str("bytewise")));
    CHECK_OK(vv_buf_assign(&facts.largest, vv_slice_of(long_key, sizeof long_key)));
    CHECK_OK(vv_edit_add_table(&edit, 6, 12, UINT64_MAX, &facts));
    facts.ref_count = 0;
    facts.min_seq = facts.max_seq = facts.raise = VV_SEQ_MAX;
    facts.expiring = 1000;
    facts.expires_half_ms = UINT64_MAX;
    CHECK_OK(vv_edit_add_table(&edit, 0, 13, 0, &facts));
    CHECK_OK(vv_edit_remove_table(&edit, 5));
    CHECK_OK(vv_edit_remove_table(&edit, UINT64_MAX));
    CHECK_OK(vv_edit_add_value_file(&edit, &file));
    CHECK_OK(vv_edit_remove_value_file(&edit, 99));
    CHECK_OK(vv_lineage_add(&edit.lineage, edit.uuid, 5));
    CHECK_OK(vv_lineage_add(&edit.lineage, edit.uuid, UINT64_MAX));
    vv_buf_deinit(&facts.largest);
    return edit;
}

static void encode(const struct vv_edit *edit, struct vv_buf *out)
{
    vv_buf_clear(out);
    CHECK_OK(vv_edit_encode(edit, out));
}

static int decode_only(vv_slice raw)
{
    struct vv_edit edit = {0};
    int rc = vv_edit_decode(raw, &edit);
    vv_edit_deinit(&edit);
    return rc;
}

TEST(an_edit_reads_back_as_it_was_written)
{
    struct vv_edit edit = whole_edit();
    struct vv_edit back = {0};
    struct vv_buf raw = VV_BUF_INIT;
    struct vv_buf again = VV_BUF_INIT;
    encode(&edit, &raw);
    CHECK_OK(vv_edit_decode(vv_buf_slice(&raw), &back));
    encode(&back, &again);
    CHECK_BYTES(again.data, again.size, raw.data, raw.size);
    CHECK(back.has_format && back.snapshot);
    CHECK_EQ_U64(back.next_file, 1234567);
    CHECK_EQ_U64(back.flushed_seq, VV_SEQ_MAX);
    CHECK_EQ_U64(back.log_number, 7);
    CHECK_EQ_U64(back.table_count, 2);
    CHECK_EQ_INT(back.tables[0].level, 6);
    CHECK_EQ_U64(back.tables[0].created_us, UINT64_MAX);
    CHECK_EQ_U64(back.tables[0].facts.largest.size, VV_KEY_SIZE_MAX);
    CHECK_EQ_U64(back.tables[0].facts.smallest.size, 0);
    CHECK_EQ_U64(back.tables[0].facts.refs[1].bytes, UINT64_MAX);
    CHECK_EQ_U64(back.tables[1].facts.ref_count, 0);
    CHECK_EQ_U64(back.tables[0].facts.raise, 0);
    CHECK_EQ_U64(back.tables[1].facts.raise, VV_SEQ_MAX);
    CHECK_EQ_U64(back.tables_gone[1], UINT64_MAX);
    CHECK_EQ_U64(back.values[0].serves[2], 100);
    CHECK(back.values[0].sealed);
    CHECK_EQ_U64(back.values_gone[0], 99);
    CHECK_EQ_U64(back.lineage.count, 2);
    CHECK_EQ_U64(back.lineage.list[0].below, 5);
    vv_edit_deinit(&edit);
    vv_edit_deinit(&back);
    vv_buf_deinit(&raw);
    vv_buf_deinit(&again);
}

TEST(an_empty_edit_changes_nothing)
{
    struct vv_edit edit = {0};
    struct vv_buf raw = VV_BUF_INIT;
    encode(&edit, &raw);
    CHECK_EQ_U64(raw.size, 0);
    CHECK_OK(decode_only(VV_SLICE_EMPTY));
    vv_buf_deinit(&raw);
}

TEST(an_edit_in_words_names_every_file)
{
    struct vv_edit edit = whole_edit();
    struct vv_buf text = VV_BUF_INIT;
    CHECK_OK(vv_edit_print(&edit, &text));
    CHECK_OK(vv_buf_append(&text, "", 1));
    const char *const wanted[] = {"snapshot",        "table 12 ",
                                  "table 13 ",       "remove table 5",
                                  "value file 101 ", "remove value file 99",
                                  "1234567",         "lsm",
                                  "bytewise",        "files below 5 are of store 3031"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (strstr((const char *)text.data, wanted[i]) == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", wanted[i], text.data);
    }
    vv_edit_deinit(&edit);
    vv_buf_deinit(&text);
}

TEST(an_edit_cut_short_anywhere_is_refused_or_ends_between_fields)
{
    struct vv_edit edit = whole_edit();
    struct vv_buf raw = VV_BUF_INIT;
    encode(&edit, &raw);
    size_t whole = 0;
    for (size_t size = 0; size < raw.size; size++) {
        int rc = decode_only(vv_slice_of(raw.data, size));
        CHECK(rc == VV_OK || rc == VV_CORRUPT);
        whole += rc == VV_OK ? 1 : 0;
        if (size > 200 && size + 200 < raw.size)
            size += 61; /* inside the long key */
    }
    CHECK(whole >= 9); /* between fields */
    vv_edit_deinit(&edit);
    vv_buf_deinit(&raw);
}

TEST(an_edit_with_any_byte_changed_reads_as_something_or_is_refused)
{
    struct vv_edit edit = whole_edit();
    struct vv_buf raw = VV_BUF_INIT;
    encode(&edit, &raw);
    for (size_t at = 0; at<raw.size; at += at> 200 && at + 300 < raw.size ? 97 : 1) {
        for (unsigned bit = 0; bit < 8; bit++) {
            raw.data[at] ^= (uint8_t)(1U << bit);
            int rc = decode_only(vv_buf_slice(&raw));
            CHECK(rc == VV_OK || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
            raw.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    vv_edit_deinit(&edit);
    vv_buf_deinit(&raw);
}

/* ---- one field at a time */

static int decode_field(uint64_t tag, const void *content, size_t size)
{
    struct vv_buf raw = VV_BUF_INIT;
    CHECK_OK(vv_buf_append_varint(&raw, tag));
    CHECK_OK(vv_buf_append_varint(&raw, size));
    CHECK_OK(vv_buf_append(&raw, content, size));
    int rc = decode_only(vv_buf_slice(&raw));
    vv_buf_deinit(&raw);
    return rc;
}

#define FIELD(tag, bytes) decode_field(tag, bytes, sizeof(bytes) - 1)

static int decode_twice(const char *field)
{
    struct vv_buf raw = VV_BUF_INIT;
    CHECK_OK(decode_only(vv_slice_str(field)));
    CHECK_OK(vv_buf_append_slice(&raw, vv_slice_str(field)));
    CHECK_OK(vv_buf_append_slice(&raw, vv_slice_str(field)));
    int rc = decode_only(vv_buf_slice(&raw));
    vv_buf_deinit(&raw);
    return rc;
}

TEST(fields_of_later_versions_are_skipped_only_where_they_may_be)
{
    CHECK_OK(FIELD(64, "anything"));
    CHECK_OK(FIELD(65, ""));
    CHECK_OK(FIELD(UINT64_MAX, "x"));
    CHECK_RC(FIELD(63, ""), VV_UNSUPPORTED);
    CHECK_RC(FIELD(4, ""), VV_UNSUPPORTED);
    CHECK_RC(FIELD(0, ""), VV_UNSUPPORTED);
    CHECK_RC(FIELD(10, "\1"), VV_UNSUPPORTED);
}

TEST(a_format_that_is_not_known_is_told_from_damage)
{
    CHECK_OK(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\0"));
    CHECK_RC(FIELD(1, "\2uuuuuuuuuuuuuuuu\3lsm\1b\0"), VV_UNSUPPORTED);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuu\3lsm\1b\0"), VV_CORRUPT);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b"), VV_CORRUPT);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\0x"), VV_CORRUPT);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\21lsmlsmlsmlsmlsmls\1b\0"), VV_CORRUPT);
}

TEST(a_store_that_needs_an_unknown_feature_is_refused_whatever_follows)
{
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\1"), VV_UNSUPPORTED);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\200\100"), VV_UNSUPPORTED);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\1 more"), VV_UNSUPPORTED);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\377\377\377\377\377\377\377\377\377\1"),
             VV_UNSUPPORTED);
    CHECK_RC(FIELD(1, "\1uuuuuuuuuuuuuuuu\3lsm\1b\200"), VV_CORRUPT);
}

TEST(only_files_are_named_more_than_once_in_an_edit)
{
    static const char *const once[] = {"\2\1\1", "\3\1\1", "\10\1\1", "\17\2\1\1"};
    static const char *const often[] = {"\7\1\1", "\11\6\5\1\1\1\1\5", "\13\1\1"};
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        CHECK_RC(decode_twice(once[i]), VV_CORRUPT);
    for (size_t i = 0; i < sizeof often / sizeof often[0]; i++)
        CHECK_OK(decode_twice(often[i]));
}

TEST(numbers_must_fit)
{
    CHECK_OK(FIELD(2, "\1"));
    CHECK_RC(FIELD(2, "\0"), VV_CORRUPT);
    CHECK_RC(FIELD(2, ""), VV_CORRUPT);
    CHECK_RC(FIELD(2, "\1\1"), VV_CORRUPT);
    CHECK_OK(FIELD(3, "\377\377\377\377\377\377\377\177"));
    CHECK_RC(FIELD(3, "\200\200\200\200\200\200\200\200\1"), VV_CORRUPT);
    CHECK_RC(FIELD(2, "\377\377\377\377\377\377\377\377\377\377\1"), VV_CORRUPT);
    CHECK_RC(FIELD(7, "\0"), VV_CORRUPT);
    CHECK_RC(FIELD(11, "\0"), VV_CORRUPT);
    CHECK_RC(FIELD(8, "\0"), VV_CORRUPT);
    CHECK_OK(FIELD(14, ""));
    CHECK_RC(FIELD(14, "x"), VV_CORRUPT);
}

TEST(tables_must_make_sense)
{
    /* level number size entries tombstones raw min max created smallest largest refs, ranges open_end */
    CHECK_OK(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\1b\0"));
    CHECK_RC(FIELD(6, "\7\1\1\1\0\1\1\1\0\1a\1b\0"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\200\2\1\1\1\0\1\1\1\0\1a\1b\0"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\0\1\1\0\1\1\1\0\1a\1b\0"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\1\1\1\0\1\2\1\0\1a\1b\0"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\2b\0"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\1b"), VV_CORRUPT);
    CHECK_OK(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\1b\2\3\1\1\4\1\1"));
    CHECK_RC(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\1b\2\4\1\1\4\1\1"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\1b\2\3\1\1\4\1"), VV_CORRUPT);
    CHECK_OK(FIELD(6, "\6\1\1\0\0\0\1\1\0\1a\1b\0\1\1"));
    CHECK_OK(FIELD(6, "\6\1\1\0\0\0\1\1\0\1a\1b\0\1\0"));
    CHECK_RC(FIELD(6, "\6\1\1\0\0\0\1\1\0\1a\1b\0\1"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\1\1\0\0\0\1\1\0\1a\1b\0\0\1"), VV_CORRUPT);
    CHECK_RC(FIELD(6, "\6\1\1\0\0\0\1\1\0\1a\1b\0\1\2"), VV_CORRUPT);
    /* A count that would take all memory. */
    CHECK_RC(FIELD(6, "\6\1\1\1\0\1\1\1\0\1a\1b\377\377\377\377\377\377\377\77"), VV_CORRUPT);
}

TEST(a_table_is_raised_in_the_edit_that_adds_it_and_by_no_more_than_its_sequence)
{
    static const char table[] = "\6\16\6\1\1\1\0\1\5\5\0\1a\1b\0";
    static const struct {
        const char *raised;
        int rc;
    } cases[] = {{"\24\2\1\5", VV_OK},
                 {"\24\2\1\6", VV_CORRUPT},
                 {"\24\2\1\0", VV_CORRUPT},
                 {"\24\2\2\5", VV_CORRUPT},
                 {"\24\1\1", VV_CORRUPT}};
    CHECK_RC(FIELD(20, "\1\5"), VV_CORRUPT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vv_buf raw = VV_BUF_INIT;
        size_t size = 2 + (size_t)cases[i].raised[1];
        CHECK_OK(vv_buf_append(&raw, table, sizeof table - 1));
        CHECK_OK(vv_buf_append(&raw, cases[i].raised, size));
        CHECK_RC(decode_only(vv_buf_slice(&raw)), cases[i].rc);
        vv_buf_deinit(&raw);
    }
}

TEST(value_files_must_make_sense)
{
    CHECK_OK(FIELD(9, "\5\1\1\1\1\5"));
    CHECK_RC(FIELD(9, "\0\1\1\1\1\5"), VV_CORRUPT);
    CHECK_RC(FIELD(9, "\5\2\1\1\1\5"), VV_CORRUPT);
    CHECK_RC(FIELD(9, "\5\1\1\1\0"), VV_CORRUPT);
    CHECK_RC(FIELD(9, "\5\1\1\1\2\5\5"), VV_CORRUPT);
    CHECK_RC(FIELD(9, "\5\1\1\1\2\5"), VV_CORRUPT);
    CHECK_RC(FIELD(9, "\5\1\1\1\377\377\377\377\377\377\77"), VV_CORRUPT);
}

TEST(origins_must_make_sense)
{
    CHECK_OK(FIELD(17, "uuuuuuuuuuuuuuuu\5"));
    CHECK_RC(FIELD(17, "uuuuuuuuuuuuuuuu\0"), VV_CORRUPT);
    CHECK_RC(FIELD(17, "uuuuuuuuuuuuuuuu"), VV_CORRUPT);
    CHECK_RC(FIELD(17, "uuuuuuuuuuuuuuuu\5x"), VV_CORRUPT);
    CHECK_RC(decode_twice("\21\21uuuuuuuuuuuuuuuu\5"), VV_CORRUPT); /* two stores' files */
}

TEST(files_are_of_the_first_origin_that_is_above_them)
{
    struct vv_lineage lineage = {NULL, 0};
    const uint8_t a[16] = {1}, b[16] = {2}, own[16] = {3};
    CHECK_EQ_INT(*vv_lineage_uuid(NULL, own, 1), 3);
    CHECK_OK(vv_lineage_add(&lineage, a, 10));
    CHECK_OK(vv_lineage_add(&lineage, b, 20));
    CHECK_RC(vv_lineage_add(&lineage, own, 20), VV_CORRUPT);
    CHECK_EQ_INT(*vv_lineage_uuid(&lineage, own, 1), 1);
    CHECK_EQ_INT(*vv_lineage_uuid(&lineage, own, 9), 1);
    CHECK_EQ_INT(*vv_lineage_uuid(&lineage, own, 10), 2);
    CHECK_EQ_INT(*vv_lineage_uuid(&lineage, own, 19), 2);
    CHECK_EQ_INT(*vv_lineage_uuid(&lineage, own, 20), 3);
    vv_lineage_deinit(&lineage);
}

TEST(an_edit_takes_any_number_of_files)
{
    struct vv_edit edit = {0};
    for (uint64_t i = 1; i <= 100; i++)
        CHECK_OK(vv_edit_remove_table(&edit, i));
    CHECK_EQ_U64(edit.table_gone_count, 100);
    CHECK_EQ_U64(edit.tables_gone[99], 100);
    vv_edit_deinit(&edit);
    CHECK_EQ_U64(edit.table_gone_count, 0);
}
