/*
 * registry/challenge.h - what a 401 of ours says: how to show who one is.
 *
 * One challenge alone, as clients differ in what they make of two: dockerd then wants a password
 * also where a token for nobody would do. It is Bearer, which tells where a token is to be had
 * (registry/issue.c); where a token itself is asked for, or no URL leads back here, it is Basic.
 * Basic is taken everywhere.
 */
#ifndef REGISTRY_CHALLENGE_H
#define REGISTRY_CHALLENGE_H

#include "registry/request.h"

/* Appends the line to q->extra. */
void challenge_add_line(struct request *q);

#endif
