/*
 * store_dir.h - a data directory of a test's own.
 *
 * The directory lies under $TMPDIR and is removed with rm at the end of the program.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char store_dir_path[256];
static struct pool *store_dir_pool;

static inline int store_dir_unlink(const char *path, const struct stat *st, int flag,
                                   struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    ignore_result(remove(path) != 0);
    return 0;
}

static inline void store_dir_remove(void)
{
    nftw(store_dir_path, store_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new empty directory; the one before goes. */
static inline const char *store_dir_new(void)
{
    const char *tmp = getenv("TMPDIR");

    if (store_dir_path[0] != '\0') {
        store_dir_remove();
    } else {
        atexit(store_dir_remove);
    }
    snprintf(store_dir_path, sizeof(store_dir_path), "%s/larder-test-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(store_dir_path) == NULL) {
        perror(store_dir_path);
        exit(1);
    }
    return store_dir_path;
}

/* At the end of main(). */
static inline void store_dir_join_pool(void)
{
    pool_free(store_dir_pool);
}

static inline struct store_options store_dir_options(void)
{
    if (store_dir_pool == NULL) {
        store_dir_pool = pool_new("disk", 3);
    }
    return (struct store_options){
        .dir = store_dir_path, .max_size = UINT64_MAX, .disk = store_dir_pool};
}

/* Opens it, or ends the program. */
static inline struct store *store_dir_open(void)
{
    struct store_options options = store_dir_options();
    struct err err = {0};
    struct store *s = store_open(&options, &err);

    if (s == NULL) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    return s;
}

#endif
