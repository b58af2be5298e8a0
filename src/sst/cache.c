/*
 * S3-FIFO in shards.
 *
 *     add ──► small (a tenth) ──► evicted, its key remembered in the ghost table
 *               │ asked for twice while there
 *               ▼
 *     add ──► main ──► evicted
 *      ▲        └── asked for since: to the front again, counter - 1
 *      └ indexes, and keys that the ghost table remembers
 *
 * A shard's lock is a spinning word: it is held for a few dozen instructions, and blocks are freed
 * after it is released. A thread that finds it taken for long queues up behind a mutex, so that at
 * most one thread a shard burns time on a holder that is not running.
 */
#include "sst/cache.h"

#include "base/error.h"
#include "base/hash.h"
#include "env/thread.h"
#include "sst/format.h"

enum {
    SHARDS_MAX = 64,
    SHARD_BYTES_MIN = 2 << 20, /* a shard should hold many blocks of any kind */
    BLOCK_BYTES_USUAL = 4096,
    BUCKETS_MIN = 64,
    FREQUENCY_MAX = 3,
    FREQUENCY_STAYS = 2, /* a newcomer asked for that often goes to main */
    REINSERTS_MAX = 128, /* in one eviction, before something must go */
    FORGET_STEP = 128,   /* buckets for one holding of the lock */
    DATA_ALIGN = 64,
    SPINS = 200,
    CACHE_QUEUE_RANK = 900,
};

enum place { NOWHERE, SMALL, MAIN };

/* What every vv_block really is. */
struct cached {
    struct vv_block block;
    struct cached *chain; /* in its bucket */
    struct cached *newer, *older;
    uint8_t frequency;
    uint8_t place;
};

struct queue {
    struct cached *newest, *oldest;
    size_t bytes;
};

/* The number of a key that left the small queue, and when, counted in such departures. */
struct ghost {
    uint32_t print;
    uint32_t when;
};

/*
 * Invariants:
 * - a block is in its bucket's chain exactly if it is in one of the queues, which `place` names;
 * - each queue's bytes are the sum of its blocks' charges, and both together at most the capacity;
 * - every block in a queue has the shard as `extra`, is charged to the cache, and has a reference.
 */
struct shard {
    _Atomic(uint32_t) taken; /* protects all below */
    struct vv_mutex crowd;   /* where those wait who find `taken` set for long; protects nothing */
    struct cached **buckets;
    struct ghost *ghosts; /* as many as buckets */
    size_t bucket_count;  /* a power of two */
    size_t capacity_bytes;
    struct queue small, main;
    size_t count;
    uint32_t departures;
    uint64_t hits, misses, evictions;
    uint8_t padding[64]; /* the next shard's lock is on another line */
};

struct vv_cache {
    struct vv_account *account;
    size_t shard_count; /* a power of two */
    struct shard *shards;
};

/* ------------------------------------------------------------------------------------ blocks */

static struct cached *cached_of(struct vv_block *block)
{
    return (struct cached *)(void *)block;
}

struct vv_block *vv_block_new(struct vv_account *account, uint64_t file, uint64_t offset,
                              size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2) {
        (void)vv_fail(VV_NOMEM, "cannot allocate a block of %zu bytes", size_bytes);
        return NULL;
    }
    size_t room = sizeof(struct cached) + DATA_ALIGN + size_bytes + VV_BLOCK_SLACK;
    struct cached *c = vv_alloc(room);
    if (c == NULL)
        return NULL;
    *c = (struct cached){0};
    uintptr_t data = (uintptr_t)(c + 1) + DATA_ALIGN - 1;
    uint8_t *content = (uint8_t *)(data - data % DATA_ALIGN);
    memset(content + size_bytes, 0, VV_BLOCK_SLACK);
    c->block.data = content;
    c->block.size_bytes = size_bytes;
    c->block.charge_bytes = room;
    c->block.file = file;
    c->block.offset = offset;
    c->block.account = account;
    c->block.owner = VV_OWNER_WORK;
    atomic_init(&c->block.refs, 1);
    vv_account_charge(account, VV_OWNER_WORK, room);
    return &c->block;
}

void vv_block_ref(struct vv_block *block)
{
    /* Relaxed: who refs has a reference, or the shard's lock. */
    (void)atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
}

void vv_block_unref(struct vv_block *block)
{
    if (block == NULL)
        return;
    /* Release for our reads of the content, acquire for those of the others before it is freed. */
    uint32_t before = atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel);
    vv_assert(before > 0);
    if (before > 1)
        return;
    vv_account_release(block->account, block->owner, block->charge_bytes);
    vv_free(block);
}

void vv_block_charge_to(struct vv_block *block, enum vv_owner owner)
{
    vv_account_release(block->account, block->owner, block->charge_bytes);
    vv_account_charge(block->account, owner, block->charge_bytes);
    block->owner = owner;
}

/* ------------------------------------------------------------------------------------ shards */

static bool try_take(struct shard *s)
{
    /* Acquire and release, as any lock. */
    return atomic_load_explicit(&s->taken, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&s->taken, 1, memory_order_acquire) == 0;
}

static void take_slowly(struct shard *s)
{
    for (int i = 0; i < SPINS; i++) {
        if (try_take(s))
            return;
        vv_cpu_relax();
    }
    vv_mutex_lock(&s->crowd);
    while (!try_take(s))
        vv_cpu_relax();
    vv_mutex_unlock(&s->crowd);
}

static inline void take(struct shard *s)
{
    if (VV_UNLIKELY(atomic_exchange_explicit(&s->taken, 1, memory_order_acquire) != 0))
        take_slowly(s);
}

static inline void give_back(struct shard *s)
{
    atomic_store_explicit(&s->taken, 0, memory_order_release);
}

static inline uint64_t key_hash(uint64_t file, uint64_t offset)
{
    uint64_t x = (file * 0x9e3779b97f4a7c15u) ^ (offset >> 3);
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 32);
}

/* The shard and the bucket must not depend on the same bits. */
static inline struct shard *shard_of(struct vv_cache *cache, uint64_t hash)
{
    return &cache->shards[(hash >> 56) & (cache->shard_count - 1)];
}

static inline struct cached **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

static struct cached *find(struct shard *s, uint64_t hash, uint64_t file, uint64_t offset)
{
    struct cached *c = *bucket_of(s, hash);
    while (c != NULL && (c->block.offset != offset || c->block.file != file))
        c = c->chain;
    return c;
}

static void unchain(struct shard *s, struct cached *c)
{
    struct cached **at = bucket_of(s, key_hash(c->block.file, c->block.offset));
    while (*at != c)
        at = &(*at)->chain;
    *at = c->chain;
    s->count--;
}

static struct queue *queue_of(struct shard *s, enum place place)
{
    return place == SMALL ? &s->small : &s->main;
}

static void push(struct shard *s, enum place place, struct cached *c)
{
    struct queue *q = queue_of(s, place);
    c->place = (uint8_t)place;
    c->newer = NULL;
    c->older = q->newest;
    if (q->newest != NULL)
        q->newest->newer = c;
    else
        q->oldest = c;
    q->newest = c;
    q->bytes += c->block.charge_bytes;
}

static void unlink_from_queue(struct shard *s, struct cached *c)
{
    struct queue *q = queue_of(s, (enum place)c->place);
    if (c->newer != NULL)
        c->newer->older = c->older;
    else
        q->newest = c->older;
    if (c->older != NULL)
        c->older->newer = c->newer;
    else
        q->oldest = c->newer;
    q->bytes -= c->block.charge_bytes;
    c->place = NOWHERE;
}

/* Takes the block out; it joins the list of those to be released after the lock. */
static void drop(struct shard *s, struct cached *c, struct cached **dropped)
{
    unlink_from_queue(s, c);
    unchain(s, c);
    c->block.extra = NULL;
    /* Whoever still holds it is who pays from now on. */
    vv_block_charge_to(&c->block, VV_OWNER_PIN);
    c->chain = *dropped;
    *dropped = c;
}

static void release_all(struct cached *dropped)
{
    while (dropped != NULL) {
        struct cached *next = dropped->chain;
        vv_block_unref(&dropped->block);
        dropped = next;
    }
}

/* ------------------------------------------------------------------------------------ S3-FIFO */

static struct ghost *ghost_of(struct shard *s, uint64_t hash)
{
    return &s->ghosts[(hash >> 8) & (s->bucket_count - 1)];
}

static uint32_t ghost_print(uint64_t hash)
{
    uint32_t print = (uint32_t)(hash >> 32);
    return print != 0 ? print : 1;
}

/* Ghosts live for as many departures as there are blocks. */
static bool ghost_knows(struct shard *s, uint64_t hash)
{
    const struct ghost *g = ghost_of(s, hash);
    return g->print == ghost_print(hash) && s->departures - g->when <= s->count;
}

static void evict_small(struct shard *s, struct cached **dropped)
{
    struct cached *c = s->small.oldest;
    vv_assert(c != NULL);
    if (c->frequency >= FREQUENCY_STAYS) {
        unlink_from_queue(s, c);
        c->frequency = 0;
        push(s, MAIN, c);
        return;
    }
    uint64_t hash = key_hash(c->block.file, c->block.offset);
    *ghost_of(s, hash) = (struct ghost){ghost_print(hash), ++s->departures};
    drop(s, c, dropped);
    s->evictions++;
}

static void evict_main(struct shard *s, struct cached **dropped)
{
    struct cached *c = s->main.oldest;
    vv_assert(c != NULL);
    for (int i = 0; c->frequency > 0 && i < REINSERTS_MAX; i++) {
        unlink_from_queue(s, c);
        c->frequency--;
        push(s, MAIN, c);
        c = s->main.oldest;
    }
    drop(s, c, dropped);
    s->evictions++;
}

static void make_room(struct shard *s, size_t bytes, struct cached **dropped)
{
    vv_assert(bytes <= s->capacity_bytes);
    while (s->small.bytes + s->main.bytes > s->capacity_bytes - bytes) {
        bool is_small_large = s->small.bytes > s->capacity_bytes / 10;
        if (s->small.oldest != NULL && (is_small_large || s->main.oldest == NULL))
            evict_small(s, dropped);
        else
            evict_main(s, dropped);
    }
}

struct vv_block *vv_cache_get(struct vv_cache *cache, uint64_t file, uint64_t offset)
{
    uint64_t hash = key_hash(file, offset);
    struct shard *s = shard_of(cache, hash);
    take(s);
    struct cached *c = find(s, hash, file, offset);
    if (c == NULL) {
        s->misses++;
        give_back(s);
        return NULL;
    }
    s->hits++;
    if (c->frequency < FREQUENCY_MAX)
        c->frequency++;
    vv_block_ref(&c->block);
    give_back(s);
    return &c->block;
}

static void enter(struct shard *s, uint64_t hash, struct cached *c, enum vv_cache_class class)
{
    bool is_index = class == VV_CACHE_INDEX;
    bool is_known = ghost_knows(s, hash);
    vv_block_ref(&c->block);
    vv_block_charge_to(&c->block, VV_OWNER_CACHE);
    c->block.extra = s;
    c->frequency = is_index ? FREQUENCY_STAYS : 0;
    c->chain = *bucket_of(s, hash);
    *bucket_of(s, hash) = c;
    s->count++;
    push(s, is_index || is_known ? MAIN : SMALL, c);
}

void vv_cache_add(struct vv_cache *cache, struct vv_block *block, enum vv_cache_class class)
{
    uint64_t hash = key_hash(block->file, block->offset);
    struct shard *s = shard_of(cache, hash);
    struct cached *dropped = NULL;
    take(s);
    if (block->charge_bytes <= s->capacity_bytes &&
        find(s, hash, block->file, block->offset) == NULL) {
        make_room(s, block->charge_bytes, &dropped);
        enter(s, hash, cached_of(block), class);
    }
    give_back(s);
    release_all(dropped);
}

void vv_cache_forget(struct vv_cache *cache, uint64_t file)
{
    for (size_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        size_t bucket_count = FORGET_STEP;
        for (size_t from = 0; from < bucket_count; from += FORGET_STEP) {
            struct cached *dropped = NULL;
            take(s);
            bucket_count = s->bucket_count;
            for (size_t b = from; b < from + FORGET_STEP && b < bucket_count; b++) {
                struct cached *next;
                for (struct cached *c = s->buckets[b]; c != NULL; c = next) {
                    next = c->chain;
                    if (c->block.file == file)
                        drop(s, c, &dropped);
                }
            }
            give_back(s);
            release_all(dropped);
        }
    }
}

/* ------------------------------------------------------------------------------------ life */

static size_t power_of_two_at_least(size_t n)
{
    size_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

/* Gives the shard tables for its capacity; old ones are moved over. The lock is held, or nobody
 * else knows the shard. */
static int size_shard(struct shard *s, size_t capacity_bytes)
{
    size_t wanted = power_of_two_at_least(capacity_bytes / BLOCK_BYTES_USUAL);
    size_t count = wanted < BUCKETS_MIN ? BUCKETS_MIN : wanted;
    s->capacity_bytes = capacity_bytes;
    /* A capacity that goes up and down a little, with each table that is mapped or dropped, must not
     * move all blocks about and forget the ghosts each time. */
    if (count == s->bucket_count || (count < s->bucket_count && count * 4 > s->bucket_count))
        return VV_OK;
    struct cached **buckets = vv_alloc_zero(count * sizeof(struct cached *));
    struct ghost *ghosts = vv_alloc_zero(count * sizeof *ghosts);
    if (buckets == NULL || ghosts == NULL) {
        vv_free((void *)buckets);
        vv_free(ghosts);
        return VV_NOMEM;
    }
    struct cached **old = s->buckets;
    size_t old_count = s->bucket_count;
    vv_free(s->ghosts);
    s->buckets = buckets;
    s->ghosts = ghosts;
    s->bucket_count = count;
    for (size_t b = 0; b < old_count; b++) {
        struct cached *next;
        for (struct cached *c = old[b]; c != NULL; c = next) {
            struct cached **into = bucket_of(s, key_hash(c->block.file, c->block.offset));
            next = c->chain;
            c->chain = *into;
            *into = c;
        }
    }
    vv_free((void *)old);
    return VV_OK;
}

int vv_cache_new(struct vv_account *account, size_t capacity_bytes, struct vv_cache **out)
{
    struct vv_cache *cache = vv_alloc_zero(sizeof *cache);
    if (cache == NULL)
        return VV_NOMEM;
    cache->account = account;
    size_t shard_count = 1;
    while (shard_count < SHARDS_MAX && capacity_bytes / (shard_count * 2) >= SHARD_BYTES_MIN)
        shard_count *= 2;
    cache->shards = vv_alloc_zero(shard_count * sizeof *cache->shards);
    int rc = cache->shards != NULL ? VV_OK : VV_NOMEM;
    for (size_t i = 0; i < shard_count && rc == VV_OK; i++) {
        vv_mutex_init(&cache->shards[i].crowd, CACHE_QUEUE_RANK);
        cache->shard_count = i + 1;
        rc = size_shard(&cache->shards[i], capacity_bytes / shard_count);
    }
    if (rc < 0) {
        vv_cache_free(cache);
        return rc;
    }
    *out = cache;
    return VV_OK;
}

void vv_cache_free(struct vv_cache *cache)
{
    if (cache == NULL)
        return;
    size_t shard_count = cache->shards != NULL ? cache->shard_count : 0;
    for (size_t i = 0; i < shard_count; i++) {
        struct shard *s = &cache->shards[i];
        struct cached *dropped = NULL;
        for (struct cached *c = s->small.oldest; c != NULL; c = s->small.oldest)
            drop(s, c, &dropped);
        for (struct cached *c = s->main.oldest; c != NULL; c = s->main.oldest)
            drop(s, c, &dropped);
        release_all(dropped);
        vv_free((void *)s->buckets);
        vv_free(s->ghosts);
        vv_mutex_deinit(&s->crowd);
    }
    vv_free(cache->shards);
    vv_free(cache);
}

void vv_cache_set_capacity(struct vv_cache *cache, size_t capacity_bytes)
{
    for (size_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        struct cached *dropped = NULL;
        take(s);
        /* Without memory for larger tables the chains are longer, and that is all. */
        (void)size_shard(s, capacity_bytes / cache->shard_count);
        make_room(s, 0, &dropped);
        give_back(s);
        release_all(dropped);
    }
}

void vv_cache_get_stats(struct vv_cache *cache, struct vv_cache_stats *out)
{
    *out = (struct vv_cache_stats){0};
    for (size_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        take(s);
        out->hits += s->hits;
        out->misses += s->misses;
        out->evictions += s->evictions;
        out->used_bytes += s->small.bytes + s->main.bytes;
        out->capacity_bytes += s->capacity_bytes;
        give_back(s);
    }
}

/* ------------------------------------------------------------------------------------ checking */

static size_t check_queue(struct shard *s, enum place place)
{
    const struct queue *q = queue_of(s, place);
    const struct cached *newer = NULL;
    size_t bytes = 0;
    size_t count = 0;
    for (const struct cached *c = q->newest; c != NULL; c = c->older) {
        const struct vv_block *b = &c->block;
        vv_assert(c->newer == newer);
        vv_assert(c->place == (uint8_t)place);
        vv_assert(b->extra == s);
        vv_assert(b->owner == VV_OWNER_CACHE);
        vv_assert(atomic_load_explicit(&b->refs, memory_order_relaxed) > 0);
        vv_assert(find(s, key_hash(b->file, b->offset), b->file, b->offset) == c);
        bytes += b->charge_bytes;
        count++;
        newer = c;
    }
    vv_assert(q->oldest == newer);
    vv_assert(q->bytes == bytes);
    return count;
}

void vv_cache_check(struct vv_cache *cache)
{
    for (size_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        take(s);
        size_t queued = check_queue(s, SMALL) + check_queue(s, MAIN);
        size_t chained = 0;
        for (size_t b = 0; b < s->bucket_count; b++)
            for (const struct cached *c = s->buckets[b]; c != NULL; c = c->chain)
                chained++;
        vv_assert(queued == chained);
        vv_assert(queued == s->count);
        vv_assert(s->small.bytes + s->main.bytes <= s->capacity_bytes);
        give_back(s);
    }
}
