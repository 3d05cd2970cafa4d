/*
 * oci/reference.h - an image as people write it to a command: NAME[:TAG][@DIGEST].
 *
 * NAME may begin with a registry's host; which repository it means is told by route_parse_name().
 * Where there are a tag and a digest, the digest decides (docker's rule). Pure; any thread.
 */
#ifndef OCI_REFERENCE_H
#define OCI_REFERENCE_H

#include "base/err.h"
#include "oci/digest.h"
#include "oci/name.h"
#include "oci/route.h"

#define REFERENCE_TAG_DEFAULT "latest"
/* A name, ':' and a tag, '@' and a digest, and a NUL. */
#define REFERENCE_TEXT_MAX (ROUTE_REPO_MAX + 1 + TAG_MAX_LEN + 1 + DIGEST_TEXT_MAX)

/* A value. */
struct reference {
    char name[ROUTE_REPO_MAX];
    char tag[TAG_MAX_LEN + 1]; /* as written; "latest" where neither tag nor digest is; else "" */
    bool tag_written;
    bool by_digest;
    struct digest digest; /* where by_digest */
};

/*
 * Reads a reference; blanks around it do not belong to it. Returns 0, or -1 with a text that quotes
 * it and says what is wrong:
 *   ERR_NAME_INVALID    no name, or one outside the grammar; an address (https://…) or an image ID
 *   ERR_TAG_INVALID     what follows the ':' is no tag
 *   ERR_DIGEST_INVALID  what follows the '@' is no digest, or of an algorithm unknown here
 */
int reference_parse(struct slice text, struct reference *ret, struct err *e) MUST_CHECK;

/* NAME:TAG, NAME@DIGEST, or NAME:TAG@DIGEST; gives buf. */
const char *reference_text(const struct reference *r, char buf[REFERENCE_TEXT_MAX]);

#endif
