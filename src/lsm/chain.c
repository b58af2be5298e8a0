#include "lsm/chain.h"

#include "base/error.h"

void vv_chain_deinit(struct vv_chain *c)
{
    vv_buf_deinit(&c->bytes);
    vv_buf_deinit(&c->links);
    vv_buf_deinit(&c->slices);
    vv_buf_deinit(&c->folded);
    *c = (struct vv_chain){.next = 0};
}

void vv_chain_clear(struct vv_chain *c)
{
    vv_buf_clear(&c->bytes);
    vv_buf_clear(&c->links);
    c->next = 0;
    c->closed = c->is_base = false;
}

static const struct vv_link *links_of(const struct vv_chain *c)
{
    return (const struct vv_link *)(const void *)c->links.data;
}

static vv_slice bytes_of(const struct vv_chain *c, const struct vv_link *link)
{
    return link->size > 0 ? vv_slice_of(c->bytes.data + link->offset, link->size) : VV_SLICE_EMPTY;
}

int vv_chain_add(struct vv_chain *c, const struct vv_entry *operand)
{
    struct vv_link link = {operand->seq, c->bytes.size, operand->value.size};
    vv_assert(!c->closed);
    int rc = vv_buf_append_slice(&c->bytes, operand->value);
    return rc == VV_OK ? vv_buf_append(&c->links, &link, sizeof link) : rc;
}

size_t vv_chain_bytes(const struct vv_chain *c)
{
    return c->bytes.size + c->links.size;
}

int vv_chain_fold(struct vv_chain *c, const struct vv_host *host, vv_slice key, enum vv_fold how,
                  const vv_slice *base)
{
    size_t count = vv_chain_count(c);
    const struct vv_link *links = links_of(c);
    vv_assert(count > 0 && !c->is_base);
    if (host == NULL || host->fold == NULL)
        return VV_UNSUPPORTED;
    vv_buf_clear(&c->slices);
    vv_buf_clear(&c->folded);
    for (size_t i = count; i-- > 0;) {
        vv_slice operand = bytes_of(c, &links[i]);
        int rc = vv_buf_append(&c->slices, &operand, sizeof operand);
        if (rc < 0)
            return rc;
    }
    int rc = host->fold(host->context, how, key, base,
                        (const vv_slice *)(const void *)c->slices.data, count, &c->folded);
    if (rc == VV_OK && c->folded.size > VV_VALUE_SIZE_MAX)
        return VV_UNSUPPORTED;
    if (rc < 0)
        return rc;
    struct vv_link link = {links[0].seq, 0, c->folded.size};
    if ((rc = vv_buf_assign(&c->bytes, vv_buf_slice(&c->folded))) < 0)
        return rc;
    c->links.size = sizeof link;
    memcpy(c->links.data, &link, sizeof link);
    c->is_base = how == VV_FOLD_FULL;
    return VV_OK;
}

bool vv_chain_give(struct vv_chain *c, vv_slice key, struct vv_entry *out)
{
    vv_assert(c->closed);
    if (c->next == vv_chain_count(c))
        return false;
    const struct vv_link *link = &links_of(c)[c->next++];
    *out = (struct vv_entry){.key = key,
                             .value = bytes_of(c, link),
                             .seq = link->seq,
                             .kind = c->is_base ? VV_KIND_PUT : VV_KIND_MERGE};
    return true;
}
