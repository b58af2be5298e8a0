/*
 * Files of the operating system, for tests that look at a store from outside.
 */
#ifndef VV_TEST_HARNESS_FILES_H
#define VV_TEST_HARNESS_FILES_H

#include "base/buf.h"

/* Of names, kinds, modes and contents of everything in a directory. Not of times. Also fine for a
 * file, and for a path where nothing is. */
uint64_t files_print(const char *path);

/* These fail the test when they cannot. */
void file_read(const char *path, struct vv_buf *out);
void file_write(const char *path, const void *data, size_t size);
void files_copy(const char *from_dir, const char *to_dir);

/* The first file in a directory whose name holds `text`, as a path. False if there is none. */
bool files_find(const char *dir, const char *text, char *into, size_t size);
size_t files_count(const char *dir, const char *text);

/* "<dir>/<name>" in a buffer that lives until the eighth next call. */
const char *path_of(const char *dir, const char *name);

#endif
