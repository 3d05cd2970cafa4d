/*
 * http/head.c - the strict parser of request and response heads.
 *
 * First the end of the head is looked for, eight bytes at a time, which also refuses every control
 * character; it goes on where the last call stopped, so that a head in pieces costs no more. Then
 * the lines are read, once. Nothing is copied or repaired.
 */
#include "http/head.h"

#include "base/limits.h"

#include <strings.h>

/* One head while it is read. */
struct reader {
    struct http_head *head;
    struct err *err;
    enum err_code bad; /* what a malformed head is called */
    bool has_host;
    bool has_length;
    bool has_coding;
    bool says_close;
    bool says_keep_alive;
};

/* The kinds of characters that RFC 9110 5.6.2 and RFC 3986 3 tell apart. */
enum { TOKEN = 1, TARGET = 2, HOST = 4 };

#define T (TOKEN)
#define U (TARGET)
#define TU (TOKEN | TARGET)
#define TUH (TOKEN | TARGET | HOST)
#define UH (TARGET | HOST)
static const unsigned char KINDS[256] = {
    ['!'] = TU,  ['#'] = T,   ['$'] = TU,  ['%'] = TUH, ['&'] = TU,  ['\''] = TU, ['('] = U,
    [')'] = U,   ['*'] = TU,  ['+'] = TU,  [','] = U,   ['-'] = TUH, ['.'] = TUH, ['/'] = U,
    ['0'] = TUH, ['1'] = TUH, ['2'] = TUH, ['3'] = TUH, ['4'] = TUH, ['5'] = TUH, ['6'] = TUH,
    ['7'] = TUH, ['8'] = TUH, ['9'] = TUH, [':'] = U,   [';'] = U,   ['='] = U,   ['?'] = U,
    ['@'] = U,   ['A'] = TUH, ['B'] = TUH, ['C'] = TUH, ['D'] = TUH, ['E'] = TUH, ['F'] = TUH,
    ['G'] = TUH, ['H'] = TUH, ['I'] = TUH, ['J'] = TUH, ['K'] = TUH, ['L'] = TUH, ['M'] = TUH,
    ['N'] = TUH, ['O'] = TUH, ['P'] = TUH, ['Q'] = TUH, ['R'] = TUH, ['S'] = TUH, ['T'] = TUH,
    ['U'] = TUH, ['V'] = TUH, ['W'] = TUH, ['X'] = TUH, ['Y'] = TUH, ['Z'] = TUH, ['['] = U,
    [']'] = U,   ['^'] = T,   ['_'] = TUH, ['`'] = T,   ['a'] = TUH, ['b'] = TUH, ['c'] = TUH,
    ['d'] = TUH, ['e'] = TUH, ['f'] = TUH, ['g'] = TUH, ['h'] = TUH, ['i'] = TUH, ['j'] = TUH,
    ['k'] = TUH, ['l'] = TUH, ['m'] = TUH, ['n'] = TUH, ['o'] = TUH, ['p'] = TUH, ['q'] = TUH,
    ['r'] = TUH, ['s'] = TUH, ['t'] = TUH, ['u'] = TUH, ['v'] = TUH, ['w'] = TUH, ['x'] = TUH,
    ['y'] = TUH, ['z'] = TUH, ['|'] = T,   ['~'] = TUH,
};
#undef T
#undef U
#undef TU
#undef TUH
#undef UH

/* How many bytes from the start of `s` on are of that kind. */
static size_t span(struct slice s, unsigned kind)
{
    size_t n = 0;

    while (n < s.len && (KINDS[(unsigned char)s.p[n]] & kind) != 0) {
        n++;
    }
    return n;
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* Whether one of eight bytes is a control character: the usual borrow trick, which may only err
 * where a byte below is one. */
static bool word_has_control(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    uint64_t del;

    memcpy(&word, p, sizeof(word));
    del = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & (ones * 0x80)) != 0;
}

/* The first control character at or after `at`, or in.len. */
static size_t find_control(struct slice in, size_t at)
{
    while (at + 8 <= in.len && !word_has_control(in.p + at)) {
        at += 8;
    }
    while (at < in.len && !is_control((unsigned char)in.p[at])) {
        at++;
    }
    return at;
}

/* --- where the head ends ---------------------------------------------------------------------- */

struct head_limits {
    size_t line;
    size_t head;
    enum err_code bad;
    enum err_code first_line;
    enum err_code fields;
};

static const struct head_limits REQUEST_LIMITS = {CLIENT_LINE_MAX, CLIENT_HEAD_MAX, ERR_BAD_REQUEST,
                                                  ERR_URI_TOO_LONG, ERR_HEAD_TOO_LARGE};
static const struct head_limits RESPONSE_LIMITS = {UPSTREAM_HEAD_MAX, UPSTREAM_HEAD_MAX,
                                                   ERR_UPSTREAM_PROTOCOL, ERR_UPSTREAM_PROTOCOL,
                                                   ERR_UPSTREAM_PROTOCOL};

static enum http_parsed refuse(struct err *err, enum err_code code, const char *why)
{
    err_set(err, code, "%s", why);
    return HTTP_PARSED_BAD;
}

/* Whether the line from p->line to `to`, and the head up to there, are within the limits. */
static bool within(const struct http_parse *p, size_t start, size_t to,
                   const struct head_limits *max, struct err *err)
{
    if (to - p->line > max->line && p->line == start) {
        err_set(err, max->first_line, "the first line is longer than %zu bytes", max->line);
        return false;
    }
    if (to - p->line > max->line) {
        err_set(err, max->fields, "a header line is longer than %zu bytes", max->line);
        return false;
    }
    if (to - start > max->head) {
        err_set(err, max->fields, "the head is longer than %zu bytes", max->head);
        return false;
    }
    return true;
}

/* HTTP_PARSED_HEAD: *ret_end is behind the blank line that ends the head that begins at `start`. */
static enum http_parsed find_end(struct http_parse *p, struct slice in, size_t start,
                                 const struct head_limits *max, size_t *ret_end, struct err *err)
{
    size_t at = p->scanned < start ? start : p->scanned;

    p->line = p->line < start ? start : p->line;
    for (;;) {
        at = find_control(in, at);
        p->scanned = at;
        if (at >= in.len || (in.p[at] == '\r' && at + 1 == in.len)) {
            return within(p, start, in.len, max, err) ? HTTP_PARSED_MORE : HTTP_PARSED_BAD;
        }
        if (in.p[at] == '\t') {
            at++;
            continue;
        }
        if (!within(p, start, at + 2, max, err)) {
            return HTTP_PARSED_BAD;
        }
        if (in.p[at] != '\r' || in.p[at + 1] != '\n') {
            return refuse(err, max->bad, "a control character or a bare line end in the head");
        }
        at += 2;
        if (at == p->line + 2) {
            *ret_end = at;
            return HTTP_PARSED_HEAD;
        }
        p->line = at;
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool bad(struct reader *r, const char *why)
{
    err_set(r->err, r->bad, "%s", why);
    return false;
}

static bool note_length(struct reader *r, struct slice value)
{
    uint64_t length;

    if (r->has_length) {
        return bad(r, "more than one Content-Length");
    }
    /* The sign bit stays free, for whoever calculates with file offsets. */
    if (!slice_u64(value, &length) || length > INT64_MAX) {
        return bad(r, "Content-Length is not a number");
    }
    r->has_length = true;
    r->head->length = length;
    return true;
}

static bool note_coding(struct reader *r, struct slice value)
{
    if (r->has_coding || !slice_is_nocase(value, "chunked")) {
        return bad(r, "Transfer-Encoding is not just chunked");
    }
    r->has_coding = true;
    return true;
}

static void note_connection(struct reader *r, struct slice value)
{
    struct slice option;

    while (slice_split(&value, ',', &option)) {
        option = slice_trim(option);
        r->says_close = r->says_close || slice_is_nocase(option, "close");
        r->says_keep_alive = r->says_keep_alive || slice_is_nocase(option, "keep-alive");
    }
}

/* host [":" port], where the host may be empty or an address in brackets (RFC 3986 3.2). */
static bool is_host(struct slice s)
{
    size_t n = slice_starts(s, "[") ? slice_find(s, ']') + 1 : span(s, HOST);
    struct slice rest;

    if (n > s.len) {
        return false;
    }
    rest = slice_from(s, n);
    if (slice_starts(s, "[")) {
        struct slice inside = slice_sub(s, 1, n - 1);

        for (size_t i = 0; i < inside.len; i++) {
            if (inside.p[i] != ':' && (KINDS[(unsigned char)inside.p[i]] & HOST) == 0) {
                return false;
            }
        }
    }
    return rest.len == 0 || (rest.p[0] == ':' && all_digits(slice_from(rest, 1)));
}

static bool note_host(struct reader *r, struct slice value)
{
    if (r->has_host) {
        return bad(r, "more than one Host");
    }
    if (!is_host(value)) {
        return bad(r, "Host is not a host");
    }
    r->has_host = true;
    r->head->host = value;
    return true;
}

/* The fields that say how the message is framed and where it goes. */
static bool note_field(struct reader *r, const struct http_field *f)
{
    switch (f->name.len) {
    case 4:
        return !slice_is_nocase(f->name, "Host") || note_host(r, f->value);
    case 6:
        if (slice_is_nocase(f->name, "Expect")) {
            r->head->expect_continue = slice_is_nocase(f->value, "100-continue");
        }
        return true;
    case 10:
        if (slice_is_nocase(f->name, "Connection")) {
            note_connection(r, f->value);
        }
        return true;
    case 14:
        return !slice_is_nocase(f->name, "Content-Length") || note_length(r, f->value);
    case 17:
        return !slice_is_nocase(f->name, "Transfer-Encoding") || note_coding(r, f->value);
    default:
        return true;
    }
}

/* Reads one line without its end: a token, a colon, a value (RFC 9112 5). A line that begins with
 * white space, or has some before the colon, has no token there. */
static bool read_field(struct reader *r, struct slice line)
{
    struct http_field *f = &r->head->fields[r->head->n_fields];
    size_t n = span(line, TOKEN);

    if (n == 0 || n == line.len || line.p[n] != ':') {
        return bad(r, "a header line is not a name, a colon and a value");
    }
    f->name = slice_sub(line, 0, n);
    f->value = slice_trim(slice_from(line, n + 1));
    r->head->n_fields++;
    return note_field(r, f);
}

/* The next line of `rest`, taken off it; every CR is known to be followed by LF. */
static struct slice take_line(struct slice *rest)
{
    size_t n = slice_find(*rest, '\r');
    struct slice line = slice_sub(*rest, 0, n);

    *rest = slice_from(*rest, n + 2);
    return line;
}

static bool read_fields(struct reader *r, struct slice rest, enum err_code too_many)
{
    for (;;) {
        struct slice line = take_line(&rest);

        if (line.len == 0) {
            return true;
        }
        if (r->head->n_fields == HEADERS_MAX) {
            err_set(r->err, too_many, "more than %d header lines", HEADERS_MAX);
            return false;
        }
        if (!read_field(r, line)) {
            return false;
        }
    }
}

/* What version and Connection say (RFC 9112 9.3), and the framing that both directions share. */
static bool read_framing(struct reader *r)
{
    struct http_head *h = r->head;

    h->keep_alive = !r->says_close && (h->minor == 1 || r->says_keep_alive);
    h->expect_continue = h->expect_continue && h->minor == 1;
    if (r->has_coding && r->has_length) {
        return bad(r, "both Content-Length and Transfer-Encoding");
    }
    if (r->has_coding && h->minor == 0) {
        return bad(r, "Transfer-Encoding in HTTP/1.0");
    }
    if (r->has_coding) {
        h->framing = HTTP_BODY_CHUNKED;
    } else if (r->has_length) {
        h->framing = HTTP_BODY_LENGTH;
    }
    return true;
}

/* All but the table of fields, which is long. */
static void head_clear(struct http_head *h)
{
    memset(h, 0, offsetof(struct http_head, fields));
}

/* "HTTP/1.0" or "HTTP/1.1". */
static bool read_version(struct slice s, int *ret_minor)
{
    if (s.len != 8 || memcmp(s.p, "HTTP/1.", 7) != 0 || (s.p[7] != '0' && s.p[7] != '1')) {
        return false;
    }
    *ret_minor = s.p[7] - '0';
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

static enum http_method method_of(struct slice text)
{
    static const struct {
        const char *text;
        enum http_method method;
    } METHODS[] = {{"GET", HTTP_GET},         {"HEAD", HTTP_HEAD},      {"POST", HTTP_POST},
                   {"PUT", HTTP_PUT},         {"PATCH", HTTP_PATCH},    {"DELETE", HTTP_DELETE},
                   {"OPTIONS", HTTP_OPTIONS}, {"CONNECT", HTTP_CONNECT}};

    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (slice_is(text, METHODS[i].text)) {
            return METHODS[i].method;
        }
    }
    return HTTP_OTHER;
}

static void split_path(struct http_head *h, struct slice s)
{
    size_t n = slice_find(s, '?');

    h->path = slice_sub(s, 0, n);
    h->query = slice_from(s, n + 1);
}

/* "http://host/path?query" (RFC 9112 3.2.2); the rest of it behind the authority is the path. */
static bool read_absolute(struct reader *r, size_t scheme, struct slice *ret_authority)
{
    struct http_head *h = r->head;
    struct slice rest = slice_from(h->target, scheme);
    size_t n = 0;

    while (n < rest.len && rest.p[n] != '/' && rest.p[n] != '?') {
        n++;
    }
    *ret_authority = slice_sub(rest, 0, n);
    if (n == 0 || !is_host(*ret_authority)) {
        return bad(r, "the target names no host");
    }
    split_path(h, slice_from(rest, n));
    if (h->path.len == 0) {
        h->path = slice_str(h->method == HTTP_OPTIONS && h->query.len == 0 ? "*" : "/");
    }
    return true;
}

/* The four forms of RFC 9112 3.2. *ret_authority is left alone where the target has none. */
static bool read_target(struct reader *r, struct slice *ret_authority)
{
    struct http_head *h = r->head;
    struct slice t = h->target;

    if (t.len == 0 || span(t, TARGET) != t.len) {
        return bad(r, "the request's target has a character that none may have");
    }
    if (h->method == HTTP_CONNECT) {
        size_t colon = slice_rfind(t, ':');

        *ret_authority = t;
        return (is_host(t) && colon > 0 && colon + 1 < t.len) ||
               bad(r, "the target of CONNECT is not host:port");
    }
    if (t.p[0] == '/') {
        split_path(h, t);
        return true;
    }
    if (slice_is_nocase(slice_sub(t, 0, 7), "http://")) {
        return read_absolute(r, 7, ret_authority);
    }
    if (slice_is_nocase(slice_sub(t, 0, 8), "https://")) {
        return read_absolute(r, 8, ret_authority);
    }
    h->path = t;
    return (h->method == HTTP_OPTIONS && slice_is(t, "*")) ||
           bad(r, "the request's target is neither a path nor a URL");
}

/* method SP target SP version, each separated by exactly one space (RFC 9112 3). */
static bool read_request_line(struct reader *r, struct slice line, struct slice *ret_authority)
{
    struct http_head *h = r->head;
    size_t method = span(line, TOKEN);
    size_t last = slice_rfind(line, ' ');

    if (method == 0 || method == line.len || line.p[method] != ' ' || last <= method) {
        return bad(r, "the request line is not a method, a target and a version");
    }
    if (!read_version(slice_from(line, last + 1), &h->minor)) {
        return bad(r, "neither HTTP/1.1 nor HTTP/1.0");
    }
    h->method_text = slice_sub(line, 0, method);
    h->method = method_of(h->method_text);
    h->target = slice_sub(line, method + 1, last);
    return read_target(r, ret_authority);
}

enum http_parsed http_parse_request(struct http_parse *p, struct slice in, struct http_head *ret,
                                    size_t *ret_used, struct err *err)
{
    struct reader r = {.head = ret, .err = err, .bad = ERR_BAD_REQUEST};
    size_t start = in.len >= 2 && in.p[0] == '\r' && in.p[1] == '\n' ? 2 : 0;
    struct slice authority = SLICE_NULL;
    enum http_parsed found;
    struct slice rest;
    size_t end;

    found = find_end(p, in, start, &REQUEST_LIMITS, &end, err);
    if (found != HTTP_PARSED_HEAD) {
        return found;
    }
    head_clear(ret);
    rest = slice_sub(in, start, end);
    if (!read_request_line(&r, take_line(&rest), &authority) ||
        !read_fields(&r, rest, ERR_HEAD_TOO_LARGE) || !read_framing(&r)) {
        return HTTP_PARSED_BAD;
    }
    if (ret->minor == 1 && !r.has_host) {
        return refuse(err, ERR_BAD_REQUEST, "no Host");
    }
    if ((ret->method == HTTP_GET || ret->method == HTTP_HEAD) &&
        (ret->framing == HTTP_BODY_CHUNKED || ret->length > 0)) {
        /* No client of ours sends one, and it means nothing (RFC 9110 9.3.1) but to smugglers. */
        return refuse(err, ERR_BAD_REQUEST, "GET and HEAD take no body");
    }
    if (authority.p != NULL) {
        ret->host = authority;
    }
    *ret_used = end;
    return HTTP_PARSED_HEAD;
}

/* --- responses -------------------------------------------------------------------------------- */

/* version SP status [SP reason] (RFC 9112 4); the space that some servers leave out with the reason
 * changes nothing. */
static bool read_status_line(struct reader *r, struct slice line)
{
    struct http_head *h = r->head;
    struct slice status = slice_sub(line, 9, 12);

    if (!read_version(slice_sub(line, 0, 8), &h->minor)) {
        return bad(r, "the response is neither HTTP/1.1 nor HTTP/1.0");
    }
    if (line.len < 12 || line.p[8] != ' ' || !all_digits(status) || status.p[0] == '0' ||
        status.p[0] > '5' || (line.len > 12 && line.p[12] != ' ')) {
        return bad(r, "the response has no status");
    }
    h->status = (status.p[0] - '0') * 100 + (status.p[1] - '0') * 10 + (status.p[2] - '0');
    h->reason = slice_from(line, 13);
    return true;
}

/* Whether a response has no body whatever its fields say (RFC 9112 6.3). */
static bool has_no_body(int status, enum http_method asked)
{
    return asked == HTTP_HEAD || status < 200 || status == 204 || status == 304 ||
           (asked == HTTP_CONNECT && status < 300);
}

enum http_parsed http_parse_response(struct http_parse *p, struct slice in, enum http_method asked,
                                     struct http_head *ret, size_t *ret_used, struct err *err)
{
    struct reader r = {.head = ret, .err = err, .bad = ERR_UPSTREAM_PROTOCOL};
    enum http_parsed found;
    struct slice rest;
    size_t end;

    /* Only the first line can be blank here; find_end() takes it for the end. */
    if (in.len > 0 && in.p[0] == '\r') {
        return refuse(err, r.bad, "the response begins with a blank line");
    }
    found = find_end(p, in, 0, &RESPONSE_LIMITS, &end, err);
    if (found != HTTP_PARSED_HEAD) {
        return found;
    }
    head_clear(ret);
    rest = slice_sub(in, 0, end);
    if (!read_status_line(&r, take_line(&rest)) || !read_fields(&r, rest, ERR_UPSTREAM_PROTOCOL) ||
        !read_framing(&r)) {
        return HTTP_PARSED_BAD;
    }
    if (has_no_body(ret->status, asked)) {
        ret->framing = HTTP_BODY_NONE;
    } else if (ret->framing == HTTP_BODY_NONE) {
        ret->framing = HTTP_BODY_UNTIL_CLOSE;
    }
    *ret_used = end;
    return HTTP_PARSED_HEAD;
}

/* --- looking up ------------------------------------------------------------------------------- */

bool http_field_next(const struct http_head *h, const char *name, size_t *at, struct slice *ret)
{
    size_t len = strlen(name);

    while (*at < h->n_fields) {
        const struct http_field *f = &h->fields[(*at)++];

        if (f->name.len == len && strncasecmp(f->name.p, name, len) == 0) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}

struct slice http_field(const struct http_head *h, const char *name)
{
    struct slice value = SLICE_NULL;
    size_t at = 0;

    http_field_next(h, name, &at, &value);
    return value;
}
