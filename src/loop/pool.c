/* loop/pool.c - a queue under one lock, and the threads that take from it. */
#include "loop/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list jobs;
    bool ending;
    unsigned n_threads;
    pthread_t threads[];
};

static void job_posted(struct post *p)
{
    struct job *j = container_of(p, struct job, post);

    j->done(j);
}

static struct job *pool_take(struct pool *p)
{
    struct list *node;

    pthread_mutex_lock(&p->lock);
    while ((node = list_pop(&p->jobs)) == NULL && !p->ending) {
        pthread_cond_wait(&p->more, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return node == NULL ? NULL : container_of(node, struct job, node);
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    struct job *j;

    while ((j = pool_take(p)) != NULL) {
        j->run(j);
        if (j->loop != NULL) {
            loop_post(j->loop, &j->post);
        } else {
            j->done(j);
        }
    }
    return NULL;
}

struct pool *pool_new(const char *name, unsigned threads)
{
    struct pool *p = xcalloc(1, sizeof(*p) + threads * sizeof(pthread_t));
    sigset_t all;
    sigset_t before;

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    list_init(&p->jobs);
    p->n_threads = threads;
    /* Signals are the main thread's, but for what a thread does to itself: blocked, that would end
     * the process without a word from a handler. */
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < threads; i++) {
        int failed = pthread_create(&p->threads[i], NULL, pool_thread, p);

        assert(failed == 0);
        pthread_setname_np(p->threads[i], name);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p;
}

void pool_free(struct pool *p)
{
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++) {
        pthread_join(p->threads[i], NULL);
    }
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void pool_submit(struct pool *p, struct loop *l, struct job *j, void (*run)(struct job *),
                 void (*done)(struct job *))
{
    list_init(&j->node);
    post_init(&j->post, job_posted);
    j->loop = l;
    j->run = run;
    j->done = done;
    pthread_mutex_lock(&p->lock);
    list_append(&p->jobs, &j->node);
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
}
