/*
 * cli/open.h - the store that a configuration describes.
 */
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "cli/config.h"
#include "store/retain.h"
#include "store/store.h"

/* The rules of retention. Borrow the configuration's strings; freed by open_rules_free(). */
struct open_rules {
    struct retain_rules retain;
    struct retain_rule *list;
};

void open_rules_make(const struct config *config, struct open_rules *ret);
void open_rules_free(struct open_rules *r);

/* What the configuration says, for store_open() and store_renew(). All three outlive the store, or
 * its use of them. */
struct store_options open_options(const struct config *config, const struct open_rules *rules,
                                  struct pool *disk);

#endif
