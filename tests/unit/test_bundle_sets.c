/* test_bundle_sets.c - sets of blobs and of images: sorted, each once, whatever was added. */
#include "../../src/bundle/blobset.c"

#include "bundle/imageset.h"
#include "tap.h"

#include <stdio.h>

/* The i-th of many, whose order is not that of i. */
static struct digest digest_at(unsigned i)
{
    struct digest d = {.alg = i % 3 == 0 ? DIGEST_SHA512 : DIGEST_SHA256};

    d.bytes[0] = (uint8_t)(i * 37);
    d.bytes[1] = (uint8_t)(i >> 8);
    d.bytes[31] = (uint8_t)i;
    return d;
}

static void test_blobs(void)
{
    struct blobset b = {0};
    struct digest last = {0};
    struct digest d;
    size_t wrong = 0;
    uint64_t size;

    for (unsigned i = 0; i < 20000; i++) { /* each four times: more often than there is room */
        d = digest_at(i % 5000);
        blobset_add(&b, &d, i % 5000);
    }
    blobset_sort(&b);
    blobset_sort(&b);
    CHECK_INT(blobset_count(&b), 5000);
    CHECK_INT(blobset_bytes(&b), 4999 * 5000 / 2);
    for (size_t i = 0; i < 5000; i++) {
        blobset_get(&b, i, &d, &size);
        wrong += i > 0 && memcmp(&last, &d, sizeof(d)) >= 0 ? 1 : 0;
        last = d;
        d = digest_at((unsigned)size);
        wrong += digest_equal(&d, &last) ? 0 : 1;
        wrong += blobset_has(&b, &d) ? 0 : 1;
        d.bytes[2] = 1;
        wrong += blobset_has(&b, &d) ? 1 : 0;
    }
    CHECK_INT(wrong, 0);
    CHECK(b.parts[DIGEST_SHA256].cap < 3 * 5000);
    blobset_fini(&b);
    blobset_fini(&b);
    blobset_sort(&b);
    CHECK(blobset_count(&b) == 0 && !blobset_has(&b, &last));
}

static struct imageset_image image(const char *name, const char *tag, unsigned digest)
{
    struct imageset_image i = {.line = {.kind = LIST_IMAGE, .size = 1000 + digest}};

    snprintf(i.line.name, sizeof(i.line.name), "%s", name);
    snprintf(i.line.tag, sizeof(i.line.tag), "%s", tag);
    snprintf(i.line.media_type, sizeof(i.line.media_type), "type/%u", digest % 2);
    i.line.digest = digest_at(digest);
    if (digest > 10) {
        i.subject = digest_at(digest + 1);
        i.docker = digest_at(digest + 3);
    }
    return i;
}

static void test_images(void)
{
    static const struct {
        const char *name;
        const char *tag;
        unsigned digest;
    } in[] = {
        {"b", "x", 1},  {"a", "y", 2},    {"b", "", 3}, {"a", "", 2},
        {"ab", "", 2},  {"b", "x", 1},    {"b", "", 3}, {"a", "x", 5},
        {"a-b", "", 9}, {"a", "x.1", 12}, {"b", "", 4}, {"b", "z", 13},
    };
    static const struct {
        const char *name;
        const char *tag;
        unsigned digest;
    } out[] = {{"a", "x", 5}, {"a", "x.1", 12}, {"a", "y", 2}, {"a-b", "", 9}, {"ab", "", 2},
               {"b", "", 4},  {"b", "", 3},     {"b", "x", 1}, {"b", "z", 13}};
    struct imageset s = {0};
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        struct imageset_image one = image(in[i].name, in[i].tag, in[i].digest);

        imageset_add(&s, &one);
    }
    CHECK_INT(imageset_sort(&s, &e), 0);
    CHECK_INT(s.n, ARRAY_LEN(out));
    for (size_t i = 0; i < s.n; i++) {
        struct imageset_image want = image(out[i].name, out[i].tag, out[i].digest);
        struct imageset_image got = {0};

        imageset_get(&s, i, &got);
        CHECK_NOTE(memcmp(&got, &want, sizeof(got)) == 0, out[i].name);
    }
    imageset_fini(&s);
}

static void test_two_digests(void)
{
    struct imageset_image one = image("a", "x", 1);
    struct imageset_image two = image("a", "x", 2);
    struct imageset s = {0};
    struct err e = {0};

    imageset_add(&s, &one);
    imageset_add(&s, &two);
    CHECK_INT(imageset_sort(&s, &e), -1);
    CHECK(e.code == ERR_BAD_REQUEST && strstr(e.text, "a:x is asked for with two") != NULL);
    imageset_fini(&s);
    CHECK_INT(imageset_sort(&s, &e), 0);
    CHECK_INT(s.n, 0);
    imageset_fini(&s);
}

int main(void)
{
    test_blobs();
    test_images();
    test_two_digests();
    return tap_done();
}
