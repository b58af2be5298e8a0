/*
 * An edit: one atomic change of the tree, as it stands in the MANIFEST.
 *
 * edit   fields, each: tag varint, size varint, content. Integers in contents are varints; "sized"
 *        is a varint size and bytes. Tags below 64 must be known; higher ones may be skipped. Tags
 *        6, 7, 9, 11, 16 to 18 and 20 come as often as there is something to say, the others once at most.
 *
 *    1  format      version (1), uuid 16 bytes, engine sized ("lsm"), comparator name sized,
 *                   required: feature bits that a reader must know; none yet
 *    2  next file   lowest number that no file has had
 *    3  flushed     every change up to this sequence is in tables
 *    6  table add   level, number, size, entries, tombstones, raw bytes, min seq, max seq,
 *                   created (µs), smallest key sized, largest key sized, count of value files,
 *                   then for each: file, bytes, count; and if it has any: range tombstones, open end
 *                   (0/1: whether the largest key is where one of them ends)
 *    7  table gone  number
 *    8  log         lowest number of a log that must be replayed
 *    9  value file  number, sealed (0/1), record bytes, record count, count of files served, those.
 *                   While it is open both are 0. Recovery, which seals what a killed process left
 *                   open, counts no records: it says all bytes behind the header, and count 0
 *   11  value gone  number
 *   14  snapshot    empty: this edit alone is the whole state up to here, whatever came before
 *   15  closed      log number, bytes: the store was closed in order, and this log, the newest, and
 *                   all before it are synced up to here
 *   16  note        id, text to the end of the field; an empty text takes the note back
 *   17  origin      uuid 16 bytes, below: tables and value files with lower numbers, down to the
 *                   origin before it, were written under this uuid (lsm/lineage.h)
 *   18  expiring    number of a table that this edit adds, how many of its entries expire, when about
 *                   half of them will have (milliseconds since 1970)
 *   19  clock       the latest time by which anything was taken for expired (the same)
 *   20  raised      number of a table that this edit adds, by how much the sequences of its entries
 *                   stand above those in its file (lsm/ingest.h)
 *
 * The format stands first in its edit. What follows in it, and what may follow the content of any
 * other tag below 64, is told by its feature bits: a build that does not know one refuses the store
 * before it reads on, and before anything is written. Without such a bit longer content is damage.
 */
#ifndef VV_LSM_EDIT_H
#define VV_LSM_EDIT_H

#include "base/buf.h"
#include "lsm/lineage.h"
#include "lsm/notes.h"
#include "sst/table.h"

enum { VV_FORMAT_VERSION = 1, VV_FORMAT_FEATURES = 0, VV_COMPARATOR_NAME_MAX = 255 };

struct vv_edit_table {
    int level;
    uint64_t number;
    uint64_t created_us;
    struct vv_table_facts facts;
};

struct vv_edit_value_file {
    uint64_t number;
    bool sealed;
    uint64_t record_bytes;
    uint64_t record_count;
    uint64_t *serves;
    size_t serve_count;
};

/* Zeroed memory is an edit that changes nothing. Optional numbers are absent when 0. */
struct vv_edit {
    bool has_format;
    uint32_t format_version;
    uint64_t required; /* feature bits of the format */
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    struct vv_buf engine, comparator;
    uint64_t next_file;
    vv_seq flushed_seq;
    uint64_t log_number;
    uint64_t closed_log; /* with the next */
    uint64_t closed_bytes;
    uint64_t clock_ms;
    bool snapshot;

    struct vv_edit_table *tables; /* owned, as are the contents */
    size_t table_count;
    uint64_t *tables_gone;
    size_t table_gone_count;
    struct vv_edit_value_file *values;
    size_t value_count;
    uint64_t *values_gone;
    size_t value_gone_count;
    struct vv_notes notes;
    struct vv_lineage lineage;
};

void vv_edit_deinit(struct vv_edit *edit);

/* Each adds to the edit; the first copies keys and sums. VV_NOMEM. */
VV_MUST int vv_edit_add_table(struct vv_edit *edit, int level, uint64_t number, uint64_t created_us,
                              const struct vv_table_facts *facts);
VV_MUST int vv_edit_remove_table(struct vv_edit *edit, uint64_t number);
VV_MUST int vv_edit_add_value_file(struct vv_edit *edit, const struct vv_edit_value_file *file);
VV_MUST int vv_edit_remove_value_file(struct vv_edit *edit, uint64_t number);

VV_MUST int vv_edit_encode(const struct vv_edit *edit, struct vv_buf *out);

/* VV_CORRUPT for bytes that are no edit, VV_UNSUPPORTED for a tag, version or feature bit that is
 * not known.
 * `out` must be zeroed and is released by the caller also on failure. */
VV_MUST int vv_edit_decode(vv_slice raw, struct vv_edit *out);

/* Appends the edit in words, one line a field. */
VV_MUST int vv_edit_print(const struct vv_edit *edit, struct vv_buf *out);

#endif
