/*
 * Merging by a tree of losers. Each inner node remembers the source that lost the match there; the
 * winner of all stands in `winner`. When the winner moves on, only the matches on its way to the
 * root are played again.
 *
 *              winner                    leaves are sources: number n is the child of node
 *                node 1                  (n + count) / 2, of which node 0 is not used
 *          node 2      node 3
 *          s0  s1      s2  s3
 *
 * A match is decided by the sources' heads, eight bytes of the key as a number, nearly always. Where
 * the eight bytes begin (`skip`) follows the data: keys that share a long prefix would otherwise
 * have equal heads. A head is an order-preserving map of all keys: keys before those with the prefix
 * are 0, keys behind are the largest number, so unequal heads always decide, whatever the prefix,
 * and equal ones send us to the keys. Backwards all heads are inverted, and a source that has ended
 * has the largest head and loses.
 *
 * A source that wins twice running probably comes in a stretch. Then the second best of all is
 * looked up once, and as long as the winner stays before it, no match is played.
 */
#include "lsm/merge.h"

#include "base/alloc.h"
#include "base/error.h"

enum {
    SKIP_BACK = 5,      /* bytes of the shared prefix that the heads begin with: room for carries */
    SKIP_MAX = 64,      /* longest prefix */
    TIES_PATIENCE = 64, /* equal heads of different keys after which `skip` is chosen anew */
    STREAK = 2,         /* wins running after which the second best is looked up */
    NO_SOURCE = INT32_MAX,
};

struct source {
    struct vv_iter *iter;
    uint64_t head;
};

struct merge {
    struct vv_iter base;
    const struct vv_order *order;
    uint32_t count;
    uint32_t winner;
    uint32_t second; /* second best, or NO_SOURCE where it is not known */
    uint32_t streak; /* wins running of the winner */
    uint32_t ties;   /* since `skip` was chosen */
    bool bytewise;   /* otherwise all heads are 0 */
    uint64_t invert; /* 0 forwards, all ones backwards */
    size_t skip;
    uint64_t first_word_mask; /* of the prefix, where that is shorter than a word */
    uint8_t prefix[SKIP_MAX];
    uint32_t *losers; /* by node; behind the sources in the same piece of memory */
    struct source sources[];
};

/* --------------------------------------------------------------------------------------- heads */

/* The head of a key that does not begin with the prefix, or is cut off within it. */
static uint64_t head_outside(const struct merge *m, vv_slice key)
{
    return vv_slice_cmp(key, vv_slice_of(m->prefix, m->skip)) < 0 ? 0 : UINT64_MAX;
}

static inline uint64_t load_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Whether the key begins with the prefix. By words, the last of which may overlap the one before:
 * a call of memcmp would take longer than the match. */
static inline bool has_prefix(const struct merge *m, vv_slice key)
{
    if (VV_UNLIKELY(key.size < 8 || key.size < m->skip))
        return vv_slice_starts(key, vv_slice_of(m->prefix, m->skip));
    if (m->skip < 8)
        return ((load_word(key.data) ^ load_word(m->prefix)) & m->first_word_mask) == 0;
    uint64_t differ = load_word(key.data + m->skip - 8) ^ load_word(m->prefix + m->skip - 8);
    for (size_t i = 0; i + 8 < m->skip; i += 8)
        differ |= load_word(key.data + i) ^ load_word(m->prefix + i);
    return differ == 0;
}

static inline uint64_t head_of(const struct merge *m, const struct vv_iter *iter)
{
    if (!iter->valid)
        return UINT64_MAX;
    vv_slice key = iter->at.key;
    if (m->skip == 0)
        return vv_slice_head(key) ^ m->invert;
    if (VV_UNLIKELY(!has_prefix(m, key)))
        return head_outside(m, key) ^ m->invert;
    return vv_slice_head(vv_slice_skip(key, m->skip)) ^ m->invert;
}

/* Lets the heads begin shortly before the first byte in which the present keys differ. */
static void choose_heads(struct merge *m)
{
    vv_slice shared = VV_SLICE_EMPTY;
    size_t common = SIZE_MAX;
    for (uint32_t i = 0; i < m->count && m->bytewise; i++) {
        const struct vv_iter *iter = m->sources[i].iter;
        if (!iter->valid)
            continue;
        if (common == SIZE_MAX) {
            shared = iter->at.key;
            common = shared.size;
        } else {
            common = vv_slice_common(vv_slice_of(shared.data, common), iter->at.key);
        }
    }
    m->ties = 0;
    m->skip = common == SIZE_MAX || common <= SKIP_BACK ? 0 : common - SKIP_BACK;
    if (m->skip > SKIP_MAX)
        m->skip = SKIP_MAX;
    if (m->skip > 0)
        memcpy(m->prefix, shared.data, m->skip);
    uint8_t mask[8] = {0};
    memset(mask, 255, m->skip < 8 ? m->skip : 8);
    m->first_word_mask = load_word(mask);
    for (uint32_t i = 0; i < m->count; i++)
        m->sources[i].head = m->bytewise ? head_of(m, m->sources[i].iter) : 0;
}

/* ------------------------------------------------------------------------------------- matches */

/* Whether source `a` comes before `b` by their keys, when their heads are equal. */
static __attribute__((noinline)) bool wins_tie(struct merge *m, uint32_t a, uint32_t b)
{
    const struct vv_iter *x = m->sources[a].iter;
    const struct vv_iter *y = m->sources[b].iter;
    if (!x->valid || !y->valid)
        return x->valid;
    int order = vv_order_cmp(m->order, x->at.key, y->at.key);
    if (order != 0)
        m->ties++;
    else if (x->at.seq != y->at.seq)
        order = x->at.seq > y->at.seq ? -1 : 1;
    else
        order = a < b ? -1 : 1;
    return m->invert == 0 ? order < 0 : order > 0;
}

static inline bool wins(struct merge *m, uint32_t a, uint32_t b)
{
    uint64_t x = m->sources[a].head;
    uint64_t y = m->sources[b].head;
    return VV_LIKELY(x != y) ? x < y : wins_tie(m, a, b);
}

/* Plays all matches: at each node the first to come waits, the second to come plays against it and
 * the better one goes on. One source reaches the top. */
static void play_all(struct merge *m)
{
    for (uint32_t node = 1; node < m->count; node++)
        m->losers[node] = NO_SOURCE;
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t source = i;
        uint32_t node = (i + m->count) / 2;
        for (; node > 0 && m->losers[node] != NO_SOURCE; node /= 2) {
            uint32_t other = m->losers[node];
            if (wins(m, other, source)) {
                m->losers[node] = source;
                source = other;
            }
        }
        if (node > 0)
            m->losers[node] = source;
        else
            m->winner = source;
    }
    m->second = NO_SOURCE;
    m->streak = 0;
}

/* Plays again the matches of the winner, which has moved on. Who wins cannot be predicted where the
 * sources alternate, so the two change places without a branch. */
static inline void play_winner(struct merge *m)
{
    uint32_t source = m->winner;
    uint64_t head = m->sources[source].head;
    for (uint32_t node = (source + m->count) / 2; node > 0; node /= 2) {
        uint32_t other = m->losers[node];
        uint64_t other_head = m->sources[other].head;
        uint64_t swap = 0 - (uint64_t)(other_head < head);
        if (VV_UNLIKELY(other_head == head))
            swap = 0 - (uint64_t)wins_tie(m, other, source);
        uint32_t change = (source ^ other) & (uint32_t)swap;
        m->losers[node] = other ^ change;
        source ^= change;
        head ^= (head ^ other_head) & swap;
    }
    m->streak = source == m->winner ? m->streak + 1 : 0;
    m->winner = source;
}

/* The second best is one of those that lost to the winner itself. */
static void find_second(struct merge *m)
{
    uint32_t second = NO_SOURCE;
    for (uint32_t node = (m->winner + m->count) / 2; node > 0; node /= 2) {
        if (second == NO_SOURCE || wins(m, m->losers[node], second))
            second = m->losers[node];
    }
    m->second = second;
}

/* --------------------------------------------------------------------------------------- moves */

static inline void show_winner(struct merge *m)
{
    const struct vv_iter *iter = m->sources[m->winner].iter;
    m->base.valid = iter->valid;
    if (!iter->valid)
        return;
    /* Field by field, as the source has just stored them: a wider load would wait for the stores. */
    m->base.at.key.data = iter->at.key.data;
    m->base.at.key.size = iter->at.key.size;
    m->base.at.value.data = iter->at.value.data;
    m->base.at.value.size = iter->at.value.size;
    m->base.at.seq = iter->at.seq;
    m->base.at.kind = iter->at.kind;
}

static void start_over(struct merge *m)
{
    choose_heads(m);
    play_all(m);
    show_winner(m);
}

static int merge_first(struct vv_iter *base)
{
    struct merge *m = (struct merge *)base;
    m->base.valid = false;
    m->invert = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        int rc = vv_iter_first(m->sources[i].iter);
        if (rc < 0)
            return rc;
    }
    start_over(m);
    return VV_OK;
}

static int merge_last(struct vv_iter *base)
{
    struct merge *m = (struct merge *)base;
    m->base.valid = false;
    m->invert = UINT64_MAX;
    for (uint32_t i = 0; i < m->count; i++) {
        int rc = vv_iter_last(m->sources[i].iter);
        if (rc < 0)
            return rc;
    }
    start_over(m);
    return VV_OK;
}

static int merge_seek(struct vv_iter *base, vv_slice key, vv_seq seq)
{
    struct merge *m = (struct merge *)base;
    m->base.valid = false;
    m->invert = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        int rc = vv_iter_seek(m->sources[i].iter, key, seq);
        if (rc < 0)
            return rc;
    }
    start_over(m);
    return VV_OK;
}

static int merge_seek_for_prev(struct vv_iter *base, vv_slice key)
{
    struct merge *m = (struct merge *)base;
    m->base.valid = false;
    m->invert = UINT64_MAX;
    for (uint32_t i = 0; i < m->count; i++) {
        int rc = vv_iter_seek_for_prev(m->sources[i].iter, key);
        if (rc < 0)
            return rc;
    }
    start_over(m);
    return VV_OK;
}

/* The last entry of a source before (key, seq). A memtable may have learned of entries between two
 * of our moves, hence the loop. */
static int seek_before(const struct merge *m, struct vv_iter *iter, vv_slice key, vv_seq seq)
{
    int rc = vv_iter_seek(iter, key, seq);
    if (rc == VV_OK)
        rc = iter->valid ? vv_iter_prev(iter) : vv_iter_last(iter);
    while (rc == VV_OK && iter->valid &&
           vv_order_cmp_entry(m->order, iter->at.key, iter->at.seq, key, seq) >= 0)
        rc = vv_iter_prev(iter);
    return rc;
}

/* Puts all sources but the winner's on the other side of the current entry, which stays readable
 * because its own source has not moved yet; then moves that. */
static int turn(struct merge *m)
{
    bool back = m->invert == 0;
    const struct vv_entry at = m->base.at;
    m->base.valid = false;
    m->invert = ~m->invert;
    for (uint32_t i = 0; i < m->count; i++) {
        struct vv_iter *iter = m->sources[i].iter;
        if (i == m->winner)
            continue;
        int rc = back ? seek_before(m, iter, at.key, at.seq) : vv_iter_seek(iter, at.key, at.seq);
        if (rc < 0)
            return rc;
    }
    struct vv_iter *iter = m->sources[m->winner].iter;
    int rc = back ? vv_iter_prev(iter) : vv_iter_next(iter);
    if (rc < 0)
        return rc;
    start_over(m);
    return VV_OK;
}

/* The winner has moved by `rc`: finds the new one. */
static inline int settle(struct merge *m, int rc)
{
    if (VV_UNLIKELY(rc < 0)) {
        m->base.valid = false;
        return rc;
    }
    struct source *source = &m->sources[m->winner];
    if (m->bytewise)
        source->head = head_of(m, source->iter);
    if (m->second == NO_SOURCE || !wins(m, m->winner, m->second)) {
        m->second = NO_SOURCE;
        play_winner(m);
        if (m->streak >= STREAK)
            find_second(m);
    }
    if (VV_UNLIKELY(m->ties > TIES_PATIENCE))
        choose_heads(m);
    show_winner(m);
    return VV_OK;
}

static int merge_next(struct vv_iter *base)
{
    struct merge *m = (struct merge *)base;
    if (VV_UNLIKELY(m->invert != 0))
        return turn(m);
    return settle(m, vv_iter_next(m->sources[m->winner].iter));
}

static int merge_prev(struct vv_iter *base)
{
    struct merge *m = (struct merge *)base;
    if (VV_UNLIKELY(m->invert == 0))
        return turn(m);
    return settle(m, vv_iter_prev(m->sources[m->winner].iter));
}

static void merge_close(struct vv_iter *base)
{
    struct merge *m = (struct merge *)base;
    for (uint32_t i = 0; i < m->count; i++)
        vv_iter_close(m->sources[i].iter);
    vv_free(m);
}

static const struct vv_iter_ops merge_ops = {
    .first = merge_first,
    .last = merge_last,
    .seek = merge_seek,
    .seek_for_prev = merge_seek_for_prev,
    .next = merge_next,
    .prev = merge_prev,
    .close = merge_close,
};

/* -------------------------------------------------------------------------------------- making */

int vv_merge_iter(const struct vv_order *order, struct vv_iter **sources_take, size_t count,
                  struct vv_iter **out)
{
    vv_assert(count < NO_SOURCE);
    if (count == 1) {
        *out = sources_take[0];
        return VV_OK;
    }
    /* One more source than there are: with none at all the winner is an iterator that has ended. */
    size_t room = sizeof(struct merge) + (count + 1) * (sizeof(struct source) + sizeof(uint32_t));
    struct merge *m = vv_alloc_zero(room);
    if (m == NULL) {
        for (size_t i = 0; i < count; i++)
            vv_iter_close(sources_take[i]);
        return VV_NOMEM;
    }
    m->base.ops = &merge_ops;
    m->order = order;
    m->bytewise = vv_order_bytewise(order);
    m->count = (uint32_t)count;
    m->losers = (uint32_t *)(void *)&m->sources[count + 1];
    for (size_t i = 0; i < count; i++)
        m->sources[i].iter = sources_take[i];
    m->sources[count].iter = &m->base;
    m->winner = m->count;
    *out = &m->base;
    return VV_OK;
}

size_t vv_merge_iter_source(const struct vv_iter *merge)
{
    return merge->ops == &merge_ops ? ((const struct merge *)merge)->winner : 0;
}
