/* cli/feed.c - rooms, queues and the threads that empty them. */
#include "cli/feed.h"

#include "base/sha.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TARGET_MAX 1024

/* Bytes that were read, and how many pieces of them are still to be sent; one more while the giver
 * fills it. */
struct room {
    char bytes[FEED_ROOM_SIZE];
    unsigned users;
};

/* A blob that is carried. Owner: the giver until it is queued, then its line's thread. */
struct blob {
    char name[ARCHIVE_BLAME_MAX + 1];
    uint64_t offset;
    uint64_t number; /* in the order in which they were given */
    uint64_t size;
    struct digest digest;
    struct archive_file *file; /* NULL: the digest is known */
};

enum what { ITEM_BEGIN, ITEM_DATA, ITEM_END };

struct item {
    struct item *next;
    enum what what;
    struct blob *blob; /* of ITEM_BEGIN */
    struct room *room; /* of ITEM_DATA */
    struct slice data;
};

/* A thread and its line. The queue is under the feed's lock, the rest is the thread's. */
struct carrier {
    struct feed *feed;
    pthread_t thread;
    pthread_cond_t work; /* there is an item, or it is to stop */
    struct item *first;
    struct item **last;
    unsigned blobs; /* queued or under way */
    uint64_t bytes; /* likewise */

    struct line *line;
    struct http_head head;
    struct blob *blob; /* under way */
    struct sha sha;
    uint64_t at;
    char session[TARGET_MAX]; /* where the blob's upload is; "": it is one request */
    bool failed;              /* the rest of the blob counts for nothing */
};

/* Owner: feed_new()'s caller. `lock` guards what the threads share: queues, users of rooms, and
 * the members from `stopping` on. */
struct feed {
    struct carrier carriers[FEED_LINES];
    unsigned n_carriers;
    struct room *rooms[FEED_ROOMS]; /* NULL: not needed so far */
    struct room *room;              /* the giver's */
    struct carrier *at;             /* carries the blob that is being given */
    uint64_t n_blobs;

    pthread_mutex_t lock;
    pthread_cond_t done; /* a room or a queue has emptied */
    bool stopping;
    bool failed;
    uint64_t failed_number;
    struct err err;
};

/* --- one blob ------------------------------------------------------------------------------ */

/* Notes what went wrong; of several blobs, the first one's counts. */
static void carrier_fail(struct carrier *c, struct err *e)
{
    struct feed *f = c->feed;
    const struct blob *b = c->blob;

    c->failed = true;
    ignore_result(archive_blame(b->name, b->offset, e));
    pthread_mutex_lock(&f->lock);
    if (!f->failed || b->number < f->failed_number) {
        f->failed = true;
        f->failed_number = b->number;
        f->err = *e;
    }
    pthread_mutex_unlock(&f->lock);
}

static int expect(struct carrier *c, int status, struct err *e)
{
    if (line_answer(c->line, &c->head, e) < 0) {
        return -1;
    }
    if (c->head.status != status) {
        return line_refused(c->line, &c->head, e);
    }
    return 0;
}

/* An answer without a body that matters: the line is at its next request after. */
static int ask(struct carrier *c, enum http_method method, const char *target, int status,
               struct err *e)
{
    struct line_request r = {.method = method, .target = target, .has_body = true};

    return line_begin(c->line, &r, e) < 0 ? -1 : expect(c, status, e);
}

static int session_keep(struct carrier *c, struct err *e)
{
    struct slice location = http_field(&c->head, "Location");

    if (location.len == 0 || location.p[0] != '/' ||
        !slice_copy(location, c->session, sizeof(c->session))) {
        return err_set(e, ERR_STORE, "the server does not say where the upload is");
    }
    return 0;
}

/* The request that takes the bytes. */
static int blob_begin(struct carrier *c, struct err *e)
{
    struct line_request r = {.has_body = true, .length = c->blob->size};
    char target[TARGET_MAX];
    char text[DIGEST_TEXT_MAX];

    if (c->blob->file == NULL) {
        snprintf(target, sizeof(target), "/v2/-/blobs/uploads/?digest=%s",
                 digest_text(&c->blob->digest, text));
        r.method = HTTP_POST;
        r.target = target;
        return line_begin(c->line, &r, e);
    }
    sha_init(&c->sha, SHA_256);
    if (ask(c, HTTP_POST, "/v2/-/blobs/uploads/", 202, e) < 0 || session_keep(c, e) < 0) {
        return -1;
    }
    r.method = HTTP_PATCH;
    r.target = c->session;
    r.fields = "Content-Type: application/octet-stream\r\n";
    return line_begin(c->line, &r, e);
}

static int blob_data(struct carrier *c, struct slice data, struct err *e)
{
    if (c->blob->file != NULL) {
        if (c->at == 0) {
            c->blob->file->gzip = archive_is_gzip(data);
        }
        sha_update(&c->sha, data.p, data.len);
    }
    c->at += data.len;
    return line_write(c->line, data.p, data.len, e);
}

static int blob_end(struct carrier *c, struct err *e)
{
    unsigned char raw[SHA_MAX];
    char text[DIGEST_TEXT_MAX];
    struct digest digest;
    char *target;
    int result;

    if (c->blob->file == NULL) {
        result = expect(c, 201, e);
        return result < 0 && e->code == ERR_DIGEST_INVALID
                   ? err_set(e, ERR_DIGEST_INVALID, "its bytes are not those that its name tells")
                   : result;
    }
    if (expect(c, 202, e) < 0 || session_keep(c, e) < 0) {
        return -1;
    }
    sha_final(&c->sha, raw);
    digest = digest_of_raw(DIGEST_SHA256, raw);
    target = xasprintf("%s%cdigest=%s", c->session, strchr(c->session, '?') == NULL ? '?' : '&',
                       digest_text(&digest, text));
    result = ask(c, HTTP_PUT, target, 201, e);
    free(target);
    c->blob->file->digest = digest;
    return result;
}

/* A session that came to nothing would wait for a day. */
static void session_drop(struct carrier *c)
{
    struct err e;

    if (c->session[0] != '\0') {
        ignore_result(ask(c, HTTP_DELETE, c->session, 204, &e));
    }
}

/* --- the threads --------------------------------------------------------------------------- */

static void item_do(struct carrier *c, const struct item *item)
{
    struct err e = {0};
    int result = 0;

    assert((item->what == ITEM_BEGIN) == (c->blob == NULL));
    switch (item->what) {
    case ITEM_BEGIN:
        c->blob = item->blob;
        c->at = 0;
        c->session[0] = '\0';
        c->failed = false;
        result = blob_begin(c, &e);
        break;
    case ITEM_DATA:
        result = c->failed ? 0 : blob_data(c, item->data, &e);
        break;
    case ITEM_END:
        result = c->failed ? 0 : blob_end(c, &e);
        break;
    }
    if (result < 0) {
        carrier_fail(c, &e);
        session_drop(c);
    }
}

/* Frees the item, and what it held. Under the lock. */
static void item_done(struct carrier *c, struct item *item)
{
    if (item->what == ITEM_DATA) {
        item->room->users--;
        c->bytes -= item->data.len;
    } else if (item->what == ITEM_END) {
        c->blobs--;
        free(c->blob);
        c->blob = NULL;
    }
    free(item);
    pthread_cond_signal(&c->feed->done);
}

static void *carrier_run(void *arg)
{
    struct carrier *c = arg;
    struct feed *f = c->feed;

    pthread_mutex_lock(&f->lock);
    while (!f->stopping) {
        struct item *item = c->first;

        if (item == NULL) {
            pthread_cond_wait(&c->work, &f->lock);
            continue;
        }
        c->first = item->next;
        if (c->first == NULL) {
            c->last = &c->first;
        }
        pthread_mutex_unlock(&f->lock);
        item_do(c, item);
        pthread_mutex_lock(&f->lock);
        item_done(c, item);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static int carrier_start(struct feed *f, struct carrier *c, const struct host *h, struct err *err)
{
    c->feed = f;
    c->last = &c->first;
    c->line = line_new(h);
    pthread_cond_init(&c->work, NULL);
    if (pthread_create(&c->thread, NULL, carrier_run, c) != 0) {
        pthread_cond_destroy(&c->work);
        line_free(c->line);
        return err_set(err, ERR_INTERNAL, "no thread can be started");
    }
    return 0;
}

struct feed *feed_new(const struct host *h, struct err *err)
{
    struct feed *f = xnew(struct feed);

    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->done, NULL);
    while (f->n_carriers < FEED_LINES) {
        if (carrier_start(f, &f->carriers[f->n_carriers], h, err) < 0) {
            feed_free(f);
            return NULL;
        }
        f->n_carriers++;
    }
    return f;
}

static void carrier_free(struct carrier *c)
{
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->work);
    line_free(c->line);
    free(c->blob);
    while (c->first != NULL) {
        struct item *item = c->first;

        c->first = item->next;
        free(item->blob);
        free(item);
    }
}

void feed_free(struct feed *f)
{
    if (f == NULL) {
        return;
    }
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    for (unsigned i = 0; i < f->n_carriers; i++) {
        pthread_cond_signal(&f->carriers[i].work);
    }
    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < f->n_carriers; i++) {
        carrier_free(&f->carriers[i]);
    }
    for (unsigned i = 0; i < FEED_ROOMS; i++) {
        free(f->rooms[i]);
    }
    pthread_cond_destroy(&f->done);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* --- the giver ----------------------------------------------------------------------------- */

/* One that nobody uses; NULL: there is none just now. */
static struct room *room_find(struct feed *f)
{
    for (unsigned i = 0; i < FEED_ROOMS; i++) {
        if (f->rooms[i] == NULL) {
            f->rooms[i] = xnew(struct room);
        }
        if (f->rooms[i]->users == 0) {
            return f->rooms[i];
        }
    }
    return NULL;
}

char *feed_room(struct feed *f)
{
    struct room *room;

    pthread_mutex_lock(&f->lock);
    if (f->room != NULL) {
        f->room->users--;
    }
    while ((room = room_find(f)) == NULL) {
        pthread_cond_wait(&f->done, &f->lock);
    }
    room->users = 1;
    f->room = room;
    pthread_mutex_unlock(&f->lock);
    return room->bytes;
}

static void item_queue(struct carrier *c, const struct item *it)
{
    struct feed *f = c->feed;
    struct item *item = xnew(struct item);

    *item = *it;
    pthread_mutex_lock(&f->lock);
    if (item->what == ITEM_DATA) {
        item->room->users++;
        c->bytes += item->data.len;
    }
    *c->last = item;
    c->last = &item->next;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&f->lock);
}

/* The line with the least to do, once it can take a blob more. */
static struct carrier *carrier_choose(struct feed *f)
{
    for (;;) {
        struct carrier *best = &f->carriers[0];

        for (unsigned i = 1; i < f->n_carriers; i++) {
            struct carrier *c = &f->carriers[i];

            if (c->blobs < best->blobs || (c->blobs == best->blobs && c->bytes < best->bytes)) {
                best = c;
            }
        }
        if (best->blobs < FEED_QUEUE_MAX) {
            best->blobs++;
            return best;
        }
        pthread_cond_wait(&f->done, &f->lock);
    }
}

void feed_begin(struct feed *f, const struct tar_entry *entry, const struct digest *digest,
                struct archive_file *file)
{
    struct blob *b = xnew(struct blob);
    size_t n = strnlen(entry->name, ARCHIVE_BLAME_MAX);

    assert(f->at == NULL && (digest != NULL || file != NULL));
    memcpy(b->name, entry->name, n);
    b->offset = entry->offset;
    b->size = entry->size;
    b->number = f->n_blobs++;
    b->file = digest == NULL ? file : NULL;
    if (digest != NULL) {
        b->digest = *digest;
    }
    pthread_mutex_lock(&f->lock);
    f->at = carrier_choose(f);
    pthread_mutex_unlock(&f->lock);
    item_queue(f->at, &(struct item){.what = ITEM_BEGIN, .blob = b});
}

void feed_data(struct feed *f, struct slice data)
{
    assert(f->at != NULL && f->room != NULL);
    item_queue(f->at, &(struct item){.what = ITEM_DATA, .room = f->room, .data = data});
}

void feed_end(struct feed *f)
{
    item_queue(f->at, &(struct item){.what = ITEM_END});
    f->at = NULL;
}

bool feed_failed(struct feed *f)
{
    bool failed;

    pthread_mutex_lock(&f->lock);
    failed = f->failed;
    pthread_mutex_unlock(&f->lock);
    return failed;
}

static bool feed_idle(const struct feed *f)
{
    for (unsigned i = 0; i < f->n_carriers; i++) {
        if (f->carriers[i].blobs > 0) {
            return false;
        }
    }
    return true;
}

int feed_flush(struct feed *f, struct err *err)
{
    int result = 0;

    pthread_mutex_lock(&f->lock);
    assert(f->at == NULL || f->failed);
    while (!f->failed && !feed_idle(f)) {
        pthread_cond_wait(&f->done, &f->lock);
    }
    if (f->failed) {
        *err = f->err;
        result = -1;
    }
    pthread_mutex_unlock(&f->lock);
    return result;
}
