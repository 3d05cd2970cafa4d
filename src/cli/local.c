/* cli/local.c - opens the store, has one job done, closes it. */
#include "cli/local.h"

#include "cli/open.h"
#include "cli/patience.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DISK_THREADS 4

/* Owner: local_run(). */
struct work {
    struct job job;
    struct admin admin;
    const struct admin_command *command;
    const struct admin_query *query;
    struct buf *out;
    struct err *err;
    int result;
    int ended; /* can be read once it is */
};

static void work_run(struct job *j)
{
    struct work *w = container_of(j, struct work, job);

    w->result = admin_run(&w->admin, w->command, w->query, w->out, w->err);
}

static void work_done(struct job *j)
{
    struct work *w = container_of(j, struct work, job);

    ignore_result(eventfd_write(w->ended, 1) < 0);
}

/* On a thread of its own, while this one counts the seconds. */
static int work_wait(struct work *w)
{
    struct pool *pool = pool_new("command", 1);
    struct patience p;

    w->ended = eventfd(0, EFD_CLOEXEC);
    assert(w->ended >= 0);
    patience_begin(&p);
    pool_submit(pool, NULL, &w->job, work_run, work_done);
    patience_wait(&p, w->ended);
    patience_end(&p);
    pool_free(pool);
    close(w->ended);
    return w->result;
}

int local_check(const char *data, struct err *err)
{
    _cleanup_free_ char *index = xasprintf("%s/index", data);

    if (access(index, F_OK) < 0) {
        return err_set(err, ERR_STORE, "%.160s: no data of Larder's is there: %s", data,
                       strerror(errno));
    }
    return 0;
}

int local_run(const struct config *config, const struct admin_command *c,
              const struct admin_query *q, struct buf *out, struct err *err)
{
    struct work w = {.command = c, .query = q, .out = out, .err = err};
    struct open_rules rules = {0};
    struct store_options options;
    struct route_table *routes;
    struct pool *disk;
    int result = -1;

    buf_init(out, ADMIN_ANSWER_MAX);
    if (local_check(config->data, err) < 0) {
        return -1;
    }
    disk = pool_new("disk", DISK_THREADS);
    routes = config_routes(config);
    open_rules_make(config, &rules);
    options = open_options(config, &rules, disk);
    w.admin = (struct admin){store_open(&options, err), routes, NULL};
    if (w.admin.store != NULL) {
        result = work_wait(&w);
        store_quiesce(w.admin.store);
    }
    pool_free(disk);
    store_close(w.admin.store);
    open_rules_free(&rules);
    free(routes);
    return result;
}
