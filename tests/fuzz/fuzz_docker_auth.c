/* fuzz_docker_auth.c - any config.json, and any answer of a helper. */
#include "oci/docker_auth.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const SERVERS[] = {"docker.io", "https://index.docker.io/v1/", "a.io"};
    struct slice text = slice_of((const char *)data, size);
    struct docker_auth a = {0};
    struct err e = {0};

    if (size == 0) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(SERVERS); i++) {
        if (docker_config_parse(text, SERVERS[i], &a, &e) == 0) {
            assert((a.basic != NULL) + (a.identity_token != NULL) + (a.helper != NULL) == 1);
            assert(a.helper == NULL || docker_helper_valid(slice_str(a.helper)));
            assert((a.helper == NULL) == (a.server == NULL));
        }
        docker_auth_free(&a);
    }
    if (docker_answer_parse(text, &a, &e) == 0) {
        assert((a.user != NULL) == (a.password != NULL));
        assert((a.user == NULL) == (a.identity_token != NULL));
    }
    docker_auth_free(&a);
    return 0;
}
