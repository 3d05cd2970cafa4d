/* cli/pin.c - `larder pin IMAGE` and `larder unpin IMAGE`. */
#include "cli/pin.h"

#include "cli/command.h"
#include "cli/render.h"

#include <stdio.h>

static void tell(const json_t *answer, struct buf *out)
{
    char size[RENDER_SIZE_MAX];

    render_count(out, command_number(answer, "blobs"), "blob");
    buf_printf(out, ", %s; %llu changed\n", render_size(command_number(answer, "bytes"), size),
               (unsigned long long)command_number(answer, "changed"));
}

static int run(const struct flags *flags, const char *command)
{
    struct admin_query q = {0};

    if (flags->n_args == 0) {
        fprintf(stderr, "larder: no image is named; see `larder %s --help`\n", command);
        return 2;
    }
    q.name = flags->args[0];
    return command_run(flags, command, &q, tell);
}

int pin_run(const struct flags *flags)
{
    return run(flags, "pin");
}

int unpin_run(const struct flags *flags)
{
    return run(flags, "unpin");
}
