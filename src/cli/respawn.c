/* cli/respawn.c - the program's own path, and a process of it. */
#include "cli/respawn.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLACED " (deleted)"
#define TAKE_OVER "--take-over"

extern char **environ;

/* Where the program lay when it was started; the kernel says so where another lies there now. */
static int own_path(char out[PATH_MAX], struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

    if (n < 0) {
        return err_set(err, ERR_INTERNAL, "/proc/self/exe: %s", strerror(errno));
    }
    out[n] = '\0';
    if (slice_ends(slice_of(out, (size_t)n), REPLACED)) {
        out[(size_t)n - strlen(REPLACED)] = '\0';
    }
    return 0;
}

/* The words with the flag behind the first of them, where it stands only once: a program that takes
 * over was itself started so. */
static char **with_flag(char *const *words, char *flag)
{
    size_t n = 0;
    char **all;

    while (words[n] != NULL) {
        n++;
    }
    all = xcalloc(n + 2, sizeof(*all));
    all[0] = words[0];
    all[1] = flag;
    if (n > 1) {
        size_t from = strcmp(words[1], flag) == 0 ? 2 : 1;

        memcpy(all + 2, words + from, (n - from) * sizeof(*all));
    }
    return all;
}

int respawn(char *const *words, pid_t *ret, struct err *err)
{
    char flag[] = TAKE_OVER;
    _cleanup_free_ char **argv = with_flag(words, flag);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    char path[PATH_MAX];
    sigset_t signals;
    pid_t pid;
    int error;

    if (own_path(path, err) < 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attr, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attr, &signals);
    error = posix_spawn(&pid, path, &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (error == 0) {
        *ret = pid;
        return 0;
    }
    return err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(error));
}
