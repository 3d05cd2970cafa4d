/*
 * cli/connect.h - a connection to the server that runs on a data directory.
 *
 * Blocks; any thread.
 */
#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

#include "base/err.h"
#include "base/str.h"

enum connected {
    CONNECT_DONE,
    CONNECT_NOBODY, /* no server runs there, or the directory is not there */
    CONNECT_FAILED, /* *err says why */
};

/* Connects to DATA/control.sock. *ret_fd is the caller's, for CONNECT_DONE alone. */
enum connected connect_control(const char *data, int *ret_fd, struct err *err) MUST_CHECK;

/* Sends all of it. -1: the server closed, *err says how. */
int connect_send(int fd, struct slice s, struct err *err) MUST_CHECK;

#endif
