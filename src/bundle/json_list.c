/* bundle/json_list.c - finds where entries begin and end; oci/jscan.h judges what is between. */
#include "bundle/json_list.h"

#include "oci/jscan.h"

#define KEY_MAX 32

void json_list_init(struct json_list *l, const char *what, const char *member)
{
    *l = (struct json_list){.what = what, .member = member, .state = JSON_LIST_AROUND};
    l->begins = member == NULL;
    buf_init(&l->text, JSON_LIST_ENTRY_MAX);
    buf_init(&l->around, JSON_LIST_AROUND_MAX);
}

void json_list_fini(struct json_list *l)
{
    buf_free(&l->text);
    buf_free(&l->around);
}

static enum json_list_event bad(struct json_list *l, const char *why)
{
    l->state = JSON_LIST_IS_BAD;
    err_set(&l->err, ERR_BAD_REQUEST, "%s at byte %llu: %s", l->what, (unsigned long long)l->at,
            why);
    return JSON_LIST_BAD;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether the text is one legal value within the bounds. */
static bool text_legal(struct slice text)
{
    enum jscan_token t;
    struct jscan s;

    jscan_init(&s, text, JSON_LIST_DEPTH_MAX, JSON_LIST_VALUES_MAX);
    do {
        t = jscan_next(&s);
    } while (t != JSCAN_END && t != JSCAN_BAD);
    return t == JSCAN_END;
}

/* A byte within a string, or one that begins it. True where it means nothing else. */
static bool string_step(struct json_list *l, char c)
{
    if (!l->in_string) {
        l->in_string = c == '"';
        return l->in_string;
    }
    if (l->escaped) {
        l->escaped = false;
    } else if (c == '\\') {
        l->escaped = true;
    } else if (c == '"') {
        l->in_string = false;
    }
    return true;
}

static void depth_step(struct json_list *l, char c)
{
    if (c == '{' || c == '[') {
        l->depth++;
    } else if ((c == '}' || c == ']') && l->depth > 0) {
        l->depth--;
    }
}

/* --- around the list ----------------------------------------------------------------------- */

/* Whether the last string around is the name of the list. */
static bool key_is_member(const struct json_list *l)
{
    struct slice token = slice_sub(buf_view(&l->around), l->key_from, l->key_to);
    char key[KEY_MAX];

    /* What is no legal string is told from the whole, and would be read too far here. */
    return l->member != NULL && l->key_from < l->key_to && slice_find(token, '\\') == token.len &&
           jscan_ascii(token, key, sizeof(key)) && strcmp(key, l->member) == 0;
}

static enum json_list_event list_begin(struct json_list *l)
{
    if (l->seen) {
        return bad(l, "the list is there twice");
    }
    l->seen = true;
    l->begins = false;
    l->state = JSON_LIST_AT_FIRST;
    return JSON_LIST_MORE;
}

/* A byte that is in no string, and no blank. */
static enum json_list_event mark_step(struct json_list *l, char c)
{
    if (c == '[' && l->begins) {
        return list_begin(l);
    }
    l->begins = c == ':' && l->depth == 1 && key_is_member(l);
    depth_step(l, c);
    return JSON_LIST_MORE;
}

static enum json_list_event around_step(struct json_list *l, char c)
{
    bool was = l->in_string;

    buf_append(&l->around, &c, 1);
    if (l->around.failed) {
        return bad(l, "too much stands around the list");
    }
    if (string_step(l, c)) {
        if (!was) {
            l->key_from = l->around.len;
            l->begins = false;
        } else if (!l->in_string) {
            l->key_to = l->around.len - 1;
        }
        return JSON_LIST_MORE;
    }
    return is_blank(c) ? JSON_LIST_MORE : mark_step(l, c);
}

/* --- the list ------------------------------------------------------------------------------ */

/* A byte between entries. */
static enum json_list_event between_step(struct json_list *l, char c)
{
    if (is_blank(c)) {
        return JSON_LIST_MORE;
    }
    if (c == ']' && l->state != JSON_LIST_AT_VALUE) {
        buf_append(&l->around, &c, 1);
        l->state = JSON_LIST_AROUND;
        return JSON_LIST_MORE;
    }
    if (l->state == JSON_LIST_AT_COMMA) {
        l->state = JSON_LIST_AT_VALUE;
        return c == ',' ? JSON_LIST_MORE : bad(l, "there is no comma between two entries");
    }
    if (c != '{') {
        return bad(l, "an entry of the list is no object");
    }
    l->state = JSON_LIST_IN_ENTRY;
    return JSON_LIST_MORE;
}

/* How many of the bytes belong to the entry; sets the state where it ends there. */
static size_t entry_span(struct json_list *l, struct slice in, unsigned outer)
{
    for (size_t i = 0; i < in.len; i++) {
        if (!string_step(l, in.p[i])) {
            depth_step(l, in.p[i]);
            if (l->depth == outer) {
                l->state = JSON_LIST_AT_COMMA;
                return i + 1;
            }
        }
    }
    return in.len;
}

static enum json_list_event entry_feed(struct json_list *l, struct slice *in)
{
    size_t n = entry_span(l, *in, l->member == NULL ? 0 : 1);

    buf_slice(&l->text, slice_sub(*in, 0, n));
    if (l->text.failed) {
        return bad(l, "an entry of the list is larger than 1 MiB");
    }
    l->at += n;
    *in = slice_from(*in, n);
    if (l->state == JSON_LIST_IN_ENTRY) {
        return JSON_LIST_MORE;
    }
    if (!text_legal(buf_view(&l->text))) {
        return bad(l, "the entry that ends here is no JSON, or has too many values");
    }
    l->entry = buf_view(&l->text);
    l->given = true;
    return JSON_LIST_ENTRY;
}

static enum json_list_event feed_some(struct json_list *l, struct slice *in)
{
    enum json_list_event event;

    if (l->state == JSON_LIST_IN_ENTRY) {
        return entry_feed(l, in);
    }
    event = l->state == JSON_LIST_AROUND ? around_step(l, in->p[0]) : between_step(l, in->p[0]);
    /* The byte that opens an entry is part of it. */
    if (event != JSON_LIST_BAD && l->state != JSON_LIST_IN_ENTRY) {
        l->at++;
        *in = slice_from(*in, 1);
    }
    return event;
}

enum json_list_event json_list_feed(struct json_list *l, struct slice *in, struct err *e)
{
    enum json_list_event event = JSON_LIST_MORE;

    if (l->given) {
        l->given = false;
        l->text.len = 0;
        l->entry = SLICE_NULL;
    }
    while (event == JSON_LIST_MORE && in->len > 0) {
        event = l->state == JSON_LIST_IS_BAD ? JSON_LIST_BAD : feed_some(l, in);
    }
    if (event == JSON_LIST_BAD) {
        *e = l->err;
    }
    return event;
}

int json_list_finish(struct json_list *l, struct slice *ret_around, struct err *e)
{
    if (l->state == JSON_LIST_IS_BAD) {
        *e = l->err;
        return -1;
    }
    if (l->state != JSON_LIST_AROUND || l->in_string || l->depth > 0 || l->at == 0) {
        return err_set(e, ERR_BAD_REQUEST, "%s breaks off at byte %llu", l->what,
                       (unsigned long long)l->at);
    }
    if (!text_legal(buf_view(&l->around))) {
        return err_set(e, ERR_BAD_REQUEST, "%s is no JSON, or has too many values", l->what);
    }
    *ret_around = buf_view(&l->around);
    return 0;
}
