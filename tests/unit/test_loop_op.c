/* test_loop_op.c - step operations: ends, failures, aborts, cancels and late wakes. */
#include "loop/op.h"

#include <stdlib.h>

#include "tap.h"

STEP(first);
STEP(second);
STEP(waiting);
STEP(failing);
STEP(last_wake);
STEP(error);

/* One a test. Owner: itself where `own`, freed by done(). */
struct trial {
    struct op op;
    bool go_on;
    unsigned waits;
    unsigned errors;
    enum err_code code; /* what the error step saw */
};

static struct loop *loop;
static unsigned ended;

static struct trial *trial_of(struct op *op)
{
    return container_of(op, struct trial, op);
}

static const struct step *step_first(struct op *op)
{
    (void)op;
    return &S_second;
}

static const struct step *step_second(struct op *op)
{
    (void)op;
    return &S_waiting;
}

static const struct step *step_waiting(struct op *op)
{
    struct trial *t = trial_of(op);

    t->waits++;
    return t->go_on ? STEP_END : STEP_WAIT;
}

static const struct step *step_failing(struct op *op)
{
    return op_fail(op, ERR_TIMEOUT, "after %d", 5);
}

/* As a stream does that finds its peer gone: the op is woken while its last step runs. */
static const struct step *step_last_wake(struct op *op)
{
    op_wake(op);
    return STEP_END;
}

static const struct step *step_error(struct op *op)
{
    struct trial *t = trial_of(op);

    t->errors++;
    t->code = op->err.code;
    return STEP_END;
}

static void on_end(struct op *op)
{
    (void)op;
    ended++;
}

static void on_end_free(struct op *op)
{
    ended++;
    free(trial_of(op));
}

/* A loop runs once; so all trials share one run: each is a task that checks after some turns. */
static struct trial plain, failed, aborted, twice, cancelled;

static void act_1(struct task *t)
{
    (void)t;
    CHECK_INT(plain.waits, 1);
    op_wake(&plain.op); /* for nothing */
    op_wake(&plain.op);
    CHECK_INT(failed.errors, 1);
    CHECK_INT(failed.code, ERR_TIMEOUT);
    CHECK_STR(failed.op.err.text, "after 5");
    op_abort(&failed.op, ERR_CLIENT_GONE, "late");
    CHECK_INT(failed.op.err.code, ERR_TIMEOUT);
    op_abort(&aborted.op, ERR_CLIENT_GONE, "why");
    aborted.go_on = true; /* the step that waits is not run again */
    op_abort(&twice.op, ERR_CLIENT_GONE, "first");
    op_abort(&twice.op, ERR_TIMEOUT, "second");
    op_wake(&cancelled.op);
    op_cancel(&cancelled.op);
    op_cancel(&cancelled.op);
    op_wake(&cancelled.op);
}

static void act_2(struct task *t)
{
    (void)t;
    CHECK_INT(plain.waits, 2);
    plain.go_on = true;
    op_wake(&plain.op);
    CHECK_INT(aborted.waits, 1);
    CHECK_INT(aborted.errors, 1);
    CHECK_INT(aborted.code, ERR_CLIENT_GONE);
    CHECK_INT(twice.errors, 1);
    CHECK_STR(twice.op.err.text, "first");
    CHECK_INT(cancelled.waits, 1);
}

static void act_3(struct task *t)
{
    (void)t;
    CHECK_INT(plain.waits, 3);
    CHECK(plain.op.step == NULL);
    op_wake(&plain.op);
    op_abort(&plain.op, ERR_TIMEOUT, "it has ended");
    CHECK_INT(plain.op.err.code, ERR_NONE);
    loop_stop(loop);
}

static void begin(struct trial *t, const struct step *first)
{
    op_start(&t->op, loop, first, &S_error, on_end);
}

/* Runs `act` some turns from now. */
struct later {
    struct task task;
    struct task act;
    unsigned turns;
};

static void run_later(struct task *t)
{
    struct later *l = container_of(t, struct later, task);

    loop_defer(loop, l->turns-- > 0 ? t : &l->act);
}

static void plan(struct later *l, unsigned turns, void (*act)(struct task *))
{
    l->turns = turns;
    task_init(&l->act, act);
    task_init(&l->task, run_later);
    loop_defer(loop, &l->task);
}

int main(void)
{
    struct later acts[3];

    loop = loop_new();
    begin(&plain, &S_first);
    begin(&failed, &S_failing);
    begin(&aborted, &S_waiting);
    begin(&twice, &S_waiting);
    begin(&cancelled, &S_waiting);
    for (unsigned i = 0; i < 8; i++) {
        struct trial *t = xnew(struct trial);

        op_start(&t->op, loop, &S_last_wake, &S_error, on_end_free);
    }
    plan(&acts[0], 3, act_1);
    plan(&acts[1], 9, act_2);
    plan(&acts[2], 15, act_3);
    loop_run(loop);
    /* plain, failed, aborted, twice; eight that were freed as they ended, with a wake under way. */
    CHECK_INT(ended, 4 + 8);
    loop_free(loop);
    return tap_done();
}
