#include "db/backup_text.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "db/copy.h"

#include <inttypes.h>

#define FIRST_LINE "varve backup "

void vv_backup_deinit(struct vv_backup *b)
{
    for (size_t i = 0; i < b->file_count; i++)
        vv_free(b->files[i].checks);
    vv_free(b->files);
    vv_buf_deinit(&b->state);
    *b = (struct vv_backup){0};
}

int vv_backup_add(struct vv_backup *b, const struct vv_moment_file *file, uint64_t print,
                  const uint64_t *checks, size_t check_count)
{
    if (b->file_count == b->file_cap) {
        size_t cap = b->file_cap == 0 ? 16 : b->file_cap * 2;
        struct vv_backup_file *larger = vv_realloc(b->files, cap * sizeof larger[0]);
        if (larger == NULL)
            return VV_NOMEM;
        b->files = larger;
        b->file_cap = cap;
    }
    uint64_t *copy = vv_memdup(checks, check_count * sizeof checks[0]);
    if (copy == NULL)
        return VV_NOMEM;
    b->files[b->file_count++] = (struct vv_backup_file){*file, print, copy, check_count};
    return VV_OK;
}

/* ---- writing */

static int put_hex(struct vv_buf *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    int rc = vv_buf_reserve(out, size * 2);
    for (size_t i = 0; rc == VV_OK && i < size; i++) {
        out->data[out->size++] = (uint8_t)digits[bytes[i] >> 4];
        out->data[out->size++] = (uint8_t)digits[bytes[i] & 15];
    }
    return rc;
}

static int put_file(struct vv_buf *out, const struct vv_backup_file *f)
{
    int rc = vv_buf_printf(out, "file %s ", f->file.name);
    if (rc == VV_OK)
        rc = put_hex(out, f->file.uuid, sizeof f->file.uuid);
    if (rc == VV_OK)
        rc = vv_buf_printf(out, " %" PRIu64 " %" PRIu64 " %016" PRIx64, f->file.number,
                           f->file.size_bytes, f->print);
    for (size_t i = 0; rc == VV_OK && i < f->check_count; i++)
        rc = vv_buf_printf(out, " %016" PRIx64, f->checks[i]);
    return rc == VV_OK ? vv_buf_append_byte(out, '\n') : rc;
}

int vv_backup_encode(const struct vv_backup *b, struct vv_buf *out)
{
    int rc = vv_buf_printf(out, FIRST_LINE "1\nstore ");
    if (rc == VV_OK)
        rc = put_hex(out, b->uuid, sizeof b->uuid);
    if (rc == VV_OK)
        rc = vv_buf_printf(
            out, "\ncreated %" PRIu64 "\nsequence %" PRIu64 "\ncopied %" PRIu64 "\nstate ",
            b->created_us, b->seq, b->copied_bytes);
    if (rc == VV_OK)
        rc = put_hex(out, b->state.data, b->state.size);
    if (rc == VV_OK)
        rc = vv_buf_append_byte(out, '\n');
    for (size_t i = 0; rc == VV_OK && i < b->file_count; i++)
        rc = put_file(out, &b->files[i]);
    if (rc == VV_OK)
        rc = vv_buf_printf(out, "end %016" PRIx64 "\n", vv_hash(vv_buf_slice(out)));
    return rc;
}

/* ---- reading */

/* Walks the text; the first thing that does not fit sticks. */
struct scan {
    const char *at, *end;
    bool bad;
};

static void skip_text(struct scan *s, const char *text)
{
    size_t size = strlen(text);
    if (s->bad || (size_t)(s->end - s->at) < size || memcmp(s->at, text, size) != 0)
        s->bad = true;
    else
        s->at += size;
}

static bool sees(const struct scan *s, const char *text)
{
    size_t size = strlen(text);
    return !s->bad && (size_t)(s->end - s->at) >= size && memcmp(s->at, text, size) == 0;
}

static uint64_t take_number(struct scan *s)
{
    uint64_t number = 0;
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        uint64_t digit = (uint64_t)(*s->at++ - '0');
        if (number > (UINT64_MAX - digit) / 10)
            s->bad = true;
        number = number * 10 + digit;
    }
    s->bad = s->bad || s->at == start;
    return number;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two digits, or bad. */
static uint8_t take_byte(struct scan *s)
{
    if (s->bad || s->end - s->at < 2 || hex_value(s->at[0]) < 0 || hex_value(s->at[1]) < 0) {
        s->bad = true;
        return 0;
    }
    uint8_t byte = (uint8_t)(hex_value(s->at[0]) * 16 + hex_value(s->at[1]));
    s->at += 2;
    return byte;
}

static void take_bytes(struct scan *s, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = take_byte(s);
}

static uint64_t take_hash(struct scan *s)
{
    uint64_t hash = 0;
    for (int i = 0; i < 8; i++)
        hash = hash << 8 | take_byte(s);
    return hash;
}

static void take_name(struct scan *s, char *name, size_t room)
{
    size_t size = 0;
    while (s->at < s->end && *s->at != ' ' && *s->at != '\n' && *s->at != '/' && size + 1 < room)
        name[size++] = *s->at++;
    name[size] = 0;
    s->bad = s->bad || size == 0 || !vv_lsm_owns(name);
}

static int take_file(struct scan *s, struct vv_backup *out)
{
    struct vv_moment_file file = {.number = 0};
    struct vv_buf checks = VV_BUF_INIT;
    int rc = VV_OK;
    skip_text(s, "file ");
    take_name(s, file.name, sizeof file.name);
    skip_text(s, " ");
    take_bytes(s, file.uuid, sizeof file.uuid);
    skip_text(s, " ");
    file.number = take_number(s);
    skip_text(s, " ");
    file.size_bytes = take_number(s);
    skip_text(s, " ");
    uint64_t print = take_hash(s);
    while (rc == VV_OK && sees(s, " ")) {
        skip_text(s, " ");
        uint64_t check = take_hash(s);
        rc = vv_buf_append(&checks, &check, sizeof check);
    }
    skip_text(s, "\n");
    size_t count = checks.size / sizeof(uint64_t);
    s->bad = s->bad || count != file.size_bytes / VV_COPY_PIECE +
                                    (file.size_bytes % VV_COPY_PIECE > 0 ? 1 : 0);
    if (rc == VV_OK && !s->bad)
        rc = vv_backup_add(out, &file, print, (const uint64_t *)(const void *)checks.data, count);
    vv_buf_deinit(&checks);
    return rc;
}

static int take_head(struct scan *s, struct vv_backup *out)
{
    int rc = VV_OK;
    skip_text(s, "\nstore ");
    take_bytes(s, out->uuid, sizeof out->uuid);
    skip_text(s, "\ncreated ");
    out->created_us = take_number(s);
    skip_text(s, "\nsequence ");
    out->seq = take_number(s);
    skip_text(s, "\ncopied ");
    out->copied_bytes = take_number(s);
    skip_text(s, "\nstate ");
    while (rc == VV_OK && !s->bad && !sees(s, "\n"))
        rc = vv_buf_append_byte(&out->state, take_byte(s));
    skip_text(s, "\n");
    return rc;
}

int vv_backup_decode(const char *path, vv_slice text, struct vv_backup *out)
{
    const char *start = (const char *)text.data;
    struct scan s = {start, start + text.size, false};
    skip_text(&s, FIRST_LINE);
    uint64_t version = take_number(&s);
    if (!s.bad && version != 1)
        return vv_fail(VV_UNSUPPORTED, "%s: backup format %" PRIu64 ", this build reads 1", path,
                       version);
    int rc = take_head(&s, out);
    while (rc == VV_OK && sees(&s, "file "))
        rc = take_file(&s, out);
    size_t covered = (size_t)(s.at - start);
    skip_text(&s, "end ");
    uint64_t hash = take_hash(&s);
    skip_text(&s, "\n");
    if (rc < 0)
        return rc;
    if (s.bad || s.at != s.end)
        return vv_fail(VV_CORRUPT, "%s: the line at offset %zu does not read", path, covered);
    if (hash != vv_hash(vv_slice_of(start, covered)))
        return vv_fail(VV_CORRUPT, "%s: the text before offset %zu fails its checksum", path,
                       covered);
    return VV_OK;
}
