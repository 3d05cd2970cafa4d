/* oci/reference.c - takes an image's reference apart, from the right. */
#include "oci/reference.h"

#include <stdio.h>

/* As much of the text as an error quotes. */
#define QUOTE_MAX 80

static int bad(struct err *e, enum err_code code, struct slice text, const char *why)
{
    char quote[QUOTE_MAX + 1];
    size_t n = text.len < QUOTE_MAX ? text.len : QUOTE_MAX;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        quote[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    quote[n] = '\0';
    return err_set(e, code, "%s%s: %s", quote, n < text.len ? "…" : "", why);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.p[i])) {
            return false;
        }
    }
    return s.len > 0;
}

/* Letters, digits and inner '-', joined by '.'. */
static bool domain_valid(struct slice host)
{
    struct slice label;

    while (slice_split(&host, '.', &label)) {
        if (label.len == 0 || label.p[0] == '-' || label.p[label.len - 1] == '-') {
            return false;
        }
        for (size_t i = 0; i < label.len; i++) {
            if (!is_letter(label.p[i]) && !is_digit(label.p[i]) && label.p[i] != '-') {
                return false;
            }
        }
    }
    return true;
}

/* "[::1]", roughly: what is no address is no upstream's name either. */
static bool ipv6_valid(struct slice host)
{
    if (host.len < 4 || host.p[host.len - 1] != ']') {
        return false;
    }
    for (size_t i = 1; i + 1 < host.len; i++) {
        char c = host.p[i];

        if (!is_digit(c) && c != ':' && c != '.' && !(c >= 'a' && c <= 'f') &&
            !(c >= 'A' && c <= 'F')) {
            return false;
        }
    }
    return true;
}

static bool host_valid(struct slice host)
{
    size_t colon = slice_rfind(host, ':');
    bool bracket = host.len > 0 && host.p[0] == '[';

    if (colon < host.len && !slice_ends(host, "]")) {
        if (!all_digits(slice_from(host, colon + 1))) {
            return false;
        }
        host = slice_sub(host, 0, colon);
    }
    return host.len > 0 && (bracket ? ipv6_valid(host) : domain_valid(host));
}

/* Whether the first component of a name is a host: the rule that all clients share. */
static bool looks_like_host(struct slice first)
{
    if (slice_is(first, "localhost")) {
        return true;
    }
    for (size_t i = 0; i < first.len; i++) {
        if (first.p[i] == '.' || first.p[i] == ':' || (first.p[i] >= 'A' && first.p[i] <= 'Z')) {
            return true;
        }
    }
    return false;
}

/* What "sha256:…" means is an ID too, though by the grammar it is a name and a tag. */
static bool is_image_id(struct slice name)
{
    char raw[32];

    return slice_is(name, "sha256") || (name.len == 64 && hex_decode(name, raw));
}

/* NULL where a name will do, else what is wrong with it. */
static const char *name_fault(struct slice name)
{
    static const char id[] =
        "an image's ID says nothing outside of its host: give a name, or NAME@sha256:…";
    size_t slash = slice_find(name, '/');
    struct slice first = slice_sub(name, 0, slash);

    if (name.len == 0) {
        return "there is no name of an image";
    }
    if (slice_ends(first, ":") && slice_starts(slice_from(name, slash), "//")) {
        return "an image's name has no \"//\": leave out what stands before it";
    }
    if (is_image_id(name)) {
        return id;
    }
    if (slash < name.len && looks_like_host(first)) {
        if (!host_valid(first)) {
            return "what stands before the first / is no registry's host";
        }
        name = slice_from(name, slash + 1);
    }
    if (name.len > NAME_MAX_LEN) {
        return "the name is longer than 255 bytes";
    }
    return name_valid(name) ? NULL
                            : "no image's name: lower-case letters and digits, with . _ - between "
                              "them, in parts that / separates";
}

/* The ':' in front of a tag: the last one, unless a '/' follows, as then it is a port's. */
static size_t tag_colon(struct slice text)
{
    size_t colon = slice_rfind(text, ':');

    return slice_find(slice_from(text, colon), '/') < text.len - colon ? text.len : colon;
}

int reference_parse(struct slice text, struct reference *ret, struct err *e)
{
    struct reference r = {0};
    struct slice name;
    const char *fault;
    size_t at;
    size_t colon;

    text = slice_trim(text);
    at = slice_find(text, '@');
    name = slice_sub(text, 0, at);
    colon = tag_colon(name);
    if (at < text.len) {
        r.by_digest = true;
        if (!digest_parse(slice_from(text, at + 1), &r.digest)) {
            return bad(e, ERR_DIGEST_INVALID, text, "what follows the @ is no digest");
        }
    }
    if (colon < name.len) {
        r.tag_written = true;
        if (!tag_valid(slice_from(name, colon + 1)) ||
            !slice_copy(slice_from(name, colon + 1), r.tag, sizeof(r.tag))) {
            return bad(e, ERR_TAG_INVALID, text, "what follows the : is no tag");
        }
        name = slice_sub(name, 0, colon);
    } else if (!r.by_digest) {
        memcpy(r.tag, REFERENCE_TAG_DEFAULT, sizeof(REFERENCE_TAG_DEFAULT));
    }
    fault = name_fault(name);
    if (fault != NULL) {
        return bad(e, ERR_NAME_INVALID, text, fault);
    }
    if (!slice_copy(name, r.name, sizeof(r.name))) {
        return bad(e, ERR_NAME_INVALID, text, "the name is too long");
    }
    *ret = r;
    return 0;
}

const char *reference_text(const struct reference *r, char buf[REFERENCE_TEXT_MAX])
{
    char digest[DIGEST_TEXT_MAX] = "";

    if (r->by_digest) {
        digest_text(&r->digest, digest);
    }
    snprintf(buf, REFERENCE_TEXT_MAX, "%s%s%s%s%s", r->name, r->tag[0] != '\0' ? ":" : "", r->tag,
             r->by_digest ? "@" : "", digest);
    return buf;
}
