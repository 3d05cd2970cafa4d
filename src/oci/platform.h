/*
 * oci/platform.h - which image of an index is meant on this machine (image-spec, image-index.md
 * "platform").
 *
 * Pure, but for platform_here(); any thread.
 */
#ifndef OCI_PLATFORM_H
#define OCI_PLATFORM_H

#include "oci/manifest.h"

/* Longest text of a platform: its three parts with a '/' between them. */
#define PLATFORM_TEXT_MAX 128

/* As an index names them: "linux", "arm", "v7". A value. */
struct platform {
    char os[16];
    char architecture[72];
    char variant[16]; /* "" means any */
};

/* Reads os/architecture or os/architecture/variant, with the machine's own names for architectures
 * too ("aarch64"). False where it is neither. */
bool platform_parse(struct slice text, struct platform *ret);

/* "linux/arm/v7"; gives buf. */
const char *platform_text(const struct platform *p, char buf[PLATFORM_TEXT_MAX]);

/* What this program runs on. */
struct platform platform_here(void);

/*
 * The images of an index in the order in which they are meant: those for the platform first, then
 * the others, each as the index has them; attestations and what is no manifest are left out. `body`
 * was parsed by manifest_parse() as an index. *ret is freed with free(), NULL where *ret_n is 0.
 */
void platform_order(struct slice body, const struct platform *p, struct digest **ret,
                    size_t *ret_n);

/* The platform that an index names for one of its entries, as text; `body` as above. False: it
 * names none that platform_parse() would take, or it is an attestation's. */
bool platform_of_entry(struct slice body, const struct digest *d, char out[PLATFORM_TEXT_MAX]);

/*
 * Which children of an index are meant by any of n platforms: keep[i] says it of m->children[i].
 * Those that name no platform, and what is no manifest, are always kept; attestations with the
 * image that they are of, and only where `attestations` says so. `body` is what `m` was parsed
 * from. False where there are manifests and none of them is kept.
 */
bool platform_choose(struct slice body, const struct manifest *m, const struct platform *platforms,
                     size_t n, bool attestations, bool *keep);

#endif
