/* cli/stats.c - the counters of the running server, as sums and as rates. */
#include "cli/stats.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/line.h"
#include "cli/render.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_MS 1000
#define ANSWER_MAX (1u << 20)
#define TEXT_MAX (64u * 1024)

/* A line: the sum of these counters. */
struct row {
    const char *label;
    bool bytes;
    bool gauge; /* has no rate */
    const char *counters[5];
};

static const struct row ROWS[] = {
    {"requests", false, false, {"requests"}},
    {"  from the store",
     false,
     false,
     {"responses_hit", "responses_stale", "responses_revalidated"}},
    {"  fetched for them", false, false, {"responses_miss", "responses_passed"}},
    {"  shared a fetch", false, false, {"responses_joined"}},
    {"served", true, false, {"bytes_sent"}},
    {"fetched", true, false, {"upstream_bytes"}},
    {"saved", true, false, {"bytes_saved"}},
    {"pushed", true, false, {"upload_bytes"}},
    {"requests upstream", false, false, {"upstream_requests"}},
    {"  failed", false, false, {"upstream_errors"}},
    {"downloads resumed", false, false, {"flights_resumed"}},
    {"errors of the store", false, false, {"store_errors"}},
    {"connections", false, true, {"connections_open"}},
    {"downloads", false, true, {"flights_open"}},
    {"answers on their way", false, true, {"readers_open"}},
    {"held", true, true, {"store_held_bytes"}},
    {"  of at most", true, true, {"store_budget_bytes"}},
    {"free on the disk", true, true, {"store_free_bytes"}},
};

/* The figures at one time. */
struct look {
    uint64_t at_ms;
    int64_t values[ARRAY_LEN(ROWS)];
};

static int say(const struct err *err)
{
    fprintf(stderr, "larder: %s\n", err->text);
    return flags_status(err);
}

static int ask(struct line *l, struct buf *out, struct err *err)
{
    struct line_request r = {.method = HTTP_GET, .target = "/-/counters"};

    buf_init(out, ANSWER_MAX);
    return line_ask(l, &r, SLICE_NULL, out, NULL, err);
}

static int look_take(struct line *l, struct look *ret, struct err *err)
{
    struct buf answer;
    json_t *root = NULL;
    int result = ask(l, &answer, err);

    if (result == 0) {
        root = json_loadb(answer.p, answer.len, 0, NULL);
        *ret = (struct look){.at_ms = clock_mono_ms()};
    }
    for (size_t i = 0; i < ARRAY_LEN(ROWS) && result == 0; i++) {
        for (const char *const *name = ROWS[i].counters; *name != NULL; name++) {
            ret->values[i] += json_integer_value(json_object_get(root, *name));
        }
    }
    json_decref(root);
    buf_free(&answer);
    return result;
}

static char *value_text(const struct row *row, int64_t value)
{
    char size[RENDER_SIZE_MAX];

    value = value < 0 ? 0 : value;
    return row->bytes ? xstrdup(render_size((uint64_t)value, size)) : xasprintf("%" PRId64, value);
}

/* `before` is NULL where there is no earlier look to make rates of. */
static void tell(const struct look *now, const struct look *before, struct buf *out)
{
    struct render r = {0};

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        char *rate = NULL;

        if (before != NULL && !ROWS[i].gauge && now->at_ms > before->at_ms) {
            double seconds = (double)(now->at_ms - before->at_ms) / 1000;
            _cleanup_free_ char *text = value_text(
                &ROWS[i], (int64_t)((double)(now->values[i] - before->values[i]) / seconds));

            rate = xasprintf("%s/s", text);
        }
        render_add(&r, xstrdup(ROWS[i].label), value_text(&ROWS[i], now->values[i]),
                   rate == NULL ? xstrdup("") : rate);
    }
    render_print(&r, out);
    render_fini(&r);
}

static void print(const struct look *now, const struct look *before, bool screen)
{
    struct buf out;

    buf_init(&out, TEXT_MAX);
    buf_str(&out, screen ? "\033[H\033[J" : "");
    tell(now, before, &out);
    ignore_result(fwrite(out.p, 1, out.len, stdout) < out.len || fflush(stdout) != 0);
    buf_free(&out);
}

/* Until the server is gone, or somebody ends it. */
static int stats_live(struct line *l, struct err *err)
{
    struct look now;
    struct look before;

    if (look_take(l, &now, err) < 0) {
        return say(err);
    }
    print(&now, NULL, true);
    for (;;) {
        ignore_result(poll(NULL, 0, TICK_MS) < 0);
        before = now;
        if (look_take(l, &now, err) < 0) {
            return say(err);
        }
        print(&now, &before, true);
    }
}

static int stats_once(struct line *l, bool as_json, struct err *err)
{
    struct look now;
    struct buf answer;
    int result;

    if (as_json) {
        result = ask(l, &answer, err);
        ignore_result(fwrite(answer.p == NULL ? "" : answer.p, 1, answer.len, stdout) < answer.len);
        buf_free(&answer);
        return result < 0 ? say(err) : 0;
    }
    if (look_take(l, &now, err) < 0) {
        return say(err);
    }
    print(&now, NULL, false);
    return 0;
}

int stats_run(const struct flags *flags)
{
    struct err err = {0};
    struct config *config = config_read(&flags->config, &err);
    struct host *host;
    struct line *line;
    int status;

    if (config == NULL) {
        return say(&err);
    }
    host = host_join(config, &err);
    line = host == NULL ? NULL : line_new(host);
    if (line == NULL) {
        status = say(&err);
    } else if (!flags->json && isatty(STDOUT_FILENO) == 1) {
        status = stats_live(line, &err);
    } else {
        status = stats_once(line, flags->json, &err);
    }
    line_free(line);
    host_free(host);
    return status;
}
