/* oci/lockfile.c - lock files, read in one pass without a tree, and written a line an image. */
#include "oci/lockfile.h"

#include "oci/jscan.h"
#include "oci/platform.h"

#include <stdlib.h>

#define DEPTH_MAX 8
#define KEY_MAX 16
/* Keys, values and containers of an image without platforms, and some more. */
#define VALUES_MAX (LOCKFILE_IMAGES_MAX * 20u)
#define SHOWN_MAX 40

/* --- making -------------------------------------------------------------------------------- */

struct lock_image *lockfile_add(struct lockfile *l, struct slice name, struct slice tag,
                                const struct digest *d)
{
    struct lock_image *i;

    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 16 : 2 * l->cap;
        l->images = xrealloc(l->images, l->cap * sizeof(*l->images));
    }
    i = &l->images[l->n];
    *i = (struct lock_image){
        .name = xstrndup(name.p == NULL ? "" : name.p, name.len),
        .tag = xstrndup(tag.p == NULL ? "" : tag.p, tag.len),
        .digest = *d,
        .at = l->n,
    };
    l->n++;
    return i;
}

void lock_image_add_platform(struct lock_image *i, struct slice platform)
{
    if (i->n_platforms == LOCKFILE_PLATFORMS_MAX) {
        return;
    }
    for (size_t n = 0; n < i->n_platforms; n++) {
        if (slice_is(platform, i->platforms[n])) {
            return;
        }
    }
    i->platforms = xrealloc(i->platforms, (i->n_platforms + 1) * sizeof(*i->platforms));
    i->platforms[i->n_platforms++] = xstrndup(platform.p, platform.len);
}

static void image_fini(struct lock_image *i)
{
    for (size_t n = 0; n < i->n_platforms; n++) {
        free(i->platforms[n]);
    }
    free(i->platforms);
    free(i->name);
    free(i->tag);
}

void lockfile_free(struct lockfile *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        image_fini(&l->images[i]);
    }
    free(l->images);
    free(l);
}

/* --- order --------------------------------------------------------------------------------- */

static int order_of_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int order_of_names(const struct lock_image *a, const char *name, const char *tag)
{
    int order = strcmp(a->name, name);

    return order != 0 ? order : strcmp(a->tag, tag);
}

static int order_of_images(const void *left, const void *right)
{
    const struct lock_image *a = left;
    const struct lock_image *b = right;
    int order = order_of_names(a, b->name, b->tag);

    order = order != 0 ? order : memcmp(&a->digest, &b->digest, sizeof(a->digest));
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* What the second of two images, which are the same, has more than the first. */
static void image_merge(struct lock_image *into, struct lock_image *from)
{
    for (size_t n = 0; n < from->n_platforms; n++) {
        lock_image_add_platform(into, slice_str(from->platforms[n]));
    }
    image_fini(from);
}

/* Sorted images without repetitions. */
static void images_unite(struct lockfile *l)
{
    size_t kept = 0;

    for (size_t i = 1; i < l->n; i++) {
        struct lock_image *last = &l->images[kept];
        struct lock_image *next = &l->images[i];

        if (order_of_names(last, next->name, next->tag) == 0 &&
            digest_equal(&last->digest, &next->digest)) {
            image_merge(last, next);
        } else {
            l->images[++kept] = *next;
        }
    }
    l->n = l->n == 0 ? 0 : kept + 1;
    for (size_t i = 0; i < l->n; i++) {
        struct lock_image *image = &l->images[i];

        if (image->n_platforms > 0) {
            qsort(image->platforms, image->n_platforms, sizeof(*image->platforms), order_of_texts);
        }
    }
}

int lockfile_sort(struct lockfile *l, struct err *e)
{
    if (l->n > 0) {
        qsort(l->images, l->n, sizeof(*l->images), order_of_images);
    }
    images_unite(l);
    for (size_t i = 1; i < l->n; i++) {
        const struct lock_image *a = &l->images[i - 1];
        const struct lock_image *b = &l->images[i];

        if (a->tag[0] != '\0' && order_of_names(a, b->name, b->tag) == 0) {
            size_t first = a->at < b->at ? a->at : b->at;
            size_t second = a->at < b->at ? b->at : a->at;

            return err_set(e, ERR_CONFIG,
                           "images[%zu]: %.100s:%.40s must not have another digest than in "
                           "images[%zu]",
                           second, a->name, a->tag, first);
        }
    }
    return 0;
}

/* --- reading ------------------------------------------------------------------------------- */

/* Where in the file it is. Lives on the stack of lockfile_parse(). */
struct parse {
    struct jscan s;
    const struct route_table *routes;
    struct lockfile *l;
    struct err *e;
    char name[ROUTE_REPO_MAX];
    char tag[TAG_MAX_LEN + 1];
    struct digest digest;
    char platforms[LOCKFILE_PLATFORMS_MAX][PLATFORM_TEXT_MAX];
    size_t n_platforms;
    unsigned seen; /* a bit a key of IMAGE_KEYS */
};

static int bad_json(const struct parse *p)
{
    size_t line = 1;

    if (p->s.values > p->s.values_max) {
        return err_set(p->e, ERR_CONFIG, "must have at most %u values", VALUES_MAX);
    }
    for (size_t i = 0; i < p->s.at && i < p->s.text.len; i++) {
        line += p->s.text.p[i] == '\n';
    }
    return err_set(p->e, ERR_CONFIG, "line %zu: must be JSON, at most %d deep", line, DEPTH_MAX);
}

/* "images[3].KEY: must be " and the text. */
static int bad_value(const struct parse *p, const char *key, const char *right)
{
    return err_set(p->e, ERR_CONFIG, "images[%zu]%s%s: must be %s", p->l->n,
                   key[0] == '\0' ? "" : ".", key, right);
}

/* The string at hand; -1 and what would be right where it is none, or too long. */
static int string_read(struct parse *p, const char *key, const char *right, char *out, size_t size)
{
    enum jscan_token t = jscan_next(&p->s);

    if (t == JSCAN_BAD) {
        return bad_json(p);
    }
    if (t != JSCAN_STRING || !jscan_ascii(p->s.token, out, size)) {
        return bad_value(p, key, right);
    }
    return 0;
}

static int name_read(struct parse *p)
{
    static const char RIGHT[] = "a repository with its registry, such as "
                                "\"docker.io/library/golang\"";
    char text[ROUTE_REPO_MAX];
    struct route route;
    struct err why = {0};

    if (string_read(p, "name", RIGHT, text, sizeof(text)) < 0) {
        return -1;
    }
    if (route_parse_name(p->routes, ROLE_ALL, slice_str(text), &route, &why) == 0) {
        route_repo_text(p->routes, &route, p->name);
        return 0;
    }
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return bad_value(p, "name", RIGHT);
        }
    }
    memcpy(p->name, text, sizeof(text));
    return why.code == ERR_NAME_UNKNOWN ? 0 : bad_value(p, "name", RIGHT);
}

static int tag_read(struct parse *p)
{
    static const char RIGHT[] = "a tag, such as \"1.18\", or left out";

    if (string_read(p, "tag", RIGHT, p->tag, sizeof(p->tag)) < 0) {
        return -1;
    }
    return tag_valid(slice_str(p->tag)) ? 0 : bad_value(p, "tag", RIGHT);
}

static int digest_read(struct parse *p)
{
    static const char RIGHT[] = "a digest: \"sha256:\" and 64, or \"sha512:\" and 128 digits of "
                                "lower-case hex";
    char text[DIGEST_TEXT_MAX];

    if (string_read(p, "digest", RIGHT, text, sizeof(text)) < 0) {
        return -1;
    }
    return digest_parse(slice_str(text), &p->digest) ? 0 : bad_value(p, "digest", RIGHT);
}

static int platforms_read(struct parse *p)
{
    static const char RIGHT[] = "a list of at most 64 platforms, such as [\"linux/amd64\"]";
    enum jscan_token t = jscan_next(&p->s);

    if (t != JSCAN_ARRAY) {
        return t == JSCAN_BAD ? bad_json(p) : bad_value(p, "platforms", RIGHT);
    }
    while ((t = jscan_next(&p->s)) == JSCAN_STRING) {
        char text[PLATFORM_TEXT_MAX];
        struct platform platform;

        if (p->n_platforms == LOCKFILE_PLATFORMS_MAX ||
            !jscan_ascii(p->s.token, text, sizeof(text)) ||
            !platform_parse(slice_str(text), &platform)) {
            return bad_value(p, "platforms", RIGHT);
        }
        platform_text(&platform, p->platforms[p->n_platforms++]);
    }
    if (t == JSCAN_ARRAY_END) {
        return 0;
    }
    return t == JSCAN_BAD ? bad_json(p) : bad_value(p, "platforms", RIGHT);
}

static const struct {
    const char *name;
    int (*read)(struct parse *p);
} IMAGE_KEYS[] = {
    {"name", name_read},
    {"tag", tag_read},
    {"digest", digest_read},
    {"platforms", platforms_read},
};

enum { SEEN_NAME = 1, SEEN_DIGEST = 4 };

/* One member of an image, whose key is at hand. */
static int image_member(struct parse *p)
{
    char key[KEY_MAX];

    if (!jscan_ascii(p->s.token, key, sizeof(key))) {
        key[0] = '\0';
    }
    for (size_t i = 0; i < ARRAY_LEN(IMAGE_KEYS); i++) {
        if (strcmp(key, IMAGE_KEYS[i].name) != 0) {
            continue;
        }
        if ((p->seen >> i & 1) != 0) {
            return bad_value(p, key, "there once");
        }
        p->seen |= 1u << i;
        return IMAGE_KEYS[i].read(p);
    }
    return err_set(p->e, ERR_CONFIG,
                   "images[%zu]: unknown key \"" SLICE_FMT
                   "\"; known are name, tag, digest, platforms",
                   p->l->n, SLICE_ARG(slice_sub(p->s.token, 0, SHOWN_MAX)));
}

static void image_keep(struct parse *p)
{
    struct lock_image *i = lockfile_add(p->l, slice_str(p->name), slice_str(p->tag), &p->digest);

    for (size_t n = 0; n < p->n_platforms; n++) {
        lock_image_add_platform(i, slice_str(p->platforms[n]));
    }
    p->n_platforms = 0;
    p->seen = 0;
    p->tag[0] = '\0';
}

/* Behind its opening brace. */
static int image_read(struct parse *p)
{
    enum jscan_token t;

    while ((t = jscan_next(&p->s)) == JSCAN_KEY) {
        if (image_member(p) < 0) {
            return -1;
        }
    }
    if (t != JSCAN_OBJECT_END) {
        return bad_json(p);
    }
    if ((p->seen & SEEN_NAME) == 0) {
        return bad_value(p, "name", "there");
    }
    if ((p->seen & SEEN_DIGEST) == 0) {
        return bad_value(p, "digest", "there");
    }
    image_keep(p);
    return 0;
}

static int images_read(struct parse *p)
{
    enum jscan_token t = jscan_next(&p->s);

    if (t != JSCAN_ARRAY) {
        return t == JSCAN_BAD ? bad_json(p)
                              : err_set(p->e, ERR_CONFIG, "images: must be a list of images");
    }
    while ((t = jscan_next(&p->s)) == JSCAN_OBJECT) {
        if (p->l->n == LOCKFILE_IMAGES_MAX) {
            return err_set(p->e, ERR_CONFIG, "images: must be at most %d", LOCKFILE_IMAGES_MAX);
        }
        if (image_read(p) < 0) {
            return -1;
        }
    }
    if (t == JSCAN_ARRAY_END) {
        return 0;
    }
    return t == JSCAN_BAD ? bad_json(p)
                          : bad_value(p, "", "an object with \"name\", \"tag\" and \"digest\"");
}

static int version_read(struct parse *p)
{
    enum jscan_token t = jscan_next(&p->s);
    uint64_t version;

    if (t == JSCAN_BAD) {
        return bad_json(p);
    }
    if (t != JSCAN_NUMBER || !slice_u64(p->s.token, &version) || version != LOCKFILE_VERSION) {
        return err_set(p->e, ERR_CONFIG, "version: must be %d, the one that this program knows",
                       LOCKFILE_VERSION);
    }
    return 0;
}

/* Behind the file's opening brace, to its end. */
static int file_read_members(struct parse *p)
{
    bool version = false;
    bool images = false;
    enum jscan_token t;

    while ((t = jscan_next(&p->s)) == JSCAN_KEY) {
        bool *seen = slice_is(p->s.token, "version")  ? &version
                     : slice_is(p->s.token, "images") ? &images
                                                      : NULL;

        if (seen == NULL || *seen) {
            return err_set(p->e, ERR_CONFIG,
                           "%s key \"" SLICE_FMT "\"; there must be one version and one images",
                           seen == NULL ? "unknown" : "repeated",
                           SLICE_ARG(slice_sub(p->s.token, 0, SHOWN_MAX)));
        }
        *seen = true;
        if ((seen == &version ? version_read(p) : images_read(p)) < 0) {
            return -1;
        }
    }
    if (t != JSCAN_OBJECT_END || jscan_next(&p->s) != JSCAN_END) {
        return bad_json(p);
    }
    if (!version || !images) {
        return err_set(p->e, ERR_CONFIG, "%s: must be there", version ? "images" : "version");
    }
    return 0;
}

int lockfile_parse(struct slice text, const struct route_table *routes, struct lockfile **ret,
                   struct err *e)
{
    struct parse *p;
    enum jscan_token t;
    int result;

    if (text.len > LOCKFILE_MAX) {
        return err_set(e, ERR_CONFIG, "must be at most %u bytes", LOCKFILE_MAX);
    }
    p = xnew(struct parse);
    p->routes = routes;
    p->e = e;
    p->l = xnew(struct lockfile);
    jscan_init(&p->s, text, DEPTH_MAX, VALUES_MAX);
    t = jscan_next(&p->s);
    if (t == JSCAN_OBJECT) {
        result = file_read_members(p);
    } else {
        result = t == JSCAN_BAD
                     ? bad_json(p)
                     : err_set(e, ERR_CONFIG, "must be an object with \"version\" and \"images\"");
    }
    if (result == 0) {
        result = lockfile_sort(p->l, e);
    }
    if (result == 0) {
        *ret = p->l;
    } else {
        lockfile_free(p->l);
    }
    free(p);
    return result;
}

/* --- writing ------------------------------------------------------------------------------- */

static void image_write(const struct lock_image *i, struct buf *out)
{
    char text[DIGEST_TEXT_MAX];

    buf_str(out, "    { \"name\": ");
    buf_json(out, slice_str(i->name));
    if (i->tag[0] != '\0') {
        buf_str(out, ", \"tag\": ");
        buf_json(out, slice_str(i->tag));
    }
    buf_printf(out, ", \"digest\": \"%s\", \"platforms\": [", digest_text(&i->digest, text));
    for (size_t n = 0; n < i->n_platforms; n++) {
        buf_str(out, n == 0 ? "" : ", ");
        buf_json(out, slice_str(i->platforms[n]));
    }
    buf_str(out, "] }");
}

void lockfile_write(const struct lockfile *l, struct buf *out)
{
    buf_printf(out, "{\n  \"version\": %d,\n  \"images\": [", LOCKFILE_VERSION);
    for (size_t i = 0; i < l->n; i++) {
        buf_str(out, i == 0 ? "\n" : ",\n");
        image_write(&l->images[i], out);
    }
    buf_str(out, l->n == 0 ? "]\n}\n" : "\n  ]\n}\n");
}

/* --- finding ------------------------------------------------------------------------------- */

/* The first image that does not come before (name, tag). */
static size_t lower_bound(const struct lockfile *l, const char *name, const char *tag)
{
    size_t low = 0;
    size_t high = l->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order_of_names(&l->images[middle], name, tag) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct lock_image *lockfile_find(const struct lockfile *l, const char *name, const char *tag)
{
    size_t i = lower_bound(l, name, tag);

    return i < l->n && order_of_names(&l->images[i], name, tag) == 0 ? &l->images[i] : NULL;
}

const struct lock_image *lockfile_tags(const struct lockfile *l, const char *name, size_t *ret_n)
{
    size_t first = lower_bound(l, name, "\1"); /* behind those without a tag */
    size_t n = 0;

    while (first + n < l->n && strcmp(l->images[first + n].name, name) == 0) {
        n++;
    }
    *ret_n = n;
    return n == 0 ? NULL : &l->images[first];
}
