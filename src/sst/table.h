/*
 * One sorted, immutable file (an SSTable): written once from entries in internal order, read by
 * point lookups and iterators. The format is in sst/format.h.
 */
#ifndef VV_SST_TABLE_H
#define VV_SST_TABLE_H

#include "env/env.h"
#include "kv/entry.h"
#include "kv/iter.h"
#include "kv/order.h"
#include "kv/ranges.h"
#include "sst/cache.h"

enum { VV_TABLE_UUID_SIZE = 16 };

/* Codecs are part of the format. A build without a codec refuses blocks that use it. */
enum vv_codec { VV_CODEC_NONE = 0, VV_CODEC_LZ4 = 1, VV_CODEC_ZSTD = 2 };

/* Whether this build can write (and read) the codec. */
bool vv_codec_available(enum vv_codec codec);

/* Filters are part of the format. */
enum vv_filter_kind {
    VV_FILTER_NONE = 0,
    VV_FILTER_BLOOM = 1,  /* blocked Bloom, 12 bits a key: fast to build, for short-lived files */
    VV_FILTER_FUSE8 = 2,  /* binary fuse, 9 bits a key, 0.39 % false positives */
    VV_FILTER_FUSE16 = 3, /* binary fuse, 18 bits a key, 0.0015 % */
};

/* How much of one value file a table refers to. */
struct vv_table_ref_sum {
    uint64_t file;
    uint64_t bytes; /* record bytes, as they stand in the value log */
    uint64_t count;
};

/* What a finished table is: the MANIFEST keeps this, so that tables can be chosen unopened. */
struct vv_table_facts {
    uint64_t size_bytes;
    uint64_t entries;
    uint64_t tombstones;
    uint64_t raw_bytes; /* keys and values, with values in the value log counted at full size */
    vv_seq min_seq, max_seq; /* of entries and range tombstones */
    vv_seq raise; /* how far they stand above those in the file; see vv_table_open_options */
    /* User keys: entries and range tombstones lie within. With `open_end` the largest is where a
     * range tombstone ends, and the table says nothing about that key itself. */
    struct vv_buf smallest, largest;
    bool open_end;
    uint64_t ranges;               /* how many range tombstones it has, as its layers count them */
    uint64_t expiring;             /* entries that expire some time */
    uint64_t expires_half_ms;      /* when about half of them will have; 0 when there are none */
    struct vv_table_ref_sum *refs; /* ascending by file */
    size_t ref_count;
};

void vv_table_facts_deinit(struct vv_table_facts *facts); /* zeroed is fine */

/* ------------------------------------------------------------------------------------ writing */

struct vv_table_writer;

struct vv_table_write_options {
    const struct vv_order *order; /* lives longer than the writer */
    struct vv_account *account;
    uint64_t number;
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    enum vv_codec codec; /* blocks that it does not shrink by an eighth are stored plain */
    enum vv_filter_kind filter;
    uint32_t block_bytes;     /* aimed-at size of a data block before compression; 0: default */
    uint32_t partition_bytes; /* aimed-at size of an index partition; 0: default */
};

/* Creates the file (VV_EXISTS if it is there). */
VV_MUST int vv_table_writer_open(struct vv_env *env, const char *path,
                                 const struct vv_table_write_options *options,
                                 struct vv_table_writer **out);

/* The next entry, strictly behind the one before in internal order: VV_CORRUPT otherwise, because a
 * table that is merged may lie. `value_bytes` is the full size of the value: value.size, or for a
 * REF the size it names. */
VV_MUST int vv_table_writer_add(struct vv_table_writer *w, const struct vv_entry *entry,
                                uint64_t value_bytes);

/* A range tombstone of the table, in the order of the format (vv_ranges_load): layer by layer. May
 * come before, between and after entries. */
VV_MUST int vv_table_writer_add_range(struct vv_table_writer *w, const struct vv_range *range);

/* About how large the file would be if it were finished now. */
uint64_t vv_table_writer_size(const struct vv_table_writer *w);

/* Lets the table say that these tables (ascending) are not needed any more once it is there. The
 * numbers are borrowed until the table is finished. */
void vv_table_writer_replaces(struct vv_table_writer *w, const uint64_t *numbers, size_t count);

/* Writes what is left and the footer, and syncs the file (not the directory). At least one entry
 * or range tombstone must have been added. The writer is gone afterwards, also on failure; `facts` is then the
 * caller's. */
VV_MUST int vv_table_writer_finish(struct vv_table_writer *w, struct vv_table_facts *facts);

/* Gives up; the caller removes the file. NULL is fine. */
void vv_table_writer_abort(struct vv_table_writer *w);

/* ------------------------------------------------------------------------------------ reading */

struct vv_table;

struct vv_table_open_options {
    const struct vv_order *order;
    struct vv_account *account;
    struct vv_cache *cache; /* lives longer than the table; may be NULL: nothing is cached */
    uint64_t number;
    const uint8_t *uuid; /* of the store; NULL: any, for inspection */
    uint64_t size_bytes; /* as the MANIFEST has it; 0: unknown */
    vv_seq raise; /* added to every sequence in the file, which has one version of each key */
    bool map;     /* read the file through a mapping, charged to VV_OWNER_MAP */
};

/* Opens a table: reads footer, properties and top index, verified. One reference. VV_NOTFOUND when
 * there is no file. VV_CORRUPT names file and offset, as every function below does. */
VV_MUST int vv_table_open(struct vv_env *env, const char *path,
                          const struct vv_table_open_options *options, struct vv_table **out);
void vv_table_ref(struct vv_table *t);
void vv_table_unref(struct vv_table *t); /* the last one closes the file; NULL is fine */

uint64_t vv_table_number(const struct vv_table *t);
bool vv_table_mapped(const struct vv_table *t);

/* The table's range tombstones, which live as long as it: as a set, NULL when there are none, and as
 * they stand in the file. */
const struct vv_ranges *vv_table_ranges(const struct vv_table *t);
const struct vv_range *vv_table_range_list(const struct vv_table *t, size_t *count);

/* What the table's own properties and index say; for repair. */
VV_MUST int vv_table_read_facts(struct vv_table *t, struct vv_table_facts *out);

/* Appends the numbers (uint64_t) of the tables that are not needed beside this one; for repair. */
VV_MUST int vv_table_read_replaces(struct vv_table *t, struct vv_buf *numbers);

/* An entry found by a lookup. The value stays valid until vv_table_hit_release. */
struct vv_table_hit {
    vv_slice value;
    vv_seq seq;
    enum vv_kind kind;
    struct vv_block *block; /* holds the value; NULL where `table` does */
    struct vv_table *table; /* a reference, when the value lies in the mapped file */
};

void vv_table_hit_release(struct vv_table_hit *hit);

/* False when the filter proves that no version of the key is here. A damaged or missing filter says
 * true. `hash` is vv_hash(key). Never fails; may read the filter from disk. */
bool vv_table_may_hold(struct vv_table *t, vv_slice key, uint64_t hash);

/* Brings the filter's lines for this hash towards the processor, if they are in memory. */
void vv_table_prefetch(struct vv_table *t, uint64_t hash);

/* The same for tables with more than one filter partition: where to look depends on the key. */
void vv_table_prefetch_key(struct vv_table *t, vv_slice key, uint64_t hash);

/* The newest version of `key` with sequence <= `seq`: VV_OK (a tombstone is a hit too) or
 * VV_NOTFOUND. Does not ask the filter. */
VV_MUST int vv_table_get(struct vv_table *t, vv_slice key, uint64_t hash, vv_seq seq,
                         struct vv_table_hit *out);

enum vv_table_read_mode {
    VV_TABLE_READ_CACHED,  /* through the cache */
    VV_TABLE_READ_SCAN,    /* reads ahead, does not fill the cache: for merges and whole scans */
    VV_TABLE_READ_SALVAGE, /* as SCAN, and blocks that fail to verify are left out when moving
                            * forward: for repair */
};

/* An iterator over the table; it holds a reference. */
VV_MUST int vv_table_iter(struct vv_table *t, enum vv_table_read_mode mode, struct vv_iter **out);

/* How many blocks an iterator of mode SALVAGE has left out so far. */
uint64_t vv_table_iter_damages(const struct vv_iter *it);

/* Calls `visit` for each value reference of the table into value file `file`, with the offset (in
 * units of 8) of the record, ascending. */
VV_MUST int vv_table_visit_refs(struct vv_table *t, uint64_t file,
                                int (*visit)(void *context, uint32_t offset_units), void *context);

/* Reads and verifies every byte: checksums, order, counts, filters (no key denied), properties.
 * VV_CORRUPT at the first damage. */
VV_MUST int vv_table_check(struct vv_table *t);

/* About how many bytes of the file lie between two keys. Reads as much as two lookups do. */
VV_MUST int vv_table_approximate_bytes(struct vv_table *t, vv_slice from, vv_slice to,
                                       uint64_t *out);

#endif
