/*
 * One commit by way of a transaction, with detours: changes that are undone again, levels that are
 * kept, and reads of what it has changed so far.
 */
#ifndef VV_TEST_HARNESS_TXN_WRITE_H
#define VV_TEST_HARNESS_TXN_WRITE_H

#include "harness/oracle.h"

#include <varve/varve.h>

/* Makes the changes, which the oracle has as its last commit already, in all the keyspaces, of which
 * the first is the default one, and commits. Forwards the store's failures; fails the test when the
 * transaction shows anything else than the oracle. */
int txn_write(varve *const *views, size_t view_count, const struct oracle *oracle,
              const struct oracle_change *changes, size_t count, enum varve_txn_kind kind,
              enum varve_durability level);

#endif
