/* store/check.c - the invariants of the store, one after another. */
#include "store/check.h"

#include "base/file.h"
#include "base/sha.h"
#include "store/ingest.h"
#include "store/inner.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)

/* Owner: store_check(). */
struct check {
    struct store *store;
    struct db_txn *txn;
    struct record_totals totals;
    unsigned char *piece;
    struct err *err; /* code ERR_NONE: all is well so far */
};

/* Stops the walk that it is called in. */
static bool wrong(struct check *c, const struct digest *d, const char *what)
{
    char text[DIGEST_TEXT_MAX];

    err_set(c->err, ERR_STORE, "%s: %s", d == NULL ? "the index" : digest_text(d, text), what);
    return false;
}

static bool has(struct check *c, enum db_table table, const struct record_key *key)
{
    struct slice value;

    return db_get(c->txn, table, record_key_view(key), &value) == DB_FOUND;
}

/* --- blobs --------------------------------------------------------------------------------- */

static bool hashes_to(struct check *c, int fd, const struct digest *d)
{
    enum sha_alg alg = d->alg == DIGEST_SHA512 ? SHA_512 : SHA_256;
    struct digest got = {.alg = d->alg};
    uint64_t offset = 0;
    struct sha sha;
    ssize_t n;

    sha_init(&sha, alg);
    while ((n = file_pread_all(fd, c->piece, PIECE, offset)) > 0) {
        sha_update(&sha, c->piece, (size_t)n);
        offset += (uint64_t)n;
    }
    sha_final(&sha, got.bytes);
    return n == 0 && digest_equal(&got, d);
}

static bool check_blob(void *arg, struct slice key, struct slice value)
{
    struct check *c = arg;
    struct blob_record b;
    struct digest d;
    bool good;
    int fd;

    if (!record_digest_of_key(key, &d) || !record_get_blob(value, &b)) {
        return wrong(c, NULL, "a record of a blob cannot be read");
    }
    c->totals.bytes[b.class] += b.size;
    c->totals.count[b.class]++;
    if (tree_size(&c->store->tree, &d) != (int64_t)b.size) {
        return wrong(c, &d, "its file is missing or has another size");
    }
    if (!store_blob_trusted(c->store, &b)) {
        return true;
    }
    fd = tree_open_blob(&c->store->tree, &d);
    good = fd >= 0 && hashes_to(c, fd, &d);
    if (fd >= 0) {
        close(fd);
    }
    return good || wrong(c, &d, "its file is something else");
}

static bool check_body(void *arg, struct slice key, struct slice value)
{
    struct check *c = arg;
    struct record_key blob;
    struct digest got;
    struct digest d;

    if (!record_digest_of_key(key, &d)) {
        return wrong(c, NULL, "a body has no digest");
    }
    got = (struct digest){.alg = d.alg};
    sha_of(d.alg == DIGEST_SHA512 ? SHA_512 : SHA_256, value.p, value.len, got.bytes);
    record_key_digest(&blob, &d);
    if (!digest_equal(&got, &d)) {
        return wrong(c, &d, "its body is something else");
    }
    return has(c, DB_BLOBS, &blob) || wrong(c, &d, "it has a body and no blob");
}

/* --- pairs --------------------------------------------------------------------------------- */

static bool check_holder(void *arg, struct slice key, struct slice value)
{
    struct check *c = arg;
    struct record_key member;
    struct digest d;
    uint64_t repo;

    (void)value;
    if (!record_repo_of_holder(key, &repo) ||
        !record_digest_of_key(slice_sub(key, 0, key.len - 8), &d)) {
        return wrong(c, NULL, "a holder cannot be read");
    }
    record_key_member(&member, repo, &d);
    return has(c, DB_MEMBERS, &member) || wrong(c, &d, "a holder has no member");
}

static bool check_parent(void *arg, struct slice key, struct slice value)
{
    struct check *c = arg;
    struct record_key ref;
    struct digest child;
    struct digest parent;

    (void)value;
    if (!record_second_of_pair(key, &parent) ||
        !record_digest_of_key(slice_sub(key, 0, key.len - 1 - digest_size(&parent)), &child)) {
        return wrong(c, NULL, "a parent cannot be read");
    }
    record_key_pair(&ref, &parent, &child);
    return has(c, DB_REFS, &ref) || wrong(c, &child, "a parent has no reference");
}

static void check_pairs(struct check *c)
{
    db_each(c->txn, DB_HOLDERS, SLICE_NULL, SLICE_NULL, check_holder, c);
    db_each(c->txn, DB_PARENTS, SLICE_NULL, SLICE_NULL, check_parent, c);
    if (c->err->code == ERR_NONE && (db_count(c->txn, DB_HOLDERS) != db_count(c->txn, DB_MEMBERS) ||
                                     db_count(c->txn, DB_PARENTS) != db_count(c->txn, DB_REFS))) {
        wrong(c, NULL, "members and holders, or references and parents, are not as many");
    }
}

/* --- files --------------------------------------------------------------------------------- */

static bool check_partial(void *arg, struct slice key, struct slice value)
{
    struct check *c = arg;
    char name[INGEST_NAME_MAX];
    struct partial_record p;
    struct digest d;
    struct stat st;

    if (!record_digest_of_key(key, &d) || !record_get_partial(value, &p)) {
        return wrong(c, NULL, "a record of a partial file cannot be read");
    }
    if (fstatat(c->store->tree.ingest, ingest_file_name(&d, name), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (uint64_t)st.st_size < p.stored) {
        return wrong(c, &d, "its partial file is missing or too short");
    }
    return true;
}

static bool check_known(void *arg, const struct digest *d, const char *path)
{
    struct check *c = arg;
    struct record_key key;

    (void)path;
    record_key_digest(&key, d);
    return has(c, DB_BLOBS, &key) || wrong(c, d, "its file is here and the index does not know");
}

static uint64_t files_in(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    uint64_t n = 0;

    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return UINT64_MAX;
    }
    while ((entry = readdir(dir)) != NULL) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

/* The sums as they were in this transaction. */
static void check_totals(struct check *c)
{
    struct record_totals totals = {0};
    struct record_key key;
    struct slice value;

    record_key_meta(&key, "totals");
    if (db_get(c->txn, DB_META, record_key_view(&key), &value) == DB_FOUND &&
        !record_get_totals(value, &totals)) {
        wrong(c, NULL, "the sums cannot be read");
    } else if (memcmp(&totals, &c->totals, sizeof(totals)) != 0) {
        wrong(c, NULL, "the sums are wrong");
    }
}

/* Nobody is at work: everything is accounted for. */
static void check_quiet(struct check *c)
{
    struct record_totals totals = budget_totals(c->store->budget);

    if (memcmp(&totals, &c->totals, sizeof(totals)) != 0) {
        wrong(c, NULL, "the budget counts something else");
    }
    for (unsigned i = 0; i < TREE_FOLDERS && c->err->code == ERR_NONE; i++) {
        if (tree_each(&c->store->tree, i, check_known, c) < 0) {
            wrong(c, NULL, "a folder of blobs cannot be read");
        }
    }
    if (c->err->code == ERR_NONE &&
        files_in(c->store->tree.ingest) != db_count(c->txn, DB_PARTIALS)) {
        wrong(c, NULL, "there are other files in ingest/ than partial ones");
    }
    if (c->err->code == ERR_NONE &&
        (c->store->budget->reserved != 0 || c->store->budget->backed != 0)) {
        wrong(c, NULL, "bytes are reserved for nobody");
    }
}

int store_check(struct store *s, bool quiet, struct err *err)
{
    struct check c = {.store = s, .err = err};

    *err = (struct err){0};
    c.txn = db_read_begin(s->db, err);
    if (c.txn == NULL) {
        return -1;
    }
    c.piece = xcalloc(1, PIECE);
    db_each(c.txn, DB_BLOBS, SLICE_NULL, SLICE_NULL, check_blob, &c);
    if (err->code == ERR_NONE) {
        check_totals(&c);
    }
    if (err->code == ERR_NONE) {
        db_each(c.txn, DB_BODIES, SLICE_NULL, SLICE_NULL, check_body, &c);
    }
    if (err->code == ERR_NONE) {
        check_pairs(&c);
    }
    if (err->code == ERR_NONE) {
        db_each(c.txn, DB_PARTIALS, SLICE_NULL, SLICE_NULL, check_partial, &c);
    }
    if (err->code == ERR_NONE && quiet) {
        check_quiet(&c);
    }
    free(c.piece);
    if (err->code == ERR_NONE) {
        db_has_failed(c.txn, err);
    }
    db_read_end(c.txn);
    return err->code == ERR_NONE ? 0 : -1;
}
