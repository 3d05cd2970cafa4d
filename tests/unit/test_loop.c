/* test_loop.c - tasks, timers, messages, bells and pools on real loops. */
#include "base/clock.h"
#include "loop/bell.h"
#include "loop/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

/* --- tasks --------------------------------------------------------------------------------- */

static struct {
    struct loop *loop;
    struct task again;
    struct task order[3];
    struct watch watch;
    unsigned turns;
    unsigned turns_at_ready;
    char ran[8];
} tasks;

static void run_again(struct task *t)
{
    tasks.turns++;
    loop_defer(tasks.loop, t);
    if (tasks.turns == 1000) {
        loop_stop(tasks.loop);
    }
}

static void run_order(struct task *t)
{
    size_t n = strlen(tasks.ran);

    tasks.ran[n] = (char)('a' + (t - tasks.order));
    if (t == &tasks.order[0]) {
        task_cancel(&tasks.order[1]); /* of the same sweep */
    }
}

static void on_ready(struct watch *w, unsigned what)
{
    (void)w;
    if ((what & WATCH_READ) != 0 && tasks.turns_at_ready == 0) {
        tasks.turns_at_ready = tasks.turns + 1;
    }
}

static void test_tasks(void)
{
    int pair[2];

    tasks.loop = loop_new();
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    assert(write(pair[1], "x", 1) == 1);
    watch_open(&tasks.watch, tasks.loop, pair[0], on_ready);
    task_init(&tasks.again, run_again);
    for (size_t i = 0; i < 3; i++) {
        task_init(&tasks.order[i], run_order);
        loop_defer(tasks.loop, &tasks.order[i]);
        loop_defer(tasks.loop, &tasks.order[i]);
    }
    loop_defer(tasks.loop, &tasks.again);
    loop_run(tasks.loop);
    CHECK_STR(tasks.ran, "ac");
    CHECK(tasks.turns >= 1000);
    CHECK(tasks.turns_at_ready > 0 && tasks.turns_at_ready < 4);
    watch_close(&tasks.watch);
    watch_close(&tasks.watch);
    task_cancel(&tasks.again);
    task_cancel(&tasks.again);
    close(pair[0]);
    close(pair[1]);
}

/* --- timers -------------------------------------------------------------------------------- */

static struct {
    struct loop *loop;
    struct timer later;
    struct timer sooner;
    struct timer cleared;
    struct timer last;
    uint64_t began;
    uint64_t later_at;
    uint64_t sooner_at;
    unsigned cleared_fired;
} timers;

static void on_later(struct timer *t)
{
    (void)t;
    timers.later_at = clock_mono_ms();
}

static void on_sooner(struct timer *t)
{
    (void)t;
    timers.sooner_at = clock_mono_ms();
}

static void on_cleared(struct timer *t)
{
    (void)t;
    timers.cleared_fired++;
}

static void on_last(struct timer *t)
{
    (void)t;
    loop_stop(timers.loop);
}

static void test_timers(void)
{
    timers.loop = loop_new();
    timer_init(&timers.later, timers.loop, on_later);
    timer_init(&timers.sooner, timers.loop, on_sooner);
    timer_init(&timers.cleared, timers.loop, on_cleared);
    timer_init(&timers.last, timers.loop, on_last);
    timers.began = loop_now(timers.loop);
    timer_set(&timers.later, 10);
    timer_set(&timers.later, 60); /* moved later: the event fires early and is armed for the rest */
    timer_set(&timers.sooner, 60000);
    timer_set(&timers.sooner, 5);
    timer_set(&timers.cleared, 5);
    timer_clear(&timers.cleared);
    CHECK(timer_is_set(&timers.later));
    CHECK(!timer_is_set(&timers.cleared));
    timer_set(&timers.last, 90);
    loop_run(timers.loop);
    CHECK(timers.later_at >= timers.began + 60);
    CHECK(timers.sooner_at >= timers.began + 5 && timers.sooner_at < timers.began + 10000);
    CHECK_INT(timers.cleared_fired, 0);
    CHECK(!timer_is_set(&timers.later));
    timer_fini(&timers.later);
    timer_fini(&timers.later);
    timer_fini(&timers.sooner);
    timer_fini(&timers.cleared);
    timer_fini(&timers.last);
}

/* --- messages from several threads --------------------------------------------------------- */

#define POSTERS 3
#define POSTS 2000

struct letter {
    struct post post;
    unsigned from;
    unsigned number;
};

static struct {
    struct loop *loop;
    struct letter letters[POSTERS][POSTS];
    struct post many;
    unsigned next[POSTERS];
    unsigned got;
    unsigned out_of_order;
    atomic_uint stored;
    unsigned seen; /* of `stored`, at the last run of `many` */
} posts;

static void posts_end(void)
{
    if (posts.got == POSTERS * POSTS && posts.seen == POSTERS * POSTS) {
        loop_stop(posts.loop);
    }
}

static void on_letter(struct post *p)
{
    struct letter *l = container_of(p, struct letter, post);

    posts.out_of_order += posts.next[l->from] != l->number;
    posts.next[l->from] = l->number + 1;
    posts.got++;
    posts_end();
}

static void on_many(struct post *p)
{
    (void)p;
    posts.seen = atomic_load(&posts.stored);
    posts_end();
}

static void *poster(void *arg)
{
    unsigned from = *(const unsigned *)arg;

    for (unsigned i = 0; i < POSTS; i++) {
        struct letter *l = &posts.letters[from][i];

        l->from = from;
        l->number = i;
        post_init(&l->post, on_letter);
        loop_post(posts.loop, &l->post);
        atomic_fetch_add(&posts.stored, 1);
        loop_post(posts.loop, &posts.many); /* one post of all: under way or not */
    }
    return NULL;
}

static void test_posts(void)
{
    static const unsigned names[POSTERS] = {0, 1, 2};
    pthread_t threads[POSTERS];

    posts.loop = loop_new();
    post_init(&posts.many, on_many);
    for (unsigned i = 0; i < POSTERS; i++) {
        unsigned *name;

        memcpy(&name, &(const unsigned *){&names[i]}, sizeof(name));
        pthread_create(&threads[i], NULL, poster, name);
    }
    loop_run(posts.loop);
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_INT(posts.got, POSTERS * POSTS);
    CHECK_INT(posts.out_of_order, 0);
    CHECK_NOTE(posts.seen == POSTERS * POSTS, "the last store is told of, however often posted");
}

/* A message that comes in the same turn as the stop is still taken: it may own memory. */

static struct {
    struct loop *loop;
    struct task stop;
    struct post late;
    bool took;
} stops;

static void on_late(struct post *p)
{
    (void)p;
    stops.took = true;
}

static void run_stop(struct task *t)
{
    (void)t;
    loop_stop(stops.loop);
    loop_post(stops.loop, &stops.late);
}

static void test_stop(void)
{
    stops.loop = loop_new();
    task_init(&stops.stop, run_stop);
    post_init(&stops.late, on_late);
    loop_defer(stops.loop, &stops.stop);
    loop_run(stops.loop);
    CHECK(stops.took);
}

/* --- pools --------------------------------------------------------------------------------- */

#define JOBS 200

struct counted {
    struct job job;
    unsigned number;
};

static struct {
    struct loop *loop;
    struct pool *pool;
    struct counted jobs[JOBS];
    unsigned ran[JOBS];
    atomic_uint started;
    unsigned done;
    struct counted free_standing;
    atomic_bool free_standing_done;
} jobs;

static void job_run(struct job *j)
{
    struct counted *c = container_of(j, struct counted, job);

    jobs.ran[c->number] = atomic_fetch_add(&jobs.started, 1);
}

static void job_done(struct job *j)
{
    struct counted *c = container_of(j, struct counted, job);

    assert(loop_current() == jobs.loop);
    jobs.done++;
    if (c->number == 0 && jobs.done < JOBS) {
        pool_submit(jobs.pool, jobs.loop, j, job_run, job_done); /* done() may start it anew */
    } else if (jobs.done == JOBS + 1) {
        loop_stop(jobs.loop);
    }
}

static void nothing_run(struct job *j)
{
    (void)j;
}

static void standing_done(struct job *j)
{
    (void)j;
    atomic_store(&jobs.free_standing_done, true);
}

static void test_pool(void)
{
    unsigned late = 0;

    jobs.loop = loop_new();
    jobs.pool = pool_new("test", 1);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs.jobs[i].number = i;
        pool_submit(jobs.pool, jobs.loop, &jobs.jobs[i].job, job_run, job_done);
    }
    loop_run(jobs.loop);
    CHECK_INT(jobs.done, JOBS + 1);
    for (unsigned i = 1; i < JOBS; i++) {
        late += jobs.ran[i] < i;
    }
    CHECK_NOTE(late == 0, "jobs start in the order of submission");
    pool_submit(jobs.pool, NULL, &jobs.free_standing.job, nothing_run, standing_done);
    pool_free(jobs.pool);
    CHECK_NOTE(atomic_load(&jobs.free_standing_done), "what is queued runs before a pool ends");
    pool_free(NULL);
}

static atomic_int nice_seen;
static atomic_long ioprio_seen;

static void look_at_priority(struct job *j)
{
    (void)j;
    atomic_store(&nice_seen, getpriority(PRIO_PROCESS, 0));
    atomic_store(&ioprio_seen, syscall(SYS_ioprio_get, 1, 0) >> 13);
}

static void look_done(struct job *j)
{
    (void)j;
}

/* Of its own threads alone. */
static void test_idle_pool(void)
{
    int before = getpriority(PRIO_PROCESS, 0);
    struct pool *idle = pool_new_idle("idle", 1);
    struct job job;

    pool_submit(idle, NULL, &job, look_at_priority, look_done);
    pool_free(idle);
    CHECK_INT(atomic_load(&nice_seen), 19);
    CHECK_INT(atomic_load(&ioprio_seen), 3);
    CHECK_INT(getpriority(PRIO_PROCESS, 0), before);
}

int main(void)
{
    test_tasks();
    test_timers();
    test_posts();
    test_stop();
    test_pool();
    test_idle_pool();
    for (unsigned i = 0; i < loop_count(); i++) {
        loop_free(loop_at(i));
    }
    loop_free(NULL);
    return tap_done();
}
