/* fuzz_challenge.c - any WWW-Authenticate lines, one a line of the input. */
#include "oci/challenge.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const char *value, size_t size)
{
    size_t len = strlen(value);

    assert(len < size);
    for (size_t i = 0; i < len; i++) {
        assert((unsigned char)value[i] >= 0x20 && value[i] != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = size == 0 ? SLICE_NULL : slice_of((const char *)data, size);
    struct slice line;
    struct challenge c = {.scheme = CHALLENGE_NONE};

    while (slice_split(&rest, '\n', &line)) {
        enum challenge_scheme before = c.scheme;

        challenge_add(&c, line);
        assert(c.scheme >= before);
    }
    check_value(c.realm, sizeof(c.realm));
    check_value(c.service, sizeof(c.service));
    check_value(c.scope, sizeof(c.scope));
    check_value(c.error, sizeof(c.error));
    assert(c.scheme != CHALLENGE_BEARER || c.realm[0] != '\0');
    assert(c.scheme != CHALLENGE_NONE || c.realm[0] == '\0');
    return 0;
}
