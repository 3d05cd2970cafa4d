/* admin/admin.c - which commands there are. */
#include "admin/admin.h"

static const struct admin_command COMMANDS[] = {
    {.name = "stages", .run = admin_stages},
    {.name = "ls", .run = admin_ls},
    {.name = "rm", .changes = true, .run = admin_rm},
    {.name = "gc", .changes = true, .run = admin_gc},
    {.name = "lock", .run = admin_lock},
    {.name = "have", .changes = true, .body_max = 2u << 20, .run = admin_have},
    {.name = "place", .changes = true, .body_max = 64u << 10, .explains = true, .run = admin_place},
    {.name = "pin", .changes = true, .run = admin_pin},
    {.name = "unpin", .changes = true, .run = admin_unpin},
    {.name = "blobs", .is_text = true, .run = admin_blobs},
    {.name = "images", .is_text = true, .run = admin_images},
    {.name = "verify", .changes = true, .run = admin_verify},
    {.name = "name", .is_text = true, .run = admin_name},
};

const struct admin_command *admin_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        if (slice_is(name, COMMANDS[i].name)) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

int admin_run(const struct admin *a, const struct admin_command *c, const struct admin_query *q,
              struct buf *out, struct err *err)
{
    int result;

    buf_init(out, ADMIN_ANSWER_MAX);
    result = c->run(a, q, out, err);
    if (result == 0 && out->failed) {
        result = err_set(err, ERR_TOO_LARGE,
                         "the answer would be larger than %u MiB: ask for one "
                         "repository",
                         ADMIN_ANSWER_MAX >> 20);
    }
    if (result < 0 && !c->explains) {
        buf_free(out);
        buf_init(out, ADMIN_ANSWER_MAX);
    }
    return result;
}
