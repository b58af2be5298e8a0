/*
 * Reading a log from its start, and deciding what the bytes behind its last good record are.
 *
 *      good records ──────────┤P                                          what P is
 *      ··········  ··········  (end of file, or zeros)                    clean tail
 *      ··········  ··········  ???? ???? ????                             torn tail
 *      ··········  ··········  ???? Q─────                                torn: Q got to the disk
 *                                                                         before P, none was synced
 *      ··········  ··········  ???? ????  Q─────PREV_SYNCED               damage: P was synced
 *
 * Q is a record that verifies and continues the sequences, looked for at each multiple of eight
 * bytes up to 64 MiB behind P, and again behind the end that P's own header claims. Three things
 * may surprise:
 *
 * - A SEAL without PREV_SYNCED proves nothing: it may have reached the disk before what it seals.
 * - The file may have had a former life, whose records lie behind P. Their salt was another, so
 *   they never verify; but they are neither zero nor torn. Where the header says that there may be
 *   such bytes, P counts as torn only if its header shows the next sequence number.
 * - A writer may be at work. What looks bad is read again from the file, and once more when a Q is
 *   found: then P, which was written first, must be whole.
 */
#include "log/format.h"
#include "log/window.h"

enum {
    LOOKAHEAD_BYTES = 64 << 20,
    VIEW_BYTES = 64 << 10,
    /* A value may be made to look like a great many record headers that claim large bodies. After
     * so many bytes were hashed in vain, only small records are tried. */
    WASTE_BYTES_MAX = 512 << 20,
    WASTED_EXTENT_MAX = 4096,
    READ_AT_FIRST_BYTES = 4096,
};

struct vv_log_reader {
    char *path;
    struct vv_file *file;
    struct vv_log_head head;
    bool later_prev_synced;
    struct vv_log_window window;

    uint64_t at;        /* behind the last good record */
    uint64_t seq_floor; /* the next record's sequence is at least this, */
    bool seq_exact;     /* and if this is set, exactly this */
    struct {
        uint64_t at, seq_floor;
        bool seq_exact;
    } before; /* the record that was read last: the three above as they were */
    uint64_t seq_seen;
    uint64_t judged_at; /* where VV_END was decided last, or 0 */
    uint64_t proof_at;  /* where the proof of damage stands, or 0 */
    enum vv_log_tail tail;
    bool sealed;
    bool damaged;
};

struct search {
    uint64_t from; /* offsets at which a record may begin */
    uint64_t limit;
    bool only_first;
    uint64_t first_at; /* of the records found; 0: none */
    uint64_t proof_at; /* of the first one with PREV_SYNCED; 0: none */
    bool nonblank;     /* some byte was not zero */
    uint64_t wasted_bytes;
    uint64_t waste_bytes_max;
};

/* ---- opening */

static int check_expected(const struct vv_log_head *head, const struct vv_log_expect *expect,
                          const char *path)
{
    if (expect->kind != 0 && head->kind != expect->kind)
        return vv_fail(VV_CORRUPT, "%s says at offset 0 that it is a log of kind %d, not %d", path,
                       (int)head->kind, (int)expect->kind);
    if (expect->number != 0 && head->number != expect->number)
        return vv_fail(VV_CORRUPT, "%s calls itself log %llu at offset 0, not %llu", path,
                       (unsigned long long)head->number, (unsigned long long)expect->number);
    if (expect->uuid != NULL && memcmp(head->uuid, expect->uuid, VV_UUID_SIZE) != 0)
        return vv_fail(VV_CORRUPT, "%s says at offset 0 that it belongs to another store", path);
    return VV_OK;
}

/* Whether there is nothing but zeros behind the file's header, as far as we look ahead. */
static int nothing_follows(struct vv_log_window *w, bool *out)
{
    vv_slice view;
    *out = true;
    for (uint64_t at = VV_LOG_HEAD_SIZE; *out && at < LOOKAHEAD_BYTES; at += view.size) {
        int rc = vv_log_window_at(w, at, VIEW_BYTES, &view);
        if (rc < 0)
            return rc;
        if (view.size == 0)
            break;
        *out = vv_log_is_blank(view);
    }
    return VV_OK;
}

/* A header that was torn while the log was being created is no damage, as long as nothing was laid
 * behind it. Nor is another file's, which the disk may show where ours never arrived. */
static int read_head(struct vv_log_reader *r, const struct vv_log_expect *expect)
{
    vv_slice raw;
    bool nothing = false;
    int rc = vv_log_window_at(&r->window, 0, VV_LOG_HEAD_SIZE, &raw);
    if (rc < 0)
        return rc;
    rc = vv_log_head_decode(raw, r->path, &r->head);
    if (rc == VV_OK && (rc = check_expected(&r->head, expect, r->path)) == VV_OK)
        return VV_OK;
    if (rc == VV_END && r->later_prev_synced)
        return vv_fail(VV_CORRUPT, "%s was synced, but its header at offset 0 is gone", r->path);
    if (rc != VV_CORRUPT || r->later_prev_synced)
        return rc;
    int blank_rc = nothing_follows(&r->window, &nothing);
    if (blank_rc < 0)
        return blank_rc;
    return nothing ? VV_END : rc;
}

int vv_log_reader_open(struct vv_env *env, const char *path, const struct vv_log_expect *expect,
                       struct vv_log_reader **out)
{
    struct vv_log_reader *r = vv_alloc_zero(sizeof *r);
    int rc;
    if (r == NULL)
        return VV_NOMEM;
    r->later_prev_synced = expect->later_prev_synced;
    if ((r->path = vv_strdup(path)) == NULL) {
        rc = VV_NOMEM;
        goto out;
    }
    if ((rc = vv_env_open(env, path, VV_OPEN_READ, &r->file)) != VV_OK)
        goto out;
    r->window.file = r->file;
    if ((rc = read_head(r, expect)) != VV_OK)
        goto out;
    r->at = VV_LOG_HEAD_SIZE;
    r->seq_floor = r->head.first_seq;
    *out = r;
    r = NULL;
out:
    vv_log_reader_close(r);
    return rc;
}

void vv_log_reader_close(struct vv_log_reader *r)
{
    if (r == NULL)
        return;
    vv_log_window_deinit(&r->window);
    vv_file_close(r->file);
    vv_free(r->path);
    vv_free(r);
}

/* ---- one record */

/* The record at `at`, if one verifies there; else VV_END, and *extent is what it claims to take, or
 * 0. */
static int read_verified(struct vv_log_reader *r, uint64_t at, uint64_t extent_max,
                         struct vv_record_head *head, struct vv_record *record, uint64_t *extent)
{
    vv_slice raw;
    bool whole;
    int rc;
    *extent = 0;
    if ((rc = vv_log_window_at(&r->window, at, VV_RECORD_HEAD_SIZE, &raw)) < 0)
        return rc;
    if (raw.size < VV_RECORD_HEAD_SIZE || !vv_record_head_decode(raw.data, head))
        return VV_END;
    uint64_t claimed = vv_record_head_extent(head);
    if (claimed > extent_max)
        return VV_END;
    if ((rc = vv_log_window_has(&r->window, at, claimed, &whole)) < 0)
        return rc;
    if (!whole)
        return VV_END;
    *extent = claimed;
    if ((rc = vv_log_window_at(&r->window, at, claimed, &raw)) < 0)
        return rc;
    if (raw.size < claimed || !vv_record_verify(head, raw.data, r->head.salt, at, record))
        return VV_END;
    return VV_OK;
}

static void note_seq(struct vv_log_reader *r, const struct vv_record_head *head)
{
    uint64_t count = vv_record_head_count(head);
    uint64_t last = count > 0 ? head->seq + count - 1 : head->seq;
    /* A SEAL in a continuous log shows the next sequence, which nothing has taken. */
    if (count == 0 && vv_log_is_continuous(r->head.kind))
        return;
    if (last > r->seq_seen)
        r->seq_seen = last;
}

/* Takes the record at our place and moves behind it. VV_END when there is none. */
static int take(struct vv_log_reader *r, struct vv_record *record, uint64_t *offset)
{
    struct vv_record_head head;
    struct vv_record found;
    uint64_t extent;
    int rc = read_verified(r, r->at, UINT64_MAX, &head, &found, &extent);
    if (rc != VV_OK)
        return rc;
    if (!vv_record_head_fits(&head, r->head.kind))
        return vv_fail(VV_UNSUPPORTED, "%s: this build does not know the record at offset %llu",
                       r->path, (unsigned long long)r->at);
    if (head.seq < r->seq_floor || (r->seq_exact && head.seq != r->seq_floor))
        return VV_END;
    note_seq(r, &head);
    r->before.at = r->at;
    r->before.seq_floor = r->seq_floor;
    r->before.seq_exact = r->seq_exact;
    if (vv_log_is_continuous(r->head.kind)) {
        r->seq_floor = head.seq + vv_record_head_count(&head);
        r->seq_exact = true;
    }
    *record = found;
    if (offset != NULL)
        *offset = r->at;
    r->at += extent;
    r->sealed = head.type == VV_RECORD_SEAL;
    return VV_OK;
}

/* ---- looking ahead */

/* The cheap test before anything is hashed: type, flags and size of a record of this log, with a
 * sequence that may still come. */
static bool is_plausible(const struct vv_log_reader *r, const uint8_t *raw)
{
    struct vv_record_head head;
    if (raw[8] == 0 || raw[8] > VV_RECORD_SEAL)
        return false;
    return vv_record_head_decode(raw, &head) && vv_record_head_fits(&head, r->head.kind) &&
           head.seq >= r->seq_floor;
}

/* How far to go from the start of `view` to the next plausible header, or, without one, to where
 * the first one that `view` does not wholly show would begin. */
static size_t next_plausible(const struct vv_log_reader *r, vv_slice view)
{
    size_t last = (view.size - VV_RECORD_HEAD_SIZE) & ~(size_t)(VV_RECORD_ALIGN - 1);
    size_t at = 0;
    while (at <= last && !is_plausible(r, view.data + at))
        at += VV_RECORD_ALIGN;
    return at;
}

static int try_candidate(struct vv_log_reader *r, struct search *s, uint64_t at, uint64_t *step)
{
    struct vv_record_head head;
    struct vv_record record;
    uint64_t extent;
    bool wasteful = s->wasted_bytes > s->waste_bytes_max;
    int rc =
        read_verified(r, at, wasteful ? WASTED_EXTENT_MAX : UINT64_MAX, &head, &record, &extent);
    *step = VV_RECORD_ALIGN;
    if (rc < 0)
        return rc;
    if (rc == VV_END) {
        s->wasted_bytes += extent;
        return VV_OK;
    }
    note_seq(r, &head);
    if (s->first_at == 0)
        s->first_at = at;
    if (s->proof_at == 0 && (head.flags & VV_RECORD_PREV_SYNCED) != 0)
        s->proof_at = at;
    *step = extent;
    return VV_OK;
}

/* Finds the records that begin in [from, limit). Records of this log that were torn, too, do not
 * overlap and together waste less than the rest of the file. */
static int search(struct vv_log_reader *r, struct search *s)
{
    uint64_t at = s->from;
    bool enough = false;
    uint64_t rest = r->window.file_size > at ? r->window.file_size - at : 0;
    s->waste_bytes_max = WASTE_BYTES_MAX + (rest < UINT32_MAX ? rest : UINT32_MAX);
    while (at < s->limit && !enough) {
        vv_slice view;
        int rc = vv_log_window_at(&r->window, at, VIEW_BYTES, &view);
        if (rc < 0)
            return rc;
        bool blank = vv_log_is_blank(view);
        s->nonblank = s->nonblank || !blank;
        if (view.size < VV_RECORD_HEAD_SIZE)
            break;
        size_t shown =
            (view.size - VV_RECORD_HEAD_SIZE) / VV_RECORD_ALIGN * VV_RECORD_ALIGN + VV_RECORD_ALIGN;
        size_t skip = blank ? shown : next_plausible(r, view);
        at += skip;
        if (skip == shown || at >= s->limit)
            continue;
        uint64_t step;
        if ((rc = try_candidate(r, s, at, &step)) < 0)
            return rc;
        at += step;
        enough = s->only_first && s->first_at != 0;
    }
    return VV_OK;
}

/* Looks behind our place, and behind a record of more than LOOKAHEAD_BYTES that its header claims
 * to be there. */
static int look_ahead(struct vv_log_reader *r, struct search *s)
{
    struct vv_record_head head;
    vv_slice raw;
    int rc;
    *s = (struct search){.from = r->at, .limit = r->at + LOOKAHEAD_BYTES};
    if ((rc = search(r, s)) < 0)
        return rc;
    if ((rc = vv_log_window_at(&r->window, r->at, VV_RECORD_HEAD_SIZE, &raw)) < 0)
        return rc;
    if (s->proof_at != 0 || raw.size < VV_RECORD_HEAD_SIZE || !is_plausible(r, raw.data) ||
        !vv_record_head_decode(raw.data, &head) || vv_record_head_extent(&head) < LOOKAHEAD_BYTES)
        return VV_OK;
    s->from = r->at + vv_record_head_extent(&head);
    s->limit = s->from + LOOKAHEAD_BYTES;
    return search(r, s);
}

/* ---- judging a tail */

/* Whether the bytes at our place, in a log that may have stale ones there, were laid in this life:
 * they show the sequence number that comes next, which no former life had, or would verify if
 * they did. Before the first record the number is not known, and they must look like a record. */
static int is_ours(struct vv_log_reader *r, bool *out)
{
    struct vv_record_head head;
    vv_slice raw;
    int rc;
    *out = false;
    if ((rc = vv_log_window_at(&r->window, r->at, VV_RECORD_HEAD_SIZE, &raw)) < 0)
        return rc;
    if (raw.size < VV_RECORD_HEAD_SIZE || !vv_log_is_continuous(r->head.kind))
        return VV_OK;
    if (!r->seq_exact) {
        *out = is_plausible(r, raw.data);
        return VV_OK;
    }
    bool formed = vv_record_head_decode(raw.data, &head);
    if (head.seq == r->seq_floor) {
        *out = true;
        return VV_OK;
    }
    if (!formed || !vv_record_head_fits(&head, r->head.kind))
        return VV_OK;
    uint64_t extent = vv_record_head_extent(&head);
    bool whole;
    if ((rc = vv_log_window_has(&r->window, r->at, extent, &whole)) < 0 || !whole)
        return rc;
    if ((rc = vv_log_window_at(&r->window, r->at, extent, &raw)) < 0)
        return rc;
    *out = raw.size >= extent &&
           vv_record_verify_as(&head, raw.data, r->seq_floor, r->head.salt, r->at);
    return VV_OK;
}

static int judge_tail(struct vv_log_reader *r, const struct search *s)
{
    bool torn = s->nonblank;
    if (torn && s->first_at == 0 && r->at < r->head.stale_end) {
        int rc = is_ours(r, &torn);
        if (rc < 0)
            return rc;
    }
    r->tail = torn ? VV_LOG_TAIL_TORN : VV_LOG_TAIL_CLEAN;
    return VV_OK;
}

static int tell_damage(const struct vv_log_reader *r)
{
    if (r->proof_at != 0)
        return vv_fail(VV_CORRUPT,
                       "%s: damage at offset %llu; the record at offset %llu proves that it had "
                       "been synced",
                       r->path, (unsigned long long)r->at, (unsigned long long)r->proof_at);
    return vv_fail(VV_CORRUPT,
                   "%s: damage at offset %llu; a later log proves that it had been synced", r->path,
                   (unsigned long long)r->at);
}

/* Decides between VV_END and VV_CORRUPT for what stands at our place, which is no record; or finds
 * that it is one by now. */
static int judge(struct vv_log_reader *r, struct vv_record *record, uint64_t *offset)
{
    struct search s;
    int rc;
    if ((rc = look_ahead(r, &s)) < 0)
        return rc;
    if (s.first_at != 0) {
        vv_log_window_forget(&r->window);
        if ((rc = take(r, record, offset)) != VV_END)
            return rc;
    }
    if ((rc = judge_tail(r, &s)) < 0)
        return rc;
    r->judged_at = r->at;
    r->proof_at = s.proof_at;
    r->damaged = s.proof_at != 0 || (r->later_prev_synced && r->tail == VV_LOG_TAIL_TORN);
    return r->damaged ? tell_damage(r) : VV_END;
}

int vv_log_read(struct vv_log_reader *r, struct vv_record *record, uint64_t *offset)
{
    int rc;
    if (r->damaged)
        return tell_damage(r);
    if (r->sealed)
        return VV_END;
    if (r->judged_at != r->at && (rc = take(r, record, offset)) != VV_END)
        return rc;
    vv_log_window_forget(&r->window);
    if ((rc = take(r, record, offset)) != VV_END)
        return rc;
    return r->judged_at == r->at ? VV_END : judge(r, record, offset);
}

void vv_log_reader_forget(struct vv_log_reader *r)
{
    vv_log_window_forget(&r->window);
}

void vv_log_reader_put_back(struct vv_log_reader *r)
{
    vv_assert(r->before.at > 0 && r->before.at < r->at);
    r->at = r->before.at;
    r->seq_floor = r->before.seq_floor;
    r->seq_exact = r->before.seq_exact;
    r->sealed = false;
    vv_log_window_forget(&r->window);
}

int vv_log_reader_skip(struct vv_log_reader *r)
{
    vv_assert(r->damaged);
    struct search s = {.from = r->at, .limit = UINT64_MAX, .only_first = true};
    int rc = search(r, &s);
    if (rc < 0)
        return rc;
    if (s.first_at == 0)
        return VV_END;
    r->at = s.first_at;
    r->seq_exact = false;
    r->damaged = false;
    return VV_OK;
}

/* ---- looking */

const struct vv_log_head *vv_log_reader_head(const struct vv_log_reader *r)
{
    return &r->head;
}

enum vv_log_tail vv_log_reader_tail(const struct vv_log_reader *r)
{
    return r->tail;
}

uint64_t vv_log_reader_end(const struct vv_log_reader *r)
{
    return r->at;
}

uint64_t vv_log_reader_seq_seen(const struct vv_log_reader *r)
{
    return r->seq_seen;
}

/* ---- one record that a reference names */

static int bad_reference(const char *name, uint64_t offset)
{
    return vv_fail(VV_CORRUPT, "%s: no record verifies at offset %llu", name,
                   (unsigned long long)offset);
}

static int read_into(struct vv_file *file, uint64_t offset, size_t want, struct vv_buf *scratch)
{
    size_t got;
    size_t more = want - scratch->size;
    int rc = vv_buf_reserve(scratch, more);
    if (rc < 0)
        return rc;
    rc = vv_file_read_at(file, offset + scratch->size, scratch->data + scratch->size, more, &got);
    if (rc < 0)
        return rc;
    scratch->size += got;
    return VV_OK;
}

/* Reads the rest of a record that is longer than the first step, if the file is as long as that. */
static int read_rest(struct vv_file *file, uint64_t offset, uint64_t extent, struct vv_buf *scratch)
{
    uint64_t size_bytes;
    int rc = vv_file_size(file, &size_bytes);
    if (rc < 0)
        return rc;
    if (size_bytes < offset || size_bytes - offset < extent)
        return VV_OK;
    return read_into(file, offset, (size_t)extent, scratch);
}

int vv_log_read_at(struct vv_file *file, const char *name, const struct vv_log_head *head,
                   uint64_t offset, struct vv_buf *scratch, struct vv_record *record)
{
    struct vv_record_head record_head;
    struct vv_record found;
    int rc;
    if (offset < VV_LOG_HEAD_SIZE || offset > UINT64_MAX - READ_AT_FIRST_BYTES ||
        offset % VV_RECORD_ALIGN != 0)
        return bad_reference(name, offset);
    vv_buf_clear(scratch);
    if ((rc = read_into(file, offset, READ_AT_FIRST_BYTES, scratch)) < 0)
        return rc;
    if (scratch->size < VV_RECORD_HEAD_SIZE || !vv_record_head_decode(scratch->data, &record_head))
        return bad_reference(name, offset);
    uint64_t extent = vv_record_head_extent(&record_head);
    if (extent > scratch->size && (rc = read_rest(file, offset, extent, scratch)) < 0)
        return rc;
    if (extent > scratch->size ||
        !vv_record_verify(&record_head, scratch->data, head->salt, offset, &found))
        return bad_reference(name, offset);
    if (!vv_record_head_fits(&record_head, head->kind))
        return vv_fail(VV_UNSUPPORTED, "%s: this build does not know the record at offset %llu",
                       name, (unsigned long long)offset);
    if (record_head.seq < head->first_seq)
        return bad_reference(name, offset);
    *record = found;
    return VV_OK;
}
