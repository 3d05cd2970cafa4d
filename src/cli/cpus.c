/* cli/cpus.c - affinity and cgroup quota. */
#include "cli/cpus.h"

#include "base/str.h"

#include <sched.h>
#include <stdio.h>

#define CGROUP_TEXT_MAX 4096

unsigned cpus_of_quota(const char *text)
{
    struct slice rest = slice_str(text);
    struct slice quota_text;
    struct slice line;
    uint64_t quota;
    uint64_t period;

    if (!slice_split(&rest, '\n', &line) || !slice_split(&line, ' ', &quota_text) ||
        !slice_u64(quota_text, &quota) || !slice_u64(line, &period) || period == 0 ||
        quota / period > 65535) {
        return 0;
    }
    return (unsigned)((quota + period - 1) / period);
}

/* Up to CGROUP_TEXT_MAX - 1 bytes of a small file of the kernel's, as a string; "" where it cannot
 * be read. Such files have no size of their own. */
static void read_small(const char *path, char out[CGROUP_TEXT_MAX])
{
    FILE *f = fopen(path, "re");
    size_t len = 0;

    if (f != NULL) {
        len = fread(out, 1, CGROUP_TEXT_MAX - 1, f);
        ignore_result(fclose(f) != 0);
    }
    out[len] = '\0';
}

/* The quota of this process's own cgroup (v2): "0::/path" in /proc/self/cgroup. */
static unsigned cgroup_quota(void)
{
    char groups[CGROUP_TEXT_MAX];
    char path[CGROUP_TEXT_MAX + 64];
    char max[CGROUP_TEXT_MAX];
    struct slice rest;
    struct slice line;

    read_small("/proc/self/cgroup", groups);
    rest = slice_str(groups);
    while (slice_split(&rest, '\n', &line)) {
        if (slice_starts(line, "0::")) {
            line = slice_from(line, 3);
            snprintf(path, sizeof(path), "/sys/fs/cgroup" SLICE_FMT "/cpu.max", SLICE_ARG(line));
            read_small(path, max);
            return cpus_of_quota(max);
        }
    }
    return 0;
}

unsigned cpus_allowed(void)
{
    unsigned quota = cgroup_quota();
    unsigned n = 1;
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) {
        n = (unsigned)CPU_COUNT(&set);
    }
    return quota > 0 && quota < n ? quota : n;
}
