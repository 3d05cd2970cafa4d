/* loop/op.c - the driver of step operations. */
#include "loop/op.h"

#include "base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* The driver compares addresses; these are never run. */
const struct step STEP_WAIT_VALUE = {"wait", NULL};
const struct step STEP_END_VALUE = {"end", NULL};

static void op_run(struct task *t)
{
    struct op *op = container_of(t, struct op, task);

    if (op->step == NULL) {
        return; /* it has ended; whoever woke it did not know yet */
    }
    for (;;) {
        const struct step *next;

        if (op->aborted) {
            op->aborted = false;
            op->step = op->on_error;
        }
        next = op->step->run(op);
        if (next == STEP_WAIT) {
            return;
        }
        if (next == STEP_END) {
            op->step = NULL;
            /* Its last step may have woken it, and done() may free it. */
            task_cancel(&op->task);
            op->done(op);
            return;
        }
        op->step = next;
    }
}

void op_start(struct op *op, struct loop *loop, const struct step *first,
              const struct step *on_error, void (*done)(struct op *))
{
    task_init(&op->task, op_run);
    op->loop = loop;
    op->step = first;
    op->on_error = on_error;
    op->err = (struct err){0};
    op->aborted = false;
    op->done = done;
    loop_defer(loop, &op->task);
}

void op_wake(struct op *op)
{
    if (op->step != NULL) {
        loop_defer(op->loop, &op->task);
    }
}

const struct step *op_fail(struct op *op, enum err_code code, const char *fmt, ...)
{
    va_list args;

    op->err.code = code;
    op->err.retry_after = 0;
    va_start(args, fmt);
    vsnprintf(op->err.text, sizeof(op->err.text), fmt, args);
    va_end(args);
    return op->on_error;
}

const struct step *op_fail_with(struct op *op, const struct err *err)
{
    op->err = *err;
    return op->on_error;
}

void op_abort(struct op *op, enum err_code code, const char *why)
{
    if (op->step == NULL || op->err.code != ERR_NONE) {
        return;
    }
    err_set(&op->err, code, "%s", why);
    op->aborted = true;
    loop_defer(op->loop, &op->task);
}

void op_cancel(struct op *op)
{
    if (op->step != NULL) {
        task_cancel(&op->task);
        op->step = NULL;
    }
}
