/* cli/verify.c - asks for one page of blobs after the other, and fetches what was bad. */
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
    char after[DIGEST_TEXT_MAX];
    uint64_t blobs; /* looked at so far */
    uint64_t bytes;
    unsigned tenths; /* of the way that was told last */
    uint64_t bad;
    uint64_t mended;  /* of these */
    uint64_t fetched; /* of these */
    uint64_t lost;    /* of these */
};

static int say(const struct err *err)
{
    fprintf(stderr, "larder: %s\n", err->text);
    return 1;
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

static const char *first_of(const json_t *bad, const char *kind)
{
    return json_string_value(json_array_get(json_object_get(bad, kind), 0));
}

/* What became of one that was bad, behind its line. */
static void settle(struct verify *v, const json_t *bad)
{
    const char *mirrored = first_of(bad, "mirrored");
    const char *hosted = first_of(bad, "hosted");
    struct err err = {0};
    const char *from;

    if (json_is_true(json_object_get(bad, "mended"))) {
        v->mended++;
        printf("written anew from the index\n");
    } else if (json_is_true(json_object_get(bad, "kept"))) {
        printf("left where it is, as it was pushed to %s\n", hosted == NULL ? "-" : hosted);
    } else if (mirrored == NULL) {
        v->lost++;
        printf("lost%s%s\n", hosted == NULL ? "" : ": push it again to ",
               hosted == NULL ? ", and in no repository" : hosted);
    } else if (!v->repair) {
        printf("in quarantine; %s has it\n", mirrored);
    } else if ((from = fetch_any(v->line, bad, &err)) != NULL) {
        v->fetched++;
        printf("fetched again from %s%s\n", from,
               json_is_true(json_object_get(bad, "pinned")) ? "; it was pinned: pin its image again"
                                                            : "");
    } else {
        printf("in quarantine; it cannot be fetched: %s\n", err.text);
    }
}

static void tell_bad(struct verify *v, const json_t *all)
{
    char size[RENDER_SIZE_MAX];
    const json_t *bad;
    size_t i;

    json_array_foreach(all, i, bad)
    {
        v->bad++;
        fprintf(stderr, "%s", v->terminal ? "\r\033[K" : "");
        printf("%s, %s: %s: ", command_text(bad, "digest"),
               render_size(command_number(bad, "bytes"), size), why_text(bad));
        settle(v, bad);
        fflush(stdout);
    }
}

/* On a terminal each page, else each tenth of the way. */
static void tell_progress(struct verify *v, uint64_t of_blobs, uint64_t of_bytes)
{
    uint64_t share = of_bytes == 0 ? 100 : v->bytes * 100 / of_bytes;
    char done[RENDER_SIZE_MAX];
    char all[RENDER_SIZE_MAX];

    share = share > 100 ? 100 : share;
    if (!v->terminal && share / 10 <= v->tenths) {
        return;
    }
    v->tenths = (unsigned)share / 10;
    fprintf(stderr, "%s%llu of %llu blobs, %s of %s (%llu %%)%s",
            v->terminal ? "\r" : "larder: ", (unsigned long long)v->blobs,
            (unsigned long long)of_blobs, render_size(v->bytes, done), render_size(of_bytes, all),
            (unsigned long long)share, v->terminal ? "\033[K" : "\n");
}

static void tell_sum(const struct verify *v)
{
    char size[RENDER_SIZE_MAX];
    struct buf out;

    buf_init(&out, 4096);
    buf_str(&out, "verified ");
    command_count(&out, v->blobs, "blob");
    buf_printf(&out, ", %s: %llu bad", render_size(v->bytes, size), (unsigned long long)v->bad);
    if (v->bad > 0) {
        buf_printf(&out, ", of which %llu written anew, %llu fetched again, %llu lost",
                   (unsigned long long)v->mended, (unsigned long long)v->fetched,
                   (unsigned long long)v->lost);
    }
    fprintf(stderr, "%s", v->terminal ? "\r\033[K" : "");
    printf("%.*s\n", (int)out.len, out.p);
    buf_free(&out);
}

/* --- pages --------------------------------------------------------------------------------- */

static json_t *page_ask(struct verify *v, struct err *err)
{
    _cleanup_free_ char *target =
        xasprintf("/-/verify?after=%s&n=%llu", v->after, (unsigned long long)v->rate);
    struct line_request r = {.method = HTTP_POST, .target = target, .has_body = true};
    json_t *page = NULL;
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    if (line_ask(v->line, &r, SLICE_NULL, &answer, NULL, err) == 0) {
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

static int verify_all(struct verify *v, struct err *err)
{
    bool more = true;

    while (more) {
        json_t *page = page_ask(v, err);

        if (page == NULL) {
            return -1;
        }
        more = !json_is_true(json_object_get(page, "end"));
        snprintf(v->after, sizeof(v->after), "%s", command_text(page, "after"));
        v->blobs += command_number(page, "blobs");
        v->bytes += command_number(page, "bytes");
        tell_bad(v, json_object_get(page, "bad"));
        tell_progress(v, command_number(page, "of_blobs"), command_number(page, "of_bytes"));
        json_decref(page);
    }
    return 0;
}

static int verify_with(struct verify *v, struct config *config)
{
    struct err err = {0};
    struct host *host = host_open(config, &err);
    int status = 1;

    v->line = host == NULL ? NULL : line_new(host);
    if (v->line != NULL && verify_all(v, &err) == 0) {
        tell_sum(v);
        status = v->bad == v->mended + v->fetched ? 0 : 1;
    } else {
        say(&err);
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
        say(&err);
        return 2;
    }
    log_setup(LOG_ERROR, false);
    limits = config->limits;
    return verify_with(&v, config);
}
