#include "lsm/pick.h"

#include "base/alloc.h"
#include "lsm/draft.h"

enum {
    SPACE_PARTS = 20, /* idle: the upper levels should have one of so many of the last's */
    SPLIT_TABLES = 4, /* base tables over which one piece of a flush should lie, at least */
    SPLIT_PIECES_MAX = 8,
    TOMBSTONE_BYTES = 128, /* what one hides, while the last level is empty */
};

static const int LAST = VV_LEVELS - 1;

void vv_plan_deinit(struct vv_plan *plan)
{
    vv_free(plan->inputs[0]);
    vv_free(plan->inputs[1]);
    *plan = (struct vv_plan){.reason = VV_PLAN_NONE};
}

/* --------------------------------------------------------------------------------------- targets */

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

struct vv_targets vv_pick_targets(const struct vv_version *v, const struct vv_shape *shape)
{
    struct vv_targets targets = {.base = LAST};
    uint64_t bytes = v->levels[LAST].bytes;
    targets.bytes[LAST] = at_least(bytes, shape->base_bytes);
    while (targets.base > 1 && bytes / shape->ratio > shape->base_bytes) {
        bytes /= shape->ratio;
        targets.bytes[--targets.base] = bytes;
    }
    /* Data that stands above, from a time when the tree was larger, must not be jumped over. */
    for (int level = 1; level < targets.base; level++) {
        if (v->levels[level].count > 0)
            targets.base = level;
    }
    return targets;
}

/* Where the tables of a level go: the next one that has data or should have. */
static int next_level(const struct vv_version *v, const struct vv_targets *targets, int from)
{
    if (from == 0)
        return targets->base;
    int to = from + 1;
    while (to < LAST && v->levels[to].count == 0 && targets->bytes[to] == 0)
        to++;
    return to;
}

/* Bytes that level 0 may have however few its runs are. */
static uint64_t zero_bytes_max(const struct vv_targets *targets, const struct vv_shape *shape)
{
    return at_least(shape->base_bytes * shape->l0_runs, targets->bytes[targets->base]);
}

/* --------------------------------------------------------------------------------------- scores */

/* Runs of level 0 that nobody is taking away. */
static size_t idle_runs(const struct vv_version *v)
{
    size_t count = 0;
    for (size_t i = 0; i < v->l0_count; i++) {
        bool idle = false;
        for (size_t k = 0; k < v->l0[i].count; k++)
            idle = idle || v->l0[i].tables[k]->job == 0;
        count += idle ? 1 : 0;
    }
    return count;
}

static double score(const struct vv_picker *p, int level)
{
    uint64_t bytes = p->v->levels[level].bytes - p->leaving[level];
    if (level > 0) {
        uint64_t target = p->targets.bytes[level];
        if (target > 0)
            return (double)bytes / (double)target;
        return bytes > 0 ? 1 + (double)bytes / (double)p->shape->base_bytes : 0;
    }
    double by_runs = (double)idle_runs(p->v) / (double)p->shape->l0_runs;
    double by_bytes = (double)bytes / (double)zero_bytes_max(&p->targets, p->shape);
    return by_runs > by_bytes ? by_runs : by_bytes;
}

/* A plan for a level that is too full; NONE when running jobs are in the way of all of them. */
static int pick_level(struct vv_picker *p, int level, struct vv_plan *out)
{
    uint64_t bytes = p->v->levels[level].bytes - p->leaving[level];
    uint64_t target = p->targets.bytes[level];
    struct vv_draft draft;
    struct vv_want want = {.from = level,
                           .to = next_level(p->v, &p->targets, level),
                           .range = {0, p->v->levels[level].count},
                           .through = VV_SEQ_MAX,
                           .enough = level > 0 && bytes > target ? bytes - target : UINT64_MAX};
    if (level == 0 ? !vv_draft_zero(p, &want, &draft) : !vv_draft_level(p, &want, &draft))
        return VV_OK;
    int rc = vv_draft_finish(p, &draft, level == 0 ? VV_PLAN_L0 : VV_PLAN_SIZE, out);
    if (rc == VV_OK)
        out->score = score(p, level);
    return rc;
}

/* The level with the highest score below `limit`, or -1 when all others score less than one. */
static int fullest(const double scores[VV_LEVELS], const bool tried[VV_LEVELS])
{
    int best = -1;
    for (int level = 0; level < LAST; level++) {
        if (!tried[level] && scores[level] >= 1 && (best < 0 || scores[level] > scores[best]))
            best = level;
    }
    return best;
}

/* ---------------------------------------------------------------------------------------- space */

struct weight {
    double upper; /* bytes above the last level, with what their tombstones hide */
    double last;
    double tombstone; /* what one hides: the mean entry of the last level */
};

static struct weight weigh(const struct vv_version *v)
{
    struct weight w = {.tombstone = TOMBSTONE_BYTES};
    uint64_t entries = 0;
    for (size_t i = 0; i < v->levels[LAST].count; i++) {
        entries += v->levels[LAST].tables[i]->facts.entries;
        w.last += (double)v->levels[LAST].tables[i]->facts.raw_bytes;
    }
    if (entries > 0)
        w.tombstone = w.last / (double)entries;
    for (int level = 0; level < LAST; level++) {
        for (size_t i = 0; i < v->levels[level].count; i++) {
            const struct vv_table_meta *t = v->levels[level].tables[i];
            if (t->job == 0)
                w.upper += (double)t->facts.raw_bytes + w.tombstone * vv_table_hides(t);
        }
    }
    return w;
}

/* Only what reaches the last level gives room back, so the deepest level above it goes first. */
static int pick_space(struct vv_picker *p, struct vv_plan *out)
{
    struct weight w = weigh(p->v);
    struct vv_draft draft;
    int from = LAST - 1;
    while (from > 0 && p->v->levels[from].count == 0)
        from--;
    if (w.upper <= w.last / SPACE_PARTS || p->v->levels[from].count == 0)
        return VV_OK;
    struct vv_want want = {.from = from,
                           .to = LAST,
                           .range = {0, p->v->levels[from].count},
                           .through = VV_SEQ_MAX,
                           .enough = UINT64_MAX,
                           .hidden_bytes = w.tombstone};
    if (from == 0 ? !vv_draft_zero(p, &want, &draft) : !vv_draft_level(p, &want, &draft))
        return VV_OK;
    return vv_draft_finish(p, &draft, VV_PLAN_SPACE, out);
}

int vv_pick(const struct vv_version *v, const struct vv_shape *shape, bool idle,
            struct vv_plan *out)
{
    struct vv_picker p;
    double scores[VV_LEVELS] = {0};
    bool tried[VV_LEVELS] = {false};
    struct vv_plan plan = {.reason = VV_PLAN_NONE};
    int rc = vv_picker_init(&p, v, shape);
    if (rc < 0)
        goto out;
    for (int level = 0; level < LAST; level++)
        scores[level] = score(&p, level);
    for (int level; plan.reason == VV_PLAN_NONE && (level = fullest(scores, tried)) >= 0;) {
        tried[level] = true;
        if ((rc = pick_level(&p, level, &plan)) < 0)
            goto out;
    }
    if (plan.reason == VV_PLAN_NONE && idle)
        rc = pick_space(&p, &plan);
out:
    if (rc == VV_OK)
        *out = plan;
    vv_picker_deinit(&p);
    return rc;
}

int vv_pick_zero(const struct vv_version *v, const struct vv_shape *shape, struct vv_plan *out)
{
    struct vv_picker p;
    struct vv_plan plan = {.reason = VV_PLAN_NONE};
    int rc = vv_picker_init(&p, v, shape);
    if (rc == VV_OK && score(&p, 0) >= 1)
        rc = pick_level(&p, 0, &plan);
    if (rc == VV_OK)
        *out = plan;
    vv_picker_deinit(&p);
    return rc;
}

/* -------------------------------------------------------------------------------------- expired */

/* Half of what expires in it has: a quarter of the table or more. */
static bool is_stale(const struct vv_table_meta *t, uint64_t now_ms)
{
    return t->facts.expiring > 0 && t->facts.expires_half_ms <= now_ms &&
           t->facts.expiring >= t->facts.entries / 2;
}

/* The unclaimed stale table of the level that became so first, or NULL. */
static const struct vv_table_meta *find_stale(const struct vv_run *run, uint64_t now_ms,
                                              size_t *index)
{
    const struct vv_table_meta *found = NULL;
    for (size_t i = 0; i < run->count; i++) {
        const struct vv_table_meta *t = run->tables[i];
        if (t->job != 0 || !is_stale(t, now_ms) ||
            (found != NULL && found->facts.expires_half_ms <= t->facts.expires_half_ms))
            continue;
        found = t;
        *index = i;
    }
    return found;
}

static bool draft_stale(struct vv_picker *p, int level, uint64_t now_ms, struct vv_draft *out)
{
    size_t index = 0;
    bool blocked = false;
    const struct vv_table_meta *t = find_stale(&p->v->levels[level], now_ms, &index);
    if (t == NULL)
        return false;
    struct vv_run_range only = {index, 1};
    struct vv_want want = {.from = level,
                           .range = only,
                           .low = vv_table_smallest(t),
                           .high = vv_table_largest(t),
                           .through = VV_SEQ_MAX,
                           .enough = UINT64_MAX,
                           .move = VV_MOVE_CLEAN};
    if (level == LAST)
        return vv_draft_rewrite(p, only, UINT64_MAX, out, &blocked);
    want.to = next_level(p->v, &p->targets, level);
    return level == 0 ? vv_draft_zero(p, &want, out) : vv_draft_level(p, &want, out);
}

int vv_pick_expired(const struct vv_version *v, const struct vv_shape *shape, uint64_t now_ms,
                    struct vv_plan *out)
{
    struct vv_picker p;
    struct vv_draft draft;
    struct vv_plan plan = {.reason = VV_PLAN_NONE};
    int rc = vv_picker_init(&p, v, shape);
    bool found = false;
    for (int level = LAST; rc == VV_OK && !found && level >= 0; level--)
        found = draft_stale(&p, level, now_ms, &draft);
    if (found)
        rc = vv_draft_finish(&p, &draft, VV_PLAN_EXPIRED, &plan);
    if (rc == VV_OK)
        *out = plan;
    vv_picker_deinit(&p);
    return rc;
}

/* --------------------------------------------------------------------------------------- ranges */

static bool has_early(const struct vv_run *run, struct vv_run_range range, vv_seq through)
{
    for (size_t i = 0; i < range.count; i++) {
        if (run->tables[range.first + i]->facts.min_seq <= through)
            return true;
    }
    return false;
}

/* Whether the level has a table to bring down. */
static bool has_work(const struct vv_version *v, int level, const struct vv_pick_request *request)
{
    const struct vv_run *runs = level > 0 ? &v->levels[level] : v->l0;
    size_t count = level > 0 ? 1 : v->l0_count;
    for (size_t i = 0; i < count; i++) {
        struct vv_run_range range = vv_run_overlap(v->order, &runs[i], request->from, request->to);
        if (has_early(&runs[i], range, request->through))
            return true;
    }
    return false;
}

static struct vv_run_range in_range(const struct vv_version *v, int level,
                                    const struct vv_pick_request *request)
{
    struct vv_run_range none = {0, 0};
    return level > 0 ? vv_run_overlap(v->order, &v->levels[level], request->from, request->to)
                     : none;
}

/* Level 0 goes past levels without data at once: nobody writes the same bytes twice who was asked
 * to bring all of them down. */
static int next_with_data(const struct vv_version *v, int from)
{
    int to = from + 1;
    while (to < LAST && v->levels[to].count == 0)
        to++;
    return to;
}

int vv_pick_range(const struct vv_version *v, const struct vv_shape *shape,
                  const struct vv_pick_request *request, struct vv_plan *out, bool *blocked)
{
    struct vv_picker p;
    struct vv_plan plan = {.reason = VV_PLAN_NONE};
    struct vv_draft draft;
    bool in_the_way = false;
    bool found = false;
    int level = 0;
    int rc = vv_picker_init(&p, v, shape);
    if (rc < 0)
        goto out;
    while (level < LAST && !has_work(v, level, request))
        level++;
    struct vv_want want = {.from = level,
                           .to = next_with_data(v, level),
                           .range = in_range(v, level, request),
                           .low = request->from,
                           .high = request->to,
                           .through = request->through,
                           .enough = UINT64_MAX,
                           .move = VV_MOVE_CLEAN};
    if (level == LAST)
        found = vv_draft_rewrite(&p, want.range, request->before, &draft, &in_the_way);
    else
        found = level == 0 ? vv_draft_zero(&p, &want, &draft) : vv_draft_level(&p, &want, &draft);
    if (found)
        rc = vv_draft_finish(&p, &draft, VV_PLAN_MANUAL, &plan);
out:
    vv_picker_deinit(&p);
    if (rc == VV_OK) {
        *out = plan;
        *blocked = !found && (in_the_way || level < LAST);
    }
    return rc;
}

/* ----------------------------------------------------------------------------------------- debt */

/* Bytes of level 0 that have to go: all runs that are too many, the oldest first, or what is above
 * its size. */
static uint64_t zero_excess(const struct vv_version *v, const struct vv_targets *targets,
                            const struct vv_shape *shape)
{
    uint64_t max = zero_bytes_max(targets, shape);
    uint64_t excess = v->levels[0].bytes > max ? v->levels[0].bytes - max : 0;
    uint64_t by_runs = 0;
    for (size_t i = shape->l0_runs - 1; i < v->l0_count; i++)
        by_runs += v->l0[i].bytes;
    return at_least(by_runs, excess);
}

uint64_t vv_pick_debt(const struct vv_version *v, const struct vv_shape *shape)
{
    struct vv_targets targets = vv_pick_targets(v, shape);
    /* What is above a target moves on and counts again in the next level. */
    double moved = (double)zero_excess(v, &targets, shape);
    double zero = (double)shape->base_bytes * (double)shape->l0_runs;
    /* Of the base level, all is merged once level 0 has much and little where it has little. */
    double debt = moved + (double)v->levels[targets.base].bytes * (moved / (moved + zero));
    for (int level = targets.base; level < LAST; level++) {
        double bytes = (double)v->levels[level].bytes + moved;
        double target = (double)targets.bytes[level];
        moved = bytes > target ? bytes - target : 0;
        int next = next_level(v, &targets, level);
        if (moved > 0)
            debt += moved + (double)v->levels[next].bytes * (moved / bytes);
        level = next - 1;
    }
    return (uint64_t)debt;
}

/* --------------------------------------------------------------------------------------- splits */

int vv_pick_flush_splits(const struct vv_version *v, const struct vv_shape *shape,
                         struct vv_buf *out)
{
    struct vv_targets targets = vv_pick_targets(v, shape);
    const struct vv_run *run = &v->levels[targets.base];
    uint64_t pieces = run->bytes / (SPLIT_TABLES * shape->table_bytes);
    if (pieces > SPLIT_PIECES_MAX)
        pieces = SPLIT_PIECES_MAX;
    if (pieces > run->count)
        pieces = run->count;
    size_t size_before = out->size;
    for (size_t i = 1; i < pieces; i++) {
        vv_slice key = vv_table_largest(run->tables[i * run->count / pieces - 1]);
        int rc = vv_buf_append(out, &key, sizeof key);
        if (rc < 0) {
            out->size = size_before;
            return rc;
        }
    }
    return VV_OK;
}
