/* bundle/docker.c - images in manifest.json, both ways. */
#include "bundle/docker.h"

#include "bundle/layout.h"
#include "oci/jscan.h"

#include <stdlib.h>

#define KEY_MAX 32
/* Longest path or tag. */
#define TEXT_MAX 1023

static void list_free(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

static void image_clear(struct docker_image *i)
{
    free(i->config);
    list_free(i->tags, i->n_tags);
    list_free(i->layers, i->n_layers);
    *i = (struct docker_image){0};
}

void docker_read_init(struct docker_read *r)
{
    *r = (struct docker_read){0};
    json_list_init(&r->list, LAYOUT_DOCKER_NAME, NULL);
}

void docker_read_fini(struct docker_read *r)
{
    image_clear(&r->image);
    json_list_fini(&r->list);
}

/* NULL where the token is no string, not ASCII, or too long. */
static char *text_take(const struct jscan *s, enum jscan_token t)
{
    char text[TEXT_MAX + 1];

    return t == JSCAN_STRING && jscan_ascii(s->token, text, sizeof(text)) ? xstrdup(text) : NULL;
}

/* A list of strings, or null. What was there before goes: of a repeated member the last counts. */
static bool list_read(struct jscan *s, char ***list, size_t *n, size_t max)
{
    enum jscan_token t = jscan_next(s);

    list_free(*list, *n);
    *list = NULL;
    *n = 0;
    if (t != JSCAN_ARRAY) {
        return t == JSCAN_WORD && slice_is(s->token, "null");
    }
    while ((t = jscan_next(s)) != JSCAN_ARRAY_END) {
        char *text = text_take(s, t);

        if (text == NULL || *n == max) {
            free(text);
            return false;
        }
        if ((*n & (*n - 1)) == 0) {
            *list = xrealloc(*list, (*n == 0 ? 1 : 2 * *n) * sizeof(**list));
        }
        (*list)[(*n)++] = text;
    }
    return true;
}

/* Legal JSON, an object: json_list saw to that. */
static bool image_read(struct docker_image *i, struct slice text)
{
    struct jscan s;
    bool good = true;

    jscan_init(&s, text, JSON_LIST_DEPTH_MAX, JSON_LIST_VALUES_MAX);
    ignore_result(jscan_next(&s));
    while (good && jscan_next(&s) == JSCAN_KEY) {
        char key[KEY_MAX];

        if (!jscan_ascii(s.token, key, sizeof(key))) {
            key[0] = '\0';
        }
        if (strcmp(key, "Config") == 0) {
            free(i->config);
            i->config = text_take(&s, jscan_next(&s));
            good = i->config != NULL;
        } else if (strcmp(key, "RepoTags") == 0) {
            good = list_read(&s, &i->tags, &i->n_tags, DOCKER_TAGS_MAX);
        } else if (strcmp(key, "Layers") == 0) {
            good = list_read(&s, &i->layers, &i->n_layers, DOCKER_LAYERS_MAX);
        } else {
            good = jscan_skip(&s, jscan_next(&s));
        }
    }
    return good && i->config != NULL;
}

enum docker_event docker_read_feed(struct docker_read *r, struct slice *in, struct err *e)
{
    image_clear(&r->image);
    switch (json_list_feed(&r->list, in, e)) {
    case JSON_LIST_MORE:
        return DOCKER_MORE;
    case JSON_LIST_BAD:
        return DOCKER_BAD;
    case JSON_LIST_ENTRY:
        break;
    }
    if (!image_read(&r->image, r->list.entry)) {
        r->list.state = JSON_LIST_IS_BAD;
        err_set(
            &r->list.err, ERR_BAD_REQUEST,
            "manifest.json: image %llu, which ends at byte %llu, lacks a Config, or has no list "
            "of strings where one belongs",
            (unsigned long long)r->n_images, (unsigned long long)r->list.at);
        *e = r->list.err;
        return DOCKER_BAD;
    }
    r->n_images++;
    return DOCKER_IMAGE;
}

int docker_read_finish(struct docker_read *r, struct err *e)
{
    struct slice around;

    if (json_list_finish(&r->list, &around, e) < 0) {
        return -1;
    }
    return r->list.seen ? 0 : err_set(e, ERR_BAD_REQUEST, "manifest.json is no list");
}

/* --- writing ------------------------------------------------------------------------------- */

void docker_list_open(struct buf *out)
{
    buf_str(out, "[");
}

void docker_list_close(struct buf *out)
{
    buf_str(out, "\n]\n");
}

static void path_add(struct buf *out, const struct digest *d)
{
    char path[LAYOUT_PATH_MAX];

    buf_printf(out, "\"%s\"", layout_blob_path(d, path));
}

void docker_list_image(struct buf *out, const struct digest *config, const char *const *tags,
                       size_t n_tags, bool first)
{
    buf_str(out, first ? "\n{\"Config\":" : ",\n{\"Config\":");
    path_add(out, config);
    buf_str(out, ",\"RepoTags\":[");
    for (size_t i = 0; i < n_tags; i++) {
        buf_str(out, i == 0 ? "" : ",");
        buf_json(out, slice_str(tags[i]));
    }
    buf_str(out, "],\"Layers\":[");
}

void docker_list_layer(struct buf *out, const struct digest *layer, bool first)
{
    buf_str(out, first ? "" : ",");
    path_add(out, layer);
}

void docker_list_image_end(struct buf *out)
{
    buf_str(out, "]}");
}
