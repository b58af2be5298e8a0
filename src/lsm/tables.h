/*
 * The open tables of a tree: opened on first use, and removed from disk when no version needs them
 * any more. A handle stays open as long as its table is in use; tables grow with the store, so that
 * their number, and with it the number of descriptors, stays bounded (see lsm/pick.h).
 */
#ifndef VV_LSM_TABLES_H
#define VV_LSM_TABLES_H

#include "env/env.h"
#include "lsm/lineage.h"
#include "lsm/version.h"

struct vv_tables;

struct vv_tables_options {
    struct vv_env *env;
    const char *dir; /* lives longer */
    const struct vv_order *order;
    struct vv_account *account;
    struct vv_cache *cache;
    uint8_t uuid[VV_TABLE_UUID_SIZE];
    const struct vv_lineage *lineage; /* of tables that have another one; may be NULL */
    uint64_t read_bytes; /* for mapped tables and the cache together: what is mapped needs no cache,
                          * so tables are mapped up to seven eighths of this and the cache shrinks */
    bool readonly;       /* never remove a file */
};

VV_MUST int vv_tables_new(const struct vv_tables_options *options, struct vv_tables **out);
void vv_tables_free(struct vv_tables *tables); /* all metas must be gone; NULL is fine */

/* A meta with one reference for a table file that exists; takes over the content of `facts`. */
VV_MUST int vv_table_meta_new(struct vv_tables *tables, uint64_t number,
                              struct vv_table_facts *facts_take, struct vv_table_meta **out);

/* Called by the last unref of a meta: closes the table, removes the file if it is obsolete, frees
 * the meta. */
void vv_tables_drop(struct vv_table_meta *meta);

/* Notes that a table is obsolete; its file stays as long as somebody reads it. */
void vv_tables_let_go(struct vv_table_meta *meta);

/* Appends the numbers (uint64_t) of obsolete tables whose files are still there. */
VV_MUST int vv_tables_lingering(struct vv_tables *tables, struct vv_buf *numbers);

/* The table, opened if need be, with a reference: vv_table_unref it. A missing file is
 * VV_CORRUPT. */
VV_MUST int vv_tables_open(struct vv_table_meta *meta, struct vv_table **out);

/* Tables that are opened from now on may be in this order, too. */
void vv_tables_set_order(struct vv_tables *tables, const struct vv_order *order);

uint64_t vv_tables_mapped_bytes(const struct vv_tables *tables);

#endif
