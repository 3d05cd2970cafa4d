/* admin/settle.c - hands a change to the writer, and sleeps. */
#include "admin/settle.h"

static void on_done(struct index_write *write)
{
    struct settle *w = container_of(write, struct settle, write);

    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
}

void settle_init(struct settle *w, void (*apply)(struct index_write *w, struct index_txn *t))
{
    *w = (struct settle){.write = {.apply = apply, .done = on_done}};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->ended, NULL);
}

void settle_fini(struct settle *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->ended);
}

int settle_run(struct settle *w, struct store *s, struct err *err)
{
    w->done = false;
    index_write_submit(s, NULL, &w->write);
    pthread_mutex_lock(&w->lock);
    while (!w->done) {
        pthread_cond_wait(&w->ended, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    if (w->write.failed) {
        *err = w->write.err;
        return -1;
    }
    return 0;
}
