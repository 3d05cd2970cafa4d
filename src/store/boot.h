/*
 * store/boot.h - what tells one start of this machine from another.
 */
#ifndef STORE_BOOT_H
#define STORE_BOOT_H

#include <stdint.h>

/* The same until the machine is started again. Where the kernel does not say, each call is a start
 * of its own: blobs that were not synced are then hashed again. Never 0. */
uint64_t boot_id(void);

/* A number that nobody had before, as far as that goes. */
uint64_t boot_random(void);

#endif
