/* store/guard.c - a signal handler, and a way back out of it. */
#include "store/guard.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The handler finds its things here; written before anything can fault. */
static char note_path[4096];
static struct sigaction before;
static bool installed;

static _Thread_local sigjmp_buf way_back;
static _Thread_local volatile bool running;

void guard_note(void)
{
    int fd = open(note_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    if (fd >= 0) {
        close(fd);
    }
}

void guard_leave(void)
{
    if (running) {
        running = false;
        siglongjmp(way_back, 1);
    }
}

/* Returning, it comes again at once, to whoever had the signal before: that ends the process. */
static void on_sigbus(int signal)
{
    static const char text[] = "the index is damaged; it will be replaced at the next start\n";

    guard_leave();
    guard_note();
    ignore_result(write(STDERR_FILENO, text, sizeof(text) - 1) < 0);
    sigaction(signal, &before, NULL);
}

void guard_install(const char *note)
{
    struct sigaction action = {.sa_handler = on_sigbus};

    snprintf(note_path, sizeof(note_path), "%s", note);
    if (!installed) {
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &before);
        installed = true;
    }
}

bool guard_run(void (*f)(void *arg), void *arg)
{
    if (sigsetjmp(way_back, 1) != 0) {
        return false;
    }
    running = true;
    f(arg);
    running = false;
    return true;
}
