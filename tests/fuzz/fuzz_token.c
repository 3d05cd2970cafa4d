/* fuzz_token.c - any answer of a token endpoint. */
#include "oci/token.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_answer a = {0};
    struct err e = {0};

    if (size == 0) {
        return 0;
    }
    if (token_answer_parse(slice_of((const char *)data, size), &a, &e) == 0) {
        assert(a.token != NULL && a.token[0] != '\0');
        for (const char *c = a.token; *c != '\0'; c++) {
            assert(*c > ' ' && *c <= '~');
        }
        assert(a.expires_s >= TOKEN_EXPIRES_MIN && a.expires_s <= TOKEN_EXPIRES_MAX);
    } else {
        assert(a.token == NULL && e.code == ERR_UPSTREAM_PROTOCOL);
    }
    token_answer_free(&a);
    return 0;
}
