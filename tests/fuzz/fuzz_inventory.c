/*
 * fuzz_inventory.c - any bytes as an inventory. What is accepted is written again, byte for byte.
 *
 * No fuzzer guesses the sum: where the input begins with an even byte, it is made right first.
 */
#include "bundle/inventory.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sum_set(unsigned char *p, size_t size)
{
    if (size >= INVENTORY_HEAD + INVENTORY_TAIL) {
        sha_of(SHA_256, p, size - 32, p + size - 32);
    }
}

/* Reads what was found to be good, a byte at a time, and writes the same. */
static void check_again(struct slice whole, const struct inventory *found)
{
    unsigned char out[DIGEST_KEY_MAX];
    struct inventory_write w;
    struct inventory_read r;
    enum inventory_event event = INVENTORY_MORE;
    struct err e;
    size_t at = inventory_write_head(&w, out);

    assert(memcmp(whole.p, out, at) == 0);
    inventory_read_init(&r);
    for (size_t i = 0; i < whole.len; i++) {
        struct slice in = slice_sub(whole, i, i + 1);

        event = inventory_read_feed(&r, &in, &e);
        assert(in.len == 0 && event != INVENTORY_BAD);
        if (event == INVENTORY_DIGEST) {
            size_t n = inventory_write_digest(&w, &r.digest, out);

            assert(memcmp(whole.p + at, out, n) == 0 && inventory_has(found, &r.digest));
            at += n;
        }
    }
    assert(event == INVENTORY_END && inventory_read_finish(&r, &e) == 0);
    assert(at + inventory_write_tail(&w, out) == whole.len);
    assert(memcmp(whole.p + at, out, INVENTORY_TAIL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inventory found;
    struct err e = {0};
    unsigned char *copy;
    struct slice whole;

    if (size == 0) {
        return 0;
    }
    copy = xcalloc(1, size);
    whole = slice_of((const char *)copy, size - 1);
    memcpy(copy, data + 1, size - 1);
    if (data[0] % 2 == 0) {
        sum_set(copy, size - 1);
    }
    if (inventory_open(whole, &found, &e) == 0) {
        check_again(whole, &found);
    } else {
        assert(e.code == ERR_BAD_REQUEST && e.text[0] != '\0');
    }
    free(copy);
    return 0;
}
