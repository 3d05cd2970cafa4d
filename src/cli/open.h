/*
 * cli/open.h - the store that a configuration describes.
 */
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "cli/config.h"
#include "store/retain.h"
#include "store/store.h"

/* Owner: whoever opens the store; outlives it, freed by open_rules_free(). */
struct open_rules {
    struct retain_rules retain;
    struct retain_rule *list;
};

void open_rules_free(struct open_rules *r);

/* store_open() with what the configuration says; `config`, `disk` and *rules, which is filled,
 * outlive the store. */
struct store *open_store(const struct config *config, struct pool *disk, struct open_rules *rules,
                         struct err *err) MUST_CHECK;

#endif
