/* admin/have.c - which of these blobs are here? Those that are stay for a while. */
#include "admin/repos.h"

/* Digests of one question. */
#define HAVE_MAX 10000

/* One question. */
struct having {
    const struct admin *admin;
    struct index_read *index;
    struct buf *out;
    uint64_t here;
    uint64_t missing;
};

static void look(struct having *h, const struct digest *d)
{
    struct store *s = h->admin->store;
    char text[DIGEST_TEXT_MAX];
    struct blob_record blob;

    if (index_get_blob(h->index, d, &blob) == INDEX_FOUND && store_blob_trusted(s, &blob)) {
        h->here++;
        ignore_result(!store_lease(s, d)); /* no room: it stays as long as it would anyway */
        return;
    }
    buf_printf(h->out, "%s\"%s\"", h->missing == 0 ? "" : ",", digest_text(d, text));
    h->missing++;
}

static int look_all(struct having *h, struct slice body, struct err *err)
{
    struct slice line;
    struct digest d;

    for (size_t n = 1; slice_split(&body, '\n', &line); n++) {
        if (line.len == 0 && body.p == NULL) {
            break; /* behind the last newline */
        }
        if (!digest_parse(line, &d)) {
            return err_set(err, ERR_DIGEST_INVALID, "line %zu is no digest", n);
        }
        if (n > HAVE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "more than %d digests", HAVE_MAX);
        }
        look(h, &d);
    }
    return 0;
}

int admin_have(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    struct having h = {.admin = a, .out = out};
    int result;

    if (admin_read_begin(a, &h.index, err) < 0) {
        return -1;
    }
    buf_str(out, "{\"missing\":[");
    result = look_all(&h, q->body, err);
    index_read_end(h.index);
    buf_printf(out, "],\"here\":%llu}\n", (unsigned long long)h.here);
    return result;
}
