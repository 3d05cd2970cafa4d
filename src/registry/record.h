/* registry/record.h - the one record a request feeds the access log and the counters with. */
#ifndef REGISTRY_RECORD_H
#define REGISTRY_RECORD_H

#include "registry/request.h"

/* Writes the line; `q` is NULL where the head could not be read. Loop thread. */
void record_write(const struct request *q, const struct http_exchange *x);

/* Sends the lines that this loop's thread has gathered, and no more after. As the loop ends. */
void record_flush_fini(void);

#endif
