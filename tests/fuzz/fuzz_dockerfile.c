/* fuzz_dockerfile.c - any text as a Dockerfile: images have names, errors have a line. */
#include "oci/dockerfile.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dockerfile d = {0};
    struct err e = {0};

    if (dockerfile_parse(slice_of((const char *)data, size), "linux/amd64", &d, &e) < 0) {
        assert(e.code == ERR_CONFIG && e.text[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < d.n; i++) {
        assert(d.images[i].name[0] != '\0' && d.images[i].line > 0);
    }
    dockerfile_free(&d);
    return 0;
}
