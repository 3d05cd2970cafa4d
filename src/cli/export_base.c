/* cli/export_base.c - an inventory, or the list of a bundle that went before. */
#include "base/sha.h"
#include "bundle/archive.h"
#include "bundle/source.h"
#include "cli/export_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (64u * 1024)
/* Parts of one archive. */
#define PARTS_MAX 1000

static void stands_on(struct export_base *b, struct slice whole)
{
    unsigned char raw[SHA_MAX];

    sha_of(SHA_256, whole.p, whole.len, raw);
    b->stands_on = digest_of_raw(DIGEST_SHA256, raw);
}

/* --- --have -------------------------------------------------------------------------------- */

static int map_file(const char *path, struct slice *ret, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    void *p;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_set(err, ERR_CONFIG, "%.150s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        return err_set(err, ERR_CONFIG, "%.150s: this is no inventory", path);
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        return err_set(err, ERR_CONFIG, "%.150s: %s", path, strerror(errno));
    }
    *ret = slice_of(p, (size_t)st.st_size);
    return 0;
}

static int have_open(struct export_base *b, const char *path, struct err *err)
{
    if (map_file(path, &b->mapped, err) < 0) {
        return -1;
    }
    if (inventory_open(b->mapped, &b->inventory, err) < 0) {
        return err_wrap(err, "%.150s", path);
    }
    b->has_inventory = true;
    stands_on(b, b->mapped);
    return 0;
}

/* --- --since ------------------------------------------------------------------------------- */

/* Takes the list, which comes first, and nothing behind it. */
static int list_read(struct source *s, struct spool *spool, char *room, struct err *err)
{
    bool inside = false;

    for (;;) {
        switch (source_next(s, err)) {
        case SOURCE_ROOM:
            source_room(s, room, ROOM);
            break;
        case SOURCE_ENTRY:
            inside = strcmp(source_entry(s)->name, ARCHIVE_LIST_NAME) == 0;
            if (!inside && source_entry(s)->type != TAR_DIR) {
                return err_set(err, ERR_BAD_REQUEST,
                               "it does not begin with %s: Larder made no "
                               "such bundle",
                               ARCHIVE_LIST_NAME);
            }
            break;
        case SOURCE_DATA:
            if (inside && spool_add(spool, source_data(s), err) < 0) {
                return -1;
            }
            break;
        case SOURCE_ENTRY_END:
            if (inside) {
                return 0;
            }
            break;
        case SOURCE_END:
            return err_set(err, ERR_BAD_REQUEST, "it has no %s", ARCHIVE_LIST_NAME);
        case SOURCE_BAD:
            return -1;
        }
    }
}

/* FILE.000 stands for all its parts. */
static size_t parts_of(const char *path, char **out)
{
    size_t n = strlen(path);
    size_t count = 1;

    out[0] = xstrdup(path);
    if (n < 5 || strcmp(path + n - 4, ".000") != 0) {
        return 1;
    }
    for (; count < PARTS_MAX; count++) {
        out[count] = xasprintf("%.*s.%03zu", (int)(n - 4), path, count);
        if (access(out[count], R_OK) < 0) {
            free(out[count]);
            break;
        }
    }
    return count;
}

static int since_read(struct export_base *b, const char *path, struct err *err)
{
    char **parts = xcalloc(PARTS_MAX, sizeof(*parts));
    char *room = xcalloc(ROOM, 1);
    size_t n = parts_of(path, parts);
    struct source *s = source_open((const char *const *)(void *)parts, n, err);
    int result = -1;

    if (s != NULL &&
        (list_read(s, &b->spool, room, err) == 0 || err_wrap(err, "%.120s", path) == 0)) {
        result = 0;
    }
    source_free(s);
    for (size_t i = 0; i < n; i++) {
        free(parts[i]);
    }
    free(parts);
    free(room);
    return result;
}

static int since_open(struct export_base *b, const char *path, struct err *err)
{
    struct slice whole;

    if (since_read(b, path, err) < 0 || spool_map(&b->spool, &whole, err) < 0) {
        return -1;
    }
    if (list_open(whole, &b->list, err) < 0) {
        return err_wrap(err, "%.120s", path);
    }
    b->has_list = true;
    stands_on(b, whole);
    return 0;
}

/* --- both ---------------------------------------------------------------------------------- */

int export_base_open(struct export *x, struct err *err)
{
    int result = 0;

    if (x->flags->have != NULL) {
        result = have_open(&x->base, x->flags->have, err);
    } else if (x->flags->since != NULL) {
        result = since_open(&x->base, x->flags->since, err);
    }
    if (result < 0 && err->code == ERR_BAD_REQUEST) {
        err->code = ERR_CONFIG; /* a flag names the file */
    }
    return result;
}

/* Who took the bundle has what it left out, too. */
bool export_base_has(const struct export_base *b, const struct digest *d)
{
    uint64_t size;

    if (b->has_inventory) {
        return inventory_has(&b->inventory, d);
    }
    return b->has_list &&
           (list_has_blob(&b->list, d, &size) || list_needs_blob(&b->list, d, &size));
}

void export_base_apply(struct export *x)
{
    struct blobset all = x->blobs;

    x->blobs = (struct blobset){0};
    blobset_sort(&all);
    blobset_sort(&x->implied);
    for (size_t i = 0; i < blobset_count(&all); i++) {
        struct digest d;
        uint64_t size;

        blobset_get(&all, i, &d, &size);
        blobset_add(blobset_has(&x->implied, &d) ? &x->needs : &x->blobs, &d, size);
    }
    blobset_fini(&all);
    blobset_sort(&x->blobs);
    blobset_sort(&x->needs);
}

void export_base_fini(struct export_base *b)
{
    if (b->mapped.len > 0) {
        munmap((void *)(uintptr_t)b->mapped.p, b->mapped.len);
    }
    spool_fini(&b->spool);
}
