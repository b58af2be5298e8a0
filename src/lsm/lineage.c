#include "lsm/lineage.h"

#include "base/alloc.h"
#include "base/error.h"

#include <inttypes.h>

void vv_lineage_deinit(struct vv_lineage *lineage)
{
    vv_free(lineage->list);
    *lineage = (struct vv_lineage){NULL, 0};
}

int vv_lineage_add(struct vv_lineage *lineage, const uint8_t *uuid, uint64_t below)
{
    uint64_t before = lineage->count > 0 ? lineage->list[lineage->count - 1].below : 0;
    if (below <= before)
        return vv_fail(VV_CORRUPT, "files below %" PRIu64 " come from two stores", below);
    struct vv_origin *larger =
        vv_realloc(lineage->list, (lineage->count + 1) * sizeof lineage->list[0]);
    if (larger == NULL)
        return VV_NOMEM;
    lineage->list = larger;
    struct vv_origin *origin = &larger[lineage->count++];
    memcpy(origin->uuid, uuid, sizeof origin->uuid);
    origin->below = below;
    return VV_OK;
}

int vv_lineage_append(struct vv_lineage *lineage, const struct vv_lineage *from)
{
    int rc = VV_OK;
    for (size_t i = 0; rc == VV_OK && i < from->count; i++)
        rc = vv_lineage_add(lineage, from->list[i].uuid, from->list[i].below);
    return rc;
}

/* Few stores are copies of copies: a search through the list is no cost beside opening a file. */
const uint8_t *vv_lineage_uuid(const struct vv_lineage *lineage, const uint8_t *own,
                               uint64_t number)
{
    for (size_t i = 0; lineage != NULL && i < lineage->count; i++) {
        if (number < lineage->list[i].below)
            return lineage->list[i].uuid;
    }
    return own;
}
