/*
 * A chain: the operands of one key in one stripe, gathered newest first, to be folded or to pass as they
 * are. A part of the sift.
 */
#ifndef VV_LSM_CHAIN_H
#define VV_LSM_CHAIN_H

#include "base/buf.h"
#include "kv/engine.h"

/* Zeroed memory is an empty chain. */
struct vv_chain {
    struct vv_buf bytes;  /* of the operands */
    struct vv_buf links;  /* struct vv_link, newest first */
    struct vv_buf slices; /* while folding */
    struct vv_buf folded;
    size_t next;  /* of the links, to be given out */
    bool closed;  /* being given out; nothing is added */
    bool is_base; /* the only link is a whole value */
};

struct vv_link {
    vv_seq seq;
    size_t offset, size;
};

void vv_chain_deinit(struct vv_chain *c);
void vv_chain_clear(struct vv_chain *c); /* keeps the memory */

static inline size_t vv_chain_count(const struct vv_chain *c)
{
    return c->links.size / sizeof(struct vv_link);
}

/* Adds the next older operand; copies it. */
VV_MUST int vv_chain_add(struct vv_chain *c, const struct vv_entry *operand);

/* Bytes that it takes. */
size_t vv_chain_bytes(const struct vv_chain *c);

/* Makes one link of all: a value (VV_FOLD_FULL, onto `base`; NULL: none) or an operand. VV_UNSUPPORTED
 * when they have to stay as they are: then nothing has changed. VV_NOMEM. */
VV_MUST int vv_chain_fold(struct vv_chain *c, const struct vv_host *host, vv_slice key,
                          enum vv_fold how, const vv_slice *base);

/* Of a closed chain, the next link as an entry, newest first; false after the last. */
bool vv_chain_give(struct vv_chain *c, vv_slice key, struct vv_entry *out);

#endif
