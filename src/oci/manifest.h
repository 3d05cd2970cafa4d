/*
 * oci/manifest.h - what a manifest names: the children that a pull will ask for.
 *
 * Manifests are kept and served byte for byte; this only reads them. Unknown members are ignored,
 * as image-spec demands. Pure; any thread (over 64 KiB, parse in the pool).
 */
#ifndef OCI_MANIFEST_H
#define OCI_MANIFEST_H

#include "base/err.h"
#include "base/str.h"
#include "oci/digest.h"

/* Largest manifest, deepest nesting and most JSON values (keys count) that are looked at. */
#define MANIFEST_MAX (8u << 20)
#define MANIFEST_DEPTH_MAX 32
#define MANIFEST_VALUES_MAX 100000

#define MEDIA_TYPE_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_TYPE_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_TYPE_OCI_ARTIFACT "application/vnd.oci.artifact.manifest.v1+json"
#define MEDIA_TYPE_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_TYPE_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

/* The Accept line for upstreams: always all of it, whatever the client sent, so that one client's
 * narrow list does not decide what the next one gets. */
#define MANIFEST_ACCEPT                                                                            \
    MEDIA_TYPE_OCI_INDEX ", " MEDIA_TYPE_DOCKER_LIST ", " MEDIA_TYPE_OCI_MANIFEST                  \
                         ", " MEDIA_TYPE_DOCKER_MANIFEST ", */*;q=0.1"

#define MEDIA_TYPE_MAX 128
/* Size of a descriptor that says none that can be used. */
#define DESCRIPTOR_SIZE_UNKNOWN UINT64_MAX

enum child_kind {
    CHILD_MANIFEST, /* an entry of an index that is a manifest itself */
    CHILD_CONFIG,
    CHILD_LAYER,
    CHILD_BLOB,     /* another entry of an index (BuildKit's older caches), or one of an artifact */
    CHILD_REFERRER, /* of the index only: a manifest that names the parent as its subject */
};

struct descriptor {
    char media_type[MEDIA_TYPE_MAX]; /* "" where there is none or it is too long */
    struct digest digest;
    uint64_t size; /* bytes, or DESCRIPTOR_SIZE_UNKNOWN */
    enum child_kind kind;
    bool foreign; /* nondistributable, or has urls: may be absent from the registry */
};

enum manifest_type { MANIFEST_IMAGE, MANIFEST_INDEX, MANIFEST_ARTIFACT, MANIFEST_SCHEMA1 };

/* Owner: the caller, by manifest_free(). Never changes after it was parsed. */
struct manifest {
    enum manifest_type type;         /* never MANIFEST_SCHEMA1: that is an error */
    char media_type[MEDIA_TYPE_MAX]; /* what to serve it as; no parameters */
    size_t n_children;
    struct descriptor *children; /* in the order of the body, config first; repetitions stay */
    bool has_subject;
    struct digest subject;
    char artifact_type[256]; /* "" where there is none */
    const char *fault;       /* what of a wrong type was passed over; NULL: nothing. Static. */
};

/* The bounds above, and whether it is JSON, without allocating. Returns 0, or -1 with
 * ERR_MANIFEST_INVALID. */
int manifest_scan(struct slice body, struct err *e);

/*
 * Reads a manifest. Its type is what the body's mediaType says, else the Content-Type (parameters
 * ignored; may be empty), each where it is a manifest's, else what the members look like. An entry
 * whose digest algorithm we do not know is left out. Returns 0 with *ret for manifest_free(), or -1
 * with ERR_MANIFEST_INVALID: not JSON, beyond the bounds, no manifest, one that is index and image
 * at once, a broken digest, or schema 1 (unsupported, and the text says so).
 */
int manifest_parse(struct slice body, struct slice content_type, struct manifest **ret,
                   struct err *e);

void manifest_free(struct manifest *m);

/* Whether a media type (parameters ignored) is one of a manifest or index, schema 1 included. */
bool media_type_is_manifest(struct slice media_type);

/* Without parameters and surrounding blanks. Borrows. */
struct slice media_type_bare(struct slice media_type);

#endif
