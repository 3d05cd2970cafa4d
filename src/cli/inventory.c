/* cli/inventory.c - asks for all digests, page by page, and writes them. */
#include "cli/inventory.h"

#include "bundle/inventory.h"
#include "cli/line.h"
#include "cli/output.h"
#include "cli/render.h"

#include <stdio.h>
#include <unistd.h>

#define ANSWER_MAX (4u << 20)

static int say(const struct err *err)
{
    fprintf(stderr, "larder: %s\n", err->text);
    return flags_status(err);
}

/* One inventory on its way. */
struct taking {
    struct line *line;
    struct output *out;
    struct inventory_write write;
    struct digest last; /* alg 0: none yet */
};

static int page_ask(struct taking *t, struct buf *out, struct err *err)
{
    char text[DIGEST_TEXT_MAX] = "";
    char target[DIGEST_TEXT_MAX + 32];
    struct line_request r = {.method = HTTP_GET, .target = target};

    if (t->last.alg != 0) {
        digest_text(&t->last, text);
    }
    snprintf(target, sizeof(target), "/-/blobs?after=%s", text);
    return line_ask(t->line, &r, SLICE_NULL, out, NULL, err);
}

/* Lines with a digest each, in their order. */
static int page_write(struct taking *t, struct slice page, struct err *err)
{
    unsigned char key[DIGEST_KEY_MAX];
    struct slice line;
    struct digest d;

    while (page.len > 0 && slice_split(&page, '\n', &line)) {
        if (!digest_parse(line, &d) || inventory_order(&t->last, &d) >= 0) {
            return err_set(err, ERR_INTERNAL, "the server's answer is no list of digests");
        }
        t->last = d;
        if (output_write(t->out, key, inventory_write_digest(&t->write, &d, key), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int inventory_take(struct taking *t, struct err *err)
{
    unsigned char bytes[INVENTORY_TAIL > INVENTORY_HEAD ? INVENTORY_TAIL : INVENTORY_HEAD];
    struct buf page;
    bool more = true;

    if (output_write(t->out, bytes, inventory_write_head(&t->write, bytes), err) < 0) {
        return -1;
    }
    while (more) {
        int result;

        buf_init(&page, ANSWER_MAX);
        result = page_ask(t, &page, err);
        more = page.len > 0;
        result = result == 0 ? page_write(t, buf_view(&page), err) : -1;
        buf_free(&page);
        if (result < 0) {
            return -1;
        }
    }
    return output_write(t->out, bytes, inventory_write_tail(&t->write, bytes), err);
}

static int inventory_make(struct host *host, const char *path, struct err *err)
{
    struct taking t = {.line = line_new(host), .out = output_open(path, 0, err)};
    int result = -1;

    if (t.out != NULL && inventory_take(&t, err) == 0) {
        result = output_finish(t.out, err);
    }
    if (result == 0) {
        fprintf(stderr, "larder: %llu blob%s here\n", (unsigned long long)t.write.count,
                t.write.count == 1 ? " is" : "s are");
    }
    output_free(t.out);
    line_free(t.line);
    return result;
}

int inventory_run(const struct flags *flags)
{
    const char *path = flags->output == NULL ? "-" : flags->output;
    struct err err = {0};
    struct config *config = config_read(&flags->config, &err);
    struct host *host;
    int status = 0;

    if (config == NULL) {
        return say(&err);
    }
    if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO) == 1) {
        config_free(config);
        fprintf(stderr, "larder: an inventory is not for a terminal: -o FILE, or a pipe\n");
        return 2;
    }
    log_setup(LOG_ERROR, false);
    host = host_open(config, &err);
    if (host == NULL || inventory_make(host, path, &err) < 0) {
        status = say(&err);
    }
    host_free(host);
    return status;
}
