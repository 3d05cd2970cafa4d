/* store/boot.c - the kernel's boot id as a number. */
#include "store/boot.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/sha.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

uint64_t boot_random(void)
{
    uint64_t n = 0;

    if (getrandom(&n, sizeof(n), 0) != sizeof(n)) {
        n = clock_mono_us();
    }
    return n;
}

/* Not by file_read(): such a file says of itself that it has no bytes. */
uint64_t boot_id(void)
{
    _cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    unsigned char hash[SHA_MAX];
    char text[64];
    ssize_t n = fd < 0 ? -1 : file_pread_all(fd, text, sizeof(text), 0);
    uint64_t id;

    if (n <= 0) {
        return boot_random() | 1;
    }
    sha_of(SHA_256, text, (size_t)n, hash);
    memcpy(&id, hash, sizeof(id));
    return id | 1;
}
