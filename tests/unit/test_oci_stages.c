/* test_oci_stages.c - forests of images: parents, equals, what is shown, shared and summed. */
#include "oci/stages.h"

#include "base/clock.h"
#include "tap.h"

#include <stdlib.h>

#define MOST 64

/* Images under construction. A letter of `layers` is a diff id; the blob differs for each image
 * unless its letter is a capital. A layer's size is 1 for 'a', 2 for 'b', ... */
struct forest {
    struct stage images[MOST];
    struct stage_layer layers[MOST][16];
    size_t order[MOST];
    size_t n;
    size_t n_order;
};

static struct digest digest_of_number(uint64_t n, uint8_t kind)
{
    struct digest d = {.alg = DIGEST_SHA256};

    d.bytes[0] = kind;
    memcpy(d.bytes + 1, &n, sizeof(n));
    return d;
}

static struct stage *put(struct forest *f, const char *name, const char *layers)
{
    struct stage *s = &f->images[f->n];
    struct stage_layer *l = f->layers[f->n];

    *s = (struct stage){.name = name, .wanted = true, .layers = l, .n_layers = strlen(layers)};
    for (size_t i = 0; i < s->n_layers; i++) {
        bool capital = layers[i] >= 'A' && layers[i] <= 'Z';
        uint64_t letter = (uint64_t)((layers[i] | 0x20) - 'a');

        l[i].diff_id = digest_of_number(letter, 1);
        l[i].blob = digest_of_number(capital ? letter : letter + 100 * (f->n + 1), 2);
        l[i].size = letter + 1;
        l[i].here = true;
    }
    f->n++;
    return s;
}

/* A base, which nobody asked for. */
static struct stage *put_base(struct forest *f, const char *name, const char *layers)
{
    struct stage *s = put(f, name, layers);

    s->mirrored = true;
    s->wanted = false;
    return s;
}

/* The forest in one line: name(depth) of each that is printed, with its equals. */
static const char *show(struct forest *f)
{
    static char text[4096];
    size_t at = 0;

    f->n_order = stages_link(f->images, f->n, f->order);
    text[0] = '\0';
    for (size_t k = 0; k < f->n_order; k++) {
        const struct stage *s = &f->images[f->order[k]];

        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", k == 0 ? "" : " ", s->name);
        for (size_t i = 0; i < f->n; i++) {
            if (i != f->order[k] && f->images[i].same == f->order[k] && f->images[i].shown) {
                at += (size_t)snprintf(text + at, sizeof(text) - at, "=%s", f->images[i].name);
            }
        }
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%zu", s->depth);
    }
    return text;
}

static void test_chain(void)
{
    static struct forest f;
    struct stage *dev = put(&f, "dev", "abcdef");
    struct stage *builder = put(&f, "builder", "abc");
    struct stage *release = put(&f, "release", "z");
    struct stage *golang = put_base(&f, "golang", "ab");
    struct stage *ci = put(&f, "ci", "abcde");

    put_base(&f, "other", "abx"); /* which nobody extends */
    CHECK_STR(show(&f), "golang0 builder1 ci2 dev3 release0");
    CHECK(golang->parent == STAGE_NONE && release->parent == STAGE_NONE);
    CHECK(&f.images[builder->parent] == golang && &f.images[ci->parent] == builder);
    CHECK(&f.images[dev->parent] == ci);
    CHECK_INT(dev->all.bytes, 1 + 2 + 3 + 4 + 5 + 6);
    CHECK_INT(dev->added.bytes, 6);
    CHECK_INT(dev->added.layers, 1);
    CHECK_INT(ci->added.bytes, 4 + 5);
    CHECK_INT(dev->bases.bytes, 1 + 2);
    CHECK_INT(golang->bases.bytes, 0);
    CHECK_INT(release->bases.layers, 0);
    CHECK_INT(release->added.bytes, 26);
}

/* A layer less, another last layer, another order: none of them is a proper beginning. */
static void test_near(void)
{
    static struct forest f;

    put(&f, "m", "abc");
    put(&f, "n", "abd");
    put(&f, "o", "bac");
    put(&f, "p", "bc");
    put(&f, "q", "abce");
    put(&f, "r", "ab");
    CHECK_STR(show(&f), "o0 p0 r0 m1 q2 n1");
}

static void test_equal(void)
{
    static struct forest f;
    struct stage *again = put(&f, "again", "ab");
    struct stage *top = put(&f, "top", "abc");
    struct stage *base = put_base(&f, "base", "ab");
    struct stage *zero = put(&f, "zero", "ab");

    CHECK_STR(show(&f), "base=again=zero0 top1");
    CHECK(&f.images[again->same] == base && &f.images[zero->same] == base);
    CHECK(&f.images[top->parent] == base);
    CHECK_INT(again->added.bytes, 3);
    /* An equal one that stands for others has a parent; they have it too. */
    f.n = 0;
    put(&f, "a", "x");
    put(&f, "c", "xy");
    put(&f, "b", "xy");
    put(&f, "d", "xyz");
    CHECK_STR(show(&f), "a0 b=c1 d2");
    CHECK_INT(f.images[1].parent, 0);
    CHECK_INT(f.images[1].depth, 1);
}

static void test_without_layers(void)
{
    static struct forest f;

    put(&f, "one", "a");
    put(&f, "empty", "");
    put(&f, "void", "");
    CHECK_STR(show(&f), "empty0 one0 void0");
    CHECK(f.images[0].parent == STAGE_NONE);
    f.n = 0;
    CHECK_STR(show(&f), "");
}

/* Of what nobody asked for, only what is above or below something that somebody asked for. */
static void test_shown(void)
{
    static struct forest f;

    put(&f, "a", "a")->wanted = false;
    put(&f, "ab", "ab")->wanted = true;
    put(&f, "abc", "abc")->wanted = false;
    put(&f, "abcd", "abcd")->wanted = false;
    put(&f, "ax", "ax")->wanted = false;
    put(&f, "axy", "axy")->wanted = false;
    put(&f, "ab2", "ab")->wanted = false;
    put(&f, "k", "k")->wanted = false;
    CHECK_STR(show(&f), "a0 ab=ab21 abc2 abcd3");
    f.images[1].wanted = false;
    CHECK_STR(show(&f), "");
    f.images[6].wanted = true; /* the one for which another stands */
    CHECK_STR(show(&f), "a0 ab=ab21 abc2 abcd3");
}

static void test_siblings(void)
{
    static struct forest f;
    struct stage *p = put(&f, "p", "ab");
    struct stage *q = put(&f, "q", "abxyx");
    struct stage *r = put(&f, "r", "abzx");
    struct stage *s = put(&f, "s", "xb");
    struct stage *t = put(&f, "t", "abxyxx");

    CHECK_STR(show(&f), "p0 q1 t2 r1 s0");
    CHECK_INT(q->siblings.layers, 2); /* x, twice */
    CHECK_INT(q->siblings.bytes, 48);
    CHECK_INT(r->siblings.layers, 1);
    CHECK_INT(t->siblings.layers, 0); /* an image's own repetitions are not shared */
    CHECK_INT(p->siblings.bytes, 2);  /* b, with s: both from scratch */
    CHECK_INT(s->siblings.bytes, 2);
}

static void test_sums(void)
{
    static struct forest f;
    struct stage *p = put(&f, "p", "AB");
    struct stage *q = put(&f, "q", "ABc"); /* the same blobs as p's, and one more */
    struct stage *r = put(&f, "r", "abb"); /* the same layers compressed anew, one of them twice */
    struct stage_sums sums;

    p->blobs[0] = q->blobs[0] = (struct stage_blob){digest_of_number(7, 3), 1000};
    p->blobs[1] = (struct stage_blob){digest_of_number(8, 3), 100};
    put_base(&f, "hidden", "z");
    CHECK_STR(show(&f), "p0 q1 r1");
    sums = stages_sum(f.images, f.n);
    CHECK_INT(sums.stored, 1000 + 100 + 1 + 2 + 3 + 1 + 2);
    CHECK_INT(sums.separate, 1103 + 1006 + 3);
    f.layers[1][2].here = false;
    sums = stages_sum(f.images, f.n);
    CHECK_INT(sums.stored, 1000 + 100 + 1 + 2 + 1 + 2);
    f.layers[1][2].here = true;
    f.layers[1][2].size = UINT64_MAX; /* as a manifest may claim */
    f.layers[2][0].size = UINT64_MAX;
    CHECK_STR(show(&f), "p0 q1 r1");
    CHECK(q->all.bytes == UINT64_MAX && r->all.bytes == UINT64_MAX);
    sums = stages_sum(f.images, f.n);
    CHECK(sums.stored == UINT64_MAX && sums.separate == UINT64_MAX);
}

/* Each of 20,000 images extends one before it at random; the tree must be that, and soon. */
static void test_many(void)
{
    enum { N = 20000, DEEP = 60 };
    struct stage *images = xcalloc(N, sizeof(*images));
    size_t *parents = xcalloc(N, sizeof(*parents));
    size_t *order = xcalloc(N, sizeof(*order));
    uint64_t began = clock_mono_ms();
    unsigned wrong = 0;
    uint64_t state = 1;

    for (size_t i = 0; i < N; i++) {
        struct stage_layer *layers;
        const struct stage *of;

        state = state * 6364136223846793005u + 1442695040888963407u;
        parents[i] = i % 100 == 0 ? STAGE_NONE : (state >> 33) % i;
        of = parents[i] == STAGE_NONE ? NULL : &images[parents[i]];
        if (of != NULL && of->n_layers >= DEEP) {
            parents[i] = STAGE_NONE;
            of = NULL;
        }
        layers = xcalloc((of == NULL ? 0 : of->n_layers) + 1, sizeof(*layers));
        images[i] = (struct stage){.name = "", .wanted = true, .layers = layers, .n_layers = 1};
        if (of != NULL) {
            memcpy(layers, of->layers, of->n_layers * sizeof(*layers));
            images[i].n_layers = of->n_layers + 1;
        }
        layers[images[i].n_layers - 1].diff_id = digest_of_number(i, 1);
    }
    CHECK_INT(stages_link(images, N, order), N);
    for (size_t i = 0; i < N; i++) {
        wrong += images[i].parent != parents[i] || images[i].same != i;
        wrong +=
            images[i].parent != STAGE_NONE && images[i].depth != images[images[i].parent].depth + 1;
    }
    CHECK_INT(wrong, 0);
    /* Comparing each with each would take minutes. */
    CHECK(clock_mono_ms() - began < 20000);
    for (size_t i = 0; i < N; i++) {
        free((void *)(uintptr_t)images[i].layers);
    }
    free(images);
    free(parents);
    free(order);
}

int main(void)
{
    test_chain();
    test_near();
    test_equal();
    test_without_layers();
    test_shown();
    test_siblings();
    test_sums();
    test_many();
    return tap_done();
}
