/*
 * fuzz_lockfile.c - any lock file. Input: the file.
 *
 * What is taken is sorted and found again, and what is written of it is read back as the same.
 */
#include "oci/lockfile.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct route_upstream upstreams[] = {{"docker.io", NULL, 0, true},
                                                  {"ghcr.io", NULL, 0, false}};
static const char *const hosted[] = {"stage/**"};
static const struct route_table table = {upstreams, 2, hosted, 1, NULL, 0};

static void check_images(const struct lockfile *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct lock_image *image = &l->images[i];
        size_t n = 0;

        assert(image->name[0] != '\0' && image->n_platforms <= LOCKFILE_PLATFORMS_MAX);
        if (image->tag[0] != '\0') {
            const struct lock_image *first = lockfile_tags(l, image->name, &n);

            assert(lockfile_find(l, image->name, image->tag) == image);
            assert(first <= image && image < first + n && first->tag[0] != '\0');
        }
    }
}

static void check_same(const struct lockfile *l)
{
    struct lockfile *again = NULL;
    struct err e = {0};
    struct buf first;
    struct buf second;

    buf_init(&first, 8 * (size_t)LOCKFILE_MAX);
    buf_init(&second, 8 * (size_t)LOCKFILE_MAX);
    lockfile_write(l, &first);
    assert(lockfile_parse(buf_view(&first), &table, &again, &e) == 0);
    lockfile_write(again, &second);
    assert(slice_eq(buf_view(&first), buf_view(&second)));
    lockfile_free(again);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lockfile *l = NULL;
    struct err e = {0};

    if (lockfile_parse(slice_of((const char *)data, size), &table, &l, &e) == 0) {
        check_images(l);
        check_same(l);
    } else {
        assert(l == NULL && e.code == ERR_CONFIG && e.text[0] != '\0');
    }
    lockfile_free(l);
    return 0;
}
