/*
 * Power failing at every call of a run that is over: each image that could be left is recovered,
 * and must hold a prefix of the commit order with all that was promised.
 */
#ifndef VV_TEST_HARNESS_SWEEP_H
#define VV_TEST_HARNESS_SWEEP_H

#include "harness/rig.h"

struct sweep_seen {
    uint64_t fingerprint; /* 0: a free place */
    uint64_t commit;      /* that the image recovered to */
};

struct sweep {
    uint64_t seed;
    uint32_t choices;      /* outcomes drawn per call and model that has several */
    uint32_t again_every;  /* of how many recovered images one lives on; 0: none */
    uint32_t nested_every; /* of how many one is cut during its recovery; 0: none */

    uint64_t images;     /* built */
    uint64_t recoveries; /* of those that differ from all before */
    uint64_t again;      /* written to, closed and opened a second time */
    uint64_t nested;     /* images of worlds that were recovering */

    struct sweep_seen *seen; /* open addressing */
    size_t seen_count, seen_cap;
};

/* Seed, counters and the usual rates; soak runs do more. */
void sweep_init(struct sweep *s, uint64_t seed);
void sweep_deinit(struct sweep *s);

/* Examines power cuts after each of the calls `from` to `to` of the rig's world. The rig's store
 * should be closed; its oracle and promises stay as they are. */
void sweep_run(struct sweep *s, const struct rig *r, uint64_t from, uint64_t to);

void sweep_print(const struct sweep *s, const char *name);

/* Fails the test if the directory of the open, settled store holds files that are nobody's. */
void sweep_expect_no_orphans(struct rig *r);

#endif
