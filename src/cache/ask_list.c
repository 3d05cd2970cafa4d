/*
 * cache/ask_list.c - all tags of a repository, and all referrers of a digest.
 *
 *   page -> paging -> body -> take --another page--> page
 *     ^--pause--'               '--last one--> keep -> recorded -> publish
 *
 * Referrers: where upstream has no such API, the index under the fallback tag; where there is none
 * either, the empty list. Lists are kept as documents, so that they serve when upstream is gone.
 */
#include "cache/ask_steps.h"

#include "oci/referrers.h"
#include "oci/taglist.h"

#include <stdio.h>

#define PAGES_MAX 1000
#define TAGS_PAGE "n=1000"

STEP(page);
STEP(paging);
STEP(pause);
STEP(body);
STEP(take);
STEP(keep);

const struct step ASK_STEP_TAGS = {"page", step_page};
const struct step ASK_STEP_REFERRERS = {"page", step_page};

static const struct step *step_page(struct op *op)
{
    struct ask *a = ask_of(op);
    char tag[REFERRERS_TAG_MAX];

    if (a->kind == ASK_TAGS) {
        ask_fetch(a, FETCH_TAGS, false, a->page[0] == '\0' ? TAGS_PAGE : a->page);
    } else if (a->by_tag) {
        ask_fetch(a, FETCH_MANIFEST, false, referrers_fallback_tag(&a->want, tag));
    } else {
        char reference[ASK_REFERENCE_MAX + sizeof(a->page) + 1];

        snprintf(reference, sizeof(reference), "%s%s%s", a->reference,
                 a->page[0] == '\0' ? "" : "?", a->page);
        ask_fetch(a, FETCH_REFERRERS, false, reference);
    }
    return &S_paging;
}

static const struct step *step_paging(struct op *op)
{
    struct ask *a = ask_of(op);

    switch (ask_fetch_poll(a)) {
    case FETCH_NOT_YET:
        return STEP_WAIT;
    case FETCH_READY:
        return &S_body;
    case FETCH_FAILED:
        break;
    }
    if (ask_may_retry(a)) {
        return &S_pause;
    }
    if (a->kind == ASK_REFERRERS && !cache_upstream_failed(op->err.code) &&
        op->err.code != ERR_UPSTREAM_REFUSED) {
        op->err = (struct err){0};
        if (a->by_tag) {
            return &S_keep; /* neither API nor tag: nothing refers to it */
        }
        a->by_tag = true;
        return &S_page;
    }
    return &ASK_STEP_FAILED;
}

static const struct step *step_pause(struct op *op)
{
    return ask_pause_over(ask_of(op)) ? &S_page : STEP_WAIT;
}

/* The query of the next page, from Link, into a->next; "" where this is the last. */
static void take_link(struct ask *a)
{
    struct slice link = slice_str(fetch_answer(a->fetch)->link_next);
    size_t mark = slice_find(link, '?');

    a->next[0] = '\0';
    if (mark < link.len) {
        ignore_result(slice_copy(slice_from(link, mark + 1), a->next, sizeof(a->next)));
    }
}

static const struct step *step_body(struct op *op)
{
    struct ask *a = ask_of(op);
    int done;

    if (a->body.len == 0) {
        take_link(a);
    }
    done = ask_read_body(a, MANIFEST_LIMIT);
    if (done == 0) {
        return STEP_WAIT;
    }
    if (done < 0) {
        return ask_may_retry(a) ? &S_pause : &ASK_STEP_FAILED;
    }
    return &S_take;
}

static int take_tags(struct ask *a, struct err *err)
{
    struct taglist *page = NULL;
    int result = taglist_parse(buf_view(&a->body), &page, err);

    if (result == 0 && a->tags != NULL) {
        result = taglist_merge(a->tags, page, err);
        taglist_free(page);
    } else if (result == 0) {
        a->tags = page;
    }
    return result;
}

static const struct step *step_take(struct op *op)
{
    struct ask *a = ask_of(op);
    struct err err = {0};
    int result = a->kind == ASK_TAGS
                     ? take_tags(a, &err)
                     : referrers_collect(buf_view(&a->body), SLICE_NULL, &a->gathered, &err);

    if (result < 0) {
        return op_fail_with(op, &err);
    }
    memcpy(a->page, a->next, sizeof(a->page));
    if (a->page[0] != '\0' && !a->by_tag && ++a->pages < PAGES_MAX) {
        return &S_page;
    }
    return &S_keep;
}

/* NULL where the list is larger than what can be read again. */
static struct document *list_document(struct ask *a)
{
    struct document *d = NULL;
    struct buf out;

    buf_init(&out, TAGLIST_BODY_MAX);
    if (a->kind == ASK_TAGS) {
        taglist_write(a->tags, slice_str(a->repo.name), SLICE_NULL, TAGLIST_ALL, &out);
    } else {
        referrers_write(buf_view(&a->gathered), &out);
    }
    if (!out.failed) {
        d = document_new(out.p, out.len, SHA_256,
                         a->kind == ASK_TAGS ? "application/json"
                                             : "application/vnd.oci.image.index.v1+json");
    }
    buf_free(&out);
    return d;
}

static const struct step *step_keep(struct op *op)
{
    struct ask *a = ask_of(op);

    a->result.document = list_document(a);
    if (a->result.document == NULL) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s: its list has more than %u bytes",
                       a->repo.text, TAGLIST_BODY_MAX);
    }
    a->result.digest = a->result.document->digest;
    a->outcome = ASK_FETCHED;
    /* A list of tags has no reference of its own; the index wants one. */
    if (a->kind == ASK_TAGS) {
        ask_keep(a, TAG_LIST, LIST_REFERENCE, false);
    } else {
        ask_keep(a, TAG_REFERRERS, a->reference, false);
    }
    return &ASK_STEP_RECORDED;
}
