/*
 * Ingest: sorted entries become tables and value files where they will stay, and all of them become
 * part of the tree by one edit.
 *
 * The entries are written before it is known which sequence they will have. Their tables have the one
 * that was visible when the ingest began, and the MANIFEST says by how much it is raised: by as much
 * for every entry, so that all of them are one change.
 *
 * The tables of a version are a prefix of the commit order. So what is in memory is flushed before an
 * ingest is installed, and afterwards everything up to its sequence is in tables: recovery needs no
 * log of before, and a reader beside the writer notices that it has an old MANIFEST.
 */
#ifndef VV_LSM_INGEST_H
#define VV_LSM_INGEST_H

#include "lsm/tree.h"

/* The operations of the treaty. */
VV_MUST int vv_lsm_ingest_begin(struct vv_engine *e, struct vv_ingest **out);
VV_MUST int vv_lsm_ingest_put(struct vv_ingest *g, vv_slice key, vv_slice value);
VV_MUST int vv_lsm_ingest_seal(struct vv_ingest *g);
VV_MUST int vv_lsm_ingest_install(struct vv_ingest *g, vv_seq seq);
void vv_lsm_ingest_end(struct vv_ingest *g);

/* Keys from `low` to `high`, both inclusive, over which a running job may write anywhere. */
struct vv_ingest_claim {
    uint32_t job;
    vv_slice low, high;
};

/* The deepest level in which the table stands above all that it overlaps: 0 where one of level 0 or a
 * claim is in the way, or where levels are that are not in use (above `base`). Pure. */
int vv_ingest_level(const struct vv_version *version, int base,
                    const struct vv_ingest_claim *claims, size_t claim_count,
                    const struct vv_table_meta *table);

#endif
