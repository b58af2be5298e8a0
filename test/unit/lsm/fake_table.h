/*
 * Tables that exist on paper only: metas with facts, for tests of versions and of picking.
 */
#ifndef VV_TEST_LSM_FAKE_TABLE_H
#define VV_TEST_LSM_FAKE_TABLE_H

#include "base/alloc.h"
#include "harness/test.h"
#include "lsm/tables.h"

struct fake_table {
    uint64_t number;
    vv_slice smallest, largest;
    vv_seq min_seq, max_seq;
    uint64_t size_bytes;
    uint64_t entries, tombstones;
};

/* With one reference. */
static inline struct vv_table_meta *fake_table_new(const struct fake_table *fake)
{
    struct vv_table_meta *meta = NULL;
    struct vv_table_facts facts = {.size_bytes = fake->size_bytes,
                                   .raw_bytes = fake->size_bytes,
                                   .entries = fake->entries,
                                   .tombstones = fake->tombstones,
                                   .min_seq = fake->min_seq,
                                   .max_seq = fake->max_seq};
    CHECK_OK(vv_buf_assign(&facts.smallest, fake->smallest));
    CHECK_OK(vv_buf_assign(&facts.largest, fake->largest));
    CHECK_OK(vv_table_meta_new(NULL, fake->number, &facts, &meta));
    return meta;
}

#endif
