/*
 * Which tables can be one job.
 *
 * Why jobs that run side by side do no harm, given that no two share an input:
 *   - two jobs must not write into the same keys of the same level, nor one jump over a level into
 *     which the other writes: each plan keeps clear of the spans of jobs that end, or may end, there;
 *   - a job that writes into the level another one takes from: its inputs there are all tables that
 *     it overlaps, so the other's tables, none of which is among them, lie beside its keys;
 *   - level 0: a plan takes all older tables that its tables overlap, so two plans, neither of which
 *     has the other's tables, have no key in common.
 */
#include "lsm/draft.h"

#include "base/alloc.h"

enum { OVERLAP_TABLES_MAX = 25 }; /* input of one job, in tables */

/* ---------------------------------------------------------------------------------------- spans */

static int compare(const struct vv_picker *p, vv_slice a, vv_slice b)
{
    return vv_order_cmp(p->v->order, a, b);
}

static bool meet(const struct vv_picker *p, const struct vv_table_meta *a,
                 const struct vv_table_meta *b)
{
    return !vv_table_ends_before(p->v->order, b, vv_table_smallest(a)) &&
           !vv_table_ends_before(p->v->order, a, vv_table_smallest(b));
}

static int span_of(struct vv_picker *p, uint32_t job, struct vv_span **out)
{
    for (size_t i = 0; i < p->span_count; i++) {
        if (p->spans[i].job == job) {
            *out = &p->spans[i];
            return VV_OK;
        }
    }
    struct vv_span *spans = vv_realloc(p->spans, (p->span_count + 1) * sizeof *spans);
    if (spans == NULL)
        return VV_NOMEM;
    p->spans = spans;
    *out = &spans[p->span_count++];
    **out = (struct vv_span){.job = job, .from = -1};
    return VV_OK;
}

/* Levels are visited from the top, so the first that a job has claimed is where it takes from. */
static int note_claim(struct vv_picker *p, int level, const struct vv_table_meta *table)
{
    struct vv_span *span = NULL;
    if (span_of(p, table->job, &span) < 0)
        return VV_NOMEM;
    bool first = span->from < 0;
    if (first)
        span->from = level;
    span->to = level;
    if (first || compare(p, vv_table_smallest(table), span->low) < 0)
        span->low = vv_table_smallest(table);
    if (first || compare(p, vv_table_largest(table), span->high) > 0)
        span->high = vv_table_largest(table);
    if (span->from == level)
        p->leaving[level] += table->facts.size_bytes;
    return VV_OK;
}

int vv_picker_init(struct vv_picker *p, const struct vv_version *v, const struct vv_shape *shape)
{
    *p = (struct vv_picker){.v = v, .shape = shape, .targets = vv_pick_targets(v, shape)};
    p->ideal = p->targets.base;
    while (p->targets.bytes[p->ideal] == 0)
        p->ideal++;
    for (int level = 0; level < VV_LEVELS; level++) {
        const struct vv_run *run = &v->levels[level];
        for (size_t i = 0; i < run->count; i++) {
            if (run->tables[i]->job != 0 && note_claim(p, level, run->tables[i]) < 0)
                return VV_NOMEM;
        }
    }
    for (int i = 0; i < 2; i++) {
        p->scratch[i] = vv_alloc(v->levels[0].count * sizeof(struct vv_table_meta *));
        if (p->scratch[i] == NULL)
            return VV_NOMEM;
    }
    return VV_OK;
}

void vv_picker_deinit(struct vv_picker *p)
{
    vv_free(p->spans);
    vv_free(p->scratch[0]);
    vv_free(p->scratch[1]);
    *p = (struct vv_picker){0};
}

/* Whether a job that ends in `to` with these keys would cross the way of one that runs. */
static bool crosses(const struct vv_picker *p, int to, vv_slice low, vv_slice high)
{
    for (size_t i = 0; i < p->span_count; i++) {
        const struct vv_span *span = &p->spans[i];
        /* Where only one level is claimed, the job may end in any from there on. A level that others
         * end in has tables, so nobody jumps over it. */
        bool ends_here = span->from == span->to ? span->from <= to : span->to == to;
        if (ends_here && compare(p, span->low, high) <= 0 && compare(p, low, span->high) <= 0)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------------------------- weighing */

/* A table with tombstones that moves as it is carries them along; merged, it may lose them. */
static bool may_move(const struct vv_want *want, const struct vv_table_meta *t)
{
    bool deletes = t->facts.tombstones + t->facts.ranges > 0;
    return want->move == VV_MOVE_ALL ? !deletes || want->to < VV_LEVELS - 1
                                     : vv_table_clean(t) || want->to < VV_LEVELS - 1;
}

static double worth(const struct vv_want *want, const struct vv_table_meta *t)
{
    if (!(want->hidden_bytes > 0))
        return (double)t->facts.size_bytes + 1;
    return (double)t->facts.raw_bytes + 1 + want->hidden_bytes * vv_table_hides(t);
}

static double density_of(const struct vv_table_meta *t)
{
    return vv_table_hides(t) / ((double)t->facts.entries + 1);
}

static bool better(const struct vv_draft *a, const struct vv_draft *b)
{
    if (a->ratio != b->ratio)
        return a->ratio < b->ratio;
    if (a->density != b->density)
        return a->density > b->density;
    return a->number < b->number;
}

static uint64_t input_max(const struct vv_picker *p, int to)
{
    int deeper = to > p->ideal ? to - p->ideal : 0;
    return OVERLAP_TABLES_MAX * (p->shape->table_bytes << (deeper < 2 ? deeper : 2));
}

/* The keys that a draft's inputs cover. */
static void hull(const struct vv_picker *p, const struct vv_draft *d, vv_slice *low, vv_slice *high)
{
    *low = vv_table_smallest(d->tables[0]);
    *high = vv_table_largest(d->tables[0]);
    for (size_t i = 1; i < d->count; i++) {
        if (compare(p, vv_table_smallest(d->tables[i]), *low) < 0)
            *low = vv_table_smallest(d->tables[i]);
        if (compare(p, vv_table_largest(d->tables[i]), *high) > 0)
            *high = vv_table_largest(d->tables[i]);
    }
    if (d->below.count == 0)
        return;
    struct vv_table_meta **below = p->v->levels[d->to].tables + d->below.first;
    if (compare(p, vv_table_smallest(below[0]), *low) < 0)
        *low = vv_table_smallest(below[0]);
    if (compare(p, vv_table_largest(below[d->below.count - 1]), *high) > 0)
        *high = vv_table_largest(below[d->below.count - 1]);
}

static bool draft_crosses(const struct vv_picker *p, const struct vv_draft *d)
{
    vv_slice low, high;
    if (p->span_count == 0)
        return false;
    hull(p, d, &low, &high);
    return crosses(p, d->to, low, high);
}

/* Whether the draft would overlap no more tables below if this one were added. */
static bool adds_no_overlap(const struct vv_picker *p, const struct vv_draft *d,
                            const struct vv_table_meta *t)
{
    const struct vv_run *run = &p->v->levels[d->to];
    size_t end = d->below.first + d->below.count;
    if (d->below.first > 0 &&
        !vv_table_ends_before(p->v->order, run->tables[d->below.first - 1], vv_table_smallest(t)))
        return false;
    return end == run->count ||
           vv_table_ends_before(p->v->order, t, vv_table_smallest(run->tables[end]));
}

/* --------------------------------------------------------------------------------- levels 1 … 6 */

/* The tables of a level that the table at hand overlaps: moves along with it from left to right. */
struct window {
    const struct vv_run *run;
    size_t first, end;
    uint64_t bytes;
    size_t claimed;
};

static void window_move(const struct vv_picker *p, struct window *w, const struct vv_table_meta *t)
{
    for (; w->first < w->run->count; w->first++) {
        const struct vv_table_meta *left = w->run->tables[w->first];
        if (!vv_table_ends_before(p->v->order, left, vv_table_smallest(t)))
            break;
        if (w->first < w->end) {
            w->bytes -= left->facts.size_bytes;
            w->claimed -= left->job != 0 ? 1 : 0;
        }
    }
    if (w->end < w->first)
        w->end = w->first;
    for (; w->end < w->run->count; w->end++) {
        const struct vv_table_meta *right = w->run->tables[w->end];
        if (vv_table_ends_before(p->v->order, t, vv_table_smallest(right)))
            break;
        w->bytes += right->facts.size_bytes;
        w->claimed += right->job != 0 ? 1 : 0;
    }
}

/* Takes in neighbours that come for free, to the right (`step` 1) or to the left (0). */
static void widen(const struct vv_picker *p, const struct vv_want *want, int step,
                  struct vv_draft *d)
{
    const struct vv_run *run = &p->v->levels[d->from];
    for (;;) {
        size_t first = (size_t)(d->tables - run->tables);
        if (step == 0 ? first == 0 : first + d->count == run->count)
            return;
        struct vv_table_meta *t =
            step == 0 ? run->tables[first - 1] : run->tables[first + d->count];
        uint64_t bytes = d->bytes + t->facts.size_bytes;
        if (t->job != 0 || !adds_no_overlap(p, d, t))
            return;
        if (d->below.count == 0 && may_move(want, t) != d->moves)
            return;
        if (d->moves ? d->bytes >= want->enough : bytes + d->below_bytes > input_max(p, d->to))
            return;
        struct vv_draft wider = *d;
        wider.tables -= step == 0 ? 1 : 0;
        wider.count++;
        wider.bytes = bytes;
        if (draft_crosses(p, &wider))
            return;
        *d = wider;
    }
}

bool vv_draft_level(const struct vv_picker *p, const struct vv_want *want, struct vv_draft *out)
{
    const struct vv_run *run = &p->v->levels[want->from];
    struct window w = {.run = &p->v->levels[want->to]};
    bool found = false;
    for (size_t i = want->range.first; i < want->range.first + want->range.count; i++) {
        const struct vv_table_meta *t = run->tables[i];
        window_move(p, &w, t);
        struct vv_draft d = {.from = want->from,
                             .to = want->to,
                             .tables = &run->tables[i],
                             .count = 1,
                             .below = {w.first, w.end - w.first},
                             .bytes = t->facts.size_bytes,
                             .below_bytes = w.bytes,
                             .moves = w.first == w.end && may_move(want, t),
                             .ratio = (double)w.bytes / worth(want, t),
                             .density = density_of(t),
                             .number = t->number};
        if (t->job != 0 || t->facts.min_seq > want->through || w.claimed > 0)
            continue;
        if ((found && !better(&d, out)) || draft_crosses(p, &d))
            continue;
        *out = d;
        found = true;
    }
    if (found) {
        widen(p, want, 1, out);
        widen(p, want, 0, out);
    }
    return found;
}

/* ------------------------------------------------------------------------------------- level 0 */

static bool holds(const struct vv_draft *d, const struct vv_table_meta *t)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->tables[i] == t)
            return true;
    }
    return false;
}

static bool meets_any(const struct vv_picker *p, const struct vv_draft *d,
                      const struct vv_table_meta *t)
{
    for (size_t i = 0; i < d->count; i++) {
        if (meet(p, d->tables[i], t))
            return true;
    }
    return false;
}

static void add(struct vv_draft *d, struct vv_table_meta *t)
{
    d->tables[d->count++] = t;
    d->bytes += t->facts.size_bytes;
}

/* Adds all tables that a table of the draft overlaps and that are older. One pass from the newest
 * run to the oldest reaches the fixpoint, because what is added only ever asks for still older ones.
 * False when one of them is claimed. */
static bool add_older(const struct vv_picker *p, size_t newest, struct vv_draft *d)
{
    for (size_t i = newest + 1; i < p->v->l0_count; i++) {
        const struct vv_run *run = &p->v->l0[i];
        size_t count = d->count; /* tables of one run do not overlap each other */
        for (size_t k = 0; k < run->count; k++) {
            struct vv_draft newer = *d;
            newer.count = count;
            if (!meets_any(p, &newer, run->tables[k]))
                continue;
            if (run->tables[k]->job != 0)
                return false;
            add(d, run->tables[k]);
        }
    }
    return true;
}

/* Whether the draft has all tables of the runs behind run `index` that the table overlaps. */
static bool has_older(const struct vv_picker *p, const struct vv_draft *d, size_t index,
                      const struct vv_table_meta *t)
{
    for (size_t i = index + 1; i < p->v->l0_count; i++) {
        const struct vv_run *run = &p->v->l0[i];
        struct vv_run_range range = vv_run_overlap_table(p->v->order, run, t);
        for (size_t k = 0; k < range.count; k++) {
            if (!holds(d, run->tables[range.first + k]))
                return false;
        }
    }
    return true;
}

/* Adds newer tables, oldest first, that overlap nothing more below and whose older tables are in
 * already. A draft that only moves takes what keeps it so. */
static void add_newer(const struct vv_picker *p, const struct vv_want *want, struct vv_draft *d)
{
    for (size_t i = p->v->l0_count; i-- > 0;) {
        const struct vv_run *run = &p->v->l0[i];
        for (size_t k = 0; k < run->count; k++) {
            struct vv_table_meta *t = run->tables[k];
            if (t->job != 0 || !adds_no_overlap(p, d, t) || holds(d, t) || !has_older(p, d, i, t))
                continue;
            if (d->moves ? !may_move(want, t) || meets_any(p, d, t)
                         : d->bytes + d->below_bytes + t->facts.size_bytes > input_max(p, d->to))
                continue;
            struct vv_draft wider = *d;
            add(&wider, t);
            if (!draft_crosses(p, &wider))
                *d = wider;
        }
    }
}

/* Finds what the draft overlaps below; false when any of that is claimed. */
static bool look_below(const struct vv_picker *p, struct vv_draft *d)
{
    const struct vv_run *run = &p->v->levels[d->to];
    vv_slice low, high;
    d->below.count = 0;
    hull(p, d, &low, &high);
    d->below = d->count == 1 ? vv_run_overlap_table(p->v->order, run, d->tables[0])
                             : vv_run_overlap(p->v->order, run, low, high);
    for (size_t i = 0; i < d->below.count; i++) {
        const struct vv_table_meta *t = run->tables[d->below.first + i];
        if (t->job != 0)
            return false;
        d->below_bytes += t->facts.size_bytes;
    }
    return !draft_crosses(p, d);
}

/* The draft that begins with a table of run `index`. */
static bool draft_from(const struct vv_picker *p, const struct vv_want *want, size_t index,
                       struct vv_table_meta *t, struct vv_draft *d)
{
    double sum = 1;
    d->from = 0;
    d->to = want->to;
    d->number = t->number;
    add(d, t);
    if (t->job != 0 || t->facts.min_seq > want->through)
        return false;
    if (!add_older(p, index, d) || !look_below(p, d))
        return false;
    d->moves = d->count == 1 && d->below.count == 0 && may_move(want, t);
    add_newer(p, want, d);
    for (size_t i = 0; i < d->count; i++) {
        sum += worth(want, d->tables[i]);
        d->density += density_of(d->tables[i]) / (double)d->count;
    }
    d->ratio = (double)d->below_bytes / sum;
    return true;
}

bool vv_draft_zero(struct vv_picker *p, const struct vv_want *want, struct vv_draft *out)
{
    bool found = false;
    for (size_t i = p->v->l0_count; i-- > 0 && !found;) {
        const struct vv_run *run = &p->v->l0[i];
        struct vv_run_range range = vv_run_overlap(p->v->order, run, want->low, want->high);
        for (size_t k = 0; k < range.count; k++) {
            struct vv_draft d = {.tables = p->scratch[1]};
            if (!draft_from(p, want, i, run->tables[range.first + k], &d))
                continue;
            if (found && !better(&d, out))
                continue;
            p->scratch[1] = p->scratch[0]; /* the worse one's is free for the next */
            p->scratch[0] = d.tables;
            *out = d;
            found = true;
        }
    }
    return found;
}

/* ------------------------------------------------------------------------------------- rewriting */

bool vv_draft_rewrite(const struct vv_picker *p, struct vv_run_range range, uint64_t before,
                      struct vv_draft *out, bool *blocked)
{
    int level = VV_LEVELS - 1;
    const struct vv_run *run = &p->v->levels[level];
    struct vv_draft d = {.from = level, .to = level};
    for (size_t i = range.first; i < range.first + range.count; i++) {
        struct vv_table_meta *t = run->tables[i];
        struct vv_draft wider = d;
        bool wanted = t->number < before && !vv_table_clean(t);
        if (wanted) {
            wider.tables = d.count == 0 ? &run->tables[i] : d.tables;
            wider.count++;
            wider.bytes += t->facts.size_bytes;
            if (t->job != 0 || draft_crosses(p, &wider)) {
                *blocked = true;
                wanted = false;
            }
        }
        if (wanted && (d.count == 0 || wider.bytes <= input_max(p, level)))
            d = wider;
        else if (d.count > 0)
            break;
    }
    *out = d;
    return d.count > 0;
}

/* ------------------------------------------------------------------------------------- finishing */

static int copy_tables(struct vv_table_meta **from, size_t count, struct vv_plan *plan, int side)
{
    plan->inputs[side] = vv_alloc(count * sizeof(struct vv_table_meta *));
    if (plan->inputs[side] == NULL)
        return VV_NOMEM;
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        /* Level 0 comes in no order and leaves oldest first; the others are in order. */
        while (side == 0 && plan->from == 0 && at > 0 &&
               vv_table_older(from[i], plan->inputs[side][at - 1])) {
            plan->inputs[side][at] = plan->inputs[side][at - 1];
            at--;
        }
        plan->inputs[side][at] = from[i];
        plan->input_bytes += from[i]->facts.size_bytes;
    }
    plan->input_count[side] = count;
    return VV_OK;
}

/* Older versions of the inputs' keys can only lie deeper than `to`: in the levels between, and in
 * `to` itself, all that overlap are inputs, and of level 0 all older ones that overlap. */
static bool is_last(const struct vv_picker *p, const struct vv_draft *d)
{
    vv_slice low, high;
    hull(p, d, &low, &high);
    for (int level = d->to + 1; level < VV_LEVELS; level++) {
        if (vv_run_overlap(p->v->order, &p->v->levels[level], low, high).count > 0)
            return false;
    }
    return true;
}

int vv_draft_finish(const struct vv_picker *p, const struct vv_draft *draft,
                    enum vv_plan_reason reason, struct vv_plan *out)
{
    struct vv_plan plan = {.reason = reason, .from = draft->from, .to = draft->to};
    struct vv_table_meta **below = p->v->levels[draft->to].tables;
    if (copy_tables(draft->tables, draft->count, &plan, 0) < 0 ||
        copy_tables(draft->below.count > 0 ? below + draft->below.first : NULL, draft->below.count,
                    &plan, 1) < 0) {
        vv_plan_deinit(&plan);
        return VV_NOMEM;
    }
    plan.trivial = draft->moves;
    plan.last = is_last(p, draft);
    *out = plan;
    return VV_OK;
}
