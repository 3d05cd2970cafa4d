/* test_oci_dockerfile.c - the images that Dockerfiles need. */
#include "../../src/oci/dockerfile.c"

#include "tap.h"

static struct err err;

/* "NAME NAME[PLATFORM]" of what is found, or the error. */
static const char *images(const char *text)
{
    static struct buf out;
    struct dockerfile d = {0};

    buf_free(&out);
    buf_init(&out, 65536);
    buf_str(&out, "");
    if (dockerfile_parse(slice_str(text), "linux/arm64/v8", &d, &err) < 0) {
        return err.text;
    }
    for (size_t i = 0; i < d.n; i++) {
        buf_printf(&out, "%s%s", i == 0 ? "" : " ", d.images[i].name);
        if (d.images[i].platform[0] != '\0') {
            buf_printf(&out, "[%s]", d.images[i].platform);
        }
    }
    dockerfile_free(&d);
    return out.p == NULL ? "" : out.p;
}

static const struct {
    const char *text;
    const char *images;
} CASES[] = {
    {"", ""},
    {"FROM alpine", "alpine"},
    {"from alpine:3.20 as base\nFROM base\nFROM BASE AS last\n", "alpine:3.20"},
    {"FROM scratch\nCOPY x y\n", ""},
    {"FROM a\nFROM a\nFROM b AS a\nFROM a\n", "a b"},
    {"FROM golang:1.18 AS builder\nFROM builder AS ci\nFROM debian:12\n"
     "COPY --from=builder /a /b\nCOPY --from=busybox:1 /bin /bin\nCOPY --from=0 /a /b\n",
     "golang:1.18 debian:12 busybox:1"},
    {"FROM a\nCOPY --chown=1:2 --from=tools/x@sha256:1 a b\nADD --from b c\n",
     "a tools/x@sha256:1"},
    {"FROM a\nCOPY a --from=b c\n", "a"},
    {"FROM a\nRUN --mount=type=bind,from=img:1,target=/x --mount=type=cache,target=/c make\n",
     "a img:1"},
    {"FROM a AS s\nFROM b\nRUN --mount=from=s,target=/x --network=none make\n", "a b"},
    /* arguments */
    {"ARG V=3.20\nFROM alpine:$V\n", "alpine:3.20"},
    {"ARG V=3\nARG N=alpine:${V}.20\nFROM ${N}\n", "alpine:3.20"},
    {"ARG A=1 B=2\nFROM x:$A-$B\n", "x:1-2"},
    {"ARG V\nFROM alpine:${V:-3.20}\n", "alpine:3.20"},
    {"ARG V=\nFROM alpine${V:+:$V}\nFROM b${V-x}\nFROM c${V:-x}\n", "alpine b cx"},
    {"ARG V=9\nFROM alpine${V:+:$V}\n", "alpine:9"},
    {"FROM a${X:-b${Y:-c}d}e\n", "abcde"},
    {"ARG R=reg.example.com:5000/\nFROM \"${R}a/b\"\nFROM '$R'x\n", "reg.example.com:5000/a/b $Rx"},
    {"FROM a\nARG V=1\nFROM b${V}\n", "a b"},
    {"ARG V=1\nARG V=2\nFROM b$V\n", "b2"},
    {"FROM a\\$b\n", "a$b"},
    /* platforms */
    {"FROM --platform=$BUILDPLATFORM golang\nFROM --platform=linux/amd64 golang\nFROM golang\n",
     "golang[linux/arm64/v8] golang[linux/amd64] golang"},
    {"FROM x-$TARGETOS-$TARGETARCH-$BUILDVARIANT\n", "x-linux-arm64-v8"},
    /* lines */
    {"FROM \\\n  # a comment\n\n  alpine \\  \n AS x\nFROM x\n", "alpine"},
    {"\xef\xbb\xbf"
     "FROM a\r\nFROM b \\\r\n AS c\r\nFROM c\r\n",
     "a b"},
    {"# syntax=docker/dockerfile:1\nFROM a\n", "docker/dockerfile:1 a"},
    {"# check=skip=all\n#Syntax = docker/dockerfile:1.7-labs  \n# a comment\n# syntax=no\nFROM a\n",
     "docker/dockerfile:1.7-labs a"},
    {"FROM a\n# syntax=no\n", "a"},
    {"# escape=`\nFROM a`\nb\nRUN dir c:\\\nFROM d\n", "ab d"},
    {"FROM a \\", "a"},
    /* here-documents */
    {"FROM a\nRUN <<EOF\nFROM no\nEOF\nFROM b\n", "a b"},
    {"FROM a\nCOPY <<-\"END\" <<'X' /d\n\tFROM no\n\tEND\nFROM no2\nX\nFROM b\n", "a b"},
    {"FROM a\nRUN cat 3<<EOF | sh\nFROM no\nEOF\nFROM b\n", "a b"},
    {"FROM a\nRUN echo $((1<<2)) \"<<EOF\" <<<EOF\nFROM b\n", "a b"},
    {"FROM a\nLABEL x=<<EOF\nFROM b\n", "a b"},
    {"FROM a\nONBUILD COPY --from=c x y\n", "a c"},
    /* what is wrong */
    {"FROM\n", "line 1: FROM without an image"},
    {"\n\nFROM --platform=x\n", "line 3: FROM without an image"},
    {"ARG V\nFROM $V\n",
     "line 2: FROM an image that a build argument without a default would name"},
    {"FROM a\n\nFROM ${V\n", "line 3: a ${ without its }"},
    {"FROM ${}\n", "line 1: a ${} without a name"},
    {"FROM ${V:?no}\n", "line 1: a ${} of a kind that is not known here"},
    {"FROM \"a\n", "line 1: a quote that does not end"},
    {"FROM a\nRUN <<EOF\nFROM b\n", "line 2: a here-document that does not end"},
    {"# escape=x\nFROM a\n", "line 1: escape must be \\ or `"},
    {"FROM ${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-x}}}}}}}}}}\n",
     "line 1: variables within variables, too deep"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CHECK_STR(images(CASES[i].text), CASES[i].images);
    }
}

/* Many of anything is an error, never a crash. */
static void test_bounds(void)
{
    struct buf text;
    char *large = xcalloc(DOCKERFILE_MAX + 2, 1);

    memset(large, 'x', DOCKERFILE_MAX + 1);
    CHECK(strstr(images(large), "a Dockerfile of more than") != NULL);
    free(large);
    buf_init(&text, 1u << 20);
    for (int i = 0; i < 1001; i++) {
        buf_printf(&text, "COPY --from=i%d a b\n", i);
    }
    CHECK_STR(images(text.p), "line 1001: more images than are looked at");
    buf_free(&text);
    buf_init(&text, 1u << 20);
    for (int i = 0; i < 1001; i++) {
        buf_str(&text, "FROM a AS b\n");
    }
    CHECK_STR(images(text.p), "line 1001: more stages than are looked at");
    buf_free(&text);
    buf_init(&text, 1u << 20);
    for (int i = 0; i < 300; i++) {
        buf_printf(&text, "ARG A%d=1\n", i);
    }
    CHECK(strstr(images(text.p), "more ARGs than are looked at") != NULL);
    buf_free(&text);
    buf_init(&text, 1u << 20);
    buf_str(&text, "FROM ");
    for (int i = 0; i < 2000; i++) {
        buf_str(&text, "a");
    }
    CHECK_STR(images(text.p), "line 1: a word that is too long");
    buf_free(&text);
}

int main(void)
{
    test_cases();
    test_bounds();
    return tap_done();
}
