/*
 * oci/dockerfile.h - which images a Dockerfile needs from a registry.
 *
 * Those that its stages start from (FROM), that files are taken out of (COPY --from, RUN --mount
 * with from=), and the frontend that a `# syntax=` line names; not other stages of its own, not
 * scratch. Defaults of ARG are applied as Docker does before the first FROM; build arguments that
 * somebody would give are not known here. The rest is passed over, here-documents included. Pure;
 * any thread.
 */
#ifndef OCI_DOCKERFILE_H
#define OCI_DOCKERFILE_H

#include "base/err.h"
#include "base/str.h"

/* Bytes of the file, and what may stand in it. */
#define DOCKERFILE_MAX (1u << 20)
#define DOCKERFILE_IMAGES_MAX 1000
#define DOCKERFILE_WORD_MAX 1024

struct dockerfile_image {
    char name[DOCKERFILE_WORD_MAX];
    char platform[64]; /* of FROM --platform; "" where there is none */
    unsigned line;     /* where it stands, from 1 */
};

/* Owner: the caller, by dockerfile_free(). */
struct dockerfile {
    struct dockerfile_image *images; /* in the order of the file, no two alike */
    size_t n;
};

/* `platform` ("linux/arm64/v8") is what BUILDPLATFORM, TARGETPLATFORM and their parts mean. 0, or
 * -1 with ERR_CONFIG that names the line: too large, a FROM without an image, a name that is empty
 * once its variables are replaced (an ARG without default), a quote or brace that does not end. */
int dockerfile_parse(struct slice text, const char *platform, struct dockerfile *ret,
                     struct err *err) MUST_CHECK;
void dockerfile_free(struct dockerfile *d);

#endif
