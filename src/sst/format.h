/*
 * The format of a table file, version 1. All numbers are little-endian.
 *
 * file        data blocks, after every run of them the index partition and the filter partition
 *             that cover it, then the reference block, the range block, the properties, the top
 *             index, the footer. A table may have no entries and range tombstones alone; then it has
 *             no data blocks, no partitions and no top index.
 *             Each block begins at a multiple of 8 bytes (filters: of 64), with zeros between.
 *
 * stored block
 *    0  content     bytes    as below, or compressed
 *    n  raw_size    u32      of the content before compression
 *       codec       u8       enum vv_codec
 *       role        u8       enum vv_role
 *       zero        u16
 *       check       u32      checksum of all before it, seeded with (uuid, file number, offset), so
 *                            that a block verifies only in its own file, at its own place
 *
 * slotted block, the content of data blocks, index partitions and the top index
 *    0  count       u16      of entries, 1 to VV_BLOCK_COUNT_MAX
 *    2  flags       u8       VV_BLOCK_*
 *    3  meta_width  u8       bytes of meta for each entry, 0 to 8
 *    4  prefix_size u32      the first bytes, common to all keys
 *    8  suffix_size u32      FIXED_SUFFIX: of each suffix; else of all together
 *   12  value_size  u32      FIXED_VALUE: of each value; else of all together
 *   16  base        u64      kind << 56 | sequence: the lowest; the kind is 0 if meta_width > 0
 *   24  prefix      prefix_size bytes
 *       prints      u8 × count                 PRINTS: the highest byte of each key's hash
 *       heads       u32 × count                HEADS: first four bytes of each suffix, as a number
 *                                              whose order is theirs, padded with zeros
 *       suffix_at   u16 or u32 × (count + 1)   absent with FIXED_SUFFIX; u32 with WIDE_SUFFIX
 *       value_at    u16 or u32 × (count + 1)   absent with FIXED_VALUE; u32 with WIDE_VALUE
 *       meta        meta_width × count         (sequence - base sequence) << 4 | kind; at width 0
 *                                              all entries have the sequence and kind of `base`
 *       suffixes    bytes
 *       values      bytes
 *   The offsets begin with 0 and end with the size of the whole. Prefixes and heads are for bytewise
 *   order only. The offsets are u16 wherever they fit, so that each content has one encoding.
 *
 * index value, 16 bytes; its key separates: not before the last key of its block, and before the
 * first key of the next. Where the versions of one key run on into the next block it is that key, and
 * the entry's sequence that of the block's last version; elsewhere the sequence is 0. So a search for
 * (key, sequence) leads straight to the one block where it would be.
 *    0  offset      u32      of the data block, in units of 8 bytes
 *    4  size        u32      of the stored block, trailer included
 *    8  entries     u16
 *   10  tombstones  u16
 *   12  flags       u8       VV_INDEX_*
 *   13  zero        3 bytes
 *
 * top index value, 40 bytes; its key is the last separator of the partition
 *    0  index_offset u64,  8  index_size  u32
 *   12  filter_size  u32    0: no filter
 *   16  filter_offset u64
 *   24  blocks       u32    how many data blocks the partition has
 *   28  entries      u64
 *   36  zero         u32
 *   All versions of one key are in one partition.
 *
 * filter partition: the filter's array, then (so that the array is as aligned as the block)
 *    0  kind        u8       enum vv_filter_kind
 *    1  probes      u8       Bloom: bits for each key; fuse: 0
 *    2  log_segment u8       fuse: log2 of the segment's length; Bloom: 0
 *    3  zero        u8
 *    4  segments    u32      fuse: segments a first position may be in; Bloom: lines of 64 bytes
 *    8  seed        u64      fuse; Bloom: 0
 *
 * reference block: for each value file that is referred to, ascending
 *       file, count, bytes   varints
 *       offsets     varints  the first offset, in units of 8 bytes, then differences, ascending
 *
 * range block: range tombstones, until the end. Newest first in this sense: ranges ascend and do not
 * overlap; where one begins before the end of the one in front of it, a new layer begins, and the
 * sequences of a layer are above those of the layers behind it wherever both cover a key.
 *       from, to    sized    the keys from `from` up to and excluding `to` are deleted
 *       sequence    varint   as of this sequence, which is not 0
 *
 * properties: fields of (tag varint, size varint, bytes), ascending by tag; a reader skips tags that
 * it does not know. See enum vv_property.
 *
 * footer, the last 128 bytes
 *    0  magic       8 bytes  "varvesst"
 *    8  version     u32      1
 *   12  required    u32      feature bits a reader must know: none yet, so zero
 *   16  number      u64      of the file
 *   24  uuid        16       of the store
 *   40  size        u64      of the whole file
 *   48  top         offset u64, size u32       size 0: no entries
 *   60  properties  offset u64, size u32
 *   72  references  offset u64, size u32       size 0: none
 *   84  ranges      offset u64, size u32       size 0: none
 *   96  reserved    28       written as zero, ignored by readers
 *  124  check       u32      of all before it, seeded with the file's size
 *
 * It may grow by properties and the footer's reserved bytes, which older builds do not look at, and
 * by anything else with a bit in `required`. A block that verifies and has a codec, role, flag or
 * kind that is not known, or something in its trailer's zeros, was written so, by a newer version
 * that did not announce it: VV_UNSUPPORTED, not damage.
 */
#ifndef VV_SST_FORMAT_H
#define VV_SST_FORMAT_H

#include "base/coding.h"
#include "base/hash.h"

#define VV_TABLE_MAGIC "varvesst"

/* Offsets of data blocks are u32 in units of 8. */
#define VV_TABLE_BYTES_MAX ((uint64_t)1 << 35)

enum {
    VV_TABLE_VERSION = 1,

    VV_TRAILER_SIZE = 12,
    VV_TRAILER_RAW_SIZE = 0,
    VV_TRAILER_CODEC = 4,
    VV_TRAILER_ROLE = 5,
    VV_TRAILER_ZERO = 6,
    VV_TRAILER_CHECK = 8,

    VV_BLOCK_HEAD_SIZE = 24,
    VV_BLOCK_COUNT = 0,
    VV_BLOCK_FLAGS = 2,
    VV_BLOCK_META_WIDTH = 3,
    VV_BLOCK_PREFIX_SIZE = 4,
    VV_BLOCK_SUFFIX_SIZE = 8,
    VV_BLOCK_VALUE_SIZE = 12,
    VV_BLOCK_BASE = 16,
    VV_BLOCK_COUNT_MAX = 32767,
    VV_BLOCK_META_WIDTH_MAX = 8,
    VV_BLOCK_META_KIND_BITS = 4,
    VV_BLOCK_META_KIND_MASK = 15,

    VV_INDEX_VALUE_SIZE = 16,
    VV_INDEX_OFFSET = 0,
    VV_INDEX_SIZE = 4,
    VV_INDEX_ENTRIES = 8,
    VV_INDEX_TOMBSTONES = 10,
    VV_INDEX_FLAGS = 12,
    VV_INDEX_ZERO = 13,

    VV_TOP_VALUE_SIZE = 40,
    VV_TOP_INDEX_OFFSET = 0,
    VV_TOP_INDEX_SIZE = 8,
    VV_TOP_FILTER_SIZE = 12,
    VV_TOP_FILTER_OFFSET = 16,
    VV_TOP_BLOCKS = 24,
    VV_TOP_ENTRIES = 28,
    VV_TOP_ZERO = 36,

    VV_FILTER_TAIL_SIZE = 16,

    VV_FOOTER_SIZE = 128,
    VV_FOOTER_VERSION = 8,
    VV_FOOTER_REQUIRED = 12,
    VV_FOOTER_NUMBER = 16,
    VV_FOOTER_UUID = 24,
    VV_FOOTER_FILE_SIZE = 40,
    VV_FOOTER_TOP = 48,
    VV_FOOTER_PROPERTIES = 60,
    VV_FOOTER_REFERENCES = 72,
    VV_FOOTER_RANGES = 84,
    VV_FOOTER_RESERVED = 96,
    VV_FOOTER_CHECK = 124,

    VV_BLOCK_ALIGN = 8,
    VV_FILTER_ALIGN = 64,

    /* What may be read behind the content of any block in memory: searches load whole words and
     * vectors. In a mapped file the trailer and the footer stand there. */
    VV_BLOCK_SLACK = 16,

    /* A record of the value log: this, key and value, padded to 8 (log/log.h). Only sums of live
     * bytes depend on it. */
    VV_REF_RECORD_HEAD_SIZE = 24,
    VV_REF_RECORD_ALIGN = 8,
};

enum {
    VV_BLOCK_FIXED_SUFFIX = 1,
    VV_BLOCK_FIXED_VALUE = 2,
    VV_BLOCK_WIDE_SUFFIX = 4,
    VV_BLOCK_WIDE_VALUE = 8,
    VV_BLOCK_PRINTS = 16,
    VV_BLOCK_HEADS = 32,
    VV_BLOCK_FLAGS_ALL = 63,
};

enum {
    VV_INDEX_ALL_PUT = 1, /* no tombstone and no reference in the block */
    VV_INDEX_RAW = 2,     /* stored uncompressed */
    VV_INDEX_FLAGS_ALL = 3,
};

/* What a block is for: part of what its check covers. */
enum vv_role {
    VV_ROLE_DATA = 1,
    VV_ROLE_INDEX = 2,
    VV_ROLE_FILTER = 3,
    VV_ROLE_REFERENCES = 4,
    VV_ROLE_PROPERTIES = 5,
    VV_ROLE_TOP = 6,
    VV_ROLE_RANGES = 7,
    VV_ROLE_LAST = VV_ROLE_RANGES,
};

enum vv_property {
    VV_PROPERTY_ORDER = 1,   /* name of the order of keys */
    VV_PROPERTY_ENTRIES = 2, /* varint, as the following numbers */
    VV_PROPERTY_TOMBSTONES = 3,
    VV_PROPERTY_RAW_BYTES = 4,
    VV_PROPERTY_MIN_SEQ = 5,
    VV_PROPERTY_MAX_SEQ = 6,
    VV_PROPERTY_SMALLEST = 7,  /* the first key, or where the first range begins */
    VV_PROPERTY_LARGEST = 8,   /* the last key, or where the last range ends */
    VV_PROPERTY_BLOCKS = 9,    /* number of data blocks */
    VV_PROPERTY_CREATOR = 10,  /* what wrote the table, as text; readers do not need it */
    VV_PROPERTY_REPLACES = 11, /* numbers of tables, varints, ascending; for repair */
    VV_PROPERTY_RANGES = 12,   /* how many ranges the range block has; absent: none */
    VV_PROPERTY_OPEN_END = 13, /* 1: the largest key is the end of a range, and not in the table */
    VV_PROPERTY_EXPIRING = 14, /* two varints: how many entries expire, and when half of them have
                                  (milliseconds since 1970); absent when none does */
};

/* The fingerprint of a key within its block. */
static inline uint8_t vv_print_of(uint64_t hash)
{
    return (uint8_t)(hash >> 56);
}

/* What seeds the checks of a file's blocks, together with their offsets. */
static inline uint64_t vv_table_salt(const uint8_t uuid[16], uint64_t number)
{
    return vv_hash_seeded(vv_slice_of(uuid, 16), number);
}

static inline uint64_t vv_stored_seed(uint64_t salt, uint64_t offset)
{
    return salt ^ vv_mix(offset + 1);
}

#endif
