/*
 * cli/open.h - the store that a configuration describes.
 */
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "cli/config.h"
#include "store/store.h"

/* store_open() with what the configuration says; `config` and `disk` outlive the store. */
struct store *open_store(const struct config *config, struct pool *disk,
                         struct err *err) MUST_CHECK;

#endif
