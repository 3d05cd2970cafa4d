/* admin/handed.c - JSON of a hand-over, written and read. */
#include "admin/handed.h"

#include "cache/member.h"
#include "store/lease.h"
#include "store/record.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* "unix:" and a path. */
#define ADDRESS_MAX 4096

/* --- writing ------------------------------------------------------------------------------- */

static void put_text(json_t *to, const char *name, const char *text)
{
    json_object_set_new(to, name, json_string(text));
}

static void put_digest(json_t *to, const char *name, const struct digest *d)
{
    char text[DIGEST_TEXT_MAX];

    put_text(to, name, digest_text(d, text));
}

/* As hex: names of users and certificates, and paths, may be of any bytes. */
static void put_bytes(json_t *to, const char *name, const void *bytes, size_t n)
{
    _cleanup_free_ char *hex = xcalloc(1, 2 * n + 1);

    hex_encode(bytes, n, hex);
    put_text(to, name, hex);
}

/* Takes `j`. */
static void dump(json_t *j, struct buf *out)
{
    char *text = json_dumps(j, JSON_COMPACT);

    buf_str(out, text == NULL ? "" : text);
    free(text);
    json_decref(j);
}

static json_t *upload_json(const struct handed_upload *u)
{
    json_t *j = json_object();

    put_text(j, "id", u->id);
    put_text(j, "repo", u->repo);
    put_bytes(j, "owner", u->owner, strlen(u->owner));
    json_object_set_new(j, "end", json_integer(u->end));
    json_object_set_new(j, "offset", json_integer((json_int_t)u->offset));
    if (u->end == HANDED_WHOLE) {
        put_digest(j, "digest", &u->digest);
    }
    put_bytes(j, "state", u->state, u->state_len);
    return j;
}

void handed_state_write(const struct handed_state *s, struct buf *out)
{
    json_t *j = json_object();
    json_t *listeners = json_array();
    json_t *uploads = json_array();
    json_t *leases = json_array();
    char text[DIGEST_TEXT_MAX];

    for (size_t i = 0; i < s->n_listeners; i++) {
        json_t *one = json_object();

        put_bytes(one, "address", s->listeners[i].address, strlen(s->listeners[i].address));
        put_bytes(one, "bound", s->listeners[i].bound, strlen(s->listeners[i].bound));
        json_array_append_new(listeners, one);
    }
    for (size_t i = 0; i < s->store.n_uploads; i++) {
        json_array_append_new(uploads, upload_json(&s->store.uploads[i]));
    }
    for (size_t i = 0; i < s->store.n_leases; i++) {
        json_array_append_new(leases, json_string(digest_text(&s->store.leases[i], text)));
    }
    json_object_set_new(j, "listeners", listeners);
    json_object_set_new(j, "uploads", uploads);
    json_object_set_new(j, "leases", leases);
    if (s->has_key) {
        put_bytes(j, "key", s->key, sizeof(s->key));
    }
    dump(j, out);
}

void handed_blob_write(const struct handed_blob *b, struct buf *out)
{
    char credential[24];
    json_t *j = json_object();

    put_text(j, "file", b->file);
    put_digest(j, "digest", &b->digest);
    json_object_set_new(j, "size", json_integer((json_int_t)b->size));
    json_object_set_new(j, "class", json_integer(b->class));
    put_text(j, "repo", b->repo);
    json_object_set_new(j, "kind", json_integer(b->kind));
    snprintf(credential, sizeof(credential), "%llu", (unsigned long long)b->credential);
    put_text(j, "credential", credential); /* 64 bits, more than a number of JSON has */
    dump(j, out);
}

void handed_upload_write(const struct handed_upload *u, struct buf *out)
{
    dump(upload_json(u), out);
}

/* --- reading ------------------------------------------------------------------------------- */

static int refuse(const char *what, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "%s: missing, or not what it should be", what);
}

/* NULL: there is none. */
static const char *text_of(json_t *j, const char *name)
{
    return json_string_value(json_object_get(j, name));
}

static bool number_of(json_t *j, const char *name, uint64_t max, uint64_t *ret)
{
    json_t *n = json_object_get(j, name);

    if (!json_is_integer(n) || json_integer_value(n) < 0 || (uint64_t)json_integer_value(n) > max) {
        return false;
    }
    *ret = (uint64_t)json_integer_value(n);
    return true;
}

static bool digest_of(json_t *j, const char *name, struct digest *ret)
{
    const char *text = text_of(j, name);

    return text != NULL && digest_parse(slice_str(text), ret);
}

static int read_object(struct slice text, json_t **ret, struct err *err)
{
    *ret = json_loadb(text.len == 0 ? "" : text.p, text.len, 0, NULL);
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        return err_set(err, ERR_BAD_REQUEST, "the body is no JSON object");
    }
    return 0;
}

/* Bytes as hex: how many there are, at most `max`; SIZE_MAX: it is none. */
static size_t bytes_of(json_t *j, const char *name, void *out, size_t max)
{
    const char *hex = text_of(j, name);
    size_t n = hex == NULL ? SIZE_MAX : strlen(hex) / 2;

    return n <= max && hex_decode(slice_str(hex), out) ? n : SIZE_MAX;
}

/* A C string; the caller's. NULL: it is none, or longer than `max`. */
static char *string_of(json_t *j, const char *name, size_t max)
{
    char *text = xcalloc(1, max + 1);

    if (bytes_of(j, name, text, max) == SIZE_MAX) {
        free(text);
        return NULL;
    }
    return text;
}

/* As upload_open() makes them: it becomes part of a file's name. */
static bool is_id(const char *id)
{
    return id != NULL && strlen(id) == UPLOAD_ID_SIZE - 1 &&
           strspn(id, "0123456789abcdef") == UPLOAD_ID_SIZE - 1;
}

/* Borrows from `j`, and `owner`. */
static int read_upload(json_t *j, struct handed_upload *ret, char owner[UPLOAD_OWNER_MAX + 1],
                       struct err *err)
{
    size_t owner_len = bytes_of(j, "owner", owner, UPLOAD_OWNER_MAX);
    uint64_t end;

    *ret =
        (struct handed_upload){.id = text_of(j, "id"), .repo = text_of(j, "repo"), .owner = owner};
    if (!is_id(ret->id) || ret->repo == NULL || strlen(ret->repo) > REPO_NAME_MAX ||
        owner_len == SIZE_MAX) {
        return refuse("id, repo, owner", err);
    }
    owner[owner_len] = '\0';
    if (!number_of(j, "end", HANDED_DROPPED, &end) ||
        !number_of(j, "offset", INT64_MAX, &ret->offset)) {
        return refuse("end, offset", err);
    }
    ret->end = (enum handed_end)end;
    if (ret->end == HANDED_WHOLE && !digest_of(j, "digest", &ret->digest)) {
        return refuse("digest", err);
    }
    ret->state_len = bytes_of(j, "state", ret->state, sizeof(ret->state));
    if (ret->state_len == SIZE_MAX) {
        return refuse("state", err);
    }
    return 0;
}

static int read_listeners(json_t *all, struct handed_state *ret, struct err *err)
{
    json_t *one;
    size_t i;

    if (!json_is_array(all) || json_array_size(all) > HANDED_LISTENERS_MAX) {
        return refuse("listeners", err);
    }
    json_array_foreach(all, i, one)
    {
        struct handed_listener *l = &ret->listeners[ret->n_listeners++];

        l->address = string_of(one, "address", ADDRESS_MAX);
        l->bound = string_of(one, "bound", ADDRESS_MAX);
        if (l->address == NULL || l->bound == NULL) {
            return refuse("listeners", err);
        }
    }
    return 0;
}

static int read_uploads(json_t *all, struct store_state *ret, struct err *err)
{
    json_t *one;
    size_t i;

    if (!json_is_array(all) || json_array_size(all) > UPLOADS_MAX) {
        return refuse("uploads", err);
    }
    ret->uploads = xcalloc(json_array_size(all) + 1, sizeof(*ret->uploads));
    json_array_foreach(all, i, one)
    {
        char owner[UPLOAD_OWNER_MAX + 1];
        struct handed_upload u;

        if (read_upload(one, &u, owner, err) < 0) {
            return -1;
        }
        u.id = xstrdup(u.id);
        u.repo = xstrdup(u.repo);
        u.owner = xstrdup(u.owner);
        ret->uploads[ret->n_uploads++] = u;
    }
    return 0;
}

static int read_leases(json_t *all, struct store_state *ret, struct err *err)
{
    json_t *one;
    size_t i;

    if (!json_is_array(all) || json_array_size(all) > LEASES_MAX) {
        return refuse("leases", err);
    }
    ret->leases = xcalloc(json_array_size(all) + 1, sizeof(*ret->leases));
    json_array_foreach(all, i, one)
    {
        const char *text = json_string_value(one);

        if (text == NULL || !digest_parse(slice_str(text), &ret->leases[i])) {
            return refuse("leases", err);
        }
        ret->n_leases++;
    }
    return 0;
}

int handed_state_read(struct slice text, struct handed_state *ret, struct err *err)
{
    json_t *j;
    int result;

    *ret = (struct handed_state){0};
    if (read_object(text, &j, err) < 0) {
        return -1;
    }
    result = read_listeners(json_object_get(j, "listeners"), ret, err);
    if (result == 0) {
        result = read_uploads(json_object_get(j, "uploads"), &ret->store, err);
    }
    if (result == 0) {
        result = read_leases(json_object_get(j, "leases"), &ret->store, err);
    }
    ret->has_key = bytes_of(j, "key", ret->key, sizeof(ret->key)) == sizeof(ret->key);
    json_decref(j);
    if (result < 0) {
        handed_state_free(ret);
    }
    return result;
}

void handed_state_free(struct handed_state *s)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        free(s->listeners[i].address);
        free(s->listeners[i].bound);
    }
    s->n_listeners = 0;
    s->has_key = false;
    explicit_bzero(s->key, sizeof(s->key));
    store_state_free(&s->store);
}

/* --- commands ------------------------------------------------------------------------------ */

static void put_member(struct index_txn *t, const struct handed_blob *b)
{
    if (b->repo[0] != '\0') {
        member_put_proved(t, b->repo, &b->digest, b->size, b->kind, b->credential);
    }
}

/* Borrows from `j`. */
static int read_blob(json_t *j, struct handed_blob *ret, struct err *err)
{
    const char *credential = text_of(j, "credential");
    uint64_t class;
    uint64_t kind;

    *ret = (struct handed_blob){.file = text_of(j, "file"), .repo = text_of(j, "repo")};
    if (ret->file == NULL || ret->repo == NULL || strlen(ret->repo) >= ROUTE_REPO_MAX) {
        return refuse("file, repo", err);
    }
    if (!digest_of(j, "digest", &ret->digest)) {
        return refuse("digest", err);
    }
    if (!number_of(j, "size", INT64_MAX, &ret->size) ||
        !number_of(j, "class", BLOB_OTHER, &class) || !number_of(j, "kind", UINT8_MAX, &kind) ||
        credential == NULL || !slice_u64(slice_str(credential), &ret->credential)) {
        return refuse("size, class, kind, credential", err);
    }
    ret->class = (enum blob_class) class;
    ret->kind = (uint8_t)kind;
    return 0;
}

int admin_take_blob(const struct admin *a, const struct admin_query *q, struct buf *out,
                    struct err *err)
{
    struct handed_blob blob;
    json_t *j;
    int result;

    if (read_object(q->body, &j, err) < 0) {
        return -1;
    }
    result = read_blob(j, &blob, err);
    if (result == 0) {
        result = store_take_blob(a->store, &blob, put_member, err);
    }
    json_decref(j);
    buf_str(out, "{}");
    return result;
}

int admin_take_upload(const struct admin *a, const struct admin_query *q, struct buf *out,
                      struct err *err)
{
    char owner[UPLOAD_OWNER_MAX + 1];
    struct handed_upload upload;
    json_t *j;
    int result;

    if (read_object(q->body, &j, err) < 0) {
        return -1;
    }
    result = read_upload(j, &upload, owner, err);
    if (result == 0) {
        result = store_take_upload(a->store, &upload, err);
    }
    json_decref(j);
    buf_str(out, "{}");
    return result;
}
