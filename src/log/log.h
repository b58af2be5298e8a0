/*
 * The record log: an append-only file of checksummed records. One format serves as write-ahead log,
 * value log and MANIFEST (and later as the hash engine's data file).
 *
 * file header, 96 bytes, little-endian
 *    0  magic       8 bytes  "varvelog"
 *    8  version     u16      1
 *   10  kind        u16      enum vv_log_kind
 *   12  salt        u32      random for each life of a file; seeds every check below
 *   16  number      u64      of the file
 *   24  uuid        16       of the store
 *   40  first_seq   u64      lowest sequence a record may have
 *   48  prev_number u64      the log before this one, or 0
 *   56  prev_seq    u64      last sequence in the logs before this one
 *   64  created_us  u64      wall clock, for people
 *   72  required    u32      feature bits a reader must know: none yet, so zero
 *   76  stale_end   u64      bytes from 96 to here may be of the file's former life; 0: none are
 *   84  hints       u32      1: a WAL that is synced whole before anybody is done with it
 *   88  reserved    4        zero, and ignored
 *   92  check       u32      checksum of bytes 0 to 91, seed 0
 *
 * A later version may use the reserved bytes; magic, version and check stay where they are.
 *
 * record, 24-byte header, padded with zeros to a multiple of 8
 *    0  check       u32      see below
 *    4  size        u32      of key and body together
 *    8  type        u8       enum vv_record_type
 *    9  flags       u8       VV_RECORD_PREV_SYNCED, VV_RECORD_HAS_REFS
 *   10  key_size    u16      of the key in front of the body; 0 where records carry none. With flag
 *                            VV_RECORD_KEY_64K it is 65,536 bytes longer: 65,540 at most
 *   12  aux         u32      number of operations of a BATCH; else 0
 *   16  seq         u64      of the first operation
 *   24  key, body   bytes
 *
 * check = low half of XXH3(bytes 4 to 23 of the header ‖ u64 body hash ‖ u64 offset of the record;
 * seed = salt), where body hash = XXH3(body; seed = key_size > 0 ? XXH3(key) : 0). So a record
 * verifies only in its file, in this life of the file, at its place.
 *
 * In logs of kind WAL and MANIFEST the sequences are continuous: the first record's is at least
 * first_seq (which may have been a guess when the log was prepared), and each record begins where
 * the one before it ended. A BATCH takes aux numbers, an EDIT one, a SEAL none. In other kinds each
 * record's is at least first_seq and that is all.
 *
 * A WAL holds BATCH records, a MANIFEST EDIT, a VALUES log KV, a HASH log BATCH and KV; any may end
 * with a SEAL. Only KV has a key, and only BATCH an aux.
 */
#ifndef VV_LOG_LOG_H
#define VV_LOG_LOG_H

#include "base/slice.h"
#include "env/env.h"

enum { VV_LOG_HEAD_SIZE = 96, VV_RECORD_HEAD_SIZE = 24, VV_UUID_SIZE = 16 };
enum { VV_LOG_PUSH_BYTES = 1 << 20 };

enum vv_log_kind {
    VV_LOG_WAL = 1,
    VV_LOG_VALUES = 2,
    VV_LOG_HASH = 3,
    VV_LOG_MANIFEST = 4,
};

enum vv_record_type {
    VV_RECORD_BATCH = 1,
    VV_RECORD_EDIT = 7,
    VV_RECORD_KV = 8,
    VV_RECORD_SEAL = 9, /* the last record of a file that will never grow again; body: footer */
};

enum {
    VV_RECORD_PREV_SYNCED = 1, /* all before it in this log, the logs before it with their names,
                                * and what they refer to, had been synced when it was written */
    VV_RECORD_HAS_REFS = 2,    /* the batch refers to the value log */
    VV_RECORD_KEY_64K = 4,
};

struct vv_log_head {
    enum vv_log_kind kind;
    uint32_t salt; /* filled in by vv_log_create */
    uint64_t number;
    uint8_t uuid[VV_UUID_SIZE];
    uint64_t first_seq;
    uint64_t prev_number;
    uint64_t prev_seq;
    uint64_t created_us; /* filled in by vv_log_create, like the next */
    uint64_t stale_end;
    bool kept; /* it will be synced whole, and may be kept when it is done with */
};

struct vv_record {
    enum vv_record_type type;
    uint8_t flags;
    uint32_t aux;
    uint64_t seq;
    vv_slice key;
    vv_slice body;
    uint64_t body_hash; /* for writing: vv_record_hash(key, body) */
};

/* ------------------------------------------------------------------------------------ writing */

struct vv_log;

struct vv_log_create_options {
    struct vv_log_head head;
    const char *spare; /* a file to take over (it is renamed to the log's path), or NULL */
    bool prev_synced;  /* all earlier logs, and what they refer to, are synced */
};

/* Creates a log file and writes its header. With a spare, the header is synced before the file gets
 * its name, so that no record of the file's former life can ever be mistaken for one of this; a
 * spare that is gone is done without. VV_EXISTS if there is something at `path`. The caller syncs
 * the directory before it acknowledges anything in the log. */
VV_MUST int vv_log_create(struct vv_env *env, const char *path,
                          const struct vv_log_create_options *options, struct vv_log **out);

/* Closes the file; syncs nothing. NULL is fine. */
void vv_log_close(struct vv_log *log);

uint64_t vv_record_hash(vv_slice key, vv_slice body);

/* The bytes a record takes in the file. */
uint64_t vv_record_size(size_t key_size, size_t body_size);

/* Appends the records with one write and gives the offset of each, if `offsets` is not NULL. Sets
 * VV_RECORD_PREV_SYNCED where it is true, and clears it elsewhere. Types and sequences must be as
 * the top of this page says. One thread at a time. Records are copied only if small. VV_TOOBIG for
 * 4 GiB of key and body. After any failure the log refuses every further append with the same
 * story: what it holds behind the last good record is unknown, and may be whole records. Until
 * vv_log_cut or a sync has cut that off, a reader may find them. */
VV_MUST int vv_log_append(struct vv_log *log, const struct vv_record *records, size_t count,
                          uint64_t *offsets);

/* Makes all records durable whose append returned before the call. Any thread, also beside append.
 * After a failure the log refuses every further append and sync. The logs before this one, and what
 * the records refer to, must have been synced before: the record that comes next will say so. */
VV_MUST int vv_log_sync(struct vv_log *log);

/* The same, but counts only the first `size_bytes` bytes as synced: what later records refer to may
 * not be. */
VV_MUST int vv_log_sync_to(struct vv_log *log, uint64_t size_bytes);

/* After a failed append: takes back for good what it may have left behind the last good record. It
 * syncs the file, yet counts no record as synced. Where cutting failed it may be tried again; a
 * failed sync is final, as above. Costs nothing when no append has failed. Any thread. */
VV_MUST int vv_log_cut(struct vv_log *log);

/* Starts writing to the device what was laid since the last time, if that is VV_LOG_PUSH_BYTES or
 * more, so that the sync that comes has little left to do. It may take as long as the device likes:
 * appending never does it by itself. Any thread. */
void vv_log_push(struct vv_log *log);

uint64_t vv_log_size(const struct vv_log *log);        /* bytes in use; any thread */
uint64_t vv_log_synced_size(const struct vv_log *log); /* of these, known to be durable; 0 between
                                                        * a failed append and the next sync */
struct vv_file *vv_log_file(struct vv_log *log);       /* for reading what was appended */
const struct vv_log_head *vv_log_head(const struct vv_log *log);

/* Writes `size_bytes` of zeros into a new file at `path` and syncs it: a log that takes it over
 * needs no metadata written at each sync. */
VV_MUST int vv_log_make_spare(struct vv_env *env, const char *path, uint64_t size_bytes);

/* ------------------------------------------------------------------------------------ reading */

struct vv_log_reader;

/* What the first bytes behind the last good record are. */
enum vv_log_tail {
    VV_LOG_TAIL_CLEAN, /* nothing, or only zeros or bytes of a former life */
    VV_LOG_TAIL_TORN,  /* writes that were under way when power failed; nobody was promised them */
};

struct vv_log_expect {
    enum vv_log_kind kind;  /* 0: any */
    uint64_t number;        /* 0: any */
    const uint8_t *uuid;    /* NULL: any */
    bool later_prev_synced; /* a later log says that this one was synced whole: any damage is rot */
};

/* That a synced log ends too early, at a whole record or where bytes of a former life begin, only
 * the next log's prev_seq can show: the caller compares. A log with a torn tail must be cut there
 * (vv_file_truncate to vv_log_reader_end, and sync) or done with before a record of a later log
 * may say PREV_SYNCED. */

/* Opens a log for reading from its start. VV_NOTFOUND when there is no file. VV_CORRUPT when the
 * header is damaged or not as expected; VV_UNSUPPORTED for a later version or unknown feature. A
 * file too short for a header, or all zeros there, is VV_END: power failed before it was written;
 * so is a header that fails its checksum or is another file's, with nothing but zeros behind it.
 * With later_prev_synced these, too, are VV_CORRUPT. */
VV_MUST int vv_log_reader_open(struct vv_env *env, const char *path,
                               const struct vv_log_expect *expect, struct vv_log_reader **out);
void vv_log_reader_close(struct vv_log_reader *r); /* NULL is fine */

const struct vv_log_head *vv_log_reader_head(const struct vv_log_reader *r);

/* Reads the next record; its slices hold until the next call. VV_END behind the last good one (see
 * vv_log_reader_tail). VV_CORRUPT with file and offset when what follows is damage and no torn
 * tail: that is, when a later record or log proves that these bytes had been synced. VV_UNSUPPORTED
 * for a sound record that this build does not know.
 *
 * Works beside a writer, also in another process: a record half written is simply the tail, and
 * after VV_END another call looks again and goes on when there is more. */
VV_MUST int vv_log_read(struct vv_log_reader *r, struct vv_record *record, uint64_t *offset);

/* Forgets what was read ahead: from now on bytes are as the file has them. What a failed append left
 * may have been cut off meanwhile. */
void vv_log_reader_forget(struct vv_log_reader *r);

/* After VV_OK from vv_log_read, once: the record is the next to be read, from the file. */
void vv_log_reader_put_back(struct vv_log_reader *r);

/* After VV_END: what was found there the first time. */
enum vv_log_tail vv_log_reader_tail(const struct vv_log_reader *r);
uint64_t vv_log_reader_end(const struct vv_log_reader *r); /* offset behind the last good record */
uint64_t vv_log_reader_seq_seen(const struct vv_log_reader *r); /* highest sequence in any record
                                                  * that verifies, also behind the valid prefix */

/* After VV_CORRUPT from vv_log_read, for repair: skips to the next record that verifies, if there
 * is one, however far it is; then vv_log_read gives it. Or VV_END. */
VV_MUST int vv_log_reader_skip(struct vv_log_reader *r);

/* Reads one record at an offset that a reference names, from an open file of this log. `scratch`
 * holds the bytes. VV_CORRUPT if it does not verify. */
VV_MUST int vv_log_read_at(struct vv_file *file, const char *name, const struct vv_log_head *head,
                           uint64_t offset, struct vv_buf *scratch, struct vv_record *record);

/* Decodes and verifies a file header: VV_OK, VV_CORRUPT, VV_UNSUPPORTED, VV_END (see above). */
VV_MUST int vv_log_head_decode(vv_slice raw, const char *name, struct vv_log_head *out);

#endif
