/* cli/version.c - prints the version. */
#include "cli/version.h"

#include "base/version.h"

#include <stdio.h>

int version_run(const struct flags *flags)
{
    (void)flags;
    puts("larder " LARDER_VERSION);
    return 0;
}
