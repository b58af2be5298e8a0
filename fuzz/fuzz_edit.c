/*
 * The body of a MANIFEST record from anywhere: it is refused, or it is an edit that encodes to bytes
 * which decode to the same edit; and no count in it takes more memory than its bytes can stand for.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "lsm/edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct vv_edit *edit, struct vv_buf *out)
{
    int rc = vv_edit_encode(edit, out);
    vv_assert(rc == VV_OK);
}

static void check_bounds(const struct vv_edit *edit, size_t size)
{
    size_t parts = edit->table_count + edit->table_gone_count + edit->value_count +
                   edit->value_gone_count + edit->engine.size + edit->comparator.size;
    for (size_t i = 0; i < edit->table_count; i++) {
        const struct vv_table_facts *facts = &edit->tables[i].facts;
        parts += facts->ref_count + facts->smallest.size + facts->largest.size;
        vv_assert(edit->tables[i].level >= 0 && edit->tables[i].level <= 6);
        vv_assert(facts->min_seq <= facts->max_seq && facts->max_seq <= VV_SEQ_MAX);
    }
    for (size_t i = 0; i < edit->value_count; i++)
        parts += edit->values[i].serve_count;
    vv_assert(parts <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vv_edit edit = {0};
    struct vv_edit back = {0};
    struct vv_buf raw = VV_BUF_INIT;
    struct vv_buf again = VV_BUF_INIT;
    struct vv_buf text = VV_BUF_INIT;
    int rc = vv_edit_decode(vv_slice_of(data, size), &edit);
    vv_assert(rc == VV_OK || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
    if (rc == VV_OK) {
        check_bounds(&edit, size);
        encode(&edit, &raw);
        rc = vv_edit_decode(vv_buf_slice(&raw), &back);
        vv_assert(rc == VV_OK);
        encode(&back, &again);
        vv_assert(vv_slice_equal(vv_buf_slice(&raw), vv_buf_slice(&again)));
        rc = vv_edit_print(&edit, &text);
        vv_assert(rc == VV_OK);
    }
    vv_edit_deinit(&edit);
    vv_edit_deinit(&back);
    vv_buf_deinit(&raw);
    vv_buf_deinit(&again);
    vv_buf_deinit(&text);
    return 0;
}
