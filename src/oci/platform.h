/*
 * oci/platform.h - which image of an index is meant on this machine (image-spec, image-index.md
 * "platform").
 *
 * Pure, but for platform_here(); any thread.
 */
#ifndef OCI_PLATFORM_H
#define OCI_PLATFORM_H

#include "oci/manifest.h"

/* As an index names them: "linux", "amd64". A value. */
struct platform {
    char os[16];
    char architecture[72];
};

/* What this program runs on. */
struct platform platform_here(void);

/*
 * The images of an index in the order in which they are meant: those for the platform first, then
 * the others, each as the index has them; attestations and what is no manifest are left out. `body`
 * was parsed by manifest_parse() as an index. *ret is freed with free(), NULL where *ret_n is 0.
 */
void platform_order(struct slice body, const struct platform *p, struct digest **ret,
                    size_t *ret_n);

#endif
