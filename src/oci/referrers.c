/* oci/referrers.c - lists of referrers, read, filtered and written anew. */
#include "oci/referrers.h"

#include "oci/manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice string_member(const json_t *object, const char *name)
{
    const json_t *j = json_object_get(object, name);

    return json_is_string(j) ? slice_of(json_string_value(j), json_string_length(j))
                             : slice_str("");
}

/* Whether a client could follow the entry, and it has the type that was asked for. */
static bool is_wanted(const json_t *entry, struct slice artifact_type)
{
    struct digest d;
    const json_t *size = json_object_get(entry, "size");

    if (!digest_parse(string_member(entry, "digest"), &d) ||
        string_member(entry, "mediaType").len == 0 || !json_is_integer(size) ||
        json_integer_value(size) < 0) {
        return false;
    }
    return artifact_type.len == 0 || slice_eq(string_member(entry, "artifactType"), artifact_type);
}

static void entry_append(struct buf *entries, const json_t *entry)
{
    char *text = json_dumps(entry, JSON_COMPACT);

    if (text == NULL) {
        return;
    }
    if (entries->len > 0) {
        buf_str(entries, ",");
    }
    buf_str(entries, text);
    free(text);
}

/* The "manifests" of an index, or NULL where it is none; null counts as an empty list. */
static const json_t *index_entries(const json_t *root)
{
    struct slice media_type = string_member(root, "mediaType");
    const json_t *manifests = json_object_get(root, "manifests");

    if (json_integer_value(json_object_get(root, "schemaVersion")) != 2 ||
        (media_type.len > 0 && !slice_is(media_type, REFERRERS_CONTENT_TYPE))) {
        return NULL;
    }
    return json_is_array(manifests) || json_is_null(manifests) ? manifests : NULL;
}

int referrers_collect(struct slice body, struct slice artifact_type, struct buf *entries,
                      struct err *e)
{
    struct err why = {0};
    const json_t *manifests;
    json_t *root;

    if (manifest_scan(body, &why) < 0) {
        return err_set(e, ERR_UPSTREAM_PROTOCOL, "the list of referrers: %s", why.text);
    }
    root = json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL);
    manifests = index_entries(root);
    if (manifests == NULL) {
        json_decref(root);
        return err_set(e, ERR_UPSTREAM_PROTOCOL, "the list of referrers is no index");
    }
    for (size_t i = 0; i < json_array_size(manifests); i++) {
        const json_t *entry = json_array_get(manifests, i);

        if (is_wanted(entry, artifact_type)) {
            entry_append(entries, entry);
        }
    }
    json_decref(root);
    return entries->failed ? err_set(e, ERR_UPSTREAM_PROTOCOL, "too many referrers") : 0;
}

void referrers_write(struct slice entries, struct buf *out)
{
    buf_str(out,
            "{\"schemaVersion\":2,\"mediaType\":\"" REFERRERS_CONTENT_TYPE "\",\"manifests\":[");
    buf_slice(out, entries);
    buf_str(out, "]}");
}

int referrers_filter(struct slice body, struct slice artifact_type, struct buf *out, struct err *e)
{
    struct buf entries;
    int result;

    buf_init(&entries, MANIFEST_MAX);
    result = referrers_collect(body, artifact_type, &entries, e);
    if (result == 0) {
        referrers_write(buf_view(&entries), out);
    }
    buf_free(&entries);
    return result;
}

const char *referrers_fallback_tag(const struct digest *d, char buf[REFERRERS_TAG_MAX])
{
    char hex[2 * 32 + 1];

    hex_encode(d->bytes, 32, hex);
    snprintf(buf, REFERRERS_TAG_MAX, "%s-%s", digest_alg_name(d), hex);
    return buf;
}

/* Of an image without a type of its own it is the config's; of an index there is none. */
static struct slice artifact_type_of(const json_t *root)
{
    struct slice type = string_member(root, "artifactType");

    if (type.len > 0) {
        return type;
    }
    return string_member(json_object_get(root, "config"), "mediaType");
}

int referrers_describe(struct slice body, const char *media_type, const struct digest *d,
                       struct slice artifact_type, struct buf *entries)
{
    struct err ignored = {0};
    char text[DIGEST_TEXT_MAX];
    json_t *annotations;
    struct slice type;
    json_t *entry;
    json_t *root;

    if (manifest_scan(body, &ignored) < 0 ||
        (root = json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL)) == NULL) {
        return -1;
    }
    type = artifact_type_of(root);
    annotations = json_object_get(root, "annotations");
    entry = json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest_text(d, text),
                      "size", (json_int_t)body.len);
    if (type.len > 0) {
        json_object_set_new(entry, "artifactType", json_stringn(type.p, type.len));
    }
    if (json_is_object(annotations)) {
        json_object_set(entry, "annotations", annotations);
    }
    if (entry != NULL && is_wanted(entry, artifact_type)) {
        entry_append(entries, entry);
    }
    json_decref(entry);
    json_decref(root);
    return 0;
}

/* False where it has no digest that is known here. */
static bool descriptor_read(const json_t *entry, struct descriptor *ret)
{
    const char *digest = json_string_value(json_object_get(entry, "digest"));
    const char *type = json_string_value(json_object_get(entry, "mediaType"));
    json_int_t size = json_integer_value(json_object_get(entry, "size"));

    *ret = (struct descriptor){.kind = CHILD_MANIFEST};
    ret->size = size > 0 ? (uint64_t)size : DESCRIPTOR_SIZE_UNKNOWN;
    if (type != NULL && strlen(type) < sizeof(ret->media_type)) {
        snprintf(ret->media_type, sizeof(ret->media_type), "%s", type);
    }
    return digest != NULL && digest_parse(slice_str(digest), &ret->digest);
}

int referrers_each(struct slice body, int (*f)(void *arg, const struct descriptor *d), void *arg)
{
    struct err err;
    json_t *root;
    json_t *entry;
    size_t i;
    int result = 0;

    if (manifest_scan(body, &err) < 0) {
        return 0;
    }
    root = json_loadb(body.p, body.len, 0, NULL);
    json_array_foreach(json_object_get(root, "manifests"), i, entry)
    {
        struct descriptor d;

        if (result == 0 && descriptor_read(entry, &d)) {
            result = f(arg, &d);
        }
    }
    json_decref(root);
    return result;
}
