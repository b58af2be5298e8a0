/*
 * Value references and facts: what garbage collection and repair ask a table.
 */
#include "sst/table_internal.h"

int vv_ref_group_next(struct vv_reader *r, struct vv_ref_group *out)
{
    if (!r->bad && vv_reader_left(r) == 0)
        return VV_END;
    struct vv_ref_group group = {0};
    group.sum.file = vv_read_varint(r);
    group.sum.count = vv_read_varint(r);
    group.sum.bytes = vv_read_varint(r);
    group.offsets = *r;
    uint64_t offset = 0;
    bool bad = group.sum.count == 0 || group.sum.count > vv_reader_left(r);
    for (uint64_t i = 0; i < group.sum.count && !bad; i++) {
        uint64_t step = vv_read_varint(r);
        bad = r->bad || step > UINT32_MAX - offset;
        offset += bad ? 0 : step;
    }
    if (bad || r->bad) {
        r->bad = true;
        return vv_fail(VV_CORRUPT, "a block of value references is malformed");
    }
    *out = group;
    return VV_OK;
}

/* The reference block, or NULL with VV_OK when the table refers to nothing. */
static int read_refs(struct vv_table *t, struct vv_block **out)
{
    *out = NULL;
    if (t->references_at.size == 0)
        return VV_OK;
    return vv_table_read_block(t, t->references_at, VV_ROLE_REFERENCES, out);
}

static struct vv_reader refs_reader(const struct vv_block *block)
{
    vv_slice all = VV_SLICE_EMPTY;
    if (block != NULL)
        all = (vv_slice){block->data, block->size_bytes};
    return vv_reader_of(all);
}

static int visit_group(struct vv_ref_group *group,
                       int (*visit)(void *context, uint32_t offset_units), void *context)
{
    uint32_t offset = 0;
    for (uint64_t i = 0; i < group->sum.count; i++) {
        offset += (uint32_t)vv_read_varint(&group->offsets);
        int rc = visit(context, offset);
        if (rc != VV_OK)
            return rc;
    }
    return VV_OK;
}

int vv_table_visit_refs(struct vv_table *t, uint64_t file,
                        int (*visit)(void *context, uint32_t offset_units), void *context)
{
    struct vv_block *block = NULL;
    struct vv_ref_group group;
    int rc = read_refs(t, &block);
    if (rc < 0)
        return rc;
    struct vv_reader r = refs_reader(block);
    while ((rc = vv_ref_group_next(&r, &group)) == VV_OK && group.sum.file < file)
        continue;
    if (rc < 0)
        rc = vv_table_blame(t, rc);
    else if (rc == VV_OK && group.sum.file == file)
        rc = visit_group(&group, visit, context);
    else
        rc = VV_OK;
    vv_block_unref(block);
    return rc;
}

static int sum_refs(struct vv_table *t, const struct vv_block *block, struct vv_buf *sums)
{
    struct vv_reader r = refs_reader(block);
    struct vv_ref_group group;
    int rc;
    while ((rc = vv_ref_group_next(&r, &group)) == VV_OK)
        if ((rc = vv_buf_append(sums, &group.sum, sizeof group.sum)) < 0)
            return rc;
    return rc == VV_END ? VV_OK : vv_table_blame(t, rc);
}

int vv_table_read_facts(struct vv_table *t, struct vv_table_facts *out)
{
    struct vv_table_facts facts = t->facts;
    struct vv_block *block = NULL;
    struct vv_buf sums = VV_BUF_INIT;
    facts.smallest = (struct vv_buf)VV_BUF_INIT;
    facts.largest = (struct vv_buf)VV_BUF_INIT;
    facts.size_bytes = t->size_bytes;
    int rc = read_refs(t, &block);
    if (rc < 0)
        goto out;
    if ((rc = sum_refs(t, block, &sums)) < 0)
        goto out;
    if ((rc = vv_buf_append_slice(&facts.smallest, vv_buf_slice(&t->facts.smallest))) < 0)
        goto out;
    if ((rc = vv_buf_append_slice(&facts.largest, vv_buf_slice(&t->facts.largest))) < 0)
        goto out;
    facts.refs = (struct vv_table_ref_sum *)(void *)sums.data;
    facts.ref_count = sums.size / sizeof *facts.refs;
    sums = (struct vv_buf)VV_BUF_INIT;
    *out = facts;
    facts = (struct vv_table_facts){0};
out:
    vv_buf_deinit(&sums);
    vv_table_facts_deinit(&facts);
    vv_block_unref(block);
    return rc;
}
