/*
 * fuzz_config.c - any configuration file.
 *
 * What is accepted must be what the server relies on: one default upstream, names that route to
 * themselves, hosted patterns that can be asked. What is refused says so in one line that begins
 * with the file.
 */
#include "cli/config.h"
#include "oci/pattern.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_config(const struct config *c)
{
    struct route_table *t = config_routes(c);
    size_t defaults = 0;

    assert(c->n_listeners > 0 && c->data != NULL && c->workers <= 64);
    assert((c->max_size == UINT64_MAX) == (c->max_percent > 0) && c->max_percent <= 100);
    assert(c->min_free_percent <= 100 && c->max_size > 0);
    assert(c->cache.tag_ttl_s >= 0 && c->limits.retry_min <= c->limits.retry_max);
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct config_upstream *u = &c->upstreams[i];

        assert(route_find_upstream(t, slice_str(u->name)) == (int)i);
        for (size_t k = 0; k < u->n_aliases; k++) {
            assert(route_find_upstream(t, slice_str(u->aliases[k])) == (int)i);
        }
        for (size_t k = 0; k < c->n_hosted; k++) {
            assert(!pattern_may_match_prefix(slice_str(c->hosted[k].pattern), slice_str(u->name)));
        }
        for (size_t k = 0; k < u->n_credentials; k++) {
            const struct config_credential *cred = &u->credentials[k];

            assert((cred->user != NULL) == (cred->password != NULL));
            assert((cred->user == NULL) == (cred->identity_token != NULL ||
                                            cred->docker_config != NULL || cred->helper != NULL));
            assert(k + 1 == u->n_credentials || cred->n_repositories > 0);
        }
        defaults += u->is_default;
    }
    assert(defaults == 1);
    for (size_t k = 0; k < c->n_hosted; k++) {
        assert(pattern_valid(slice_str(c->hosted[k].pattern)));
    }
    free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_flags flags = {.data = "/data"};
    struct err err = {0};
    struct config *c = config_parse("f", slice_of((const char *)data, size), &flags, &err);

    if (c != NULL) {
        check_config(c);
    } else {
        assert(err.code == ERR_CONFIG && strncmp(err.text, "f: ", 3) == 0);
        for (const char *p = err.text; *p != '\0'; p++) {
            assert((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
    }
    config_free(c);
    return 0;
}
