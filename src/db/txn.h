/*
 * Transactions: what the handle holds. How they are judged and committed is in commit.h and watch.h.
 *
 *      optimistic   watches a moment │ changes pend, reads are noted │ commit: relied upon unchanged?
 *      exclusive    holds the queue of writers, so that nothing changes beside it
 *
 * Iterators hold the transaction too; what they share belongs to one thread at a time.
 */
#ifndef VV_DB_TXN_H
#define VV_DB_TXN_H

#include "db/pending.h"
#include "db/reads.h"

#include <varve/varve.h>

struct varve_txn {
    varve *db;     /* the store; referenced; constant, as the two below */
    bool watches;  /* is optimistic */
    bool notes;    /* relies on all that it reads */
    uint32_t refs; /* of the handle and of iterators */
    bool over;
    bool elsewhere;            /* has changed something outside the default keyspace */
    uint64_t hold_id;          /* of an exclusive one, or 0 */
    struct vv_watched watched; /* `snapshot.seq` is the moment, for both kinds */
    struct vv_pending pending;
    struct vv_reads reads;
};

void vv_txn_ref(varve_txn *txn);
void vv_txn_unref(varve_txn *txn); /* NULL is fine */

/* VARVE_INVALID when the transaction is over. */
VV_MUST int vv_txn_check_open(const varve_txn *txn);

static inline vv_seq vv_txn_moment(const varve_txn *txn)
{
    return txn->watched.snapshot.seq;
}

#endif
