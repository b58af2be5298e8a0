#include "lsm/edit.h"

#include "base/alloc.h"
#include "base/coding.h"
#include "base/error.h"

#include <inttypes.h>

enum tag {
    TAG_FORMAT = 1,
    TAG_NEXT_FILE = 2,
    TAG_FLUSHED = 3,
    TAG_TABLE_ADD = 6,
    TAG_TABLE_GONE = 7,
    TAG_LOG = 8,
    TAG_VALUE_FILE = 9,
    TAG_VALUE_GONE = 11,
    TAG_SNAPSHOT = 14,
    TAG_CLOSED = 15,
    TAG_NOTE = 16,
    TAG_ORIGIN = 17,
    TAG_EXPIRING = 18,
    TAG_CLOCK = 19,
    TAG_RAISED = 20,
    TAG_SKIPPABLE = 64,
};

enum { EDIT_LEVEL_MAX = 6 };

void vv_edit_deinit(struct vv_edit *edit)
{
    vv_buf_deinit(&edit->engine);
    vv_buf_deinit(&edit->comparator);
    for (size_t i = 0; i < edit->table_count; i++)
        vv_table_facts_deinit(&edit->tables[i].facts);
    for (size_t i = 0; i < edit->value_count; i++)
        vv_free(edit->values[i].serves);
    vv_free(edit->tables);
    vv_free(edit->tables_gone);
    vv_free(edit->values);
    vv_free(edit->values_gone);
    vv_notes_deinit(&edit->notes);
    vv_lineage_deinit(&edit->lineage);
    *edit = (struct vv_edit){0};
}

/* Makes room for one more element. The arrays double at powers of two, so the count says when. */
static int grow(void **array, size_t count, size_t element_bytes)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return VV_OK;
    void *larger = vv_realloc(*array, (count == 0 ? 1 : count * 2) * element_bytes);
    if (larger == NULL)
        return VV_NOMEM;
    *array = larger;
    return VV_OK;
}

static int copy_facts(const struct vv_table_facts *from, struct vv_table_facts *out)
{
    int rc;
    *out = *from;
    out->smallest = out->largest = (struct vv_buf)VV_BUF_INIT;
    out->refs = vv_memdup(from->refs, from->ref_count * sizeof from->refs[0]);
    if (out->refs == NULL)
        return VV_NOMEM;
    if ((rc = vv_buf_assign(&out->smallest, vv_buf_slice(&from->smallest))) < 0 ||
        (rc = vv_buf_assign(&out->largest, vv_buf_slice(&from->largest))) < 0)
        vv_table_facts_deinit(out);
    return rc;
}

int vv_edit_add_table(struct vv_edit *edit, int level, uint64_t number, uint64_t created_us,
                      const struct vv_table_facts *facts)
{
    int rc = grow((void **)&edit->tables, edit->table_count, sizeof edit->tables[0]);
    if (rc < 0)
        return rc;
    struct vv_edit_table *table = &edit->tables[edit->table_count];
    *table = (struct vv_edit_table){.level = level, .number = number, .created_us = created_us};
    if ((rc = copy_facts(facts, &table->facts)) < 0)
        return rc;
    edit->table_count++;
    return VV_OK;
}

static int add_number(uint64_t **numbers, size_t *count, uint64_t number)
{
    int rc = grow((void **)numbers, *count, sizeof number);
    if (rc < 0)
        return rc;
    (*numbers)[(*count)++] = number;
    return VV_OK;
}

int vv_edit_remove_table(struct vv_edit *edit, uint64_t number)
{
    return add_number(&edit->tables_gone, &edit->table_gone_count, number);
}

int vv_edit_add_value_file(struct vv_edit *edit, const struct vv_edit_value_file *file)
{
    int rc = grow((void **)&edit->values, edit->value_count, sizeof edit->values[0]);
    if (rc < 0)
        return rc;
    uint64_t *serves = vv_memdup(file->serves, file->serve_count * sizeof serves[0]);
    if (serves == NULL)
        return VV_NOMEM;
    edit->values[edit->value_count] = *file;
    edit->values[edit->value_count++].serves = serves;
    return VV_OK;
}

int vv_edit_remove_value_file(struct vv_edit *edit, uint64_t number)
{
    return add_number(&edit->values_gone, &edit->value_gone_count, number);
}

/* ----------------------------------------------------------------------------------- encoding */

/* Collects a field's content; the first failure sticks, so that a field reads as a list. */
struct field {
    struct vv_buf content;
    int rc;
};

static void put_number(struct field *f, uint64_t value)
{
    if (f->rc == VV_OK)
        f->rc = vv_buf_append_varint(&f->content, value);
}

static void put_bytes(struct field *f, vv_slice bytes)
{
    if (f->rc == VV_OK)
        f->rc = vv_buf_append_slice(&f->content, bytes);
}

static void put_sized(struct field *f, vv_slice bytes)
{
    put_number(f, bytes.size);
    put_bytes(f, bytes);
}

/* Moves the content behind its tag into `out` and begins the next field. */
static void put_field(struct field *f, enum tag tag, struct vv_buf *out)
{
    if (f->rc == VV_OK)
        f->rc = vv_buf_append_varint(out, (uint64_t)tag);
    if (f->rc == VV_OK)
        f->rc = vv_buf_append_varint(out, f->content.size);
    if (f->rc == VV_OK)
        f->rc = vv_buf_append_slice(out, vv_buf_slice(&f->content));
    vv_buf_clear(&f->content);
}

static void put_number_field(struct field *f, enum tag tag, uint64_t value, struct vv_buf *out)
{
    put_number(f, value);
    put_field(f, tag, out);
}

static void put_table(struct field *f, const struct vv_edit_table *table, struct vv_buf *out)
{
    const struct vv_table_facts *facts = &table->facts;
    put_number(f, (uint64_t)table->level);
    put_number(f, table->number);
    put_number(f, facts->size_bytes);
    put_number(f, facts->entries);
    put_number(f, facts->tombstones);
    put_number(f, facts->raw_bytes);
    put_number(f, facts->min_seq);
    put_number(f, facts->max_seq);
    put_number(f, table->created_us);
    put_sized(f, vv_buf_slice(&facts->smallest));
    put_sized(f, vv_buf_slice(&facts->largest));
    put_number(f, facts->ref_count);
    for (size_t i = 0; i < facts->ref_count; i++) {
        put_number(f, facts->refs[i].file);
        put_number(f, facts->refs[i].bytes);
        put_number(f, facts->refs[i].count);
    }
    if (facts->ranges > 0) {
        put_number(f, facts->ranges);
        put_number(f, facts->open_end ? 1 : 0);
    }
    put_field(f, TAG_TABLE_ADD, out);
    if (facts->expiring > 0) {
        put_number(f, table->number);
        put_number(f, facts->expiring);
        put_number(f, facts->expires_half_ms);
        put_field(f, TAG_EXPIRING, out);
    }
    if (facts->raise > 0) {
        put_number(f, table->number);
        put_number(f, facts->raise);
        put_field(f, TAG_RAISED, out);
    }
}

static void put_value_file(struct field *f, const struct vv_edit_value_file *file,
                           struct vv_buf *out)
{
    put_number(f, file->number);
    put_number(f, file->sealed ? 1 : 0);
    put_number(f, file->record_bytes);
    put_number(f, file->record_count);
    put_number(f, file->serve_count);
    for (size_t i = 0; i < file->serve_count; i++)
        put_number(f, file->serves[i]);
    put_field(f, TAG_VALUE_FILE, out);
}

static void put_format(struct field *f, const struct vv_edit *edit, struct vv_buf *out)
{
    put_number(f, edit->format_version);
    put_bytes(f, vv_slice_of(edit->uuid, sizeof edit->uuid));
    put_sized(f, vv_buf_slice(&edit->engine));
    put_sized(f, vv_buf_slice(&edit->comparator));
    put_number(f, edit->required);
    put_field(f, TAG_FORMAT, out);
}

static void put_note(struct field *f, const struct vv_note *note, struct vv_buf *out)
{
    put_number(f, note->id);
    put_bytes(f, note->text);
    put_field(f, TAG_NOTE, out);
}

static void put_origin(struct field *f, const struct vv_origin *origin, struct vv_buf *out)
{
    put_bytes(f, vv_slice_of(origin->uuid, sizeof origin->uuid));
    put_number(f, origin->below);
    put_field(f, TAG_ORIGIN, out);
}

int vv_edit_encode(const struct vv_edit *edit, struct vv_buf *out)
{
    struct field f = {VV_BUF_INIT, VV_OK};
    if (edit->has_format)
        put_format(&f, edit, out);
    if (edit->next_file > 0)
        put_number_field(&f, TAG_NEXT_FILE, edit->next_file, out);
    if (edit->flushed_seq > 0)
        put_number_field(&f, TAG_FLUSHED, edit->flushed_seq, out);
    if (edit->log_number > 0)
        put_number_field(&f, TAG_LOG, edit->log_number, out);
    for (size_t i = 0; i < edit->table_count; i++)
        put_table(&f, &edit->tables[i], out);
    for (size_t i = 0; i < edit->table_gone_count; i++)
        put_number_field(&f, TAG_TABLE_GONE, edit->tables_gone[i], out);
    for (size_t i = 0; i < edit->value_count; i++)
        put_value_file(&f, &edit->values[i], out);
    for (size_t i = 0; i < edit->value_gone_count; i++)
        put_number_field(&f, TAG_VALUE_GONE, edit->values_gone[i], out);
    for (size_t i = 0; i < edit->notes.count; i++)
        put_note(&f, &edit->notes.list[i], out);
    for (size_t i = 0; i < edit->lineage.count; i++)
        put_origin(&f, &edit->lineage.list[i], out);
    if (edit->snapshot)
        put_field(&f, TAG_SNAPSHOT, out);
    if (edit->closed_log > 0) {
        put_number(&f, edit->closed_log);
        put_number_field(&f, TAG_CLOSED, edit->closed_bytes, out);
    }
    if (edit->clock_ms > 0)
        put_number_field(&f, TAG_CLOCK, edit->clock_ms, out);
    vv_buf_deinit(&f.content);
    return f.rc;
}

/* ----------------------------------------------------------------------------------- decoding */

static int damaged(const char *what)
{
    return vv_fail(VV_CORRUPT, "an edit's %s does not read", what);
}

static int read_format(struct vv_reader *r, struct vv_edit *out)
{
    int rc;
    uint64_t version = vv_read_varint(r);
    vv_slice uuid = vv_read_bytes(r, sizeof out->uuid);
    vv_slice engine = vv_read_sized(r);
    vv_slice comparator = vv_read_sized(r);
    uint64_t required = vv_read_varint(r);
    if (!r->bad && version != VV_FORMAT_VERSION)
        return vv_fail(VV_UNSUPPORTED,
                       "the store has format %" PRIu64 ", this build reads format %d", version,
                       VV_FORMAT_VERSION);
    if (!r->bad && (required & ~(uint64_t)VV_FORMAT_FEATURES) != 0)
        return vv_fail(VV_UNSUPPORTED,
                       "the store needs features 0x%" PRIx64 ", which this build does not know",
                       required & ~(uint64_t)VV_FORMAT_FEATURES);
    if (r->bad || uuid.data == NULL || comparator.size > VV_COMPARATOR_NAME_MAX || engine.size > 16)
        return damaged("format");
    out->has_format = true;
    out->format_version = (uint32_t)version;
    out->required = required;
    memcpy(out->uuid, uuid.data, sizeof out->uuid);
    if ((rc = vv_buf_assign(&out->engine, engine)) < 0)
        return rc;
    return vv_buf_assign(&out->comparator, comparator);
}

/* `count` elements of at least `size_min` bytes each must fit in what is left. */
static bool plausible(const struct vv_reader *r, uint64_t count, size_t size_min)
{
    return !r->bad && count <= vv_reader_left(r) / size_min;
}

static int read_table_refs(struct vv_reader *r, struct vv_table_facts *facts)
{
    uint64_t count = vv_read_varint(r);
    if (!plausible(r, count, 3))
        return damaged("table references");
    facts->refs = vv_alloc((size_t)count * sizeof facts->refs[0]);
    if (facts->refs == NULL)
        return VV_NOMEM;
    for (uint64_t i = 0; i < count; i++) {
        facts->refs[i].file = vv_read_varint(r);
        facts->refs[i].bytes = vv_read_varint(r);
        facts->refs[i].count = vv_read_varint(r);
        if (i > 0 && facts->refs[i].file <= facts->refs[i - 1].file)
            return damaged("table references");
    }
    facts->ref_count = (size_t)count;
    return r->bad ? damaged("table references") : VV_OK;
}

static int read_table_ranges(struct vv_reader *r, struct vv_table_facts *facts)
{
    facts->ranges = vv_read_varint(r);
    uint64_t open_end = vv_read_varint(r);
    facts->open_end = open_end != 0;
    return r->bad || facts->ranges == 0 || open_end > 1 ? damaged("table's ranges") : VV_OK;
}

static int read_table(struct vv_reader *r, struct vv_edit *out)
{
    int rc = grow((void **)&out->tables, out->table_count, sizeof out->tables[0]);
    if (rc < 0)
        return rc;
    struct vv_edit_table *table = &out->tables[out->table_count++];
    *table = (struct vv_edit_table){0};
    struct vv_table_facts *facts = &table->facts;
    uint64_t level = vv_read_varint(r);
    table->level = (int)(level & 0xff);
    table->number = vv_read_varint(r);
    facts->size_bytes = vv_read_varint(r);
    facts->entries = vv_read_varint(r);
    facts->tombstones = vv_read_varint(r);
    facts->raw_bytes = vv_read_varint(r);
    facts->min_seq = vv_read_varint(r);
    facts->max_seq = vv_read_varint(r);
    table->created_us = vv_read_varint(r);
    vv_slice smallest = vv_read_sized(r);
    vv_slice largest = vv_read_sized(r);
    if (r->bad || level > EDIT_LEVEL_MAX || facts->max_seq > VV_SEQ_MAX ||
        facts->min_seq > facts->max_seq || smallest.size > VV_KEY_SIZE_MAX ||
        largest.size > VV_KEY_SIZE_MAX || table->number == 0)
        return damaged("table");
    if ((rc = vv_buf_assign(&facts->smallest, smallest)) < 0 ||
        (rc = vv_buf_assign(&facts->largest, largest)) < 0)
        return rc;
    if ((rc = read_table_refs(r, facts)) < 0)
        return rc;
    return vv_reader_left(r) > 0 ? read_table_ranges(r, facts) : VV_OK;
}

static int read_value_file(struct vv_reader *r, struct vv_edit *out)
{
    int rc = grow((void **)&out->values, out->value_count, sizeof out->values[0]);
    if (rc < 0)
        return rc;
    struct vv_edit_value_file *file = &out->values[out->value_count++];
    *file = (struct vv_edit_value_file){0};
    file->number = vv_read_varint(r);
    uint64_t sealed = vv_read_varint(r);
    file->sealed = sealed == 1;
    file->record_bytes = vv_read_varint(r);
    file->record_count = vv_read_varint(r);
    uint64_t count = vv_read_varint(r);
    if (!plausible(r, count, 1) || sealed > 1 || file->number == 0 || count == 0)
        return damaged("value file");
    file->serves = vv_alloc((size_t)count * sizeof file->serves[0]);
    if (file->serves == NULL)
        return VV_NOMEM;
    file->serve_count = (size_t)count;
    for (uint64_t i = 0; i < count; i++) {
        file->serves[i] = vv_read_varint(r);
        if (i > 0 && file->serves[i] <= file->serves[i - 1])
            return damaged("value file");
    }
    return r->bad ? damaged("value file") : VV_OK;
}

static int read_number(struct vv_reader *r, const char *what, uint64_t max, uint64_t *out)
{
    uint64_t number = vv_read_varint(r);
    if (r->bad || number == 0 || number > max)
        return damaged(what);
    *out = number;
    return VV_OK;
}

static int read_gone(struct vv_reader *r, uint64_t **numbers, size_t *count)
{
    uint64_t number = 0;
    int rc = read_number(r, "removed file", UINT64_MAX, &number);
    return rc < 0 ? rc : add_number(numbers, count, number);
}

static int read_closed(struct vv_reader *r, struct vv_edit *out)
{
    int rc = read_number(r, "closed log", UINT64_MAX, &out->closed_log);
    return rc < 0 ? rc : read_number(r, "closed log", UINT64_MAX, &out->closed_bytes);
}

/* What the edit has said of a table so far, or NULL. */
static struct vv_table_facts *facts_of(struct vv_edit *edit, uint64_t number)
{
    size_t i = edit->table_count;
    while (i > 0 && edit->tables[i - 1].number != number)
        i--;
    return i > 0 ? &edit->tables[i - 1].facts : NULL;
}

static int read_expiring(struct vv_reader *r, struct vv_edit *out)
{
    struct vv_table_facts *facts = facts_of(out, vv_read_varint(r));
    uint64_t count = vv_read_varint(r);
    uint64_t half_ms = vv_read_varint(r);
    if (r->bad || facts == NULL || count == 0 || count > facts->entries)
        return damaged("expiring table");
    facts->expiring = count;
    facts->expires_half_ms = half_ms;
    return VV_OK;
}

static int read_raised(struct vv_reader *r, struct vv_edit *out)
{
    struct vv_table_facts *facts = facts_of(out, vv_read_varint(r));
    uint64_t raise = vv_read_varint(r);
    if (r->bad || facts == NULL || raise == 0 || raise > facts->min_seq || facts->ranges > 0)
        return damaged("raised table");
    facts->raise = raise;
    return VV_OK;
}

static int read_note(struct vv_reader *r, struct vv_edit *out)
{
    uint64_t id = vv_read_varint(r);
    if (r->bad || id > UINT32_MAX || vv_reader_left(r) > VV_NOTE_SIZE_MAX)
        return damaged("note");
    return vv_notes_set(&out->notes, (uint32_t)id, vv_read_bytes(r, vv_reader_left(r)));
}

static int read_origin(struct vv_reader *r, struct vv_edit *out)
{
    vv_slice uuid = vv_read_bytes(r, VV_TABLE_UUID_SIZE);
    uint64_t below = vv_read_varint(r);
    return r->bad ? damaged("origin") : vv_lineage_add(&out->lineage, uuid.data, below);
}

static int read_field(uint64_t tag, struct vv_reader *r, struct vv_edit *out)
{
    switch (tag) {
    case TAG_FORMAT: return read_format(r, out);
    case TAG_NEXT_FILE: return read_number(r, "next file number", UINT64_MAX, &out->next_file);
    case TAG_FLUSHED: return read_number(r, "flushed sequence", VV_SEQ_MAX, &out->flushed_seq);
    case TAG_TABLE_ADD: return read_table(r, out);
    case TAG_TABLE_GONE: return read_gone(r, &out->tables_gone, &out->table_gone_count);
    case TAG_LOG: return read_number(r, "log number", UINT64_MAX, &out->log_number);
    case TAG_VALUE_FILE: return read_value_file(r, out);
    case TAG_VALUE_GONE: return read_gone(r, &out->values_gone, &out->value_gone_count);
    case TAG_SNAPSHOT: out->snapshot = true; return VV_OK;
    case TAG_CLOSED: return read_closed(r, out);
    case TAG_NOTE: return read_note(r, out);
    case TAG_ORIGIN: return read_origin(r, out);
    case TAG_EXPIRING: return read_expiring(r, out);
    case TAG_RAISED: return read_raised(r, out);
    case TAG_CLOCK: return read_number(r, "clock", UINT64_MAX, &out->clock_ms);
    default:
        if (tag < TAG_SKIPPABLE)
            return vv_fail(VV_UNSUPPORTED,
                           "an edit has field %" PRIu64 ", which this build does "
                           "not know",
                           tag);
        r->at = r->end;
        return VV_OK;
    }
}

static bool once_only(uint64_t tag)
{
    return tag < TAG_SKIPPABLE && tag != TAG_TABLE_ADD && tag != TAG_TABLE_GONE &&
           tag != TAG_VALUE_FILE && tag != TAG_VALUE_GONE && tag != TAG_NOTE && tag != TAG_ORIGIN &&
           tag != TAG_EXPIRING && tag != TAG_RAISED;
}

int vv_edit_decode(vv_slice raw, struct vv_edit *out)
{
    struct vv_reader r = vv_reader_of(raw);
    uint64_t seen = 0; /* once-only tags */
    while (vv_reader_left(&r) > 0) {
        uint64_t tag = vv_read_varint(&r);
        vv_slice content = vv_read_sized(&r);
        if (r.bad)
            return damaged("field");
        if (once_only(tag) && (seen & (uint64_t)1 << tag) != 0)
            return damaged("fields (one that may be there once is there again)");
        seen |= once_only(tag) ? (uint64_t)1 << tag : 0;
        struct vv_reader inner = vv_reader_of(content);
        int rc = read_field(tag, &inner, out);
        if (rc < 0)
            return rc;
        if (vv_reader_left(&inner) > 0)
            return damaged("field (it is longer than its content)");
    }
    return VV_OK;
}

/* ----------------------------------------------------------------------------------- printing */

static int print_key(struct vv_buf *out, const char *name, vv_slice key)
{
    int rc = vv_buf_printf(out, " %s=", name);
    for (size_t i = 0; rc == VV_OK && i < key.size && i < 32; i++) {
        uint8_t byte = key.data[i];
        rc = byte > ' ' && byte < 0x7f && byte != '\\' ? vv_buf_printf(out, "%c", byte)
                                                       : vv_buf_printf(out, "\\x%02x", byte);
    }
    return rc == VV_OK && key.size > 32 ? vv_buf_printf(out, "...") : rc;
}

static int print_table(const struct vv_edit_table *t, struct vv_buf *out)
{
    const struct vv_table_facts *f = &t->facts;
    int rc = vv_buf_printf(out,
                           "add table %" PRIu64 " level=%d bytes=%" PRIu64 " entries=%" PRIu64
                           " tombstones=%" PRIu64 " raw=%" PRIu64 " seq=%" PRIu64 "..%" PRIu64,
                           t->number, t->level, f->size_bytes, f->entries, f->tombstones,
                           f->raw_bytes, f->min_seq, f->max_seq);
    if (rc == VV_OK)
        rc = print_key(out, "smallest", vv_buf_slice(&f->smallest));
    if (rc == VV_OK)
        rc = print_key(out, f->open_end ? "end" : "largest", vv_buf_slice(&f->largest));
    if (rc == VV_OK && f->ranges > 0)
        rc = vv_buf_printf(out, " ranges=%" PRIu64, f->ranges);
    for (size_t i = 0; rc == VV_OK && i < f->ref_count; i++)
        rc = vv_buf_printf(out, " values=%" PRIu64 ":%" PRIu64, f->refs[i].file, f->refs[i].bytes);
    if (rc == VV_OK && f->expiring > 0)
        rc = vv_buf_printf(out, " expiring=%" PRIu64 " half by %" PRIu64, f->expiring,
                           f->expires_half_ms);
    if (rc == VV_OK && f->raise > 0)
        rc = vv_buf_printf(out, " raised=%" PRIu64, f->raise);
    return rc == VV_OK ? vv_buf_printf(out, "\n") : rc;
}

static int print_value_file(const struct vv_edit_value_file *v, struct vv_buf *out)
{
    int rc =
        vv_buf_printf(out, "value file %" PRIu64 " %s bytes=%" PRIu64 " count=%" PRIu64 " serves",
                      v->number, v->sealed ? "sealed" : "open", v->record_bytes, v->record_count);
    for (size_t i = 0; rc == VV_OK && i < v->serve_count; i++)
        rc = vv_buf_printf(out, " %" PRIu64, v->serves[i]);
    return rc == VV_OK ? vv_buf_printf(out, "\n") : rc;
}

static int print_note(const struct vv_note *note, struct vv_buf *out)
{
    if (note->text.size == 0)
        return vv_buf_printf(out, "take back note %u\n", note->id);
    int rc = vv_buf_printf(out, "note %u", note->id);
    if (rc == VV_OK)
        rc = print_key(out, "text", note->text);
    return rc == VV_OK ? vv_buf_printf(out, "\n") : rc;
}

static int print_head(const struct vv_edit *e, struct vv_buf *out)
{
    int rc = VV_OK;
    if (e->snapshot)
        rc = vv_buf_printf(out, "snapshot\n");
    if (rc == VV_OK && e->has_format)
        rc = vv_buf_printf(out, "format %u engine=%.*s comparator=%.*s\n", e->format_version,
                           (int)e->engine.size, (const char *)e->engine.data,
                           (int)e->comparator.size, (const char *)e->comparator.data);
    if (rc == VV_OK && e->next_file > 0)
        rc = vv_buf_printf(out, "next file %" PRIu64 "\n", e->next_file);
    if (rc == VV_OK && e->flushed_seq > 0)
        rc = vv_buf_printf(out, "flushed up to sequence %" PRIu64 "\n", e->flushed_seq);
    if (rc == VV_OK && e->closed_log > 0)
        rc = vv_buf_printf(out, "closed with log %" PRIu64 " of %" PRIu64 " bytes\n", e->closed_log,
                           e->closed_bytes);
    if (rc == VV_OK && e->log_number > 0)
        rc = vv_buf_printf(out, "replay logs from %" PRIu64 "\n", e->log_number);
    if (rc == VV_OK && e->clock_ms > 0)
        rc = vv_buf_printf(out, "clock at %" PRIu64 " ms\n", e->clock_ms);
    return rc;
}

static int print_origin(const struct vv_origin *origin, struct vv_buf *out)
{
    int rc = vv_buf_printf(out, "files below %" PRIu64 " are of store ", origin->below);
    for (size_t i = 0; rc == VV_OK && i < sizeof origin->uuid; i++)
        rc = vv_buf_printf(out, "%02x", (unsigned)origin->uuid[i]);
    return rc == VV_OK ? vv_buf_printf(out, "\n") : rc;
}

int vv_edit_print(const struct vv_edit *e, struct vv_buf *out)
{
    int rc = print_head(e, out);
    for (size_t i = 0; rc == VV_OK && i < e->table_count; i++)
        rc = print_table(&e->tables[i], out);
    for (size_t i = 0; rc == VV_OK && i < e->table_gone_count; i++)
        rc = vv_buf_printf(out, "remove table %" PRIu64 "\n", e->tables_gone[i]);
    for (size_t i = 0; rc == VV_OK && i < e->value_count; i++)
        rc = print_value_file(&e->values[i], out);
    for (size_t i = 0; rc == VV_OK && i < e->value_gone_count; i++)
        rc = vv_buf_printf(out, "remove value file %" PRIu64 "\n", e->values_gone[i]);
    for (size_t i = 0; rc == VV_OK && i < e->notes.count; i++)
        rc = print_note(&e->notes.list[i], out);
    for (size_t i = 0; rc == VV_OK && i < e->lineage.count; i++)
        rc = print_origin(&e->lineage.list[i], out);
    return rc;
}
