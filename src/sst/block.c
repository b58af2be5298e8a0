/*
 * Finding in a slotted block, and proving that bytes are one.
 *
 * All that comes after vv_block_verify trusts the block: a search does not check what it reads.
 */
#include "sst/block.h"

#include "kv/expiry.h"

/* ------------------------------------------------------------------------------------ searching */

static inline bool key_is_at(const struct vv_block_view *v, uint32_t i, vv_slice rest)
{
    vv_slice suffix = vv_block_suffix(v, i);
    return suffix.size == rest.size && vv_bytes_equal(suffix.data, rest.data, rest.size);
}

/* Of the versions of one key from slot `i` on, the newest not above `seq`. */
static int find_version(const struct vv_block_view *v, uint32_t i, vv_slice rest, vv_seq seq,
                        uint32_t *slot)
{
    while (vv_block_seq(v, i) > seq)
        if (++i == v->count || !key_is_at(v, i, rest))
            return VV_NOTFOUND;
    *slot = i;
    return VV_OK;
}

int vv_block_find(const struct vv_block_view *v, vv_slice key, uint64_t hash, vv_seq seq,
                  uint32_t *slot)
{
    if (key.size < v->prefix_size)
        return VV_NOTFOUND;
    uint8_t print = vv_print_of(hash);
    vv_slice rest = vv_slice_skip(key, v->prefix_size);
    for (uint32_t base = 0; base < v->count; base += 16) {
        uint32_t matches = vv_print_matches(v->prints + base, print);
        if (v->count - base < 16)
            matches &= (1u << (v->count - base)) - 1;
        /* The first slot of the key is that of its newest version. */
        while (matches != 0) {
            uint32_t i = base + (uint32_t)__builtin_ctz(matches);
            matches &= matches - 1;
            if (key_is_at(v, i, rest) && vv_bytes_equal(v->prefix, key.data, v->prefix_size))
                return find_version(v, i, rest, seq, slot);
        }
    }
    return VV_NOTFOUND;
}

static inline int cmp_suffix(const struct vv_block_view *v, uint32_t i, vv_slice rest,
                             uint64_t rest_head)
{
    vv_slice suffix = vv_block_suffix(v, i);
    if (suffix.size >= 8 && rest.size >= 8) {
        uint64_t head = vv_slice_head(suffix);
        if (head != rest_head)
            return head < rest_head ? -1 : 1;
    }
    return vv_slice_cmp(suffix, rest);
}

/* Between slots `low` and `high`, the first not in front of (rest, bound). */
static uint32_t search_suffixes(const struct vv_block_view *v, uint32_t low, uint32_t high,
                                vv_slice rest, uint64_t bound)
{
    uint64_t head = vv_slice_head(rest);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = cmp_suffix(v, middle, rest, head);
        if (order < 0 || (order == 0 && vv_block_seq(v, middle) >= bound))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first of `count` ascending heads that is at least `head`. Nobody can guess the way: there is
 * no branch but the loop's. */
static uint32_t search_heads(const uint8_t *heads, uint32_t count, uint32_t head)
{
    uint32_t low = 0;
    uint32_t left = count;
    while (left > 1) {
        uint32_t half = left / 2;
        uint32_t is_less = vv_get_u32(heads + 4 * (size_t)(low + half - 1)) < head;
        low += half & (0 - is_less);
        left -= half;
    }
    return low + (vv_get_u32(heads + 4 * (size_t)low) < head);
}

static uint32_t search_with_heads(const struct vv_block_view *v, vv_slice rest, uint64_t bound)
{
    uint32_t head = (uint32_t)(vv_slice_head(rest) >> 32);
    uint32_t low = search_heads(v->heads, v->count, head);
    uint32_t high = low;
    while (high < v->count && vv_get_u32(v->heads + 4 * (size_t)high) == head)
        high++;
    return low == high ? low : search_suffixes(v, low, high, rest, bound);
}

static uint32_t search_order(const struct vv_block_view *v, const struct vv_order *order,
                             vv_slice key, uint64_t bound)
{
    uint32_t low = 0;
    uint32_t high = v->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int result = vv_order_cmp(order, vv_block_suffix(v, middle), key);
        if (result < 0 || (result == 0 && vv_block_seq(v, middle) >= bound))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t vv_block_search(const struct vv_block_view *v, const struct vv_order *order, vv_slice key,
                         uint64_t bound)
{
    if (!vv_order_bytewise(order))
        return search_order(v, order, key, bound);
    if (v->prefix_size > 0) {
        size_t common = key.size < v->prefix_size ? key.size : v->prefix_size;
        int result = common > 0 ? memcmp(key.data, v->prefix, common) : 0;
        if (result != 0)
            return result < 0 ? 0 : v->count;
        if (key.size < v->prefix_size)
            return 0;
    }
    vv_slice rest = vv_slice_skip(key, v->prefix_size);
    if ((v->flags & VV_BLOCK_HEADS) != 0)
        return search_with_heads(v, rest, bound);
    return search_suffixes(v, 0, v->count, rest, bound);
}

/* ------------------------------------------------------------------------------------ verifying */

static int bad(const char *what)
{
    return vv_fail(VV_CORRUPT, "a block is malformed: %s", what);
}

/* A block is verified behind a checksum that held: what makes no sense here is as it was written. */
static int newer(const char *what, uint32_t value)
{
    return vv_fail(VV_UNSUPPORTED, "a block has %s 0x%x, which this build does not know", what,
                   value);
}

/* What the block's header says its size is. No overflow: a product is below 2^47. */
static uint64_t size_by_head(const uint8_t *content)
{
    uint32_t flags = content[VV_BLOCK_FLAGS];
    uint64_t count = vv_get_u16(content + VV_BLOCK_COUNT);
    uint64_t suffix_size = vv_get_u32(content + VV_BLOCK_SUFFIX_SIZE);
    uint64_t value_size = vv_get_u32(content + VV_BLOCK_VALUE_SIZE);
    uint64_t size = VV_BLOCK_HEAD_SIZE + (uint64_t)vv_get_u32(content + VV_BLOCK_PREFIX_SIZE);
    size += (flags & VV_BLOCK_PRINTS) != 0 ? count : 0;
    size += (flags & VV_BLOCK_HEADS) != 0 ? count * 4 : 0;
    if ((flags & VV_BLOCK_FIXED_SUFFIX) == 0)
        size += (count + 1) * ((flags & VV_BLOCK_WIDE_SUFFIX) != 0 ? 4 : 2) + suffix_size;
    else
        size += count * suffix_size;
    if ((flags & VV_BLOCK_FIXED_VALUE) == 0)
        size += (count + 1) * ((flags & VV_BLOCK_WIDE_VALUE) != 0 ? 4 : 2) + value_size;
    else
        size += count * value_size;
    return size + count * content[VV_BLOCK_META_WIDTH];
}

/* Whether offsets begin with 0, never fall, and end with `total`. */
static bool offsets_ascend(const uint8_t *offsets, uint32_t count, uint32_t total, bool is_wide)
{
    uint32_t falls = 0;
    if (is_wide) {
        for (uint32_t i = 0; i < count; i++)
            falls |= vv_get_u32(offsets + 4 * (size_t)i) > vv_get_u32(offsets + 4 * (size_t)i + 4);
        return falls == 0 && vv_get_u32(offsets) == 0 &&
               vv_get_u32(offsets + 4 * (size_t)count) == total;
    }
    for (uint32_t i = 0; i < count; i++)
        falls |= vv_get_u16(offsets + 2 * (size_t)i) > vv_get_u16(offsets + 2 * (size_t)i + 2);
    return falls == 0 && vv_get_u16(offsets) == 0 &&
           vv_get_u16(offsets + 2 * (size_t)count) == total;
}

static int verify_keys(const struct vv_block_view *v)
{
    if (v->prefix_size > VV_KEY_SIZE_MAX)
        return bad("its prefix is longer than a key can be");
    uint32_t longest = VV_KEY_SIZE_MAX - v->prefix_size;
    if ((v->flags & VV_BLOCK_FIXED_SUFFIX) != 0)
        return v->suffix_size <= longest ? VV_OK : bad("its keys are longer than a key can be");
    bool is_wide = (v->flags & VV_BLOCK_WIDE_SUFFIX) != 0;
    if (!offsets_ascend(v->suffix_at, v->count, v->suffix_size, is_wide))
        return bad("the offsets of its keys are not in order");
    if (v->suffix_size <= longest)
        return VV_OK;
    for (uint32_t i = 0; i < v->count; i++)
        if (vv_block_suffix(v, i).size > longest)
            return bad("a key is longer than a key can be");
    return VV_OK;
}

/* Range tombstones have a block of their own. */
static bool fits(enum vv_kind kind, size_t size)
{
    return kind != VV_KIND_DELETE_RANGE && vv_kind_fits(kind, size);
}

/* Why a value does not fit: there is no such kind, or it is of another size. */
static int misfit(enum vv_kind kind)
{
    return vv_kind_known((uint32_t)kind) ? bad("a value does not fit its kind")
                                         : newer("an entry of kind", (uint32_t)kind);
}

static int verify_values(const struct vv_block_view *v)
{
    bool is_fixed = (v->flags & VV_BLOCK_FIXED_VALUE) != 0;
    if (!is_fixed && !offsets_ascend(v->value_at, v->count, v->value_size,
                                     (v->flags & VV_BLOCK_WIDE_VALUE) != 0))
        return bad("the offsets of its values are not in order");
    if (v->meta_width == 0) {
        if (is_fixed || v->base_kind != VV_KIND_PUT || v->value_size > VV_VALUE_SIZE_MAX) {
            for (uint32_t i = 0; i < (is_fixed ? 1 : v->count); i++)
                if (!fits(v->base_kind, vv_block_value(v, i).size))
                    return misfit(v->base_kind);
        }
        return VV_OK;
    }
    for (uint32_t i = 0; i < v->count; i++) {
        uint64_t meta = vv_block_meta(v, i);
        if ((meta >> VV_BLOCK_META_KIND_BITS) > VV_SEQ_MAX - v->base_seq)
            return bad("a sequence is beyond the last");
        enum vv_kind kind = (enum vv_kind)(meta & VV_BLOCK_META_KIND_MASK);
        if (!fits(kind, vv_block_value(v, i).size))
            return misfit(kind);
    }
    return VV_OK;
}

/* One content, one encoding: an array is as narrow as it can be, and no flag is idle. */
static bool flags_agree(const uint8_t *content)
{
    uint32_t flags = content[VV_BLOCK_FLAGS];
    bool wide_suffix = (flags & VV_BLOCK_FIXED_SUFFIX) == 0 &&
                       vv_get_u32(content + VV_BLOCK_SUFFIX_SIZE) > UINT16_MAX;
    bool wide_value = (flags & VV_BLOCK_FIXED_VALUE) == 0 &&
                      vv_get_u32(content + VV_BLOCK_VALUE_SIZE) > UINT16_MAX;
    return wide_suffix == ((flags & VV_BLOCK_WIDE_SUFFIX) != 0) &&
           wide_value == ((flags & VV_BLOCK_WIDE_VALUE) != 0);
}

static int verify_for_role(const struct vv_block_view *v, enum vv_role role,
                           const struct vv_order *order)
{
    bool is_bytewise = vv_order_bytewise(order);
    bool is_data = role == VV_ROLE_DATA;
    if (!is_bytewise && v->prefix_size > 0)
        return bad("keys of another order than bytewise have a prefix");
    if (((v->flags & VV_BLOCK_PRINTS) != 0) != is_data)
        return bad("fingerprints are not where they should be");
    if (((v->flags & VV_BLOCK_HEADS) != 0) != (!is_data && is_bytewise))
        return bad("heads are not where they should be");
    if (is_data)
        return VV_OK;
    uint32_t value_size = role == VV_ROLE_TOP ? VV_TOP_VALUE_SIZE : VV_INDEX_VALUE_SIZE;
    if ((v->flags & VV_BLOCK_FIXED_VALUE) == 0 || v->value_size != value_size)
        return bad("its values are no index");
    return VV_OK;
}

int vv_block_verify(vv_slice content, enum vv_role role, const struct vv_order *order)
{
    if (content.size < VV_BLOCK_HEAD_SIZE)
        return bad("it is shorter than its header");
    uint32_t idle = content.data[VV_BLOCK_FLAGS] & ~(uint32_t)VV_BLOCK_FLAGS_ALL;
    if (idle != 0)
        return newer("flags", idle);
    uint32_t count = vv_get_u16(content.data + VV_BLOCK_COUNT);
    if (count == 0 || count > VV_BLOCK_COUNT_MAX)
        return bad("no block has so many entries");
    if (!flags_agree(content.data))
        return bad("its flags contradict");
    if (content.data[VV_BLOCK_META_WIDTH] > VV_BLOCK_META_WIDTH_MAX)
        return bad("its meta is too wide");
    if (size_by_head(content.data) != content.size)
        return bad("its parts do not add up to its size");

    struct vv_block_view v;
    vv_block_decode(content.data, &v);
    if (v.meta_width > 0 && (uint64_t)v.base_kind != 0)
        return bad("it has a kind both for all and for each");
    int rc = verify_for_role(&v, role, order);
    if (rc < 0)
        return rc;
    if ((rc = verify_keys(&v)) < 0)
        return rc;
    return verify_values(&v);
}

static uint64_t hash_joined(const struct vv_block_view *v, uint32_t i, struct vv_buf *joined,
                            int *rc)
{
    vv_slice prefix = {v->prefix, v->prefix_size};
    if ((*rc = vv_buf_assign(joined, prefix)) < 0)
        return 0;
    if ((*rc = vv_buf_append_slice(joined, vv_block_suffix(v, i))) < 0)
        return 0;
    return vv_hash(vv_buf_slice(joined));
}

static int verify_guides(const struct vv_block_view *v, uint32_t i, struct vv_buf *joined)
{
    if ((v->flags & VV_BLOCK_PRINTS) != 0) {
        int rc = VV_OK;
        uint64_t hash = hash_joined(v, i, joined, &rc);
        if (rc < 0)
            return rc;
        if (v->prints[i] != vv_print_of(hash))
            return bad("a fingerprint is not that of its key");
    }
    if ((v->flags & VV_BLOCK_HEADS) != 0 &&
        vv_get_u32(v->heads + 4 * (size_t)i) !=
            (uint32_t)(vv_slice_head(vv_block_suffix(v, i)) >> 32))
        return bad("a head is not that of its key");
    return VV_OK;
}

int vv_block_verify_order(const struct vv_block_view *v, const struct vv_order *order)
{
    struct vv_buf joined = VV_BUF_INIT;
    int rc = VV_OK;
    for (uint32_t i = 0; i < v->count && rc == VV_OK; i++) {
        /* Common prefixes (bytewise only) do not change how the suffixes compare. */
        if (i > 0 && vv_order_cmp_entry(order, vv_block_suffix(v, i - 1), vv_block_seq(v, i - 1),
                                        vv_block_suffix(v, i), vv_block_seq(v, i)) >= 0)
            rc = bad("its entries are not in order");
        else
            rc = verify_guides(v, i, &joined);
    }
    vv_buf_deinit(&joined);
    return rc;
}
