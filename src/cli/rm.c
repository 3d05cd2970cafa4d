/* cli/rm.c - `larder rm`: removes tags, manifests and repositories. */
#include "cli/rm.h"

#include "cli/command.h"

#include <stdio.h>

static void tell(const json_t *answer, struct buf *out)
{
    const json_t *removed = json_object_get(answer, "removed");
    const json_t *one;
    size_t i;

    json_array_foreach(removed, i, one)
    {
        const char *tag = command_text(one, "tag");

        buf_printf(out, "removed %s %s%s%s\n", command_text(one, "what"),
                   command_text(one, "repository"), tag[0] == '\0' ? "@" : ":",
                   tag[0] == '\0' ? command_text(one, "digest") : tag);
    }
}

int rm_run(const struct flags *flags)
{
    int status = 0;

    if (flags->n_args == 0) {
        fprintf(stderr,
                "larder: rm needs a name: REPOSITORY:TAG, REPOSITORY@DIGEST or REPOSITORY\n");
        return 2;
    }
    for (size_t i = 0; i < flags->n_args; i++) {
        struct admin_query q = {.name = flags->args[i]};
        int one = command_run(flags, "rm", &q, tell);

        status = one > status ? one : status;
    }
    return status;
}
