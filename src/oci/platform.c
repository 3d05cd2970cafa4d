/* oci/platform.c - the entries of an index, those of one platform first. */
#include "oci/platform.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

/* The name that indexes use for what a machine calls itself; NULL where it is not another. */
static const char *architecture_of(const char *machine)
{
    static const struct {
        const char *machine;
        const char *architecture;
    } NAMES[] = {
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"},          {"armv6l", "arm"},
        {"i686", "386"},     {"i586", "386"},      {"loongarch64", "loong64"},
    };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(machine, NAMES[i].machine) == 0) {
            return NAMES[i].architecture;
        }
    }
    return NULL;
}

struct platform platform_here(void)
{
    struct utsname machine;
    struct platform here = {.os = "linux"};
    const char *name;

    if (uname(&machine) < 0) {
        return here;
    }
    name = architecture_of(machine.machine);
    snprintf(here.architecture, sizeof(here.architecture), "%s",
             name != NULL ? name : machine.machine);
    return here;
}

static bool word_take(struct slice *rest, char *out, size_t size)
{
    struct slice word;

    if (!slice_split(rest, '/', &word) || word.len == 0) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        char c = word.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' &&
            c != '-') {
            return false;
        }
    }
    return slice_copy(word, out, size);
}

bool platform_parse(struct slice text, struct platform *ret)
{
    struct platform p = {.os = ""};
    const char *name;

    if (!word_take(&text, p.os, sizeof(p.os)) ||
        !word_take(&text, p.architecture, sizeof(p.architecture)) ||
        (text.p != NULL && !word_take(&text, p.variant, sizeof(p.variant))) || text.p != NULL) {
        return false;
    }
    name = architecture_of(p.architecture);
    if (name != NULL) {
        snprintf(p.architecture, sizeof(p.architecture), "%s", name);
    }
    *ret = p;
    return true;
}

const char *platform_text(const struct platform *p, char buf[PLATFORM_TEXT_MAX])
{
    snprintf(buf, PLATFORM_TEXT_MAX, "%s/%s%s%s", p->os, p->architecture,
             p->variant[0] != '\0' ? "/" : "", p->variant);
    return buf;
}

static bool member_is(const json_t *object, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL && strcmp(text, value) == 0;
}

/* BuildKit puts what it knows of a build beside the image, as an image for no platform. */
static bool is_attestation(const json_t *entry)
{
    return member_is(json_object_get(entry, "annotations"), "vnd.docker.reference.type",
                     "attestation-manifest") ||
           member_is(json_object_get(entry, "platform"), "os", "unknown");
}

static bool is_for(const json_t *entry, const struct platform *p)
{
    const json_t *platform = json_object_get(entry, "platform");

    return member_is(platform, "os", p->os) && member_is(platform, "architecture", p->architecture);
}

static bool entry_digest(const json_t *entry, struct digest *ret)
{
    const char *type = json_string_value(json_object_get(entry, "mediaType"));
    const char *digest = json_string_value(json_object_get(entry, "digest"));

    return type != NULL && digest != NULL && media_type_is_manifest(slice_str(type)) &&
           digest_parse(slice_str(digest), ret);
}

void platform_order(struct slice body, const struct platform *p, struct digest **ret, size_t *ret_n)
{
    json_t *root = json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL);
    const json_t *entries = json_object_get(root, "manifests");
    struct digest *found = xcalloc(json_array_size(entries) + 1, sizeof(*found));
    size_t n = 0;

    for (int ours = 1; ours >= 0; ours--) {
        size_t i;
        const json_t *entry;

        json_array_foreach(entries, i, entry)
        {
            if (!is_attestation(entry) && is_for(entry, p) == (ours == 1) &&
                entry_digest(entry, &found[n])) {
                n++;
            }
        }
    }
    json_decref(root);
    if (n == 0) {
        free(found);
        found = NULL;
    }
    *ret = found;
    *ret_n = n;
}

static bool entry_text(const json_t *entry, char out[PLATFORM_TEXT_MAX])
{
    const json_t *platform = json_object_get(entry, "platform");
    const char *os = json_string_value(json_object_get(platform, "os"));
    const char *architecture = json_string_value(json_object_get(platform, "architecture"));
    const char *variant = json_string_value(json_object_get(platform, "variant"));
    _cleanup_free_ char *text = NULL;
    struct platform p;

    if (os == NULL || architecture == NULL || is_attestation(entry)) {
        return false;
    }
    variant = variant == NULL ? "" : variant;
    text = xasprintf("%s/%s%s%s", os, architecture, variant[0] == '\0' ? "" : "/", variant);
    if (!platform_parse(slice_str(text), &p)) {
        return false;
    }
    platform_text(&p, out);
    return true;
}

bool platform_of_entry(struct slice body, const struct digest *d, char out[PLATFORM_TEXT_MAX])
{
    json_t *root = json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL);
    bool found = false;
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(root, "manifests"), i, entry)
    {
        struct digest one;

        if (entry_digest(entry, &one) && digest_equal(&one, d)) {
            found = entry_text(entry, out);
            break;
        }
    }
    json_decref(root);
    return found;
}

/* --- choosing ------------------------------------------------------------------------------ */

/* Whether an entry's variant will do. One that says none may be any. */
static bool variant_fits(const json_t *platform, const struct platform *p)
{
    const char *text = json_string_value(json_object_get(platform, "variant"));

    return p->variant[0] == '\0' || text == NULL || text[0] == '\0' ||
           strcmp(text, p->variant) == 0;
}

static bool is_for_any(const json_t *entry, const struct platform *platforms, size_t n)
{
    const json_t *platform = json_object_get(entry, "platform");

    if (!json_is_object(platform)) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_for(entry, &platforms[i]) && variant_fits(platform, &platforms[i])) {
            return true;
        }
    }
    return false;
}

/* Whether an attestation is of an image that is kept. */
static bool is_of_kept(const json_t *entry, const struct manifest *m, const bool *keep)
{
    const char *text = json_string_value(
        json_object_get(json_object_get(entry, "annotations"), "vnd.docker.reference.digest"));
    struct digest d;

    if (text == NULL || !digest_parse(slice_str(text), &d)) {
        return false;
    }
    for (size_t i = 0; i < m->n_children; i++) {
        if (keep[i] && digest_equal(&m->children[i].digest, &d)) {
            return true;
        }
    }
    return false;
}

/* The next entry that is a child, as manifest_parse() left out those of unknown algorithms. */
static const json_t *entry_next(const json_t *entries, size_t *i)
{
    while (*i < json_array_size(entries)) {
        const json_t *entry = json_array_get(entries, (*i)++);
        const char *text = json_string_value(json_object_get(entry, "digest"));
        struct digest d;

        if (text != NULL && digest_parse(slice_str(text), &d)) {
            return entry;
        }
    }
    return NULL;
}

/* One pass: over all but attestations, or over these. Gives how many manifests it kept. */
static size_t choose_pass(const json_t *entries, const struct manifest *m,
                          const struct platform *platforms, size_t n, bool attestations, bool *keep)
{
    size_t kept = 0;
    size_t at = 0;

    for (size_t i = 0; i < m->n_children; i++) {
        const json_t *entry = entry_next(entries, &at);

        if (is_attestation(entry) != attestations) {
            continue;
        }
        keep[i] = attestations
                      ? is_of_kept(entry, m, keep)
                      : m->children[i].kind != CHILD_MANIFEST || is_for_any(entry, platforms, n);
        kept += keep[i] && m->children[i].kind == CHILD_MANIFEST;
    }
    return kept;
}

bool platform_choose(struct slice body, const struct manifest *m, const struct platform *platforms,
                     size_t n, bool attestations, bool *keep)
{
    json_t *root = json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL);
    const json_t *entries = json_object_get(root, "manifests");
    size_t manifests = 0;
    size_t kept;

    memset(keep, 0, m->n_children * sizeof(*keep));
    for (size_t i = 0; i < m->n_children; i++) {
        manifests += m->children[i].kind == CHILD_MANIFEST;
    }
    kept = choose_pass(entries, m, platforms, n, false, keep);
    if (attestations) {
        choose_pass(entries, m, platforms, n, true, keep);
    }
    json_decref(root);
    return kept > 0 || manifests == 0;
}
