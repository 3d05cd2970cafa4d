/*
 * cli/warm.c - a few threads, each with a line of its own, take images and blobs from one list.
 *
 * An image is walked by one thread, which asks what of its blobs is here and puts the others on the
 * list; blobs go before images, so that one image is done before the next begins. At its end it is
 * asked again: what the store did not keep has failed, and what it has stays for an hour.
 */
#include "cli/warm.h"

#include "base/clock.h"
#include "cli/have.h"
#include "cli/images.h"
#include "cli/progress.h"
#include "cli/pull.h"
#include "cli/render.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define PIECE (256u * 1024)
#define LEASE_AGAIN_MS (30u * 60 * 1000)
#define ANSWER_MAX (2u << 20)
/* How long a blob may take from its last byte to its record, about. */
#define KEPT_MS 2000

/* A blob that is to be fetched. Owner: the list, then its thread. */
struct blob {
    struct list node;
    struct image *image;
    struct digest digest;
    uint64_t size;
};

/* Owner: the warming. Under its lock, but for what its walker alone touches. */
struct image {
    const struct wanted *wanted;
    char name[REFERENCE_TEXT_MAX];
    struct digest *digests; /* all of it; its walker's, then nobody changes it */
    size_t n_digests;
    size_t cap;
    size_t left; /* blobs that are not fetched yet */
    bool walked;
    uint64_t n_fetched; /* manifests and blobs, and their bytes */
    uint64_t bytes;
    uint64_t n_here;
    struct err err; /* the first that went wrong */
};

/* Owner: warm_run(). Thread: the lock guards the list, the counts and the images. */
struct warming {
    struct host *host;
    const struct flags *flags;
    struct images wanted;
    struct progress *progress;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct image *images;
    size_t next; /* image to be walked */
    size_t busy; /* threads that are at something */
    struct list blobs;
    size_t n_good;
    size_t n_bad;
    uint64_t n_fetched;
    uint64_t n_here;
    uint64_t bytes;
};

/* One thread's own. */
struct warmer {
    struct warming *warming;
    pthread_t thread;
    struct line *line;
    unsigned number;
};

/* --- what is here -------------------------------------------------------------------------- */

/* Asks which of the digests are not here, and calls f for each; the others are leased. */
static int have(struct line *l, const struct digest *d, size_t n,
                void (*f)(void *arg, const struct digest *d), void *arg, struct err *err)
{
    bool missing[HAVE_MAX];

    for (size_t from = 0; from < n; from += HAVE_MAX) {
        size_t some = n - from < HAVE_MAX ? n - from : HAVE_MAX;

        if (have_ask(l, d + from, some, missing, err) < 0) {
            return -1;
        }
        for (size_t i = 0; i < some; i++) {
            if (missing[i]) {
                f(arg, &d[from + i]);
            }
        }
    }
    return 0;
}

/* --- an image ------------------------------------------------------------------------------ */

/* One walk. */
struct walking {
    struct warmer *warmer;
    struct image *image;
    uint64_t *sizes; /* beside image->digests */
};

static void count_fetched(struct warming *w, struct image *image, uint64_t bytes)
{
    pthread_mutex_lock(&w->lock);
    image->n_fetched++;
    image->bytes += bytes;
    pthread_mutex_unlock(&w->lock);
}

static int take_item(void *arg, const struct walk_item *item, struct slice body, bool fetched,
                     struct err *err)
{
    struct walking *walk = arg;
    struct image *i = walk->image;

    (void)err;
    if (item->kind == WALK_BLOB && item->what.foreign) {
        return 0; /* no registry has it */
    }
    if (i->n_digests == i->cap) {
        i->cap = i->cap == 0 ? 32 : 2 * i->cap;
        i->digests = xrealloc(i->digests, i->cap * sizeof(*i->digests));
        walk->sizes = xrealloc(walk->sizes, i->cap * sizeof(*walk->sizes));
    }
    i->digests[i->n_digests] = item->what.digest;
    walk->sizes[i->n_digests++] = item->what.size;
    if (fetched) {
        count_fetched(walk->warmer->warming, i, body.len);
    }
    return 0;
}

/* A blob that is not here goes onto the list. */
static void want_blob(void *arg, const struct digest *d)
{
    struct walking *walk = arg;
    struct warming *w = walk->warmer->warming;
    struct blob *b = xnew(struct blob);

    b->image = walk->image;
    b->digest = *d;
    b->size = DESCRIPTOR_SIZE_UNKNOWN;
    for (size_t i = 0; i < walk->image->n_digests; i++) {
        if (digest_equal(&walk->image->digests[i], d)) {
            b->size = walk->sizes[i];
        }
    }
    list_init(&b->node);
    pthread_mutex_lock(&w->lock);
    walk->image->left++;
    list_append(&w->blobs, &b->node);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void fail(struct warming *w, struct image *i, const struct err *err)
{
    pthread_mutex_lock(&w->lock);
    if (i->err.code == ERR_NONE) {
        i->err = *err;
    }
    pthread_mutex_unlock(&w->lock);
}

static void walk_image(struct warmer *me, struct image *i)
{
    struct warming *w = me->warming;
    struct walking walk = {.warmer = me, .image = i};
    struct pull_sink sink = {take_item, &walk};
    struct pull_options o = {
        .reference = &i->wanted->reference,
        .referrers = w->flags->referrers,
    };
    struct err err = {0};

    o.platforms = images_platforms_of(&w->wanted, i->wanted, &o.n_platforms);
    if (pull_image(me->line, &o, &sink, &err) < 0 ||
        have(me->line, i->digests, i->n_digests, want_blob, &walk, &err) < 0) {
        fail(w, i, &err);
    }
    free(walk.sizes);
}

/* --- a blob -------------------------------------------------------------------------------- */

/* Reads it through, which is what keeps a download going. */
static int read_blob(struct warmer *me, const struct blob *b, struct err *err)
{
    const char *const what = "blobs";
    char text[DIGEST_TEXT_MAX];
    _cleanup_free_ char *target =
        pull_target(&b->image->wanted->reference, what, digest_text(&b->digest, text));
    _cleanup_free_ struct http_head *head = xnew(struct http_head);
    _cleanup_free_ char *piece = xcalloc(PIECE, 1);
    struct line_request r = {.method = HTTP_GET, .target = target};
    uint64_t done = 0;
    ssize_t n;

    if (line_begin(me->line, &r, err) < 0 || line_answer(me->line, head, err) < 0) {
        return -1;
    }
    if (head->status != 200) {
        return line_refused(me->line, head, err);
    }
    progress_begin(me->warming->progress, me->number, text, b->size);
    while ((n = line_read(me->line, piece, PIECE, err)) > 0) {
        done += (uint64_t)n;
        progress_moved(me->warming->progress, me->number, done);
    }
    progress_end(me->warming->progress, me->number);
    if (n == 0) {
        count_fetched(me->warming, b->image, done);
    }
    return n < 0 ? -1 : 0;
}

static void fetch_blob(struct warmer *me, struct blob *b)
{
    char text[DIGEST_TEXT_MAX];
    struct err err = {0};

    if (read_blob(me, b, &err) < 0) {
        err_wrap(&err, "%.19s", digest_text(&b->digest, text));
        fail(me->warming, b->image, &err);
    }
}

/* --- the end of an image ------------------------------------------------------------------- */

static void count_missing(void *arg, const struct digest *d)
{
    size_t *n = arg;

    (void)d;
    (*n)++;
}

/* The record of a blob follows its last byte by a moment. */
static int count_kept(struct warmer *me, struct image *i, size_t *ret_missing, struct err *err)
{
    int wait = 1;

    for (;;) {
        *ret_missing = 0;
        if (have(me->line, i->digests, i->n_digests, count_missing, ret_missing, err) < 0) {
            return -1;
        }
        if (*ret_missing == 0 || wait > KEPT_MS) {
            return 0;
        }
        ignore_result(poll(NULL, 0, wait) < 0);
        wait *= 2;
    }
}

static void check_kept(struct warmer *me, struct image *i)
{
    size_t missing = 0;
    struct err err = {0};

    if (count_kept(me, i, &missing, &err) == 0 && missing > 0) {
        err_set(&err, ERR_NO_SPACE,
                "%zu of its blobs %s fetched and not kept: there is no room; see "
                "cache.max_size and cache.min_free",
                missing, missing == 1 ? "was" : "were");
    }
    if (err.code != ERR_NONE) {
        fail(me->warming, i, &err);
    }
}

static void pin(struct warmer *me, struct image *i)
{
    struct line_request r = {.method = HTTP_POST, .has_body = true};
    struct err err = {0};
    struct buf target;
    struct buf answer;

    buf_init(&target, 3 * REFERENCE_TEXT_MAX + 40);
    buf_init(&answer, ANSWER_MAX);
    buf_str(&target, "/-/pin?repository=");
    buf_percent(&target, slice_str(i->name));
    r.target = target.p;
    if (line_ask(me->line, &r, SLICE_NULL, &answer, NULL, &err) < 0) {
        err_wrap(&err, "not pinned");
        fail(me->warming, i, &err);
    }
    buf_free(&target);
    buf_free(&answer);
}

static void tell(struct warming *w, const struct image *i)
{
    char size[RENDER_SIZE_MAX];

    if (i->err.code != ERR_NONE) {
        progress_line(w->progress, "%s: failed: %s", i->name, i->err.text);
    } else if (i->n_fetched == 0) {
        progress_line(w->progress, "%s: already here, %zu blob%s", i->name, i->n_digests,
                      render_s(i->n_digests));
    } else {
        progress_line(w->progress, "%s: fetched %llu of %zu blob%s, %s", i->name,
                      (unsigned long long)i->n_fetched, i->n_digests, render_s(i->n_digests),
                      render_size(i->bytes, size));
    }
}

static void end_image(struct warmer *me, struct image *i)
{
    struct warming *w = me->warming;

    if (i->err.code == ERR_NONE) {
        check_kept(me, i);
    }
    if (i->err.code == ERR_NONE && w->flags->pin) {
        pin(me, i);
    }
    tell(w, i);
    pthread_mutex_lock(&w->lock);
    w->n_good += i->err.code == ERR_NONE ? 1 : 0;
    w->n_bad += i->err.code == ERR_NONE ? 0 : 1;
    w->n_fetched += i->n_fetched;
    w->n_here += i->n_digests > i->n_fetched ? i->n_digests - i->n_fetched : 0;
    w->bytes += i->bytes;
    pthread_mutex_unlock(&w->lock);
}

/* --- threads ------------------------------------------------------------------------------- */

/* What a thread does next; under the lock. */
enum work { WORK_BLOB, WORK_IMAGE, WORK_WAIT, WORK_NONE };

static enum work take_work(struct warming *w, struct blob **ret_blob, struct image **ret_image)
{
    struct list *node = list_pop(&w->blobs);

    if (node != NULL) {
        *ret_blob = container_of(node, struct blob, node);
        return WORK_BLOB;
    }
    if (w->next < w->wanted.n) {
        *ret_image = &w->images[w->next++];
        return WORK_IMAGE;
    }
    return w->busy > 0 ? WORK_WAIT : WORK_NONE;
}

/* One piece of work, without the lock; the image that came to its end by it, or NULL. */
static struct image *do_work(struct warmer *me, enum work work, struct blob *blob,
                             struct image *image)
{
    struct warming *w = me->warming;
    bool ended;

    if (work == WORK_BLOB) {
        image = blob->image;
        fetch_blob(me, blob);
        free(blob);
    } else {
        walk_image(me, image);
    }
    pthread_mutex_lock(&w->lock);
    image->walked |= work == WORK_IMAGE;
    image->left -= work == WORK_BLOB ? 1 : 0;
    ended = image->walked && image->left == 0;
    pthread_mutex_unlock(&w->lock);
    return ended ? image : NULL;
}

static void *warmer_thread(void *arg)
{
    struct warmer *me = arg;
    struct warming *w = me->warming;
    struct blob *blob = NULL;
    struct image *image = NULL;
    enum work work;

    pthread_mutex_lock(&w->lock);
    while ((work = take_work(w, &blob, &image)) != WORK_NONE) {
        if (work == WORK_WAIT) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        w->busy++;
        pthread_mutex_unlock(&w->lock);
        image = do_work(me, work, blob, image);
        if (image != NULL) {
            end_image(me, image);
        }
        pthread_mutex_lock(&w->lock);
        w->busy--;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- the command --------------------------------------------------------------------------- */

static void no_matter(void *arg, const struct digest *d)
{
    (void)arg;
    (void)d;
}

/* What was warmed long ago is leased again while the rest is under way. */
static void lease_again(struct warming *w, struct line *l)
{
    for (size_t k = 0; k < w->wanted.n; k++) {
        struct image *i = &w->images[k];
        struct err err;
        bool walked;

        pthread_mutex_lock(&w->lock);
        walked = i->walked;
        pthread_mutex_unlock(&w->lock);
        if (walked) {
            ignore_result(have(l, i->digests, i->n_digests, no_matter, NULL, &err) < 0);
        }
    }
}

static bool all_ended(struct warming *w)
{
    bool ended;

    pthread_mutex_lock(&w->lock);
    ended = w->n_good + w->n_bad == w->wanted.n;
    pthread_mutex_unlock(&w->lock);
    return ended;
}

static int threads_run(struct warming *w, struct err *err)
{
    struct warmer warmers[THREADS] = {0};
    struct line *own = line_new(w->host);
    uint64_t leased = clock_mono_ms();
    size_t n = 0;

    for (; n < THREADS; n++) {
        warmers[n] = (struct warmer){.warming = w, .number = (unsigned)n};
        warmers[n].line = line_new(w->host);
        if (pthread_create(&warmers[n].thread, NULL, warmer_thread, &warmers[n]) != 0) {
            line_free(warmers[n].line);
            break;
        }
    }
    while (n > 0 && !all_ended(w)) {
        progress_draw(w->progress);
        if (clock_mono_ms() - leased > LEASE_AGAIN_MS) {
            lease_again(w, own);
            leased = clock_mono_ms();
        }
    }
    for (size_t i = 0; i < n; i++) {
        pthread_join(warmers[i].thread, NULL);
        line_free(warmers[i].line);
    }
    line_free(own);
    return n > 0 ? 0 : err_set(err, ERR_INTERNAL, "no thread can be started");
}

static int say(const struct err *err)
{
    fprintf(stderr, "larder: %s\n", err->text);
    return flags_status(err);
}

static int warm(struct warming *w, struct err *err)
{
    char size[RENDER_SIZE_MAX];

    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    list_init(&w->blobs);
    w->images = xcalloc(w->wanted.n, sizeof(*w->images));
    for (size_t i = 0; i < w->wanted.n; i++) {
        w->images[i].wanted = &w->wanted.all[i];
        reference_text(&w->wanted.all[i].reference, w->images[i].name);
    }
    w->progress = progress_new(THREADS);
    if (threads_run(w, err) < 0) {
        progress_free(w->progress);
        return say(err);
    }
    progress_free(w->progress);
    printf("%zu image%s warm, %zu failed: %llu blob%s fetched (%s), %llu already here\n", w->n_good,
           render_s(w->n_good), w->n_bad, (unsigned long long)w->n_fetched, render_s(w->n_fetched),
           render_size(w->bytes, size), (unsigned long long)w->n_here);
    return w->n_bad == 0 ? 0 : 1;
}

static void warming_fini(struct warming *w)
{
    for (size_t i = 0; w->images != NULL && i < w->wanted.n; i++) {
        free(w->images[i].digests);
    }
    free(w->images);
    images_free(&w->wanted);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

/* The images are read before an engine is started for them. */
static int read_wanted(const struct flags *flags, const struct config *config, struct images *ret,
                       struct err *err)
{
    struct route_table *routes = config_routes(config);
    int result = images_read(flags, routes, ret, err);

    free(routes);
    if (result == 0 && ret->n == 0) {
        images_free(ret);
        return err_set(err, ERR_CONFIG, "no image is named; see `larder warm --help`");
    }
    return result;
}

int warm_run(const struct flags *flags)
{
    struct config_flags of_config = flags->config;
    struct warming w = {.flags = flags};
    struct err err = {0};
    struct config *config;
    int status;

    of_config.lock = NULL; /* it names images here */
    config = config_read(&of_config, &err);
    if (config == NULL) {
        return say(&err);
    }
    if (read_wanted(flags, config, &w.wanted, &err) < 0) {
        config_free(config);
        return say(&err);
    }
    log_setup(LOG_ERROR, false);
    w.host = host_make(config, &err);
    status = w.host == NULL ? say(&err) : warm(&w, &err);
    warming_fini(&w);
    host_free(w.host);
    return status;
}
