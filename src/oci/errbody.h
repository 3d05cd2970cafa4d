/*
 * oci/errbody.h - the JSON body of an error (distribution-spec, "Error Codes"). Pure; any thread.
 */
#ifndef OCI_ERRBODY_H
#define OCI_ERRBODY_H

#include "base/str.h"

#define ERRBODY_CONTENT_TYPE "application/json"

/* Appends {"errors":[{"code":…,"message":…,"detail":…}]}. `detail_json` is JSON text that is put
 * in as it stands, or NULL for no such member. The message may hold any bytes. */
void errbody_write(struct buf *b, const char *code, const char *message, const char *detail_json);

/* The first message of such a body, cut to `size` bytes; of any other body, words that say so. */
void errbody_message(struct slice body, char *out, size_t size);

/* The code of the first error, likewise; "" where there is none. */
void errbody_code(struct slice body, char *out, size_t size);

#endif
