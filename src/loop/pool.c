/* loop/pool.c - a queue under one lock, and the threads that take from it. */
#include "loop/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The last one; with SCHED_IDLE instead, whoever is asleep with a lock would not come back for
 * seconds. */
#define NICE_IDLE 19
/* Of the kernel; glibc has no header for them. */
#define IOPRIO_THREAD 1
#define IOPRIO_IDLE (3 << 13)

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list jobs;
    bool ending;
    bool idle;
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

/* The calling thread, for good: without privileges there is no way back. */
static void become_idle(void)
{
    ignore_result(setpriority(PRIO_PROCESS, 0, NICE_IDLE) < 0);
    ignore_result(syscall(SYS_ioprio_set, IOPRIO_THREAD, 0, IOPRIO_IDLE) < 0);
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    struct job *j;

    if (p->idle) {
        become_idle();
    }
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

static struct pool *make(const char *name, unsigned threads, bool idle)
{
    struct pool *p = xcalloc(1, sizeof(*p) + threads * sizeof(pthread_t));
    sigset_t all;
    sigset_t before;

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    list_init(&p->jobs);
    p->idle = idle;
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

struct pool *pool_new(const char *name, unsigned threads)
{
    return make(name, threads, false);
}

struct pool *pool_new_idle(const char *name, unsigned threads)
{
    return make(name, threads, true);
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
