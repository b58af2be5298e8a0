#include "lsm/notes.h"

#include "base/alloc.h"
#include "base/error.h"

static void text_free(vv_slice text)
{
    vv_free((void *)(uintptr_t)text.data);
}

void vv_notes_deinit(struct vv_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        text_free(notes->list[i].text);
    vv_free(notes->list);
    *notes = (struct vv_notes){.list = NULL};
}

/* The place of the first note with this id or a higher one. */
static size_t place_of(const struct vv_notes *notes, uint32_t id)
{
    size_t low = 0;
    size_t high = notes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (notes->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct vv_notes *notes, size_t place, uint32_t id)
{
    return place < notes->count && notes->list[place].id == id;
}

static int reserve(struct vv_notes *notes, size_t more)
{
    if (more <= notes->room - notes->count)
        return VV_OK;
    size_t room = notes->room * 2 > notes->count + more ? notes->room * 2 : notes->count + more;
    struct vv_note *larger = vv_realloc(notes->list, room * sizeof *larger);
    if (larger == NULL)
        return VV_NOMEM;
    notes->list = larger;
    notes->room = room;
    return VV_OK;
}

/* Replaces or adds, and gives back what was there, or an empty slice. Requires room for one more. */
static vv_slice swap_in(struct vv_notes *notes, uint32_t id, vv_slice text_take)
{
    size_t place = place_of(notes, id);
    vv_slice old = VV_SLICE_EMPTY;
    if (is_at(notes, place, id)) {
        old = notes->list[place].text;
    } else {
        vv_assert(notes->count < notes->room);
        memmove(&notes->list[place + 1], &notes->list[place],
                (notes->count - place) * sizeof notes->list[0]);
        notes->count++;
    }
    notes->list[place] = (struct vv_note){id, text_take};
    notes->bytes += text_take.size;
    notes->bytes -= old.size;
    return old;
}

/* Takes the note out, and gives its text, or an empty slice. */
static vv_slice take_out(struct vv_notes *notes, uint32_t id)
{
    size_t place = place_of(notes, id);
    if (!is_at(notes, place, id))
        return VV_SLICE_EMPTY;
    vv_slice text = notes->list[place].text;
    notes->bytes -= text.size;
    notes->count--;
    memmove(&notes->list[place], &notes->list[place + 1],
            (notes->count - place) * sizeof notes->list[0]);
    return text;
}

int vv_notes_set(struct vv_notes *notes, uint32_t id, vv_slice text)
{
    int rc = reserve(notes, 1);
    if (rc < 0)
        return rc;
    uint8_t *copy = vv_memdup(text.data, text.size);
    if (copy == NULL)
        return VV_NOMEM;
    text_free(swap_in(notes, id, (vv_slice){copy, text.size}));
    return VV_OK;
}

void vv_notes_remove(struct vv_notes *notes, uint32_t id)
{
    text_free(take_out(notes, id));
}

const struct vv_note *vv_notes_find(const struct vv_notes *notes, uint32_t id)
{
    size_t place = place_of(notes, id);
    return is_at(notes, place, id) ? &notes->list[place] : NULL;
}

int vv_notes_apply(struct vv_notes *notes, const struct vv_notes *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct vv_note *note = &from->list[i];
        int rc = VV_OK;
        if (note->text.size == 0)
            vv_notes_remove(notes, note->id);
        else
            rc = vv_notes_set(notes, note->id, note->text);
        if (rc < 0)
            return rc;
    }
    return VV_OK;
}

int vv_notes_exchange(struct vv_notes *notes, const struct vv_notes *from, struct vv_notes *before)
{
    int rc = reserve(notes, from->count);
    if (rc == VV_OK)
        rc = reserve(before, from->count);
    for (size_t i = 0; rc == VV_OK && i < from->count; i++) {
        uint32_t id = from->list[i].id;
        vv_slice text = from->list[i].text;
        vv_slice old;
        if (text.size == 0) {
            old = take_out(notes, id);
        } else {
            uint8_t *copy = vv_memdup(text.data, text.size);
            if (copy == NULL) {
                vv_notes_restore(notes, before);
                return VV_NOMEM;
            }
            old = swap_in(notes, id, (vv_slice){copy, text.size});
        }
        (void)swap_in(before, id, old);
    }
    return rc;
}

void vv_notes_restore(struct vv_notes *notes, struct vv_notes *before)
{
    for (size_t i = 0; i < before->count; i++) {
        struct vv_note *note = &before->list[i];
        vv_notes_remove(notes, note->id);
        if (note->text.size > 0)
            (void)swap_in(notes, note->id, note->text);
        note->text = VV_SLICE_EMPTY;
    }
    before->count = before->bytes = 0;
}
