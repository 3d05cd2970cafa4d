/*
 * oci/name.h - the grammar of repository names and tags (distribution-spec, "Pulling manifests").
 *
 * Pure; any thread.
 */
#ifndef OCI_NAME_H
#define OCI_NAME_H

#include "base/str.h"

/* Longest name, in bytes; the arrays that take one are a byte longer. */
#define NAME_MAX_LEN 255
#define TAG_MAX_LEN 128

/* Components of [a-z0-9], joined inside by one '.', one or two '_', or any number of '-', and
 * separated by '/'; 1 to 255 bytes in all. */
bool name_valid(struct slice name);

/* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
bool tag_valid(struct slice tag);

/* The Hub's own form of a name: one without '/' gets "library/" in front. False (ret untouched)
 * where the result is longer than NAME_MAX_LEN; `name` is valid. */
bool name_normal_hub(struct slice name, char ret[NAME_MAX_LEN + 1]);

#endif
