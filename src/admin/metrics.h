/*
 * admin/metrics.h - all figures, in the text format that Prometheus reads (version 0.0.4).
 *
 * Names begin with larder_; counters end in _total, sizes in _bytes, times in _seconds.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "base/str.h"
#include "store/store.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_MAX (256u * 1024)

/* Appends them to `out`. Any thread; asks the disk for its free space once a second at most. */
void metrics_write(struct store *s, struct buf *out);

#endif
