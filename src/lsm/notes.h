/*
 * Notes: small records that the host keeps in the MANIFEST, by number. The engine does not know what
 * they say; the host reads them back before the first key is compared.
 */
#ifndef VV_LSM_NOTES_H
#define VV_LSM_NOTES_H

#include "base/buf.h"
#include "kv/engine.h"

enum { VV_NOTE_SIZE_MAX = 4096 };

/* Ascending by id. Zeroed memory is none. */
struct vv_notes {
    struct vv_note *list; /* owned, as are the texts */
    size_t count, room;
    size_t bytes; /* of all texts */
};

void vv_notes_deinit(struct vv_notes *notes);

/* Replaces what was noted under the id. Keeps an empty text, too: in an edit it says that the note is
 * gone. VV_NOMEM. */
VV_MUST int vv_notes_set(struct vv_notes *notes, uint32_t id, vv_slice text);
void vv_notes_remove(struct vv_notes *notes, uint32_t id);

/* NULL when nothing is noted under the id. */
const struct vv_note *vv_notes_find(const struct vv_notes *notes, uint32_t id);

/* Sets all of `from`, and removes where its text is empty. */
VV_MUST int vv_notes_apply(struct vv_notes *notes, const struct vv_notes *from);

/* The same, which can be undone: what was there goes into `before`, which is empty. On failure all is
 * as it was. */
VV_MUST int vv_notes_exchange(struct vv_notes *notes, const struct vv_notes *from,
                              struct vv_notes *before);
/* Undoes that, cannot fail, and empties `before`. Nothing else was changed meanwhile. */
void vv_notes_restore(struct vv_notes *notes, struct vv_notes *before);

#endif
