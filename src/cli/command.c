/* cli/command.c - one command on the store, from its flags to its exit status. */
#include "cli/command.h"

#include "cli/local.h"
#include "cli/remote.h"
#include "cli/turn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define TEXT_MAX (256u << 20)

const char *command_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text == NULL ? "" : text;
}

uint64_t command_number(const json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name));

    return n < 0 ? 0 : (uint64_t)n;
}

static int say(const struct err *err)
{
    fprintf(stderr, "larder: %s\n", err->text);
    return flags_status(err);
}

static int print(struct slice text)
{
    bool good = text.len == 0 || fwrite(text.p, 1, text.len, stdout) == text.len;

    if (!good || fflush(stdout) != 0) {
        fprintf(stderr, "larder: standard output: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

static int print_answer(const struct buf *answer, bool as_json,
                        void (*tell)(const json_t *answer, struct buf *out))
{
    struct buf text;
    json_t *root;
    int status;

    if (as_json) {
        return print(buf_view(answer));
    }
    root = json_loadb(answer->p, answer->len, 0, NULL);
    if (!json_is_object(root)) {
        fprintf(stderr, "larder: the answer cannot be read\n");
        json_decref(root);
        return 1;
    }
    buf_init(&text, TEXT_MAX);
    tell(root, &text);
    status = print(buf_view(&text));
    buf_free(&text);
    json_decref(root);
    return status;
}

/* By the server that runs there, else here. `answer` is freed by the caller. */
static int ask(const struct config *config, const struct admin_command *c,
               const struct admin_query *q, struct buf *answer, struct err *err)
{
    struct turn turn = {0};

    for (;;) {
        switch (remote_ask(config->data, c, q, answer, err)) {
        case REMOTE_DONE:
            return 0;
        case REMOTE_FAILED:
            return -1;
        case REMOTE_NOBODY:
            break;
        }
        buf_free(answer);
        if (local_run(config, c, q, answer, err) == 0) {
            return 0;
        }
        if (!turn_wait(&turn, err)) {
            return -1;
        }
        buf_free(answer);
    }
}

int command_run(const struct flags *flags, const char *name, const struct admin_query *q,
                void (*tell)(const json_t *answer, struct buf *out))
{
    const struct admin_command *c = admin_find(slice_str(name));
    struct err err = {0};
    struct config *config = config_read(&flags->config, &err);
    struct buf answer;
    int status;

    assert(c != NULL);
    if (config == NULL) {
        return say(&err);
    }
    log_setup(LOG_ERROR, false); /* what a server would note does not concern who asks here */
    limits = config->limits;
    status =
        ask(config, c, q, &answer, &err) < 0 ? say(&err) : print_answer(&answer, flags->json, tell);
    buf_free(&answer);
    config_free(config);
    return status;
}
