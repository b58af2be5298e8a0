#include "sst/codec.h"

#include "base/error.h"

#include <limits.h>

#ifdef VV_HAVE_LZ4
#include <lz4.h>
enum { HAVE_LZ4 = 1 };
#else
enum { HAVE_LZ4 = 0 };
#endif
#ifdef VV_HAVE_ZSTD
#include <zstd.h>
enum { HAVE_ZSTD = 1 };
#else
enum { HAVE_ZSTD = 0 };
#endif

enum { ZSTD_LEVEL = 1 };

struct vv_encoder {
    enum vv_codec codec;
    void *state;
};

bool vv_codec_available(enum vv_codec codec)
{
    switch (codec) {
    case VV_CODEC_NONE: return true;
    case VV_CODEC_LZ4: return HAVE_LZ4 != 0;
    case VV_CODEC_ZSTD: return HAVE_ZSTD != 0;
    }
    return false;
}

static void *state_new(enum vv_codec codec)
{
    void *state = NULL;
    (void)codec;
#ifdef VV_HAVE_LZ4
    if (codec == VV_CODEC_LZ4)
        state = vv_alloc((size_t)LZ4_sizeofState());
#endif
#ifdef VV_HAVE_ZSTD
    if (codec == VV_CODEC_ZSTD) {
        state = ZSTD_createCCtx();
        if (state == NULL)
            (void)vv_fail(VV_NOMEM, "cannot allocate a zstd context");
    }
#endif
    return state;
}

int vv_encoder_new(enum vv_codec codec, struct vv_encoder **out)
{
    if (!vv_codec_available(codec))
        return vv_fail(VV_UNSUPPORTED, "this build cannot compress with codec %d", (int)codec);
    *out = NULL;
    if (codec == VV_CODEC_NONE)
        return VV_OK;
    struct vv_encoder *e = vv_alloc_zero(sizeof *e);
    if (e == NULL)
        return VV_NOMEM;
    e->codec = codec;
    e->state = state_new(codec);
    if (e->state == NULL) {
        vv_free(e);
        return VV_NOMEM;
    }
    *out = e;
    return VV_OK;
}

void vv_encoder_free(struct vv_encoder *e)
{
    if (e == NULL)
        return;
#ifdef VV_HAVE_ZSTD
    if (e->codec == VV_CODEC_ZSTD) {
        (void)ZSTD_freeCCtx(e->state);
        e->state = NULL;
    }
#endif
    vv_free(e->state);
    vv_free(e);
}

/* The compressed size, or 0 when it would exceed `most`. */
static size_t encode_into(struct vv_encoder *e, vv_slice raw, uint8_t *into, size_t most)
{
    (void)e;
    (void)raw;
    (void)into;
    (void)most;
#ifdef VV_HAVE_LZ4
    if (e->codec == VV_CODEC_LZ4) {
        int size = LZ4_compress_fast_extState(e->state, (const char *)raw.data, (char *)into,
                                              (int)raw.size, (int)most, 1);
        return size > 0 ? (size_t)size : 0;
    }
#endif
#ifdef VV_HAVE_ZSTD
    if (e->codec == VV_CODEC_ZSTD) {
        size_t size = ZSTD_compressCCtx(e->state, into, most, raw.data, raw.size, ZSTD_LEVEL);
        return ZSTD_isError(size) ? 0 : size;
    }
#endif
    return 0;
}

int vv_encode(struct vv_encoder *e, vv_slice raw, size_t most, struct vv_buf *out)
{
    /* lz4 counts in int; blocks of such a size are single huge values. */
    if (raw.size > INT_MAX / 2 || most > INT_MAX / 2)
        return VV_NOTFOUND;
    int rc = vv_buf_reserve(out, most);
    if (rc < 0)
        return rc;
    size_t size = encode_into(e, raw, out->data + out->size, most);
    if (size == 0)
        return VV_NOTFOUND;
    out->size += size;
    return VV_OK;
}

void vv_decoder_deinit(struct vv_decoder *d)
{
    void *context = atomic_exchange_explicit(&d->spare, NULL, memory_order_acquire);
    (void)context;
#ifdef VV_HAVE_ZSTD
    (void)ZSTD_freeDCtx(context);
#endif
}

#ifdef VV_HAVE_ZSTD
static int decode_zstd(struct vv_decoder *d, vv_slice stored, uint8_t *into, size_t raw_size)
{
    /* Acquire and release: the context's content travels between threads. */
    void *context = atomic_exchange_explicit(&d->spare, NULL, memory_order_acquire);
    if (context == NULL && (context = ZSTD_createDCtx()) == NULL)
        return vv_fail(VV_NOMEM, "cannot allocate a zstd context");
    size_t size = ZSTD_decompressDCtx(context, into, raw_size, stored.data, stored.size);
    void *none = NULL;
    if (!atomic_compare_exchange_strong_explicit(&d->spare, &none, context, memory_order_release,
                                                 memory_order_relaxed))
        (void)ZSTD_freeDCtx(context);
    if (ZSTD_isError(size) || size != raw_size)
        return vv_fail(VV_CORRUPT, "a block cannot be decompressed: %s",
                       ZSTD_isError(size) ? ZSTD_getErrorName(size) : "it has another size");
    return VV_OK;
}
#endif

#ifdef VV_HAVE_LZ4
static int decode_lz4(vv_slice stored, uint8_t *into, size_t raw_size)
{
    if (stored.size > INT_MAX || raw_size > INT_MAX)
        return vv_fail(VV_CORRUPT, "a compressed block of %zu bytes is beyond its codec", raw_size);
    int size = LZ4_decompress_safe((const char *)stored.data, (char *)into, (int)stored.size,
                                   (int)raw_size);
    if (size < 0 || (size_t)size != raw_size)
        return vv_fail(VV_CORRUPT, "a block cannot be decompressed");
    return VV_OK;
}
#endif

int vv_decode(struct vv_decoder *d, enum vv_codec codec, vv_slice stored, uint8_t *into,
              size_t raw_size)
{
    (void)d;
    (void)stored;
    (void)into;
    (void)raw_size;
#ifdef VV_HAVE_LZ4
    if (codec == VV_CODEC_LZ4)
        return decode_lz4(stored, into, raw_size);
#endif
#ifdef VV_HAVE_ZSTD
    if (codec == VV_CODEC_ZSTD)
        return decode_zstd(d, stored, into, raw_size);
#endif
    return vv_fail(VV_UNSUPPORTED, "this build cannot decompress codec %d", (int)codec);
}
