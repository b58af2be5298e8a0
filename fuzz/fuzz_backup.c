/*
 * The text of a backup from anywhere, as it is and with a last line that vouches for it: it is refused,
 * or it is a backup that encodes to a text which decodes to the same one.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "db/backup_text.h"

#include <inttypes.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct vv_backup *backup, struct vv_buf *out)
{
    int rc = vv_backup_encode(backup, out);
    vv_assert(rc == VV_OK);
}

static void try_text(vv_slice text)
{
    struct vv_backup backup = {0};
    struct vv_backup back = {0};
    struct vv_buf raw = VV_BUF_INIT;
    struct vv_buf again = VV_BUF_INIT;
    int rc = vv_backup_decode("fuzz", text, &backup);
    vv_assert(rc == VV_OK || rc == VV_CORRUPT || rc == VV_UNSUPPORTED);
    if (rc == VV_OK) {
        vv_assert(backup.file_count + backup.state.size <= text.size);
        encode(&backup, &raw);
        rc = vv_backup_decode("fuzz", vv_buf_slice(&raw), &back);
        vv_assert(rc == VV_OK);
        encode(&back, &again);
        vv_assert(vv_slice_equal(vv_buf_slice(&raw), vv_buf_slice(&again)));
    }
    vv_backup_deinit(&backup);
    vv_backup_deinit(&back);
    vv_buf_deinit(&raw);
    vv_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vv_buf vouched = VV_BUF_INIT;
    vv_slice text = vv_slice_of(data, size);
    try_text(text);
    int rc = vv_buf_append_slice(&vouched, text);
    vv_assert(rc == VV_OK);
    rc = vv_buf_printf(&vouched, "end %016" PRIx64 "\n", vv_hash(text));
    vv_assert(rc == VV_OK);
    try_text(vv_buf_slice(&vouched));
    vv_buf_deinit(&vouched);
    return 0;
}
