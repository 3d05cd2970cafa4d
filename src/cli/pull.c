/* cli/pull.c - one image, manifest by manifest. */
#include "cli/pull.h"

#include "base/sha.h"
#include "oci/referrers.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_LIMIT (4u * MANIFEST_MAX)

/* One walk. */
struct pulling {
    struct line *line;
    const struct pull_options *options;
    const struct pull_sink *sink;
    struct walk *walk;
    struct digest *fetched; /* manifests that were, when a tag was asked for */
    size_t n_fetched;
};

/* What was answered for a manifest. Owner: the caller, by got_fini(). */
struct got {
    struct buf body;
    struct descriptor what;
    bool fetched; /* just now */
};

static void got_fini(struct got *g)
{
    buf_free(&g->body);
}

char *pull_target(const struct reference *r, const char *what, const char *reference)
{
    return xasprintf("/v2/%s/%s/%s", r->name, what, reference);
}

/* Takes digest, type and where it came from out of the head, and believes none that the bytes do
 * not bear out. */
static int check(const struct http_head *head, const struct digest *want, struct got *g,
                 struct err *err)
{
    struct slice type = http_field(head, "Content-Type");
    struct slice told = http_field(head, "Docker-Content-Digest");
    struct slice from = http_field(head, "X-Larder");
    struct digest found;

    if (want->alg != 0) {
        g->what.digest = *want;
    } else if (!digest_parse(told, &g->what.digest)) {
        return err_set(err, ERR_STORE, "the server's answer has no digest");
    }
    found.alg = g->what.digest.alg;
    memset(found.bytes, 0, sizeof(found.bytes));
    sha_of((enum sha_alg)found.alg, g->body.p, g->body.len, found.bytes);
    if (!digest_equal(&found, &g->what.digest)) {
        return err_set(err, ERR_DIGEST_MISMATCH, "the manifest's bytes are not its digest's");
    }
    g->what.kind = CHILD_MANIFEST;
    g->what.size = g->body.len;
    ignore_result(
        !slice_copy(media_type_bare(type), g->what.media_type, sizeof(g->what.media_type)));
    g->fetched = !slice_starts(from, "hit") && !slice_starts(from, "stale");
    return 0;
}

/* It will be asked for again, by its digest, and be here by then. */
static void remember(struct pulling *p, const struct got *g)
{
    if (g->fetched) {
        p->fetched = xrealloc(p->fetched, (p->n_fetched + 1) * sizeof(*p->fetched));
        p->fetched[p->n_fetched++] = g->what.digest;
    }
}

static bool was_fetched(const struct pulling *p, const struct digest *d)
{
    for (size_t i = 0; i < p->n_fetched; i++) {
        if (digest_equal(&p->fetched[i], d)) {
            return true;
        }
    }
    return false;
}

/* GETs a manifest by tag or digest (`want`). */
static int get(struct pulling *p, const char *reference, const struct digest *want, struct got *g,
               struct err *err)
{
    _cleanup_free_ char *target = pull_target(p->options->reference, "manifests", reference);
    _cleanup_free_ struct http_head *head = xnew(struct http_head);
    struct line_request r = {
        .method = HTTP_GET,
        .target = target,
        .fields = p->options->only_cached ? "Accept: " MANIFEST_ACCEPT
                                            "\r\nCache-Control: only-if-cached\r\n"
                                          : "Accept: " MANIFEST_ACCEPT "\r\n",
    };

    *g = (struct got){0};
    buf_init(&g->body, MANIFEST_MAX);
    if (line_ask(p->line, &r, SLICE_NULL, &g->body, head, err) < 0) {
        return -1;
    }
    return check(head, want, g, err);
}

/* --- referrers ----------------------------------------------------------------------------- */

/* Of one list. */
struct listing {
    struct walk *walk;
    struct err *err;
};

static int add_listed(void *arg, const struct descriptor *d)
{
    struct listing *l = arg;

    return walk_add(l->walk, d, l->err);
}

/* A registry without the API has none, and says so in many ways. */
static int visit_referrers(struct pulling *p, const struct digest *subject, struct err *err)
{
    char text[DIGEST_TEXT_MAX];
    _cleanup_free_ char *target =
        pull_target(p->options->reference, "referrers", digest_text(subject, text));
    struct line_request r = {
        .method = HTTP_GET,
        .target = target,
        .fields = p->options->only_cached ? "Cache-Control: only-if-cached\r\n" : NULL,
    };
    struct listing listing = {p->walk, err};
    struct err none;
    struct buf body;
    int result = 0;

    buf_init(&body, BODY_LIMIT);
    if (line_ask(p->line, &r, SLICE_NULL, &body, NULL, &none) == 0) {
        result = referrers_each(buf_view(&body), add_listed, &listing);
    }
    buf_free(&body);
    return result;
}

static int visit_tag(struct pulling *p, const char *tag, struct err *err)
{
    struct digest any = {0};
    struct err none;
    struct got g;
    int result = 0;

    if (get(p, tag, &any, &g, &none) == 0) {
        remember(p, &g);
        result = walk_add(p->walk, &g.what, err);
    }
    got_fini(&g);
    return result;
}

/* --- the walk ------------------------------------------------------------------------------ */

static int visit_manifest(struct pulling *p, const struct walk_item *item, struct err *err)
{
    char text[DIGEST_TEXT_MAX];
    struct walk_item told = *item;
    struct got g;
    int result = get(p, digest_text(&item->what.digest, text), &item->what.digest, &g, err);

    if (result == 0) {
        if (media_type_is_manifest(slice_str(g.what.media_type))) {
            memcpy(told.what.media_type, g.what.media_type, sizeof(told.what.media_type));
        }
        told.what.size = g.body.len;
        result = p->sink->item(p->sink->arg, &told, buf_view(&g.body),
                               g.fetched || was_fetched(p, &item->what.digest), err);
    } else if (item->referrer) {
        result = 0; /* a list may name what is gone */
        buf_free(&g.body);
        return result;
    }
    if (result == 0) {
        result = walk_manifest(p->walk, buf_view(&g.body), err);
    }
    got_fini(&g);
    return result;
}

static int visit(struct pulling *p, const struct walk_item *item, struct err *err)
{
    switch (item->kind) {
    case WALK_MANIFEST:
        return visit_manifest(p, item, err);
    case WALK_BLOB:
        return p->sink->item(p->sink->arg, item, SLICE_NULL, false, err);
    case WALK_REFERRERS:
        return visit_referrers(p, &item->what.digest, err);
    case WALK_TAG:
        return visit_tag(p, item->tag, err);
    }
    return 0;
}

/* The digest that the reference means; the manifest is read once more by that, from the store. */
static int find_root(struct pulling *p, struct descriptor *ret, struct err *err)
{
    const struct reference *r = p->options->reference;
    struct digest any = {0};
    struct got g;
    int result;

    if (r->by_digest) {
        *ret = (struct descriptor){.digest = r->digest, .kind = CHILD_MANIFEST};
        ret->size = DESCRIPTOR_SIZE_UNKNOWN;
        return 0;
    }
    result = get(p, r->tag, &any, &g, err);
    *ret = g.what;
    remember(p, &g);
    got_fini(&g);
    return result;
}

int pull_image(struct line *l, const struct pull_options *o, const struct pull_sink *sink,
               struct err *err)
{
    struct pulling p = {.line = l, .options = o, .sink = sink};
    struct walk_item item;
    struct descriptor root;
    int result;

    if (find_root(&p, &root, err) < 0) {
        return -1;
    }
    result = 0;
    p.walk = walk_new(o->platforms, o->n_platforms, o->referrers);
    walk_root(p.walk, &root);
    while (result == 0 && walk_next(p.walk, &item)) {
        result = visit(&p, &item, err);
    }
    walk_free(p.walk);
    free(p.fetched);
    return result;
}
