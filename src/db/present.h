/*
 * What a version means at present: whether its time is over, and what operands make of the value before
 * them.
 *
 * The time of a store is the wall clock's, or that of the program (varve_options.clock), but it never
 * falls: it is the highest that was ever asked for here, or recorded by an earlier life (kv/engine.h,
 * clock_ms). Only what expires asks for it, so a store in which nothing does has no time.
 */
#ifndef VV_DB_PRESENT_H
#define VV_DB_PRESENT_H

#include "base/buf.h"
#include "env/env.h"
#include "env/thread.h"
#include "kv/engine.h"

#include <varve/varve.h>

enum {
    VV_MERGE_NAME_MAX = 255,
    /* The store's own notes have ids above those of all keyspaces. */
    VV_NOTE_MERGE = 1 << 24,
    VV_MERGE_COUNTS = 1024,
    VV_MERGE_CHAIN = 64, /* operands on one key, after which they are folded into a value */
};

struct vv_present {
    /* Constant after open. */
    struct vv_env *env;
    struct vv_engine *engine;
    uint64_t (*clock)(void *context); /* NULL: the wall clock */
    void *clock_context;
    varve_merge_operator merge; /* its `full` is NULL without an operator */
    char merge_name[VV_MERGE_NAME_MAX + 1];

    _Atomic(uint64_t) clock_ms;
    _Atomic(bool) noted; /* the store remembers the operator's name */
    struct vv_mutex mu;  /* held while that is written down; protects the one below; rank 32 */
    char noted_name[VV_MERGE_NAME_MAX + 1]; /* "" for none */
    /* By hash of the key: merges since the latest fold, about. Relaxed: they only guide. */
    _Atomic(uint8_t) merges[VV_MERGE_COUNTS];
};

void vv_present_init(struct vv_present *p, struct vv_env *env, const varve_options *options);
void vv_present_deinit(struct vv_present *p);

/* What the engine remembers: VV_INVALID when it is another operator than the one given. */
VV_MUST int vv_present_load(struct vv_present *p, const struct vv_note *notes, size_t count);

/* Before the first operand: VV_INVALID without an operator. */
VV_MUST int vv_present_prepare_merge(struct vv_present *p);

/* The store's time, milliseconds since 1970. */
uint64_t vv_present_now_ms(struct vv_present *p);

/* `ms` from now; saturates. */
uint64_t vv_present_in(struct vv_present *p, uint64_t ms);

static inline bool vv_present_over(struct vv_present *p, uint64_t expires_ms)
{
    return expires_ms != 0 && expires_ms <= vv_present_now_ms(p);
}

/* As in struct vv_host, without a story for what cannot be folded. */
VV_MUST int vv_present_host_fold(struct vv_present *p, enum vv_fold how, vv_slice key,
                                 const vv_slice *base, const vv_slice *operands, size_t count,
                                 struct vv_buf *out);

/* `inner` stands on an operand, the newest version of `key` that shows. Appends the value that it makes
 * with all before it, and says when what it stands on expires (0: never). `inner` is moved on, to the
 * key's last versions or behind them. `engine_side` is the engine's iterator of the same moment.
 * VV_UNSUPPORTED without the operator, VV_INVALID when it refuses: both name the key. */
VV_MUST int vv_present_fold(struct vv_present *p, struct vv_iter *inner,
                            struct vv_iter *engine_side, vv_slice key, struct vv_buf *out,
                            uint64_t *expires_ms);

/* As engine ops get, of what is there at present: VV_NOTFOUND when it has expired, operands folded.
 * `out` NULL: existence only. */
VV_MUST int vv_present_get(struct vv_present *p, vv_seq at, vv_slice key, struct vv_pin *out);
/* Turns what the engine has found for the key at that moment into that. */
VV_MUST int vv_present_settle(struct vv_present *p, vv_seq at, vv_slice key, struct vv_pin *pin);

#endif
