/*
 * The value log: large values, each written once, apart from the keys that refer to them.
 *
 * A value file is a record log of KV records. A reference names the file and offset at which the
 * value was first written. Collection copies the values that are still referred to into a new file
 * and leaves the references as they are: the new file serves the old one's references through a
 * map, which stands in its SEAL record:
 *
 * body of the SEAL record of a file that replaced others
 *    entries  16 bytes each, ascending by (file, from)
 *       0  file   u32   as in the reference
 *       4  from   u32   offset in that file, units of 8 bytes
 *       8  to     u32   offset in this file, units of 8 bytes
 *      12  zero   u32
 *    trailer, the last 16 bytes of the file
 *       0  seal   u64   offset of the SEAL record
 *       8  count  u64   of entries
 *
 * A file that replaced none has a SEAL without entries, or none at all if the process was killed.
 */
#ifndef VV_LSM_VALUES_H
#define VV_LSM_VALUES_H

#include "env/env.h"
#include "kv/pin.h"
#include "kv/ref.h"
#include "lsm/lineage.h"
#include "lsm/version.h"

struct vv_values;

struct vv_values_options {
    struct vv_env *env;
    const char *dir; /* lives longer */
    struct vv_account *account;
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    const struct vv_lineage *lineage; /* of files that have another one; may be NULL */
    bool readonly;
};

VV_MUST int vv_values_new(const struct vv_values_options *options, struct vv_values **out);
void vv_values_free(struct vv_values *values); /* all files must be gone; NULL is fine */

/* A value file's meta with one reference, for a file that exists or is about to. It serves itself
 * when `serve_count` is 0. */
VV_MUST int vv_value_file_new(struct vv_values *values, uint64_t number, const uint64_t *serves,
                              size_t serve_count, struct vv_value_file **out);
void vv_value_file_ref(struct vv_value_file *file);
void vv_value_file_unref(struct vv_value_file *file); /* NULL is fine */

/* Called by the last unref: closes the file, removes it if it is obsolete, frees the meta. */
void vv_values_drop(struct vv_value_file *file);

/* Reads the value into memory of its own. `file` is where the reference leads
 * (vv_version_value_file). VV_CORRUPT names file and offset. */
VV_MUST int vv_values_read(struct vv_value_file *file, struct vv_ref ref, vv_slice key,
                           struct vv_pin *out);

/* Whether the value is there still: VV_NOTFOUND when it was garbage and has been collected. */
VV_MUST int vv_values_find(struct vv_value_file *file, struct vv_ref ref);

/* Verifies that the record of the reference is whole: for recovery. */
VV_MUST int vv_values_probe(struct vv_value_file *file, struct vv_ref ref, vv_slice key);

/* Whether power failed before the header of the file was written, so that there is nothing in it. */
VV_MUST int vv_values_headless(struct vv_values *values, uint64_t number, bool *out);

/* Bytes the value file takes on disk. */
VV_MUST int vv_values_size(struct vv_value_file *file, uint64_t *out);

/* Reads and verifies every record; gives the number and bytes of the value records. */
VV_MUST int vv_values_check(struct vv_value_file *file, uint64_t *count, uint64_t *bytes);

/* The numbers (uint64_t) of the files that a value file serves, from its own map: for repair. Nothing
 * is appended for a file without a map: it serves itself. */
VV_MUST int vv_values_read_serves(struct vv_values *values, uint64_t number, struct vv_buf *out);

/* The size of a record in the value log. */
uint64_t vv_value_record_size(size_t key_size, size_t value_size);

/* ------------------------------------------------------------------------------------ writing */

/* Writes one value file. Used by one thread at a time, except that vv_value_writer_sync may run
 * beside vv_value_writer_add. */
struct vv_value_writer;

/* Creates the file. The caller syncs the directory. */
VV_MUST int vv_value_writer_open(struct vv_values *values, uint64_t number,
                                 struct vv_value_writer **out);

/* Appends a value and gives the reference to it. Large values are not copied. */
VV_MUST int vv_value_writer_add(struct vv_value_writer *w, vv_slice key, vv_slice value,
                                struct vv_ref *out);

/* Copies the value of `ref` and lets this file serve the reference from now on: for collection.
 * In any order. */
VV_MUST int vv_value_writer_move(struct vv_value_writer *w, struct vv_value_file *from,
                                 uint32_t ref_file, uint32_t offset_units);

VV_MUST int vv_value_writer_sync(struct vv_value_writer *w);

void vv_value_writer_push(struct vv_value_writer *w);            /* see vv_log_push; any thread */
uint64_t vv_value_writer_bytes(const struct vv_value_writer *w); /* of value records; any thread */
uint64_t vv_value_writer_count(const struct vv_value_writer *w);

/* Writes the SEAL record and syncs. The writer stays open for reading sums until closed. */
VV_MUST int vv_value_writer_seal(struct vv_value_writer *w);
void vv_value_writer_close(struct vv_value_writer *w); /* NULL is fine */

#endif
