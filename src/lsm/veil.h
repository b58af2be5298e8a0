/*
 * What range tombstones hide from readers.
 *
 * A place is where a lookup looks: a memtable or a run. Places hold newer versions and tombstones of
 * a key than the places behind them, so a tombstone that covers a key hides all there is of it in the
 * places behind its own, and in its own what is older than it.
 */
#ifndef VV_LSM_VEIL_H
#define VV_LSM_VEIL_H

#include "lsm/memtable.h"
#include "lsm/version.h"

/* Borrowed: the view keeps it alive. */
struct vv_place {
    struct vv_memtable *memtable; /* or */
    const struct vv_run *run;     /* of a version */
};

/* The newest tombstone of the place that covers the key at `at`, as vv_ranges_cover. May open a table,
 * which may fail. */
VV_MUST int vv_place_cover(const struct vv_place *place, const struct vv_order *order, vv_slice key,
                           vv_seq at, struct vv_cover *out);

/* Of an iterator over one place: all that live longer than it. */
struct vv_veil_options {
    const struct vv_order *order;
    vv_seq at;
    const struct vv_place
        *newer;                 /* places in front of it, newest first; those without tombstones */
    size_t newer_count;         /* may be left out */
    const struct vv_place *own; /* itself, or NULL if it has no tombstones */
};

/* The source without what is deleted at `at`. What newer places delete is not walked over: the
 * source is moved behind it at once. Takes the source over, also when it fails. */
VV_MUST int vv_veil_iter(struct vv_iter *source_take, const struct vv_veil_options *options,
                         struct vv_iter **out);

#endif
