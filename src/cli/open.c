/* cli/open.c - from the configuration's words to the store's. */
#include "cli/open.h"

#include <stdlib.h>

void open_rules_make(const struct config *config, struct open_rules *ret)
{
    ret->list = xcalloc(config->n_hosted + 1, sizeof(*ret->list));
    for (size_t i = 0; i < config->n_hosted; i++) {
        const struct config_hosted *h = &config->hosted[i];

        ret->list[i] = (struct retain_rule){
            .pattern = h->pattern,
            .keep_tags = h->keep_tags,
            .expire_after_s = h->expire_after_s,
            .untagged_after_s = h->untagged_after_s,
            .protect = (const char *const *)h->protect,
            .n_protect = h->n_protect,
            .gives_way = h->is_cache,
        };
    }
    ret->retain = (struct retain_rules){ret->list, config->n_hosted};
}

void open_rules_free(struct open_rules *r)
{
    free(r->list);
    r->list = NULL;
}

struct store_options open_options(const struct config *config, const struct open_rules *rules,
                                  struct pool *disk)
{
    return (struct store_options){
        .dir = config->data,
        .max_size = config->max_size,
        .max_percent = config->max_percent,
        .min_free = config->min_free,
        .min_free_percent = config->min_free_percent,
        .retain = &rules->retain,
        .keep_all = config->cache.offline,
        .disk = disk,
    };
}
