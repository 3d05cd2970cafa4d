/* bundle/tar_write.c - ustar headers, and pax headers for what they cannot say. */
#include "bundle/tar_write.h"

#include <assert.h>
#include <stdio.h>

#define USTAR_NAME 100
/* Eleven octal digits. */
#define USTAR_SIZE ((uint64_t)1 << 33)
/* The format and its version, without a NUL behind. */
static const char MAGIC[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

size_t tar_write_padding(uint64_t size)
{
    return (size_t)(-size % TAR_BLOCK);
}

/* Octal digits with zeros in front and a NUL behind, in a field of n bytes. */
static void octal(unsigned char *at, size_t n, uint64_t value)
{
    at[--n] = '\0';
    while (n > 0) {
        at[--n] = (unsigned char)('0' + (value & 7));
        value >>= 3;
    }
}

/* One block. A longer name is cut, a larger size is 0: a pax header says them. */
static void ustar(const char *name, char flag, uint64_t size, unsigned char *block)
{
    unsigned sum = 0;

    memset(block, 0, TAR_BLOCK);
    for (size_t i = 0; i < USTAR_NAME && name[i] != '\0'; i++) {
        block[i] = (unsigned char)name[i];
    }
    octal(block + 100, 8, flag == '5' ? 0755 : 0644);
    octal(block + 108, 8, 0); /* user */
    octal(block + 116, 8, 0); /* group */
    octal(block + 124, 12, size < USTAR_SIZE ? size : 0);
    octal(block + 136, 12, 0); /* time */
    block[156] = (unsigned char)flag;
    memcpy(block + 257, MAGIC, sizeof(MAGIC));
    octal(block + 329, 8, 0); /* device */
    octal(block + 337, 8, 0);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += block[i];
    }
    octal(block + 148, 7, sum); /* six digits, a NUL, and the blank that stands there */
}

static size_t digits(size_t n)
{
    size_t count = 1;

    while (n >= 10) {
        n /= 10;
        count++;
    }
    return count;
}

/* "LENGTH KEY=VALUE\n": the length counts its own digits. */
static void pax_record(struct buf *b, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3;
    size_t len = rest + digits(rest);

    len = rest + digits(len);
    buf_printf(b, "%zu %s=%s\n", len, key, value);
}

/* The header and its records; 0 where the entry's own says it all. */
static size_t pax(const char *name, uint64_t size, unsigned char *out)
{
    size_t used = 0;
    char number[24];
    struct buf b;

    buf_init(&b, TAR_WRITE_MAX - 2 * TAR_BLOCK);
    if (strlen(name) > USTAR_NAME) {
        pax_record(&b, "path", name);
    }
    if (size >= USTAR_SIZE) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)size);
        pax_record(&b, "size", number);
    }
    assert(!b.failed);
    if (b.len > 0) {
        ustar("PaxHeaders.0/entry", 'x', b.len, out);
        memset(out + TAR_BLOCK, 0, TAR_WRITE_MAX - 2 * TAR_BLOCK);
        memcpy(out + TAR_BLOCK, b.p, b.len);
        used = TAR_BLOCK + b.len + tar_write_padding(b.len);
    }
    buf_free(&b);
    return used;
}

size_t tar_write_header(const char *name, enum tar_type type, uint64_t size,
                        unsigned char out[TAR_WRITE_MAX])
{
    bool dir = type == TAR_DIR;
    char text[TAR_NAME_MAX + 2];
    size_t used;

    assert(type == TAR_FILE || (dir && size == 0));
    assert(name[0] != '\0' && name[0] != '/' && strlen(name) + (dir ? 1 : 0) <= TAR_NAME_MAX);
    snprintf(text, sizeof(text), "%s%s", name, dir ? "/" : "");
    used = pax(text, size, out);
    ustar(text, dir ? '5' : '0', size, out + used);
    return used + TAR_BLOCK;
}
