/*
 * cli/banner.h - what `larder serve` says when it is ready.
 */
#ifndef CLI_BANNER_H
#define CLI_BANNER_H

#include "cli/config.h"
#include "http/server.h"

/* Prints to stderr: where it listens, where the data lies and how much it may use, what it
 * mirrors, what it takes pushes for, and how to point Docker at it. */
void banner_print(const struct config *c, const struct store *s, const struct http_listener *all,
                  unsigned n);

#endif
