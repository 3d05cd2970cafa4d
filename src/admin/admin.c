/* admin/admin.c - which commands there are. */
#include "admin/admin.h"

#include "admin/handed.h"

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
    {.name = "verify", .changes = true, .is_idle = true, .run = admin_verify},
    {.name = "missing", .is_idle = true, .run = admin_missing},
    {.name = "name", .is_text = true, .run = admin_name},
    {.name = "take-blob",
     .takes = true,
     .changes = true,
     .body_max = 16u << 10,
     .run = admin_take_blob},
    {.name = "take-upload",
     .takes = true,
     .changes = true,
     .body_max = 16u << 10,
     .run = admin_take_upload},
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

/* Where another process is taking over, only what comes from such a one is done. */
static int run(const struct admin *a, const struct admin_command *c, const struct admin_query *q,
               struct buf *out, struct err *err)
{
    bool waits = c->changes && !c->takes;
    int result;

    if (waits && !store_change_begin(a->store)) {
        return err_set(err, ERR_UNAVAILABLE, "this server is being replaced: ask again");
    }
    result = c->run(a, q, out, err);
    if (waits) {
        store_change_end(a->store);
    }
    return result;
}

int admin_run(const struct admin *a, const struct admin_command *c, const struct admin_query *q,
              struct buf *out, struct err *err)
{
    int result;

    buf_init(out, ADMIN_ANSWER_MAX);
    result = run(a, c, q, out, err);
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
