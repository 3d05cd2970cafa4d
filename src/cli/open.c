/* cli/open.c - from the configuration's words to the store's. */
#include "cli/open.h"

struct store *open_store(const struct config *config, struct pool *disk, struct err *err)
{
    struct store_options options = {
        .dir = config->data,
        .max_size = config->max_size,
        .max_percent = config->max_percent,
        .min_free = config->min_free,
        .min_free_percent = config->min_free_percent,
        .disk = disk,
    };

    return store_open(&options, err);
}
