/*
 * admin/place.c - gives an image whose bytes are here to a repository, with tags.
 *
 * The operator vouches for it: what came in an archive is then served as if the upstream had
 * answered for it, or as if it had been pushed. All of it appears in one change, after its bytes
 * are on disk for certain.
 */
#include "admin/closure.h"
#include "admin/repos.h"
#include "admin/settle.h"
#include "base/clock.h"
#include "store/hosted.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Missing digests that are told. */
#define MISSING_TOLD 1000

/* One request. Owner: admin_place(). */
struct placing {
    struct settle settle;
    struct closure closure;
    json_t *asked;
    struct digest digest;
    enum repo_kind kind;
    char repo[ROUTE_REPO_MAX];
    const char *tags[HOSTED_TAGS_MAX];
    size_t n_tags;
    bool replace;
    bool dry_run;
    /* of the change, which may run twice */
    bool vanished; /* a blob went meanwhile */
    bool changed;
    struct err refused; /* a tag is taken */
};

/* --- what is asked ------------------------------------------------------------------------- */

static int read_tags(struct placing *p, struct err *err)
{
    json_t *tags = json_object_get(p->asked, "tags");
    json_t *tag;
    size_t i;

    if (json_array_size(tags) > HOSTED_TAGS_MAX) {
        return err_set(err, ERR_TAG_INVALID, "more than %d tags", HOSTED_TAGS_MAX);
    }
    json_array_foreach(tags, i, tag)
    {
        const char *text = json_string_value(tag);

        if (text == NULL || !tag_valid(slice_str(text))) {
            return err_set(err, ERR_TAG_INVALID, "tags: number %zu is no tag", i + 1);
        }
        p->tags[p->n_tags++] = text;
    }
    return 0;
}

static int not_mirrored(struct slice host, struct err *err)
{
    int n = host.len < 80 ? (int)host.len : 80;

    return err_set(err, ERR_NAME_UNKNOWN,
                   "%.*s is not mirrored here: \"upstreams\": { \"%.*s\": {} } in the "
                   "configuration would change that",
                   n, host.p, n, host.p);
}

static int not_hosted(const char *name, struct err *err)
{
    return err_set(err, ERR_NAME_UNKNOWN,
                   "%.80s is hosted nowhere here: \"hosted\": { \"%.80s\": {} } in the "
                   "configuration would change that",
                   name, name);
}

/* What `localhost/NAME` could be called to be hosted: "stage/NAME". */
static int not_hosted_local(const struct admin *a, struct slice name, struct err *err)
{
    const struct route_table *t = a->routes;
    int n = name.len < 80 ? (int)name.len : 80;

    for (size_t i = 0; i < t->n_hosted; i++) {
        struct slice pattern = slice_str(t->hosted[i]);
        struct slice before = slice_sub(pattern, 0, slice_find(pattern, '*'));

        if (before.len > 0 && slice_is(slice_from(pattern, before.len), "**") && before.len < 60) {
            return err_set(err, ERR_NAME_UNKNOWN,
                           "it names no registry, and no pattern of `hosted` holds %.*s: tag it "
                           "as %.*s%.*s",
                           n, name.p, (int)before.len, before.p, n, name.p);
        }
    }
    return err_set(err, ERR_NAME_UNKNOWN,
                   "it names no registry, and no pattern of `hosted` holds %.*s", n, name.p);
}

/* Names are whole: one without a registry is hosted here, or it is nothing, and so is one of
 * `localhost`, which is how podman says that there is none. With Larder's own host before it, it
 * means what clients get by that. */
static int read_route(const struct admin *a, const char *text, struct route *ret, struct err *err)
{
    struct slice name = route_without_own(a->routes, slice_str(text));
    struct slice first = slice_sub(name, 0, slice_find(name, '/'));
    bool known = name.len < strlen(text) || route_find_upstream(a->routes, first) >= 0;
    bool local = !known && first.len < name.len && slice_is(first, "localhost");

    if (local) {
        name = slice_from(name, first.len + 1);
    }
    if (route_parse_name(a->routes, ROLE_ALL, name, ret, err) < 0) {
        if (err->code != ERR_NAME_UNKNOWN) {
            return -1;
        }
        return local ? not_hosted_local(a, name, err) : not_mirrored(first, err);
    }
    if (ret->hosted >= 0 || known) {
        return 0;
    }
    return local ? not_hosted_local(a, name, err) : not_hosted(text, err);
}

static int read_name(const struct admin *a, struct placing *p, struct err *err)
{
    const char *name = json_string_value(json_object_get(p->asked, "name"));
    struct route route;

    if (name == NULL) {
        return err_set(err, ERR_NAME_INVALID, "name: a repository is missing");
    }
    if (read_route(a, name, &route, err) < 0) {
        return -1;
    }
    p->kind = route.hosted >= 0 ? REPO_HOSTED : REPO_MIRRORED;
    route_repo_text(a->routes, &route, p->repo);
    return 0;
}

static int read_asked(const struct admin *a, struct placing *p, struct slice body, struct err *err)
{
    const char *digest;

    p->asked = json_loadb(body.len == 0 ? "" : body.p, body.len, 0, NULL);
    if (!json_is_object(p->asked)) {
        return err_set(err, ERR_BAD_REQUEST, "the body is no JSON object");
    }
    digest = json_string_value(json_object_get(p->asked, "digest"));
    if (digest == NULL || !digest_parse(slice_str(digest), &p->digest)) {
        return err_set(err, ERR_DIGEST_INVALID, "digest: that of a manifest is missing");
    }
    p->replace = json_is_true(json_object_get(p->asked, "replace"));
    p->dry_run = json_is_true(json_object_get(p->asked, "dry_run"));
    return read_tags(p, err) < 0 ? -1 : read_name(a, p, err);
}

/* --- what is there ------------------------------------------------------------------------- */

/* Says which, as far as there is room. */
static int refuse_missing(const struct placing *p, struct buf *out, struct err *err)
{
    const struct closure *c = &p->closure;
    char text[DIGEST_TEXT_MAX];

    buf_str(out, "{\"missing\":[");
    for (size_t i = 0; i < c->n_missing && i < MISSING_TOLD; i++) {
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", digest_text(&c->missing[i], text));
    }
    buf_str(out, "]}");
    digest_text(&c->missing[0], text);
    return err_set(err, c->n_manifests == 0 ? ERR_MANIFEST_UNKNOWN : ERR_BLOB_UNKNOWN,
                   "%zu of the blobs that it needs %s not here: %s%s", c->n_missing,
                   c->n_missing == 1 ? "is" : "are", text, c->n_missing == 1 ? "" : " …");
}

static int tag_taken(const struct placing *p, const char *tag, const struct digest *now,
                     struct err *err)
{
    char text[DIGEST_TEXT_MAX];

    return err_set(err, ERR_DENIED, "%.80s:%s is %s here: --replace would move it", p->repo, tag,
                   digest_text(now, text));
}

/* Tags of Larder's own repositories are not moved unasked. */
static int check_tags(const struct admin *a, const struct placing *p, struct err *err)
{
    struct index_read *r;
    struct tag_record now;
    uint64_t repo;
    int result = 0;

    if (p->kind != REPO_HOSTED || p->replace) {
        return 0;
    }
    if (admin_read_begin(a, &r, err) < 0) {
        return -1;
    }
    if (index_get_repo(r, REPO_HOSTED, p->repo, &repo) == INDEX_FOUND) {
        for (size_t i = 0; i < p->n_tags && result == 0; i++) {
            if (index_get_tag(r, repo, TAG_TAG, p->tags[i], &now) == INDEX_FOUND &&
                !digest_equal(&now.digest, &p->digest)) {
                result = tag_taken(p, p->tags[i], &now.digest, err);
            }
        }
    }
    index_read_end(r);
    return result;
}

/* --- the change ---------------------------------------------------------------------------- */

/* A blob is what the manifests say that it is. */
static void put_class(struct index_txn *t, const struct closure_blob *b)
{
    struct blob_record blob;

    if (index_txn_get_blob(t, &b->digest, &blob) != INDEX_FOUND ||
        (b->kind != CHILD_MANIFEST && b->kind != CHILD_CONFIG)) {
        return;
    }
    blob.class = b->kind == CHILD_MANIFEST ? BLOB_MANIFEST : BLOB_CONFIG;
    index_put_blob(t, &b->digest, &blob);
}

static void put_mirrored_member(struct index_txn *t, uint64_t repo, const struct closure_blob *b)
{
    struct member_record m = {
        .size = b->size,
        .proof = PROOF_UPSTREAM_ANSWER,
        .kind = (uint8_t)b->kind,
        .proved = clock_wall_s(),
    };

    snprintf(m.media_type, sizeof(m.media_type), "%s", b->media_type);
    index_put_member(t, repo, &b->digest, &m);
}

static void put_mirrored(struct placing *p, struct index_txn *t)
{
    uint64_t repo = index_put_repo(t, REPO_MIRRORED, p->repo);
    int64_t now = clock_wall_s();
    struct tag_record tag = {.digest = p->digest, .fetched = now, .checked = now};

    for (size_t i = 0; i < p->closure.n_blobs; i++) {
        put_class(t, &p->closure.blobs[i]);
        put_mirrored_member(t, repo, &p->closure.blobs[i]);
    }
    for (size_t i = 0; i < p->closure.n_manifests; i++) {
        const struct closure_manifest *m = &p->closure.manifests[i];

        if (m->len <= BODY_MAX) {
            index_put_body(t, &m->digest, m->body, m->len);
        }
        for (size_t k = 0; k < m->parsed->n_children; k++) {
            const struct descriptor *child = &m->parsed->children[k];

            index_put_ref(t, &m->digest, &child->digest, (uint8_t)child->kind, child->size);
        }
        if (m->parsed->has_subject) {
            index_put_ref(t, &m->parsed->subject, &m->digest, CHILD_REFERRER, m->len);
        }
    }
    for (size_t i = 0; i < p->n_tags; i++) {
        index_put_tag(t, repo, TAG_TAG, p->tags[i], &tag);
    }
}

/* Children first: a manifest makes members of those that are manifests by then. */
static void put_hosted(struct placing *p, struct index_txn *t)
{
    for (size_t i = p->closure.n_manifests; i-- > 0;) {
        const struct closure_manifest *m = &p->closure.manifests[i];
        struct hosted_manifest put = {
            .digest = m->digest,
            .body = slice_of(m->body, m->len),
            .parsed = m->parsed,
            .tags = p->tags,
            .n_tags = i == 0 ? p->n_tags : 0,
        };
        _cleanup_free_ bool *may_take = xcalloc(m->parsed->n_children + 1, sizeof(*may_take));
        size_t missing;

        memset(may_take, 1, m->parsed->n_children * sizeof(*may_take));
        put.may_take = may_take;
        snprintf(put.media_type, sizeof(put.media_type), "%s", m->parsed->media_type);
        hosted_put_manifest(t, p->repo, &put, &missing);
    }
}

/* Whether all bytes are still here and on disk. */
static bool all_synced(const struct placing *p, struct index_txn *t)
{
    for (size_t i = 0; i < p->closure.n_blobs; i++) {
        struct blob_record blob;

        if (index_txn_get_blob(t, &p->closure.blobs[i].digest, &blob) != INDEX_FOUND ||
            !blob.synced) {
            return false;
        }
    }
    return true;
}

/* What of it is new here. */
static void compare(struct placing *p, struct index_txn *t)
{
    struct member_record member;
    struct tag_record now;
    uint64_t repo;
    bool known = index_txn_get_repo(t, p->kind, p->repo, &repo) == INDEX_FOUND;

    p->changed = !known || index_txn_get_member(t, repo, &p->digest, &member) != INDEX_FOUND;
    for (size_t i = 0; i < p->n_tags; i++) {
        bool there = known && index_txn_get_tag(t, repo, TAG_TAG, p->tags[i], &now) == INDEX_FOUND;
        bool same = there && digest_equal(&now.digest, &p->digest);

        p->changed |= !same;
        if (there && !same && p->kind == REPO_HOSTED && !p->replace) {
            tag_taken(p, p->tags[i], &now.digest, &p->refused);
        }
    }
}

static void place_apply(struct index_write *w, struct index_txn *t)
{
    struct placing *p = container_of(w, struct placing, settle.write);

    p->refused = (struct err){0};
    p->vanished = !all_synced(p, t);
    if (p->vanished) {
        return;
    }
    compare(p, t);
    if (p->refused.code != ERR_NONE) {
        return;
    }
    if (p->kind == REPO_HOSTED) {
        put_hosted(p, t);
    } else {
        put_mirrored(p, t);
    }
}

/* Leases first, so that nothing goes between this look and the change. */
static int make_change(const struct admin *a, struct placing *p, struct err *err)
{
    struct closure *c = &p->closure;
    struct digest *all = xcalloc(c->n_blobs + 1, sizeof(*all));
    int result;

    for (size_t i = 0; i < c->n_blobs; i++) {
        all[i] = c->blobs[i].digest;
        ignore_result(!store_lease(a->store, &all[i]));
    }
    store_sync_blobs(a->store, all, c->n_blobs);
    free(all);
    settle_init(&p->settle, place_apply);
    result = settle_run(&p->settle, a->store, err);
    settle_fini(&p->settle);
    if (result == 0 && p->vanished) {
        result = err_set(err, ERR_UNAVAILABLE, "a blob that it needs went meanwhile; try again");
    }
    if (result == 0 && p->refused.code != ERR_NONE) {
        *err = p->refused;
        result = -1;
    }
    return result;
}

static int place(const struct admin *a, struct placing *p, struct buf *out, struct err *err)
{
    if (check_tags(a, p, err) < 0) {
        return -1; /* said before its bytes are here, so that they need not come */
    }
    if (closure_read(a->store, &p->digest, &p->closure, err) < 0) {
        if (err->code == ERR_MANIFEST_INVALID) {
            err->code = ERR_MANIFEST_REFUSED; /* nobody else's bytes are at fault */
        }
        return -1;
    }
    if (p->closure.n_missing > 0) {
        return refuse_missing(p, out, err);
    }
    if (!p->dry_run && make_change(a, p, err) < 0) {
        return -1;
    }
    buf_str(out, "{\"name\":");
    buf_json(out, slice_str(p->repo));
    buf_printf(out, ",\"blobs\":%zu,\"bytes\":%llu,\"changed\":%s}\n", p->closure.n_blobs,
               (unsigned long long)p->closure.bytes, p->changed ? "true" : "false");
    return 0;
}

int admin_place(const struct admin *a, const struct admin_query *q, struct buf *out,
                struct err *err)
{
    struct placing p = {0};
    int result = read_asked(a, &p, q->body, err);

    if (result == 0) {
        result = place(a, &p, out, err);
    }
    closure_fini(&p.closure);
    json_decref(p.asked);
    return result;
}
