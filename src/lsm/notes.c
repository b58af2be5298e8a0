#include "lsm/notes.h"

#include "base/alloc.h"
#include "base/error.h"

void vv_notes_deinit(struct vv_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        vv_free((void *)(uintptr_t)notes->list[i].text.data);
    vv_free(notes->list);
    *notes = (struct vv_notes){NULL, 0};
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

/* At a power of two the list is given twice the room, so the count says when. */
static int insert(struct vv_notes *notes, size_t place, struct vv_note note)
{
    if ((notes->count & (notes->count - 1)) == 0) {
        size_t room = notes->count == 0 ? 1 : notes->count * 2;
        struct vv_note *larger = vv_realloc(notes->list, room * sizeof *larger);
        if (larger == NULL)
            return VV_NOMEM;
        notes->list = larger;
    }
    memmove(&notes->list[place + 1], &notes->list[place],
            (notes->count - place) * sizeof notes->list[0]);
    notes->list[place] = note;
    notes->count++;
    return VV_OK;
}

int vv_notes_set(struct vv_notes *notes, uint32_t id, vv_slice text)
{
    size_t place = place_of(notes, id);
    uint8_t *copy = vv_memdup(text.data, text.size);
    if (copy == NULL)
        return VV_NOMEM;
    struct vv_note note = {id, {copy, text.size}};
    if (is_at(notes, place, id)) {
        vv_free((void *)(uintptr_t)notes->list[place].text.data);
        notes->list[place] = note;
        return VV_OK;
    }
    int rc = insert(notes, place, note);
    if (rc < 0)
        vv_free(copy);
    return rc;
}

void vv_notes_remove(struct vv_notes *notes, uint32_t id)
{
    size_t place = place_of(notes, id);
    if (!is_at(notes, place, id))
        return;
    vv_free((void *)(uintptr_t)notes->list[place].text.data);
    notes->count--;
    memmove(&notes->list[place], &notes->list[place + 1],
            (notes->count - place) * sizeof notes->list[0]);
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
