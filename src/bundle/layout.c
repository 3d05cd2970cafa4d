/* bundle/layout.c - names of files, and entries of index.json both ways. */
#include "bundle/layout.h"

#include "oci/jscan.h"

#include <stdio.h>

#define A_IMAGE "io.containerd.image.name"
#define A_SUBJECT "io.containerd.manifest.subject"
#define A_REF "org.opencontainers.image.ref.name"
#define KEY_MAX 48

/* --- files --------------------------------------------------------------------------------- */

enum layout_file layout_file_of(const char *name, struct digest *ret)
{
    struct slice rest = slice_str(name);
    char text[DIGEST_TEXT_MAX];
    size_t slash;

    if (slice_is(rest, LAYOUT_VERSION_NAME)) {
        return LAYOUT_FILE_VERSION;
    }
    if (slice_is(rest, LAYOUT_INDEX_NAME)) {
        return LAYOUT_FILE_INDEX;
    }
    if (slice_is(rest, LAYOUT_DOCKER_NAME)) {
        return LAYOUT_FILE_DOCKER;
    }
    if (!slice_starts(rest, "blobs/")) {
        return LAYOUT_FILE_OTHER;
    }
    rest = slice_from(rest, 6);
    slash = slice_find(rest, '/');
    if (slash == rest.len || !slice_copy(rest, text, sizeof(text))) {
        return LAYOUT_FILE_OTHER;
    }
    text[slash] = ':';
    return digest_parse(slice_str(text), ret) ? LAYOUT_FILE_BLOB : LAYOUT_FILE_OTHER;
}

const char *layout_blob_path(const struct digest *d, char buf[LAYOUT_PATH_MAX])
{
    char text[DIGEST_TEXT_MAX];

    snprintf(buf, LAYOUT_PATH_MAX, "blobs/%s", digest_text(d, text));
    *strchr(buf, ':') = '/';
    return buf;
}

/* --- members ------------------------------------------------------------------------------- */

/* A string, or "" where the value is none, is not ASCII, or does not fit. */
static void text_read(struct jscan *s, char *out, size_t size)
{
    enum jscan_token t = jscan_next(s);

    if (t != JSCAN_STRING || !jscan_ascii(s->token, out, size)) {
        out[0] = '\0';
        ignore_result(jscan_skip(s, t));
    }
}

/* The next key of the object at hand, "" for one that is not looked for; false behind the last. */
static bool key_next(struct jscan *s, char key[KEY_MAX])
{
    if (jscan_next(s) != JSCAN_KEY) {
        return false;
    }
    if (!jscan_ascii(s->token, key, KEY_MAX)) {
        key[0] = '\0';
    }
    return true;
}

int layout_check_version(struct slice text, struct err *e)
{
    char version[16] = "";
    char key[KEY_MAX];
    struct jscan s;

    jscan_init(&s, text, JSON_LIST_DEPTH_MAX, JSON_LIST_VALUES_MAX);
    if (jscan_next(&s) != JSCAN_OBJECT) {
        return err_set(e, ERR_BAD_REQUEST, "oci-layout is no JSON object");
    }
    while (key_next(&s, key)) {
        if (strcmp(key, "imageLayoutVersion") == 0) {
            text_read(&s, version, sizeof(version));
        } else {
            ignore_result(jscan_skip(&s, jscan_next(&s)));
        }
    }
    if (jscan_next(&s) != JSCAN_END) {
        return err_set(e, ERR_BAD_REQUEST, "oci-layout is no JSON object");
    }
    if (strcmp(version, "1.0.0") != 0) {
        return err_set(e, ERR_BAD_REQUEST, "oci-layout: the layout is of version \"%s\", not 1.0.0",
                       version);
    }
    return 0;
}

/* --- entries ------------------------------------------------------------------------------- */

int layout_entry_order(const struct layout_entry *a, const struct layout_entry *b)
{
    int order = strcmp(a->image_name, b->image_name);

    if (order == 0) {
        order = strcmp(a->ref_name, b->ref_name);
    }
    if (order == 0) {
        order = memcmp(&a->digest, &b->digest, sizeof(a->digest));
    }
    return order != 0 ? order : memcmp(&a->subject, &b->subject, sizeof(a->subject));
}

void layout_index_open(struct buf *out)
{
    buf_str(out, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":[");
}

void layout_index_close(struct buf *out)
{
    buf_str(out, "\n]}\n");
}

static void annotation_add(struct buf *out, const char *key, const char *value, bool *first)
{
    if (value[0] != '\0') {
        buf_printf(out, "%s\"%s\":", *first ? ",\"annotations\":{" : ",", key);
        buf_json(out, slice_str(value));
        *first = false;
    }
}

void layout_index_entry(struct buf *out, const struct layout_entry *entry, bool first)
{
    char digest[DIGEST_TEXT_MAX];
    char subject[DIGEST_TEXT_MAX] = "";
    bool bare = true;

    if (entry->has_subject) {
        digest_text(&entry->subject, subject);
    }
    buf_str(out, first ? "\n{\"mediaType\":" : ",\n{\"mediaType\":");
    buf_json(out, slice_str(entry->media_type));
    buf_printf(out, ",\"digest\":\"%s\",\"size\":%llu", digest_text(&entry->digest, digest),
               (unsigned long long)entry->size);
    annotation_add(out, A_IMAGE, entry->image_name, &bare);
    annotation_add(out, A_SUBJECT, subject, &bare);
    annotation_add(out, A_REF, entry->ref_name, &bare);
    buf_str(out, bare ? "}" : "}}");
}

void layout_read_init(struct layout_read *r)
{
    *r = (struct layout_read){0};
    json_list_init(&r->list, LAYOUT_INDEX_NAME, "manifests");
}

void layout_read_fini(struct layout_read *r)
{
    json_list_fini(&r->list);
}

static void annotations_read(struct layout_entry *entry, struct jscan *s)
{
    enum jscan_token t = jscan_next(s);
    char subject[DIGEST_TEXT_MAX];
    char key[KEY_MAX];

    if (t != JSCAN_OBJECT) {
        ignore_result(jscan_skip(s, t));
        return;
    }
    while (key_next(s, key)) {
        if (strcmp(key, A_IMAGE) == 0) {
            text_read(s, entry->image_name, sizeof(entry->image_name));
        } else if (strcmp(key, A_REF) == 0) {
            text_read(s, entry->ref_name, sizeof(entry->ref_name));
        } else if (strcmp(key, A_SUBJECT) == 0) {
            text_read(s, subject, sizeof(subject));
            entry->has_subject = digest_parse(slice_str(subject), &entry->subject);
        } else {
            ignore_result(jscan_skip(s, jscan_next(s)));
        }
    }
}

/* Legal JSON, an object: json_list saw to that. False where digest or size is missing. */
static bool entry_read(struct layout_entry *entry, struct slice text)
{
    char digest[DIGEST_TEXT_MAX] = "";
    bool has_size = false;
    char key[KEY_MAX];
    struct jscan s;

    *entry = (struct layout_entry){0};
    jscan_init(&s, text, JSON_LIST_DEPTH_MAX, JSON_LIST_VALUES_MAX);
    ignore_result(jscan_next(&s));
    while (key_next(&s, key)) {
        if (strcmp(key, "digest") == 0) {
            text_read(&s, digest, sizeof(digest));
        } else if (strcmp(key, "mediaType") == 0) {
            text_read(&s, entry->media_type, sizeof(entry->media_type));
        } else if (strcmp(key, "size") == 0) {
            enum jscan_token t = jscan_next(&s);

            has_size =
                t == JSCAN_NUMBER && slice_u64(s.token, &entry->size) && entry->size <= INT64_MAX;
            ignore_result(jscan_skip(&s, t));
        } else if (strcmp(key, "annotations") == 0) {
            annotations_read(entry, &s);
        } else {
            ignore_result(jscan_skip(&s, jscan_next(&s)));
        }
    }
    return digest_parse(slice_str(digest), &entry->digest) && has_size;
}

enum layout_event layout_read_feed(struct layout_read *r, struct slice *in, struct err *e)
{
    switch (json_list_feed(&r->list, in, e)) {
    case JSON_LIST_MORE:
        return LAYOUT_MORE;
    case JSON_LIST_BAD:
        return LAYOUT_BAD;
    case JSON_LIST_ENTRY:
        break;
    }
    if (!entry_read(&r->entry, r->list.entry)) {
        r->list.state = JSON_LIST_IS_BAD;
        err_set(&r->list.err, ERR_BAD_REQUEST,
                "index.json: entry %llu, which ends at byte %llu, lacks a size, or a digest of an "
                "algorithm that is known here",
                (unsigned long long)r->n_entries, (unsigned long long)r->list.at);
        *e = r->list.err;
        return LAYOUT_BAD;
    }
    r->n_entries++;
    return LAYOUT_ENTRY;
}

/* Whether the value at hand is the list whose entries were given. Some write null for none; a key
 * with escapes in it was not taken for the list's. */
static bool is_list(const struct layout_read *r, const struct jscan *s, enum jscan_token t)
{
    return t == JSCAN_ARRAY ? r->list.seen : t == JSCAN_WORD && slice_is(s->token, "null");
}

int layout_read_finish(struct layout_read *r, struct err *e)
{
    struct slice around;
    unsigned lists = 0;
    bool schema = false;
    char key[KEY_MAX];
    struct jscan s;

    if (json_list_finish(&r->list, &around, e) < 0) {
        return -1;
    }
    jscan_init(&s, around, JSON_LIST_DEPTH_MAX, JSON_LIST_VALUES_MAX);
    if (jscan_next(&s) != JSCAN_OBJECT) {
        return err_set(e, ERR_BAD_REQUEST, "index.json is no JSON object");
    }
    while (key_next(&s, key)) {
        enum jscan_token t = jscan_next(&s);

        if (strcmp(key, "schemaVersion") == 0) {
            schema = t == JSCAN_NUMBER && slice_is(s.token, "2");
        } else if (strcmp(key, "manifests") == 0) {
            lists += is_list(r, &s, t) ? 1 : 2;
        }
        ignore_result(jscan_skip(&s, t));
    }
    if (!schema) {
        return err_set(e, ERR_BAD_REQUEST, "index.json is not of schema 2");
    }
    return lists == 1 ? 0 : err_set(e, ERR_BAD_REQUEST, "index.json has not one list of manifests");
}
