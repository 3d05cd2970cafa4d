/* cli/export_lack.c - images that are not here, or not whole: which, and what fetches them. */
#include "cli/export_parts.h"

#include <stdio.h>

/* Images that are told one by one; the others are counted. */
#define TOLD_MAX 20
#define WORDS_MAX (8u << 20)

void export_lacking_init(struct export_lacking *l)
{
    *l = (struct export_lacking){0};
    buf_init(&l->names, WORDS_MAX);
}

void export_lacking_fini(struct export_lacking *l)
{
    buf_free(&l->names);
}

static void tell(struct export *x, const struct export_lacking *l, const char *text)
{
    if (l->n == 2) {
        export_note(x, l->first.text); /* it is not the only one after all */
    }
    if (l->n > 1 && l->n <= TOLD_MAX) {
        export_note(x, text);
    }
}

void export_lacking_add(struct export *x, struct export_lacking *l, enum wanted_by by,
                        const struct err *err)
{
    l->n++;
    if (l->n == 1) {
        l->first = *err;
    }
    tell(x, l, err->text);
    if (!x->lack.can_be_fetched) {
        return;
    }
    l->n_fetched++;
    l->referrers |= x->lack.referrers;
    l->of_file |= by == WANTED_BY_FILE;
    l->of_lock |= by == WANTED_BY_LOCK;
    if (by == WANTED_BY_NAME) {
        buf_printf(&l->names, " %s", x->lack.name);
    }
}

/* Where a file named them, it names them to `larder warm` as well, for what it says of them. */
static void write_command(const struct export *x, const struct export_lacking *l, struct buf *out)
{
    const struct flags *f = x->flags;

    buf_printf(out, "`larder warm%s", l->referrers ? " --referrers" : "");
    if (f->platform != NULL) {
        buf_printf(out, " --platform %s", f->platform);
    }
    if (l->of_file) {
        buf_printf(out, " --file %s", f->file);
    }
    if (l->of_lock) {
        buf_printf(out, " --lock %s", f->config.lock);
    }
    buf_slice(out, buf_view(&l->names));
    buf_printf(out, "` fetches %s",
               l->n == 1              ? "it"
               : l->n_fetched == l->n ? "them"
                                      : "those that were not pushed here");
}

/* All in one line, where there is one and its line has room for it. */
static bool refuse_one(const struct export_lacking *l, const struct buf *command, struct err *err)
{
    size_t len = strlen(l->first.text) + 2 + command->len;

    if (l->n > 1 || len >= sizeof(err->text)) {
        return false;
    }
    err_set(err, l->first.code, "%s%s%s", l->first.text, command->len > 0 ? "; " : "",
            command->len > 0 ? command->p : "");
    return true;
}

int export_lacking_refuse(struct export *x, const struct export_lacking *l, struct err *err)
{
    char more[40];
    struct buf command;

    buf_init(&command, 2 * WORDS_MAX);
    if (l->n_fetched > 0) {
        write_command(x, l, &command);
    }
    if (!refuse_one(l, &command, err)) {
        snprintf(more, sizeof(more), "and %zu more", l->n - TOLD_MAX);
        if (l->n == 1 || l->n > TOLD_MAX) {
            export_note(x, l->n == 1 ? l->first.text : more);
        }
        if (command.len > 0) {
            export_note(x, command.p);
        }
        err_set(err, l->first.code, "nothing is written: %zu image%s missing", l->n,
                l->n == 1 ? " is" : "s are");
    }
    buf_free(&command);
    return -1;
}
