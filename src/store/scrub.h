/*
 * store/scrub.h - reads blobs again, and takes out of the store what is not right any more.
 *
 * Page by page, so that nothing is held in between: the caller comes back with the last digest.
 * Nothing stands still meanwhile: blobs that come, go or are replaced are left alone.
 */
#ifndef STORE_SCRUB_H
#define STORE_SCRUB_H

#include "store/index.h"

#include <stdatomic.h>

struct scrub_bad;

struct scrub_rules {
    struct digest after;         /* the last one of the page before; alg 0: the first page */
    uint64_t rate;               /* bytes a second; 0: as fast as it goes */
    uint64_t for_ms;             /* a page takes about so long, and at least one blob */
    const atomic_bool *stopping; /* NULL, or: set where it is to give up */
    bool (*f)(void *arg, const struct scrub_bad *bad); /* false: the page is over */
    void *arg;
};

enum scrub_why { SCRUB_MISSING, SCRUB_SIZE, SCRUB_UNREADABLE, SCRUB_WRONG };

/* A blob that was not right. */
struct scrub_bad {
    const struct digest *digest;
    const struct blob_record *record; /* as it was */
    enum scrub_why why;
    bool mended; /* a manifest, of whose body the index had a copy: the file is new, and right */
    bool kept;   /* it was pushed and cannot be read just now: that may pass */
};

struct scrub_sum {
    uint64_t blobs; /* looked at */
    uint64_t bytes; /* read */
    bool end;       /* there are no more */
    struct digest last;
};

/* One page of blobs, in the order of their keys. Each is opened and hashed; what is missing, of
 * another size, unreadable or something else has its file moved to quarantine/ and its record
 * removed, unless it was pushed and cannot be read just now; then rules->f() is called with it.
 * That it is a member of repositories stays, so that it can be fetched again. What was not synced
 * before a crash and is right is believed again. Leaves the page cache as it was. Blocks; a
 * thread of store_idle(). -1: ERR_STORE (something that does not speak against the blob),
 * ERR_UNAVAILABLE: it gave up before the first was done; later, the page ends there. */
int store_scrub(struct store *s, const struct scrub_rules *rules, struct scrub_sum *ret,
                struct err *err) MUST_CHECK;

/* Digests of what lies in quarantine/, in the order of their keys, a few thousand at most, some
 * maybe twice; freed with free(). Any thread; blocks. */
struct digest *store_quarantined(struct store *s, size_t *ret_n) MUST_CHECK;

#endif
