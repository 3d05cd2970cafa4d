/* oci/manifest.c - manifests as lists of children. */
#include "oci/manifest.h"

#include "oci/jscan.h"

#include <jansson.h>
#include <stdlib.h>

struct type_row {
    const char *media_type;
    enum manifest_type type;
};

static const struct type_row types[] = {
    {MEDIA_TYPE_OCI_INDEX, MANIFEST_INDEX},
    {MEDIA_TYPE_DOCKER_LIST, MANIFEST_INDEX},
    {MEDIA_TYPE_OCI_MANIFEST, MANIFEST_IMAGE},
    {MEDIA_TYPE_DOCKER_MANIFEST, MANIFEST_IMAGE},
    {MEDIA_TYPE_OCI_ARTIFACT, MANIFEST_ARTIFACT},
    {"application/vnd.docker.distribution.manifest.v1+prettyjws", MANIFEST_SCHEMA1},
    {"application/vnd.docker.distribution.manifest.v1+json", MANIFEST_SCHEMA1},
};

/* --- media types --- */

struct slice media_type_bare(struct slice media_type)
{
    return slice_trim(slice_sub(media_type, 0, slice_find(media_type, ';')));
}

static const struct type_row *type_find(struct slice media_type)
{
    struct slice bare = media_type_bare(media_type);

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (slice_is_nocase(bare, types[i].media_type)) {
            return &types[i];
        }
    }
    return NULL;
}

bool media_type_is_manifest(struct slice media_type)
{
    return type_find(media_type) != NULL;
}

/* Layers that may stay in a registry of their maker. */
static bool media_type_is_foreign(struct slice media_type)
{
    return slice_starts(media_type, "application/vnd.oci.image.layer.nondistributable.") ||
           slice_starts(media_type, "application/vnd.docker.image.rootfs.foreign.");
}

/* --- bounds --- */

int manifest_scan(struct slice body, struct err *e)
{
    struct jscan s;
    enum jscan_token t;

    if (body.len > MANIFEST_MAX) {
        return err_set(e, ERR_MANIFEST_INVALID, "the manifest is larger than %u bytes",
                       MANIFEST_MAX);
    }
    jscan_init(&s, body, MANIFEST_DEPTH_MAX, MANIFEST_VALUES_MAX);
    do {
        t = jscan_next(&s);
    } while (t != JSCAN_END && t != JSCAN_BAD);
    if (t == JSCAN_END) {
        return 0;
    }
    if (s.values > s.values_max) {
        return err_set(e, ERR_MANIFEST_INVALID, "the manifest has more than %d values",
                       MANIFEST_VALUES_MAX);
    }
    return err_set(e, ERR_MANIFEST_INVALID,
                   "the manifest is no JSON, or deeper than %d, from byte %zu on",
                   MANIFEST_DEPTH_MAX, s.at);
}

/* --- members --- */

static bool has(const json_t *root, const char *name)
{
    const json_t *j = json_object_get(root, name);

    return j != NULL && !json_is_null(j);
}

/* A string member, or an empty slice. Borrows. */
static struct slice string_member(const json_t *object, const char *name)
{
    const json_t *j = json_object_get(object, name);

    return json_is_string(j) ? slice_of(json_string_value(j), json_string_length(j))
                             : slice_str("");
}

/* Copies what fits whole; else "". */
static void copy_or_empty(struct slice s, char *buf, size_t size)
{
    if (!slice_copy(s, buf, size)) {
        buf[0] = '\0';
    }
}

enum digest_found { DIGEST_GOOD, DIGEST_FOREIGN, DIGEST_BROKEN };

/* The digest of a descriptor. One of another algorithm cannot be asked for here: not an error. */
static enum digest_found digest_member(const json_t *object, struct digest *ret)
{
    struct slice text = string_member(object, "digest");

    if (digest_parse(text, ret)) {
        return DIGEST_GOOD;
    }
    if (!digest_has_form(text) || slice_starts(text, "sha256:") || slice_starts(text, "sha512:")) {
        return DIGEST_BROKEN;
    }
    return DIGEST_FOREIGN;
}

static uint64_t size_member(const json_t *object)
{
    const json_t *j = json_object_get(object, "size");

    return json_is_integer(j) && json_integer_value(j) >= 0 ? (uint64_t)json_integer_value(j)
                                                            : DESCRIPTOR_SIZE_UNKNOWN;
}

/* What no member of a descriptor may be, and an upstream's may be all the same: others would read
 * it in another way, or not at all. */
static void check_descriptor(struct manifest *m, const json_t *j)
{
    const json_t *size = json_object_get(j, "size");

    if (has(j, "mediaType") && !json_is_string(json_object_get(j, "mediaType"))) {
        m->fault = "the mediaType of a descriptor is no string";
    }
    if (has(j, "size") && (!json_is_integer(size) || json_integer_value(size) < 0)) {
        m->fault = "the size of a descriptor is no number of bytes";
    }
}

static int add_child(struct manifest *m, const json_t *j, enum child_kind kind, struct err *e)
{
    struct descriptor d = {.kind = kind};
    struct slice media_type = string_member(j, "mediaType");

    if (!json_is_object(j)) {
        return err_set(e, ERR_MANIFEST_INVALID, "an entry of the manifest is no descriptor");
    }
    check_descriptor(m, j);
    switch (digest_member(j, &d.digest)) {
    case DIGEST_BROKEN:
        return err_set(e, ERR_MANIFEST_INVALID, "an entry of the manifest has no valid digest");
    case DIGEST_FOREIGN:
        return 0;
    case DIGEST_GOOD:
        break;
    }
    if (kind == CHILD_MANIFEST && !media_type_is_manifest(media_type)) {
        d.kind = CHILD_BLOB;
    }
    copy_or_empty(media_type, d.media_type, sizeof(d.media_type));
    d.size = size_member(j);
    d.foreign =
        media_type_is_foreign(media_type) || json_array_size(json_object_get(j, "urls")) > 0;
    m->children[m->n_children++] = d;
    return 0;
}

/* A member that is an array of descriptors, or not there. */
static int add_children(struct manifest *m, const json_t *array, enum child_kind kind,
                        struct err *e)
{
    size_t i;
    json_t *entry;

    if (array != NULL && !json_is_array(array) && !json_is_null(array)) {
        return err_set(e, ERR_MANIFEST_INVALID, "the manifest has no list where one belongs");
    }
    json_array_foreach(array, i, entry)
    {
        if (add_child(m, entry, kind, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_subject(struct manifest *m, const json_t *root, struct err *e)
{
    const json_t *subject = json_object_get(root, "subject");

    if (subject == NULL || json_is_null(subject)) {
        return 0;
    }
    check_descriptor(m, subject);
    switch (digest_member(subject, &m->subject)) {
    case DIGEST_BROKEN:
        return err_set(e, ERR_MANIFEST_INVALID, "the manifest's subject has no valid digest");
    case DIGEST_FOREIGN:
        break;
    case DIGEST_GOOD:
        m->has_subject = true;
        break;
    }
    return 0;
}

/* --- the whole --- */

/* What the members look like; NULL where they look like nothing. */
static const char *type_by_shape(const json_t *root)
{
    if (json_integer_value(json_object_get(root, "schemaVersion")) != 2) {
        return NULL; /* any JSON could be here: a captive portal's, an error's */
    }
    if (has(root, "manifests")) {
        return MEDIA_TYPE_OCI_INDEX;
    }
    return has(root, "config") || has(root, "layers") ? MEDIA_TYPE_OCI_MANIFEST : NULL;
}

static int set_type(struct manifest *m, const json_t *root, struct slice content_type,
                    struct err *e)
{
    const char *shape = type_by_shape(root);
    const struct type_row *row = type_find(string_member(root, "mediaType"));

    if (row == NULL) {
        row = type_find(content_type);
    }
    if (row == NULL && shape != NULL) {
        row = type_find(slice_str(shape));
    }
    if (has(root, "fsLayers") || (row != NULL && row->type == MANIFEST_SCHEMA1)) {
        return err_set(e, ERR_MANIFEST_INVALID, "manifests of schema 1 are unsupported");
    }
    if (row == NULL) {
        return err_set(e, ERR_MANIFEST_INVALID, "it is no manifest");
    }
    m->type = row->type;
    copy_or_empty(slice_str(row->media_type), m->media_type, sizeof(m->media_type));
    return 0;
}

/* One body read as an index by some and as an image by others would be two things under one digest
 * (image-spec, CVE-2021-41190). */
static int check_unambiguous(const struct manifest *m, const json_t *root, struct err *e)
{
    bool index = has(root, "manifests");
    bool image = has(root, "config") || has(root, "layers");

    if ((m->type == MANIFEST_INDEX && image) || (m->type == MANIFEST_IMAGE && index)) {
        return err_set(e, ERR_MANIFEST_INVALID, "the manifest is an index and an image at once");
    }
    return 0;
}

static void check_root(struct manifest *m, const json_t *root)
{
    if (has(root, "schemaVersion") && !json_is_integer(json_object_get(root, "schemaVersion"))) {
        m->fault = "schemaVersion is no number";
    }
    if (has(root, "mediaType") && !json_is_string(json_object_get(root, "mediaType"))) {
        m->fault = "mediaType is no string";
    }
    if (has(root, "artifactType") && !json_is_string(json_object_get(root, "artifactType"))) {
        m->fault = "artifactType is no string";
    }
}

static int fill(struct manifest *m, const json_t *root, struct slice content_type, struct err *e)
{
    const json_t *manifests = json_object_get(root, "manifests");
    const json_t *config = json_object_get(root, "config");
    const json_t *layers = json_object_get(root, "layers");
    const json_t *blobs = json_object_get(root, "blobs");

    if (set_type(m, root, content_type, e) < 0 || check_unambiguous(m, root, e) < 0 ||
        add_subject(m, root, e) < 0) {
        return -1;
    }
    check_root(m, root);
    copy_or_empty(string_member(root, "artifactType"), m->artifact_type, sizeof(m->artifact_type));
    m->children =
        xcalloc(json_array_size(manifests) + json_array_size(layers) + json_array_size(blobs) + 1,
                sizeof(*m->children));
    switch (m->type) {
    case MANIFEST_INDEX:
        return add_children(m, manifests, CHILD_MANIFEST, e);
    case MANIFEST_IMAGE:
        if (has(root, "config") && add_child(m, config, CHILD_CONFIG, e) < 0) {
            return -1;
        }
        return add_children(m, layers, CHILD_LAYER, e);
    case MANIFEST_ARTIFACT:
        return add_children(m, blobs, CHILD_BLOB, e);
    case MANIFEST_SCHEMA1:
        break;
    }
    return 0;
}

int manifest_parse(struct slice body, struct slice content_type, struct manifest **ret,
                   struct err *e)
{
    struct manifest *m;
    json_t *root;
    int result;

    if (manifest_scan(body, e) < 0) {
        return -1;
    }
    root = json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, ERR_MANIFEST_INVALID, "the manifest is no JSON object");
    }
    m = xnew(struct manifest);
    result = fill(m, root, content_type, e);
    json_decref(root);
    if (result < 0) {
        manifest_free(m);
        return -1;
    }
    *ret = m;
    return 0;
}

void manifest_free(struct manifest *m)
{
    if (m != NULL) {
        free(m->children);
        free(m);
    }
}
