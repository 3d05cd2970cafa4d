/* cli/gc.c - `larder gc`: what retention removes, or would. */
#include "cli/gc.h"

#include "cli/command.h"
#include "cli/render.h"

static void write_gone(const json_t *gone, const char *verb, struct buf *out)
{
    const char *what = command_text(gone, "what");
    const char *repository = command_text(gone, "repository");
    char size[RENDER_SIZE_MAX];

    buf_printf(out, "%s %s %s", verb, what, repository);
    if (strcmp(what, "tag") == 0) {
        buf_printf(out, ":%s", command_text(gone, "tag"));
    } else {
        buf_printf(out, "%s%s, %s", repository[0] == '\0' ? "" : "@", command_text(gone, "digest"),
                   render_size(command_number(gone, "bytes"), size));
    }
    buf_printf(out, " (%s)\n", command_text(gone, "why"));
}

static void tell(const json_t *answer, struct buf *out)
{
    bool dry = json_is_true(json_object_get(answer, "dry_run"));
    const char *verb = dry ? "would remove" : "removed";
    const json_t *all = json_object_get(answer, "gone");
    uint64_t omitted = command_number(answer, "omitted");
    char size[RENDER_SIZE_MAX];
    const json_t *gone;
    size_t i;

    json_array_foreach(all, i, gone)
    {
        write_gone(gone, verb, out);
    }
    if (omitted > 0) {
        buf_printf(out, "and %llu more\n", (unsigned long long)omitted);
    }
    buf_printf(out, "%s ", verb);
    render_count(out, command_number(answer, "tags"), "tag");
    buf_str(out, ", ");
    render_count(out, command_number(answer, "manifests"), "manifest");
    buf_str(out, ", ");
    render_count(out, command_number(answer, "blobs"), "blob");
    buf_printf(out, ": %s\n", render_size(command_number(answer, "bytes"), size));
}

int gc_run(const struct flags *flags)
{
    struct admin_query q = {.name = "", .dry_run = flags->dry_run};

    return command_run(flags, "gc", &q, tell);
}
