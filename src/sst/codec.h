/*
 * Compression of blocks, with what the build has: lz4 (VV_HAVE_LZ4) and zstd (VV_HAVE_ZSTD).
 */
#ifndef VV_SST_CODEC_H
#define VV_SST_CODEC_H

#include "base/buf.h"
#include "sst/table.h"

#include <stdatomic.h>

struct vv_encoder;

/* Holds what compressing needs between blocks; one thread uses it. NULL for VV_CODEC_NONE.
 * VV_UNSUPPORTED when the build has no such codec. */
VV_MUST int vv_encoder_new(enum vv_codec codec, struct vv_encoder **out);
void vv_encoder_free(struct vv_encoder *e); /* NULL is fine */

/* Appends `raw`, compressed, to `out` if that takes at most `most` bytes; VV_NOTFOUND, with `out` as
 * it was, if not. */
VV_MUST int vv_encode(struct vv_encoder *e, vv_slice raw, size_t most, struct vv_buf *out);

/* What decompressing needs between blocks; any thread may use it. Zeroed memory is an empty one. */
struct vv_decoder {
    _Atomic(void *) spare; /* one context that nobody is using, or NULL */
};

void vv_decoder_deinit(struct vv_decoder *d);

/* Decompresses into exactly `raw_size` bytes. VV_CORRUPT when they do not come out, VV_UNSUPPORTED
 * when the build does not have the codec. */
VV_MUST int vv_decode(struct vv_decoder *d, enum vv_codec codec, vv_slice stored, uint8_t *into,
                      size_t raw_size);

#endif
