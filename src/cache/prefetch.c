/* cache/prefetch.c - layers of an image being pulled, fetched before they are asked for. */
#include "cache/prefetch.h"

#include "base/counter.h"
#include "cache/flight.h"
#include "cache/member.h"
#include "oci/manifest.h"

#include <pthread.h>
#include <stdlib.h>

#define SERVED_MAX 256
#define LAYERS_MAX 512
#define REFS_MAX 8192 /* looked at for one layer: the loop waits for it */
/* With so little to come of one layer the next is asked for, so that its first byte, which is round
 * trips away, finds the line still busy. */
#define NEARLY_THERE (1024u * 1024)
#define SLOTS (2 * PREFETCH_IMAGE)

struct prefetch {
    pthread_mutex_t lock;
    struct digest served[SERVED_MAX]; /* manifests served lately, a ring; alg 0: unused */
    unsigned next;
    atomic_uint running;
    struct list images; /* all; the lock */
};

/* One layer of an image. Thread: the loop that began. */
struct prefetch_layer {
    struct digest digest;
    uint64_t size;
};

/* One image's layers. Owner: itself, until the last flight has ended; then, or as the process ends,
 * it is freed. Thread: one loop's. */
struct prefetch_image {
    struct list node; /* the prefetch's lock */
    struct cache *cache;
    struct loop *loop;
    struct cache_repo repo;
    struct prefetch_layer *layers;
    size_t n_layers;
    size_t begun;
    struct prefetch_slot {
        struct prefetch_image *image;
        struct flight_ticket ticket;
        bool busy;
    } slots[SLOTS];
    unsigned busy;
    struct task task;
    struct timer retry; /* while others use all of PREFETCH_ALL */
};

static void image_free(struct prefetch_image *image)
{
    struct prefetch *p = image->cache->prefetch;

    pthread_mutex_lock(&p->lock);
    list_remove(&image->node);
    pthread_mutex_unlock(&p->lock);
    task_cancel(&image->task);
    timer_fini(&image->retry);
    upstream_release(image->repo.upstream);
    free(image->layers);
    free(image);
}

struct prefetch *prefetch_new(struct cache *c)
{
    struct prefetch *p = xnew(struct prefetch);

    (void)c;
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->images);
    return p;
}

void prefetch_free(struct prefetch *p)
{
    if (p == NULL) {
        return;
    }
    /* The loops have ended: the flights are their table's to free. */
    while (!list_empty(&p->images)) {
        image_free(container_of(p->images.next, struct prefetch_image, node));
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void prefetch_served(struct cache *c, const struct digest *manifest)
{
    struct prefetch *p = c->prefetch;

    pthread_mutex_lock(&p->lock);
    if (!digest_equal(&p->served[(p->next + SERVED_MAX - 1) % SERVED_MAX], manifest)) {
        p->served[p->next] = *manifest;
        p->next = (p->next + 1) % SERVED_MAX;
    }
    pthread_mutex_unlock(&p->lock);
}

struct layer_search {
    const struct digest *layer;
    struct prefetch_layer *layers;
    size_t n;
    size_t looked; /* refs, of all manifests */
    bool found;
};

static bool search_layer(void *arg, const struct digest *child, uint8_t kind, uint64_t size)
{
    struct layer_search *s = arg;

    if (++s->looked > REFS_MAX) {
        return false;
    }
    if (kind != CHILD_LAYER) {
        return true;
    }
    if (digest_equal(child, s->layer)) {
        s->found = true;
    } else if (s->n < LAYERS_MAX) {
        s->layers[s->n++] = (struct prefetch_layer){*child, size};
    }
    return true;
}

/* Of the layers found, those that are neither here nor on their way, and that may be had. */
static void keep_cold(struct cache *c, struct index_read *r, const struct cache_repo *repo,
                      struct layer_search *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct member_record member;
        struct blob_record blob;
        uint64_t landed;

        if (index_get_blob(r, &s->layers[i].digest, &blob) == INDEX_ABSENT &&
            !flight_peek(c, &s->layers[i].digest, &landed) &&
            member_judge(c, r, repo, &s->layers[i].digest, &member) == MEMBER_YES) {
            s->layers[kept++] = s->layers[i];
        }
    }
    s->n = kept;
}

/* Those of unknown size come last: nobody knows better. */
static int larger_first(const void *a, const void *b)
{
    uint64_t x = ((const struct prefetch_layer *)a)->size + 1;
    uint64_t y = ((const struct prefetch_layer *)b)->size + 1;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* The newest manifest served that has this layer; its other cold layers are in s->layers, the
 * largest first, as the image is there when its last layer is. */
static bool find_image(struct cache *c, const struct cache_repo *repo, struct layer_search *s)
{
    struct prefetch *p = c->prefetch;
    struct digest served[SERVED_MAX];
    struct index_read *r;
    unsigned next;

    pthread_mutex_lock(&p->lock);
    memcpy(served, p->served, sizeof(served));
    next = p->next;
    pthread_mutex_unlock(&p->lock);
    r = index_read_begin(c->store);
    if (r == NULL) {
        return false;
    }
    for (unsigned i = 1; i <= SERVED_MAX && !s->found && s->looked <= REFS_MAX; i++) {
        const struct digest *one = &served[(next + SERVED_MAX - i) % SERVED_MAX];

        if (one->alg == 0) {
            break;
        }
        s->n = 0;
        index_each_ref(r, one, search_layer, s);
    }
    if (s->found) {
        keep_cold(c, r, repo, s);
        qsort(s->layers, s->n, sizeof(*s->layers), larger_first);
    }
    index_read_end(r);
    return s->found && s->n > 0;
}

static void on_flight(struct waiter *w)
{
    struct flight_ticket *t = container_of(w, struct flight_ticket, waiter);
    struct prefetch_slot *slot = container_of(t, struct prefetch_slot, ticket);

    loop_defer(slot->image->loop, &slot->image->task);
}

/* What a client has asked for since needs no slot. */
static bool image_has_more(struct prefetch_image *image)
{
    uint64_t landed;

    while (image->begun < image->n_layers &&
           flight_peek(image->cache, &image->layers[image->begun].digest, &landed)) {
        image->begun++;
    }
    return image->begun < image->n_layers;
}

/* Begins the image's next layer, unless as many as may be are under way. */
static void slot_begin(struct prefetch_slot *slot)
{
    struct prefetch_image *image = slot->image;
    struct prefetch *p = image->cache->prefetch;
    const struct prefetch_layer *layer = &image->layers[image->begun];
    struct flight_question q = {
        .digest = layer->digest,
        .repo = &image->repo,
        .size = layer->size,
        .kind = CHILD_LAYER,
        .proved = true,
        .listed = true,
        .prefetch = true,
    };

    if (atomic_fetch_add(&p->running, 1) >= PREFETCH_ALL) {
        atomic_fetch_sub(&p->running, 1);
        return;
    }
    image->begun++;
    slot->busy = true;
    image->busy++;
    count(prefetches_started);
    flight_join(image->cache, image->loop, &q, &slot->ticket, on_flight);
    loop_defer(image->loop, &image->task);
}

static void slot_end(struct prefetch_slot *slot)
{
    flight_leave(&slot->ticket);
    slot->busy = false;
    slot->image->busy--;
    atomic_fetch_sub(&slot->image->cache->prefetch->running, 1);
}

/* Ends what has landed. Returns how many have more than a little to come. */
static unsigned slots_settle(struct prefetch_image *image)
{
    unsigned far = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        struct prefetch_slot *slot = &image->slots[i];
        enum flight_state state;

        if (!slot->busy) {
            continue;
        }
        state = flight_poll(&slot->ticket);
        if (state == FLIGHT_LANDED || state == FLIGHT_FAILED) {
            slot_end(slot);
        } else if (flight_left(&slot->ticket) > NEARLY_THERE) {
            far++;
        }
    }
    return far;
}

/* The pump of one image: ends what has landed, begins what is next. */
static void image_pump(struct task *t)
{
    struct prefetch_image *image = container_of(t, struct prefetch_image, task);
    unsigned far = slots_settle(image);

    for (unsigned i = 0; i < SLOTS && far < PREFETCH_IMAGE && image_has_more(image); i++) {
        if (!image->slots[i].busy) {
            slot_begin(&image->slots[i]);
            far++;
        }
    }
    if (image->busy == 0 && image->begun == image->n_layers) {
        image_free(image);
    } else if (image->busy == 0) {
        timer_set(&image->retry, 100);
    }
}

static void on_retry(struct timer *t)
{
    struct prefetch_image *image = container_of(t, struct prefetch_image, retry);

    loop_defer(image->loop, &image->task);
}

void prefetch_layer(struct cache *c, struct loop *l, const struct cache_repo *repo,
                    const struct digest *layer)
{
    struct layer_search s = {.layer = layer};
    struct prefetch_image *image;

    if (!atomic_load(&c->prefetches) || c->offline ||
        upstream_is_short(repo->upstream, loop_now(l))) {
        return;
    }
    s.layers = xcalloc(LAYERS_MAX, sizeof(*s.layers));
    if (!find_image(c, repo, &s)) {
        free(s.layers);
        return;
    }
    image = xnew(struct prefetch_image);
    image->cache = c;
    image->loop = l;
    cache_repo_copy(&image->repo, repo);
    upstream_hold(repo->upstream);
    image->layers = s.layers;
    image->n_layers = s.n;
    for (unsigned i = 0; i < SLOTS; i++) {
        image->slots[i].image = image;
    }
    task_init(&image->task, image_pump);
    timer_init(&image->retry, l, on_retry);
    pthread_mutex_lock(&c->prefetch->lock);
    list_append(&c->prefetch->images, &image->node);
    pthread_mutex_unlock(&c->prefetch->lock);
    loop_defer(l, &image->task);
}
