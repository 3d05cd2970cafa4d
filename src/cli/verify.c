/*
 * cli/verify.c - asks for one page of blobs after the other, and fetches what was bad; before that
 * for what is missing since earlier, so that nothing is told twice.
 */
#include "cli/verify.h"

#include "cli/command.h"
#include "cli/line.h"
#include "cli/render.h"
#include "oci/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RATE_DEFAULT 50000000
#define ANSWER_MAX (8u << 20)
#define PIECE (64u * 1024)

/* Owner: verify_run(). */
struct verify {
    struct line *line;
    uint64_t rate;
    bool repair;
    bool terminal;
    uint64_t blobs; /* looked at so far */
    uint64_t bytes;
    uint64_t gone; /* of these: taken out, and the bytes that were read of them */
    uint64_t gone_bytes;
    unsigned tenths; /* of the way that was told last */
    uint64_t bad;
    uint64_t mended;   /* of these */
    uint64_t fetched;  /* of these */
    uint64_t lost;     /* of these */
    uint64_t missing;  /* since earlier */
    uint64_t restored; /* missing, or in quarantine, since earlier, and fetched */
};

static int say(const struct err *err)
{
    fprintf(stderr, "larder: %s\n", err->text);
    return flags_status(err);
}

/* --- fetching again ------------------------------------------------------------------------ */

/* Reads an answer to its end; what it says is of no interest, as the engine verified it. */
static int read_all(struct line *l, struct err *err)
{
    char *piece = xcalloc(PIECE, 1);
    ssize_t n;

    while ((n = line_read(l, piece, PIECE, err)) > 0) {
    }
    free(piece);
    return n < 0 ? -1 : 0;
}

static int fetch(struct line *l, const char *repository, const json_t *bad, struct err *err)
{
    bool manifest = json_is_true(json_object_get(bad, "manifest"));
    _cleanup_free_ char *target = xasprintf(
        "/v2/%s/%s/%s", repository, manifest ? "manifests" : "blobs", command_text(bad, "digest"));
    struct line_request r = {.method = HTTP_GET, .target = target, .fields = "Accept: */*\r\n"};
    struct http_head head;

    if (line_begin(l, &r, err) < 0 || line_answer(l, &head, err) < 0) {
        return -1;
    }
    return head.status == 200 ? read_all(l, err) : line_refused(l, &head, err);
}

/* From any repository that has it; NULL: none gives it, for the reason in *err. */
static const char *fetch_any(struct line *l, const json_t *bad, struct err *err)
{
    const json_t *all = json_object_get(bad, "mirrored");
    const json_t *one;
    size_t i;

    json_array_foreach(all, i, one)
    {
        if (fetch(l, json_string_value(one), bad, err) == 0) {
            return json_string_value(one);
        }
    }
    return NULL;
}

/* --- telling ------------------------------------------------------------------------------- */

static const char *why_text(const json_t *bad)
{
    static const char *const TEXTS[][2] = {
        {"missing", "the file is missing"},
        {"size", "the file has another size"},
        {"unreadable", "the file cannot be read"},
        {"wrong", "the file is something else"},
    };

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        if (strcmp(command_text(bad, "why"), TEXTS[i][0]) == 0) {
            return TEXTS[i][1];
        }
    }
    return "bad";
}

static bool is(const json_t *bad, const char *what)
{
    return json_is_true(json_object_get(bad, what));
}

static bool was_missing(const json_t *bad)
{
    return strcmp(command_text(bad, "why"), "missing") == 0;
}

static const char *first_of(const json_t *bad, const char *kind)
{
    return json_string_value(json_array_get(json_object_get(bad, kind), 0));
}

/* "before stage/app, stage/other": all repositories that it was pushed to. */
static void print_hosted(const char *before, const json_t *bad)
{
    const json_t *all = json_object_get(bad, "hosted");
    const json_t *one;
    size_t i;

    printf("%s", before);
    json_array_foreach(all, i, one)
    {
        printf("%s%s", i == 0 ? "" : ", ", json_string_value(one));
    }
}

/* What --repair can find again: what lies in quarantine, or what a hosted repository lacks. */
static void print_left(const json_t *bad)
{
    const char *from = first_of(bad, "mirrored");
    bool file = !was_missing(bad);

    printf("%s; %s has it: %s", file ? "in quarantine" : "forgotten", from,
           file || first_of(bad, "hosted") != NULL ? "--repair fetches it"
                                                   : "it is fetched when it is asked for");
}

/* A blob and the bytes that were read of it are not among those that there are any more. */
static void count_gone(struct verify *v, const json_t *bad)
{
    bool read = !was_missing(bad) && strcmp(command_text(bad, "why"), "size") != 0;

    v->gone++;
    v->gone_bytes += read ? command_number(bad, "bytes") : 0;
}

/* What becomes of one that was taken out, behind its line. Whether it is here again. */
static bool bring_back(struct verify *v, const json_t *bad)
{
    bool hosted = first_of(bad, "hosted") != NULL;
    struct err err = {0};
    const char *from;

    if (first_of(bad, "mirrored") == NULL) {
        v->lost++;
        print_hosted(hosted ? "lost: push it again to " : "lost, and in no repository", bad);
        return false;
    }
    if (!v->repair) {
        print_left(bad);
        return false;
    }
    from = fetch_any(v->line, bad, &err);
    if (from == NULL) {
        printf("%s", was_missing(bad) ? "forgotten" : "in quarantine");
        print_hosted(hosted ? "; push it again to " : "", bad);
        printf("; it cannot be fetched: %s", err.text);
        return false;
    }
    v->fetched++;
    printf("fetched again from %s%s", from,
           is(bad, "pinned") ? "; it was pinned: pin its image again" : "");
    return true;
}

/* What became of one that was bad, behind its line. */
static void settle(struct verify *v, const json_t *bad)
{
    if (is(bad, "mended")) {
        v->mended++;
        printf("written anew from the index");
    } else if (is(bad, "kept")) {
        print_hosted("left where it is, as it was pushed to ", bad);
    } else if (!bring_back(v, bad)) {
        count_gone(v, bad);
    }
    printf("\n");
}

static void begin_line(const struct verify *v, const json_t *bad)
{
    char size[RENDER_SIZE_MAX];
    bool known = json_object_get(bad, "bytes") != NULL;

    fprintf(stderr, "%s", v->terminal ? "\r\033[K" : "");
    printf("%s%s%s: ", command_text(bad, "digest"), known ? ", " : "",
           known ? render_size(command_number(bad, "bytes"), size) : "");
}

static void tell_bad(struct verify *v, const json_t *page)
{
    const json_t *bad;
    size_t i;

    json_array_foreach(json_object_get(page, "bad"), i, bad)
    {
        v->bad++;
        begin_line(v, bad);
        printf("%s: ", why_text(bad));
        settle(v, bad);
        fflush(stdout);
    }
}

/* One that is missing since earlier, or that lies in quarantine since, with --repair alone. */
static void tell_one_missing(struct verify *v, const json_t *one)
{
    const char *mirrored = first_of(one, "mirrored");
    bool hosted = first_of(one, "hosted") != NULL;
    struct err err = {0};
    const char *from = v->repair && mirrored != NULL ? fetch_any(v->line, one, &err) : NULL;

    printf("%s", hosted ? "missing" : "in quarantine");
    if (from != NULL) {
        v->restored++;
        printf(": fetched again from %s\n", from);
        return;
    }
    v->missing++;
    if (hosted) {
        print_hosted(": push it again to ", one);
    }
    if (mirrored == NULL) {
        printf("\n");
    } else if (v->repair) {
        printf("; it cannot be fetched: %s\n", err.text);
    } else {
        printf("; %s has it: --repair fetches it\n", mirrored);
    }
}

static void tell_missing(struct verify *v, const json_t *page)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(page, "missing"), i, one)
    {
        begin_line(v, one);
        tell_one_missing(v, one);
        fflush(stdout);
    }
}

/* On a terminal each page, else each tenth of the way. What was taken out counts on; others may
 * have gone meanwhile. */
static void tell_progress(struct verify *v, uint64_t of_blobs, uint64_t of_bytes)
{
    char done[RENDER_SIZE_MAX];
    char all[RENDER_SIZE_MAX];
    uint64_t share;

    of_blobs = of_blobs + v->gone > v->blobs ? of_blobs + v->gone : v->blobs;
    of_bytes = of_bytes + v->gone_bytes > v->bytes ? of_bytes + v->gone_bytes : v->bytes;
    share = of_bytes == 0 ? 100 : v->bytes * 100 / of_bytes;
    if (!v->terminal && share / 10 <= v->tenths) {
        return;
    }
    v->tenths = (unsigned)share / 10;
    fprintf(stderr, "%s%llu of %llu blob%s, %s of %s (%llu %%)%s",
            v->terminal ? "\r" : "larder: ", (unsigned long long)v->blobs,
            (unsigned long long)of_blobs, render_s(of_blobs), render_size(v->bytes, done),
            render_size(of_bytes, all), (unsigned long long)share, v->terminal ? "\033[K" : "\n");
}

static void tell_sum(const struct verify *v)
{
    char size[RENDER_SIZE_MAX];
    struct buf out;

    buf_init(&out, 4096);
    buf_str(&out, "verified ");
    render_count(&out, v->blobs, "blob");
    buf_printf(&out, ", %s: %llu bad", render_size(v->bytes, size), (unsigned long long)v->bad);
    if (v->bad > 0) {
        buf_printf(&out, ", of which %llu written anew, %llu fetched again, %llu lost",
                   (unsigned long long)v->mended, (unsigned long long)v->fetched,
                   (unsigned long long)v->lost);
    }
    if (v->restored > 0) {
        buf_printf(&out, "; %llu of earlier fetched again", (unsigned long long)v->restored);
    }
    if (v->missing > 0) {
        buf_printf(&out, "; %llu missing", (unsigned long long)v->missing);
    }
    fprintf(stderr, "%s", v->terminal ? "\r\033[K" : "");
    printf("%.*s\n", (int)out.len, out.p);
    buf_free(&out);
}

/* --- pages --------------------------------------------------------------------------------- */

static json_t *page_ask(struct verify *v, const struct line_request *r, struct err *err)
{
    json_t *page = NULL;
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    if (line_ask(v->line, r, SLICE_NULL, &answer, NULL, err) == 0) {
        page = json_loadb(answer.p, answer.len, 0, NULL);
        if (!json_is_object(page)) {
            err_set(err, ERR_INTERNAL, "the server's answer cannot be read");
            json_decref(page);
            page = NULL;
        }
    }
    buf_free(&answer);
    return page;
}

/* Asks `target` for page after page, with the last digest of the one before behind it. */
static int each_page(struct verify *v, enum http_method method, const char *target,
                     void (*f)(struct verify *v, const json_t *page), struct err *err)
{
    char after[DIGEST_TEXT_MAX] = "";
    bool more = true;

    while (more) {
        _cleanup_free_ char *whole = xasprintf("%s%s", target, after);
        struct line_request r = {.method = method, .target = whole};
        json_t *page;

        r.has_body = method == HTTP_POST;
        page = page_ask(v, &r, err);
        if (page == NULL) {
            return -1;
        }
        more = !is(page, "end");
        snprintf(after, sizeof(after), "%s", command_text(page, "after"));
        f(v, page);
        json_decref(page);
    }
    return 0;
}

static void take_page(struct verify *v, const json_t *page)
{
    v->blobs += command_number(page, "blobs");
    v->bytes += command_number(page, "bytes");
    tell_bad(v, page);
    tell_progress(v, command_number(page, "of_blobs"), command_number(page, "of_bytes"));
}

static int verify_all(struct verify *v, struct err *err)
{
    _cleanup_free_ char *target = xasprintf("/-/verify?n=%llu&after=", (unsigned long long)v->rate);

    if (each_page(v, HTTP_GET, v->repair ? "/-/missing?all=1&after=" : "/-/missing?after=",
                  tell_missing, err) < 0) {
        return -1;
    }
    return each_page(v, HTTP_POST, target, take_page, err);
}

static int verify_with(struct verify *v, struct config *config)
{
    struct err err = {0};
    struct host *host = host_open(config, &err);
    int status;

    v->line = host == NULL ? NULL : line_new(host);
    if (v->line != NULL && verify_all(v, &err) == 0) {
        tell_sum(v);
        status = v->bad == v->mended + v->fetched && v->missing == 0 ? 0 : 1;
    } else {
        status = say(&err);
    }
    line_free(v->line);
    host_free(host);
    return status;
}

int verify_run(const struct flags *flags)
{
    struct verify v = {.rate = RATE_DEFAULT, .repair = flags->repair};
    struct err err = {0};
    struct config *config;
    unsigned percent = 0;

    v.terminal = isatty(STDERR_FILENO) == 1;
    if (flags->rate != NULL &&
        (!config_parse_size(slice_str(flags->rate), &v.rate, &percent) || percent != 0)) {
        fprintf(stderr, "larder: --rate: \"%.40s\" must be bytes a second, such as 50MB\n",
                flags->rate);
        return 2;
    }
    config = config_read(&flags->config, &err);
    if (config == NULL) {
        return say(&err);
    }
    log_setup(LOG_ERROR, false);
    limits = config->limits;
    return verify_with(&v, config);
}
