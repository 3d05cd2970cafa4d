/* store/boot.c - the kernel's boot id as a number. */
#include "store/boot.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/sha.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint64_t boot_random(void)
{
    uint64_t n = 0;

    if (getrandom(&n, sizeof(n), 0) != sizeof(n)) {
        n = clock_mono_us();
    }
    return n;
}

uint64_t boot_id(void)
{
    unsigned char hash[SHA_MAX];
    char *text = NULL;
    struct err err;
    uint64_t id;
    size_t n;

    if (file_read("/proc/sys/kernel/random/boot_id", 4096, &text, &n, &err) < 0 || n == 0) {
        free(text);
        return boot_random() | 1;
    }
    sha_of(SHA_256, text, n, hash);
    free(text);
    memcpy(&id, hash, sizeof(id));
    return id | 1;
}
