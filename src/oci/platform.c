/* oci/platform.c - the entries of an index, those of one platform first. */
#include "oci/platform.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

struct platform platform_here(void)
{
    static const struct {
        const char *machine;
        const char *architecture;
    } NAMES[] = {
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"},          {"armv6l", "arm"},
        {"i686", "386"},     {"i586", "386"},      {"loongarch64", "loong64"},
    };
    struct utsname machine;
    struct platform here = {"linux", ""};

    if (uname(&machine) < 0) {
        return here;
    }
    snprintf(here.architecture, sizeof(here.architecture), "%s", machine.machine);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(machine.machine, NAMES[i].machine) == 0) {
            snprintf(here.architecture, sizeof(here.architecture), "%s", NAMES[i].architecture);
            break;
        }
    }
    return here;
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
